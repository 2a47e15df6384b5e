"""The rule by which FIN's question is decided: which hash, or which hashes together. Fixed before any result.

**Sets.** Two sets of images decide, because every candidate can be measured on them: the built-in families and real
meme templates, both under captions calibrated to what is published of the class set. The published distances of 2,000
class pairs can stop a verdict where they contradict it, but cannot make one: not every candidate was measured on
them.

**Candidates.** Every hash of 256 bits (one of 64 bits stands no chance at strict rates and is reported only), and the
sums of SUMS. Weighted sums, AND, OR and the cascade are reported, not candidates: each needs a second number fitted
to a set.

**Score.** The true-positive rate (TPR) at false-positive rates (FPR) of 1e-4, 1e-5 and 1e-6, over all pairs of a set.
It is taken at *realised* rates, equal for all: between two thresholds TPR is interpolated linearly (which is what
taking either threshold in turn would give). A rate counts where at least 10 false pairs are expected at it. On the
class pairs that leaves an FPR of 1e-2. Intervals are the middle 95% of 1,000 resamples of families, the same for
every candidate, so that differences are paired.

**A against B in one cell (a set and a rate).** The difference in TPR, A less B, with its paired interval: *better*
where the interval is above 0 and the difference is at least 0.01; *worse* the other way round; else *no worse* where
the whole interval is above -0.01; else *undecided*.

**A beats B** where A is better in at least one cell of every set of images, and worse in no cell of any set. If A is
made of more hashes than B, it also has to remove at least a quarter of B's misses, on average over the cells of each
set: a second hash costs bytes and comparisons for ever.

**The answer** is the simplest candidate that none beats: the fewest hashes first, then the one that keeps FIN's
stored FINd hashes in use, then the fewest bytes, then the least time per image from file to hash. All that are
unbeaten are named. Where one set of images is missing or no rate can be told, the answer is 'undecided' for FIN, and
what the present sets say is given as that. If each candidate is beaten by another (a circle), the answer is
'undecided' too.

**The gate** for plain pictures is applied to every method alike. Its value is the greatest that refuses at most 2 in
1,000 images of one half of the families; its cost is judged on the other half, its use on plain pictures.

**Thresholds** that FIN reads off rest on the set where a method has the most false pairs. Beyond what pairs can show,
a law of the far tail counts only down to where, fitted to one half of the families, it predicted the other half
within a factor of 3.

What was changed after results had been looked at stands in CHANGES and in the report.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from finlib.scoring import metrics
from finlib.scoring.histograms import family_histograms
from finlib.scoring.metrics import Counts
from workbook.study import uncertainty

CHANGES: tuple[str, ...] = ()
"""Changes of the rule after the first result, each a sentence: what, when and what it did to the answer."""

RATES = (1e-4, 1e-5, 1e-6)
CLASS_PAIRS_RATE = 1e-2
EXPECTED_FALSE_PAIRS = 10
MARGIN = 0.01
MISSES_REMOVED = 0.25
RESAMPLES = 1000
GROUPS = 100  # of families, resampled together where there are more

SINGLE = ("find", "phash256", "dhash256", "whash256", "ahash256", "pdq")
SUMS = (
    "find+dhash256",
    "find+phash256",
    "phash256+dhash256",
    "find+phash256+dhash256",
    "find+dhash64",
)


class Measured(NamedTuple):
    """TPR of each candidate at each rate of one set, and the resampled ones behind its interval."""

    scores: dict[str, dict[float, float]]
    draws: dict[str, dict[float, np.ndarray]]

    def frame(self) -> pd.DataFrame:
        """Columns candidate, rate, tpr, low, high: 95% over families."""
        rows = [
            (name, rate, *uncertainty.interval(value, self.draws[name][rate]))
            for name, values in self.scores.items()
            for rate, value in values.items()
        ]
        return pd.DataFrame(rows, columns=["candidate", "rate", "tpr", "low", "high"])


def measure(
    packed: Mapping[str, np.ndarray],
    labels: Sequence[str],
    rates: Sequence[float],
    *,
    resamples: int,
    seed: int,
) -> Measured:
    """Every hasher's TPR at realised rates, with families resampled; draws are the same for all."""
    scores: dict[str, dict[float, float]] = {}
    draws: dict[str, dict[float, np.ndarray]] = {}
    for name, rows in packed.items():
        same, different = family_histograms(rows, labels, GROUPS, seed)
        whole = np.stack([same.sum(axis=0), different.sum(axis=(0, 1))])
        drawn = uncertainty.weighted_counts(
            same, different, uncertainty.family_weights(len(same), resamples, seed)
        )
        scores[name] = {rate: tpr_at_realised(whole, rate) for rate in rates}
        draws[name] = {
            rate: np.array([tpr_at_realised(counts, rate) for counts in drawn]) for rate in rates
        }
    return Measured(scores, draws)


