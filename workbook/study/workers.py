"""Find the pairs of a set on many workers: exactly with Dask, and cost models of sampling.

The models are arithmetic from rates that were measured on one machine.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from finlib.matching.packed import Packed
from finlib.matching.pairs import Pairs
from finlib.matching.self_join import iter_self_join
from workbook.study import growth

BUCKET = 300  # hashes in a bucket, about
BYTES_PER_ROOT = 4  # of a worker's answer, for each hash
BYTES_IN_WORK = 12  # memory that a worker needs for each hash
BYTES_PER_NUMBER = 8  # of a hash among more than four thousand million
ROW_PASSES = 16  # one for each row


@dataclass(frozen=True)
class Plan:
    """What `bucket_join` and `row_join` calculate.

    passes of sampling; core_hours in all; hours of wall-clock time; bytes_sent over the
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


def row_join(
    n: float,
    seconds_a_hash: float,
    seconds_a_union: float,
    workers: int,
    *,
    passes: int = ROW_PASSES,
    cores_a_machine: int = 16,
    bytes_per_second: float = 1e9,
) -> Plan:
    """Calculate what it takes to cluster n dHashes of 256 bits by rows on many workers.

    seconds_a_hash: of one core, for all passes and what follows them, measured on the largest set
    available. seconds_a_union: of one core, to take a link between two hashes into the components.

    The hashes lie on all machines in equal parts. A pass sends each of them with its number to the
    worker that its key belongs to. The worker links the near ones, with a link for each hash at
    most, and sends the links to one machine, which alone holds the components of all hashes. The
    work after the passes is taken to be divided as well. finlib does not send hashes by key yet:
    its workers on Dask hold all hashes, and there are no more of them at work than passes.
    """
    machines = -(-workers // cores_a_machine)
    hash_bytes = n * (32 + BYTES_PER_NUMBER)
    link_bytes = 2 * BYTES_PER_NUMBER * n
    core_seconds = n * seconds_a_hash
    union_seconds = passes * n * seconds_a_union
    network_seconds = passes * (hash_bytes / machines + link_bytes) / bytes_per_second
    own_share = (2 * hash_bytes + BYTES_IN_WORK * n) / machines
    return Plan(
        passes=passes,
        core_hours=(core_seconds + union_seconds) / 3600,
        hours=(core_seconds / workers + union_seconds + network_seconds) / 3600,
        bytes_sent=passes * (hash_bytes + link_bytes),
        bytes_a_machine=own_share + BYTES_PER_NUMBER * n,
    )


def plan_rows(
    measured: pd.DataFrame,
    seconds_a_union: float,
    images: Iterable[float] = (1e9, 1e10),
    workers: Iterable[int] = (100, 1000),
) -> pd.DataFrame:
    """Calculate `row_join` for numbers of images and workers, from runs on one machine.

    measured: columns n and cpu_s, the largest n last; a power law continues it. Columns images,
    workers, and those of Plan.
    """
    last = measured.iloc[-1]
    exponent = growth.power_law(measured["n"], measured["cpu_s"]).exponent
    rows = []
    for n, count in product(images, workers):
        cpu_seconds = last["cpu_s"] * (n / last["n"]) ** exponent
        plan = row_join(n, cpu_seconds / n, seconds_a_union, count)
        size = f"{n:.0e}".replace("e+0", "e").replace("e+", "e")
        rows.append({"images": size, "workers": count} | vars(plan))
    return pd.DataFrame(rows)


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
