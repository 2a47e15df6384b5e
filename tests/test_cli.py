"""The command line as a person uses it: outputs, exit statuses, one-line errors."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlib import cli, tables


def finlib(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "finlib.cli", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True)


def status(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status in this process: quicker than a process of its own."""
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.fixture
def hashes(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    output = tmp_path / "hashes.parquet"
    assert status(monkeypatch, "hash", album, "-o", output) == 0
    return output


def test_hash_match_and_cluster_end_to_end(album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    table = tables.read_hashes(hashes)
    assert len(table) == 10
    assert not hashes.with_name("hashes.parquet.parts").exists()
    packed = np.unpackbits(tables.packed_of(table), axis=1).astype(int)
    paths = tables.good_rows(table)["path"]
    expected = {
        (paths[i], paths[j], int(abs(packed[i] - packed[j]).sum()))
        for i in range(9)
        for j in range(i + 1, 9)
        if abs(packed[i] - packed[j]).sum() <= 60
    }
    for name in ("pairs.csv", "pairs.parquet"):
        assert status(monkeypatch, "match", hashes, "--radius", 60, "-o", tmp_path / name) == 0
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert set(pairs.itertuples(index=False, name=None)) == expected
    assert len(expected) >= 9
    pd.testing.assert_frame_equal(pairs, pd.read_parquet(tmp_path / "pairs.parquet"), check_dtype=False)
    assert status(monkeypatch, "cluster", hashes, "-o", tmp_path / "clusters.csv") == 0
    clusters = pd.read_csv(tmp_path / "clusters.csv", dtype={"family": str})
    assert clusters.groupby("family")["cluster"].nunique().tolist() == [1, 1, 1]
    assert clusters["size"].tolist() == [3] * 9
    assert "3 clusters of 9 hashes" in capsys.readouterr().err


def test_evaluate_scores_every_hasher_asked_for(album: Path, tmp_path: Path, monkeypatch) -> None:
    (album / "0002_damaged.jpg").unlink()
    output = tmp_path / "scores.csv"
    chosen = ["--hasher", "find", "--hasher", "dhash64"]
    assert status(monkeypatch, "evaluate", album, "-o", output, *chosen, "--workers", 1) == 0
    scores = pd.read_csv(output)
    assert scores[["hasher", "bits"]].to_numpy().tolist() == [["find", 256], ["dhash64", 64]]
    assert {"auc", "tpr_1e-6", "tpr_1e-4", "tpr_1e-3", "tpr_1e-2", "threshold_1e-4", "best_f1"} <= set(scores)
    assert scores["auc"].iloc[0] == 1


def test_run_again_it_hashes_what_is_new(album: Path, hashes: Path, monkeypatch, capsys) -> None:
    before = tables.read_hashes(hashes)
    (album / "0002_damaged.jpg").unlink()
    assert status(monkeypatch, "hash", album, "-o", hashes) == 0
    assert "9 hashed, 0 not" in capsys.readouterr().err
    pd.testing.assert_frame_equal(tables.read_hashes(hashes), tables.good_rows(before))


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_a_list_of_files_on_standard_input(separator: bytes, album: Path, tmp_path: Path) -> None:
    names = [os.fsencode(album / "0001_0.jpg"), os.fsencode(album / "0000_0.jpg")]
    done = finlib("hash", "-", "-o", tmp_path / "hashes.csv", stdin=separator.join(names) + separator)
    assert done.returncode == 0, done.stderr
    assert tables.read_hashes(tmp_path / "hashes.csv")["path"].tolist() == [name.decode() for name in names]
    assert b"%|" not in done.stderr  # no progress bar where the output is no terminal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hash", "ALBUM"], "Missing option '--output'"),
        (["hash", "ALBUM/none", "-o", "h.parquet"], "no such folder"),
        (["hash", "ALBUM", "-o", "h.txt"], "tables are .parquet or .csv"),
        (["hash", "ALBUM", "-o", "h.csv", "--hasher", "md5"], "no hasher is named 'md5'; there are find"),
        (["hash", "ALBUM", "-o", "h.csv", "--workers", "0"], "--workers"),
        (["hash", "ALBUM", "-o", "HASHES", "--hasher", "phash64"], "holds hashes by find, not phash64"),
        (["hash", "-", "-o", "h.csv"], "standard input lists no file"),
        (["match", "HASHES", "-o", "p.csv"], "Missing option '--radius'"),
        (["match", "HASHES", "-o", "p.csv", "--radius", "-1"], "--radius"),
        (["match", "HASHES", "-o", "p.csv", "--radius", "257"], "radius"),
        (["match", "none.parquet", "-o", "p.csv", "--radius", "1"], "no table of hashes at"),
        (["match", "ALBUM/0000_0.jpg", "-o", "p.csv", "--radius", "1"], "tables are .parquet or .csv"),
        (["cluster", "HASHES", "-o", "c.csv", "--method", "magic"], "magic"),
        (["cluster", "HASHES", "-o", "c"], "tables are .parquet or .csv"),
        (["evaluate", "ALBUM/below", "-o", "s.csv", "--hasher", "sha"], "no hasher is named 'sha'"),
        (["sort"], "No such command 'sort'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: list[str], message: str, album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    named = [word.replace("ALBUM", str(album)).replace("HASHES", str(hashes)) for word in arguments]
    capsys.readouterr()
    assert status(monkeypatch, *named) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("finlib: ")
    assert message in line
    assert not [path for path in tmp_path.iterdir() if path.name not in ("album", "hashes.parquet")]


def test_a_failed_run_is_one_line_and_status_1(album: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert status(monkeypatch, "hash", album / "0002_damaged.jpg", "-o", tmp_path / "h.csv") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "finlib: no file could be hashed"
    (tmp_path / "file").write_text("in the way")
    assert status(monkeypatch, "hash", album, "-o", tmp_path / "file" / "h.csv") in (1, 2)
    assert "file" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", ["hash", "match", "cluster", "evaluate", "report"])
def test_help_has_an_example(name: str) -> None:
    done = finlib(name, "--help")
    assert done.returncode == 0
    assert f"finlib {name}".encode() in done.stdout.split(b"Example", 1)[1]
