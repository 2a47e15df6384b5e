"""Template pictures: repeatable, all different, with the statistics of photographs."""

import numpy as np
import pytest
from PIL import Image

from workbook.study import templates
from workbook.study.families import FAMILIES
from workbook.study.photographs import detail, usable_squares
from workbook.study.templates import kind_of, template


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [np.asarray(template(family)) for family in range(45)]


def test_a_template_is_a_square_colour_picture_and_repeatable(pictures: list[np.ndarray]) -> None:
    assert all(pixels.shape == (250, 250, 3) for pixels in pictures)
    for family in (0, 1, 9, 44):
        np.testing.assert_array_equal(np.asarray(template(family)), pictures[family])
    assert not np.array_equal(np.asarray(template(0, seed=7)), pictures[0])


def test_no_two_templates_are_alike(pictures: list[np.ndarray]) -> None:
    small = [
        np.asarray(Image.fromarray(pixels).convert("L").resize((16, 16)), float).ravel()
        for pixels in pictures
    ]
    likeness = np.corrcoef(small) - np.eye(len(small))
    assert likeness.max() < 0.9


def test_every_number_of_families_has_the_three_kinds_in_their_shares() -> None:
    for families in (50, 160, 1034):
        kinds = [kind_of(family) for family in range(families)]
        assert kinds.count("ground") / families == pytest.approx(0.38, abs=0.03)
        assert kinds.count("photograph") / families == pytest.approx(0.40, abs=0.03)


def test_drawn_pictures_are_in_the_minority() -> None:
    kinds = [kind_of(family) for family in range(FAMILIES)]
    on_grounds = kinds.count("ground")
    portraits = (on_grounds + 1) // 2
    pasted = (on_grounds // 2 + 1) // 2
    assert kinds.count("photograph") <= templates.WHOLE_SQUARES
    assert pasted <= len(usable_squares()) - templates.WHOLE_SQUARES
    assert kinds.count("photograph") + portraits + pasted > 0.65 * FAMILIES


def test_pictures_are_left_to_draw_when_squares_and_portraits_are_used_up() -> None:
    pictures = [np.asarray(template(family)) for family in (600, 602, 604)]
    assert all(pixels.std() > 5 for pixels in pictures)


def test_generated_pictures_have_natural_spectra(pictures: list[np.ndarray]) -> None:
    """Amplitude falls about as one over frequency.

    Slopes of photographs are -0.8 to -1.5 (Tolhurst et al., 1992).
    """
    slopes = []
    for family, pixels in enumerate(pictures):
        if kind_of(family) == "drawing":
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
    """Quantiles of 45 pictures are near those of 143 real templates, few of them on grounds."""
    found = np.percentile([detail(Image.fromarray(pixels)) for pixels in pictures], [5, 50, 95])
    assert found == pytest.approx(np.array(templates.REAL_DETAIL)[[0, 2, 4]], rel=0.25)
    flat = []
    on_no_ground = [pixels for family, pixels in enumerate(pictures) if kind_of(family) != "ground"]
    for pixels in on_no_ground:
        grey = np.asarray(
            Image.fromarray(pixels).convert("L").resize((17, 16), Image.Resampling.LANCZOS), float
        )
        flat.append(np.mean(np.abs(np.diff(grey, axis=1)) < 1.5))
    assert np.percentile(flat, [50, 75]) == pytest.approx(
        np.array(templates.REAL_FLATNESS)[[2, 3]], abs=0.06
    )
