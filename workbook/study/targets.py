"""How fast FINd should be, and how fast it is.

Targets are ratios of times, because an absolute time says more about the machine than about the
code. What is compared is timed side by side, on the same JPEGs and, unless a name says otherwise,
on one core.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
import pandas as pd
import simplejpeg
from llvmlite.binding import get_host_cpu_features
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing import decoding, find, reference
from finlib.hashing.execution import hash_files
from finlib.hashing.hashers import HASHERS, get_hasher
from finlib.hashing.images import list_images, load_rgb
from finlib.matching.pairs import pairs_between
from workbook.study import timing

FilePath = str | Path
Packed = NDArray[np.uint8]
HashFile = Callable[[FilePath], Packed]

FILES_PER_TASK = 64
RADII = (64, 90)
"""In bits: the radii at which the exact scan is compared with FAISS."""


# The hashes as one gets them without finlib -------------------------------------------------------


def hash_by_reference(path: FilePath) -> Packed:
    """FINd of a file by FIN's own way of computing it, in pure Python."""
    return reference.find_pixels(load_rgb(path))


def hash_by_pdqhash(path: FilePath) -> Packed:
    """PDQ of a file decoded by Pillow."""
    import pdqhash  # an optional extra

    vector, _ = pdqhash.compute(load_rgb(path))
    return np.packbits(vector.astype(bool))


def hash_by_imagehash(
    function: Callable[..., imagehash.ImageHash],
    side: int,
    path: FilePath,
) -> Packed:
    """A hash of side x side bits of a file, by a function of imagehash."""
    hashed = function(Image.open(path), hash_size=side)
    return np.packbits(hashed.hash)


INSTALLED: dict[str, HashFile] = {
    "find": hash_by_reference,
    "ahash64": partial(hash_by_imagehash, imagehash.average_hash, 8),
    "ahash256": partial(hash_by_imagehash, imagehash.average_hash, 16),
    "phash64": partial(hash_by_imagehash, imagehash.phash, 8),
    "phash256": partial(hash_by_imagehash, imagehash.phash, 16),
    "dhash64": partial(hash_by_imagehash, imagehash.dhash, 8),
    "dhash256": partial(hash_by_imagehash, imagehash.dhash, 16),
    "whash64": partial(hash_by_imagehash, imagehash.whash, 8),
    "whash256": partial(hash_by_imagehash, imagehash.whash, 16),
    "pdq": hash_by_pdqhash,
}
"""For each single hasher, the code that one would use without finlib: a file to packed bits."""


# What the targets are -----------------------------------------------------------------------------


class Target(NamedTuple):
    """What the ratio of two times should be.

    key: its name in tables.
    description: what is compared, for a reader.
    numerator, denominator: the names under which the two were timed. A target without a
        denominator limits the memory that is recorded, in MiB.
    at_most: whether `limit` is the most that the ratio should be; otherwise it is the least.
    limit: the ratio.
    """

    key: str
    description: str
    numerator: str
    denominator: str
    at_most: bool
    limit: float

    def is_met(self, measured: float) -> bool:
        """Whether the measured ratio keeps to the limit."""
        if self.at_most:
            return measured <= self.limit
        return measured >= self.limit

    @property
    def wanted(self) -> str:
        """The limit in words."""
        words = "at most" if self.at_most else "at least"
        return f"{words} {self.limit:,.4g}"


def _at_most(
    limit: float, key: str, description: str, numerator: str, denominator: str = ""
) -> Target:
    return Target(key, description, numerator, denominator, True, limit)


def _at_least(limit: float, key: str, description: str, numerator: str, denominator: str) -> Target:
    return Target(key, description, numerator, denominator, False, limit)


