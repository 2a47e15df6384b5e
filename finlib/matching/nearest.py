"""The nearest hashes of a few, among so many that laying all of them out would need much memory.

The hashes are searched part by part. `near.find_nearest` is for many queries.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finlib.matching.forest import NONE
from finlib.matching.packed import Packed, iter_strips
from finlib.matching.pairs import Neighbours, neighbours

PART = 1 << 21  # hashes that are laid out at a time


class NearestHashes(NamedTuple):
    """The nearest hashes of each query, nearest first."""

    row: npt.NDArray[np.int64]  # [queries, k]; NONE where there are fewer
    distance: npt.NDArray[np.int64]  # [queries, k]; the largest int64 where there are fewer


def nearest_hashes(
    queries: Packed,
    packed: Packed,
    k: int,
    *,
    own: npt.NDArray[np.int64] | None = None,
    radius: int | None = None,
    distance: str = "hamming",
    workers: int | None = None,
) -> NearestHashes:
    """Find the k hashes nearest to each query, within the radius where one is given.

    queries: uint8[queries, bits // 8]. packed: uint8[n, bits // 8]. own: the row of each query
    among the hashes, where it is one of them; a query is not its own neighbour. Of several equally
    near hashes the first ones count.
    """
    wanted = k if own is None else k + 1
    best = _no_neighbours(len(queries), wanted)
    for low, high in iter_strips(len(packed), PART):
        part = neighbours(
            queries,
            packed[low:high],
            k=wanted,
            radius=radius,
            distance=distance,
            workers=workers,
        )
        best = _merge(best, _as_table(part, low, wanted), wanted)
    if own is None:
        return best
    is_own = best.row == own[:, None]
    # A hash with flat rows may be as far from itself as from others, and so not among its nearest.
    is_own[~is_own.any(axis=1), -1] = True
    shape = (len(queries), k)
    return NearestHashes(best.row[~is_own].reshape(shape), best.distance[~is_own].reshape(shape))


def _no_neighbours(queries: int, k: int) -> NearestHashes:
    row = np.full((queries, k), NONE)
    distance = np.full((queries, k), np.iinfo(np.int64).max)
    return NearestHashes(row, distance)


def _as_table(found: Neighbours, first_row: int, k: int) -> NearestHashes:
    """The neighbours of each query in a row of a table with k columns."""
    counts = np.diff(found.indptr)
    table = _no_neighbours(len(counts), k)
    query = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(len(query)) - found.indptr[query]
    table.row[query, column] = first_row + found.indices
    table.distance[query, column] = found.distance
    return table


def _merge(one: NearestHashes, other: NearestHashes, k: int) -> NearestHashes:
    """The k nearest of two tables, those of the first one first where they are equally near."""
    row = np.concatenate([one.row, other.row], axis=1)
    distance = np.concatenate([one.distance, other.distance], axis=1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return NearestHashes(
        np.take_along_axis(row, order, axis=1), np.take_along_axis(distance, order, axis=1)
    )
