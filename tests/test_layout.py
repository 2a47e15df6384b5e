"""The package as its map says: modules in reading order, imports only upwards, `import finlib` cheap."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import finlib

PACKAGE = Path(finlib.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
MAP = re.findall(r"^([a-z_]+) {2,}\S", finlib.__doc__ or "", re.MULTILINE)
MOST_LINES = 320


def imported(module: str) -> set[str]:
    """Modules of finlib that a module imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "finlib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("finlib."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("finlib.")}
    return found & set(MODULES)


def test_the_map_in_the_docstring_names_every_module():
    assert sorted(MAP) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_only_upwards(module):
    above = MAP[: MAP.index(module)] if module in MAP else MAP
    assert imported(module) <= set(above), f"{module} may import only from the modules above it"


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_short(module):
    assert len((PACKAGE / f"{module}.py").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_importing_finlib_imports_nothing_heavy():
    heavy = ["numba", "sklearn", "dask", "matplotlib", "faiss", "pandas", "numpy", "papermill"]
    code = f"import sys, finlib; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_nothing_of_a_machine_is_in_the_sources():
    for path in sorted(PACKAGE.glob("*.py")):
        found = re.findall(r"[\"'](/(?:home|root|work|Users|mnt)/[^\"']*)", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"
