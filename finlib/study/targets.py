"""What FINd's speed should be and is: ratios of times taken side by side, on one core, of the same JPEGs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
import pandas as pd
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from finlib import compiled, decoding, reference
from finlib.execution import hash_files
from finlib.hashers import HASHERS, hasher
from finlib.images import load_rgb
from finlib.study import timing

IMAGEHASH: dict[str, Callable[..., imagehash.ImageHash]] = {
    "a": imagehash.average_hash,
    "p": imagehash.phash,
    "d": imagehash.dhash,
    "w": imagehash.whash,
}


class Target(NamedTuple):
    """A ratio of two timings (or one recorded value, where `over` is empty) and what it should be."""

    key: str
    what: str
    value: str
    over: str
    at_most: bool
    limit: float


# 16 MiB is what the table of results and its libraries may take; to keep 10,000 pictures would take 1.8 GiB.
TARGETS = (
    Target(
        "pixels_over_decode", "hash from pixels / libjpeg-turbo decode of the same image", "pixels", "decode", True, 0.2
    ),
    Target("file_over_decode", "file to hash / decode alone", "file", "decode", True, 1.25),
    Target("ahash_over_find", "aHash of imagehash / FINd, same pixels", "ahash", "pixels", False, 5),
    Target("pdq_over_find", "PDQ in C++ / FINd, same pixels", "pdq", "pixels", False, 10),
    Target("reference_over_file", "reference / file to hash", "reference", "file", False, 1000),
    Target("two_cores", "folder to table, throughput on 2 cores / on 1", "serial", "threads", False, 1.8),
    Target("memory_growth", "peak memory: MiB that 10,000 files need beyond 100", "memory", "", True, 16),
)


def time_all(paths: Sequence[str | Path], *, repeats: int, reference_images: int) -> pd.DataFrame:
    """`timing.time_side_by_side`, in seconds an image, of what the targets compare, over the same JPEGs.

    Names: pixels (decoded pixels to hash), decode (bytes in memory to pixels), file (file to hash), ahash and pdq (of
    decoded pixels; pdq only where it is installed), reference (file to hash by pure Python, the first few files).
    FINd's hashes are compared in every round. ValueError where a file is not one for the fast decoder.
    """
    slow = [str(path) for path in paths if decoding._fast(path, None) is None]
    if slow or not paths:
        raise ValueError(f"JPEGs that libjpeg-turbo decodes as Pillow does are expected; {slow or 'nothing'} was given")
    data = [Path(path).read_bytes() for path in paths]
    rgbs = [decoding.decode(path)[0] for path in paths]
    pictures = [Image.fromarray(rgb) for rgb in rgbs]
    few = paths[:reference_images]
    calls: dict[str, Callable[[], Any]] = {
        "pixels": lambda: [compiled.find_pixels(rgb) for rgb in rgbs],
        "decode": lambda: _discard(simplejpeg.decode_jpeg, data),
        "file": lambda: [compiled.find_file(path) for path in paths],
        "ahash": lambda: _discard(imagehash.average_hash, pictures),
        "reference": lambda: [reference.find_pixels(load_rgb(path)) for path in few],
    }
    if "pdq" in HASHERS:
        import pdqhash  # an optional extra

        calls["pdq"] = lambda: _discard(pdqhash.compute, rgbs)
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=_same_hashes)
    counts = timings["name"].map(lambda name: len(few) if name == "reference" else len(paths))
    return timings.assign(seconds=timings["seconds"] / counts)


def _discard(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    for item in items:
        function(item)


def _same_hashes(one: Any, other: Any) -> bool:
    """Whether two lists of FINd's hashes agree as far as both go; calls of other kinds give None."""
    return one is None or other is None or all(np.array_equal(a, b) for a, b in zip(one, other, strict=False))


