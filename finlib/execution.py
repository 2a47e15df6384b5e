"""One hasher over many files: serial, threads, processes or Dask; ordered, resumable, errors kept as rows.

The table is that of `finlib.tables`. The GIL is released while a file is decoded and hashed by FINd, so threads serve
it well; imagehash's methods hold it and want processes.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from math import nan
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from finlib.hashers import hasher as hasher_named
from finlib.images import family_of
from finlib.tables import COLUMNS, Rows, as_text, frame_of, read_hashes, write_table

ExecutorName = Literal["serial", "threads", "processes", "dask"]


def hash_files(
    paths: Iterable[str | Path],
    hasher: str = "find",
    executor: ExecutorName = "serial",
    workers: int | None = None,
    *,
    scheduler: str | None = None,
    checkpoint: str | Path | None = None,
    known: pd.DataFrame | None = None,
    chunk: int = 256,
    progress: bool = False,
) -> pd.DataFrame:
    """The table of hashes of `paths`, a row per path and in their order, whatever the executor.

    A file that cannot be read is a row with its error. `workers` defaults to the processors at hand; `scheduler` is
    the address of a Dask scheduler (without one, Dask starts workers on this machine). Files travel to workers by
    name, `chunk` at a time, and no more than a few chunks are in flight.

    With `checkpoint`, a folder, each finished chunk is written there under a temporary name and then renamed. A run
    that finds such parts, or is given the rows of an earlier table as `known`, hashes only the files whose size or
    time has changed since, and those that failed. ValueError for an unknown hasher or executor.

    In a script, call it under `if __name__ == "__main__":` where the executor is "processes" or "dask": their workers
    import the script again.

    >>> hash_files(["missing.jpg"])[["path", "hash", "error"]].to_numpy().tolist()
    [['missing.jpg', '', 'FileNotFoundError: missing.jpg: no such file. Check the path, or whether it was moved.']]
    """
    hasher_named(hasher)
    if executor not in get_args(ExecutorName):
        raise ValueError(f"executor must be one of {', '.join(get_args(ExecutorName))}, not {executor!r}")
    if scheduler is not None and executor != "dask":
        raise ValueError(f"a scheduler's address is for executor 'dask', not {executor!r}")
    if chunk < 1 or (workers is not None and workers < 1):
        raise ValueError(f"chunk and workers must be at least 1, not {chunk} and {workers}")
    paths = list(paths)
    parts = Path(checkpoint) if checkpoint is not None else None
    files = {as_text(path): os.fspath(path) for path in paths}
    made = [_unchanged(files, hasher, [*_read_parts(parts), *([] if known is None else [known])])]
    done = set(made[0]["path"])
    todo = [file for text, file in files.items() if text not in done]
    number = _next_part(parts)
    bar = tqdm(total=len(files), initial=len(done), unit="file", disable=None if progress else True)
    with _mapper(executor if todo else "serial", workers or os.cpu_count() or 1, scheduler) as run, bar:
        for rows in run(hasher, [todo[at : at + chunk] for at in range(0, len(todo), chunk)]):
            frame = frame_of(rows)
            if parts is not None:
                write_table(frame, parts / f"part-{number:08d}.parquet")
                number += 1
            made.append(frame)
            bar.update(len(frame))
    table = pd.concat(made, ignore_index=True).set_index("path")
    return table.loc[[as_text(path) for path in paths]].reset_index()[COLUMNS]


def suited(hasher: str, workers: int, scheduler: str = "") -> ExecutorName:
    """The executor for that hasher: threads where it releases the GIL, processes where it does not."""
    if scheduler:
        return "dask"
    if workers == 1:
        return "serial"
    return "threads" if hasher == "find" else "processes"


def hash_row(file: str, hasher: str) -> tuple[Any, ...]:
    """The table's row of one file, in the order of COLUMNS; whatever goes wrong with the file is in the row."""
    text, family = as_text(file), as_text(family_of(file))
    size, modified = 0, 0
    with suppress(OSError, ValueError):  # what is wrong with the file, the reader says better
        status = os.stat(file)
        size, modified = status.st_size, status.st_mtime_ns
    try:
        packed, width, height, quality = hasher_named(hasher).read(file)
    except Exception as error:  # a decoder may raise anything on a damaged file, and every file must have its row
        message = " ".join(f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode().split())
        return text, family, 0, 0, hasher, "", nan, message, size, modified
    return text, family, width, height, hasher, packed.tobytes().hex(), quality, "", size, modified


