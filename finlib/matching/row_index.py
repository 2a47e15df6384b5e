"""Look up near dHashes among millions in microseconds: an index whose keys are rows.

A caption changes the rows of a dHash that it covers and leaves the others as they are. So two near
pictures usually agree in some row in all its 16 bits, and hardly any two unrelated ones do. The
index has a table for each row. In it the stored hashes are sorted into buckets by the bits of that
row, and by as many bits of the rows after it as leave about BUCKET hashes in a bucket. A look-up
compares the query with its own bucket of every table, exactly, by the row distance.

Every hash that is found is within the radius, at the distance that is reported. A near hash is
missed where no key agrees: `RowIndex.recall` predicts how often. Two dHashes at a row distance of
at most 15 agree in one of the 16 rows. So none of these is missed where every row has a table and a
key has no other bits, which is so up to 700,000 hashes. Hashes whose row is flat are left out of
that row's table, since a flat row says nothing about the picture.

A bucket can be large, for instance where thousands of stored pictures are copies. A query is
compared with at most LARGEST_BUCKET hashes of a bucket. They are chosen by their order, which is
that of the 64 bits from the key row on: half of them come before the query, and half after it. So
among many copies of a picture only some are found, and the time of a look-up stays bounded.
"""

import math
import operator
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.files import write_atomically
from finlib.matching.packed import (
    Packed,
    Words,
    check_hashes,
    check_radius,
    iter_strips,
    to_words,
)
from finlib.matching.pairs import MAX_PAIRS, Neighbours, collect_neighbours
from finlib.matching.row_keys import (
    LARGEST_BUCKET,
    MOST_HASHES,
    NO_NUMBER,
    Found,
    append_matches,
    bits_from,
    collect_distinct,
    compare,
    sort_into_buckets,
    split_matches,
    starts_flat,
)
from finlib.matching.rows import ROW_BITS, ROW_WORDS, ROWS, RowDistance
from finlib.pools import in_threads

BUCKET = 8  # hashes of a bucket, on average, where all bits are independent
STRIP = 256  # queries that a thread looks up at a time
FORMAT = "finlib row index 1"  # the first array of a file, by which `RowIndex.load` knows it
UNREADABLE = (
    ValueError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)  # what reading the arrays of another file raises


