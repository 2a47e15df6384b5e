"""The whole run: notebooks get their parameters, failures name their cell, one's own images are
kept apart."""

import json
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("papermill", reason="the report needs the workbook extra")

from workbook.report import run as report
from workbook.report.execute import NotebookError, run_notebook
from workbook.report.filling import fill, length_problems, reasons_not_to_publish
from workbook.report.record import Recorder
from workbook.report.results import ReportError, Results

HOME = Path(__file__).resolve().parents[3]
README = [
    'this finds {{ "05.strict.dhash256-rows.1e-5.tpr"|number(".1%") }} of matching pairs on the '
    'built-in families and {{ "site.05.strict.dhash256-rows.1e-5.tpr"|number(".1%") }} on',
    'FINd finds {{ "05.strict.find.1e-5.tpr"|number(".1%") }} and '
    '{{ "site.05.strict.find.1e-5.tpr"|number(".1%") }}.',
    '**FINd is {{ "03.speed_up.file"|number(",.0f") }} times as fast**',
    '({{ "03.speed_up.file.low"|number(",.0f") }} '
    'to {{ "03.speed_up.file.high"|number(",.0f") }} in half of the repeats)',
    'one core compares {{ "06.engine.pairs_per_second / 1000000000"|number(".1f") }} '
    "billion pairs a second",
]
"""What the README quotes, as the results give it."""


@pytest.fixture(scope="module")
def published():
    """Results and report as they lie in the checkout."""
    results = Results(HOME / "figures")
    return results, fill((HOME / report.TEMPLATE).read_text(encoding="utf-8"), results, folder=HOME)


def committed():
    """Whether results and report are as they were committed, and not of a run made here; True
    outside git."""
    files = ["figures", "report.md", "README.md", report.TEMPLATE]
    command = ["git", "-C", str(HOME), "status", "--porcelain", "--", *files]
    try:
        return not subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return True


def test_the_report_is_what_the_results_give(published):
    _, filled = published
    assert (HOME / "report.md").read_text(encoding="utf-8") == filled.text, (
        "python -m workbook report --only none renders it"
    )
    assert "{{" not in filled.text
    assert "<!--" not in filled.text


def test_what_is_committed_is_fit_to_be_published(published):
    """Only what is committed is tested: the claims of a run made here may fail on its machine."""
    results, filled = published
    if not committed():
        pytest.skip("results, report or README are not those that were committed")
    assert filled.broken_claims == []
    assert reasons_not_to_publish(results) == []
    assert list(length_problems(filled.text)) == []
    readme = " ".join((HOME / "README.md").read_text(encoding="utf-8").split())
    for sentence in README:
        assert fill(sentence, results).text in readme


def test_every_reference_is_cited(published):
    _, filled = published
    body, references = filled.text.split("\n## References\n")
    numbered = re.findall(r"^(\d+)\. ", references, re.MULTILINE)
    cited = re.findall(r"\[(\d+(?:,\s\d+)*)\]", body)
    numbers = {number.strip() for group in cited for number in group.split(",")}
    assert numbers == set(numbered)


def test_the_unit_tests_that_the_report_names_exist(published):
    _, filled = published
    named = re.findall(r"^\| `(test_\w+\.py)` \| `(test_\w+)` \|", filled.text, re.MULTILINE)
    assert len(named) > 3
    for file, function in named:
        paths = list((HOME / "tests").rglob(file))
        assert any(f"def {function}(" in path.read_text(encoding="utf-8") for path in paths), (
            f"there is no {function} in {file}"
        )


