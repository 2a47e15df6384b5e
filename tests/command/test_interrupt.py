"""Ctrl-C in the middle of long work: the run ends, nothing half-written stays, and what was finished is used again."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finlib.checkpoint import Checkpoint
from finlib.command import cli, interruption, search
from finlib.hashing import tables
from finlib.matching import near

# What is patched says so and then holds on as a kernel does: without the interpreter, and for hours.
HELD = """
import os
import sys
from hashlib import pbkdf2_hmac
from importlib import import_module
from finlib.command import cli, process

def held(*_, **__):
    os.write(1, b"held\\n")  # at once: several threads may be held
    return pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1, 1 << 20)  # no signal ends it, and nothing is compiled for it

module, name = sys.argv.pop(1).rsplit(":", 1)
setattr(import_module(module), name, held)
cli.main()
"""


def table_of(path: Path, n: int = 3000, seed: int = 1) -> Path:
    packed = np.random.default_rng(seed).integers(0, 256, (n // 3, 32), np.uint8).repeat(3, 0)
    rows = [
        (f"{i}.png", "", 9, 9, "find", row.tobytes().hex(), 50.0, "", i, i)
        for i, row in enumerate(packed)
    ]
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), path)
    return path


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        ("finlib.matching.hamming:scan", "match h.parquet --radius 9 -o out.csv"),
        (
            "finlib.matching.hamming:find_nearest",
            "match h.parquet --nearest 2 -o out.parquet --workers 1",
        ),
        ("finlib.clustering.centres:_split_groups", "cluster h.parquet --workers 1 -o out.csv"),
        ("finlib.command.page:thumbnail", "show p.csv -o out.html"),
        ("finlib.hashing.execution:hash_row", "hash album -o out.parquet"),
    ],
)
def test_ctrl_c_ends_what_holds_on_and_leaves_nothing_behind(
    kernel: str, arguments: str, album: Path, tmp_path: Path
) -> None:
    table_of(tmp_path / "h.parquet")
    pd.DataFrame([("a", "b", 1)], columns=list(tables.PAIRS)).to_csv(
        tmp_path / "p.csv", index=False
    )
    before = sorted(path.name for path in tmp_path.iterdir())
    held = [sys.executable, "-c", HELD, kernel, *arguments.split()]
    with subprocess.Popen(
        held, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "held\n"
            run.send_signal(signal.SIGINT)
            _, said = run.communicate(timeout=60)  # it would hold on for hours
        finally:
            run.kill()
    assert run.returncode == 1
    assert said.splitlines()[-1].startswith("finlib: interrupted; ")
    assert "Traceback" not in said
    command, output = arguments.split()[0], arguments.split("-o ")[1].split()[0]
    after = {path.name for path in tmp_path.iterdir()} - set(before)
    assert after <= ({f"{output}.parts"} if command in ("match", "cluster") else set())
    assert {path.name for path in tmp_path.iterdir()} >= set(before)
    assert [path.suffix for path in tmp_path.glob("*.parts/*")] == [".npz"] * (command == "cluster")


FINALISED = """
import signal, time
from finlib.command import interruption

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

