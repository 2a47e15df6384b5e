"""aHash, dHash and pHash as numba kernels, bit for bit imagehash's.

imagehash lets Pillow shrink the grey picture, at full size, with its Lanczos filter. Pillow does so
in whole numbers: weights of 22 binary places, first along the rows and then down the columns, each
pass rounded to 8 bits. A kernel can do the same and get the same pixels.

Rounding matters only in pHash's DCT, whose coefficients are sums of at most 64 x 64 terms of 4 *
255. SciPy computes it by two real FFTs. On its way through each, a term passes at most 8 steps of 4
roundings and a factor of sqrt(2); by Higham's gamma (see `certificate`) the coefficient is off by
at most gamma(64) * 2^8 * 64 * 64 * 4 * 255 < 1e-5, and the two matrix products here are off by
less. Where the upper half of the coefficients lies above the lower half by 2^-9, a hundred times
that, both set the same bits. Where it does not (flat and symmetric pictures), SciPy decides, as in
imagehash.
"""

import math
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from finlib.hashing.kernels import dct_coefficients, lower_median, pack_bits

STRIP = 256  # rows of the picture that are filtered together, side by side in vectors
LANES = 16  # lines are filled up to a multiple of this
PLACES = 22  # binary places of Pillow's weights
LONGEST_STORED = 8192  # pixels of a side whose filter is kept in memory
TOLERANCE = 2.0**-9
LARGEST_COEFFICIENT = 4.0 * 64 * 64 * 255 + 1  # more than any coefficient

Filter = tuple[NDArray[np.int64], NDArray[np.int32]]
"""A Lanczos filter along one side: the first pixel that counts for each pixel of the small picture,
int64[small], and the weights from there on, int32[small, n] in units of 2^-22."""


@njit(nogil=True, cache=True)
def _lanczos(x):  # type: ignore[no-untyped-def]
    """The Lanczos function with three lobes on either side."""
    if -3 <= x < 3:
        return np.sinc(x) * np.sinc(x / 3)
    return 0.0


@njit(nogil=True, cache=True)
def _round(weight):  # type: ignore[no-untyped-def]
    """Round to the nearest integer, halves away from zero."""
    if weight < 0:
        return int(weight - 0.5)
    return int(weight + 0.5)


@njit(nogil=True, cache=True)
def _fill_up(length, multiple):  # type: ignore[no-untyped-def]
    """Round a length up to a multiple of a number."""
    return (length + multiple - 1) // multiple * multiple


@njit(nogil=True, cache=True)
def _lanczos_weights(length, small):  # type: ignore[no-untyped-def]
    """The `Filter` from `length` pixels to `small`.

    Each row of weights is filled up with zeros to a multiple of four.
    """
    scale = length / small
    stretch = max(scale, 1.0)
    support = 3 * stretch
    size = 2 * math.ceil(support) + 1
    first = np.empty(small, np.int64)
    weights = np.zeros((small, _fill_up(size, 4)), np.int32)
    exact = np.empty(size)
    for i in range(small):
        centre = (i + 0.5) * scale
        first[i] = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), length) - first[i]
        total = 0.0
        for k in range(count):
            x = (k + first[i] - centre + 0.5) * (1 / stretch)
            exact[k] = _lanczos(x)
            total += exact[k]
        for k in range(count):
            weight = exact[k] / total * (1 << PLACES)
            weights[i, k] = _round(weight)
    return first, weights


def lanczos_filter(length: int, small: int) -> Filter:
    """Pillow's Lanczos filter from `length` pixels to `small`.

    The weights take about 24 bytes for each pixel of `length`. Up to LONGEST_STORED pixels they are
    computed once for each pair, so that no more than about 50 MB are stored.
    """
    if length > LONGEST_STORED:
        return _lanczos_weights(length, small)
    return _stored_filter(length, small)


@lru_cache(maxsize=256)
def _stored_filter(length: int, small: int) -> Filter:
    return _lanczos_weights(length, small)


def filters(grey: NDArray[np.uint8], width: int, height: int) -> tuple[Filter, Filter]:
    """The filters that shrink uint8[H, W] to `width` columns and to `height` rows."""
    rows, cols = grey.shape
    return lanczos_filter(cols, width), lanczos_filter(rows, height)


@njit(nogil=True, cache=True)
def _filter_lines(lines, first, weights, sums, out):  # type: ignore[no-untyped-def]
    """Filter the lines of uint8[m, n] into those of `out`, uint8[len(first), n].

    A line of `out` is a weighted sum of lines, rounded and clipped; a pass adds four of them.
    `sums`, int32[n], is memory to compute in.
    """
    n = lines.shape[1]
    for i in range(len(first)):
        sums[:] = 1 << (PLACES - 1)
        for k in range(0, weights.shape[1], 4):
            start = first[i] + k
            a = lines[start]
            b = lines[start + 1]
            c = lines[start + 2]
            d = lines[start + 3]
            weight_a = weights[i, k]
            weight_b = weights[i, k + 1]
            weight_c = weights[i, k + 2]
            weight_d = weights[i, k + 3]
            for j in range(n):
                first_two = np.int32(weight_a * a[j]) + np.int32(weight_b * b[j])
                last_two = np.int32(weight_c * c[j]) + np.int32(weight_d * d[j])
                sums[j] += first_two + last_two
        line = out[i]
        for j in range(n):
            line[j] = min(max(sums[j] >> PLACES, 0), 255)


