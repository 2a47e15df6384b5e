"""The built-in families: repeatable, complete in the cache, and read as the class set is."""

import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finlib.hashing.images import family_of, load_rgb
from workbook.study import families
from workbook.study.families import cache_folder, dataset, make_families


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Twelve images named as the class set: families of 5, 4, 2 and 1."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    for family, size in (("0003", 5), ("0011", 4), ("0200", 2), ("1034", 1)):
        for number in range(size):
            Image.new("L", (8, 8), number).save(folder / f"{family}_{number + 70}.jpg")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_families_are_named_sized_and_encoded_as_the_class_set() -> None:
    folder = make_families(4, 5)
    names = sorted(path.name for path in folder.iterdir())
    assert Counter(name[:4] for name in names) == {"0000": 5, "0001": 5, "0002": 5, "0003": 5}
    assert all(len(family_of(name)) == 4 for name in names)
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (250, 250))


def test_a_small_set_is_part_of_every_larger_one_and_a_seed_decides_it() -> None:
    large = _files(make_families(3, 4))
    assert _files(make_families(2, 3)).items() <= large.items()
    other = _files(make_families(3, 4, seed=7))
    assert not set(other.values()) & set(large.values())


def test_the_cache_is_kept_and_a_damaged_one_made_again(cache: Path) -> None:
    folder = make_families(2, 2)
    first = _files(folder)
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert make_families(2, 2) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == made
    next(folder.iterdir()).unlink()
    assert make_families(2, 2) == folder
    assert _files(folder) == first
    assert os.listdir(cache) == [folder.name]


def test_two_builders_at_once_end_with_one_whole_folder(cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: make_families(2, 3), range(3)))
    assert len(folders) == 1
    assert len(_files(folders.pop())) == 6
    assert len(os.listdir(cache)) == 1


