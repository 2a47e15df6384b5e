"""Scores of pairs and searches.

Pairs are scored from histograms of all of them, never from a sample: `counts` is [2, bits + 1], how many pairs lie at
each distance, row 0 for pairs of one family and row 1 for pairs of different families. A pair is accepted where its
distance is at most the threshold; the threshold -1 accepts nothing. A threshold is always reported as a distance that
occurs, so that where all distances are even (FINd, PDQ and pHash set half their bits) thresholds are even too.
Intervals are in `workbook.study.uncertainty`.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from finlib.matching.pairs import to_words
from finlib.scoring.histograms import pair_counts

RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""False-positive rates at which true-positive rates are reported."""

Counts = np.ndarray[Any, Any]


def roc(counts: Counts) -> pd.DataFrame:
    """Every threshold that makes a difference, with what it accepts.

    Columns: threshold, fpr, tpr, precision, recall (which is tpr) and f1. The first row is the threshold -1.
    Rates without a pair to take them over are NaN, as is precision where nothing is accepted.
    """
    occurs = np.flatnonzero(np.asarray(counts).sum(axis=0) > 0)
    accepted = np.cumsum(counts, axis=1)[:, occurs]
    true, false = np.hstack([np.zeros((2, 1)), accepted])
    positives, negatives = np.sum(counts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "threshold": np.concatenate([[-1], occurs]),
            "fpr": false / negatives,
            "tpr": true / positives,
            "precision": true / (true + false),
            "recall": true / positives,
            "f1": 2 * true / (true + false + positives),
        }
    return pd.DataFrame(columns)


def auc(counts: Counts) -> float:
    """The chance that a same-family pair is closer than a different-family pair, half of it where they tie."""
    same, different = np.asarray(counts, dtype=np.float64)
    if not same.sum() or not different.sum():
        return float("nan")
    further = different.sum() - np.cumsum(different)
    return float(same @ (further + different / 2) / (same.sum() * different.sum()))


def threshold_at(counts: Counts, fpr: float) -> float:
    """The largest distance that occurs whose false-positive rate is at most `fpr`.

    -1 where no distance is that selective; NaN where fewer than 1/fpr different-family pairs cannot tell.
    """
    total = np.sum(counts, axis=0)
    negatives = float(np.sum(counts[1]))
    # A product like 1e-4 * 10,000 must count as one pair whatever its last bit.
    if negatives * fpr < 1 - 1e-9:
        return float("nan")
    allowed = np.cumsum(counts[1]) <= negatives * fpr * (1 + 1e-12)
    usable = np.flatnonzero(allowed & (total > 0))
    return float(usable[-1]) if usable.size else -1.0


def rate_at(counts: Counts, threshold: float) -> tuple[float, float]:
    """True-positive and false-positive rate of a threshold in bits; NaN for a NaN threshold or without pairs."""
    if np.isnan(threshold):
        return float("nan"), float("nan")
    totals = np.sum(counts, axis=1, dtype=np.float64)
    accepted = np.sum(np.asarray(counts)[:, : int(threshold) + 1], axis=1, dtype=np.float64)
    true, false = np.divide(accepted, totals, out=np.full(2, np.nan), where=totals > 0)
    return float(true), float(false)


def tpr_at(counts: Counts, fpr: float) -> float:
    """The true-positive rate at `threshold_at(counts, fpr)`: 0 where nothing is accepted, NaN where that is NaN."""
    return rate_at(counts, threshold_at(counts, fpr))[0]


def best_f1(counts: Counts) -> tuple[float, int]:
    """The highest F1 over all thresholds and the smallest threshold that has it.

    F1 depends on how many pairs are of one family, so it compares methods on one data set, not data sets.
    """
    curve = roc(counts)
    if curve["f1"].isna().all():
        return float("nan"), -1
    row = int(curve["f1"].argmax())
    return float(curve["f1"].iloc[row]), int(curve["threshold"].iloc[row])


def equal_error_rate(counts: Counts) -> float:
    """Where false positives and false negatives are equally frequent, interpolated between thresholds."""
    curve = roc(counts)
    gap = (curve["fpr"] - (1 - curve["tpr"])).to_numpy()
    if np.isnan(gap).any():
        return float("nan")
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    fpr = curve["fpr"].to_numpy()
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


# Search


