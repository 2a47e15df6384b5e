"""Timings in turn with equal results, costs and break-evens by hand, and the memory of calls."""

import math
import operator
import os
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest

from workbook.study import timing
from workbook.study.timing import (
    equal,
    one_thread,
    peak_memory,
    ratio,
    summarise,
    time_side_by_side,
)


def test_calls_take_turns_and_each_round_starts_with_another():
    order = []
    calls = {name: partial(order.append, name) for name in "abc"}
    timings = time_side_by_side(calls, repeats=3, warmup=1)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert list(timings.columns) == ["name", "repeat", "seconds"]
    assert list(timings["name"]) == list("aaabbbccc")
    assert list(timings["repeat"]) == [0, 1, 2] * 3
    assert (timings["seconds"] >= 0).all()


def test_a_call_whose_result_differs_is_named():
    calls = {"slow": lambda: np.array([1, 2]), "fast": lambda: np.array([1, 3])}
    with pytest.raises(AssertionError, match="'fast' gives a different result from 'slow'"):
        time_side_by_side(calls, repeats=1)
    assert len(time_side_by_side(calls, repeats=2, same=None)) == 4


def test_a_call_that_changes_its_answer_is_named():
    answers = iter([1, 1, 2])
    with pytest.raises(AssertionError, match="'moody'"):
        time_side_by_side({"moody": lambda: next(answers)}, repeats=2)


