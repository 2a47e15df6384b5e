"""Clusters corrected by hand: pairs of images that a person has found to belong together, or not."""

from typing import Any

import numpy as np
import numpy.typing as npt

from finlib.matching.forest import Forest
from finlib.matching.pairs import Packed, neighbours

Labels = npt.NDArray[np.int64]


def _blocks(n: int, together: Any, apart: Any) -> tuple[Any, Any, Any]:
    """The first row of the block that each row is in by pairs together; and both kinds of pairs, int64[pairs, 2]."""
    right, wrong = (np.asarray(list(given), np.int64).reshape(-1, 2) for given in (together, apart))
    if any(len(given) and (given.min() < 0 or given.max() >= n) for given in (right, wrong)):
        raise ValueError(f"pairs to correct must name rows from 0 to {n - 1}")
    block = Forest(n)
    block.take(right[:, 0], right[:, 1], None)
    return block.roots(), right, wrong


def find_contradiction(n: int, together: Any, apart: Any) -> tuple[int, int] | None:
    """Two of n rows that are to be apart, and together by other pairs; None where there are no such."""
    blocks, _, wrong = _blocks(n, together, apart)
    found = wrong[blocks[wrong[:, 0]] == blocks[wrong[:, 1]]]
    return (int(found[0, 0]), int(found[0, 1])) if len(found) else None


def apply_corrections(
    packed: Packed, labels: Labels, together: Any, apart: Any, workers: int | None = None
) -> Labels:
    """The labels with corrections honoured: clusters of a pair together are one, clusters of a pair apart are parted.

    A parted cluster's other images go with whichever side's named images are nearest.
    """
    blocks, right, wrong = _blocks(len(packed), together, apart)
    whole, sides = Forest(int(labels.max(initial=0)) + 1), blocks[wrong]
    whole.take(labels[right[:, 0]], labels[right[:, 1]], None)
    labels = whole.roots()[labels].astype(np.int64)
    for number in np.unique(labels[wrong][labels[wrong[:, 0]] == labels[wrong[:, 1]]]):
        members = np.flatnonzero(labels == number)
        mine = sides[(labels[sides] == number).all(axis=1)]
        colour: dict[int, int] = {}
        for one in np.unique(mine).tolist():
            taken = {
                colour.get(other, -1) for pair in mine.tolist() if one in pair for other in pair
            }
            colour[one] = next(c for c in range(len(taken) + 1) if c not in taken)
        named = np.isin(blocks[members], list(colour))
        side = np.array([colour.get(b, 0) for b in blocks[members].tolist()])
        seeds, rest = members[named], members[~named]
        first = np.unique(blocks[rest], return_index=True, return_inverse=True)[1:]
        closest = neighbours(packed[rest], packed[seeds], k=1, workers=workers).indices
        side[~named] = side[named][closest][first[0]][first[1]]
        labels[members] = np.where(side == 0, number, labels.max() + side)
    return labels
