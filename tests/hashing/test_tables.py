"""The table of hashes survives its formats, and damage is named."""

import csv
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.hashing.execution import hash_files
from finlib.hashing.images import list_images

NAN = float("nan")
ROWS = [
    ('a,"b"\n=1+1.jpg', "", 4, 5, "find", "0" * 63 + "e", 12.5, "", 10, 1_700_000_000_123_456_789),
    ("0001_é.png", "0001", 0, 0, "find", "", NAN, "OSError: cut, 'short'", 3, 7),
    ("0001_2.png", "0001", 1, 1, "find", "ff" * 32, NAN, "", 4, 8),
]


@pytest.fixture
def table() -> pd.DataFrame:
    return tables.rows_to_arrow(ROWS).to_pandas()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_what_is_written_is_read_back(suffix: str, table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / f"hashes.{suffix}"
    tables.write_table(table, path)
    pd.testing.assert_frame_equal(tables.read_hashes(path), table, check_dtype=False)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_packed_rows_are_those_without_an_error(table: pd.DataFrame) -> None:
    packed = tables.packed_hashes(table)
    assert packed.tolist() == [[0] * 31 + [14], [255] * 32]
    assert tables.hashed_rows(table)["path"].tolist() == [ROWS[0][0], ROWS[2][0]]


def test_an_empty_table_has_no_hashes() -> None:
    assert tables.packed_hashes(tables.rows_to_arrow([]).to_pandas()).shape == (0, 32)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("hasher", "phash256", "mixes hashes of find, phash256"),
        ("hash", "ff" * 8, "has 64 bits, not 256"),
        ("hash", " f" * 32, "damaged"),
        ("hash", "xy" * 32, "damaged hash"),
        ("hasher", "md5", "no hasher is named 'md5'"),
    ],
)
def test_mixed_and_damaged_tables_are_refused(
    column: str, value: str, message: str, table: pd.DataFrame
) -> None:
    table.loc[2, column] = value
    if value == "md5":
        table[column] = value
    with pytest.raises(ValueError, match=message):
        tables.packed_hashes(table)


def test_files_that_are_no_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="finlib hash"):
        tables.read_hashes(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(ValueError, match=r"text\.parquet is not a sound table"):
        tables.read_hashes(tmp_path / "text.parquet")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks path, family"):
        tables.read_hashes(tmp_path / "other.csv")
    with pytest.raises(ValueError, match=r"\.parquet or \.csv"):
        tables.write_table(tables.rows_to_arrow([]).to_pandas(), tmp_path / "hashes.txt")


def test_nulls_are_the_empty_text(table: pd.DataFrame, tmp_path: Path) -> None:
    """Databases write a missing text as null."""
    path = tmp_path / "t.parquet"
    with_nulls = table.assign(error=table["error"].replace("", None), family=None)
    with_nulls.to_parquet(path)
    expected = table.assign(family="")
    pd.testing.assert_frame_equal(tables.read_hashes(path), expected, check_dtype=False)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("path", ["a", None, "c"], "row 2 lacks a path"),
        ("hasher", ["find", None, "find"], "row 2 lacks a path"),
        ("hash", ["", "", ""], "row 1 lacks a path or hasher, or does not have either a hash"),
        ("error", ["both", "", "both"], "row 1"),
        ("bytes", ["1", "many", "3"], "many"),
    ],
)
def test_rows_that_lack_something_are_named(
    column: str, values: list[str | None], message: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    table.assign(**{column: values}).to_parquet(path)
    with pytest.raises(ValueError, match=f"t.parquet is not a sound table: .*{message}"):
        tables.read_hashes(path)


def test_a_table_that_is_cut_in_its_last_column_is_refused(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    tables.write_table(table.assign(digest="ab" * 16), path)
    assert len(tables.read_hashes(path)) == 3
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="row 3 has a digest that is cut off"):
        tables.read_hashes(path)


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join([*tables.COLUMNS, "path"]) + "\n")
    with pytest.raises(ValueError, match="has path twice"):
        tables.read_hashes(path)


def test_overwritten_bytes_are_seen(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    tables.write_table(table, path)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"t\.parquet is not a sound table"):
        tables.read_hashes(path)


def test_a_table_needs_the_columns_of_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path,cluster\na,1\n")
    message = "it lacks path_a, path_b, distance or size, distance"
    with pytest.raises(ValueError, match=message):
        tables.read_columns(path, tables.PAIRS, tables.CLUSTERS)
    assert tables.read_columns(path)["cluster"].tolist() == [1]
    assert tables.read_columns(path, tables.PAIRS, ["path"])["path"].tolist() == ["a"]


