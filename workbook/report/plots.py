"""Draw figures that look alike.

Each function takes a tidy table and Axes, and returns the same Axes.

Nothing is computed here. Colours, markers and fonts are those of `workbook.report.style`. The title
of a figure is its finding (`style.finding`), which the caller computes.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from workbook.report.style import NEUTRAL, colour, label, linestyle, marker

LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "v", "^", "D", "X", "P")
SCREEN_DPI = 110
"""Pixels of a web page for an inch of a figure among controls."""

SHARPNESS = 2
"""Pixels of a picture for each pixel of a web page, so that it is sharp on dense screens too."""

SMALLEST_GAP = 1e-14
"""Where gaps that are smaller, or 0, are drawn on a logarithmic axis."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5f6b76")
"""What groups that are not methods are drawn with, in turn."""


class Series(NamedTuple):
    """One group of a table's rows.

    name: of the group. rows: its part of the table. look: the properties of its line for
    Matplotlib.
    """

    name: str
    rows: pd.DataFrame
    look: dict[str, Any]


def series_of(frame: pd.DataFrame, group: str | None) -> Iterator[Series]:
    """Split a table by a column, in the order of its values; None for one series of all rows."""
    line_styles = cycle(LINE_STYLES)
    markers = cycle(MARKERS)
    colours = cycle(COLOURS)
    groups = [("", frame)] if group is None else frame.groupby(group, sort=False)
    for key, rows in groups:
        name = str(key)
        look: dict[str, Any] = {"label": label(name) or None}
        is_method = colour(name) != NEUTRAL
        if is_method:
            look["color"] = colour(name)
            look["linestyle"] = linestyle(name)
            look["marker"] = marker(name)
        else:
            look["color"] = next(colours)
            look["linestyle"] = next(line_styles)
            look["marker"] = next(markers)
        yield Series(name, rows, look)


def finish_axes(
    ax: Axes,
    log: str,
    *,
    legend: bool,
) -> Axes:
    """Make the axes that `log` names logarithmic, and add a legend if there is to be one."""
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if legend:
        ax.legend()
    return ax


# One value a row -----------------------------------------------------------------------------


