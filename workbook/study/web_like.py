"""Hashes as a crawl of the web brings them, as many as wanted: most images alone, families' sizes by a power law.

Templates are random bits, of which every other one copies its neighbour half of the time, so that strangers scatter
as FINd's do. An image's bits are its template's, each turned over with a probability that is the image's own, drawn
from a gamma distribution that puts pairs of a family as far apart as the class set's: 55 bits of 256, sd 22.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

TURNED, SHAPE = (
    0.123,
    2.5,
)  # mean share of an image's bits turned over, and the gamma distribution's shape


@njit(parallel=True, cache=True)
def _turn(words: Any, template: Any, family: Any, share: Any, seed: int) -> None:
    step = 4096  # images to a seed: the same hashes on any number of threads
    for part in prange((len(family) + step - 1) // step):
        np.random.seed(seed + part)  # noqa: NPY002, numba's own generator, one to a thread
        for i in range(part * step, min(len(family), (part + 1) * step)):
            for w in range(words.shape[1]):
                turned = np.uint64(0)
                for b in range(64):
                    if np.random.random() < share[i]:  # noqa: NPY002
                        turned |= np.uint64(1) << np.uint64(b)
                words[i, w] = template[family[i], w] ^ turned


def _families(
    rng: np.random.Generator, n: int, alone: float, power: float, largest: int, size: int | None
) -> tuple[npt.NDArray[np.int64], int]:
    """The family of each image, in random order, and how many families there are."""
    if size is not None:
        sizes = np.full(-(-n // size), size)
    else:
        possible = np.arange(2, largest + 1)
        chance = possible**-power / (possible**-power).sum()
        sizes = rng.choice(possible, int(n * (1 - alone)) // 2 + 1, p=chance)
        sizes = sizes[: np.searchsorted(np.cumsum(sizes), n * (1 - alone)) + 1]
        sizes = np.append(sizes, np.ones(max(0, n - sizes.sum()), int))
    return rng.permutation(np.repeat(np.arange(len(sizes)), sizes)[:n]), len(sizes)


def draw(
    n: int,
    *,
    alone: float = 0.6,
    power: float = 2.0,
    largest: int = 5000,
    size: int | None = None,
    bits: int = 256,
    skewed: bool = False,
    seed: int = 2026,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """n hashes uint8[n, bits // 8] in random order and their families.

    alone: share of images without a relative; the others' families have 2 to `largest` images, s of them as often as
    s ** -power, or all have `size` images. skewed: the first half of the bits is mostly 0, about a quarter set.
    """
    rng = np.random.default_rng(seed)
    family, families = _families(rng, n, alone, power, largest, size)
    template: Any = rng.integers(0, 2**64, (families, bits // 64), dtype=np.uint64)
    odd, one = np.uint64(0xAAAAAAAAAAAAAAAA), np.uint64(1)
    copied: Any = rng.integers(0, 2**64, template.shape, dtype=np.uint64) & odd
    template = (template & ~copied) | ((template << one) & copied)
    if skewed:
        for w in range(bits // 128):
            template[:, w] &= rng.integers(0, 2**64, families, dtype=np.uint64)
    words: npt.NDArray[np.uint64] = np.empty((n, bits // 64), np.uint64)
    _turn(
        words, template, family, np.minimum(rng.gamma(SHAPE, TURNED / SHAPE, n), 0.45), seed % 2**31
    )
    return words.view(np.uint8), family


WAYS = (
    "even noise",
    "any noise",
    "families differ",
    "two kinds of copies",
    "copies of copies",
    "ranked coefficients",
)


def draw_otherwise(
    n: int, way: str, *, seed: int = 2026
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """As `draw`, with the same sizes of families, made in one of other WAYS: does clustering lean on how `draw` works?

    Noise is the same for all images, or anything from little to much, or the family's own, or little for four images
    in five and much for the fifth. Copies of copies: an image is made from any earlier one of its family. Ranked
    coefficients: half of the bits are set, of the larger coefficients, as FINd does.
    """
    rng, bits = np.random.default_rng(seed), 256
    family, families = _families(rng, n, 0.6, 2.0, 5000, None)
    if way == "ranked coefficients":
        value = rng.standard_normal((families, bits), np.float32)[family]
        value += rng.uniform(0.25, 0.5, (n, 1)).astype(np.float32) * rng.standard_normal(
            (n, bits), np.float32
        )
        return np.packbits(value > np.median(value, axis=1, keepdims=True), axis=1), family
    if way == "copies of copies":
        bit, order = rng.random((n, bits), np.float32) < 0.05, np.argsort(family, kind="stable")
        first = np.flatnonzero(np.diff(family[order], prepend=-1))
        bit[order[first]] = rng.random((len(first), bits), np.float32) < 0.5
        start = np.repeat(first, np.diff(first, append=n))
        for place in np.setdiff1d(np.arange(n), first):
            bit[order[place]] ^= bit[order[rng.integers(start[place], place)]]
        return np.packbits(bit, axis=1), family
    share = {
        "even noise": lambda: np.full(n, 0.12),
        "any noise": lambda: rng.uniform(0.02, 0.2, n),
        "families differ": lambda: rng.gamma(4, 0.11 / 4, families).clip(0, 0.3)[family],
        "two kinds of copies": lambda: np.where(rng.random(n) < 0.2, 0.22, 0.06),
    }[way]()
    template = rng.random((families, bits), np.float32) < 0.5
    return np.packbits(
        template[family] ^ (rng.random((n, bits), np.float32) < share[:, None]), axis=1
    ), family
