"""Growth laws by hand, and their intervals on simulated measurements."""

import numpy as np
import pytest

from workbook.study import growth


def test_an_exact_law_is_found():
    n = np.array([1e3, 1e4, 1e5, 1e6])
    law = growth.power_law(n, 3e-10 * n**2)
    assert law.exponent == pytest.approx(2)
    assert law.scale == pytest.approx(3e-10)
    assert law(1e7) == pytest.approx(3e4)
    assert law.low == pytest.approx(law.high)
    assert law.interval(1e7) == pytest.approx((3e4, 3e4), rel=1e-6)


def test_the_interval_of_the_exponent_by_hand():
    # Slope 2 with residuals +d, -2d, +d at three equal steps: s² = 6d² / 1, and the standard
    # error is s / sqrt(2).
    d = 0.01
    law = growth.power_law(np.exp([0, 1, 2]), np.exp([0 + d, 2 - 2 * d, 4 + d]))
    margin = 12.7062047 * np.sqrt(6 * d * d) / np.sqrt(2)
    assert (law.low, law.exponent, law.high) == pytest.approx((2 - margin, 2, 2 + margin))


def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(3)
    n = np.array([1e3, 3e3, 1e4, 3e4, 1e5])
    exponents = predictions = 0
    for _ in range(400):
        noise = rng.normal(0, 0.1, 6)
        law = growth.power_law(n, 1e-6 * n**1.5 * np.exp(noise[:5]))
        exponents += law.low <= 1.5 <= law.high
        low, high = law.interval(1e6)
        predictions += low <= 1e-6 * 1e6**1.5 * np.exp(noise[5]) <= high
    assert 0.92 < exponents / 400 < 0.98
    assert 0.92 < predictions / 400 < 0.98


def test_a_prediction_by_hand():
    law = growth.power_law([1, 10, 100], [2, 20, 200])
    row = growth.predicted({"reading": law}, {"reading": (1000, 3000)}).iloc[0]
    assert row["work"] == "reading"
    assert row[["n", "predicted", "measured", "factor"]].tolist() == pytest.approx(
        [1000, 2000, 3000, 1.5]
    )
    assert not row["inside"]


@pytest.mark.parametrize(
    ("n", "cost"), [([1, 2], [1, 2]), ([5, 5, 5], [1, 2, 3]), ([1, 2, 3], [1, 0, 2])]
)
def test_too_little_for_a_law(n, cost):
    with (
        pytest.raises(
            ValueError, match="at least three different sizes, each with a positive cost"
        ),
        np.errstate(all="ignore"),
    ):
        growth.power_law(n, cost)
