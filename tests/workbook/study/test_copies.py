"""Near copies: what is written, and what counts as found."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from finlib.matching.thresholds import expected_at
from workbook.study import copies


@pytest.fixture(scope="module")
def picture():
    levels = np.random.default_rng(4).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((250, 250), Image.Resampling.BICUBIC)


def opened(content):
    return Image.open(BytesIO(content))


def kind(name):
    return next(one for one in copies.kinds() if one.name == name)


def test_the_radius_is_the_largest_that_lets_in_no_more_than_intended():
    for method, radius in copies.radii().items():
        assert expected_at(method, radius).nonmatching <= copies.FALSE_RATE
        assert not expected_at(method, radius + 1).nonmatching <= copies.FALSE_RATE


def test_kinds_have_different_names():
    names = [one.name for one in copies.kinds()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("thumbnail 32", (32, 32)),
        ("3:4 stretched", (188, 250)),
        ("10% off each side", (200, 200)),
        ("border 10%", (300, 300)),
    ],
)
def test_copies_have_the_size_that_their_name_says(picture, name, size):
    assert opened(kind(name).write(picture)).size == size


def test_a_viewer_turns_an_exif_copy_back(picture):
    copy = opened(kind("EXIF quarter turn").write(picture))
    seen = np.asarray(ImageOps.exif_transpose(copy), dtype=float)
    assert np.abs(seen - np.asarray(picture, dtype=float)).mean() < 8


def test_transparent_parts_show_the_ground():
    layer = Image.new("RGBA", (20, 20), (200, 10, 10, 0))
    white = opened(kind("white against black").write(layer))
    black = opened(kind("white against black").against(layer))
    assert white.getpixel((5, 5)) == (255, 255, 255)
    assert black.getpixel((5, 5)) == (0, 0, 0)


def test_mild_copies_are_found_and_pictures_without_alpha_have_no_grounds(picture, tmp_path):
    hashed = copies.hash_copies(picture, tmp_path)
    found = copies.count_found([hashed]).set_index(["kind", "method"])
    assert found.loc[("JPEG 90", "find"), "found"] == 1
    assert found.loc[("mirrored", "dhash256"), "found"] == 0
    assert "white against black" not in found.index.get_level_values("kind")
    assert set(found.index.get_level_values("method")) == set(copies.METHODS)


def test_false_pairs_are_pairs_of_different_originals():
    rng = np.random.default_rng(1)
    single = rng.integers(0, 256, (5, 32), dtype=np.uint8)
    single[4] = single[0]
    hashers = {copies.hasher_of(method) for method in copies.METHODS}
    originals = {name: np.tile(single, (1, 1 + name.count("+"))) for name in hashers}
    false = copies.count_false(originals).set_index("method")
    assert (false["pairs"] == 10).all()
    assert (false["matched"] == 1).all()
