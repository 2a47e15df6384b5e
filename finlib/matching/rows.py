"""The row distance: dHashes compared row by row, so that a caption cannot outvote the picture.

A caption, a banner or a logo changes many bits in the rows of a dHash that it covers, and none in
the other rows. In the Hamming distance the covered rows outvote the rest. In the row distance each
of the 16 rows counts at most CAP of its 16 bits. A row in which no bit is set, or every bit, comes
from a flat part of the picture and carries no information: where one of two hashes has such a row,
the row counts CAP.

    d(x, y) = sum over rows r of  CAP                          if x_r or y_r is flat
                                  min(CAP, |x_r xor y_r|)      otherwise

Where a dHash is stored beside FINd, the two distances add up: FINd's Hamming distance, and WEIGHT
times the row distance.

The distance is symmetric and satisfies the triangle inequality: a capped number of differing bits
does, and a flat row costs CAP against every row, so no detour by a third hash is shorter. It is a
metric with one exception: a hash with f flat rows is CAP * f away from itself, so that flat
pictures match nothing, not even each other. (Hitzler and Seda, 2000, call this a dislocated
metric.)

Its kernels are those of `hamming`, which are compiled once more for a `RowLayout`. They read the
columns of a dHash instead of its rows: 16 words of 16 bits, one bit for each row. So a single
operation counts one more column in all rows at once, and a row that has counted CAP bits costs
nothing more. The loop that has to be fast goes one step further: it joins columns j, j + 4, j + 8
and j + 12 by `or`, so that four columns are left to be counted. That count is never larger than the
row distance, and hardly ever smaller where hashes are unrelated, since these differ in most of
their rows in far more than CAP bits.

A query's flat rows are replaced by one pattern and a stored hash's by the opposite pattern. The two
differ from each other in all bits, and from a row of a detailed picture in about half. So the fast
loop can ignore flat rows, and the few candidates that it marks are compared exactly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types

from finlib.matching import hamming
from finlib.matching.hamming import COLUMNS, INDEX, WORD, Distance, overload, popcount
from finlib.matching.packed import BLOCK, Packed, Words, to_words

CAP = 3  # bits: the most that a row counts
WEIGHT = 3  # of the row distance where the distance of another hash is added to it
ROW_BITS = 16
ROWS = 16
DHASH_BYTES = ROWS * ROW_BITS // 8
ROW_WORDS = DHASH_BYTES // 8
COLUMNS_IN_WORD = 64 // ROWS
FOLDED_COLUMNS = 4  # columns that are left where the fast loop counts

_LANE = ir.IntType(ROW_BITS)
_LANES = ir.VectorType(_LANE, COLUMNS)
_TWO_LANES = ir.IntType(2 * ROW_BITS)
_LANE_MASK = np.uint64(0xFFFF)
_ONES = np.uint16(0xFFFF)
_QUERY_PATTERN = np.uint64(0x5555555555555555)
_STORED_PATTERN = np.uint64(0xAAAAAAAAAAAAAAAA)


class RowLayout(NamedTuple):
    """The layout of a hash's words for the kernels.

    First come the columns of its dHash, four to a word, then the other words, then a word whose
    lowest 16 bits say which rows are flat. In a query the columns follow once more, each of them
    twice, since AVX-512 copies 32 bits to all lanes of a register for nothing, but not 16. The
    first two fields are tuples of as many zeros as there are words, since numba knows the length of
    a tuple when it compiles.
    """

    column_words: tuple[int, ...]
    other_words: tuple[int, ...]
    weight: int


def row_distances(x: Packed, y: Packed) -> npt.NDArray[np.int64]:
    """The row distances between dHashes of 256 bits, uint8[..., 32]: the definition in NumPy.

    >>> picture = np.tile(np.array([170, 204], np.uint8), 16)
    >>> captioned = picture.copy()
    >>> captioned[:8] ^= 255  # all bits of four rows
    >>> int(row_distances(picture, captioned))
    12
    """
    x_rows = np.ascontiguousarray(x).view(np.uint16)
    y_rows = np.ascontiguousarray(y).view(np.uint16)
    costs = np.minimum(np.bitwise_count(x_rows ^ y_rows), CAP)
    return np.where(is_flat(x_rows) | is_flat(y_rows), CAP, costs).sum(axis=-1, dtype=np.int64)


def is_flat(rows: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Whether no bit of a row is set, or every bit."""
    return np.asarray((rows == 0) | (rows == _ONES))


