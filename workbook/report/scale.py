"""Measure how matching and clustering cope with millions of hashes, for `python -m workbook scale`.

The command writes the tables scale_*.csv, and scale.json with the machine and the date. They stay
until the command is run again; notebook 06 and the report show them as results of a run of their
own.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbook.report.record import Recorder, stamp
from workbook.report.row_distances import hash_set
from workbook.study import (
    captioned_web,
    clusterings,
    growth,
    lookups,
    scale,
    timing,
    web_like,
)

RIVAL_SIZE = 10_000
"""Hashes in each of the sets on which clustering algorithms are compared."""

ROW_RIVAL_SIZES = (10_000, 30_000)
"""Hashes of captioned pictures on which they are compared by rows, and FAISS's indexes beside."""

RECALL_SIZES = (100_000, 1_000_000)
"""Numbers of hashes for which recall is measured at each distance."""

LARGEST_DETAIL = 1_000_000
"""The most hashes of the measurements that repeat one piece of work in several ways."""

JOIN_RADIUS = 70
"""Bits; the radius at which ways to find all close pairs are compared."""


LOOKUPS = {1_000_000: 18, 10_000_000: 14, 100_000_000: 11}
"""Numbers of stored hashes that look-ups are measured among, and the radius for each, at which few
unrelated hashes match."""

USUAL_LOOKUPS = 10_000_000
"""The most stored hashes where no other number is asked for."""

LOOKUP_MINUTES = (0.7, 0.12)
"""What a size takes: minutes for each, and for each million stored hashes, roughly."""

LOOKUP_GIB = 0.13
"""Memory at the peak for each million stored hashes: hashes, row keys, and what is drawn."""

SAME_RUN = ("cpu", "cores", "versions", "commit")
"""What of a stamp has to be the same for two runs to be one that was interrupted."""

SECONDS_PER_MILLION = 14
"""How long drawing, clustering and scoring a million hashes by rows takes, roughly."""


