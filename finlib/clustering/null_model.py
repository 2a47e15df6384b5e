"""Estimate how far apart unrelated images are, from the hashes themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from finlib.matching.forest import Forest
from finlib.matching.packed import Packed
from finlib.matching.pairs import distance_histogram, find_distinct, iter_pairs

CHANCE = 2e-4
"""The share of the images that a step may bring together with unrelated ones, by default."""

SAMPLE = 16384  # hashes whose distances are computed
ENOUGH = 32  # hashes that a standard deviation can be estimated from
TWO_DEVIATIONS = 0.0228  # share of a normal distribution more than 2 deviations below the mean
WIDEST = 1.5  # times the far side's deviation; on the near side, what is wider comes from families
ONE_FAMILY = 0.8  # times the expected mean distance; a smaller mean shows that families are few
VARIED = 8  # the number of independent bits that hashes of many families have at least

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NullModel:
    """Distances of unrelated images, as a normal distribution.

    mean, deviation: in bits.
    """

    mean: float
    deviation: float

    def within(self, radius: Any) -> Any:
        """The share of non-matching pairs that are at most `radius` bits apart."""
        return ndtr((np.asarray(radius) + 0.5 - self.mean) / self.deviation)

    def radius(self, share: float) -> int:
        """The largest radius within which at most this share of non-matching pairs lies.

        It is at least 0: two equal hashes are not a coincidence.
        """
        quantile = ndtri(min(share, 0.5))
        radius = self.mean - 0.5 + self.deviation * quantile
        return max(0, int(np.floor(radius)))


def fit_null_model(packed: Packed, seed: int = 2026, workers: int | None = None) -> NullModel:
    """Estimate how far apart unrelated images are, from hashes uint8[n, bits // 8] without labels.

    Pairs that are farther apart than most are all unrelated, so the far side of the histogram of
    distances gives the mean and the deviation. The near side also contains the pairs of families.
    It is therefore measured on one hash of each family that a first estimate finds. The wider of
    the two sides counts.
    """
    bits = 8 * packed.shape[1]
    if len(packed) < 2:
        return NullModel(bits / 2, np.sqrt(bits / 4))
    sample = _draw_sample(packed, seed)
    first = _estimate(sample)
    singles = _one_per_family(sample, first.radius(CHANCE / len(sample)), workers)
    if len(singles) < ENOUGH:
        return NullModel(first.mean, max(first.deviation, np.sqrt(bits) / 2))
    counts = distance_histogram(singles)
    far_side = _fit_far_side(counts)
    share = min(TWO_DEVIATIONS, max(1e-5, 10 / len(singles)))
    near_deviation = _near_deviation(counts, share)
    deviation = np.clip(near_deviation, far_side.deviation, WIDEST * far_side.deviation)
    return NullModel(far_side.mean, float(deviation))


def _draw_sample(packed: Packed, seed: int) -> Packed:
    """At most SAMPLE of the hashes, in their order."""
    rng = np.random.default_rng(seed)
    size = min(len(packed), SAMPLE)
    rows = rng.choice(len(packed), size, replace=False)
    return packed[np.sort(rows)]


def _estimate(sample: Packed) -> NullModel:
    """Estimate the distances of unrelated images a first time.

    The far side of the histogram gives the estimate, unless most pairs are of a few families. Then
    the number of bits that are set gives it, as if the bits were independent.
    """
    bits = 8 * sample.shape[1]
    far_side = _fit_far_side(distance_histogram(sample))
    step = -(-len(sample) // 4096)
    if _is_varied(sample[::step]):
        return far_side
    expected = _expected_distance(sample)
    if len(sample) < ENOUGH and far_side.mean >= ONE_FAMILY * expected:
        return far_side
    return NullModel(expected, 1.15 * np.sqrt(bits) / 2)


def _expected_distance(packed: Packed) -> float:
    """The mean distance, in bits, of independent hashes with as many bits set as these have."""
    bits = 8 * packed.shape[1]
    ones = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    differing = 2 * ones * (bits - ones) / bits
    return float(differing.mean())


def _is_varied(packed: Packed) -> bool:
    """Whether hashes differ in more ways than those of a few families would.

    In hashes of many families, the bits that are set in about half of the hashes vary nearly
    independently. The number of independent ones is estimated by the participation ratio of their
    covariance matrix: the square of its trace divided by the sum of its squared elements.
    """
    bits = np.unpackbits(packed, axis=1)
    share = bits.mean(axis=0)
    is_balanced = np.minimum(share, 1 - share) >= 0.3
    balanced = bits[:, is_balanced]
    if balanced.shape[1] < VARIED:
        return False
    covariance = np.cov(balanced, rowvar=False, dtype=np.float32)
    trace = np.trace(covariance)
    squares = (covariance**2).sum()
    return bool(trace**2 > VARIED * squares)


def _one_per_family(packed: Packed, radius: int, workers: int | None) -> Packed:
    """Choose one hash of each group of hashes that pairs within the radius connect."""
    first_rows, _ = find_distinct(packed)
    distinct = packed[first_rows]
    forest = Forest(len(distinct))
    for pairs in iter_pairs(distinct, None, radius, workers=workers):
        forest.take(*pairs)
    roots = np.unique(forest.roots())
    return distinct[roots]


def _median(counts: Counts) -> int:
    """The median distance of a histogram int64[bits + 1]."""
    below = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(below, 0.5))


def _fit_far_side(counts: Counts) -> NullModel:
    """Fit a normal distribution to the distances above the median, which becomes its mean."""
    median = _median(counts)
    distance = np.arange(len(counts))
    weight = counts.astype(np.float64)
    weight[:median] = 0
    weight[median] /= 2  # the median belongs to both sides
    squares = weight * (distance - median) ** 2
    variance = squares.sum() / weight.sum()
    deviation = float(np.sqrt(variance))
    return NullModel(median, max(0.5, deviation))


def _near_deviation(counts: Counts, share: float) -> float:
    """The deviation of a normal distribution with the same median and the same lower quantile.

    counts: pairs at each distance, int64[bits + 1]. share: of the pairs that are below the
    quantile.
    """
    distance = np.arange(len(counts))
    below = np.cumsum(counts) / counts.sum()
    quantile = np.interp(share, below, distance)
    deviations_below = -ndtri(share)
    return float((_median(counts) - quantile) / deviations_below)
