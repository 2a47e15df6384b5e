"""False pairs at advised radii: counted by hand, with near kin and without, and filtered."""

import numpy as np
import pytest

from finlib.matching.thresholds import expected_at
from workbook.study import kinds
from workbook.study.kinds import Body


def body_of(n: int, **changed: np.ndarray) -> Body:
    """A body of unrelated random hashes; the first two pictures have the same ones."""
    packed = {}
    for method in kinds.METHODS:
        size = 64 if "+" in method else 32
        hashes = np.random.default_rng(size).integers(0, 256, (n, size), dtype=np.uint8)
        hashes[1] = hashes[0]
        packed[method] = hashes
    no_kin = np.zeros(n, dtype=bool)
    body = Body("noise", packed, np.arange(n), np.full(n, 100.0), no_kin)
    return body._replace(**changed)


def records_of(body: Body, least_quality: float = 0.0) -> dict:
    counted = kinds.count_false_pairs(body, least_quality, resamples=50, seed=1)
    return {
        (record["kin"], record["filter"], record["method"], record["rate"]): record
        for record in counted
    }


def test_an_advised_radius_keeps_the_rate_and_a_larger_one_does_not() -> None:
    for method in kinds.METHODS:
        radius = kinds.advised_radius(method, 1e-4)
        assert expected_at(method, radius).nonmatching <= 1e-4
        assert expected_at(method, radius + 2).nonmatching > 1e-4


def test_the_one_false_pair_is_found_and_compared_with_the_prediction() -> None:
    record = records_of(body_of(30))["counted", "off", "find", "1e-05"]
    assert record["pairs"] == 30 * 29 // 2
    assert record["found"] == 1
    assert record["family_pairs"] == 1
    predicted = 435 * expected_at("find", record["radius"]).nonmatching
    assert record["predicted"] == pytest.approx(predicted)
    assert record["times"] == pytest.approx(1 / predicted)
    assert record["low"] == 0
    assert record["high"] >= 1
    assert np.isnan(record["share_found"])


def test_near_kin_are_counted_both_ways() -> None:
    is_kin = np.arange(30) == 1
    records = records_of(body_of(30, is_kin=is_kin))
    assert records["counted", "off", "find", "1e-05"]["found"] == 1
    without = records["left out", "off", "find", "1e-05"]
    assert without["found"] == 0
    assert without["images"] == 29
    assert without["high"] == pytest.approx(3.7, abs=0.1)  # Clopper and Pearson, for none


def test_the_filter_leaves_out_what_it_refuses() -> None:
    quality = np.where(np.arange(30) < 2, 40.0, 100.0)
    body = body_of(30, quality=quality)
    records = records_of(body, 90)
    assert records["counted", "off", "dhash256-rows", "1e-05"]["found"] == 1
    assert records["counted", "on", "dhash256-rows", "1e-05"]["found"] == 0
    assert len(kinds.refused(body, 90).quality) == 2


def test_pairs_of_one_family_are_found_and_not_false() -> None:
    families = np.arange(30)
    families[1] = 0
    record = records_of(body_of(30, families=families))["counted", "off", "find", "1e-05"]
    assert record["found"] == 0
    assert record["share_found"] == 1


def test_pairs_of_a_refused_picture_are_not_found() -> None:
    quality = np.where(np.arange(30) == 2, 40.0, 100.0)
    families = np.arange(30)
    families[1:3] = 0  # 0 and 1 have the same hashes; 2 is refused
    records = records_of(body_of(30, families=families, quality=quality), 90)
    assert records["counted", "off", "find", "1e-05"]["share_found"] == pytest.approx(1 / 3)
    assert records["counted", "on", "find", "1e-05"]["share_found"] == pytest.approx(1 / 3)
    assert kinds.matching_pairs(families) == 3


def test_few_pairs_of_families_do_not_resolve_a_rate() -> None:
    record = records_of(body_of(30))["counted", "off", "find", "1e-05"]
    assert not record["resolved"]
    hashes = np.zeros((30, 32), np.uint8)
    packed = {
        method: np.zeros((30, 64 if "+" in method else 32), np.uint8) for method in kinds.METHODS
    }
    packed["find"] = hashes
    all_alike = records_of(body_of(30, packed=packed))["counted", "off", "find", "1e-05"]
    assert all_alike["family_pairs"] == 435
    assert all_alike["resolved"]


def test_class_pairs_are_counted_by_their_published_distances() -> None:
    records = kinds.count_class_pairs()
    of_find = {record["rate"]: record for record in records if record["method"] == "find"}
    assert len(records) == 2 * len(kinds.RATES)
    assert of_find["1e-04"]["found"] == 0  # the least distance between families is 102 bits
    assert of_find["1e-04"]["pairs"] == 1000
    assert of_find["1e-04"]["high"] == pytest.approx(3.7, abs=0.1)
    assert of_find["1e-04"]["share_found"] > of_find["1e-06"]["share_found"] > 0.5
    assert set(records[0]) <= set(kinds.COLUMNS)


def test_bodies_are_pooled_with_every_picture_its_own_family() -> None:
    both = kinds.pooled("both", [body_of(5), body_of(4)])
    assert both.name == "both"
    assert len(np.unique(both.families)) == 9
    assert all(len(hashes) == 9 for hashes in both.packed.values())


def test_resampling_groups_moves_the_interval_with_the_pairs() -> None:
    within = np.array([[0, 6], [0, 0]])
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    low, high = kinds.resampled_interval(within, weights, 100)
    assert low == 0
    assert high == 6


def test_pairs_within_a_radius_are_counted_with_an_interval() -> None:
    hashes = body_of(30).packed["dhash256"]
    matched = kinds.count_matched(hashes, "hamming", 20.0, resamples=200, seed=1)
    assert matched.found == 1
    assert matched.pairs == 435
    assert matched.low == 0
    assert 1 <= matched.high <= 9


def test_no_pictures_have_no_pairs() -> None:
    none = body_of(30).packed["dhash256"][:0]
    assert kinds.count_matched(none, "hamming", 20.0, resamples=9, seed=1).pairs == 0