class AlteredResults(Results):
    """The results with every number that is looked up replaced by another; remembers the keys."""

    def __init__(self, figures, alter):
        super().__init__(figures)
        self.alter = alter
        self.quoted = set()

    def __getitem__(self, key):
        value = super().__getitem__(key)
        self.quoted.add(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return self.alter(value) if is_number else value


def negative(number):
    return -number


def reciprocal(number):
    return 1 / number if number else number


def test_the_report_quotes_the_results_of_every_notebook_that_measures(published):
    _, filled = published
    results = AlteredResults(HOME / "figures", alter=float)
    fill((HOME / report.TEMPLATE).read_text(encoding="utf-8"), results)
    assert len(results.quoted) >= 60
    assert {"01", "02", "03", "04", "05", "06"} <= {key.split(".")[0] for key in results.quoted}
    assert len(re.findall(r"^\*\*Figure \d+\.", filled.text, re.MULTILINE)) >= 6
    assert len(re.findall(r"^\*\*Table \d+\.", filled.text, re.MULTILINE)) >= 3


def test_with_other_results_the_report_marks_its_claims():
    """Comparisons are checked: where numbers turn upside down, at least twenty sentences are
    marked."""
    template = (HOME / report.TEMPLATE).read_text(encoding="utf-8")
    marked = set()
    for alter in (negative, reciprocal):
        filled = fill(template, AlteredResults(HOME / "figures", alter))
        text = " ".join(filled.text.split())  # a mark may be wrapped
        assert text.count("[no longer holds:") == len(filled.broken_claims)
        marked |= {claim.split(" (")[0] for claim in filled.broken_claims}
    assert len(marked) >= 20


def notebook(path, *cells, parameters='data_dir = ""\nout_dir = "../runs/quick/figures"\nsize = 1'):
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )
    book.cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    book.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def test_a_notebook_runs_with_its_parameters_and_leaves_nothing_random(tmp_path):
    here = (
        "from pathlib import Path\n"
        "Path('here.txt').touch()\n"
        "print(Path.cwd() / 'x')\n"
        "Path.home() / 'y'"
    )
    source = notebook(tmp_path / "books/01_tiny.ipynb", "print(size * 2)", here)
    for target in ("a.ipynb", "b.ipynb"):
        assert run_notebook(source, tmp_path / "out" / target, {"size": 21}) == 4
    assert (tmp_path / "out/a.ipynb").read_bytes() == (tmp_path / "out/b.ipynb").read_bytes()
    ran = nbformat.read(tmp_path / "out/a.ipynb", as_version=4)
    assert ran.cells[2].outputs[0].text == "42\n"
    assert ran.cells[3].outputs[0].text == "books/x\n"
    assert ran.cells[3].outputs[1].data["text/plain"].endswith("'~/y')")
    assert (tmp_path / "books/here.txt").exists(), "a notebook runs in its own folder"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.ipynb", "b.ipynb"]


def test_a_misspelt_parameter_is_refused(tmp_path):
    source = notebook(tmp_path / "01_tiny.ipynb")
    with pytest.raises(
        ValueError, match=r"01_tiny.ipynb has no parameter sise; it has data_dir, out_dir, size"
    ):
        run_notebook(source, tmp_path / "out.ipynb", {"sise": 2})
    assert not (tmp_path / "out.ipynb").exists()


@pytest.fixture
def home(tmp_path):
    """A workbook of one tiny notebook."""
    code = (
        "from workbook.report.record import Recorder\n"
        "import pandas as pd\n"
        "recorder = Recorder('01', out_dir)\n"
        "recorder.number('n', size)\n"
        "recorder.table('t', pd.DataFrame({'a': [size]}))\n"
        "recorder.save()"
    )
    notebook(tmp_path / "notebooks/01_tiny.ipynb", code)
    (tmp_path / "notebooks/full_size.yaml").write_text("{}")
    (tmp_path / "LICENSE").touch()
    (tmp_path / report.TEMPLATE).write_text(
        '# T\n\nn is {{ "01.n"|number }}, below {{ const("3") }}.\n'
        '{{ claim("01.n < 3") }}\nSee [it](LICENSE).\n'
    )
    return tmp_path


