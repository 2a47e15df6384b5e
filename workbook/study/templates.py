"""Pictures to put captions on: photographs that other packages ship, their crops, and generated ones.

The generated ones are dead leaves (occluding shapes of power-law sizes), whose statistics are those of natural images:
A. B. Lee, D. Mumford and J. Huang, Occlusion models for natural images, 2001. They stand behind simple animals or fill
panels, in colours taken from the photographs.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 250
PHOTO_EVERY = 2  # one family in this many is a photograph, while they last
PANEL_SHARE = 0.12  # of the generated pictures have a flat panel: a flat part is what gradients tell least about

# Of 143 real meme templates (pictures of github.com/jacebrowning/memegen, square middles of 250 x 250): 5, 25, 50, 75
# and 95% of their detail (see `detail`) and of `hard_cases.flat_share` over all rows.
REAL_DETAIL = (17.7, 23.3, 29.2, 35.2, 45.6)
REAL_FLATNESS = (0.043, 0.070, 0.129, 0.207, 0.448)
MOST_GAIN = 3.0  # what is nearly flat would else become noise

# Package, file, and into how many columns of two square details the picture is cut beside its square middle.
PHOTOS: list[tuple[str, str, int]] = [
    ("skimage", "data/astronaut.png", 2),
    ("sklearn", "datasets/images/china.jpg", 3),
    ("skimage", "data/coffee.png", 3),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 2),
    ("skimage", "data/chelsea.png", 3),
    ("skimage", "data/motorcycle_left.png", 3),
    ("sklearn", "datasets/images/flower.jpg", 0),
    ("skimage", "data/rocket.jpg", 0),
    ("skimage", "data/camera.png", 2),
    ("skimage", "data/retina.jpg", 0),
    ("skimage", "data/ihc.png", 2),
    ("skimage", "data/hubble_deep_field.jpg", 2),
    ("skimage", "data/coins.png", 2),
    ("skimage", "data/horse.png", 0),
    ("skimage", "data/brick.png", 0),
    ("skimage", "data/gravel.png", 0),
    ("skimage", "data/grass.png", 0),
    ("skimage", "data/moon.png", 0),
    ("skimage", "data/cell.png", 0),
    ("skimage", "data/page.png", 0),
    ("skimage", "data/text.png", 0),
]
DETAIL = 490
# Square crops as (left, top, side) in thousandths of the shorter side.
CROPS = [
    (package, name, crop)
    for package, name, columns in PHOTOS
    for crop in [
        (245 * max(0, columns - 2), 0, 1000),
        *((DETAIL * column, DETAIL * row, DETAIL) for row in range(2) for column in range(columns)),
    ]
]


def template(family: int, seed: int = 2026) -> Image.Image:
    """The picture of one family, 250 x 250 RGB; it depends on the two numbers alone."""
    rng = default_rng([seed, family])
    photo, rest = divmod(family, PHOTO_EVERY)
    if rest == 0 and photo < len(CROPS):
        package, name, (left, top, side) = CROPS[
            photo * 37 % len(CROPS)
        ]  # 37: neighbours from different pictures
        picture = _photograph(package, name)
        unit = min(picture.size) / 1000
        box = (left * unit, top * unit, (left + side) * unit, (top + side) * unit)
        return _stretched(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box), rng)
    return _stretched(_generated(rng), rng)


def detail(picture: Image.Image) -> float:
    """Standard deviation of luma, of 255, at the scales between a sixteenth and a quarter of the picture's side."""
    fine, coarse = (
        picture.convert("L").resize((side, side), Image.Resampling.BOX) for side in (16, 4)
    )
    smooth = coarse.resize((16, 16), Image.Resampling.BICUBIC)
    return float((np.asarray(fine, dtype=np.float64) - np.asarray(smooth, dtype=np.float64)).std())


