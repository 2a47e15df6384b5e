"""Numba kernels that several hashes share: the DCT, its median, packing bits, and the quality of a picture."""

import numpy as np
from numba import njit

from finlib.hashing.reference import SIDE


@njit(nogil=True, cache=True)
def dct_coefficients(means, basis, values):  # type: ignore[no-untyped-def]
    """values = basis @ means @ basis.T, float64[k, k] of [n, n] (step 5), by the BLAS of SciPy."""
    np.dot(np.dot(basis, means), basis.T, values)


@njit(nogil=True, cache=True)
def lower_median(values, tolerance, largest):  # type: ignore[no-untyped-def]
    """Of float64[2 n] the n-th smallest, and whether the next one exceeds it by more than `tolerance` (step 6).

    Bisection for a value with n at or under it, from bounds that no coefficient passes. Where there is none in an
    interval wider than the tolerance, the first result is no median.
    """
    half = values.size // 2
    low, high = -largest, largest
    while high - low > tolerance:
        middle = (low + high) / 2
        count = 0
        for k in range(2 * half):
            count += values[k] <= middle
        if count == half:
            below, above = low, high
            for value in values:
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
    """PDQ's image quality of float64[64, 64]: steps between neighbours, in whole hundredths of white, added up."""
    total = 0
    for i in range(SIDE - 1):
        for j in range(SIDE):
            total += np.int32(abs((means[i, j] - means[i + 1, j]) * 100 / 255))
    for i in range(SIDE):
        for j in range(SIDE - 1):
            total += np.int32(abs((means[i, j] - means[i, j + 1]) * 100 / 255))
    return min(total // 90, 100)


@njit(nogil=True, cache=True)
def pack_bits(bits):  # type: ignore[no-untyped-def]
    """uint8[n // 8] of bool[...], as `numpy.packbits` packs them."""
    flat, packed = bits.ravel(), np.zeros(bits.size // 8, np.uint8)
    for k in range(8 * packed.size):
        packed[k // 8] = 2 * packed[k // 8] + flat[k]
    return packed
