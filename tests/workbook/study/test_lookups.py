"""Look-ups are measured by both ways, and wrong answers stop the measurement."""

import numpy as np
import pytest

from finlib.matching.pairs import Neighbours, neighbours
from workbook.study import captioned_web, lookups


@pytest.fixture(scope="module")
def measured():
    """Random families whose images differ in a few rows."""
    rng = np.random.default_rng(5)
    templates = rng.integers(0, 256, (40, 32), dtype=np.uint8)
    labels = np.repeat(np.arange(40), 6)
    packed = templates[labels]
    packed[:, :8] ^= rng.integers(0, 256, (240, 8), dtype=np.uint8)
    return captioned_web.measure(packed, labels)


def found_of(*queries):
    """Neighbours of queries, each given as pairs of a row and a distance."""
    indptr = np.cumsum([0, *map(len, queries)])
    row, distance = np.array([pair for query in queries for pair in query], int).reshape(-1, 2).T
    return Neighbours(indptr, row, distance.astype(np.int32))


def test_both_ways_are_measured(measured, monkeypatch):
    monkeypatch.setattr(lookups, "SECONDS", 0.05)
    monkeypatch.setattr(lookups, "SAMPLE", 150)
    table = lookups.measure(3000, measured, 14, batches=(1, 50), queries=200)
    assert table.columns.tolist() == lookups.COLUMNS
    assert table["way"].tolist() == ["exact", "exact", "row keys", "row keys"]
    assert table["batch"].tolist() == [1, 50, 1, 50]
    assert (table["calls"] >= 1).all()
    assert (table["p50_us"] <= table["p99_us"]).all()
    assert (table["sample"] == 150).all()
    assert table["pairs"].nunique() == 1
    assert table["pairs"].iat[0] > 0
    assert (table.loc[table["way"] == "exact", ["recall", "answered"]] == 1).all(axis=None)
    assert table["recall"].between(0.9, 1).all()
    assert (table["mib"] >= 3000 * 32 / 2**20).all()


def test_a_batch_that_would_take_too_long_is_left_out(measured, monkeypatch):
    monkeypatch.setattr(lookups, "MOST_SECONDS", 0.0)
    table = lookups.measure(300, measured, 14, batches=(1, 50), queries=100)
    assert table["batch"].tolist() == [1, 1]


def test_among_very_many_the_exact_engine_answers_the_sample_in_parts(measured, monkeypatch):
    monkeypatch.setattr(lookups, "MOST", 5)
    stored = captioned_web.draw(1000, measured)[0]
    asked = stored[:90]
    expected = neighbours(asked, stored, k=5, radius=14, distance="rows")
    monkeypatch.setattr(lookups, "MOST_LAID_OUT", 300)
    for column, wanted in zip(lookups.find_exactly(asked, stored, 14), expected, strict=True):
        np.testing.assert_array_equal(column, wanted)
    table = lookups.measure(1000, measured, 14, batches=(1,), queries=100)
    assert table["way"].tolist() == ["row keys"]


def test_a_batch_needs_as_many_queries(measured):
    with pytest.raises(ValueError, match="a batch of 50 needs as many queries; got 20"):
        lookups.measure(300, measured, 14, batches=(50,), queries=20)


@pytest.mark.parametrize("fault", ["distance", "row", "radius", "twice"])
def test_wrong_answers_are_noticed(fault):
    rng = np.random.default_rng(6)
    stored = rng.integers(0, 256, (30, 32), dtype=np.uint8)
    found = neighbours(stored[:5], stored, k=2, distance="rows")
    lookups.check(found, stored[:5], stored, 48)
    radius = 48
    if fault == "distance":
        found.distance[1] -= 1
    if fault == "row":
        found.indices[0] = 9
    if fault == "radius":
        radius = 20
    if fault == "twice":
        found.indices[1] = found.indices[0]
        found.distance[1] = found.distance[0]
    with pytest.raises(RuntimeError, match="not near the query"):
        lookups.check(found, stored[:5], stored, radius)


def test_shares_by_hand():
    exact = found_of([(3, 1), (4, 2), (5, 2), (8, 6)], [], [(1, 0)])
    found = found_of([(5, 2), (9, 7)], [], [])
    assert lookups.share_found(found, exact) == 1 / 5
    assert lookups.share_answered(found, exact) == 1 / 2
    nothing = found_of([], [], [])
    assert lookups.share_found(nothing, nothing) == 1
    assert lookups.share_answered(nothing, nothing) == 1
