"""One hasher over many files: serial, threads, processes or Dask; ordered, resumable, errors kept as rows.

The table is that of `finlib.hashing.tables`. The GIL is released while a file is decoded and while it is hashed by a compiled
method, so threads serve these: they start at once, and are about as fast as processes. wHash and PDQ hold it and want
processes, once there is enough to do for each.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from itertools import islice, takewhile
from math import nan
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from finlib.distributed import dask_client
from finlib.files import one_line, path_to_text
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import family_of
from finlib.hashing.tables import SCHEMA, Rows, read_hashes, rows_to_arrow, write_table
from finlib.pools import in_order, processors, stopping

ExecutorName = Literal["auto", "serial", "threads", "processes", "dask"]
Chunks = Sequence[Sequence[str]]
Found = Generator[Rows, None, None]
KILLED = "the process that hashed it was killed, most likely for want of memory. Shrink it, or leave it out."
FILES_A_PROCESS = (
    1000  # to hash, before another process earns the second or two that it takes to start
)


def hash_files(
    paths: Iterable[str | Path],
    hasher: str = "find",
    executor: ExecutorName = "auto",
    workers: int | None = None,
    *,
    scheduler: str | None = None,
    checkpoint: str | Path | None = None,
    known: pd.DataFrame | None = None,
    chunk: int = 256,
    progress: bool = False,
) -> pd.DataFrame:
    """The table of hashes of `paths`, a row per path and in their order, whatever the executor.

    A file that cannot be read is a row with its error. The executor "auto" takes threads where the hasher releases the
    GIL, processes where it does not and there are thousands of files, and Dask where `scheduler`, the address of a
    Dask scheduler, is given. `workers` is the most to use, by default the processors at hand. Files travel to workers
    by name, at most `chunk` at a time, and no more than a few chunks are in flight. Where a worker process is killed,
    the files that it may have had are hashed once more, each alone; one that kills again is a row with an error.

    With `checkpoint`, a folder, each finished chunk is written there under a temporary name and then renamed. A run
    that finds such parts, or is given the rows of an earlier table as `known`, hashes only the files whose size or
    time has changed since, and those that failed; `attrs["hashed"]` of the table tells how many that were.

    ValueError for an unknown hasher or executor and for arguments that contradict each other; TypeError where `paths`
    is one path. In a script, call it under `if __name__ == "__main__":` where the executor is "processes" or "dask":
    their workers import the script again.

    >>> hash_files(["missing.jpg"])[["path", "hash", "error"]].to_numpy().tolist()
    [['missing.jpg', '', 'FileNotFoundError: missing.jpg: no such file. Check the path, or whether it was moved.']]
    """
    get_hasher(hasher)
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(
            f"paths must be files, not one path: give [{paths!r}], or find_images({paths!r}) for a folder"
        )
    if executor not in get_args(ExecutorName):
        raise ValueError(
            f"executor must be one of {', '.join(get_args(ExecutorName))}, not {executor!r}"
        )
    if scheduler is not None and executor not in ("auto", "dask"):
        raise ValueError(f"a scheduler's address is for executor 'dask', not {executor!r}")
    if workers is not None and (scheduler is not None or (executor == "serial" and workers > 1)):
        raise ValueError(
            "workers has no effect with a scheduler, which has its own, or with executor 'serial'"
        )
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    most, paths = processors(workers), list(paths)
    parts = Path(checkpoint) if checkpoint is not None else None
    held = sorted(parts.glob("part-*.parquet")) if parts is not None else []
    texts = [path_to_text(path) for path in paths]
    files = {text: os.fspath(path) for text, path in zip(texts, paths, strict=True)}
    kept = _unchanged(files, hasher, [*_read_parts(held), *([] if known is None else [known])])
    done = set(kept["path"])
    todo = [file for text, file in files.items() if text not in done]
    size = min(chunk, -(-len(todo) // (4 * most)) or 1)
    chunks = [todo[at : at + size] for at in range(0, len(todo), size)]
    number = int(held[-1].stem[5:]) + 1 if held else 0
    bar = tqdm(total=len(files), initial=len(done), unit="file", disable=None if progress else True)
    with bar, closing(_rows_of(chunks, hasher, executor, most, scheduler)) as found:
        made = [SCHEMA.empty_table()]  # not frames: each costs as much as the hashes of a few files
        for rows in found:
            made.append(rows_to_arrow(rows))
            if parts is not None:
                write_table(made[-1].to_pandas(), parts / f"part-{number:08d}.parquet")
                number += 1
            bar.update(len(rows))
    table = pd.concat([kept, pa.concat_tables(made).to_pandas()], ignore_index=True)
    table = table.iloc[pd.Index(table["path"]).get_indexer(texts)].reset_index(drop=True)
    table.attrs["hashed"] = len(todo)
    return table


def _rows_of(
    chunks: Chunks, hasher: str, executor: str, workers: int, scheduler: str | None
) -> Found:
    """The rows of each chunk of files, in order."""
    files = sum(map(len, chunks))
    if executor == "auto":
        holds_gil = not get_hasher(hasher).releases_gil
        if holds_gil:
            workers = min(workers, files // FILES_A_PROCESS)
        executor = (
            "dask"
            if scheduler
            else "serial"
            if workers < 2
            else "processes"
            if holds_gil
            else "threads"
        )
    workers = max(1, min(workers, len(chunks)))
    if not chunks or executor == "serial":
        return (_hash_chunk(hasher, chunk) for chunk in chunks)
    if executor == "dask":
        return _by_dask(hasher, chunks, workers, scheduler)
    return (_in_threads if executor == "threads" else _in_processes)(hasher, chunks, workers)


def hash_row(file: str, hasher: str) -> tuple[Any, ...]:
    """The table's row of one file, in the order of COLUMNS; whatever goes wrong with the file is in the row."""
    text, family, size, modified = path_to_text(file), path_to_text(family_of(file)), 0, 0
    with suppress(OSError, ValueError):  # what is wrong with the file, the reader says better
        status = os.stat(file)
        size, modified = status.st_size, status.st_mtime_ns
    try:
        packed, width, height, quality = get_hasher(hasher).read(file)
    except (
        Exception
    ) as error:  # a decoder may raise anything on a damaged file, and every file must have its row
        return _failed(file, hasher, error, size, modified)
    return text, family, width, height, hasher, packed.tobytes().hex(), quality, "", size, modified


