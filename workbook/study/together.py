"""Two hashes together: sums, weighted sums, AND, OR and a cascade of their distances.

`joint` counts every pair of images once by both distances, so that any rule on the two distances
can be scored without looking at a pair again. What a rule needs to know (a weight, two thresholds)
is chosen on one half of the families and judged on the other.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from finlib.matching.hamming import popcount
from finlib.matching.packed import to_words
from finlib.pools import in_threads
from workbook.study.evidence import tpr_at_realised
from workbook.study.uncertainty import half_weights

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = 4  # a weighted sum is counted in quarters of a bit
STRIP = 1024  # images that one thread compares with all later ones


class Judged(NamedTuple):
    """What one rule accepts: the shares of matching and of non-matching pairs."""

    rule: str
    tpr: float
    fpr: float


class Saved(NamedTuple):
    """Matching pairs that one hash misses and the other finds most surely."""

    by_second: pd.DataFrame
    by_first: pd.DataFrame


def distances(packed: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Bits from each of the rows start..stop to every row from `start` on: int64[rows, others]."""
    whole_words = packed.shape[1] % 8 == 0
    words = np.ascontiguousarray(packed).view(np.uint64) if whole_words else packed
    different = words[start:stop, None] ^ words[None, start:]
    return np.bitwise_count(different).sum(axis=2, dtype=np.int64)


def joint(
    one: np.ndarray, other: np.ndarray, labels: Any, *, workers: int | None = None
) -> np.ndarray:
    """Pairs of one family (0) and of two (1) by both distances: int64[2, A + 1, B + 1].

    one, other: packed hashes of A and of B bits of the same images. labels: their families.
    """
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    size = (2, 8 * one.shape[1] + 1, 8 * other.shape[1] + 1)
    first_words = to_words(one)
    second_words = to_words(other)
    images = len(family)

    def count(low: int, high: int) -> np.ndarray:
        counts = np.zeros(size, np.int64)
        _count_jointly(first_words, second_words, family, low, high, counts)
        return counts

    cuts = [*range(0, images, STRIP), images]
    total = np.zeros(size, np.int64)
    for counts in in_threads(count, pairwise(cuts), workers):
        total += counts
    return total


@njit(nogil=True, cache=True)
def _count_jointly(one, other, family, low, high, counts):  # type: ignore[no-untyped-def]
    """Count the pairs of the images low..high with later ones in counts[different, a, b]."""
    for i in range(low, high):
        for j in range(i + 1, len(family)):
            first = 0
            for word in range(one.shape[1]):
                first += popcount(one[i, word] ^ one[j, word])
            second = 0
            for word in range(other.shape[1]):
                second += popcount(other[i, word] ^ other[j, word])
            different = 0 if family[i] == family[j] else 1
            counts[different, first, second] += 1


def weighted(table: np.ndarray, weight: float) -> np.ndarray:
    """Counts of the distance a + weight * b in steps of a quarter bit: [2, most + 1]."""
    first = np.arange(table.shape[1])
    second = np.arange(table.shape[2])
    total = (STEPS * first[:, None] + round(STEPS * weight) * second[None]).ravel()
    size = total.max() + 1
    return np.stack([np.bincount(total, counts.ravel(), minlength=size) for counts in table])


def both(table: np.ndarray, rate: float) -> tuple[int, int]:
    """The thresholds of AND that accept most matching pairs at this rate of non-matching ones.

    A pair is accepted where both distances are within their thresholds.
    """
    return _best_thresholds(_within_both(table), table, rate)


def either(table: np.ndarray, rate: float) -> tuple[int, int]:
    """The thresholds of OR: a pair is accepted where one distance is within its own threshold."""
    return _best_thresholds(_within_either(table), table, rate)


def _within_both(table: np.ndarray) -> np.ndarray:
    """Pairs within both thresholds, for every two thresholds."""
    return table.cumsum(axis=1).cumsum(axis=2)


def _within_either(table: np.ndarray) -> np.ndarray:
    """Pairs within one of the thresholds at least, for every two thresholds."""
    within_first = table.sum(axis=2).cumsum(axis=1)
    within_second = table.sum(axis=1).cumsum(axis=1)
    return within_first[:, :, None] + within_second[:, None, :] - _within_both(table)


def _best_thresholds(accepted: np.ndarray, table: np.ndarray, rate: float) -> tuple[int, int]:
    """Of the thresholds that accept few enough non-matching pairs those with most matching ones."""
    few_enough = accepted[1] <= rate * table[1].sum()
    matching = np.where(few_enough, accepted[0], -1)
    first, second = np.unravel_index(int(np.argmax(matching)), matching.shape)
    return int(first), int(second)


def _judged(rule: str, accepted: np.ndarray, table: np.ndarray) -> Judged:
    """The shares of both kinds of pairs that a rule accepts; nan where there are no such pairs."""
    shares = []
    for part, total in zip(accepted, table.sum(axis=(1, 2)), strict=True):
        shares.append(float(part / total) if total else float("nan"))
    return Judged(rule, *shares)


def halved(
    one: np.ndarray, other: np.ndarray, labels: Any, *, splits: int = 2, seed: int = 2026
) -> list[np.ndarray]:
    """The joint tables of both halves of the families, for each split one after the other.

    A table serves every rate, so that no pair is compared again for another one.
    """
    labels = np.asarray(labels)
    families = np.unique(labels)
    tables = []
    for half in half_weights(len(families), splits, seed):
        in_half = half[np.searchsorted(families, labels)] == 1
        for part in (in_half, ~in_half):
            tables.append(joint(one[part], other[part], labels[part]))
    return tables


