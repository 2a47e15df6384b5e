"""How much real detail a picture's file holds: what decides which of several copies to keep.

A copy may be larger than the picture that it was made from and yet be worse: it may have lost
colours, have been enlarged, or have been stored once at a low JPEG quality. The measures here are
of the pixels wherever the file's own words cannot be believed.
"""

import re
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling
from scipy.fft import dctn

from finlib.command.recompression import NO_SAMPLE, BlockSample, sample_blocks
from finlib.hashing.images import PNG_START, open_image

Levels = NDArray[np.float32]

CHROMA = 12  # levels between a pixel's channels up to which it counts as grey
COLOURED_SHARE = 0.005  # of the pixels of a picture in colour
PALETTE = 256  # colours that a palette can hold
COVERED_SHARE = 0.75  # of the pixels whose colours are counted
FRAME_TOLERANCE = 10  # levels within a uniform frame
MARGIN = 20  # one part in so many of a side is left out at each end
MOST_SIDE = 1024  # pixels of a side of the middle part that is examined for enlargement
SHRINKING_STEPS = 8  # each by the square root of 2
NOTHING_LOST = 0.75  # levels, root mean square: what rounding and JPEG leave
ENLARGED_RATIO = 0.38
EVERYWHERE = 0.9  # of the rows of a picture whose rows are repeated
LOSSLESS = 101
MOST_BLOCKS = 4096
BLOCK = 8
LARGEST_STEP = 255
MULTIPLES_SHARE = 0.85  # clipping and interpolated chroma spoil the other coefficients
# Table K.1 of the JPEG standard, row by row: the steps of luminance at quality 50.
STANDARD_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


class Colours(IntEnum):
    """The kinds of colour of a picture, the poorest first."""

    TWO_LEVELS = 0
    GREY = 1
    FEW = 2
    TRUE = 3


class Detail(NamedTuple):
    """The detail of a picture.

    colours: the kind of its colours, as its pixels show it.
    pixels: the number of pixels that hold all that the picture shows: without a uniform frame, and
        shrunk as far as shrinking loses nothing.
    is_enlarged: whether the file has more pixels inside its frame than that.
    quality: the lowest JPEG quality at which the picture was stored, as far as it can be seen, from
        1 to 100; LOSSLESS where there is no trace of a lossy format, and None where it was stored
        with a loss that the file does not tell, as in WebP and AVIF.
    sample: some of its blocks, which show whether it was made from another file.
    """

    colours: Colours
    pixels: float
    is_enlarged: bool
    quality: int | None
    sample: BlockSample = NO_SAMPLE


NO_DETAIL = Detail(Colours.TWO_LEVELS, 0.0, False, 0)


def measure_detail(path: str | Path) -> Detail:
    """Measure the detail of a file's picture; NO_DETAIL where it cannot be read."""
    try:
        image = open_image(path)
        quality, steps = _read_storage(path)
        rgb = np.asarray(image.convert("RGB"))
    except (OSError, ValueError):
        return NO_DETAIL
    inside = _without_frame(rgb)
    shrinking = _measure_shrinking(inside)
    height, width = inside.shape[:2]
    if quality == LOSSLESS:
        quality = min(_earlier_quality(rgb), _earlier_quality(inside))
    return Detail(
        colours=_kind_of_colours(inside),
        pixels=width * height * shrinking**2,
        is_enlarged=shrinking < 1,
        quality=quality,
        sample=sample_blocks(rgb, steps),
    )


def _kind_of_colours(rgb: NDArray[np.uint8]) -> Colours:
    """The kind of colours that the pixels show, whatever the file's mode is.

    A picture is in colour where enough of its pixels are. Its colours are few where no more than a
    palette's cover three quarters of its pixels. The last quarter is left out because a JPEG of a
    drawing has thousands of colours along its edges, but the drawing is not poorer.
    """
    spread = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    if (spread > CHROMA).mean() < COLOURED_SHARE:
        levels = np.bincount(rgb[..., 1].ravel(), minlength=256)
        is_two_levels = np.count_nonzero(levels) <= 2
        return Colours.TWO_LEVELS if is_two_levels else Colours.GREY
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), 2, 0)
    _, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    most_frequent = np.sort(counts)[::-1][:PALETTE]
    is_few = most_frequent.sum() >= COVERED_SHARE * counts.sum()
    return Colours.FEW if is_few else Colours.TRUE


