"""How fast the exact engine compares hashes: by bits, by rows, next to FAISS, for one core.

The hashes are random, since a scan of unrelated hashes takes the same time whatever they are. Each
piece of work is run in turn with the others, and the fastest of its runs counts: a busy machine
makes runs slower and never faster.
"""

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from finlib.matching.packed import Packed
from finlib.matching.pairs import distance_histogram, index_hashes, neighbours, pairs_within
from workbook.study import faiss_indexes, timing

NEAREST = 5  # neighbours of a single query
FAMILY_SIZE = 250  # hashes of a family where much is found
WITHOUT_AVX512 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
"""Variables that make numba compile for a processor without AVX-512."""


class Work(NamedTuple):
    """A piece of work to be timed."""

    call: Callable[[], Any]
    items: int  # pairs compared, pairs found or queries
    unit: str


def measure(n: int = 30_000, queries: int = 500, repeats: int = 15) -> pd.DataFrame:
    """Measure the rates with all instructions of this processor, and without AVX-512.

    n: hashes that are compared with each other, or searched by single queries. The second run is
    left out where the processor is no x86-64, and FAISS in the second run, since it ignores numba's
    settings. Columns: instructions, work, unit, items, seconds (of the fastest run) and per_second.
    """
    rates = timing.in_fresh_process(measure_here, n, queries, repeats, True)
    parts = [rates.assign(instructions="all")]
    if platform.machine() in ("x86_64", "AMD64"):
        reduced = timing.in_fresh_process(
            measure_here, n, queries, repeats, False, environment=WITHOUT_AVX512
        )
        parts.append(reduced.assign(instructions="without AVX-512"))
    return pd.concat(parts, ignore_index=True)


def measure_here(n: int, queries: int, repeats: int, with_faiss: bool) -> pd.DataFrame:
    """Measure the rates in this process. Arguments and columns as for `measure`."""
    packed = np.random.default_rng(2026).integers(0, 256, (n, 32), dtype=np.uint8)
    work = scans(packed) | single_queries(packed, queries)
    if with_faiss:
        work |= faiss_work(packed, queries)
    calls = {name: part.call for name, part in work.items()}
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    rows = []
    for name, seconds in timings.groupby("name", sort=False)["seconds"].min().items():
        part = work[str(name)]
        rate = part.items / seconds
        rows.append((name, part.unit, part.items, seconds, rate))
    return pd.DataFrame(rows, columns=["work", "unit", "items", "seconds", "per_second"])


def scans(packed: Packed) -> dict[str, Work]:
    """Comparing every pair of a set, by both distances."""
    pairs = len(packed) * (len(packed) - 1) // 2
    work = {}
    for distance, radius in [("hamming", 48), ("hamming", 70), ("rows", 33), ("rows", 36)]:
        name = f"pairs, {distance}, radius {radius}"
        work[name] = Work(_pairs(packed, radius, distance), pairs, "pairs compared")
    for distance in ("hamming", "rows"):
        name = f"histogram, {distance}"
        work[name] = Work(_histogram(packed, distance), pairs, "pairs compared")
    related = draw_families(len(packed) // 4)
    for distance, radius in [("hamming", 85), ("rows", 44)]:
        name = f"many pairs, {distance}"
        call = _pairs(related, radius, distance)
        work[name] = Work(call, len(call().i), "pairs found")
    return work


def draw_families(n: int) -> Packed:
    """Draw n hashes of families of about FAMILY_SIZE, with a tenth of their bits changed."""
    rng = np.random.default_rng(7)
    originals = rng.integers(0, 256, (max(1, n // FAMILY_SIZE), 32), dtype=np.uint8)
    family = rng.integers(0, len(originals), n)
    changes = np.packbits(rng.random((n, 256)) < 0.1, axis=1)
    return np.asarray(originals[family] ^ changes)


def single_queries(packed: Packed, queries: int) -> dict[str, Work]:
    """Searching a set for the nearest hashes of one query after the other."""
    work = {}
    for distance in ("hamming", "rows"):
        work[f"single queries, {distance}"] = Work(
            _single_queries(packed, queries, distance), queries, "queries"
        )
    return work


def faiss_work(packed: Packed, queries: int) -> dict[str, Work]:
    """The same work by FAISS's flat index; AssertionError where it finds other pairs."""
    pairs = len(packed) * (len(packed) - 1) // 2
    join = faiss_indexes.faiss_pairs(packed, 70)
    found = faiss_indexes.as_pairs(join())
    assert timing.equal(found, pairs_within(packed, 70)), "FAISS finds other pairs"
    search = faiss_indexes.flat_nearest(packed, NEAREST)

    def one_by_one() -> None:
        for q in range(queries):
            search(packed[q : q + 1])

    return {
        "pairs, FAISS flat, radius 70": Work(join, pairs, "pairs compared"),
        "single queries, FAISS flat": Work(one_by_one, queries, "queries"),
    }


def _pairs(packed: Packed, radius: int, distance: str) -> Callable[[], Any]:
    return lambda: pairs_within(packed, radius, distance=distance, workers=1)


def _histogram(packed: Packed, distance: str) -> Callable[[], Any]:
    return lambda: distance_histogram(packed, distance=distance, workers=1)


def _single_queries(packed: Packed, queries: int, distance: str) -> Callable[[], None]:
    index = index_hashes(packed, distance=distance)

    def one_by_one() -> None:
        for q in range(queries):
            neighbours(packed[q : q + 1], index, k=NEAREST, distance=distance, workers=1)

    return one_by_one
