"""The exact engine: find pairs, neighbours and histograms of distances by comparing every pair.

A set of hashes is `uint8[n, bits // 8]`, see `packed`. Hashes to search are laid out in blocks
once; the others are cut into strips, which threads compare with the blocks. Results come in the
order of the rows, whatever the number of threads. Every search takes a `distance`, "hamming" or
"rows"; see `distances`.
"""

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from finlib.matching.distances import get_distance
from finlib.matching.hamming import Distance
from finlib.matching.packed import (
    BLOCK,
    Packed,
    Words,
    check_hashes,
    check_radius,
    iter_strips,
    to_blocks,
)
from finlib.matching.row_keys import LEFT_OUT, NO_NUMBER, Found, WholeRows, is_worth_sorting
from finlib.matching.rows import RowDistance
from finlib.pools import in_threads

STRIP = 512  # rows that are compared with a block while it is in the cache
CAPACITY = 1 << 22  # matches of one comparison; where there are more, it is cut in two
MAX_PAIRS = 100_000_000  # 2 GB of results
ADVICE = (
    "take a smaller radius, raise max_pairs (each pair needs 20 bytes) or take the pairs in blocks "
    "from iter_pairs"
)


class Pairs(NamedTuple):
    """Pairs of hashes that are near each other: pair k is of hashes i[k] and j[k].

    They are sorted by (i, j).
    """

    i: npt.NDArray[np.int64]
    j: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int32]  # bits


class Neighbours(NamedTuple):
    """The neighbours of several queries, nearest first and lower index first among equals.

    Those of query q are indices[indptr[q] : indptr[q + 1]], at the distances of the same places.
    """

    indptr: npt.NDArray[np.int64]  # [queries + 1]
    indices: npt.NDArray[np.int64]  # [neighbours], rows of the set that is searched
    distance: npt.NDArray[np.int32]  # [neighbours], bits


