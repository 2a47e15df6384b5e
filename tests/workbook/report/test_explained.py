"""A hash as pictures: what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.report import explained, plots
from workbook.study import anatomy


@pytest.fixture
def axes():
    yield plt.subplots(1, 2)[1]
    plt.close("all")


def test_bits_are_squares_and_flipped_ones_differ_in_lightness_too(axes):
    bits = np.eye(16, dtype=bool)
    shown = explained.squares(axes[0], bits).images[0].get_array()
    assert shown.shape == (16, 16, 3)
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[0, 1].tolist() == [1, 1, 1]
    flipped = explained.squares(axes[1], bits, flipped=True).images[0].get_array()
    assert flipped[0, 1].mean() - flipped[0, 0].mean() > 0.5


def test_the_whole_story_counts_the_bits_that_differ(picture):
    pictures = {
        "one": picture,
        "blurred": anatomy.change(picture, blur=8),
        "turned": picture.rotate(90),
    }
    seen = {name: anatomy.stages(image) for name, image in pictures.items()}
    shares = anatomy.pair_shares(pd.DataFrame({"distance": [40, 128], "same": [True, False]}))
    fig = explained.compared(seen, shares, {"one false pair in 1,000": 98})
    texts = [text.get_text() for ax in fig.axes for text in [ax.xaxis.label, *ax.texts]]
    for name in ("blurred", "turned"):
        apart = (seen[name].bits != seen["one"].bits).sum()
        assert f"{apart} of 256" in texts
        assert f"{name}: {apart}" in texts
    assert "one false pair in 1,000: 98" in texts
    assert any("notebook 05" in text for text in texts)
    assert len(fig.axes) == 3 * len(explained.STEPS) + 1
    plt.close(fig)


def test_two_chosen_pictures_have_their_distance_in_the_title(picture):
    seen = {"first": anatomy.stages(picture), "second": anatomy.stages(picture.rotate(90))}
    shares = anatomy.pair_shares(pd.DataFrame({"distance": [40], "same": [False]}), labelled=False)
    fig = explained.compared_by_hand(seen, shares, {})
    apart = (seen["first"].bits != seen["second"].bits).sum()
    assert fig.get_suptitle() == f"{apart} of 256 bits differ between “first” and “second”"
    plt.close(fig)


def test_each_hash_has_a_row_and_each_pair_a_mark(axes, picture):
    table = anatomy.distances(
        picture, {"a": picture, "b": picture.rotate(90)}, ["find", "dhash256"]
    )
    ax = explained.shares_by_hash(table, axes[0])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["FINd", "dHash 256"]
    drawn = np.sort(np.concatenate([points.get_offsets()[:, 0] for points in ax.collections]))
    np.testing.assert_allclose(drawn, np.sort(table["share"] * 100))


def test_a_sheet_of_flips_writes_each_strength_and_count(picture):
    rows = anatomy.flips(picture, {"blur": (1, 8)})
    _, sheet = plt.subplots(1, 4)
    explained.flip_sheet(rows, sheet, {"blur": "blur {:g} px"})
    said = [ax.get_xlabel() for ax in sheet]
    assert said == [
        "blur 1 px",
        f"{rows[0]['distance']} flip",
        "blur 8 px",
        f"{rows[1]['distance']} flip",
    ]
    plt.close("all")


def test_bars_show_what_each_row_counts_and_the_cap(picture):
    comparisons = {
        "one": anatomy.compare_rows(picture, anatomy.change(picture, caption=30)),
        "other": anatomy.compare_rows(picture, picture.rotate(180)),
    }
    fig = explained.compared_by_rows(comparisons)
    assert len(fig.axes) == 8
    for number, seen in enumerate(comparisons.values()):
        ax = fig.axes[4 * number + 3]
        hamming, by_rows = ax.containers
        assert [bar.get_width() for bar in hamming] == seen.bits.tolist()
        assert [bar.get_width() for bar in by_rows] == seen.counted.tolist()
        said = f"Hamming: {seen.bits.sum()} of 256; by rows: {seen.counted.sum()} of 48"
        assert ax.get_xlabel() == said
        cap = ax.lines[-1]
        assert list(cap.get_xdata()) == [3, 3]
    names = [fig.axes[4 * number].get_ylabel() for number in range(2)]
    assert names == ["one", "other"]
    plt.close(fig)


def test_the_legend_has_flat_rows_only_where_one_is_marked(picture):
    plain = Image.new("RGB", (64, 64), "grey")
    detailed = anatomy.compare_rows(picture, picture.rotate(180))
    flat = anatomy.compare_rows(picture, plain)
    assert flat.is_flat.all()
    detailed = detailed._replace(is_flat=np.zeros(16, dtype=bool))
    for comparisons, is_expected in (
        ({"one": detailed}, False),
        ({"one": detailed, "other": flat}, True),
    ):
        fig = explained.compared_by_rows(comparisons)
        labels = [text.get_text() for text in fig.legends[0].get_texts()]
        assert (explained.FLAT_ROW in labels) == is_expected
        assert len(labels) == len(set(labels)) == 3 + is_expected
        plt.close(fig)


def test_a_picture_that_cannot_be_read_is_reported_in_place_of_the_figure():
    from ipywidgets import IntSlider

    def draw(number):
        if number:
            raise ValueError("p.txt: no image")
        return plt.figure(figsize=(1, 1))

    box = plots.explorer(draw, number=IntSlider(0, 0, 1))
    shown, before = box.children[1], box.children[1].value
    box.children[0].children[0].value = 1
    assert shown.value != before
    assert bytes(shown.value[:4]) == b"\x89PNG"


def test_one_picture_is_shown_large_and_its_middle_larger(picture):
    taken_apart = anatomy.stages(picture)
    fig = explained.one_picture(taken_apart)
    assert len(fig.axes) == 6
    fig = explained.close_up(taken_apart)
    shown = [ax.images[0].get_array().shape for ax in fig.axes]
    assert shown == [(30, 40), (30, 40), (22, 22)]
    plt.close("all")
