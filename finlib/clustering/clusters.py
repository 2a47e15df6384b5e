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
import pyarrow.parquet as pq

from finlib.clustering.centres import group_rows, majority_bits
from finlib.clustering.clusterer import FEW, Clusterer
from finlib.clustering.corrections import apply_corrections, find_contradiction
from finlib.clustering.null_model import CHANCE, NullModel, fit_null_model
from finlib.clustering.radii import Settings, choose_radius
from finlib.files import write_atomically
from finlib.matching import near
from finlib.matching.packed import Packed, check_hashes

Labels = npt.NDArray[np.int64]

KIND = b"finlib.kind"
CENTRES = "centres"  # the kind of file that `Clusters.save` writes
METADATA = b"finlib.clusters"  # the key of the Parquet file's metadata that is ours


@dataclass(frozen=True)
class Clusters:
    """A clustering, with what it takes to bring new images into it.

    labels: int64[images], the cluster of each image, numbered by first appearance.
    centres: uint8[m, bits // 8]. A cluster of FEW images or more has one, the majority of the bits
        of its hashes; a smaller cluster has all its hashes here.
    cluster: int64[m], the cluster of each centre, ascending.
    size: int64[clusters], in images.
    null_model: the distances of unrelated images.
    link_radius, centre_radius: the radii in bits within which images were last united, and brought
        to a centre.
    """

    labels: Labels
    centres: Packed
    cluster: Labels
    size: Labels
    null_model: NullModel
    link_radius: int
    centre_radius: int

    def save(self, path: str | Path, **metadata: str) -> None:
        """Write what `extend` needs to a Parquet file, with a row for each centre.

        Labels are not written. metadata: texts to store with it, such as hasher="find".
        """
        columns = {
            "hash": _hashes_to_arrow(self.centres),
            "cluster": self.cluster,
            "size": self.size[self.cluster],
        }
        stored = {
            "mean": self.null_model.mean,
            "deviation": self.null_model.deviation,
            "link": self.link_radius,
            "reach": self.centre_radius,
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
        if METADATA not in (table.schema.metadata or {}):
            raise ValueError(
                f"{path} does not contain the centres of clusters: give the file that was written "
                "with the table of clusters"
            )
        metadata = json.loads(table.schema.metadata[METADATA])
        labels = np.asarray(labels, np.int64)
        clusters = cls(
            labels=labels,
            centres=_arrow_to_hashes(table),
            cluster=table["cluster"].to_numpy(),
            size=np.bincount(labels),
            null_model=NullModel(metadata.pop("mean"), metadata.pop("deviation")),
            link_radius=metadata.pop("link"),
            centre_radius=metadata.pop("reach"),
        )
        if not clusters._has_sizes(table["size"].to_numpy()):
            raise ValueError(
                f"{path} is of other clusters than the table beside it: cluster the images again"
            )
        return clusters, metadata

    def _has_sizes(self, sizes: Labels) -> bool:
        """Whether the cluster of each centre has this many images."""
        if self.cluster.max(initial=-1) >= len(self.size):
            return False
        return np.array_equal(self.size[self.cluster], sizes)


def _hashes_to_arrow(packed: Packed) -> pa.FixedSizeBinaryArray:
    buffer = pa.py_buffer(np.ascontiguousarray(packed))
    kind = pa.binary(packed.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(packed), [None, buffer])


def _arrow_to_hashes(table: pa.Table) -> Packed:
    size = table.schema.field("hash").type.byte_width
    buffer = table["hash"].combine_chunks().buffers()[1] or b""
    packed = np.frombuffer(buffer, np.uint8)[: len(table) * size]
    return packed.reshape(-1, size).copy()


def renumber(labels: Any) -> Labels:
    """Number the same clusters 0, 1, … by first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse].astype(np.int64)


def cluster(
    packed: Packed,
    *,
    together: Any = (),
    apart: Any = (),
    chance: float = CHANCE,
    seed: int = 2026,
    resources: near.Resources | None = None,
) -> Clusters:
    """Cluster hashes uint8[n, bits // 8], so that each cluster has the images of one original.

    together, apart: pairs of rows that, as a person has decided, belong together, or do not. The
        clusters respect both.
    chance: the share of the images that a step may bring together with unrelated ones.

    Clusters are numbered by first appearance. The same seed gives the same labels, whatever
    `resources` the search runs on. Pictures with hardly any detail have hashes with few or many
    bits set, which are near each other by chance: leave out those of low quality. Raises ValueError
    where corrections contradict each other or name rows that do not exist.

    >>> cluster(np.array([[0] * 32, [255] * 32, [1] + [0] * 31], np.uint8)).labels.tolist()
    [0, 1, 0]
    """
    _check_corrections(len(check_hashes(packed)), together, apart)
    resources = resources or near.Resources()
    null_model = fit_null_model(packed, seed, resources.workers)
    clusterer = Clusterer(packed, Settings(null_model, chance, seed, resources))
    labels = apply_corrections(packed, clusterer.run(), together, apart, resources.workers)
    labels = renumber(labels)
    size = np.bincount(labels)
    centres = _find_centres(packed, labels, size)
    return Clusters(
        labels=labels,
        centres=centres.packed,
        cluster=centres.cluster,
        size=size,
        null_model=null_model,
        link_radius=max(0, clusterer.link_radius),
        centre_radius=clusterer.centre_radius,
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

    A new image goes to the nearest centre, where that is nearer than chance explains. Otherwise it
    goes to the nearest old image of a cluster that has no centre yet. The remaining new images are
    clustered, and their clusters are numbered from len(clusters.size) on. A cluster that only now
    has FEW images gets a centre. The centres of larger ones stay as they are, and also stand for
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
    settings = Settings(clusters.null_model, chance, seed, resources)
    labels = np.concatenate([clusters.labels, _label_new(clusters, new, settings)])
    packed = np.concatenate([_stand_ins(clusters), new])
    labels = apply_corrections(packed, labels, together, apart, resources.workers)
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
    """The centres of clusters from all of their hashes.

    packed: uint8[n, bits // 8]; labels: int64[n], their clusters; size: int64[clusters], in images.
    """
    is_small = size[labels] < FEW
    small = Centres(packed[is_small], labels[is_small])
    in_large = np.flatnonzero(~is_small)
    order, start = group_rows(labels[in_large])
    rows = in_large[order]
    large = Centres(majority_bits(packed, rows, start), labels[rows[start[:-1]]])
    return _concatenate([small, large])


def _label_new(clusters: Clusters, new: Packed, settings: Settings) -> Labels:
    """The cluster of each new hash: an old one, or a number from len(clusters.size) on."""
    is_large = clusters.size[clusters.cluster] >= FEW
    old_centres = Centres(clusters.centres[is_large], clusters.cluster[is_large])
    old_images = Centres(clusters.centres[~is_large], clusters.cluster[~is_large])
    wrong = settings.chance * len(new)
    labels = _find_cluster(new, old_centres, settings, wrong, "to old centres")
    rest = np.flatnonzero(labels < 0)
    near_old_images = _find_cluster(new[rest], old_images, settings, wrong, "to old images")
    group = renumber(Clusterer(new[rest], settings).run())
    labels[rest] = _number_groups(group, near_old_images, len(clusters.size))[group]
    return labels


def _find_cluster(
    hashes: Packed,
    centres: Centres,
    settings: Settings,
    wrong: float,
    name: str,
) -> Labels:
    """Find the cluster of the centre nearest to each hash; -1 where chance explains the distance.

    wrong: how many hashes may be brought to an unrelated centre.
    """
    if not len(hashes) or not len(centres.packed):
        return np.full(len(hashes), -1)
    radius = choose_radius(hashes, centres.packed, settings, wrong=wrong)
    nearest = near.find_nearest(
        hashes,
        centres.packed,
        radius,
        seed=settings.seed,
        resources=settings.resources,
        name=name,
    )
    return np.where(nearest >= 0, centres.cluster[nearest], -1)


def _number_groups(group: Labels, old_cluster: Labels, first_new: int) -> Labels:
    """Choose the cluster of each group of new hashes: an old one near a member, or a new one.

    Of several old ones, the one with the lowest number is chosen. group, old_cluster:
    int64[hashes]; old_cluster is -1 where a hash is near no old image.
    """
    none = np.iinfo(np.int64).max
    numbers = np.full(group.max(initial=-1) + 1, none)
    is_near = old_cluster >= 0
    np.minimum.at(numbers, group[is_near], old_cluster[is_near])
    is_new = numbers == none
    numbers[is_new] = first_new + np.arange(np.count_nonzero(is_new))
    return numbers


def _stand_ins(clusters: Clusters) -> Packed:
    """A hash for each old image: its own in a cluster of fewer than FEW, else the centre."""
    first_centre = np.searchsorted(clusters.cluster, clusters.labels)
    packed = clusters.centres[first_centre]
    in_small = np.flatnonzero(clusters.size[clusters.labels] < FEW)
    # The hashes of small clusters are stored by cluster, and in the order of rows in each.
    by_cluster = in_small[np.argsort(clusters.labels[in_small], kind="stable")]
    packed[by_cluster] = clusters.centres[clusters.size[clusters.cluster] < FEW]
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
