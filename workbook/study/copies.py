"""Near copies as they occur: saved again, shrunk, cropped, turned, flattened, written on.

A copy of a picture is a file, written with the settings of its kind and hashed as any file is. Each
method is asked whether copy and original are within its radius, which is the largest at which
finlib expects at most FALSE_RATE of unrelated pairs (`finlib.matching.thresholds`). How many pairs
of unrelated originals are within that radius is counted as well, because a method that matches
everything finds every copy.

Copies of the group *written on* show where the row distance is weak: a caption along a side, or a
banner down the left, spoils a part of every row.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling, Transpose

from finlib.hashing.hashers import get_hasher
from finlib.matching.distances import get_distance
from finlib.matching.hamming import Distance
from finlib.matching.thresholds import radius_for_false_pairs
from workbook.study.evidence import distance_of, hasher_of
from workbook.study.transforms import BLACK, WHITE, draw_caption
from workbook.study.uncertainty import count_interval

FALSE_RATE = 1e-6
"""The share of unrelated pairs that a radius is to let in."""
METHODS = (
    "find",
    "phash256",
    "dhash256",
    "find+dhash256",
    "dhash256-rows",
    "find+dhash256-rows",
)
SINGLE = ("find", "phash256", "dhash256")
"""The hashes that are computed; the others are put together from them."""
CAPTION = ("nobody told me that this", "would be the best day")
BANNER = (36, 80, 140)
EXIF_ORIENTATION = 0x0112

Packed = NDArray[np.uint8]
Write = Callable[[Image.Image], bytes]
"""Makes the bytes of a file of a copy from the original, which may have transparent parts."""


HashedCopies = dict[str, tuple[Packed, Packed]]
"""The hashes of copies and of what they are compared with, by "kind hasher"."""


class Kind(NamedTuple):
    """One kind of copies."""

    group: str
    name: str
    write: Write
    against: Write | None = None
    """The file that the copy is compared with; None for the original saved without loss."""
    needs_alpha: bool = False
    """Whether only originals with transparent parts have such copies."""


def kinds() -> list[Kind]:
    """All kinds of copies, in the order of tables and figures."""
    return [
        *_saved_again(),
        *_other_sizes(),
        *_crops(),
        *_turns(),
        *_on_grounds(),
        *_written_on(),
    ]


def _saved_again() -> list[Kind]:
    table = [Kind("saved again", f"JPEG {quality}", _jpeg(quality)) for quality in (90, 70, 50, 30)]
    table.append(Kind("saved again", "JPEG 10", _jpeg(10)))
    for name, settings in (
        ("WebP 80", {"format": "WEBP", "quality": 80}),
        ("AVIF 60", {"format": "AVIF", "quality": 60}),
        ("GIF", {"format": "GIF"}),
    ):
        table.append(Kind("saved again", name, _saver(settings)))
    return table


def _other_sizes() -> list[Kind]:
    table = []
    for side in (128, 64, 32):
        table.append(Kind("sizes", f"thumbnail {side}", _changed(_thumbnail(side))))
    thumbnail = _changed(_thumbnail(128))
    table.append(Kind("sizes", "32 against 128", _changed(_thumbnail(32)), thumbnail))
    for share in (0.5, 2.0):
        table.append(Kind("sizes", f"{share:g} times", _changed(_scaled(share, share))))
    table.append(Kind("sizes", "3:4 stretched", _changed(_scaled(0.75, 1.0))))
    return table


def _crops() -> list[Kind]:
    return [
        Kind("crops", "5% off each side", _changed(_cut(0.05, 0.05, 0.05, 0.05))),
        Kind("crops", "10% off each side", _changed(_cut(0.1, 0.1, 0.1, 0.1))),
        Kind("crops", "20% off one side", _changed(_cut(0.0, 0.0, 0.2, 0.0))),
        Kind(
            "crops",
            "left against right 85%",
            _changed(_cut(0.0, 0.0, 0.15, 0.0)),
            _changed(_cut(0.15, 0.0, 0.0, 0.0)),
        ),
        Kind("crops", "border 5%", _changed(_framed(0.05))),
        Kind("crops", "border 10%", _changed(_framed(0.1))),
    ]


def _turns() -> list[Kind]:
    return [
        Kind("turns", "mirrored", _changed(_transposed(Transpose.FLIP_LEFT_RIGHT))),
        Kind("turns", "EXIF quarter turn", _turned_by_exif),
        Kind("turns", "tilted 2 degrees", _changed(_tilted(2))),
        Kind("turns", "tilted 5 degrees", _changed(_tilted(5))),
    ]


def _on_grounds() -> list[Kind]:
    white = _changed(_on_ground(WHITE))
    black = _changed(_on_ground(BLACK))
    return [
        Kind("grounds", "alpha against white", white, _with_alpha, needs_alpha=True),
        Kind("grounds", "alpha against black", black, _with_alpha, needs_alpha=True),
        Kind("grounds", "white against black", white, black, needs_alpha=True),
    ]


def _written_on() -> list[Kind]:
    return [
        Kind("written on", "caption above and below", _changed(_captioned)),
        Kind("written on", "caption on both sides", _changed(_captioned_sideways)),
        Kind("written on", "banner on top, 20%", _changed(_bannered(0.2, down=True))),
        Kind("written on", "banner at the left, 20%", _changed(_bannered(0.2, down=False))),
    ]


# Writing copies ------------------------------------------------------------------------------


def _saver(settings: Mapping[str, object]) -> Write:
    def write(picture: Image.Image) -> bytes:
        file = BytesIO()
        picture.convert("RGB").save(file, **settings)  # type: ignore[arg-type]
        return file.getvalue()

    return write


def _jpeg(quality: int) -> Write:
    return _saver({"format": "JPEG", "quality": quality})


def write_plain(picture: Image.Image) -> bytes:
    """The original as a file, without loss and without transparency."""
    return _saver({"format": "PNG"})(picture)


def _changed(change: Callable[[Image.Image], Image.Image]) -> Write:
    """Change the picture, then save it as JPEG of quality 90."""

    def write(picture: Image.Image) -> bytes:
        return _jpeg(90)(change(picture))

    return write


def _with_alpha(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _turned_by_exif(picture: Image.Image) -> bytes:
    """The pixels turned, with a note that tells viewers to turn them back."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    file = BytesIO()
    turned = picture.convert("RGB").transpose(Transpose.ROTATE_90)
    turned.save(file, format="JPEG", quality=90, exif=exif)
    return file.getvalue()


