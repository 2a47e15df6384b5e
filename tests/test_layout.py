"""Imports go one way, every package's docstring lists its modules, and production stays light."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import finlib
import workbook

ROOT = Path(finlib.__file__).parents[1]
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for top in (finlib, workbook)
    for path in Path(top.__file__).parent.rglob("__init__.py")
)
FILES = sorted(path for top in ("finlib", "workbook") for path in (ROOT / top).rglob("*.py"))

# The floors of the house: what stands on one may import from its own and from those before it.
FLOORS = (
    ("finlib", "finlib.files", "finlib.pools", "finlib.checkpoint", "finlib.distributed"),
    ("finlib.hashing", "finlib.matching"),
    ("finlib.clustering", "finlib.scoring"),
    ("finlib.command",),
    ("workbook.study",),
    ("workbook.report",),
    ("workbook",),
)
# Neighbours on one floor that know nothing of each other.
UNRELATED = (("finlib.hashing", "finlib.matching"), ("finlib.clustering", "finlib.scoring"))
NOT_IN_PRODUCTION = {
    "IPython",
    "faiss",
    "ipywidgets",
    "jinja2",
    "line_profiler",
    "matplotlib",
    "memory_profiler",
    "nbclient",
    "nbformat",
    "papermill",
    "pypandoc",
    "seaborn",
    "skimage",
    "sklearn",
    "typst",
    "workbook",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Full names of what a module imports anywhere, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def place_of(name: str) -> tuple[int, str]:
    """The floor and the part of it that a module or a name in one belongs to."""
    places = [
        (floor, part)
        for floor, parts in enumerate(FLOORS)
        for part in parts
        if name == part or name.startswith(f"{part}.")
    ]
    return max(places, key=lambda place: len(place[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_docstring_of_a_package_lists_its_modules(package):
    listed = re.findall(r"^([a-z_]+) {2,}\S", import_module(package).__doc__ or "", re.MULTILINE)
    folder = ROOT.joinpath(*package.split("."))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules | packages)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path):
    floor, part = place_of(module_name(path))
    if part == "finlib":  # the names that it offers come from every floor, lazily
        return
    for name in imported(path):
        if not name.startswith(("finlib", "workbook")):
            continue
        other_floor, other_part = place_of(name)
        assert other_floor <= floor, f"{name} stands higher than {part}"
        assert tuple(sorted((part, other_part))) not in UNRELATED, name


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_production_imports_nothing_of_the_workbook(path):
    if module_name(path).startswith("finlib"):
        assert not {name.split(".")[0] for name in imported(path)} & NOT_IN_PRODUCTION


def test_importing_finlib_imports_nothing_heavy():
    heavy = ["numba", "dask", "pandas", "numpy", "scipy", "PIL", "pyarrow"]
    code = f"import sys, finlib; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_of_a_machine_is_in_the_sources(path):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"[\"'](/(?:home|root|work|Users|mnt)/[^\"']*)", text)
