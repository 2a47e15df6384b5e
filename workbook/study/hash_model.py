"""Hash sets of any size with the distances of real ones: a model fitted to families of hashes.

Hashes such as FINd set the bits whose coefficients are the largest. The model does the same to made-up coefficients:
those of a family's template are normal with the means and correlations of real bits, those of an image are the
template's mixed with noise of its own,

    image = c * template + sqrt(1 - c * c) * noise,    0 <= c <= 1,

and as many bits are set as in some real hash. How reliable images are, c, is read from the real families: under the
model bits of two images of a family differ with probability arccos(c1 * c2) / pi (Sheppard's formula), so that the
cosines of pi * distance / bits are a matrix of rank one off its diagonal. A simulated family takes its images'
reliabilities from one real family, which keeps easy and hard families apart.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from finlib.matching.pairs import check_hashes
from finlib.scoring.histograms import pair_counts

ROWS = 20_000  # hashes simulated at once
TRIAL = 4_000  # hashes simulated to see how far unrelated ones scatter
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HashModel:
    """What `fit` found of hashes of some number of bits."""

    mean: Floats  # [bits], of templates' coefficients
    correlation: Floats  # [bits, bits], of templates' coefficients
    reliability: list[Floats]  # the images' c, an array for each real family
    set_bits: npt.NDArray[np.int64]  # how many bits each real hash has set

    def draw(
        self, n: int, per_family: int = 54, seed: int = 2026
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """n hashes uint8[n, bits // 8] in families of `per_family`, the last one perhaps smaller, and their labels."""
        if n < 1 or per_family < 1:
            raise ValueError(f"n and per_family must be at least 1; got {n} and {per_family}")
        rng, bits = np.random.default_rng(seed), len(self.mean)
        root = np.linalg.cholesky(self.correlation + 1e-6 * np.eye(bits)).astype(np.float32)
        packed, labels = np.empty((n, bits // 8), np.uint8), np.arange(n) // per_family
        step = max(1, ROWS // per_family) * per_family
        for low in range(0, n, step):
            family = labels[low : low + step] - low // per_family
            template = rng.standard_normal(
                (family[-1] + 1, bits), np.float32
            ) @ root.T + self.mean.astype(np.float32)
            source = rng.integers(len(self.reliability), size=len(template))
            c = np.concatenate([rng.choice(self.reliability[s], per_family) for s in source])[
                : len(family), None
            ]
            coefficient = rng.standard_normal((len(family), bits), np.float32)
            coefficient *= np.sqrt(1 - c * c).astype(np.float32)
            coefficient += c.astype(np.float32) * template[family]
            wanted = rng.choice(self.set_bits, len(family))
            packed[low : low + len(family)] = np.packbits(_largest(coefficient, wanted), axis=1)
        return packed, labels


def _largest(
    coefficient: npt.NDArray[np.float32], wanted: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which are the `wanted` largest of each row; exactly so many, whatever ties."""
    n, bits = coefficient.shape
    ordered = np.sort(coefficient, axis=1)
    chosen = (
        coefficient
        >= np.where(wanted > 0, ordered[np.arange(n), (bits - wanted) % bits], np.inf)[:, None]
    )
    tied = np.flatnonzero(chosen.sum(1) != wanted)
    rank = np.argsort(np.argsort(-coefficient[tied], axis=1, kind="stable"), axis=1)
    chosen[tied] = rank < wanted[tied, None]
    return chosen


def _reliability(bits: Floats) -> Floats:
    """c float64[images] of one family with bits -1 and 1, float64[images, bits]: the rank-one fit off the diagonal."""
    cosine = np.sin(np.pi / 2 * (bits @ bits.T) / bits.shape[1])
    n, diagonal = len(bits), np.diag(cosine)
    c = np.full(n, np.sqrt(max(1e-3, (cosine.sum() - n) / (n * (n - 1)))))
    for _ in range(100):
        best = (cosine @ c - diagonal * c) / ((c * c).sum() - c * c)
        c = (c + np.clip(best, 0.01, 1)) / 2  # half steps: full ones may swing between two answers
    return c


def scatter(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation of the distances in a histogram int64[bits + 1], in bits."""
    distance = np.arange(len(counts))
    mean = float((counts * distance).sum() / max(1, counts.sum()))
    return mean, float(np.sqrt((counts * (distance - mean) ** 2).sum() / max(1, counts.sum())))


def fit(packed: npt.NDArray[np.uint8], labels: Any, seed: int = 2026) -> HashModel:
    """The model of real hashes uint8[n, bits // 8] and their families' labels.

    Templates' correlations are those between the families' mean bits, which few families tell badly; they are
    weakened until unrelated hashes scatter about their mean distance as much as the real ones do. Raises ValueError
    without two families of at least three images.
    """
    bits = np.unpackbits(check_hashes(packed), axis=1) * 2.0 - 1
    family = np.unique(np.asarray(labels), return_inverse=True)[1]
    size = np.bincount(family)
    large = np.flatnonzero(size >= 3)
    if len(large) < 2:
        raise ValueError("a model needs at least two families of at least three hashes each")
    reliability = [_reliability(bits[family == f]) for f in large]
    centre = np.stack([bits[family == f].mean(0) for f in range(len(size))])
    chance = np.clip((centre.mean(0) + 1) / 2, 0.01, 0.99)
    centre = (centre - centre.mean(0)) / np.maximum(centre.std(0), 1e-9)
    full, alone = centre.T @ centre / len(centre), np.eye(len(chance))
    np.fill_diagonal(full, 1)
    model = HashModel(
        ndtri(chance), alone, reliability, ((bits.sum(1) + bits.shape[1]) / 2).astype(np.int64)
    )
    wanted, least, most = (
        scatter(pair_counts(*sample)[1])[1] ** 2
        for sample in (
            (packed, family),
            model.draw(TRIAL, 4, seed),
            replace(model, correlation=full).draw(TRIAL, 4, seed),
        )
    )
    share = np.sqrt(
        np.clip((wanted - least) / max(most - least, 1e-9), 0, 1)
    )  # scatter grows with its square
    return replace(model, correlation=(1 - share) * alone + share * full)
