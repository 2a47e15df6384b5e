"""Compare FAISS's indexes for binary vectors with the exact scan: recall, latency, size.

An index answers one question here: which stored hashes, at most MOST of the nearest, are within a
radius of a query? faiss-cpu is in the dependency group `workbook` and is imported when it is
needed.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from finlib import needs_extra
from finlib.matching.pairs import Pairs, index_hashes, neighbours

MOST = 128  # answers to a query
ROUNDS = 3  # of all queries; the indexes take turns, so that a slow spell affects all alike
PIECE = 16  # bits of a piece in multi-index hashing
FLIPS = 2  # in a piece, at most: with 3, more values would be looked up than there are hashes

Packed = npt.NDArray[np.uint8]
Search = Callable[[Packed], npt.NDArray[np.int64]]


class Index(NamedTuple):
    """An index that is ready to be searched."""

    search: Search  # the rows near a query uint8[1, bits // 8]
    size: int  # in bytes


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise needs_extra("an index of FAISS", "workbook") from None
    return faiss


def scan(packed: Packed, radius: int) -> Index:
    """Build the index of finlib's exact scan, which stores the hashes and nothing else."""
    stored = index_hashes(packed)

    def search(query: Packed) -> npt.NDArray[np.int64]:
        return neighbours(
            query,
            stored,
            k=MOST,
            radius=radius,
            workers=1,
        ).indices

    return Index(search, stored.blocks.nbytes)


def flat(packed: Packed, radius: int) -> Index:
    """Build IndexBinaryFlat, which computes every distance."""
    index = _faiss().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return Index(_search_range(index, radius), _size(index))


