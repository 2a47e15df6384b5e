"""Our hashes and distances equal those that the authors of ImageHash and PDQ published.

ImageHash's own tests contain the hashes of their one picture. PDQ's regression tests contain the
hash of a picture of a bridge, which the source distribution of threatexchange contains as
sample-b.jpg. No wheel contains either picture, so the slow test downloads the source distributions
with pip. No published hash was found of a picture that comes with an installed package
(scikit-image, scikit-learn, SciPy, Matplotlib).
"""

import subprocess
import sys
import tarfile
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from finlib.hashing.hashers import HASHERS
from finlib.matching.pairs import pairs_between


class Picture(NamedTuple):
    """A picture in a source distribution: the requirement to download, and the end of the file's
    path in it."""

    requirement: str
    path: str


IMAGEHASH = Picture("ImageHash==4.3.2", "tests/data/imagehash.png")
BRIDGE = Picture("threatexchange==1.2.17", "data/sample-b.jpg")
PUBLISHED = [
    (IMAGEHASH, "ahash64", "ffd7918181c9ffff"),
    (IMAGEHASH, "phash64", "ba8c84536bd3c366"),
    (IMAGEHASH, "dhash64", "0026273b2b19550e"),
    (IMAGEHASH, "whash64", "ffd391818181a5e7"),
    (BRIDGE, "pdq", "d8f8f0cce0f4a84f0e370a22028f67f0b36e2ed596623e1d33e6b39c4e9c9b22"),
]
"""Pictures, our hashers and the published hashes."""


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """A function that downloads a Picture once and returns the path of its file."""
    pytest.importorskip("pip")

    @cache
    def download_picture(picture):
        folder = tmp_path_factory.mktemp("source")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--no-binary", ":all:", "--dest", folder]
        finished = subprocess.run(
            [*pip, *options, picture.requirement], capture_output=True, text=True
        )
        if finished.returncode != 0:
            reason = finished.stderr.strip().splitlines()[-1:]
            pytest.skip(f"{picture.requirement} could not be downloaded: {reason}")
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            names = [name for name in archive.getnames() if name.endswith(picture.path)]
            archive.extract(names[0], folder, filter="data")
        return folder / names[0]

    return download_picture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("picture", "name", "expected"), PUBLISHED, ids=[name for _, name, _ in PUBLISHED]
)
def test_hashes_of_published_pictures(picture, name, expected, download):
    if name not in HASHERS:
        pytest.skip("pdqhash is not installed")
    assert HASHERS[name].read(download(picture)).packed.tobytes().hex() == expected


RADII = {
    0: [0],
    16: [0, 1],
    128: [0, 1, 2, 3],
    256: [0, 1, 2, 3, 4],
}
"""The hashes that ThreatExchange's index of PDQ hashes must find within each radius of the
first."""


@pytest.mark.parametrize(("radius", "expected"), RADII.items())
def test_distances_of_the_tests_of_pdq(radius, expected):
    texts = ["0" * 64, "0" * 60 + "ffff", "0f" * 32, "f0" * 32, "f" * 64]
    packed = np.stack([np.frombuffer(bytes.fromhex(text), np.uint8) for text in texts])
    _, indices, distances = pairs_between(packed[:1], packed, radius)
    assert indices.tolist() == expected
    assert distances.tolist() == [0, 16, 128, 128, 256][: len(expected)]


def test_complementary_bytes_differ_in_every_bit():
    one = np.full((1, 32), 0x0F, np.uint8)
    other = np.full((1, 32), 0xF0, np.uint8)
    _, _, distances = pairs_between(one, other, 256)
    assert distances.tolist() == [256]
