"""Fit power laws to how time grows with the number of images, and test them on larger numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class PowerLaw:
    """How a cost grows with the number of images n: cost = scale * n ** exponent.

    It is fitted to measurements by least squares of the logarithms.

    low, high: the 95% interval of the exponent.
    spread: the standard deviation of the logarithms of the costs about the fitted line.
    centre, squares: the mean of log n, and the sum of the squared deviations from it.
    count: the number of measurements.
    """

    exponent: float
    low: float
    high: float
    scale: float
    spread: float
    centre: float
    squares: float
    count: int

    def __call__(self, n: float) -> float:
        return float(self.scale * n**self.exponent)

    def interval(self, n: float, confidence: float = 0.95) -> tuple[float, float]:
        """The interval in which one further measurement at n should lie."""
        distance = (np.log(n) - self.centre) ** 2 / self.squares
        error = self.spread * np.sqrt(1 + 1 / self.count + distance)
        quantile = stats.t.ppf((1 + confidence) / 2, self.count - 2)
        factor = np.exp(quantile * error)
        return float(self(n) / factor), float(self(n) * factor)


def power_law(n: Any, cost: Any) -> PowerLaw:
    """Fit a power law to costs (seconds, bytes, …) at sizes n.

    Raises ValueError with fewer than three different sizes, or where a cost is not positive.
    """
    x = np.log(np.asarray(n, float))
    y = np.log(np.asarray(cost, float))
    is_positive = np.isfinite(x).all() and np.isfinite(y).all()
    if len(np.unique(x)) < 3 or x.shape != y.shape or not is_positive:
        raise ValueError(
            "a power law needs at least three different sizes, each with a positive cost"
        )
    line = stats.linregress(x, y)
    residuals = y - line.slope * x - line.intercept
    freedom = len(x) - 2
    variance = (residuals**2).sum() / freedom
    margin = stats.t.ppf(0.975, freedom) * line.stderr
    centre = x.mean()
    squares = ((x - centre) ** 2).sum()
    return PowerLaw(
        exponent=line.slope,
        low=line.slope - margin,
        high=line.slope + margin,
        scale=float(np.exp(line.intercept)),
        spread=float(np.sqrt(variance)),
        centre=float(centre),
        squares=float(squares),
        count=len(x),
    )


def predicted(
    laws: Mapping[str, PowerLaw], measured: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Compare each law with one measurement (n, cost) that it was not fitted to.

    Columns: work, exponent, exponent_low, exponent_high, n, predicted, low, high (the interval of
    the prediction), measured, factor (measured / predicted) and inside (whether the measurement
    lies in the interval).
    """
    rows = []
    for work, law in laws.items():
        n, cost = measured[work]
        low, high = law.interval(n)
        row = {
            "work": work,
            "exponent": law.exponent,
            "exponent_low": law.low,
            "exponent_high": law.high,
            "n": n,
            "predicted": law(n),
            "low": low,
            "high": high,
            "measured": cost,
            "factor": cost / law(n),
            "inside": low <= cost <= high,
        }
        rows.append(row)
    return pd.DataFrame(rows)
