"""A table of hashes that only grows: what `finlib hash` does."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finlib.command.daily import claim, files_of, parts_of, say, say_errors
from finlib.files import path_to_text, text_to_path
from finlib.hashing import execution, tables
from finlib.hashing.hashers import get_hasher


def hash_into(
    output: Path,
    sources: Iterable[str],
    hasher: str | None,
    workers: int | None,
    scheduler: str = "",
    prune: bool = False,
    replace: bool = False,
) -> None:
    """Hash what is new or changed in the sources into the table `output`, by default by what it holds, or FINd."""
    tables.is_csv(output)
    get_hasher(hasher or "find")
    if replace:
        claim(output, tables.COLUMNS, overwrite=True)
    with parts_of(output, "part-*.parquet") as parts:
        options: dict[str, Any] = {
            "workers": workers,
            "scheduler": scheduler or None,
            "checkpoint": parts,
        }
        known = tables.read_hashes(output) if output.exists() and not (replace and hasher) else None
        hasher = hasher or ("find" if known is None else next(iter(known["hasher"]), "find"))
        known = None if replace else known
        files = {path_to_text(file): file for source in sources for file in files_of(source)}
        if known is not None:
            if prune:  # what a folder holds that cannot be listed now is not known to be gone
                closed = tuple(
                    os.path.join(text, "") for text, file in files.items() if _is_closed(file)
                )
                known = known[
                    known["path"].isin(list(files)) | known["path"].str.startswith(closed)
                ]
            known = _with_hashes_of(known, hasher, output, options)
        table, newly_hashed = execution.hash_new_files(
            files.values(), hasher, known=known, progress=True, **options
        )
        failed = table[table["error"] != ""]
        if len(failed) == len(table) and output.exists():
            raise RuntimeError(
                f"no file could be hashed, {output} is as it was: {failed['error'].iloc[0]}"
            )
        if known is not None and prune:
            known = known[~known["path"].isin(table["path"])]
        whole = table if known is None else merged(known, table)
        tables.write_table(whole, output)
    say_errors(table)
    new = newly_hashed - len(failed)
    kept = len(table) - len(failed) - new
    counts = (
        f"{new} hashed, {kept} known already, {len(failed)} not hashed (column 'error' says why)"
    )
    say(f"{counts}; {len(whole)} rows: {output}")
    if len(failed) == len(table):
        raise RuntimeError("no file could be hashed")


def _is_closed(folder: str | Path) -> bool:
    try:
        os.scandir(folder).close()
    except (NotADirectoryError, FileNotFoundError):
        return False
    except OSError:
        return True
    return False


def merged(known: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The known rows with the new ones in the place of those of the same path, others at the end.

    Nothing is lost: rows of other paths stay, and a row with a hash stays beside a new one with an error.
    """
    both = pd.concat([known, new], ignore_index=True)
    again, good = both["path"].isin(new["path"]), both["path"].isin(new["path"][new["error"] == ""])
    kept = (both.index >= len(known)) | ~(good | (again & (both["error"] != "")))
    order = np.argsort(pd.factorize(both["path"])[0], kind="stable")
    return both.iloc[order[kept.to_numpy()[order]]].reset_index(drop=True)


def _with_hashes_of(
    known: pd.DataFrame, hasher: str, output: Path, options: dict[str, Any]
) -> pd.DataFrame:
    """The table with hashes by that hasher, if need be made up by the parts that it lacks."""
    good = tables.hashed_rows(known)
    held = " and ".join(sorted(set(good["hasher"])))
    if held in ("", hasher):
        return known
    if not hasher.startswith(f"{held}+"):
        raise ValueError(
            f"{output} holds hashes by {held}, not {hasher}: give another name, or take it away"
        )
    missing = hasher[len(held) + 1 :]
    say(f"adding {missing} to the hashes by {held} in {output}")
    files = [text_to_path(path) for path in good["path"]]
    more = execution.hash_files(files, missing, progress=True, **options)
    same = (more[["bytes", "modified_ns"]] == good[["bytes", "modified_ns"]]).all(axis=1) & (
        more["error"] == ""
    )
    if not same.all():
        first, gone = good["path"][~same].iloc[0], (~same).sum()
        raise RuntimeError(
            f"{missing} cannot be added: {gone} of {len(same)} files are changed, gone or unreadable, {first} is one. "
            f"{output} is as it was; bring them back, or give another name"
        )
    both = good.assign(
        hash=good["hash"] + more["hash"], quality=good["quality"].fillna(more["quality"])
    )
    return pd.concat([both, known[known["error"] != ""]], ignore_index=True).assign(hasher=hasher)
