"""Every figure function draws what it is given on the Axes it is given, and methods look
different."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from workbook.report import notebook, plots, style

METHODS = ["find", "pdq", "phash", "dhash", "whash", "ahash"]
VARIANTS = ["find", "pdq"] + [f"{method}{bits}" for method in METHODS[2:] for bits in (64, 256)]


@pytest.fixture
def ax():
    with mpl.rc_context():
        style.use_style()
        figure, axes = plt.subplots()
        yield axes
        figure.canvas.draw()
        plt.close(figure)


def test_variants_share_hue_and_differ_in_line():
    assert style.colour("phash64") == style.colour("phash256") == style.colour("phash")
    assert style.linestyle("phash64") == "--"
    assert style.linestyle("phash256") == style.linestyle("find") == "-"
    assert [style.label(name) for name in ("find", "pdq", "whash64")] == ["FINd", "PDQ", "wHash 64"]
    assert len(
        {(style.colour(name), style.marker(name), style.linestyle(name)) for name in VARIANTS}
    ) == len(VARIANTS)
    assert len({style.marker(name) for name in METHODS}) == len(METHODS)


def test_names_that_are_no_method_are_neutral():
    assert style.colour("decode") == style.NEUTRAL
    assert style.label("decode") == "decode"
    assert style.linestyle("decode") == "-"


def test_a_sum_of_hashes_has_a_look_of_its_own():
    assert style.label("find+dhash256") == "FINd + dHash 256"
    assert style.colour("find+dhash256") not in {
        style.colour(name) for name in [*METHODS, "decode"]
    }
    assert style.marker("find+dhash256") not in {
        style.marker(name) for name in [*METHODS, "decode"]
    }


def test_methods_that_compare_by_rows_have_names_and_looks_of_their_own():
    assert style.label("dhash256-rows") == "dHash 256 by rows"
    assert style.label("find+dhash256-rows") == "FINd + dHash 256 by rows"
    assert notebook.label_of_hasher("find+dhash256-rows") == "FINd + dHash 256 by rows"
    by_rows = ["dhash256-rows", "find+dhash256-rows"]
    others = [*METHODS, "dhash256", "find+dhash256", "decode"]
    for look in (style.colour, style.marker):
        assert len({look(name) for name in by_rows}) == 2
        assert not {look(name) for name in by_rows} & {look(name) for name in others}


def test_other_names_may_end_in_rows():
    assert style.label("narrow-rows") == "narrow-rows"
    assert style.colour("narrow-rows") == style.NEUTRAL
    assert style.linestyle("narrow-rows") == "-"


def test_points_that_are_not_solid_are_hollow_with_a_dotted_interval(ax):
    frame = pd.DataFrame(
        {
            "name": ["find", "dhash256"],
            "tpr": [0.9, 0.8],
            "low": [0.8, 0.7],
            "high": [1.0, 0.9],
            "resolved": [True, False],
        }
    )
    plots.intervals(frame, ax, name="name", value="tpr", low="low", high="high", solid="resolved")
    intervals = ax.lines[::2]
    points = ax.lines[1::2]
    assert [line.get_linestyle() for line in intervals] == ["-", ":"]
    assert [point.get_markerfacecolor() for point in points] == ["#000000", "white"]


def test_grey_tones_or_markers_differ():
    grey = sorted(np.dot(to_rgb(style.colour(name)), [0.299, 0.587, 0.114]) for name in METHODS)
    assert grey[0] < 0.05
    assert grey[-1] > 0.6


def test_bars_and_ladder(ax):
    frame = pd.DataFrame(
        {"stage": ["luma", "box mean"], "ms": [1.0, 3.0], "low": [0.9, 2.5], "high": [1.2, 3.5]}
    )
    assert (
        plots.bars(frame, ax, name="stage", value="ms", low="low", high="high", unit="ms per image")
        is ax
    )
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["luma", "box mean"]
    assert [patch.get_width() for patch in ax.patches] == [1.0, 3.0]
    assert ax.get_xlabel() == "ms per image"
    ax.clear()
    assert plots.ladder(frame, ax, name="stage", speed_up="ms") is ax
    assert ax.get_xscale() == "log"
    assert {text.get_text() for text in ax.texts} == {"1×", "3×"}
    assert not ax.patches, "a bar on a log axis has no length"


def test_dots_have_a_log_axis_and_no_bars_and_bear_a_mean_beyond_its_quartiles(ax):
    frame = pd.DataFrame(
        {"name": ["find", "read"], "ms": [100.0, 0.1], "low": [101.0, 0.1], "high": [110.0, 0.1]}
    )
    plots.dots(frame, ax, name="name", value="ms", low="low", high="high", text="{:.3g} ms")
    assert ax.get_xscale() == "log"
    assert not ax.patches
    assert [text.get_text() for text in ax.texts] == ["100 ms", "0.1 ms"]


def test_lines_carry_slopes_and_intervals(ax):
    frame = pd.DataFrame(
        {"n": [1, 10, 1, 10], "s": [1, 9, 2, 3], "by": ["find", "find", "scan", "scan"]}
    )
    frame["low"], frame["high"] = frame["s"] * 0.9, frame["s"] * 1.1
    plots.lines(frame, ax, x="n", y="s", group="by", low="low", high="high", slopes={"find": 1.0})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "FINd (slope 1.00)",
        "scan",
    ]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert len(ax.collections) == 2
    assert ax.lines[0].get_color() == style.colour("find")


def test_steps(ax):
    frame = pd.DataFrame(
        {"d": [0, 1, 0, 1], "share": [0.2, 0.8, 0.5, 0.5], "pairs": ["same"] * 2 + ["other"] * 2}
    )
    plots.steps(frame, ax, x="d", y="share", group="pairs", fill=True, log="y")
    assert len(ax.lines) == 2
    assert ax.get_yscale() == "log"


def test_heat_map_prints_every_value(ax):
    table = pd.DataFrame(
        [[0.5, 1.0], [np.nan, 0.25]], index=["JPEG", "crop"], columns=["find", "phash256"]
    )
    plots.heat_map(table, ax, unit="true-positive rate")
    assert {text.get_text() for text in ax.texts} == {"0.50", "1.00", "0.25"}
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["FINd", "pHash 256"]


def test_intervals(ax):
    frame = pd.DataFrame(
        {
            "hasher": ["find", "phash64"],
            "tpr": [0.9, 0.8],
            "low": [0.8, 0.7],
            "high": [0.95, 0.9],
            "ms": [1, 2],
        }
    )
    plots.intervals(frame, ax, name="hasher", value="tpr", low="low", high="high", zero=0.0)
    assert len(ax.lines) == 5


def test_the_first_row_is_on_top_in_every_panel_that_shares_an_axis():
    frame = pd.DataFrame(
        {"hasher": ["find", "pdq"], "tpr": [0.9, 0.8], "low": [0.8, 0.7], "high": [1.0, 0.9]}
    )
    for panels in (1, 2, 3):
        figure, axes = plt.subplots(1, panels, sharey=True, squeeze=False)
        for ax in axes[0]:
            plots.intervals(frame, ax, name="hasher", value="tpr", low="low", high="high")
        assert axes[0, 0].yaxis_inverted()
        plt.close(figure)


def test_side_by_side_sets_groups_apart(ax):
    frame = pd.DataFrame({"hasher": ["find", "pdq"], "x": 1.0, "y": 2.0, "low": 1.0, "high": 3.0})
    plots.side_by_side(frame, ax, x="x", y="y", low="low", high="high")
    first, second = (container.lines[0].get_xdata()[0] for container in ax.containers)
    assert first < 1 < second
    assert second / first == pytest.approx(1.12)


def test_a_headline_wraps(ax):
    style.headline(ax.figure, "a long finding " * 20)
    assert "\n" in ax.figure.get_suptitle()


def test_transfer_draws_a_column_a_set_and_bears_rates_of_zero_and_unknown_intervals():
    rows = [
        (
            name,
            rate,
            where,
            0.0 if where == "half" else rate * 3,
            0.9,
            0.0 if where == "half" else np.nan,
            np.nan,
        )
        for name in ("find", "dhash256")
        for rate in (1e-6, 1e-3)
        for where in ("half", "memes")
    ]
    columns = ["hasher", "intended", "set", "fpr", "tpr", "fpr_low", "fpr_high"]
    figure, axes = plt.subplots(2, 2)
    assert plots.transfer(pd.DataFrame(rows, columns=columns), axes) is axes
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes[0]] == ["half", "memes"]
    drawn = [container.lines[0].get_ydata().tolist() for container in axes[0, 1].containers]
    assert drawn == [[pytest.approx(3e-6), pytest.approx(3e-3)]] * 2
    assert axes[0, 0].containers[0].lines[0].get_ydata().min() == 1e-7
    assert axes[0, 0].get_yscale() == "log"
    assert not axes[0, 0].patches
    figure.canvas.draw()
    plt.close(figure)


def test_gallery_fills_and_refuses(ax):
    figure, axes = plt.subplots(1, 3)
    picture = np.zeros((4, 4, 3), np.uint8)
    assert plots.gallery([picture, picture], ["a", "b"], axes) is axes
    assert [cell.get_title(loc="center") for cell in axes] == ["a", "b", ""]
    with pytest.raises(ValueError, match="do not fit 3 Axes"):
        plots.gallery([picture] * 4, ["x"] * 4, axes)
    plt.close(figure)


def test_finding_wraps_its_title(ax):
    style.finding(ax, "a finding that is long " * 8, note="n = 3")
    assert "\n" in ax.get_title(loc="left")
    assert ax.texts[0].get_text() == "n = 3"


def test_explorer_redraws_when_a_control_moves():
    widgets = pytest.importorskip("ipywidgets")
    slider, drawn = widgets.IntSlider(3, 0, 9), []

    def draw(level):
        drawn.append(level)
        return plt.figure(figsize=(1, 1))

    box = plots.explorer(draw, level=slider)
    slider.value = 5
    assert drawn == [3, 5]
    assert bytes(box.children[1].value).startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_an_explorers_button_says_what_it_did():
    widgets = pytest.importorskip("ipywidgets")

    def fail(level):
        raise PermissionError("the folder is read-only")

    actions = {"keep": lambda level: f"stored <{level}>", "fail": fail}
    box = plots.explorer(
        lambda level: plt.figure(figsize=(1, 1)), actions, level=widgets.IntSlider(3, 0, 9)
    )
    keep, failing = box.children[0].children[1:]
    keep.click()
    assert box.children[2].value == "stored &lt;3&gt;"
    failing.click()
    assert "read-only" in box.children[2].value


def test_gaps_of_zero_are_drawn_on_the_logarithmic_axis(ax):
    frame = pd.DataFrame({"gap": [1e-3, 1e-2], "share": [0.5, 1.0]})
    plots.gaps(frame, ax, needed=1e-9, tied=[0.0, 1e-15])
    assert ax.lines[-1].get_xdata().tolist() == [plots.SMALLEST_GAP] * 2


def test_scales_are_labelled_but_for_the_full_one(ax):
    frame = pd.DataFrame(
        {"size": "small", "eighths": [8, 4], "speed_up": [1.0, 2.0], "bits": [0.0, 7.0]}
    )
    plots.scales(frame, ax)
    assert [text.get_text() for text in ax.texts] == ["4/8"]


def test_a_short_logarithmic_axis_has_labels(ax):
    ax.set(yscale="log", ylim=(0.03, 0.4))
    plots.log_ticks(ax.yaxis)
    ax.figure.canvas.draw()
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert {"0.05", "0.1", "0.2"} <= set(shown)


def test_an_explorers_picture_is_sharp(ax):
    pytest.importorskip("ipywidgets")
    box = plots.explorer(lambda: plt.figure(figsize=(2, 1)))
    picture = box.children[1]
    on_page = int(picture.layout.width.removesuffix("px"))
    assert plots.width_of(picture.value) // on_page == plots.SHARPNESS


def test_a_figure_is_told_in_words():
    fig, (left, right) = plt.subplots(1, 2)
    style.entitle(left, "Time grows\nwith size", "4 pictures")
    left.set(xlabel="pixels", ylabel="seconds")
    right.set_xlabel("pixels")
    assert style.in_words(fig) == "Time grows with size; Across: pixels; Upwards: seconds"
    style.entitle(fig, "Both")
    assert style.in_words(fig).startswith("Both; Time grows")
    plt.close(fig)


def test_of_a_sheet_only_its_title_is_told():
    fig, axes = plt.subplots(2, 4)
    axes[0, 0].set_xlabel("20 flip")
    style.entitle(fig, "What flips")
    assert style.in_words(fig) == "What flips"
    plt.close(fig)
