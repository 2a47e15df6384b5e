"""Distances between hashes that look at where bits differ, other than the row distance in use.

Two groups are tried against it. The first compares other hashes by rows: dHash of 64 bits, and
aHash of 256 bits. The second is McKeown's, with the settings of the paper: *normalised convolution
distance* slides a filter of 4 x 4 ones over the bits that differ and adds everything up; *hatched
matrix distance*, for hashes made by a DCT, takes even or odd rows, whichever are closer, likewise
columns, and averages the two; *2-D n-gram cosine distance* is the cosine distance of all squares of
2 x 2 bits.

Two of these are simpler than they look. The sum of a convolution is a weighted sum of the bits that
differ, in which bits at the edges weigh less because fewer places of the filter cover them. The
n-gram cosine is a cosine of the bits themselves, with such weights. Both are linear in every bit
that differs, so a caption's rows outvote the others as they do in the Hamming distance.

Source: S. McKeown, Beyond Hamming distance: exploring spatial encoding in perceptual hashes,
Forensic Science International: Digital Investigation 52, 2025, 301878, and its code in
github.com/AabyWan/PHASER, which decides where the paper leaves details open.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FILTER = 4
"""The side of the filter of ones of the convolution distance."""
NGRAM = 2

Packed = NDArray[np.uint8]
Distances = NDArray[np.float64]


def bits_of(packed: Packed) -> NDArray[np.float32]:
    """The bits of packed hashes in their square: float32[n, side, side]."""
    bits = np.unpackbits(packed, axis=1)
    side = round(bits.shape[1] ** 0.5)
    return bits.reshape(len(bits), side, side).astype(np.float32)


def by_rows(x: Packed, y: Packed, cap: int, flat_rows_count: bool) -> Distances:
    """Row by row, at most `cap` bits of each row, for hashes of 64 or 256 bits: [len(x), len(y)].

    flat_rows_count: whether a row in which no bit is set, or every bit, counts `cap` wherever one
    of two hashes has it.
    """
    row_type: Any = np.uint16 if x.shape[1] == 32 else np.uint8
    x_rows: Any = np.ascontiguousarray(x).view(row_type)[:, np.newaxis]
    y_rows: Any = np.ascontiguousarray(y).view(row_type)[np.newaxis]
    costs = np.minimum(np.bitwise_count(x_rows ^ y_rows), cap)
    if flat_rows_count:
        costs = np.where(_is_flat(x_rows) | _is_flat(y_rows), cap, costs)
    return costs.sum(axis=2, dtype=np.float64)


def _is_flat(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return (rows == 0) | (rows == np.iinfo(rows.dtype).max)


def convolution(x: Packed, y: Packed) -> Distances:
    """McKeown's normalised convolution distance, from 0 to 1: float64[len(x), len(y)]."""
    x_bits = bits_of(x)
    weights = convolution_weights(x_bits.shape[1])
    return _weighted_differences(x_bits, bits_of(y), weights / weights.sum())


def convolution_weights(side: int) -> NDArray[np.float32]:
    """The number of places of the filter that cover each bit: float32[side, side].

    The filter's centre stands on every bit, and what lies beyond the edge is zero, as in SciPy.
    """
    after = FILTER // 2
    before = FILTER - 1 - after
    place = np.arange(side)
    # Of the places along a side, those count from which the filter reaches this bit.
    covered = np.minimum(place + before, side - 1) - np.maximum(place - after, 0) + 1
    return np.outer(covered, covered).astype(np.float32)


def ngram_weights(side: int) -> NDArray[np.float32]:
    """The number of squares of 2 x 2 bits that each bit is in: float32[side, side]."""
    place = np.arange(side)
    last_start = np.minimum(place, side - NGRAM)
    first_start = np.maximum(place - NGRAM + 1, 0)
    squares = last_start - first_start + 1
    return np.outer(squares, squares).astype(np.float32)


def _weighted_differences(
    x: NDArray[np.float32], y: NDArray[np.float32], weights: NDArray[np.float32]
) -> Distances:
    """The sum of the weights of the bits that differ."""
    x_flat = x.reshape(len(x), -1)
    y_flat = y.reshape(len(y), -1)
    weighted = x_flat * weights.ravel()
    in_x = weighted.sum(axis=1)[:, np.newaxis]
    in_y = y_flat @ weights.ravel()
    return np.maximum(in_x + in_y - 2 * weighted @ y_flat.T, 0).astype(np.float64)


def hatched(x: Packed, y: Packed) -> Distances:
    """McKeown's hatched matrix distance on Hamming's, from 0 to 1: float64[len(x), len(y)]."""
    x_bits = bits_of(x)
    y_bits = bits_of(y)
    side = x_bits.shape[1]
    is_even = np.arange(side) % 2 == 0
    halves = []
    for is_used in (is_even, ~is_even):
        rows = np.repeat(is_used[:, np.newaxis], side, axis=1).astype(np.float32)
        weights = rows / rows.sum()
        of_rows = _weighted_differences(x_bits, y_bits, weights)
        of_columns = _weighted_differences(x_bits, y_bits, np.ascontiguousarray(weights.T))
        halves.append((of_rows, of_columns))
    rows_least = np.minimum(halves[0][0], halves[1][0])
    columns_least = np.minimum(halves[0][1], halves[1][1])
    return (rows_least + columns_least) / 2


def ngram_cosine(x: Packed, y: Packed) -> Distances:
    """McKeown's 2-D n-gram cosine distance, from 0 to 1: float64[len(x), len(y)].

    It is 1 where one of the two hashes has no bit set.
    """
    x_flat = bits_of(x).reshape(len(x), -1)
    y_flat = bits_of(y).reshape(len(y), -1)
    weights = ngram_weights(round(x_flat.shape[1] ** 0.5)).ravel()
    weighted = x_flat * weights
    lengths = np.sqrt(np.outer(weighted.sum(axis=1), y_flat @ weights))
    products = weighted @ y_flat.T
    cosine = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.maximum(1 - cosine, 0).astype(np.float64)
