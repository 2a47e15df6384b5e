"""What the optimised versions of FINd cost, and how certain their bits are.

These are the measurements of notebooks 02 and 03. The functions that end in `_stages` return the
steps of one version as functions without arguments, each with its input prepared, for
`time_stages` to time. The others measure the certificate, the decoder and the first call of the
kernels.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import certificate, decoding, find, kernels
from finlib.hashing.hashers import HASHERS
from finlib.hashing.images import MAX_SIDE, load_rgb
from finlib.hashing.reference import KEPT, SIDE
from workbook.study import timing, vectorised
from workbook.study.baseline import photographs

FilePath = str | Path
Pixels = NDArray[np.uint8]
Stages = dict[str, timing.Call]


# Stages -------------------------------------------------------------------------------------------


BYTES_A_SECOND = 8e9
"""What arrays are assumed to move."""

MULTIPLICATIONS_A_SECOND = 8e9
"""How many multiply-additions a core is assumed to do in NumPy's products."""


OPERATIONS_A_CYCLE = {
    "16-bit additions": 16,
    "windows weighted": 1 / 4,
    "float64 multiply-additions": 4,
}
"""What a core is assumed to do in a cycle, by the kind of work."""

CYCLES_A_MICROSECOND = 3e3


def numpy_stages(rgb: Pixels) -> Stages:
    """The stages of `vectorised.find_stages` on these pixels."""
    thousandths = vectorised.luma(rgb)
    means = vectorised.box_mean(thousandths)
    small = vectorised.decimate(means)
    values = vectorised.dct(small)
    return {
        "luma": partial(vectorised.luma, rgb),
        "box mean": partial(vectorised.box_mean, thousandths),
        "decimate": partial(vectorised.decimate, means),
        "DCT": partial(vectorised.dct, small),
        "median and bits": partial(_median_and_bits, values),
    }


def product_stages(rgb: Pixels) -> Stages:
    """The steps of `vectorised.find_pixels` on these pixels.

    The matrices are prepared, as they are from the second image of a size on.
    """
    rows, cols = rgb.shape[:2]
    left = vectorised.projection(rows)
    right = vectorised.projection(cols).T
    thousandths = vectorised.luma(rgb)
    floats = thousandths.astype(np.float64)
    values = left @ floats @ right

    def two_products() -> Any:
        return left @ floats @ right

    return {
        "luma": partial(vectorised.luma, rgb),
        "to float64": partial(thousandths.astype, np.float64),
        "two products": two_products,
        "gap, median and bits": partial(_gap_median_and_bits, values),
    }


def _median_and_bits(values: NDArray[np.float64]) -> Pixels:
    median = vectorised.lower_median(values)
    return np.packbits(vectorised.bits(values, median))


def _gap_median_and_bits(values: NDArray[np.float64]) -> tuple[float, Pixels]:
    return vectorised.gap(values), _median_and_bits(values)


def kernel_stages(rgb: Pixels) -> Stages:
    """The kernels that `find.find_pixels` runs on these pixels.

    The last one is the fall-back, which it seldom needs.
    """
    plan = find.plan(*rgb.shape[:2])
    means = np.empty((SIDE, SIDE))
    values = np.empty((KEPT, KEPT))
    average = partial(find.decimated_means, rgb, plan.windows, plan.factors, plan.half_width, means)
    transform = partial(kernels.dct_coefficients, means, certificate.BASIS, values)
    average()
    transform()
    fall_back = partial(
        find.reference_order,
        rgb,
        plan.windows,
        certificate.BASIS,
        np.empty((SIDE, SIDE)),
        np.empty((KEPT, KEPT)),
    )
    return {
        "luma, box mean, decimate": average,
        "DCT": transform,
        "median and certificate": partial(
            kernels.lower_median, values.ravel(), plan.tolerance, find.LARGEST_COEFFICIENT
        ),
        "all, from Python": partial(find.find_pixels, rgb),
        "reference's order (fall-back)": fall_back,
    }


