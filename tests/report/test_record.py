"""record and measure: fair timings by hand arithmetic, numbers and tables that read back as they were given."""

import json
import math

import matplotlib
import numpy as np
import pandas as pd
import pytest

from finlib.report.record import Recorder, commit, machine, versions
from finlib.study.timing import equal, one_thread, peak_memory, ratio, summarise, time_side_by_side

matplotlib.use("Agg")


def sections(folder):
    return json.loads((folder / "numbers.json").read_text())


def test_machine_and_versions_name_what_a_reader_needs():
    assert {"cpu", "simd", "cores", "memory_gib", "system", "python"} == set(machine())
    assert machine()["cores"] >= 1
    assert machine()["memory_gib"] > 0
    assert versions()["numpy"] == np.__version__
    assert commit() == "" or len(commit().rstrip("+")) == 10


def test_calls_take_turns_and_each_round_starts_with_another():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    timings = time_side_by_side(calls, repeats=3, warmup=1)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert list(timings.columns) == ["name", "repeat", "seconds"]
    assert list(timings["name"]) == list("aaabbbccc")
    assert list(timings["repeat"]) == [0, 1, 2] * 3
    assert (timings["seconds"] >= 0).all()


def test_a_call_whose_result_differs_is_named():
    calls = {"slow": lambda: np.array([1, 2]), "fast": lambda: np.array([1, 3])}
    with pytest.raises(AssertionError, match="'fast' gives another result than 'slow'"):
        time_side_by_side(calls, repeats=1)
    assert len(time_side_by_side(calls, repeats=2, same=None)) == 4


def test_a_call_that_changes_its_answer_is_named():
    answers = iter([1, 1, 2])
    with pytest.raises(AssertionError, match="'moody'"):
        time_side_by_side({"moody": lambda: next(answers)}, repeats=2)


