"""Files appear whole or not at all, one run writes at a time, and names survive as text."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from finlib.files import (
    LARGEST,
    create_file,
    file_digest,
    file_state,
    lock,
    one_line,
    path_to_text,
    text_to_path,
    unfinished_files,
    write_atomically,
)


def write_half(path: Path) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text("half of")
        raise OSError("the disk is full")


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file"
    with write_atomically(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary in unfinished_files
        assert unfinished_files == set(path.parent.iterdir())
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    assert not unfinished_files


def test_a_file_that_could_not_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="disk is full"):
        write_half(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    assert not unfinished_files


def test_one_of_two_writers_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with write_atomically(path) as temporary:
        temporary.write_text("of the first")
        with pytest.raises(RuntimeError, match=f"{path} is being written by another run"):
            write_half(path)
    assert path.read_text() == "of the first"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_names_are_not_known_before_and_no_link_is_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    (tmp_path / ".file.tmp").symlink_to(other)
    (tmp_path / ".file.writing").symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"), write_atomically(tmp_path / "file"):
        pass
    (tmp_path / ".file.writing").unlink()
    names = set()
    for _ in range(2):
        with write_atomically(tmp_path / "file") as temporary:
            temporary.write_text("whole")
            names.add(temporary.name)
    assert len(names) == 2
    with pytest.raises(FileExistsError):
        create_file(tmp_path / ".file.tmp")
    assert other.read_text() == "of somebody else"


def test_a_file_of_the_locks_name_is_left_alone_where_it_is_a_persons(tmp_path: Path) -> None:
    own = tmp_path / ".file.writing"
    own.write_text("a diary")
    with (
        pytest.raises(FileExistsError, match="is not a file of finlib"),
        write_atomically(tmp_path / "file"),
    ):
        pass
    assert own.read_text() == "a diary"


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_the_permissions_of_a_file_that_is_replaced_stay(mode: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    (tmp_path / "plain").touch()
    for name in ("file", "new"):
        with write_atomically(tmp_path / name) as temporary:
            temporary.write_text("whole")
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes["file"] == mode
    assert modes["new"] == modes["plain"]


def test_a_lock_is_free_again_when_its_block_ends(tmp_path: Path) -> None:
    lock_file = tmp_path / "lock"
    for _ in range(2):
        with lock(lock_file, tmp_path / "file"):
            assert lock_file.exists()
        assert not lock_file.exists()


def test_a_lock_that_cannot_be_made_names_the_file_to_write(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("in the way")
    path = tmp_path / "no folder" / "t.csv"
    message = r"t\.csv cannot be written, because .*\.lock cannot be made beside it \("
    with pytest.raises(OSError, match=message), lock(path.with_name(".lock"), path):
        pytest.fail("the lock was taken")


def test_a_new_file_of_the_locks_name_is_left_alone(tmp_path: Path) -> None:
    """It is another run's: this run's own has been renamed."""
    lock_file = tmp_path / "lock"
    with lock(lock_file, tmp_path / "file"):
        lock_file.rename(tmp_path / "renamed")
        lock_file.touch()
    assert lock_file.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from finlib.files import write_atomically

with write_atomically(Path(sys.argv[1])) as temporary:
    temporary.write_text("more than is written afterwards")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(list(tmp_path.glob(".file.*.tmp"))) == 1
    with write_atomically(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


NAMES = [
    b"caf\xe9.jpg",
    b"caf\\xe9.jpg",
    b"caf\\x5cxe9.jpg",
    b"a\\b\xff",
    b"a\\b",
    "été.jpg".encode(),
    b"\\x",
    b"x/=1",
]


def test_every_name_has_a_text_of_its_own_that_leads_back_to_it() -> None:
    paths = [os.fsdecode(name) for name in NAMES]
    texts = [path_to_text(path) for path in paths]
    assert len(set(texts)) == len(paths)
    assert [text_to_path(text) for text in texts] == paths
    assert (texts[0], texts[4], texts[5]) == ("caf\\xe9.jpg", "a\\b", "été.jpg")
    assert path_to_text(Path("été.jpg")) == "été.jpg"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_text_of_a_path_begins_a_formula(start: str) -> None:
    text = path_to_text(f"{start}1+1.png")
    assert text == f"./{start}1+1.png"
    assert text_to_path(text) == text
    assert path_to_text(f"folder/{start}1.png") == f"folder/{start}1.png"


def test_a_message_is_one_line_of_text() -> None:
    name = os.fsdecode(b"caf\xe9\n.jpg")
    assert one_line(f" {name}:\tno such  file\n") == "caf\\xe9 .jpg: no such file"
    assert one_line(OSError(2, "gone")) == "[Errno 2] gone"


@pytest.mark.parametrize("year", [1600, 2300])
def test_a_date_beyond_64_bits_is_the_nearest_that_they_hold(year: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    seconds = (year - 1970) * 31_556_952
    try:
        os.utime(path, (seconds, seconds))
    except OSError:
        pytest.skip("this file system has no such dates")
    state = file_state(path)
    assert state is not None
    if abs(os.stat(path).st_mtime_ns) > LARGEST:
        assert state.modified_ns == (LARGEST if year > 1970 else -LARGEST)


def test_all_names_of_a_file_have_one_device_and_inode(tmp_path: Path) -> None:
    file, hard, soft = (tmp_path / name for name in ("file", "hard", "soft"))
    file.write_text("content")
    os.link(file, hard)
    soft.symlink_to(file)
    assert len({file_state(path) for path in (file, hard, soft)}) == 1
    assert file_state(tmp_path / "none") is None


def test_a_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    contents = {"a": b"1" * 5_000_000, "b": b"1" * 5_000_000, "c": b"1" * 4_999_999 + b"2"}
    digests = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        digests[name] = file_digest(tmp_path / name)
    assert digests["a"] == digests["b"] != digests["c"]
    assert len(digests["a"]) == 32
