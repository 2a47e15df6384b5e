"""The notebooks' form: no outputs in sources, literal parameters, small cells, links that lead on, clean runs."""

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
OWN_DATA = FULL_SIZE.pop("own_data")
MOST_LINES, MOST_WORDS = 20, 110  # 15 and 80 are what is aimed at
MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|work|Users|tmp|mnt|opt|private)/\w+|\b0x[0-9a-f]{8,}"
)


def load(path):
    return nbformat.read(path, as_version=4)


def parameters(path):
    """Name -> value of the one cell tagged `parameters`."""
    cells = [cell for cell in load(path).cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(cells) == 1, f"{len(cells)} cells tagged parameters"
    found = {}
    for node in ast.parse(cells[0].source).body:
        assert isinstance(node, ast.Assign | ast.AnnAssign), (
            f"line {node.lineno} of the parameters is no assignment"
        )
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        found[ast.unparse(target)] = ast.literal_eval(node.value)
    return found


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


@named(SOURCES)
def test_sources_are_valid_and_hold_no_outputs(path):
    book = load(path)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert set(cell.metadata) <= {"tags", "jupyter"}
        assert cell.metadata.get("jupyter", {"source_hidden": True}) == {"source_hidden": True}
    assert book.metadata.kernelspec.name == "python3"
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert dict(book.metadata.language_info) == {"name": "python"}


@named(SOURCES)
def test_parameters_are_literals_and_results_go_under_runs(path):
    found = parameters(path)
    assert re.match(r"(\.\./)?runs/", found["out_dir"])
    assert found.get("data_dir", "") == ""


@named(SOURCES)
def test_full_sizes_are_parameters_that_exist(path):
    wanted = {**FULL_SIZE[path.stem], **OWN_DATA.get(path.stem, {})}
    assert set(wanted) <= set(parameters(path))
    assert not {"out_dir", "data_dir"} & set(wanted)


def size(name, value):
    """Of a parameter, comparable with itself; 0 families or images are all of them."""
    if isinstance(value, list):
        return sum(one for one in value if isinstance(one, int)) or len(value)
    return float("inf") if name in {"families", "per_family"} and value == 0 else value


@named(SOURCES)
def test_small_defaults_are_small(path):
    given, full = (
        parameters(path),
        {name: one for name, one in FULL_SIZE[path.stem].items() if not isinstance(one, dict)},
    )
    both = {name: (size(name, given[name]), size(name, one)) for name, one in full.items()}
    assert {name: pair for name, pair in both.items() if pair[0] > pair[1]} == {}
    assert any(small < large for small, large in both.values())


@named(SOURCES)
def test_recording_is_the_last_thing_that_is_done(path):
    code = [cell.source for cell in load(path).cells if cell.cell_type == "code"]
    begun = rf'rec = record.Recorder\("{path.name[:2]}", out_dir\)|run = notebook.start\("{path.name[:2]}", globals\(\)\)'
    assert re.search(begun, "\n".join(code))
    assert code[-1] == "rec.save()"


def test_full_sizes_are_for_notebooks_that_exist():
    assert set(OWN_DATA) <= set(FULL_SIZE)
    assert {path.stem for path in SOURCES} == set(FULL_SIZE)


@named(SOURCES)
def test_cells_are_small(path):
    for number, cell in enumerate(load(path).cells, 1):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "code":
            assert len(lines) <= MOST_LINES, f"cell {number}: {len(lines)} lines"
        else:
            prose = [line for line in lines if not line.lstrip().startswith("|")]
            words = sum(len(line.split()) for line in prose)
            assert words <= MOST_WORDS, f"cell {number}: {words} words"


@named(SOURCES)
def test_no_tricks(path):
    code = "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "code")
    for trick in (
        "sys.path",
        "chdir",
        "%cd",
        "np.random.seed",
        "random.seed(",
        "!pip",
        "filterwarnings",
        "%%capture",
    ):
        assert trick not in code, trick
    assert not MACHINE.search(code)


@named(SOURCES)
def test_one_title_then_the_way_to_the_neighbours(path):
    cells = [cell.source for cell in load(path).cells if cell.cell_type == "markdown"]
    titles = [line for cell in cells for line in cell.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert cells[0].startswith(titles[0])
    here = SOURCES.index(path)
    neighbours = [
        SOURCES[place].name for place in (here - 1, here + 1) if 0 <= place < len(SOURCES)
    ]
    links = re.findall(r"\]\(([^)#]+)", cells[0])
    if here:  # the contents lie beside every notebook: in JupyterLab, in executed/, on the web
        assert SOURCES[0].name in links
        assert [
            link for link in links if link in neighbours and link != SOURCES[0].name
        ] == neighbours[here == 1 :]
    else:
        assert links == [path.name for path in SOURCES[1:]]
    if here + 1 < len(SOURCES):
        assert SOURCES[here + 1].name in cells[-1], "the last words lead to the next notebook"


@named(SOURCES)
def test_links_lead_to_files(path):
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#\s]+)", cell.source):
                assert "://" in link or (FOLDER / link).exists(), link


@named(EXECUTED)
def test_what_ran_is_the_source_and_ran_clean(path):
    ran = load(path)
    for number, cell in enumerate(ran.cells, 1):
        for output in cell.get("outputs", []):
            assert output.output_type != "error", f"cell {number}"
            assert output.get("name") != "stderr", f"cell {number}: {output.get('text', '')[:200]}"
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            for text in texts:
                found = (
                    MACHINE.search(text)
                    if isinstance(text, str) and len(text) < 1_000_000
                    else None
                )
                assert found is None, f"cell {number} shows {found and found[0]}"
    injected = "injected-parameters"
    kept = [cell.source for cell in ran.cells if injected not in cell.metadata.get("tags", [])]
    assert kept == [cell.source for cell in load(FOLDER / path.name).cells], (
        "run the notebooks again: make report"
    )
