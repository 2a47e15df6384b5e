"""Make the pictures to put captions on: photographs, drawings, and subjects on shared grounds.

The photographs are squares of those that other packages ship (`photographs`), and the grounds are
rays, wheels and flat colours (`grounds`). The drawings are dead leaves (overlapping shapes of
power-law sizes), which have the statistics of natural images: A. B. Lee, D. Mumford and J. Huang,
Occlusion models for natural images, 2001. They fill the page or its panels, or stand behind a
simple animal, in colours taken from the photographs.
"""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Resampling

from workbook.study.grounds import draw_ground
from workbook.study.photographs import (
    COLOURFUL,
    NUMBER_OF_FACES,
    Photograph,
    Square,
    cut,
    detail,
    face,
    load,
    usable_squares,
)
from workbook.study.transforms import WHITE, stretch_levels, to_picture

SIDE = 250
GROUND_SHARE = 0.38  # of families whose picture stands on rays, a wheel or a flat ground
PHOTOGRAPH_SHARE = 0.4  # of families whose picture is a whole square of a photograph
GOLDEN_SECTION = 618_034  # millionths
WHOLE_SQUARES = 64  # squares of photographs for whole pictures; the others stand on grounds
PANEL_SHARE = 0.12  # the share of drawings with a flat panel, where gradients carry no information

YELLOW = (232, 225, 170)  # eyes
NEARLY_BLACK = (20, 18, 16)  # pupils
BROWN = (60, 45, 45)  # noses
LAYOUTS = ((1, 1), (2, 1), (1, 2), (2, 2))  # rows and columns of panels on a page
LAYOUT_SHARES = (0.7, 0.12, 0.08, 0.1)
KINDS = ("leaves", "blurred", "uneven")  # of backgrounds
KIND_SHARES = (0.7, 0.2, 0.1)

# Quantiles of 143 real meme templates (github.com/jacebrowning/memegen, the square middles at
# 250 x 250): of their `photographs.detail`, and of `hard_cases.flat_share` over all rows.
REAL_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
REAL_DETAIL = (17.7, 23.3, 29.2, 35.2, 45.6)
REAL_FLATNESS = (0.043, 0.070, 0.129, 0.207, 0.448)
MOST_GAIN = 1.6  # a greater gain would leave little of a photograph but black and white

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Colour = tuple[int, ...]
Colours = NDArray[np.float32]
FloatArray = NDArray[np.float64]
NumberArray = NDArray[np.int32]


def template(family: int, seed: int = 2026) -> Image.Image:
    """The uncaptioned picture of one family, 250 x 250 RGB; it depends on the two numbers alone."""
    rng = default_rng([seed, family])
    kind = kind_of(family)
    place = sum(kind_of(earlier) == kind for earlier in range(family))
    if kind == "ground":
        return _stand_on_ground(rng, place)
    squares = usable_squares()[:WHOLE_SQUARES]
    if kind == "photograph" and place < len(squares):
        picture = cut(squares[place], SIDE)
    else:
        picture = _draw_page(rng)
    return _with_real_detail(picture, rng)


@cache
def kind_of(family: int) -> str:
    """What the picture of a family is: "ground", "photograph" or "drawing".

    Multiples of the golden section spread evenly over the unit interval, so that every number of
    families has the three kinds in their shares.
    """
    place = family * GOLDEN_SECTION % 1_000_000 / 1_000_000
    if place < GROUND_SHARE:
        return "ground"
    if place < GROUND_SHARE + PHOTOGRAPH_SHARE:
        return "photograph"
    return "drawing"


def _stand_on_ground(rng: Generator, place: int) -> Image.Image:
    """A ground that other families share, with a subject of this family alone in front of it.

    place: how many families on grounds come before this one. Every second subject is a portrait,
    every second of the others a pasted photograph; the rest, and what is missing, is drawn.
    """
    ground = draw_ground(rng, SIDE)
    portrait, is_other = divmod(place, 2)
    if not is_other and portrait < NUMBER_OF_FACES:
        _paste_portrait(rng, ground, portrait)
        return ground
    squares = usable_squares()[WHOLE_SQUARES:]
    pasted, is_drawn = divmod(portrait, 2)
    if is_other and not is_drawn and pasted < len(squares):
        _paste_photograph(rng, ground, squares[pasted])
        return ground
    fur = _draw_fur(rng, (2 * SIDE, 2 * SIDE), bool(rng.random() < 0.5))
    mask = _draw_animal(rng, fur)
    ground.paste(fur.reduce(2), mask=mask.reduce(2))
    return ground


def _paste_portrait(rng: Generator, ground: Image.Image, number: int) -> None:
    """Put a face with soft, uneven edges near the middle of a ground."""
    height = int(SIDE * rng.uniform(0.4, 0.75))
    portrait = face(number).resize((height, height), Resampling.LANCZOS)
    mask = Image.new("L", (height, height))
    middle = height / 2
    width = rng.uniform(0.36, 0.46) * height
    _fill_blob(rng, mask, (middle, middle), (width, 0.46 * height))
    soft = mask.filter(ImageFilter.GaussianBlur(1.5))
    ground.paste(portrait, _near_middle(rng, height), soft)


def _paste_photograph(rng: Generator, ground: Image.Image, square: Square) -> None:
    """Put a photograph near the middle of a ground, as a rectangle or cut out along an outline."""
    side = int(SIDE * rng.uniform(0.45, 0.75))
    picture = cut(square, side)
    mask = Image.new("L", (side, side), 255)
    if rng.random() < 0.5:
        mask = Image.new("L", (side, side))
        _fill_blob(rng, mask, (side / 2, side / 2), (0.4 * side, 0.46 * side))
    ground.paste(picture, _near_middle(rng, side), mask)


def _near_middle(rng: Generator, side: int) -> tuple[int, int]:
    """Where the upper left corner of a subject lies whose middle is near that of the picture."""
    left, top = (SIDE - side) / 2 + rng.normal(0, 0.05 * SIDE, 2)
    return int(left), int(top)


def _with_real_detail(picture: Image.Image, rng: Generator) -> Image.Image:
    """Stretch a picture's contrast until it has the detail of a real template, drawn at random."""
    quantile = rng.uniform(0.05, 0.95)
    wanted = np.interp(quantile, REAL_QUANTILES, REAL_DETAIL)
    present = max(detail(picture), 1.0)
    gain = min(wanted / present, MOST_GAIN)
    grey = np.asarray(picture.convert("L"))
    return stretch_levels(picture, gain, float(grey.mean()))


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
    if rng.random() < 0.35:
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
    """Draw a background of one of KINDS: a wall or a sky, or dead leaves, blurred or not."""
    colours = _palette(rng, vivid=cartoon)
    if kind == "uneven":
        return _draw_uneven_light(rng, size, colours)
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
    photograph = COLOURFUL[rng.integers(len(COLOURFUL))]
    pixels = _thumbnail(photograph)
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


@lru_cache(maxsize=len(COLOURFUL))
def _thumbnail(photograph: Photograph) -> Colours:
    """A photograph's colours, at 32 x 32: float32[1024, 3]."""
    small = load(photograph).resize((32, 32))
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
