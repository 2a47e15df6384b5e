"""How every figure looks: one colour and marker a method, fonts and sizes that are legible when printed.

A method's 256-bit variant is drawn solid, its 64-bit variant dashed. The hues are Okabe and Ito's, told apart by
colour-blind readers; markers, line styles and a dark-to-light order keep them apart in grey print. A figure's title is
its finding, which the caller computes.

Source of the palette: Okabe and Ito, "Color Universal Design", 2008.
"""

import textwrap
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

WIDTH = 7.0
"""Inches: a figure as wide as the text of the printed report, so that 9 points stay 9 points."""

NEUTRAL = "#5f6b76"
"""What is no method: stages, machines, counts."""

GRID = "#d9dde1"


class Look(NamedTuple):
    """How one method is drawn, whatever its length in bits."""

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
"""Hashes set side by side, "find+dhash256"."""

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
    """Set matplotlib's defaults for every figure that follows: fonts, sizes, 150 dots per inch, constrained layout."""
    plt.rcParams.update(STYLE)


def split(name: str) -> tuple[str, str]:
    """("phash", "64") of "phash64"; ("find", "") of "find"."""
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def label(name: str) -> str:
    """What a reader sees: "pHash 64" for "phash64", "FINd + dHash 256" for a sum; other names come back as they are."""
    if "+" in name:
        return " + ".join(map(label, name.split("+")))
    stem, bits = split(name)
    return f"{LOOKS[stem].label} {bits}".strip() if stem in LOOKS else name


def colour(name: str) -> str:
    """The method's colour, shared by its 64- and 256-bit variants; `NEUTRAL` for a name that is no method."""
    stem, _ = split(name)
    return LOOKS[stem].colour if stem in LOOKS else SUM.colour if "+" in stem else NEUTRAL


def marker(name: str) -> str:
    """The method's marker; a dot for a name that is no method."""
    stem, _ = split(name)
    return LOOKS[stem].marker if stem in LOOKS else SUM.marker if "+" in stem else "."


def linestyle(name: str) -> str:
    """Solid, but dashed for a 64-bit variant."""
    return "--" if split(name)[1] == "64" else "-"


def headline(fig: Figure, text: str, *, width: int = 78) -> Figure:
    """Put the finding over a figure of several Axes, from its left edge, wrapped at `width` characters."""
    fig.suptitle(textwrap.fill(text, width), x=0.01, ha="left")
    return fig


def finding(ax: Axes, text: str, note: str = "", *, width: int = 80) -> Axes:
    """Put the finding over the Axes, wrapped at `width` characters, and n, units or source small at its lower right."""
    ax.set_title(textwrap.fill(text, width), loc="left")
    if note:
        place: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "ha": "right",
            "va": "top",
        }
        ax.annotate(note, (1.0, 0.0), (0, -32), fontsize=7.5, color=NEUTRAL, **place)
    return ax