def query_counts(
    queries: np.ndarray,
    query_labels: Any,
    packed: np.ndarray,
    labels: Any,
    itself: np.ndarray | None = None,
) -> np.ndarray:
    """int64[queries, 2, bits + 1]: at each distance from a query, images of its family (row 0) and of others (row 1).

    `queries` and `packed` are packed hashes of one length; `itself` gives the row of `packed` that a query is, which is
    then left out. Labels may be of any kind that compares.
    """
    everything = pd.factorize(np.concatenate([np.asarray(query_labels), np.asarray(labels)]))[0]
    mine, theirs = everything[: len(queries)], everything[len(queries) :]
    size = packed.shape[1] * 8 + 1
    out = np.empty((len(queries), 2, size), np.int64)
    words = [to_words(rows) for rows in (queries, packed)]
    step = max(1, min(64, (1 << 22) // max(1, len(packed))))
    for start in range(0, len(queries), step):
        block = words[0][start : start + step]
        distance = np.zeros((len(block), len(packed)), np.int64)
        for word in range(block.shape[1]):
            distance += np.bitwise_count(block[:, word, None] ^ words[1][None, :, word])
        cell = (mine[start : start + step, None] != theirs[None, :]) * size + distance
        cell += np.arange(len(block))[:, None] * 2 * size
        if itself is not None:
            cell[np.arange(len(block)), itself[start : start + step]] = len(block) * 2 * size
        tally = np.bincount(cell.ravel(), minlength=len(block) * 2 * size + 1)
        out[start : start + step] = tally[: len(block) * 2 * size].reshape(-1, 2, size)
    return out


def recall_at(counts: np.ndarray, k: int) -> float:
    """The share of queries that find one of their family among their k nearest, from `query_counts`.

    Images at one distance are in random order: the chance of a hit is taken, so that file order helps no method.
    Queries without another image of their family are left out; NaN where none is left.
    """
    counts = counts[counts[:, 0].sum(axis=1) > 0]
    if not len(counts):
        return float("nan")
    family, all_ = counts[:, 0], counts.sum(axis=1)
    row, first = np.arange(len(counts)), (family > 0).argmax(axis=1)
    tied, ours = all_[row, first], family[row, first]
    slots = np.clip(k - (np.cumsum(all_, axis=1)[row, first] - tied), 0, tied)
    others = tied - ours
    # log of C(others, slots) / C(tied, slots): the chance that no slot falls to the family.
    missing = gammaln(others + 1) - gammaln(np.maximum(others - slots, 0) + 1)
    missing += gammaln(tied - slots + 1) - gammaln(tied + 1)
    return float(np.mean(np.where(slots > others, 1.0, 1 - np.exp(missing))))


def mean_average_precision(counts: np.ndarray) -> float:
    """Mean over queries of average precision, from `query_counts`; images at one distance enter together.

    That is scikit-learn's `average_precision_score` for each query. Queries without a relative are left out.
    """
    counts = counts[counts[:, 0].sum(axis=1) > 0]
    if not len(counts):
        return float("nan")
    family, found = counts[:, 0], np.cumsum(counts, axis=2)
    reached = found.sum(axis=1)
    precision = np.divide(found[:, 0], reached, out=np.zeros(reached.shape), where=reached > 0)
    return float(np.mean((family * precision).sum(axis=1) / family.sum(axis=1)))


# All of them


def evaluate(
    packed: np.ndarray, labels: Any, name: str, bits: int, *, max_queries: int = 5000
) -> dict[str, Any]:
    """One row of scores of one method on labelled images: every pair, and nearest-neighbour search.

    `packed` is uint8[n, bits // 8] and `labels` n families. Search takes every image for a query, or `max_queries`
    spread evenly where there are more.
    """
    labels = np.asarray(labels)
    if packed.shape != (len(labels), bits // 8):
        expected = (len(labels), bits // 8)
        raise ValueError(
            f"{len(labels)} labels and {bits} bits need hashes of shape {expected}, got {packed.shape}"
        )
    counts = pair_counts(packed, labels)
    f1, threshold = best_f1(counts)
    row: dict[str, Any] = {
        "hasher": name,
        "bits": bits,
        "images": len(labels),
        "families": len(np.unique(labels)),
    }
    row |= {"auc": auc(counts), "eer": equal_error_rate(counts)}
    row |= {f"tpr_{rate:.0e}".replace("e-0", "e-"): tpr_at(counts, rate) for rate in RATES}
    row |= {
        f"threshold_{rate:.0e}".replace("e-0", "e-"): threshold_at(counts, rate) for rate in RATES
    }
    row |= {"best_f1": f1, "threshold_f1": threshold}
    chosen = np.unique(
        np.linspace(0, len(labels) - 1, min(max_queries, len(labels))).astype(np.int64)
    )
    searched = query_counts(packed[chosen], labels[chosen], packed, labels, itself=chosen)
    row |= {f"recall_at_{k}": recall_at(searched, k) for k in (1, 5)}
    return row | {"map": mean_average_precision(searched)}
