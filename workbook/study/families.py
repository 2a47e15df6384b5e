"""Make the built-in families: template pictures under many captions, kept in a cache.

A family is a group of near-duplicates: one template under different captions, as in FIN's class
set. Image number `i` of family `f` depends on the seed, `f` and `i` alone, so that a small set is
part of every larger one. No image is shipped; they are made from the seed when they are needed.

**How the set is built, and which published facts it matches.** The recipe was fixed before any
method was scored on it, and is not changed to move a result.

- Of 100 pictures 38 stand on rays, a wheel or a flat ground, which unrelated pictures share. On the
  site that the class set comes from, 35 to 40 of 100 popular templates do, counted by eye.
- 40 of 100 are squares of photographs that the dependencies ship, and 22 are drawn. No two squares
  overlap, so that pictures of different families are unrelated, and no family has to be left out as
  near kin. On the grounds stand portraits, squares of photographs and drawn animals. So in the
  standard set of 160 families 110 show photographs. Larger sets run out of squares after 64 and of
  portraits after 100; what is missing is drawn.
- The detail of the pictures that stand on no ground is drawn from that of 143 meme templates.
- Sizes of type and numbers of words were fitted to the 5, 50 and 95% quantiles of the class set's
  published distances within families, by FINd and by wHash. Other quantiles and those of
  unrelated pairs were seen while the set was built, so they are a weak check; those of pHash were
  not. All these are distances, not scores: which method separates families best was not looked at.
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
from finlib.scoring.labels import AUTO, read_names
from workbook.study.templates import SIDE, template
from workbook.study.transforms import draw_caption, draw_mark

RECIPE = 5  # part of the cache's folder names: increase it whenever the pixels change
FAMILIES = 160
PER_FAMILY = 30
PER_TEMPLATE = 50  # captions for each template of the user's own
MOST_FAMILIES = 10_000
MOST_PER_FAMILY = 9_999
CLASS_SET_ZIP = "das_images.zip"
CLASS_SET_MD5 = "fcb1ff3c62f3ca39c39985a4bba0d873"

# Captions as in the class set: sizes of type in pixels with their shares, the number of words, and
# how often there is a caption above and below. They were set so that distances within families
# match the published ones; notebook 05 shows how well they do.
SIZES = (16, 20, 24, 28, 32)
SIZE_SHARES = (0.17, 0.24, 0.3, 0.19, 0.1)
MOST_WORDS = 8
MEAN_WORDS = 3.2
FAMILY_SPREAD = 0.5  # standard deviation of the mean number of words between families
ABOVE = 0.95
BELOW = 0.98
MARK = "examplepictures.net"

VOCABULARY = """
a about after again all alarm always and another answer apple are at awake bad battery because
before behind best better boss bread break breakfast bring brother bus but button buy by cake call
came can cannot car cat chair cheese class clean clock coffee cold come computer cookies cousin day
did dinner dishes do does dog done door dream drink early eat email end enough even ever every
everyone exam excuse fall fast feel fell file find fine first fish five floor food forget forgot
found free fridge friday friend from game garden gave get girl give go going gone good got great
grow guess had half hand happy hard has hat have he hear help her here hides his holiday home
homework hope hour house how i idea if in internet is it job joke just keep key kids kitchen knew
know late laundry learn leave left less like little live long look lost loud love lunch made make
maybe me meeting midnight milk mind minutes monday money more morning most mother move much music
my name need neighbour never new next nice night no nobody noise not nothing now of off ok old on
once one only open or orders other our out over own pants paper park party password pay people
phone pizza plan plants play please point pretend print problem put question queue quick rain read
ready real remember rent right run said same saturday saw say says school see send shoes shop
should show sleep slow small snow so socks some someone something song soon sorry spoon start stay
still stop story study summer sunday sure switch table take talk tea teacher team tell test than
thanks that the their them then there they thing think this three through ticket time today
together told tomorrow too took train trust try tuesday turn two umbrella under until up us use
very wait wake walk wallet want warm was wash watch water way we weather wednesday week weekend
well went what when where which while who why wifi will window winter with without woke wonder word
work world would wrong year yes yesterday you your
"""
WORDS = VOCABULARY.split()


def cache_folder() -> Path:
    """The folder where families are kept, which is safe to delete.

    It is $FINLIB_CACHE where that is set, else finlib/ in the platform's cache folder.
    """
    chosen = os.environ.get("FINLIB_CACHE")
    if chosen:
        return Path(chosen)
    return platformdirs.user_cache_path("finlib")


def make_families(
    families: int = FAMILIES,
    per_family: int = PER_FAMILY,
    seed: int = 2026,
    templates: str | Path | None = None,
) -> Path:
    """A folder of families x per_family captioned images, made unless it is in the cache already.

    The images are JPEGs of 250 x 250 pixels named FFFF_ID.jpg. `templates` is a folder of
    uncaptioned pictures to use instead of the built-in ones: at most `families` of them, in the
    order of their paths, cut to their square middles. 1,034 families of 54 are as many as FIN's
    class set has.

    Images are made in a temporary folder that is renamed at the end, so that a folder in the cache
    is complete, whatever else makes it at the same time. ValueError for a number out of range,
    OSError where the cache cannot be written.
    """
    _check_range("families", families, MOST_FAMILIES)
    _check_range("per_family", per_family, MOST_PER_FAMILY)
    pictures = None
    if templates is not None:
        pictures = _readable(list_images(templates))[:families]
        families = len(pictures)
    folder = cache_folder() / _folder_name(families, per_family, seed, pictures)
    expected = families * per_family
    if folder.is_dir() and len(os.listdir(folder)) == expected:
        return folder
    building = _start_building(folder.parent)
    try:
        make_one = partial(_make_family, building, per_family, seed, pictures)
        with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter's lock
            list(pool.map(make_one, range(families)))
        _publish(building, folder, expected)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _check_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"{name} is {value}, but expected 1 to {most}.")


def _start_building(cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    except OSError as error:
        raise OSError(
            f"The cache {cache} for the built-in families cannot be written ({error.strerror}). "
            "Set FINLIB_CACHE to a folder that can be written."
        ) from error


def _readable(pictures: list[Path]) -> list[Path]:
    """The pictures that can be read; a warning counts the others, ValueError where none can."""
    readable = []
    errors = []
    for path in pictures:
        try:
            open_rgb(path)
        except (OSError, ValueError) as error:
            errors.append(str(error))
        else:
            readable.append(path)
    if errors:
        problem = f"{len(errors)} of {len(pictures)} templates cannot be read: {errors[0]}"
        if not readable:
            raise ValueError(problem)
        warnings.warn(f"Left out: {problem}", stacklevel=3)
    return readable


def _folder_name(
    families: int,
    per_family: int,
    seed: int,
    pictures: list[Path] | None,
) -> str:
    """A name that stands for everything that decides the pixels.

    That is the recipe, Pillow's version, and the templates' names, sizes and times of change.
    """
    stamps = []
    for path in pictures or []:
        status = path.stat()
        stamps.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    decisive = repr((RECIPE, PIL.__version__, stamps))
    key = hashlib.sha256(decisive.encode()).hexdigest()[:10]
    return f"families-{families}x{per_family}-seed{seed}-{key}"


def _make_family(
    folder: Path,
    per_family: int,
    seed: int,
    pictures: list[Path] | None,
    family: int,
) -> None:
    """Write the images of one family."""
    if pictures is None:
        picture = template(family, seed)
    else:
        picture = ImageOps.fit(open_rgb(pictures[family]), (SIDE, SIDE))
    # Some families have longer captions than others, which makes them harder to match.
    words = float(default_rng([seed, family]).normal(MEAN_WORDS, FAMILY_SPREAD))
    for number in range(per_family):
        rng = default_rng([seed, family, number])
        image = add_random_caption(picture, rng, words)
        quality = int(rng.integers(75, 91))
        image_id = 10_000_000 + 1000 * number + int(rng.integers(1000))
        image.save(folder / f"{family:04d}_{image_id}.jpg", quality=quality)


def add_random_caption(
    picture: Image.Image,
    rng: Generator,
    words: float = MEAN_WORDS,
) -> Image.Image:
    """A copy of a picture under a random caption and a site's mark, as memes have them.

    The captions above and below have about `words` words each, in one size of type.
    """
    size = int(rng.choice(SIZES, p=SIZE_SHARES))
    share = (words - 1) / (MOST_WORDS - 1)
    share = min(max(share, 0.0), 1.0)
    top = _random_text(rng, share)
    bottom = _random_text(rng, share)
    above, below = rng.random(2)
    has_top = above < ABOVE
    has_bottom = below < BELOW or not has_top
    captioned = draw_caption(
        picture,
        top if has_top else "",
        bottom if has_bottom else "",
        size,
    )
    return draw_mark(captioned, MARK)


def _random_text(rng: Generator, share: float) -> str:
    """One word, and each of MOST_WORDS - 1 further ones with the probability `share`."""
    count = 1 + int(rng.binomial(MOST_WORDS - 1, share))
    return " ".join(rng.choice(WORDS, count))


def _publish(building: Path, folder: Path, expected: int) -> None:
    """Rename the finished folder into place.

    A complete one that another process has put there meanwhile stays; a damaged one is replaced.
    """
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
    labels: str = AUTO,
) -> pandas.DataFrame:
    """The images to study and their families: columns path and family, sorted by path.

    `data_dir` is one of these:

    - "": the built-in families, `families` x `per_family` of them (0 stands for 160 and 30);
    - a folder of images named FFFF_ID.ext, as in the class set: at most `families` families and
      `per_family` images of each, drawn from the seed (0 stands for all). Images with other names
      are left out with a warning;
    - a folder whose names are not read as labels (see `read_names`): templates, which are captioned
      into the cache. With caption=False the pictures are taken as they are, with "" as their
      family.

    Where das_images.zip lies in the folder or next to it, its md5 must be the class set's.
    ValueError for a negative number, and for `labels` that are not known.
    """
    if families < 0 or per_family < 0:
        raise ValueError(
            f"families is {families} and per_family is {per_family}, "
            "but expected 0 (which stands for the default) or more."
        )
    if not str(data_dir):
        folder = make_families(families or FAMILIES, per_family or PER_FAMILY, seed)
        return _whole_table(list_images(folder))
    _check_zip_near(Path(data_dir))
    paths = list_images(data_dir)
    reading = read_names(paths, labels)
    if reading.are_labels:
        labelled = [path for path in paths if family_of(path)]
        _warn_of_other_names(data_dir, reading.others, len(paths))
        return _sample(_whole_table(labelled), families, per_family, seed)
    if caption:
        templates = families or min(len(paths), MOST_FAMILIES)
        folder = make_families(templates, per_family or PER_TEMPLATE, seed, data_dir)
        return _whole_table(list_images(folder))
    return _whole_table(paths).assign(family="")


def _check_zip_near(folder: Path) -> None:
    for place in (folder, folder.resolve().parent):
        archive = place / CLASS_SET_ZIP
        if archive.is_file():
            check_class_set(archive)


def check_class_set(zip_path: str | Path) -> None:
    """Raise ValueError unless a file is the class set as handed out, das_images.zip, by its md5."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(zip_path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != CLASS_SET_MD5:
        raise ValueError(
            f"{zip_path} has the md5 {digest.hexdigest()}, but the class set {CLASS_SET_ZIP} has "
            f"{CLASS_SET_MD5}. The download is incomplete or another file: fetch it again."
        )


def _warn_of_other_names(folder: str | Path, others: int, images: int) -> None:
    if others:
        warnings.warn(
            f"{folder}: {others} of {images} images are not named FFFF_ID.ext and are left out.",
            stacklevel=3,
        )


def _whole_table(paths: list[Path]) -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "path": [str(path) for path in paths],
            "family": [family_of(path) for path in paths],
        }
    )


def _sample(
    table: pandas.DataFrame,
    families: int,
    per_family: int,
    seed: int,
) -> pandas.DataFrame:
    """At most `families` families and `per_family` images of each, drawn; 0 stands for all."""
    order = default_rng(seed).permutation(len(table))
    table = table.assign(order=order)
    if families:
        first = table.groupby("family")["order"].min()
        chosen = first.nsmallest(families).index
        table = table[table["family"].isin(chosen)]
    if per_family:
        rank = table.groupby("family")["order"].rank()
        table = table[rank <= per_family]
    return table.drop(columns="order").reset_index(drop=True)
