"""The distances that look at positions, against definitions in the words of their source."""

import numpy as np
import pytest
from scipy.ndimage import convolve
from scipy.spatial.distance import cosine

from finlib.matching.rows import row_distances
from workbook.study import position_distances as pd_


@pytest.fixture
def hashes():
    """Two sets of hashes of 256 bits, with equal, empty and full rows among them."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (7, 32), dtype=np.uint8)
    y = rng.integers(0, 256, (9, 32), dtype=np.uint8)
    y[0] = x[0]
    x[1, :4] = 0
    y[2, 10:14] = 255
    return x, y


def all_pairs(x, y, distance):
    """A distance of single hashes, as squares of bits, for all pairs."""
    x_bits = np.unpackbits(x, axis=1).reshape(len(x), 16, 16).astype(int)
    y_bits = np.unpackbits(y, axis=1).reshape(len(y), 16, 16).astype(int)
    return np.array([[distance(one, other) for other in y_bits] for one in x_bits])


def test_the_convolution_is_scipys_sum_over_the_bits_that_differ(hashes):
    ones = np.ones((4, 4), int)
    most = convolve(np.ones((16, 16), int), ones, mode="constant").sum()

    def slow(one, other):
        return convolve(one ^ other, ones, mode="constant").sum() / most

    np.testing.assert_allclose(pd_.convolution(*hashes), all_pairs(*hashes, slow), atol=1e-6)


def test_the_convolution_weighs_bits_at_edges_less():
    weights = pd_.convolution_weights(16)
    assert weights.max() == 16
    assert weights[0, 0] < weights[0, 8] < weights[8, 8]


def test_the_hatched_distance_takes_the_closer_of_even_and_odd_lines(hashes):
    def slow(one, other):
        different = one != other
        rows = min(different[0::2].mean(), different[1::2].mean())
        columns = min(different[:, 0::2].mean(), different[:, 1::2].mean())
        return (rows + columns) / 2

    np.testing.assert_allclose(pd_.hatched(*hashes), all_pairs(*hashes, slow), atol=1e-6)


def test_the_ngram_distance_is_the_cosine_of_all_squares(hashes):
    def squares(bits):
        return np.lib.stride_tricks.sliding_window_view(bits, (2, 2)).ravel()

    def slow(one, other):
        return cosine(squares(one), squares(other))

    np.testing.assert_allclose(pd_.ngram_cosine(*hashes), all_pairs(*hashes, slow), atol=1e-6)


def test_an_empty_hash_is_as_far_as_can_be_from_all():
    empty = np.zeros((1, 32), np.uint8)
    full = np.full((1, 32), 255, np.uint8)
    assert pd_.ngram_cosine(empty, full).tolist() == [[1.0]]


def test_by_rows_with_the_cap_in_use_is_the_row_distance(hashes):
    x, y = hashes
    expected = row_distances(x[:, np.newaxis], y[np.newaxis])
    np.testing.assert_array_equal(pd_.by_rows(x, y, 3, flat_rows_count=True), expected)


def test_by_rows_of_64_bits_worked_by_hand():
    x = np.array([[0b00001111] * 7 + [0]], np.uint8)
    y = np.array([[0b00001110] * 6 + [0b11110000, 0b1]], np.uint8)
    assert pd_.by_rows(x, y, 2, flat_rows_count=False).tolist() == [[6 + 2 + 1]]
    assert pd_.by_rows(x, y, 2, flat_rows_count=True).tolist() == [[6 + 2 + 2]]
