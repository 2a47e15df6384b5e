"""Make the pictures to put captions on: photographs that other packages ship, and drawings.

The drawings are dead leaves (overlapping shapes of power-law sizes), which have the statistics of
natural images: A. B. Lee, D. Mumford and J. Huang, Occlusion models for natural images, 2001. They
fill the page or its panels, or stand behind a simple animal, in colours taken from the photographs.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Resampling

from workbook.study.package_files import package_file
from workbook.study.transforms import WHITE, stretch_levels, to_picture

SIDE = 250
PHOTO_EVERY = 2  # one family in this many is a photograph, until all of them are used
PHOTO_STEP = 37  # neighbouring families take crops this far apart: from different photographs
PANEL_SHARE = 0.12  # the share of drawings with a flat panel, where gradients carry no information

YELLOW = (232, 225, 170)  # eyes
NEARLY_BLACK = (20, 18, 16)  # pupils
BROWN = (60, 45, 45)  # noses
LAYOUTS = ((1, 1), (2, 1), (1, 2), (2, 2))  # rows and columns of panels on a page
LAYOUT_SHARES = (0.7, 0.12, 0.08, 0.1)
KINDS = ("leaves", "blurred", "uneven", "sectors", "plain")  # of backgrounds
KIND_SHARES = (0.6, 0.15, 0.05, 0.1, 0.1)
PALETTE_PHOTOS = 9  # colours are taken from the first of PHOTOS

# Quantiles of 143 real meme templates (github.com/jacebrowning/memegen, the square middles at
# 250 x 250): of their detail (see `detail`), and of `hard_cases.flat_share` over all rows.
REAL_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
REAL_DETAIL = (17.7, 23.3, 29.2, 35.2, 45.6)
REAL_FLATNESS = (0.043, 0.070, 0.129, 0.207, 0.448)
MOST_GAIN = 3.0  # a greater gain would turn a nearly flat picture into noise

# Package, file, and the number of columns (of two square details each) that are cut from the
# picture in addition to its square middle.
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
DETAIL = 490  # the side of a square detail, in thousandths of the photograph's shorter side

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Colour = tuple[int, ...]
Colours = NDArray[np.float32]
FloatArray = NDArray[np.float64]
NumberArray = NDArray[np.int32]


class Crop(NamedTuple):
    """A square part of a photograph; left, top and side in thousandths of its shorter side."""

    package: str
    name: str
    left: int
    top: int
    side: int


def _crops_of(package: str, name: str, columns: int) -> list[Crop]:
    """The square middle of a photograph, and two rows of square details."""
    middle = 245 * max(0, columns - 2)
    crops = [Crop(package, name, middle, 0, 1000)]
    for row in range(2):
        for column in range(columns):
            left = DETAIL * column
            top = DETAIL * row
            crops.append(Crop(package, name, left, top, DETAIL))
    return crops


CROPS = [crop for photo in PHOTOS for crop in _crops_of(*photo)]


def template(family: int, seed: int = 2026) -> Image.Image:
    """The uncaptioned picture of one family, 250 x 250 RGB; it depends on the two numbers alone."""
    rng = default_rng([seed, family])
    photo, remainder = divmod(family, PHOTO_EVERY)
    if remainder == 0 and photo < len(CROPS):
        crop = CROPS[photo * PHOTO_STEP % len(CROPS)]
        picture = _cut(crop)
    else:
        picture = _draw_page(rng)
    return _with_real_detail(picture, rng)


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


def _with_real_detail(picture: Image.Image, rng: Generator) -> Image.Image:
    """Stretch a picture's contrast until it has the detail of a real template, drawn at random."""
    quantile = rng.uniform(0.05, 0.95)
    wanted = np.interp(quantile, REAL_QUANTILES, REAL_DETAIL)
    for _ in range(3):  # levels beyond black and white are cut off, so once does not suffice
        present = max(detail(picture), 1.0)
        gain = min(wanted / present, MOST_GAIN)
        grey = np.asarray(picture.convert("L"))
        picture = stretch_levels(picture, gain, float(grey.mean()))
    return picture


