"""Rules for which of several copies to keep, and the measures of a picture's detail."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling
from PIL.PngImagePlugin import PngInfo

from finlib.command.detail import LOSSLESS, NO_DETAIL, Colours, Detail, measure_detail
from finlib.command.keeping import Candidate, choose, read_rules


def sharp_picture(seed: int = 0, width: int = 400, height: int = 300) -> Image.Image:
    """A picture with detail at every scale, which falls with the frequency as in photographs."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((height, width, 3))
    for octave in range(9):
        side = 2**octave
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        enlarged = coarse.resize((width, height), Resampling.BICUBIC)
        levels += np.asarray(enlarged, float) / 1.3**octave
    levels += 0.1 * rng.integers(0, 256, (height, width, 1))
    levels -= levels.min()
    return Image.fromarray((levels * 255 / levels.max()).astype(np.uint8))


def save(folder: Path, name: str, image: Image.Image, **options: object) -> Candidate:
    path = folder / name
    image.save(path, **options)
    return candidate(path)


def candidate(path: Path) -> Candidate:
    with Image.open(path) as image:
        width, height = image.size
    status = os.stat(path)
    return Candidate(
        path=str(path),
        is_link=path.is_symlink(),
        width=width,
        height=height,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        detail=measure_detail(path),
    )


def made(path: str, **values: object) -> Candidate:
    """A file that is only known by name."""
    ordinary = {"is_link": False, "width": 10, "height": 10, "size": 100, "modified_ns": 5}
    return Candidate(path, **(ordinary | values))  # type: ignore[arg-type]


def kept(files: list[Candidate], *rules: str) -> str:
    return choose(files, read_rules(rules)).files[0].path


def two_levels(picture: Image.Image) -> Image.Image:
    return picture.convert("1")


def grey(picture: Image.Image) -> Image.Image:
    return picture.convert("L").convert("RGB")


def few_colours(picture: Image.Image) -> Image.Image:
    return picture.quantize(64).convert("RGB")


def enlarged(picture: Image.Image) -> Image.Image:
    small = picture.resize((200, 150))
    return small.resize((1200, 900), Resampling.BICUBIC)


def enlarged_itself(picture: Image.Image) -> Image.Image:
    return picture.resize((800, 600), Resampling.BILINEAR)


def with_repeated_pixels(picture: Image.Image) -> Image.Image:
    return picture.resize((1200, 900), Resampling.NEAREST)


def of_a_bad_jpeg(picture: Image.Image) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=15)
    return Image.open(file)


def framed(picture: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (600, 500), "white")
    frame.paste(of_a_bad_jpeg(picture), (100, 100))
    return frame


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("worsen", "why"),
    [
        (two_levels, "without shades"),
        (grey, "shades of grey"),
        (few_colours, "no more colours than a palette"),
        (enlarged, "enlarged"),
        (enlarged_itself, "enlarged"),
        (with_repeated_pixels, "enlarged"),
        (of_a_bad_jpeg, "JPEG quality 90"),
        (framed, "JPEG quality 90"),
    ],
)
def test_the_better_copy_is_kept_though_the_worse_is_larger(
    worsen, why: str, seed: int, tmp_path: Path
) -> None:
    picture = sharp_picture(seed)
    better = save(tmp_path, "b.jpg", picture, quality=90)
    worse = save(tmp_path, "a.png", worsen(picture))
    for files in ([better, worse], [worse, better]):
        choice = choose(files, read_rules(["detail"]))
        assert choice.files == [better, worse]
        assert why in choice.why
        assert "a.png" in choice.why


def test_more_pixels_lossless_larger_and_older_files_are_kept(tmp_path: Path) -> None:
    picture = sharp_picture()
    lossless = save(tmp_path, "a.png", picture)
    half = save(tmp_path, "half.png", picture.resize((200, 150)))
    jpeg = save(tmp_path, "a.jpg", picture, quality=95)
    choice = choose([half, jpeg, lossless], read_rules(["detail"]))
    assert choice.files == [lossless, jpeg, half]
    assert choice.why == (
        "400 x 300 pixels, the other has 200 x 150 (half.png); "
        "stored without loss, the other with (a.jpg)"
    )
    assert kept([made("a", size=99), made("b")], "detail") == "b"
    assert kept([made("a", modified_ns=9), made("b")], "detail") == "b"


@pytest.mark.parametrize(
    "resampling", [Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC]
)
def test_enlarged_noise_is_no_detail(resampling: Resampling, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (150, 200), dtype=np.uint8))
    original = save(tmp_path, "b.png", noise)
    larger = save(tmp_path, "a.png", noise.resize((600, 450), resampling))
    assert larger.detail.is_enlarged
    assert not original.detail.is_enlarged
    assert kept([larger, original], "detail") == original.path


