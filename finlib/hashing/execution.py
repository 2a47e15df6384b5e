"""Hash many files with one hasher: one after another, in threads, in processes or with Dask.

The result is the table of `finlib.hashing.tables`, the same whatever executes it. Threads serve
hashers that release Python's global lock (the GIL): they start at once and are about as fast as
processes. The other hashers need processes, which pay where there are thousands of files.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from math import ceil, nan
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from finlib.checkpoint import Checkpoint
from finlib.distributed import check_file, count_threads, dask_client, run_in_order
from finlib.files import (
    UNKNOWN_STATE,
    FileState,
    file_digest,
    file_state,
    one_line,
    path_to_text,
)
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import family_of, read_content
from finlib.hashing.tables import SCHEMA, HashRow, complete_columns, rows_to_arrow
from finlib.machine import find_fault
from finlib.pools import find_obstacle, in_order, in_threads, processors, stopping

ExecutorName = Literal["auto", "serial", "threads", "processes", "dask"]
Chunk = Sequence[str]  # files that travel to a worker together
Rows = list[HashRow]

PARTS_VERSION = 2  # to be raised when the columns of a table or the bits of any hash change
FILES_PER_PROCESS = 1000  # hashed by each process, at least, to be worth the seconds of its start
CHUNKS_PER_WORKER = 4  # at least, so that all workers end at about the same time
KILLED = (
    "the process that hashed it was killed, most likely for want of memory. Shrink it, or leave it "
    "out."
)


class HashedFiles(NamedTuple):
    """What `hash_new_files` returns.

    table: the table of hashes, with a row for each path.
    newly_hashed: the number of files that were hashed in this run, failures included; the rows of
        the other files were known.
    """

    table: pd.DataFrame
    newly_hashed: int


def hash_files(
    paths: Iterable[str | Path],
    hasher: str = "find",
    executor: ExecutorName = "auto",
    workers: int | None = None,
    *,
    scheduler: str | None = None,
    checkpoint: str | Path | None = None,
    known: pd.DataFrame | None = None,
    verify: bool = False,
    chunk: int = 256,
    progress: bool = False,
) -> pd.DataFrame:
    """Hash files into a table with a row for each path, in the order of the paths.

    A file that cannot be read has a row with its error. So has a file that kills the process that
    hashes it: where a worker process is killed, the files that it may have had are hashed again,
    each alone in a process.

    Parameters
    ----------
    paths: the files, each by its path.
    hasher: the hasher's name, such as "find" or "find+dhash256".
    executor: what hashes the files. "auto" takes threads where the hasher releases the GIL,
        processes where it does not and there are thousands of files, and Dask where `scheduler` is
        given.
    workers: the most threads or processes to use; by default one for each processor.
    scheduler: the address of a Dask scheduler whose workers have the same version of finlib and see
        the files under the same absolute paths. Both are checked before work begins.
    checkpoint: a folder that keeps the hashes of each finished chunk, so that an interrupted run
        resumes. `hash_checkpoint(checkpoint, hasher).clear()` removes them.
    known: an earlier table. A row of it or of the checkpoint is used again where the file has not
        changed: it still has the same size and time of modification, and either the same inode and
        time of change or, if one of these is another, the same content by its digest. A row of an
        earlier version has no inode and no digest, and is used again by size and time of
        modification alone. Rows with an error are not used again.
    verify: whether to read every known file and compare its digest, whatever its times are. Rows
        of an earlier version, which have none, are then hashed again.
    chunk: the most files that travel to a worker together. They travel by name, and only a few
        chunks are with the workers at a time.
    progress: whether to show a progress bar.

    ValueError for an unknown hasher or executor and for arguments that contradict each other;
    TypeError where `paths` is a single path. A script that uses "processes" or "dask" has to call
    this under `if __name__ == "__main__":`, because their workers import the script again, and
    workers of a pool cannot start others: RuntimeError. "auto" then takes threads.

    >>> table = hash_files(["missing.jpg"])
    >>> table["path"][0], table["hash"][0]
    ('missing.jpg', '')
    >>> table["error"][0][:46]
    'FileNotFoundError: missing.jpg: no such file. '
    """
    return hash_new_files(
        paths,
        hasher,
        executor,
        workers,
        scheduler=scheduler,
        checkpoint=checkpoint,
        known=known,
        verify=verify,
        chunk=chunk,
        progress=progress,
    ).table


def hash_new_files(
    paths: Iterable[str | Path],
    hasher: str = "find",
    executor: ExecutorName = "auto",
    workers: int | None = None,
    *,
    scheduler: str | None = None,
    checkpoint: str | Path | None = None,
    known: pd.DataFrame | None = None,
    verify: bool = False,
    chunk: int = 256,
    progress: bool = False,
) -> HashedFiles:
    """Do what `hash_files` does, and also return the number of files that were not known.

    Arguments and errors are those of `hash_files`.
    """
    get_hasher(hasher)
    _check_options(paths, executor, workers, scheduler, chunk)
    most_workers = processors(workers)
    paths = list(paths)
    texts = [path_to_text(path) for path in paths]
    files = {text: os.fspath(path) for text, path in zip(texts, paths, strict=True)}

    keeper = _ChunkKeeper(checkpoint, hasher)
    known_tables = keeper.tables if known is None else [*keeper.tables, known]
    reusable = _reusable_rows(known_tables, files, hasher, verify, most_workers)
    reusable_paths = set(reusable["path"])
    new_files = [file for text, file in files.items() if text not in reusable_paths]

    plan = plan_execution(
        hasher, executor, most_workers, scheduler, files=len(new_files), chunk=chunk
    )
    chunks = _split(new_files, plan.chunk_size)
    bar = tqdm(
        total=len(files),
        initial=len(reusable),
        unit="file",
        disable=None if progress else True,
    )
    with bar, closing(hash_chunks(chunks, hasher, plan, scheduler)) as results:
        new_rows = _collect(results, keeper, bar)
    return HashedFiles(_in_order_of(texts, reusable, new_rows), len(new_files))


def hash_checkpoint(folder: str | Path, hasher: str) -> Checkpoint:
    """Return what a run with this `checkpoint` folder keeps of this hasher: tables in Parquet.

    The files to be hashed are not part of its key, because rows are matched with files by path,
    size and time of modification. Several hashers can share a folder.
    """
    key = f"{hasher}, version {PARTS_VERSION}"
    return Checkpoint(Path(folder), key, f"part-{hasher}", ".parquet")


# What a run is given


def _check_options(
    paths: object,
    executor: str,
    workers: int | None,
    scheduler: str | None,
    chunk: int,
) -> None:
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(
            f"paths must be files, not one path: give [{paths!r}] for a file, or "
            f"list_images({paths!r}) for a folder"
        )
    if executor not in get_args(ExecutorName):
        names = ", ".join(get_args(ExecutorName))
        raise ValueError(f"executor must be one of {names}, not {executor!r}")
    if scheduler is not None and executor not in ("auto", "dask"):
        raise ValueError(f"a scheduler's address is for executor 'dask', not {executor!r}")
    if scheduler is not None and workers is not None:
        raise ValueError("workers has no effect with a scheduler, which has workers of its own")
    if executor == "processes" or (executor == "dask" and scheduler is None):
        obstacle = find_obstacle()
        if obstacle:
            raise RuntimeError(f"worker processes cannot start: {obstacle}")
    if executor == "serial" and workers is not None and workers > 1:
        raise ValueError("workers has no effect with executor 'serial', which uses none")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")


# What is known


def is_unchanged(row: FileState, state: FileState) -> bool:
    """Whether a file is in the state that its row has, as far as the row knows it.

    The device does not count: external drives and those of a network get another one each time.
    """
    if (row.bytes, row.modified_ns) != (state.bytes, state.modified_ns):
        return False
    if row.inode == 0:  # of an earlier version, or of a system without inodes
        return True
    return (row.inode, row.changed_ns) == (state.inode, state.changed_ns)


def _reusable_rows(
    known_tables: Sequence[pd.DataFrame],
    files: dict[str, str],
    hasher: str,
    verify: bool,
    workers: int,
) -> pd.DataFrame:
    """Return the rows of this hasher that have no error and whose file has not changed since, with
    the file's state as it is now.

    `files` maps paths as the tables have them to paths as the system has them. Of several rows of
    one path, the last counts.
    """
    if not known_tables:
        return SCHEMA.empty_table().to_pandas()
    known = pd.concat(map(complete_columns, known_tables), ignore_index=True)[SCHEMA.names]
    is_good = (known["hasher"] == hasher) & (known["error"] == "")
    candidates = known[is_good].drop_duplicates("path", keep="last")
    candidates = candidates[candidates["path"].isin(list(files))].reset_index(drop=True)
    names = [files[path] for path in candidates["path"]]
    states = [file_state(name) for name in names]
    usable, doubtful = _judge(candidates, states, verify)
    jobs = ((names[row], candidates["digest"].iloc[row]) for row in doubtful)
    has_same_content = in_threads(_has_digest, jobs, workers)
    for row, is_same in zip(doubtful, has_same_content, strict=True):
        if is_same:
            usable.append(row)
    usable.sort()
    return _with_states(candidates.iloc[usable], [states[row] for row in usable])


def _judge(
    candidates: pd.DataFrame, states: Sequence[FileState | None], verify: bool
) -> tuple[list[int], list[int]]:
    """Return the numbers of the rows that can be used again, and of those whose files have to be
    read to know it."""
    usable: list[int] = []
    doubtful: list[int] = []
    stored = candidates[list(FileState._fields)].itertuples(index=False, name=None)
    for row, (values, state) in enumerate(zip(stored, states, strict=True)):
        if state is None:
            continue
        row_state = FileState(*values)
        if not verify and is_unchanged(row_state, state):
            usable.append(row)
        elif row_state[:2] == state[:2]:
            doubtful.append(row)
    return usable, doubtful


def _has_digest(file: str, digest: str) -> bool:
    try:
        return digest != "" and file_digest(file) == digest
    except OSError:
        return False


def _with_states(rows: pd.DataFrame, states: Sequence[FileState | None]) -> pd.DataFrame:
    """The rows with these states of their files."""
    now = pd.DataFrame(states, rows.index, list(FileState._fields), np.int64)
    return rows.assign(**{name: now[name] for name in FileState._fields})


class _ChunkKeeper:
    """Keeps the tables of finished chunks in a checkpoint, or nothing where there is no folder.

    tables: those of earlier runs.
    """

    def __init__(self, folder: str | Path | None, hasher: str) -> None:
        self.checkpoint: Checkpoint | None = None
        self.tables: list[pd.DataFrame] = []
        self.next_number = 0
        if folder is None:
            return
        self.checkpoint = hash_checkpoint(folder, hasher)
        parts = self.checkpoint.numbered_parts()
        self.tables = [pq.ParquetFile(file).read().to_pandas() for file in parts.values()]
        self.next_number = max(parts, default=-1) + 1

    def keep(self, table: pa.Table) -> None:
        if self.checkpoint is None:
            return
        with self.checkpoint.new_part(self.next_number) as file:
            pq.write_table(table, file)
        self.next_number += 1


# What is left to do, and how


class Plan(NamedTuple):
    """How the files of a run are hashed.

    executor: "serial", "threads", "processes" or "dask".
    workers: the number of threads or processes to start.
    chunk_size: the number of files that travel to a worker together.
    """

    executor: str
    workers: int
    chunk_size: int


def plan_execution(
    hasher: str,
    executor: ExecutorName,
    workers: int,
    scheduler: str | None = None,
    *,
    files: int,
    chunk: int = 256,
) -> Plan:
    """Plan how to hash this number of files; the other arguments are those of `hash_files`."""
    chunk_size = max(1, min(chunk, ceil(files / (CHUNKS_PER_WORKER * workers))))
    chosen: str = executor
    if executor == "auto":
        releases_gil = get_hasher(hasher).releases_gil
        if not releases_gil:
            workers = min(workers, files // FILES_PER_PROCESS)
        chosen = _choose_executor(releases_gil, workers, scheduler)
    chunks = ceil(files / chunk_size)
    return Plan(chosen, max(1, min(workers, chunks)), chunk_size)


def _choose_executor(releases_gil: bool, workers: int, scheduler: str | None) -> str:
    if scheduler:
        return "dask"
    if workers < 2:
        return "serial"
    return "threads" if releases_gil or find_obstacle() else "processes"


def _split(files: Sequence[str], size: int) -> list[Chunk]:
    return [files[start : start + size] for start in range(0, len(files), size)]


def _collect(results: Iterable[Rows], keeper: _ChunkKeeper, bar: tqdm) -> pd.DataFrame:
    """Return the rows of all chunks as one table, and keep each chunk as soon as it is finished."""
    # Arrow's tables, because a data frame costs as much time as the hashes of a few files.
    chunk_tables = [SCHEMA.empty_table()]
    for rows in results:
        chunk_table = rows_to_arrow(rows)
        chunk_tables.append(chunk_table)
        keeper.keep(chunk_table)
        bar.update(len(rows))
    return pa.concat_tables(chunk_tables).to_pandas()


def _in_order_of(
    texts: Sequence[str], reusable: pd.DataFrame, new_rows: pd.DataFrame
) -> pd.DataFrame:
    """Assemble a table with the row of each path, in the order of these paths."""
    table = pd.concat([reusable, new_rows], ignore_index=True)
    places = pd.Index(table["path"]).get_indexer(texts)
    return table.iloc[places].reset_index(drop=True)


# Hashing


def hash_row(file: str, hasher: str) -> HashRow:
    """Hash one file into a row of the table; whatever goes wrong with the file is in the row.

    MachineFault where the machine is to blame.
    """
    state = file_state(file)
    if state is None:  # why, the hasher's error says better
        state = UNKNOWN_STATE
    try:
        content = read_content(file)
        hashed = get_hasher(hasher).read(content)
        digest = content.digest()
    except Exception as error:  # decoders raise anything on damaged files, and all need a row
        fault = find_fault(error)
        if fault is not None:
            raise fault from error
        return _failed_row(file, hasher, error, state)
    return HashRow(
        path=path_to_text(file),
        family=path_to_text(family_of(file)),
        width=hashed.width,
        height=hashed.height,
        hasher=hasher,
        hash=hashed.packed.tobytes().hex(),
        quality=hashed.quality,
        error="",
        **state._asdict(),
        digest=digest,
    )


def _failed_row(file: str, hasher: str, error: Exception, state: FileState) -> HashRow:
    return HashRow(
        path=path_to_text(file),
        family=path_to_text(family_of(file)),
        width=0,
        height=0,
        hasher=hasher,
        hash="",
        quality=nan,
        error=one_line(f"{type(error).__name__}: {error}"),
        **state._asdict(),
    )


def _hash_chunk(hasher: str, files: Chunk) -> Rows:
    return [hash_row(file, hasher) for file in files]


def _hash_chunk_elsewhere(pixels: int | None, hasher: str, files: Chunk) -> Rows:
    """Hash files in another process, with the limit of pixels that holds in this run's process."""
    Image.MAX_IMAGE_PIXELS = pixels
    return _hash_chunk(hasher, files)


