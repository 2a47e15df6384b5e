"""Every executor gives the same table; runs resume; bad files are rows."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.distributed import dask_client
from finlib.hashing import execution, tables
from finlib.hashing.execution import hash_files
from finlib.hashing.hashers import HASHERS
from finlib.hashing.images import list_images


@pytest.fixture(scope="module")
def cluster():
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are hashed from here on, in this process."""
    seen: list[str] = []
    row = execution.hash_row

    def spy(file: str, hasher: str) -> tuple:
        seen.append(file)
        return row(file, hasher)

    monkeypatch.setattr(execution, "hash_row", spy)
    return seen


def test_a_row_per_file_in_input_order_with_errors_as_rows(
    album: Path, picture: Image.Image
) -> None:
    paths = [album / "missing.png", *reversed(list_images(album)), album / "below"]
    table = hash_files(paths)
    assert list(table.columns) == tables.COLUMNS
    assert table["path"].tolist() == [str(path) for path in paths]
    by_name = table.set_index(table["path"].map(os.path.basename))
    good = by_name.loc["0001_0.jpg"]
    assert (good["family"], good["width"], good["height"]) == ("0001", *picture.size)
    assert good["hash"] == HASHERS["find"].from_file(good["path"]).tobytes().hex()
    assert (good["error"], good["bytes"]) == ("", os.path.getsize(good["path"]))
    bad = table[table["error"] != ""]
    assert sorted(bad["path"].map(os.path.basename)) == ["0002_damaged.jpg", "below", "missing.png"]
    assert (bad["hash"] == "").all()
    assert by_name.loc["missing.png", "error"].startswith("FileNotFoundError: ")


@pytest.mark.parametrize("name", ["find", "whash64"])
@pytest.mark.parametrize("executor", ["threads", "processes", "dask"])
def test_parallel_equals_serial(executor: str, name: str, album: Path, cluster) -> None:
    paths = list_images(album)
    address = cluster.scheduler_address if executor == "dask" else None
    parallel = hash_files(paths, name, executor, None if address else 2, scheduler=address, chunk=2)
    pd.testing.assert_frame_equal(parallel, hash_files(paths, name))


def test_dask_starts_workers_of_its_own_without_an_address(album: Path) -> None:
    paths = list_images(album)
    pd.testing.assert_frame_equal(hash_files(paths, executor="dask", workers=1), hash_files(paths))


def test_work_that_dask_gives_up_is_told_in_a_line() -> None:
    gone = pytest.raises(
        RuntimeError, match="Dask gave up on some of the work: the scheduler is gone"
    )
    with gone, dask_client(None):
        raise CancelledError


def test_no_files_and_repeated_files(album: Path) -> None:
    assert hash_files([]).empty
    path = list_images(album)[0]
    table = hash_files([path, path], chunk=1)
    assert table["path"].tolist() == [str(path)] * 2
    assert table["hash"].nunique() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hasher": "md5"}, "no hasher is named"),
        ({"executor": "gpu"}, "executor must be one of auto, serial, threads"),
        ({"chunk": 0}, "at least 1"),
        ({"workers": 0}, "at least 1"),
        ({"scheduler": "tcp://127.0.0.1:1", "executor": "threads"}, "executor 'dask'"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "workers has no effect"),
        ({"executor": "serial", "workers": 2}, "workers has no effect"),
    ],
)
def test_wrong_use_is_refused(options: dict, message: str, album: Path) -> None:
    with pytest.raises(ValueError, match=message):
        hash_files(list_images(album), **options)


@pytest.mark.parametrize("one", ["a.jpg", Path("a.jpg"), b"a.jpg"])
def test_one_path_is_not_taken_for_many(one) -> None:
    with pytest.raises(TypeError, match="must be files, not one path"):
        hash_files(one)


@pytest.mark.parametrize(
    ("hasher", "files", "workers", "expected"),
    [
        ("find", 9, 2, "threads"),
        ("find+dhash256", 9, 8, "threads"),
        ("find", 9, 1, "serial"),
        ("pdq", 9, 2, "serial"),
        ("find+whash64", 9000, 2, "processes"),
    ],
)
def test_the_executor_suits_the_hasher(hasher, files, workers, expected, monkeypatch) -> None:
    chosen = []
    for name in ("_in_threads", "_in_processes"):
        monkeypatch.setattr(
            execution, name, lambda *_, name=name: chosen.append(name[4:]) or iter(())
        )
    monkeypatch.setattr(execution, "_hash_chunk", lambda *_: chosen.append("serial") or [])
    list(execution._rows_of([["a"] * files, ["b"]], hasher, "auto", workers, None))
    assert set(chosen) == {expected}


