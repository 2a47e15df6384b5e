"""Hamming distances as numba kernels: a few rows against blocks of hashes, for `matching`.

Blocks hold BLOCK hashes word by word, uint64[blocks, words, BLOCK], so that one instruction takes the same word of
eight hashes. Matches are rare, so the loop that has to be fast only tells which hashes of a block are near, as bits,
and the distance is worked out again for those. `width` is a tuple of zeros, one for each word: its length is
known when numba compiles, so that loops over words unroll. Loops that must vectorise count from 0 and keep uint64
clear of int64, which numba would take through float64 together.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils

intrinsic: Any = (
    extending.intrinsic
)  # called in kernels without the typing context, which a type checker would miss

BLOCK = 64  # hashes laid out together: the bits of the word that says which of them are near
LANES = 8  # 64-bit words to a vector; LLVM splits it where registers are narrower
ONE = np.uint64(1)


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Bits set in a uint64, as int64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


@intrinsic
def _within(
    typing_context: Any, rows: Any, r: Any, blocks: Any, b: Any, radius: Any, width: Any, part: Any
) -> Any:
    """uint64 whose bit k is set where hash k of blocks[b], of uint64[blocks, words, BLOCK], is so near rows[r].

    Near in the first len(part) of len(width) words: all of them, or enough to rule out most hashes that are not near.

    Written for vectors of eight words, since LLVM by itself prefers registers half as wide as AVX-512 has.
    """
    i8, i32, i64, words = ir.IntType(8), ir.IntType(32), ir.IntType(64), width.count
    vector = ir.VectorType(i64, LANES)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def start(which: int, stride: int) -> Any:
            data = context.make_array(signature.args[which])(
                context, builder, arguments[which]
            ).data
            return builder.gep(data, [builder.mul(arguments[which + 1], ir.Constant(i64, stride))])

        def spread(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, value, ir.Constant(i32, 0))
            return builder.shuffle_vector(
                first, undefined, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES)
            )

        ctpop = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), "llvm.ctpop.v8i64"
        )
        row, block, limit = start(0, words), start(2, words * BLOCK), spread(arguments[4])
        row_words = [
            spread(builder.load(builder.gep(row, [ir.Constant(i64, w)]))) for w in range(part.count)
        ]
        found = ir.Constant(i64, 0)
        for k in range(0, BLOCK, LANES):
            distance = ir.Constant(vector, [0] * LANES)
            for w, word in enumerate(row_words):
                place = builder.gep(block, [ir.Constant(i64, w * BLOCK + k)])
                eight = builder.load(builder.bitcast(place, vector.as_pointer()))
                eight.align = 8
                distance = builder.add(distance, builder.call(ctpop, [builder.xor(eight, word)]))
            near = builder.bitcast(builder.icmp_signed("<=", distance, limit), i8)
            found = builder.or_(found, builder.shl(builder.zext(near, i64), ir.Constant(i64, k)))
        return found

    return types.uint64(rows, types.int64, blocks, types.int64, types.int64, width, part), emit


@njit(nogil=True, cache=True, inline="always")
def distance_in_block(rows: Any, r: int, blocks: Any, b: int, k: int, width: Any) -> int:
    """Bits that differ between rows[r] and hash k of blocks[b]. No slices are taken: each costs an atomic count."""
    total = 0
    for w in range(len(width)):
        total += popcount(rows[r, w] ^ blocks[b, w, k])
    return total


@njit(nogil=True, cache=True)
def scan(rows, first, itself, blocks, n, radius, width, part, at_row, at_column, distance):  # type: ignore[no-untyped-def]
    """Write the matches of rows uint64[r, words] among n hashes, by block, and count them; -1 where they do not fit.

    Where the set is searched for `itself`, rows[r] is its hash `first` + r and is compared with the later ones alone.
    """
    found = 0
    for b in range(max(first, 0) // BLOCK if itself else 0, len(blocks)):
        for r in range(len(rows)):
            near = _within(rows, r, blocks, b, radius, width, part)
            while near:
                k = popcount((near - ONE) & ~near)
                near &= near - ONE
                apart = distance_in_block(rows, r, blocks, b, k, width)
                if (
                    apart <= radius
                    and b * BLOCK + k < n
                    and (not itself or first + r < b * BLOCK + k)
                ):
                    if found == len(at_row):
                        return -1
                    at_row[found] = r
                    at_column[found] = b * BLOCK + k
                    distance[found] = apart
                    found += 1
    return found


@njit(nogil=True, cache=True)
def find_nearest(rows, first, blocks, n, k, radius, width, found, kept):  # type: ignore[no-untyped-def]
    """The k nearest within the radius of each row, int64 distance << 32 | hash in found[r, capacity], kept[r] of them.

    Ascending. rows[r] leaves out hash `first` + r, itself; none where first < 0. Once a row has k candidates, only
    closer ones count, so that most blocks are passed over after the first few.
    """
    bound = np.full(len(rows), radius)
    for b in range(len(blocks)):
        for r in range(len(rows)):
            near = _within(rows, r, blocks, b, bound[r], width, width)
            if near:
                count = kept[r]
                while near:
                    c = popcount((near - ONE) & ~near)
                    near &= near - ONE
                    if b * BLOCK + c < n and (first < 0 or b * BLOCK + c != first + r):
                        found[r, count] = distance_in_block(rows, r, blocks, b, c, width) << 32 | (
                            b * BLOCK + c
                        )
                        count += 1
                if count > found.shape[1] - BLOCK:
                    found[r, :count] = np.partition(found[r, :count], k - 1)
                    count, bound[r] = k, (found[r, k - 1] >> 32) - 1
                kept[r] = count
    for r in range(len(rows)):
        best = np.sort(found[r, : kept[r]])[:k]
        kept[r] = len(best)
        found[r, : kept[r]] = best


@njit(nogil=True, cache=True)
def count_distances(rows, low, high, blocks, width, counts):  # type: ignore[no-untyped-def]
    """Add the distances from rows low..high to all later ones to counts[bits + 1], as many as there are at each."""
    apart = np.empty(
        BLOCK, np.uint16
    )  # of a whole block before any is counted: that loop vectorises
    for b in range(low // BLOCK, len(blocks)):
        for r in range(low, min(high, (b + 1) * BLOCK)):
            for k in range(BLOCK):
                apart[k] = distance_in_block(rows, r, blocks, b, k, width)
            for k in range(max(0, r + 1 - b * BLOCK), min(BLOCK, len(rows) - b * BLOCK)):
                counts[apart[k]] += 1
