"""Near pairs without comparing every pair: a search by sampling, pass by pass.

A pass draws some of the bits, sorts the hashes into buckets that agree in all of them, and compares
only the hashes of a bucket with each other, exactly. Near hashes meet in some pass and unrelated
ones hardly ever. Every pair that is found is right. The share of the pairs that is found, the
recall, grows with the number of passes (Indyk and Motwani, 1998).

`BitSampling` draws bits anywhere in the hash. Two hashes of b bits that differ in d of them agree
in k drawn bits with probability C(b - d, k) / C(b, k). `RowSampling` is for hashes that are
compared row by row. It draws the bits of one row, and those of another row only where one row does
not suffice. A caption changes some rows and leaves the others alone. So it spoils only the passes
that draw one of its rows, while of bits drawn anywhere it spoils a few in every pass.

Bits are drawn until a bucket has at most `bucket_size` hashes, so their number adapts to the data
(as in the LSH forest of Bawa et al., 2005). Bits that are skewed or correlated therefore cost
recall, which the predictions take into account, but neither time nor memory. Passes do not depend
on each other, so that threads or the workers of a Dask cluster can share them.
"""

import hashlib
import math
from abc import ABC, abstractmethod
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
from finlib.matching.forest import NONE, Collector
from finlib.matching.hamming import Distance, Hamming
from finlib.matching.nearest import nearest_hashes
from finlib.matching.packed import BLOCK, Packed, Words
from finlib.matching.rows import CAP, ROW_BITS, ROWS, RowDistance, is_flat

Filled = TypeVar("Filled", bound=Collector)

BUCKET_SIZE = 512  # hashes compared with each other, which takes about as long as sorting them
PAIRS_PER_STEP = 1 << 20  # capacity of a step of a pass, in pairs
COMPARISONS_PER_STEP = 1 << 28  # a fraction of a second: how long a pass takes to notice a stop
SEAM = 8  # rows on either side of a cut between two halves of a bucket that are compared as well
SKEWED = 0.1  # a bit that a smaller share of the hashes has set, or has not, is drawn last
DENSE = 3  # times the usual number of bits: a bucket that agrees in more is of many near hashes
HASHES_PER_PASS = 100  # with fewer hashes for each pass, comparing every pair costs less
NO_ROW = -1
NEAR_PAIRS = 512  # hashes whose nearest other hash shows what rows near pairs differ in
MOST_ROW_PASSES = 4 * ROWS
ONE = np.uint64(1)


class Draw(NamedTuple):
    """The bits that a pass draws."""

    places: npt.NDArray[np.int64]  # [bits], the numbers of all bits in the order of drawing
    row: int  # hashes of which this row of 16 bits is flat are left out; NO_ROW for none


class Buckets(NamedTuple):
    """The hashes of a pass sorted into buckets, and what is to be compared with what.

    A job a, b, c, d compares the rows order[a:b] with the rows order[c:d]. In a search within one
    set both are the same rows, whose pairs are compared once each.
    """

    order: npt.NDArray[np.int32]  # [hashes], rows bucket by bucket
    jobs: npt.NDArray[np.int64]  # [jobs, 4]
    rows_at_depth: npt.NDArray[np.int64]  # [bits + 1], rows whose bucket agrees in that many bits


@njit(nogil=True, cache=True, inline="always")
def _bit_of(words, row, place):  # type: ignore[no-untyped-def]
    """The bit of a row at this place, as a uint64."""
    return (words[row, place >> 6] >> np.uint64(place & 63)) & ONE


@njit(nogil=True, cache=True, inline="always")
def _is_left_out(words, row, key_row):  # type: ignore[no-untyped-def]
    """Whether the row of 16 bits with this number is flat, and so says nothing of the picture."""
    if key_row == NO_ROW:
        return False
    shift = np.uint64(16 * (key_row & 3))
    bits = (words[row, key_row >> 2] >> shift) & np.uint64(0xFFFF)
    return bits == np.uint64(0) or bits == np.uint64(0xFFFF)