def file_stages(path: FilePath) -> Stages:
    """The steps from a JPEG file to FINd.

    There is a thumbnail only where the picture is larger than 512 pixels.
    """

    def read() -> bytes:
        return Path(path).read_bytes()

    data = read()
    full_size = simplejpeg.decode_jpeg(data)
    stages: Stages = {
        "read": read,
        "decode": partial(simplejpeg.decode_jpeg, data),
    }
    if max(full_size.shape) > MAX_SIDE:
        stages["thumbnail"] = partial(decoding.shrink, full_size)
    stages["hash"] = partial(find.find_pixels, load_rgb(path))
    stages["file to hash"] = partial(HASHERS["find"].from_file, path)
    return stages


def time_stages(stages: Mapping[str, timing.Call], *, repeats: int, loops: int) -> pd.DataFrame:
    """Time stages that are too short for the clock, each `loops` times for one reading of it.

    Returns the columns name, repeat and seconds (of one call), as `timing.time_side_by_side`
    does.
    """
    calls = {name: partial(_repeat, stage, loops) for name, stage in stages.items()}
    timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    return timings.assign(seconds=timings["seconds"] / loops)


def _repeat(function: timing.Call, loops: int) -> None:
    for _ in range(loops):
        function()


def kernel_operations(rows: int, cols: int) -> dict[str, int]:
    """How many operations the kernels do for one picture of rows x cols pixels, by kind.

    The kinds are 16-bit additions, windows that are gathered and weighted, and float64
    multiply-additions.
    """
    plan = find.plan(rows, cols)
    values_per_row = 3 * (cols + 1)
    window_heights = plan.windows[find.BOTTOM] - plan.windows[find.TOP]
    additions_of_rows = int(window_heights.sum()) * values_per_row
    additions_of_columns = SIDE * 2 * plan.half_width * values_per_row
    first_product = KEPT * SIDE * SIDE
    second_product = KEPT * KEPT * SIDE
    return {
        "16-bit additions": additions_of_rows + additions_of_columns,
        "windows weighted": SIDE * SIDE,
        "float64 multiply-additions": first_product + second_product,
    }


# Exactness ----------------------------------------------------------------------------------------


def predicted_seconds(rows: int, cols: int) -> dict[str, float]:
    """What the two versions in NumPy should take for a picture, by counting bytes and operations.

    Luma is written as int32 by channel. Stage by stage, about ten passes over 64-bit numbers
    follow; the two products write and read luma as float64, and multiply. Arrays are assumed to
    move BYTES_A_SECOND, and a core to do MULTIPLICATIONS_A_SECOND.
    """
    pixels = rows * cols
    luma_bytes = pixels * (3 + 6 * 4)
    pass_bytes = pixels * 8 * 10
    float_bytes = pixels * 3 * 8
    multiplications = 16 * rows * cols + 16 * cols * 16
    by_product = (luma_bytes + float_bytes) / BYTES_A_SECOND
    by_product += multiplications / MULTIPLICATIONS_A_SECOND
    return {
        "stage by stage": (luma_bytes + pass_bytes) / BYTES_A_SECOND,
        "two products": by_product,
    }


def tied_pictures() -> dict[str, Pixels]:
    """Pictures whose true coefficients tie, so that the order of additions decides the bits."""
    i, j = np.mgrid[:40, :40]
    planes = {
        "flat": np.full((40, 40), 90),
        "stripes": i // 5 % 2 * 255,
        "mirrored": np.minimum(j, 39 - j) * 6,
        "one pixel": np.full((1, 1), 7),
    }
    return {name: np.dstack([plane] * 3).astype(np.uint8) for name, plane in planes.items()}


def predicted_kernels(rows: int, cols: int) -> pd.DataFrame:
    """What the kernels should take for a picture, by counting operations.

    Columns work, operations, per_cycle (what a core does in a cycle) and us (at 3 GHz).
    """
    table = pd.DataFrame(
        {"operations": kernel_operations(rows, cols), "per_cycle": OPERATIONS_A_CYCLE}
    )
    table["us"] = table["operations"] / table["per_cycle"] / CYCLES_A_MICROSECOND
    return table.rename_axis("work").reset_index()


class Certainty(NamedTuple):
    """How clearly the bits of one picture are decided.

    gap: from the 128th smallest coefficient to the 129th, in the reference's arithmetic.
    needed: what the gap must exceed for the fast kernel to decide.
    certain: whether the fast kernel decided.
    """

    gap: float
    needed: float
    certain: bool


