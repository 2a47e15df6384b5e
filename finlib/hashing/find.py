"""FINd as numba kernels, from the pixels of a picture to its hash.

Luma is the integer 299 R + 587 G + 114 B, and the sums over windows are exact integers: each
channel is summed in 16-bit numbers, and the three sums are weighted once for each window. The DCT
is two matrix products in float64.

The bits are the reference's, for the reason that `certificate` gives. Where its bound does not
decide, a kernel computes again in the reference's own order of floating-point operations, which
LLVM neither reorders nor fuses as long as fastmath is off.
"""

from functools import lru_cache
from typing import Any, NamedTuple

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
from finlib.hashing.kernels import dct_coefficients, lower_median, pack_bits, quality
from finlib.hashing.reference import HALF, KEPT, SIDE

# Roundings on the way of one pixel into a coefficient, as `certificate` counts them: two
# reciprocals and two products scale a window's sum, and two sums of products follow.
ROUNDINGS = 4 + 2 * SIDE
# Pixels in the largest window whose sum is sure to fit 16 bits, as 257 * 255 = 65,535. Sides of up
# to 512 need 100.
MAX_WINDOW = 257
LARGEST_COEFFICIENT = 2.0 * ROW_SUM * ROW_SUM * 255  # twice what a coefficient can be

# Rows of `Plan.windows`.
TOP = 0
BOTTOM = 1
LEFT = 2
RIGHT = 3
MIDDLE = 4

# Rows of `Plan.factors`.
OF_ROWS = 0
OF_COLUMNS = 1


class Plan(NamedTuple):
    """What the kernels need to know about a picture's size.

    windows: int64[5, 64]. The window of place (i, j) in the decimated picture spans rows
        windows[TOP, i] to windows[BOTTOM, i] and columns windows[LEFT, j] to windows[RIGHT, j],
        ends excluded; windows[MIDDLE, j] is the column at its middle.
    factors: float64[2, 64]. The sum of integer luma over that window times factors[OF_ROWS, i] and
        factors[OF_COLUMNS, j] is the mean luma.
    tolerance: 2 E of `certificate`, what the gap between two coefficients must exceed. It is
        infinite where a window's sum might not fit 16 bits, so that no gap suffices.
    half_width: columns of a window on either side of its middle.
    """

    windows: NDArray[np.int64]
    factors: NDArray[np.float64]
    tolerance: float
    half_width: int


class FindResult(NamedTuple):
    """FINd of one picture, with what led to it.

    packed: the hash, uint8[32].
    means: float64[64, 64], the decimated means of luma (steps 2 to 4).
    certain: whether the fast arithmetic decided; if not, the reference's order of operations did.
    quality: PDQ's measure of detail, 0 to 100; 0 where it was not asked for.
    """

    packed: NDArray[np.uint8]
    means: NDArray[np.float64]
    certain: bool
    quality: int


@lru_cache(maxsize=1024)
def plan(rows: int, cols: int) -> Plan:
    """The plan for pictures of one size, computed once."""
    middles = centres(cols)
    top, bottom = spans(centres(rows), rows)
    left, right = spans(middles, cols)
    window_pixels = 4 * half_window(rows) * half_window(cols)
    tolerance = np.inf
    if window_pixels <= MAX_WINDOW:
        tolerance = 2 * rounding_bound(rows, cols, ROUNDINGS)
    factors = np.stack([1 / (1000 * (bottom - top)), 1 / (right - left)])
    windows = np.stack([top, bottom, left, right, middles])
    return Plan(windows, factors, tolerance, half_width=half_window(cols))


