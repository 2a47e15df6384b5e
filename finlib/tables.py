"""The table of hashes: its columns, and reading and writing it as Parquet or CSV.

A row per input file: the path as given, the family (empty where the name has none), the file's own width and height
in pixels, the hasher and its hash in hexadecimal (empty where there is an error), the quality (nan where the method has
none), the error (empty where there is none), and the file's size in bytes and time of modification in nanoseconds, by
which a later run knows whether it must hash the file again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from finlib.hashers import hasher as hasher_named

SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "family": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "hasher": pa.string(),
        "hash": pa.string(),
        "quality": pa.float64(),
        "error": pa.string(),
        "bytes": pa.int64(),
        "modified_ns": pa.int64(),
    }
)
COLUMNS = SCHEMA.names
Rows = list[tuple[Any, ...]]


def frame_of(rows: Rows) -> pd.DataFrame:
    """The table with those rows, each a tuple in the order of COLUMNS."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA).to_pandas()


def packed_of(table: pd.DataFrame) -> NDArray[np.uint8]:
    """The hashes of the rows without an error, packed: `uint8[n, bits // 8]`, in the table's order.

    ValueError where the table mixes hashers, or a hash is not as long as its hasher's or not hexadecimal.
    """
    good = table[table["error"] == ""]
    names = sorted(set(good["hasher"]))
    if len(names) > 1:
        raise ValueError(f"the table mixes hashes of {', '.join(names)}: distances need one hasher throughout")
    width = hasher_named(names[0]).bits // 8 if names else 32
    try:
        rows = [bytes.fromhex(text) for text in good["hash"]]
    except (ValueError, TypeError) as error:
        raise ValueError(f"the table holds a damaged hash: {error}. Hash its files again.") from None
    wrong = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if wrong is not None:
        path, bits = good["path"].iloc[wrong], 8 * len(rows[wrong])
        raise ValueError(f"the hash of {path} has {bits} bits, not {8 * width}: the table is damaged. Hash it again.")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)


def cut(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table of one part of a sum of hashes, as if its files had been hashed by that part alone.

    The quality stays where it is that part's own, else it is nan. ValueError where the table's hasher has no such part.
    """
    whole = hasher_named(str(table["hasher"].iloc[0]) if len(table) else name)
    names = [part.name for part in whole.parts]
    if set(table["hasher"]) - {whole.name} or name not in names:
        raise ValueError(f"a table of {', '.join(sorted(set(table['hasher'])))} has no part {name!r} to cut out")
    at = names.index(name)
    start = sum(part.bits for part in whole.parts[:at]) // 4
    rated = next((part.name for part in whole.parts if part.has_quality), "")
    texts = table["hash"].str[start : start + whole.parts[at].bits // 4]
    return table.assign(hasher=name, hash=texts, quality=table["quality"] if rated == name else np.nan)


def add(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The table of the sum of two tables' hashers, of the same files in the same order, without hashing again.

    ValueError where files differ by path, size or time, or the sum is none. A file that failed in one has that error.
    """
    for column in ("path", "bytes", "modified_ns"):
        if table[column].tolist() != other[column].tolist():
            raise ValueError(f"the tables differ in their files ({column}): both must list the same ones in one order")
    first, second = (sorted(set(each["hasher"])) for each in (table, other))
    if len(first) != 1 or len(second) != 1:
        raise ValueError(f"a table of one hasher is expected on either side, not {first} and {second}")
    name = hasher_named(f"{first[0]}+{second[0]}").name
    good = (table["error"] == "") & (other["error"] == "")
    rated = table if hasher_named(first[0]).has_quality else other
    return table.assign(
        hasher=name,
        hash=(table["hash"] + other["hash"]).where(good, ""),
        width=table["width"].where(good, 0),
        height=table["height"].where(good, 0),
        quality=rated["quality"].to_numpy(),
        error=table["error"].where(table["error"] != "", other["error"]),
    ).assign(quality=lambda both: both["quality"].where(good))


def read_hashes(path: str | Path) -> pd.DataFrame:
    """A table of hashes from Parquet or CSV (by suffix); ValueError where it is not one, FileNotFoundError."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table of hashes at {path}; make one with: finlib hash FOLDER -o {path.name}")
    text = [name for name in COLUMNS if SCHEMA.field(name).type == pa.string()]
    try:
        if is_csv(path):
            table = pd.read_csv(
                path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={"quality": [""]}
            )
        else:
            table = pq.read_table(path, partitioning=None).to_pandas()
    except (pa.ArrowException, pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a table of hashes: {str(error).splitlines()[0]}") from None
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(f"{path} is not a table of hashes: it lacks {', '.join(missing)}")
    return table[COLUMNS]


def good_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a hash, renumbered: row k is the row k of `packed_of(table)`."""
    return table[table["error"] == ""].reset_index(drop=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write Parquet or CSV, by suffix, under a temporary name and then renamed: a reader never sees half a table."""
    schema = SCHEMA if list(table.columns) == COLUMNS else pa.Schema.from_pandas(table, preserve_index=False)
    with table_writer(path, schema) as write:
        write(table)


@contextmanager
def table_writer(path: str | Path, schema: pa.Schema) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends frames to a Parquet or CSV file; the file appears when the block ends well."""
    path = Path(path)
    kind = pyarrow.csv.CSVWriter if is_csv(path) else pq.ParquetWriter
    with renamed_when_whole(path) as temporary, kind(temporary, schema) as writer:
        yield lambda frame: writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def is_csv(path: Path) -> bool:
    """Whether the suffix says CSV; ValueError where it says neither CSV nor Parquet."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: tables are .parquet or .csv; give a name that ends in one of these")
    return path.suffix == ".csv"


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def as_text(path: str | Path) -> str:
    """The path as UTF-8 text; bytes of a name that are not UTF-8 are shown as \\xNN, since tables hold only text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
