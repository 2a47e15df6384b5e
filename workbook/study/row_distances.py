"""How to compare a dHash row by row: the choices, tried on one half and judged on the other.

A caption covers some rows of a picture and spoils their bits, all at once. So a row may count at
most `cap` of its 16 bits, and the other rows keep their say. What the cap should be, what to do
with rows that say nothing (flat ground: hardly any bit set, or nearly all), and whether another
grouping of the 256 bits does better is explored here, on every pair of a set.

**How the constants are chosen.** Every choice is tried on one half of the families of the built-in
set and of the meme templates, at the FPRs of the evidence rule. A choice is admitted where it
matches at most one pair in fifty of pictures with little detail at an FPR of 1e-5. Among the
admitted, those within a tenth of a percentage point of the best mean TPR count as equal; of these
the one with the simplest rule for flat rows is taken, then the smallest cap, which leaves any
single row the least say, then the smallest weight. First the row distance alone is chosen, then its
weight next to FINd with the same cap and the same rule for flat rows. The order among equals was
written down after a first look at all sets, and that look is disclosed with the rule of evidence.

The distance that was chosen is `finlib.matching.rows`; this module holds what it was chosen from.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from finlib.matching.hamming import popcount
from finlib.scoring.metrics import threshold_at
from workbook.study.evidence import RATES, attainable, family_pairs_at, tpr_at_realised

CAPS = (2, 3, 4, 5, 6, 16)
"""Bits that a row may count; 16 is the Hamming distance."""
FLAT_RULES = ("none", "both", "either")
"""Rows that are flat count as the cap: never, where both hashes' are, or where one's is."""
FLAT_BITS = (0, 1, 2)
"""A row is flat with at most this many bits set, or at most this many not set."""
WEIGHTS = (0, 1, 2, 3)
"""Of the row distance where it is added to FINd's Hamming distance; 0: it stands alone."""
GROUPINGS = ("rows", "columns", "blocks")
TRIMMED = (8, 12)
"""The best rows alone count, this many of them."""
PLAIN_MATCHED_AT_MOST = 1 / 50
PLAIN_RATE = 1e-5
EQUAL_WITHIN = 0.001


class Choice(NamedTuple):
    """One way to compare two dHashes of 256 bits, perhaps next to FINd."""

    grouping: str
    cap: int
    flat_rule: str
    flat_bits: int
    best: int
    """Rows that count: 16, or the best few of them."""
    weight: int
    """Of this distance where it is added to FINd's; 0 where it stands alone."""

    @property
    def most(self) -> int:
        """The greatest distance there can be."""
        rows = self.best * self.cap
        return rows if self.weight == 0 else 256 + self.weight * rows


HAMMING = Choice("rows", 16, "none", 0, 16, 0)
"""The Hamming distance of dHash alone."""


def choices() -> list[Choice]:
    """All that is tried, the Hamming distance among them."""
    tried = []
    for weight in WEIGHTS:
        tried.append(Choice("rows", 16, "none", 0, 16, weight))
        for cap in CAPS[:-1]:
            tried.append(Choice("rows", cap, "none", 0, 16, weight))
            for flat_rule in FLAT_RULES[1:]:
                for flat_bits in FLAT_BITS:
                    tried.append(Choice("rows", cap, flat_rule, flat_bits, 16, weight))
    for grouping in GROUPINGS[1:]:
        for cap in CAPS[:-1]:
            tried.append(Choice(grouping, cap, "none", 0, 16, 0))
    for best in TRIMMED:
        tried.append(Choice("rows", 16, "none", 0, best, 0))
    return tried


def grouped(dhash: np.ndarray, grouping: str) -> np.ndarray:
    """The 256 bits of each packed dHash as 16 groups (rows, columns or 4 x 4 blocks): uint16[n,
    16].
    """
    bits = np.unpackbits(dhash, axis=1).reshape(-1, 16, 16)
    if grouping == "columns":
        bits = bits.transpose(0, 2, 1)
    elif grouping == "blocks":
        bits = bits.reshape(-1, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4)
    packed = np.packbits(bits.reshape(-1, 16, 16), axis=2)
    return np.ascontiguousarray(packed).view(np.uint16)[..., 0]


def is_flat(groups: np.ndarray, flat_bits: int) -> np.ndarray:
    """bool[n, 16]: whether a group has at most this many bits set, or not set."""
    ones = np.bitwise_count(groups)
    return (ones <= flat_bits) | (ones >= 16 - flat_bits)


@njit(nogil=True, cache=True)
def _count_pairs(
    groups: Any,
    flat: Any,
    find: Any,
    family: Any,
    capped: Any,
    flat_rule: int,
    best: int,
    weight: int,
    counts: Any,
    closest: Any,
) -> None:
    """Count every pair in counts[same or different, distance], and keep the least of two families.

    capped: what a group counts by its bits that differ, uint8[65536]. closest: of each two
    families.
    """
    cap = capped[65535]
    ordered = np.empty(16, np.uint8)
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            total = 0
            for row in range(16):
                cost = capped[groups[i, row] ^ groups[j, row]]
                if flat_rule == 1 and flat[i, row] and flat[j, row]:
                    cost = cap
                if flat_rule == 2 and (flat[i, row] or flat[j, row]):
                    cost = cap
                ordered[row] = cost
                total += cost
            if best < 16:
                ordered.sort()
                total = 0
                for row in range(best):
                    total += ordered[row]
            if weight:
                total *= weight
                for word in range(find.shape[1]):
                    total += popcount(find[i, word] ^ find[j, word])
            if family[i] == family[j]:
                counts[0, total] += 1
            else:
                counts[1, total] += 1
                if total < closest[family[i], family[j]]:
                    closest[family[i], family[j]] = total


