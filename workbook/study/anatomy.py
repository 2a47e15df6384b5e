"""What a hash is made of: FINd's stages on a picture, kept to be looked at; a picture changed; bits that flip."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finlib.hashing.hashers import HASHERS, get_hasher
from finlib.hashing.images import ImageError, load_rgb, open_rgb
from finlib.hashing.reference import KEPT
from finlib.matching import thresholds
from workbook.study import vectorised
from workbook.study.templates import template
from workbook.study.transforms import TRANSFORMS

CHANGES = {"crop": 0.1, "blur": 3.0, "noise": 20.0, "caption": 24.0}
"""The changes that `change` makes, in its order, each with a middling strength in its transform's unit."""


class Stages(NamedTuple):
    """FINd of one picture, step by step: rgb uint8[H, W, 3]; luma and means float64[H, W] and small float64[64, 64], 0
    to 255; coefficients float64[16, 16] and bits bool[16, 16], both in the hash's order: low frequencies last."""

    rgb: NDArray[np.uint8]
    luma: NDArray[np.float64]
    means: NDArray[np.float64]
    small: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    bits: NDArray[np.bool_]


def stages(image: Image.Image) -> Stages:
    """The stages of FINd on an image; the bits are the hasher's own."""
    rgb = load_rgb(image)
    luma = vectorised.luma(rgb)
    means = vectorised.box_mean(luma)
    small = vectorised.decimate(means)
    coefficients = vectorised.dct(small)[::-1, ::-1]
    bits = np.unpackbits(HASHERS["find"].from_image(image)).astype(bool).reshape(KEPT, KEPT)
    return Stages(rgb, luma / 1000, means, small, coefficients, bits)


def change(image: Image.Image, *, seed: int = 2026, **strengths: float) -> Image.Image:
    """The image under the changes named (of CHANGES), each at its strength, in the order of CHANGES; 0 leaves it out.

    ValueError for a change that isn't one.
    """
    if unknown := set(strengths) - set(CHANGES):
        raise ValueError(
            f"no change is named {', '.join(sorted(unknown))}; there are {', '.join(CHANGES)}"
        )
    changed = image.convert("RGB")
    for name in CHANGES:
        if strengths.get(name):
            changed = TRANSFORMS[name].apply(changed, strengths[name], np.random.default_rng(seed))
    return changed


def pairs(paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Every pair of files by FINd: columns one, other (places in `paths`), distance (bits) and same (one family).

    labels: the files' families; those with "" are strangers to all.
    """
    packed = np.stack([HASHERS["find"].from_file(path) for path in paths])
    one, other = np.triu_indices(len(packed), 1)
    label = np.asarray(labels, dtype=object)
    return pd.DataFrame(
        {
            "one": one,
            "other": other,
            "distance": np.bitwise_count(packed[one] ^ packed[other]).sum(axis=1, dtype=np.int64),
            "same": ((label[one] == label[other]) & (label[one] != "")).astype(bool),
        }
    )


def trio(paths: Sequence[str], apart: pd.DataFrame, seed: int = 2026) -> dict[str, Image.Image]:
    """Three typical pictures to compare: "a picture", "its relative" and "a stranger"; `apart` is from `pairs`.

    The first two are the pair at the median of the pairs of one family, the third is at the median of the first one's
    strangers. Without such a pair the relative is the first picture under a caption, the stranger a built-in picture.
    """
    kin = apart[apart["same"]].sort_values("distance", kind="stable")
    first, near = (
        kin.iloc[(len(kin) - 1) // 2][["one", "other"]].astype(int) if len(kin) else (0, None)
    )
    of_first = (apart["one"] == first) | (apart["other"] == first)
    far = apart[of_first & ~apart["same"]].sort_values("distance", kind="stable")
    picture = open_rgb(paths[first])
    relative = (
        change(picture, seed=seed, caption=CHANGES["caption"])
        if near is None
        else open_rgb(paths[near])
    )
    if len(far):
        row = far.iloc[(len(far) - 1) // 2]
        stranger = open_rgb(paths[int(row["other"] if row["one"] == first else row["one"])])
    else:
        stranger = template(1, seed)
    return {"a picture": picture, "its relative": relative, "a stranger": stranger}


def distances(
    first: Image.Image, others: dict[str, Image.Image], names: Sequence[str]
) -> pd.DataFrame:
    """How far `others` are from `first` by each hasher: columns hasher, pair, bits, distance, share (of the bits)."""
    rows = []
    for name in names:
        hasher = get_hasher(name)
        own = hasher.from_image(first)
        for pair, image in others.items():
            bits = int(np.bitwise_count(own ^ hasher.from_image(image)).sum())
            rows.append((name, pair, hasher.bits, bits, bits / hasher.bits))
    return pd.DataFrame(rows, columns=["hasher", "pair", "bits", "distance", "share"])


def pair_shares(apart: pd.DataFrame, width: int = 8) -> pd.DataFrame:
    """The histogram of `pairs`: columns pairs ("same family" or "strangers"), distance (the middle of a bin `width`
    bits wide), share (of the pairs of that kind) and count."""
    edges = np.arange(0, 256 + width, width)
    parts = []
    for kind, chosen in (("same family", apart["same"]), ("strangers", ~apart["same"])):
        counts, _ = np.histogram(apart.loc[chosen, "distance"], edges)
        bins = {
            "pairs": kind,
            "distance": edges[:-1] + width / 2,
            "share": counts / max(1, counts.sum()),
        }
        parts.append(pd.DataFrame({**bins, "count": counts}))
    return pd.concat(parts, ignore_index=True)


def radii(pairs: Sequence[int] = (100_000, 1_000)) -> dict[str, float]:
    """FINd's thresholds by what they cost: "one false pair in 1,000" -> bits, without what the evidence cannot tell."""
    known = thresholds.evidence("find")
    told = [
        count
        for count in pairs
        if count * known.nonmatching[known.distance == known.least_measured] <= 1
    ]
    return {
        f"one false pair in {count:,}": thresholds.radius_for_false_pairs("find", count, 1)
        for count in told
    }


def flips(
    image: Image.Image, strengths: dict[str, Sequence[float]], seed: int = 2026
) -> list[dict[str, Any]]:
    """Each change at each strength: change, strength, image (the changed one), flipped (bool[16, 16]) and distance."""
    before = stages(image).bits
    rows: list[dict[str, Any]] = []
    for name, levels in strengths.items():
        for strength in levels:
            changed = change(image, seed=seed, **{name: strength})
            flipped = stages(changed).bits != before
            row: dict[str, Any] = {
                "change": name,
                "strength": strength,
                "image": changed,
                "flipped": flipped,
            }
            rows.append({**row, "distance": int(flipped.sum())})
    return rows


def dropped(uploads: Sequence[Mapping[str, Any]], otherwise: Image.Image) -> Image.Image:
    """The picture dropped into an ipywidgets FileUpload, else `otherwise`. ImageError for what is no picture."""
    if not uploads:
        return otherwise
    try:
        with Image.open(BytesIO(bytes(uploads[0]["content"]))) as image:
            return open_rgb(image)
    except UnidentifiedImageError:
        raise ImageError(f"{uploads[0]['name']}: no image of a format that Pillow reads.") from None
