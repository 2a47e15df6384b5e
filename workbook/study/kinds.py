"""Count the false pairs that advised radii let in, on unrelated pictures of many kinds.

FIN reads a radius off `finlib.matching.thresholds`, which predicts the false pairs to expect. Here
the pictures are ones that the evidence does not rest on: photographs, sketches, logos and others,
each kind a body of pictures that are all unrelated. A set of families is a body, too.

**Near kin.** A few pictures of a body show the same thing although they should not. They are found
by the rule of `workbook.study.site`, on FINd and colours, and false pairs are counted with them and
without. The rule looks at FINd's hashes, so what it leaves out is kinder to FINd than to others:
read both.

**The class pairs** are a body of which only distances are known, those that
`evidence.class_pairs` has. They say nothing of other methods, of the filter, or of how many pairs
of families are behind the false pairs.

**Resolved** is what rests on at least `evidence.FAMILY_PAIRS_NEEDED` pairs of families. The number
of false pairs of a record that is not resolved says hardly more than that it is small.

**Intervals** are the middle 95% of resamples of pictures (of families, in a set that has them), or
of groups of these where there are more than a hundred. Where no false pair is found, nothing can be
resampled, and the upper end is that of Clopper and Pearson for as many independent pairs. Pairs are
not independent, so that end is too low.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from finlib.matching.thresholds import evidence, expected_at
from finlib.scoring.histograms import family_histograms
from workbook.study.evidence import FAMILY_PAIRS_NEEDED, GROUPS, class_pairs, distance_of
from workbook.study.family_pairs import closest_of_families
from workbook.study.uncertainty import count_interval, family_weights

METHODS = (
    "find",
    "phash256",
    "dhash256",
    "find+dhash256",
    "dhash256-rows",
    "find+dhash256-rows",
)
RATES = (1e-4, 1e-5, 1e-6)
COLUMNS = [
    "body",
    "kin",
    "filter",
    "method",
    "rate",
    "radius",
    "images",
    "families",
    "pairs",
    "predicted",
    "found",
    "low",
    "high",
    "times",
    "family_pairs",
    "resolved",
    "share_found",
]
CLASS_PAIRS = "class pairs"


class Body(NamedTuple):
    """Pictures that are compared with each other, and what is known of them."""

    name: str
    packed: dict[str, np.ndarray]
    """The hashes that each method stores, uint8[n, bytes]."""
    families: np.ndarray
    """The family of each picture; every picture is its own where all are unrelated."""
    quality: np.ndarray
    """FINd's quality, from 0 to 100."""
    is_kin: np.ndarray
    """Whether a picture is near kin of an earlier one, bool[n]."""

    def part(self, chosen: np.ndarray) -> "Body":
        """The pictures that a mask takes."""
        packed = {method: hashes[chosen] for method, hashes in self.packed.items()}
        families = self.families[chosen]
        return Body(self.name, packed, families, self.quality[chosen], self.is_kin[chosen])


class Matched(NamedTuple):
    """The pairs of unrelated pictures within a radius, of how many, and the interval's ends."""

    found: int
    pairs: int
    low: float
    high: float


def advised_radius(method: str, rate: float) -> int:
    """The greatest radius at which at most this share of unrelated pairs is expected; -1 if none
    is known.
    """
    known = evidence(method)
    within = known.distance[known.nonmatching <= rate]
    return int(within[-1]) if len(within) else -1


