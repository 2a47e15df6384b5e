"""Take a hash apart to look at it: its stages, changed pictures, bits that flip, rows of dHash."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import ImageError, load_rgb, open_rgb
from finlib.hashing.reference import KEPT
from finlib.matching import rows, thresholds
from workbook.study import vectorised
from workbook.study.package_files import package_file
from workbook.study.templates import template
from workbook.study.transforms import TRANSFORMS

CHANGES = {"crop": 0.1, "blur": 3.0, "noise": 20.0, "caption": 24.0}
"""The changes that `change` makes, in this order, each with a middling strength."""

EXAMPLE_CAPTION = 16.0
"""The size of the caption in `well_known_pictures`, as in CHANGES."""

PICTURE = "a picture"
NEAR_DUPLICATE = "near-duplicate"
UNRELATED = "unrelated"


class Stages(NamedTuple):
    """What FINd makes of one picture, step by step.

    rgb is uint8[H, W, 3]. luma and means are float64[H, W] and small is float64[64, 64], from 0 to
    255. coefficients are float64[16, 16] and bits bool[16, 16], both in the hash's order, which
    puts low frequencies last.
    """

    rgb: NDArray[np.uint8]
    luma: NDArray[np.float64]
    means: NDArray[np.float64]
    small: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    bits: NDArray[np.bool_]


def stages(image: Image.Image) -> Stages:
    """The stages of FINd on an image; the bits are those of the hasher."""
    rgb = load_rgb(image)
    luma = vectorised.luma(rgb)
    means = vectorised.box_mean(luma)
    small = vectorised.decimate(means)
    coefficients = vectorised.dct(small)[::-1, ::-1]
    packed = get_hasher("find").from_image(image)
    bits = np.unpackbits(packed).astype(bool).reshape(KEPT, KEPT)
    return Stages(
        rgb=rgb,
        luma=luma / 1000,
        means=means,
        small=small,
        coefficients=coefficients,
        bits=bits,
    )


def change(image: Image.Image, *, seed: int = 2026, **strengths: float) -> Image.Image:
    """Change an image as CHANGES names it, each change at its strength, in the order of CHANGES.

    A change without a strength, or of strength 0, is left out. ValueError for an unknown change.
    """
    unknown = sorted(set(strengths) - set(CHANGES))
    if unknown:
        raise ValueError(
            f"There is no change named {', '.join(unknown)}. Choose from {', '.join(CHANGES)}."
        )
    changed = image.convert("RGB")
    for name in CHANGES:
        strength = strengths.get(name, 0)
        if strength:
            rng = np.random.default_rng(seed)
            changed = TRANSFORMS[name].apply(changed, strength, rng)
    return changed


def compare_pairs(paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Compare every pair of files by FINd, to see how the distances of the pairs are spread.

    `labels` are the files' families; a file with "" belongs to none. Columns: one and other (places
    in `paths`), distance (bits) and same (whether they are of one family).
    """
    packed = np.stack([get_hasher("find").from_file(path) for path in paths])
    families = np.asarray(labels, dtype=object)
    one, other = np.triu_indices(len(packed), 1)
    differing = np.bitwise_count(packed[one] ^ packed[other])
    same = (families[one] == families[other]) & (families[one] != "")
    return pd.DataFrame(
        {
            "one": one,
            "other": other,
            "distance": differing.sum(axis=1, dtype=np.int64),
            "same": same.astype(bool),
        }
    )


def typical_pictures(
    paths: Sequence[str],
    pairs: pd.DataFrame,
    seed: int = 2026,
) -> dict[str, Image.Image]:
    """Choose three typical pictures to compare: PICTURE, NEAR_DUPLICATE and UNRELATED.

    `pairs` is from `compare_pairs`. The first two are the pair at the median distance of the pairs
    of one family, and the third is at the median distance of the pictures unrelated to the first.
    Without such a pair, the near-duplicate is the first picture under a caption, and the unrelated
    picture a built-in one.
    """
    matching = pairs[pairs["same"]]
    if len(matching):
        median = _median_pair(matching)
        first = int(median["one"])
        picture = open_rgb(paths[first])
        near_duplicate = open_rgb(paths[int(median["other"])])
    else:
        first = 0
        picture = open_rgb(paths[first])
        near_duplicate = change(picture, seed=seed, caption=CHANGES["caption"])
    of_first = (pairs["one"] == first) | (pairs["other"] == first)
    nonmatching = pairs[of_first & ~pairs["same"]]
    if len(nonmatching):
        median = _median_pair(nonmatching)
        place = median["other"] if median["one"] == first else median["one"]
        unrelated = open_rgb(paths[int(place)])
    else:
        unrelated = template(1, seed)
    return {
        PICTURE: picture,
        NEAR_DUPLICATE: near_duplicate,
        UNRELATED: unrelated,
    }


