"""List near pairs by bit sampling, to measure how many of them its passes find.

Clustering unites near pairs without listing them. Up to a million hashes, listing them in this way
takes longer than the exact engine does (`scale.recall`): it is not for production.
"""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from finlib.clustering.centres import Groups
from finlib.matching import near
from finlib.matching.packed import Packed, Words, check_hashes, check_radius, to_words
from finlib.matching.pairs import MAX_PAIRS, Pairs, pairs_within
from finlib.matching.sampling import PAIRS_PER_STEP, BitSampling

Integers = npt.NDArray[np.int64]


class PairCollector:
    """Collect the pairs i < j that passes find, each once, as the number i * n + j.

    codes: int64[pairs], ascending once `merge` has put everything together. Raises ValueError where
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
        self.unsorted.append(low * self.n + np.maximum(i, j))
        if sum(map(len, self.unsorted)) > max(len(self.codes), PAIRS_PER_STEP):
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

    Of the pairs `at` bits apart (by default the radius) the share `recall` is expected to be found,
    of nearer ones more. The same seed gives the same pairs, whatever `resources` the search runs
    on. Small sets are left to the exact engine, which takes no longer there. Raises ValueError for
    wrong arguments and where more than `max_pairs` are found.
    """
    radius = check_radius(radius, 8 * check_hashes(packed).shape[1])
    resources = resources or near.Resources()
    words = to_words(packed)
    copies = _group_copies(words)
    first = copies.order[copies.start[:-1]]
    search = BitSampling(words[first], len(first), 8 * packed.shape[1], radius, seed)
    passes = search.passes(recall, radius if at is None else at)
    # Pairs that are found again and again have to be sorted, too: hence 4.
    if len(packed) <= 4 * passes * near.EXACT:
        return pairs_within(
            packed,
            radius,
            max_pairs=max_pairs,
            workers=resources.workers,
        )
    codes = resources.run(search, passes, partial(PairCollector, len(first), max_pairs)).codes
    group, other_group = np.divmod(codes, len(first))
    i, j = _pairs_of_groups(copies, group, other_group, max_pairs)
    distance = np.zeros(len(i), np.int32)
    for word in range(words.shape[1]):
        distance += np.bitwise_count(words[i, word] ^ words[j, word])
    return Pairs(i, j, distance)


def _group_copies(words: Words) -> Groups:
    """Group the rows that have the same hash."""
    order = np.lexsort(words.T)
    differs = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    is_first = np.append(True, differs)[: len(words)]
    return Groups(order, np.append(np.flatnonzero(is_first), len(words)))


def _pairs_of_groups(
    copies: Groups, group: Integers, other_group: Integers, max_pairs: int
) -> tuple[Integers, Integers]:
    """The pairs of rows i < j of pairs of different groups, and of copies in one; sorted."""
    n = len(copies.order)
    size = np.diff(copies.start)
    with_copies = np.flatnonzero(size > 1)
    group = np.concatenate([group, with_copies])
    other_group = np.concatenate([other_group, with_copies])
    combinations = size[group] * size[other_group]
    # Of the n * n combinations of one group, n * (n - 1) / 2 are pairs.
    surplus = np.where(group == other_group, (combinations + size[group]) // 2, 0)
    if (combinations - surplus).sum() > max_pairs:
        raise ValueError(
            f"with {n - len(size):,} copies more than {max_pairs:,} pairs are within the radius: "
            "cluster the hashes instead"
        )
    before = np.cumsum(combinations) - combinations
    number = np.arange(combinations.sum()) - np.repeat(before, combinations)
    group = np.repeat(group, combinations)
    other_group = np.repeat(other_group, combinations)
    place, other_place = np.divmod(number, size[other_group])
    i = copies.order[copies.start[group] + place]
    j = copies.order[copies.start[other_group] + other_place]
    is_pair = (group != other_group) | (i < j)
    codes = np.minimum(i, j) * n + np.maximum(i, j)
    low, high = np.divmod(np.sort(codes[is_pair]), n)
    return low, high
