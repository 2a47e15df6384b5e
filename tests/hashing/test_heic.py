"""HEIC is read with the extra, and without it the error names the extra."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finlib.hashing.execution import hash_files
from finlib.hashing.images import ImageError, open_image, scan_folder


def smooth_picture() -> Image.Image:
    levels = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((320, 240), Image.Resampling.BICUBIC)


def test_without_the_extra_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    photo = tmp_path / "photo.HEIC"
    photo.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert scan_folder(tmp_path).images == [photo]
    with pytest.raises(ImageError, match=r"photo\.HEIC: a HEIC picture.*finlib\[heic\]"):
        open_image(photo)
    assert "finlib[heic]" in hash_files([photo], workers=1)["error"][0]


def test_with_the_extra_it_is_hashed(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = smooth_picture()
    picture.save(tmp_path / "a.png")
    pillow_heif.from_pillow(picture).save(tmp_path / "a.heic", quality=80)
    table = hash_files([tmp_path / "a.png", tmp_path / "a.heic"], workers=1)
    assert table["error"].tolist() == ["", ""]
    packed = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in table["hash"]]
    assert np.bitwise_count(packed[0] ^ packed[1]).sum() <= 8
