"""Lists of known hashes as others exchange them: hexadecimal digits, one hash a line.

A list is a text file (.txt), in which a label may follow the hash, or a CSV file with a column
`hash` and, if it likes, `label`, `path` or `name`, and `hasher`.
"""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from finlib.command.output import say
from finlib.hashing import tables
from finlib.hashing.hashers import HASHERS, get_hasher

LABELS = ("label", "path", "name")
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def is_hash_list(source: Path) -> bool:
    """Whether the source is a list of hashes, by its suffix and by the columns of a CSV file."""
    if source.suffix == ".txt":
        return source.is_file()
    if source.suffix != ".csv" or not source.is_file():
        return False
    columns = _read_first_row(source)
    is_table = set(tables.FIRST_COLUMNS) <= set(columns)
    return not is_table and ("hash" in columns or _is_hexadecimal(columns[0]))


def _read_first_row(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        line = opened.readline(tables.CSV_HEADER_CHARACTERS)
    return next(csv.reader([line]), [""]) or [""]


def _is_hexadecimal(text: str) -> bool:
    return len(text) >= 16 and HEX_DIGITS.issuperset(text)


def read_hash_list(file: Path, hasher: str | None) -> pd.DataFrame:
    """Read a list as a table of hashes, whose paths are the labels or else the hashes themselves.

    hasher: by which the hashes are, where the list does not say so. ValueError where nothing says
    so, and where a line holds no hash of it.
    """
    listed = _read_csv(file) if file.suffix == ".csv" else _read_text(file)
    listed["hash"] = listed["hash"].str.strip().str.lower()
    listed = listed[listed["hash"] != ""]
    if listed.empty:
        raise ValueError(f"{file} lists no hashes: hexadecimal digits are expected, a hash a line.")
    name = _choose_hasher(file, listed, hasher)
    _check_hashes(file, listed, name)
    label = listed["label"].where(listed["label"] != "", listed["hash"])
    columns = {"path": label, "hash": listed["hash"], "hasher": name, "quality": np.nan}
    table = pd.DataFrame(columns).assign(family="", width=0, height=0, error="")
    table = table.assign(bytes=0, modified_ns=0)
    say(f"{file}: {len(table)} hashes by {name}.")
    return tables.complete_columns(table.reset_index(drop=True))


def _read_csv(file: Path) -> pd.DataFrame:
    has_header = "hash" in _read_first_row(file)
    table = pd.read_csv(
        file,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        header=0 if has_header else None,
    )
    if not has_header:
        names = ["hash", "label", *map(str, table.columns[2:])]
        table.columns = pd.Index(names[: len(table.columns)])
    labels = [name for name in LABELS if name in table]
    label = table[labels[0]] if labels else ""
    hashers = table.get("hasher", "")
    frame = pd.DataFrame({"hash": table["hash"], "label": label, "hasher": hashers})
    return frame.set_index(pd.RangeIndex(1 + has_header, len(frame) + 1 + has_header))


def _read_text(file: Path) -> pd.DataFrame:
    rows = []
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    for line in text.splitlines():
        digits, _, label = line.strip().replace(",", " ").partition(" ")
        rows.append((digits, label.strip(), ""))
    lines = pd.RangeIndex(1, len(rows) + 1)
    return pd.DataFrame(rows, lines, ["hash", "label", "hasher"], dtype=str)


def _choose_hasher(file: Path, listed: pd.DataFrame, hasher: str | None) -> str:
    named = sorted(set(listed["hasher"]) - {""})
    if len(named) > 1:
        raise ValueError(f"{file} mixes hashes by {', '.join(named)}: make a list of each.")
    if named and hasher in (None, named[0]):
        return str(named[0])
    if named:
        raise ValueError(f"{file} lists hashes by {named[0]}, not by {hasher}.")
    if hasher is not None:
        return hasher
    bits = 4 * len(listed["hash"].iloc[0])
    possible = [name for name, known in HASHERS.items() if known.bits == bits]
    advice = f": {', '.join(possible)}" if possible else ""
    raise ValueError(
        f"{file} does not say by which hasher its hashes of {bits} bits are. Give --hasher{advice}."
    )


def _check_hashes(file: Path, listed: pd.DataFrame, hasher: str) -> None:
    digits = get_hasher(hasher).bits // 4
    is_hash = listed["hash"].map(lambda text: len(text) == digits and HEX_DIGITS.issuperset(text))
    if not is_hash.all():
        line = is_hash.index[~is_hash.to_numpy(bool)][0]
        raise ValueError(
            f"{file}, line {line}: {listed['hash'][line][:80]} is no hash by {hasher}, which has "
            f"{digits} hexadecimal digits."
        )
