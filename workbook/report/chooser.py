"""Choose a picture in a notebook: click on a thumbnail, or drop a file of one's own."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import traitlets
from ipywidgets import HTML, FileUpload, HBox, Label, ToggleButtons, VBox
from PIL import Image

from finlib.hashing.images import open_rgb
from workbook.study.anatomy import uploaded_picture

DROP_SCRIPT = Path(__file__).with_name("drop.html")
"""Lets files be dropped on the upload buttons of a notebook."""

STYLE = Path(__file__).with_name("chooser.css").read_text(encoding="utf-8")
"""How a gallery looks, but for its pictures."""

THUMBNAIL = 144
"""Pixels; the longer side of a thumbnail, which is shown at half that size to be sharp."""

UNREADABLE = "#d0d7de"
"""The colour of a thumbnail whose file cannot be read."""

numbers = itertools.count(1)
"""Numbers that tell the galleries of a page apart."""


class Chosen(NamedTuple):
    """A picture that was chosen: one of a gallery, or a file that was dropped.

    source: a picture, its path, or an upload of ipywidgets. place: in the gallery; None for a file
    that was dropped.
    """

    source: Image.Image | str | Mapping[str, Any]
    place: int | None

    def open(self) -> Image.Image:
        """The picture; OSError or ValueError if it cannot be read."""
        if isinstance(self.source, Mapping):
            return uploaded_picture(self.source)
        return open_source(self.source)


class PictureChooser(VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A control whose value is the picture that was clicked or dropped last, as a `Chosen`.

    The thumbnails are toggle buttons, so that the keyboard reaches them, too.
    """

    value = traitlets.Any()

    def __init__(
        self,
        sources: Sequence[Image.Image | str],
        names: Sequence[str],
        description: str = "",
        start: int = 0,
    ) -> None:
        """Show thumbnails of pictures.

        sources: pictures or their paths. names: of the pictures, for tooltips and screen readers.
        description: stands above them. start: the place of the picture that is chosen at first.
        """
        self.sources = list(sources)
        self.names = list(names)
        self.description = description
        group = f"fin-gallery-{next(numbers)}"
        # Widgets tell options apart by their labels, and two files may have one name.
        labels = [f"{name} ({place} of {len(names)})" for place, name in enumerate(names, 1)]
        options = [(label, place) for place, label in enumerate(labels)]
        self.thumbnails = ToggleButtons(options=options, value=start, tooltips=list(names))
        self.thumbnails.add_class(group)
        self.upload = FileUpload(accept="image/*", description="drop or choose a file")
        self.upload.tooltip = "Drop a picture here, or click to choose a file. It stays here."
        self.caption = Label()
        self._name(names[start])
        look = HTML(f"<style>{STYLE}{thumbnail_rules(group, self.sources)}</style>")
        look.layout.display = "none"
        super().__init__([look, self.caption, HBox([self.upload, self.thumbnails])])
        self.add_class("fin-chooser")
        self.value = Chosen(self.sources[start], start)
        self.thumbnails.observe(self._take_thumbnail, "value")
        self.upload.observe(self._take_file, "value")

    def _take_thumbnail(self, change: Mapping[str, Any]) -> None:
        place = change["new"]
        if place is None:  # a file was dropped, and no thumbnail is marked any more
            return
        self._name(self.names[place])
        self.value = Chosen(self.sources[place], place)

    def _take_file(self, change: Mapping[str, Any]) -> None:
        if not change["new"]:
            return
        upload = change["new"][0]
        self.thumbnails.value = None
        self._name(upload["name"])
        self.value = Chosen(upload, None)

    def _name(self, name: str) -> None:
        """Write above the gallery which picture is chosen."""
        self.caption.value = f"{self.description}: {name}" if self.description else name


def open_source(source: Any) -> Image.Image:
    """A picture of a gallery, which is given as itself or as its path."""
    return source if isinstance(source, Image.Image) else open_rgb(source)


def thumbnail_rules(group: str, sources: Sequence[Any]) -> str:
    """The rules of CSS that give the buttons of a group their pictures.

    group: the class of the buttons' box. sources: pictures or their paths.
    """
    rules = []
    for number, source in enumerate(sources, 1):
        background = thumbnail_background(source)
        rules.append(f".{group} button:nth-of-type({number}) {{background: {background};}}")
    return "\n".join(rules)


def thumbnail_background(source: Any) -> str:
    """The background in CSS that shows a picture; a plain colour if it cannot be read."""
    return file_background(source) if isinstance(source, str) else picture_background(source)


@lru_cache(maxsize=1000)
def file_background(path: str) -> str:
    """The background of a file, which is decoded once for all the galleries that show it."""
    try:
        return picture_background(open_rgb(path))
    except (OSError, ValueError):
        return UNREADABLE


def picture_background(picture: Image.Image) -> str:
    """The background of a picture: a small JPEG, within the text of the rule."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    file = BytesIO()
    small.save(file, format="JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"#fff url(data:image/jpeg;base64,{data}) center / contain no-repeat"


def takes_files(controls: Mapping[str, Any]) -> bool:
    """Whether one of the controls takes files that are dropped on it."""
    return any(isinstance(control, PictureChooser) for control in controls.values())
