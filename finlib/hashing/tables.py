"""The table of hashes: its columns, and how it is written and read, as Parquet or as CSV.

A table has a row for each file that was hashed, whether or not that succeeded. Parquet files also
have the hash as bytes, in a column `packed`, for databases, which compare bytes; it is not read
back. All values of this column have one length where all hashes have, so that readers can take it
for a matrix. Tables of pairs and of clusters are written and read by the same functions.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from finlib.files import DIGEST_BYTES, write_atomically
from finlib.hashing.hashers import get_hasher


class HashRow(NamedTuple):
    """A row of the table of hashes.

    path: the file's path as it was given, in the form of `finlib.files.path_to_text`.
    family: the group of near-duplicates that the file's name gives, or "".
    width, height: the size of the picture in the file, in pixels.
    hasher: the name of the hasher.
    hash: the hash in hexadecimal digits; "" where there is an error.
    quality: from 0 to 100, how much detail the picture has; nan where the hasher does not say.
    error: why the file could not be hashed; "" where it could.
    bytes, modified_ns, device, inode, changed_ns: the file's state, as in `finlib.files.FileState`.
        A later run knows from it whether it has to hash the file again.
    digest: that of the file's content, by `finlib.files.file_digest`; "" where there is an error.

    Tables of earlier versions lack the last four. They are read as 0 and "", which is unknown.
    """

    path: str
    family: str
    width: int
    height: int
    hasher: str
    hash: str
    quality: float
    error: str
    bytes: int
    modified_ns: int
    device: int = 0
    inode: int = 0
    changed_ns: int = 0
    digest: str = ""


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
        "device": pa.int64(),
        "inode": pa.int64(),
        "changed_ns": pa.int64(),
        "digest": pa.string(),
    }
)
COLUMNS = SCHEMA.names
LATER_COLUMNS = HashRow._field_defaults  # which tables of earlier versions lack, as they are read
FIRST_COLUMNS = [name for name in COLUMNS if name not in LATER_COLUMNS]
PAIRS = ("path_a", "path_b", "distance")
CLUSTERS = ("path", "cluster", "size", "distance")

# The kinds of tables that the commands write, and the columns by which they are recognised. Parquet
# files also record the kind in their metadata.
HASHES = "hashes"
KINDS = {
    HASHES: FIRST_COLUMNS,
    "pairs": PAIRS,
    "clusters": CLUSTERS,
    "groups": ("keep", "others", "size"),
    "verdicts": ("path_a", "path_b", "verdict"),
    "scores": ("hasher", "auc"),
}
KIND = b"finlib.kind"  # the key in the metadata

# A CSV file does not record the types of its columns.
CSV_TYPES = {field.name: field.type for field in SCHEMA} | {
    "path_a": pa.string(),
    "path_b": pa.string(),
    "verdict": pa.string(),
    "digest_a": pa.string(),
    "digest_b": pa.string(),
    "distance": pa.int32(),
    "cluster": pa.int64(),
    "size": pa.int64(),
}
CSV_HEADER_CHARACTERS = 1 << 16  # more than the names of all columns may have
CSV_BLOCK_BYTES = 1 << 26  # more than the longest row may have
BATCH_ROWS = 1 << 17  # rows that are read or written at a time; a row group of a Parquet file


class DistanceMetadata(NamedTuple):
    """What a Parquet table of pairs or clusters records of its distances.

    Its keys are such as `finlib.distance`.

    hasher: the name of the hasher that made the hashes.
    distance: the name of the distance, "hamming" or "rows".
    largest: the largest distance that two of the hashes can have.
    """

    hasher: str
    distance: str
    largest: int

    def to_arrow(self) -> dict[str, str]:
        """The metadata of the table's schema."""
        return {
            "finlib.hasher": self.hasher,
            "finlib.distance": self.distance,
            "finlib.largest": str(self.largest),
        }

    @classmethod
    def from_arrow(cls, metadata: Mapping[bytes, bytes]) -> "DistanceMetadata | None":
        """Read what `to_arrow` made; None where it is not there. ValueError for a damaged one."""
        if b"finlib.distance" not in metadata:
            return None
        hasher = metadata.get(b"finlib.hasher", b"").decode()
        distance = metadata[b"finlib.distance"].decode()
        return cls(hasher, distance, int(metadata.get(b"finlib.largest", b"")))


