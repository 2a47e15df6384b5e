"""Groups of alike images in folders, the file to keep first: what `finlib duplicates` does.

It deletes nothing.
"""

import json
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command import actions, grouping, keeping, measured, page, turned, verdicts
from finlib.command.detail import NO_DETAIL
from finlib.command.hashing import hash_into
from finlib.command.inputs import VISIBLE, Hashes, Selection, load
from finlib.command.keeping import Candidate, Choice, Criterion
from finlib.command.names import file_key, find_inside
from finlib.command.output import (
    check_page_output,
    check_side_file,
    check_table_output,
    is_printed,
    name_output,
    say,
)
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.hashing.hashers import prepared_name
from finlib.hashing.images import scan_folder
from finlib.pools import in_threads

COLUMNS = ("keep", "others", "size")
HASHES_KIND = "hashes of duplicates"  # of the table of hashes beside the output
GROUP_COLUMNS = (*COLUMNS, "why", "equal", "distances")  # of a table without frames
IMAGES_ON_THE_PAGE = 4000
PAGE_KIND = "duplicates"


@dataclass(frozen=True)
class DuplicatesRun:
    """A search for copies, as a person asks for it.

    sources: folders of images. references: folders whose files are compared with the others, and
        are never proposed for removal.
    keep: rules for which file to keep, as `keeping.read_rules` takes them.
    level, radius: what counts as a copy, as in `grouping`; no radius stands for its default.
    corrections: a table of verdicts; None for those alone that are remembered.
    then: what else is written, one of `actions.ACTIONS`; None for nothing.
    prepare: whether the pictures are prepared, as `hash_into` does it.
    """

    sources: Sequence[Path]
    references: Sequence[Path] = ()
    hasher: str | None = None
    min_quality: float = 0
    selection: Selection = VISIBLE
    keep: Sequence[str] = ("detail",)
    level: str = "same-picture"
    radius: int | None = None
    corrections: Path | None = None
    then: str | None = None
    prepare: bool = False
    workers: int | None = None

    def write(self, output: Path, overwrite: bool = False) -> None:
        """Write a table of the groups of alike images, and a page of them.

        The images' hashes are written, too: the next run only has to hash files that are new or
        changed. The verdicts are remembered, and applied by the next run.
        """
        hashes_file = output.with_suffix(".hashes.parquet")
        turned_file = output.with_suffix(".turned.parquet")
        detail_file = output.with_suffix(".detail.parquet")
        page_file = output.with_suffix(".html")
        self._check()
        check_table_output(output, COLUMNS, overwrite, (self.corrections,))
        check_page_output(page_file, PAGE_KIND, overwrite)
        check_side_file(turned_file, turned.KIND)
        check_side_file(detail_file, measured.KIND)
        verdicts.check_verdicts_file(output)
        if self.then is not None:
            actions.check_output(self.then, output, overwrite)
            if is_printed(output):
                raise ValueError("--then writes a file beside the output: give -o a name, not -.")
        judged = verdicts.gather(self.corrections, output)
        hash_into(
            hashes_file,
            [str(folder) for folder in (*self.references, *self.sources)],
            self.hasher,
            workers=self.workers,
            prune=True,
            selection=self.selection,
            kind=HASHES_KIND,
            prepare=self.prepare,
        )
        hasher = self.hasher
        if self.prepare and hasher:
            hasher = prepared_name(hasher)
        hashes = load(hashes_file, hasher, self.min_quality, self.workers)
        groups = find_duplicates(
            hashes,
            self.workers,
            self.keep,
            self.level,
            self.radius,
            judged=judged,
            is_reference=self._find_references(hashes),
            turned_file=turned_file,
            detail_file=detail_file,
        )
        tables.write_table(groups, output)
        redundant = (groups["size"] - 1).sum()
        say(
            f"{len(groups)} groups, and {redundant} files besides the ones to keep: "
            f"{name_output(output)}"
        )
        if is_printed(output):
            return
        verdicts.remember(judged, hashes.files, output)
        self._write_page(groups, page_file, output)
        if self.then is not None:
            sizes = dict(zip(hashes.files["path"], hashes.files["bytes"], strict=True))
            actions.write_action(self.then, groups, sizes, output)

    def _write_page(self, groups: pd.DataFrame, page_file: Path, output: Path) -> None:
        shown = page.write_page(
            _caption_groups(groups),
            page_file,
            f"{', '.join(map(str, self.sources))}: duplicates",
            IMAGES_ON_THE_PAGE,
            self.workers,
            kind=PAGE_KIND,
            scripts=actions.begin_scripts(output),
        )
        if shown.groups < len(groups):
            say(f"The first {shown.groups} of the groups can be looked at: {page_file}")
        else:
            say(f"The groups can be looked at: {page_file}")

    def _check(self) -> None:
        """ValueError where the rules, the level or what comes then make no sense."""
        keeping.read_rules(self.keep)
        grouping.check_level(self.level, self.radius)
        if self.then is not None:
            actions.check_action(self.then)

    def _find_references(self, hashes: Hashes) -> NDArray[np.bool_]:
        """For each file, whether it is in a reference folder, by any of its names."""
        paths = hashes.files["path"]
        is_reference = find_inside(paths, self.references)
        hidden, exclude = self.selection
        keys: set[Hashable] = set()
        for folder in self.references:
            images = scan_folder(folder, hidden=hidden, exclude=exclude).images
            keys.update(file_key(image) for image in images)
        for row in np.flatnonzero(~is_reference) if keys else ():
            is_reference[row] = file_key(text_to_path(paths.iloc[row])) in keys
        return is_reference


