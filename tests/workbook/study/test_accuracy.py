"""Methods are scored on every pair of a small set of families, as counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.study import accuracy, evidence, together

FAMILIES = 4
EACH = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four families of four noisy pictures, as columns path and family."""
    folder = tmp_path_factory.mktemp("families")
    rng = np.random.default_rng(8)
    rows = []
    for family in range(FAMILIES):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        base = np.asarray(small.resize((96, 80), Image.Resampling.BICUBIC)).astype(int)
        for number in range(EACH):
            noisy = np.clip(base + rng.integers(-60, 61, base.shape), 0, 255).astype(np.uint8)
            path = folder / f"{family:04}_{number}.png"
            Image.fromarray(noisy).save(path)
            rows.append((str(path), f"{family:04}"))
    return pd.DataFrame(rows, columns=["path", "family"])


@pytest.fixture(scope="module")
def hashed(data):
    return accuracy.collect(data, accuracy.hash_all(data["path"]))


def test_every_method_stores_its_parts_and_short_hashes_are_no_candidates(hashed):
    both = np.hstack([hashed.packed["find"], hashed.packed["dhash256"]])
    np.testing.assert_array_equal(hashed.packed["find+dhash256"], both)
    assert hashed.packed["dhash256-rows"] is hashed.packed["dhash256"]
    assert not set(hashed.candidates) & set(accuracy.SHORT)
    assert {*evidence.SUMS, *evidence.ROWS} < set(hashed.candidates)
    assert hashed.stored_bytes["find+dhash64"] == 40
    assert hashed.largest("dhash256-rows") == 48


