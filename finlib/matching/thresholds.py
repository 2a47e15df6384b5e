"""What to expect of a radius: how many false pairs, and which share of the matching pairs is found.

For each hasher and distance, `thresholds.csv` has two shares: of the non-matching pairs (pairs of
unrelated images) and of the matching pairs (pairs of near-duplicates), those that are at most that
far apart. Where the workbook's image sets differ, the worst of them counts: the largest share of
non-matching and the smallest of matching pairs. Notebook 05 makes the file, with
`workbook/study/nonmatching.py`.

A large collection needs a smaller share of false pairs than the workbook has enough pairs to
measure. The rows for it are estimates: a normal distribution continues the two smallest powers of
ten that are measured. Other images may have other shares; `finlib evaluate` measures on your own.
"""

from functools import cache
from importlib.resources import files
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Evidence(NamedTuple):
    """What is known of one hasher, by ascending distance."""

    distance: NDArray[np.int64]  # bits
    nonmatching: NDArray[np.float64]  # share of non-matching pairs at most that far apart
    matching: NDArray[np.float64]  # share of matching pairs at most that far apart
    least_measured: int  # bits: the shares of smaller distances are estimates


class Expected(NamedTuple):
    """The shares of both kinds of pairs that are within a radius; nan where they are unknown."""

    nonmatching: float
    matching: float


@cache
def _read_evidence() -> dict[str, Evidence]:
    """The evidence in the package, by hasher."""
    with files("finlib.matching").joinpath("thresholds.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    evidence_of = {}
    for hasher, part in table.groupby("hasher", sort=False):
        distance = part["distance"].to_numpy()
        evidence_of[str(hasher)] = Evidence(
            distance,
            nonmatching=part["strangers"].to_numpy(),
            matching=part["found"].to_numpy(),
            least_measured=int(distance[part["measured"]].min()),
        )
    return evidence_of


def evidence(hasher: str) -> Evidence:
    """What is known of a hasher; ValueError, with the known ones, where there is nothing."""
    evidence_of = _read_evidence()
    if hasher not in evidence_of:
        raise ValueError(
            f"there is no evidence on thresholds for the hasher {hasher!r}; "
            f"there is for {', '.join(evidence_of)}"
        )
    return evidence_of[hasher]


def expected_at(hasher: str, radius: float) -> Expected:
    """The shares of non-matching and of matching pairs that are at most `radius` bits apart.

    They are nan for a radius outside the evidence. ValueError as from `evidence`.
    """
    known = evidence(hasher)
    if not known.distance[0] <= radius <= known.distance[-1]:
        return Expected(nan, nan)
    place = np.searchsorted(known.distance, radius, side="right") - 1
    return Expected(float(known.nonmatching[place]), float(known.matching[place]))


def radius_for_false_pairs(hasher: str, pairs: float, false_pairs: float) -> int:
    """The largest radius at which at most `false_pairs` of `pairs` non-matching pairs are expected.

    A radius below `evidence(hasher).least_measured` is an estimate. Raises ValueError where every
    radius would let more pairs in, and where `evidence` does.
    """
    return _largest_radius(hasher, evidence(hasher).nonmatching * pairs <= false_pairs)


def radius_for_precision(hasher: str, images: int, precision: float) -> int:
    """The largest radius at which the expected share of matching pairs among those found suffices.

    That share is the precision, between 0 and 1. All pairs of `images` images are compared, and
    each image is taken to match one other. A radius below `evidence(hasher).least_measured` is an
    estimate. Raises ValueError where no radius reaches the precision, and where `evidence` does.
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision must be between 0 and 1; got {precision}")
    known = evidence(hasher)
    true_pairs = images / 2 * known.matching
    false_pairs = images * (images - 1) / 2 * known.nonmatching
    return _largest_radius(hasher, true_pairs >= precision * (true_pairs + false_pairs))


def _largest_radius(hasher: str, is_acceptable: NDArray[np.bool_]) -> int:
    """The largest distance of the evidence that is acceptable; ValueError where none is."""
    if not is_acceptable.any():
        advice = "give a radius"
        if "+" not in hasher:
            advice = "take a longer hash (find+dhash256), or give a radius"
        raise ValueError(f"{hasher} has no radius with so few false pairs: {advice}")
    largest = np.flatnonzero(is_acceptable)[-1]
    return int(evidence(hasher).distance[largest])