def count_pairs(
    find: np.ndarray, dhash: np.ndarray, labels: Sequence[str], choice: Choice
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a set compared in one way: counts int64[2, distances], and the least by
    families.

    find, dhash: packed hashes of the same images, uint8[n, 32].
    """
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    families = int(family.max()) + 1
    groups = grouped(dhash, choice.grouping)
    capped = np.minimum(np.bitwise_count(np.arange(1 << 16)), choice.cap).astype(np.uint8)
    counts = np.zeros((2, choice.most + 1), np.int64)
    closest = np.full((families, families), choice.most + 1, np.int64)
    words = np.ascontiguousarray(find).view(np.uint64)
    flat = is_flat(groups, choice.flat_bits)
    flat_rule = FLAT_RULES.index(choice.flat_rule)
    _count_pairs(
        groups,
        flat,
        words,
        family,
        capped,
        flat_rule,
        choice.best,
        choice.weight,
        counts,
        closest,
    )
    closest = np.minimum(closest, closest.T)
    return counts, closest[np.triu_indices(families, 1)]


def explore(
    find: np.ndarray, dhash: np.ndarray, labels: Sequence[str], tried: Sequence[Choice]
) -> pd.DataFrame:
    """The TPR of every choice at the FPRs of the rule.

    Columns: those of Choice, rate, tpr, family_pairs (behind the false pairs).
    """
    records = []
    for choice in tried:
        counts, closest = count_pairs(find, dhash, labels, choice)
        for rate in RATES:
            tpr = tpr_at_realised(counts, rate)
            records.append((*choice, rate, tpr, family_pairs_at(counts, closest, rate)))
    return pd.DataFrame(records, columns=[*Choice._fields, "rate", "tpr", "family_pairs"])


def plain_matched(
    find: np.ndarray,
    dhash: np.ndarray,
    labels: Sequence[str],
    plain_find: np.ndarray,
    plain_dhash: np.ndarray,
    tried: Sequence[Choice],
) -> pd.DataFrame:
    """The share of pairs of pictures with little detail that each choice matches at PLAIN_RATE.

    Columns: those of Choice, threshold (in bits, -1 where nothing is let in), plain (the share). A
    set with too few pairs for PLAIN_RATE is measured at the strictest rate that it has pairs for;
    ValueError where there are too few for any.
    """
    different = [str(number) for number in range(len(plain_find))]
    records = []
    for choice in tried:
        counts, _ = count_pairs(find, dhash, labels, choice)
        rate = attainable(counts, PLAIN_RATE)
        if np.isnan(rate):
            raise ValueError(
                f"the set has {counts[1].sum():,} pairs of images of two families, which are too "
                "few to choose a row distance on: give a set with more families"
            )
        threshold = int(threshold_at(counts, rate))
        of_plain = count_pairs(plain_find, plain_dhash, different, choice)[0][1]
        share = of_plain[: threshold + 1].sum() / of_plain.sum()
        records.append((*choice, threshold, share))
    return pd.DataFrame(records, columns=[*Choice._fields, "threshold", "plain"])


def choose(explored: pd.DataFrame, plain: pd.DataFrame) -> tuple[Choice, Choice]:
    """The row distance alone and the one added to FINd, by the rule in this module's docstring.

    explored, plain: frames of `explore` and `plain_matched`, those of several sets put together.
    """
    fields = list(Choice._fields)
    means = explored.groupby(fields)["tpr"].mean()
    admitted = plain.groupby(fields)["plain"].max() <= PLAIN_MATCHED_AT_MOST
    means = means[admitted.reindex(means.index)]
    scored = {Choice(*key): tpr for key, tpr in means.items()}
    by_rows = {one: tpr for one, tpr in scored.items() if one.grouping == "rows"}
    alone = _simplest({one: tpr for one, tpr in by_rows.items() if one.weight == 0})
    alike = {
        one: tpr
        for one, tpr in by_rows.items()
        if one.weight > 0 and one._replace(weight=0) == alone
    }
    return alone, _simplest(alike)


def _simplest(scored: dict[Choice, float]) -> Choice:
    """The simplest of the choices that are as good as the best."""
    best = max(scored.values())
    equal = [one for one, tpr in scored.items() if tpr >= best - EQUAL_WITHIN]
    return min(equal, key=_simplicity)


def _simplicity(choice: Choice) -> tuple[int, int, int, int, int]:
    flat_rule = ("none", "either", "both").index(choice.flat_rule)
    return 16 - choice.best, flat_rule, choice.flat_bits, choice.cap, choice.weight