@dataclass(frozen=True, eq=False)
class RowIndex:
    """Stored hashes in tables by rows, ready for look-ups; `index_rows` makes it.

    words: uint64[n, words], the hashes.
    key_rows: int64[tables], the row of the dHash that is the key of each table.
    start: int32[tables, 2 ** depth + 1], where the bucket of each key starts in `order`.
    order: int32[tables, n], the numbers of the hashes, bucket by bucket. Where hashes are left out
        of a table, its last places are not used.
    """

    words: Words
    key_rows: npt.NDArray[np.int64]
    start: npt.NDArray[np.int32]
    order: npt.NDArray[np.int32]

    @property
    def bits(self) -> int:
        """The number of bits of a hash."""
        return 64 * self.words.shape[1]

    @property
    def depth(self) -> int:
        """The number of bits of a key."""
        return (self.start.shape[1] - 1).bit_length() - 1

    @property
    def nbytes(self) -> int:
        """The memory of the index in bytes, with the hashes."""
        return self.words.nbytes + self.start.nbytes + self.order.nbytes

    @property
    def distance(self) -> RowDistance:
        """The distance by which hashes are compared."""
        return RowDistance.of(8 * self.words.shape[1])

    def neighbours(
        self,
        queries: Packed,
        *,
        radius: int,
        k: int | None = None,
        max_pairs: int = MAX_PAIRS,
        workers: int | None = None,
    ) -> Neighbours:
        """Look up the stored hashes within a radius of each query, nearest first.

        queries: uint8[queries, bits // 8]. k: the most neighbours of a query. workers: threads, by
        default one for each processor. The result is what `pairs.neighbours` would find by rows,
        without the hashes that share no key with the query. Raises ValueError where the queries
        have another length than the stored hashes, where the radius or k is wrong, or where without
        k there are more than `max_pairs` neighbours, which bounds memory.

        >>> stored = np.arange(64, dtype=np.uint8).reshape(2, 32)
        >>> found = index_rows(stored).neighbours(stored[1:], radius=10)
        >>> found.indices.tolist(), found.distance.tolist()
        ([1], [0])
        """
        bits = 8 * check_hashes(queries, "queries").shape[1]
        if bits != self.bits:
            raise ValueError(
                f"queries have {bits} bits and the stored hashes have {self.bits}: they must agree"
            )
        limit = check_radius(radius, self.distance.largest)
        wanted = max(1, len(self.words))
        if k is not None:
            wanted = operator.index(k)
        if wanted < 1:
            raise ValueError(f"k must be at least 1; got {k}")
        rows = to_words(queries)
        width = self.distance.width

        def look_up(low: int, high: int) -> Found:
            found: Found = _look_up(
                rows[low:high],
                self.words,
                self.key_rows,
                self.start,
                self.order,
                limit,
                wanted,
                width,
            )
            return found

        if workers is None and len(rows) <= STRIP:
            workers = 1  # starting threads takes longer than a few look-ups
        strips = list(iter_strips(len(rows), STRIP)) or [(0, 0)]
        found = in_threads(look_up, strips, workers)
        return collect_neighbours(found, limit, max_pairs if k is None else None)

    def recall(self, differing: int) -> float:
        """Predict the share of near hashes found that differ from a query in some rows.

        differing: the number of rows, from 0 to 16, in which the hashes differ. They are taken to
        be any rows with equal probability, and to differ in every bit that a key uses; no row is
        flat, and no bucket has more than LARGEST_BUCKET hashes. Rows that are covered lie side by
        side and leave more neighbouring rows alone, so that more is found.

        >>> index = index_rows(np.empty((0, 32), np.uint8))
        >>> index.recall(15), index.recall(16)
        (1.0, 0.0)
        """
        if not 0 <= operator.index(differing) <= ROWS:
            raise ValueError(f"differing must be from 0 to {ROWS} rows; got {differing}")
        agreeing = np.arange(1 << ROWS)  # all sets of rows, as bits
        agreeing = agreeing[np.bitwise_count(agreeing) == ROWS - differing]
        is_found = np.zeros(len(agreeing), np.bool_)
        rows_of_key = -(-self.depth // ROW_BITS)
        for key_row in self.key_rows.tolist():
            key = sum(1 << (key_row + i) % ROWS for i in range(rows_of_key))
            is_found |= agreeing & key == key
        return float(is_found.mean())

    def save(self, path: str | Path) -> None:
        """Write the index to a file, whole or not at all; `RowIndex.load` reads it."""
        with write_atomically(Path(path)) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                format=np.array(FORMAT),
                words=self.words,
                key_rows=self.key_rows,
                start=self.start,
                order=self.order,
            )

    @classmethod
    def load(cls, path: str | Path) -> "RowIndex":
        """Read an index that `save` has written.

        Raises ValueError for any other file, and for a file that is damaged.
        """
        with open(path, "rb") as file:
            try:
                index = cls(**_read_arrays(file))
                index._check_arrays()
            except UNREADABLE as error:
                raise ValueError(
                    f"{path} is not a whole file that RowIndex.save has written: give another "
                    "file, or index the hashes again"
                ) from error
        return index

    def _check_arrays(self) -> None:
        """ValueError where the arrays do not fit together: a look-up would leave them."""
        n = len(self.words)
        tables = len(self.key_rows)
        expected = (
            (self.words, np.uint64, (n, self.words.shape[1])),
            (self.key_rows, np.int64, (tables,)),
            (self.start, np.int32, (tables, (1 << self.depth) + 1)),
            (self.order, np.int32, (tables, n)),
        )
        for array, kind, shape in expected:
            if array.dtype != kind or array.shape != shape:
                raise ValueError(f"an array of {array.dtype} has the shape {array.shape}")
        if self.words.shape[1] < ROW_WORDS or not ROW_BITS <= self.depth < 2 * ROW_BITS:
            raise ValueError(f"hashes have {self.bits} bits and keys {self.depth}")
        _check_numbers(self.key_rows, ROWS - 1)
        _check_numbers(self.start, n)
        _check_numbers(self.order, max(0, n - 1))
        if (self.start[:, 1:] < self.start[:, :-1]).any():
            raise ValueError("a bucket ends before it starts")


