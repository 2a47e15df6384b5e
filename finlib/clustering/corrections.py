"""Apply corrections made by hand: pairs of images that belong together, and pairs that do not."""

from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from finlib.matching.forest import Forest
from finlib.matching.packed import Packed
from finlib.matching.pairs import neighbours

Labels = npt.NDArray[np.int64]
RowPairs = npt.NDArray[np.int64]  # [pairs, 2]


def find_contradiction(n: int, together: Any, apart: Any) -> tuple[int, int] | None:
    """Find two of n rows that corrections both put together and keep apart.

    together, apart: pairs of rows. Returns the first such pair of `apart`, or None. Raises
    ValueError where a pair names a row that does not exist.
    """
    blocks = _find_blocks(n, _as_pairs(n, together))
    apart = _as_pairs(n, apart)
    contradictory = apart[blocks[apart[:, 0]] == blocks[apart[:, 1]]]
    if not len(contradictory):
        return None
    one, other = contradictory[0].tolist()
    return one, other


def apply_corrections(
    packed: Packed,
    labels: Labels,
    together: Any,
    apart: Any,
    workers: int | None = None,
) -> Labels:
    """Correct the labels of clusters by pairs of rows that belong together or do not.

    packed: uint8[n, bits // 8]. Clusters of a pair in `together` become one. A cluster that holds a
    pair in `apart` is split: images that the pairs name, and those put together with them, go to
    different sides, and every other image goes to the side of the nearest of them. Returns new
    labels int64[n], in which the first side of a split cluster keeps its number.
    """
    n = len(packed)
    together = _as_pairs(n, together)
    apart = _as_pairs(n, apart)
    blocks = _find_blocks(n, together)
    labels = _join_clusters(labels, together)
    conflicts = blocks[apart]
    to_split = labels[apart[:, 0]] == labels[apart[:, 1]]
    for cluster in np.unique(labels[apart[to_split, 0]]):
        inside = (labels[conflicts] == cluster).all(axis=1)
        side_of = _assign_sides(conflicts[inside])
        members = np.flatnonzero(labels == cluster)
        side = _find_sides(packed[members], blocks[members], side_of, workers)
        labels[members] = np.where(side == 0, cluster, labels.max() + side)
    return labels


def _as_pairs(n: int, given: Any) -> RowPairs:
    """Pairs of rows as an array; ValueError where one is not a row of n."""
    pairs = np.asarray(list(given), np.int64).reshape(-1, 2)
    wrong = pairs[(pairs < 0) | (pairs >= n)]
    if len(wrong):
        raise ValueError(f"corrections must name rows from 0 to {n - 1}; got {wrong[0]}")
    return pairs


def _find_blocks(n: int, together: RowPairs) -> Labels:
    """Of each row the first row that pairs put together with it, directly or through others."""
    forest = Forest(n)
    forest.take(together[:, 0], together[:, 1])
    return forest.roots().astype(np.int64)


def _join_clusters(labels: Labels, together: RowPairs) -> Labels:
    """Labels in which the clusters of every pair are one."""
    forest = Forest(int(labels.max(initial=0)) + 1)
    forest.take(labels[together[:, 0]], labels[together[:, 1]])
    return forest.roots()[labels].astype(np.int64)


def _assign_sides(conflicts: RowPairs) -> dict[int, int]:
    """Give each block a side, 0, 1, …: the smallest that no opponent of the block has."""
    opponents = defaultdict(set)
    for one, other in conflicts.tolist():
        opponents[one].add(other)
        opponents[other].add(one)
    side_of: dict[int, int] = {}
    for block in sorted(opponents):
        taken = {side_of[other] for other in opponents[block] if other in side_of}
        side = 0
        while side in taken:
            side += 1
        side_of[block] = side
    return side_of


def _find_sides(
    packed: Packed, blocks: Labels, side_of: dict[int, int], workers: int | None
) -> Labels:
    """The side of each member of a cluster that is split, int64[members].

    Members whose block has no side follow the named member nearest to the first of the block.
    """
    is_named = np.isin(blocks, list(side_of))
    side = np.zeros(len(blocks), np.int64)
    side[is_named] = [side_of[block] for block in blocks[is_named].tolist()]
    nearest = neighbours(
        packed[~is_named],
        packed[is_named],
        k=1,
        workers=workers,
    ).indices
    side_of_nearest = side[is_named][nearest]
    _, first, block_number = np.unique(blocks[~is_named], return_index=True, return_inverse=True)
    side[~is_named] = side_of_nearest[first][block_number]
    return side
