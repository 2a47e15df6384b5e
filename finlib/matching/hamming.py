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
from collections.abc import Callable, Iterator
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

COLUMNS = 32  # hashes whose words lie in registers while the queries stream past
ONE = np.uint64(1)
TOO_MANY = -1  # what `scan` returns where the matches do not fit
COUNTERS = 4  # of each distance in `count_distances`
INDEX_BITS = 32  # in `find_nearest`, a neighbour is distance << INDEX_BITS | number of the hash
INDEX_MASK = (1 << INDEX_BITS) - 1
DISTANCE_COST = 750  # time to compute a single distance, in operations of the scan on one word
FEW = 64  # neighbours of a query that are sorted sooner by comparing them than by counting
FOLD_SAMPLE = 64  # hashes compared with each other to choose a fold

HALF_MARKS = ir.IntType(COLUMNS)
INDEX = ir.IntType(32)
WORD = ir.IntType(64)
VECTOR = ir.VectorType(WORD, COLUMNS)  # LLVM splits it into registers of any width


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Count the bits that are set in a uint64; the count is an int64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


def emit_lanes_of(builder: Any, value: Any, count: int) -> Any:
    """Emit a vector whose `count` lanes all are this value."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first_lane = builder.insert_element(undefined, value, ir.Constant(INDEX, 0))
    first_lane_everywhere = ir.Constant(ir.VectorType(INDEX, count), [0] * count)
    return builder.shuffle_vector(first_lane, undefined, first_lane_everywhere)


def emit_item(builder: Any, start: Any, place: int) -> Any:
    """Emit loading the item that lies `place` items behind `start`."""
    return builder.load(builder.gep(start, [ir.Constant(WORD, place)]))


def emit_bit_counts(builder: Any, vector: Any) -> Any:
    """Emit counting the bits that are set in each lane of a vector."""
    lane = f"v{vector.type.count}i{vector.type.element.width}"
    function_type = ir.FunctionType(vector.type, [vector.type])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.ctpop.{lane}")
    return builder.call(function, [vector])


def emit_folded_counts(builder: Any, hash_words: Any, query: Any, groups: int) -> Any:
    """Emit a lower bound of the number of bits in which hashes differ from a query.

    hash_words: a vector of hashes for each word. query: a pointer to the query's words. Bits at the
    same place of several words count once: the words are dealt to the groups, the differences of a
    group are joined by `or`, and the bits that are set are counted. The bound is exact where there
    are as many groups as words. AVX-512 has one instruction for a word's `xor` and `or`, so a
    bound of few groups takes half of the time.
    """
    bound = None
    for group in range(groups):
        joined = None
        for w in range(group, len(hash_words), groups):
            query_word = emit_lanes_of(builder, emit_item(builder, query, w), COLUMNS)
            different = builder.xor(hash_words[w], query_word)
            joined = different if joined is None else builder.or_(joined, different)
        counts = emit_bit_counts(builder, joined)
        bound = counts if bound is None else builder.add(bound, counts)
    return bound


def emit_marks(
    context: Any,
    builder: Any,
    signature: Any,
    arguments: Any,
    query_words: int,
    stored_words: int,
    prepare: Callable[[Any, list[Any]], Callable[[Any, Any], Any]],
) -> None:
    """Emit marking the hashes of a block, for the intrinsics that compute `mark_candidates`.

    The words of COLUMNS hashes are loaded into registers, and all queries are compared with them.
    `prepare` is called with the builder and these words, a vector for each. It returns a function
    of a pointer to a query's words and of the query's limit, which emits a vector of COLUMNS bits:
    which hashes may be within the limit.
    """

    def start_of(argument: int) -> Any:
        array_type = signature.args[argument]
        return context.make_array(array_type)(context, builder, arguments[argument]).data

    def after(start: Any, number: Any, size: int) -> Any:
        return builder.gep(start, [builder.mul(number, ir.Constant(WORD, size))])

    queries, blocks, limits, marks = (start_of(argument) for argument in (0, 1, 3, 6))
    query_array = context.make_array(signature.args[0])(context, builder, arguments[0])
    query_count = builder.extract_value(query_array.shape, 0)
    block = after(blocks, arguments[2], stored_words * BLOCK)
    marks_in_halves = builder.bitcast(marks, HALF_MARKS.as_pointer())
    for half in range(BLOCK // COLUMNS):
        hash_words = []
        for w in range(stored_words):
            place = ir.Constant(WORD, w * BLOCK + half * COLUMNS)
            pointer = builder.bitcast(builder.gep(block, [place]), VECTOR.as_pointer())
            hash_words.append(builder.load(pointer, align=8))
        emit_is_near = prepare(builder, hash_words)
        with cgutils.for_range(builder, query_count) as loop:
            query = after(queries, loop.index, query_words)
            limit = builder.load(builder.gep(limits, [loop.index]))
            is_near = emit_is_near(query, limit)
            query_marks = after(marks_in_halves, loop.index, BLOCK // COLUMNS)
            half_marks = builder.gep(query_marks, [ir.Constant(WORD, half)])
            builder.store(builder.bitcast(is_near, HALF_MARKS), half_marks)


@intrinsic
def _mark_by_bits(
    typing_context: Any,
    queries: Any,
    blocks: Any,
    b: Any,
    limits: Any,
    width: Any,
    fold: Any,
    marks: Any,
) -> Any:
    """Mark the hashes of a block that may be near the queries, by `emit_folded_counts`.

    The code is emitted for vectors, since LLVM by itself prefers registers half as wide as AVX-512
    has, and cannot keep the hashes in registers.
    """
    words = width.count

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def prepare(builder: Any, hash_words: list[Any]) -> Callable[[Any, Any], Any]:
            def emit_is_near(query: Any, limit: Any) -> Any:
                bound = emit_folded_counts(builder, hash_words, query, fold.count)
                return builder.icmp_signed("<=", bound, emit_lanes_of(builder, limit, COLUMNS))

            return emit_is_near

        emit_marks(context, builder, signature, arguments, words, words, prepare)
        return context.get_dummy_value()

    return types.void(queries, blocks, types.int64, limits, width, fold, marks), emit


@njit(nogil=True, cache=True, inline="always")
def _lowest_bit(marks):  # type: ignore[no-untyped-def]
    """The number of the lowest bit that is set."""
    return popcount((marks - ONE) & ~marks)


# The kernels below serve every distance. Which one they compute follows, when numba compiles them,
# from the type of `width`: a tuple of zeros means the Hamming distance; `rows` adds its own type.


def mark_candidates(
    queries: Any, blocks: Any, b: Any, limits: Any, width: Any, fold: Any, marks: Any
) -> Any:
    """Mark the hashes of blocks[b] that may be within limits[q] of each query q.

    Bit k of marks[q], uint64[queries], stands for hash k of the block. All hashes within the limit
    are marked, and a few others. fold: a tuple of as many zeros as `choose_fold` says.
    Only compiled kernels can call it.
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
    """The numbers of words of a hash that is laid out as a query, and as one that is stored.

    Only compiled kernels can call it.
    """
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
        return len(width), len(width)

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
    queries: Any, blocks: Any, b: Any, limits: Any, width: Any, fold: Any, marks: Any
) -> Any:
    if not isinstance(width, types.UniTuple):
        return None

    def mark(
        queries: Any, blocks: Any, b: Any, limits: Any, width: Any, fold: Any, marks: Any
    ) -> Any:
        _mark_by_bits(queries, blocks, b, limits, width, fold, marks)

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
    fold,
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
    limits = np.full(len(queries), radius)
    marks = np.empty(len(queries), np.uint64)
    first_block = max(first, 0) // BLOCK if within_set else 0
    for b in range(first_block, len(blocks)):
        mark_candidates(queries, blocks, b, limits, width, fold, marks)
        for q in range(len(queries)):
            candidates = marks[q]
            while candidates:
                k = _lowest_bit(candidates)
                candidates &= candidates - ONE
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
def find_nearest(queries, own, blocks, n, k, radius, width, fold):  # type: ignore[no-untyped-def]
    """Find the k nearest of the n hashes in the blocks within the radius of each query.

    Returns the number of neighbours of each query, int64[queries], then the neighbours of all
    queries one after the other, nearest first and lower number first among equals: their numbers,
    int64[neighbours], and their distances, int32[neighbours]. queries[q] leaves out hash number own
    + q, which is itself; none is left out where own < 0.

    As soon as a query has k candidates, only closer ones count for it, so that most blocks are
    passed over after the first few. Candidates are gathered beyond k, and cut to the k nearest when
    the space for another block is used up.
    """
    capacity = BLOCK + min(max(1, n), 2 * k + 32)
    candidates = np.empty((len(queries), capacity), np.int64)
    counts = np.zeros(len(queries), np.int64)
    limits = np.full(len(queries), radius)
    marks = np.empty(len(queries), np.uint64)
    for b in range(len(blocks)):
        mark_candidates(queries, blocks, b, limits, width, fold, marks)
        for q in range(len(queries)):
            block_marks = marks[q]
            if not block_marks:
                continue
            count = counts[q]
            while block_marks:
                place = _lowest_bit(block_marks)
                block_marks &= block_marks - ONE
                number = b * BLOCK + place
                if number < n and (own < 0 or number != own + q):
                    distance = distance_in_block(queries, q, blocks, b, place, width)
                    if distance <= limits[q]:
                        candidates[q, count] = distance << INDEX_BITS | number
                        count += 1
            if count > capacity - BLOCK:
                candidates[q, :count] = np.partition(candidates[q, :count], k - 1)
                limits[q] = (candidates[q, k - 1] >> INDEX_BITS) - 1
                count = k
            counts[q] = count
    if k >= n:  # nothing was cut, and all candidates are in the order of their numbers
        return _flatten_by_distance(candidates, counts, largest_distance(width))
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
def _flatten_by_distance(candidates, counts, largest):  # type: ignore[no-untyped-def]
    """Sort the first counts[q] candidates of each query by distance, and join them as `_flatten`.

    Those of a query are in the order of their numbers. Many are sorted by counting how many there
    are at each distance.
    """
    total = counts.sum()
    numbers = np.empty(total, np.int64)
    distances = np.empty(total, np.int32)
    place_of = np.empty(largest + 2, np.int64)  # of the next candidate at each distance
    first = 0
    for q in range(len(counts)):
        count = counts[q]
        if count < FEW:
            for candidate in np.sort(candidates[q, :count]):
                numbers[first] = candidate & INDEX_MASK
                distances[first] = candidate >> INDEX_BITS
                first += 1
            continue
        place_of[:] = 0
        for candidate in candidates[q, :count]:
            place_of[(candidate >> INDEX_BITS) + 1] += 1
        place_of[0] = first
        for distance in range(1, largest + 2):
            place_of[distance] += place_of[distance - 1]
        for candidate in candidates[q, :count]:
            distance = candidate >> INDEX_BITS
            place = place_of[distance]
            place_of[distance] = place + 1
            numbers[place] = candidate & INDEX_MASK
            distances[place] = distance
        first += count
    return counts, numbers, distances


