"""The commands of `python -m workbook`: what they call, and how wrong use and failed runs end."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

pytest.importorskip("papermill", reason="the report needs the packages of the workbook")

from workbook import __main__ as workbook
from workbook.report import bench, gpu, kinds, row_distances, run, scale
from workbook.report.execute import NotebookError

HOME = Path(__file__).resolve().parents[2]


def fails(arguments, capsys):
    """The exit status and the lines on standard error of a command that ends early."""
    with pytest.raises(SystemExit) as caught:
        workbook.main(arguments)
    code = caught.value.code
    if isinstance(code, str):  # Python prints the text and exits with status 1
        return 1, [code]
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["rport"], "invalid choice: 'rport'"),
        (["report", "--onyl", "none"], "unrecognized arguments: --onyl none"),
        (["report", "--only"], "--only: expected one argument"),
        (["report", "--only", "17"], "there is no notebook '17'; choose from 00, 01, 02"),
        (["report", "--only", "05,x"], "there is no notebook 'x'"),
        (["report", "--only", ""], "there is no notebook ''"),
        (["report", "--name", "memes"], "give --data as well"),
        (["report", "--publish"], "give --data as well"),
        (["report", "--name", "A b", "--publish"], "a run's name is made of a-z"),
        (["report", "--name", "never_made", "--publish"], "there is no run named 'never_made'"),
        (["report", "--data", "no/such/folder"], "no/such/folder"),
        (["scale", "--largest", "many"], "invalid int value: 'many'"),
        (["scale", "--largest", "5"], "the smallest set has 100,000 hashes"),
        (["rows", "--explore", "memes"], "--explore: 'memes' should be a name and a folder"),
        (["rows", "--judge", "=dir"], "--judge: '=dir' should be a name and a folder"),
        (["rows", "--judge", "a=x", "--judge", "a=y"], "the name 'a' is given to two folders"),
        (["rivals", "--set", "memes"], "--set: 'memes' should be a name and a folder"),
        (["copies", "--set", "a=x", "--set", "a=y"], "the name 'a' is given to two folders"),
        (["evasion", "pictures"], "unrecognized arguments: pictures"),
        (["site", "templates"], "required: CAPTIONS, OUT"),
        (["site", "no/such", "captions.json", "out"], "there is no no/such"),
    ],
)
def test_wrong_use_ends_with_status_2_and_one_line(arguments, message, capsys):
    status, lines = fails(arguments, capsys)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("workbook: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotebookError("01_a.ipynb, cell 3: ValueError: x", "details"), "01_a.ipynb, cell 3"),
        (PermissionError(13, "Permission denied", "report.md"), "Permission denied: 'report.md'"),
        (MemoryError("no memory for 10 GB"), "no memory for 10 GB"),
        (KeyboardInterrupt(), "interrupted; the notebooks that had finished are saved"),
    ],
)
def test_a_failed_run_ends_with_status_1_and_one_line(error, line, capsys, monkeypatch):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(run, "run_report", fail)
    status, lines = fails(["report"], capsys)
    assert status == 1
    assert len(lines) == 1
    assert line in lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (None, None, None, False)),
        (["--only", "none"], (None, None, [], False)),
        (["--only", "01,05"], (None, None, ["01", "05"], False)),
        (["--data", "d", "--name", "n", "--publish"], ("d", "n", None, True)),
    ],
)
def test_what_a_report_is_asked_for(arguments, expected, monkeypatch):
    asked = []

    def remember(data, name, *, only, publish):
        asked.append((data, name, only, publish))

    monkeypatch.setattr(run, "run_report", remember)
    workbook.main(["report", *arguments])
    assert asked == [expected]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], ("figures", None)), (["--out", "o", "--largest", "100000"], ("o", 100_000))],
)
def test_what_a_measurement_of_scale_is_asked_for(arguments, expected, monkeypatch):
    asked = []

    def remember(out, largest):
        asked.append((out, largest))

    monkeypatch.setattr(scale, "measure_scale", remember)
    workbook.main(["scale", *arguments])
    assert asked == [expected]


def test_how_fast_finlib_is_measured(monkeypatch, capsys):
    asked = []

    def remember(size, out):
        asked.append((size, out))
        return pd.DataFrame({"ratio": ["a"], "median": [1.5], "low": [1], "high": [2]})

    monkeypatch.setattr(bench, "run_bench", remember)
    workbook.main(["bench"])
    workbook.main(["bench", "--size", "small", "--out", "b.csv"])
    assert asked == [("full", "bench.csv"), ("small", "b.csv")]
    assert "appended to b.csv" in capsys.readouterr().out


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu.cuda, "is_available", lambda: False)
    status, lines = fails(["gpu", "--out", str(tmp_path / "out")], capsys)
    assert status == 1
    assert "there is no NVIDIA GPU that numba can use" in lines[0]
    assert not (tmp_path / "out").exists()


def test_only_none_renders_the_report_from_the_results_that_exist(tmp_path, monkeypatch, capsys):
    """In a copy of the checkout, without running a notebook: report.md is the committed one."""
    for name in ("figures", "notebooks"):
        shutil.copytree(HOME / name, tmp_path / name)
    shutil.copyfile(HOME / run.TEMPLATE, tmp_path / run.TEMPLATE)
    run_report = run.run_report

    def run_in_copy(*arguments, **options):
        return run_report(*arguments, **options, home=tmp_path)

    monkeypatch.setattr(run, "run_report", run_in_copy)
    monkeypatch.chdir(tmp_path)
    workbook.main(["report", "--only", "none"])
    assert (tmp_path / "report.md").read_bytes() == (HOME / "report.md").read_bytes()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "written: report.md report.html report.pdf" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ({}, {}, "figures")),
        (
            ["--explore", "memes=m", "--judge", "site=s", "--judge", "heavy=h=1", "--out", "o"],
            ({"memes": "m"}, {"site": "s", "heavy": "h=1"}, "o"),
        ),
    ],
)
def test_what_the_row_distance_is_chosen_and_judged_on(arguments, expected, monkeypatch):
    asked = []

    def remember(explore, judge, out):
        asked.append((explore, judge, out))

    monkeypatch.setattr(row_distances, "record_row_distances", remember)
    workbook.main(["rows", *arguments])
    assert asked == [expected]


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ([], "written: 4 images of 1 templates in"),
        (["--near-kin"], "written: 8 images of 2 templates in"),
    ],
)
def test_a_site_is_made_of_templates_with_or_without_near_kin(option, line, tmp_path, capsys):
    templates = tmp_path / "templates"
    templates.mkdir()
    for name in ("one", "same"):
        Image.linear_gradient("L").save(templates / f"{name}.png")
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"own": {}, "pool": [[f"caption {k}", ""] for k in range(9)]}))
    out = tmp_path / "out"
    workbook.main(["site", str(templates), str(captions), str(out), *option])
    assert line in capsys.readouterr().out
    assert len(list(out.iterdir())) == (8 if option else 4)


def test_a_set_to_rehearse_on_is_made(tmp_path, capsys):
    out = tmp_path / "out"
    workbook.main(["rehearsal", str(out), "--images", "5", "--families", "2"])
    assert "written: 5 images of 2 families in" in capsys.readouterr().out
    assert len(list(out.iterdir())) == 5


def test_kinds_and_sets_to_count_false_pairs_on(tmp_path, monkeypatch):
    asked = []

    def remember(folder, sets, templates, out):
        asked.append((folder, sets, templates, out))

    monkeypatch.setattr(kinds, "record_kinds", remember)
    sets = ["--families", "site=s", "--families", "memes=m", "--templates", "site=t"]
    workbook.main(["kinds", str(tmp_path), *sets, "--out", "o"])
    assert asked == [(str(tmp_path), {"site": "s", "memes": "m"}, {"site": "t"}, "o")]


def test_a_folder_of_kinds_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        workbook.main(["kinds", str(tmp_path / "none")])
    assert caught.value.code == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["rivals", "copies", "evasion"])
def test_a_study_gets_its_sets_and_its_folder(name, monkeypatch):
    calls = []
    module = import_module(f"workbook.report.{name}")
    monkeypatch.setattr(module, "record", lambda *arguments: calls.append(arguments))
    workbook.main([name, "--set", "memes=m", "--set", "heavy=h=1", "--out", "o"])
    assert calls == [({"memes": "m", "heavy": "h=1"}, "o")]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        workbook.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in ("report", "scale", "scan", "rows", "site", "kinds", "bench", "gpu"):
        assert command in text
    for command in ("rivals", "copies", "evasion", "lookups", "rehearsal"):
        assert command in text
