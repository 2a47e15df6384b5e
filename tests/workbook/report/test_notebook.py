"""What every notebook begins with: parameters are checked, files go to one place, all data is used,
trials claim nothing."""

import json
import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd
import papermill
import pytest

from workbook.report import notebook, style

SIZES = {"families": 12, "images": 4, "sides": [32, 64]}
DEFAULTS = {
    "data_dir": "",
    "full": False,
    "per_family": 6,
    "seed": 7,
    "out_dir": "runs/quick/figures",
    **SIZES,
}
PUBLISHED = {"families": 120, "images": 36, "sides": [64, 512]}


def cell(source, **metadata):
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "c",
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A checkout with a notebook 07 of DEFAULTS, whose published sizes are PUBLISHED."""
    folder = tmp_path / "clone"
    (folder / "notebooks").mkdir(parents=True)
    write_notebook(folder)
    (folder / "notebooks" / "full_size.yaml").write_text(
        json.dumps({"07_tried": PUBLISHED})
    )  # JSON is YAML
    monkeypatch.setattr(notebook, "HOME", folder.resolve())
    return folder.resolve()


def write_notebook(folder):
    code = "\n".join(f"{name} = {value!r}" for name, value in DEFAULTS.items())
    code_cells = [cell(code, tags=["parameters"]), cell("x = 1")]
    book = {"cells": code_cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks" / "07_tried.ipynb").write_text(json.dumps(book))


def begin(**changed):
    names = {**DEFAULTS, **changed}
    return notebook.start("07", names), names


def test_a_trial_says_so_and_asserts_nothing(home, capsys):
    run, names = begin()
    assert not run.full
    assert "images 4 (36)" in capsys.readouterr().out
    assert (
        run.finding("Exponent 0.53", at_trial="Seconds against pixels")
        == "Seconds against pixels (trial)"
    )
    assert names["images"] == 4


def test_one_switch_gives_the_published_sizes_but_for_what_was_set(home, capsys):
    run, names = begin(full=True)
    assert (
        {key: names[key] for key in PUBLISHED}
        == PUBLISHED
        == {key: run.parameters[key] for key in PUBLISHED}
    )
    assert run.full
    assert run.finding("Exponent 1.53", at_trial="-") == "Exponent 1.53"
    run, names = begin(full=True, images=9)
    assert names["images"] == 9
    assert not run.full
    assert "images 9 (36)" in capsys.readouterr().out


def test_published_sizes_given_one_by_one_are_published_sizes(home):
    assert begin(**PUBLISHED)[0].full


@pytest.mark.parametrize("from_folder", [".", ".."])
@pytest.mark.parametrize(
    ("given", "where"), [("runs/mine", "runs/mine"), ("../figures", "figures")]
)
def test_a_run_writes_to_one_place_in_the_checkout(home, monkeypatch, from_folder, given, where):
    monkeypatch.chdir(home / from_folder)
    assert notebook.output_folder(given) == home / where
    run, _ = begin(out_dir=given)
    assert run.recorder.out_dir.is_dir()


@pytest.mark.parametrize("given", ["../../outside", "runs/../../outside", "..", "."])
def test_nothing_is_written_beside_the_checkout(home, given):
    with pytest.raises(ValueError, match="outside the checkout"):
        begin(out_dir=given)


def test_an_absolute_place_is_taken_as_it_is(home, tmp_path):
    assert notebook.output_folder(tmp_path / "there") == tmp_path / "there"


def test_a_misspelt_parameter_stops_the_run(home):
    cells = ["", "data_dir = ''\nimages = 4", "# Parameters\nimage = 9\n"]
    with pytest.raises(ValueError, match="no parameter image: did you mean images"):
        begin(In=cells)
    with pytest.raises(ValueError, match="no parameter zzz: there are data_dir, images"):
        begin(In=[*cells[:2], "# Parameters\nzzz = 9\n"])
    begin(In=[*cells[:2], "%matplotlib inline", "# Parameters\nimages = 9\n"])


def test_all_of_a_labelled_folder_is_taken(home, album, capsys):
    frame = begin(data_dir=str(album))[0].data()
    assert len(frame) == 10
    said = capsys.readouterr().out
    assert "10 of 10 images in `album`, 3 families" in said
    assert 'set labels = "no"' in said


def test_pictures_without_labels_are_taken_as_they_are_unless_captions_are_asked_for(
    home, tmp_path, picture, capsys
):
    folder = tmp_path / "mine"
    folder.mkdir()
    for turn in range(3):
        picture.rotate(90 * turn).save(folder / f"holiday {turn}.png")
    run, _ = begin(data_dir=str(folder))
    frame = run.data()
    assert list(frame["family"]) == ["", "", ""]
    assert "All 3 pictures in `mine`" in capsys.readouterr().out
    assert len(run.data(caption=True)) > 3
    assert "3 templates in `mine`, captioned" in capsys.readouterr().out


def test_labels_are_read_where_one_says_so(home, tmp_path, picture, capsys, monkeypatch):
    for name in ("0001_1.png", "0001_2.png", "other.png"):
        picture.save(tmp_path / name)
    assert len(begin(data_dir=str(tmp_path))[0].data()) == 3
    assert "All 3 pictures" in capsys.readouterr().out
    monkeypatch.setitem(DEFAULTS, "labels", "auto")
    write_notebook(home)
    with pytest.warns(UserWarning, match="left out"):
        frame = begin(data_dir=str(tmp_path), labels="yes")[0].data()
    assert len(frame) == 2
    assert "2 of 3 images" in capsys.readouterr().out


def test_a_folder_is_looked_for_here_and_in_the_checkout(home, tmp_path, monkeypatch):
    (home / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert notebook.data_folder("pictures") == home / "pictures"
    (tmp_path / "pictures").mkdir()
    assert notebook.data_folder("pictures") == tmp_path / "pictures"
    with pytest.raises(FileNotFoundError, match="no such folder in"):
        notebook.data_folder("nowhere")


def test_a_sample_is_drawn_from_the_seed_and_leaves_out_what_cannot_be_read(home, album, capsys):
    run, _ = begin(data_dir=str(album))
    frame = run.data()
    paths = run.sample(frame, 20)
    said = capsys.readouterr().out
    assert len(paths) == 9
    assert "9 of 10 pictures, drawn at random; the first has" in said
    assert "0002_damaged.jpg" in said
    assert run.sample(frame, 4) == paths[:4]
    assert paths != sorted(paths)
    only_broken = frame[frame["path"].str.contains("damaged")]
    with pytest.raises(ValueError, match="none of 1 pictures can be read"):
        run.sample(only_broken, 4)


def test_how_long_it_will_take_in_words():
    said = [notebook.roughly(seconds) for seconds in (0.2, 45, 200, 9000)]
    assert said == ["about 1 s", "about 45 s", "about 3 minutes", "about 2 hours"]
    timed = []
    assert notebook.estimate(timed.append, list(range(100)), 10).startswith("about")
    assert timed == [[0], list(range(10))]


@pytest.mark.parametrize(
    "from_folder",
    [
        pytest.param(".", marks=pytest.mark.slow),
        pytest.param("notebooks", marks=pytest.mark.slow),
        "..",
    ],
)
def test_papermill_from_anywhere(tmp_path, from_folder, monkeypatch):
    """A real kernel: the file is written in this checkout, and a misspelt parameter stops the
    run."""
    code = "out_dir = 'runs/quick/figures'\nimages = 1"
    first = (
        "from workbook.report import notebook\n"
        "run = notebook.start('00', globals())\n"
        "print(run.recorder.out_dir)"
    )
    book = {
        "cells": [cell(code, tags=["parameters"]), {**cell(first), "id": "d"}],
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    book["metadata"] = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    source, target = tmp_path / "n.ipynb", tmp_path / "out.ipynb"
    source.write_text(json.dumps(book))
    monkeypatch.chdir(notebook.HOME / from_folder)
    done = papermill.execute_notebook(str(source), str(target), {"images": 3}, progress_bar=False)
    said = "".join(out.get("text", "") for made in done.cells for out in made.get("outputs", []))
    assert said.strip() == str(notebook.HOME / "runs" / "quick" / "figures")
    if from_folder == "..":
        with pytest.raises(papermill.PapermillExecutionError, match="did you mean images"):
            papermill.execute_notebook(str(source), str(target), {"imges": 3}, progress_bar=False)


def test_beginning_is_quick():
    """What every notebook imports first leaves out what only the whole run needs."""
    slow = ["seaborn", "papermill", "sklearn", "dask", "imagehash"]
    code = (
        "import sys\n"
        "from workbook.report import notebook, plots\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_table_for_readers_has_words_and_few_digits():
    frame = pd.DataFrame(
        {
            "name": ["a", "b|<"],
            "ms": [1234.567, 0.0],
            "n": [12345, 1],
            "left": [0.0000123, float("inf")],
        }
    )
    shown = notebook.table(
        frame, {"name": "stage", "ms": "milliseconds", "n": "pictures", "left": "rest"}
    ).data
    for text in ("milliseconds", "1,235", ">0<", "12,345", "1.2e-05", "–", "b|&lt;"):
        assert text in shown, text
    assert "0.00<" not in shown
    frame = pd.DataFrame([(1, "a", 2.0)], columns=["row", "kind", "x"]).pivot(
        index="row", columns="kind", values="x"
    )
    assert "kind" not in notebook.table(frame, {"a": "a"}).data
    frame = pd.DataFrame({"name": ["find+dhash256", "pdq, phash64", "total += 1, find_hash"]})
    shown = notebook.table(frame, {"name": "method"}).data
    for text in ("FINd + dHash 256", "PDQ, pHash 64", "total += 1, find_hash"):
        assert text in shown


def test_source_is_folded_where_a_reader_need_not_see_it():
    shown = notebook.source(notebook.roughly).data
    assert "roughly" in shown
    assert "<details>" not in shown
    folded = notebook.source(notebook.estimate, folded=True).data
    assert folded.startswith("<details><summary><code>workbook.report.notebook.estimate")


def test_what_the_published_runs_took(tmp_path):
    (tmp_path / "01.json").write_text(
        json.dumps({"stamp": {"seconds": 90, "cpu": "x", "cores": 2}})
    )
    (tmp_path / "02.json").write_text(json.dumps({"stamp": {"cpu": "x", "cores": 2}}))
    assert notebook.run_times(tmp_path).to_numpy().tolist() == [["01", 90, "x", 2]]
    assert notebook.run_times(tmp_path / "none").empty


def test_a_table_writes_shares_as_percentages_and_sets_words_left_and_numbers_right():
    frame = pd.DataFrame({"stage": ["luma", "box mean"], "share": [0.0123, 0.9]})
    shown = notebook.table(frame, {"stage": "stage", "share": "share, %"}).data
    for text in (">1.23<", ">90<", "share, %"):
        assert text in shown, text
    luma = shown[: shown.index("luma")].rindex("<td")
    number = shown[: shown.index("1.23")].rindex("<td")
    assert "text-align: left" in shown[luma : luma + 60]
    assert "nowrap" in shown[number : number + 60]


def test_a_trial_says_what_its_figures_and_findings_would_show(home, capsys):
    run, _ = begin()
    _, ax = plt.subplots()
    ax.set(xlabel="pixels", ylabel="seconds")
    run.figure("size", ax, "Exponent 0.53", trial="Time by size", note="4 pictures")
    assert ax.get_title(loc="left") == "Time by size (trial)"
    capsys.readouterr()
    run.say("Twice as many take 0.1 s.", trial="how long twice as many take")
    said = capsys.readouterr().out
    assert "0.1 s" not in said
    assert "how long twice as many take" in said


def test_a_run_of_the_published_sizes_says_its_findings(home, capsys):
    run, _ = begin(full=True)
    fig, _ = plt.subplots(1, 2)
    run.figure("size", fig, "Exponent 1.53", trial="Time by size", note="4 pictures")
    assert fig.get_suptitle() == "Exponent 1.53"
    capsys.readouterr()
    run.say("Twice as many take 2 s.", trial="how long twice as many take")
    assert "2 s" in capsys.readouterr().out
    run.save()
    saved = json.loads((run.recorder.out_dir / "07.json").read_text())
    assert saved["files"] == ["07_size.png"]


def test_a_table_is_saved_and_shown_under_plain_headings(home):
    run, _ = begin()
    frame = pd.DataFrame({"stage": ["luma"], "own_seconds": [0.5], "ms": [3.0]})
    shown = run.table("stages", frame, ["stage", "own_seconds", "ms"], key="stage", ms="ms each")
    for text in ("own seconds", "ms each", "0.500"):
        assert text in shown.data
    assert run.table("raw", frame) is None
    assert (run.recorder.out_dir / "07_raw.csv").exists()
    assert run.recorder.keys == {"stages": ["stage"]}


def test_a_trial_does_not_show_a_table_of_what_it_cannot_know(home, capsys):
    frame = pd.DataFrame({"work": ["hashing"], "own_seconds": [0.5]})
    run, _ = begin()
    capsys.readouterr()
    assert run.show(frame, list(frame), trial="what a year of hashing costs") is None
    assert "what a year of hashing costs" in capsys.readouterr().out
    run, _ = begin(full=True)
    assert "own seconds" in run.show(frame, list(frame), trial="what it costs").data


def test_own_images_are_not_called_published_sizes(home, tmp_path, picture, capsys):
    picture.save(tmp_path / "a.png")
    begin(full=True, data_dir=str(tmp_path))
    assert "Your own images" in capsys.readouterr().out


def test_a_single_timing_is_no_median():
    assert notebook.medians_of(1) == "one timing each"
    assert notebook.medians_of(3) == "medians of 3"


def test_numbers_have_their_nouns():
    counts = [style.count_of(number, "group") for number in (0, 1, 2000)]
    assert counts == ["0 groups", "1 group", "2,000 groups"]
    assert style.count_of(2, "family", "families") == "2 families"


def test_an_explorer_leaves_its_first_figure(home):
    widgets = pytest.importorskip("ipywidgets")
    run, _ = begin()
    run.explorer("try", lambda level: plt.figure(figsize=(1, 1)), level=widgets.IntSlider(3, 0, 9))
    assert (run.recorder.out_dir / "07_try.png").read_bytes().startswith(b"\x89PNG")