@pytest.mark.parametrize("quality", [30, 95])
def test_an_unknown_quality_is_neither_better_nor_worse(quality: int, tmp_path: Path) -> None:
    picture = sharp_picture()
    jpeg = save(tmp_path, "a.jpg", picture, quality=quality)
    webp = save(tmp_path, "a.webp", picture, quality=80)
    larger = max(jpeg, webp, key=lambda file: file.size)
    assert kept([jpeg, webp], "detail") == larger.path
    lossless = save(tmp_path, "a.png", picture)
    choice = choose([jpeg, webp, lossless], read_rules(["detail"]))
    assert choice.files[0] == lossless
    assert "stored without loss" in choice.why


def test_a_drawing_is_not_poorer_than_its_jpeg(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (320, 240), "white")
    drawing.paste((200, 30, 30), (20, 30, 200, 100))
    drawing.paste((30, 30, 200), (90, 60, 300, 201))
    original = save(tmp_path, "a.png", drawing)
    jpeg = save(tmp_path, "a.jpg", drawing, quality=75)
    assert original.detail.quality == LOSSLESS
    assert kept([jpeg, original], "detail") == original.path


def test_detail_of_single_files(tmp_path: Path) -> None:
    picture = sharp_picture(4)
    detail = save(tmp_path, "a.jpg", picture, quality=60).detail
    assert detail.colours == Colours.TRUE
    assert detail.quality == 60
    assert detail.pixels == 400 * 300
    assert not detail.is_enlarged
    from_jpeg = save(tmp_path, "from.png", of_a_bad_jpeg(picture)).detail
    assert abs(from_jpeg.quality - 15) <= 3
    assert save(tmp_path, "a.webp", picture, lossless=True).detail.quality == LOSSLESS
    assert save(tmp_path, "b.webp", picture, quality=50).detail.quality is None
    flat = save(tmp_path, "flat.png", Image.new("RGB", (30, 20), "red")).detail
    assert flat.quality == LOSSLESS
    tiny = save(tmp_path, "tiny.png", Image.new("RGB", (1, 1))).detail
    assert tiny.colours == Colours.TWO_LEVELS
    (tmp_path / "broken.png").write_bytes(b"nothing")
    assert measure_detail(tmp_path / "broken.png") == NO_DETAIL


def test_a_png_of_long_texts_is_measured_like_any_other(tmp_path: Path) -> None:
    """Pillow does not open it, but it is hashed."""
    info = PngInfo()
    info.add_text("workflow", "a" * 2_000_000, zip=True)
    plain = save(tmp_path, "plain.png", sharp_picture(1)).detail
    assert plain.colours == Colours.TRUE
    sharp_picture(1).save(tmp_path / "texts.png", pnginfo=info)
    assert measure_detail(tmp_path / "texts.png") == plain


def test_a_file_that_can_no_longer_be_read_is_passed_over_for_that_reason() -> None:
    measured = Detail(Colours.GREY, 9.0, False, 50)
    choice = choose([made("a", size=999), made("b", detail=measured)], read_rules(["detail"]))
    assert choice.files[0].path == "b"
    assert "can be read now, the other cannot (a)" in choice.why


def test_rules_are_taken_in_order() -> None:
    small = made("x/long_name", width=5, size=50, modified_ns=1)
    large = made("y/name", size=200, modified_ns=3)
    later = made("y/older/n", size=200, modified_ns=9)
    files = [small, large, later]
    assert kept(files, "largest", "newest") == later.path
    assert kept(files, "largest", "oldest") == large.path
    assert kept(files, "smallest") == small.path
    assert kept(files, "oldest") == small.path
    assert kept(files, "newest") == later.path
    assert kept(files, "longest-name") == small.path
    assert kept(files, "shortest-name") == later.path
    assert kept(files, "folder:x") == small.path
    assert kept(files, "folder:z", "folder:y", "oldest") == large.path
    assert kept(files, "folder:y/older", "folder:x") == later.path
    assert "in the folder x" in choose(files, read_rules(["folder:x"])).why


def test_a_link_is_passed_over_and_equal_files_are_taken_by_name() -> None:
    link = made("a", is_link=True, size=999)
    choice = choose([made("c"), link, made("b")], read_rules(["largest"]))
    assert [file.path for file in choice.files] == ["b", "c", "a"]
    assert "the first by name" in choice.why


@pytest.mark.parametrize("rule", ["biggest", "", "folder:", "folder"])
def test_an_unknown_rule_is_refused_with_the_list(rule: str) -> None:
    with pytest.raises(ValueError, match=r"detail, largest, .* folder:PATH"):
        read_rules(["detail", rule])
