"""Measure how millions of hashes are clustered: time, memory and quality, and ways to find pairs.

This takes too long for a notebook: `python -m workbook scale` measures and records it. The kernels
are compiled before a time is taken. Memory is the peak beyond what the process used when the hashes
had been drawn.
"""

from dataclasses import asdict
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from finlib.clustering.clusters import cluster, extend
from finlib.matching import near, sampling
from finlib.matching.distances import get_distance
from finlib.matching.forest import NONE, Forest
from finlib.matching.hamming import Hamming
from finlib.matching.nearest import nearest_hashes
from finlib.matching.packed import Packed, to_words
from finlib.matching.pairs import Pairs, iter_pairs, pairs_within
from finlib.matching.rows import ROW_BITS, is_flat
from workbook.study import captioned_web, clusterings, faiss_indexes, timing, web_like
from workbook.study.near_pairs import near_pairs

BITS = 256  # of the hashes
RECALL_QUERIES = 2000  # hashes whose pairs are looked for by rows
BAND = 15  # bits; pairs are counted together whose distances lie in one band
SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
ROW_SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 100_000_000)
INDEXES = ("FAISS flat", "FAISS multi-hash", "FAISS IVF", "FAISS HNSW")


def measured(n: int, seed: int = 2026) -> dict[str, Any]:
    """Cluster n web-like hashes in this process, and measure what that takes.

    Returns n, seconds (wall-clock), cpu_s (of all cores), mib (peak memory), clusters (their
    number), link and reach (the radii within which images were last united, and brought to a
    centre), radius (none is farther from its centre), mean, deviation and limit (of the null
    model), and the scores.
    """
    small_set, _ = web_like.draw(30_000, seed=1)
    cluster(small_set)  # compiles the kernels
    return _measure_clustering(*web_like.draw(n, seed=seed), "hamming")


def measured_by_rows(n: int, pictures: captioned_web.Measured, seed: int = 2026) -> dict[str, Any]:
    """Cluster n dHashes of captioned pictures by rows in this process, as `measured` does.

    pictures: what the hashes are drawn after.
    """
    small_set, _ = captioned_web.draw(30_000, pictures, seed=1)
    cluster(small_set, distance="rows")  # compiles the kernels
    return _measure_clustering(*captioned_web.draw(n, pictures, seed=seed), "rows")


def _measure_clustering(packed: Packed, family: Any, distance: str) -> dict[str, Any]:
    n = len(packed)
    timing.reset_high_water()
    memory_before = timing.high_water()
    start = perf_counter()
    cpu_start = process_time()
    clusters = cluster(packed, distance=distance)
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
        "radius": clusters.radius,
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


def recall_by_rows(
    n: int, pictures: captioned_web.Measured, radius: int = 30, seed: int = 2026
) -> pd.DataFrame:
    """Compare the share of near pairs that row sampling finds with the share that is predicted.

    The pairs are those of 2,000 hashes with the nearest other hash, at most `radius` apart by rows:
    one for each image, so that large families do not outvote the others.

    Columns n, distance, passes, pairs (their number at that distance), found and predicted
    (shares).
    """
    packed, _ = captioned_web.draw(n, pictures, seed=seed)
    pairs = _nearest_pairs(packed, radius, "rows")
    differing = _differing_bits(packed, pairs)
    distance = get_distance("rows", packed.shape[1])
    search = sampling.RowSampling(to_words(packed), n, radius, distance, seed)
    tables = []
    for passes in (1, 2, 4, 8, 16):
        met = _meet_in_a_pass(search, range(passes), pairs)
        by_pair = pd.DataFrame(
            {
                "distance": pairs.distance,
                "found": met,
                "predicted": search.recall(differing, passes),
            }
        )
        grouped = by_pair.groupby("distance")
        table = grouped.mean().assign(pairs=grouped.size(), passes=passes, n=n)
        tables.append(table.reset_index())
    return pd.concat(tables, ignore_index=True)


