"""Searches by rows as keys find what comparing all hashes finds."""

import numpy as np
import pytest

from finlib.matching import pairs, row_keys
from finlib.matching.distances import get_distance
from finlib.matching.pairs import (
    choose_index,
    index_hashes,
    iter_pairs,
    neighbours,
    pairs_between,
)
from finlib.matching.row_keys import WholeRows, is_worth_sorting, largest_radius


def draw_families(n, size=32, seed=1):
    """Hashes in families whose images differ in few bits of every row; some rows are flat."""
    rng = np.random.default_rng(seed)
    originals = rng.integers(0, 256, (max(1, n // 4), size), dtype=np.uint8)
    packed = originals[rng.integers(0, len(originals), n)]
    for _ in range(3):
        flipped = (1 << rng.integers(0, 8, packed.shape)).astype(np.uint8)
        packed ^= np.where(rng.random(packed.shape) < 0.1, flipped, 0).astype(np.uint8)
    packed[::13, -32:-20] = 0
    packed[::19, -4:] = 255
    return packed


def spoil_rows(packed, seed=2):
    """Flip one bit in each of some rows, from none to all 16."""
    rng = np.random.default_rng(seed)
    spoilt = packed.copy()
    for number, dhash in enumerate(spoilt[:, -32:]):
        count = number % 17
        chosen = rng.permutation(16)[:count]
        rows = dhash.view(np.uint16)
        rows[chosen] ^= (1 << rng.integers(0, 16, count)).astype(np.uint16)
    return spoilt


def assert_same(found, expected):
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


@pytest.fixture
def always_by_rows(monkeypatch):
    monkeypatch.setattr(pairs, "is_worth_sorting", lambda *arguments: True)
    monkeypatch.setattr(WholeRows, "is_faster", lambda *arguments: True)


RADII = [(32, 0), (32, 15), (32, 16), (32, 18), (32, 31), (64, 47), (64, 48), (64, 56), (64, 95)]


@pytest.mark.parametrize(("size", "radius"), RADII)
@pytest.mark.parametrize("k", [None, 2])
def test_no_neighbour_is_missed(size, radius, k):
    stored = draw_families(3000, size)
    queries = spoil_rows(stored[:340])
    arguments = {"radius": radius, "k": k, "distance": "rows"}
    expected = neighbours(queries, index_hashes(stored, distance="rows"), **arguments)
    assert_same(neighbours(queries, WholeRows(stored), **arguments), expected)
    assert len(expected.indices) > 0


def test_pairs_that_differ_in_one_bit_of_every_row_are_found():
    stored = np.random.default_rng(4).integers(0, 256, (2000, 32), dtype=np.uint8)
    queries = stored[:100].copy()
    queries.view(np.uint16)[:] ^= np.uint16(1 << 5)
    found = neighbours(queries, WholeRows(stored), radius=16, distance="rows")
    assert found.indices.tolist() == list(range(100))
    assert found.distance.tolist() == [16] * 100
    found = WholeRows(stored).search(queries.view(np.uint64), 15, 1)
    assert found[0].sum() == 0


@pytest.mark.parametrize("k", [None, 3])
def test_a_hash_leaves_itself_out_among_its_own(always_by_rows, k):
    packed = draw_families(1500)
    packed[700:760] = packed[700]  # so many copies that they are compared with all
    found = neighbours(packed, radius=18, k=k, distance="rows")
    index = index_hashes(packed, distance="rows")
    most = None if k is None else k + 1
    with_itself = neighbours(packed, index, radius=18, k=most, distance="rows")
    query = np.repeat(np.arange(1500), np.diff(with_itself.indptr))
    is_other = with_itself.indices != query
    expected = [
        with_itself.indices[(query == number) & is_other][:k].tolist() for number in range(1500)
    ]
    got = np.split(found.indices, found.indptr[1:-1])
    assert [each.tolist() for each in got] == expected


def test_queries_with_large_buckets_are_compared_with_all():
    stored = draw_families(1000)
    stored[100:900] = stored[100]
    index = WholeRows(stored)
    counts = index.search(stored.view(np.uint64), 10, 1000)[0]
    assert (counts[100:900] == row_keys.LEFT_OUT).all()
    expected = neighbours(stored, index_hashes(stored, distance="rows"), radius=10, distance="rows")
    assert_same(neighbours(stored, index, radius=10, distance="rows"), expected)


@pytest.mark.parametrize("capacity", [100, 5000, 1 << 22])
@pytest.mark.parametrize("workers", [1, 3])
def test_pairs_between_sets_come_whole_and_in_order(monkeypatch, always_by_rows, capacity, workers):
    stored = draw_families(1500)
    stored[200:300] = stored[200]
    queries = spoil_rows(stored[:600])
    monkeypatch.setattr(pairs, "CAPACITY", capacity)
    found = pairs_between(queries, stored, 18, distance="rows", workers=workers)
    monkeypatch.setattr(pairs, "is_worth_sorting", lambda *arguments: False)
    assert_same(found, pairs_between(queries, stored, 18, distance="rows"))
    some = list(iter_pairs(queries, stored, 18, i=range(205, 300), distance="rows"))
    is_some = (found.i >= 205) & (found.i < 300)
    np.testing.assert_array_equal(np.concatenate([block.j for block in some]), found.j[is_some])


def test_nothing_and_one_hash_and_flat_pictures():
    nothing = np.empty((0, 32), np.uint8)
    one = draw_families(1)
    flat = np.zeros((40, 32), np.uint8)
    for stored in (nothing, one, flat):
        index = WholeRows(stored)
        expected_index = index_hashes(stored, distance="rows")
        for queries in (nothing, one, flat):
            for k in (None, 2):
                arguments = {"radius": 31, "k": k, "distance": "rows"}
                expected = neighbours(queries, expected_index, **arguments)
                assert_same(neighbours(queries, index, **arguments), expected)


def test_rows_are_sorted_only_where_that_saves_time_and_misses_nothing():
    distance = get_distance("rows", 32)
    assert largest_radius(distance) == 31
    assert largest_radius(get_distance("rows", 64)) == 95
    assert is_worth_sorting(10**6, 10**5, 18, distance)
    assert not is_worth_sorting(10**6, 10, 18, distance)
    assert not is_worth_sorting(1000, 10**5, 18, distance)
    assert not is_worth_sorting(10**6, 10**5, 32, distance)
    assert not is_worth_sorting(1 << 31, 10**5, 18, distance)


def test_what_is_chosen_follows_the_data():
    rng = np.random.default_rng(5)
    stored = rng.integers(0, 256, (60_000, 32), dtype=np.uint8)
    queries = stored[:20_000]
    by_rows = choose_index(stored, queries, 15, distance="rows")
    assert isinstance(by_rows, WholeRows)
    copies = np.repeat(stored[:1], 60_000, axis=0)
    for chosen in (
        choose_index(copies, copies[:20_000], 15, distance="rows"),
        choose_index(stored, queries, 32, distance="rows"),
        choose_index(stored, queries, 15),
        choose_index(stored, queries[:3], 15, distance="rows"),
    ):
        assert not isinstance(chosen, WholeRows)


def test_an_index_of_other_hashes_is_refused():
    index = WholeRows(draw_families(20))
    with pytest.raises(ValueError, match="queries have 512 bits and packed has 256"):
        neighbours(draw_families(3, 64), index, radius=9, distance="rows")
    with pytest.raises(ValueError, match="made for the distance 'rows', not 'hamming'"):
        neighbours(draw_families(3), index, radius=9)
    with pytest.raises(ValueError, match="cannot search beyond 31"):
        neighbours(draw_families(3), index, radius=32, distance="rows")
