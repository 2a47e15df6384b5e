"""A hash as pictures: the stages side by side, bits as squares, bits that differ, and the distance on its scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbook.report import style
from workbook.study.anatomy import Stages

STEPS = (
    "picture",
    "luma",
    "box mean",
    "64 × 64",
    "16 × 16\nfrequencies",
    "256 bits",
    "bits that\ndiffer",
)
PAIR_COLOURS = {"same family": "#0072B2", "unrelated": "#D55E00"}


def squares(ax: Axes, bits: Any, *, flipped: bool = False) -> Axes:
    """16 x 16 bits as black and white squares; `flipped` ones dark red on light grey, told apart by lightness too."""
    colours = (
        ((0.93, 0.93, 0.93), (0.72, 0.15, 0.0)) if flipped else ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    )
    _panel(ax, np.where(np.asarray(bits)[:, :, None], colours[1], colours[0]))
    ax.set_xticks(np.arange(-0.5, 16), minor=True)
    ax.set_yticks(np.arange(-0.5, 16), minor=True)
    ax.grid(visible=True, which="minor", color=style.GRID, linewidth=0.4)
    return ax


def _panel(ax: Axes, image: Any, **look: Any) -> Axes:
    ax.imshow(image, interpolation="nearest", **look)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(which="both", length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=style.GRID, linewidth=0.8)
    return ax


def stages(pictures: Mapping[str, Stages], axes: Any) -> Any:
    """A row of panels a picture: FINd's stages, and from the second row on the bits that differ from the first's.

    axes: [len(pictures), 7] Axes. Frequencies are shaded by the order of their coefficients, as only that counts.
    """
    first = next(iter(pictures.values()))
    for row, (name, seen) in zip(np.asarray(axes), pictures.items(), strict=True):
        _panel(row[0], seen.rgb)
        row[0].set_ylabel(name, fontsize=9)
        for ax, grey in zip(row[1:4], (seen.luma, seen.means, seen.small), strict=True):
            _panel(ax, grey, cmap="gray", vmin=0, vmax=255)
        order = seen.coefficients.ravel().argsort().argsort().reshape(seen.coefficients.shape)
        _panel(row[4], order, cmap="cividis")
        squares(row[5], seen.bits)
        if seen is first:
            row[6].set_axis_off()
        else:
            squares(row[6], seen.bits != first.bits, flipped=True)
            row[6].set_xlabel(f"{(seen.bits != first.bits).sum()} of 256", fontsize=8.5)
    titles = [*np.asarray(axes)[0][:-1], np.asarray(axes)[1 if len(axes) > 1 else 0][-1]]
    for ax, step in zip(titles, STEPS, strict=True):
        ax.set_title(step, fontsize=8.5, fontweight="normal", loc="center", pad=4)
    return axes


def scale(
    ax: Axes,
    distances: Mapping[str, float],
    shares: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
) -> Axes:
    """Distances in bits as marks over histograms of pairs (`anatomy.pair_shares`), thresholds as lines."""
    for kind, part in shares.groupby("pairs", sort=False):
        if part["share"].any():
            look: dict[str, Any] = {"color": PAIR_COLOURS[str(kind)], "alpha": 0.3, "linewidth": 0}
            look["label"] = f"{kind} ({part['count'].sum():,} pairs)"
            ax.fill_between(part["distance"], part["share"], step="mid", **look)
    top = float(shares["share"].max())
    for turn, (name, distance) in enumerate(distances.items()):
        ax.plot(
            [distance],
            [0],
            marker="v" if turn % 2 else "o",
            color="black",
            clip_on=False,
            linestyle="",
        )
        at: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8.5}
        ax.annotate(f"{name}: {distance:g}", (distance, 0), (0, 7 + 12 * (turn % 2)), **at)
    for turn, (name, threshold) in enumerate((thresholds or {}).items()):
        ax.axvline(
            threshold, color=style.NEUTRAL, linestyle=("--", ":", "-.")[turn % 3], linewidth=1.2
        )
        place: dict[str, Any] = {
            "textcoords": "offset points",
            "ha": "right",
            "va": "top",
            "fontsize": 8,
        }
        ax.annotate(
            f"{name}: {threshold:g}", (threshold, top * (1.3 - 0.17 * turn)), (-3, 0), **place
        )
    ax.set(xlim=(0, 160), ylim=(0, top * 1.35), yticks=[])
    ax.set_xlabel("bits of 256 that differ (left is more alike)")
    ax.set_ylabel("share of pairs")
    ax.legend(loc="upper left")
    return ax


def beside(frame: pd.DataFrame, ax: Axes) -> Axes:
    """What each hasher says of the pairs (columns hasher, pair, share): a mark a pair, a row a hasher."""
    names = list(dict.fromkeys(frame["hasher"]))
    for (pair, part), mark in zip(frame.groupby("pair", sort=False), "oXsD", strict=False):
        rows = [names.index(name) for name in part["hasher"]]
        colours = [style.colour(name) for name in part["hasher"]]
        ax.scatter(part["share"] * 100, rows, c=colours, marker=mark, s=45, zorder=3)
        ax.scatter([], [], c=style.NEUTRAL, marker=mark, s=45, label=pair)
    ax.set_yticks(range(len(names)), [style.label(name) for name in names])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel("bits that differ, % of the hash's length")
    ax.legend(loc="upper left")
    return ax


def flip_sheet(rows: Sequence[Mapping[str, Any]], axes: Any, words: Mapping[str, str]) -> Any:
    """Changed pictures, each beside the bits that it flipped: `anatomy.flips`' rows into [changes, 2 x strengths] Axes.

    words: how a change's strength is written, a format by its name.
    """
    for (picture, bits), row in zip(np.asarray(axes).reshape(-1, 2), rows, strict=True):
        _panel(picture, row["image"])
        squares(bits, row["flipped"], flipped=True)
        picture.set_xlabel(words[row["change"]].format(row["strength"]), fontsize=8)
        bits.set_xlabel(f"{row['distance']} flip", fontsize=8)
    return axes


def compared(
    pictures: Mapping[str, Stages], shares: pd.DataFrame, thresholds: Mapping[str, float]
) -> Figure:
    """The whole story as one figure: stages of each picture, and under them how far they are from the first."""
    import matplotlib.pyplot as plt

    count = len(pictures)
    fig = plt.figure(figsize=(style.WIDTH, 1.12 * count + 2.1))
    upper, lower = np.ravel(np.asarray(fig.subfigures(2, 1, height_ratios=[1.12 * count, 1.8])))
    stages(pictures, upper.subplots(count, len(STEPS), squeeze=False))
    first, *others = pictures
    apart = {name: int((pictures[name].bits != pictures[first].bits).sum()) for name in others}
    scale(lower.subplots(), apart, shares, thresholds)
    return fig