def _stretched(picture: Image.Image, rng: Generator) -> Image.Image:
    """The picture with the detail of a real template drawn at random: photographs and drawings have their own."""
    wanted = np.interp(rng.uniform(0.05, 0.95), (0.05, 0.25, 0.5, 0.75, 0.95), REAL_DETAIL)
    for _ in range(3):  # what becomes white or black is lost: once does not reach it
        gain, mean = (
            min(wanted / max(detail(picture), 1.0), MOST_GAIN),
            float(np.asarray(picture.convert("L")).mean()),
        )
        picture = picture.point(
            [round(level * gain + mean * (1 - gain)) for level in range(256)] * 3
        )
    return picture


@lru_cache(maxsize=len(PHOTOS))
def _photograph(package: str, name: str) -> Image.Image:
    found = find_spec(package)  # where it lies, without the cost of importing it
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            f"the built-in families take photographs from {package}: pip install 'finlib[workbook]'"
        )
    with Image.open(Path(found.submodule_search_locations[0], name)) as image:
        return image.convert("RGB")


def _generated(rng: Generator) -> Image.Image:
    """One picture, or two to four in panels, as comic memes have."""
    rows, columns = [(1, 1), (2, 1), (1, 2), (2, 2)][rng.choice(4, p=[0.7, 0.12, 0.08, 0.1])]
    gutter, paper = int(rng.integers(2, 7)), int(rng.choice([0, 255]))
    high, wide = (SIDE - gutter * (rows - 1)) // rows, (SIDE - gutter * (columns - 1)) // columns
    page = Image.new("RGB", (SIDE, SIDE), (paper,) * 3)
    for panel in range(rows * columns):
        row, column = divmod(panel, columns)
        page.paste(_picture(rng, (wide, high)), (column * (wide + gutter), row * (high + gutter)))
    if rng.random() < PANEL_SHARE:
        _paint_panel(rng, page)
    return page


def _paint_panel(rng: Generator, page: Image.Image) -> None:
    """Three to five tenths of the page, at one side, in white or another flat colour: the empty part of many memes."""
    depth = int(SIDE * rng.uniform(0.3, 0.5))
    colour = (
        (255, 255, 255)
        if rng.random() < 0.6
        else tuple(int(part) for part in _palette(rng, vivid=True)[0])
    )
    left, top = [(0, 0), (0, 0), (SIDE - depth, 0), (0, SIDE - depth)][side := rng.integers(4)]
    page.paste(
        colour, (left, top, *((left + depth, SIDE) if side in (0, 2) else (SIDE, top + depth)))
    )


def _picture(rng: Generator, size: tuple[int, int]) -> Image.Image:
    """A background and mostly an animal before it, drawn at twice the size and averaged."""
    double, cartoon = (2 * size[0], 2 * size[1]), bool(rng.random() < 0.3)
    kind = rng.choice(
        ["leaves", "blurred", "uneven", "sectors", "plain"], p=[0.6, 0.15, 0.05, 0.1, 0.1]
    )
    colours = _palette(rng, vivid=cartoon)
    if kind in ("leaves", "blurred"):
        picture = _leaves(rng, double, colours, cartoon, smallest=0.03, largest=0.7)
        if kind == "blurred":
            picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 3))))
    else:
        picture = _plain(rng, double, colours, kind)
    if kind in ("sectors", "plain") or rng.random() < 0.35:
        inside = _leaves(
            rng,
            double,
            _palette(rng, vivid=cartoon),
            cartoon,
            smallest=0.06,
            largest=0.6,
            count=120,
        )
        picture.paste(inside, mask=_animal(rng, inside))
    return _lit(rng, picture.reduce(2))


def _lit(rng: Generator, picture: Image.Image) -> Image.Image:
    """Light from one side and darker or lighter corners, more or less, as in most photographs."""
    down, across = np.linspace(-1, 1, picture.height)[:, None], np.linspace(-1, 1, picture.width)
    above, beside, corners = rng.normal(0.1, 0.2), rng.normal(0, 0.2), rng.normal(0, 0.1)
    light = 1 - above * down - beside * across - corners * (down**2 + across**2 - 2 / 3)
    return Image.fromarray(np.clip(np.asarray(picture) * light[..., None], 0, 255).astype(np.uint8))


