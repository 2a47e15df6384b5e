"""Near pairs by bit sampling, one by one: how many the passes find, which clustering unites without listing them.

Not for production: to a million hashes it takes longer than the exact engine (`scale.recall`).
"""

from functools import partial
from typing import Any

import numpy as np

from finlib.matching import near
from finlib.matching.pairs import (
    MAX_PAIRS,
    Packed,
    Pairs,
    check_hashes,
    check_radius,
    pairs_within,
    to_words,
)
from finlib.matching.sampling import PAIRS_PER_STEP, BitSampling


class Codes:
    """Pairs i < j, each once, as i * n + j; ValueError past `most` of them."""

    def __init__(self, n: int, most: int) -> None:
        self.n, self.most, self.row = n, most, np.empty(0, np.int64)
        self.more: list[Any] = []

    def take(self, i: Any, j: Any, distance: Any) -> None:
        self.more.append(np.minimum(i, j).astype(np.int64) * self.n + np.maximum(i, j))
        if sum(map(len, self.more)) > max(len(self.row), PAIRS_PER_STEP):
            self.merge(Codes(self.n, self.most))

    def merge(self, other: "Codes") -> None:
        codes = np.sort(np.concatenate([self.row, other.row, *self.more, *other.more]))
        self.row = codes[np.append(True, codes[1:] != codes[:-1])[: len(codes)]]
        self.more = []
        if len(self.row) > self.most:
            raise ValueError(
                f"more than {self.most:,} pairs are so near: take a smaller radius, or clusters"
            )

    def arrays(self) -> dict[str, Any]:
        """The pairs as named arrays, for a checkpoint."""
        return {"row": self.row}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Become the pairs that `arrays` came from."""
        self.row = arrays["row"]


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
    """Pairs i < j of hashes at most `radius` bits apart, as `matching.pairs_within` gives them, of which some may miss.

    Of the pairs `at` bits apart (by default radius) the share `recall` is expected to be found, of nearer ones more.
    The same pairs for the same seed, whatever it runs on. Small sets, where looking at every pair takes no longer, are
    left to the exact engine. Raises ValueError for wrong arguments and where more than `max_pairs` are found.
    """
    radius, n = check_radius(radius, 8 * check_hashes(packed).shape[1]), len(packed)
    resources, words = resources or near.Resources(), to_words(packed)
    order = np.lexsort(words.T)
    fresh = np.append(True, (words[order[1:]] != words[order[:-1]]).any(axis=1))[:n]
    start = np.append(np.flatnonzero(fresh), n)
    search = BitSampling(
        words[order[start[:-1]]], len(start) - 1, 8 * packed.shape[1], radius, seed
    )
    passes = search.passes(recall, radius if at is None else at)
    if n <= 4 * passes * near.EXACT:  # pairs found again and again are put in order, too
        return pairs_within(packed, radius, max_pairs=max_pairs, workers=resources.workers)
    codes = resources.run(search, passes, partial(Codes, search.indexed, max_pairs)).row
    a, b = np.divmod(codes, search.indexed)
    copies = np.diff(start)
    several = np.flatnonzero(copies > 1)
    a, b = np.concatenate([a, several]), np.concatenate([b, several])
    each = copies[a] * copies[b]
    if (each - (a == b) * (each + copies[a]) // 2).sum() > max_pairs:
        raise ValueError(
            f"with {n - len(copies):,} copies more than {max_pairs:,} pairs are so near: take clusters"
        )
    which = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    a, b = np.repeat(a, each), np.repeat(b, each)
    i, j = order[start[a] + which // copies[b]], order[start[b] + which % copies[b]]
    once = (a != b) | (i < j)
    i, j = np.divmod(np.sort((np.minimum(i, j) * n + np.maximum(i, j))[once]), n)
    distance = sum(
        np.bitwise_count(words[i, w] ^ words[j, w]).astype(np.int32) for w in range(words.shape[1])
    )
    return Pairs(i, j, np.asarray(distance, np.int32))
