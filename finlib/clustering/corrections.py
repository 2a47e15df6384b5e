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
    together = _as_pairs(n, together)
    apart = _as_pairs(n, apart)
    if not len(apart):
        return None
    blocks = _find_blocks(n, together)
    one_block = blocks[apart[:, 0]]
    other_block = blocks[apart[:, 1]]
    contradictory = apart[one_block == other_block]
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
    distance: str = "hamming",
) -> Labels:
    """Correct the labels of clusters by pairs of rows that belong together or do not.

    packed: uint8[n, bits // 8]. The clusters of a pair in `together` become one. A cluster that
    contains a pair in `apart` is split into sides: the two images of such a pair go to different
    sides, images that were put together go to the same side, and every other image goes to the side
    of the nearest of these. Returns new labels int64[n], in which the first side of a split cluster
    keeps its number.
    """
    n = len(packed)
    together = _as_pairs(n, together)
    apart = _as_pairs(n, apart)
    if not len(together) and not len(apart):
        return labels
    blocks = _find_blocks(n, together)
    labels = _join_clusters(labels, together)
    conflicts = blocks[apart]
    one = apart[:, 0]
    other = apart[:, 1]
    in_one_cluster = labels[one] == labels[other]
    for cluster in np.unique(labels[one[in_one_cluster]]):
        is_inside = (labels[conflicts] == cluster).all(axis=1)
        side_of = _assign_sides(conflicts[is_inside])
        members = np.flatnonzero(labels == cluster)
        side = _find_sides(packed[members], blocks[members], side_of, workers, distance)
        first_new = labels.max()
        labels[members] = np.where(side == 0, cluster, first_new + side)
    return labels


def join_unless_apart(labels: Labels, pairs: Any, apart: Any) -> Labels:
    """Join the clusters of each pair of rows, unless a person keeps rows of them apart.

    pairs: those that come first are preferred. apart: pairs of rows that are in different clusters
    and stay so. Returns new labels int64[n]; joined clusters have the smallest of their numbers.
    """
    pairs = _as_pairs(len(labels), pairs)
    apart = _as_pairs(len(labels), apart)
    opponents = _find_opponents(labels[apart])
    joined_to: dict[int, int] = {}
    for pair in labels[pairs].tolist():
        kept, joined = sorted(_follow(joined_to, cluster) for cluster in pair)
        if kept == joined or joined in opponents[kept]:
            continue
        joined_to[joined] = kept
        for opponent in opponents.pop(joined, set()):
            opponents[opponent].add(kept)
            opponents[kept].add(opponent)
    number_of = np.arange(labels.max(initial=-1) + 1)
    for joined in joined_to:
        number_of[joined] = _follow(joined_to, joined)
    return number_of[labels]


def _follow(joined_to: dict[int, int], cluster: int) -> int:
    """The number of what a cluster has been joined to, directly or through others."""
    while cluster in joined_to:
        cluster = joined_to[cluster]
    return cluster


def _as_pairs(n: int, given: Any) -> RowPairs:
    """The given pairs of rows as an array; ValueError where one of them is not a row of n."""
    rows = np.asarray(list(given), np.int64)
    pairs = rows.reshape(-1, 2)
    is_wrong = (pairs < 0) | (pairs >= n)
    wrong = pairs[is_wrong]
    if len(wrong):
        raise ValueError(f"corrections must name rows from 0 to {n - 1}; got {wrong[0]}")
    return pairs


def _find_blocks(n: int, together: RowPairs) -> Labels:
    """The block of each row, int64[n].

    A block is the rows that pairs put together, directly or through others. It is named by its
    first row.
    """
    forest = Forest(n)
    forest.take(together[:, 0], together[:, 1])
    return forest.roots().astype(np.int64)


def _join_clusters(labels: Labels, together: RowPairs) -> Labels:
    """Give the clusters of every pair one label."""
    forest = Forest(int(labels.max(initial=0)) + 1)
    one = labels[together[:, 0]]
    other = labels[together[:, 1]]
    forest.take(one, other)
    return forest.roots()[labels].astype(np.int64)


def _assign_sides(conflicts: RowPairs) -> dict[int, int]:
    """Number the sides of blocks so that the two blocks of each conflict are on different sides.

    Each block gets the smallest number, from 0 on, that no block in conflict with it has.
    """
    opponents = _find_opponents(conflicts)
    side_of: dict[int, int] = {}
    for block in sorted(opponents):
        taken_sides = {side_of.get(opponent) for opponent in opponents[block]}
        side = 0
        while side in taken_sides:
            side += 1
        side_of[block] = side
    return side_of


def _find_opponents(conflicts: RowPairs) -> defaultdict[int, set[int]]:
    """What each number is in conflict with; nothing for a number that no pair names."""
    opponents: defaultdict[int, set[int]] = defaultdict(set)
    for one, other in conflicts.tolist():
        opponents[one].add(other)
        opponents[other].add(one)
    return opponents


def _find_sides(
    packed: Packed, blocks: Labels, side_of: dict[int, int], workers: int | None, distance: str
) -> Labels:
    """The side of each member of a cluster that is split, int64[members].

    packed: the members' hashes; blocks: their blocks; side_of: the sides of the blocks in conflict.
    The members of another block stay together: they follow the first of them, which goes to the
    side of the nearest member that has one.
    """
    has_side = np.isin(blocks, list(side_of))
    side = np.zeros(len(blocks), np.int64)
    blocks_with_side = blocks[has_side].tolist()
    side[has_side] = [side_of[block] for block in blocks_with_side]
    nearest = neighbours(
        packed[~has_side],
        packed[has_side],
        k=1,
        distance=distance,
        workers=workers,
    ).indices
    side_of_nearest = side[has_side][nearest]
    blocks_without = blocks[~has_side]
    _, first, block_number = np.unique(blocks_without, return_index=True, return_inverse=True)
    side_of_block = side_of_nearest[first]
    side[~has_side] = side_of_block[block_number]
    return side
