"""What finlib asks of Dask: results in order or as they come, and one line where Dask gives up."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from finlib.distributed import count_threads, dask_client, run_as_completed, run_in_order, share


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with dask_client(None, workers=2) as client:
        yield client


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def add(numbers: np.ndarray, number: int) -> int:
    return int(numbers.sum()) + number


def test_a_cluster_of_this_machine_has_the_workers_asked_for(client: Any) -> None:
    assert count_threads(client) == 2
    assert client.scheduler.address.startswith("tcp://127.0.0.1:")


def test_results_come_in_the_order_of_the_jobs(client: Any) -> None:
    jobs = [(0.5,), (0.0,), (0.1,)]
    assert list(run_in_order(client, wait, jobs, at_a_time=2)) == [0.5, 0.0, 0.1]


def test_only_a_few_jobs_are_taken_at_a_time(client: Any) -> None:
    taken = []

    def jobs() -> Iterator[tuple[float]]:
        for number in range(9):
            taken.append(number)
            yield (0.0,)

    results = run_in_order(client, wait, jobs(), at_a_time=3)
    next(results)
    assert len(taken) == 3
    assert len(list(results)) == 8


def test_results_come_as_they_are_computed(client: Any) -> None:
    jobs = [(2.0,), (0.0,)]
    assert list(run_as_completed(client, wait, jobs)) == [0.0, 2.0]


def test_equal_jobs_are_all_done(client: Any) -> None:
    jobs = [(0.0,)] * 3
    assert list(run_as_completed(client, wait, jobs)) == [0.0] * 3
    assert list(run_in_order(client, wait, jobs, at_a_time=2)) == [0.0] * 3


def test_jobs_get_the_value_that_is_shared(client: Any) -> None:
    shared = share(client, np.arange(5))
    assert sorted(run_as_completed(client, add, [(shared, 1), (shared, 2)])) == [11, 12]


def test_an_error_of_a_job_is_raised(client: Any) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        list(run_as_completed(client, wait, [(-1.0,)]))


def test_work_that_dask_gives_up_is_reported_in_a_line() -> None:
    gone = pytest.raises(
        RuntimeError, match="Dask gave up on some of the work: the scheduler is gone"
    )
    with gone, dask_client(None):
        raise CancelledError


def test_where_dask_is_missing_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'finlib\[dask\]'"), dask_client(None):
        pass
