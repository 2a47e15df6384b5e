"""Four rooms, one way: finlib <- command, and finlib <- study <- report; maps are whole; production stays light."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import finlib

# What the command takes from the workbook: `finlib report` starts it, and `finlib evaluate` measures.
COMMAND_TAKES = {"finlib.report.run.run_report", "finlib.study.metrics"}
PACKAGE = Path(finlib.__file__).parent
ROOMS = {"finlib": PACKAGE} | {f"finlib.{room}": PACKAGE / room for room in ("command", "study", "report")}
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 320
MOST_PRODUCTION_LINES = 3200
WORKBOOK = {"matplotlib", "seaborn", "faiss", "papermill", "nbformat", "nbclient", "jinja2", "typst", "pypandoc",
            "skimage", "IPython", "ipywidgets", "line_profiler", "memory_profiler"}  # fmt: skip


def imported(path: Path) -> set[str]:
    """What a module imports anywhere, inside functions too: full names of modules and of what is taken from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_in_the_docstring_names_every_module(room):
    named = re.findall(r"^([a-z_]+) {2,}\S", import_module(room).__doc__ or "", re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in ROOMS[room].glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = next(name for name, folder in ROOMS.items() if folder == path.parent)
    mine = {room, "finlib.study"} if room == "finlib.report" else {room}
    others = [name for name in list(ROOMS)[1:] if name not in mine]
    used = {name for name in imported(path) if f"{name}.".startswith(tuple(f"{other}." for other in others))}
    assert used - (COMMAND_TAKES if room == "finlib.command" else set()) == set()
    if room in ("finlib", "finlib.command"):
        assert not {name.split(".")[0] for name in imported(path)} & WORKBOOK


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_production_is_read_in_an_hour():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.glob("*.py")) <= (
        MOST_PRODUCTION_LINES
    )


def test_importing_finlib_imports_nothing_heavy():
    heavy = ["numba", "sklearn", "dask", "matplotlib", "faiss", "pandas", "numpy", "papermill"]
    code = f"import sys, finlib; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_of_a_machine_is_in_the_sources(path):
    assert not re.findall(r"[\"'](/(?:home|root|work|Users|mnt)/[^\"']*)", path.read_text(encoding="utf-8"))
