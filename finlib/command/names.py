"""Names that lead to one file: other spellings of its path, hard links and symbolic links.

A command takes a file once, by the first name that it is given or that a table already has. Names
stay as they were given; what they lead to is only compared.
"""

import os
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.files import file_state, text_to_path

# The columns of a table of hashes that are the same for all names of a file.
IDENTITY = ["device", "inode", "bytes", "modified_ns"]


class Names(NamedTuple):
    """The files of a run, each by one name.

    files: paths as the system has them, by the text that a table has for them.
    others: the other names that the run or the table has for these files, as texts.
    """

    files: dict[str, str | Path]
    others: set[str]


def choose_names(
    files: Mapping[str, str | Path], stored: pd.DataFrame | None, in_place: bool
) -> Names:
    """Choose one name for each file: that of the table `stored`, or else the first that is given.

    `files` maps texts to paths, as in `Names`. With `in_place`, the name in the table only counts
    where it is another spelling of the same path, and not where it is another link to the file.
    """
    keys = {text: file_key(path) for text, path in files.items()}
    given = dict(files)
    name_of: dict[Hashable, str] = {}
    if stored is not None:
        real_paths = {_real_path(path) for path in files.values()} if in_place else set()
        for text in _possible_names(stored, keys):
            path = text_to_path(text)
            if not in_place or text in files or _real_path(path) in real_paths:
                keys.setdefault(text, file_key(path))
                given.setdefault(text, path)
                name_of.setdefault(keys[text], text)
    chosen: dict[str, str | Path] = {}
    for text in files:
        name = name_of.setdefault(keys[text], text)
        chosen[name] = given[name]
    others = {text for text, key in keys.items() if name_of.get(key, text) != text}
    return Names(chosen, others)


def file_key(path: str | Path) -> Hashable:
    """Return what is equal for all names of one file, and different for different files.

    It is the file's number in its file system; of a file that cannot be seen, its real path. Size
    and time are in it because some network drives give two files one number.
    """
    state = file_state(path)
    if state is None or state.inode == 0:
        return _real_path(path)
    return state.device, state.inode, state.bytes, state.modified_ns


def _real_path(path: str | Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # no system has such a name
        return os.fspath(path)


def _possible_names(stored: pd.DataFrame, keys: Mapping[str, Hashable]) -> Iterable[str]:
    """The paths in the table that may lead to one of the files with these keys.

    The other paths have been seen to lead to other files, and need not be looked at again.
    """
    inodes = [key[1] for key in keys.values() if isinstance(key, tuple)]
    inode = stored["inode"]
    is_possible = (inode == 0) | inode.isin(inodes) | stored["path"].isin(list(keys))
    return stored["path"][is_possible].drop_duplicates()


def find_other_names(files: pd.DataFrame) -> NDArray[np.bool_]:
    """For each row of a table of hashes, whether it is better represented by another row.

    That is so where both are of one file: a link to it, or a name that it had before. The row that
    was made after the file's last change is the one to take, and of several the first.
    """
    latest_first = files.sort_values("changed_ns", ascending=False, kind="stable")
    is_repeated = latest_first.duplicated(IDENTITY) & (latest_first["inode"] != 0)
    is_other = is_repeated.reindex(files.index).to_numpy(bool, copy=True)
    unknown = (files["inode"] == 0).to_numpy()
    spellings = absolute_paths(files["path"][unknown])
    is_other[unknown] = spellings.duplicated()
    return is_other


def absolute_paths(paths: pd.Series) -> pd.Series:
    """The paths of a table, each in the spelling that begins at the root; links stay."""
    absolute = [os.path.abspath(text_to_path(path)) for path in paths]
    return pd.Series(absolute, paths.index, str)


def find_inside(paths: pd.Series, folders: Iterable[Path]) -> NDArray[np.bool_]:
    """For each path of a table, whether it is below one of the folders, by name or by links."""
    starts = set()
    for folder in folders:
        starts.add(os.path.join(os.path.abspath(folder), ""))
        starts.add(os.path.join(os.path.realpath(folder), ""))
    if not starts:
        return np.zeros(len(paths), bool)
    is_inside = []
    for text in paths:
        path = text_to_path(text)
        spellings = (os.path.abspath(path), _real_path(path))
        is_inside.append(any(spelling.startswith(tuple(starts)) for spelling in spellings))
    return np.array(is_inside, bool)


def find_stored_names(new: pd.DataFrame, stored: pd.DataFrame) -> pd.Series:
    """For each row of the table `new`, the path that `stored` has for the same file.

    Where it has none, this is the path in `new`.
    """
    names = new["path"].copy()
    known = stored.loc[stored["inode"] != 0, [*IDENTITY, "path"]].drop_duplicates(IDENTITY)
    by_state = new[IDENTITY].merge(known, "left", on=IDENTITY)["path"]
    has_state = (by_state.notna() & (new["inode"] != 0).to_numpy()).to_numpy()
    names[has_state] = by_state[has_state].to_numpy()
    rest = ~has_state & ~new["path"].isin(stored["path"]).to_numpy()
    if rest.any():
        spellings = absolute_paths(stored["path"])
        stored_name = dict(zip(spellings, stored["path"], strict=True))
        own = names[rest]
        spelled = absolute_paths(own)
        names[rest] = [stored_name.get(path, text) for path, text in zip(spelled, own, strict=True)]
    return names
