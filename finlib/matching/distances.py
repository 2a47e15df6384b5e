"""The distances by name: what the keyword `distance` means everywhere in finlib."""

from finlib.matching.hamming import Distance, Hamming
from finlib.matching.rows import RowDistance

DISTANCES = (Hamming.name, RowDistance.name)


def get_distance(name: str, size: int) -> Distance:
    """The distance of that name for hashes of `size` bytes.

    "hamming" counts the bits that differ, in hashes of any length. "rows" compares dHashes of 256
    bits row by row, alone or last in a combination. ValueError for other names, and for hashes that
    have no rows.
    """
    if name == Hamming.name:
        return Hamming(size)
    if name == RowDistance.name:
        return RowDistance.of(size)
    raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; got {name!r}")
