"""What `finlib hash --prepare` finds and confuses, in numbers: whether it should be the default.

Each picture is stored in the forms that preparation undoes, and in one that it should leave alone.
A form is found where its hash is within the radius at which `finlib duplicates` takes it for the
same picture.

Of one picture of each of 60 built-in families, at FINd's 25 bits, preparation finds all in 16 bits
and all turned by EXIF where FINd alone finds none, and 56 of the framed ones instead of none. But
of the pictures at half size it finds 58 where FINd alone finds all, and as many of those in two
levels: where a picture has nearly uniform edges, two copies are trimmed differently. Neither
confuses any pair. `duplicates` mostly meets re-encoded and resized copies, and finds turned ones
without preparation, so it is off by default. To measure it again:

    paths = dataset("", 60, 2).drop_duplicates("family")["path"]
    compare_preparation([open_image(path).convert("RGB") for path in paths], "find", 25)
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Transpose

from finlib.hashing.hashers import get_hasher

ORIENTATION = 0x0112  # the EXIF tag
TURN = 6  # to be shown turned by a quarter


def _in_16_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L"), np.uint16)
    return Image.fromarray(grey * 200 + 3000)


def _framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, max(image.size) // 8, "black")


def _turned(image: Image.Image) -> Image.Image:
    turned = image.transpose(Transpose.ROTATE_90)
    turned.getexif()[ORIENTATION] = TURN
    return turned


def _in_two_levels(image: Image.Image) -> Image.Image:
    return image.convert("1")


def _half_size(image: Image.Image) -> Image.Image:
    return image.reduce(2)


FORMS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "16 bits": _in_16_bits,
    "framed": _framed,
    "turned by EXIF": _turned,
    "two levels": _in_two_levels,
    "half size": _half_size,
}


def compare_preparation(pictures: Sequence[Image.Image], hasher: str, radius: int) -> pd.DataFrame:
    """Measure a hasher with and without preparation, a row each.

    The columns are the share of the pictures of which each form is found within the radius, and
    `false_pairs`, the number of pairs of different pictures within it.
    """
    rows = []
    for name in (hasher, f"prepared:{hasher}"):
        row: dict[str, object] = {"hasher": name}
        hashes = [get_hasher(name).from_image(picture) for picture in pictures]
        for form, store in FORMS.items():
            found = [
                _distance(own, get_hasher(name).from_image(store(picture))) <= radius
                for own, picture in zip(hashes, pictures, strict=True)
            ]
            row[form] = float(np.mean(found))
        row["false_pairs"] = sum(_distance(*pair) <= radius for pair in combinations(hashes, 2))
        rows.append(row)
    return pd.DataFrame(rows)


def _distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(one ^ other).sum())
