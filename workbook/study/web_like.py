"""Simulate hashes as a crawl of the web would bring them, in any number, with their families.

A family is a group of near-duplicates. Most images have no near-duplicate, and the sizes of the
families follow a power law. Each family has a template of random bits. Every other bit of it copies
its neighbour half of the time, which spreads the distances of unrelated hashes as widely as FINd's.
An image has the bits of its template, of which a share is flipped at random. Each image has its own
share, drawn from a gamma distribution that puts the pairs of a family as far apart as those of the
class set: 55 of 256 bits on average, with a standard deviation of 22.
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
POWER = 2.0  # families of a size are as frequent as the size to the power of minus this
LARGEST = 5000  # images in a family
PER_SEED = 4096  # images drawn from one seed, so that hashes do not depend on the threads
ODD_BITS = np.uint64(0xAAAAAAAAAAAAAAAA)
ONE = np.uint64(1)

Hashes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


class Families(NamedTuple):
    """The families of a set of images."""

    of_image: Integers  # [images], the number of each image's family
    total: int  # number of families, of which the last ones may have no image


@njit(parallel=True, cache=True)
def _flip_bits(template: Any, family: Any, share: Any, seed: int) -> Any:
    """Hashes uint64[n, words]: the families' templates, each bit flipped with a probability.

    family: int64[n]. share: float64[n], the probability for the bits of each image.
    """
    n = len(family)
    words_per_hash = template.shape[1]
    words = np.empty((n, words_per_hash), np.uint64)
    parts = (n + PER_SEED - 1) // PER_SEED
    for part in prange(parts):
        np.random.seed(seed + part)  # noqa: NPY002, numba's own generator, one to a thread
        first = part * PER_SEED
        end = min(n, first + PER_SEED)
        for image in range(first, end):
            probability = share[image]
            for word in range(words_per_hash):
                flipped = np.uint64(0)
                for bit in range(64):
                    if np.random.random() < probability:  # noqa: NPY002
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

    size: the number of images in every family. Without it most images are alone, and families have
        2 to LARGEST images.
    skewed: whether the first half of the bits is set in about a quarter of the templates only,
        instead of in half of them.
    """
    rng = np.random.default_rng(seed)
    sizes = draw_sizes(rng, n) if size is None else _equal_sizes(n, size)
    families = shuffle(rng, n, sizes)
    template = _draw_templates(rng, families.total, bits // 64)
    if skewed:
        _clear_half_of_set_bits(rng, template[:, : bits // 128])
    share = rng.gamma(SHAPE, FLIPPED / SHAPE, n)
    share = np.minimum(share, MOST_FLIPPED)
    words = _flip_bits(template, families.of_image, share, seed % 2**31)
    return words.view(np.uint8), families.of_image


def _random_words(rng: Generator, shape: int | tuple[int, int]) -> Any:
    return rng.integers(0, 2**64, shape, dtype=np.uint64)


def _clear_half_of_set_bits(rng: Generator, words: Any) -> None:
    """Clear, in place, each bit of the templates' words with a probability of one half."""
    for word in range(words.shape[1]):
        words[:, word] &= _random_words(rng, len(words))


def mean_and_deviation(counts: Integers) -> tuple[float, float]:
    """Mean and standard deviation, in bits, of the distances in a histogram int64[bits + 1]."""
    distance = np.arange(len(counts))
    pairs = max(1, counts.sum())
    mean = float((counts * distance).sum() / pairs)
    squares = (distance - mean) ** 2
    variance = (counts * squares).sum() / pairs
    return mean, float(np.sqrt(variance))


def _equal_sizes(n: int, size: int) -> Integers:
    """Sizes of families of one size that together have at least n images."""
    return np.full(-(-n // size), size)


def draw_sizes(rng: Generator, n: int) -> Integers:
    """Sizes of families for at least n images: the larger families, then single images."""
    in_families = n * (1 - ALONE)
    most_families = int(in_families) // 2 + 1
    possible = np.arange(2, LARGEST + 1)
    weight = possible**-POWER
    probability = weight / weight.sum()
    sizes = rng.choice(possible, most_families, p=probability)
    images = np.cumsum(sizes)
    enough = np.searchsorted(images, in_families) + 1
    sizes = sizes[:enough]
    single_images = max(0, n - sizes.sum())
    return np.append(sizes, np.ones(single_images, int))


def shuffle(rng: Generator, n: int, sizes: Integers) -> Families:
    """Put n images of families with these sizes in random order."""
    total = len(sizes)
    family = np.repeat(np.arange(total), sizes)
    return Families(rng.permutation(family[:n]), total)


def _draw_templates(rng: Generator, families: int, words: int) -> Any:
    """Templates uint64[families, words], of which half of the odd bits copy their neighbour."""
    template = _random_words(rng, (families, words))
    is_copied = _random_words(rng, (families, words)) & ODD_BITS
    neighbour = template << ONE
    return (template & ~is_copied) | (neighbour & is_copied)


# Other ways of drawing, to see whether the clustering depends on how `draw` works.

BITS = 256


def _with_noise(rng: Generator, families: Families, share: Any) -> Hashes:
    """Hashes of random templates, with a share of the bits of each image flipped.

    share: float64[images].
    """
    template = _random_numbers(rng, families.total) < 0.5
    is_flipped = _random_numbers(rng, len(share)) < share[:, None]
    bits = template[families.of_image] ^ is_flipped
    return np.packbits(bits, axis=1)


def _random_numbers(rng: Generator, hashes: int) -> npt.NDArray[np.float32]:
    """Numbers from 0 to 1, one for each bit of some hashes: float32[hashes, BITS]."""
    return rng.random((hashes, BITS), np.float32)


def even_noise(rng: Generator, families: Families) -> Hashes:
    """Flip the same share of the bits of every image."""
    share = np.full(len(families.of_image), 0.12)
    return _with_noise(rng, families, share)


def any_noise(rng: Generator, families: Families) -> Hashes:
    """Flip a share of each image's bits that may be anything from small to large."""
    share = rng.uniform(0.02, 0.2, len(families.of_image))
    return _with_noise(rng, families, share)


def families_differ(rng: Generator, families: Families) -> Hashes:
    """Flip a share of the bits that is the same within a family and differs between families."""
    share_of_family = rng.gamma(4, 0.11 / 4, families.total)
    share_of_family = share_of_family.clip(0, 0.3)
    return _with_noise(rng, families, share_of_family[families.of_image])


def two_kinds_of_copies(rng: Generator, families: Families) -> Hashes:
    """Flip few bits of four images in five, and many bits of the others."""
    is_noisy = rng.random(len(families.of_image)) < 0.2
    share = np.where(is_noisy, 0.22, 0.06)
    return _with_noise(rng, families, share)


def copies_of_copies(rng: Generator, families: Families) -> Hashes:
    """Make every image from an earlier one of its family, by flipping a few of its bits.

    The first image of a family has random bits.
    """
    n = len(families.of_image)
    bits = _random_numbers(rng, n) < 0.05
    by_family = np.argsort(families.of_image, kind="stable")
    family_starts = np.diff(families.of_image[by_family], prepend=-1) != 0
    first_places = np.flatnonzero(family_starts)
    bits[by_family[first_places]] = _random_numbers(rng, len(first_places)) < 0.5
    sizes = np.diff(first_places, append=n)
    first_place = np.repeat(first_places, sizes)
    for place in np.flatnonzero(~family_starts):
        earlier_place = rng.integers(first_place[place], place)
        image = by_family[place]
        original = by_family[earlier_place]
        bits[image] ^= bits[original]
    return np.packbits(bits, axis=1)


def ranked_coefficients(rng: Generator, families: Families) -> Hashes:
    """Add noise to a template's random coefficients, and set the bits of the larger half.

    FINd sets its bits in this way.
    """
    n = len(families.of_image)
    of_template = rng.standard_normal((families.total, BITS), np.float32)
    coefficient = of_template[families.of_image]
    amplitude = rng.uniform(0.25, 0.5, (n, 1))
    noise = rng.standard_normal((n, BITS), np.float32)
    coefficient += amplitude.astype(np.float32) * noise
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
"""Other ways of drawing, which were added after the constants of the clustering had been fixed."""


def draw_otherwise(n: int, way: str, *, seed: int = 2026) -> tuple[Hashes, Integers]:
    """Draw n hashes as `draw` does, with families of the same sizes, in one of the other WAYS."""
    rng = np.random.default_rng(seed)
    families = shuffle(rng, n, draw_sizes(rng, n))
    return WAYS[way](rng, families), families.of_image
