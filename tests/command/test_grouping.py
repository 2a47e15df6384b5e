"""Which files `finlib duplicates` takes for copies of each other."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps
from PIL.Image import Resampling
from skimage import data

from finlib.command import grouping
from finlib.command.duplicates import find_duplicates
from finlib.command.inputs import Hashes, load
from finlib.command.page import read_picture
from finlib.hashing.execution import hash_files
from finlib.matching.pairs import pairs_within
from workbook.study.hard_cases import low_detail_images


def smooth_picture(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return coarse.resize((width, height), Resampling.BICUBIC)


def groups_of(folder: Path, **options: object) -> list[set[str]]:
    table = find_duplicates(load(folder, None, 0, 1), 1, **options)  # type: ignore[arg-type]
    return _groups_in(table)


def names(paths: list[str]) -> set[str]:
    return {Path(path).name for path in paths}


def made_hashes(folder: Path, packed: np.ndarray) -> Hashes:
    """Files with these hashes, each of other bytes than the others."""
    paths = [folder / f"{number:03}.jpg" for number in range(len(packed))]
    for number, path in enumerate(paths):
        smooth_picture(number, 32, 24).save(path)
    files = pd.DataFrame({"path": list(map(str, paths)), "family": ""})
    files = files.assign(
        width=32, height=24, quality=50.0, digest="", modified_ns=range(len(paths))
    )
    return Hashes(files.assign(bytes=range(100, 100 + len(paths))), packed, "find")


def test_copies_are_united_and_variants_are_not(tmp_path: Path) -> None:
    for seed in range(3):
        smooth_picture(seed).save(tmp_path / f"{seed}.png")
    smooth_picture(0).save(tmp_path / "0.jpg", quality=60)
    smooth_picture(0).resize((160, 120)).save(tmp_path / "0_small.jpg")
    variant = smooth_picture(1)
    variant.paste((250, 250, 250), (0, 0, 320, 60))
    variant.save(tmp_path / "1_captioned.png")
    assert groups_of(tmp_path) == [{"0.png", "0.jpg", "0_small.jpg"}]
    assert groups_of(tmp_path, level="exact") == []
    assert {"1.png", "1_captioned.png"} in groups_of(tmp_path, radius=100)


def test_exact_copies_come_first_and_are_named(tmp_path: Path) -> None:
    smooth_picture(0).save(tmp_path / "b.png")
    smooth_picture(0).save(tmp_path / "a.jpg", quality=60)
    for name, source in (("c.png", "b.png"), ("d.jpg", "a.jpg")):
        (tmp_path / name).write_bytes((tmp_path / source).read_bytes())
    table = find_duplicates(load(tmp_path, None, 0, 1), 1, ["shortest-name", "detail"])
    assert len(table) == 1
    kept = table.iloc[0]
    others = [Path(path).name for path in json.loads(kept["others"])]
    copies = {"b.png": "c.png", "c.png": "b.png"}
    assert others[0] == copies[Path(kept["keep"]).name]
    assert [names(paths) for paths in json.loads(kept["equal"])] == [
        {"b.png", "c.png"},
        {"a.jpg", "d.jpg"},
    ]
    exact = groups_of(tmp_path, level="exact")
    assert sorted(map(sorted, exact)) == [["a.jpg", "d.jpg"], ["b.png", "c.png"]]


def test_plain_pictures_are_copies_only_where_their_bytes_are_equal(tmp_path: Path) -> None:
    for name, colour in (("blue", (0, 0, 254)), ("blues", (0, 0, 254)), ("red", (200, 0, 0))):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{name}.png")
    Image.new("RGB", (64, 48), (0, 0, 254)).save(tmp_path / "blue.bmp")
    assert groups_of(tmp_path) == [{"blue.png", "blues.png"}]


def test_turned_and_mirrored_pictures_are_found(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        tagged = tmp_path / f"{orientation}_tag.jpg"
        smooth_picture(orientation).save(tagged, exif=exif, quality=95)
        with Image.open(tagged) as image:
            ImageOps.exif_transpose(image).save(tmp_path / f"{orientation}_up.jpg", quality=80)
    expected = [{f"{number}_tag.jpg", f"{number}_up.jpg"} for number in range(1, 9)]
    assert sorted(groups_of(tmp_path), key=sorted) == expected


def test_thumbnails_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth_picture(0, 300, 100).save(tmp_path / "a.jpg", exif=exif)
    smooth_picture(0, 300, 100).rotate(-90, expand=True).save(tmp_path / "b.png")
    for name in ("a.jpg", "b.png"):
        encoded = read_picture(str(tmp_path / name)).thumbnail
        assert _size_of(encoded) == (53, 160)


def _size_of(data_uri: str) -> tuple[int, int]:
    from base64 import b64decode
    from io import BytesIO

    with Image.open(BytesIO(b64decode(data_uri.split(",")[1]))) as image:
        return image.size


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_animations_of_other_frames_are_no_copies(suffix: str, tmp_path: Path) -> None:
    frames = [smooth_picture(seed, 160, 120) for seed in range(4)]
    for name, count, duration in (("a", 3, 100), ("b", 4, 100), ("c", 3, 100), ("d", 3, 200)):
        path = tmp_path / f"{name}.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:count], duration=duration)
    frames[0].save(tmp_path / "still.bmp")
    last = [*frames[:2], frames[3]]
    last[0].save(tmp_path / f"c.{suffix}", save_all=True, append_images=last[1:], duration=100)
    small = [frame.resize((120, 90)) for frame in frames[:3]]
    small[0].save(tmp_path / f"e.{suffix}", save_all=True, append_images=small[1:], duration=100)
    timed = {f"a.{suffix}", f"e.{suffix}"}
    assert groups_of(tmp_path) == [timed | {"d.tiff"} if suffix == "tiff" else timed]


@pytest.mark.parametrize("rule", ["newest", "oldest", "largest"])
def test_nobody_is_far_from_the_kept_file_and_the_rest_is_grouped(
    rule: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    bits = np.tile(rng.integers(0, 2, 256), (12, 1))
    for number in range(12):
        bits[number, : 8 * number] ^= 1  # neighbours are 8 bits apart
    packed = np.packbits(bits.astype(bool), axis=1)
    hashes = made_hashes(tmp_path, packed)
    row_of = {path: row for row, path in enumerate(hashes.files["path"])}
    table = find_duplicates(hashes, 1, [rule], radius=16)
    grouped = []
    for keep, others in zip(table["keep"], table["others"], strict=True):
        rows = [row_of[path] for path in json.loads(others)]
        distances = np.bitwise_count(packed[rows] ^ packed[row_of[keep]]).sum(axis=1)
        assert distances.max() <= 16
        grouped += [row_of[keep], *rows]
    assert sorted(grouped) == list(range(12))


def test_levels_and_radii_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="exact, same-picture, same-family"):
        grouping.check_level("near", None)
    with pytest.raises(ValueError, match="--radius belongs to"):
        grouping.check_level("exact", 5)
    grouping.check_level("same-picture", 5)


def test_the_radius_follows_the_evidence() -> None:
    assert 20 <= grouping.same_picture_radius("find") <= 36
    assert grouping.same_picture_radius("find") < grouping.same_picture_radius("find+dhash256")
    assert grouping.same_picture_radius("whash64") >= 2


@pytest.mark.parametrize("hasher", ["find", "find+dhash256"])
def test_plain_pictures_are_refused_and_smooth_photographs_are_not(
    hasher: str, tmp_path: Path
) -> None:
    for name, picture in low_detail_images().items():
        picture.convert("RGB").save(tmp_path / f"{name}.png")
    hashes = load(tmp_path, hasher, 0, 2)
    is_matched = (hashes.files["quality"] >= grouping.PLAIN_QUALITY).to_numpy()
    assert 0 < is_matched.sum() < len(is_matched)
    packed = hashes.packed[is_matched]
    assert len(pairs_within(packed, grouping.same_picture_radius(hasher)).i) == 0
    for photograph in (data.moon(), data.clock()):
        Image.fromarray(photograph).save(tmp_path / "photograph.png")
        quality = hash_files([tmp_path / "photograph.png"], "find", workers=1)["quality"][0]
        assert grouping.PLAIN_QUALITY <= quality < 100


def test_plain_pictures_are_refused_by_hashers_without_a_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but a few, unless their bytes are equal."""
    for name, picture in low_detail_images().items():
        picture.convert("RGB").save(tmp_path / f"{name}.png")
    smooth_picture(0).save(tmp_path / "smooth.png")
    smooth_picture(0).resize((160, 120)).save(tmp_path / "smooth.jpg")
    for name in ("blue a", "blue b"):
        Image.new("RGB", (64, 48), (0, 0, 254)).save(tmp_path / f"{name}.png")
    hashes = load(tmp_path, "dhash256", 0, 2)
    table = find_duplicates(hashes, 2)
    assert {"smooth.png", "smooth.jpg"} in _groups_in(table)
    assert {"blue a.png", "blue b.png"} in _groups_in(table)
    assert table["size"].sum() - 4 <= 6
    monkeypatch.setattr(grouping, "PLAIN_QUALITY", 0)
    assert find_duplicates(hashes, 2)["size"].sum() - 4 > 40


def _groups_in(table: pd.DataFrame) -> list[set[str]]:
    return [
        names([keep, *json.loads(others)])
        for keep, others in zip(table["keep"], table["others"], strict=True)
    ]