@pytest.mark.parametrize(("calls", "repeats"), [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time_is_refused(calls, repeats):
    with pytest.raises(ValueError, match="to time"):
        time_side_by_side(calls, repeats=repeats)


def test_equal_compares_what_the_library_returns():
    frame = pd.DataFrame({"a": [1.0, math.nan]})
    assert equal(frame, frame.copy())
    assert equal((np.zeros(2), ["x"]), (np.zeros(2), ["x"]))
    assert equal({"a": np.ones(1)}, {"a": np.ones(1)})
    assert not equal(np.zeros(2), np.zeros(3))
    assert not equal([1, 2], [1])
    assert not equal({"a": 1}, {"b": 1})


TIMINGS = pd.DataFrame(
    {
        "name": ["slow"] * 5 + ["fast"] * 5,
        "repeat": [0, 1, 2, 3, 4] * 2,
        "seconds": [10.0, 20.0, 30.0, 40.0, 50.0, 1.0, 4.0, 5.0, 8.0, 25.0],
    }
)


def test_summary_by_hand():
    """Quartiles of 10..50 are 20, 30, 40; two items a call halve them."""
    slow = summarise(TIMINGS, items=2).set_index("name").loc["slow"]
    assert tuple(slow) == (15.0, 10.0, 20.0, 1 / 15)
    assert list(summarise(TIMINGS)["name"]) == ["slow", "fast"]
    by_name = summarise(TIMINGS, items={"slow": 10, "fast": 1}).set_index("name")
    assert by_name["median"].to_dict() == {"slow": 3.0, "fast": 5.0}


def test_ratio_is_paired_by_repeat():
    """Ratios by repeat are 10, 5, 6, 5, 2: median 5, quartiles 5 and 6.

    Unpaired, the medians would give 30 / 5 = 6.
    """
    shuffled = TIMINGS.sample(frac=1, random_state=1)
    assert ratio(shuffled, "slow", "fast") == (5.0, 5.0, 6.0)
    with pytest.raises(ValueError, match="no timings of \\['other'\\]"):
        ratio(TIMINGS, "slow", "other")


def test_one_thread_holds_blas_to_one():
    from threadpoolctl import threadpool_info

    with one_thread():
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert all(threads == 1 for threads in pools)


def test_peak_memory_sees_the_array_and_not_the_imports():
    mebibytes = peak_memory(np.ones, 4 * 2**20)  # 32 MiB of float64
    assert 30 < mebibytes < 48
    assert peak_memory(np.ones, 1) < 8


def test_peak_memory_reports_what_failed():
    with pytest.raises(RuntimeError, match=r"ones failed.*negative dimensions"):
        peak_memory(np.ones, -1)


def test_a_line_is_split_into_what_starting_and_what_each_item_takes() -> None:
    rows = [
        ("a", 10, 3.0),
        ("a", 20, 5.0),
        ("b", 10, 1.0),
        ("b", 20, 2.0),
        ("a", 10, 3.0),
        ("b", 20, 2.0),
    ]
    costs = timing.fixed_and_per_item(pd.DataFrame(rows, columns=["name", "items", "seconds"]))
    assert costs["name"].tolist() == ["a", "b"]
    assert costs["fixed"].tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert costs["per_item"].tolist() == pytest.approx([0.2, 0.1])


def test_one_size_gives_no_line() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        timing.fixed_and_per_item(pd.DataFrame({"name": ["a"], "items": [1], "seconds": [1.0]}))


def test_break_even_by_hand() -> None:
    costs = pd.DataFrame(
        {"fixed": [0.0, 2.0, 1.0], "per_item": [0.3, 0.1, 0.4]}, index=["serial", "fast", "slow"]
    )
    items = timing.break_even(costs, "serial")
    assert items["fast"] == pytest.approx(10)
    assert np.isinf(items["slow"])


def test_many_names_are_different_and_lead_to_the_same_files(tmp_path) -> None:
    paths = [str(tmp_path / name) for name in ("a", "b")]
    for path in paths:
        open(path, "w").close()
    names = timing.many_names(paths, 5)
    assert len(set(names)) == 5
    for place, name in enumerate(names):
        assert os.path.samefile(name, paths[place % 2])
    many = timing.many_names(paths[:1], 10_000)
    assert len(set(many)) == 10_000
    assert os.path.samefile(many[-1], paths[0])
    with pytest.raises(ValueError, match="no paths"):
        timing.many_names([], 3)


def test_a_workers_memory_includes_its_imports() -> None:
    assert timing.worker_memory(os.getpid) > 10


def test_peaks_by_name_in_the_order_given():
    calls = {"much": (operator.mul, b"x", 60_000_000), "little": (operator.mul, b"x", 10)}
    mebibytes = timing.peaks(calls)
    assert list(mebibytes.index) == ["much", "little"]
    assert mebibytes["much"] > 50 > mebibytes["little"]


def test_cpu_of_waiting_is_little_and_of_processes_is_counted():
    def work():
        return sum(range(3_000_000))

    calls = {
        "wait": partial(time.sleep, 0.2),
        "work": work,
        "other": partial(timing.in_fresh_process, sum, range(9_000_000)),
    }
    table = timing.cpu_use(calls).set_index("name")
    assert table.loc["wait", "cores"] < table.loc["work", "cores"]
    assert table.loc["other", "cpu"] > 0
    assert (table["wall"] > 0).all()


def test_times_in_another_unit():
    summary = timing.summarise(pd.DataFrame({"name": ["a"] * 3, "seconds": [0.001, 0.002, 0.003]}))
    row = timing.in_unit(summary, "ms").iloc[0]
    assert (row["low"], row["ms"], row["high"]) == pytest.approx((1.5, 2, 2.5))
    assert timing.in_unit(summary, "us")["us"].iloc[0] == pytest.approx(2000)
    assert summary["low"].iloc[0] == pytest.approx(0.0015)


def test_speed_ups_are_ratios_of_the_times_of_an_item():
    timings = pd.DataFrame(
        {
            "name": ["slow", "fast", "slow", "fast"],
            "repeat": [0, 0, 1, 1],
            "seconds": [10.0, 4.0, 20.0, 4.0],
        }
    )
    table = timing.speed_ups(timings, "slow", {"slow": 1, "fast": 4}).set_index("name")
    assert table.loc["fast", "ms"] == pytest.approx(1000)
    assert table.loc["fast", ["low", "speed_up", "high"]].tolist() == [12.5, 15, 17.5]
    assert table.loc["slow", "speed_up"] == 1


def test_executors_are_compared_with_the_serial_one_by_hand():
    timings = pd.DataFrame(
        {
            "name": ["serial", "serial", "threads", "threads"],
            "files": [10, 20, 10, 20],
            "seconds": [10.0, 20.0, 15.0, 20.0],
        }
    )
    table = timing.compare_executors(timings, {"serial": 1, "threads": 2}).set_index("executor")
    threads = table.loc["threads"]
    assert threads["start_up_s"] == pytest.approx(10)
    assert threads["files_per_second"] == pytest.approx(2)
    assert threads["speed_up"] == pytest.approx(2)
    assert threads["efficiency"] == pytest.approx(1)
    assert threads["break_even_files"] == pytest.approx(20)


def test_when_something_pays_in_words():
    words = [timing.when_worth_it(files) for files in (math.inf, 0.5, 2345.6)]
    assert words == ["never here", "always", "from about 2,346 files on"]


def test_a_task_costs_what_more_tasks_take_longer():
    medians = pd.DataFrame({"name": ["dask"] * 2, "chunk": [1, 10], "seconds": [2.0, 1.1]})
    assert timing.task_cost(medians, 100)["dask"] == pytest.approx(10)
