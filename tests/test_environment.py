"""pyproject.toml, requirements.lock and environment.yml ask for the same packages at the same versions."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (HOME / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((HOME / "environment.yml").read_text(encoding="utf-8"))
CONDA_NAMES = {"dask-core": "dask", "faiss": "faiss-cpu", "matplotlib-base": "matplotlib", "python": ""}


def direct():
    """Canonical names of what the project asks for itself, extras included."""
    extras = PROJECT["optional-dependencies"].values()
    return {
        canonicalize_name(Requirement(line).name)
        for line in [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    }


def locked():
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.M)}


def environment():
    """Canonical name on PyPI -> version, from conda's part and from pip's."""
    found = {}
    for line in ENVIRONMENT["dependencies"]:
        for spec in line["pip"] if isinstance(line, dict) else [line]:
            if spec in {"pip", "cxx-compiler"} or spec.startswith("-"):
                continue
            name, version = re.fullmatch(r"([\w.-]+)={1,2}([\w.*]+)", spec).groups()
            name = canonicalize_name(CONDA_NAMES.get(name, name) or "python")
            assert name not in found, f"{name} stands twice"
            found[name] = version
    return found


def test_every_direct_dependency_is_locked_and_in_the_environment():
    assert direct() <= set(locked())
    assert set(environment()) == direct() | {"python"}


def test_versions_agree():
    pins = locked()
    assert {name: version for name, version in environment().items() if name != "python"} == {
        name: pins[name] for name in direct()
    }


def test_python_is_one_that_the_project_supports():
    from packaging.specifiers import SpecifierSet

    assert environment()["python"].removesuffix(".*") + ".9" in SpecifierSet(PROJECT["requires-python"])


def test_the_lock_is_hashed_and_names_no_index():
    pinned = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in pinned)
    assert not re.search(r"https?://|--index|--extra-index|--find-links|@ file", LOCK)


def test_the_environment_names_public_channels_only():
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
