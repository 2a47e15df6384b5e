"""Faults of the machine are told from those of files, and name a remedy."""

import errno
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numba
import pytest
from PIL import Image

from finlib.hashing import execution, hashers
from finlib.machine import MachineFault, find_fault

KERNEL = """
from numba import njit

@njit(cache=True)
def inner(x):
    return x + 1

@njit(cache=True)
def outer(x):
    return 2 * inner(x)
"""


def load_kernels(file: Path) -> ModuleType:
    """Import a file with kernels anew, as another process would."""
    spec = importlib.util.spec_from_file_location("kernels_of_this_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with kernels whose compiled code is kept in a folder of its own."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "kernels.py"
    file.write_text(KERNEL)
    return file


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("length", [0, 20])
def test_damaged_compiled_code_is_named(kernels: Path, suffix: str, length: int) -> None:
    assert load_kernels(kernels).outer(3) == 8
    damaged = list((kernels.parent / "cache").rglob(f"*{suffix}"))
    assert damaged
    for file in damaged:
        file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(Exception) as caught:  # noqa: PT011
        load_kernels(kernels).outer(3)
    fault = find_fault(caught.value)
    assert "compiled code that an earlier run has kept is damaged" in str(fault)
    assert "NUMBA_CACHE_DIR" in str(fault)


def test_compiled_code_that_cannot_be_kept_is_named(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/kernel.nbi")

    monkeypatch.setattr("numba.core.caching.open", refuse, raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        load_kernels(kernels).outer(3)
    assert str(find_fault(caught.value)).startswith(
        "compiled code cannot be kept in /cache (No space left on device). Free some space"
    )


def test_a_home_and_package_that_cannot_be_written_are_named(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    with pytest.raises(RuntimeError) as caught:
        load_kernels(kernels)
    assert "neither the folder of finlib nor the home folder" in str(find_fault(caught.value))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_the_systems_faults_are_found_behind_other_errors(number: int, remedy: str) -> None:
    try:
        try:
            raise OSError(number, os.strerror(number), "name")
        except OSError as error:
            raise ValueError("the file is damaged") from error
    except ValueError as error:
        fault = find_fault(error)
    assert str(fault).startswith("name: ")
    assert remedy in str(fault)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), OSError("truncated"), ValueError("odd")]
)
def test_a_files_fault_is_none_of_the_machine(error: Exception) -> None:
    assert find_fault(error) is None


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_a_fault_of_the_machine_ends_a_run_and_is_no_files_error(
    executor: execution.ExecutorName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(hashers.Hasher, "read", fail)
    with pytest.raises(MachineFault, match="the disk is full"):
        execution.hash_files([tmp_path / "a.png"], executor=executor)


def test_too_many_open_files_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr("finlib.hashing.images._open_without_waiting", refuse)
    with pytest.raises(MachineFault, match="too many files are open"):
        execution.hash_files([tmp_path / "a.png"])
