"""What the optimised versions of FINd cost, and how sure their bits are: the measurements of notebooks 02 and 03."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

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

Pixels = NDArray[np.uint8]


# Stages --------------------------------------------------------------------------------------------------------------


def numpy_stages(rgb: Pixels) -> dict[str, Callable[[], Any]]:
    """Each stage of `vectorised.find_stages` on its own input, ready to be timed."""
    thousandths = vectorised.luma(rgb)
    means = vectorised.box_mean(thousandths)
    small = vectorised.decimate(means)
    values = vectorised.dct(small)
    return {
        "luma": partial(vectorised.luma, rgb),
        "box mean": partial(vectorised.box_mean, thousandths),
        "decimate": partial(vectorised.decimate, means),
        "DCT": partial(vectorised.dct, small),
        "median and bits": lambda: np.packbits(
            vectorised.bits(values, vectorised.lower_median(values))
        ),
    }


def product_stages(rgb: Pixels) -> dict[str, Callable[[], Any]]:
    """The steps of `vectorised.find_pixels`, likewise; its matrices are at hand, as they are from the second image."""
    rows, cols = rgb.shape[:2]
    left, right = vectorised.projection(rows), vectorised.projection(cols).T
    thousandths = vectorised.luma(rgb)
    floats = thousandths.astype(np.float64)
    values = left @ floats @ right
    return {
        "luma": partial(vectorised.luma, rgb),
        "to float64": lambda: thousandths.astype(np.float64),
        "two products": lambda: left @ floats @ right,
        "gap, median and bits": lambda: (
            vectorised.gap(values),
            np.packbits(vectorised.bits(values, vectorised.lower_median(values))),
        ),
    }


def kernel_stages(rgb: Pixels) -> dict[str, Callable[[], Any]]:
    """The kernels of `compiled.find_pixels`, likewise, and the one in the reference's order that is seldom needed."""
    rows, cols, _ = rgb.shape
    plan = find.plan(rows, cols)
    means, values = np.empty((SIDE, SIDE)), np.empty((KEPT, KEPT))
    fill_means = partial(
        find.decimated_means, rgb, plan.windows, plan.factors, plan.half_width, means
    )
    fill_means()
    kernels.dct_coefficients(means, find.BASIS, values)
    flat, spare = values.ravel(), np.empty((KEPT, KEPT))
    return {
        "luma, box mean, decimate": fill_means,
        "DCT": partial(kernels.dct_coefficients, means, find.BASIS, values),
        "median and certificate": partial(
            kernels.lower_median, flat, plan.tolerance, find.LARGEST_COEFFICIENT
        ),
        "all, from Python": partial(find.find_pixels, rgb),
        "reference's order (fall-back)": partial(
            find.reference_order, rgb, plan.windows, find.BASIS, np.empty((SIDE, SIDE)), spare
        ),
    }


def time_stages(stages: dict[str, Callable[[], Any]], *, repeats: int, loops: int) -> pd.DataFrame:
    """`timing.time_side_by_side` of stages that are too short for a clock: seconds of one call, over `loops` calls."""

    def looped(function: Callable[[], Any]) -> None:
        for _ in range(loops):
            function()

    calls = {name: partial(looped, function) for name, function in stages.items()}
    timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    return timings.assign(seconds=timings["seconds"] / loops)


def kernel_operations(rows: int, cols: int) -> dict[str, int]:
    """Operations that the kernels must do for one image, by kind: 16-bit additions, gathers of a weighted window, and
    float64 multiply-additions."""
    windows = find.plan(rows, cols).windows
    per_row = 3 * (cols + 1)
    return {
        "16-bit additions": int((windows[find.BOTTOM] - windows[find.TOP]).sum()) * per_row
        + SIDE * 2 * certificate.half_window(cols) * per_row,
        "windows weighted": SIDE * SIDE,
        "float64 multiply-additions": KEPT * SIDE * SIDE + KEPT * KEPT * SIDE,
    }


# Exactness -----------------------------------------------------------------------------------------------------------


def certified(rgb: Pixels) -> tuple[float, float, bool]:
    """Of these pixels: the gap from the 128th smallest coefficient to the 129th in the reference's arithmetic, what a
    gap must exceed for the fast kernel to decide, and whether it did."""
    exact = find.reference_coefficients(rgb)
    rows, cols, _ = rgb.shape
    needed = find.plan(rows, cols).tolerance
    return vectorised.gap(exact), needed, find.compute(rgb).certain


def gap_table(paths: Sequence[str | Path]) -> pd.DataFrame:
    """One row per file: path, gap, needed, certain, as `certified` has them, every hash checked.

    The check is against `vectorised.find_pixels`, which shares no arithmetic with the kernels but the certificate.
    """
    rows = []
    for path in paths:
        rgb = load_rgb(path)
        rows.append((str(path), *certified(rgb)))
        assert np.array_equal(find.find_pixels(rgb), vectorised.find_pixels(rgb)), (
            f"{path}: hashes differ"
        )
    return pd.DataFrame(rows, columns=["path", "gap", "needed", "certain"])


