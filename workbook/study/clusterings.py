"""Other clusterings to compare `finlib.cluster` with. They are exact, on the graph of near pairs.

Single linkage forms chains: one wrong pair joins two families, and the number of wrong pairs grows
with the square of the number of images. Average linkage takes the mean distance over all pairs of
two clusters, which a single wrong pair hardly changes.
"""

from collections.abc import Callable, Collection
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from finlib.clustering import clusters
from finlib.clustering.centres import Groups, group_rows, majority_bits
from finlib.clustering.clusterer import Clusterer
from finlib.clustering.clusters import renumber
from finlib.clustering.null_model import fit_null_model
from finlib.clustering.radii import Settings
from finlib.matching.distances import DISTANCES
from finlib.matching.packed import Packed, check_hashes, check_radius
from finlib.matching.pairs import neighbours, pairs_within
from workbook.study import faiss_indexes, timing

Labels = npt.NDArray[np.int64]

FEW = 4  # images that a cluster must have for `consensus` to compare it by its majority of bits


def components(
    packed: Packed, threshold: int, workers: int | None = None, distance: str = "hamming"
) -> Labels:
    """Cluster by single linkage: the connected components of the pairs within the threshold."""
    i, j, _ = pairs_within(packed, threshold, distance=distance, workers=workers)
    return renumber(_components(i, j, len(packed)))


def _components(i: Labels, j: Labels, n: int) -> Labels:
    """The number of each point's connected component."""
    edges = np.ones(len(i), np.int8)
    graph = coo_array((edges, (i, j)), shape=(n, n))
    _, numbers = connected_components(graph, directed=False)
    return numbers


class Edges(NamedTuple):
    """Weighted edges between clusters, in a linked list for each, so that merging is one link.

    Of each cluster, int64[points], the first edge and the last edge of its list; -1 where the list
    is empty. Of each edge, int64[2 * edges], the next edge of the list or -1; the target, which is
    the cluster that it leads to; and the weight, summed over the pairs of both clusters' members.
    """

    first: Any
    last: Any
    next: Any
    target: Any
    weight: Any


@njit(nogil=True, cache=True)
def _link_edges(n: int, i: Any, j: Any, weight: Any) -> Any:
    """Put the edges of n points into lists, each edge into the lists of both of its ends.

    A point's edges are consecutive in memory, which makes the first visit of its list fast. Most
    visits are first ones.
    """
    count = np.zeros(n + 1, np.int64)
    for edge in range(len(i)):
        count[i[edge] + 1] += 1
        count[j[edge] + 1] += 1
    start = np.cumsum(count)
    place = start[:-1].copy()
    target = np.empty(2 * len(i), np.int64)
    weights = np.empty(2 * len(i), np.int64)
    for edge in range(len(i)):
        here = place[j[edge]]
        target[here] = i[edge]
        weights[here] = weight[edge]
        place[j[edge]] += 1
    for edge in range(len(i)):
        here = place[i[edge]]
        target[here] = j[edge]
        weights[here] = weight[edge]
        place[i[edge]] += 1
    first = np.full(n, -1)
    last = np.full(n, -1)
    following = np.arange(1, 2 * len(i) + 1)
    for point in range(n):
        if start[point] < start[point + 1]:
            first[point] = start[point]
            last[point] = start[point + 1] - 1
            following[last[point]] = -1
    return Edges(first, last, following, target, weights)


@njit(nogil=True, cache=True)
def _find(parent: Any, point: int) -> int:
    """The cluster that a point was merged into, directly or through others."""
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point