def rules(tables: Sequence[np.ndarray], rate: float) -> pd.DataFrame:
    """Score each rule for two hashes: chosen on half of the families and judged on the other half.

    tables: from `halved`. Columns: rule, tpr, fpr (realised), low and high (the least and the
    greatest TPR of any half, no interval); tpr and fpr are means over all halves. The first two
    rows are the hashes alone. A sum's TPR is at the rate exactly; that of AND, OR and the cascade
    at thresholds that were chosen on the other half. The cascade accepts what the first hash
    accepts at a tenth of the rate, and what both accept. Rates are nan where halves have no such
    pairs.
    """
    judged: list[Judged] = []
    for first, second in zip(tables[::2], tables[1::2], strict=True):
        judged += judge_rules(first, second, rate)
        judged += judge_rules(second, first, rate)
    by_rule = pd.DataFrame(judged).groupby("rule", sort=False)
    summary = by_rule.agg(
        tpr=("tpr", "mean"), fpr=("fpr", "mean"), low=("tpr", "min"), high=("tpr", "max")
    )
    return summary.reset_index()


def judge_rules(fit: np.ndarray, judge: np.ndarray, rate: float) -> list[Judged]:
    """Every rule, with what it needs to know chosen on one joint table and judged on another."""

    def of_weight(table: np.ndarray, weight: float) -> float:
        return tpr_at_realised(weighted(table, weight), rate)

    best = max(WEIGHTS, key=lambda weight: of_weight(fit, weight))
    first, second = both(fit, rate)
    within_both = _within_both(judge)[:, first, second]
    first, second = either(fit, rate)
    within_either = _within_either(judge)[:, first, second]
    return [
        Judged("first alone", tpr_at_realised(judge.sum(axis=2), rate), rate),
        Judged("second alone", tpr_at_realised(judge.sum(axis=1), rate), rate),
        Judged("sum", of_weight(judge, 1.0), rate),
        Judged("weighted sum", of_weight(judge, best), rate),
        _judged("both (AND)", within_both, judge),
        _judged("either (OR)", within_either, judge),
        _judge_cascade(fit, judge, rate),
    ]


def _judge_cascade(fit: np.ndarray, judge: np.ndarray, rate: float) -> Judged:
    """The first hash alone at a tenth of the rate, and both together for the rest of the pairs."""
    false_share = fit[1].sum(axis=1).cumsum() / max(fit[1].sum(), 1)
    sure = max(int(np.searchsorted(false_share, rate / 10, side="right")) - 1, 0)
    fit_rest = fit.copy()
    fit_rest[:, : sure + 1] = 0
    judge_rest = judge.copy()
    judge_rest[:, : sure + 1] = 0
    first, second = _best_thresholds(_within_both(fit_rest), fit, rate * 0.9)
    of_first = judge[:, : sure + 1].sum(axis=(1, 2))
    of_both = _within_both(judge_rest)[:, first, second]
    return _judged("cascade", of_first + of_both, judge)


def correlation(table: np.ndarray) -> tuple[float, float]:
    """Pearson's correlation of the two distances, for pairs of one family and of two."""
    return _correlation(table[0]), _correlation(table[1])


def _correlation(counts: np.ndarray) -> float:
    first = np.arange(counts.shape[0], dtype=np.float64)
    second = np.arange(counts.shape[1], dtype=np.float64)
    share = counts / counts.sum()
    of_first = share.sum(axis=1)
    of_second = share.sum(axis=0)
    from_first_mean = first - first @ of_first
    from_second_mean = second - second @ of_second
    covariance = from_first_mean @ share @ from_second_mean
    variances = (from_first_mean**2 @ of_first) * (from_second_mean**2 @ of_second)
    return float(covariance / np.sqrt(variances))


def saved(
    one: np.ndarray, other: np.ndarray, labels: Any, thresholds: tuple[float, float], count: int = 4
) -> Saved:
    """Matching pairs that the first hash misses and the second finds most surely, and the reverse.

    thresholds: of the first hash and of the second. Each frame has columns i, j (rows), a, b (the
    distances by the first and the second hash) and family; one pair a family, at most `count`.
    """
    pairs = _pairs_of_families(one, other, np.asarray(labels))
    first_finds = pairs["a"] <= thresholds[0]
    second_finds = pairs["b"] <= thresholds[1]
    by_second = pairs[~first_finds & second_finds].sort_values(["b", "i", "j"])
    by_first = pairs[first_finds & ~second_finds].sort_values(["a", "i", "j"])
    return Saved(
        by_second.drop_duplicates("family").head(count),
        by_first.drop_duplicates("family").head(count),
    )


def _pairs_of_families(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """All pairs of images of one family with both distances: columns i, j, a, b, family."""
    frames = []
    for family in np.unique(labels):
        members = np.flatnonzero(labels == family)
        i, j = np.triu_indices(len(members), 1)
        columns = {
            "i": members[i],
            "j": members[j],
            "a": distances(one[members], 0, len(members))[i, j],
            "b": distances(other[members], 0, len(members))[i, j],
            "family": family,
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
