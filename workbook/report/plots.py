"""Figures of one family: a tidy table and Axes in, the same Axes out; nothing is computed here.

Colours, markers and fonts are `workbook.report.style`'s. A figure's title is its finding
(`finding`), which the caller computes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbook.report.style import GRID, NEUTRAL, colour, label, linestyle, marker


def _series(
    frame: pd.DataFrame, group: str | None
) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Each group's name, rows and line properties; groups that are no method get lines of their own, in turn."""
    dashes, marks = cycle(["-", "--", "-.", ":"]), cycle("osv^DXP")
    shades = cycle(["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5f6b76"])
    for key, part in [("", frame)] if group is None else frame.groupby(group, sort=False):
        name = str(key)
        if colour(name) != NEUTRAL:
            look = {"color": colour(name), "linestyle": linestyle(name), "marker": marker(name)}
        else:
            look = {"color": next(shades), "linestyle": next(dashes), "marker": next(marks)}
        yield name, part, {**look, "label": label(name) or None}


def _scales(ax: Axes, log: str, legend: bool) -> Axes:
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if legend:
        ax.legend()
    return ax


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
    """Horizontal bars, the first row on top, each with its value printed; whiskers where `low` and `high` are given.

    `unit` labels the axis. A hasher's name gets its method's colour and label, unless `colours` has the name.
    """
    shades = [(colours or {}).get(str(item), colour(str(item))) for item in frame[name]]
    ax.barh(np.arange(len(frame)), frame[value].to_numpy(dtype=float), height=0.68, color=shades)
    return _rows(frame, ax, name=name, value=value, low=low, high=high, unit=unit, text=text)


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
    """A dot a row on a log axis, otherwise as `bars`, which have no length where there is no zero."""
    for row, (item, across) in enumerate(zip(frame[name], frame[value], strict=True)):
        ax.plot([across], [row], marker="o", markersize=7, linestyle="", color=colour(str(item)))
    ax.set_xscale("log")
    _rows(frame, ax, name=name, value=value, low=low, high=high, unit=unit, text=text)
    ax.set_xlim(right=ax.get_xlim()[1] * 1.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.10g}"))
    return ax


