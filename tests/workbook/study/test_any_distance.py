"""Scores of distances that have no kernel, against those that finlib computes."""

import numpy as np
import pytest

from finlib.scoring.histograms import pair_counts
from workbook.study import any_distance, evidence, rivals


@pytest.fixture
def labelled():
    """Hashes of 60 families of three, and their labels, in mixed order."""
    rng = np.random.default_rng(3)
    centres = rng.integers(0, 256, (60, 32), dtype=np.uint8)
    hashes = np.repeat(centres, 3, axis=0)
    hashes[:, 5] ^= rng.integers(0, 256, len(hashes), dtype=np.uint8)
    labels = np.repeat([f"{number:04d}" for number in range(60)], 3)
    order = rng.permutation(len(hashes))
    return hashes[order], labels[order]


def known(name):
    return next(one for one in rivals.rivals() if one.name == name)


@pytest.mark.parametrize("name", ["find", "dhash256-rows"])
def test_counts_and_closest_families_are_those_of_finlib(labelled, name):
    hashes, labels = labelled
    rival = known(name)
    counted = any_distance.count_levels(hashes, labels, rival.between, rival.largest, 1)
    distance = evidence.distance_of(name)
    expected = pair_counts(hashes, labels, distance=distance)
    level_of = any_distance.to_levels(np.arange(expected.shape[1]), rival.largest)
    assert counted.same.sum(axis=0)[level_of].tolist() == expected[0].tolist()
    assert counted.different.sum(axis=(0, 1))[level_of].tolist() == expected[1].tolist()
    assert counted.same.sum() == 60 * 3
    closest = evidence.closest_of_families(hashes, list(labels), distance)
    assert sorted(counted.closest) == sorted(level_of[closest])


def test_the_tpr_is_that_of_the_evidence_rule(labelled):
    hashes, labels = labelled
    rival = known("find")
    counted = any_distance.count_levels(hashes, labels, rival.between, rival.largest, 1)
    scored = any_distance.score(counted, (1e-2,), 1)
    expected = evidence.tpr_at_realised(pair_counts(hashes, labels), 1e-2)
    assert scored["tpr"][0] == pytest.approx(expected)
    assert scored["low"][0] <= scored["tpr"][0] <= scored["high"][0]


def test_a_distance_beyond_the_largest_is_an_error():
    with pytest.raises(ValueError, match="at most 1"):
        any_distance.to_levels(np.array([[1.5]]), 1)
