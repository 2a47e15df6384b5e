"""FINd in NumPy: first stage by stage, then as two small matrix products, for one image or a batch.

The stages have the names and the order of `finlib.hashing.reference`. Only the arithmetic
differs, and it is exact in any order: luma is kept in thousandths, as the integer 299 R + 587 G +
114 B, so that sums of pixels are sums of integers. `finlib.hashing.certificate` explains why the
bits are nevertheless those of the reference.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finlib.hashing import reference
from finlib.hashing.certificate import BASIS, centres, check_pixels, rounding_bound, spans
from finlib.hashing.reference import HALF, SIDE

Array = NDArray[Any]
Booleans = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

STAGES_ROUNDINGS = 2 * SIDE + 1
"""How often the stages round a pixel's contribution on its way; see the certificate."""

PLACES = 2 ** np.arange(7, -1, -1, dtype=np.uint8)
"""What each of eight bits is worth in a byte, in the order of `numpy.packbits`."""


def product_roundings(rows: int, cols: int) -> int:
    """How often the two products round a pixel's contribution on its way; see the certificate."""
    return 131 + rows + cols


# Stage by stage -----------------------------------------------------------------------------------


def luma(rgb: Any) -> Any:
    """The brightness of each pixel in thousandths (step 2), exact where the reference rounds.

    rgb: uint8[..., H, W, 3].

    Returns int32[..., H, W].
    """
    red = rgb[..., 0].astype(np.int32)
    green = rgb[..., 1].astype(np.int32)
    blue = rgb[..., 2].astype(np.int32)
    return 299 * red + 587 * green + 114 * blue


def integral(values: Array) -> Array:
    """The integral image of [R, C] values: sums of all that is above and to the left.

    Its shape is [R + 1, C + 1]. Sums of integers are int64 and exact. Sums of floats are float64;
    their entries grow with the whole image, and so does the rounding error that remains in the
    difference of four of them.
    """
    rows, cols = values.shape
    sum_type: Any = np.float64
    if values.dtype.kind in "iu":
        sum_type = np.int64
    sums = np.zeros((rows + 1, cols + 1), sum_type)
    down = values.cumsum(axis=0, dtype=sum_type)
    down.cumsum(axis=1, out=sums[1:, 1:])
    return sums


def box_mean(thousandths: Array) -> Floats:
    """Mean luma over the window around every pixel (step 3), by an integral image.

    thousandths: [R, C], as `luma` returns it.

    Returns float64[R, C], in units of luma.
    """
    rows, cols = thousandths.shape
    top, bottom = spans(np.arange(rows), rows)
    left, right = spans(np.arange(cols), cols)
    sums = integral(thousandths)
    strips = sums[bottom] - sums[top]
    windows = strips[:, right] - strips[:, left]
    pixels = np.outer(bottom - top, right - left)
    return windows / (1000 * pixels)


def decimate(means: Floats) -> Floats:
    """Keep 64 x 64 of the means, float64[64, 64] (step 4)."""
    rows, cols = means.shape
    return means[np.ix_(centres(rows), centres(cols))]


def dct(small: Floats) -> Floats:
    """The lowest frequencies of the decimated image, float64[16, 16]: B = (D A) D' (step 5)."""
    return BASIS @ small @ BASIS.T


def lower_median(coefficients: Floats) -> float:
    """The 128th smallest of the 256 coefficients (step 6)."""
    ordered = np.partition(coefficients, HALF - 1, axis=None)
    return float(ordered[HALF - 1])


def bits(coefficients: Floats, median: float) -> Booleans:
    """Which coefficients exceed the median, bool[16, 16], with both axes reversed (step 7)."""
    return coefficients[::-1, ::-1] > median


# The certificate ----------------------------------------------------------------------------------


def gap(coefficients: Floats) -> float:
    """How far the 129th smallest coefficient lies above the 128th.

    The certificate compares this gap with 2 E.
    """
    ordered = np.partition(coefficients, (HALF - 1, HALF), axis=None)
    return float(ordered[HALF] - ordered[HALF - 1])


def certified_hash(
    coefficients: Floats,
    bound: float,
    pixels: Bytes,
) -> Bytes:
    """The packed hash, uint8[32], certain to be the reference's.

    Where the gap between the coefficients leaves a doubt, the reference hashes the pixels.

    bound: E of the certificate, the most by which a coefficient can differ from the reference's.
    """
    if gap(coefficients) <= 2 * bound:
        return reference.find_pixels(pixels)
    median = lower_median(coefficients)
    return np.packbits(bits(coefficients, median))


def find_stages(rgb: Any) -> Bytes:
    """FINd of uint8[H, W, 3] as a packed hash, uint8[32], in the stages of the reference."""
    pixels = check_pixels(rgb)
    rows, cols = pixels.shape[:2]
    means = box_mean(luma(pixels))
    values = dct(decimate(means))
    bound = rounding_bound(rows, cols, STAGES_ROUNDINGS)
    return certified_hash(values, bound, pixels)


