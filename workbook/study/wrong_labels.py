"""Ask whether wrong labels explain the errors of the methods, and what they make unreadable."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbook.study import evidence, hard_cases, uncertainty
from workbook.study.accuracy import Hashed

LOOKS_ALIKE = 0.9
"""The correlation of grey middles from which two pictures look alike without any hash."""

SHARES = (0.001, 0.003, 0.01, 0.03)
"""The shares of labels that are made wrong on purpose."""

BEYOND = 0.95
"""The share of unrelated pairs that exceed the distance beyond which labels look wrong."""

Labels = NDArray[np.str_] | NDArray[np.int64]


def false_positives(hashed: Hashed, radii: Mapping[str, float]) -> pd.DataFrame:
    """The closest false pair of each two families, by every single hash, within its radius.

    Columns hasher, one, other (families), distance and correlation (of the grey middles).
    """
    parts = []
    for name in hashed.candidates:
        if "+" in name:
            continue
        closest = hard_cases.closest_nonmatching(
            hashed.packed[name],
            hashed.labels,
            radii[name],
            distance=evidence.distance_of(name),
        )
        parts.append(closest.assign(hasher=name))
    false = pd.concat(parts, ignore_index=True)
    false["correlation"] = hard_cases.pixel_correlation(false, hashed.paths)
    return false[["hasher", "one", "other", "distance", "correlation"]]


def suspects_among(false: pd.DataFrame) -> pd.DataFrame:
    """The false pairs of families that look alike without any hash, each once."""
    alike = false[false["correlation"] > LOOKS_ALIKE]
    return alike.drop_duplicates(["one", "other"])


def other_truths(labels: Labels, suspects: pd.DataFrame, seed: int) -> dict[str, Labels]:
    """The labels as they are, with suspects merged, and with wrong ones on purpose, by a name."""
    merged = hard_cases.merge_families(labels, suspects["one"], suspects["other"])
    truths: dict[str, Labels] = {"as they are": labels, "suspects merged": merged}
    for share in SHARES:
        truths[f"{share:.1%} wrong"] = hard_cases.mislabelled(labels, share, seed)
    return truths


def score_by_labels(
    hashed: Hashed, truths: Mapping[str, Labels], rate: float, names: Sequence[str] = ()
) -> pd.DataFrame:
    """The TPR of each candidate at a rate by every version of the labels: hasher, and their names.

    names: the methods, by default all candidates.
    """
    rows = []
    for name in names or hashed.candidates:
        row: dict[str, object] = {"hasher": name}
        for kind, truth in truths.items():
            is_given = truth is hashed.labels
            counts = hashed.counts[name] if is_given else hashed.recount(name, truth)
            row[kind] = evidence.tpr_at_realised(counts, rate)
        rows.append(row)
    return pd.DataFrame(rows)


def class_set_labels(class_set: evidence.Measured) -> pd.DataFrame:
    """Estimate the share of wrong labels in the class set, and the most that any method can find.

    A pair of one family that is farther apart than 5% of unrelated pairs is taken to be two
    pictures that do not belong together. class_set: from `evidence.measure_class_pairs`. Columns
    hasher, beyond_bits, pairs, wrong, low, high, ceiling (1 - wrong), tpr (found at the class
    pairs' rate).
    """
    published = evidence.class_pairs()
    is_within = published["family"] >= 0
    total = int(is_within.sum())
    rows = []
    for name in ("find", "whash256"):
        unrelated = published.loc[~is_within, name]
        beyond = np.percentile(unrelated, 100 - 100 * BEYOND)
        over = int((published.loc[is_within, name] > beyond).sum())
        low, high = uncertainty.count_interval(over, total)
        wrong = over / total / BEYOND
        tpr = class_set.scores[name][evidence.CLASS_PAIRS_RATE]
        ends = (low / BEYOND, high / BEYOND)
        rows.append((name, beyond, over, wrong, *ends, 1 - wrong, tpr))
    columns = ["hasher", "beyond_bits", "pairs", "wrong", "low", "high", "ceiling", "tpr"]
    return pd.DataFrame(rows, columns=columns)
