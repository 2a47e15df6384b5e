"""The figures and the tables for readers of notebook 05, from what `workbook.study` measures."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from finlib.hashing.images import open_rgb
from workbook.report import plots, style
from workbook.report.notebook import Run
from workbook.report.record import HOME
from workbook.study import accuracy, evidence, nonmatching
from workbook.study.accuracy import Disagreements, Hashed, one_in
from workbook.study.likeness import HASHERS, ONE_FAMILY, TWO_FAMILIES

PAIRS_SHOWN = 4
"""Pairs in a row of `saved`."""

CHANGES = {
    "saved again": "saving",
    "sizes": "resizing",
    "crops": "crops and borders",
    "turns": "turns",
    "written on": "writing",
    "grounds": "other grounds",
}
"""What was done to the copies of each group of copies_found.csv, in words."""

NEARLY_ALL = 0.95
HARDLY_ANY = 0.1
"""Shares of copies found, for the words of `copies_finding`."""

NO_BREAK = "\N{NO-BREAK SPACE}"
NO_BREAK_HERE = "\N{WORD JOINER}"


def as_percent(share: float, digits: int = 1) -> str:
    """A share as a percentage without its sign, for cells of tables; a dash where it is unknown."""
    if np.isnan(share):
        return "–"
    return f"{100 * share:.{digits}f}"


# The answer ----------------------------------------------------------------------------------


def strict(scores: pd.DataFrame, least: float, note: str) -> Figure:
    """The share of matching pairs that each method finds, in a panel for each rate.

    scores: `evidence.Measured.frame`, with the rates as texts. least: the smallest share that is
    drawn at the strictest rate, where methods are ordered. Hollow points are not resolved.
    """
    scores = scores.assign(is_resolved=accuracy.resolved(scores))
    for column in ("tpr", "low", "high"):
        scores[column] = 100 * scores[column]
    rates = list(dict.fromkeys(scores["rate"]))
    strictest = scores[scores["rate"] == rates[-1]].set_index("candidate")["tpr"]
    ranked = strictest.sort_values(ascending=False)
    is_low = ranked < 100 * least
    lowest = scores.loc[~scores["candidate"].isin(ranked[is_low].index), "low"].min()
    left = max(100 * least, min(90, 10 * np.floor(np.nan_to_num(lowest) / 10)))
    left_out = [style.label(name) for name in ranked[is_low].index]
    fig, axes = plt.subplots(1, len(rates), figsize=(style.WIDTH, 4.3), sharey=True, squeeze=False)
    for rate, ax in zip(rates, axes[0], strict=True):
        at_rate = scores[scores["rate"] == rate].set_index("candidate")
        shown = at_rate.loc[ranked[~is_low].index].reset_index()
        plots.intervals(
            shown,
            ax,
            name="candidate",
            value="tpr",
            low="low",
            high="high",
            solid="is_resolved",
        )
        ax.set(title=one_in(rate), xlim=(left, 101))
    hollow = "hollow: rests on too few pairs of families"
    text = f"family pairs found, %, with 95% intervals (right is better; {hollow})\n"
    if left_out:
        text += textwrap.fill(f"not drawn: {', '.join(left_out)}", 100) + "\n"
    fig.supxlabel(text + note, fontsize=8)
    return fig


def strict_finding(scores: pd.DataFrame) -> str:
    """What the best method and FINd find at the strictest rate that is resolved for FINd."""
    resolved = scores[accuracy.resolved(scores)]
    of_find = resolved[resolved["candidate"] == "find"]
    if of_find.empty:
        return "Share of family pairs found"
    rate = of_find["rate"].iloc[-1]
    found = resolved[resolved["rate"] == rate].set_index("candidate")["tpr"]
    best = found.idxmax()
    return (
        f"With {one_in(rate)} unrelated pairs matched by mistake, {style.label(best)} finds "
        f"{found[best]:.1%} of family pairs, FINd {found['find']:.1%}"
    )


def scores_by_set(by_set: Mapping[str, pd.DataFrame], wanted: float = 1e-5) -> pd.DataFrame:
    """What each method finds on each set, as percentages with intervals, the best method first.

    by_set: frames of `evidence.Measured.frame`; the first one decides the order. wanted: the
    false-positive rate; a set that does not have it is shown at its strictest. Columns candidate,
    and one for each set and rate; stars mark scores that are not resolved.
    """
    columns: list[pd.Series] = []
    best_first: list[str] = []
    for name, scores in by_set.items():
        rates = scores["rate"].astype(float)
        rate = wanted if (rates == wanted).any() else rates.min()
        at_rate = scores[rates == rate].set_index("candidate")
        if not best_first:
            best_first = at_rate["tpr"].sort_values(ascending=False).index.tolist()
        texts = at_rate.apply(_percent_with_interval, axis=1)
        columns.append(texts.rename(f"{name}, {one_in(rate)}"))
    table = pd.concat(columns, axis=1).fillna("–")
    others = [name for name in table.index if name not in best_first]
    return table.loc[[*best_first, *others]].rename_axis("candidate").reset_index()


def _percent_with_interval(row: Any) -> str:
    dash = f"{NO_BREAK_HERE}–{NO_BREAK_HERE}"
    ends = f"({as_percent(row.low)}{dash}{as_percent(row.high)})"
    star = "" if row.family_pairs >= evidence.FAMILY_PAIRS_NEEDED else f"{NO_BREAK}*"
    return f"{as_percent(row.tpr)}{NO_BREAK}{ends}{star}"


def cells_in_words(decided: pd.DataFrame) -> pd.DataFrame:
    """The table of `evidence.decide` with methods written out, and only the number that beat one.

    Names of winners are given where there are at most two.
    """
    shown = decided.copy()
    shown["beaten_by"] = [_winners(names) for names in decided["beaten_by"]]
    return shown


def _winners(names: str) -> str:
    winners = names.split(", ") if names else []
    if len(winners) > 2:
        return f"{len(winners)} others"
    return ", ".join(style.label(name) for name in winners) or "none"


# Why -----------------------------------------------------------------------------------------


def saved(hashed: Hashed, found: Disagreements) -> Figure:
    """Pairs of a family that one of FINd and dHash 256 finds and the other misses, a row for each.

    A method that saves none has no row.
    """
    rows = {}
    for name, pairs in {"dHash": found.by_dhash, "FINd": found.by_find}.items():
        if len(pairs):
            rows[f"{name} is closer" if not found.are_misses else f"{name} saves"] = pairs
    fig, axes = plt.subplots(
        len(rows), 2 * PAIRS_SHOWN, figsize=(style.WIDTH, 1.35 * len(rows)), squeeze=False
    )
    small = {"fontsize": 8, "ha": "center"}
    for row, (kind, pairs) in zip(axes, rows.items(), strict=True):
        places = pairs[["i", "j"]].to_numpy().ravel()
        pictures = [open_rgb(hashed.paths[place]) for place in places]
        plots.gallery(pictures, [" "] * len(pictures), row)
        for ax, pair in zip(row[::2], pairs.itertuples(), strict=False):
            bits = f"FINd {pair.a}, dHash {pair.b} bits"
            ax.text(1.1, -0.06, bits, transform=ax.transAxes, va="top", in_layout=False, **small)
        row[0].text(-0.15, 0.5, kind, rotation=90, transform=row[0].transAxes, va="center", **small)
    return fig


def saved_finding(hashed: Hashed, found: Disagreements) -> str:
    """In how many families each of FINd and dHash 256 finds what the other misses."""
    if not found.are_misses:
        return "Pairs that one of the two finds closer than most, and the other farther"
    return (
        f"dHash finds pairs that FINd misses in {found.families_by_dhash} of {hashed.families} "
        f"families, and FINd finds others in {found.families_by_find}"
    )


def rules_for_readers(rules: pd.DataFrame) -> pd.DataFrame:
    """What each rule finds, a column for each two hashes: rule and their names; see
    `accuracy.compare_rules`.
    """
    wide = rules.pivot(index="rule", columns="pair", values="tpr")
    in_order = list(dict.fromkeys(rules["rule"]))
    return wide.loc[in_order, list(dict.fromkeys(rules["pair"]))].reset_index()


# Whether the pictures are like FIN's ---------------------------------------------------------


def likeness(table: pd.DataFrame) -> Figure:
    """Quantiles of distances here and in the class set, a panel for each hasher.

    table: from `likeness.compare_quantiles`.
    """
    fig, axes = plt.subplots(1, 3, figsize=(style.WIDTH, 2.9), sharex=True, sharey=True)
    for name, ax in zip(HASHERS, axes, strict=True):
        for kind, line in ((ONE_FAMILY, "-"), (TWO_FAMILIES, "--")):
            part = table[(table["hasher"] == name) & (table["pairs"] == kind)]
            level = part["quantile"].str.rstrip("%").astype(int)
            ax.plot(
                part["class"], level, line, color="black", marker="o", label=f"class set, {kind}"
            )
            ax.plot(part["here"], level, line, color="#D55E00", marker="x", label=f"here, {kind}")
        ax.set_title(style.label(name))
    axes[0].set_ylabel("% of pairs at most that far apart")
    axes[1].set_xlabel("bits that differ, of 256")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7.5)
    return fig


def gallery_of_families(hashed: Hashed, most: int = 12) -> Figure:
    """One picture of each of the first families."""
    _, first = np.unique(hashed.labels, return_index=True)
    places = np.sort(first)[:most]
    pictures = [open_rgb(hashed.paths[place]) for place in places]
    names = [textwrap.shorten(str(hashed.labels[place]), 18) for place in places]
    rows = -(-len(places) // 6)
    fig, axes = plt.subplots(rows, 6, figsize=(style.WIDTH, 1.3 * rows))
    plots.gallery(pictures, names, axes)
    return fig


# Thresholds ----------------------------------------------------------------------------------


def tail(hashed: Hashed, note: str, *, parabolas: bool) -> Figure:
    """The share of unrelated pairs within each threshold, by the methods of `accuracy.DRAWN`.

    parabolas: whether to draw what is fitted to it, which needs thousands of pictures.
    """
    fig, ax = plt.subplots(figsize=(style.WIDTH, 3.6))
    for name in accuracy.DRAWN:
        measured = nonmatching.measure_shares(hashed.counts[name])
        distance = measured["distance"]
        threshold = 100 * distance / hashed.largest(name)
        every = max(1, len(distance) // 8)
        ax.plot(
            threshold,
            measured["strangers"],
            color=style.colour(name),
            marker=style.marker(name),
            markevery=every,
            label=style.label(name),
        )
        if parabolas:
            parabola = 10 ** np.polyval(nonmatching.fit_tail(hashed.counts[name]), distance)
            is_share = parabola <= 1
            ax.plot(threshold[is_share], parabola[is_share], ":", color=style.colour(name))
    ax.set(yscale="log", ylabel="share of unrelated pairs within it", ylim=(None, 1))
    ax.set_xlabel(f"threshold, % of the largest distance\n{note}")
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def tail_finding(tails: pd.DataFrame) -> str:
    """Down to which share the parabola predicts FINd's false matches; see `measure_tails`."""
    least = tails.set_index("hasher")["law_holds_to"]["find"]
    if np.isnan(least):
        return "A parabola (dotted) fitted to half of the families does not predict FINd's others"
    return (
        "Fitted to half of the families, a parabola (dotted) predicts FINd's false matches of the "
        f"others down to {one_in(least)}"
    )


