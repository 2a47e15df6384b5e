"""What a command is given: folders, single images, lists of files, and tables and lists of hashes.

`list_files` turns a source on the command line into files. `load` and `load_both` turn one into
`Hashes`, read from a table or made from the images there and then.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from finlib.command.hash_lists import is_hash_list, read_hash_list
from finlib.command.methods import check_method
from finlib.command.names import find_other_names, find_stored_names
from finlib.command.output import say, say_errors, say_first
from finlib.files import text_to_path
from finlib.hashing import execution, tables
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import scan_folder
from finlib.matching.distinct import find_distinct
from finlib.pools import in_threads

KINDS_SHOWN = 5
# Of FINd's quality. Notebook 05 chooses 100, but for captioned pictures, which are never smooth,
# and for the far larger radii of families. Within the radius of same-picture FINd and FINd + dHash
# confuse none of the notebook's plain pictures that reach 20, while 100 would leave out
# photographs of the moon and of a clock in the dark. dHash 256, which is worse at
# them, groups 6 of the 66 plain pictures, where without a limit it groups 41. `test_grouping` has
# all of this.
PLAIN_QUALITY = 20


class Selection(NamedTuple):
    """Which images of a folder a command takes; the fields are those of `scan_folder`."""

    hidden: bool = False
    exclude: Sequence[str] = ()


VISIBLE = Selection()  # all images but the hidden ones


@dataclass(frozen=True)
class Hashes:
    """The files of a table that have a hash, and their hashes.

    files: a row per file, with the table's columns except hash, hasher and error.
    packed: uint8[files, bits // 8], the hashes in the same order.
    hasher: the name of the hasher that made them.
    """

    files: pd.DataFrame
    packed: NDArray[np.uint8]
    hasher: str

    def select(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Hashes":
        """The files of some rows, given by their numbers or by a flag for each row."""
        files = self.files.iloc[rows].reset_index(drop=True)
        return Hashes(files, self.packed[rows], self.hasher)

    @property
    def is_plain(self) -> NDArray[np.bool_]:
        """For each file, whether its picture has so little detail that its hash is by chance.

        It is not where the quality is unknown.
        """
        return (self.files["quality"] < PLAIN_QUALITY).to_numpy()

    def drop_repeated(self) -> "Hashes":
        """The first file of each hash; a message says how many files are left out."""
        first, _ = find_distinct(self.packed)
        repeated = len(self.files) - len(first)
        say(f"{repeated} files are left out because an earlier file has the same hash.")
        return self.select(first)


class VariantHashes(NamedTuple):
    """The hashes of several variants (turns and mirror images) of each of some files.

    packed: uint8[n, bits // 8], all variants of the first file, then those of the next.
    row: int64[n], the row of the file that each hash belongs to.
    """

    packed: NDArray[np.uint8]
    row: NDArray[np.int64]


def hash_variants(hashes: Hashes, variants: Sequence[int], workers: int | None) -> VariantHashes:
    """Read the pictures of the files again and hash them in several variants.

    `variants` are numbers into `decoding.VARIANTS`. Files that cannot be read any more are left
    out, with a message.
    """
    hasher = get_hasher(hashes.hasher)
    errors: list[str] = []
    no_hashes = hashes.packed[:0]

    def hash_file(path: str) -> NDArray[np.uint8]:
        try:
            return hasher.variants(hasher.open(text_to_path(path)), variants)
        except (OSError, ValueError) as error:
            errors.append(str(error))
            return no_hashes

    paths = hashes.files["path"]
    hashed = in_threads(hash_file, ((path,) for path in paths), workers)
    hashes_of_files = list(tqdm(hashed, total=len(paths), unit="file", disable=None))
    say_first("left out", errors)
    counts = [len(each) for each in hashes_of_files]
    return VariantHashes(
        packed=np.concatenate([no_hashes, *hashes_of_files]),
        row=np.repeat(np.arange(len(paths)), counts),
    )


def check_any_hashed(hashes: Hashes, hashed: VariantHashes, options_have: str) -> None:
    """RuntimeError where none of some files could be read again, which options had to do.

    options_have: the beginning of the sentence, such as "--turned has".
    """
    if len(hashes.files) and len(hashed.row) == 0:
        raise RuntimeError(
            f"{options_have} to read the pictures again, and none of them can be read. Bring the "
            "files back, or leave out what needs them."
        )


def list_files(source: str, selection: Selection = VISIBLE) -> Sequence[str | Path]:
    """The files that a source of `finlib hash` stands for.

    A folder stands for the images below it that are selected, a file for itself, and "-" for the
    list on standard input. Messages say what of a folder is passed over and left out. ValueError
    where a list or a folder names no file, FileNotFoundError where the source does not exist.
    """
    if source == "-":
        return _read_list()
    if os.path.lexists(source) and not os.path.isdir(source):
        return [source]
    if not os.path.lexists(source):
        raise FileNotFoundError(
            f"{source}: there is no such file or folder. Give an image, or a folder that holds "
            "images."
        )
    listing = scan_folder(source, hidden=selection.hidden, exclude=selection.exclude)
    if listing.passed_over:
        _say_passed_over(source, listing.passed_over)
    if listing.hidden:
        _say_hidden(source, listing.hidden)
    if listing.excluded:
        say(f"{source}: {listing.excluded} files and folders are left out by --exclude.")
    return listing.images


def _read_list() -> list[str]:
    """The names on standard input, separated by NUL bytes if there is one, otherwise one a line."""
    if sys.stdin is None:
        raise ValueError("Standard input is closed. Give the list of files there, or a folder.")
    text = os.fsdecode(sys.stdin.buffer.read())
    if "\0" in text:
        names = text.split("\0")
    else:
        names = [line.rstrip("\r") for line in text.split("\n")]
    files = [name for name in names if name]
    if not files:
        raise ValueError(
            "Standard input lists no files. Give one name a line, or names separated by NUL bytes."
        )
    return files


def _say_passed_over(folder: str, passed_over: Counter[str]) -> None:
    kinds = [
        f"{count} {suffix or 'without a suffix'}"
        for suffix, count in passed_over.most_common(KINDS_SHOWN)
    ]
    say(
        f"{folder}: {passed_over.total()} files do not have an image's suffix and are passed over "
        f"({', '.join(kinds)}). Name such a file on the command line to have it hashed."
    )


def _say_hidden(folder: str, hidden: Counter[str]) -> None:
    names = [f"{count} {name}" for name, count in hidden.most_common(KINDS_SHOWN)]
    say(
        f"{folder}: {hidden.total()} hidden and system folders and hidden images are left out "
        f"({', '.join(names)}). `finlib hash` and `duplicates` take them with --hidden."
    )


def load(
    source: Path,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    distance: str = "hamming",
    image_hasher: str | None = None,
) -> Hashes:
    """Read the hashes of a table or a list, or hash one image or the images of a folder.

    A list of hashes gives all that it has, with labels for paths. A table gives the hashes that it
    has, or one part of its combined hash if `hasher` names that part. Images are hashed by
    `hasher`, by default FINd, or by `image_hasher`, of which `hasher` is then a part. Files with an
    error, files that a later row names again, and files of a quality under `min_quality` are left
    out, with a message.
    RuntimeError where nothing has a hash; ValueError where `min_quality` is given and the hashes
    have no quality, and where `distance` cannot compare them, which shows before images are hashed.
    """
    if is_hash_list(source):
        return _load_list(source, hasher, distance)
    if is_table(source):
        table = _read_table(source, hasher)
    else:
        hasher = hasher or "find"
        check_method(hasher, distance)
        table = _hash_images(source, image_hasher or hasher, workers)
        table = _reduce_to(table, hasher)
    files = tables.hashed_rows(table)
    if files.empty:
        raise RuntimeError(f"{source} gives no hash to work with.")
    name = files["hasher"].iloc[0]
    check_method(name, distance)
    if min_quality and files["quality"].isna().any():
        raise ValueError(
            f"--min-quality cannot be used: the hashes of {source} have no quality. Those of find "
            "and pdq have one."
        )
    repeated = files["path"].duplicated(keep="last").to_numpy()
    other_names = np.zeros(len(files), bool)
    other_names[~repeated] = find_other_names(files[~repeated])
    is_taken = ~(repeated | other_names)
    poor = (files["quality"] < min_quality).to_numpy() & is_taken
    left_out = {
        "with an error": len(table) - len(files),
        "that a later row names again": int(repeated.sum()),
        "that are another name of a file": int(other_names.sum()),
        f"of quality under {min_quality:g}": int(poor.sum()),
    }
    _say_left_out(source, len(table), left_out)
    all_hashes = Hashes(
        files.drop(columns=["hash", "hasher", "error"]),
        tables.packed_hashes(table),
        name,
    )
    return all_hashes.select(is_taken & ~poor)


def _load_list(source: Path, hasher: str | None, distance: str) -> Hashes:
    table = read_hash_list(source, hasher)
    name = str(table["hasher"].iloc[0])
    check_method(name, distance)
    return Hashes(
        table.drop(columns=["hash", "hasher", "error"]), tables.packed_hashes(table), name
    )


def load_both(
    source: Path,
    against: Path | None,
    hasher: str | None,
    min_quality: float,
    workers: int | None,
    distance: str = "hamming",
) -> tuple[Hashes, Hashes | None]:
    """Load the hashes of `source` and, where it is given, those of `against` by the same hasher.

    Where only one of them is a table, the images of the other are hashed by the table's hasher, and
    a list of hashes that does not name its hasher is taken for hashes by that of the table. The
    files of `source` then have a column more, stored_path: the path that `against` has for the same
    file, which may be another than their own.
    """
    if against is None:
        return load(source, hasher, min_quality, workers, distance), None
    if is_table(source) and not is_table(against):
        new = load(source, hasher, min_quality, workers, distance)
        image_hasher = _choose_image_hasher(source, new.hasher, min_quality)
        stored = load(against, new.hasher, min_quality, workers, distance, image_hasher)
    else:
        stored = load(against, hasher, min_quality, workers, distance)
        image_hasher = _choose_image_hasher(against, stored.hasher, min_quality)
        new = load(source, hasher or stored.hasher, min_quality, workers, distance, image_hasher)
    stored_path = find_stored_names(new.files, stored.files)
    return replace(new, files=new.files.assign(stored_path=stored_path)), stored


def _choose_image_hasher(table: Path, hasher: str, min_quality: float) -> str | None:
    """The hasher for images that are compared with the hashes of a table by `hasher`, a part of it.

    It is the table's own where a quality is asked for that the part has not; None otherwise.
    """
    if not min_quality or get_hasher(hasher).has_quality or not is_table(table):
        return None
    for batch in tables.iter_batches(table):
        if len(batch):
            return str(batch["hasher"][0])
    return None


def check_single_image(source: Path) -> None:
    """ValueError where the source is no single image, about which an answer can be printed."""
    if is_table(source) or is_hash_list(source) or source.is_dir():
        raise ValueError(
            "Missing option '--output': only the matches of a single image are printed without it. "
            "Give -o TABLE, or -o - to print a table."
        )


def own_folders(source: Path | None) -> list[Path]:
    """The folder that a person has named with a source: itself, or the one that it lies in."""
    if source is None:
        return []
    return [source if source.is_dir() else source.parent]


def is_table(source: Path) -> bool:
    """Whether the source is a table: it ends in .parquet or .csv and is no list of hashes."""
    return source.suffix in (".parquet", ".csv") and not is_hash_list(source)


def _hash_images(source: Path, hasher: str, workers: int | None) -> pd.DataFrame:
    """Hash one image or the images of a folder; messages name the first that cannot be hashed."""
    files = list_files(str(source))
    table = execution.hash_files(files, hasher, workers=workers, progress=True)
    say_errors(table)
    return table


def _read_table(source: Path, hasher: str | None) -> pd.DataFrame:
    """The table, or that of one part of its combined hash, with the quality of the whole."""
    return _reduce_to(tables.read_hashes(source), hasher)


def _reduce_to(whole: pd.DataFrame, hasher: str | None) -> pd.DataFrame:
    """The table, or that of one part of its combined hash, with the quality of the whole."""
    if hasher is None or set(whole["hasher"]) <= {hasher}:
        return whole
    part = tables.select_part(whole, hasher)
    return part.assign(quality=whole["quality"])


def _say_left_out(source: Path, rows: int, left_out: dict[str, int]) -> None:
    """Say how many of the rows are left out, and why; nothing where none is."""
    reasons = [f"{count} {reason}" for reason, count in left_out.items() if count]
    if reasons:
        say(f"{source}: of {rows} rows, these are left out: {', '.join(reasons)}.")