@njit(nogil=True, cache=True)
def _sort_by_key(words, places, key_row):  # type: ignore[no-untyped-def]
    """Sort rows by the number that their bits at these places make.

    Returns order int32[hashes], the rows sorted, and start int64[2 ** len(places) + 1], where in
    them the rows of each number start. Rows with the same number stay in order. Rows are left out
    as `Draw` says.
    """
    n = len(words)
    left_out = np.uint32(0xFFFFFFFF)
    key = np.empty(n, np.uint32)
    count = np.zeros((1 << len(places)) + 1, np.int64)
    for row in range(n):
        if _is_left_out(words, row, key_row):
            key[row] = left_out
            continue
        number = np.uint64(0)
        for place in places:
            number = (number << ONE) | _bit_of(words, row, place)
        key[row] = number
        count[np.int64(number) + 1] += 1
    start = np.cumsum(count)
    next_free = start[:-1].copy()
    order = np.empty(start[-1], np.int32)
    for row in range(n):
        if key[row] != left_out:
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
def _split_into_buckets(  # type: ignore[no-untyped-def]
    words, indexed, places, key_row, depth, bucket_size
):
    """Sort rows into buckets that agree in the first bits of `places`; returns as for `Buckets`.

    The first `indexed` rows are those to be found, and the others are queries; where there are no
    others, all rows are compared with each other. A bucket first agrees in `depth` bits. It is
    halved by one bit after another until at most `bucket_size` of its rows are indexed ones, or
    until all bits agree, so that the rows are copies.
    """
    within_set = indexed == len(words)
    order, start = _sort_by_key(words, places[:depth], key_row)
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
def _compare_jobs(  # type: ignore[no-untyped-def]
    words, within_set, order, jobs, job, radius, bucket_size, width, fold
):
    """Do a step of jobs, from number `job` on.

    A step ends after COMPARISONS_PER_STEP, or where the pairs of another job may not fit. Returns
    the number of the next job and the pairs within the radius, int32[3, pairs]: both rows and their
    distance.
    """
    query_words, stored_words = hamming.laid_out_words(width)
    strip_rows = np.empty((BLOCK, query_words), np.uint64)
    blocks = np.empty((-(-bucket_size // BLOCK), stored_words, BLOCK), np.uint64)
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
        for k in range(n):
            hamming.lay_out_stored(words, order[a + k], blocks, k, width)
        for strip in range(c, d, BLOCK):
            end = min(d, strip + BLOCK)
            for q in range(end - strip):
                hamming.lay_out_query(words, order[strip + q], strip_rows, q, width)
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
class Sampling(ABC):
    """A search for pairs of hashes within a radius.

    The first `indexed` hashes are compared with the hashes after them, which are the queries;
    where there are none after them, all hashes are compared with each other.
    """

    words: Words  # [n, words of a hash]
    indexed: int
    radius: int
    distance: Distance
    seed: int = 2026
    bucket_size: int = BUCKET_SIZE

    @abstractmethod
    def draw(self, number: int) -> Draw:
        """Draw the bits of pass `number`."""

    @abstractmethod
    def recall_of_passes(self, passes: int) -> float:
        """Predict the share of the pairs at the radius that a number of passes finds.

        It is for the average image: see `near.unite_near`.
        """

    @property
    @abstractmethod
    def most_passes(self) -> int:
        """With more passes, comparing every pair would cost less, or little more be found."""

    @property
    def bits(self) -> int:
        """The number of bits of a hash, with those that fill up its last word."""
        return 64 * self.words.shape[1]

    @cached_property
    def splits_well(self) -> npt.NDArray[np.bool_]:
        """Which bits are set in neither few nor most of the hashes, bool[bits], from a sample."""
        sample = self.words[:: max(1, len(self.words) // 4096)].view(np.uint8)
        bits = np.unpackbits(sample, axis=1, bitorder="little")
        share = bits.mean(axis=0)
        return np.asarray(np.minimum(share, 1 - share) >= SKEWED)

    @cached_property
    def rows_at_depth(self) -> npt.NDArray[np.int64]:
        """How many rows of the first pass are in buckets that agree in each number of bits.

        int64[bits + 1].
        """
        return self.buckets(0).rows_at_depth

    def buckets(self, number: int) -> Buckets:
        """Sort the hashes into the buckets of pass `number`."""
        expected_buckets = self.indexed / (0.6 * self.bucket_size)
        depth = min(self.bits, math.ceil(math.log2(max(1, expected_buckets))))
        places, key_row = self.draw(number)
        return Buckets(
            *_split_into_buckets(
                self.words,
                self.indexed,
                places,
                key_row,
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
        step = max(1, self.indexed // 4096)
        sample = self.words[: self.indexed : step].view(np.uint8)
        fold = self.distance.choose_fold(sample[:, : self._size], self.radius)
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
                    self.distance.width,
                    (0,) * fold,
                )
                collector.take(pairs[0], pairs[1], pairs[2])
        return collector

    @property
    def _size(self) -> int:
        """The number of bytes of a hash that the distance compares."""
        if isinstance(self.distance, Hamming):
            return self.distance.size
        return 8 * self.words.shape[1]

    def passes(self, recall: float, predict: Callable[[int], float] | None = None) -> int:
        """How many passes find the share `recall` of the pairs at the radius.

        predict: gives the share that a number of passes finds, where it is not for the average
        image. Raises ValueError where the share is not between 0 and 1.
        """
        predict = predict or self.recall_of_passes
        if not 0 < recall < 1:
            raise ValueError(f"recall must be between 0 and 1; got {recall}")
        most = min(self.most_passes, self.indexed // HASHES_PER_PASS + 1)
        passes = 1
        while passes < most and predict(passes) < recall:
            passes = min(most, max(passes + 1, passes * 5 // 4))
        return passes

    def key(self, passes: int) -> str:
        """A digest that only the same search of the same hashes by the same version has."""
        settings = (
            __version__,
            type(self).__name__,
            self.distance,
            self.indexed,
            self.radius,
            self.seed,
            self.bucket_size,
            passes,
        )
        digest = hashlib.blake2b(repr(settings).encode())
        digest.update(self.words.data)
        return digest.hexdigest()


class BitSampling(Sampling):
    """A search that draws bits anywhere, for any hash."""

    most_passes = 1 << 30

    def draw(self, number: int) -> Draw:
        rng = np.random.default_rng((self.seed, number))
        bits = np.arange(self.bits) < 8 * self._size
        first = rng.permutation(np.flatnonzero(self.splits_well & bits))
        last = rng.permutation(np.flatnonzero(~self.splits_well & bits))
        return Draw(np.concatenate([first, last]), NO_ROW)

    def recall_of_passes(self, passes: int) -> float:
        return float(self.recall(self.radius, passes, typical=True)[0])

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


class RowSampling(Sampling):
    """A search that draws the bits of one row of a dHash, and of further rows where it has to."""

    most_passes = MOST_ROW_PASSES

    @property
    def _first_row(self) -> int:
        """The number of the dHash's first row among the rows of 16 bits of the whole hash."""
        return self.bits // ROW_BITS - ROWS

    def draw(self, number: int) -> Draw:
        # Passes take turns with the first row, so that ROWS of them have used every row.
        turn = np.random.default_rng(self.seed).permutation(ROWS)
        first = turn[number % ROWS]
        rng = np.random.default_rng((self.seed, number))
        others = rng.permutation(ROWS)
        rows = self._first_row + np.append(first, others[others != first])
        in_rows = ROW_BITS * rows[:, None] + rng.permuted(
            np.tile(np.arange(ROW_BITS), (ROWS, 1)), axis=1
        )
        before_rows = rng.permutation(ROW_BITS * self._first_row)
        places = np.append(in_rows.ravel(), before_rows)
        is_well = self.splits_well[places]
        return Draw(np.append(places[is_well], places[~is_well]), int(rows[0]))

    @cached_property
    def differing_bits(self) -> npt.NDArray[np.int64]:
        """In how many bits of each row near pairs differ, int64[pairs, ROWS], from a sample.

        A pair is a hash and the nearest other one that it is compared with, within the radius. A
        flat row counts as if all of its bits differed.
        """
        packed = self.words.view(np.uint8)
        within_set = self.indexed == len(self.words)
        first_query = 0 if within_set else self.indexed
        queries = len(packed) - first_query
        rng = np.random.default_rng(self.seed)
        chosen = rng.choice(queries, min(queries, NEAR_PAIRS), replace=False)
        sample = first_query + np.sort(chosen)
        nearest = nearest_hashes(
            packed[sample],
            packed[: self.indexed],
            own=sample if within_set else None,
            radius=self.radius,
            distance=self.distance.name,
            workers=1,
        )
        has_one = nearest.row != NONE
        one = self._dhash_rows(packed[sample[has_one]])
        other = self._dhash_rows(packed[nearest.row[has_one]])
        differing = np.bitwise_count(one ^ other).astype(np.int64)
        return np.where(is_flat(one) | is_flat(other), ROW_BITS, differing)

    def _dhash_rows(self, packed: Packed) -> npt.NDArray[np.uint16]:
        return np.ascontiguousarray(packed).view(np.uint16)[:, self._first_row :]

    def recall_of_passes(self, passes: int) -> float:
        """Predict the share of near pairs that passes find, from those of a sample of the data.

        Where the sample has no near pair, a pair is taken to differ in as many rows as it can.
        """
        differing = self.differing_bits
        if len(differing) == 0:
            assert isinstance(self.distance, RowDistance)
            spoilt = min(ROWS, math.ceil(self.radius / (CAP * self.distance.weight)))
            differing = np.repeat([[0, ROW_BITS]], [ROWS - spoilt, spoilt], axis=1)
        return float(self.recall(differing, passes).mean())

    def recall(self, differing: npt.NDArray[np.int64], passes: int = 1) -> npt.NDArray[np.float64]:
        """Predict with which probability passes find pairs that differ in so many bits of each row.

        A bucket agrees in all bits of some rows, drawn at random, and in some of one more row.
        Buckets of dense families, which agree in many bits, count as found.

        differing: int64[pairs, ROWS]. Returns float64[pairs].
        """
        weight = self.rows_at_depth / max(1, self.rows_at_depth.sum())
        usual_depth = int((self.rows_at_depth > 0).argmax())
        found = np.zeros(len(differing))
        for depth in np.flatnonzero(weight):
            if depth > DENSE * max(usual_depth, ROW_BITS):
                in_one_pass = np.ones(len(differing))
            else:
                in_one_pass = _row_agreement(differing, int(depth))
            found += weight[depth] * -np.expm1(xlog1py(passes, -in_one_pass))
        return found


def make_sampling(
    words: Words, indexed: int, radius: int, distance: Distance, seed: int
) -> Sampling:
    """The search that suits a distance: by rows where it compares rows, else by bits anywhere.

    Row keys would serve dHashes that are compared by all of their bits, too. Among a million hashes
    of captioned pictures, eight passes of row keys meet 96% of the pairs with the nearest hash
    within 75 bits, and eight passes of bits anywhere meet 87% in the same time. Among a hundred
    thousand they meet 93% and 95%. The table `keys` of `python -m workbook scale --distance rows`
    has the first two figures, and with `--largest 100000` the others. Bits anywhere are drawn all
    the same: a Hamming distance does not say whether hashes have rows, and those of FINd have none.
    """
    kind = RowSampling if isinstance(distance, RowDistance) else BitSampling
    return kind(words, indexed, radius, distance, seed)


def _row_agreement(differing: npt.NDArray[np.int64], drawn: int) -> npt.NDArray[np.float64]:
    """The probability that pairs agree in the bits drawn, row after row in a random order.

    differing: int64[pairs, ROWS], the bits in which each row differs. Returns float64[pairs].
    """
    whole_rows = min(drawn // ROW_BITS, ROWS - 1)
    of_next_row = drawn - ROW_BITS * whole_rows
    equal_rows = (differing == 0).sum(axis=1)
    agreeing = np.ones(len(differing))
    for row in range(whole_rows):
        agreeing *= np.maximum(equal_rows - row, 0) / (ROWS - row)
    in_next_row = _agreement(ROW_BITS, differing, of_next_row).sum(axis=1)
    return agreeing * np.maximum(in_next_row - whole_rows, 0) / (ROWS - whole_rows)


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