def index_rows(packed: Packed, *, rows: int = ROWS, workers: int | None = None) -> RowIndex:
    """Sort stored hashes into tables by rows, for many look-ups.

    packed: uint8[n, bits // 8], dHashes of 256 bits, alone or last in a combination. The index
    reads them from this array, which has to stay as it is. rows: the number of tables, from 1 to
    16. Each needs 4 bytes for every hash and half a byte or more for its buckets; fewer tables need
    less memory and find less. workers: threads, by default one for each processor. Raises TypeError
    or ValueError where the hashes are wrong or are more than 2,147,483,647.
    """
    n = len(check_hashes(packed))
    RowDistance.of(packed.shape[1])  # refuses hashes that have no rows
    if not 1 <= operator.index(rows) <= ROWS:
        raise ValueError(
            f"rows must be from 1 to {ROWS}, the number of rows of a dHash; got {rows}"
        )
    if n > MOST_HASHES:
        raise ValueError(f"an index has at most {MOST_HASHES:,} hashes; got {n:,}: make several")
    depth = _choose_depth(n)
    words = to_words(packed)
    key_rows = np.arange(rows) * ROWS // rows
    start = np.zeros((rows, (1 << depth) + 1), np.int32)
    order = np.zeros((rows, n), np.int32)

    def sort(table: int) -> None:
        sort_into_buckets(words, key_rows[table], start[table], order[table])

    for _ in in_threads(sort, ((table,) for table in range(rows)), workers):
        pass
    return RowIndex(words, key_rows, start, order)


def _choose_depth(n: int) -> int:
    """The number of bits of a key among n hashes: a whole row, and more where there are many."""
    return max(ROW_BITS, round(math.log2(max(1, n / BUCKET))))


def _read_arrays(file: Any) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a saved index; ValueError or KeyError where they are those of another file."""
    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("the file has a single array")
    with stored:
        if stored["format"].item() != FORMAT:
            raise ValueError("the file has another format")
        return {name: stored[name] for name in ("words", "key_rows", "start", "order")}


def _check_numbers(numbers: npt.NDArray[Any], largest: int) -> None:
    """ValueError where a number is not from 0 to the largest."""
    if numbers.size and not 0 <= numbers.min() <= numbers.max() <= largest:
        raise ValueError(f"numbers are not from 0 to {largest:,}")


@njit(nogil=True, cache=True)
def _choose_part(words, key_row, order, low, high, bits):  # type: ignore[no-untyped-def]
    """The part of a large bucket order[low:high] that a query with these bits is compared with."""
    first = low
    end = high
    while first < end:
        middle = (first + end) // 2
        if bits_from(words, order[middle], key_row) < bits:
            first = middle + 1
        else:
            end = middle
    part = min(first - LARGEST_BUCKET // 2, high - LARGEST_BUCKET)
    return max(low, part)


@njit(nogil=True, cache=True)
def _find_parts(queries, q, words, key_rows, start, order, parts):  # type: ignore[no-untyped-def]
    """Find what query q is compared with, a part of each table, as for `collect_distinct`.

    Returns the number of these hashes; one that is in several tables counts several times.
    """
    mask = np.uint64(start.shape[1] - 2)
    candidates = np.int64(0)
    for table in range(len(key_rows)):
        key_row = key_rows[table]
        bits = bits_from(queries, q, key_row)
        low = np.int64(0)
        high = np.int64(0)
        if not starts_flat(bits):
            key = np.int64(bits & mask)
            low = np.int64(start[table, key])
            high = np.int64(start[table, key + 1])
        if high - low > LARGEST_BUCKET:
            low = _choose_part(words, key_row, order[table], low, high, bits)
            high = low + LARGEST_BUCKET
        parts[table, 0] = table
        parts[table, 1] = low
        parts[table, 2] = high
        candidates += high - low
    return candidates


@njit(nogil=True, cache=True)
def _look_up(queries, words, key_rows, start, order, radius, wanted, width):  # type: ignore[no-untyped-def]
    """Look queries up: their numbers of neighbours, then the neighbours and the distances.

    Returns int64[queries], int64[neighbours] and int32[neighbours]. wanted: the most of a query.
    """
    counts = np.empty(len(queries), np.int64)
    parts = np.empty((len(key_rows), 3), np.int64)
    capacity = 1024
    slots = np.empty(2 * capacity, np.int32)
    candidates = np.empty(capacity, np.int32)
    matches = np.empty(capacity, np.int64)
    found = np.empty(capacity, np.int64)
    total = 0
    for q in range(len(queries)):
        most = _find_parts(queries, q, words, key_rows, start, order, parts)
        if most > capacity:
            while most > capacity:
                capacity *= 2
            slots = np.empty(2 * capacity, np.int32)
            candidates = np.empty(capacity, np.int32)
            matches = np.empty(capacity, np.int64)
        distinct = collect_distinct(order, parts, most, slots, candidates)
        count = compare(queries, q, words, candidates[:distinct], radius, width, NO_NUMBER, matches)
        counts[q] = min(count, wanted)
        found = append_matches(found, total, matches[: counts[q]])
        total += counts[q]
    indices, distances = split_matches(found[:total])
    return counts, indices, distances
