"""What a GPU adds: hashes of a batch, and exact scans by either distance.

The scans are popcount kernels in numba's CUDA dialect. Each thread compares one stored hash with
all queries and appends the pairs within the radius to a list. Without a GPU, numba's simulator runs
the same kernels slowly (NUMBA_ENABLE_CUDASIM=1), which is how they are tested. The batch is that of
`vectorised.find_batch`, on arrays of CuPy.

`python -m workbook gpu` measures all of it on a machine with an NVIDIA GPU, after

    pip install 'numba-cuda[cu13]' cupy-cuda13x

It has not been run yet: nothing is claimed for a GPU before figures/gpu.json exists.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import cuda
from numpy.typing import NDArray

from finlib.hashing import find
from finlib.matching.pairs import pairs_between
from finlib.matching.rows import CAP, ROW_BITS
from workbook.study import timing, vectorised

Packed = NDArray[np.uint8]
Words = NDArray[np.uint64]

SIZES = (1_000_000, 10_000_000, 100_000_000)
QUERIES = 1000
RADII: dict[str, int] = {"hamming": 64, "rows": 32}
CHECKED = 100_000
"""Stored hashes whose pairs are compared with those of finlib's own scan."""

BATCH = 1024
SIDE = 250
"""Pixels: the pictures of the batch are SIDE x SIDE."""

THREADS = 256
MOST_PAIRS = 1 << 20

FULL_ROW = np.uint64((1 << ROW_BITS) - 1)
ROW_SHIFT = np.uint64(ROW_BITS)
ROWS_PER_WORD = 64 // ROW_BITS
NO_BITS = np.uint64(0)


class DevicePairs(NamedTuple):
    """Where a scan leaves its pairs on the device.

    places: int64[MOST_PAIRS, 2], query and stored hash. count: int64[1], how many pairs there are;
    pairs beyond MOST_PAIRS are counted and not listed.
    """

    places: Any
    count: Any


# The kernels --------------------------------------------------------------------------------------


@cuda.jit(device=True)
def list_pair(q, k, places, count):  # type: ignore[no-untyped-def]
    """Count a pair of a query and a stored hash, and list it while there is a place left."""
    place = cuda.atomic.add(count, 0, 1)
    if place < places.shape[0]:
        places[place, 0] = q
        places[place, 1] = k


@cuda.jit
def scan_bits(queries, stored, radius, places, count):  # type: ignore[no-untyped-def]
    """List the pairs of queries and stored hashes, uint64[n, words], by Hamming distance."""
    k = cuda.grid(1)
    if k >= stored.shape[0]:
        return
    for q in range(queries.shape[0]):
        distance = 0
        for w in range(stored.shape[1]):
            distance += cuda.popc(queries[q, w] ^ stored[k, w])
        if distance <= radius:
            list_pair(q, k, places, count)


@cuda.jit(device=True)
def row_cost(x, y):  # type: ignore[no-untyped-def]
    """What two rows of 16 bits add to the row distance."""
    if x in (NO_BITS, FULL_ROW) or y in (NO_BITS, FULL_ROW):
        return CAP
    return min(CAP, cuda.popc(x ^ y))


@cuda.jit
def scan_rows(queries, stored, radius, places, count):  # type: ignore[no-untyped-def]
    """List the pairs of queries and stored dHashes, uint64[n, 4], by row distance."""
    k = cuda.grid(1)
    if k >= stored.shape[0]:
        return
    for q in range(queries.shape[0]):
        distance = 0
        for w in range(stored.shape[1]):
            x = queries[q, w]
            y = stored[k, w]
            for _ in range(ROWS_PER_WORD):
                distance += row_cost(x & FULL_ROW, y & FULL_ROW)
                x >>= ROW_SHIFT
                y >>= ROW_SHIFT
        if distance <= radius:
            list_pair(q, k, places, count)


KERNELS: dict[str, Any] = {"hamming": scan_bits, "rows": scan_rows}


# Scans --------------------------------------------------------------------------------------------


