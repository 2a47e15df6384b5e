"""Sets of hashes that are hard on a search, and brute force to compare with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def brute_distances(queries, packed):
    """int64[queries, n], bit by bit."""
    a, b = np.unpackbits(queries, axis=1), np.unpackbits(packed, axis=1)
    return (a[:, None, :] != b[None, :, :]).sum(-1)


def brute_pairs(packed, radius):
    distance = brute_distances(packed, packed)
    i, j = np.nonzero(np.triu(distance <= radius, 1))
    return i, j, distance[i, j]


def random_set(n, bits, seed=5):
    """Random hashes, some of them near copies and some exact ones, so that every radius finds
    something.
    """
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    for target in range(0, n, 3):
        source = rng.integers(n)
        packed[target] = packed[source] ^ (
            rng.integers(0, 256, bits // 8) * (rng.random(bits // 8) < 0.1)
        ).astype("u1")
    return packed


SETS = {
    "random": random_set(333, 256),
    "one block exactly": random_set(64, 256),
    "one over a block": random_set(65, 256),
    "more than two strips": random_set(1100, 64),
    "64 bits": random_set(200, 64),
    "72 bits": random_set(200, 72),
    "8 bits": random_set(200, 8),
    "200 bits": random_set(90, 200),
    "1032 bits": random_set(70, 1032),
    "all equal": np.full((150, 32), 0xA5, np.uint8),
    "all zero": np.zeros((130, 32), np.uint8),
    "opposites": np.repeat(np.array([[0], [255]], np.uint8), 32, 1).repeat(40, 0),
    "one": random_set(1, 256),
    "two": random_set(2, 256),
    "none": np.empty((0, 32), np.uint8),
}


def hashes(n: int, bits: int = 256, seed: int = 7) -> NDArray[np.uint8]:
    """uint8[n, bits // 8]: the second half near the first."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    packed[n // 2 :] = packed[: n - n // 2] ^ (rng.random((n - n // 2, bits // 8)) < 0.2).astype(
        np.uint8
    )
    return packed


def assert_same_pairs(found: Any, expected: Any) -> None:
    """The same columns, types and order."""
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)
