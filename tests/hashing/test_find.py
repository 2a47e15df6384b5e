"""FINd's kernels give the reference's bits, on images made to tell the two apart."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from exactness import (
    GOLDEN,
    KINDS,
    MODES,
    check_every_version,
    golden_rows,
    in_mode,
    oracle,
    pixels,
)
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from finlib.hashing import find, images, kernels, reference
from finlib.hashing.hashers import HASHERS
from workbook.study import optimisation, vectorised

SIDES = st.integers(1, 600)


@pytest.fixture
def quick_reference(monkeypatch):
    """Lets the NumPy versions fall back on a kernel where the pure Python would take seconds."""
    monkeypatch.setattr(reference, "find_pixels", oracle)


@pytest.mark.parametrize(
    "row", golden_rows(GOLDEN / "find_hashes.csv"), ids=lambda row: row["file"]
)
def test_golden_set(row):
    assert HASHERS["find"].from_file(GOLDEN / row["file"]).tobytes().hex() == row["corrected"]


def test_every_image_hashed_by_fins_own_code(shared):
    for row in golden_rows(shared / "golden" / "find_hashes.csv"):
        packed = HASHERS["find"].from_file(shared / row["file"])
        assert packed.tobytes().hex() == row["corrected"], row["file"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 70), (64, 64), (63, 65), (97, 60)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_the_kernel_in_the_references_order_repeats_it_exactly(kind, shape):
    rgb = pixels(kind, *shape, seed=shape[0])
    buffer = reference.luma(rgb.tolist())
    values = reference.dct(reference.decimate(reference.box_mean(buffer, *shape), *shape))
    assert find.reference_coefficients(rgb).tolist() == values
    assert (find.find_pixels(rgb) == reference.find_pixels(rgb)).all()


def test_means_are_the_stages_of_numpy():
    for shape in [(20, 30), (64, 64), (130, 250), (512, 320), (600, 511)]:
        rgb = pixels("random", *shape, seed=8)
        result = find.compute(rgb)
        assert result.certain
        np.testing.assert_allclose(
            result.means, vectorised.decimate(vectorised.box_mean(vectorised.luma(rgb))), rtol=1e-14
        )


@pytest.mark.usefixtures("quick_reference")
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(KINDS), rows=SIDES, cols=SIDES, seed=st.integers(0, 2**32 - 1))
def test_every_version_gives_the_same_bits(kind, rows, cols, seed):
    check_every_version(pixels(kind, rows, cols, seed))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_reference")
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(KINDS), rows=SIDES, cols=SIDES, seed=st.integers(0, 2**32 - 1))
def test_every_version_gives_the_same_bits_ten_thousand_times(kind, rows, cols, seed):
    check_every_version(pixels(kind, rows, cols, seed))


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 130),
    cols=st.integers(1, 130),
    seed=st.integers(0, 2**32 - 1),
)
def test_pure_python_gives_the_same_bits_a_thousand_times(kind, rows, cols, seed):
    rgb = pixels(kind, rows, cols, seed)
    assert (find.find_pixels(rgb) == reference.find_pixels(rgb)).all()


@pytest.mark.parametrize("mode", MODES)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=SIDES, cols=SIDES, seed=st.integers(0, 1000))
def test_images_of_every_mode(mode, rows, cols, seed):
    image = in_mode(pixels("smooth", rows, cols, seed), mode)
    packed = find.find_pixels(images.load_rgb(image))
    small = image.copy()
    small.thumbnail((512, 512))
    expected = oracle(np.array(small.convert("RGB")))
    assert np.array_equal(packed, expected)


@pytest.mark.parametrize("shape", [(1100, 40), (30, 1500), (1000, 1000)])
def test_sides_whose_sums_might_not_fit_take_the_references_order(shape):
    rgb = pixels("smooth", *shape, seed=2) | 0xC0
    assert (find.find_pixels(rgb) == oracle(rgb)).all()


def test_the_largest_window_of_16_bits_is_exact():
    rgb = np.full((960, 960, 3), 255, np.uint8)
    rgb[::7, ::5] = 254
    result = find.compute(rgb)
    assert result.certain
    np.testing.assert_allclose(
        result.means, vectorised.decimate(vectorised.box_mean(vectorised.luma(rgb))), rtol=1e-14
    )


def test_any_layout_of_the_same_pixels():
    rgb = pixels("random", 60, 50, seed=1)
    expected = find.find_pixels(rgb)
    frozen = rgb.copy()
    frozen.flags.writeable = False
    every_other_column = np.repeat(rgb, 2, axis=1)[:, ::2]
    from_lists = np.array(rgb.tolist(), np.uint8)
    for same_pixels in (frozen, np.asfortranarray(rgb), every_other_column, from_lists):
        assert np.array_equal(find.find_pixels(same_pixels), expected)


def test_the_certificate_holds_for_real_pictures_and_not_for_flat_ones(picture):
    gap, needed, certain = optimisation.certified(np.asarray(picture))
    assert certain
    assert gap > needed
    gap, needed, certain = optimisation.certified(pixels("flat", 250, 250, seed=1))
    assert not certain
    assert gap < 1e-9 < needed < 1e-6


def test_quality_is_that_of_the_means():
    _, quality_of_flat = find.find_with_quality(pixels("flat", 64, 64, seed=0))
    assert quality_of_flat == 0
    noise = pixels("two_valued", 64, 64, seed=0)
    packed, quality_of_noise = find.find_with_quality(noise)
    assert quality_of_noise > 0
    assert quality_of_noise == kernels.quality(find.compute(noise).means)
    assert np.array_equal(packed, find.find_pixels(noise))


def test_threads_do_not_disturb_each_other(tmp_path):
    paths = []
    for number in range(8):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(pixels("smooth", 200 + number, 220, seed=number)).save(path)
        paths.append(path)
    hash_file = HASHERS["find"].from_file
    expected = [hash_file(path) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(hash_file, paths * 20))
    assert np.array_equal(hashes, expected * 20)


def cache_hits_and_misses(cache: Path) -> tuple[str, str]:
    """What a new process counts when it calls one kernel, with compiled code cached in a folder."""
    code = """
import numpy
from finlib.hashing.kernels import quality
quality(numpy.zeros((64, 64)))
print(sum(quality.stats.cache_hits.values()), sum(quality.stats.cache_misses.values()))
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    hits, misses = process.stdout.split()
    return hits, misses


def test_a_second_process_loads_what_the_first_compiled(tmp_path):
    assert cache_hits_and_misses(tmp_path) == ("0", "1")
    assert cache_hits_and_misses(tmp_path) == ("1", "0")
    assert list(Path(tmp_path).rglob("*.nbi"))
