"""What stands behind the controls of notebooks 05 and 06: pairs at a threshold, groups of pictures, what many take."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from finlib.hashing.images import open_rgb
from finlib.matching.pairs import distance_histogram, neighbours
from workbook.report import plots, style
from workbook.study import hard_cases

MOST = 16  # pictures of a contact sheet
SIDE = 240  # pixels; longer side of a picture there


@dataclass(frozen=True)
class Threshold:
    """Labelled pictures and their packed hashes by method: which pairs a threshold gets right, and which wrong."""

    paths: Sequence[str]
    labels: npt.NDArray[Any]
    packed: Mapping[str, npt.NDArray[np.uint8]]

    @cached_property
    def pairs(self) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
        """By method the pairs of one family, and the closest pair of each two families: columns i, j, distance."""
        rows = [np.flatnonzero(self.labels == family) for family in np.unique(self.labels)]
        i, j = np.concatenate(
            [part[np.array(np.triu_indices(len(part), 1))] for part in rows], axis=1
        )
        return {name: (self._apart(name, i, j), self._closest(name)) for name in self.packed}

    def _apart(self, name: str, i: Any, j: Any) -> pd.DataFrame:
        distance = np.bitwise_count(self.packed[name][i] ^ self.packed[name][j]).sum(
            axis=1, dtype=np.int64
        )
        return pd.DataFrame({"i": i, "j": j, "distance": distance}).sort_values(
            "distance", kind="stable"
        )

    def _closest(self, name: str) -> pd.DataFrame:
        return hard_cases.closest_nonmatching(
            self.packed[name], self.labels, 7 * self.packed[name].shape[1] // 2
        )

    def draw(self, method: str, threshold: int) -> Figure:
        """Four pairs of one family around the threshold and the four closest of strangers, right or wrong at it."""
        relatives, strangers = self.pairs[method]
        at = int(np.searchsorted(relatives["distance"], threshold, side="right"))
        shown = [
            relatives.iloc[max(0, min(at, len(relatives) - 2) - 2) :].head(4),
            strangers.head(4),
        ]
        fig, axes = plt.subplots(2, 8, figsize=(style.WIDTH, 3))
        for row, part, family in zip(axes, shown, (True, False), strict=True):
            plots.gallery(
                [open_rgb(self.paths[k]) for k in part[["i", "j"]].to_numpy().ravel()],
                [""] * 2 * len(part),
                row,
            )
            for ax, pair in zip(row[::2], part.itertuples(), strict=False):
                matched = pair.distance <= threshold
                right, said = matched == family, "matched" if matched else "not matched"
                box = {"fc": "white", "ec": "black", "lw": 1 + right, "ls": "-" if right else ":"}
                text = f"{pair.distance} bits, {said}: {'right' if right else 'WRONG'}"
                ax.set_title(
                    text, x=1.1, y=-0.38, fontsize=7, fontweight="normal", loc="center", bbox=box
                )
            row[0].text(-0.2, 0.5, "one family" if family else "strangers", rotation=90, va="center", fontsize=8,
                        transform=row[0].transAxes)  # fmt: skip
        found = at / max(1, len(relatives))
        false = int((strangers["distance"] <= threshold).sum())
        title = f"{style.label(method)} at {threshold} bits finds {found:.1%} of family pairs"
        return style.headline(fig, f"{title} and confuses {false:,} pairs of families")


@dataclass(frozen=True)
class Browser:
    """Pictures in clusters, numbered from 1 by size, and in families where these are known: else "" each."""

    paths: Sequence[str]
    packed: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    families: Sequence[str]

    @cached_property
    def pictures(self) -> pd.DataFrame:
        """A row a picture: columns path, family, cluster."""
        size = np.bincount(self.labels)
        number = np.empty(len(size), np.int64)
        number[np.argsort(-size, kind="stable")] = np.arange(1, len(size) + 1)
        return pd.DataFrame(
            {"path": self.paths, "family": self.families, "cluster": number[self.labels]}
        )

    @cached_property
    def views(self) -> dict[str, list[npt.NDArray[np.int64]]]:
        """Groups of rows by what one may want to look at: clusters, the largest first; mixed ones; split families.

        Mixed are clusters of several families, split the families in several clusters; those with the most pictures
        outside their commonest family, or largest cluster, come first. Without families there are clusters alone.
        """
        found = {"clusters": self._groups("cluster")}
        if any(self.families):
            found["mixed clusters"] = self._groups("cluster", "family")
            found["split families"] = self._groups("family", "cluster")
        return found

    def _groups(self, by: str, other: str = "") -> list[npt.NDArray[np.int64]]:
        """Rows of each value of a column; with `other` of those with several of its values, the most mixed first."""
        whole = self.pictures.groupby(by)
        rows = np.split(
            np.argsort(whole.ngroup().to_numpy(), kind="stable"), np.cumsum(whole.size())[:-1]
        )
        if not other:
            return rows
        commonest = self.pictures.groupby([by, other]).size().groupby(level=0).max()
        outside = (whole.size() - commonest).to_numpy()
        return [rows[place] for place in np.argsort(-outside, kind="stable") if outside[place]]

    def sheet(self, view: str = "clusters", number: int = 1) -> Figure:
        """The contact sheet of the view's group of that number, or its last; pictures of the rarest kind come first."""
        groups = self.views[view]
        if not groups:
            return style.headline(
                plt.figure(figsize=(style.WIDTH, 0.4)), f"There are no {view} here"
            )
        number = min(number, len(groups))
        alone = view == "clusters" and len(groups[0]) == 1
        part = self.pictures.iloc[self._nearest() if alone and number == 1 else groups[number - 1]]
        kind = "cluster" if view == "split families" else "family"
        first = part.iloc[
            np.argsort(part[kind].map(part[kind].value_counts()), kind="stable")[:MOST]
        ]
        named = [
            f"{kind} {value}" if value else Path(path).name[:14]
            for value, path in zip(first[kind], first["path"], strict=True)
        ]
        shown = []
        for path in first["path"]:
            shown.append(open_rgb(path))
            shown[-1].thumbnail((SIDE, SIDE))
        fig, axes = plt.subplots(
            -(-len(shown) // 8), 8, figsize=(style.WIDTH, 0.4 + 1.05 * -(-len(shown) // 8))
        )
        plots.gallery(shown, named, axes)
        return style.headline(fig, self._title(view, number, part))

    def _title(self, view: str, number: int, part: pd.DataFrame) -> str:
        count, images = (
            len(self.views[view]),
            f"{len(part):,} images" if len(part) > 1 else "1 image",
        )
        if view == "split families":
            family, clusters = part["family"].iloc[0], part["cluster"].nunique()
            return f"Split family {number} of {count:,}: {images} of family {family} are in {clusters} clusters"
        across = np.flatnonzero(distance_histogram(self.packed[part.index])).max(initial=0)
        if part["cluster"].nunique() > 1:
            return f"No two of these {len(self.pictures):,} images make a cluster: the nearest are {across} bits apart"
        kinds = part["family"].nunique()
        of = f" of {kinds} {'family' if kinds == 1 else 'families'}" if any(self.families) else ""
        return f"{view[:-1].capitalize()} {number} of {count:,}: {images}{of}, at most {across} bits apart"

    def _nearest(self) -> npt.NDArray[np.int64]:
        """The two pictures that are the least apart, or the only one."""
        found = neighbours(self.packed, k=1)
        if not len(found.distance):
            return np.arange(len(self.packed))
        place = int(found.distance.argmin())
        return np.array(
            [np.searchsorted(found.indptr, place, side="right") - 1, found.indices[place]]
        )

    def listed(self, view: str) -> pd.DataFrame:
        """The files of a view's groups, in its order: columns number, cluster, family and path."""
        rows = [
            self.pictures.iloc[rows].assign(number=number)
            for number, rows in enumerate(self.views[view], 1)
        ]
        whole = pd.concat([self.pictures.iloc[:0].assign(number=0), *rows])
        return whole[["number", "cluster", "family", "path"]]

    def export(self, folder: str | Path, view: str = "clusters", number: int = 1) -> str:
        """Write what `listed` gives to a CSV in `folder`, and say where. `number` only tells which sheet is seen."""
        path = Path(folder, f"06_listed_{view.replace(' ', '_')}.csv")
        listed = self.listed(view)
        listed.to_csv(path, index=False)
        return f"{len(listed):,} files of {len(self.views[view]):,} {view}: {path}"


def calculator(
    ways: Callable[..., pd.DataFrame],
    *,
    images: float = 1e8,
    cores: int = 640,
    dollars: float = 0.05,
    precision: str = "0.9",
    recall: str = "0.95",
) -> Figure:
    """Core hours of each way (`costs.ways` but for sizes) by number of images; in words, what the chosen number takes.

    dollars: for a core hour. precision: wanted, of the pairs found; recall: of the pairs within the threshold.
    """
    wanted: dict[str, Any] = {"precision": float(precision), "recall": float(recall)}
    curves, chosen = (
        ways(images=np.geomspace(1e5, 1e10, 40), **wanted),
        ways(images=[images], **wanted).iloc[0],
    )
    fig, ax = plt.subplots(figsize=(style.WIDTH, 3.2))
    for name, line in (("hashing", "--"), ("every pair", ":"), ("buckets", "-")):
        hours = chosen[name]
        label = f"{name}: {_short(hours)} core hours, {_short(hours / cores)} h, USD {_short(hours * dollars)}"
        ax.loglog(curves["images"], curves[name], line, color="black", label=label)
    ax.axvline(images, color=style.NEUTRAL, linewidth=0.8)
    ax.legend(fontsize=7.5)
    ax.set(xlabel="images (log scale)", ylabel="core hours (log scale)")
    told = f"no threshold keeps a precision of {precision}"
    if np.isfinite(chosen["threshold"]):
        told = f"at a precision of {precision} the threshold is {chosen['threshold']:.0f} bits, which finds "
        told += f"{chosen['found']:.0%} with {_short(chosen['false_pairs'])} false pairs; "
        told += f"buckets hold {_short(chosen['memory_gb'])} GB"
    return style.headline(fig, f"{images:,.0f} images on {cores:,} cores: {told}")


def _short(number: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{float(f'{number:.3g}'):,.10g}"
