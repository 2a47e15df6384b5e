"""Find the images of a folder, tell which family an image belongs to, and decode it with Pillow.

`open_rgb` is step 1 of FINd. Every error is a ValueError or an OSError whose text names the file,
says what is wrong with it, and says what to do.
"""

import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
MAX_SIDE = 512  # pixels; step 1 shrinks larger images to it

_FAMILY_NAME = re.compile(r"([0-9]{4})_.+\.[A-Za-z0-9]+", re.DOTALL)
_IMAGE_IN_MEMORY = "the image given"  # stands for the file's name in errors


class ImageError(ValueError):
    """A file that holds no usable image. The text names the file, says why, and says what to do."""


class FolderListing(NamedTuple):
    """The files in a folder and in the folders below it.

    images: files whose suffix is one of SUFFIXES, sorted by path.
    passed_over: the number of other files by suffix, in lower case. Hidden files are not counted.
    """

    images: list[Path]
    passed_over: Counter[str]


def list_images(directory: str | Path) -> list[Path]:
    """All images in a folder and below it, sorted by path; the images of `scan_folder`."""
    return scan_folder(directory).images


def scan_folder(directory: str | Path) -> FolderListing:
    """List all images in a folder and below it, and count the other files.

    An image is a file whose name ends in one of SUFFIXES, in upper or lower case. Links to folders
    are followed, but no folder is visited twice. What cannot be read (a folder that may not be
    listed, a broken link, a pipe with the name of an image) is listed as well, so that it is
    reported as an error later instead of being skipped silently.

    FileNotFoundError or NotADirectoryError where `directory` is no folder, ValueError where it
    holds no image.
    """
    root = Path(directory)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder. Give a folder that holds images.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root}: a folder of images was expected, not a file. Give the folder that holds it."
        )
    files, unreadable_folders = _walk(root)
    images = unreadable_folders.copy()
    passed_over: Counter[str] = Counter()
    for path in files:
        if path.name.lower().endswith(SUFFIXES):
            images.append(path)
        elif not path.name.startswith("."):
            passed_over[path.suffix.lower()] += 1
    if not images:
        expected = ", ".join(SUFFIXES)
        raise ValueError(
            f"{root}: no images in this folder or below it. Expected names ending in {expected}."
        )
    images.sort(key=str)
    return FolderListing(images, passed_over)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder, and the folders that may not be listed."""
    files: list[Path] = []
    unreadable_folders: list[Path] = []
    visited: set[tuple[int, int]] = set()

    def note_unreadable(error: OSError) -> None:
        unreadable_folders.append(Path(error.filename))

    for folder, subfolders, names in os.walk(root, onerror=note_unreadable, followlinks=True):
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in visited:
            subfolders.clear()  # os.walk then goes no deeper
            continue
        visited.add(identity)
        subfolders.sort()
        files.extend(Path(folder, name) for name in names)
    return files, unreadable_folders


def family_of(path: str | Path) -> str:
    """The family that an image's name gives: "0297" for 0297_21195384.jpg, "" for a name of any
    other form.

    A family is a group of near-duplicates, and such names are those of the class set.
    """
    match = _FAMILY_NAME.fullmatch(os.path.basename(path))
    return match.group(1) if match else ""


def open_image(source: str | Path | Image.Image) -> Image.Image:
    """Decode an image, at full size and in its own mode; an image in memory is copied.

    Of an animation this is the first frame. A rotation in the EXIF data is not applied, and
    Pillow's draft mode is not used. Images of more than `Image.MAX_IMAGE_PIXELS` pixels are
    refused, where Pillow only warns up to twice that.

    FileNotFoundError, IsADirectoryError, PermissionError or another OSError where the file cannot
    be read; ImageError where it holds no usable image.
    """
    if isinstance(source, Image.Image):
        return _checked_copy(source, _IMAGE_IN_MEMORY)
    try:
        _check_is_file(source)
        with Image.open(source) as image:
            return _checked_copy(image, str(source))
    except (ImageError, IsADirectoryError):  # these already say what to do
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files
        raise _explain(error, source) from error


def _check_is_file(path: str | Path) -> None:
    """Refuse what is no file before it is opened: opening a pipe would wait for ever."""
    if stat.S_ISREG(os.stat(path).st_mode):
        return
    message = f"{path}: not a file. Give the path of an image file."
    if os.path.isdir(path):
        os.scandir(path).close()  # raises PermissionError for a folder that may not be listed
        raise IsADirectoryError(message)
    raise ImageError(message)


def _checked_copy(image: Image.Image, name: str) -> Image.Image:
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(
            f"{name}: an image of {width} x {height} has no pixels. Replace it, or leave it out."
        )
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError(
            f"{name}: {width} x {height} is over the limit of {limit} pixels. Shrink it first."
        )
    return image.copy()


def _explain(error: Exception, path: str | Path) -> Exception:
    """The error to raise instead of one by Pillow or by the operating system."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"{path}: no such file. Check the path, or whether it was moved.")
    if isinstance(error, PermissionError):
        return PermissionError(
            f"{path}: no permission to read this file. Change its permissions or owner."
        )
    if isinstance(error, UnidentifiedImageError):
        if os.path.getsize(path) == 0:
            return ImageError(f"{path}: the file is empty. Replace it, or leave it out.")
        return ImageError(
            f"{path}: no image of a format that Pillow reads. Replace it, or leave it out."
        )
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageError(f"{path}: refused as a decompression bomb ({error}). Shrink it first.")
    if isinstance(error, OSError) and error.errno is not None:  # the system's, not Pillow's
        return OSError(f"{path}: cannot be read ({error.strerror}). Check the path and the disk.")
    return _undecodable(error, str(path))


def _undecodable(error: Exception, name: str) -> ImageError:
    reason = type(error).__name__
    if str(error):
        reason = f"{reason}: {error}"
    return ImageError(
        f"{name}: cannot be decoded ({reason}). It is damaged or unusual: "
        "convert it, or leave it out."
    )


def open_rgb(source: str | Path | Image.Image) -> Image.Image:
    """Step 1 of FINd: decode an image, shrink it in its own mode to fit 512 x 512, and convert it
    to RGB.

    Errors are those of `open_image`.
    """
    image = open_image(source)
    try:
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        return image.convert("RGB")
    except Exception as error:
        name = _IMAGE_IN_MEMORY if isinstance(source, Image.Image) else str(source)
        raise _undecodable(error, name) from error


def load_rgb(source: str | Path | Image.Image) -> NDArray[np.uint8]:
    """The pixels of `open_rgb`, uint8[H, W, 3], in a contiguous array of their own."""
    return np.array(open_rgb(source), dtype=np.uint8)
