"""Lists of known hashes are compared like tables."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from finlib.command import cli, process
from finlib.command.hash_lists import is_hash_list, read_hash_list
from finlib.hashing import tables
from finlib.hashing.execution import hash_files

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("a.txt", f"{HASH}\n\n{HASH.upper()} a label\n", [HASH, "a label"]),
        ("a.csv", f"{HASH},one\n{HASH},two\n", ["one", "two"]),
        ("a.csv", f"label,hash\none,{HASH}\n", ["one"]),
        ("a.csv", f"\ufeffhash\n{HASH}\n", [HASH]),
    ],
)
def test_forms_of_lists(name: str, text: str, labels: list[str], tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert is_hash_list(file)
    table = read_hash_list(file, "find")
    assert table["path"].tolist() == labels
    assert set(table["hash"]) == {HASH}


def test_what_is_no_list_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for text, message in (
        ("\n", "lists no hashes"),
        (f"{HASH}\nnothing\n", "line 2: nothing is no hash by find"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_hash_list(file, "find")
    file.write_text(HASH)
    with pytest.raises(ValueError, match="Give --hasher: find"):
        read_hash_list(file, None)
    named = tmp_path / "a.csv"
    named.write_text(f"hash,hasher\n{HASH},find\n")
    assert set(read_hash_list(named, None)["hasher"]) == {"find"}
    with pytest.raises(ValueError, match="hashes by find, not by pdq"):
        read_hash_list(named, "pdq")


def test_images_are_matched_with_a_list(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = tables.hashed_rows(hash_files(sorted(album.glob("0001*"))))
    known = tmp_path / "known.csv"
    labels = [f"known {number}" for number in range(len(hashed))]
    hashed[["hash"]].assign(label=labels).to_csv(known, index=False)
    output = tmp_path / "p.csv"
    command = ["match", album, "--against", known, "--hasher", "find", "--radius", 0, "-o", output]
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, command)])
    assert process.run(cli.app) == 0
    found = pd.read_csv(output)
    matches = dict(zip(found["path_b"], found["path_a"], strict=True))
    assert matches == dict(zip(labels, hashed["path"], strict=True))
    assert len(matches) > 1
