"""What a person has judged of pairs of files, and how it is remembered from run to run.

A verdict says of two files that they belong together ("right"), that they do not ("wrong"), or that
the first is the one to keep of both ("keep"). Files are known by the digest of their content, so
that a verdict survives a new name and a new table, and is not applied to a file of that name with
another content. Where a table of verdicts has no digests, files are known by their paths.

A command remembers the verdicts that it is given in a file beside its output.
"""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command.names import absolute_paths
from finlib.command.output import check_side_file, say
from finlib.hashing import tables

RowPairs = NDArray[np.int64]  # [pairs, 2]
RowsOf = dict[str, list[int]]

KIND = "verdicts"
COLUMNS = ["path_a", "path_b", "verdict", "digest_a", "digest_b"]
RIGHT = "right"
WRONG = "wrong"
KEEP = "keep"
VERDICTS = (RIGHT, WRONG, KEEP)
NO_VERDICTS = pd.DataFrame([], columns=COLUMNS, dtype=str)


class JudgedRows(NamedTuple):
    """Pairs that a person has judged, as rows among some files: int64[pairs, 2] each.

    together: pairs that belong together.
    apart: pairs that do not.
    keep: pairs of which the first is the one to keep.
    """

    together: RowPairs
    apart: RowPairs
    keep: RowPairs


def verdicts_file(output: Path) -> Path:
    """The file beside an output in which the verdicts on its files are remembered."""
    return output.with_name(f"{output.stem}.verdicts.csv")


def check_verdicts_file(output: Path) -> None:
    """Make sure that the verdicts may be remembered beside the output; ValueError otherwise."""
    check_side_file(verdicts_file(output), KIND)


def read_verdicts(file: Path, unmarked: str = "") -> pd.DataFrame:
    """Read a table of verdicts, such as the page of `finlib show` saves, with the columns COLUMNS.

    Rows without a verdict are left out. `unmarked` is the verdict on all pairs of a table that has
    no column of verdicts. ValueError where there is none, and for a verdict that is unknown.
    """
    table = tables.read_columns(file, ("path_a", "path_b"))
    if "verdict" not in table:
        if not unmarked:
            raise ValueError(
                f"{file} has no column 'verdict'. Give a table that the page of `finlib show` or "
                "`duplicates` has saved, or add the column, with right or wrong in each row."
            )
        table["verdict"] = unmarked
    verdicts = table.reindex(columns=COLUMNS, fill_value="").fillna("").astype(str)
    verdicts["verdict"] = verdicts["verdict"].str.strip().str.lower()
    unknown = set(verdicts["verdict"]) - {*VERDICTS, ""}
    if unknown:
        raise ValueError(f"{file}: a verdict must be right or wrong, not {min(unknown)}.")
    return verdicts[verdicts["verdict"] != ""].reset_index(drop=True)


def read_remembered(output: Path | None) -> pd.DataFrame:
    """Read the verdicts that are remembered beside an output; none where there is no such file."""
    if output is None or not verdicts_file(output).exists():
        return NO_VERDICTS
    return read_verdicts(verdicts_file(output))


def gather(corrections: Path | None, *outputs: Path | None) -> pd.DataFrame:
    """Gather the verdicts remembered beside some outputs, and those of a table of corrections."""
    gathered = [read_remembered(output) for output in outputs]
    if corrections is not None:
        gathered.append(read_verdicts(corrections))
    return merge(gathered)