# In memory_growth, 16 MiB allows for the table and its libraries. If the 10,000 pictures stayed in
# memory, they would take 1.8 GiB.
TARGETS = (
    _at_most(
        0.2,
        "pixels_over_decode",
        "hash from pixels / libjpeg-turbo decode of the same image",
        "pixels",
        "decode",
    ),
    _at_most(
        1.2,
        "file_over_decode",
        "file to hash / decode alone",
        "file",
        "decode",
    ),
    _at_most(
        1.35,
        "dhash_file_over_decode",
        "file to dHash 256 / decode alone",
        "dhash256",
        "decode",
    ),
    _at_most(
        1.35,
        "ahash_file_over_decode",
        "file to aHash 256 / decode alone",
        "ahash256",
        "decode",
    ),
    _at_most(
        1.5,
        "phash_file_over_decode",
        "file to pHash 256 / decode alone",
        "phash256",
        "decode",
    ),
    _at_most(
        1.45,
        "sum_file_over_decode",
        "file to FINd + dHash 256 / decode alone",
        "find+dhash256",
        "decode",
    ),
    _at_least(
        1.8,
        "installed_over_dhash",
        "dHash 256 of a file, imagehash / finlib",
        "imagehash",
        "dhash256",
    ),
    _at_least(
        5,
        "ahash_over_find",
        "aHash of imagehash / FINd, same pixels",
        "ahash",
        "pixels",
    ),
    _at_least(
        10,
        "pdq_over_find",
        "PDQ in C++ / FINd, same pixels",
        "pdq",
        "pixels",
    ),
    _at_least(
        1000,
        "reference_over_file",
        "reference / file to hash",
        "reference",
        "file",
    ),
    _at_least(
        1.8,
        "two_cores",
        "folder to table, throughput on 2 cores / on 1",
        "serial",
        "threads",
    ),
    _at_most(
        1.3,
        "table_over_decode",
        "folder to table / decode alone, all cores",
        "table",
        "decode_all",
    ),
    _at_least(
        1,
        "imgdd_over_table",
        "folder to dHash by imgdd / to FINd, all cores",
        "imgdd",
        "table",
    ),
    _at_least(
        4,
        "scan_64",
        "FAISS range_search / scan, radius 64",
        "faiss 64",
        "scan 64",
    ),
    _at_least(
        3.5,
        "scan_90",
        "FAISS range_search / scan, radius 90",
        "faiss 90",
        "scan 90",
    ),
    _at_least(
        4,
        "scan_64_avx2",
        "the same without AVX-512, radius 64",
        "faiss 64 AVX2",
        "scan 64 AVX2",
    ),
    _at_least(
        3.5,
        "scan_90_avx2",
        "the same without AVX-512, radius 90",
        "faiss 90 AVX2",
        "scan 90 AVX2",
    ),
    _at_most(
        16,
        "memory_growth",
        "peak memory: MiB that 10,000 files need beyond 100",
        "memory",
    ),
)


def judge(timings: pd.DataFrame, memory: float) -> pd.DataFrame:
    """Compare measurements with the targets, a row for each target.

    A target is left out if its timings are missing, as they are without PDQ or a second core.

    timings: the columns name, repeat and seconds of everything that was timed, together.
    memory: what `memory_growth` returned.

    Returns the columns key, target (its description), wanted, median, low and high (of the
    ratios, paired by repeat) and met.
    """
    names = set(timings["name"])
    rows = []
    for target in TARGETS:
        if target.denominator == "":
            measured = timing.Ratio(memory, memory, memory)
        elif {target.numerator, target.denominator} <= names:
            of_both = timings["name"].isin([target.numerator, target.denominator])
            measured = timing.ratio(timings[of_both], target.numerator, target.denominator)
        else:
            continue
        met = target.is_met(measured.median)
        rows.append((target.key, target.description, target.wanted, *measured, met))
    return pd.DataFrame(rows, columns=["key", "target", "wanted", "median", "low", "high", "met"])


# Time on one core ---------------------------------------------------------------------------------


def time_all(paths: Sequence[FilePath], *, repeats: int, reference_images: int) -> pd.DataFrame:
    """Time side by side what the targets compare on one core, over the same JPEGs.

    FINd's hashes are compared in every round.

    reference_images: how many of the files pure Python hashes.

    Returns the columns name, repeat and seconds (an image), with these names: pixels (decoded
    pixels to hash), decode (bytes in memory to pixels), file (file to hash), ahash and pdq (of
    decoded pixels; pdq only where it is installed), reference (file to hash by pure Python),
    imagehash (file to its dHash 256), and the names of hashers (file to hash).
    Raises ValueError for a file that the fast decoder does not read, and AssertionError where
    hashes differ.
    """
    _require_fast_jpegs(paths)
    data = [Path(path).read_bytes() for path in paths]
    rgbs = [load_rgb(path) for path in paths]
    pictures = [Image.fromarray(rgb) for rgb in rgbs]
    few = paths[:reference_images]
    _require_same_hashes("dhash256", paths)
    calls: dict[str, timing.Call] = {
        "pixels": lambda: [find.find_pixels(rgb) for rgb in rgbs],
        "decode": partial(_discard, simplejpeg.decode_jpeg, data),
        "file": lambda: [HASHERS["find"].from_file(path) for path in paths],
        "ahash": partial(_discard, imagehash.average_hash, pictures),
        "reference": lambda: [hash_by_reference(path) for path in few],
    }
    for name in ("dhash256", "ahash256", "phash256", "find+dhash256"):
        calls[name] = partial(_discard, get_hasher(name).from_file, paths)
    calls["imagehash"] = partial(_discard, INSTALLED["dhash256"], paths)
    if "pdq" in HASHERS:
        import pdqhash  # an optional extra

        calls["pdq"] = partial(_discard, pdqhash.compute, rgbs)
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=_same_hashes)
    images = dict.fromkeys(calls, len(paths))
    images["reference"] = len(few)
    return timings.assign(seconds=timings["seconds"] / timings["name"].map(images))


