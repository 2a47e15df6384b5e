"""A table of hashes that only grows: what `finlib hash` does."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from finlib.command.inputs import VISIBLE, Selection, list_files
from finlib.command.names import choose_names
from finlib.command.output import (
    check_side_file,
    check_table_output,
    is_printed,
    keep_parts,
    say,
    say_errors,
)
from finlib.files import FileState, path_to_text, text_to_path
from finlib.hashing import execution, tables
from finlib.hashing.hashers import get_hasher, prepared_name

STATE = [*FileState._fields, "digest"]  # the columns that say which content a row is of
PARTS = "*part-*.parquet"  # the finished and unfinished parts that `execution` writes


@dataclass(frozen=True)
class HashingRun:
    """How a run hashes files.

    workers: the number of processors, None for all.
    scheduler: the address of a Dask scheduler, empty for none.
    folder: where the finished parts are kept.
    verify: whether to read the known files again and compare their content.
    """

    workers: int | None
    scheduler: str
    folder: Path
    verify: bool = False

    def hash(
        self, files: Iterable[str | Path], hasher: str, known: pd.DataFrame | None = None
    ) -> execution.HashedFiles:
        """Hash the files that are new or changed since the table `known` was made."""
        return execution.hash_new_files(
            files,
            hasher,
            workers=self.workers,
            scheduler=self.scheduler or None,
            checkpoint=self.folder,
            known=known,
            verify=self.verify,
            progress=True,
        )


def hash_into(
    output: Path,
    sources: Iterable[str],
    hasher: str | None = None,
    *,
    workers: int | None = None,
    scheduler: str = "",
    prune: bool = False,
    replace: bool = False,
    verify: bool = False,
    selection: Selection = VISIBLE,
    kind: str = tables.HASHES,
    prepare: bool = False,
) -> None:
    """Hash what is new or changed among the files of the sources into the table `output`.

    `hasher` is by default that of the table, or FINd. Rows of other files stay in the table, unless
    `prune` drops those of files that no source names, or `replace` drops all rows. With `verify`,
    files are known by their content, not only by their size and times. `selection` says which
    images of a folder are hashed. With `prepare`, pictures are prepared as by
    `finlib.hashing.preparing`, and the hasher's name in the table records it. The table is of this
    `kind`; where that is not HASHES, an existing one must be of it already. An interrupted run
    resumes when it is called again.
    RuntimeError where no file can be hashed: the table is then left as it was. ValueError where the
    table holds other hashes.
    """
    tables.is_csv(output)
    get_hasher(hasher or "find")
    if kind != tables.HASHES:
        check_side_file(output, kind)
    if replace:
        check_table_output(output, tables.FIRST_COLUMNS, overwrite=True)
    with keep_parts(output, PARTS) as folder:
        run = HashingRun(workers, scheduler, folder, verify)
        is_read = output.exists() and not (replace and hasher)
        stored = tables.read_hashes(output, own_columns=True) if is_read else None
        hasher = hasher or _get_hasher_name(stored)
        if prepare:
            hasher = prepared_name(hasher)
        elif get_hasher(hasher).prepares:
            say(f"{output} holds hashes of prepared pictures: new files are prepared, too.")
        names = choose_names(_list_by_text(sources, selection), stored, in_place=prune)
        files = names.files
        known = None
        if stored is not None and not replace:
            known = stored[~stored["path"].isin(names.others)]
            known = _drop_unnamed(known, files) if prune else known
            known = _add_missing_parts(known, hasher, output, run)
            _say_trusted(known, verify)
        table, newly_hashed = run.hash(files.values(), hasher, known)
        _check_any_hashed(table, output)
        whole = _with_own_columns(_combine(known, table, prune), known)
        tables.write_table(whole, output, kind)
    say_errors(table)
    _report(table, newly_hashed, len(whole), output)
    if (table["error"] != "").all():
        raise RuntimeError("No file could be hashed.")


def _say_trusted(known: pd.DataFrame, verify: bool) -> None:
    """Say how many rows of an earlier version are trusted by size and time alone."""
    is_trusted = (known["error"] == "") & (known["digest"] == "") & (known["inode"] == 0)
    count = int(is_trusted.sum())
    if count and not verify:
        say(
            f"{count} rows were made by an earlier version, and are used again where size and time "
            "of modification are the same. --verify hashes their files again."
        )


def _get_hasher_name(table: pd.DataFrame | None) -> str:
    """The hasher of a table's first row; FINd where there is none."""
    if table is None or table.empty:
        return "find"
    return str(table["hasher"].iloc[0])


def _list_by_text(sources: Iterable[str], selection: Selection) -> dict[str, str | Path]:
    """All names that the sources give, each once, by the text that a table has for it."""
    files: dict[str, str | Path] = {}
    for source in sources:
        for file in list_files(source, selection):
            files[path_to_text(file)] = file
    return files


