"""Find the images of a folder, tell which family an image belongs to, and decode it with Pillow.

`open_rgb` is step 1 of FINd. Every error is a ValueError or an OSError whose text names the file,
says what is wrong with it, and says what to do.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif"),  # which the extra `heic` reads
)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Folders, in lower case, in which systems keep thumbnails and what was deleted. Others of theirs
# begin with a full stop, such as .Trash-1000 and .thumbnails.
SYSTEM_FOLDERS = (
    "@eadir",
    "__macosx",
    "#recycle",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
)
MAX_SIDE = 512  # pixels; step 1 shrinks larger images to it

_FAMILY_NAME = re.compile(r"([0-9]{4})_.+\.[A-Za-z0-9]+", re.DOTALL)
_IMAGE_IN_MEMORY = "the image given"  # stands for the file's name in errors


class ImageError(ValueError):
    """A file that holds no usable image. The text names the file, says why, and says what to do."""


class FolderListing(NamedTuple):
    """The files in a folder and in the folders below it.

    images: files whose suffix is one of SUFFIXES, sorted by path.
    passed_over: the number of other files by suffix, in lower case. Hidden files are not counted.
    hidden: the number of hidden and system folders that were not entered, by name, and under ".*"
        that of hidden images.
    excluded: the number of folders and images that match a pattern of the caller.
    """

    images: list[Path]
    passed_over: Counter[str]
    hidden: Counter[str]
    excluded: int


def list_images(directory: str | Path) -> list[Path]:
    """All images in a folder and below it, sorted by path; the images of `scan_folder`."""
    return scan_folder(directory).images


def scan_folder(
    directory: str | Path, *, hidden: bool = False, exclude: Sequence[str] = ()
) -> FolderListing:
    """List all images in a folder and below it, and count the other files.

    hidden: whether to list what is hidden, too: files and folders whose name begins with a full
    stop, and SYSTEM_FOLDERS. The folder itself may be one of these in any case.
    exclude: patterns such as "*.tif" or "raw/*", as in `fnmatch`. Folders and files are left out
    whose name matches one, or whose path from the folder on.

    An image is a file whose name ends in one of SUFFIXES, in upper or lower case. Links to folders
    are followed, but no folder is visited twice. What cannot be read (a folder that may not be
    listed, a broken link, a pipe with the name of an image) is listed as well, so that it is
    reported as an error later instead of being skipped silently. Where a link leads to a folder
    that is listed in any case, its images are listed there.

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
    walk = _Walk(root, hidden, exclude)
    walk.run()
    images = walk.unreadable_folders.copy()
    passed_over: Counter[str] = Counter()
    for path in walk.files:
        if _is_image_name(path.name):
            images.append(path)
        elif not path.name.startswith("."):
            passed_over[path.suffix.lower()] += 1
    left_out = walk.hidden.total() + walk.excluded
    if not images:
        expected = ", ".join(SUFFIXES)
        advice = f" {left_out} hidden or excluded ones are left out." if left_out else ""
        raise ValueError(
            f"{root}: no images in this folder or below it. Names ending in {expected} are "
            f"expected.{advice}"
        )
    images.sort(key=str)
    return FolderListing(images, passed_over, walk.hidden, walk.excluded)


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


@dataclass
class _Walk:
    """A walk through a folder and the folders below it; `run` fills the other fields.

    files: all files but those left out.
    unreadable_folders: the folders that may not be listed.
    hidden, excluded: what is left out, as in `FolderListing`.
    """

    root: Path
    shows_hidden: bool
    exclude: Sequence[str]
    files: list[Path] = field(default_factory=list)
    unreadable_folders: list[Path] = field(default_factory=list)
    hidden: Counter[str] = field(default_factory=Counter)
    excluded: int = 0

    def run(self) -> None:
        """Visit each folder once. Links wait until the real folders are visited, so that a file is
        listed by a path without links where it has one."""
        visited: set[tuple[int, int]] = set()
        starts = [str(self.root)]
        for start in starts:  # which grows on the way
            for folder, subfolders, names in os.walk(start, onerror=self._note_unreadable):
                status = os.stat(folder)
                identity = (status.st_dev, status.st_ino)
                if identity in visited:
                    subfolders.clear()  # os.walk then goes no deeper
                    continue
                visited.add(identity)
                entered = [name for name in sorted(subfolders) if self._is_entered(folder, name)]
                paths = [os.path.join(folder, name) for name in entered]
                starts.extend(path for path in paths if os.path.islink(path))
                subfolders[:] = entered
                self.files.extend(
                    Path(folder, name) for name in names if self._is_listed(folder, name)
                )

    def _note_unreadable(self, error: OSError) -> None:
        self.unreadable_folders.append(Path(error.filename))

    def _is_entered(self, folder: str, name: str) -> bool:
        is_hidden = name.startswith(".") or name.lower() in SYSTEM_FOLDERS
        if is_hidden and not self.shows_hidden:
            self.hidden[name] += 1
            return False
        return not self._is_excluded(folder, name)

    def _is_listed(self, folder: str, name: str) -> bool:
        if not _is_image_name(name):
            return True
        if name.startswith(".") and not self.shows_hidden:
            self.hidden[".*"] += 1
            return False
        return not self._is_excluded(folder, name)

    def _is_excluded(self, folder: str, name: str) -> bool:
        path = os.path.relpath(os.path.join(folder, name), self.root)
        for pattern in self.exclude:
            if fnmatchcase(name, pattern) or fnmatchcase(path, pattern.rstrip("/")):
                self.excluded += 1
                return True
        return False


def family_of(path: str | Path) -> str:
    """The family that an image's name gives: "0297" for 0297_21195384.jpg, "" for a name of any
    other form.

    A family is a group of near-duplicates, and such names are those of the class set.

    >>> family_of("photos/0297_21195384.jpg"), family_of("photos/holiday.jpg")
    ('0297', '')
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
        if _is_heic(source):
            _load_heic_reader(source)
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


def _is_heic(path: str | Path) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(12)
    return beginning[4:8] == b"ftyp" and beginning[8:12] in HEIC_BRANDS


def _load_heic_reader(path: str | Path) -> None:
    """Let Pillow read HEIC; ImageError where the extra for it is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ImageError(
            f"{path}: a HEIC picture, for which an extra is needed: pip install 'finlib[heic]'."
        ) from None
    register_heif_opener()


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