def _plain(
    rng: Generator, size: tuple[int, int], colours: NDArray[np.float32], kind: str
) -> Image.Image:
    """A wall or a sky in uneven light, the sectors that stand behind animals giving advice, one colour or paper."""
    first, second = (tuple(int(part) for part in colour) for colour in colours[:2])
    if kind == "uneven":
        field = np.clip(128 + 70 * _noise(rng, 5, 5), 0, 255).astype(np.uint8)
        ramp = Image.fromarray(field).resize(size, Image.Resampling.BICUBIC)
        return Image.composite(Image.new("RGB", size, first), Image.new("RGB", size, second), ramp)
    if kind == "plain":
        return Image.new("RGB", size, (255, 255, 255) if rng.random() < 0.5 else first)
    picture, spokes, start = (
        Image.new("RGB", size),
        2 * int(rng.integers(3, 7)),
        float(rng.uniform(0, 360)),
    )
    draw, box = ImageDraw.Draw(picture), (-size[0], -size[1], 2 * size[0], 2 * size[1])
    for spoke in range(spokes):
        at = start + 360 * spoke / spokes
        draw.pieslice(box, at, at + 360 / spokes, fill=second if spoke % 2 else first)
    return picture


def _animal(rng: Generator, inside: Image.Image) -> Image.Image:
    """The soft mask of an animal with ears, its eyes and nose drawn on `inside`, the picture of its fur."""
    mask = Image.new("L", inside.size)
    draw, face = ImageDraw.Draw(mask), ImageDraw.Draw(inside)
    x, y = inside.width * rng.uniform(0.25, 0.75), inside.height * rng.uniform(0.3, 0.6)
    head = min(inside.size) * rng.uniform(0.14, 0.3)
    lean, broad, long = rng.uniform(-0.8, 0.8) * head, rng.uniform(1.2, 2.2), rng.uniform(1.4, 2.4)
    centres = [
        (x, y, head, head * rng.uniform(0.8, 1.1)),
        (x + lean, y + 2.4 * head, broad * head, long * head),
    ]
    for cx, cy, across, down in centres:
        outline = _outlines(rng, 1, 0.06)[0] * (across, down) + (cx, cy)
        draw.polygon(outline.ravel().tolist(), fill=255)
    tall, apart, tip = rng.uniform(1.2, 2.4), rng.uniform(0.5, 0.8), rng.uniform(0.7, 1.2)
    for side in (-1, 1):
        ear = [(apart * 1.3, -0.3), (tip, -tall), (apart * 0.3, -0.7)]
        draw.polygon(
            [(x + side * head * across, y + head * down) for across, down in ear], fill=255
        )
        centre = (x + side * head * 0.42, y - head * 0.1)
        face.ellipse(_box(centre, head * 0.24, head * 0.2), fill=(232, 225, 170))
        face.ellipse(_box(centre, head * 0.08, head * 0.17), fill=(20, 18, 16))
    face.ellipse(_box((x, y + head * 0.35), head * 0.14, head * 0.1), fill=(60, 45, 45))
    return mask.filter(ImageFilter.GaussianBlur(1.5))


def _box(
    centre: tuple[float, float], across: float, down: float
) -> tuple[float, float, float, float]:
    return centre[0] - across, centre[1] - down, centre[0] + across, centre[1] + down


def _palette(rng: Generator, *, vivid: bool) -> NDArray[np.float32]:
    """Eight colours that occur together in one photograph, from dark to light: float32[8, 3] of 0..255."""
    package, name, _ = PHOTOS[rng.integers(9)]
    pixels = _thumbnail(package, name)
    colours = pixels[rng.integers(0, len(pixels), 8)]
    colours = colours[np.argsort(colours.sum(axis=1))][
        :, rng.permutation(3) if rng.random() < 0.1 else slice(None)
    ]
    grey = colours.mean(axis=1, keepdims=True)
    spread = 1.5 if vivid else rng.uniform(0.5, 1.1)
    shift = rng.uniform(0.8, 1.35) * (grey - grey.mean()) + grey.mean() + rng.normal(0, 20)
    return rng.permutation(np.clip(shift + spread * (colours - grey), 0, 255)).astype(np.float32)


