"""Clusters of real pictures, from their hashes alone."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from finlib.clustering.clusters import cluster

GOLDEN = Path(__file__).parents[1] / "golden"
MEMES = GOLDEN / "meme_hashes.npy"
"""FINd's hashes of captioned templates of github.com/jacebrowning/memegen.

30 families of 20, one after another.
"""
LOOK_ALIKE = GOLDEN / "look_alike_hashes.npy"
"""Hashes by find+dhash256 of 60 families of 20 of the built-in images.

Some of the families look alike to dHash.
"""


def test_families_of_captioned_templates_are_found():
    packed = np.load(MEMES)
    assert adjusted_rand_score(np.arange(len(packed)) // 20, cluster(packed).labels) >= 0.95


@pytest.mark.parametrize(
    ("part", "least"), [(slice(None), 0.99), (slice(32), 0.97), (slice(32, None), 0.975)]
)
def test_families_that_look_alike_are_kept_apart(part, least):
    packed = np.ascontiguousarray(np.load(LOOK_ALIKE)[:, part])
    assert adjusted_rand_score(np.arange(len(packed)) // 20, cluster(packed).labels) >= least
