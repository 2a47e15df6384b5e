"""Near pairs by bit sampling against the exact engine.

Only true pairs, as many of them as predicted, and the same on any resources.
"""

import os
import signal
from functools import partial

import numpy as np
import pytest

from finlib.matching import near, sampling
from finlib.matching.forest import Forest
from finlib.matching.hamming import Hamming
from finlib.matching.packed import to_words
from finlib.matching.pairs import neighbours, pairs_within
from workbook.study.near_pairs import near_pairs


@pytest.fixture(autouse=True)
def passes_however_small_the_set(monkeypatch):
    monkeypatch.setattr(near, "EXACT", 0)
    monkeypatch.setattr(sampling.Sampling, "passes", lambda self, recall, predict=None: 25)


def hashes(n, bits=256, noise=0.08, seed=1, ones=0.5):
    """Families of ten: templates with bits turned over."""
    rng = np.random.default_rng(seed)
    template = rng.random((n // 10, bits)) < ones
    return np.packbits(template.repeat(10, 0) ^ (rng.random((n // 10 * 10, bits)) < noise), axis=1)


def codes(pairs, n):
    return pairs[0] * n + pairs[1]


@pytest.mark.parametrize("bits", [64, 72, 256, pytest.param(1024, marks=pytest.mark.slow)])
def test_every_pair_is_right_and_as_many_are_found_as_predicted(bits):
    packed, radius = hashes(8000, bits, noise=0.06), bits // 5
    search = sampling.BitSampling(to_words(packed), len(packed), radius, Hamming(bits // 8))
    exact, found = pairs_within(packed, radius), near_pairs(packed, radius)
    place = np.searchsorted(codes(exact, len(packed)), codes(found, len(packed)))
    assert (codes(exact, len(packed))[place] == codes(found, len(packed))).all()
    assert (exact[2][place] == found[2]).all()
    assert (np.diff(codes(found, len(packed))) > 0).all()
    predicted = search.recall(exact[2], 25).mean()
    assert len(found[0]) / len(exact[0]) == pytest.approx(predicted, abs=0.03)


@pytest.mark.parametrize("ones", [0.02, 0.2])
def test_skewed_bits_cost_recall_alone(ones):
    packed = hashes(8000, noise=0.02, ones=ones)
    exact, found = pairs_within(packed, 8), near_pairs(packed, 8)
    assert np.isin(codes(found, 8000), codes(exact, 8000)).all()
    assert len(found[0]) > 0.5 * len(exact[0])


def test_copies_are_all_found_or_refused():
    packed = np.concatenate([hashes(3000), hashes(10, noise=0)[:1].repeat(700, 0)])
    exact, found = pairs_within(packed, 0), near_pairs(packed, 0)
    assert all((a == b).all() for a, b in zip(exact, found, strict=True))
    with pytest.raises(ValueError, match="copies more than 1,000 pairs"):
        near_pairs(packed, 0, max_pairs=1000)
    assert (near.unite_near(packed, 0).roots()[-700:] == 3000).all()


@pytest.mark.parametrize("united", [40_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_bucket_with_everything_in_it_is_bounded(united):
    """200,000 hashes within two bits of each other: united without looking at 2e10 pairs."""
    rng = np.random.default_rng(3)
    bits = np.zeros((200_000, 32), np.uint8)
    place = rng.integers(0, 256, 200_000)
    bits[np.arange(200_000), place // 8] = 1 << (place % 8)
    _, jobs, rows = sampling.BitSampling(to_words(bits), len(bits), 2, Hamming(32)).buckets(0)
    assert ((jobs[:, 1] - jobs[:, 0]) * (jobs[:, 3] - jobs[:, 2])).sum() < 2 * len(
        bits
    ) * sampling.BUCKET_SIZE
    assert rows.sum() == len(bits)
    assert not near.unite_near(bits[:united], 2).roots().any()


def test_the_nearest_is_the_exact_one_where_it_is_found():
    queries = hashes(2000)
    candidates = queries[::10]
    found = near.find_nearest(queries, candidates, 60)
    exact = neighbours(queries, candidates, k=1, radius=60)
    right = np.full(len(queries), -1)
    right[np.diff(exact.indptr) > 0] = exact.indices
    assert (found[found >= 0] == right[found >= 0]).all()
    assert (found >= 0).sum() > 0.95 * (right >= 0).sum()


def test_the_same_pairs_on_any_number_of_workers():
    packed = hashes(6000)
    first, *others = (
        near_pairs(packed, 50, resources=near.Resources(workers)) for workers in (1, 2, 5)
    )
    assert all(np.array_equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def test_the_same_forest_on_a_cluster_and_after_its_workers_were_killed(tmp_path):
    from dask.distributed import Client, LocalCluster

    packed = hashes(20_000)
    expected = near.unite_near(packed, 50).roots().copy()
    where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, **where) as cluster,
        Client(cluster) as client,
    ):
        resources = near.Resources(client=client)
        assert np.array_equal(near.unite_near(packed, 50, resources=resources).roots(), expected)
        to_kill = tmp_path / "to kill"  # a file, since workers have copies of the variables here
        to_kill.write_text(" ".join(str(worker.pid) for worker in cluster.workers.values()))

        class Killer(Forest):
            """A forest that kills all workers as soon as the first of them has found something."""

            def merge(self, other):
                if to_kill.exists():
                    for pid in to_kill.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                    to_kill.unlink()
                super().merge(other)

        search = sampling.BitSampling(to_words(packed), len(packed), 50, Hamming(32))
        total = resources.run(search, 25, partial(Killer, len(packed)))
        assert not to_kill.exists()
        assert np.array_equal(total.roots(), expected)


class Interrupting(Forest):
    """A forest that is interrupted when it merges the batch with this number."""

    def __init__(self, n, batch):
        super().__init__(n)
        self.left = batch

    def merge(self, other):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        super().merge(other)


def test_an_interrupted_search_resumes_where_it_was_kept(tmp_path):
    packed = hashes(6000)
    expected = near.unite_near(packed, 50).roots().copy()
    search = sampling.BitSampling(to_words(packed), len(packed), 50, Hamming(32))
    resources = near.Resources(1, checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        resources.run(search, 25, partial(Interrupting, len(packed), 2))
    done = []

    class Counting(Forest):
        def restore(self, arrays):
            done.append(len(np.unique(arrays["parent"])))
            super().restore(arrays)

    resumed = resources.run(search, 25, partial(Counting, len(packed)))
    assert np.array_equal(resumed.roots(), expected)
    assert len(done) == 1
    assert done[0] < len(packed)


def test_a_damaged_checkpoint_is_reported_and_not_used(tmp_path):
    packed = hashes(3000)
    resources = near.Resources(1, checkpoint=tmp_path)
    expected = near.unite_near(packed, 50, resources=resources).roots().copy()
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(b"PK")
    with pytest.warns(UserWarning, match="cannot be used, so this work is done again"):
        forest = near.unite_near(packed, 50, resources=resources)
    assert np.array_equal(forest.roots(), expected)


def test_the_nearest_of_an_interrupted_search_are_the_same(tmp_path):
    queries = hashes(2000)
    candidates = queries[::10]
    expected = near.find_nearest(queries, candidates, 60)
    resources = near.Resources(1, checkpoint=tmp_path)
    for _ in range(2):  # the second takes everything from the checkpoint
        found = near.find_nearest(queries, candidates, 60, resources=resources)
        assert np.array_equal(found, expected)


def test_a_search_is_known_by_its_hashes_its_settings_and_the_version(monkeypatch):
    words = to_words(hashes(100))

    def key(words=words, radius=50, seed=1, passes=25):
        return sampling.BitSampling(words, len(words), radius, Hamming(32), seed).key(passes)

    keys = {
        key(),
        key(words ^ np.uint64(1)),
        key(words[1:]),
        key(radius=51),
        key(seed=2),
        key(passes=26),
    }
    monkeypatch.setattr(sampling, "__version__", "0")
    assert len(keys | {key()}) == 7


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="radius must be from 0 to 256"):
        near_pairs(hashes(100), 300)
    with pytest.raises(TypeError, match="must be a uint8 array"):
        near_pairs(hashes(100).astype(int), 3)
