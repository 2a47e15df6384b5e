"""Look-ups by row keys: right distances, right pairs, and all of those that share a key."""

import numpy as np
import pytest

from finlib.matching import row_index
from finlib.matching.distances import get_distance
from finlib.matching.pairs import neighbours
from finlib.matching.row_index import RowIndex, index_rows
from finlib.matching.rows import is_flat


def draw(n, seed=3, size=32):
    return np.random.default_rng(seed).integers(0, 256, (n, size), dtype=np.uint8)


def rows_of(packed):
    """The rows of dHashes that are last in hashes, uint16[n, 16]."""
    return np.ascontiguousarray(packed[:, -32:]).view(np.uint16)


def spoil_rows(packed, rows, seed=4):
    """Change random rows of each dHash, that many, in all their bits."""
    rng = np.random.default_rng(seed)
    dhash_rows = rows_of(packed).copy()
    for hash_rows in dhash_rows:
        hash_rows[rng.choice(16, rows, replace=False)] ^= 0xFFFF
    spoilt = packed.copy()
    spoilt[:, -32:] = dhash_rows.view(np.uint8)
    return spoilt


def pairs_of(found):
    """Query, row and distance of all neighbours."""
    query = np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
    return list(zip(query.tolist(), found.indices.tolist(), found.distance.tolist(), strict=True))


def share_a_key(query_rows, stored_rows, key_rows, depth):
    """Whether two dHashes share a key, by the definition."""
    for key_row in key_rows:
        if is_flat(query_rows[[key_row]]).any():
            continue
        keys = []
        for rows in (query_rows, stored_rows):
            following = rows[[key_row, (key_row + 1) % 16]].view(np.uint8)
            keys.append(np.unpackbits(following, bitorder="little")[:depth].tolist())
        if keys[0] == keys[1]:
            return True
    return False


def assert_same_neighbours(found, expected):
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


