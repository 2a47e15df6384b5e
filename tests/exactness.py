"""Pictures on which exactness is hard, and the reference at a speed that allows thousands of
them.
"""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import find, reference
from workbook.study import vectorised

GOLDEN = Path(__file__).parent / "golden"
KINDS = (
    "random",
    "smooth",
    "flat",
    "two_valued",
    "mirrored",
    "checkerboard",
    "ramp",
    "one_pixel_off",
)
MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I",
    "I;16",
    "F",
)
# Pillow converts RGB to these modes only by way of another one.
_BY_WAY_OF = {"RGBa": "RGBA", "PA": "P", "I;16": "I"}


def golden_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV of golden hashes."""
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def in_mode(rgb: NDArray[np.uint8], mode: str) -> Image.Image:
    """A picture of uint8[H, W, 3] in one of MODES."""
    image = Image.fromarray(rgb)
    if mode in _BY_WAY_OF:
        image = image.convert(_BY_WAY_OF[mode])
    if mode == "LAB":  # Pillow has no conversion: the same numbers are taken as colours of LAB
        return Image.frombytes("LAB", image.size, image.tobytes())
    return image.convert(mode)


def pixels(kind: str, rows: int, cols: int, seed: int) -> NDArray[np.uint8]:
    """A picture of one of KINDS, uint8[rows, cols, 3]."""
    rng = np.random.default_rng(seed)
    low, high = rng.integers(0, 256, (2, 3))
    if kind == "random":
        picture = rng.integers(0, 256, (rows, cols, 3))
    elif kind == "smooth":
        picture = _smooth(rows, cols, rng) + low / 9
    elif kind == "two_valued":
        picture = np.where(rng.integers(0, 2, (rows, cols, 1)), low, high)
    elif kind == "mirrored":
        picture = _mirrored(rows, cols, rng, top_to_bottom=seed % 2 == 0)
    elif kind == "checkerboard":
        picture = np.where(_checkerboard(rows, cols, side=1 + seed % 9), low, high)
    elif kind == "ramp":
        picture = _ramp(rows, cols, step=1 + seed % 5, downwards=seed % 2 == 1)
    else:
        picture = np.tile(low, (rows, cols, 1))
        if kind == "one_pixel_off":
            picture[seed % rows, seed % cols] = high
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))


def _smooth(rows: int, cols: int, rng: np.random.Generator) -> NDArray[np.float64]:
    i, j = np.mgrid[:rows, :cols]
    waves = np.zeros((rows, cols))
    for down, across in rng.normal(size=(4, 2)) * 9:
        waves += np.cos(i / rows * down + j / cols * across)
    return 127 + 30 * waves[..., None]


def _mirrored(
    rows: int, cols: int, rng: np.random.Generator, top_to_bottom: bool
) -> NDArray[np.int64]:
    picture = rng.integers(0, 256, (rows, cols, 3))
    other_half = picture[::-1] if top_to_bottom else picture[:, ::-1]
    return np.maximum(picture, other_half)


def _checkerboard(rows: int, cols: int, side: int) -> NDArray[np.bool_]:
    i, j = np.mgrid[:rows, :cols]
    is_white = (i // side + j // side) % 2 == 1
    return is_white[..., None]


def _ramp(rows: int, cols: int, step: int, downwards: bool) -> NDArray[np.int64]:
    i, j = np.mgrid[:rows, :cols]
    grey = (i if downwards else j) * step % 256
    return np.repeat(grey[..., None], 3, axis=2)


def oracle(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reference's hash, by the kernel that test_find shows to repeat its operations exactly."""
    values = find.reference_coefficients(rgb).tolist()
    median = reference.lower_median(values)
    return np.packbits(np.array(reference.bits(values, median)))


def check_every_version(rgb: NDArray[np.uint8]) -> None:
    """All fast versions give the oracle's bits.

    Call it with `reference.find_pixels` replaced by the oracle.
    """
    expected = oracle(rgb)
    batch = np.stack([rgb, 255 - rgb])
    hashes = {
        "compiled": find.find_pixels(rgb),
        "with quality": find.find_with_quality(rgb)[0],
        "products": vectorised.find_pixels(rgb),
        "stages": vectorised.find_stages(rgb),
        "batch": vectorised.find_batch(batch)[0],
    }
    for name, packed in hashes.items():
        assert np.array_equal(packed, expected), name
