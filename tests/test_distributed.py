"""What finlib asks of Dask: workers that fit, results in order or as they come, and one line where
Dask gives up.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from finlib import distributed
from finlib.distributed import (
    check_file,
    check_workers,
    count_threads,
    dask_client,
    list_versions,
    run_as_completed,
    run_in_order,
    share,
)
from finlib.files import UNKNOWN_STATE


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


class FakeClient:
    """A client whose workers give the answers that are listed."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")

    def wait_for_workers(self, number: int, timeout: float) -> None:
        if len(self.answers) < number:
            raise TimeoutError(f"only {len(self.answers)} workers arrived after {timeout}")

    def run(self, function: Any, *arguments: Any, on_error: str) -> dict[str, Any]:
        assert on_error == "return"
        return self.answers


def test_workers_like_this_process_are_taken() -> None:
    check_workers(FakeClient({"tcp://a": list_versions(), "tcp://b": list_versions()}))


@pytest.mark.parametrize("name", ["finlib", "Python", "NumPy", "Pillow"])
def test_a_worker_with_another_version_is_named(name: str) -> None:
    here = list_versions()
    client = FakeClient({"tcp://a": here, "tcp://b": here | {name: "0.1"}})
    with pytest.raises(RuntimeError) as raised:
        check_workers(client)
    assert f"tcp://b: it has {name} 0.1 instead of {here[name]}" in str(raised.value)
    assert "tcp://a" not in str(raised.value)


def test_of_many_workers_that_differ_a_few_are_named() -> None:
    other = list_versions() | {"finlib": "0.1"}
    client = FakeClient({f"tcp://{number}": other for number in range(9)})
    with pytest.raises(RuntimeError, match=r"tcp://2: it has finlib .*; and 6 more\. Every"):
        check_workers(client)


def test_a_worker_that_is_gone_is_left_to_the_check_of_its_jobs() -> None:
    check_workers(FakeClient({"tcp://a": list_versions(), "tcp://b": OSError("closed")}))


def test_other_code_of_the_same_version_is_another_finlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "__init__.py"
    package.write_text("one = 1\n")
    monkeypatch.setattr(distributed.finlib, "__file__", str(package))
    monkeypatch.setattr(distributed, "_code_digest", distributed._code_digest.__wrapped__)
    first = list_versions()
    assert list_versions() == first
    package.write_text("one = 2\n")
    second = list_versions()
    assert [name for name in first if first[name] != second[name]] == ["finlib"]


def test_no_worker_is_reported_with_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from dask.distributed import LocalCluster

    monkeypatch.setattr(distributed, "SECONDS_FOR_A_WORKER", 0.1)
    where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=0, **where) as cluster:
        address = cluster.scheduler_address
        none = pytest.raises(RuntimeError, match=f"start some with 'dask worker {address}'")
        with none, dask_client(address):
            pass


def test_a_client_waits_less_than_ten_seconds_for_a_worker() -> None:
    assert distributed.SECONDS_FOR_A_WORKER < 5


@contextmanager
def changed_workers(source: str) -> Iterator[str]:
    """Give the scheduler's address of a worker process that has run this source."""
    from dask.distributed import Client, LocalCluster

    where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **where) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(exec, source, {})
        yield cluster.scheduler_address


NO_FINLIB = """
import sys
for name in list(sys.modules):
    if name.split(".")[0] == "finlib":
        del sys.modules[name]
sys.modules["finlib"] = None
"""
EARLIER_FINLIB = "import finlib.distributed\ndel finlib.distributed.list_versions"
OTHER_VERSION = "import finlib\nfinlib.__version__ = '1.9'"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            NO_FINLIB,
            r"tcp://127.0.0.1:\d+: it has no finlib, or an earlier one \(.*No module named",
        ),
        (
            EARLIER_FINLIB,
            r"tcp://127.0.0.1:\d+: it has no finlib, or an earlier one \(.*list_versions",
        ),
        (OTHER_VERSION, r"tcp://127.0.0.1:\d+: it has finlib 1\.9 \(code .*\) instead of 2"),
    ],
    ids=["none", "earlier", "other"],
)
def test_workers_without_this_finlib_get_no_work(source: str, message: str) -> None:
    with changed_workers(source) as address:
        refused = pytest.raises(RuntimeError, match=message)
        with refused, dask_client(address):
            pytest.fail("the workers were taken")


def test_a_worker_that_connects_later_gives_no_results_by_other_code() -> None:
    from dask.distributed import Client

    with changed_workers(OTHER_VERSION) as address, Client(address, set_as_default=False) as late:
        refused = r"worker tcp://.* connected later and cannot do this work: it has finlib 1\.9"
        with pytest.raises(RuntimeError, match=refused):
            list(run_in_order(late, add, [(np.arange(3), 1)], at_a_time=1))
        with pytest.raises(RuntimeError, match=refused):
            list(run_as_completed(late, add, [(np.arange(3), 1)]))


def test_a_file_that_all_workers_see_is_passed(client: Any, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    check_file(client, str(file))  # it is not here: its row says so
    file.write_bytes(b"1234")
    check_file(client, str(file))


def test_a_worker_that_does_not_see_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(b"1234")
    seen = UNKNOWN_STATE._replace(bytes=4)
    check_file(FakeClient({"tcp://a": seen, "tcp://b": OSError("closed")}), str(file))
    with pytest.raises(RuntimeError, match=f"begun. tcp://b: it does not see the file {file}"):
        check_file(FakeClient({"tcp://a": seen, "tcp://b": None}), str(file))
    other = seen._replace(bytes=5)
    with pytest.raises(
        RuntimeError, match=r"tcp://b: the file .* has 5 bytes there and 4 bytes here"
    ):
        check_file(FakeClient({"tcp://a": seen, "tcp://b": other}), str(file))