def _without_frame(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without rows and columns at its edges that have the colour of its corner."""
    difference = np.abs(rgb.astype(np.int16) - rgb[0, 0])
    differs = (difference > FRAME_TOLERANCE).any(axis=2)
    rows = np.flatnonzero(differs.any(axis=1))
    columns = np.flatnonzero(differs.any(axis=0))
    if len(rows) == 0:
        return rgb
    return rgb[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _measure_shrinking(rgb: NDArray[np.uint8]) -> float:
    """The smallest scale, at most 1, to which the picture can be shrunk without a loss of detail.

    The middle of the picture is shrunk step by step and enlarged again, and what is lost is
    measured as the root mean square of the difference. At a scale nothing is lost where this is
    within rounding, or where it is small beside what half that scale loses. Sharp pictures lose
    about half as much at a scale as at half the scale, JPEG of quality 40 included; pictures
    enlarged twice by bilinear, bicubic or Lanczos interpolation lose about a third at most.
    Repeated pixels are recognised where no JPEG has changed them since. Enlargements by less than
    about 1.4 are not recognised.
    """
    repeated = min(_repeats(rgb), _repeats(rgb.swapaxes(0, 1)))
    if repeated > 1:
        return 1 / repeated
    grey = Image.fromarray(_middle(rgb)).convert("L").convert("F")
    lost = [_lost_by_shrinking(grey, _scale(step)) for step in range(SHRINKING_STEPS + 3)]
    for step in range(SHRINKING_STEPS, 0, -1):
        if lost[step] <= max(NOTHING_LOST, ENLARGED_RATIO * lost[step + 2]):
            return _scale(step)
    return 1.0


def _repeats(rgb: NDArray[np.uint8]) -> int:
    """How many times each row is repeated in a picture whose pixels were repeated; 1 in others.

    A drawing has few rows that differ from the row above, and would otherwise seem to be enlarged.
    """
    changed = np.flatnonzero((rgb[1:] != rgb[:-1]).any(axis=(1, 2)))
    if len(changed) < 2:
        return 1
    repeated = int(np.gcd.reduce(np.diff(changed)))
    is_everywhere = len(changed) * repeated >= EVERYWHERE * len(rgb)
    return repeated if is_everywhere else 1


def _scale(step: int) -> float:
    return float(2 ** (-step / 2))


def _middle(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a picture, of at most MOST_SIDE pixels a side.

    A margin is always left out, so that the rest of a frame is not taken for detail.
    """
    rows = _middle_part(rgb.shape[0])
    columns = _middle_part(rgb.shape[1])
    return np.ascontiguousarray(rgb[rows, columns])


def _middle_part(side: int) -> slice:
    length = min(MOST_SIDE, side - 2 * (side // MARGIN))
    start = (side - length) // 2
    return slice(start, start + length)


def _lost_by_shrinking(grey: Image.Image, scale: float) -> float:
    """The root mean square, in levels, of what shrinking and enlarging again changes."""
    width, height = grey.size
    shrunk_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = grey.resize(shrunk_size, Resampling.LANCZOS)
    restored = shrunk.resize(grey.size, Resampling.BICUBIC)
    difference = np.asarray(grey) - np.asarray(restored)
    return float(np.sqrt(np.mean(difference**2)))


def _read_storage(path: str | Path) -> tuple[int | None, list[int] | None]:
    """The quality that a file's format gives, and the steps by which the luma of a JPEG was stored.

    The quality of a JPEG is that of its steps, of which there are 64, row by row. It is LOSSLESS of
    a PNG, and None of another lossy format. Other files than JPEGs have no steps.
    """
    with open(path, "rb") as file:
        beginning = file.read(len(PNG_START))
    if beginning == PNG_START:  # which Pillow does not open where its texts are too long
        return LOSSLESS, None
    with Image.open(path) as image:
        if image.format in ("JPEG", "MPO"):
            tables: dict[int, list[int]] = getattr(image, "quantization", {})
            steps = list(tables[0]) if 0 in tables else None
            return (None if steps is None else _quality_of_table(steps)), steps
        compression = image.info.get("compression", "")
    if image.format == "WEBP":
        return (LOSSLESS if _is_lossless_webp(path) else None), None
    is_lossy = image.format in ("AVIF", "HEIF") or "jpeg" in str(compression).lower()
    return (None if is_lossy else LOSSLESS), None


def _is_lossless_webp(path: str | Path) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(1 << 16)
    chunk = re.search(rb"VP8[L ]", beginning[12:])
    return chunk is not None and chunk.group() == b"VP8L"


def _quality_of_table(steps: list[int]) -> int:
    """The quality, from 1 to 100, whose standard steps have the same sum as these."""
    return _quality_of_ratio(sum(steps) / STANDARD_STEPS.sum())


def _quality_of_ratio(ratio: float) -> int:
    """The quality at which libjpeg multiplies the standard steps by this ratio."""
    quality = 100 - 50 * ratio if ratio <= 1 else 50 / ratio
    return int(np.clip(round(quality), 1, 100))


def _earlier_quality(rgb: NDArray[np.uint8]) -> int:
    """The quality of the JPEG that a losslessly stored picture was decoded from, if it was.

    The coefficients of a decoded JPEG's blocks lie close to multiples of its steps. Several
    frequencies have to give the same ratio to the standard's steps, because a drawing's few
    colours give multiples by chance.
    """
    coefficients = _block_coefficients(rgb)
    ratios = []
    for row, column in np.argwhere(np.add.outer(np.arange(4), np.arange(4)) < 4)[1:]:
        step = _step_of(coefficients[:, row, column])
        if step:
            ratios.append(step / STANDARD_STEPS[row, column])
    if len(ratios) < 3:
        return LOSSLESS
    ratio = float(np.median(ratios))
    agreeing = np.abs(np.array(ratios) - ratio) <= 0.15 * ratio
    if agreeing.mean() < 2 / 3:
        return LOSSLESS
    return _quality_of_ratio(ratio)


def _block_coefficients(rgb: NDArray[np.uint8]) -> Levels:
    """The cosine transforms of at most MOST_BLOCKS blocks of 8 x 8 luma, float32[blocks, 8, 8].

    Blocks with a level of 0 or 255 are left out: decoding has cut their levels off.
    """
    is_cut_off = ((rgb == 0) | (rgb == 255)).any(axis=2)
    luma = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    rows, columns = (side // BLOCK for side in luma.shape)
    whole = luma[: rows * BLOCK, : columns * BLOCK]
    blocks = whole.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    cut_off = is_cut_off[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    blocks = blocks[~cut_off.any(axis=(1, 3)).ravel()]
    every = max(1, len(blocks) // MOST_BLOCKS)
    return dctn(blocks[::every], axes=(1, 2), norm="ortho")


def _step_of(coefficients: Levels) -> int:
    """The largest step, at least 4, of which nearly all coefficients are multiples; 0 for none."""
    nonzero = np.abs(coefficients[np.abs(coefficients) > 2])
    if len(nonzero) < 20:
        return 0
    for step in range(LARGEST_STEP, 3, -1):
        multiple = np.maximum(1, np.round(nonzero / step))
        is_near = np.abs(nonzero - step * multiple) <= max(1, 0.1 * step)
        if is_near.mean() >= MULTIPLES_SHARE:
            return step
    return 0
