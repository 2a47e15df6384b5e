"""Files that were made from another by storing it again as JPEG are not preferred to it."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from PIL.Image import Resampling

from finlib.command import measured
from finlib.command.detail import measure_detail
from finlib.command.duplicates import DuplicatesRun
from finlib.command.keeping import Candidate, choose, find_sources, read_rules
from finlib.command.recompression import BlockSample, is_made_from, sample_blocks
from finlib.hashing import tables

SIZE = (400, 304)


def soft_picture(seed: int = 3, radius: float = 0.8) -> Image.Image:
    """A picture that is slightly out of focus, so that it seems to be enlarged."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((SIZE[1], SIZE[0], 3))
    for octave in range(9):
        coarse = rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
        enlarged = Image.fromarray(coarse).resize(SIZE, Resampling.BICUBIC)
        levels += np.asarray(enlarged, float) / 1.3**octave
    levels += 0.1 * rng.integers(0, 256, (SIZE[1], SIZE[0], 1))
    levels = 5 + (levels - levels.min()) * 245 / np.ptp(levels)
    return Image.fromarray(levels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def sample(picture: Image.Image) -> BlockSample:
    tables = getattr(picture, "quantization", None)
    steps = list(tables[0]) if tables else None
    return sample_blocks(np.asarray(picture.convert("RGB")), steps)


def save(
    folder: Path, name: str, picture: Image.Image, modified: int = 1, **options: object
) -> Candidate:
    path = folder / name
    picture.save(path, **options)
    os.utime(path, (modified, modified))
    width, height = picture.size
    size = path.stat().st_size
    return Candidate(str(path), False, width, height, size, modified, measure_detail(path))


def run_on_source_and_copy(photos: Path) -> DuplicatesRun:
    """A run on a new folder that has source.jpg and a recompression of it."""
    photos.mkdir()
    original = save(photos, "source.jpg", soft_picture(), quality=95)
    save(photos, "copy.jpg", Image.open(original.path), quality=40)
    return DuplicatesRun([photos], workers=1)


def choose_by_detail(files: list[Candidate]) -> tuple[str, str]:
    choice = choose(find_sources(files), read_rules(["detail"]))
    return Path(choice.files[0].path).name, choice.why


@pytest.mark.parametrize("source", ["source.png", "source.jpg"])
def test_the_noise_of_a_recompression_is_no_detail(source: str, tmp_path: Path) -> None:
    original = save(tmp_path, source, soft_picture(), quality=95)
    copy = save(tmp_path, "copy.jpg", Image.open(original.path), quality=40)
    assert original.detail.is_enlarged  # as far as a single file shows it
    assert not copy.detail.is_enlarged
    for files in ([original, copy], [copy, original]):
        kept, why = choose_by_detail(files)
        assert kept == source
        assert why == (
            "the file from which the other was made by storing it again as JPEG (copy.jpg)"
        )


def test_duplicates_keeps_the_source_of_a_recompression_in_every_run(tmp_path: Path) -> None:
    run = run_on_source_and_copy(tmp_path / "photos")
    output = tmp_path / "g.csv"
    for _ in range(2):  # the second has the detail from the first
        run.write(output, overwrite=True)
        (group,) = pd.read_csv(output).itertuples()
        assert Path(group.keep).name == "source.jpg"
        assert "enlarged" not in group.why


def test_detail_of_an_earlier_version_is_measured_again(tmp_path: Path) -> None:
    run = run_on_source_and_copy(tmp_path / "photos")
    output = tmp_path / "g.csv"
    run.write(output)
    expected = output.read_bytes()
    file = tmp_path / "g.detail.parquet"
    table = tables.read_columns(file).drop(columns=["coefficients", "steps"])
    tables.write_table(table, file, measured.KIND)
    run.write(output, overwrite=True)
    assert output.read_bytes() == expected
    assert "steps" in tables.read_columns(file)


def test_colours_that_a_recompression_adds_are_noise(tmp_path: Path) -> None:
    original = save(tmp_path, "source.png", soft_picture().quantize(64).convert("RGB"))
    copy = save(tmp_path, "copy.jpg", Image.open(original.path), quality=60)
    assert original.detail.colours < copy.detail.colours
    assert choose_by_detail([copy, original])[0] == "source.png"


def test_a_grey_picture_is_not_the_source_of_one_in_colour(tmp_path: Path) -> None:
    original = save(tmp_path, "colour.jpg", soft_picture(), quality=60)
    grey = save(tmp_path, "grey.png", soft_picture().convert("L"))
    kept, why = choose_by_detail([grey, original])
    assert kept == "colour.jpg"
    assert "shades of grey" in why


@pytest.mark.parametrize("scale", [1.5, 2, 4])
@pytest.mark.parametrize("name", ["enlarged.jpg", "enlarged.png"])
def test_an_enlarged_picture_is_recognised_beside_an_original_of_its_size(
    name: str, scale: float, tmp_path: Path
) -> None:
    picture = soft_picture(1, radius=0.3)
    small = picture.resize((round(SIZE[0] / scale), round(SIZE[1] / scale)), Resampling.LANCZOS)
    enlarged = save(tmp_path, name, small.resize(SIZE, Resampling.BICUBIC), quality=90)
    original = save(tmp_path, "original.jpg", picture, modified=2, quality=75)
    kept, why = choose_by_detail([enlarged, original])
    assert kept == "original.jpg"
    assert "enlarged" in why


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("first", "second"), [(90, 60), (95, 75), (75, 40), (90, 85)])
def test_a_coarser_jpeg_was_made_from_the_finer_one_and_not_the_reverse(
    first: int, second: int, seed: int
) -> None:
    source = as_jpeg(soft_picture(seed), first)
    copy = sample(as_jpeg(source, second))
    assert is_made_from(copy, sample(source), is_newer=False)
    assert not is_made_from(sample(source), copy, is_newer=True)


