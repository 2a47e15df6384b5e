"""Packed hashes to distances, neighbours and pairs: exact, by scanning every pair.

A set of hashes is `uint8[n, bits // 8]` in `numpy.packbits` order; any multiple of 8 bits will do. Work is cut into
strips of rows, threads take strips, and results come in the order of the rows whatever the number of threads.
"""

import operator
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from finlib.matching import hamming
from finlib.pools import in_threads

Packed = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

STRIP = 512  # rows compared with a block while it is in the cache
CAPACITY = (
    1 << 22
)  # matches a strip may hold: what holds more is cut in two, down to parts of one row
CHECK = 250  # what working out one distance alone costs, in words of the scan
MAX_PAIRS = 100_000_000  # 2 GB of results
ADVICE = "take a smaller radius, raise max_pairs (20 bytes a pair), or take blocks from iter_pairs"


class Pairs(NamedTuple):
    """Pair k is of hashes i[k] and j[k], distance[k] bits apart; sorted by (i, j)."""

    i: npt.NDArray[np.int64]
    j: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int32]


def check_hashes(packed: Any, name: str = "packed") -> Packed:
    """A set of hashes as it came, or TypeError or ValueError saying what is wrong with it."""
    if not isinstance(packed, np.ndarray) or packed.dtype != np.uint8:
        given = packed.dtype if isinstance(packed, np.ndarray) else type(packed).__name__
        raise TypeError(f"{name} must be a uint8 array of packed bits, one row a hash; got {given}")
    if packed.ndim != 2 or not 0 < packed.shape[1] < 1 << 13:
        raise ValueError(f"{name} must have shape (hashes, bits // 8); got {packed.shape}")
    return packed


def check_radius(radius: Any, bits: int) -> int:
    """A distance in bits as int; TypeError where it is not whole, ValueError where no two hashes can be so far."""
    radius = operator.index(radius)
    if not 0 <= radius <= bits:
        raise ValueError(f"radius must be from 0 to {bits}, the bits of a hash; got {radius}")
    return radius


