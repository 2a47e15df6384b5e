"""Ctrl-C ends a run in about two seconds.

Left to itself, Python would first wait for compiled kernels to return, and for worker processes
that are just starting.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import active_children
from types import FrameType
from typing import Any

# Set by Ctrl-C. What fails afterwards, such as a lock whose release was cut short, fails because
# of it.
was_interrupted = threading.Event()


def watch(report: Callable[[], object]) -> threading.Event:
    """Watch for Ctrl-C until the event that is returned is set.

    A run that has not ended two seconds after Ctrl-C is ended from outside, with exit status 1;
    `report` is called just before, to print a message.
    """
    # In the background of a shell Ctrl-C may be ignored, and stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    sys.unraisablehook = _hide_interruption
    ended = threading.Event()
    threading.Thread(target=_end_soon, args=(signals, ended, report), daemon=True).start()
    return ended


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    was_interrupted.set()
    raise KeyboardInterrupt


def _hide_interruption(unraisable: Any) -> None:
    """Print an exception that Python passes over, as one in a finaliser, unless it comes from
    Ctrl-C.

    In that case the run goes on, and `_end_soon` ends it. An exception raised here would be passed
    over as well.
    """
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _end_soon(signals: int, ended: threading.Event, report: Callable[[], object]) -> None:
    """Wait for Ctrl-C, then give the run a second, end its worker processes, and a second later the
    run itself.
    """
    while os.read(signals, 1)[0] != signal.SIGINT:
        pass
    ended.wait(1)
    for worker in active_children():
        worker.kill()
    if not ended.wait(1):
        _remove_unfinished_files()
        report()
        os._exit(1)


def _remove_unfinished_files() -> None:
    from finlib.files import unfinished_files

    for file in list(unfinished_files):
        file.unlink(missing_ok=True)
