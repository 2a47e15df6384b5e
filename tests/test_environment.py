"""What is imported is declared, and pyproject.toml, requirements.lock and environment.yml give it
one version.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import finlib

HOME = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (HOME / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((HOME / "environment.yml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["optional-dependencies"] | PYPROJECT["dependency-groups"]


def names(lines):
    """Canonical names of requirements."""
    return {canonicalize_name(Requirement(line).name) for line in lines}


def direct():
    """What the project asks for itself, extras and dependency groups included."""
    return names([*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])


def locked():
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.M)
    }


def imported(sources):
    """Distributions that Python sources import, but for the standard library, the project's own and
    what is absent.
    """
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    own = {
        "finlib",
        "workbook",
        *sys.stdlib_module_names,
        *(path.stem for path in HOME.glob("tests/**/*.py")),
    }
    known = packages_distributions()
    return {canonicalize_name(known[name][0]) for name in found - own if name in known}


def modules(pattern):
    return [path.read_text(encoding="utf-8") for path in sorted(HOME.glob(pattern))]


def cells():
    """The notebooks' code without IPython's own commands."""
    for path in sorted(HOME.glob("notebooks/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                yield re.sub(r"(?m)^\s*[%!].*$", "", cell.source)


@pytest.mark.parametrize(
    ("sources", "extras"),
    [
        (lambda: modules("finlib/**/*.py"), ("dask", "heic", "pdq")),
        (lambda: [*modules("workbook/**/*.py"), *cells()], ("dask", "heic", "pdq", "workbook")),
        (lambda: modules("tests/**/*.py"), ("dask", "heic", "pdq", "workbook", "dev")),
    ],
    ids=["production", "workbook and notebooks", "tests"],
)
def test_every_direct_import_is_declared(sources, extras):
    declared = names(
        [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    )
    assert imported(sources()) - declared - {"ipython", "cupy"} == set(), (
        "IPython comes with jupyterlab"
    )


def test_every_direct_dependency_is_locked():
    assert direct() <= set(locked())


def test_the_environment_has_python_and_a_compiler_from_conda_and_the_locks_versions_from_pip():
    *conda, pip = ENVIRONMENT["dependencies"]
    python, *others = conda
    assert Requirement(python) == Requirement(f"python{PROJECT['requires-python']}")
    assert others == ["pip", "cxx-compiler"]
    *pinned, last = pip["pip"]
    assert last == "--editable ."
    assert len(pinned) == len(direct())
    pins = locked()
    assert {
        canonicalize_name(Requirement(line).name): str(Requirement(line).specifier)
        for line in pinned
    } == {name: f"=={pins[name]}" for name in direct()}


def test_the_lock_is_hashed_and_names_no_index():
    pinned = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in pinned)
    assert not re.search(r"https?://|--index|--extra-index|--find-links|@ file", LOCK)


def test_the_environment_names_public_channels_only():
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]


def test_continuous_integration_runs_make_test_on_every_python_that_is_supported():
    job = yaml.safe_load((HOME / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"][
        "test"
    ]
    versions = job["strategy"]["matrix"]["python"]
    supported = SpecifierSet(PROJECT["requires-python"])
    assert versions == [f"3.{minor}" for minor in range(30) if f"3.{minor}.9" in supported]
    assert job["steps"][-1]["run"] == "make test PYTHON=python"
    assert {re.match("[a-z]+", system)[0] for system in job["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
    }


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(name):
    text = (HOME / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert [link for link in links if "://" not in link and not (HOME / link).exists()] == []


def test_the_changes_of_this_version_are_told():
    assert f"## {finlib.__version__}\n" in (HOME / "CHANGELOG.md").read_text(encoding="utf-8")
