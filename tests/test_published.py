"""Hashes that others published: distances of PDQ's project, and pictures that two source distributions ship.

ImageHash's own tests know the hashes of their one picture, PDQ's regression tests that of the bridge, which the source
distribution of threatexchange has as sample-b.jpg. No wheel has either picture, and no published hash of a picture that
an installed package ships (scikit-image, scikit-learn, SciPy, Matplotlib) was found; so pip fetches them, in the long
run alone.
"""

import subprocess
import sys
import tarfile
from functools import cache

import numpy as np
import pytest

from finlib.hashing.hashers import HASHERS
from finlib.matching.pairs import pairs_between

IMAGEHASH = "ImageHash==4.3.2", "tests/data/imagehash.png"
BRIDGE = "threatexchange==1.2.17", "data/sample-b.jpg"
PUBLISHED = [
    (IMAGEHASH, "ahash64", "ffd7918181c9ffff"),
    (IMAGEHASH, "phash64", "ba8c84536bd3c366"),
    (IMAGEHASH, "dhash64", "0026273b2b19550e"),
    (IMAGEHASH, "whash64", "ffd391818181a5e7"),
    (BRIDGE, "pdq", "d8f8f0cce0f4a84f0e370a22028f67f0b36e2ed596623e1d33e6b39c4e9c9b22"),
]


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """A function from a requirement and a path in its source distribution to that file."""
    pytest.importorskip("pip")

    @cache
    def fetch(requirement, name):
        folder = tmp_path_factory.mktemp("source")
        command = [
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--dest",
            folder,
            requirement,
        ]
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{requirement} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            member = next(member for member in archive.getmembers() if member.name.endswith(name))
            archive.extract(member, folder, filter="data")
        return folder / member.name

    return fetch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "name", "expected"), PUBLISHED, ids=lambda value: value if value in HASHERS else ""
)
def test_hashes_of_published_pictures(source, name, expected, fetched):
    if name not in HASHERS:
        pytest.skip("pdqhash is not installed")
    assert HASHERS[name].read(fetched(*source)).packed.tobytes().hex() == expected


def test_distances_of_pdqs_own_tests():
    """What ThreatExchange's index of PDQ hashes must find, by radius."""
    texts = ["0" * 64, "0" * 60 + "ffff", "0f" * 32, "f0" * 32, "f" * 64]
    packed = np.stack([np.frombuffer(bytes.fromhex(text), np.uint8) for text in texts])
    for radius, expected in {0: [0], 16: [0, 1], 128: [0, 1, 2, 3], 256: [0, 1, 2, 3, 4]}.items():
        _, found, distances = pairs_between(packed[:1], packed, radius)
        assert found.tolist() == expected
        assert distances.tolist() == [0, 16, 128, 128, 256][: len(expected)]
    assert pairs_between(packed[2:3], packed[3:4], 256)[2].tolist() == [256]
