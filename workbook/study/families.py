"""The built-in families: template pictures under captions, made from a seed and cached, never shipped.

A family is one template under many captions, as in FIN's class set. Image `i` of family `f` depends on the seed,
`f` and `i` alone, so a small set is part of every larger one.
"""

import hashlib
import os
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas
import PIL
import platformdirs
from numpy.random import Generator, default_rng
from PIL import Image, ImageOps

from finlib.hashing.images import family_of, list_images, open_rgb
from workbook.study.templates import SIDE, template
from workbook.study.transforms import draw_caption, draw_mark

RECIPE = 4  # part of the cache's folder names: one more whenever the pixels change
FAMILIES, PER_FAMILY = 160, 30
CLASS_SET_MD5 = "fcb1ff3c62f3ca39c39985a4bba0d873"
PER_TEMPLATE = 50  # captions for each of one's own templates
MOST_FAMILIES, MOST_PER_FAMILY = 10_000, 9_999

# Captions as in the class set: sizes of type in pixels with their shares, words, and where they stand. Set so that
# distances within families match those published; notebook 05 shows how well they do.
SIZES, SIZE_SHARES = (16, 20, 24, 28, 32), (0.18, 0.24, 0.26, 0.19, 0.13)
MOST_WORDS, MEAN_WORDS, FAMILY_SPREAD = 8, 3.3, 0.9
ABOVE, BELOW = 0.95, 0.98
MARK = "examplepictures.net"

VOCABULARY = """
a about after again all alarm always and another answer apple are at awake bad battery because before behind best
better boss bread break breakfast bring brother bus but button buy by cake call came can cannot car cat chair cheese
class clean clock coffee cold come computer cookies cousin day did dinner dishes do does dog done door dream drink
early eat email end enough even ever every everyone exam excuse fall fast feel fell file find fine first fish five
floor food forget forgot found free fridge friday friend from game garden gave get girl give go going gone good got
great grow guess had half hand happy hard has hat have he hear help her here hides his holiday home homework hope hour
house how i idea if in internet is it job joke just keep key kids kitchen knew know late laundry learn leave left less
like little live long look lost loud love lunch made make maybe me meeting midnight milk mind minutes monday money more
morning most mother move much music my name need neighbour never new next nice night no nobody noise not nothing now of
off ok old on once one only open or orders other our out over own pants paper park party password pay people phone
pizza plan plants play please point pretend print problem put question queue quick rain read ready real remember rent
right run said same saturday saw say says school see send shoes shop should show sleep slow small snow so socks some
someone something song soon sorry spoon start stay still stop story study summer sunday sure switch table take talk
tea teacher team tell test than thanks that the their them then there they thing think this three through ticket time
today together told tomorrow too took train trust try tuesday turn two umbrella under until up us use very wait wake
walk wallet want warm was wash watch water way we weather wednesday week weekend well went what when where which while
who why wifi will window winter with without woke wonder word work world would wrong year yes yesterday you your
"""
WORDS = VOCABULARY.split()


