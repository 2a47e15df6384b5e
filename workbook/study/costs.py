"""Calculate what hashing and matching a number of images takes, and what it costs.

PRICES and ASSUMPTIONS are there to be edited, or read from a table of one's own with `from_csv`.
The prices are round figures of the kind that public clouds list for machines on demand, without
discounts; they are nobody's offer.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from finlib.clustering.null_model import NullModel
from finlib.matching.pairs import Neighbours, index_hashes, neighbours
from workbook.study import workers
from workbook.study.nonmatching import choose_thresholds

HOUR = 3600.0  # seconds
MONTH = 730.0  # hours
MILLION = 1e6
GIGABYTE = 1e9  # bytes

PRICES: dict[str, float] = {
    "core_hour": 0.05,  # US dollars, a core and the memory that comes with it
    "gb_memory_hour": 0.005,  # memory that holds hashes between queries
    "gb_stored_month": 0.023,  # object storage
    "gb_sent": 0.01,  # between machines of different zones
    "million_reads": 0.4,  # requests to object storage
}
ASSUMPTIONS: dict[str, float] = {
    "utilisation": 0.7,  # share of the cores' time that goes into the work
    "machines": 10,
    "cores": 64,  # of a machine
    "bytes_per_pair": 20,  # two numbers and a distance
}


@dataclass(frozen=True)
class Rates:
    """What a run measured, on one core unless stated otherwise.

    hash_seconds: for an image, from its file to its hash.
    join_pairs: pairs a second when a set is compared with itself, each pair counted once.
    search_pairs: pairs of a new and a stored hash, a second.
    match_rate: the share of all pairs that are within the radius.
    memory_pairs: pairs a second of all cores of a machine together, when they read the hashes from
        memory.
    """

    hash_seconds: float
    join_pairs: float
    search_pairs: float
    match_rate: float
    bytes_per_hash: float = 32
    memory_pairs: float = float("inf")


@dataclass(frozen=True)
class Work:
    """What a step takes.

    seconds: of one core. memory, sent: bytes over all machines. dollars: for storage, memory and
    reads, in addition to cores and network.
    """

    seconds: float
    memory: float = 0
    sent: float = 0
    dollars: float = 0


def from_csv(path: str | Path, given: Mapping[str, float]) -> dict[str, float]:
    """Read PRICES or ASSUMPTIONS from a table with the columns `name` and `value`.

    given: the names and their values, for those that the table does not have. Raises ValueError
    for names that are not among them.
    """
    table = pd.read_csv(path)
    if not {"name", "value"} <= set(table):
        columns = ", ".join(map(str, table))
        raise ValueError(f"{path} must have columns name and value; it has {columns}")
    values = {}
    for name, value in zip(table["name"], table["value"], strict=True):
        values[str(name)] = float(value)
    unknown = sorted(values.keys() - given.keys())
    if unknown:
        raise ValueError(f"{path} names {unknown}; known are {sorted(given)}")
    return {**given, **values}


def table(
    rates: Rates,
    images: Iterable[float] = (1e6, 1e8, 1e9),
    *,
    prices: Mapping[str, float] = PRICES,
    assumptions: Mapping[str, float] = ASSUMPTIONS,
) -> pd.DataFrame:
    """Calculate time, memory and dollars: a row for each number of images, mode and step.

    Modes: `batch`, hashing all images once and comparing every pair; `online`, a million new images
    against all of them, with the hashes in memory for the month in which they come. Columns:
    images, mode, step, core_hours, hours (wall-clock, on all the machines), memory_gb and sent_gb
    (over all machines), dollars.
    """
    rows = []
    for n in images:
        steps = {
            ("batch", "hash"): _hash_all(n, rates, prices),
            ("batch", "match"): _match_all(n, rates, prices, assumptions),
            ("online", "hash"): _hash_new(rates, prices),
            ("online", "match"): _match_new(n, rates, prices, assumptions),
        }
        for (mode, step), work in steps.items():
            row = {"images": n, "mode": mode, "step": step}
            rows.append(row | _totals(work, prices, assumptions))
    return pd.DataFrame(rows)


def _totals(
    work: Work, prices: Mapping[str, float], assumptions: Mapping[str, float]
) -> dict[str, float]:
    """Hours, sizes and dollars of a step."""
    core_hours = work.seconds / assumptions["utilisation"] / HOUR
    cores = assumptions["machines"] * assumptions["cores"]
    computing = core_hours * prices["core_hour"]
    sending = work.sent / GIGABYTE * prices["gb_sent"]
    return {
        "core_hours": core_hours,
        "hours": core_hours / cores,
        "memory_gb": work.memory / GIGABYTE,
        "sent_gb": work.sent / GIGABYTE,
        "dollars": computing + sending + work.dollars,
    }


def _reading(images: float, prices: Mapping[str, float]) -> float:
    """Dollars for reading files from object storage."""
    return images * (prices["million_reads"] / MILLION)


def _storing_matches(
    pairs: float, rates: Rates, prices: Mapping[str, float], assumptions: Mapping[str, float]
) -> float:
    """Dollars for storing the matches among this number of pairs for a month."""
    size = pairs * rates.match_rate * assumptions["bytes_per_pair"]
    return size / GIGABYTE * prices["gb_stored_month"]


def _hash_all(n: float, rates: Rates, prices: Mapping[str, float]) -> Work:
    storing = n * rates.bytes_per_hash / GIGABYTE * prices["gb_stored_month"]
    return Work(n * rates.hash_seconds, dollars=_reading(n, prices) + storing)


def _match_all(
    n: float, rates: Rates, prices: Mapping[str, float], assumptions: Mapping[str, float]
) -> Work:
    """Compare every pair once.

    The pairs are a triangle, which the machines divide into squares. Each machine needs the hashes
    of both sides of its square.
    """
    machines = assumptions["machines"]
    seconds = n * (n - 1) / 2 / rates.join_pairs
    copied = n * rates.bytes_per_hash * np.sqrt(2 * machines) if machines > 1 else 0.0
    storing = _storing_matches(n * n / 2, rates, prices, assumptions)
    return Work(
        seconds,
        memory=copied,
        sent=copied,
        dollars=storing,
    )


def _hash_new(rates: Rates, prices: Mapping[str, float]) -> Work:
    return Work(MILLION * rates.hash_seconds, dollars=_reading(MILLION, prices))


def _match_new(
    n: float, rates: Rates, prices: Mapping[str, float], assumptions: Mapping[str, float]
) -> Work:
    stored = n * rates.bytes_per_hash
    sent = MILLION * rates.bytes_per_hash * assumptions["machines"]
    storing = _storing_matches(MILLION * n, rates, prices, assumptions)
    in_memory = stored / GIGABYTE * prices["gb_memory_hour"] * MONTH
    seconds = MILLION * n / rates.search_pairs
    return Work(
        seconds,
        memory=stored,
        sent=sent,
        dollars=storing + in_memory,
    )


def query_seconds(rates: Rates, images: float, cores: float = 1) -> float:
    """Calculate how long a hash waits for its matches among stored images, on cores of one machine.

    Cores add up until they read hashes as fast as memory allows (`Rates.memory_pairs`).
    """
    pairs_per_second = min(rates.search_pairs * cores, rates.memory_pairs)
    return images / pairs_per_second


def memory_pairs(n: int, cores: int, *, seed: int = 2026) -> float:
    """Measure how many pairs a second a machine compares while every core answers a query.

    Each query reads all of n random hashes of 256 bits. Where their 32 * n bytes do not fit into
    the caches, the memory limits this rate. The best of three tries counts.
    """
    rng = np.random.default_rng(seed)
    stored = index_hashes(rng.integers(0, 256, (n, 32), np.uint8))
    queries = rng.integers(0, 256, (cores, 1, 32), np.uint8)

    def search(query: npt.NDArray[np.uint8]) -> Neighbours:
        return neighbours(
            query,
            stored,
            k=10,
            radius=86,
            workers=1,
        )

    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(search, queries))  # warm-up
        for _ in range(3):
            start = perf_counter()
            list(pool.map(search, queries))
            seconds.append(perf_counter() - start)
    return n * cores / min(seconds)


def ways(
    rates: Rates,
    null_model: NullModel,
    same: npt.NDArray[np.int64],
    bucket_seconds: float,
    images: Iterable[float],
    *,
    precision: float = 0.9,
    recall: float = 0.95,
    matches_per_image: float = 10,
) -> pd.DataFrame:
    """Calculate what it takes to find pairs with a wanted precision, exactly and by buckets.

    null_model: the distances of unrelated images. same: int64[bits + 1], the matching pairs at each
    distance. bucket_seconds: a pass's time for one hash. recall: the share of the pairs at the
    threshold that buckets are to find. matches_per_image: true matches that an image has.

    A row for each number of images, with the columns images, threshold (the largest with that
    precision), false_pairs (to expect), found (the share of matching pairs within the threshold);
    hashing, every pair and buckets, in core hours; memory_gb, of buckets. Where no threshold has
    the precision, it is NaN, and so is what depends on it.
    """
    sizes = np.asarray(list(images), dtype=np.float64)
    distance = np.arange(len(same))
    shares = pd.DataFrame(
        {
            "hasher": "",
            "distance": distance,
            "strangers": null_model.within(distance),
            "found": np.cumsum(same) / max(1, same.sum()),
        }
    )
    thresholds = choose_thresholds(
        shares, sizes.tolist(), [precision], matches_per_image=matches_per_image
    )
    core_hours = []
    memory_gb = []
    for n, radius in zip(sizes, thresholds["threshold"], strict=True):
        if not radius > 0:  # NaN, too
            core_hours.append(np.nan)
            memory_gb.append(np.nan)
            continue
        plan = workers.bucket_join(
            n,
            int(radius),
            bucket_seconds,
            1,
            recall=recall,
            bits=len(same) - 1,
        )
        core_hours.append(plan.core_hours)
        memory_gb.append(plan.bytes_a_machine / GIGABYTE)
    costs = {
        "hashing": sizes * rates.hash_seconds / HOUR,
        "every pair": sizes**2 / 2 / rates.join_pairs / HOUR,
        "buckets": core_hours,
        "memory_gb": memory_gb,
    }
    return thresholds.drop(columns=["hasher", "precision"]).assign(**costs)
