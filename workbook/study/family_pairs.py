"""Find how near each two families come to each other, over all pairs of their images.

False matches of two families that look alike are many pairs of images and one pair of families. So
it is pairs of families that count as independent evidence.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import njit

from finlib.matching.distances import get_distance
from finlib.matching.hamming import distance_in_block
from finlib.matching.packed import BLOCK, to_blocks
from finlib.pools import in_threads

JOBS = 32


def closest_of_families(
    packed: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    distance: str = "hamming",
    *,
    workers: int | None = None,
) -> np.ndarray:
    """The least distance between images of two families, for every pair of families.

    packed: uint8[n, bytes]. labels: the family of each image. Returns int64[pairs of families], in
    the order of `numpy.triu_indices`.
    """
    names, family = np.unique(np.asarray(labels), return_inverse=True)
    families = len(names)
    order = np.argsort(family, kind="stable")
    hashes = packed[order]
    family = family[order]
    measure = get_distance(distance, packed.shape[1])
    words = measure.query_words(hashes)
    blocks = to_blocks(measure.stored_words(hashes))
    closest = np.full((families, families), measure.largest, np.uint16)

    def compare(low: int, high: int) -> None:
        """Compare the images of the families low..high with those of later ones."""
        first, last = np.searchsorted(family, [low, high])
        _keep_closest(words, first, last, blocks, family, measure.width, closest)

    step = max(1, families // JOBS)
    cuts = [*range(0, families, step), families]
    for _ in in_threads(compare, pairwise(cuts), workers):
        pass
    return closest[np.triu_indices(families, 1)].astype(np.int64)


@njit(nogil=True, cache=True)
def _keep_closest(words, low, high, blocks, family, width, closest):  # type: ignore[no-untyped-def]
    """Lower closest[family i, family j] to the least distance of images low..high to later ones.

    Images are sorted by family. All distances to a block are computed before any is looked at,
    since only that loop vectorises.
    """
    n = len(words)
    distances = np.empty(BLOCK, np.uint16)
    for b in range(low // BLOCK, len(blocks)):
        start = b * BLOCK
        end = min(BLOCK, n - start)
        for i in range(low, min(high, start + BLOCK)):
            for k in range(BLOCK):
                distances[k] = distance_in_block(words, i, blocks, b, k, width)
            least = closest[family[i]]
            for k in range(max(0, i + 1 - start), end):
                other = family[start + k]
                least[other] = min(least[other], distances[k])
