"""How little has to change until a method misses a copy, and noise that is aimed at its bits.

**Changes** of the whole picture: a frame, a crop, a tilt, a banner, each in ever stronger steps.
The least change is the first step at which the copy is outside the radius of `copies.radii`.

**Aimed noise** uses what is public. Each bit of FINd, pHash and dHash compares a weighted sum of
the picture's grey levels with a number: FINd and pHash with the median of all their sums, dHash
with 0. The weights of bit (i, j) are an outer product of one factor for each side, because all
steps before the comparison treat rows and columns one after the other. So the noise of least energy
that moves given sums by given amounts solves one small linear system. The bits that are cheapest to
flip, for the distance that they add, are flipped first, and more of them until the copy, rounded to
whole levels and hashed as any picture, is outside the radius. This is a plain attack: it shows how
little noise suffices, not how little is needed.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling

from finlib.hashing import certificate, classic
from finlib.hashing.hashers import get_hasher
from finlib.matching import rows
from finlib.matching.distances import get_distance
from workbook.study.evidence import distance_of, hasher_of
from workbook.study.transforms import BLACK

SIDE = 16
"""Each hash has SIDE x SIDE bits."""
OVERSHOOT = {"find": 0.5, "phash256": 20.0, "dhash256": 1.0}
"""How far beyond its number a sum is moved, in the sums' own units, against rounding."""
ROUNDS = 4
"""Rounding and cutting at black and white undo a part of the noise, so it is corrected."""
MOST_TRIES = 25
MORE_BITS = 1.15
"""How many times the bits are flipped in the next try."""

Floats = NDArray[np.float64]
Packed = NDArray[np.uint8]


class Sums(NamedTuple):
    """The weighted sums behind the bits of one hash, for pictures of one size.

    Bit (i, j) is set where `down[i] @ grey @ across[j]` is above the median of all, or above 0.
    """

    down: Floats
    """float64[SIDE, height]"""
    across: Floats
    """float64[SIDE, width]"""
    above_median: bool
    overshoot: float


class Noise(NamedTuple):
    """A copy with aimed noise, and what the noise amounts to."""

    picture: Image.Image
    outside: bool
    """Whether the copy is outside the radius."""
    psnr: float
    """Decibels; inf for no noise."""
    largest: int
    """The largest change of a level, of 255."""


# Changes of the whole picture ----------------------------------------------------------------


def _frame(picture: Image.Image, share: float) -> Image.Image:
    return ImageOps.expand(picture, round(share * min(picture.size)), BLACK)


def _crop_all_round(picture: Image.Image, share: float) -> Image.Image:
    return ImageOps.crop(picture, round(share * min(picture.size)))


def _crop_one_side(picture: Image.Image, share: float) -> Image.Image:
    width = round(picture.width * (1 - share))
    return picture.crop((0, 0, width, picture.height))


def _tilt(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Resampling.BICUBIC)


def _banner_below(picture: Image.Image, share: float) -> Image.Image:
    """Add white below, as sites do to write under a picture."""
    height = round(picture.height * (1 + share))
    longer = Image.new("RGB", (picture.width, height), "white")
    longer.paste(picture, (0, 0))
    return longer


def _cover_left(picture: Image.Image, share: float) -> Image.Image:
    covered = picture.copy()
    covered.paste((255, 255, 255), (0, 0, round(share * picture.width), picture.height))
    return covered


class Gradual(NamedTuple):
    """A change in steps, from none to one that defeats every method."""

    unit: str
    steps: Floats
    apply: Callable[[Image.Image, float], Image.Image]


GRADUAL: Mapping[str, Gradual] = {
    "frame all round": Gradual("of the side", np.arange(1, 61) / 200, _frame),
    "crop all round": Gradual("of the side, each", np.arange(1, 61) / 200, _crop_all_round),
    "crop of one side": Gradual("of the width", np.arange(1, 61) / 100, _crop_one_side),
    "tilt": Gradual("degrees", np.arange(1, 61) / 2, _tilt),
    "white added below": Gradual("of the height", np.arange(1, 61) / 100, _banner_below),
    "left side covered": Gradual("of the width", np.arange(1, 81) / 100, _cover_left),
}


def least_steps(
    picture: Image.Image, change: Gradual, radii: Mapping[str, float]
) -> dict[str, float]:
    """The least strength at which each method misses the changed picture; nan where none does.

    Once every method has missed it, no stronger step is tried.
    """
    original = hash_picture(picture)
    least = dict.fromkeys(radii, np.nan)
    for strength in change.steps:
        changed = hash_picture(change.apply(picture, float(strength)))
        for method, radius in radii.items():
            if np.isnan(least[method]) and distance(method, original, changed) > radius:
                least[method] = float(strength)
        if not np.isnan(list(least.values())).any():
            break
    return least


