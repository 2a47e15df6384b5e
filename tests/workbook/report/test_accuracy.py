"""The findings above notebook 05's figures, from tables small enough to read."""

import pandas as pd
import pytest

pytest.importorskip("matplotlib", reason="figures need the workbook extra")

from workbook.report import accuracy


def test_changes_that_defeat_every_method_are_named():
    survived = pd.DataFrame(
        {"jpeg": [1.0, 0.9], "crop": [0.4, 0.49], "flip": [0.0, 0.1], "caption": [0.3, 0.8]},
        index=["find", "dhash256"],
    )
    found = accuracy.survived_finding(survived)
    assert found == "No method finds half of the copies after a crop, a flip"
    some = accuracy.survived_finding(survived[["jpeg", "caption"]])
    assert some == "After every change some method finds half of the copies"


def test_the_smallest_and_the_largest_excess_are_told():
    tried = pd.DataFrame(
        {
            "hasher": ["find", "find", "dhash256"],
            "times": [2.0, 13.1, 70.4],
            "times_worst": [3.0, 28.6, 81.6],
        }
    )
    assert accuracy.transfer_finding(tried) == (
        "On sets not seen, thresholds let in up to 13 (FINd) to 70 times (dHash 256) the false "
        "pairs intended, depending on the method"
    )
