"""Every transform is repeatable, does what its name says, and changes more at more strength."""

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image

from workbook.study.transforms import TRANSFORMS, Transform, draw_caption

IDENTITY = {
    "resize": 1,
    "crop": 0,
    "border": 0,
    "rotation": 0,
    "watermark": 0,
    "blur": 0,
    "noise": 0,
    "brightness": 1,
    "contrast": 1,
    "gamma": 1,
    "grey": 0,
}
EVERY = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=list(TRANSFORMS))


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A smooth colour picture of 250 x 200 in the middle of the range, far from saturation."""
    small = Image.fromarray(default_rng(3).integers(40, 216, (20, 25, 3), dtype=np.uint8))
    return small.resize((250, 200), Image.Resampling.BICUBIC)


def _change(transform: Transform, image: Image.Image, strength: float, seed: int) -> float:
    """Root mean square difference after scaling to the image's own size."""
    changed = transform.apply(image, strength, default_rng(seed)).resize(image.size)
    return float(np.sqrt(np.mean((np.asarray(changed, float) - np.asarray(image, float)) ** 2)))


def test_there_are_the_fourteen_asked_for_at_five_strengths() -> None:
    asked = (
        "jpeg resize crop border rotation flip caption watermark blur noise "
        "brightness contrast gamma grey"
    )
    assert list(TRANSFORMS) == asked.split()
    for name, transform in TRANSFORMS.items():
        assert transform.name == name
        assert len(set(transform.strengths)) == 5
        steps = np.diff(transform.strengths)
        assert (steps > 0).all() or (steps < 0).all()
        assert transform.label
        assert transform.unit


@EVERY
def test_a_transform_gives_a_new_rgb_image_and_repeats_itself(
    transform: Transform, image: Image.Image
) -> None:
    before = image.tobytes()
    for strength in transform.strengths:
        first, again = (transform.apply(image, strength, default_rng(9)) for _ in range(2))
        assert first.mode == "RGB"
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != before
        assert first is not image
    assert image.tobytes() == before


@pytest.mark.parametrize(
    "name", [name for name in TRANSFORMS if name != "flip"]
)  # flips are kinds, not strengths
def test_a_larger_strength_changes_more(name: str, image: Image.Image) -> None:
    transform = TRANSFORMS[name]
    changes = [
        np.mean([_change(transform, image, strength, seed) for seed in range(12)])
        for strength in transform.strengths
    ]
    assert changes == sorted(changes)
    assert changes[-1] > 1.3 * changes[0] > 0


@pytest.mark.parametrize(("name", "strength"), IDENTITY.items())
def test_strength_nought_is_the_image_itself(
    name: str, strength: float, image: Image.Image
) -> None:
    assert TRANSFORMS[name].apply(image, strength, default_rng(1)).tobytes() == image.tobytes()


@EVERY
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (512, 384)])
def test_every_size_is_taken(transform: Transform, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (90, 120, 30))
    for strength in transform.strengths:
        assert transform.apply(image, strength, default_rng(2)).mode == "RGB"


def test_sizes_are_those_that_the_strengths_name(image: Image.Image) -> None:
    apply = {name: transform.apply for name, transform in TRANSFORMS.items()}
    rng = default_rng(4)
    assert apply["resize"](image, 0.5, rng).size == (125, 100)
    assert apply["crop"](image, 0.2, rng).size == (200, 160)
    assert apply["border"](image, 0.1, rng).size == (290, 240)
    for name in (
        "jpeg",
        "rotation",
        "caption",
        "watermark",
        "blur",
        "noise",
        "brightness",
        "contrast",
        "gamma",
        "grey",
    ):
        assert apply[name](image, TRANSFORMS[name].strengths[2], rng).size == image.size


def test_each_does_what_its_name_says(image: Image.Image) -> None:
    pixels = np.asarray(image)

    def changed(name: str, strength: float, seed: int = 0) -> np.ndarray:
        return np.asarray(TRANSFORMS[name].apply(image, strength, default_rng(seed)))

    mirrored, upset, turned, quarter, transposed = (changed("flip", kind) for kind in range(1, 6))
    np.testing.assert_array_equal(mirrored, pixels[:, ::-1])
    np.testing.assert_array_equal(upset, pixels[::-1])
    np.testing.assert_array_equal(turned, pixels[::-1, ::-1])
    np.testing.assert_array_equal(quarter, np.rot90(pixels))
    np.testing.assert_array_equal(transposed, pixels.transpose(1, 0, 2))

    crop = changed("crop", 0.5, seed=6)
    assert any(
        np.array_equal(crop, pixels[y : y + 100, x : x + 125])
        for y in range(101)
        for x in range(126)
    )
    frame = changed("border", 0.1)
    np.testing.assert_array_equal(frame[20:-20, 20:-20], pixels)
    assert set(np.unique(frame[:20])) <= {0, 255}
    grey = changed("grey", 1.0)
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    noise = changed("noise", 10).astype(float) - pixels
    assert 9 < noise.std() < 11
    assert {changed("brightness", 2, seed).mean() > pixels.mean() for seed in range(8)} == {
        True,
        False,
    }
    assert {changed("contrast", 2, seed).std() > pixels.std() for seed in range(8)} == {True, False}


def test_captions_are_white_in_black_at_top_and_bottom(image: Image.Image) -> None:
    grey = Image.new("L", (250, 250), 128)
    both = np.asarray(
        draw_caption(grey, "one does not simply", "wrap a line that is much too long for one row")
    )
    assert both.shape == (250, 250, 3)
    assert (both[100:160] == 128).all()
    for rows in (both[:60], both[-60:]):
        assert (rows == 255).any()
        assert (rows == 0).any()
    top = np.asarray(draw_caption(grey, "one does not simply"))
    assert (top[60:] == 128).all()
    assert (np.asarray(draw_caption(grey)) == 128).all()
    inked = [
        (np.asarray(draw_caption(grey, "some words", size=size)) != 128).sum()
        for size in (12, 20, 30)
    ]
    assert inked == sorted(inked)
    assert draw_caption(grey, "lower").tobytes() == draw_caption(grey, "LOWER").tobytes()
