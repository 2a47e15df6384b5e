"""How every figure looks: colours and markers of methods, fonts and sizes.

The 256-bit variant of a method is drawn solid, its 64-bit variant dashed. The hues are Okabe and
Ito's, which colour-blind readers can tell apart; in grey print, markers, line styles and an order
from dark to light keep the methods distinct. Methods that compare by rows have two hues of Paul
Tol's, which are as safe, and are drawn dash-dotted. The title of a figure is its finding, which the
caller computes.

Sources of the palette: Okabe and Ito, "Color Universal Design", 2008; Tol, "Colour schemes", 2021.
"""

import textwrap
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

WIDTH = 7.0
"""Inches. A figure is as wide as the text of the printed report, so that 9 points stay 9 points."""

NEUTRAL = "#5f6b76"
"""The colour of everything that is not a method: stages, machines, counts."""

MOST_AXES_DESCRIBED = 6
"""Of more Axes, such as those of a sheet of pictures, only the figure's title is recorded."""

GRID = "#d9dde1"
"""The colour of grids and frames."""


class Look(NamedTuple):
    """How a method is drawn, whatever its length in bits: its label, colour and marker."""

    label: str
    colour: str
    marker: str


LOOKS: dict[str, Look] = {
    "find": Look("FINd", "#000000", "o"),
    "pdq": Look("PDQ", "#D55E00", "D"),
    "phash": Look("pHash", "#0072B2", "s"),
    "dhash": Look("dHash", "#009E73", "^"),
    "whash": Look("wHash", "#CC79A7", "v"),
    "ahash": Look("aHash", "#E69F00", "X"),
}

SUM = Look("", "#56B4E9", "P")
"""How hashes that are combined into one are drawn, like "find+dhash256"."""

BY_ROWS = "-rows"
"""What the name of a method ends in that compares dHash row by row, like "dhash256-rows"."""

ROWS = Look("", "#882255", "<")
"""How a hash that is compared by rows is drawn."""

SUM_BY_ROWS = Look("", "#332288", "*")
"""How hashes that are combined are drawn where the dHash among them is compared by rows."""

NO_METHOD = Look("", NEUTRAL, ".")
"""How everything else is drawn."""

STYLE: Any = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "figure.figsize": (WIDTH, 3.6),
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "image.cmap": "cividis",
    "axes.prop_cycle": cycler(color=[NEUTRAL, *(look.colour for look in LOOKS.values())]),
}


def use_style() -> None:
    """Set Matplotlib's defaults for all figures that follow."""
    plt.rcParams.update(STYLE)


def split(name: str) -> tuple[str, str]:
    """A method's stem and its bits: ("phash", "64") for "phash64", ("find", "") for "find".

    How it compares plays no part: "dhash256-rows" gives ("dhash", "256").
    """
    hasher = name.removesuffix(BY_ROWS)
    stem = hasher.rstrip("0123456789")
    return stem, hasher[len(stem) :]


def is_by_rows(name: str) -> bool:
    """Whether a name is that of a method that compares by rows."""
    stems = [split(part)[0] for part in name.split("+")]
    return name.endswith(BY_ROWS) and all(stem in LOOKS for stem in stems)


def look(name: str) -> Look:
    """How a method, or a sum of methods, is drawn; `NO_METHOD` for any other name."""
    if is_by_rows(name):
        return SUM_BY_ROWS if "+" in name else ROWS
    stem, _ = split(name)
    if stem in LOOKS:
        return LOOKS[stem]
    if "+" in stem:
        return SUM
    return NO_METHOD


def label(name: str) -> str:
    """What a reader sees: "pHash 64" for "phash64", "FINd + dHash 256" for a sum.

    "dHash 256 by rows" stands for "dhash256-rows". Other names stay as they are.
    """
    if is_by_rows(name):
        return label(name.removesuffix(BY_ROWS)) + " by rows"
    if "+" in name:
        return " + ".join(label(part) for part in name.split("+"))
    stem, bits = split(name)
    if stem not in LOOKS:
        return name
    return f"{LOOKS[stem].label} {bits}".strip()


def colour(name: str) -> str:
    """The method's colour, shared by its 64- and 256-bit variants.

    It is `NEUTRAL` for a name that is not a method.
    """
    return look(name).colour


def marker(name: str) -> str:
    """The method's marker; a dot for a name that is not a method."""
    return look(name).marker


def linestyle(name: str) -> str:
    """A solid line; a dashed one for a 64-bit variant, a dash-dotted one for a method by rows."""
    if is_by_rows(name):
        return "-."
    _, bits = split(name)
    return "--" if bits == "64" else "-"


def headline(
    fig: Figure,
    text: str,
    *,
    width: int = 78,
) -> Figure:
    """Write the finding above a figure of several Axes, from its left edge.

    The text is wrapped at `width` characters.
    """
    fig.suptitle(textwrap.fill(text, width), x=0.01, ha="left")
    return fig


def finding(
    ax: Axes,
    text: str,
    note: str = "",
    *,
    width: int = 80,
) -> Axes:
    """Write the finding above the Axes, wrapped at `width` characters.

    note: the number of images, units or the source, in small type at the lower right.
    """
    ax.set_title(textwrap.fill(text, width), loc="left")
    if note:
        ax.annotate(
            note,
            xy=(1.0, 0.0),
            xycoords="axes fraction",
            xytext=(0, -32),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
            color=NEUTRAL,
        )
    return ax


def entitle(
    drawn: Figure | Axes,
    title: str,
    note: str = "",
) -> Figure:
    """Write a title and a note on a figure, or on its only Axes; returns the figure."""
    if isinstance(drawn, Axes):
        finding(drawn, title, note)
        figure = drawn.figure
        return figure if isinstance(figure, Figure) else figure.figure
    headline(drawn, title)
    if note:
        drawn.supxlabel(note, x=1.0, ha="right", fontsize=7.5, color=NEUTRAL)
    return drawn


def in_words(fig: Figure) -> str:
    """What a figure shows, for those who cannot see it: its titles and the labels of its axes."""
    words = [fig.get_suptitle()]
    described = fig.axes if len(fig.axes) <= MOST_AXES_DESCRIBED else []
    for ax in described:
        words.append(ax.get_title(loc="left"))
        if ax.get_xlabel():
            words.append(f"Across: {ax.get_xlabel()}")
        if ax.get_ylabel():
            words.append(f"Upwards: {ax.get_ylabel()}")
    told_once = dict.fromkeys(" ".join(text.split()) for text in words if text)
    return "; ".join(told_once)


def count_of(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 group", "2 groups"; `many` is the plural where it is irregular."""
    noun = one if count == 1 else many or f"{one}s"
    return f"{count:,} {noun}"
