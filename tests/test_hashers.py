"""One behaviour suite over every hash in the table."""

import numpy as np
import pytest
from PIL import Image

import finlib
from finlib.hashers import HASHERS, findhash, hasher, to_imagehash

NAMES = list(HASHERS)


def test_the_table_has_every_method_at_both_lengths() -> None:
    expected = {"find", *(f"{letter}hash{bits}" for letter in "apdw" for bits in (64, 256))}
    assert expected <= set(NAMES) <= expected | {"pdq"}
    assert all(name == each.name for name, each in HASHERS.items())


@pytest.mark.parametrize("name", NAMES)
def test_packed_bits_are_those_of_its_imagehash(name: str, picture: Image.Image) -> None:
    packed = HASHERS[name].from_image(picture)
    assert packed.dtype == np.uint8
    assert packed.shape == (HASHERS[name].bits // 8,)
    assert packed.tobytes().hex() == str(to_imagehash(packed))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_the_hash_of_its_image_and_its_size(name: str, picture: Image.Image, tmp_path) -> None:
    path = tmp_path / "picture.png"
    picture.save(path)
    read = HASHERS[name].read(path)
    assert np.array_equal(read.packed, HASHERS[name].from_image(picture))
    assert np.array_equal(read.packed, HASHERS[name].from_file(path))
    assert (read.width, read.height) == picture.size
    assert np.isnan(read.quality) == (name not in ("find", "pdq"))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_left_as_it_was(name: str) -> None:
    image = Image.radial_gradient("L").resize((700, 300))
    before = image.tobytes()
    HASHERS[name].from_image(image)
    assert image.size == (700, 300)
    assert image.tobytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_small_change_moves_few_bits_and_another_picture_many(name: str, picture: Image.Image) -> None:
    def distance(a: Image.Image, b: Image.Image) -> float:
        return np.unpackbits(HASHERS[name].from_image(a) ^ HASHERS[name].from_image(b)).mean()

    brighter = picture.point(lambda value: min(255, value + 4))
    assert distance(picture, brighter) < 0.05
    assert distance(picture, picture.transpose(Image.Transpose.ROTATE_90)) > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_does_not_depend_on_what_was_hashed_before(name: str, picture: Image.Image) -> None:
    first = HASHERS[name].from_image(picture)
    HASHERS[name].from_image(Image.new("L", (3, 500), 7))
    assert np.array_equal(first, HASHERS[name].from_image(picture))


def test_findhash_stands_beside_phash(picture: Image.Image) -> None:
    value = findhash(picture)
    assert value == findhash(picture.copy())
    assert value - findhash(picture.rotate(180)) > 60
    assert len(str(value)) == 64
    assert finlib.findhash is findhash


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"no hasher is named 'md5'; there are find, ahash64"):
        hasher("md5")


def test_pdq_without_its_package_is_answered_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(HASHERS, "pdq", raising=False)
    with pytest.raises(ValueError, match=r"finlib\[pdq\]"):
        hasher("pdq")