def well_known_pictures(seed: int = 2026) -> dict[str, Image.Image]:
    """Three photographs to explain with: PICTURE, NEAR_DUPLICATE and UNRELATED.

    The first shows a cat and the last an astronaut; both come with scikit-image. The near-duplicate
    is the first under a caption.
    """
    cat = open_rgb(package_file("skimage", "data/chelsea.png"))
    astronaut = open_rgb(package_file("skimage", "data/astronaut.png"))
    return {
        PICTURE: cat,
        NEAR_DUPLICATE: change(cat, seed=seed, caption=EXAMPLE_CAPTION),
        UNRELATED: astronaut,
    }


def describe_origin(pairs: pd.DataFrame) -> str:
    """Say which of `typical_pictures` are one's own and which were made to stand in for them."""
    if pairs["same"].any():
        near_duplicate = "another one of its family, as far from it as is usual"
    else:
        near_duplicate = (
            "**made by this notebook**: the same picture with a caption, because no names say "
            "which of these pictures belong together"
        )
    if len(pairs) and not pairs["same"].all():
        unrelated = "another one of these pictures"
    else:
        unrelated = "**a built-in picture**, because no other one is here"
    return (
        f"The first picture is one of these. The near-duplicate is {near_duplicate}. "
        f"The unrelated picture is {unrelated}."
    )


