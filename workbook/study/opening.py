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

METHODS = ("find", "phash256", "dhash256", "find+dhash256", "dhash256-rows")
"""The methods that are asked, by their names in `evidence`."""

MOST_IMAGES = 600
"""From how many images, about, the three pictures are chosen."""

FEW = 4
"""Images of a family among them."""


class Opening(NamedTuple):
    """A picture, a copy of it that is hard to find, and an unrelated picture that looks alike."""

    first: Image.Image
    near_duplicate: Image.Image
    unrelated: Image.Image


def choose(data: pd.DataFrame, workers: int = 1) -> Opening:
    """Choose the hardest pictures by dHash among at most MOST_IMAGES.

    data: columns path and family, with a pair of one family and two families. Those that cannot be
    read are left out.
    """
    some = few_of_each(data)
    hashed = execution.hash_files(some["path"].tolist(), "dhash256", workers=workers)
    is_readable = hashed["error"] == ""
    readable = some[is_readable].reset_index(drop=True)
    packed = tables.packed_hashes(hashed[is_readable])
    places = hardest(packed, readable["family"].to_numpy())
    return Opening(*(open_rgb(readable["path"][place]) for place in places))


def few_of_each(data: pd.DataFrame) -> pd.DataFrame:
    """At most MOST_IMAGES of the images: a few of each family, and families evenly from all.

    The largest family is always among them, so that there is a pair.
    """
    few = data.groupby("family", sort=False).head(FEW)
    by_size = data["family"].value_counts().index
    step = -(-len(few) // MOST_IMAGES)
    return few[few["family"].isin(by_size[::step])].reset_index(drop=True)


def hardest(packed: np.ndarray, families: np.ndarray) -> list[int]:
    """The places of a picture, the farthest of its family, and the closest of another family.

    The picture is the one for which the first distance exceeds the second by most, or falls short
    of it by least. packed: hashes, uint8[n, bits // 8].
    """
    apart = np.bitwise_count(packed[:, None] ^ packed[None]).sum(axis=2, dtype=np.int64)
    is_same = families[:, None] == families[None]
    farthest = np.where(is_same, apart, -1)
    np.fill_diagonal(farthest, -1)
    closest = np.where(is_same, 8 * packed.shape[1] + 1, apart)
    has_both = (farthest.max(axis=1) >= 0) & ~is_same.all(axis=1)
    excess = np.where(has_both, farthest.max(axis=1) - closest.min(axis=1), -(10**6))
    first = int(excess.argmax())
    return [first, int(farthest[first].argmax()), int(closest[first].argmin())]


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
