"""The hashes of turned and mirrored pictures, kept in a file from one run to the next.

To hash a picture in other variants it has to be read again. The file keeps the results by the
digest of the pictures' content, so that only new and changed pictures are read.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.command.inputs import Hashes, VariantHashes, hash_variants
from finlib.hashing import tables
from finlib.hashing.decoding import VARIANTS

TURNED = range(1, len(VARIANTS))  # all variants but the picture as it is
KIND = "hashes of turned pictures"
COLUMNS = ("digest", "hasher", "turned")


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
