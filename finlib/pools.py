"""Jobs on processors: results in the jobs' order, few of them waiting however many jobs there are."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


def processors(workers: int | None = None) -> int:
    """`workers` as given, ValueError under 1; None: the processors that affinity and the container's limits leave."""
    if workers is None:
        from joblib import cpu_count

        return cpu_count()
    if workers < 1:
        raise ValueError(f"workers must be at least 1; got {workers}")
    return workers


@contextmanager
def stopping(pool: Executor, stop: Callable[[], None] = lambda: None) -> Iterator[Executor]:
    """The pool; on an exception (Ctrl-C is one) jobs in hand are told to stop and the others never start."""
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
    """function(*job) of every job, in order, at most `most` of them submitted at a time."""
    waiting: deque[Any] = deque()
    for job in jobs:
        waiting.append(pool.submit(function, *job))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def in_threads(
    function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], workers: int | None
) -> Iterator[Result]:
    """`in_order` on that many threads (None: one a processor), or on this one alone where it is one."""
    workers = processors(workers)
    if workers == 1:
        yield from (function(*job) for job in jobs)
        return
    with stopping(ThreadPoolExecutor(workers)) as pool:
        yield from in_order(pool, function, jobs, 2 * workers)