def _require_fast_jpegs(paths: Sequence[FilePath]) -> None:
    """ValueError unless libjpeg-turbo is known to decode all of these files as Pillow does."""
    if not paths:
        raise ValueError("no files were given: give at least one JPEG")
    others = [str(path) for path in paths if decoding.decode_jpeg(path) is None]
    if others:
        raise ValueError(
            "JPEGs that libjpeg-turbo decodes as Pillow does are expected, and "
            f"{others} are not: leave them out"
        )


def _require_same_hashes(name: str, paths: Sequence[FilePath]) -> None:
    """AssertionError if finlib and the code that one gets without it hash a file differently."""
    for path in paths:
        installed = INSTALLED[name](path)
        ours = HASHERS[name].from_file(path)
        assert np.array_equal(installed, ours), f"{path}: {name} differs"


def _discard(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    """Call the function on each item and keep no results."""
    for item in items:
        function(item)


def _same_hashes(one: Any, other: Any) -> bool:
    """Whether two lists of FINd's hashes agree in the files that both cover.

    Calls of other kinds return None, which is not compared.
    """
    if one is None or other is None:
        return True
    pairs = zip(one, other, strict=False)
    return all(np.array_equal(hash_one, hash_other) for hash_one, hash_other in pairs)


def method_costs(paths: Sequence[FilePath], names: Sequence[str], repeats: int) -> pd.DataFrame:
    """What a file costs with each hasher, in finlib and with the code that one gets without it.

    Everything is timed in turn on one core. FIN's own code is timed on the first file alone.
    Without finlib a combined hash costs what its parts cost together.

    names: of hashers, single or combined.

    Returns the columns hasher, installed_ms (without finlib), ms (in finlib), low and high
    (quartiles of ms) and bytes (of the hash); times are medians in milliseconds.
    Raises AssertionError if the two give different hashes of a file that both are timed on.
    """
    files = {}
    for name in names:
        for part in get_hasher(name).parts:
            files[part.name] = paths
    if "find" in files:
        files["find"] = paths[:1]
    calls: dict[str, timing.Call] = {}
    images: dict[str, int] = {}
    for part_name, part_files in files.items():
        _require_same_hashes(part_name, part_files)
        key = f"installed {part_name}"
        calls[key] = partial(_discard, INSTALLED[part_name], part_files)
        images[key] = len(part_files)
    for name in names:
        calls[name] = partial(_discard, get_hasher(name).read, paths)
        images[name] = len(paths)
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    seconds = timing.summarise(timings, images).set_index("name")
    return pd.DataFrame([_cost_row(name, seconds) for name in names])


def _cost_row(name: str, seconds: pd.DataFrame) -> dict[str, Any]:
    """A row of `method_costs` from the seconds of everything that was timed, indexed by name."""
    hasher = get_hasher(name)
    milliseconds = seconds[["median", "low", "high"]] * 1000
    installed = [milliseconds.loc[f"installed {part.name}", "median"] for part in hasher.parts]
    return {
        "hasher": name,
        "installed_ms": float(sum(installed)),
        "ms": milliseconds.loc[name, "median"],
        "low": milliseconds.loc[name, "low"],
        "high": milliseconds.loc[name, "high"],
        "bytes": hasher.bits // 8,
    }


# Time on several cores, and memory ----------------------------------------------------------------


def time_tables(paths: Sequence[str], *, repeats: int) -> pd.DataFrame:
    """Time files to the table of hashes on one core and on two, with the tables compared.

    Returns the columns name (serial or threads), repeat and seconds.
    """
    calls = {
        "serial": partial(hash_files, paths, "find", "serial", chunk=FILES_PER_TASK),
        "threads": partial(hash_files, paths, "find", "threads", 2, chunk=FILES_PER_TASK),
    }
    return timing.time_side_by_side(calls, repeats=repeats)


def time_all_cores(folder: FilePath, *, repeats: int) -> pd.DataFrame:
    """Time a folder of JPEGs on all cores.

    Returns the columns name, repeat and seconds, with these names: decode_all (decoding alone),
    table (FINd of all files) and, where it is installed, imgdd (a dHash written in Rust).
    """
    paths = [str(path) for path in list_images(folder)]
    data = [Path(path).read_bytes() for path in paths]
    workers = os.cpu_count() or 1

    def decode_all() -> None:
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(data), FILES_PER_TASK):
                task = data[start : start + FILES_PER_TASK]
                pool.submit(_discard, simplejpeg.decode_jpeg, task)

    calls: dict[str, timing.Call] = {
        "decode_all": decode_all,
        "table": partial(hash_files, paths, "find", "threads", workers, chunk=FILES_PER_TASK),
    }
    if find_spec("imgdd"):
        import imgdd  # an optional package

        calls["imgdd"] = partial(imgdd.hash, path=str(folder), algo="dHash")
    return timing.time_side_by_side(calls, repeats=repeats, same=None)


