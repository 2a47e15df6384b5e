"""What stands behind the controls of notebooks 05 and 06.

`Threshold` shows which pairs a threshold gets right and which wrong, `Browser` shows groups of
pictures, and `calculator` shows what many images cost.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import open_rgb
from finlib.matching.distances import get_distance
from finlib.matching.pairs import distance_histogram, neighbours
from workbook.report import plots, style
from workbook.study import hard_cases

if TYPE_CHECKING:
    from workbook.report.chooser import Chosen

COLUMNS = 8
"""Pictures side by side in a figure."""

MOST_PICTURES = 16
"""Pictures on a contact sheet."""

SIDE = 240
"""Pixels; the longer side of a picture on a contact sheet."""

NAME_LENGTH = 14
"""How much of a file's name fits under a picture."""

PAIRS_SHOWN = 4
"""Pairs in each row of the figure of a threshold."""


# A threshold ---------------------------------------------------------------------------------


class FamilyPairs(NamedTuple):
    """Pairs of pictures by one method, the closest first.

    Columns i and j (places of the pictures) and distance (bits).

    matching: all pairs within a family. nonmatching: the closest pair of each two families.
    """

    matching: pd.DataFrame
    nonmatching: pd.DataFrame


@dataclass(frozen=True)
class Threshold:
    """Shows which pairs of labelled pictures a threshold gets right, and which wrong.

    paths: of the pictures. labels: their families. packed: by method, the hashes uint8[n, bits //
    8]. distances: by method, the name of its distance where that is not "hamming".
    """

    paths: Sequence[str]
    labels: NDArray[Any]
    packed: Mapping[str, NDArray[np.uint8]]
    distances: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> dict[str, FamilyPairs]:
        """The pairs of pictures, by method."""
        i, j = self._pairs_within_families()
        by_method = {}
        for method, packed in self.packed.items():
            distance = self.distances.get(method, "hamming")
            largest = get_distance(distance, packed.shape[1]).largest
            nonmatching = hard_cases.closest_nonmatching(
                packed, self.labels, largest, distance=distance
            )
            matching = pair_distances(packed, i, j, distance)
            by_method[method] = FamilyPairs(matching, nonmatching)
        return by_method

    def _pairs_within_families(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places i < j of both pictures of each pair within a family."""
        firsts = []
        seconds = []
        for family in np.unique(self.labels):
            members = np.flatnonzero(self.labels == family)
            first, second = np.triu_indices(len(members), 1)
            firsts.append(members[first])
            seconds.append(members[second])
        return np.concatenate(firsts), np.concatenate(seconds)

    def draw(self, method: str, threshold: int) -> Figure:
        """Show what a threshold in bits does to pairs that are close to it.

        The upper row has four matching pairs around the threshold, the lower row the four closest
        pairs of different families.

        A box under each pair says whether the threshold is right or wrong about it. The title
        counts all pairs.
        """
        matching, nonmatching = self.pairs[method]
        is_within = (matching["distance"] <= threshold).to_numpy()
        around = first_around(matching, int(is_within.sum()))
        fig, axes = plt.subplots(2, COLUMNS, figsize=(style.WIDTH, 3))
        self._draw_pairs(
            axes[0],
            around,
            threshold,
            are_matching=True,
        )
        self._draw_pairs(
            axes[1],
            nonmatching.head(PAIRS_SHOWN),
            threshold,
            are_matching=False,
        )
        share_found = is_within.sum() / max(1, len(matching))
        false_pairs = int((nonmatching["distance"] <= threshold).sum())
        title = f"{style.label(method)} at {threshold} bits finds {share_found:.1%} of family pairs"
        confused = style.count_of(false_pairs, "pair")
        return style.headline(fig, f"{title} and confuses {confused} of families")

    def _draw_pairs(
        self,
        row: Any,
        pairs: pd.DataFrame,
        threshold: int,
        *,
        are_matching: bool,
    ) -> None:
        """Show pairs of pictures on a row of Axes, two for each pair."""
        places = pairs[["i", "j"]].to_numpy().ravel()
        pictures = [open_rgb(self.paths[place]) for place in places]
        plots.gallery(pictures, [""] * len(pictures), row)
        for ax, distance in zip(row[::2], pairs["distance"], strict=False):
            draw_verdict(ax, distance, threshold, are_matching=are_matching)
        row[0].text(
            -0.2,
            0.5,
            "one family" if are_matching else "two families",
            rotation=90,
            va="center",
            fontsize=8,
            transform=row[0].transAxes,
        )


def pair_distances(
    packed: NDArray[np.uint8],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distance: str = "hamming",
) -> pd.DataFrame:
    """The distances of pairs of hashes, the closest first: columns i, j and distance (bits).

    The argument `distance` names the distance to compare by.
    """
    measure = get_distance(distance, packed.shape[1])
    bits = measure.between(packed[i], packed[j])
    table = pd.DataFrame({"i": i, "j": j, "distance": bits})
    return table.sort_values("distance", kind="stable")


def first_around(pairs: pd.DataFrame, within: int) -> pd.DataFrame:
    """Four pairs around the threshold: two within it and two beyond it.

    Where there are fewer on one side, there are more from the other.

    within: how many of the sorted pairs are within the threshold.
    """
    half = PAIRS_SHOWN // 2
    middle = min(within, len(pairs) - half)
    start = max(0, middle - half)
    return pairs.iloc[start : start + PAIRS_SHOWN]


def draw_verdict(
    ax: Axes,
    distance: int,
    threshold: int,
    *,
    are_matching: bool,
) -> None:
    """Say under the first picture of a pair whether the threshold is right about it.

    The box is solid if it is right, and dotted if it is wrong.
    """
    is_matched = distance <= threshold
    is_right = is_matched == are_matching
    decision = "matched" if is_matched else "not matched"
    verdict = "right" if is_right else "WRONG"
    box = {
        "facecolor": "white",
        "edgecolor": "black",
        "linewidth": 2 if is_right else 1,
        "linestyle": "-" if is_right else ":",
    }
    ax.set_title(
        f"{distance} bits, {decision}: {verdict}",
        x=1.1,
        y=-0.38,
        fontsize=7,
        fontweight="normal",
        loc="center",
        bbox=box,
    )


# One picture's matches -----------------------------------------------------------------------


@dataclass(frozen=True)
class Matches:
    """Shows which pictures match one of them, or one that is dropped, at a threshold.

    paths: of the pictures. hasher: by whose hashes they are compared.
    """

    paths: Sequence[str]
    hasher: str = "find"

    @cached_property
    def packed(self) -> NDArray[np.uint8]:
        """The pictures' hashes, uint8[n, bits // 8]."""
        hash_file = get_hasher(self.hasher).from_file
        return np.stack([hash_file(path) for path in self.paths])

    def nearest(self, packed: NDArray[np.uint8], without: int | None = None) -> pd.DataFrame:
        """The pictures by their distance from a hash, the nearest first: path and distance (bits).

        without: the place of a picture that is left out, because it is the one that is asked for.
        """
        distance = np.bitwise_count(self.packed ^ packed).sum(axis=1, dtype=np.int64)
        table = pd.DataFrame({"path": self.paths, "distance": distance})
        if without is not None:
            table = table.drop(index=without)
        return table.sort_values("distance", kind="stable")

    def draw(
        self,
        picture: "Chosen",
        threshold: int,
    ) -> Figure:
        """Draw a picture and its nearest ones; those within the threshold have a frame.

        picture: what was chosen, by its place in `paths` or as a file of its own. threshold: the
        most bits that may differ in a match.
        """
        asked = picture.open()
        nearest = self.nearest(get_hasher(self.hasher).from_image(asked), picture.place)
        shown = nearest.head(2 * COLUMNS - 1)
        fig, axes = plt.subplots(2, COLUMNS, figsize=(style.WIDTH, 2.7))
        panels = [*axes[0], *axes[1]]
        pictures = [asked, *[open_small(path) for path in shown["path"]]]
        captions = ["this picture", *[f"{distance} bits" for distance in shown["distance"]]]
        plots.gallery(pictures, captions, panels)
        for ax, distance in zip(panels[1:], shown["distance"], strict=False):
            frame_match(ax, is_match=distance <= threshold)
        count = int((nearest["distance"] <= threshold).sum())
        verb = "matches" if count == 1 else "match"
        title = f"{count:,} of {style.count_of(len(nearest), 'other picture')} {verb}"
        return style.headline(fig, f"{title}: at most {threshold} bits of 256 differ")


def frame_match(ax: Axes, *, is_match: bool) -> None:
    """Frame a picture that matches, and let one that does not fade."""
    if not is_match:
        ax.images[0].set_alpha(0.35)
        return
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color="black", linewidth=2.5)


