"""Packed hashes as arrays: what callers give, checked, and the two layouts that the kernels read.

A set of hashes is `uint8[n, bits // 8]` in the bit order of `numpy.packbits`. Any number of bits
that is a multiple of 8 will do. The kernels read 64-bit words, and blocks of BLOCK hashes that are
laid out word by word.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

BLOCK = 64  # hashes in a block: as many as a word has bits, which mark the matches among them
CACHE_LINE = 64  # bytes
MAX_BYTES = (1 << 13) - 1  # of a hash: distances have to fit into 16 bits


def check_hashes(packed: Any, name: str = "packed") -> Packed:
    """Return `packed` unchanged if it is a set of hashes.

    Raises TypeError where it is no array of bytes and ValueError where its shape is wrong. `name`
    is what the message calls it.
    """
    if not isinstance(packed, np.ndarray):
        raise TypeError(
            f"{name} must be a uint8 array of packed bits, one row for each hash; "
            f"got {type(packed).__name__}"
        )
    if packed.dtype != np.uint8:
        raise TypeError(
            f"{name} must be a uint8 array of packed bits, one row for each hash; "
            f"got an array of {packed.dtype}"
        )
    if packed.ndim != 2 or not 0 < packed.shape[1] <= MAX_BYTES:
        raise ValueError(f"{name} must have shape (hashes, bits // 8); got {packed.shape}")
    return packed


def check_radius(radius: Any, largest: int) -> int:
    """Return a radius, the largest distance of a match, as an int.

    Raises TypeError where it is not a whole number and ValueError where it is negative or more than
    `largest`, the largest distance that two hashes can have.
    """
    whole = operator.index(radius)
    if not 0 <= whole <= largest:
        raise ValueError(
            f"radius must be from 0 to {largest}, the largest distance of two hashes; got {whole}"
        )
    return whole


def to_words(packed: Packed) -> Words:
    """View hashes as 64-bit words, uint64[n, words]; the last word is filled up with zeros.

    Nothing is copied where the hashes are whole words that lie one behind the other.
    """
    n, size = packed.shape
    is_aligned = packed.flags.c_contiguous and packed.ctypes.data % 8 == 0
    if size % 8 == 0 and is_aligned:
        return packed.view(np.uint64)
    whole_size = -(-size // 8) * 8
    padded = np.zeros((n, whole_size), np.uint8)
    padded[:, :size] = packed
    return padded.view(np.uint64)


def to_blocks(hashes: Words) -> Words:
    """Lay hashes uint64[n, words] out for the kernels, uint64[blocks, words, BLOCK].

    Within a block the first words of all its hashes lie side by side, then the second words, and so
    on, so that one instruction reads the same word of eight hashes. The last block is filled up
    with zeros.
    """
    n, words = hashes.shape
    blocks = -(-n // BLOCK)
    padded = np.zeros((blocks * BLOCK, words), np.uint64)
    padded[:n] = hashes
    by_word = padded.reshape(blocks, BLOCK, words).transpose(0, 2, 1)
    aligned = _empty_aligned(by_word.shape)
    aligned[:] = by_word
    return aligned


def _empty_aligned(shape: tuple[int, ...]) -> Words:
    """Make an array of words that starts on a cache line.

    NumPy's own arrays start anywhere, and then each vector that a kernel loads lies on two cache
    lines. A scan takes half as long again.
    """
    size = 8 * math.prod(shape)
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(np.uint64).reshape(shape)


def iter_strips(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut n rows into strips of at most `size` consecutive rows.

    Yields the first row of each strip and the row after its last one.
    """
    for low in range(0, n, size):
        yield low, min(n, low + size)
