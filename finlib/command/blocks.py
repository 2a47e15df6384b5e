"""Small pictures in a terminal, made of coloured half blocks: part of what `finlib match` prints.

The upper half of a character cell has the colour of the character, the lower half that of the
ground behind it, so that a cell shows two pixels, which are about square.
"""

import os
from itertools import zip_longest
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from finlib.files import text_to_path
from finlib.hashing.images import open_image
from finlib.hashing.preparing import prepare

HALF_BLOCK = "\u2580"  # the upper half of a cell
RESET = "\x1b[0m"
COLOURS_OF_24_BITS = ("truecolor", "24bit")  # what terminals that have them set COLORTERM to
MOST_COLUMNS = 40  # of a picture
GAP = 2  # columns between two pictures
SHARE_OF_LINES = 2  # a picture takes one part in so many of the terminal's lines


def can_show_pictures(stream: TextIO | None) -> bool:
    """Whether a stream leads to a terminal that has colours of 24 bits and should show them; not
    where it is closed, which is None.

    The environment says so: COLORTERM, and NO_COLOR for people who want plain text.
    """
    if stream is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return False
    if "utf" not in (stream.encoding or "").lower():
        return False
    return os.environ.get("COLORTERM", "") in COLOURS_OF_24_BITS


def draw_side_by_side(left: str, right: str, size: os.terminal_size) -> list[str]:
    """Draw the pictures of two files, whose paths are texts of a table, as lines of a terminal.

    size: the terminal's columns and lines. Nothing is drawn where a picture cannot be read, or
    where the terminal has no room.
    """
    columns = min(MOST_COLUMNS, (size.columns - GAP) // 2)
    rows = size.lines // SHARE_OF_LINES
    if columns < 1 or rows < 1:
        return []
    try:
        left_pixels = _read_small(left, columns, rows)
        right_pixels = _read_small(right, columns, rows)
    except (OSError, ValueError):
        return []
    left_width = left_pixels.shape[1]
    lines = []
    for left_line, right_line in zip_longest(_draw(left_pixels), _draw(right_pixels)):
        padded = left_line or " " * left_width
        lines.append(padded + " " * GAP + (right_line or ""))
    return lines


def _read_small(path: str, columns: int, rows: int) -> NDArray[np.uint8]:
    """The picture of a file as a viewer shows it, uint8[H, W, 3], small enough for the cells."""
    image = prepare(open_image(text_to_path(path)))
    image.thumbnail((columns, 2 * rows))
    return np.asarray(image.convert("RGB"))


def _draw(pixels: NDArray[np.uint8]) -> list[str]:
    """A line for each two rows of pixels; the last has one row where their number is odd."""
    lines = []
    for upper_row in range(0, len(pixels), 2):
        cells = []
        for column in range(pixels.shape[1]):
            cell = _colour(38, pixels[upper_row, column])
            if upper_row + 1 < len(pixels):
                cell += _colour(48, pixels[upper_row + 1, column])
            cells.append(cell + HALF_BLOCK)
        lines.append("".join(cells) + RESET)
    return lines


def _colour(what: int, pixel: NDArray[np.uint8]) -> str:
    """The sequence that sets a colour: 38 stands for that of the character, 48 for its ground."""
    red, green, blue = pixel.tolist()
    return f"\x1b[{what};2;{red};{green};{blue}m"