def rows_to_arrow(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Make an Arrow table of rows, each a `HashRow` or another tuple in the order of COLUMNS.

    Where the tuples end after FIRST_COLUMNS, the other columns are unknown.
    """
    if not rows:
        return SCHEMA.empty_table()
    arrays = []
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=False))
    for field in SCHEMA:
        values = columns.get(field.name)
        if values is None:
            values = [LATER_COLUMNS[field.name]] * len(rows)
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def complete_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of hashes of any version with the columns COLUMNS first, then its others.

    KeyError where it lacks one of FIRST_COLUMNS.
    """
    missing = {name: value for name, value in LATER_COLUMNS.items() if name not in table}
    others = [name for name in table.columns if name not in COLUMNS]
    return table.assign(**missing)[[*COLUMNS, *others]]


def hashed_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a hash, renumbered: row k is that of `packed_hashes(table)[k]`."""
    return table[table["error"] == ""].reset_index(drop=True)


def packed_hashes(table: pd.DataFrame) -> NDArray[np.uint8]:
    """Return the hashes as packed bits, uint8[n, bits // 8], of the n rows that have one.

    They are in the table's order. ValueError where the table has hashes of several hashers, or a
    hash that is not of its hasher's length or not hexadecimal.
    """
    hashed = table.loc[table["error"] == "", ["path", "hasher", "hash"]]
    hash_bytes = _common_hasher_bits(hashed) // 8
    _check_lengths(hashed, 2 * hash_bytes)
    packed = bytearray()
    try:
        for start in range(0, len(hashed), BATCH_ROWS):
            digits = "".join(hashed["hash"].iloc[start : start + BATCH_ROWS])
            packed += bytes.fromhex(digits)
        return np.frombuffer(packed, np.uint8).reshape(len(hashed), hash_bytes)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"the table has a damaged hash: {error}. Hash the files again into a new table"
        ) from None


def _common_hasher_bits(hashed: pd.DataFrame) -> int:
    """Return the length of all hashes in bits; where there are no rows, FINd's."""
    names = sorted(hashed["hasher"].unique())
    if not names:
        return 256
    if len(names) > 1:
        raise ValueError(
            f"the table mixes hashes of {', '.join(names)}: distances need one hasher throughout"
        )
    return get_hasher(names[0]).bits


def _check_lengths(hashed: pd.DataFrame, digits: int) -> None:
    has_wrong_length = hashed["hash"].str.len() != digits
    if not has_wrong_length.any():
        return
    row = hashed[has_wrong_length].iloc[0]
    raise ValueError(
        f"the hash of {row['path']} has {4 * len(row['hash'])} bits, not {4 * digits}: the table "
        "is damaged. Hash the files again into a new table"
    )


def select_part(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Reduce a table of combined hashes to one part of them, as if that alone had been computed.

    From a table of find+dhash256, `select_part(table, "dhash256")` makes one of dhash256. The
    quality stays where it is this part's own and becomes nan otherwise. ValueError where the
    table's hasher has no such part.
    """
    names_in_table = set(table["hasher"])
    hasher = get_hasher(table["hasher"].iloc[0] if len(table) else name)
    names = [part.name for part in hasher.parts]
    if names_in_table - {hasher.name} or name not in names:
        raise ValueError(
            f"a table of {', '.join(sorted(names_in_table))} has no part {name!r}; its parts are "
            f"{' and '.join(names)}"
        )
    place = names.index(name)
    first_digit = sum(part.bits for part in hasher.parts[:place]) // 4
    digits = hasher.parts[place].bits // 4
    names_with_quality = [part.name for part in hasher.parts if part.has_quality]
    owns_quality = names_with_quality[:1] == [name]
    return table.assign(
        hasher=name,
        hash=table["hash"].str[first_digit : first_digit + digits],
        quality=table["quality"] if owns_quality else np.nan,
    )


class _Batches(NamedTuple):
    """An opened table.

    schema: its columns, without `packed`.
    batches: its rows, some at a time.
    rows: the number of rows that the file says it has; None where it does not say.
    """

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    rows: int | None


def _csv_types(path: Path) -> dict[str, pa.DataType]:
    """The types of the columns of a CSV file that are known.

    In a table of hashes, all other columns are a person's own, and are read as the texts they are.
    In the table of `finlib evaluate`, which has a hasher and a distance in each row, the distance
    is a name; in tables of pairs and of clusters it is a number.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first_line = file.readline(CSV_HEADER_CHARACTERS)
    names = next(csv.reader([first_line]), [])
    if set(FIRST_COLUMNS) <= set(names):
        return CSV_TYPES | {name: pa.string() for name in names if name not in COLUMNS}
    if "hasher" in names:
        return CSV_TYPES | {"distance": pa.string()}
    return CSV_TYPES


def _open_csv(path: Path) -> _Batches:
    convert_options = pyarrow.csv.ConvertOptions(column_types=_csv_types(path), null_values=[""])
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=convert_options,
    )
    return _Batches(reader.schema, reader, None)


def _open_parquet(path: Path) -> _Batches:
    file = pq.ParquetFile(path, page_checksum_verification=True)
    schema = pa.schema([field for field in file.schema_arrow if field.name != "packed"])
    batches = file.iter_batches(BATCH_ROWS, columns=schema.names)
    return _Batches(schema, batches, file.metadata.num_rows)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a table is read into one ValueError that names its file."""
    try:
        yield
    except (pa.ArrowException, csv.Error, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a sound table: {reason}") from None


def iter_batches(path: Path, *kinds: Sequence[str]) -> Iterator[pa.Table]:
    """Read a table of any kind, Parquet or CSV by its suffix, in batches of about BATCH_ROWS rows.

    The first batch has no rows, so that the columns of an empty table are known, too. `kinds` are
    lists of columns, such as PAIRS and CLUSTERS: where some are given, the table must have all
    columns of one of them, and otherwise ValueError is raised. It is raised for a damaged table,
    too; FileNotFoundError where there is no such file.
    """
    is_csv_file = is_csv(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    with _errors_name(path):
        opened = _open_csv(path) if is_csv_file else _open_parquet(path)
        _check_columns(opened.schema.names, kinds)
        yield opened.schema.empty_table()
        rows = 0
        for batch in opened.batches:
            rows += len(batch)
            yield pa.Table.from_batches([batch])
        if opened.rows is not None and rows != opened.rows:
            raise ValueError(f"{opened.rows - rows} rows are lost")


def _check_columns(names: list[str], kinds: Sequence[Sequence[str]]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"it has {', '.join(repeated)} twice")
    descriptions = []
    for kind in kinds:
        missing = [name for name in kind if name not in names]
        if not missing:
            return
        descriptions.append(", ".join(missing))
    if descriptions:
        raise ValueError(f"it lacks {' or '.join(descriptions)}")


def read_columns(path: Path, *kinds: Sequence[str]) -> pd.DataFrame:
    """Read a whole table of any kind; arguments and errors are those of `iter_batches`."""
    return pa.concat_tables(iter_batches(path, *kinds)).to_pandas()


def read_distance_metadata(path: Path) -> DistanceMetadata | None:
    """Read by which distance a Parquet table was made; None where it does not say so.

    ValueError where the file is damaged.
    """
    with _errors_name(path):
        return DistanceMetadata.from_arrow(pq.read_schema(path).metadata or {})


def read_hashes(path: str | Path, own_columns: bool = False) -> pd.DataFrame:
    """Read a table of hashes, Parquet or CSV by its suffix, with the columns COLUMNS.

    Tables of earlier versions have the columns FIRST_COLUMNS alone. Where a database has written
    null for a missing text, it is read as "". ValueError where the
    file is damaged or is not a table of hashes; FileNotFoundError where there is none.

    With `own_columns`, the columns that a person has added follow, in the types of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no table of hashes at {path}; make one with: finlib hash FOLDER -o {path.name}"
        )
    stored = pa.concat_tables(iter_batches(path, FIRST_COLUMNS))
    with _errors_name(path):
        table = _complete_arrow(stored).select(COLUMNS).cast(SCHEMA).to_pandas()
        texts = [field.name for field in SCHEMA if field.type == pa.string()]
        table[texts] = table[texts].fillna("")
        _check_rows(table)
    if own_columns:
        names = [name for name in stored.column_names if name not in COLUMNS]
        added = stored.select(names).to_pandas(types_mapper=pd.ArrowDtype)
        table = pd.concat([table, added], axis=1)
    return table


def _complete_arrow(stored: pa.Table) -> pa.Table:
    """Append the columns that a table of an earlier version lacks; nulls in them are unknown."""
    for name, unknown in LATER_COLUMNS.items():
        kind = SCHEMA.field(name).type
        if name not in stored.column_names:
            stored = stored.append_column(name, pa.array([unknown] * len(stored), kind))
        else:
            place = stored.column_names.index(name)
            filled = stored[name].cast(kind).fill_null(unknown)
            stored = stored.set_column(place, name, filled)
    return stored


def _check_rows(table: pd.DataFrame) -> None:
    """Check that every row has a path, a hasher, and either a hash or an error, to its last
    column: where a CSV file is cut off, that shows there or nowhere.
    """
    has_names = (table["path"] != "") & (table["hasher"] != "")
    has_one_result = (table["hash"] != "") != (table["error"] != "")
    is_sound = has_names & has_one_result
    if not is_sound.all():
        number = int(is_sound.argmin()) + 1
        raise ValueError(
            f"row {number} lacks a path or hasher, or does not have either a hash or an error"
        )
    is_whole = table["digest"].str.len().isin([0, 2 * DIGEST_BYTES])
    if not is_whole.all():
        number = int(is_whole.argmin()) + 1
        raise ValueError(
            f"row {number} has a digest that is cut off: the end of the table may be lost"
        )


def write_table(
    table: pd.DataFrame,
    path: str | Path,
    kind: str | None = None,
    metadata: DistanceMetadata | None = None,
) -> None:
    """Write a table of any kind as Parquet or CSV, by its suffix; the file appears when whole.

    `kind` is as for `table_writer`. metadata: of the table's distances, which a CSV file lacks.
    """
    schema = pa.Schema.from_pandas(table, preserve_index=False)
    if metadata is not None:
        schema = schema.with_metadata({**(schema.metadata or {}), **metadata.to_arrow()})
    if schema.names[: len(COLUMNS)] == COLUMNS:
        own_columns = [schema.field(name) for name in schema.names if name not in COLUMNS]
        packed_columns = []
        if not is_csv(Path(path)):
            packed_columns.append(_packed_field(table["hash"]))
            table = table.assign(packed=list(map(_to_bytes, table["hash"])))
        schema = pa.schema([*SCHEMA, *packed_columns, *own_columns])
    with table_writer(path, schema, kind) as write:
        write(table)


def _packed_field(hashes: pd.Series) -> pa.Field:
    """The column of the hashes as bytes, of a fixed length where all hashes have the same."""
    lengths = set(hashes.str.len()) - {0}
    if len(lengths) != 1:
        return pa.field("packed", pa.binary())
    return pa.field("packed", pa.binary(int(lengths.pop()) // 2))


def _to_bytes(digits: str) -> bytes | None:
    return bytes.fromhex(digits) or None


def kind_of_columns(names: Sequence[str]) -> str:
    """The kind in KINDS of a table with these columns; "" where it is of none."""
    for kind, columns in KINDS.items():
        if set(columns) <= set(names):
            return kind
    return ""


def read_kind(path: Path) -> str:
    """The kind that a file has in its metadata, or by its columns; "" where it has none."""
    try:
        if not is_csv(path):
            metadata = pq.read_schema(path).metadata or {}
            if KIND in metadata:
                return metadata[KIND].decode()
        return kind_of_columns(next(iter_batches(path)).column_names)
    except (ValueError, OSError):
        return ""


@contextmanager
def table_writer(
    path: str | Path, schema: pa.Schema, kind: str | None = None
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Give a function that appends a frame to a Parquet or CSV file, by the path's suffix.

    `kind` is what a Parquet file's metadata has for KIND, by default the kind of its columns. The
    file appears when the block ends without an error; until then, and after an error, an earlier
    file of that name stays. RuntimeError where another run is writing it.
    """
    path = Path(path)
    is_csv_file = is_csv(path)
    metadata = schema.metadata or {}
    schema = schema.with_metadata({**metadata, KIND: kind or kind_of_columns(schema.names)})
    with (
        write_atomically(path) as temporary,
        _open_writer(temporary, schema, is_csv_file) as writer,
    ):
        buffer = _WriteBuffer(writer, schema)
        yield buffer.append
        buffer.flush()


def _open_writer(
    path: Path, schema: pa.Schema, is_csv_file: bool
) -> pq.ParquetWriter | pyarrow.csv.CSVWriter:
    if is_csv_file:
        return pyarrow.csv.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, write_page_checksum=True)


class _WriteBuffer:
    """Collects frames until they fill a row group; many small row groups are slow to read."""

    def __init__(
        self,
        writer: pq.ParquetWriter | pyarrow.csv.CSVWriter,
        schema: pa.Schema,
    ) -> None:
        self.writer = writer
        self.schema = schema
        self.waiting: list[pa.Table] = []

    def append(self, frame: pd.DataFrame) -> None:
        self.waiting.append(pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False))
        if sum(map(len, self.waiting)) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.writer.write_table(pa.concat_tables(self.waiting))
            self.waiting.clear()


def is_csv(path: Path) -> bool:
    """Return whether the path ends in .csv; ValueError unless it ends in that or in .parquet."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(
            f"{path}: tables are .parquet or .csv; give a name that ends in one of these"
        )
    return path.suffix == ".csv"
