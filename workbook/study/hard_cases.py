"""Find where methods fail: unrelated images that they match, plain pictures, wrong labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from PIL import Image, ImageDraw
from PIL.Image import Resampling
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from finlib.hashing.images import open_rgb
from workbook.study.family_pairs import closest_pairs
from workbook.study.transforms import draw_caption, to_picture

SIDE = 250  # of a plain picture
TYPED_WORDS = "not now when you see it again monday coffee save changes file"
PLAIN_WORDS = TYPED_WORDS.split()
FLAT_STEP = 1.5  # neighbours that differ by less, of 255, are flat

LINE_PITCH = 14  # pixels from one line of type to the next
INK = (40, 40, 40)
SKY_BLUE = (120, 165, 215)
DIALOG_SIZE = (170, 110)
DIALOG_COLOUR = (250, 250, 250)
DIALOG_EDGE = (120, 120, 120)
TITLE_BAR = (60, 90, 150)
BUTTON_SIZE = (45, 18)
BUTTON_COLOUR = (225, 225, 225)
BUTTON_EDGE = (150, 150, 150)

Size = tuple[int, int]


def closest_nonmatching(
    packed: np.ndarray,
    labels: Any,
    radius: float,
    count: int = 0,
    *,
    distance: str = "hamming",
) -> pd.DataFrame:
    """For each two families, the closest pair of their images within `radius`; closest pair first.

    Columns i and j (rows of `packed`), distance, one and other (their families). At most `count`
    pairs are returned, or all where that is 0. `distance` is the name of the distance.
    """
    labels = np.asarray(labels)
    i, j, apart = closest_pairs(packed, labels, max(int(radius), -1), distance)
    families = np.sort(np.stack([labels[i], labels[j]]), axis=0)
    pairs = pd.DataFrame(
        {"i": i, "j": j, "distance": apart, "one": families[0], "other": families[1]}
    )
    closest = pairs.sort_values(["distance", "i", "j"], ignore_index=True)
    return closest.head(count) if count else closest


# Plain pictures. Every draw from the Generator changes those after it, so their order is fixed.


def low_detail_images(seed: int = 2026, each: int = 6) -> dict[str, Image.Image]:
    """Make pictures with little in them, which hashes tend to confuse.

    They are 250 x 250 and all different. There are `each` of eleven kinds, and their names are
    "kind number"; fewer of them are the first ones of more. Six kinds are artificial: flat colours,
    gradients, faint noise, a thin line, a small dot, a few words on a flat page. Five are such as
    people collect: skies, walls, text on white, scans of a nearly empty page, screenshots of a
    dialog.
    """
    rng = np.random.default_rng(seed)
    images: dict[str, Image.Image] = {}
    for number in range(each):
        pictures = {
            **_draw_artificial(rng, number),
            "sky": _draw_sky(rng),
            "wall": _draw_wall(rng),
            **_draw_pages(rng),
            "dialog": _draw_dialog(rng),
        }
        for kind, picture in pictures.items():
            images[f"{kind} {number}"] = picture
    return images


def _draw_artificial(rng: Generator, number: int) -> dict[str, Image.Image]:
    """A flat colour, a gradient, faint noise, a thin line, a small dot and a few words."""
    one, other = rng.integers(30, 226, (2, 3))
    page = Image.new("RGB", (SIDE, SIDE), _as_colour(one))
    flat = np.asarray(page)
    ramp = np.rot90(_ramp(), number)
    gradient = one + (other - one) * ramp
    top, left = rng.integers(30, 220, 2)
    lined = flat.copy()
    lined[top : top + 2] = other
    dotted = flat.copy()
    dotted[top : top + 6, left : left + 6] = other
    words = " ".join(rng.choice(PLAIN_WORDS, 4))
    noise = rng.integers(-2, 3, flat.shape)
    top_words = words if number % 2 else ""
    bottom_words = "" if number % 2 else words
    captioned = draw_caption(page, top_words, bottom_words)
    return {
        "flat": page,
        "gradient": to_picture(gradient),
        "faint noise": to_picture(flat + noise),
        "line": Image.fromarray(lined),
        "dot": Image.fromarray(dotted),
        "words": captioned,
    }


def _as_colour(levels: np.ndarray) -> tuple[int, ...]:
    return tuple(int(level) for level in levels)


def _ramp() -> np.ndarray:
    """A ramp from 0 at the left to 1 at the right: float64[250, 250, 1]."""
    row = np.linspace(0, 1, SIDE)
    return np.tile(row, (SIDE, 1))[..., None]


def _smooth_noise(rng: Generator, radius: float) -> np.ndarray:
    """Smooth noise of standard deviation 1: float64[250, 250, 1]."""
    rough = rng.standard_normal((SIDE, SIDE))
    noise = gaussian_filter(rough, radius)
    return noise[..., None] / noise.std()


def _draw_sky(rng: Generator) -> Image.Image:
    down = np.rot90(_ramp())
    clouds = _smooth_noise(rng, 40)
    haze = (1 - down) * rng.integers(20, 60)
    density = rng.integers(2, 10)
    return to_picture(SKY_BLUE + haze + clouds * density)


def _draw_wall(rng: Generator) -> Image.Image:
    grain = _smooth_noise(rng, 1)
    colour = rng.integers(120, 220, 3)
    light = 1 - rng.uniform(0, 0.3) * _ramp()
    return to_picture(colour * light + 6 * grain)


def _draw_pages(rng: Generator) -> dict[str, Image.Image]:
    """A page of text, and the scan of one that is nearly empty."""
    page = Image.new("RGB", (SIDE, SIDE), "white")
    paper = 242 + rng.normal(0, 2, (SIDE, SIDE, 1))
    scan = to_picture(paper.repeat(3, axis=2))
    top = int(rng.integers(10, 60))
    lines = int(rng.integers(4, 12))
    _type_lines(page, rng, top, lines, left=20, right=230)
    left = int(rng.integers(20, 120))
    _type_lines(scan, rng, top, 2, left=left, right=230)
    return {"text": page, "scan": scan}


def _draw_dialog(rng: Generator) -> Image.Image:
    """A screenshot of a dialog: a title bar, two lines of text and two buttons."""
    background = _as_colour(rng.integers(180, 240, 3))
    screen = Image.new("RGB", (SIDE, SIDE), background)
    left, top = rng.integers(15, 60, 2).tolist()
    draw = ImageDraw.Draw(screen)
    width, _ = DIALOG_SIZE
    dialog = _box(left, top, DIALOG_SIZE)
    draw.rectangle(dialog, fill=DIALOG_COLOUR, outline=DIALOG_EDGE)
    title_bar = _box(left, top, (width, 16))
    draw.rectangle(title_bar, fill=TITLE_BAR)
    for offset in (60, 115):
        button = _box(left + offset, top + 84, BUTTON_SIZE)
        draw.rectangle(button, fill=BUTTON_COLOUR, outline=BUTTON_EDGE)
    _type_lines(screen, rng, top + 30, 2, left=left + 12, right=left + 150, pitch=16)
    return screen


def _box(left: int, top: int, size: Size) -> tuple[int, int, int, int]:
    width, height = size
    return left, top, left + width, top + height


def _type_lines(
    image: Image.Image,
    rng: Generator,
    top: int,
    lines: int,
    *,
    left: int,
    right: int,
    pitch: int = LINE_PITCH,
) -> None:
    """Write some lines of random words in dark type, the first one at `top`."""
    draw = ImageDraw.Draw(image)
    count = max(1, (right - left) // 36)
    for line in range(lines):
        text = " ".join(rng.choice(PLAIN_WORDS, count))
        draw.text((left, top + line * pitch), text, fill=INK)


# How to recognise plain pictures


def choose_detail_filter(quality: np.ndarray, refused: float = 0.002) -> float:
    """Choose the least quality that an image must have to be matched.

    `quality` is FINd's, of ordinary images: a whole number from 0 (flat) to 100 (detailed). The
    result is the greatest one that refuses at most the share `refused` of these images.
    """
    least = 0
    for candidate in range(101):
        if (quality < candidate).mean() <= refused:
            least = candidate
    return float(least)


def flat_share(path: str | Path) -> float:
    """How much of an image is flat: the share of horizontal neighbours that hardly differ.

    The image is shrunk to 17 x 16 grey pixels, as for a dHash of 256 bits. Only the middle half of
    its rows counts, where captions seldom are.
    """
    pixels = _grey_pixels(path, (17, 16), Resampling.LANCZOS)
    middle = pixels[4:12]
    steps = np.abs(np.diff(middle, axis=1))
    return float(np.mean(steps < FLAT_STEP))


def _grey_pixels(path: str | Path, size: Size, resampling: Resampling) -> np.ndarray:
    """An image shrunk to width x height in grey: float64[height, width]."""
    grey = open_rgb(path).convert("L")
    small = grey.resize(size, resampling)
    return np.asarray(small, dtype=np.float64)


# Wrong labels


def pixel_correlation(pairs: pd.DataFrame, paths: Sequence[str | Path]) -> np.ndarray:
    """How alike the two images of each pair (i, j) look, independent of any hash.

    That is the correlation of their grey pixels, from -1 to 1. Images are shrunk to 64 x 64 and
    only the middle half of the rows is compared, where captions seldom are. NaN where one of the
    two is flat there.
    """
    used = np.unique(pairs[["i", "j"]].to_numpy())
    middles = {row: _standardised_middle(paths[row]) for row in used}
    correlations = []
    for i, j in zip(pairs["i"], pairs["j"], strict=True):
        correlations.append(middles[i] @ middles[j])
    return np.array(correlations)


def _standardised_middle(path: str | Path) -> np.ndarray:
    """The grey middle rows of an image with a mean of 0 and a length of 1; NaN where it is flat."""
    pixels = _grey_pixels(path, (64, 64), Resampling.BOX)
    middle = pixels[16:48].ravel()
    centred = middle - middle.mean()
    length = np.linalg.norm(centred)
    if length > 1e-9:
        return centred / length
    return np.full_like(centred, np.nan)


def merge_families(labels: Any, one: Any, other: Any) -> np.ndarray:
    """Give families that are the same one label: int64[n].

    Family `one[k]` and family `other[k]` are the same for each k, and so is what these connect.
    """
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    first = np.searchsorted(names, np.asarray(one, names.dtype))
    second = np.searchsorted(names, np.asarray(other, names.dtype))
    edges = (np.ones(len(first)), (first, second))
    graph = coo_array(edges, shape=(len(names), len(names)))
    _, merged = connected_components(graph, directed=False)
    return merged[codes].astype(np.int64)


def mislabelled(labels: Any, share: float, seed: int = 2026) -> np.ndarray:
    """Copy the labels, with a share of the images put into another family at random."""
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    rng = np.random.default_rng(seed)
    count = round(share * len(codes))
    moved = rng.choice(len(codes), count, replace=False)
    shift = rng.integers(1, max(2, len(names)), count)
    wrong = codes.copy()
    wrong[moved] = (codes[moved] + shift) % len(names)
    return names[wrong]
