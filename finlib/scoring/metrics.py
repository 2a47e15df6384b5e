"""Score a hasher on labelled images: all pairs, and searches.

Pairs are scored from histograms of all of them, never from a sample: `counts` is int64[2, bits +
1], how many pairs lie at each distance, row 0 for pairs of one family and row 1 for pairs of
different families. A pair is accepted where its distance is at most the threshold; the threshold -1
accepts nothing. A threshold that is reported is always a distance that occurs. So thresholds are
even where all distances are (FINd, PDQ and pHash set half of their bits).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln

from finlib.matching.distances import get_distance
from finlib.matching.packed import Packed
from finlib.scoring.histograms import pair_counts

RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""False-positive rates at which true-positive rates are reported."""

CELLS = 1 << 22  # distances of a few queries that `query_counts` computes at once

Counts = np.ndarray[Any, Any]
Integers = npt.NDArray[np.int64]


def roc(counts: Counts) -> pd.DataFrame:
    """List every threshold that makes a difference, with what it accepts.

    Columns: threshold, fpr, tpr, precision, recall (the same as tpr) and f1. The first row is the
    threshold -1. Rates of no pairs are NaN, and so is precision where nothing is accepted.
    """
    distances = np.flatnonzero(np.asarray(counts).sum(axis=0) > 0)
    accepted = np.cumsum(counts, axis=1)[:, distances]
    true, false = np.hstack([np.zeros((2, 1)), accepted])
    positives, negatives = np.sum(counts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "threshold": np.concatenate([[-1], distances]),
            "fpr": false / negatives,
            "tpr": true / positives,
            "precision": true / (true + false),
            "recall": true / positives,
            "f1": 2 * true / (true + false + positives),
        }
    return pd.DataFrame(columns)


def auc(counts: Counts) -> float:
    """Compute the chance that a same-family pair is closer than a different-family pair.

    Pairs at the same distance count as half. NaN without pairs of both kinds.
    """
    same, different = np.asarray(counts, dtype=np.float64)
    if not same.sum() or not different.sum():
        return float("nan")
    farther = different.sum() - np.cumsum(different)
    closer_pairs = same @ (farther + different / 2)
    return float(closer_pairs / (same.sum() * different.sum()))


def threshold_at(counts: Counts, fpr: float) -> float:
    """Find the largest distance that occurs and whose false-positive rate is at most `fpr`.

    -1 where even the smallest distance accepts more; NaN where there are fewer than 1 / fpr
    different-family pairs, which are too few to measure that rate.
    """
    total = np.sum(counts, axis=0)
    negatives = float(np.sum(counts[1]))
    # A product like 1e-4 * 10,000 must count as one pair whatever its last bit.
    if negatives * fpr < 1 - 1e-9:
        return float("nan")
    is_allowed = np.cumsum(counts[1]) <= negatives * fpr * (1 + 1e-12)
    usable = np.flatnonzero(is_allowed & (total > 0))
    return float(usable[-1]) if usable.size else -1.0


def rate_at(counts: Counts, threshold: float) -> tuple[float, float]:
    """Compute the true-positive and the false-positive rate of a threshold in bits.

    Both are NaN for the threshold NaN; a rate of no pairs is NaN.
    """
    if np.isnan(threshold):
        return float("nan"), float("nan")
    totals = np.sum(counts, axis=1, dtype=np.float64)
    within = np.asarray(counts)[:, : int(threshold) + 1]
    accepted = np.sum(within, axis=1, dtype=np.float64)
    unknown = np.full(2, np.nan)
    true_rate, false_rate = np.divide(
        accepted,
        totals,
        out=unknown,
        where=totals > 0,
    )
    return float(true_rate), float(false_rate)


def tpr_at(counts: Counts, fpr: float) -> float:
    """Compute the true-positive rate at the threshold for a false-positive rate.

    0 where `threshold_at` accepts nothing, NaN where it is NaN.
    """
    true_rate, _ = rate_at(counts, threshold_at(counts, fpr))
    return true_rate


def best_f1(counts: Counts) -> tuple[float, int]:
    """Find the highest F1 of all thresholds, and the smallest threshold that has it.

    F1 depends on the share of pairs that are of one family: it compares methods on one data set,
    not data sets. NaN and -1 without pairs.
    """
    curve = roc(counts)
    if curve["f1"].isna().all():
        return float("nan"), -1
    row = int(curve["f1"].argmax())
    return float(curve["f1"].iloc[row]), int(curve["threshold"].iloc[row])


def equal_error_rate(counts: Counts) -> float:
    """Compute the rate at which false positives and false negatives are equally frequent.

    It is interpolated between thresholds. NaN without pairs of both kinds.
    """
    curve = roc(counts)
    fpr = curve["fpr"].to_numpy()
    gap = (curve["fpr"] - (1 - curve["tpr"])).to_numpy()
    if np.isnan(gap).any():
        return float("nan")
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(fpr[before] + share * (fpr[after] - fpr[before]))


# Search


