"""Clusters of machines played through by hand arithmetic."""

import pytest

from workbook.study import workers


def test_a_join_played_through_by_hand():
    # One worker, two blocks of 100: 4,950 + 10,000 + 4,950 pairs, each block sent once.
    one = workers.simulate_join(
        200, 1, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0
    )
    assert (one.tiles, one.bytes_sent) == (3, 6400)
    assert one.seconds == pytest.approx(19.9 + 2)
    assert one.efficiency == pytest.approx(19.9 / 21.9)
    # Three workers take a tile each; the one between the blocks is the longest.
    three = workers.simulate_join(
        200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=0, slowness=0
    )
    assert three.bytes_sent == 3200 + 6400 + 3200
    assert three.seconds == pytest.approx(10 + 2)
    # A scheduler that needs a minute a tile decides the end.
    slow = workers.simulate_join(
        200, 3, 2, 1000, bytes_per_second=3200, seconds_per_tile=60, slowness=0
    )
    assert slow.seconds == pytest.approx(180 + 4.95 + 1)


def test_many_workers_share_the_work():
    few, many = (workers.simulate_join(10**7, count, 150, 1e9) for count in (10, 100))
    assert 0.8 < many.efficiency < few.efficiency <= 1
    assert many.bytes_sent > few.bytes_sent


def test_passes_on_many_machines_by_hand():
    # 2**10 buckets of 300; half the bits differ: a pair meets once in 1,024 passes, 80% in ln(5) times as many.
    plan = workers.bucket_join(300 * 1024, 128, 1e-6, 16, recall=0.8)
    assert plan.passes == 1648
    assert plan.core_hours == pytest.approx(1648 * 300 * 1024 * 1e-6 / 3600)
    assert plan.bytes_sent == 300 * 1024 * (32 + 16 * 4)
    assert plan.hours == pytest.approx((103 * 300 * 1024 * 1e-6 + 300 * 1024 * 96 / 1e9) / 3600)
