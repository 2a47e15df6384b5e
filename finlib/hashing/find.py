"""FINd as numba kernels over pixels as they are decoded.

Luma is the integer 299 R + 587 G + 114 B and window sums are exact integers: a window is summed channel by channel in
16-bit lanes, and weighted once. The DCT is two products of BLAS in float64. Kernels release the GIL, are compiled on
first use and cached on disk (beside the module, or in the user's cache where that is read-only).

The hash is the reference's by `certificate`. Under its bound a kernel recomputes in the reference's
own order of floating-point operations, which LLVM neither reorders nor fuses without fastmath.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from finlib.hashing.certificate import (
    BASIS,
    ROW_SUM,
    centres,
    check_pixels,
    half_window,
    rounding_bound,
    spans,
)
from finlib.hashing.decoding import VARIANTS
from finlib.hashing.kernels import dct_coefficients, lower_median, pack_bits, quality
from finlib.hashing.reference import HALF, KEPT, SIDE

ROUNDINGS = (
    4 + 2 * SIDE
)  # two reciprocals and two products scale a window's sum, then come the two sums of products
MAX_WINDOW = (
    257  # pixels whose sum is sure to fit 16 bits: 257 * 255 = 65,535; sides up to 512 need 100
)
LARGEST_COEFFICIENT = 2.0 * ROW_SUM * ROW_SUM * 255  # twice what a coefficient can be


@lru_cache(maxsize=1024)
def _plan(rows: int, cols: int) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """What depends on the size alone: int64[5, 64], float64[2, 64], and 2 E of the certificate.

    Rows of the first: top, bottom, left, right of the windows, and the column at each one's centre. Of the second: 1 /
    (1000 * window rows) and 1 / window columns. Where a sum might not fit 16 bits, 2 E is infinite: no gap exceeds it.
    """
    at = centres(cols)
    top, bottom = spans(centres(rows), rows)
    left, right = spans(at, cols)
    fits = 4 * half_window(rows) * half_window(cols) <= MAX_WINDOW
    tolerance = 2 * rounding_bound(rows, cols, ROUNDINGS) if fits else np.inf
    factors = np.stack([1 / (1000 * (bottom - top)), 1 / (right - left)])
    return np.stack([top, bottom, left, right, at]), factors, tolerance


@njit(nogil=True, cache=True)
def _sum_rows(flat, row, bottom, strip):  # type: ignore[no-untyped-def]
    """Rows `row` to `bottom` of uint8[H, n] summed into `strip`, uint16[n]; six at once while there are six."""
    size = strip.size
    if row + 6 <= bottom:
        a, b, c, d, e, f = (
            flat[row],
            flat[row + 1],
            flat[row + 2],
            flat[row + 3],
            flat[row + 4],
            flat[row + 5],
        )
        for k in range(size):
            strip[k] = (
                np.uint16(a[k])
                + np.uint16(b[k])
                + np.uint16(c[k])
                + np.uint16(d[k])
                + np.uint16(e[k])
                + f[k]
            )
        row += 6
    else:
        strip[:] = 0
    while row + 2 <= bottom:
        a, b = flat[row], flat[row + 1]
        for k in range(size):
            strip[k] += np.uint16(a[k]) + b[k]
        row += 2
    if row < bottom:
        a = flat[row]
        for k in range(size):
            strip[k] += a[k]


@njit(nogil=True, cache=True)
def _sum_columns(padded, half, sums):  # type: ignore[no-untyped-def]
    """2 * half neighbouring pixels of a strip, uint16 and interleaved, summed channel by channel into `sums`."""
    size, pair = sums.size, 1
    if half >= 3:
        for k in range(size):
            sums[k] = (
                padded[k]
                + padded[k + 3]
                + padded[k + 6]
                + padded[k + 9]
                + padded[k + 12]
                + padded[k + 15]
            )
        pair = 3
    else:
        for k in range(size):
            sums[k] = padded[k] + padded[k + 3]
    while pair < half:
        rest = padded[6 * pair :]
        for k in range(size):
            sums[k] += rest[k] + rest[k + 3]
        pair += 1


@njit(nogil=True, cache=True)
def _means(pixels, plan, factors, half, means):  # type: ignore[no-untyped-def]
    """Luma, box mean and decimation of uint8[H, W, 3] into `means`, float64[64, 64] (steps 2 to 4).

    `half` columns of zeros on either side of a strip stand for what lies outside the image.
    """
    rows, cols = pixels.shape[0], pixels.shape[1]
    flat = pixels.reshape(rows, 3 * cols)
    padded = np.zeros(3 * (cols + 2 * half), np.uint16)
    strip = padded[3 * half : 3 * (half + cols)]
    sums = np.empty(3 * (cols + 1), np.uint16)
    for i in range(SIDE):
        _sum_rows(flat, plan[0, i], plan[1, i], strip)
        _sum_columns(padded, half, sums)
        factor = factors[0, i]
        for j in range(SIDE):
            k = np.uint64(3 * plan[4, j])  # unsigned: no wrap-around to check for
            weighted = 299 * sums[k] + 587 * sums[k + np.uint64(1)] + 114 * sums[k + np.uint64(2)]
            means[i, j] = weighted * (factor * factors[1, j])


@njit(nogil=True, cache=True)
def _reference_order(pixels, plan, basis, means, values):  # type: ignore[no-untyped-def]
    """`means` and `values` as `reference` computes them, operation by operation, in the windows decimation keeps."""
    for i in range(SIDE):
        top, bottom = plan[0, i], plan[1, i]
        for j in range(SIDE):
            left, right = plan[2, j], plan[3, j]
            total = 0.0
            for k in range(top, bottom):
                for m in range(left, right):
                    total += (
                        0.299 * pixels[k, m, 0] + 0.587 * pixels[k, m, 1] + 0.114 * pixels[k, m, 2]
                    )
            means[i, j] = total / ((bottom - top) * (right - left))
    half_way = np.empty((KEPT, SIDE))
    for i in range(KEPT):
        for j in range(SIDE):
            total = 0.0
            for k in range(SIDE):
                total += basis[i, k] * means[k, j]
            half_way[i, j] = total
        for j in range(KEPT):
            total = 0.0
            for k in range(SIDE):
                total += half_way[i, k] * basis[j, k]
            values[i, j] = total


@njit(nogil=True, cache=True)
def _find(pixels, plan, factors, tolerance, half, basis, rated):  # type: ignore[no-untyped-def]
    """Packed bits (steps 2 to 7), means, whether the certificate held, and the quality where that is wanted."""
    means, values = np.empty((SIDE, SIDE)), np.empty((KEPT, KEPT))
    flat = values.ravel()
    median, certain = 0.0, False
    if tolerance < np.inf:
        _means(pixels, plan, factors, half, means)
        dct_coefficients(means, basis, values)
        median, certain = lower_median(flat, tolerance, LARGEST_COEFFICIENT)
    if not certain:
        _reference_order(pixels, plan, basis, means, values)
        median = np.sort(flat)[HALF - 1]
    return pack_bits(flat[::-1] > median), means, certain, quality(means) if rated else 0


def _run(rgb: Any, rated: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.float64], bool, int]:
    pixels = check_pixels(rgb)
    rows, cols, _ = pixels.shape
    return _find(pixels, *_plan(rows, cols), half_window(cols), BASIS, rated)


def find_pixels(rgb: Any) -> NDArray[np.uint8]:
    """Packed hash, uint8[32], of uint8[H, W, 3] in RGB; TypeError or ValueError for anything else.

    >>> find_pixels(np.arange(7500, dtype=np.uint8).reshape(50, 50, 3)).shape
    (32,)
    """
    return _run(rgb)[0]


def find_with_quality(rgb: Any) -> tuple[NDArray[np.uint8], float]:
    """`find_pixels`, and PDQ's image quality, 0 (flat) to 100, taken on FINd's own 64 x 64 means."""
    packed, _, _, detail = _run(rgb, rated=True)
    return packed, float(detail)


def reference_coefficients(rgb: Any) -> NDArray[np.float64]:
    """float64[16, 16], bit for bit those of `reference.dct` (steps 2 to 5)."""
    pixels = check_pixels(rgb)
    means, values = np.empty((SIDE, SIDE)), np.empty((KEPT, KEPT))
    _reference_order(pixels, _plan(*pixels.shape[:2])[0], BASIS, means, values)
    return values


def find_variants(rgb: Any) -> NDArray[np.uint8]:
    """Hashes of a picture's eight VARIANTS from one transform, uint8[8, 32]; the first is `find_pixels(rgb)`.

    Mirroring turns the signs of every other coefficient, transposing transposes them. FINd's windows are half-open,
    so that mirrored ones differ by a few bits from the hash of the picture that was turned itself.
    """
    values = reference_coefficients(rgb)
    sign = np.where(np.arange(len(values)) % 2 == 0, -1.0, 1.0)
    hashes = [find_pixels(rgb)]
    for place in range(1, len(VARIANTS)):
        transposed, down, across = place >= 4, place & 2, place & 1
        if transposed:
            down, across = across, down
        turned = (
            (values.T if transposed else values)
            * (sign if across else 1.0)
            * (sign[:, None] if down else 1.0)
        )
        median = np.partition(turned, HALF - 1, axis=None)[HALF - 1]
        hashes.append(np.packbits(turned[::-1, ::-1] > median))
    return np.stack(hashes)
