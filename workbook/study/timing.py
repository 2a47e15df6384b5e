"""Measure time and memory fairly: calls are timed side by side, and their results are compared.

Times: `time_side_by_side` measures, `summarise` and `ratio` reduce the measurements, `cpu_use`
compares wall-clock time with processor time, `fixed_and_per_item` and `break_even` turn
measurements into a cost model.

Memory: `peak_memory`, `peaks` and `worker_memory` start a fresh process for each measurement,
because a process that has already computed something no longer shows what a single call needs.
"""

import gc
import math
import os
import pickle
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

Call = Callable[[], Any]
Function = Callable[..., Any]
QUARTILES = [0.25, 0.5, 0.75]

UNITS = {"ms": 1e3, "us": 1e6}
"""How many of a unit of time are a second."""
SERVE = "from workbook.study.timing import _serve; _serve()"
"""What the Python of a fresh process runs."""


class Ratio(NamedTuple):
    """A ratio of times, paired by repeat.

    median: the median of the ratios over the repeats.
    low, high: their quartiles.
    """

    median: float
    low: float
    high: float


# Conditions under which to measure ----------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread inside the block, for what is claimed per core."""
    with threadpool_limits(limits=1):
        yield


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Exempt the objects that exist now from garbage collection inside the block.

    Otherwise every collection before a timed call walks through all of them.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_collection() -> Iterator[None]:
    """Collect garbage before the block and switch the collector off inside it.

    How long a collection takes depends on everything else that is in memory, so it must not fall
    into a measurement.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# Times --------------------------------------------------------------------------------------------


def equal(one: Any, other: Any) -> bool:
    """Whether two results are exactly equal.

    Arrays are compared by shape and values, tables by `equals`, sequences and mappings item by
    item, and everything else by `==`.
    """
    if isinstance(one, pd.DataFrame | pd.Series):
        return bool(one.equals(other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _equal_mappings(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return _equal_sequences(one, other)
    return bool(one == other)


def _equal_mappings(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    if one.keys() != other.keys():
        return False
    return all(equal(one[key], other[key]) for key in one)


def _equal_sequences(one: Sequence[Any], other: Sequence[Any]) -> bool:
    if len(one) != len(other):
        return False
    return all(map(equal, one, other))


def time_side_by_side(
    calls: Mapping[str, Call],
    *,
    repeats: int = 7,
    warmup: int = 1,
    same: Callable[[Any, Any], bool] | None = equal,
) -> pd.DataFrame:
    """Time several calls in turn, so that a slow spell of the machine affects all of them alike.

    Every round runs each call once, and each round starts one call later than the round before.
    The first `warmup` rounds are run but not recorded.

    calls: functions without arguments, by name.
    same: compares the result of each call, warm-up included, with the very first result. Give
        None only where results may rightly differ.

    Returns one row for each call and repeat, with the columns name, repeat and seconds
    (wall-clock time).
    Raises ValueError if there is nothing to time, and AssertionError, with the name of the call,
    if a result differs.
    """
    if not calls or repeats < 1 or warmup < 0:
        raise ValueError(
            "there is nothing to time: give at least one call and one repeat, and no negative "
            "number of warm-up rounds; "
            f"{len(calls)} calls, {repeats} repeats and {warmup} rounds were given"
        )
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    first_name = names[0]
    first_result: Any = None
    has_first_result = False
    with frozen_heap():
        for repeat, name in _interleave(names, repeats, warmup):
            result, elapsed = _time_once(calls[name])
            if same is not None:
                if not has_first_result:
                    first_result = result
                    has_first_result = True
                assert same(first_result, result), (
                    f"{name!r} gives a different result from {first_name!r}"
                )
            if repeat >= 0:
                seconds[name].append(elapsed)
    rows = []
    for name in names:
        for repeat, elapsed in enumerate(seconds[name]):
            rows.append((name, repeat, elapsed))
    return pd.DataFrame(rows, columns=["name", "repeat", "seconds"])


def _interleave(names: list[str], repeats: int, warmup: int) -> list[tuple[int, str]]:
    """The order in which calls are run: pairs of repeat and name.

    Repeats of the warm-up are negative.
    """
    order = []
    for repeat in range(-warmup, repeats):
        start = max(repeat, 0) % len(names)
        for name in names[start:] + names[:start]:
            order.append((repeat, name))
    return order


def _time_once(call: Call) -> tuple[Any, float]:
    """What the call returns, and the seconds that it took."""
    with without_collection():
        start = perf_counter()
        result = call()
        elapsed = perf_counter() - start
    return result, elapsed


def summarise(
    timings: pd.DataFrame,
    items: int | Mapping[str, int] = 1,
) -> pd.DataFrame:
    """Reduce timings to one row for each name: what an item costs, and the items per second.

    timings: as `time_side_by_side` returns them.
    items: the number of items that a single call handled, either one number for all calls or one
        for each of them by name.

    Returns the columns name, median, low and high (seconds an item and their quartiles) and
    items_per_second, with the names in their original order.
    """
    rows = []
    for name, group in timings.groupby("name", sort=False):
        count = items[str(name)] if isinstance(items, Mapping) else items
        per_item = np.quantile(group["seconds"], QUARTILES) / count
        low, median, high = per_item.tolist()
        rows.append((name, median, low, high, 1 / median))
    return pd.DataFrame(rows, columns=["name", "median", "low", "high", "items_per_second"])


def in_unit(summary: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Write the times of `summarise` in another unit than seconds, for a figure or a table.

    unit: "ms" or "us". Returns the same table with the median in a further column of that name, and
    low and high in that unit.
    """
    factor = UNITS[unit]
    in_that_unit = summary.copy()
    in_that_unit[unit] = summary["median"] * factor
    in_that_unit["low"] = summary["low"] * factor
    in_that_unit["high"] = summary["high"] * factor
    return in_that_unit