# Groups of pictures --------------------------------------------------------------------------


@dataclass(frozen=True)
class Browser:
    """Shows the pictures of clusters and families as contact sheets.

    paths: of the pictures. packed: their hashes, uint8[n, bits // 8]. labels: their clusters, 0 to
    the number of clusters minus 1. families: of each picture, or "" for all where they are not
    known.
    """

    paths: Sequence[str]
    packed: NDArray[np.uint8]
    labels: NDArray[np.int64]
    families: Sequence[str]

    @cached_property
    def pictures(self) -> pd.DataFrame:
        """A row for each picture: columns path, family and cluster.

        Clusters are numbered from 1, the largest first.
        """
        size = np.bincount(self.labels)
        by_size = np.argsort(-size, kind="stable")
        number = np.empty(len(size), np.int64)
        number[by_size] = np.arange(1, len(size) + 1)
        return pd.DataFrame(
            {"path": self.paths, "family": self.families, "cluster": number[self.labels]}
        )

    @cached_property
    def views(self) -> dict[str, list[NDArray[np.int64]]]:
        """The groups of pictures to look at, by the name of the view.

        A group is an array of rows of `pictures`.

        "clusters" are all clusters, the largest first. "mixed clusters" contain several families,
        and "split families" are spread over several clusters; those with the most pictures outside
        their commonest family, or their largest cluster, come first. Without families there are
        only clusters.
        """
        views = {"clusters": group_rows(self.pictures, "cluster")}
        if any(self.families):
            views["mixed clusters"] = mixed_groups(self.pictures, "cluster", "family")
            views["split families"] = mixed_groups(self.pictures, "family", "cluster")
        return views

    def sheet(self, view: str = "clusters", number: int = 1) -> Figure:
        """Draw the contact sheet of one group of a view.

        number: of the group, counted from 1; if there are not so many, the last one is drawn.

        Pictures of the rarest family come first, or those of the rarest cluster in a split family.
        """
        groups = self.views[view]
        if not groups:
            empty = plt.figure(figsize=(style.WIDTH, 0.4))
            return style.headline(empty, f"There are no {view} here")
        number = min(number, len(groups))
        rows = groups[number - 1]
        has_only_lone_pictures = view == "clusters" and len(groups[0]) == 1
        if has_only_lone_pictures and number == 1:
            rows = closest_pair(self.packed)
        group = self.pictures.iloc[rows]
        kind = "cluster" if view == "split families" else "family"
        return style.headline(draw_sheet(group, kind), self._title(view, number, group))

    def _title(
        self,
        view: str,
        number: int,
        group: pd.DataFrame,
    ) -> str:
        """Say what a sheet shows."""
        place = f"{number} of {len(self.views[view]):,}"
        images = style.count_of(len(group), "image")
        if view == "split families":
            family = group["family"].iloc[0]
            clusters = group["cluster"].nunique()
            spread = style.count_of(clusters, "cluster")
            return f"Split family {place}: {images} of family {family} are in {spread}"
        histogram = distance_histogram(self.packed[group.index])
        largest_distance = np.flatnonzero(histogram).max(initial=0)
        if group["cluster"].nunique() > 1:
            return (
                f"No two of these {len(self.pictures):,} images make a cluster: "
                f"the nearest are {largest_distance} bits apart"
            )
        kind = view[:-1].capitalize()
        families = self._count_families(group)
        return f"{kind} {place}: {images}{families}, at most {largest_distance} bits apart"

    def _count_families(self, group: pd.DataFrame) -> str:
        """The number of a group's families in words; "" where families are not known."""
        if not any(self.families):
            return ""
        count = group["family"].nunique()
        return " of 1 family" if count == 1 else f" of {count} families"

    def listed(self, view: str) -> pd.DataFrame:
        """List the files of a view's groups, in its order.

        Columns: number (of the group), cluster, family and path.
        """
        # The empty table gives the result its columns where the view has no groups.
        tables = [self.pictures.iloc[:0].assign(number=0)]
        for number, rows in enumerate(self.views[view], 1):
            tables.append(self.pictures.iloc[rows].assign(number=number))
        return pd.concat(tables)[["number", "cluster", "family", "path"]]

    def export(
        self,
        folder: str | Path,
        view: str = "clusters",
        number: int = 1,
    ) -> str:
        """Write the files of all groups of a view to a CSV file in a folder.

        Returns a sentence that says where the file is.

        number: of the sheet that is seen, which makes no difference; the notebook's control passes
        it.
        """
        files = self.listed(view)
        path = _write_list(files, folder, view)
        groups = style.count_of(len(self.views[view]), view.removesuffix("s"), view)
        if view == "split families":
            groups = style.count_of(len(self.views[view]), "split family", view)
        return f"{style.count_of(len(files), 'file')} of {groups}: {path}"

    def export_sheet(
        self,
        folder: str | Path,
        view: str = "clusters",
        number: int = 1,
    ) -> str:
        """Write the files of the sheet that is seen to a CSV file in a folder.

        Returns a sentence that says where the file is.
        """
        number = min(number, len(self.views[view]))
        files = self.listed(view)
        files = files[files["number"] == number]
        path = _write_list(files, folder, f"{view} {number}")
        return f"{style.count_of(len(files), 'file')} of {view}, number {number}: {path}"


