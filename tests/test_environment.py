"""What is imported is declared, and pyproject.toml, requirements.lock and environment.yml give it
one version.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import finlib

HOME = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (HOME / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((HOME / "environment.yml").read_text(encoding="utf-8"))
WORKFLOWS = HOME / ".github" / "workflows"
SUPPORTED = [
    line.rpartition(" ")[2]
    for line in PROJECT["classifiers"]
    if line.startswith("Programming Language :: Python :: 3.")
]
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
        (
            lambda: [*modules("workbook/**/*.py"), *cells()],
            ("dask", "heic", "pdq", "workbook", "docs"),
        ),
        (lambda: modules("tests/**/*.py"), ("dask", "heic", "pdq", "workbook", "docs", "dev")),
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
    oldest, newest = SUPPORTED[0], SUPPORTED[-1]
    after_newest = f"3.{int(newest.partition('.')[2]) + 1}"
    assert Requirement(python) == Requirement(f"python>={oldest},<{after_newest}")
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


def workflow(name):
    """A workflow; YAML takes its word `on` for True."""
    return yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))


def test_continuous_integration_runs_make_test_on_every_python_that_is_supported():
    job = workflow("test.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == SUPPORTED
    assert job["steps"][-1]["run"] == "make test PYTHON=python"
    assert {re.match("[a-z]+", system)[0] for system in job["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
    }


def test_newer_commits_cancel_tests_and_people_can_start_them():
    tests = workflow("test.yml")
    assert tests["concurrency"]["cancel-in-progress"] is True
    assert "workflow_dispatch" in tests[True]


def test_a_release_is_published_without_a_password_by_a_job_that_runs_no_other_code():
    release = workflow("release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}
    assert release["permissions"] == {}
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    actions = [step["uses"].partition("@")[0] for step in publish["steps"]]
    assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert "secrets." not in (WORKFLOWS / "release.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_every_make_target_and_job_of_a_workflow_exists(path):
    makefile = (HOME / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) | {".venv/.ready"}
    jobs = workflow(path.name)["jobs"]
    for job in jobs.values():
        assert job["timeout-minutes"] <= 60
        assert job.get("needs", "build") in jobs or "needs" not in job
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert set(re.findall(r"^make (\S+)", step.get("run", ""))) <= targets


def citation():
    return yaml.safe_load((HOME / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_what_it_builds_on():
    assert citation()["version"] == finlib.__version__
    assert len(citation()["references"]) > 3


def test_the_container_has_a_python_that_is_supported_and_makes_the_environment():
    text = (HOME / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(text)
    assert container["image"].rpartition(":")[2] in SUPPORTED
    assert container["postCreateCommand"] == "make .venv/.ready"


@pytest.fixture(scope="module")
def core_lock(tmp_path_factory):
    """The lock without PDQ, which alone is built where it is installed."""
    entries = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)
    path = tmp_path_factory.mktemp("lock") / "core.lock"
    path.write_text("".join(entry for entry in entries if not entry.startswith("pdqhash==")))
    return path


LINUX = "x86_64-manylinux_2_28"
MAC = "aarch64-apple-darwin"


@pytest.mark.parametrize(
    ("version", "platform"),
    [*((version, LINUX) for version in SUPPORTED), (SUPPORTED[-1], MAC)],
)
def test_every_package_of_the_lock_has_a_wheel(version, platform, core_lock, tmp_path):
    """Resolved as for another machine, from what the package index lists; nothing is installed."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("uv is not installed")
    command = [uv, "pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:"]
    command += ["--python-version", version, "--python-platform", platform]
    command += ["--target", tmp_path, "-r", core_lock]
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "15.0"},
    )
    if re.search("error sending request|Failed to fetch|timed out", finished.stderr):
        pytest.skip("the package index cannot be reached")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(name):
    text = (HOME / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert [link for link in links if "://" not in link and not (HOME / link).exists()] == []


def test_the_changes_of_this_version_are_listed_by_kind():
    text = (HOME / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (.+)$", text, re.MULTILINE)[0]
    released = citation()["date-released"]
    assert newest in ("Unreleased", f"{finlib.__version__} - {released}")
    kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
