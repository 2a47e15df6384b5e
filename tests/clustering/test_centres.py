"""Centres of clusters by hand, and clusters split where two halves are far apart."""

from itertools import pairwise

import numpy as np
import pytest

from finlib.clustering import centres
from finlib.matching.hamming import Hamming


def around(template, count, noise, rng):
    """Copies of a template uint8[bits] with random bits flipped: uint8[count, bits // 8]."""
    return np.packbits(template ^ (rng.random((count, len(template))) < noise), axis=1)


def test_majority_by_hand():
    packed = np.array(
        [[0b11110000], [0b11000000], [0b10000001], [0b00001111], [0b01000000]], np.uint8
    )
    found = centres.majority_bits(packed, *centres.group_rows(np.array([0, 0, 0, 1, 1])))
    # Three votes decide by two; a tie of two goes with the first image of the cluster.
    assert found.tolist() == [[0b11000000], [0b00001111]]


def test_groups_of_no_rows():
    order, start = centres.group_rows(np.empty(0, np.int64))
    assert (order.tolist(), start.tolist()) == ([], [0])


@pytest.mark.parametrize("apart", [40, 100])
def test_a_cluster_is_split_into_the_families_farther_apart_than_that(apart):
    rng = np.random.default_rng(4)
    first = rng.integers(0, 2, 256, dtype=np.uint8)
    second, third = first.copy(), 1 - first
    second[:60] ^= 1
    sets = [around(template, 20, 0.08, rng) for template in (first, second, third)]
    packed = np.concatenate([around(first, 30, 0.08, rng), *sets, around(third, 5, 0.08, rng)])
    family = np.repeat([0, 1, 2, 3, 3], [30, 20, 20, 20, 5])
    given = np.repeat([0, 1, 2], [30, 60, 5])
    order, start = centres.group_rows(given)
    given_order = order.copy()
    groups = centres.split_groups(packed, order, start, apart, Hamming(32))
    families = [set(family[groups.order[a:b]].tolist()) for a, b in pairwise(groups.start)]
    assert (families[0], families[-1]) == ({0}, {3})  # groups of one family stay as they are
    expected = [[1], [2], [3]] if apart == 40 else [[1, 2], [3]]
    assert sorted(map(sorted, families[1:-1])) == expected
    assert sorted(groups.order.tolist()) == list(range(len(packed)))
    assert order.tolist() == given_order.tolist()


def test_a_few_strays_are_not_split_off():
    rng = np.random.default_rng(5)
    template = rng.integers(0, 2, 256, dtype=np.uint8)
    packed = np.concatenate(
        [
            around(template, 40, 0.05, rng),
            around(1 - template, centres.SMALLEST_HALF - 1, 0.05, rng),
        ]
    )
    order, start = centres.group_rows(np.zeros(len(packed), np.int64))
    groups = centres.split_groups(packed, order, start, 60, Hamming(32))
    assert groups.start.tolist() == [0, len(packed)]


def test_copies_are_never_split():
    order, start = centres.group_rows(np.zeros(50, np.int64))
    groups = centres.split_groups(np.full((50, 32), 7, np.uint8), order, start, 0, Hamming(32))
    assert groups.start.tolist() == [0, 50]
