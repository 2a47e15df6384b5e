"""Numbers, tables and figures read back as they were given, and one file says where they come
from."""

import json
import math
import subprocess

import matplotlib
import numpy as np
import pandas as pd
import pytest

from workbook.report.record import HOME, Recorder, commit, machine, stamp_seconds, versions

matplotlib.use("Agg")


def saved(recorder):
    recorder.save()
    return json.loads(recorder.path.read_text(encoding="utf-8"))


def test_machine_and_versions_name_what_a_reader_needs():
    assert {"cpu", "simd", "cores", "memory_gib", "system", "python"} == set(machine())
    assert machine()["cores"] >= 1
    assert machine()["memory_gib"] > 0
    assert versions()["numpy"] == np.__version__
    assert versions()["finlib"]
    assert commit() == "" or len(commit().rstrip("+")) == 10


@pytest.fixture
def checkout(tmp_path):
    """A git repository laid out like this one, all of it committed."""
    for path in (
        "finlib/find.py",
        "workbook/report/record.py",
        "notebooks/01_a.ipynb",
        "notebooks/executed/01_a.ipynb",
        "figures/01.json",
        "README.md",
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("old\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    commit.cache_clear()
    yield tmp_path
    commit.cache_clear()


@pytest.mark.parametrize(
    ("path", "is_code"),
    [
        ("finlib/find.py", True),
        ("finlib/new.py", True),
        ("workbook/report/record.py", True),
        ("notebooks/01_a.ipynb", True),
        ("notebooks/executed/01_a.ipynb", False),
        ("figures/01.json", False),
        ("README.md", False),
    ],
)
def test_the_commit_is_marked_where_code_has_changed_since(checkout, path, is_code):
    unchanged = commit(checkout)
    assert len(unchanged) == 10
    (checkout / path).write_text("new\n")
    commit.cache_clear()
    assert commit(checkout) == (f"{unchanged}+" if is_code else unchanged)


def test_outside_git_there_is_no_commit(tmp_path):
    assert commit(tmp_path) == ""


def test_the_checkout_is_the_folder_of_finlib_and_the_workbook():
    for path in ("finlib/__init__.py", "workbook/report/record.py", "notebooks", "report.md.j2"):
        assert (HOME / path).exists()


def test_numbers_read_back_with_their_intervals(tmp_path):
    rec = Recorder("05", tmp_path / "figures")
    rec.number("find.auc", np.float64(0.1) + 0.2, low=np.float32(0.25), high=1)
    rec.number("best", "find+dhash256")
    rec.number("find+dhash256.images", np.array(11050))
    found = saved(rec)
    assert found["numbers"]["find.auc"] == {"value": 0.3, "low": 0.25, "high": 1}
    assert found["numbers"]["best"]["value"] == "find+dhash256"
    assert found["numbers"]["find+dhash256.images"]["value"] == 11050
    assert found["stamp"]["versions"]["numpy"] == np.__version__
    assert {"cpu", "commit", "date"} <= set(found["stamp"])


def test_a_notebook_that_stops_half_way_leaves_no_file_of_an_earlier_run(tmp_path):
    first, other = Recorder("01", tmp_path), Recorder("02", tmp_path)
    first.number("old", 1)
    first.save()
    other.save()
    again = Recorder("01", tmp_path)
    again.number("new", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["02.json"]
    assert set(saved(again)["numbers"]) == {"new"}
    assert not list(tmp_path.glob("*.part"))


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    for folder, keys in (("a", "xy"), ("b", "yx")):
        rec = Recorder("01", tmp_path / folder)
        for key in keys:
            rec.number(key, {"x": 1 / 3, "y": 2}[key])
        rec.save()
    assert (tmp_path / "a/01.json").read_bytes() == (tmp_path / "b/01.json").read_bytes()


@pytest.mark.parametrize("key", ["Find", "a b", "", "a/b", ".a", "a-", "+a"])
def test_a_key_of_another_form_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="a key is made of"):
        Recorder("01", tmp_path).number(key, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1], np.zeros(2)])
def test_a_value_that_is_neither_a_finite_number_nor_a_text_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="finite number"):
        Recorder("01", tmp_path).number("key", value)


@pytest.mark.parametrize("name", ["1", "Scale", "../01", ""])
def test_a_notebook_is_two_digits_or_a_commands_name(tmp_path, name):
    with pytest.raises(ValueError, match="two digits"):
        Recorder(name, tmp_path)
    assert Recorder("scale", tmp_path).path.name == "scale.json"


def test_tables_are_stable_and_know_their_key(tmp_path):
    rec = Recorder("03", tmp_path)
    frame = pd.DataFrame({"name": ["a", "b"], "seconds": [0.1 + 0.2, 1e-9]})
    assert rec.table("times", frame, key="name") is frame
    assert (tmp_path / "03_times.csv").read_bytes() == b"name,seconds\na,0.3\nb,1e-09\n"
    rec.table("times_raw", frame)
    rec.table("indexed", frame.set_index("name"), key="name")
    assert (tmp_path / "03_indexed.csv").read_bytes() == (tmp_path / "03_times.csv").read_bytes()
    found = saved(rec)
    assert found["files"] == ["03_indexed.csv", "03_times.csv", "03_times_raw.csv"]
    assert found["keys"] == {"times": ["name"], "indexed": ["name"]}
    rec.table("times", frame)
    assert "times" not in saved(rec)["keys"], "what was saved last counts"
    with pytest.raises(ValueError, match="a slug is made of"):
        rec.table("Not a slug", frame)


def test_a_key_must_name_each_row(tmp_path):
    rec = Recorder("03", tmp_path)
    frame = pd.DataFrame({"name": ["a", "a"], "size": [1, 2], "seconds": [3.0, 4.0]})
    with pytest.raises(
        ValueError, match=r"table times has no column nam; it has name, size, seconds"
    ):
        rec.table("times", frame, key="nam")
    with pytest.raises(ValueError, match=r"table times: several rows are named \['a'\]"):
        rec.table("times", frame, key="name")
    rec.table("times", frame, key=["name", "size"])
    assert saved(rec)["keys"] == {"times": ["name", "size"]}


def test_figures_come_with_the_table_behind_them(tmp_path):
    import matplotlib.pyplot as plt

    rec = Recorder("04", tmp_path)
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    rec.figure("line", fig, pd.DataFrame({"x": [1, 2]}), key="x")
    assert (tmp_path / "04_line.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "04_line.csv").read_text() == "x\n1\n2\n"
    assert not plt.fignum_exists(fig.number)
    rec.figure("line", plt.figure(), pd.DataFrame({"x": [3]}), key="x")
    assert (tmp_path / "04_line.csv").read_text() == "x\n3\n", "a cell that runs again writes again"

    rec.table("own", pd.DataFrame({"kept": [1]}))
    rec.figure("own", plt.figure(), pd.DataFrame({"other": [1]}))
    assert (tmp_path / "04_own.csv").read_text() == "kept\n1\n"
    assert saved(rec)["files"] == ["04_line.csv", "04_line.png", "04_own.csv", "04_own.png"]


def test_a_run_adds_how_long_it_took(tmp_path):
    rec = Recorder("01", tmp_path)
    with pytest.raises(
        RuntimeError,
        match=r"notebook 01 did not save 01.json: its last cell must call rec.save\(\)",
    ):
        stamp_seconds(rec.path, 3.0)
    rec.save()
    stamp_seconds(rec.path, 61.4)
    assert json.loads(rec.path.read_text())["stamp"]["seconds"] == 61
