"""FINd and other perceptual image hashes: exact, fast, measured.

What FIN takes into production, in reading order:

hashing      pictures to hashes: decoding, FINd and the classic hashes, tables of hashes
matching     hashes to distances, pairs and neighbours, and what to expect of a threshold
clustering   hashes to clusters of images
scoring      how well a hasher separates near-duplicates from other images
command      the command line over these
files        files written whole or not at all, and their names as text
machine      faults of the machine, which are no file's
pools        jobs on this machine's processors
checkpoint   finished parts of a run, kept so that an interrupted run resumes
distributed  all use of Dask

Imports go one way: files, machine, pools, checkpoint and distributed know nothing of the rest;
hashing and matching build on them and know nothing of each other; clustering and scoring build on
these; the command line uses all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finlib.clustering.clusters import cluster as cluster
    from finlib.hashing.execution import hash_files as hash_files
    from finlib.hashing.find import find_pixels as find_pixels, find_variants as find_variants
    from finlib.hashing.hashers import (
        HASHERS as HASHERS,
        Hasher as Hasher,
        findhash as findhash,
        get_hasher as get_hasher,
    )
    from finlib.matching.pairs import (
        neighbours as neighbours,
        pairs_between as pairs_between,
        pairs_within as pairs_within,
    )

MODULE_OF = {
    "HASHERS": "hashing.hashers",
    "Hasher": "hashing.hashers",
    "cluster": "clustering.clusters",
    "find_pixels": "hashing.find",
    "find_variants": "hashing.find",
    "findhash": "hashing.hashers",
    "get_hasher": "hashing.hashers",
    "hash_files": "hashing.execution",
    "neighbours": "matching.pairs",
    "pairs_between": "matching.pairs",
    "pairs_within": "matching.pairs",
}
"""The names that `import finlib` offers, and the module of finlib that defines each."""

__version__ = "2.0.0"
__all__ = list(MODULE_OF)


def needs_extra(what: str, extra: str) -> ValueError:
    """The error to raise where an optional package is missing."""
    return ValueError(
        f"{what} needs another package: install the extra with pip install 'finlib[{extra}]'"
    )


def __getattr__(name: str) -> Any:
    """Import on first use: `import finlib` alone stays cheap and compiles nothing."""
    if name not in MODULE_OF:
        raise AttributeError(f"module 'finlib' has no attribute {name!r}")
    return getattr(import_module(f"finlib.{MODULE_OF[name]}"), name)
