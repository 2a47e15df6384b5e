"""Every executor gives the same table; runs resume; bad files are rows."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from finlib.checkpoint import Checkpoint
from finlib.hashing import execution, tables
from finlib.hashing.decoding import Picture
from finlib.hashing.execution import (
    hash_checkpoint,
    hash_files,
    hash_new_files,
    plan_execution,
)
from finlib.hashing.hashers import HASHERS
from finlib.hashing.images import list_images


@pytest.fixture(scope="module")
def cluster():
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


def forged(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the same wrong hash in every row that has one, to see which rows are used."""
    has_hash = table["hash"] != ""
    return table.assign(hash=table["hash"].where(~has_hash, "f" * 64))


def names_hashed_again(table: pd.DataFrame) -> list[str]:
    """The names of the files whose rows do not come from a forged table."""
    paths = table["path"][table["hash"] != "f" * 64]
    return sorted(map(os.path.basename, paths))


def names_in_part(folder: Path, number: int, hasher: str = "find") -> list[str]:
    """The names of the files whose rows a run has written into that part."""
    part = hash_checkpoint(folder, hasher).numbered_parts()[number]
    return sorted(map(os.path.basename, pq.ParquetFile(part).read()["path"].to_pylist()))


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


def test_workers_in_another_folder_hash_relative_paths(
    album: Path, cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask.distributed import Client

    monkeypatch.chdir(album)
    paths = ["missing.png", *(path.relative_to(album) for path in list_images(album))]
    here = hash_files(paths, executor="serial")
    with Client(cluster, set_as_default=False) as client:
        earlier = client.run(os.getcwd)
        client.run(os.chdir, tmp_path)
        there = hash_files(paths, scheduler=cluster.scheduler_address)
        for address, folder in earlier.items():
            client.run(os.chdir, folder, workers=[address])
    pd.testing.assert_frame_equal(there, here)
    assert (here["error"] != "").sum() == 2


def test_a_file_that_only_this_machine_sees_ends_the_run(album: Path, monkeypatch) -> None:
    """As where a worker connects after the others were checked."""
    file = str(list_images(album)[0])
    there = execution.hash_row("/elsewhere/missing.png", "find")
    with pytest.raises(RuntimeError, match=f"does not see the file {file}, which is on this"):
        execution._row_from_worker(there, file)
    monkeypatch.chdir(album)
    missing = execution._row_from_worker(
        execution.hash_row(f"{album}/none.png", "find"), "none.png"
    )
    assert missing.path == "none.png"
    assert missing.error == execution.hash_row("none.png", "find").error


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
        ("find", 9, 2, ("threads", 2)),
        ("find+dhash256", 5, 8, ("threads", 5)),
        ("find", 9, 1, ("serial", 1)),
        ("find", 1, 32, ("threads", 1)),
        ("find", 0, 2, ("threads", 1)),
        ("pdq", 9, 2, ("serial", 1)),
        ("whash64", 1999, 8, ("serial", 1)),
        ("whash64", 2000, 8, ("processes", 2)),
        ("find+whash64", 9000, 2, ("processes", 2)),
    ],
)
def test_the_executor_suits_the_hasher(
    hasher: str, files: int, workers: int, expected: tuple[str, int]
) -> None:
    plan = plan_execution(hasher, "auto", workers, files=files)
    assert (plan.executor, plan.workers) == expected


@pytest.mark.parametrize(("files", "size"), [(1, 1), (16, 2), (17, 3), (9000, 256)])
def test_chunks_are_small_enough_for_all_workers_and_no_larger_than_asked_for(
    files: int, size: int
) -> None:
    assert plan_execution("find", "auto", 2, files=files).chunk_size == size
    assert plan_execution("find", "auto", 2, files=files, chunk=2).chunk_size == min(size, 2)


def test_processes_start_as_they_are_needed() -> None:
    assert plan_execution("dhash64", "processes", 32, files=1).workers == 1
    assert plan_execution("dhash64", "processes", 32, files=5).workers == 5


