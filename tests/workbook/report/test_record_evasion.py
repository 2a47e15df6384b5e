"""`python -m workbook evasion` on few pictures: the tables, the figure, and what remedies find."""

import numpy as np
import pandas as pd
import pytest

from workbook.report import evasion
from workbook.study import copies, evasion as study
from workbook.study.templates import template


@pytest.fixture
def quick(monkeypatch):
    """Two pictures, one gradual change, two methods, one repeat."""
    monkeypatch.setattr(evasion, "PICTURES", 2)
    monkeypatch.setattr(evasion, "REPEATS", 1)
    monkeypatch.setattr(copies, "METHODS", ("find", "dhash256-rows"))
    one = {"crop of one side": study.GRADUAL["crop of one side"]}
    monkeypatch.setattr(study, "GRADUAL", one)


def test_all_tables_are_written(quick, tmp_path):
    out = tmp_path / "figures"
    evasion.record({}, out)
    least = pd.read_csv(out / "evasion_least.csv")
    assert least["method"].tolist() == ["find", "dhash256-rows"]
    assert (least["low"] <= least["median"]).all()
    noise = pd.read_csv(out / "evasion_noise.csv").set_index("method")
    assert (noise["outside"] == 1).all()
    assert noise.loc["find", "found_by_find"] == 0
    assert (noise["unaimed"] == 0).all()
    remedies = pd.read_csv(out / "evasion_remedies.csv")
    flips = remedies[remedies["change"] == "flip"]
    assert (flips["with"] == 1).all()
    assert (flips["without"] < 1).any()
    cost = pd.read_csv(out / "evasion_cost.csv").set_index("remedy")
    assert cost.loc["none", "times_plain"] == 1
    assert cost.loc["eight turns of the query", "compared"] == 8
    assert (out / "evasion_noise.png").is_file()


def test_the_closest_of_all_that_is_hashed_counts(monkeypatch):
    monkeypatch.setattr(copies, "METHODS", ("find",))
    picture = template(0).resize((80, 80))
    other = template(1).resize((80, 80))
    closest = evasion.closest_by_method([picture], [picture, other], evasion.turned, evasion.alone)
    assert closest["find"].shape == (1, 2)
    assert closest["find"][0, 0] == 0
    hashed = study.hash_picture(other)
    distances = [
        study.distance("find", study.hash_picture(one), hashed) for one in evasion.turned(picture)
    ]
    assert closest["find"][0, 1] == np.min(distances)
