"""Measure fairly: time calls side by side with their results compared, and the memory that a call needs at its peak."""

import gc
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


class Ratio(NamedTuple):
    """A paired ratio of times: median and quartiles over the repeats."""

    median: float
    low: float
    high: float


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS and OpenMP held to one thread inside the block: for everything that is claimed per core."""
    with threadpool_limits(limits=1):
        yield


@contextmanager
def frozen_heap() -> Iterator[None]:
    """What the process holds by now set aside from collection, which else goes through all of it before every call."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_collection() -> Iterator[None]:
    """Garbage collected before the block and not in it: how long that takes depends on all else the process holds."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def equal(a: Any, b: Any) -> bool:
    """Exact equality of results: arrays (shape and values), tables, sequences and mappings of them, all else by ==."""
    if isinstance(a, pd.DataFrame | pd.Series):
        return bool(a.equals(b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def time_side_by_side(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 7,
    warmup: int = 1,
    same: Callable[[Any, Any], bool] | None = equal,
) -> pd.DataFrame:
    """Wall seconds of each call, interleaved so that a slow spell of the machine meets all of them alike.

    Every round runs each call once and starts one call further along. `same` compares each result, warm-up included,
    with the first call's first one; None only where results differ rightly. -> columns name, repeat, seconds.
    Raises ValueError without calls or repeats, AssertionError naming the call whose result differs.
    """
    if not calls or repeats < 1 or warmup < 0:
        raise ValueError(
            f"need a call and a repeat to time, got {len(calls)} calls, {repeats} repeats, {warmup} warm-ups"
        )
    names, rows, first = list(calls), [], None
    turns = range(-warmup, repeats)
    rounds = [(turn, name) for turn in turns for name in np.roll(names, -max(turn, 0)).tolist()]
    with frozen_heap():
        for turn, name in rounds:
            with without_collection():
                start = perf_counter()
                result = calls[name]()
                seconds = perf_counter() - start
            if same is not None:
                first = first or (name, result)
                assert same(first[1], result), f"{name!r} gives another result than {first[0]!r}"
            if turn >= 0:
                rows.append((name, turn, seconds))
    order = {name: place for place, name in enumerate(names)}
    rows.sort(key=lambda row: (order[row[0]], row[1]))
    return pd.DataFrame(rows, columns=["name", "repeat", "seconds"])


def summarise(timings: pd.DataFrame, items: int | Mapping[str, int] = 1) -> pd.DataFrame:
    """Median and quartiles (low, high) of the seconds per item, and items per second; one row per name, in order.

    items: how many a single call handled, one number for all or one per name.
    """
    rows = []
    for name, group in timings.groupby("name", sort=False):
        count = items[str(name)] if isinstance(items, Mapping) else items
        low, median, high = (
            float(q) for q in np.quantile(group["seconds"], [0.25, 0.5, 0.75]) / count
        )
        rows.append((name, median, low, high, 1 / median))
    return pd.DataFrame(rows, columns=["name", "median", "low", "high", "items_per_second"])


def ratio(timings: pd.DataFrame, numerator: str, denominator: str) -> Ratio:
    """seconds[numerator] / seconds[denominator], paired by repeat: ratio(t, "slow", "fast") is the speed-up of fast."""
    seconds = timings.pivot(index="repeat", columns="name", values="seconds")
    missing = {numerator, denominator} - set(seconds)
    if missing:
        raise ValueError(f"no timings of {sorted(missing)}; there are {list(seconds)}")
    low, median, high = np.quantile(seconds[numerator] / seconds[denominator], [0.25, 0.5, 0.75])
    return Ratio(float(median), float(low), float(high))


def _high_water() -> float:
    """Peak resident MiB of this process. Linux's ru_maxrss also counts the parent's before exec, hence VmHWM there."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _serve() -> None:
    function, arguments = pickle.load(sys.stdin.buffer)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the function prints must not get into the answer
    result = function(*arguments)
    with open(answer, "wb") as out:
        pickle.dump(result, out)


