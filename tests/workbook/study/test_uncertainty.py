"""Resampled histograms equal those of the resampled families; intervals behave as intervals."""

import numpy as np
import pytest

from finlib.scoring import histograms, metrics
from workbook.study import uncertainty


def random_set(seed, families=8, per_family=4, size=8, flips=9):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (families, size * 8), dtype=np.uint8)
    bits = np.repeat(centres, per_family, axis=0) ^ (
        rng.random((families * per_family, size * 8)) < flips / (size * 8)
    )
    return np.packbits(bits.astype(np.uint8), axis=1), np.repeat(np.arange(families), per_family)


def by_family(packed, labels):
    """(same, different) one family a group, each pair counted once on or above the diagonal."""
    bits, groups = np.unpackbits(packed, axis=1), labels.max() + 1
    same = np.zeros((groups, bits.shape[1] + 1), np.int64)
    different = np.zeros((groups, groups, bits.shape[1] + 1), np.int64)
    for i in range(len(bits)):
        for j in range(i + 1, len(bits)):
            distance = int((bits[i] != bits[j]).sum())
            if labels[i] == labels[j]:
                same[labels[i], distance] += 1
            else:
                different[labels[i], labels[j], distance] += 1
    return same, different


def test_interval_by_hand():
    assert uncertainty.interval(5.0, np.arange(101.0)) == (5.0, 2.5, 97.5)
    assert uncertainty.interval(5.0, np.array([1.0, np.nan, 3.0]), confidence=0) == (5.0, 2.0, 2.0)
    value, low, high = uncertainty.interval(float("nan"), np.arange(9.0))
    assert np.isnan([value, low, high]).all()


def test_weights_draw_as_many_groups_as_there_are():
    weights = uncertainty.family_weights(7, 50, seed=1)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(weights, uncertainty.family_weights(7, 50, seed=1))
    halves = uncertainty.half_weights(7, 50, seed=1)
    assert (halves.sum(axis=1) == 3).all()
    assert len(np.unique(halves, axis=0)) > 20


def test_weighted_counts_by_hand():
    # Two families; distances 0 and 1. Family 0 is drawn three times and family 1 once:
    # 3 x the pairs of family 0, and 3 x 1 the pairs between the two.
    same = np.array([[2, 0], [0, 5]])
    different = np.zeros((2, 2, 2), int)
    different[0, 1] = [1, 4]
    counts = uncertainty.weighted_counts(
        same, different, np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 0.0]])
    )
    np.testing.assert_array_equal(counts, [[[2, 5], [1, 4]], [[6, 5], [3, 12]], [[4, 0], [0, 0]]])


def test_pairs_inside_a_group_of_families_count_once_a_draw():
    different = np.zeros((1, 1, 2), int)
    different[0, 0] = [1, 4]
    counts = uncertainty.weighted_counts(np.array([[2, 0]]), different, np.array([[3.0]]))
    np.testing.assert_array_equal(counts, [[[6, 0], [3, 12]]])


def test_a_drawn_set_counts_as_if_it_had_been_hashed():
    packed, labels = random_set(3)
    drawn = uncertainty.weighted_counts(
        *by_family(packed, labels), np.array([[2.0, 0, 1, 1, 0, 3, 1, 0]])
    )[0]
    expected = np.zeros_like(drawn)
    chosen = [0, 0, 2, 3, 5, 5, 5, 6]
    bits = np.unpackbits(packed, axis=1)
    for place, one in enumerate(chosen):
        mine = bits[labels == one]
        for i in range(len(mine)):
            for j in range(i):
                expected[0, (mine[i] != mine[j]).sum()] += 1
        for other in chosen[:place]:
            if other != one:
                for a in mine:
                    for b in bits[labels == other]:
                        expected[1, (a != b).sum()] += 1
    np.testing.assert_array_equal(drawn, expected)


def test_histograms_of_families_are_the_ones_counted_here():
    packed, labels = random_set(4)
    same, different = histograms.family_histograms(packed, labels)
    ones = np.ones((1, len(same)))
    whole = uncertainty.weighted_counts(same, different, ones)[0]
    np.testing.assert_array_equal(whole, histograms.pair_counts(packed, labels))
    few = histograms.family_histograms(packed, labels, groups=3)
    np.testing.assert_array_equal(uncertainty.weighted_counts(*few, np.ones((1, 3)))[0], whole)


def resampled_auc(packed, labels, resamples=200, seed=5):
    """The AUC of a labelled set, and of its families resampled."""
    same, different = by_family(packed, labels)
    whole = uncertainty.weighted_counts(same, different, np.ones((1, len(same))))[0]
    weights = uncertainty.family_weights(len(same), resamples, seed)
    drawn = uncertainty.weighted_counts(same, different, weights)
    return metrics.auc(whole), np.array([metrics.auc(counts) for counts in drawn])


def test_differences_between_methods_are_paired():
    good, labels = random_set(1, families=20, flips=6)
    worse, _ = random_set(2, families=20, flips=16)
    good_auc, good_draws = resampled_auc(good, labels)
    twin_auc, twin_draws = resampled_auc(good, labels)
    worse_auc, worse_draws = resampled_auc(worse, labels)
    assert uncertainty.interval(good_auc - twin_auc, good_draws - twin_draws) == (0, 0, 0)
    gap = uncertainty.interval(good_auc - worse_auc, good_draws - worse_draws)
    assert 0 < gap.low <= gap.value <= gap.high


def test_intervals_narrow_with_more_families():
    widths = []
    for families in (6, 40):
        packed, labels = random_set(7, families=families, flips=16)
        auc = uncertainty.interval(*resampled_auc(packed, labels))
        assert auc.low <= auc.value <= auc.high
        widths.append(auc.high - auc.low)
    assert widths[1] < widths[0]


def test_the_interval_of_a_share_by_hand():
    # Clopper and Pearson: of 0 in n, the upper end solves (1 - p)^n = 0.025.
    assert uncertainty.count_interval(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert uncertainty.count_interval(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    low, high = uncertainty.count_interval(5, 10)
    assert low == pytest.approx(1 - high)


def test_held_out_thresholds_come_from_the_other_half():
    packed, labels = random_set(9, families=30, flips=14)
    frame = uncertainty.held_out(*by_family(packed, labels), rates=(1e-2, 1e-6), splits=20, seed=3)
    assert list(frame.columns) == ["split", "intended", "threshold", "fpr", "tpr"]
    assert len(frame) == 40
    reached = frame[frame["intended"] == 1e-2]
    assert reached["fpr"].mean() == pytest.approx(1e-2, abs=6e-3)
    assert reached["fpr"].nunique() > 3
    assert frame[frame["intended"] == 1e-6]["threshold"].isna().all()
    trials = uncertainty.held_out_trials({"it": by_family(packed, labels)}, seed=3)
    summary = uncertainty.held_out_summary(trials)
    assert summary["intended"].tolist() == [1e-3, 1e-2]
    assert (summary["fpr_low"] <= summary["fpr"]).all()
    assert (summary["fpr"] <= summary["fpr_high"]).all()
    assert summary["times"].tolist() == pytest.approx(summary["fpr"] / summary["intended"])
    assert (summary["times_worst"] >= summary["times"]).all()
