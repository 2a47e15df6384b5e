"""Jobs on threads: results in order, few jobs waiting, and a soon end after an error."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finlib.pools import in_order, in_threads, processors, stopping


def test_workers_are_as_given_or_one_for_each_processor() -> None:
    assert processors(3) == 3
    assert processors() >= 1
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        processors(0)


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    seconds = [0.2, 0.0, 0.1]
    assert list(in_threads(wait, ((each,) for each in seconds), workers)) == seconds


def test_one_worker_is_this_thread() -> None:
    assert list(in_threads(threading.get_ident, [()], 1)) == [threading.get_ident()]
    assert list(in_threads(threading.get_ident, [()], 2)) != [threading.get_ident()]


def test_only_a_few_jobs_are_taken_at_a_time() -> None:
    taken = []

    def jobs() -> Iterator[tuple[float]]:
        for number in range(9):
            taken.append(number)
            yield (0.0,)

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, wait, jobs(), most=3)
        next(results)
        assert len(taken) == 3
        assert len(list(results)) == 8


def test_after_an_error_running_jobs_are_stopped_and_others_never_start() -> None:
    stop = threading.Event()
    started = []

    def run_until_stopped(number: int) -> bool:
        started.append(number)
        return stop.wait(60)

    def fail() -> None:
        with stopping(ThreadPoolExecutor(1), stop.set) as pool:
            for number in range(5):
                pool.submit(run_until_stopped, number)
            while not started:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert stop.is_set()
    assert started == [0]


GUARDED = """
from finlib.pools import find_obstacle

def main():
    print(find_obstacle())

if __name__ == "__main__":
    main()
"""
UNGUARDED = GUARDED.replace('if __name__ == "__main__":', "if True:")
IN_A_POOL = """
from multiprocessing import Pool
from finlib.pools import find_obstacle

if __name__ == "__main__":
    with Pool(1) as pool:
        print(pool.apply(find_obstacle))
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (GUARDED, ""),
        (UNGUARDED, "line 8 of SCRIPT does not stand under if __name__ == "),
        (IN_A_POOL, "this process is a worker of a pool itself"),
    ],
)
def test_what_keeps_workers_from_starting_is_named(
    script: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(expected.replace("SCRIPT", str(file)))
    assert bool(done.stdout.strip()) == bool(expected)


def test_a_program_without_a_file_has_no_obstacle() -> None:
    command = [sys.executable, "-c", "from finlib.pools import find_obstacle as f; print(f())"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