def scan(
    queries: Any,
    stored: Any,
    distance: str,
    radius: int,
) -> NDArray[np.int64]:
    """The pairs of queries and stored hashes within the radius, int64[pairs, 2], in order.

    queries, stored: uint64[n, words], on the device or on the host; what is on the host is
        transferred first.

    Raises ValueError if there are more than MOST_PAIRS pairs.
    """
    on_device = DevicePairs(
        cuda.device_array((MOST_PAIRS, 2), np.int64),
        cuda.to_device(np.zeros(1, np.int64)),
    )
    blocks = (stored.shape[0] + THREADS - 1) // THREADS
    compare = KERNELS[distance][blocks, THREADS]
    compare(
        cuda.to_device(queries),
        cuda.to_device(stored),
        radius,
        on_device.places,
        on_device.count,
    )
    count = int(on_device.count.copy_to_host()[0])
    if count > MOST_PAIRS:
        raise ValueError(
            f"there are {count:,} pairs within {radius}, and at most {MOST_PAIRS:,} are listed: "
            "give a smaller radius"
        )
    places = on_device.places[:count].copy_to_host()
    return np.unique(places, axis=0)


def random_words(hashes: int, seed: int) -> Words:
    """Random hashes of 256 bits, uint64[hashes, 4]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**64, (hashes, 4), dtype=np.uint64)


def with_near_queries(stored: Words, queries: int, seed: int) -> Words:
    """Queries that each differ from one of the stored hashes in three bits of every word."""
    rng = np.random.default_rng(seed)
    candidates = min(len(stored), CHECKED)
    chosen = stored[rng.integers(0, candidates, queries)]
    places = rng.integers(0, 64, (3, *chosen.shape), dtype=np.uint64)
    bits = np.uint64(1) << places
    flips = np.bitwise_or.reduce(bits, axis=0)
    return chosen ^ flips


def require_same_pairs(
    found: NDArray[np.int64],
    queries: Words,
    stored: Words,
    distance: str,
    radius: int,
) -> None:
    """AssertionError unless finlib finds the same pairs among the first CHECKED stored hashes."""
    pairs = pairs_between(
        queries.view(np.uint8),
        stored[:CHECKED].view(np.uint8),
        radius,
        distance=distance,
    )
    expected = np.stack([pairs.i, pairs.j], axis=1)
    among_few = found[found[:, 1] < CHECKED]
    assert np.array_equal(among_few, expected), f"the GPU finds other pairs by {distance}"
    assert len(expected) > 0, f"no pairs within {radius} by {distance}: nothing was compared"


def time_scans(
    sizes: Sequence[int] = SIZES,
    queries: int = QUERIES,
    repeats: int = 5,
) -> pd.DataFrame:
    """Time scans on the device, with and without the transfer of the stored hashes.

    The pairs are compared between the repeats, and with finlib's among the first CHECKED hashes.

    Returns the columns distance, hashes, queries, name (with or without transfer), repeat and
    seconds.
    """
    tables = []
    for hashes in sizes:
        stored = random_words(hashes, seed=1)
        near = with_near_queries(stored, queries, seed=2)
        on_device = cuda.to_device(stored)
        for distance, radius in RADII.items():
            found = scan(near, on_device, distance, radius)
            require_same_pairs(found, near, stored, distance, radius)
            calls = {
                "with transfer": partial(scan, near, stored, distance, radius),
                "without transfer": partial(scan, near, on_device, distance, radius),
            }
            timings = timing.time_side_by_side(calls, repeats=repeats)
            timings["distance"] = distance
            timings["hashes"] = hashes
            timings["queries"] = queries
            tables.append(timings)
    return pd.concat(tables, ignore_index=True)


# The batch ----------------------------------------------------------------------------------------


def time_batch(
    xp: Any,
    images: int = BATCH,
    repeats: int = 5,
) -> pd.DataFrame:
    """Time FINd of a batch on the arrays of a library, and with finlib's kernels on one core.

    The hashes are compared.

    xp: the array library, such as cupy.

    Returns the columns name (with transfer, without transfer, one core), repeat and seconds.
    """
    rng = np.random.default_rng(3)
    batch = rng.integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    on_device = xp.asarray(batch)

    def hash_on_device(pictures: Any) -> Packed:
        return vectorised.to_host(vectorised.find_batch(pictures))

    def hash_on_one_core() -> Packed:
        return np.stack([find.find_pixels(rgb) for rgb in batch])

    calls: dict[str, timing.Call] = {
        "with transfer": lambda: hash_on_device(xp.asarray(batch)),
        "without transfer": lambda: hash_on_device(on_device),
        "one core": hash_on_one_core,
    }
    with timing.one_thread():
        return timing.time_side_by_side(calls, repeats=repeats)
