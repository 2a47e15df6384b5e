"""Jobs on this machine's processors, with results in the jobs' order.

However many jobs there are, only a few wait at a time, so jobs and results may come from a
generator and need little memory. An exception, Ctrl-C included, ends the work soon.
"""

import ast
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


def processors(workers: int | None = None) -> int:
    """Return the number of workers to use: `workers`, or by default one for each processor.

    By default only the processors count that this process may use, by its affinity and by the
    limits of its container. ValueError where `workers` is less than 1.
    """
    if workers is None:
        from joblib import cpu_count

        return cpu_count()
    if workers < 1:
        raise ValueError(f"workers must be at least 1; got {workers}")
    return workers


def find_obstacle() -> str:
    """Say why this process cannot start worker processes, and what to do; "" where it can.

    Workers import the script that started them. Where the call does not stand under a guard, each
    of them would start workers again.
    """
    if multiprocessing.current_process().daemon:
        return (
            "this process is a worker of a pool itself, which may start no others. Use threads, or "
            "call finlib from the main process."
        )
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None:
        return ""
    line = _current_line(script)
    if line == 0 or _is_guarded(script, line):
        return ""
    return (
        f'line {line} of {script} does not stand under if __name__ == "__main__":, and worker '
        "processes import the script again. Put it there, or use threads."
    )


def _current_line(script: str) -> int:
    """The line of the script that runs outside its functions; 0 where there is none."""
    place = os.path.abspath(script)
    frame = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and os.path.abspath(code.co_filename) == place:
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return 0


def _is_guarded(script: str, line: int) -> bool:
    """Whether a line stands in an `if` that asks for `__name__`.

    A script that cannot be read is taken to be guarded.
    """
    try:
        with open(script, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return True
    guards = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
    ]
    return any(guard.lineno <= line <= (guard.end_lineno or 0) for guard in guards)


def _do_nothing() -> None:
    pass


@contextmanager
def stopping(pool: Executor, stop: Callable[[], None] = _do_nothing) -> Iterator[Executor]:
    """Shut the pool down when the block ends, and do it soon when the block ends with an exception.

    In that case `stop` is called, which has to end the jobs that are running, and the other jobs
    never start. Ctrl-C is such an exception.
    """
    try:
        yield pool
    except BaseException:
        stop()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def in_order(
    pool: Executor, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], most: int
) -> Iterator[Result]:
    """Yield function(*job) for every job, in the jobs' order; at most `most` are in the pool."""
    submitted: deque[Future[Result]] = deque()
    for job in jobs:
        submitted.append(pool.submit(function, *job))
        if len(submitted) >= most:
            yield submitted.popleft().result()
    while submitted:
        yield submitted.popleft().result()


def in_threads(
    function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], workers: int | None
) -> Iterator[Result]:
    """Yield function(*job) for every job, in the jobs' order, computed by that many threads.

    `workers` is as for `processors`; with one worker no thread is started.
    """
    workers = processors(workers)
    if workers == 1:
        for job in jobs:
            yield function(*job)
        return
    with stopping(ThreadPoolExecutor(workers)) as pool:
        yield from in_order(pool, function, jobs, 2 * workers)
