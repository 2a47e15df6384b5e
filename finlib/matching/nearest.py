"""The nearest hash of each of a few, among so many that laying all of them out would need much
memory.

The hashes are searched part by part. `near.find_nearest` is for many queries.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finlib.matching.forest import NONE
from finlib.matching.packed import Packed, iter_strips
from finlib.matching.pairs import neighbours

PART = 1 << 21  # hashes that are laid out at a time


class NearestHashes(NamedTuple):
    """The nearest hash of each query."""

    row: npt.NDArray[np.int64]  # [queries]; NONE where there is none
    distance: npt.NDArray[np.int64]  # [queries]; the largest int64 where there is none


def nearest_hashes(
    queries: Packed,
    packed: Packed,
    *,
    own: npt.NDArray[np.int64] | None = None,
    radius: int | None = None,
    distance: str = "hamming",
    workers: int | None = None,
) -> NearestHashes:
    """Find the hash nearest to each query, within the radius where one is given.

    queries: uint8[queries, bits // 8]. packed: uint8[n, bits // 8]. own: the row of each query
    among the hashes, where it is one of them; a query is not its own neighbour. Of several equally
    near hashes the first one counts.
    """
    nearest = NearestHashes(
        row=np.full(len(queries), NONE),
        distance=np.full(len(queries), np.iinfo(np.int64).max),
    )
    for low, high in iter_strips(len(packed), PART):
        part = neighbours(
            queries,
            packed[low:high],
            k=1 if own is None else 2,
            radius=radius,
            distance=distance,
            workers=workers,
        )
        query = np.repeat(np.arange(len(queries)), np.diff(part.indptr))
        row = low + part.indices
        is_other = np.ones(len(row), np.bool_)
        if own is not None:
            is_other = row != own[query]
        found, place = np.unique(query[is_other], return_index=True)
        found_row = row[is_other][place]
        found_distance = part.distance[is_other][place]
        is_nearer = found_distance < nearest.distance[found]
        nearest.row[found[is_nearer]] = found_row[is_nearer]
        nearest.distance[found[is_nearer]] = found_distance[is_nearer]
    return nearest
