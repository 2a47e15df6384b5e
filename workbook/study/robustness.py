"""What survives when an image is changed on its way: every transform at every strength, hashed by every method.

A method's threshold is fixed beforehand, on unchanged images. What is asked then is how many changed images are still
matched with their own original, how many with the other images of their family, and whether strangers start to match:
a change that makes all images alike is 'survived' only by giving up the false-positive rate.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import open_rgb
from finlib.scoring.metrics import query_counts, rate_at
from workbook.study.transforms import TRANSFORMS

Hashes = dict[str, np.ndarray]


def _hash_changed(names: Sequence[str], seed: int, place: int, path: str) -> Hashes:
    """One image: uint8[transforms, strengths, bits // 8] a hasher. Its randomness depends on its place alone."""
    original = open_rgb(path)
    out: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for turn, transform in enumerate(TRANSFORMS.values()):
        for level, strength in enumerate(transform.strengths):
            changed = transform.apply(
                original, strength, np.random.default_rng([seed, place, turn, level])
            )
            for name in names:
                out[name].append(get_hasher(name).from_image(changed))
    return {
        name: np.stack(rows).reshape(len(TRANSFORMS), -1, rows[0].size)
        for name, rows in out.items()
    }


def hash_changed(
    paths: Sequence[str | Path], names: Sequence[str], *, seed: int = 2026, workers: int = 1
) -> Hashes:
    """Every image under every transform at every strength: uint8[transforms, strengths, n, bits // 8] a hasher.

    Transforms are in the order of `TRANSFORMS`; the images are RGB and at most 512 on a side before they are changed.
    Equal for any number of `workers` (processes).
    """
    job = partial(_hash_changed, list(names), seed)
    places, files = range(len(paths)), [str(path) for path in paths]
    if workers == 1:
        done = list(map(job, places, files))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            done = list(pool.map(job, places, files, chunksize=4))
    return {name: np.stack([one[name] for one in done], axis=2) for name in names}


def own_matches(
    changed: Hashes, originals: Mapping[str, np.ndarray], thresholds: Mapping[str, float]
) -> Hashes:
    """bool[transforms, strengths, n] a hasher: whether a changed image still matches its own original.

    `changed` is from `hash_changed`; `originals` holds the packed hashes of the same n images before the change.
    """
    return {
        name: np.bitwise_count(hashes ^ originals[name]).sum(axis=-1, dtype=np.int64)
        <= thresholds[name]
        for name, hashes in changed.items()
    }


def robustness(
    changed: Hashes,
    sample: np.ndarray,
    packed: Mapping[str, np.ndarray],
    labels: Any,
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    """How each method fares under each transform and strength, at its own threshold.

    `changed` is from `hash_changed` on the images at rows `sample` of `packed` and `labels`. Columns: hasher,
    transform, level (1 the weakest), strength, unit; own (share matched with their own original), family (share of
    pairs with the other images of the family matched), fpr (share of pairs with strangers matched).
    """
    labels, rows = np.asarray(labels), []
    own = own_matches(changed, {name: packed[name][sample] for name in changed}, thresholds)
    for name, hashes in changed.items():
        for turn, transform in enumerate(TRANSFORMS.values()):
            for level, strength in enumerate(transform.strengths):
                queries = hashes[turn, level]
                counts = query_counts(
                    queries, labels[sample], packed[name], labels, itself=sample
                ).sum(axis=0)
                place = (name, transform.name, level + 1, strength, transform.unit)
                rows.append(
                    (*place, own[name][turn, level].mean(), *rate_at(counts, thresholds[name]))
                )
    return pd.DataFrame(
        rows, columns=["hasher", "transform", "level", "strength", "unit", "own", "family", "fpr"]
    )
