"""Change images in the ways that images change while they travel round the web.

There are fourteen kinds of change at five strengths each (`TRANSFORMS`), and captions as meme
generators set them. A transform takes an RGB image, one of its strengths and a random Generator,
and returns a new RGB image; these three decide every pixel. Lengths are shares of the image's
sides, or pixels of an image that is 250 wide, so that a strength means the same at any size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from PIL.Image import Resampling, Transpose

from workbook.study.package_files import package_file

REFERENCE_WIDTH = 250  # lengths in pixels are meant for an image of this width
CONDENSED = 0.6  # how much DejaVu Sans Bold is squeezed to be as narrow as Impact
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
FONT_FILE = "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"
SENTENCE = "nobody told me that this would be the best day of the whole week but here we are again"
CAPTION_WORDS = SENTENCE.split()


def to_picture(levels: NDArray[Any]) -> Image.Image:
    """The picture of an array of levels; what is below 0 or above 255 becomes 0 or 255."""
    limited = np.clip(levels, 0, 255)
    return Image.fromarray(limited.astype(np.uint8))


def stretch_levels(image: Image.Image, gain: float, middle: float) -> Image.Image:
    """Multiply the distance of every level of an RGB image from the level `middle` by `gain`."""
    curve = [round(level * gain + middle * (1 - gain)) for level in range(256)]
    return image.point(curve * 3)


@lru_cache(maxsize=64)
def _load_font(size: int) -> ImageFont.FreeTypeFont:
    path = package_file("matplotlib", FONT_FILE)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def draw_caption(
    image: Image.Image,
    top: str = "",
    bottom: str = "",
    size: float = 20,
) -> Image.Image:
    """Return an RGB copy of an image with a caption on it, as meme generators set it.

    Captions are white capitals with a black outline, wrapped and centred, at the top and at the
    bottom. `size` is the font's, in pixels of an image 250 wide. ValueError where matplotlib, which
    ships the font, is not installed.
    """
    font_size = size * image.width / REFERENCE_WIDTH
    letters = _draw_letters(image.size, top, bottom, font_size)
    outline_width = max(1, round(font_size / 16))
    captioned = image.convert("RGB")
    captioned.paste(BLACK, mask=_dilate(letters, outline_width))
    captioned.paste(WHITE, mask=letters)
    return captioned


def _draw_letters(
    image_size: tuple[int, int],
    top: str,
    bottom: str,
    font_size: float,
) -> Image.Image:
    """The mask of a caption's letters, in the image's size: drawn wide, then squeezed."""
    width, height = image_size
    wide = Image.new("L", (round(width / CONDENSED), height))
    line_height = max(4, round(font_size))
    font = _load_font(line_height)
    stroke_width = round(font_size / 20)  # DejaVu Sans Bold is lighter than Impact

    text_width = 0.94 * wide.width
    top_lines = _wrap(top.upper(), font, text_width)
    bottom_lines = _wrap(bottom.upper(), font, text_width)
    margin = round(width / 60)
    bottom_start = height - margin - line_height * len(bottom_lines)

    draw = ImageDraw.Draw(wide)
    for lines, start in ((top_lines, margin), (bottom_lines, bottom_start)):
        for number, line in enumerate(lines):
            middle = start + (number + 0.5) * line_height
            draw.text(
                (wide.width / 2, middle),
                line,
                fill=255,
                font=font,
                anchor="mm",
                stroke_width=stroke_width,
            )
    return wide.resize((width, height), Resampling.BOX)


def draw_mark(image: Image.Image, text: str) -> Image.Image:
    """Sign an image with a site's name, in small grey type in its lower right corner.

    The image itself is changed and returned.
    """
    font_size = 9 * image.width / REFERENCE_WIDTH
    font = _load_font(max(4, round(font_size)))
    width = round(font.getlength(text)) + 2
    height = round(12 * image.width / REFERENCE_WIDTH)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    draw.text((1, height / 2), text, fill=180, font=font, anchor="lm")
    narrow = mask.resize((round(0.8 * width), height), Resampling.BOX)
    left = image.width - narrow.width - 1
    top = image.height - narrow.height
    image.paste(WHITE, (left, top), mask=narrow)
    return image


def _dilate(mask: Image.Image, radius: int) -> Image.Image:
    """Each pixel's maximum over the square of pixels within `radius`.

    This is Pillow's MaxFilter, in a tenth of the time.
    """
    along_columns = _column_maximum(np.asarray(mask), radius)
    along_rows = _column_maximum(along_columns.T, radius)
    return Image.fromarray(along_rows.T)


def _column_maximum(pixels: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    height = len(pixels)
    padded = np.pad(pixels, ((radius, radius), (0, 0)))
    shifted = [padded[shift : shift + height] for shift in range(2 * radius + 1)]
    return np.maximum.reduce(shifted)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels; a longer word gets its own line."""
    lines: list[str] = []
    for word in text.split():
        if lines:
            longer = f"{lines[-1]} {word}"
            if font.getlength(longer) <= width:
                lines[-1] = longer
                continue
        lines.append(word)
    return lines