def test_all_pairs_are_counted(hashed):
    images = FAMILIES * EACH
    same = FAMILIES * EACH * (EACH - 1) // 2
    assert hashed.families == FAMILIES
    assert hashed.pairs == (same, images * (images - 1) // 2 - same)
    for name in hashed.packed:
        assert hashed.counts[name].sum() == images * (images - 1) // 2, name
    first_family = np.arange(EACH)
    assert hashed.count("find", first_family).sum(axis=1).tolist() == [6, 0]


def test_a_picture_that_cannot_be_read_is_left_out_for_all(data, tmp_path):
    broken = tmp_path / "0000_9.png"
    broken.write_text("no picture")
    longer = pd.concat([pd.DataFrame({"path": [str(broken)], "family": ["0000"]}), data])
    hashed = accuracy.collect(longer, accuracy.hash_all(longer["path"]))
    assert hashed.unreadable == 1
    assert hashed.paths == data["path"].tolist()
    assert {len(packed) for packed in hashed.packed.values()} == {len(data)}


def test_rates_are_written_as_readers_know_them():
    assert accuracy.scientific(1e-5) == "1e-5"
    assert accuracy.one_in("1e-5") == "one in 100,000"
    assert accuracy.one_in(0.5) == "one in 2"


def test_side_by_side_stars_what_is_not_resolved():
    columns = ["candidate", "rate", "tpr", "low", "high", "family_pairs"]
    one = pd.DataFrame([("find", "1e-5", 0.5, 0.25, 0.75, 10)], columns=columns)
    other = pd.DataFrame([("find", 1e-2, 0.5, 0.25, 0.75, 9)], columns=columns)
    table = accuracy.side_by_side({"a": one, "b": other}, {"find": 32}, {"find": 0.2})
    assert table.loc["find"].tolist() == [32, 0.2, "0.500 (0.250–0.750)", "0.500 (0.250–0.750) *"]
    assert list(table)[2:] == ["a, FPR 1e-5", "b, FPR 1e-2"]


def test_sets_without_published_tables_are_left_out(tmp_path):
    cells = pd.DataFrame({"one": ["a", "a"], "other": ["b", "c"], "resolved": True, "set": "own"})
    (tmp_path / "there").mkdir()
    cells.to_csv(tmp_path / "there" / "05_cells.csv", index=False)
    folders = {"memes": tmp_path / "there", "site": tmp_path / "not there"}
    assert list(accuracy.published(folders, "cells")) == ["memes"]
    (of_memes,) = accuracy.cells_elsewhere(folders, ["a", "b"])
    assert of_memes[["one", "other", "set"]].to_numpy().tolist() == [["a", "b", "memes"]]


def test_time_is_measured_for_every_method(hashed):
    timings = accuracy.time_hashing(hashed, images=2, repeats=1)
    ms = accuracy.ms_an_image(timings, 2)
    assert set(ms) == {evidence.hasher_of(name) for name in hashed.packed}
    assert all(value > 0 for value in ms.values())
    rates = accuracy.time_comparing(hashed, repeats=1)
    assert rates["name"].tolist() == list(accuracy.COMPARED)


def test_changed_copies_match_at_the_largest_radius_and_not_below_zero(hashed):
    changed = accuracy.change_pictures(hashed, 1, seed=1, workers=1)
    assert set(changed.hashes) == set(hashed.candidates)
    for radius, share in ((10_000, 1.0), (-1, 0.0)):
        radii = dict.fromkeys(hashed.candidates, radius)
        measured = accuracy.match_changed(hashed, changed, radii, seed=1)
        assert set(measured.frame()["tpr"]) == {share}


def test_rules_are_compared_with_the_first_hash_alone(hashed):
    both = hashed.packed["find"], hashed.packed["dhash256"]
    halves = together.halved(*both, hashed.labels)
    rules = accuracy.compare_rules({"find+dhash256": halves}, 0.1).set_index("rule")
    assert rules.columns[0] == "pair"
    alone = rules.loc["first alone", "tpr"]
    if alone < 1:
        assert rules.loc["first alone", "misses_removed"] == 0
    else:
        assert rules["misses_removed"].isna().all()
    by_rate = accuracy.rules_by_rate(halves, [0.1, 0.01])
    assert by_rate["rate"].unique().tolist() == ["1e-1", "1e-2"]


def test_correlations_are_of_the_pairs_of_hashes(hashed):
    table = accuracy.correlate(hashed)
    assert table["pair"].tolist() == ["find+dhash256", "find+phash256", "phash256+dhash256"]
    assert table[["one family", "two families"]].abs().to_numpy().max() <= 1


def test_where_nothing_is_missed_hashes_disagree_about_the_closer_half(hashed):
    found = accuracy.disagree(hashed, 0.5)
    assert not found.are_misses
    by_find, by_dhash = (hashed.counts[name][0] for name in ("find", "dhash256"))
    assert (found.by_dhash["a"] > np.median(np.repeat(np.arange(257), by_find)) - 1).all()
    assert (found.by_dhash["b"] <= np.median(np.repeat(np.arange(257), by_dhash))).all()
    assert found.families_by_dhash <= FAMILIES


def test_misses_are_shown_where_there_are_any(hashed):
    packed = dict(hashed.packed)
    packed["find"] = packed["find"].copy()
    packed["find"][0] ^= 255  # far from its family by FINd alone
    changed = accuracy.Hashed(hashed.paths, hashed.labels, hashed.quality, packed, 0)
    found = accuracy.disagree(changed, 0.1)
    assert found.are_misses
    assert found.families_by_dhash == 1
    assert 0 in found.by_dhash[["i", "j"]].to_numpy()


def test_tails_and_shares_have_every_candidate(hashed):
    tails = accuracy.measure_tails(hashed)
    assert tails["hasher"].tolist() == hashed.candidates
    shares = accuracy.measure_shares(hashed)
    assert list(shares) == ["hasher", "distance", "strangers", "found"]
    assert shares["strangers"].between(0, 1).all()


def test_thresholds_are_tried_here_and_elsewhere(hashed):
    shares = accuracy.measure_shares(hashed)
    tried = accuracy.try_thresholds(hashed, {"memes": shares}, here="own", seed=1)
    assert set(tried["set"]) <= {"the other half of own", "memes"}
    assert {"hasher", "intended", "fpr", "tpr", "times_worst"} < set(tried)
    assert accuracy.try_published_thresholds(shares, Path("not there")).empty


def test_plain_pictures_match_by_the_radius(hashed):
    pictures = {name: Image.new("RGB", (40, 40), name) for name in ("red", "white", "navy")}
    passes = np.array([True, True, False])
    none = dict.fromkeys(hashed.candidates, -1)
    every = dict.fromkeys(hashed.candidates, 10_000)
    for radii, matched in ((none, 0), (every, 3)):
        plain = accuracy.match_plain(hashed, pictures, passes, radii, resamples=5, seed=1)
        assert plain["hasher"].tolist() == hashed.candidates
        assert (plain["matched"] == matched).all()
        assert (plain["needs_filter"] == (matched > 0)).all()
    assert (plain["pairs_gated"] == 1).all()
