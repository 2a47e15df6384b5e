"""Grounds: sectors around the middle in the colours given, or one colour."""

import numpy as np

from workbook.study.grounds import draw_ground, draw_sectors


def test_sectors_take_the_colours_in_turn() -> None:
    pixels = np.asarray(draw_sectors(100, 4, [(255, 0, 0), (0, 0, 255)]))
    assert pixels.shape == (100, 100, 3)
    right, below, left, above = pixels[50, 90], pixels[90, 50], pixels[50, 10], pixels[10, 50]
    assert right.tolist() == left.tolist() == [255, 0, 0]
    assert below.tolist() == above.tolist() == [0, 0, 255]


def test_a_ground_is_repeatable_and_some_are_flat() -> None:
    drawn = [np.asarray(draw_ground(np.random.default_rng(seed), 50)) for seed in range(60)]
    again = np.asarray(draw_ground(np.random.default_rng(7), 50))
    np.testing.assert_array_equal(again, drawn[7])
    flat = [pixels for pixels in drawn if pixels.std(axis=(0, 1)).max() == 0]
    assert 8 <= len(flat) <= 28
