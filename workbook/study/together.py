"""Two hashes together: sums, weighted sums, AND, OR and a cascade, from the joint histogram of their distances.

`joint` counts every pair of images once by both distances, so that any rule on the two needs no pair to be looked at
again. What a rule needs to know (a weight, two thresholds) is chosen on one half of the families and judged on the
other.
"""

from typing import Any

import numpy as np
import pandas as pd

from workbook.study.evidence import tpr_at_realised
from workbook.study.uncertainty import half_weights

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)


def distances(packed: np.ndarray, start: int, stop: int) -> np.ndarray:
    """int64[stop - start, n - start]: bits from each of these rows to every row from `start` on."""
    words = np.ascontiguousarray(packed).view(np.uint64) if packed.shape[1] % 8 == 0 else packed
    return np.bitwise_count(words[start:stop, None] ^ words[None, start:]).sum(
        axis=2, dtype=np.int64
    )


def joint(one: np.ndarray, other: np.ndarray, labels: Any) -> np.ndarray:
    """int64[2, A + 1, B + 1]: pairs of one family (0) and of two (1) by both distances, of A and B bits."""
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    wide, size = 8 * other.shape[1] + 1, (8 * one.shape[1] + 1) * (8 * other.shape[1] + 1)
    counts = np.zeros(2 * size, np.int64)
    for start in range(0, len(family), 64):
        stop = min(start + 64, len(family))
        cell = distances(one, start, stop) * wide + distances(other, start, stop)
        cell += (family[start:stop, None] != family[None, start:]) * size
        later = np.arange(start, len(family))[None] > np.arange(start, stop)[:, None]
        counts += np.bincount(cell[later], minlength=2 * size)
    return counts.reshape(2, -1, wide)


def weighted(table: np.ndarray, weight: float) -> np.ndarray:
    """[2, most + 1] counts of the distance a + weight * b, in steps of a quarter."""
    a, b = (np.arange(size) for size in table.shape[1:])
    total = (4 * a[:, None] + round(4 * weight) * b[None]).ravel()
    return np.stack([np.bincount(total, row.ravel(), minlength=total.max() + 1) for row in table])


def both(table: np.ndarray, rate: float) -> tuple[int, int]:
    """The thresholds (a, b) of AND, both distances within, that accept most family pairs at a rate of false ones."""
    return _best(table.cumsum(axis=1).cumsum(axis=2), table, rate)


def either(table: np.ndarray, rate: float) -> tuple[int, int]:
    """The thresholds of OR, one distance within its own."""
    return _best(_within_either(table), table, rate)


def _within_either(table: np.ndarray) -> np.ndarray:
    one, other = table.sum(axis=2).cumsum(axis=1), table.sum(axis=1).cumsum(axis=1)
    return one[:, :, None] + other[:, None, :] - table.cumsum(axis=1).cumsum(axis=2)


def _best(accepted: np.ndarray, table: np.ndarray, rate: float) -> tuple[int, int]:
    allowed = np.where(accepted[1] <= rate * table[1].sum(), accepted[0], -1)
    a, b = np.unravel_index(int(np.argmax(allowed)), allowed.shape)
    return int(a), int(b)


def _rates(accepted: np.ndarray, table: np.ndarray) -> tuple[float, float]:
    """The shares of both kinds of pairs that are accepted, nan where there are none."""
    true, false = (
        part / total if total else np.nan
        for part, total in zip(accepted, table.sum(axis=(1, 2)), strict=True)
    )
    return float(true), float(false)


