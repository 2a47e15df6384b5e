"""Counted pairs against brute force, whatever the sets, the families and their groups."""

import numpy as np
import pytest
from hash_sets import SETS, brute_distances, random_set

from finlib.scoring import histograms


@pytest.mark.parametrize("kind", SETS)
def test_every_pair_is_counted_once_by_whether_its_families_are_one(kind):
    n, bits = len(SETS[kind]), 8 * SETS[kind].shape[1]
    distance = brute_distances(SETS[kind], SETS[kind])[np.triu_indices(n, 1)]
    family = np.array([f"f{i % 7}" for i in range(n)], dtype=object)
    alike = (family[:, None] == family[None, :])[np.triu_indices(n, 1)]
    for workers in (1, 3):
        counts = histograms.pair_counts(SETS[kind], family, workers=workers)
        np.testing.assert_array_equal(counts[0], np.bincount(distance[alike], minlength=bits + 1))
        np.testing.assert_array_equal(counts[1], np.bincount(distance[~alike], minlength=bits + 1))


@pytest.mark.parametrize("groups", [1, 5, 40, 200])
def test_family_histograms_are_those_of_the_families_in_each_group(groups):
    packed, family = random_set(700, 64), np.arange(700) * 17 % 40
    same, different = histograms.family_histograms(packed, family, groups=groups, seed=3)
    count = min(groups, 40)
    assert same.shape == (count, 65)
    assert different.shape == (count, count, 65)
    group = (np.random.default_rng(3).permutation(40) % count)[family]
    i, j = np.triu_indices(700, 1)
    distance = brute_distances(packed, packed)[i, j]
    expected = np.zeros_like(different)
    apart = family[i] != family[j]
    low, high = np.minimum(group[i], group[j]), np.maximum(group[i], group[j])
    np.add.at(expected, (low[apart], high[apart], distance[apart]), 1)
    np.testing.assert_array_equal(different, expected)
    within = np.zeros_like(same)
    np.add.at(within, (group[i][~apart], distance[~apart]), 1)
    np.testing.assert_array_equal(same, within)


def test_histograms_span_several_tiles():
    packed, family = random_set(9000, 8), np.arange(9000) // 30
    counts = np.bincount(packed[:, 0], minlength=256)
    popcount = np.bitwise_count(np.arange(256)[:, None] ^ np.arange(256)[None, :])
    ordered = np.bincount(popcount.ravel(), np.outer(counts, counts).ravel(), 9)
    expected = (ordered - np.eye(9)[0] * 9000) / 2
    np.testing.assert_array_equal(histograms.pair_counts(packed, family).sum(0), expected)


def test_wrong_arguments_are_named():
    packed = random_set(10, 64)
    with pytest.raises(TypeError, match="must be a uint8 array of packed bits"):
        histograms.pair_counts(packed.astype(np.int64), np.arange(10))
    with pytest.raises(ValueError, match="labels must give one family for each of the 10 hashes"):
        histograms.pair_counts(packed, [1, 2])
    with pytest.raises(ValueError, match="groups must be at least 1; got 0"):
        histograms.family_histograms(packed, np.arange(10), groups=0)