@lru_cache(maxsize=len(PHOTOS))
def photograph(package: str, name: str) -> Image.Image:
    """A photograph that another package ships, in RGB; ValueError where that is not installed."""
    with Image.open(package_file(package, name)) as image:
        return image.convert("RGB")


def _cut(crop: Crop) -> Image.Image:
    picture = photograph(crop.package, crop.name)
    unit = min(picture.size) / 1000
    box = (
        crop.left * unit,
        crop.top * unit,
        (crop.left + crop.side) * unit,
        (crop.top + crop.side) * unit,
    )
    return picture.resize((SIDE, SIDE), Resampling.LANCZOS, box)


# Drawings. Every draw from the Generator changes those after it, so their order is fixed.


def _draw_page(rng: Generator) -> Image.Image:
    """Draw one picture, or two to four in panels, as comic memes have."""
    rows, columns = LAYOUTS[rng.choice(len(LAYOUTS), p=LAYOUT_SHARES)]
    gutter = int(rng.integers(2, 7))
    paper = int(rng.choice([0, 255]))
    height = (SIDE - gutter * (rows - 1)) // rows
    width = (SIDE - gutter * (columns - 1)) // columns
    page = Image.new("L", (SIDE, SIDE), paper).convert("RGB")
    for row in range(rows):
        for column in range(columns):
            picture = _draw_picture(rng, (width, height))
            left = column * (width + gutter)
            top = row * (height + gutter)
            page.paste(picture, (left, top))
    if rng.random() < PANEL_SHARE:
        _paint_flat_panel(rng, page)
    return page


def _paint_flat_panel(rng: Generator, page: Image.Image) -> None:
    """Paint three to five tenths of a page, at one side, in white or another colour.

    Many memes have such an empty part.
    """
    depth = int(SIDE * rng.uniform(0.3, 0.5))
    colour: Colour = WHITE
    if rng.random() >= 0.6:
        colours = _palette(rng, vivid=True)
        colour = _as_colour(colours[0])
    boxes = [
        (0, 0, depth, SIDE),
        (0, 0, SIDE, depth),
        (SIDE - depth, 0, SIDE, SIDE),
        (0, SIDE - depth, SIDE, SIDE),
    ]
    page.paste(colour, boxes[rng.integers(4)])


def _draw_picture(rng: Generator, size: Size) -> Image.Image:
    """Draw a background and, in some pictures, an animal in front of it.

    Both are drawn at twice the size and then averaged.
    """
    width, height = size
    double = (2 * width, 2 * height)
    cartoon = bool(rng.random() < 0.3)
    kind = str(rng.choice(KINDS, p=KIND_SHARES))
    picture = _draw_background(rng, double, kind, cartoon)
    if kind in ("sectors", "plain") or rng.random() < 0.35:
        fur = _draw_fur(rng, double, cartoon)
        animal = _draw_animal(rng, fur)
        picture.paste(fur, mask=animal)
    return _light(rng, picture.reduce(2))


def _draw_fur(rng: Generator, size: Size, cartoon: bool) -> Image.Image:
    colours = _palette(rng, vivid=cartoon)
    leaves = _scatter_leaves(rng, size, smallest=0.06, largest=0.6, count=120)
    return _paint_leaves(rng, size, leaves, colours, cartoon)


def _draw_background(
    rng: Generator,
    size: Size,
    kind: str,
    cartoon: bool,
) -> Image.Image:
    """Draw a background of one of KINDS: a wall, a sky, rays, paper or dead leaves."""
    colours = _palette(rng, vivid=cartoon)
    if kind == "uneven":
        return _draw_uneven_light(rng, size, colours)
    if kind == "plain":
        colour = WHITE if rng.random() < 0.5 else _as_colour(colours[0])
        return Image.new("RGB", size, colour)
    if kind == "sectors":
        return _draw_sectors(rng, size, colours)
    leaves = _scatter_leaves(rng, size, smallest=0.03, largest=0.7)
    picture = _paint_leaves(rng, size, leaves, colours, cartoon)
    if kind == "blurred":
        radius = float(rng.uniform(1, 3))
        return picture.filter(ImageFilter.GaussianBlur(radius))
    return picture