def integral_error(rgb: Pixels) -> dict[str, float]:
    """How far box means (in units of luma) and coefficients stray when the integral image is summed in float64 luma,
    and the bound that would have to be taken for the coefficients."""
    rows, cols = rgb.shape[:2]
    thousandths = vectorised.luma(rgb)
    exact = vectorised.box_mean(thousandths)
    floats = vectorised.box_mean(thousandths / 1000) * 1000
    small = vectorised.decimate(exact), vectorised.decimate(floats)
    least = certificate.half_window(rows) * certificate.half_window(cols)
    unit = (rows + cols + 3) * 2.0**-53
    return {
        "mean": float(np.abs(floats - exact).max()),
        "coefficient": float(np.abs(vectorised.dct(small[1]) - vectorised.dct(small[0])).max()),
        "bound": 2 * 4 * unit * 255 * rows * cols / least * certificate.ROW_SUM**2,
    }


# Decoding ------------------------------------------------------------------------------------------------------------


def decoders(paths: Sequence[str | Path]) -> pd.DataFrame:
    """One row per file: path, decoder that `decoding` uses ("libjpeg-turbo" or "Pillow"), its pixels checked."""
    rows = []
    for path in paths:
        assert np.array_equal(decoding.open_picture(path).rgb, load_rgb(path)), (
            f"{path}: pixels differ"
        )
        rows.append(
            (str(path), "Pillow" if decoding.decode_jpeg(path) is None else "libjpeg-turbo")
        )
    return pd.DataFrame(rows, columns=["path", "decoder"])


def enlarged(
    width: int, height: int, folder: str | Path, *, quality: int = 90, seed: int = 2026
) -> list[Path]:
    """The photographs of `baseline.photographs` as JPEGs of width x height in `folder`, cropped, with film grain where
    they had to be blown up, so that the decoder has as much to do as a camera's file gives it."""
    rng, paths = np.random.default_rng(seed), []
    for name, photo in photographs(10_000).items():
        scale = max(width / photo.width, height / photo.height)
        grown = photo.resize(
            (round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC
        )
        picture = np.asarray(grown.crop((0, 0, width, height)), dtype=np.int16)
        if scale > 1:
            picture = picture + rng.integers(-3, 4, picture.shape[:2], dtype=np.int16)[:, :, None]
        paths.append(Path(folder) / f"{name}_{width}x{height}.jpg")
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(paths[-1], quality=quality)
    return paths


def reduced(data: bytes, eighths: int) -> Pixels:
    """A JPEG decoded at eighths / 8 of its size (or the next scale that libjpeg-turbo has), then step 1's thumbnail."""
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    least = {"min_height": -(-height * eighths // 8), "min_width": -(-width * eighths // 8)}
    pixels = simplejpeg.decode_jpeg(data, "RGB", **(least if eighths < 8 else {}))
    return pixels if max(pixels.shape) <= MAX_SIDE else decoding.shrink(pixels)


def _hash_reduced(data: bytes, eighths: int) -> Pixels:
    return find.find_pixels(reduced(data, eighths))


def reduced_table(paths: Sequence[str | Path], scales: Sequence[int], repeats: int) -> pd.DataFrame:
    """What a reduced-scale decode saves and changes: columns picture, eighths, seconds (median, bytes to hash), bits
    (that differ from FINd's hash of the file)."""
    rows = []
    for path in paths:
        data, right = Path(path).read_bytes(), HASHERS["find"].from_file(path)
        calls = {str(scale): partial(_hash_reduced, data, scale) for scale in scales}
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
        for scale, seconds in timings.groupby("name", sort=False)["seconds"].median().items():
            bits = int(np.bitwise_count(calls[str(scale)]() ^ right).sum())
            rows.append((Path(path).stem, int(str(scale)), float(seconds), bits))
    return pd.DataFrame(rows, columns=["picture", "eighths", "seconds", "bits"])


def file_stages(path: str | Path) -> dict[str, Callable[[], Any]]:
    """From a JPEG file to FINd: its steps, each on its own input, ready to be timed."""
    data = Path(path).read_bytes()
    full, rgb = simplejpeg.decode_jpeg(data), load_rgb(path)
    stages: dict[str, Callable[[], Any]] = {
        "read": lambda: Path(path).read_bytes(),
        "decode": partial(simplejpeg.decode_jpeg, data),
        "thumbnail": partial(decoding.shrink, full),
        "hash": partial(find.find_pixels, rgb),
        "file to hash": partial(HASHERS["find"].from_file, path),
    }
    if max(full.shape) <= MAX_SIDE:
        del stages["thumbnail"]
    return stages


# The first call ------------------------------------------------------------------------------------------------------

_FIRST_CALL = """
from time import perf_counter
marks = [perf_counter()]
import numpy
from finlib import compiled
rgb = numpy.random.default_rng(0).integers(0, 256, (250, 250, 3), dtype="uint8")
for _ in range(3):
    marks.append(perf_counter())
    compiled.find_pixels(rgb)
print(*(after - before for before, after in zip(marks, marks[1:])))
"""


def first_calls() -> pd.DataFrame:
    """Seconds of the import, the first and the second hash in two new processes, one after the other: columns process,
    step, seconds. The first process finds no compiled kernels, the second those that the first left."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for process in ("kernels not yet compiled", "kernels in the cache"):
            done = subprocess.run(
                [sys.executable, "-c", _FIRST_CALL],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            steps = zip(
                ("import", "first hash", "second hash"),
                map(float, done.stdout.split()),
                strict=True,
            )
            rows += [(process, step, seconds) for step, seconds in steps]
    return pd.DataFrame(rows, columns=["process", "step", "seconds"])


def warm_up() -> None:
    """Load the kernels, so that what is measured afterwards is free of it."""
    find.find_pixels(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
