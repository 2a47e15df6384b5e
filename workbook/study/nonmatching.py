"""How unrelated images' distances are spread, as far down as it can be told: thresholds and false pairs to expect.

Counts are `finlib.scoring.metrics`'s, [2, bits + 1]. A share of false pairs is told where at least EXPECTED_FALSE_PAIRS
of them lie within the threshold. Below that a law may go on: log10 of the share as a parabola in the threshold. It is
fitted where shares are larger, and believed only as far down as it predicted unseen shares within a factor of 3.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from finlib.scoring.metrics import Counts
from workbook.study.evidence import EXPECTED_FALSE_PAIRS

FACTOR = 3.0
FITTED = (1e-4, 1e-2)  # shares that the law is fitted to


def shares(counts: Counts) -> pd.DataFrame:
    """Columns distance, strangers, found: every distance that occurs at which the share of false pairs is told."""
    same, different = np.cumsum(counts, axis=1)
    told = (
        (different >= EXPECTED_FALSE_PAIRS)
        & (np.sum(counts, axis=0) > 0)
        & (different <= different[-1] / 5)
    )
    distance = np.flatnonzero(told)
    columns = {"distance": distance, "strangers": different[distance] / different[-1]}
    return pd.DataFrame(columns | {"found": same[distance] / max(same[-1], 1)})


def model_of(counts: Counts, fitted: tuple[float, float] = FITTED) -> np.ndarray:
    """float64[3]: the parabola (highest power first) of log10 of the share of strangers by threshold."""
    known = shares(counts)
    part = known[known["strangers"].between(*fitted)]
    if len(part) < 4:
        return np.full(3, np.nan)
    return np.polyfit(part["distance"], np.log10(part["strangers"]), 2)


def check(fit: Counts, judge: Counts, fitted: tuple[float, float] = FITTED) -> pd.DataFrame:
    """The law of `fit` beside what `judge` shows: columns distance, observed, predicted, ratio of the two."""
    known, power = shares(judge), model_of(fit, fitted)
    predicted = 10 ** np.polyval(power, known["distance"])
    columns = {
        "distance": known["distance"],
        "observed": known["strangers"],
        "predicted": predicted,
    }
    return pd.DataFrame(columns).assign(ratio=predicted / known["strangers"])


def believed(checked: pd.DataFrame) -> float:
    """The smallest share down to which the law, without a break, was right within FACTOR; nan where it never was."""
    below = checked[checked["observed"] <= FITTED[1]].sort_values("observed", ascending=False)
    right = below["ratio"].between(1 / FACTOR, FACTOR).cumprod().astype(bool)
    return float(below.loc[right, "observed"].min()) if right.any() else float("nan")


def thresholds(sets: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What `finlib.matching.thresholds` reads, as far as it is measured: at each distance the most strangers of all sets, and
    the fewest found.

    Each set is `shares` of several methods put together, with a column hasher. Columns hasher, distance, strangers,
    found. Where a set tells no share so small, it is taken to have as many strangers as the smallest that it can tell.
    """
    rows = []
    for name in dict.fromkeys(sets[0]["hasher"]):
        parts = [
            part[part["hasher"] == name].set_index("distance")[["strangers", "found"]]
            for part in sets
        ]
        parts = [part for part in parts if len(part)]
        last = min(part.index.max() for part in parts)
        distance = sorted({d for part in parts for d in part.index if d <= last})
        filled = [part.reindex(distance).ffill() for part in parts]
        most = np.max(
            [
                f["strangers"].fillna(p["strangers"].iloc[0])
                for f, p in zip(filled, parts, strict=True)
            ],
            axis=0,
        )
        fewest = np.nanmin([part["found"] for part in filled], axis=0)
        rows.append(
            pd.DataFrame({"hasher": name, "distance": distance, "strangers": most, "found": fewest})
        )
    return pd.concat(rows, ignore_index=True)


def continued(table: pd.DataFrame) -> pd.DataFrame:
    """`thresholds` with a row for every smaller distance, and a column measured, which is False for these.

    Shares of strangers and shares found go on as normal laws through the last two decades measured.
    """
    parts = []
    for name, part in table.groupby("hasher", sort=False):
        last, below = (
            part[part["strangers"] <= 100 * part["strangers"].iloc[0]],
            np.arange(part["distance"].iloc[0]),
        )
        rows = {"hasher": name, "distance": below}
        for column in ("strangers", "found"):
            law = np.polyfit(
                last["distance"],
                ndtri(np.clip(last[column], 1e-12, 1 - 1e-9)),
                min(1, len(last) - 1),
            )
            rows[column] = np.minimum(ndtr(np.polyval(law, below)), part[column].iloc[0])
        parts += [pd.DataFrame(rows).assign(measured=False), part.assign(measured=True)]
    return pd.concat(parts, ignore_index=True)


def transferred(chosen: pd.DataFrame, shares: pd.DataFrame, name: str) -> pd.DataFrame:
    """What thresholds chosen on one set give on another, of whose hashers these are the `shares`.

    chosen: columns hasher, intended and threshold, as from `uncertainty.held_out_summary`. Returns its columns, fpr and
    tpr of the other set, intervals nan, and a column set. Left out where the other set cannot tell a share so small.
    """
    rows = []
    for row in chosen.to_dict("records"):
        part = shares[
            (shares["hasher"] == row["hasher"]) & (shares["distance"] <= row["threshold"])
        ]
        if len(part):
            last = part.loc[part["distance"].idxmax()]
            rows.append(
                row
                | {
                    "fpr": last["strangers"],
                    "tpr": last["found"],
                    "fpr_low": np.nan,
                    "fpr_high": np.nan,
                }
            )
    return pd.DataFrame(rows, columns=list(chosen)).assign(set=name)


def at_worst(tried: pd.DataFrame) -> pd.Series:
    """By hasher, the most that a rate in `tried` (columns hasher, intended, fpr) came out at, in times the intended."""
    return (tried["fpr"] / tried["intended"]).groupby(tried["hasher"], sort=False).max()


def reads_off(
    table: pd.DataFrame,
    images: Sequence[int],
    precisions: Sequence[float],
    *,
    relatives: float = 1.0,
) -> pd.DataFrame:
    """For n images and a wanted precision: threshold, false pairs to expect and share found, by method.

    `table` is from `thresholds`. Columns hasher, images, precision, threshold, false_pairs, found; the last three are
    nan where the evidence does not reach. `relatives` is how many true matches an image has among the others.
    """
    rows = []
    for name, part in table.groupby("hasher", sort=False):
        for n in images:
            true, false = n * relatives / 2 * part["found"], n * (n - 1) / 2 * part["strangers"]
            for precision in precisions:
                good = part[true >= precision * (true + false)]
                last = good.iloc[-1] if len(good) else None
                what = (
                    (np.nan,) * 3
                    if last is None
                    else (last["distance"], n * (n - 1) / 2 * last["strangers"], last["found"])
                )
                rows.append((name, n, precision, *what))
    return pd.DataFrame(
        rows, columns=["hasher", "images", "precision", "threshold", "false_pairs", "found"]
    )
