"""A command in its process: closed and broken streams, and a user's program that calls `main`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from finlib.command import cli, process
from finlib.files import one_line
from finlib.hashing import tables

COMMAND = f"{sys.executable} -m finlib.command.cli hash pictures -o out.csv"


@pytest.fixture
def pictures(tmp_path: Path, picture: Image.Image) -> Path:
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        picture.rotate(90 * number).save(tmp_path / f"pictures/{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    "streams",
    ["2>&-", "0<&-", "1>&-", "0<&- 1>&- 2>&-", "2>/dev/full"],
)
def test_results_are_written_whatever_becomes_of_the_streams(streams: str, pictures: Path) -> None:
    if "full" in streams and not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    done = subprocess.run(["sh", "-c", f"{COMMAND} {streams}"], cwd=pictures, check=False)
    assert done.returncode == 0
    table = tables.read_hashes(pictures / "out.csv")
    assert (table["error"] == "").tolist() == [True, True]


def test_messages_that_nobody_reads_are_lost_and_nothing_else(pictures: Path) -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    done = subprocess.run(COMMAND.split(), cwd=pictures, stderr=sender, check=False)
    os.close(sender)
    assert done.returncode == 0
    assert len(tables.read_hashes(pictures / "out.csv")) == 2


def test_a_failed_run_says_so_by_its_status_where_nobody_can_read_it(tmp_path: Path) -> None:
    done = subprocess.run(["sh", "-c", f"{COMMAND} 2>&-"], cwd=tmp_path, check=False)
    assert done.returncode == 2


def test_a_list_on_a_closed_standard_input_is_wrong_use(tmp_path: Path) -> None:
    command = f"{sys.executable} -m finlib.command.cli hash - -o out.csv 0<&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Standard input is closed" in done.stderr


PROGRAM = """
import logging, os, signal, subprocess, sys, time, warnings
from multiprocessing import get_context
from finlib.command import cli

def state():
    return {
        "handler": signal.getsignal(signal.SIGINT),
        "wakeup": signal.set_wakeup_fd(signal.set_wakeup_fd(-1)),
        "hook": sys.unraisablehook,
        "showwarning": warnings.showwarning,
        "warnoptions": list(sys.warnoptions),
        "disabled": logging.getLogger("distributed.client").disabled,
        "pool": os.environ.get("ARROW_DEFAULT_MEMORY_POOL"),
        "stderr": sys.stderr,
        "descriptors": sorted(os.listdir("/dev/fd")),
        "pixels": sys.modules["PIL.Image"].MAX_IMAGE_PIXELS,
    }

if __name__ == "__main__":
    import PIL.Image
    own = os.pipe()[1]
    os.set_blocking(own, False)
    signal.set_wakeup_fd(own)
    child = subprocess.Popen(["sleep", "600"])
    worker = get_context("spawn").Process(target=time.sleep, args=(600,))
    worker.start()
    sys.argv = ["finlib", "hash", "pictures", "-o", "out.csv", "--max-pixels", "20000"]
    before = state()
    try:
        cli.main()
    except SystemExit as error:
        status = error.code
    after = state()
    alive = child.poll() is None and worker.is_alive()
    child.kill()
    worker.kill()
    changed = [name for name in before if before[name] != after[name]]
    print(status, alive, changed)
"""


def test_a_program_that_calls_main_keeps_what_is_its_own(pictures: Path) -> None:
    (pictures / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=pictures,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "0 True []\n", done.stderr


INTERRUPTED_PROGRAM = """
import os, signal, sys
from finlib.command import cli, hashing

def interrupt(*_, **__):
    signal.raise_signal(signal.SIGINT)

hashing.hash_into = interrupt
sys.argv = ["finlib", "hash", "pictures", "-o", "out.csv"]
try:
    cli.main()
except SystemExit as error:
    print("still here", error.code)
"""


def test_ctrl_c_ends_the_command_but_not_the_program_that_called_it(pictures: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_PROGRAM],
        cwd=pictures,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "still here 1\n"
    assert done.stderr.startswith("finlib: interrupted; ")


@pytest.mark.parametrize("unsafe", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\u2066", "\x00"])
def test_names_cannot_steer_a_terminal(
    unsafe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = unsafe.encode("unicode_escape").decode()
    assert one_line(f"a{unsafe}b.jpg: no") == f"a{shown}b.jpg: no"
    monkeypatch.setattr(sys, "argv", ["finlib", "hash", f"a{unsafe}b", "-o", "out.csv"])
    assert process.run(cli.app) == 2
    message = capsys.readouterr().err
    assert unsafe not in message
    assert message.count("\n") == 1