def speed_ups(
    timings: pd.DataFrame,
    base: str,
    items: int | Mapping[str, int] = 1,
) -> pd.DataFrame:
    """Compare each call of `time_side_by_side` with a slow one.

    Returns the columns of `summarise` and ms (median, for each item), but low and high are the
    quartiles of a further column, speed_up: how many times as fast as `base` a call is. base: the
    name of the slow one. items: as for `summarise`.
    """
    table = summarise(timings, items)
    counts = items if isinstance(items, Mapping) else dict.fromkeys(table["name"], items)
    per_item = timings.assign(seconds=timings["seconds"] / timings["name"].map(counts))
    ratios = [ratio(per_item, base, str(name)) for name in table["name"]]
    table["ms"] = table["median"] * 1e3
    table["speed_up"] = [one.median for one in ratios]
    table["low"] = [one.low for one in ratios]
    table["high"] = [one.high for one in ratios]
    return table


def ratio(timings: pd.DataFrame, numerator: str, denominator: str) -> Ratio:
    """How many times as long one call took as another.

    `ratio(timings, "slow", "fast")` is the speed-up of "fast".

    The ratio is taken within each repeat, and then its median and quartiles over the repeats.
    Raises ValueError if there are no timings of one of the two names.
    """
    seconds = timings.pivot(index="repeat", columns="name", values="seconds")
    missing = {numerator, denominator} - set(seconds)
    if missing:
        raise ValueError(
            f"there are no timings of {sorted(missing)}; the names timed are {list(seconds)}"
        )
    ratios = seconds[numerator] / seconds[denominator]
    low, median, high = np.quantile(ratios, QUARTILES)
    return Ratio(float(median), float(low), float(high))


def cpu_use(calls: Mapping[str, Call], *, repeats: int = 1) -> pd.DataFrame:
    """Compare the wall-clock time of each call with the processor time that it used.

    The calls are run in turn, and medians are taken over `repeats`. Processor time is user and
    system time, and includes that of processes which the call starts and waits for.

    Returns the columns name, wall, cpu (both in seconds) and cores: processor time over
    wall-clock time, which is the average number of cores that were busy.
    """
    rows = []
    for _ in range(repeats):
        for name, call in calls.items():
            cpu_before = _processor_seconds()
            start = perf_counter()
            call()
            wall = perf_counter() - start
            cpu = _processor_seconds() - cpu_before
            rows.append((name, wall, cpu))
    timings = pd.DataFrame(rows, columns=["name", "wall", "cpu"])
    medians = timings.groupby("name", sort=False).median().reset_index()
    return medians.assign(cores=medians["cpu"] / medians["wall"])


