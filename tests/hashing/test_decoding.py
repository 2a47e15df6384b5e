"""The fast decoder gives Pillow's pixels or leaves the file to Pillow, whatever the file is."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from exactness import pixels
from PIL import Image, ImageFile

from finlib.hashing import decoding, images
from workbook.study.families import dataset

SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def with_factors(data: bytes, factors: int) -> bytes:
    """A JPEG with other sampling factors of luma in its frame, as other encoders write them."""
    frame = data.index(b"\xff\xc0")
    return data[: frame + 11] + bytes([factors]) + data[frame + 12 :]


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with an application segment before all others."""
    length = (len(body) + 2).to_bytes(2, "big")
    segment = bytes([0xFF, marker]) + length + body
    return data[:2] + segment + data[2:]


def without_first_segment(data: bytes) -> bytes:
    length = int.from_bytes(data[4:6], "big")
    return data[:2] + data[4 + length :]


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(pixels("smooth", 203, 317, seed=11))


@pytest.fixture
def same_as_pillow(tmp_path):
    """A function that asserts that a JPEG gives Pillow's pixels, or Pillow's error.

    It returns whether the fast decoder gave the pixels.
    """

    def check(data: bytes) -> bool:
        path = tmp_path / "image.jpg"
        path.write_bytes(data)
        try:
            expected = images.load_rgb(path)
        except (ValueError, OSError) as error:
            kind, text = type(error), str(error)
            with pytest.raises(kind, match=f"^{re.escape(text)}$"):
                decoding.open_picture(path)
            assert decoding.decode_jpeg(path) is None
            return False
        picture = decoding.open_picture(path)
        assert picture.size == images.open_image(path).size
        assert picture.rgb.dtype == np.uint8
        assert np.array_equal(picture.rgb, expected)
        return decoding.decode_jpeg(path) is not None

    return check


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("subsampling", SUBSAMPLING, ids=SUBSAMPLING.get)
@pytest.mark.parametrize("quality", [1, 30, 75, 90, 95, 100])
def test_ordinary_jpegs_are_decoded_fast(photo, same_as_pillow, quality, subsampling, progressive):
    for image in (photo, photo.convert("L"), photo.resize((3, 2)), photo.resize((16, 17))):
        options = {"quality": quality, "progressive": progressive}
        if image.mode == "RGB":
            options["subsampling"] = subsampling
        assert same_as_pillow(jpeg(image, **options))


def test_noise_at_every_quality(same_as_pillow):
    noise = Image.fromarray(pixels("random", 61, 83, seed=3))
    for quality in range(1, 101, 3):
        assert same_as_pillow(jpeg(noise, quality=quality, optimize=quality % 2 == 0))


@pytest.mark.parametrize("size", [(513, 40), (700, 900), (1600, 300)], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_large_jpegs_are_shrunk_in_their_own_mode(photo, same_as_pillow, size, mode):
    assert same_as_pillow(jpeg(photo.resize(size).convert(mode), quality=85))


def test_restart_markers(photo, same_as_pillow):
    for options in ({"restart_marker_blocks": 3}, {"restart_marker_rows": 1}):
        data = jpeg(photo, quality=80, **options)
        assert b"\xff\xdd" in data
        assert same_as_pillow(data)


@pytest.mark.parametrize(
    "factors", [0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 0x24, 0x42, 0x44, 0x13, 0x31, 0x00, 0x55]
)
def test_other_sampling_factors_end_as_in_pillow(photo, same_as_pillow, factors):
    """The scan then has too few or too many blocks, of which both decoders have to warn alike."""
    fast = same_as_pillow(with_factors(jpeg(photo, quality=80, subsampling=0), factors))
    assert fast or factors != 0x11


@pytest.mark.parametrize("subsampling", ["411", "440", "422", "420", "444"])
def test_subsamplings_of_another_encoder(photo, same_as_pillow, subsampling):
    import simplejpeg

    assert same_as_pillow(simplejpeg.encode_jpeg(np.array(photo), 85, colorsubsampling=subsampling))


def test_exif_is_not_applied(photo, same_as_pillow):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert same_as_pillow(jpeg(photo, exif=exif))


def test_profiles_and_comments(photo, same_as_pillow):
    assert same_as_pillow(jpeg(photo, icc_profile=b"p" * 70_000, comment=b"hello"))
    assert same_as_pillow(jpeg(photo, dpi=(300, 300)))


@pytest.mark.parametrize("mode", ["CMYK", "1"])
def test_other_modes_end_as_in_pillow(photo, same_as_pillow, mode):
    same_as_pillow(jpeg(photo.convert(mode)))


@pytest.mark.parametrize("transform", [0, 1, 2])
def test_adobe_colour_transforms_end_as_in_pillow(photo, same_as_pillow, transform):
    adobe = b"Adobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    data = jpeg(photo)
    same_as_pillow(with_segment(data, 0xEE, adobe))
    without_jfif = without_first_segment(data)  # Adobe's transform then counts
    assert same_as_pillow(with_segment(without_jfif, 0xEE, adobe)) == (transform == 1)


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE0, b"JFIF\0"),
        (0xE0, b"JFXX\0"),
        (0xE1, b"Exif\0\0garbage"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\2"),
        (0xE2, b"MPF\0garbage"),
        (0xED, b"Photoshop 3.0\0008BIM\4"),
        (0xED, b"Photoshop 3.0\0008BIM\4\4"),
        (0xEE, b"Adobe"),
        (0xEB, b"anything"),
    ],
)
@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")
def test_odd_segments_end_as_in_pillow(photo, same_as_pillow, marker, body):
    same_as_pillow(with_segment(jpeg(photo), marker, body))


