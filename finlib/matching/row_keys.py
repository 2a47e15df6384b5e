"""Find near dHashes without comparing all of them and without missing any: rows as keys.

Where two dHashes differ in each of their 16 rows, their row distance is at least 16, since a row
costs at least one, and a flat row CAP. So two hashes within 15 agree in some row, which is flat in
neither. Within 15 + f at most f - 1 of the differing rows cost more than one. So of any f rows
there is one, at least, in which the hashes differ in a single bit. `WholeRows` sorts the stored
hashes into buckets by each of their rows, all 16 bits of it. A search compares a query with the
buckets of its own rows and, beyond 15, with those whose key differs in one bit from one of f rows.

The hashes that it finds are therefore those that comparing all of them finds. Queries whose buckets
are large, for instance those of a picture with thousands of copies, are compared with all hashes.
`row_index` uses the same buckets with longer keys, which are faster and miss a few hashes.
"""

from threading import Lock

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.hamming import distance_of_words
from finlib.matching.packed import BLOCK, Packed, Words, iter_strips, to_blocks, to_words
from finlib.matching.rows import ROW_BITS, ROW_WORDS, ROWS, RowDistance
from finlib.pools import in_threads

LARGEST_BUCKET = 4096  # hashes of a bucket that `row_index` compares a query with
MOST_HASHES = (1 << 31) - 1  # their numbers are int32
LARGEST_RADIUS = 2 * ROWS - 1  # row distance within which some row differs in one bit at most
CAPACITY = 1 << 22  # candidates of queries that are compared with all hashes at a time
STRIP = 64  # queries that a thread looks up at a time
SHARE_COMPARED = 64  # a query is compared with all n hashes where its buckets have n / this or more
LEFT_OUT = -1  # the number of matches of a query that is to be compared with all hashes
NO_NUMBER = -1  # of no hash
SAMPLE = 256  # queries from which the cost of the others is estimated
# Nanoseconds to compare two hashes where a whole set is compared and AVX-512 counts bits.
NS_PER_PAIR = 0.15
NS_PER_HASH = 100  # to sort a hash into buckets, beyond what laying it out takes
NS_PER_QUERY = 2000  # to search for a query whose buckets are empty
NS_PER_BUCKET = 30
NS_PER_CANDIDATE = 15  # to compare a query with a hash that lies anywhere in memory
SKEW = 3  # candidates of real pictures, about, for one where all bits are independent
TOGETHER = 64  # candidates that are fetched from memory at once
FREE = -1  # what a place of a hash table holds where no row is
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # spreads row numbers (Knuth: the golden ratio)
ONE = np.uint64(1)
ROW_MASK = np.uint64((1 << ROW_BITS) - 1)

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]
"""Numbers of neighbours of some queries, then all neighbours and their distances."""


