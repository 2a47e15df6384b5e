"""The reference gives the golden hashes, and each of its stages what arithmetic by hand gives."""

import math
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import imagehash
import numpy as np
import pytest
from exactness import GOLDEN, golden_rows
from PIL import Image

from finlib.hashing import reference


def hash_or_error(path: Path, shipped: bool) -> str:
    """The hash of a file, or the name of the exception raised."""
    try:
        return str(reference.find_hash(path, shipped=shipped))
    except Exception as error:
        return type(error).__name__


def mismatch(folder: Path, row: dict[str, str]) -> str:
    """What differs from a row of golden hashes; empty where nothing does."""
    path = folder / row["file"]
    differences = []
    for column in ("as_shipped", "corrected"):
        result = hash_or_error(path, shipped=column == "as_shipped")
        if result != row[column]:
            differences.append(f"{path} {column}: {result} instead of {row[column]}")
    return "; ".join(differences)


@pytest.mark.parametrize(
    "row", golden_rows(GOLDEN / "find_hashes.csv"), ids=lambda row: row["file"]
)
def test_reproduces_the_golden_set(row):
    assert not mismatch(GOLDEN, row)


def test_reproduces_small_images_hashed_by_fins_own_code(shared):
    rows = golden_rows(shared / "golden" / "find_hashes.csv")
    small = [row for row in rows if int(row["width"]) * int(row["height"]) <= 70 * 70]
    assert len(small) >= 6
    assert [mismatch(shared, row) for row in small] == [""] * len(small)


@pytest.mark.slow
def test_reproduces_every_image_hashed_by_fins_own_code(shared):
    rows = golden_rows(shared / "golden" / "find_hashes.csv")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        mismatches = list(pool.map(mismatch, [shared] * len(rows), rows, chunksize=8))
    assert mismatches == [""] * 905


@pytest.mark.parametrize(
    ("length", "size"), [(1, 1), (64, 1), (65, 2), (128, 2), (250, 4), (512, 8)]
)
def test_window(length, size):
    assert reference.window(length) == size


def test_luma_weighs_left_to_right():
    assert reference.luma([[(255, 255, 255), (1, 2, 3)]]) == [
        0.299 * 255 + 0.587 * 255 + 0.114 * 255,
        0.299 * 1 + 0.587 * 2 + 0.114 * 3,
    ]


def test_box_mean_clips_at_the_borders():
    # Half window 1: rows (or columns) i - 1 and i; at the border only the first.
    assert reference.box_mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], rows=2, cols=3) == [
        1.0,
        1.5,
        2.5,
        2.5,
        3.0,
        4.0,
    ]


def test_shipped_box_mean_mixes_up_the_axes():
    # With stride 2 on three columns, (i, j) is read and written at place 2 i + j. So the second row
    # overwrites the last value of the first.
    assert reference.box_mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], rows=2, cols=3, shipped=True) == [
        1.0,
        1.5,
        2.0,
        2.5,
        3.5,
        0.0,
    ]


def test_decimate_takes_the_middle_of_each_cell():
    small = reference.decimate([float(k) for k in range(128 * 64)], rows=128, cols=64)
    assert small[0][:3] == [64.0, 65.0, 66.0]  # row floor(0.5 * 128 / 64) = 1
    assert small[63][63] == 127 * 64 + 63


def test_dct_of_one_cosine_has_one_coefficient():
    basis = reference.dct_matrix()
    small = [[basis[2][k] * basis[4][j] for j in range(64)] for k in range(64)]
    values = reference.dct(small)
    assert values[2][4] == pytest.approx(32 * 32)
    assert sum(abs(value) for row in values for value in row) == pytest.approx(32 * 32)
    assert basis[0][0] == pytest.approx(math.cos(math.pi / 128))


def exact_cosine(angle: float) -> Fraction:
    """The cosine of an angle below 51 to 120 binary places, by its series in whole numbers."""
    one = 1 << 200
    square = int(Fraction(angle) ** 2 * one)
    total = term = one
    for k in range(2, 300, 2):
        term = -term * square // (k * (k - 1) * one)
        total += term
    return Fraction(total, one)


def test_the_pinned_cosines_are_the_correctly_rounded_ones():
    basis = reference.dct_matrix()
    assert [len(row) for row in basis] == [64] * 16
    for i in range(16):
        for j in range(64):
            angle = (3.141592653589793 / 2 / 64) * (i + 1) * (2 * j + 1)
            assert basis[i][j] == float(exact_cosine(angle)), (i, j)


def test_lower_median_and_bits():
    values = [[float(16 * i + j) for j in range(16)] for i in range(16)]
    assert reference.lower_median(values) == 127
    bits = reference.bits(values, 127.0)
    assert bits == [[True] * 16] * 8 + [[False] * 16] * 8


def test_hash_forms_agree(picture):
    by_image = reference.find_hash(picture)
    packed = reference.find_pixels(np.asarray(picture))
    assert isinstance(by_image, imagehash.ImageHash)
    assert packed.dtype == np.uint8
    assert packed.tobytes().hex() == str(by_image)
    assert (packed == reference.find_pixels(np.asarray(picture).tolist())).all()
    assert by_image.hash.sum() == 128


def test_defects_show_only_off_the_square(picture):
    square = picture.resize((80, 80))
    landscape = picture
    portrait = picture.transpose(Image.Transpose.ROTATE_90)
    assert reference.find_hash(square) == reference.find_hash(square, shipped=True)
    assert reference.find_hash(landscape) != reference.find_hash(landscape, shipped=True)
    with pytest.raises(IndexError):
        reference.find_hash(portrait, shipped=True)
