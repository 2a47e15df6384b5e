"""Measure how certain a score is: intervals over families, and thresholds tried on unseen families.

Families are resampled, not pairs, because the pairs of one family depend on one another. A resample
only changes the weights of histograms (`histograms.family_histograms`), so that a thousand of them
compare no pair again.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import beta

from finlib.scoring.metrics import RATES, Counts, rate_at, threshold_at

BLOCK = 64  # resamples counted together, which bounds the memory


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def family_weights(groups: int, resamples: int, seed: int) -> np.ndarray:
    """How often each group of families is drawn, with replacement: float64[resamples, groups].

    The same arguments give the same draws. Use them for every method, so that differences between
    methods are paired.
    """
    rng = np.random.default_rng(seed)
    equal = np.full(groups, 1 / groups)
    draws = rng.multinomial(groups, equal, size=resamples)
    return draws.astype(np.float64)


def half_weights(groups: int, splits: int, seed: int) -> np.ndarray:
    """A random half of the groups in each split: float64[splits, groups], 1 inside and 0 outside.

    `1 - half_weights(...)` is the other half.
    """
    rng = np.random.default_rng(seed)
    every_group = np.tile(np.arange(groups), (splits, 1))
    order = rng.permuted(every_group, axis=1)
    return (order < groups // 2).astype(np.float64)


def weighted_counts(same: Counts, different: Counts, weights: np.ndarray) -> np.ndarray:
    """Count pairs by distance when group g of families occurs `weights[:, g]` times.

    float64[resamples, 2, bits + 1], as in `finlib.scoring.metrics`. `same` is [groups, bits + 1]
    and `different` [groups, groups, bits + 1], with each pair counted once on or above the diagonal
    (`histograms.family_histograms`). Pairs inside a group of weight w count w times, pairs between
    two groups w times the other's weight. A group drawn twice is not paired with its own copy.
    """
    groups, size = same.shape
    diagonal = np.arange(groups)
    between = different.astype(np.float64)
    inside = between[diagonal, diagonal].copy()
    between[diagonal, diagonal] = 0
    flat = between.reshape(groups, -1)
    counts = np.empty((len(weights), 2, size))
    counts[:, 0] = weights @ same
    for start in range(0, len(weights), BLOCK):
        block = weights[start : start + BLOCK]
        partners = block @ flat
        partners = partners.reshape(len(block), groups, size)
        pairs_between = np.einsum("bh,bhk->bk", block, partners)
        counts[start : start + BLOCK, 1] = pairs_between + block @ inside
    return counts


def interval(value: float, resampled: np.ndarray, confidence: float = 0.95) -> Interval:
    """The percentile interval of a resampled statistic around its value.

    The ends are NaN where the value is, or where every resampled one is.
    """
    if np.isnan(value) or np.isnan(resampled).all():
        return Interval(value, float("nan"), float("nan"))
    margin = 50 * confidence
    low, high = np.nanpercentile(resampled, [50 - margin, 50 + margin])
    return Interval(value, float(low), float(high))


def held_out(
    same: Counts,
    different: Counts,
    *,
    rates: Sequence[float] = RATES,
    splits: int = 200,
    seed: int = 2026,
) -> pd.DataFrame:
    """Choose thresholds on a random half of the families and judge them on the other, repeatedly.

    Columns: split, intended (the false-positive rate that the threshold was chosen for), threshold,
    fpr and tpr (both on the other half).
    """
    halves = half_weights(len(same), splits, seed)
    fitted = weighted_counts(same, different, halves)
    judged = weighted_counts(same, different, 1 - halves)
    trials = []
    for split in range(splits):
        for rate in rates:
            threshold = threshold_at(fitted[split], rate)
            tpr, fpr = rate_at(judged[split], threshold)
            trials.append((split, rate, threshold, fpr, tpr))
    columns = ["split", "intended", "threshold", "fpr", "tpr"]
    return pd.DataFrame(trials, columns=columns)


def held_out_trials(
    tables: Mapping[str, tuple[Counts, Counts]],
    *,
    seed: int = 2026,
) -> pd.DataFrame:
    """`held_out` for every method, with a column hasher.

    `tables` holds each method's histograms (same, different). Rates for which half of the families
    has too few pairs are left out.
    """
    trials = []
    for name, (same, different) in tables.items():
        trial = held_out(same, different, seed=seed)
        trials.append(trial.assign(hasher=name))
    return pd.concat(trials).dropna()


def held_out_summary(trials: pd.DataFrame) -> pd.DataFrame:
    """Summarise trials of thresholds over their splits, for every method and intended rate.

    `trials` is from `held_out_trials` or from `nonmatching.transfer_trials`. Columns: hasher,
    intended, threshold (the median), fpr and tpr (means), fpr_low and fpr_high (5% and 95% of the
    splits: the middle 90% of halvings, no interval of the mean), times (the mean of fpr, in
    multiples of the intended rate) and times_worst (the same multiple in the worst twentieth of the
    splits: at least this number in one of twenty).
    """
    groups = trials.groupby(["hasher", "intended"], sort=False)
    summary = groups.agg(
        threshold=("threshold", "median"),
        fpr=("fpr", "mean"),
        tpr=("tpr", "mean"),
    )
    summary["fpr_low"] = groups["fpr"].quantile(0.05)
    summary["fpr_high"] = groups["fpr"].quantile(0.95)
    summary = summary.reset_index()
    summary["times"] = summary["fpr"] / summary["intended"]
    summary["times_worst"] = summary["fpr_high"] / summary["intended"]
    return summary


def count_interval(count: int, total: int) -> tuple[float, float]:
    """The exact 95% interval of a share of which `count` in `total` were seen.

    Source: C. J. Clopper and E. S. Pearson, 1934.
    """
    low = 0.0
    high = 1.0
    if count > 0:
        low = float(beta.ppf(0.025, count, total - count + 1))
    if count < total:
        high = float(beta.ppf(0.975, count + 1, total - count))
    return low, high