class WholeRows:
    """Stored hashes sorted by each of their rows, for many exact searches by the row distance.

    packed: uint8[n, bits // 8], dHashes of 256 bits, alone or last in a combination. The searches
    read them from this array, which has to stay as it is. The index takes 64 bytes for each hash
    and 4 MiB. workers: threads, by default one for each processor.
    """

    def __init__(self, packed: Packed, workers: int | None = None) -> None:
        self.distance = RowDistance.of(packed.shape[1])
        self._packed = packed
        self._words = to_words(packed)
        self._start = np.zeros((ROWS, (1 << ROW_BITS) + 1), np.int32)
        self._order = np.zeros((ROWS, len(packed)), np.int32)
        self._blocks: Words | None = None  # laid out when a query is first compared with all
        self._lock = Lock()

        def sort(row: int) -> None:
            sort_into_buckets(self._words, row, self._start[row], self._order[row])

        for _ in in_threads(sort, ((row,) for row in range(ROWS)), workers):
            pass

    @property
    def n(self) -> int:
        """The number of stored hashes."""
        return len(self._packed)

    @property
    def size(self) -> int:
        """The bytes of a hash."""
        return self._packed.shape[1]

    def strip(self, k: int) -> int:
        """The number of queries that a thread searches for at a time, however many k there are."""
        return STRIP

    def query_words(self, queries: Packed) -> Words:
        """Lay queries out for `search` and `nearest`."""
        return to_words(queries)

    def search(self, queries: Words, radius: int, k: int, first: int = NO_NUMBER) -> Found:
        """Look up the k nearest hashes within the radius of each query, nearest first.

        queries: uint64[queries, words]. radius: at most `largest_radius`. first: where the queries
        are stored hashes, the number of the first one; each then leaves itself out. A query whose
        buckets are large has LEFT_OUT as its number of neighbours, and none. ValueError where the
        radius is larger.
        """
        if radius > largest_radius(self.distance):
            raise ValueError(
                f"row keys cannot search beyond {largest_radius(self.distance)} without missing "
                f"hashes; got a radius of {radius}: use index_hashes"
            )
        found: Found = _search(
            queries,
            self._words,
            self._start,
            self._order,
            radius,
            k,
            self.distance.width,
            count_flipped(radius, self.distance),
            first,
        )
        return found

    def nearest(self, queries: Words, radius: int, k: int, first: int = NO_NUMBER) -> Found:
        """Find what `search` finds, for queries whose buckets are large, too."""
        found = self.search(queries, radius, k, first)
        left_out = np.flatnonzero(found[0] == LEFT_OUT)
        size = max(1, CAPACITY // (min(self.n, 2 * k) + BLOCK))
        for low, high in iter_strips(len(left_out), size):
            part = left_out[low:high]
            numbers = None if first == NO_NUMBER else first + part
            compared = self._compare_all(queries[part], radius, k, numbers)
            found = _insert(found, part, compared)
        return found

    def _compare_all(
        self, queries: Words, radius: int, k: int, numbers: npt.NDArray[np.int64] | None
    ) -> Found:
        """Find the neighbours of queries by comparing them with all hashes.

        numbers: those of the queries, where they are stored hashes; each leaves itself out.
        """
        packed = queries.view(np.uint8)
        wanted = k if numbers is None else k + 1
        found: Found = self.distance.nearest(
            self.distance.query_words(packed), self._lay_out(), self.n, wanted, radius, NO_NUMBER
        )
        if numbers is None:
            return found
        counts, indices, distances = found
        query = np.repeat(np.arange(len(counts)), counts)
        is_other = indices != numbers[query]
        query = query[is_other]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        is_wanted = place < k
        counts = np.bincount(query[is_wanted], minlength=len(counts))
        return counts, indices[is_other][is_wanted], distances[is_other][is_wanted]

    def _lay_out(self) -> Words:
        """The hashes as `Distance.nearest` wants them, laid out once for all threads."""
        with self._lock:
            if self._blocks is None:
                self._blocks = to_blocks(self.distance.stored_words(self._packed))
            return self._blocks

    def is_faster(self, queries: Packed, radius: int) -> bool:
        """Estimate from a sample of the queries whether their searches are faster than comparing.

        It is not so where many of the hashes have rows in common.
        """
        rng = np.random.default_rng(2026)
        sample = queries
        if len(queries) > SAMPLE:
            sample = queries[rng.choice(len(queries), SAMPLE, replace=False)]
        flipped = count_flipped(radius, self.distance)
        candidates = _count_candidates(to_words(sample), self._start, flipped)
        by_rows = _ns_of_search(flipped, candidates)
        compared = NS_PER_PAIR * self.n
        by_rows[candidates >= self.n // SHARE_COMPARED] += compared
        return bool(by_rows.mean() < compared)


def largest_radius(distance: RowDistance) -> int:
    """The largest distance within which `WholeRows` misses nothing.

    It is 31 for a dHash. Where the distance of another hash is added, any row distance counts
    several times.
    """
    weight: int = distance.width.weight
    return weight * LARGEST_RADIUS + weight - 1


def count_flipped(radius: int, distance: RowDistance) -> int:
    """The number of rows whose keys with one bit flipped are looked up, too, so that nothing within
    the radius is missed.
    """
    row_distance = radius // distance.width.weight
    return int(max(0, row_distance - (ROWS - 1)))


def is_worth_sorting(n: int, queries: int, radius: int, distance: RowDistance) -> bool:
    """Whether sorting n hashes by rows is likely to save time in that many searches."""
    if n > MOST_HASHES or radius > largest_radius(distance):
        return False
    flipped = count_flipped(radius, distance)
    buckets = ROWS + ROW_BITS * flipped
    candidates = np.array([SKEW * buckets * n / (1 << ROW_BITS)])
    by_rows = NS_PER_HASH * n + queries * _ns_of_search(flipped, candidates)[0]
    return bool(by_rows < NS_PER_PAIR * n * queries)


def _ns_of_search(flipped: int, candidates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The nanoseconds that searches take on one core, for their numbers of candidates."""
    buckets = ROWS + ROW_BITS * flipped
    return NS_PER_QUERY + NS_PER_BUCKET * buckets + NS_PER_CANDIDATE * candidates


def _insert(found: Found, queries: npt.NDArray[np.int64], others: Found) -> Found:
    """Put the neighbours of other queries between those of the queries found."""
    counts = found[0].copy()
    query = np.repeat(np.arange(len(counts)), np.maximum(counts, 0))
    other_query = np.repeat(queries, others[0])
    order = np.argsort(np.concatenate([query, other_query]), kind="stable")
    counts[queries] = others[0]
    indices = np.concatenate([found[1], others[1]])[order]
    distances = np.concatenate([found[2], others[2]])[order]
    return counts, indices, distances


@njit(nogil=True, cache=True, inline="always")
def bits_from(words, row, key_row):  # type: ignore[no-untyped-def]
    """The 64 bits of a dHash from one of its rows on, which is in the lowest 16 bits.

    The first row comes after the last. The dHash is in the last words of the hash.
    """
    first_word = words.shape[1] - ROW_WORDS
    word = key_row >> 2
    shift = np.uint64(ROW_BITS * (key_row & 3))
    bits = words[row, first_word + word] >> shift
    if shift:
        following = words[row, first_word + ((word + 1) & 3)]
        bits |= following << (np.uint64(64) - shift)
    return bits


@njit(nogil=True, cache=True, inline="always")
def starts_flat(bits):  # type: ignore[no-untyped-def]
    """Whether the row in the lowest 16 bits is flat."""
    lowest = bits & ROW_MASK
    return lowest == np.uint64(0) or lowest == ROW_MASK


@njit(nogil=True, cache=True)
def sort_into_buckets(words, key_row, start, order):  # type: ignore[no-untyped-def]
    """Fill a table of `RowIndex`, start and order, by counting. `start` comes with zeros."""
    mask = np.uint64(len(start) - 2)
    for row in range(len(words)):
        bits = bits_from(words, row, key_row)
        if not starts_flat(bits):
            start[np.int64(bits & mask) + 1] += 1
    for bucket in range(1, len(start)):
        start[bucket] += start[bucket - 1]
    next_free = start[:-1].copy()
    for row in range(len(words)):
        bits = bits_from(words, row, key_row)
        if not starts_flat(bits):
            key = np.int64(bits & mask)
            order[next_free[key]] = row
            next_free[key] += 1
    for bucket in range(len(start) - 1):
        low = start[bucket]
        high = start[bucket + 1]
        if high - low > LARGEST_BUCKET:
            _sort_bucket(words, key_row, order[low:high])


@njit(nogil=True, cache=True)
def _sort_bucket(words, key_row, bucket):  # type: ignore[no-untyped-def]
    """Sort the hashes of a large bucket by their bits from the key row on, equal ones by number."""
    bits = np.empty(len(bucket), np.uint64)
    for place in range(len(bucket)):
        bits[place] = bits_from(words, bucket[place], key_row)
    bucket[:] = bucket[np.argsort(bits, kind="mergesort")]


@njit(nogil=True, cache=True)
def collect_distinct(order, parts, most, slots, candidates):  # type: ignore[no-untyped-def]
    """Collect the hashes of the parts, each once, in `candidates`; returns their number.

    parts: int64[parts, 3], a table and two places: order[table, first:end]. most: the hashes of all
    parts together. slots: space for a hash table, a power of two and at least 2 * most places.
    """
    used = 64
    while used < 2 * most:
        used *= 2
    slots = slots[:used]
    slots[:] = FREE
    mask = np.uint64(len(slots) - 1)
    count = 0
    for part in range(len(parts)):
        table = parts[part, 0]
        for place in range(parts[part, 1], parts[part, 2]):
            row = order[table, place]
            slot = (np.uint64(row) * MULTIPLIER >> np.uint64(32)) & mask
            while slots[slot] != FREE and slots[slot] != row:
                slot = (slot + ONE) & mask
            if slots[slot] == FREE:
                slots[slot] = row
                candidates[count] = row
                count += 1
    return count


@njit(nogil=True, cache=True)
def compare(queries, q, words, candidates, radius, width, own, matches):  # type: ignore[no-untyped-def]
    """Compare query q with the candidates, and write its matches: distance << 32 | number.

    They are sorted, so that the nearest come first. Returns their number. own: a candidate that is
    no match, the query itself. The candidates lie anywhere in memory. They are copied side by side
    before any of them is compared, so that the processor waits for many of them at once.
    """
    copied = np.empty((TOGETHER, words.shape[1]), np.uint64)
    count = 0
    for low in range(0, len(candidates), TOGETHER):
        together = min(TOGETHER, len(candidates) - low)
        for k in range(together):
            row = candidates[low + k]
            for word in range(words.shape[1]):
                copied[k, word] = words[row, word]
        for k in range(together):
            distance = distance_of_words(queries, q, copied, k, width)
            if distance <= radius and candidates[low + k] != own:
                matches[count] = distance << 32 | np.int64(candidates[low + k])
                count += 1
    matches[:count].sort()
    return count


@njit(nogil=True, cache=True, inline="always")
def _add_bucket(start, row, key, parts, count):  # type: ignore[no-untyped-def]
    """Write the bucket of a key down as parts[count], if it is not empty; returns the new count."""
    low = start[row, key]
    high = start[row, key + 1]
    if low == high:
        return count
    parts[count, 0] = row
    parts[count, 1] = low
    parts[count, 2] = high
    return count + 1


@njit(nogil=True, cache=True)
def _find_buckets(queries, q, start, flipped, parts):  # type: ignore[no-untyped-def]
    """Find the buckets in which all near hashes of query q are: parts as for `collect_distinct`.

    flipped: the number of rows whose keys with a bit flipped are looked up. Returns the number of
    parts and that of the hashes in them.
    """
    count = 0
    for row in range(ROWS):
        bits = bits_from(queries, q, row)
        if starts_flat(bits):
            continue
        key = np.int64(bits & ROW_MASK)
        count = _add_bucket(start, row, key, parts, count)
        if row < flipped:
            for bit in range(ROW_BITS):
                count = _add_bucket(start, row, key ^ (1 << bit), parts, count)
    candidates = np.int64(0)
    for part in range(count):
        candidates += parts[part, 2] - parts[part, 1]
    return count, candidates


@njit(nogil=True, cache=True)
def _count_candidates(queries, start, flipped):  # type: ignore[no-untyped-def]
    """Count the hashes in the buckets of each query, float64[queries]."""
    counts = np.empty(len(queries), np.float64)
    parts = np.empty((ROWS + ROW_BITS * flipped, 3), np.int64)
    for q in range(len(queries)):
        counts[q] = _find_buckets(queries, q, start, flipped, parts)[1]
    return counts


@njit(nogil=True, cache=True)
def _search(queries, words, start, order, radius, wanted, width, flipped, first):  # type: ignore[no-untyped-def]
    """Search for queries as `WholeRows.search` does."""
    n = len(words)
    most = max(n // SHARE_COMPARED, 1)
    counts = np.empty(len(queries), np.int64)
    parts = np.empty((ROWS + ROW_BITS * flipped, 3), np.int64)
    capacity = 1024
    while capacity < most:
        capacity *= 2
    slots = np.empty(2 * capacity, np.int32)
    candidates = np.empty(capacity, np.int32)
    matches = np.empty(capacity, np.int64)
    found = np.empty(1024, np.int64)
    total = 0
    for q in range(len(queries)):
        buckets, number = _find_buckets(queries, q, start, flipped, parts)
        if number > most:
            counts[q] = LEFT_OUT
            continue
        distinct = collect_distinct(order, parts[:buckets], number, slots, candidates)
        own = np.int64(NO_NUMBER) if first == NO_NUMBER else first + q
        count = compare(queries, q, words, candidates[:distinct], radius, width, own, matches)
        counts[q] = min(count, wanted)
        found = append_matches(found, total, matches[: counts[q]])
        total += counts[q]
    indices, distances = split_matches(found[:total])
    return counts, indices, distances


@njit(nogil=True, cache=True)
def append_matches(found, total, matches):  # type: ignore[no-untyped-def]
    """Write a query's matches after the `total` of others; returns `found`, or a longer array."""
    end = total + len(matches)
    if end > len(found):
        longer = np.empty(2 * end, np.int64)
        longer[:total] = found[:total]
        found = longer
    found[total:end] = matches
    return found


@njit(nogil=True, cache=True)
def split_matches(matches):  # type: ignore[no-untyped-def]
    """Split matches, distance << 32 | number, into int64 numbers and int32 distances."""
    numbers = np.empty(len(matches), np.int64)
    distances = np.empty(len(matches), np.int32)
    for place in range(len(matches)):
        numbers[place] = matches[place] & 0xFFFFFFFF
        distances[place] = matches[place] >> 32
    return numbers, distances
