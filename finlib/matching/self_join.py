"""The exact self-join past one machine, on any Dask cluster.

n hashes are cut into b blocks and their pairs into b * (b + 1) / 2 tiles, one for each pair of blocks. A tile needs
two blocks and no other tile, so that any worker can do any tile, those of one that was killed too; what moves over the
network are blocks that a worker does not hold yet, and the pairs found. Workers import nothing heavier than `matching`.
"""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from finlib.distributed import share
from finlib.matching.pairs import (
    Packed,
    Pairs,
    check_hashes,
    check_radius,
    pairs_between,
    pairs_within,
)
from finlib.pools import in_order


def _tile(left: Packed, right: Packed, same: bool, radius: int, low: int, high: int) -> Pairs:
    """Pairs between two blocks of the set, whose first hashes are numbers `low` and `high`; within one where `same`."""
    find = partial(pairs_within, left) if same else partial(pairs_between, left, right)
    i, j, distance = find(radius, workers=1)
    return Pairs(i + low, j + high, distance)


def iter_self_join(
    packed: Packed, radius: int, client: Any, *, blocks: int = 8, start: int = 0
) -> Iterator[Pairs]:
    """The pairs of `matching.pairs_within`, tile by tile from number `start` on, in a fixed order.

    client: a `dask.distributed.Client` of any scheduler; its workers need finlib. Blocks travel once to each
    worker that needs them; four tiles a thread are in flight. ValueError as `pairs_within`.
    """
    radius = check_radius(radius, 8 * check_hashes(packed).shape[1])
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1; got {blocks}")
    starts = np.linspace(0, len(packed), min(blocks, max(1, len(packed))) + 1).astype(int)
    held = [share(client, packed[low:high]) for low, high in pairwise(starts)]
    tiles = [(a, b) for a in range(len(held)) for b in range(a, len(held))][start:]
    jobs = ((held[a], held[b], a == b, radius, int(starts[a]), int(starts[b])) for a, b in tiles)
    most = 4 * max(1, sum(client.nthreads().values()))
    yield from in_order(client.get_executor(pure=False), _tile, jobs, most)
