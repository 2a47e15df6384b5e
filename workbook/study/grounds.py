"""Draw what unrelated memes have in common: coloured rays, wheels and flat grounds.

On sites of memes, a cut-out head or animal stands on rays of two colours, on a wheel of several, or
on a flat ground. The geometry of these grounds is one of a few, so that unrelated pictures share
most of what a hash sees.
"""

from numpy.random import Generator
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)

SECTORS = (6, 8, 10, 12, 16, 20, 24)
SECTOR_SHARES = (0.15, 0.25, 0.15, 0.2, 0.1, 0.1, 0.05)
GROUNDS = ("rays", "wheel", "flat")
GROUND_SHARES = (0.5, 0.2, 0.3)
FLAT_COLOURS = (WHITE, BLACK)
FLAT_SHARES = (0.35, 0.2)
"""How often a flat ground is white and how often black; otherwise it has a colour."""

COLOURS: tuple[Colour, ...] = (
    (200, 30, 40),
    (255, 220, 60),
    (60, 130, 210),
    (90, 170, 70),
    (240, 140, 40),
    (130, 60, 160),
    (110, 75, 50),
    (250, 170, 190),
    (40, 60, 110),
    (120, 200, 200),
    WHITE,
    BLACK,
)


def draw_ground(rng: Generator, side: int) -> Image.Image:
    """A square ground of rays, sectors or one colour, in RGB."""
    kind = str(rng.choice(GROUNDS, p=GROUND_SHARES))
    if kind == "flat":
        return Image.new("RGB", (side, side), _flat_colour(rng))
    sectors = int(rng.choice(SECTORS, p=SECTOR_SHARES))
    count = 2 if kind == "rays" else min(sectors, int(rng.integers(4, 7)))
    colours = _draw_colours(rng, count)
    return draw_sectors(side, sectors, colours)


def draw_sectors(side: int, sectors: int, colours: list[Colour]) -> Image.Image:
    """Sectors around the middle of a square, which take the colours in turn."""
    double = 2 * side  # averaged afterwards, so that edges are smooth
    picture = Image.new("RGB", (double, double))
    draw = ImageDraw.Draw(picture)
    box = (-double, -double, 2 * double, 2 * double)
    step = 360 / sectors
    for sector in range(sectors):
        start = (sector - 0.5) * step
        draw.pieslice(box, start, start + step, fill=colours[sector % len(colours)])
    return picture.reduce(2)


def _flat_colour(rng: Generator) -> Colour:
    draw = rng.random()
    if draw < FLAT_SHARES[0]:
        return WHITE
    if draw < sum(FLAT_SHARES):
        return BLACK
    return COLOURS[int(rng.integers(len(COLOURS) - 2))]


def _draw_colours(rng: Generator, count: int) -> list[Colour]:
    chosen = rng.choice(len(COLOURS), count, replace=False)
    return [COLOURS[place] for place in chosen]