def _processor_seconds() -> float:
    """User and system time of this process and of the child processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def fixed_and_per_item(timings: pd.DataFrame) -> pd.DataFrame:
    """Split the time of each call into what it costs to start and what each item adds.

    A line is fitted to the median seconds against the number of items.

    timings: the columns name, items and seconds, with at least two different numbers of items for
        each name.

    Returns the columns name, fixed (seconds, at least 0) and per_item (seconds).
    Raises ValueError if a name was timed with one number of items only.
    """
    grouped = timings.groupby(["name", "items"], sort=False)
    medians = grouped["seconds"].median().reset_index()
    rows = []
    for name, points in medians.groupby("name", sort=False):
        if len(points) < 2:
            raise ValueError(
                f"{name}: a line needs two sizes or more, and {len(points)} was timed; "
                "time another number of items"
            )
        per_item, fixed = np.polyfit(points["items"], points["seconds"], 1)
        rows.append((name, max(0.0, float(fixed)), float(per_item)))
    return pd.DataFrame(rows, columns=["name", "fixed", "per_item"])


def break_even(costs: pd.DataFrame, base: str) -> pd.Series:
    """The number of items from which each way of working is faster than `base`.

    It is infinity where the way never becomes faster.

    costs: the columns fixed and per_item, as `fixed_and_per_item` returns them, indexed by name.
    """
    base_costs: Any = costs.loc[base]
    saved_per_item: Any = base_costs["per_item"] - costs["per_item"]
    extra_at_start: Any = costs["fixed"] - base_costs["fixed"]
    saved_per_item = saved_per_item.where(saved_per_item > 0)
    items = extra_at_start.clip(lower=0) / saved_per_item
    return items.fillna(np.inf).rename("break_even")


# Memory -------------------------------------------------------------------------------------------


def compare_executors(timings: pd.DataFrame, workers: Mapping[str, int]) -> pd.DataFrame:
    """What each way to run costs to start and gains for each file, compared with running serially.

    timings: the columns name, files and seconds; "serial" is one of the names. workers: by name.
    Returns the columns executor, workers, start_up_s, files_per_second, speed_up, efficiency (the
    speed-up for each worker) and break_even_files.
    """
    costs = fixed_and_per_item(timings.rename(columns={"files": "items"})).set_index("name")
    table = pd.DataFrame({"executor": costs.index, "start_up_s": costs["fixed"].to_numpy()})
    table.insert(1, "workers", [workers[name] for name in costs.index])
    per_file = costs["per_item"].to_numpy()
    table["files_per_second"] = 1 / per_file
    table["speed_up"] = costs.loc["serial", "per_item"] / per_file
    table["efficiency"] = table["speed_up"] / table["workers"]
    table["break_even_files"] = break_even(costs, "serial").to_numpy()
    return table


def when_worth_it(files: float) -> str:
    """From how many files on something pays, in words; `files` is a break-even, maybe infinite."""
    if not math.isfinite(files):
        return "never here"
    if files <= 1:
        return "always"
    return f"from about {files:,.0f} files on"


def task_cost(medians: pd.DataFrame, files: int) -> pd.Series:
    """The milliseconds that a task costs each executor, from the smallest and the largest chunk.

    medians: columns name, chunk and seconds for that number of files. Below 0 means that the cost
    is lost in the noise.
    """
    seconds = medians.pivot(index="chunk", columns="name", values="seconds")
    smallest = seconds.index.min()
    largest = seconds.index.max()
    more_tasks = files / smallest - files / largest
    return (seconds.loc[smallest] - seconds.loc[largest]) / more_tasks * 1e3


def high_water() -> float:
    """The most memory that this process has occupied so far: its peak resident size in MiB.

    Linux's `ru_maxrss` also counts what the parent process had occupied when it started this one,
    so VmHWM is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        kibibytes = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]
        return int(kibibytes) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def reset_high_water() -> None:
    """Lower the peak that `high_water` reports to the memory in use now.

    Linux can do that; on other systems nothing happens.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def in_fresh_process(
    function: Function,
    *args: Any,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Call function(*args) in a new Python process, where nothing is imported or compiled yet.

    The function must be importable, and its arguments and its result picklable.

    environment: variables that are set for the new process in addition to this one's.

    Raises RuntimeError with the last line of the error that was reported there, if the call
    fails.
    """
    return _call_in_process(_name_of(function), function, args, environment)


