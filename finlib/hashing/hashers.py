"""The table of every hash studied, and hashes combined from several of them.

`HASHERS` is a plain dictionary: "find", then "ahash64", "ahash256" and so on for the a, p, d and w
hashes of imagehash at 64 and 256 bits, and "pdq" where the package pdqhash is installed (extra
`pdq`). A `Hasher` turns an image, or a file, into packed bits: `uint8[bits // 8]` in the order of
`numpy.packbits`, so that `row.tobytes().hex()` is imagehash's text of the same hash. A new hash is
one more entry of the table.

Two or three hashes can be combined: `get_hasher("find+dhash256")` puts their bytes one after the
other, in the order named, from one decoding of the file. The Hamming distance of a combined hash is
the sum of its parts' distances.

`prepared:find` is FINd of pictures that `preparing.prepare` has made of the files. The prefix goes
before any name, also that of a combination.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.util import find_spec
from math import isnan, nan
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib import needs_extra
from finlib.hashing import classic, find
from finlib.hashing.decoding import Picture, open_picture
from finlib.hashing.images import (
    IMAGE_IN_MEMORY,
    MAX_SIDE,
    FileContent,
    ImageError,
    open_content,
    read_content,
    undecodable,
)
from finlib.hashing.preparing import DEEP_MODES, prepare

Packed = NDArray[np.uint8]

_EXTRA_OF = {"pdq": "pdq"}  # a hasher whose package is optional: the extra that installs it
PREPARED = "prepared:"  # which the name of a hasher of prepared pictures begins with
_buffers = threading.local()


class HashAndQuality(NamedTuple):
    """What a hasher computes from a picture.

    packed: the hash, uint8[bits // 8].
    quality: from 0 (flat) to 100, whether the picture has enough detail to be matched; nan for
        hashes without one.
    """

    packed: Packed
    quality: float


class Hashed(NamedTuple):
    """What one file gives: its hash, the file's own width and height in pixels, and its quality.

    The quality is PDQ's idea; FINd and PDQ have one, the other hashes give nan. A combined hash has
    the quality of its first part with one.
    """

    packed: Packed
    width: int
    height: int
    quality: float


@dataclass(frozen=True)
class Hasher:
    """A perceptual hash, described as data.

    name: its name in `HASHERS`, or the names of its parts joined by "+".
    label: its name in tables and figures.
    bits: the length of the hash.
    compute: a decoded picture to its hash and quality. A function of a module, so that a hasher can
        be pickled.
    has_quality: whether `compute` gives a quality other than nan.
    releases_gil: whether `compute` releases Python's global lock, so that threads hash in parallel.
    compute_variants: a decoded picture to the hashes of all its VARIANTS, uint8[8, bits // 8],
        where a hash has a quicker way to them than to turn the pixels.
    rows_start: the byte at which a dHash of 256 bits begins that is the last of the hash, so that
        hashes can be compared row by row; None where there is no such dHash.
    prepares: whether pictures are prepared before they are hashed.
    """

    name: str
    label: str
    bits: int
    compute: Callable[[Picture], HashAndQuality]
    has_quality: bool = False
    releases_gil: bool = False
    compute_variants: Callable[[Picture], Packed] | None = None
    rows_start: int | None = None
    prepares: bool = False

    def from_image(self, image: Image.Image) -> Packed:
        """Packed bits, `uint8[bits // 8]`, of a Pillow image in any mode."""
        picture = Picture(_prepare(image, IMAGE_IN_MEMORY) if self.prepares else image)
        packed, _ = self.compute(picture)
        return packed

    def from_file(self, path: str | Path) -> Packed:
        """Packed bits, `uint8[bits // 8]`, of an image file.

        OSError or ValueError where it cannot be read.
        """
        packed, _ = self.compute(self.open(path, _buffer_of_this_thread()))
        return packed

    def open(self, source: str | Path | FileContent, buffer: bytearray | None = None) -> Picture:
        """The picture of a file that this hasher computes from; as `decoding.open_picture`."""
        if not self.prepares:
            return open_picture(source, buffer)
        content = read_content(source)
        image = open_content(content)
        return Picture(_prepare(image, str(content.path)), file_size=image.size)

    def read(self, source: str | Path | FileContent) -> Hashed:
        """Read from an image file all that a table of hashes needs; errors as for `from_file`.

        ImageError also where the picture's values do not fit 8 bits, so that a hash of them would
        be that of a white or black picture, unless the hasher prepares pictures.

        Each thread decodes every file into the same buffer: new memory for each picture would cost
        more time than its hash.
        """
        content = read_content(source)
        picture = self.open(content, _buffer_of_this_thread())
        if isinstance(picture.decoded, Image.Image) and not self.prepares:
            _check_levels(picture.decoded, str(content.path))
        packed, quality = self.compute(picture)
        width, height = picture.file_size or picture.size
        return Hashed(packed, width, height, quality)

    def variants(self, picture: Picture, numbers: Sequence[int]) -> Packed:
        """Hashes of a picture's turns and mirror images, uint8[len(numbers), bits // 8].

        `numbers` are places in `decoding.VARIANTS`; 0 is the picture as it is.
        """
        if self.compute_variants is not None:
            return self.compute_variants(picture)[list(numbers)]
        hashes = []
        for number in numbers:
            packed, _ = self.compute(picture.variant(number))
            hashes.append(packed)
        return np.stack(hashes)

    @property
    def parts(self) -> list["Hasher"]:
        """The single hashers that this one combines, in the order of its bytes.

        A single hasher is its only part.
        """
        prefix = PREPARED if self.prepares else ""
        names = self.name.removeprefix(prefix).split("+")
        if len(names) == 1:
            return [self]
        return [get_hasher(prefix + name) for name in names]


def prepared_name(name: str) -> str:
    """The name of the hasher that does the same with prepared pictures."""
    return PREPARED + name.removeprefix(PREPARED)


def _prepare(image: Image.Image, name: str) -> Image.Image:
    try:
        return prepare(image)
    except Exception as error:  # Pillow's converters raise several types
        raise undecodable(error, name) from error


def _check_levels(image: Image.Image, name: str) -> None:
    """ImageError where 8 bits cannot hold a picture's values, or hold nothing of them."""
    if image.mode == "LAB":
        raise ImageError(
            f"{name}: colours in LAB, which are not converted. Hash it with --prepare, or convert "
            "it to RGB first."
        )
    if image.mode not in DEEP_MODES:
        return
    values = np.asarray(image)
    low = values.min()
    high = values.max()
    is_fraction = image.mode == "F" and high <= 1
    if low >= 0 and high <= 255 and not is_fraction:
        return
    raise ImageError(
        f"{name}: its values are from {low:g} to {high:g}, and a hash is of values from 0 to 255, "
        "at which it would cut them off. Hash it with --prepare, which scales them, or convert it "
        "to 8 bits first."
    )


def _buffer_of_this_thread() -> bytearray:
    """Memory for the pixels of a picture of at most 512 x 512, the same whenever a thread calls."""
    if not hasattr(_buffers, "pixels"):
        _buffers.pixels = bytearray(3 * MAX_SIDE * MAX_SIDE)
    return _buffers.pixels


def to_imagehash(packed: Packed) -> imagehash.ImageHash:
    """One packed hash as an `imagehash.ImageHash`, filled row by row.

    It is square unless the hash is a combined one.
    """
    columns = 16 if packed.size >= 32 else 8
    bits = np.unpackbits(packed).astype(bool)
    return imagehash.ImageHash(bits.reshape(-1, columns))


def findhash(image: Image.Image) -> imagehash.ImageHash:
    """FINd of a Pillow image, in the form of `imagehash.phash`.

    The difference of two is their distance, and the text of one is its hexadecimal form.

    >>> from PIL import Image
    >>> ramp = Image.linear_gradient("L")
    >>> int(findhash(ramp) - findhash(ramp)), len(str(findhash(ramp)))
    (0, 64)
    """
    return to_imagehash(HASHERS["find"].from_image(image))


def get_hasher(name: str) -> Hasher:
    """The hasher of that name, or the combined one where several names are joined by "+".

    ValueError for an unknown name, for a hash whose package is not installed, and for a combination
    that is not of two or three different hashers.

    >>> get_hasher("find+dhash256").label, get_hasher("find+dhash256").bits
    ('FINd + dHash 256', 512)
    """
    if name.startswith(PREPARED):
        return _of_prepared(get_hasher(name.removeprefix(PREPARED)))
    parts = tuple(_single_hasher(part) for part in name.split("+"))
    if len(parts) == 1:
        return parts[0]
    return _combine(parts)


def _single_hasher(name: str) -> Hasher:
    """The entry of the table; ValueError where there is none."""
    if name in HASHERS:
        return HASHERS[name]
    if name in _EXTRA_OF:
        raise needs_extra(f"hasher {name!r}", _EXTRA_OF[name])
    names = ", ".join(HASHERS)
    raise ValueError(
        f"no hasher is named {name!r}; there are {names}, and combinations such as find+dhash256"
    )


@lru_cache
def _of_prepared(hasher: Hasher) -> Hasher:
    """The hasher that does the same with prepared pictures."""
    return replace(
        hasher,
        name=PREPARED + hasher.name,
        label=f"{hasher.label}, prepared",
        prepares=True,
    )


@lru_cache
def _combine(parts: tuple[Hasher, ...]) -> Hasher:
    """The hasher that puts the bytes of these one after the other."""
    name = "+".join(part.name for part in parts)
    if len(parts) > 3 or len(set(parts)) < len(parts):
        raise ValueError(
            f"{name}: a combination is of two or three different hashers, as in find+dhash256"
        )
    return Hasher(
        name,
        " + ".join(part.label for part in parts),
        sum(part.bits for part in parts),
        partial(_compute_parts, parts),
        has_quality=any(part.has_quality for part in parts),
        releases_gil=all(part.releases_gil for part in parts),
        rows_start=_rows_start(parts),
    )


def _rows_start(parts: Sequence[Hasher]) -> int | None:
    """The byte of a combined hash at which the rows of its last part begin; None without rows."""
    *earlier, last = parts
    if last.rows_start is None:
        return None
    earlier_bits = sum(part.bits for part in earlier)
    return earlier_bits // 8 + last.rows_start


def _compute_parts(parts: Sequence[Hasher], picture: Picture) -> HashAndQuality:
    hashes = []
    quality = nan
    for part in parts:
        packed, quality_of_part = part.compute(picture)
        hashes.append(packed)
        if isnan(quality):
            quality = quality_of_part
    return HashAndQuality(np.concatenate(hashes), quality)


def _find(picture: Picture) -> HashAndQuality:
    packed, quality = find.find_with_quality(picture.rgb)
    return HashAndQuality(packed, quality)


def _find_variants(picture: Picture) -> Packed:
    return find.find_variants(picture.rgb)


def _pdq(picture: Picture) -> HashAndQuality:
    import pdqhash  # an optional extra

    bits, quality = pdqhash.compute(picture.rgb)
    return HashAndQuality(np.packbits(bits.astype(bool)), float(quality))


def _wavelet_hash(grey: Packed, side: int) -> Packed:
    image = Image.fromarray(grey)
    return np.packbits(imagehash.whash(image, hash_size=side).hash)


def _hash_grey(
    function: Callable[[Packed, int], Packed], side: int, picture: Picture
) -> HashAndQuality:
    return HashAndQuality(function(picture.grey, side), nan)


def _square_hasher(
    name: str,
    label: str,
    side: int,
    function: Callable[[Packed, int], Packed],
    releases_gil: bool = True,
    rows_start: int | None = None,
) -> Hasher:
    """A hash of side x side bits, computed by `function(grey, side)` from the grey picture."""
    compute = partial(_hash_grey, function, side)
    return Hasher(
        name,
        label,
        side * side,
        compute,
        releases_gil=releases_gil,
        rows_start=rows_start,
    )


_FIND = Hasher(
    "find",
    "FINd",
    256,
    _find,
    has_quality=True,
    releases_gil=True,
    compute_variants=_find_variants,
)


def _all_hashers() -> list[Hasher]:
    """The entries of the table, in its order; PDQ only where its package is installed."""
    hashers = [
        _FIND,
        _square_hasher("ahash64", "aHash 64", 8, classic.average_hash),
        _square_hasher("ahash256", "aHash 256", 16, classic.average_hash),
        _square_hasher("phash64", "pHash 64", 8, classic.dct_hash),
        _square_hasher("phash256", "pHash 256", 16, classic.dct_hash),
        _square_hasher("dhash64", "dHash 64", 8, classic.difference_hash),
        _square_hasher("dhash256", "dHash 256", 16, classic.difference_hash, rows_start=0),
        _square_hasher("whash64", "wHash 64", 8, _wavelet_hash, releases_gil=False),
        _square_hasher("whash256", "wHash 256", 16, _wavelet_hash, releases_gil=False),
    ]
    if find_spec("pdqhash"):
        hashers.append(Hasher("pdq", "PDQ", 256, _pdq, has_quality=True))
    return hashers


HASHERS: dict[str, Hasher] = {hasher.name: hasher for hasher in _all_hashers()}
