"""What each method misses, and what finds it anyway: what `python -m workbook evasion` records.

The built-in templates are always there, and other sets are folders of pictures. Of each set,
PICTURES are drawn once.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from finlib.hashing.decoding import Picture
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import list_images, open_rgb
from workbook.report import plots, style
from workbook.report.record import Recorder, usable_cores
from workbook.study import copies, evasion, timing
from workbook.study.evidence import hasher_of
from workbook.study.families import FAMILIES
from workbook.study.templates import template
from workbook.study.transforms import TRANSFORMS

PICTURES = 30
SEED = 2026
JPEG_QUALITY = 90
QUANTILES = (0.1, 0.5, 0.9)
REPEATS = 5

Pictures = Sequence[Image.Image]
Prepare = Callable[[Image.Image], list[Image.Image]]
"""The pictures that are hashed in place of one."""


class Remedy(NamedTuple):
    """A change, and a way to find copies that were changed by it."""

    change: str
    name: str
    level: int
    """Of the transform's strengths, from 0."""
    query: Prepare
    """What is hashed of the copy."""
    stored: Prepare
    """What is hashed of the original."""


def record(sets: Mapping[str, str | Path], out: str | Path = "figures") -> None:
    """Measure the least changes, aimed noise and remedies; write evasion_*.csv and evasion.json.

    sets: folders of pictures by the name that the set has in the tables.
    """
    recorder = Recorder("evasion", out)
    least = []
    noise = []
    remedied = []
    for name, pictures in drawn_pictures(sets).items():
        least.append(measure_least(pictures).assign(set=name))
        noise.append(measure_noise(pictures).assign(set=name))
        remedied.append(measure_remedies(pictures).assign(set=name))
        print(f"evasion: {name} is done, {len(pictures)} pictures", flush=True)
    recorder.table("least", pd.concat(least, ignore_index=True), key=["set", "change", "method"])
    aimed = pd.concat(noise, ignore_index=True)
    recorder.table("noise", aimed, key=["set", "method"])
    recorder.figure("noise", draw_noise(aimed))
    remedies_table = pd.concat(remedied, ignore_index=True)
    recorder.table("remedies", remedies_table, key=["set", "remedy", "strength", "method"])
    recorder.table("cost", time_remedies(drawn_pictures({})["built-in"]), key="remedy")
    recorder.number("pictures", PICTURES)
    recorder.save()


def drawn_pictures(sets: Mapping[str, str | Path]) -> dict[str, list[Image.Image]]:
    """PICTURES of each set in RGB, drawn once, the built-in one first."""
    drawn = {"built-in": [template(family, SEED) for family in draw_places(FAMILIES)]}
    for name, folder in sets.items():
        paths = list_images(folder)
        drawn[name] = [open_rgb(paths[place]) for place in draw_places(len(paths))]
    return drawn


def draw_places(count: int) -> list[int]:
    """At most PICTURES of `count` places, drawn once and sorted."""
    return sorted(np.random.default_rng(SEED).permutation(count)[:PICTURES].tolist())


def measure_least(pictures: Pictures) -> pd.DataFrame:
    """The least change that each method misses.

    Columns change, unit, method, radius, pictures, low, median, high (the strength that suffices
    for a tenth, a half and nine tenths of the pictures; inf where no step does), strongest (the
    last step that was tried).
    """
    radii = copies.radii()
    records = []
    for name, change in evasion.GRADUAL.items():

        def measure(picture: Image.Image, change: evasion.Gradual = change) -> dict[str, float]:
            return evasion.least_steps(picture, change, radii)

        with ThreadPoolExecutor(usable_cores()) as pool:
            least = pd.DataFrame(list(pool.map(measure, pictures))).fillna(np.inf)
        for method, radius in radii.items():
            ordered = np.sort(least[method])
            quantiles = [ordered[int(share * len(ordered))] for share in QUANTILES]
            strongest = float(change.steps[-1])
            records.append(
                (name, change.unit, method, radius, len(pictures), *quantiles, strongest)
            )
    columns = ["change", "unit", "method", "radius", "pictures", "low", "median", "high"]
    return pd.DataFrame(records, columns=[*columns, "strongest"])


