"""FAISS's indexes against the exact scan; multi-index hashing by hand arithmetic."""

import math

import numpy as np
import pytest

from finlib.matching.pairs import neighbours, pairs_within
from workbook.study import faiss_indexes

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def packed():
    rng = np.random.default_rng(2)
    template = rng.integers(0, 2, (40, 256), dtype=np.uint8).repeat(10, 0)
    return np.packbits(template ^ (rng.random((400, 256)) < 0.12), axis=1)


def test_exact_indexes_find_everything_and_the_others_most(packed):
    table = faiss_indexes.compare(packed, packed[::7], 80).set_index("index")
    assert list(table.index) == list(faiss_indexes.INDEXES)
    assert (table.loc[["exact scan", "FAISS flat"], "recall"] == 1).all()
    assert table.loc["FAISS HNSW", "recall"] > 0.9
    assert table["recall"].between(0, 1).all()
    assert (table["p50_ms"] <= table["p99_ms"]).all()
    assert (table["mib"] >= 400 * 32 / 2**20).all()


def test_multi_index_hashing_is_exact_where_it_may_flip_enough(packed):
    table = faiss_indexes.compare(packed, packed[::7], 40, ["FAISS multi-hash"])
    assert table["recall"].item() == 1


def test_faiss_finds_the_same_pairs(packed):
    found = faiss_indexes.as_pairs(faiss_indexes.faiss_pairs(packed, 75)())
    for column, wanted in zip(found, pairs_within(packed, 75), strict=True):
        np.testing.assert_array_equal(column, wanted)


def test_pruning_by_hand():
    stored = np.array([[0, 0], [0b111, 0b1111], [0b1111, 0b11111], [255, 0]], np.uint8)
    table = faiss_indexes.pruning(stored, stored[:1], [0, 2, 6, 9, 16], piece=8).set_index("radius")
    assert table["flips"].tolist() == [0, 1, 3, 4, 8]
    assert table["probes"].tolist() == [
        2,
        2 * 9,
        2 * (1 + 8 + 28 + 56),
        2 * (1 + 8 + 28 + 56 + 70),
        512,
    ]
    assert table["candidates"].tolist() == [0.5, 0.5, 0.75, 1, 1]


def test_candidates_hold_every_neighbour(packed):
    for radius in (20, 60, 90):
        share = faiss_indexes.pruning(packed, packed[:50], [radius])["candidates"].item()
        found = neighbours(packed[:50], packed, radius=radius)
        assert share >= len(found.indices) / (50 * 400)


def test_probes_of_the_working_radius_outnumber_the_pieces_values():
    row = faiss_indexes.pruning(
        np.zeros((1, 32), np.uint8), np.zeros((1, 32), np.uint8), [70]
    ).iloc[0]
    assert row["probes"] == 16 * sum(math.comb(16, k) for k in range(5))


def test_pieces_must_fit():
    with pytest.raises(ValueError, match="pieces of 64 bits do not make up hashes of 72"):
        faiss_indexes.pruning(np.zeros((2, 9), np.uint8), np.zeros((1, 9), np.uint8), [3], piece=64)
