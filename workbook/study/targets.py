"""What FINd's speed should be and is: ratios of times taken side by side, on one core, of the same JPEGs."""

import os
import platform
from collections.abc import Callable, Sequence
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
        "pixels_over_decode",
        "hash from pixels / libjpeg-turbo decode of the same image",
        "pixels",
        "decode",
        True,
        0.2,
    ),
    Target("file_over_decode", "file to hash / decode alone", "file", "decode", True, 1.2),
    Target(
        "dhash_file_over_decode",
        "file to dHash 256 / decode alone",
        "dhash256",
        "decode",
        True,
        1.35,
    ),
    Target(
        "ahash_file_over_decode",
        "file to aHash 256 / decode alone",
        "ahash256",
        "decode",
        True,
        1.35,
    ),
    Target(
        "phash_file_over_decode",
        "file to pHash 256 / decode alone",
        "phash256",
        "decode",
        True,
        1.5,
    ),
    Target(
        "sum_file_over_decode",
        "file to FINd + dHash 256 / decode alone",
        "find+dhash256",
        "decode",
        True,
        1.45,
    ),
    Target(
        "installed_over_dhash",
        "dHash 256 of a file, imagehash / finlib",
        "imagehash",
        "dhash256",
        False,
        1.8,
    ),
    Target(
        "ahash_over_find", "aHash of imagehash / FINd, same pixels", "ahash", "pixels", False, 5
    ),
    Target("pdq_over_find", "PDQ in C++ / FINd, same pixels", "pdq", "pixels", False, 10),
    Target("reference_over_file", "reference / file to hash", "reference", "file", False, 1000),
    Target(
        "two_cores",
        "folder to table, throughput on 2 cores / on 1",
        "serial",
        "threads",
        False,
        1.8,
    ),
    Target(
        "table_over_decode",
        "folder to table / decode alone, all cores",
        "table",
        "decode_all",
        True,
        1.3,
    ),
    Target(
        "imgdd_over_table",
        "folder to dHash by imgdd / to FINd, all cores",
        "imgdd",
        "table",
        False,
        1,
    ),
    Target("scan_64", "FAISS range_search / scan, radius 64", "faiss 64", "scan 64", False, 4),
    Target("scan_90", "FAISS range_search / scan, radius 90", "faiss 90", "scan 90", False, 3.5),
    Target(
        "scan_64_avx2",
        "the same without AVX-512, radius 64",
        "faiss 64 AVX2",
        "scan 64 AVX2",
        False,
        4,
    ),
    Target(
        "scan_90_avx2",
        "the same without AVX-512, radius 90",
        "faiss 90 AVX2",
        "scan 90 AVX2",
        False,
        3.5,
    ),
    Target(
        "memory_growth",
        "peak memory: MiB that 10,000 files need beyond 100",
        "memory",
        "",
        True,
        16,
    ),
)


def time_all(paths: Sequence[str | Path], *, repeats: int, reference_images: int) -> pd.DataFrame:
    """`timing.time_side_by_side`, in seconds an image, of what the targets compare, over the same JPEGs.

    Names: pixels (decoded pixels to hash), decode (bytes in memory to pixels), file (file to hash), ahash and pdq (of
    decoded pixels; pdq only where it is installed), reference (file to hash by pure Python, the first few files), the
    names of hashes (file to hash), imagehash (file to its dHash 256).
    FINd's hashes are compared in every round. ValueError where a file is not one for the fast decoder.
    """
    slow = [str(path) for path in paths if decoding.decode_jpeg(path) is None]
    if slow or not paths:
        raise ValueError(
            f"JPEGs that libjpeg-turbo decodes as Pillow does are expected; {slow or 'nothing'} was given"
        )
    data = [Path(path).read_bytes() for path in paths]
    rgbs = [load_rgb(path) for path in paths]
    pictures = [Image.fromarray(rgb) for rgb in rgbs]
    few = paths[:reference_images]
    calls: dict[str, Callable[[], Any]] = {
        "pixels": lambda: [find.find_pixels(rgb) for rgb in rgbs],
        "decode": lambda: _discard(simplejpeg.decode_jpeg, data),
        "file": lambda: [HASHERS["find"].from_file(path) for path in paths],
        "ahash": lambda: _discard(imagehash.average_hash, pictures),
        "reference": lambda: [reference.find_pixels(load_rgb(path)) for path in few],
    }
    for name in ("dhash256", "ahash256", "phash256", "find+dhash256"):
        calls[name] = partial(_discard, get_hasher(name).from_file, paths)
    calls["imagehash"] = partial(_discard, as_installed("dhash256"), paths)
    for path in paths:
        assert np.array_equal(
            as_installed("dhash256")(path), HASHERS["dhash256"].from_file(path)
        ), f"{path}: differs"
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
    return (
        one is None
        or other is None
        or all(np.array_equal(a, b) for a, b in zip(one, other, strict=False))
    )