def measure_noise(pictures: Pictures) -> pd.DataFrame:
    """Noise aimed at each method.

    Columns method, radius, pictures, outside (the share of pictures that it moved outside the
    radius), psnr_low, psnr, psnr_high (quantiles in decibels, of the copies outside), largest (the
    median of the largest changes of a level in these), after_jpeg (the share that is outside after
    JPEG as well), unaimed (the share that noise of the same energy moves outside, aimed at
    nothing), and the share that each method finds, as found_by_NAME.
    """
    radii = copies.radii()
    records = []
    for method in radii:

        def attack(numbered: tuple[int, Image.Image], method: str = method) -> dict[str, float]:
            return attack_one(*numbered, method)

        with ThreadPoolExecutor(usable_cores()) as pool:
            attacked = pd.DataFrame(list(pool.map(attack, enumerate(pictures))))
        record: dict[str, object] = {"method": method, "radius": radii[method]}
        record["pictures"] = len(pictures)
        for column in attacked.columns.drop(["psnr", "largest"]):
            record[column] = attacked[column].mean()
        missed = attacked[attacked["outside"]]
        low, middle, high = missed["psnr"].quantile(list(QUANTILES))
        record |= {"psnr_low": low, "psnr": middle, "psnr_high": high}
        record["largest"] = missed["largest"].median()
        records.append(record)
    return pd.DataFrame(records)


def attack_one(number: int, picture: Image.Image, method: str) -> dict[str, float]:
    """What noise aimed at one picture does; see `measure_noise`."""
    radii = copies.radii()
    noise = evasion.aim_noise(picture, method, radii[method])
    original = evasion.hash_picture(picture)

    def is_outside(copy: Image.Image) -> bool:
        hashed = evasion.hash_picture(copy)
        return evasion.distance(method, original, hashed) > radii[method]

    rng = np.random.default_rng([SEED, number])
    result: dict[str, float] = {"outside": noise.outside, "psnr": noise.psnr}
    result["largest"] = noise.largest
    result["after_jpeg"] = is_outside(saved_as_jpeg(noise.picture))
    result["unaimed"] = is_outside(evasion.random_noise(picture, noise.psnr, rng))
    copy = evasion.hash_picture(noise.picture)
    for other, radius in radii.items():
        result[f"found_by_{other}"] = evasion.distance(other, original, copy) <= radius
    return result


def saved_as_jpeg(picture: Image.Image) -> Image.Image:
    """What a picture is after it was saved as JPEG of JPEG_QUALITY."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    with Image.open(file) as decoded:
        return decoded.convert("RGB")


# Remedies ------------------------------------------------------------------------------------


def alone(picture: Image.Image) -> list[Image.Image]:
    """The picture as it is."""
    return [picture]


def trimmed(picture: Image.Image) -> list[Image.Image]:
    """The picture without flat edges."""
    return [evasion.trim_border(picture)]


def turned(picture: Image.Image) -> list[Image.Image]:
    """The eight turns and mirror images of a picture."""
    whole = Picture(picture)
    return [whole.variant(number).image for number in range(8)]


def remedies() -> list[Remedy]:
    """The remedies that are tried, each at some strengths of its change."""
    table = [Remedy("flip", "eight turns of the query", level, turned, alone) for level in range(5)]
    for level in range(4):
        table.append(Remedy("border", "edges trimmed", level, trimmed, trimmed))
    for level in range(4):
        stored = evasion.stored_crops
        table.append(Remedy("crop", "seven crops stored", level, alone, stored))
    return table


def measure_remedies(pictures: Pictures) -> pd.DataFrame:
    """The share of changed copies that is found with and without a remedy.

    Columns change, remedy, strength, method, pictures, without, with, false_without, false_with
    (pairs of a changed copy and another original within the radius), pairs (the number of these).
    """
    radii = copies.radii()
    records = []
    for remedy in remedies():
        transform = TRANSFORMS[remedy.change]
        strength = transform.strengths[remedy.level]
        changed = []
        for number, picture in enumerate(pictures):
            rng = np.random.default_rng([SEED, number, remedy.level])
            changed.append(transform.apply(picture, strength, rng))
        plain = closest_by_method(changed, pictures, alone, alone)
        mended = closest_by_method(changed, pictures, remedy.query, remedy.stored)
        for method, radius in radii.items():
            before = plain[method] <= radius
            after = mended[method] <= radius
            own = np.eye(len(pictures), dtype=bool)
            found = before[own].mean(), after[own].mean()
            false = before[~own].sum(), after[~own].sum()
            cells = (remedy.change, remedy.name, strength, method, len(pictures))
            records.append((*cells, *found, *false, int((~own).sum())))
    columns = ["change", "remedy", "strength", "method", "pictures", "without", "with"]
    return pd.DataFrame(records, columns=[*columns, "false_without", "false_with", "pairs"])


def closest_by_method(
    changed: Pictures, originals: Pictures, query: Prepare, stored: Prepare
) -> dict[str, np.ndarray]:
    """The least distance of anything hashed of a copy from anything stored of an original.

    int64[copies, originals] by method.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        of_copies = list(pool.map(lambda one: hash_all(query(one)), changed))
        of_originals = list(pool.map(lambda one: hash_all(stored(one)), originals))
    closest = {}
    for method in copies.METHODS:
        measure = copies.distance_of_method(method)
        name = hasher_of(method)
        rows = []
        for copy in of_copies:
            row = []
            for original in of_originals:
                between = measure.between(copy[name][:, np.newaxis], original[name][np.newaxis])
                row.append(between.min())
            rows.append(row)
        closest[method] = np.array(rows)
    return closest


