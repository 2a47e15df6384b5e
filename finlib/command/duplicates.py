"""Groups of alike images in a folder, the file to keep first: what `finlib duplicates` does. It
deletes nothing.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command.cluster import Corrections, cluster_files
from finlib.command.hashing import hash_into
from finlib.command.inputs import Hashes, load
from finlib.command.output import check_page_output, check_table_output, say
from finlib.command.page import Group, write_page
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.matching import near

COLUMNS = ("keep", "others", "size")
IMAGES_ON_THE_PAGE = 4000


def write_duplicates(
    folder: Path,
    output: Path,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Write the table of groups of alike images, and beside it a page of them and the table of the
    images' hashes.

    The hashes serve the next run, which only has to hash files that are new or changed.
    """
    hashes_file = output.with_suffix(".hashes.parquet")
    page_file = output.with_suffix(".html")
    check_table_output(output, COLUMNS, overwrite)
    check_page_output(page_file, overwrite)
    hash_into(hashes_file, [str(folder)], hasher, workers=workers, prune=True)
    groups = find_duplicates(load(hashes_file, hasher, min_quality, workers), workers)
    page = write_page(
        _page_groups(groups), page_file, f"{folder}: duplicates", IMAGES_ON_THE_PAGE, workers
    )
    tables.write_table(groups, output)
    redundant = (groups["size"] - 1).sum()
    say(
        f"{len(groups)} groups, with {redundant} files in addition to the {len(groups)} to keep: "
        f"{output}"
    )
    if page.groups < len(groups):
        say(f"The first {page.groups} groups to look at: {page_file}")
    else:
        say(f"All groups to look at: {page_file}")


def find_duplicates(hashes: Hashes, workers: int | None) -> pd.DataFrame:
    """A row per group of alike files: the one to keep, the others as a JSON list, their number;
    larger groups first.

    The file to keep is the largest in pixels, then in bytes, then the oldest; a link only where the
    group has nothing else. Files that cannot be seen now are in no group.
    """
    hashes = hashes.select(_are_present(hashes.files["path"]))
    clusters = cluster_files(hashes, Corrections(), near.Resources(workers, progress=True)).table
    order = _best_first(hashes.files, clusters)
    ranked = clusters.iloc[order]
    ranked = ranked[ranked["size"] > 1]
    rows = []
    for _, group in ranked.groupby("cluster", sort=False):
        keep, *others = group["path"]
        rows.append((keep, json.dumps(others, ensure_ascii=False), len(group)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _are_present(paths: pd.Series) -> NDArray[np.bool_]:
    """For each file, whether it, or a link of its name, can be seen now."""
    return np.array([os.path.lexists(text_to_path(path)) for path in paths], bool)


def _best_first(files: pd.DataFrame, clusters: pd.DataFrame) -> NDArray[np.int64]:
    """Rows by the size of their cluster, largest first, and within a cluster from the best file to
    keep to the worst.
    """
    is_link = [os.path.islink(text_to_path(path)) for path in files["path"]]
    pixels = files["width"].astype(np.int64) * files["height"]
    least_important_first = (
        files["modified_ns"],
        -files["bytes"],
        -pixels,
        is_link,
        clusters["cluster"],
        -clusters["size"],
    )
    return np.lexsort(least_important_first)


def _page_groups(groups: pd.DataFrame) -> list[Group]:
    """The groups as they are shown on the page."""
    shown = []
    for keep, others, size in groups[list(COLUMNS)].itertuples(index=False):
        shown.append(Group(f"keep the first of {size}", [keep, *json.loads(others)]))
    return shown