def find_duplicates(
    hashes: Hashes,
    workers: int | None,
    keep: Sequence[str] = ("detail",),
    level: str = "same-picture",
    radius: int | None = None,
    *,
    judged: pd.DataFrame = verdicts.NO_VERDICTS,
    is_reference: NDArray[np.bool_] | None = None,
    turned_file: Path | None = None,
    detail_file: Path | None = None,
) -> pd.DataFrame:
    """Find groups of copies: a row per group, larger groups first.

    keep: the file to keep, chosen by the rules `keep`. A link is kept only where the group has
    nothing else.
    others: the other files, as a JSON list; those with the bytes of the kept file come first.
    size: the number of files.
    why: in words, why the first file is the one to keep.
    equal: the files that are byte for byte equal, as a JSON list with a list for each set of them.
    distances: those of the other files from the kept one, in bits, as a JSON list.
    frames, duration_ms: the number of frames or pages of the kept file, and how long they last
        together; a still picture has 1 and 0. The other files have the same, unless a person has
        put them into the group.

    judged: verdicts of a person, which go before what the hashes say. is_reference: for each file,
    whether it is one of a reference folder, which is kept before all others and is never one of
    `others`. turned_file: as for `grouping.find_alike`. detail_file: where the detail of pictures
    is kept from run to run; None where it is not. Files that cannot be seen now are in no group.
    """
    if is_reference is None:
        is_reference = np.zeros(len(hashes.files), bool)
    is_present = _find_present(hashes.files["path"])
    hashes = hashes.select(is_present)
    exact = grouping.number_exact(hashes)
    alike = grouping.find_alike(hashes, exact, level, radius, workers, turned_file)
    rows = verdicts.find_rows(judged, hashes.files)
    if level != "exact":
        alike = grouping.link_by_hand(hashes, alike, rows.together)
    parts = grouping.list_linked(alike)
    chooser = _Chooser(hashes, is_reference[is_present], rows.keep, keep)
    chooser.read_candidates(parts, workers, detail_file)
    apart = _partners_of(rows.apart)
    table_rows = []
    for part in parts:
        for group in grouping.split_around(part, alike, chooser.choose_row, apart):
            order, why = chooser.order(group)
            if len(order) > 1:
                table_rows.append(_table_row(order, exact, hashes, alike, why))
    table = _add_frames(pd.DataFrame(table_rows, columns=list(GROUP_COLUMNS)), workers)
    return table.sort_values("size", ascending=False, kind="stable", ignore_index=True)


def _add_frames(groups: pd.DataFrame, workers: int | None) -> pd.DataFrame:
    """The groups with the columns frames and duration_ms, which are read from the kept files."""
    paths = ((path,) for path in groups["keep"])
    counted = list(in_threads(grouping.count_frames, paths, workers))
    frames = [each.frames for each in counted]
    milliseconds = [round(each.duration) for each in counted]
    return groups.assign(
        frames=np.array(frames, np.int64),
        duration_ms=np.array(milliseconds, np.int64),
    )


def _partners_of(pairs: NDArray[np.int64]) -> dict[int, set[int]]:
    """For each row of some pairs, the rows that it is paired with."""
    partners: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        partners.setdefault(one, set()).add(other)
        partners.setdefault(other, set()).add(one)
    return partners


