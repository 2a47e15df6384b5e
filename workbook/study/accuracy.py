"""Score every method on every pair of a set of families, as notebook 05 does.

`Hashed` holds the pictures of a set, their families, and what each method stores of them. The other
functions take it and return tables. Methods have the names of `evidence`: hashers, sums of them,
and hashes that are compared by rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.hashing import tables
from finlib.hashing.hashers import HASHERS, get_hasher
from finlib.matching.distances import get_distance
from finlib.matching.pairs import distance_histogram
from finlib.scoring import histograms, metrics
from finlib.scoring.metrics import Counts
from workbook.study import (
    evidence,
    family_pairs,
    hard_cases,
    kinds,
    many_hashes,
    nonmatching,
    robustness,
    timing,
    together,
    uncertainty,
)

Packed = NDArray[np.uint8]

SHORT = ("dhash64", "phash64")
"""Hashes of 64 bits, which are scored but are no candidates."""

DRAWN = ("find", "dhash256", "find+dhash256", *evidence.ROWS)
"""The methods that are drawn where all of them would be too many."""

TOGETHER = (("find", "dhash256"), ("find", "phash256"), ("phash256", "dhash256"))
"""The pairs of hashes for which rules are compared."""

COMPARED = ("find", "dhash256", "find+dhash256", "find+phash256+dhash256", *evidence.ROWS)
"""The methods whose comparisons are timed."""

MOST_TIMED = 10_000
"""Hashes that are compared with each other to time comparisons."""


@dataclass(frozen=True)
class Hashed:
    """The pictures of a set that every method can read, and what each method stores of them.

    paths, labels, quality: of each picture, its file, its family and FINd's quality (0 to 100).
    packed: by method, uint8[n, bytes]. unreadable: the number of pictures left out. seed: of the
    groups that families are dealt to.
    """

    paths: list[str]
    labels: NDArray[Any]
    quality: NDArray[np.float64]
    packed: dict[str, Packed]
    unreadable: int
    seed: int = 2026

    @property
    def families(self) -> int:
        """The number of families."""
        return len(np.unique(self.labels))

    @property
    def candidates(self) -> list[str]:
        """The methods that the rule chooses from: all but hashes of 64 bits alone."""
        return [name for name in self.packed if name not in SHORT]

    @property
    def distances(self) -> dict[str, str]:
        """The name of each method's distance."""
        return {name: evidence.distance_of(name) for name in self.packed}

    @property
    def stored_bytes(self) -> dict[str, int]:
        """The bytes that each method stores of a picture."""
        return {name: packed.shape[1] for name, packed in self.packed.items()}

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """By method, all pairs by distance: of one family, and of two."""
        by_method = {}
        for name, (same, different) in self.by_family.items():
            by_method[name] = np.stack([same.sum(axis=0), different.sum(axis=(0, 1))])
        return by_method

    @cached_property
    def by_family(self) -> dict[str, histograms.FamilyHistograms]:
        """By method, all pairs by distance and by groups of families."""
        by_method = {}
        for name, packed in self.packed.items():
            by_method[name] = histograms.family_histograms(
                packed,
                self.labels,
                evidence.GROUPS,
                self.seed,
                distance=evidence.distance_of(name),
            )
        return by_method

    @property
    def pairs(self) -> tuple[int, int]:
        """The number of pairs of one family, and of two."""
        same, different = self.counts["find"].sum(axis=1)
        return int(same), int(different)

    def count(self, name: str, chosen: Any = slice(None)) -> Counts:
        """Count the pairs of some pictures by distance, by one method: of one family, and of two.

        chosen: an index of the pictures.
        """
        distance = evidence.distance_of(name)
        packed = self.packed[name][chosen]
        return histograms.pair_counts(packed, self.labels[chosen], distance=distance)

    def recount(self, name: str, labels: NDArray[Any]) -> Counts:
        """Count all pairs by distance, by one method, as if pictures had these families."""
        return family_pairs.recount(
            self.counts[name],
            self.packed[name],
            self.labels,
            labels,
            evidence.distance_of(name),
        )

    def largest(self, name: str) -> int:
        """The largest distance that a method can give."""
        distance = get_distance(evidence.distance_of(name), self.packed[name].shape[1])
        return distance.largest


