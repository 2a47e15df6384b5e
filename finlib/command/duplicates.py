"""Groups of alike images in a folder, the file to keep first: what `finlib duplicates` does.

It deletes nothing.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command.cluster import Corrections, cluster_files
from finlib.command.hashing import hash_into
from finlib.command.inputs import VISIBLE, Hashes, Selection, load
from finlib.command.output import check_page_output, check_table_output, say
from finlib.command.page import Group, write_page
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.matching import near

COLUMNS = ("keep", "others", "size")
HASHES_KIND = "hashes of duplicates"  # of the table of hashes beside the output
IMAGES_ON_THE_PAGE = 4000


def write_duplicates(
    folder: Path,
    output: Path,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    overwrite: bool,
    selection: Selection = VISIBLE,
) -> None:
    """Write a table of the groups of alike images, and a page of them.

    The images' hashes are written, too: the next run only has to hash files that are new or
    changed.
    """
    hashes_file = output.with_suffix(".hashes.parquet")
    page_file = output.with_suffix(".html")
    check_table_output(output, COLUMNS, overwrite)
    check_page_output(page_file, overwrite)
    hash_into(
        hashes_file,
        [str(folder)],
        hasher,
        workers=workers,
        prune=True,
        selection=selection,
        kind=HASHES_KIND,
    )
    hashes = load(hashes_file, hasher, min_quality, workers)
    groups = find_duplicates(hashes, workers)
    page = write_page(
        _caption_groups(groups),
        page_file,
        f"{folder}: duplicates",
        IMAGES_ON_THE_PAGE,
        workers,
    )
    tables.write_table(groups, output)
    redundant = (groups["size"] - 1).sum()
    say(f"{len(groups)} groups, and {redundant} files besides the ones to keep: {output}")
    if page.groups < len(groups):
        say(f"The first {page.groups} of the groups can be looked at: {page_file}")
    else:
        say(f"The groups can be looked at: {page_file}")


def find_duplicates(hashes: Hashes, workers: int | None) -> pd.DataFrame:
    """Find groups of alike files: a row per group, larger groups first.

    keep: the file to keep, which is the largest in pixels, then in bytes, then the oldest. A link
    is kept only where the group has nothing else.
    others: the other files, as a JSON list.
    size: the number of files.

    Files that cannot be seen now are in no group.
    """
    hashes = hashes.select(_find_present(hashes.files["path"]))
    resources = near.Resources(workers, progress=True)
    clusters = cluster_files(hashes, Corrections(), resources).table
    order = _rank(hashes.files, clusters)
    ranked = clusters.iloc[order]
    ranked = ranked[ranked["size"] > 1]
    rows = []
    for _, group in ranked.groupby("cluster", sort=False):
        keep, *others = group["path"]
        rows.append((keep, json.dumps(others, ensure_ascii=False), len(group)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _find_present(paths: pd.Series) -> NDArray[np.bool_]:
    """For each file, whether it, or a link of its name, can be seen now."""
    present = [os.path.lexists(text_to_path(path)) for path in paths]
    return np.array(present, bool)


def _rank(files: pd.DataFrame, clusters: pd.DataFrame) -> NDArray[np.int64]:
    """Order the rows: larger clusters first, and in a cluster the best file to keep first."""
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


def _caption_groups(groups: pd.DataFrame) -> list[Group]:
    """The groups as the page shows them."""
    shown = []
    for keep, others, size in groups[list(COLUMNS)].itertuples(index=False):
        files = [keep, *json.loads(others)]
        shown.append(Group(f"keep the first of {size}", files))
    return shown
