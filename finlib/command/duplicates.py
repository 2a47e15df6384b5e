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

from finlib.command import grouping, keeping, page
from finlib.command.detail import NO_DETAIL, measure_detail
from finlib.command.hashing import hash_into
from finlib.command.inputs import VISIBLE, Hashes, Selection, load
from finlib.command.keeping import Candidate
from finlib.command.output import check_page_output, check_table_output, say
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.hashing.hashers import prepared_name
from finlib.pools import in_threads

COLUMNS = ("keep", "others", "size")
HASHES_KIND = "hashes of duplicates"  # of the table of hashes beside the output
ALL_COLUMNS = (*COLUMNS, "why", "equal")
IMAGES_ON_THE_PAGE = 4000


def write_duplicates(
    folder: Path,
    output: Path,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    overwrite: bool,
    selection: Selection = VISIBLE,
    keep: Sequence[str] = ("detail",),
    level: str = "same-picture",
    radius: int | None = None,
    prepare: bool = False,
) -> None:
    """Write a table of the groups of alike images, and a page of them.

    keep: rules for which file to keep, as `keeping.read_rules` takes them.
    level, radius: what counts as a copy, as in `grouping`; no radius stands for its default.
    prepare: whether the pictures are prepared, as `hash_into` does it.
    The images' hashes are written, too: the next run only has to hash files that are new or
    changed.
    """
    keeping.read_rules(keep)
    grouping.check_level(level, radius)
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
        prepare=prepare,
    )
    if prepare and hasher:
        hasher = prepared_name(hasher)
    hashes = load(hashes_file, hasher, min_quality, workers)
    groups = find_duplicates(hashes, workers, keep, level, radius)
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
    hashes: Hashes,
    workers: int | None,
    keep: Sequence[str] = ("detail",),
    level: str = "same-picture",
    radius: int | None = None,
) -> pd.DataFrame:
    """Find groups of copies: a row per group, larger groups first.

    keep: the file to keep, chosen by the rules `keep`. A link is kept only where the group has
    nothing else.
    others: the other files, as a JSON list; those with the bytes of the kept file come first.
    size: the number of files.
    why: in words, why the first file is the one to keep.
    equal: the files that are byte for byte equal, as a JSON list with a list for each set of them.

    Files that cannot be seen now are in no group.
    """
    hashes = hashes.select(_find_present(hashes.files["path"]))
    exact = grouping.number_exact(hashes)
    alike = grouping.find_alike(hashes, exact, level, radius, workers)
    parts = grouping.list_linked(alike)
    candidates = _read_candidates(hashes, parts, keep, workers)
    criteria = keeping.read_rules(keep)
    row_of = {file.path: row for row, file in candidates.items()}

    def choose_row(rows: Sequence[int]) -> int:
        choice = keeping.choose([candidates[row] for row in rows], criteria)
        return row_of[choice.files[0].path]

    groups = []
    for part in parts:
        groups.extend(grouping.split_around(part, alike, choose_row))
    table_rows = []
    for group in sorted(groups, key=len, reverse=True):
        choice = keeping.choose([candidates[row] for row in group], criteria)
        order = [row_of[file.path] for file in choice.files]
        table_rows.append(_table_row(order, exact, hashes.files["path"], choice.why))
    return pd.DataFrame(table_rows, columns=list(ALL_COLUMNS))


def _table_row(
    order: Sequence[int], exact: NDArray[np.int64], paths: pd.Series, why: str
) -> tuple[str, str, int, str, str]:
    """The row of one group, whose files are given in order, the one to keep first."""
    kept, *others = order
    copies = [row for row in others if exact[row] == exact[kept]]
    different = [row for row in others if exact[row] != exact[kept]]
    rows_of: dict[int, list[int]] = {}
    for row in [kept, *copies, *different]:
        rows_of.setdefault(int(exact[row]), []).append(row)
    equal = [_list_paths(rows, paths) for rows in rows_of.values() if len(rows) > 1]
    return (
        paths.iloc[kept],
        _to_json(_list_paths(copies + different, paths)),
        len(order),
        why,
        _to_json(equal),
    )


def _list_paths(rows: Sequence[int], paths: pd.Series) -> list[str]:
    return [paths.iloc[row] for row in rows]


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _find_present(paths: pd.Series) -> NDArray[np.bool_]:
    """For each file, whether it, or a link of its name, can be seen now."""
    present = [os.path.lexists(text_to_path(path)) for path in paths]
    return np.array(present, bool)


def _read_candidates(
    hashes: Hashes, groups: Sequence[Sequence[int]], rules: Sequence[str], workers: int | None
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
    for keep, others, size, why, equal in groups[list(ALL_COLUMNS)].itertuples(index=False):
        caption = f"keep the first of {size}: {why}"
        for paths in json.loads(equal):
            names = ", ".join(os.path.basename(path) for path in paths)
            caption += f"; byte for byte equal: {names}"
        shown.append(page.Group(caption, [keep, *json.loads(others)]))
    return shown
