"""Thresholds by what a user needs: false pairs, share found; no promise without evidence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlib.matching import thresholds


def test_the_table_is_ascending_and_whole():
    for hasher in ("find", "phash256", "dhash256", "find+dhash256"):
        known = thresholds.evidence(hasher)
        assert (np.diff(known.distance) > 0).all()
        assert (np.diff(known.strangers) >= 0).all()
        assert known.strangers[0] > 0
        assert ((known.found >= 0) & (known.found <= 1)).all()


def test_false_pairs_and_found_step_with_the_radius():
    known = thresholds.evidence("find")
    radius = int(known.distance[3])
    assert thresholds.expected("find", radius) == (known.strangers[3], known.found[3])
    assert thresholds.expected("find", radius + 0.5) == thresholds.expected("find", radius)
    assert np.isnan(thresholds.expected("find", 250)).all()


def test_a_radius_keeps_its_promise():
    radius = thresholds.radius_for("find", 1e6, false_pairs=20)
    known = thresholds.evidence("find")
    following = known.distance[np.searchsorted(known.distance, radius) + 1]
    assert (
        thresholds.expected("find", radius)[0] <= 20e-6 < thresholds.expected("find", following)[0]
    )
    few, many = (thresholds.radius_for_precision("find", n, 0.9) for n in (1000, 10_000))
    assert few >= many


def test_what_the_evidence_cannot_tell_is_refused():
    with pytest.raises(
        ValueError, match=r"no evidence on thresholds of 'nohash': there is for find"
    ):
        thresholds.radius_for("nohash", 10, false_pairs=1)
    with pytest.raises(
        ValueError, match="whash256 cannot promise this at any radius: take a longer hash"
    ):
        thresholds.radius_for("whash256", 1e15, false_pairs=1)
    with pytest.raises(ValueError, match="between 0 and 1; got 2"):
        thresholds.radius_for_precision("find", 10, 2)


@pytest.mark.parametrize("hasher", ["find", "phash256", "dhash256", "find+dhash256"])
def test_below_the_evidence_both_shares_go_on_and_promise_no_more_than_the_evidence_would(hasher):
    known = thresholds.evidence(hasher)
    radii = [thresholds.radius_for(hasher, n * n / 2, false_pairs=1) for n in (1e2, 1e4, 1e5, 1e6)]
    assert radii == sorted(radii, reverse=True)
    assert radii[0] > known.least > radii[1]
    assert (np.diff(known.strangers) >= 0).all()
    assert (np.diff(known.found) >= 0).all()


def test_the_evidence_is_what_notebook_05_published():
    published = Path(__file__).parents[2] / "figures" / "05_thresholds.csv"
    pd.testing.assert_frame_equal(
        pd.read_csv(published), pd.read_csv(Path(thresholds.__file__).with_name("thresholds.csv"))
    )