@njit(nogil=True, cache=True, inline="always")
def _find_flat_rows(rows: Any) -> Any:
    """The highest bit of each lane of 16 bits that is a flat row, of the four rows in a word."""
    low_bits = np.uint64(0x7FFF7FFF7FFF7FFF)
    # The highest bit of a lane is set where the lane is not 0: by itself, or as the carry of the
    # lane's other bits.
    has_set_bits = ((rows & low_bits) + low_bits) | rows
    has_clear_bits = ((~rows & low_bits) + low_bits) | ~rows
    return ~(has_set_bits & has_clear_bits) & np.uint64(0x8000800080008000)


@njit(nogil=True, cache=True, inline="always")
def _fill_lanes(highest_bits: Any) -> Any:
    """Set all 16 bits of the lanes whose highest bit is set."""
    return (highest_bits >> np.uint64(15)) * _LANE_MASK


@njit(nogil=True, cache=True, inline="always")
def _gather_highest_bits(highest_bits: Any) -> Any:
    """Move the highest bits of the four lanes of a word side by side, to its lowest four bits."""
    bits = highest_bits >> np.uint64(15)
    bits |= bits >> np.uint64(15)
    bits |= bits >> np.uint64(30)
    return bits & np.uint64(0xF)


@njit(nogil=True, cache=True, inline="always")
def _swap(one: Any, other: Any, shift: Any, mask: Any) -> Any:
    """Swap the bits of one word that lie `shift` above the mask with those of the other in it."""
    differing = ((one >> shift) ^ other) & mask
    return one ^ (differing << shift), other ^ differing


@njit(nogil=True, cache=True, inline="always")
def _swap_within(word: Any, apart: Any, shift: Any, mask: Any) -> Any:
    """Swap bits of a word: those `shift` above the mask with those `apart` above it."""
    differing = ((word >> shift) ^ (word >> apart)) & mask
    return word ^ (differing << apart) ^ (differing << shift)