def _draw_uneven_light(
    rng: Generator,
    size: Size,
    colours: Colours,
) -> Image.Image:
    """Draw a wall or a sky: two colours that blend into each other."""
    small = to_picture(128 + 70 * _natural_noise(rng, 5, 5))
    blend = small.resize(size, Resampling.BICUBIC)
    first = Image.new("RGB", size, _as_colour(colours[0]))
    second = Image.new("RGB", size, _as_colour(colours[1]))
    return Image.composite(first, second, blend)


def _draw_sectors(rng: Generator, size: Size, colours: Colours) -> Image.Image:
    """Draw the rays in two colours that stand behind animals which give advice."""
    width, height = size
    sectors = 2 * int(rng.integers(3, 7))
    start = float(rng.uniform(0, 360))
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    box = (-width, -height, 2 * width, 2 * height)
    for sector in range(sectors):
        angle = start + 360 * sector / sectors
        colour = _as_colour(colours[sector % 2])
        draw.pieslice(box, angle, angle + 360 / sectors, fill=colour)
    return picture


def _light(rng: Generator, picture: Image.Image) -> Image.Image:
    """Light a picture from one side and darken or lighten its corners, as in most photographs."""
    across = np.linspace(-1, 1, picture.width)
    down = np.linspace(-1, 1, picture.height)
    down = down[:, None]
    from_above = rng.normal(0.1, 0.2)
    from_side = rng.normal(0, 0.2)
    corners = rng.normal(0, 0.1)
    distance = down**2 + across**2 - 2 / 3
    light = 1 - from_above * down - from_side * across - corners * distance
    return to_picture(np.asarray(picture) * light[..., None])


# Animals


class Animal(NamedTuple):
    """Where an animal's head is, and how large: centre and radius in pixels."""

    x: float
    y: float
    head: float


def _draw_animal(rng: Generator, fur: Image.Image) -> Image.Image:
    """The soft mask of an animal with ears; its eyes and nose are drawn on `fur`."""
    mask = Image.new("L", fur.size)
    x = fur.width * rng.uniform(0.25, 0.75)
    y = fur.height * rng.uniform(0.3, 0.6)
    head = min(fur.size) * rng.uniform(0.14, 0.3)
    animal = Animal(x, y, head)
    _fill_body(rng, mask, animal)
    _fill_ears(rng, mask, animal)
    _draw_face(fur, animal)
    return mask.filter(ImageFilter.GaussianBlur(1.5))


def _fill_body(rng: Generator, mask: Image.Image, animal: Animal) -> None:
    """Fill the head, and the body below it."""
    x, y, head = animal
    lean = rng.uniform(-0.8, 0.8) * head
    body_width = rng.uniform(1.2, 2.2) * head
    body_height = rng.uniform(1.4, 2.4) * head
    head_height = head * rng.uniform(0.8, 1.1)
    _fill_blob(rng, mask, (x, y), (head, head_height))
    body = (x + lean, y + 2.4 * head)
    _fill_blob(rng, mask, body, (body_width, body_height))


