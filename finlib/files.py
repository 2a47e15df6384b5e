"""Files and their names: written whole or not at all, locked against a second run, and named in UTF-8 text."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What a spreadsheet would take for a formula.
FORMULA_STARTS = (b"=", b"+", b"-", b"@", b"\t", b"\r", b"\n")

# Files that runs of this process are writing. Whoever ends the process at once has to remove them.
unfinished_files: set[Path] = set()


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not.

    RuntimeError where another run is writing it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with lock(temporary, path):
        yield temporary
        os.replace(temporary, path)


@contextmanager
def lock(file: Path, path: Path) -> Iterator[None]:
    """Hold `file`, made and removed again, on behalf of `path`; RuntimeError where another run holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not file.exists() or not os.path.samestat(
                os.fstat(held.fileno()), os.stat(file)
            )
        except BlockingIOError:
            taken = True
        except OSError:  # this file system has no locks
            taken = False
        if taken:
            raise RuntimeError(
                f"{path} is being written by another run: wait for it to end, or give another name"
            )
        try:
            unfinished_files.add(file)
            yield
        finally:
            unfinished_files.discard(file)
            with suppress(FileNotFoundError):  # renamed; there may be another run's by now
                if os.path.samestat(os.fstat(held.fileno()), os.stat(file)):
                    file.unlink()


def path_to_text(path: str | Path) -> str:
    """The path as UTF-8 text for a table: two paths never have the same text, and `path_of` gives the path back.

    Bytes that are not UTF-8 are written \\xNN, and so is the backslash of a name with such a byte or with \\x in it. A
    relative path that starts as a spreadsheet's formula (=, +, -, @, a tab, a line end) gets ./ before it.
    """
    raw = os.fsencode(path)
    if raw[:1] in FORMULA_STARTS:
        raw = b"./" + raw
    text = raw.decode("utf-8", "backslashreplace")
    return (
        text
        if "\\x" not in text
        else raw.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")
    )


def text_to_path(text: str) -> str:
    """The path that `as_text` wrote."""
    raw = re.sub(
        rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode()
    )
    return os.fsdecode(raw)


def one_line(message: object) -> str:
    """A message on one line, with bytes of names that are not UTF-8 as \\xNN."""
    return " ".join(
        str(message).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").split()
    )