def in_fresh_process(
    function: Callable[..., Any], *args: Any, environment: Mapping[str, str] | None = None
) -> Any:
    """function(*args) in a Python of its own, which nothing has used before; all of it importable and picklable.

    environment: variables set for that process on top of this one's.

    Raises RuntimeError with the last line of what the process said, where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", "from workbook.study.timing import _serve; _serve()"],
        input=pickle.dumps((function, args)),
        capture_output=True,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        asked = args[0] if function is _peak else function
        name = getattr(asked, "__name__", str(asked))
        raise RuntimeError(
            f"{name} failed in a process of its own: {''.join(why) or done.returncode}"
        )
    return pickle.loads(done.stdout)


def _peak(
    function: Callable[..., Any], arguments: tuple[Any, ...], before: Callable[[], Any] | None
) -> float:
    if before is not None:
        before()
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(
            "5"
        )  # peak := present, so that what the imports took is not counted
    start = _high_water()
    function(*arguments)
    return _high_water() - start


def peak_memory(
    function: Callable[..., Any], *args: Any, before: Callable[[], Any] | None = None
) -> float:
    """Peak resident MiB of function(*args) over what its process held at the start; a fresh process each time.

    `before` runs first and is not counted: a kernel's compilation, say. Memory of processes that the function starts
    itself is not counted. Function, arguments and errors as for `in_fresh_process`.
    """
    return float(in_fresh_process(_peak, function, args, before))


def peaks(
    calls: Mapping[str, tuple[Any, ...]], *, before: Callable[[], Any] | None = None
) -> pd.Series:
    """`peak_memory` of each call, (function, *arguments), by its name; two fresh processes at a time."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda call: peak_memory(*call, before=before), calls.values())
        return pd.Series(dict(zip(calls, found, strict=True)), name="peak_mib")


def cpu_use(calls: Mapping[str, Callable[[], Any]], *, repeats: int = 1) -> pd.DataFrame:
    """Wall and CPU seconds of each call, interleaved, medians of `repeats`; CPU is user and system time, with that of
    processes that the call starts and waits for. Columns name, wall, cpu, cores (busy on average: CPU over wall)."""
    rows = []
    for _ in range(repeats):
        for name, call in calls.items():
            before, start = os.times(), perf_counter()
            call()
            wall, after = perf_counter() - start, os.times()
            rows.append((name, wall, sum(after[:4]) - sum(before[:4])))
    found = (
        pd.DataFrame(rows, columns=["name", "wall", "cpu"])
        .groupby("name", sort=False)
        .median()
        .reset_index()
    )
    return found.assign(cores=found["cpu"] / found["wall"])


def worker_memory(function: Callable[..., Any], *args: Any) -> float:
    """Peak resident MiB of a fresh worker process that has called function(*args) once, imports and all."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(function, *args).result()
        return pool.submit(_high_water).result()


def many_names(paths: Sequence[str], count: int) -> list[str]:
    """`count` different paths of the given files: after the first round each has "./" and "/" before its name.

    These spell the round's number in binary, so that ten thousand names of a single file stay short enough to open.
    """
    if not paths:
        raise ValueError("no paths to name again")
    rounds = -(-count // len(paths))
    steps = {"0": os.sep, "1": "." + os.sep}
    folders = ["".join(steps[bit] for bit in f"{turn:b}") if turn else "" for turn in range(rounds)]
    split = [os.path.split(path) for path in paths]
    return [os.path.join(folder, extra + name) for extra in folders for folder, name in split][
        :count
    ]


def fixed_and_per_item(timings: pd.DataFrame) -> pd.DataFrame:
    """The line through median seconds against `items`, a row a name: seconds `fixed` (at least 0) and `per_item`.

    timings: columns name, items, seconds, with at least two sizes. ValueError with fewer.
    """
    medians = timings.groupby(["name", "items"], sort=False)["seconds"].median().reset_index()
    rows = []
    for name, part in medians.groupby("name", sort=False):
        if len(part) < 2:
            raise ValueError(f"{name}: a line needs two sizes, got {len(part)}")
        per_item, fixed = np.polyfit(part["items"], part["seconds"], 1)
        rows.append((name, max(0.0, float(fixed)), float(per_item)))
    return pd.DataFrame(rows, columns=["name", "fixed", "per_item"])


def break_even(costs: pd.DataFrame, base: str) -> pd.Series:
    """Items from which each row of `costs` (index name, columns fixed and per_item) beats `base`; inf where never."""
    own: Any = costs.loc[base]
    saved: Any = own["per_item"] - costs["per_item"]
    extra: Any = (costs["fixed"] - own["fixed"]).clip(lower=0)
    return (extra / saved.where(saved > 0)).fillna(np.inf).rename("break_even")
