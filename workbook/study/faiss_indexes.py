"""FAISS's indexes for binary vectors beside the exact scan: recall, latency, building time, size.

An index answers one question here: which stored hashes, at most `MOST` of the nearest, are within a radius of a
query? faiss-cpu comes with the extra `workbook` and is imported when it is needed.
"""

import math
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from finlib import needs_extra
from finlib.matching.pairs import Pairs, index_hashes, neighbours

MOST = 128
ROUNDS = 3  # of all queries, the indexes taking turns, so that a slow spell of the machine meets all alike
Packed = npt.NDArray[np.uint8]
Search = Callable[[Packed], npt.NDArray[np.int64]]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise needs_extra("an index of FAISS", "workbook") from None
    return faiss


def scan(packed: Packed, radius: int) -> tuple[Search, int]:
    """The exact scan of `matching`, which needs the hashes and nothing else."""
    held = index_hashes(packed)
    return (
        lambda query: neighbours(query, held, k=MOST, radius=radius, workers=1).indices,
        held.blocks.nbytes,
    )


def _nearest(index: Any, radius: int) -> Search:
    """The `MOST` nearest that an index finds, cut at the radius."""

    def search(query: Packed) -> npt.NDArray[np.int64]:
        distance, found = index.search(query, MOST)
        return found[(found >= 0) & (distance <= radius)]

    return search


def flat(packed: Packed, radius: int) -> tuple[Search, int]:
    """IndexBinaryFlat: every distance, by FAISS. `range_search` wants the first distance that is too large."""
    index = _faiss().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return lambda query: index.range_search(query, radius + 1)[2], _size(index)


def multi_hash(packed: Packed, radius: int) -> tuple[Search, int]:
    """IndexBinaryMultiHash: a table for each 16 bits, looked up under every value within FLIPS flips."""
    faiss, bits = _faiss(), 8 * packed.shape[1]
    index = faiss.IndexBinaryMultiHash(bits, bits // PIECE, PIECE)
    index.nflip = min(FLIPS, radius * PIECE // bits)
    index.add(packed)
    return lambda query: index.range_search(query, radius + 1)[2], _size(index)


def hnsw(packed: Packed, radius: int) -> tuple[Search, int]:
    """IndexBinaryHNSW: a graph of near hashes, walked towards the query."""
    index = _faiss().IndexBinaryHNSW(8 * packed.shape[1], 32)
    index.hnsw.efConstruction, index.hnsw.efSearch = 80, 2 * MOST
    index.add(packed)
    return _nearest(index, radius), _size(index)


def ivf(packed: Packed, radius: int) -> tuple[Search, int]:
    """IndexBinaryIVF: hashes listed under the nearest of sqrt(n) centres; an eighth of the lists is searched."""
    faiss, bits = _faiss(), 8 * packed.shape[1]
    lists = max(1, math.isqrt(len(packed)))
    centres = faiss.IndexBinaryFlat(bits)
    index = faiss.IndexBinaryIVF(centres, bits, lists)
    index.nprobe, index.cp.min_points_per_centroid = max(1, lists // 8), 1
    index.train(packed)
    index.add(packed)
    search = _nearest(index, radius)
    return lambda query, keep=(centres, index): search(query), _size(index)


def _size(index: Any) -> int:
    return int(_faiss().serialize_index_binary(index).nbytes)


PIECE, FLIPS = 16, 2  # more flips than two look up more values than there are hashes
INDEXES: dict[str, Callable[[Packed, int], tuple[Search, int]]] = {
    "exact scan": scan,
    "FAISS flat": flat,
    "FAISS multi-hash": multi_hash,
    "FAISS HNSW": hnsw,
    "FAISS IVF": ivf,
}


def compare(
    packed: Packed, queries: Packed, radius: int, names: Iterable[str] = INDEXES
) -> pd.DataFrame:
    """Each index built on `packed` and asked for each query alone: one thread, one query at a time.

    Columns: index, n, radius, recall (of the exact scan's answers), p50_ms, p95_ms, p99_ms, build_s, mib.
    """
    exact = scan(packed, radius)[0]
    truth = [set(exact(query[None]).tolist()) for query in queries]
    wanted = sum(map(len, truth))
    built: dict[str, tuple[Search, int, float]] = {}
    for name in names:
        start = perf_counter()
        search, size = INDEXES[name](packed, radius)
        built[name] = search, size, perf_counter() - start
        search(queries[:1])
    seconds: dict[str, list[float]] = {name: [] for name in built}
    found = dict.fromkeys(built, 0)
    for _ in range(ROUNDS):
        for name, (search, _, _) in built.items():
            for query, answer in zip(queries, truth, strict=True):
                start = perf_counter()
                result = search(query[None])
                seconds[name].append(perf_counter() - start)
                found[name] += len(answer.intersection(result.tolist()))
    rows: list[dict[str, Any]] = []
    for name, (_, size, building) in built.items():
        p50, p95, p99 = np.quantile(seconds[name], [0.5, 0.95, 0.99]) * 1e3
        recall = found[name] / (ROUNDS * wanted) if wanted else 1.0
        row = {"index": name, "n": len(packed), "radius": radius, "recall": recall}
        rows.append(
            {
                **row,
                "p50_ms": p50,
                "p95_ms": p95,
                "p99_ms": p99,
                "build_s": building,
                "mib": size / 2**20,
            }
        )
    return pd.DataFrame(rows)


def pruning(
    packed: Packed, queries: Packed, radii: Iterable[int], piece: int = PIECE
) -> pd.DataFrame:
    """What exact multi-index hashing has to do at each radius, with pieces of 8, 16, 32 or 64 bits.

    A hash within r bits agrees in one of m pieces up to r // m flips (the pigeonhole principle; Norouzi et al.,
    2012). Columns: radius, flips, probes (values looked up for one query, in all pieces) and candidates (share of
    the hashes that some probe finds, and that must be compared after all).
    """
    if piece not in (8, 16, 32, 64) or packed.shape[1] * 8 % piece:
        raise ValueError(f"pieces of {piece} bits do not make up hashes of {packed.shape[1] * 8}")
    kind = np.dtype(f"u{piece // 8}")
    stored, pieces = np.ascontiguousarray(packed).view(kind), packed.shape[1] * 8 // piece
    nearest = np.concatenate(
        [np.bitwise_count(stored ^ q).min(axis=1) for q in queries.copy().view(kind)]
    )
    rows = []
    for radius in radii:
        flips = radius // pieces
        probes = pieces * sum(math.comb(piece, k) for k in range(min(flips, piece) + 1))
        rows.append((radius, flips, probes, float((nearest <= flips).mean())))
    return pd.DataFrame(rows, columns=["radius", "flips", "probes", "candidates"])


def faiss_pairs(packed: Packed, radius: int) -> Callable[[], Any]:
    """FAISS's flat self-join, ready to be timed: it finds each pair from both ends, and each hash itself."""
    index = _faiss().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return lambda: index.range_search(packed, radius + 1)


def as_pairs(result: Any) -> Pairs:
    """What `faiss_pairs` gave, as the pairs i < j of `matching.pairs_within` in its order."""
    limits, distance, j = result
    i = np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
    order = np.lexsort((j, i))
    order = order[i[order] < j[order]]
    return Pairs(i[order], j[order], distance[order].astype(np.int32))
