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

Its kernels are those of `hamming`, which are compiled once more for a `RowLayout`. A query's flat
rows are replaced by one pattern and a stored hash's by the opposite pattern. The two differ from
each other in all bits, and from a row of a detailed picture in about half. The capped number of
differing bits is then never larger than the row distance, and hardly ever smaller. So the fast loop
can ignore flat rows, and the few candidates that it marks are compared exactly.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from finlib.matching import hamming
from finlib.matching.hamming import Distance, overload
from finlib.matching.packed import BLOCK, Packed, Words, to_words

CAP = 3  # bits: the most that a row counts
WEIGHT = 3  # of the row distance where the distance of another hash is added to it
ROW_BITS = 16
ROWS = 16
DHASH_BYTES = ROWS * ROW_BITS // 8
ROW_WORDS = DHASH_BYTES // 8

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, hamming.LANES)
_ROWS = ir.VectorType(ir.IntType(16), 4 * hamming.LANES)
_ONES = np.uint16(0xFFFF)
_QUERY_PATTERN = np.uint16(0x5555)
_STORED_PATTERN = np.uint16(0xAAAA)


class RowLayout(NamedTuple):
    """The layout of a hash's words for the kernels: the rows, then the other bits, then flags.

    The first two fields are tuples of as many zeros as there are words, since numba knows the
    length of a tuple when it compiles. There are as many words of flags as words of rows: all 16
    bits of a row's flag are set where the row is flat.
    """

    row_words: tuple[int, ...]
    other_words: tuple[int, ...]
    cap: int
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
def _capped_rows(different: Any, flat: Any, cap: Any) -> Any:
    """Count the bits that differ in each of the four rows of a word, at most `cap`.

    A flat row counts `cap`. The rows are counted side by side in lanes of 16 bits, without a
    branch, so that loops vectorise.
    """
    pairs = different - ((different >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + (
        (pairs >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    bytes_ = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts = (bytes_ + (bytes_ >> np.uint64(8))) & np.uint64(0x001F001F001F001F)
    lanes_of_cap = cap * np.uint64(0x0001000100010001)
    # Adding 0x7FFF - cap carries into the highest bit of a lane where its count is over the cap.
    over = (counts + (np.uint64(0x7FFF7FFF7FFF7FFF) - lanes_of_cap)) & np.uint64(0x8000800080008000)
    whole_lanes = (over >> np.uint64(15)) * np.uint64(0xFFFF)
    use_cap = whole_lanes | flat
    return (counts & ~use_cap) | (lanes_of_cap & use_cap)


@overload(hamming.distance_in_block, inline="always")
def _row_distance(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def add_rows(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
        row_words = len(width.row_words)
        words = row_words + len(width.other_words)
        lanes = np.uint64(0)
        for w in range(row_words):
            flat = queries[q, words + w] | blocks[b, words + w, k]
            lanes += _capped_rows(queries[q, w] ^ blocks[b, w, k], flat, np.uint64(width.cap))
        # The product adds the four lanes of 16 bits up in the highest of them.
        rows = np.int64((lanes * np.uint64(0x0001000100010001)) >> np.uint64(48))
        distance = rows * width.weight
        for w in range(row_words, words):
            distance += hamming.popcount(queries[q, w] ^ blocks[b, w, k])
        return distance

    return add_rows


@overload(hamming.largest_distance)
def _largest_row_distance(width: Any) -> Any:
    if not _is_row_layout(width):
        return None

    def add_most(width: Any) -> Any:
        rows = 4 * len(width.row_words) * width.cap * width.weight
        return rows + 64 * len(width.other_words)

    return add_most


@overload(hamming.mark_candidates, inline="always")
def _mark_rows(
    queries: Any, q: Any, blocks: Any, b: Any, radius: Any, width: Any, prefix: Any
) -> Any:
    if not _is_row_layout(width):
        return None

    def mark(
        queries: Any, q: Any, blocks: Any, b: Any, radius: Any, width: Any, prefix: Any
    ) -> Any:
        return _mark_by_rows(queries, q, blocks, b, radius, width, prefix)

    return mark


def _is_row_layout(width: Any) -> bool:
    return isinstance(width, types.BaseNamedTuple) and width.instance_class is RowLayout


@hamming.intrinsic
def _mark_by_rows(
    typing_context: Any,
    queries: Any,
    q: Any,
    blocks: Any,
    b: Any,
    radius: Any,
    width: Any,
    prefix: Any,
) -> Any:
    """Mark the hashes of blocks[b] whose row distance from queries[q] may be within the radius.

    The flags of flat rows are ignored, which the module's docstring explains. A word has the counts
    of four rows side by side.
    """
    row_words = width.types[0].count
    words = row_words + width.types[1].count
    stored_words = words + row_words
    prefix_words = prefix.count

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def start_of(array_argument: int, words_each: int) -> Any:
            array_type = signature.args[array_argument]
            array = context.make_array(array_type)(context, builder, arguments[array_argument])
            place = builder.mul(arguments[array_argument + 1], ir.Constant(_WORD, words_each))
            return builder.gep(array.data, [place])

        def call(name: str, vector: Any, *values: Any) -> Any:
            function_type = ir.FunctionType(vector, [vector] * len(values))
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            return builder.call(function, values)

        def spread_in_lanes(value: Any) -> Any:
            in_word = builder.mul(value, ir.Constant(_WORD, 0x0001000100010001))
            return builder.bitcast(hamming.emit_vector_of(builder, in_word), _ROWS)

        cap = spread_in_lanes(builder.extract_value(arguments[5], 2))
        weight = spread_in_lanes(builder.extract_value(arguments[5], 3))
        limit = hamming.emit_vector_of(builder, arguments[4])
        query = start_of(0, stored_words)
        block = start_of(2, stored_words * BLOCK)
        query_words = [
            hamming.emit_vector_of(builder, hamming.emit_word(builder, query, w))
            for w in range(prefix_words)
        ]
        marks = ir.Constant(_WORD, 0)
        for place in range(0, BLOCK, hamming.LANES):
            rows = ir.Constant(_ROWS, [0] * _ROWS.count)
            distance = ir.Constant(_VECTOR, [0] * hamming.LANES)
            for w in range(prefix_words):
                hashes = hamming.emit_vector(builder, block, w * BLOCK + place)
                different = builder.xor(hashes, query_words[w])
                if w < row_words:
                    in_rows = builder.bitcast(different, _ROWS)
                    counts = call("llvm.ctpop.v32i16", _ROWS, in_rows)
                    rows = builder.add(rows, call("llvm.umin.v32i16", _ROWS, counts, cap))
                else:
                    counts = call("llvm.ctpop.v8i64", _VECTOR, different)
                    distance = builder.add(distance, counts)
            weighted = builder.mul(rows, weight) if words > row_words else rows
            in_words = builder.bitcast(weighted, _VECTOR)
            for shift in (32, 16):
                shifted = builder.lshr(in_words, ir.Constant(_VECTOR, [shift] * hamming.LANES))
                in_words = builder.add(in_words, shifted)
            lowest_lane = ir.Constant(_VECTOR, [0xFFFF] * hamming.LANES)
            distance = builder.add(distance, builder.and_(in_words, lowest_lane))
            is_near = builder.icmp_signed("<=", distance, limit)
            eight_marks = builder.zext(builder.bitcast(is_near, _BYTE), _WORD)
            marks = builder.or_(marks, builder.shl(eight_marks, ir.Constant(_WORD, place)))
        return marks

    signature = types.uint64(queries, types.int64, blocks, types.int64, types.int64, width, prefix)
    return signature, emit


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
        other_words = (0,) * (self.other_bytes // 8)
        return RowLayout((0,) * ROW_WORDS, other_words, CAP, self.weight)

    @property
    def compared_words(self) -> int:
        return ROW_WORDS + self.other_bytes // 8

    @property
    def largest(self) -> int:
        return ROWS * CAP * self.weight + 8 * self.other_bytes

    def query_words(self, packed: Packed) -> Words:
        return self._lay_out(packed, _QUERY_PATTERN)

    def stored_words(self, packed: Packed) -> Words:
        return self._lay_out(packed, _STORED_PATTERN)

    def _lay_out(self, packed: Packed, pattern: np.uint16) -> Words:
        """Lay out hashes as `RowLayout` describes, with flat rows replaced by a pattern."""
        rows = np.ascontiguousarray(packed[:, self.other_bytes :]).view(np.uint16)
        flat = is_flat(rows)
        replaced = np.where(flat, pattern, rows)
        flags = np.where(flat, _ONES, np.uint16(0))
        other = to_words(np.ascontiguousarray(packed[:, : self.other_bytes]))
        return np.hstack([replaced.view(np.uint64), other, flags.view(np.uint64)])

    def word_distances(self, queries: Words, stored: Words) -> npt.NDArray[np.int64]:
        words = self.compared_words
        different = queries[:, None, :words] ^ stored[None, :, :words]
        in_rows = different[..., :ROW_WORDS, None].view(np.uint16)
        rows = np.minimum(np.bitwise_count(in_rows), CAP).sum(axis=-1, dtype=np.int64)
        bits = np.bitwise_count(different[..., ROW_WORDS:]).astype(np.int64)
        return np.concatenate([self.weight * rows, bits], axis=-1)

    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        start = self.other_bytes
        rows = row_distances(one[..., start:], other[..., start:])
        different = np.bitwise_count(one[..., :start] ^ other[..., :start])
        return self.weight * rows + different.sum(axis=-1, dtype=np.int64)
