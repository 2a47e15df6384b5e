"""FINd and other perceptual image hashes: exact, fast, measured.

What FIN takes into production, in reading order:

images      find, label and decode images
reference   FINd as FIN ships it, in pure Python: the answer every other version must reproduce
vectorised  FINd in NumPy, single image and batch, in the array API's terms
decoding    step 1 by libjpeg-turbo, where its pixels are certain to be Pillow's
compiled    FINd as numba kernels
hashers     the table of every hash studied: name, bits, the function; `findhash`
tables      the table of hashes: its columns, Parquet and CSV
execution   one hasher over many files: serial, threads, processes, Dask; resumable
hamming     Hamming distances as kernels
matching    packed hashes to distances, neighbours and pairs
near        near pairs without looking at every pair: recall foretold, precision exact
joining     the exact self-join past one machine
clustering  packed hashes to clusters, any number of them, and new ones onto old
metrics     scores of pairs, searches and clusterings
cli         the `finlib` command

Two more rooms belong to the workbook, `finlib.study` and `finlib.report`: each says in its own docstring what it holds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finlib.compiled import find_pixels
    from finlib.execution import hash_files
    from finlib.hashers import HASHERS, Hasher, findhash
    from finlib.matching import neighbours, pairs_within

_HOME = {
    "HASHERS": "hashers",
    "Hasher": "hashers",
    "find_pixels": "compiled",
    "findhash": "hashers",
    "hash_files": "execution",
    "neighbours": "matching",
    "pairs_within": "matching",
}

__all__ = ["HASHERS", "Hasher", "find_pixels", "findhash", "hash_files", "neighbours", "pairs_within"]


def __getattr__(name: str) -> Any:
    """Import on first use: `import finlib` alone stays cheap and compiles nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'finlib' has no attribute {name!r}")
    return getattr(import_module(f"finlib.{_HOME[name]}"), name)