def _hash_chunk_until(is_stopped: Callable[[], bool], hasher: str, files: Chunk) -> Rows:
    rows: Rows = []
    for file in files:
        if is_stopped():
            break
        rows.append(hash_row(file, hasher))
    return rows


def hash_chunks(
    chunks: Sequence[Chunk], hasher: str, plan: Plan, scheduler: str | None = None
) -> Generator[Rows, None, None]:
    """Yield the rows of each chunk of files, in order, hashed as planned."""
    if not chunks:
        return
    if plan.executor == "threads":
        yield from hash_in_threads(chunks, hasher, plan.workers)
    elif plan.executor == "processes":
        yield from hash_in_processes(chunks, hasher, plan.workers)
    elif plan.executor == "dask":
        yield from hash_on_dask(chunks, hasher, plan.workers, scheduler)
    else:
        for chunk in chunks:
            yield _hash_chunk(hasher, chunk)


def hash_in_threads(chunks: Sequence[Chunk], hasher: str, workers: int) -> Iterator[Rows]:
    """Yield the rows of each chunk; threads stop after the file in hand when the run is cut."""
    stop = threading.Event()
    jobs = ((stop.is_set, hasher, chunk) for chunk in chunks)
    with stopping(ThreadPoolExecutor(workers), stop.set) as pool:
        yield from in_order(pool, _hash_chunk_until, jobs, 2 * workers)


