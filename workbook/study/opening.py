"""Choose three pictures that show what is hard about matching, and ask every method about them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from finlib.hashing import execution, tables
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import open_rgb
from finlib.matching.distances import get_distance
from workbook.study import evidence
from workbook.study.anatomy import choose_row_example

METHODS = ("find", "phash256", "dhash256", "find+dhash256", "dhash256-rows")
"""The methods that are asked, by their names in `evidence`."""

MOST_IMAGES = 300
"""From how many images the three pictures are chosen."""


class Opening(NamedTuple):
    """A picture, a copy of it that is hard to find, and an unrelated picture that looks alike."""

    first: Image.Image
    near_duplicate: Image.Image
    unrelated: Image.Image


def choose(data: pd.DataFrame, workers: int = 1) -> Opening:
    """Choose the pictures among the first MOST_IMAGES that can be read, by their dHash.

    data: columns path and family, with a pair of one family and two families; see
    `anatomy.choose_row_example`.
    """
    some = data.head(MOST_IMAGES).reset_index(drop=True)
    hashed = execution.hash_files(some["path"].tolist(), "dhash256", workers=workers)
    is_readable = hashed["error"] == ""
    readable = some[is_readable].reset_index(drop=True)
    packed = tables.packed_hashes(hashed[is_readable])
    places = choose_row_example(packed, readable["family"].tolist())
    return Opening(*(open_rgb(readable["path"][place]) for place in places))


def ask(pictures: Opening, methods: Sequence[str] = METHODS) -> pd.DataFrame:
    """What each method says: columns method, near_duplicate and unrelated (bits), and right.

    The two numbers are the distances from the first picture; right says whether the near-duplicate
    is closer than the unrelated picture.
    """
    rows = []
    for method in methods:
        first, near_duplicate, unrelated = (hash_by(method, picture) for picture in pictures)
        distance = get_distance(evidence.distance_of(method), first.shape[1])
        near = int(distance.between(first, near_duplicate)[0])
        far = int(distance.between(first, unrelated)[0])
        rows.append((method, near, far, near < far))
    return pd.DataFrame(rows, columns=["method", "near_duplicate", "unrelated", "right"])


def hash_by(method: str, picture: Image.Image) -> np.ndarray:
    """The hash that a method stores of a picture, uint8[1, bits // 8]; sums lie side by side."""
    hashers = evidence.hasher_of(method).split("+")
    parts = [get_hasher(name).from_image(picture) for name in hashers]
    return np.hstack(parts)[None]