@dataclass(frozen=True)
class Transform:
    """One kind of change to an image.

    `name` is its key in TRANSFORMS and `label` its name in figures. `strengths` are in `unit`, the
    mildest first. `apply` takes an RGB image, a strength and a Generator.
    """

    name: str
    label: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image.Image, float, Generator], Image.Image]


def _jpeg(image: Image.Image, quality: float, rng: Generator) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    with Image.open(file) as decoded:
        return decoded.convert("RGB")


def _resize(image: Image.Image, share: float, rng: Generator) -> Image.Image:
    width = max(1, round(image.width * share))
    height = max(1, round(image.height * share))
    return image.resize((width, height))


def _crop(image: Image.Image, share: float, rng: Generator) -> Image.Image:
    """Cut a share of the width and of the height away, at randomly chosen sides."""
    width = max(1, round(image.width * (1 - share)))
    height = max(1, round(image.height * (1 - share)))
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _border(image: Image.Image, share: float, rng: Generator) -> Image.Image:
    """Put a black or white frame around the image, as wide as a share of its shorter side."""
    colour = WHITE if rng.integers(2) else BLACK
    return ImageOps.expand(image, round(share * min(image.size)), colour)


def _rotation(image: Image.Image, degrees: float, rng: Generator) -> Image.Image:
    """Rotate clockwise or anticlockwise within the same frame, which leaves black corners."""
    return image.rotate(degrees * rng.choice([-1, 1]), Resampling.BICUBIC)


def _flip(image: Image.Image, kind: float, rng: Generator) -> Image.Image:
    """Mirror or turn the image; a flip has no strength, so that the five are five kinds of flip."""
    kinds = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.ROTATE_180,
        Transpose.ROTATE_90,
        Transpose.TRANSPOSE,
    )
    return image.transpose(kinds[int(kind) - 1])


def _caption(image: Image.Image, size: float, rng: Generator) -> Image.Image:
    top = " ".join(rng.choice(CAPTION_WORDS, 7))
    bottom = " ".join(rng.choice(CAPTION_WORDS, 7))
    return draw_caption(image, top, bottom, size)


