"""The cost of a join on many machines by hand arithmetic."""

import pytest

from workbook.study import workers


def test_passes_on_many_machines_by_hand():
    # 2**10 buckets of 300, and half the bits differ: a pair meets once in 1,024 passes, and 80% of
    # the pairs in ln(5) times as many.
    plan = workers.bucket_join(300 * 1024, 128, 1e-6, 16, recall=0.8)
    assert plan.passes == 1648
    assert plan.core_hours == pytest.approx(1648 * 300 * 1024 * 1e-6 / 3600)
    assert plan.bytes_sent == 300 * 1024 * (32 + 16 * 4)
    assert plan.hours == pytest.approx((103 * 300 * 1024 * 1e-6 + 300 * 1024 * 96 / 1e9) / 3600)
