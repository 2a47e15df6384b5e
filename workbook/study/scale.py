"""Measure how millions of hashes are clustered: time, memory and quality, and ways to find pairs.

This takes too long for a notebook: `python -m workbook scale` measures and records it. The kernels
are compiled before a time is taken. Memory is the peak beyond what the process used when the hashes
had been drawn.
"""

from dataclasses import asdict
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

from finlib.clustering.clusters import cluster, extend
from finlib.matching import near, sampling
from finlib.matching.hamming import Hamming
from finlib.matching.packed import Packed, to_words
from finlib.matching.pairs import iter_pairs, pairs_within
from workbook.study import clusterings, faiss_indexes, timing, web_like
from workbook.study.near_pairs import near_pairs

BITS = 256  # of the hashes
SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
INDEXES = ("FAISS flat", "FAISS multi-hash", "FAISS IVF", "FAISS HNSW")


def measured(n: int, seed: int = 2026) -> dict[str, Any]:
    """Cluster n web-like hashes in this process, and measure what that takes.

    Returns n, seconds (wall-clock), cpu_s (of all cores), mib (peak memory), clusters (their
    number), link and reach (the radii in bits within which images were last united, and brought to
    a centre), mean and deviation (of the null model), and the scores.
    """
    small_set, _ = web_like.draw(30_000, seed=1)
    cluster(small_set)  # compiles the kernels
    packed, family = web_like.draw(n, seed=seed)
    timing.reset_high_water()
    memory_before = timing.high_water()
    start = perf_counter()
    cpu_start = process_time()
    clusters = cluster(packed)
    seconds = perf_counter() - start
    cpu_seconds = process_time() - cpu_start
    memory = timing.high_water() - memory_before
    scores = clusterings.score_clusters(family, clusters.labels)
    return {
        "n": n,
        "seconds": seconds,
        "cpu_s": cpu_seconds,
        "mib": memory,
        "clusters": len(clusters.size),
        "link": clusters.link_radius,
        "reach": clusters.centre_radius,
        **asdict(clusters.null_model),
        **scores,
    }


def otherwise(n: int) -> pd.DataFrame:
    """Score clusters of n hashes that are drawn in each of the other ways (`web_like.WAYS`).

    Columns way, n, and the scores.
    """
    rows = []
    for way in web_like.WAYS:
        packed, family = web_like.draw_otherwise(n, way)
        labels = cluster(packed).labels
        scores = clusterings.score_clusters(family, labels)
        rows.append({"way": way, "n": n, **scores})
    return pd.DataFrame(rows)


def recall(n: int, radius: int = 70, wanted: float = 0.95, seed: int = 2026) -> pd.DataFrame:
    """Compare the share of near pairs that bit sampling finds with the share that is predicted.

    wanted: the share to be found of the pairs that are exactly `radius` bits apart.

    Columns n, distance, pairs (their number at that distance), found and predicted (shares),
    exact_s and sampled_s (the seconds that listing all pairs takes, exactly and by bit sampling).
    """
    packed, _ = web_like.draw(n, size=54, seed=seed)
    start = perf_counter()
    exact = pairs_within(packed, radius)
    exact_s = perf_counter() - start
    start = perf_counter()
    sampled = near_pairs(packed, radius, recall=wanted)
    sampled_s = perf_counter() - start
    exact_codes = exact.i * n + exact.j
    sampled_codes = sampled.i * n + sampled.j
    is_found = np.isin(exact_codes, sampled_codes)
    rows = []
    for distance in range(10, radius + 1, 10):
        is_at_distance = exact.distance == distance
        row = {
            "n": n,
            "distance": distance,
            "pairs": is_at_distance.sum(),
            "found": is_found[is_at_distance].mean(),
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    search = sampling.BitSampling(to_words(packed), n, radius, Hamming(BITS // 8))
    passes = search.passes(wanted, lambda number: float(search.recall(radius, number)[0]))
    expected = search.recall(table["distance"], passes)
    return table.assign(predicted=expected, exact_s=exact_s, sampled_s=sampled_s)


def joins(n: int, radius: int, queries: int = 50, seed: int = 2026) -> pd.DataFrame:
    """Time ways to find the pairs within a radius among n hashes, on one core.

    The ways are bit sampling, the comparison of all pairs, and FAISS's indexes. All pairs are
    compared for a quarter of the hashes, which is a sixteenth of the work. An index answers some
    queries one by one, and every hash is taken to need as long as the median query.

    Columns way, recall, seconds, n and radius.
    """
    packed, _ = web_like.draw(n, size=54, seed=seed)
    rows = []
    for wanted in (0.95, 0.99):
        name = f"bit sampling, {wanted:.0%} at the radius"
        seconds = _time_bit_sampling(packed, radius, wanted)
        rows.append({"way": name, "recall": wanted, "seconds": seconds})
    seconds = 16 * _time_all_pairs(packed[: n // 4], radius)
    rows.append({"way": "exact engine", "recall": 1.0, "seconds": seconds})
    query_hashes = packed[:: n // queries][:queries]
    with timing.one_thread():
        indexes = faiss_indexes.compare(packed, query_hashes, radius, INDEXES)
    for _, index in indexes.iterrows():
        query_seconds = index["p50_ms"] / 1e3
        seconds = index["build_s"] + n * query_seconds
        rows.append({"way": index["index"], "recall": index["recall"], "seconds": seconds})
    return pd.DataFrame(rows).assign(n=n, radius=radius)


def _time_bit_sampling(packed: Packed, radius: int, recall: float) -> float:
    """Seconds that one core takes to unite the near pairs by bit sampling."""
    start = perf_counter()
    near.unite_near(
        packed,
        radius,
        recall=recall,
        resources=near.Resources(1),
    )
    return perf_counter() - start


def _time_all_pairs(packed: Packed, radius: int) -> float:
    """Seconds that one core takes to find all pairs, without storing them."""
    start = perf_counter()
    for _ in iter_pairs(packed, None, radius, workers=1):
        pass
    return perf_counter() - start


def daily(n: int, portions: int = 10, seed: int = 2026) -> pd.DataFrame:
    """Cluster n web-like hashes in portions, as they come day by day, and all at once.

    Columns images (already clustered when the portion came; n in the last two rows), seconds, the
    scores of the final clusters, and way: "portion" or "all at once".
    """
    packed, family = web_like.draw(n, seed=seed)
    size = n // portions
    rows = []
    start = perf_counter()
    clusters = cluster(packed[:size])
    for low in range(size, n, size):
        rows.append({"images": low, "seconds": perf_counter() - start})
        start = perf_counter()
        clusters = extend(clusters, packed[low : low + size])
    seconds = perf_counter() - start
    scores = clusterings.score_clusters(family, clusters.labels)
    rows.append({"images": n, "seconds": seconds, **scores})
    start = perf_counter()
    at_once = cluster(packed)
    seconds = perf_counter() - start
    scores = clusterings.score_clusters(family, at_once.labels)
    rows.append({"images": n, "seconds": seconds, **scores})
    return pd.DataFrame(rows).assign(way=["portion"] * portions + ["all at once"])