@pytest.mark.parametrize("size", [32, 40, 64])
@pytest.mark.parametrize(("rows", "depth"), [(16, 16), (16, 20), (5, 16), (1, 23)])
def test_just_the_near_hashes_that_share_a_key_are_found(monkeypatch, size, rows, depth):
    monkeypatch.setattr(row_index, "_choose_depth", lambda n: depth)
    stored = draw(400, size=size)
    spoilt = [spoil_rows(stored[low : low + 40], rows=low // 20) for low in range(0, 320, 40)]
    queries = np.concatenate(spoilt)
    index = index_rows(stored, rows=rows)
    assert index.depth == depth
    radius = get_distance("rows", size).largest // 2
    exact = pairs_of(neighbours(queries, stored, radius=radius, distance="rows"))
    expected = [
        (q, row, distance)
        for q, row, distance in exact
        if share_a_key(rows_of(queries)[q], rows_of(stored)[row], index.key_rows, depth)
    ]
    assert pairs_of(index.neighbours(queries, radius=radius)) == expected
    assert len(expected) > 0


def test_all_near_hashes_are_found_where_a_row_agrees():
    stored = draw(500)
    queries = spoil_rows(stored, 7)
    index = index_rows(stored)
    exact = neighbours(queries, stored, radius=21, distance="rows")
    assert_same_neighbours(index.neighbours(queries, radius=21), exact)
    assert index.neighbours(queries, radius=20).indices.size == 0


def test_nothing_is_missed_where_15_rows_differ_in_one_bit_each():
    stored = draw(300)
    queries = stored.copy()
    for number, hash_rows in enumerate(rows_of(queries)):
        intact = number % 16
        hash_rows[np.arange(16) != intact] ^= 1 << number % 11
    found = index_rows(stored).neighbours(queries, radius=15)
    assert pairs_of(found) == [(row, row, 15) for row in range(300)]


@pytest.mark.parametrize(("rows", "depth"), [(16, 16), (16, 24), (4, 16), (3, 17)])
@pytest.mark.parametrize("differing", [3, 9, 12])
def test_recall_is_as_predicted(monkeypatch, rows, depth, differing):
    monkeypatch.setattr(row_index, "_choose_depth", lambda n: depth)
    stored = draw(3000)
    index = index_rows(stored, rows=rows)
    found = index.neighbours(spoil_rows(stored, differing), radius=3 * differing)
    predicted = index.recall(differing)
    deviation = np.sqrt(predicted * (1 - predicted) / len(stored))
    assert abs(len(found.indices) / len(stored) - predicted) <= 4 * deviation + 1e-9


def test_recall_by_hand():
    index = index_rows(draw(1), rows=1)
    assert index.recall(4) == 12 / 16
    assert index.recall(0) == 1
    with pytest.raises(ValueError, match="from 0 to 16 rows; got 17"):
        index.recall(17)


def test_keys_get_deeper_with_the_number_of_hashes():
    assert row_index._choose_depth(0) == 16
    assert row_index._choose_depth(500_000) == 16
    assert row_index._choose_depth(10**8) == 24


def test_flat_rows_are_no_keys():
    stored = draw(50)
    rows_of(stored)[:, ::2] = 0
    rows_of(stored)[:, 1::2] = 0xFFFF
    stored[0, 6:8] = (3, 4)
    index = index_rows(stored)
    found = index.neighbours(stored, radius=48)
    assert pairs_of(found) == [(0, 0, 45)]


def test_copies_are_found_once_lower_rows_first():
    stored = np.repeat(draw(3), 5, axis=0)
    found = index_rows(stored).neighbours(stored[::5], radius=10)
    assert found.indices.tolist() == list(range(15))
    assert found.distance.tolist() == [0] * 15
    nearest = index_rows(stored).neighbours(stored[::5], radius=10, k=2)
    assert nearest.indices.tolist() == [0, 1, 5, 6, 10, 11]


def test_of_a_large_bucket_the_nearest_in_order_are_compared():
    most = row_index.LARGEST_BUCKET
    stored = draw(3 * most)
    rows_of(stored)[:, 0] = 0x1234  # all in one bucket of the first table
    rows_of(stored)[7, 3] = 0x8000  # in the middle of the bucket
    copied = np.concatenate([stored, np.repeat(stored[7:8], 2 * most, axis=0)])
    index = index_rows(copied, rows=1)
    found = index.neighbours(stored[:200], radius=0)
    first = found.indices[found.indptr[:-1]]
    assert first.tolist() == list(range(200))
    counts = np.diff(found.indptr)
    assert counts[7] == most // 2
    assert np.delete(counts, 7).tolist() == [1] * 199


def test_a_batch_finds_what_single_queries_find_on_any_number_of_threads():
    stored = draw(2000)
    queries = spoil_rows(stored[:700], 5)
    index = index_rows(stored, workers=2)
    batch = index.neighbours(queries, radius=20, workers=1)
    assert_same_neighbours(index.neighbours(queries, radius=20, workers=3), batch)
    singles = [
        (q, row, distance)
        for q in range(len(queries))
        for _, row, distance in pairs_of(index.neighbours(queries[q : q + 1], radius=20))
    ]
    assert singles == pairs_of(batch)


def test_hashes_need_not_be_aligned_or_writable():
    stored = draw(200)
    stored.flags.writeable = False
    shifted = np.empty(200 * 32 + 1, np.uint8)[1:].reshape(200, 32)
    shifted[:] = stored
    expected = index_rows(draw(200)).neighbours(draw(200), radius=20)
    assert_same_neighbours(index_rows(stored).neighbours(shifted, radius=20), expected)
    assert_same_neighbours(index_rows(shifted).neighbours(stored, radius=20), expected)


def test_nothing_stored_and_nothing_asked():
    nothing = np.empty((0, 32), np.uint8)
    assert index_rows(nothing).neighbours(draw(3), radius=9).indptr.tolist() == [0, 0, 0, 0]
    assert index_rows(draw(3)).neighbours(nothing, radius=9).indptr.tolist() == [0]


def test_a_saved_index_finds_the_same(tmp_path):
    stored = draw(300, size=64)
    queries = spoil_rows(stored[:80], 6)
    index = index_rows(stored, rows=9)
    file = tmp_path / "hashes.index"
    index.save(file)
    loaded = RowIndex.load(file)
    assert_same_neighbours(
        loaded.neighbours(queries, radius=90), index.neighbours(queries, radius=90)
    )
    assert loaded.nbytes == index.nbytes
    assert [path.name for path in tmp_path.iterdir()] == ["hashes.index"]


def write_text(file, index):
    file.write_text("path,hash\n")


def write_nothing(file, index):
    file.write_bytes(b"")


def write_an_array(file, index):
    with open(file, "wb") as opened:
        np.save(opened, np.zeros(3))


def write_other_arrays(file, index):
    with open(file, "wb") as opened:
        np.savez(opened, words=index.words, order=index.order)


def write_another_format(file, index):
    with open(file, "wb") as opened:
        np.savez(opened, format=np.array("finlib row index 0"), **vars(index))


def write_half(file, index):
    index.save(file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def write_a_flipped_byte(file, index):
    index.save(file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def write_too_large_numbers(file, index):
    RowIndex(index.words[:-1], index.key_rows, index.start, index.order[:, :-1].copy()).save(file)


WRITERS = (
    write_text,
    write_nothing,
    write_an_array,
    write_other_arrays,
    write_another_format,
    write_half,
    write_a_flipped_byte,
    write_too_large_numbers,
)


@pytest.mark.parametrize("write", WRITERS)
def test_other_files_are_refused(tmp_path, write):
    file = tmp_path / "hashes.index"
    write(file, index_rows(draw(40)))
    with pytest.raises(ValueError, match=r"hashes\.index is not a whole file that RowIndex\.save"):
        RowIndex.load(file)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        RowIndex.load("nowhere.index")


def test_wrong_arguments():
    stored = draw(20)
    index = index_rows(stored)
    with pytest.raises(ValueError, match="queries have 512 bits and the stored hashes have 256"):
        index.neighbours(draw(2, size=64), radius=9)
    with pytest.raises(ValueError, match="radius must be from 0 to 48"):
        index.neighbours(stored, radius=49)
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        index.neighbours(stored, radius=9, k=0)
    with pytest.raises(ValueError, match="more than 19 neighbours"):
        index.neighbours(stored, radius=9, max_pairs=19)
    with pytest.raises(ValueError, match="rows must be from 1 to 16"):
        index_rows(stored, rows=17)
    with pytest.raises(ValueError, match="cannot be compared by rows"):
        index_rows(draw(4, size=8))