def or_published(run: Run, slug: str, table: pd.DataFrame, precision: float) -> pd.DataFrame:
    """The thresholds of a table for the methods of `accuracy.DRAWN`, for readers.

    Where a run that is not of the published sizes has none of them, they are those of the published
    run, which is said. slug: the table's name. precision: that of the rows, if there are several.
    """
    wanted = _wanted_thresholds(table, precision)
    known = evidence.published(HOME / "figures", slug)
    if run.full or known is None or wanted["threshold"].notna().any():
        return wanted
    run.say(
        "*These pictures are too few to promise anything, so this is the table of the published "
        "run, whose families are built-in:*"
    )
    return _wanted_thresholds(known, precision)


def _wanted_thresholds(table: pd.DataFrame, precision: float) -> pd.DataFrame:
    wanted = table[table["hasher"].isin(accuracy.DRAWN)]
    if "precision" in wanted:
        wanted = wanted[wanted["precision"] == precision]
    return wanted


def transfer(tried: pd.DataFrame, note: str) -> Figure:
    """What thresholds let in and find on families, and on sets, that they were not chosen on.

    tried: from `accuracy.try_thresholds`, of the methods to draw.
    """
    sets = tried["set"].nunique()
    fig, axes = plt.subplots(2, sets, figsize=(style.WIDTH, 4.6), sharey="row", squeeze=False)
    plots.transfer(tried, axes)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    title = f"{note}; means and middle 90% of 200 halvings"
    fig.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        title=title,
        title_fontsize=7.5,
    )
    return fig


