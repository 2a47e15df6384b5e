"""Clusterings that `finlib.clustering.clusters` is compared with, on the graph of all near pairs: exact, for small sets.

Single links chain: one wrong pair joins two families, and the number of wrong pairs grows with the square of the
number of images. Average linkage asks for the mean over all pairs of two clusters, which a stray pair cannot carry.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from finlib.clustering import clusters
from finlib.clustering.centres import group_rows, majority_bits
from finlib.clustering.clusters import renumber
from finlib.matching.pairs import (
    Packed,
    check_hashes,
    check_radius,
    distance_histogram,
    neighbours,
    pairs_within,
)

Labels = npt.NDArray[np.int64]

FEW = 4  # images a cluster must have for its majority of bits to mean something in `consensus`


def components(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """Connected components of the graph of pairs within the threshold: single linkage, cut there."""
    i, j, _ = pairs_within(packed, threshold, workers=workers)
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(len(packed), len(packed)))
    return renumber(connected_components(graph, directed=False)[1])


@njit(nogil=True, cache=True)
def _find(parent: Any, c: int) -> int:
    while parent[c] != c:
        parent[c] = parent[parent[c]]
        c = parent[c]
    return c


@njit(nogil=True, cache=True)
def _average_links(size: Any, i: Any, j: Any, weight: Any, floor: float) -> Any:
    """Agglomerate while the mean weight over all pairs of two clusters, 0 where no edge is, is at least `floor`.

    size int64[n], members of each point; edges i, j int64[m], weight int64[m] summed over the members' pairs. Returns
    the cluster int64[n] of each point, one of its points. The nearest-neighbour chain (Müllner, 2011): exact for
    average linkage, which is reducible, in any order of merging. Weights are integers so that the mean between two
    clusters is the same number seen from either side, without which the chain could go round in circles.
    """
    n, m = len(size), len(i)
    size, parent, done = size.copy(), np.arange(n), np.zeros(n, np.bool_)
    # Edges of a cluster are a linked list, so that merging is one link; duplicates are folded on the next visit. Those
    # of a point lie side by side, which makes the first visits, the most, run through memory in order.
    head, tail, after = np.full(n, -1), np.full(n, -1), np.full(2 * m, -1)
    target, total, place = (
        np.empty(2 * m, np.int64),
        np.empty(2 * m, np.int64),
        np.zeros(n + 1, np.int64),
    )
    for e in range(m):
        place[i[e] + 1] += 1
        place[j[e] + 1] += 1
    place = np.cumsum(place)
    for side in range(2):
        for e in range(m):
            a, b = (i[e], j[e]) if side else (j[e], i[e])
            target[place[a]], total[place[a]] = b, weight[e]
            if tail[a] < 0:
                head[a] = place[a]
            else:
                after[tail[a]] = place[a]
            tail[a] = place[a]
            place[a] += 1
    seen = np.full(n, -1)
    chain, length, visit = np.empty(n, np.int64), 0, 0
    for start in range(n):
        if parent[start] != start or done[start]:
            continue
        chain[0], length = start, 1
        while length:
            c, visit = chain[length - 1], visit + 1
            last, e = -1, head[c]
            while e >= 0:
                t = _find(parent, target[e])
                if t == c or seen[t] == visit:
                    if t != c:
                        total[place[t]] += total[e]
                    if last < 0:
                        head[c] = after[e]
                    else:
                        after[last] = after[e]
                else:
                    seen[t], place[t], target[e], last = visit, e, t, e
                e = after[e]
            tail[c] = last
            nearest, best = -1, floor
            before = chain[length - 2] if length > 1 else -1
            e = head[c]
            while e >= 0:
                t = target[e]
                mean = total[e] / (size[c] * size[t])
                if mean > best or (mean == best and (nearest < 0 or t == before)):
                    nearest, best = t, mean
                e = after[e]
            if nearest < 0:
                done[c] = True
                length -= 1
            elif nearest == before:
                length -= 2
                parent[nearest], size[c] = c, size[c] + size[nearest]
                if head[c] < 0:
                    head[c] = head[nearest]
                else:
                    after[tail[c]] = head[nearest]
                if head[nearest] >= 0:
                    tail[c] = tail[nearest]
                if not length:
                    chain[0], length = c, 1
            else:
                chain[length], length = nearest, length + 1
    for c in range(n):
        parent[c] = _find(parent, c)
    return parent


def average(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """Average linkage cut at the threshold, with every distance over the threshold counted as half the bits.

    That is about what it is between hashes with nothing in common, and lets the neighbour graph stand for all n² / 2
    distances: memory is that of the pairs within the threshold. A mean differs from the exact one by at most the
    share of its pairs over the threshold times their mean deviation from half the bits.
    """
    bits = 8 * packed.shape[1]
    points, point, size = np.unique(packed, axis=0, return_inverse=True, return_counts=True)
    i, j, distance = pairs_within(points, threshold, workers=workers)
    unrelated = max(bits // 2, threshold)
    weight = (unrelated - distance) * size[i] * size[j]
    return renumber(
        _average_links(size, i, j, weight, float(unrelated - threshold))[point.reshape(-1)]
    )


def consensus(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """Average linkage, then clusters compared by their consensus, in which the noise of single images averages out.

    Clusters of at least FEW are joined where average linkage at three quarters of the threshold joins their
    consensus hashes; smaller ones go to the nearest of those within the threshold. Repeated until nothing moves. A
    threshold on the low side then costs little, so that it can stay clear of the one at which families run together.
    """
    labels = average(packed, threshold, workers)
    while True:
        size = np.bincount(labels)
        large, small = np.flatnonzero(size >= FEW), np.flatnonzero(size < FEW)
        if not len(large):
            return labels
        middle, joined = majority_bits(packed, *group_rows(labels)), np.arange(len(size))
        group = average(middle[large], 3 * threshold // 4, workers)
        joined[large] = large[np.unique(group, return_index=True)[1]][group]
        found = neighbours(middle[small], middle[large], k=1, radius=threshold, workers=workers)
        joined[small[np.diff(found.indptr) > 0]] = joined[large[found.indices]]
        if np.array_equal(joined, np.arange(len(size))):
            return labels
        labels = renumber(joined[labels])


def hdbscan(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """scikit-learn's HDBSCAN on the graph of pairs within the threshold; an image that it calls noise stays alone.

    It wants a connected graph, so components are strung together by edges as long as a hash has bits. It never calls
    the whole a cluster, so three points of no image are strung to them too. A cluster has at least three images.
    """
    from sklearn.cluster import HDBSCAN

    n, bits = len(packed), 8 * packed.shape[1]
    i, j, distance = pairs_within(packed, threshold, workers=workers)
    found = connected_components(
        coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False
    )[1]
    string = np.append(np.unique(found, return_index=True)[1], n)
    i, j = (
        np.concatenate([i, string[:-1], [n, n + 1]]),
        np.concatenate([j, string[1:], [n + 1, n + 2]]),
    )
    # A stored zero is no edge to SciPy's spanning tree: copies are a hair apart.
    length = np.maximum(np.concatenate([distance, np.full(len(string) - 1, bits), [0, 0]]), 1e-3)
    ends = np.concatenate([i, j]), np.concatenate([j, i])
    model = HDBSCAN(min_cluster_size=3, min_samples=1, metric="precomputed", copy=True)
    labels = (
        model.fit(csr_array((np.tile(length, 2), ends), shape=(n + 3, n + 3)))
        .labels_[:n]
        .astype(np.int64)
    )
    return renumber(np.where(labels < 0, n + np.arange(n), labels))


CLUSTERERS: dict[str, Callable[..., Labels]] = {
    "consensus": consensus,
    "average": average,
    "components": components,
    "hdbscan": hdbscan,
}


def cluster(
    packed: Packed, method: str, threshold: int | None = None, *, workers: int | None = None
) -> Labels:
    """Cluster numbers int64[n], by first appearance, by one of CLUSTERERS, by default at three eighths of the hash.

    Raises ValueError for an unknown method or a threshold that gives too many pairs to hold.
    """
    if method not in CLUSTERERS:
        raise ValueError(f"method must be one of {', '.join(CLUSTERERS)}; got {method!r}")
    if threshold is None:
        threshold = 3 * check_hashes(packed).shape[1]
    radius = check_radius(threshold, 8 * check_hashes(packed).shape[1])
    return CLUSTERERS[method](packed, radius, workers) if len(packed) else np.zeros(0, np.int64)


def uncut(packed: Packed) -> Labels:
    """The clustering in use without cutting clusters that hold two families: what that step is worth."""
    with patch.object(clusters, "split_groups", lambda packed, order, start, apart: start):
        return clusters.cluster(packed).labels


def compare(sets: dict[str, tuple[Packed, Any]]) -> pd.DataFrame:
    """Scores and seconds of the clustering in use and of those it is compared with, each at its default.

    sets: hashes and families by the set's name. Columns: set, method, n, seconds and those of `felt`.
    """
    ways: dict[str, Callable[[Packed], Labels]] = {
        "finlib": lambda packed: clusters.cluster(packed).labels
    }
    ways |= {"finlib, uncut": uncut} | {name: partial(cluster, method=name) for name in CLUSTERERS}
    rows = []
    for name, (packed, family) in sets.items():
        for method, way in ways.items():
            start = perf_counter()
            labels = way(packed)
            row = {
                "set": name,
                "method": method,
                "n": len(packed),
                "seconds": perf_counter() - start,
            }
            rows.append(row | felt(family, labels))
    return pd.DataFrame(rows)


def largest(labels: Labels, packed: Packed, families: Any) -> dict[str, float]:
    """The largest cluster's size, its purity (the share of its commonest family) and its diameter in bits."""
    members = labels == np.bincount(labels).argmax()
    counts = np.unique(np.asarray(families)[members], return_counts=True)[1]
    diameter = np.flatnonzero(distance_histogram(packed[members])).max(initial=0)
    return {
        "size": int(members.sum()),
        "purity": counts.max() / counts.sum(),
        "diameter": int(diameter),
    }