def class_pairs() -> pd.DataFrame:
    """The published distances of 2,000 pairs of the class set: family (-1 for pairs of two), find, phash256, whash256.

    Source: github.com/sdsstudent/find-image-hashing, summaries/accuracy_pairs.csv, MIT licence; families are renumbered
    and names of files left out. The sums of FINd with either of the others are added.
    """
    text = files("workbook.study").joinpath("class_pairs.csv").read_text(encoding="utf-8")
    frame = pd.read_csv(StringIO(text))
    return frame.assign(
        **{f"find+{name}": frame["find"] + frame[name] for name in ("phash256", "whash256")},
    )


def measure_class_pairs(*, resamples: int, seed: int) -> Measured:
    """The same for the class pairs, at CLASS_PAIRS_RATE: families of pairs within, and pairs between, resampled."""
    frame, rng = class_pairs(), np.random.default_rng(seed)
    within, between = (frame[frame["family"].ge(0) == wanted] for wanted in (True, False))
    families = within["family"].to_numpy()
    drawn = rng.multinomial(
        families.max() + 1, np.full(families.max() + 1, 1 / (families.max() + 1)), resamples
    )
    others = rng.multinomial(len(between), np.full(len(between), 1 / len(between)), resamples)
    weights = [(np.ones(len(within)), np.ones(len(between)))]
    weights += [(one[families], other) for one, other in zip(drawn, others, strict=True)]
    scores, draws = {}, {}
    for name in frame.columns.drop("family"):
        sides = [part[name].to_numpy() for part in (within, between)]
        values = [
            tpr_at_realised(
                np.stack(
                    [np.bincount(s, w, minlength=513) for s, w in zip(sides, pair, strict=True)]
                ),
                CLASS_PAIRS_RATE,
            )
            for pair in weights
        ]
        scores[name] = {CLASS_PAIRS_RATE: values[0]}
        draws[name] = {CLASS_PAIRS_RATE: np.array(values[1:])}
    return Measured(scores, draws)


def published(folder: str | Path, table: str) -> pd.DataFrame | None:
    """A table of notebook 05 that an earlier run on another set left in `folder`; None where there is none."""
    path = Path(folder, f"05_{table}.csv")
    return pd.read_csv(path) if path.is_file() else None


def told(counts: Counts, rates: Sequence[float] = RATES) -> list[float]:
    """The rates at which at least EXPECTED_FALSE_PAIRS false pairs are expected among those of `counts`."""
    negatives = float(np.sum(counts[1]))
    return [rate for rate in rates if negatives * rate >= EXPECTED_FALSE_PAIRS * (1 - 1e-9)]


def usable(counts: Counts) -> list[float]:
    """`told`, or for a small trial the strictest looser rate that as many false pairs tell; [0.5] where none is."""
    looser = [rate for rate in (1e-3, 1e-2, 1e-1) if told(counts, [rate])]
    return told(counts) or looser[:1] or [0.5]


def attainable(counts: Counts, wanted: float) -> float:
    """`wanted`, or the strictest rate above it that there is a pair of two families for; NaN if none is."""
    rates = [rate for rate in sorted({*metrics.RATES, wanted}) if rate >= wanted]
    return next(
        (rate for rate in rates if not np.isnan(metrics.threshold_at(counts, rate))), float("nan")
    )


def tpr_at_realised(counts: Counts, fpr: float) -> float:
    """TPR at exactly this FPR, linear between the thresholds on either side; NaN without pairs of either kind.

    `counts` is [2, bits + 1] as in `finlib.scoring.metrics`, weighted or not.
    """
    totals = np.asarray(counts, dtype=np.float64).sum(axis=1)
    if not totals.all():
        return float("nan")
    rates = np.cumsum(counts, axis=1) / totals[:, np.newaxis]
    true, false = rates[0], rates[1]
    after = int(np.searchsorted(false, fpr, side="right"))
    if after == len(false):
        return float(true[-1])
    before = (false[after - 1], true[after - 1]) if after else (0.0, 0.0)
    share = (fpr - before[0]) / (false[after] - before[0])
    return float(before[1] + share * (true[after] - before[1]))


