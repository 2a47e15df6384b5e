"""Why arithmetic in another order gives FINd's bits, and the bound that decides whether it does.

This is the certificate of every fast version of FINd. A bit is set where its coefficient is among
the 128 largest. So two programs that compute the coefficients a little differently set the same
bits, as long as the 128th and the 129th smallest coefficients are not too close.

How close is too close? Take the DCT basis D as the doubles that `reference.dct_matrix` returns, and
let B be the coefficients in exact arithmetic. A program may form B as a sum of products in any
order, fused or not. Where no pixel's contribution is rounded more than m times on its way, each
coefficient is off by at most gamma(m) * sum |terms|, where gamma(m) = m u / (1 - m u) and u = 2^-53
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Every box mean lies in
[0, 255] and no row of |D| sums to more than 42, so sum |terms| <= 42 * 42 * 255. The number m of
roundings is

    version     m                   what is rounded
    reference   n + 132             4 times in luma (a constant, a product, two sums), n - 1 times
                                    in the sum over a window of n pixels, once in the division,
                                    64 times in each of the two products
    stages      129                 never in luma and sums, once in the division, 64 times in each
                                    product
    products    131 + rows + cols   65 times in building each matrix, rows + cols times in the two
                                    products, once in the division by 1000
    kernels     132                 4 times in the scaling (two reciprocals, two products),
                                    64 times in each product

Stages and products are the two NumPy versions of notebook 02 (`workbook.study.vectorised`); kernels
are those of `find`.

Two programs then differ by at most E = (gamma(m) + gamma(m')) * 42 * 42 * 255 in any coefficient.
Where the 129th smallest exceeds the 128th by more than 2 E in one, the same 128 are the largest in
the other, and all bits are equal. Where it does not (flat and symmetric images), the reference
itself decides.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from finlib.hashing import reference
from finlib.hashing.reference import SIDE

ROW_SUM = 42  # no row of |D| has a larger sum
UNIT_ROUNDOFF = 2.0**-53
BASIS = np.array(reference.dct_matrix())


def half_window(length: int) -> int:
    """Pixels on either side of the centre along a side of `length` (step 3)."""
    return (reference.window(length) + 2) // 2


def centres(length: int) -> NDArray[np.int64]:
    """The rows (or columns) that decimation keeps of `length` of them, int64[64] (step 4)."""
    middles_of_cells = (np.arange(SIDE) + 0.5) * length / SIDE
    return middles_of_cells.astype(np.int64)


def spans(positions: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first pixels of the windows around some positions, and the pixels after their last.

    Positions and results are places along a side of `length` pixels, int64[n] each.
    """
    half = half_window(length)
    first = np.maximum(positions - half, 0)
    end = np.minimum(positions + half, length)
    return first, end


def _gamma(roundings: int) -> float:
    """Higham's bound on the relative error after this number of roundings."""
    return roundings * UNIT_ROUNDOFF / (1 - roundings * UNIT_ROUNDOFF)


def rounding_bound(rows: int, cols: int, roundings: int) -> float:
    """How far a fast version's coefficient can lie from the reference's, in units of luma: E above.

    `roundings` are those on the way of one pixel's contribution in the fast version.
    """
    window_pixels = 4 * half_window(rows) * half_window(cols)
    gammas = _gamma(window_pixels + 132) + _gamma(roundings)
    rounding_of_this_line = 1 + 1e-9
    return gammas * ROW_SUM * ROW_SUM * 255 * rounding_of_this_line


def check_pixels(rgb: Any) -> NDArray[np.uint8]:
    """Check that pixels are uint8[H, W, 3] and return them in C order.

    TypeError where they are of another type, ValueError where they have another shape.
    """
    pixels = np.asarray(rgb)
    if pixels.dtype != np.uint8:
        raise TypeError(
            f"pixels of {pixels.dtype} were given, but uint8 is expected: "
            "scale them to 0..255 and convert them first"
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"an array of shape {pixels.shape} was given, "
            "but [H, W, 3] in RGB with H, W >= 1 is expected"
        )
    return np.ascontiguousarray(pixels)