@pytest.mark.parametrize(("calls", "repeats"), [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time_is_refused(calls, repeats):
    with pytest.raises(ValueError, match="to time"):
        time_side_by_side(calls, repeats=repeats)


def test_equal_compares_what_the_library_returns():
    frame = pd.DataFrame({"a": [1.0, math.nan]})
    assert equal(frame, frame.copy())
    assert equal((np.zeros(2), ["x"]), (np.zeros(2), ["x"]))
    assert equal({"a": np.ones(1)}, {"a": np.ones(1)})
    assert not equal(np.zeros(2), np.zeros(3))
    assert not equal([1, 2], [1])
    assert not equal({"a": 1}, {"b": 1})


TIMINGS = pd.DataFrame(
    {
        "name": ["slow"] * 5 + ["fast"] * 5,
        "repeat": [0, 1, 2, 3, 4] * 2,
        "seconds": [10.0, 20.0, 30.0, 40.0, 50.0, 1.0, 4.0, 5.0, 8.0, 25.0],
    }
)


def test_summary_by_hand():
    """Quartiles of 10..50 are 20, 30, 40; two items a call halve them."""
    slow = summarise(TIMINGS, items=2).set_index("name").loc["slow"]
    assert tuple(slow) == (15.0, 10.0, 20.0, 1 / 15)
    assert list(summarise(TIMINGS)["name"]) == ["slow", "fast"]
    by_name = summarise(TIMINGS, items={"slow": 10, "fast": 1}).set_index("name")
    assert by_name["median"].to_dict() == {"slow": 3.0, "fast": 5.0}


def test_ratio_is_paired_by_repeat():
    """Ratios repeat by repeat are 10, 5, 6, 5, 2: median 5, quartiles 5 and 6; unpaired it would be 30 / 5 = 6."""
    shuffled = TIMINGS.sample(frac=1, random_state=1)
    assert ratio(shuffled, "slow", "fast") == (5.0, 5.0, 6.0)
    with pytest.raises(ValueError, match="no timings of \\['other'\\]"):
        ratio(TIMINGS, "slow", "other")


def test_one_thread_holds_blas_to_one():
    from threadpoolctl import threadpool_info

    with one_thread():
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert all(threads == 1 for threads in pools)


def test_peak_memory_sees_the_array_and_not_the_imports():
    mebibytes = peak_memory(np.ones, 4 * 2**20)  # 32 MiB of float64
    assert 30 < mebibytes < 48
    assert peak_memory(np.ones, 1) < 8


def test_peak_memory_says_what_failed():
    with pytest.raises(RuntimeError, match=r"ones failed.*negative dimensions"):
        peak_memory(np.ones, -1)


def test_numbers_read_back_with_units_and_intervals(tmp_path):
    recorder = Recorder("05", tmp_path / "figures")
    recorder.number("find.auc", np.float64(0.1) + 0.2, unit="", low=np.float32(0.25), high=1)
    recorder.number("best", "find")
    recorder.number("images", np.int64(11050), unit="images")
    section = sections(tmp_path / "figures")["05"]
    assert section["numbers"]["find.auc"] == {"value": 0.3, "unit": "", "low": 0.25, "high": 1}
    assert section["numbers"]["best"]["value"] == "find"
    assert section["numbers"]["images"]["value"] == 11050
    assert section["stamp"]["versions"]["numpy"] == np.__version__


def test_a_run_replaces_its_own_section_only(tmp_path):
    Recorder("01", tmp_path).number("old", 1)
    Recorder("02", tmp_path).number("kept", 2)
    Recorder("01", tmp_path).number("new", 3)
    both = sections(tmp_path)
    assert set(both["01"]["numbers"]) == {"new"}
    assert set(both["02"]["numbers"]) == {"kept"}
    assert not list(tmp_path.glob("*.part"))


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    for folder, keys in (("a", "xy"), ("b", "yx")):
        recorder = Recorder("01", tmp_path / folder)
        for key in keys:
            recorder.number(key, {"x": 1 / 3, "y": 2}[key])
    assert (tmp_path / "a/numbers.json").read_bytes() == (tmp_path / "b/numbers.json").read_bytes()


@pytest.mark.parametrize("key", ["Find", "a b", "", "a+b", ".a", "a-"])
def test_a_key_of_another_form_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="a key is made of"):
        Recorder("01", tmp_path).number(key, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1], np.zeros(2)])
def test_a_value_that_is_no_number_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="finite number"):
        Recorder("01", tmp_path).number("key", value)


def test_a_notebook_is_two_digits(tmp_path):
    with pytest.raises(ValueError, match="two digits"):
        Recorder("1", tmp_path)


def test_tables_are_stable_and_stamped_on_request(tmp_path):
    recorder = Recorder("03", tmp_path)
    frame = pd.DataFrame({"name": ["a", "b"], "seconds": [0.1 + 0.2, 1e-9]})
    assert recorder.table("times", frame) is frame
    assert (tmp_path / "03_times.csv").read_bytes() == b"name,seconds\na,0.3\nb,1e-09\n"
    recorder.table("raw", frame, stamped=True)
    raw = pd.read_csv(tmp_path / "03_raw.csv")
    assert list(raw.columns) == ["name", "seconds", "machine", "versions", "commit"]
    assert raw["versions"].str.contains(f"numpy={np.__version__}").all()
    assert sections(tmp_path)["03"]["files"] == ["03_raw.csv", "03_times.csv"]
    with pytest.raises(ValueError, match="a slug is made of"):
        recorder.table("Not a slug", frame)


def test_figures_come_with_the_table_behind_them(tmp_path):
    import matplotlib.pyplot as plt

    recorder = Recorder("04", tmp_path)
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    recorder.figure("line", fig, pd.DataFrame({"x": [1, 2]}))
    assert (tmp_path / "04_line.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "04_line.csv").read_text() == "x\n1\n2\n"
    assert not plt.fignum_exists(fig.number)

    recorder.table("own", pd.DataFrame({"kept": [1]}))
    recorder.figure("own", plt.figure(), pd.DataFrame({"other": [1]}))
    assert (tmp_path / "04_own.csv").read_text() == "kept\n1\n"