def certified(rgb: Pixels) -> Certainty:
    """How clearly FINd's bits of these pixels are decided."""
    return Certainty(
        gap=vectorised.gap(find.reference_coefficients(rgb)),
        needed=find.plan(*rgb.shape[:2]).tolerance,
        certain=find.compute(rgb).certain,
    )


def gap_table(paths: Sequence[FilePath]) -> pd.DataFrame:
    """How clearly FINd's bits of each file are decided, with every hash checked.

    The hash is compared with `vectorised.find_pixels`, which shares no arithmetic with the
    kernels but the certificate.

    Returns the column path and the fields of `Certainty`. Raises AssertionError if hashes differ.
    """
    rows = []
    for path in paths:
        rgb = load_rgb(path)
        by_kernels = find.find_pixels(rgb)
        by_numpy = vectorised.find_pixels(rgb)
        assert np.array_equal(by_kernels, by_numpy), f"{path}: hashes differ"
        rows.append((str(path), *certified(rgb)))
    return pd.DataFrame(rows, columns=["path", "gap", "needed", "certain"])


def integral_error(rgb: Pixels) -> dict[str, float]:
    """How large the error becomes if the integral image is summed in float64 instead of integers.

    Returns, in units of luma, mean (the largest error of a box mean), coefficient (the largest
    error of a coefficient) and bound (what would have to be assumed for the coefficients).
    """
    rows, cols = rgb.shape[:2]
    thousandths = vectorised.luma(rgb)
    exact_means = vectorised.box_mean(thousandths)
    float_means = vectorised.box_mean(thousandths / 1000) * 1000
    exact_values = vectorised.dct(vectorised.decimate(exact_means))
    float_values = vectorised.dct(vectorised.decimate(float_means))

    smallest_window = certificate.half_window(rows) * certificate.half_window(cols)
    rounding = (rows + cols + 3) * 2.0**-53
    error_of_sum = 4 * rounding * 255 * rows * cols
    error_of_mean = error_of_sum / smallest_window
    return {
        "mean": float(np.abs(float_means - exact_means).max()),
        "coefficient": float(np.abs(float_values - exact_values).max()),
        "bound": 2 * error_of_mean * certificate.ROW_SUM**2,
    }


# Decoding -----------------------------------------------------------------------------------------


def decoders(paths: Sequence[FilePath]) -> pd.DataFrame:
    """Which decoder `decoding` uses for each file, with its pixels compared with Pillow's.

    Returns the columns path and decoder ("libjpeg-turbo" or "Pillow"). Raises AssertionError if
    pixels differ.
    """
    rows = []
    for path in paths:
        pixels = decoding.open_picture(path).rgb
        assert np.array_equal(pixels, load_rgb(path)), f"{path}: pixels differ"
        is_fast = decoding.decode_jpeg(path) is not None
        rows.append((str(path), "libjpeg-turbo" if is_fast else "Pillow"))
    return pd.DataFrame(rows, columns=["path", "decoder"])


def enlarged(
    width: int,
    height: int,
    folder: FilePath,
    *,
    quality: int = 90,
    seed: int = 2026,
) -> list[Path]:
    """Save the photographs of `baseline.photographs` as JPEGs of width x height pixels in `folder`.

    They are cropped to that shape. Where they have to be enlarged, film grain is added, so that
    the decoder has as much to do as with a file from a camera.

    quality: of the JPEGs.
    seed: of the grain.

    Returns the paths.
    """
    rng = np.random.default_rng(seed)
    paths = []
    for name, photo in photographs(10_000).items():
        scale = max(width / photo.width, height / photo.height)
        size = (round(photo.width * scale), round(photo.height * scale))
        resized = photo.resize(size, Image.Resampling.BICUBIC)
        picture = np.asarray(resized.crop((0, 0, width, height)), dtype=np.int16)
        if scale > 1:
            grain = rng.integers(-3, 4, picture.shape[:2], dtype=np.int16)
            picture = picture + grain[:, :, None]
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        path = Path(folder) / f"{name}_{width}x{height}.jpg"
        Image.fromarray(pixels).save(path, quality=quality)
        paths.append(path)
    return paths


