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

MOST_LINES = 20
"""Lines of a cell of code; 15 are the aim."""

MOST_WORDS = 110
"""Words of a cell of text; 80 are the aim."""

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


@each_of(SOURCES)
def test_cells_are_small(path):
    for number, cell in enumerate(load(path).cells, 1):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "code":
            assert len(lines) <= MOST_LINES, f"cell {number}: {len(lines)} lines"
        else:
            prose = [line for line in lines if not line.lstrip().startswith("|")]
            words = sum(len(line.split()) for line in prose)
            assert words <= MOST_WORDS, f"cell {number}: {words} words"


@each_of(SOURCES)
def test_no_tricks(path):
    code = "\n".join(cells_of(path, "code"))
    assert [trick for trick in TRICKS if trick in code] == []
    assert not MACHINE.search(code)


@each_of(SOURCES)
def test_a_notebook_begins_with_its_digits_and_ends_by_saving(path):
    code = cells_of(path, "code")
    digits = path.name[:2]
    beginnings = (
        f'rec = record.Recorder("{digits}", out_dir)',
        f'run = notebook.start("{digits}", globals())',
    )
    assert any(beginning in cell for cell in code for beginning in beginnings)
    assert code[-1] == "rec.save()"


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
    """The links work beside every notebook: in JupyterLab, in executed/ and on the web."""
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
