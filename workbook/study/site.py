"""Templates of a site under captions that people wrote: a set of families as FIN's own.

The templates and the shapes of the captions are not part of the project, because their licences are
not stated. What is measured on the families made here is published as numbers.

**Near kin.** A site has some templates twice: recoloured, cropped or redrawn. Such templates are
one family by any reader's eye, but the site gives them different names, and a hash that matches
them would be charged with false pairs. So two templates are near kin where, without captions, their
FINd hashes are at most SAME_PICTURE_BITS apart, or where they are at most ALIKE_BITS apart and
their colours are alike: the thumbnails of 4 x 4 pixels in RGB differ by at most ALIKE_COLOURS
levels of 255 on average. Of each such pair the template that comes later in the folder is left out.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import list_images, open_rgb
from finlib.matching.pairs import pairs_within
from workbook.study.templates import SIDE
from workbook.study.transforms import draw_caption, draw_mark

TYPE_SIZE = 25  # pixels of a picture 250 wide: a tenth of its height, as the site sets captions
MARK = "examplepictures.net"
PER_TEMPLATE = 4
MOST_OWN = 16
QUALITY = (75, 91)

SAME_PICTURE_BITS = 52
"""How far apart the FINd hashes of near kin are at most, whatever their colours."""
ALIKE_BITS = 96
"""How far apart the FINd hashes of near kin are at most if their colours are alike."""
ALIKE_COLOURS = 24
"""Levels of 255: how much the thumbnails of near kin may differ on average."""
THUMBNAIL = (4, 4)

Caption = tuple[str, str]


def caption_templates(
    templates: str | Path,
    captions: str | Path,
    out: str | Path,
    *,
    near_kin: bool = False,
    seed: int = 2026,
) -> Path:
    """Make a folder of JPEGs named FFFF_ID.jpg, 250 x 250: every template under several captions.

    templates: a folder of pictures. captions: a JSON file with `own`, which lists captions [upper,
    lower] by the name of their template, and `pool`, captions for the others. A template with
    captions of its own gets up to MOST_OWN of them, the others PER_TEMPLATE from the pool.
    near_kin: whether templates that are near kin of earlier ones are captioned, too. The family
    FFFF is the template's place in its folder, so that the images without near kin are a part of
    those with them. ValueError where the folder `out` already holds something.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: give a new folder to write the images to")
    given = json.loads(Path(captions).read_text(encoding="utf-8"))
    pictures = list_images(templates)
    left_out = set() if near_kin else find_near_kin(pictures)
    captioned = [family for family in range(len(pictures)) if family not in left_out]

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
        list(pool.map(make, captioned))
    return folder


def find_near_kin(templates: Sequence[str | Path]) -> set[int]:
    """The places of the templates that are left out as near kin of an earlier one.

    templates: files of pictures without captions. The rule stands in this module's docstring. A
    template counts as kin of one that is itself left out, too.
    """
    if not templates:
        return set()
    find = get_hasher("find")
    hashes = np.stack([find.from_file(path) for path in templates])
    colours = np.stack([thumbnail(open_rgb(path)) for path in templates])
    earlier, later, bits = pairs_within(hashes, ALIKE_BITS)
    colour_differences = np.abs(colours[earlier] - colours[later]).mean(axis=1)
    same_picture = bits <= SAME_PICTURE_BITS
    alike = colour_differences <= ALIKE_COLOURS
    return set(later[same_picture | alike].tolist())


def thumbnail(image: Image.Image) -> np.ndarray:
    """The colours of a picture in 4 x 4 pixels, float64[48], from 0 to 255."""
    small = image.resize(THUMBNAIL, Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.float64).ravel()


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
