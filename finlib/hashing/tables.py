"""The table of hashes: its columns, and reading and writing it as Parquet or CSV.

A row per input file: the path as given, the family (empty where the name has none), the file's own width and height
in pixels, the hasher and its hash in hexadecimal (empty where there is an error), the quality (nan where the method has
none), the error (empty where there is none), and the file's size in bytes and time of modification in nanoseconds, by
which a later run knows whether it must hash the file again. Parquet has the hash as bytes too, in a column `packed`
that databases compare and that is not read back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from finlib.files import write_atomically
from finlib.hashing.hashers import get_hasher

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
OTHERS = {
    "path_a": pa.string(),
    "path_b": pa.string(),
    "verdict": pa.string(),
    "distance": pa.int32(),
}
TYPES = (
    {field.name: field.type for field in SCHEMA}
    | OTHERS
    | {"cluster": pa.int64(), "size": pa.int64()}
)  # in CSV
Rows = list[tuple[Any, ...]]
ROWS = 1 << 17  # in a row group


def rows_to_arrow(rows: Rows) -> pa.Table:
    """Arrow's table with those rows, each a tuple in the order of COLUMNS."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def packed_hashes(table: pd.DataFrame) -> NDArray[np.uint8]:
    """The hashes of the rows without an error, packed: `uint8[n, bits // 8]`, in the table's order.

    ValueError where the table mixes hashers, or a hash is not as long as its hasher's or not hexadecimal.
    """
    good = table.loc[table["error"] == "", ["hasher", "hash"]]
    names = sorted(good["hasher"].unique())
    if len(names) > 1:
        raise ValueError(
            f"the table mixes hashes of {', '.join(names)}: distances need one hasher throughout"
        )
    width, texts = get_hasher(names[0]).bits // 8 if names else 32, good["hash"]
    if len(wrong := np.flatnonzero(texts.str.len() != 2 * width)):
        path, bits = table["path"][texts.index[wrong[0]]], 4 * len(texts.iloc[wrong[0]])
        raise ValueError(
            f"the hash of {path} has {bits} bits, not {8 * width}: the table is damaged. Make it anew."
        )
    packed = bytearray()
    try:
        for low in range(0, len(good), ROWS):
            packed += bytes.fromhex("".join(texts.iloc[low : low + ROWS]))
        return np.frombuffer(packed, np.uint8).reshape(len(good), width)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the table holds a damaged hash: {error}. Make it anew.") from None


def select_part(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table of one part of a sum of hashes, as if its files had been hashed by that part alone.

    The quality stays where it is that part's own, else it is nan. ValueError where the table's hasher has no such part.
    """
    whole = get_hasher(str(table["hasher"].iloc[0]) if len(table) else name)
    names = [part.name for part in whole.parts]
    if set(table["hasher"]) - {whole.name} or name not in names:
        raise ValueError(
            f"a table of {', '.join(sorted(set(table['hasher'])))} has no part {name!r}, but {' and '.join(names)}"
        )
    at = names.index(name)
    start = sum(part.bits for part in whole.parts[:at]) // 4
    rated = next((part.name for part in whole.parts if part.has_quality), "")
    texts = table["hash"].str[start : start + whole.parts[at].bits // 4]
    return table.assign(
        hasher=name, hash=texts, quality=table["quality"] if rated == name else np.nan
    )


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a sound table: {str(error).splitlines()[0]}") from None


def iter_batches(path: Path, *kinds: Sequence[str]) -> Iterator[pa.Table]:
    """A Parquet or CSV table (by suffix) in parts of about ROWS rows, the first of none; without `packed`.

    FileNotFoundError, or ValueError where it is damaged or has not all columns of one of the kinds, if any are given.
    """
    csv = is_csv(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    with _sound(path):
        if csv:
            convert = pyarrow.csv.ConvertOptions(column_types=TYPES, null_values=[""])
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            parts = pyarrow.csv.open_csv(
                path, pyarrow.csv.ReadOptions(block_size=1 << 26), parse, convert
            )
            schema = parts.schema
        else:
            file = pq.ParquetFile(path, page_checksum_verification=True)
            schema = pa.schema([field for field in file.schema_arrow if field.name != "packed"])
            parts = file.iter_batches(ROWS, columns=schema.names)
        if twice := {name for name in schema.names if schema.names.count(name) > 1}:
            raise ValueError(f"it has {', '.join(sorted(twice))} twice")
        lacking = [[name for name in kind if name not in schema.names] for kind in kinds]
        if all(lacking) and lacking:
            raise ValueError(f"it lacks {' or '.join(', '.join(names) for names in lacking)}")
        yield schema.empty_table()
        rows = 0
        for part in parts:
            rows += len(part)
            yield pa.Table.from_batches([part])
        if not csv and rows != file.metadata.num_rows:
            raise ValueError(f"{file.metadata.num_rows - rows} rows are lost")


def read_columns(path: Path, *kinds: Sequence[str]) -> pd.DataFrame:
    """The whole of `read_parts`."""
    return pa.concat_tables(iter_batches(path, *kinds)).to_pandas()


def read_hashes(path: str | Path) -> pd.DataFrame:
    """A table of hashes from Parquet or CSV (by suffix); ValueError where it is not one, FileNotFoundError.

    A missing error, family or hash (null, as databases write it) is the empty text; a row has a hash or an error.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no table of hashes at {path}; make one with: finlib hash FOLDER -o {path.name}"
        )
    table = pa.concat_tables(iter_batches(path, COLUMNS)).select(COLUMNS)
    with _sound(path):
        frame = table.cast(SCHEMA).to_pandas()
        texts = [field.name for field in SCHEMA if field.type == pa.string()]
        frame[texts] = frame[texts].fillna("")
        sound = (
            (frame["path"] != "")
            & (frame["hasher"] != "")
            & ((frame["hash"] == "") != (frame["error"] == ""))
        )
        if not sound.all():
            row = int(sound.argmin()) + 1
            raise ValueError(
                f"row {row} lacks a path or hasher, or has not either a hash or an error"
            )
    return frame


def hashed_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a hash, renumbered: row k is the row k of `packed_of(table)`."""
    return table[table["error"] == ""].reset_index(drop=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write Parquet or CSV, by suffix, under a temporary name and then renamed: a reader never sees half a table."""
    schema = (
        SCHEMA
        if list(table.columns) == COLUMNS
        else pa.Schema.from_pandas(table, preserve_index=False)
    )
    with table_writer(path, schema) as write:
        write(table)


@contextmanager
def table_writer(path: str | Path, schema: pa.Schema) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends frames to a Parquet or CSV file; the file appears when the block ends well."""
    path = Path(path)
    csv = is_csv(path)
    binary = schema.equals(SCHEMA) and not csv
    stored = schema.append(pa.field("packed", pa.binary())) if binary else schema
    opened = (
        pyarrow.csv.CSVWriter if csv else partial(pq.ParquetWriter, write_page_checksum=True)
    )  # for flipped bits
    with write_atomically(path) as temporary, opened(temporary, stored) as writer:
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
        raise ValueError(
            f"{path}: tables are .parquet or .csv; give a name that ends in one of these"
        )
    return path.suffix == ".csv"
