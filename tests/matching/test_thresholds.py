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
        assert (np.diff(known.nonmatching) >= 0).all()
        assert known.nonmatching[0] > 0
        assert ((known.matching >= 0) & (known.matching <= 1)).all()


def test_false_pairs_and_found_step_with_the_radius():
    known = thresholds.evidence("find")
    radius = int(known.distance[3])
    assert thresholds.expected_at("find", radius) == (known.nonmatching[3], known.matching[3])
    assert thresholds.expected_at("find", radius + 0.5) == thresholds.expected_at("find", radius)
    assert np.isnan(thresholds.expected_at("find", 250)).all()


def test_a_radius_keeps_its_promise():
    radius = thresholds.radius_for_false_pairs("find", 1e6, 20)
    known = thresholds.evidence("find")
    following = known.distance[np.searchsorted(known.distance, radius) + 1]
    assert (
        thresholds.expected_at("find", radius)[0]
        <= 20e-6
        < thresholds.expected_at("find", following)[0]
    )
    few, many = (thresholds.radius_for_precision("find", n, 0.9) for n in (1000, 10_000))
    assert few >= many


def test_what_the_evidence_cannot_tell_is_refused():
    with pytest.raises(
        ValueError, match=r"no evidence on thresholds for the method 'nohash'; there is for find"
    ):
        thresholds.radius_for_false_pairs("nohash", 10, 1)
    with pytest.raises(
        ValueError, match="whash256 has no radius with so few false pairs: take a longer hash"
    ):
        thresholds.radius_for_false_pairs("whash256", 1e15, 1)
    with pytest.raises(ValueError, match="between 0 and 1; got 2"):
        thresholds.radius_for_precision("find", 10, 2)


@pytest.mark.parametrize(
    "method", ["find", "phash256", "find+dhash256", "dhash256-rows", "find+dhash256-rows"]
)
def test_below_the_evidence_both_shares_go_on_and_promise_no_more_than_the_evidence_would(method):
    known = thresholds.evidence(method)
    radii = [thresholds.radius_for_false_pairs(method, n * n / 2, 1) for n in (1e2, 1e4, 1e5, 1e6)]
    assert radii == sorted(radii, reverse=True)
    assert radii[0] > known.least_measured > radii[1]
    assert (np.diff(known.nonmatching) >= 0).all()
    assert (np.diff(known.matching) >= 0).all()


def test_a_method_that_cannot_promise_so_few_false_pairs_says_so():
    """Too many unrelated pictures have the same dHash, or nearly."""
    assert thresholds.radius_for_false_pairs("dhash256", 1e5**2 / 2, 1) < 43
    with pytest.raises(ValueError, match="dhash256 has no radius with so few false pairs"):
        thresholds.radius_for_false_pairs("dhash256", 1e6**2 / 2, 1)


def test_the_evidence_is_what_notebook_05_published():
    published = Path(__file__).parents[2] / "figures" / "05_thresholds.csv"
    pd.testing.assert_frame_equal(
        pd.read_csv(published), pd.read_csv(Path(thresholds.__file__).with_name("thresholds.csv"))
    )
