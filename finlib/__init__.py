"""FINd and other perceptual image hashes: exact, fast, measured.

What FIN takes into production, in reading order:

images       find, label and decode images
reference    FINd as FIN ships it, in pure Python: the answer every other version must reproduce
certificate  why reordered arithmetic gives FINd's bits, and the bound that decides
decoding     step 1 by libjpeg-turbo, where its pixels are certain to be Pillow's
compiled     FINd as numba kernels; of a picture's eight turns and mirror images from one transform
classic      aHash, dHash and pHash as kernels, imagehash's bit for bit
hashers      the table of every hash studied: name, bits, the function; `findhash`
tables       the table of hashes: its columns, Parquet and CSV
execution    one hasher over many files: serial, threads, processes, Dask; resumable
pools        jobs on the processors at hand, in order and few at a time
hamming      Hamming distances as kernels
matching     packed hashes to distances, neighbours and pairs
sampling     near pairs by bit sampling: the kernels and one pass
near         near pairs without looking at every pair: recall foretold, precision exact
joining      the exact self-join past one machine
strangers    how far apart strangers are
centres      the majority of a cluster's bits; clusters cut in two where two are far apart
corrections  clusters corrected by hand
clustering   packed hashes to clusters, any number of them, and new ones onto old
thresholds   what to expect of a threshold: false pairs, true ones found

`finlib.command` is the command line over these. Two more rooms belong to the workbook, `finlib.study` and
`finlib.report`. Each says in its own docstring what it holds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finlib.clustering import cluster as cluster
    from finlib.compiled import find_pixels as find_pixels, find_variants as find_variants
    from finlib.execution import hash_files as hash_files
    from finlib.hashers import HASHERS as HASHERS, Hasher as Hasher, findhash as findhash, hasher as hasher
    from finlib.matching import neighbours as neighbours, pairs_between as pairs_between, pairs_within as pairs_within

_HOME = {
    "HASHERS": "hashers",
    "Hasher": "hashers",
    "cluster": "clustering",
    "find_pixels": "compiled",
    "find_variants": "compiled",
    "findhash": "hashers",
    "hash_files": "execution",
    "hasher": "hashers",
    "neighbours": "matching",
    "pairs_between": "matching",
    "pairs_within": "matching",
}

__version__ = "1.0.0"
__all__ = list(_HOME)


def needs_extra(what: str, extra: str) -> ValueError:
    """The error to raise where an optional package is missing."""
    return ValueError(f"{what} needs another package: install the extra with pip install 'finlib[{extra}]'")


def __getattr__(name: str) -> Any:
    """Import on first use: `import finlib` alone stays cheap and compiles nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'finlib' has no attribute {name!r}")
    return getattr(import_module(f"finlib.{_HOME[name]}"), name)
