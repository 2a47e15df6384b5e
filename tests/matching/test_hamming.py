"""The kernels alone: the bounds that mark candidates, and the matches for every fold."""

import numpy as np
import pytest
from numba import njit

from finlib.matching import hamming
from finlib.matching.distances import get_distance
from finlib.matching.packed import BLOCK, to_blocks

METHODS = [
    ("hamming", 8),
    ("hamming", 13),
    ("hamming", 32),
    ("rows", 32),
    ("rows", 40),
    ("rows", 64),
]


@njit
def mark(queries, blocks, b, limits, width, fold):
    marks = np.empty(len(queries), np.uint64)
    hamming.mark_candidates(queries, blocks, b, limits, width, fold, marks)
    return marks


def draw(rng, n, size):
    """Hashes of `size` bytes, some of them near copies, some with flat rows."""
    packed = rng.integers(0, 256, (n, size), dtype=np.uint8)
    copies = n // 2
    changed = rng.random((copies, size)) < rng.choice([0.02, 0.1, 0.3])
    packed[:copies] = packed[n - copies :] ^ np.where(changed, packed[:copies], 0)
    packed[rng.random(n) < 0.2, -6:] = rng.choice([0, 255])
    return packed


@pytest.mark.parametrize(("name", "size"), METHODS)
def test_bounds_are_never_larger_than_distances(name, size):
    packed = draw(np.random.default_rng(1), 200, size)
    distance = get_distance(name, size)
    exact = distance.between(packed[:, None], packed[None])
    bounds = list(distance.bounds(packed))
    assert len(bounds) == max(1, distance.fold_words)
    for bound in bounds:
        assert (bound <= exact).all()
    if name == "hamming":
        assert (bounds[-1] == exact).all()


@pytest.mark.parametrize(("name", "size"), METHODS)
def test_hashes_are_marked_where_their_bound_is_within_the_limit_of_each_query(name, size):
    rng = np.random.default_rng(2)
    packed = draw(rng, BLOCK, size)
    distance = get_distance(name, size)
    queries = distance.query_words(packed)
    blocks = to_blocks(distance.stored_words(packed))
    limits = rng.integers(-1, distance.largest + 1, BLOCK)
    for fold, bounds in enumerate(distance.bounds(packed), start=1):
        marks = mark(queries, blocks, 0, limits, distance.width, (0,) * fold)
        bits = np.unpackbits(marks.view(np.uint8), bitorder="little").reshape(BLOCK, BLOCK)
        np.testing.assert_array_equal(bits, bounds <= limits[:, None])


@pytest.mark.parametrize(("name", "size"), METHODS)
def test_matches_are_those_of_the_definition_for_every_fold(name, size):
    """300 sets for each method, around whole blocks."""
    rng = np.random.default_rng(3)
    distance = get_distance(name, size)
    for case in range(300):
        n = int(rng.choice([1, 2, 31, 32, 33, 63, 64, 65, 130]))
        packed = draw(rng, n, size)
        others = draw(rng, int(rng.integers(0, 5)), size)
        radius = int(rng.choice([0, rng.integers(0, distance.largest + 1), distance.largest]))
        exact = distance.between(others[:, None], packed[None])
        query, number = np.nonzero(exact <= radius)
        for fold in range(1, max(1, distance.fold_words) + 1):
            matches = distance.matches(
                distance.query_words(others),
                to_blocks(distance.stored_words(packed)),
                n,
                radius,
                first=0,
                within_set=False,
                fold=fold,
                capacity=1000,
            )
            assert matches.query.tolist() == query.tolist(), (case, fold)
            assert matches.number.tolist() == number.tolist(), (case, fold)
            assert matches.distance.tolist() == exact[query, number].tolist(), (case, fold)


def test_too_many_matches_are_reported():
    distance = get_distance("hamming", 8)
    packed = np.zeros((65, 8), np.uint8)
    words = distance.query_words(packed)
    arguments = {"first": 0, "within_set": True, "fold": 1}
    blocks = to_blocks(words)
    assert distance.matches(words, blocks, 65, 0, capacity=65 * 32 - 1, **arguments) is None
    assert len(distance.matches(words, blocks, 65, 0, capacity=65 * 32, **arguments).query) == 2080
