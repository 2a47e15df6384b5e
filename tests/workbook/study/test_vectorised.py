"""FINd in NumPy: its stages equal the reference's, the certificate's bound holds, batches agree."""

import array_api_strict
import numpy as np
import pytest
from exactness import KINDS, pixels
from PIL import Image

from finlib.hashing import certificate, decoding, find, reference
from workbook.study import vectorised

SHAPES = [(1, 1), (2, 5), (64, 64), (65, 63), (90, 130)]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def rgb(request):
    return pixels("random", *request.param, seed=4)


def test_stages_follow_the_reference(rgb):
    rows, cols = rgb.shape[:2]
    expected = reference.luma(rgb.tolist())
    thousandths = vectorised.luma(rgb)
    np.testing.assert_allclose(thousandths.ravel() / 1000, expected, rtol=1e-15)
    means = reference.box_mean(expected, rows, cols)
    np.testing.assert_allclose(vectorised.box_mean(thousandths).ravel(), means, rtol=1e-13)
    small = reference.decimate(means, rows, cols)
    np.testing.assert_allclose(
        vectorised.decimate(np.array(means).reshape(rows, cols)), small, rtol=0
    )
    values = reference.dct(small)
    bound = certificate.rounding_bound(rows, cols, vectorised.STAGES_ROUNDINGS)
    np.testing.assert_allclose(vectorised.dct(np.array(small)), values, rtol=0, atol=bound)
    assert vectorised.lower_median(np.array(values)) == reference.lower_median(values)
    median = reference.lower_median(values)
    assert vectorised.bits(np.array(values), median).tolist() == reference.bits(values, median)


def test_products_are_within_the_bound_of_the_reference(rgb):
    rows, cols = rgb.shape[:2]
    luma = reference.luma(rgb.tolist())
    values = reference.dct(reference.decimate(reference.box_mean(luma, rows, cols), rows, cols))
    bound = certificate.rounding_bound(rows, cols, 131 + rows + cols)
    assert np.abs(vectorised.coefficients(rgb) - values).max() <= bound


def test_bound_holds_for_the_basis_and_stays_far_under_real_gaps():
    assert np.abs(certificate.BASIS).sum(axis=1).max() < certificate.ROW_SUM
    assert 2 * certificate.rounding_bound(512, 512, 131 + 1024) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_hashes_are_the_references(kind):
    rgb = pixels(kind, 40, 33, seed=3)
    expected = reference.find_pixels(rgb)
    assert (vectorised.find_pixels(rgb) == expected).all()
    assert (vectorised.find_stages(rgb) == expected).all()


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=lambda xp: xp.__name__)
def test_batches_are_the_single_images(xp):
    images = np.stack([pixels(kind, 30, 44, seed=5) for kind in KINDS])
    expected = np.stack([reference.find_pixels(rgb) for rgb in images])
    assert (np.asarray(vectorised.find_batch(xp.asarray(images))) == expected).all()
    assert (np.asarray(vectorised.find_batch(xp.asarray(images), xp=xp)) == expected).all()


def test_batches_of_torch_tensors():
    torch = pytest.importorskip("torch")
    xp = pytest.importorskip("array_api_compat.torch")
    images = np.stack([pixels(kind, 30, 44, seed=5) for kind in KINDS])
    expected = np.stack([reference.find_pixels(rgb) for rgb in images])
    hashes = vectorised.find_batch(torch.asarray(images), xp=xp)
    assert (hashes.dtype, hashes.device.type) == (torch.uint8, "cpu")
    assert (hashes.numpy() == expected).all()


def test_empty_batch():
    assert vectorised.find_batch(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 32)


def test_the_reference_decides_only_below_the_bound(monkeypatch):
    asked = []

    def find_pixels(rgb):
        asked.append(rgb.shape)
        return np.zeros(32, np.uint8)

    monkeypatch.setattr(reference, "find_pixels", find_pixels)
    random = pixels("random", 50, 50, seed=1)
    flat = pixels("flat", 50, 50, seed=1)
    vectorised.find_pixels(random)
    vectorised.find_stages(random)
    vectorised.find_batch(np.stack([random, random]))
    assert asked == []
    vectorised.find_batch(np.stack([random, flat]))
    vectorised.find_pixels(flat)
    assert asked == [(50, 50, 3)] * 2


def test_integral_image_is_exact_in_integers_only():
    rng = np.random.default_rng(0)
    thousandths = vectorised.luma(rng.integers(0, 256, (200, 150, 3), dtype=np.uint8))
    in_integers = vectorised.integral(thousandths)
    assert in_integers.dtype == np.int64
    assert in_integers[-1, -1] == thousandths.sum(dtype=np.int64)
    in_floats = vectorised.integral(thousandths / 1000)
    worst = np.abs(in_floats - in_integers / 1000).max()
    assert 0 < worst < 1e-6


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (np.zeros((4, 4, 3)), TypeError),
        (np.zeros((4, 4), np.uint8), ValueError),
        (np.zeros((4, 4, 4), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), ValueError),
    ],
)
def test_other_arrays_are_refused(given, error):
    with pytest.raises(error, match="expected"):
        vectorised.find_pixels(given)
    with pytest.raises(error, match="expected"):
        vectorised.find_batch(given[None])


def test_eight_turns_come_from_one_transform(picture):
    """The first is exact, and transposing is exact except for ties.

    Mirroring costs a few bits, because FINd's windows are half-open.
    """
    turn = Image.Transpose
    turns = [turn.FLIP_LEFT_RIGHT, turn.FLIP_TOP_BOTTOM, turn.ROTATE_180]
    turns += [turn.TRANSPOSE, turn.ROTATE_90, turn.ROTATE_270, turn.TRANSVERSE]
    large = picture.resize((250, 250))
    hashes = find.find_variants(np.asarray(large))
    assert hashes.shape == (len(decoding.VARIANTS), 32)
    np.testing.assert_array_equal(hashes[0], vectorised.find_pixels(np.asarray(large)))
    for place, way in enumerate(turns, 1):
        expected = vectorised.find_pixels(np.asarray(large.transpose(way)))
        distance = np.bitwise_count(hashes[place] ^ expected).sum()
        most = 2 if way == turn.TRANSPOSE else 40
        assert distance <= most, decoding.VARIANTS[place]
        others = np.delete(hashes, place, axis=0)
        assert distance < np.bitwise_count(others ^ expected).sum(axis=1).min()