def memory_growth(paths: Sequence[str], few: int, many: int) -> float:
    """How much more memory hashing `many` files needs at its peak than hashing `few`, in MiB.

    Each of the two runs in a fresh process.
    """
    names = timing.many_names(paths, many)
    calls = {
        "many": (hash_files, names),
        "few": (hash_files, names[:few]),
    }
    peaks = timing.peaks(calls, before=partial(hash_files, paths[:1]))
    return float(peaks["many"] - peaks["few"])


# The exact scan compared with FAISS ---------------------------------------------------------------


def time_scans(hashes: int, queries: int, repeats: int) -> pd.DataFrame:
    """Time the search for all pairs of queries and random hashes within each of RADII, on one core.

    The pairs that finlib's scan and FAISS return are compared.

    Returns the columns name, repeat and seconds; the names are "scan" and "faiss" with the
    radius.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(2026)
    packed = rng.integers(0, 256, (hashes, 32), dtype=np.uint8)
    index = faiss.IndexBinaryFlat(256)
    index.add(packed)
    rounds = []
    for radius in RADII:
        calls = {
            f"faiss {radius}": partial(_pairs_by_faiss, index, packed[:queries], radius),
            f"scan {radius}": partial(_pairs_by_scan, packed, packed[:queries], radius),
        }
        rounds.append(timing.time_side_by_side(calls, repeats=repeats))
    return pd.concat(rounds, ignore_index=True)


def _pairs_by_faiss(index: Any, queries: Packed, radius: int) -> NDArray[np.int64]:
    """Places of queries and hashes within the radius, int64[pairs, 2], in order."""
    # FAISS leaves out the pairs at the radius itself.
    limits, _, matches = index.range_search(queries, radius + 1)
    matches_per_query = np.diff(limits.astype(np.int64))
    query_of_match = np.repeat(np.arange(len(queries)), matches_per_query)
    return np.unique(np.stack([query_of_match, matches], axis=1), axis=0)


def _pairs_by_scan(packed: Packed, queries: Packed, radius: int) -> NDArray[np.int64]:
    """The same pairs by finlib, which returns them in order."""
    query_of_match, matches, _ = pairs_between(queries, packed, radius, workers=1)
    return np.stack([query_of_match, matches], axis=1)


def time_scans_without_avx512(hashes: int, queries: int, repeats: int) -> pd.DataFrame:
    """`time_scans` in a process where neither numba's kernels nor FAISS may use AVX-512.

    Its names end in AVX2.

    Raises ValueError on processors other than x86-64.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        raise ValueError(
            f"AVX2 belongs to x86-64 processors, and this one is {platform.machine()}: "
            "use `time_scans`"
        )
    environment = {
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": _features_without_avx512(get_host_cpu_features()),
        "FAISS_OPT_LEVEL": "avx2",
    }
    timings: pd.DataFrame = timing.in_fresh_process(
        time_scans, hashes, queries, repeats, environment=environment
    )
    return timings.assign(name=timings["name"] + " AVX2")


def _features_without_avx512(features: Mapping[str, bool]) -> str:
    """The processor's features as LLVM writes them, "+sse2,-avx512f", without AVX-512."""
    switches = []
    for name, is_there in features.items():
        is_on = is_there and "avx512" not in name
        sign = "+" if is_on else "-"
        switches.append(sign + name)
    return ",".join(switches)