def hash_on_dask(
    chunks: Sequence[Chunk], hasher: str, workers: int, scheduler: str | None
) -> Iterator[Rows]:
    """Yield the rows of each chunk, hashed by the workers of that scheduler, or by new ones.

    Files are sent by absolute paths, because workers may run in other folders. RuntimeError where a
    worker does not see a file that is here.
    """
    jobs = (
        (Image.MAX_IMAGE_PIXELS, hasher, [_absolute(file) for file in chunk]) for chunk in chunks
    )
    with dask_client(scheduler, workers) as client:
        probe = _first_file(chunks)
        if probe is not None:
            check_file(client, _absolute(probe))
        results = run_in_order(client, _hash_chunk_elsewhere, jobs, 2 * count_threads(client))
        for chunk, rows in zip(chunks, results, strict=True):
            yield [_row_from_worker(row, file) for row, file in zip(rows, chunk, strict=True)]


def _absolute(file: str) -> str:
    # Not normalised: the folder before ".." may be a link.
    return file if os.path.isabs(file) else os.path.join(os.getcwd(), file)


def _first_file(chunks: Sequence[Chunk]) -> str | None:
    """The first file that this machine sees; None where it sees none."""
    for chunk in chunks:
        for file in chunk:
            if os.path.isfile(file):
                return file
    return None


