"""A prepared picture is what a viewer shows, however it is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from finlib.hashing.decoding import Picture
from finlib.hashing.hashers import HASHERS, get_hasher, prepared_name
from finlib.hashing.preparing import prepare, scale_to_bytes, trim_borders
from finlib.matching.thresholds import evidence


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A picture of 720 x 540 with structure at several scales."""
    rng = np.random.default_rng(7)
    total = np.zeros((540, 720, 3))
    for side in (4, 16, 64):
        small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        total += np.asarray(small.resize((720, 540), Image.Resampling.BICUBIC), float) / side
    total *= 255 / total.max()
    return Image.fromarray(total.astype(np.uint8))


def distance(name: str, one: Image.Image, other: Image.Image) -> int:
    hasher = get_hasher(name)
    difference = hasher.from_image(one) ^ hasher.from_image(other)
    return int(np.bitwise_count(difference).sum())


def sixteen_bits(photo: Image.Image) -> Image.Image:
    grey = np.asarray(photo.convert("L"), np.uint16)
    return Image.fromarray(grey * 150 + 9000)


def fractions(photo: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(photo.convert("L"), np.float32) / 255)


def framed(photo: Image.Image) -> Image.Image:
    return ImageOps.expand(photo, (90, 60), "black")


def two_levels(photo: Image.Image) -> Image.Image:
    return photo.convert("1")


def turned(photo: Image.Image) -> Image.Image:
    image = photo.transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


STORED = [sixteen_bits, fractions, framed, two_levels, turned]


@pytest.mark.parametrize("store", STORED)
@pytest.mark.parametrize("hasher", ["find", "dhash256"])
def test_a_prepared_picture_is_near_its_other_forms(
    hasher: str, store: Any, photo: Image.Image
) -> None:
    stored = store(photo)
    prepared = distance(prepared_name(hasher), photo, stored)
    assert prepared <= 20
    if store is not two_levels:
        assert prepared + 50 < distance(hasher, photo, stored)


def test_a_drawing_with_a_palette_is_shrunk_as_in_full_colour() -> None:
    drawing = Image.new("RGB", (1600, 1200), "white")
    rng = np.random.default_rng(2)
    for _ in range(60):
        ends = [int(place) for place in rng.integers(0, 1600, 4)]
        ImageDraw.Draw(drawing).line(ends, fill=(200, 30, 30), width=2)
    stored = drawing.quantize(64)
    assert distance("prepared:find", drawing, stored) == 0
    assert distance("find", drawing, stored) > 10


def test_an_ordinary_picture_has_the_same_bits(photo: Image.Image) -> None:
    assert np.array_equal(get_hasher("prepared:find").from_image(photo), find(photo))


def find(image: Image.Image) -> Any:
    return HASHERS["find"].from_image(image)


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (90, 255)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_shows_of_a_transparent_picture_is_on_a_ground_that_differs(
    ink: int, ground: int, mode: str
) -> None:
    alpha = Image.new("L", (90, 70))
    ImageDraw.Draw(alpha).ellipse((20, 20, 60, 60), fill=255)
    icon = Image.new("L", (90, 70), ink).convert(mode)
    icon.putalpha(alpha)
    shown = np.asarray(prepare(icon).convert("L"))
    assert set(np.unique(shown)) == {ink, ground}


def test_colours_under_full_transparency_do_not_count(photo: Image.Image) -> None:
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).ellipse((200, 100, 500, 400), fill=255)
    hashes = []
    for hidden in ("white", "black", "red"):
        image = Image.new("RGB", photo.size, hidden)
        image.paste(photo, mask=mask)
        image.putalpha(mask)
        hashes.append(get_hasher("prepared:find").from_image(image).tobytes())
    assert len(set(hashes)) == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_values_are_scaled_from_the_lowest_to_the_highest(dtype: type) -> None:
    values = np.array([[1000, 2000, 3550]], dtype)
    assert np.asarray(scale_to_bytes(Image.fromarray(values))).tolist() == [[0, 100, 255]]


def test_noise_of_a_flat_scan_is_not_spread_and_odd_fractions_count_as_the_lowest() -> None:
    flat = Image.fromarray(np.array([[5000, 5002]], np.uint16))
    assert np.asarray(scale_to_bytes(flat)).tolist() == [[0, 2]]
    odd = Image.fromarray(np.array([[np.nan, 0.25, 0.75, np.inf]], np.float32))
    assert np.asarray(scale_to_bytes(odd)).tolist() == [[0, 0, 255, 0]]
    empty = Image.fromarray(np.full((1, 2), np.nan, np.float32))
    assert np.asarray(scale_to_bytes(empty)).tolist() == [[0, 0]]


def test_borders_are_trimmed_but_a_mark_on_an_empty_page_stays_one(photo: Image.Image) -> None:
    assert trim_borders(framed(photo)).size == photo.size
    assert trim_borders(photo) is photo
    page = Image.new("L", (400, 600), 255)
    assert trim_borders(page) is page
    ImageDraw.Draw(page).rectangle((180, 250, 220, 270), fill=0)
    assert trim_borders(page) is page


def test_lab_is_converted(photo: Image.Image) -> None:
    lab = photo.convert("RGB").convert("LAB")
    shown = np.asarray(prepare(lab), int)
    assert np.abs(shown - np.asarray(photo, int)).mean() < 6


def test_a_hasher_of_prepared_pictures_has_parts_and_evidence_and_sizes_of_the_file(
    tmp_path: Path, photo: Image.Image
) -> None:
    combined = get_hasher("prepared:find+dhash256")
    assert combined is get_hasher("prepared:find+dhash256")
    assert [part.name for part in combined.parts] == ["prepared:find", "prepared:dhash256"]
    assert combined.rows_start == get_hasher("find+dhash256").rows_start
    assert evidence("prepared:find") is evidence("find")
    framed(photo).save(tmp_path / "framed.png")
    read = combined.read(tmp_path / "framed.png")
    assert (read.width, read.height) == framed(photo).size
    expected, _ = get_hasher("find+dhash256").compute(Picture(photo))
    assert np.array_equal(read.packed, expected)
