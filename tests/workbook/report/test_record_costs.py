"""The figure of costs: made from the tables in its folder, and up to date in the checkout."""

import shutil

import pandas as pd
import pytest

from workbook.report import costs
from workbook.report.record import HOME
from workbook.study import method_costs

FIGURES = HOME / "figures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the published tables that the costs are calculated from."""
    path = tmp_path_factory.mktemp("figures")
    for name in (costs.BASELINE, *costs.SOURCES):
        shutil.copy(FIGURES / name, path)
    costs.record(path)
    return path


def test_the_published_costs_are_what_the_published_tables_give(folder):
    made = pd.read_csv(folder / "costs_growth.csv")
    published = pd.read_csv(FIGURES / "costs_growth.csv")
    pd.testing.assert_frame_equal(made, published)


def test_every_method_and_resource_is_there(folder):
    made = pd.read_csv(folder / "costs_growth.csv")
    hashed = made[made["work"] == "hashing"]
    assert set(hashed["method"]) == {*method_costs.HASHERS, method_costs.PURE_PYTHON}
    assert set(hashed["images"]) == set(method_costs.SIZES)
    assert (made[["cpu_s", "seconds", "mib"]] > 0).all(axis=None)
    assert (folder / "costs_growth.png").is_file()
    assert (folder / "costs.json").is_file()


def test_a_folder_without_the_tables_has_no_costs(tmp_path, folder):
    assert costs.has_sources(folder)
    assert not costs.has_sources(tmp_path)
    with pytest.raises(FileNotFoundError, match="02_memory"):
        costs.record(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59, "59 seconds"),
        (119, "119 seconds"),
        (900, "15 minutes"),
        (21_600, "6 hours"),
        (14_214_767, "165 days"),
    ],
)
def test_times_are_told_in_the_largest_unit(seconds, text):
    assert costs.duration(seconds) == text