def reduced(data: bytes, eighths: int) -> Pixels:
    """Decode a JPEG at eighths / 8 of its size, and then shrink it to FINd's 512 pixels.

    Where libjpeg-turbo lacks that scale, it takes the next larger one.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    least_size = {}
    if eighths < 8:
        least_size["min_height"] = -(-height * eighths // 8)
        least_size["min_width"] = -(-width * eighths // 8)
    pixels = simplejpeg.decode_jpeg(data, "RGB", **least_size)
    if max(pixels.shape) <= MAX_SIDE:
        return pixels
    return decoding.shrink(pixels)


def _hash_reduced(data: bytes, eighths: int) -> Pixels:
    return find.find_pixels(reduced(data, eighths))


def reduced_table(
    paths: Sequence[FilePath],
    scales: Sequence[int],
    repeats: int,
) -> pd.DataFrame:
    """What decoding at reduced scale saves, and what it changes.

    scales: in eighths of the full size.

    Returns the columns picture, eighths, seconds (from bytes to hash, the median) and bits (that
    differ from FINd's hash of the file).
    """
    rows = []
    for path in paths:
        data = Path(path).read_bytes()
        right = HASHERS["find"].from_file(path)
        calls = {str(scale): partial(_hash_reduced, data, scale) for scale in scales}
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
        medians = timings.groupby("name", sort=False)["seconds"].median()
        for scale in scales:
            seconds = float(medians[str(scale)])
            changed = np.bitwise_count(_hash_reduced(data, scale) ^ right)
            rows.append((Path(path).stem, scale, seconds, int(changed.sum())))
    return pd.DataFrame(rows, columns=["picture", "eighths", "seconds", "bits"])


def summarise_reduced(table: pd.DataFrame) -> pd.DataFrame:
    """What decoding at reduced scale saves and changes, over several pictures.

    table: that of `reduced_table` with further columns key and size, which name the pictures' size.
    Returns a row for each size and scale: key, size, eighths, speed_up (median), bits (mean) and
    most (bits). Raises ValueError if decoding at full size changes a bit.
    """
    at_full_size = table[table["eighths"] == 8]
    if (at_full_size["bits"] != 0).any():
        raise ValueError("decoding at full size changed a hash: the decoders disagree")
    of_picture = ["key", "picture"]
    full_size_seconds = at_full_size.set_index(of_picture)["seconds"]
    pictures_in_order = table.set_index(of_picture).index
    speed_up = pictures_in_order.map(full_size_seconds) / table["seconds"]
    by_scale = table.assign(speed_up=speed_up).groupby(["key", "size", "eighths"], sort=False)
    wanted = by_scale.agg(
        speed_up=("speed_up", "median"), bits=("bits", "mean"), most=("bits", "max")
    )
    return wanted.reset_index()


# The first call -----------------------------------------------------------------------------------

FIRST_CALL_STEPS = ("import", "first hash", "second hash")

_FIRST_CALL = """
from time import perf_counter
marks = [perf_counter()]
import numpy
from finlib.hashing import find
rgb = numpy.random.default_rng(0).integers(0, 256, (250, 250, 3), dtype="uint8")
for _ in range(3):
    marks.append(perf_counter())
    find.find_pixels(rgb)
print(*(after - before for before, after in zip(marks, marks[1:])))
"""


def first_calls() -> pd.DataFrame:
    """What the first call of the kernels costs, with and without their compiled form on disk.

    Two new processes run one after the other. The first finds no compiled kernels, and the second
    those that the first left.

    Returns the columns process, step (import, first hash, second hash) and seconds.
    """
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for process in ("kernels not yet compiled", "kernels in the cache"):
            finished = subprocess.run(
                [sys.executable, "-c", _FIRST_CALL],
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = map(float, finished.stdout.split())
            for step, step_seconds in zip(FIRST_CALL_STEPS, seconds, strict=True):
                rows.append((process, step, step_seconds))
    return pd.DataFrame(rows, columns=["process", "step", "seconds"])


def warm_up() -> None:
    """Load the kernels, so that measurements do not include it."""
    rng = np.random.default_rng(0)
    find.find_pixels(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