def cache_folder() -> Path:
    """Where families are kept: $FINLIB_CACHE, else finlib/ in the platform's cache folder. Safe to delete."""
    given = os.environ.get("FINLIB_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("finlib")


def make_families(
    families: int = FAMILIES,
    per_family: int = PER_FAMILY,
    seed: int = 2026,
    templates: str | Path | None = None,
) -> Path:
    """A folder of `families` x `per_family` JPEGs named FFFF_ID.jpg, 250 x 250, made if it is not in the cache.

    `templates` is a folder of uncaptioned pictures to use instead of the built-in ones (at most `families` of them, in
    the order of their paths; square middles). Made beside its place and renamed into it, so that a folder in the cache
    is complete, whatever else builds it at the same time. 1,034 x 54 is the size of FIN's class set.
    """
    for name, value, least, most in (
        ("families", families, 1, MOST_FAMILIES),
        ("per_family", per_family, 1, MOST_PER_FAMILY),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name}={value}: expected {least} to {most}")
    pictures = _readable(list_images(templates))[:families] if templates is not None else None
    families = len(pictures) if pictures is not None else families
    folder = cache_folder() / _folder_name(families, per_family, seed, pictures)
    if folder.is_dir() and len(os.listdir(folder)) == families * per_family:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    except OSError as error:
        raise OSError(
            f"{folder.parent}: cannot keep the built-in families here ({error.strerror}). "
            "Set FINLIB_CACHE to a folder that can be written to."
        ) from error
    try:
        with ThreadPoolExecutor() as pool:  # Pillow works outside the interpreter's lock
            for _ in pool.map(
                partial(_make_family, building, per_family, seed, pictures), range(families)
            ):
                pass
        _publish(building, folder, families * per_family)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _readable(pictures: list[Path]) -> list[Path]:
    """Those of the pictures that can be read, the others named in a warning; ValueError where none can."""
    errors = {}
    for path in pictures:
        try:
            open_rgb(path)
        except (OSError, ValueError) as error:
            errors[path] = str(error)
    if errors:
        told = f"{len(errors)} of {len(pictures)} pictures cannot be read: {next(iter(errors.values()))}"
        if len(errors) == len(pictures):
            raise ValueError(told)
        warnings.warn(f"left out: {told}", stacklevel=3)
    return [path for path in pictures if path not in errors]


def _folder_name(families: int, per_family: int, seed: int, pictures: list[Path] | None) -> str:
    """Whatever decides the pixels: the recipe, Pillow's version, and the templates' names, sizes and times."""
    stamps = [
        (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns)
        for path in pictures or []
    ]
    key = hashlib.sha256(repr((RECIPE, PIL.__version__, stamps)).encode()).hexdigest()[:10]
    return f"families-{families}x{per_family}-seed{seed}-{key}"


def _make_family(
    folder: Path, per_family: int, seed: int, pictures: list[Path] | None, family: int
) -> None:
    picture = (
        template(family, seed)
        if pictures is None
        else ImageOps.fit(open_rgb(pictures[family]), (SIDE, SIDE))
    )
    # A family's captions are shorter or longer than others': some families are easier, some harder.
    words = float(default_rng([seed, family]).normal(MEAN_WORDS, FAMILY_SPREAD))
    for number in range(per_family):
        rng = default_rng([seed, family, number])
        captioned, quality = _captioned(picture, rng, words), int(rng.integers(75, 91))
        name = f"{family:04d}_{10_000_000 + 1000 * number + int(rng.integers(1000))}.jpg"
        captioned.save(folder / name, quality=quality)


def _captioned(picture: Image.Image, rng: Generator, words: float = MEAN_WORDS) -> Image.Image:
    """The picture under captions of about `words` words above and below, in one size of type, and a site's mark."""
    size = int(rng.choice(SIZES, p=SIZE_SHARES))
    share = min(max((words - 1) / (MOST_WORDS - 1), 0.0), 1.0)
    top, bottom = (
        " ".join(rng.choice(WORDS, 1 + int(rng.binomial(MOST_WORDS - 1, share)))) for _ in range(2)
    )
    above, below = rng.random(2)
    captioned = draw_caption(
        picture,
        top if above < ABOVE else "",
        bottom if below < BELOW or above >= ABOVE else "",
        size,
    )
    return draw_mark(captioned, MARK)


def _publish(building: Path, folder: Path, expected: int) -> None:
    """Rename the finished folder into place, unless another process has done so; a damaged one gives way."""
    try:
        building.rename(folder)
    except OSError:
        if len(os.listdir(folder)) == expected:
            return
        damaged = Path(tempfile.mkdtemp(prefix="damaged-", dir=folder.parent))
        folder.rename(damaged / "old")
        building.rename(folder)
        shutil.rmtree(damaged, ignore_errors=True)


def dataset(
    data_dir: str | Path = "",
    families: int = 0,
    per_family: int = 0,
    seed: int = 2026,
    *,
    caption: bool = True,
) -> pandas.DataFrame:
    """Images and their families: columns path (str) and family ("FFFF"), sorted by path.

    `data_dir` is "" for the built-in families, `families` x `per_family` of them (0: 160 x 30); or a folder of images
    named FFFF_ID.ext, as the class set, at most `families` families and `per_family` images of each drawn from the seed
    (0: all); or a folder without such names: templates, captioned into the cache, or with caption=False pictures as
    they are, their family "". In a folder of both kinds the images named otherwise are left out with a warning. Where
    das_images.zip lies in the folder or beside it, its md5 must be the class set's.
    """
    if families < 0 or per_family < 0:
        raise ValueError(
            f"families={families}, per_family={per_family}: expected 0 (the default) or more"
        )
    if not str(data_dir):
        return _sampled(
            list_images(make_families(families or FAMILIES, per_family or PER_FAMILY, seed)),
            0,
            0,
            seed,
        )
    for place in (Path(data_dir), Path(data_dir).resolve().parent):
        if (place / "das_images.zip").is_file():
            check_class_set(place / "das_images.zip")
    found = list_images(data_dir)
    named = [path for path in found if family_of(path)]
    if not named and not caption:
        return _sampled(found, 0, 0, seed)
    if not named:
        made = make_families(
            families or min(len(found), MOST_FAMILIES), per_family or PER_TEMPLATE, seed, data_dir
        )
        return _sampled(list_images(made), 0, 0, seed)
    if left_out := len(found) - len(named):
        warnings.warn(
            f"{data_dir}: {left_out} of {len(found)} images are not named FFFF_ID.ext and are left out",
            stacklevel=2,
        )
    return _sampled(named, families, per_family, seed)


def check_class_set(zip_path: str | Path) -> None:
    """Raise ValueError unless the file is the class set as handed out, das_images.zip, by its md5."""
    with open(zip_path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != CLASS_SET_MD5:
        raise ValueError(
            f"{zip_path}: md5 {digest}, but the class set das_images.zip has {CLASS_SET_MD5}. "
            "The download is incomplete or another file: fetch it again."
        )


def _sampled(paths: list[Path], families: int, per_family: int, seed: int) -> pandas.DataFrame:
    frame = pandas.DataFrame(
        {"path": [str(path) for path in paths], "family": [family_of(path) for path in paths]}
    )
    frame["order"] = default_rng(seed).permutation(len(frame))
    if families:
        first = frame.groupby("family")["order"].min().nsmallest(families)
        frame = frame[frame["family"].isin(first.index)]
    if per_family:
        frame = frame[frame.groupby("family")["order"].rank() <= per_family]
    return frame.drop(columns="order").reset_index(drop=True)
