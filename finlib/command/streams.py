"""Standard streams that a run can rely on: closed or broken ones take no result with them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

DESCRIPTORS = (0, 1, 2)  # standard input, output and error


class _Messages:
    """Standard error for messages: where nobody can read them, they are lost and nothing else."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.is_broken = stream is None

    def write(self, text: str) -> int:
        if self.stream is not None and not self.is_broken:
            try:
                self.stream.write(text)
            except (OSError, ValueError):  # broken, or closed by someone
                self.is_broken = True
        return len(text)

    def flush(self) -> None:
        if self.stream is not None and not self.is_broken:
            try:
                self.stream.flush()
            except (OSError, ValueError):
                self.is_broken = True

    def isatty(self) -> bool:
        return not self.is_broken and self.stream is not None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def reliable_streams() -> Iterator[None]:
    """Keep a run going whose standard streams are closed, or break while it runs.

    Closed descriptors are opened onto nothing, because otherwise files that the run opens would get
    their numbers, and messages would be written into these files. When the block ends, everything
    is as it was, but for a standard error that has broken: it would break again when Python ends,
    and change the exit status.
    """
    opened = [number for number in DESCRIPTORS if _open_if_closed(number)]
    earlier = sys.stderr
    messages = _Messages(earlier)
    sys.stderr = messages  # type: ignore[assignment]
    try:
        yield
    finally:
        messages.flush()
        if sys.stderr is messages and not (messages.is_broken and earlier is not None):
            sys.stderr = earlier
        for number in opened:
            os.close(number)


def _open_if_closed(number: int) -> bool:
    """Open a descriptor onto nothing where it is closed; returns whether it was."""
    try:
        os.fstat(number)
        return False
    except OSError:
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != number:
            os.dup2(nothing, number)
            os.close(nothing)
        return True
