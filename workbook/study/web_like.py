"""Simulate hashes such as a crawl of the web brings, in any number, with their families.

Most images are alone, and the sizes of families follow a power law. Templates are random bits, of
which every other one copies its neighbour half of the time, so that the distances of unrelated
hashes scatter as FINd's do. An image's bits are its template's, each flipped with a probability of
the image's own. It is drawn from a gamma distribution that puts pairs of a family as far apart as
those of the class set: 55 of 256 bits, with a standard deviation of 22.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from numpy.random import Generator

FLIPPED = 0.123  # mean share of an image's bits that are flipped
SHAPE = 2.5  # of the gamma distribution of that share
MOST_FLIPPED = 0.45  # of an image's bits
ALONE = 0.6  # share of images without a near-duplicate
POWER = 2.0  # of the sizes of families
LARGEST = 5000  # images in a family
PER_SEED = 4096  # images to a seed: the same hashes on any number of threads
ODD_BITS = np.uint64(0xAAAAAAAAAAAAAAAA)
ONE = np.uint64(1)

Hashes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


class Families(NamedTuple):
    """The families of a set of images."""

    of_image: Integers  # [images]
    total: int  # of families, of which the last may have no image


@njit(parallel=True, cache=True)
def _flip_bits(template: Any, family: Any, share: Any, seed: int) -> Any:
    """Hashes uint64[n, words]: the families' templates, of which each bit is flipped by chance."""
    n = len(family)
    words = np.empty((n, template.shape[1]), np.uint64)
    for part in prange((n + PER_SEED - 1) // PER_SEED):
        np.random.seed(seed + part)  # noqa: NPY002, numba's own generator, one to a thread
        for image in range(part * PER_SEED, min(n, (part + 1) * PER_SEED)):
            for word in range(template.shape[1]):
                flipped = np.uint64(0)
                for bit in range(64):
                    if np.random.random() < share[image]:  # noqa: NPY002
                        flipped |= ONE << np.uint64(bit)
                words[image, word] = template[family[image], word] ^ flipped
    return words


def draw(
    n: int,
    *,
    size: int | None = None,
    bits: int = 256,
    skewed: bool = False,
    seed: int = 2026,
) -> tuple[Hashes, Integers]:
    """Draw n hashes uint8[n, bits // 8] in random order, and their families.

    size: of all families; without it most images are alone and families have 2 to LARGEST images.
    skewed: the first half of the bits is mostly 0, with about a quarter set.
    """
    rng = np.random.default_rng(seed)
    sizes = _draw_sizes(rng, n) if size is None else _equal_sizes(n, size)
    families = _shuffle(rng, n, sizes)
    template = _draw_templates(rng, families.total, bits // 64)
    if skewed:
        for word in range(bits // 128):
            template[:, word] &= rng.integers(0, 2**64, families.total, dtype=np.uint64)
    share = np.minimum(rng.gamma(SHAPE, FLIPPED / SHAPE, n), MOST_FLIPPED)
    words = _flip_bits(template, families.of_image, share, seed % 2**31)
    return words.view(np.uint8), families.of_image


def mean_and_deviation(counts: Integers) -> tuple[float, float]:
    """Mean and standard deviation, in bits, of the distances in a histogram int64[bits + 1]."""
    distance = np.arange(len(counts))
    pairs = max(1, counts.sum())
    mean = float((counts * distance).sum() / pairs)
    variance = (counts * (distance - mean) ** 2).sum() / pairs
    return mean, float(np.sqrt(variance))


def _equal_sizes(n: int, size: int) -> Integers:
    """Sizes of families of one size that together have at least n images."""
    return np.full(-(-n // size), size)


def _draw_sizes(rng: Generator, n: int) -> Integers:
    """Sizes of families for at least n images: the larger families, then single images."""
    in_families = n * (1 - ALONE)
    possible = np.arange(2, LARGEST + 1)
    weight = possible**-POWER
    sizes = rng.choice(possible, int(in_families) // 2 + 1, p=weight / weight.sum())
    enough = np.searchsorted(np.cumsum(sizes), in_families) + 1
    sizes = sizes[:enough]
    singles = np.ones(max(0, n - sizes.sum()), int)
    return np.append(sizes, singles)


def _shuffle(rng: Generator, n: int, sizes: Integers) -> Families:
    """The families of n images, in random order."""
    family = np.repeat(np.arange(len(sizes)), sizes)
    return Families(rng.permutation(family[:n]), len(sizes))


def _draw_templates(rng: Generator, families: int, words: int) -> Any:
    """Templates uint64[families, words], of which half of the odd bits copy their neighbour."""
    template: Any = rng.integers(0, 2**64, (families, words), dtype=np.uint64)
    copied: Any = rng.integers(0, 2**64, template.shape, dtype=np.uint64) & ODD_BITS
    neighbour = (template << ONE) & copied
    return (template & ~copied) | neighbour


# Other ways of drawing, which ask whether clustering relies on how `draw` works.

BITS = 256


def _with_noise(rng: Generator, families: Families, share: Any) -> Hashes:
    """Random templates, of which the given share of each image's bits is flipped."""
    template = rng.random((families.total, BITS), np.float32) < 0.5
    is_flipped = rng.random((len(share), BITS), np.float32) < share[:, None]
    return np.packbits(template[families.of_image] ^ is_flipped, axis=1)


def even_noise(rng: Generator, families: Families) -> Hashes:
    """The same noise for all images."""
    return _with_noise(rng, families, np.full(len(families.of_image), 0.12))


def any_noise(rng: Generator, families: Families) -> Hashes:
    """Anything from little to much noise."""
    return _with_noise(rng, families, rng.uniform(0.02, 0.2, len(families.of_image)))


def families_differ(rng: Generator, families: Families) -> Hashes:
    """A noise of its own for each family."""
    of_family = rng.gamma(4, 0.11 / 4, families.total).clip(0, 0.3)
    return _with_noise(rng, families, of_family[families.of_image])


def two_kinds_of_copies(rng: Generator, families: Families) -> Hashes:
    """Little noise for four images in five, and much for the fifth."""
    is_noisy = rng.random(len(families.of_image)) < 0.2
    return _with_noise(rng, families, np.where(is_noisy, 0.22, 0.06))


def copies_of_copies(rng: Generator, families: Families) -> Hashes:
    """Every image is made from any earlier one of its family."""
    n = len(families.of_image)
    bits = rng.random((n, BITS), np.float32) < 0.05
    order = np.argsort(families.of_image, kind="stable")
    first = np.flatnonzero(np.diff(families.of_image[order], prepend=-1))
    bits[order[first]] = rng.random((len(first), BITS), np.float32) < 0.5
    start = np.repeat(first, np.diff(first, append=n))
    for place in np.setdiff1d(np.arange(n), first):
        original = rng.integers(start[place], place)
        bits[order[place]] ^= bits[order[original]]
    return np.packbits(bits, axis=1)


def ranked_coefficients(rng: Generator, families: Families) -> Hashes:
    """The bits of the larger half of coefficients are set, as in FINd."""
    n = len(families.of_image)
    of_template = rng.standard_normal((families.total, BITS), np.float32)
    coefficient = of_template[families.of_image]
    noise = rng.uniform(0.25, 0.5, (n, 1)).astype(np.float32)
    coefficient += noise * rng.standard_normal((n, BITS), np.float32)
    median = np.median(coefficient, axis=1, keepdims=True)
    return np.packbits(coefficient > median, axis=1)


WAYS = {
    "even noise": even_noise,
    "any noise": any_noise,
    "families differ": families_differ,
    "two kinds of copies": two_kinds_of_copies,
    "copies of copies": copies_of_copies,
    "ranked coefficients": ranked_coefficients,
}
"""Other ways of drawing, thought of after the constants of the clustering had been fixed."""


def draw_otherwise(n: int, way: str, *, seed: int = 2026) -> tuple[Hashes, Integers]:
    """Draw n hashes as `draw` does, with families of the same sizes, in one of the other WAYS."""
    rng = np.random.default_rng(seed)
    families = _shuffle(rng, n, _draw_sizes(rng, n))
    return WAYS[way](rng, families), families.of_image
