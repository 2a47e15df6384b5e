"""Average linkage against SciPy's, and all other clusterings on sets with a known answer."""

from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from finlib.matching.pairs import distance_histogram
from workbook.study import clusterings


def families(count, size, noise, seed=1, bits=256):
    """Templates with random bits flipped: uint8[count * size, bits // 8] and their families."""
    rng = np.random.default_rng(seed)
    template = rng.integers(0, 2, (count, bits), dtype=np.uint8).repeat(size, 0)
    flips = rng.random((count * size, bits)) < noise
    order = rng.permutation(count * size)
    return np.packbits(template ^ flips, axis=1)[order], np.arange(count).repeat(size)[order]


def distances(packed, threshold):
    """Every distance, those over the threshold as half the bits."""
    bits = np.unpackbits(packed, axis=1)
    distance = (bits[:, None] != bits[None]).sum(-1)
    return np.where(distance > threshold, bits.shape[1] // 2, distance).astype(float)


def number_by_first_appearance(labels):
    """The same clusters numbered by first appearance, plainly."""
    number: dict[int, int] = {}
    return [number.setdefault(label, len(number)) for label in labels]


@pytest.mark.parametrize("method", clusterings.CLUSTERERS)
def test_clear_families_are_found(method):
    packed, family = families(30, 7, 0.08)
    labels = clusterings.cluster(packed, method, 72)
    assert labels.dtype == np.int64
    assert labels.tolist() == number_by_first_appearance(family)


@pytest.mark.parametrize("method", clusterings.CLUSTERERS)
def test_degenerate_sets(method):
    one = np.full((1, 32), 7, np.uint8)
    assert clusterings.cluster(one[:0], method).tolist() == []
    assert clusterings.cluster(one, method).tolist() == [0]
    assert clusterings.cluster(one.repeat(500, 0), method).tolist() == [0] * 500
    opposites = np.array([[0] * 32, [255] * 32], np.uint8)
    assert clusterings.cluster(opposites, method).tolist() == [0, 1]
    assert clusterings.cluster(opposites.repeat(5, 0), method).tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize("method", clusterings.CLUSTERERS)
def test_order_of_the_images_changes_only_the_numbers(method):
    packed, _ = families(25, 6, 0.17, seed=3)
    order = np.random.default_rng(0).permutation(len(packed))
    labels = clusterings.cluster(packed, method, 96, workers=1)
    of_shuffled = np.empty_like(labels)
    of_shuffled[order] = clusterings.cluster(packed[order], method, 96, workers=2)
    if method == "hdbscan":  # its spanning tree breaks ties by position
        assert adjusted_rand_score(labels, of_shuffled) > 0.9
    else:
        assert labels.tolist() == number_by_first_appearance(of_shuffled)


@pytest.mark.parametrize(
    ("threshold", "noise"), [(60, 0.1), (96, 0.16), (110, 0.2), (118, 0.25), (126, 0.3)]
)
def test_average_linkage_is_scipys_on_the_same_distances(threshold, noise):
    # Irregular weights leave no ties, which the two would break differently.
    rng = np.random.default_rng(threshold)
    packed, _ = families(12, 15, noise, seed=threshold)
    distance = distances(packed, threshold)
    i, j = np.nonzero(np.triu(distance < 128, 1))
    spread = distance * 1_000_000
    spread[i, j] += rng.integers(-400_000, 400_000, len(i))
    spread = np.triu(spread, 1) + np.triu(spread, 1).T
    weight = (128_000_000 - spread[i, j]).astype(np.int64)
    floor = (128 - threshold) * 1e6
    found = clusterings.average_links(np.ones(len(packed), np.int64), i, j, weight, floor)
    expected = fcluster(linkage(squareform(spread), "average"), threshold * 1e6, "distance")
    assert number_by_first_appearance(found) == number_by_first_appearance(expected)


def test_average_linkage_counts_copies_as_many():
    packed, _ = families(6, 5, 0.15, seed=8)
    copies = packed.repeat(np.arange(len(packed)) % 4 + 1, axis=0)
    distance = distances(copies, 100) + 0.0
    expected = fcluster(linkage(squareform(distance), "average"), 100, "distance")
    assert adjusted_rand_score(clusterings.average(copies, 100), expected) == 1


def test_average_linkage_does_not_chain():
    """A path of hashes, each near the next: one component, and no clusters across half of it."""
    steps = np.triu(np.ones((65, 64), np.uint8)).repeat(4, axis=1)
    path = np.packbits(steps, axis=1)
    assert clusterings.components(path, 8).max() == 0
    labels = clusterings.average(path, 40)
    assert labels.max() > 2
    for c in range(labels.max() + 1):
        assert np.flatnonzero(distance_histogram(path[labels == c])).max(initial=0) < 128


def test_consensus_rejoins_what_average_linkage_leaves_apart():
    packed, family = families(40, 20, 0.2, seed=5)
    average = adjusted_rand_score(family, clusterings.cluster(packed, "average", 88))
    assert adjusted_rand_score(family, clusterings.cluster(packed, "consensus", 88)) > max(
        0.95, average + 0.1
    )


def test_the_default_threshold_is_three_eighths_of_the_hash():
    packed, _ = families(20, 5, 0.15, bits=64)
    assert (
        clusterings.cluster(packed, "consensus").tolist()
        == clusterings.cluster(packed, "consensus", 24).tolist()
    )


def test_scores_by_hand():
    # A family of two, found; one of two, split; two lone images, of which one is put with another.
    family = [0, 0, 1, 1, 2, 3]
    labels = [0, 0, 1, 2, 3, 2]
    assert clusterings.score_clusters(family, labels) == {
        "precision": pytest.approx(5 / 6),
        "recall": pytest.approx(5 / 6),
        "alone": 0.5,
        "whole": 0.5,
        "ari": pytest.approx(adjusted_rand_score(family, labels)),
    }
    scores = clusterings.score_clusters([0, 0], [0, 0])
    assert scores["whole"] == 1
    assert np.isnan(scores["alone"])


def test_wrong_arguments_are_named():
    packed, _ = families(3, 3, 0.1)
    with pytest.raises(
        ValueError,
        match="method must be one of consensus, average, components, hdbscan; got 'ward'",
    ):
        clusterings.cluster(packed, "ward")
    with pytest.raises(ValueError, match="radius must be from 0 to 256"):
        clusterings.cluster(packed, "average", 300)
    with pytest.raises(TypeError, match="must be a uint8 array"):
        clusterings.cluster(packed.astype(int), "average")


def test_dhashes_are_clustered_by_rows_as_well():
    rng = np.random.default_rng(3)
    originals = rng.integers(1, 255, (20, 32), dtype=np.uint8)
    family = np.repeat(np.arange(20), 5)
    hashes = originals[family]
    hashes[:, :8] ^= rng.integers(0, 256, (100, 8), dtype=np.uint8)  # a caption over four rows
    sets = {"dHash": (hashes, family), "other": (hashes, family)}
    scores = clusterings.compare(sets, by_rows={"dHash"})
    rows = scores[scores["method"] == "finlib, by rows"]
    assert rows["set"].tolist() == ["dHash"]
    assert rows["ari"].iloc[0] > 0.95


def test_the_clustering_in_use_is_compared_with_the_others_and_with_itself_uncut():
    look_alike = np.load(Path(__file__).parents[2] / "golden" / "look_alike_hashes.npy")
    family = np.arange(len(look_alike)) // 20
    scores = clusterings.compare({"these": (look_alike, family)}).set_index("method")
    assert list(scores.index) == ["finlib", "finlib, uncut", *clusterings.CLUSTERERS]
    assert scores.loc["finlib", "ari"] > scores.loc["finlib, uncut", "ari"]
    assert (scores["n"] == len(family)).all()
    assert (
        scores.loc["components", "ari"]
        == clusterings.score_clusters(family, clusterings.components(look_alike, 192))["ari"]
    )


def test_clusterings_by_rows_are_scored_beside_hdbscan_and_indexes_of_faiss():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(31)
    family = np.repeat(np.arange(300), rng.integers(1, 5, 300))
    rows = rng.integers(0, 1 << 16, (300, 16), dtype=np.uint16)[family]
    is_covered = rng.random(rows.shape) < 0.15
    noise = rng.integers(0, 1 << 16, rows.shape, dtype=np.uint16)
    packed = np.where(is_covered, noise, rows).view(np.uint8)
    table = clusterings.compare_by_rows(packed, family).set_index(["distance", "method"])
    assert set(table.loc["rows"].index) == {"finlib", "hdbscan", "components"}
    assert {"FAISS IVF, components", "FAISS HNSW, components"} < set(table.loc["hamming"].index)
    by_finlib = table.xs("finlib", level="method")
    assert (by_finlib[["precision", "recall"]] > 0.95).all().all()
    assert (table[["precision", "recall"]] <= 1).all().all()
    assert table["radius"].groupby("distance").nunique().max() == 1
    found_by_index = table.loc[("hamming", "FAISS IVF, components"), "recall"]
    assert found_by_index <= table.loc[("hamming", "components"), "recall"]
