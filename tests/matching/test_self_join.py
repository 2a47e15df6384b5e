"""The self-join on a cluster against the engine here."""

import os
import signal

import numpy as np
import pytest
from hash_sets import assert_same_pairs, hashes

from finlib.matching.pairs import pairs_within
from finlib.matching.self_join import iter_self_join
from workbook.study import workers


@pytest.fixture(scope="module")
def client():
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_the_self_join_on_a_cluster_is_the_one_here(client, blocks):
    packed = hashes(1500)
    assert_same_pairs(
        workers.self_join(packed, 60, client, blocks=blocks), pairs_within(packed, 60)
    )


def test_the_self_join_takes_a_distance(client):
    packed = hashes(900)
    tiles = list(iter_self_join(packed, 40, client, blocks=3, distance="rows"))
    columns = np.concatenate([np.stack(tile) for tile in tiles], axis=1)
    in_order = columns[:, np.lexsort((columns[1], columns[0]))]
    expected = pairs_within(packed, 40, distance="rows")
    np.testing.assert_array_equal(in_order, np.stack(expected))
    assert len(expected.i) > 100
    with pytest.raises(ValueError, match="radius must be from 0 to 48"):
        next(iter_self_join(packed, 49, client, distance="rows"))


def test_the_self_join_goes_on_from_any_tile(client):
    packed = hashes(900)
    tiles = list(iter_self_join(packed, 60, client, blocks=3))
    rest = list(iter_self_join(packed, 60, client, blocks=3, start=2))
    assert len(tiles) == 6
    for one, other in zip(tiles[2:], rest, strict=True):
        assert_same_pairs(one, other)


def test_the_self_join_outlives_its_workers(client):
    packed = hashes(900)
    expected = [np.array(tile) for tile in iter_self_join(packed, 60, client, blocks=3)]
    found = []
    for tile in iter_self_join(packed, 60, client, blocks=3):
        if not found:
            for pid in client.run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)
        found.append(np.array(tile))
    assert len(found) == 6
    assert all(np.array_equal(*both) for both in zip(found, expected, strict=True))


def test_small_and_wrong_sets_on_a_cluster(client):
    for n in (0, 1, 2):
        packed = np.zeros((n, 32), np.uint8)
        assert_same_pairs(workers.self_join(packed, 0, client), pairs_within(packed, 0))
    with pytest.raises(TypeError, match="must be a uint8 array"):
        workers.self_join(np.zeros((3, 8)), 0, client)
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        workers.self_join(np.zeros((3, 8), np.uint8), 0, client, blocks=0)
