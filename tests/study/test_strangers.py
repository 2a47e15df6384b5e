"""How far strangers can be told, by hand."""

import numpy as np
import pandas as pd
import pytest

from finlib.study import strangers


def gaussian(total, mean=60.0, spread=8.0):
    distance = np.arange(129)
    share = np.exp(-((distance - mean) ** 2) / 2 / spread**2)
    return np.stack([np.where(distance < 30, 100, 0), np.round(total * share / share.sum())]).astype(np.int64)


def test_shares_start_at_ten_false_pairs():
    counts = np.array([[4, 4, 2, 0, 0], [0, 6, 5, 60, 929]])
    assert strangers.shares(counts).to_numpy().tolist() == [[2, 0.011, 1.0], [3, 0.071, 1.0]]


def test_a_parabola_is_believed_where_it_is_true():
    checked = strangers.check(gaussian(10**7), gaussian(10**7))
    assert strangers.believed(checked) == pytest.approx(checked["observed"].min())
    broken = checked.assign(ratio=np.where(checked["observed"] < 1e-5, 10, checked["ratio"]))
    assert 1e-5 <= strangers.believed(broken) < 2e-5
    assert np.isnan(strangers.believed(checked.assign(ratio=10.0)))


def test_thresholds_take_the_worst_of_the_sets():
    one = pd.DataFrame({"hasher": "h", "distance": [2, 3, 4], "strangers": [0.1, 0.2, 0.3], "found": [0.5, 0.6, 0.7]})
    other = pd.DataFrame({"hasher": "h", "distance": [3, 4], "strangers": [0.1, 0.4], "found": [0.9, 0.6]})
    assert strangers.thresholds([one, other]).to_numpy().tolist() == [
        ["h", 2, 0.1, 0.5],  # the other set tells no share below 0.1
        ["h", 3, 0.2, 0.6],
        ["h", 4, 0.4, 0.6],
    ]


def test_reads_off_by_hand():
    table = pd.DataFrame({"hasher": "h", "distance": [2, 4], "strangers": [1e-3, 1e-1], "found": [0.5, 1.0]})
    frame = strangers.reads_off(table, [101], [0.5, 0.99], relatives=1)
    # At 2 bits: 25.25 true, 5.05 false; at 4: 50.5 true, 505 false.
    assert frame.loc[0, ["threshold", "false_pairs", "found"]].tolist() == pytest.approx([2, 5.05, 0.5])
    assert frame.loc[1, ["threshold", "false_pairs", "found"]].isna().all()


def test_thresholds_on_another_set_by_hand():
    shares = pd.DataFrame({"hasher": "h", "distance": [4, 6], "strangers": [1e-4, 1e-2], "found": [0.5, 0.8]})
    limits = {"hasher": "h", "intended": [1e-5, 1e-4, 1e-3, 1e-2], "threshold": [3.0, 4.0, 5.5, 7.0]}
    chosen = pd.DataFrame(limits).assign(fpr=0.0, tpr=1.0, fpr_low=0.0, fpr_high=0.0)
    there = strangers.transferred(chosen, shares, "memes")
    assert there["intended"].tolist() == [1e-4, 1e-3, 1e-2]  # so few as within 3 bits are not told
    assert there["fpr"].tolist() == [1e-4, 1e-4, 1e-2]
    assert there["tpr"].tolist() == [0.5, 0.5, 0.8]
    assert there[["fpr_low", "fpr_high"]].isna().all(axis=None)
    assert set(there["set"]) == {"memes"}
    assert strangers.at_worst(there).to_dict() == {"h": pytest.approx(1.0)}
    assert strangers.transferred(chosen, shares.assign(hasher="other"), "memes").empty
