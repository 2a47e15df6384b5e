"""FINd in pure Python, step by step as specified: the answer that other versions reproduce.

The order of the floating-point operations is part of the answer. On flat and symmetric images the
true coefficients tie at zero, and rounding alone decides the bits. So sums are written as loops
(the built-in `sum` compensates for rounding from Python 3.12 on), and nothing is rearranged for
speed.

`shipped=True` gives FINd with the two defects that FIN's code shows on images that are not square;
without it, this is corrected FINd, which has the same bits on every square image. "FINd" anywhere
else in finlib means the corrected one.

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

SIDE = 64  # pixels on a side of the decimated image
KEPT = 16  # DCT frequencies kept along each axis, the zero frequency left out
HALF = KEPT * KEPT // 2


def window(length: int) -> int:
    """The size of the box filter's window along a side of `length` pixels (step 3)."""
    return (length + SIDE - 1) // SIDE


def luma(rgb: Sequence[Sequence[Sequence[int]]]) -> list[float]:
    """Luma from 0 to 255 of every pixel, as a row-major buffer, from rows of (R, G, B) (step 2)."""
    buffer = []
    for row in rgb:
        for red, green, blue in row:
            buffer.append(0.299 * red + 0.587 * green + 0.114 * blue)
    return buffer


def box_mean(buffer: list[float], rows: int, cols: int, *, shipped: bool = False) -> list[float]:
    """The mean over a window around every pixel, clipped at the borders (step 3).

    Shipped: the number of rows serves as the stride, and the two window sizes are swapped. On a
    portrait image this runs off the buffer (IndexError), and on a landscape image part of the
    result stays 0.
    """
    if shipped:
        stride = rows
        half_rows = (window(cols) + 2) // 2
        half_cols = (window(rows) + 2) // 2
    else:
        stride = cols
        half_rows = (window(rows) + 2) // 2
        half_cols = (window(cols) + 2) // 2
    means = [0.0] * (rows * cols)
    for i in range(rows):
        top = max(0, i - half_rows)
        bottom = min(rows, i + half_rows)
        for j in range(cols):
            left = max(0, j - half_cols)
            right = min(cols, j + half_cols)
            total = 0.0
            for k in range(top, bottom):
                for m in range(left, right):
                    total += buffer[k * stride + m]
            means[i * stride + j] = total / ((bottom - top) * (right - left))
    return means


def decimate(buffer: list[float], rows: int, cols: int) -> list[list[float]]:
    """64 x 64 of the buffer's values, each from the middle of a cell of an even grid (step 4)."""
    small = []
    for i in range(SIDE):
        row = int((i + 0.5) * rows / SIDE)
        values = []
        for j in range(SIDE):
            col = int((j + 0.5) * cols / SIDE)
            values.append(buffer[row * cols + col])
        small.append(values)
    return small


@cache
def dct_matrix() -> list[list[float]]:
    """The DCT's basis, 16 x 64, unscaled, from frequency 1 on (step 5).

    An entry is cos((pi / 2 / 64) * (i + 1) * (2 * j + 1)), computed from left to right. The entries
    are read from cosines.txt, correctly rounded: a platform's own cosine may end in another bit,
    and the hashes of flat images show it.
    """
    text = Path(__file__).with_name("cosines.txt").read_text(encoding="ascii")
    matrix = []
    for line in text.splitlines():
        matrix.append([float.fromhex(number) for number in line.split()])
    return matrix


def dct(small: list[list[float]]) -> list[list[float]]:
    """The 16 x 16 lowest frequencies of a 64 x 64 picture A: B = (D A) D' (step 5)."""
    basis = dct_matrix()
    half_way = [[0.0] * SIDE for _ in range(KEPT)]
    for i in range(KEPT):
        for j in range(SIDE):
            total = 0.0
            for k in range(SIDE):
                total += basis[i][k] * small[k][j]
            half_way[i][j] = total
    coefficients = [[0.0] * KEPT for _ in range(KEPT)]
    for i in range(KEPT):
        for j in range(KEPT):
            total = 0.0
            for k in range(SIDE):
                total += half_way[i][k] * basis[j][k]
            coefficients[i][j] = total
    return coefficients


def lower_median(coefficients: list[list[float]]) -> float:
    """The 128th smallest of 256 (step 6); FIN finds the same value by Torben's method."""
    values: list[float] = []
    for row in coefficients:
        values.extend(row)
    values.sort()
    return values[HALF - 1]


def bits(coefficients: list[list[float]], median: float) -> list[list[bool]]:
    """Which of the 16 x 16 coefficients exceed the median, high frequencies first (step 7)."""
    rows = []
    for row in reversed(coefficients):
        rows.append([value > median for value in reversed(row)])
    return rows


def hash_bits(rgb: Any, shipped: bool) -> list[list[bool]]:
    """The bits of a hash, 16 x 16, of an array of pixels or of nested lists (steps 2 to 7)."""
    pixels = rgb.tolist() if hasattr(rgb, "tolist") else rgb
    rows = len(pixels)
    cols = len(pixels[0])
    means = box_mean(luma(pixels), rows, cols, shipped=shipped)
    coefficients = dct(decimate(means, rows, cols))
    return bits(coefficients, lower_median(coefficients))


def find_pixels(rgb: Any, *, shipped: bool = False) -> NDArray[np.uint8]:
    """FINd of pixels, packed in uint8[32] (steps 2 to 7).

    `rgb` are 8-bit pixels [H, W, 3], an array or nested lists. Raises IndexError on portrait pixels
    when `shipped`.
    """
    bits_of_hash = np.array(hash_bits(rgb, shipped))
    return np.packbits(bits_of_hash)


def find_hash(image: Image.Image | str | Path, *, shipped: bool = False) -> imagehash.ImageHash:
    """FINd of an image or a file as an `ImageHash`, the form of `imagehash.phash` (all steps).

    Errors are those of `images.open_rgb` for what cannot be read, and of `find_pixels`.
    """
    pixels = np.asarray(open_rgb(image))
    bits_of_hash = np.array(hash_bits(pixels, shipped))
    return imagehash.ImageHash(bits_of_hash)