def hash_all(pictures: Pictures) -> dict[str, np.ndarray]:
    """The hashes of some pictures by hasher: uint8[n, bits // 8]."""
    hashed = [copies.with_combined(evasion.hash_picture(picture)) for picture in pictures]
    return {name: np.stack([one[name] for one in hashed]) for name in hashed[0]}


def time_remedies(pictures: Pictures) -> pd.DataFrame:
    """What each remedy costs for a picture with dHash 256: hashing, storage and comparisons.

    Columns remedy, ms (from pixels to hashes, on one thread), times_plain, stored (hashes of an
    original), compared (times the comparisons).
    """
    hasher = get_hasher("dhash256")

    def call(prepare: Prepare) -> timing.Call:
        return lambda: [hasher.from_image(part) for one in pictures for part in prepare(one)]

    calls = {
        "none": call(alone),
        "eight turns of the query": call(turned),
        "edges trimmed": call(trimmed),
        "seven crops stored": call(evasion.stored_crops),
    }
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=REPEATS, same=None)
    table = timing.summarise(timings, len(pictures))
    ratios = [timing.ratio(timings, name, "none").median for name in table["name"]]
    return pd.DataFrame(
        {
            "remedy": table["name"],
            "ms": 1000 * table["median"],
            "times_plain": ratios,
            "stored": [1, 1, 1, 7],
            "compared": [1, 8, 1, 7],
        }
    )


def draw_noise(aimed: pd.DataFrame) -> Figure:
    """How much noise suffices for each method, on the first set."""
    style.use_style()
    first = aimed[aimed["set"] == aimed["set"].iloc[0]]
    fig, ax = plt.subplots(figsize=(style.WIDTH, 2.8))
    plots.intervals(first, ax, name="method", value="psnr", low="psnr_low", high="psnr_high")
    ax.set_xlabel("PSNR of a copy that is missed, dB (lower: stronger noise was needed)")
    style.finding(ax, headline_of(first), f"n = {int(first['pictures'].max())} pictures, 10 to 90%")
    return fig


def headline_of(aimed: pd.DataFrame) -> str:
    """What the figure of aimed noise shows, in a sentence computed from it."""
    hardest = style.label(aimed.loc[aimed["psnr"].idxmin(), "method"])
    defeated = (aimed["outside"] == 1).sum()
    return (
        f"Noise aimed at its bits defeats {defeated} of {len(aimed)} methods on every picture; "
        f"{hardest} needs the strongest"
    )
