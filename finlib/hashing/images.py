"""Find, label and decode images.

`open_rgb` is step 1 of FINd, the same for every hash studied. Every error is a ValueError or an OSError that names the
file, says what was expected and what to do.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
MAX_SIDE = 512
_NAME = re.compile(r"([0-9]{4})_.+\.[A-Za-z0-9]+", re.DOTALL)


class ImageError(ValueError):
    """A file that holds no usable image; the text names it, and says why and what to do."""


class FolderListing(NamedTuple):
    """The files below a folder.

    images: those with one of SUFFIXES, sorted by path.
    passed_over: the number of other files by suffix in lower case, hidden ones left out.
    """

    images: list[Path]
    passed_over: Counter[str]


def list_images(directory: str | Path) -> list[Path]:
    """The images of `scan_folder`."""
    return scan_folder(directory).images


def scan_folder(directory: str | Path) -> FolderListing:
    """Every file under `directory` with one of SUFFIXES, in any case, sorted by path.

    Links to folders are followed, each folder once. What cannot be read (a folder that may not be listed, a broken
    link, a pipe named as an image) is listed too, so that it shows up as an error later and is not skipped without a
    word.
    """
    root = Path(directory)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder. Give a folder that holds images.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root}: a folder of images was expected, not a file. Give the folder that holds it."
        )
    passed_over: Counter[str] = Counter()
    found = sorted(_walk(root, passed_over), key=str)
    if not found:
        raise ValueError(
            f"{root}: no images in this folder or below it. Expected names ending in {', '.join(SUFFIXES)}."
        )
    return FolderListing(found, passed_over)


def _walk(root: Path, passed_over: Counter[str]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    closed: list[Path] = []
    for folder, below, names in os.walk(
        root, onerror=lambda e: closed.append(Path(e.filename)), followlinks=True
    ):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below.sort()
        for name in names:
            if name.lower().endswith(SUFFIXES):
                yield Path(folder, name)
            elif not name.startswith("."):
                passed_over[Path(name).suffix.lower()] += 1
    yield from closed


def family_of(path: str | Path) -> str:
    """The family of an image named as in the class set: "0297" for 0297_21195384.jpg, "" for any other name."""
    match = _NAME.fullmatch(os.path.basename(path))
    return match.group(1) if match else ""


def open_image(source: str | Path | Image.Image) -> Image.Image:
    """A decoded copy at full size and in its own mode; an animation's first frame, no EXIF rotation, no draft mode.

    Over `Image.MAX_IMAGE_PIXELS` pixels are refused, where Pillow only warns up to twice that. FileNotFoundError,
    IsADirectoryError, PermissionError, or ImageError where there is a file but no usable image in it.
    """
    if isinstance(source, Image.Image):
        return _copy(source, "the image given")
    name = str(source)
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):  # opening a pipe would wait for ever
            if not os.path.isdir(source):
                raise ImageError(f"{name}: not a file. Give the path of an image file.")
            os.scandir(source).close()  # a folder that may not be listed says so
            raise IsADirectoryError(f"{name}: not a file. Give the path of an image file.")
        with Image.open(source) as image:
            return _copy(image, name)
    except (ImageError, IsADirectoryError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{name}: no such file. Check the path, or whether it was moved."
        ) from None
    except PermissionError:
        raise PermissionError(
            f"{name}: no permission to read this file. Change its permissions or owner."
        ) from None
    except UnidentifiedImageError:
        what = (
            "no image of a format that Pillow reads"
            if os.path.getsize(source)
            else "the file is empty"
        )
        raise ImageError(f"{name}: {what}. Replace it, or leave it out.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: refused as a decompression bomb ({error}). Shrink it first."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not Pillow's
            raise OSError(
                f"{name}: cannot be read ({error.strerror}). Check the path and the disk."
            ) from None
        raise _undecodable(name, error) from error


def _copy(image: Image.Image, name: str) -> Image.Image:
    width, height = image.size
    if not width or not height:
        raise ImageError(
            f"{name}: an image of {width} x {height} has no pixels. Replace it, or leave it out."
        )
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError(
            f"{name}: {width} x {height} is over the limit of {limit} pixels. Shrink it first."
        )
    return image.copy()


def _undecodable(name: str, error: Exception) -> ImageError:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ImageError(
        f"{name}: cannot be decoded ({why}). It is damaged or unusual: convert it, or leave it out."
    )


def open_rgb(source: str | Path | Image.Image) -> Image.Image:
    """Step 1 of FINd: `open_image`, shrunk in its own mode to fit 512 x 512, then converted to RGB."""
    image = open_image(source)
    try:
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        return image.convert("RGB")
    except Exception as error:
        raise _undecodable(
            "the image given" if isinstance(source, Image.Image) else str(source), error
        ) from error


def load_rgb(source: str | Path | Image.Image) -> numpy.ndarray:
    """`open_rgb` as an array, uint8[H, W, 3], writable and contiguous."""
    return numpy.array(open_rgb(source), dtype=numpy.uint8)