# Hashing -------------------------------------------------------------------------------------


def hash_all(paths: Sequence[str], workers: int = 1) -> dict[str, pd.DataFrame]:
    """The table of hashes of these files by every single hasher; those not installed are left out.

    The tables are those of `execution.hash_files`, by hasher.
    """
    names = [name for name in evidence.SINGLE if name in HASHERS]
    return many_hashes.hash_by_each(paths, [*names, *SHORT], workers)


def collect(
    data: pd.DataFrame,
    by_hasher: Mapping[str, pd.DataFrame],
    *,
    wrong_labels: float = 0.0,
    seed: int = 2026,
) -> Hashed:
    """Put together what each method stores: single hashes, sums side by side, and rows.

    data: columns path and family. by_hasher: from `hash_all`. wrong_labels: the share of pictures
    that is put into a wrong family on purpose. A picture that any hasher cannot read is left out
    for all.
    """
    is_readable = np.logical_and.reduce([table["error"] == "" for table in by_hasher.values()])
    packed = {}
    for name, table in by_hasher.items():
        packed[name] = tables.packed_hashes(table[is_readable])
    for name in evidence.SUMS:
        packed[name] = np.hstack([packed[part] for part in name.split("+")])
    for name in evidence.ROWS:  # the same hashes, compared in another way
        packed[name] = packed[evidence.hasher_of(name)]
    readable = data[is_readable]
    return Hashed(
        readable["path"].tolist(),
        hard_cases.mislabelled(readable["family"], wrong_labels, seed),
        by_hasher["find"].loc[is_readable, "quality"].to_numpy(),
        packed,
        int((~is_readable).sum()),
        seed,
    )


# Scores --------------------------------------------------------------------------------------


def scientific(rate: float) -> str:
    """A rate as it stands in tables: 1e-5."""
    return f"{rate:.0e}".replace("e-0", "e-")


def one_in(rate: float | str) -> str:
    """A rate in words: "one in 100,000"."""
    return f"one in {1 / float(rate):,.0f}"


def resolved(scores: pd.DataFrame) -> pd.Series:
    """Whether enough pairs of families stand behind each row of `evidence.Measured.frame`."""
    return scores["family_pairs"] >= evidence.FAMILY_PAIRS_NEEDED


def published(folders: Mapping[str, Path], table: str) -> dict[str, pd.DataFrame]:
    """A table of notebook 05 that earlier runs on other sets left, by the set's name.

    Sets without it are left out.
    """
    found = {}
    for name, folder in folders.items():
        known = evidence.published(folder, table)
        if known is not None:
            found[name] = known
    return found


def cells_elsewhere(folders: Mapping[str, Path], candidates: Sequence[str]) -> list[pd.DataFrame]:
    """The published cells of other sets (see `evidence.compare`), of these candidates alone."""
    of_sets = []
    for name, cells in published(folders, "cells").items():
        if "resolved" not in cells:
            continue
        is_known = cells["one"].isin(candidates) & cells["other"].isin(candidates)
        of_sets.append(cells[is_known].assign(set=name))
    return of_sets


def side_by_side(
    by_set: Mapping[str, pd.DataFrame],
    stored_bytes: Mapping[str, int],
    ms: Mapping[str, float],
) -> pd.DataFrame:
    """Each method's scores on all sets, a column for each set and rate, as texts with intervals.

    by_set: frames of `evidence.Measured.frame`. A star marks scores that are not resolved. The
    first columns are bytes and ms an image.
    """
    parts = []
    for name, scores in by_set.items():
        rate = scores["rate"].astype(float).map(scientific)
        text = scores.apply(_with_interval, axis=1)
        parts.append(scores.assign(text=text, column=name + ", FPR " + rate))
    long = pd.concat(parts)
    table = long.pivot(index="candidate", columns="column", values="text")
    table = table[list(dict.fromkeys(long["column"]))]
    table.insert(0, "bytes", [stored_bytes.get(name) for name in table.index])
    times = [ms.get(evidence.hasher_of(name)) for name in table.index]
    table.insert(1, "ms an image", times)
    return table


