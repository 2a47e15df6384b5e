"""What to expect of a radius: how many false pairs, and which share of the matching pairs is found.

The evidence is in `thresholds.csv`, for each method and distance: the share of non-matching pairs,
of unrelated images, that are at most that far apart, and the same share of the matching pairs, of
near-duplicates. Where the workbook's image sets differ, it is of the set with the most false pairs.
A large collection needs smaller shares than the workbook has pairs to measure. The rows that are
not measured are estimates: a normal distribution continues the two smallest powers of ten
that are measured.
Other images may differ, and `finlib evaluate` measures the same on them.

A method is a hasher and the distance that compares its hashes. Its name is the hasher's, followed
by "-rows" where they are compared row by row. In the table it stands in the column `hasher`.
"""

from functools import cache
from importlib.resources import files
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Evidence(NamedTuple):
    """What is known of one method, by ascending distance."""

    distance: NDArray[np.int64]
    nonmatching: NDArray[np.float64]  # share of non-matching pairs at most that far apart
    matching: NDArray[np.float64]  # share of matching pairs at most that far apart
    least_measured: int  # the shares of smaller distances are estimates


class Expected(NamedTuple):
    """The shares of both kinds of pairs that are within a radius; nan where they are unknown."""

    nonmatching: float
    matching: float


@cache
def _read_evidence() -> dict[str, Evidence]:
    """The evidence in the package, by method."""
    with files("finlib.matching").joinpath("thresholds.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    evidence_of = {}
    for method, part in table.groupby("hasher", sort=False):
        distance = part["distance"].to_numpy()
        evidence_of[str(method)] = Evidence(
            distance,
            nonmatching=part["strangers"].to_numpy(),
            matching=part["found"].to_numpy(),
            least_measured=int(distance[part["measured"]].min()),
        )
    return evidence_of


def evidence(method: str) -> Evidence:
    """What is known of a method; ValueError that names the known ones where there is nothing.

    Hashes of prepared pictures (`prepared:find`) are judged by the evidence of the same hasher.
    """
    method = method.removeprefix("prepared:")
    evidence_of = _read_evidence()
    if method not in evidence_of:
        raise ValueError(
            f"there is no evidence on thresholds for the method {method!r}; "
            f"there is for {', '.join(evidence_of)}"
        )
    return evidence_of[method]


def expected_at(method: str, radius: float) -> Expected:
    """The shares of non-matching and of matching pairs that are at most `radius` apart.

    They are nan for a radius outside the evidence. ValueError as from `evidence`.

    >>> near = expected_at("find", 60)
    >>> far = expected_at("find", 80)
    >>> near.nonmatching < far.nonmatching, near.matching < far.matching
    (True, True)
    """
    known = evidence(method)
    if not known.distance[0] <= radius <= known.distance[-1]:
        return Expected(nan, nan)
    place = np.searchsorted(known.distance, radius, side="right") - 1
    return Expected(float(known.nonmatching[place]), float(known.matching[place]))


def radius_for_false_pairs(method: str, pairs: float, false_pairs: float) -> int:
    """The largest radius at which at most `false_pairs` of `pairs` non-matching pairs are expected.

    A radius below `evidence(method).least_measured` is an estimate. Raises ValueError where every
    radius would let more pairs in, or as `evidence`.

    >>> few = radius_for_false_pairs("find", pairs=1e6, false_pairs=1)
    >>> many = radius_for_false_pairs("find", pairs=1e6, false_pairs=100)
    >>> few < many
    True
    """
    return _largest_radius(method, evidence(method).nonmatching * pairs <= false_pairs)


def radius_for_precision(method: str, images: int, precision: float) -> int:
    """The largest radius at which the expected share of matching pairs among those found suffices.

    That share is the precision, between 0 and 1. All pairs of `images` images are compared, and
    each image is taken to match one other. A radius below `evidence(method).least_measured` is an
    estimate. Raises ValueError where no radius reaches the precision, or as `evidence`.
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision must be between 0 and 1; got {precision}")
    known = evidence(method)
    true_pairs = images / 2 * known.matching
    false_pairs = images * (images - 1) / 2 * known.nonmatching
    return _largest_radius(method, true_pairs >= precision * (true_pairs + false_pairs))


def _largest_radius(method: str, is_acceptable: NDArray[np.bool_]) -> int:
    """The largest distance of the evidence that is acceptable; ValueError where none is."""
    if not is_acceptable.any():
        advice = "give a radius"
        if "+" not in method:
            advice = "take a longer hash (find+dhash256), or give a radius"
        raise ValueError(f"{method} has no radius with so few false pairs: {advice}")
    return int(evidence(method).distance[np.flatnonzero(is_acceptable)[-1]])