def _drop_unnamed(stored: pd.DataFrame, files: dict[str, str | Path]) -> pd.DataFrame:
    """The stored rows of the files named, and of all files in folders that cannot be listed now.

    Whether a file in such a folder still exists is unknown, so that its row stays.
    """
    unlisted = tuple(os.path.join(text, "") for text, file in files.items() if _is_unlistable(file))
    named = stored["path"].isin(list(files))
    return stored[named | stored["path"].str.startswith(unlisted)]


def _is_unlistable(path: str | Path) -> bool:
    """Whether the path is a folder that this process may not list."""
    try:
        os.scandir(path).close()
    except (NotADirectoryError, FileNotFoundError):
        return False
    except OSError:
        return True
    return False


def _add_missing_parts(
    stored: pd.DataFrame, hasher: str, output: Path, run: HashingRun
) -> pd.DataFrame:
    """Turn the stored table into one of `hasher`, by hashing the parts that its hashes lack.

    A table of find becomes one of find+dhash256 by hashing its files with dhash256. ValueError
    where it has other hashes than the first parts of `hasher`; RuntimeError where a file has
    changed since it was hashed.
    """
    hashed = tables.hashed_rows(stored)
    hasher_names = sorted(set(hashed["hasher"]))
    if hasher_names in ([], [hasher]):
        return stored
    present = " and ".join(hasher_names)
    if not hasher.startswith(f"{present}+"):
        raise ValueError(
            f"{output} holds hashes by {present}, not {hasher}. "
            "Give --output another name, or move that table away."
        )
    missing = hasher.removeprefix(f"{present}+")
    if get_hasher(hasher).prepares:
        missing = prepared_name(missing)
    say(f"Adding {missing} to the hashes by {present} in {output}.")
    files = [text_to_path(path) for path in hashed["path"]]
    added = run.hash(files, missing).table
    _check_unchanged(hashed, added, missing, output)
    both = hashed.assign(
        hash=hashed["hash"] + added["hash"],
        quality=hashed["quality"].fillna(added["quality"]),
    )
    both[STATE] = added[STATE]
    failed = stored[stored["error"] != ""]
    return pd.concat([both, failed], ignore_index=True).assign(hasher=hasher)


def _check_unchanged(hashed: pd.DataFrame, added: pd.DataFrame, missing: str, output: Path) -> None:
    """RuntimeError where a file has changed since it was hashed, or could not be hashed again."""
    identity = ["bytes", "modified_ns"]
    unchanged = (added[identity] == hashed[identity]).all(axis=1)
    has_digest = hashed["digest"] != ""
    unchanged &= ~has_digest | (added["digest"] == hashed["digest"])
    usable = unchanged & (added["error"] == "")
    if not usable.all():
        example = hashed["path"][~usable].iloc[0]
        raise RuntimeError(
            f"{missing} cannot be added: {(~usable).sum()} of {len(usable)} files are changed, "
            f"gone or unreadable, among them {example}. {output} is as it was. Bring the files "
            "back, or give --output another name."
        )


def _check_any_hashed(table: pd.DataFrame, output: Path) -> None:
    """RuntimeError where every file failed and there is a table that this run would spoil."""
    if (table["error"] != "").all() and output.exists():
        raise RuntimeError(
            f"No file could be hashed, and {output} is as it was. The first error: "
            f"{table['error'].iloc[0]}"
        )


def _combine(stored: pd.DataFrame | None, new: pd.DataFrame, prune: bool) -> pd.DataFrame:
    """The table to write: the new rows among those that were stored."""
    if stored is None:
        return new
    if prune:
        stored = stored[~stored["path"].isin(new["path"])]
    return merge_rows(stored, new)


def _with_own_columns(table: pd.DataFrame, known: pd.DataFrame | None) -> pd.DataFrame:
    """The table with the columns that a person has added to the known rows, by path."""
    if known is None:
        return table
    own_columns = [name for name in known.columns if name not in tables.COLUMNS]
    by_path = known.drop_duplicates("path").set_index("path")[own_columns]
    return table[tables.COLUMNS].join(by_path, on="path")


def merge_rows(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Take new rows into a stored table: in place of the rows of the same path, or at the end.

    No hash is lost: rows of other paths stay, and so does a row with a hash where the new one has
    an error.
    """
    both = pd.concat([stored, new], ignore_index=True)
    is_new = both.index >= len(stored)
    named_again = both["path"].isin(new["path"])
    hashed_again = both["path"].isin(new["path"][new["error"] == ""])
    failed = both["error"] != ""
    outdated = ~is_new & (hashed_again | (named_again & failed))
    first_appearance = pd.factorize(both["path"])[0]
    order = np.argsort(first_appearance, kind="stable")
    wanted = order[~outdated.to_numpy()[order]]
    return both.iloc[wanted].reset_index(drop=True)


def _report(table: pd.DataFrame, newly_hashed: int, rows: int, output: Path) -> None:
    """Say what became of the files; `newly_hashed` includes those that failed."""
    failed = int((table["error"] != "").sum())
    hashed = newly_hashed - failed
    known = len(table) - failed - hashed
    place = "The table" if is_printed(output) else str(output)
    say(
        f"{hashed} files were hashed, {known} were known already, and {failed} could not be hashed "
        f"(the column 'error' says why). {place} has {rows} rows."
    )
