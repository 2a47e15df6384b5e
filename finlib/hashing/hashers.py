"""The table of every hash studied: name, bits, the function.

`HASHERS["find"]`, then `["ahash64"]`, `["ahash256"]` and so on for a, p, d and w at 64 and 256 bits (imagehash), and
`["pdq"]` where the package pdqhash is installed (extra `pdq`). Each turns an image, or a file, into packed bits:
`uint8[bits // 8]`, `numpy.packbits` order, so that `row.tobytes().hex()` is imagehash's text of the same hash.

Hashes add up: two or three names joined by "+", as in `HASHERS["find+dhash256"]`, are one longer hash, its parts' bytes
in the order named, from one decoding. Its Hamming distance is the sum of theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from math import nan
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import classic, find
from finlib.hashing.decoding import Picture, open_picture

Packed = NDArray[np.uint8]


class Hashed(NamedTuple):
    """What one file gives: packed bits, the file's own width and height in pixels, and a quality.

    Quality runs from 0 (flat) to 100 and tells whether an image has enough detail to be matched; it is PDQ's idea, so
    FINd and PDQ have one and the other methods give nan. A sum has that of its first part with one.
    """

    packed: Packed
    width: int
    height: int
    quality: float


@dataclass(frozen=True)
class Hasher:
    """A perceptual hash as data. `compute` turns a decoded picture into packed bits and a quality."""

    name: str
    label: str
    bits: int
    has_quality: bool
    compute: Callable[[Picture], tuple[Packed, float]]

    def from_image(self, image: Image.Image) -> Packed:
        """Packed bits, `uint8[bits // 8]`, of a Pillow image in any mode."""
        return self.compute(Picture(image))[0]

    def from_file(self, path: str | Path) -> Packed:
        """Packed bits, `uint8[bits // 8]`, of an image file; OSError or ValueError where it cannot be read."""
        return self.read(path).packed

    def read(self, path: str | Path) -> Hashed:
        """All that a table of hashes needs, from one decoding of the file; errors as for `from_file`."""
        picture = open_picture(path)
        packed, quality = self.compute(picture)
        return Hashed(packed, *picture.size, quality)

    @property
    def parts(self) -> list["Hasher"]:
        """The hashers that this one is the sum of, in the order of its bytes; itself where it is none."""
        return [HASHERS[name] for name in self.name.split("+")] if "+" in self.name else [self]


def to_imagehash(packed: Packed) -> imagehash.ImageHash:
    """The `imagehash.ImageHash` (row by row; square unless it is a sum's) of one packed row."""
    return imagehash.ImageHash(
        np.unpackbits(packed).astype(bool).reshape(-1, 16 if packed.size >= 32 else 8)
    )


def findhash(image: Image.Image) -> imagehash.ImageHash:
    """FINd of a Pillow image, used as `imagehash.phash` is: subtract two for a distance, print it for its text.

    >>> from PIL import Image
    >>> ramp = Image.linear_gradient("L")
    >>> int(findhash(ramp) - findhash(ramp)), len(str(findhash(ramp)))
    (0, 64)
    """
    return to_imagehash(HASHERS["find"].from_image(image))


def get_hasher(name: str) -> Hasher:
    """The hasher of that name, or the sum of those joined by "+"; ValueError with the names there are, or the extra to
    install.

    >>> get_hasher("find+dhash256").label, get_hasher("find+dhash256").bits
    ('FINd + dHash 256', 512)
    """
    for part in name.split("+"):
        if part == "pdq" and part not in HASHERS:
            raise ValueError(
                "hasher 'pdq' needs the package pdqhash: install the extra with pip install 'finlib[pdq]'"
            )
        if part not in HASHERS:
            raise ValueError(
                f"no hasher is named {part!r}; there are {', '.join(HASHERS)}, and sums: find+dhash256"
            )
    return HASHERS[name]


class _Hashers(dict[str, Hasher]):
    """The table; a sum is made when it is asked for and is not listed."""

    def __missing__(self, name: str) -> Hasher:
        if "+" not in name:
            raise KeyError(name)
        return _sum(name)


@lru_cache
def _sum(name: str) -> Hasher:
    parts = [HASHERS[part] for part in name.split("+")]
    if len(parts) > 3 or len({part.name for part in parts}) < len(parts):
        raise ValueError(
            f"{name}: two or three different hashers can be added up, as in find+dhash256"
        )
    rated = next((k for k, part in enumerate(parts) if part.has_quality), 0)
    label, bits = " + ".join(part.label for part in parts), sum(part.bits for part in parts)
    return Hasher(
        name, label, bits, any(part.has_quality for part in parts), partial(_of_parts, parts, rated)
    )


# What hashers compute by are functions of this module, so that a Hasher travels to other processes.


def _of_parts(parts: list[Hasher], rated: int, picture: Picture) -> tuple[Packed, float]:
    found = [part.compute(picture) for part in parts]
    return np.concatenate([packed for packed, _ in found]), found[rated][1]


def _find(picture: Picture) -> tuple[Packed, float]:
    return find.find_with_quality(picture.rgb)


def _pdq(picture: Picture) -> tuple[Packed, float]:
    import pdqhash  # an optional extra

    vector, quality = pdqhash.compute(picture.rgb)
    return np.packbits(vector.astype(bool)), float(quality)


def _of_grey(
    function: Callable[[Packed, int], Packed], side: int, picture: Picture
) -> tuple[Packed, float]:
    return function(picture.grey, side), nan


def _whash(grey: Packed, side: int) -> Packed:
    return np.packbits(imagehash.whash(Image.fromarray(grey), hash_size=side).hash)


def _table() -> _Hashers:
    rows = [Hasher("find", "FINd", 256, True, _find)]
    functions = {
        "a": classic.average_hash,
        "p": classic.dct_hash,
        "d": classic.difference_hash,
        "w": _whash,
    }
    for letter, function in functions.items():
        for bits in (64, 256):
            compute = partial(_of_grey, function, round(bits**0.5))
            rows.append(Hasher(f"{letter}hash{bits}", f"{letter}Hash {bits}", bits, False, compute))
    if find_spec("pdqhash"):
        rows.append(Hasher("pdq", "PDQ", 256, True, _pdq))
    return _Hashers({row.name: row for row in rows})


HASHERS: dict[str, Hasher] = _table()
