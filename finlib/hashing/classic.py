"""aHash, dHash and pHash as numba kernels, bit for bit imagehash's.

imagehash lets Pillow shrink the grey picture, at full size, by its Lanczos filter in whole numbers: weights of 22
binary places, along the rows and down the columns, each pass rounded to 8 bits. So can a kernel.

Nothing is left to rounding but pHash's DCT, whose coefficients are sums of at most 64 x 64 terms of 4 * 255. SciPy's
transform brings a term there through two real FFTs, each of at most 8 steps of 4 roundings and a factor of sqrt(2); by
Higham's gamma (see `certificate`) it is off by at most gamma(64) * 2^8 * 64 * 64 * 4 * 255 < 1e-5, and the two products
here by less. Where the upper half of the coefficients is 2^-9 above the lower one, a hundred times that, both set the
same bits; where it is not (flat and symmetric pictures), SciPy decides as it does in imagehash.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from finlib.hashing.kernels import dct_coefficients, lower_median, pack_bits

STRIP = 256  # rows of the picture that pass together, side by side in vectors
LANES = 16  # lines are filled up to a multiple of this
PLACES = 22  # binary, of Pillow's weights
TOLERANCE = 2.0**-9
REACH = 4.0 * 64 * 64 * 255 + 1  # more than any coefficient


@njit(nogil=True, cache=True)
def _plan(length, small):  # type: ignore[no-untyped-def]
    """Pillow's Lanczos filter from `length` pixels to `small`: first pixel, int64[small], and weights, int32[small, n],
    in units of 2^-22 and filled up with zeros to a multiple of four."""
    scale = length / small
    stretch = max(scale, 1.0)
    reach = 3 * stretch
    size = 2 * math.ceil(reach) + 1
    first, weights, exact = (
        np.empty(small, np.int64),
        np.zeros((small, (size + 3) // 4 * 4), np.int32),
        np.empty(size),
    )
    for i in range(small):
        centre = (i + 0.5) * scale
        first[i] = max(int(centre - reach + 0.5), 0)
        count = min(int(centre + reach + 0.5), length) - first[i]
        total = 0.0
        for k in range(count):
            at = (k + first[i] - centre + 0.5) * (1 / stretch)
            exact[k] = np.sinc(at) * np.sinc(at / 3) if -3 <= at < 3 else 0.0
            total += exact[k]
        for k in range(count):
            weight = exact[k] / total * (1 << PLACES)
            weights[i, k] = int(weight - 0.5 if weight < 0 else weight + 0.5)
    return first, weights


plan = lru_cache(maxsize=256)(_plan)


@njit(nogil=True, cache=True)
def _filter(lines, first, weights, sums, out):  # type: ignore[no-untyped-def]
    """Weighted sums of lines, uint8[m, n], rounded and clipped to out, uint8[len(first), n]; sums is room, int32[n]."""
    n = lines.shape[1]
    for i in range(len(first)):
        sums[:] = 1 << (PLACES - 1)
        for k in range(0, weights.shape[1], 4):
            at = first[i] + k
            a, b, c, d = lines[at], lines[at + 1], lines[at + 2], lines[at + 3]
            p, q, r, s = weights[i, k], weights[i, k + 1], weights[i, k + 2], weights[i, k + 3]
            for j in range(n):
                sums[j] += (np.int32(p * a[j]) + np.int32(q * b[j])) + (
                    np.int32(r * c[j]) + np.int32(s * d[j])
                )
        line = out[i]
        for j in range(n):
            line[j] = min(max(sums[j] >> PLACES, 0), 255)


@njit(nogil=True, cache=True)
def _turn(lines, out):  # type: ignore[no-untyped-def]
    """uint8[m, n] into the corner of out, uint8[.., 8 k], rows becoming columns: eight at once, as one uint64 a column.
    The last row stands for those that the last eight lack."""
    last, eight = len(lines) - 1, np.empty((lines.shape[1], 8), np.uint8)
    column, words = eight.view(np.uint64)[:, 0], out.view(np.uint64)
    for i in range(0, len(lines), 8):
        a, b, c, d = (
            lines[i],
            lines[min(i + 1, last)],
            lines[min(i + 2, last)],
            lines[min(i + 3, last)],
        )
        e, f = lines[min(i + 4, last)], lines[min(i + 5, last)]
        g, h = lines[min(i + 6, last)], lines[min(i + 7, last)]
        for j in range(len(eight)):
            eight[j, 0], eight[j, 1], eight[j, 2], eight[j, 3] = a[j], b[j], c[j], d[j]
            eight[j, 4], eight[j, 5], eight[j, 6], eight[j, 7] = e[j], f[j], g[j], h[j]
        for j in range(len(eight)):
            words[j, i // 8] = column[j]


@njit(nogil=True, cache=True)
def _resize(grey, across, down):  # type: ignore[no-untyped-def]
    """`_shrink`, its columns filled up to LANES. Both passes add up whole lines: the picture is turned before each."""
    rows, cols = grey.shape
    wide, padded = len(across[0]), (len(across[0]) + LANES - 1) // LANES * LANES
    strip = min((rows + LANES - 1) // LANES * LANES, STRIP)
    lines = np.empty(
        (cols + across[1].shape[1], strip), np.uint8
    )  # what is never filled has no weight
    narrow, sums = np.empty((wide, strip), np.uint8), np.empty(max(strip, padded), np.int32)
    middle, out = (
        np.empty((rows + down[1].shape[1], padded), np.uint8),
        np.empty((len(down[0]), padded), np.uint8),
    )
    for top in range(0, rows, strip):
        count = min(strip, rows - top)
        _turn(grey[top : top + count], lines)
        _filter(lines, across[0], across[1], sums[:strip], narrow)
        _turn(narrow[:, :count], middle[top:])
    _filter(middle, down[0], down[1], sums[:padded], out)
    return out


@njit(nogil=True, cache=True)
def _shrink(grey, across, down):  # type: ignore[no-untyped-def]
    """uint8[height, width] of uint8[H, W], as Pillow's `resize` with LANCZOS gives it, by the plans of both sides."""
    (rows, cols), width, height = grey.shape, len(across[0]), len(down[0])
    if rows > height and rows - height > 2 * (
        cols - width
    ):  # since version 13, Pillow then begins with the columns
        return _resize(np.ascontiguousarray(grey.T), down, across)[:, :height].T.copy()
    return _resize(grey, across, down)[:, :width].copy()


