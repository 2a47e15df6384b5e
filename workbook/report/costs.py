"""The figure of what each method costs with more images: what `python -m workbook costs` records.

Nothing is measured here. The tables of the notebooks and of `scan`, `scale` and `scale --distance
rows` are read, and the costs at each number of images are calculated from them.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbook.report import style
from workbook.report.record import Recorder
from workbook.study import method_costs
from workbook.study.method_costs import PURE_PYTHON, ROWS, Tables

BASELINE = "01.json"
"""The file with the time of FINd in pure Python, which is quoted everywhere."""

SOURCES = (
    "02_memory.csv",
    "03_methods.csv",
    "04_executors.csv",
    "05_pairs_rate.csv",
    "scale_growth.csv",
    "scale_rows_growth.csv",
    "scan_rates.csv",
)
"""The tables that the costs are calculated from."""

LARGEST = max(method_costs.SIZES)
TIMES = {"1 ms": 1e-3, "1 s": 1, "1 min": 60, "1 h": 3600, "1 day": 86400, "1 year": 31557600}
SIZES_OF_MEMORY = {"16 KiB": 1 / 64, "1 MiB": 1, "32 MiB": 32, "1 GiB": 1024, "32 GiB": 32768}
LINE_STYLES: dict[str, Any] = {"hashing": "-", "every pair": ":", "clustering": "--"}
PYTHON_LOOK: dict[str, Any] = {"color": style.NEUTRAL, "marker": "D"}


def has_sources(figures: str | Path) -> bool:
    """Whether a folder has all tables that the costs are calculated from."""
    return all(Path(figures, name).is_file() for name in (BASELINE, *SOURCES))


def record(figures: str | Path = "figures") -> None:
    """Write costs_growth.csv, its figure and costs.json from the tables in the same folder.

    Raises FileNotFoundError, which names the file, where BASELINE or one of SOURCES is missing.
    """
    tables = read_tables(Path(figures))
    growth = method_costs.calculate(tables)
    recorder = Recorder("costs", figures)
    key = ["method", "work", "images"]
    recorder.figure("growth", draw(growth), growth, key=key)
    recorder.save()


def read_tables(figures: Path) -> Tables:
    """Read BASELINE and SOURCES.

    The rate of combined hashes is FINd's within a radius, times what notebook 05 measured for the
    two lengths when all distances were counted.
    """
    read = {name: pd.read_csv(figures / name) for name in SOURCES}
    scans = read["scan_rates.csv"]
    all_instructions = scans[scans["instructions"] == "all"].set_index("work")["per_second"]
    bits = float(all_instructions["pairs, hamming, radius 70"])
    rows = float(all_instructions["pairs, rows, radius 33"])
    counted = read["05_pairs_rate.csv"].set_index("name")["pairs_per_second"]
    longer = float(counted["find+dhash256"] / counted["find"])
    baseline = json.loads(Path(figures, BASELINE).read_text(encoding="utf-8"))
    memory = read["02_memory.csv"].set_index("version")["peak_mib"]
    return Tables(
        methods=read["03_methods.csv"],
        executors=read["04_executors.csv"],
        pair_rates={"find": bits, ROWS: rows, "find+dhash256": bits * longer},
        clusterings={"find": read["scale_growth.csv"], ROWS: read["scale_rows_growth.csv"]},
        python_ms=float(baseline["numbers"]["ms.total"]["value"]),
        python_mib=float(memory["pure Python"]),
    )


def draw(growth: pd.DataFrame) -> Figure:
    """Draw processor time, memory and wall-clock time against the number of images."""
    style.use_style()
    fig = plt.figure(figsize=(style.WIDTH, 7.4))
    panels = fig.subplot_mosaic([["cpu_s", "cpu_s"], ["mib", "seconds"]])
    draw_panel(growth, panels["cpu_s"], "cpu_s", "processor time, all cores", TIMES)
    draw_panel(growth, panels["mib"], "mib", "memory", SIZES_OF_MEMORY)
    draw_panel(growth, panels["seconds"], "seconds", "wall-clock time", TIMES)
    fig.legend(handles=legend(growth), loc="outside lower center", ncols=3)
    style.headline(fig, headline_of(growth))
    return fig


def draw_panel(
    growth: pd.DataFrame, ax: Axes, resource: str, name: str, ticks: dict[str, float]
) -> Axes:
    """Draw one resource: a line for each method and work, filled marks where it was measured."""
    for (method, work), rows in growth.groupby(["method", "work"], sort=False):
        ordered = rows.sort_values("images")
        look = look_of(str(method))
        ax.plot(
            ordered["images"],
            ordered[resource],
            linestyle=LINE_STYLES[str(work)],
            linewidth=1.1,
            markerfacecolor="white",
            markersize=4,
            **look,
        )
        measured = ordered[ordered["measured"]]
        ax.plot(measured["images"], measured[resource], linestyle="", markersize=4, **look)
    ax.set(xscale="log", yscale="log", xlabel="images (log scale)")
    ax.set_ylabel(f"{name} (log scale)")
    ax.set_yticks(list(ticks.values()), list(ticks))
    ax.minorticks_off()
    lowest = min(ticks.values())
    ax.set_ylim(bottom=lowest)
    return ax


def look_of(method: str) -> dict[str, Any]:
    """The colour and marker of a method."""
    if method == PURE_PYTHON:
        return PYTHON_LOOK
    return {"color": style.colour(method), "marker": style.marker(method)}


def legend(growth: pd.DataFrame) -> list[Line2D]:
    """What colours, line styles and filled marks stand for."""
    handles = []
    for method in growth["method"].unique():
        look = look_of(method)
        handles.append(Line2D([], [], markersize=4, label=style.label(method), **look))
    for work, line in LINE_STYLES.items():
        handles.append(Line2D([], [], color="black", linestyle=line, label=work))
    for text, face in [("measured", "black"), ("calculated", "white")]:
        mark = Line2D([], [], color="black", marker="o", linestyle="", markersize=4)
        mark.set_markerfacecolor(face)
        mark.set_label(text)
        handles.append(mark)
    return handles


def headline_of(growth: pd.DataFrame) -> str:
    """What the figure shows, in a sentence computed from it."""
    largest = growth[growth["images"] == LARGEST].set_index(["method", "work"])["cpu_s"]
    hashed = float(largest["dhash256", "hashing"])
    clustered = float(largest[ROWS, "clustering"])
    by_pairs = float(largest[ROWS, "every pair"])
    python = float(largest[PURE_PYTHON, "hashing"])
    return (
        f"A hundred million images: one core needs {duration(hashed)} to hash them "
        f"({duration(python)} in pure Python), {duration(clustered)} to cluster them by rows, "
        f"and {duration(by_pairs)} for every pair"
    )


def duration(seconds: float) -> str:
    """A time in the largest unit of which it has at least two: "15 minutes", "6 hours"."""
    units = [("days", 86400), ("hours", 3600), ("minutes", 60)]
    for name, length in units:
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {name}"
    return f"{seconds:,.0f} seconds"