def test_a_killed_builder_leaves_nothing_that_looks_whole(cache: Path) -> None:
    code = """
from workbook.study.families import make_families
print("ready", flush=True)
make_families(40, 40)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], env=dict(os.environ), stdout=subprocess.PIPE
    ) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        while not any(cache.glob("building-*/*.jpg")):
            assert builder.poll() is None
            time.sleep(0.01)
        builder.kill()
    assert [path.name for path in cache.iterdir() if not path.name.startswith("building-")] == []
    assert len(_files(make_families(2, 2))) == 4


def test_a_failed_build_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(families, "draw_caption", fail)
    with pytest.raises(OSError, match="disk full"):
        make_families(2, 2)
    assert os.listdir(cache) == []


def test_a_cache_that_cannot_be_written_says_what_to_set(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(
        OSError, match=r"for the built-in families cannot be written .* Set FINLIB_CACHE"
    ):
        make_families(1, 1)


def test_sizes_out_of_range_are_refused() -> None:
    for wrong in ((0, 5), (10_001, 5), (5, 0), (-1, 2)):
        with pytest.raises(ValueError, match="expected 1 to"):
            make_families(*wrong)
    with pytest.raises(ValueError, match="expected 0"):
        dataset(families=-1)


def test_the_cache_is_where_it_is_asked_for_else_where_the_platform_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINLIB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("FINLIB_CACHE", "")
    assert cache_folder().name == "finlib"
    assert cache_folder().is_relative_to(Path.home()) or "XDG_CACHE_HOME" in os.environ


def test_without_a_folder_the_built_in_families_are_given() -> None:
    frame = dataset(families=3, per_family=2)
    assert list(frame.columns) == ["path", "family"]
    assert frame["family"].tolist() == ["0000", "0000", "0001", "0001", "0002", "0002"]
    assert frame["path"].tolist() == sorted(frame["path"])
    assert all(Path(path).is_file() for path in frame["path"])


def test_a_labelled_folder_is_given_whole_or_sampled(labelled: Path) -> None:
    whole = dataset(labelled)
    assert len(whole) == 12
    assert whole["family"].value_counts().to_dict() == {"0003": 5, "0011": 4, "0200": 2, "1034": 1}
    few = dataset(labelled, families=2, per_family=3)
    assert few["family"].nunique() == 2
    assert few["family"].value_counts().max() <= 3
    assert few.equals(dataset(str(labelled), families=2, per_family=3))
    assert few["path"].isin(whole["path"]).all()
    assert few["path"].is_monotonic_increasing
    drawn = {
        tuple(dataset(labelled, families=2, seed=seed)["family"].unique()) for seed in range(30)
    }
    assert len(drawn) > 3
    assert len(dataset(labelled, families=99, per_family=99)) == 12


def test_other_names_among_labelled_ones_are_left_out_with_a_warning(labelled: Path) -> None:
    Image.new("L", (8, 8)).save(labelled / "holiday.png")
    with pytest.warns(UserWarning, match="1 of 13 images are not named FFFF_ID.ext"):
        assert len(dataset(labelled)) == 12


def test_a_folder_of_other_names_holds_templates_to_caption(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    for name, colour in (
        ("tree.png", (0, 90, 0)),
        ("sea.jpg", (0, 0, 90)),
        ("sand.webp", (200, 190, 60)),
    ):
        Image.new("RGB", (400, 200), colour).save(folder / name)
    frame = dataset(folder, per_family=4)
    assert frame["family"].tolist() == [
        family for family in ("0000", "0001", "0002") for _ in range(4)
    ]
    for family, colour in (("0000", (200, 190, 60)), ("0001", (0, 0, 90)), ("0002", (0, 90, 0))):
        for path in frame.loc[frame["family"] == family, "path"]:
            pixels = load_rgb(path)
            assert pixels.shape == (250, 250, 3)
            assert np.abs(pixels[110:140].mean(axis=(0, 1)) - colour).max() < 60
    assert len(dataset(folder, families=2, per_family=4)) == 8
    Image.new("RGB", (400, 200), "red").save(folder / "sea.jpg")
    changed = dataset(folder, per_family=4)
    assert changed["path"].tolist() != frame["path"].tolist()


def test_a_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "broken.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"broken\.png: no image"):
        dataset(folder)


def test_templates_that_cannot_be_read_are_left_out_with_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "broken.png").write_text("no picture")
    Image.new("RGB", (300, 300), "red").save(folder / "red.png")
    with pytest.warns(
        UserWarning, match=r"1 of 2 templates cannot be read: .*broken\.png: no image"
    ):
        frame = dataset(folder, per_family=2)
    assert frame["family"].tolist() == ["0000", "0000"]


def test_the_class_set_is_checked_where_its_zip_is_there(labelled: Path) -> None:
    (labelled.parent / "das_images.zip").write_bytes(b"not the class set")
    with pytest.raises(ValueError, match=r"das_images\.zip has the md5"):
        dataset(labelled)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        dataset(tmp_path / "nowhere")


def test_captions_stay_within_the_picture_and_cover_part_of_it() -> None:
    """Words that ran over the edge or over each other would make families unlike memes."""
    white = Image.new("RGB", (250, 250), (128, 128, 128))
    for number in range(40):
        captioned = np.asarray(families.add_random_caption(white, np.random.default_rng(number)))
        inked = (captioned != 128).any(axis=2)
        assert 0.01 < inked.mean() < 0.75
        assert not inked[:, :1].any()
        assert not inked[:, -1:].any()


def test_the_class_set_is_known_by_its_md5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "das_images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("0297_21195384.jpg"), b"other")
    wanted = families.CLASS_SET_MD5
    message = f"das_images.zip has the md5 [0-9a-f]{{32}}, but the class set .* has {wanted}"
    with pytest.raises(ValueError, match=message):
        families.check_class_set(path)
    path.write_bytes(b"abc")
    monkeypatch.setattr(
        families, "CLASS_SET_MD5", "900150983cd24fb0d6963f7d28e17f72"
    )  # RFC 1321's md5 of "abc"
    families.check_class_set(path)


def test_pictures_that_are_not_read_as_labelled_all_take_part(tmp_path: Path) -> None:
    for name in ("1987_summer.png", "a.png", "b.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    frame = dataset(tmp_path, caption=False)
    assert list(frame["family"]) == ["", "", ""]
    assert list(dataset(tmp_path, caption=False, labels="yes")["family"]) == ["1987"]
