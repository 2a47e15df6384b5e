"""Find the images of a folder, tell which family an image belongs to, and decode it with Pillow.

`open_rgb` is step 1 of FINd. Every error is a ValueError or an OSError whose text names the file,
says what is wrong with it, and says what to do.
"""

import mmap
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finlib.files import content_digest, file_digest
from finlib.hashing import jpeg

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif"),  # which the extra `heic` reads
)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Folders, in lower case and as patterns of `fnmatch`, in which systems and network drives keep
# thumbnails, snapshots and what was deleted. Others of theirs begin with a full stop, such as
# .Trash-1000 and .thumbnails.
SYSTEM_FOLDERS = (
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "__macosx",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "found.[0-9][0-9][0-9]",
    "lost+found",
    "lost.dir",
    "network trash folder",
    "recycled",
    "recycler",
    "system volume information",
    "temporary items",
    "trash",
)
MAX_SIDE = 512  # pixels; step 1 shrinks larger images to it
# Pillow's names of the formats that are read. It knows more, some of which need other programs.
FORMATS = (
    "JPEG",
    "MPO",
    "PNG",
    "GIF",
    "WEBP",
    "HEIF",
    "AVIF",
    "BMP",
    "DIB",
    "TIFF",
    "JPEG2000",
    "PPM",
    "ICO",
    "ICNS",
    "TGA",
    "PCX",
    "PSD",
    "SGI",
    "QOI",
    "DDS",
    "XBM",
)
# Others that have an image's suffix now and then, by the bytes that they begin with.
OTHER_FORMATS = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"<svg": "SVG",
}
FORMAT_STARTS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG": "a PNG",
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"RIFF": "a WebP",
}
PREFIX_BYTES = 16  # more than the longest of these
WHOLE_BYTES = 1 << 26  # files of at most this size are read into memory
MOST_BYTES = 1 << 30  # larger files are refused, unless larger pictures are allowed
BYTES_PER_PIXEL = 12  # more than any picture takes without compression

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # chunks that do not bear on the pixels
PNG_CHUNK_OVERHEAD = 12  # bytes of a chunk's length, name and checksum

_FAMILY_NAME = re.compile(r"([0-9]{4})_.+\.[A-Za-z0-9]+", re.DOTALL)
IMAGE_IN_MEMORY = "the image given"  # stands for the file's name in errors


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


def _is_system_folder(name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in SYSTEM_FOLDERS)


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
        is_hidden = name.startswith(".") or _is_system_folder(name)
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


@contextmanager
def pixel_limit(pixels: int | None) -> Iterator[None]:
    """Allow images of this number of pixels while the block runs, for the whole process.

    It stands in for Pillow's own limit, `Image.MAX_IMAGE_PIXELS`; None leaves that as it is.
    """
    earlier = Image.MAX_IMAGE_PIXELS
    if pixels is not None:
        Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = earlier


def family_of(path: str | Path) -> str:
    """The family that an image's name gives: "0297" for 0297_21195384.jpg, "" for a name of any
    other form.

    A family is a group of near-duplicates, and such names are those of the class set.

    >>> family_of("photos/0297_21195384.jpg"), family_of("photos/holiday.jpg")
    ('0297', '')
    """
    match = _FAMILY_NAME.fullmatch(os.path.basename(path))
    return match.group(1) if match else ""


class FileContent(NamedTuple):
    """An image file that has been read, for what starts from its bytes.

    path: the file's name.
    data: its bytes; none where there are more than WHOLE_BYTES.
    """

    path: str | Path
    data: bytes

    def digest(self) -> str:
        """The digest of the content, by `finlib.files.file_digest`."""
        if self.data:
            return content_digest(self.data)
        return file_digest(self.path)


def read_content(source: str | Path | FileContent) -> FileContent:
    """Read an image file, unless that is done already. Errors are those of `open_image`."""
    if isinstance(source, FileContent):
        return source
    try:
        size = _check_is_file(source)
        if size > WHOLE_BYTES:
            return FileContent(source, b"")
        with open(source, "rb", opener=_open_without_waiting) as file:
            # Python reserves as many bytes as are asked for, which takes longer than reading them.
            return FileContent(source, file.read(size + 1))
    except (ImageError, IsADirectoryError):  # these already say what to do
        raise
    except Exception as error:
        raise _explain(error, source) from error


def _check_is_file(path: str | Path) -> int:
    """Return the size of a file in bytes. What is no file is refused before it is opened: opening a
    pipe would wait for ever. So is a file that is too large.
    """
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        _check_bytes(status.st_size, path)
        return status.st_size
    message = f"{path}: not a file. Give the path of an image file."
    if os.path.isdir(path):
        os.scandir(path).close()  # raises PermissionError for a folder that may not be listed
        raise IsADirectoryError(message)
    raise ImageError(message)


def _is_heic(path: str | Path, data: bytes) -> bool:
    beginning = data[:12]
    if not data:
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


