"""Ways to compare a dHash by rows, against NumPy on every pair and by hand."""

import numpy as np
import pandas as pd
import pytest

from workbook.study import row_distances
from workbook.study.row_distances import Choice


def hashes(n, seed):
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    packed[: n // 2] = packed[n - n // 2 :] ^ (rng.random((n // 2, 32)) < 0.1)
    packed[rng.random((n, 16)).repeat(2, axis=1) < 0.15] = 0
    packed[rng.random((n, 16)).repeat(2, axis=1) < 0.05] = 255
    return packed


def distance(find, dhash, choice, i, j):
    """The distance of one pair, bit by bit."""
    bits = np.unpackbits(dhash, axis=1).reshape(-1, 16, 16)
    if choice.grouping == "columns":
        bits = bits.transpose(0, 2, 1)
    if choice.grouping == "blocks":
        blocks = [bits[:, r : r + 4, c : c + 4] for r in range(0, 16, 4) for c in range(0, 16, 4)]
        bits = np.stack([block.reshape(-1, 16) for block in blocks], axis=1)
    costs = []
    for one, other in zip(bits[i], bits[j], strict=True):
        flat = [min(row.sum(), 16 - row.sum()) <= choice.flat_bits for row in (one, other)]
        counts_whole = {"none": False, "both": all(flat), "either": any(flat)}[choice.flat_rule]
        costs.append(choice.cap if counts_whole else min(choice.cap, int((one != other).sum())))
    rows = sum(sorted(costs)[: choice.best])
    if choice.weight == 0:
        return rows
    return choice.weight * rows + int(np.bitwise_count(find[i] ^ find[j]).sum())


@pytest.mark.parametrize("choice", row_distances.choices()[::7], ids=str)
def test_counts_are_those_of_every_pair(choice):
    find, dhash = hashes(24, 1), hashes(24, 2)
    labels = [str(k % 6) for k in range(24)]
    counts, closest = row_distances.count_pairs(find, dhash, labels, choice)
    expected = np.zeros_like(counts)
    least = {}
    for i in range(24):
        for j in range(i + 1, 24):
            bits = distance(find, dhash, choice, i, j)
            different = int(labels[i] != labels[j])
            expected[different, bits] += 1
            if different:
                pair = tuple(sorted((int(labels[i]), int(labels[j]))))
                least[pair] = min(least.get(pair, bits), bits)
    np.testing.assert_array_equal(counts, expected)
    assert closest.tolist() == [least[pair] for pair in sorted(least)]


def test_a_flat_row_has_no_bit_set_or_all_of_them():
    groups = np.array([[0, 1, 3, 0x7FFF, 0xFFFF]], np.uint16)
    assert row_distances.is_flat(groups, 0).tolist() == [[True, False, False, False, True]]
    assert row_distances.is_flat(groups, 1).tolist() == [[True, True, False, True, True]]


def frames(scores, plain):
    fields = list(Choice._fields)
    explored = pd.DataFrame([(*one, tpr) for one, tpr in scores.items()], columns=[*fields, "tpr"])
    matched = pd.DataFrame(
        [(*one, plain.get(one, 0.0)) for one in scores], columns=[*fields, "plain"]
    )
    return explored, matched


def test_of_choices_as_good_the_simplest_is_taken_and_confusing_ones_are_refused():
    small, large, confusing = (
        Choice("rows", 3, "either", 0, 16, 0),
        Choice("rows", 4, "either", 0, 16, 0),
        Choice("rows", 4, "none", 0, 16, 0),
    )
    light, heavy, other_cap = (
        small._replace(weight=1),
        small._replace(weight=2),
        large._replace(weight=1),
    )
    scores = {small: 0.9905, large: 0.991, confusing: 0.999}
    scores |= {light: 0.95, heavy: 0.99, other_cap: 0.999}
    chosen = row_distances.choose(*frames(scores, {confusing: 0.5}))
    assert chosen == (small, heavy)
    scores[small] = 0.98
    assert row_distances.choose(*frames(scores, {confusing: 0.5}))[0] == large