def test_parquet_has_the_hash_as_bytes_too(table: pd.DataFrame, tmp_path: Path) -> None:
    tables.write_table(table, tmp_path / "t.parquet")
    stored = pd.read_parquet(tmp_path / "t.parquet")
    for digits, packed in zip(stored["hash"], stored["packed"], strict=True):
        if digits:
            assert packed.hex() == digits
        else:
            assert packed is None


def test_the_bytes_have_one_length_where_the_hashes_have(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    tables.write_table(table, path)
    assert pq.read_schema(path).field("packed").type == pa.binary(32)
    table.loc[0, "hash"] = "ab"
    tables.write_table(table, path)
    assert pq.read_schema(path).field("packed").type == pa.binary()
    tables.write_table(table.head(0), path)
    assert pq.read_schema(path).field("packed").type == pa.binary()


def test_a_table_of_an_earlier_version_has_bytes_of_any_length(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    stored = pa.Table.from_pandas(table[tables.FIRST_COLUMNS], preserve_index=False)
    pq.write_table(stored.append_column("packed", pa.array([b"a", b"bc", None])), path)
    pd.testing.assert_frame_equal(tables.read_hashes(path), table, check_dtype=False)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_appears_only_when_it_is_whole(
    suffix: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / f"hashes.{suffix}"
    tables.write_table(table.head(1), path)

    def fail_half_way() -> None:
        with tables.table_writer(path, tables.SCHEMA) as write:
            write(table)
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        fail_half_way()
    assert len(tables.read_hashes(path)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_of_a_csv_is_a_formula(start: str, tmp_path: Path, monkeypatch) -> None:
    """Only a relative path could begin so. It gets ./ before it and still names the same file."""
    monkeypatch.chdir(tmp_path)
    name = f"{start}1+1.png"
    Image.new("L", (9, 9)).save(name)
    table = hash_files([name, f"{start}missing.png"])
    tables.write_table(table, "t.csv")
    with open("t.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n"))]
    assert tables.read_hashes("t.csv")["path"].tolist() == [f"./{name}", f"./{start}missing.png"]
    assert os.path.samefile(text_to_path(table["path"][0]), name)


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"{i}.png", "", 1, 1, "find", rng.bytes(32).hex(), NAN, "", i, i)
        for i in rng.permutation(500)
    ]
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), tmp_path / "hashes.parquet")
    assert tables.read_hashes(tmp_path / "hashes.parquet")["path"].tolist() == [
        row[0] for row in rows
    ]


def test_a_sum_is_cut_to_its_parts(album: Path) -> None:
    files = list_images(album)
    whole = hash_files(files, "dhash64+find+ahash256")
    for name in ("dhash64", "find", "ahash256"):
        part = hash_files(files, name)
        pd.testing.assert_frame_equal(tables.select_part(whole, name), part)
        pd.testing.assert_frame_equal(tables.select_part(part, name), part)
    assert (whole["error"] != "").sum() == 1
    assert tables.packed_hashes(whole).shape == (9, 72)
    assert tables.select_part(whole.head(0), "find").empty
    with pytest.raises(ValueError, match="has no part 'phash64'"):
        tables.select_part(whole, "phash64")


def test_a_table_is_read_in_parts_and_one_long_cell_is_no_obstacle(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 3)
    rows = pd.DataFrame(
        {
            "path": ["x" * 3_000_000, *map(str, range(9))],
            "cluster": range(10),
            "size": 1,
            "distance": 0,
        }
    )
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"t.{suffix}"
        tables.write_table(rows, path)
        first, *parts = tables.iter_batches(path, tables.PAIRS, tables.CLUSTERS)
        assert len(first) == 0
        assert len(parts) == (1 if suffix == "csv" else 4)
        pd.testing.assert_frame_equal(tables.read_columns(path), rows, check_dtype=False)


def test_a_flipped_bit_in_the_hashes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hashes.parquet"
    rows = [(f"{k}.jpg", "", 1, 1, "find", f"{k:064x}", 1.0, "", 1, 1) for k in range(50)]
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), path)
    whole = path.read_bytes()
    expected = tables.read_hashes(path)
    row_group = pq.ParquetFile(path).metadata.row_group(0)
    column = row_group.column(tables.COLUMNS.index("hash"))
    start = column.dictionary_page_offset or column.data_page_offset
    for place in range(start, start + column.total_compressed_size, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with suppress(ValueError):  # where it is read all the same, it must be read as it was
            pd.testing.assert_frame_equal(tables.read_hashes(path), expected)
