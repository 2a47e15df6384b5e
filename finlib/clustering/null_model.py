"""How far apart strangers are, from the hashes themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from finlib.matching.forest import Forest
from finlib.matching.pairs import Packed, distance_histogram, find_distinct, iter_pairs

SAMPLE = 16384  # hashes whose distances are looked at
ENOUGH = 32  # hashes to tell deviations from
CHANCE = 2e-4  # share of the images that may be brought together with strangers in a step


@dataclass(frozen=True)
class NullModel:
    """Distances of unrelated images: normal with this mean and deviation in bits, as far as it matters here."""

    mean: float
    deviation: float

    def within(self, radius: Any) -> Any:
        """The share of pairs of strangers at most so far apart."""
        return ndtr((np.asarray(radius) + 0.5 - self.mean) / self.deviation)

    def radius(self, share: float) -> int:
        """The largest radius within which at most this share of them is, at least 0: copies are no chance."""
        return max(0, int(np.floor(self.mean - 0.5 + self.deviation * ndtri(min(share, 0.5)))))


def fit_null_model(packed: Packed, seed: int = 2026, workers: int | None = None) -> NullModel:
    """How far apart strangers are, from the hashes themselves.

    Pairs farther apart than most are all strangers, which gives mean and deviation. The near side, where families are,
    is looked at with one hash of each family that a first look finds, and the wider of the two counts.
    """
    if len(packed) < 2:
        return NullModel(4.0 * packed.shape[1], np.sqrt(2.0 * packed.shape[1]))
    rng = np.random.default_rng(seed)
    some = packed[np.sort(rng.choice(len(packed), min(len(packed), SAMPLE), replace=False))]
    bits, ones = 8 * packed.shape[1], np.bitwise_count(some).sum(axis=1, dtype=np.int64)
    expected = float(
        (2 * ones * (bits - ones) / bits).mean()
    )  # of hashes with so many bits set, anywhere
    far = _scatter(some, 0.0)[0]
    if not (
        _varied(some[:: -(-len(some) // 4096)])
        or (len(some) < ENOUGH and far.mean >= 0.8 * expected)
    ):
        far = NullModel(expected, 1.15 * np.sqrt(bits) / 2)  # most pairs are of a few families
    radius, some = far.radius(CHANCE / len(some)), some[find_distinct(some)[0]]
    forest = Forest(len(some))
    for pairs in iter_pairs(some, None, radius, workers=workers):
        forest.take(*pairs)
    single = some[np.unique(forest.roots())]
    if len(single) < ENOUGH:
        return NullModel(far.mean, max(far.deviation, np.sqrt(bits) / 2))
    far, near_side = _scatter(single, min(0.0228, max(1e-5, 10 / len(single))))
    return NullModel(far.mean, float(np.clip(near_side, far.deviation, 1.5 * far.deviation)))


def _varied(packed: Packed) -> bool:
    """Whether hashes differ in more ways than a few families would: bits that are set in many of them, but not in all,
    go their own ways (the participation ratio of their covariances is over 8)."""
    bits = np.unpackbits(packed, axis=1)
    share = bits.mean(axis=0)
    telling = bits[:, np.minimum(share, 1 - share) >= 0.3]
    if telling.shape[1] < 8:
        return False
    covariance = np.cov(telling, rowvar=False, dtype=np.float32)
    return bool(np.trace(covariance) ** 2 > 8 * (covariance**2).sum())


def _scatter(packed: Packed, share: float) -> tuple[NullModel, float]:
    counts = distance_histogram(packed)
    distance, total = np.arange(len(counts)), counts.sum()
    if not total:
        return NullModel(len(counts) / 2, np.sqrt(len(counts)) / 2), 0.0
    below = np.cumsum(counts) / total
    median = int(np.searchsorted(below, 0.5))
    weight = np.where(distance > median, counts, (distance == median) * counts / 2)
    deviation = np.sqrt((weight * (distance - median) ** 2).sum() / weight.sum())
    near_side = (median - np.interp(share, below, distance)) / -ndtri(share) if share else 0.0
    return NullModel(median, max(0.5, float(deviation))), float(near_side)
