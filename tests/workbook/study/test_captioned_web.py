import numpy as np
import pytest

from finlib.matching.rows import is_flat, row_distances
from workbook.study import captioned_web, scale


@pytest.fixture(scope="module")
def pictures():
    """Measured on families of hashes with rows that a caption has replaced, and a flat margin."""
    rng = np.random.default_rng(1)
    field = rng.standard_normal((60, 16, 17))
    smooth = field[:, :, 1:] + field[:, :, :-1] > 0
    template = np.packbits(smooth.reshape(60, 256), axis=1, bitorder="little").view(np.uint16)
    template[:12, :2] = 0
    rows = template.repeat(8, axis=0)
    is_covered = np.arange(16) >= 16 - rng.integers(0, 5, (len(rows), 1))
    rows = np.where(is_covered, rng.integers(0, 1 << 16, rows.shape, dtype=np.uint16), rows)
    return captioned_web.measure(rows.view(np.uint8), np.arange(60).repeat(8))


def test_the_same_seed_draws_the_same_hashes(pictures):
    one, families = captioned_web.draw(5000, pictures, seed=3)
    other, _ = captioned_web.draw(5000, pictures, seed=3)
    assert one.shape == (5000, 32)
    assert one.dtype == np.uint8
    assert np.array_equal(one, other)
    assert len(families) == 5000
    assert not np.array_equal(one, captioned_web.draw(5000, pictures, seed=4)[0])


def test_damage_lies_in_few_rows_and_neighbouring_bits_are_alike(pictures):
    packed, families = captioned_web.draw(20_000, pictures)
    order = np.argsort(families, kind="stable")
    is_pair = families[order][1:] == families[order][:-1]
    one = packed[order][:-1][is_pair]
    other = packed[order][1:][is_pair]
    rows_that_differ = (one.view(np.uint16) != other.view(np.uint16)).sum(axis=1)
    assert 1 < rows_that_differ.mean() < 8
    assert np.median(row_distances(one, other)) < 34
    unrelated = row_distances(packed[:5000], packed[5000:10_000])
    assert np.median(unrelated) > 40
    bits = np.unpackbits(packed, axis=1, bitorder="little").reshape(-1, 16, 16)
    assert (bits[:, :, 1:] == bits[:, :, :-1]).mean() > 0.6
    flat = is_flat(packed.view(np.uint16)).mean(axis=0)
    assert flat[:2].min() > 0.2 > flat[2:].max()


def test_clusters_and_recall_of_a_small_set_are_measured(pictures, monkeypatch):
    monkeypatch.setattr(scale, "RECALL_QUERIES", 300)
    row = scale.measured_by_rows(3000, pictures)
    assert row["n"] == 3000
    assert row["precision"] > 0.99
    assert row["recall"] > 0.8
    assert 0 < row["whole"] <= 1
    table = scale.recall_by_rows(6000, pictures)
    shares = table.groupby("passes")[["found", "predicted"]].mean()
    assert (shares.loc[16] > 0.9).all()
    assert (shares["found"].diff().dropna() >= 0).all()


def test_row_keys_find_more_pairs_a_pass_than_bits_anywhere_as_both_predict(pictures, monkeypatch):
    monkeypatch.setattr(scale, "RECALL_QUERIES", 1000)
    table = scale.keys_by_bits(8000, pictures)
    assert set(table["passes"]) == {1, 2, 4, 8, 16, 32}
    weighted = table.assign(
        found=table["found"] * table["pairs"], predicted=table["predicted"] * table["pairs"]
    )
    sums = weighted.groupby(["keys", "passes"])[["found", "predicted", "pairs"]].sum()
    found = sums["found"] / sums["pairs"]
    predicted = sums["predicted"] / sums["pairs"]
    assert found["bits of a row", 2] > found["bits anywhere", 2]
    assert np.allclose(found["bits of a row"], predicted["bits of a row"], atol=0.1)
    # Bits anywhere are taken to differ where they split the hashes well, the worst case.
    assert (found["bits anywhere"] > predicted["bits anywhere"] - 0.05).all()
    assert (table["cpu_s"] > 0).all()
