"""What to expect of a threshold: false pairs, and the share of true ones found, from the workbook's evidence.

`thresholds.csv` holds, for each method and distance, the chance that two unrelated images are at most that far apart
(of the workbook's sets, the one with the most false pairs) and the share of the pairs of a family that are. Beyond what
pairs showed, the chance follows a law that was checked (notebook 05); distances that it cannot tell are not in the
file. One's own images may differ: `finlib evaluate` tells.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Evidence(NamedTuple):
    """What is known of one method, by ascending distance in bits; `found` is nan where it is not known."""

    distance: NDArray[np.int64]
    strangers: NDArray[np.float64]
    found: NDArray[np.float64]


@cache
def _table() -> dict[str, Evidence]:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    text = files("finlib").joinpath("thresholds.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        known = float(row["distance"]), float(row["strangers"]), float(row["found"] or "nan")
        rows.setdefault(row["hasher"], []).append(known)
    columns = {name: np.array(known).T for name, known in rows.items()}
    return {name: Evidence(part[0].astype(np.int64), part[1], part[2]) for name, part in columns.items()}


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

    ValueError where so few cannot be promised: the evidence reaches down to some rate, and no further.
    """
    known = evidence(hasher)
    return _largest(hasher, known, known.strangers * pairs <= false_pairs, false_pairs / pairs if pairs else 1.0)


def radius_for_precision(hasher: str, images: int, precision: float, *, relatives: float = 1.0) -> int:
    """The largest radius at which the pairs found among `images` images are expected to hold `precision` true ones.

    `relatives` is how many true matches an image is assumed to have among the others. ValueError as `radius_for`, and
    for a precision outside 0 to 1.
    """
    if not 0 < precision < 1:
        raise ValueError(f"a precision lies between 0 and 1; got {precision}")
    known = evidence(hasher)
    true, false = images * relatives / 2 * known.found, images * (images - 1) / 2 * known.strangers
    needed = relatives * (1 - precision) / precision / max(images - 1, 1)
    return _largest(hasher, known, true >= precision * (true + false), needed)


def _largest(hasher: str, known: Evidence, holds: NDArray[np.bool_], rate: float) -> int:
    if not holds.any():
        raise ValueError(
            f"{hasher} cannot promise this: it takes a false-positive rate of about {rate:.1e}, and the evidence "
            f"reaches down to {known.strangers[0]:.1e} (at {known.distance[0]} bits)"
        )
    return int(known.distance[np.flatnonzero(holds)[-1]])
