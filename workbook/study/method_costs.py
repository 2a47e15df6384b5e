"""Calculate what hashing and grouping cost with each method, from tables that runs have measured.

Three pieces of work grow with the number of images: hashing files, comparing every pair of hashes,
and clustering without comparing every pair. Each row of the result says whether it was measured at
that number of images or calculated from a rate that was measured on fewer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbook.study.growth import power_law

SIZES = tuple(10**power for power in range(3, 9))
"""Numbers of images for which costs are calculated: a thousand to a hundred million."""

PURE_PYTHON = "FINd, pure Python"
HASHERS = ("find", "ahash256", "dhash256", "phash256", "whash256", "find+dhash256")
ROWS = "dhash256-rows"
MIB = 2**20  # bytes
COLUMNS = ["method", "work", "images", "measured", "cpu_s", "seconds", "mib"]


@dataclass(frozen=True)
class Tables:
    """The measured tables that costs are calculated from.

    methods: notebook 03's, with hasher, ms of one core for a file, and bytes of a hash. executors:
    notebook 04's, with executor, workers and speed_up. pair_rates: pairs that one core compares in
    a second within a radius, by method. clusterings: the growth of clustering with n, seconds,
    cpu_s and mib, by method. python_ms, python_mib: the time of FINd in pure Python for a file, and
    its peak memory.
    """

    methods: pd.DataFrame
    executors: pd.DataFrame
    pair_rates: Mapping[str, float]
    clusterings: Mapping[str, pd.DataFrame]
    python_ms: float
    python_mib: float


def calculate(tables: Tables, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Calculate the costs of all methods for these numbers of images, and add those measured.

    Columns method, work ("hashing", "every pair" or "clustering"), images, measured, cpu_s (seconds
    of a core, over all cores), seconds (wall-clock, on the cores of the run) and mib (memory).
    """
    parts = [
        hashing(tables, sizes),
        every_pair(tables, sizes),
        clustering(tables.clusterings, sizes),
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def hashing(tables: Tables, sizes: Sequence[int]) -> pd.DataFrame:
    """The cost of hashing files, which grows with their number; memory is the hashes' own.

    finlib hashes with threads, as fast as notebook 04 measured; pure Python needs processes, which
    are taken to share the work evenly.
    """
    methods = tables.methods.set_index("hasher")
    seconds_each = methods["ms"] / 1000
    mib_each = methods["bytes"] / MIB
    threads = tables.executors.set_index("executor").loc["threads"]
    speed_up = threads["speed_up"]
    cores = threads["workers"]
    images = np.asarray(sizes, dtype=np.float64)
    parts = []
    for hasher in HASHERS:
        cpu = images * seconds_each[hasher]
        stored = images * mib_each[hasher]
        parts.append(_calculated(hasher, "hashing", images, cpu, cpu / speed_up, stored))
    cpu = images * tables.python_ms / 1000
    memory = images * mib_each["find"] + cores * tables.python_mib
    parts.append(_calculated(PURE_PYTHON, "hashing", images, cpu, cpu / cores, memory))
    return pd.concat(parts, ignore_index=True)


def every_pair(tables: Tables, sizes: Sequence[int]) -> pd.DataFrame:
    """The cost of comparing every pair within a radius, for the methods with a measured rate."""
    mib_each = tables.methods.set_index("hasher")["bytes"] / MIB
    threads = tables.executors.set_index("executor").loc["threads"]
    cores = threads["workers"]
    images = np.asarray(sizes, dtype=np.float64)
    pairs = images * (images - 1) / 2
    parts = []
    for method, rate in tables.pair_rates.items():
        hasher = method.removesuffix("-rows")
        stored = images * mib_each[hasher]
        cpu = pairs / rate
        parts.append(_calculated(method, "every pair", images, cpu, cpu / cores, stored))
    return pd.concat(parts, ignore_index=True)


def clustering(
    clusterings: Mapping[str, pd.DataFrame], sizes: Sequence[int] = SIZES
) -> pd.DataFrame:
    """The measured cost of clustering, and what follows from it beyond the largest measured set.

    Times follow the power law that fits all sets of a method. Memory grows in proportion from the
    largest set, because small sets need little beyond a constant, which a law would carry on.
    """
    parts = []
    for method, growth in clusterings.items():
        measured = growth.rename(columns={"n": "images"})
        parts.append(measured.assign(method=method, work="clustering", measured=True))
        largest = growth["n"].max()
        beyond = np.array([size for size in sizes if size > largest])
        if not len(beyond):
            continue
        cpu = _extrapolated(growth, "cpu_s", beyond)
        seconds = _extrapolated(growth, "seconds", beyond)
        memory = growth.loc[growth["n"].idxmax(), "mib"] * beyond / largest
        parts.append(_calculated(method, "clustering", beyond, cpu, seconds, memory))
    return pd.concat(parts, ignore_index=True)


def _extrapolated(growth: pd.DataFrame, resource: str, sizes: np.ndarray) -> np.ndarray:
    """What the power law that fits a column of the growth gives for other sizes."""
    law = power_law(growth["n"], growth[resource])
    return np.array([law(size) for size in sizes])


def _calculated(
    method: str,
    work: str,
    images: np.ndarray,
    cpu_s: np.ndarray,
    seconds: np.ndarray,
    mib: np.ndarray,
) -> pd.DataFrame:
    """Rows of costs that were not measured at these numbers of images."""
    frame = pd.DataFrame(
        {
            "images": images.astype(np.int64),
            "cpu_s": cpu_s,
            "seconds": seconds,
            "mib": mib,
        }
    )
    return frame.assign(method=method, work=work, measured=False)