def _median_pair(pairs: pd.DataFrame) -> pd.Series:
    by_distance = pairs.sort_values("distance", kind="stable")
    return by_distance.iloc[(len(pairs) - 1) // 2]


def distances(
    first: Image.Image,
    others: dict[str, Image.Image],
    names: Sequence[str],
) -> pd.DataFrame:
    """How far some pictures are from a first one by each hasher.

    Columns: hasher, pair (the key in `others`), bits (the hash's length), distance (in bits) and
    share (of the bits).
    """
    measured = []
    for name in names:
        hasher = get_hasher(name)
        packed = hasher.from_image(first)
        for pair, image in others.items():
            differing = np.bitwise_count(packed ^ hasher.from_image(image))
            distance = int(differing.sum())
            share = distance / hasher.bits
            measured.append((name, pair, hasher.bits, distance, share))
    columns = ["hasher", "pair", "bits", "distance", "share"]
    return pd.DataFrame(measured, columns=columns)


def pair_shares(
    pairs: pd.DataFrame,
    width: int = 8,
    *,
    labelled: bool = True,
) -> pd.DataFrame:
    """The histograms of distances from `compare_pairs`, for pairs of one family and for others.

    labelled: whether families are known. Otherwise nobody has said which pictures are unrelated,
    and there is one histogram.

    Columns: pairs ("same family", "unrelated", or "not labelled"), distance (the middle of a bin
    `width` bits wide), share (of the pairs of that kind) and count.
    """
    edges = np.arange(0, 256 + width, width)
    kinds = {"same family": pairs["same"], "unrelated": ~pairs["same"]}
    if not labelled:
        kinds = {"not labelled": ~pairs["same"]}
    parts = []
    for kind, chosen in kinds.items():
        counts, _ = np.histogram(pairs.loc[chosen, "distance"], edges)
        part = pd.DataFrame(
            {
                "pairs": kind,
                "distance": edges[:-1] + width / 2,
                "share": counts / max(1, counts.sum()),
                "count": counts,
            }
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def radii(pairs: Sequence[int] = (100_000, 1_000)) -> dict[str, float]:
    """FINd's thresholds in bits by the false pairs to expect, as "one false pair in 1,000".

    One false pair is expected in each number of `pairs`. A number is left out where that was not
    measured, because at the least distance measured there are more.
    """
    known = thresholds.evidence("find")
    at_least = known.distance == known.least_measured
    least_share = float(known.nonmatching[at_least][0])
    chosen = {}
    for count in pairs:
        if count * least_share <= 1:
            radius = thresholds.radius_for_false_pairs("find", count, false_pairs=1)
            chosen[f"one false pair in {count:,}"] = float(radius)
    return chosen


def flips(
    image: Image.Image,
    strengths: dict[str, Sequence[float]],
    seed: int = 2026,
) -> list[dict[str, Any]]:
    """Find the bits that flip under each change at each of its strengths.

    Each item has the keys change, strength, image (the changed one), flipped (bool[16, 16]) and
    distance (the number of bits that flipped).
    """
    bits = stages(image).bits
    results: list[dict[str, Any]] = []
    for name, levels in strengths.items():
        for strength in levels:
            changed = change(image, seed=seed, **{name: strength})
            flipped = stages(changed).bits != bits
            result = {
                "change": name,
                "strength": strength,
                "image": changed,
                "flipped": flipped,
                "distance": int(flipped.sum()),
            }
            results.append(result)
    return results


class RowExample(NamedTuple):
    """Three pictures to explain the row distance with, as places in a list."""

    first: int
    near_duplicate: int
    unrelated: int


class RowComparison(NamedTuple):
    """Two pictures by the dHash of 256 bits, row by row.

    first and second are uint8[H, W, 3]. differs is bool[16, 16]: the bits that differ. is_flat is
    bool[16]: the rows that show flat ground in either hash. bits is int64[16]: what each row counts
    by Hamming, its bits that differ. counted is int64[16]: what it counts by rows.
    """

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    differs: NDArray[np.bool_]
    is_flat: NDArray[np.bool_]
    bits: NDArray[np.int64]
    counted: NDArray[np.int64]

    @property
    def is_capped(self) -> NDArray[np.bool_]:
        """bool[16]: the rows in which more bits differ than a row may count."""
        return self.bits > rows.CAP


def choose_row_example(packed: NDArray[np.uint8], labels: Sequence[str]) -> RowExample:
    """Choose pictures that are hard for dHash by Hamming, to show what the row distance does.

    The first and its near-duplicate are farther apart than nine in ten pairs of one family. The
    unrelated picture is closer to the first than nine in ten pictures of other families. `packed`
    are dHashes of 256 bits, uint8[n, 32]; there must be a pair of one family, and two families.
    """
    families = np.asarray(labels)
    one, other = pairs_of_families(families)
    apart = np.bitwise_count(packed[one] ^ packed[other]).sum(axis=1)
    pair = place_at(apart, 0.9)
    first = int(one[pair])
    unrelated = np.flatnonzero(families != families[first])
    from_first = np.bitwise_count(packed[unrelated] ^ packed[first]).sum(axis=1)
    close = place_at(from_first, 0.1)
    return RowExample(first, int(other[pair]), int(unrelated[close]))


def pairs_of_families(families: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places i < j of both pictures of every pair of one family."""
    firsts = []
    seconds = []
    for family in np.unique(families):
        members = np.flatnonzero(families == family)
        first, second = np.triu_indices(len(members), 1)
        firsts.append(members[first])
        seconds.append(members[second])
    return np.concatenate(firsts), np.concatenate(seconds)


def place_at(values: NDArray[Any], share: float) -> int:
    """The place of the value below which this share of the values lies."""
    order = np.argsort(values, kind="stable")
    return int(order[round(share * (len(values) - 1))])


def compare_rows(first: Image.Image, second: Image.Image) -> RowComparison:
    """Compare two pictures by dHash, row by row."""
    dhash = get_hasher("dhash256")
    packed = np.stack([dhash.from_image(first), dhash.from_image(second)])
    flat_in_first, flat_in_second = rows.is_flat(packed.view(np.uint16))
    is_flat = flat_in_first | flat_in_second
    different_bits = np.unpackbits(packed[0] ^ packed[1]).astype(bool)
    differs = different_bits.reshape(rows.ROWS, rows.ROW_BITS)
    bits = differs.sum(axis=1)
    counted = np.where(is_flat, rows.CAP, np.minimum(bits, rows.CAP))
    return RowComparison(load_rgb(first), load_rgb(second), differs, is_flat, bits, counted)


def uploaded_picture(upload: Mapping[str, Any]) -> Image.Image:
    """The picture that was dropped into an ipywidgets FileUpload.

    upload: one item of its value. ImageError for a file that is no picture.
    """
    try:
        with Image.open(BytesIO(bytes(upload["content"]))) as image:
            return open_rgb(image)
    except UnidentifiedImageError:
        raise ImageError(
            f"{upload['name']} is no image of a format that Pillow reads. Choose another file."
        ) from None
