"""Show a hash as pictures: its stages, its bits as squares, its rows, and distances on a scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finlib.matching.rows import CAP, ROW_BITS, ROWS
from workbook.report import style
from workbook.study.anatomy import RowComparison, Stages

STEPS = (
    "picture",
    "luma",
    "box mean",
    "64 × 64",
    "16 × 16\nfrequencies",
    "256 bits",
    "bits that\ndiffer",
)
"""What stands above the panels of `stages`."""

PAIR_COLOURS = {"same family": "#0072B2", "unrelated": "#D55E00", "not labelled": "#5f6b76"}
"""The colour of each kind of pair, by its name in the tables of `anatomy.pair_shares`."""

PAIR_MARKERS = ("o", "X", "s", "D")

WHITE = (1.0, 1.0, 1.0)
BLACK = (0.0, 0.0, 0.0)
LIGHT_GREY = (0.93, 0.93, 0.93)
DARK_RED = (0.72, 0.15, 0.0)

ROW_HEIGHT = 1.12
"""Inches; the height of a row of panels in `compared`."""

FLAT_ROW = "row of flat ground: counts the cap"
"""What the legend of `compared_by_rows` says of the rows that are marked."""

SCALE_HEIGHT = 2.0
"""Inches; the height of the scale in `compared`."""

THRESHOLDS_FROM = "lines: FINd's thresholds from notebook 05, not from the pairs shown"
"""What the scale says of its thresholds, for which the pairs behind it are too few."""


# Pictures and bits ---------------------------------------------------------------------------


def squares(
    ax: Axes,
    bits: Any,
    *,
    flipped: bool = False,
) -> Axes:
    """Show 16 x 16 bits as squares: set bits are black on white.

    flipped: the bits say where two hashes differ; such squares are dark red on light grey, so that
    they differ from the others in lightness as well as in hue.
    """
    set_colour, clear_colour = (DARK_RED, LIGHT_GREY) if flipped else (BLACK, WHITE)
    is_set = np.asarray(bits)[:, :, None]
    show_panel(ax, np.where(is_set, set_colour, clear_colour))
    edges = np.arange(-0.5, 16)
    ax.set_xticks(edges, minor=True)
    ax.set_yticks(edges, minor=True)
    ax.grid(
        visible=True,
        which="minor",
        color=style.GRID,
        linewidth=0.4,
    )
    return ax


def show_panel(
    ax: Axes,
    image: Any,
    **options: Any,
) -> Axes:
    """Show an image in a thin frame without ticks; the options are those of `Axes.imshow`."""
    ax.imshow(image, interpolation="nearest", **options)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(which="both", length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=style.GRID, linewidth=0.8)
    return ax


def stages(pictures: Mapping[str, Stages], axes: Any) -> Any:
    """Show FINd's stages of each picture in a row of panels.

    The last panel of a row has the bits in which the picture differs from the first one.

    axes: [len(pictures), 7] Axes. The frequencies are shaded by the order of their coefficients,
    because only that order decides the bits.
    """
    panels = np.asarray(axes)
    names = list(pictures)
    first = pictures[names[0]]
    for row, name in zip(panels, names, strict=True):
        show_stages(row, pictures[name])
        row[0].set_ylabel(name, fontsize=9)
        if name == names[0]:
            row[6].set_axis_off()
        else:
            differs = pictures[name].bits != first.bits
            squares(row[6], differs, flipped=True)
            row[6].set_xlabel(f"{differs.sum()} of 256", fontsize=8.5)
    # The first picture's last panel is switched off and would not show a title.
    row_of_last_title = min(1, len(panels) - 1)
    titled = [*panels[0][:-1], panels[row_of_last_title][-1]]
    for ax, step in zip(titled, STEPS, strict=True):
        ax.set_title(
            step,
            fontsize=8.5,
            fontweight="normal",
            loc="center",
            pad=4,
        )
    return axes


def show_stages(row: Any, picture: Stages) -> None:
    """Show the stages of one picture on the first six Axes of a row."""
    show_panel(row[0], picture.rgb)
    greys = (picture.luma, picture.means, picture.small)
    for ax, grey in zip(row[1:4], greys, strict=True):
        show_panel(
            ax,
            grey,
            cmap="gray",
            vmin=0,
            vmax=255,
        )
    coefficients = picture.coefficients.ravel()
    ranks = coefficients.argsort().argsort()
    show_panel(row[4], ranks.reshape(picture.coefficients.shape), cmap="cividis")
    squares(row[5], picture.bits)


def flip_sheet(
    rows: Sequence[Mapping[str, Any]],
    axes: Any,
    words: Mapping[str, str],
) -> Any:
    """Show changed pictures, each with the bits that the change flipped.

    rows: those of `anatomy.flips`. axes: two Axes for each of them. words: how the strength of a
    change is written, as a format by the change's name.
    """
    pairs_of_axes = np.asarray(axes).reshape(-1, 2)
    for (picture, bits), row in zip(pairs_of_axes, rows, strict=True):
        show_panel(picture, row["image"])
        squares(bits, row["flipped"], flipped=True)
        strength = words[row["change"]].format(row["strength"])
        picture.set_xlabel(strength, fontsize=8)
        bits.set_xlabel(f"{row['distance']} flip", fontsize=8)
    return axes


def one_picture(picture: Stages) -> Figure:
    """A figure of the stages of one picture, large enough to see what each of them leaves out."""
    fig, axes = plt.subplots(2, 3, figsize=(style.WIDTH, 5.2))
    panels = np.ravel(axes)
    show_stages(panels, picture)
    for ax, step in zip(panels, STEPS, strict=False):
        ax.set_title(step.replace("\n", " "), fontsize=9, fontweight="normal", loc="center")
    return fig


def close_up(picture: Stages) -> Figure:
    """A figure of the middle of a picture, third by third: its luma, box mean and 64 x 64."""
    fig, axes = plt.subplots(1, 3, figsize=(style.WIDTH, 2.6))
    greys = {"luma": picture.luma, "box mean": picture.means, "64 × 64": picture.small}
    aspect = picture.luma.shape[0] / picture.luma.shape[1]
    for ax, (step, grey) in zip(axes, greys.items(), strict=True):
        show_panel(ax, middle_of(grey), cmap="gray", vmin=0, vmax=255, aspect="auto")
        ax.set_box_aspect(aspect)
        ax.set_title(step, fontsize=9, fontweight="normal", loc="center")
    return fig


def middle_of(grey: Any) -> Any:
    """The middle third of an image along both sides."""
    rows, columns = grey.shape
    top = rows // 3
    left = columns // 3
    return grey[top : rows - top, left : columns - left]


# Rows of a dHash -----------------------------------------------------------------------------


def row_sheet(comparisons: Mapping[str, RowComparison], axes: Any) -> Any:
    """Show how the row distance counts: for each comparison two pictures, their bits and its rows.

    axes: [len(comparisons), 4] Axes. The last one of a comparison has a bar for each row of the
    hash, with what Hamming counts and what the row distance counts, and a line at the cap.
    """
    panels = np.asarray(axes)
    for row, (name, comparison) in zip(panels, comparisons.items(), strict=True):
        show_panel(row[0], comparison.first)
        show_panel(row[1], comparison.second)
        squares(row[2], comparison.differs, flipped=True)
        draw_rows(row[3], comparison)
        row[0].set_ylabel(name, fontsize=9)
    titles = ("a picture", "another one", "dHash bits that differ", "bits that differ in each row")
    for ax, title in zip(panels[0], titles, strict=True):
        ax.set_title(title, fontsize=8.5, fontweight="normal", loc="center", pad=4)
    return axes


def draw_rows(ax: Axes, comparison: RowComparison) -> None:
    """Draw a bar for each row of a hash: its bits that differ, and how many of them count by rows.

    A row of flat ground counts the cap, which may be more than the bits that differ.
    """
    places = np.arange(ROWS)
    by_rows = style.colour("dhash256-rows")
    ax.barh(places, comparison.bits, height=0.8, color=style.GRID, label="counts by Hamming alone")
    ax.barh(places, comparison.counted, height=0.8, color=by_rows, label="counts by rows")
    flat = np.flatnonzero(comparison.is_flat)
    if len(flat):
        ax.plot(
            np.full(len(flat), CAP + 0.7),
            flat,
            linestyle="",
            marker=style.marker("dhash256-rows"),
            color="black",
            markersize=3.5,
            label=FLAT_ROW,
        )
    ax.axvline(CAP, color="black", linewidth=0.9, linestyle="--", label=f"cap, {CAP} bits a row")
    ax.set(xlim=(0, ROW_BITS), ylim=(ROWS - 0.5, -0.5), yticks=[], xticks=[0, CAP, 8, ROW_BITS])
    ax.grid(visible=False)
    most = CAP * ROWS
    ax.set_xlabel(
        f"Hamming: {comparison.bits.sum()} of {ROWS * ROW_BITS}; "
        f"by rows: {comparison.counted.sum()} of {most}",
        fontsize=8.5,
    )


def compared_by_rows(comparisons: Mapping[str, RowComparison]) -> Figure:
    """A figure of `row_sheet`, with its legend below; all panels of a comparison are as high."""
    wide = 1.7
    fig, axes = plt.subplots(
        len(comparisons),
        4,
        figsize=(style.WIDTH, 1.75 * len(comparisons) + 0.75),
        width_ratios=[1, 1, 1, wide],
        squeeze=False,
    )
    row_sheet(comparisons, axes)
    for row in axes:
        row[3].set_box_aspect(1 / wide)
    fig.legend(
        *legend_of(axes[:, 3]),
        loc="outside lower center",
        ncols=4,
        fontsize=7.5,
    )
    return fig


def legend_of(axes: Any) -> tuple[list[Any], list[str]]:
    """The handles and labels of several Axes for one legend, each label once."""
    handle_of: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handle_of.setdefault(label, handle)
    return list(handle_of.values()), list(handle_of)


# Distances -----------------------------------------------------------------------------------


def scale(
    ax: Axes,
    distances: Mapping[str, float],
    shares: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
) -> Axes:
    """Show distances on a scale in bits.

    Behind them are the distances of matching and of unrelated pairs.

    distances: in bits, by name, drawn as marks. shares: the histograms behind them, from
    `anatomy.pair_shares`. thresholds: FINd's of notebook 05 in bits, by name, drawn as lines.
    """
    top = float(shares["share"].max())
    draw_histograms(ax, shares)
    draw_marks(ax, distances)
    draw_thresholds(ax, thresholds or {}, top)
    ax.set(xlim=(0, 160), ylim=(0, top * 1.35), yticks=[])
    label = "bits of 256 that differ (left is more alike)"
    if thresholds:
        label += f"\n{THRESHOLDS_FROM}"
    ax.set_xlabel(label)
    ax.set_ylabel("share of pairs")
    ax.legend(loc="upper left")
    return ax


def draw_histograms(ax: Axes, shares: pd.DataFrame) -> None:
    """Shade the histogram of each kind of pair; a kind without pairs is left out."""
    for name, rows in shares.groupby("pairs", sort=False):
        kind = str(name)
        if not rows["share"].any():
            continue
        ax.fill_between(
            rows["distance"],
            rows["share"],
            step="mid",
            color=PAIR_COLOURS[kind],
            alpha=0.3,
            linewidth=0,
            label=f"{kind} ({rows['count'].sum():,} pairs)",
        )


def draw_marks(ax: Axes, distances: Mapping[str, float]) -> None:
    """Mark distances on the axis.

    Every other mark is a triangle with a higher label, so that labels do not overlap.
    """
    for number, (name, distance) in enumerate(distances.items()):
        is_odd = number % 2 == 1
        ax.plot(
            [distance],
            [0],
            marker="v" if is_odd else "o",
            color="black",
            clip_on=False,
            linestyle="",
        )
        ax.annotate(
            f"{name}: {distance:g}",
            xy=(distance, 0),
            xytext=(0, 19 if is_odd else 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )


def draw_thresholds(
    ax: Axes,
    thresholds: Mapping[str, float],
    top: float,
) -> None:
    """Draw thresholds as vertical lines.

    Each label is lower than the one before; `top` is the largest share.
    """
    line_styles = ("--", ":", "-.")
    for number, (name, threshold) in enumerate(thresholds.items()):
        line_style = line_styles[number % len(line_styles)]
        height = top * (1.3 - 0.17 * number)
        ax.axvline(
            threshold,
            color=style.NEUTRAL,
            linestyle=line_style,
            linewidth=1.2,
        )
        ax.annotate(
            f"{name}: {threshold:g}",
            xy=(threshold, height),
            xytext=(3, 0),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=8,
        )


def shares_by_hash(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Compare the distances that several hashers give to the same pairs.

    A row is drawn for each hasher, and a mark for each pair.

    frame: columns hasher, pair and share (of the hash's bits that differ).
    """
    hashers = list(dict.fromkeys(frame["hasher"]))
    pairs = frame.groupby("pair", sort=False)
    for (pair, rows), mark in zip(pairs, PAIR_MARKERS, strict=False):
        places = [hashers.index(hasher) for hasher in rows["hasher"]]
        colours = [style.colour(hasher) for hasher in rows["hasher"]]
        ax.scatter(
            rows["share"] * 100,
            places,
            c=colours,
            marker=mark,
            s=45,
            zorder=3,
        )
        # An empty scatter gives the legend a mark in a colour that is no method's.
        ax.scatter(
            [],
            [],
            c=style.NEUTRAL,
            marker=mark,
            s=45,
            label=pair,
        )
    ax.set_yticks(range(len(hashers)), [style.label(hasher) for hasher in hashers])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel("bits that differ, % of the hash's length")
    ax.legend(loc="upper left")
    return ax


