"""`python -m workbook rivals` on few images, and without the optional package."""

import pandas as pd
import pytest

from workbook.report import rivals
from workbook.study import families, rivals as table_of_rivals


@pytest.fixture
def few_families(monkeypatch, tmp_path):
    monkeypatch.setenv("FINLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(families, "FAMILIES", 8)
    monkeypatch.setattr(rivals, "PER_FAMILY", 3)
    monkeypatch.setattr(rivals, "RATES", (1e-1,))
    monkeypatch.setattr(rivals, "TIMED_PICTURES", 2)
    monkeypatch.setattr(rivals, "REPEATS", 1)


def test_all_rivals_are_scored_and_missing_packages_named(few_families, tmp_path, monkeypatch):
    def is_installed(package):
        return package == ""

    monkeypatch.setattr(table_of_rivals, "is_installed", is_installed)
    out = tmp_path / "figures"
    rivals.record({}, out)
    accuracy = pd.read_csv(out / "rivals_accuracy.csv")
    assert len(accuracy) == len(table_of_rivals.rivals())
    missing = accuracy[accuracy["note"].notna()]
    assert set(missing["method"]) == {
        "marr-hildreth",
        "radial-variance",
        "block-mean",
        "colour-moment",
    }
    assert missing["note"].str.contains("is not installed").all()
    assert missing["tpr"].isna().all()
    measured = accuracy.set_index("method")
    assert measured.loc["find", "tpr"] > 0.9
    assert measured.loc["find", "images"] == 24
    assert measured.loc["crop-resistant", "images"] == 8
    time = pd.read_csv(out / "rivals_time.csv").set_index("hash")
    assert time.loc["find", "times_find"] == 1
    assert "block-mean" not in time.index
    assert (out / "rivals_published.csv").is_file()
