"""Everything that finlib asks of Dask: a client, data shared among workers."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from typing import Any

from finlib import needs_extra


@contextmanager
def dask_client(scheduler: str | None, workers: int = 1) -> Iterator[Any]:
    """A client of the scheduler at that address, or of a cluster on this machine's loopback made for the occasion.

    RuntimeError where workers die of the same work again and again, or the scheduler is gone.
    """
    try:
        from dask.distributed import Client, KilledWorker, LocalCluster
    except ImportError:
        raise needs_extra("a Dask cluster", "dask") from None
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    }  # loopback alone
    local = (
        nullcontext(scheduler)
        if scheduler
        else LocalCluster(n_workers=workers, threads_per_worker=1, **options)
    )
    with local as cluster, Client(cluster, timeout="10s", set_as_default=False) as client:
        try:
            yield client
        except (KilledWorker, CancelledError) as error:
            raise RuntimeError(
                f"Dask gave up on some of the work: {str(error) or 'the scheduler is gone'}"
            ) from None


def share(client: Any, value: Any) -> Any:
    """The value for tasks of a Dask client; the scheduler keeps it, where scattered data is lost with a worker."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")
        return client.submit(_itself, value, pure=False)


def iter_results(
    client: Any, function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """Yield function(*job) of every job, done by a Dask client's workers, as the jobs finish."""
    from dask.distributed import as_completed

    futures = [client.submit(function, *job, pure=False) for job in jobs]
    for future in as_completed(futures, loop=client.loop):
        yield future.result()


def _itself(value: Any) -> Any:
    return value