LabelledHashes = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Packed hashes uint8[n, bits // 8] and the family of each."""


def measure_scale(out: str | Path = "figures", largest: int | None = None) -> None:
    """Measure clustering on ever larger sets of hashes.

    Each table is written to the folder `out` as soon as it is complete.

    largest: the most hashes to cluster; None for all of `scale.SIZES`. Raises ValueError where that
    is less than the smallest set has.
    """
    sizes = chosen_sizes(largest)
    detail_size = min(sizes[-1], LARGEST_DETAIL)
    recorder = Recorder("scale", out)

    rivals = clusterings.compare(rival_sets())
    write_table(recorder, "rivals", rivals, ["set", "method"])

    recall = measure_recall(sizes[-1])
    write_table(recorder, "recall", recall, ["n", "distance"])

    daily = scale.daily(detail_size)
    write_table(recorder, "daily", daily, ["way", "images"])

    growth_rows: list[dict[str, float]] = []
    for size in sizes:
        row = timing.in_fresh_process(scale.measured, size)
        growth_rows.append(row)
        write_table(recorder, "growth", pd.DataFrame(growth_rows), "n")
    if len(growth_rows) > 3:  # three sizes fit the power law, and the largest tests it
        prediction = predict_largest(pd.DataFrame(growth_rows))
        write_table(recorder, "law", prediction, "work")

    joins = scale.joins(detail_size, JOIN_RADIUS)
    write_table(recorder, "joins", joins, "way")


def measure_scale_by_rows(out: str | Path = "figures", largest: int | None = None) -> None:
    """Measure the clustering of dHashes by rows, up to a hundred million of them.

    The hashes are drawn after the built-in families, see `captioned_web`. Tables and arguments are
    as for `measure_scale`, and their names begin with scale_rows. An interrupted run resumes: the
    sizes that the same commit has measured on the same machine are kept.
    """
    sizes = chosen_sizes(largest, scale.ROW_SIZES)
    growth_rows = measured_before(Path(out), "scale_rows", sizes)
    done = len(growth_rows)
    if done:
        print(f"{done} sizes were measured by this commit on this machine, and are kept")
    minutes = sum(sizes[done:]) * SECONDS_PER_MILLION / 1e6 / 60
    print(f"clustering up to {sizes[-1]:,} hashes takes about {minutes:.0f} minutes", flush=True)
    recorder = Recorder("scale_rows", out)
    pictures = measure_built_in()

    recall = scale.recall_by_rows(min(sizes[-1], LARGEST_DETAIL), pictures)
    write_table(recorder, "recall", recall, ["n", "passes", "distance"])

    keys = scale.keys_by_bits(min(sizes[-1], LARGEST_DETAIL), pictures)
    write_table(recorder, "keys", keys, ["n", "keys", "passes", "distance"])

    rivals = compare_by_rows(sizes[-1], pictures)
    write_table(recorder, "rivals", rivals, ["n", "distance", "method"])

    for size in sizes[done:]:
        row = timing.in_fresh_process(scale.measured_by_rows, size, pictures)
        growth_rows.append(row)
        write_table(recorder, "growth", pd.DataFrame(growth_rows), "n")
    if len(growth_rows) > 3:
        prediction = predict_largest(pd.DataFrame(growth_rows))
        write_table(recorder, "law", prediction, "work")


def compare_by_rows(largest: int, pictures: captioned_web.Measured) -> pd.DataFrame:
    """Compare clusterings on dHashes of captioned pictures, at each of ROW_RIVAL_SIZES."""
    tables = []
    for size in ROW_RIVAL_SIZES:
        if size <= largest:
            packed, family = captioned_web.draw(size, pictures)
            tables.append(clusterings.compare_by_rows(packed, family))
    return pd.concat(tables, ignore_index=True)


def measured_before(out: Path, name: str, sizes: Sequence[int]) -> list[dict[str, float]]:
    """The first rows of the table of growth that an interrupted run of this commit has left.

    name: of the command whose results they are. None are there where the commit, the machine or the
    versions differ, or the rows are of other sizes.
    """
    results = out / f"{name}.json"
    growth_table = out / f"{name}_growth.csv"
    if not results.is_file() or not growth_table.is_file():
        return []
    saved = json.loads(results.read_text(encoding="utf-8"))
    now = stamp()
    is_same_run = all(saved["stamp"].get(what) == now[what] for what in SAME_RUN)
    if not is_same_run or "growth" not in saved["keys"]:
        return []
    table = pd.read_csv(growth_table)
    if table["n"].tolist() != list(sizes[: len(table)]):
        return []
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def measure_built_in() -> captioned_web.Measured:
    """Measure the built-in families for `captioned_web.draw`."""
    hashed = hash_set("")
    _, family = np.unique(hashed.labels, return_inverse=True)
    return captioned_web.measure(hashed.dhash, family)


def measure_lookups(out: str | Path = "figures", largest: int | None = None) -> None:
    """Measure look-ups among ever more stored dHashes, by row keys and by comparing all of them.

    The table lookups_growth.csv is written after each size. largest: the most stored hashes; None
    for USUAL_LOOKUPS. A message says beforehand how long it takes and how much memory.
    """
    sizes = chosen_sizes(largest or USUAL_LOOKUPS, tuple(LOOKUPS))
    a_size, a_million = LOOKUP_MINUTES
    minutes = a_size * len(sizes) + a_million * sum(sizes) / 1e6
    memory = LOOKUP_GIB * sizes[-1] / 1e6
    print(
        f"look-ups among up to {sizes[-1]:,} stored hashes take about {minutes:.0f} minutes and "
        f"{memory:.1f} GiB of memory",
        flush=True,
    )
    recorder = Recorder("lookups", out)
    pictures = measure_built_in()
    tables: list[pd.DataFrame] = []
    for size in sizes:
        tables.append(lookups.measure(size, pictures, LOOKUPS[size]))
        table = pd.concat(tables, ignore_index=True)
        write_table(recorder, "growth", table, ["n", "way", "batch"])


def chosen_sizes(largest: int | None, possible: Sequence[int] = scale.SIZES) -> list[int]:
    """The possible sizes up to `largest`; ValueError where there is none."""
    if largest is None:
        return list(possible)
    sizes = [size for size in possible if size <= largest]
    if not sizes:
        smallest = possible[0]
        raise ValueError(
            f"--largest {largest} leaves nothing to measure: the smallest set has {smallest:,} "
            "hashes"
        )
    return sizes


def rival_sets() -> dict[str, LabelledHashes]:
    """Draw the simulated sets on which clustering algorithms are compared, by name."""
    return {
        "families of 54": web_like.draw(RIVAL_SIZE, size=54),
        "web-like": web_like.draw(RIVAL_SIZE),
        "web-like, skewed bits": web_like.draw(RIVAL_SIZE, skewed=True),
        "web-like, 512 bits": web_like.draw(RIVAL_SIZE, bits=512),
    }


def measure_recall(largest: int) -> pd.DataFrame:
    """The recall of each of the `RECALL_SIZES` up to a number of hashes, one below the other."""
    tables = []
    for size in RECALL_SIZES:
        if size <= largest:
            tables.append(scale.recall(size))
    return pd.concat(tables, ignore_index=True)


def predict_largest(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare the largest run's time with a power law fitted to the smaller ones.

    The columns are those of `growth.predicted`.

    runs: columns n and seconds, the largest n last.
    """
    smaller = runs.iloc[:-1]
    largest = runs.iloc[-1]
    model = growth.power_law(smaller["n"], smaller["seconds"])
    measured = (float(largest["n"]), float(largest["seconds"]))
    return growth.predicted(
        {"clustering": model},
        {"clustering": measured},
    )


def write_table(
    recorder: Recorder,
    slug: str,
    table: pd.DataFrame,
    key: str | list[str],
) -> None:
    """Save a table with all that was recorded before it, and print it."""
    recorder.table(slug, table, key)
    recorder.save()
    print(slug)
    print(table.round(4).to_string(index=False), flush=True)
