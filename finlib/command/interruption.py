"""Ctrl-C ends a run in about two seconds: Python alone waits for kernels, and for workers that just start."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import active_children
from typing import Any

heard = (
    threading.Event()
)  # set by Ctrl-C: what fails after it (a lock that was cut short) is its doing


def watched(say: Callable[[], object]) -> threading.Event:
    """Watch for Ctrl-C until the event that is returned is set; `say` tells the person where the run has to be cut."""
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # in the background it may be ignored
        signal.signal(signal.SIGINT, _interrupt)
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    sys.unraisablehook = _unraisable
    ended = threading.Event()
    threading.Thread(target=_end_soon, args=(signals, ended, say), daemon=True).start()
    return ended


def _interrupt(*_: object) -> None:
    heard.set()
    raise KeyboardInterrupt


def _unraisable(found: Any) -> None:
    """Ctrl-C that met a finaliser, where Python passes over it, is left to `_end_soon`: raised in here, it is too."""
    if found.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(found)


def _end_soon(signals: int, ended: threading.Event, say: Callable[[], object]) -> None:
    while os.read(signals, 1)[0] != signal.SIGINT:
        pass
    ended.wait(1)
    for worker in active_children():
        worker.kill()
    if not ended.wait(1):
        from finlib.files import unfinished_files

        for file in list(unfinished_files):
            file.unlink(missing_ok=True)
        say()
        os._exit(1)
