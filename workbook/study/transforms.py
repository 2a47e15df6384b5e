"""What happens to an image on its way round the web: fourteen changes at five strengths each, and captions.

A transform takes an RGB image, one of its strengths and a Generator, and returns a new RGB image; the three decide
every pixel. Lengths are parts of the image or pixels of one 250 wide, so that a strength means the same at any size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

CONDENSED = 0.6  # how much DejaVu Sans Bold is squeezed to be as narrow as Impact
_WORDS = "nobody told me that this would be the best day of the whole week but here we are again"


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    found = find_spec("matplotlib")  # its folder, without the cost of importing it
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            "captions are set in a font that comes with matplotlib: pip install 'finlib[workbook]'"
        )
    path = Path(
        found.submodule_search_locations[0], "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf"
    )
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def draw_caption(
    image: Image.Image, top: str = "", bottom: str = "", size: float = 20
) -> Image.Image:
    """An RGB copy under white capitals with a black outline, wrapped and centred, as meme generators set them.

    `size` is the font's, in pixels of an image 250 wide. ValueError where matplotlib, which brings the font, is absent.
    """
    width, height = image.size
    pixels = size * width / 250
    font = _font(max(4, round(pixels)))
    weight = round(pixels / 20)  # the boldest font at hand is lighter than Impact
    text = Image.new("L", (round(width / CONDENSED), height))
    draw = ImageDraw.Draw(text)
    pitch, margin = max(4, round(pixels)), round(width / 60)
    for caption, at_top in ((top, True), (bottom, False)):
        lines = _wrap(caption.upper(), font, 0.94 * text.width)
        first = margin if at_top else height - margin - pitch * len(lines)
        for row, line in enumerate(lines):
            place = (text.width / 2, first + (row + 0.5) * pitch)
            draw.text(place, line, fill=255, font=font, anchor="mm", stroke_width=weight)
    mask = text.resize((width, height), Image.Resampling.BOX)
    captioned = image.convert("RGB")
    captioned.paste((0, 0, 0), mask=_spread(mask, max(1, round(pixels / 16))))
    captioned.paste((255, 255, 255), mask=mask)
    return captioned


def draw_mark(image: Image.Image, text: str) -> Image.Image:
    """The image itself, signed with a site's name in small grey type in its lower right corner, as memes are."""
    width, height = image.size
    font = _font(max(4, round(9 * width / 250)))
    mask = Image.new("L", (round(font.getlength(text)) + 2, round(12 * width / 250)))
    ImageDraw.Draw(mask).text((1, mask.height / 2), text, fill=180, font=font, anchor="lm")
    mask = mask.resize((round(0.8 * mask.width), mask.height), Image.Resampling.BOX)
    image.paste((255, 255, 255), (width - mask.width - 1, height - mask.height), mask=mask)
    return image


def _spread(mask: Image.Image, reach: int) -> Image.Image:
    """Each pixel's maximum over the square `reach` pixels around it: Pillow's MaxFilter, in a tenth of the time."""
    spread = np.asarray(mask)
    for _ in range(2):  # down the columns, then along the rows
        padded = np.pad(spread, ((reach, reach), (0, 0)))
        spread = np.maximum.reduce([padded[at : at + len(spread)] for at in range(2 * reach + 1)]).T
    return Image.fromarray(spread)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True)
class Transform:
    """One kind of change. `strengths` are in `unit`, the mildest first."""

    name: str
    label: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image.Image, float, Generator], Image.Image]


def _jpeg(image: Image.Image, quality: float, rng: Generator) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    with Image.open(file) as again:
        return again.convert("RGB")


def _resize(image: Image.Image, part: float, rng: Generator) -> Image.Image:
    return image.resize((max(1, round(image.width * part)), max(1, round(image.height * part))))


def _crop(image: Image.Image, part: float, rng: Generator) -> Image.Image:
    """Cut `part` of the width and of the height away, at sides of chance."""
    kept = [max(1, round(side * (1 - part))) for side in image.size]
    left, top = (
        int(rng.integers(side - keep + 1)) for side, keep in zip(image.size, kept, strict=True)
    )
    return image.crop((left, top, left + kept[0], top + kept[1]))


def _border(image: Image.Image, part: float, rng: Generator) -> Image.Image:
    """A black or white frame of `part` of the shorter side; the image grows."""
    level = 255 * int(rng.integers(2))
    return ImageOps.expand(image, round(part * min(image.size)), (level, level, level))


