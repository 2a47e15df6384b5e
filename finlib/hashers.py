"""The table of every hash studied: name, bits, the function.

`HASHERS["find"]`, then `["ahash64"]`, `["ahash256"]` and so on for a, p, d and w at 64 and 256 bits (imagehash), and
`["pdq"]` where the package pdqhash is installed (extra `pdq`). Each turns an image, or a file, into packed bits:
`uint8[bits // 8]`, `numpy.packbits` order, so that `row.tobytes().hex()` is imagehash's text of the same hash.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib import compiled, decoding, images

Packed = NDArray[np.uint8]


class Hashed(NamedTuple):
    """What one file gives: packed bits, the file's own width and height in pixels, and a quality.

    Quality runs from 0 (flat) to 100 and tells whether an image has enough detail to be matched; it is PDQ's idea, so
    FINd and PDQ have one and the other methods give nan.
    """

    packed: Packed
    width: int
    height: int
    quality: float


@dataclass(frozen=True)
class Hasher:
    """A perceptual hash as data. `read` gives all that a table of hashes needs from one decoding of the file."""

    name: str
    label: str
    bits: int
    from_image: Callable[[Image.Image], Packed]
    read: Callable[[str | Path], Hashed]

    def from_file(self, path: str | Path) -> Packed:
        """Packed bits, `uint8[bits // 8]`, of an image file; OSError or ValueError where it cannot be read."""
        return self.read(path).packed


def to_imagehash(packed: Packed) -> imagehash.ImageHash:
    """The `imagehash.ImageHash` (square, row by row) of one packed row."""
    side = round((packed.size * 8) ** 0.5)
    return imagehash.ImageHash(np.unpackbits(packed).astype(bool).reshape(side, side))


def findhash(image: Image.Image) -> imagehash.ImageHash:
    """FINd of a Pillow image, used as `imagehash.phash` is: subtract two for a distance, print it for its text.

    >>> from PIL import Image
    >>> ramp = Image.linear_gradient("L")
    >>> int(findhash(ramp) - findhash(ramp)), len(str(findhash(ramp)))
    (0, 64)
    """
    return to_imagehash(HASHERS["find"].from_image(image))


def hasher(name: str) -> Hasher:
    """The hasher of that name; ValueError with the names there are, or the extra to install."""
    if name in HASHERS:
        return HASHERS[name]
    if name == "pdq":
        raise ValueError("hasher 'pdq' needs the package pdqhash: install the extra with pip install 'finlib[pdq]'")
    raise ValueError(f"no hasher is named {name!r}; there are {', '.join(HASHERS)}")


def _find() -> Hasher:
    def from_image(image: Image.Image) -> Packed:
        return compiled.find_pixels(images.load_rgb(image))

    def read(path: str | Path) -> Hashed:
        rgb, (width, height) = decoding.decode_into_buffer(path)
        found = compiled.find_with_quality(rgb)
        return Hashed(found.packed, width, height, found.quality)

    return Hasher("find", "FINd", 256, from_image, read)


def _from_imagehash(letter: str, function: Callable[..., Any], bits: int) -> Hasher:
    side = round(bits**0.5)

    def from_image(image: Image.Image) -> Packed:
        return np.packbits(function(image, hash_size=side).hash)

    def read(path: str | Path) -> Hashed:
        image = images.open_image(path)
        return Hashed(from_image(image), *image.size, nan)

    return Hasher(f"{letter}hash{bits}", f"{letter}Hash {bits}", bits, from_image, read)


def _pdq() -> Hasher:
    def compute(rgb: NDArray[np.uint8]) -> tuple[Packed, float]:
        import pdqhash  # an optional extra

        vector, quality = pdqhash.compute(rgb)
        return np.packbits(vector.astype(bool)), float(quality)

    def from_image(image: Image.Image) -> Packed:
        return compute(images.load_rgb(image))[0]

    def read(path: str | Path) -> Hashed:
        rgb, (width, height) = decoding.decode(path)
        packed, quality = compute(rgb)
        return Hashed(packed, width, height, quality)

    return Hasher("pdq", "PDQ", 256, from_image, read)


def _table() -> dict[str, Hasher]:
    rows = [_find()]
    functions: dict[str, Any] = {
        "a": imagehash.average_hash,
        "p": imagehash.phash,
        "d": imagehash.dhash,
        "w": imagehash.whash,
    }
    rows += [_from_imagehash(letter, function, bits) for letter, function in functions.items() for bits in (64, 256)]
    if find_spec("pdqhash"):
        rows.append(_pdq())
    return {row.name: row for row in rows}


HASHERS: dict[str, Hasher] = _table()
