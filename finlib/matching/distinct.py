"""Find equal hashes in time that grows with their number alone."""

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.packed import Packed, to_words

NO_ROW = -1


def find_distinct(packed: Packed) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find copies of hashes.

    packed: uint8[n, bits // 8]. Returns the rows at which a hash occurs for the first time,
    ascending, and for every row the first row that has its hash, int64[n].
    """
    words = to_words(packed)
    first_row = _first_rows(words, _digests(words))
    is_first = first_row == np.arange(len(words))
    return np.flatnonzero(is_first), first_row


def digests(packed: Packed) -> npt.NDArray[np.uint64]:
    """A number for each hash, uint64[n], which is equal for equal hashes.

    Two different hashes have equal numbers with a probability of 2**-64: among a hundred million
    hashes, one such pair is expected in 3,700 sets.
    """
    return np.asarray(_digests(to_words(packed)))


@njit(nogil=True, cache=True)
def _digests(words):  # type: ignore[no-untyped-def]
    """Mix the words of each hash into one, by the finaliser of splitmix64 (Steele et al., 2014)."""
    result = np.empty(len(words), np.uint64)
    for row in range(len(words)):
        mixed = np.uint64(0)
        for w in range(words.shape[1]):
            mixed = (mixed + np.uint64(0x9E3779B97F4A7C15)) ^ words[row, w]
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed = mixed ^ (mixed >> np.uint64(31))
        result[row] = mixed
    return result


@njit(nogil=True, cache=True)
def _first_rows(words, digest):  # type: ignore[no-untyped-def]
    """For every row, the first row with the same hash, int64[n], from a table of rows by digest.

    A row whose place in the table is taken by another hash goes to the next place that is free.
    """
    n = len(words)
    capacity = 2
    while capacity < 2 * n:
        capacity *= 2
    mask = np.uint64(capacity - 1)
    table = np.full(capacity, NO_ROW, np.int32)
    first_row = np.empty(n, np.int64)
    for row in range(n):
        place = digest[row] & mask
        while table[place] != NO_ROW and not _are_equal(words, row, table[place]):
            place = (place + np.uint64(1)) & mask
        if table[place] == NO_ROW:
            table[place] = row
        first_row[row] = table[place]
    return first_row


@njit(nogil=True, cache=True, inline="always")
def _are_equal(words, one, other):  # type: ignore[no-untyped-def]
    differing = np.uint64(0)
    for w in range(words.shape[1]):
        differing |= words[one, w] ^ words[other, w]
    return differing == np.uint64(0)