# Two products -------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def projection(length: int) -> Floats:
    """Box mean, decimation and DCT along one side of the image, as one matrix D P.

    Its type is float64[16, length]. All three are linear and separable, and depend only on the
    length of the side. The matrix covers only the 64 windows that decimation keeps.
    """
    first, last = spans(centres(length), length)
    place = np.arange(length)
    begun = place >= first[:, None]
    not_ended = place < last[:, None]
    sizes = last - first
    averages = (begun & not_ended) / sizes[:, None]
    matrix = BASIS @ averages
    matrix.flags.writeable = False
    return matrix


def coefficients(rgb: Any) -> Floats:
    """The coefficients of steps 2 to 5 at once, float64[16, 16]: B = (D P_rows) X (D P_cols)'.

    X is the luma of uint8[H, W, 3] in thousandths.
    """
    rows, cols = rgb.shape[:2]
    thousandths = luma(rgb).astype(np.float64)
    return projection(rows) @ thousandths @ projection(cols).T / 1000


def find_pixels(rgb: Any) -> Bytes:
    """FINd of uint8[H, W, 3] as a packed hash, uint8[32], computed by two matrix products."""
    pixels = check_pixels(rgb)
    rows, cols = pixels.shape[:2]
    bound = rounding_bound(rows, cols, product_roundings(rows, cols))
    return certified_hash(coefficients(pixels), bound, pixels)


# Batches ------------------------------------------------------------------------------------------


def find_batch(rgb: Any, xp: Any = None) -> Any:
    """FINd of N images of one size, on the device that holds them.

    Sums are in float64, and the largest array is float64[N, H, W]. Nothing leaves the device but
    the images for which the certificate does not hold: the reference hashes those.

    rgb: uint8[N, H, W, 3].
    xp: the array library, by default the array's own (`__array_namespace__`: NumPy, CuPy,
        array_api_strict). Torch tensors have none, so pass `xp=array_api_compat.torch` with them.

    Returns packed hashes, uint8[N, 32].
    Raises ValueError for another shape and TypeError for another type of pixels.
    """
    _check_shape(rgb)
    on_device = {}
    if xp is None:
        xp = rgb.__array_namespace__()
    else:
        on_device["device"] = rgb.device
    if rgb.dtype != xp.uint8:
        raise TypeError(
            f"pixels of {rgb.dtype} were given, uint8 is expected: "
            "scale to 0..255 and convert first"
        )
    count, rows, cols, _ = rgb.shape
    left = xp.asarray(projection(rows).copy(), **on_device)
    right = xp.asarray(projection(cols).T.copy(), **on_device)
    half_way = xp.matmul(left, _luma_of_batch(rgb, xp))
    products = xp.matmul(half_way, right)
    values = xp.reshape(products / 1000, (count, 2 * HALF))
    ordered = xp.sort(values, axis=1)

    medians = ordered[:, HALF - 1 : HALF]
    is_above = xp.flip(values, axis=1) > medians
    ones = xp.astype(is_above, xp.uint8)
    eights = xp.reshape(ones, (count, HALF // 4, 8))
    places = xp.asarray(PLACES, **on_device)
    packed = xp.sum(eights * places, axis=2, dtype=xp.uint8)

    bound = rounding_bound(rows, cols, product_roundings(rows, cols))
    gaps = ordered[:, HALF] - ordered[:, HALF - 1]
    uncertain = xp.nonzero(gaps <= 2 * bound)[0]
    for index in to_host(uncertain).tolist():
        exact = reference.find_pixels(to_host(rgb[index, ...]))
        packed[index, :] = xp.asarray(exact, **on_device)
    return packed


def _check_shape(rgb: Any) -> None:
    if len(rgb.shape) != 4 or rgb.shape[3] != 3 or 0 in rgb.shape[1:3]:
        raise ValueError(
            f"an array of shape {tuple(rgb.shape)} was given, [N, H, W, 3] in RGB is expected"
        )


def _luma_of_batch(rgb: Any, xp: Any) -> Any:
    """Luma in thousandths, float64[N, H, W]: integers under 2^24, which float32 holds exactly."""
    red = xp.astype(rgb[..., 0], xp.float32)
    green = xp.astype(rgb[..., 1], xp.float32)
    blue = xp.astype(rgb[..., 2], xp.float32)
    return xp.astype(299 * red + 587 * green + 114 * blue, xp.float64)


def to_host(array: Any) -> Array:
    """A NumPy copy of an array on any device; the array API standard has no name for this step."""
    for method in ("get", "cpu"):  # of CuPy's arrays, and of Torch's
        if hasattr(array, method):
            array = getattr(array, method)()
    return np.asarray(array)
