"""Decode the bytes of a JPEG without Pillow, to the pixels that Pillow gives.

Pillow decodes a JPEG by libjpeg-turbo with its defaults: accurate integer DCT, smooth
upsampling, the file's own colour space to RGB. Integer arithmetic leaves nothing to rounding, so
`simplejpeg`, a faster wrapper of the same library, gives the same pixels wherever it reads the same
coefficients. It does so where the header is of a kind that both treat alike, and where the decoder
has nothing to warn of. At its first warning simplejpeg stops, and Pillow, which continues or gives
up by its own rules, decodes the file instead.
"""

import io
import mmap
import re
from enum import Enum

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, features

# The first bytes of a JPEG, and the markers of its segments.
START = b"\xff\xd8\xff"
SCAN = 0xDA
ADOBE = 0xEE
APPLICATION = range(0xE0, 0xF0)
# Baseline and progressive frames; Huffman and quantisation tables, restart interval, comment.
FRAMES_AND_TABLES = frozenset((0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE))

END = b"\xff\xd9"
FOUR_INKS = ("CMYK", "YCCK")  # colour spaces from which the decoder makes no RGB

SCAN_START = b"\xff\xda"
# A marker in the data of a scan: neither a stuffed zero, nor a restart, nor a fill byte.
MARKER_IN_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
MARKERS_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))

# What all scans together may pass over, in times the largest picture that is allowed. Encoders make
# about ten scans of a progressive JPEG.
PASSES = 16
LEAST_SCAN_BYTES = 10  # of a scan: its marker, and a header for one component


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


def decode(data: bytes, buffer: bytearray | None = None) -> NDArray[np.uint8] | None:
    """Decode a JPEG to RGB, uint8[H, W, 3]; None where Pillow must decode it.

    The pixels are in `buffer` where one is given and is large enough, else in memory of their own.
    """
    if not SAME_LIBRARY:
        return None
    header = classify_header(data)
    if header is Header.UNSUITABLE:
        return None
    if header is Header.PARSED_BY_PILLOW and not _pillow_accepts(data):
        return None
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(data)
        if colour_space not in ("YCbCr", "Gray") or _is_too_large(width * height):
            return None
        if has_too_many_scans(data, width * height):
            return None
        if buffer is not None and 3 * width * height > len(buffer):
            buffer = None
        return simplejpeg.decode_jpeg(data, "RGB", buffer=buffer)
    except (ValueError, RuntimeError, KeyError):
        # An error, which may be no more than a warning, or a subsampling unknown to simplejpeg.
        return None


def lacks_end_alone(data: bytes) -> bool:
    """Whether a file is a JPEG, of any colours, that lacks no more than the marker of its end.

    Some cameras and transfers lose these two bytes. The decoder warns where more is missing.
    """
    if not data.startswith(START):
        return False
    whole = data + END
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(whole)
        if _is_too_large(width * height) or has_too_many_scans(whole, width * height):
            return False
        simplejpeg.decode_jpeg(whole, "CMYK" if colour_space in FOUR_INKS else "RGB")
    except (ValueError, RuntimeError, KeyError):
        return False
    return True


def _is_too_large(pixels: int) -> bool:
    """Whether `images.open_image` refuses an image with this number of pixels."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and pixels > limit


def has_too_many_scans(data: bytes | mmap.mmap, pixels: int) -> bool:
    """Whether decoding a JPEG of that many pixels would take unduly long.

    Each scan passes over the whole picture, and 900 bytes suffice for one. The limit is PASSES
    passes over the largest picture that is allowed, so that small pictures may have many scans.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None:
        return False
    most = PASSES * limit // max(pixels, 1)
    if len(data) < LEAST_SCAN_BYTES * most:
        return False
    if isinstance(data, bytes) and data.count(SCAN_START) <= most:  # thumbnails' scans included
        return False
    return count_scans(data) > most


def count_scans(data: bytes | mmap.mmap) -> int:
    """The number of scans of a JPEG's own picture."""
    scans = 0
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == END[1]:
            break
        if marker in MARKERS_WITHOUT_LENGTH:
            position += 2
            continue
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == SCAN:
            scans += 1
            found = MARKER_IN_SCAN.search(data, position)
            if found is None:
                break
            position = found.start()
    return scans
