import numpy as np
import pytest

from finlib.matching import nearest
from finlib.matching.distances import get_distance


@pytest.mark.parametrize("distance", ["hamming", "rows"])
@pytest.mark.parametrize("radius", [None, 20])
def test_part_by_part_gives_what_sorting_all_distances_gives(distance, radius, monkeypatch):
    monkeypatch.setattr(nearest, "PART", 64)
    rng = np.random.default_rng(3)
    packed = rng.integers(0, 256, (200, 32), dtype=np.uint8)
    packed[100:150] = packed[:50]
    packed[::7, :20] = 0  # flat rows: no hash is nearer to these than others are
    own = np.arange(0, 200, 3)
    found = nearest.nearest_hashes(packed[own], packed, own=own, radius=radius, distance=distance)
    between = get_distance(distance, 32).between(packed[own, None], packed[None])
    between[np.arange(len(own)), own] = 10_000
    order = np.argsort(between, axis=1, kind="stable")[:, 0]
    expected = between[np.arange(len(own)), order]
    is_near = expected <= (1000 if radius is None else radius)
    assert (found.distance[is_near] == expected[is_near]).all()
    assert (found.row[~is_near] == nearest.NONE).all()
    rows = np.arange(len(own))[is_near]
    assert (between[rows, found.row[is_near]] == expected[is_near]).all()


def test_the_only_hash_has_no_other():
    packed = np.array([[0], [1]], np.uint8)
    assert nearest.nearest_hashes(packed[:1], packed).row.tolist() == [0]
    found = nearest.nearest_hashes(packed[:1], packed[:1], own=np.array([0]))
    assert found.row.tolist() == [nearest.NONE]
    assert nearest.nearest_hashes(packed, packed[:0]).row.tolist() == [nearest.NONE] * 2