def _with_interval(row: Any) -> str:
    text = f"{row.tpr:.3f} ({row.low:.3f}–{row.high:.3f})"
    return text if row.family_pairs >= evidence.FAMILY_PAIRS_NEEDED else f"{text} *"


# Time ----------------------------------------------------------------------------------------


def time_hashing(hashed: Hashed, images: int, repeats: int) -> pd.DataFrame:
    """Time every method from file to hash, on one thread; the timings are those of `timing`."""
    step = max(1, len(hashed.paths) // images)
    paths = hashed.paths[::step][:images]
    names = dict.fromkeys(evidence.hasher_of(name) for name in hashed.packed)
    calls = {name: partial(_hash_files, name, paths) for name in names}
    return _time(calls, repeats)


def _hash_files(name: str, paths: Sequence[str]) -> list[Packed]:
    hasher = get_hasher(name)
    return [hasher.from_file(path) for path in paths]


def _time(calls: Mapping[str, Callable[[], Any]], repeats: int) -> pd.DataFrame:
    with timing.one_thread():
        return timing.time_side_by_side(calls, repeats=repeats, same=None)


def ms_an_image(timings: pd.DataFrame, images: int) -> dict[str, float]:
    """Milliseconds an image by hasher, from `time_hashing`."""
    summary = timing.summarise(timings, images).set_index("name")
    milliseconds: dict[str, float] = (summary["median"] * 1e3).to_dict()
    return milliseconds


def time_comparing(hashed: Hashed, repeats: int) -> pd.DataFrame:
    """Pairs that one core compares in a second, by each method of COMPARED.

    Columns name and pairs_per_second.
    """
    images = min(len(hashed.paths), MOST_TIMED)
    calls = {}
    for name in COMPARED:
        options: dict[str, Any] = {"distance": evidence.distance_of(name), "workers": 1}
        calls[name] = partial(distance_histogram, hashed.packed[name][:images], **options)
    summary = timing.summarise(_time(calls, repeats), 1)
    summary["pairs_per_second"] = images * (images - 1) / 2 / summary["median"]
    return summary[["name", "pairs_per_second"]]


# Changed copies ------------------------------------------------------------------------------


class Changed(NamedTuple):
    """A sample of the pictures after every change of `transforms`, by every candidate."""

    sample: NDArray[np.int64]
    """The places of the pictures."""
    hashes: dict[str, Packed]
    """By candidate, uint8[transforms, strengths, pictures, bytes]."""


def change_pictures(hashed: Hashed, images: int, *, seed: int, workers: int) -> Changed:
    """Hash a random sample of the pictures under every change at every strength."""
    order = np.random.default_rng(seed).permutation(len(hashed.paths))
    sample = np.sort(order[:images])
    paths = [hashed.paths[place] for place in sample]
    parts_of = {name: evidence.hasher_of(name).split("+") for name in hashed.candidates}
    single = list(dict.fromkeys(part for parts in parts_of.values() for part in parts))
    processes = workers if len(paths) > 20 else 1  # processes take seconds to start
    of_single = robustness.hash_changed(paths, single, seed=seed, workers=processes)
    hashes = {}
    for name, parts in parts_of.items():
        hashes[name] = np.concatenate([of_single[part] for part in parts], axis=-1)
    return Changed(sample, hashes)


def match_changed(
    hashed: Hashed, changed: Changed, radii: Mapping[str, float], *, seed: int
) -> evidence.Measured:
    """Each candidate's share of changed copies that still match their original, with intervals."""
    originals = {name: hashed.packed[name][changed.sample] for name in changed.hashes}
    matches = robustness.own_matches(changed.hashes, originals, radii, hashed.distances)
    return evidence.measure_changed_copies(matches, seed=seed)


# Two hashes together -------------------------------------------------------------------------


def compare_rules(halves: Mapping[str, Sequence[np.ndarray]], rate: float) -> pd.DataFrame:
    """Every rule for every two hashes at a rate: the columns of `together.rules`, pair before them
    and misses_removed (of the first hash's misses) after them.

    halves: by pair, like "find+dhash256", from `together.halved`.
    """
    by_pair = {}
    for pair, tables_of_halves in halves.items():
        rules = together.rules(tables_of_halves, rate)
        alone = rules.loc[rules["rule"] == "first alone", "tpr"].iloc[0]
        misses = 1 - alone if alone < 1 else np.nan
        rules["misses_removed"] = (rules["tpr"] - alone) / misses
        by_pair[pair] = rules
    return pd.concat(by_pair, names=["pair"]).reset_index("pair").reset_index(drop=True)


def rules_by_rate(halves: Sequence[np.ndarray], rates: Sequence[float]) -> pd.DataFrame:
    """The rules for two hashes at several rates: the columns of `together.rules`, rate first."""
    by_rate = {scientific(rate): together.rules(halves, rate) for rate in rates}
    return pd.concat(by_rate, names=["rate"]).reset_index("rate").reset_index(drop=True)


def correlate(hashed: Hashed) -> pd.DataFrame:
    """Correlations of the distances of each two hashes of TOGETHER.

    Columns pair, one family, two families.
    """
    rows = []
    for first, other in TOGETHER:
        joint = together.joint(hashed.packed[first], hashed.packed[other], hashed.labels)
        rows.append((f"{first}+{other}", *together.correlation(joint)))
    return pd.DataFrame(rows, columns=["pair", "one family", "two families"])


class Disagreements(NamedTuple):
    """Pairs of a family that FINd and dHash 256 disagree on; see `disagree`."""

    by_dhash: pd.DataFrame
    by_find: pd.DataFrame
    families_by_dhash: int
    families_by_find: int
    are_misses: bool
    """Whether one of the two misses them; otherwise it only finds them farther apart than most."""


def disagree(hashed: Hashed, rate: float, shown: int = 4) -> Disagreements:
    """Find pairs of a family that one of FINd and dHash 256 misses at a rate and the other finds.

    In a small set both may find every pair. Then the half of the pairs that each of them finds
    closer takes the place of those that it finds. Frames are those of `together.saved`.
    """
    names = ("find", "dhash256")
    at_rate = [metrics.threshold_at(hashed.counts[name], rate) for name in names]
    found = _saved(hashed, at_rate, are_misses=True, shown=shown)
    if found.families_by_dhash + found.families_by_find > 0:
        return found
    medians = [_median_of(hashed.counts[name][0]) for name in names]
    return _saved(hashed, medians, are_misses=False, shown=shown)


def _saved(
    hashed: Hashed, thresholds: Sequence[float], *, are_misses: bool, shown: int
) -> Disagreements:
    every = together.saved(
        hashed.packed["find"],
        hashed.packed["dhash256"],
        hashed.labels,
        (thresholds[0], thresholds[1]),
        count=len(hashed.labels),
    )
    by_dhash, by_find = every
    return Disagreements(
        by_dhash.head(shown), by_find.head(shown), len(by_dhash), len(by_find), are_misses
    )


def _median_of(counts: Counts) -> int:
    """The median distance of pairs that are counted by distance."""
    cumulative = np.cumsum(counts)
    return int(np.searchsorted(cumulative, cumulative[-1] / 2))


# Thresholds ----------------------------------------------------------------------------------


def halves_of(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each picture is of the first, third, fifth ... family: bool[n]."""
    return np.isin(labels, np.unique(labels)[::2])


def measure_tails(hashed: Hashed) -> pd.DataFrame:
    """The smallest shares of unrelated pairs that are predicted, and measured, for each candidate.

    Columns hasher, law_holds_to (the parabola fitted to half of the families predicts the other
    half down to this share) and pairs_reach_to (the smallest share measured).
    """
    is_first = halves_of(hashed.labels)
    rows = []
    for name in hashed.candidates:
        fitted = hashed.count(name, is_first)
        judged = hashed.count(name, ~is_first)
        checked = nonmatching.check_tail(fitted, judged)
        least = nonmatching.measure_shares(hashed.counts[name])["strangers"].min()
        rows.append((name, nonmatching.least_trusted_share(checked), least))
    return pd.DataFrame(rows, columns=["hasher", "law_holds_to", "pairs_reach_to"])


def measure_shares(hashed: Hashed) -> pd.DataFrame:
    """`nonmatching.measure_shares` of every candidate: hasher, distance, strangers, found."""
    parts = []
    for name in hashed.candidates:
        parts.append(nonmatching.measure_shares(hashed.counts[name]).assign(hasher=name))
    shares = pd.concat(parts, ignore_index=True)
    return shares[["hasher", "distance", "strangers", "found"]]


def try_thresholds(
    hashed: Hashed,
    elsewhere: Mapping[str, pd.DataFrame],
    *,
    here: str,
    seed: int,
) -> pd.DataFrame:
    """What thresholds that were chosen on half of the families do on the other, and on other sets.

    elsewhere: the published shares of other sets, by name. here: the name of this one. The columns
    are those of `uncertainty.held_out_summary`, and set.
    """
    by_family = {name: hashed.by_family[name] for name in hashed.candidates}
    trials = uncertainty.held_out_trials(by_family, seed=seed)
    summary = uncertainty.held_out_summary(trials)
    tried = [summary.assign(set=f"the other half of {here}")]
    for name, shares in elsewhere.items():
        there = nonmatching.transfer_trials(trials, shares)
        tried.append(uncertainty.held_out_summary(there).assign(set=name))
    return pd.concat(tried, ignore_index=True)


def try_published_thresholds(shares: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """What the published thresholds of the built-in set do on one's own images.

    shares: of one's own images, from `measure_shares`. folder: that of the published run. The
    columns are those of `try_thresholds`; there are no rows if nothing is published there.
    """
    known = evidence.published(folder, "held_out")
    if known is None:
        return pd.DataFrame()
    of_built_in = known[known["set"] == "the other half of built-in"]
    return nonmatching.apply_thresholds(of_built_in, shares, "own, thresholds of built-in")


# Pictures with little detail -----------------------------------------------------------------


def match_plain(
    hashed: Hashed,
    pictures: Mapping[str, Any],
    is_passed: NDArray[np.bool_],
    radii: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """The pairs of different plain pictures that each candidate matches at its radius.

    pictures: RGB images, all different. is_passed: whether the detail filter lets each one pass.
    Columns hasher, threshold, matched, matched_gated (with the filter), pairs, pairs_gated, low and
    high (95% over pictures, of the share), share, share_gated, needs_filter.
    """
    options: dict[str, Any] = {"resamples": resamples, "seed": seed}
    rows = []
    for name in hashed.candidates:
        hasher = get_hasher(evidence.hasher_of(name))
        packed = np.stack([hasher.from_image(picture) for picture in pictures.values()])
        distance = evidence.distance_of(name)
        every = kinds.count_matched(packed, distance, radii[name], **options)
        passed = kinds.count_matched(packed[is_passed], distance, radii[name], **options)
        counted = (every.found, passed.found, every.pairs, passed.pairs)
        ends = (every.low / every.pairs, every.high / every.pairs)
        rows.append((name, radii[name], *counted, *ends))
    numbers = ["matched", "matched_gated", "pairs", "pairs_gated", "low", "high"]
    plain = pd.DataFrame(rows, columns=["hasher", "threshold", *numbers])
    plain["share"] = plain["matched"] / plain["pairs"]
    plain["share_gated"] = plain["matched_gated"] / plain["pairs"]
    plain["needs_filter"] = plain["share"] >= evidence.NEEDS_FILTER_FROM
    return plain
