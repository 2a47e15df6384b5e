"""All of finlib's use of Dask, which spreads work over the processes of one or many machines.

Dask is an optional package (the extra `dask`); it is imported when a function here needs it.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from finlib import needs_extra
from finlib.pools import in_order

Result = TypeVar("Result")


@contextmanager
def dask_client(scheduler: str | None, workers: int = 1) -> Iterator[Any]:
    """Connect to the Dask scheduler at that address, and close the connection with the block.

    Where `scheduler` is None, a cluster of `workers` processes is started on this machine for the
    time of the block. Only this machine can connect to it. RuntimeError where Dask gives up,
    because workers die again and again of the same work or because the scheduler is gone.
    ValueError where Dask is not installed.
    """
    try:
        from dask.distributed import Client, KilledWorker
    except ImportError:
        raise needs_extra("a Dask cluster", "dask") from None
    with (
        _cluster(scheduler, workers) as cluster,
        Client(cluster, timeout="10s", set_as_default=False) as client,
    ):
        try:
            yield client
        except (KilledWorker, CancelledError) as error:
            reason = str(error) or "the scheduler is gone"
            raise RuntimeError(f"Dask gave up on some of the work: {reason}") from None


def _cluster(scheduler: str | None, workers: int) -> AbstractContextManager[Any]:
    from dask.distributed import LocalCluster

    if scheduler:
        return nullcontext(scheduler)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )


def count_threads(client: Any) -> int:
    """Return the number of jobs that the client's workers can do at once, or 1 where none is up."""
    return max(1, sum(client.nthreads().values()))


def run_in_order(
    client: Any,
    function: Callable[..., Result],
    jobs: Iterable[tuple[Any, ...]],
    at_a_time: int,
) -> Iterator[Result]:
    """Yield function(*job) for every job, in the jobs' order, computed by the client's workers.

    At most `at_a_time` jobs are with the scheduler.
    """
    yield from in_order(client.get_executor(pure=False), function, jobs, at_a_time)


def run_as_completed(
    client: Any, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]]
) -> Iterator[Result]:
    """Yield function(*job) for every job, each as soon as a worker of the client has computed it.

    All jobs go to the scheduler at once. Where `share` gave one of a job's arguments, the function
    gets the value that was shared.
    """
    from dask.distributed import as_completed

    futures = [client.submit(function, *job, pure=False) for job in jobs]
    for future in as_completed(futures, client.loop):
        yield future.result()


def share(client: Any, value: Any) -> Any:
    """Send a large value to the cluster once, and return a future for it to pass to many jobs.

    The scheduler keeps the value, so that it outlives any worker, which scattered data does not.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")
        return client.submit(_identity, value, pure=False)


def _identity(value: Any) -> Any:
    return value
