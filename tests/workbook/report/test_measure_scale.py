"""The separate command for millions: which sizes it measures, and what it writes and when."""

import json

import numpy as np
import pandas as pd
import pytest

from workbook.report import record, scale
from workbook.report.row_distances import HashedSet
from workbook.study import clusterings, lookups, scale as measurements, timing


@pytest.fixture
def quick(monkeypatch):
    """Measurements that return at once; the time of n hashes is n / 1000 seconds, but that of the
    largest double."""

    def measured(_function, size):
        factor = 2 if size == 10_000_000 else 1
        return {"n": size, "seconds": factor * size / 1000}

    def recall(size):
        return pd.DataFrame({"n": [size], "distance": [70], "found": [0.95]})

    def daily(size):
        return pd.DataFrame({"way": ["all at once"], "images": [size]})

    def joins(size, radius):
        return pd.DataFrame({"way": ["exact engine"], "n": [size], "radius": [radius]})

    def compare(sets):
        rows = [(name, "finlib", len(packed)) for name, (packed, _) in sets.items()]
        return pd.DataFrame(rows, columns=["set", "method", "n"])

    monkeypatch.setattr(timing, "in_fresh_process", measured)
    monkeypatch.setattr(measurements, "recall", recall)
    monkeypatch.setattr(measurements, "daily", daily)
    monkeypatch.setattr(measurements, "joins", joins)
    monkeypatch.setattr(clusterings, "compare", compare)


def table(folder, slug):
    return pd.read_csv(folder / f"scale_{slug}.csv")


def test_sets_up_to_the_largest_are_measured_and_the_largest_is_predicted(quick, tmp_path):
    scale.measure_scale(tmp_path, largest=10_000_000)
    assert table(tmp_path, "growth")["n"].tolist() == [
        100_000,
        300_000,
        1_000_000,
        3_000_000,
        10_000_000,
    ]
    prediction = table(tmp_path, "law").iloc[0]
    assert prediction["work"] == "clustering"
    assert prediction["exponent"] == pytest.approx(1)
    assert prediction["predicted"] == pytest.approx(10_000)
    assert prediction["factor"] == pytest.approx(2)
    assert table(tmp_path, "rivals")["n"].tolist() == [10_000] * 4
    assert table(tmp_path, "daily")["images"].tolist() == [1_000_000]
    assert json.loads((tmp_path / "scale.json").read_text())["keys"]["growth"] == ["n"]


def test_a_small_largest_measures_less(quick, tmp_path):
    scale.measure_scale(tmp_path, largest=300_000)
    assert table(tmp_path, "growth")["n"].tolist() == [100_000, 300_000]
    assert table(tmp_path, "recall")["n"].tolist() == [100_000]
    assert table(tmp_path, "joins")["n"].tolist() == [300_000]
    assert not (tmp_path / "scale_law.csv").exists(), "two sizes do not fit a power law"


