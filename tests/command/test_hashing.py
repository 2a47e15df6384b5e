"""A table of hashes that only grows."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.command import cli, cluster, duplicates, hashing, inputs, output, process, search
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


TIME = 1_700_000_000


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Six pictures without compression, of one size in bytes and one time of modification."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(6):
        draw_frame(folder / f"{number}.bmp", number)
    return folder


def draw_frame(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((80, 60)).save(path)
    os.utime(path, (TIME, TIME))


def hashes_by_name(table: Path) -> dict[str, str]:
    rows = tables.read_hashes(table)
    names = [Path(path).name for path in rows["path"]]
    return dict(zip(names, rows["hash"], strict=True))


def as_an_earlier_version_wrote_it(table: Path) -> None:
    rows = tables.read_hashes(table)
    tables.write_table(rows[tables.FIRST_COLUMNS], table)


def test_files_that_are_renumbered_are_hashed_again(frames: Path, tmp_path: Path, capsys) -> None:
    table = tmp_path / "h.csv"
    hashing.hash_into(table, [str(frames)])
    before = hashes_by_name(table)
    (frames / "0.bmp").unlink()
    for number in range(1, 6):
        (frames / f"{number}.bmp").rename(frames / f"{number - 1}.bmp")
    hashing.hash_into(table, [str(frames)], prune=True)
    expected = {f"{number - 1}.bmp": before[f"{number}.bmp"] for number in range(1, 6)}
    assert hashes_by_name(table) == expected
    assert "5 files were hashed, 0 were known already" in capsys.readouterr().err


def test_a_file_whose_content_is_the_same_is_known_by_it(
    frames: Path, tmp_path: Path, capsys
) -> None:
    """A copy back from a backup has another inode and another time of change."""
    table = tmp_path / "h.parquet"
    hashing.hash_into(table, [str(frames)])
    for file in frames.iterdir():
        copy = file.with_suffix(".copy")
        shutil.copy2(file, copy)
        copy.replace(file)
    for _ in range(2):
        hashing.hash_into(table, [str(frames)])
        assert "0 files were hashed, 6 were known already" in capsys.readouterr().err
    inodes = [os.stat(path).st_ino for path in tables.read_hashes(table)["path"]]
    assert tables.read_hashes(table)["inode"].tolist() == inodes


def test_verification_finds_what_no_time_shows(frames: Path, tmp_path: Path, capsys) -> None:
    """As where a disk or a network alters a file and its times stay."""
    table = tmp_path / "h.parquet"
    hashing.hash_into(table, [str(frames)])
    before = hashes_by_name(table)
    draw_frame(frames / "3.bmp", 30)
    rows = tables.read_hashes(table)
    rows.loc[3, "changed_ns"] = os.stat(frames / "3.bmp").st_ctime_ns
    tables.write_table(rows, table)
    hashing.hash_into(table, [str(frames)])
    assert hashes_by_name(table) == before
    capsys.readouterr()
    hashing.hash_into(table, [str(frames)], verify=True)
    assert "1 files were hashed, 5 were known already" in capsys.readouterr().err
    after = hashes_by_name(table)
    assert [name for name in before if after[name] != before[name]] == ["3.bmp"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_of_an_earlier_version_are_trusted_by_size_and_time(
    suffix: str, frames: Path, tmp_path: Path, capsys
) -> None:
    table = tmp_path / f"h.{suffix}"
    for verify, hashed in ((False, 0), (True, 6)):
        hashing.hash_into(table, [str(frames)])
        as_an_earlier_version_wrote_it(table)
        capsys.readouterr()
        hashing.hash_into(table, [str(frames)], verify=verify)
        said = capsys.readouterr().err
        assert f"{hashed} files were hashed, {6 - hashed} were known already" in said
        assert ("6 rows were made by an earlier version" in said) != verify
        assert (tables.read_hashes(table)["inode"] != 0).all()


@pytest.mark.parametrize("year", [1600, 2300])
def test_a_file_of_a_date_far_away_is_hashed(year: int, frames: Path, tmp_path: Path) -> None:
    seconds = (year - 1970) * 31_556_952
    for file in frames.iterdir():
        os.utime(file, (seconds, seconds))
    table = tmp_path / "h.parquet"
    for _ in range(2):
        hashing.hash_into(table, [str(frames)])
        assert (tables.read_hashes(table)["error"] == "").sum() == 6


def test_trash_and_patterns_are_left_out_of_a_folder(frames: Path, tmp_path: Path, capsys) -> None:
    trash = frames / ".Trash-1000"
    trash.mkdir()
    (frames / "5.bmp").rename(trash / "5.bmp")
    for selection, expected in (
        (inputs.Selection(), 5),
        (inputs.Selection(hidden=True), 6),
        (inputs.Selection(exclude=("[0-2].bmp",)), 2),
    ):
        hashing.hash_into(tmp_path / "h.csv", [str(frames)], prune=True, selection=selection)
        assert len(tables.read_hashes(tmp_path / "h.csv")) == expected
    said = capsys.readouterr().err
    assert "hidden images are left out (1 .Trash-1000)" in said
    assert "3 files and folders are left out by --exclude." in said
    hashing.hash_into(tmp_path / "named.csv", [str(trash / "5.bmp")])
    assert len(tables.read_hashes(tmp_path / "named.csv")) == 1


def paths_of(table: Path) -> list[str]:
    return tables.read_hashes(table)["path"].tolist()


def test_one_file_of_several_names_is_one_row_by_the_first(
    frames: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(frames)
    table = tmp_path / "h.csv"
    os.link("0.bmp", "hard.bmp")
    os.symlink("1.bmp", "a_link.bmp")
    names = ["./2.bmp", "0.bmp", "hard.bmp", "a_link.bmp", "1.bmp", str(frames / "2.bmp"), "2.bmp"]
    expected = ["./2.bmp", "0.bmp", "a_link.bmp"]
    hashing.hash_into(table, names)
    assert paths_of(table) == expected
    for source in (".", str(frames)):
        hashing.hash_into(table, [source])
        rows = paths_of(table)
        assert rows[:3] == expected
        assert [Path(row).name for row in rows[3:]] == ["3.bmp", "4.bmp", "5.bmp"]
    hashing.hash_into(table, ["."], prune=True)
    assert len(paths_of(table)) == 6
    assert paths_of(table)[0] in ("./2.bmp", "0.bmp")


def test_a_table_of_an_earlier_version_loses_its_other_names(
    frames: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(frames)
    table = tmp_path / "h.csv"
    parts = []
    for name in ("./0.bmp", "0.bmp", "1.bmp"):
        hashing.hash_into(tmp_path / "one.csv", [name], replace=True)
        parts.append(tables.read_hashes(tmp_path / "one.csv"))
    tables.write_table(pd.concat(parts)[tables.FIRST_COLUMNS], table)
    assert inputs.load(table, None, 0, 1).files["path"].tolist() == ["./0.bmp", "1.bmp"]
    hashing.hash_into(table, ["."])
    assert paths_of(table)[:2] == ["./0.bmp", "1.bmp"]
    assert len(paths_of(table)) == 6


def test_of_a_renamed_file_the_present_name_is_taken(frames: Path, tmp_path: Path) -> None:
    table = tmp_path / "h.parquet"
    hashing.hash_into(table, [str(frames)])
    (frames / "3.bmp").rename(frames / "9.bmp")
    (frames / "0.bmp").unlink()
    (frames / "5.bmp").rename(frames / "0.bmp")
    hashing.hash_into(table, [str(frames)])
    assert len(paths_of(table)) == 7
    taken = [Path(path).name for path in inputs.load(table, None, 0, 1).files["path"]]
    assert sorted(taken) == ["0.bmp", "1.bmp", "2.bmp", "4.bmp", "9.bmp"]


@pytest.mark.parametrize("is_earlier", [False, True])
def test_a_file_does_not_match_itself_under_another_name(
    is_earlier: bool, frames: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(frames)
    table, pairs = tmp_path / "h.csv", tmp_path / "p.csv"
    hashing.hash_into(table, [f"./{number}.bmp" for number in range(6)])
    if is_earlier:
        as_an_earlier_version_wrote_it(table)
    shutil.copy("3.bmp", "copy.bmp")
    new, stored = inputs.load_both(Path("."), table, None, 0, 1)
    assert len(new.files) == 7
    search.PairSearch(search.Comparison(new, stored), 10).write(pairs)
    assert pd.read_csv(pairs).to_numpy().tolist() == [["copy.bmp", "./3.bmp", 0]]


def test_links_are_not_each_others_duplicates(frames: Path, tmp_path: Path) -> None:
    os.link(frames / "0.bmp", frames / "hard.bmp")
    (frames / "soft.bmp").symlink_to("1.bmp")
    (frames / "below").mkdir()
    (frames / "a").symlink_to("below")
    shutil.copy(frames / "2.bmp", frames / "below" / "copy.bmp")
    groups = tmp_path / "g.csv"
    duplicates.DuplicatesRun([frames], workers=1).write(groups)
    table = pd.read_csv(groups)
    assert table["size"].tolist() == [2]
    files = [table["keep"][0], *json.loads(table["others"][0])]
    assert sorted(files) == sorted([str(frames / "2.bmp"), str(frames / "below/copy.bmp")])


def test_duplicates_leaves_a_table_and_a_page_of_others_alone(frames: Path, tmp_path: Path) -> None:
    """Before any work begins, with --overwrite as without."""
    groups = tmp_path / "ph.csv"
    own = tmp_path / "ph.hashes.parquet"
    hashing.hash_into(own, [str(frames)])
    before = own.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"ph\.hashes\.parquet has the name of a file"):
            duplicates.DuplicatesRun([frames], workers=1).write(groups, overwrite)
    own.rename(tmp_path / "own.parquet")
    page = tmp_path / "ph.html"
    page.write_text("<!doctype html><title>My site</title>")
    with pytest.raises(ValueError, match="not a page that `finlib duplicates` wrote"):
        duplicates.DuplicatesRun([frames], workers=1).write(groups, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "own.parquet", "ph.html"]
    assert (tmp_path / "own.parquet").read_bytes() == before
    page.unlink()
    for overwrite in (False, True):
        duplicates.DuplicatesRun([frames], workers=1).write(groups, overwrite)


def test_clusters_leave_centres_of_others_alone(frames: Path, tmp_path: Path) -> None:
    output = tmp_path / "c.csv"
    centres = cluster.centres_file(output)
    hashing.hash_into(centres, [str(frames)])
    with pytest.raises(ValueError, match=r"c\.csv\.centres\.parquet has the name of a file"):
        cluster.check_outputs(output, True, ())
    centres.unlink()
    hashes = inputs.load(frames, None, 0, 1)
    cluster.write_clusters(hashes, output, None, cluster.Corrections(), "hamming", 1, "")
    cluster.check_outputs(output, True, ())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_a_person_added_stay(suffix: str, frames: Path, tmp_path: Path) -> None:
    table = tmp_path / f"h.{suffix}"
    hashing.hash_into(table, [str(frames)])
    rows = tables.read_hashes(table)
    rows["album"] = ["007", "", "=x", "1.0", "é", "z"]
    rows["stars"] = pd.array([1, None, 3, 2**60 + 1, 5, 6], "Int64")
    tables.write_table(rows, table)
    draw_frame(frames / "0.bmp", 50)
    draw_frame(frames / "6.bmp", 60)
    hashing.hash_into(table, [str(frames)])
    hashing.hash_into(table, [str(frames)], "find+dhash256")
    after = tables.read_hashes(table, own_columns=True)
    assert list(after.columns) == [*tables.COLUMNS, "album", "stars"]
    assert after["album"].fillna("").tolist() == [*rows["album"], ""]
    expected = ["1", "", "3", str(2**60 + 1), "5", "6", ""]
    assert after["stars"].astype("string").fillna("").tolist() == expected
    assert list(tables.read_hashes(table).columns) == tables.COLUMNS


@pytest.mark.parametrize("command", ["hash", "duplicates", "evaluate", "match", "cluster", "show"])
def test_the_second_of_two_runs_is_refused_before_it_does_anything(
    command: str, frames: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    result = tmp_path / ("out.html" if command == "show" else "out.csv")
    monkeypatch.setattr("sys.argv", ["finlib", command, str(tmp_path / "none"), "-o", str(result)])
    with output.claim(result):
        with output.claim(result):
            pass
        lock_file = result.with_name(f".{result.name}.lock")
        assert lock_file.exists()
        output._claimed.clear()  # as in another process
        assert process.run(cli.app) == 1
    assert "is being written by another run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_a_table_of_prepared_pictures_takes_no_other_hashes(
    tmp_path: Path, picture: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 200)
    (tmp_path / "scans").mkdir()
    deep.save(tmp_path / "scans/deep.tif")
    picture.save(tmp_path / "scans/plain.png")
    sources = [str(tmp_path / "scans")]
    prepared, plain = tmp_path / "prepared.parquet", tmp_path / "plain.parquet"
    hashing.hash_into(prepared, sources, prepare=True)
    assert set(tables.read_hashes(prepared)["hasher"]) == {"prepared:find"}
    assert (tables.read_hashes(prepared)["error"] == "").all()
    hashing.hash_into(plain, sources)
    errors = tables.read_hashes(plain).set_index("path")["error"]
    assert "Hash it with --prepare" in errors[str(tmp_path / "scans/deep.tif")]
    assert errors[str(tmp_path / "scans/plain.png")] == ""

    with pytest.raises(ValueError, match="holds hashes by prepared:find, not find"):
        hashing.hash_into(prepared, sources, "find")
    with pytest.raises(ValueError, match="holds hashes by find, not prepared:find"):
        hashing.hash_into(plain, sources, prepare=True)
    capsys.readouterr()
    hashing.hash_into(prepared, sources)
    assert "new files are prepared, too" in capsys.readouterr().err
    hashing.hash_into(prepared, sources, "find+dhash256", prepare=True)
    again = tables.read_hashes(prepared)
    assert set(again["hasher"]) == {"prepared:find+dhash256"}
    first, second = inputs.load_both(tmp_path / "scans", prepared, None, 0, None)
    assert second is not None
    assert np.array_equal(first.packed, second.packed)
    assert set(tables.select_part(again, "prepared:dhash256")["hasher"]) == {"prepared:dhash256"}
    with pytest.raises(ValueError, match="has no part 'dhash256'"):
        tables.select_part(again, "dhash256")
