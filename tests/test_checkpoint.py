"""Finished parts are found again, and what is damaged or of other work is not used."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlib.checkpoint import Checkpoint
from finlib.files import unfinished_files


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "kept", "a key", "work", ".txt")


def write_parts(checkpoint: Checkpoint, texts: list[str]) -> list[Path]:
    for number, text in enumerate(texts):
        with checkpoint.new_part(number) as file:
            file.write_text(text)
    return checkpoint.parts()


def texts_of(files: list[Path]) -> list[str]:
    return [file.read_text() for file in files]


def test_parts_are_found_again_in_their_order(checkpoint: Checkpoint) -> None:
    assert checkpoint.parts() == []
    assert not checkpoint.folder.exists()
    texts = [str(number) for number in range(12)]
    write_parts(checkpoint, texts)
    again = Checkpoint(checkpoint.folder, "a key", "work", ".txt")
    assert texts_of(again.parts()) == texts
    assert list(again.numbered_parts()) == list(range(12))


def test_a_part_that_is_written_again_takes_the_place_of_the_earlier(
    checkpoint: Checkpoint,
) -> None:
    write_parts(checkpoint, ["first", "second"])
    with checkpoint.new_part(0) as file:
        file.write_text("other")
    assert texts_of(checkpoint.parts()) == ["other", "second"]
    assert len(list(checkpoint.folder.iterdir())) == 2


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    os.truncate(file, 3)


def put_a_folder_in_its_place(file: Path) -> None:
    file.unlink()
    file.mkdir()


def put_a_pipe_in_its_place(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def give_it_the_content_of_another_part(file: Path) -> None:
    (other,) = file.parent.glob("work-00000002.*")
    file.write_bytes(other.read_bytes())


def give_it_another_number(file: Path) -> None:
    """Part 3 is right, and so is its digest, but not as part 1."""
    (other,) = file.parent.glob("work-00000003.*")
    file.unlink()
    other.rename(other.with_name(other.name.replace("00000003", "00000001")))


DAMAGES = [
    flip_a_bit,
    truncate,
    put_a_folder_in_its_place,
    put_a_pipe_in_its_place,
    give_it_the_content_of_another_part,
]


@pytest.mark.parametrize("damage", [*DAMAGES, give_it_another_number])
def test_consecutive_parts_end_before_a_damaged_one(
    damage: Callable[[Path], None], checkpoint: Checkpoint
) -> None:
    texts = ["part zero", "part one", "part two", "part three"]
    damaged = write_parts(checkpoint, texts)[1]
    damage(damaged)
    with pytest.warns(UserWarning, match="work-00000001.* cannot be used") as warned:
        assert texts_of(checkpoint.parts()) == ["part zero"]
    assert len(warned) == 1
    assert [file.name[:13] for file in checkpoint.folder.iterdir()] == ["work-00000000"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts_of(write_parts(checkpoint, texts)) == texts


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_does_not_take_independent_ones_with_it(
    damage: Callable[[Path], None], checkpoint: Checkpoint
) -> None:
    damaged = write_parts(checkpoint, ["part zero", "part one", "part two"])[1]
    damage(damaged)
    with pytest.warns(UserWarning, match=str(damaged)) as warned:
        parts = checkpoint.numbered_parts()
    assert len(warned) == 1
    assert texts_of(list(parts.values())) == ["part zero", "part two"]
    assert list(parts) == [0, 2]
    assert not damaged.exists()


def test_parts_after_a_missing_one_are_named_and_removed(checkpoint: Checkpoint) -> None:
    first, second, third = write_parts(checkpoint, ["0", "1", "2"])
    first.unlink()
    with pytest.warns(UserWarning, match=rf"{second.name} \(and 1 more\).* is missing") as warned:
        assert checkpoint.parts() == []
    assert len(warned) == 1
    assert not second.exists()
    assert not third.exists()


def test_parts_of_another_key_are_not_used(checkpoint: Checkpoint) -> None:
    write_parts(checkpoint, ["0", "1"])
    other = Checkpoint(checkpoint.folder, "another key", "work", ".txt")
    with pytest.warns(UserWarning, match="belongs to other hashes or settings") as warned:
        assert other.parts() == []
    assert len(warned) == 1
    assert list(other.folder.iterdir()) == []


def test_where_the_key_ends_and_the_content_begins_matters(tmp_path: Path) -> None:
    write_parts(Checkpoint(tmp_path, "key", "work", ".txt"), ["content"])
    (file,) = tmp_path.iterdir()
    file.write_text("ycontent")
    with pytest.warns(UserWarning, match="cannot be used"):
        assert Checkpoint(tmp_path, "ke", "work", ".txt").parts() == []


def test_a_part_that_may_not_be_read_is_not_used(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may read everything, the system's refusal is imitated."""
    closed = write_parts(checkpoint, ["0", "1"])[1]

    def refuse(path: Path, mode: str) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, mode)

    monkeypatch.setattr("finlib.checkpoint.open", refuse, raising=False)
    with pytest.warns(UserWarning, match=str(closed)):
        assert texts_of(checkpoint.parts()) == ["0"]


