"""Turned copies: the variants of a transform against pictures that were really turned."""

import numpy as np
from PIL.Image import Transpose

from finlib.hashing.find import find_pixels
from workbook.study import turns
from workbook.study.accuracy import Hashed


def test_a_variant_is_close_to_the_hash_of_the_turned_picture(picture):
    variants = turns.variants_of([picture])
    off = turns.bits_off([picture], variants).set_index("turn")
    assert len(off) == 7
    assert (off["most"] < off["plain_hash"]).all()
    mirrored = find_pixels(np.asarray(picture.transpose(Transpose.FLIP_LEFT_RIGHT)))
    by_hand = np.bitwise_count(variants[0, 1] ^ mirrored).sum()
    assert off.loc["mirrored", "most"] == by_hand


def test_false_matches_of_all_variants_are_counted_against_those_of_the_plain_hash():
    variants = np.zeros((1, 8, 32), np.uint8)
    stored = np.zeros((3, 32), np.uint8)
    stored[1] = 255
    labels = np.array(["a", "b", "c"])
    hashed = Hashed(["x", "y", "z"], labels, np.zeros(3), {"find": stored}, 0)
    same = turns.times_false_matches(variants, np.array([0]), hashed, 0)
    assert same == 8  # each of the eight equal variants matches the third picture
    variants[:, 1:] = 15
    assert turns.times_false_matches(variants, np.array([0]), hashed, 0) == 1
