"""What hashing and matching a number of images takes and costs, from measured rates and stated prices.

PRICES and ASSUMPTIONS are there to be edited, or read from a table of one's own with `from_csv`. They are round
figures of the kind that public clouds list for machines on demand, without discounts; nobody's offer.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HOUR = 3600.0
MONTH = 730.0  # hours
MILLION = 1e6

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
    """What a run measured, for one core."""

    hash_seconds: float  # for an image, from its file to its hash
    join_pairs: float  # unordered pairs a second in a self-join
    search_pairs: float  # pairs a second of new hashes and stored ones
    match_rate: float  # share of all pairs within the radius
    bytes_per_hash: float = 32


def from_csv(path: str | Path, given: Mapping[str, float]) -> dict[str, float]:
    """PRICES or ASSUMPTIONS with the values of a table of columns `name` and `value`; ValueError for unknown names."""
    table = pd.read_csv(path)
    if not {"name", "value"} <= set(table):
        raise ValueError(f"{path} must have columns name and value; it has {', '.join(map(str, table))}")
    found = {str(name): float(value) for name, value in zip(table["name"], table["value"], strict=True)}
    if not found.keys() <= given.keys():
        raise ValueError(f"{path} names {sorted(found.keys() - given.keys())}; known are {sorted(given)}")
    return {**given, **found}


def table(
    rates: Rates,
    images: Iterable[float] = (1e6, 1e8, 1e9),
    *,
    prices: Mapping[str, float] = PRICES,
    assumptions: Mapping[str, float] = ASSUMPTIONS,
) -> pd.DataFrame:
    """A row for each number of images, mode and step.

    Modes: `batch`, all the images once, and every pair of them; `online`, a million new images against all of them,
    with the hashes held in memory for the month in which they come. Columns: images, mode, step, core_hours, hours
    (wall, on all the machines), memory_gb and sent_gb (over all machines), dollars.
    """
    machines, cores = assumptions["machines"], assumptions["cores"]
    rows: list[dict[str, float | str]] = []

    def add(
        n: float, mode: str, step: str, seconds: float, memory: float = 0, sent: float = 0, more: float = 0
    ) -> None:
        core_hours = seconds / assumptions["utilisation"] / HOUR
        dollars = core_hours * prices["core_hour"] + sent / 1e9 * prices["gb_sent"] + more
        hours = core_hours / (machines * cores)
        sizes = {"memory_gb": memory / 1e9, "sent_gb": sent / 1e9}
        rows.append(
            {
                "images": n,
                "mode": mode,
                "step": step,
                "core_hours": core_hours,
                "hours": hours,
                **sizes,
                "dollars": dollars,
            }
        )

    for n in images:
        held = n * rates.bytes_per_hash
        reads = prices["million_reads"] / MILLION
        # Machines as squares of the triangle of pairs: each needs the hashes of two sides of its square.
        spread = held * np.sqrt(2 * machines) if machines > 1 else 0.0
        results = n * n / 2 * rates.match_rate * assumptions["bytes_per_pair"] / 1e9 * prices["gb_stored_month"]
        resident = held / 1e9 * prices["gb_memory_hour"] * MONTH
        new_results = MILLION * n * rates.match_rate * assumptions["bytes_per_pair"] / 1e9 * prices["gb_stored_month"]
        add(n, "batch", "hash", n * rates.hash_seconds, more=n * reads + held / 1e9 * prices["gb_stored_month"])
        add(n, "batch", "match", n * (n - 1) / 2 / rates.join_pairs, spread, spread, results)
        add(n, "online", "hash", MILLION * rates.hash_seconds, more=MILLION * reads)
        add(
            n,
            "online",
            "match",
            MILLION * n / rates.search_pairs,
            held,
            MILLION * rates.bytes_per_hash * machines,
            new_results + resident,
        )
    return pd.DataFrame(rows)


def query_seconds(rates: Rates, images: float, cores: float = 1) -> float:
    """How long one new image waits for its matches among so many, on so many cores, once it is hashed."""
    return images / rates.search_pairs / cores


def reach(rates: Rates, seconds: float, cores: float = 1) -> float:
    """How many images an exact self-join can take in so many seconds on so many cores."""
    return float(np.sqrt(2 * seconds * cores * rates.join_pairs))


def ways(rates: Rates, images: Iterable[float], buckets: Callable[[float], float]) -> pd.DataFrame:
    """Core hours of hashing, of comparing every pair, and of `buckets`, a function of n: a row a size."""
    sizes = np.asarray(list(images), dtype=np.float64)
    hours = {
        "hashing": sizes * rates.hash_seconds / HOUR,
        "every pair": sizes**2 / 2 / rates.join_pairs / HOUR,
        "buckets": [buckets(n) for n in sizes],
    }
    return pd.DataFrame(hours, index=sizes)
