"""The Hamming distance as compiled kernels, which compare a few hashes with blocks of others.

A block contains BLOCK hashes word by word, uint64[blocks, words, BLOCK], so that one instruction
takes the same word of eight hashes. Matches are rare. So the loop that has to be fast only marks
the hashes of a block that may be near, with one bit for each, and the distances of those few are
then computed in full.

Two conventions make the kernels fast. The number of words of a hash is passed as `width`, a tuple
of as many zeros: numba knows a tuple's length when it compiles and unrolls the loops over words.
And loops that the compiler is to vectorise count from 0 and never mix uint64 with int64, which
numba would convert to float64.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils

from finlib.matching.packed import BLOCK, Packed, Words, to_words

# Kernels call an intrinsic without its first argument, which a type checker would miss.
intrinsic: Any = extending.intrinsic
overload: Any = extending.overload

LANES = 8  # 64-bit words in a vector; LLVM splits it where registers are narrower
ONE = np.uint64(1)
TOO_MANY = -1  # what `scan` returns where the matches do not fit
INDEX_BITS = 32  # in `find_nearest`, a neighbour is distance << INDEX_BITS | number of the hash
INDEX_MASK = (1 << INDEX_BITS) - 1
DISTANCE_COST = 250  # time to compute a single distance, in units of the scan's time for a word
PREFIX_SAMPLE = 128  # hashes compared with each other to choose a prefix

_BYTE = ir.IntType(8)
_INDEX = ir.IntType(32)
_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Count the bits that are set in a uint64; the count is an int64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


def emit_vector_of(builder: Any, word: Any) -> Any:
    """Emit a vector all of whose lanes are this word."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first_lane = builder.insert_element(undefined, word, ir.Constant(_INDEX, 0))
    first_lane_everywhere = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(first_lane, undefined, first_lane_everywhere)


def emit_word(builder: Any, start: Any, place: int) -> Any:
    """Emit loading the word that lies `place` words behind `start`."""
    return builder.load(builder.gep(start, [ir.Constant(_WORD, place)]))


def emit_vector(builder: Any, start: Any, place: int) -> Any:
    """Emit loading LANES words, the first of which lies `place` words behind `start`."""
    pointer = builder.gep(start, [ir.Constant(_WORD, place)])
    vector = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()))
    vector.align = 8
    return vector


@intrinsic
def _mark_by_bits(
    typing_context: Any,
    queries: Any,
    q: Any,
    blocks: Any,
    b: Any,
    radius: Any,
    width: Any,
    prefix: Any,
) -> Any:
    """Mark the hashes of a block that may be near a query: blocks[b] and queries[q].

    Returns a uint64 whose bit k stands for hash k of the block. A hash is marked where the first
    len(prefix) of its len(width) words differ in at most `radius` bits. A shorter prefix takes less
    time and lets more hashes pass that are not near.

    The code is emitted for vectors of eight words, since LLVM by itself prefers registers half as
    wide as AVX-512 has.
    """
    words = width.count
    prefix_words = prefix.count

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def start_of(array_argument: int, words_each: int) -> Any:
            array_type = signature.args[array_argument]
            array = context.make_array(array_type)(context, builder, arguments[array_argument])
            number = arguments[array_argument + 1]
            place = builder.mul(number, ir.Constant(_WORD, words_each))
            return builder.gep(array.data, [place])

        count_bits = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_VECTOR, [_VECTOR]),
            "llvm.ctpop.v8i64",
        )
        query = start_of(0, words)
        block = start_of(2, words * BLOCK)
        limit = emit_vector_of(builder, arguments[4])
        query_words = []
        for w in range(prefix_words):
            query_words.append(emit_vector_of(builder, emit_word(builder, query, w)))
        marks = ir.Constant(_WORD, 0)
        for k in range(0, BLOCK, LANES):
            distance = ir.Constant(_VECTOR, [0] * LANES)
            for w in range(prefix_words):
                hash_words = emit_vector(builder, block, w * BLOCK + k)
                different = builder.xor(hash_words, query_words[w])
                distance = builder.add(distance, builder.call(count_bits, [different]))
            is_near = builder.icmp_signed("<=", distance, limit)
            eight_marks = builder.zext(builder.bitcast(is_near, _BYTE), _WORD)
            marks = builder.or_(marks, builder.shl(eight_marks, ir.Constant(_WORD, k)))
        return marks

    signature = types.uint64(queries, types.int64, blocks, types.int64, types.int64, width, prefix)
    return signature, emit


@njit(nogil=True, cache=True, inline="always")
def _lowest_bit(marks):  # type: ignore[no-untyped-def]
    """The number of the lowest bit that is set."""
    return popcount((marks - ONE) & ~marks)


