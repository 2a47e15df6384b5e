"""Turned and mirrored copies are brought together by `finlib cluster --turned`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.Image import Resampling, Transpose

from finlib.command import cli, process
from finlib.command.grouping import same_picture_radius
from finlib.hashing import decoding, tables
from finlib.hashing.hashers import Hasher

ORIENTATION = 0x0112  # the EXIF tag
SHOWN_TURNED_BACK = 6  # its value for a picture that was stored after a quarter turn


def status(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, arguments)])
    return process.run(cli.app)


def smooth_picture(seed: int) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((320, 240), Resampling.BICUBIC)


def save_turned_by_exif(picture: Image.Image, path: Path) -> None:
    """Save the picture with its pixels turned, and the tag that lets viewers show it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = SHOWN_TURNED_BACK
    picture.transpose(Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Transpose.FLIP_LEFT_RIGHT)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A picture with a smaller copy, two turned copies, and a picture of something else."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = smooth_picture(0)
    picture.save(folder / "picture.png")
    picture.resize((200, 150)).save(folder / "smaller.png")
    save_turned_by_exif(picture, folder / "exif.jpg")
    mirrored(picture).save(folder / "mirror.jpg", quality=90)
    smooth_picture(1).save(folder / "stranger.png")
    return folder


@pytest.fixture
def hashes(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table = tmp_path / "hashes.parquet"
    assert status(monkeypatch, "hash", photos, "-o", table) == 0
    return table


def clusters_in(table: Path) -> list[list[str]]:
    rows = pd.read_csv(table)
    names = rows["path"].map(lambda path: Path(path).stem)
    found = [sorted(group) for _, group in names.groupby(rows["cluster"])]
    sizes = rows.groupby("cluster")["size"].first().tolist()
    assert sizes == [len(group) for group in found]
    return sorted(found)


@pytest.mark.parametrize("hasher", ["find", "find+dhash256"])
def test_turned_copies_come_together_where_that_is_asked_for(
    hasher: str, photos: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert status(monkeypatch, "hash", photos, "-o", hashes, "--hasher", hasher) == 0
    output = tmp_path / "c.csv"
    assert status(monkeypatch, "cluster", hashes, "-o", output) == 0
    alone = [["exif"], ["mirror"], ["picture", "smaller"], ["stranger"]]
    assert clusters_in(output) == alone
    distances = pd.read_csv(output)["distance"]
    capsys.readouterr()
    assert status(monkeypatch, "cluster", hashes, "-o", output, "--overwrite", "--turned") == 0
    assert clusters_in(output) == [["exif", "mirror", "picture", "smaller"], ["stranger"]]
    assert pd.read_csv(output)["distance"].tolist() == distances.tolist()
    said = capsys.readouterr().err
    radius = same_picture_radius(hasher)
    assert "2 clusters were then joined to others because they have turned or mirrored" in said
    assert f"at most {radius} bits apart once turned. " in said
    assert "1 clusters of 4 files, and 1 single files" in said


def test_what_a_person_keeps_apart_stays_so(
    photos: Path, hashes: Path, tmp_path: Path, monkeypatch
) -> None:
    output, marked = tmp_path / "c.csv", tmp_path / "marked.csv"
    marked.write_text(
        f"path_a,path_b,verdict\n{photos / 'mirror.jpg'},{photos / 'smaller.png'},wrong\n"
    )
    run = ["cluster", hashes, "-o", output, "--turned"]
    assert status(monkeypatch, *run, "--corrections", marked) == 0
    groups = clusters_in(output)
    assert not any({"mirror", "smaller"} <= set(group) for group in groups)
    assert any({"picture", "smaller"} <= set(group) for group in groups)
    marked.unlink()
    assert status(monkeypatch, *run, "--overwrite") == 0
    assert clusters_in(output) == groups


def test_the_pictures_are_read_once(hashes: Path, tmp_path: Path, monkeypatch) -> None:
    run = ["cluster", hashes, "-o", tmp_path / "c.csv", "--turned"]
    assert status(monkeypatch, *run) == 0
    expected = clusters_in(tmp_path / "c.csv")
    read = []
    variants = Hasher.variants

    def count(self: Hasher, picture: decoding.Picture, numbers: Sequence[int]) -> Any:
        read.append(picture)
        return variants(self, picture, numbers)

    monkeypatch.setattr(Hasher, "variants", count)
    assert status(monkeypatch, *run, "--overwrite") == 0
    assert clusters_in(tmp_path / "c.csv") == expected
    assert read == []
    assert status(monkeypatch, *run[:2], "-o", tmp_path / "other.csv", "--turned") == 0
    assert len(read) == 5


def test_new_files_join_clusters_of_turned_copies(
    photos: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    first, later, last = (tmp_path / f"{number}.csv" for number in range(3))
    assert status(monkeypatch, "cluster", hashes, "-o", first, "--turned") == 0
    mirrored(smooth_picture(1)).save(photos / "late.png")
    assert status(monkeypatch, "hash", photos, "-o", hashes) == 0
    run = ["cluster", hashes, "--onto", first, "-o", later, "--turned"]
    assert status(monkeypatch, *run) == 0
    groups = [["exif", "mirror", "picture", "smaller"], ["late", "stranger"]]
    assert clusters_in(later) == groups
    old = pd.read_csv(first)["cluster"].tolist()
    assert pd.read_csv(later)["cluster"].tolist()[: len(old)] == old
    mirrored(smooth_picture(0)).resize((180, 135)).save(tmp_path / "small mirror.png")
    run = ["cluster", tmp_path / "small mirror.png", "--onto", later, "-o", last]
    assert status(monkeypatch, *run) == 0
    assert clusters_in(last) == [sorted([*groups[0], "small mirror"]), groups[1]]
    assert pd.read_csv(last)["distance"].iloc[-1] < 60  # from the centre of the mirrored ones
    run = ["cluster", hashes, "--onto", later, "-o", tmp_path / "again.csv", "--turned"]
    assert status(monkeypatch, *run) == 0
    assert "No clusters were joined as turned or mirrored copies, within" in capsys.readouterr().err
    assert clusters_in(tmp_path / "again.csv") == groups


def test_pictures_that_are_gone_cannot_be_turned(
    photos: Path, hashes: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    for path in photos.iterdir():
        path.unlink()
    assert status(monkeypatch, "cluster", hashes, "-o", tmp_path / "c.csv", "--turned") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("finlib: --turned has to read the pictures again, and none of them can")
    assert not (tmp_path / "c.csv").exists()


def test_a_file_of_the_user_is_left_alone(hashes: Path, tmp_path: Path, monkeypatch) -> None:
    own = tmp_path / "c.csv.turned.parquet"
    tables.write_table(pd.DataFrame({"day": [1]}), own)
    before = own.read_bytes()
    assert status(monkeypatch, "cluster", hashes, "-o", tmp_path / "c.csv", "--turned") == 2
    assert own.read_bytes() == before


def test_plain_pictures_are_counted_and_joined_to_nothing(
    photos: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    ramp = np.broadcast_to(np.linspace(100, 104, 64).astype(np.uint8)[:, None], (64, 64))
    Image.fromarray(ramp).save(photos / "plain.png")
    Image.fromarray(ramp[::-1]).save(photos / "upside down.png")
    output = tmp_path / "c.csv"
    assert status(monkeypatch, "cluster", photos, "-o", output, "--turned") == 0
    groups = clusters_in(output)
    assert ["plain"] in groups
    assert ["upside down"] in groups
    said = capsys.readouterr().err
    assert "2 of 7 files have a quality under 20, such as flat pictures" in said
    assert "give --min-quality 20 to leave them out." in said
    run = ["cluster", photos, "-o", output, "--overwrite", "--min-quality", 20]
    assert status(monkeypatch, *run) == 0
    assert "have a quality under 20, such as" not in capsys.readouterr().err
