"""Clusters of real pictures, from their hashes alone."""

from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from finlib.clustering import cluster

MEMES = Path(__file__).parent / "golden" / "meme_hashes.npy"
"""FINd's hashes of captioned templates of github.com/jacebrowning/memegen: 30 families of 20, one after another."""


def test_families_of_captioned_templates_are_found():
    packed = np.load(MEMES)
    assert adjusted_rand_score(np.arange(len(packed)) // 20, cluster(packed).labels) >= 0.95