# The kernels below serve every distance. Which one they compute follows, when numba compiles them,
# from the type of `width`: a tuple of zeros means the Hamming distance; `rows` adds its own type.


def mark_candidates(
    queries: Any, q: Any, blocks: Any, b: Any, radius: Any, width: Any, prefix: Any
) -> Any:
    """Mark the hashes of blocks[b] that may be within the radius of queries[q].

    Returns a word as `_mark_by_bits` does. Only compiled kernels can call it.
    """
    raise NotImplementedError


def distance_in_block(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
    """The distance between queries[q] and hash k of blocks[b].

    Only compiled kernels can call it.
    """
    raise NotImplementedError


def largest_distance(width: Any) -> Any:
    """The largest distance that two hashes can have. Only compiled kernels can call it."""
    raise NotImplementedError


def distance_of_words(words: Any, row: Any, others: Any, other: Any, width: Any) -> Any:
    """The distance between hashes words[row] and others[other] that are not laid out.

    Only compiled kernels can call it.
    """
    raise NotImplementedError


def laid_out_words(width: Any) -> Any:
    """The number of words of a hash that is laid out. Only compiled kernels can call it."""
    raise NotImplementedError


def lay_out_query(words: Any, row: Any, queries: Any, q: Any, width: Any) -> Any:
    """Lay out hash words[row] as queries[q], as `Distance.query_words` does.

    Only compiled kernels can call it.
    """
    raise NotImplementedError


def lay_out_stored(words: Any, row: Any, blocks: Any, k: Any, width: Any) -> Any:
    """Lay out hash words[row] as hash k of the blocks, as `Distance.stored_words` does.

    Only compiled kernels can call it.
    """
    raise NotImplementedError


@overload(distance_of_words)
def _hamming_of_words(words: Any, row: Any, others: Any, other: Any, width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def count_bits(words: Any, row: Any, others: Any, other: Any, width: Any) -> Any:
        distance = 0
        for w in range(len(width)):
            distance += popcount(words[row, w] ^ others[other, w])
        return distance

    return count_bits


@overload(laid_out_words)
def _hamming_words(width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def count_words(width: Any) -> Any:
        return len(width)

    return count_words


@overload(lay_out_query)
def _copy_as_query(words: Any, row: Any, queries: Any, q: Any, width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def copy_words(words: Any, row: Any, queries: Any, q: Any, width: Any) -> Any:
        for w in range(len(width)):
            queries[q, w] = words[row, w]

    return copy_words


@overload(lay_out_stored)
def _copy_as_stored(words: Any, row: Any, blocks: Any, k: Any, width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def copy_words(words: Any, row: Any, blocks: Any, k: Any, width: Any) -> Any:
        for w in range(len(width)):
            blocks[k // BLOCK, w, k % BLOCK] = words[row, w]

    return copy_words


@overload(mark_candidates, inline="always")
def _mark_hamming(
    queries: Any, q: Any, blocks: Any, b: Any, radius: Any, width: Any, prefix: Any
) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def mark(
        queries: Any, q: Any, blocks: Any, b: Any, radius: Any, width: Any, prefix: Any
    ) -> Any:
        return _mark_by_bits(queries, q, blocks, b, radius, width, prefix)

    return mark


@overload(distance_in_block, inline="always")
def _hamming_distance(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def count_bits(queries: Any, q: Any, blocks: Any, b: Any, k: Any, width: Any) -> Any:
        # No slices are taken, since numba counts references to each of them, which is slow.
        distance = 0
        for w in range(len(width)):
            distance += popcount(queries[q, w] ^ blocks[b, w, k])
        return distance

    return count_bits


@overload(largest_distance)
def _largest_hamming(width: Any) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def count_all_bits(width: Any) -> Any:
        return 64 * len(width)

    return count_all_bits


@njit(nogil=True, cache=True)
def scan(  # type: ignore[no-untyped-def]
    queries,
    first,
    within_set,
    blocks,
    n,
    radius,
    width,
    prefix,
    query_out,
    hash_out,
    distance_out,
):
    """Write down all matches of the queries among the n hashes in the blocks; return their number.

    Matches are found block by block. A match goes into the three output arrays, whose length is the
    capacity; TOO_MANY is returned where it does not suffice. With `within_set` the queries belong
    to the set that is searched: queries[q] is its hash number first + q, which may be negative, and
    is compared only with the hashes after it.
    """
    matches = 0
    first_block = max(first, 0) // BLOCK if within_set else 0
    for b in range(first_block, len(blocks)):
        for q in range(len(queries)):
            marks = mark_candidates(queries, q, blocks, b, radius, width, prefix)
            while marks:
                k = _lowest_bit(marks)
                marks &= marks - ONE
                distance = distance_in_block(queries, q, blocks, b, k, width)
                # The conditions are nested because a `continue` makes the loop an eighth slower.
                if distance <= radius:
                    number = b * BLOCK + k
                    if number < n and (not within_set or first + q < number):
                        if matches == len(query_out):
                            return TOO_MANY
                        query_out[matches] = q
                        hash_out[matches] = number
                        distance_out[matches] = distance
                        matches += 1
    return matches


@njit(nogil=True, cache=True)
def find_nearest(queries, own, blocks, n, k, radius, width):  # type: ignore[no-untyped-def]
    """Find the k nearest of the n hashes in the blocks within the radius of each query.

    Returns the number of neighbours of each query, int64[queries], then the neighbours of all
    queries one after the other, nearest first and lower number first among equals: their numbers,
    int64[neighbours], and their distances, int32[neighbours]. queries[q] leaves out hash number own
    + q, which is itself; none is left out where own < 0.

    As soon as a query has k candidates, only closer ones count for it, so that most blocks are
    passed over after the first few. Candidates are gathered beyond k, and cut to the k nearest when
    the space for another block is used up.
    """
    capacity = BLOCK + min(max(1, n), 2 * k + 64)
    candidates = np.empty((len(queries), capacity), np.int64)
    counts = np.zeros(len(queries), np.int64)
    limits = np.full(len(queries), radius)
    for b in range(len(blocks)):
        for q in range(len(queries)):
            marks = mark_candidates(queries, q, blocks, b, limits[q], width, width)
            if not marks:
                continue
            count = counts[q]
            while marks:
                place = _lowest_bit(marks)
                marks &= marks - ONE
                number = b * BLOCK + place
                if number < n and (own < 0 or number != own + q):
                    distance = distance_in_block(queries, q, blocks, b, place, width)
                    candidates[q, count] = distance << INDEX_BITS | number
                    count += 1
            if count > capacity - BLOCK:
                candidates[q, :count] = np.partition(candidates[q, :count], k - 1)
                limits[q] = (candidates[q, k - 1] >> INDEX_BITS) - 1
                count = k
            counts[q] = count
    for q in range(len(queries)):
        nearest = np.sort(candidates[q, : counts[q]])[:k]
        counts[q] = len(nearest)
        candidates[q, : counts[q]] = nearest
    return _flatten(candidates, counts)


@njit(nogil=True, cache=True)
def _flatten(candidates, counts):  # type: ignore[no-untyped-def]
    """Join the first counts[q] candidates of all queries: counts, numbers and distances."""
    total = counts.sum()
    numbers = np.empty(total, np.int64)
    distances = np.empty(total, np.int32)
    place = 0
    for q in range(len(counts)):
        for candidate in candidates[q, : counts[q]]:
            numbers[place] = candidate & INDEX_MASK
            distances[place] = candidate >> INDEX_BITS
            place += 1
    return counts, numbers, distances


@njit(nogil=True, cache=True)
def count_distances(hashes, low, high, blocks, width):  # type: ignore[no-untyped-def]
    """Count the distances from hashes low..high of a set to all hashes after them.

    Returns the pairs at every distance in bits, int64[64 * words + 1]. `blocks` are the same set's.
    All distances to a block are computed before any is counted, since only that loop vectorises.
    """
    counts = np.zeros(largest_distance(width) + 1, np.int64)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(low // BLOCK, len(blocks)):
        block_start = b * BLOCK
        block_end = min(BLOCK, len(hashes) - block_start)
        for row in range(low, min(high, block_start + BLOCK)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(hashes, row, blocks, b, k, width)
            for k in range(max(0, row + 1 - block_start), block_end):
                counts[distances[k]] += 1
    return counts


class Matches(NamedTuple):
    """Pairs of a query and a hash that are near each other, ordered by query and then by hash."""

    query: npt.NDArray[np.int64]  # number among the queries
    number: npt.NDArray[np.int64]  # of the hash, among those in the blocks
    distance: npt.NDArray[np.int32]  # bits


class Distance(ABC):
    """A distance between hashes, as the exact engine uses it.

    The engine lays hashes out once: those to search in blocks, uint64[blocks, words, BLOCK], and
    those that it searches for as rows of words, uint64[n, words]. Then it asks for matches, for
    nearest hashes or for a histogram, strip by strip.
    """

    name: ClassVar[str]
    """What users call it: the value of the keyword `distance`."""

    @property
    @abstractmethod
    def width(self) -> Any:
        """The layout of a hash's words, whose type decides which distance numba compiles."""

    @property
    @abstractmethod
    def compared_words(self) -> int:
        """The number of words of a laid-out hash that are compared; others may follow them."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest distance that two hashes can have."""

    @abstractmethod
    def query_words(self, packed: Packed) -> Words:
        """Lay out hashes that others are searched for, or that are compared with a whole set."""

    @abstractmethod
    def stored_words(self, packed: Packed) -> Words:
        """Lay out hashes that are searched, before `to_blocks`."""

    @abstractmethod
    def word_distances(self, queries: Words, stored: Words) -> npt.NDArray[np.int64]:
        """The part of each word in the distances: int64[queries, stored, compared words]."""

    @abstractmethod
    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        """The distances between packed hashes, uint8[..., size], element by element, in NumPy.

        The leading axes are broadcast. This is for few hashes, since the kernels need far less
        memory and time.
        """

    def choose_prefix(self, queries: Words, stored: Words, radius: int) -> int:
        """Choose how many words of each hash `scan` compares before it computes distances.

        Fewer words take less time, but they leave more candidates, and the distance of each
        candidate costs as much as DISTANCE_COST words. The share of candidates is estimated from
        all pairs of a sample of one set, laid out in both ways.
        """
        if len(stored) < 8 * PREFIX_SAMPLE:
            return self.compared_words
        rng = np.random.default_rng(0)
        sample = rng.choice(len(stored), PREFIX_SAMPLE, replace=False)
        by_word = self.word_distances(queries[sample], stored[sample])
        prefix_distance = np.cumsum(by_word, axis=2, dtype=np.int64)
        candidates = (prefix_distance <= radius).sum(axis=(0, 1)) - PREFIX_SAMPLE
        candidate_share = candidates / (PREFIX_SAMPLE * (PREFIX_SAMPLE - 1))
        cost = np.arange(1, self.compared_words + 1) + DISTANCE_COST * candidate_share
        return int(np.argmin(cost)) + 1

    def matches(
        self,
        queries: Words,
        blocks: Words,
        n: int,
        radius: int,
        *,
        first: int,
        within_set: bool,
        prefix: int,
        capacity: int,
    ) -> Matches | None:
        """Find all hashes within the radius of the queries; None where there are more than
        `capacity` matches.

        first, within_set: as for `scan`. prefix: from `choose_prefix`.
        """
        query = np.empty(capacity, np.uint16)
        number = np.empty(capacity, np.int32)
        distance = np.empty(capacity, np.int32)
        count = scan(
            queries,
            first,
            within_set,
            blocks,
            n,
            radius,
            self.width,
            (0,) * prefix,
            query,
            number,
            distance,
        )
        if count == TOO_MANY:
            return None
        by_query = np.argsort(query[:count], kind="stable")
        return Matches(
            query[by_query].astype(np.int64),
            number[by_query].astype(np.int64),
            distance[by_query],
        )

    def nearest(self, queries: Words, blocks: Words, n: int, k: int, radius: int, own: int) -> Any:
        """Find the k nearest hashes within the radius of each query, as `find_nearest` does."""
        return find_nearest(queries, own, blocks, n, k, radius, self.width)

    def histogram(self, hashes: Words, blocks: Words, low: int, high: int) -> npt.NDArray[np.int64]:
        """Count the pairs of hashes low..high of a set with all hashes after them.

        Returns the pairs at every distance, int64[largest + 1] or a few more.
        """
        return np.asarray(count_distances(hashes, low, high, blocks, self.width))


@dataclass(frozen=True)
class Hamming(Distance):
    """The Hamming distance: the number of bits in which two hashes of `size` bytes differ."""

    name: ClassVar[str] = "hamming"
    size: int

    @property
    def width(self) -> tuple[int, ...]:
        return (0,) * self.compared_words

    @property
    def compared_words(self) -> int:
        return -(-self.size // 8)

    @property
    def largest(self) -> int:
        return 8 * self.size

    def query_words(self, packed: Packed) -> Words:
        return to_words(packed)

    def stored_words(self, packed: Packed) -> Words:
        return to_words(packed)

    def word_distances(self, queries: Words, stored: Words) -> npt.NDArray[np.int64]:
        return np.bitwise_count(queries[:, None] ^ stored[None]).astype(np.int64)

    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        if self.size % 8 == 0:  # whole words take an eighth of the time
            one = np.ascontiguousarray(one).view(np.uint64)
            other = np.ascontiguousarray(other).view(np.uint64)
        return np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)
