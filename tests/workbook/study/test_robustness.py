"""Changed images are hashed alike by any number of workers, and scored as counted by hand."""

import numpy as np
import pytest
from PIL import Image

from finlib.hashing.hashers import HASHERS
from finlib.hashing.images import open_rgb
from finlib.scoring.metrics import query_counts, rate_at
from workbook.study import robustness
from workbook.study.transforms import TRANSFORMS


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("0000_1.png", "0000_2.png"):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((96, 80), Image.Resampling.BICUBIC).save(tmp_path / name)
    return sorted(tmp_path.iterdir())


def test_hash_changed_hashes_what_the_transform_gives(paths):
    hashes = robustness.hash_changed(paths, ["dhash64", "ahash256"], seed=3)
    assert hashes["dhash64"].shape == (len(TRANSFORMS), 5, 2, 8)
    assert hashes["ahash256"].shape == (len(TRANSFORMS), 5, 2, 32)
    turn = list(TRANSFORMS).index("noise")
    transform = TRANSFORMS["noise"]
    changed = transform.apply(
        open_rgb(paths[1]), transform.strengths[4], np.random.default_rng([3, 1, turn, 4])
    )
    np.testing.assert_array_equal(
        hashes["dhash64"][turn, 4, 1], HASHERS["dhash64"].from_image(changed)
    )


@pytest.mark.slow
def test_workers_change_nothing(paths):
    alone, shared = (
        robustness.hash_changed(paths, ["dhash64"], workers=workers) for workers in (1, 2)
    )
    np.testing.assert_array_equal(alone["dhash64"], shared["dhash64"])


def test_robustness_by_hand():
    # Three hashes: two of family a, 4 bits apart, and an unrelated one 30 bits from the first.
    packed = np.packbits([[1] * ones + [0] * (64 - ones) for ones in (0, 4, 30)], axis=1)
    labels = np.array(["a", "a", "b"])
    sample = np.array([0, 1])
    changed = np.broadcast_to(packed[sample], (len(TRANSFORMS), 5, 2, 8)).copy()
    changed[0, 4, 0] = np.packbits([1] * 10 + [0] * 54)  # the first image, changed by 10 bits
    frame = robustness.robustness(
        {"dhash64": changed}, sample, {"dhash64": packed}, labels, {"dhash64": 8.0}
    )
    assert len(frame) == len(TRANSFORMS) * 5
    hurt = frame[(frame["transform"] == next(iter(TRANSFORMS))) & (frame["level"] == 5)].iloc[0]
    assert (hurt["own"], hurt["family"], hurt["fpr"]) == (0.5, 1.0, 0.0)
    rest = frame.drop(hurt.name)
    assert (rest["own"] == 1).all()
    assert (rest["fpr"] == 0).all()
    wide = robustness.robustness(
        {"dhash64": changed}, sample, {"dhash64": packed}, labels, {"dhash64": 26.0}
    )
    assert wide.loc[hurt.name, ["own", "family", "fpr"]].tolist() == [1.0, 1.0, 1.0]
    assert wide.loc[0, "fpr"] == 0.5  # 26 bits to one of the two, 30 to the other


def test_shares_are_those_of_every_pair():
    rng = np.random.default_rng(2)
    base = np.repeat(rng.integers(0, 256, (30, 32), dtype=np.uint8), 6, axis=0)
    packed = base ^ np.packbits(rng.random((180, 256)) < 0.1, axis=1)
    labels = np.repeat(np.arange(30), 6)
    sample = np.array([3, 40, 171])
    changed = packed[sample] ^ np.packbits(rng.random((len(TRANSFORMS), 5, 3, 256)) < 0.1, axis=-1)
    frame = robustness.robustness(
        {"dhash256-rows": changed},
        sample,
        {"dhash256-rows": packed},
        labels,
        {"dhash256-rows": 46.0},
        {"dhash256-rows": "rows"},
    )
    counts = query_counts(
        changed[1, 2], labels[sample], packed, labels, itself=sample, distance="rows"
    )
    family, fpr = rate_at(counts.sum(axis=0), 46.0)
    assert frame.loc[7, ["family", "fpr"]].tolist() == [family, fpr]
    assert 0 < family < 1