def _row_from_worker(row: HashRow, file: str) -> HashRow:
    """The row of a file that was sent by its absolute path, under the path that was given."""
    worker_saw_it = (row.bytes, row.modified_ns) != UNKNOWN_STATE[:2]
    if row.error and not worker_saw_it and os.path.isfile(file):
        raise RuntimeError(
            f"a Dask worker does not see the file {_absolute(file)}, which is on this machine. "
            "Stop the workers that do not see its folder, and start the same work again"
        )
    error = row.error.replace(one_line(_absolute(file)), one_line(file))
    return row._replace(path=path_to_text(file), error=error)


def hash_in_processes(chunks: Sequence[Chunk], hasher: str, workers: int) -> Iterator[Rows]:
    """Yield the rows of each chunk, and get over killed processes.

    A worker that is killed breaks the whole pool, and nobody knows which file it had. The files of
    all chunks that were with the workers are therefore hashed again, each alone in its process, and
    the other chunks in a new pool.
    """
    most = 2 * workers if workers > 1 else 1
    done = 0
    while done < len(chunks):
        jobs = ((Image.MAX_IMAGE_PIXELS, hasher, chunk) for chunk in chunks[done:])
        try:
            with _process_pool(workers) as pool:
                for rows in in_order(pool, _hash_chunk_elsewhere, jobs, most):
                    done += 1
                    yield rows
        except BrokenProcessPool:
            for chunk in chunks[done : done + most]:
                done += 1
                yield _hash_each_alone(chunk, hasher)