def as_installed(name: str) -> Callable[[str | Path], NDArray[np.uint8]]:
    """A file to packed bits by the code that one gets for that name: FIN's own, imagehash's or pdqhash's, on Pillow."""
    if name == "find":
        return lambda path: reference.find_pixels(load_rgb(path))
    if name == "pdq":
        import pdqhash  # an optional extra

        return lambda path: np.packbits(pdqhash.compute(load_rgb(path))[0].astype(bool))
    letter, bits = name[0], int(name.removeprefix(f"{name[0]}hash"))
    return lambda path: np.packbits(IMAGEHASH[letter](Image.open(path), hash_size=round(bits**0.5)).hash)


def method_costs(paths: Sequence[str | Path], names: Sequence[str], repeats: int) -> pd.DataFrame:
    """Milliseconds from a file to its hash, as installed and as finlib has it, all taken in turns on one core.

    Columns hasher, installed_ms, ms (medians), low and high (quartiles of ms), bytes (of the hash). A sum of hashes
    costs as installed what its parts do. FIN's own code is timed on the first file alone. Both give the same hash of
    every file that both are timed on, or AssertionError.
    """
    calls: dict[str, Callable[[], Any]] = {}
    parts = list(dict.fromkeys(part.name for name in names for part in hasher(name).parts))
    files = {part: paths[:1] if part == "find" else paths for part in parts}
    for part in parts:
        function = as_installed(part)
        for path in files[part]:
            assert np.array_equal(function(path), HASHERS[part].from_file(path)), f"{path}: {part} differs"
        calls[f"installed {part}"] = partial(_discard, function, files[part])
    calls |= {name: partial(_discard, HASHERS[name].read, paths) for name in names}
    counts = {name: len(paths) for name in names} | {f"installed {part}": len(files[part]) for part in parts}
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    spread = (timing.summarise(timings, counts).set_index("name")[["median", "low", "high"]] * 1000).T
    rows = []
    for name in names:
        installed = sum(float(spread[f"installed {part.name}"]["median"]) for part in hasher(name).parts)
        rows.append((name, installed, *spread[name], hasher(name).bits // 8))
    return pd.DataFrame(rows, columns=["hasher", "installed_ms", "ms", "low", "high", "bytes"])


def time_tables(paths: Sequence[str], *, repeats: int) -> pd.DataFrame:
    """Seconds from files to the table of hashes, names serial and threads (two workers), the tables compared."""
    calls = {
        "serial": lambda: hash_files(paths, "find", "serial", chunk=64),
        "threads": lambda: hash_files(paths, "find", "threads", 2, chunk=64),
    }
    return timing.time_side_by_side(calls, repeats=repeats)


def memory_growth(paths: Sequence[str], few: int, many: int) -> float:
    """MiB by which the peak of hashing `many` files exceeds that of `few`, each in a fresh process."""
    names = timing.many_names(paths, many)
    warm = partial(hash_files, paths[:1])
    peaks = timing.peaks({"many": (hash_files, names), "few": (hash_files, names[:few])}, before=warm)
    return float(peaks["many"] - peaks["few"])


def judge(timings: pd.DataFrame, memory: float) -> pd.DataFrame:
    """One row a target: key, target, wanted, median, low, high (of the paired ratios), met.

    A target whose timings are missing, as without PDQ or a second core, is left out.
    timings: name, repeat, seconds of `time_all` and `time_tables` together; memory: of `memory_growth`.
    """
    rows, names = [], set(timings["name"])
    for target in TARGETS:
        if target.over and not {target.value, target.over} <= names:
            continue
        pair = timings[timings["name"].isin((target.value, target.over))]
        found = timing.ratio(pair, target.value, target.over) if target.over else timing.Ratio(*[memory] * 3)
        wanted = f"{'at most' if target.at_most else 'at least'} {target.limit:,.4g}"
        met = found.median <= target.limit if target.at_most else found.median >= target.limit
        rows.append((target.key, target.what, wanted, *found, met))
    return pd.DataFrame(rows, columns=["key", "target", "wanted", "median", "low", "high", "met"])
