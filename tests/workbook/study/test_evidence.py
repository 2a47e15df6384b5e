"""The rule applied by hand: scores at equal rates, verdicts, who beats whom, the answer."""

import numpy as np
import pandas as pd
import pytest

from workbook.study import evidence, family_pairs
from workbook.study.uncertainty import Interval


def test_tpr_is_taken_at_the_realised_rate():
    counts = np.array(
        [[5, 3, 2, 0], [0, 1, 1, 8]]
    )  # thresholds 0, 1, 2: FPR 0, 0.1, 0.2; TPR 0.5, 0.8, 1
    assert evidence.tpr_at_realised(counts, 0.0) == 0.5
    assert evidence.tpr_at_realised(counts, 0.05) == pytest.approx(0.65)
    assert evidence.tpr_at_realised(counts, 0.1) == pytest.approx(0.8)
    assert evidence.tpr_at_realised(counts, 1.0) == 1.0
    assert np.isnan(evidence.tpr_at_realised(np.array([[1, 0], [0, 0]]), 0.1))


def test_rates_are_measured_from_ten_expected_false_pairs():
    assert evidence.rates_with_enough_pairs(np.array([[1], [10**6]])) == [1e-4, 1e-5]
    assert evidence.usable_rates(np.array([[1], [20_000]])) == [1e-3]
    assert evidence.usable_rates(np.array([[1], [3]])) == [0.5]


def test_false_pairs_are_traced_to_pairs_of_families_by_hand():
    """Families 0 and 1 lie 1 bit apart, 2 lies 8 from both: its closest pairs are 7 and 8."""
    packed = np.array([[0b0], [0b11], [0b1], [0b111], [0b11111111]], np.uint8)
    labels = ["0", "0", "1", "1", "2"]
    closest = family_pairs.closest_of_families(packed, labels)
    assert closest.tolist() == [1, 6, 5]
    counts = np.zeros((2, 9), np.int64)
    counts[1, [1, 2, 5, 6]] = 3, 1, 1, 3
    assert evidence.family_pairs_at(counts, closest, 0.1) == 1
    assert evidence.family_pairs_at(counts, closest, 0.5) == 2


def test_a_cell_that_is_not_resolved_decides_nothing():
    measured = measured_of({"a": 0.9, "b": 0.5}, family_pairs=9)
    cells = evidence.compare("x", measured)
    assert not cells["resolved"].any()
    assert not evidence.beats(cells, "a", "b", ["x"], SIZE)
    assert "recommended" not in evidence.decide(cells, ["x"], SIZE, MS)["answer"].tolist()


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.02, 0.01, 0.03), "better"),
        ((0.009, 0.001, 0.02), "no worse"),
        ((-0.02, -0.03, -0.01), "worse"),
        ((0.0, -0.02, 0.02), "undecided"),
    ],
)
def test_verdicts(interval, expected):
    assert evidence.verdict(Interval(*interval)) == expected


def test_half_of_the_misses_count_as_a_difference():
    cells = evidence.compare("x", measured_of({"a": 0.997, "b": 0.993})).set_index("one")
    assert cells["verdict"].to_dict() == {"a": "better", "b": "worse"}
    cells = evidence.compare("x", measured_of({"a": 0.996, "b": 0.993})).set_index("one")
    assert cells["verdict"].to_dict() == {"a": "no worse", "b": "no worse"}


def measured_of(scores, rate=1e-4, family_pairs=10):
    """A set where candidates have these scores at one rate, without any spread."""
    return evidence.Measured(
        {name: {rate: score} for name, score in scores.items()},
        {name: {rate: np.full(50, score)} for name, score in scores.items()},
        {name: {rate: family_pairs} for name in scores},
    )


def cells_of(sets, better_by):
    """Candidates a, b and a+b; the sum finds that much more than a does, the same in every set."""
    scores = {"a": 0.90, "b": 0.85, "a+b": 0.90 + better_by}
    return pd.concat([evidence.compare(name, measured_of(scores)) for name in sets])


SIZE = {"a": 32, "b": 32, "a+b": 64}
MS = {"a": 1.0, "b": 0.5, "a+b": 1.4}


def test_a_sum_must_remove_a_quarter_of_the_misses():
    little = evidence.decide(cells_of(["x", "y"], 0.02), ["x", "y"], SIZE, MS)
    assert little.set_index("candidate")["answer"].to_dict() == {
        "a": "recommended",
        "a+b": "unbeaten",
        "b": "beaten",
    }
    much = evidence.decide(cells_of(["x", "y"], 0.05), ["x", "y"], SIZE, MS)
    assert much.set_index("candidate")["answer"].to_dict() == {
        "a+b": "recommended",
        "a": "beaten",
        "b": "beaten",
    }
    assert evidence.answer(much) == "By the rule: a+b."


def test_a_set_that_is_missing_leaves_it_undecided():
    decided = evidence.decide(cells_of(["x"], 0.05), ["x", "y"], SIZE, MS)
    assert "recommended" not in decided["answer"].tolist()
    assert evidence.answer(decided).startswith("By the rule: undecided")


