"""Measure the clustering of millions: time, memory, quality, daily portions, recall, ways to join.

This takes too long for a notebook: `python -m workbook scale` measures and records it. Times are of
processes in which kernels are compiled; memory is the peak beyond what the process had when the
hashes were drawn.
"""

from dataclasses import asdict
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

from finlib.clustering.clusters import cluster, extend
from finlib.matching import near, sampling
from finlib.matching.packed import Packed, to_words
from finlib.matching.pairs import iter_pairs, pairs_within
from workbook.study import clusterings, faiss_indexes, timing, web_like
from workbook.study.near_pairs import near_pairs

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
INDEXES = ("FAISS flat", "FAISS multi-hash", "FAISS IVF", "FAISS HNSW")


def measured(n: int, seed: int = 2026) -> dict[str, Any]:
    """Cluster n web-like hashes in this process and measure that.

    Returns n, seconds (wall-clock), cpu_s (of all cores), mib (peak memory), clusters, link and
    reach (the last radii, in bits), the null model, and the scores.
    """
    cluster(web_like.draw(30_000, seed=1)[0])  # compiles the kernels
    packed, family = web_like.draw(n, seed=seed)
    timing.reset_high_water()
    memory_before = timing.high_water()
    start = perf_counter()
    cpu_start = process_time()
    clusters = cluster(packed)
    row = {
        "n": n,
        "seconds": perf_counter() - start,
        "cpu_s": process_time() - cpu_start,
        "mib": timing.high_water() - memory_before,
        "clusters": len(clusters.size),
        "link": clusters.link_radius,
        "reach": clusters.centre_radius,
    }
    row |= asdict(clusters.null_model)
    return row | clusterings.score_clusters(family, clusters.labels)


def otherwise(n: int) -> pd.DataFrame:
    """Score clusters of n hashes that are drawn in each of the other ways (`web_like.WAYS`)."""
    rows = []
    for way in web_like.WAYS:
        packed, family = web_like.draw_otherwise(n, way)
        scores = clusterings.score_clusters(family, cluster(packed).labels)
        rows.append({"way": way, "n": n, **scores})
    return pd.DataFrame(rows)


def recall(n: int, radius: int = 70, wanted: float = 0.95, seed: int = 2026) -> pd.DataFrame:
    """Compare the share of near pairs that bit sampling finds with the share that is predicted.

    Columns n, distance, pairs, found and predicted (shares), exact_s and
    sampled_s (the seconds that listing all pairs takes, exactly and by bit sampling).
    """
    packed, _ = web_like.draw(n, size=54, seed=seed)
    start = perf_counter()
    exact = pairs_within(packed, radius)
    exact_s = perf_counter() - start
    start = perf_counter()
    sampled = near_pairs(packed, radius, recall=wanted)
    sampled_s = perf_counter() - start
    is_found = np.isin(exact.i * n + exact.j, sampled.i * n + sampled.j)
    rows = []
    for distance in range(10, radius + 1, 10):
        at_distance = exact.distance == distance
        share = is_found[at_distance].mean()
        rows.append({"n": n, "distance": distance, "pairs": at_distance.sum(), "found": share})
    table = pd.DataFrame(rows)
    search = sampling.BitSampling(to_words(packed), n, 256, radius)
    passes = search.passes(wanted, radius)
    expected = search.recall(table["distance"], passes)
    return table.assign(predicted=expected, exact_s=exact_s, sampled_s=sampled_s)


def joins(n: int, radius: int, queries: int = 50, seed: int = 2026) -> pd.DataFrame:
    """Time ways to find the near ones of n hashes on one core: passes, all pairs, FAISS's indexes.

    Columns way, recall, seconds, n and radius. Indexes answer some queries one by one, and the
    whole join is taken to need as long for every hash. All pairs are compared for a quarter of the
    hashes, which is a sixteenth of the work.
    """
    packed, _ = web_like.draw(n, size=54, seed=seed)
    rows = []
    for wanted in (0.95, 0.99):
        name = f"bit sampling, {wanted:.0%} at the radius"
        start = perf_counter()
        near.unite_near(
            packed,
            radius,
            recall=wanted,
            resources=near.Resources(1),
        )
        rows.append({"way": name, "recall": wanted, "seconds": perf_counter() - start})
    seconds = 16 * _time_all_pairs(packed[: n // 4], radius)
    rows.append({"way": "exact engine", "recall": 1.0, "seconds": seconds})
    asked = packed[:: n // queries][:queries]
    with timing.one_thread():
        indexes = faiss_indexes.compare(packed, asked, radius, INDEXES)
    for _, index in indexes.iterrows():
        seconds = index["build_s"] + n * index["p50_ms"] / 1e3
        rows.append({"way": index["index"], "recall": index["recall"], "seconds": seconds})
    return pd.DataFrame(rows).assign(n=n, radius=radius)


def _time_all_pairs(packed: Packed, radius: int) -> float:
    """Seconds that one core takes to find all pairs, without storing them."""
    start = perf_counter()
    for _ in iter_pairs(packed, None, radius, workers=1):
        pass
    return perf_counter() - start


def daily(n: int, portions: int = 10, seed: int = 2026) -> pd.DataFrame:
    """Bring n web-like hashes into clusters in portions, and compare with clustering all at once.

    Columns images (clustered before the portion; n for the last), seconds, the scores of the final
    clusters, and way: "portion" or "all at once".
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
