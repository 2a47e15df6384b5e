"""Give groups of hashes a centre, the majority of their bits, and split groups of two families.

In a centre the differences between single images average out. So where a group has two halves whose
centres are far apart, these are two families which a pair has united by chance.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from finlib.matching.hamming import Distance, distance_of_words
from finlib.matching.packed import Packed, to_words

Rows = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

SMALLEST_HALF = 8  # images in a half, so that its majority of bits has little noise
STEPS = 8  # of 2-means, at most
ONE = np.uint64(1)


class Groups(NamedTuple):
    """Rows of a set of hashes in groups: those of group g are order[start[g]:start[g + 1]]."""

    order: Rows  # [rows]
    start: Integers  # [groups + 1]; the last is the number of rows


def group_rows(labels: Integers) -> Groups:
    """Group rows by their label: groups by ascending label, rows of a group in ascending order.

    labels: int64[n], from 0 on; the work grows with the largest one.
    """
    largest = int(labels.max(initial=-1))
    order, start = _group_rows(labels, largest + 1)
    return Groups(order, start)


@njit(nogil=True, cache=True)
def _group_rows(labels: Any, most: int) -> Any:
    """Sort rows by label by counting. most: the largest label and one more."""
    first_place = np.zeros(most + 1, np.int64)
    for label in labels:
        first_place[label + 1] += 1
    groups = 0
    for label in range(most):
        if first_place[label + 1]:
            groups += 1
        first_place[label + 1] += first_place[label]
    start = np.empty(groups + 1, np.int64)
    group = 0
    for label in range(most):
        if first_place[label + 1] > first_place[label]:
            start[group] = first_place[label]
            group += 1
    start[groups] = len(labels)
    order = np.empty(len(labels), np.int32)
    for row in range(len(labels)):
        order[first_place[labels[row]]] = row
        first_place[labels[row]] += 1
    return order, start


def majority_bits(packed: Packed, order: Rows, start: Integers) -> Packed:
    """Compute the centre of each group: the bits that more than half of its hashes have set.

    packed: uint8[n, bits // 8]. order, start: the groups, as in `Groups`. Returns uint8[groups,
    bits // 8]. Where exactly half of the hashes have a bit, the first hash of the group decides.
    """
    size = packed.shape[1]
    words = _majority(to_words(packed), order, start, 8 * size)
    centres = words.view(np.uint8)[:, :size]
    return np.ascontiguousarray(centres)


def distances_from_centres(
    packed: Packed, order: Rows, start: Integers, centres: Packed, distance: Distance
) -> Integers:
    """Compute the distance of each hash from the centre of its group, int64[rows], as in `order`.

    packed: uint8[n, bits // 8]. order, start: the groups, as in `Groups`. centres: uint8[groups,
    bits // 8].
    """
    words = to_words(packed)
    return np.asarray(
        _distances_from_centres(words, order, start, to_words(centres), distance.width)
    )


def split_groups(
    packed: Packed, order: Rows, start: Integers, apart: int, distance: Distance
) -> Groups:
    """Split every group of which two halves have centres that are more than `apart` apart.

    packed: uint8[n, bits // 8]. order, start: the groups, as in `Groups`, which stay unchanged.
    Halves are found by 2-means and are split again as long as their own halves lie far apart. A
    half has at least SMALLEST_HALF images. Returns the new groups; a group that was not split keeps
    its rows in their order.
    """
    words = to_words(packed)
    bits = 8 * packed.shape[1]
    new_order, new_start = _split_groups(words, order, start, bits, apart, distance.width)
    return Groups(new_order, new_start)


@njit(nogil=True, cache=True, inline="always")
def _bit_of(words: Any, row: int, bit: int) -> Any:
    """One bit of a hash, as int64."""
    shifted = words[row, bit >> 6] >> np.uint64(bit & 63)
    return np.int64(shifted & ONE)


@njit(nogil=True, cache=True)
def _majority(words: Any, order: Any, start: Any, bits: int) -> Any:
    """The centres of groups, uint64[groups, words]."""
    groups = len(start) - 1
    shape = (groups, words.shape[1])
    centres = np.zeros(shape, np.uint64)
    for group in range(groups):
        low = start[group]
        high = start[group + 1]
        size = high - low
        votes = np.zeros(bits, np.int64)
        for place in range(low, high):
            row = order[place]
            for bit in range(bits):
                votes[bit] += _bit_of(words, row, bit)
        first = order[low]
        for bit in range(bits):
            # Where exactly half of the hashes have the bit, the first hash decides.
            tie_break = _bit_of(words, first, bit)
            if 2 * votes[bit] + tie_break > size:
                centres[group, bit >> 6] |= ONE << np.uint64(bit & 63)
    return centres


@njit(nogil=True, cache=True)
def _distances_from_centres(words: Any, order: Any, start: Any, centres: Any, width: Any) -> Any:
    """Distances of rows from the centres of their groups, int64[rows]."""
    distances = np.empty(len(order), np.int64)
    for group in range(len(start) - 1):
        for place in range(start[group], start[group + 1]):
            distances[place] = distance_of_words(words, order[place], centres, group, width)
    return distances


@njit(nogil=True, cache=True)
def _distances(words: Any, rows: Any, centres: Any, centre: int, width: Any) -> Any:
    """Distances of rows from one of the centres uint64[centres, words], int64[rows]."""
    distances = np.zeros(len(rows), np.int64)
    for place in range(len(rows)):
        distances[place] = distance_of_words(words, rows[place], centres, centre, width)
    return distances


@njit(nogil=True, cache=True)
def _first_then_second(rows: Any, in_first: Any) -> Any:
    """The rows of the first half, then those of the second, each in their order."""
    first = rows[in_first]
    second = rows[~in_first]
    return np.concatenate((first, second))


@njit(nogil=True, cache=True)
def _two_means(
    words: Any,
    rows: Any,
    bits: int,
    first: Any,
    second: Any,
    width: Any,
) -> Any:
    """Divide rows into two halves by 2-means, which starts from two hashes uint64[words].

    In turn, each row goes to the half with the nearer centre, and each half gets the majority of
    its bits as its centre. Returns bool[rows], whether a row is in the first half, and the two
    centres uint64[2, words].
    """
    centres = np.stack((first, second))
    in_first = np.zeros(len(rows), np.bool_)
    for _ in range(STEPS):
        before = in_first
        from_first = _distances(words, rows, centres, 0, width)
        from_second = _distances(words, rows, centres, 1, width)
        in_first = from_first < from_second
        size = in_first.sum()
        is_undivided = size == 0 or size == len(rows)
        if is_undivided or (in_first == before).all():
            break
        halves = _first_then_second(rows, in_first)
        start = np.array([0, size, len(rows)])
        centres = _majority(words, halves, start, bits)
    return in_first, centres


@njit(nogil=True, cache=True)
def _first_half(words: Any, rows: Any, bits: int, apart: int, width: Any) -> Any:
    """Which rows are in the first of two halves that are far apart, bool[rows].

    No row is where the group is not to be split.
    """
    undivided = np.zeros(len(rows), np.bool_)
    start = np.array([0, len(rows)])
    common_centre = _majority(words, rows, start, bits)
    from_common = _distances(words, rows, common_centre, 0, width)
    # If two centres are more than `apart` bits apart, at least one of them is more than half of
    # that from the common centre, and so are the images around it.
    far_images = (2 * from_common > apart).sum()
    if far_images < SMALLEST_HALF:
        return undivided
    first = rows[from_common.argmax()]
    from_first = _distances(words, rows, words, first, width)
    second = rows[from_first.argmax()]
    first_hash = words[first]
    second_hash = words[second]
    in_first, centres = _two_means(words, rows, bits, first_hash, second_hash, width)
    size = in_first.sum()
    if min(size, len(rows) - size) < SMALLEST_HALF:
        return undivided
    between_centres = distance_of_words(centres, 0, centres, 1, width)
    if between_centres <= apart:
        return undivided
    return in_first


@njit(nogil=True, cache=True)
def _split_groups(
    words: Any,
    order: Any,
    start: Any,
    bits: int,
    apart: int,
    width: Any,
) -> Any:
    """The order and the starts of groups after splitting."""
    order = order.copy()
    is_start = np.zeros(len(order) + 1, np.bool_)
    for place in start:
        is_start[place] = True
    low = 0
    while low < len(order):
        high = low + 1
        while not is_start[high]:
            high += 1
        if high - low < 2 * SMALLEST_HALF:
            low = high
            continue
        rows = order[low:high]
        in_first = _first_half(words, rows, bits, apart, width)
        size = in_first.sum()
        if size == 0:
            low = high
            continue
        order[low:high] = _first_then_second(rows, in_first)
        is_start[low + size] = True  # so that the first half is examined next
    return order, np.flatnonzero(is_start)