@lru_cache(maxsize=len(PHOTOS))
def _thumbnail(package: str, name: str) -> NDArray[np.float32]:
    return np.asarray(_photograph(package, name).resize((32, 32)), dtype=np.float32).reshape(-1, 3)


def _outlines(
    rng: Generator, count: int, rough: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Closed outlines around the origin, circles whose radius wavers by `rough`: float64[count, 24, 2]."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    size, phase = rng.normal(0, 1, (count, 4)), rng.uniform(0, 2 * np.pi, (count, 4))
    waves = (
        np.cos(np.arange(2, 6)[:, None] * angle + phase[..., None])
        * (size / np.arange(2, 6))[..., None]
    )
    radius = 1 + np.reshape(rough, (-1, 1)) * waves.sum(axis=1)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)


def _leaves(
    rng: Generator,
    size: tuple[int, int],
    colours: NDArray[np.float32],
    cartoon: bool,
    *,
    smallest: float,
    largest: float,
    count: int = 350,
) -> Image.Image:
    """Dead leaves: shapes laid over one another, radii of density r^-3 between two parts of the shorter side.

    Colours follow a 1/f field, so that neighbours are alike. Each slopes in shade and, but in cartoons, is textured.
    """
    wide, high = size
    low, top = smallest**-2, largest**-2
    radius = min(size) * (low + rng.random(count) * (top - low)) ** -0.5
    x, y = rng.uniform(-0.1, 1.1, count) * wide, rng.uniform(-0.1, 1.1, count) * high
    radii = radius[:, None] * np.stack([np.ones(count), rng.uniform(0.4, 1, count)], axis=1)
    outlines = _outlines(rng, count, rng.choice([0.0, 0.15, 0.5], count)) * radii[:, None]
    turn = rng.uniform(0, np.pi, count)[:, None]
    across, down = outlines[..., 0], outlines[..., 1]
    points = np.stack(
        [
            across * np.cos(turn) - down * np.sin(turn) + x[:, None],
            across * np.sin(turn) + down * np.cos(turn) + y[:, None],
        ],
        axis=2,
    )
    ids = Image.new("I", size)
    draw = ImageDraw.Draw(ids)
    for leaf, outline in enumerate(points.reshape(count, -1).tolist()):
        draw.polygon(outline, fill=leaf)
    index = np.asarray(ids)
    field = _noise(rng, 32, 32)[
        np.clip(y / high * 31, 0, 31).astype(int), np.clip(x / wide * 31, 0, 31).astype(int)
    ]
    rank = np.clip((field + rng.normal(0, 0.4, count)) * 1.7 + 3.5, 0, 7).astype(int)
    colour = colours[rank] * rng.uniform(0.85, 1.15, (count, 1)).astype(np.float32)
    picture = colour[index]
    if not cartoon:
        slope = (rng.normal(0, 0.3, (2, count)) / radius).astype(np.float32)
        offset = (slope[0] * x + slope[1] * y).astype(np.float32)
        shade = slope[0][index] * np.arange(wide, dtype=np.float32) - offset[index]
        shade += slope[1][index] * np.arange(high, dtype=np.float32)[:, None]
        texture = _noise(rng, high // 2, wide // 2).repeat(2, axis=0).repeat(2, axis=1)
        rough = rng.gamma(1.5, 0.08, count).astype(np.float32)
        picture = picture * (1 + np.clip(shade, -0.5, 0.5) + rough[index] * texture)[..., None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _noise(rng: Generator, high: int, wide: int) -> NDArray[np.float32]:
    """Noise of unit variance whose amplitude falls as one over the frequency: float32[high, wide]."""
    down, across = np.fft.fftfreq(high)[:, None], np.fft.rfftfreq(wide)[None]
    fall = np.maximum(np.hypot(down, across), 1 / max(high, wide))
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((high, wide))) / fall, (high, wide))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)
