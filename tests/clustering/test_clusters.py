"""Clusters of known families and degenerate sets; corrections; new images; other resources."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from finlib.clustering.clusterer import FEW, Clusterer
from finlib.clustering.clusters import Clusters, cluster, extend, join
from finlib.clustering.corrections import join_unless_apart
from finlib.clustering.null_model import fit_null_model
from finlib.clustering.radii import Settings
from finlib.matching import near, sampling
from finlib.matching.hamming import Hamming
from finlib.matching.packed import to_words


def families(sizes, noise, seed=1, bits=256):
    """Templates with bits flipped, in random order: uint8[n, bits // 8], and their families."""
    rng = np.random.default_rng(seed)
    family = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    template = rng.integers(0, 2, (len(sizes), bits), dtype=np.uint8)[family]
    return np.packbits(template ^ (rng.random(template.shape) < noise), axis=1), family


def by_first(labels):
    number: dict[int, int] = {}
    return [number.setdefault(label, len(number)) for label in np.asarray(labels).tolist()]


@pytest.mark.parametrize("bits", [64, 72, 256, pytest.param(1024, marks=pytest.mark.slow)])
def test_clear_families_are_found_and_numbered_by_first_appearance(bits):
    packed, family = families([1] * 40 + [2] * 20 + [7] * 20, 0.03, bits=bits)
    found = cluster(packed)
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == by_first(family)
    assert found.size.tolist() == np.bincount(found.labels).tolist()


def test_degenerate_sets():
    one = np.full((1, 32), 7, np.uint8)
    assert cluster(one[:0]).labels.tolist() == []
    assert cluster(one).labels.tolist() == [0]
    assert cluster(one.repeat(500, 0)).labels.tolist() == [0] * 500
    opposites = np.array([[0] * 32, [255] * 32], np.uint8)
    assert cluster(opposites).labels.tolist() == [0, 1]
    assert cluster(opposites.repeat(5, 0)).labels.tolist() == [0] * 5 + [1] * 5


def test_noisy_families_and_lone_images_among_thousands():
    packed, family = families([1] * 4000 + [10] * 200, 0.13, seed=2)
    labels = cluster(packed).labels
    alone = np.bincount(labels)[labels[np.bincount(family)[family] == 1]] == 1
    assert alone.mean() > 0.995
    assert adjusted_rand_score(family, labels) > 0.97


def test_a_stray_image_between_two_families_does_not_make_them_one():
    packed, family = families([40, 15], 0.05, seed=3)
    bits = np.unpackbits(packed, axis=1)
    middle = bits[family == 0][0].copy()
    differ = np.flatnonzero(middle != bits[family == 1][0])
    middle[differ[::2]] = 1 - middle[differ[::2]]
    labels = cluster(np.vstack([packed, np.packbits(middle)[None]])).labels
    assert by_first(labels[:-1]) == by_first(family)


def test_the_radius_falls_as_the_set_grows_and_unrelated_distances_are_measured():
    packed, _ = families([1] * 3000, 0.0)
    null_model = fit_null_model(packed)
    assert null_model.mean == pytest.approx(128, abs=1)
    assert null_model.deviation == pytest.approx(8, abs=0.3)
    assert null_model.radius(1e-9) < null_model.radius(1e-6) < 96
    assert (
        null_model.within(null_model.radius(1e-6))
        <= 1e-6
        < null_model.within(null_model.radius(1e-6) + 1)
    )


def test_labels_are_the_same_on_any_number_of_workers_and_with_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(near, "EXACT", 0)  # the passes, small as the set is
    packed, _ = families([1] * 600 + [8] * 300, 0.12, seed=4)
    expected = cluster(packed, resources=near.Resources(1)).labels
    assert cluster(packed, resources=near.Resources(3)).labels.tolist() == expected.tolist()
    for _ in range(2):  # the second resumes from what the first has left
        resources = near.Resources(2, checkpoint=tmp_path)
        assert cluster(packed, resources=resources).labels.tolist() == expected.tolist()
        assert list(tmp_path.glob("*.npz"))
    next(tmp_path.glob("*.npz")).write_bytes(b"PK")
    with pytest.warns(UserWarning, match="cannot be used, so this work is done again"):
        assert cluster(packed, resources=resources).labels.tolist() == expected.tolist()


def test_corrections_are_honoured_and_may_not_contradict_each_other():
    packed, family = families([6] * 20, 0.05, seed=5)
    first, second, third = (np.flatnonzero(family == f) for f in range(3))
    apart, together = [(first[0], first[1])], [(second[0], third[0]), (first[0], first[2])]
    labels = cluster(packed, together=together, apart=apart).labels
    assert labels[first[0]] != labels[first[1]]
    assert labels[first[0]] == labels[first[2]]
    assert len(set(labels[np.concatenate([second, third])])) == 1
    assert len(set(labels)) == 20
    with pytest.raises(
        ValueError, match="rows 0 and 2 are to be kept apart, but other pairs put them"
    ):
        cluster(packed, together=[(0, 1), (1, 2)], apart=[(0, 2)])
    with pytest.raises(ValueError, match="must name rows from 0 to 119; got 120"):
        cluster(packed, together=[(0, 120)])


def test_new_images_join_old_clusters_which_keep_their_numbers(tmp_path):
    packed, family = families([1] * 300 + [2] * 50 + [12] * 100, 0.06, seed=6)
    everything = cluster(packed).labels
    grown = cluster(packed[:400])
    for low in range(400, len(packed), 400):
        grown.save(tmp_path / "clusters.parquet", hasher="find")
        stored, more = Clusters.load(tmp_path / "clusters.parquet", grown.labels)
        assert more == {"hasher": "find"}
        grown = extend(stored, packed[low : low + 400])
        assert grown.labels[:low].tolist() == stored.labels.tolist()
    assert adjusted_rand_score(everything, grown.labels) > 0.99
    assert adjusted_rand_score(family, grown.labels) > 0.99


def test_corrections_hold_in_later_runs():
    packed, family = families([8] * 30, 0.05, seed=7)
    apart = [(int(np.flatnonzero(family[:120] == family[200])[0]), 200)]
    grown = extend(cluster(packed[:120]), packed[120:], apart=apart, together=[(0, 239)])
    assert grown.labels[apart[0][0]] != grown.labels[200]
    assert grown.labels[0] == grown.labels[239]


def test_corrections_among_old_images_last_through_later_runs(tmp_path):
    packed, family = families([1] * 12 + [2] * 6 + [3] * 6 + [12] * 20, 0.04, seed=8)
    several = [np.flatnonzero(family[:150] == f) for f in range(44)]
    of = {n: [rows for rows in several if len(rows) == n] for n in (1, 2, 3)}
    of["many"] = [rows for rows in several if len(rows) > 4]
    grown = cluster(packed[:150])
    apart = [(rows[0], rows[-1]) for rows in (of["many"][0], of["many"][1], of[3][0], of[2][0])]
    together = [
        (of["many"][2][0], of["many"][3][0]),
        (of[1][0][0], of[1][1][0]),
        (of[1][2][0], of["many"][4][0]),
    ]
    for low in range(150, len(packed), 50):
        grown = extend(grown, packed[low : low + 50], apart=apart, together=together)
        assert set(grown.cluster.tolist()) == set(grown.labels.tolist())
        stored = np.bincount(grown.cluster, minlength=len(grown.size))
        is_small = grown.size < FEW
        assert (stored[is_small] == grown.size[is_small]).all()
        assert all(grown.labels[a] != grown.labels[b] for a, b in apart)
        assert all(grown.labels[a] == grown.labels[b] for a, b in together)
        split = grown.labels[np.ravel(apart)]  # their images are only known by a centre
        for number in np.setdiff1d(grown.labels, split):  # each centre is of its cluster
            nearest = np.bitwise_count(
                grown.centres[grown.cluster == number][:, None] ^ packed[: low + 50]
            ).sum(-1)
            assert (grown.labels[nearest.argmin(axis=1)] == number).mean() >= 0.5
        grown.save(tmp_path / "clusters.parquet")
        grown, _ = Clusters.load(tmp_path / "clusters.parquet", grown.labels)


def test_clusters_are_joined_unless_a_person_keeps_them_apart():
    labels = np.array([0, 1, 1, 2, 3, 4, 5])
    pairs = [(0, 1), (1, 3), (3, 4), (6, 5)]
    assert join_unless_apart(labels, pairs, []).tolist() == [0, 0, 0, 0, 0, 4, 4]
    # Row 0 has taken in cluster 1 when cluster 2 would come, which is apart from it.
    assert join_unless_apart(labels, pairs, [(2, 3)]).tolist() == [0, 0, 0, 2, 2, 4, 4]
    # Clusters 0 and 3 are apart, and cluster 2, which came first, is with 0.
    assert join_unless_apart(labels, pairs, [(4, 0)]).tolist() == [0, 0, 0, 0, 3, 4, 4]
    assert join_unless_apart(labels, [], [(4, 0)]).tolist() == labels.tolist()


def test_joined_clusters_are_found_by_any_of_their_centres(tmp_path):
    packed, family = families([1] * 12 + [2] * 6 + [12] * 20, 0.04, seed=8)
    old, new = packed[:180], packed[180:]
    several = [np.flatnonzero(family[:180] == f) for f in range(38)]
    ones = [rows for rows in several if len(rows) == 1]
    large = [rows for rows in several if len(rows) > 4]
    pairs = [
        (ones[1][0], ones[0][0]),
        (ones[2][0], large[0][0]),
        (large[1][0], large[2][0]),
        (large[2][1], large[3][0]),
    ]
    apart = [(large[1][1], large[3][1])]
    joined = join(cluster(old), pairs, apart)
    assert joined.labels[ones[0][0]] == joined.labels[ones[1][0]]
    assert joined.labels[ones[2][0]] == joined.labels[large[0][0]]
    assert joined.labels[large[1][0]] == joined.labels[large[2][0]] != joined.labels[large[3][0]]
    assert joined.size.tolist() == np.bincount(joined.labels).tolist()
    stored = np.bincount(joined.cluster, minlength=len(joined.size))
    is_small = joined.size < FEW
    assert (stored[is_small] == joined.size[is_small]).all()
    assert (np.diff(joined.cluster) >= 0).all()
    joined.save(tmp_path / "clusters.parquet")
    loaded, _ = Clusters.load(tmp_path / "clusters.parquet", joined.labels)
    grown = extend(loaded, new)
    assert grown.labels[: len(old)].tolist() == joined.labels.tolist()
    for rows in large:
        later = 180 + np.flatnonzero(family[180:] == family[rows[0]])
        assert set(grown.labels[later]) <= {grown.labels[rows[0]]}


@pytest.mark.parametrize("seed", range(4))
def test_two_families_are_two_clusters(seed):
    packed, family = families([900, 1100], 0.12, seed=seed)
    assert adjusted_rand_score(family, cluster(packed).labels) > 0.99


def test_bits_that_all_images_share_unite_nothing():
    packed, family = families([1] * 2000 + [8] * 200, 0.1, seed=9)
    packed[:, ::2] = 0xA5  # as a white margin gives
    labels = cluster(packed).labels
    assert adjusted_rand_score(family, labels) > 0.9
    assert (np.bincount(labels)[labels[np.bincount(family)[family] == 1]] == 1).mean() > 0.99


@pytest.mark.parametrize("n", [3, 4, 10])
def test_a_few_unrelated_images_stay_alone(n):
    sets = [
        np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8) for seed in range(20)
    ]
    assert all(cluster(packed).labels.tolist() == list(range(n)) for packed in sets)


