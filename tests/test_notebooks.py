"""The form of the notebooks.

Sources have no outputs, literal parameters and small cells, and each notebook links to the next.
The executed notebooks have the code of the sources and ran without errors.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import read_yaml_file

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
EXECUTED = sorted((FOLDER / "executed").glob("*.ipynb"))

FULL_SIZE = read_yaml_file(str(FOLDER / "full_size.yaml"))
"""By the notebook's name, the parameters of the published run."""

OWN_DATA = FULL_SIZE.pop("own_data")
"""By the notebook's name, the additional parameters of a run on one's own images."""

MOST_LINES = 12
"""Lines of a cell of code, parameters apart; 1 to 4 are the aim."""

MOST_SEEN_LINES = 9
"""Lines of a cell of code that is not hidden."""

LEAST_WORDS_A_LINE = 14
"""Words of text for each line of code that is seen, parameters apart; 20 are the aim."""

MOST_ITEMS = 24 * 6
"""Built-in images of a run at the defaults, which is to finish in seconds."""

LONGEST_TEXT = 1_000_000
"""Characters; longer outputs are pictures and are not searched."""

MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|work|Users|tmp|mnt|opt|private)/\w+|\b0x[0-9a-f]{8,}"
)
"""Paths and addresses that belong to one machine."""

TRICKS = (
    "sys.path",
    "chdir",
    "%cd",
    "np.random.seed",
    "random.seed(",
    "!pip",
    "filterwarnings",
    "%%capture",
)
"""What hides how a notebook works, or makes it work only in one place."""

MEASURED = re.compile(r"medians? (of|and)|medians_of|\bms\b|\bMiB\b|\bseconds\b")
"""What the title or the note of a figure of measured times or memory says."""

LINK = re.compile(r"\]\(([^)#\s]+)")


def load(path):
    return nbformat.read(path, as_version=4)


def cells_of(path, kind):
    """The sources of a notebook's cells of one kind, "code" or "markdown"."""
    return [cell.source for cell in load(path).cells if cell.cell_type == kind]


def tags_of(cell):
    return cell.metadata.get("tags", [])


def parameters(path):
    """Name -> value of the one cell tagged `parameters`."""
    cells = [cell for cell in load(path).cells if "parameters" in tags_of(cell)]
    assert len(cells) == 1, f"{len(cells)} cells are tagged parameters"
    values = {}
    for node in ast.parse(cells[0].source).body:
        assert isinstance(node, ast.Assign | ast.AnnAssign), (
            f"line {node.lineno} of the parameters is not an assignment"
        )
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        values[ast.unparse(target)] = ast.literal_eval(node.value)
    return values


def each_of(paths):
    """Run a test for each of the notebooks."""
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


# Sources -------------------------------------------------------------------------------------


@each_of(SOURCES)
def test_sources_are_valid_and_have_no_outputs(path):
    notebook = load(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert set(cell.metadata) <= {"tags", "jupyter"}
        if "jupyter" in cell.metadata:
            assert cell.metadata.jupyter == {"source_hidden": True}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}


