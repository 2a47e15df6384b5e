"""Notebook 05's figures draw what they are given, and its tables for readers are percentages."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from workbook.report import accuracy as shown
from workbook.report.notebook import Run
from workbook.report.record import Recorder
from workbook.study.accuracy import Disagreements, Hashed

COLUMNS = ["candidate", "rate", "tpr", "low", "high", "family_pairs"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def scores():
    rows = [
        ("find", "1e-4", 0.95, 0.9, 0.97, 400),
        ("dhash256-rows", "1e-4", 0.997, 0.99, 0.999, 50),
        ("ahash256", "1e-4", 0.6, 0.5, 0.7, 90),
        ("find", "1e-5", 0.91, 0.87, 0.95, 31),
        ("dhash256-rows", "1e-5", 0.99, 0.98, 0.997, 9),
        ("ahash256", "1e-5", 0.3, 0.2, 0.4, 90),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_methods_that_find_little_are_named_and_not_drawn(scores):
    fig = shown.strict(scores, 0.7, "many pictures")
    titles = [ax.get_title() or ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["one in 10,000", "one in 100,000"]
    drawn = [text.get_text() for text in fig.axes[0].get_yticklabels()]
    assert drawn == ["dHash 256 by rows", "FINd"]
    assert "not drawn: aHash 256" in fig.get_supxlabel()


def test_the_finding_is_of_the_strictest_rate_that_is_resolved_for_find(scores):
    finding = shown.strict_finding(scores)
    assert "one in 100,000" in finding
    assert "FINd finds 91.0%" in finding  # the better method is not resolved there
    nothing = shown.strict_finding(scores.assign(family_pairs=1))
    assert nothing == "Share of family pairs found"


def test_scores_of_sets_are_percentages_that_do_not_wrap(scores):
    class_pairs = pd.DataFrame([("find", 1e-2, 0.97, 0.96, 0.98, 50)], columns=COLUMNS)
    table = shown.scores_by_set({"built-in": scores, "class pairs": class_pairs})
    assert list(table) == ["candidate", "built-in, one in 100,000", "class pairs, one in 100"]
    assert table["candidate"].tolist() == ["dhash256-rows", "find", "ahash256"]
    best = table.iloc[0, 1]
    visible = best.replace(shown.NO_BREAK, " ").replace(shown.NO_BREAK_HERE, "")
    assert visible == "99.0 (98.0–99.7) *"
    assert " " not in best
    assert table.iloc[0, 2] == "–"


def test_winners_are_written_out_or_counted():
    decided = pd.DataFrame({"beaten_by": ["", "find+dhash256, pdq", "a, b, c"]})
    words = shown.cells_in_words(decided)["beaten_by"].tolist()
    assert words == ["none", "FINd + dHash 256, PDQ", "3 others"]


def test_a_method_that_saves_nothing_has_no_row(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    hashed = Hashed([str(tmp_path / "a.png")] * 2, np.array(["a", "a"]), np.zeros(2), {}, 0)
    pairs = pd.DataFrame({"i": [0], "j": [1], "a": [90], "b": [20], "family": ["a"]})
    found = Disagreements(pairs, pairs[:0], 1, 0, are_misses=True)
    fig = shown.saved(hashed, found)
    assert len(fig.axes) == 2 * shown.PAIRS_SHOWN
    texts = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert texts == ["FINd 90, dHash 20 bits", "dHash saves"]
    assert "1 of 1 families" in shown.saved_finding(hashed, found)
    closer = found._replace(are_misses=False)
    assert "misses" not in shown.saved_finding(hashed, closer)


def test_rules_are_in_their_order_with_a_column_for_each_pair():
    rules = pd.DataFrame(
        {"pair": ["a+b", "a+b", "c+d", "c+d"], "rule": ["sum", "both", "sum", "both"], "tpr": 0.5}
    )
    table = shown.rules_for_readers(rules)
    assert list(table) == ["rule", "a+b", "c+d"]
    assert table["rule"].tolist() == ["sum", "both"]


def test_a_trial_without_numbers_shows_the_published_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shown, "HOME", tmp_path)
    (tmp_path / "figures").mkdir()
    columns = ["hasher", "precision", "threshold"]
    published = [("find", 0.5, 40.0), ("find", 0.9, 30.0), ("pdq", 0.9, 31.0)]
    table = pd.DataFrame(published, columns=columns)
    table.to_csv(tmp_path / "figures" / "05_x.csv", index=False)
    trial = Run({}, Recorder("05", tmp_path / "out"), full=False)
    full = Run({}, trial.recorder, full=True)
    empty = table.assign(threshold=[40, np.nan, np.nan])
    for run, slug, expected in ((full, "x", None), (trial, "not there", None), (trial, "x", 30)):
        (threshold,) = shown.or_published(run, slug, empty, 0.9)["threshold"]
        assert threshold == expected or (expected is None and np.isnan(threshold))
    assert capsys.readouterr().out.count("published run") == 1
    some = table.assign(threshold=3.0)
    assert shown.or_published(trial, "x", some, 0.9)["threshold"].tolist() == [3]


def test_changes_that_evade_are_percentages_but_for_angles():
    least = pd.DataFrame(
        [
            ("frame all round", "of the side", "find", 0.03),
            ("tilt", "degrees", "find", 3.5),
        ],
        columns=["change", "unit", "method", "median"],
    )
    table = shown.least_changes(least)
    assert table["change"].tolist() == ["frame all round, % of the side", "tilt, degrees"]
    assert table["find"].tolist() == pytest.approx([3, 3.5])


def test_remedies_are_means_over_sets_with_their_price():
    found = pd.DataFrame(
        [
            ("crop", "seven crops stored", 0.05, "find", 0.1, 0.2),
            ("crop", "seven crops stored", 0.05, "find", 0.3, 0.6),
            ("flip", "eight turns of the query", 1, "find", 0.0, 1.0),
            ("flip", "eight turns of the query", 2, "find", 0.0, 1.0),
            ("flip", "eight turns of the query", 2, "pdq", 1.0, 1.0),
        ],
        columns=["change", "remedy", "strength", "method", "without", "with"],
    )
    remedies = ["seven crops stored", "eight turns of the query"]
    cost = pd.DataFrame({"remedy": remedies, "times_plain": [6.0, 7.0]})
    table = shown.remedies(found, cost, "find")
    assert table["change"].tolist() == ["cropped by 5% of the side", "mirrored or turned"]
    assert table["without"].tolist() == pytest.approx([0.2, 0])
    assert table["with"].tolist() == pytest.approx([0.4, 1])
    assert table["times_plain"].tolist() == [6, 7]


def test_copies_outside_the_radius_are_missed(picture):
    fig = shown.evaded([picture] * 3, ["the picture", "mirrored", "blurred"], [0, 40, 3], 30)
    captions = [ax.get_title() for ax in fig.axes]
    assert captions == ["the picture", "mirrored\n40 bits: missed", "blurred\n3 bits: matched", ""]


def test_missed_copies_are_named_in_the_title():
    names = ["the picture", "mirrored", "crop of 5%", "5° tilt"]
    assert shown.evaded_finding(names, [0, 27, 31, 43], 30) == (
        "At its threshold of 30 bits dHash by rows misses 2 of 3 copies of this picture: crop of "
        "5% and 5° tilt"
    )
    none = shown.evaded_finding(names[:2], [0, 27], 30)
    assert none.endswith("finds every one of these copies of a picture")


def test_plain_pairs_are_counted_for_dhash_and_by_rows():
    table = pd.DataFrame({"hasher": ["dhash256", "dhash256-rows"], "share": [0.478, 0.0001]})
    assert shown.plain_finding(table) == (
        "Without a detail filter dHash 256 matches 47.8% of pairs of plain pictures, by rows 0.0%"
    )


def test_changes_that_hide_copies_are_named_where_the_shares_are_clear():
    found = pd.DataFrame(
        [("saved again", 1.0), ("sizes", 0.97), ("sizes", 0.99), ("turns", 0.4), ("crops", 0.02)],
        columns=["group", "share"],
    )
    assert shown.copies_finding(found) == (
        "Nearly all copies are found after saving and resizing, hardly any after crops and borders"
    )
    unclear = shown.copies_finding(found[found["group"] != "crops"])
    assert unclear == "Near copies that each method finds, all sets together"


def test_names_are_listed_as_in_a_sentence():
    assert shown.in_a_list(["a"]) == "a"
    assert shown.in_a_list(["a", "b", "c"]) == "a, b and c"


def test_text_along_a_side_is_told_by_what_is_found():
    shares = pd.DataFrame(
        {"dhash256-rows": [0.39, 0.54], "find+dhash256": [0.99, 0.97]},
        index=["banner at the left, 20%", "caption on both sides"],
    )
    assert shown.side_text(shares) == (
        "With a banner at the left dHash 256 by rows finds 39% of copies, with captions on both "
        "sides 54%; FINd + dHash 256 finds 99% and 97%."
    )


@pytest.mark.parametrize(("measured", "word"), [(True, ""), (False, "an estimated ")])
def test_heavier_captions_are_told_from_published_tables(measured, word):
    scores = pd.DataFrame(
        [("find+dhash256", "1e-4", 0.961), ("dhash256-rows", "1e-4", 0.925), ("find", "1e-5", 0.1)],
        columns=["candidate", "rate", "tpr"],
    )
    estimated = pd.DataFrame(
        [("dhash256-rows", 31, 0.39, measured), ("dhash256-rows", 40, 0.82, True)],
        columns=["hasher", "distance", "found", "measured"],
    )
    assert shown.heavier_captions(scores, estimated) == (
        "Under heavier captions, at one in 10,000 unrelated pairs, FINd + dHash 256 finds 96.1% of "
        f"family pairs and dHash 256 by rows 92.5%. Within 40 bits rows find {word}82% there, "
        "within 31 bits 39%."
    )


def test_changes_that_defeat_every_method_are_named():
    survived = pd.DataFrame(
        {"jpeg": [1.0, 0.9], "crop": [0.4, 0.49], "flip": [0.0, 0.1], "caption": [0.3, 0.8]},
        index=["find", "dhash256"],
    )
    found = shown.survived_finding(survived)
    assert found == "No method finds half of the copies after a crop, a flip"
    some = shown.survived_finding(survived[["jpeg", "caption"]])
    assert some == "After every change some method finds half of the copies"


def test_the_smallest_and_the_largest_excess_are_told():
    tried = pd.DataFrame(
        {
            "hasher": ["find", "find", "dhash256"],
            "times": [2.0, 13.1, 70.4],
            "times_worst": [3.0, 28.6, 81.6],
        }
    )
    assert shown.transfer_finding(tried) == (
        "On sets not seen, thresholds let in up to 13 (FINd) to 70 times (dHash 256) the false "
        "pairs intended, depending on the method"
    )
