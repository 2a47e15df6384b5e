"""What to expect of a threshold: false pairs, and the share of true ones found, from the workbook's evidence.

`thresholds.csv` holds, for each method and distance, the chance that two unrelated images are at most that far apart
(of the workbook's sets, the one with the most false pairs) and the share of the pairs of a family that are, down to the
rate that its pairs can tell. Many images ask for smaller ones: there both go on as normal laws through the last two
decades measured, and a radius is an estimate. One's own images may differ: `finlib evaluate` tells.
"""

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri


class Evidence(NamedTuple):
    """What is known of one method, by ascending distance in bits, which are measured from `least` on."""

    distance: NDArray[np.int64]
    strangers: NDArray[np.float64]
    found: NDArray[np.float64]
    least: int


@cache
def _table() -> dict[str, Evidence]:
    with files("finlib").joinpath("thresholds.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, index_col="hasher")
    return {name: _continued(*rows.loc[name].to_numpy().T) for name in rows.index.unique()}


def _continued(distance: NDArray[Any], strangers: NDArray[Any], found: NDArray[Any]) -> Evidence:
    last, below = strangers <= 100 * strangers[0], np.arange(distance[0])
    columns = []
    for share in (strangers, np.minimum(found, 1 - 1e-9)):
        law = np.polyfit(distance[last], ndtri(share[last]), 1)
        columns.append(np.concatenate([np.minimum(ndtr(np.polyval(law, below)), share[0]), share]))
    return Evidence(np.concatenate([below, distance]).astype(np.int64), columns[0], columns[1], int(distance[0]))


def evidence(hasher: str) -> Evidence:
    """What is known of a method; ValueError that names the methods there is evidence for."""
    if hasher not in _table():
        raise ValueError(f"no evidence on thresholds of {hasher!r}: there is for {', '.join(_table())}")
    return _table()[hasher]


def _at(hasher: str, column: NDArray[np.float64], radius: float) -> float:
    """The value at the largest distance in the table that is at most `radius`; nan outside the table."""
    distance = evidence(hasher).distance
    inside = distance[0] <= radius <= distance[-1]
    return float(column[np.searchsorted(distance, radius, side="right") - 1]) if inside else float("nan")


def false_pairs(hasher: str, radius: float, pairs: float) -> float:
    """How many of `pairs` pairs of unrelated images are expected within `radius` bits; nan where that is not known."""
    return pairs * _at(hasher, evidence(hasher).strangers, radius)


def found(hasher: str, radius: float) -> float:
    """The share of the pairs of a family expected within `radius` bits; nan where that is not known."""
    return _at(hasher, evidence(hasher).found, radius)


def radius_for(hasher: str, pairs: float, *, false_pairs: float) -> int:
    """The largest radius at which at most `false_pairs` of `pairs` pairs of unrelated images are expected.

    Under `evidence(hasher).least` it is an estimate. ValueError where no radius lets in so few.
    """
    known = evidence(hasher)
    return _largest(hasher, known, known.strangers * pairs <= false_pairs)


def radius_for_precision(hasher: str, images: int, precision: float, *, relatives: float = 1.0) -> int:
    """The largest radius at which the pairs found among `images` images are expected to hold `precision` true ones.

    `relatives` is how many true matches an image is assumed to have among the others. An estimate and ValueError as
    from `radius_for`; ValueError for a precision outside 0 to 1, too.
    """
    if not 0 < precision < 1:
        raise ValueError(f"a precision lies between 0 and 1; got {precision}")
    known = evidence(hasher)
    true, false = images * relatives / 2 * known.found, images * (images - 1) / 2 * known.strangers
    return _largest(hasher, known, true >= precision * (true + false))


def _largest(hasher: str, known: Evidence, holds: NDArray[np.bool_]) -> int:
    if not holds.any():
        longer = "" if "+" in hasher else "take a longer hash (find+dhash256), or "
        raise ValueError(f"{hasher} cannot promise this at any radius: {longer}give a radius")
    return int(known.distance[np.flatnonzero(holds)[-1]])