def to_words(packed: Packed) -> Words:
    """uint64[n, words]: rows padded with zeros to whole words, without a copy where they are whole words."""
    n, size = packed.shape
    if size % 8 == 0 and packed.flags.c_contiguous and packed.ctypes.data % 8 == 0:
        return packed.view(np.uint64)
    padded = np.zeros((n, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = packed
    return padded.view(np.uint64)


def find_distinct(packed: Packed) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first row with each hash, ascending; and of every row the first with its hash."""
    first, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)[1:]
    return np.sort(first), first[inverse.ravel()]


def to_blocks(rows: Words) -> Words:
    """uint64[blocks, words, hamming.BLOCK], the last one filled up with zeros."""
    n, words = rows.shape
    padded = np.zeros((-(-n // hamming.BLOCK) * hamming.BLOCK, words), np.uint64)
    padded[:n] = rows
    return np.ascontiguousarray(padded.reshape(-1, hamming.BLOCK, words).transpose(0, 2, 1))


def _strips(n: int, size: int) -> Iterator[tuple[int, int]]:
    return ((low, min(n, low + size)) for low in range(0, n, size))


def choose_prefix(rows: Words, radius: int, sample: int = 128) -> int:
    """How many words of a hash to compare before the rest of it: few leave many candidates, each of them costs CHECK.

    Told from all pairs of some rows, in units of the time that a word takes.
    """
    words = rows.shape[1]
    if len(rows) < 8 * sample:
        return words
    some = rows[np.random.default_rng(0).choice(len(rows), sample, replace=False)]
    so_far = np.cumsum(np.bitwise_count(some[:, None] ^ some[None]), axis=2, dtype=np.int64)
    candidates = ((so_far <= radius).sum(axis=(0, 1)) - sample) / (sample * (sample - 1))
    return int(np.argmin(np.arange(1, words + 1) + CHECK * candidates)) + 1


def estimate_pairs(
    packed: Packed, others: Packed | None, radius: int, *, sample: int = 1024
) -> float:
    """Expected number of pairs within the radius, in the set or with one of `others`, from all pairs of some rows.

    Where the sample takes in all rows the number is exact.
    """
    n, held = len(check_hashes(packed)), packed if others is None else others
    some = (
        packed
        if n <= sample
        else packed[np.random.default_rng(2026).choice(n, sample, replace=False)]
    )
    found = sum(len(part.i) for part in iter_pairs(some, held, radius))
    return (found if others is not None else (found - len(some)) / 2) * n / max(1, len(some))


def iter_pairs(
    packed: Packed,
    others: Packed | None,
    radius: int,
    *,
    i: range | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Iterator[Pairs]:
    """The pairs of `pairs_within`, or with `others` of `pairs_between`, in blocks that make them up in order.

    `i` takes some rows' alone. Memory is bounded whatever the data: a block holds at most CAPACITY pairs, a few are at
    hand. `progress` shows a bar, of rows, on a terminal. TypeError or ValueError where hashes or the radius are wrong.
    """
    radius = check_radius(radius, 8 * check_hashes(packed).shape[1])
    if others is not None and check_hashes(others, "others").shape[1] != packed.shape[1]:
        raise ValueError(
            f"packed has {8 * packed.shape[1]} bits and others has {8 * others.shape[1]}"
        )
    rows = to_words(packed)
    held = rows if others is None else to_words(others)
    blocks, width = to_blocks(held), (0,) * rows.shape[1]
    part = width[: choose_prefix(held, radius)]

    def compare(low: int, high: int, start: int, stop: int) -> Pairs | None:
        """Matches of rows low..high among the blocks start..stop; None where they are over CAPACITY."""
        base, some = start * hamming.BLOCK, blocks[start:stop]
        n, out = (
            min(len(held) - base, len(some) * hamming.BLOCK),
            [np.empty(CAPACITY, t) for t in ("u2", "i4", "i4")],
        )
        found = hamming.scan(
            rows[low:high], low - base, others is None, some, n, radius, width, part, *out
        )
        if found < 0:
            return None
        order = np.argsort(out[0][:found], kind="stable")
        at_row, at_column, distance = (column[order] for column in out)
        return Pairs(at_row.astype(np.int64) + low, at_column.astype(np.int64) + base, distance)

    def parts(job: tuple[int, int, int, int], done: Pairs | None) -> Iterator[Pairs]:
        if done is not None:
            yield done
            return
        low, high, start, stop = job
        row, block = (low + high) // 2, (start + stop) // 2
        rows_cut = [(low, row, start, stop), (row, high, start, stop)]
        for half in (
            rows_cut if high - low > 1 else [(low, high, start, block), (low, high, block, stop)]
        ):
            yield from parts(half, compare(*half))

    i = range(len(rows)) if i is None else i
    size = min(STRIP, max(1, -(-len(i) // 16)))
    jobs = [(i.start + low, i.start + high, 0, len(blocks)) for low, high in _strips(len(i), size)]
    shown: dict[str, Any] = {
        "initial": i.start,
        "leave": i.stop == len(rows),
        "disable": None if progress else True,
    }
    with tqdm(total=len(rows), unit="hash", **shown) as bar:
        for job, done in zip(jobs, in_threads(compare, jobs, workers), strict=True):
            yield from parts(job, done)
            bar.update(job[1] - job[0])


def pairs_within(
    packed: Packed, radius: int, *, max_pairs: int = MAX_PAIRS, workers: int | None = None
) -> Pairs:
    """All pairs i < j of hashes at most `radius` bits apart, as (i int64[m], j int64[m], distance int32[m]).

    Sorted by (i, j). Memory is bounded by the output, 20 bytes a pair: a radius that would give more than `max_pairs`
    is refused with ValueError, from a sample where that tells it beforehand.

    >>> i, j, distance = pairs_within(np.array([[0], [255], [1], [3]], np.uint8), radius=1)
    >>> list(zip(i.tolist(), j.tolist(), distance.tolist()))
    [(0, 2, 1), (2, 3, 1)]
    """
    radius = check_radius(radius, 8 * check_hashes(packed).shape[1])
    if len(packed) * (len(packed) - 1) // 2 > max_pairs:
        expected = estimate_pairs(packed, None, radius)
        if expected > 1.5 * max_pairs:
            raise ValueError(
                f"radius {radius} would give about {expected:,.0f} pairs, over {max_pairs:,}: {ADVICE}"
            )
    return _bounded(iter_pairs(packed, None, radius, workers=workers), radius, max_pairs)


def _bounded(parts: Iterable[Pairs], radius: int, max_pairs: int) -> Pairs:
    held, found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))], 0
    for part in parts:
        held.append(part)
        found += len(part.i)
        if found > max_pairs:
            raise ValueError(f"radius {radius} gives more than {max_pairs:,} pairs: {ADVICE}")
    return Pairs(*(np.concatenate(column) for column in zip(*held, strict=True)))


def pairs_between(
    packed: Packed,
    others: Packed,
    radius: int,
    *,
    max_pairs: int = MAX_PAIRS,
    workers: int | None = None,
) -> Pairs:
    """All pairs of one hash of `packed` and one of `others` at most `radius` bits apart; refused as by `pairs_within`."""
    return _bounded(iter_pairs(packed, others, radius, workers=workers), radius, max_pairs)


class Neighbours(NamedTuple):
    """Those of query q are indices[indptr[q] : indptr[q + 1]], nearest first, lower index first among equals."""

    indptr: npt.NDArray[np.int64]  # [queries + 1]
    indices: npt.NDArray[np.int64]  # [found], rows of the set searched
    distance: npt.NDArray[np.int32]  # [found], bits


class HashIndex(NamedTuple):
    """Hashes laid out for the scan; what `stored` makes."""

    blocks: Words
    n: int
    bits: int


def index_hashes(packed: Packed) -> HashIndex:
    """The hashes as `neighbours` wants them, once for many calls: worth it where queries come a few at a time."""
    return HashIndex(to_blocks(to_words(check_hashes(packed))), len(packed), 8 * packed.shape[1])


def neighbours(
    queries: Packed,
    packed: Packed | HashIndex | None = None,
    *,
    k: int | None = None,
    radius: int | None = None,
    workers: int | None = None,
) -> Neighbours:
    """The k nearest, or all within the radius, or the k nearest within it, of each query among `packed`.

    Without `packed` the queries are searched among themselves, each without itself. Fewer than k are returned where
    there are fewer. Raises ValueError where neither k nor radius is given or hashes differ in length.

    >>> found = neighbours(np.array([[7]], np.uint8), np.array([[0], [255], [1], [3]], np.uint8), k=2)
    >>> found.indices.tolist(), found.distance.tolist()
    ([3, 2], [1, 2])
    """
    bits = 8 * check_hashes(queries, "queries").shape[1]
    if k is None and radius is None:
        raise ValueError(
            "give k, the number of neighbours, or radius, the largest distance in bits, or both"
        )
    rows = to_words(queries)
    held = (
        packed
        if isinstance(packed, HashIndex)
        else index_hashes(queries if packed is None else packed)
    )
    if held.bits != bits:
        raise ValueError(f"queries have {bits} bits and packed has {held.bits}")
    radius = bits if radius is None else check_radius(radius, bits)
    wanted = max(1, held.n)
    most, width = wanted if k is None else min(wanted, operator.index(k)), (0,) * rows.shape[1]
    if most < 1:
        raise ValueError(f"k must be at least 1; got {k}")

    def search(low: int, high: int) -> tuple[Any, Any, Any]:
        space = hamming.BLOCK + min(wanted, 2 * most + 64)
        best, kept = np.empty((high - low, space), np.int64), np.zeros(high - low, np.int64)
        first = low if packed is None else -1
        hamming.find_nearest(
            rows[low:high], first, held.blocks, held.n, most, radius, width, best, kept
        )
        found = best[np.arange(space) < kept[:, None]]
        return kept, found & 0xFFFFFFFF, (found >> 32).astype(np.int32)

    size = max(16, min(STRIP, CAPACITY // (wanted + hamming.BLOCK)))
    parts = list(in_threads(search, _strips(len(rows), size), workers)) or [search(0, 0)]
    kept, index, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Neighbours(np.concatenate([[0], np.cumsum(kept)]), index, distance)


def distance_histogram(packed: Packed, *, workers: int | None = None) -> npt.NDArray[np.int64]:
    """Pairs of a set at every distance in bits: int64[bits + 1]. TypeError or ValueError where hashes are wrong."""
    bits, rows = 8 * check_hashes(packed).shape[1], to_words(packed)
    blocks, width = to_blocks(rows), (0,) * rows.shape[1]

    def count(low: int, high: int) -> npt.NDArray[np.int64]:
        counts = np.zeros(bits + 1, np.int64)
        hamming.count_distances(rows, low, high, blocks, width, counts)
        return counts

    return sum(
        in_threads(count, _strips(len(rows), STRIP), workers), start=np.zeros(bits + 1, np.int64)
    )
