"""Measure how the distances of unrelated images are spread, and choose thresholds from that.

Two unrelated images are a non-matching pair. The share of non-matching pairs within a threshold is
the rate of false matches to expect from it. Pairs are counted as in `finlib.scoring.metrics`:
`counts` is [2, bits + 1], matching pairs by distance first, then non-matching ones.

A share counts as measured where at least EXPECTED_FALSE_PAIRS pairs lie within the threshold.
Smaller shares can only be predicted. One prediction is a parabola: log10 of the share as a function
of the threshold. It is fitted to larger shares, and trusted only down to the share where its
predictions for other images were still right within a factor of 3.

Tables of shares have the columns of `thresholds.csv` in finlib.matching: `strangers` is the share
of non-matching pairs within the distance, and `found` is the share of matching pairs within it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from finlib.scoring.metrics import Counts
from workbook.study.evidence import EXPECTED_FALSE_PAIRS

TRUSTED_FACTOR = 3.0  # a prediction is right within this factor
FITTED = (1e-4, 1e-2)  # the parabola is fitted to shares between these
LARGEST_SHARE = 1 / 5  # larger shares do not belong to the tail
SHARES = ["strangers", "found"]


def measure_shares(counts: Counts) -> pd.DataFrame:
    """The shares of pairs within each distance that occurs and at which the share is measured.

    Columns distance, strangers (of non-matching pairs) and found (of matching pairs).
    """
    matching, nonmatching = np.cumsum(counts, axis=1)
    occurs = np.sum(counts, axis=0) > 0
    enough = nonmatching >= EXPECTED_FALSE_PAIRS
    in_tail = nonmatching <= nonmatching[-1] * LARGEST_SHARE
    distance = np.flatnonzero(occurs & enough & in_tail)
    return pd.DataFrame(
        {
            "distance": distance,
            "strangers": nonmatching[distance] / nonmatching[-1],
            "found": matching[distance] / max(matching[-1], 1),
        }
    )


def fit_tail(counts: Counts) -> np.ndarray:
    """The parabola of log10 of the share of non-matching pairs by threshold: float64[3].

    The highest power comes first, as `np.polyval` expects. NaN where fewer than four shares are
    measured.
    """
    shares = measure_shares(counts)
    fitted = shares[shares["strangers"].between(*FITTED)]
    if len(fitted) < 4:
        return np.full(3, np.nan)
    return np.polyfit(fitted["distance"], np.log10(fitted["strangers"]), 2)


def check_tail(fitted: Counts, judged: Counts) -> pd.DataFrame:
    """Compare the parabola fitted to some images with the shares measured on others.

    Columns distance, observed, predicted, and ratio (predicted / observed).
    """
    shares = measure_shares(judged)
    predicted = 10 ** np.polyval(fit_tail(fitted), shares["distance"])
    return pd.DataFrame(
        {
            "distance": shares["distance"],
            "observed": shares["strangers"],
            "predicted": predicted,
            "ratio": predicted / shares["strangers"],
        }
    )


def least_trusted_share(checked: pd.DataFrame) -> float:
    """The smallest share down to which every prediction was right within TRUSTED_FACTOR.

    `checked` is from `check_tail`. NaN where no prediction was right.
    """
    smaller = checked[checked["observed"] <= FITTED[1]]
    smaller = smaller.sort_values("observed", ascending=False)
    is_right = smaller["ratio"].between(1 / TRUSTED_FACTOR, TRUSTED_FACTOR)
    all_right_up_to = is_right.cumprod().astype(bool)
    return float(smaller.loc[all_right_up_to, "observed"].min())


def combine_sets(sets: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Take the worst of several sets of images at each distance, for thresholds to be safe.

    Each set is `measure_shares` of several methods, put together, with a column hasher. Columns
    hasher, distance, strangers (the largest share of any set) and found (the smallest). A set
    without a share as small as this counts with the smallest that it has.
    """
    combined = []
    for name in dict.fromkeys(sets[0]["hasher"]):
        tables = []
        for shares in sets:
            table = shares[shares["hasher"] == name].set_index("distance")[SHARES]
            if len(table):
                tables.append(table)
        worst = _worst(tables)
        worst.insert(0, "hasher", name)
        combined.append(worst)
    return pd.concat(combined, ignore_index=True)


