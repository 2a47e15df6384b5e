"""Collect the pairs that a search finds, as components of a graph or as nearest rows.

Each thread or worker of a search fills a collector of its own, and the collectors are merged in the
end. The result depends neither on the order in which pairs arrive nor on the order in which
collectors are merged, so it is the same however the work was divided.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

Arrays = dict[str, npt.NDArray[Any]]

NONE = -1  # the nearest row of a row for which none has been found
FAR = 1 << 30  # a distance larger than that of any two hashes


class Collector(Protocol):
    """What a search passes its pairs to."""

    def take(self, i: Any, j: Any, distance: Any) -> None:
        """Take in pairs of rows i[k] and j[k], distance[k] bits apart."""

    def merge(self, other: Any) -> None:
        """Take in what another collector of the same kind has taken in."""

    def arrays(self) -> Arrays:
        """The collector's content as named arrays, for a checkpoint."""

    def restore(self, arrays: Arrays) -> None:
        """Replace the collector's content by that which `arrays` gave."""


@njit(nogil=True, cache=True, inline="always")
def _find_root(parent, row):  # type: ignore[no-untyped-def]
    """The root of a row's component. Every step also shortens the path for the next search."""
    while parent[row] != row:
        grandparent = parent[parent[row]]
        parent[row] = grandparent
        row = grandparent
    return row


@njit(nogil=True, cache=True)
def _unite(parent, i, j):  # type: ignore[no-untyped-def]
    """Unite the components of i[k] and j[k] for every k; the smaller root becomes that of both."""
    for k in range(len(i)):
        one = _find_root(parent, i[k])
        other = _find_root(parent, j[k])
        smaller = min(one, other)
        larger = max(one, other)
        parent[larger] = smaller


class Forest:
    """Components of the graph whose edges are the collected pairs.

    The first row of a component is its root.

    parent: int32[n], for each row a row of its component that is not after it.
    """

    def __init__(self, n: int) -> None:
        self.parent = np.arange(n, dtype=np.int32)

    def take(self, i: Any, j: Any, distance: Any = None) -> None:
        """Unite rows i[k] and j[k] for every k; distances do not matter."""
        _unite(self.parent, i, j)

    def merge(self, other: "Forest") -> None:
        """Unite the rows that another forest of the same rows has united."""
        rows = np.arange(len(other.parent), dtype=np.int32)
        children = rows[other.parent != rows]
        _unite(self.parent, children, other.parent[children])

    def roots(self) -> npt.NDArray[np.int32]:
        """The root of each row's component, int32[n].

        Two rows are connected if their roots are equal.
        """
        while True:
            grandparent = self.parent[self.parent]
            if np.array_equal(grandparent, self.parent):
                return self.parent
            self.parent = grandparent

    def arrays(self) -> Arrays:
        """The forest as named arrays, for a checkpoint."""
        return {"parent": self.parent}

    def restore(self, arrays: Arrays) -> None:
        """Become the forest that `arrays` came from."""
        self.parent = arrays["parent"]


@njit(nogil=True, cache=True)
def _keep_nearest(row, distance, i, j, pair_distance):  # type: ignore[no-untyped-def]
    """For every k, make i[k] the nearest row of j[k] if it is nearer than the one known so far.

    Of two rows that are equally near, the first one counts.
    """
    for k in range(len(i)):
        candidate = i[k]
        query = j[k]
        is_nearer = pair_distance[k] < distance[query]
        is_as_near = pair_distance[k] == distance[query]
        if is_nearer or (is_as_near and candidate < row[query]):
            distance[query] = pair_distance[k]
            row[query] = candidate


class Nearest:
    """The nearest row that was found for each row j among the rows i of its pairs.

    row: int32[n], the first of several that are equally near, and NONE where there is none.
    distance: int32[n], bits, and FAR where there is none.
    """

    def __init__(self, n: int) -> None:
        self.row = np.full(n, NONE, np.int32)
        self.distance = np.full(n, FAR, np.int32)

    def take(self, i: Any, j: Any, distance: Any) -> None:
        """Take in that row i[k] is distance[k] bits from row j[k], for every k."""
        _keep_nearest(self.row, self.distance, i, j, distance)

    def merge(self, other: "Nearest") -> None:
        """Take in the nearest rows that another search has found for the same rows."""
        queries = np.flatnonzero(other.row != NONE)
        self.take(other.row[queries], queries, other.distance[queries])

    def arrays(self) -> Arrays:
        """The nearest rows and their distances as named arrays, for a checkpoint."""
        return {"row": self.row, "distance": self.distance}

    def restore(self, arrays: Arrays) -> None:
        """Become the nearest rows that `arrays` came from."""
        self.row = arrays["row"]
        self.distance = arrays["distance"]
