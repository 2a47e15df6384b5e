"""Damaged, hostile and odd files give a row each, and no crash, no hang and no flood of memory.

Run as a program on a folder, this file hashes the folder and prints what it found as JSON, so that
the tests can do it in a process of its own.
"""

import json
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.random import Generator, default_rng
from PIL import Image

from finlib.hashing.decoding import open_picture
from finlib.hashing.execution import hash_files
from finlib.hashing.images import list_images, load_rgb, open_rgb
from finlib.hashing.reference import find_pixels
from finlib.hashing.tables import read_hashes, write_table

# Two copies at 4 bytes a pixel of the largest image that is allowed, twice over, and the libraries.
MOST_MIB = 3000
SUFFIX = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
}


Encoded = tuple[str, bytes]  # a suffix and a file's content


def _encoded(image: Image.Image, kind: str, **options: Any) -> Encoded:
    file = BytesIO()
    image.save(file, kind, **options)
    return SUFFIX[kind], file.getvalue()


def _sound_files() -> list[Encoded]:
    """Small sound files of every format, in the modes and codings that have their own decoders."""
    pixels = default_rng(8).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    rgb = Image.fromarray(pixels).resize((72, 54))
    grey = rgb.convert("L")
    bilevel = grey.convert("1")
    cmyk = rgb.convert("CMYK")
    palette = rgb.quantize(16)
    alpha = rgb.convert("RGBA")
    alpha.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16))
    moving = [rgb.rotate(90 * turn) for turn in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    return [
        *(_encoded(rgb, kind) for kind in SUFFIX),
        _encoded(rgb, "JPEG", quality=95, subsampling=0),
        _encoded(rgb, "JPEG", quality=30, subsampling=1),
        _encoded(rgb, "JPEG", quality=75, subsampling=2),
        _encoded(rgb, "JPEG", progressive=True),
        _encoded(rgb, "JPEG", restart_marker_rows=1),
        _encoded(rgb, "JPEG", exif=exif, dpi=(72, 72), comment=b"a comment"),
        _encoded(grey, "JPEG"),
        _encoded(cmyk, "JPEG"),
        _encoded(rgb.resize((700, 400)), "JPEG", quality=60),
        _encoded(alpha, "PNG"),
        _encoded(deep, "PNG"),
        _encoded(bilevel, "PNG"),
        _encoded(palette, "PNG", transparency=3),
        _encoded(rgb, "PNG", save_all=True, append_images=moving),
        _encoded(palette, "GIF", transparency=1),
        _encoded(rgb, "GIF", save_all=True, append_images=moving),
        _encoded(alpha, "WEBP", lossless=True),
        _encoded(rgb, "WEBP", save_all=True, append_images=moving),
        _encoded(grey, "BMP"),
        _encoded(palette, "BMP"),
        _encoded(bilevel, "BMP"),
        _encoded(alpha, "BMP"),
        _encoded(rgb, "TIFF", compression="tiff_lzw"),
        _encoded(rgb, "TIFF", compression="tiff_adobe_deflate"),
        _encoded(rgb, "TIFF", compression="jpeg"),
        _encoded(rgb, "TIFF", compression="packbits"),
        _encoded(deep, "TIFF"),
        _encoded(grey.convert("F"), "TIFF"),
        _encoded(cmyk, "TIFF"),
        _encoded(bilevel, "TIFF", compression="group4"),
    ]


Mutation = Callable[[bytearray, bytes, Generator], bytes]


def _flip(data: bytearray, other: bytes, rng: Generator) -> bytes:
    for at in rng.integers(0, len(data), rng.integers(1, 30)):
        data[at] ^= int(rng.integers(1, 256))
    return bytes(data)


def _flip_header(data: bytearray, other: bytes, rng: Generator) -> bytes:
    for at in rng.integers(0, min(160, len(data)), rng.integers(1, 5)):
        data[at] ^= int(rng.integers(1, 256))
    return bytes(data)


EXTREMES = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\x7f"]


def _extremes(data: bytearray, other: bytes, rng: Generator) -> bytes:
    """Sizes and counts take 2 to 4 bytes: the largest, the smallest, the largest with a sign."""
    at = int(rng.integers(0, min(300, len(data) - 4)))
    size = int(rng.integers(2, 5))
    data[at : at + size] = EXTREMES[rng.integers(4)][:size]
    return bytes(data)


def _cut(data: bytearray, other: bytes, rng: Generator) -> bytes:
    return bytes(data[: rng.integers(0, len(data))])


def _cut_out(data: bytearray, other: bytes, rng: Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return bytes(data[:start] + data[stop:])


def _splice(data: bytearray, other: bytes, rng: Generator) -> bytes:
    return bytes(data[: rng.integers(0, len(data))]) + other[rng.integers(0, len(other)) :]


def _swap_header(data: bytearray, other: bytes, rng: Generator) -> bytes:
    size = int(rng.integers(2, 64))
    return other[:size] + bytes(data[size:])


def _repeat(data: bytearray, other: bytes, rng: Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return bytes(data[:stop] + data[start:stop] * int(rng.integers(1, 4)) + data[stop:])


def _insert(data: bytearray, other: bytes, rng: Generator) -> bytes:
    at = int(rng.integers(0, len(data)))
    return bytes(data[:at]) + rng.bytes(int(rng.integers(1, 200))) + bytes(data[at:])


MUTATIONS: list[Mutation] = [
    _flip,
    _flip_header,
    _extremes,
    _cut,
    _cut_out,
    _splice,
    _swap_header,
    _repeat,
    _insert,
]


def _mutants(folder: Path, count: int, seed: int) -> list[Path]:
    """`count` damaged files of all formats and kinds of damage, some under a wrong suffix."""
    sound = _sound_files()
    paths = []
    for number in range(count):
        rng = default_rng([seed, number])
        suffix, data = sound[number % len(sound)]
        _, other = sound[rng.integers(len(sound))]
        mutate = MUTATIONS[rng.integers(len(MUTATIONS))]
        if rng.random() < 0.05:
            suffix = ".png"
        path = folder / f"{number % 7:04d}_{number}{suffix}"
        path.write_bytes(mutate(bytearray(data), other, rng))
        paths.append(path)
    return paths


def _pixels(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except (ValueError, OSError):
        return None


def _read_fast(path: Path) -> Any:
    return open_picture(path).rgb


def _decoders_agree(path: Path, error: str) -> bool:
    """Whether both decoders give the same pixels, or both none where the table has an error.

    A table also refuses pixels of more than 8 bits.
    """
    fast = _pixels(_read_fast, path)
    slow = _pixels(load_rgb, path)
    if fast is None or slow is None:
        return fast is None and slow is None and error != ""
    return np.array_equal(fast, slow) and (not error or "--prepare" in error)


def _peak_mib() -> float:
    """The most memory that this process has had, in MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    assert peak is not None
    return int(peak[1]) / 1024


def _examine(folder: Path) -> dict[str, Any]:
    """Hash a folder, compare both decoders on every file, and measure the memory that it took."""
    warnings.simplefilter("ignore")
    paths = list_images(folder)
    table = hash_files(paths, "find", "threads", 2)
    differ = [
        path.name
        for path, error in zip(paths, table["error"], strict=True)
        if not _decoders_agree(path, error)
    ]
    return {
        "paths": table["path"].tolist(),
        "errors": table["error"].tolist(),
        "differ": differ,
        "peak_mib": _peak_mib(),
    }


def _examined(folder: Path, minutes: int) -> dict[str, Any]:
    """`_examine` in a process of its own, so that a crash is seen and a hang has an end."""
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, capture_output=True, timeout=60 * minutes, check=False)
    assert done.returncode == 0, (
        f"ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    )
    return json.loads(done.stdout.splitlines()[-1])


def _survive(folder: Path, count: int, seed: int, minutes: int) -> int:
    """Hash `count` mutants, check what must hold, and return how many could still be read."""
    paths = _mutants(folder, count, seed)
    found = _examined(folder, minutes)
    assert found["paths"] == sorted(str(path) for path in paths)
    assert found["differ"] == []
    assert found["peak_mib"] < MOST_MIB
    for path, error in zip(found["paths"], found["errors"], strict=True):
        assert not error or re.match(rf"[A-Za-z]+: {re.escape(path)}: .+\.$", error), error
    return found["errors"].count("")


def test_sound_files_are_read(tmp_path: Path) -> None:
    for number, (suffix, data) in enumerate(_sound_files()):
        (tmp_path / f"{number}{suffix}").write_bytes(data)
    found = _examined(tmp_path, minutes=5)
    assert set(found["errors"]) == {""}
    assert found["differ"] == []


def test_damaged_files_are_rows(tmp_path: Path) -> None:
    assert 10 < _survive(tmp_path, 220, seed=1, minutes=5) < 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_thousands_of_damaged_files_are_rows(tmp_path: Path, seed: int) -> None:
    assert 40 < _survive(tmp_path, 1000, seed, minutes=30) < 900


def _row(path: Path, hasher: str = "find") -> pandas.Series:
    table = hash_files([path], hasher)
    assert len(table) == 1
    return table.iloc[0]


def _png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever it holds."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((60_000, 60_000), "bomb"),
        ((10_000, 10_000), "over the limit"),
        ((2**31 - 1, 2**31 - 1), "no image|bomb|cannot"),
        ((0, 10), "header is damaged|no pixels|cannot"),
        ((30, 30), "cannot be decoded"),  # less data than the header promises
    ],
)
@pytest.mark.parametrize("hasher", ["find", "dhash256"])
def test_sizes_that_lie_are_rows(
    tmp_path: Path, size: tuple[int, int], reason: str, hasher: str
) -> None:
    path = tmp_path / "liar.png"
    path.write_bytes(_png(*size))
    row = _row(path, hasher)
    assert re.search(reason, row["error"])
    assert row["hash"] == ""
    assert str(path) in row["error"]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(65_500, 65_500), (12_000, 9_000)])
def test_a_jpeg_of_huge_claimed_size_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    data = bytearray(_encoded(Image.new("RGB", (32, 32)), "JPEG")[1])
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", size[1], size[0])
    path = tmp_path / "huge.jpg"
    path.write_bytes(data)
    assert re.search("bomb|over the limit", _row(path)["error"])


ODD = {
    "16 bits": lambda: Image.fromarray(
        np.linspace(0, 65535, 6400).astype(np.uint16).reshape(80, 80)
    ),
    "32 bits": lambda: Image.fromarray(
        np.linspace(-9e8, 9e8, 6400).astype(np.int32).reshape(80, 80)
    ),
    "float": lambda: Image.fromarray(np.linspace(-50, 400, 6400, dtype=np.float32).reshape(80, 80)),
    "not a number": lambda: Image.fromarray(np.full((80, 80), np.nan, np.float32)),
    "infinite": lambda: Image.fromarray(np.full((80, 80), np.inf, np.float32)),
    "CMYK": lambda: Image.effect_noise((80, 80), 90).convert("CMYK"),
    "LAB": lambda: Image.effect_noise((80, 80), 90).convert("RGB").convert("LAB"),
    "long": lambda: Image.effect_noise((9000, 1), 90),
}


REFUSED = ("16 bits", "32 bits", "float", "not a number", "infinite", "LAB")


@pytest.mark.parametrize("kind", ODD)
def test_odd_modes_are_hashed_as_pillow_converts_them_or_refused_by_name(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "odd.tif"
    ODD[kind]().save(path)
    row = _row(path)
    prepared = _row(path, "prepared:find")
    assert prepared["error"] == ""
    if kind in REFUSED:
        assert re.search("its values are from|in LAB", row["error"])
        assert "Hash it with --prepare" in row["error"]
        return
    image = Image.open(path).copy()
    image.thumbnail((512, 512))
    assert row["error"] == ""
    assert row["hash"] == find_pixels(np.asarray(image.convert("RGB"))).tobytes().hex()


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        (np.uint16, [0, 128, 255, 256, 40_000, 65_535], [0, 128, 255, 255, 255, 255]),
        (np.int32, [-9, 0, 255, 256, 70_000], [0, 0, 255, 255, 255]),
        (np.float32, [-9, 0.6, 127.5, 300, np.inf, np.nan], [0, 0, 127, 255, 255, 0]),
    ],
)
def test_values_over_a_byte_are_cut_off_and_not_scaled(
    tmp_path: Path, dtype: type, stored: list[float], expected: list[int]
) -> None:
    """As Pillow converts them; so a 16-bit scan is mostly white to FINd."""
    path = tmp_path / "deep.tif"
    Image.fromarray(np.array([stored], dtype)).save(path)
    assert load_rgb(path)[0].tolist() == [[level] * 3 for level in expected]


def test_transparency_is_dropped_and_not_blended(tmp_path: Path) -> None:
    """Up to 512 pixels, the colours under it show.

    A larger image is shrunk with weights by its alpha, so that transparent colours turn black.
    """
    noise = Image.effect_noise((90, 90), 90).convert("RGB")
    noise.save(tmp_path / "opaque.png")
    clear = noise.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    palette = noise.quantize(64)
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "palette_clear.png", transparency=5)
    rows = hash_files(
        [tmp_path / f"{name}.png" for name in ("opaque", "clear", "palette", "palette_clear")]
    )
    assert rows["error"].tolist() == [""] * 4
    assert rows["hash"][0] == rows["hash"][1]
    assert rows["hash"][2] == rows["hash"][3]
    Image.new("RGBA", (600, 600), (200, 100, 50, 0)).save(tmp_path / "large.png")
    assert not load_rgb(tmp_path / "large.png").any()


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    image = Image.effect_noise((90, 90), 90)
    image.save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    image.convert("RGB").save(tmp_path / "c.jpg")
    (tmp_path / "d.gif").write_bytes((tmp_path / "c.jpg").read_bytes())
    rows = hash_files(list_images(tmp_path))
    assert rows["error"].tolist() == [""] * 4
    assert rows["hash"][0] == rows["hash"][1]
    assert rows["hash"][2] == rows["hash"][3]


NAMES = [
    "ünïcødé 家族.png",
    "-rf.png",
    "a\nb.png",
    'com,ma"quote.png',
    "=1+2.png",
    "<b>.png",
    "$(x).png",
    "n" * 251 + ".png",
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_any_name_goes_through_a_table_unchanged(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for name in NAMES:
        Image.effect_noise((20, 20), 90).save(folder / name)
    rows = hash_files(list_images(folder))
    assert rows["error"].tolist() == [""] * len(NAMES)
    write_table(rows, tmp_path / f"table{suffix}")
    pandas.testing.assert_frame_equal(
        read_hashes(tmp_path / f"table{suffix}"), rows, check_dtype=False
    )
    assert {Path(path).name for path in rows["path"]} == set(NAMES)


def test_what_is_not_a_file_is_a_row_each(tmp_path: Path) -> None:
    Image.effect_noise((20, 20), 90).save(tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to("real.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    expected = {
        "real.png": "",
        "link.png": "",
        "broken.png": "no such file",
        "loop.png": "cannot be read",
        "folder.jpg": "not a file",
        "empty.jpg": "the file is empty",
        "pipe.jpg": "not a file",
        "vanished.jpg": "no such file",
        "n" * 300 + ".jpg": "cannot be read",
        "nul\0.jpg": "null",
    }
    for hasher in ("find", "dhash256"):
        rows = hash_files([tmp_path / name for name in expected], hasher)
        assert len(rows) == len(expected)
        for error, part in zip(rows["error"], expected.values(), strict=True):
            assert (part in error) if part else error == ""


def test_a_file_that_may_not_be_read_is_a_row(closed: Path) -> None:
    assert "no permission" in _row(closed)["error"]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.effect_noise((40, 40), 90).convert("RGB") for _ in range(3)]
    for suffix in (".gif", ".webp", ".png", ".tif"):
        frames[0].save(tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:])
        frames[0].save(tmp_path / f"still{suffix}")
        moving, still = (open_rgb(tmp_path / f"{name}{suffix}") for name in ("moving", "still"))
        difference = np.abs(np.asarray(moving, int) - np.asarray(still, int))
        assert (
            difference.mean() < 12
        )  # GIF and WebP code a lone frame and a first one not quite alike


if __name__ == "__main__":
    print(json.dumps(_examine(Path(sys.argv[1]))))
