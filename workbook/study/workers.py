"""What many workers do with many hashes, played through or worked out from rates measured on one machine."""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from finlib.matching.pairs import Packed, Pairs
from finlib.matching.self_join import iter_self_join


@dataclass(frozen=True)
class Join:
    """What `simulate_join` found: wall seconds, share of the workers' time spent comparing, bytes sent and tiles."""

    seconds: float
    efficiency: float
    bytes_sent: float
    tiles: int


def simulate_join(
    n: int,
    workers: int,
    blocks: int,
    pairs_per_second: float,
    *,
    bytes_per_hash: int = 32,
    bytes_per_second: float = 1e9,
    seconds_per_tile: float = 1e-3,
    slowness: float = 0.1,
    seed: int = 2026,
) -> Join:
    """The self-join of n hashes played through: tiles go to the first worker that is free, in order.

    A worker first receives the blocks that it lacks at `bytes_per_second` and then compares at `pairs_per_second`,
    times a log-normal slowness of that standard deviation; the scheduler hands out one tile every `seconds_per_tile`.
    """
    rng = np.random.default_rng(seed)
    rows = n / blocks
    held: list[set[int]] = [set() for _ in range(workers)]
    free = [(0.0, worker) for worker in range(workers)]
    clock = end = compared = sent = 0.0
    for a in range(blocks):
        for b in range(a, blocks):
            clock += seconds_per_tile
            start, worker = heapq.heappop(free)
            missing = len({a, b} - held[worker]) * rows * bytes_per_hash
            held[worker] |= {a, b}
            work = (rows * (rows - 1) / 2 if a == b else rows * rows) / pairs_per_second
            compared += work
            sent += missing
            stop = (
                max(start, clock) + missing / bytes_per_second + work * rng.lognormal(0, slowness)
            )
            end = max(end, stop)
            heapq.heappush(free, (stop, worker))
    return Join(end, compared / (workers * end), sent, blocks * (blocks + 1) // 2)


@dataclass(frozen=True)
class Plan:
    """What `bucket_join` works out: passes, core and wall hours, bytes sent and held by each machine."""

    passes: int
    core_hours: float
    hours: float
    bytes_sent: float
    bytes_a_machine: float


def bucket_join(
    n: float,
    radius: int,
    seconds_a_hash: float,
    workers: int,
    *,
    recall: float = 0.8,
    bits: int = 256,
    cores_a_machine: int = 16,
    bytes_per_second: float = 1e9,
) -> Plan:
    """The near pairs of n hashes by bit sampling on so many workers, calculated: each machine holds all hashes.

    seconds_a_hash: a pass's time for one hash, measured on the largest set at hand. Hashes go to each machine once;
    back comes a forest, four bytes a hash, from each worker. A pair at the radius meets in a pass with the chance that
    as many random bits agree as leave 300 hashes to a bucket.
    """
    depth = max(0.0, np.log2(n / 300))
    passes = (
        int(np.ceil(np.log1p(-recall) / np.log1p(-((1 - radius / bits) ** depth)))) if depth else 1
    )
    machines = -(-workers // cores_a_machine)
    core_seconds = passes * n * seconds_a_hash
    sent = machines * n * bits / 8 + workers * n * 4
    hours = (
        -(-passes // workers) * n * seconds_a_hash
        + (n * bits / 8 + cores_a_machine * n * 4) / bytes_per_second
    ) / 3600
    return Plan(
        passes,
        core_seconds / 3600,
        hours,
        sent,
        n * bits / 8 + 12 * n * min(workers, cores_a_machine),
    )


def self_join(packed: Packed, radius: int, client: Any, *, blocks: int = 8) -> Pairs:
    """`matching.pairs_within` on a Dask cluster: the same arrays in the same order."""
    i, j, distance = (
        np.concatenate(c)
        for c in zip(*iter_self_join(packed, radius, client, blocks=blocks), strict=True)
    )
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], distance[order])