@njit(nogil=True, cache=True)
def _average(grey, across, down):  # type: ignore[no-untyped-def]
    small = _shrink(grey, across, down)
    return pack_bits(small.size * small > small.sum())


@njit(nogil=True, cache=True)
def _difference(grey, across, down):  # type: ignore[no-untyped-def]
    small = _shrink(grey, across, down)
    return pack_bits(small[:, 1:] > small[:, :-1])


@njit(nogil=True, cache=True)
def _upper_half(grey, across, down, basis):  # type: ignore[no-untyped-def]
    """The packed upper half of the DCT's coefficients, the small picture, and whether the certificate held."""
    small, values = _shrink(grey, across, down), np.empty((len(basis), len(basis)))
    dct_coefficients(small.astype(np.float64), basis, values)
    median, certain = lower_median(values.ravel(), TOLERANCE, REACH)
    return pack_bits(values > median), small, certain


def _plans(grey: NDArray[np.uint8], width: int, height: int) -> tuple[Any, Any]:
    return plan(grey.shape[1], width), plan(grey.shape[0], height)


def average_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Packed bits, uint8[side * side // 8], of uint8[H, W]: over the mean of the picture shrunk to side x side."""
    return _average(grey, *_plans(grey, side, side))


def difference_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Brighter than its left neighbour in the picture shrunk to side + 1 columns of side."""
    return _difference(grey, *_plans(grey, side + 1, side))


@lru_cache
def _cosines(side: int) -> NDArray[np.float64]:
    """SciPy's unscaled DCT of 4 side values, its first `side` frequencies: float64[side, 4 side]."""
    return 2 * np.cos(np.pi / (8 * side) * np.outer(np.arange(side), 2 * np.arange(4 * side) + 1))


def dct_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """pHash: low frequencies of the picture shrunk to 4 side x 4 side, over their median."""
    packed, small, certain = _upper_half(grey, *_plans(grey, 4 * side, 4 * side), _cosines(side))
    if certain:
        return packed
    from scipy.fftpack import dct  # slow to import, and seldom needed

    values = dct(dct(small, axis=0), axis=1)[:side, :side]
    return np.packbits(values > np.median(values))