@njit(nogil=True, cache=True)
def _fold_edges(
    edges: Any,
    cluster: int,
    parent: Any,
    visit: int,
    seen: Any,
    edge_to: Any,
) -> None:
    """Let the edges of a cluster lead to clusters that exist, with a single edge to each.

    Edges to the same cluster are added up, and edges within the cluster are dropped. seen, edge_to:
    for each cluster, the last visit that met it, and the edge that leads to it.
    """
    previous = -1
    edge = edges.first[cluster]
    while edge >= 0:
        following = edges.next[edge]
        other = _find(parent, edges.target[edge])
        if other != cluster and seen[other] != visit:
            seen[other] = visit
            edge_to[other] = edge
            edges.target[edge] = other
            previous = edge
        else:
            if other != cluster:
                edges.weight[edge_to[other]] += edges.weight[edge]
            if previous < 0:
                edges.first[cluster] = following
            else:
                edges.next[previous] = following
        edge = following
    edges.last[cluster] = previous


@njit(nogil=True, cache=True)
def _nearest(
    edges: Any,
    cluster: int,
    previous: int,
    size: Any,
    floor: float,
) -> int:
    """The cluster with the largest mean weight, at least `floor`; -1 for none.

    Among equals it is `previous`, the cluster before this one in the chain, where that is one of
    them, and otherwise the first in the list.
    """
    nearest = -1
    best = floor
    edge = edges.first[cluster]
    while edge >= 0:
        other = edges.target[edge]
        mean = edges.weight[edge] / (size[cluster] * size[other])
        if mean > best or (mean == best and (nearest < 0 or other == previous)):
            nearest = other
            best = mean
        edge = edges.next[edge]
    return nearest


@njit(nogil=True, cache=True)
def _append_edges(edges: Any, cluster: int, other: int) -> None:
    """Append the list of another cluster to that of a cluster."""
    if edges.first[other] < 0:
        return
    if edges.first[cluster] < 0:
        edges.first[cluster] = edges.first[other]
    else:
        edges.next[edges.last[cluster]] = edges.first[other]
    edges.last[cluster] = edges.last[other]


@njit(nogil=True, cache=True)
def average_links(
    size: Any,
    i: Any,
    j: Any,
    weight: Any,
    floor: float,
) -> Any:
    """Merge clusters while the mean weight over all pairs of two of them is at least `floor`.

    size: int64[n], members of each point. i, j, weight: int64[m], edges between points, with
    weights summed over the members' pairs; where there is no edge the weight is 0. Returns the
    cluster int64[n] of each point, as one of its points.

    This is the nearest-neighbour chain (Müllner, 2011), which is exact for average linkage in any
    order of merging. Weights are integers, so that the mean of two clusters is the same number seen
    from either side: otherwise the chain could run in circles.
    """
    n = len(size)
    size = size.copy()
    edges = _link_edges(n, i, j, weight)
    parent = np.arange(n)
    is_done = np.zeros(n, np.bool_)
    seen = np.full(n, -1)
    edge_to = np.empty(n, np.int64)
    visit = 0
    chain = np.empty(n, np.int64)
    for start in range(n):
        if parent[start] != start or is_done[start]:
            continue
        chain[0] = start
        length = 1
        while length > 0:
            cluster = chain[length - 1]
            previous = chain[length - 2] if length > 1 else -1
            visit += 1
            _fold_edges(edges, cluster, parent, visit, seen, edge_to)
            nearest = _nearest(edges, cluster, previous, size, floor)
            if nearest < 0:
                is_done[cluster] = True
                length -= 1
            elif nearest != previous:
                chain[length] = nearest
                length += 1
            else:  # each is the nearest of the other
                parent[nearest] = cluster
                size[cluster] += size[nearest]
                _append_edges(edges, cluster, nearest)
                length -= 2
                if length == 0:
                    chain[0] = cluster
                    length = 1
    for point in range(n):
        parent[point] = _find(parent, point)
    return parent


