"""Near pairs without looking at every pair: bit sampling, in passes.

A pass sorts the hashes by some bits drawn at random and compares those alone that agree in all of them, exactly. Two
hashes of b bits, d of them different, agree in k bits with probability C(b - d, k) / C(b, k), so that near ones meet
in some pass and strangers hardly ever: what is found is right, and how much is found follows from k and the number of
passes (Indyk and Motwani, 1998; k adapts to the data as in the LSH forest of Bawa et al., 2005).

Bits are taken until at most MOST hashes agree, so that bits which are skewed, or go together, cost recall, as
`Search.recall` says, but neither time nor memory. Passes need nothing of each other: they run on threads or on a Dask
cluster, and what they find is put together in a way that does not depend on the order in which they end.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import gammaln, xlog1py

from finlib import __version__
from finlib.matching import hamming
from finlib.matching.pairs import Words, choose_prefix

MOST = 512  # hashes compared with each other in a pass: about as long as sorting them takes
ROOM = 1 << 20  # pairs found before they are handed on
SKEWED = 0.1  # a bit that fewer hashes than this share have set, or not set, parts few of them: it is drawn last
DENSE = (
    3  # times the bits that part so many hashes: who shares more with others has near ones enough
)
PAIRWISE = 100  # hashes for each pass: more passes than that cost more than looking at every pair


@njit(nogil=True, cache=True)
def _bucketed(words: Any, held: int, bit: Any, depth: int, most: int) -> Any:
    """Rows in the order of their bits at the places `bit`, and what to compare with what.

    Returns order int32[n]; jobs int64[m, 4], which compare order[a:b], of the rows under `held`, with order[c:d], rows
    from `held` on, or with themselves where there are no such; and rows int64[len(bit) + 1] that agree in so many bits.
    A bucket of `depth` equal bits is halved by one more after another until at most `most` of its rows are under
    `held`; what agrees in all bits are copies, which are cut into runs that share a row.
    """
    n, itself = len(words), held == len(words)
    key, start = np.empty(n, np.uint32), np.zeros((1 << depth) + 1, np.int64)
    for i in range(n):
        k = np.uint64(0)
        for d in range(depth):
            k = (k << np.uint64(1)) | (
                (words[i, bit[d] >> 6] >> np.uint64(bit[d] & 63)) & np.uint64(1)
            )
        key[i] = k
        start[np.int64(k) + 1] += 1
    start = np.cumsum(start)
    order, place = np.empty(n, np.int32), start[:-1].copy()
    for i in range(n):
        order[place[key[i]]] = i
        place[key[i]] += 1
    jobs, count, rows = np.empty((1024, 4), np.int64), 0, np.zeros(len(bit) + 1, np.int64)
    stack, other = np.empty((len(bit) + 2, 3), np.int64), np.empty(0, np.int32)
    for b in range(len(start) - 1):
        stack[0, 0], stack[0, 1], stack[0, 2], top = start[b], start[b + 1], depth, 1
        while top:
            top -= 1
            low, high, deep = stack[top]
            middle = high if itself else low + np.searchsorted(order[low:high], held)
            if middle - low > most and deep < len(bit):
                if len(other) < high - low:
                    other = np.empty(high - low, np.int32)
                word, shift, zeros, ones = bit[deep] >> 6, np.uint64(bit[deep] & 63), low, 0
                for p in range(low, high):
                    if (words[order[p], word] >> shift) & np.uint64(1):
                        other[ones] = order[p]
                        ones += 1
                    else:
                        order[zeros] = order[p]
                        zeros += 1
                order[zeros:high] = other[:ones]
                if (
                    itself and ones and zeros > low
                ):  # some of both sides, which hold near copies together
                    if count == len(jobs):
                        jobs = np.concatenate((jobs, np.empty_like(jobs)))
                    jobs[count, 0], jobs[count, 1] = max(low, zeros - 8), min(high, zeros + 8)
                    jobs[count, 2:] = jobs[count, :2]
                    count += 1
                stack[top, 0], stack[top, 1], stack[top, 2] = zeros, high, deep + 1
                stack[top + 1, 0], stack[top + 1, 1], stack[top + 1, 2] = low, zeros, deep + 1
                top += 2
                continue
            rows[deep] += high - low
            runs = (
                range(low, high - 1, most - 1)
                if itself
                else range(middle, high if middle > low else middle, most)
            )
            for run in runs:
                if count == len(jobs):
                    jobs = np.concatenate((jobs, np.empty_like(jobs)))
                end = min(high, run + most)
                jobs[count, 0], jobs[count, 1] = (
                    (run, end) if itself else (low, min(middle, low + most))
                )
                jobs[count, 2], jobs[count, 3] = run, end
                count += 1
    return order, jobs[:count], rows


@njit(nogil=True, cache=True)
def _compare(words, held, order, jobs, job, radius, most, width, part, out):  # type: ignore[no-untyped-def]
    """Do jobs of `_bucketed` from number `job` on, and write pairs of rows and their distance into out int32[3, room].

    Returns the job to go on with, some hundred million comparisons later or when out may be full, and the pairs found.
    """
    size, found, work, itself = hamming.BLOCK, 0, 0, held == len(words)
    rows = np.empty((size, words.shape[1]), np.uint64)
    blocks = np.empty((-(-most // size), words.shape[1], size), np.uint64)
    at_row, at_column = np.empty(size * most, np.uint16), np.empty(size * most, np.int32)
    distance = np.empty(size * most, np.int32)
    while job < len(jobs) and found <= out.shape[1] - most * most and work < 1 << 28:
        a, b, c, d = jobs[job]
        job += 1
        work += (b - a) * (d - c)
        for p in range(b - a):
            for w in range(words.shape[1]):
                blocks[p // size, w, p % size] = words[order[a + p], w]
        for strip in range(c, d, size):
            high = min(d, strip + size)
            for p in range(strip, high):
                for w in range(words.shape[1]):
                    rows[p - strip, w] = words[order[p], w]
            mine, theirs = rows[: high - strip], blocks[: -(-(b - a) // size)]
            some = hamming.scan(
                mine,
                strip - c,
                itself,
                theirs,
                b - a,
                radius,
                width,
                part,
                at_row,
                at_column,
                distance,
            )
            for f in range(some):
                out[0, found] = order[a + at_column[f]]
                out[1, found] = order[strip + at_row[f]]
                out[2, found] = distance[f]
                found += 1
    return job, found


@njit(nogil=True, cache=True)
def _unite(parent: Any, i: Any, j: Any) -> None:
    for p in range(len(i)):
        a, b = i[p], j[p]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)


class Forest:
    """Rows united by the pairs between them: the first row of each component is its root."""

    def __init__(self, n: int) -> None:
        self.row = np.arange(n, dtype=np.int32)

    def take(self, i: Any, j: Any, distance: Any) -> None:
        _unite(self.row, i, j)

    def merge(self, other: "Forest") -> None:
        joined = np.flatnonzero(other.row != np.arange(len(other.row)))
        _unite(self.row, joined, other.row[joined])

    def roots(self) -> npt.NDArray[np.int32]:
        while not np.array_equal(above := self.row[self.row], self.row):
            self.row = above
        return self.row


@njit(nogil=True, cache=True)
def _approach(row: Any, distance: Any, i: Any, j: Any, apart: Any) -> None:
    for p in range(len(i)):
        q = j[p]
        if apart[p] < distance[q] or (apart[p] == distance[q] and i[p] < row[q]):
            distance[q], row[q] = apart[p], i[p]


class Nearest:
    """The nearest row found for each row, the first among equals; -1 where none was found."""

    def __init__(self, n: int) -> None:
        self.row, self.distance = np.full(n, -1, np.int32), np.full(n, 1 << 30, np.int32)

    def take(self, i: Any, j: Any, distance: Any) -> None:
        _approach(self.row, self.distance, i, j, distance)

    def merge(self, other: "Nearest") -> None:
        q = np.flatnonzero(other.row >= 0)
        _approach(self.row, self.distance, other.row[q], q, other.distance[q])


@dataclass(frozen=True)
class BitSampling:
    """One search by bit sampling: of rows under `held` against the later ones, or among all where held is their number.

    What passes find goes into a Forest or Nearest. words: uint64[n, words] of hashes of `bits` bits.
    """

    words: Words
    held: int
    bits: int
    radius: int
    seed: int = 2026
    most: int = MOST

    @cached_property
    def telling(self) -> npt.NDArray[np.bool_]:
        """Which bits part the hashes well, from some of them."""
        some = self.words[:: max(1, len(self.words) // 4096)].view(np.uint8)
        share = np.unpackbits(some, axis=1, bitorder="little").mean(axis=0)[: self.bits]
        return np.minimum(share, 1 - share) >= SKEWED

    @cached_property
    def depths(self) -> npt.NDArray[np.int64]:
        """How many rows share their bucket in so many bits, in the first pass."""
        return np.asarray(self._buckets(0)[2])

    def _buckets(self, number: int) -> Any:
        rng = np.random.default_rng((self.seed, number))
        bit = np.concatenate(
            [rng.permutation(np.flatnonzero(self.telling == first)) for first in (True, False)]
        )
        depth = math.ceil(math.log2(max(1, self.held / (0.6 * self.most))))
        return _bucketed(self.words, self.held, bit, min(depth, self.bits), self.most)

    def run(
        self, numbers: Iterable[int], found: Any, stop: Callable[[], bool] = lambda: False
    ) -> Any:
        """Do these passes, in steps of a fraction of a second; returns what they found."""
        width = (0,) * self.words.shape[1]
        part = width[: choose_prefix(self.words[: self.held], self.radius)]
        for number in numbers:
            (order, jobs, _), job, out = (
                self._buckets(number),
                0,
                np.empty((3, max(ROOM, self.most**2)), np.int32),
            )
            while job < len(jobs) and not stop():
                job, some = _compare(
                    self.words,
                    self.held,
                    order,
                    jobs,
                    job,
                    self.radius,
                    self.most,
                    width,
                    part,
                    out,
                )
                found.take(*out[:, :some])
        return found

    def key(self, passes: int) -> str:
        """Tells this search from any other, of any version."""
        settings = __version__, self.held, self.bits, self.radius, self.seed, self.most, passes
        digest = hashlib.blake2b(repr(settings).encode())
        digest.update(self.words.data)
        return digest.hexdigest()

    def recall(
        self, distance: Any, passes: int = 1, *, typical: bool = False
    ) -> npt.NDArray[np.float64]:
        """The share of pairs at these distances that so many passes find, foretold from the depths of one's buckets.

        Deep buckets are those of dense families, where most pairs are, and count accordingly; `typical` counts images
        alike, as for one whose family is small, and those of DENSE buckets as found. Bits that differ are taken to be
        among those that part hashes well, which is the worst case.
        """
        rows, apart = self.depths, np.atleast_1d(np.asarray(distance, float))[:, None]
        left, depth = (
            np.maximum(float(self.telling.sum() or self.bits), apart),
            np.arange(len(rows)),
        )
        kept, first = left - apart, int((rows > 0).argmax())
        with np.errstate(invalid="ignore"):
            chance = (
                gammaln(kept + 1)
                - gammaln(kept - depth + 1)
                - gammaln(left + 1)
                + gammaln(left - depth + 1)
            )
        one = np.where(depth <= kept, np.minimum(np.exp(chance), 1), 0.0)
        one[:, depth > DENSE * first] = 1.0 if typical else one[:, depth > DENSE * first]
        weight = rows * (1.0 if typical else 2.0 ** np.clip(depth - first, 0, 60))
        return -np.expm1(xlog1py(passes, -one)) @ (weight / max(1, weight.sum()))

    def passes(self, recall: float, at: int, *, typical: bool = False) -> int:
        """How many passes find that share of the pairs `at` bits apart; at most as many as all pairs cost."""
        if not 0 < recall < 1:
            raise ValueError(f"recall must be between 0 and 1; got {recall}")
        enough, most = 1, self.held // PAIRWISE + 1
        while enough < most and self.recall(at, enough, typical=typical)[0] < recall:
            enough = min(most, max(enough + 1, enough * 5 // 4))
        return enough
