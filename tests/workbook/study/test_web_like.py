"""Simulated hashes: families, distances, repeatability, and how clustering copes with them."""

import numpy as np
import pytest

from finlib.clustering.clusters import cluster
from workbook.study import clusterings, web_like


def test_most_images_are_alone_and_families_are_as_far_apart_as_the_class_sets():
    packed, family = web_like.draw(40_000)
    size = np.bincount(family)
    assert packed.shape == (40_000, 32)
    assert abs((size[family] == 1).mean() - 0.6) < 0.01
    order = np.argsort(family, kind="stable")
    pairs = np.flatnonzero(family[order][1:] == family[order][:-1])
    distance = np.bitwise_count(packed[order][pairs] ^ packed[order][pairs + 1]).sum(axis=1)
    assert abs(distance.mean() - 55) < 2
    assert abs(distance.std() - 22) < 3


def test_the_same_seed_gives_the_same_hashes_and_families_may_have_one_size():
    for one, other in zip(web_like.draw(3000, size=54), web_like.draw(3000, size=54), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(np.bincount(web_like.draw(5400, size=54)[1])) == {54}
    assert not np.array_equal(web_like.draw(3000)[0], web_like.draw(3000, seed=1)[0])


def test_skewed_bits_are_mostly_unset():
    share = np.unpackbits(web_like.draw(20_000, skewed=True)[0], axis=1).mean(axis=0)
    assert share[:128].mean() < 0.35
    assert 0.45 < share[128:].mean() < 0.55


@pytest.mark.parametrize("way", web_like.WAYS)
def test_clustering_does_not_depend_on_how_hashes_are_drawn(way):
    packed, family = web_like.draw_otherwise(20_000, way)
    scores = clusterings.score_clusters(family, cluster(packed).labels)
    assert scores["precision"] > 0.998
    assert scores["alone"] > 0.998
    assert scores["recall"] > 0.97


def test_mean_and_deviation_by_hand():
    assert web_like.mean_and_deviation(np.array([1, 0, 0, 0, 1])) == (2, 2)
    assert web_like.mean_and_deviation(np.array([0, 0, 7])) == (2, 0)


def test_an_unknown_way_is_refused():
    with pytest.raises(KeyError):
        web_like.draw_otherwise(10, "by hand")
