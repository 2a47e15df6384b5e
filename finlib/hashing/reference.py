"""FINd in pure Python, step by step as the specification has it: the answer that every other version must reproduce.

The order of the floating-point operations is part of the answer: on flat and symmetric images the true coefficients tie
at zero, and rounding alone decides the bits. So sums are written as loops (the built-in `sum` compensates from Python
3.12 on) and nothing is rearranged for speed.

`shipped=True` gives FINd with the two defects of FIN's code on images that are not square; without it, corrected FINd,
which has the same bits on every square image. "FINd" anywhere else in finlib means the corrected one.

Buffers are flat, row-major lists of float, as in FIN's code; matrices are lists of rows.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing.images import open_rgb

SIDE = 64  # of the decimated image
KEPT = 16  # DCT frequencies kept along each axis, the zero frequency left out
HALF = KEPT * KEPT // 2


def window(length: int) -> int:
    """Box filter window for a side of `length` pixels (step 3)."""
    return (length + SIDE - 1) // SIDE


def luma(rgb: Sequence[Sequence[Sequence[int]]]) -> list[float]:
    """Rows of pixels of (R, G, B) to a row-major buffer of luma, 0 to 255 (step 2)."""
    return [0.299 * r + 0.587 * g + 0.114 * b for row in rgb for r, g, b in row]


def box_mean(buffer: list[float], rows: int, cols: int, *, shipped: bool = False) -> list[float]:
    """Mean over a window around every pixel, clipped at the borders (step 3).

    Shipped: the number of rows serves as the stride, and the two window sizes are swapped. A portrait image then runs
    off the buffer (IndexError), and on a landscape image part of the result stays 0.
    """
    stride = rows if shipped else cols
    half_rows = (window(cols if shipped else rows) + 2) // 2
    half_cols = (window(rows if shipped else cols) + 2) // 2
    means = [0.0] * (rows * cols)
    for i in range(rows):
        top, bottom = max(0, i - half_rows), min(rows, i + half_rows)
        for j in range(cols):
            left, right = max(0, j - half_cols), min(cols, j + half_cols)
            total = 0.0
            for k in range(top, bottom):
                for m in range(left, right):
                    total += buffer[k * stride + m]
            means[i * stride + j] = total / ((bottom - top) * (right - left))
    return means


def decimate(buffer: list[float], rows: int, cols: int) -> list[list[float]]:
    """64 x 64 of the buffer's values, from the middle of each cell of an even grid (step 4)."""
    across = [int((j + 0.5) * cols / SIDE) for j in range(SIDE)]
    return [[buffer[int((i + 0.5) * rows / SIDE) * cols + j] for j in across] for i in range(SIDE)]


@cache
def dct_matrix() -> list[list[float]]:
    """16 x 64, unscaled, from frequency 1 on (step 5): cos((pi / 2 / 64) * (i + 1) * (2 * j + 1)), left to right.

    Read from cosines.txt, correctly rounded: a platform's own cosine may end in another bit, and flat images show it.
    """
    rows = Path(__file__).with_name("cosines.txt").read_text(encoding="ascii").splitlines()
    return [[float.fromhex(value) for value in row.split()] for row in rows]


def dct(small: list[list[float]]) -> list[list[float]]:
    """64 x 64 to the 16 x 16 lowest frequencies, B = (D A) D' (step 5)."""
    basis = dct_matrix()
    half_way = [[0.0] * SIDE for _ in range(KEPT)]
    for i in range(KEPT):
        for j in range(SIDE):
            total = 0.0
            for k in range(SIDE):
                total += basis[i][k] * small[k][j]
            half_way[i][j] = total
    out = [[0.0] * KEPT for _ in range(KEPT)]
    for i in range(KEPT):
        for j in range(KEPT):
            total = 0.0
            for k in range(SIDE):
                total += half_way[i][k] * basis[j][k]
            out[i][j] = total
    return out


def lower_median(coefficients: list[list[float]]) -> float:
    """The 128th smallest of 256 (step 6); FIN finds the same value by Torben's method."""
    return sorted(value for row in coefficients for value in row)[HALF - 1]


def bits(coefficients: list[list[float]], median: float) -> list[list[bool]]:
    """16 x 16, both axes reversed: high frequencies first (step 7)."""
    return [[value > median for value in reversed(row)] for row in reversed(coefficients)]


def hash_bits(rgb: Any, shipped: bool) -> list[list[bool]]:
    """The bits of 8-bit RGB pixels [H, W, 3], as 16 rows of 16; steps 2 to 7.

    This function is what the profiles of notebook 01 measure.
    """
    pixels = rgb.tolist() if hasattr(rgb, "tolist") else rgb
    rows, cols = len(pixels), len(pixels[0])
    means = box_mean(luma(pixels), rows, cols, shipped=shipped)
    coefficients = dct(decimate(means, rows, cols))
    return bits(coefficients, lower_median(coefficients))


def find_pixels(rgb: Any, *, shipped: bool = False) -> NDArray[np.uint8]:
    """Packed hash, uint8[32], of 8-bit RGB pixels [H, W, 3] (an array or nested lists); steps 2 to 7.

    Raises IndexError on portrait pixels when `shipped`.
    """
    return np.packbits(np.array(hash_bits(rgb, shipped)))


def find_hash(image: Image.Image | str | Path, *, shipped: bool = False) -> imagehash.ImageHash:
    """FINd of an image or a file, as `imagehash.phash` and its neighbours give theirs; all steps.

    Errors are those of `images.open_rgb` for what cannot be read, and of `find_pixels`.
    """
    return imagehash.ImageHash(np.array(hash_bits(np.asarray(open_rgb(image)), shipped)))
