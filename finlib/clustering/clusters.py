"""Packed hashes to clusters, in time near to linear: a strict start, centres, then what is left to the nearest centre.

1. Hashes so near that hardly any strangers among so many are, are united: `near` finds the pairs.
2. Clusters of FEW images or more get a centre, the majority of their bits, in which the noise of single images averages
   out. Clusters of which two halves have centres far apart, which a chance pair united, are cut; images far from their
   cluster's centre leave; near centres are one cluster.
3. Images without a centre go to the nearest one, where it is nearer than chance allows; with what is left it starts
   anew, less strictly, until little moves.

How near is near follows from the hashes themselves: their number, how strangers' distances scatter (`Strangers`), and
how many of the images still free have nobody near, which tells how many strangers a radius would bring in.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from finlib.clustering.centres import group_rows, majority_bits, split_groups
from finlib.clustering.corrections import apply_corrections, find_contradiction
from finlib.clustering.null_model import CHANCE, NullModel, fit_null_model
from finlib.files import write_atomically
from finlib.matching import near
from finlib.matching.pairs import Packed, check_hashes, neighbours, to_words

Labels = npt.NDArray[np.int64]

FEW = 3  # images a cluster must have for its majority of bits to mean something
WRONG = 0.02  # or share of those that a step brings to a centre, where that is more
STRICT = 0.01  # of CHANCE, for the start: pairs that unite families are not to be undone
ROUNDS = 12
SAMPLE = 1024  # images whose nearest of all is looked for, to choose a radius


@dataclass(frozen=True)
class Clusters:
    """A clustering, and what it takes to go on with it.

    labels: int64[images], numbers by first appearance. centres: uint8[m, bits // 8], for each cluster of FEW or more
    the majority of its hashes, for a smaller one all of them; cluster: int64[m], whose they are. size: int64[clusters].
    link and reach: the last radii within which images were united, and went to a centre, in bits.
    """

    labels: Labels
    centres: Packed
    cluster: Labels
    size: Labels
    null_model: NullModel
    link: int
    reach: int

    def save(self, path: str | Path, **more: str) -> None:
        """Write what `extend` needs as Parquet, a row for each centre; `more`, such as hasher="find", goes with it."""
        scalars = {**vars(self.null_model), "link": self.link, "reach": self.reach, **more}
        kind, buffer = (
            pa.binary(self.centres.shape[1]),
            pa.py_buffer(np.ascontiguousarray(self.centres)),
        )
        hashes = pa.FixedSizeBinaryArray.from_buffers(kind, len(self.centres), [None, buffer])
        table = pa.table({"hash": hashes, "cluster": self.cluster, "size": self.size[self.cluster]})
        with write_atomically(Path(path)) as partly:
            pq.write_table(
                table.replace_schema_metadata({"finlib.clusters": json.dumps(scalars)}), partly
            )

    @classmethod
    def load(cls, path: str | Path, labels: Any) -> tuple["Clusters", dict[str, str]]:
        """What `save` wrote, with the images' labels, which are not in it; and `more`. ValueError for other ones."""
        table = pq.read_table(path)
        if b"finlib.clusters" not in (table.schema.metadata or {}):
            raise ValueError(f"{path} holds no clusters to go on with")
        more = json.loads(table.schema.metadata[b"finlib.clusters"])
        law = NullModel(more.pop("mean"), more.pop("deviation"))
        width = table.schema.field("hash").type.byte_width
        buffer = table["hash"].combine_chunks().buffers()[1] or b""
        centres = np.frombuffer(buffer, np.uint8)[: len(table) * width].reshape(-1, width).copy()
        labels = np.asarray(labels, np.int64)
        size, whose = np.bincount(labels).astype(np.int64), table["cluster"].to_numpy()
        if whose.max(initial=-1) >= len(size) or not np.array_equal(
            size[whose], table["size"].to_numpy()
        ):
            raise ValueError(
                f"{path} is of other clusters than the table beside it: cluster once more"
            )
        return cls(labels, centres, whose, size, law, more.pop("link"), more.pop("reach")), more


def renumber(labels: Any) -> Labels:
    """The same clusters numbered 0, 1, … by first appearance."""
    first, inverse = np.unique(labels, return_index=True, return_inverse=True)[1:]
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


@dataclass
class _Run:
    """A clustering in the making: `label` int64[n] in no order; `free`, the rows in no cluster with a centre."""

    packed: Packed
    law: NullModel
    chance: float
    seed: int
    resources: near.Resources
    link: int = -1
    reach: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.chance < 1:
            raise ValueError(f"chance must be between 0 and 1; got {self.chance}")
        self.label, self.free = np.arange(len(self.packed)), np.arange(len(self.packed))
        self.large, self.centre = self.label[:0], self.packed[:0]

    def rounds(self) -> Labels:
        """The clusters' labels, in no order."""
        for number in range(ROUNDS if len(self.packed) > 1 else 0):
            strict, before = (1.0 if number else STRICT), self.link
            self.unite(strict, 0.8 if number else 0.3, f"near pairs, round {number + 1}")
            self.gather(strict, f"centres, round {number + 1}")
            moved = self.bring(strict, 0.95 if number else 0.7, f"to centres, round {number + 1}")
            if len(self.free) < 2 or (
                number and moved <= 1e-3 * len(self.packed) and self.link == before
            ):
                break
        return self.label

    def radius(self, rows: Labels, held: Packed | None, allowed: float, wrong: float) -> int:
        """The largest radius that brings at most `allowed` of the rows to strangers, or that share of what it brings.

        The nearest of some of the rows tells how many have nobody near: those farther from it than strangers would be.
        """
        rng = np.random.default_rng(self.seed)
        some = self.packed[np.sort(rng.choice(rows, min(len(rows), SAMPLE), replace=False))]
        others = self.packed[rows] if held is None else held
        found = neighbours(some, others, k=1 + (held is None), workers=self.resources.workers)
        nearest = found.distance if held is not None else found.distance[1::2]
        bits = np.arange(8 * self.packed.shape[1] + 1)
        chance = -np.expm1(
            (len(others) - (held is None)) * np.log1p(-np.minimum(self.law.within(bits), 1 - 1e-12))
        )
        middle = int(np.searchsorted(chance, 0.5))
        alone = (
            ((nearest > middle).sum() + 1)
            / len(some)
            / max(1 - chance[min(middle, len(bits) - 1)], 1e-9)
        )
        brought = np.searchsorted(np.sort(nearest), bits, side="right") / len(some)
        good = np.flatnonzero(
            min(1.0, alone) * chance <= np.maximum(allowed / len(rows), wrong * brought)
        )
        return min(int(good.max(initial=0)), middle)

    def unite(self, strict: float, recall: float, name: str) -> None:
        """Unite free images with near ones of them."""
        rows = self.free
        radius = self.radius(rows, None, strict * self.chance * len(self.packed), 0.0)
        if radius <= self.link:
            return
        self.link = radius
        forest = near.unite_near(
            self.packed[rows],
            radius,
            recall=recall,
            seed=self.seed,
            resources=self.resources,
            name=name,
        )
        held = np.unique(self.label[rows], return_index=True, return_inverse=True)[1:]
        forest.take(np.arange(len(rows)), held[0][held[1]], None)
        self.label[rows] = rows[forest.roots()]

    def gather(self, strict: float, name: str) -> None:
        """Give clusters of FEW or more a centre: cut those of two, let go who is far, unite those with near centres."""
        order, start = group_rows(self.label)
        size = np.diff(start)
        free, order = order[np.repeat(size < FEW, size)], order[np.repeat(size >= FEW, size)]
        whole = np.append(0, np.cumsum(size[size >= FEW]))
        radius = self.law.radius(strict * self.chance / len(self.packed))
        start = split_groups(self.packed, order, whole, radius)
        self.large, self.centre = (
            self.label[order[start[:-1]]],
            majority_bits(self.packed, order, start),
        )
        cut = ~np.isin(start[:-1], whole)
        self.large[cut] = self.label.max() + 1 + np.arange(cut.sum())
        group = np.repeat(np.arange(len(self.large)), np.diff(start))
        words, centre = to_words(self.packed), to_words(self.centre)
        far = np.bitwise_count(words[order] ^ centre[group]).sum(axis=1)
        gone = order[far > max(self.reach, self.law.radius(self.chance / max(1, len(self.large))))]
        forest = near.unite_near(
            self.centre, radius, seed=self.seed, resources=self.resources, name=name
        )
        self.large = self.large[forest.roots()]
        self.label[order] = self.large[group]
        self.label[gone] = self.label.max() + 1 + np.arange(len(gone))
        self.free = np.sort(np.concatenate([free, gone]))

    def bring(self, strict: float, recall: float, name: str) -> int:
        """Bring free images, and who is united with them, to the nearest centre; how many images that are."""
        rows = self.free
        if not len(self.large) or not len(rows):
            return 0
        self.reach = self.radius(rows, self.centre, strict * self.chance * len(self.packed), WRONG)
        found = near.find_nearest(
            self.packed[rows],
            self.centre,
            self.reach,
            recall=recall,
            seed=self.seed,
            resources=self.resources,
            name=name,
        )
        moved = np.flatnonzero(found >= 0)[::-1]  # of a small cluster the first image decides
        to = np.arange(self.label.max() + 1)
        to[self.label[rows[moved]]] = self.large[found[moved]]
        before = self.label[rows]
        self.label[rows] = to[before]
        self.free = rows[to[before] == before]
        return len(rows) - len(self.free)


def cluster(
    packed: Packed,
    *,
    together: Any = (),
    apart: Any = (),
    chance: float = CHANCE,
    seed: int = 2026,
    resources: near.Resources | None = None,
) -> Clusters:
    """Clusters of hashes uint8[n, bits // 8], numbered by first appearance; see the module for how.

    together, apart: pairs of rows that a person has found to belong together, or not; both are honoured. chance: the
    share of images that a step may bring together with strangers. The same labels for the same seed, whatever `resources`
    it runs on. Plain pictures, whose hashes have few bits set or many, are near each other by chance: leave them out by
    their quality. Raises ValueError where the pairs contradict each other or name rows that are not there.

    >>> cluster(np.array([[0] * 32, [255] * 32, [1] + [0] * 31], np.uint8)).labels.tolist()
    [0, 1, 0]
    """
    resources = resources or near.Resources()
    _check(len(check_hashes(packed)), together, apart)
    law = fit_null_model(packed, seed, resources.workers)
    run = _Run(packed, law, chance, seed, resources)
    labels = renumber(apply_corrections(packed, run.rounds(), together, apart, resources.workers))
    none = packed[:0], labels[:0]
    return _kept(
        labels,
        np.arange(len(packed)),
        packed,
        *none,
        Clusters(labels, *none, labels, law, max(0, run.link), run.reach),
    )


def _check(n: int, together: Any, apart: Any) -> None:
    if found := find_contradiction(n, together, apart):
        raise ValueError(
            f"rows {found[0]} and {found[1]} are to be apart, and together by other pairs"
        )


def _kept(
    labels: Labels, rows: Labels, packed: Packed, centres: Packed, whose: Labels, settings: Clusters
) -> Clusters:
    """Clusters with these labels: the given centres and whose they are, and those of the clusters that have none yet.

    packed are the hashes of the rows, which are those of all clusters without a centre.
    """
    size, mine = np.bincount(labels).astype(np.int64), labels[rows]
    small, large = size[mine] < FEW, np.flatnonzero(size[mine] >= FEW)
    order, start = group_rows(mine[large])
    whose = np.concatenate([whose, mine[small], mine[large[order[start[:-1]]]]])
    centres = np.concatenate([centres, packed[small], majority_bits(packed, large[order], start)])
    order = np.argsort(whose, kind="stable")
    return replace(settings, labels=labels, centres=centres[order], cluster=whose[order], size=size)


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
    """The clusters with new hashes taken in: labels of the old images, which stay as they are, then of the new.

    A new image goes to the nearest centre that is nearer than chance allows, else to the nearest old image that is
    alone or one of two; what is left is clustered, and numbered from len(clusters.size) on. A cluster that only
    now has FEW images gets its centre; those of larger ones stay as they are, and stand for old images that a person
    has parted from them. A number whose cluster was joined to another stays without images. Rows in `together` and
    `apart`, which old and new images may be named in, count old images first. Work grows with the new images and, less,
    with the centres that they are compared with. ValueError where hashes differ in length.
    """
    if check_hashes(new, "new").shape[1] != clusters.centres.shape[1]:
        raise ValueError(
            f"new hashes have {8 * new.shape[1]} bits, the clusters' have {8 * clusters.centres.shape[1]}"
        )
    _check(len(clusters.labels) + len(new), together, apart)
    resources, law = resources or near.Resources(), clusters.null_model
    big = clusters.size[clusters.cluster] >= FEW
    run = _Run(new, law, chance, seed, resources)

    def join(rows: Labels, held: npt.NDArray[np.bool_], name: str) -> Labels:
        if not len(rows) or not held.any():
            return np.full(len(rows), -1)
        radius = run.radius(rows, clusters.centres[held], chance * len(new), 0.0)
        found = near.find_nearest(
            new[rows], clusters.centres[held], radius, seed=seed, resources=resources, name=name
        )
        return np.where(found >= 0, clusters.cluster[held][found], -1)

    ours = join(np.arange(len(new)), big, "to old centres")
    rest = np.flatnonzero(ours < 0)
    beside = join(rest, ~big, "to old images")
    group = renumber(_Run(new[rest], law, chance, seed, resources).rounds())
    number = np.full(group.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(number, group[beside >= 0], beside[beside >= 0])
    fresh = number == np.iinfo(np.int64).max
    number[fresh] = len(clusters.size) + np.arange(fresh.sum())
    ours[rest] = number[group]
    labels = np.concatenate([clusters.labels, ours])
    # Old images are stood for by a centre of their cluster, and small clusters' by themselves, in the order of rows.
    first = np.searchsorted(clusters.cluster, clusters.labels)
    alone = np.flatnonzero(clusters.size[clusters.labels] < FEW)
    alone = alone[np.argsort(clusters.labels[alone], kind="stable")]
    everything = np.concatenate([clusters.centres[first], new])
    everything[alone] = clusters.centres[~big]
    labels = apply_corrections(everything, labels, together, apart, resources.workers)
    number, at = np.unique(clusters.labels, return_index=True)
    whose = labels[at[np.searchsorted(number, clusters.cluster[big])]]
    large = np.bincount(labels)[whose] >= FEW  # what was parted by hand may be small now
    whose, centres = whose[large], clusters.centres[big][large]
    rows = np.flatnonzero(~np.isin(labels, whose))
    return _kept(labels, rows, everything[rows], centres, whose, clusters)
