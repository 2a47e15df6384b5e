"""Measure look-ups in service: how many a second, how soon, and how much is found.

Stored hashes and queries are drawn by `captioned_web`. Queries are images that are not stored, six
in ten of which have no near image, as on the web. The look-ups are those of `row_index`, and for
comparison those of the exact engine. All run on one core.

Memory is bounded by the hashes, the index and a part of the hashes laid out for the exact engine.
Among more than MOST_LAID_OUT the exact engine only answers the sample, part by part, and is not
timed.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from finlib.matching.packed import Packed, iter_strips
from finlib.matching.pairs import Neighbours, index_hashes, neighbours
from finlib.matching.row_index import index_rows
from finlib.matching.rows import row_distances
from workbook.study import captioned_web

MOST = 128  # answers to a query, the nearest: some families have thousands of images
BATCHES = (1, 100, 10_000)  # queries of a call
QUERIES = 10_000
SAMPLE = 500  # queries whose answers are compared with those of the exact engine
SECONDS = 5.0  # after which no other call of the same batch begins
MOST_SECONDS = 120.0  # that a call may be expected to take
MOST_LAID_OUT = 20_000_000  # hashes laid out at once for the exact engine, 40 bytes each
MIB = 1 << 20
COLUMNS = [
    "n",
    "way",
    "radius",
    "batch",
    "calls",
    "lookups_per_s",
    "p50_us",
    "p99_us",
    "mib",
    "sample",
    "pairs",
    "recall",
    "answered",
]

LookUp = Callable[[Packed], Neighbours]


@dataclass(frozen=True)
class Way:
    """A way to look hashes up that is ready to be measured."""

    name: str
    look_up: LookUp
    mib: float  # of the index, with the hashes where it needs them too


def by_row_keys(stored: Packed, radius: int) -> Way:
    """Look up by row keys, with a table for each row."""
    index = index_rows(stored)

    def look_up(queries: Packed) -> Neighbours:
        return index.neighbours(queries, radius=radius, k=MOST, workers=1)

    return Way("row keys", look_up, index.nbytes / MIB)


def by_comparing_all(stored: Packed, radius: int) -> Way:
    """Look up by comparing each query with all stored hashes, by the exact engine."""
    index = index_hashes(stored, distance="rows")

    def look_up(queries: Packed) -> Neighbours:
        return neighbours(queries, index, k=MOST, radius=radius, distance="rows", workers=1)

    return Way("exact", look_up, index.blocks.nbytes / MIB)


def measure(
    n: int,
    measured: captioned_web.Measured,
    radius: int,
    *,
    batches: Iterable[int] = BATCHES,
    queries: int = QUERIES,
    seed: int = 2026,
) -> pd.DataFrame:
    """Measure look-ups among n stored dHashes by row keys and exactly, on one core.

    measured: of real families, by `captioned_web.measure`. radius: of the row distance. queries:
    how many are drawn; every batch is made up of them.

    Columns n, way, radius, batch (the queries of a call), calls (how many were timed),
    lookups_per_s (queries answered in a second), p50_us and p99_us (microseconds that a call takes,
    at the 50th and 99th percentile), mib (the memory of the index), sample (queries whose answers
    are checked), pairs (the neighbours that they have within the radius, at most MOST for each),
    recall (the share of these that is found) and answered (the share of the queries with a
    neighbour for which one is found). A batch is left out where the one before it shows that a
    single call would take more than MOST_SECONDS, and the exact engine among more than
    MOST_LAID_OUT. RuntimeError where a neighbour is wrong.
    """
    packed = captioned_web.draw(n + queries, measured, seed=seed)[0]
    stored = packed[:n]
    asked = packed[n:]
    sample = asked[:SAMPLE]
    exact = find_exactly(sample, stored, radius)
    make_ways = [by_comparing_all, by_row_keys]
    if n > MOST_LAID_OUT:
        make_ways.remove(by_comparing_all)
    tables = []
    for make_way in make_ways:
        way = make_way(stored, radius)
        found = way.look_up(sample)
        check(found, sample, stored, radius)
        table = _time_batches(way, asked, batches).assign(
            n=n,
            way=way.name,
            radius=radius,
            mib=way.mib,
            sample=len(sample),
            pairs=len(exact.indices),
            recall=share_found(found, exact),
            answered=share_answered(found, exact),
        )
        tables.append(table)
        del way  # frees its index before the next one is made
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def find_exactly(asked: Packed, stored: Packed, radius: int) -> Neighbours:
    """Find the MOST nearest hashes within the radius of each query, part by part."""
    collected = []
    for low, high in iter_strips(len(stored), MOST_LAID_OUT):
        part = index_hashes(stored[low:high], distance="rows")
        found = neighbours(asked, part, k=MOST, radius=radius, distance="rows")
        collected.append((_queries_of(found), low + found.indices, found.distance))
    query, row, distance = map(np.concatenate, zip(*collected, strict=True))
    order = np.lexsort((row, distance, query))
    starts = np.searchsorted(query[order], np.arange(len(asked) + 1))
    place = np.arange(len(order)) - starts[query[order]]
    nearest = order[place < MOST]
    indptr = np.searchsorted(query[nearest], np.arange(len(asked) + 1))
    return Neighbours(indptr, row[nearest], distance[nearest])


def _time_batches(way: Way, asked: Packed, batches: Iterable[int]) -> pd.DataFrame:
    """Time a way with batches of each size."""
    rows = []
    seconds_per_query = 0.0
    for batch in batches:
        if batch * seconds_per_query > MOST_SECONDS:
            continue
        seconds = _time_calls(way.look_up, asked, batch)
        seconds_per_query = seconds.mean() / batch
        p50, p99 = np.quantile(seconds, [0.5, 0.99])
        row = {
            "batch": batch,
            "calls": len(seconds),
            "lookups_per_s": 1 / seconds_per_query,
            "p50_us": 1e6 * p50,
            "p99_us": 1e6 * p99,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _time_calls(look_up: LookUp, asked: Packed, batch: int) -> npt.NDArray[np.float64]:
    """The seconds of calls with `batch` queries each, after a call that is not timed.

    No query is asked twice, since the second time its answer lies in the cache. Calls end when they
    took SECONDS or when too few queries are left.
    """
    if batch > len(asked):
        raise ValueError(f"a batch of {batch:,} needs as many queries; got {len(asked):,}")
    look_up(asked[-1:])
    seconds: list[float] = []
    total = 0.0
    for low in range(0, len(asked) - batch + 1, batch):
        queries = asked[low : low + batch]
        start = perf_counter()
        look_up(queries)
        seconds.append(perf_counter() - start)
        total += seconds[-1]
        if total > SECONDS:
            break
    return np.array(seconds)


def check(found: Neighbours, asked: Packed, stored: Packed, radius: int) -> None:
    """RuntimeError where neighbours are not at their distances, within the radius, and distinct."""
    query = _queries_of(found)
    distance = row_distances(asked[query], stored[found.indices])
    pairs = set(zip(query.tolist(), found.indices.tolist(), strict=True))
    is_right = (distance == found.distance) & (distance <= radius)
    if not is_right.all() or len(pairs) < len(query):
        raise RuntimeError("a look-up found hashes that are not near the query: nothing was timed")


def share_found(found: Neighbours, exact: Neighbours) -> float:
    """The share of the exact neighbours that was found, by distance; 1 where there are none.

    Both may be limited to the nearest. Where several are equally far, any of them will do: the
    neighbours of a query are counted at each distance.
    """
    found_counts = Counter(zip(_queries_of(found).tolist(), found.distance.tolist(), strict=True))
    exact_counts = Counter(zip(_queries_of(exact).tolist(), exact.distance.tolist(), strict=True))
    if not exact_counts:
        return 1.0
    return (found_counts & exact_counts).total() / exact_counts.total()


def share_answered(found: Neighbours, exact: Neighbours) -> float:
    """The share of the queries with an exact neighbour for which some is found; 1 without any."""
    has_neighbour = np.diff(exact.indptr) > 0
    if not has_neighbour.any():
        return 1.0
    is_answered = np.diff(found.indptr) > 0
    return float(is_answered[has_neighbour].mean())


def _queries_of(found: Neighbours) -> npt.NDArray[np.int64]:
    """The query of each neighbour."""
    return np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