def hash_picture(picture: Image.Image) -> dict[str, Packed]:
    """The hash of a picture by each single hasher of OVERSHOOT."""
    return {name: get_hasher(name).from_image(picture) for name in OVERSHOOT}


def distance(method: str, one: Mapping[str, Packed], other: Mapping[str, Packed]) -> int:
    """The distance of two pictures by a method, from their single hashes."""
    parts = hasher_of(method).split("+")
    first = np.concatenate([one[part] for part in parts])
    second = np.concatenate([other[part] for part in parts])
    return int(get_distance(distance_of(method), len(first)).between(first, second))


# Aimed noise ---------------------------------------------------------------------------------


def sums_of(hasher: str, height: int, width: int) -> Sums:
    """The weighted sums behind a single hash, for pictures of at most 512 pixels a side."""
    if hasher == "find":
        high_frequencies_first = certificate.BASIS[::-1]
        down = high_frequencies_first @ _window_means(height)
        across = high_frequencies_first @ _window_means(width)
    elif hasher == "phash256":
        basis = classic.dct_basis(SIDE)
        down = basis @ _shrinking(height, 4 * SIDE)
        across = basis @ _shrinking(width, 4 * SIDE)
    else:
        down = _shrinking(height, SIDE)
        across = np.diff(_shrinking(width, SIDE + 1), axis=0)
    return Sums(down, across, hasher != "dhash256", OVERSHOOT[hasher])


def _window_means(length: int) -> Floats:
    """FINd's 64 means over windows along a side: float64[64, length]."""
    first, end = certificate.spans(certificate.centres(length), length)
    place = np.arange(length)
    inside = (place >= first[:, np.newaxis]) & (place < end[:, np.newaxis])
    return inside / inside.sum(axis=1, keepdims=True)


def _shrinking(length: int, small: int) -> Floats:
    """Pillow's Lanczos filter along a side: float64[small, length]."""
    first, weights = classic.lanczos_filter(length, small)
    matrix = np.zeros((small, length + weights.shape[1]))
    for row in range(small):
        matrix[row, first[row] : first[row] + weights.shape[1]] = weights[row]
    return matrix[:, :length] / 2**classic.PLACES


def margins(sums: Sums, grey: Floats) -> Floats:
    """How far each sum is above its number, or below: float64[SIDE * SIDE]."""
    values = sums.down @ grey @ sums.across.T
    if sums.above_median:
        values = values - np.sort(values.ravel())[values.size // 2 - 1]
    return values.ravel()


def aim_noise(picture: Image.Image, method: str, radius: float) -> Noise:
    """Noise that moves an RGB picture out of a method's radius, in as few bits as that takes.

    Where MOST_TRIES do not suffice, the last try is returned.
    """
    parts = hasher_of(method).split("+")
    pixels = np.asarray(picture, dtype=np.float64)
    all_sums = [sums_of(part, *pixels.shape[:2]) for part in parts]
    original = hash_picture(picture)
    wanted = radius + 1 - distance(method, original, original)
    noisy = picture
    outside = False
    for _ in range(MOST_TRIES):
        chosen = choose_bits(all_sums, grey_of(pixels), method, wanted)
        noisy = flip_bits(pixels, all_sums, chosen)
        outside = distance(method, original, hash_picture(noisy)) > radius
        if outside:
            break
        wanted *= MORE_BITS
    change = np.asarray(noisy, dtype=np.float64) - pixels
    return Noise(noisy, outside, psnr_of(change), int(np.abs(change).max()))


def grey_of(pixels: Floats) -> Floats:
    """The luma of RGB pixels, without rounding: float64[height, width]."""
    return pixels @ np.array([0.299, 0.587, 0.114])


def psnr_of(change: Floats) -> float:
    """The peak signal-to-noise ratio of a change of levels, in decibels."""
    energy = float(np.mean(change**2))
    return 10 * np.log10(255**2 / energy) if energy else np.inf


def choose_bits(
    all_sums: list[Sums], grey: Floats, method: str, wanted: float
) -> NDArray[np.int64]:
    """The bits that add the distance `wanted` for the least noise, one at a time.

    Bits are numbered through all hashes of the method. A bit of a dHash that is compared by rows
    adds rows.WEIGHT next to another hash, and in each of its rows no more than rows.CAP of them
    count. Where more is wanted than all of these add, further bits of each row are taken, because
    some cannot be flipped: their pixels are black or white already.
    """
    costs = [np.abs(margins(sums, grey)) / _lengths(sums) for sums in all_sums]
    gains = [np.ones(SIDE * SIDE) for _ in all_sums]
    if distance_of(method) == "rows":
        weight = rows.WEIGHT if len(costs) > 1 else 1
        most = sum(map(len, gains[:-1])) + SIDE * rows.CAP * weight
        spare = max(0, int(np.ceil((wanted - most) / SIDE)))
        gains[-1] = _gains_by_rows(costs[-1], weight, rows.CAP + spare)
    gain = np.concatenate(gains)
    cost = np.concatenate(costs)
    useful = np.flatnonzero(gain)
    ordered = useful[np.argsort(cost[useful] / gain[useful], kind="stable")]
    reached = np.searchsorted(np.cumsum(gain[ordered]), wanted) + 1
    return ordered[:reached]


def _lengths(sums: Sums) -> Floats:
    """The length of each sum's weights."""
    return np.outer(np.linalg.norm(sums.down, axis=1), np.linalg.norm(sums.across, axis=1)).ravel()


def _gains_by_rows(costs: Floats, weight: float, counted: int) -> Floats:
    """The distance that each bit adds, where only the `counted` cheapest of a row count."""
    by_row = costs.reshape(SIDE, SIDE)
    rank = by_row.argsort(axis=1).argsort(axis=1)
    return np.where(rank < counted, float(weight), 0.0).ravel()


def flip_bits(pixels: Floats, all_sums: list[Sums], chosen: NDArray[np.int64]) -> Image.Image:
    """The picture with the noise of least energy that flips the chosen bits."""
    down = np.concatenate([sums.down for sums in all_sums])
    across = np.concatenate([sums.across for sums in all_sums])
    hash_number, bit = np.divmod(chosen, SIDE * SIDE)
    i = hash_number * SIDE + bit // SIDE
    j = hash_number * SIDE + bit % SIDE
    products = (down @ down.T)[np.ix_(i, i)] * (across @ across.T)[np.ix_(j, j)]
    overshoot = np.array([sums.overshoot for sums in all_sums])[hash_number]
    side_of = np.sign(_all_margins(all_sums, pixels)[chosen] + 1e-12)
    noisy = pixels
    for _ in range(ROUNDS):
        beyond = -side_of * _all_margins(all_sums, noisy)[chosen]
        missing = np.maximum(overshoot - beyond, 0)
        if not missing.any():
            break
        solution = np.linalg.lstsq(products, -side_of * missing, rcond=1e-9)[0]
        amounts = np.zeros((len(down), len(across)))
        amounts[i, j] = solution
        change = down.T @ amounts @ across
        noisy = np.clip(np.rint(noisy + change[..., np.newaxis]), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8))


