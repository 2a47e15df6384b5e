"""Write files whole or not at all, lock them against a second run, and write their names as text.

A reader of a file that is written here sees the old content or the new, never half of it. File
names, which may contain any bytes, become UTF-8 text for tables and messages, and this text becomes
a path again.
"""

import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import NamedTuple

# Spreadsheets take a cell that begins with one of these for a formula.
FORMULA_STARTS = (b"=", b"+", b"-", b"@", b"\t", b"\r", b"\n")

DIGEST_BYTES = 16  # of the content of a file
LARGEST = (1 << 63) - 1  # of a column of 64-bit integers

# The files that this process is writing. Code that ends the process at once, without running its
# `finally` blocks, has to remove them.
unfinished_files: set[Path] = set()


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary file to write, which becomes `path` when the block ends without an error.

    It is removed when the block ends with one, and `path` stays as it was. The new file has the
    permissions of the one that it replaces. RuntimeError where another run is writing `path`.
    """
    with lock(path.with_name(f".{path.name}.writing"), path) as is_locked:
        if is_locked:
            _remove_leftovers(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        create_file(temporary)
        unfinished_files.add(temporary)
        try:
            yield temporary
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            unfinished_files.discard(temporary)


def create_file(path: Path) -> None:
    """Create an empty file; FileExistsError where anything has its name, be it a link."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o666))


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of runs that were killed while they wrote `path`."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    for file in path.parent.iterdir():
        if pattern.fullmatch(file.name):
            file.unlink(missing_ok=True)


@contextmanager
def lock(lock_file: Path, path: Path) -> Iterator[bool]:
    """Keep other runs from writing `path` while the block runs.

    `lock_file` is made for the lock and is removed with it. Gives False on a file system without
    locks, on which runs are not kept apart. RuntimeError where another run has locked it;
    FileExistsError where there is a file of that name with something in it; OSError where it
    cannot be made.
    """
    with open(_open_lock_file(lock_file, path), "rb", buffering=0) as opened:
        if os.fstat(opened.fileno()).st_size:
            raise FileExistsError(
                f"{lock_file} is not a file of finlib, but is needed to lock {path}: move it away, "
                "or give another name"
            )
        is_locked = _take_lock(opened, lock_file)
        if is_locked is False:
            raise RuntimeError(
                f"{path} is being written by another run: wait for it to end, or give another name"
            )
        try:
            unfinished_files.add(lock_file)
            yield is_locked is True
        finally:
            unfinished_files.discard(lock_file)
            # By now the file may have been renamed, and another run may have made its own.
            with suppress(FileNotFoundError):
                if _is_still_at(lock_file, opened):
                    lock_file.unlink()


def _open_lock_file(lock_file: Path, path: Path) -> int:
    """Open the lock file of `path`; the file and its folder are made where they are missing."""
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock_file, flags, 0o666)
    except OSError as error:
        raise OSError(
            f"{path} cannot be written, because {lock_file} cannot be made beside it "
            f"({error.strerror}). Give a name in a folder that can be written."
        ) from error


def _take_lock(opened: RawIOBase, lock_file: Path) -> bool | None:
    """Lock the opened file; False where another run has it, or has just removed it, and None where
    the file system has no locks.
    """
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _is_still_at(lock_file, opened)
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # this file system has no locks
        return None


def _is_still_at(path: Path, opened: RawIOBase) -> bool:
    """Return whether `path` still names the opened file; FileNotFoundError where it names none."""
    return os.path.samestat(os.fstat(opened.fileno()), os.stat(path))


class FileState(NamedTuple):
    """What the system says about a file, from which a later run knows whether it has changed.

    bytes: its size.
    modified_ns: when its content was last modified, in nanoseconds since 1970. The dates that 64
        bits cannot hold, which are those before 1678 and after 2262, become the nearest they can.
    device, inode: the file system that it is in, and its number there. Together they are the same
        for all names of one file. 0 where the system has none.
    changed_ns: when its content, its name or its owner last changed, as `modified_ns`.
    """

    bytes: int
    modified_ns: int
    device: int
    inode: int
    changed_ns: int


UNKNOWN_STATE = FileState(0, 0, 0, 0, 0)


def file_state(file: str | Path) -> FileState | None:
    """Return the state of a file, or None where the system does not give it."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return FileState(
        bytes=status.st_size,
        modified_ns=_clamp(status.st_mtime_ns),
        device=_as_signed(status.st_dev),
        inode=_as_signed(status.st_ino),
        changed_ns=_clamp(status.st_ctime_ns),
    )


def _clamp(nanoseconds: int) -> int:
    return max(-LARGEST, min(nanoseconds, LARGEST))


def _as_signed(number: int) -> int:
    """The signed 64-bit integer with the same bits; different numbers stay different."""
    bits = number.to_bytes(16, "little", signed=True)
    return int.from_bytes(bits[:8], "little", signed=True)


def file_digest(file: str | Path) -> str:
    """Return the digest of a file's content, 32 hexadecimal digits; OSError where it is unreadable.

    Files of the same content have the same digest, and any other content has another.
    """
    new_digest = partial(hashlib.blake2b, digest_size=DIGEST_BYTES)
    with open(file, "rb") as content:
        return hashlib.file_digest(content, new_digest).hexdigest()


def content_digest(content: bytes) -> str:
    """Return what `file_digest` returns of a file with this content."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def path_to_text(path: str | Path) -> str:
    r"""Write a path as UTF-8 text for a table. `text_to_path` gives the path back.

    Two paths never have the same text. Bytes that are not UTF-8 are written \xNN; in such a name,
    and in one that has \x in it already, the backslash is written \x5c. A relative path that a
    spreadsheet would take for a formula gets ./ before it.
    """
    raw = os.fsencode(path)
    if raw.startswith(FORMULA_STARTS):
        raw = b"./" + raw
    text = raw.decode("utf-8", "backslashreplace")
    if "\\x" in text:
        return raw.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")
    return text


def text_to_path(text: str) -> str:
    """Give back the path that `path_to_text` has written as this text."""
    raw = re.sub(rb"\\x([0-9a-f]{2})", _byte_of_escape, text.encode())
    return os.fsdecode(raw)


def _byte_of_escape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode())


def one_line(message: object) -> str:
    r"""Put a message on one line that is safe to print.

    Bytes of file names that are not UTF-8 are written \xNN, and so are control characters, which
    could make a terminal do things. Those that change the direction of a text are written \uNNNN.
    """
    raw = str(message).encode("utf-8", "surrogateescape")
    line = " ".join(raw.decode("utf-8", "backslashreplace").split())
    return "".join(map(escape_unprintable, line))


def escape_unprintable(character: str) -> str:
    r"""Write a character as \xNN or \uNNNN where a terminal would not print it, but obey it."""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
