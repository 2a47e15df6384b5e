"""The command line as a person uses it: outputs, exit statuses, one-line errors."""

import json
import os
import re
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import finlib as package
from finlib.command import cli, process
from finlib.files import lock
from finlib.hashing import execution, tables
from finlib.matching import thresholds


def finlib(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "finlib.command.cli", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True)


def status(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status in this process: quicker than a process of its own."""
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, arguments)])
    return process.run(cli.app)


@pytest.fixture
def hashes(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    output = tmp_path / "hashes.parquet"
    assert status(monkeypatch, "hash", album, "-o", output) == 0
    return output


def test_hash_match_and_cluster_end_to_end(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    table = tables.read_hashes(hashes)
    assert len(table) == 10
    assert not hashes.with_name("hashes.parquet.parts").exists()
    packed = np.unpackbits(tables.packed_hashes(table), axis=1).astype(int)
    paths = tables.hashed_rows(table)["path"]
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
    pd.testing.assert_frame_equal(
        pairs, pd.read_parquet(tmp_path / "pairs.parquet"), check_dtype=False
    )
    assert status(monkeypatch, "cluster", hashes, "-o", tmp_path / "clusters.csv") == 0
    clusters = pd.read_csv(tmp_path / "clusters.csv", dtype={"family": str})
    assert clusters.groupby("family")["cluster"].nunique().tolist() == [1, 1, 1]
    assert clusters["size"].tolist() == [3] * 9
    said = capsys.readouterr().err
    assert "3 clusters of 9 files, and 0 single files" in said
    assert "of 10 rows, these are left out: 1 with an error." in said


def test_evaluate_scores_every_hasher_asked_for(album: Path, tmp_path: Path, monkeypatch) -> None:
    (album / "0002_damaged.jpg").unlink()
    output = tmp_path / "scores.csv"
    chosen = ["--hasher", "find", "--hasher", "dhash64"]
    assert status(monkeypatch, "evaluate", album, "-o", output, *chosen, "--workers", 1) == 0
    scores = pd.read_csv(output)
    assert scores[["hasher", "bits"]].to_numpy().tolist() == [["find", 256], ["dhash64", 64]]
    assert {
        "auc",
        "tpr_1e-6",
        "tpr_1e-4",
        "tpr_1e-3",
        "tpr_1e-2",
        "threshold_1e-4",
        "best_f1",
    } <= set(scores)
    assert scores["auc"].iloc[0] == 1


def test_evaluate_reads_names_as_labels_only_where_most_are(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    command = ["evaluate", album, "-o", tmp_path / "scores.csv", "--hasher", "dhash64"]
    assert status(monkeypatch, *command, "--workers", 1) == 0
    assert "Found 10 images of 3 families. The four digits before" in capsys.readouterr().err
    for number in range(12):
        (album / f"holiday{number}.jpg").write_bytes((album / "0000_0.jpg").read_bytes())
    more = [*command, "--workers", 1, "--overwrite"]
    assert status(monkeypatch, *more) == 2
    error = capsys.readouterr().err
    assert "Only 10 of 22 names have the form FFFF_ID.ext" in error
    assert "If they are labels, give --labels yes." in error
    assert status(monkeypatch, *more, "--labels", "yes") == 0
    assert "read as labels, as you asked" in capsys.readouterr().err


def test_a_table_only_grows_unless_told_otherwise(
    album: Path, hashes: Path, monkeypatch, capsys
) -> None:
    before = tables.read_hashes(hashes)
    batch = album.parent / "batch"
    batch.mkdir()
    (album / "0000_0.jpg").rename(batch / "0000_9.jpg")
    capsys.readouterr()
    assert status(monkeypatch, "hash", batch, "-o", hashes) == 0
    assert (
        "1 files were hashed, 0 were known already, and 0 could not be hashed"
        in capsys.readouterr().err
    )
    grown = tables.read_hashes(hashes)
    pd.testing.assert_frame_equal(grown.head(10), before)
    assert status(monkeypatch, "hash", album, "-o", hashes, "--prune") == 0
    assert (
        "0 files were hashed, 8 were known already, and 1 could not be hashed"
        in capsys.readouterr().err
    )
    assert tables.read_hashes(hashes)["path"].tolist() == before["path"].tolist()[1:]
    assert status(monkeypatch, "hash", batch, "-o", hashes, "--replace", "--hasher", "dhash64") == 0
    assert tables.read_hashes(hashes)[["path", "hasher"]].to_numpy().tolist() == [
        [str(batch / "0000_9.jpg"), "dhash64"]
    ]


def test_hashes_stay_where_the_files_cannot_be_read_now(
    album: Path, hashes: Path, monkeypatch, capsys
) -> None:
    before = tables.read_hashes(hashes)
    gone = [str(path) for path in before["path"][:3]]
    album.rename(album.with_name("not mounted"))
    (album / "below").mkdir(parents=True)
    assert (
        status(monkeypatch, "hash", *gone, "-o", hashes) == 2
    )  # a name on the command line that is not there
    assert status(monkeypatch, "hash", album, "-o", hashes) == 2  # an empty folder
    Image.linear_gradient("L").save(album / "new.png")
    pd.testing.assert_frame_equal(tables.read_hashes(hashes), before)
    names = "\r\n".join([*gone, str(album / "new.png"), str(album / "new.png"), ""])
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(names.encode())))
    assert status(monkeypatch, "hash", "-", "-o", hashes) == 0
    after = tables.read_hashes(hashes)
    assert (after["error"] == "").sum() == 10
    pd.testing.assert_frame_equal(
        after[after["path"].isin(gone) & (after["error"] == "")].reset_index(drop=True),
        before.head(3),
    )
    assert after["error"][after["path"].isin(gone)].str.contains("no such file").sum() == 3
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\n".join(gone).encode())))
    assert (
        status(monkeypatch, "hash", "-", "-o", hashes, "--prune") == 1
    )  # nothing at all could be read
    pd.testing.assert_frame_equal(tables.read_hashes(hashes), after)


def test_what_a_closed_folder_holds_is_not_pruned(
    album: Path, hashes: Path, monkeypatch, close_below
) -> None:
    before = tables.read_hashes(hashes).set_index("path")
    close_below()
    (album / "0000_0.jpg").unlink()
    assert status(monkeypatch, "hash", album, "-o", hashes, "--prune") == 0
    after = tables.read_hashes(hashes).set_index("path")
    assert set(before.index) - set(after.index) == {str(album / "0000_0.jpg")}
    assert set(after.index) - set(before.index) == {str(album / "below")}
    assert (after["hash"] != "").sum() == 8
    below = [path for path in before.index if path.startswith(str(album / "below"))]
    assert len(below) == 3
    pd.testing.assert_frame_equal(after.loc[below], before.loc[below])


def test_pruning_goes_by_the_files_where_a_folder_is_named_beside_them(
    album, hashes, monkeypatch, capsys
) -> None:
    (album / "0000_0.jpg").unlink()
    names = "\n".join([str(album), *(str(path) for path in album.rglob("*.*g"))])
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(names.encode())))
    assert status(monkeypatch, "hash", "-", "-o", hashes, "--prune") == 0
    assert str(album / "0000_0.jpg") not in set(tables.read_hashes(hashes)["path"])


def test_of_many_errors_the_first_are_said_and_the_others_counted(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    Image.linear_gradient("L").save(tmp_path / "good.png")
    for k in range(8):
        (tmp_path / f"{k}.jpg").write_text("no picture")
    assert status(monkeypatch, "hash", tmp_path, "-o", tmp_path / "h.csv") == 0
    said = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("not hashed: ")
    ]
    assert len(said) == 6
    assert said[-1] == "not hashed: 3 more"


def test_a_table_takes_the_hash_that_it_lacks(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    both = tmp_path / "both.parquet"
    assert status(monkeypatch, "hash", album, "-o", both, "--hasher", "find+dhash256") == 0
    calls = []
    row = execution.hash_row
    monkeypatch.setattr(
        execution, "hash_row", lambda file, hasher: calls.append(hasher) or row(file, hasher)
    )
    assert (
        status(
            monkeypatch, "hash", album, "-o", hashes, "--hasher", "find+dhash256", "--workers", 1
        )
        == 0
    )
    assert calls == ["dhash256"] * 9 + ["find+dhash256"]  # the damaged file is tried anew
    expected, found = (
        tables.read_hashes(path).sort_values("path", ignore_index=True) for path in (both, hashes)
    )
    pd.testing.assert_frame_equal(found, expected)
    assert status(monkeypatch, "hash", album, "-o", hashes, "--hasher", "find") == 2
    assert "holds hashes by find+dhash256, not find" in capsys.readouterr().err


def test_a_hash_is_not_added_to_files_that_changed(
    album: Path, hashes: Path, monkeypatch, capsys
) -> None:
    before = hashes.read_bytes()
    (album / "0000_0.jpg").unlink()
    assert status(monkeypatch, "hash", album, "-o", hashes, "--hasher", "find+dhash256") == 1
    assert "dhash256 cannot be added: 1 of 9 files" in capsys.readouterr().err
    assert hashes.read_bytes() == before


def test_one_of_two_runs_on_one_table_is_refused(
    album: Path, hashes: Path, monkeypatch, capsys
) -> None:
    with lock(hashes.with_name(".hashes.parquet.lock"), hashes):
        assert status(monkeypatch, "hash", album, "-o", hashes) == 1
    assert "is being written by another run" in capsys.readouterr().err
    assert status(monkeypatch, "hash", album, "-o", hashes) == 0
    assert [path.name for path in hashes.parent.glob("*hashes*")] == ["hashes.parquet"]


@pytest.mark.parametrize("command", [["match", "--radius", "9"], ["cluster"]])
def test_nothing_is_written_over_that_is_wanted(
    command: list[str], hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    before = hashes.read_bytes()
    link = tmp_path / "link.parquet"
    link.symlink_to(hashes)
    other = tmp_path / "other.csv"
    other.write_text("name\n")
    for output, message in ((hashes, "reads"), (link, "reads"), (other, "another kind")):
        for more in ([], ["--overwrite"]):
            assert status(monkeypatch, *command, hashes, "-o", output, *more) == 2
            assert message in capsys.readouterr().err
    assert (hashes.read_bytes(), other.read_text()) == (before, "name\n")
    output = tmp_path / "out.parquet"
    assert status(monkeypatch, *command, hashes, "-o", output) == 0
    assert status(monkeypatch, *command, hashes, "-o", output) == 2
    assert "exists. Give another name, or --overwrite" in capsys.readouterr().err
    assert status(monkeypatch, *command, hashes, "-o", output, "--overwrite") == 0


def test_replace_is_for_tables_of_hashes_and_keeps_them_where_nothing_can_be_hashed(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    pairs = tmp_path / "pairs.csv"
    assert status(monkeypatch, "match", hashes, "--radius", 60, "-o", pairs) == 0
    assert status(monkeypatch, "hash", album, "-o", pairs, "--replace") == 2
    assert "is another kind of file" in capsys.readouterr().err
    other = tmp_path / "other.csv"
    for more in (["--hasher", "dhash64"], ["--replace"]):
        assert status(monkeypatch, "hash", album, "-o", other, *more) == 0
        assert set(tables.read_hashes(other)["hasher"]) == {"dhash64"}
    before = hashes.read_bytes()
    assert status(monkeypatch, "hash", album / "0002_damaged.jpg", "-o", hashes, "--replace") == 1
    assert hashes.read_bytes() == before


def test_new_images_against_stored_ones(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    table = tables.hashed_rows(tables.read_hashes(hashes))
    packed = np.unpackbits(tables.packed_hashes(table), axis=1).astype(int)
    one = album / "0001_0.jpg"
    place = table["path"].tolist().index(str(one))
    distance = np.abs(packed - packed[place]).sum(axis=1)
    output = tmp_path / "found.csv"
    for source in (one, tmp_path / "one.parquet"):
        if source != one:
            assert status(monkeypatch, "hash", one, "-o", source) == 0
        more = ["--against", hashes, "--radius", 60, "-o", output, "--overwrite"]
        assert status(monkeypatch, "match", source, *more) == 0
        expected = [
            [str(one), table["path"][k], distance[k]]
            for k in range(9)
            if distance[k] <= 60 and k != place
        ]
        assert pd.read_csv(output).to_numpy().tolist() == expected
        assert len(expected) == 2
    assert "2 pairs of files within 60 bits were found, of 9 compared" in capsys.readouterr().err
    assert (
        status(
            monkeypatch,
            "match",
            album,
            "--against",
            hashes,
            "--nearest",
            2,
            "-o",
            tmp_path / "near.parquet",
        )
        == 0
    )
    near = pd.read_parquet(tmp_path / "near.parquet")
    assert near["path_a"].value_counts().tolist() == [2] * 9
    assert (near["path_a"] != near["path_b"]).all()
    assert (
        status(
            monkeypatch,
            "match",
            hashes,
            "--nearest",
            3,
            "--radius",
            70,
            "-o",
            tmp_path / "self.csv",
        )
        == 0
    )
    assert pd.read_csv(tmp_path / "self.csv")["path_a"].value_counts().max() <= 3


def test_a_part_of_a_sum_is_matched_alone(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    both = tmp_path / "both.parquet"
    assert status(monkeypatch, "hash", album, "-o", both, "--hasher", "dhash256+find") == 0
    found = []
    for k, arguments in enumerate(
        ([hashes], [both, "--hasher", "find"], [both, "--against", hashes])
    ):
        output = tmp_path / f"{k}.csv"
        assert status(monkeypatch, "match", *arguments, "--radius", 60, "-o", output) == 0
        found.append(
            {
                (*sorted(row[:2]), row[2])
                for row in pd.read_csv(output).itertuples(index=False, name=None)
            }
        )
    assert found[0] == found[1] == found[2] != set()
    assert (
        status(
            monkeypatch,
            "match",
            hashes,
            "--hasher",
            "dhash256",
            "--radius",
            60,
            "-o",
            tmp_path / "p.csv",
        )
        == 2
    )
    assert "a table of find has no part 'dhash256'" in capsys.readouterr().err


@pytest.mark.parametrize("folder_first", [True, False])
def test_the_quality_of_new_images_is_that_of_the_tables_own_hasher(
    folder_first: bool, album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    both = tmp_path / "both.parquet"
    assert status(monkeypatch, "hash", album, "-o", both, "--hasher", "find+dhash64") == 0
    (tmp_path / "new").mkdir()
    Image.open(album / "0001_1.png").save(tmp_path / "new" / "copy.png")
    Image.new("RGB", (64, 48), (0, 0, 254)).save(tmp_path / "new" / "plain.png")
    given = [tmp_path / "new", "--against", both]
    if not folder_first:
        given = [both, "--against", tmp_path / "new"]
    more = ["--hasher", "dhash64", "--radius", 64, "-o", tmp_path / "p.csv"]
    capsys.readouterr()
    assert status(monkeypatch, "match", *given, *more, "--min-quality", 20) == 0
    assert "of 2 rows, these are left out: 1 of quality under 20." in capsys.readouterr().err
    pairs = pd.read_csv(tmp_path / "p.csv")
    new_files = pairs["path_a" if folder_first else "path_b"]
    assert set(new_files.map(os.path.basename)) == {"copy.png"}
    assert pairs["distance"].min() == 0
    assert pairs["distance"].max() <= 64
    alone = tmp_path / "alone.parquet"
    assert status(monkeypatch, "hash", album, "-o", alone, "--hasher", "dhash64") == 0
    more = [*more, "--overwrite", "--min-quality", 20]
    assert status(monkeypatch, "match", tmp_path / "new", "--against", alone, *more) == 2
    assert "have no quality. Those of find and pdq have one." in capsys.readouterr().err


def test_a_radius_by_intent_and_what_to_expect(
    hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    for intent in (["--false-pairs", "0.01"], ["--precision", "0.99"]):
        assert (
            status(monkeypatch, "match", hashes, *intent, "-o", tmp_path / "p.csv", "--overwrite")
            == 0
        )
        said = capsys.readouterr().err
        radius = int(said.split("The radius is ")[1].split()[0])
        assert f"pairs of files within {radius} bits were found" in said
        assert "may be false. This is an estimate" in said
        if intent[0] == "--false-pairs":
            assert radius == thresholds.radius_for_false_pairs("find", 36, 0.01)
    packed = np.random.default_rng(1).integers(0, 256, (20_000, 32), np.uint8)
    many = _table_of(packed, tmp_path / "many.parquet")
    assert status(monkeypatch, "match", many, "--false-pairs", 1, "-o", tmp_path / "r.csv") == 0
    said = capsys.readouterr().err
    least = thresholds.evidence("find").least_measured
    enough = re.search(rf"measured down to {least} bits, which would be enough for about ", said)
    assert enough, said
    images = int(said[enough.end() :].split(" images")[0].replace(",", ""))
    expected = thresholds.expected_at("find", least).nonmatching * images**2 / 2
    assert expected == pytest.approx(1, rel=0.01)
    assert (
        status(
            monkeypatch,
            "match",
            hashes,
            "--radius",
            3,
            "--false-pairs",
            1,
            "-o",
            tmp_path / "q.csv",
        )
        == 2
    )
    assert "contradict each other" in capsys.readouterr().err


@pytest.mark.parametrize("hasher", ["find", "find+dhash256"])
def test_mirror_images_and_turns_are_found_and_named(
    hasher: str, album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert status(monkeypatch, "hash", album, "-o", hashes, "--hasher", hasher) == 0
    picture = Image.open(album / "0001_1.png")
    (tmp_path / "new").mkdir()
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "new" / "flipped.png")
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "new" / "turned.png")
    expected = {
        "--mirrored": {"flipped.png": {"mirrored"}},
        "--turned": {"turned.png": {"quarter", "three quarters"}},
    }
    output = tmp_path / "found.csv"
    for option, wanted in expected.items():
        more = ["--against", hashes, "--radius", 60, option, "-o", output, "--overwrite"]
        assert status(monkeypatch, "match", tmp_path / "new", *more) == 0
        found = pd.read_csv(output)
        same = found[found["path_b"] == str(album / "0001_1.png")]
        assert {os.path.basename(path) for path in same["path_a"]} == set(wanted)
        assert set(same["variant"]) <= wanted[os.path.basename(same["path_a"].iloc[0])]
    (album / "0001_0.jpg").unlink()
    options = ["--radius", 80, "--mirrored", "--turned", "-o", tmp_path / "all.csv"]
    assert status(monkeypatch, "match", hashes, *options) == 0
    said = capsys.readouterr().err
    assert f"left out: {album / '0001_0.jpg'}: no such file" in said.replace(
        "FileNotFoundError: ", ""
    )
    assert "of 288 compared:" in said  # 36 pairs in 8 variants
    assert "8 variants make 8 times as many" in said
    for file in album.rglob("*.*g"):
        file.unlink()
    assert status(monkeypatch, "match", hashes, *options, "--overwrite") == 1
    assert "read the pictures again, and none of them can be read. " in capsys.readouterr().err
    variants = pd.read_csv(tmp_path / "all.csv")["variant"]
    assert (variants == "as it is").sum() >= 7


def _table_of(packed: np.ndarray, path: Path, quality: float = 50.0) -> Path:
    rows = [
        (f"{i}.png", "", 9, 9, "find", row.tobytes().hex(), quality, "", i, i)
        for i, row in enumerate(packed)
    ]
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), path)
    return path


def test_too_many_pairs_are_refused_with_advice_before_they_are_written(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    hashes = _table_of(np.zeros((20_000, 32), np.uint8), tmp_path / "same.parquet")
    output = tmp_path / "pairs.parquet"
    assert status(monkeypatch, "match", hashes, "--radius", 0, "-o", output) == 2
    said = capsys.readouterr().err
    assert (
        "About 199,990,000 pairs are expected, more than the 100,000,000 allowed. Give a smaller"
        in said
    )
    assert status(monkeypatch, "match", hashes, "--radius", 0, "-o", output, "--fold") == 0
    assert (
        "19999 files are left out because an earlier file has the same hash"
        in capsys.readouterr().err
    )
    few = _table_of(np.zeros((20, 32), np.uint8), tmp_path / "few.parquet")
    assert (
        status(
            monkeypatch, "match", few, "--radius", 0, "-o", tmp_path / "p.csv", "--max-pairs", 100
        )
        == 2
    )
    assert status(monkeypatch, "match", few, "--nearest", 3, "-o", tmp_path / "near.csv") == 0
    assert pd.read_csv(tmp_path / "near.csv")["path_a"].value_counts().tolist() == [3] * 20
    assert not (tmp_path / "p.csv").exists()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    assert (
        status(
            monkeypatch, "match", few, "--radius", 0, "-o", tmp_path / "p.csv", "--max-pairs", 189
        )
        == 2
    )
    monkeypatch.setattr("finlib.command.search.estimate_pairs", lambda *_, **__: 150)
    assert (
        status(
            monkeypatch, "match", few, "--radius", 0, "-o", tmp_path / "p.csv", "--max-pairs", 189
        )
        == 1
    )
    assert "free" in capsys.readouterr().err


def test_images_of_little_quality_are_left_out(tmp_path: Path, monkeypatch, capsys) -> None:
    packed = np.zeros((4, 32), np.uint8)
    rows = [
        (f"{i}.png", "", 9, 9, "find", packed[i].tobytes().hex(), 10.0 * i, "", i, i)
        for i in range(4)
    ]
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), tmp_path / "h.csv")
    options = ["--radius", 0, "-o", tmp_path / "p.csv", "--min-quality"]
    assert status(monkeypatch, "match", tmp_path / "h.csv", *options, 20) == 0
    assert pd.read_csv(tmp_path / "p.csv")[["path_a", "path_b"]].to_numpy().tolist() == [
        ["2.png", "3.png"]
    ]
    assert "of 4 rows, these are left out: 2 of quality under 20." in capsys.readouterr().err
    none = _table_of(packed, tmp_path / "none.csv", quality=float("nan"))
    assert status(monkeypatch, "match", none, *options, 20, "--overwrite") == 2


def test_new_files_join_clusters_and_corrections_are_honoured(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    first, later = tmp_path / "first.csv", tmp_path / "later.csv"
    assert status(monkeypatch, "cluster", hashes, "-o", first) == 0
    (tmp_path / "new").mkdir()
    Image.open(album / "0001_0.jpg").save(tmp_path / "new" / "again.jpg", quality=60)
    Image.effect_noise((80, 80), 90).save(tmp_path / "new" / "other.png")
    assert status(monkeypatch, "cluster", tmp_path / "new", "--onto", first, "-o", later) == 0
    old, new = pd.read_csv(first), pd.read_csv(later)
    assert new["cluster"].tolist()[:9] == old["cluster"].tolist()
    grouped = new.set_index(new["path"].map(os.path.basename))
    assert grouped["cluster"]["again.jpg"] == grouped["cluster"]["0001_0.jpg"]
    assert grouped["size"]["again.jpg"] == 4
    assert grouped["size"]["other.png"] == 1
    paths = grouped["path"]
    pairs = [
        ("0001_0.jpg", "0001_1.png", "wrong"),
        ("0000_0.jpg", "0002_0.jpg", "right"),
        ("0000_0.jpg", "none", "right"),
    ]
    marked = pd.DataFrame(
        [(paths[a], paths.get(b, b), verdict) for a, b, verdict in pairs],
        columns=["path_a", "path_b", "verdict"],
    )
    marked.to_csv(tmp_path / "corrections.csv", index=False)
    more = ["--together", tmp_path / "corrections.csv", "--apart", tmp_path / "corrections.csv"]
    capsys.readouterr()
    assert status(monkeypatch, "cluster", hashes, *more, "-o", tmp_path / "corrected.csv") == 0
    assert "1 of 3 pairs name a file that has no hash here" in capsys.readouterr().err
    corrected = pd.read_csv(tmp_path / "corrected.csv").set_index("path")["cluster"]
    assert corrected[paths["0001_0.jpg"]] != corrected[paths["0001_1.png"]]
    assert corrected[paths["0000_0.jpg"]] == corrected[paths["0002_0.jpg"]]


def test_clusters_to_go_on_with_must_be_those_of_the_table(
    hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    first = tmp_path / "first.csv"
    assert status(monkeypatch, "cluster", hashes, "-o", first) == 0
    pd.read_csv(first, dtype=str).tail(5).to_csv(first, index=False)
    assert (
        status(monkeypatch, "cluster", hashes, "--onto", first, "-o", tmp_path / "later.csv") == 2
    )
    assert "is of other clusters than the table beside it" in capsys.readouterr().err
    (tmp_path / "first.csv.centres.parquet").unlink()
    assert (
        status(monkeypatch, "cluster", hashes, "--onto", first, "-o", tmp_path / "later.csv") == 2
    )
    assert "first.csv.centres.parquet is missing" in capsys.readouterr().err


def test_corrections_among_old_files_last_through_later_runs(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    days = [tmp_path / f"day{number}.csv" for number in range(4)]
    marked, new = tmp_path / "marked.csv", tmp_path / "new.png"
    assert status(monkeypatch, "cluster", hashes, "-o", days[0]) == 0
    paths = pd.read_csv(days[0])["path"].tolist()
    pd.DataFrame([(paths[0], paths[2])], columns=["path_a", "path_b"]).to_csv(marked, index=False)
    more: tuple[object, ...] = ("--apart", marked)
    for before, after, seed in zip(days, days[1:], range(3), strict=False):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (80, 80), np.uint8)).save(new)
        assert status(monkeypatch, "cluster", new, "--onto", before, *more, "-o", after) == 0
        clusters = pd.read_csv(after)["cluster"]
        assert clusters[0] != clusters[2]
        assert len(clusters) == len(pd.read_csv(before)) + (seed == 0)
        more = ()
    wrong = ["--together", marked, "--apart", marked]
    capsys.readouterr()
    assert status(monkeypatch, "cluster", hashes, *wrong, "-o", tmp_path / "wrong.csv") == 2
    assert f"{paths[0]} and {paths[2]} are to be apart, and together" in capsys.readouterr().err


def test_verdicts_are_right_or_wrong_in_any_case(
    hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    first, marked = tmp_path / "first.csv", tmp_path / "marked.csv"
    assert status(monkeypatch, "cluster", hashes, "-o", first) == 0
    paths = pd.read_csv(first)["path"]
    for verdict, expected in (("maybe", 2), ("Wrong ", 0)):
        marked.write_text(f"path_a,path_b,verdict\n{paths[0]},{paths[1]},{verdict}\n")
        more = ["--together", marked, "--apart", marked, "-o", tmp_path / "later.csv"]
        assert status(monkeypatch, "cluster", hashes, *more) == expected
    said = capsys.readouterr().err
    assert "a verdict must be right or wrong, not maybe" in said
    assert "none of its 1 pairs is marked right" in said
    clusters = pd.read_csv(tmp_path / "later.csv")["cluster"]
    assert clusters[0] != clusters[1]


def test_clusters_of_one_name_and_two_kinds_do_not_meet(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch
) -> None:
    first = tmp_path / "first.csv"
    assert status(monkeypatch, "cluster", hashes, "-o", first) == 0
    Image.effect_noise((80, 80), 90).save(album / "other.png")
    for later in (first.with_suffix(".parquet"), tmp_path / "later.csv"):
        assert (
            status(monkeypatch, "cluster", album / "other.png", "--onto", first, "-o", later) == 0
        )


def test_what_is_no_table_takes_the_hasher_of_the_table(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    both, pairs = tmp_path / "both.parquet", tmp_path / "new" / "pairs.csv"
    assert status(monkeypatch, "hash", album, "-o", both, "--hasher", "find+dhash64") == 0
    assert status(monkeypatch, "hash", album, "-o", both) == 0  # by what the table has
    assert set(tables.read_hashes(both)["hasher"]) == {"find+dhash64"}
    for use in ((both, "--against", album), (album, "--against", both)):
        more = ["--radius", 320, "--max-pairs", 81, "--overwrite"]
        assert status(monkeypatch, "match", *use, *more, "-o", pairs) == 0
        assert pd.read_csv(pairs)["distance"].max() > 160
    none = ["--min-quality", 100, "--radius", 100, "-o", tmp_path / "none.csv"]
    Image.new("L", (80, 80)).save(tmp_path / "flat.png")
    assert status(monkeypatch, "match", tmp_path / "flat.png", "--against", both, *none) == 0


def test_a_folder_and_a_file_in_it_give_one_row(album: Path, tmp_path: Path, monkeypatch) -> None:
    output = tmp_path / "hashes.csv"
    assert (
        status(
            monkeypatch,
            "hash",
            album,
            album / "0001_0.jpg",
            album / "0002_damaged.jpg",
            "-o",
            output,
        )
        == 0
    )
    assert len(tables.read_hashes(output)) == 10


def test_a_picture_that_cannot_be_read_is_named(
    album: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    damaged, output = album / "0002_damaged.jpg", tmp_path / "p.csv"
    assert (
        status(monkeypatch, "match", damaged, "--against", hashes, "--nearest", 1, "-o", output)
        == 1
    )
    *_, error, last = capsys.readouterr().err.splitlines()
    assert error.startswith("not hashed: ")
    assert str(damaged) in error
    assert last == f"finlib: {damaged} gives no hash to work with."
    assert not output.exists()


def test_unrelated_images_stay_single(tmp_path: Path, monkeypatch) -> None:
    """A few families among many unrelated images, which must not be put into clusters."""
    rng = np.random.default_rng(7)
    packed = rng.integers(0, 256, (30_000, 32), dtype=np.uint8)
    packed[:600] = np.repeat(packed[:60], 10, axis=0)
    flips = rng.random((600, 256)) < 0.1
    packed[:600] ^= np.packbits(flips, axis=1)
    assert (
        status(
            monkeypatch,
            "cluster",
            _table_of(packed, tmp_path / "h.parquet"),
            "-o",
            tmp_path / "c.parquet",
        )
        == 0
    )
    clusters = pd.read_parquet(tmp_path / "c.parquet")
    assert (clusters["size"][600:] > 1).mean() < 0.01
    assert (clusters["size"][:600] == 10).mean() > 0.8


def test_a_folder_is_cleaned_without_deleting(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    grey = Image.open(album / "0001_0.jpg").convert("L")
    grey.resize((240, 180)).save(album / "0001_large.png")
    old = album / "below" / "0000_2.png"
    for path in album.glob("0000_*"):
        path.write_bytes(old.read_bytes())
        os.utime(path, (2e9, 2e9))
    files = sorted(album.rglob("*"))
    for times in range(2):
        output = tmp_path / "groups.csv"
        assert status(monkeypatch, "duplicates", album, "-o", output, *["--overwrite"][:times]) == 0
        groups = pd.read_csv(output)
        keep = dict(zip(groups["keep"], groups["others"].map(json.loads), strict=True))
        assert sorted(keep[str(old)]) == [str(album / "0000_0.jpg"), str(album / "0000_1.png")]
        alike = [files for files in groups["keep"] + groups["others"] if "0001_large" in files]
        assert len(alike) == 1
        assert str(album / "0001_large.png") not in keep
        assert len(groups) == 3
        assert (tmp_path / "groups.html").read_text().count("data:image/jpeg") == 10
    assert "0 files were hashed, 10 were known already" in capsys.readouterr().err
    assert sorted(album.rglob("*")) == files


def test_a_link_is_never_the_file_to_keep_and_what_was_deleted_stands_in_no_way(
    album: Path, tmp_path: Path, monkeypatch
) -> None:
    groups = tmp_path / "groups.csv"
    (album / "0000_00.jpg").symlink_to(album / "0000_0.jpg")
    assert status(monkeypatch, "duplicates", album, "-o", groups) == 0
    assert not any(os.path.islink(path) for path in pd.read_csv(groups)["keep"])
    (album / "0001_1.png").unlink()
    again = ["--hasher", "find+dhash256", "--overwrite"]
    assert status(monkeypatch, "duplicates", album, "-o", groups, *again) == 0
    assert "0001_1.png" not in groups.read_text()


def test_a_file_that_cannot_be_seen_now_is_not_the_one_to_keep(
    album: Path, tmp_path: Path, monkeypatch, close_below
) -> None:
    groups = tmp_path / "groups.csv"
    assert status(monkeypatch, "duplicates", album, "-o", groups) == 0
    assert "below" in groups.read_text()
    for file in (album / "below").iterdir():
        file.unlink()
    close_below()
    assert status(monkeypatch, "duplicates", album, "-o", groups, "--overwrite") == 0
    assert "below" not in groups.read_text()
    kept = tables.read_hashes(tmp_path / "groups.hashes.parquet")
    assert kept["path"][kept["error"] == ""].str.contains("below").sum() == 3


def _save_film(path: Path, durations: list[int]) -> None:
    rng = np.random.default_rng(len(durations))
    frames = []
    for _ in durations:
        levels = rng.integers(0, 256, (9, 12), dtype=np.uint8)
        frames.append(Image.fromarray(levels).resize((96, 72)))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations)


def test_the_frames_of_films_are_columns_and_stand_on_the_page(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    _save_film(photos / "film.gif", [100, 200, 950])
    _save_film(photos / "pages.tiff", [0, 0])
    _save_film(photos / "still.png", [0])
    for path in list(photos.iterdir()):
        (photos / f"copy of {path.name}").write_bytes(path.read_bytes())
    output = tmp_path / "groups.csv"
    assert status(monkeypatch, "duplicates", photos, "-o", output, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    frames = {Path(row["keep"]).suffix: (row["frames"], row["duration_ms"]) for row in printed}
    assert frames == {".gif": (3, 1250), ".tiff": (2, 0), ".png": (1, 0)}
    groups = pd.read_csv(output)
    assert groups["frames"].tolist() == [row["frames"] for row in printed]
    assert groups["duration_ms"].tolist() == [row["duration_ms"] for row in printed]
    page = output.with_suffix(".html").read_text()
    assert page.count("; 3 frames in 1.25 s") == 1
    assert page.count("; 2 frames or pages") == 1
    assert page.count(" frames") == 2


def test_a_list_of_files_on_standard_input(album: Path, tmp_path: Path, monkeypatch) -> None:
    names = [album / "0001_0.jpg", album / "0000_0.jpg"]
    first, second = (
        b"".join(os.fsencode(name) + separator for name in names) for separator in (b"\n", b"\0")
    )
    done = finlib("hash", "-", "-o", tmp_path / "first.csv", stdin=first)
    assert done.returncode == 0, done.stderr
    assert b"%|" not in done.stderr  # no progress bar where the output is no terminal
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(second)))
    assert status(monkeypatch, "hash", "-", "-o", tmp_path / "second.csv") == 0
    for table in ("first.csv", "second.csv"):
        assert tables.read_hashes(tmp_path / table)["path"].tolist() == list(map(str, names))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hash", "ALBUM"], "Missing option '--output'"),
        (["hash", "ALBUM/none", "-o", "h.parquet"], "there is no such file or folder"),
        (["hash", "ALBUM", "-o", "h.txt"], "tables are .parquet or .csv"),
        (
            ["hash", "ALBUM", "-o", "h.csv", "--hasher", "md5"],
            "no hasher is named 'md5'; there are find",
        ),
        (["hash", "ALBUM", "-o", "h.csv", "--workers", "0"], "--workers"),
        (
            ["hash", "ALBUM", "-o", "h.csv", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
            "workers has no effect",
        ),
        (["hash", "ALBUM/0000_0.jpg/none", "-o", "h.csv"], "there is no such file or folder"),
        (
            ["hash", "ALBUM", "-o", "HASHES", "--hasher", "phash64"],
            "holds hashes by find, not phash64",
        ),
        (
            ["hash", "ALBUM", "-o", "HASHES", "--hasher", "find+find"],
            "two or three different hashers",
        ),
        (["hash", "-", "-o", "h.csv"], "Standard input lists no files"),
        (["match", "HASHES", "-o", "p.csv"], "Missing option '--radius'"),
        (["match", "HASHES", "-o", "p.csv", "--radius", "-1"], "--radius"),
        (["match", "HASHES", "-o", "p.csv", "--radius", "257"], "radius"),
        (
            ["match", "none.jpg", "--against", "HASHES", "--radius", "1"],
            "none.jpg: there is no such file or folder. Give an image, or a folder",
        ),
        (["match", "none.parquet", "-o", "p.csv", "--radius", "1"], "no table of hashes at"),
        (["match", "HASHES", "-o", "p.txt", "--radius", "1"], "tables are .parquet or .csv"),
        (
            [
                "match",
                "HASHES",
                "-o",
                "p.csv",
                "--radius",
                "1",
                "--scheduler",
                "x",
                "--workers",
                "1",
            ],
            "--scheduler",
        ),
        (
            ["show", "HASHES", "-o", "p.html"],
            "is not a sound table: it lacks path_a, path_b, distance or cluster, size, distance",
        ),
        (["show", "HASHES", "-o", "p.csv"], "the name of a page ends in .html"),
        (
            ["cluster", "HASHES", "-o", "c.csv", "--onto", "HASHES"],
            "is not a sound table: it lacks cluster, size, distance",
        ),
        (
            ["cluster", "HASHES", "-o", "c.csv", "--apart", "HASHES"],
            "is not a sound table: it lacks path_a, path_b",
        ),
        (
            ["cluster", "HASHES", "-o", "c.csv", "--turned", "--scheduler", "x"],
            "--scheduler has workers that read no pictures: leave out --turned.",
        ),
        (["cluster", "HASHES", "-o", "c"], "tables are .parquet or .csv"),
        (["evaluate", "ALBUM/below", "-o", "s.csv", "--hasher", "sha"], "no hasher is named 'sha'"),
        (["sort"], "No such command 'sort'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    album: Path,
    hashes: Path,
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    named = [word.replace("ALBUM", str(album)).replace("HASHES", str(hashes)) for word in arguments]
    capsys.readouterr()
    assert status(monkeypatch, *named) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("finlib: ")
    assert message in line
    assert not [path for path in tmp_path.iterdir() if path.name not in ("album", "hashes.parquet")]


def test_a_failed_run_is_one_line_and_status_1(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert status(monkeypatch, "hash", album / "0002_damaged.jpg", "-o", tmp_path / "h.csv") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "finlib: No file could be hashed."
    (tmp_path / "file").write_text("in the way")
    assert status(monkeypatch, "hash", album, "-o", tmp_path / "file" / "h.csv") in (1, 2)
    assert "file" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("output", ["/proc/x.csv", "/proc/none/x.csv"])
def test_a_place_that_takes_no_files_is_a_plain_sentence(
    output: str, album: Path, monkeypatch, capsys
) -> None:
    assert status(monkeypatch, "hash", album, "-o", output) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"finlib: {output} cannot be written, because ")
    assert error.endswith(" Give a name in a folder that can be written.\n")
    assert error.count("\n") == 1
    assert "Errno" not in error


@pytest.mark.parametrize("megabytes", [500, 700, 1000])
def test_too_little_address_space_is_one_line_and_status_1(
    megabytes: int, hashes: Path, tmp_path: Path
) -> None:
    limited = f'ulimit -v {1024 * megabytes}; exec "$0" -m finlib.command.cli cluster "$1" -o "$2"'
    command = ["bash", "-c", limited, sys.executable, hashes, tmp_path / "c.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"finlib: {megabytes:,} MB of address space are not enough. ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "c.csv").exists()


def test_too_little_memory_is_said(hashes: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("finlib.clustering.clusters.cluster", full)
    assert status(monkeypatch, "cluster", hashes, "-o", tmp_path / "c.csv") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "finlib: There is not enough memory."


@pytest.mark.parametrize("name", ["hash", "match", "cluster", "show", "duplicates", "evaluate"])
def test_help_has_an_example(name: str, monkeypatch, capsys) -> None:
    assert status(monkeypatch, name, "--help") == 0
    assert f"finlib {name}" in capsys.readouterr().out.split("Example", 1)[1]


def test_the_version_is_the_packages() -> None:
    assert finlib("--version").stdout.decode().split() == [package.__version__]
