"""Prepare a picture for hashing, so that what people see decides its hash, not how it is stored.

FINd, as it is specified, hashes the pixels as they are stored: it cuts 16-bit values off at 255,
drops alpha, ignores a turn in the EXIF data, and shrinks two-level and palette pictures without
blending. `prepare` undoes each of these, and trims uniform borders. Hashes of prepared pictures are
other hashes: their hashers are named `prepared:find` and so on, and no table mixes them with
hashes of pictures that were not prepared.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
LARGEST_LEVEL = 255
LIGHT = 192  # the mean luma from which what is visible would be lost on white
BORDER_TOLERANCE = 10  # levels between a border's pixels
LEAST_SHARE = 0.25  # of each side that has to be left within the borders


def prepare(image: Image.Image) -> Image.Image:
    """Return what a viewer shows of a picture, in RGB or grey at 8 bits and without borders.

    It stands upright by its EXIF data. Values of more than 8 bits are scaled from the lowest to the
    highest one. What is transparent shows a white ground, or a black one where what is visible is
    light. Colours of LAB become those of sRGB. Uniform borders are trimmed where at least a quarter
    of each side is left.

    ValueError where Pillow cannot convert the picture.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in DEEP_MODES:
        shown = scale_to_bytes(upright)
    elif upright.has_transparency_data:
        shown = _put_on_ground(upright.convert("RGBA"))
    elif upright.mode == "LAB":
        shown = _lab_to_rgb(upright)
    elif upright.mode in ("1", "L"):
        shown = upright.convert("L")
    else:
        shown = upright.convert("RGB")
    return trim_borders(shown)


def scale_to_bytes(image: Image.Image) -> Image.Image:
    """Scale values of 16 or 32 bits, or fractions, to 8 bits of grey.

    The lowest becomes 0 and the highest 255, because scanners and cameras use parts of the range.
    Whole numbers are not spread, so that the noise of a flat picture stays small. Values that are
    not finite count as the lowest.
    """
    values = np.asarray(image).astype(np.float64)
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return Image.new("L", image.size)
    low = values[is_finite].min()
    span = values[is_finite].max() - low
    if image.mode != "F":
        span = max(span, LARGEST_LEVEL)
    if span == 0:
        return Image.new("L", image.size)
    share = np.where(is_finite, values - low, 0) / span
    return Image.fromarray(np.round(share * LARGEST_LEVEL).astype(np.uint8))


def _put_on_ground(image: Image.Image) -> Image.Image:
    """Put an RGBA picture on white, or on black where what is visible is light."""
    alpha = np.asarray(image.getchannel("A"), np.float64)
    luma = np.asarray(image.convert("RGB").convert("L"), np.float64)
    covered = alpha.sum()
    is_light = covered > 0 and (luma * alpha).sum() >= LIGHT * covered
    ground = Image.new("RGBA", image.size, "black" if is_light else "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # as it would be in place only
    return converted


def trim_borders(image: Image.Image) -> Image.Image:
    """Cut off the rows and columns at the edges that have one colour, that of a corner.

    The picture is left as it is where it is uniform, and where less than LEAST_SHARE of a side
    would be left: a small mark on an empty page is not the whole picture.
    """
    pixels = np.asarray(image)
    rows, columns = _inside(pixels, pixels[0, 0])
    if (rows.stop - rows.start, columns.stop - columns.start) == pixels.shape[:2]:
        rows, columns = _inside(pixels, pixels[-1, -1])
    height = rows.stop - rows.start
    width = columns.stop - columns.start
    if (height, width) == pixels.shape[:2]:
        return image
    share_of_height = height / pixels.shape[0]
    share_of_width = width / pixels.shape[1]
    if min(share_of_height, share_of_width) < LEAST_SHARE:
        return image
    return Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))


def _inside(pixels: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The rows and columns within a border of this colour; none of a picture of it alone."""
    level = colour.astype(np.int16)
    darkest = np.maximum(level - BORDER_TOLERANCE, 0)
    lightest = np.minimum(level + BORDER_TOLERANCE, LARGEST_LEVEL)
    is_darker = pixels < darkest.astype(np.uint8)
    is_lighter = pixels > lightest.astype(np.uint8)
    differs = is_darker | is_lighter
    by_channel = differs.reshape(*pixels.shape[:2], -1)
    rows = np.flatnonzero(by_channel.any(axis=(1, 2)))
    columns = np.flatnonzero(by_channel.any(axis=(0, 2)))
    return _span(rows), _span(columns)


def _span(places: NDArray[np.int64]) -> slice:
    """From the first to the last of these places."""
    if len(places) == 0:
        return slice(0, 0)
    return slice(int(places[0]), int(places[-1]) + 1)