def _all_margins(all_sums: list[Sums], pixels: Floats) -> Floats:
    grey = grey_of(pixels)
    return np.concatenate([margins(sums, grey) for sums in all_sums])


def random_noise(picture: Image.Image, psnr: float, rng: np.random.Generator) -> Image.Image:
    """The picture with noise that is aimed at nothing, of about the same energy."""
    deviation = 255 * 10 ** (-psnr / 20)
    pixels = np.asarray(picture, dtype=np.float64)
    noisy = pixels + rng.normal(0, deviation, pixels.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


# Finding changed copies anyway ---------------------------------------------------------------

FLAT_LINE = 24
"""Levels of 255: a line of pixels is flat where no channel spans more."""
MOST_TRIMMED = 0.3
"""The most of a side that is taken off at either end."""


def trim_border(picture: Image.Image) -> Image.Image:
    """The picture without flat lines along its four edges.

    Copies with and without a frame then hash alike. A picture that is flat throughout stays as it
    is.
    """
    pixels = np.asarray(picture.convert("RGB"))
    top, bottom = _detailed_part(pixels)
    left, right = _detailed_part(pixels.transpose(1, 0, 2))
    return picture.crop((left, top, right, bottom))


def _detailed_part(lines: NDArray[np.uint8]) -> tuple[int, int]:
    """The first line that is kept, and the one after the last: from the edges, flat lines go."""
    count = len(lines)
    most = int(MOST_TRIMMED * count)
    first = _flat_at_start(lines[:most])
    last = _flat_at_start(lines[::-1][:most])
    if first == most or last == most:
        return 0, count
    return first, count - last


def _flat_at_start(lines: NDArray[np.uint8]) -> int:
    """The number of flat lines before the first that is not."""
    for place, line in enumerate(lines):
        span = line.max(axis=0).astype(np.int64) - line.min(axis=0)
        if span.max() > FLAT_LINE:
            return place
    return len(lines)


def stored_crops(picture: Image.Image) -> list[Image.Image]:
    """The picture, and its parts that are stored too, so that copies cropped alike are found.

    Parts are the middle without a twentieth, and without a tenth, at each side; and without a tenth
    at one of the four sides.
    """
    width, height = picture.size
    boxes = [(0.0, 0.0, 0.0, 0.0), (0.05, 0.05, 0.05, 0.05), (0.1, 0.1, 0.1, 0.1)]
    boxes += [tuple(0.1 * (side == number) for side in range(4)) for number in range(4)]  # type: ignore[misc]
    crops = []
    for left, top, right, bottom in boxes:
        box = (left * width, top * height, width * (1 - right), height * (1 - bottom))
        crops.append(picture.crop(tuple(round(end) for end in box)))  # type: ignore[arg-type]
    return crops
