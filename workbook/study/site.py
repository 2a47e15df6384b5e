"""Templates of a site under captions that people wrote: a set of families as FIN's own.

The templates and the shapes of the captions are not part of the project, because their licences are
not stated. What is measured on the families made here is published as numbers.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from finlib.hashing.images import list_images, open_rgb
from workbook.study.templates import SIDE
from workbook.study.transforms import draw_caption, draw_mark

TYPE_SIZE = 25  # pixels of a picture 250 wide: a tenth of its height, as the site sets captions
MARK = "examplepictures.net"
PER_TEMPLATE = 4
MOST_OWN = 16
QUALITY = (75, 91)

Caption = tuple[str, str]


def caption_templates(
    templates: str | Path, captions: str | Path, out: str | Path, *, seed: int = 2026
) -> Path:
    """Make a folder of JPEGs named FFFF_ID.jpg, 250 x 250: every template under several captions.

    templates: a folder of pictures. captions: a JSON file with `own`, which lists captions [upper,
    lower] by the name of their template, and `pool`, captions for the others. A template with
    captions of its own gets up to MOST_OWN of them, the others PER_TEMPLATE from the pool.
    ValueError where the folder `out` already holds something.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: give a new folder to write the images to")
    given = json.loads(Path(captions).read_text(encoding="utf-8"))
    pictures = list_images(templates)

    def make(family: int) -> None:
        path = pictures[family]
        rng = np.random.default_rng([seed, family])
        chosen = choose_captions(given["own"].get(path.stem, []), given["pool"], rng)
        template = ImageOps.fit(open_rgb(path), (SIDE, SIDE))
        for number, caption in enumerate(chosen):
            name = f"{family:04d}_{number:08d}.jpg"
            quality = int(rng.integers(*QUALITY))
            set_caption(template, caption).save(folder / name, quality=quality)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, range(len(pictures))))
    return folder


def choose_captions(
    own: Sequence[Sequence[str]], pool: Sequence[Sequence[str]], rng: Generator
) -> list[Caption]:
    """Different captions for one template: its own where it has enough, else from the pool."""
    has_own = len(own) >= PER_TEMPLATE
    source = own if has_own else pool
    number = min(len(own), MOST_OWN) if has_own else PER_TEMPLATE
    chosen = rng.choice(len(source), number, replace=False)
    return [(source[row][0], source[row][1]) for row in chosen]


def set_caption(template: Image.Image, caption: Caption) -> Image.Image:
    """The template under an upper and a lower caption, signed with a site's name."""
    upper, lower = caption
    return draw_mark(draw_caption(template, upper, lower, TYPE_SIZE), MARK)
