"""Pictures that are hard on exactness, and the reference at a speed that allows thousands of them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finlib.hashing import find, reference
from workbook.study import vectorised

GOLDEN = Path(__file__).parent / "golden"
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


def golden_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV of golden hashes."""
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(kind: str, rows: int, cols: int, seed: int) -> NDArray[np.uint8]:
    """uint8[rows, cols, 3]."""
    rng = np.random.default_rng(seed)
    i, j = np.mgrid[:rows, :cols]
    low, high = rng.integers(0, 256, (2, 3))
    image: Any = np.broadcast_to(low, (rows, cols, 3))
    if kind == "random":
        image = rng.integers(0, 256, (rows, cols, 3))
    elif kind == "smooth":
        waves = rng.normal(size=(4, 2)) * 9
        image = (
            127
            + 30 * sum(np.cos(i / rows * a + j / cols * b) for a, b in waves)[..., None]
            + low / 9
        )
    elif kind == "two_valued":
        image = np.where(rng.integers(0, 2, (rows, cols, 1)), low, high)
    elif kind == "mirrored":
        half = rng.integers(0, 256, (rows, cols, 3))
        image = np.maximum(half, half[:, ::-1]) if seed % 2 else np.maximum(half, half[::-1])
    elif kind == "checkerboard":
        image = np.where(((i // (1 + seed % 9) + j // (1 + seed % 9)) % 2)[..., None], low, high)
    elif kind == "ramp":
        image = ((i if seed % 2 else j) * (1 + seed % 5) % 256)[..., None] + np.zeros(3)
    elif kind == "one_pixel_off":
        image = np.array(image)
        image[seed % rows, seed % cols] = high
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))


def oracle(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reference's hash by the kernel that keeps its order, which test_find holds to it bit by bit."""
    values = find.reference_coefficients(rgb).tolist()
    return np.packbits(np.array(reference.bits(values, reference.lower_median(values))))


def check_every_version(rgb: NDArray[np.uint8]) -> None:
    """All fast versions give the oracle's bits. Call it with `reference.find_pixels` replaced by the oracle."""
    expected = oracle(rgb)
    for name, found in {
        "compiled": find.find_pixels(rgb),
        "with quality": find.find_with_quality(rgb)[0],
        "products": vectorised.find_pixels(rgb),
        "stages": vectorised.find_stages(rgb),
        "batch": vectorised.find_batch(np.stack([rgb, 255 - rgb]))[0],
    }.items():
        assert (found == expected).all(), name
