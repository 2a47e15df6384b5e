"""Find how near each two families come to each other, over all pairs of their images.

False matches of two families that look alike are many pairs of images and one pair of families. So
it is pairs of families that count as independent evidence. `recount` counts pairs again where a few
images change their families.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit

from finlib.matching.distances import get_distance
from finlib.matching.hamming import distance_in_block
from finlib.matching.packed import BLOCK, Packed, to_blocks
from finlib.pools import in_threads
from finlib.scoring.metrics import Counts

JOBS = 32
ROW_BITS = 27
"""Bits for the number of an image in a key of `_keep_closest_pairs`: up to 134 million images."""
NO_PAIR = np.uint64(2**64 - 1)
"""A key that is greater than any pair's."""

Integers = npt.NDArray[np.int64]


class ClosestPairs(NamedTuple):
    """The closest pair of images of each two families, in no particular order."""

    i: Integers
    j: Integers
    """The places i < j of the two images."""
    distance: Integers


class _Sorted(NamedTuple):
    """Hashes in the order of their families, laid out for the kernels."""

    order: Integers
    """The place in the original order of each hash."""
    family: Integers
    """The number of its family, ascending."""
    words: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    width: int
    largest: int

    @classmethod
    def of(cls, packed: Packed, family: Integers, distance: str) -> "_Sorted":
        """Sort hashes by the numbers of their families."""
        order = np.argsort(family, kind="stable")
        hashes = packed[order]
        measure = get_distance(distance, packed.shape[1])
        words = measure.query_words(hashes)
        blocks = to_blocks(measure.stored_words(hashes))
        return cls(order, family[order], words, blocks, measure.width, measure.largest)

    def jobs(self, families: int) -> Iterator[tuple[int, int]]:
        """The ranges low..high of families that threads look at, one after the other."""
        step = max(1, families // JOBS)
        cuts = [*range(0, families, step), families]
        return pairwise(cuts)


def closest_of_families(
    packed: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    distance: str = "hamming",
    *,
    radius: int | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """The least distance between images of two families, for every pair of families.

    packed: uint8[n, bytes]. labels: the family of each image. radius: up to which distances matter,
    by default all; a pair of families farther apart has the largest distance that there is, which
    takes less time to find. Returns int64[pairs of families], in the order of `numpy.triu_indices`.
    """
    names, family = np.unique(np.asarray(labels), return_inverse=True)
    families = len(names)
    hashes = _Sorted.of(packed, family, distance)
    closest = np.full((families, families), hashes.largest, np.uint16)
    most = hashes.largest if radius is None else radius

    def compare(low: int, high: int) -> None:
        """Compare the images of the families low..high with those of later ones."""
        first, last = np.searchsorted(hashes.family, [low, high])
        _keep_closest(
            hashes.words,
            first,
            last,
            hashes.blocks,
            hashes.family,
            hashes.width,
            most,
            closest,
        )

    for _ in in_threads(compare, hashes.jobs(families), workers):
        pass
    return closest[np.triu_indices(families, 1)].astype(np.int64)


def closest_pairs(
    packed: Packed,
    labels: Sequence[str] | npt.NDArray[Any],
    radius: int,
    distance: str = "hamming",
    *,
    workers: int | None = None,
) -> ClosestPairs:
    """The closest pair of images of each two families that come within a radius of each other.

    packed: uint8[n, bytes]. labels: the family of each image. Of pairs that are equally close, the
    one with the smallest i counts, then that with the smallest j. Needs memory for the square of
    the number of families, but not for all pairs of images within the radius.
    """
    names, family = np.unique(np.asarray(labels), return_inverse=True)
    families = len(names)
    hashes = _Sorted.of(packed, family, distance)

    def compare(low: int, high: int) -> npt.NDArray[np.uint64]:
        """The keys of the closest pairs of the families low..high with later ones."""
        first, last = np.searchsorted(hashes.family, [low, high])
        keys = np.full((high - low, families), NO_PAIR, np.uint64)
        _keep_closest_pairs(
            hashes.words,
            first,
            last,
            hashes.blocks,
            hashes.family,
            hashes.order,
            hashes.width,
            radius,
            keys,
        )
        return keys[keys != NO_PAIR]

    parts = list(in_threads(compare, hashes.jobs(families), workers))
    keys = np.concatenate(parts) if parts else np.empty(0, np.uint64)
    in_row = np.uint64((1 << ROW_BITS) - 1)
    return ClosestPairs(
        ((keys >> np.uint64(ROW_BITS)) & in_row).astype(np.int64),
        (keys & in_row).astype(np.int64),
        (keys >> np.uint64(2 * ROW_BITS)).astype(np.int64),
    )


def recount(
    counts: Counts,
    packed: Packed,
    labels: npt.NDArray[Any],
    other_labels: npt.NDArray[Any],
    distance: str = "hamming",
) -> Counts:
    """Count pairs by distance under other labels, from what they are under some labels.

    counts: int64[2, largest distance + 1], of `histograms.pair_counts` under `labels`. Only pairs
    of images that change their family are compared, so this is quick where few do.
    """
    family = np.unique(labels, return_inverse=True)[1]
    other_family = np.unique(other_labels, return_inverse=True)[1]
    is_moved = _moved(family, other_family)
    measure = get_distance(distance, packed.shape[1])
    moved = np.flatnonzero(is_moved)
    words = measure.query_words(packed[moved])
    blocks = to_blocks(measure.stored_words(packed))

    def change_counts(low: int, high: int) -> Counts:
        change = np.zeros((2, measure.largest + 1), np.int64)
        _change_counts(
            words,
            moved,
            low,
            high,
            blocks,
            is_moved,
            family,
            other_family,
            measure.width,
            change,
        )
        return change

    step = max(1, len(moved) // JOBS)
    cuts = [*range(0, len(moved), step), len(moved)]
    changed = counts.copy()
    for change in in_threads(change_counts, pairwise(cuts), None):
        changed += change
    return changed


def _moved(family: Integers, other_family: Integers) -> npt.NDArray[np.bool_]:
    """Whether each image leaves its family, so that all the others stay together as they were.

    Of each new family the images stay that come from the old one which most of them come from,
    unless a larger part of that old family stays in another one.
    """
    parts = pd.DataFrame({"old": family, "new": other_family}).value_counts().reset_index()
    largest = parts.drop_duplicates("new").drop_duplicates("old")
    stays_in = np.full(int(family.max(initial=0)) + 1, -1)
    stays_in[largest["old"]] = largest["new"]
    moved: npt.NDArray[np.bool_] = stays_in[family] != other_family
    return moved


@njit(nogil=True, cache=True)
def _keep_closest(words, low, high, blocks, family, width, radius, closest):  # type: ignore[no-untyped-def]
    """Lower closest[family i, family j] to the least distance of images low..high to later ones.

    Images are sorted by family. All distances to a block are computed before any is looked at,
    since only that loop vectorises.
    """
    n = len(words)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(low // BLOCK, len(blocks)):
        start = b * BLOCK
        end = min(BLOCK, n - start)
        for i in range(low, min(high, start + BLOCK)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(words, i, blocks, b, k, width)
            least = closest[family[i]]
            for k in range(max(0, i + 1 - start), end):
                if distances[k] <= radius:
                    other = family[start + k]
                    least[other] = min(least[other], distances[k])


@njit(nogil=True, cache=True)
def _keep_closest_pairs(words, low, high, blocks, family, order, width, radius, keys):  # type: ignore[no-untyped-def]
    """Lower keys[family i - family low, family j] to the least key of images low..high and later.

    A key has the distance in its highest bits, then the places i and j in the original order, the
    smaller one first. Images are sorted by family.
    """
    n = len(words)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(low // BLOCK, len(blocks)):
        start = b * BLOCK
        end = min(BLOCK, n - start)
        for i in range(low, min(high, start + BLOCK)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(words, i, blocks, b, k, width)
            least = keys[family[i] - family[low]]
            for k in range(max(0, i + 1 - start), end):
                other = family[start + k]
                if distances[k] > radius or other == family[i]:
                    continue
                place = np.uint64(min(order[i], order[start + k]))
                later = np.uint64(max(order[i], order[start + k]))
                key = np.uint64(distances[k]) << np.uint64(2 * ROW_BITS)
                key |= (place << np.uint64(ROW_BITS)) | later
                least[other] = min(least[other], key)


@njit(nogil=True, cache=True)
def _change_counts(  # type: ignore[no-untyped-def]
    words, moved, low, high, blocks, is_moved, family, other_family, width, change
):
    """Move pairs of the images moved[low..high] in change[different, distance] to where they
    belong under the other families. Pairs of two images that are moved count with the later one."""
    n = len(family)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(len(blocks)):
        start = b * BLOCK
        end = min(BLOCK, n - start)
        for m in range(low, high):
            i = moved[m]
            for k in range(BLOCK):
                distances[k] = distance_in_block(words, m, blocks, b, k, width)
            for k in range(end):
                j = start + k
                if j == i or (is_moved[j] and j > i):
                    continue
                before = 0 if family[i] == family[j] else 1
                after = 0 if other_family[i] == other_family[j] else 1
                if before != after:
                    change[before, distances[k]] -= 1
                    change[after, distances[k]] += 1
