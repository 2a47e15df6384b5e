"""Estimate how far apart unrelated images are, from the hashes themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from finlib.matching import near
from finlib.matching.distances import get_distance
from finlib.matching.distinct import find_distinct
from finlib.matching.packed import Packed
from finlib.matching.pairs import distance_histogram
from finlib.matching.rows import RowDistance

CHANCE = 2e-4
"""The share of the images that a step may bring together with unrelated ones, by default."""

SAMPLE = 16384  # hashes whose distances are computed
ENOUGH = 32  # hashes that a standard deviation can be estimated from
TWO_DEVIATIONS = 0.0228  # share of a normal distribution more than 2 deviations below the mean
WIDEST = 1.5  # times the far side's deviation; on the near side, what is wider comes from families
ONE_FAMILY = 0.8  # times the expected mean distance; a smaller mean shows that families are few
VARIED = 8  # the number of independent bits that hashes of many families have at least
FAMILY_RECALL = 0.999  # share of the near pairs of the sample that is found

# By rows most unrelated hashes are as far apart as they can be, so that only the near side says
# something. These were measured on templates and photographs; see `_fit_by_rows`.
SAME_FAMILY = 2 / 3  # of the largest row distance: nearer hashes are taken to be of one family
SAME_FAMILY_BITS = 1 / 3  # of the bits of another hash, added to that
QUANTILE = 0.02  # share of the unrelated pairs that is below the quantile which is measured
MEAN_BY_ROWS = 54 / 48  # times the largest row distance; of the normal distribution of the tail
DEVIATION_BY_ROWS = 3.5 / 48  # times the largest row distance
MEAN_OF_BITS = 0.45  # times the bits of another hash, added to the mean
DEVIATION_OF_BITS = 0.014  # times the bits of another hash, added to the deviation

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NullModel:
    """Distances of unrelated images, as a normal distribution.

    mean, deviation: in units of the distance.
    limit: the distance up to which the distribution holds. By rows most unrelated images are about
        as far apart as they can be, so that it describes the near side alone; farther pairs are all
        taken to be unrelated.
    """

    mean: float
    deviation: float
    limit: float = np.inf

    def within(self, radius: Any) -> Any:
        """The share of non-matching pairs that are at most `radius` apart."""
        radius = np.asarray(radius)
        from_mean = radius + 0.5 - self.mean
        share = ndtr(from_mean / self.deviation)
        return np.where(radius > self.limit, 1.0, share)

    def radius(self, share: float) -> int:
        """The largest radius within which at most this share of non-matching pairs lies.

        It is at least 0: two equal hashes are not a coincidence.
        """
        quantile = ndtri(min(share, 0.5))
        at_quantile = self.mean - 0.5 + self.deviation * quantile
        radius = min(at_quantile, self.limit)
        return max(0, int(np.floor(radius)))


def fit_null_model(
    packed: Packed,
    seed: int = 2026,
    workers: int | None = None,
    distance: str = "hamming",
) -> NullModel:
    """Estimate how far apart unrelated images are, from hashes uint8[n, bits // 8] without labels.

    Pairs that are farther apart than most are all unrelated, so the far side of the histogram of
    distances gives the mean and the deviation. The near side also contains the pairs of families.
    It is therefore measured on one hash of each family that a first estimate finds. The wider of
    the two sides counts.
    """
    compared = get_distance(distance, packed.shape[1])
    if isinstance(compared, RowDistance):
        return _fit_by_rows(packed, compared, seed, workers)
    bits = 8 * packed.shape[1]
    if len(packed) < 2:
        return NullModel(bits / 2, np.sqrt(bits / 4))
    sample = _draw_sample(packed, seed)
    first = _estimate(sample)
    radius = first.radius(CHANCE / len(sample))
    singles = _one_per_family(sample, radius, workers, distance)
    if len(singles) < ENOUGH:
        of_independent_bits = np.sqrt(bits) / 2
        deviation = max(first.deviation, of_independent_bits)
        return NullModel(first.mean, deviation)
    counts = distance_histogram(singles)
    far_side = _fit_far_side(counts)
    share = min(TWO_DEVIATIONS, max(1e-5, 10 / len(singles)))
    near_deviation = _near_deviation(counts, share)
    deviation = np.clip(near_deviation, far_side.deviation, WIDEST * far_side.deviation)
    return NullModel(far_side.mean, float(deviation))


def _fit_by_rows(
    packed: Packed, distance: RowDistance, seed: int, workers: int | None
) -> NullModel:
    """Estimate how far apart unrelated images are by rows.

    The near side is measured by its quantile, on one hash of each family. Further out it falls as a
    normal distribution does whose deviation was measured on pictures that nobody made for it:
    in a set without labels, most pairs further out are of families that were not recognised.
    """
    largest_by_rows = distance.largest - 8 * distance.other_bytes
    family_radius = SAME_FAMILY * largest_by_rows + SAME_FAMILY_BITS * 8 * distance.other_bytes
    deviation = DEVIATION_BY_ROWS * largest_by_rows + DEVIATION_OF_BITS * 8 * distance.other_bytes
    singles = packed[:0]
    if len(packed) > 1:
        sample = _draw_sample(packed, seed)
        singles = _one_per_family(sample, int(family_radius), workers, distance.name)
    if len(singles) < ENOUGH:
        mean = MEAN_BY_ROWS * largest_by_rows + MEAN_OF_BITS * 8 * distance.other_bytes
        return NullModel(mean, deviation, mean + deviation * ndtri(QUANTILE))
    counts = distance_histogram(singles, distance=distance.name)
    share = max(QUANTILE, ENOUGH / counts.sum())
    quantile = _quantile(counts, share)
    mean = float(quantile - deviation * ndtri(share))
    return NullModel(mean, deviation, quantile)


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


def _one_per_family(packed: Packed, radius: int, workers: int | None, distance: str) -> Packed:
    """Choose one hash of each group of hashes that pairs within the radius connect."""
    first_rows, _ = find_distinct(packed)
    distinct = packed[first_rows]
    forest = near.unite_near(
        distinct,
        radius,
        distance=distance,
        recall=FAMILY_RECALL,
        resources=near.Resources(workers),
    )
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
    deviations_below = -ndtri(share)
    below_median = _median(counts) - _quantile(counts, share)
    return float(below_median / deviations_below)


def _quantile(counts: Counts, share: float) -> float:
    """The distance below which this share of the pairs of a histogram lies, interpolated."""
    below = np.cumsum(counts) / counts.sum()
    return float(np.interp(share, below, np.arange(len(counts))))
