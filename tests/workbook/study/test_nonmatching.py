"""Shares of non-matching pairs, predictions of small ones and thresholds, computed by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from workbook.study import nonmatching, uncertainty

PUBLISHED = Path(__file__).parents[3] / "figures" / "05_thresholds.csv"


def gaussian(total, mean=60.0, spread=8.0):
    distance = np.arange(129)
    share = np.exp(-((distance - mean) ** 2) / 2 / spread**2)
    return np.stack(
        [np.where(distance < 30, 100, 0), np.round(total * share / share.sum())]
    ).astype(np.int64)


def test_shares_start_at_ten_false_pairs():
    counts = np.array([[4, 4, 2, 0, 0], [0, 6, 5, 60, 929]])
    assert nonmatching.measure_shares(counts).to_numpy().tolist() == [
        [2, 0.011, 1.0],
        [3, 0.071, 1.0],
    ]


def test_a_parabola_is_trusted_where_it_is_right():
    checked = nonmatching.check_tail(gaussian(10**7), gaussian(10**7))
    assert nonmatching.least_trusted_share(checked) == pytest.approx(checked["observed"].min())
    broken = checked.assign(ratio=np.where(checked["observed"] < 1e-5, 10, checked["ratio"]))
    assert 1e-5 <= nonmatching.least_trusted_share(broken) < 2e-5
    assert np.isnan(nonmatching.least_trusted_share(checked.assign(ratio=10.0)))


def test_thresholds_take_the_worst_of_the_sets():
    one = pd.DataFrame(
        {
            "hasher": "h",
            "distance": [2, 3, 4],
            "strangers": [0.1, 0.2, 0.3],
            "found": [0.5, 0.6, 0.7],
        }
    )
    other = pd.DataFrame(
        {"hasher": "h", "distance": [3, 4], "strangers": [0.1, 0.4], "found": [0.9, 0.6]}
    )
    assert nonmatching.combine_sets([one, other]).to_numpy().tolist() == [
        ["h", 2, 0.1, 0.5],  # the smallest share of the other set is 0.1
        ["h", 3, 0.2, 0.6],
        ["h", 4, 0.4, 0.6],
    ]


def test_normal_distributions_extend_what_is_measured():
    distance = np.arange(129)
    columns = {"strangers": ndtr((distance - 110) / 9), "found": ndtr((distance - 50) / 20)}
    whole = pd.DataFrame({"hasher": "h", "distance": distance} | columns)
    found = nonmatching.extrapolate(whole[70:])
    pd.testing.assert_frame_equal(found.drop(columns="measured"), whole, rtol=1e-6)
    assert found["measured"].tolist() == [False] * 70 + [True] * 59


def test_without_matching_pairs_or_with_one_distance_it_is_extended_too():
    table = pd.DataFrame(
        {
            "hasher": ["a", "b", "b"],
            "distance": [2, 1, 3],
            "strangers": [0.1, 1e-3, 1e-2],
            "found": 0,
        }
    )
    found = nonmatching.extrapolate(table)
    assert found["distance"].tolist() == [0, 1, 2, 0, 1, 3]
    assert found["strangers"].between(0, 0.1).all()
    assert (found["found"] == 0).all()


@pytest.mark.parametrize("hasher", ["find", "phash256", "dhash256", "find+dhash256"])
def test_estimates_come_near_the_smallest_shares_when_these_are_withheld(hasher):
    published = pd.read_csv(PUBLISHED)
    whole = published[published["measured"] & (published["hasher"] == hasher)]
    least = whole["strangers"].iloc[0]
    again = nonmatching.extrapolate(whole[whole["strangers"] >= 30 * least])
    ends = [
        frame.loc[frame["strangers"] <= 2 * least, "distance"].max() for frame in (again, whole)
    ]
    # The nearest pairs of the site are near kin, which no tail of a distribution predicts.
    assert abs(ends[0] - ends[1]) <= 7


def test_chosen_thresholds_by_hand():
    table = pd.DataFrame(
        {"hasher": "h", "distance": [2, 4], "strangers": [1e-3, 1e-1], "found": [0.5, 1.0]}
    )
    frame = nonmatching.choose_thresholds(table, [101], [0.5, 0.99])
    # At 2 bits: 25.25 true, 5.05 false; at 4: 50.5 true, 505 false.
    assert frame.loc[0, ["threshold", "false_pairs", "found"]].tolist() == pytest.approx(
        [2, 5.05, 0.5]
    )
    assert frame.loc[1, ["threshold", "false_pairs", "found"]].isna().all()


def test_thresholds_on_another_set_by_hand():
    shares = pd.DataFrame(
        {"hasher": "h", "distance": [4, 6], "strangers": [1e-4, 1e-2], "found": [0.5, 0.8]}
    )
    limits = {
        "hasher": "h",
        "intended": [1e-5, 1e-4, 1e-3, 1e-2],
        "threshold": [3.0, 4.0, 5.5, 7.0],
    }
    unknown = dict.fromkeys(("fpr", "tpr", "fpr_low", "fpr_high", "times", "times_worst"), 0.0)
    chosen = pd.DataFrame(limits).assign(**unknown)
    there = nonmatching.apply_thresholds(chosen, shares, "memes")
    assert there["intended"].tolist() == [1e-4, 1e-3, 1e-2]  # no share is measured within 3 bits
    assert there["fpr"].tolist() == [1e-4, 1e-4, 1e-2]
    assert there["tpr"].tolist() == [0.5, 0.5, 0.8]
    assert there[["fpr_low", "fpr_high", "times_worst"]].isna().all(axis=None)
    assert set(there["set"]) == {"memes"}
    assert nonmatching.worst_excess(there).loc["h", "times"] == pytest.approx(1.0)
    assert nonmatching.apply_thresholds(chosen, shares.assign(hasher="other"), "memes").empty


def test_thresholds_of_every_split_on_another_set_by_hand():
    columns = {"hasher": "h", "distance": [4, 6], "strangers": [1e-4, 1e-2], "found": [0.5, 0.8]}
    trials = pd.DataFrame(
        {"hasher": "h", "split": range(20), "intended": 1e-4, "threshold": 4.0, "fpr": 9, "tpr": 9}
    )
    trials.loc[18:, "threshold"] = 6.0  # in two of twenty splits
    trials.loc[0, "threshold"] = 3.0  # below all that was measured: the smallest share counts
    there = nonmatching.transfer_trials(trials, pd.DataFrame(columns))
    assert there["fpr"].tolist() == [1e-4] * 18 + [1e-2] * 2
    summary = uncertainty.held_out_summary(there).iloc[0]
    assert summary["times"] == pytest.approx((18 * 1 + 2 * 100) / 20)
    assert summary["times_worst"] == pytest.approx(100)
    assert summary["tpr"] == pytest.approx((18 * 0.5 + 2 * 0.8) / 20)
    other = pd.DataFrame(columns).assign(hasher="other")
    assert nonmatching.transfer_trials(trials, other).empty
    strict = trials.assign(intended=1e-6, threshold=3.0)  # below all that was measured
    both = nonmatching.transfer_trials(pd.concat([strict, trials]), pd.DataFrame(columns))
    assert both["intended"].unique().tolist() == [1e-4]


def one_method(strangers, found, measured):
    distance = np.arange(len(strangers))
    columns = {"hasher": "find", "distance": distance, "strangers": strangers, "found": found}
    return pd.DataFrame(columns).assign(measured=measured)


def test_radii_for_collections_by_hand():
    # 1,000 images of 20 relatives each: 10,000 matching pairs and 499,500 pairs in all.
    shares = np.array([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    found = np.array([0.1, 0.5, 0.8, 0.9, 1.0])
    table = one_method(shares, found, [False, True, True, True, True])
    sets = {"one": table.assign(strangers=shares), "other": table.assign(strangers=shares / 2)}
    collections = [nonmatching.Collection(1000, 20)]
    chosen = nonmatching.choose_for_collections(table, sets, collections).iloc[0]
    # 9,000 right ones allow 1,000 false ones: 499.5 at a radius of 3, and 4,995 at 4 are too many.
    assert chosen["threshold"] == 3
    assert chosen["false_pairs"] == pytest.approx(499.5)
    assert chosen["found"] == 0.9
    assert chosen["precision_then"] == pytest.approx(9000 / (9000 + 4995))
    assert chosen["careful_threshold"] == 2  # ten times 49.95 are few beside 8,000
    assert chosen["careful_found"] == 0.8
    assert chosen["measured"]
    assert chosen["body"] == "one"


def test_a_radius_below_what_is_measured_is_called_an_estimate():
    table = one_method(
        np.array([1e-9, 1e-8, 1e-5]), np.array([0.2, 0.3, 0.9]), [False, False, True]
    )
    sets = {"few": table[2:], "none": table[:0]}
    collections = [nonmatching.Collection(1_000_000, 10)]
    chosen = nonmatching.choose_for_collections(table, sets, collections).iloc[0]
    assert chosen["threshold"] == 1
    assert not chosen["measured"]
    assert chosen["body"] == "few"


def test_no_radius_is_named_where_none_promises_the_precision():
    table = one_method(np.array([0.1, 0.2]), np.array([0.1, 0.2]), [True, True])
    collections = [nonmatching.Collection(1_000_000, 1)]
    chosen = nonmatching.choose_for_collections(table, {"one": table}, collections).iloc[0]
    assert np.isnan(chosen["threshold"])
    assert chosen["body"] == ""
    assert not chosen["measured"]