def test_the_whole_run_in_place_then_on_other_images(home, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.setattr("workbook.study.families.make_families", lambda: None)
    (home / "notebooks/full_size.yaml").write_text(
        "01_tiny: {size: 2}\nown_data:\n  01_tiny: {size: 5}\n"
    )
    (home / "figures").mkdir()
    (home / "figures/01_stale.png").touch()
    assert report.run_report(home=home).broken_claims == []
    assert (home / "report.md").read_text() == "# T\n\nn is 2, below 3.\nSee [it](LICENSE).\n"
    assert not (home / "figures/01_stale.png").exists(), "what a notebook no longer makes goes"
    assert {"report.html", "report.pdf"} <= {path.name for path in home.iterdir()}
    assert (home / "report.pdf").read_bytes().startswith(b"%PDF")
    published = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    images = home / "My images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "0001_1.jpg")
    capsys.readouterr()
    filled = report.run_report(images, home=home)
    assert filled.broken_claims == ["report.md.j2:4: 01.n < 3 (5 < 3)"]
    said = capsys.readouterr().out
    assert "01_tiny" in said
    assert "this will take about" in said
    assert "1 claim does not hold" in said
    run = home / "runs/my_images"
    assert (
        (run / "report.md")
        .read_text()
        .endswith("below 3. **[no longer holds: 5 < 3]** See [it](../../LICENSE).\n")
    )
    made = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert made == {
        "figures/01_t.csv",
        "figures/01.json",
        "notebooks/executed/01_tiny.ipynb",
        "report.html",
        "report.md",
        "report.pdf",
    }
    assert {path: path.read_bytes() for path in published} == published, (
        "published results are left alone"
    )
    assert str(home) not in (run / "notebooks/executed/01_tiny.ipynb").read_text()

    assert report.run_report(name="my_images", publish=True, home=home) is None
    (home / report.TEMPLATE).write_text(
        '# T\n\n{{ "my_images.01.n"|number }} {{ rows("my_images.01.t")[0].a }}\n'
    )
    assert report.run_report(only=[], home=home).text == "# T\n\n5 5\n"
    with pytest.raises(ReportError, match="there is no run named 'other'"):
        report.run_report(name="other", publish=True, home=home)

    notebook(home / "notebooks/02_more.ipynb", "1 + 1")
    capsys.readouterr()
    assert report.run_report(images, only=["01"], home=home) is None
    assert capsys.readouterr().out.endswith(
        "no report is written yet; still to run on these images: 02\n"
    )


def stamp_of(home, digits, seconds):
    """What an earlier run left: how long the notebook took, and on which machine."""
    stamp = {"seconds": seconds, "cpu": "a processor", "cores": 2}
    contents = {"stamp": stamp, "numbers": {}, "keys": {}, "files": []}
    (home / "figures").mkdir(exist_ok=True)
    (home / "figures" / f"{digits}.json").write_text(json.dumps(contents))


def test_the_forecast_grows_with_the_images_and_with_their_pairs(home):
    sources = [home / "notebooks/01_tiny.ipynb", home / "notebooks/05_more.ipynb"]
    stamp_of(home, "01", 60)
    assert "not known" in report.forecast(sources, 4800, home)
    stamp_of(home, "05", 120)
    expected = "about 3 minutes on a machine like that of the published run, a processor with 2"
    assert report.forecast(sources, 4800, home).startswith(expected)
    assert report.forecast(sources, 100, home).startswith(expected)
    extra = report.EXTRA["05"]
    seconds = 180 + 51_200 * extra.image + (56_000**2 - 4800**2) / 2 * extra.pair
    in_words = f"about {seconds / 60:.0f} minutes on"
    assert report.forecast(sources, 56_000, home).startswith(in_words)
    assert report.forecast(sources[:1], 56_000, home).startswith("about 60 s")


def test_a_failed_cell_stops_the_run_and_says_where(home, monkeypatch, capsys):
    monkeypatch.setattr("workbook.study.families.make_families", lambda: None)
    notebook(home / "notebooks/02_bad.ipynb", "1 + 1", "wrong = 1 / 0")
    with pytest.raises(NotebookError) as caught:
        report.run_report(only=["02"], home=home)
    assert str(caught.value) == "02_bad.ipynb, cell 4 (run 4): ZeroDivisionError: division by zero"
    said = capsys.readouterr().err
    assert said.startswith("02_bad.ipynb, cell 4 (run 4):\n\n    wrong = 1 / 0")
    assert "ZeroDivisionError: division by zero" in said
    assert "The cells that ran are in" in said
    assert (home / "runs/failed/02_bad.ipynb").exists()
    assert not (home / "notebooks/executed/02_bad.ipynb").exists()
    assert not (home / "report.md").exists()


def test_wrong_use_of_the_run(home, tmp_path):
    with pytest.raises(ValueError, match="there is no notebook '07'; choose from 01"):
        report.run_report(only=["07"], home=home)
    with pytest.raises(FileNotFoundError):
        report.run_report(tmp_path / "nowhere", home=home)
    with pytest.raises(ValueError, match="give --data as well"):
        report.run_report(name="x", home=home)
    with pytest.raises(ReportError, match="only be made in a checkout of the workbook"):
        report.run_report(home=tmp_path / "figures")


def test_a_report_that_cannot_be_filled_is_explained_line_by_line(home, capsys):
    rec = Recorder("01", home / "figures")
    rec.number("m", 1)
    rec.save()
    before = "# T\n\nn is {{ '01.n'|number }}\n\n![a](figures/none.png)\n\n**Figure 1.** A.\n"
    (home / report.TEMPLATE).write_text(before)
    (home / "report.md").write_text("as it was")
    with pytest.raises(RuntimeError, match="2 problems"):
        report.run_report(only=[], home=home)
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split(": ")[0] for line in lines) == ["report.md.j2:3", "report.md.j2:5"]
    assert (home / "report.md").read_text() == "as it was"


@pytest.mark.parametrize(
    ("folder", "given", "name"),
    [
        ("memes", None, "memes"),
        ("My Images-2", None, "my_images_2"),
        ("2026", None, "data_2026"),
        ("x", "fin", "fin"),
    ],
)
def test_names_of_runs(folder, given, name):
    assert report.run_name(folder, given) == name


@pytest.mark.parametrize("name", ["../x", "A", "a/b", "1"])
def test_names_of_runs_that_are_refused(name):
    with pytest.raises(ValueError, match="a run's name is made of"):
        report.run_name("x", name)
