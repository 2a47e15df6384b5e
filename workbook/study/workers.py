"""Find the pairs of a set on many workers: exactly with Dask, and a cost model of bit sampling."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from finlib.matching.packed import Packed
from finlib.matching.pairs import Pairs
from finlib.matching.self_join import iter_self_join

BUCKET = 300  # hashes in a bucket, about
BYTES_PER_ROOT = 4  # of a worker's answer, for each hash
BYTES_IN_WORK = 12  # memory that a worker needs for each hash


@dataclass(frozen=True)
class Plan:
    """What `bucket_join` calculates.

    passes of bit sampling; core_hours in all; hours of wall-clock time; bytes_sent over the
    network; bytes_a_machine, the memory that each machine needs.
    """

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
    """Calculate what it takes to find the near pairs of n hashes by bit sampling on many workers.

    seconds_a_hash: a pass's time for one hash, measured on the largest set available. recall: the
    share of the pairs at the radius to be found. Each machine receives all hashes, and each worker
    sends back the root of every hash in its forest.
    """
    passes = _passes(n, radius / bits, recall)
    machines = -(-workers // cores_a_machine)
    hash_bytes = n * bits / 8
    root_bytes = BYTES_PER_ROOT * n
    core_seconds = passes * n * seconds_a_hash
    passes_a_worker = -(-passes // workers)
    worker_seconds = passes_a_worker * n * seconds_a_hash
    network_seconds = (hash_bytes + cores_a_machine * root_bytes) / bytes_per_second
    busy_cores = min(workers, cores_a_machine)
    return Plan(
        passes=passes,
        core_hours=core_seconds / 3600,
        hours=(worker_seconds + network_seconds) / 3600,
        bytes_sent=machines * hash_bytes + workers * root_bytes,
        bytes_a_machine=hash_bytes + BYTES_IN_WORK * n * busy_cores,
    )


def _passes(n: float, share: float, recall: float) -> int:
    """The passes that find the share `recall` of the pairs that differ in this share of the bits.

    A pass draws so few bits at random that about BUCKET hashes agree in all of them. It finds a
    pair if the two hashes do.
    """
    depth = max(0.0, np.log2(n / BUCKET))
    if depth == 0:
        return 1
    chance = (1 - share) ** depth
    return int(np.ceil(np.log1p(-recall) / np.log1p(-chance)))


def self_join(packed: Packed, radius: int, client: Any, *, blocks: int = 8) -> Pairs:
    """Find the pairs of `pairs_within` on a Dask cluster: the same arrays in the same order."""
    parts = list(iter_self_join(packed, radius, client, blocks=blocks))
    i = np.concatenate([part.i for part in parts])
    j = np.concatenate([part.j for part in parts])
    distance = np.concatenate([part.distance for part in parts])
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], distance[order])
