"""FINd and other perceptual image hashes: exact, fast, measured.

The modules, in reading order; each imports only from those above it.

images      find, label, sample and decode images
transforms  what happens to an image on its way round the web; captions
templates   pictures to put captions on
families    the built-in families: templates, captions, the cache
reference   FINd as FIN ships it, in pure Python: the answer every other version must reproduce
vectorised  FINd in NumPy, single image and batch, in the array API's terms
decoding    step 1 by libjpeg-turbo, where its pixels are certain to be Pillow's
compiled    FINd as numba kernels
hashers     the table of every hash studied: name, bits, the function; `findhash`
tables      the table of hashes: its columns, Parquet and CSV
execution   one hasher over many files: serial, threads, processes, Dask; resumable
hamming     Hamming distances as kernels
matching    packed hashes to distances, neighbours and pairs
joining     the self-join past one machine
indexes     FAISS's indexes beside the exact scan
clustering  packed hashes to clusters
metrics     scores of pairs, searches and clusterings
intervals   how sure a score is: families resampled, thresholds held out
robustness  what survives when an image is changed on its way
failures    where methods fail: the worst pairs, the hard families
simulation  hash sets of any size with the distances of real ones
scaling     growth laws, clusterings swept, distances on a GPU
capacity    what a number of images costs, at prices that FIN can edit
style       how every figure looks: colours, markers, fonts
plots       tidy table and Axes in, Axes out; one colour per method
measure     time calls side by side, results compared; the memory a call needs at its peak
record      stamp machine and versions; save tables, figures and numbers
profiling   where time and memory go: stages, functions, lines
speed       what the optimised versions cost, and how sure their bits are
targets     what the speed should be, and is
results     what was recorded, as the report quotes it: keys, expressions, tables
filling     fill the report's numbers, tables and claims; refuse what is typed by hand
notebooks   run a notebook at full size and clean what it leaves
rendering   the report as HTML and PDF
report      the whole run: notebooks, report, one's own images
cli         the `finlib` command
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