def survived_finding(survived: pd.DataFrame) -> str:
    """Which changes defeat every method: those after which none finds half of the copies.

    survived: the share matched, with a row for each method and a column for each change.
    """
    best = survived.max()
    defeating = [str(change) for change in best.index[best < 0.5]]
    if not defeating:
        return "After every change some method finds half of the copies"
    return f"No method finds half of the copies after a {', a '.join(defeating)}"


def transfer_finding(tried: pd.DataFrame) -> str:
    """Up to how many times the false pairs intended thresholds let in on sets not seen.

    The smallest and the largest of all methods are named; see `nonmatching.worst_excess`.
    """
    times = nonmatching.worst_excess(tried)["times"].sort_values()
    least = f"{times.iloc[0]:,.0f} ({style.label(str(times.index[0]))})"
    most = f"{times.iloc[-1]:,.0f} times ({style.label(str(times.index[-1]))})"
    return (
        f"On sets not seen, thresholds let in up to {least} to {most} the false pairs intended, "
        "depending on the method"
    )


# Where methods fail --------------------------------------------------------------------------


def plain(table: pd.DataFrame, least_quality: float, rate: float) -> Figure:
    """The pairs of plain pictures that each method matches, with the detail filter and without.

    table: from `accuracy.match_plain`.
    """
    fig, ax = plt.subplots(figsize=(style.WIDTH, 3.6))
    ranked = table.sort_values("share", ignore_index=True)
    y = ranked.index
    without = 100 * ranked["share"]
    filtered = 100 * ranked["share_gated"]
    ax.hlines(y, filtered, without, color=style.NEUTRAL)
    ax.plot(without, y, "ko", label="without the detail filter")
    label = f"with it: quality of at least {least_quality:.0f}"
    ax.plot(filtered, y, "ks", markerfacecolor="white", label=label)
    needed = 100 * evidence.NEEDS_FILTER_FROM
    ax.axvline(needed, color="black", ls=":", label=f"from {needed:.0f}% on a filter is needed")
    ax.set_yticks(y, ranked["hasher"].map(style.label))
    pairs = f"% of {int(table['pairs'].iloc[0]):,} pairs of plain pictures matched"
    ax.set_xlabel(f"{pairs}, at {one_in(rate)} (left is better)")
    ax.legend()
    return fig


