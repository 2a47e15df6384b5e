"""Centres of clusters: the majority of their bits, and clusters cut where halves of them have centres far apart."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.hamming import popcount
from finlib.matching.pairs import Packed, to_words

Rows = npt.NDArray[np.int64]

CLEAR = 8  # images that a half must have: the noise of its majority of bits is then small
STEPS = 8  # of 2-means, at most


def group_rows(labels: Rows) -> tuple[Rows, Rows]:
    """Rows by ascending label, and where each label's begin, with their number last."""
    order = np.argsort(labels, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(labels[order], prepend=-1)), len(order))


@njit(nogil=True, cache=True)
def _majority(words: Any, order: Any, start: Any, bits: int) -> Any:
    """Of each group order[start[g]:start[g + 1]] the bits that more than half have; where it is half, the first's."""
    out = np.zeros((len(start) - 1, words.shape[1]), np.uint64)
    for g in range(len(out)):
        votes = np.zeros(bits, np.int64)
        for p in range(start[g], start[g + 1]):
            for b in range(bits):
                votes[b] += np.int64((words[order[p], b >> 6] >> np.uint64(b & 63)) & np.uint64(1))
        for b in range(bits):
            first = np.int64((words[order[start[g]], b >> 6] >> np.uint64(b & 63)) & np.uint64(1))
            if 2 * votes[b] + first > start[g + 1] - start[g]:
                out[g, b >> 6] |= np.uint64(1) << np.uint64(b & 63)
    return out


def majority_bits(packed: Packed, order: Rows, start: Rows) -> Packed:
    """Consensus uint8[groups, bits // 8] of rows order[start[g]:start[g + 1]]: the bits that more than half have."""
    centres = _majority(to_words(packed), order, start, 8 * packed.shape[1])
    return np.ascontiguousarray(centres.view(np.uint8)[:, : packed.shape[1]])


@njit(nogil=True, cache=True)
def _distances(words: Any, rows: Any, one: Any) -> Any:
    out = np.zeros(len(rows), np.int64)
    for p in range(len(rows)):
        for w in range(len(one)):
            out[p] += popcount(words[rows[p], w] ^ one[w])
    return out


@njit(nogil=True, cache=True)
def _halved(words: Any, rows: Any, bits: int, apart: int) -> Any:
    """The rows in the order of two halves, by 2-means from two far ones, and where the second begins.

    0 where the halves' majorities are not over `apart` bits apart, or one half has less than CLEAR rows.
    """
    halves, middle, before = rows, 0, np.zeros(len(rows), np.bool_)
    one = _majority(words, rows, np.array([0, len(rows)]), bits)[0]
    far = _distances(words, rows, one)
    if (
        2 * far > apart
    ).sum() < CLEAR:  # one of two centres so far apart is half of that from the common one
        return halves, middle
    one = words[rows[far.argmax()]]
    other = words[rows[_distances(words, rows, one).argmax()]]
    for _ in range(STEPS):
        nearer = _distances(words, rows, one) < _distances(words, rows, other)
        middle = nearer.sum()
        if min(middle, len(rows) - middle) == 0 or (nearer == before).all():
            break
        halves, before = np.concatenate((rows[nearer], rows[~nearer])), nearer
        centres = _majority(words, halves, np.array([0, middle, len(rows)]), bits)
        one, other = centres[0], centres[1]
    between = _distances(np.stack((one, other)), np.array([0]), other)[0]
    return halves, (middle if min(middle, len(rows) - middle) >= CLEAR and between > apart else 0)


@njit(nogil=True, cache=True)
def _split_groups(words: Any, order: Any, start: Any, bits: int, apart: int) -> Any:
    cut = np.zeros(len(order) + 1, np.bool_)
    for g in start:
        cut[g] = True
    low = 0
    while low < len(order):
        high = low + 1
        while not cut[high]:
            high += 1
        halves, middle = (
            _halved(words, order[low:high], bits, apart)
            if high - low >= 2 * CLEAR
            else (order[:0], 0)
        )
        if middle:
            order[low:high], cut[low + middle] = halves, True
        else:
            low = high
    return np.flatnonzero(cut)


def split_groups(packed: Packed, order: Rows, start: Rows, apart: int) -> Rows:
    """Groups order[start[g]:start[g + 1]] cut in two while halves have centres over `apart` bits apart: new starts.

    Rows of a group that is cut are put in another order.
    """
    return np.asarray(_split_groups(to_words(packed), order, start, 8 * packed.shape[1], apart))
