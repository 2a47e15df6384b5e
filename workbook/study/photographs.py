"""Cut squares from the photographs that other packages ship, no two of which overlap.

Every photograph of scikit-image, scikit-learn, matplotlib and PyWavelets that needs no download is
used, except those that show the same scene as another one. A photograph is divided into a grid of
squares, in one to three rows. Squares of one photograph have no pixel in common, so that pictures
made of them are unrelated. Squares with hardly any detail (a clear sky, a dark background) are left
out, because no meme stands on them.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import default_rng
from PIL import Image
from PIL.Image import Resampling

from workbook.study.package_files import package_file

LEAST_DETAIL = 14.0
"""Squares with less detail than this are left out."""


class Photograph(NamedTuple):
    """A photograph that a package ships, and the number of rows of squares it is cut into."""

    package: str
    name: str
    rows: int


class Square(NamedTuple):
    """A square part of a photograph: its place in the grid, counted from the upper left."""

    photograph: Photograph
    row: int
    column: int


PHOTOGRAPHS = (
    Photograph("skimage", "data/astronaut.png", 3),
    Photograph("sklearn", "datasets/images/china.jpg", 3),
    Photograph("skimage", "data/coffee.png", 3),
    Photograph("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 3),
    Photograph("skimage", "data/chelsea.png", 2),
    Photograph("skimage", "data/motorcycle_left.png", 3),
    Photograph("sklearn", "datasets/images/flower.jpg", 2),
    Photograph("skimage", "data/rocket.jpg", 2),
    Photograph("skimage", "data/camera.png", 2),
    Photograph("skimage", "data/retina.jpg", 2),
    Photograph("skimage", "data/ihc.png", 2),
    Photograph("skimage", "data/hubble_deep_field.jpg", 2),
    Photograph("skimage", "data/coins.png", 2),
    Photograph("skimage", "data/horse.png", 1),
    Photograph("skimage", "data/brick.png", 1),
    Photograph("skimage", "data/gravel.png", 1),
    Photograph("skimage", "data/grass.png", 1),
    Photograph("skimage", "data/moon.png", 1),
    Photograph("skimage", "data/cell.png", 1),
    Photograph("skimage", "data/page.png", 1),
    Photograph("skimage", "data/text.png", 1),
    Photograph("skimage", "data/clock_motion.png", 1),
    Photograph("pywt", "data/aero.npz", 3),
    Photograph("pywt", "data/ascent.npz", 3),
)
COLOURFUL = PHOTOGRAPHS[:9]
"""Photographs that colours are taken from."""

FACES = ("skimage", "data/lfw_subset.npy")
NUMBER_OF_FACES = 100
"""Portraits of 25 x 25 grey pixels; the file holds as many pictures of other things after them."""


@lru_cache(maxsize=len(PHOTOGRAPHS))
def load(photograph: Photograph) -> Image.Image:
    """A photograph in RGB; ValueError where the package that ships it is not installed."""
    path = package_file(photograph.package, photograph.name)
    if path.suffix == ".npz":
        return Image.fromarray(np.load(path)["data"]).convert("RGB")
    with Image.open(path) as image:
        return image.convert("RGB")


def squares_of(photograph: Photograph) -> list[Square]:
    """The grid of squares that a photograph is divided into."""
    shape = load(photograph).size
    columns = max(shape) * photograph.rows // min(shape)
    across = columns if shape[0] >= shape[1] else photograph.rows
    down = photograph.rows if shape[0] >= shape[1] else columns
    places = []
    for row in range(down):
        for column in range(across):
            places.append(Square(photograph, row, column))
    return places


def box_of(square: Square) -> tuple[float, float, float, float]:
    """The left, upper, right and lower edge of a square, in pixels of its photograph."""
    side = min(load(square.photograph).size) / square.photograph.rows
    left = square.column * side
    top = square.row * side
    return left, top, left + side, top + side


def cut(square: Square, side: int) -> Image.Image:
    """A square of a photograph as a picture of side x side pixels."""
    size = (side, side)
    return load(square.photograph).resize(size, Resampling.LANCZOS, box_of(square))


@lru_cache(maxsize=1)
def usable_squares() -> tuple[Square, ...]:
    """All squares with enough detail, in an order that mixes the photographs."""
    usable = []
    for photograph in PHOTOGRAPHS:
        for square in squares_of(photograph):
            if detail(cut(square, 64)) >= LEAST_DETAIL:
                usable.append(square)
    order = default_rng(0).permutation(len(usable))
    return tuple(usable[place] for place in order)


def face(number: int) -> Image.Image:
    """One of the portraits, in RGB; they are numbered from 0 to NUMBER_OF_FACES - 1."""
    levels = _faces()[number] * 255
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


@lru_cache(maxsize=1)
def _faces() -> np.ndarray:
    path: Path = package_file(*FACES)
    return np.load(path)[:NUMBER_OF_FACES]


def detail(picture: Image.Image) -> float:
    """How much detail a picture has, from 0 for a flat one.

    This is the standard deviation of its luma (0 to 255) at the scales between a sixteenth and a
    quarter of its side.
    """
    grey = picture.convert("L")
    fine = grey.resize((16, 16), Resampling.BOX)
    coarse = grey.resize((4, 4), Resampling.BOX)
    smooth = coarse.resize((16, 16), Resampling.BICUBIC)
    difference = np.asarray(fine, float) - np.asarray(smooth, float)
    return float(difference.std())
