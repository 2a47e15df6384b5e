"""Measure how fast finlib is, as ratios that hardly depend on the machine, for `make bench`.

Each run appends its ratios to a table in the repository, with the machine and the commit. A change
that makes finlib slower then shows as a step in the history, whatever machine measured it.
"""

import os
import subprocess
import sys
import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

import finlib
from finlib.hashing import decoding
from finlib.matching.near import Resources
from workbook.report import record
from workbook.study import families, targets, timing, web_like

HISTORY = "bench.csv"
"""The table to which runs are appended."""


class Size(NamedTuple):
    """How much a run measures.

    files: JPEGs that are hashed. scan: hashes, and queries among them. clustered: hashes that are
    clustered. repeats: of each measurement.
    """

    files: int
    scan: tuple[int, int]
    clustered: int
    repeats: int


SIZES = {
    "small": Size(files=8, scan=(4_000, 1_000), clustered=5_000, repeats=1),
    "full": Size(files=64, scan=(40_000, 8_000), clustered=300_000, repeats=5),
}

RATIOS = {
    "file_over_decode": ("file", "decode"),
    "dhash_file_over_decode": ("dhash256", "decode"),
    "sum_file_over_decode": ("find+dhash256", "decode"),
    "faiss_over_scan": ("faiss 64", "scan 64"),
    "cluster_over_decode": ("cluster an image", "decode"),
    "import_over_numpy": ("import finlib", "import numpy"),
    "first_hash_over_numpy": ("first hash", "import numpy"),
    "compile_over_numpy": ("first hash, not yet compiled", "import numpy"),
}
"""The ratios of a run, and the names under which the two times of each were measured."""

FIRST_HASH = """
import finlib
from PIL import Image
finlib.findhash(Image.linear_gradient("L"))
"""


def run_bench(size: str = "full", history: str | Path = HISTORY) -> pd.DataFrame:
    """Measure the ratios and append them to the history.

    size: a key of SIZES.

    Returns the rows that were appended. Raises ValueError for an unknown size.
    """
    if size not in SIZES:
        raise ValueError(f"there is no size {size!r}; choose from {', '.join(SIZES)}")
    chosen = SIZES[size]
    groups = (
        time_files(chosen.files, chosen.repeats),
        targets.time_scans(*chosen.scan, chosen.repeats),
        time_clustering(chosen.clustered, chosen.repeats),
        time_first_use(chosen.repeats),
    )
    table = pd.DataFrame(ratio_rows(pd.concat(groups, ignore_index=True)))
    described = pd.DataFrame([description(size)] * len(table))
    rows = described.join(table)
    append(rows, Path(history))
    return rows


def description(size: str) -> dict[str, Any]:
    """When, of which code and on what the ratios were measured."""
    machine = record.machine()
    return {
        "date": date.today().isoformat(),
        "commit": record.commit(),
        "size": size,
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "system": machine["system"],
        "python": machine["python"],
    }


def ratio_rows(timings: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each of RATIOS: its median and quartiles, to four significant digits."""
    rows = []
    for name, (numerator, denominator) in RATIOS.items():
        measured = timing.ratio(timings, numerator, denominator)
        row: dict[str, Any] = {"ratio": name}
        for part, value in measured._asdict().items():
            row[part] = float(f"{value:.4g}")
        rows.append(row)
    return rows


def append(rows: pd.DataFrame, history: Path) -> None:
    """Add rows to the end of the history, which is begun where there is none.

    Raises ValueError where the history has other columns.
    """
    is_new = not history.exists()
    if not is_new:
        require_columns(history, rows.columns.tolist())
    rows.to_csv(
        history,
        mode="a",
        header=is_new,
        index=False,
        lineterminator="\n",
    )


def require_columns(history: Path, columns: list[str]) -> None:
    """ValueError unless the history has these columns."""
    known = pd.read_csv(history, nrows=0).columns.tolist()
    if known != columns:
        raise ValueError(
            f"{history} has the columns {', '.join(known)}, and these rows have "
            f"{', '.join(columns)}: move the file away to begin a new history"
        )


# What is measured, each with the columns name, repeat and seconds ---------------------------------


def time_files(count: int, repeats: int) -> pd.DataFrame:
    """Time files to hashes and the decoding of the same JPEGs, per file and on one core."""
    paths = jpegs(count)
    return targets.time_all(paths, repeats=repeats, reference_images=1)


def jpegs(count: int) -> list[str]:
    """The first built-in images that libjpeg-turbo is known to decode as Pillow does."""
    listed = families.dataset("", families=count, per_family=2)["path"]
    fast = [path for path in listed if decoding.decode_jpeg(path) is not None]
    return fast[:count]


def time_clustering(hashes: int, repeats: int) -> pd.DataFrame:
    """Time the clustering of simulated hashes on one core, per image."""
    packed = web_like.draw(hashes)[0]
    cluster = partial(finlib.cluster, packed, resources=Resources(workers=1))
    calls = {"cluster an image": lambda: cluster().labels}
    timings = timing.time_side_by_side(calls, repeats=repeats)
    return timings.assign(seconds=timings["seconds"] / hashes)


def time_first_use(repeats: int) -> pd.DataFrame:
    """Time new Python processes that import NumPy, import finlib, or compute a first hash.

    The first hash is computed once with the kernels on disk, and once without them.
    """
    with tempfile.TemporaryDirectory() as cache:

        def without_kernels() -> None:
            with tempfile.TemporaryDirectory() as empty:
                run_python(FIRST_HASH, empty)

        calls: dict[str, timing.Call] = {
            "import numpy": partial(run_python, "import numpy", cache),
            "import finlib": partial(run_python, "import finlib", cache),
            "first hash": partial(run_python, FIRST_HASH, cache),
            "first hash, not yet compiled": without_kernels,
        }
        return timing.time_side_by_side(calls, repeats=repeats)


def run_python(code: str, cache: str) -> None:
    """Run code in a new Python whose compiled kernels are in the folder `cache`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
