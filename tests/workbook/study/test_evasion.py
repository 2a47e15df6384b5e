"""Evasion: the sums behind the bits, noise aimed at them, the least change, and what undoes it."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from workbook.study import evasion
from workbook.study.templates import template


@pytest.fixture(scope="module")
def picture():
    return template(0)


@pytest.mark.parametrize("hasher", evasion.OVERSHOOT)
def test_the_sums_give_the_bits_of_the_hash(picture, hasher):
    wide = picture.resize((300, 210))
    grey = evasion.grey_of(np.asarray(wide, dtype=np.float64))
    sums = evasion.sums_of(hasher, *grey.shape)
    expected = np.unpackbits(evasion.hash_picture(wide)[hasher])
    differ = (evasion.margins(sums, grey) > 0) != expected
    # The hashes round grey levels and the small picture, so a sum next to its number may differ.
    assert differ.sum() <= 6


@pytest.mark.parametrize("method", ["find", "dhash256", "dhash256-rows", "find+dhash256-rows"])
def test_aimed_noise_leaves_the_radius_and_is_small(picture, method):
    noise = evasion.aim_noise(picture, method, 20)
    original = evasion.hash_picture(picture)
    copy = evasion.hash_picture(noise.picture)
    assert noise.outside
    assert evasion.distance(method, original, copy) > 20
    change = np.asarray(noise.picture, dtype=float) - np.asarray(picture, dtype=float)
    assert noise.largest == np.abs(change).max()
    assert noise.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(change**2)))
    assert noise.psnr > 25
    unaimed = evasion.random_noise(picture, noise.psnr, np.random.default_rng(1))
    of_unaimed = evasion.distance(method, original, evasion.hash_picture(unaimed))
    assert of_unaimed < evasion.distance(method, original, copy)


def test_by_rows_no_more_bits_of_a_row_are_flipped_than_count(picture):
    grey = evasion.grey_of(np.asarray(picture, dtype=np.float64))
    sums = [evasion.sums_of("dhash256", *grey.shape)]
    chosen = evasion.choose_bits(sums, grey, "dhash256-rows", 48)
    assert np.bincount(chosen // 16, minlength=16).tolist() == [3] * 16


def test_no_noise_has_an_infinite_ratio():
    assert evasion.psnr_of(np.zeros((2, 2, 3))) == np.inf
    assert evasion.psnr_of(np.full((2, 2, 3), 255.0)) == 0


def test_the_least_step_is_the_first_that_a_method_misses(picture):
    change = evasion.GRADUAL["crop of one side"]
    radii = {"find": 60.0, "dhash256": 256.0}
    least = evasion.least_steps(picture, change, radii)
    assert np.isnan(least["dhash256"])
    original = evasion.hash_picture(picture)
    for strength in change.steps:
        changed = evasion.hash_picture(change.apply(picture, strength))
        is_missed = evasion.distance("find", original, changed) > 60
        assert is_missed == (strength == least["find"])
        if is_missed:
            break


def test_a_frame_is_trimmed_and_flat_pictures_are_not(picture):
    framed = ImageOps.expand(picture, 21, "black")
    assert evasion.trim_border(framed).size == evasion.trim_border(picture).size
    flat = Image.new("RGB", (40, 30), "white")
    assert evasion.trim_border(flat).size == (40, 30)


def test_a_picture_is_stored_whole_and_in_parts(picture):
    crops = evasion.stored_crops(picture)
    assert crops[0].size == picture.size
    assert [crop.size for crop in crops[1:3]] == [(226, 226), (200, 200)]
    assert sorted(crop.size for crop in crops[3:]) == [(225, 250)] * 2 + [(250, 225)] * 2
