"""Step 1 at the speed of libjpeg-turbo, for the JPEGs whose pixels are certain to be Pillow's.

Pillow decodes a JPEG by libjpeg-turbo too, with its defaults: accurate integer DCT, smooth upsampling, the file's own
colour space to RGB. Integer arithmetic leaves nothing to rounding, so `simplejpeg`, the same library under another
wrapper, gives the same pixels wherever it reads the same coefficients. It does where the header is of a kind that both
take alike, and where the decoder meets nothing to warn of: at the first warning it stops, and Pillow, which goes on or
gives up in its own way, decodes the file instead.
"""

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import simplejpeg
from numba import njit
from numpy.typing import NDArray
from PIL import Image, features
from PIL.Image import Transpose

from finlib.hashing.images import MAX_SIDE, load_rgb, open_image

# Pillow may be built on another libjpeg; before 2.1, libjpeg-turbo upsampled and smoothed differently.
SAME_LIBRARY = tuple(map(int, (features.version("libjpeg_turbo") or "0.0").split(".")[:2])) >= (
    2,
    1,
)
START, SCAN, ADOBE, APPLICATION = b"\xff\xd8\xff", 0xDA, 0xEE, range(0xE0, 0xF0)
# Baseline and progressive frames; Huffman and quantisation tables, restart interval, comment.
FRAMES_AND_TABLES = frozenset((0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE))
HEADER_SIZE = 1 << 16

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
"""The eight turns and mirror images of a picture; quarter turns go anticlockwise, as in Pillow."""


def plain_header(data: bytes) -> bool | None:
    """Whether Pillow is certain to accept what stands before the scan of a baseline or progressive JPEG.

    None for other files, and where another colour transform than YCbCr is asked for.
    """
    plain, at, last = True, 2, len(data) - 4
    while at <= last and data[at] == 0xFF:
        marker, end = data[at + 1], at + 2 + (data[at + 2] << 8) + data[at + 3]
        if marker == SCAN:
            return plain
        if marker in APPLICATION:
            body = data[at + 4 : end]
            if marker == ADOBE and not (
                body.startswith(b"Adobe") and len(body) >= 12 and body[11] == 1
            ):
                return None
            plain = plain and _stored_unread(marker, body)
        elif marker not in FRAMES_AND_TABLES:
            return None
        at = end
    return None


def _stored_unread(marker: int, body: bytes) -> bool:
    """Whether Pillow keeps an application segment without parsing it in a way that could fail."""
    if marker == 0xE0:
        return len(body) >= 14 or not body.startswith(b"JFIF")
    if marker == 0xE1:
        return not body.startswith(b"Exif")
    if marker == 0xE2:
        return body.startswith(b"ICC_PROFILE\0") and len(body) >= 14
    return marker != 0xED  # Photoshop's resources are parsed


def _pillow_opens(data: bytes) -> bool:
    """Whether Pillow takes this header, and for a plain JPEG (not for the first picture of several)."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format == "JPEG" and image.mode in ("L", "RGB")
    except Exception:  # whatever it is, Pillow's own decoding of the file will say it
        return False


def _read(path: str | Path) -> bytes:
    """The bytes of a JPEG; none of any other file, unreadable ones included."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for ever
    except (OSError, ValueError):
        return b""
    try:
        size = os.lseek(file, 0, os.SEEK_END)  # an error for a pipe
        data = os.pread(file, min(size, HEADER_SIZE), 0)
        if not data.startswith(START):
            return b""
        return data + os.pread(file, size - len(data), len(data)) if len(data) < size else data
    except OSError:
        return b""
    finally:
        os.close(file)


