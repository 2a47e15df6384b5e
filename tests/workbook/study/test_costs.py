"""The cost model by hand arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from finlib.clustering.null_model import NullModel
from workbook.study import costs, workers

RATES = costs.Rates(hash_seconds=0.36, join_pairs=5e8, search_pairs=1e9, match_rate=1e-6)
PRICES = {
    "core_hour": 0.1,
    "gb_memory_hour": 0.01,
    "gb_stored_month": 0.02,
    "gb_sent": 0.5,
    "million_reads": 3.0,
}
PLAN = {"utilisation": 0.5, "machines": 2.0, "cores": 10.0, "bytes_per_pair": 20.0}


@pytest.fixture
def million():
    return costs.table(RATES, [1e6], prices=PRICES, assumptions=PLAN).set_index(["mode", "step"])


def test_hashing_a_million_by_hand(million):
    # 360,000 s at half use are 200 core hours, ten hours on twenty cores; 32 MB are stored.
    row = million.loc[("batch", "hash")]
    assert row["core_hours"] == pytest.approx(200)
    assert row["hours"] == pytest.approx(10)
    assert row["dollars"] == pytest.approx(20 + 3 + 0.032 * 0.02)


def test_matching_a_million_by_hand(million):
    # 5e11 pairs at 5e8 a second and half use: 2,000 s. Two machines need 32 MB * sqrt(4); 5e5
    # pairs of 20 bytes are found.
    row = million.loc[("batch", "match")]
    assert row["core_hours"] == pytest.approx(2000 / 3600, rel=1e-5)
    assert row["sent_gb"] == pytest.approx(0.064)
    assert row["dollars"] == pytest.approx(0.1 * 2000 / 3600 + 0.032 + 0.01 * 0.02, rel=1e-5)


def test_a_million_new_images_by_hand(million):
    # 1e12 pairs at 1e9 a second and half use: 2,000 s; new hashes go to both machines; 1e6 pairs
    # found; 32 MB wait in memory for a month.
    row = million.loc[("online", "match")]
    assert row["core_hours"] == pytest.approx(2000 / 3600)
    assert row["memory_gb"] == pytest.approx(0.032)
    assert row["dollars"] == pytest.approx(
        0.1 * 2000 / 3600 + 0.064 * 0.5 + 0.02 * 0.02 + 0.032 * 7.3
    )


def test_pairs_grow_with_the_square_and_the_rest_linearly():
    cost = costs.table(RATES, [1e6, 1e8]).pivot(
        index="images", columns=["mode", "step"], values="core_hours"
    )
    growth = cost.loc[1e8] / cost.loc[1e6]
    assert growth["batch", "hash"] == pytest.approx(100)
    assert growth["batch", "match"] == pytest.approx(10_000, rel=1e-4)
    assert growth["online", "match"] == pytest.approx(100)
    assert growth["online", "hash"] == pytest.approx(1)


def test_queries_by_hand_and_not_faster_than_memory():
    assert costs.query_seconds(RATES, 1e8, cores=4) == pytest.approx(0.025)
    bounded = replace(RATES, memory_pairs=2e9)
    assert costs.query_seconds(bounded, 1e8, cores=1) == pytest.approx(0.1)
    assert costs.query_seconds(bounded, 1e8, cores=4) == costs.query_seconds(bounded, 1e8, cores=64)
    assert costs.query_seconds(bounded, 1e8, cores=64) == pytest.approx(0.05)


def test_the_rate_of_a_scan_from_memory_is_measured():
    assert 1e6 < costs.memory_pairs(20_000, 2) < 1e12


def test_prices_from_a_table(tmp_path):
    (tmp_path / "prices.csv").write_text("name,value,source\ncore_hour,0.2,our contract\n")
    assert costs.from_csv(tmp_path / "prices.csv", PRICES) == {**PRICES, "core_hour": 0.2}
    (tmp_path / "wrong.csv").write_text("name,value\ncore_hours,0.2\n")
    with pytest.raises(ValueError, match=r"names \['core_hours'\]; known are"):
        costs.from_csv(tmp_path / "wrong.csv", PRICES)
    (tmp_path / "columns.csv").write_text("core_hour\n0.2\n")
    with pytest.raises(ValueError, match="must have columns name and value; it has core_hour"):
        costs.from_csv(tmp_path / "columns.csv", PRICES)


def test_ways_by_hand():
    # Half of the matching pairs are 2 bits apart, half 200. Of the others one in two is within
    # 128 bits, with a deviation of 8.
    same = np.zeros(257, np.int64)
    same[[2, 200]] = 50
    few, many = costs.ways(
        RATES, NullModel(128.5, 8.0), same, 1e-6, [3600, 1e9], precision=0.9
    ).itertuples()
    assert (few.images, few.found) == (3600, 0.5)
    # 3,600 * 10 / 2 * 0.5 true pairs allow 1,000 false ones of 6.5e6: 1.5e-4 of them, 3.6
    # deviations below the mean.
    assert few.threshold == 99
    assert few.false_pairs <= 1000 < 3600 * 3599 / 2 * NullModel(128.5, 8.0).within(100)
    assert few.hashing == pytest.approx(0.36)
    table = costs.ways(RATES, NullModel(128.5, 8.0), same, 1e-6, [3600], recall=0.8).iloc[0]
    assert table["every pair"] == pytest.approx(3600**2 / 2 / 5e8 / 3600)
    plan = workers.bucket_join(3600, 99, 1e-6, 1, recall=0.8)
    assert (table["buckets"], table["memory_gb"]) == (plan.core_hours, plan.bytes_a_machine / 1e9)
    assert many.threshold < few.threshold


def test_without_a_threshold_of_that_precision_columns_are_nan():
    same = np.zeros(257, np.int64)
    same[200] = 1
    table = costs.ways(RATES, NullModel(128.5, 8.0), same, 1e-6, [1e6], precision=0.99)
    assert (
        table[["threshold", "false_pairs", "found", "buckets", "memory_gb"]].isna().all(axis=None)
    )
    assert table["every pair"].notna().all()
