"""Find turned and mirrored copies: the eight hashes that one transform of FINd yields."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL.Image import Image

from finlib.hashing.decoding import VARIANTS, Picture
from finlib.hashing.find import find_pixels, find_variants
from finlib.scoring import metrics
from workbook.study.accuracy import Hashed


def variants_of(pictures: Sequence[Image]) -> NDArray[np.uint8]:
    """The eight hashes of each picture, the plain one first: uint8[pictures, 8, 32]."""
    return np.stack([find_variants(np.asarray(picture)) for picture in pictures])


def bits_off(pictures: Sequence[Image], variants: NDArray[np.uint8]) -> pd.DataFrame:
    """How far each variant is from the hash of the picture that was really turned, in bits.

    variants: from `variants_of`. Columns turn, median, most_of_95 (the 95% quantile), most, and
    plain_hash (the median distance without variants).
    """
    rows = []
    for place in range(1, len(VARIANTS)):
        turned = [Picture(picture).variant(place).image for picture in pictures]
        true = np.stack([find_pixels(np.asarray(picture)) for picture in turned])
        off = np.bitwise_count(variants[:, place] ^ true).sum(axis=1)
        plain = np.bitwise_count(variants[:, 0] ^ true).sum(axis=1)
        high = np.percentile(off, 95)
        rows.append((VARIANTS[place], np.median(off), high, off.max(), np.median(plain)))
    return pd.DataFrame(rows, columns=["turn", "median", "most_of_95", "most", "plain_hash"])


def times_false_matches(
    variants: NDArray[np.uint8],
    places: NDArray[np.int64],
    hashed: Hashed,
    threshold: int,
) -> float:
    """How many times the false matches of the plain hash all eight variants bring.

    variants: from `variants_of`, of the pictures at these places of the set. threshold: in bits.
    """
    labels = hashed.labels
    false_matches = []
    for place in range(len(VARIANTS)):
        found = metrics.query_counts(
            variants[:, place], labels[places], hashed.packed["find"], labels
        )
        false_matches.append(found[:, 1, : threshold + 1].sum())
    return float(sum(false_matches) / max(false_matches[0], 1))
