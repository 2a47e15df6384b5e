"""Clustering of millions, measured: time, memory, quality, daily portions, recall, ways to join.

Too long for a notebook's run: `python -m workbook.report.scale` writes what is measured here. Times are of processes in
which kernels are compiled; memory is their peak over what they held with the hashes drawn.
"""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

from finlib.clustering.clusters import cluster, extend
from finlib.matching import near, sampling
from finlib.matching.pairs import iter_pairs, pairs_within, to_words
from workbook.study import clusterings, faiss_indexes, timing, web_like
from workbook.study.near_pairs import near_pairs

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)


def measured(n: int, seed: int = 2026) -> dict[str, Any]:
    """One clustering of n web-like hashes in this process: seconds, of all cores too, peak MiB, scores, radii."""
    cluster(web_like.draw(30_000, seed=1)[0])  # kernels compiled
    packed, family = web_like.draw(n, seed=seed)
    Path("/proc/self/clear_refs").write_text("5")
    before, start, used = timing._high_water(), perf_counter(), process_time()
    found = cluster(packed)
    seconds, cpu_s, peak = (
        perf_counter() - start,
        process_time() - used,
        timing._high_water() - before,
    )
    row = {
        "n": n,
        "seconds": seconds,
        "cpu_s": cpu_s,
        "mib": peak,
        "clusters": len(found.size),
        "link": found.link,
        "reach": found.reach,
    }
    return {**row, **asdict(found.null_model), **clusterings.felt(family, found.labels)}


def otherwise(n: int) -> pd.DataFrame:
    """Scores of clusters of n hashes that are drawn in other ways, thought of after every constant had been fixed."""
    rows = []
    for way in web_like.WAYS:
        packed, family = web_like.draw_otherwise(n, way)
        rows.append({"way": way, "n": n, **clusterings.felt(family, cluster(packed).labels)})
    return pd.DataFrame(rows)


def recall(n: int, radius: int = 70, wanted: float = 0.95, seed: int = 2026) -> pd.DataFrame:
    """Near pairs foretold and found, at each distance: columns n, distance, pairs, foretold, found; seconds of both."""
    packed = web_like.draw(n, size=54, seed=seed)[0]
    start = perf_counter()
    i, j, distance = pairs_within(packed, radius)
    exact = perf_counter() - start
    start = perf_counter()
    a, b, _ = near_pairs(packed, radius, recall=wanted)
    sampled = perf_counter() - start
    search = sampling.BitSampling(to_words(packed), n, 256, radius)
    hit = np.isin(i * n + j, a * n + b)
    rows = [
        (n, d, int((distance == d).sum()), hit[distance == d].mean())
        for d in range(10, radius + 1, 10)
    ]
    table = pd.DataFrame(rows, columns=["n", "distance", "pairs", "found"])
    foretold = search.recall(table["distance"], search.passes(wanted, radius))
    return table.assign(foretold=foretold, exact_s=exact, sampled_s=sampled)


def joins(n: int, radius: int, queries: int = 50, seed: int = 2026) -> pd.DataFrame:
    """What finding the near ones of n hashes takes: the passes, the exact engine and FAISS's indexes, on one core.

    Indexes answer some queries one by one, and the whole join is taken to need as long for every hash.
    """
    packed = web_like.draw(n, size=54, seed=seed)[0]
    rows = []
    for wanted in (0.95, 0.99):
        start = perf_counter()
        near.unite_near(packed, radius, recall=wanted, resources=near.Resources(1))
        rows.append((f"bit sampling, {wanted:.0%} at the radius", wanted, perf_counter() - start))
    start = perf_counter()
    for _ in iter_pairs(packed[: n // 4], None, radius, workers=1):
        pass
    rows.append(("exact engine", 1.0, 16 * (perf_counter() - start)))
    with timing.one_thread():
        names = ("FAISS flat", "FAISS multi-hash", "FAISS IVF", "FAISS HNSW")
        found = faiss_indexes.compare(packed, packed[:: n // queries][:queries], radius, names)
    rows += [
        (r["index"], r["recall"], r["build_s"] + n * r["p50_ms"] / 1e3) for _, r in found.iterrows()
    ]
    return pd.DataFrame(rows, columns=["way", "recall", "seconds"]).assign(n=n, radius=radius)


def daily(n: int, portions: int = 10, seed: int = 2026) -> pd.DataFrame:
    """n web-like hashes in portions, each taken into what there is, beside all at once."""
    packed, family = web_like.draw(n, seed=seed)
    rows, size = [], n // portions
    start = perf_counter()
    grown = cluster(packed[:size])
    for low in range(size, n, size):
        rows.append({"images": low, "seconds": perf_counter() - start})
        start = perf_counter()
        grown = extend(grown, packed[low : low + size])
    rows.append(
        {"images": n, "seconds": perf_counter() - start, **clusterings.felt(family, grown.labels)}
    )
    start = perf_counter()
    found = cluster(packed)
    rows.append(
        {"images": n, "seconds": perf_counter() - start, **clusterings.felt(family, found.labels)}
    )
    return pd.DataFrame(rows).assign(way=["portion"] * portions + ["all at once"])
