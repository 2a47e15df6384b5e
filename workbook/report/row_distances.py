"""The row distance explored, chosen and judged: what `python -m workbook rows` records.

The built-in families are always there. Other sets are folders of images named FFFF_ID.ext, or of
templates, which are captioned. The choice is made on one half of the families of the built-in set
and of the sets given to explore; it is judged on the other halves and on all sets given to judge.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from finlib.hashing.execution import hash_files
from finlib.hashing.hashers import get_hasher
from finlib.hashing.tables import hashed_rows, packed_hashes
from workbook.report.record import Recorder
from workbook.study import families, hard_cases, row_distances
from workbook.study.row_distances import Choice

PER_TEMPLATE = 30
SEED = 2026


class HashedSet(NamedTuple):
    """The two hashes of the images of one set, and their families."""

    find: np.ndarray
    dhash: np.ndarray
    labels: np.ndarray

    def part(self, of_family: np.ndarray) -> "HashedSet":
        """The images that a mask takes."""
        return HashedSet(self.find[of_family], self.dhash[of_family], self.labels[of_family])


def record_row_distances(
    explore: Mapping[str, str | Path], judge: Mapping[str, str | Path], out: str | Path = "figures"
) -> None:
    """Explore, choose and judge, and write rows_*.csv and rows.json to the folder `out`.

    explore, judge: folders of images by the name that the set has in the tables.
    """
    recorder = Recorder("rows", out)
    halves = {}
    judged_sets = {}
    for name, folder in {"built-in": "", **explore}.items():
        whole = hash_set(folder)
        in_half = first_half(whole.labels)
        halves[name] = whole.part(in_half)
        judged_sets[f"{name}, other half"] = whole.part(~in_half)
    for name, folder in judge.items():
        judged_sets[name] = hash_set(folder)

    tried = row_distances.choices()
    explored = pd.concat([explore_set(name, part, tried) for name, part in halves.items()])
    plain = pd.concat([plain_of_set(name, part, tried) for name, part in halves.items()])
    recorder.table("explored", explored)
    recorder.table("plain", plain)
    alone, beside_find = row_distances.choose(explored, plain)
    recorder.number("cap", alone.cap)
    recorder.number("flat_bits", alone.flat_bits)
    recorder.number("weight", beside_find.weight)

    methods = {
        "dhash256": row_distances.HAMMING,
        "find+dhash256": row_distances.HAMMING._replace(weight=1),
        "dhash256-rows": alone,
        "find+dhash256-rows": beside_find,
    }
    frames = []
    for set_name, judged in judged_sets.items():
        for method, choice in methods.items():
            scores = explore_set(set_name, judged, [choice])
            frames.append(scores.assign(method=method, rate=scores["rate"].map("{:.0e}".format)))
    columns = ["set", "method", "rate", "tpr", "family_pairs"]
    recorder.table("judged", pd.concat(frames)[columns], key=["set", "method", "rate"])
    recorder.save()


def hash_set(folder: str | Path) -> HashedSet:
    """The hashes of a folder's images, or of the built-in families where it is ""."""
    images = families.dataset(folder, per_family=PER_TEMPLATE if not folder else 0, seed=SEED)
    tables = {name: hash_files(images["path"], name) for name in ("find", "dhash256")}
    readable = (tables["find"]["error"] == "") & (tables["dhash256"]["error"] == "")
    find = tables["find"][readable]
    return HashedSet(
        packed_hashes(find),
        packed_hashes(tables["dhash256"][readable]),
        hashed_rows(find)["family"].to_numpy(),
    )


def first_half(labels: np.ndarray) -> np.ndarray:
    """A mask of the images whose family is in the half to explore, drawn once and for all."""
    names = np.unique(labels)
    order = np.random.default_rng(SEED).permutation(len(names))
    return np.isin(labels, names[order[: len(names) // 2]])


def explore_set(name: str, hashed: HashedSet, tried: list[Choice]) -> pd.DataFrame:
    """`row_distances.explore` with a column `set`."""
    explored = row_distances.explore(hashed.find, hashed.dhash, list(hashed.labels), tried)
    return explored.assign(set=name)


def plain_of_set(name: str, hashed: HashedSet, tried: list[Choice]) -> pd.DataFrame:
    """`row_distances.plain_matched` for pictures with little detail, with a column `set`."""
    pictures = hard_cases.low_detail_images(SEED).values()
    find = np.stack([get_hasher("find").from_image(picture) for picture in pictures])
    dhash = np.stack([get_hasher("dhash256").from_image(picture) for picture in pictures])
    labels = list(hashed.labels)
    matched = row_distances.plain_matched(hashed.find, hashed.dhash, labels, find, dhash, tried)
    return matched.assign(set=name)