def lines_of(cell):
    """The number of lines of a cell that are not empty."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def is_hidden(cell):
    return "jupyter" in cell.metadata


def code_cells(path):
    """The cells of code with their numbers, but for that of the parameters."""
    for number, cell in enumerate(load(path).cells, 1):
        if cell.cell_type == "code" and "parameters" not in tags_of(cell):
            yield number, cell


@each_of(SOURCES)
def test_cells_are_small(path):
    for number, cell in code_cells(path):
        most = MOST_LINES if is_hidden(cell) else MOST_SEEN_LINES
        assert lines_of(cell) <= most, f"cell {number}: {lines_of(cell)} lines"


@each_of(SOURCES)
def test_there_is_more_to_read_than_code(path):
    words = sum(len(text.split()) for text in cells_of(path, "markdown"))
    lines = sum(lines_of(cell) for _, cell in code_cells(path) if not is_hidden(cell))
    assert words >= LEAST_WORDS_A_LINE * lines, f"{words} words for {lines} lines"


@each_of(SOURCES)
def test_cells_that_only_begin_save_or_speak_are_hidden(path):
    """Imports, titles of figures and sentences with numbers are of no use to a reader."""
    for number, cell in code_cells(path):
        only_serves = cell.source.startswith(("import ", "from ", "run.say(", "run.save("))
        assert is_hidden(cell) or not only_serves, f"cell {number} is to be hidden"


@each_of(SOURCES)
def test_a_figure_that_needs_sizes_claims_nothing_in_a_trial(path):
    """A title with a time is a finding of a run of the published sizes alone."""
    for number, cell in code_cells(path):
        if "run.figure(" in cell.source and MEASURED.search(cell.source):
            assert "trial=" in cell.source, f"cell {number}"


@each_of(SOURCES)
def test_a_figure_is_saved_in_the_cell_that_draws_it(path):
    """Matplotlib shows what a cell leaves open, so that it would be seen twice."""
    for number, cell in code_cells(path):
        if re.search(r"plt\.subplots\(|^fig = ", cell.source, re.MULTILINE):
            assert re.search(r"(run|rec)\.figure\(", cell.source), f"cell {number}"


@each_of(SOURCES)
def test_defaults_are_of_a_size_that_takes_seconds(path):
    values = parameters(path)
    assert values["families"] * values["per_family"] <= MOST_ITEMS
    assert values["families"] > 0


@each_of(SOURCES)
def test_no_tricks(path):
    code = "\n".join(cells_of(path, "code"))
    assert [trick for trick in TRICKS if trick in code] == []
    assert not MACHINE.search(code)


@each_of(SOURCES)
def test_a_notebook_begins_with_its_digits_and_ends_by_saving(path):
    code = cells_of(path, "code")
    digits = path.name[:2]
    assert any(f'run = notebook.start("{digits}", globals())' in cell for cell in code)
    assert code[-1] in ("run.save()", "rec.save()")


# Parameters ----------------------------------------------------------------------------------


@each_of(SOURCES)
def test_parameters_are_literals_and_results_go_under_runs(path):
    values = parameters(path)
    assert re.match(r"(\.\./)?runs/", values["out_dir"])
    assert values.get("data_dir", "") == ""


@each_of(SOURCES)
def test_full_sizes_are_parameters_that_exist(path):
    given = {*FULL_SIZE[path.stem], *OWN_DATA.get(path.stem, {})}
    assert given <= set(parameters(path))
    assert not {"out_dir", "data_dir"} & given


def test_full_sizes_are_for_notebooks_that_exist():
    assert set(OWN_DATA) <= set(FULL_SIZE)
    assert {path.stem for path in SOURCES} == set(FULL_SIZE)


def size(name, value):
    """A measure of a parameter's value; for families and images of a family, 0 means all of
    them."""
    if isinstance(value, list):
        numbers = [item for item in value if isinstance(item, int)]
        return sum(numbers) or len(value)
    if name in {"families", "per_family"} and value == 0:
        return float("inf")
    return value


@each_of(SOURCES)
def test_defaults_are_smaller_than_full_sizes(path):
    defaults = parameters(path)
    is_smaller = []
    for name, full in FULL_SIZE[path.stem].items():
        default_size = size(name, defaults[name])
        full_size = size(name, full)
        assert default_size <= full_size, name
        is_smaller.append(default_size < full_size)
    assert any(is_smaller)


# Links ---------------------------------------------------------------------------------------


@each_of(SOURCES)
def test_there_is_one_title_in_the_first_cell(path):
    cells = cells_of(path, "markdown")
    titles = [line for cell in cells for line in cell.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert cells[0].startswith(titles[0])


def test_the_first_notebook_links_to_all_others():
    links = LINK.findall(cells_of(SOURCES[0], "markdown")[0])
    assert links == [path.name for path in SOURCES[1:]]


@each_of(SOURCES[1:])
def test_the_others_link_to_the_first_and_to_their_neighbours(path):
    """The links work beside every notebook: in JupyterLab, in executed/ and on the web.

    `pages` makes them lead from page to page.
    """
    place = SOURCES.index(path)
    neighbours = [SOURCES[place - 1], *SOURCES[place + 1 : place + 2]]
    expected = [path.name for path in neighbours if path != SOURCES[0]]
    links = LINK.findall(cells_of(path, "markdown")[0])
    assert SOURCES[0].name in links
    assert [link for link in links if link in expected] == expected


@each_of(SOURCES[:-1])
def test_the_last_words_lead_to_the_next_notebook(path):
    following = SOURCES[SOURCES.index(path) + 1]
    assert following.name in cells_of(path, "markdown")[-1]


@each_of(SOURCES)
def test_links_lead_to_files(path):
    for cell in cells_of(path, "markdown"):
        for link in LINK.findall(cell):
            assert "://" in link or (FOLDER / link).exists(), link


# Executed notebooks --------------------------------------------------------------------------


@each_of(EXECUTED)
def test_executed_notebooks_ran_without_errors_or_warnings(path):
    for number, cell in enumerate(load(path).cells, 1):
        for output in cell.get("outputs", []):
            assert output.output_type != "error", f"cell {number}"
            assert output.get("name") != "stderr", f"cell {number}: {output.get('text', '')[:200]}"


@each_of(EXECUTED)
def test_executed_notebooks_do_not_name_the_machine(path):
    for number, cell in enumerate(load(path).cells, 1):
        for output in cell.get("outputs", []):
            for text in [output.get("text", ""), *output.get("data", {}).values()]:
                if isinstance(text, str) and len(text) < LONGEST_TEXT:
                    place = MACHINE.search(text)
                    assert place is None, f"cell {number} shows {place[0]}"


@each_of(EXECUTED)
def test_executed_notebooks_have_the_code_of_their_sources(path):
    executed = [
        cell.source for cell in load(path).cells if "injected-parameters" not in tags_of(cell)
    ]
    sources = [cell.source for cell in load(FOLDER / path.name).cells]
    assert executed == sources, "the notebooks have changed since they ran: make report"