def test_what_was_measured_before_an_interruption_is_saved(quick, tmp_path, monkeypatch):
    def interrupted(_function, size):
        if size > 100_000:
            raise KeyboardInterrupt
        return {"n": size, "seconds": 1.0}

    monkeypatch.setattr(timing, "in_fresh_process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scale.measure_scale(tmp_path)
    assert table(tmp_path, "growth")["n"].tolist() == [100_000]
    assert set(json.loads((tmp_path / "scale.json").read_text())["keys"]) == {
        "rivals",
        "recall",
        "daily",
        "growth",
    }


def test_a_largest_below_every_set_is_refused(quick, tmp_path):
    with pytest.raises(ValueError, match="--largest 5 leaves nothing to measure"):
        scale.measure_scale(tmp_path / "out", largest=5)
    assert not (tmp_path / "out").exists()


def test_clusterings_by_rows_are_measured_up_to_a_hundred_million(quick, tmp_path, monkeypatch):
    def measured(_function, size, _pictures):
        return {"n": size, "seconds": size / 1000}

    def recall(size, _pictures):
        row = {"n": size, "keys": "bits of a row", "passes": 1, "distance": 3, "found": 0.9}
        return pd.DataFrame([row])

    def rivals(size, _pictures):
        return pd.DataFrame([{"n": size, "distance": "rows", "method": "finlib"}])

    hashed = HashedSet(
        np.zeros((4, 32), np.uint8),
        np.arange(128, dtype=np.uint8).reshape(4, 32),
        np.array(["a", "a", "b", "b"]),
    )
    monkeypatch.setattr(timing, "in_fresh_process", measured)
    monkeypatch.setattr(measurements, "recall_by_rows", recall)
    monkeypatch.setattr(measurements, "keys_by_bits", recall)
    monkeypatch.setattr(scale, "compare_by_rows", rivals)
    monkeypatch.setattr(scale, "hash_set", lambda folder: hashed)
    scale.measure_scale_by_rows(tmp_path)
    growth = pd.read_csv(tmp_path / "scale_rows_growth.csv")
    assert growth["n"].tolist() == list(measurements.ROW_SIZES)
    assert growth["n"].iloc[-1] == 100_000_000
    assert set(json.loads((tmp_path / "scale_rows.json").read_text())["keys"]) == {
        "growth",
        "keys",
        "law",
        "recall",
        "rivals",
    }


def test_look_ups_are_measured_among_ever_more_hashes(tmp_path, monkeypatch, capsys):
    def measured(n, _pictures, radius):
        return pd.DataFrame({"n": [n], "way": ["row keys"], "batch": [1], "radius": [radius]})

    monkeypatch.setattr(scale, "measure_built_in", lambda: None)
    monkeypatch.setattr(lookups, "measure", measured)
    scale.measure_lookups(tmp_path)
    growth = pd.read_csv(tmp_path / "lookups_growth.csv")
    assert growth["n"].tolist() == [1_000_000, 10_000_000]
    assert growth["radius"].is_monotonic_decreasing
    assert "up to 10,000,000 stored hashes take about" in capsys.readouterr().out
    scale.measure_lookups(tmp_path, 100_000_000)
    assert pd.read_csv(tmp_path / "lookups_growth.csv")["n"].max() == 100_000_000


def test_an_interrupted_run_resumes_where_the_commit_is_the_same(tmp_path, monkeypatch):
    measured_sizes = []

    def measured(_function, size, _pictures):
        measured_sizes.append(size)
        if size == 3_000_000 and len(measured_sizes) == 4:
            raise KeyboardInterrupt
        return {"n": size, "seconds": size / 1000}

    def recall(size, _pictures):
        row = {"n": size, "keys": "bits of a row", "passes": 1, "distance": 3, "found": 0.9}
        return pd.DataFrame([row])

    def rivals(size, _pictures):
        return pd.DataFrame([{"n": size, "distance": "rows", "method": "finlib"}])

    monkeypatch.setattr(scale, "measure_built_in", lambda: None)
    monkeypatch.setattr(timing, "in_fresh_process", measured)
    monkeypatch.setattr(measurements, "recall_by_rows", recall)
    monkeypatch.setattr(measurements, "keys_by_bits", recall)
    monkeypatch.setattr(scale, "compare_by_rows", rivals)
    monkeypatch.setattr(scale, "stamp", lambda: dict.fromkeys(scale.SAME_RUN, "a"))
    monkeypatch.setattr(record, "stamp", lambda: dict.fromkeys(scale.SAME_RUN, "a"))
    with pytest.raises(KeyboardInterrupt):
        scale.measure_scale_by_rows(tmp_path)
    scale.measure_scale_by_rows(tmp_path)
    assert measured_sizes == [
        *measurements.ROW_SIZES[:4],
        *measurements.ROW_SIZES[3:],
    ]
    growth = pd.read_csv(tmp_path / "scale_rows_growth.csv")
    assert growth["n"].tolist() == list(measurements.ROW_SIZES)
    monkeypatch.setattr(scale, "stamp", lambda: dict.fromkeys(scale.SAME_RUN, "b"))
    assert scale.measured_before(tmp_path, "scale_rows", measurements.ROW_SIZES) == []