class HashIndex(NamedTuple):
    """Hashes laid out for the kernels; `index_hashes` makes it."""

    blocks: Words  # [blocks, words, BLOCK]
    n: int  # hashes
    bits: int  # of a hash
    distance: Distance  # that the hashes are laid out for

    @property
    def size(self) -> int:
        """The bytes of a hash."""
        return self.bits // 8

    def strip(self, k: int) -> int:
        """The number of queries that a thread searches for at a time, each for k neighbours."""
        candidates = BLOCK + min(max(1, self.n), 2 * k + BLOCK)
        return max(16, min(STRIP, CAPACITY // candidates))

    def query_words(self, queries: Packed) -> Words:
        """Lay queries out for `nearest`."""
        return self.distance.query_words(queries)

    def nearest(self, queries: Words, radius: int, k: int, first: int) -> Found:
        """Find the k nearest hashes within the radius of each query, as `find_nearest` does."""
        found: Found = self.distance.nearest(queries, self.blocks, self.n, k, radius, first)
        return found


def index_hashes(packed: Packed, *, distance: str = "hamming") -> HashIndex:
    """Lay hashes out for many calls of `neighbours` by one distance.

    That pays where queries come a few at a time.
    """
    size = check_hashes(packed).shape[1]
    return _lay_out(packed, get_distance(distance, size))


def choose_index(
    packed: Packed,
    queries: Packed,
    radius: int,
    *,
    distance: str = "hamming",
    workers: int | None = None,
) -> HashIndex | WholeRows:
    """Lay hashes out for `neighbours` in the way that takes the least time with all these queries.

    By rows, and within a radius that is small enough, that is mostly `WholeRows`, which compares a
    query with few hashes and misses none. Otherwise it is what `index_hashes` gives. Both find the
    same neighbours.
    """
    measure = get_distance(distance, check_hashes(packed).shape[1])
    by_rows = None
    if packed.shape[1] == queries.shape[1]:
        by_rows = _sort_if_faster(packed, queries, radius, measure, workers)
    return by_rows or _lay_out(packed, measure)


def _sort_if_faster(
    packed: Packed, queries: Packed, radius: int, distance: Distance, workers: int | None
) -> WholeRows | None:
    """Sort hashes by rows where searching for all the queries takes less time that way."""
    if not isinstance(distance, RowDistance):
        return None
    if not is_worth_sorting(len(packed), len(queries), radius, distance):
        return None
    by_rows = WholeRows(packed, workers)
    return by_rows if by_rows.is_faster(queries, radius) else None


def _lay_out(packed: Packed, distance: Distance) -> HashIndex:
    blocks = to_blocks(distance.stored_words(packed))
    return HashIndex(blocks, len(packed), 8 * packed.shape[1], distance)


class _Part(NamedTuple):
    """A part of a search for pairs: some of the rows compared with some of the blocks."""

    low: int  # the first row
    high: int  # the row after the last one
    first_block: int
    end_block: int  # the block after the last one

    def halves(self) -> "tuple[_Part, _Part]":
        """Cut the part in two: by rows, or by blocks where it has only one row."""
        if self.high - self.low > 1:
            row = (self.low + self.high) // 2
            return self._replace(high=row), self._replace(low=row)
        block = (self.first_block + self.end_block) // 2
        return self._replace(end_block=block), self._replace(first_block=block)


@dataclass(frozen=True)
class _PairSearch:
    """A prepared search for the pairs within a radius; its parts can be compared in any order."""

    distance: Distance
    rows: Words
    index: HashIndex
    within_set: bool  # the rows are those of the index: pairs i < j alone are wanted
    radius: int
    fold: int
    by_rows: WholeRows | None  # the index by rows, where its searches are faster
    packed: Packed  # the rows as they were given, for `by_rows`

    def find(self, part: _Part) -> Pairs | None:
        """The pairs of a part with all blocks, by rows where that is faster.

        None where there are more than CAPACITY.
        """
        if self.by_rows is None:
            return self.compare(part)
        words = self.by_rows.query_words(self.packed[part.low : part.high])
        counts, numbers, distances = self.by_rows.search(words, self.radius, self.index.n)
        compared = self._compare_rows(part, np.flatnonzero(counts == LEFT_OUT))
        if compared is None or len(numbers) + len(compared.i) > CAPACITY:
            return None
        rows = np.arange(part.low, part.high)
        i = np.concatenate([np.repeat(rows, np.maximum(counts, 0)), compared.i])
        j = np.concatenate([numbers, compared.j])
        order = np.lexsort((j, i))
        return Pairs(i[order], j[order], np.concatenate([distances, compared.distance])[order])

    def _compare_rows(self, part: _Part, chosen: npt.NDArray[np.int64]) -> Pairs | None:
        """The pairs of some rows of a part, given by their places in it."""
        if len(chosen) == 0:
            return _no_pairs()
        rows = part.low + chosen
        search = replace(self, rows=self.rows[rows])
        pairs = search.compare(part._replace(low=0, high=len(rows)))
        if pairs is None:
            return None
        return pairs._replace(i=rows[pairs.i])

    def compare(self, part: _Part) -> Pairs | None:
        """The pairs of a part; None where there are more than CAPACITY."""
        base = part.first_block * BLOCK
        blocks = self.index.blocks[part.first_block : part.end_block]
        matches = self.distance.matches(
            self.rows[part.low : part.high],
            blocks,
            min(self.index.n - base, len(blocks) * BLOCK),
            self.radius,
            first=part.low - base,
            within_set=self.within_set,
            fold=self.fold,
            capacity=CAPACITY,
            first_query=part.low,
            first_number=base,
        )
        return None if matches is None else Pairs(*matches)

    def compare_halves(self, part: _Part) -> Iterator[Pairs]:
        """The pairs of a part that has more than CAPACITY, in blocks that have fewer."""
        for half in part.halves():
            pairs = self.compare(half)
            if pairs is None:
                yield from self.compare_halves(half)
            else:
                yield pairs


def iter_pairs(
    packed: Packed,
    others: Packed | None,
    radius: int,
    *,
    i: range | None = None,
    distance: str = "hamming",
    workers: int | None = None,
    progress: bool = False,
) -> Iterator[Pairs]:
    """Find the pairs of `pairs_between`, or of `pairs_within` where `others` is None, in blocks.

    The blocks put together are the pairs in order. Memory is bounded however many there are: a
    block has at most CAPACITY pairs, and only a few blocks exist at a time. With `i` only the pairs
    of these rows of `packed` are found. `progress` shows a bar of the rows on a terminal. Raises
    TypeError or ValueError where the hashes or the radius are wrong.
    """
    rows = range(len(packed)) if i is None else i
    search = _prepare(packed, others, radius, distance, rows, workers)
    blocks = len(search.index.blocks)
    strip = min(STRIP, max(1, -(-len(rows) // 16)))
    parts = [
        _Part(rows.start + low, rows.start + high, 0, blocks)
        for low, high in iter_strips(len(rows), strip)
    ]
    compared = in_threads(search.find, ((part,) for part in parts), workers)
    with tqdm(
        total=len(packed),
        initial=rows.start,
        unit="hash",
        leave=rows.stop == len(packed),
        disable=None if progress else True,
    ) as bar:
        for part, pairs in zip(parts, compared, strict=True):
            if pairs is None:
                yield from search.compare_halves(part)
            else:
                yield pairs
            bar.update(part.high - part.low)


def _prepare(
    packed: Packed,
    others: Packed | None,
    radius: int,
    name: str,
    rows: range,
    workers: int | None,
) -> _PairSearch:
    """Check the arguments of a search for pairs and lay its hashes out.

    rows: those of `packed` whose pairs are searched for.
    """
    size = check_hashes(packed).shape[1]
    distance = get_distance(name, size)
    radius = check_radius(radius, distance.largest)
    if others is not None and check_hashes(others, "others").shape[1] != size:
        raise ValueError(
            f"hashes must have the same length: packed has {8 * size} bits "
            f"and others has {8 * others.shape[1]}"
        )
    searched = packed if others is None else others
    by_rows = None
    if others is not None:
        queries = packed[rows.start : rows.stop]
        by_rows = _sort_if_faster(others, queries, radius, distance, workers)
    return _PairSearch(
        distance,
        distance.query_words(packed),
        _lay_out(searched, distance),
        within_set=others is None,
        radius=radius,
        fold=distance.choose_fold(searched, radius),
        by_rows=by_rows,
        packed=packed,
    )


def estimate_pairs(
    packed: Packed,
    others: Packed | None,
    radius: int,
    *,
    distance: str = "hamming",
    sample: int = 1024,
) -> float:
    """Estimate how many pairs `iter_pairs` would find, from a sample of the rows.

    The sampled rows are compared with all hashes.
    The number is exact where the set has no more than `sample` rows.
    """
    n = len(check_hashes(packed))
    sampled = packed
    if n > sample:
        rng = np.random.default_rng(2026)
        sampled = packed[rng.choice(n, sample, replace=False)]
    searched = packed if others is None else others
    blocks = iter_pairs(sampled, searched, radius, distance=distance)
    pairs = float(sum(len(block.i) for block in blocks))
    if others is None:
        # Most rows have matched themselves, and each pair counts from both of its ends.
        pairs = (pairs - _count_self_matches(sampled, radius, distance)) / 2
    return pairs * n / max(1, len(sampled))


def _count_self_matches(packed: Packed, radius: int, distance: str) -> int:
    """Count the hashes that are within the radius of themselves.

    By rows some are not: a hash with flat rows is far from itself.
    """
    own = get_distance(distance, packed.shape[1]).between(packed, packed)
    return int((own <= radius).sum())


def pairs_within(
    packed: Packed,
    radius: int,
    *,
    distance: str = "hamming",
    max_pairs: int = MAX_PAIRS,
    workers: int | None = None,
) -> Pairs:
    """Find all pairs of hashes of a set that are at most `radius` bits apart.

    Returns i int64[m], j int64[m] and distance int32[m], where i < j, sorted by (i, j). workers:
    threads, by default one for each processor. Raises ValueError where there are more than
    `max_pairs` pairs, which bounds memory at 20 bytes a pair; a sample usually shows this before
    the search starts.

    >>> i, j, distance = pairs_within(np.array([[0], [255], [1], [3]], np.uint8), radius=1)
    >>> list(zip(i.tolist(), j.tolist(), distance.tolist()))
    [(0, 2, 1), (2, 3, 1)]
    """
    n = len(check_hashes(packed))
    radius = check_radius(radius, get_distance(distance, packed.shape[1]).largest)
    if n * (n - 1) // 2 > max_pairs:
        expected = estimate_pairs(packed, None, radius, distance=distance)
        if expected > 1.5 * max_pairs:
            raise ValueError(
                f"radius {radius} would give about {expected:,.0f} pairs, more than {max_pairs:,}: "
                f"{ADVICE}"
            )
    blocks = iter_pairs(packed, None, radius, distance=distance, workers=workers)
    return _collect(blocks, radius, max_pairs)


def pairs_between(
    packed: Packed,
    others: Packed,
    radius: int,
    *,
    distance: str = "hamming",
    max_pairs: int = MAX_PAIRS,
    workers: int | None = None,
) -> Pairs:
    """Find all pairs of a hash i of `packed` and a hash j of `others` at most `radius` bits apart.

    Results, arguments and errors are those of `pairs_within`.

    >>> new = np.array([[1]], np.uint8)
    >>> stored = np.array([[255], [3], [1]], np.uint8)
    >>> i, j, distance = pairs_between(new, stored, radius=1)
    >>> list(zip(i.tolist(), j.tolist(), distance.tolist()))
    [(0, 1, 1), (0, 2, 0)]
    """
    blocks = iter_pairs(packed, others, radius, distance=distance, workers=workers)
    return _collect(blocks, radius, max_pairs)


def _no_pairs() -> Pairs:
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))


def _collect(blocks: Iterable[Pairs], radius: int, max_pairs: int) -> Pairs:
    """Put blocks of pairs together; ValueError as soon as there are more than `max_pairs`."""
    collected = [_no_pairs()]
    total = 0
    for block in blocks:
        collected.append(block)
        total += len(block.i)
        if total > max_pairs:
            raise ValueError(f"radius {radius} gives more than {max_pairs:,} pairs: {ADVICE}")
    i, j, distance = (np.concatenate(column) for column in zip(*collected, strict=True))
    return Pairs(i, j, distance)


def neighbours(
    queries: Packed,
    packed: Packed | HashIndex | WholeRows | None = None,
    *,
    k: int | None = None,
    radius: int | None = None,
    distance: str = "hamming",
    max_pairs: int = MAX_PAIRS,
    workers: int | None = None,
) -> Neighbours:
    """Find the nearest hashes of each query: the k nearest, those within a radius, or both.

    packed: the hashes that are searched, or what `choose_index` or `index_hashes` has made of
    them. Without them the queries are searched among themselves, each without itself. Where both k
    and a radius are given, a query gets at most k neighbours, all within the radius. Many queries
    by rows are searched for by row keys where that is faster; nothing is missed. Raises ValueError
    where neither k nor radius is given, where the hashes differ in length, or where without k there
    are more than `max_pairs` neighbours, which bounds memory.

    >>> packed = np.array([[0], [255], [1], [3]], np.uint8)
    >>> nearest = neighbours(np.array([[7]], np.uint8), packed, k=2)
    >>> nearest.indices.tolist(), nearest.distance.tolist()
    ([3, 2], [1, 2])
    """
    size = check_hashes(queries, "queries").shape[1]
    if k is None and radius is None:
        raise ValueError(
            "neighbours needs k, the number of neighbours, or radius, the largest distance in "
            "bits, or both"
        )
    measure = get_distance(distance, size)
    limit = measure.largest if radius is None else check_radius(radius, measure.largest)
    index = _get_index(queries, packed, limit, distance, workers)
    if index.distance != measure:
        raise ValueError(
            f"queries have {8 * size} bits and packed has {8 * index.size}: they must agree"
        )
    wanted = max(1, index.n)
    if k is not None:
        wanted = min(wanted, operator.index(k))
    if wanted < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    rows = index.query_words(queries)

    def search(low: int, high: int) -> Found:
        own = low if packed is None else NO_NUMBER
        return index.nearest(rows[low:high], limit, wanted, own)

    strip = index.strip(wanted)
    if workers is None and len(rows) <= strip:
        workers = 1  # starting threads takes longer than a search
    strips = list(iter_strips(len(rows), strip)) or [(0, 0)]
    found = in_threads(search, strips, workers)
    return collect_neighbours(found, limit, max_pairs if k is None else None)


def collect_neighbours(
    strips: Iterable[Found],
    radius: int,
    most: int | None,
) -> Neighbours:
    """Put the neighbours of strips of queries together.

    strips: counts, indices and distances. ValueError as soon as there are more than `most`.
    """
    collected = []
    total = 0
    for strip in strips:
        collected.append(strip)
        total += len(strip[1])
        if most is not None and total > most:
            raise ValueError(
                f"radius {radius} gives more than {most:,} neighbours: take a smaller radius, give "
                "k, the number of neighbours of a query, or raise max_pairs (each neighbour needs "
                "12 bytes)"
            )
    if len(collected) == 1:  # a single query should not wait for copies
        counts, indices, distances = collected[0]
    else:
        counts, indices, distances = map(np.concatenate, zip(*collected, strict=True))
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return Neighbours(indptr, indices, distances)


def _get_index(
    queries: Packed,
    packed: Packed | HashIndex | WholeRows | None,
    radius: int,
    distance: str,
    workers: int | None,
) -> HashIndex | WholeRows:
    """The hashes to search, laid out; ValueError for an index that is for another distance."""
    if packed is None:
        return choose_index(queries, queries, radius, distance=distance, workers=workers)
    if not isinstance(packed, HashIndex | WholeRows):
        return choose_index(packed, queries, radius, distance=distance, workers=workers)
    if packed.distance.name != distance:
        raise ValueError(
            f"the index was made for the distance {packed.distance.name!r}, not {distance!r}: "
            f"index the hashes with distance={distance!r}"
        )
    return packed


def distance_histogram(
    packed: Packed, *, distance: str = "hamming", workers: int | None = None
) -> npt.NDArray[np.int64]:
    """Count the pairs of a set at every distance: int64[largest distance + 1].

    Raises TypeError or ValueError where the hashes are wrong.

    >>> distance_histogram(np.array([[0], [1], [3]], np.uint8)).tolist()
    [0, 2, 1, 0, 0, 0, 0, 0, 0]
    """
    measure = get_distance(distance, check_hashes(packed).shape[1])
    hashes = measure.query_words(packed)
    blocks = to_blocks(measure.stored_words(packed))

    def count(low: int, high: int) -> npt.NDArray[np.int64]:
        return measure.histogram(hashes, blocks, low, high)

    total = np.zeros(measure.largest + 1, np.int64)
    for counts in in_threads(count, iter_strips(len(hashes), STRIP), workers):
        total += counts[: measure.largest + 1]
    return total
