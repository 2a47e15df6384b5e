"""Every metric by hand in a few rows, then against scikit-learn where it has the metric."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from finlib.scoring import metrics

# Distances 0 1 3 4 occur. Four pairs of one family, six of different families.
COUNTS = np.array([[1, 2, 0, 1, 0], [0, 1, 0, 2, 3]])
# Even distances only, as of a hash that sets half its bits.
EVEN = np.array([[2, 0, 1, 0, 1], [0, 0, 1, 0, 3]])


def brute_counts(packed, labels):
    """The pair histogram, one pair at a time."""
    bits = np.unpackbits(packed, axis=1)
    counts = np.zeros((2, bits.shape[1] + 1), np.int64)
    for i in range(len(bits)):
        for j in range(i):
            counts[int(labels[i] != labels[j]), int((bits[i] != bits[j]).sum())] += 1
    return counts


def random_set(seed, families=6, per_family=4, size=8, flips=9):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (families, size * 8), dtype=np.uint8)
    bits = np.repeat(centres, per_family, axis=0) ^ (
        rng.random((families * per_family, size * 8)) < flips / (size * 8)
    )
    return np.packbits(bits.astype(np.uint8), axis=1), np.repeat(np.arange(families), per_family)


def as_scores(counts):
    """(is one family, closeness) of every pair of a histogram, as scikit-learn wants them."""
    size = counts.shape[1]
    truth = np.concatenate([np.full(row.sum(), 1 - kind) for kind, row in enumerate(counts)])
    return truth, -np.concatenate([np.repeat(np.arange(size), row) for row in counts])


def test_roc_by_hand():
    curve = metrics.roc(COUNTS)
    assert curve["threshold"].tolist() == [-1, 0, 1, 3, 4]
    np.testing.assert_allclose(curve["tpr"], [0, 1 / 4, 3 / 4, 1, 1])
    np.testing.assert_allclose(curve["fpr"], [0, 0, 1 / 6, 3 / 6, 1])
    np.testing.assert_allclose(curve["precision"], [np.nan, 1, 3 / 4, 4 / 7, 4 / 10])
    np.testing.assert_allclose(curve["f1"], [0, 2 / 5, 6 / 8, 8 / 11, 8 / 14])


def test_auc_by_hand():
    # 1 pair ahead of all 6; 2 ahead of 5 and level with 1; 1 ahead of 3 and level with 2.
    assert metrics.auc(COUNTS) == pytest.approx((6 + 2 * 5.5 + 4) / 24)
    assert metrics.auc(COUNTS[::-1]) == pytest.approx(1 - (6 + 2 * 5.5 + 4) / 24)


def test_thresholds_by_hand():
    assert metrics.threshold_at(COUNTS, 0.2) == 1  # one of six passes
    assert metrics.tpr_at(COUNTS, 0.2) == 0.75
    assert metrics.threshold_at(COUNTS, 0.5) == 3  # not 2, where no pair is
    assert metrics.rate_at(COUNTS, 1) == (0.75, pytest.approx(1 / 6))
    assert metrics.rate_at(COUNTS, -1) == (0, 0)


def test_thresholds_step_by_two_on_even_distances():
    assert metrics.roc(EVEN)["threshold"].tolist() == [-1, 0, 2, 4]
    assert metrics.threshold_at(EVEN, 0.3) == 2
    assert metrics.rate_at(EVEN, 2) == metrics.rate_at(EVEN, 3) == (0.75, 0.25)


def test_a_rate_that_too_few_pairs_measure_is_nan():
    assert np.isnan(metrics.threshold_at(COUNTS, 0.1))
    assert np.isnan(metrics.tpr_at(COUNTS, 0.1))
    assert metrics.threshold_at(COUNTS, 1 / 6) == 1


def test_a_method_that_confuses_identical_hashes_accepts_nothing():
    counts = np.array([[5, 0], [10, 0]])
    assert metrics.threshold_at(counts, 0.1) == -1
    assert metrics.tpr_at(counts, 0.1) == 0
    assert metrics.auc(counts) == 0.5
    assert metrics.best_f1(counts) == (pytest.approx(10 / 20), 0)


def test_best_f1_and_equal_error_rate_by_hand():
    assert metrics.best_f1(COUNTS) == (0.75, 1)
    # Between thresholds 1 and 3 the gap fpr - (1 - tpr) goes from 1/6 - 1/4 = -1/12 to 1/2:
    # it is zero a seventh of the way.
    assert metrics.equal_error_rate(COUNTS) == pytest.approx(1 / 6 + (1 / 2 - 1 / 6) / 7)
    assert metrics.equal_error_rate(np.array([[3, 0], [0, 3]])) == 0


def test_no_pairs_no_scores():
    for counts in (
        np.zeros((2, 5), int),
        np.array([[1, 0, 0], [0, 0, 0]]),
        np.array([[0, 0, 0], [1, 0, 0]]),
    ):
        assert np.isnan(metrics.auc(counts))
        assert np.isnan(metrics.equal_error_rate(counts))
    assert np.isnan(metrics.best_f1(np.zeros((2, 5), int))[0])


@pytest.mark.parametrize("seed", range(4))
def test_pairs_agree_with_scikit_learn(seed):
    packed, labels = random_set(seed, flips=12)
    counts = brute_counts(packed, labels)
    truth, score = as_scores(counts)
    assert metrics.auc(counts) == pytest.approx(roc_auc_score(truth, score))
    fpr, tpr, thresholds = roc_curve(truth, score, drop_intermediate=False)
    curve = metrics.roc(counts)
    np.testing.assert_allclose(curve["fpr"], fpr)
    np.testing.assert_allclose(curve["tpr"], tpr)
    np.testing.assert_array_equal(curve["threshold"][1:], -thresholds[1:])
    for row in curve[1:].itertuples():
        accepted = -score <= row.threshold
        assert row.precision == pytest.approx(precision_score(truth, accepted))
        assert row.recall == pytest.approx(recall_score(truth, accepted))
        assert row.f1 == pytest.approx(f1_score(truth, accepted))
    assert metrics.tpr_at(counts, 0.05) == pytest.approx(tpr[fpr <= 0.05].max())


def test_query_counts_by_hand():
    packed = np.zeros((4, 8), np.uint8)
    packed[1, 0], packed[2, 0], packed[3, 0] = 0b1, 0b11, 0b111
    counts = metrics.query_counts(
        packed[:1], ["a"], packed, ["a", "a", "b", "a"], itself=np.array([0])
    )
    np.testing.assert_array_equal(np.argwhere(counts), [[0, 0, 1], [0, 0, 3], [0, 1, 2]])
    # Images of the family come first and third: precision 1 at the first, 2/3 at the second.
    assert metrics.mean_average_precision(counts) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.recall_at(counts, 1) == 1
    with_itself = metrics.query_counts(packed[:1], ["a"], packed, ["a", "a", "b", "a"])
    assert with_itself[0, 0, 0] == 1  # nothing is left out unless asked


def test_recall_counts_the_chance_where_images_tie():
    counts = np.zeros((1, 2, 9), np.int64)
    counts[0, 0, 2], counts[0, 1, 2] = 1, 2  # one of the family among three at the same distance
    assert [metrics.recall_at(counts, k) for k in (1, 2, 3, 9)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1]
    )
    counts[0, 1, 1] = 1  # an unrelated image before them
    assert [metrics.recall_at(counts, k) for k in (1, 2, 3, 4)] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1]
    )


def test_search_without_others_of_the_family_is_nan():
    counts = np.zeros((3, 2, 9), np.int64)
    counts[:, 1, 4] = 1
    assert np.isnan(metrics.recall_at(counts, 1))
    assert np.isnan(metrics.mean_average_precision(counts))


@pytest.mark.parametrize("seed", range(3))
def test_search_agrees_with_scikit_learn_and_with_sorting(seed):
    packed, labels = random_set(seed, families=8, per_family=9, flips=14)
    everyone = np.arange(len(labels))
    counts = metrics.query_counts(packed, labels, packed, labels, itself=everyone)
    bits = np.unpackbits(packed, axis=1)
    distance = (bits[:, None] != bits[None]).sum(axis=2)
    expected, hits, rng = [], [], np.random.default_rng(seed)
    for i in everyone:
        others = everyone != i
        expected.append(average_precision_score(labels[others] == labels[i], -distance[i, others]))
        for _ in range(300):
            order = np.lexsort((rng.random(others.sum()), distance[i, others]))
            hits.append((labels[others] == labels[i])[order[:2]].any())
    assert metrics.mean_average_precision(counts) == pytest.approx(np.mean(expected))
    assert metrics.recall_at(counts, 2) == pytest.approx(np.mean(hits), abs=0.01)
    np.testing.assert_array_equal(counts.sum(axis=0), 2 * brute_counts(packed, labels))


def test_evaluate_gives_its_columns_in_order():
    packed, labels = random_set(5, families=20, per_family=5)
    row = metrics.evaluate(packed, labels, "phash64", 64)
    start = [
        "hasher",
        "bits",
        "distance",
        "images",
        "families",
        "auc",
        "eer",
        "tpr_1e-6",
        "tpr_1e-5",
        "tpr_1e-4",
        "tpr_1e-3",
    ]
    assert list(row)[: len(start)] == start
    assert {
        "threshold_1e-4",
        "best_f1",
        "threshold_f1",
        "recall_at_1",
        "recall_at_5",
        "map",
    } <= set(row)
    counts = brute_counts(packed, labels)
    assert (row["auc"], row["tpr_1e-2"]) == pytest.approx(
        (metrics.auc(counts), metrics.tpr_at(counts, 1e-2))
    )
    assert np.isnan(row["tpr_1e-4"])  # 4,750 pairs are too few for 1 in 10,000
    assert metrics.evaluate(packed, labels, "phash64", 64, max_queries=10)["auc"] == row["auc"]
    with pytest.raises(
        ValueError, match=r"100 labels and 256 bits need hashes of shape \(100, 32\)"
    ):
        metrics.evaluate(packed, labels, "find", 256)
