"""The exact self-join, all pairs within one set, for sets that are too large for one machine.

The hashes are cut into b blocks, and their pairs into b * (b + 1) / 2 tiles, one for each pair of
blocks, a block with itself included. A tile depends on its two blocks and on no other tile. So any
worker of a Dask cluster can compare any tile, and other workers repeat the tiles of one that was
killed. Only the blocks that a worker lacks and the pairs that it finds travel over the network.
Workers import nothing heavier than `matching`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from finlib.distributed import check_workers, count_threads, run_in_order, share
from finlib.matching.distances import get_distance
from finlib.matching.packed import Packed, check_hashes, check_radius
from finlib.matching.pairs import Pairs, pairs_between, pairs_within

TILES_PER_THREAD = 4  # submitted at a time


@dataclass(frozen=True)
class _Block:
    """A block of the set as the scheduler has it."""

    shared: Any  # the packed hashes, shared with the workers of a Dask client
    first: int  # number of the block's first hash in the set


def _compare_tile(
    one: Packed,
    other: Packed | None,
    radius: int,
    distance: str,
    first_of_one: int,
    first_of_other: int,
) -> Pairs:
    """Find the pairs of a tile, on a worker; `other` is None where both blocks are the same.

    first_of_one, first_of_other: the numbers in the set of the blocks' first hashes.
    """
    if other is None:
        pairs = pairs_within(one, radius, distance=distance, workers=1)
    else:
        pairs = pairs_between(one, other, radius, distance=distance, workers=1)
    return Pairs(pairs.i + first_of_one, pairs.j + first_of_other, pairs.distance)


def iter_self_join(
    packed: Packed,
    radius: int,
    client: Any,
    *,
    distance: str = "hamming",
    blocks: int = 8,
    start: int = 0,
) -> Iterator[Pairs]:
    """Yield the pairs of `pairs.pairs_within` tile by tile, in a fixed order, from tile `start` on.

    client: a `dask.distributed.Client` of any scheduler, whose workers need finlib. A block travels
    once to each worker that needs it. Raises ValueError where there is no block, and for wrong
    hashes, a wrong radius or a wrong distance as `pairs_within` does; RuntimeError where a worker
    has another finlib.
    """
    largest = get_distance(distance, check_hashes(packed).shape[1]).largest
    radius = check_radius(radius, largest)
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1; got {blocks}")
    check_workers(client)
    shared_blocks = _share_blocks(packed, client, min(blocks, max(1, len(packed))))
    tiles = _list_tiles(shared_blocks, radius, distance)[start:]
    at_a_time = TILES_PER_THREAD * count_threads(client)
    yield from run_in_order(client, _compare_tile, tiles, at_a_time)


def _share_blocks(packed: Packed, client: Any, count: int) -> list[_Block]:
    """Cut the set into blocks of about the same size and share them with a client's workers."""
    cuts = np.linspace(0, len(packed), count + 1).astype(int).tolist()
    blocks = []
    for first, end in pairwise(cuts):
        shared = share(client, packed[first:end])
        blocks.append(_Block(shared, first))
    return blocks


def _list_tiles(blocks: list[_Block], radius: int, distance: str) -> list[tuple[Any, ...]]:
    """The arguments of `_compare_tile` for every pair of blocks, in order."""
    tiles = []
    for a, one in enumerate(blocks):
        tiles.append((one.shared, None, radius, distance, one.first, one.first))
        for other in blocks[a + 1 :]:
            tile = (one.shared, other.shared, radius, distance, one.first, other.first)
            tiles.append(tile)
    return tiles
