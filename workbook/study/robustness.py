"""Measure which hashes survive when an image is changed on its way round the web.

Images go through every transform at every strength and are hashed by every method. A method's
threshold is fixed beforehand, on unchanged images. Three shares are then measured: of changed
images that still match their own original, of pairs with the other images of their family that
match, and of pairs with unrelated images that match. The last one matters because a change that
makes all images alike is survived only at the price of false matches.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from PIL import Image

from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import open_rgb
from finlib.matching.distances import get_distance
from finlib.matching.hamming import distance_in_block
from finlib.matching.packed import BLOCK, to_blocks
from finlib.pools import in_threads
from workbook.study.transforms import TRANSFORMS

Hashes = dict[str, np.ndarray]
"""Arrays by the name of a hasher."""

COLUMNS = ["hasher", "transform", "level", "strength", "unit", "own", "family", "fpr"]


class Change(NamedTuple):
    """One transform at one strength, with its places in arrays of changed images."""

    transform: str
    strength: float
    unit: str
    transform_index: int
    strength_index: int


def _all_changes() -> Iterator[Change]:
    for transform_index, transform in enumerate(TRANSFORMS.values()):
        for strength_index, strength in enumerate(transform.strengths):
            yield Change(
                transform.name,
                strength,
                transform.unit,
                transform_index,
                strength_index,
            )


def hash_changed(
    paths: Sequence[str | Path],
    names: Sequence[str],
    *,
    seed: int = 2026,
    workers: int = 1,
) -> Hashes:
    """Hash every image under every transform at every strength, by the hashers of these names.

    uint8[transforms, strengths, n, bits // 8] for each hasher, transforms in the order of
    TRANSFORMS. Images are opened as `open_rgb` does, at most 512 pixels on a side, and then
    changed. The hashes are equal for any number of `workers`, which are processes.
    """
    hash_one = partial(_hash_one, list(names), seed)
    numbers = range(len(paths))
    files = [str(path) for path in paths]
    if workers == 1:
        by_image = list(map(hash_one, numbers, files))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            by_image = list(pool.map(hash_one, numbers, files, chunksize=4))
    return {name: np.stack([hashes[name] for hashes in by_image], axis=2) for name in names}


def _hash_one(names: Sequence[str], seed: int, number: int, path: str) -> Hashes:
    """Hash one image under every change: uint8[transforms, strengths, bits // 8] by hasher.

    Its random numbers depend on the seed and on the image's number, not on other images.
    """
    original = open_rgb(path)
    by_hasher: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for change in _all_changes():
        changed = _apply(change, original, seed, number)
        for name in names:
            by_hasher[name].append(get_hasher(name).from_image(changed))
    shaped = {}
    for name, hashes in by_hasher.items():
        shaped[name] = np.stack(hashes).reshape(len(TRANSFORMS), -1, hashes[0].size)
    return shaped


def _apply(change: Change, original: Image.Image, seed: int, number: int) -> Image.Image:
    transform = TRANSFORMS[change.transform]
    rng = np.random.default_rng([seed, number, change.transform_index, change.strength_index])
    return transform.apply(original, change.strength, rng)


def own_matches(
    changed: Hashes,
    originals: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    distances: Mapping[str, str] = MappingProxyType({}),
) -> Hashes:
    """Whether each changed image still matches its original: bool[transforms, strengths, n].

    `changed` is from `hash_changed`; `originals` are the packed hashes of the same n images before
    the change, `thresholds` their radii, and `distances` the names of the distances where they are
    not Hamming's: all by method, as the result is.
    """
    matches = {}
    for name, hashes in changed.items():
        measure = get_distance(distances.get(name, "hamming"), hashes.shape[-1])
        matches[name] = measure.between(hashes, originals[name]) <= thresholds[name]
    return matches


def robustness(
    changed: Hashes,
    sample: np.ndarray,
    packed: Mapping[str, np.ndarray],
    labels: Any,
    thresholds: Mapping[str, float],
    distances: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """Score each method under each transform and strength, at its own threshold.

    `changed` is from `hash_changed` on the images at the rows `sample` of `packed` and `labels`.
    Columns: hasher, transform, level (1 is the weakest), strength, unit, and three shares: own (of
    changed images that match their original), family (of pairs with other images of the family
    that match) and fpr (of pairs with unrelated images that match).
    """
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    originals = {name: packed[name][sample] for name in changed}
    own = own_matches(changed, originals, thresholds, distances)
    changes = list(_all_changes())
    scores = []
    for name, hashes in changed.items():
        stored = _Stored(packed[name], family, sample, distances.get(name, "hamming"))
        in_place = [hashes[change.transform_index, change.strength_index] for change in changes]
        jobs = [(queries, thresholds[name]) for queries in in_place]
        rates = in_threads(stored.rates, jobs, None)
        for change, (in_family, fpr) in zip(changes, rates, strict=True):
            of_own = own[name][change.transform_index, change.strength_index].mean()
            level = change.strength_index + 1
            strength = (change.transform, level, change.strength, change.unit)
            scores.append((name, *strength, of_own, in_family, fpr))
    return pd.DataFrame(scores, columns=COLUMNS)


class _Stored:
    """All hashes of a set, laid out once, to compare those of changed images with."""

    def __init__(
        self, packed: np.ndarray, family: np.ndarray, sample: np.ndarray, distance: str
    ) -> None:
        self.measure = get_distance(distance, packed.shape[1])
        self.blocks = to_blocks(self.measure.stored_words(packed))
        self.family = family
        self.sample = sample

    def rates(self, queries: np.ndarray, threshold: float) -> tuple[float, float]:
        """The shares of the pairs of one family and of two that are within the threshold.

        queries: hashes of the images of the sample, after a change. NaN where there are no pairs,
        or where the threshold is NaN.
        """
        if np.isnan(threshold):
            return float("nan"), float("nan")
        words = self.measure.query_words(queries)
        within = _count_within(
            words, self.sample, self.blocks, self.family, int(threshold), self.measure.width
        )
        sizes = np.bincount(self.family)[self.family[self.sample]]
        same = int((sizes - 1).sum())
        different = len(sizes) * len(self.family) - int(sizes.sum())
        shares = []
        for accepted, total in zip(within, (same, different), strict=True):
            shares.append(float(accepted / total) if total else float("nan"))
        return shares[0], shares[1]


@njit(nogil=True, cache=True)
def _count_within(words, sample, blocks, family, threshold, width):  # type: ignore[no-untyped-def]
    """Count the pairs within the threshold of queries and other hashes: of one family, and of two.

    Query q is image number sample[q] after a change, and is not compared with that image itself.
    """
    within = np.zeros(2, np.int64)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(len(blocks)):
        start = b * BLOCK
        end = min(BLOCK, len(family) - start)
        for q in range(len(words)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(words, q, blocks, b, k, width)
            for k in range(end):
                if distances[k] <= threshold and start + k != sample[q]:
                    different = 0 if family[start + k] == family[sample[q]] else 1
                    within[different] += 1
    return within