@njit(nogil=True, cache=True)
def _transpose(lines, out):  # type: ignore[no-untyped-def]
    """Transpose uint8[m, n] into the upper left corner of `out`, whose rows take whole words.

    Eight rows are turned at once, and written as one uint64 for each column. Where the last eight
    are not complete, the last row stands in for those missing.
    """
    last = len(lines) - 1
    eight = np.empty((lines.shape[1], 8), np.uint8)
    eight_as_words = eight.view(np.uint64)[:, 0]
    out_as_words = out.view(np.uint64)
    for i in range(0, len(lines), 8):
        a = lines[i]
        b = lines[min(i + 1, last)]
        c = lines[min(i + 2, last)]
        d = lines[min(i + 3, last)]
        e = lines[min(i + 4, last)]
        f = lines[min(i + 5, last)]
        g = lines[min(i + 6, last)]
        h = lines[min(i + 7, last)]
        for j in range(len(eight)):
            eight[j, 0] = a[j]
            eight[j, 1] = b[j]
            eight[j, 2] = c[j]
            eight[j, 3] = d[j]
            eight[j, 4] = e[j]
            eight[j, 5] = f[j]
            eight[j, 6] = g[j]
            eight[j, 7] = h[j]
        for j in range(len(eight)):
            out_as_words[j, i // 8] = eight_as_words[j]


@njit(nogil=True, cache=True)
def _rows_then_columns(grey, across, down):  # type: ignore[no-untyped-def]
    """Shrink a picture along its rows first; columns are filled up to a multiple of LANES.

    Both passes add up whole lines, because these are what vectors hold, so the picture is
    transposed before each of them.
    """
    rows, cols = grey.shape
    first_across, weights_across = across
    first_down, weights_down = down
    width = len(first_across)
    padded_width = _fill_up(width, LANES)
    strip = min(_fill_up(rows, LANES), STRIP)
    # The lines beyond the picture are never filled: they have no weight.
    lines = np.empty((cols + weights_across.shape[1], strip), np.uint8)
    narrow = np.empty((width, strip), np.uint8)
    middle = np.empty((rows + weights_down.shape[1], padded_width), np.uint8)
    sums = np.empty(max(strip, padded_width), np.int32)
    out = np.empty((len(first_down), padded_width), np.uint8)
    for top in range(0, rows, strip):
        count = min(strip, rows - top)
        _transpose(grey[top : top + count], lines)
        _filter_lines(lines, first_across, weights_across, sums[:strip], narrow)
        _transpose(narrow[:, :count], middle[top:])
    _filter_lines(middle, first_down, weights_down, sums[:padded_width], out)
    return out


@njit(nogil=True, cache=True)
def shrink(grey, across, down):  # type: ignore[no-untyped-def]
    """Shrink uint8[H, W] to uint8[height, width], as Pillow's `resize` with LANCZOS does.

    `across` and `down` are the two `filters`. Pillow, from version 13 on, begins with the columns
    where the height shrinks by more than twice as many pixels as the width.
    """
    rows, cols = grey.shape
    width = len(across[0])
    height = len(down[0])
    if rows > height and rows - height > 2 * (cols - width):
        turned = _rows_then_columns(np.ascontiguousarray(grey.T), down, across)
        return turned[:, :height].T.copy()
    return _rows_then_columns(grey, across, down)[:, :width].copy()


@njit(nogil=True, cache=True)
def _average(grey, across, down):  # type: ignore[no-untyped-def]
    small = shrink(grey, across, down)
    return pack_bits(small.size * small > small.sum())


@njit(nogil=True, cache=True)
def _difference(grey, across, down):  # type: ignore[no-untyped-def]
    small = shrink(grey, across, down)
    return pack_bits(small[:, 1:] > small[:, :-1])


@njit(nogil=True, cache=True)
def _dct(grey, across, down, basis):  # type: ignore[no-untyped-def]
    """pHash by matrix products, the small picture, and whether the bits are certain."""
    small = shrink(grey, across, down)
    values = np.empty((len(basis), len(basis)))
    dct_coefficients(small.astype(np.float64), basis, values)
    median, certain = lower_median(values.ravel(), TOLERANCE, LARGEST_COEFFICIENT)
    return pack_bits(values > median), small, certain


def average_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """aHash of uint8[H, W], packed in uint8[side * side // 8].

    A bit says whether a pixel of the picture, shrunk to side x side, is above the mean.
    """
    across, down = filters(grey, side, side)
    return _average(grey, across, down)


def difference_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """dHash of uint8[H, W], packed in uint8[side * side // 8].

    A bit says whether a pixel of the picture, shrunk to side + 1 columns and side rows, is brighter
    than its left neighbour.
    """
    across, down = filters(grey, side + 1, side)
    return _difference(grey, across, down)


@lru_cache
def dct_basis(side: int) -> NDArray[np.float64]:
    """The basis of SciPy's unscaled DCT of 4 side values: its first `side` frequencies.

    float64[side, 4 side], computed once for each side.
    """
    frequencies = np.arange(side)
    places = 2 * np.arange(4 * side) + 1
    return 2 * np.cos(np.pi / (8 * side) * np.outer(frequencies, places))


def dct_hash(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """pHash of uint8[H, W], packed in uint8[side * side // 8].

    A bit says whether one of the side x side lowest frequencies of the picture, shrunk to 4 side x
    4 side, is above their median.
    """
    across, down = filters(grey, 4 * side, 4 * side)
    packed, small, certain = _dct(grey, across, down, dct_basis(side))
    if certain:
        return packed
    from scipy.fftpack import dct  # slow to import, and seldom needed

    values = dct(dct(small, axis=0), axis=1)[:side, :side]
    return np.packbits(values > np.median(values))
