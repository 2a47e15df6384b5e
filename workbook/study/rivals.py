"""Other hashes and other distances that the field would ask about, scored as the candidates are.

OpenCV's `img_hash` has four hashes that the workbook has not: Marr-Hildreth, radial variance, block
mean and colour moments. They are measured where the package opencv-contrib-python-headless is
installed, which takes 170 MB and is no dependency of the workbook. `imagehash` has the
crop-resistant hash of M. Steinebach, H. Liu and Y. Yannikos (Efficient cropping-resistant robust
image hashing, ARES 2014), which hashes bright and dark segments one by one. No kept package
computes blockhash, so it is not measured.

The distances are those of `position_distances`. For these, hashes are computed by finlib.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, NamedTuple

import imagehash
import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist

from finlib.hashing.hashers import get_hasher
from finlib.matching.distances import get_distance
from finlib.matching.hamming import popcount
from workbook.study import position_distances
from workbook.study.any_distance import Between, Features
from workbook.study.evidence import distance_of, hasher_of

OPENCV = "opencv-contrib-python-headless"
MOST_SEGMENTS = 16
"""Segments of a picture that are kept of the crop-resistant hash; pictures have 3 to 7."""
SEGMENT_BITS = 64
SEGMENT_CUTOFF = 16
"""Bits that a segment may differ by, imagehash's default: a quarter of 64."""
FINEST = 1e-5
"""What distances of real numbers are counted in, near 0; large ones are counted by their ratio."""


class Rival(NamedTuple):
    """A hash and a distance that are compared with the candidates."""

    name: str
    label: str
    stored: str
    """The hash: rivals that store the same hash have it computed once."""
    size: int
    """Bytes to store for an image; of a hash without a fixed length, the mean of common sets."""
    between: Between
    largest: float


class Hash(NamedTuple):
    """A hash that rivals store."""

    name: str
    compute: Callable[[Image.Image], NDArray[Any]]
    package: str
    """What has to be installed for it, or ""."""


def hashes() -> dict[str, Hash]:
    """All hashes that rivals store, by name, those whose package is not installed among them."""
    table = [
        Hash("marr-hildreth", partial(_by_opencv, "marrHildrethHash"), OPENCV),
        Hash("radial-variance", partial(_by_opencv, "radialVarianceHash"), OPENCV),
        Hash("block-mean", partial(_by_opencv, "blockMeanHash"), OPENCV),
        Hash("colour-moment", partial(_by_opencv, "colorMomentHash"), OPENCV),
        Hash("crop-resistant", crop_resistant, ""),
    ]
    for name in ("find", "dhash64", "dhash256", "ahash256", "phash256", "find+dhash256"):
        table.append(Hash(name, get_hasher(name).from_image, ""))
    return {one.name: one for one in table}


def is_installed(package: str) -> bool:
    """Whether a package that a hash needs is there; True for ""."""
    return package != OPENCV or find_spec("cv2") is not None


def rivals() -> list[Rival]:
    """All rivals: the methods of finlib that they are compared with, other hashes, distances."""
    return [*_known_methods(), *_other_hashes(), *_other_distances()]


def _known_methods() -> list[Rival]:
    known = []
    for name, label in (
        ("find", "FINd"),
        ("dhash256", "dHash 256"),
        ("find+dhash256", "FINd + dHash 256"),
        ("dhash256-rows", "dHash 256 by rows"),
        ("find+dhash256-rows", "FINd + dHash 256 by rows"),
    ):
        size = get_hasher(hasher_of(name)).bits // 8
        measure = get_distance(distance_of(name), size)
        between = partial(_by_finlib, distance_of(name))
        known.append(Rival(name, label, hasher_of(name), size, between, measure.largest))
    return known


def _other_hashes() -> list[Rival]:
    most_fine = float(_refine(np.array(10.0)))  # beyond any distance of 8-bit pictures
    return [
        Rival("marr-hildreth", "Marr-Hildreth", "marr-hildreth", 72, _hamming, 576),
        Rival("radial-variance", "Radial variance", "radial-variance", 40, _fine_radial, most_fine),
        Rival("block-mean", "Block mean", "block-mean", 32, _hamming, 256),
        Rival("colour-moment", "Colour moments", "colour-moment", 336, _fine_colour, most_fine),
        Rival("crop-resistant", "Crop-resistant", "crop-resistant", 30, segments, MOST_SEGMENTS),
    ]


def _other_distances() -> list[Rival]:
    table = []
    for cap in (1, 2, 3):
        table.append(_rows_rival("dhash64", "dHash 64", cap, 8))
    for cap in (2, 3, 4, 6):
        table.append(_rows_rival("ahash256", "aHash 256", cap, 16))
    for stored, label in (("dhash256", "dHash 256"), ("find", "FINd")):
        for name, between in (
            ("convolution", position_distances.convolution),
            ("hatched", position_distances.hatched),
            ("ngram", position_distances.ngram_cosine),
        ):
            table.append(Rival(f"{stored}-{name}", f"{label}, {name}", stored, 32, between, 1))
    return table


