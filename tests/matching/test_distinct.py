import numpy as np
import pytest

from finlib.matching.distinct import digests, find_distinct


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
