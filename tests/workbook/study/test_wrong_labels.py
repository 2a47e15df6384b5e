"""Wrong labels: what looks alike without a hash, what wrong ones cost, and how many there are."""

import numpy as np
import pytest
from PIL import Image

from workbook.study import evidence, wrong_labels
from workbook.study.accuracy import Hashed


@pytest.fixture
def hashed(tmp_path, picture):
    """Two equal pictures and their negatives: families a and b look alike, c does not."""
    paths = []
    negative = Image.eval(picture, lambda level: 255 - level)
    for number, shown in enumerate([picture, picture, negative, negative]):
        path = tmp_path / f"{number}.png"
        shown.save(path)
        paths.append(str(path))
    packed = np.zeros((4, 32), np.uint8)
    packed[2:] = 255
    labels = np.array(["a", "b", "c", "c"])
    return Hashed(paths, labels, np.full(4, 100.0), {"find": packed, "find+dhash256": packed}, 0)


def test_families_that_look_alike_without_a_hash_are_suspects(hashed):
    radii = {"find": 256, "find+dhash256": 256}
    false = wrong_labels.false_positives(hashed, radii)
    assert set(false["hasher"]) == {"find"}  # sums are left out
    assert len(false) == 3
    suspects = wrong_labels.suspects_among(false)
    assert suspects[["one", "other"]].to_numpy().tolist() == [["a", "b"]]
    truths = wrong_labels.other_truths(hashed.labels, suspects, 1)
    assert len(np.unique(truths["suspects merged"])) == 2
    assert truths["as they are"] is hashed.labels


def test_scores_are_by_each_version_of_the_labels(hashed):
    wrong = np.array(["a", "b", "a", "b"])
    truths = {"as they are": hashed.labels, "wrong": wrong}
    scores = wrong_labels.score_by_labels(hashed, truths, 0.2, ["find"])
    assert scores.loc[0, "hasher"] == "find"
    assert scores.loc[0, "as they are"] == 1.0  # the only pair of a family is equal
    assert scores.loc[0, "wrong"] < 1.0


def test_the_ceiling_of_the_class_set_follows_from_its_far_pairs():
    class_set = evidence.measure_class_pairs(resamples=2, seed=1)
    table = wrong_labels.class_set_labels(class_set).set_index("hasher")
    pairs = evidence.class_pairs()
    beyond = table.loc["find", "beyond_bits"]
    within = pairs.loc[pairs["family"] >= 0, "find"]
    assert table.loc["find", "pairs"] == (within > beyond).sum()
    assert table.loc["find", "wrong"] == pytest.approx((within > beyond).mean() / 0.95)
    assert (table["low"] < table["wrong"]).all()
    assert (table["wrong"] + table["ceiling"]).tolist() == pytest.approx([1, 1])
