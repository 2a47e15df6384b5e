"""`python -m workbook copies` on few pictures: the tables and the figure."""

import pandas as pd
import pytest

from workbook.report import copies
from workbook.study.templates import template


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them with transparent parts."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for family in range(3):
        picture = template(family).resize((90, 80))
        if family == 2:
            picture.putalpha(picture.convert("L"))
        picture.save(pictures / f"{family}.png")
    return pictures


def test_the_copies_of_every_set_are_counted(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "FAMILIES", 2)
    out = tmp_path / "figures"
    copies.record({"more": folder}, out)
    by_set = pd.read_csv(out / "copies_by_set.csv")
    assert set(by_set["set"]) == {"built-in", "more"}
    grounds = by_set[by_set["group"] == "grounds"]
    assert set(grounds["set"]) == {"more"}
    assert (grounds["copies"] == 1).all()
    pooled = pd.read_csv(out / "copies_found.csv")
    jpeg = pooled[(pooled["kind"] == "JPEG 90") & (pooled["method"] == "find")]
    assert jpeg["copies"].tolist() == [5]
    false = pd.read_csv(out / "copies_false.csv")
    assert set(false["pairs"]) == {1, 3}
    assert (out / "copies_found.png").is_file()
    assert (out / "copies.json").is_file()


def test_the_headline_names_what_no_method_finds():
    pooled = pd.DataFrame(
        {"kind": ["a", "a", "b"], "method": ["x", "y", "x"], "share": [0.9, 0.1, 0.2]}
    )
    assert copies.headline_of(pooled).endswith("these copies: b")
    assert "more often than not" in copies.headline_of(pooled[:2])
