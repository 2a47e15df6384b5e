"""List near pairs by bit sampling, to measure how many of them its passes find.

Clustering only unites near pairs and never lists them. This list is for measurements and not for
production: with up to a million hashes it takes longer than the exact engine does (`scale.recall`).
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from finlib.matching import near
from finlib.matching.hamming import Hamming
from finlib.matching.packed import Packed, Words, check_hashes, check_radius, to_words
from finlib.matching.pairs import MAX_PAIRS, Pairs, pairs_within
from finlib.matching.sampling import PAIRS_PER_STEP, BitSampling

Integers = npt.NDArray[np.int64]


class Copies(NamedTuple):
    """Rows in groups of equal hashes: those of group g are order[start[g]:start[g + 1]]."""

    order: Integers  # [rows]
    start: Integers  # [groups + 1]; the last is the number of rows


class PairCollector:
    """Collect the pairs i < j of n hashes that passes find, each of them once.

    A pair is stored as the number i * n + j, its code. codes: int64[pairs], ascending and complete
    after `merge`. unsorted: arrays of codes that are not yet among them. Raises ValueError where
    there are more than `most` pairs.
    """

    def __init__(self, n: int, most: int) -> None:
        self.n = n
        self.most = most
        self.codes = np.empty(0, np.int64)
        self.unsorted: list[Any] = []

    def take(self, i: Any, j: Any, distance: Any) -> None:
        """Add pairs in any order, some of which may have been added before."""
        low = np.minimum(i, j).astype(np.int64)
        high = np.maximum(i, j)
        self.unsorted.append(low * self.n + high)
        waiting = sum(len(codes) for codes in self.unsorted)
        if waiting > max(len(self.codes), PAIRS_PER_STEP):
            self.merge(PairCollector(self.n, self.most))

    def merge(self, other: "PairCollector") -> None:
        """Add the pairs of another collection."""
        parts = [self.codes, other.codes, *self.unsorted, *other.unsorted]
        self.codes = np.unique(np.concatenate(parts))
        self.unsorted = []
        if len(self.codes) > self.most:
            raise ValueError(
                f"more than {self.most:,} pairs are within the radius: take a smaller radius, "
                "or cluster the hashes"
            )

    def arrays(self) -> dict[str, Any]:
        """The pairs as named arrays, for a checkpoint."""
        return {"codes": self.codes}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Become the pairs that `arrays` came from."""
        self.codes = arrays["codes"]


def near_pairs(
    packed: Packed,
    radius: int,
    *,
    recall: float = 0.95,
    at: int | None = None,
    seed: int = 2026,
    max_pairs: int = MAX_PAIRS,
    resources: near.Resources | None = None,
) -> Pairs:
    """List most of the pairs i < j at most `radius` bits apart, in the order of `pairs_within`.

    The share `recall` of the pairs that are `at` bits apart is expected to be found, and a larger
    share of nearer ones; by default `at` is the radius. The same seed gives the same pairs,
    whatever `resources` the search runs on. The exact engine compares small sets, for which it
    takes no longer. Raises ValueError for wrong arguments and where more than `max_pairs` are
    found.
    """
    radius = check_radius(radius, 8 * check_hashes(packed).shape[1])
    resources = resources or near.Resources()
    words = to_words(packed)
    copies = _group_copies(words)
    distinct = copies.order[copies.start[:-1]]
    size = packed.shape[1]
    search = BitSampling(words[distinct], len(distinct), radius, Hamming(size), seed)
    counted_at = radius if at is None else at

    def share_of_pairs(passes: int) -> float:
        return float(search.recall(counted_at, passes)[0])

    passes = search.passes(recall, share_of_pairs)
    # The factor of 4 is for the sorting of pairs, many of which several passes find.
    if len(packed) <= 4 * passes * near.EXACT:
        return pairs_within(
            packed,
            radius,
            max_pairs=max_pairs,
            workers=resources.workers,
        )
    make = partial(PairCollector, len(distinct), max_pairs)
    codes = resources.run(search, passes, make).codes
    group, other_group = np.divmod(codes, len(distinct))
    i, j = _pairs_of_groups(copies, group, other_group, max_pairs)
    distance = np.zeros(len(i), np.int32)
    for word in range(words.shape[1]):
        different = words[i, word] ^ words[j, word]
        distance += np.bitwise_count(different)
    return Pairs(i, j, distance)


def _group_copies(words: Words) -> Copies:
    """Group the rows that have the same hash."""
    n = len(words)
    order = np.lexsort(words.T)
    in_order = words[order]
    is_first = np.ones(n, np.bool_)
    is_first[1:] = (in_order[1:] != in_order[:-1]).any(axis=1)
    start = np.append(np.flatnonzero(is_first), n)
    return Copies(order, start)


def _pairs_of_groups(
    copies: Copies, group: Integers, other_group: Integers, max_pairs: int
) -> tuple[Integers, Integers]:
    """List the pairs of rows i < j that pairs of groups stand for, sorted.

    All rows of a group have the same hash. Every row of group[k] makes a pair with every row of
    other_group[k], and the rows within each group make pairs with each other. Raises ValueError
    where that gives more than `max_pairs`.
    """
    n = len(copies.order)
    size = np.diff(copies.start)
    with_copies = np.flatnonzero(size > 1)
    group = np.concatenate([group, with_copies])
    other_group = np.concatenate([other_group, with_copies])
    if _count_pairs(size, group, other_group) > max_pairs:
        raise ValueError(
            f"with {n - len(size):,} copies more than {max_pairs:,} pairs are within the radius: "
            "cluster the hashes instead"
        )
    combinations = size[group] * size[other_group]
    before = np.cumsum(combinations) - combinations
    # The combinations of each pair of groups are numbered from 0.
    number = np.arange(combinations.sum()) - np.repeat(before, combinations)
    group = np.repeat(group, combinations)
    other_group = np.repeat(other_group, combinations)
    place, other_place = np.divmod(number, size[other_group])
    i = copies.order[copies.start[group] + place]
    j = copies.order[copies.start[other_group] + other_place]
    is_pair = (group != other_group) | (i < j)
    low = np.minimum(i, j)
    high = np.maximum(i, j)
    codes = low * n + high
    codes = np.sort(codes[is_pair])
    i, j = np.divmod(codes, n)
    return i, j


def _count_pairs(size: Integers, group: Integers, other_group: Integers) -> int:
    """Count the pairs of rows of pairs of groups, which may be a group paired with itself."""
    of_two = size[group] * size[other_group]
    of_one = size[group] * (size[group] - 1) // 2
    return int(np.where(group == other_group, of_one, of_two).sum())
