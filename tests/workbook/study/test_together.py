"""Joint histograms and rules for two hashes, by hand and against all pairs."""

import warnings

import numpy as np
import pytest

from finlib.scoring.histograms import pair_counts
from workbook.study import together


@pytest.fixture(scope="module")
def hashes():
    rng = np.random.default_rng(4)
    base = np.repeat(rng.integers(0, 256, (20, 8), dtype=np.uint8), 8, axis=0)
    noisy = [base ^ np.packbits(rng.random((160, 64)) < 0.15, axis=1) for _ in range(2)]
    return noisy[0], noisy[1], np.repeat(np.arange(20), 8)


def test_joint_has_both_histograms_and_the_sum(hashes):
    one, other, labels = hashes
    table = together.joint(one, other, labels)
    np.testing.assert_array_equal(table.sum(axis=2), pair_counts(one, labels))
    np.testing.assert_array_equal(table.sum(axis=1), pair_counts(other, labels))
    both = pair_counts(np.hstack([one, other]), labels)
    np.testing.assert_array_equal(together.weighted(table, 1.0)[:, ::4], both)


def test_threads_and_strips_do_not_matter(hashes, monkeypatch):
    expected = together.joint(*hashes, workers=1)
    monkeypatch.setattr(together, "STRIP", 7)
    np.testing.assert_array_equal(together.joint(*hashes, workers=2), expected)
    assert expected.sum() == 160 * 159 // 2


def test_and_and_or_by_hand():
    table = np.zeros((2, 3, 3), np.int64)
    table[0, 0, 0], table[0, 0, 2], table[0, 2, 0] = 5, 3, 2
    table[1, 1, 2], table[1, 2, 1], table[1, 2, 2] = 1, 1, 8
    assert together.either(table, 0.0) == (
        0,
        0,
    )  # a at 0 finds 8, b at 0 finds 2 more, no stranger is at 0
    a, b = together.both(table, 0.0)
    assert table[1, : a + 1, : b + 1].sum() == 0
    assert table[0, : a + 1, : b + 1].sum() == 8


def test_rules_find_more_together(hashes):
    frame = together.rules(together.halved(*hashes), 1e-2).set_index("rule")
    assert frame.loc["sum", "tpr"] > max(frame.loc[["first alone", "second alone"], "tpr"])
    assert (frame["low"] <= frame["tpr"]).all()
    assert set(frame.index) >= {"both (AND)", "either (OR)", "cascade", "weighted sum"}


def test_halves_of_one_family_have_no_false_pairs_and_no_rate_of_them():
    packed = np.random.default_rng(1).integers(0, 256, (9, 4), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = together.halved(packed, packed[::-1], np.repeat(["a", "b"], [5, 4]))
        found = together.rules(tables, 1e-2).set_index("rule")
    assert (
        0 < found.loc["both (AND)", "tpr"] <= 1
    )  # on the other half, where all true pairs of this one were taken
    assert np.isnan(found.loc[["both (AND)", "either (OR)", "cascade"], "fpr"]).all()


def test_correlation_by_hand():
    table = np.zeros((2, 3, 3), np.int64)
    table[0][np.diag_indices(3)] = 4
    table[1] = 1
    assert together.correlation(table) == pytest.approx((1, 0))


def test_saved_pairs_are_on_either_side(hashes):
    one, other, labels = hashes
    by_second, by_first = together.saved(one, other, labels, (12, 12), count=3)
    assert (by_second["a"] > 12).all()
    assert (by_second["b"] <= 12).all()
    assert (by_first["b"] > 12).all()
    assert len(by_second) <= 3
