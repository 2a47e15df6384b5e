"""Other hashes and distances scored on sets of images: what `python -m workbook rivals` records.

The built-in families are always there. Other sets are folders of images named FFFF_ID.ext, or of
templates, which are captioned. Hashes whose package is not installed have rows without a score.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from finlib.hashing.images import open_rgb
from workbook.report.record import Recorder, usable_cores
from workbook.study import families, rivals, timing
from workbook.study.any_distance import Features, count_levels, score
from workbook.study.rivals import Rival

PER_FAMILY = 12
SEED = 2026
RATES = (1e-4, 1e-5)
TIMED_PICTURES = 24
REPEATS = 5
SLOW = ("crop-resistant",)
"""Hashes that take too long for every image: they are scored on every SLOW_STEP-th."""
SLOW_STEP = 3
PART = 64
"""Images that a worker hashes at a time."""


def record(sets: Mapping[str, str | Path], out: str | Path = "figures") -> None:
    """Score all rivals on the built-in families and other sets; write rivals_*.csv and rivals.json.

    sets: folders of images by the name that the set has in the tables.
    """
    recorder = Recorder("rivals", out)
    frames = []
    timed_paths: list[str] = []
    for name, folder in {"built-in": "", **sets}.items():
        images = families.dataset(folder, per_family=PER_FAMILY, seed=SEED)
        paths = images["path"].tolist()
        if not timed_paths:
            timed_paths = paths[:: max(1, len(paths) // TIMED_PICTURES)][:TIMED_PICTURES]
        scored = score_set(paths, images["family"].tolist())
        scored.insert(0, "set", name)
        frames.append(scored)
        print(f"rivals: {name} is done, {len(paths):,} images", flush=True)
    table = pd.concat(frames, ignore_index=True)
    recorder.table("accuracy", table, key=["set", "method", "rate"])
    recorder.table("time", time_hashes(timed_paths), key="hash")
    recorder.table("published", rivals.published())
    recorder.number("per_family", PER_FAMILY)
    recorder.save()


def score_set(paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """The TPR of every rival on one set.

    Columns method, label, bytes, images, families, rate, tpr, low, high, family_pairs, resolved,
    note (why there is no score).
    """
    stored: dict[str, Features] = {}
    with ProcessPoolExecutor(usable_cores(), get_context("spawn")) as pool:
        for name, one in rivals.hashes().items():
            if not rivals.is_installed(one.package):
                continue
            hashed = paths[:: step_of(name)]
            parts = [hashed[start : start + PART] for start in range(0, len(hashed), PART)]
            tasks = [pool.submit(hash_part, name, part) for part in parts]
            stored[name] = np.concatenate([task.result() for task in tasks])
    rows = []
    for rival in rivals.rivals():
        of_images = labels[:: step_of(rival.stored)]
        scores = score_rival(rival, stored, of_images)
        scores.insert(0, "method", rival.name)
        scores.insert(1, "label", rival.label)
        scores.insert(2, "bytes", rival.size)
        scores.insert(3, "images", len(of_images))
        scores.insert(4, "families", len(set(of_images)))
        rows.append(scores)
    table = pd.concat(rows, ignore_index=True)
    table["rate"] = table["rate"].map("{:.0e}".format)
    return table


def step_of(name: str) -> int:
    """Of how many images one is hashed by the hash of that name."""
    return SLOW_STEP if name in SLOW else 1


def hash_part(name: str, paths: Sequence[str]) -> Features:
    """What the hash of that name stores of some files."""
    return rivals.compute_all(name, [open_rgb(path) for path in paths])


def score_rival(
    rival: Rival, stored: Mapping[str, Features], labels: Sequence[str]
) -> pd.DataFrame:
    """The scores of one rival; rows without a score where its package is not installed."""
    if rival.stored not in stored:
        package = rivals.hashes()[rival.stored].package
        note = f"not measured: {package} is not installed"
        return pd.DataFrame({"rate": RATES, "tpr": np.nan, "note": note})
    features = stored[rival.stored]
    counted = count_levels(features, labels, rival.between, rival.largest, SEED)
    return score(counted, RATES, SEED).assign(note="")


def time_hashes(paths: Sequence[str]) -> pd.DataFrame:
    """The time of each hash for a decoded picture, on one thread, in turn with FINd.

    Columns hash, ms, low, high (quartiles) and times_find, with its quartiles times_low and
    times_high, paired by repeat.
    """
    pictures = [open_rgb(path) for path in paths]

    def call(name: str) -> timing.Call:
        return lambda: rivals.compute_all(name, pictures)

    installed = [one.name for one in rivals.hashes().values() if rivals.is_installed(one.package)]
    calls = {name: call(name) for name in installed}
    with timing.one_thread():
        timings = timing.time_side_by_side(calls, repeats=REPEATS, same=None)
    rows = []
    for row in timing.summarise(timings, len(pictures)).to_dict("records"):
        ratio = timing.ratio(timings, row["name"], "find")
        milliseconds = [1000 * row[column] for column in ("median", "low", "high")]
        rows.append((row["name"], *milliseconds, *ratio))
    columns = ["hash", "ms", "low", "high", "times_find", "times_low", "times_high"]
    return pd.DataFrame(rows, columns=columns)