def _hash_chunk(hasher: str, files: Sequence[str], stopped: Callable[[], bool] = lambda: False) -> Rows:
    rows = []
    for file in files:
        if stopped():
            break
        rows.append(hash_row(file, hasher))
    return rows


def _unchanged(files: dict[str, str], hasher: str, known: list[pd.DataFrame]) -> pd.DataFrame:
    """The known rows of this hasher that have no error and whose file still has the same size and time."""
    rows = pd.concat([frame_of([]), *known], ignore_index=True)
    rows = rows[(rows["hasher"] == hasher) & (rows["error"] == "")].drop_duplicates("path", keep="last")

    def same(text: str, size: int, modified: int) -> bool:
        try:
            status = os.stat(files[text])
        except (KeyError, OSError):
            return False
        return (status.st_size, status.st_mtime_ns) == (size, modified)

    identity = zip(rows["path"], rows["bytes"], rows["modified_ns"], strict=True)
    return rows[np.array([same(*row) for row in identity], bool)]


def _read_parts(parts: Path | None) -> Iterator[pd.DataFrame]:
    for path in sorted(parts.glob("part-*.parquet")) if parts is not None else []:
        # A part that a failing disk damaged is as good as missing: its files are hashed again.
        with suppress(ValueError):
            yield read_hashes(path)


def _next_part(parts: Path | None) -> int:
    numbers = [int(path.stem[5:]) for path in parts.glob("part-*.parquet")] if parts is not None else []
    return max(numbers, default=-1) + 1


Run = Callable[[str, Sequence[Sequence[str]]], Iterator[Rows]]


@contextmanager
def _mapper(executor: str, workers: int, scheduler: str | None) -> Iterator[Run]:
    """A function from a hasher and chunks of files to the chunks' rows, in the order in which they are finished."""
    if executor == "serial":
        yield lambda hasher, chunks: (_hash_chunk(hasher, chunk) for chunk in chunks)
    elif executor == "threads":
        stop = threading.Event()
        with _stopping(ThreadPoolExecutor(workers), stop.set) as pool:
            yield partial(_in_flight, pool, partial(_hash_chunk, stopped=stop.is_set), 2 * workers)
    elif executor == "processes":
        # Spawned, because a forked child inherits the locks of threads that it does not have.
        context = get_context("spawn")
        halt = context.Event()
        with _stopping(ProcessPoolExecutor(workers, context, _start_worker, (halt,)), halt.set) as pool:
            _start_workers(pool, workers)
            yield partial(_in_flight, pool, _hash_chunk_in_worker, 2 * workers)
    else:
        with _dask_client(workers, scheduler) as client:
            slots = 2 * max(1, sum(client.nthreads().values()))
            yield partial(_in_flight, client.get_executor(pure=False), _hash_chunk, slots)


def _in_flight(
    pool: Executor, function: Callable[..., Rows], most: int, hasher: str, chunks: Sequence[Sequence[str]]
) -> Iterator[Rows]:
    """Results as they are finished, with at most `most` chunks submitted: memory does not grow with their number."""
    futures = (pool.submit(function, hasher, chunk) for chunk in chunks)
    pending = set(islice(futures, most))
    while pending:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        pending |= set(islice(futures, len(finished)))
        for future in finished:
            yield future.result()


@contextmanager
def _stopping(pool: Executor, stop: Callable[[], None]) -> Iterator[Executor]:
    """The pool; on an exception (Ctrl-C is one) chunks in hand stop at their next file and the others never start."""
    try:
        yield pool
    except BaseException:
        stop()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _start_workers(pool: Executor, workers: int) -> None:
    """Start them with SIGINT blocked: Ctrl-C reaches the whole process group, and the parent decides what it means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(workers):
            pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_halted: Callable[[], bool]


def _start_worker(halt: Any) -> None:
    global _halted
    _halted = halt.is_set
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)  # the parent was killed: a worker waiting for its next chunk would wait for ever

    threading.Thread(target=follow, daemon=True).start()


def _hash_chunk_in_worker(hasher: str, files: Sequence[str]) -> Rows:
    return _hash_chunk(hasher, files, _halted)


@contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the scheduler at that address, or of a cluster on this machine's loopback made for the occasion."""
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("executor 'dask' needs dask: install the extra with pip install 'finlib[dask]'") from None
    if scheduler is not None:
        with Client(scheduler, timeout="10s", set_as_default=False) as client:
            yield client
        return
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}  # loopback alone
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