def test_a_folder_with_files_in_the_way_is_named_and_stays(checkpoint: Checkpoint) -> None:
    (file,) = write_parts(checkpoint, ["0"])
    put_a_folder_in_its_place(file)
    (file / "precious").touch()
    with pytest.warns(UserWarning, match=str(file)):
        assert checkpoint.parts() == []
    with (
        pytest.raises(FileExistsError, match=f"{file}.*move it away"),
        checkpoint.new_part(0) as new,
    ):
        new.write_text("0")
    assert (file / "precious").exists()
    assert list(checkpoint.folder.iterdir()) == [file]


def test_a_part_whose_writing_fails_leaves_the_earlier_ones(checkpoint: Checkpoint) -> None:
    before = write_parts(checkpoint, ["0", "1"])

    def fail_half_way() -> None:
        with checkpoint.new_part(1) as file:
            file.write_text("half of")
            assert file in unfinished_files  # to be removed by whoever ends the process at once
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        fail_half_way()
    assert checkpoint.parts() == before
    assert sorted(checkpoint.folder.iterdir()) == before
    assert not unfinished_files


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from finlib.checkpoint import Checkpoint

checkpoint = Checkpoint(Path(sys.argv[1]), "a key", "work", ".txt")
with checkpoint.new_part(1) as file:
    file.write_text("whole, but not renamed")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_between_writing_and_renaming_leaves_no_part(checkpoint: Checkpoint) -> None:
    write_parts(checkpoint, ["0"])
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(checkpoint.folder)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert len(list(checkpoint.folder.iterdir())) == 2
    assert texts_of(checkpoint.parts()) == ["0"]
    with checkpoint.new_part(1) as file:
        file.write_text("1")
    assert texts_of(checkpoint.parts()) == ["0", "1"]
    assert len(list(checkpoint.folder.iterdir())) == 2


def test_what_a_kill_has_left_is_cleared_too(checkpoint: Checkpoint) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(checkpoint.folder)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    checkpoint.clear()
    assert not checkpoint.folder.exists()


def test_work_of_other_names_and_suffixes_is_left_alone(tmp_path: Path) -> None:
    """Names that begin alike, and those with signs of regular expressions, are kept apart."""
    works = [
        Checkpoint(tmp_path / "kept", name, name, suffix)
        for name in ("part-find", "part-find+dhash256", "part-findd", "part")
        for suffix in (".txt", ".npz")
    ]
    for number, work in enumerate(works):
        write_parts(work, [f"{number}", "next"])
    for number, work in enumerate(works):
        assert texts_of(work.parts()) == [f"{number}", "next"]
    for number, work in enumerate(works):
        assert work.folder.is_dir()
        work.clear()
        assert work.parts() == []
        for other in works[number + 1 :]:
            assert len(other.parts()) == 2
    assert not (tmp_path / "kept").exists()


def test_clear_keeps_a_folder_with_files_of_others(checkpoint: Checkpoint) -> None:
    checkpoint.clear()  # where nothing was written, there is nothing to do
    write_parts(checkpoint, ["0"])
    (checkpoint.folder / "of a user.txt").touch()
    checkpoint.clear()
    assert [file.name for file in checkpoint.folder.iterdir()] == ["of a user.txt"]


@pytest.fixture
def arrays(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "kept", "a key", "search")


def test_arrays_are_read_back_as_they_were_saved_last(arrays: Checkpoint) -> None:
    assert arrays.load_arrays() == {}
    for done in range(12):
        arrays.save_arrays({"done": done, "hashes": np.full((done, 3), done, np.uint8)})
        assert len(list(arrays.folder.iterdir())) == 1
    loaded = arrays.load_arrays()
    assert sorted(loaded) == ["done", "hashes"]
    assert int(loaded["done"]) == 11
    assert loaded["hashes"].dtype == np.uint8
    assert loaded["hashes"].shape == (11, 3)
    assert (loaded["hashes"] == 11).all()


