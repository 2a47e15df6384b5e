"""FINd in NumPy: stage by stage, then as two small matrix products, for one image or a batch.

The stages have the names and the order of `reference`. What differs is arithmetic that is exact whatever its order:
luma is kept in thousandths, 299 R + 587 G + 114 B, so that sums of pixels are sums of integers. Why the bits are
the reference's all the same: `finlib.hashing.certificate`.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finlib.hashing import reference
from finlib.hashing.certificate import BASIS, centres, check_pixels, rounding_bound, spans
from finlib.hashing.reference import HALF, SIDE

STAGES_ROUNDINGS = 2 * SIDE + 1
PLACES = 2 ** np.arange(7, -1, -1, dtype=np.uint8)  # numpy.packbits order


def luma(rgb: Any) -> Any:
    """Luma in thousandths, int32[..., H, W], of uint8[..., H, W, 3]: exact where step 2 rounds."""
    r, g, b = (rgb[..., channel].astype(np.int32) for channel in range(3))
    return 299 * r + 587 * g + 114 * b


def integral(values: NDArray[Any]) -> NDArray[Any]:
    """[R + 1, C + 1] sums of everything above and to the left, in int64 or float64.

    In integers it is exact. In float64 its entries grow with the whole image, and so does the rounding that is left in
    the difference of four of them.
    """
    rows, cols = values.shape
    wide = np.int64 if values.dtype.kind in "iu" else np.float64
    sums = np.zeros((rows + 1, cols + 1), wide)
    values.cumsum(axis=0, dtype=wide).cumsum(axis=1, out=sums[1:, 1:])
    return sums


def box_mean(thousandths: NDArray[Any]) -> NDArray[np.float64]:
    """Mean luma, float64[R, C], over the window around every pixel (step 3), by an integral image."""
    rows, cols = thousandths.shape
    top, bottom = spans(np.arange(rows), rows)
    left, right = spans(np.arange(cols), cols)
    sums = integral(thousandths)
    strips = sums[bottom] - sums[top]
    return (strips[:, right] - strips[:, left]) / (1000 * np.outer(bottom - top, right - left))


def decimate(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[64, 64] of the means (step 4)."""
    rows, cols = means.shape
    return means[np.ix_(centres(rows), centres(cols))]


def dct(small: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[16, 16], B = (D A) D' (step 5)."""
    return BASIS @ small @ BASIS.T


def lower_median(coefficients: NDArray[np.float64]) -> float:
    """The 128th smallest of 256 (step 6)."""
    return float(np.partition(coefficients, HALF - 1, axis=None)[HALF - 1])


def bits(coefficients: NDArray[np.float64], median: float) -> NDArray[np.bool_]:
    """bool[16, 16], both axes reversed (step 7)."""
    return coefficients[::-1, ::-1] > median


def gap(coefficients: NDArray[np.float64]) -> float:
    """From the 128th smallest coefficient to the 129th: what the certificate compares with 2 E."""
    lower, upper = np.partition(coefficients, (HALF - 1, HALF), axis=None)[HALF - 1 : HALF + 1]
    return float(upper - lower)


def _certified(
    coefficients: NDArray[np.float64], bound: float, pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    if gap(coefficients) <= 2 * bound:
        return reference.find_pixels(pixels)
    return np.packbits(bits(coefficients, lower_median(coefficients)))


def find_stages(rgb: Any) -> NDArray[np.uint8]:
    """Packed hash, uint8[32], stage by stage as the reference goes."""
    pixels = check_pixels(rgb)
    bound = rounding_bound(pixels.shape[0], pixels.shape[1], STAGES_ROUNDINGS)
    return _certified(dct(decimate(box_mean(luma(pixels)))), bound, pixels)


@lru_cache(maxsize=256)
def projection(length: int) -> NDArray[np.float64]:
    """float64[16, length], D P: box mean, decimation and DCT along one side, as one matrix.

    All three are linear and separable, and depend on the side's length alone. Only the 64 windows that decimation
    keeps are in it.
    """
    first, last = spans(centres(length), length)
    inside = (np.arange(length) >= first[:, None]) & (np.arange(length) < last[:, None])
    matrix = BASIS @ (inside / (last - first)[:, None])
    matrix.flags.writeable = False
    return matrix


def coefficients(rgb: Any) -> NDArray[np.float64]:
    """float64[16, 16] of steps 2 to 5 at once: B = (D P_rows) X (D P_cols)', X being luma in thousandths."""
    rows, cols = rgb.shape[:2]
    return projection(rows) @ luma(rgb).astype(np.float64) @ projection(cols).T / 1000


def find_pixels(rgb: Any) -> NDArray[np.uint8]:
    """Packed hash, uint8[32], by two matrix products."""
    pixels = check_pixels(rgb)
    rows, cols = pixels.shape[:2]
    bound = rounding_bound(rows, cols, roundings=131 + rows + cols)
    return _certified(coefficients(pixels), bound, pixels)


def find_batch(rgb: Any, xp: Any = None) -> Any:
    """Packed hashes, uint8[N, 32], of N images of one size, uint8[N, H, W, 3], on the device that holds them.

    `xp` is the array library, by default the array's own (`__array_namespace__`: NumPy, CuPy, array_api_strict). Torch
    tensors have none: pass `xp=array_api_compat.torch`. Sums are in float64, [N, H, W] at its largest; nothing leaves
    the device but the images under the certificate's bound, which the reference decides.
    """
    if len(rgb.shape) != 4 or rgb.shape[3] != 3 or 0 in rgb.shape[1:3]:
        raise ValueError(
            f"an array of shape {tuple(rgb.shape)} was given, [N, H, W, 3] in RGB is expected"
        )
    xp, device = (rgb.__array_namespace__(), {}) if xp is None else (xp, {"device": rgb.device})
    if rgb.dtype != xp.uint8:
        raise TypeError(
            f"pixels of {rgb.dtype} were given, uint8 is expected: scale to 0..255 and convert first"
        )
    count, rows, cols, _ = rgb.shape
    r, g, b = (xp.astype(rgb[..., channel], xp.float32) for channel in range(3))
    thousandths = xp.astype(
        299 * r + 587 * g + 114 * b, xp.float64
    )  # integers under 2^24, exact in float32
    left = xp.asarray(projection(rows).copy(), **device)
    right = xp.asarray(projection(cols).T.copy(), **device)
    values = xp.reshape(xp.matmul(xp.matmul(left, thousandths), right) / 1000, (count, 2 * HALF))
    ordered = xp.sort(values, axis=1)
    on = xp.reshape(
        xp.astype(xp.flip(values, axis=1) > ordered[:, HALF - 1 : HALF], xp.uint8),
        (count, HALF // 4, 8),
    )
    packed = xp.sum(on * xp.asarray(PLACES, **device), axis=2, dtype=xp.uint8)
    unsure = ordered[:, HALF] - ordered[:, HALF - 1] <= 2 * rounding_bound(
        rows, cols, 131 + rows + cols
    )
    for index in _on_host(xp.nonzero(unsure)[0]).tolist():
        packed[index, :] = xp.asarray(reference.find_pixels(_on_host(rgb[index, ...])), **device)
    return packed


def _on_host(array: Any) -> NDArray[Any]:
    """A NumPy copy; the array API standard has no name for this step."""
    for method in ("get", "cpu"):  # CuPy, Torch
        if hasattr(array, method):
            array = getattr(array, method)()
    return np.asarray(array)
