"""Quantiles of distances are compared with those of the class set."""

import numpy as np

from workbook.study import evidence, likeness


def counts_of(frame, name):
    """The class pairs themselves as counts of pairs by distance."""
    within = frame["family"] >= 0
    return np.stack(
        [
            np.bincount(frame.loc[within, name], minlength=257),
            np.bincount(frame.loc[~within, name], minlength=257),
        ]
    )


def test_the_class_set_is_like_itself_but_for_the_labels_mixed_in(monkeypatch):
    monkeypatch.setattr(likeness, "WRONG_LABELS", 0.0)
    published = evidence.class_pairs()
    counts = {name: counts_of(published, name) for name in likeness.HASHERS}
    table = likeness.compare_quantiles(counts)
    assert len(table) == 3 * 2 * len(likeness.QUANTILES)
    assert table["difference"].abs().max() <= 1


def test_quantiles_that_captions_were_fitted_to_are_no_check():
    assert likeness.use_of("find", likeness.ONE_FAMILY, 50) == "fitted"
    assert likeness.use_of("find", likeness.ONE_FAMILY, 75) == "check"
    assert likeness.use_of("find", likeness.TWO_FAMILIES, 50) == "check"
    assert likeness.use_of("phash256", likeness.ONE_FAMILY, 50) == "check"


def test_the_largest_difference_is_of_pairs_of_one_family():
    counts = {name: np.zeros((2, 257), np.int64) for name in likeness.HASHERS}
    for of_hasher in counts.values():
        of_hasher[0, 0] = 1  # every pair of a family is equal
        of_hasher[1, 256] = 1
    table = likeness.compare_quantiles(counts)
    largest = likeness.largest_differences(table)
    within = table[(table["pairs"] == likeness.ONE_FAMILY) & (table["use"] == "check")]
    assert largest["check"] == within["class"].max()
