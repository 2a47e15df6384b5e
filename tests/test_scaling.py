"""Growth laws by hand; the self-join on a cluster and as products of matrices against the engine."""

import array_api_strict
import numpy as np
import pytest

from finlib import matching, scaling


def hashes(n, bits=256, seed=7):
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    packed[n // 2 :] = packed[: n - n // 2] ^ (rng.random((n - n // 2, bits // 8)) < 0.2).astype(np.uint8)
    return packed


def assert_same_pairs(found, expected):
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


def test_an_exact_law_is_found():
    n = np.array([1e3, 1e4, 1e5, 1e6])
    law = scaling.power_law(n, 3e-10 * n**2)
    assert law.exponent == pytest.approx(2)
    assert law.scale == pytest.approx(3e-10)
    assert law(1e7) == pytest.approx(3e4)
    assert law.low == pytest.approx(law.high)
    assert law.interval(1e7) == pytest.approx((3e4, 3e4), rel=1e-6)


def test_the_interval_of_the_exponent_by_hand():
    # Slope 2 with residuals +d, -2d, +d at three equal steps: s² = 6d² / 1, standard error s / sqrt(2).
    d = 0.01
    law = scaling.power_law(np.exp([0, 1, 2]), np.exp([0 + d, 2 - 2 * d, 4 + d]))
    reach = 12.7062047 * np.sqrt(6 * d * d) / np.sqrt(2)
    assert (law.low, law.exponent, law.high) == pytest.approx((2 - reach, 2, 2 + reach))


def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(3)
    n = np.array([1e3, 3e3, 1e4, 3e4, 1e5])
    exponents = predictions = 0
    for _ in range(400):
        noise = rng.normal(0, 0.1, 6)
        law = scaling.power_law(n, 1e-6 * n**1.5 * np.exp(noise[:5]))
        exponents += law.low <= 1.5 <= law.high
        low, high = law.interval(1e6)
        predictions += low <= 1e-6 * 1e6**1.5 * np.exp(noise[5]) <= high
    assert 0.92 < exponents / 400 < 0.98
    assert 0.92 < predictions / 400 < 0.98


def test_what_was_foretold_by_hand():
    law = scaling.power_law([1, 10, 100], [2, 20, 200])
    row = scaling.foretold({"reading": law}, {"reading": (1000, 3000)}).iloc[0]
    assert row["work"] == "reading"
    assert row[["n", "predicted", "measured", "factor"]].tolist() == pytest.approx([1000, 2000, 3000, 1.5])
    assert not row["inside"]


@pytest.mark.parametrize(("n", "cost"), [([1, 2], [1, 2]), ([5, 5, 5], [1, 2, 3]), ([1, 2, 3], [1, 0, 2])])
def test_too_little_for_a_law(n, cost):
    with (
        pytest.raises(ValueError, match="at least three different sizes, each with a positive cost"),
        np.errstate(all="ignore"),
    ):
        scaling.power_law(n, cost)


def test_a_sweep_has_a_row_for_each_method_and_threshold():
    packed = np.repeat(hashes(20), 6, axis=0)
    table = scaling.sweep_clusterings(packed, np.arange(20).repeat(6), [0, 256], ["components", "average"])
    assert table[["method", "threshold"]].values.tolist() == [
        ["components", 0],
        ["components", 256],
        ["average", 0],
        ["average", 256],
    ]
    assert table["ari"].tolist() == pytest.approx([1, 0, 1, 0])
    assert table["clusters"].tolist() == [20, 1, 20, 1]
    assert table["purity"].tolist() == pytest.approx([1, 0.05, 1, 0.05])
    assert table["size"].tolist() == [6, 120, 6, 120]


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
    assert_same_pairs(scaling.self_join(packed, 60, client, blocks=blocks), matching.pairs_within(packed, 60))


def test_small_and_wrong_sets_on_a_cluster(client):
    for n in (0, 1, 2):
        packed = np.zeros((n, 8), np.uint8)
        assert_same_pairs(scaling.self_join(packed, 0, client), matching.pairs_within(packed, 0))
    with pytest.raises(TypeError, match="must be a uint8 array"):
        scaling.self_join(np.zeros((3, 8)), 0, client)
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        scaling.self_join(np.zeros((3, 8), np.uint8), 0, client, blocks=0)


def test_a_join_played_through_by_hand():
    # One worker, two blocks of 100: 4,950 + 10,000 + 4,950 pairs, each block sent once.
    one = scaling.simulate_join(200, 1, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0)
    assert (one.tiles, one.bytes_sent) == (3, 6400)
    assert one.seconds == pytest.approx(19.9 + 2)
    assert one.efficiency == pytest.approx(19.9 / 21.9)
    # Three workers take a tile each; the one between the blocks is the longest.
    three = scaling.simulate_join(200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0)
    assert three.bytes_sent == 3200 + 6400 + 3200
    assert three.seconds == pytest.approx(10 + 2)
    # A scheduler that needs a minute a tile decides the end.
    slow = scaling.simulate_join(200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=60, slowness=0)
    assert slow.seconds == pytest.approx(180 + 4.95 + 1)


def test_many_workers_share_the_work():
    few, many = (scaling.simulate_join(10**7, workers, 150, 1e9) for workers in (10, 100))
    assert 0.8 < many.efficiency < few.efficiency <= 1
    assert many.bytes_sent > few.bytes_sent


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
@pytest.mark.parametrize(("n", "bits", "radius", "block"), [(300, 256, 70, 128), (90, 64, 20, 1000), (65, 72, 72, 64)])
def test_products_of_signs_give_the_same_pairs(xp, n, bits, radius, block):
    packed = hashes(n, bits)
    found = scaling.product_pairs(xp.asarray(packed), radius, xp, block=block)
    assert_same_pairs(found, matching.pairs_within(packed, radius))


def test_products_in_half_precision_and_of_nothing():
    packed = hashes(150)
    found = scaling.product_pairs(packed, 70, np, dtype=np.float16)
    assert_same_pairs(found, matching.pairs_within(packed, 70))
    assert_same_pairs(scaling.product_pairs(packed[:0], 70, np), matching.pairs_within(packed[:0], 70))


def test_signs_by_hand():
    found = scaling.signs(np.array([[0b10000001, 255]], np.uint8), np)
    assert found.tolist() == [[1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]
    assert scaling.product_distances(found, -found, np).tolist() == [[16]]
