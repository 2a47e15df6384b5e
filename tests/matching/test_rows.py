"""The row distance against its definition, bit by bit, on thousands of drawn sets of hashes."""

import numpy as np
import pytest

from finlib.matching import rows
from finlib.matching.pairs import (
    distance_histogram,
    index_hashes,
    iter_pairs,
    neighbours,
    pairs_between,
    pairs_within,
)
from finlib.matching.rows import CAP, ROWS, WEIGHT, RowDistance, row_distances


def draw(rng, n, size, flat=0.1):
    """Hashes of `size` bytes, some of them near copies, with flat and with nearly flat rows."""
    packed = rng.integers(0, 256, (n, size), dtype=np.uint8)
    copies = n // 2
    noise = rng.integers(0, 256, (copies, size)) * (rng.random((copies, size)) < 0.1)
    packed[:copies] = packed[n - copies :] ^ noise.astype(np.uint8)
    words = packed[:, size - 32 :].view(np.uint16)
    kind = rng.random(words.shape)
    words[kind < flat] = 0
    words[(kind >= flat) & (kind < 1.5 * flat)] = 0xFFFF
    words[(kind >= 1.5 * flat) & (kind < 2 * flat)] = 1
    packed[:, size - 32 :] = words.view(np.uint8)
    return packed


def defined(one, other):
    """The distances from every hash of one set to every one of the other, by the definition."""
    rows_ = row_distances(one[:, None, -32:], other[None, :, -32:])
    if one.shape[1] == 32:
        return rows_
    bits = np.bitwise_count(one[:, None, :-32] ^ other[None, :, :-32]).sum(axis=2, dtype=np.int64)
    return WEIGHT * rows_ + bits


def by_hand(one, other):
    """The distance of two dHashes, from their bits, one at a time."""
    total = 0
    for a, b in zip(
        np.unpackbits(one).reshape(16, 16), np.unpackbits(other).reshape(16, 16), strict=True
    ):
        is_flat = a.sum() in (0, 16) or b.sum() in (0, 16)
        total += CAP if is_flat else min(CAP, int((a != b).sum()))
    return total


def test_the_definition_is_what_it_says():
    packed = draw(np.random.default_rng(1), 40, 32)
    found = row_distances(packed[:, None], packed[None])
    assert found.tolist() == [[by_hand(one, other) for other in packed] for one in packed]


def test_a_covered_row_counts_at_most_the_cap():
    one = np.tile(np.frombuffer(b"\x0f\x35", np.uint8), 16)
    other = one.copy()
    other[:4] ^= 0xFF  # two rows, all of their bits
    assert row_distances(one, other) == 2 * CAP
    assert row_distances(one, one) == 0


def test_flat_hashes_are_far_from_everything_themselves_included():
    flat = np.zeros(32, np.uint8)
    assert row_distances(flat, flat) == ROWS * CAP
    one = np.tile(np.frombuffer(b"\x0f\x35", np.uint8), 16)
    assert row_distances(flat, one) == ROWS * CAP


def test_the_triangle_inequality_holds():
    rng = np.random.default_rng(2)
    packed = draw(rng, 60, 32, flat=0.3)
    distance = row_distances(packed[:, None], packed[None])
    assert (distance == distance.T).all()
    assert (distance[:, None, :] <= distance[:, :, None] + distance[None]).all()


@pytest.mark.parametrize("size", [32, 40, 64])
def test_pairs_are_those_of_the_definition_on_thousands_of_sets(size):
    """3,500 sets of each length, around whole blocks, with no flat rows, some, and many."""
    rng = np.random.default_rng(size)
    largest = RowDistance.of(size).largest
    for case in range(3500):
        n = int(
            rng.choice([0, 1, 2, 3, 7, 16, 63, 64, 65, 66], p=[0.05] * 2 + [0.15] * 4 + [0.075] * 4)
        )
        packed = draw(rng, n, size, flat=float(rng.choice([0, 0.1, 0.5])))
        radius = int(rng.integers(0, largest + 1))
        i, j, distance = pairs_within(packed, radius, workers=1, distance="rows")
        expected = defined(packed, packed)
        wanted_i, wanted_j = np.nonzero(np.triu(expected <= radius, 1))
        assert i.tolist() == wanted_i.tolist(), case
        assert j.tolist() == wanted_j.tolist(), case
        assert distance.tolist() == expected[wanted_i, wanted_j].tolist(), case


@pytest.mark.parametrize("size", [32, 64])
def test_two_sets_neighbours_and_histograms(size):
    rng = np.random.default_rng(7)
    packed = draw(rng, 700, size)
    others = np.concatenate([draw(rng, 130, size), packed[:50]])
    expected = defined(packed, others)
    radius = 30 if size == 32 else 150
    i, j, distance = pairs_between(packed, others, radius, distance="rows")
    assert (i.tolist(), j.tolist()) == tuple(
        part.tolist() for part in np.nonzero(expected <= radius)
    )
    assert distance.tolist() == expected[i, j].tolist()
    blocks = list(iter_pairs(packed, others, radius, workers=2, distance="rows"))
    assert np.concatenate([block.j for block in blocks]).tolist() == j.tolist()
    nearest = neighbours(others, packed, k=3, distance="rows")
    order = np.lexsort((np.broadcast_to(np.arange(700), expected.T.shape), expected.T))[:, :3]
    assert nearest.indices.reshape(-1, 3).tolist() == order.tolist()
    index = index_hashes(packed, distance="rows")
    again = neighbours(others[:9], index, k=3, distance="rows")
    assert again.indices.tolist() == nearest.indices[:27].tolist()
    counts = distance_histogram(packed, distance="rows")
    pairs = defined(packed, packed)[np.triu_indices(700, 1)]
    assert (
        counts.tolist() == np.bincount(pairs, minlength=RowDistance.of(size).largest + 1).tolist()
    )


def test_lengths_that_have_no_rows_are_refused():
    with pytest.raises(ValueError, match="a dHash of 256 bits is needed"):
        pairs_within(np.zeros((3, 8), np.uint8), 3, distance="rows")
    with pytest.raises(ValueError, match="distance must be one of hamming, rows; got 'row'"):
        pairs_within(np.zeros((3, 32), np.uint8), 3, distance="row")
    with pytest.raises(ValueError, match="radius must be from 0 to 48"):
        pairs_within(np.zeros((3, 32), np.uint8), 49, distance="rows")


def test_an_index_knows_the_distance_that_it_was_made_for():
    packed = draw(np.random.default_rng(3), 20, 32)
    with pytest.raises(ValueError, match="index was made for the distance 'hamming'"):
        neighbours(packed, index_hashes(packed), k=1, distance="rows")


def test_rows_is_named_in_the_table_of_distances():
    assert rows.RowDistance(32).largest == 256 + WEIGHT * ROWS * CAP