def test_a_family_of_most_images_takes_no_longer_than_others():
    rng = np.random.default_rng(10)
    lone = rng.integers(0, 256, (10_000, 32), dtype=np.uint8)
    flips = np.packbits(rng.random((40_000, 256)) < 0.02, axis=1)
    for packed in (
        np.concatenate([lone, lone[:1].repeat(40_000, 0)]),
        np.concatenate([lone, lone[0] ^ flips]),
    ):
        search = sampling.BitSampling(to_words(packed), len(packed), 75, Hamming(32))
        assert search.passes(0.7) < 200


def test_many_copies_are_one_cluster():
    assert not cluster(np.full((20_000, 32), 7, np.uint8)).labels.any()


@pytest.mark.filterwarnings("error")
def test_unrelated_images_stay_alone_without_a_warning():
    found = cluster(families([1] * 50, 0)[0])
    assert found.labels.tolist() == list(range(50))
    assert cluster(np.zeros((1, 32), np.uint8)).link_radius == 0


def test_wrong_hashes_and_settings_are_refused():
    packed, _ = families([3] * 5, 0.05)
    found = cluster(packed)
    with pytest.raises(ValueError, match="new hashes have 64 bits, the clusters' have 256"):
        extend(found, packed[:, :8])
    with pytest.raises(TypeError, match="must be a uint8 array"):
        cluster(packed.astype(int))
    with pytest.raises(ValueError, match="chance must be between 0 and 1; got 0"):
        cluster(packed, chance=0)


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_a_memory_map_that_may_only_be_read_is_clustered_and_extended(distance, tmp_path):
    packed, _ = families([1] * 300 + [5] * 60, 0.04, seed=12)
    packed = np.concatenate([packed, packed[::7]])
    expected = cluster(packed, distance=distance)
    np.save(tmp_path / "hashes.npy", packed)
    mapped = np.load(tmp_path / "hashes.npy", mmap_mode="r")
    found = cluster(mapped, distance=distance)
    assert found.labels.tolist() == expected.labels.tolist()
    grown = extend(expected, mapped[:50])
    assert grown.labels[len(packed) :].tolist() == expected.labels[:50].tolist()
    assert np.array_equal(mapped, packed)


