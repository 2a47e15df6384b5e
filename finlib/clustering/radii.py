"""Choose the radius within which images may be brought together, from the hashes themselves.

The radius follows from the number of hashes, from the distances of unrelated ones (`NullModel`) and
from how many of the images have no near-duplicate, since only these can be brought to an unrelated
image.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from finlib.clustering.null_model import CHANCE, NullModel
from finlib.matching import near
from finlib.matching.distances import get_distance
from finlib.matching.nearest import nearest_hashes
from finlib.matching.packed import Packed

SAMPLE = 1024  # images whose nearest hash is looked up to choose a radius

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a clustering is computed with.

    distance: what hashes are compared by, "hamming" or "rows". null_model: the distances of
    unrelated images. chance: the share of the images that a step may bring together with unrelated
    ones, between 0 and 1. seed: of all that is drawn at random. resources: the threads or machines
    to run on.
    """

    null_model: NullModel
    distance: str = "hamming"
    chance: float = CHANCE
    seed: int = 2026
    resources: near.Resources = field(default_factory=near.Resources)

    def __post_init__(self) -> None:
        if not 0 < self.chance < 1:
            raise ValueError(f"chance must be between 0 and 1; got {self.chance}")


def choose_radius(
    hashes: Packed,
    others: Packed | None,
    settings: Settings,
    *,
    wrong: float,
    wrong_share: float = 0.0,
) -> int:
    """Choose the largest radius within which few of the hashes have an unrelated nearest one.

    hashes: uint8[n, bits // 8].
    others: the hashes among which the nearest is searched; None for the other hashes of the set.
    wrong: the number of hashes that may be brought to an unrelated one.
    wrong_share: the same, as a share of the hashes that have another one within the radius. The
        larger of the two limits counts.
    """
    nearest = _nearest_distances(hashes, others, settings)
    compared = len(hashes) - 1 if others is None else len(others)
    largest = get_distance(settings.distance, hashes.shape[1]).largest
    distances = np.arange(largest + 1)
    chance = _chance_of_neighbour(settings.null_model, distances, compared)
    typical = int(np.searchsorted(chance, 0.5))
    alone = _share_alone(nearest, chance, typical)
    nearest_first = np.sort(nearest)
    within = np.searchsorted(nearest_first, distances, side="right")
    brought = within / len(nearest)
    allowed = np.maximum(wrong / len(hashes), wrong_share * brought)
    acceptable = np.flatnonzero(alone * chance <= allowed)
    largest_acceptable = int(acceptable.max(initial=0))
    return min(largest_acceptable, typical)


def _nearest_distances(hashes: Packed, others: Packed | None, settings: Settings) -> Any:
    """The distance from some of the hashes to the nearest other one, int64[sample]."""
    rng = np.random.default_rng(settings.seed)
    size = min(len(hashes), SAMPLE)
    chosen = rng.choice(len(hashes), size, replace=False)
    rows = np.sort(chosen)
    nearest = nearest_hashes(
        hashes[rows],
        hashes if others is None else others,
        own=rows if others is None else None,
        distance=settings.distance,
        workers=settings.resources.workers,
    )
    return nearest.distance


def _chance_of_neighbour(null_model: NullModel, distances: Any, compared: int) -> Floats:
    """For each distance, the chance that any of the hashes compared is within it of a hash.

    compared: the number of hashes, all unrelated to the one.
    """
    of_one = np.minimum(null_model.within(distances), 1 - 1e-12)
    return -np.expm1(compared * np.log1p(-of_one))


def _share_alone(nearest: Any, chance: Floats, typical: int) -> float:
    """Estimate the share of images without a near-duplicate.

    The nearest hash of such an image is an unrelated one. About half of these images are farther
    than `typical` from it, and `chance` gives their exact share. Images with a near-duplicate
    hardly ever are. So the images that are farther away, divided by that share, are the estimate.
    nearest: the distance of each sampled image to its nearest hash.
    """
    count = (nearest > typical).sum()
    far = (count + 1) / len(nearest)
    last = len(chance) - 1
    within = chance[min(typical, last)]
    beyond = max(1 - within, 1e-9)
    return min(1.0, far / beyond)