def compared(
    pictures: Mapping[str, Stages],
    shares: pd.DataFrame,
    thresholds: Mapping[str, float],
) -> Figure:
    """Draw the stages of several pictures, and below them their distances from the first.

    shares, thresholds: as for `scale`.
    """
    rows_height = ROW_HEIGHT * len(pictures)
    fig = plt.figure(figsize=(style.WIDTH, rows_height + 2.3))
    parts = fig.subfigures(2, 1, height_ratios=[rows_height, SCALE_HEIGHT])
    upper, lower = np.ravel(np.asarray(parts))
    stages(pictures, upper.subplots(len(pictures), len(STEPS), squeeze=False))
    scale(lower.subplots(), distances_from_first(pictures), shares, thresholds)
    return fig


def distances_from_first(pictures: Mapping[str, Stages]) -> dict[str, int]:
    """The bits in which each picture but the first differs from the first, by its name."""
    first, *others = pictures
    distances = {}
    for name in others:
        differs = pictures[name].bits != pictures[first].bits
        distances[name] = int(differs.sum())
    return distances


def compared_by_hand(
    pictures: Mapping[str, Stages],
    shares: pd.DataFrame,
    thresholds: Mapping[str, float],
) -> Figure:
    """Draw two pictures that a reader has chosen or changed, with their distance in the title.

    The arguments are those of `compared`.
    """
    fig = compared(pictures, shares, thresholds)
    (distance,) = distances_from_first(pictures).values()
    first, second = pictures
    return style.headline(fig, f"{distance} of 256 bits differ between “{first}” and “{second}”")
