"""Finished parts of a run, kept in a folder so that an interrupted run resumes where it ended.

A part is a file. Its name holds its number and a digest of the run's key and of the file's content, so that a part
counts only where it is whole and belongs to the same work: other hashes, other settings or a flipped bit give another
digest. A part gets its name when it is whole, so that a run that is killed leaves no half of one behind.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Checkpoint:
    """The finished parts of one piece of work, `name`, in a folder that several may share.

    `key` tells this work from any other: the same key promises that the same parts would be made again. `suffix` is
    that of the parts' files. The folder is made when the first part is written.
    """

    def __init__(self, folder: Path, key: str, name: str, suffix: str = ".npz") -> None:
        self.folder = folder
        self.key = key
        self.name = name
        self.suffix = suffix

    def parts(self) -> list[Path]:
        """The files of the sound parts, in order, up to the first that is missing.

        A part that is damaged or was made by other work is removed, with a warning that names it, and so are those
        after it.
        """
        sound: list[Path] = []
        for number, file in self._files():
            if number == len(sound) and self._digest(file) == file.suffixes[-2][1:]:
                sound.append(file)
                continue
            warnings.warn(
                f"{file} is damaged, or of other hashes or settings: this part is done again",
                stacklevel=2,
            )
            file.unlink()
        return sound

    @contextmanager
    def new_part(self, number: int) -> Iterator[Path]:
        """A file to write part `number` into; it becomes that part when the block ends without an error."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{self.name}-{number:08d}.unfinished{self.suffix}"
        try:
            yield unfinished
            digest = self._digest(unfinished)
            os.replace(unfinished, self.folder / f"{self.name}-{number:08d}.{digest}{self.suffix}")
        finally:
            unfinished.unlink(missing_ok=True)

    def load_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that `save_arrays` wrote last; an empty dictionary where there are none."""
        parts = self.parts()
        if not parts:
            return {}
        with np.load(parts[-1], allow_pickle=False) as stored:
            return dict(stored)

    def save_arrays(self, arrays: Mapping[str, Any]) -> None:
        """Keep these arrays in place of those kept before."""
        with self.new_part(0) as file:
            np.savez(file, **arrays)
        newest = max(self._files(), key=lambda each: each[1].stat().st_mtime_ns)[1]
        for _, file in self._files():
            if file != newest:
                file.unlink()

    def clear(self) -> None:
        """Remove all parts of this work, and the folder where nothing else is in it."""
        for _, file in self._files():
            file.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self) -> list[tuple[int, Path]]:
        """Number and file of each part, sound or not, in the order of the numbers."""
        pattern = re.compile(
            rf"{re.escape(self.name)}-(\d{{8}})\.[0-9a-f]{{32}}{re.escape(self.suffix)}"
        )
        if not self.folder.is_dir():
            return []
        matches = ((pattern.fullmatch(file.name), file) for file in self.folder.iterdir())
        return sorted((int(match[1]), file) for match, file in matches if match)

    def _digest(self, file: Path) -> str:
        """32 hexadecimal digits for the key and the file's content."""
        digest = hashlib.blake2b(self.key.encode(), digest_size=16)
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