def plain_finding(table: pd.DataFrame) -> str:
    """What dHash 256 matches of the pairs of plain pictures, added up bit by bit and by rows.

    table: as for `plain`.
    """
    shares = table.set_index("hasher")["share"]
    return (
        f"Without a detail filter dHash 256 matches {shares['dhash256']:.1%} of pairs of plain "
        f"pictures, by rows {shares['dhash256-rows']:.1%}"
    )


def copies_finding(found: pd.DataFrame) -> str:
    """After which kinds of change nearly all copies are found, and after which hardly any.

    found: copies_found.csv; the mean is taken over the kinds and methods of each group.
    """
    shares = found.groupby("group", sort=False)["share"].mean().rename(index=CHANGES)
    kept = [str(name) for name in shares.index[shares >= NEARLY_ALL]]
    lost = [str(name) for name in shares.index[shares <= HARDLY_ANY]]
    if not kept or not lost:
        return "Near copies that each method finds, all sets together"
    found_after = f"Nearly all copies are found after {in_a_list(kept)}"
    return f"{found_after}, hardly any after {in_a_list(lost)}"


def in_a_list(names: Sequence[str]) -> str:
    """Names as in a sentence: "a", "a and b", "a, b and c"."""
    *others, last = names
    if not others:
        return last
    return f"{', '.join(others)} and {last}"


def side_text(shares: pd.DataFrame) -> str:
    """What dHash by rows, and FINd + dHash 256, find of copies with text along a side.

    shares: the share of copies found, with a row for each kind and a column for each method.
    """
    banner = shares.loc["banner at the left, 20%"]
    captions = shares.loc["caption on both sides"]
    return (
        f"With a banner at the left dHash 256 by rows finds {banner['dhash256-rows']:.0%} of "
        f"copies, with captions on both sides {captions['dhash256-rows']:.0%}; FINd + dHash 256 "
        f"finds {banner['find+dhash256']:.0%} and {captions['find+dhash256']:.0%}."
    )