def _write_list(files: pd.DataFrame, folder: str | Path, name: str) -> Path:
    """Write a list of files to a CSV file of that name in a folder; returns its path."""
    path = Path(folder, f"06_listed_{name.replace(' ', '_')}.csv")
    files.to_csv(path, index=False)
    return path


def group_rows(pictures: pd.DataFrame, column: str) -> list[NDArray[np.int64]]:
    """The rows with each value of a column, in the order of the values."""
    groups = pictures.groupby(column)
    rows = np.argsort(groups.ngroup().to_numpy(), kind="stable")
    starts = np.cumsum(groups.size())[:-1]
    return np.split(rows, starts)


def mixed_groups(
    pictures: pd.DataFrame,
    column: str,
    other: str,
) -> list[NDArray[np.int64]]:
    """The groups by one column that have several values of another one, the most mixed first.

    A group is the more mixed, the more of its pictures do not have its commonest value.
    """
    size = pictures.groupby(column).size()
    commonest = pictures.groupby([column, other]).size().groupby(level=0).max()
    outside = (size - commonest).to_numpy()
    groups = group_rows(pictures, column)
    order = np.argsort(-outside, kind="stable")
    return [groups[place] for place in order if outside[place] > 0]


def closest_pair(packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The places of the two hashes that are least apart; of a single hash, its own."""
    nearest = neighbours(packed, k=1)
    if len(nearest.distance) == 0:
        return np.arange(len(packed))
    place = int(nearest.distance.argmin())
    row = np.searchsorted(nearest.indptr, place, side="right") - 1
    return np.array([row, nearest.indices[place]])


def draw_sheet(group: pd.DataFrame, kind: str) -> Figure:
    """Draw the pictures of a group, those whose value of the column `kind` is rarest first."""
    frequency = group[kind].map(group[kind].value_counts())
    order = np.argsort(frequency, kind="stable")
    shown = group.iloc[order[:MOST_PICTURES]]
    captions = [
        f"{kind} {value}" if value else Path(path).name[:NAME_LENGTH]
        for value, path in zip(shown[kind], shown["path"], strict=True)
    ]
    pictures = [open_small(path) for path in shown["path"]]
    rows = math.ceil(len(pictures) / COLUMNS)
    fig, axes = plt.subplots(rows, COLUMNS, figsize=(style.WIDTH, 0.4 + 1.05 * rows))
    plots.gallery(pictures, captions, axes)
    return fig


def open_small(path: str) -> Image.Image:
    """A picture, shrunk to fit a contact sheet."""
    picture = open_rgb(path)
    picture.thumbnail((SIDE, SIDE))
    return picture


# What many images cost -----------------------------------------------------------------------


def calculator(
    ways: Callable[..., pd.DataFrame],
    *,
    images: float = 1e8,
    cores: int = 640,
    dollars: float = 0.05,
    precision: str = "0.9",
    recall: str = "0.95",
) -> Figure:
    """Draw the core hours of each way to match a number of images.

    The title and the legend say what the chosen number takes. The distances are those of the
    simulated hashes of notebook 06, which are drawn like FINd's.

    ways: `costs.ways` with everything given except the numbers of images, precision and recall.
    images: the chosen number. cores: that work at once. dollars: the price of a core hour.
    precision: the share of the pairs found that are to be right. recall: the share of the pairs
    within the threshold that are to be found.
    """
    wanted: dict[str, Any] = {"precision": float(precision), "recall": float(recall)}
    curves = ways(images=np.geomspace(1e5, 1e10, 40), **wanted)
    chosen = ways(images=[images], **wanted).iloc[0]
    fig, ax = plt.subplots(figsize=(style.WIDTH, 3.2))
    for name, line_style in (("hashing", "--"), ("every pair", ":"), ("buckets", "-")):
        hours = chosen[name]
        time = f"{short(hours)} core hours, {duration(hours / cores)}"
        cost = f"USD {short(hours * dollars)}"
        ax.loglog(
            curves["images"],
            curves[name],
            line_style,
            color="black",
            label=f"{name}: {time}, {cost}",
        )
    ax.axvline(images, color=style.NEUTRAL, linewidth=0.8)
    ax.legend(fontsize=7.5)
    ax.set(xlabel="images (log scale)", ylabel="core hours (log scale)")
    title = f"FINd's simulated distances, {images:,.0f} images, {cores:,} cores: "
    title += describe_threshold(chosen, precision)
    return style.headline(fig, title)


def describe_threshold(chosen: pd.Series, precision: str) -> str:
    """Say which threshold keeps a precision, and what it finds.

    chosen: a row of `costs.ways`.
    """
    if not np.isfinite(chosen["threshold"]):
        return f"no threshold keeps a precision of {precision}"
    return (
        f"at a precision of {precision} the threshold is {chosen['threshold']:.0f} bits, "
        f"which finds {chosen['found']:.0%} with {short(chosen['false_pairs'])} false pairs; "
        f"buckets hold {short(chosen['memory_gb'])} GB"
    )


def duration(hours: float) -> str:
    """A time in the unit that suits it: "2.3 min", "4.1 h", "12 days"."""
    if hours >= 48:
        return f"{short(hours / 24)} days"
    if hours >= 1:
        return f"{short(hours)} h"
    if hours >= 1 / 60:
        return f"{short(hours * 60)} min"
    return f"{short(hours * 3600)} s"


def short(number: float) -> str:
    """A number with three significant digits and without an exponent."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.10g}"
