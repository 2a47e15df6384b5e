"""The eight variants by any hasher are the hashes of the picture that was turned itself."""

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Transpose

from finlib.hashing.decoding import VARIANTS, Picture
from finlib.hashing.hashers import get_hasher

TURNED = {
    "mirrored": Transpose.FLIP_LEFT_RIGHT,
    "upside down": Transpose.FLIP_TOP_BOTTOM,
    "half turn": Transpose.ROTATE_180,
    "transposed": Transpose.TRANSPOSE,
    "quarter": Transpose.ROTATE_90,
    "three quarters": Transpose.ROTATE_270,
    "transverse": Transpose.TRANSVERSE,
}


@pytest.mark.parametrize("name", ["find", "dhash256", "whash64", "find+dhash256"])
def test_each_variant_is_the_turned_pictures_hash(name: str, picture: Image.Image) -> None:
    method = get_hasher(name)
    found = method.variants(Picture(picture), range(8))
    expected = [
        method.from_image(picture.transpose(TURNED[v]) if v in TURNED else picture)
        for v in VARIANTS
    ]
    distance = np.bitwise_count(found ^ np.stack(expected)).sum(axis=1)
    # FINd's half-open windows make a difference to its one transform.
    assert distance.max() <= (60 if name == "find" else 0)
    assert distance[0] == 0
    apart = np.bitwise_count(found[:, None] ^ found[None]).sum(axis=2)
    assert apart[np.triu_indices(8, 1)].min() > distance.max()
    assert np.array_equal(method.variants(Picture(picture), (0, 5)), found[[0, 5]])
