"""Groups of alike images in a folder, the file to keep first: what `finlib duplicates` does.

It deletes nothing.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from finlib.command import keeping, page
from finlib.command.cluster import Corrections, cluster_files
from finlib.command.detail import NO_DETAIL, measure_detail
from finlib.command.hashing import hash_into
from finlib.command.inputs import Hashes, load
from finlib.command.keeping import Candidate
from finlib.command.output import check_page_output, check_table_output, say
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.matching import near
from finlib.pools import in_threads

Group = NDArray[np.int64]

COLUMNS = ("keep", "others", "size")
ALL_COLUMNS = (*COLUMNS, "why")
IMAGES_ON_THE_PAGE = 4000


def write_duplicates(
    folder: Path,
    output: Path,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    overwrite: bool,
    keep: Sequence[str] = ("detail",),
) -> None:
    """Write a table of the groups of alike images, and a page of them.

    keep: rules for which file to keep, as `keeping.read_rules` takes them.
    The images' hashes are written, too: the next run only has to hash files that are new or
    changed.
    """
    keeping.read_rules(keep)
    hashes_file = output.with_suffix(".hashes.parquet")
    page_file = output.with_suffix(".html")
    check_table_output(output, COLUMNS, overwrite)
    check_page_output(page_file, overwrite)
    hash_into(hashes_file, [str(folder)], hasher, workers=workers, prune=True)
    hashes = load(hashes_file, hasher, min_quality, workers)
    groups = find_duplicates(hashes, workers, keep)
    shown = page.write_page(
        _caption_groups(groups),
        page_file,
        f"{folder}: duplicates",
        IMAGES_ON_THE_PAGE,
        workers,
    )
    tables.write_table(groups, output)
    redundant = (groups["size"] - 1).sum()
    say(f"{len(groups)} groups, and {redundant} files besides the ones to keep: {output}")
    if shown.groups < len(groups):
        say(f"The first {shown.groups} of the groups can be looked at: {page_file}")
    else:
        say(f"The groups can be looked at: {page_file}")


def find_duplicates(
    hashes: Hashes, workers: int | None, keep: Sequence[str] = ("detail",)
) -> pd.DataFrame:
    """Find groups of alike files: a row per group, larger groups first.

    keep: the file to keep, chosen by the rules `keep`. A link is kept only where the group has
    nothing else.
    others: the other files, as a JSON list.
    size: the number of files.
    why: in words, why the first file is the one to keep.

    Files that cannot be seen now are in no group.
    """
    hashes = hashes.select(_find_present(hashes.files["path"]))
    groups = _find_groups(hashes, workers)
    candidates = _read_candidates(hashes, groups, keep, workers)
    criteria = keeping.read_rules(keep)
    rows = []
    for group in groups:
        choice = keeping.choose([candidates[row] for row in group], criteria)
        kept, *others = [file.path for file in choice.files]
        rows.append((kept, json.dumps(others, ensure_ascii=False), len(group), choice.why))
    return pd.DataFrame(rows, columns=list(ALL_COLUMNS))


def _find_present(paths: pd.Series) -> NDArray[np.bool_]:
    """For each file, whether it, or a link of its name, can be seen now."""
    present = [os.path.lexists(text_to_path(path)) for path in paths]
    return np.array(present, bool)


def _find_groups(hashes: Hashes, workers: int | None) -> list[Group]:
    """The rows of the files of each cluster of two files or more, larger clusters first."""
    resources = near.Resources(workers, progress=True)
    clusters = cluster_files(hashes, Corrections(), resources).table
    groups = [rows for rows in clusters.groupby("cluster").indices.values() if len(rows) > 1]
    return sorted(groups, key=len, reverse=True)


def _read_candidates(
    hashes: Hashes, groups: Sequence[Group], rules: Sequence[str], workers: int | None
) -> dict[int, Candidate]:
    """What the rules have to know of each file in a group, by its row."""
    rows = [int(row) for group in groups for row in group]
    paths = [hashes.files["path"].iloc[row] for row in rows]
    if keeping.needs_detail(rules):
        measured = in_threads(measure_detail, ((text_to_path(path),) for path in paths), workers)
        details = list(tqdm(measured, total=len(paths), unit="file", disable=None))
    else:
        details = [NO_DETAIL] * len(paths)
    files = hashes.files.iloc[rows]
    candidates = {}
    for row, detail, file in zip(rows, details, files.itertuples(), strict=True):
        candidates[row] = Candidate(
            path=file.path,
            is_link=os.path.islink(text_to_path(file.path)),
            width=int(file.width),
            height=int(file.height),
            size=int(file.bytes),
            modified_ns=int(file.modified_ns),
            detail=detail,
        )
    return candidates


def _caption_groups(groups: pd.DataFrame) -> list[page.Group]:
    """The groups as the page shows them."""
    shown = []
    for keep, others, size, why in groups[list(ALL_COLUMNS)].itertuples(index=False):
        files = [keep, *json.loads(others)]
        shown.append(page.Group(f"keep the first of {size}: {why}", files))
    return shown
