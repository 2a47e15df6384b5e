"""Distances of all pairs of labelled hashes, counted by family: what scores and their intervals are made from."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.hamming import BLOCK, distance_in_block
from finlib.matching.pairs import STRIP, Packed, check_hashes, to_blocks, to_words
from finlib.pools import in_threads

TILE = (
    8192  # columns whose distances are held at once for a histogram: they stay in the first cache
)


def family_histograms(
    packed: Packed, labels: Any, groups: int = 200, seed: int = 2026, *, workers: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every pair's distance, counted apart for groups of families: what resampling families needs.

    Families are dealt at random into G = min(groups, families) groups, one each where groups suffice. Returns
    same int64[G, bits + 1], pairs of one family, and different int64[G, G, bits + 1], pairs of two families: entry
    [g, h] counts pairs between groups g and h where g <= h and is zero where g > h, so that all pairs are counted
    once. labels: n integers or strings.
    """
    n, bits = len(check_hashes(packed)), 8 * packed.shape[1]
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"labels must hold one family a hash, {n}; got shape {labels.shape}")
    if groups < 1:
        raise ValueError(f"groups must be at least 1; got {groups}")
    family = np.unique(labels, return_inverse=True)[1]
    families = int(family.max(initial=0)) + 1
    count = min(groups, families)
    group = (np.random.default_rng(seed).permutation(families) % count)[family]
    order = np.lexsort((family, group))
    rows, family, group = to_words(packed[order]), family[order], group[order]
    blocks, width = to_blocks(rows), (0,) * rows.shape[1]
    last = np.append(np.flatnonzero(np.diff(family)) + 1, n)
    family_end = last[np.searchsorted(last, np.arange(n), side="right")]
    group_start = np.searchsorted(group, np.arange(count + 1))

    def tally(low: int, high: int) -> tuple[int, Any, Any]:
        near, far = np.zeros(bits + 1, np.int64), np.zeros((count, bits + 1), np.int64)
        _count_by_family(rows, low, high, blocks, family_end, group_start, width, near, far)
        return int(group[low]), near, far

    size = min(STRIP, max(1, -(-n // 16)))
    cuts = sorted({*range(0, n, size), *group_start[:-1].tolist(), n})
    same, different = (
        np.zeros((count, bits + 1), np.int64),
        np.zeros((count, count, bits + 1), np.int64),
    )
    for g, near, far in in_threads(tally, pairwise(cuts), workers):
        same[g] += near
        different[g] += far
    return same, different


def pair_counts(
    packed: Packed, labels: Any, *, workers: int | None = None
) -> npt.NDArray[np.int64]:
    """Pairs at every distance in bits, int64[2, bits + 1]: row 0 pairs of one family, row 1 pairs of two.

    labels: n integers or strings. TypeError or ValueError where hashes or labels are wrong.
    """
    same, different = family_histograms(packed, labels, groups=1, workers=workers)
    return np.stack([same[0], different[0, 0]])


@njit(nogil=True, cache=True)
def _count_by_family(words, low, high, blocks, family_end, group_start, width, same, different):  # type: ignore[no-untyped-def]
    """Count distances from hashes low..high of one group to all later ones: same[bits + 1], different[group, bits + 1].

    Hashes are sorted by group, then by family: family_end[i] is one past the last of hash i's family.
    """
    n = len(words)
    tile = np.empty((TILE // BLOCK, BLOCK), np.uint16)
    flat = tile.reshape(-1)
    for start in range(low // TILE * TILE, n, TILE):
        stop = min(n, start + TILE)
        for i in range(low, min(high, stop)):
            for b in range(max(start, i) // BLOCK, (stop + BLOCK - 1) // BLOCK):
                for k in range(BLOCK):
                    tile[b - start // BLOCK, k] = distance_in_block(words, i, blocks, b, k, width)
            for j in range(max(start, i + 1), min(stop, family_end[i])):
                same[flat[j - start]] += 1
            for g in range(len(different)):
                counts = different[g]
                for j in range(
                    max(start, group_start[g], family_end[i]), min(stop, group_start[g + 1])
                ):
                    counts[flat[j - start]] += 1
