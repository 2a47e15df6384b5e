"""Clusters hang together: none is wider than its radius, and copies are never parted."""

import numpy as np
import pytest

from finlib.clustering.centres import group_rows, majority_bits
from finlib.clustering.clusters import Clusters, cluster, extend
from finlib.matching.distances import get_distance


def chain(frames, step, *, seed=1):
    """Hashes of a pan over one scene: each differs from the one before in `step` bits."""
    rng = np.random.default_rng(seed)
    bits = np.empty((frames, 256), np.uint8)
    bits[0] = rng.integers(0, 2, 256)
    for frame in range(1, frames):
        bits[frame] = bits[frame - 1]
        bits[frame, rng.choice(256, step, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def unrelated(n, *, seed=2):
    return np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)


def assert_bounded(clusters, packed):
    """Every image lies within the radius of the majority of its cluster's distinct hashes."""
    distance = get_distance(clusters.distance, packed.shape[1])
    for label in np.unique(clusters.labels):
        members = packed[clusters.labels == label]
        _, first = np.unique(members, axis=0, return_index=True)
        members = members[np.sort(first)]
        if len(members) > 1:
            centre = majority_bits(members, *group_rows(np.zeros(len(members), np.int64)))
            assert distance.between(members, centre).max() <= clusters.radius


@pytest.mark.parametrize("step", [6, 12, 20])
@pytest.mark.parametrize("frames", [10, 60])
def test_a_chain_becomes_clusters_that_hang_together(step, frames):
    packed = np.concatenate([chain(frames, step), unrelated(300)])
    found = cluster(packed)
    assert_bounded(found, packed)
    in_chain = found.labels[:frames]
    # What is cut off is clustered again, so that neighbours are seldom alone.
    alone = np.bincount(found.labels)[in_chain] == 1
    assert alone.mean() <= 0.2


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_clusters_of_random_families_hang_together(distance):
    rng = np.random.default_rng(5)
    for seed in range(15):
        template = unrelated(40, seed=seed)
        family = rng.integers(0, 40, 400)
        share = rng.uniform(0, 0.25, (400, 1))
        packed = template[family] ^ np.packbits(rng.random((400, 256)) < share, axis=1)
        assert_bounded(cluster(packed, distance=distance), packed)


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_copies_are_never_parted(distance, tmp_path):
    rng = np.random.default_rng(6)
    for seed in range(15):
        template = unrelated(30, seed=seed)
        share = rng.uniform(0, 0.3, (300, 1))
        different = template[rng.integers(0, 30, 300)]
        different ^= np.packbits(rng.random((300, 256)) < share, axis=1)
        different[::5, :20] = 0  # flat rows
        packed = different[rng.integers(0, 300, 900)]
        old = cluster(packed[:500], distance=distance)
        old.save(tmp_path / "c.parquet", hasher="dhash256")
        loaded, _ = Clusters.load(tmp_path / "c.parquet", old.labels)
        for found in (cluster(packed, distance=distance), extend(loaded, packed[500:])):
            label_of: dict[bytes, int] = {}
            for row, label in zip(packed, found.labels.tolist(), strict=True):
                assert label_of.setdefault(row.tobytes(), label) == label


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_extended_clusters_hang_together(distance):
    rng = np.random.default_rng(7)
    for seed in range(10):
        template = unrelated(60, seed=seed)
        share = rng.uniform(0, 0.2, (300, 1))
        packed = template[rng.integers(0, 60, 300)]
        packed ^= np.packbits(rng.random((300, 256)) < share, axis=1)
        grown = extend(cluster(packed[:120], distance=distance), packed[120:])
        distance_of = get_distance(distance, 32)
        first_centre = np.searchsorted(grown.cluster, grown.labels)
        from_centre = distance_of.between(packed, grown.centres[first_centre])
        size = grown.size[grown.labels]
        assert (from_centre[size != 2] <= grown.radius).all()


def test_a_family_alone_takes_work_that_grows_with_its_size():
    rng = np.random.default_rng(8)
    template = unrelated(1)
    packed = template ^ np.packbits(rng.random((30_000, 256)) < 0.02, axis=1)
    assert not cluster(packed).labels.any()


def test_a_stray_gets_a_label_of_its_own():
    # A row that leaves its cluster may be the first of what it is united with later.
    packed = np.concatenate([chain(40, 9, seed=3), chain(40, 9, seed=4), unrelated(500)])
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(packed))
        assert_bounded(cluster(packed[order], seed=seed), packed[order])