interruption.watched(lambda: print("said", flush=True))
Interrupted()
time.sleep(600)
"""


def test_ctrl_c_that_meets_a_finaliser_ends_the_run_without_a_word_of_python() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FINALISED], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (1, "said\n", "")


def test_what_fails_after_ctrl_c_is_its_doing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut_short(**_: object) -> None:
        raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(cli, "app", cut_short)
    monkeypatch.setattr(interruption, "heard", threading.Event())
    assert process.run(cli.app) == 1
    assert capsys.readouterr().err == "finlib: release unlocked lock\n"
    interruption.heard.set()
    assert process.run(cli.app) == 1
    assert capsys.readouterr().err.startswith("finlib: interrupted; ")


@pytest.mark.parametrize("again", ["same", "other"])
def test_a_clustering_goes_on_with_what_was_found_but_not_of_other_hashes(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    ran: list[str] = []
    save_arrays = Checkpoint.save_arrays

    def counted(self: Checkpoint, arrays: Any) -> None:
        ran.append(self.name)
        if len(ran) == interrupted:
            raise KeyboardInterrupt
        save_arrays(self, arrays)

    def clustered(seed: int, output: str) -> int:
        ran.clear()
        table = table_of(tmp_path / f"{seed}.parquet", seed=seed)
        monkeypatch.setattr(
            sys, "argv", ["finlib", "cluster", str(table), "-o", str(tmp_path / output)]
        )
        return process.run(cli.app)

    monkeypatch.setattr(near, "EXACT", 0)  # the passes, small as the set is
    monkeypatch.setattr(Checkpoint, "save_arrays", counted)
    interrupted, seed = -1, 1 if again == "same" else 2
    assert clustered(seed, "whole.csv") == 0
    steps, interrupted = len(ran), len(ran) - 1
    assert clustered(1, "out.csv") == 1
    assert list(tmp_path.glob("out.csv.parts/*.npz"))
    interrupted = -1
    assert clustered(seed, "out.csv") == 0
    assert len(ran) == (2 if again == "same" else steps)
    warned = [str(warning.message) for warning in recwarn]
    assert all(message.endswith("this part is done again") for message in warned)
    assert bool(warned) == (again == "other")
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "whole.csv")
    )
    assert not list(tmp_path.glob("out.csv.parts"))


@pytest.mark.parametrize("how", ["--radius 60", "--radius 60 --against old.parquet", "--nearest 2"])
@pytest.mark.parametrize("again", ["same", "other", "damaged", "flipped", "lost"])
def test_a_match_goes_on_with_the_steps_that_ended_but_not_of_another_search(
    how: str,
    again: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    ran: list[int] = []
    steps = search.PairSearch._steps

    def counted(self: search.PairSearch, *arguments: Any) -> Any:
        for step in steps(self, *arguments):
            ran.append(len(ran))
            if len(ran) == interrupted:
                raise KeyboardInterrupt
            yield step

    def matched(n: int, output: str) -> int:
        ran.clear()
        command = ["finlib", "match", str(tables_of[n]), "-o", str(tmp_path / output), *how.split()]
        monkeypatch.setattr(sys, "argv", command)
        return process.run(cli.app)

    tables_of = {n: table_of(tmp_path / f"{n}.parquet", n) for n in (300, 297)}
    table_of(tmp_path / "old.parquet", 90)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "STEP", 64)
    monkeypatch.setattr(search, "COMPARED", 0)
    monkeypatch.setattr(search.PairSearch, "_steps", counted)
    interrupted, n = -1, 297 if again == "other" else 300
    assert matched(n, "whole.csv") == 0
    assert len(ran) == 5
    interrupted = 4
    assert matched(300, "out.csv") == 1
    assert not (tmp_path / "out.csv").exists()
    first = tmp_path / "out.csv.parts" / search.PART.format(0)
    if again == "damaged":
        first.write_bytes(first.read_bytes()[:-9])
    elif again == "flipped":
        first.write_bytes(bytes(byte ^ (at == 200) for at, byte in enumerate(first.read_bytes())))
    elif again == "lost":
        first.unlink()
    interrupted = -1
    assert matched(n, "out.csv") == 0
    assert len(ran) == (2 if again == "same" else 5)
    assert [str(warning.message)[-18:] for warning in recwarn] == ["search starts anew"] * (
        again != "same"
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "whole.csv")
    )
    assert len(pd.read_csv(tmp_path / "out.csv")) >= 180
    assert not list(tmp_path.glob("out.csv.parts"))


def test_a_match_of_a_set_is_not_one_of_it_against_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    def matched(*more: str) -> int:
        command = [
            "finlib",
            "match",
            str(table),
            "--radius",
            "9",
            "-o",
            str(tmp_path / "o.parquet"),
        ]
        monkeypatch.setattr(sys, "argv", [*command, *more])
        return process.run(cli.app)

    table = table_of(tmp_path / "h.parquet", 300)
    with monkeypatch.context() as patch:
        patch.setattr(search, "STEP", 64)
        patch.setattr(search, "COMPARED", 0)
        patch.setattr(
            search.PairSearch, "_check_count", lambda self, written, _: written > 200 and stopped()
        )
        assert matched() == 1
    assert len(list(tmp_path.glob("*.parts/*"))) == 3
    assert matched("--against", str(table)) == 0
    assert len(tables.read_columns(tmp_path / "o.parquet")) == 600
    assert "the search starts anew" in str(recwarn.pop().message)


def test_a_match_that_was_refused_goes_on_with_a_higher_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def matched(limit: int) -> int:
        command = f"finlib match {table} --nearest 2 -o {tmp_path / 'o.csv'} --max-pairs {limit}"
        monkeypatch.setattr(sys, "argv", command.split())
        return process.run(cli.app)

    table = table_of(tmp_path / "h.parquet", 300)
    monkeypatch.setattr(search, "STEP", 64)
    (tmp_path / "o.csv.parts").mkdir()
    (tmp_path / "o.csv.parts" / "part-00000000.parquet").write_text("of `finlib hash`")
    assert matched(500) == 2
    assert "or raise --max-pairs, which goes on from" in capsys.readouterr().err
    kept = len(list(tmp_path.glob("o.csv.parts/pairs-*")))
    assert kept == 3
    assert matched(500) == 2
    assert matched(600) == 0
    assert len(pd.read_csv(tmp_path / "o.csv")) == 600
    assert [path.name for path in tmp_path.glob("o.csv.parts/*")] == ["part-00000000.parquet"]
