"""What hashes are compared by: a hasher and a distance together are a method."""

from dataclasses import dataclass

from finlib.hashing.hashers import get_hasher
from finlib.matching.distances import DISTANCES, get_distance
from finlib.matching.hamming import Hamming
from finlib.matching.rows import RowDistance


@dataclass(frozen=True)
class Method:
    """A hasher and a distance, both by name.

    ValueError where there is no such hasher or distance, and where the hasher makes hashes that the
    distance cannot compare.
    """

    hasher: str
    distance: str = Hamming.name

    def __post_init__(self) -> None:
        check_method(self.hasher, self.distance)

    @property
    def name(self) -> str:
        """The method's name in the evidence: the hasher's, followed by "-rows" by rows."""
        if self.distance == Hamming.name:
            return self.hasher
        return f"{self.hasher}-{self.distance}"

    @property
    def largest(self) -> int:
        """The largest distance that two hashes can have."""
        size = get_hasher(self.hasher).bits // 8
        return get_distance(self.distance, size).largest

    def describe(self, number: int) -> str:
        """A distance in words, such as "70 bits" or "a distance of 12 by rows"."""
        if self.distance == Hamming.name:
            return f"{number} bits"
        return f"a distance of {number} by {self.distance}"


def check_method(hasher: str, distance: str) -> None:
    """Raise ValueError where the distance cannot compare hashes of that hasher."""
    check_distance(distance)
    if not fits(hasher, distance):
        raise ValueError(
            f"The hashes of {hasher} have no rows to compare. --distance rows needs a dHash of "
            "256 bits, alone (dhash256) or last in a combination (find+dhash256)."
        )


def check_distance(distance: str) -> None:
    """Raise ValueError where no distance has that name."""
    if distance not in DISTANCES:
        raise ValueError(f"--distance must be {' or '.join(DISTANCES)}, not {distance}.")


def fits(hasher: str, distance: str) -> bool:
    """Whether a distance can compare the hashes of a hasher; ValueError for an unknown hasher."""
    rows_start = get_hasher(hasher).rows_start
    return distance != RowDistance.name or rows_start is not None