def test_a_scheduler_means_dask() -> None:
    plan = plan_execution("whash64", "auto", 2, "tcp://127.0.0.1:1", files=9)
    assert plan.executor == "dask"


@pytest.mark.parametrize(("releases_gil", "in_this_thread"), [(True, False), (False, True)])
def test_a_hasher_that_holds_the_gil_is_not_given_to_threads(
    releases_gil: bool, in_this_thread: bool, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    dhash = HASHERS["dhash64"]

    def compute(picture: Picture) -> Any:
        threads.add(threading.current_thread())
        return dhash.compute(picture)

    toy = replace(dhash, name="toy", compute=compute, releases_gil=releases_gil)
    monkeypatch.setitem(HASHERS, "toy", toy)
    hash_files(list_images(album), "toy", workers=2)
    assert (threads == {threading.current_thread()}) == in_this_thread
    assert (threading.current_thread() in threads) == in_this_thread


# A hasher that does something to its process when it meets a picture of 7 x 7 pixels. Worker
# processes import this file, so that they have the hasher, too.
TOY = """
import glob, os, signal, sys, threading, time
from dataclasses import replace
from finlib.hashing.execution import hash_files
from finlib.hashing.hashers import HASHERS

dhash = HASHERS["dhash64"]

def compute(picture):
    if picture.size == (7, 7):
        meet()
    return dhash.compute(picture)

HASHERS["toy"] = replace(dhash, name="toy", compute=compute)
"""

KILLED = """
def meet():
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    output, workers, *files = sys.argv[1:]
    table = hash_files(files, "toy", "processes", int(workers), chunk=2)
    table.to_csv(output, index=False)
"""


def run_script(tmp_path: Path, script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    file = tmp_path / "script.py"
    file.write_text(TOY + script)
    command = [sys.executable, file, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("workers", "killers"), [("1", ["a.png"]), ("2", ["a.png", "b.png"])])
def test_a_killed_workers_files_are_tried_alone_and_the_killer_is_named(
    workers: str, killers: list[str], album: Path, tmp_path: Path
) -> None:
    """Chunks are of two files: the killer's neighbours, and all other files, have their rows."""
    for name in killers:
        Image.new("L", (7, 7)).save(album / name)
    sound = [album / "0001_0.jpg", album / "0001_1.png", album / "0000_0.jpg"]
    files = [album / "0002_damaged.jpg", *(album / name for name in killers)]
    for number in range(16 - len(files)):
        copy = album / f"{number}{sound[number % 3].suffix}"
        os.link(sound[number % 3], copy)
        files.insert(number % 3 * number, copy)
    done = run_script(tmp_path, KILLED, tmp_path / "t.csv", workers, *files)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert table["path"].tolist() == [str(file) for file in files]
    rows = table.set_index(table["path"].map(os.path.basename))
    for name in killers:
        error = rows.loc[name, "error"]
        assert error.startswith(
            f"MemoryError: {album / name}: the process that hashed it was killed"
        )
        assert "most likely for want of memory" in error
    damaged = rows.loc["0002_damaged.jpg", "error"]
    assert "0002_damaged.jpg" in damaged
    assert "was killed" not in damaged
    others = rows.drop(["0002_damaged.jpg", *killers])
    assert len(others) == 15 - len(killers)
    assert (others["error"] == "").all()
    assert (others["hash"] != "").all()


INTERRUPTED = """
begun = sys.argv[1] + ".begun"

def meet():
    open(begun, "x").close()
    time.sleep(1e9)

def interrupt():
    folder = sys.argv[1]
    while not (os.path.exists(begun) and glob.glob(folder + "/part-toy-*.parquet")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        hash_files(sys.argv[2:], "toy", "processes", 2, checkpoint=sys.argv[1])
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_workers_are_stopped_in_the_middle_of_a_chunk(album: Path, tmp_path: Path) -> None:
    """Without that, the run would not end at all. The chunks that are finished are kept."""
    Image.new("L", (7, 7)).save(album / "endless.png")
    files = [album / "0001_0.jpg", album / "endless.png"]
    done = run_script(tmp_path, INTERRUPTED, tmp_path / "parts", *files)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert names_in_part(tmp_path / "parts", 0, "toy") == ["0001_0.jpg"]


def test_a_folder_that_may_not_be_listed_is_a_row_and_the_rest_is_done(
    album: Path, close_below
) -> None:
    close_below()
    table = hash_files(list_images(album), executor="serial")
    assert (table["error"] == "").sum() == 6
    assert "no permission" in table.set_index("path")["error"][str(album / "below")]


def test_a_second_run_hashes_only_what_is_new_changed_or_failed(
    album: Path, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    first = hash_new_files(list_images(album), checkpoint=parts, chunk=100, workers=1)
    assert first.newly_hashed == len(first.table) == 10
    numbers = list(hash_checkpoint(parts, "find").numbered_parts())
    Image.linear_gradient("L").save(album / "0000_new.png")
    Image.linear_gradient("L").save(album / "0001_1.png")
    (album / "0000_1.png").unlink()
    second = hash_new_files(list_images(album), checkpoint=parts, chunk=100, workers=1)
    assert second.newly_hashed == 3
    new_numbers = list(hash_checkpoint(parts, "find").numbered_parts())[len(numbers) :]
    new_names = [name for number in new_numbers for name in names_in_part(parts, number)]
    assert sorted(new_names) == ["0000_new.png", "0001_1.png", "0002_damaged.jpg"]
    pd.testing.assert_frame_equal(second.table, hash_files(list_images(album)))


def test_known_rows_are_used_again_where_they_have_a_hash(album: Path) -> None:
    files = list_images(album)
    known = hash_files(files)
    again = hash_new_files(files, known=forged(known))
    assert again.newly_hashed == 1
    assert names_hashed_again(again.table) == ["0002_damaged.jpg"]
    pd.testing.assert_frame_equal(hash_files(files, known=known), known)


def test_known_rows_of_another_hasher_are_not_used(album: Path) -> None:
    files = list_images(album)
    known = hash_files(files, "phash256")
    again = hash_new_files(files, known=forged(known))
    assert again.newly_hashed == len(files)
    pd.testing.assert_frame_equal(again.table, hash_files(files))


def test_of_several_rows_of_a_file_the_last_is_used(album: Path) -> None:
    files = list_images(album)[:2]
    known = hash_files(files)
    twice = pd.concat([forged(known), known], ignore_index=True)
    pd.testing.assert_frame_equal(hash_files(files, known=twice), known)


def test_a_file_of_the_same_size_with_another_time_is_hashed_again(
    album: Path, tmp_path: Path
) -> None:
    paths = list_images(album)[:2]
    known = hash_files(paths, checkpoint=tmp_path / "parts")
    os.utime(paths[0], ns=(1, 1))
    again = hash_new_files(paths, known=forged(known))
    assert again.newly_hashed == 1
    assert names_hashed_again(again.table) == [paths[0].name]
    assert hash_new_files(paths, checkpoint=tmp_path / "parts").newly_hashed == 1


def test_a_file_that_is_gone_is_an_error_though_its_hash_is_known(album: Path) -> None:
    paths = list_images(album)[:2]
    known = hash_files(paths)
    paths[0].unlink()
    again = hash_files(paths, known=known)
    assert again["error"].str.startswith("FileNotFoundError: ").tolist() == [True, False]
    assert again["hash"][0] == ""


def test_parts_of_another_hasher_are_not_used_and_stay(album: Path, tmp_path: Path) -> None:
    """A run that adds a hash to a table and then hashes other files has both in one folder."""
    parts = tmp_path / "parts"
    paths = list_images(album)[:4]
    hash_files(paths, "phash64", checkpoint=parts)
    hashed = hash_new_files(paths, checkpoint=parts)
    assert hashed.newly_hashed == 4
    assert set(hashed.table["hasher"]) == {"find"}
    assert hash_new_files(paths, "phash64", checkpoint=parts).newly_hashed == 0
    hash_checkpoint(parts, "find").clear()
    assert hash_new_files(paths, "phash64", checkpoint=parts).newly_hashed == 0
    hash_checkpoint(parts, "phash64").clear()
    assert not parts.exists()


def test_parts_stay_valid_when_the_list_of_files_changes(album: Path, tmp_path: Path) -> None:
    paths = list_images(album)[:6]
    hash_files(paths[:4], checkpoint=tmp_path / "parts")
    others = [paths[5], paths[3], paths[0]]
    hashed = hash_new_files(others, checkpoint=tmp_path / "parts")
    assert hashed.newly_hashed == 1
    pd.testing.assert_frame_equal(hashed.table, hash_files(others))


def test_a_damaged_part_is_named_and_its_files_are_hashed_again(
    album: Path, tmp_path: Path
) -> None:
    """A flipped bit in a hash would go unseen; the parts after the damaged one are used."""
    paths = list_images(album)[:4]
    expected = hash_files(paths, checkpoint=tmp_path / "parts", chunk=1)
    damaged = hash_checkpoint(tmp_path / "parts", "find").numbered_parts()[1]
    content = bytearray(damaged.read_bytes())
    content[content.index(bytes(expected["hash"][1], "ascii"))] ^= 1
    damaged.write_bytes(content)
    with pytest.warns(UserWarning, match=damaged.name) as warned:
        again = hash_new_files(paths, checkpoint=tmp_path / "parts")
    assert len(warned) == 1
    assert again.newly_hashed == 1
    pd.testing.assert_frame_equal(again.table, expected)
    assert hash_new_files(paths, checkpoint=tmp_path / "parts").newly_hashed == 0


def test_a_finished_run_used_again_writes_nothing(album: Path, tmp_path: Path) -> None:
    paths = list_images(album)[:4]
    hash_files(paths, checkpoint=tmp_path / "parts")
    before = sorted(tmp_path.glob("parts/*"))
    assert hash_new_files(paths, checkpoint=tmp_path / "parts").newly_hashed == 0
    assert sorted(tmp_path.glob("parts/*")) == before


def test_an_error_while_writing_a_part_keeps_the_finished_ones(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_part = Checkpoint.new_part

    @contextmanager
    def full_after_two(self: Checkpoint, number: int) -> Iterator[Path]:
        with new_part(self, number) as file:
            yield file
            if number == 2:
                raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(Checkpoint, "new_part", full_after_two)
    parts = tmp_path / "parts"
    with pytest.raises(OSError, match="No space left"):
        hash_files(list_images(album), executor="threads", workers=2, checkpoint=parts, chunk=2)
    kept = hash_checkpoint(parts, "find").parts()
    assert len(kept) == 2
    assert sorted(parts.iterdir()) == kept


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
    """`count` image files, cheaply: copies of a few."""
    folder.mkdir()
    rng = np.random.default_rng(2)
    for number in range(8):
        Image.fromarray(rng.integers(0, 256, (250, 250, 3), dtype=np.uint8)).save(
            folder / f"{number:04d}_0.jpg"
        )
    for number in range(8, count):
        name = f"{number % 8:04d}"
        shutil.copy(folder / f"{name}_0.jpg", folder / f"{name}_{number}.jpg")
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


def test_ctrl_c_stops_soon_and_the_next_run_resumes(tmp_path: Path) -> None:
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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_limit_of_pixels_holds_in_all_workers(
    executor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (100, 40)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3999)
    assert "over the limit of 3999" in hash_files([path], executor=executor)["error"][0]


def test_a_file_is_read_once(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = album / "0001_1.png"
    expected = execution.file_digest(path)

    def refuse(_: object) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr("finlib.hashing.images.file_digest", refuse)
    row = execution.hash_row(str(path), "find")
    assert (row.error, row.digest) == ("", expected)


def test_threads_hash_where_processes_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "find_obstacle", lambda: "line 3 of a.py does not stand there")
    assert plan_execution("whash64", "auto", 2, files=9000).executor == "threads"
    with pytest.raises(RuntimeError, match=r"cannot start: line 3 of a\.py"):
        hash_files([], "find", "processes")
