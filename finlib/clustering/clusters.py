"""Cluster hashes, bring new hashes into clusters made before, and store what that takes.

Time grows nearly linearly with the number of hashes; `clusterer` describes how.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit

from finlib.clustering.centres import Rows, distances_from_centres, group_rows, majority_bits
from finlib.clustering.clusterer import FEW, Clusterer
from finlib.clustering.corrections import (
    apply_corrections,
    find_contradiction,
    join_unless_apart,
)
from finlib.clustering.null_model import CHANCE, NullModel, fit_null_model
from finlib.clustering.radii import Settings, choose_radius
from finlib.files import write_atomically
from finlib.matching import near
from finlib.matching.distances import get_distance
from finlib.matching.distinct import NO_ROW, Digests, digests, find_distinct, find_first
from finlib.matching.packed import Packed, check_hashes, iter_strips

Labels = npt.NDArray[np.int64]

STRIP = 1 << 16  # hashes that are copied at a time
KIND = b"finlib.kind"
CENTRES = "centres"  # the kind of file that `Clusters.save` writes
METADATA = b"finlib.clusters"  # the key of the Parquet file's metadata that is ours


@dataclass(frozen=True)
class Clusters:
    """A clustering, with what it takes to bring new images into it.

    labels: int64[images], the cluster of each image, numbered by first appearance.
    centres: uint8[m, bits // 8]. A cluster of FEW images or more has one, the majority of the bits
        of its hashes, or several where it was made of several; a smaller cluster has all its hashes
        here.
    cluster: int64[m], the cluster of each centre, ascending.
    size: int64[clusters], in images.
    digests: uint64[images], a number for each image's hash, by which copies are recognised.
    null_model: the distances of unrelated images.
    link_radius, centre_radius: the radii within which images were last united, and brought to a
        centre.
    radius: no image is farther than this from the centre of its cluster, which for a cluster of
        two is its first image. A person's corrections may bring others into it, and so may `join`.
    distance: what hashes were compared by, "hamming" or "rows".
    """

    labels: Labels
    centres: Packed
    cluster: Labels
    size: Labels
    digests: Digests
    null_model: NullModel
    link_radius: int
    centre_radius: int
    radius: int
    distance: str = "hamming"

    def save(self, path: str | Path, **metadata: str) -> None:
        """Write what `extend` needs to a Parquet file, with a row for each centre.

        Labels are not written. The first centre of a cluster has the digests of its images. The
        digests of a cluster that has no centre any more are left out. metadata: texts to store with
        it, such as hasher="find".
        """
        columns = {
            "hash": _hashes_to_arrow(self.centres),
            "cluster": self.cluster,
            "size": self.size[self.cluster],
            "digests": _digests_to_arrow(self),
        }
        stored = {
            "mean": self.null_model.mean,
            "deviation": self.null_model.deviation,
            "limit": self.null_model.limit,
            "link": self.link_radius,
            "reach": self.centre_radius,
            "radius": self.radius,
            "distance": self.distance,
            **metadata,
        }
        table = pa.table(columns).replace_schema_metadata(
            {METADATA: json.dumps(stored), KIND: CENTRES}
        )
        with write_atomically(Path(path)) as unfinished:
            pq.write_table(table, unfinished)

    @classmethod
    def load(cls, path: str | Path, labels: Any) -> tuple["Clusters", dict[str, str]]:
        """Read what `save` wrote: the clusters with the images' labels, and the metadata.

        Raises ValueError where the file is of another kind or does not fit the labels.
        """
        table = pq.read_table(path)
        metadata = _read_metadata(table.schema, path)
        labels = np.asarray(labels, np.int64)
        if not _is_of(table, labels):
            raise ValueError(
                f"{path} is of other clusters than the table beside it: cluster the images again"
            )
        return cls(
            labels=labels,
            centres=_arrow_to_hashes(table),
            cluster=table["cluster"].to_numpy(),
            size=np.bincount(labels),
            digests=_arrow_to_digests(table, labels),
            null_model=NullModel(
                metadata.pop("mean"), metadata.pop("deviation"), metadata.pop("limit")
            ),
            link_radius=metadata.pop("link"),
            centre_radius=metadata.pop("reach"),
            radius=metadata.pop("radius"),
            distance=metadata.pop("distance"),
        ), metadata


def stored_distance(path: str | Path) -> str:
    """The distance of the clusters that `Clusters.save` wrote to a file, without reading them.

    ValueError where the file is of another kind.
    """
    return str(_read_metadata(pq.read_schema(path), path)["distance"])


def _read_metadata(schema: pa.Schema, path: str | Path) -> dict[str, Any]:
    """What `Clusters.save` stored beside the centres; ValueError for a file of another kind."""
    if METADATA not in (schema.metadata or {}):
        raise ValueError(
            f"{path} does not contain the centres of clusters: give the file that was written "
            "with the table of clusters"
        )
    if "digests" not in schema.names:
        raise ValueError(
            f"{path} was written by an earlier version of finlib, without what recognises "
            "copies: cluster the images again"
        )
    metadata: dict[str, Any] = json.loads(schema.metadata[METADATA])
    return metadata


def _is_of(table: pa.Table, labels: Labels) -> bool:
    """Whether the clusters in a stored table have as many images as these labels say."""
    size = np.bincount(labels)
    cluster = table["cluster"].to_numpy()
    if cluster.max(initial=-1) >= len(size):
        return False
    lengths = pc.list_value_length(table["digests"])
    digests = pc.sum(lengths).as_py() or 0
    if digests != len(labels):
        return False
    stored_size = table["size"].to_numpy()
    return np.array_equal(size[cluster], stored_size)


def _digests_to_arrow(clusters: "Clusters") -> pa.LargeListArray:
    """The digests of each cluster's images, in the order of rows, at its first centre."""
    is_first = np.diff(clusters.cluster, prepend=-1) > 0
    counts = np.where(is_first, clusters.size[clusters.cluster], 0)
    start = np.append(0, np.cumsum(counts))
    order = group_rows(clusters.labels).order
    return pa.LargeListArray.from_arrays(start, clusters.digests[order])


def _arrow_to_digests(table: pa.Table, labels: Labels) -> Digests:
    """The digest of each image, from what `_digests_to_arrow` gave."""
    order = group_rows(labels).order
    digests = np.empty(len(labels), np.uint64)
    digests[order] = pc.list_flatten(table["digests"]).to_numpy()
    return digests


def _hashes_to_arrow(packed: Packed) -> pa.FixedSizeBinaryArray:
    buffer = pa.py_buffer(np.ascontiguousarray(packed))
    kind = pa.binary(packed.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(packed), [None, buffer])


def _arrow_to_hashes(table: pa.Table) -> Packed:
    size = table.schema.field("hash").type.byte_width
    buffer = table["hash"].combine_chunks().buffers()[1] or b""
    values = np.frombuffer(buffer, np.uint8)
    packed = values[: len(table) * size]
    return packed.reshape(-1, size).copy()


def renumber(labels: Any) -> Labels:
    """Number the same clusters 0, 1, … by first appearance. labels: integers from 0 on."""
    labels = np.asarray(labels, np.int64)
    largest = int(labels.max(initial=-1))
    return np.asarray(_renumber(labels, largest + 1))


@njit(nogil=True, cache=True)
def _renumber(labels: Any, most: int) -> Any:
    number = np.full(most, -1)
    renumbered = np.empty(len(labels), np.int64)
    clusters = 0
    for row in range(len(labels)):
        label = labels[row]
        if number[label] < 0:
            number[label] = clusters
            clusters += 1
        renumbered[row] = number[label]
    return renumbered


def cluster(
    packed: Packed,
    *,
    distance: str = "hamming",
    together: Any = (),
    apart: Any = (),
    chance: float = CHANCE,
    seed: int = 2026,
    resources: near.Resources | None = None,
) -> Clusters:
    """Cluster hashes uint8[n, bits // 8], so that each cluster has the images of one original.

    distance: what hashes are compared by, "hamming" or "rows" (see `finlib.matching.distances`).
    together, apart: pairs of rows that, as a person has decided, belong together, or do not. The
        clusters respect both.
    chance: the share of the images that a step may bring together with unrelated ones.

    Equal hashes are always in one cluster, and no image is farther than `Clusters.radius` from its
    cluster's centre. Clusters are numbered by first appearance. The same seed gives the same
    labels, whatever `resources` the search runs on.

    Another order of the rows may change the cluster of a few images in a thousand, for four
    reasons. Samples have other hashes, so that a radius may become one larger or smaller. Passes
    cut large buckets at other places, and so find other pairs. Where exactly half of a cluster's
    hashes have a bit, the first one decides. Of two equally near centres, an image goes to that of
    the cluster with the first row. Copies stay together, and the bound by the radius holds, in any
    order.

    By their bits, pictures with hardly any detail are near each other by chance: leave out those of
    low quality. By rows they are near to nothing. Raises ValueError where corrections contradict
    each other or name rows that do not exist, or where hashes have no rows to compare.

    >>> cluster(np.array([[0] * 32, [255] * 32, [1] + [0] * 31], np.uint8)).labels.tolist()
    [0, 1, 0]
    """
    _check_corrections(len(check_hashes(packed)), together, apart)
    resources = resources or near.Resources()
    null_model = fit_null_model(packed, seed, resources.workers, distance)
    clusterer = Clusterer(packed, Settings(null_model, distance, chance, seed, resources))
    labels = clusterer.run()
    link_radius = max(0, clusterer.link_radius)
    centre_radius = clusterer.centre_radius
    radius = clusterer.radius
    del clusterer  # and what it has of each image
    labels = apply_corrections(packed, labels, together, apart, resources.workers, distance)
    labels = renumber(labels)
    size = np.bincount(labels)
    centres = _find_centres(packed, labels, size)
    return Clusters(
        labels=labels,
        centres=centres.packed,
        cluster=centres.cluster,
        size=size,
        digests=digests(packed),
        null_model=null_model,
        link_radius=link_radius,
        centre_radius=centre_radius,
        radius=radius,
        distance=distance,
    )


def extend(
    clusters: Clusters,
    new: Packed,
    *,
    together: Any = (),
    apart: Any = (),
    chance: float = CHANCE,
    seed: int = 2026,
    resources: near.Resources | None = None,
) -> Clusters:
    """Bring new hashes into clusters made before, whose images keep their clusters' numbers.

    A copy of an old image goes to its cluster. Any other new image goes to the nearest centre,
    where that is nearer than chance explains. The remaining new images are clustered. Such a
    cluster joins the old image nearest to one of its own, among those whose cluster has no centre
    yet, unless an image would then be farther than `clusters.radius` from their common centre. The
    others are numbered from len(clusters.size) on. A cluster that only now has FEW images gets a
    centre. The centres of larger ones stay as they are, and also stand for
    old images that a person has split off from them. A number whose cluster was joined to another
    stays without images.

    Returns labels of the old images first, then of the new ones; `together` and `apart` count rows
    in the same way. Work grows with the number of new images and, more slowly, with the number of
    centres. Raises ValueError where hashes differ in length.

    >>> old = cluster(np.array([[0] * 32, [255] * 32], np.uint8))
    >>> extend(old, np.array([[1] + [0] * 31], np.uint8)).labels.tolist()
    [0, 1, 0]
    """
    check_hashes(new, "new")
    if new.shape[1] != clusters.centres.shape[1]:
        old_bits = 8 * clusters.centres.shape[1]
        raise ValueError(
            f"new hashes have {8 * new.shape[1]} bits, the clusters' have {old_bits}: "
            "make them with the same hasher"
        )
    _check_corrections(len(clusters.labels) + len(new), together, apart)
    resources = resources or near.Resources()
    settings = Settings(clusters.null_model, clusters.distance, chance, seed, resources)
    new_labels = _label_new(clusters, new, settings)
    labels = np.concatenate([clusters.labels, new_labels])
    packed = np.concatenate([_stand_ins(clusters), new])
    labels = apply_corrections(
        packed, labels, together, apart, resources.workers, clusters.distance
    )
    size = np.bincount(labels)
    old_centres = _keep_centres(clusters, labels, size)
    without_centre = np.flatnonzero(~np.isin(labels, old_centres.cluster))
    new_centres = _find_centres(packed[without_centre], labels[without_centre], size)
    centres = _concatenate([old_centres, new_centres])
    return replace(
        clusters,
        labels=labels,
        centres=centres.packed,
        cluster=centres.cluster,
        size=size,
        digests=np.concatenate([clusters.digests, digests(new)]),
    )


def join(clusters: Clusters, pairs: Any, apart: Any = ()) -> Clusters:
    """Join the clusters of pairs of images that are copies although their hashes are not alike.

    A picture and its mirror image are such a pair. pairs: rows, int64[pairs, 2]; those that come
    first are preferred. apart: pairs of rows that a person keeps apart, so that clusters which have
    both are not joined. Joined clusters have the smallest of their numbers, and the others stay
    without images. They keep the centres that they had, so that later images find them by any.

    >>> two = cluster(np.array([[0] * 32, [255] * 32], np.uint8))
    >>> join(two, [(0, 1)]).labels.tolist()
    [0, 0]
    """
    labels = join_unless_apart(clusters.labels, pairs, apart)
    size = np.bincount(labels)
    number_of = np.arange(len(clusters.size))
    number_of[clusters.labels] = labels
    number = number_of[clusters.cluster]
    is_large = size[number] >= FEW
    large = Centres(clusters.centres[is_large], number[is_large])
    in_small = np.flatnonzero(size[labels] < FEW).astype(np.int32)
    centres = _add_hashes(large, _stand_ins(clusters), labels, in_small)
    return replace(
        clusters, labels=labels, centres=centres.packed, cluster=centres.cluster, size=size
    )


def _check_corrections(n: int, together: Any, apart: Any) -> None:
    contradiction = find_contradiction(n, together, apart)
    if contradiction:
        one, other = contradiction
        raise ValueError(
            f"corrections contradict each other: rows {one} and {other} are to be kept apart, "
            "but other pairs put them together"
        )


class Centres(NamedTuple):
    """Centres of clusters, or single hashes of clusters of fewer than FEW images."""

    packed: Packed  # uint8[m, bits // 8]
    cluster: Labels  # int64[m], the cluster of each


def _concatenate(parts: list[Centres]) -> Centres:
    """All centres, by ascending cluster."""
    packed = np.concatenate([part.packed for part in parts])
    cluster = np.concatenate([part.cluster for part in parts])
    order = np.argsort(cluster, kind="stable")
    return Centres(packed[order], cluster[order])


def _find_centres(packed: Packed, labels: Labels, size: Labels) -> Centres:
    """The centres of clusters from all of their hashes; copies count once.

    packed: uint8[n, bits // 8]; labels: int64[n], their clusters; size: int64[clusters], in images.
    """
    is_small = size[labels] < FEW
    in_large = np.flatnonzero(~is_small).astype(np.int32)
    large = _find_majorities(packed, labels, in_large)
    in_small = np.flatnonzero(is_small).astype(np.int32)
    del is_small, in_large
    return _add_hashes(large, packed, labels, in_small)


def _find_majorities(packed: Packed, labels: Labels, rows: Rows) -> Centres:
    """The centres of the clusters that these rows are all images of."""
    cluster = labels[rows]
    distinct = _find_distinct_in_clusters(packed[rows], cluster)
    groups = group_rows(cluster[distinct])
    images = rows[distinct[groups.order]]
    first_images = images[groups.start[:-1]]
    centres = majority_bits(packed, images, groups.start)
    return Centres(centres, labels[first_images])


def _find_distinct_in_clusters(packed: Packed, labels: Labels) -> Rows:
    """The first row of each hash in each cluster, int32, ascending."""
    distinct, first_row = find_distinct(packed)
    # A person may have put two copies in different clusters.
    is_elsewhere = labels[first_row] != labels
    elsewhere = np.flatnonzero(is_elsewhere).astype(np.int32)
    label_bytes = labels[elsewhere, None].view(np.uint8)
    with_label = np.hstack([packed[elsewhere], label_bytes])
    first_elsewhere, _ = find_distinct(with_label)
    return np.sort(np.concatenate([distinct, elsewhere[first_elsewhere]]))


def _add_hashes(centres: Centres, packed: Packed, labels: Labels, rows: Rows) -> Centres:
    """Add the hashes of these rows, whose clusters have none yet, to the centres of others.

    All are sorted by cluster, and in a cluster by row.
    """
    all_clusters = np.concatenate([centres.cluster, labels[rows]])
    order = group_rows(all_clusters).order
    cluster = all_clusters[order]
    del all_clusters
    shape = (len(order), packed.shape[1])
    all_packed = np.empty(shape, np.uint8)
    for low, high in iter_strips(len(order), STRIP):
        source = order[low:high]
        is_centre = source < len(centres.cluster)
        row = rows[source[~is_centre] - len(centres.cluster)]
        strip = all_packed[low:high]
        strip[is_centre] = centres.packed[source[is_centre]]
        strip[~is_centre] = packed[row]
    return Centres(all_packed, cluster)


def _label_new(clusters: Clusters, new: Packed, settings: Settings) -> Labels:
    """The cluster of each new hash: an old one, or a number from len(clusters.size) on."""
    size = clusters.size[clusters.cluster]
    is_large = size >= FEW
    old_centres = Centres(clusters.centres[is_large], clusters.cluster[is_large])
    old_images = Centres(clusters.centres[~is_large], clusters.cluster[~is_large])
    limits = Limits(clusters.radius, settings.chance * len(new))
    labels = _find_copies(clusters, new)
    others = np.flatnonzero(labels < 0)
    labels[others] = _find_cluster(new[others], old_centres, settings, limits, "to old centres")
    rest = np.flatnonzero(labels < 0)
    near_old_image = _find_cluster(new[rest], old_images, settings, limits, "to old images")
    group = renumber(Clusterer(new[rest], settings).run())
    cluster_of_group = _nearest_old_cluster(group, near_old_image)
    cluster_of_group = _leave_out_wide_ones(
        new[rest], group, cluster_of_group, old_images, clusters.radius, settings
    )
    is_new = cluster_of_group < 0
    count = np.count_nonzero(is_new)
    cluster_of_group[is_new] = len(clusters.size) + np.arange(count)
    labels[rest] = cluster_of_group[group]
    return labels


class Limits(NamedTuple):
    """How far hashes may be brought to old clusters."""

    radius: int  # the largest distance from a centre
    wrong: float  # how many hashes may be brought to an unrelated centre


def _find_copies(clusters: Clusters, new: Packed) -> Labels:
    """The cluster of the first old image with the same hash; -1 where there is none."""
    old_image = find_first(clusters.digests, digests(new))
    labels = np.full(len(new), -1)
    is_copy = old_image != NO_ROW
    labels[is_copy] = clusters.labels[old_image[is_copy]]
    return labels


def _find_cluster(
    hashes: Packed, centres: Centres, settings: Settings, limits: Limits, name: str
) -> Labels:
    """Find the cluster of the centre nearest to each hash; -1 where chance explains the distance.

    name: of the search, as for `near.Resources.run`.
    """
    if not len(hashes) or not len(centres.packed):
        return np.full(len(hashes), -1)
    radius = choose_radius(hashes, centres.packed, settings, wrong=limits.wrong)
    nearest = near.find_nearest(
        hashes,
        centres.packed,
        min(radius, limits.radius),
        distance=settings.distance,
        seed=settings.seed,
        resources=settings.resources,
        name=name,
    )
    return np.where(nearest >= 0, centres.cluster[nearest], -1)


def _nearest_old_cluster(group: Labels, old_cluster: Labels) -> Labels:
    """An old cluster near a member of each group of new hashes, or -1 where there is none.

    Of several old ones, the one with the lowest number is chosen. group, old_cluster:
    int64[hashes]; old_cluster is -1 where a hash is near no old image.
    """
    none = np.iinfo(np.int64).max
    groups = group.max(initial=-1) + 1
    numbers = np.full(groups, none)
    is_near = old_cluster >= 0
    np.minimum.at(numbers, group[is_near], old_cluster[is_near])
    return np.where(numbers == none, -1, numbers)


def _leave_out_wide_ones(
    new: Packed,
    group: Labels,
    cluster_of_group: Labels,
    old_images: Centres,
    radius: int,
    settings: Settings,
) -> Labels:
    """Replace the old cluster of groups by -1 where a hash would be far from the common centre."""
    old_cluster = cluster_of_group[group]
    joining = np.flatnonzero(old_cluster >= 0)
    is_joined = np.isin(old_images.cluster, old_cluster[joining])
    packed = np.concatenate([old_images.packed[is_joined], new[joining]])
    labels = np.concatenate([old_images.cluster[is_joined], old_cluster[joining]])
    distinct, _ = find_distinct(packed)
    groups = group_rows(labels[distinct])
    rows = distinct[groups.order]
    centres = majority_bits(packed, rows, groups.start)
    compared = get_distance(settings.distance, new.shape[1])
    distance = distances_from_centres(packed, rows, groups.start, centres, compared)
    too_wide = labels[rows[distance > radius]]
    return np.where(np.isin(cluster_of_group, too_wide), -1, cluster_of_group)


def _stand_ins(clusters: Clusters) -> Packed:
    """A hash for each old image: its own in a cluster of fewer than FEW, else the centre."""
    first_centre = np.searchsorted(clusters.cluster, clusters.labels)
    packed = clusters.centres[first_centre]
    in_small = np.flatnonzero(clusters.size[clusters.labels] < FEW)
    # The hashes of small clusters are stored by cluster, and in the order of rows in each.
    order = np.argsort(clusters.labels[in_small], kind="stable")
    by_cluster = in_small[order]
    is_single_hash = clusters.size[clusters.cluster] < FEW
    packed[by_cluster] = clusters.centres[is_single_hash]
    return packed


def _keep_centres(clusters: Clusters, labels: Labels, size: Labels) -> Centres:
    """Centres of the old clusters that still have FEW images or more, with their new numbers.

    A cluster that corrections have split may have fewer.
    """
    is_large = clusters.size[clusters.cluster] >= FEW
    old_number, first_image = np.unique(clusters.labels, return_index=True)
    place = np.searchsorted(old_number, clusters.cluster[is_large])
    number = labels[first_image[place]]
    is_still_large = size[number] >= FEW
    return Centres(clusters.centres[is_large][is_still_large], number[is_still_large])