@pytest.mark.parametrize(("times", "expected"), [((1, 2), "source.jpg"), ((1, 1), "copy.jpg")])
def test_a_newer_recompression_at_a_higher_quality_is_not_kept(
    times: tuple[int, int], expected: str, tmp_path: Path
) -> None:
    """Where the times are equal, nothing shows the order, and the quality decides."""
    source = save(tmp_path, "source.jpg", soft_picture(2, radius=0.3), times[0], quality=60)
    copy = save(tmp_path, "copy.jpg", Image.open(source.path), times[1], quality=90)
    assert choose_by_detail([copy, source])[0] == expected


def test_a_coarser_jpeg_is_not_kept_though_it_is_older(tmp_path: Path) -> None:
    source = save(tmp_path, "source.jpg", soft_picture(2), modified=5, quality=92)
    for quality in (90, 75, 40):
        copy = save(tmp_path, "copy.jpg", Image.open(source.path), quality=quality)
        assert choose_by_detail([copy, source])[0] == "source.jpg"


def test_a_jpeg_was_not_made_from_the_png_that_it_was_decoded_into() -> None:
    jpeg = as_jpeg(soft_picture(), 75)
    assert not is_made_from(sample(jpeg), sample(jpeg.convert("RGB")), is_newer=True)
    assert not is_made_from(sample(jpeg.convert("RGB")), sample(jpeg), is_newer=True)


def test_pictures_without_anything_to_judge_by_were_not_made_from_each_other() -> None:
    tiny = sample(as_jpeg(Image.new("RGB", (5, 5), "red"), 60))
    flat = sample(as_jpeg(Image.new("RGB", SIZE, (90, 80, 70)), 60))
    black = sample(as_jpeg(Image.new("RGB", SIZE), 60))
    other = sample(as_jpeg(soft_picture(5), 60))
    for one in (tiny, flat, black, other):
        for source in (tiny, flat, black, sample(soft_picture())):
            assert not is_made_from(one, source, is_newer=True)


def test_a_source_outside_the_group_does_not_count(tmp_path: Path) -> None:
    original = save(tmp_path, "source.png", soft_picture())
    copy = save(tmp_path, "copy.jpg", soft_picture(), quality=40)
    other = save(tmp_path, "other.jpg", soft_picture(1), quality=30)
    files = find_sources([original, copy, other])
    assert [len(file.made_from) for file in files] == [0, 1, 0]
    choice = choose(files[1:], read_rules(["detail"]))
    assert "storing it again" not in choice.why