@njit(nogil=True, cache=True)
def sum_rows(flat, top, bottom, strip):  # type: ignore[no-untyped-def]
    """Sum the rows of uint8[H, n] from `top` to `bottom`, end excluded, into `strip`, uint16[n].

    A pass over the strip takes six rows at first, where there are as many, then two: fewer passes
    are faster.
    """
    row = top
    if row + 6 <= bottom:
        a = flat[row]
        b = flat[row + 1]
        c = flat[row + 2]
        d = flat[row + 3]
        e = flat[row + 4]
        f = flat[row + 5]
        for k in range(strip.size):
            first_three = np.uint16(a[k]) + np.uint16(b[k]) + np.uint16(c[k])
            strip[k] = first_three + np.uint16(d[k]) + np.uint16(e[k]) + f[k]
        row += 6
    else:
        strip[:] = 0
    while row + 2 <= bottom:
        a = flat[row]
        b = flat[row + 1]
        for k in range(strip.size):
            strip[k] += np.uint16(a[k]) + b[k]
        row += 2
    if row < bottom:
        a = flat[row]
        for k in range(strip.size):
            strip[k] += a[k]


@njit(nogil=True, cache=True)
def sum_columns(padded, half_width, sums):  # type: ignore[no-untyped-def]
    """Sum 2 * half_width neighbouring pixels of a padded strip into `sums`, channel by channel.

    Both are interleaved RGB in uint16. The first pass takes three pairs of pixels where there are
    as many, every other pass one pair.
    """
    pairs = 1
    if half_width >= 3:
        for k in range(sums.size):
            first_three = padded[k] + padded[k + 3] + padded[k + 6]
            sums[k] = first_three + padded[k + 9] + padded[k + 12] + padded[k + 15]
        pairs = 3
    else:
        for k in range(sums.size):
            sums[k] = padded[k] + padded[k + 3]
    while pairs < half_width:
        rest = padded[6 * pairs :]
        for k in range(sums.size):
            sums[k] += rest[k] + rest[k + 3]
        pairs += 1


@njit(nogil=True, cache=True)
def decimated_means(pixels, windows, factors, half_width, means):  # type: ignore[no-untyped-def]
    """Reduce a picture, uint8[H, W, 3], to 64 x 64 means of luma, float64 `means` (steps 2 to 4).

    Columns of zeros on either side of a strip stand for what lies outside the picture.
    """
    rows = pixels.shape[0]
    cols = pixels.shape[1]
    flat = pixels.reshape(rows, 3 * cols)
    padded = np.zeros(3 * (cols + 2 * half_width), np.uint16)
    strip = padded[3 * half_width : 3 * (half_width + cols)]
    sums = np.empty(3 * (cols + 1), np.uint16)
    for i in range(SIDE):
        sum_rows(flat, windows[TOP, i], windows[BOTTOM, i], strip)
        sum_columns(padded, half_width, sums)
        row_factor = factors[OF_ROWS, i]
        for j in range(SIDE):
            # Unsigned, so that the compiled code need not ask whether an index is negative.
            k = np.uint64(3 * windows[MIDDLE, j])
            red = sums[k]
            green = sums[k + np.uint64(1)]
            blue = sums[k + np.uint64(2)]
            weighted = 299 * red + 587 * green + 114 * blue
            means[i, j] = weighted * (row_factor * factors[OF_COLUMNS, j])


