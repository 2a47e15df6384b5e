"""The least distance of every two families, by hand and against NumPy."""

import numpy as np
import pytest

from finlib.matching.distances import get_distance
from finlib.scoring.histograms import pair_counts
from workbook.study import family_pairs


def test_the_least_distances_by_hand() -> None:
    packed = np.array([[0b0], [0b11], [0b1], [0b111], [0b11111111]], np.uint8)
    labels = ["0", "0", "1", "1", "2"]
    assert family_pairs.closest_of_families(packed, labels).tolist() == [1, 6, 5]


@pytest.mark.parametrize(("distance", "size"), [("hamming", 32), ("rows", 32), ("rows", 64)])
@pytest.mark.parametrize("workers", [1, 2])
def test_families_in_any_order_are_compared_as_numpy_does(
    distance: str, size: int, workers: int
) -> None:
    rng = np.random.default_rng(9)
    packed = rng.integers(0, 256, (300, size), dtype=np.uint8)
    labels = rng.integers(0, 70, 300)
    found = family_pairs.closest_of_families(packed, labels, distance, workers=workers)
    apart = get_distance(distance, size).between(packed[:, None], packed[None])
    names = np.unique(labels)
    expected = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            expected.append(apart[np.ix_(labels == one, labels == other)].min())
    assert found.tolist() == expected


@pytest.mark.parametrize(("distance", "radius"), [("hamming", 110), ("rows", 43), ("rows", -1)])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_closest_pairs_of_families_are_the_first_of_equally_close_ones(
    distance: str, radius: int, workers: int
) -> None:
    rng = np.random.default_rng(7)
    packed = rng.integers(0, 256, (200, 32), dtype=np.uint8)
    packed[150:] = packed[:50]  # equally close pairs
    labels = rng.integers(0, 40, 200)
    found = family_pairs.closest_pairs(packed, labels, radius, distance, workers=workers)
    apart = get_distance(distance, 32).between(packed[:, None], packed[None])
    expected: dict[tuple[int, int], tuple[int, int, int]] = {}
    for i in range(200):
        for j in range(i + 1, 200):
            if labels[i] == labels[j] or apart[i, j] > radius:
                continue
            families = (min(labels[i], labels[j]), max(labels[i], labels[j]))
            pair = (int(apart[i, j]), i, j)
            expected[families] = min(expected.get(families, pair), pair)
    rows = zip(found.distance.tolist(), found.i.tolist(), found.j.tolist(), strict=True)
    assert sorted(rows) == sorted(expected.values())


OTHER_LABELS = {
    "as they are": lambda labels: labels.copy(),
    "some moved": lambda labels: np.where(np.arange(300) % 17 == 0, (labels + 3) % 40, labels),
    "two merged": lambda labels: np.where(labels == 7, 8, labels) + 100,
    "one split": lambda labels: np.where((labels == 5) & (np.arange(300) % 3 > 0), 99, labels),
    "all anew": lambda labels: np.arange(300) // 11,
    "texts": lambda labels: np.array([f"{(label + 1) % 40:04d}" for label in labels], object),
}


@pytest.mark.parametrize("kind", OTHER_LABELS)
@pytest.mark.parametrize(("distance", "size"), [("hamming", 32), ("rows", 64)])
def test_pairs_recounted_are_those_counted_under_the_other_labels(
    kind: str, distance: str, size: int
) -> None:
    rng = np.random.default_rng(11)
    packed = rng.integers(0, 256, (300, size), dtype=np.uint8)
    labels = rng.integers(0, 40, 300)
    other = OTHER_LABELS[kind](labels)
    counts = pair_counts(packed, labels, distance=distance)
    found = family_pairs.recount(counts, packed, labels, other, distance)
    assert np.array_equal(found, pair_counts(packed, other, distance=distance))


def test_only_images_that_change_their_family_are_compared() -> None:
    family = np.array([0, 0, 0, 1, 1, 2])
    other = np.array([5, 5, 4, 4, 4, 5])
    assert np.flatnonzero(family_pairs._moved(family, other)).tolist() == [2, 5]


def test_pairs_of_families_beyond_the_radius_get_the_largest_distance() -> None:
    rng = np.random.default_rng(9)
    packed = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    labels = rng.integers(0, 70, 300)
    every = family_pairs.closest_of_families(packed, labels)
    near = family_pairs.closest_of_families(packed, labels, radius=104)
    assert 0 < (every <= 104).sum() < len(every)
    assert np.array_equal(near, np.where(every <= 104, every, 256))
