"""Decode files into pictures, in the forms that hashes start from: JPEGs by `jpeg` where that gives
Pillow's pixels, and all other files by Pillow.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Transpose

from finlib.hashing import jpeg
from finlib.hashing.images import (
    IMAGE_IN_MEMORY,
    MAX_SIDE,
    FileContent,
    load_rgb,
    open_content,
    read_content,
    undecodable,
)

_TRANSPOSES: dict[str, Transpose | None] = {
    "as it is": None,
    "mirrored": Transpose.FLIP_LEFT_RIGHT,
    "upside down": Transpose.FLIP_TOP_BOTTOM,
    "half turn": Transpose.ROTATE_180,
    "transposed": Transpose.TRANSPOSE,
    "quarter": Transpose.ROTATE_90,
    "three quarters": Transpose.ROTATE_270,
    "transverse": Transpose.TRANSVERSE,
}
VARIANTS = tuple(_TRANSPOSES)
"""The names of a picture's eight turns and mirror images; turns go anticlockwise, as in Pillow."""


def decode_jpeg(
    source: str | Path | FileContent, buffer: bytearray | None = None
) -> NDArray[np.uint8] | None:
    """Decode a JPEG without Pillow to RGB, uint8[H, W, 3]; None where Pillow must decode the file.

    The pixels are in `buffer` where one is given and is large enough, else in memory of their own.
    """
    try:
        data = read_content(source).data
    except (OSError, ValueError):
        return None
    if not data.startswith(jpeg.START):
        return None
    return jpeg.decode(data, buffer)


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pillow's thumbnail of a picture, uint8[H, W, 3]: no side has more than 512 pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.array(image)


@njit(nogil=True, cache=True, inline="always")
def _luma(red, green, blue):  # type: ignore[no-untyped-def]
    """Pillow's luma of one pixel, in units of 2^-16 and with a half added for rounding."""
    return 19595 * red + 38470 * green + 7471 * blue + 32768


@njit(nogil=True, cache=True)
def _fill_grey(flat, grey):  # type: ignore[no-untyped-def]
    """Pillow's luma of interleaved RGB, uint8[3 n], into `grey`, uint8[n].

    Four pixels at once: three little-endian words a, b, c are split faster than twelve bytes.
    """
    quads = grey.size // 4
    words = flat[: 12 * quads].view(np.uint32)
    grey_words = grey[: 4 * quads].view(np.uint32)
    for k in range(quads):
        a = words[3 * k]
        b = words[3 * k + 1]
        c = words[3 * k + 2]
        first = _luma(a & 255, a >> 8 & 255, a >> 16 & 255)
        second = _luma(a >> 24, b & 255, b >> 8 & 255)
        third = _luma(b >> 16 & 255, b >> 24, c & 255)
        fourth = _luma(c >> 8 & 255, c >> 16 & 255, c >> 24)
        first_two = first >> 16 | second >> 8 & 0xFF00
        last_two = third & 0xFF0000 | (fourth & 0xFF0000) << 8
        grey_words[k] = first_two | last_two
    for k in range(4 * quads, grey.size):
        grey[k] = _luma(flat[3 * k], flat[3 * k + 1], flat[3 * k + 2]) >> 16


@dataclass(eq=False)
class Picture:
    """A decoded picture in the forms that hashes start from, each made when it is first used.

    decoded: the picture at full size. Either pixels in RGB, uint8[H, W, 3], of a file that Pillow
        opens as RGB or L, or a Pillow image in any mode.
    file_size: width and height of the picture in the file, where it has been prepared since.
    """

    decoded: NDArray[np.uint8] | Image.Image
    file_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if isinstance(self.decoded, Image.Image):
            return self.decoded.size
        height, width, _ = self.decoded.shape
        return width, height

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """The picture after step 1 of FINd: uint8[H, W, 3], no side over 512 pixels."""
        if isinstance(self.decoded, Image.Image):
            return load_rgb(self.decoded)
        if max(self.decoded.shape) <= MAX_SIDE:
            return self.decoded
        return shrink(self.decoded)

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """The picture in grey, uint8[H, W], at full size, as by Pillow's `convert("L")`."""
        if isinstance(self.decoded, Image.Image):
            try:
                return np.asarray(self.decoded.convert("L"))
            except ValueError as error:  # there is no such conversion from some modes
                raise undecodable(error, IMAGE_IN_MEMORY) from error
        grey = np.empty(self.decoded.shape[:2], np.uint8)
        _fill_grey(self.decoded.ravel(), grey.ravel())
        return grey

    @cached_property
    def image(self) -> Image.Image:
        """The picture as a Pillow image, at full size."""
        if isinstance(self.decoded, Image.Image):
            return self.decoded
        return Image.fromarray(self.decoded)

    def variant(self, number: int) -> "Picture":
        """This picture turned or mirrored.

        `number` is a place in VARIANTS; 0 is the picture itself.
        """
        transpose = _TRANSPOSES[VARIANTS[number]]
        if transpose is None:
            return self
        return Picture(self.image.transpose(transpose))


def open_picture(source: str | Path | FileContent, buffer: bytearray | None = None) -> Picture:
    """Open an image file as a picture, in the fastest way that gives Pillow's pixels.

    The picture owns its pixels, unless the caller gives a `buffer`: a JPEG that fits is decoded
    into it, and its picture is valid until the caller uses the buffer again. Errors are those of
    `images.open_image`.
    """
    content = read_content(source)
    pixels = decode_jpeg(content, buffer)
    if pixels is None:
        return Picture(open_content(content))
    return Picture(pixels)
