"""Check whether families look like those of FIN's class set: quantiles of distances, compared."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from finlib.scoring.metrics import Counts
from workbook.study import evidence

HASHERS = ("find", "phash256", "whash256")
"""The hashers for which distances of the class set are published."""

QUANTILES = (5, 25, 50, 75, 95)
FITTED_QUANTILES = (5, 50, 95)
NOT_FITTED = "phash256"
"""The hasher that played no part when the built-in captions were fitted."""

WRONG_LABELS = 0.02
"""The share of labels of the class set that look wrong, which is mixed in here."""

ONE_FAMILY = "one family"
TWO_FAMILIES = "two families"


def compare_quantiles(counts: Mapping[str, Counts]) -> pd.DataFrame:
    """Quantiles of the distances here and in the class set, for pairs of one family and of two.

    counts: by hasher, as in `finlib.scoring.metrics`. Columns hasher, pairs, quantile, here, class,
    difference (bits) and use ("fitted" where the built-in captions were fitted to it, otherwise
    "check").
    """
    published = evidence.class_pairs()
    is_within = published["family"] >= 0
    rows = []
    for name in HASHERS:
        totals = counts[name].sum(axis=1, keepdims=True)
        matching, unrelated = counts[name] / totals
        mixed = (1 - WRONG_LABELS) * matching + WRONG_LABELS * unrelated
        of_kinds = {
            ONE_FAMILY: (np.cumsum(mixed), published.loc[is_within, name]),
            TWO_FAMILIES: (np.cumsum(unrelated), published.loc[~is_within, name]),
        }
        for kind, (cumulative, theirs) in of_kinds.items():
            for percent in QUANTILES:
                here = int(np.searchsorted(cumulative, percent / 100))
                there = float(np.percentile(theirs, percent))
                use = use_of(name, kind, percent)
                rows.append((name, kind, f"{percent}%", here, there, here - there, use))
    columns = ["hasher", "pairs", "quantile", "here", "class", "difference", "use"]
    return pd.DataFrame(rows, columns=columns)


def use_of(hasher: str, kind: str, percent: int) -> str:
    """Whether a quantile is one that the built-in captions were "fitted" to, or a "check"."""
    is_fitted = kind == ONE_FAMILY and hasher != NOT_FITTED and percent in FITTED_QUANTILES
    return "fitted" if is_fitted else "check"


def largest_differences(likeness: pd.DataFrame) -> pd.Series:
    """The largest difference in bits within families, by use; see `compare_quantiles`."""
    within = likeness[likeness["pairs"] == ONE_FAMILY]
    return within["difference"].abs().groupby(within["use"]).max()
