"""Count the distances of all pairs of labelled hashes by family, for scores and their intervals."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.distances import get_distance
from finlib.matching.hamming import Distance, distance_in_block
from finlib.matching.packed import BLOCK, Packed, check_hashes, to_blocks
from finlib.matching.pairs import STRIP
from finlib.pools import in_threads

TILE = 8192  # distances computed before they are counted, so that they stay in the first cache

Integers = npt.NDArray[np.int64]


class FamilyHistograms(NamedTuple):
    """How many pairs of hashes lie at each distance, by groups of families."""

    same: Integers
    """[groups, bits + 1]: pairs of one family."""

    different: Integers
    """[groups, groups, bits + 1]: pairs of two families, at [g, h] with g <= h, else zero."""


def family_histograms(
    packed: Packed,
    labels: Any,
    groups: int = 200,
    seed: int = 2026,
    *,
    distance: str = "hamming",
    workers: int | None = None,
) -> FamilyHistograms:
    """Count the distances of all pairs by groups of families, so that families can be resampled.

    packed: uint8[n, bits // 8].
    labels: the family of each hash, as integers or strings.
    groups: at most this many; families are dealt to them at random.
    distance: "hamming" or "rows"; the histograms go up to its largest value.

    Every pair is counted once. Raises TypeError or ValueError where hashes or labels are wrong.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(check_hashes(packed)),):
        raise ValueError(
            f"labels must give one family for each of the {len(packed)} hashes; "
            f"got an array of shape {labels.shape}"
        )
    if groups < 1:
        raise ValueError(f"groups must be at least 1; got {groups}")
    family = np.unique(labels, return_inverse=True)[1]
    group = _draw_groups(family, groups, seed)
    order = np.lexsort((family, group))
    measure = get_distance(distance, packed.shape[1])
    return _count_sorted(packed[order], family[order], group[order], measure, workers)


def pair_counts(
    packed: Packed, labels: Any, *, distance: str = "hamming", workers: int | None = None
) -> Integers:
    """Count the pairs at every distance, int64[2, largest distance + 1].

    Row 0 has the pairs of one family, row 1 those of two. packed: uint8[n, bits // 8]; labels: n
    integers or strings. Raises TypeError or ValueError where hashes or labels are wrong.
    """
    same, different = family_histograms(
        packed,
        labels,
        groups=1,
        distance=distance,
        workers=workers,
    )
    return np.stack([same[0], different[0, 0]])


def _draw_groups(family: Integers, groups: int, seed: int) -> Integers:
    """The group of each hash: families, numbered from 0, are dealt to groups at random."""
    families = int(family.max(initial=0)) + 1
    rng = np.random.default_rng(seed)
    group_of_family = rng.permutation(families) % min(groups, families)
    return group_of_family[family]


def _count_sorted(
    packed: Packed,
    family: Integers,
    group: Integers,
    distance: Distance,
    workers: int | None,
) -> FamilyHistograms:
    """The histograms of hashes that are sorted by group, then by family."""
    n = len(packed)
    size = distance.largest + 1
    groups = int(group.max(initial=0)) + 1
    words = distance.query_words(packed)
    blocks = to_blocks(distance.stored_words(packed))
    family_ends = np.append(np.flatnonzero(np.diff(family)) + 1, n)
    place = np.searchsorted(family_ends, np.arange(n), side="right")
    family_end = family_ends[place]
    group_start = np.searchsorted(group, np.arange(groups + 1))

    def count(low: int, high: int) -> tuple[int, Any, Any]:
        """The group of the hashes low..high, and the histograms of their pairs with later ones."""
        same, different = _count_by_family(
            words, low, high, blocks, family_end, group_start, distance.width, size
        )
        return int(group[low]), same, different

    strip = min(STRIP, max(1, -(-n // 16)))
    cuts = sorted({*range(0, n, strip), *group_start.tolist(), n})
    same = np.zeros((groups, size), np.int64)
    different = np.zeros((groups, groups, size), np.int64)
    for number, same_part, different_part in in_threads(count, pairwise(cuts), workers):
        same[number] += same_part
        different[number] += different_part
    return FamilyHistograms(same, different)


@njit(nogil=True, cache=True)
def _count_by_family(words, low, high, blocks, family_end, group_start, width, size):  # type: ignore[no-untyped-def]
    """Count the distances from hashes low..high, of one group, to all later ones.

    Hashes are sorted by group, then by family: family_end[i] is one past the last of hash i's
    family, and group_start has the first of each group, and their number. Returns the counts of
    pairs of one family, int64[size], and of two, int64[groups, size] by the later one's.
    """
    n = len(words)
    groups = len(group_start) - 1
    same = np.zeros(size, np.int64)
    different = np.zeros((groups, size), np.int64)
    tile = np.empty((TILE // BLOCK, BLOCK), np.uint16)
    distance = tile.reshape(-1)  # of hash j at j - first
    for first in range(low // TILE * TILE, n, TILE):
        end = min(n, first + TILE)
        first_block = first // BLOCK
        for i in range(low, min(high, end)):
            for block in range(max(first, i) // BLOCK, (end + BLOCK - 1) // BLOCK):
                for k in range(BLOCK):
                    tile[block - first_block, k] = distance_in_block(
                        words, i, blocks, block, k, width
                    )
            for j in range(max(first, i + 1), min(end, family_end[i])):
                same[distance[j - first]] += 1
            after_family = max(first, family_end[i])
            for group in range(groups):
                counts = different[group]
                begin = max(after_family, group_start[group])
                stop = min(end, group_start[group + 1])
                for j in range(begin, stop):
                    counts[distance[j - first]] += 1
    return same, different