def multi_hash(packed: Packed, radius: int) -> Index:
    """Build IndexBinaryMultiHash: a table for each piece of the hash.

    A search looks up all values that differ from the query's piece in at most FLIPS bits.
    """
    bits = 8 * packed.shape[1]
    index = _faiss().IndexBinaryMultiHash(bits, bits // PIECE, PIECE)
    index.nflip = min(FLIPS, radius * PIECE // bits)
    index.add(packed)
    return Index(_search_range(index, radius), _size(index))


def hnsw(packed: Packed, radius: int) -> Index:
    """Build IndexBinaryHNSW: a graph of near hashes, along which a search walks to the query."""
    index = _faiss().IndexBinaryHNSW(8 * packed.shape[1], 32)
    index.hnsw.efConstruction = 80
    index.hnsw.efSearch = 2 * MOST
    index.add(packed)
    return Index(_search_nearest(index, radius), _size(index))


def ivf(packed: Packed, radius: int) -> Index:
    """Build IndexBinaryIVF: a list of hashes for each of sqrt(n) centres.

    A hash is in the list of its nearest centre. A search reads the lists of the eighth of the
    centres that are nearest to the query.
    """
    faiss = _faiss()
    bits = 8 * packed.shape[1]
    lists = max(1, math.isqrt(len(packed)))
    centres = faiss.IndexBinaryFlat(bits)
    index = faiss.IndexBinaryIVF(centres, bits, lists)
    index.nprobe = max(1, lists // 8)
    index.cp.min_points_per_centroid = 1
    index.train(packed)
    index.add(packed)
    search_lists = _search_nearest(index, radius)

    def search(query: Packed, centres: Any = centres) -> npt.NDArray[np.int64]:
        """`centres` lives as long as the search, since FAISS does not own it."""
        return search_lists(query)

    return Index(search, _size(index))


def _search_nearest(index: Any, radius: int) -> Search:
    """A search for the nearest hashes, MOST of them, that returns those within the radius."""

    def search(query: Packed) -> npt.NDArray[np.int64]:
        distance, row = index.search(query, MOST)
        return row[(row >= 0) & (distance <= radius)]

    return search


def _search_range(index: Any, radius: int) -> Search:
    """A search for all hashes within the radius; FAISS wants the first distance over it."""

    def search(query: Packed) -> npt.NDArray[np.int64]:
        _, _, row = index.range_search(query, radius + 1)
        return row

    return search


def _size(index: Any) -> int:
    """Bytes of an index."""
    return int(_faiss().serialize_index_binary(index).nbytes)


INDEXES: dict[str, Callable[[Packed, int], Index]] = {
    "exact scan": scan,
    "FAISS flat": flat,
    "FAISS multi-hash": multi_hash,
    "FAISS HNSW": hnsw,
    "FAISS IVF": ivf,
}


def compare(
    packed: Packed, queries: Packed, radius: int, names: Iterable[str] = INDEXES
) -> pd.DataFrame:
    """Build each index on `packed` and ask it for each query: one thread, one query at a time.

    Columns: index, n, radius, recall (of the exact scan's answers), p50_ms, p95_ms, p99_ms, build_s
    and mib.
    """
    indexes = {}
    build_s = {}
    for name in names:
        start = perf_counter()
        indexes[name] = INDEXES[name](packed, radius)
        build_s[name] = perf_counter() - start
        indexes[name].search(queries[:1])
    answers = _exact_answers(packed, queries, radius)
    found, seconds = _ask(indexes, queries, answers)
    expected = ROUNDS * sum(map(len, answers))
    rows = []
    for name, index in indexes.items():
        p50, p95, p99 = np.quantile(seconds[name], [0.5, 0.95, 0.99]) * 1e3
        row = {
            "index": name,
            "n": len(packed),
            "radius": radius,
            "recall": found[name] / expected if expected else 1.0,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "build_s": build_s[name],
            "mib": index.size / 2**20,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _exact_answers(packed: Packed, queries: Packed, radius: int) -> list[set[int]]:
    """The rows that the exact scan finds for each query."""
    search = scan(packed, radius).search
    return [set(search(query[None]).tolist()) for query in queries]


def _ask(
    indexes: Mapping[str, Index], queries: Packed, answers: list[set[int]]
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """How many of the answers each index finds in all rounds, and the seconds of every query."""
    found = dict.fromkeys(indexes, 0)
    seconds: dict[str, list[float]] = {name: [] for name in indexes}
    for _ in range(ROUNDS):
        for name, index in indexes.items():
            for query, answer in zip(queries, answers, strict=True):
                start = perf_counter()
                rows = index.search(query[None])
                seconds[name].append(perf_counter() - start)
                found[name] += len(answer.intersection(rows.tolist()))
    return found, seconds


def pruning(
    packed: Packed, queries: Packed, radii: Iterable[int], piece: int = PIECE
) -> pd.DataFrame:
    """Count what exact multi-index hashing has to do at each radius.

    Hashes are cut into m pieces. Two hashes at most r bits apart differ in at most r // m bits in
    one piece at least (the pigeonhole principle; Norouzi et al., 2012). piece: the bits of a piece,
    8, 16, 32 or 64.

    Columns: radius, flips (r // m), probes (values looked up for one query, in all pieces) and
    candidates (the share of the hashes that some probe finds, and that must still be compared).
    """
    bits = 8 * packed.shape[1]
    if piece not in (8, 16, 32, 64) or bits % piece:
        raise ValueError(f"pieces of {piece} bits do not make up hashes of {bits}")
    pieces = bits // piece
    kind = np.dtype(f"u{piece // 8}")
    stored = np.ascontiguousarray(packed).view(kind)
    fewest_flips = []
    for query in np.ascontiguousarray(queries).view(kind):
        flips = np.bitwise_count(stored ^ query)
        fewest_flips.append(flips.min(axis=1))
    rows = []
    for radius in radii:
        allowed = radius // pieces
        values = sum(math.comb(piece, count) for count in range(min(allowed, piece) + 1))
        candidates = float((np.concatenate(fewest_flips) <= allowed).mean())
        rows.append((radius, allowed, pieces * values, candidates))
    return pd.DataFrame(rows, columns=["radius", "flips", "probes", "candidates"])


def faiss_pairs(packed: Packed, radius: int) -> Callable[[], Any]:
    """Prepare FAISS's flat self-join to be timed.

    It finds each pair from both ends, and each hash as a match of itself.
    """
    index = _faiss().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return lambda: index.range_search(packed, radius + 1)


def flat_nearest(packed: Packed, k: int) -> Callable[[Packed], Any]:
    """Prepare FAISS's flat index to be searched for the k nearest hashes of queries."""
    index = _faiss().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return lambda queries: index.search(queries, k)


def as_pairs(result: Any) -> Pairs:
    """Turn the result of `faiss_pairs` into the pairs i < j, in the order of `pairs_within`."""
    limits, distance, j = result
    count = np.diff(limits.astype(np.int64))
    i = np.repeat(np.arange(len(count)), count)
    order = np.lexsort((j, i))
    order = order[i[order] < j[order]]
    return Pairs(i[order], j[order], distance[order].astype(np.int32))