def keys_by_bits(
    n: int, pictures: captioned_web.Measured, radius: int = 75, seed: int = 2026
) -> pd.DataFrame:
    """Compare row keys with bits drawn anywhere where dHashes are compared by all of their bits.

    The pairs are those of 2,000 hashes with the nearest other hash, at most `radius` bits apart.
    Each number of passes is also run, on one core, to unite all pairs that it finds.

    Columns n, keys, passes, distance (of pairs in a band of 15 bits, the largest), pairs (their
    number), found and predicted (shares), and cpu_s (of those passes, the same in each band).
    """
    packed, _ = captioned_web.draw(n, pictures, seed=seed)
    pairs = _nearest_pairs(packed, radius, "hamming")
    words = to_words(packed)
    distance = Hamming(BITS // 8)
    anywhere = sampling.BitSampling(words, n, radius, distance, seed)
    of_rows = sampling.RowSampling(words, n, radius, distance, seed)
    differing = _differing_bits(packed, pairs)
    tables = []
    for passes in (1, 2, 4, 8, 16, 32):
        predicted = anywhere.recall(pairs.distance, passes)
        table = _recall_of_passes(anywhere, pairs, passes, predicted)
        tables.append(table.assign(keys="bits anywhere", n=n))
        predicted = of_rows.recall(differing, passes)
        table = _recall_of_passes(of_rows, pairs, passes, predicted)
        tables.append(table.assign(keys="bits of a row", n=n))
    return pd.concat(tables, ignore_index=True)


def _recall_of_passes(
    search: sampling.Sampling, pairs: Pairs, passes: int, predicted: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """The shares of pairs that passes find and should find, by distance, and the passes' time."""
    start = process_time()
    search.run(range(passes), Forest(len(search.words)))
    seconds = process_time() - start
    by_pair = pd.DataFrame(
        {
            "distance": np.ceil(pairs.distance / BAND).astype(np.int64) * BAND,
            "found": _meet_in_a_pass(search, range(passes), pairs),
            "predicted": predicted,
        }
    )
    grouped = by_pair.groupby("distance")
    table = grouped.mean().assign(pairs=grouped.size(), passes=passes, cpu_s=seconds)
    return table.reset_index()


def _nearest_pairs(packed: Packed, radius: int, distance: str) -> Pairs:
    """The pairs of the first hashes with the nearest other one, where it is within the radius."""
    query = np.arange(RECALL_QUERIES)
    nearest = nearest_hashes(packed[query], packed, own=query, radius=radius, distance=distance)
    has_one = nearest.row != NONE
    return Pairs(query[has_one], nearest.row[has_one], nearest.distance[has_one])


def _differing_bits(packed: Packed, pairs: Pairs) -> npt.NDArray[np.int64]:
    """In how many bits of each row the dHashes of pairs differ, int64[pairs, rows].

    A flat row is no key, and counts as if all of its bits differed.
    """
    rows = packed.view(np.uint16)
    one = rows[pairs.i]
    other = rows[pairs.j]
    differing = np.bitwise_count(one ^ other).astype(np.int64)
    return np.where(is_flat(one) | is_flat(other), ROW_BITS, differing)


def _meet_in_a_pass(
    search: sampling.Sampling, numbers: range, pairs: Pairs
) -> npt.NDArray[np.bool_]:
    """Which pairs are compared in some pass, bool[pairs]: both are rows of the same job."""
    met = np.zeros(len(pairs.i), np.bool_)
    for number in numbers:
        buckets = search.buckets(number)
        place = np.full(len(search.words), -1)
        place[buckets.order] = np.arange(len(buckets.order))
        jobs = buckets.jobs[buckets.jobs[:, 0] == buckets.jobs[:, 2]]
        jobs = jobs[np.argsort(jobs[:, 0], kind="stable")]
        for one, other in ((pairs.i, pairs.j), (pairs.j, pairs.i)):
            # A job starts at or before both rows; the last such job may be that of a seam.
            for back in range(3):
                job = np.searchsorted(jobs[:, 0], place[one], side="right") - 1 - back
                inside = np.maximum(job, 0)
                is_inside = (jobs[inside, 0] <= place[other]) & (place[other] < jobs[inside, 1])
                is_inside &= (place[one] < jobs[inside, 1]) & (job >= 0)
                met |= is_inside & (place[one] >= 0) & (place[other] >= 0)
    return met


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