def as_installed(name: str) -> Callable[[str | Path], NDArray[np.uint8]]:
    """A file to packed bits by the code that one gets for that name: FIN's own, imagehash's or pdqhash's, on Pillow."""
    if name == "find":
        return lambda path: reference.find_pixels(load_rgb(path))
    if name == "pdq":
        import pdqhash  # an optional extra

        return lambda path: np.packbits(pdqhash.compute(load_rgb(path))[0].astype(bool))
    letter, bits = name[0], int(name.removeprefix(f"{name[0]}hash"))
    return lambda path: np.packbits(
        IMAGEHASH[letter](Image.open(path), hash_size=round(bits**0.5)).hash
    )


def method_costs(paths: Sequence[str | Path], names: Sequence[str], repeats: int) -> pd.DataFrame:
    """Milliseconds from a file to its hash, as installed and as finlib has it, all taken in turns on one core.

    Columns hasher, installed_ms, ms (medians), low and high (quartiles of ms), bytes (of the hash). A sum of hashes
    costs as installed what its parts do. FIN's own code is timed on the first file alone. Both give the same hash of
    every file that both are timed on, or AssertionError.
    """
    calls: dict[str, Callable[[], Any]] = {}
    parts = list(dict.fromkeys(part.name for name in names for part in get_hasher(name).parts))
    files = {part: paths[:1] if part == "find" else paths for part in parts}
    for part in parts:
        function = as_installed(part)
        for path in files[part]:
            assert np.array_equal(function(path), HASHERS[part].from_file(path)), (
                f"{path}: {part} differs"
            )
        calls[f"installed {part}"] = partial(_discard, function, files[part])
    calls |= {name: partial(_discard, get_hasher(name).read, paths) for name in names}
    counts = {name: len(paths) for name in names} | {
        f"installed {part}": len(files[part]) for part in parts
    }
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=repeats, same=None)
    spread = (
        timing.summarise(timings, counts).set_index("name")[["median", "low", "high"]] * 1000
    ).T
    rows = []
    for name in names:
        installed = sum(
            float(spread[f"installed {part.name}"]["median"]) for part in get_hasher(name).parts
        )
        rows.append((name, installed, *spread[name], get_hasher(name).bits // 8))
    return pd.DataFrame(rows, columns=["hasher", "installed_ms", "ms", "low", "high", "bytes"])


def time_tables(paths: Sequence[str], *, repeats: int) -> pd.DataFrame:
    """Seconds from files to the table of hashes, names serial and threads (two workers), the tables compared."""
    calls = {
        "serial": lambda: hash_files(paths, "find", "serial", chunk=64),
        "threads": lambda: hash_files(paths, "find", "threads", 2, chunk=64),
    }
    return timing.time_side_by_side(calls, repeats=repeats)


def time_all_cores(folder: str | Path, *, repeats: int) -> pd.DataFrame:
    """Seconds for a folder of JPEGs on all cores: decode_all, table (of FINd), imgdd (dHash; where it is installed)."""
    paths = [str(path) for path in list_images(folder)]
    data, workers = [Path(path).read_bytes() for path in paths], os.cpu_count() or 1

    def decode_all() -> None:
        with ThreadPoolExecutor(workers) as pool:
            for at in range(0, len(data), 64):
                pool.submit(_discard, simplejpeg.decode_jpeg, data[at : at + 64])

    calls: dict[str, Callable[[], Any]] = {
        "decode_all": decode_all,
        "table": lambda: hash_files(paths, "find", "threads", workers, chunk=64),
    }
    if find_spec("imgdd"):
        import imgdd  # optional, in Rust

        calls["imgdd"] = lambda: imgdd.hash(path=str(folder), algo="dHash")
    return timing.time_side_by_side(calls, repeats=repeats, same=None)


def time_scans(hashes: int, queries: int, repeats: int) -> pd.DataFrame:
    """Seconds on one core for all pairs of queries and random hashes within 64 and 90 bits: names scan and faiss with
    the radius, their pairs compared."""
    import faiss

    faiss.omp_set_num_threads(1)
    packed = np.random.default_rng(2026).integers(0, 256, (hashes, 32), dtype=np.uint8)
    index = faiss.IndexBinaryFlat(256)
    index.add(packed)

    def by_faiss(radius: int) -> NDArray[np.int64]:
        limits, _, found = index.range_search(
            packed[:queries], radius + 1
        )  # FAISS leaves the radius itself out
        rows = np.repeat(np.arange(queries), np.diff(limits.astype(np.int64)))
        return np.unique(np.stack([rows, found], axis=1), axis=0)

    def by_scan(radius: int) -> NDArray[np.int64]:
        i, j, _ = pairs_between(packed[:queries], packed, radius, workers=1)
        return np.stack([i, j], axis=1)

    rounds = []
    for radius in (64, 90):
        calls = {
            f"faiss {radius}": partial(by_faiss, radius),
            f"scan {radius}": partial(by_scan, radius),
        }
        rounds.append(timing.time_side_by_side(calls, repeats=repeats))
    return pd.concat(rounds, ignore_index=True)


def time_scans_without_avx512(hashes: int, queries: int, repeats: int) -> pd.DataFrame:
    """`time_scans` in a process that is kept from AVX-512, numba's kernels and FAISS alike; names end in AVX2."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise ValueError(f"AVX2 is of x86-64 processors; this one is {platform.machine()}")
    has = {name: there and "avx512" not in name for name, there in get_host_cpu_features().items()}
    features = ",".join(("+" if there else "-") + name for name, there in has.items())
    without = {
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": features,
        "FAISS_OPT_LEVEL": "avx2",
    }
    timings: pd.DataFrame = timing.in_fresh_process(
        time_scans, hashes, queries, repeats, environment=without
    )
    return timings.assign(name=timings["name"] + " AVX2")


def memory_growth(paths: Sequence[str], few: int, many: int) -> float:
    """MiB by which the peak of hashing `many` files exceeds that of `few`, each in a fresh process."""
    names = timing.many_names(paths, many)
    warm = partial(hash_files, paths[:1])
    peaks = timing.peaks(
        {"many": (hash_files, names), "few": (hash_files, names[:few])}, before=warm
    )
    return float(peaks["many"] - peaks["few"])


def judge(timings: pd.DataFrame, memory: float) -> pd.DataFrame:
    """One row a target: key, target, wanted, median, low, high (of the paired ratios), met.

    A target whose timings are missing, as without PDQ or a second core, is left out.
    timings: name, repeat, seconds of all that was timed, together; memory: of `memory_growth`.
    """
    rows, names = [], set(timings["name"])
    for target in TARGETS:
        if target.over and not {target.value, target.over} <= names:
            continue
        pair = timings[timings["name"].isin((target.value, target.over))]
        found = (
            timing.ratio(pair, target.value, target.over)
            if target.over
            else timing.Ratio(*[memory] * 3)
        )
        wanted = f"{'at most' if target.at_most else 'at least'} {target.limit:,.4g}"
        met = found.median <= target.limit if target.at_most else found.median >= target.limit
        rows.append((target.key, target.what, wanted, *found, met))
    return pd.DataFrame(rows, columns=["key", "target", "wanted", "median", "low", "high", "met"])