def _hash_each_alone(files: Chunk, hasher: str) -> Rows:
    """Hash files one at a time in a single process; one that kills it has a row with an error."""
    rows: Rows = []
    while len(rows) < len(files):
        try:
            with _process_pool(1) as pool:
                for file in files[len(rows) :]:
                    job = (Image.MAX_IMAGE_PIXELS, hasher, [file])
                    rows += pool.submit(_hash_chunk_elsewhere, *job).result()
        except BrokenProcessPool:
            killer = files[len(rows)]
            error = MemoryError(f"{killer}: {KILLED}")
            rows.append(_failed_row(killer, hasher, error, UNKNOWN_STATE))
    return rows


@contextmanager
def _process_pool(workers: int) -> Iterator[Executor]:
    """A pool of processes that end at once when the block ends with an exception.

    They end with this process, too, however it ends. RuntimeError where they cannot start.
    """
    # Spawned, because a forked child inherits the locks of threads that it does not have.
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _end_with_parent, (receiver,))
    with stopping(pool, sender.close):
        _start_workers(pool, workers)
        yield pool


def _start_workers(pool: ProcessPoolExecutor, workers: int) -> None:
    """Start the processes with SIGINT blocked.

    Ctrl-C reaches every process of the terminal's group, and the parent decides what it means.
    """
    earlier_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        futures = [pool.submit(os.getpid) for _ in range(workers)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier_mask)
    try:
        futures[0].result()
    except BrokenProcessPool:
        raise RuntimeError(
            "worker processes cannot start. Either there is not enough memory for them: use 1 "
            "worker. Or this script starts them while they import it: put what it runs under "
            'if __name__ == "__main__":'
        ) from None


def _end_with_parent(receiver: Connection) -> None:
    """End this process, busy or not, as soon as the parent closes its end of the pipe or dies."""

    def wait_for_the_end() -> None:
        with suppress(EOFError, OSError):
            receiver.recv()
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
