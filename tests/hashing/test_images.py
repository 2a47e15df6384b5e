"""Finding, labelling and decoding: step 1 of FINd on every kind of image, and errors that say what
to do.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from finlib.hashing import images, jpeg
from finlib.hashing.images import (
    ImageError,
    family_of,
    list_images,
    load_rgb,
    open_image,
    open_rgb,
    pixel_limit,
    read_content,
    scan_folder,
)


def test_images_are_found_below_the_folder_in_a_stable_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "a.jpg").mkdir()
    names = ["b/2.PNG", "b/c/1.jpeg", "a.jpg/3.webp", "9.tif", "10.gif", "ünïcode 家.bmp"]
    for name in [*names, "notes.txt", "b/table.csv", "b/2.CSV", "jpg", ".DS_Store"]:
        (tmp_path / name).touch()
    listing = scan_folder(tmp_path)
    assert not listing.hidden
    assert listing.excluded == 0
    assert listing.passed_over == {".txt": 1, ".csv": 2, "": 1}
    assert listing.images == sorted((tmp_path / name for name in names), key=str)
    assert list_images(str(tmp_path)) == listing.images


def test_what_cannot_be_read_is_listed_too_and_linked_folders_are_entered_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.jpg").touch()
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe.png")
    found = list_images(tmp_path)
    names = ["broken.jpg", "pipe.png", "real/1.jpg"]
    assert found == [tmp_path / name for name in names]


def test_hidden_and_system_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    shown = ["a.jpg", "year/b.png", "eaDir/c.jpg"]
    hidden = [
        "._a.jpg",
        ".Trash-1000/files/d.jpg",
        "year/@eaDir/b.png/thumb.jpg",
        "@eaDir/e.jpg",
        "$RECYCLE.BIN/f.jpg",
        "__MACOSX/year/._b.png",
        "System Volume Information/g.jpg",
        "year/.thumbnails/h.png",
    ]
    for name in [*shown, *hidden, ".notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = scan_folder(tmp_path)
    assert set(listing.images) == {tmp_path / name for name in shown}
    assert listing.hidden == {
        ".*": 1,
        ".Trash-1000": 1,
        "@eaDir": 2,
        "$RECYCLE.BIN": 1,
        "__MACOSX": 1,
        "System Volume Information": 1,
        ".thumbnails": 1,
    }
    everything = scan_folder(tmp_path, hidden=True)
    assert len(everything.images) == len(shown) + len(hidden)
    assert not everything.hidden
    assert list_images(tmp_path / ".Trash-1000") == [tmp_path / hidden[1]]
    (tmp_path / "year/.thumbnails").rename(tmp_path / "year2")
    (tmp_path / "year2/h.png").rename(tmp_path / "year2/.h.png")
    with pytest.raises(ValueError, match="1 hidden or excluded ones are left out"):
        scan_folder(tmp_path / "year2")


@pytest.mark.parametrize(
    "name",
    ["Trash", "@Recycle", "#snapshot", "RECYCLER", "Network Trash Folder", "found.000", "LOST.DIR"],
)
def test_what_other_systems_have_deleted_is_left_out(name: str, tmp_path: Path) -> None:
    for folder in (name, f"my {name}"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").touch()
    listing = scan_folder(tmp_path)
    assert listing.images == [tmp_path / f"my {name}" / "a.jpg"]
    assert listing.hidden == {name: 1}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.tif", ["a.jpg", "raw/b.jpg", "sub/raw/c.jpg"]),
        ("raw", ["a.jpg", "d.tif"]),
        ("raw/*", ["a.jpg", "d.tif", "sub/raw/c.jpg"]),
        ("raw/", ["a.jpg", "d.tif", "sub/raw/c.jpg"]),
        ("none", ["a.jpg", "d.tif", "raw/b.jpg", "sub/raw/c.jpg"]),
    ],
)
def test_what_a_pattern_names_is_left_out(
    pattern: str, expected: list[str], tmp_path: Path
) -> None:
    for name in ("a.jpg", "d.tif", "raw/b.jpg", "sub/raw/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = scan_folder(tmp_path, exclude=["another", pattern])
    assert [str(path.relative_to(tmp_path)) for path in listing.images] == expected
    assert (listing.excluded > 0) == (pattern != "none")


def test_a_path_without_links_is_listed_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "b" / "real").mkdir(parents=True)
    (tmp_path / "b" / "real" / "1.jpg").touch()
    (tmp_path / "a").symlink_to("b/real")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "2.jpg").touch()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "outside")
    assert list_images(tmp_path / "b") == [tmp_path / "b/link/2.jpg", tmp_path / "b/real/1.jpg"]
    assert list_images(tmp_path) == [tmp_path / "b/real/1.jpg", tmp_path / "outside/2.jpg"]


def test_folders_without_images_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder\. Give"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotADirectoryError, match=r"notes\.txt: a folder of images was expected"):
        list_images(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"no images in this folder .*\.jpg, \.jpeg"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("0297_21195384.jpg", "0297"),
        ("some/where/0000_1.PNG", "0000"),
        ("1034_a_b.c.webp", "1034"),
        ("297_21195384.jpg", ""),
        ("10297_2.jpg", ""),
        ("0297-2.jpg", ""),
        ("0297_.jpg", ""),
        ("0297_1", ""),
        ("٠٢٩٧_1.jpg", ""),
        ("0297_1/2.jpg", ""),
        ("holiday.jpg", ""),
    ],
)
def test_a_family_is_four_digits_before_an_underscore(name: str, family: str) -> None:
    assert family_of(name) == family
    assert family_of(Path(name)) == family


def _step_one(path: Path) -> Image.Image:
    """The specification's words, one call each."""
    image = Image.open(path).copy()
    image.thumbnail((512, 512))
    return image.convert("RGB")


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
)
@pytest.mark.parametrize("size", [(30, 20), (700, 40), (600, 900)])
def test_every_mode_and_size_goes_through_step_one(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    noise = Image.effect_noise(size, 90)
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(np.asarray(noise).astype(dtype) * 3)
    else:
        image = (
            noise.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else noise.convert(mode)
        )
    path = tmp_path / "image.tiff"
    image.save(path)
    with Image.open(path) as saved:
        assert saved.mode == mode
    expected = _step_one(path)
    assert open_rgb(path).tobytes() == expected.tobytes()
    assert open_rgb(str(path)).tobytes() == expected.tobytes()
    assert max(expected.size) == min(512, max(size))
    pixels = load_rgb(path)
    assert pixels.shape == (*expected.size[::-1], 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]


def test_neither_draft_nor_rotation_and_the_first_frame(tmp_path: Path) -> None:
    noise = Image.effect_noise((2000, 1000), 120).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter; FINd looks at the stored pixels
    noise.save(tmp_path / "turned.jpg", exif=exif)
    assert open_rgb(tmp_path / "turned.jpg").size == (512, 256)
    with Image.open(tmp_path / "turned.jpg") as image:
        image.load()  # decoded at full size, after which no draft is possible
        full = image.copy()
    full.thumbnail((512, 512))
    assert open_rgb(tmp_path / "turned.jpg").tobytes() == full.tobytes()

    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert load_rgb(tmp_path / "moving.gif")[0, 0].tolist() == [255, 0, 0]


def test_an_open_image_is_copied_and_left_alone(picture: Image.Image) -> None:
    large = picture.resize((1200, 900))
    before = large.tobytes()
    small = open_rgb(large)
    assert small.size == (512, 384)
    assert (large.size, large.tobytes()) == ((1200, 900), before)
    assert open_image(picture) is not picture


def test_a_full_size_image_keeps_its_mode(tmp_path: Path) -> None:
    Image.new("LA", (900, 3), (10, 20)).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert (image.mode, image.size) == ("LA", (900, 3))


def test_golden_images_decode_as_step_one_says() -> None:
    for path in list_images(Path(__file__).parents[1] / "golden"):
        assert open_rgb(path).tobytes() == _step_one(path).tobytes()


def _damaged(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "bad.jpg"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is not an image")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "broken link":
        path.symlink_to(tmp_path / "nowhere.jpg")
    elif kind == "cut":
        Image.effect_noise((200, 200), 80).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "no pixels":
        path.write_bytes(b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\2\0;")
    return path


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("missing", FileNotFoundError, "no such file"),
        ("broken link", FileNotFoundError, "no such file"),
        ("folder", IsADirectoryError, "not a file"),
        ("pipe", ImageError, "not a file"),
        ("empty", ImageError, "the file is empty"),
        ("text", ImageError, "no image of a format that finlib reads"),
        ("cut", ImageError, "cannot be decoded"),
        ("no pixels", ImageError, "bad.jpg: "),
    ],
)
def test_errors_name_the_file_and_what_to_do(
    tmp_path: Path, kind: str, error: type[Exception], text: str
) -> None:
    path = _damaged(tmp_path, kind)
    with pytest.raises(error, match=text) as caught:
        open_rgb(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message


def test_a_file_without_permission_says_so(closed: Path) -> None:
    with pytest.raises(PermissionError, match=r"closed\.png: no permission"):
        open_rgb(closed)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [150, 250])  # where Pillow warns, and where it refuses
def test_a_decompression_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("L", (side, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ImageError, match=r"bomb\.png: .*Shrink it first"):
        open_rgb(path)
    with pytest.raises(ImageError, match="the image given: "):
        open_rgb(Image.new("L", (side, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # someone who trusts their files
    assert open_rgb(path).size == (side, 100)


def test_many_threads_decode_as_one_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((300, 200), 90).save(path)
    expected = load_rgb(path)
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(load_rgb, [path] * 8))
    for pixels in decoded:
        assert np.array_equal(pixels, expected)


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(("kind", "reason"), [("EPS", "PostScript"), ("PDF", "PDF")])
def test_no_other_program_is_started_for_a_file_of_another_format(
    kind: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript")

    path = tmp_path / "a.jpg"
    path.write_bytes(_encode(Image.effect_noise((60, 50), 90).convert("RGB"), kind))
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", start)
    with pytest.raises(ImageError, match=f"but {reason}. Convert it"):
        open_image(path)


def test_a_header_that_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + bytes(40))
    with pytest.raises(ImageError, match="it begins like a TIFF"):
        open_image(path)


@pytest.mark.parametrize("form", ["zTXt", "iTXt", "iCCP", "many"])
def test_megabytes_of_text_do_not_keep_a_png_from_being_read(form: str, tmp_path: Path) -> None:
    image = Image.effect_noise((80, 60), 90).convert("RGB")
    text = "0123456789" * 200_000
    info = PngInfo()
    options: dict[str, object] = {"pnginfo": info}
    if form == "zTXt":
        info.add_text("workflow", text, zip=True)
    elif form == "iTXt":
        info.add_itxt("workflow", text, zip=True)
    elif form == "iCCP":
        options = {"icc_profile": text.encode()}
    else:
        for number in range(80):
            info.add_text(str(number), text[:900_000], zip=True)
    path = tmp_path / "a.png"
    path.write_bytes(_encode(image, "PNG", **options))
    assert open_image(path).tobytes() == image.tobytes()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_is_read_and_one_that_lacks_more_is_not(
    progressive: bool, mode: str, tmp_path: Path
) -> None:
    image = Image.effect_noise((90, 70), 90).convert(mode)
    whole = _encode(image, "JPEG", progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    expected = load_rgb(path)
    for lost in (1, 2):
        path.write_bytes(whole[:-lost])
        assert np.array_equal(load_rgb(path), expected)
        assert open_image(path).mode == mode
    path.write_bytes(whole[:-6])
    with pytest.raises(ImageError, match="truncated"):
        load_rgb(path)


def with_scans(image: Image.Image, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    whole = _encode(image, "JPEG", progressive=True)
    last = whole[whole.rindex(jpeg.SCAN_START) : -2]
    return whole[:-2] + last * (scans - jpeg.count_scans(whole)) + jpeg.END


@pytest.mark.parametrize("padding", [0, 1])
def test_a_jpeg_of_too_many_scans_is_refused_unless_it_is_small(
    padding: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is too large to be held in memory."""
    path = tmp_path / "a.jpg"
    data = with_scans(Image.effect_noise((100, 80), 90), 60)
    path.write_bytes(data)
    assert jpeg.count_scans(data) == 60
    expected = load_rgb(path)
    if padding:
        monkeypatch.setattr(images, "WHOLE_BYTES", 1000)
    assert np.array_equal(load_rgb(path), expected)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with pytest.raises(ImageError, match="so many scans"):
        load_rgb(path)


def test_scans_of_a_thumbnail_or_behind_the_end_are_not_counted() -> None:
    plain = _encode(Image.effect_noise((100, 80), 90), "JPEG")
    segment = b"\xff\xe1" + (302).to_bytes(2, "big") + jpeg.SCAN_START * 150
    assert jpeg.count_scans(plain[:2] + segment + plain[2:] + jpeg.SCAN_START * 99) == 1


def test_a_file_with_gigabytes_behind_its_end_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(_encode(Image.effect_noise((60, 50), 90), "JPEG"))
    expected = load_rgb(path)
    os.truncate(path, images.WHOLE_BYTES + 1)
    assert read_content(path).data == b""
    assert np.array_equal(load_rgb(path), expected)
    os.truncate(path, 2 * images.MOST_BYTES)
    with pytest.raises(ImageError, match="over the limit of 1,073,741,824"):
        load_rgb(path)


def test_more_pixels_are_allowed_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = tmp_path / "a.png"
    Image.new("L", (100, 40)).save(path)
    with pixel_limit(4000):
        assert open_image(path).size == (100, 40)
    with pytest.raises(ImageError, match="--max-pixels"), pixel_limit(None):
        open_image(path)