@njit(nogil=True, cache=True)
def count_distances(hashes, low, high, blocks, width):  # type: ignore[no-untyped-def]
    """Count the distances from hashes low..high of a set to all hashes after them.

    Returns the pairs at every distance in bits, int64[64 * words + 1]. `blocks` are the same set's.
    All distances to a block are computed before any is counted, since only that loop vectorises.
    Several counters take turns, since a processor cannot add to a number that it is about to store.
    """
    counts = np.zeros((COUNTERS, largest_distance(width) + 1), np.int64)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(low // BLOCK, len(blocks)):
        block_start = b * BLOCK
        block_end = min(BLOCK, len(hashes) - block_start)
        for row in range(low, min(high, block_start + BLOCK)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(hashes, row, blocks, b, k, width)
            for k in range(max(0, row + 1 - block_start), block_end):
                counts[k % COUNTERS, distances[k]] += 1
    return counts.sum(axis=0)


@njit(nogil=True, cache=True)
def _sort_by_query(query, number, distance, queries, first_query, first_number):  # type: ignore[no-untyped-def]
    """Put matches into the order of their queries, and within a query leave them in their order.

    Returns the arrays of `Matches`. query: uint16[matches]; the others may be longer. first_query,
    first_number: what is added to the numbers of queries and hashes.
    """
    start = np.zeros(queries + 1, np.int64)
    for q in query:
        start[q + 1] += 1
    place = np.cumsum(start)
    sorted_query = np.empty(len(query), np.int64)
    sorted_number = np.empty(len(query), np.int64)
    sorted_distance = np.empty(len(query), np.int32)
    for match in range(len(query)):
        q = query[match]
        target = place[q]
        place[q] += 1
        sorted_query[target] = first_query + q
        sorted_number[target] = first_number + np.int64(number[match])
        sorted_distance[target] = distance[match]
    return sorted_query, sorted_number, sorted_distance


class Matches(NamedTuple):
    """Pairs of a query and a hash that are near each other, ordered by query and then by hash."""

    query: npt.NDArray[np.int64]  # number among the queries
    number: npt.NDArray[np.int64]  # of the hash, among those in the blocks
    distance: npt.NDArray[np.int32]  # bits


def folded_counts(different: Words, groups: int) -> npt.NDArray[np.int64]:
    """Count the bits of folded words as `emit_folded_counts` does, in NumPy.

    different: the words of pairs of hashes joined by `xor`, uint64[..., words]. Returns int64[...].
    """
    counts = np.zeros(different.shape[:-1], np.int64)
    for group in range(groups):
        joined = np.bitwise_or.reduce(different[..., group::groups], axis=-1)
        counts += np.bitwise_count(joined)
    return counts


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
    def fold_words(self) -> int:
        """The number of words whose differences can be folded, see `choose_fold`."""

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
    def bounds(self, packed: Packed) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the lower bounds by which `mark_candidates` marks hashes, for each fold, in NumPy.

        They are between all hashes of a small set, int64[n, n].
        """

    @abstractmethod
    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        """The distances between packed hashes, uint8[..., size], element by element, in NumPy.

        The leading axes are broadcast. This is for few hashes, since the kernels need far less
        memory and time.
        """

    def choose_fold(self, packed: Packed, radius: int) -> int:
        """Choose into how many words `scan` folds the differences between two hashes.

        Each word costs an operation, and each word that is left after folding costs two more, which
        count its bits. Where fewer are left the bound is lower, so that there are more candidates,
        each of which costs DISTANCE_COST operations. The share of candidates is estimated from all
        pairs of a sample of the set that is searched.
        """
        if len(packed) < 8 * FOLD_SAMPLE:
            return self.fold_words
        rng = np.random.default_rng(0)
        sample = packed[rng.choice(len(packed), FOLD_SAMPLE, replace=False)]
        pairs = FOLD_SAMPLE * (FOLD_SAMPLE - 1)
        costs = []
        for fold, bounds in enumerate(self.bounds(sample), start=1):
            candidates = int((bounds <= radius).sum()) - FOLD_SAMPLE
            costs.append(2 * fold + DISTANCE_COST * candidates / pairs)
        return int(np.argmin(costs)) + 1

    def matches(
        self,
        queries: Words,
        blocks: Words,
        n: int,
        radius: int,
        *,
        first: int,
        within_set: bool,
        fold: int,
        capacity: int,
        first_query: int = 0,
        first_number: int = 0,
    ) -> Matches | None:
        """Find all hashes within the radius of the queries; None where there are more than
        `capacity` matches.

        first, within_set: as for `scan`. fold: from `choose_fold`. first_query, first_number: the
        numbers of the first query and the first hash in the matches.
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
            (0,) * fold,
            query,
            number,
            distance,
        )
        if count == TOO_MANY:
            return None
        sorted_matches = _sort_by_query(
            query[:count], number, distance, len(queries), first_query, first_number
        )
        return Matches(*sorted_matches)

    def nearest(self, queries: Words, blocks: Words, n: int, k: int, radius: int, own: int) -> Any:
        """Find the k nearest hashes within the radius of each query, as `find_nearest` does."""
        return find_nearest(queries, own, blocks, n, k, radius, self.width, (0,) * self.fold_words)

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
        return (0,) * self.fold_words

    @property
    def fold_words(self) -> int:
        return -(-self.size // 8)

    @property
    def largest(self) -> int:
        return 8 * self.size

    def query_words(self, packed: Packed) -> Words:
        return to_words(packed)

    def stored_words(self, packed: Packed) -> Words:
        return to_words(packed)

    def bounds(self, packed: Packed) -> Iterator[npt.NDArray[np.int64]]:
        words = to_words(packed)
        different = words[:, None] ^ words[None]
        for fold in range(1, self.fold_words + 1):
            yield folded_counts(different, fold)

    def between(self, one: Packed, other: Packed) -> npt.NDArray[np.int64]:
        if self.size % 8 == 0:  # whole words take an eighth of the time
            one = np.ascontiguousarray(one).view(np.uint64)
            other = np.ascontiguousarray(other).view(np.uint64)
        return np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)
