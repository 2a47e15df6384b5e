import numpy as np
import pytest

from finlib.matching import near, sampling
from finlib.matching.distances import get_distance
from finlib.matching.packed import to_words
from finlib.matching.pairs import pairs_between, pairs_within
from finlib.matching.rows import is_flat, row_distances

RADIUS = 30


@pytest.fixture(autouse=True)
def passes_however_small_the_set(monkeypatch):
    monkeypatch.setattr(near, "EXACT", 0)


def captioned(families, per_family, *, other_bytes=0, seed=1):
    """Hashes of families: a caption replaces some rows at the top and the bottom of each."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 1 << 16, (families, 16), dtype=np.uint16).repeat(per_family, 0)
    noise = rng.integers(0, 1 << 16, rows.shape, dtype=np.uint16)
    above = rng.integers(0, 5, (len(rows), 1))
    below = 16 - rng.integers(0, 5, (len(rows), 1))
    is_covered = (np.arange(16) < above) | (np.arange(16) >= below)
    dhash = np.where(is_covered, noise, rows).view(np.uint8)
    template = rng.integers(0, 256, (families, other_bytes), dtype=np.uint8).repeat(per_family, 0)
    return np.hstack([template, dhash])


def search_of(packed, radius=RADIUS, indexed=None):
    distance = get_distance("rows", packed.shape[1])
    indexed = len(packed) if indexed is None else indexed
    return sampling.make_sampling(to_words(packed), indexed, radius, distance, 7)


class Pairs:
    """Collects the pairs that a search finds."""

    def __init__(self):
        self.found = set()

    def take(self, i, j, distance):
        low = np.minimum(i, j).tolist()
        high = np.maximum(i, j).tolist()
        self.found |= set(zip(low, high, distance.tolist(), strict=True))


@pytest.mark.parametrize("other_bytes", [0, 32])
def test_pairs_are_right_and_as_many_as_predicted(other_bytes):
    packed = captioned(700, 4, other_bytes=other_bytes)
    radius = RADIUS if not other_bytes else 3 * RADIUS
    search = search_of(packed, radius)
    assert isinstance(search, sampling.RowSampling)
    exact = pairs_within(packed, radius, distance="rows")
    expected = set(zip(*(part.tolist() for part in exact), strict=True))
    rows = packed[:, other_bytes:].view(np.uint16)
    differing = np.bitwise_count(rows[exact.i] ^ rows[exact.j]).astype(int)
    for passes in (1, 3, 16):
        found = search.run(range(passes), Pairs()).found
        assert found <= expected
        predicted = search.recall(differing, passes).mean()
        assert len(found) / len(expected) == pytest.approx(predicted, abs=0.06)
    assert len(found) > 0.99 * len(expected)


def test_a_key_of_one_row_meets_more_often_than_bits_from_anywhere():
    packed = captioned(3000, 2)
    exact = len(pairs_within(packed, RADIUS, distance="rows").i)
    distance = get_distance("rows", 32)
    by_rows = search_of(packed).run(range(2), Pairs()).found

    class Anywhere(sampling.RowSampling):
        def draw(self, number):
            rng = np.random.default_rng((self.seed, number))
            return sampling.Draw(rng.permutation(256), sampling.NO_ROW)

    anywhere = Anywhere(to_words(packed), len(packed), RADIUS, distance, 7)
    assert len(by_rows) > 1.3 * len(anywhere.run(range(2), Pairs()).found)
    assert len(by_rows) > 0.5 * exact


def test_a_flat_row_is_no_key():
    packed = captioned(2000, 1)
    rows = packed.view(np.uint16)
    rows[::2, :] = 0  # would be one bucket
    rows[1::4, 8:] = 0xFFFF
    search = search_of(packed)
    for number in range(16):
        drawn = search.draw(number)
        in_pass = search.buckets(number).order
        assert not is_flat(rows[in_pass, drawn.row]).any()
        assert len(in_pass) == (~is_flat(rows[:, drawn.row])).sum()


@pytest.mark.parametrize("n", [2000, 20_000])
def test_a_bucket_of_everything_stays_bounded(n):
    same = captioned(1, 1).repeat(n, 0)
    near_copies = same.copy()
    near_copies[:, 5] ^= np.random.default_rng(2).integers(0, 256, n, dtype=np.uint8)
    margins = captioned(n, 1)
    margins[:, :24] = same[:, :24]  # three quarters are the same in all
    for packed in (same, near_copies, margins):
        jobs = search_of(packed).buckets(0).jobs
        comparisons = ((jobs[:, 1] - jobs[:, 0]) * (jobs[:, 3] - jobs[:, 2])).sum()
        assert comparisons <= 2 * n * sampling.BUCKET_SIZE


def test_components_are_the_same_on_any_number_of_workers():
    packed = captioned(2000, 3)
    expected = near.unite_near(packed, RADIUS, distance="rows", resources=near.Resources(1))
    for workers in (2, 5):
        resources = near.Resources(workers)
        forest = near.unite_near(packed, RADIUS, distance="rows", resources=resources)
        assert np.array_equal(forest.roots(), expected.roots())
    exact = near.Forest(len(packed))
    exact.take(*pairs_within(packed, RADIUS, distance="rows"))
    assert (expected.roots() == exact.roots()).mean() > 0.9


def test_the_nearest_candidate_is_found():
    packed = captioned(1500, 3)
    candidates = packed[::3]
    queries = np.delete(packed, np.arange(0, len(packed), 3), axis=0)
    found = near.find_nearest(queries, candidates, RADIUS, distance="rows")
    pairs = pairs_between(queries, candidates, RADIUS, distance="rows")
    has_one = np.unique(pairs.i)
    assert np.isin(np.flatnonzero(found >= 0), has_one).all()
    assert (found[has_one] >= 0).mean() > 0.9
    matched = np.flatnonzero(found >= 0)
    distances = row_distances(queries[matched], candidates[found[matched]])
    assert (distances <= RADIUS).all()
