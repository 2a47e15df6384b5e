"""Template pictures: repeatable, all different, with the statistics of photographs."""

import numpy as np
import pytest
from PIL import Image

from workbook.study import templates
from workbook.study.templates import CROPS, PHOTO_EVERY, template


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [np.asarray(template(family)) for family in range(45)]


def test_a_template_is_a_square_colour_picture_and_repeatable(pictures: list[np.ndarray]) -> None:
    assert all(pixels.shape == (250, 250, 3) for pixels in pictures)
    for family in (0, 1, 9, 44):
        np.testing.assert_array_equal(np.asarray(template(family)), pictures[family])
    assert not np.array_equal(np.asarray(template(1, seed=7)), pictures[1])


def test_no_two_templates_are_alike(pictures: list[np.ndarray]) -> None:
    small = [
        np.asarray(Image.fromarray(pixels).convert("L").resize((16, 16)), float).ravel()
        for pixels in pictures
    ]
    likeness = np.corrcoef(small) - np.eye(len(small))
    assert likeness.max() < 0.9


def test_crops_of_one_photograph_hardly_overlap() -> None:
    """A detail may lie within the whole: at another scale it is another picture."""

    def shared(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
        sides = [
            min(a + first[2], b + second[2]) - max(a, b)
            for a, b in zip(first[:2], second[:2], strict=True)
        ]
        both = max(0, sides[0]) * max(0, sides[1])
        return both / (first[2] ** 2 + second[2] ** 2 - both)

    for _, name, _ in templates.PHOTOS:
        crops = [(crop.left, crop.top, crop.side) for crop in CROPS if crop.name == name]
        for place, crop in enumerate(crops):
            for other in crops[:place]:
                assert shared(crop, other) < 0.35, name


def test_every_crop_lies_within_its_photograph_and_is_used_once() -> None:
    for crop in CROPS:
        width, height = templates.photograph(crop.package, crop.name).size
        unit = min(width, height) / 1000
        assert (crop.left + crop.side) * unit <= width + 1e-9, crop.name
        assert (crop.top + crop.side) * unit <= height + 1e-9, crop.name
    used = {photo * templates.PHOTO_STEP % len(CROPS) for photo in range(len(CROPS))}
    assert len(used) == len(CROPS)


def test_generated_pictures_have_natural_spectra(pictures: list[np.ndarray]) -> None:
    """Amplitude falls about as one over frequency.

    Slopes of photographs are -0.8 to -1.5 (Tolhurst et al., 1992).
    """
    slopes = []
    for family, pixels in enumerate(pictures):
        if family % PHOTO_EVERY:
            luma = pixels @ [0.299, 0.587, 0.114]
            window = np.hanning(250)[:, None] * np.hanning(250)
            amplitude = np.abs(np.fft.fft2((luma - luma.mean()) * window))[:125, :125]
            frequency = np.hypot(*np.mgrid[:125, :125])
            rings = [
                amplitude[(frequency >= low) & (frequency < 1.3 * low)].mean()
                for low in 4 * 1.3 ** np.arange(10)
            ]
            slopes.append(np.polyfit(np.arange(10) * np.log(1.3), np.log(rings), 1)[0])
    assert -1.6 < np.median(slopes) < -0.8


def test_templates_have_the_detail_and_the_flat_parts_of_real_ones(
    pictures: list[np.ndarray],
) -> None:
    """Quantiles of 45 pictures are near those of 143 real templates."""
    found = np.percentile(
        [templates.detail(Image.fromarray(pixels)) for pixels in pictures], [5, 50, 95]
    )
    assert found == pytest.approx(np.array(templates.REAL_DETAIL)[[0, 2, 4]], rel=0.25)
    flat = []
    for pixels in pictures:
        grey = np.asarray(
            Image.fromarray(pixels).convert("L").resize((17, 16), Image.Resampling.LANCZOS), float
        )
        flat.append(np.mean(np.abs(np.diff(grey, axis=1)) < 1.5))
    assert np.percentile(flat, [50, 75]) == pytest.approx(
        np.array(templates.REAL_FLATNESS)[[2, 3]], abs=0.06
    )