def _rows_rival(stored: str, label: str, cap: int, rows: int) -> Rival:
    size = rows * rows // 8
    between = partial(position_distances.by_rows, cap=cap, flat_rows_count=True)
    name = f"{stored}-rows-cap{cap}"
    return Rival(name, f"{label} by rows, cap {cap}", stored, size, between, rows * cap)


def compute_all(name: str, pictures: Sequence[Image.Image]) -> Features:
    """What is stored of each picture by the hash of that name, stacked."""
    compute = hashes()[name].compute
    return np.stack([compute(picture) for picture in pictures])


# Hashes --------------------------------------------------------------------------------------


def _by_opencv(function: str, picture: Image.Image) -> NDArray[Any]:
    """A hash of OpenCV's, which expects the channels blue, green and red."""
    import cv2  # an optional package

    pixels = np.asarray(picture.convert("RGB"))
    blue_first = np.ascontiguousarray(pixels[:, :, ::-1])
    return getattr(cv2.img_hash, function)(blue_first).ravel()


def crop_resistant(picture: Image.Image) -> NDArray[np.uint64]:
    """imagehash's crop-resistant hash: uint64[1 + MOST_SEGMENTS], the number and the segments."""
    found = imagehash.crop_resistant_hash(picture).segment_hashes[:MOST_SEGMENTS]
    packed = np.zeros(1 + MOST_SEGMENTS, np.uint64)
    packed[0] = len(found)
    for place, segment in enumerate(found):
        packed[1 + place] = np.packbits(segment.hash).view(np.uint64)[0]
    return packed


# Distances -----------------------------------------------------------------------------------


def _by_finlib(distance: str, x: Features, y: Features) -> NDArray[np.float64]:
    measure = get_distance(distance, x.shape[1])
    rows = [measure.between(y, one) for one in x]
    return np.stack(rows).astype(np.float64)


def _hamming(x: Features, y: Features) -> NDArray[np.float64]:
    return _by_finlib("hamming", x, y)


def radial_variance(x: Features, y: Features) -> NDArray[np.float64]:
    """1 less the largest correlation of two radial hashes over all turns, as OpenCV compares them.

    It is 1 where one of the two is constant.
    """
    x_unit = _standardised(x)
    y_unit = _standardised(y)
    turns = range(x.shape[1])
    correlations = [x_unit @ np.roll(y_unit, turn, axis=1).T for turn in turns]
    return 1 - np.max(correlations, axis=0)


def _standardised(x: Features) -> NDArray[np.float64]:
    values = x.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)


def colour_moments(x: Features, y: Features) -> NDArray[np.float64]:
    """The Euclidean distance of two vectors of colour moments, as OpenCV compares them."""
    return cdist(x, y)


def _refine(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances on a scale that is linear up to FINEST and logarithmic beyond.

    The order stays. Equal steps of the scale resolve distances far below the largest one.
    """
    return np.log1p(distances / FINEST)


def _fine_radial(x: Features, y: Features) -> NDArray[np.float64]:
    return _refine(np.maximum(radial_variance(x, y), 0))


def _fine_colour(x: Features, y: Features) -> NDArray[np.float64]:
    return _refine(colour_moments(x, y))


def segments(x: Features, y: Features) -> NDArray[np.float64]:
    """imagehash's difference of crop-resistant hashes, the smaller of its two directions.

    The difference of one hash from another is its number of segments, less those that have a
    partner within SEGMENT_CUTOFF bits in the other, plus a tie-break below 1 by their bits.
    """
    there = _compare_segments(x, y)
    back = _compare_segments(y, x).T
    return np.minimum(there, back)


@njit(nogil=True, cache=True)
def _compare_segments(x: Any, y: Any) -> Any:
    differences = np.empty((len(x), len(y)))
    for i in range(len(x)):
        own = np.int64(x[i, 0])
        for j in range(len(y)):
            matches = 0
            bits = 0
            for segment in range(1, own + 1):
                least: Any = SEGMENT_BITS
                for other in range(1, np.int64(y[j, 0]) + 1):
                    apart = np.int64(popcount(x[i, segment] ^ y[j, other]))
                    if apart < least:
                        least = apart
                if least <= SEGMENT_CUTOFF:
                    matches += 1
                    bits += least
            differences[i, j] = own - matches
            if matches:
                differences[i, j] += bits / (matches * SEGMENT_BITS)
    return differences


# What others published -----------------------------------------------------------------------


def published() -> pd.DataFrame:
    """What others report of hashes and learned descriptors: all rows of their tables, unselected.

    Columns task, method, bytes (to store for an image), million_parameters, measure, value, note,
    source. None of it was measured here. Of Thorn's tables, that by category and change is left
    out, because the one by change covers it.
    """
    with files("workbook.study").joinpath("published.csv").open(encoding="utf-8") as table:
        return pd.read_csv(table)
