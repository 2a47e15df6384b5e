"""Where FINd's time and memory go: by stage, function and line, against size, and in counts of what its loops do."""

import ast
import cProfile
import io
import pstats
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import reference
from finlib.hashing.images import open_rgb
from workbook.study import vectorised
from workbook.study.timing import in_fresh_process, without_collection

STAGES = (
    "read",
    "decode",
    "pixels to lists",
    "luma",
    "box mean",
    "decimate",
    "DCT",
    "median",
    "bits",
)
TAKEN_UP_IN = {
    "read": "04, several files at a time",
    "decode": "03, libjpeg-turbo; 04, several at a time",
    "pixels to lists": "02, arrays",
    "luma": "02, integers; 03, in the kernel",
    "box mean": "02, a matrix product; 03, sums that slide",
    "decimate": "02, part of the product",
    "DCT": "02, part of the product",
    "median": "02, a partition",
    "bits": "02, arrays",
}
KERNELS = (
    reference.find_hash,
    reference.hash_bits,
    reference.luma,
    reference.box_mean,
    reference.dct,
)


def stage_times(path: str | Path) -> dict[str, float]:
    """Seconds of each stage of FINd in pure Python on one file, the hash checked against NumPy's.

    As shipped where the picture is square; on others the corrected version, which does the same work: the shipped one
    fails there. Raises what `images.open_rgb` raises, and AssertionError if the hash is wrong.
    """
    marks = [perf_counter()]
    data = Path(path).read_bytes()
    marks.append(perf_counter())
    rgb = np.asarray(open_rgb(Image.open(io.BytesIO(data))))
    marks.append(perf_counter())
    pixels = rgb.tolist()
    rows, cols = len(pixels), len(pixels[0])
    marks.append(perf_counter())
    grey = reference.luma(pixels)
    marks.append(perf_counter())
    means = reference.box_mean(grey, rows, cols, shipped=rows == cols)
    marks.append(perf_counter())
    small = reference.decimate(means, rows, cols)
    marks.append(perf_counter())
    coefficients = reference.dct(small)
    marks.append(perf_counter())
    median = reference.lower_median(coefficients)
    marks.append(perf_counter())
    packed = np.packbits(np.array(reference.bits(coefficients, median)))
    marks.append(perf_counter())
    assert np.array_equal(packed, vectorised.find_pixels(rgb)), (
        f"{path}: the stages give another hash than FINd"
    )
    return dict(zip(STAGES, np.diff(marks).tolist(), strict=True))


def stage_table(paths: Sequence[str | Path], passes: int = 2) -> pd.DataFrame:
    """`stage_times` of every file, the whole list `passes` times: columns pass, image (its place), stage, seconds.

    Python's garbage collector is off: the lists of pixels would wake it, at a cost that depends on all else the process
    holds.
    """
    with without_collection():
        rows = [
            (turn, image, stage, seconds)
            for turn in range(passes)
            for image, path in enumerate(paths)
            for stage, seconds in stage_times(path).items()
        ]
    return pd.DataFrame(rows, columns=["pass", "image", "stage", "seconds"])


def amdahl(seconds: Mapping[str, float]) -> pd.DataFrame:
    """Stages by falling time, with the most that removing each could give.

    Columns stage, seconds, share, ceiling (speed-up of the whole if this stage cost nothing) and ceiling_with_above (if
    all stages down to this one did); inf where nothing is left. Amdahl, AFIPS 1967.
    """
    ranked = pd.Series(seconds, dtype=float).sort_values(ascending=False, kind="stable")
    total = ranked.sum()
    left = np.maximum(total - ranked.cumsum(), 0)
    with np.errstate(divide="ignore"):
        above = np.where(left > 1e-12 * total, total / left, np.inf)
        alone = np.where(total - ranked > 1e-12 * total, total / (total - ranked), np.inf)
    columns = {
        "seconds": ranked,
        "share": ranked / total,
        "ceiling": alone,
        "ceiling_with_above": above,
    }
    return pd.DataFrame(columns).rename_axis("stage").reset_index()


