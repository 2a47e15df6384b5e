"""Turned and mirrored copies: the hashes of turned pictures, and the pairs that they find.

To hash a picture in other variants it has to be read again. A file keeps the results from one run
to the next by the digest of the pictures' content, so that only new and changed pictures are read.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command.inputs import Hashes, VariantHashes, hash_variants
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.hashing.decoding import VARIANTS
from finlib.hashing.hashers import get_hasher
from finlib.matching.pairs import iter_pairs

TURNED = range(1, len(VARIANTS))  # all variants but the picture as it is
TURNED_ERROR = 32  # bits between a turned picture's hash and the one that a hasher derives
KIND = "hashes of turned pictures"
COLUMNS = ("digest", "hasher", "turned")


class TurnedPair(NamedTuple):
    """The rows of two files of which one is a turn or mirror image of the other.

    distance: of their hashes in bits, when the one is turned.
    """

    one: int
    other: int
    distance: int


def hash_turned(hashes: Hashes, file: Path | None, workers: int | None) -> VariantHashes:
    """Hash the files' pictures in all variants of TURNED, or take the hashes from `file`.

    The file is written again where a picture is new. It keeps the hashes of these files alone.
    Files that cannot be read are left out, with a message.
    """
    known = _read_known(file, hashes)
    digests = hashes.files["digest"]
    is_known = digests.isin(list(known)).to_numpy()
    new_rows = np.flatnonzero(~is_known)
    new = hash_variants(hashes.select(new_rows), TURNED, workers)
    hash_bytes = hashes.packed.shape[1]
    every = np.zeros((len(digests), len(TURNED), hash_bytes), np.uint8)
    for row in np.flatnonzero(is_known):
        stored = np.frombuffer(known[digests.iloc[row]], np.uint8)
        every[row] = stored.reshape(len(TURNED), hash_bytes)
    hashed_rows = new_rows[new.row[:: len(TURNED)]]
    every[hashed_rows] = new.packed.reshape(-1, len(TURNED), hash_bytes)
    has_hash = is_known.copy()
    has_hash[hashed_rows] = True
    rows = np.flatnonzero(has_hash)
    if file is not None and len(hashed_rows):
        _write(file, digests.iloc[rows], hashes.hasher, every[rows])
    return VariantHashes(
        packed=every[rows].reshape(-1, hash_bytes),
        row=np.repeat(rows, len(TURNED)),
    )


def _read_known(file: Path | None, hashes: Hashes) -> dict[str, bytes]:
    """The hashes of all variants that the file has, by the digest of the picture's content."""
    if file is None or not file.exists():
        return {}
    table = tables.read_columns(file, COLUMNS)
    size = len(TURNED) * hashes.packed.shape[1]
    is_usable = (table["hasher"] == hashes.hasher) & (table["turned"].map(len) == size)
    usable = table[is_usable]
    return dict(zip(usable["digest"], usable["turned"], strict=True))


def _write(file: Path, digests: pd.Series, hasher: str, packed: NDArray[np.uint8]) -> None:
    has_digest = (digests != "").to_numpy()
    turned = [each.tobytes() for each in packed[has_digest]]
    columns = {"digest": digests[has_digest], "hasher": hasher, "turned": turned}
    table = pd.DataFrame(columns).drop_duplicates("digest")
    tables.write_table(table, file, KIND)


def find_turned(
    hashes: Hashes,
    turned: VariantHashes,
    radius: int,
    group: NDArray[np.integer],
    linked: Iterable[tuple[int, int]],
    workers: int | None,
) -> list[TurnedPair]:
    """Find pictures of which one is, within the radius, a turn or mirror image of the other.

    turned: the hashes of some of the files in all variants of TURNED. group: int64[files], the
    group of each file; one pair is sought for any two groups, and none within a group. linked:
    pairs of groups, the smaller first, for which none is sought.

    A hasher may derive the hashes of turned pictures with a small error. So candidates are sought
    within a larger radius, and then compared by turning the pixels.
    """
    known = set(linked)
    found = []
    for candidate in _iter_candidates(hashes, turned, radius, group, workers):
        groups = sorted((group[candidate.row], group[candidate.other]))
        pair = (int(groups[0]), int(groups[1]))
        if pair in known:
            continue
        distance = _measure_turned(hashes, candidate)
        if distance <= radius:
            known.add(pair)
            found.append(TurnedPair(candidate.row, candidate.other, distance))
    return found


class _Candidate(NamedTuple):
    """A file that may, in a variant of VARIANTS, be a copy of another file."""

    row: int
    variant: int
    other: int


def _iter_candidates(
    hashes: Hashes,
    turned: VariantHashes,
    radius: int,
    group: NDArray[np.integer],
    workers: int | None,
) -> Iterator[_Candidate]:
    """Yield the candidates of different groups whose derived hashes are near enough."""
    wide_radius = min(radius + TURNED_ERROR, 8 * hashes.packed.shape[1])
    blocks = iter_pairs(turned.packed, hashes.packed, wide_radius, workers=workers, progress=True)
    for block in blocks:
        rows = turned.row[block.i]
        variants = np.array(TURNED)[block.i % len(TURNED)]
        is_wanted = group[rows] != group[block.j]
        columns = (rows[is_wanted], variants[is_wanted], block.j[is_wanted])
        for values in zip(*(column.tolist() for column in columns), strict=True):
            yield _Candidate(*values)


def _measure_turned(hashes: Hashes, candidate: _Candidate) -> int:
    """The distance of a picture's variant, made by turning its pixels, from the other picture.

    It is larger than any distance where the picture cannot be read any more.
    """
    hasher = get_hasher(hashes.hasher)
    path = hashes.files["path"].iloc[candidate.row]
    try:
        picture = hasher.open(text_to_path(path))
    except (OSError, ValueError):
        return hasher.bits + 1
    packed, _ = hasher.compute(picture.variant(candidate.variant))
    differing = packed ^ hashes.packed[candidate.other]
    return int(np.bitwise_count(differing).sum())
