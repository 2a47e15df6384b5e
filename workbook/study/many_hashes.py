"""Hash the same files by many hashers, and decode each file only a few times.

For most hashers decoding is more than half of the time from file to hash. Hashes that are put
together share it.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finlib.hashing.execution import hash_files
from finlib.hashing.hashers import HASHERS
from finlib.hashing.tables import select_part

MOST_PARTS = 3  # of a combined hash


def hash_by_each(
    paths: Sequence[str | Path], names: Sequence[str], workers: int | None = None
) -> dict[str, pd.DataFrame]:
    """Hash files by every hasher of these names; returns the tables of `hash_files` by name.

    names: single hashers, such as "find". A file that one hasher cannot read may have an error in
    the tables of others, too, because they share its decoding.
    """
    tables = {}
    for group in group_hashers(names):
        table = hash_files(paths, "+".join(group), workers=workers)
        for name in group:
            tables[name] = select_part(table, name)
    return {name: tables[name] for name in names}


def group_hashers(names: Sequence[str]) -> list[list[str]]:
    """Put names of hashers into groups of at most MOST_PARTS that are hashed together.

    Those that release the GIL are hashed in threads, so the others are not put in with them.
    """
    in_threads = [name for name in names if HASHERS[name].releases_gil]
    others = [name for name in names if not HASHERS[name].releases_gil]
    groups = []
    for alike in (in_threads, others):
        for start in range(0, len(alike), MOST_PARTS):
            groups.append(alike[start : start + MOST_PARTS])
    return groups
