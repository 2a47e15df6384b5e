"""Simulate dHashes of captioned pictures as a crawl of the web would bring them, in any number.

`web_like` flips independent bits. A caption does something else: it changes the rows of a dHash
that it covers, and hardly any others. Here hashes are drawn whose templates and whose damage have
the statistics of real pictures, which are measured on families of captioned pictures.

A template is a field of random numbers whose signs are the bits. Two bits are correlated as they
are, on average, in the pictures measured, according to how many rows and columns lie between them.
The rows that are flat in some picture measured are flat in the template, too. An image differs from
its template in exactly the bits in which some picture measured differs from the centre of its
family. Families have the sizes of `web_like`: six images in ten are alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finlib.clustering.centres import group_rows, majority_bits
from finlib.matching.packed import Packed
from finlib.matching.rows import ROW_BITS, ROWS, is_flat
from finlib.pools import in_threads
from workbook.study.web_like import Integers, draw_sizes, shuffle

PER_SEED = 1 << 16  # templates drawn from one seed, so that hashes do not depend on the threads
BITS = ROWS * ROW_BITS


@dataclass(frozen=True)
class Measured:
    """What is measured on families of captioned pictures.

    factor: float32[BITS, BITS]; independent normal numbers times this are a field of correlated
        ones.
    flat_rows: bool[pictures, ROWS], which rows of each family's centre are flat.
    damage: uint16[images, ROWS], the bits in which each picture differs from its family's centre.
    """

    factor: npt.NDArray[np.float32]
    flat_rows: npt.NDArray[np.bool_]
    damage: npt.NDArray[np.uint16]


def measure(packed: Packed, labels: Integers) -> Measured:
    """Measure dHashes of 256 bits, uint8[n, 32], of pictures in families, int64[n]."""
    order, start = group_rows(labels)
    centres = majority_bits(packed, order, start)
    family = np.repeat(np.arange(len(centres)), np.diff(start))
    damage = packed[order] ^ centres[family]
    return Measured(
        factor=_factor_of(centres),
        flat_rows=is_flat(centres.view(np.uint16)),
        damage=damage.view(np.uint16),
    )


def _factor_of(packed: Packed) -> npt.NDArray[np.float32]:
    """A factor of the correlations of the bits, averaged over bits that lie alike.

    A correlation of signs is turned into that of the numbers behind them: r into sin(r * pi / 2).
    """
    bits = np.unpackbits(packed, axis=1, bitorder="little").astype(np.float64)
    with np.errstate(invalid="ignore"):  # of bits that are the same in all hashes
        correlation = np.nan_to_num(np.corrcoef(bits, rowvar=False))
    row, column = np.divmod(np.arange(BITS), ROW_BITS)
    apart = np.abs(row[:, None] - row) * ROW_BITS + np.abs(column[:, None] - column)
    mean = np.bincount(apart.ravel(), correlation.ravel()) / np.bincount(apart.ravel())
    values, vectors = np.linalg.eigh(np.sin(mean[apart] * np.pi / 2))
    factor = vectors * np.sqrt(np.maximum(values, 0))
    return np.asarray(factor.T, np.float32)


def draw(n: int, measured: Measured, *, seed: int = 2026) -> tuple[Packed, Integers]:
    """Draw n dHashes uint8[n, 32] in random order, and their families, int64[n]."""
    rng = np.random.default_rng(seed)
    families = shuffle(rng, n, draw_sizes(rng, n))
    templates = np.empty((families.total, ROWS), np.uint16)

    parts = (
        (np.random.default_rng((seed, low)), templates[low : low + PER_SEED], measured)
        for low in range(0, families.total, PER_SEED)
    )
    for _ in in_threads(_draw_templates, parts, None):
        pass
    hashes = templates[families.of_image]
    del templates
    for low in range(0, n, PER_SEED):
        part = hashes[low : low + PER_SEED]
        part ^= measured.damage[rng.integers(0, len(measured.damage), len(part))]
    return hashes.view(np.uint8), families.of_image


def _draw_templates(
    rng: np.random.Generator, templates: npt.NDArray[np.uint16], measured: Measured
) -> None:
    """Fill the array of templates uint16[count, ROWS]."""
    count = len(templates)
    field = rng.standard_normal((count, BITS), np.float32) @ measured.factor
    packed = np.packbits(field > 0, axis=1, bitorder="little")
    templates[:] = packed.view(np.uint16)
    flat = measured.flat_rows[rng.integers(0, len(measured.flat_rows), count)]
    templates[flat] = 0
