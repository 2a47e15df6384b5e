"""The README's tour and the recipes, word for word, on a folder of the test's own."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlib.command import cli, process
from finlib.hashing import tables
from finlib.hashing.execution import hash_files
from finlib.hashing.images import list_images
from finlib.matching.pairs import neighbours, pairs_within

ROOT = Path(__file__).resolve().parents[2]
README = (
    (ROOT / "README.md")
    .read_text(encoding="utf-8")
    .split("### Five-minute tour", 1)[1]
    .split("\n## ", 1)[0]
)
RECIPES = (ROOT / "finlib" / "recipes.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.+?)```", text, re.DOTALL)


@pytest.fixture
def photos(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine images of three families in `photos`, and a copy of one of them in `new`."""
    (album / "0002_damaged.jpg").unlink()
    monkeypatch.chdir(tmp_path)
    album.rename("photos")
    Path("new").mkdir()
    Path("new/again.png").write_bytes(Path("photos/0000_1.png").read_bytes())
    return Path("photos")


def test_the_tour_in_python(photos: Path, capsys: pytest.CaptureFixture) -> None:
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    first, *pairs, near = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ of 256 bits differ", first)
    packed = tables.packed_hashes(hash_files(list_images(photos)))
    assert len(pairs) == len(pairs_within(packed, 70).i) >= 9
    assert str(photos / "0000_0.jpg") in near


def test_the_tour_on_the_command_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (lines,) = blocks(README, "sh")
    for line in lines.strip().splitlines():
        if line.startswith("#"):
            continue
        command = line.split("#")[0].split()
        assert command[0] == "finlib"
        monkeypatch.setattr(sys, "argv", command)
        assert process.run(cli.app) == 0, (line, capsys.readouterr().err)
    found = pd.read_csv("matches.csv")
    assert found["path_a"].unique().tolist() == ["new/again.png"]
    assert found[found["distance"] == 0]["path_b"].tolist() == ["photos/0000_1.png"]
    assert len(pd.read_csv("copies.csv")) == pd.read_csv("clusters.csv")["cluster"].nunique() == 3
    assert Path("pairs.html").read_text().count("data:image/jpeg") == 9


@pytest.fixture
def table(photos: Path) -> pd.DataFrame:
    table = hash_files([*list_images(photos), "missing.png"])
    tables.write_table(table, "hashes.parquet")
    return table


def test_duckdb(table: pd.DataFrame) -> None:
    duckdb = pytest.importorskip("duckdb")
    sql, _ = blocks(RECIPES, "sql")
    pairs = pairs_within(tables.packed_hashes(table), 70)
    names = table["path"]
    expected = sorted((*sorted((names[i], names[j])), d) for i, j, d in zip(*pairs, strict=True))
    assert duckdb.sql(sql).fetchall() == expected
    assert expected


def test_faiss(table: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("faiss")
    (code,) = blocks(RECIPES, "python")
    held: dict = {}
    exec(compile(code, "recipes.md", "exec"), held)
    packed = tables.packed_hashes(table)
    np.testing.assert_array_equal(held["distance"][0], neighbours(packed[:1], packed, k=3).distance)


def test_postgresql_is_of_its_grammar() -> None:
    pglast = pytest.importorskip("pglast")
    _, sql = blocks(RECIPES, "sql")
    assert len(pglast.parse_sql(sql)) == 5
    with pytest.raises(pglast.parser.ParseError):
        pglast.parse_sql(sql.replace("ORDER BY", "ORDERED"))
