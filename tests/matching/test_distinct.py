import numpy as np
import pytest

from finlib.matching.distinct import NO_ROW, digests, find_distinct, find_first


@pytest.mark.parametrize("size", [1, 3, 8, 9, 32, 64])
def test_copies_are_found_as_by_comparing_all_rows(size):
    rng = np.random.default_rng(size)
    for n in (0, 1, 2, 50, 3000):
        few = rng.integers(0, 256, (max(1, n // 3), size), dtype=np.uint8)
        packed = few[rng.integers(0, len(few), n)]
        first_of: dict[bytes, int] = {}
        expected = [first_of.setdefault(row.tobytes(), k) for k, row in enumerate(packed)]
        distinct, first_row = find_distinct(packed)
        assert first_row.tolist() == expected
        assert distinct.tolist() == sorted(first_of.values())
        assert distinct.dtype == first_row.dtype == np.int32


def test_digests_are_equal_for_equal_hashes_alone():
    rng = np.random.default_rng(1)
    packed = rng.integers(0, 256, (20_000, 32), dtype=np.uint8)
    packed[1] = packed[0]
    packed[2] = packed[0] ^ np.eye(1, 32, 31, dtype=np.uint8)[0]
    found = digests(packed)
    assert found.dtype == np.uint64
    assert found[0] == found[1]
    assert len(np.unique(found)) == len(packed) - 1
    zeros = np.zeros((3, 32), np.uint8)
    zeros[1, 0] = zeros[2, 31] = 1
    assert len(np.unique(digests(zeros))) == 3


def test_the_first_row_of_each_digest_is_found_as_by_a_dictionary():
    rng = np.random.default_rng(2)
    for most, stored_count, wanted_count in [(1, 0, 3), (5, 40, 0), (40, 30, 50), (1 << 62, 9, 9)]:
        stored = rng.integers(0, most, stored_count, dtype=np.uint64)
        wanted = rng.integers(0, most, wanted_count, dtype=np.uint64)
        wanted[::3] = np.resize(stored, len(wanted[::3])) if stored_count else wanted[::3]
        first_of: dict[int, int] = {}
        for row, digest in enumerate(stored.tolist()):
            first_of.setdefault(digest, row)
        expected = [first_of.get(digest, NO_ROW) for digest in wanted.tolist()]
        assert find_first(stored, wanted).tolist() == expected