def _check_bytes(size: int, path: str | Path) -> None:
    """ImageError where a file has more bytes than the largest picture that is allowed can take."""
    pixels = Image.MAX_IMAGE_PIXELS
    if pixels is None or size <= max(MOST_BYTES, BYTES_PER_PIXEL * pixels):
        return
    raise ImageError(
        f"{path}: a file of {size:,} bytes is over the limit of {MOST_BYTES:,}. Store the picture "
        f"alone, or allow it by --max-pixels {size // BYTES_PER_PIXEL + 1}."
    )


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file that may have become a pipe since it was looked at."""
    return os.open(path, flags | os.O_NONBLOCK)


def open_image(source: str | Path | Image.Image) -> Image.Image:
    """Decode an image, at full size and in its own mode; an image in memory is copied.

    Of an animation this is the first frame. A rotation in the EXIF data is not applied, and
    Pillow's draft mode is not used. Files are read by their content, in the formats FORMATS.

    Refused are images of more than `Image.MAX_IMAGE_PIXELS` pixels, where Pillow only warns up to
    twice that, JPEGs with too many scans (see `jpeg.has_too_many_scans`), and files of more than
    MOST_BYTES and BYTES_PER_PIXEL. A JPEG that lacks the two bytes of its end is read, and so is a
    PNG whose texts are too long for Pillow.

    FileNotFoundError, IsADirectoryError, PermissionError or another OSError where the file cannot
    be read; ImageError where it holds no usable image.
    """
    if isinstance(source, Image.Image):
        return _checked_copy(source, IMAGE_IN_MEMORY)
    return open_content(read_content(source))


def open_content(content: FileContent) -> Image.Image:
    """Decode the image of a file that has been read, as `open_image` does."""
    try:
        return _decode(content.path, content.data)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files
        data = _mend(content.data)
        if data is None:
            raise _explain(error, content.path) from error
        try:
            return _decode(content.path, data)
        except Exception:  # what is wrong with the file as it is says more
            raise _explain(error, content.path) from error


def _decode(path: str | Path, data: bytes) -> Image.Image:
    """Decode the bytes of a file, or the file itself where they are not in memory."""
    source: str | Path | IO[bytes] = BytesIO(data) if data else path
    if _is_heic(path, data):
        _load_heic_reader(path)
    with Image.open(source, formats=_known_formats()) as image:
        name = str(path)
        _check_size(image, name)
        if image.format in ("JPEG", "MPO"):
            _check_scans(image, path, data)
        return image.copy()


def _known_formats() -> list[str]:
    """Those of FORMATS that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_scans(image: Image.Image, path: str | Path, data: bytes) -> None:
    pixels = image.width * image.height
    if data:
        is_slow = jpeg.has_too_many_scans(data, pixels)
    else:
        with open(path, "rb") as file, _map(file) as mapped:
            is_slow = jpeg.has_too_many_scans(mapped, pixels)
    if is_slow:
        raise ImageError(
            f"{path}: a JPEG of so many scans takes too long to decode. Save it again, or leave it "
            "out."
        )


def _map(file: IO[bytes]) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _mend(data: bytes) -> bytes | None:
    """The bytes of a sound file in place of those that Pillow refuses for no good reason."""
    if jpeg.lacks_end_alone(data):
        return data + jpeg.END
    if data.startswith(PNG_START):
        without_texts = _drop_texts(data)
        if len(without_texts) < len(data):
            return without_texts
    return None


def _drop_texts(data: bytes) -> bytes:
    """A PNG without the chunks that do not bear on its pixels; Pillow limits their length."""
    parts = [data[: len(PNG_START)]]
    start = len(PNG_START)
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        end = start + length + PNG_CHUNK_OVERHEAD
        if data[start + 4 : start + 8] not in PNG_TEXTS:
            parts.append(data[start:end])
        start = end
    return b"".join(parts)


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(
            f"{name}: an image of {width} x {height} has no pixels. Replace it, or leave it out."
        )
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError(
            f"{name}: {width} x {height} is over the limit of {limit} pixels. Shrink it first, or "
            f"allow it by --max-pixels {width * height}."
        )


def _checked_copy(image: Image.Image, name: str) -> Image.Image:
    _check_size(image, name)
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
        return _unknown_format(path)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageError(
            f"{path}: refused as a decompression bomb ({error}). Shrink it first, or allow it by "
            "--max-pixels."
        )
    if isinstance(error, OSError) and error.errno is not None:  # the system's, not Pillow's
        return OSError(f"{path}: cannot be read ({error.strerror}). Check the path and the disk.")
    return undecodable(error, str(path))


def _unknown_format(path: str | Path) -> ImageError:
    """Say why no format was recognised in a file."""
    with open(path, "rb") as file:
        prefix = file.read(PREFIX_BYTES)
    if not prefix:
        return ImageError(f"{path}: the file is empty. Replace it, or leave it out.")
    for start, name in OTHER_FORMATS.items():
        if prefix.startswith(start):
            return ImageError(
                f"{path}: no image of a format that finlib reads, but {name}. Convert it, or leave "
                "it out."
            )
    for start, name in FORMAT_STARTS.items():
        if prefix.startswith(start):
            return ImageError(
                f"{path}: it begins like {name}, but its header is damaged or of a kind that "
                "Pillow does not read. Convert it, or leave it out."
            )
    return ImageError(
        f"{path}: no image of a format that finlib reads. Replace it, or leave it out."
    )


def undecodable(error: Exception, name: str) -> ImageError:
    """The error to raise instead of one that Pillow raised on an image's pixels."""
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
        name = IMAGE_IN_MEMORY if isinstance(source, Image.Image) else str(source)
        raise undecodable(error, name) from error


def load_rgb(source: str | Path | Image.Image) -> NDArray[np.uint8]:
    """The pixels of `open_rgb`, uint8[H, W, 3], in a contiguous array of their own."""
    return np.array(open_rgb(source), dtype=np.uint8)