def _rotation(image: Image.Image, degrees: float, rng: Generator) -> Image.Image:
    """Either way round, in the same frame, the corners black."""
    return image.rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC)


def _flip(image: Image.Image, kind: float, rng: Generator) -> Image.Image:
    """There is no weak flip: the five are different ones."""
    order = ("FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_180", "ROTATE_90", "TRANSPOSE")
    return image.transpose(Image.Transpose[order[int(kind) - 1]])


def _caption(image: Image.Image, size: float, rng: Generator) -> Image.Image:
    top, bottom = (" ".join(rng.choice(_WORDS.split(), 7)) for _ in range(2))
    return draw_caption(image, top, bottom, size)


def _watermark(image: Image.Image, opacity: float, rng: Generator) -> Image.Image:
    """A word across the middle, rising, as picture agencies print it."""
    width, height = image.size
    mask = Image.new("L", image.size)
    size = max(4, width // 6)
    ImageDraw.Draw(mask).text(
        (width / 2, height / 2), "SAMPLE", fill=255, font=_font(size), anchor="mm"
    )
    mask = mask.rotate(float(rng.uniform(20, 40)), Image.Resampling.BILINEAR)
    stamped = image.copy()
    stamped.paste(
        (255, 255, 255), mask=mask.point([round(level * opacity) for level in range(256)])
    )
    return stamped


def _blur(image: Image.Image, radius: float, rng: Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius * image.width / 250))


def _noise(image: Image.Image, deviation: float, rng: Generator) -> Image.Image:
    pixels = np.asarray(image) + rng.normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _brightness(image: Image.Image, factor: float, rng: Generator) -> Image.Image:
    """Lighter or darker."""
    return ImageEnhance.Brightness(image).enhance(factor if rng.random() < 0.5 else 1 / factor)


def _contrast(image: Image.Image, factor: float, rng: Generator) -> Image.Image:
    """More or less contrast, around the mean."""
    return ImageEnhance.Contrast(image).enhance(factor if rng.random() < 0.5 else 1 / factor)


def _gamma(image: Image.Image, power: float, rng: Generator) -> Image.Image:
    """Darker or lighter in the middle, black and white kept."""
    power = power if rng.random() < 0.5 else 1 / power
    return image.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def _grey(image: Image.Image, lost: float, rng: Generator) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 - lost)


_ALL = (
    Transform("jpeg", "JPEG quality", "quality", (80, 60, 40, 20, 10), _jpeg),
    Transform("resize", "Resize", "of each side kept", (0.75, 0.5, 0.35, 0.25, 0.15), _resize),
    Transform("crop", "Crop", "of each side cut", (0.02, 0.05, 0.1, 0.2, 0.3), _crop),
    Transform(
        "border", "Border", "of the side added all round", (0.02, 0.05, 0.1, 0.15, 0.25), _border
    ),
    Transform("rotation", "Rotation", "degrees", (1, 2, 5, 10, 20), _rotation),
    Transform(
        "flip",
        "Flip",
        "1 left–right, 2 top–bottom, 3 half turn, 4 quarter turn, 5 transposed",
        (1, 2, 3, 4, 5),
        _flip,
    ),
    Transform("caption", "Caption", "px high, 250 wide", (12, 18, 24, 30, 36), _caption),
    Transform("watermark", "Watermark", "opacity", (0.1, 0.25, 0.4, 0.6, 0.8), _watermark),
    Transform("blur", "Blur", "px radius, 250 wide", (1, 2, 3, 5, 8), _blur),
    Transform("noise", "Noise", "standard deviation, of 255", (5, 10, 20, 40, 80), _noise),
    Transform(
        "brightness", "Brightness", "times, or one over", (1.1, 1.25, 1.5, 2, 3), _brightness
    ),
    Transform("contrast", "Contrast", "times, or one over", (1.1, 1.25, 1.5, 2, 4), _contrast),
    Transform("gamma", "Gamma", "power, or one over", (1.1, 1.25, 1.5, 2, 3), _gamma),
    Transform("grey", "Grey", "of saturation lost", (0.2, 0.4, 0.6, 0.8, 1.0), _grey),
)
TRANSFORMS: dict[str, Transform] = {transform.name: transform for transform in _ALL}