def merge(verdicts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Merge tables of verdicts. Of two verdicts on one pair the last is taken."""
    everything = pd.concat([NO_VERDICTS, *verdicts], ignore_index=True)
    keys = [_pair_key(*row) for row in everything[COLUMNS].itertuples(index=False)]
    is_repeated = pd.Series(keys, dtype=object).duplicated(keep="last").to_numpy(bool)
    return everything[~is_repeated].reset_index(drop=True)


def _pair_key(
    path_a: str, path_b: str, verdict: str, digest_a: str, digest_b: str
) -> tuple[bool, tuple[str, ...]]:
    """What is equal for all verdicts on one pair of files, or on which of them to keep."""
    one = digest_a or path_a
    other = digest_b or path_b
    if digest_a == digest_b:
        one = path_a
        other = path_b
    return verdict == KEEP, tuple(sorted((one, other)))


def remember(verdicts: pd.DataFrame, files: pd.DataFrame, output: Path) -> None:
    """Remember the verdicts beside the output, with the digests of those of the files."""
    if len(verdicts):
        known = merge([_add_digests(verdicts, files)])
        tables.write_table(known, verdicts_file(output), KIND)


def _add_digests(verdicts: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """The verdicts with the digests of the files that are only known by their paths."""
    rows_of = _rows_by_path(verdicts, files)
    completed = verdicts.copy()
    for path_column, digest_column in (("path_a", "digest_a"), ("path_b", "digest_b")):
        digests = []
        for path, digest in verdicts[[path_column, digest_column]].itertuples(index=False):
            rows = rows_of.get(path, [])
            if not digest and rows:
                digest = files["digest"].iloc[rows[0]]
            digests.append(digest)
        completed[digest_column] = digests
    return completed


def find_rows(verdicts: pd.DataFrame, files: pd.DataFrame) -> JudgedRows:
    """Find the rows of the files of each pair; a message counts the pairs that are not there.

    files: a row per file with its path and its digest, which is "" where it is unknown. A verdict
    on a content is on all files of that content.
    """
    if verdicts.empty:
        return JudgedRows(_as_array([]), _as_array([]), _as_array([]))
    completed = _add_digests(verdicts, files)
    finder = _Finder(completed, files)
    pairs: dict[str, list[tuple[int, int]]] = {verdict: [] for verdict in VERDICTS}
    absent = 0
    for pair in completed.itertuples(index=False):
        rows_a, rows_b = finder.find(pair)
        if not rows_a or not rows_b:
            absent += 1
        pairs[pair.verdict].extend((a, b) for a, b in product(rows_a, rows_b) if a != b)
    if absent:
        say(
            f"{absent} of {len(verdicts)} pairs name a file that has no hash here, or that has "
            "another content now, and are left out."
        )
    return JudgedRows(_as_array(pairs[RIGHT]), _as_array(pairs[WRONG]), _as_array(pairs[KEEP]))


class _Finder:
    """Finds the rows of the files that verdicts name."""

    def __init__(self, verdicts: pd.DataFrame, files: pd.DataFrame) -> None:
        digests = files["digest"]
        wanted = (set(verdicts["digest_a"]) | set(verdicts["digest_b"])) - {""}
        self.digests = digests
        self.rows_by_path = _rows_by_path(verdicts, files)
        self.rows_by_digest = _rows_by_text(digests[digests.isin(wanted)])

    def find(self, pair: Any) -> tuple[list[int], list[int]]:
        """The rows of both files of a verdict, by content where that is known and tells them
        apart.
        """
        if pair.digest_a == pair.digest_b:
            rows_a, rows_b = self._find_copies(pair)
        else:
            rows_a = self._find_content(pair.path_a, pair.digest_a)
            rows_b = self._find_content(pair.path_b, pair.digest_b)
        return rows_a, rows_b

    def _find_copies(self, pair: Any) -> tuple[list[int], list[int]]:
        """The rows of both files of a verdict on files of one content, or of unknown contents.

        Their paths tell them apart. In place of a file that is no longer at its path, the verdict
        is on all other files of that content: one of them may be the same under a new name.
        """
        rows_a = self._find_at_path(pair.path_a, ("", pair.digest_a))
        rows_b = self._find_at_path(pair.path_b, ("", pair.digest_b))
        copies = self.rows_by_digest.get(pair.digest_a, [])
        others_of_a = [row for row in copies if row not in rows_a]
        others_of_b = [row for row in copies if row not in rows_b]
        return rows_a or others_of_b, rows_b or others_of_a

    def _find_content(self, path: str, digest: str) -> list[int]:
        if digest in self.rows_by_digest:
            return self.rows_by_digest[digest]
        return self._find_at_path(path, ("",))

    def _find_at_path(self, path: str, digests: tuple[str, ...]) -> list[int]:
        rows = self.rows_by_path.get(path, [])
        return [row for row in rows if self.digests.iloc[row] in digests]


def _as_array(pairs: list[tuple[int, int]]) -> RowPairs:
    return np.array(pairs, np.int64).reshape(-1, 2)


def _rows_by_path(verdicts: pd.DataFrame, files: pd.DataFrame) -> RowsOf:
    """The rows of the files at the paths of the verdicts, whichever way these are spelled."""
    wanted = pd.Series(pd.unique(verdicts[["path_a", "path_b"]].to_numpy().ravel()), dtype=str)
    wanted = wanted[wanted != ""]
    found = _rows_by_text(files["path"][files["path"].isin(wanted)])
    absent = wanted[~wanted.isin(list(found))]
    if len(absent):
        spelled = absolute_paths(absent)
        of_files = absolute_paths(files["path"])
        by_spelling = _rows_by_text(of_files[of_files.isin(spelled)])
        for path, spelling in zip(absent, spelled, strict=True):
            found[path] = by_spelling.get(spelling, [])
    return found


def _rows_by_text(texts: pd.Series) -> RowsOf:
    """The labels of a series, which are rows, by its texts."""
    rows_of: RowsOf = {}
    for row, text in texts.items():
        rows_of.setdefault(str(text), []).append(int(row))
    return rows_of