def query_counts(
    queries: Packed,
    query_labels: Any,
    packed: Packed,
    labels: Any,
    itself: Integers | None = None,
    *,
    distance: str = "hamming",
) -> Integers:
    """Count, at each distance from a query, the images of its family and the others.

    queries, packed: hashes of one length. query_labels, labels: their families, of any kind that
    compares. itself: the row of `packed` that each query is, which is left out. Returns
    int64[queries, 2, largest distance + 1], with images of the family at [:, 0].
    """
    all_labels = np.concatenate([np.asarray(query_labels), np.asarray(labels)])
    families, _ = pd.factorize(all_labels)
    query_family = families[: len(queries)]
    family = families[len(queries) :]
    measure = get_distance(distance, packed.shape[1])
    size = measure.largest + 1
    counts = np.empty((len(queries), 2, size), np.int64)
    step = max(1, min(64, CELLS // max(1, len(packed))))
    for low in range(0, len(queries), step):
        part = slice(low, low + step)
        distances = measure.between(queries[part, None], packed[None])
        is_other = query_family[part, None] != family[None, :]
        left_out = None if itself is None else itself[part]
        counts[part] = _count_by_query(distances, is_other, left_out, size)
    return counts


def _count_by_query(
    distance: Integers, is_other: Any, left_out: Integers | None, size: int
) -> Integers:
    """Histograms of the distances of each query, int64[queries, 2, size], others at [:, 1]."""
    queries = np.arange(len(distance))
    cells = len(queries) * 2 * size
    cell = distance + np.where(is_other, size, 0)
    cell += queries[:, None] * 2 * size
    if left_out is not None:
        cell[queries, left_out] = cells  # one past the last, which is dropped
    tally = np.bincount(cell.ravel(), minlength=cells + 1)
    return tally[:cells].reshape(-1, 2, size)


def recall_at(counts: Counts, k: int) -> float:
    """Compute the share of queries that find one of their family among their k nearest.

    counts: from `query_counts`. Images at the same distance are taken to be in random order, and a
    query scores its chance of a hit, so that the order of the files helps no method. Queries
    without another image of their family are left out; NaN where no query remains.
    """
    counts = _with_family(counts)
    if not len(counts):
        return float("nan")
    queries = np.arange(len(counts))
    family = counts[:, 0]
    everyone = counts.sum(axis=1)
    first = (family > 0).argmax(axis=1)  # the distance of the nearest of the family
    tied = everyone[queries, first]
    tied_others = tied - family[queries, first]
    nearer = np.cumsum(everyone, axis=1)[queries, first] - tied
    slots = np.clip(k - nearer, 0, tied)
    # C(others, slots) / C(tied, slots) is the chance that no slot goes to the family.
    miss = gammaln(tied_others + 1) - gammaln(np.maximum(tied_others - slots, 0) + 1)
    miss += gammaln(tied - slots + 1) - gammaln(tied + 1)
    hit = np.where(slots > tied_others, 1.0, 1 - np.exp(miss))
    return float(np.mean(hit))


def mean_average_precision(counts: Counts) -> float:
    """Compute the mean over queries of average precision; images at one distance enter together.

    counts: from `query_counts`. For each query it is scikit-learn's `average_precision_score`.
    Queries without another image of their family are left out; NaN where no query remains.
    """
    counts = _with_family(counts)
    if not len(counts):
        return float("nan")
    family = counts[:, 0]
    within = np.cumsum(counts, axis=2)
    accepted = within.sum(axis=1)
    nothing = np.zeros(accepted.shape)
    precision = np.divide(
        within[:, 0],
        accepted,
        out=nothing,
        where=accepted > 0,
    )
    average = (family * precision).sum(axis=1) / family.sum(axis=1)
    return float(np.mean(average))


def _with_family(counts: Counts) -> Counts:
    """The queries that have another image of their family."""
    return counts[counts[:, 0].sum(axis=1) > 0]


# All scores


def evaluate(
    packed: Packed,
    labels: Any,
    name: str,
    bits: int,
    *,
    distance: str = "hamming",
    max_queries: int = 5000,
) -> dict[str, Any]:
    """Compute all scores of one method on labelled images, as a row of a table.

    packed: uint8[n, bits // 8]; labels: n families; name: the hasher's; distance: the name of the
    distance that compares the hashes. All pairs are scored, and searches with every image as a
    query, or with `max_queries` spread evenly where there are more. Raises
    ValueError where hashes, labels and bits do not fit.
    """
    labels = np.asarray(labels)
    expected = (len(labels), bits // 8)
    if packed.shape != expected:
        raise ValueError(
            f"{len(labels)} labels and {bits} bits need hashes of shape {expected}; "
            f"got {packed.shape}"
        )
    row: dict[str, Any] = {
        "hasher": name,
        "bits": bits,
        "distance": distance,
        "images": len(labels),
        "families": len(np.unique(labels)),
    }
    row |= _score_pairs(pair_counts(packed, labels, distance=distance))
    queries = min(max_queries, len(labels))
    chosen = np.unique(np.linspace(0, len(labels) - 1, queries).astype(np.int64))
    counts = query_counts(
        packed[chosen],
        labels[chosen],
        packed,
        labels,
        itself=chosen,
        distance=distance,
    )
    row["recall_at_1"] = recall_at(counts, 1)
    row["recall_at_5"] = recall_at(counts, 5)
    row["map"] = mean_average_precision(counts)
    return row


def _score_pairs(counts: Counts) -> dict[str, float]:
    """The scores of all pairs, by the names of their columns."""
    scores = {"auc": auc(counts), "eer": equal_error_rate(counts)}
    for rate in RATES:
        scores[f"tpr_{_short(rate)}"] = tpr_at(counts, rate)
    for rate in RATES:
        scores[f"threshold_{_short(rate)}"] = threshold_at(counts, rate)
    f1, threshold = best_f1(counts)
    scores["best_f1"] = f1
    scores["threshold_f1"] = threshold
    return scores


def _short(rate: float) -> str:
    """A power of ten, such as 1e-6."""
    return f"{rate:.0e}".replace("e-0", "e-")
