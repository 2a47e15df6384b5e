"""Ctrl-C ends a run in about two seconds.

Left to itself, Python would first wait for compiled kernels to return, and for worker processes
that are just starting.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

# Set by Ctrl-C. What fails afterwards, such as a lock whose release was cut short, fails because
# of it.
was_interrupted = threading.Event()


@contextmanager
def watch(report: Callable[[], object]) -> Iterator[None]:
    """Watch for Ctrl-C while the block runs.

    A run that has not ended two seconds after Ctrl-C is ended from outside, with exit status 1;
    `report` is called just before, to print a message. When the block ends, the process has its own
    signal handlers and descriptors again. Where signals cannot be watched, because this is not the
    main thread, Ctrl-C does what it does elsewhere in the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    was_interrupted.clear()
    # In the background of a shell Ctrl-C may be ignored, and stays so.
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    earlier_wakeup = signal.set_wakeup_fd(wakeup)
    earlier_hook = sys.unraisablehook
    sys.unraisablehook = _hide_interruption
    ended = threading.Event()
    arguments = (signals, ended, report, active_children())
    watcher = threading.Thread(target=_end_soon, args=arguments, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        os.write(wakeup, b"\0")  # which wakes the watcher
        watcher.join()
        sys.unraisablehook = earlier_hook
        signal.set_wakeup_fd(earlier_wakeup)
        os.close(wakeup)
        os.close(signals)
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)


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


def _end_soon(
    signals: int,
    ended: threading.Event,
    report: Callable[[], object],
    others: list[BaseProcess],
) -> None:
    """Wait for Ctrl-C, then give the run a second, end its worker processes, and a second later the
    run itself.

    `others` are child processes that are none of this run's.
    """
    while os.read(signals, 1)[0] != signal.SIGINT:
        if ended.is_set():
            return
    if ended.wait(1):
        return
    for worker in active_children():
        if worker not in others:
            worker.kill()
    if not ended.wait(1):
        _remove_unfinished_files()
        report()
        os._exit(1)


def _remove_unfinished_files() -> None:
    from finlib.files import unfinished_files

    for file in list(unfinished_files):
        file.unlink(missing_ok=True)
