"""A picture's eight turns and mirror images, hashed from one decoding, by FINd from one transform."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Transpose

from finlib.compiled import find_pixels, reference_coefficients
from finlib.decoding import Picture
from finlib.hashers import Hasher
from finlib.reference import HALF

VARIANTS = ("as it is", "mirrored", "upside down", "half turn", "transposed", "quarter", "three quarters", "transverse")
"""The eight turns and mirror images, in the order of `find_variants`; quarter turns go anticlockwise as in Pillow."""
_TURNS = [Transpose(k) for k in (0, 1, 3, 5, 2, 4, 6)]


def find_variants(rgb: Any) -> NDArray[np.uint8]:
    """Hashes of a picture's eight VARIANTS from one transform, uint8[8, 32]; the first is `find_pixels(rgb)`.

    Mirroring turns the signs of every other coefficient, transposing transposes them. FINd's windows are half-open,
    so that mirrored ones differ by a few bits from the hash of the picture that was turned itself.
    """
    values = reference_coefficients(rgb)
    sign = np.where(np.arange(len(values)) % 2 == 0, -1.0, 1.0)
    hashes = [find_pixels(rgb)]
    for place in range(1, len(VARIANTS)):
        transposed, down, across = place >= 4, place & 2, place & 1
        if transposed:
            down, across = across, down
        turned = (values.T if transposed else values) * (sign if across else 1.0) * (sign[:, None] if down else 1.0)
        median = np.partition(turned, HALF - 1, axis=None)[HALF - 1]
        hashes.append(np.packbits(turned[::-1, ::-1] > median))
    return np.stack(hashes)


def hash_variants(picture: Picture, hasher: Hasher, numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Hashes uint8[len(numbers), bits // 8] of a picture in those of its VARIANTS, the first of which is itself.

    FINd's are from one transform; for any other hasher the pixels are turned.
    """
    if hasher.name == "find":
        return find_variants(picture.rgb)[list(numbers)]
    turned = [Picture(picture.image.transpose(_TURNS[number - 1])) if number else picture for number in numbers]
    return np.stack([hasher.compute(each)[0] for each in turned])