def _watermark(image: Image.Image, opacity: float, rng: Generator) -> Image.Image:
    """Print a word across the middle, rising to the right, as picture agencies do."""
    width, height = image.size
    font = _load_font(max(4, width // 6))
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    draw.text((width / 2, height / 2), "SAMPLE", fill=255, font=font, anchor="mm")
    rising = mask.rotate(float(rng.uniform(20, 40)), Resampling.BILINEAR)
    faint = rising.point([round(level * opacity) for level in range(256)])
    stamped = image.copy()
    stamped.paste(WHITE, mask=faint)
    return stamped


def _blur(image: Image.Image, radius: float, rng: Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius * image.width / REFERENCE_WIDTH))


def _noise(image: Image.Image, deviation: float, rng: Generator) -> Image.Image:
    noise = rng.normal(0, deviation, (image.height, image.width, 3))
    return to_picture(np.rint(np.asarray(image) + noise))


def _either_way(factor: float, rng: Generator) -> float:
    """The factor or its reciprocal, each half of the time."""
    return factor if rng.random() < 0.5 else 1 / factor


def _brightness(image: Image.Image, factor: float, rng: Generator) -> Image.Image:
    """Make the image lighter or darker."""
    return ImageEnhance.Brightness(image).enhance(_either_way(factor, rng))


def _contrast(image: Image.Image, factor: float, rng: Generator) -> Image.Image:
    """Raise or lower the contrast around the mean."""
    return ImageEnhance.Contrast(image).enhance(_either_way(factor, rng))


def _gamma(image: Image.Image, power: float, rng: Generator) -> Image.Image:
    """Make middle tones darker or lighter; black and white stay as they are."""
    exponent = _either_way(power, rng)
    curve = [round(255 * (level / 255) ** exponent) for level in range(256)]
    return image.point(curve * 3)


def _grey(image: Image.Image, lost: float, rng: Generator) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 - lost)


_ALL = (
    Transform(
        name="jpeg",
        label="JPEG quality",
        unit="quality",
        strengths=(80, 60, 40, 20, 10),
        apply=_jpeg,
    ),
    Transform(
        name="resize",
        label="Resize",
        unit="of each side kept",
        strengths=(0.75, 0.5, 0.35, 0.25, 0.15),
        apply=_resize,
    ),
    Transform(
        name="crop",
        label="Crop",
        unit="of each side cut",
        strengths=(0.02, 0.05, 0.1, 0.2, 0.3),
        apply=_crop,
    ),
    Transform(
        name="border",
        label="Border",
        unit="of the side added all round",
        strengths=(0.02, 0.05, 0.1, 0.15, 0.25),
        apply=_border,
    ),
    Transform(
        name="rotation",
        label="Rotation",
        unit="degrees",
        strengths=(1, 2, 5, 10, 20),
        apply=_rotation,
    ),
    Transform(
        name="flip",
        label="Flip",
        unit="1 left–right, 2 top–bottom, 3 half turn, 4 quarter turn, 5 transposed",
        strengths=(1, 2, 3, 4, 5),
        apply=_flip,
    ),
    Transform(
        name="caption",
        label="Caption",
        unit="px high, 250 wide",
        strengths=(12, 18, 24, 30, 36),
        apply=_caption,
    ),
    Transform(
        name="watermark",
        label="Watermark",
        unit="opacity",
        strengths=(0.1, 0.25, 0.4, 0.6, 0.8),
        apply=_watermark,
    ),
    Transform(
        name="blur",
        label="Blur",
        unit="px radius, 250 wide",
        strengths=(1, 2, 3, 5, 8),
        apply=_blur,
    ),
    Transform(
        name="noise",
        label="Noise",
        unit="standard deviation, of 255",
        strengths=(5, 10, 20, 40, 80),
        apply=_noise,
    ),
    Transform(
        name="brightness",
        label="Brightness",
        unit="times, or one over",
        strengths=(1.1, 1.25, 1.5, 2, 3),
        apply=_brightness,
    ),
    Transform(
        name="contrast",
        label="Contrast",
        unit="times, or one over",
        strengths=(1.1, 1.25, 1.5, 2, 4),
        apply=_contrast,
    ),
    Transform(
        name="gamma",
        label="Gamma",
        unit="power, or one over",
        strengths=(1.1, 1.25, 1.5, 2, 3),
        apply=_gamma,
    ),
    Transform(
        name="grey",
        label="Grey",
        unit="of saturation lost",
        strengths=(0.2, 0.4, 0.6, 0.8, 1.0),
        apply=_grey,
    ),
)
TRANSFORMS: dict[str, Transform] = {transform.name: transform for transform in _ALL}
"""The fourteen transforms by name, in the order of the tables and figures."""
