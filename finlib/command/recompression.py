"""Whether a JPEG was made from another file's picture at the same size, and nothing was gained.

Storing a picture as JPEG rounds the cosine coefficients of its blocks of 8 x 8 pixels to multiples
of steps, which the file names. The coefficients of the picture that it was made from are then
within half a step of its own. Those of an enlarged copy are not: the details that it lost are
multiples of steps away.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

Levels = NDArray[np.float32]

BLOCK = 8
BLOCKS = 64  # of a picture that are compared
STRIDE = (5**0.5 - 1) / 2  # between these blocks, in heights of the picture: never periodic
LOW_FREQUENCIES = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) < BLOCK
ROUNDING = 1.0  # levels by which rounded pixels change a coefficient, about
MOST_CUT_OFF = 0.03  # of a block's levels are 0 or 255, where decoding may have cut them off
FEWEST_COEFFICIENTS = 20  # to judge by
EXPLAINED_SHARE = 0.97  # of the coefficients of a JPEG that was made from the other file
# Of both of two JPEGs, one of which was made from the other at a higher quality. A fine original
# and a copy whose steps are half as large again come to 0.93 to 0.98.
MUTUAL_SHARE = 0.985
CLEARLY_COARSER = 1.3  # times as large steps as those of another JPEG


class BlockSample(NamedTuple):
    """Some blocks of a picture, by which it is compared with others of the same size.

    coefficients: int16[blocks, frequencies] of the luma, as bytes; all 0 for a block that is left
        out because decoding has cut off too many of its levels. Empty for a picture smaller than a
        block.
    steps: float32[frequencies] by which a JPEG was stored, as bytes; empty for another format.
    """

    coefficients: bytes
    steps: bytes


NO_SAMPLE = BlockSample(b"", b"")


def sample_blocks(rgb: NDArray[np.uint8], steps: list[int] | None) -> BlockSample:
    """Take the blocks of a picture; pictures of one size have theirs at the same places.

    rgb: uint8[height, width, 3]. steps: the 64 steps of a JPEG's luma, row by row.
    """
    rows = rgb.shape[0] // BLOCK
    columns = rgb.shape[1] // BLOCK
    if rows * columns == 0:
        return NO_SAMPLE
    places = np.arange(BLOCKS) * STRIDE % 1 * rows * columns
    blocks = np.stack([_block(rgb, *divmod(int(place), columns)) for place in places])
    luma = blocks.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    coefficients = dctn(luma, axes=(1, 2), norm="ortho")[:, LOW_FREQUENCIES]
    cut_off = ((blocks == 0) | (blocks == 255)).mean(axis=(1, 2, 3))
    coefficients[cut_off > MOST_CUT_OFF] = 0
    stored = np.round(coefficients).astype(np.int16).tobytes()
    if steps is None:
        return BlockSample(stored, b"")
    table = np.array(steps, np.float32).reshape(BLOCK, BLOCK)
    return BlockSample(stored, table[LOW_FREQUENCIES].tobytes())


def _block(rgb: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    top = row * BLOCK
    left = column * BLOCK
    return rgb[top : top + BLOCK, left : left + BLOCK]


def is_made_from(copy: BlockSample, source: BlockSample, is_newer: bool) -> bool:
    """Whether the JPEG `copy` was made from the picture `source`, as far as their blocks show it.

    Both have to be of pictures of the same size, and `source` may have any format. The coarser of
    two JPEGs is the copy. Where each explains the other, though, hardly anything was lost, and the
    finer one may be the copy as well: it is the file that `is_newer`.
    """
    if not copy.steps or len(copy.coefficients) != len(source.coefficients):
        return False
    share = _explained_share(copy, source)
    if share < EXPLAINED_SHARE:
        return False
    if not source.steps:
        return not _is_same(copy, source)
    if _has_similar_steps(copy, source):
        return sum_steps(copy) > sum_steps(source)
    share_of_source = _explained_share(source, copy)
    if min(share, share_of_source) >= MUTUAL_SHARE:
        return is_newer
    return sum_steps(copy) > sum_steps(source)


def _has_similar_steps(one: BlockSample, other: BlockSample) -> bool:
    """Whether the steps of two JPEGs differ, but too little to show which of them came first."""
    finer, coarser = sorted([sum_steps(one), sum_steps(other)])
    return finer < coarser < CLEARLY_COARSER * finer


def _explained_share(copy: BlockSample, source: BlockSample) -> float:
    """The share of the copy's coefficients that rounding those of the source would give.

    Coefficients that were rounded to 0 are left out: those of a blurred picture explain them, too.
    """
    steps = np.frombuffer(copy.steps, np.float32)
    differences, coefficients = _compare(copy, source)
    is_judged = np.abs(coefficients) > np.maximum(steps / 2, 1.5 * ROUNDING)
    is_judged[:, 0] = False  # the mean of a block, which every copy keeps
    if np.count_nonzero(is_judged) < FEWEST_COEFFICIENTS:
        return 0.0
    is_explained = differences <= steps / 2 + ROUNDING
    return float(is_explained[is_judged].mean())


def _is_same(copy: BlockSample, source: BlockSample) -> bool:
    """Whether both show the same pixels, as a JPEG and the PNG that it was decoded into do."""
    differences, _ = _compare(copy, source)
    return bool((differences <= ROUNDING).mean() >= EXPLAINED_SHARE)


def _compare(copy: BlockSample, source: BlockSample) -> tuple[Levels, Levels]:
    """How much the coefficients differ, and those of the copy, of the blocks that both have."""
    of_copy = _read_coefficients(copy)
    of_source = _read_coefficients(source)
    in_both = of_copy.any(axis=1) & of_source.any(axis=1)
    of_copy = of_copy[in_both]
    return np.abs(of_copy - of_source[in_both]), of_copy


def _read_coefficients(sample: BlockSample) -> Levels:
    values = np.frombuffer(sample.coefficients, np.int16).astype(np.float32)
    return values.reshape(BLOCKS, -1)


def sum_steps(sample: BlockSample) -> float:
    """The sum of the steps of a JPEG: the larger, the coarser it is. 0 of another format."""
    return float(np.frombuffer(sample.steps, np.float32).sum())
