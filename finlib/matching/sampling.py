"""Near pairs without comparing every pair: a search by bit sampling, pass by pass.

A pass draws some of the bits at random, sorts the hashes into buckets that agree in all of them,
and compares only the hashes of a bucket with each other, exactly. Two hashes of b bits that differ
in d of them agree in k drawn bits with probability C(b - d, k) / C(b, k). So near hashes meet in
some pass and unrelated ones hardly ever. Every pair that is found is right; the share of pairs that
is found, the recall, follows from k and the number of passes (Indyk and Motwani, 1998; k adapts to
the data as in the LSH forest of Bawa et al., 2005).

Bits are drawn until a bucket has at most `bucket_size` hashes. Bits that are skewed or correlated
therefore cost recall, which `BitSampling.recall` takes into account, but neither time nor memory.
Passes do not depend on each other, so that threads or the workers of a Dask cluster can share them.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import gammaln, xlog1py

from finlib import __version__
from finlib.matching import hamming
from finlib.matching.forest import Collector
from finlib.matching.packed import BLOCK, Words

Filled = TypeVar("Filled", bound=Collector)

BUCKET_SIZE = 512  # hashes compared with each other, which takes about as long as sorting them
PAIRS_PER_STEP = 1 << 20  # capacity of a step of a pass, in pairs
COMPARISONS_PER_STEP = 1 << 28  # a fraction of a second: how long a pass takes to notice a stop
SEAM = 8  # rows on either side of a cut between two halves of a bucket that are compared as well
SKEWED = 0.1  # a bit that a smaller share of the hashes has set, or has not, is drawn last
DENSE = 3  # times the usual number of bits: a bucket that agrees in more is of many near hashes
HASHES_PER_PASS = 100  # with fewer hashes for each pass, comparing every pair costs less
ONE = np.uint64(1)


class Buckets(NamedTuple):
    """The hashes of a pass sorted into buckets, and what is to be compared with what.

    A job a, b, c, d compares the rows order[a:b] with the rows order[c:d]. In a search within one
    set both are the same rows, whose pairs are compared once each.
    """

    order: npt.NDArray[np.int32]  # [n], rows bucket by bucket
    jobs: npt.NDArray[np.int64]  # [jobs, 4]
    rows_at_depth: npt.NDArray[np.int64]  # [bits + 1], rows whose bucket agrees in that many bits


@njit(nogil=True, cache=True, inline="always")
def _bit_of(words, row, place):  # type: ignore[no-untyped-def]
    """The bit of a row at this place, as a uint64."""
    return (words[row, place >> 6] >> np.uint64(place & 63)) & ONE


@njit(nogil=True, cache=True)
def _sort_by_key(words, places):  # type: ignore[no-untyped-def]
    """Sort rows by the number that their bits at these places make.

    Returns order int32[n], the rows sorted, and start int64[2 ** len(places) + 1], where in them
    the rows of each number start. Rows with the same number stay in order.
    """
    n = len(words)
    key = np.empty(n, np.uint32)
    count = np.zeros((1 << len(places)) + 1, np.int64)
    for row in range(n):
        number = np.uint64(0)
        for place in places:
            number = (number << ONE) | _bit_of(words, row, place)
        key[row] = number
        count[np.int64(number) + 1] += 1
    start = np.cumsum(count)
    next_free = start[:-1].copy()
    order = np.empty(n, np.int32)
    for row in range(n):
        order[next_free[key[row]]] = row
        next_free[key[row]] += 1
    return order, start


@njit(nogil=True, cache=True)
def _halve(words, order, low, high, place, spare):  # type: ignore[no-untyped-def]
    """Move the rows of order[low:high] without the bit before those with it; both stay in order.

    Returns where the rows with the bit start. spare: space for as many rows.
    """
    without = low
    with_bit = 0
    word = place >> 6
    shift = np.uint64(place & 63)
    for k in range(low, high):
        row = order[k]
        if (words[row, word] >> shift) & ONE:
            spare[with_bit] = row
            with_bit += 1
        else:
            order[without] = row
            without += 1
    order[without:high] = spare[:with_bit]
    return without


@njit(nogil=True, cache=True)
def _add_job(jobs, count, a, b, c, d):  # type: ignore[no-untyped-def]
    """Write job number `count`; returns the jobs, which are a longer array where they were full."""
    if count == len(jobs):
        jobs = np.concatenate((jobs, np.empty_like(jobs)))
    jobs[count, 0] = a
    jobs[count, 1] = b
    jobs[count, 2] = c
    jobs[count, 3] = d
    return jobs


@njit(nogil=True, cache=True)
def _add_jobs_within(jobs, count, low, high, bucket_size):  # type: ignore[no-untyped-def]
    """Add the jobs that compare a bucket with itself; returns the jobs and their number.

    A bucket that is larger than allowed holds copies only. It is cut into runs that share a row,
    which is enough to connect all of them.
    """
    for start in range(low, high - 1, bucket_size - 1):
        end = min(high, start + bucket_size)
        jobs = _add_job(jobs, count, start, end, start, end)
        count += 1
    return jobs, count


@njit(nogil=True, cache=True)
def _add_jobs_between(jobs, count, low, middle, high, bucket_size):  # type: ignore[no-untyped-def]
    """Add the jobs that compare order[low:middle], at most `bucket_size` of them, with the rest."""
    if middle == low:
        return jobs, count
    end = min(middle, low + bucket_size)
    for start in range(middle, high, bucket_size):
        jobs = _add_job(jobs, count, low, end, start, min(high, start + bucket_size))
        count += 1
    return jobs, count


@njit(nogil=True, cache=True, inline="always")
def _set_bucket(pending, number, low, high, depth):  # type: ignore[no-untyped-def]
    """Write down a bucket that is still to be split: order[low:high] agree in `depth` bits."""
    pending[number, 0] = low
    pending[number, 1] = high
    pending[number, 2] = depth


@njit(nogil=True, cache=True)
def _split_into_buckets(words, indexed, places, depth, bucket_size):  # type: ignore[no-untyped-def]
    """Sort rows into buckets that agree in the first bits of `places`; returns as for `Buckets`.

    The first `indexed` rows are those to be found, and the others are queries; where there are no
    others, all rows are compared with each other. A bucket first agrees in `depth` bits. It is
    halved by one bit after another until at most `bucket_size` of its rows are indexed ones, or
    until all bits agree, so that the rows are copies.
    """
    within_set = indexed == len(words)
    order, start = _sort_by_key(words, places[:depth])
    spare = np.empty(np.diff(start).max(), np.int32)
    rows_at_depth = np.zeros(len(places) + 1, np.int64)
    jobs = np.empty((1024, 4), np.int64)
    count = 0
    # A bucket leaves at most one half of each depth waiting while the other half is split.
    pending = np.empty((len(places) + 2, 3), np.int64)
    for b in range(len(start) - 1):
        _set_bucket(pending, 0, start[b], start[b + 1], depth)
        waiting = 1
        while waiting:
            waiting -= 1
            low, high, agreeing = pending[waiting]
            middle = high
            if not within_set:
                middle = low + np.searchsorted(order[low:high], indexed)
            if middle - low <= bucket_size or agreeing == len(places):
                rows_at_depth[agreeing] += high - low
                if within_set:
                    jobs, count = _add_jobs_within(jobs, count, low, high, bucket_size)
                else:
                    jobs, count = _add_jobs_between(jobs, count, low, middle, high, bucket_size)
                continue
            cut = _halve(words, order, low, high, places[agreeing], spare)
            if within_set and low < cut < high:
                # Some rows of both halves are compared, so that near copies stay connected.
                seam_start = max(low, cut - SEAM)
                seam_end = min(high, cut + SEAM)
                jobs = _add_job(jobs, count, seam_start, seam_end, seam_start, seam_end)
                count += 1
            _set_bucket(pending, waiting, cut, high, agreeing + 1)
            _set_bucket(pending, waiting + 1, low, cut, agreeing + 1)
            waiting += 2
    return order, jobs[:count], rows_at_depth


@njit(nogil=True, cache=True)
def _gather_rows(words, rows, out):  # type: ignore[no-untyped-def]
    """Copy these rows into out uint64[rows, words]."""
    for k in range(len(rows)):
        for w in range(words.shape[1]):
            out[k, w] = words[rows[k], w]


@njit(nogil=True, cache=True)
def _gather_blocks(words, rows, out):  # type: ignore[no-untyped-def]
    """Copy these rows into blocks, out uint64[blocks, words, BLOCK]."""
    for k in range(len(rows)):
        for w in range(words.shape[1]):
            out[k // BLOCK, w, k % BLOCK] = words[rows[k], w]


@njit(nogil=True, cache=True)
def _compare_jobs(  # type: ignore[no-untyped-def]
    words, within_set, order, jobs, job, radius, bucket_size, width, fold
):
    """Do a step of jobs, from number `job` on.

    A step ends after COMPARISONS_PER_STEP, or where the pairs of another job may not fit. Returns
    the number of the next job and the pairs within the radius, int32[3, pairs]: both rows and their
    distance.
    """
    strip_rows = np.empty((BLOCK, words.shape[1]), np.uint64)
    blocks = np.empty((-(-bucket_size // BLOCK), words.shape[1], BLOCK), np.uint64)
    matches = BLOCK * bucket_size
    query = np.empty(matches, np.uint16)
    number = np.empty(matches, np.int32)
    distance = np.empty(matches, np.int32)
    largest_job = bucket_size * bucket_size
    pairs = np.empty((3, max(PAIRS_PER_STEP, largest_job)), np.int32)
    pair_count = 0
    comparisons = 0
    while (
        job < len(jobs)
        and pair_count <= pairs.shape[1] - largest_job
        and comparisons < COMPARISONS_PER_STEP
    ):
        a, b, c, d = jobs[job]
        job += 1
        n = b - a
        comparisons += n * (d - c)
        _gather_blocks(words, order[a:b], blocks)
        for strip in range(c, d, BLOCK):
            end = min(d, strip + BLOCK)
            _gather_rows(words, order[strip:end], strip_rows)
            count = hamming.scan(
                strip_rows[: end - strip],
                strip - c,
                within_set,
                blocks[: -(-n // BLOCK)],
                n,
                radius,
                width,
                fold,
                query,
                number,
                distance,
            )
            for k in range(count):
                pairs[0, pair_count] = order[a + number[k]]
                pairs[1, pair_count] = order[strip + query[k]]
                pairs[2, pair_count] = distance[k]
                pair_count += 1
    return job, pairs[:, :pair_count]


@dataclass(frozen=True)
class BitSampling:
    """A search by bit sampling for pairs of hashes within a radius.

    The first `indexed` hashes are compared with the hashes after them, which are the queries;
    where there are none after them, all hashes are compared with each other.
    """

    words: Words  # [n, words of a hash]
    indexed: int
    bits: int  # of a hash
    radius: int  # bits
    seed: int = 2026
    bucket_size: int = BUCKET_SIZE

    @cached_property
    def splits_well(self) -> npt.NDArray[np.bool_]:
        """Which bits are set in neither few nor most of the hashes, bool[bits], from a sample."""
        sample = self.words[:: max(1, len(self.words) // 4096)].view(np.uint8)
        bits = np.unpackbits(sample, axis=1, bitorder="little")
        share = bits.mean(axis=0)[: self.bits]
        return np.minimum(share, 1 - share) >= SKEWED

    @cached_property
    def rows_at_depth(self) -> npt.NDArray[np.int64]:
        """How many rows of the first pass are in buckets that agree in each number of bits.

        int64[bits + 1].
        """
        return self.buckets(0).rows_at_depth

    def buckets(self, number: int) -> Buckets:
        """Sort the hashes into the buckets of pass `number`."""
        rng = np.random.default_rng((self.seed, number))
        first = rng.permutation(np.flatnonzero(self.splits_well))
        last = rng.permutation(np.flatnonzero(~self.splits_well))
        expected_buckets = self.indexed / (0.6 * self.bucket_size)
        depth = min(self.bits, math.ceil(math.log2(max(1, expected_buckets))))
        return Buckets(
            *_split_into_buckets(
                self.words,
                self.indexed,
                np.concatenate([first, last]),
                depth,
                self.bucket_size,
            )
        )

    def run(
        self, numbers: Iterable[int], collector: Filled, stop: Callable[[], bool] = lambda: False
    ) -> Filled:
        """Do the passes with these numbers, and return the collector with their pairs.

        `stop` is called several times a second; where it returns True, the rest is not done.
        """
        distance = hamming.Hamming(8 * self.words.shape[1])
        indexed = self.words[: self.indexed]
        fold = distance.choose_fold(indexed.view(np.uint8), self.radius)
        for number in numbers:
            buckets = self.buckets(number)
            job = 0
            while job < len(buckets.jobs) and not stop():
                job, pairs = _compare_jobs(
                    self.words,
                    self.indexed == len(self.words),
                    buckets.order,
                    buckets.jobs,
                    job,
                    self.radius,
                    self.bucket_size,
                    distance.width,
                    (0,) * fold,
                )
                collector.take(pairs[0], pairs[1], pairs[2])
        return collector

    def key(self, passes: int) -> str:
        """A digest that only the same search of the same hashes by the same version has."""
        settings = (
            __version__,
            self.indexed,
            self.bits,
            self.radius,
            self.seed,
            self.bucket_size,
            passes,
        )
        digest = hashlib.blake2b(repr(settings).encode())
        digest.update(self.words.data)
        return digest.hexdigest()

    def recall(
        self, distance: Any, passes: int = 1, *, typical: bool = False
    ) -> npt.NDArray[np.float64]:
        """Predict the share of the pairs at these distances that a number of passes finds.

        The prediction follows from the number of bits in which the hashes of each bucket agree. It
        takes the bits that differ to be among those that split the hashes well, which is the worst
        case. By default it is for the average pair: most pairs are in dense families, whose buckets
        agree in many bits. `typical` is for the average image, and counts the pairs of dense
        buckets as found.

        distance: bits, a number or several. Returns float64[distances].
        """
        depth = np.arange(len(self.rows_at_depth))
        usual_depth = int((self.rows_at_depth > 0).argmax())
        different = np.atleast_1d(np.asarray(distance, float))[:, None]
        drawable = np.maximum(float(self.splits_well.sum() or self.bits), different)
        in_one_pass = _agreement(drawable, different, depth)
        weight = self.rows_at_depth.astype(float)
        if typical:
            in_one_pass[:, depth > DENSE * usual_depth] = 1.0
        else:
            weight *= 2.0 ** np.clip(depth - usual_depth, 0, 60)
        in_all_passes = -np.expm1(xlog1py(passes, -in_one_pass))
        return np.asarray(in_all_passes @ (weight / max(1, weight.sum())))

    def passes(self, recall: float, at: int, *, typical: bool = False) -> int:
        """How many passes find the share `recall` of the pairs that are `at` bits apart.

        The number is bounded by what comparing every pair would cost. typical: as for `recall`.
        Raises ValueError where the share is not between 0 and 1.
        """
        if not 0 < recall < 1:
            raise ValueError(f"recall must be between 0 and 1; got {recall}")
        most = self.indexed // HASHES_PER_PASS + 1
        passes = 1
        while passes < most and self.recall(at, passes, typical=typical)[0] < recall:
            passes = min(most, max(passes + 1, passes * 5 // 4))
        return passes


def _agreement(bits: Any, different: Any, drawn: Any) -> npt.NDArray[np.float64]:
    """The probability that two hashes agree in all bits drawn, if they differ in some.

    It is C(bits - different, drawn) / C(bits, drawn). The arguments are broadcast against each
    other.
    """
    equal = bits - different
    with np.errstate(invalid="ignore"):
        logarithm = (
            gammaln(equal + 1)
            - gammaln(equal - drawn + 1)
            - gammaln(bits + 1)
            + gammaln(bits - drawn + 1)
        )
    return np.where(drawn <= equal, np.minimum(np.exp(logarithm), 1), 0.0)
