"""Cluster hashes in rounds: unite near ones, give clusters centres, bring the rest to the centres.

Equal hashes are one to begin with, so that copies are never parted. Then each round does this.

1. Hashes are united that are nearer to each other than almost any two unrelated ones in a set of
   that size.
2. Clusters of FEW images or more get a centre, the majority of their bits, in which the
   differences between single images average out. Clusters of two families are split, images far
   from the centre of their cluster leave it, and clusters with near centres become one.
3. Images without a centre go to the nearest one, where it is nearer than chance explains.

The first round is careful, because what it unites wrongly stays together. Later rounds take the
remaining images with larger radii, until hardly any image moves.

Near images may form a chain, whose ends have nothing in common. So in the end no image is farther
from the centre of its cluster than a radius. Images that are leave their cluster, and are clustered
again among themselves.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finlib.clustering.centres import (
    Groups,
    Rows,
    distances_from_centres,
    group_rows,
    majority_bits,
    split_groups,
)
from finlib.clustering.radii import Settings, choose_radius
from finlib.matching import near
from finlib.matching.distances import get_distance
from finlib.matching.distinct import find_distinct
from finlib.matching.packed import Packed

Labels = npt.NDArray[np.int64]

FEW = 3  # images that a cluster must have for the majority of their bits to mean something
ROUNDS = 12  # at most
WRONG_SHARE = 0.02  # of the images that a step brings to a centre may be unrelated to it
SETTLED = 1e-3  # share of the images: a round in which no more than these move is the last


class Effort(NamedTuple):
    """How careful a round is, and how much of what is near it has to find."""

    caution: float  # factor of the share of images that may be brought together wrongly
    pair_recall: float  # share to be found of the pairs that are exactly the radius apart
    centre_recall: float  # share to be found of the images exactly the radius from a centre


FIRST_ROUND = Effort(caution=0.01, pair_recall=0.3, centre_recall=0.7)
LATER_ROUNDS = Effort(caution=1.0, pair_recall=0.8, centre_recall=0.95)


class Clusterer:
    """One clustering of a set of hashes while it is computed.

    packed: uint8[images, bits // 8], the hashes of all images. They are only read, and may be
        many more than fit into memory twice.
    image: int32[n], the first image of each distinct hash. These n hashes are what is clustered;
        below, a hash is given by its number from 0 to n - 1.
    number: int32[images], the number of each image's hash.
    label: int64[n], the cluster of each hash, numbered in no particular order.
    free: the hashes whose cluster has no centre, int32, ascending.
    centres: uint8[m, bits // 8]; centre_label: int64[m], the cluster of each.
    link_radius, centre_radius: the radii within which hashes were last united, and brought to a
        centre; -1 and 0 at the beginning.
    radius: no hash is farther than this from the centre of its cluster; 0 until the end.
    """

    def __init__(self, packed: Packed, settings: Settings) -> None:
        self.packed = packed
        self.image, first_image = find_distinct(packed)
        count = len(self.image)
        every_hash = np.arange(count, dtype=np.int32)
        number_of_first = np.empty(len(packed), np.int32)
        number_of_first[self.image] = every_hash
        self.number = number_of_first[first_image]
        self.settings = settings
        self.distance = get_distance(settings.distance, packed.shape[1])
        self.label: Labels = np.arange(count)
        self.free = every_hash
        self.centres = packed[:0]
        self.centre_label = self.label[:0]
        self.link_radius = -1
        self.centre_radius = 0
        self.radius = 0

    def run(self) -> Labels:
        """Do all rounds and return the images' labels, numbered in no particular order."""
        if len(self.image) > 1:
            self.do_rounds()
            self.cut_off_far_images()
        return self.label[self.number]

    def hashes(self, numbers: Rows) -> Packed:
        """The hashes with these ascending numbers; the caller's own array where these are all."""
        if len(numbers) == len(self.packed):
            return self.packed
        return self.packed[self.image[numbers]]

    def centres_of(self, groups: Groups) -> Packed:
        """The majority of the bits of each group, uint8[groups, bits // 8]."""
        images = self.image[groups.order]
        return majority_bits(self.packed, images, groups.start)

    def distances_from(self, centres: Packed, groups: Groups) -> Labels:
        """The distance of each hash from the centre of its group, int64[hashes], as in `order`."""
        images = self.image[groups.order]
        return distances_from_centres(self.packed, images, groups.start, centres, self.distance)

    def do_rounds(self) -> None:
        """Do rounds until hardly any image moves."""
        for number in range(1, ROUNDS + 1):
            effort = FIRST_ROUND if number == 1 else LATER_ROUNDS
            previous_radius = self.link_radius
            self.unite(effort, f"near pairs, round {number}")
            self.gather(effort, f"centres, round {number}")
            moved = self.bring(effort, f"to centres, round {number}")
            if len(self.free) < 2:
                break
            is_settled = moved <= SETTLED * len(self.image)
            if number > 1 and is_settled and self.link_radius == previous_radius:
                break

    def unite(self, effort: Effort, name: str) -> None:
        """Unite free images that are near each other. `name` is shown and names the checkpoint."""
        hashes = self.hashes(self.free)
        wrong = self._allowed(effort)
        radius = choose_radius(hashes, None, self.settings, wrong=wrong)
        if radius <= self.link_radius:
            return
        self.link_radius = radius
        forest = near.unite_near(
            hashes,
            radius,
            distance=self.settings.distance,
            recall=effort.pair_recall,
            seed=self.settings.seed,
            resources=self.settings.resources,
            name=name,
        )
        del hashes
        # What earlier rounds united stays together.
        label = self.label[self.free]
        count = len(label)
        places = np.arange(count, dtype=np.int32)
        labels = self.label.max() + 1
        first_place = np.empty(labels, np.int32)
        first_place[label[::-1]] = places[::-1]
        forest.take(places, first_place[label])
        roots = forest.roots()
        self.label[self.free] = label[roots]

    def gather(self, effort: Effort, name: str) -> None:
        """Give clusters of FEW or more images a centre, and unite those with near centres.

        Clusters of two families are split first. Images far from their centre become free.
        """
        small, large = _separate_small(group_rows(self.label))
        apart = self._radius_among_centres(effort)
        groups = self.split(large, apart)
        labels = self._label_parts(groups, large)
        self.centres = self.centres_of(groups)
        strays = self._find_strays(groups)
        forest = near.unite_near(
            self.centres,
            apart,
            distance=self.settings.distance,
            seed=self.settings.seed,
            resources=self.settings.resources,
            name=name,
        )
        self.centre_label = labels[forest.roots()]
        size = np.diff(groups.start)
        self.label[groups.order] = np.repeat(self.centre_label, size)
        self.label[strays] = self._new_labels(len(strays))
        without_centre = np.concatenate([small, strays])
        self.free = np.sort(without_centre)

    def split(self, groups: Groups, apart: int) -> Groups:
        """Split clusters of which two halves have centres that are more than `apart` apart."""
        images = self.image[groups.order]
        parts = split_groups(self.packed, images, groups.start, apart, self.distance)
        return Groups(self.number[parts.order], parts.start)

    def bring(self, effort: Effort, name: str) -> int:
        """Bring free images, and those united with them, to the nearest centre; return how many."""
        free = self.free
        if not len(self.centres) or not len(free):
            return 0
        hashes = self.hashes(free)
        self.centre_radius = choose_radius(
            hashes,
            self.centres,
            self.settings,
            wrong=self._allowed(effort),
            wrong_share=WRONG_SHARE,
        )
        nearest = near.find_nearest(
            hashes,
            self.centres,
            self.centre_radius,
            distance=self.settings.distance,
            recall=effort.centre_recall,
            seed=self.settings.seed,
            resources=self.settings.resources,
            name=name,
        )
        # Where several images of a cluster are near a centre, the first one decides: it is
        # assigned last.
        near_a_centre = np.flatnonzero(nearest >= 0)[::-1]
        centre = nearest[near_a_centre]
        before = self.label[free]
        new_label = np.arange(self.label.max() + 1)
        new_label[before[near_a_centre]] = self.centre_label[centre]
        after = new_label[before]
        self.label[free] = after
        self.free = free[after == before]
        return len(free) - len(self.free)

    def cut_off_far_images(self) -> None:
        """Make sure that no hash is farther than `radius` from the centre of its cluster.

        The centre is the majority of the bits of the cluster, without its copies; of two hashes it
        is the first. What is cut off is united among itself.
        """
        groups = _select_groups(group_rows(self.label), 2)
        count = len(groups.start) - 1
        self.radius = self._chance_radius(count)
        changed = groups
        while len(changed.order):
            far = self._find_far(changed)
            most_labels = self.label.max() + 1 + len(far)
            touched = np.zeros(most_labels, np.bool_)
            touched[self.label[far]] = True
            self.label[far] = self._unite_again(far)
            touched[self.label[far]] = True
            is_touched = touched[self.label]
            touched_hashes = np.flatnonzero(is_touched).astype(np.int32)
            changed = self._groups_of(touched_hashes, 2)

    def _groups_of(self, hashes: Rows, least: int) -> Groups:
        """The clusters of these hashes that have at least so many of them."""
        groups = _select_groups(group_rows(self.label[hashes]), least)
        return Groups(hashes[groups.order], groups.start)

    def _find_far(self, groups: Groups) -> Rows:
        """Hashes that are farther than `radius` from the centre of their group.

        Where all of a group are, the one nearest to the centre stays, so that a cluster that is cut
        up becomes smaller every time.
        """
        centres = self.centres_of(groups)
        distance = self.distances_from(centres, groups)
        nearest = np.minimum.reduceat(distance, groups.start[:-1])
        size = np.diff(groups.start)
        group = np.repeat(np.arange(len(size)), size)
        is_far = distance > self.radius
        is_nearest = distance == nearest[group]
        nearest_places = np.flatnonzero(is_far & is_nearest)
        _, first = np.unique(group[nearest_places], return_index=True)
        is_far[nearest_places[first]] = False
        return np.sort(groups.order[is_far])

    def _unite_again(self, hashes: Rows) -> Labels:
        """New labels for these hashes, equal ones where near pairs connect them."""
        forest = near.unite_near(
            self.hashes(hashes),
            max(0, self.link_radius),
            distance=self.settings.distance,
            recall=LATER_ROUNDS.pair_recall,
            seed=self.settings.seed,
            resources=near.Resources(self.settings.resources.workers),
        )
        first = self.label.max() + 1
        return first + forest.roots()

    def _chance_radius(self, centres: int) -> int:
        """The radius beyond which a hash is taken to be unrelated to its centre.

        It is at least the radii within which hashes are brought together.
        """
        share = self.settings.chance / max(1, centres)
        chance_radius = self.settings.null_model.radius(share)
        return max(self.link_radius, self.centre_radius, chance_radius)

    def _allowed(self, effort: Effort) -> float:
        """The number of images that a step may bring together with unrelated ones."""
        return effort.caution * self.settings.chance * len(self.image)

    def _radius_among_centres(self, effort: Effort) -> int:
        """The distance up to which two centres are taken to be of one family."""
        wrong = effort.caution * self.settings.chance
        share = wrong / len(self.image)
        return self.settings.null_model.radius(share)

    def _label_parts(self, groups: Groups, whole: Groups) -> Labels:
        """The label of each group: its cluster's, or a new one for a part that was split off."""
        first_places = groups.start[:-1]
        first_hashes = groups.order[first_places]
        labels = self.label[first_hashes]
        is_new = ~np.isin(first_places, whole.start)
        count = int(is_new.sum())
        labels[is_new] = self._new_labels(count)
        return labels

    def _new_labels(self, count: int) -> Labels:
        """Labels that no cluster has."""
        first = self.label.max() + 1
        return first + np.arange(count)

    def _find_strays(self, groups: Groups) -> Rows:
        """Hashes that are farther from the centre of their group than chance explains."""
        distance = self.distances_from(self.centres, groups)
        radius = self._chance_radius(len(self.centres))
        return groups.order[distance > radius]


def _separate_small(groups: Groups) -> tuple[Rows, Groups]:
    """The rows of groups of fewer than FEW images, and the other groups."""
    size = np.diff(groups.start)
    is_small = np.repeat(size < FEW, size)
    return groups.order[is_small], _select_groups(groups, FEW)


def _select_groups(groups: Groups, least: int) -> Groups:
    """The groups that have at least so many rows."""
    size = np.diff(groups.start)
    is_large = size >= least
    end = np.cumsum(size[is_large])
    start = np.append(0, end)
    is_kept = np.repeat(is_large, size)
    return Groups(groups.order[is_kept], start)