def _name_of(function: Function) -> str:
    return str(getattr(function, "__name__", function))


def _call_in_process(
    name: str,
    function: Function,
    args: tuple[Any, ...],
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Run `_serve` in a new process; `name` is the function to report if it fails."""
    variables = dict(os.environ)
    if environment is not None:
        variables.update(environment)
    process = subprocess.run(
        [sys.executable, "-c", SERVE],
        input=pickle.dumps((function, args)),
        capture_output=True,
        env=variables,
    )
    if process.returncode != 0:
        lines = process.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {process.returncode}"
        raise RuntimeError(f"{name} failed in a process of its own: {reason}")
    return pickle.loads(process.stdout)


def _serve() -> None:
    """In the new process: read a function and its arguments, call it, and write its result."""
    function, arguments = pickle.load(sys.stdin.buffer)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the function prints must not get into the answer
    result = function(*arguments)
    with open(answer, "wb") as out:
        pickle.dump(result, out)


def peak_memory(
    function: Function,
    *args: Any,
    before: Call | None = None,
) -> float:
    """The memory that function(*args) needs at its peak, in MiB.

    What its process occupied at the start is subtracted. Each measurement starts a fresh process.
    The memory of further processes that the function starts is not counted.

    before: a function that is run first and not counted, for example to compile a kernel.

    Function, arguments and errors are as for `in_fresh_process`.
    """
    peak = _call_in_process(_name_of(function), _measure_peak, (function, args, before))
    return float(peak)


def _measure_peak(
    function: Function,
    arguments: tuple[Any, ...],
    before: Call | None,
) -> float:
    if before is not None:
        before()
    gc.collect()
    reset_high_water()  # so that what the imports needed is not counted
    start = high_water()
    function(*arguments)
    return high_water() - start


def peaks(
    calls: Mapping[str, tuple[Any, ...]],
    *,
    before: Call | None = None,
) -> pd.Series:
    """Measure `peak_memory` of several calls, two fresh processes at a time.

    calls: by name, tuples of a function and its arguments.

    Returns the MiB of each call, indexed by its name.
    """

    def measure(call: tuple[Any, ...]) -> float:
        return peak_memory(*call, before=before)

    with ThreadPoolExecutor(2) as pool:
        mebibytes = list(pool.map(measure, calls.values()))
    return pd.Series(dict(zip(calls, mebibytes, strict=True)), name="peak_mib")


def worker_memory(function: Function, *args: Any) -> float:
    """The peak resident MiB of a new worker process that has called function(*args) once.

    What its imports need is included.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(function, *args).result()
        return pool.submit(high_water).result()


# Many files out of a few --------------------------------------------------------------------------


def many_names(paths: Sequence[str], count: int) -> list[str]:
    """Spell the given files in `count` different ways, to have enough names for a measurement.

    The first round has the paths as they are. Each later round spells its own number in binary
    before the file's name, "./" for a one and "/" for a zero, so that ten thousand names of a
    single file stay short enough to open.

    Raises ValueError if no paths are given.
    """
    if not paths:
        raise ValueError("there are no paths to name in other ways: give at least one file")
    names: list[str] = []
    round_number = 0
    while len(names) < count:
        prefix = _spell(round_number)
        for path in paths:
            folder, name = os.path.split(path)
            names.append(os.path.join(folder, prefix + name))
        round_number += 1
    return names[:count]


def _spell(number: int) -> str:
    """A part of a path that spells the number in binary and leads nowhere; "" for 0."""
    if number == 0:
        return ""
    steps = {"0": os.sep, "1": "." + os.sep}
    return "".join(steps[digit] for digit in f"{number:b}")