def heavier_captions(scores: pd.DataFrame, estimated: pd.DataFrame) -> str:
    """What the recommended method and FINd + dHash 256 find under heavier captions.

    scores, estimated: the published tables strict and thresholds of that set.
    """
    at_rate = scores[scores["rate"].astype(float) == 1e-4].set_index("candidate")["tpr"]
    by_rows = estimated[estimated["hasher"] == "dhash256-rows"].set_index("distance")
    within = by_rows["found"]
    is_measured = by_rows.loc[[40, 31], "measured"].all()
    estimated_or_not = "" if is_measured else "an estimated "
    return (
        f"Under heavier captions, at {one_in(1e-4)} unrelated pairs, FINd + dHash 256 finds "
        f"{at_rate['find+dhash256']:.1%} of family pairs and dHash 256 by rows "
        f"{at_rate['dhash256-rows']:.1%}. Within 40 bits rows find {estimated_or_not}"
        f"{within[40]:.0%} there, within 31 bits {within[31]:.0%}."
    )


def shares_map(shares: pd.DataFrame, unit: str, height: float, note: str = "") -> Figure:
    """A map of shares as percentages, low values dark: one row for each row of the table."""
    fig, ax = plt.subplots(figsize=(style.WIDTH, height))
    plots.heat_map(100 * shares, ax, text=".0f", high=100, unit=unit)
    ax.set_xlabel(note)
    return fig


# Evasion -------------------------------------------------------------------------------------


def evaded(
    pictures: Sequence[Any],
    names: Sequence[str],
    bits: Sequence[int],
    radius: int,
) -> Figure:
    """A picture and copies that a method misses, each with its distance from the first.

    bits: the distance of each; `radius` is the largest that the method matches.
    """
    columns = 4
    rows = -(-len(pictures) // columns)
    captions = []
    for name, distance in zip(names, bits, strict=True):
        verdict = "matched" if distance <= radius else "missed"
        captions.append(f"{name}\n{distance} bits: {verdict}")
    captions[0] = names[0]
    fig, axes = plt.subplots(rows, columns, figsize=(style.WIDTH, 2.1 * rows))
    plots.gallery(pictures, captions, axes)
    return fig


def evaded_finding(
    names: Sequence[str],
    bits: Sequence[int],
    radius: int,
) -> str:
    """Which of the copies that `evaded` draws are missed; the first one is the picture itself."""
    missed = []
    for name, distance in zip(names, bits, strict=True):
        if distance > radius:
            missed.append(name)
    at_threshold = f"At its threshold of {style.count_of(radius, 'bit')} dHash by rows"
    if not missed:
        return f"{at_threshold} finds every one of these copies of a picture"
    count = f"{len(missed)} of {style.count_of(len(names) - 1, 'copy', 'copies')}"
    return f"{at_threshold} misses {count} of this picture: {in_a_list(missed)}"


def least_changes(least: pd.DataFrame) -> pd.DataFrame:
    """The change that half of the copies are missed at: a row for each change, methods as columns.

    least: evasion_least.csv of one set. Shares become percentages; degrees stay.
    """
    methods = list(dict.fromkeys(least["method"]))
    rows = []
    for (change, unit), part in least.groupby(["change", "unit"], sort=False):
        is_angle = unit == "degrees"
        medians = part.set_index("method")["median"] * (1 if is_angle else 100)
        where = "degrees" if is_angle else f"% {unit}"
        rows.append({"change": f"{change}, {where}", **{name: medians[name] for name in methods}})
    return pd.DataFrame(rows)


def remedies(found: pd.DataFrame, cost: pd.DataFrame, method: str) -> pd.DataFrame:
    """What finds changed copies anyway, by one method: a row for each change and strength.

    found, cost: evasion_remedies.csv, over whose sets the mean is taken, and evasion_cost.csv.
    Columns change (with its strength), remedy, without and with (the shares found), times_plain,
    stored, compared.
    """
    of_method = found[found["method"] == method].copy()
    of_method["change"] = [
        _changed_by(change, strength)
        for change, strength in zip(of_method["change"], of_method["strength"], strict=True)
    ]
    means = of_method.groupby(["change", "remedy"], sort=False)[["without", "with"]].mean()
    return means.reset_index().merge(cost, on="remedy")


def _changed_by(change: str, strength: float) -> str:
    """What a changed copy is, in words; how a picture is flipped plays no part."""
    if change == "flip":
        return "mirrored or turned"
    verb = {"border": "framed", "crop": "cropped"}[change]
    return f"{verb} by {strength:.0%} of the side"