def _fill_blob(
    rng: Generator,
    mask: Image.Image,
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> None:
    circle = _wavering_circles(rng, 1, 0.06)[0]
    outline = circle * radii + centre
    draw = ImageDraw.Draw(mask)
    draw.polygon(outline.ravel().tolist(), fill=255)


def _fill_ears(rng: Generator, mask: Image.Image, animal: Animal) -> None:
    height = rng.uniform(1.2, 2.4)
    apart = rng.uniform(0.5, 0.8)
    tip = rng.uniform(0.7, 1.2)
    corners = (
        (apart * 1.3, -0.3),
        (tip, -height),
        (apart * 0.3, -0.7),
    )
    draw = ImageDraw.Draw(mask)
    for side in (-1, 1):
        ear = []
        for across, down in corners:
            x = animal.x + side * animal.head * across
            y = animal.y + animal.head * down
            ear.append((x, y))
        draw.polygon(ear, fill=255)


def _draw_face(fur: Image.Image, animal: Animal) -> None:
    """Draw two eyes and a nose on the picture of the fur."""
    x, y, head = animal
    draw = ImageDraw.Draw(fur)
    for side in (-1, 1):
        eye_x = x + side * head * 0.42
        eye_y = y - head * 0.1
        eye = _box(eye_x, eye_y, head * 0.24, head * 0.2)
        draw.ellipse(eye, fill=YELLOW)
        pupil = _box(eye_x, eye_y, head * 0.08, head * 0.17)
        draw.ellipse(pupil, fill=NEARLY_BLACK)
    nose = _box(x, y + head * 0.35, head * 0.14, head * 0.1)
    draw.ellipse(nose, fill=BROWN)


def _box(x: float, y: float, across: float, down: float) -> Box:
    """The box around a centre, by half its width and half its height."""
    return x - across, y - down, x + across, y + down


def _wavering_circles(
    rng: Generator,
    count: int,
    roughness: float | FloatArray,
) -> FloatArray:
    """Closed outlines around the origin: float64[count, 24, 2].

    They are circles of radius 1 that wavers by `roughness`, one number for all or one for each.
    """
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    size = rng.normal(0, 1, (count, 4))
    phase = rng.uniform(0, 2 * np.pi, (count, 4))
    frequency = np.arange(2, 6)
    amplitude = size / frequency
    waves = np.cos(frequency[:, None] * angle + phase[..., None])
    wavering = (waves * amplitude[..., None]).sum(axis=1)
    radius = 1 + np.reshape(roughness, (-1, 1)) * wavering
    x = radius * np.cos(angle)
    y = radius * np.sin(angle)
    return np.stack([x, y], axis=2)


# Colours


def _as_colour(colour: NDArray[np.float32]) -> Colour:
    return tuple(int(part) for part in colour)


def _palette(rng: Generator, *, vivid: bool) -> Colours:
    """Eight colours that occur together in one photograph, shuffled: float32[8, 3], 0 to 255."""
    package, name, _ = PHOTOS[rng.integers(PALETTE_PHOTOS)]
    pixels = _thumbnail(package, name)
    drawn = rng.integers(0, len(pixels), 8)
    colours = pixels[drawn]
    from_dark = np.argsort(colours.sum(axis=1))
    colours = colours[from_dark]
    if rng.random() < 0.1:
        colours = colours[:, rng.permutation(3)]
    grey = colours.mean(axis=1, keepdims=True)
    mean = grey.mean()
    saturation = 1.5 if vivid else rng.uniform(0.5, 1.1)
    contrast = rng.uniform(0.8, 1.35)
    brightness = rng.normal(0, 20)
    shifted = contrast * (grey - mean) + mean + brightness
    changed = np.clip(shifted + saturation * (colours - grey), 0, 255)
    return rng.permutation(changed).astype(np.float32)


@lru_cache(maxsize=len(PHOTOS))
def _thumbnail(package: str, name: str) -> Colours:
    """A photograph's colours, at 32 x 32: float32[1024, 3]."""
    small = photograph(package, name).resize((32, 32))
    return np.asarray(small, dtype=np.float32).reshape(-1, 3)


# Dead leaves


class Leaves(NamedTuple):
    """Leaves by centre (x, y), radius (float64[count] each, in pixels) and outline.

    The outlines are float64[count, 24, 2], in pixels of the picture.
    """

    x: FloatArray
    y: FloatArray
    radius: FloatArray
    outline: FloatArray


def _scatter_leaves(
    rng: Generator,
    size: Size,
    *,
    smallest: float,
    largest: float,
    count: int = 350,
) -> Leaves:
    """Scatter leaves over a picture, of radii between two shares of its shorter side.

    The density of radii r falls as 1 / r^3.
    """
    width, height = size
    low = smallest**-2
    high = largest**-2
    drawn = low + rng.random(count) * (high - low)
    radius = min(size) * drawn**-0.5
    x = rng.uniform(-0.1, 1.1, count) * width
    y = rng.uniform(-0.1, 1.1, count) * height
    flattened = radius * rng.uniform(0.4, 1, count)
    radii = np.stack([radius, flattened], axis=1)
    roughness = rng.choice([0.0, 0.15, 0.5], count)
    circles = _wavering_circles(rng, count, roughness)
    ellipses = circles * radii[:, None]
    angle = rng.uniform(0, np.pi, count)
    turned = _turn(ellipses, angle)
    centre = np.stack([x, y], axis=1)
    return Leaves(x, y, radius, turned + centre[:, None])


def _turn(outlines: FloatArray, angle: FloatArray) -> FloatArray:
    """Turn outlines around the origin: float64[count, points, 2], by float64[count] in radians."""
    across = outlines[..., 0]
    down = outlines[..., 1]
    cosine = np.cos(angle)[:, None]
    sine = np.sin(angle)[:, None]
    x = across * cosine - down * sine
    y = across * sine + down * cosine
    return np.stack([x, y], axis=2)


def _paint_leaves(
    rng: Generator,
    size: Size,
    leaves: Leaves,
    colours: Colours,
    cartoon: bool,
) -> Image.Image:
    """Paint leaves over one another; each is shaded and textured, unless it is a cartoon."""
    leaf_at = _topmost_leaf(size, leaves)
    leaf_colours = _leaf_colours(rng, size, leaves, colours)
    picture = leaf_colours[leaf_at]
    if not cartoon:
        light = _leaf_light(rng, size, leaves, leaf_at)
        picture = picture * light[..., None]
    return to_picture(picture)


def _topmost_leaf(size: Size, leaves: Leaves) -> NumberArray:
    """The number of the leaf that is seen at each pixel: int32[height, width]."""
    numbers = Image.new("I", size)
    draw = ImageDraw.Draw(numbers)
    outlines = leaves.outline.reshape(len(leaves.radius), -1)
    for number, outline in enumerate(outlines.tolist()):
        draw.polygon(outline, fill=number)
    return np.asarray(numbers)


def _leaf_colours(
    rng: Generator,
    size: Size,
    leaves: Leaves,
    colours: Colours,
) -> Colours:
    """Each leaf's colour, by a field of natural noise, so that neighbours are alike."""
    width, height = size
    count = len(leaves.radius)
    noise = _natural_noise(rng, 32, 32)
    row = np.clip(leaves.y / height * 31, 0, 31)
    column = np.clip(leaves.x / width * 31, 0, 31)
    field = noise[row.astype(int), column.astype(int)]
    scattered = field + rng.normal(0, 0.4, count)
    place = np.clip(scattered * 1.7 + 3.5, 0, 7)
    brightness = rng.uniform(0.85, 1.15, (count, 1))
    return colours[place.astype(int)] * brightness.astype(np.float32)


def _leaf_light(
    rng: Generator,
    size: Size,
    leaves: Leaves,
    leaf_at: NumberArray,
) -> NDArray[np.float32]:
    """The light at each pixel, around 1: every leaf slopes in shade and has a texture of its own.

    float32[height, width].
    """
    width, height = size
    count = len(leaves.radius)
    slopes = rng.normal(0, 0.3, (2, count)) / leaves.radius
    slope_x, slope_y = slopes.astype(np.float32)
    middle = slope_x * leaves.x + slope_y * leaves.y
    across = np.arange(width, dtype=np.float32)
    down = np.arange(height, dtype=np.float32)[:, None]
    shade = slope_x[leaf_at] * across - middle.astype(np.float32)[leaf_at]
    shade += slope_y[leaf_at] * down
    texture = _natural_noise(rng, height // 2, width // 2)
    texture = texture.repeat(2, axis=0).repeat(2, axis=1)
    roughness = rng.gamma(1.5, 0.08, count).astype(np.float32)
    return 1 + np.clip(shade, -0.5, 0.5) + roughness[leaf_at] * texture


def _natural_noise(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Noise whose amplitude falls as one over the frequency, as in natural images.

    Its mean is 0 and its variance 1: float32[height, width].
    """
    down = np.fft.fftfreq(height)[:, None]
    across = np.fft.rfftfreq(width)[None]
    lowest = 1 / max(height, width)
    frequency = np.maximum(np.hypot(down, across), lowest)
    white_noise = rng.standard_normal((height, width))
    spectrum = np.fft.rfft2(white_noise)
    noise = np.fft.irfft2(spectrum / frequency, (height, width))
    standardised = (noise - noise.mean()) / noise.std()
    return standardised.astype(np.float32)
