"""Finished parts of a long run, kept in a folder so that an interrupted run resumes.

A part is a file. It is written under another name and renamed when it is whole, so that a run that
is killed leaves no half of a part behind. The final name contains the part's number and a digest of
the run's key, the number and the file's content. A part whose digest does not fit is not used:
either it was damaged after it was written, or it belongs to other work.
"""

import hashlib
import os
import re
import secrets
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finlib.files import create_file, unfinished_files

DIGEST_BYTES = 16


class Part(NamedTuple):
    """A file that has the name of a part, whether or not it can be used."""

    number: int
    digest: str
    file: Path


class Checkpoint:
    """The finished parts of one piece of work, in a folder that several pieces of work may share.

    Only one run at a time may work with a folder: the caller has to make sure of that.

    Parameters
    ----------
    folder: where the parts are; it is made when the first part is written.
    key: a text that depends on everything that decides what the parts contain. Work with the same
        key would make the same parts again.
    name: the name of this work in the folder, with which the parts' file names begin.
    suffix: what the parts' file names end with.
    """

    def __init__(self, folder: Path, key: str, name: str, suffix: str = ".npz") -> None:
        self.folder = folder
        self.key = key
        self.name = name
        self.suffix = suffix

    def parts(self) -> list[Path]:
        """Return the files of parts 0, 1, 2 and so on, for work whose parts follow on each other.

        They end before the first part that is missing or cannot be used. That part and all after it
        are removed, with one warning that names the first of them.
        """
        usable, unusable = self._sort_parts()
        consecutive: list[Path] = []
        while len(consecutive) in usable:
            consecutive.append(usable.pop(len(consecutive)))
        _discard([*unusable, *usable.values()])
        return consecutive

    def numbered_parts(self) -> dict[int, Path]:
        """Return the files of all parts that can be used, by number, for work whose parts do not
        depend on each other.

        The other parts are removed, with one warning that names the first of them.
        """
        usable, unusable = self._sort_parts()
        _discard(unusable)
        return usable

    @contextmanager
    def new_part(self, number: int) -> Iterator[Path]:
        """Give a file to write part `number` into, in place of any earlier one.

        It becomes the part when the block ends without an error, and is removed when it does not.
        FileExistsError where a folder has the part's name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove(self._unfinished_files())
        unfinished = self.folder / f".{self.name}.{secrets.token_hex(4)}.unfinished{self.suffix}"
        create_file(unfinished)
        unfinished_files.add(unfinished)
        try:
            yield unfinished
            digest = self._digest(unfinished, number)
            finished = self.folder / f"{self.name}-{number:08d}.{digest}{self.suffix}"
            if finished.is_dir():
                raise FileExistsError(
                    f"the folder {finished} has the name of a file to be written: move it away"
                )
            os.replace(unfinished, finished)
        finally:
            unfinished.unlink(missing_ok=True)
            unfinished_files.discard(unfinished)
        _remove(
            part.file
            for part in self._list_parts()
            if part.number == number and part.file != finished
        )

    def load_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that `save_arrays` wrote last; an empty dictionary where it has not."""
        numbered = self.numbered_parts()
        if not numbered:
            return {}
        with np.load(numbered[max(numbered)], allow_pickle=False) as stored:
            return dict(stored)

    def save_arrays(self, arrays: Mapping[str, Any]) -> None:
        """Keep these arrays in place of those that were saved before.

        They become a part with the next number, and the earlier part is removed after that. A run
        that is killed between these two steps leaves both, and the higher number is read.
        ValueError for arrays of Python objects.
        """
        earlier = self._list_parts()
        number = max((part.number for part in earlier), default=-1) + 1
        with self.new_part(number) as file:
            np.savez(file, allow_pickle=False, **arrays)
        _remove(part.file for part in earlier)

    def clear(self) -> None:
        """Remove all files of this work, and the folder where nothing else is in it."""
        _remove(part.file for part in self._list_parts())
        _remove(self._unfinished_files())
        with suppress(OSError):  # there is none, or other work has files in it
            self.folder.rmdir()

    def _unfinished_files(self) -> list[Path]:
        """List what runs that were killed have left of the parts that they were writing."""
        pattern = re.compile(
            rf"\.{re.escape(self.name)}\.([0-9a-f]{{8}}\.)?unfinished{re.escape(self.suffix)}"
        )
        return [file for file in self._list_files() if pattern.fullmatch(file.name)]

    def _list_files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return list(self.folder.iterdir())

    def _list_parts(self) -> list[Part]:
        """List what has the name of a part, usable or not, in the order of the numbers."""
        pattern = re.compile(
            rf"{re.escape(self.name)}-(\d{{8,}})\.([0-9a-f]{{32}}){re.escape(self.suffix)}"
        )
        parts: list[Part] = []
        for file in self._list_files():
            match = pattern.fullmatch(file.name)
            if match:
                parts.append(Part(int(match[1]), match[2], file))
        return sorted(parts)

    def _sort_parts(self) -> tuple[dict[int, Path], list[Path]]:
        """Sort the parts into the usable ones by number and the others."""
        usable: dict[int, Path] = {}
        unusable: list[Path] = []
        for part in self._list_parts():
            if self._is_usable(part):
                usable[part.number] = part.file
            else:
                unusable.append(part.file)
        return usable, unusable

    def _is_usable(self, part: Part) -> bool:
        try:
            if not part.file.is_file():
                return False
            return self._digest(part.file, part.number) == part.digest
        except OSError:  # it may not be read
            return False

    def _digest(self, file: Path, number: int) -> str:
        """Return 32 hexadecimal digits for the run's key, the part's number and its content."""
        work = f"{number} {self.key}".encode()
        key = hashlib.blake2b(work, digest_size=DIGEST_BYTES).digest()
        new_digest = partial(hashlib.blake2b, key=key, digest_size=DIGEST_BYTES)
        with open(file, "rb") as content:
            return hashlib.file_digest(content, new_digest).hexdigest()


def _discard(files: Sequence[Path]) -> None:
    """Remove parts that cannot be used, with one warning for all of them."""
    if not files:
        return
    first = min(files)
    others = f" (and {len(files) - 1} more)" if len(files) > 1 else ""
    warnings.warn(
        f"{first}{others} cannot be used, so this work is done again: the part is damaged, it "
        "belongs to other hashes or settings, or a part before it is missing",
        stacklevel=3,
    )
    _remove(files)


def _remove(files: Iterable[Path]) -> None:
    """Remove the files, and folders in their place that are empty; other folders stay."""
    for file in files:
        if file.is_dir():
            with suppress(OSError):
                file.rmdir()
        else:
            file.unlink(missing_ok=True)
