"""The package as another project meets it: cheap to import, few typed public names, whole when
built.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

import finlib

ROOT = Path(__file__).resolve().parents[1]


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(finlib.__all__) == finlib.__all__
    for name in finlib.__all__:
        assert getattr(finlib, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = finlib.nothing


@pytest.mark.parametrize("name", finlib.__all__)
def test_every_public_function_has_an_example(name: str) -> None:
    offered = getattr(finlib, name)
    if not isinstance(offered, dict | type):
        assert ">>> " in offered.__doc__


EXAMPLES = [
    path
    for path in sorted((ROOT / "finlib").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    found = doctest.testmod(import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {"hashers", "execution", "pairs", "clusters"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "finlib", source / "finlib", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        out,
        source,
    ]
    subprocess.run([*map(str, command), "--disable-pip-version-check"], check=True)
    (built,) = out.glob("finlib-*.whl")
    return built


def test_a_wheel_holds_the_package_its_types_and_its_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "finlib").rglob("*.py")} | {
        "finlib/py.typed"
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, with this one's packages beside it but not this checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    code = (
        "import finlib; from PIL import Image; image = Image.linear_gradient('L').resize((48, 48));"
        "print(finlib.__file__); print(finlib.findhash(image) - finlib.findhash(image.rotate(90)))"
    )
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # compiling is proven elsewhere, and takes long
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stderr
    place, distance = done.stdout.split()
    assert Path(place).is_relative_to(site)
    assert int(distance) > 0


# In an environment of its own, with packages from the index --------------------------------------

NOTEBOOK_PACKAGES = {"ipykernel", "jupyterlab", "matplotlib", "nbclient", "papermill", "seaborn"}


def run_or_skip(command: list[object], **options: object) -> str:
    """What a command prints; the test is skipped where the package index cannot be reached."""
    finished = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    if re.search("error sending request|Failed to fetch|timed out", finished.stderr):
        pytest.skip("the package index cannot be reached")
    assert finished.returncode == 0, finished.stderr
    return str(finished.stdout)


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=Path(sys.executable).parent)
    if found is None:
        pytest.skip("uv is not installed")
    return found


@pytest.fixture(scope="module")
def distributions(uv: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The source distribution, and the wheel that is built from it, both in isolation."""
    out = tmp_path_factory.mktemp("dist")
    run_or_skip([uv, "build", "--quiet", "--out-dir", out, ROOT])
    return {"source": next(out.glob("*.tar.gz")), "wheel": next(out.glob("*.whl"))}


@pytest.mark.slow
def test_the_source_distribution_holds_the_package_and_nothing_of_the_workbook(
    distributions: dict[str, Path],
) -> None:
    with tarfile.open(distributions["source"]) as archive:
        names = archive.getnames()
    folders = {Path(name).parts[1] for name in names if len(Path(name).parts) > 2}
    assert folders == {"finlib", "finlib.egg-info"}
    assert any(name.endswith("finlib/matching/thresholds.csv") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_it_installs_without_a_compiler_and_finds_duplicates(
    kind: str, uv: str, distributions: dict[str, Path], album: Path, tmp_path: Path
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run_or_skip([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"])
    no_compiler = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false"}
    no_compiler.pop("PYTHONPATH", None)
    from_wheels = ["--only-binary", ":all:", "--no-binary", "finlib"]
    install = [uv, "pip", "install", "--quiet", "--python", python]
    if kind == "wheel":
        from_wheels = ["--only-binary", ":all:"]
    run_or_skip([*install, *from_wheels, distributions[kind]], env=no_compiler)
    code = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    installed = set(run_or_skip([python, "-I", "-c", code]).split())
    assert "finlib" in installed
    assert not installed & NOTEBOOK_PACKAGES
    assert len(list(album.rglob("*.*"))) == 10
    groups = tmp_path / "groups.csv"
    command = [python.with_name("finlib"), "duplicates", album, "-o", groups]
    run_or_skip(command, env=no_compiler, cwd=tmp_path)
    assert len(pd.read_csv(groups)) == 3


def test_importing_finlib_imports_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import finlib;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"finlib"}
