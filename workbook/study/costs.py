"""What hashing and matching a number of images takes and costs, from measured rates and stated prices.

PRICES and ASSUMPTIONS are there to be edited, or read from a table of one's own with `from_csv`. They are round
figures of the kind that public clouds list for machines on demand, without discounts; nobody's offer.
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
from finlib.matching.pairs import index_hashes, neighbours
from workbook.study import workers
from workbook.study.nonmatching import choose_thresholds

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
    """What a run measured, for one core but where it says otherwise."""

    hash_seconds: float  # for an image, from its file to its hash
    join_pairs: float  # unordered pairs a second in a self-join
    search_pairs: float  # pairs a second of new hashes and stored ones
    match_rate: float  # share of all pairs within the radius
    bytes_per_hash: float = 32
    memory_pairs: float = float(
        "inf"
    )  # pairs a second of all cores together, reading hashes from memory


def from_csv(path: str | Path, given: Mapping[str, float]) -> dict[str, float]:
    """PRICES or ASSUMPTIONS with the values of a table of columns `name` and `value`; ValueError for unknown names."""
    table = pd.read_csv(path)
    if not {"name", "value"} <= set(table):
        raise ValueError(
            f"{path} must have columns name and value; it has {', '.join(map(str, table))}"
        )
    found = {
        str(name): float(value) for name, value in zip(table["name"], table["value"], strict=True)
    }
    if not found.keys() <= given.keys():
        raise ValueError(
            f"{path} names {sorted(found.keys() - given.keys())}; known are {sorted(given)}"
        )
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
        n: float,
        mode: str,
        step: str,
        seconds: float,
        memory: float = 0,
        sent: float = 0,
        more: float = 0,
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
        results = (
            n
            * n
            / 2
            * rates.match_rate
            * assumptions["bytes_per_pair"]
            / 1e9
            * prices["gb_stored_month"]
        )
        resident = held / 1e9 * prices["gb_memory_hour"] * MONTH
        new_results = (
            MILLION
            * n
            * rates.match_rate
            * assumptions["bytes_per_pair"]
            / 1e9
            * prices["gb_stored_month"]
        )
        add(
            n,
            "batch",
            "hash",
            n * rates.hash_seconds,
            more=n * reads + held / 1e9 * prices["gb_stored_month"],
        )
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
    """How long one new image waits for its matches among so many, on so many cores of a machine, once it is hashed.

    Cores add up until they read hashes as fast as memory brings them (`Rates.memory_pairs`).
    """
    return images / min(rates.search_pairs * cores, rates.memory_pairs)


def memory_pairs(n: int, cores: int, *, seed: int = 2026) -> float:
    """Pairs a second of one query a core, each reading all of n random hashes of 256 bits; best of three.

    What memory lets all these cores do together, where 32 * n bytes are more than the caches hold.
    """
    rng = np.random.default_rng(seed)
    held = index_hashes(rng.integers(0, 256, (n, 32), np.uint8))
    queries = rng.integers(0, 256, (cores, 1, 32), np.uint8)
    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(4):  # the first one warms up
            start = perf_counter()
            list(
                pool.map(lambda query: neighbours(query, held, k=10, radius=86, workers=1), queries)
            )
            seconds.append(perf_counter() - start)
    return n * cores / min(seconds[1:])


def ways(
    rates: Rates,
    law: NullModel,
    same: npt.NDArray[np.int64],
    bucket_seconds: float,
    images: Iterable[float],
    *,
    precision: float = 0.9,
    recall: float = 0.95,
    relatives: float = 10,
) -> pd.DataFrame:
    """What pairs of that precision take by comparing all, and by buckets that find `recall` of them: a row a size.

    law: of unrelated images' distances; same: int[bits + 1], how many pairs of a family are so far apart;
    bucket_seconds: a pass's time for one hash; relatives: true matches of an image. Columns images, threshold (the
    largest that keeps the precision), false_pairs (to expect) and found (the share of true ones within it), all nan
    where none keeps it, as are buckets then; core hours of hashing, every pair and buckets; memory_gb (of buckets).
    """
    sizes, bits = np.asarray(list(images), dtype=np.float64), np.arange(len(same))
    told = {"strangers": law.within(bits), "found": np.cumsum(same) / max(1, same.sum())}
    evidence = pd.DataFrame({"hasher": "", "distance": bits, **told})
    table = choose_thresholds(
        evidence, sizes.tolist(), [precision], matches_per_image=relatives
    ).drop(columns=["hasher", "precision"])
    plans = [
        workers.bucket_join(n, int(radius), bucket_seconds, 1, recall=recall, bits=len(same) - 1)
        if radius > 0
        else None
        for n, radius in zip(sizes, table["threshold"], strict=True)
    ]
    return table.assign(
        **{
            "hashing": sizes * rates.hash_seconds / HOUR,
            "every pair": sizes**2 / 2 / rates.join_pairs / HOUR,
            "buckets": [plan.core_hours if plan else np.nan for plan in plans],
            "memory_gb": [plan.bytes_a_machine / 1e9 if plan else np.nan for plan in plans],
        }
    )
