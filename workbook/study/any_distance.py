"""Score distances of any kind, with intervals over families, where `finlib` has no kernel for them.

Distances are cut into LEVELS equal steps from 0 to their largest value, and pairs are counted at
each step. From there on the scores are those of the evidence rule. All pairs are compared.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbook.study import uncertainty
from workbook.study.evidence import (
    FAMILY_PAIRS_NEEDED,
    GROUPS,
    RESAMPLES,
    family_pairs_at,
    tpr_at_realised,
)

LEVELS = 1000
"""Steps that a distance is cut into; a distance in bits of fewer than that stays exact."""

Features = NDArray[Any]
"""What is stored of each image: an array whose first axis is the image."""

Between = Callable[[Features, Features], NDArray[np.float64]]
"""The distances of one set of features from another: float64[len(first), len(second)]."""


class Counted(NamedTuple):
    """The pairs of a set at each level of a distance."""

    same: NDArray[np.int64]
    """[groups, LEVELS + 1]: pairs of one family."""

    different: NDArray[np.int64]
    """[groups, groups, LEVELS + 1]: pairs of two families, on and above the diagonal."""

    closest: NDArray[np.int64]
    """The least level between images of two families, for each pair of families."""


def count_levels(
    features: Features,
    labels: Sequence[str],
    between: Between,
    largest: float,
    seed: int,
) -> Counted:
    """Count every pair of a set once, by groups of families and by the level of its distance.

    labels: the family of each image. largest: the largest distance that there can be. ValueError
    for a distance beyond it.
    """
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    families = int(family.max()) + 1
    groups = min(GROUPS, families)
    group_of_family = np.random.default_rng(seed).permutation(families) % groups
    order = np.lexsort((family, group_of_family[family]))
    features = features[order]
    family = family[order]
    group = group_of_family[family]
    starts = np.append(np.searchsorted(group, np.arange(groups)), len(group))
    first_of_family = np.flatnonzero(np.diff(family, prepend=-1))
    same = np.zeros((groups, LEVELS + 1), np.int64)
    different = np.zeros((groups, groups, LEVELS + 1), np.int64)
    closest = np.full((families, families), LEVELS + 1, np.int64)
    for number in range(groups):
        low, high = starts[number : number + 2]
        later = slice(low, None)
        levels = to_levels(between(features[low:high], features[later]), largest)
        is_later = np.arange(low, len(group)) > np.arange(low, high)[:, np.newaxis]
        is_same = family[low:high, np.newaxis] == family[later]
        same[number] = np.bincount(levels[is_same & is_later], minlength=LEVELS + 1)
        is_counted = ~is_same & is_later
        cells = group[later] * (LEVELS + 1) + levels
        counts = np.bincount(cells[is_counted], minlength=groups * (LEVELS + 1))
        different[number] = counts.reshape(groups, -1)
        levels[~is_counted] = LEVELS + 1
        _keep_closest(closest, levels, family, low, first_of_family)
    both_ways = np.minimum(closest, closest.T)
    return Counted(same, different, both_ways[np.triu_indices(families, 1)])


def to_levels(distances: NDArray[np.float64], largest: float) -> NDArray[np.int64]:
    """The level of each distance, from 0 to LEVELS."""
    if distances.max(initial=0) > largest * (1 + 1e-9):
        raise ValueError(f"a distance is {distances.max()}, but expected at most {largest}")
    return np.rint(np.clip(distances / largest, 0, 1) * LEVELS).astype(np.int64)


def _keep_closest(
    closest: NDArray[np.int64],
    levels: NDArray[np.int64],
    family: NDArray[np.int64],
    low: int,
    first_of_family: NDArray[np.int64],
) -> None:
    """Note the least level between families of the images from `low` on and all later ones."""
    high = low + len(levels)
    rows = first_of_family[(first_of_family >= low) & (first_of_family < high)]
    columns = first_of_family[first_of_family >= low]
    by_columns = np.minimum.reduceat(levels, columns - low, axis=1)
    by_both = np.minimum.reduceat(by_columns, rows - low, axis=0)
    closest[np.ix_(family[rows], family[columns])] = by_both


def score(counted: Counted, rates: Sequence[float], seed: int) -> pd.DataFrame:
    """The TPR at each FPR with its interval: 95% over resampled families.

    Columns rate, tpr, low, high, family_pairs (the number of pairs of families behind the false
    pairs), resolved (whether these are enough by the rule of evidence).
    """
    whole = np.stack([counted.same.sum(axis=0), counted.different.sum(axis=(0, 1))])
    weights = uncertainty.family_weights(len(counted.same), RESAMPLES, seed)
    resampled = uncertainty.weighted_counts(counted.same, counted.different, weights)
    records = []
    for rate in rates:
        draws = np.array([tpr_at_realised(counts, rate) for counts in resampled])
        interval = uncertainty.interval(tpr_at_realised(whole, rate), draws)
        family_pairs = family_pairs_at(whole, counted.closest, rate)
        resolved = family_pairs >= FAMILY_PAIRS_NEEDED
        records.append((rate, *interval, family_pairs, resolved))
    columns = ["rate", "tpr", "low", "high", "family_pairs", "resolved"]
    return pd.DataFrame(records, columns=columns)
