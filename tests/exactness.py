"""Pictures that are hard on exactness, and the reference at a speed that allows thousands of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from finlib import compiled, reference
from finlib.study import vectorised

KINDS = ("random", "smooth", "flat", "two_valued", "mirrored", "checkerboard", "ramp", "one_pixel_off")


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
        image = 127 + 30 * sum(np.cos(i / rows * a + j / cols * b) for a, b in waves)[..., None] + low / 9
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
    """The reference's hash by the kernel that keeps its order, which test_compiled holds to it bit by bit."""
    values = compiled.reference_coefficients(rgb).tolist()
    return np.packbits(np.array(reference.bits(values, reference.lower_median(values))))


def check_every_version(rgb: NDArray[np.uint8]) -> None:
    """All fast versions give the oracle's bits. Call it with `reference.find_pixels` replaced by the oracle."""
    expected = oracle(rgb)
    for name, found in {
        "compiled": compiled.find_pixels(rgb),
        "with quality": compiled.find_with_quality(rgb)[0],
        "products": vectorised.find_pixels(rgb),
        "stages": vectorised.find_stages(rgb),
        "batch": vectorised.find_batch(np.stack([rgb, 255 - rgb]))[0],
    }.items():
        assert (found == expected).all(), name


def hashes(n: int, bits: int = 256, seed: int = 7) -> NDArray[np.uint8]:
    """uint8[n, bits // 8]: the second half near the first."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    packed[n // 2 :] = packed[: n - n // 2] ^ (rng.random((n - n // 2, bits // 8)) < 0.2).astype(np.uint8)
    return packed


def assert_same_pairs(found: Any, expected: Any) -> None:
    """The same columns, types and order."""
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)
