"""How work and accuracy grow with the number of images: laws fitted and tested; products of a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from finlib.matching.pairs import Pairs

Packed = npt.NDArray[np.uint8]


# Growth laws


@dataclass(frozen=True)
class PowerLaw:
    """cost = scale * n ** exponent, as fitted to measurements by least squares of the logarithms."""

    exponent: float
    low: float  # 95% interval of the exponent
    high: float
    scale: float
    spread: float  # standard deviation of the logarithm about the line
    centre: float  # mean of log n, and its sum of squares about it
    squares: float
    count: int

    def __call__(self, n: float) -> float:
        return float(self.scale * n**self.exponent)

    def interval(self, n: float, confidence: float = 0.95) -> tuple[float, float]:
        """Within which one further measurement at n should lie."""
        error = self.spread * np.sqrt(
            1 + 1 / self.count + (np.log(n) - self.centre) ** 2 / self.squares
        )
        reach = np.exp(stats.t.ppf((1 + confidence) / 2, self.count - 2) * error)
        return float(self(n) / reach), float(self(n) * reach)


def power_law(n: Any, cost: Any) -> PowerLaw:
    """The law of cost (seconds, bytes, …) against n, with Student's interval. ValueError under three sizes."""
    x, y = np.log(np.asarray(n, float)), np.log(np.asarray(cost, float))
    if len(np.unique(x)) < 3 or x.shape != y.shape or not np.isfinite([x, y]).all():
        raise ValueError(
            "a power law needs at least three different sizes, each with a positive cost"
        )
    line = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    spread = float(np.sqrt(((y - line.slope * x - line.intercept) ** 2).sum() / (len(x) - 2)))
    squares = float(((x - x.mean()) ** 2).sum())
    scale = float(np.exp(line.intercept))
    return PowerLaw(
        line.slope,
        line.slope - reach,
        line.slope + reach,
        scale,
        spread,
        float(x.mean()),
        squares,
        len(x),
    )


def predicted(
    laws: Mapping[str, PowerLaw], measured: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Each law against one measurement that it was not fitted to, (n, cost): a row each, with the intervals.

    Columns: work, exponent, exponent_low, exponent_high, n, predicted, low, high, measured, factor (of measured over
    predicted) and inside (whether the measurement lies in the interval).
    """
    rows = []
    for work, law in laws.items():
        n, cost = measured[work]
        low, high = law.interval(n)
        exponents = (law.exponent, law.low, law.high)
        rows.append(
            (work, *exponents, n, law(n), low, high, cost, cost / law(n), low <= cost <= high)
        )
    columns = "work exponent exponent_low exponent_high n predicted low high measured factor inside"
    return pd.DataFrame(rows, columns=columns.split())


# Distances as a matrix product, for a GPU


def signs(packed: Any, xp: Any, dtype: Any = None) -> Any:
    """±1 of the array library `xp`, [n, bits], for packed bits uint8[n, bits // 8] of the same library."""
    shift = xp.asarray([7, 6, 5, 4, 3, 2, 1, 0], dtype=xp.uint8)
    bits = xp.bitwise_and(
        xp.bitwise_right_shift(packed[:, :, None], shift[None, None, :]),
        xp.asarray(1, dtype=xp.uint8),
    )
    bits = xp.reshape(bits, (packed.shape[0], 8 * packed.shape[1]))
    return 2 * xp.astype(bits, dtype or xp.float32) - 1


def product_distances(left: Any, right: Any, xp: Any) -> Any:
    """Hamming distances [n, m] between rows of ±1 as `signs` gives them: (bits - left @ right') / 2, all exact.

    Sums of at most 2**24 ones are whole in float32, of 2,048 in float16.
    """
    return (left.shape[1] - xp.matmul(left, xp.matrix_transpose(right))) / 2


def product_pairs(
    packed: Any, radius: int, xp: Any, *, block: int = 8192, dtype: Any = None
) -> Pairs:
    """`matching.pairs_within` as products of ±1 matrices, in the array API's terms: on whatever device packed is on.

    Holds block * block distances at a time; blocks larger than the set do no harm. dtype: of the products, float32
    unless given; float16 does for 256 bits where the device is faster at it. NumPy arrays come back.
    """
    n = packed.shape[0]
    parts: list[Any] = []
    for low in range(0, n, block):
        left = signs(packed[low : min(n, low + block), :], xp, dtype)
        for high in range(low, n, block):
            distance = product_distances(
                left,
                left if high == low else signs(packed[high : min(n, high + block), :], xp, dtype),
                xp,
            )
            near = distance <= radius
            i, j = xp.nonzero(xp.triu(near, k=1) if high == low else near)
            found = xp.take(xp.reshape(distance, (-1,)), i * distance.shape[1] + j, axis=0)
            parts.append(
                [np.from_dlpack(column, device="cpu") for column in (i + low, j + high, found)]
            )
    empty = [np.empty(0)] * 3
    i, j, distance = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
    order = np.lexsort((j, i))
    return Pairs(
        i[order].astype(np.int64), j[order].astype(np.int64), distance[order].astype(np.int32)
    )