def _failed(
    file: str, hasher: str, error: Exception, size: int = 0, modified: int = 0
) -> tuple[Any, ...]:
    why = one_line(f"{type(error).__name__}: {error}")
    return (
        path_to_text(file),
        path_to_text(family_of(file)),
        0,
        0,
        hasher,
        "",
        nan,
        why,
        size,
        modified,
    )


def _hash_chunk(
    hasher: str, files: Sequence[str], stopped: Callable[[], bool] = lambda: False
) -> Rows:
    return [hash_row(file, hasher) for file in takewhile(lambda _: not stopped(), files)]


def _unchanged(files: dict[str, str], hasher: str, known: list[pd.DataFrame]) -> pd.DataFrame:
    """The known rows of this hasher that have no error and whose file still has the same size and time."""
    if not known:
        return SCHEMA.empty_table().to_pandas()
    rows = pd.concat(known, ignore_index=True)[SCHEMA.names]
    rows = rows[(rows["hasher"] == hasher) & (rows["error"] == "")].drop_duplicates(
        "path", keep="last"
    )

    def same(text: str, size: int, modified: int) -> bool:
        try:
            status = os.stat(files[text])
        except (KeyError, OSError):
            return False
        return (status.st_size, status.st_mtime_ns) == (size, modified)

    identity = zip(rows["path"], rows["bytes"], rows["modified_ns"], strict=True)
    return rows[np.array([same(*row) for row in identity], bool)]


def _read_parts(parts: Iterable[Path]) -> Iterator[pd.DataFrame]:
    for path in parts:
        # A part that a failing disk damaged is as good as missing: its files are hashed again.
        with suppress(ValueError):
            yield read_hashes(path)


def _in_threads(hasher: str, chunks: Chunks, workers: int) -> Found:
    stop = threading.Event()
    with stopping(ThreadPoolExecutor(workers), stop.set) as pool:
        yield from in_order(
            pool, _hash_chunk, ((hasher, chunk, stop.is_set) for chunk in chunks), 2 * workers
        )


def _in_processes(hasher: str, chunks: Chunks, workers: int) -> Found:
    """Where a worker is killed, what was in flight is hashed again, file by file: who kills once more is named."""
    at, most = 0, 2 * workers if workers > 1 else 1
    while at < len(chunks):
        try:
            with _processes(workers) as pool:
                jobs = ((hasher, chunk) for chunk in islice(chunks, at, None))
                for rows in in_order(pool, _hash_chunk, jobs, most):
                    at += 1
                    yield rows
        except BrokenProcessPool:
            for chunk in chunks[at : at + most]:
                at += 1
                alone = (
                    ()
                    if len(chunk) == most == 1
                    else _in_processes(hasher, [[file] for file in chunk], 1)
                )
                killed = MemoryError(f"{chunk[0]}: {KILLED}")
                yield [row for rows in alone for row in rows] or [_failed(chunk[0], hasher, killed)]


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    # Spawned, because a forked child inherits the locks of threads that it does not have.
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with stopping(
        ProcessPoolExecutor(workers, context, _end_with, (reader,)), writer.close
    ) as pool:
        # Started with SIGINT blocked: Ctrl-C reaches the whole process group, and the parent decides what it means.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            started = [pool.submit(os.getpid) for _ in range(workers)]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            started[0].result()
        except BrokenProcessPool:
            raise RuntimeError(
                "worker processes cannot start, most likely for want of memory: use 1 worker"
            ) from None
        yield pool


def _end_with(parent: Any) -> None:
    """End this process, busy or not, when the other end of this pipe is closed: by the parent, or with it."""

    def follow() -> None:
        with suppress(EOFError, OSError):
            parent.recv()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _by_dask(hasher: str, chunks: Chunks, workers: int, scheduler: str | None) -> Found:
    with dask_client(scheduler, workers) as client:
        slots, jobs = (
            2 * max(1, sum(client.nthreads().values())),
            ((hasher, chunk) for chunk in chunks),
        )
        yield from in_order(client.get_executor(pure=False), _hash_chunk, jobs, slots)