def by_function(function: Callable[..., Any], *args: Any) -> pd.DataFrame:
    """cProfile of function(*args): columns function, calls, own_seconds, seconds (with what it calls), by own time."""
    profile = cProfile.Profile()
    with without_collection():
        profile.runcall(function, *args)
    rows = []
    for (file, line, name), (_, calls, own, total, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        rows.append((_readable(file, line, name), calls, own, total))
    frame = pd.DataFrame(rows, columns=["function", "calls", "own_seconds", "seconds"])
    frame = frame.groupby(
        "function", sort=False, as_index=False
    ).sum()  # a function may have two comprehensions
    return frame.sort_values("own_seconds", ascending=False, kind="stable").reset_index(drop=True)


def _readable(file: str, line: int, name: str) -> str:
    """ "reference.luma, comprehension", "min", "ndarray.tolist" of cProfile's names."""
    if file == "~":
        method = re.fullmatch(r"<method '(\w+)' of '(?:\w+\.)*(\w+)' objects>", name)
        return (
            f"{method[2]}.{method[1]}"
            if method
            else re.sub(r"<built-in method (?:builtins\.)?|>", "", name)
        )
    if name not in {"<listcomp>", "<genexpr>"}:
        return f"{Path(file).stem}.{name}".replace("<", "").replace(">", "")
    functions = [
        node
        for node in ast.walk(ast.parse(Path(file).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    around = [node for node in functions if node.lineno <= line <= (node.end_lineno or line)]
    inside = max(around, key=lambda node: node.lineno).name if around else "module"
    return f"{Path(file).stem}.{inside}, comprehension"


def by_line(
    function: Callable[..., Any], *args: Any, functions: Iterable[Callable[..., Any]] = KERNELS
) -> pd.DataFrame:
    """line_profiler over `functions` while function(*args) runs, every line that ran.

    Columns function, line, source, hits, seconds and share (of its function's time).
    """
    from line_profiler import LineProfiler

    profiler = LineProfiler(*functions)
    with without_collection():
        profiler.runcall(function, *args)
    stats = profiler.get_stats()
    rows = []
    for (file, _, name), timings in stats.timings.items():
        source = Path(file).read_text(encoding="utf-8").splitlines()
        rows += [
            (name, line, source[line - 1].strip(), hits, ticks * stats.unit)
            for line, hits, ticks in timings
        ]
    frame = pd.DataFrame(rows, columns=["function", "line", "source", "hits", "seconds"])
    return frame.assign(
        share=frame["seconds"] / frame.groupby("function")["seconds"].transform("sum")
    )


def _memory_by_line(
    function: Callable[..., Any], args: tuple[Any, ...], functions: Sequence[Any]
) -> list[Any]:
    from memory_profiler import LineProfiler

    profiler = LineProfiler()
    for each in functions:
        profiler.add_function(each)
    profiler.wrap_function(function)(*args)
    rows = []
    for file, lines in profiler.code_map.items():
        source = Path(file).read_text(encoding="utf-8").splitlines()
        rows += [(line, source[line - 1].strip(), *seen[:2]) for line, seen in lines if seen]
    return rows


def memory_by_line(
    function: Callable[..., Any],
    *args: Any,
    functions: Sequence[Callable[..., Any]] = (reference.hash_bits,),
) -> pd.DataFrame:
    """memory_profiler over `functions` while function(*args) runs in a process of its own.

    Columns line, source, increment_mib (what the line added to the process), process_mib (afterwards); the first row is
    what the process held when the function began.
    """
    rows = in_fresh_process(_memory_by_line, function, args, functions)
    frame = pd.DataFrame(rows, columns=["line", "source", "increment_mib", "process_mib"])
    return frame[["line", "source", "increment_mib", "process_mib"]]


# Counts --------------------------------------------------------------------------------------------------------------


class Counted(list[float]):
    """A list that counts how often its items are read."""

    reads = 0

    def __getitem__(self, place: Any) -> Any:
        self.reads += 1
        return super().__getitem__(place)


def counts(rows: int, cols: int) -> dict[str, int]:
    """What the reference's loops do on rows x cols pixels, by formula.

    windows: box means computed; reads: pixels read for them; windows_kept: those that decimation keeps; reads_kept:
    pixels read for those alone.
    """

    def covered(length: int, kept: bool) -> int:
        half = (reference.window(length) + 2) // 2
        places = (
            [int((i + 0.5) * length / reference.SIDE) for i in range(reference.SIDE)]
            if kept
            else range(length)
        )
        return sum(min(length, i + half) - max(0, i - half) for i in places)

    return {
        "windows": rows * cols,
        "reads": covered(rows, False) * covered(cols, False),
        "windows_kept": reference.SIDE**2,
        "reads_kept": covered(rows, True) * covered(cols, True),
    }


def counted(rows: int, cols: int) -> dict[str, int]:
    """The same counts, by watching the reference's own loops at work on a grey picture."""
    grey = Counted([127.0] * (rows * cols))
    means = Counted(reference.box_mean(grey, rows, cols))
    reference.decimate(means, rows, cols)
    return {"windows": len(means), "reads": grey.reads, "windows_kept": means.reads}


def hash_seconds(sides: Sequence[int], repeats: int, seed: int = 2026) -> pd.DataFrame:
    """Seconds of `reference.find_pixels` on random squares, interleaved: columns side, pixels, reads, repeat, seconds.

    reads: pixels that the box mean reads, `counts`.
    """
    rng = np.random.default_rng(seed)
    squares = {side: rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides}
    rows = []
    for repeat in range(repeats):
        for side, pixels in squares.items():
            with without_collection():
                start = perf_counter()
                packed = reference.find_pixels(pixels)
                seconds = perf_counter() - start
            rows.append((side, side * side, counts(side, side)["reads"], repeat, seconds))
            assert np.array_equal(packed, vectorised.find_pixels(pixels)), (
                f"{side}: not FINd's hash"
            )
    return pd.DataFrame(rows, columns=["side", "pixels", "reads", "repeat", "seconds"])


def batch_seconds(paths: Sequence[str | Path], sizes: Sequence[int]) -> pd.DataFrame:
    """Seconds to hash the first n files with `reference.find_hash`, for each n of sizes: columns images, seconds."""
    rows = []
    for size in sizes:
        with without_collection():
            start = perf_counter()
            for path in paths[:size]:
                reference.find_hash(path)
            rows.append((min(size, len(paths)), perf_counter() - start))
    return pd.DataFrame(rows, columns=["images", "seconds"])


def hash_each(paths: Sequence[str | Path]) -> int:
    """Hash files in pure Python one after another, as a loop over a folder does; returns how many."""
    return len([reference.find_hash(path) for path in paths])


def hash_all(paths: Sequence[str | Path]) -> int:
    """The same with every file's pixels as lists first, as a script that loads a folder does."""
    pixels = [np.asarray(open_rgb(path)).tolist() for path in paths]
    return len([reference.find_pixels(each) for each in pixels])


def cost_model(pixels: Any, reads: Any, seconds: Any) -> tuple[float, float, NDArray[np.float64]]:
    """Seconds as a x pixels + b x reads, fitted to the least relative error: (a, b, the fitted seconds)."""
    from scipy.optimize import nnls  # slow to import, and fresh processes import this module

    work = np.column_stack([np.asarray(pixels, dtype=float), np.asarray(reads, dtype=float)])
    measured = np.asarray(seconds, dtype=float)
    (per_pixel, per_read), _ = nnls(work / measured[:, None], np.ones(len(measured)))
    return float(per_pixel), float(per_read), work @ [per_pixel, per_read]


def slope(x: Any, y: Any) -> float:
    """Exponent of the power law that fits y of x best (least squares of the logarithms)."""
    return float(
        np.polyfit(np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float)), 1)[0]
    )


# The two defects -----------------------------------------------------------------------------------------------------


def side_by_side(image: Image.Image) -> dict[str, Any]:
    """FINd as shipped and corrected on one picture: width, height, shipped (hash or the exception's name), corrected,
    distance (bits that differ; nan where the shipped one fails)."""
    right = reference.find_hash(image)
    try:
        shipped = reference.find_hash(image, shipped=True)
    except IndexError as error:
        told: dict[str, Any] = {"shipped": type(error).__name__, "distance": float("nan")}
    else:
        told = {"shipped": str(shipped), "distance": float(shipped - right)}
    return {"width": image.width, "height": image.height, **told, "corrected": str(right)}


def photographs(longer: int) -> dict[str, Image.Image]:
    """Two landscapes and a portrait that come inside scikit-learn and matplotlib, with `longer` pixels along a side."""
    from matplotlib.cbook import get_sample_data
    from sklearn.datasets import load_sample_image

    found = {
        "temple": Image.fromarray(load_sample_image("china.jpg")),
        "flower": Image.fromarray(load_sample_image("flower.jpg")),
        "portrait": Image.open(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).convert(
            "RGB"
        ),
    }
    for photo in found.values():
        photo.thumbnail((longer, longer))
    return found


def decimated(image: Image.Image, *, shipped: bool = False) -> NDArray[np.float64]:
    """The 64 x 64 luma that the DCT sees. Raises IndexError on a portrait picture as shipped."""
    rgb = np.asarray(open_rgb(image))
    rows, cols = rgb.shape[:2]
    means = reference.box_mean(reference.luma(rgb.tolist()), rows, cols, shipped=shipped)
    return np.array(reference.decimate(means, rows, cols))


def unread_rows(width: int, height: int) -> int:
    """Rows at the foot of a landscape picture that FINd as shipped never reads: its stride ends the buffer early."""
    last = (height - 1) * height + width - 1
    return max(0, height - last // width - 1)
