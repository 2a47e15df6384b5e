"""Rival hashes and distances: each against the package that defines it."""

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.report.record import HOME
from workbook.study import rivals
from workbook.study.any_distance import to_levels
from workbook.study.templates import template


@pytest.fixture(scope="module")
def pictures():
    return [template(family).resize((120, 120)) for family in range(4)]


def test_segments_differ_as_imagehash_says(pictures):
    originals = [imagehash.crop_resistant_hash(picture) for picture in pictures]
    packed = rivals.compute_all("crop-resistant", pictures)
    differences = rivals.segments(packed, packed)
    for i, one in enumerate(originals):
        for j, other in enumerate(originals):
            assert differences[i, j] == pytest.approx(min(one - other, other - one))


def test_every_installed_hash_finds_a_picture_equal_to_itself(pictures):
    table = rivals.hashes()
    for rival in rivals.rivals():
        if not rivals.is_installed(table[rival.stored].package):
            continue
        features = rivals.compute_all(rival.stored, pictures)
        between = rival.between(features, features)
        assert between.shape == (4, 4)
        assert between.max() <= rival.largest * (1 + 1e-9), rival.name
        nearest = between.argmin(axis=1)
        own = between[np.arange(4), np.arange(4)]
        assert (between[np.arange(4), nearest] >= own - 1e-6).all(), rival.name


def test_radial_hashes_match_over_turns_as_opencv_says():
    values = np.random.default_rng(2).integers(0, 256, (3, 40), dtype=np.uint8)
    turned = np.roll(values, 7, axis=1)
    assert rivals.radial_variance(values, turned).diagonal() == pytest.approx(0, abs=1e-9)
    constant = np.full((1, 40), 9, np.uint8)
    assert rivals.radial_variance(constant, values).tolist() == [[1.0] * 3]


def test_opencv_compares_alike(pictures):
    cv2 = pytest.importorskip("cv2")
    radial = rivals.compute_all("radial-variance", pictures)
    colour = rivals.compute_all("colour-moment", pictures)
    compare_radial = cv2.img_hash.RadialVarianceHash_create().compare
    compare_colour = cv2.img_hash.ColorMomentHash_create().compare
    for i in range(4):
        for j in range(4):
            correlation = compare_radial(radial[i : i + 1], radial[j : j + 1])
            assert rivals.radial_variance(radial, radial)[i, j] == pytest.approx(
                1 - correlation, abs=1e-6
            )
            apart = compare_colour(colour[i : i + 1], colour[j : j + 1])
            assert 1e4 * rivals.colour_moments(colour, colour)[i, j] == pytest.approx(apart)


def test_what_others_published_has_a_source_and_a_task():
    published = rivals.published()
    assert published["source"].str.len().min() > 10
    tasks = published.groupby("task")["method"].apply(set)
    compared = [methods for methods in tasks if {"dHash 64", "CNN of imagededup"} <= methods]
    assert len(compared) == 3


def test_nothing_of_a_published_table_is_left_out():
    published = rivals.published()
    of_imagededup = published[published["source"].str.contains("imagededup")]
    assert len(of_imagededup) == 3 * 5 * 3 * 3  # sets, methods, thresholds, measures
    of_thorn = published[published["source"].str.contains("thorn")]
    assert len(of_thorn) == 12 * 8  # changes and all of them together, hashes


def test_the_published_table_is_the_one_in_figures():
    table = pd.read_csv(HOME / "figures/rivals_published.csv")
    pd.testing.assert_frame_equal(table, rivals.published())


def test_a_picture_without_segments_has_one():
    flat = Image.new("RGB", (90, 90), "white")
    assert rivals.crop_resistant(flat)[0] >= 1


def test_distances_of_real_numbers_are_told_apart_far_below_the_largest():
    colour = next(one for one in rivals.rivals() if one.name == "colour-moment")
    features = np.zeros((4, 42))
    features[1, 0] = 0.0010
    features[2, 0] = 0.0011
    features[3, 0] = 0.5
    levels = to_levels(colour.between(features[:1], features), colour.largest)
    assert levels[0, 0] == 0
    assert np.all(np.diff(levels[0]) > 0)