@njit(nogil=True, cache=True, inline="always")
def _transpose(first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """Turn the 16 rows of a dHash in four words into its 16 columns, or back.

    Squares of 8 x 8, 4 x 4, 2 x 2 bits and single bits beside the diagonal change places in turn
    (Warren, Hacker's Delight, 2002).
    """
    eight = np.uint64(8)
    mask = np.uint64(0x00FF00FF00FF00FF)
    first, third = _swap(first, third, eight, mask)
    second, fourth = _swap(second, fourth, eight, mask)
    four = np.uint64(4)
    mask = np.uint64(0x0F0F0F0F0F0F0F0F)
    first, second = _swap(first, second, four, mask)
    third, fourth = _swap(third, fourth, four, mask)
    return (
        _transpose_squares(first),
        _transpose_squares(second),
        _transpose_squares(third),
        _transpose_squares(fourth),
    )


@njit(nogil=True, cache=True, inline="always")
def _transpose_squares(word: Any) -> Any:
    """The last two steps of `_transpose`, which stay within a word."""
    word = _swap_within(word, np.uint64(32), np.uint64(2), np.uint64(0x33333333))
    return _swap_within(word, np.uint64(16), np.uint64(1), np.uint64(0x0000555500005555))


@njit(nogil=True, cache=True, inline="always")
def _columns_of(words: Any, row: Any, first: Any, pattern: Any) -> Any:
    """The columns of the dHash in words[row, first:], four words, and which of its rows are flat.

    Flat rows are replaced by a pattern before.
    """
    flat_rows = np.uint64(0)
    one, flat = _replace_flat_rows(words[row, first], pattern)
    flat_rows |= flat
    two, flat = _replace_flat_rows(words[row, first + 1], pattern)
    flat_rows |= flat << np.uint64(4)
    three, flat = _replace_flat_rows(words[row, first + 2], pattern)
    flat_rows |= flat << np.uint64(8)
    four, flat = _replace_flat_rows(words[row, first + 3], pattern)
    flat_rows |= flat << np.uint64(12)
    one, two, three, four = _transpose(one, two, three, four)
    return one, two, three, four, flat_rows


@njit(nogil=True, cache=True, inline="always")
def _replace_flat_rows(rows: Any, pattern: Any) -> Any:
    """Replace the flat rows among the four in a word; also returns which they are, in four bits."""
    flat = _find_flat_rows(rows)
    lanes = _fill_lanes(flat)
    return (rows & ~lanes) | (pattern & lanes), _gather_highest_bits(flat)


@njit(nogil=True, cache=True, inline="always")
def _twice_each(columns: Any) -> Any:
    """The two columns in the lower half of a word, each of them twice."""
    spread = (columns & _LANE_MASK) | ((columns & np.uint64(0xFFFF0000)) << np.uint64(16))
    return spread | (spread << np.uint64(16))


@njit(nogil=True, cache=True)
def _lay_out_query(words, row, queries, q, other_words):  # type: ignore[no-untyped-def]
    """Lay hash words[row] out as queries[q], as `RowLayout` describes."""
    one, two, three, four, flat = _columns_of(words, row, other_words, _QUERY_PATTERN)
    first_twofold = ROW_WORDS + other_words + 1
    queries[q, first_twofold - 1] = flat
    place = first_twofold
    for columns in (one, two, three, four):
        queries[q, place] = _twice_each(columns)
        queries[q, place + 1] = _twice_each(columns >> np.uint64(32))
        place += 2
    queries[q, 0] = one
    queries[q, 1] = two
    queries[q, 2] = three
    queries[q, 3] = four
    for w in range(other_words):
        queries[q, ROW_WORDS + w] = words[row, w]


@njit(nogil=True, cache=True)
def _lay_out_stored(words, row, blocks, b, k, other_words):  # type: ignore[no-untyped-def]
    """Lay hash words[row] out as hash k of blocks[b], as `RowLayout` describes."""
    one, two, three, four, flat = _columns_of(words, row, other_words, _STORED_PATTERN)
    blocks[b, 0, k] = one
    blocks[b, 1, k] = two
    blocks[b, 2, k] = three
    blocks[b, 3, k] = four
    for w in range(other_words):
        blocks[b, ROW_WORDS + w, k] = words[row, w]
    blocks[b, ROW_WORDS + other_words, k] = flat


@njit(nogil=True, cache=True)
def _lay_out_queries(words, queries, other_words):  # type: ignore[no-untyped-def]
    for row in range(len(words)):
        _lay_out_query(words, row, queries, row, other_words)


@njit(nogil=True, cache=True)
def _lay_out_as_stored(words, laid_out, other_words):  # type: ignore[no-untyped-def]
    """Lay hashes out one by one: laid_out[n, words, 1], blocks of a single hash."""
    for row in range(len(words)):
        _lay_out_stored(words, row, laid_out, row, 0, other_words)


@overload(hamming.laid_out_words)
def _row_layout_words(width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def count_words(width: Any) -> Any:
        stored_words = ROW_WORDS + len(width.other_words) + 1
        return stored_words + 2 * ROW_WORDS, stored_words

    return count_words


@overload(hamming.lay_out_query)
def _lay_out_rows_of_query(words: Any, row: Any, queries: Any, q: Any, width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def lay_out(words: Any, row: Any, queries: Any, q: Any, width: Any) -> Any:
        _lay_out_query(words, row, queries, q, len(width.other_words))

    return lay_out


@overload(hamming.lay_out_stored)
def _lay_out_rows_stored(words: Any, row: Any, blocks: Any, k: Any, width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def lay_out(words: Any, row: Any, blocks: Any, k: Any, width: Any) -> Any:
        _lay_out_stored(words, row, blocks, k // BLOCK, k % BLOCK, len(width.other_words))

    return lay_out


@overload(hamming.distance_of_words)
def _row_distance_of_words(words: Any, row: Any, others: Any, other: Any, width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def add_rows(words: Any, row: Any, others: Any, other: Any, width: Any) -> Any:
        first_word = len(width.other_words)
        rows = 0
        for w in range(first_word, first_word + ROW_WORDS):
            one_rows = words[row, w]
            other_rows = others[other, w]
            flat = _fill_lanes(_find_flat_rows(one_rows) | _find_flat_rows(other_rows))
            different = (one_rows ^ other_rows) | flat
            for shift in (0, 16, 32, 48):
                in_row = popcount((different >> np.uint64(shift)) & _LANE_MASK)
                rows += min(in_row, CAP)
        distance = rows * width.weight
        for w in range(first_word):
            distance += popcount(words[row, w] ^ others[other, w])
        return distance

    return add_rows


@njit(nogil=True, cache=True, inline="always")
def _add_lanes(once: Any, twice: Any, thrice: Any, shift: Any) -> Any:
    """Add up two counts of each row, the second of which lies `shift` bits above the first.

    A count is given by three bits: whether it is at least one, two and three.
    """
    more_once = once >> shift
    more_twice = twice >> shift
    thrice |= thrice >> shift
    thrice |= (twice & more_once) | (once & more_twice)
    twice |= more_twice | (once & more_once)
    once |= more_once
    return once, twice, thrice


@overload(hamming.distance_in_block, inline="always")
def _row_distance(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def add_rows(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
        column_words = len(width.column_words)
        words = column_words + len(width.other_words)
        once = np.uint64(0)
        twice = np.uint64(0)
        thrice = np.uint64(0)
        for w in range(column_words):
            different = queries[q, w] ^ blocks[b, w, k]
            thrice |= twice & different
            twice |= once & different
            once |= different
        once, twice, thrice = _add_lanes(once, twice, thrice, np.uint64(32))
        once, twice, thrice = _add_lanes(once, twice, thrice, np.uint64(16))
        flat = queries[q, words] | blocks[b, words, k]
        rows = popcount((once | flat) & _LANE_MASK)
        rows += popcount((twice | flat) & _LANE_MASK)
        rows += popcount((thrice | flat) & _LANE_MASK)
        distance = rows * width.weight
        for w in range(column_words, words):
            distance += popcount(queries[q, w] ^ blocks[b, w, k])
        return distance

    return add_rows


@overload(hamming.largest_distance)
def _largest_row_distance(width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def add_most(width: Any) -> Any:
        return ROWS * CAP * width.weight + 64 * len(width.other_words)

    return add_most


@overload(hamming.mark_candidates, inline="always")
def _mark_rows(
    queries: Any, blocks: Any, b: Any, limits: Any, width: Any, fold: Any, marks: Any
) -> Any:
    if not _is_row_layout(width):
        return None

    def mark(
        queries: Any, blocks: Any, b: Any, limits: Any, width: Any, fold: Any, marks: Any
    ) -> Any:
        _mark_by_rows(queries, blocks, b, limits, width, fold, marks)

    return mark


def _is_row_layout(width: Any) -> bool:
    return isinstance(width, types.BaseNamedTuple) and width.instance_class is RowLayout


def _emit_columns(builder: Any, hash_words: list[Any]) -> list[Any]:
    """Emit taking the columns of hashes out of their words: a vector of lanes for each column."""
    columns = []
    for word in hash_words:
        lanes = builder.bitcast(word, ir.VectorType(_LANE, COLUMNS_IN_WORD * COLUMNS))
        for first in range(COLUMNS_IN_WORD):
            places = range(first, lanes.type.count, COLUMNS_IN_WORD)
            chosen = ir.Constant(ir.VectorType(INDEX, COLUMNS), list(places))
            columns.append(builder.shuffle_vector(lanes, lanes, chosen))
    return columns


def _emit_row_bound(builder: Any, columns: list[Any], twofold_columns: Any) -> Any:
    """Emit a lower bound of the row distances between hashes and a query.

    twofold_columns: a pointer to the query's columns, each of them twice. Every FOLDED_COLUMNS-th
    column is joined into one, and the four that are left are counted up to CAP, which is three.
    """
    folded = []
    for first in range(FOLDED_COLUMNS):
        joined = ir.Constant(_LANES, [0] * COLUMNS)
        for j in range(first, ROW_BITS, FOLDED_COLUMNS):
            column_twice = hamming.emit_item(builder, twofold_columns, j)
            everywhere = hamming.emit_lanes_of(builder, column_twice, COLUMNS // 2)
            different = builder.xor(columns[j], builder.bitcast(everywhere, _LANES))
            joined = builder.or_(joined, different)
        folded.append(joined)
    # Three bits add up to a low and a high one; the fourth is added without counting beyond three.
    one_of_two = builder.xor(folded[0], folded[1])
    low = builder.xor(one_of_two, folded[2])
    high = builder.or_(
        builder.and_(folded[0], folded[1]),
        builder.and_(one_of_two, folded[2]),
    )
    low_and_fourth = builder.and_(low, folded[3])
    one_or_three = builder.or_(
        builder.xor(low, folded[3]),
        builder.and_(low_and_fourth, high),
    )
    two_or_three = builder.or_(high, low_and_fourth)
    twos = hamming.emit_bit_counts(builder, two_or_three)
    ones = hamming.emit_bit_counts(builder, one_or_three)
    return builder.add(ones, builder.add(twos, twos))


@hamming.intrinsic
def _mark_by_rows(
    typing_context: Any,
    queries: Any,
    blocks: Any,
    b: Any,
    limits: Any,
    width: Any,
    fold: Any,
    marks: Any,
) -> Any:
    """Mark the hashes of a block that may be near the queries, by `_emit_row_bound`.

    The bound for the other words is added to it. Flags of flat rows are ignored, which the module's
    docstring explains.
    """
    column_words = width.types[0].count
    words = column_words + width.types[1].count
    stored_words = words + 1
    query_words = stored_words + 2 * column_words

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weight = builder.trunc(builder.extract_value(arguments[4], 2), _LANE)
        weights = hamming.emit_lanes_of(builder, weight, COLUMNS)

        def prepare(builder: Any, hash_words: list[Any]) -> Callable[[Any, Any], Any]:
            columns = _emit_columns(builder, hash_words[:column_words])
            others = hash_words[column_words:words]

            def emit_is_near(query: Any, limit: Any) -> Any:
                def words_from(first: int) -> Any:
                    return builder.gep(query, [ir.Constant(WORD, first)])

                twofold = builder.bitcast(words_from(stored_words), _TWO_LANES.as_pointer())
                bound = _emit_row_bound(builder, columns, twofold)
                if others:
                    counts = hamming.emit_folded_counts(
                        builder, others, words_from(column_words), fold.count
                    )
                    bound = builder.mul(bound, weights)
                    bound = builder.add(bound, builder.trunc(counts, _LANES))
                # The limit may be -1, but distances use all bits of a lane.
                end = builder.add(limit, ir.Constant(WORD, 1))
                ends = hamming.emit_lanes_of(builder, builder.trunc(end, _LANE), COLUMNS)
                return builder.icmp_unsigned("<", bound, ends)

            return emit_is_near

        hamming.emit_marks(
            context, builder, signature, arguments, query_words, stored_words, prepare
        )
        return context.get_dummy_value()

    return types.void(queries, blocks, types.int64, limits, width, fold, marks), emit


@dataclass(frozen=True)
class RowDistance(Distance):
    """The row distance as the exact engine uses it.

    other_bytes: bytes of a hash before those of the dHash, which are compared by their bits.
    """

    name: ClassVar[str] = "rows"
    other_bytes: int = 0

    @classmethod
    def of(cls, size: int) -> "RowDistance":
        """The row distance of hashes of `size` bytes, the last 32 of which are a dHash of 256 bits.

        ValueError for hashes that cannot end in one.
        """
        if size < DHASH_BYTES or size % 8:
            raise ValueError(
                f"hashes of {8 * size} bits cannot be compared by rows: a dHash of 256 bits is "
                "needed, alone (dhash256) or last in a combination (find+dhash256)"
            )
        return cls(size - DHASH_BYTES)

    @property
    def weight(self) -> int:
        """The factor of the row distance, which is 1 where no other hash is compared."""
        return WEIGHT if self.other_bytes else 1

    @property
    def width(self) -> RowLayout:
        return RowLayout((0,) * ROW_WORDS, (0,) * self.fold_words, self.weight)

    @property
    def fold_words(self) -> int:
        return self.other_bytes // 8

    @property
    def largest(self) -> int:
        return ROWS * CAP * self.weight + 8 * self.other_bytes

    def query_words(self, packed: Packed) -> Words:
        queries = np.empty((len(packed), self._stored_size + 2 * ROW_WORDS), np.uint64)
        _lay_out_queries(to_words(packed), queries, self.fold_words)
        return queries

    def stored_words(self, packed: Packed) -> Words:
        laid_out = np.empty((len(packed), self._stored_size, 1), np.uint64)
        _lay_out_as_stored(to_words(packed), laid_out, self.fold_words)
        return laid_out[:, :, 0]

    @property
    def _stored_size(self) -> int:
        """The words of a stored hash: columns, others and flags."""
        return ROW_WORDS + self.fold_words + 1

    def bounds(self, packed: Packed) -> Iterator[npt.NDArray[np.int64]]:
        columns = self.query_words(packed)[:, None, :ROW_WORDS]
        stored_columns = self.stored_words(packed)[None, :, :ROW_WORDS]
        joined = np.bitwise_or.reduce(columns ^ stored_columns, axis=-1)
        bits = np.unpackbits(joined[..., None].view(np.uint8), axis=-1)
        counts = bits.reshape(*joined.shape, FOLDED_COLUMNS, ROWS).sum(axis=-2)
        rows = np.minimum(counts, CAP).sum(axis=-1, dtype=np.int64)
        others = to_words(packed)[:, : self.fold_words]
        different = others[:, None] ^ others[None]
        for fold in range(1, max(1, self.fold_words) + 1):
            yield self.weight * rows + hamming.folded_counts(different, fold)

    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        start = self.other_bytes
        rows = row_distances(one[..., start:], other[..., start:])
        different = np.bitwise_count(one[..., :start] ^ other[..., :start])
        return self.weight * rows + different.sum(axis=-1, dtype=np.int64)
