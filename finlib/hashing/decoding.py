"""Decode files into pictures, in the forms that hashes start from, and JPEGs without Pillow.

Pillow decodes a JPEG by libjpeg-turbo with its defaults: accurate integer DCT, smooth
upsampling, the file's own colour space to RGB. Integer arithmetic leaves nothing to rounding, so
`simplejpeg`, a faster wrapper of the same library, gives the same pixels wherever it reads the same
coefficients. It does so where the header is of a kind that both treat alike, and where the decoder
has nothing to warn of. At its first warning simplejpeg stops, and Pillow, which continues or gives
up by its own rules, decodes the file instead.
"""

import io
import os
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np
import simplejpeg
from numba import njit
from numpy.typing import NDArray
from PIL import Image, features
from PIL.Image import Transpose

from finlib.hashing.images import MAX_SIDE, load_rgb, open_image

# The first bytes of a JPEG, and the markers of its segments.
START = b"\xff\xd8\xff"
SCAN = 0xDA
ADOBE = 0xEE
APPLICATION = range(0xE0, 0xF0)
# Baseline and progressive frames; Huffman and quantisation tables, restart interval, comment.
FRAMES_AND_TABLES = frozenset((0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE))

FIRST_READ = 1 << 16  # bytes; most files are read at once, and of other formats no more than these

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


def _is_same_library() -> bool:
    """Whether Pillow decodes by libjpeg-turbo as simplejpeg does.

    Pillow may be built on another libjpeg, and before version 2.1 libjpeg-turbo upsampled and
    smoothed differently.
    """
    version = features.version("libjpeg_turbo")
    if version is None:
        return False
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= (2, 1)


SAME_LIBRARY = _is_same_library()


class Header(Enum):
    """What the segments before a JPEG's scan say about its decoding."""

    PLAIN = "Pillow is certain to accept them"
    PARSED_BY_PILLOW = "Pillow parses one of them and may reject it"
    UNSUITABLE = "no JPEG, or one that Pillow and simplejpeg might not decode alike"


def classify_header(data: bytes) -> Header:
    """Whether a file's bytes begin like a baseline or progressive JPEG in YCbCr or grey."""
    header = Header.PLAIN
    start = 2
    while start <= len(data) - 4 and data[start] == 0xFF:
        marker = data[start + 1]
        if marker == SCAN:
            return header
        length = (data[start + 2] << 8) + data[start + 3]
        end = start + 2 + length
        if marker in APPLICATION:
            body = data[start + 4 : end]
            if marker == ADOBE and not _asks_for_ycbcr(body):
                return Header.UNSUITABLE
            if not _is_stored_unread(marker, body):
                header = Header.PARSED_BY_PILLOW
        elif marker not in FRAMES_AND_TABLES:
            return Header.UNSUITABLE
        start = end
    return Header.UNSUITABLE


def _asks_for_ycbcr(body: bytes) -> bool:
    """Whether Adobe's segment names the usual colour transform."""
    return body.startswith(b"Adobe") and len(body) >= 12 and body[11] == 1


def _is_stored_unread(marker: int, body: bytes) -> bool:
    """Whether Pillow stores an application segment without parsing it in a way that could fail."""
    if marker == 0xE0:
        return len(body) >= 14 or not body.startswith(b"JFIF")
    if marker == 0xE1:
        return not body.startswith(b"Exif")
    if marker == 0xE2:
        return body.startswith(b"ICC_PROFILE\0") and len(body) >= 14
    return marker != 0xED  # Photoshop's resources are parsed


def _pillow_accepts(data: bytes) -> bool:
    """Whether Pillow takes this header, and for that of one JPEG, not of the first of several."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format == "JPEG" and image.mode in ("L", "RGB")
    except Exception:  # whatever it is, Pillow raises it again when it decodes the file itself
        return False


def _read_jpeg(path: str | Path) -> bytes:
    """The bytes of a JPEG; none of a file in another format or one that cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for ever
    except (OSError, ValueError):
        return b""
    try:
        size = os.lseek(file, 0, os.SEEK_END)  # an error for a pipe
        data = os.pread(file, min(size, FIRST_READ), 0)
        if not data.startswith(START):
            return b""
        if len(data) < size:
            data += os.pread(file, size - len(data), len(data))
        return data
    except OSError:
        return b""
    finally:
        os.close(file)


def decode_jpeg(path: str | Path, buffer: bytearray | None = None) -> NDArray[np.uint8] | None:
    """Decode a JPEG by simplejpeg to RGB, uint8[H, W, 3]; None where Pillow must decode the file.

    The pixels are in `buffer` where one is given and is large enough, else in memory of their own.
    """
    if not SAME_LIBRARY:
        return None
    data = _read_jpeg(path)
    header = classify_header(data)
    if header is Header.UNSUITABLE:
        return None
    if header is Header.PARSED_BY_PILLOW and not _pillow_accepts(data):
        return None
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(data)
        if colour_space not in ("YCbCr", "Gray") or _is_too_large(width * height):
            return None
        if buffer is not None and 3 * width * height > len(buffer):
            buffer = None
        return simplejpeg.decode_jpeg(data, "RGB", buffer=buffer)
    except (ValueError, RuntimeError, KeyError):
        # An error, which may be no more than a warning, or a subsampling unknown to simplejpeg.
        return None


def _is_too_large(pixels: int) -> bool:
    """Whether `images.open_image` refuses an image with this number of pixels."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and pixels > limit


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
    """

    decoded: NDArray[np.uint8] | Image.Image

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
            return np.asarray(self.decoded.convert("L"))
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


def open_picture(path: str | Path, buffer: bytearray | None = None) -> Picture:
    """Open an image file as a picture, in the fastest way that gives Pillow's pixels.

    The picture owns its pixels, unless the caller gives a `buffer`: a JPEG that fits is decoded
    into it, and its picture is valid until the caller uses the buffer again. Errors are those of
    `images.open_image`.
    """
    pixels = decode_jpeg(path, buffer)
    if pixels is None:
        return Picture(open_image(path))
    return Picture(pixels)