def test_one_cell_that_is_worse_stops_a_verdict():
    cells = cells_of(["x", "y"], 0.05)
    against = cells_of(["class pairs"], -0.05)
    assert evidence.beats(cells, "a+b", "a", ["x", "y"], SIZE)
    assert not evidence.beats(pd.concat([cells, against]), "a+b", "a", ["x", "y"], SIZE)


def test_a_candidate_without_a_resolved_rate_cannot_be_recommended():
    """b would be the simplest, but its rates rest on nine pairs of families."""
    measured = measured_of({"a": 0.9, "b": 0.5, "a+b": 0.91})
    measured.family_pairs["b"][1e-4] = 9
    decided = evidence.decide(evidence.compare("x", measured), ["x"], SIZE, MS)
    assert decided.set_index("candidate")["answer"].to_dict() == {
        "b": "not resolved",
        "a": "recommended",
        "a+b": "unbeaten",
    }


def test_the_simplest_stores_least_then_has_fewest_constants_then_takes_least_time():
    size = {"find": 32, "dhash256": 32, "dhash256-rows": 32, "find+dhash256-rows": 64}
    ms = {"find": 1.0, "dhash256": 1.2, "find+dhash256": 1.4}
    shuffled = ["find+dhash256-rows", "dhash256-rows", "dhash256", "find"]
    order = sorted(shuffled, key=lambda name: evidence.simplicity(name, size, ms))
    assert order == list(size)


def test_candidates_say_what_they_store_and_how_it_is_compared():
    assert evidence.hasher_of("find+dhash256-rows") == "find+dhash256"
    assert evidence.distance_of("find+dhash256-rows") == "rows"
    assert evidence.distance_of("find+dhash256") == "hamming"
    counted = [evidence.constants_of(name) for name in ("find", *evidence.ROWS)]
    assert counted == [0, 2, 3]


def test_losing_changed_copies_stops_a_verdict():
    """a finds five points more of the matching pairs, but loses thirteen of changed copies."""
    better = evidence.compare("x", measured_of({"a": 0.95, "b": 0.90}))
    assert evidence.beats(better, "a", "b", ["x"], SIZE)
    matches = {"a": np.zeros((2, 5, 100), bool), "b": np.zeros((2, 5, 100), bool)}
    matches["a"][..., :60] = True
    matches["b"][..., :73] = True
    copies = evidence.measure_changed_copies(matches, seed=1)
    assert copies.scores["a"][evidence.CHANGED_COPIES] == pytest.approx(0.60)
    worse = evidence.compare("x", copies)
    assert not evidence.beats(pd.concat([better, worse]), "a", "b", ["x"], SIZE)


def test_changed_copies_alone_do_not_make_up_for_rates_that_are_not_resolved():
    cells = cells_of(["x"], 0.05)
    unresolved = evidence.compare("y", measured_of({"a": 0.9, "a+b": 0.95}, family_pairs=9))
    matches = {name: np.ones((2, 5, 100), bool) for name in ("a", "a+b")}
    copies = evidence.compare("y", evidence.measure_changed_copies(matches, seed=1))
    decided = evidence.decide(pd.concat([cells, unresolved, copies]), ["x", "y"], SIZE, MS)
    assert "recommended" not in decided["answer"].tolist()


def test_changed_copies_are_judged_at_the_strictest_rate_that_a_set_has_pairs_for():
    assert evidence.changed_copies_rate(np.array([[1], [10**6]])) == 1e-5
    assert evidence.changed_copies_rate(np.array([[1], [5000]])) == 1e-3
    assert evidence.changed_copies_rate(np.array([[1], [3]])) == 0.5


def test_class_pairs_give_what_their_authors_report():
    """TPR 97.2 / 97.1 / 96.3% at FPR 1%, to within a pair or three of 1,000."""
    frame = evidence.class_pairs()
    assert (frame["family"] >= 0).sum() == (frame["family"] < 0).sum() == 1000
    measured = evidence.measure_class_pairs(resamples=20, seed=1)
    found = [
        measured.scores[name][evidence.CLASS_PAIRS_RATE]
        for name in ("find", "phash256", "whash256")
    ]
    assert found == pytest.approx([0.972, 0.971, 0.963], abs=0.0031)
    assert (measured.frame()["low"] <= measured.frame()["tpr"]).all()


def test_draws_are_paired(picture):
    rng = np.random.default_rng(1)
    hashes = np.repeat(rng.integers(0, 256, (12, 8), dtype=np.uint8), 5, axis=0) ^ (
        rng.random((60, 8)) < 0.1
    )
    packed = {"one": hashes, "same": hashes.copy()}
    measured = evidence.measure(packed, np.repeat(np.arange(12), 5), [1e-2], resamples=30, seed=3)
    np.testing.assert_array_equal(measured.draws["one"][1e-2], measured.draws["same"][1e-2])


def test_what_was_not_published_is_none(tmp_path):
    assert evidence.published(tmp_path, "cells") is None


def test_attainable_by_hand():
    counts = np.array([[1, 0], [0, 5_000]])
    assert evidence.attainable(counts, 1e-4) == 1e-3
    assert evidence.attainable(counts, 1e-3) == 1e-3
    assert np.isnan(evidence.attainable(np.array([[4, 0], [0, 6]]), 1e-4))