def _rows(
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
    """What bars and dots share: names, whiskers, printed values, the axis."""
    values = ends = frame[value].to_numpy(dtype=float)
    rows = np.arange(len(values))
    if low and high:
        ends = np.maximum(values, frame[high].to_numpy(dtype=float))
        whiskers = [np.maximum(0, values - frame[low].to_numpy(dtype=float)), ends - values]
        ax.errorbar(
            values, rows, xerr=whiskers, fmt="none", ecolor=NEUTRAL, elinewidth=1.2, capsize=2.5
        )
    for row, end, shown in zip(rows, ends, values, strict=True):
        ax.annotate(
            text.format(shown),
            (end, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    ax.set_yticks(rows, [label(str(item)) for item in frame[name]])
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
    """The speed-up of one version after another as `dots` from 1 on, joined in their order, the first row on top."""
    ax.plot(frame[speed_up], np.arange(len(frame)), color=GRID, zorder=0)
    dots(frame, ax, name=name, value=speed_up, low=low, high=high, unit=unit, text=text)
    ax.set_xlim(0.8, float(frame[speed_up].max()) * 6)
    return ax


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
    """Lines with markers, shaded from `low` to `high` where given; `log` names the log axes.

    `slopes` gives the fitted exponent to print in a group's legend.
    """
    for key, part, look in _series(frame, group):
        if slopes and key in slopes:
            look["label"] = f"{label(key)} (slope {slopes[key]:.2f})"
        ax.plot(part[x], part[y], **look)
        if low and high:
            ax.fill_between(
                part[x], part[low], part[high], color=look["color"], alpha=0.15, linewidth=0
            )
    return _scales(ax, log, legend=group is not None)


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
    """Steps through counts already made: a histogram (`x` the bin, `y` its share) or an ECDF (`y` cumulative)."""
    for _, part, look in _series(frame, group):
        ax.step(part[x], part[y], where="mid", **{**look, "marker": ""})
        if fill:
            ax.fill_between(
                part[x], part[y], step="mid", color=look["color"], alpha=0.2, linewidth=0
            )
    return _scales(ax, log, legend=group is not None)


def heat_map(
    table: pd.DataFrame,
    ax: Axes,
    *,
    text: str = ".2f",
    low: float = 0.0,
    high: float = 1.0,
    unit: str = "",
) -> Axes:
    """A table as shades with every value printed in its cell; light is high, so that it reads in grey too."""
    import seaborn as sns  # a second to import, for one figure

    look: dict[str, Any] = {"cmap": "cividis", "linewidths": 0.5, "linecolor": "white"}
    shade = {"label": unit, "shrink": 0.8}
    sns.heatmap(
        table.astype(float),
        ax=ax,
        vmin=low,
        vmax=high,
        annot=True,
        fmt=text,
        annot_kws={"fontsize": 8},
        cbar_kws=shade,
        **look,
    )
    ax.set(xlabel="", ylabel="")
    ax.set_xticks(
        ax.get_xticks(), [label(str(item)) for item in table.columns], rotation=30, ha="right"
    )
    ax.set_yticks(ax.get_yticks(), [label(str(item)) for item in table.index], rotation=0)
    return ax


def intervals(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    name: str,
    value: str,
    low: str,
    high: str,
    zero: float | None = None,
) -> Axes:
    """One point with its interval a row, the first on top; `zero` draws the line of no difference."""
    names = [str(item) for item in frame[name]]
    for row, (key, middle, start, end) in enumerate(
        zip(names, frame[value], frame[low], frame[high], strict=True)
    ):
        ax.plot([start, end], [row, row], color=colour(key), linestyle=linestyle(key))
        ax.plot([middle], [row], color=colour(key), marker=marker(key))
    ax.set_yticks(range(len(names)), [label(item) for item in names])
    ax.set_ylim(
        len(names) - 0.5, -0.5
    )  # not by turning it over: Axes that share it would turn it back
    ax.grid(visible=False, axis="y")
    if zero is not None:
        ax.axvline(zero, color=NEUTRAL, linewidth=0.9)
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
    """Points with intervals over a log axis, the groups at one x set apart by a factor of `spread` each."""
    count = frame[group].nunique()
    for turn, (_, part, look) in enumerate(_series(frame, group)):
        ends = [part[y] - part[low], part[high] - part[y]]
        look = {**look, "linestyle": ""}
        ax.errorbar(
            part[x] * spread ** (turn - (count - 1) / 2), part[y], ends, elinewidth=1, **look
        )
    ax.set_xscale("log")
    ax.legend(ncols=2)
    return ax


def gallery(images: Sequence[Any], captions: Sequence[str], axes: Any) -> Any:
    """Pictures (anything `Axes.imshow` takes) with a caption under each, one Axes a picture; spare Axes are emptied."""
    cells = np.ravel(np.asarray(axes, dtype=object))
    if len(images) > len(cells) or len(images) != len(captions):
        raise ValueError(
            f"{len(images)} images and {len(captions)} captions do not fit {len(cells)} Axes: give as many"
        )
    for cell in cells:
        cell.set_axis_off()
    for cell, image, caption in zip(cells, images, captions, strict=False):
        cell.imshow(image)
        cell.set_title(
            caption, fontsize=7.5, fontweight="normal", loc="center", y=-0.02, va="top", pad=0
        )
    return axes


def transfer(frame: pd.DataFrame, axes: Any, *, least: float = 1e-7) -> Any:
    """What thresholds chosen for a wanted false-positive rate gave elsewhere, a column of two Axes for each set.

    frame: columns hasher, intended, set, fpr and tpr with fpr_low and fpr_high (nan: not known), as notebook 05's
    held_out. Above the rate that came out, with its interval and the line of what was wanted; below the share found.
    Rates under `least` lie on the lower edge.
    """
    for turn, (name, part) in enumerate(frame.groupby("set", sort=False)):
        above, below = np.asarray(axes)[:, turn]
        shown = part.assign(
            **{column: part[column].clip(lower=least) for column in ("fpr", "fpr_low", "fpr_high")}
        )
        side_by_side(
            shown, above, x="intended", y="fpr", low="fpr_low", high="fpr_high", spread=1.25
        )
        lines(part, below, x="intended", y="tpr", group="hasher", log="x")
        wanted = sorted(frame["intended"].unique())
        above.plot(wanted, wanted, ":", color=NEUTRAL, zorder=0)
        above.set(yscale="log", ylim=(least / 1.5, 0.1), title=str(name))
        below.set(
            xlabel="wanted rate (log scale)",
            ylim=(min(0.9, 0.95 * float(frame["tpr"].min())), 1.005),
        )
        above.tick_params(labelbottom=False)
        for ax in (above, below):
            ax.set_xlim(wanted[0] / 2, wanted[-1] * 2)
            ax.get_legend().remove()
            if turn:
                ax.tick_params(labelleft=False)
    first = np.asarray(axes)[:, 0]
    first[0].set_ylabel("false-positive rate that\ncame out (log scale)")
    first[1].set_ylabel("share of family\npairs found")
    return axes


def explorer(
    draw: Callable[..., Figure],
    actions: Mapping[str, Callable[..., str]] | None = None,
    **controls: Any,
) -> Any:
    """ipywidgets `controls` over the figure that `draw` makes of their values, redrawn whenever one of them moves.

    actions: what a button of that name does with the controls' values; the text that it returns is shown. The figure is
    an image widget: an output widget would want answers from the front end, and papermill has none.
    """
    from ipywidgets import HTML, Button, HBox, Image, VBox

    shown, said = Image(format="png"), HTML()

    def redraw(_change: Any = None) -> None:
        picture = BytesIO()
        try:
            fig = draw(**{name: control.value for name, control in controls.items()})
        except (
            OSError,
            ValueError,
        ) as error:  # a picture that cannot be read: said where the figure would be
            fig = plt.figure(figsize=(7, 0.6))
            fig.text(0, 0.5, str(error), fontsize=8, wrap=True)
        fig.savefig(picture, format="png", dpi=120, bbox_inches="tight")
        plt.close(fig)
        shown.value = picture.getvalue()

    def act(button: Any) -> None:
        try:
            text = (actions or {})[button.description](
                **{name: control.value for name, control in controls.items()}
            )
        except OSError as error:
            text = str(error)
        said.value = escape(text)

    buttons = [Button(description=name, layout={"width": "auto"}) for name in actions or {}]
    for button in buttons:
        button.on_click(act)
    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    return VBox([HBox([*controls.values(), *buttons]), shown, said])
