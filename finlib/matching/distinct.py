"""Find equal hashes in time that grows with their number alone."""

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.packed import Packed, to_words

RowNumbers = npt.NDArray[np.int32]
Digests = npt.NDArray[np.uint64]

NO_ROW = -1

# Constants and shifts of splitmix64 (Steele et al., 2014).
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
_FIRST_SHIFT = np.uint64(30)
_SECOND_SHIFT = np.uint64(27)
_THIRD_SHIFT = np.uint64(31)

_ONE = np.uint64(1)


def find_distinct(packed: Packed) -> tuple[RowNumbers, RowNumbers]:
    """Find copies of hashes.

    packed: uint8[n, bits // 8]. Returns the rows at which a hash occurs for the first time,
    ascending, and for every row the first row that has its hash, int32[n].
    """
    words = to_words(packed)
    first_row = _first_rows(words, _digests(words))
    distinct = _rows_that_are_first(first_row)
    return distinct, first_row


def digests(packed: Packed) -> Digests:
    """A number for each hash, uint64[n], which is equal for equal hashes.

    Two different hashes have equal numbers with a probability of 2**-64: among a hundred million
    hashes, one such pair is expected in 3,700 sets.
    """
    return np.asarray(_digests(to_words(packed)))


def find_first(stored: Digests, wanted: Digests) -> npt.NDArray[np.int64]:
    """Find which digests have been stored: the first row of each one wanted, or NO_ROW, int64[m].

    stored: uint64[n]; wanted: uint64[m]. Nothing is sorted: the stored digests are read once, and a
    table of the wanted ones is all that is built.
    """
    return np.asarray(_find_first(stored, wanted))


@njit(nogil=True, cache=True)
def _digests(words):  # type: ignore[no-untyped-def]
    """Mix the words of each hash into one, by the finaliser of splitmix64."""
    result = np.empty(len(words), np.uint64)
    for row in range(len(words)):
        mixed = np.uint64(0)
        for word in words[row]:
            mixed = (mixed + _INCREMENT) ^ word
            mixed ^= mixed >> _FIRST_SHIFT
            mixed *= _FIRST_FACTOR
            mixed ^= mixed >> _SECOND_SHIFT
            mixed *= _SECOND_FACTOR
            mixed ^= mixed >> _THIRD_SHIFT
        result[row] = mixed
    return result


@njit(nogil=True, cache=True)
def _empty_table(entries):  # type: ignore[no-untyped-def]
    """A table of rows by digest for this many entries: int32, at least two places for each."""
    capacity = 2
    while capacity < 2 * entries:
        capacity *= 2
    return np.full(capacity, NO_ROW, np.int32)


@njit(nogil=True, cache=True)
def _first_rows(words, digest):  # type: ignore[no-untyped-def]
    """For every row, the first row with the same hash, int32[n], from a table of rows by digest.

    A row whose place in the table is taken by another hash goes to the next place that is free.
    """
    table = _empty_table(len(words))
    mask = np.uint64(len(table) - 1)
    first_row = np.empty(len(words), np.int32)
    for row in range(len(words)):
        place = digest[row] & mask
        while table[place] != NO_ROW and not _are_equal(words, row, table[place]):
            place = (place + _ONE) & mask
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


@njit(nogil=True, cache=True)
def _rows_that_are_first(first_row):  # type: ignore[no-untyped-def]
    """The rows that are the first with their hash, ascending, int32."""
    count = 0
    for row in range(len(first_row)):
        if first_row[row] == row:
            count += 1
    rows = np.empty(count, np.int32)
    found = 0
    for row in range(len(first_row)):
        if first_row[row] == row:
            rows[found] = row
            found += 1
    return rows


@njit(nogil=True, cache=True)
def _find_first(stored, wanted):  # type: ignore[no-untyped-def]
    """For every digest wanted, the first row that it is stored in, int64[m], or NO_ROW."""
    table = _empty_table(len(wanted))
    for number in range(len(wanted)):
        place = _place_of(table, wanted, wanted[number])
        if table[place] == NO_ROW:
            table[place] = number
    row_of_number = np.full(len(wanted), NO_ROW)
    for row in range(len(stored)):
        number = table[_place_of(table, wanted, stored[row])]
        if number != NO_ROW and row_of_number[number] == NO_ROW:
            row_of_number[number] = row
    found = np.empty(len(wanted), np.int64)
    for number in range(len(wanted)):
        first_number = table[_place_of(table, wanted, wanted[number])]
        found[number] = row_of_number[first_number]
    return found


@njit(nogil=True, cache=True, inline="always")
def _place_of(table, wanted, digest):  # type: ignore[no-untyped-def]
    """Where a digest is in a table of those wanted, or else the free place where it would be."""
    mask = np.uint64(len(table) - 1)
    place = digest & mask
    while table[place] != NO_ROW and wanted[table[place]] != digest:
        place = (place + _ONE) & mask
    return place