def test_processes_start_as_they_are_needed(album: Path, monkeypatch) -> None:
    started = []
    start = execution._processes
    monkeypatch.setattr(
        execution, "_processes", lambda workers: started.append(workers) or start(workers)
    )
    hash_files(list_images(album)[:1], "dhash64", "processes", 32)
    assert started == [1]


KILLED = """
import os, signal, sys
from types import SimpleNamespace
from finlib.hashing import execution, tables

real = execution.get_hasher

def read(file):
    if file == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real("dhash64").read(file)

execution.get_hasher = lambda hasher: SimpleNamespace(read=read)  # in the workers, too: they import this file
if __name__ == "__main__":
    files = sys.argv[2:]
    found = execution._rows_of([files[:2], files[2:]], "dhash64", "processes", 2, None)
    tables.table_of([row for rows in found for row in rows]).to_pandas().to_csv(sys.argv[1], index=False)
"""


def test_a_killed_workers_files_are_tried_alone_and_the_killer_is_named(
    album: Path, tmp_path: Path
) -> None:
    """Two chunks in flight: the killer's neighbour, and both files beside them, have their rows all the same."""
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    files = [
        str(album / name) for name in ("0001_0.jpg", "0001_1.png", "0002_damaged.jpg", "0000_0.jpg")
    ]
    done = subprocess.run([sys.executable, script, tmp_path / "t.csv", *files], capture_output=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert table["path"].tolist() == files
    killer, damaged = table["error"][::2]
    assert "was killed, most likely for want of memory" in killer
    assert "0002_damaged.jpg" in damaged
    assert "was killed" not in damaged
    assert (table["error"][1::2] == "").all()
    assert (table["hash"][1::2] != "").all()


STOPPED = """
import os, sys, time
from types import SimpleNamespace
from finlib.hashing import execution

real = execution.get_hasher

def read(file):
    if file == "endless":
        open(sys.argv[2], "x").close()
        time.sleep(1e9)
    return real("dhash64").read(file)

execution.get_hasher = lambda hasher: SimpleNamespace(read=read)  # in the workers, too: they import this file
if __name__ == "__main__":
    found = execution._rows_of([sys.argv[1:2], ["endless"]], "dhash64", "processes", 2, None)
    print(len(next(found)))
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    found.close()  # as on any error, Ctrl-C being one
"""


def test_workers_are_stopped_in_the_middle_of_a_chunk(album: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(STOPPED)
    command = [sys.executable, script, str(album / "0001_0.jpg"), tmp_path / "begun"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120
    )  # it would not end at all
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_folder_that_may_not_be_listed_is_a_row_and_the_rest_is_done(
    album: Path, close_below
) -> None:
    close_below()
    table = hash_files(list_images(album), executor="serial")
    assert (table["error"] == "").sum() == 6
    assert "no permission" in table.set_index("path")["error"][str(album / "below")]


def test_a_second_run_hashes_only_what_is_new_changed_or_failed(
    album: Path, tmp_path: Path, hashed
) -> None:
    parts = tmp_path / "parts"
    first = hash_files(list_images(album), checkpoint=parts, chunk=3)
    assert len(hashed) == len(first)
    hashed.clear()
    Image.linear_gradient("L").save(album / "0000_new.png")
    Image.linear_gradient("L").save(album / "0001_1.png")
    (album / "0000_1.png").unlink()
    second = hash_files(list_images(album), checkpoint=parts, chunk=3)
    assert sorted(map(os.path.basename, hashed)) == [
        "0000_new.png",
        "0001_1.png",
        "0002_damaged.jpg",
    ]
    pd.testing.assert_frame_equal(second, hash_files(list_images(album)))
    hashed.clear()
    hash_files(list_images(album), known=second)
    assert list(map(os.path.basename, hashed)) == ["0002_damaged.jpg"]


def test_a_file_of_the_same_size_with_another_time_is_hashed_again(
    album: Path, tmp_path: Path, hashed
) -> None:
    paths = list_images(album)[:2]
    hash_files(paths, checkpoint=tmp_path / "parts")
    os.utime(paths[0], ns=(1, 1))
    hashed.clear()
    hash_files(paths, checkpoint=tmp_path / "parts")
    assert hashed == [str(paths[0])]


def test_parts_of_another_hasher_and_damaged_parts_are_not_used(
    album: Path, tmp_path: Path, hashed
) -> None:
    parts = tmp_path / "parts"
    paths = list_images(album)[:4]
    hash_files(paths, "phash64", checkpoint=parts)
    (parts / "part-00000007.parquet").write_bytes(b"PAR1 cut")
    hashed.clear()
    table = hash_files(paths, checkpoint=parts)
    assert len(hashed) == 4
    assert set(table["hasher"]) == {"find"}
    assert (parts / "part-00000008.parquet").exists()


def test_an_error_while_writing_a_part_keeps_the_finished_ones(
    album: Path, tmp_path: Path, monkeypatch
) -> None:
    parts = tmp_path / "parts"
    written = []

    def full_after_two(table: pd.DataFrame, path: Path) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        tables.write_table(table, path)

    monkeypatch.setattr(execution, "write_table", full_after_two)
    with pytest.raises(OSError, match="No space left"):
        hash_files(list_images(album), executor="threads", workers=2, checkpoint=parts, chunk=2)
    assert sorted(parts.iterdir()) == sorted(written)


def test_names_that_are_not_utf8_are_hashed(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    try:
        with open(name, "wb") as file:
            Image.linear_gradient("L").save(file, "png")
    except OSError:
        pytest.skip("this file system holds only UTF-8 names")
    table = hash_files(
        list_images(tmp_path), executor="processes", workers=1, checkpoint=tmp_path / "parts"
    )
    assert table["path"].tolist() == [str(tmp_path / "caf\\xe9.png")]
    assert table["error"].tolist() == [""]


def _many(folder: Path, count: int) -> Path:
    """`count` image files under many names, cheaply: hard links to a few."""
    folder.mkdir()
    rng = np.random.default_rng(2)
    for number in range(8):
        Image.fromarray(rng.integers(0, 256, (250, 250, 3), dtype=np.uint8)).save(
            folder / f"{number:04d}_0.jpg"
        )
    for number in range(8, count):
        os.link(folder / f"{number % 8:04d}_0.jpg", folder / f"{number % 8:04d}_{number}.jpg")
    return folder


def _start(folder: Path, output: Path, hasher: str = "whash64") -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "finlib.command.cli",
        "hash",
        str(folder),
        "-o",
        str(output),
        "--workers",
        "2",
    ]
    return subprocess.Popen(
        [*command, "--hasher", hasher], stderr=subprocess.PIPE, start_new_session=True
    )


def _wait_for_part(run: subprocess.Popen, output: Path, number: int) -> None:
    while len(list(output.parent.glob("*.parts/part-*"))) <= number and run.poll() is None:
        time.sleep(0.001)


def _killed_and_resumed(tmp_path: Path, hasher: str, kills: int, count: int) -> None:
    folder = _many(tmp_path / "many", count)
    whole = hash_files(list_images(folder), hasher)
    rng = np.random.default_rng(3)
    for trial in range(kills):
        output = tmp_path / f"trial{trial}" / "hashes.parquet"
        run = _start(folder, output, hasher)
        _wait_for_part(run, output, int(rng.integers(0, count // 256 - 1)))
        time.sleep(rng.uniform(0, 0.1))
        run.kill()
        run.wait()
        again = _start(folder, output, hasher)
        assert again.wait() == 0, again.stderr.read()
        pd.testing.assert_frame_equal(tables.read_hashes(output), whole)
        assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_killed_at_a_random_moment_it_finishes_with_the_same_table(tmp_path: Path) -> None:
    _killed_and_resumed(tmp_path, "find", kills=1, count=1000)


@pytest.mark.slow
@pytest.mark.parametrize("hasher", ["find", "whash64"])
def test_killed_at_many_random_moments_it_finishes_with_the_same_table(
    hasher: str, tmp_path: Path
) -> None:
    _killed_and_resumed(tmp_path, hasher, kills=20, count=4000)


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    run = _start(_many(tmp_path / "many", 2000), tmp_path / "hashes.parquet")
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.kill()
        pytest.skip("needs Linux's list of a process's children")
    workers: list[str] = []
    while len(workers) < 3 and run.poll() is None:
        workers = children.read_text().split()
        time.sleep(0.05)
    run.kill()
    run.wait()
    deadline = time.time() + 20
    while any(_runs(pid) for pid in workers) and time.time() < deadline:
        time.sleep(0.1)
    assert workers
    assert not any(_runs(pid) for pid in workers)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_stops_soon_and_leaves_work_to_go_on_with(tmp_path: Path) -> None:
    output = tmp_path / "hashes.parquet"
    run = _start(_many(tmp_path / "many", 4000), output)
    _wait_for_part(run, output, 0)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(timeout=120) == 1  # far beyond what a busy machine takes
    errors = run.stderr.read().decode()
    assert errors.strip().splitlines()[-1].startswith("finlib: interrupted")
    assert "Traceback" not in errors
    assert not output.exists()
    assert list(tmp_path.glob("hashes.parquet.parts/part-*"))
