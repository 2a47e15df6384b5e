"""The cost of a join on many machines by hand arithmetic."""

import pandas as pd
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


def test_rows_on_many_machines_by_hand():
    # Two machines of 16 cores; each pass sends 40 bytes a hash and gets 16 back on one machine.
    n = 1e9
    plan = workers.row_join(n, 8e-6, 1e-8, 32, passes=10)
    assert plan.passes == 10
    assert plan.core_hours == pytest.approx((8000 + 100) / 3600)
    assert plan.bytes_sent == pytest.approx(10 * 56e9)
    assert plan.hours == pytest.approx((8000 / 32 + 100 + 10 * (20 + 16)) / 3600)
    assert plan.bytes_a_machine == pytest.approx((80e9 + 12e9) / 2 + 8e9)


def test_rows_are_planned_from_what_was_measured():
    measured = pd.DataFrame({"n": [1e5, 1e6, 1e7, 1e8], "cpu_s": [1, 10, 100, 1000]})
    plans = workers.plan_rows(measured, 0.0, [1e9, 1e10], [1000])
    assert plans["images"].tolist() == ["1e9", "1e10"]
    assert plans["core_hours"].tolist() == pytest.approx([10_000 / 3600, 100_000 / 3600])
