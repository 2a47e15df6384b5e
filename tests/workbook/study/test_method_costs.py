"""Costs against the number of images, held to arithmetic by hand."""

import pandas as pd
import pytest

from workbook.study import method_costs
from workbook.study.method_costs import PURE_PYTHON, ROWS, Tables

METHODS = pd.DataFrame(
    {
        "hasher": method_costs.HASHERS,
        "ms": 2.0,
        "bytes": [32, 32, 32, 32, 32, 64],
    }
)
EXECUTORS = pd.DataFrame(
    {"executor": ["serial", "threads"], "workers": [1, 2], "speed_up": [1.0, 1.6]}
)
GROWTH = pd.DataFrame(
    {
        "n": [1000, 10_000, 100_000],
        "cpu_s": [1.0, 10.0, 100.0],
        "seconds": [0.5, 5.0, 50.0],
        "mib": [4.0, 40.0, 400.0],
    }
)


@pytest.fixture(scope="module")
def costs():
    tables = Tables(
        METHODS,
        EXECUTORS,
        pair_rates={"find": 1e6, ROWS: 5e5, "find+dhash256": 5e5},
        clusterings={ROWS: GROWTH},
        python_ms=1000,
        python_mib=10,
    )
    table = method_costs.calculate(tables, sizes=(1000, 1_000_000))
    return table.set_index(["method", "work", "images"]).sort_index()


def test_hashing_grows_with_the_files(costs):
    row = costs.loc[("dhash256", "hashing", 1000)]
    assert row["cpu_s"] == pytest.approx(2)
    assert row["seconds"] == pytest.approx(2 / 1.6)
    assert row["mib"] == pytest.approx(32 * 1000 / 2**20)
    combined = costs.loc[("find+dhash256", "hashing", 1000)]
    assert combined["mib"] == pytest.approx(2 * row["mib"])


def test_pure_python_needs_a_process_for_each_core(costs):
    row = costs.loc[(PURE_PYTHON, "hashing", 1000)]
    assert row["cpu_s"] == pytest.approx(1000)
    assert row["seconds"] == pytest.approx(500)
    assert row["mib"] == pytest.approx(32 * 1000 / 2**20 + 2 * 10)


def test_every_pair_is_compared_once(costs):
    bits = costs.loc[("find", "every pair", 1000)]
    assert bits["cpu_s"] == pytest.approx(1000 * 999 / 2 / 1e6)
    assert bits["seconds"] == pytest.approx(bits["cpu_s"] / 2)
    rows = costs.loc[(ROWS, "every pair", 1000)]
    assert rows["cpu_s"] == pytest.approx(2 * bits["cpu_s"])
    assert rows["mib"] == bits["mib"]


def test_clusterings_are_measured_and_beyond_the_largest_calculated(costs):
    clusterings = costs.xs((ROWS, "clustering"))
    assert clusterings["measured"].tolist() == [True, True, True, False]
    beyond = clusterings.loc[1_000_000]
    assert beyond["cpu_s"] == pytest.approx(1000)
    assert beyond["seconds"] == pytest.approx(500)
    assert beyond["mib"] == pytest.approx(4000)


def test_memory_beyond_the_largest_clustering_is_in_proportion_to_it():
    growth = GROWTH.assign(mib=[100.0, 100.0, 100.0])
    largest = growth["n"].max()
    table = method_costs.clustering({ROWS: growth}, sizes=[2 * largest])
    assert table["mib"].iloc[-1] == pytest.approx(200)


def test_only_clusterings_are_measured_at_these_sizes(costs):
    works = costs[costs["measured"]].index.get_level_values("work")
    assert set(works) == {"clustering"}
