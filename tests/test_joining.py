"""The self-join on a cluster against the engine here, and clusters played through by hand."""

import numpy as np
import pytest

from finlib import joining, matching


def hashes(n, bits=256, seed=7):
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    packed[n // 2 :] = packed[: n - n // 2] ^ (rng.random((n - n // 2, bits // 8)) < 0.2).astype(np.uint8)
    return packed


def assert_same_pairs(found, expected):
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


@pytest.fixture(scope="module")
def client():
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_the_self_join_on_a_cluster_is_the_one_here(client, blocks):
    packed = hashes(1500)
    assert_same_pairs(joining.self_join(packed, 60, client, blocks=blocks), matching.pairs_within(packed, 60))


def test_small_and_wrong_sets_on_a_cluster(client):
    for n in (0, 1, 2):
        packed = np.zeros((n, 8), np.uint8)
        assert_same_pairs(joining.self_join(packed, 0, client), matching.pairs_within(packed, 0))
    with pytest.raises(TypeError, match="must be a uint8 array"):
        joining.self_join(np.zeros((3, 8)), 0, client)
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        joining.self_join(np.zeros((3, 8), np.uint8), 0, client, blocks=0)


def test_a_join_played_through_by_hand():
    # One worker, two blocks of 100: 4,950 + 10,000 + 4,950 pairs, each block sent once.
    one = joining.simulate_join(200, 1, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0)
    assert (one.tiles, one.bytes_sent) == (3, 6400)
    assert one.seconds == pytest.approx(19.9 + 2)
    assert one.efficiency == pytest.approx(19.9 / 21.9)
    # Three workers take a tile each; the one between the blocks is the longest.
    three = joining.simulate_join(200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0)
    assert three.bytes_sent == 3200 + 6400 + 3200
    assert three.seconds == pytest.approx(10 + 2)
    # A scheduler that needs a minute a tile decides the end.
    slow = joining.simulate_join(200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=60, slowness=0)
    assert slow.seconds == pytest.approx(180 + 4.95 + 1)


def test_many_workers_share_the_work():
    few, many = (joining.simulate_join(10**7, workers, 150, 1e9) for workers in (10, 100))
    assert 0.8 < many.efficiency < few.efficiency <= 1
    assert many.bytes_sent > few.bytes_sent