def decode_jpeg(path: str | Path, buffer: bytearray | None = None) -> NDArray[np.uint8] | None:
    """A JPEG's pixels in RGB by simplejpeg, in `buffer` where one is given and fits; None where Pillow must do it."""
    data = _read(path) if SAME_LIBRARY else b""
    plain, limit = plain_header(data), Image.MAX_IMAGE_PIXELS
    if plain is None or not (plain or _pillow_opens(data)):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or (limit is not None and width * height > limit):
            return None
        fits = buffer is not None and 3 * width * height <= len(buffer)
        return simplejpeg.decode_jpeg(data, "RGB", buffer=buffer if fits else None)
    except (
        ValueError,
        RuntimeError,
        KeyError,
    ):  # an error, no more than a warning, or a subsampling it does not know
        return None


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pillow's thumbnail of uint8[H, W, 3], no side over 512."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.array(image)


@njit(nogil=True, cache=True)
def _luma(flat, grey):  # type: ignore[no-untyped-def]
    """Pillow's luma of interleaved RGB, four pixels at once: three little-endian words are split faster than bytes."""
    n = grey.size // 4
    words, four = flat[: 12 * n].view(np.uint32), grey[: 4 * n].view(np.uint32)
    for k in range(n):
        a, b, c = words[3 * k], words[3 * k + 1], words[3 * k + 2]
        p = 19595 * (a & 255) + 38470 * (a >> 8 & 255) + 7471 * (a >> 16 & 255) + 32768
        q = 19595 * (a >> 24) + 38470 * (b & 255) + 7471 * (b >> 8 & 255) + 32768
        r = 19595 * (b >> 16 & 255) + 38470 * (b >> 24) + 7471 * (c & 255) + 32768
        s = 19595 * (c >> 8 & 255) + 38470 * (c >> 16 & 255) + 7471 * (c >> 24) + 32768
        four[k] = p >> 16 | q >> 8 & 0xFF00 | r & 0xFF0000 | (s & 0xFF0000) << 8
    for k in range(4 * n, grey.size):
        grey[k] = (
            19595 * flat[3 * k] + 38470 * flat[3 * k + 1] + 7471 * flat[3 * k + 2] + 32768
        ) >> 16


@dataclass(eq=False)
class Picture:
    """A decoded picture at full size, in the forms that hashes start from; each is made once, when it is asked for.

    decoded: pixels in RGB, uint8[H, W, 3], of a file that Pillow opens as RGB or L; or an image of Pillow's in any
    mode.
    """

    decoded: NDArray[np.uint8] | Image.Image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return (
            self.decoded.size
            if isinstance(self.decoded, Image.Image)
            else self.decoded.shape[1::-1]
        )

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """Step 1 of FINd: uint8[H, W, 3], no side over 512."""
        if isinstance(self.decoded, Image.Image):
            return load_rgb(self.decoded)
        return self.decoded if max(self.decoded.shape) <= MAX_SIDE else shrink(self.decoded)

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """uint8[H, W] at full size: Pillow's `convert("L")`."""
        if isinstance(self.decoded, Image.Image):
            return np.asarray(self.decoded.convert("L"))
        grey = np.empty(self.decoded.shape[:2], np.uint8)
        _luma(self.decoded.ravel(), grey.ravel())
        return grey

    @cached_property
    def image(self) -> Image.Image:
        """Pillow's image at full size."""
        return (
            self.decoded if isinstance(self.decoded, Image.Image) else Image.fromarray(self.decoded)
        )

    def variant(self, number: int) -> "Picture":
        """This picture turned or mirrored; `number` is a place in VARIANTS, 0 the picture itself."""
        transpose = _TRANSPOSES[VARIANTS[number]]
        if transpose is None:
            return self
        return Picture(self.image.transpose(transpose))


def open_picture(path: str | Path, buffer: bytearray | None = None) -> Picture:
    """A decoded file; errors are those of `images.open_image`.

    The picture owns its pixels, unless the caller gives a `buffer`: a JPEG that fits is decoded into it, and its
    picture lasts until the caller uses the buffer again.
    """
    pixels = decode_jpeg(path, buffer)
    return Picture(open_image(path) if pixels is None else pixels)
