"""Verdicts of a person are applied, remembered, and known by the content of the files."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.Image import Resampling

from finlib.command import cli, process, verdicts
from finlib.hashing import tables


def save_picture(path: Path, seed: int, side: int = 320) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(levels).resize((320, 240), Resampling.BICUBIC)
    picture.resize((side, side * 3 // 4)).save(path)


def finlib(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, arguments)])
    assert process.run(cli.app) == 0


def write_verdicts(path: Path, *rows: tuple[object, ...]) -> Path:
    columns = ["path_a", "path_b", "verdict"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def groups_in(table: Path) -> list[list[str]]:
    groups = pd.read_csv(table)
    paths = [
        [keep, *json.loads(others)]
        for keep, others in zip(groups["keep"], groups["others"], strict=True)
    ]
    return [[Path(path).name for path in group] for group in paths]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures, each with a smaller copy."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    for seed in range(2):
        save_picture(folder / f"{seed}.png", seed)
        save_picture(folder / f"{seed} small.png", seed, 200)
    return folder


def test_a_pair_that_is_not_a_duplicate_stays_so(
    photos: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    output = tmp_path / "g.csv"
    run = ["duplicates", photos, "-o", output, "--keep", "largest", "--overwrite"]
    finlib(monkeypatch, *run)
    assert sorted(groups_in(output)) == [["0.png", "0 small.png"], ["1.png", "1 small.png"]]
    marked = write_verdicts(
        tmp_path / "corrections.csv", (photos / "0.png", photos / "0 small.png", "wrong")
    )
    finlib(monkeypatch, *run, "--corrections", marked)
    assert groups_in(output) == [["1.png", "1 small.png"]]
    marked.unlink()
    (photos / "0 small.png").rename(photos / "another name.png")
    finlib(monkeypatch, *run)
    assert groups_in(output) == [["1.png", "1 small.png"]]
    capsys.readouterr()
    save_picture(photos / "another name.png", 0, 180)  # a new file, which nobody has judged
    finlib(monkeypatch, *run)
    assert sorted(groups_in(output))[0] == ["0.png", "another name.png"]
    assert "1 of 1 pairs name a file that has no hash here, or" in capsys.readouterr().err


def test_copies_kept_apart_stay_so_under_a_new_name(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    (photos / "0 small.png").write_bytes((photos / "0.png").read_bytes())
    output = tmp_path / "g.csv"
    run = ["duplicates", photos, "-o", output, "--keep", "largest", "--overwrite"]
    pair = (photos / "0.png", photos / "0 small.png")
    marked = write_verdicts(tmp_path / "corrections.csv", (*pair, "wrong"))
    finlib(monkeypatch, *run, "--corrections", marked)
    assert groups_in(output) == [["1.png", "1 small.png"]]
    pair[1].rename(photos / "another name.png")
    finlib(monkeypatch, *run)
    assert groups_in(output) == [["1.png", "1 small.png"]]


def test_right_pairs_are_united_and_a_later_verdict_goes_before(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    output = tmp_path / "g.csv"
    run = ["duplicates", photos, "-o", output, "--keep", "largest", "--overwrite", "--corrections"]
    pair = (photos / "0.png", photos / "1.png")
    finlib(monkeypatch, *run, write_verdicts(tmp_path / "c.csv", (*pair, "right")))
    assert {"0.png", "1.png"} <= set(groups_in(output)[0])
    finlib(monkeypatch, *run, write_verdicts(tmp_path / "c.csv", (*pair[::-1], "wrong")))
    assert sorted(groups_in(output)) == [["0.png", "0 small.png"], ["1.png", "1 small.png"]]
    assert len(verdicts.read_remembered(output)) == 1


def test_the_file_chosen_by_hand_is_kept(photos: Path, tmp_path: Path, monkeypatch) -> None:
    output = tmp_path / "g.csv"
    marked = write_verdicts(tmp_path / "c.csv", (photos / "0 small.png", photos / "0.png", "keep"))
    run = ["duplicates", photos, "-o", output, "--keep", "largest", "--overwrite"]
    finlib(monkeypatch, *run, "--corrections", marked)
    finlib(monkeypatch, *run)
    assert sorted(groups_in(output)) == [["0 small.png", "0.png"], ["1.png", "1 small.png"]]
    assert "chosen by hand" in output.read_text()


def test_match_leaves_out_wrong_pairs_against_other_files_too(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    hashes, output = tmp_path / "h.parquet", tmp_path / "p.csv"
    finlib(monkeypatch, "hash", photos, "-o", hashes)
    marked = write_verdicts(tmp_path / "c.csv", (photos / "0.png", photos / "0 small.png", "wrong"))
    more = ["--radius", 25, "-o", output, "--overwrite"]
    finlib(monkeypatch, "match", hashes, *more, "--corrections", marked)
    assert pd.read_csv(output)["path_a"].map(lambda path: Path(path).name[0]).tolist() == ["1"]
    finlib(monkeypatch, "match", hashes, *more)
    assert len(pd.read_csv(output)) == 1
    finlib(monkeypatch, "match", photos, "--against", hashes, *more)
    names = {Path(path).name[0] for path in pd.read_csv(output)["path_a"]}
    assert names == {"1"}


def test_cluster_applies_and_remembers_them(photos: Path, tmp_path: Path, monkeypatch) -> None:
    hashes, output = tmp_path / "h.parquet", tmp_path / "c.csv"
    finlib(monkeypatch, "hash", photos, "-o", hashes)
    pair = (photos / "0.png", photos / "0 small.png")
    marked = write_verdicts(tmp_path / "marks.csv", (*pair, "wrong"), (*pair, "keep"))
    finlib(monkeypatch, "cluster", hashes, "-o", output, "--corrections", marked)
    finlib(monkeypatch, "cluster", hashes, "-o", output, "--overwrite")
    cluster = pd.read_csv(output).set_index("path")["cluster"]
    assert cluster[str(pair[0])] != cluster[str(pair[1])]
    assert cluster[str(photos / "1.png")] == cluster[str(photos / "1 small.png")]


FILES = pd.DataFrame(
    {"path": ["a", "b", "c", "d", "e"], "digest": ["1", "2", "1", "", "1"]},
)


def rows_of(*pairs: tuple[str, ...]) -> list[list[int]]:
    table = pd.DataFrame(pairs, columns=["path_a", "digest_a", "path_b", "digest_b"])
    judged = table.assign(verdict="wrong")[verdicts.COLUMNS]
    return verdicts.find_rows(judged, FILES).apart.tolist()


def test_files_are_known_by_content_and_else_by_path() -> None:
    assert rows_of(("x", "1", "y", "2")) == [[0, 1], [2, 1], [4, 1]]
    assert rows_of(("a", "", "./b", "")) == [[0, 1], [2, 1], [4, 1]]
    assert rows_of(("a", "9", "b", "2")) == []
    assert rows_of(("d", "7", "b", "2")) == [[3, 1]]  # of d the content is unknown
    assert rows_of(("a", "1", "c", "1")) == [[0, 2]]  # two copies of one content
    assert rows_of(("a", "1", "gone", "1")) == [[0, 2], [0, 4]]  # which may be any other copy
    assert rows_of(("gone", "1", "a", "1")) == [[2, 0], [4, 0]]
    assert rows_of(("gone", "9", "a", "9")) == []


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "v.csv"
    file.write_text("path_a,path_b,verdict\na,b,perhaps\n")
    with pytest.raises(ValueError, match="must be right or wrong, not perhaps"):
        verdicts.read_verdicts(file)
    file.write_text("path_a,path_b\na,b\n")
    with pytest.raises(ValueError, match="no column 'verdict'"):
        verdicts.read_verdicts(file)


def test_a_file_of_the_user_with_the_name_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "g.csv"
    own = verdicts.verdicts_file(output)
    own.write_text("day,note\n1,rain\n")
    with pytest.raises(ValueError, match="has the name of a file that is written beside"):
        verdicts.check_verdicts_file(output)
    tables.write_table(pd.DataFrame([], columns=verdicts.COLUMNS), own)
    verdicts.check_verdicts_file(output)
