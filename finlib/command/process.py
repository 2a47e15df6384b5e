"""The process that a command runs in: memory, warnings, errors, Ctrl-C and the exit status.

Exit status 0: done; 1: the run failed or was interrupted; 2: wrong use. An error is one line on
standard error.
"""

import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from finlib.command import interruption
from finlib.command.streams import reliable_streams

DONE = 0
FAILED = 1
WRONG_USE = 2
MEBIBYTE = 1 << 20
ADDRESS_SPACE = 1200 * MEBIBYTE  # bytes that the libraries take
ADDRESS_SPACE_PER_PROCESSOR = 100 * MEBIBYTE  # bytes of the stack and the heap of a thread
RESUMABLE = ("hash", "match", "cluster", "duplicates")


def run_and_exit(app: typer.Typer) -> None:
    """Run the command line of this process and exit with its status.

    A program that calls this and catches SystemExit has its signal handlers, children, descriptors
    and warnings as they were.
    """
    with reliable_streams():
        _check_address_space()
        with _quiet(), interruption.watch(report_interruption):
            status = run(app)
        if interruption.was_interrupted.is_set() and _is_own_process():
            # At exit Python waits for threads, and may end by a signal of its own.
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)


def _is_own_process() -> bool:
    """Whether this process runs the command alone, and not another program that called `main`.

    A line of Python that is given to `python -c` counts as the command alone.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return sys.argv[0] == "-c"
    return Path(script).stem == "finlib" or Path(script).parent == Path(__file__).parent


def run(app: typer.Typer) -> int:
    """Run the command line in this process; returns the exit status."""
    try:
        status = app(standalone_mode=False) or DONE
    except (KeyboardInterrupt, typer.Abort):
        return report_interruption()
    except Exception as error:
        if interruption.was_interrupted.is_set():
            return report_interruption()
        return _report_error(error)
    if status in (DONE, WRONG_USE):
        return status
    return report_interruption()  # Typer turns Ctrl-C into a status of its own, 130


def report_interruption() -> int:
    """Print that the run was interrupted and what becomes of its work; returns the exit status."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in RESUMABLE:
        _print_error("interrupted; the same command resumes from what is finished")
    else:
        _print_error("interrupted; nothing was written")
    return FAILED


def _report_error(error: Exception) -> int:
    """Print an error that a person can do something about, and return the exit status; others are
    raised.
    """
    from finlib.machine import find_fault

    fault = find_fault(error)
    if fault is not None:
        _print_error(str(fault))
        return FAILED
    if isinstance(error, typer.TyperException):
        _print_error(f"{error.format_message()} (--help shows how to use the command.)")
        return WRONG_USE
    if isinstance(error, (ValueError, TypeError, FileNotFoundError, NotADirectoryError)):
        _print_error(str(error))
        return WRONG_USE
    if isinstance(error, (OSError, RuntimeError, MemoryError)):
        _print_error(str(error) or "There is not enough memory.")
        return FAILED
    raise error


def _print_error(message: str) -> None:
    """Print `finlib: MESSAGE` as one line.

    `files.one_line` does the same to a message, but is not imported here: Ctrl-C may have cut its
    import short.
    """
    line = " ".join(f"finlib: {message}".split())
    text = line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    printable = [_escape(character) for character in text]
    print("".join(printable), file=sys.stderr)


def _escape(character: str) -> str:
    """The character, or the escape of one that could make the terminal do things."""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def _check_address_space() -> None:
    """Exit with a message where the process may not use the memory that the libraries need."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    needed = ADDRESS_SPACE + ADDRESS_SPACE_PER_PROCESSOR * (os.cpu_count() or 1)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return
    sys.exit(
        f"finlib: {limit // MEBIBYTE:,} MB of address space are not enough. "
        f"Raise the limit to {needed // MEBIBYTE:,} MB (ulimit -v)."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' own messages off the screen, and show warnings as messages of this
    program, while the block runs.
    """
    variable = "ARROW_DEFAULT_MEMORY_POOL"
    has_variable = variable in os.environ
    # Arrow's other memory pools reserve a GiB of address space before they are used.
    os.environ.setdefault(variable, "system")
    earlier_function = warnings.showwarning
    warnings.showwarning = _print_warning
    # The tracker removes what a run that was ended has left; nobody needs to hear of it.
    ignored = "ignore:resource_tracker"
    sys.warnoptions.append(ignored)
    logger = logging.getLogger("distributed.client")
    was_disabled = logger.disabled
    logger.disabled = True  # what it logs is also raised
    try:
        yield
    finally:
        logger.disabled = was_disabled
        sys.warnoptions.remove(ignored)
        warnings.showwarning = earlier_function
        if not has_variable:
            os.environ.pop(variable, None)


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without saying which line of code gave it; for `warnings.showwarning`.

    Pillow's warning of a large picture is left out: the file's error says more.
    """
    if category.__name__ == "DecompressionBombWarning":
        return
    _print_error(str(message))
