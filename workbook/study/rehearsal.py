"""Images in the numbers of FIN's class set, to rehearse a report on a set of that size.

The class set has 55,972 images in 1,034 families of very different sizes. It may not be passed on,
so whoever changes the notebooks tries them on this set. It is no evidence: its pictures are those
of the built-in families, most of them drawn.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from workbook.study.families import add_random_caption
from workbook.study.templates import template

IMAGES = 55_972
FAMILIES = 1_034
LARGEST = 400
SPREAD = 1.0  # standard deviation of the logarithm of a family's size
QUALITY = (75, 91)


def draw_sizes(images: int = IMAGES, families: int = FAMILIES, seed: int = 2026) -> np.ndarray:
    """How many images each family has, so that they are `images` in all: int64[families].

    Sizes are log-normal, from 1 to LARGEST. ValueError where so many families cannot have so many
    images.
    """
    if not families <= images <= families * LARGEST:
        raise ValueError(
            f"{families:,} families of 1 to {LARGEST} images cannot have {images:,} images in all: "
            f"give {families:,} to {families * LARGEST:,} images"
        )
    weights = default_rng(seed).lognormal(sigma=SPREAD, size=families)
    least = 0.0
    most = images / weights.min()
    for _ in range(60):  # halves the range of the scale, until no size changes any more
        scale = (least + most) / 2
        if _scaled(weights, scale).sum() < images:
            least = scale
        else:
            most = scale
    sizes = _scaled(weights, least)
    can_grow = np.flatnonzero(sizes < LARGEST)
    missing = images - int(sizes.sum())
    sizes[can_grow[:missing]] += 1
    return sizes


def _scaled(weights: np.ndarray, scale: float) -> np.ndarray:
    """Whole sizes in proportion to weights, none below 1 and none above LARGEST."""
    sizes = np.floor(weights * scale).astype(np.int64)
    return np.clip(sizes, 1, LARGEST)


def make_rehearsal(
    out: str | Path, images: int = IMAGES, families: int = FAMILIES, *, seed: int = 2026
) -> Path:
    """Make a folder of JPEGs named FFFF_ID.jpg, 250 x 250: built-in templates under captions.

    ValueError where the folder `out` already holds something, or as `draw_sizes` raises it.
    """
    sizes = draw_sizes(images, families, seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: give a new folder to write the images to")

    def make(family: int) -> None:
        picture = template(family, seed)
        for number in range(sizes[family]):
            rng = default_rng([seed, family, number])
            image = add_random_caption(picture, rng)
            quality = int(rng.integers(*QUALITY))
            image.save(folder / f"{family:04d}_{number:08d}.jpg", quality=quality)

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter's lock
        list(pool.map(make, range(families)))
    return folder