def bars(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    value: str,
    low: str = "",
    high: str = "",
    unit: str = "",
    text: str = "{:.3g}",
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Draw horizontal bars, the first row on top, each with its value printed.

    name, value, low, high: columns; with `low` and `high` the bars have whiskers. unit: the label
    of the axis. text: the format of the printed values. colours: by name; other names have the
    colours of their methods.
    """
    given_colours = colours or {}
    shades = [given_colours.get(str(item), colour(str(item))) for item in frame[name]]
    places = np.arange(len(frame))
    lengths = frame[value].to_numpy(dtype=float)
    ax.barh(
        places,
        lengths,
        height=0.68,
        color=shades,
    )
    return label_rows(
        frame,
        ax,
        name=name,
        value=value,
        low=low,
        high=high,
        unit=unit,
        text=text,
    )


def dots(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    value: str,
    low: str = "",
    high: str = "",
    unit: str = "",
    text: str = "{:.3g}",
) -> Axes:
    """Draw a dot for each row on a logarithmic axis, which has no zero for bars to start from.

    The arguments are those of `bars`.
    """
    for place, (item, number) in enumerate(zip(frame[name], frame[value], strict=True)):
        ax.plot(
            [number],
            [place],
            marker="o",
            markersize=7,
            linestyle="",
            color=colour(str(item)),
        )
    ax.set_xscale("log")
    label_rows(
        frame,
        ax,
        name=name,
        value=value,
        low=low,
        high=high,
        unit=unit,
        text=text,
    )
    _, right = ax.get_xlim()
    ax.set_xlim(right=right * 1.5)
    ax.xaxis.set_major_formatter(FuncFormatter(plain_tick))
    return ax


def plain_tick(number: float, _position: int) -> str:
    """The label of a tick, without an exponent."""
    return f"{number:,.10g}"


def label_rows(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    value: str,
    low: str,
    high: str,
    unit: str,
    text: str,
) -> Axes:
    """Draw what `bars` and `dots` have in common: names, whiskers, printed values and the axis."""
    places = np.arange(len(frame))
    values = frame[value].to_numpy(dtype=float)
    right_ends = values
    if low and high:
        # A mean may lie outside its quartiles; a whisker on that side then has no length.
        right_ends = np.maximum(values, frame[high].to_numpy(dtype=float))
        left_whiskers = np.maximum(0, values - frame[low].to_numpy(dtype=float))
        ax.errorbar(
            values,
            places,
            xerr=[left_whiskers, right_ends - values],
            fmt="none",
            ecolor=NEUTRAL,
            elinewidth=1.2,
            capsize=2.5,
        )
    for place, right_end, number in zip(
        places,
        right_ends,
        values,
        strict=True,
    ):
        ax.annotate(
            text.format(number),
            xy=(right_end, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    ax.set_yticks(places, [label(str(item)) for item in frame[name]])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.16)
    ax.set_xlabel(unit)
    return ax


def ladder(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    speed_up: str,
    low: str = "",
    high: str = "",
    text: str = "{:,.0f}×",
    unit: str = "speed-up over the reference, times (log scale; right is faster)",
) -> Axes:
    """Draw the speed-ups of successive versions as `dots`; the first row is on top."""
    dots(
        frame,
        ax,
        name=name,
        value=speed_up,
        low=low,
        high=high,
        unit=unit,
        text=text,
    )
    largest = float(frame[speed_up].max())
    ax.set_xlim(0.8, largest * 6)
    return ax


def intervals(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    value: str,
    low: str,
    high: str,
    solid: str = "",
    zero: float | None = None,
) -> Axes:
    """Draw a point with its interval for each row, the first on top.

    solid: a column that says which points are filled; the others are hollow and their intervals
    dotted. By default all are filled. zero: where a line of no difference is drawn.
    """
    names = [str(item) for item in frame[name]]
    is_solid = frame[solid] if solid else [True] * len(frame)
    rows = zip(
        names,
        frame[value],
        frame[low],
        frame[high],
        is_solid,
        strict=True,
    )
    for place, (method, middle, start, end, filled) in enumerate(rows):
        ax.plot(
            [start, end],
            [place, place],
            color=colour(method),
            linestyle=linestyle(method) if filled else ":",
        )
        ax.plot(
            [middle],
            [place],
            color=colour(method),
            marker=marker(method),
            markerfacecolor=colour(method) if filled else "white",
        )
    ax.set_yticks(range(len(names)), [label(method) for method in names])
    # Limits instead of an inversion: the next Axes that share this axis would invert it back.
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    if zero is not None:
        ax.axvline(zero, color=NEUTRAL, linewidth=0.9)
    return ax


# Values over an axis -------------------------------------------------------------------------


def lines(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    x: str,
    y: str,
    group: str | None = None,
    low: str = "",
    high: str = "",
    log: str = "xy",
    slopes: Mapping[str, float] | None = None,
) -> Axes:
    """Draw lines with markers, shaded between the columns `low` and `high` if these are given.

    group: the column whose values are a line each. log: the axes that are logarithmic. slopes: a
    fitted exponent to print in the legend, by group.
    """
    for name, rows, look in series_of(frame, group):
        if slopes and name in slopes:
            look["label"] = f"{label(name)} (slope {slopes[name]:.2f})"
        ax.plot(rows[x], rows[y], **look)
        if low and high:
            ax.fill_between(
                rows[x],
                rows[low],
                rows[high],
                color=look["color"],
                alpha=0.15,
                linewidth=0,
            )
    return finish_axes(ax, log, legend=group is not None)


def steps(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    x: str,
    y: str,
    group: str | None = None,
    fill: bool = False,
    log: str = "",
) -> Axes:
    """Draw steps through counts.

    They are a histogram (`x` is the bin, `y` its share) or a cumulative distribution.

    group: the column whose values are a line each. fill: whether to shade the area below. log: the
    axes that are logarithmic.
    """
    for _, rows, look in series_of(frame, group):
        look["marker"] = ""
        ax.step(
            rows[x],
            rows[y],
            where="mid",
            **look,
        )
        if fill:
            ax.fill_between(
                rows[x],
                rows[y],
                step="mid",
                color=look["color"],
                alpha=0.2,
                linewidth=0,
            )
    return finish_axes(ax, log, legend=group is not None)


def gaps(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    needed: float,
    tied: Sequence[float],
) -> Axes:
    """Draw how many pictures have a gap of at most each size, and the size that a gap must exceed.

    frame: columns gap and share, as for `steps`. needed: that size. tied: the gaps of pictures
    whose coefficients tie, marked on the axis.
    """
    steps(frame, ax, x="gap", y="share", log="x")
    ax.axvline(needed, color="black", linestyle="--")
    beside: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points"}
    ax.annotate("what a gap must exceed", (needed, 0.5), color="black", **beside)
    drawn = np.maximum(tied, SMALLEST_GAP)
    ax.plot(drawn, np.zeros(len(drawn)), "X", color=NEUTRAL, clip_on=False)
    above: dict[str, Any] = {"xytext": (4, 6), "textcoords": "offset points"}
    ax.annotate("flat, symmetric: 1e-14 or less", (SMALLEST_GAP, 0.05), color=NEUTRAL, **above)
    ax.set_xlabel("gap between the 128th and the 129th coefficient (log scale)")
    ax.set(ylabel="share of pictures", ylim=(0, 1.02))
    return ax


def scales(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw what decoding at reduced scale saves and changes; see `optimisation.summarise_reduced`.

    Each point is labelled with its scale, as "4/8".
    """
    lines(frame, ax, x="speed_up", y="bits", group="size", log="x")
    for row in frame[frame["eighths"] < 8].itertuples():
        ax.annotate(
            f"{row.eighths}/8",
            (row.speed_up, row.bits),
            xytext=(6, 3),
            textcoords="offset points",
            fontsize=8,
        )
    ticks = [1, 2, 3, 5]
    ax.set_xticks(ticks, [f"{tick} ×" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("speed-up of bytes to hash (log scale; right is better)")
    ax.set_ylabel("bits that change (lower is better)")
    return ax


def side_by_side(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    x: str,
    y: str,
    low: str,
    high: str,
    group: str = "hasher",
    spread: float = 1.12,
) -> Axes:
    """Draw points with intervals over a logarithmic axis.

    Groups that share an x are set apart, each by a factor of `spread` from the next.
    """
    count = frame[group].nunique()
    for number, (_, rows, look) in enumerate(series_of(frame, group)):
        steps_from_middle = number - (count - 1) / 2
        look["linestyle"] = ""
        ax.errorbar(
            rows[x] * spread**steps_from_middle,
            rows[y],
            yerr=np.maximum(0, [rows[y] - rows[low], rows[high] - rows[y]]),
            elinewidth=1,
            **look,
        )
    ax.set_xscale("log")
    ax.legend(ncols=2)
    return ax


# Tables and pictures -------------------------------------------------------------------------


def heat_map(
    table: pd.DataFrame,
    ax: Axes,
    *,
    text: str = ".2f",
    low: float = 0.0,
    high: float = 1.0,
    unit: str = "",
) -> Axes:
    """Draw a table as shades, with every value printed in its cell.

    High values are light, in grey print too.

    text: the format of the values. low, high: the ends of the scale. unit: its label.
    """
    import seaborn as sns  # imported here because it takes a second and only this figure needs it

    sns.heatmap(
        table.astype(float),
        ax=ax,
        vmin=low,
        vmax=high,
        annot=True,
        fmt=text,
        annot_kws={"fontsize": 8},
        cbar_kws={"label": unit, "shrink": 0.8},
        cmap="cividis",
        linewidths=0.5,
        linecolor="white",
    )
    columns = [label(str(item)) for item in table.columns]
    rows = [label(str(item)) for item in table.index]
    ax.set(xlabel="", ylabel="")
    ax.set_xticks(
        ax.get_xticks(),
        columns,
        rotation=30,
        ha="right",
    )
    ax.set_yticks(ax.get_yticks(), rows, rotation=0)
    return ax


def gallery(
    images: Sequence[Any],
    captions: Sequence[str],
    axes: Any,
) -> Any:
    """Show pictures, each on Axes of its own with a caption below.

    Axes that are left over stay empty.

    images: anything that `Axes.imshow` accepts. Raises ValueError unless there are as many captions
    as images, and at least as many Axes.
    """
    cells = np.ravel(np.asarray(axes, dtype=object))
    if len(images) > len(cells) or len(images) != len(captions):
        raise ValueError(
            f"{len(images)} images and {len(captions)} captions do not fit {len(cells)} Axes: "
            "give a caption and Axes for each image"
        )
    for cell in cells:
        cell.set_axis_off()
    for cell, image, caption in zip(
        cells,
        images,
        captions,
        strict=False,
    ):
        cell.imshow(image)
        cell.set_title(
            caption,
            fontsize=7.5,
            fontweight="normal",
            loc="center",
            y=-0.02,
            va="top",
            pad=0,
        )
    return axes


# Thresholds on other images ------------------------------------------------------------------


def transfer(
    frame: pd.DataFrame,
    axes: Any,
    *,
    least: float = 1e-7,
) -> Any:
    """Show what thresholds that were chosen for a false-positive rate gave on other images.

    frame: columns hasher, intended (the rate that was wanted), set, fpr and tpr, with fpr_low and
    fpr_high (nan if not known), as in notebook 05's held_out. axes: [2, number of sets]. The upper
    row shows the rate that came out, with its interval and a line for the rate that was wanted; the
    lower row shows the share of matching pairs that were found. Rates under `least` are drawn at
    the lower edge.
    """
    columns = np.asarray(axes).T
    rates = sorted(frame["intended"].unique())
    lowest_share = min(0.9, 0.95 * float(frame["tpr"].min()))
    for (name, rows), (upper, lower) in zip(frame.groupby("set", sort=False), columns, strict=True):
        draw_false_positives(rows, upper, rates, least)
        upper.set_title(textwrap.fill(str(name), 16))
        lines(
            rows,
            lower,
            x="intended",
            y="tpr",
            group="hasher",
            log="x",
        )
        lower.set(xlabel="wanted rate (log scale)", ylim=(lowest_share, 1.005))
        for ax in (upper, lower):
            ax.set_xlim(rates[0] / 2, rates[-1] * 2)
            ax.get_legend().remove()
    for upper, lower in columns[1:]:
        upper.tick_params(labelleft=False)
        lower.tick_params(labelleft=False)
    columns[0][0].set_ylabel("false-positive rate that\ncame out (log scale)")
    columns[0][1].set_ylabel("share of family\npairs found")
    return axes


def draw_false_positives(
    frame: pd.DataFrame,
    ax: Axes,
    rates: Sequence[float],
    least: float,
) -> None:
    """Draw one set's upper panel of `transfer`; `rates` are those that were wanted."""
    drawn = frame.copy()
    for column in ("fpr", "fpr_low", "fpr_high"):
        drawn[column] = drawn[column].clip(lower=least)
    side_by_side(
        drawn,
        ax,
        x="intended",
        y="fpr",
        low="fpr_low",
        high="fpr_high",
        spread=1.25,
    )
    ax.plot(
        rates,
        rates,
        ":",
        color=NEUTRAL,
        zorder=0,
    )
    ax.set_yscale("log")
    ax.set_ylim(least / 1.5, 0.1)
    ax.tick_params(labelbottom=False)


# Controls ------------------------------------------------------------------------------------


def explorer(
    draw: Callable[..., Figure],
    actions: Mapping[str, Callable[..., str]] | None = None,
    **controls: Any,
) -> Any:
    """Put controls above a figure that is drawn again whenever one of them is moved.

    draw: makes the figure from the controls' values, given by name. actions: functions of the same
    values, by the text of the button that calls them; the text that they return is shown. controls:
    ipywidgets, by name.

    The figure is an image widget. An output widget would wait for answers of a front end, which
    papermill does not have.
    """
    from ipywidgets import HTML, Button, HBox, Image, Layout, VBox

    button_actions = actions or {}
    picture = Image(format="png")
    message = HTML()

    def values() -> dict[str, Any]:
        return {name: control.value for name, control in controls.items()}

    def redraw(_change: Any = None) -> None:
        try:
            fig = draw(**values())
        except (OSError, ValueError) as error:  # such as a picture that cannot be read
            fig = message_figure(str(error))
        png = png_of(fig)
        picture.value = png
        picture.layout.width = f"{width_of(png) // SHARPNESS}px"

    def act(button: Any) -> None:
        action = button_actions[button.description]
        try:
            text = action(**values())
        except OSError as error:
            text = str(error)
        message.value = escape(text)

    buttons = [Button(description=name, layout={"width": "auto"}) for name in button_actions]
    for button in buttons:
        button.on_click(act)
    for control in controls.values():
        control.observe(redraw, "value")
    picture.layout = Layout(max_width="100%", height="auto", object_fit="contain")
    redraw()
    row = HBox([*controls.values(), *buttons], layout=Layout(flex_flow="row wrap", width="100%"))
    return VBox([row, picture, message], layout=Layout(align_items="flex-start"))


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2 and 5, so that one of less than a decade has labels, too."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")


def message_figure(text: str) -> Figure:
    """A low figure with a text instead of a drawing."""
    fig = plt.figure(figsize=(7, 0.6))
    fig.text(
        0,
        0.5,
        text,
        fontsize=8,
        wrap=True,
    )
    return fig


def png_of(fig: Figure) -> bytes:
    """A figure as the bytes of a PNG file, sharp on any screen; the figure is closed."""
    file = BytesIO()
    fig.savefig(
        file,
        format="png",
        dpi=SHARPNESS * SCREEN_DPI,
        bbox_inches="tight",
    )
    plt.close(fig)
    return file.getvalue()


def width_of(png: bytes) -> int:
    """The width in pixels of a PNG file, which stands in its header."""
    return int.from_bytes(png[16:20], "big")
