"""Ctrl-C in the middle of long work: a run ends soon, leaves nothing half-written, and resumes."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finlib.checkpoint import Checkpoint
from finlib.command import cli, interruption, process, search
from finlib.hashing import tables
from finlib.matching import near
from finlib.matching.pairs import pairs_within

# Runs the command line with one function replaced. The replacement reports that it was called and
# then keeps the run busy as a kernel does: without the interpreter, and for hours. No signal ends
# pbkdf2_hmac, and nothing has to be compiled for it. It reports by os.write, because several
# threads may call it.
BUSY = """
import os
import sys
from hashlib import pbkdf2_hmac
from pkgutil import resolve_name
from finlib.command import cli

def keep_busy(*_, **__):
    os.write(1, b"busy\\n")
    return pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1, 1 << 20)

owner, name = sys.argv.pop(1).rsplit(".", 1)
setattr(resolve_name(owner), name, keep_busy)
cli.main()
"""


def write_hashes(path: Path, n: int = 3000, seed: int = 1, hasher: str = "find") -> Path:
    """Write a table of n random hashes, by default of FINd, three of each."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n // 3, 32), np.uint8).repeat(3, 0)
    rows = []
    for i, hash_ in enumerate(packed):
        text = hash_.tobytes().hex()
        rows.append((f"{i}.png", "", 9, 9, hasher, text, 50.0, "", i, i))
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), path)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command line in this process; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, words)])
    return process.run(cli.app)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("finlib.matching.hamming.scan", "match h.parquet --radius 9 -o out.csv"),
        (
            "finlib.matching.hamming.find_nearest",
            "match h.parquet --nearest 2 -o out.parquet --workers 1",
        ),
        ("finlib.clustering.clusterer.split_groups", "cluster h.parquet --workers 1 -o out.csv"),
        ("PIL.Image.Image.thumbnail", "show p.csv -o out.html"),
        ("finlib.hashing.hashers.Hasher.read", "hash album -o out.parquet"),
        ("finlib.hashing.hashers.Hasher.read", "duplicates album -o out.csv"),
        ("finlib.hashing.hashers.Hasher.read", "evaluate album -o out.csv"),
    ],
)
def test_ctrl_c_ends_a_busy_run_and_leaves_nothing_behind(
    function: str, arguments: str, album: Path, tmp_path: Path
) -> None:
    write_hashes(tmp_path / "h.parquet")
    picture = str(album / "0000_0.jpg")
    pairs = pd.DataFrame([(picture, picture, 1)], columns=list(tables.PAIRS))
    pairs.to_csv(tmp_path / "p.csv", index=False)
    before = {path.name for path in tmp_path.iterdir()}
    command = [sys.executable, "-c", BUSY, function, *arguments.split()]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "busy\n"
            running.send_signal(signal.SIGINT)
            _, messages = running.communicate(timeout=60)  # on its own it would take hours
        finally:
            running.kill()
    assert running.returncode == 1
    assert messages.splitlines()[-1].startswith("finlib: interrupted; ")
    assert "Traceback" not in messages
    name = arguments.split()[0]
    output = arguments.split("-o ")[1].split()[0]
    after = {path.name for path in tmp_path.iterdir()}
    may_be_left = {f"{output}.parts"} if name in ("match", "cluster") else set()
    assert before <= after
    assert after - before <= may_be_left
    parts = [path.suffix for path in tmp_path.glob("*.parts/*")]
    assert parts == ([".npz"] if name == "cluster" else [])


FINALISED = """
import signal, time
from finlib.command import interruption

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

with interruption.watch(lambda: print("reported", flush=True)):
    Interrupted()
    time.sleep(600)
"""


def test_ctrl_c_that_meets_a_finaliser_ends_the_run_without_a_message_of_python() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINALISED], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "reported\n", "")


def test_an_error_after_ctrl_c_is_reported_as_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(interruption, "was_interrupted", threading.Event())
    assert process.run(fail) == 1
    assert capsys.readouterr().err == "finlib: release unlocked lock\n"
    interruption.was_interrupted.set()
    assert process.run(fail) == 1
    assert capsys.readouterr().err.startswith("finlib: interrupted; ")


class Calls:
    """Wrap functions to count their calls together, and interrupt the run at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.interrupted_at: int | None = None

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.interrupted_at:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return call

    def restart(self, interrupted_at: int | None = None) -> None:
        self.count = 0
        self.interrupted_at = interrupted_at


@pytest.mark.parametrize("again", ["same", "other"])
def test_a_clustering_resumes_but_not_from_the_work_of_other_hashes(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    calls = Calls()
    monkeypatch.setattr(near, "EXACT", 0)  # searches go in passes, small as the set is
    monkeypatch.setattr(Checkpoint, "save_arrays", calls.counted(Checkpoint.save_arrays))
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    first = write_hashes(tmp_path / "first.parquet", seed=1)
    second = first
    if again == "other":
        second = write_hashes(tmp_path / "second.parquet", seed=2)

    assert run(monkeypatch, "cluster", second, "-o", whole) == 0
    saves = calls.count
    calls.restart(interrupted_at=saves - 1)
    assert run(monkeypatch, "cluster", first, "-o", output) == 1
    assert list(tmp_path.glob("out.csv.parts/*.npz"))
    calls.restart()
    assert run(monkeypatch, "cluster", second, "-o", output) == 0

    assert calls.count == (2 if again == "same" else saves)
    warned = [str(warning.message) for warning in recwarn]
    assert all("cannot be used, so this work is done again" in message for message in warned)
    assert bool(warned) == (again == "other")
    pd.testing.assert_frame_equal(pd.read_csv(output), pd.read_csv(whole))
    assert not list(tmp_path.glob("out.csv.parts"))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The steps of a search, each of 64 hashes."""
    calls = Calls()
    monkeypatch.setattr(search, "HASHES_PER_STEP", 64)
    monkeypatch.setattr(search, "COMPARISONS_PER_STEP", 0)
    monkeypatch.setattr(search, "iter_pairs", calls.counted(search.iter_pairs))
    monkeypatch.setattr(search, "neighbours", calls.counted(search.neighbours))
    return calls


