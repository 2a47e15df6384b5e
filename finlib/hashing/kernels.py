"""Numba kernels that several hashes share: DCT, median, a picture's quality, packed bits.

Like all kernels of finlib they release the GIL, are compiled on first use, and are cached on disk,
beside the module or in the user's cache where that is read-only.
"""

from typing import Any

import numpy as np
from numba import njit

from finlib.hashing.reference import SIDE


@njit(nogil=True, cache=True)
def dct_coefficients(means, basis, values):  # type: ignore[no-untyped-def]
    """Compute the lowest frequencies of a small picture into `values` (step 5 of FINd).

    values = basis @ means @ basis.T, where `means` are float64[n, n], `basis` float64[k, n] and
    `values` float64[k, k]. The products are those of SciPy's BLAS.
    """
    half_way = np.dot(basis, means)
    np.dot(half_way, basis.T, values)


@njit(nogil=True, cache=True)
def lower_median(values, tolerance, largest):  # type: ignore[no-untyped-def]
    """Find the lower median of 2 n values, and whether it is certain (step 6 of FINd).

    The lower median is the n-th smallest of float64[2 n]. It is certain where the next larger value
    exceeds it by more than `tolerance`.

    The search bisects the range from -largest to largest, which must contain all values, for a
    threshold with n values at or below it. Where the range narrows to the tolerance without one,
    the two values in the middle are too close: the second result is then False, and the first is no
    median.
    """
    half = values.size // 2
    low = -largest
    high = largest
    while high - low > tolerance:
        middle = (low + high) / 2
        count = 0
        for k in range(values.size):  # by index, because LLVM then counts in vectors
            if values[k] <= middle:
                count += 1
        if count == half:
            below = low
            above = high
            for value in values:  # no branches, which would be mispredicted for every other value
                below = max(below, value if value <= middle else low)
                above = min(above, value if value > middle else high)
            return below, above - below > tolerance
        if count < half:
            low = middle
        else:
            high = middle
    return low, False


@njit(nogil=True, cache=True)
def quality(means):  # type: ignore[no-untyped-def]
    """Measure the detail in a small picture as PDQ does: from 0 (flat) to 100.

    `means` are luma from 0 to 255, float64[64, 64]. The measure adds up the differences between
    neighbours, each in whole hundredths of the way from black to white.
    """
    total: Any = 0
    for i in range(SIDE - 1):
        for j in range(SIDE):
            step_down = means[i, j] - means[i + 1, j]
            total += np.int32(abs(step_down * 100 / 255))
    for i in range(SIDE):
        for j in range(SIDE - 1):
            step_right = means[i, j] - means[i, j + 1]
            total += np.int32(abs(step_right * 100 / 255))
    return min(total // 90, 100)


@njit(nogil=True, cache=True)
def pack_bits(bits):  # type: ignore[no-untyped-def]
    """Pack n booleans into uint8[n // 8], in the order of `numpy.packbits`."""
    flat = bits.ravel()
    packed = np.zeros(bits.size // 8, np.uint8)
    for k in range(8 * packed.size):
        packed[k // 8] = 2 * packed[k // 8] + flat[k]
    return packed