def test_of_two_sets_of_arrays_the_later_is_read_whatever_the_clock_says(
    arrays: Checkpoint,
) -> None:
    """As after a kill that came before the earlier set was removed."""
    arrays.save_arrays({"done": 1})
    (earlier,) = arrays.folder.iterdir()
    content = earlier.read_bytes()
    arrays.save_arrays({"done": 2})
    (later,) = arrays.folder.iterdir()
    earlier.write_bytes(content)
    os.utime(later, ns=(1, 1))
    assert int(arrays.load_arrays()["done"]) == 2
    arrays.save_arrays({"done": 3})
    assert len(list(arrays.folder.iterdir())) == 1
    assert int(arrays.load_arrays()["done"]) == 3


def test_where_the_later_set_is_damaged_the_earlier_is_read(arrays: Checkpoint) -> None:
    arrays.save_arrays({"done": 1})
    (earlier,) = arrays.folder.iterdir()
    content = earlier.read_bytes()
    arrays.save_arrays({"done": 2})
    (later,) = arrays.folder.iterdir()
    earlier.write_bytes(content)
    flip_a_bit(later)
    with pytest.warns(UserWarning, match=str(later)):
        assert int(arrays.load_arrays()["done"]) == 1


@pytest.mark.parametrize("damage", DAMAGES[:4])
def test_damaged_arrays_are_not_read(damage: Callable[[Path], None], arrays: Checkpoint) -> None:
    arrays.save_arrays({"done": 1})
    (file,) = arrays.folder.iterdir()
    damage(file)
    with pytest.warns(UserWarning, match=str(file)) as warned:
        assert arrays.load_arrays() == {}
    assert len(warned) == 1
    arrays.save_arrays({"done": 2})
    assert int(arrays.load_arrays()["done"]) == 2


def test_arrays_of_objects_are_refused(arrays: Checkpoint) -> None:
    """They would be written as pickles, which run code when they are read."""
    arrays.save_arrays({"done": 1})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        arrays.save_arrays({"done": np.array([object()])})
    assert int(arrays.load_arrays()["done"]) == 1
    assert len(list(arrays.folder.iterdir())) == 1


def test_names_of_unfinished_parts_are_not_known_before_and_no_link_is_followed(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    work = Checkpoint(tmp_path / "parts", "key", "work")
    names = set()
    for number in range(2):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts/.work.unfinished.npz").symlink_to(other)
        with work.new_part(number) as file:
            names.add(file.name)
            file.write_text("whole")
    assert len(names) == 2
    assert other.read_text() == "of somebody else"
    assert len(list((tmp_path / "parts").iterdir())) == 2


def test_what_a_killed_run_left_of_a_part_is_removed(tmp_path: Path) -> None:
    work = Checkpoint(tmp_path, "key", "work")
    left = tmp_path / ".work.0123abcd.unfinished.npz"
    of_other_work = tmp_path / ".other.0123abcd.unfinished.npz"
    for file in (left, of_other_work):
        file.touch()
    with work.new_part(0) as unfinished:
        unfinished.write_text("whole")
    assert not left.exists()
    assert of_other_work.exists()


def write_npz(file: Path) -> None:
    with file.open("wb") as opened:
        np.savez(opened, rows=np.arange(40), done=np.array(3))


def write_parquet(file: Path) -> None:
    pd.DataFrame({"rows": np.arange(40)}).to_parquet(file)


@pytest.mark.parametrize(
    ("suffix", "write"), [(".npz", write_npz), (".parquet", write_parquet)], ids=["npz", "parquet"]
)
def test_a_flipped_bit_is_reported_wherever_it_is(
    suffix: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path, "a key", "work", suffix)
    with checkpoint.new_part(0) as unfinished:
        write(unfinished)
    (part,) = checkpoint.parts()
    content = part.read_bytes()
    first_and_last = [0, len(content) - 1]
    for place in [*range(1, len(content) - 1, 29), *first_and_last]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        for list_parts in (checkpoint.parts, checkpoint.numbered_parts):
            part.write_bytes(damaged)
            with pytest.warns(UserWarning, match=f"{part.name} cannot be used") as warned:
                assert len(list_parts()) == 0
            assert len(warned) == 1
            assert not part.exists()
    part.write_bytes(content)
    assert checkpoint.parts() == [part]


@pytest.mark.parametrize("place", [0, 40, 200, -1])
def test_a_search_passes_over_arrays_with_a_flipped_bit(place: int, arrays: Checkpoint) -> None:
    arrays.save_arrays({"rows": np.arange(40), "done": 3})
    (part,) = arrays.folder.iterdir()
    content = bytearray(part.read_bytes())
    content[place] ^= 16
    part.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{part.name} cannot be used"):
        assert arrays.load_arrays() == {}
