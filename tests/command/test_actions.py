"""What `--then` writes, run by a shell on names that are hard to quote; and reference folders."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.command import actions, detail, measured
from finlib.command.duplicates import DuplicatesRun
from finlib.hashing import decoding
from finlib.hashing.hashers import Hasher

NAMES = ["it's $(touch hacked) `x`.png", "two\nlines.png", "-rf ü \x1b[31m.png", 'a "b" \\ c.png']


def save_picture(path: Path, seed: int = 0, width: int = 160) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(levels).resize((320, 240), Image.Resampling.BICUBIC)
    picture.resize((width, width * 3 // 4)).save(path)


def run_script(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = ["sh", str(script), *arguments]
    return subprocess.run(command, capture_output=True, cwd=script.parent)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    save_picture(folder / "large.png", width=320)
    for name in NAMES:
        save_picture(folder / name)
    return folder


def write(photos: Path, then: str, **options: object) -> Path:
    output = photos.parent / "g.csv"
    run = DuplicatesRun([photos], keep=["largest"], then=then, workers=1, **options)
    run.write(output, overwrite=True)
    return actions.action_file(then, output)


def test_the_script_moves_copies_and_nothing_else(photos: Path) -> None:
    script = write(photos, "script")
    moved = photos.parent / "g.moved"
    done = run_script(script)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.listdir(photos) == ["large.png"]
    assert sorted(os.listdir(f"{moved}{photos}")) == sorted(NAMES)
    assert not list(photos.parent.rglob("hacked"))
    save_picture(photos / NAMES[2])
    again = run_script(script)
    assert again.returncode == 1
    assert b"has been moved before" in again.stderr
    assert b"\x1b" not in again.stderr
    assert (photos / NAMES[2]).exists()


def test_the_script_leaves_what_has_changed(photos: Path) -> None:
    script = write(photos, "script")
    (photos / NAMES[0]).write_bytes(b"another picture")
    assert run_script(script, "elsewhere").returncode == 1
    assert sorted(os.listdir(photos)) == sorted(["large.png", NAMES[0]])
    assert len(os.listdir(f"{photos.parent}/elsewhere{photos}")) == 3
    (photos / "large.png").unlink()
    save_picture(photos / NAMES[1])
    assert b"the file to keep is gone" in run_script(script, "again").stderr
    assert (photos / NAMES[1]).exists()


def test_equal_files_become_one_and_others_stay(photos: Path) -> None:
    script = write(photos, "link")
    large = (photos / "large.png").read_bytes()
    (photos / NAMES[3]).write_bytes(b"changed since")
    assert run_script(script).returncode == 1
    inodes = {name: (photos / name).stat().st_ino for name in NAMES}
    assert len(set(inodes.values())) == 2
    assert (photos / NAMES[3]).read_bytes() == b"changed since"
    assert (photos / "large.png").read_bytes() == large
    assert sorted(os.listdir(photos)) == sorted(["large.png", *NAMES])


def test_the_list_has_each_copy(photos: Path) -> None:
    paths = write(photos, "list").read_bytes().split(b"\0")
    assert sorted(paths)[1:] == sorted(os.fsencode(photos / name) for name in NAMES)
    (photos / NAMES[1]).unlink()
    assert write(photos, "list").read_bytes().count(b"\n") == len(NAMES) - 1


def test_files_of_the_user_are_not_replaced(photos: Path) -> None:
    for then, content in (("script", "#!/bin/sh\nmine\n"), ("list", "my notes\n")):
        file = actions.action_file(then, photos.parent / "g.csv")
        file.write_text(content)
        with pytest.raises(ValueError, match="was not written by `finlib duplicates --then"):
            write(photos, then)
        assert file.read_text() == content
    with pytest.raises(ValueError, match="list, script, link"):
        write(photos, "delete")


def test_files_of_a_reference_folder_are_never_proposed(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("a.png", "b.png"):
        save_picture(archive / name, width=120)  # smaller, and kept all the same
    for name in ("c.png", "d.png"):
        save_picture(archive / name, seed=5)  # only in the archive
    os.link(archive / "a.png", photos / "linked.png")
    write(photos, "list", references=[archive])
    groups = pd.read_csv(tmp_path / "g.csv")
    assert groups["keep"].map(os.path.dirname).tolist() == [str(archive)]
    others = json.loads(groups["others"][0])
    assert sorted(others) == sorted(str(photos / name) for name in ["large.png", *NAMES])
    inside = photos / "best"
    inside.mkdir()
    save_picture(inside / "best.png", width=100)
    write(photos, "list", references=[inside])
    assert pd.read_csv(tmp_path / "g.csv")["keep"].tolist() == [str(inside / "best.png")]


def test_turned_pictures_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        save_picture(photos / f"{seed}.png", seed)
    Image.open(photos / "0.png").transpose(Image.Transpose.ROTATE_90).save(photos / "turned.png")
    run = DuplicatesRun([photos], keep=["largest"], workers=1)
    run.write(tmp_path / "g.csv")
    expected = pd.read_csv(tmp_path / "g.csv")
    assert json.loads(expected["distances"][0])[0] <= 25
    turned = []
    variants = Hasher.variants

    def count(self: Hasher, picture: decoding.Picture, numbers: Sequence[int]) -> Any:
        turned.append(picture)
        return variants(self, picture, numbers)

    monkeypatch.setattr(Hasher, "variants", count)
    run.write(tmp_path / "g.csv", overwrite=True)
    assert len(turned) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "g.csv"), expected)
    save_picture(photos / "2.png", 7)
    run.write(tmp_path / "g.csv", overwrite=True)
    assert len(turned) == 1


def test_detail_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(2):
        save_picture(photos / f"{seed}.png", seed)
        Image.open(photos / f"{seed}.png").save(photos / f"{seed}.webp", quality=95)
        Image.open(photos / f"{seed}.png").save(photos / f"{seed}.jpg", quality=95)
    run = DuplicatesRun([photos], workers=1)
    run.write(tmp_path / "g.csv")
    expected = pd.read_csv(tmp_path / "g.csv")
    assert len(expected) == 2
    opened = []

    def count(path: str | Path) -> detail.Detail:
        opened.append(Path(path).name)
        return detail.measure_detail(path)

    monkeypatch.setattr(measured, "measure_detail", count)
    (photos / "0.jpg").rename(photos / "0.jpeg")
    run.write(tmp_path / "g.csv", overwrite=True)
    assert opened == []
    found = pd.read_csv(tmp_path / "g.csv").replace(r"0\.jpeg", "0.jpg", regex=True)
    pd.testing.assert_frame_equal(found, expected)
    Image.open(photos / "1.png").save(photos / "1.jpg", quality=80)
    run.write(tmp_path / "g.csv", overwrite=True)
    assert opened == ["1.jpg"]


def test_a_family_has_turned_copies(tmp_path: Path) -> None:
    for seed in range(3):
        save_picture(tmp_path / f"{seed}.png", seed)
    Image.open(tmp_path / "0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        tmp_path / "mirrored.png"
    )
    output = tmp_path / "out" / "g.csv"
    DuplicatesRun([tmp_path], level="same-family", keep=["largest"], workers=1).write(output)
    (keep,) = pd.read_csv(output)["keep"]
    (others,) = pd.read_csv(output)["others"]
    assert {Path(path).name for path in [keep, *json.loads(others)]} == {"0.png", "mirrored.png"}
