"""The benchmarks: ratios worked by hand, and a history that only grows."""

import pandas as pd
import pytest

from workbook.report import bench


@pytest.fixture
def measured(monkeypatch):
    """Timings of two repeats in place of measurements; every numerator takes 6 and then 12 s."""

    def timings(*names):
        seconds = {"decode": (2.0, 3.0), "import numpy": (1.0, 1.0), "scan 64": (3.0, 4.0)}
        rows = [
            (name, repeat, seconds.get(name, (6.0, 12.0))[repeat])
            for name in names
            for repeat in range(2)
        ]
        return pd.DataFrame(rows, columns=["name", "repeat", "seconds"])

    def files(*_):
        return timings("file", "decode", "dhash256", "find+dhash256")

    def first_use(*_):
        return timings(
            "import numpy", "import finlib", "first hash", "first hash, not yet compiled"
        )

    monkeypatch.setattr(bench, "time_files", files)
    monkeypatch.setattr(
        bench.targets, "time_scans", lambda *_: timings("faiss 64", "scan 64", "scan 90")
    )
    monkeypatch.setattr(bench, "time_clustering", lambda *_: timings("cluster an image"))
    monkeypatch.setattr(bench, "time_first_use", first_use)


def test_ratios_are_taken_within_a_repeat(measured, tmp_path):
    rows = bench.run_bench("small", tmp_path / "bench.csv").set_index("ratio")
    assert rows.index.tolist() == list(bench.RATIOS)
    assert rows.loc["file_over_decode", ["median", "low", "high"]].tolist() == [3.5, 3.25, 3.75]
    assert rows.loc["faiss_over_scan", "median"] == 2.5
    assert rows.loc["import_over_numpy", "median"] == 9
    assert set(rows["size"]) == {"small"}
    assert (rows["commit"].str.len() >= 7).all()


def test_runs_are_appended_to_a_history_of_the_same_columns(measured, tmp_path):
    history = tmp_path / "bench.csv"
    first = bench.run_bench("small", history)
    before = history.read_text()
    bench.run_bench("full", history)
    assert history.read_text().startswith(before)
    table = pd.read_csv(history)
    assert table["size"].tolist() == ["small"] * len(first) + ["full"] * len(first)
    history.write_text("date,ratio\n")
    with pytest.raises(ValueError, match="move the file away to begin a new history"):
        bench.run_bench("small", history)
    assert history.read_text() == "date,ratio\n"


def test_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no size 'huge'; choose from small, full"):
        bench.run_bench("huge", tmp_path / "bench.csv")


@pytest.mark.slow
def test_a_small_run_measures_everything(tmp_path):
    rows = bench.run_bench("small", tmp_path / "bench.csv")
    assert (rows[["median", "low", "high"]] > 0).all(axis=None)