def rules(
    one: np.ndarray,
    other: np.ndarray,
    labels: Any,
    rate: float,
    *,
    splits: int = 2,
    seed: int = 2026,
) -> pd.DataFrame:
    """Each rule for two hashes, what it needs chosen on half of the families and judged on the other half.

    Columns: rule, tpr, fpr (realised), low and high of tpr over the halves; means over 2 x `splits` halves. The first
    two rows are the hashes alone. A sum's TPR is at the rate exactly; that of AND, OR and the cascade at thresholds
    chosen on the other half. The cascade accepts what the first hash does at a tenth of the rate, and what both do.
    Rates are nan where halves have no such pairs.
    """
    labels = np.asarray(labels)
    names = np.unique(labels)
    rows = []
    for half in half_weights(len(names), splits, seed):
        chosen = half[np.searchsorted(names, labels)] == 1
        tables = [joint(one[part], other[part], labels[part]) for part in (chosen, ~chosen)]
        for fit, judge in (tables, tables[::-1]):
            rows += _judged(fit, judge, rate)
    frame = pd.DataFrame(rows, columns=["rule", "tpr", "fpr"])
    found = frame.groupby("rule", sort=False).agg(
        tpr=("tpr", "mean"), fpr=("fpr", "mean"), low=("tpr", "min"), high=("tpr", "max")
    )
    return found.reset_index()


def _judged(fit: np.ndarray, judge: np.ndarray, rate: float) -> list[tuple[str, float, float]]:
    rows = [("first alone", tpr_at_realised(judge.sum(axis=2), rate), rate)]
    rows.append(("second alone", tpr_at_realised(judge.sum(axis=1), rate), rate))
    rows.append(("sum", tpr_at_realised(weighted(judge, 1.0), rate), rate))
    best = max(WEIGHTS, key=lambda weight: tpr_at_realised(weighted(fit, weight), rate))
    rows.append(("weighted sum", tpr_at_realised(weighted(judge, best), rate), rate))
    corner = judge.cumsum(axis=1).cumsum(axis=2)
    rows.append(("both (AND)", *_rates(corner[:, *both(fit, rate)], judge)))
    rows.append(("either (OR)", *_rates(_within_either(judge)[:, *either(fit, rate)], judge)))
    false = fit[1].sum(axis=1).cumsum() / max(fit[1].sum(), 1)
    sure = max(int(np.searchsorted(false, rate / 10, side="right")) - 1, 0)
    rest_fit, rest = (
        np.concatenate([0 * t[:, : sure + 1], t[:, sure + 1 :]], axis=1) for t in (fit, judge)
    )
    at = _best(rest_fit.cumsum(axis=1).cumsum(axis=2), fit, rate * 0.9)
    accepted = rest.cumsum(axis=1).cumsum(axis=2)[:, at[0], at[1]] + judge[:, : sure + 1].sum(
        axis=(1, 2)
    )
    return [*rows, ("cascade", *_rates(accepted, judge))]


def correlation(table: np.ndarray) -> tuple[float, float]:
    """Pearson's correlation of the two distances, for pairs of one family and of two."""
    a, b = (np.arange(size, dtype=np.float64) for size in table.shape[1:])
    found = []
    for counts in table:
        share = counts / counts.sum()
        mean_a, mean_b = a @ share.sum(axis=1), b @ share.sum(axis=0)
        covariance = (a - mean_a) @ share @ (b - mean_b)
        spread = ((a - mean_a) ** 2 @ share.sum(axis=1)) * ((b - mean_b) ** 2 @ share.sum(axis=0))
        found.append(float(covariance / np.sqrt(spread)))
    return found[0], found[1]


def saved(
    one: np.ndarray, other: np.ndarray, labels: Any, thresholds: tuple[float, float], count: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Family pairs that the first hash misses and the second finds most surely, and the other way round.

    Each with columns i, j, a, b (distances), one pair a family, at most `count`.
    """
    labels, rows = np.asarray(labels), []
    for family in np.unique(labels):
        members = np.flatnonzero(labels == family)
        x, y = np.triu_indices(len(members), 1)
        a, b = (distances(rows_[members], 0, len(members))[x, y] for rows_ in (one, other))
        rows.append(
            pd.DataFrame({"i": members[x], "j": members[y], "a": a, "b": b, "family": family})
        )
    frame = pd.concat(rows, ignore_index=True)
    by_second = frame[(frame["a"] > thresholds[0]) & (frame["b"] <= thresholds[1])].sort_values(
        ["b", "i", "j"]
    )
    by_first = frame[(frame["a"] <= thresholds[0]) & (frame["b"] > thresholds[1])].sort_values(
        ["a", "i", "j"]
    )
    return tuple(part.drop_duplicates("family").head(count) for part in (by_second, by_first))  # type: ignore[return-value]