def verdict(difference: uncertainty.Interval) -> str:
    """'better', 'worse', 'no worse' or 'undecided' for A less B with its paired interval, as the rule says."""
    value, low, high = difference
    if low > 0 and value >= MARGIN:
        return "better"
    if high < 0 and value <= -MARGIN:
        return "worse"
    return "no worse" if low > -MARGIN else "undecided"


def compare(
    name: str,
    scores: Mapping[str, Mapping[float, float]],
    draws: Mapping[str, Mapping[float, np.ndarray]],
) -> pd.DataFrame:
    """Every ordered pair of candidates in every cell of one set.

    `scores[candidate][rate]` is a TPR and `draws` the resampled ones, paired. Columns: set, rate, one, other, value,
    low, high, verdict, removed (the share of the other's misses that one removes).
    """
    rows = []
    for one in scores:
        for other in scores:
            for rate in scores[one] if one != other else ():
                value = scores[one][rate] - scores[other][rate]
                gap = uncertainty.interval(value, draws[one][rate] - draws[other][rate])
                misses = 1 - scores[other][rate]
                rows.append(
                    (name, rate, one, other, *gap, verdict(gap), value / misses if misses else 0.0)
                )
    return pd.DataFrame(
        rows, columns=["set", "rate", "one", "other", "value", "low", "high", "verdict", "removed"]
    )


def beats(cells: pd.DataFrame, one: str, other: str, deciding: Sequence[str]) -> bool:
    """Whether `one` beats `other` in `cells` (frames of `compare`, put together) by the rule."""
    mine = cells[(cells["one"] == one) & (cells["other"] == other)]
    if (mine["verdict"] == "worse").any():
        return False
    for name in deciding:
        here = mine[mine["set"] == name]
        if not (here["verdict"] == "better").any():
            return False
        if one.count("+") > other.count("+") and here["removed"].mean() < MISSES_REMOVED:
            return False
    return bool(deciding)


def simplicity(
    candidate: str, bytes_: Mapping[str, int], ms: Mapping[str, float]
) -> tuple[int, bool, int, float]:
    """What orders unbeaten candidates, the simplest first."""
    hashes = candidate.split("+")
    return len(hashes), "find" not in hashes, bytes_[candidate], ms.get(candidate, float("inf"))


def decide(
    cells: pd.DataFrame, deciding: Sequence[str], bytes_: Mapping[str, int], ms: Mapping[str, float]
) -> pd.DataFrame:
    """The rule applied: a row for each candidate, the simplest unbeaten first.

    Columns: candidate, hashes, bytes, ms, beaten_by (names, joined by ", "), answer ('recommended': one row or none).
    """
    candidates = list(dict.fromkeys(cells["one"]))
    missing = [name for name in deciding if name not in set(cells["set"])]
    rows = []
    for candidate in sorted(candidates, key=lambda name: simplicity(name, bytes_, ms)):
        winners = [
            one for one in candidates if one != candidate and beats(cells, one, candidate, deciding)
        ]
        rows.append(
            (
                candidate,
                candidate.count("+") + 1,
                bytes_[candidate],
                ms.get(candidate),
                ", ".join(winners),
            )
        )
    table = pd.DataFrame(rows, columns=["candidate", "hashes", "bytes", "ms", "beaten_by"])
    unbeaten = table["beaten_by"] == ""
    table["answer"] = np.where(unbeaten, "unbeaten", "beaten")
    if not missing and unbeaten.any():
        table.loc[unbeaten.idxmax(), "answer"] = "recommended"
    return table.sort_values(
        "beaten_by", key=lambda column: column != "", kind="stable", ignore_index=True
    )


def answer(decided: pd.DataFrame) -> str:
    """The answer in a sentence, from what `decide` returned."""
    chosen = decided.loc[decided["answer"] == "recommended", "candidate"].tolist()
    unbeaten = decided.loc[decided["beaten_by"] == "", "candidate"].tolist()
    if chosen:
        rest = [name for name in unbeaten if name not in chosen]
        also = f" Also unbeaten, but less simple: {', '.join(rest)}." if rest else ""
        return f"By the rule: {chosen[0]}.{also}"
    named = (
        f"unbeaten on the sets at hand: {', '.join(unbeaten)}"
        if unbeaten
        else "each candidate is beaten by another"
    )
    return f"By the rule: undecided ({named})."