def spoil(parts: Path, how: str) -> None:
    """Do to the parts of an interrupted run what its name says."""
    first, *_, last = sorted(parts.iterdir())
    content = first.read_bytes()
    if how == "first cut":
        first.write_bytes(content[:-9])
    elif how == "first flipped":
        first.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif how == "first lost":
        first.unlink()
    elif how == "last cut":
        last.write_bytes(last.read_bytes()[:-9])


# Of five steps three were finished: what happened to them, and the steps that are still to be done.
SPOILT = {
    "not": 2,
    "other hashes": 5,
    "first cut": 5,
    "first flipped": 5,
    "first lost": 5,
    "last cut": 3,
}


@pytest.mark.parametrize("how", ["--radius 60", "--radius 60 --against old.parquet", "--nearest 2"])
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_match_resumes_after_the_steps_that_can_be_used(
    how: str,
    spoilt: str,
    steps: Calls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_hashes(tmp_path / "old.parquet", 90)
    first = write_hashes(tmp_path / "first.parquet", 300)
    second = first
    if spoilt == "other hashes":
        second = write_hashes(tmp_path / "second.parquet", 297)
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"

    assert run(monkeypatch, "match", second, "-o", whole, *how.split()) == 0
    assert steps.count == 5
    steps.restart(interrupted_at=4)
    assert run(monkeypatch, "match", first, "-o", output, *how.split()) == 1
    assert not output.exists()
    spoil(tmp_path / "out.csv.parts", spoilt)
    steps.restart()
    assert run(monkeypatch, "match", second, "-o", output, *how.split()) == 0

    assert steps.count == SPOILT[spoilt]
    warned = [str(warning.message) for warning in recwarn]
    assert len(warned) == (spoilt != "not")
    assert all("cannot be used, so this work is done again" in message for message in warned)
    pd.testing.assert_frame_equal(pd.read_csv(output), pd.read_csv(whole))
    assert len(pd.read_csv(output)) >= 180
    assert not list(tmp_path.glob("out.csv.parts"))


def test_a_match_within_a_set_is_not_one_of_it_with_itself(
    steps: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    table = write_hashes(tmp_path / "h.parquet", 300)
    output = tmp_path / "o.parquet"
    command = ["match", table, "--radius", 9, "-o", output]
    steps.restart(interrupted_at=4)
    assert run(monkeypatch, *command) == 1
    assert len(list(tmp_path.glob("*.parts/*"))) == 3
    steps.restart()
    assert run(monkeypatch, *command, "--against", table) == 0
    assert len(tables.read_columns(output)) == 600
    assert "this work is done again" in str(recwarn.pop().message)


def test_a_match_by_another_distance_is_another_search(
    steps: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    table = write_hashes(tmp_path / "h.parquet", 300, hasher="dhash256")
    output = tmp_path / "o.parquet"
    command = ["match", table, "--radius", 30, "-o", output]
    by_rows = [*command, "--distance", "rows"]
    steps.restart(interrupted_at=4)
    assert run(monkeypatch, *command) == 1
    steps.restart(interrupted_at=4)
    assert run(monkeypatch, *by_rows) == 1
    assert "this work is done again" in str(recwarn.pop().message)
    assert len(list(tmp_path.glob("*.parts/*"))) == 3
    steps.restart()
    assert run(monkeypatch, *by_rows) == 0
    assert steps.count == 2
    assert not recwarn.list
    pairs = tables.read_columns(output)
    packed = tables.packed_hashes(tables.read_hashes(table))
    expected = pairs_within(packed, 30, distance="rows")
    assert pairs["distance"].tolist() == expected.distance.tolist()
    assert len(pairs) >= 100


def test_a_match_that_was_refused_resumes_with_a_higher_limit(
    steps: Calls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = write_hashes(tmp_path / "h.parquet", 300)
    parts = tmp_path / "o.csv.parts"
    parts.mkdir()
    (parts / "part-00000000.parquet").write_text("of `finlib hash`")
    command = ["match", table, "--nearest", 2, "-o", tmp_path / "o.csv", "--max-pairs"]

    assert run(monkeypatch, *command, 500) == 2
    assert "raise --max-pairs: the search then resumes" in capsys.readouterr().err
    assert len(list(parts.glob("pairs-*"))) == 3
    assert run(monkeypatch, *command, 500) == 2
    steps.restart()
    assert run(monkeypatch, *command, 600) == 0
    assert steps.count == 2
    assert len(pd.read_csv(tmp_path / "o.csv")) == 600
    assert [path.name for path in parts.iterdir()] == ["part-00000000.parquet"]