class _Chooser:
    """Chooses the file to keep: one of a reference folder, or the one that a person has chosen, or
    the best by the rules.
    """

    def __init__(
        self,
        hashes: Hashes,
        is_reference: NDArray[np.bool_],
        chosen: NDArray[np.int64],
        rules: Sequence[str],
    ) -> None:
        self.hashes = hashes
        self.is_reference = is_reference
        self.chosen = chosen.tolist()
        self.rules = rules
        self.candidates: dict[int, Candidate] = {}
        paths = hashes.files["path"]
        self.row_of = dict(zip(paths, range(len(paths)), strict=True))
        reference_paths = set(paths[is_reference])
        self.criteria = [keeping.prefer(reference_paths, "in a reference folder, the other is not")]
        self.rule_criteria = keeping.read_rules(rules)

    def read_candidates(
        self, parts: Sequence[Sequence[int]], workers: int | None, detail_file: Path | None
    ) -> None:
        """Read what the rules have to know of each file in the parts."""
        rows = [int(row) for part in parts for row in part]
        files = self.hashes.files.iloc[rows]
        if keeping.needs_detail(self.rules):
            details = measured.measure_details(files, detail_file, workers)
        else:
            details = [NO_DETAIL] * len(rows)
        for row, detail, file in zip(rows, details, files.itertuples(), strict=True):
            self.candidates[row] = Candidate(
                path=file.path,
                is_link=os.path.islink(text_to_path(file.path)),
                width=int(file.width),
                height=int(file.height),
                size=int(file.bytes),
                modified_ns=int(file.modified_ns),
                detail=detail,
            )
        for part in parts:
            candidates = keeping.find_sources([self.candidates[int(row)] for row in part])
            self.candidates.update(zip(map(int, part), candidates, strict=True))

    def choose_row(self, rows: Sequence[int]) -> int:
        """The row of the file to keep of these."""
        return self.row_of[self._choose(rows).files[0].path]

    def order(self, rows: Sequence[int]) -> tuple[list[int], str]:
        """The file to keep and those proposed for removal, in order, and why the first is kept."""
        choice = self._choose(rows)
        kept, *others = [self.row_of[file.path] for file in choice.files]
        removable = [row for row in others if not self.is_reference[row]]
        return [kept, *removable], choice.why

    def _choose(self, rows: Sequence[int]) -> Choice:
        files = [self.candidates[row] for row in rows]
        criteria = [*self.criteria, *self._prefer_chosen(rows), *self.rule_criteria]
        return keeping.choose(files, criteria)

    def _prefer_chosen(self, rows: Sequence[int]) -> list[Criterion]:
        """The criterion of what a person has chosen among these rows, where that is anything."""
        among = set(rows)
        judged = [pair for pair in self.chosen if among.issuperset(pair)]
        passed_over = {other for _, other in judged}
        chosen = {row for row, _ in judged} - passed_over
        if not chosen:
            return []
        paths = {self.candidates[row].path for row in chosen}
        return [keeping.prefer(paths, "chosen by hand")]


def _table_row(
    order: Sequence[int], exact: NDArray[np.int64], hashes: Hashes, alike: grouping.Alike, why: str
) -> tuple[str, str, int, str, str, str]:
    """The row of one group, whose files are given in order, the one to keep first."""
    paths = hashes.files["path"]
    kept, *others = order
    copies = [row for row in others if exact[row] == exact[kept]]
    different = [row for row in others if exact[row] != exact[kept]]
    rows_of: dict[int, list[int]] = {}
    for row in [kept, *copies, *different]:
        rows_of.setdefault(int(exact[row]), []).append(row)
    equal = [_list_paths(rows, paths) for rows in rows_of.values() if len(rows) > 1]
    distances = [
        grouping.measure_distance(hashes, alike, kept, row) for row in [*copies, *different]
    ]
    return (
        paths.iloc[kept],
        _to_json(_list_paths(copies + different, paths)),
        len(order),
        why,
        _to_json(equal),
        _to_json(distances),
    )


def _list_paths(rows: Sequence[int], paths: pd.Series) -> list[str]:
    return [paths.iloc[row] for row in rows]


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _find_present(paths: pd.Series) -> NDArray[np.bool_]:
    """For each file, whether it, or a link of its name, can be seen now."""
    present = [os.path.lexists(text_to_path(path)) for path in paths]
    return np.array(present, bool)


def _caption_groups(groups: pd.DataFrame) -> list[page.Group]:
    """The groups as the page shows them."""
    shown = []
    for group in groups.itertuples(index=False):
        caption = f"keep the first of {group.size}: {group.why}"
        if group.frames > 1:
            caption += f"; {_describe_film(group.frames, group.duration_ms)}"
        for paths in json.loads(group.equal):
            names = ", ".join(os.path.basename(path) for path in paths)
            caption += f"; byte for byte equal: {names}"
        notes = ["the one to keep"]
        notes += [f"{distance} bits from it" for distance in json.loads(group.distances)]
        shown.append(page.Group(caption, [group.keep, *json.loads(group.others)], notes))
    return shown


def _describe_film(frames: int, milliseconds: int) -> str:
    """The length of a file of several frames; pages have no duration."""
    if milliseconds == 0:
        return f"{frames} frames or pages"
    return f"{frames} frames in {milliseconds / 1000:g} s"