def test_truncated_files_end_as_in_pillow(photo, same_as_pillow):
    for progressive in (False, True):
        data = jpeg(photo.resize((64, 48)), progressive=progressive)
        for length in [*range(0, len(data) - 40, 97), *range(len(data) - 40, len(data))]:
            same_as_pillow(data[:length])


def test_damaged_files_end_as_in_pillow(photo, same_as_pillow):
    rng = np.random.default_rng(0)
    clean = jpeg(photo.resize((90, 70)), quality=60)
    for number in range(400):
        damaged = bytearray(clean)
        start = 0 if number % 2 else clean.index(b"\xff\xda")
        for _ in range(1 + number % 3):
            damaged[rng.integers(start, len(clean))] = rng.integers(0, 256)
        same_as_pillow(bytes(damaged))


def test_other_contents_end_as_in_pillow(same_as_pillow, photo):
    png = io.BytesIO()
    photo.save(png, "PNG")
    for data in (
        b"",
        b"\xff",
        b"\xff\xd8\xff",
        b"garbage" * 50,
        jpeg(photo) + b"trailing",
        png.getvalue(),
    ):
        same_as_pillow(data)


def test_a_bomb_is_left_to_pillow(monkeypatch, photo, same_as_pillow):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert not same_as_pillow(jpeg(photo))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert same_as_pillow(jpeg(photo))


def test_truncated_files_stay_pillows_where_it_is_set_to_accept_them(
    monkeypatch, photo, same_as_pillow
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = jpeg(photo)
    assert not same_as_pillow(data[: len(data) // 2])


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        decoding.open_picture(tmp_path / "missing.jpg")
    with pytest.raises(IsADirectoryError):
        decoding.open_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match="not a file"):
        decoding.open_picture(tmp_path / "pipe.jpg")


def test_pillow_on_another_libjpeg_decodes_itself(monkeypatch, tmp_path, photo):
    photo.save(tmp_path / "a.jpg")
    expected = decoding.open_picture(tmp_path / "a.jpg").rgb
    monkeypatch.setattr("finlib.hashing.jpeg.SAME_LIBRARY", False)
    assert decoding.decode_jpeg(tmp_path / "a.jpg") is None
    assert np.array_equal(decoding.open_picture(tmp_path / "a.jpg").rgb, expected)


def test_two_pictures_open_at_once_have_pixels_of_their_own(tmp_path, photo):
    photo.save(tmp_path / "one.jpg")
    photo.rotate(180).save(tmp_path / "other.jpg")
    one = decoding.open_picture(tmp_path / "one.jpg")
    other = decoding.open_picture(tmp_path / "other.jpg")
    assert not np.shares_memory(one.rgb, other.rgb)
    assert np.array_equal(one.rgb, images.load_rgb(tmp_path / "one.jpg"))
    assert np.array_equal(other.rgb, images.load_rgb(tmp_path / "other.jpg"))


def test_a_buffer_is_used_where_the_picture_fits(tmp_path, photo):
    path = tmp_path / "a.jpg"
    photo.save(path)
    expected = images.load_rgb(path)
    for size, is_used in ((expected.size, True), (expected.size - 1, False)):
        buffer = bytearray(size)
        picture = decoding.open_picture(path, buffer)
        assert np.array_equal(picture.rgb, expected)
        assert np.shares_memory(picture.rgb, np.frombuffer(buffer, np.uint8)) == is_used


def test_a_picture_is_turned_as_pillow_turns_it(photo):
    picture = decoding.Picture(np.asarray(photo))
    assert picture.variant(0) is picture
    number = decoding.VARIANTS.index("quarter")
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    assert picture.variant(number).size == turned.size
    assert np.array_equal(picture.variant(number).rgb, np.asarray(turned))


def test_golden_and_built_in_images():
    golden = images.list_images(Path(__file__).parents[1] / "golden")
    built_in = dataset("", 12, 3)["path"].tolist()
    for path in [*golden, *built_in]:
        assert np.array_equal(decoding.open_picture(path).rgb, images.load_rgb(path)), path
    assert all(decoding.decode_jpeg(path) is not None for path in built_in)
