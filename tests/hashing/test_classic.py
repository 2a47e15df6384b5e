"""The kernels of aHash, dHash and pHash give imagehash's bits, on pictures hard on exactness."""

import imagehash
import numpy as np
import pytest
import scipy.fftpack
from exactness import KINDS, MODES, in_mode, pixels
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from finlib.hashing import classic, kernels
from finlib.hashing.decoding import Picture, open_picture
from finlib.hashing.images import list_images, open_image

SIDES = st.integers(1, 600)
SEEDS = st.integers(0, 2**32 - 1)
SMALL = [(8, 8), (9, 8), (16, 16), (17, 16), (32, 32), (64, 64)]
KERNEL_OF = {
    imagehash.average_hash: classic.average_hash,
    imagehash.phash: classic.dct_hash,
    imagehash.dhash: classic.difference_hash,
}


def check(image: Image.Image, grey: np.ndarray) -> None:
    """Every kernel gives imagehash's bits, at both lengths."""
    for original, kernel in KERNEL_OF.items():
        for side in (8, 16):
            expected = np.packbits(original(image, hash_size=side).hash)
            assert np.array_equal(kernel(grey, side), expected), (original.__name__, side)


def check_case(kind: str, mode: str, rows: int, cols: int, seed: int) -> None:
    rgb = pixels(kind, rows, cols, seed)
    check(Image.fromarray(rgb), Picture(rgb).grey)
    image = in_mode(rgb, mode)
    try:
        image.convert("L")
    except ValueError:  # what Pillow cannot turn to grey, imagehash cannot hash
        with pytest.raises(ValueError, match="conversion"):
            _ = Picture(image).grey
    else:
        check(image, Picture(image).grey)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), mode=st.sampled_from(MODES), rows=SIDES, cols=SIDES, seed=SEEDS)
def test_kernels_give_the_bits_of_imagehash(kind, mode, rows, cols, seed):
    check_case(kind, mode, rows, cols, seed)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(KINDS), mode=st.sampled_from(MODES), rows=SIDES, cols=SIDES, seed=SEEDS)
def test_kernels_give_the_bits_of_imagehash_ten_thousand_times(kind, mode, rows, cols, seed):
    check_case(kind, mode, rows, cols, seed)


@settings(max_examples=100, deadline=None)
@given(rows=SIDES, cols=SIDES, size=st.sampled_from(SMALL), seed=SEEDS)
def test_the_small_picture_is_pillows(rows, cols, size, seed):
    grey = pixels("two_valued" if seed % 2 else "random", rows, cols, seed)[:, :, 0]
    expected = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS))
    assert np.array_equal(classic.shrink(grey, *classic.filters(grey, *size)), expected)


@pytest.mark.parametrize("shape", [(2999, 40), (31, 5003), (1500, 1201), (256, 257), (255, 513)])
def test_sizes_that_take_several_strips(shape):
    rgb = pixels("smooth", *shape, seed=3)
    check(Image.fromarray(rgb), Picture(rgb).grey)


def test_luma_of_every_colour_is_pillows():
    ramp = np.arange(256, dtype=np.uint8)
    for red in range(256):
        plane = np.stack(np.broadcast_arrays(np.uint8(red), ramp[:, None], ramp[None, :]), axis=2)
        assert np.array_equal(Picture(plane).grey, np.asarray(Image.fromarray(plane).convert("L")))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(250, 250), (1300, 700)])
def test_jpegs_are_greyed_as_pillow_does(mode, size, tmp_path):
    path = tmp_path / "a.jpg"
    image = Image.fromarray(pixels("smooth", 200, 300, seed=4)).resize(size)
    image.convert(mode).save(path, quality=85)
    expected = np.asarray(Image.open(path).convert("L"))
    assert np.array_equal(open_picture(path).grey, expected)


def test_the_certificate_leaves_flat_and_symmetric_pictures_to_scipy(monkeypatch):
    dct = scipy.fftpack.dct
    calls = []

    def count_and_transform(values, axis):
        calls.append(axis)
        return dct(values, axis=axis)

    monkeypatch.setattr(scipy.fftpack, "dct", count_and_transform)
    for kind, axes in (("random", []), ("smooth", []), ("flat", [0, 1]), ("ramp", [0, 1])):
        calls.clear()
        classic.dct_hash(pixels(kind, 90, 120, seed=2)[:, :, 0], 16)
        assert calls == axes, kind


def test_the_products_are_scipys_transform_within_the_bound():
    rng = np.random.default_rng(4)
    for side in (8, 16):
        for _ in range(50):
            small = rng.integers(0, 256, (4 * side, 4 * side)).astype(np.uint8)
            expected = scipy.fftpack.dct(scipy.fftpack.dct(small, axis=0), axis=1)[:side, :side]
            values = np.empty((side, side))
            kernels.dct_coefficients(small.astype(np.float64), classic.dct_basis(side), values)
            assert np.abs(values - expected).max() < 1e-7 < classic.TOLERANCE
            assert np.abs(expected).max() < classic.LARGEST_COEFFICIENT


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_shared_images(shared, step):
    files = list_images(shared)
    assert len(files) > 1700
    for file in files[::step]:
        try:
            image = open_image(file)
        except ValueError:
            continue
        check(image, open_picture(file).grey)


def test_filters_of_very_long_sides_are_not_kept(monkeypatch):
    longest = classic.LONGEST_STORED
    classic._stored_filter.cache_clear()
    for length in (longest + 1, 20 * longest):
        first, weights = classic.lanczos_filter(length, 9)
        assert len(first) == len(weights) == 9
    assert classic._stored_filter.cache_info().currsize == 0
    assert classic.lanczos_filter(longest, 9) is classic.lanczos_filter(longest, 9)
    stored = sum(weights.nbytes for _, weights in [classic.lanczos_filter(longest, 64)])
    assert 256 * stored < 60e6
