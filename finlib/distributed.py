"""All of finlib's use of Dask, which spreads work over the processes of one or many machines.

Dask is an optional package (the extra `dask`); it is imported when a function here needs it. Every
worker is checked before it gets work, because one with other software would give other results.
"""

import hashlib
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import finlib
from finlib.files import file_state
from finlib.pools import in_order

Result = TypeVar("Result")

SECONDS_FOR_A_WORKER = 3  # until the first worker has to be connected
WORKERS_NAMED = 3  # at most, in a message


@contextmanager
def dask_client(scheduler: str | None, workers: int = 1) -> Iterator[Any]:
    """Connect to the Dask scheduler at that address, and close the connection with the block.

    Where `scheduler` is None, a cluster of `workers` processes is started on this machine for the
    time of the block. Only this machine can connect to it. RuntimeError where Dask gives up,
    because workers die again and again of the same work or because the scheduler is gone, and where
    `check_workers` raises it. ValueError where Dask is not installed.
    """
    try:
        from dask.distributed import Client, KilledWorker
    except ImportError:
        raise finlib.needs_extra("a Dask cluster", "dask") from None
    with (
        _cluster(scheduler, workers) as cluster,
        Client(cluster, timeout="10s", set_as_default=False) as client,
    ):
        check_workers(client)
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


def check_workers(client: Any) -> None:
    """Make sure that every worker of a client computes what this process would compute.

    Results depend on the code of finlib and on the pictures that Pillow decodes. Jobs and results
    can only be sent between equal minor versions of Python and equal major versions of NumPy.
    Workers that connect later are checked by their first job. RuntimeError names the workers that
    differ, and what they lack. It also says when no worker is connected after some seconds.
    """
    _wait_for_a_worker(client)
    expected = list_versions()
    # A function of finlib travels by its name, which any version of Python can read.
    answers = client.run(list_versions, on_error="return")
    faults = {}
    for address, answer in answers.items():
        faults[address] = _describe_versions(answer, expected)
    _refuse_workers(faults)


def check_file(client: Any, file: str) -> None:
    """Make sure that every worker of a client sees a file of this machine under the same path.

    RuntimeError names the workers that do not see it, or that see one of another size.
    """
    here = file_state(file)
    if here is None:
        return
    faults = {}
    for address, answer in client.run(file_state, file, on_error="return").items():
        if answer is None:
            faults[address] = f"it does not see the file {file}"
        elif not isinstance(answer, Exception) and answer.bytes != here.bytes:
            faults[address] = (
                f"the file {file} has {answer.bytes} bytes there and {here.bytes} bytes here"
            )
    _refuse_workers(faults)


def list_versions() -> dict[str, str]:
    """Return the versions in this process of what has to be the same on all workers, by name."""
    major, minor, _ = platform.python_version_tuple()
    return {
        "finlib": f"{finlib.__version__} (code {_code_digest()})",
        "Python": f"{major}.{minor}",
        "NumPy": _major_version("numpy"),
        "Pillow": _major_version("pillow"),
    }


@cache
def _major_version(package: str) -> str:
    return version(package).split(".")[0]


@cache
def _code_digest() -> str:
    """Eight hexadecimal digits for finlib's code, which can change while the version stays."""
    folder = Path(finlib.__file__).parent
    digest = hashlib.blake2b(digest_size=4)
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _wait_for_a_worker(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
    except TimeoutError:
        address = client.scheduler.address
        raise RuntimeError(
            f"no worker has connected to the Dask scheduler {address} within "
            f"{SECONDS_FOR_A_WORKER} seconds: start some with 'dask worker {address}'"
        ) from None


def _describe_versions(answer: Any, expected: dict[str, str]) -> str:
    """Say what a worker lacks by its answer, a table of versions or an error; "" for nothing."""
    if isinstance(answer, OSError):  # the worker is gone; one in its place is checked by its jobs
        return ""
    if isinstance(answer, Exception):
        return f"it has no finlib, or an earlier one ({answer})"
    others = []
    for name, value in expected.items():
        if answer.get(name) != value:
            others.append(f"{name} {answer.get(name)} instead of {value}")
    return f"it has {', '.join(others)}" if others else ""


def _refuse_workers(faults: dict[str, str]) -> None:
    """Raise RuntimeError where there is a fault; `faults` says by address what a worker lacks."""
    named = [f"{address}: {fault}" for address, fault in faults.items() if fault]
    if not named:
        return
    more = len(named) - WORKERS_NAMED
    others = f"; and {more} more" if more > 0 else ""
    raise RuntimeError(
        f"Dask workers cannot do this work, which was not begun. {'; '.join(named[:WORKERS_NAMED])}"
        f"{others}. Every worker needs the same finlib as this machine, and has to see the files "
        "under the same paths"
    )


def _run_checked(
    expected: dict[str, str], function: Callable[..., Result], *arguments: Any
) -> Result:
    """Run a job on a worker, which may have connected after the others were checked."""
    fault = _describe_versions(list_versions(), expected)
    if fault:
        from dask.distributed import get_worker

        raise RuntimeError(
            f"the Dask worker {get_worker().address} connected later and cannot do this work: "
            f"{fault}. Stop it, and start the same work again"
        )
    return function(*arguments)


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
    expected = list_versions()
    checked_jobs = ((expected, function, *job) for job in jobs)
    executor = client.get_executor(pure=False)
    yield from in_order(executor, _run_checked, checked_jobs, at_a_time)


def run_as_completed(
    client: Any, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]]
) -> Iterator[Result]:
    """Yield function(*job) for every job, each as soon as a worker of the client has computed it.

    All jobs go to the scheduler at once. Where `share` gave one of a job's arguments, the function
    gets the value that was shared.
    """
    from dask.distributed import as_completed

    expected = list_versions()
    futures = [client.submit(_run_checked, expected, function, *job, pure=False) for job in jobs]
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