@njit(nogil=True, cache=True)
def reference_order(pixels, windows, basis, means, values):  # type: ignore[no-untyped-def]
    """Compute the DCT in exactly the operations of `reference` (steps 2 to 5).

    Only the windows that decimation keeps are summed. Writes float64[64, 64] to `means` and
    float64[16, 16] to `values`.
    """
    for i in range(SIDE):
        top = windows[TOP, i]
        bottom = windows[BOTTOM, i]
        for j in range(SIDE):
            left = windows[LEFT, j]
            right = windows[RIGHT, j]
            total = 0.0
            for k in range(top, bottom):
                for m in range(left, right):
                    red = pixels[k, m, 0]
                    green = pixels[k, m, 1]
                    blue = pixels[k, m, 2]
                    total += 0.299 * red + 0.587 * green + 0.114 * blue
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
def _find(  # type: ignore[no-untyped-def]
    pixels, windows, factors, tolerance, half_width, basis, with_quality
):
    """Compute the fields of a `FindResult`; four of the arguments are the fields of a `Plan`."""
    means = np.empty((SIDE, SIDE))
    values = np.empty((KEPT, KEPT))
    flat = values.ravel()
    median = 0.0
    certain = False
    if tolerance < np.inf:
        decimated_means(pixels, windows, factors, half_width, means)
        dct_coefficients(means, basis, values)
        median, certain = lower_median(flat, tolerance, LARGEST_COEFFICIENT)
    if not certain:
        reference_order(pixels, windows, basis, means, values)
        median = np.sort(flat)[HALF - 1]
    packed = pack_bits(flat[::-1] > median)  # high frequencies first (step 7)
    detail = quality(means) if with_quality else 0
    return packed, means, certain, detail


def compute(rgb: Any, with_quality: bool = False) -> FindResult:
    """Compute FINd of a picture, uint8[H, W, 3] in RGB, and what led to it.

    TypeError or ValueError where `rgb` is something else.
    """
    pixels = check_pixels(rgb)
    rows, cols, _ = pixels.shape
    fields = _find(pixels, *plan(rows, cols), BASIS, with_quality)
    return FindResult(*fields)


def find_pixels(rgb: Any) -> NDArray[np.uint8]:
    """FINd of a picture's pixels, uint8[H, W, 3] in RGB, packed in uint8[32].

    TypeError or ValueError where `rgb` is something else.

    >>> find_pixels(np.arange(7500, dtype=np.uint8).reshape(50, 50, 3)).shape
    (32,)
    """
    return compute(rgb).packed


def find_with_quality(rgb: Any) -> tuple[NDArray[np.uint8], float]:
    """FINd of a picture's pixels and its quality, PDQ's measure of detail from 0 (flat) to 100.

    The hash is that of `find_pixels`; the quality is measured on FINd's own 64 x 64 means.
    """
    result = compute(rgb, with_quality=True)
    return result.packed, float(result.quality)


def reference_coefficients(rgb: Any) -> NDArray[np.float64]:
    """The coefficients of `reference.dct`, bit for bit: float64[16, 16] (steps 2 to 5)."""
    pixels = check_pixels(rgb)
    rows, cols, _ = pixels.shape
    means = np.empty((SIDE, SIDE))
    values = np.empty((KEPT, KEPT))
    reference_order(pixels, plan(rows, cols).windows, BASIS, means, values)
    return values


def find_variants(rgb: Any) -> NDArray[np.uint8]:
    """Hashes of a picture's eight turns and mirror images from one transform, uint8[8, 32].

    The order is that of `decoding.VARIANTS`, so the first hash is `find_pixels(rgb)`. Mirroring a
    picture changes the sign of every other coefficient, and transposing it transposes them. Because
    FINd's windows are half-open, the other hashes may differ by a few bits from those of pixels
    that were turned.

    >>> rgb = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)
    >>> hashes = find_variants(rgb)
    >>> hashes.shape, bool((hashes[0] == find_pixels(rgb)).all())
    ((8, 32), True)
    """
    values = reference_coefficients(rgb)
    signs = np.where(np.arange(KEPT) % 2 == 0, -1.0, 1.0)
    mirrored = values * signs
    upside_down = values * signs[:, None]
    half_turn = mirrored * signs[:, None]
    quarter = mirrored.T
    three_quarters = upside_down.T
    turned = [mirrored, upside_down, half_turn, values.T, quarter, three_quarters, half_turn.T]
    hashes = [find_pixels(rgb)]
    for coefficients in turned:
        median = np.partition(coefficients, HALF - 1, axis=None)[HALF - 1]
        hashes.append(np.packbits(coefficients[::-1, ::-1] > median))
    return np.stack(hashes)
