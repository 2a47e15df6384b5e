"""Near copies found and missed by method: what `python -m workbook copies` records.

The built-in templates are always there, and other sets are folders of pictures. Copies are made of
at most PICTURES of each, drawn once; unrelated pairs are counted among all.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from finlib.hashing.images import list_images
from workbook.report import plots, style
from workbook.report.record import Recorder, usable_cores
from workbook.study import copies
from workbook.study.families import FAMILIES
from workbook.study.templates import template

PICTURES = 40
SEED = 2026


def record(sets: Mapping[str, str | Path], out: str | Path = "figures") -> None:
    """Count the copies that are found, and write copies_*.csv, a figure and copies.json.

    sets: folders of pictures by the name that the set has in the tables.
    """
    recorder = Recorder("copies", out)
    found = []
    false = []
    for name, pictures in all_pictures(sets):
        drawn = np.random.default_rng(SEED).permutation(len(pictures))[:PICTURES]
        found.append(find_copies([pictures[place] for place in drawn]).assign(set=name))
        false.append(copies.count_false(hash_originals(pictures)).assign(set=name))
        print(f"copies: {name} is done, {len(pictures)} pictures", flush=True)
    by_set = pd.concat(found, ignore_index=True)
    recorder.table("by_set", by_set, key=["set", "kind", "method"])
    recorder.table("false", pd.concat(false, ignore_index=True), key=["set", "method"])
    pooled = pool_sets(by_set)
    recorder.figure("found", draw(pooled), pooled, key=["kind", "method"])
    recorder.number("pictures", PICTURES)
    recorder.save()


def all_pictures(sets: Mapping[str, str | Path]) -> Iterator[tuple[str, list[Image.Image]]]:
    """The pictures of each set, the built-in one first."""
    yield "built-in", [template(family, SEED) for family in range(FAMILIES)]
    for name, folder in sets.items():
        yield name, [open_with_alpha(path) for path in list_images(folder)]


def open_with_alpha(path: str | Path) -> Image.Image:
    """A picture with its transparency where it has any, else in RGB."""
    with Image.open(path) as image:
        if image.has_transparency_data:
            return image.convert("RGBA")
        return image.convert("RGB")


def find_copies(pictures: Sequence[Image.Image]) -> pd.DataFrame:
    """`copies.count_found` of some pictures."""

    def hash_one(picture: Image.Image) -> copies.HashedCopies:
        with tempfile.TemporaryDirectory() as folder:
            return copies.hash_copies(picture, Path(folder))

    with ThreadPoolExecutor(usable_cores()) as pool:
        hashed = list(pool.map(hash_one, pictures))
    return copies.count_found(hashed)


def hash_originals(pictures: Sequence[Image.Image]) -> dict[str, copies.Packed]:
    """The hashes of pictures as files without transparency, by hasher."""
    hashed = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "original.img")
        for picture in pictures:
            file.write_bytes(copies.write_plain(picture))
            hashed.append(copies.hash_file(file))
    return {name: np.stack([one[name] for one in hashed]) for name in hashed[0]}


def pool_sets(by_set: pd.DataFrame) -> pd.DataFrame:
    """The copies of all sets together: each set weighs as much as it has copies.

    Columns group, kind, method, copies, found, share, worst_set and worst (the smallest share).
    """
    groups = by_set.groupby(["group", "kind", "method"], sort=False)
    pooled = groups[["copies", "found"]].sum()
    pooled["share"] = pooled["found"] / pooled["copies"]
    worst = by_set.loc[groups["share"].idxmin()]
    pooled["worst_set"] = worst["set"].to_numpy()
    pooled["worst"] = worst["share"].to_numpy()
    return pooled.reset_index()


def draw(pooled: pd.DataFrame) -> Figure:
    """The share of copies that each method finds, by kind."""
    style.use_style()
    table = pooled.pivot(index="kind", columns="method", values="share")
    kinds = list(dict.fromkeys(pooled["kind"]))
    methods = list(dict.fromkeys(pooled["method"]))
    fig, ax = plt.subplots(figsize=(style.WIDTH, 8.6))
    plots.heat_map(table.loc[kinds, methods], ax, unit="share found")
    style.headline(fig, headline_of(pooled))
    return fig


def headline_of(pooled: pd.DataFrame) -> str:
    """What the figure shows, in a sentence computed from it."""
    best = pooled.groupby("kind", sort=False)["share"].max()
    missed = best.index[best < 0.5].tolist()
    if not missed:
        return "Every kind of copy is found more often than not by some method"
    return f"No method finds half of these copies: {', '.join(missed)}"
