"""Tables that are printed: exact in a pipe, and harmless in a terminal."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from finlib.command.output import open_output, print_table
from finlib.hashing import tables

NAMES = ["two\nlines", "\x1b[31mred\x1b[0m", "\x9b31m", "cr\rover", 'a "b", c', "\u202egnp", "ü"]
BENIGN = {"\n", *map(chr, range(32, 127)), "ü"}


class Stream(io.TextIOWrapper):
    """Standard output, which may be a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    tables.write_table(pd.DataFrame({"path_a": NAMES, "path_b": "b", "distance": 1}), path)
    return path


def printed(table: Path, as_json: bool, is_terminal: bool, monkeypatch) -> str:
    stream = Stream(is_terminal)
    monkeypatch.setattr("sys.stdout", stream)
    print_table(table, as_json)
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_a_csv_has_the_names_as_they_are_in_a_pipe_and_escaped_in_a_terminal(
    table: Path, monkeypatch
) -> None:
    text = printed(table, False, False, monkeypatch)
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))] == ["path_a", *NAMES]
    shown = printed(table, False, True, monkeypatch)
    assert set(shown) <= BENIGN
    assert "\\x1b[31mred" in shown
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_json_is_escaped_and_exact(is_terminal: bool, table: Path, monkeypatch) -> None:
    text = printed(table, True, is_terminal, monkeypatch)
    assert set(text) <= BENIGN
    assert [row["path_a"] for row in json.loads(text)] == NAMES


def test_an_output_that_cannot_take_a_table_is_refused_first(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"folder.csv is a folder"), open_output(folder, False):
        pytest.fail("the command ran")
    monkeypatch.setattr("sys.stdout", None)
    for output, as_json in ((Path("-"), False), (tmp_path / "t.csv", True)):
        with (
            pytest.raises(ValueError, match="Standard output is closed"),
            open_output(output, as_json),
        ):
            pytest.fail("the command ran")
    with open_output(tmp_path / "t.csv", False) as table:
        assert table == tmp_path / "t.csv"