def average(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """Cluster by average linkage up to the threshold; longer distances count as half of the bits.

    Unrelated hashes differ in about half of the bits, so the graph of near pairs stands for all
    n² / 2 distances, and memory is needed only for the pairs within the threshold. A mean over some
    pairs then differs from the exact one by at most the share of those over the threshold, times
    their mean deviation from half of the bits.
    """
    bits = 8 * packed.shape[1]
    points, point, size = np.unique(
        packed,
        axis=0,
        return_inverse=True,
        return_counts=True,
    )
    i, j, distance = pairs_within(points, threshold, workers=workers)
    unrelated = max(bits // 2, threshold)
    weight = (unrelated - distance) * size[i] * size[j]
    floor = float(unrelated - threshold)
    cluster_of_point = average_links(size, i, j, weight, floor)
    return renumber(cluster_of_point[point.reshape(-1)])


def consensus(packed: Packed, threshold: int, workers: int | None = None) -> Labels:
    """Cluster by average linkage, then join clusters by their centres until nothing changes.

    Clusters of at least FEW images are joined where average linkage at three quarters of the
    threshold joins their centres. A smaller one goes to the nearest larger one within the
    threshold. In centres the differences between single images average out. So a low threshold,
    which does not join families, still finds most images of each.
    """
    labels = average(packed, threshold, workers)
    while True:
        size = np.bincount(labels)
        if size.max(initial=0) < FEW:
            return labels
        centres = majority_bits(packed, *group_rows(labels))
        joined = _join_by_centres(centres, size, threshold, workers)
        if np.array_equal(joined, np.arange(len(size))):
            return labels
        labels = renumber(joined[labels])


def _join_by_centres(centres: Packed, size: Labels, threshold: int, workers: int | None) -> Labels:
    """The cluster that each cluster is joined to by its centre, or itself; size: in images."""
    joined = np.arange(len(size))
    large = np.flatnonzero(size >= FEW)
    small = np.flatnonzero(size < FEW)
    group = average(centres[large], 3 * threshold // 4, workers)
    _, first_of_group = np.unique(group, return_index=True)
    joined[large] = large[first_of_group][group]
    nearest = neighbours(
        centres[small],
        centres[large],
        k=1,
        radius=threshold,
        workers=workers,
    )
    has_near = np.diff(nearest.indptr) > 0
    joined[small[has_near]] = joined[large[nearest.indices]]
    return joined


def hdbscan(
    packed: Packed, threshold: int, workers: int | None = None, distance: str = "hamming"
) -> Labels:
    """Cluster by scikit-learn's HDBSCAN on the graph of pairs within the threshold.

    An image that HDBSCAN takes for noise stays alone, and a cluster has at least three images.
    HDBSCAN needs a connected graph, so the components are connected one after another by edges as
    long as a hash has bits. It never makes the whole graph one cluster, so three points that are no
    images are connected to the last component.
    """
    from sklearn.cluster import HDBSCAN

    n = len(packed)
    i, j, length = pairs_within(packed, threshold, distance=distance, workers=workers)
    _, first_of_component = np.unique(_components(i, j, n), return_index=True)
    connected = np.append(first_of_component, n)
    bridge = np.full(len(connected) - 1, 8 * packed.shape[1])
    i = np.concatenate([i, connected[:-1], [n, n + 1]])
    j = np.concatenate([j, connected[1:], [n + 1, n + 2]])
    # SciPy's spanning tree takes a stored zero for no edge, so copies get a small distance.
    length = np.concatenate([length, bridge, [0, 0]])
    length = np.maximum(length, 1e-3)
    both_ways = (np.concatenate([i, j]), np.concatenate([j, i]))
    graph = csr_array((np.tile(length, 2), both_ways), shape=(n + 3, n + 3))
    model = HDBSCAN(
        min_cluster_size=3,
        min_samples=1,
        metric="precomputed",
        copy=True,
    )
    labels = model.fit(graph).labels_[:n].astype(np.int64)
    is_noise = labels < 0
    labels[is_noise] = n + np.flatnonzero(is_noise)
    return renumber(labels)


CLUSTERERS: dict[str, Callable[..., Labels]] = {
    "consensus": consensus,
    "average": average,
    "components": components,
    "hdbscan": hdbscan,
}


def cluster(
    packed: Packed, method: str, threshold: int | None = None, *, workers: int | None = None
) -> Labels:
    """Cluster hashes by one of CLUSTERERS; returns numbers int64[n] by first appearance.

    threshold: in bits, by default three eighths of the bits of a hash. Raises ValueError for an
    unknown method or a threshold that gives too many pairs for memory.
    """
    if method not in CLUSTERERS:
        raise ValueError(f"method must be one of {', '.join(CLUSTERERS)}; got {method!r}")
    size = check_hashes(packed).shape[1]
    if threshold is None:
        threshold = 3 * size
    radius = check_radius(threshold, 8 * size)
    if not len(packed):
        return np.zeros(0, np.int64)
    return CLUSTERERS[method](packed, radius, workers)


class UncutClusterer(Clusterer):
    """`finlib.cluster` without splitting clusters of two families."""

    def split(self, groups: Groups, apart: int) -> Groups:
        return groups


def uncut(packed: Packed) -> Labels:
    """Cluster as `finlib.cluster` does without splitting, to see what that step is worth."""
    clusterer = UncutClusterer(packed, Settings(fit_null_model(packed)))
    return renumber(clusterer.run())


def in_use(packed: Packed) -> Labels:
    """Cluster as `finlib.cluster` does."""
    return clusters.cluster(packed).labels


def in_use_by_rows(packed: Packed) -> Labels:
    """Cluster dHashes as `finlib.cluster` does by rows, the method that is recommended."""
    return clusters.cluster(packed, distance="rows").labels


def compare(sets: dict[str, tuple[Packed, Any]], by_rows: Collection[str] = ()) -> pd.DataFrame:
    """Score and time the clustering in use and the others, with their defaults, on labelled sets.

    sets: hashes and families by the set's name. by_rows: the names of the sets of dHashes, which
    are clustered by rows as well. Columns: set, method, n, seconds and those of `score_clusters`.
    """
    methods: dict[str, Callable[[Packed], Labels]] = {"finlib": in_use, "finlib, uncut": uncut}
    for name in CLUSTERERS:
        methods[name] = partial(cluster, method=name)
    tables = []
    for set_name, (packed, family) in sets.items():
        used = dict(methods)
        if set_name in by_rows:
            used["finlib, by rows"] = in_use_by_rows
        table = _score_methods({name: partial(used[name], packed) for name in used}, family)
        table.insert(0, "set", set_name)
        table.insert(2, "n", len(packed))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def indexed(packed: Packed, threshold: int, index: str) -> Labels:
    """Cluster by single linkage on the pairs that one of `faiss_indexes.INDEXES` finds.

    It runs on one thread: for a single query FAISS's threads cost more than they save.
    """
    with timing.one_thread():
        search = faiss_indexes.INDEXES[index](packed, threshold).search
        found = [search(query) for query in packed[:, None]]
    i = np.repeat(np.arange(len(packed)), [len(rows) for rows in found])
    j = np.concatenate(found)
    return renumber(_components(i, j, len(packed)))


def compare_by_rows(packed: Packed, family: Any) -> pd.DataFrame:
    """Score and time the clustering of dHashes uint8[n, 32] by rows, and others beside it.

    The others get the radius within which `finlib.cluster` unites hashes by the same distance.
    FAISS's indexes have no distance by rows. family: of each hash. Columns: method, distance,
    radius, n, seconds and those of `score_clusters`.
    """
    tables = []
    for distance in DISTANCES:
        radius = clusters.cluster(packed, distance=distance).link_radius
        methods: dict[str, Callable[[], Labels]] = {
            "finlib": partial(_cluster_by, packed, distance),
            "hdbscan": partial(hdbscan, packed, radius, distance=distance),
            "components": partial(components, packed, radius, distance=distance),
        }
        if distance == "hamming":
            for index in ("FAISS IVF", "FAISS HNSW"):
                methods[f"{index}, components"] = partial(indexed, packed, radius, index)
        table = _score_methods(methods, family)
        tables.append(table.assign(distance=distance, radius=radius, n=len(packed)))
    return pd.concat(tables, ignore_index=True)


def _cluster_by(packed: Packed, distance: str) -> Labels:
    return clusters.cluster(packed, distance=distance).labels


def _score_methods(methods: dict[str, Callable[[], Labels]], family: Any) -> pd.DataFrame:
    """The time of each method and the scores of its labels.

    A first call, which may compile, is not timed. AssertionError where its labels are others.
    """
    rows = []
    for name, method in methods.items():
        first = method()
        start = perf_counter()
        labels = method()
        seconds = perf_counter() - start
        assert np.array_equal(labels, first), f"{name} gives other labels when it is called again"
        row = {"method": name, "seconds": seconds}
        rows.append(row | score_clusters(family, labels))
    return pd.DataFrame(rows)


def score_clusters(family: Any, labels: Any) -> dict[str, float]:
    """Score clusters against known families, by what a user of the clusters notices.

    family, labels: integers from 0 on, or what can be numbered, for each image. A hundred million
    images need a few gigabytes.

    precision, recall: B-cubed. alone: the share of images without a near-duplicate that are a
    cluster of their own. whole: the share of families of two or more images that are exactly one
    cluster. ari: the adjusted Rand index. NaN where there are no such images or families.
    """
    family = _numbered(family)
    labels = _numbered(labels)
    family_sizes = np.bincount(family)
    cluster_sizes = np.bincount(labels)
    # One entry for each family and cluster that share images.
    in_both = np.sort(family * len(cluster_sizes) + labels)
    start = np.flatnonzero(np.diff(in_both, prepend=-1))
    shared = np.diff(start, append=len(in_both))
    in_family = family_sizes[in_both[start] // len(cluster_sizes)]
    in_cluster = cluster_sizes[in_both[start] % len(cluster_sizes)]
    is_exact = (shared == in_family) & (shared == in_cluster)
    alone = is_exact[in_family == 1]
    whole = is_exact[in_family > 1]
    families = np.count_nonzero(family_sizes > 1)
    images = max(1, len(family))
    return {
        "precision": float((shared / in_cluster) @ shared / images),
        "recall": float((shared / in_family) @ shared / images),
        "alone": float(alone.mean()) if len(alone) else float("nan"),
        "whole": float(whole.sum() / families) if families else float("nan"),
        "ari": _adjusted_rand_index(shared, family_sizes, cluster_sizes),
    }


def _numbered(values: Any) -> Labels:
    """Integers from 0 on that are equal where the values are."""
    values = np.asarray(values)
    is_whole = values.dtype.kind in "iu" and values.min(initial=0) >= 0
    if is_whole and values.max(initial=0) < 4 * len(values):
        return values.astype(np.int64)
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _adjusted_rand_index(shared: Labels, family_sizes: Labels, cluster_sizes: Labels) -> float:
    """The adjusted Rand index (Hubert and Arabie, 1985) from the sizes of families, clusters and
    what they share."""
    pairs_in_both = _pairs_of(shared)
    pairs_in_families = _pairs_of(family_sizes)
    pairs_in_clusters = _pairs_of(cluster_sizes)
    all_pairs = _pairs_of(np.array([family_sizes.sum()]))
    if not all_pairs:
        return 1.0
    expected = pairs_in_families * pairs_in_clusters / all_pairs
    most = (pairs_in_families + pairs_in_clusters) / 2
    if most == expected:
        return 1.0
    return float((pairs_in_both - expected) / (most - expected))


def _pairs_of(sizes: Labels) -> float:
    """The number of pairs within groups of these sizes."""
    of_size = sizes.astype(np.float64)
    return float((of_size * (of_size - 1) / 2).sum())