def chain(packed: Packed, start: int, end: int, threshold: int) -> list[int]:
    """The images of a shortest way from one to another by steps within the threshold; empty where there is none."""
    i, j, _ = pairs_within(packed, threshold)
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(len(packed), len(packed))).tocsr()
    before = breadth_first_order(graph, start, directed=False)[1]
    path = [end]
    while path[-1] != start and before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1] if path[-1] == start else []


def felt(truth: Any, found: Any) -> dict[str, float]:
    """What users of a clustering feel: B-cubed precision and recall, lone images left alone, families found whole; ARI.

    alone: the share of images without a relative that are a cluster of their own; whole: of the families of two or
    more that are a cluster, no image missing and none too many. NaN where there are no such images or families.
    """
    table = contingency_matrix(truth, found, sparse=True).tocoo()
    family, cluster, both = (
        np.asarray(table.sum(1)).ravel(),
        np.asarray(table.sum(0)).ravel(),
        table.data,
    )
    mine, its = family[table.row], cluster[table.col]
    exact, n = (both == mine) & (both == its), both.sum()
    return {
        "precision": float((both / its) @ both / n),
        "recall": float((both / mine) @ both / n),
        "alone": float(exact[mine == 1].mean()) if (mine == 1).any() else float("nan"),
        "whole": float(exact[mine > 1].sum() / (family > 1).sum())
        if (family > 1).any()
        else float("nan"),
        "ari": float(adjusted_rand_score(truth, found)),
    }
