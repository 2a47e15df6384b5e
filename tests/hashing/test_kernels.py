"""The kernels that several hashes share, each against NumPy or against arithmetic by hand."""

import numpy as np
import pytest

from finlib.hashing import kernels


def test_dct_coefficients_are_two_products() -> None:
    rng = np.random.default_rng(1)
    means = rng.normal(size=(64, 64))
    basis = rng.normal(size=(16, 64))
    values = np.empty((16, 16))
    kernels.dct_coefficients(means, basis, values)
    np.testing.assert_allclose(values, basis @ means @ basis.T, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("count", [2, 64, 256])
def test_the_lower_median_is_the_smaller_of_the_two_in_the_middle(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(50):
        values = rng.normal(size=count) * 1000
        ordered = np.sort(values)
        gap = ordered[count // 2] - ordered[count // 2 - 1]
        median, certain = kernels.lower_median(values, gap / 2, 1e6)
        assert median == ordered[count // 2 - 1]
        assert certain


def test_a_gap_within_the_tolerance_is_not_certain() -> None:
    values = np.array([1.0, 2.0, 2.5, 9.0])
    assert kernels.lower_median(values, 0.4, 10.0) == (2.0, True)
    _, certain = kernels.lower_median(values, 0.5, 10.0)
    assert not certain
    _, certain = kernels.lower_median(np.full(256, 3.0), 1e-6, 10.0)
    assert not certain


def test_quality_by_hand() -> None:
    assert kernels.quality(np.full((64, 64), 128.0)) == 0
    # One step of 51 / 255 in each of 64 rows: 64 * 20 whole hundredths, over 90, cut to 14.
    means = np.zeros((64, 64))
    means[:, 32:] = 51.0
    assert kernels.quality(means) == 14
    assert kernels.quality(np.ascontiguousarray(means.T)) == 14
    checkerboard = np.indices((64, 64)).sum(axis=0) % 2 * 255.0
    assert kernels.quality(checkerboard) == 100


@pytest.mark.parametrize("shape", [(8,), (64,), (8, 8), (16, 16)])
def test_pack_bits_is_numpys(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, shape).astype(bool)
    assert np.array_equal(kernels.pack_bits(bits), np.packbits(bits))
    backwards = bits[::-1]
    assert np.array_equal(kernels.pack_bits(backwards), np.packbits(backwards))
