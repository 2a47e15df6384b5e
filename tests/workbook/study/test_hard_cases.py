"""The closest pairs, plain pictures and wrong labels, computed by hand on a few hashes."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.study import hard_cases


def packed_of(*ones):
    """64-bit hashes with the first `ones` bits set: distances are differences."""
    return np.packbits([[1] * count + [0] * (64 - count) for count in ones], axis=1)


PACKED = packed_of(0, 2, 10, 12, 30, 33)
LABELS = np.array(["a", "a", "b", "b", "c", "c"])


def test_closest_nonmatching_by_hand():
    frame = hard_cases.closest_nonmatching(PACKED, LABELS, 20)
    assert frame[["i", "j", "distance", "one", "other"]].to_numpy().tolist() == [
        [1, 2, 8, "a", "b"],
        [3, 4, 18, "b", "c"],
    ]
    assert len(hard_cases.closest_nonmatching(PACKED, LABELS, 20, count=1)) == 1
    assert len(hard_cases.closest_nonmatching(PACKED, LABELS, -1)) == 0
    assert list(hard_cases.closest_nonmatching(PACKED, LABELS, 1).columns) == list(frame.columns)


def test_closest_nonmatching_by_rows():
    """Bits 0 to 3 of two rows differ, which counts the cap twice; by Hamming it is eight bits."""
    first = np.full(32, 0b01010101, np.uint8)
    second = first.copy()
    second[[4, 20]] ^= 0b1111
    packed = np.stack([first, second])
    for distance, bits in (("hamming", 8), ("rows", 6)):
        frame = hard_cases.closest_nonmatching(packed, ["a", "b"], 10, distance=distance)
        assert frame["distance"].tolist() == [bits]


def test_fewer_low_detail_images_are_the_first_of_more() -> None:
    few = hard_cases.low_detail_images(each=2)
    more = hard_cases.low_detail_images(each=8)
    assert len(few) == 22
    assert len(more) == 88
    assert len({image.tobytes() for image in more.values()}) == 88
    assert all(more[name].tobytes() == image.tobytes() for name, image in few.items())


def test_low_detail_images_are_different_pictures():
    images = hard_cases.low_detail_images()
    assert len(images) == 66
    assert len({image.tobytes() for image in images.values()}) == 66
    assert {image.size for image in images.values()} == {(250, 250)}
    again = hard_cases.low_detail_images()
    assert all(again[name].tobytes() == image.tobytes() for name, image in images.items())


def test_flat_share_by_hand(tmp_path):
    pixels = np.full((160, 170), 200, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "flat.png")
    pixels[:, :85] = np.arange(85)  # a ramp in the left half, an edge that rings, a flat right half
    Image.fromarray(pixels).save(tmp_path / "half.png")
    assert hard_cases.flat_share(tmp_path / "flat.png") == 1
    assert 5 / 16 <= hard_cases.flat_share(tmp_path / "half.png") <= 8 / 16


def test_pixel_correlation_by_hand(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    captioned = noise.copy()
    captioned[:12] = 255
    pictures = {
        "one": noise,
        "captioned": captioned,
        "negative": 255 - noise,
        "flat": np.zeros_like(noise),
    }
    paths = []
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    pairs = pd.DataFrame({"i": [0, 0, 0], "j": [1, 2, 3]})
    values = hard_cases.pixel_correlation(pairs, paths)
    assert values[:2] == pytest.approx([1, -1], abs=0.01)
    assert np.isnan(values[2])


def test_merge_families_by_hand():
    merged = hard_cases.merge_families(["a", "b", "c", "d", "a"], ["a", "b"], ["b", "d"])
    assert merged[0] == merged[1] == merged[3] == merged[4] != merged[2]
    np.testing.assert_array_equal(hard_cases.merge_families(LABELS, [], []), [0, 0, 1, 1, 2, 2])


def test_mislabelled_moves_the_share_it_says():
    labels = np.repeat(["a", "b", "c"], 100)
    noisy = hard_cases.mislabelled(labels, 0.1, seed=1)
    assert (noisy != labels).sum() == 30
    assert set(noisy) == {"a", "b", "c"}
    np.testing.assert_array_equal(hard_cases.mislabelled(labels, 0), labels)


def test_the_detail_filter_refuses_at_most_the_share_allowed():
    quality = np.array([100] * 997 + [50, 60, 70])
    assert hard_cases.choose_detail_filter(quality, refused=0.002) == 70
    assert hard_cases.choose_detail_filter(quality, refused=0.0005) == 50
    assert hard_cases.choose_detail_filter(np.array([100, 100])) == 100
    assert hard_cases.choose_detail_filter(np.array([0, 100])) == 0
