"""The table of hashes: its columns, and reading and writing it as Parquet or CSV.

A row per input file: the path as given, the family (empty where the name has none), the file's own width and height
in pixels, the hasher and its hash in hexadecimal (empty where there is an error), the quality (nan where the method has
none), the error (empty where there is none), and the file's size in bytes and time of modification in nanoseconds, by
which a later run knows whether it must hash the file again. Parquet has the hash as bytes too, in a column `packed`
that databases compare and that is not read back.
"""

import fcntl
import os
import re
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
PAIRS = ("path_a", "path_b", "distance")
CLUSTERS = ("path", "cluster", "size", "distance")
Rows = list[tuple[Any, ...]]
ROWS = 1 << 17  # in a row group
FORMULA = (b"=", b"+", b"-", b"@", b"\t", b"\r", b"\n")


def table_of(rows: Rows) -> pa.Table:
    """Arrow's table with those rows, each a tuple in the order of COLUMNS."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


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
    return np.frombuffer(bytearray().join(rows), np.uint8).reshape(-1, width)


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
    """A table of hashes from Parquet or CSV (by suffix); ValueError where it is not one, FileNotFoundError.

    A missing error, family or hash (null, as databases write it) is the empty text; a row has a hash or an error.
    """
    path = Path(path)
    csv = is_csv(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table of hashes at {path}; make one with: finlib hash FOLDER -o {path.name}")
    types = dict(zip(COLUMNS, SCHEMA.types, strict=True))
    try:
        if csv:
            convert = pyarrow.csv.ConvertOptions(column_types=types, null_values=[""])
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
        else:
            table = pq.read_table(path, partitioning=None)
        if missing := [name for name in COLUMNS if name not in table.column_names]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        if twice := [name for name in COLUMNS if table.column_names.count(name) > 1]:
            raise ValueError(f"it has {', '.join(twice)} twice")
        frame = table.select(COLUMNS).cast(SCHEMA).to_pandas()
        texts = [name for name in COLUMNS if types[name] == pa.string()]
        frame[texts] = frame[texts].fillna("")
        sound = (frame["path"] != "") & (frame["hasher"] != "") & ((frame["hash"] == "") != (frame["error"] == ""))
        if not sound.all():
            raise ValueError(
                f"row {int(sound.argmin()) + 1} lacks a path or hasher, or has not either a hash or an error"
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a sound table of hashes: {str(error).splitlines()[0]}") from None
    return frame


def columns_of(path: Path) -> list[str]:
    """Names of the columns of a Parquet or CSV file; none where there is no such file, or it is none of these."""
    try:
        if is_csv(path):
            return list(pd.read_csv(path, nrows=0))
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, pd.errors.ParserError, pd.errors.EmptyDataError, OSError, UnicodeDecodeError):
        return []


def read_columns(path: Path, *kinds: tuple[str, ...]) -> pd.DataFrame:
    """A table with all columns of one of the kinds; FileNotFoundError, or ValueError where it has not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    if not any(set(kind) <= set(columns_of(path)) for kind in kinds):
        expected = " or ".join(", ".join(kind) for kind in kinds)
        raise ValueError(f"{path} is not a table with the columns {expected}")
    if not is_csv(path):
        return pq.read_table(path, partitioning=None).to_pandas()
    texts = dict.fromkeys(("path", "path_a", "path_b", "family", "verdict"), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False)


def good_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a hash, renumbered: row k is the row k of `packed_of(table)`."""
    return table[table["error"] == ""].reset_index(drop=True)


def merged(known: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The known rows with the new ones in the place of those of the same path, others at the end.

    Nothing is lost: rows of other paths stay, and a row with a hash stays beside a new one with an error.
    """
    both = pd.concat([known, new], ignore_index=True)
    again, good = both["path"].isin(new["path"]), both["path"].isin(new["path"][new["error"] == ""])
    kept = (both.index >= len(known)) | ~(good | (again & (both["error"] != "")))
    order = np.argsort(pd.factorize(both["path"])[0], kind="stable")
    return both.iloc[order[kept.to_numpy()[order]]].reset_index(drop=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write Parquet or CSV, by suffix, under a temporary name and then renamed: a reader never sees half a table."""
    schema = SCHEMA if list(table.columns) == COLUMNS else pa.Schema.from_pandas(table, preserve_index=False)
    with table_writer(path, schema) as write:
        write(table)


@contextmanager
def table_writer(path: str | Path, schema: pa.Schema) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends frames to a Parquet or CSV file; the file appears when the block ends well."""
    path = Path(path)
    csv = is_csv(path)
    binary = schema.equals(SCHEMA) and not csv
    stored = schema.append(pa.field("packed", pa.binary())) if binary else schema
    with (
        renamed_when_whole(path) as temporary,
        (pyarrow.csv.CSVWriter if csv else pq.ParquetWriter)(temporary, stored) as writer,
    ):
        waiting: list[pa.Table] = []

        def flush() -> None:
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()

        def write(frame: pd.DataFrame) -> None:
            if binary:
                frame = frame.assign(packed=[bytes.fromhex(text) or None for text in frame["hash"]])
            waiting.append(pa.Table.from_pandas(frame, schema=stored, preserve_index=False))
            if sum(map(len, waiting)) >= ROWS:
                flush()

        yield write
        flush()


def is_csv(path: Path) -> bool:
    """Whether the suffix says CSV; ValueError where it says neither CSV nor Parquet."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: tables are .parquet or .csv; give a name that ends in one of these")
    return path.suffix == ".csv"


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not.

    RuntimeError where another run is writing it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with locked(temporary, path):
        yield temporary
        os.replace(temporary, path)


@contextmanager
def locked(file: Path, path: Path) -> Iterator[None]:
    """Hold `file`, made and removed again, on behalf of `path`; RuntimeError where another run holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not file.exists() or not os.path.samestat(os.fstat(held.fileno()), os.stat(file))
        except BlockingIOError:
            taken = True
        except OSError:  # this file system has no locks
            taken = False
        if taken:
            raise RuntimeError(f"{path} is being written by another run: wait for it to end, or give another name")
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def as_text(path: str | Path) -> str:
    """The path as UTF-8 text for a table: two paths never have the same text, and `path_of` gives the path back.

    Bytes that are not UTF-8 are written \\xNN, and so is the backslash of a name with such a byte or with \\x in it. A
    relative path that starts as a spreadsheet's formula (=, +, -, @, a tab, a line end) gets ./ before it.
    """
    raw = os.fsencode(path)
    if raw[:1] in FORMULA:
        raw = b"./" + raw
    text = raw.decode("utf-8", "backslashreplace")
    return text if "\\x" not in text else raw.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")


def path_of(text: str) -> str:
    """The path that `as_text` wrote."""
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
    return os.fsdecode(raw)


def readable(message: object) -> str:
    """A message on one line, with bytes of names that are not UTF-8 as \\xNN."""
    return " ".join(str(message).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").split())
