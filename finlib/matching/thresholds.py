"""What to expect of a threshold: false pairs, and the share of true ones found, from the workbook's evidence.

`thresholds.csv` holds, for each method and distance, the chance that two unrelated images are at most that far apart
(of the workbook's sets, the one with the most false pairs) and the share of the pairs of a family that are. Many images
ask for smaller chances than its pairs can tell: rows that are not measured are estimates, from normal laws through the
last two decades that are. One's own images may differ: `finlib evaluate` tells.
"""

from functools import cache
from importlib.resources import files
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Evidence(NamedTuple):
    """What is known of one method, by ascending distance in bits, which are measured from `least_measured` on."""

    distance: NDArray[np.int64]
    nonmatching: NDArray[np.float64]
    matching: NDArray[np.float64]
    least_measured: int


@cache
def _table() -> dict[str, Evidence]:
    with files("finlib.matching").joinpath("thresholds.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file)
    found = {}
    for name, part in rows.groupby("hasher", sort=False):
        distance, strangers, share = (
            part[column].to_numpy() for column in ("distance", "strangers", "found")
        )
        found[str(name)] = Evidence(
            distance, strangers, share, int(distance[part["measured"]].min())
        )
    return found


def evidence(hasher: str) -> Evidence:
    """What is known of a method; ValueError that names the methods there is evidence for."""
    if hasher not in _table():
        raise ValueError(
            f"no evidence on thresholds of {hasher!r}: there is for {', '.join(_table())}"
        )
    return _table()[hasher]


class Expected(NamedTuple):
    """The shares of non-matching and of matching pairs within a radius; nan where not known."""

    nonmatching: float
    matching: float


def expected_at(hasher: str, radius: float) -> Expected:
    """The shares of the pairs of unrelated images, and of a family's, within `radius` bits; nan where not known."""
    known = evidence(hasher)
    if not known.distance[0] <= radius <= known.distance[-1]:
        return Expected(nan, nan)
    at = np.searchsorted(known.distance, radius, side="right") - 1
    return Expected(float(known.nonmatching[at]), float(known.matching[at]))


def radius_for_false_pairs(hasher: str, pairs: float, false_pairs: float) -> int:
    """The largest radius at which at most `false_pairs` of `pairs` pairs of unrelated images are expected.

    Under `evidence(hasher).least_measured` it is an estimate. ValueError where no radius lets in so few.
    """
    return _largest(hasher, evidence(hasher).nonmatching * pairs <= false_pairs)


def radius_for_precision(hasher: str, images: int, precision: float) -> int:
    """The largest radius at which the pairs found among `images` images are expected to hold `precision` true ones.

    An image is taken to have one true match among the others. An estimate and ValueError as from `radius_for_false_pairs`;
    ValueError for a precision outside 0 to 1, too.
    """
    if not 0 < precision < 1:
        raise ValueError(f"a precision lies between 0 and 1; got {precision}")
    known = evidence(hasher)
    true, false = images / 2 * known.matching, images * (images - 1) / 2 * known.nonmatching
    return _largest(hasher, true >= precision * (true + false))


def _largest(hasher: str, holds: NDArray[np.bool_]) -> int:
    if not holds.any():
        longer = "" if "+" in hasher else "take a longer hash (find+dhash256), or "
        raise ValueError(f"{hasher} cannot promise this at any radius: {longer}give a radius")
    return int(evidence(hasher).distance[np.flatnonzero(holds)[-1]])