def count_false_pairs(
    body: Body, least_quality: float, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """A record with COLUMNS for each method and rate, for all pictures or those that the detail
    filter keeps, with near kin and without.

    With the filter, share_found is what is found of all matching pairs: those of a picture that the
    filter refuses are missed.
    """
    records = []
    for kin in ("left out", "counted"):
        every = body if kin == "counted" else body.part(~body.is_kin)
        kept = every.part(every.quality >= least_quality)
        matching = matching_pairs(every.families)
        for setting, part in {"off": every, "on": kept}.items():
            if len(np.unique(part.families)) < 2:
                continue
            fixed = {"body": body.name, "kin": kin, "filter": setting}
            for method in METHODS:
                counted = count_method(
                    part, method, matching=matching, resamples=resamples, seed=seed
                )
                records += [fixed | record for record in counted]
    return records


def matching_pairs(families: np.ndarray) -> int:
    """How many pairs of pictures are of one family."""
    sizes = np.unique(families, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def count_class_pairs() -> list[dict[str, Any]]:
    """Records with COLUMNS for the published pairs of the class set, by the methods they have.

    What is not known is NaN. Intervals are those of Clopper and Pearson, for independent pairs.
    """
    published = class_pairs()
    is_matching = published["family"] >= 0
    records = []
    for method in METHODS:
        if method not in published:
            continue
        nonmatching = published.loc[~is_matching, method]
        for rate in RATES:
            radius = advised_radius(method, rate)
            pairs = len(nonmatching)
            found = int((nonmatching <= radius).sum())
            low, high = count_interval(found, pairs)
            predicted = pairs * expected_at(method, radius).nonmatching
            record = {
                "body": CLASS_PAIRS,
                "kin": "counted",
                "filter": "off",
                "method": method,
                "rate": f"{rate:.0e}",
                "radius": radius,
                "pairs": pairs,
                "predicted": predicted,
                "found": found,
                "low": low * pairs,
                "high": high * pairs,
                "times": found / predicted,
                "resolved": False,
                "share_found": (published.loc[is_matching, method] <= radius).mean(),
            }
            records.append(record)
    return records


def count_method(
    body: Body, method: str, *, matching: int, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Records of the false pairs that one method lets in at the advised radius of each rate.

    matching: the number of pairs of one family that share_found is a share of.
    """
    hashes = body.packed[method]
    distance = distance_of(method)
    same, different = family_histograms(hashes, body.families, GROUPS, seed, distance=distance)
    largest = max(advised_radius(method, rate) for rate in RATES)
    closest = closest_of_families(hashes, body.families, distance, radius=largest)
    weights = family_weights(len(same), resamples, seed)
    pairs = int(different.sum())
    records = []
    for rate in RATES:
        radius = advised_radius(method, rate)
        within = different[:, :, : radius + 1].sum(axis=2)
        found = int(within.sum())
        low, high = resampled_interval(within, weights, pairs)
        predicted = pairs * expected_at(method, radius).nonmatching
        family_pairs = int((closest <= radius).sum())
        share_found = same[:, : radius + 1].sum() / matching if matching else np.nan
        records.append(
            {
                "method": method,
                "rate": f"{rate:.0e}",
                "radius": radius,
                "images": len(hashes),
                "families": len(np.unique(body.families)),
                "pairs": pairs,
                "predicted": predicted,
                "found": found,
                "low": low,
                "high": high,
                "times": found / predicted,
                "family_pairs": family_pairs,
                "resolved": family_pairs >= FAMILY_PAIRS_NEEDED,
                "share_found": share_found,
            }
        )
    return records


def count_matched(
    hashes: np.ndarray, distance: str, radius: float, *, resamples: int, seed: int
) -> Matched:
    """The pairs of unrelated pictures that are at most `radius` apart, with a 95% interval."""
    pictures = np.arange(len(hashes))
    same, different = family_histograms(hashes, pictures, GROUPS, seed, distance=distance)
    weights = family_weights(len(same), resamples, seed)
    pairs = int(different.sum())
    within = different[:, :, : int(radius) + 1].sum(axis=2)
    low, high = resampled_interval(within, weights, pairs)
    return Matched(int(within.sum()), pairs, low, high)


def resampled_interval(within: np.ndarray, weights: np.ndarray, pairs: int) -> tuple[float, float]:
    """The ends of the 95% interval of a number of false pairs.

    within: false pairs by the groups of their pictures, int64[groups, groups], each counted once.
    weights: how often each group is drawn, float64[resamples, groups].
    """
    if not within.any():
        return 0.0, count_interval(0, pairs)[1] * pairs
    inside = np.diagonal(within)
    between = within - np.diag(inside)
    draws = np.einsum("rg,gh,rh->r", weights, between, weights) + weights @ inside
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def table_of(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The records of several bodies as a table with COLUMNS."""
    return pd.DataFrame(records, columns=COLUMNS)


def pooled(name: str, bodies: Sequence[Body]) -> Body:
    """Several bodies of unrelated pictures as one."""
    packed = {}
    for method in METHODS:
        packed[method] = np.concatenate([body.packed[method] for body in bodies])
    quality = np.concatenate([body.quality for body in bodies])
    is_kin = np.concatenate([body.is_kin for body in bodies])
    return Body(name, packed, np.arange(len(quality)), quality, is_kin)


def refused(body: Body, least_quality: float) -> Body:
    """The plain pictures of a body: those that the detail filter refuses."""
    return body.part(body.quality < least_quality)._replace(name="plain pictures")