# Changing pictures ---------------------------------------------------------------------------

Change = Callable[[Image.Image], Image.Image]


def _thumbnail(side: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        small = picture.convert("RGB")
        small.thumbnail((side, side), Resampling.LANCZOS)
        return small

    return change


def _scaled(across: float, down: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        width = max(1, round(picture.width * across))
        height = max(1, round(picture.height * down))
        return picture.convert("RGB").resize((width, height), Resampling.BICUBIC)

    return change


def _cut(left: float, top: float, right: float, bottom: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        width = picture.width
        height = picture.height
        box = (
            round(left * width),
            round(top * height),
            round(width - right * width),
            round(height - bottom * height),
        )
        return picture.convert("RGB").crop(box)

    return change


def _framed(share: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        border = round(share * min(picture.size))
        return ImageOps.expand(picture.convert("RGB"), border, BLACK)

    return change


def _transposed(method: Transpose) -> Change:
    return lambda picture: picture.convert("RGB").transpose(method)


def _tilted(degrees: float) -> Change:
    return lambda picture: picture.convert("RGB").rotate(degrees, Resampling.BICUBIC)


def _on_ground(colour: tuple[int, int, int]) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        layer = picture.convert("RGBA")
        ground = Image.new("RGB", layer.size, colour)
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground

    return change


def _captioned(picture: Image.Image) -> Image.Image:
    return draw_caption(picture.convert("RGB"), *CAPTION)


def _captioned_sideways(picture: Image.Image) -> Image.Image:
    turned = picture.convert("RGB").transpose(Transpose.ROTATE_90)
    return draw_caption(turned, *CAPTION).transpose(Transpose.ROTATE_270)


def _bannered(share: float, *, down: bool) -> Change:
    """Cover a share of the picture by a banner in one colour: its top, or its left."""

    def change(picture: Image.Image) -> Image.Image:
        covered = picture.convert("RGB")
        width = covered.width if down else round(share * covered.width)
        height = round(share * covered.height) if down else covered.height
        covered.paste(BANNER, (0, 0, width, height))
        return covered

    return change


# Finding copies ------------------------------------------------------------------------------


def radii() -> dict[str, int]:
    """The radius of each method that lets in the share FALSE_RATE of unrelated pairs."""
    return {name: radius_for_false_pairs(name, 1 / FALSE_RATE, 1) for name in METHODS}


def hash_file(path: Path) -> dict[str, Packed]:
    """The hash of a file by each hasher of METHODS."""
    return with_combined({name: get_hasher(name).from_file(path) for name in SINGLE})


def with_combined(single: Mapping[str, Packed]) -> dict[str, Packed]:
    """The hashes of a picture by each hasher of METHODS, from those of SINGLE."""
    stored = dict(single)
    for name in map(hasher_of, METHODS):
        if name not in stored:
            stored[name] = np.concatenate([single[part] for part in name.split("+")])
    return stored


def distance_of_method(method: str) -> Distance:
    """The distance by which a method compares."""
    return get_distance(distance_of(method), get_hasher(hasher_of(method)).bits // 8)


def hash_copies(picture: Image.Image, folder: Path) -> HashedCopies:
    """The hashes of every copy of a picture and of what it is compared with.

    The files are written into `folder`, one at a time.
    """
    has_alpha = "A" in picture.getbands()
    source = picture if has_alpha else picture.convert("RGB")
    possible = [kind for kind in kinds() if has_alpha or not kind.needs_alpha]
    file = folder / "copy.img"

    def hash_written(write: Write) -> dict[str, Packed]:
        file.write_bytes(write(source))
        return hash_file(file)

    original = hash_written(write_plain)
    hashed: HashedCopies = {}
    for kind in possible:
        copy = hash_written(kind.write)
        other = hash_written(kind.against) if kind.against else original
        for hasher, packed in copy.items():
            hashed[f"{kind.name} {hasher}"] = (packed, other[hasher])
    return hashed


def count_found(hashed: Sequence[HashedCopies]) -> pd.DataFrame:
    """How many copies each method finds, of pictures that `hash_copies` hashed.

    Columns group, kind, method, radius, copies, found, share, low, high (exact 95%).
    """
    records = []
    for method, radius in radii().items():
        measure = distance_of_method(method)
        for kind in kinds():
            key = f"{kind.name} {hasher_of(method)}"
            pairs = [hashes[key] for hashes in hashed if key in hashes]
            if not pairs:
                continue
            found = sum(measure.between(one, other) <= radius for one, other in pairs)
            low, high = count_interval(int(found), len(pairs))
            share = found / len(pairs)
            records.append(
                (kind.group, kind.name, method, radius, len(pairs), found, share, low, high)
            )
    columns = ["group", "kind", "method", "radius", "copies", "found", "share", "low", "high"]
    return pd.DataFrame(records, columns=columns)


def count_false(originals: Mapping[str, Packed]) -> pd.DataFrame:
    """How many pairs of different originals each method matches at its radius.

    originals: the hashes of a set by hasher. Columns method, radius, pairs, matched, expected (by
    FALSE_RATE).
    """
    records = []
    for method, radius in radii().items():
        packed = originals[hasher_of(method)]
        measure = distance_of_method(method)
        within = [measure.between(packed[i + 1 :], packed[i]) <= radius for i in range(len(packed))]
        matched = sum(int(one.sum()) for one in within)
        pairs = len(packed) * (len(packed) - 1) // 2
        records.append((method, radius, pairs, matched, pairs * FALSE_RATE))
    return pd.DataFrame(records, columns=["method", "radius", "pairs", "matched", "expected"])
