"""How sure a score is: intervals from resampling families, paired differences, and thresholds tried on unseen families.

Families, not pairs, are resampled: the pairs of a family are not independent of one another. A resample only reweighs
histograms (`histograms.family_histograms`), so a thousand of them need no pair to be looked at again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure
from sklearn.metrics.cluster import contingency_matrix

from finlib.scoring.metrics import RATES, Counts, rate_at, threshold_at


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def family_weights(groups: int, resamples: int, seed: int) -> np.ndarray:
    """float64[resamples, groups]: how often each group of families is drawn, with replacement.

    The same arguments give the same draws: use them for every method, so that differences are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(np.float64)


def half_weights(groups: int, splits: int, seed: int) -> np.ndarray:
    """float64[splits, groups] of 0 and 1: a random half of the groups; `1 - half_weights(...)` is the other."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(groups), (splits, 1)), axis=1)
    return (order < groups // 2).astype(np.float64)


def weighted_counts(same: Counts, different: Counts, weights: np.ndarray) -> np.ndarray:
    """float64[resamples, 2, bits + 1]: the pair histograms when group g is there `weights[:, g]` times.

    `same` is [groups, bits + 1] and `different` [groups, groups, bits + 1], each pair counted once on or above the
    diagonal (`histograms.family_histograms`). Pairs inside a group count w times, pairs across groups w times w'.
    A group drawn twice is not paired with its own copy.
    """
    groups, size = same.shape
    across = different.astype(np.float64)
    inside = across[np.arange(groups), np.arange(groups)].copy()
    across[np.arange(groups), np.arange(groups)] = 0
    out = np.empty((len(weights), 2, size))
    out[:, 0] = weights @ same
    for start in range(0, len(weights), 64):
        block = weights[start : start + 64]
        partners = (block @ across.reshape(groups, -1)).reshape(len(block), groups, size)
        out[start : start + 64, 1] = np.einsum("bh,bhk->bk", block, partners) + block @ inside
    return out


def interval(value: float, resampled: np.ndarray, confidence: float = 0.95) -> Interval:
    """Percentile interval of the resampled statistic around `value`; NaN where the value is."""
    if np.isnan(value) or np.isnan(resampled).all():
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanpercentile(resampled, [50 - 50 * confidence, 50 + 50 * confidence])
    return Interval(value, float(low), float(high))


def bootstrap(
    tables: Mapping[str, tuple[Counts, Counts]],
    statistics: Mapping[str, Callable[[Counts], float]],
    *,
    resamples: int = 1000,
    seed: int = 2026,
) -> tuple[pd.DataFrame, dict[tuple[str, str], np.ndarray]]:
    """Each statistic of each method with its 95% interval over families, and the resampled values behind it.

    `tables` maps a method to its (same, different) from `histograms.family_histograms`, made with one seed and the same
    labels for all. The frame has columns hasher, statistic, value, low, high; the arrays, keyed (hasher, statistic),
    are paired: subtract two for the interval of a difference (`difference`).
    """
    rows, values = [], {}
    for name, (same, different) in tables.items():
        whole = weighted_counts(same, different, np.ones((1, len(same))))[0]
        drawn = weighted_counts(same, different, family_weights(len(same), resamples, seed))
        for key, statistic in statistics.items():
            values[name, key] = np.array([statistic(counts) for counts in drawn])
            rows.append((name, key, *interval(statistic(whole), values[name, key])))
    return pd.DataFrame(rows, columns=["hasher", "statistic", "value", "low", "high"]), values


def difference(
    frame: pd.DataFrame,
    values: Mapping[tuple[str, str], np.ndarray],
    one: str,
    other: str,
    statistic: str,
) -> Interval:
    """One method less another with the paired 95% interval, from what `bootstrap` returned."""
    whole = frame.set_index(["hasher", "statistic"])["value"]
    paired = values[one, statistic] - values[other, statistic]
    return interval(float(whole[one, statistic] - whole[other, statistic]), paired)


def differences(
    frame: pd.DataFrame,
    values: Mapping[tuple[str, str], np.ndarray],
    pairs: Sequence[tuple[str, str]],
) -> pd.DataFrame:
    """`difference` for every pair of methods and every statistic of the frame.

    Columns one, other, statistic, value, low, high and decided (whether the interval leaves zero out).
    """
    statistics = frame["statistic"].unique()
    rows = [
        (*pair, key, *difference(frame, values, *pair, key)) for pair in pairs for key in statistics
    ]
    table = pd.DataFrame(rows, columns=["one", "other", "statistic", "value", "low", "high"])
    return table.assign(decided=(table["low"] > 0) | (table["high"] < 0))


def held_out(
    same: Counts,
    different: Counts,
    *,
    rates: Sequence[float] = RATES,
    splits: int = 200,
    seed: int = 2026,
) -> pd.DataFrame:
    """Thresholds chosen on a random half of the families and judged on the other half, `splits` times.

    Columns: split, intended (false-positive rate), threshold, fpr and tpr (both on the other half).
    """
    halves = half_weights(len(same), splits, seed)
    chosen, judged = (weighted_counts(same, different, part) for part in (halves, 1 - halves))
    rows = []
    for split in range(splits):
        for rate in rates:
            threshold = threshold_at(chosen[split], rate)
            tpr, fpr = rate_at(judged[split], threshold)
            rows.append((split, rate, threshold, fpr, tpr))
    return pd.DataFrame(rows, columns=["split", "intended", "threshold", "fpr", "tpr"])


def held_out_summary(
    tables: Mapping[str, tuple[Counts, Counts]], *, seed: int = 2026
) -> pd.DataFrame:
    """`held_out` for every method, put together over its splits; rates that cannot be told are left out.

    Columns: hasher, intended; threshold (median), fpr and tpr (means); fpr_low and fpr_high (5% and 95% of splits).
    """
    trials = pd.concat(
        [held_out(*table, seed=seed).assign(hasher=name) for name, table in tables.items()]
    )
    groups = trials.dropna().groupby(["hasher", "intended"], sort=False)
    low, high = (groups["fpr"].quantile(share) for share in (0.05, 0.95))
    summary = groups.agg(
        threshold=("threshold", "median"), fpr=("fpr", "mean"), tpr=("tpr", "mean")
    )
    return summary.assign(fpr_low=low, fpr_high=high).reset_index()


def b_cubed(truth: Any, found: Any) -> tuple[float, float, float]:
    """B-cubed precision, recall and their harmonic mean: for each image, how much of its cluster is its family.

    Source: Amigó et al., "A comparison of extrinsic clustering evaluation metrics", 2009.
    """
    table = contingency_matrix(truth, found).astype(np.float64)
    precision = float((table**2 / table.sum(axis=0)).sum() / table.sum())
    recall = float((table**2 / table.sum(axis=1, keepdims=True)).sum() / table.sum())
    return precision, recall, 2 * precision * recall / (precision + recall)


def cluster_scores(truth: Any, found: np.ndarray) -> dict[str, float]:
    """ARI, V-measure and B-cubed of cluster labels; a negative label (noise) stands for a cluster of its own."""
    found = np.where(found < 0, np.max(found, initial=0) + 1 + np.arange(len(found)), found)
    truth = pd.factorize(np.asarray(truth))[0]
    _, _, v_measure = homogeneity_completeness_v_measure(truth, found)
    precision, recall, f = b_cubed(truth, found)
    scores = {"ari": float(adjusted_rand_score(truth, found)), "v_measure": float(v_measure)}
    return scores | {"b_cubed_precision": precision, "b_cubed_recall": recall, "b_cubed_f": f}


def count_interval(count: int, total: int) -> tuple[float, float]:
    """95% interval of a share of which `count` of `total` were seen: Clopper and Pearson's, exact."""
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)