def _worst(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The largest share of non-matching and the smallest of matching pairs at each distance.

    `tables` have the columns strangers and found, by distance.
    """
    last = min(table.index.max() for table in tables)
    occurring = pd.concat(tables).index.unique().sort_values()
    distances = occurring[occurring <= last]
    nonmatching = []
    matching = []
    for table in tables:
        filled = table.reindex(distances).ffill()
        smallest_share = table["strangers"].iloc[0]
        nonmatching.append(filled["strangers"].fillna(smallest_share))
        matching.append(filled["found"])
    return pd.DataFrame(
        {
            "distance": distances,
            "strangers": np.max(nonmatching, axis=0),
            "found": np.nanmin(matching, axis=0),
        }
    )


def extrapolate(table: pd.DataFrame) -> pd.DataFrame:
    """Add estimates for every distance below the measured ones to a table from `combine_sets`.

    A new column measured is False for the estimates. They follow normal distributions through the
    smallest shares measured, up to 100 times the smallest.
    """
    parts = []
    for name, measured in table.groupby("hasher", sort=False):
        below = np.arange(measured["distance"].iloc[0])
        least = measured["strangers"].iloc[0]
        fitted = measured[measured["strangers"] <= 100 * least]
        estimates: dict[str, Any] = {"hasher": name, "distance": below}
        for column in SHARES:
            estimate = _extend_normal(fitted["distance"], fitted[column], below)
            estimates[column] = np.minimum(estimate, measured[column].iloc[0])
        parts.append(pd.DataFrame(estimates).assign(measured=False))
        parts.append(measured.assign(measured=True))
    return pd.concat(parts, ignore_index=True)


def _extend_normal(distance: pd.Series, share: pd.Series, below: np.ndarray) -> np.ndarray:
    """Fit a normal distribution to shares by distance, and read off its shares elsewhere."""
    quantile = ndtri(np.clip(share, 1e-12, 1 - 1e-9))
    degree = min(1, len(distance) - 1)  # a constant where there is only one share
    line = np.polyfit(distance, quantile, degree)
    return ndtr(np.polyval(line, below))


def apply_thresholds(chosen: pd.DataFrame, shares: pd.DataFrame, name: str) -> pd.DataFrame:
    """Look up which rates thresholds that were chosen on one set of images have on another set.

    `chosen` has the columns hasher, intended and threshold, as from `uncertainty.held_out_summary`;
    `shares` are those of the other set, with a column hasher. Returns the columns of `chosen`, with
    fpr and tpr of the other set, NaN for what splits say, and a column set with its name. A
    threshold below all distances that were measured on the other set is left out.
    """
    applied = []
    for threshold in chosen.to_dict("records"):
        of_hasher = shares[shares["hasher"] == threshold["hasher"]]
        within = of_hasher[of_hasher["distance"] <= threshold["threshold"]]
        if within.empty:
            continue
        last = within.loc[within["distance"].idxmax()]
        rates = {
            "fpr": last["strangers"],
            "tpr": last["found"],
            "fpr_low": np.nan,
            "fpr_high": np.nan,
            "times": last["strangers"] / threshold["intended"],
            "times_worst": np.nan,
        }
        applied.append({**threshold, **rates})
    return pd.DataFrame(applied, columns=list(chosen)).assign(set=name)


def transfer_trials(trials: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """What thresholds of many splits of one set let in and find on another set.

    trials: from `uncertainty.held_out_trials`. shares: those of the other set, with a column
    hasher. Returns the trials with fpr and tpr of the other set. A rate is left out for a method
    whose thresholds for it mostly lie below all distances that were measured on the other set: it
    has too few false pairs to tell. For the few thresholds below them otherwise its smallest share
    counts, which is more than the true one. Methods without shares are left out.
    """
    transferred = []
    for (name, _), of_rate in trials.groupby(["hasher", "intended"], sort=False):
        known = shares[shares["hasher"] == name].sort_values("distance")
        if known.empty or of_rate["threshold"].median() < known["distance"].iloc[0]:
            continue
        place = np.searchsorted(known["distance"], of_rate["threshold"], side="right") - 1
        place = np.maximum(place, 0)
        rates = {
            "fpr": known["strangers"].to_numpy()[place],
            "tpr": known["found"].to_numpy()[place],
        }
        transferred.append(of_rate.assign(**rates))
    return pd.concat(transferred, ignore_index=True) if transferred else trials[:0]


def worst_excess(tried: pd.DataFrame) -> pd.DataFrame:
    """By how much thresholds exceeded the intended false-positive rate on the worst of several
    sets, by hasher.

    `tried` has the columns hasher, times and times_worst of `uncertainty.held_out_summary`, for
    every rate and set; the result has the largest of each.
    """
    return tried.groupby("hasher", sort=False)[["times", "times_worst"]].max()


def choose_thresholds(
    table: pd.DataFrame,
    images: Sequence[float],
    precisions: Sequence[float],
    *,
    matches_per_image: float = 1.0,
) -> pd.DataFrame:
    """The largest threshold that promises a precision among a number of images, by method.

    `table` is from `combine_sets`, and `matches_per_image` is the number of true matches that an
    image has among the others. Columns hasher, images, precision, threshold, false_pairs (to
    expect) and found (the share of matching pairs within the threshold). The last three are NaN
    where no threshold that was measured has this precision.
    """
    chosen = []
    for name, shares in table.groupby("hasher", sort=False):
        for count in images:
            pairs = count * (count - 1) / 2
            true = count * matches_per_image / 2 * shares["found"]
            false = pairs * shares["strangers"]
            for precision in precisions:
                precise = shares[true >= precision * (true + false)]
                choice: dict[str, Any] = {
                    "hasher": name,
                    "images": count,
                    "precision": precision,
                    "threshold": np.nan,
                    "false_pairs": np.nan,
                    "found": np.nan,
                }
                if len(precise):
                    choice["threshold"] = precise["distance"].iloc[-1]
                    choice["false_pairs"] = pairs * precise["strangers"].iloc[-1]
                    choice["found"] = precise["found"].iloc[-1]
                chosen.append(choice)
    columns = ["hasher", "images", "precision", "threshold", "false_pairs", "found"]
    return pd.DataFrame(chosen, columns=columns)


class Collection(NamedTuple):
    """A number of images to match with each other, each with a given number of near-duplicates."""

    images: int
    relatives: float


COLLECTIONS = (
    Collection(55_972, 53),  # as FIN's class set
    Collection(100_000, 10),
    Collection(1_000_000, 10),
    Collection(10_000_000, 10),
    Collection(100_000_000, 10),
)
TIMES = 10
"""How many times the expected false pairs a careful radius allows for."""


def choose_for_collections(
    table: pd.DataFrame,
    sets: Mapping[str, pd.DataFrame],
    collections: Sequence[Collection] = COLLECTIONS,
    *,
    precision: float = 0.9,
) -> pd.DataFrame:
    """The radius that each method needs for each collection, and what to expect of it.

    table: from `extrapolate`. sets: the shares of every set, by its name, that the table is made
    of. Columns:

    - hasher, images, relatives;
    - threshold: the largest radius that promises the precision, by the set with the most false
      pairs; found: the share of matching pairs within it; false_pairs: to expect;
    - measured: whether the share of false pairs there is measured, or estimated;
    - body: the set with the most false pairs there;
    - precision_then: the precision if there are TIMES as many false pairs;
    - careful_threshold, careful_found: what promises the precision even then.

    They are NaN, or "", where no radius promises it.
    """
    rows = []
    for collection in collections:
        images = [collection.images]
        options = {"matches_per_image": collection.relatives}
        more_false_pairs = table.assign(strangers=TIMES * table["strangers"])
        plain = choose_thresholds(table, images, [precision], **options)
        careful = choose_thresholds(more_false_pairs, images, [precision], **options)
        for one, other in zip(plain.itertuples(), careful.itertuples(), strict=True):
            true_pairs = collection.images * collection.relatives / 2 * one.found
            rows.append(
                {
                    "hasher": one.hasher,
                    "images": collection.images,
                    "relatives": collection.relatives,
                    "threshold": one.threshold,
                    "found": one.found,
                    "false_pairs": one.false_pairs,
                    "measured": is_measured(table, one.hasher, one.threshold),
                    "body": set_with_most(sets, one.hasher, one.threshold),
                    "precision_then": true_pairs / (true_pairs + TIMES * one.false_pairs),
                    "careful_threshold": other.threshold,
                    "careful_found": other.found,
                }
            )
    return pd.DataFrame(rows)


def is_measured(table: pd.DataFrame, hasher: str, distance: float) -> bool:
    """Whether a table from `extrapolate` has a measured share for a method at a distance."""
    at_distance = table[(table["hasher"] == hasher) & (table["distance"] == distance)]
    return bool(at_distance["measured"].any())


def set_with_most(sets: Mapping[str, pd.DataFrame], hasher: str, distance: float) -> str:
    """The name of the set in which the largest share of non-matching pairs is within a distance.

    Below the distances that a set has measured, its smallest share counts, as in `combine_sets`; ""
    where none has measured any, or the distance is NaN.
    """
    largest = 0.0
    name_of_largest = ""
    for name, shares in sets.items():
        of_hasher = shares[shares["hasher"] == hasher]
        within = of_hasher[of_hasher["distance"] <= distance]
        if of_hasher.empty or np.isnan(distance):
            continue
        known = within["strangers"].max() if len(within) else of_hasher["strangers"].min()
        if known > largest:
            largest = known
            name_of_largest = name
    return name_of_largest
