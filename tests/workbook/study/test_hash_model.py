"""Simulated hash sets against the sets that they were fitted to."""

import numpy as np
import pytest

from finlib.matching.pairs import distance_histogram
from finlib.scoring.histograms import pair_counts
from workbook.study import hash_model


def half_set(families=60, size=12, seed=4):
    """Hashes with half their 64 bits set, families easy and hard by turns: the kind of thing to be imitated."""
    rng = np.random.default_rng(seed)
    family = np.arange(families).repeat(size)
    c = np.where(family % 2, 0.95, 0.75)[:, None]
    template = rng.standard_normal((families, 64)) + np.linspace(-0.5, 0.5, 64)
    coefficient = c * template[family] + np.sqrt(1 - c * c) * rng.standard_normal((len(family), 64))
    rank = np.argsort(np.argsort(-coefficient, axis=1), axis=1)
    return np.packbits(rank < 32, axis=1), family


@pytest.fixture(scope="module")
def model():
    return hash_model.fit(*half_set())


def test_half_of_the_bits_are_set_so_distances_are_even(model):
    packed, labels = model.draw(500, per_family=20)
    assert set(np.unpackbits(packed, axis=1).sum(1)) == {32}
    assert distance_histogram(packed)[1::2].sum() == 0
    assert labels.tolist() == [i // 20 for i in range(500)]


def test_distances_are_distributed_like_the_real_ones(model):
    real = pair_counts(*half_set())
    made = pair_counts(*model.draw(6000, per_family=12))
    for counts, expected in zip(made, real, strict=True):
        mean, deviation = hash_model.scatter(counts)
        assert mean == pytest.approx(hash_model.scatter(expected)[0], abs=0.8)
        assert deviation == pytest.approx(hash_model.scatter(expected)[1], rel=0.07)


def test_reliabilities_are_found_again(model):
    easy, hard = np.concatenate(model.reliability[1::2]), np.concatenate(model.reliability[::2])
    assert np.median(easy) == pytest.approx(0.95, abs=0.04)
    assert np.median(hard) == pytest.approx(0.75, abs=0.06)


def test_draws_repeat_and_seeds_differ(model):
    first, again = model.draw(300, seed=1)[0], model.draw(300, seed=1)[0]
    np.testing.assert_array_equal(first, again)
    assert (model.draw(300, seed=2)[0] != first).any()


def test_numbers_of_set_bits_are_those_of_the_real_hashes():
    packed, family = half_set()
    packed[::2, 0] |= 0b11
    counts = np.unpackbits(packed, axis=1).sum(1)
    made = np.unpackbits(hash_model.fit(packed, family).draw(4000)[0], axis=1).sum(1)
    assert set(made) <= set(counts)
    assert made.mean() == pytest.approx(counts.mean(), abs=0.1)


def test_a_draw_of_several_pieces_has_whole_families(model, monkeypatch):
    monkeypatch.setattr(hash_model, "ROWS", 100)
    packed, labels = model.draw(1003, per_family=30)
    counts = pair_counts(packed, labels)
    assert labels[-1] == 33
    assert hash_model.scatter(counts[0])[0] < hash_model.scatter(counts[1])[0] - 10


def test_exactly_as_many_bits_as_wanted_in_spite_of_ties():
    coefficient = np.array([[1, 1, 1, 1], [3, 2, 2, 1], [1, 2, 3, 4], [1, 2, 3, 4]], np.float32)
    chosen = hash_model._largest(coefficient, np.array([2, 2, 0, 4]))
    assert chosen.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]


def test_scatter_by_hand():
    assert hash_model.scatter(np.array([1, 0, 0, 0, 1])) == (2, 2)
    assert hash_model.scatter(np.array([0, 0, 7])) == (2, 0)


def test_too_little_to_fit_or_to_draw(model):
    with pytest.raises(ValueError, match="at least two families of at least three"):
        hash_model.fit(np.zeros((6, 8), np.uint8), [1, 1, 1, 2, 2, 3])
    with pytest.raises(ValueError, match="must be at least 1; got 0 and 54"):
        model.draw(0)
