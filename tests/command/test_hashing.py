"""A table of hashes that only grows."""

import pandas as pd

from finlib import tables
from finlib.command import hashing


def test_merged_rows_stay_in_place_and_nothing_good_is_lost() -> None:
    def rows(*named: tuple[str, str, str]) -> pd.DataFrame:
        return tables.table_of(
            [(path, "", 1, 1, "find", text, float("nan"), error, 1, 1) for path, text, error in named]
        ).to_pandas()

    known = rows(("a", "00", ""), ("b", "", "lost"), ("c", "01", ""), ("d", "02", ""))
    new = rows(("c", "03", ""), ("b", "04", ""), ("d", "", "gone"), ("e", "", "bad"))
    found = hashing.merged(known, new)[["path", "hash", "error"]].to_numpy().tolist()
    assert found == [
        ["a", "00", ""],
        ["b", "04", ""],
        ["c", "03", ""],
        ["d", "02", ""],
        ["d", "", "gone"],
        ["e", "", "bad"],
    ]
    again = hashing.merged(hashing.merged(known, new), rows(("d", "", "worse")))
    assert again[again["path"] == "d"]["error"].tolist() == ["", "worse"]
