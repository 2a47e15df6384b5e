"""Where the time and the memory of FINd in pure Python go.

Time is split by stage, by function and by line, and measured against the size and the number of
pictures. What the loops do is counted, by formula and by watching them. The last part shows the
two defects of FIN's code.
"""

import ast
import cProfile
import io
import math
import pstats
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import reference
from finlib.hashing.images import open_rgb
from workbook.study import vectorised
from workbook.study.timing import Function, in_fresh_process, without_collection

FilePath = str | Path
Floats = NDArray[np.float64]

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
"""The stages of FINd in order, each with the notebook that makes it faster."""

STAGES = tuple(TAKEN_UP_IN)

KERNELS = (
    reference.find_hash,
    reference.hash_bits,
    reference.luma,
    reference.box_mean,
    reference.dct,
)
"""The functions that are profiled line by line unless others are named."""


# By stage -----------------------------------------------------------------------------------------


class Stopwatch:
    """Reads the clock at the end of each stage of a computation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def stage_ends(self, stage: str) -> None:
        """Record the seconds since the last stage ended, or since the start."""
        now = perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


def stage_times(path: FilePath) -> dict[str, float]:
    """Seconds that each stage of FINd takes in pure Python on one file.

    Square pictures are hashed as shipped, others by the corrected version, which does the same
    work: the shipped one fails on them. The hash is compared with NumPy's.

    Raises what `images.open_rgb` raises, and AssertionError if the hash is wrong.
    """
    watch = Stopwatch()
    data = Path(path).read_bytes()
    watch.stage_ends("read")
    rgb = np.asarray(open_rgb(Image.open(io.BytesIO(data))))
    watch.stage_ends("decode")
    pixels = rgb.tolist()
    rows = len(pixels)
    cols = len(pixels[0])
    watch.stage_ends("pixels to lists")
    grey = reference.luma(pixels)
    watch.stage_ends("luma")
    means = reference.box_mean(grey, rows, cols, shipped=rows == cols)
    watch.stage_ends("box mean")
    small = reference.decimate(means, rows, cols)
    watch.stage_ends("decimate")
    coefficients = reference.dct(small)
    watch.stage_ends("DCT")
    median = reference.lower_median(coefficients)
    watch.stage_ends("median")
    bits = reference.bits(coefficients, median)
    packed = np.packbits(np.array(bits))
    watch.stage_ends("bits")
    expected = vectorised.find_pixels(rgb)
    assert np.array_equal(packed, expected), f"{path}: the stages give another hash than FINd"
    return watch.seconds


def stage_table(paths: Sequence[FilePath], passes: int = 2) -> pd.DataFrame:
    """`stage_times` of every file, with the whole list hashed `passes` times.

    Python's garbage collector is off meanwhile. The lists of pixels would start it, at a cost
    that depends on everything else in memory.

    Returns the columns pass, image (the file's place in the list), stage and seconds.
    """
    rows = []
    with without_collection():
        for pass_number in range(passes):
            for image, path in enumerate(paths):
                for stage, seconds in stage_times(path).items():
                    rows.append((pass_number, image, stage, seconds))
    return pd.DataFrame(rows, columns=["pass", "image", "stage", "seconds"])


def summarise_stages(raw: pd.DataFrame) -> pd.DataFrame:
    """The milliseconds of each stage over all pictures and passes of `stage_table`.

    Columns stage, low, ms and high (quartiles and median), and share (of the stages' sum).
    """
    milliseconds = raw.assign(ms=raw["seconds"] * 1000)
    by_stage = milliseconds.groupby("stage", sort=False)["ms"]
    quartiles = by_stage.quantile([0.25, 0.5, 0.75]).unstack()
    stages = quartiles.set_axis(["low", "ms", "high"], axis=1).reset_index()
    return stages.assign(share=stages["ms"] / stages["ms"].sum())


def picture_seconds(raw: pd.DataFrame) -> pd.DataFrame:
    """The seconds that each picture of `stage_table` took: a row a picture, a column a pass."""
    return raw.groupby(["pass", "image"])["seconds"].sum().unstack(0)


def latencies(seconds: pd.DataFrame) -> pd.DataFrame:
    """How many timings of `picture_seconds` are done after each time: columns ms and share."""
    ordered = np.sort(seconds.to_numpy().ravel())
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    return pd.DataFrame({"ms": ordered * 1000, "share": share})


def rank_correlation(seconds: pd.DataFrame) -> float:
    """How far the same pictures are slow in the first and the last pass: 1 if their order agrees.

    It is nan for a single picture.
    """
    ranks = seconds.rank()
    if len(ranks) < 2:
        return math.nan
    return float(ranks.corr().to_numpy()[0, -1])


def amdahl(seconds: Mapping[str, float]) -> pd.DataFrame:
    """Rank stages by their time, with the most that removing each of them could give.

    This is Amdahl's law (AFIPS 1967).

    Returns the columns stage, seconds, share, ceiling (the speed-up of the whole if this stage
    cost nothing) and ceiling_with_above (if this stage and all that take longer cost nothing). A
    ceiling is infinite where nothing would remain.
    """
    ranked = pd.Series(seconds, dtype=float)
    ranked = ranked.sort_values(ascending=False, kind="stable")
    total = ranked.sum()
    columns = {
        "seconds": ranked,
        "share": ranked / total,
        "ceiling": _speed_up(total, total - ranked),
        "ceiling_with_above": _speed_up(total, total - ranked.cumsum()),
    }
    return pd.DataFrame(columns).rename_axis("stage").reset_index()


def _speed_up(total: float, remaining: pd.Series) -> pd.Series:
    """total / remaining, infinite where what remains is no more than rounding."""
    something_remains = remaining > 1e-12 * total
    return (total / remaining.where(something_remains)).fillna(np.inf)


# By function and by line --------------------------------------------------------------------------


def by_function(function: Function, *args: Any) -> pd.DataFrame:
    """Profile function(*args) with cProfile.

    Returns the columns function, calls, own_seconds and seconds (with the functions that it
    calls), with the largest own time first.
    """
    profile = cProfile.Profile()
    with without_collection():
        profile.runcall(function, *args)
    stats: Any = pstats.Stats(profile)
    rows = []
    for code, measured in stats.stats.items():
        _, calls, own_seconds, seconds, _ = measured
        rows.append((_readable_name(*code), calls, own_seconds, seconds))
    profiled = pd.DataFrame(rows, columns=["function", "calls", "own_seconds", "seconds"])
    # A function may contain two comprehensions, which then have the same name.
    profiled = profiled.groupby("function", sort=False, as_index=False).sum()
    profiled = profiled.sort_values("own_seconds", ascending=False, kind="stable")
    return profiled.reset_index(drop=True)


def _readable_name(file: str, line: int, name: str) -> str:
    """cProfile's name of some code, made readable.

    Examples are "reference.luma, comprehension", "min" and "ndarray.tolist".
    """
    if file == "~":
        return _builtin_name(name)
    module = Path(file).stem
    if name in {"<listcomp>", "<genexpr>"}:
        return f"{module}.{_function_around(file, line)}, comprehension"
    return re.sub("[<>]", "", f"{module}.{name}")


def _builtin_name(name: str) -> str:
    method = re.fullmatch(r"<method '(\w+)' of '(?:\w+\.)*(\w+)' objects>", name)
    if method is not None:
        return f"{method[2]}.{method[1]}"
    return re.sub(r"<built-in method (?:builtins\.)?|>", "", name)


def _function_around(file: str, line: int) -> str:
    """The name of the innermost function in which this line of a file lies, or "module"."""
    innermost = "module"
    latest_start = 0
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        end = node.end_lineno or line
        if latest_start < node.lineno <= line <= end:
            innermost = node.name
            latest_start = node.lineno
    return innermost


def by_line(
    function: Function,
    *args: Any,
    functions: Iterable[Function] = KERNELS,
) -> pd.DataFrame:
    """Profile function(*args) line by line with line_profiler.

    functions: those whose lines are measured.

    Returns one row for every line that ran, with the columns function, line, source, hits,
    seconds and share (of its function's time).
    """
    from line_profiler import LineProfiler

    profiler = LineProfiler(*functions)
    with without_collection():
        profiler.runcall(function, *args)
    stats = profiler.get_stats()
    rows = []
    for (file, _, name), lines in stats.timings.items():
        source = _source_lines(file)
        for line, hits, ticks in lines:
            text = source[line - 1].strip()
            rows.append((name, line, text, hits, ticks * stats.unit))
    profiled = pd.DataFrame(rows, columns=["function", "line", "source", "hits", "seconds"])
    of_function = profiled.groupby("function")["seconds"].transform("sum")
    return profiled.assign(share=profiled["seconds"] / of_function)


def _source_lines(file: str) -> list[str]:
    return Path(file).read_text(encoding="utf-8").splitlines()


def memory_by_line(
    function: Function,
    *args: Any,
    functions: Sequence[Function] = (reference.hash_bits,),
) -> pd.DataFrame:
    """Measure with memory_profiler what each line adds to the memory, in a process of its own.

    functions: those whose lines are measured while function(*args) runs.

    Returns the columns line, source, increment_mib (what the line added to the process) and
    process_mib (the memory of the process afterwards). The first row is the process as the
    function began.
    """
    rows = in_fresh_process(_memory_by_line, function, args, functions)
    return pd.DataFrame(rows, columns=["line", "source", "increment_mib", "process_mib"])


def _memory_by_line(
    function: Function,
    args: tuple[Any, ...],
    functions: Sequence[Any],
) -> list[tuple[int, str, float, float]]:
    from memory_profiler import LineProfiler

    profiler = LineProfiler()
    for measured_function in functions:
        profiler.add_function(measured_function)
    profiler.wrap_function(function)(*args)
    rows = []
    for file, lines in profiler.code_map.items():
        source = _source_lines(file)
        for line, measured in lines:
            if measured:
                text = source[line - 1].strip()
                increment_mib, process_mib = measured[:2]
                rows.append((line, text, increment_mib, process_mib))
    return rows


# Counts -------------------------------------------------------------------------------------------


class CountingList(list[float]):
    """A list that counts how often its items are read."""

    reads = 0

    def __getitem__(self, place: Any) -> Any:
        self.reads += 1
        return super().__getitem__(place)


def counts(rows: int, cols: int) -> dict[str, int]:
    """What the reference's loops do on a picture of rows x cols pixels, by formula.

    Returns windows (box means computed), reads (pixels read for them), windows_kept (those that
    decimation keeps) and reads_kept (pixels that had to be read for those alone).
    """
    reads_down = _pixels_in_windows(range(rows), rows)
    reads_across = _pixels_in_windows(range(cols), cols)
    kept_down = _pixels_in_windows(_centres(rows), rows)
    kept_across = _pixels_in_windows(_centres(cols), cols)
    return {
        "windows": rows * cols,
        "reads": reads_down * reads_across,
        "windows_kept": reference.SIDE**2,
        "reads_kept": kept_down * kept_across,
    }


def _centres(length: int) -> list[int]:
    """The places along a side that decimation keeps (step 4)."""
    return [int((i + 0.5) * length / reference.SIDE) for i in range(reference.SIDE)]


def _pixels_in_windows(places: Iterable[int], length: int) -> int:
    """Pixels along a side of `length` in the windows around these places, added up."""
    half = (reference.window(length) + 2) // 2
    pixels = 0
    for place in places:
        first = max(0, place - half)
        end = min(length, place + half)
        pixels += end - first
    return pixels


def work_table(formula: Mapping[str, int]) -> pd.DataFrame:
    """What `counts` found, in words: columns work and times."""
    times = {
        "box means computed": formula["windows"],
        "box means kept": formula["windows_kept"],
        "pixels read": formula["reads"],
        "pixels read for the kept means": formula["reads_kept"],
        "pixels": formula["windows"],
    }
    return pd.DataFrame({"work": times.keys(), "times": times.values()})


def counted(rows: int, cols: int) -> dict[str, int]:
    """Count by watching the reference's loops at work on a grey picture.

    Returns windows, reads and windows_kept, as `counts` does.
    """
    grey = CountingList([127.0] * (rows * cols))
    means = CountingList(reference.box_mean(grey, rows, cols))
    reference.decimate(means, rows, cols)
    return {
        "windows": len(means),
        "reads": grey.reads,
        "windows_kept": means.reads,
    }


# Against size and number --------------------------------------------------------------------------


def hash_seconds(sides: Sequence[int], repeats: int, seed: int = 2026) -> pd.DataFrame:
    """Seconds of `reference.find_pixels` on squares of random pixels, with the sizes taken in turn.

    Returns the columns side, pixels, reads (the pixels that the box mean reads, by `counts`),
    repeat and seconds.
    Raises AssertionError if a hash differs from NumPy's.
    """
    rng = np.random.default_rng(seed)
    squares = {}
    for side in sides:
        squares[side] = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    rows = []
    for repeat in range(repeats):
        for side, pixels in squares.items():
            with without_collection():
                start = perf_counter()
                packed = reference.find_pixels(pixels)
                seconds = perf_counter() - start
            reads = counts(side, side)["reads"]
            rows.append((side, side * side, reads, repeat, seconds))
            expected = vectorised.find_pixels(pixels)
            assert np.array_equal(packed, expected), (
                f"{side} x {side} pixels: the reference gives another hash than NumPy"
            )
    return pd.DataFrame(rows, columns=["side", "pixels", "reads", "repeat", "seconds"])


def batch_seconds(paths: Sequence[FilePath], sizes: Sequence[int]) -> pd.DataFrame:
    """Seconds to hash the first n files with `reference.find_hash`, for each n in `sizes`.

    Returns the columns images and seconds.
    """
    rows = []
    for size in sizes:
        batch = paths[:size]
        with without_collection():
            start = perf_counter()
            for path in batch:
                reference.find_hash(path)
            seconds = perf_counter() - start
        rows.append((len(batch), seconds))
    return pd.DataFrame(rows, columns=["images", "seconds"])


def hash_each(paths: Sequence[FilePath]) -> int:
    """Hash files in pure Python one after another, as a loop over a folder does.

    Returns the number of hashes.
    """
    hashes = [reference.find_hash(path) for path in paths]
    return len(hashes)


def hash_all(paths: Sequence[FilePath]) -> int:
    """Hash files in pure Python after decoding all of them, as a script may do with a folder.

    Returns the number of hashes.
    """
    pictures = [np.asarray(open_rgb(path)).tolist() for path in paths]
    hashes = [reference.find_pixels(pixels) for pixels in pictures]
    return len(hashes)


class CostModel(NamedTuple):
    """Seconds of a hash as per_pixel x pixels + per_read x reads.

    per_pixel, per_read: seconds.
    fitted: the seconds that the model gives for the sizes measured.
    """

    per_pixel: float
    per_read: float
    fitted: Floats


def cost_model(pixels: Any, reads: Any, seconds: Any) -> CostModel:
    """Fit a `CostModel` to measurements, with the least relative error and no negative cost.

    pixels, reads, seconds: a value for each measurement.
    """
    from scipy.optimize import nnls  # slow to import, and fresh processes import this module

    work = np.column_stack([pixels, reads]).astype(float)
    measured = np.asarray(seconds, dtype=float)
    relative_work = work / measured[:, None]
    costs, _ = nnls(relative_work, np.ones(len(measured)))
    per_pixel, per_read = costs.tolist()
    return CostModel(per_pixel, per_read, work @ costs)


def size_curves(medians: pd.DataFrame, model: CostModel) -> pd.DataFrame:
    """Seconds against pixels: as measured, by the model, and as if each pixel cost the same.

    medians: a row a size, with the columns pixels and seconds, the smallest first. Returns them
    three times, with a column line that says which is which.
    """
    smallest = medians.iloc[0]
    seconds_a_pixel = smallest["seconds"] / smallest["pixels"]
    kinds = {
        "measured": medians,
        "by values read": medians.assign(seconds=model.fitted),
        "by pixels alone": medians.assign(seconds=medians["pixels"] * seconds_a_pixel),
    }
    return pd.concat([frame.assign(line=kind) for kind, frame in kinds.items()])


def slope(x: Any, y: Any) -> float:
    """The exponent of the power law that fits y against x best.

    It is fitted by least squares to the logarithms.
    """
    log_x = np.log(np.asarray(x, dtype=float))
    log_y = np.log(np.asarray(y, dtype=float))
    exponent, _ = np.polyfit(log_x, log_y, 1)
    return float(exponent)


# The two defects ----------------------------------------------------------------------------------


def side_by_side(image: Image.Image) -> dict[str, Any]:
    """Hash one picture with FINd as shipped and as corrected.

    Returns width, height, shipped (the hash, or the name of the exception), distance (bits that
    differ, nan where the shipped version fails) and corrected (the hash).
    """
    corrected = reference.find_hash(image)
    try:
        as_shipped = reference.find_hash(image, shipped=True)
    except IndexError as error:
        shipped = type(error).__name__
        distance = float("nan")
    else:
        shipped = str(as_shipped)
        distance = float(as_shipped - corrected)
    return {
        "width": image.width,
        "height": image.height,
        "shipped": shipped,
        "distance": distance,
        "corrected": str(corrected),
    }


def photographs(longer_side: int) -> dict[str, Image.Image]:
    """Two landscapes and a portrait that scikit-learn and matplotlib bring along.

    longer_side: the most pixels along a side; larger photographs are shrunk.
    """
    from matplotlib.cbook import get_sample_data
    from sklearn.datasets import load_sample_image

    portrait_file = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    photos = {
        "temple": Image.fromarray(load_sample_image("china.jpg")),
        "flower": Image.fromarray(load_sample_image("flower.jpg")),
        "portrait": Image.open(portrait_file).convert("RGB"),
    }
    for photo in photos.values():
        photo.thumbnail((longer_side, longer_side))
    return photos


def decimated(image: Image.Image, *, shipped: bool = False) -> Floats:
    """The luma that the DCT is given, float64[64, 64].

    Raises IndexError on a portrait picture as shipped.
    """
    rgb = np.asarray(open_rgb(image))
    rows, cols = rgb.shape[:2]
    grey = reference.luma(rgb.tolist())
    means = reference.box_mean(grey, rows, cols, shipped=shipped)
    return np.array(reference.decimate(means, rows, cols))


def defect_panels(photos: Mapping[str, Image.Image]) -> dict[str, Any]:
    """What FINd's DCT is given of some photographs, to look at; by caption.

    Three pictures for each: the photograph, its 64 x 64 as corrected and as shipped. None may be
    higher than wide.
    """
    panels: dict[str, Any] = {}
    for name, photo in photos.items():
        panels[f"{name}, {photo.width} × {photo.height}"] = np.asarray(photo)
        panels[f"{name}, 64 × 64, corrected"] = _grey(decimated(photo))
        panels[f"{name}, 64 × 64, as shipped"] = _grey(decimated(photo, shipped=True))
    return panels


def _grey(luma: Floats) -> Floats:
    """Luma as a picture, float64[H, W, 3] from 0 to 1."""
    return np.dstack([luma] * 3) / 255


def painted_over(photo: Image.Image) -> Image.Image:
    """A copy of a landscape whose rows that FINd as shipped never reads are magenta."""
    unread = unread_rows(*photo.size)
    painted = photo.copy()
    painted.paste((255, 0, 255), (0, photo.height - unread, photo.width, photo.height))
    return painted


def unread_rows(width: int, height: int) -> int:
    """Rows at the foot of a landscape picture that FINd as shipped never reads.

    It takes the height for the length of a row, so that it reaches only the beginning of the
    buffer.
    """
    last_pixel = (height - 1) * height + width - 1
    last_row = last_pixel // width
    return max(0, height - last_row - 1)