def test_hashes_that_all_differ_are_not_copied():
    packed, _ = families([1] * 100, 0.0, seed=13)
    settings = Settings(fit_null_model(packed))
    clusterer = Clusterer(packed, settings)
    assert np.shares_memory(clusterer.hashes(clusterer.free), packed)
    with_copies = np.concatenate([packed, packed[:9]])
    clusterer = Clusterer(with_copies, settings)
    assert clusterer.packed is with_copies
    assert np.array_equal(clusterer.hashes(clusterer.free), packed)


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_nothing_new_and_copies_alone_change_no_old_label(distance):
    packed, _ = families([1] * 50 + [2] * 20 + [6] * 30, 0.03, seed=14)
    old = cluster(packed, distance=distance)
    for new in (packed[:0], packed[::-1]):
        grown = extend(old, new)
        assert grown.labels.tolist() == [*old.labels, *old.labels[len(packed) - len(new) :][::-1]]
        assert grown.size.sum() == len(packed) + len(new)
        assert np.array_equal(grown.cluster, np.sort(grown.cluster))


def test_a_copy_counts_once_in_the_centre_of_each_cluster_that_a_person_has_put_it_in():
    template = np.zeros((1, 32), np.uint8)
    members = np.repeat(template, 6, axis=0)
    members[np.arange(6), np.arange(6)] = 1  # one bit each, another one in every member
    copies = np.repeat(members[:1], 5, axis=0)
    packed = np.concatenate([members, copies])
    together = [(6, row) for row in (7, 8)] + [(6, 1), (6, 2)]
    found = cluster(packed, together=together, apart=[(0, 6)])
    assert found.labels[0] != found.labels[6] == found.labels[1]
    for label in np.unique(found.labels):
        rows = np.flatnonzero(found.labels == label)
        centre = found.centres[found.cluster == label]
        distinct = np.unique(packed[rows], axis=0)
        bits = np.unpackbits(distinct, axis=1)
        if len(rows) >= FEW:
            assert len(centre) == 1
            majority = 2 * bits.sum(axis=0) > len(distinct)
            assert np.unpackbits(centre[0]).tolist() == majority.astype(int).tolist()


@pytest.mark.parametrize("distance", ["hamming", "rows"])
def test_another_order_of_the_rows_moves_few_images(distance):
    packed, _ = families([1] * 1500 + [3] * 300 + [20] * 30, 0.1, seed=15)
    expected = cluster(packed, distance=distance).labels
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(packed))
        labels = np.empty_like(expected)
        labels[order] = cluster(packed[order], distance=distance).labels
        in_both = np.unique(np.stack([expected, labels]), axis=1, return_counts=True)
        (before, _), count = in_both
        largest_part = np.zeros(expected.max() + 1, np.int64)
        np.maximum.at(largest_part, before, count)
        assert largest_part.sum() >= 0.995 * len(packed)
