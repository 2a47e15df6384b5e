"""Tell the faults of the machine from those of a file.

A full disk, compiled code that cannot be kept or read, too many open files: such a fault says
nothing about the file in hand and would meet the next one, too. It therefore ends a run, with one
line that names the remedy, and is never a file's error.
"""

import errno
import os
from collections.abc import Iterator
from types import TracebackType

CACHE_MODULE = os.path.join("numba", "core", "caching.py")  # which keeps compiled code on disk

# What the system calls by these numbers is the same whichever file is in hand.
REMEDIES = {
    errno.ENOSPC: "the disk is full. Free some space, and start the same command again",
    errno.EDQUOT: "the quota of the disk is used up. Free some space, and start the same command "
    "again",
    errno.EROFS: "the file system is read-only. Give --output a name in a folder that can be "
    "written",
    errno.EMFILE: "too many files are open. Raise the limit (ulimit -n), or use fewer --workers",
    errno.ENFILE: "too many files are open on this machine. Close other programs",
}


class MachineFault(RuntimeError):
    """A fault of the machine, of which no file is the cause. The text names the remedy."""


def find_fault(error: BaseException) -> MachineFault | None:
    """Return the fault of the machine that an exception comes from; None where it comes from none.

    The exceptions that it was raised from, or while handling which it was raised, count as well.
    """
    for each in _causes(error):
        if isinstance(each, MachineFault):
            return each
        if _was_raised_by_the_cache(each.__traceback__):
            return MachineFault(_describe_cache_fault(each))
        if isinstance(each, OSError) and each.errno in REMEDIES:
            place = f"{each.filename}: " if each.filename else ""
            return MachineFault(f"{place}{REMEDIES[each.errno]}.")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that led to it."""
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.extend(cause for cause in (each.__context__, each.__cause__) if cause is not None)


def _was_raised_by_the_cache(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename.endswith(CACHE_MODULE):
            return True
        traceback = traceback.tb_next
    return False


def _describe_cache_fault(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = f" in {os.path.dirname(error.filename)}" if error.filename else ""
        return (
            f"compiled code cannot be kept{place} ({error.strerror}). Free some space there, or "
            "set NUMBA_CACHE_DIR to a folder that can be written."
        )
    if "no locator available" in str(error):
        return (
            "compiled code cannot be kept: neither the folder of finlib nor the home folder can "
            "be written. Set NUMBA_CACHE_DIR to a folder that can be written."
        )
    package = os.path.dirname(__file__)
    folder = os.environ.get("NUMBA_CACHE_DIR") or f"the folders __pycache__ in {package}"
    return (
        f"compiled code that an earlier run has kept is damaged ({type(error).__name__}). Delete "
        f"{folder}, or set NUMBA_CACHE_DIR to a new folder."
    )
