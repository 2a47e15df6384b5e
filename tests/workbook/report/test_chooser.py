"""A gallery of thumbnails: what is clicked or dropped last is chosen."""

import base64
import re
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from finlib.hashing.images import ImageError

pytest.importorskip("ipywidgets")

from ipywidgets import IntSlider

from workbook.report import chooser
from workbook.report.chooser import PictureChooser


@pytest.fixture
def paths(tmp_path, picture):
    """Two pictures, one of them in a file that holds none."""
    picture.save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return [str(tmp_path / "good.png"), str(tmp_path / "broken.png")]


def upload(path, name="mine.png"):
    content = path.read_bytes()
    file = {"name": name, "type": "image/png", "size": len(content), "content": content}
    return (file | {"last_modified": datetime(2026, 1, 2, tzinfo=UTC)},)


def test_the_picture_that_is_clicked_is_chosen(paths):
    red = Image.new("RGB", (30, 20), "red")
    gallery = PictureChooser([red, *paths], ["red", "good.png", "broken.png"], "first picture")
    assert gallery.value.open() is red
    assert gallery.caption.value == "first picture: red"
    seen = []
    gallery.observe(lambda change: seen.append(change["new"].place), "value")
    gallery.thumbnails.value = 1
    assert gallery.value.open().size == (120, 90)
    assert seen == [1]
    assert gallery.caption.value == "first picture: good.png"


def test_a_dropped_file_is_chosen_until_a_thumbnail_is_clicked(paths, tmp_path):
    Image.new("RGB", (7, 5)).save(tmp_path / "mine.png")
    gallery = PictureChooser(paths, ["good.png", "broken.png"])
    gallery.upload.value = upload(tmp_path / "mine.png")
    assert gallery.value.place is None
    assert gallery.value.open().size == (7, 5)
    assert gallery.thumbnails.value is None
    assert gallery.caption.value == "mine.png"
    gallery.thumbnails.value = 0
    assert gallery.value.open().size == (120, 90)


def test_what_cannot_be_read_has_a_button_and_an_error_of_its_own(paths, tmp_path):
    gallery = PictureChooser(paths, ["good.png", "broken.png"])
    rules = gallery.children[0].value
    assert re.search(r"nth-of-type\(1\) \{background: #fff url\(data:image/jpeg;base64,", rules)
    assert f"nth-of-type(2) {{background: {chooser.UNREADABLE};}}" in rules
    gallery.thumbnails.value = 1
    with pytest.raises((OSError, ValueError), match="broken"):
        gallery.value.open()
    gallery.upload.value = upload(tmp_path / "broken.png", "notes.txt")
    with pytest.raises(ImageError, match=r"notes\.txt is no image"):
        gallery.value.open()


def test_two_files_of_one_name_are_told_apart(picture):
    gallery = PictureChooser([picture, picture.rotate(180)], ["a.jpg", "a.jpg"])
    assert len(set(gallery.thumbnails._options_labels)) == 2
    gallery.thumbnails.value = 1
    assert gallery.value.place == 1


def test_thumbnails_of_several_galleries_do_not_mix(picture):
    galleries = [PictureChooser([picture], ["a"]) for _ in range(2)]
    groups = [gallery.thumbnails._dom_classes[0] for gallery in galleries]
    assert groups[0] != groups[1]
    assert all(
        f".{group} button" in gallery.children[0].value
        for gallery, group in zip(galleries, groups, strict=True)
    )


def test_a_file_is_decoded_once_for_all_galleries(paths, monkeypatch):
    PictureChooser(paths[:1], ["good.png"])
    monkeypatch.delattr(chooser, "open_rgb")
    gallery = PictureChooser(paths[:1], ["good.png"])
    assert "data:image/jpeg" in gallery.children[0].value


def test_a_picture_is_shown_small_and_stays_as_it_is():
    picture = Image.new("RGB", (900, 600), "red")
    background = chooser.thumbnail_background(picture)
    data = base64.b64decode(background.split("base64,")[1].split(")")[0])
    assert Image.open(BytesIO(data)).size == (144, 96)
    assert picture.size == (900, 600)


def test_a_gallery_takes_files_and_a_slider_does_not(picture):
    assert chooser.takes_files({"a": IntSlider(), "b": PictureChooser([picture], ["a"])})
    assert not chooser.takes_files({"a": IntSlider()})
    assert "<script>" in chooser.DROP_SCRIPT.read_text()
