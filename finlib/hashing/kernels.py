"""Numba kernels that several hashes share: the DCT, its median, a picture's quality, and the
packing of bits.

Like all kernels of finlib they release the GIL, are compiled on first use, and are cached on disk,
beside the module or in the user's cache where that is read-only.
"""

import numpy as np
from numba import njit

from finlib.hashing.reference import SIDE


@njit(nogil=True, cache=True)
def dct_coefficients(means, basis, values):  # type: ignore[no-untyped-def]
    """The DCT of a small picture: values = basis @ means @ basis.T, float64[k, k] from float64[n,
    n].

    `values` is written to. The products are those of SciPy's BLAS. This is step 5 of FINd.
    """
    np.dot(np.dot(basis, means), basis.T, values)


@njit(nogil=True, cache=True)
def lower_median(values, tolerance, largest):  # type: ignore[no-untyped-def]
    """The n-th smallest of float64[2 n], and whether the next value exceeds it by more than
    `tolerance`.

    Bisects for a threshold with n values at or below it, starting from -largest and largest, which
    no value passes. Where the search narrows to the tolerance without one, the two values are too
    close: the first result is then no median, and the second is False. This is step 6 of FINd.
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
    """PDQ's measure of detail in a picture of float64[64, 64], luma from 0 to 255: from 0 (flat) to
    100.

    It adds up the differences between neighbours, each in whole hundredths of the way from black to
    white.
    """
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
    """uint8[n // 8] of a boolean array of n values, in the order of `numpy.packbits`."""
    flat = bits.ravel()
    packed = np.zeros(bits.size // 8, np.uint8)
    for k in range(8 * packed.size):
        packed[k // 8] = 2 * packed[k // 8] + flat[k]
    return packed
