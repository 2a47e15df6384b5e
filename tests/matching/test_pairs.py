"""The exact engine against brute force, on random and on adversarial sets of hashes."""

import tracemalloc

import numpy as np
import pytest
from hash_sets import SETS, brute_distances, brute_pairs, random_set
from hypothesis import given, settings, strategies as st

from finlib.matching import pairs
from finlib.matching.hamming import Hamming
from finlib.matching.pairs import (
    CAPACITY,
    Pairs,
    distance_histogram,
    estimate_pairs,
    index_hashes,
    iter_pairs,
    neighbours,
    pairs_between,
    pairs_within,
)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name == "1032 bits" else ()) for name in SETS
    ],
    scope="module",
)
def packed(request):
    return SETS[request.param]


@pytest.mark.parametrize("share", [0, 0.1, 0.28, 0.45, 1])
def test_pairs_are_those_of_brute_force(packed, share):
    radius = int(share * 8 * packed.shape[1])
    expected = brute_pairs(packed, radius)
    for workers in (1, 3):
        found = pairs_within(packed, radius, workers=workers)
        assert [column.dtype for column in found] == [np.int64, np.int64, np.int32]
        for column, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(column, wanted)


@given(st.integers(0, 140), st.integers(1, 33), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_pairs_of_any_size_and_length(n, size, share, seed):
    packed = random_set(n, 8 * size, seed)
    radius = int(share * 8 * size)
    for column, wanted in zip(
        pairs_within(packed, radius), brute_pairs(packed, radius), strict=True
    ):
        np.testing.assert_array_equal(column, wanted)


def test_a_strip_with_too_many_matches_is_cut(monkeypatch):
    packed = random_set(900, 64)
    whole = pairs_within(packed, 30)
    monkeypatch.setattr(pairs, "CAPACITY", 1000)
    for column, wanted in zip(pairs_within(packed, 30), whole, strict=True):
        np.testing.assert_array_equal(column, wanted)


@pytest.mark.parametrize(("radius", "words"), [(20, 1), (48, 1), (70, 2), (100, 4)])
def test_words_are_folded_where_that_tells_and_the_pairs_stay_the_same(radius, words):
    packed = random_set(1500, 256)
    packed[7:1000:3, :24] = packed[7, :24]  # near in all but the last word
    distance = np.bitwise_count(packed.view("u8")[:, None] ^ packed.view("u8")[None]).sum(-1)
    i, j = np.nonzero(np.triu(distance <= radius, 1))
    found = pairs_within(packed, radius)
    for column, wanted in zip(found, (i, j, distance[i, j]), strict=True):
        np.testing.assert_array_equal(column, wanted)
    rows = np.random.default_rng(0).integers(0, 2**63, (1500, 4), dtype=np.uint64)
    assert Hamming(32).choose_fold(rows.view(np.uint8), radius) == words


def test_blocks_of_pairs_concatenate_to_all_pairs():
    packed = random_set(2000, 64)
    blocks = list(iter_pairs(packed, None, 16))
    assert len(blocks) > 3
    for column, wanted in zip(zip(*blocks, strict=True), pairs_within(packed, 16), strict=True):
        np.testing.assert_array_equal(np.concatenate(column), wanted)


@pytest.mark.parametrize("others", [None, random_set(300, 64, seed=9)])
def test_pairs_of_some_rows_are_those_of_all_with_such_an_i(others):
    packed = random_set(1000, 64)
    whole = [np.concatenate(column) for column in zip(*iter_pairs(packed, others, 20), strict=True)]
    for rows in (range(0, 1000), range(37, 612), range(990, 1000), range(5, 5)):
        blocks = [Pairs(*(column[:0] for column in whole)), *iter_pairs(packed, others, 20, i=rows)]
        wanted = np.isin(whole[0], rows)
        assert wanted.any() or len(rows) <= 10
        for column, of_all in zip(zip(*blocks, strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(column), of_all[wanted])


def test_a_view_of_other_rows_or_columns_is_read_right():
    packed = random_set(120, 512)
    for view in (packed[::2, :32], packed[::-1], np.asfortranarray(packed)):
        for column, wanted in zip(pairs_within(view, 90), brute_pairs(view, 90), strict=True):
            np.testing.assert_array_equal(column, wanted)


def test_too_many_pairs_are_refused_before_they_are_found():
    packed = np.full((3000, 32), 7, np.uint8)
    refusal = r"radius 0 would give about 4,498,500 pairs, more than 1,000: take a smaller"
    with pytest.raises(ValueError, match=refusal):
        pairs_within(packed, 0, max_pairs=1000)


def test_too_many_pairs_are_refused_where_a_sample_misses_them():
    packed = np.random.default_rng(1).integers(0, 256, (20_000, 32), dtype=np.uint8)
    packed[5000:5050] = packed[0]
    assert estimate_pairs(packed, None, 0) < 1500
    with pytest.raises(ValueError, match=r"gives more than 1,000 pairs: take a smaller radius"):
        pairs_within(packed, 0, max_pairs=1000)


def test_the_estimate_is_exact_on_small_sets_and_close_on_larger_ones():
    packed = random_set(1000, 64)
    count = len(pairs_within(packed, 20)[0])
    assert estimate_pairs(packed, None, 20) == count
    assert estimate_pairs(packed, None, 20, sample=600) == pytest.approx(count, rel=0.2)


@pytest.mark.parametrize(("n", "bits", "radius"), [(30_000, 0, 0), (9000, 3, 10)])
def test_memory_is_bounded_where_everything_matches(n, bits, radius, monkeypatch):
    monkeypatch.setattr(pairs, "CAPACITY", 1 << 16)
    packed = np.zeros((n, 32), np.uint8)
    packed[:, 0] = np.random.default_rng(3).integers(0, 1 << bits, n)
    blocks, found = iter_pairs(packed, None, radius, workers=2), 0
    tracemalloc.start()
    for block in blocks:
        assert len(block.i) <= CAPACITY
        assert (np.diff(block.i * n + block.j) > 0).all()
        found += len(block.i)
        if found > 10_000_000:
            break
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert found > 10_000_000 or found == n * (n - 1) // 2


def test_the_estimate_sees_copies_and_two_sets():
    packed = random_set(20_000, 256)
    packed[:10_000] = packed[0]
    assert estimate_pairs(packed, None, 0) == pytest.approx(10_000 * 9999 / 2, rel=0.2)
    assert estimate_pairs(packed[:5], packed, 0) == 50_000


def test_pairs_between_two_sets_are_those_of_brute_force(packed):
    left = random_set(700, 8 * packed.shape[1], seed=3)
    for radius in (0, packed.shape[1] * 3, packed.shape[1] * 8):
        distance = brute_distances(left, packed)
        i, j = np.nonzero(distance <= radius)
        for column, wanted in zip(
            pairs_between(left, packed, radius), (i, j, distance[i, j]), strict=True
        ):
            np.testing.assert_array_equal(column, wanted)
    with pytest.raises(ValueError, match="bits and others has"):
        pairs_between(left, np.zeros((2, packed.shape[1] + 1), np.uint8), 3)


@pytest.mark.parametrize("k", [1, 3, 1000])
def test_nearest_neighbours_are_those_of_brute_force(packed, k):
    queries = random_set(37, 8 * packed.shape[1], seed=9)
    found = neighbours(queries, packed, k=k)
    for q, distance in enumerate(brute_distances(queries, packed)):
        mine = slice(found.indptr[q], found.indptr[q + 1])
        expected = np.argsort(distance, kind="stable")[:k]
        np.testing.assert_array_equal(found.indices[mine], expected)
        np.testing.assert_array_equal(found.distance[mine], distance[expected])


@pytest.mark.parametrize("k", [None, 2])
def test_neighbours_among_themselves_leave_themselves_out(packed, k):
    radius = packed.shape[1] * 3
    found = neighbours(packed, k=k, radius=radius, workers=2)
    distance = brute_distances(packed, packed)
    for q in range(len(packed)):
        order = np.argsort(distance[q], kind="stable")
        expected = order[(order != q) & (distance[q, order] <= radius)][:k]
        np.testing.assert_array_equal(
            found.indices[found.indptr[q] : found.indptr[q + 1]], expected
        )


def test_hashes_stored_for_many_searches_answer_the_same(packed):
    queries = random_set(9, 8 * packed.shape[1], seed=9)
    once = neighbours(queries, packed, k=4)
    for column, wanted in zip(neighbours(queries, index_hashes(packed), k=4), once, strict=True):
        np.testing.assert_array_equal(column, wanted)


def test_too_many_neighbours_are_refused_unless_k_bounds_them():
    packed = np.zeros((50, 8), np.uint8)
    refusal = r"radius 3 gives more than 2,449 neighbours: take a smaller radius, give k"
    with pytest.raises(ValueError, match=refusal):
        neighbours(packed, radius=3, max_pairs=2449)
    assert len(neighbours(packed, radius=3, max_pairs=2450).indices) == 2450
    assert len(neighbours(packed, radius=3, k=49, max_pairs=1).indices) == 2450


@pytest.mark.parametrize("k", [1, 7, np.uint8(200), 3000])
def test_nearest_of_many_keeps_the_closest_and_the_first_of_equals(k):
    queries, packed = random_set(20, 64, seed=1), random_set(6000, 64, seed=2)[::-1]
    found = neighbours(queries, packed, k=k)
    expected = np.argsort(brute_distances(queries, packed), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.indices.reshape(20, -1), expected)


def test_histograms_count_every_pair_once(packed):
    distance = brute_distances(packed, packed)[np.triu_indices(len(packed), 1)]
    for workers in (1, 3):
        counts = distance_histogram(packed, workers=workers)
        assert counts.dtype == np.int64
        np.testing.assert_array_equal(
            counts, np.bincount(distance, minlength=8 * packed.shape[1] + 1)
        )


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 32), np.int64), np.zeros((3, 256), bool), [[1, 2], [3, 4]], "abc"]
)
def test_hashes_must_be_packed_bytes(wrong):
    with pytest.raises(TypeError, match="must be a uint8 array of packed bits"):
        pairs_within(wrong, 3)


@pytest.mark.parametrize("shape", [(32,), (3, 0), (2, 3, 4)])
def test_hashes_must_be_rows(shape):
    with pytest.raises(ValueError, match="must have shape"):
        distance_histogram(np.zeros(shape, np.uint8))


def test_wrong_arguments_are_named():
    packed = random_set(10, 64)
    for radius in (-1, 65):
        with pytest.raises(ValueError, match="radius must be from 0 to 64"):
            pairs_within(packed, radius)
    with pytest.raises(TypeError):
        pairs_within(packed, 3.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs k, the number of neighbours, or radius"):
        neighbours(packed)
    with pytest.raises(ValueError, match="k must be at least 1"):
        neighbours(packed, k=0)
    with pytest.raises(ValueError, match="queries have 64 bits and packed has 256"):
        neighbours(packed, random_set(10, 256), k=1)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        pairs_within(packed, 3, workers=0)
