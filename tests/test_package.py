"""The package as another project meets it: cheap to import, few typed public names, whole when
built.
"""

import doctest
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import finlib

ROOT = Path(__file__).resolve().parents[1]


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(finlib.__all__) == finlib.__all__
    for name in finlib.__all__:
        assert getattr(finlib, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = finlib.nothing


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
