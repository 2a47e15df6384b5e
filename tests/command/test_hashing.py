"""A table of hashes that only grows."""

import re
from pathlib import Path

import pandas as pd
import pytest

from finlib.command import hashing, output
from finlib.hashing import tables


def test_merged_rows_stay_in_place_and_nothing_good_is_lost() -> None:
    def rows(*named: tuple[str, str, str]) -> pd.DataFrame:
        return tables.rows_to_arrow(
            [
                (path, "", 1, 1, "find", text, float("nan"), error, 1, 1)
                for path, text, error in named
            ]
        ).to_pandas()

    known = rows(("a", "00", ""), ("b", "", "lost"), ("c", "01", ""), ("d", "02", ""))
    new = rows(("c", "03", ""), ("b", "04", ""), ("d", "", "gone"), ("e", "", "bad"))
    found = hashing.merge_rows(known, new)[["path", "hash", "error"]].to_numpy().tolist()
    assert found == [
        ["a", "00", ""],
        ["b", "04", ""],
        ["c", "03", ""],
        ["d", "02", ""],
        ["d", "", "gone"],
        ["e", "", "bad"],
    ]
    again = hashing.merge_rows(hashing.merge_rows(known, new), rows(("d", "", "worse")))
    assert again[again["path"] == "d"]["error"].tolist() == ["", "worse"]


def test_a_file_where_finished_parts_are_kept_is_named_and_stays(tmp_path: Path) -> None:
    (tmp_path / "h.parquet.parts").write_text("mine")
    with (
        pytest.raises(FileExistsError, match=re.escape("h.parquet.parts is a file")),
        output.keep_parts(tmp_path / "h.parquet", "part-*"),
    ):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
