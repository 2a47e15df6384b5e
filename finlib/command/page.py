"""A page of pairs or clusters to look at and to mark right or wrong: what `finlib show` does.

The page is one HTML file with thumbnails that opens offline and asks for nothing from elsewhere.
Names of files reach it as JSON and are shown as text, never as HTML. What a person marks is kept in
the browser's storage, and saved by the page as a CSV that `finlib.command.verdicts` reads. To show
a picture at its full size the page opens the file itself, where it is still there.
"""

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import ImageOps
from tqdm import tqdm

from finlib.command.names import find_inside
from finlib.command.output import check_page_output, say
from finlib.files import file_digest, one_line, text_to_path, write_atomically
from finlib.hashing.images import open_image
from finlib.hashing.tables import CLUSTERS, PAIRS, is_csv, iter_batches, read_distance_metadata
from finlib.matching.hamming import Hamming
from finlib.pools import in_threads

SIDE = 160  # pixels, of a thumbnail
IMAGES_PER_GROUP = 40  # at most: a page of large clusters would show few of them
ORDERS = ("size", "doubt")
NO_SCRIPTS: Mapping[str, str] = MappingProxyType({})


class Group(NamedTuple):
    """A pair, a cluster or copies as the page shows them.

    caption: what stands above the pictures. files: their paths, as texts of a table. notes: what
    stands below each picture; nothing where there are no notes.
    """

    caption: str
    files: list[str]
    notes: Sequence[str] = ()


class Picture(NamedTuple):
    """What the page shows of a file.

    thumbnail: a data URI; empty where the file cannot be read, and all else is unknown.
    facts: its pixels and bytes, in words. bytes: its size. digest: of its content.
    """

    thumbnail: str = ""
    facts: str = ""
    bytes: int = 0
    digest: str = ""


class DistanceWords(NamedTuple):
    """What stands before and after the distance of a pair in its caption."""

    before: str
    after: str


class Listing(NamedTuple):
    """The groups of a table that come first, and the number of groups that it has in all."""

    groups: list[Group]
    total: int


class PageContent(NamedTuple):
    """How many groups a page shows, and how many of their images it shows by name alone.

    unreadable: images that could not be read. outside: images that were not read, because they lie
    in none of the folders that may be read.
    """

    groups: int
    unreadable: int
    outside: int = 0


def show_table(
    table: Path,
    output: Path,
    by: str,
    most: int,
    workers: int | None,
    overwrite: bool,
    within: Sequence[Path] = (),
) -> None:
    """Write a page of the first pairs or clusters of a table, with at most `most` images.

    by: the order of clusters, as for `list_groups`. within: folders whose images may be read,
    besides the table's own folder and the current one. A table that comes from somebody else thus
    cannot make the page show pictures from anywhere.
    """
    if by not in ORDERS:
        raise ValueError(f"--by must be size or doubt, not {by}.")
    check_page_output(output, "show", overwrite, (table,))
    listing = list_groups(table, by, max(1, most // 2))
    folders = [table.parent, Path(), *within]
    page = write_page(listing.groups, output, table.name, most, workers, within=folders)
    say(f"{page.groups} of {listing.total} pairs or clusters: {output}")
    if page.unreadable:
        say(f"{page.unreadable} images cannot be read and are shown by name alone.")
    if page.outside:
        say(
            f"{page.outside} images lie outside the folder of {table.name} and the current folder, "
            "and are shown by name alone. Name the folder that they may be read from: --within "
            "FOLDER."
        )


def list_groups(table: Path, by: str, most: int) -> Listing:
    """List the first `most` pairs or clusters of a table.

    Pairs come in the order of their distance, the farthest first. Clusters of two files or more
    come by "size", the largest first, or by "doubt": first those with a file far from the centre.
    The table is read in batches, so that only two numbers for each file are in memory.
    """
    batches = iter_batches(table, PAIRS, CLUSTERS)
    empty = next(batches)
    if "path_a" in empty.schema.names:
        return _list_pairs(empty, batches, most, _choose_words(table))
    return _list_clusters(table, by, most)


def _choose_words(table: Path) -> DistanceWords:
    """The words around the distances of a table of pairs, by what the table records of them.

    A CSV file cannot record which distance it has. Parquet files that do not record it have the
    Hamming distance, which was the only one when they were written.
    """
    if is_csv(table):
        return DistanceWords("distance ", "")
    metadata = read_distance_metadata(table)
    if metadata is None or metadata.distance == Hamming.name:
        return DistanceWords("", " bits apart")
    return DistanceWords("", f" of at most {metadata.largest}, by {metadata.distance}")


def _list_pairs(
    empty: pa.Table, batches: Iterator[pa.Table], most: int, words: DistanceWords
) -> Listing:
    farthest = empty.to_pandas()
    total = 0
    for batch in batches:
        total += len(batch)
        candidates = pd.concat([farthest, batch.to_pandas()])
        farthest = candidates.nlargest(most, "distance")
    groups = []
    for path_a, path_b, distance in farthest[list(PAIRS)].itertuples(index=False):
        caption = f"{words.before}{distance}{words.after}"
        groups.append(Group(caption, [path_a, path_b]))
    return Listing(groups, total)


def _list_clusters(table: Path, by: str, most: int) -> Listing:
    clusters = _measure_clusters(table)
    is_by_doubt = by == "doubt"
    measure = "farthest" if is_by_doubt else "size"
    ordered = clusters.sort_values([measure, "cluster"], ascending=[False, True])
    first = ordered.head(most)
    files_of = _read_files(table, first.index, farthest_first=is_by_doubt)
    groups = []
    for cluster, size, farthest in first.itertuples(name=None):
        caption = f"cluster {cluster}: {size} files, up to {farthest} bits from its centre"
        files = files_of.loc[[cluster]]
        notes = [f"{distance} bits from the centre" for distance in files["distance"]]
        groups.append(Group(caption, files["path"].tolist(), notes))
    return Listing(groups, len(clusters))


def _measure_clusters(table: Path) -> pd.DataFrame:
    """Measure each cluster of two files or more; the index is the cluster's number.

    size: in files. farthest: the distance of the farthest file from the centre, in bits.
    """
    columns = ["cluster", "distance"]
    selected = [batch.select(columns) for batch in iter_batches(table)]
    files = pa.concat_tables(selected).to_pandas()
    distances = files.groupby("cluster")["distance"]
    clusters = distances.agg(size="size", farthest="max")
    return clusters[clusters["size"] > 1]


def _read_files(table: Path, clusters: pd.Index, farthest_first: bool) -> pd.DataFrame:
    """Read the files of each of these clusters, at most IMAGES_PER_GROUP, indexed by cluster.

    They are the first in the table, or those farthest from the centre.
    """
    wanted = pa.array(clusters)
    batches = iter_batches(table)
    files = next(batches).to_pandas()
    for batch in batches:
        is_wanted = pc.is_in(batch["cluster"], wanted)
        files = pd.concat([files, batch.filter(is_wanted).to_pandas()])
        if farthest_first:
            files = files.sort_values("distance", ascending=False, kind="stable")
        files = files.groupby("cluster").head(IMAGES_PER_GROUP)
    return files.set_index("cluster")


def write_page(
    groups: Iterable[Group],
    output: Path,
    title: str,
    most: int,
    workers: int | None = None,
    *,
    kind: str = "show",
    scripts: Mapping[str, str] = NO_SCRIPTS,
    within: Sequence[Path] | None = None,
) -> PageContent:
    """Write a page of the first groups, as many as have at most `most` images together.

    At least one group is shown. Each shows no more than IMAGES_PER_GROUP of its images. kind: the
    command whose page it is. scripts: what the page writes of the files besides the ones to keep:
    for each word of a button, the beginning of a script. within: the folders whose images are
    read; None for all.
    """
    shown = _select_groups(groups, most)
    number_of = _number_files(shown)
    paths = list(number_of)
    is_inside = np.ones(len(paths), bool)
    if within is not None:
        is_inside = find_inside(pd.Series(paths, dtype=str), within)
    read = iter(_read_pictures(list(compress(paths, is_inside)), workers))
    pictures = [next(read) if inside else Picture() for inside in is_inside]
    images = []
    for path, picture in zip(paths, pictures, strict=True):
        images.append([path, picture.thumbnail, picture.facts, picture.digest, picture.bytes])
    captioned = []
    for group in shown:
        numbers = [number_of[path] for path in group.files]
        captioned.append([group.caption, numbers, list(group.notes)])
    data = {
        "title": one_line(title),
        "kind": kind,
        "run": _name_run(images, captioned),
        "images": images,
        "links": [
            _link_to(path) if inside else "" for path, inside in zip(paths, is_inside, strict=True)
        ],
        "groups": captioned,
        "scripts": dict(scripts),
    }
    # In JSON a "<" only ever stands inside a text. Written like this, it cannot begin a tag.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    template = files("finlib.command").joinpath("page.html").read_text(encoding="utf-8")
    page = template.replace("{{kind}}", kind).replace("{{data}}", text)
    with write_atomically(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    outside = int((~is_inside).sum())
    unreadable = sum(picture.thumbnail == "" for picture in pictures) - outside
    return PageContent(len(shown), unreadable, outside)


def _name_run(images: Sequence[Sequence[object]], groups: Sequence[object]) -> str:
    """A name under which the browser keeps the marks: that of these contents in these groups."""
    contents = [image[3] or image[0] for image in images]
    return hashlib.blake2b(json.dumps([contents, groups]).encode(), digest_size=12).hexdigest()


def _link_to(path: str) -> str:
    return Path(os.path.abspath(text_to_path(path))).as_uri()


def _select_groups(groups: Iterable[Group], most: int) -> list[Group]:
    """The groups to show, and of each the images to show."""
    selected: list[Group] = []
    images = 0
    for group in groups:
        shown = Group(group.caption, group.files[:IMAGES_PER_GROUP], group.notes)
        images += len(shown.files)
        if selected and images > most:
            break
        selected.append(shown)
    return selected


def _number_files(groups: Iterable[Group]) -> dict[str, int]:
    """Number the files of all groups, each once, in their order."""
    number_of: dict[str, int] = {}
    for group in groups:
        for path in group.files:
            number_of.setdefault(path, len(number_of))
    return number_of


def _read_pictures(paths: Sequence[str], workers: int | None) -> list[Picture]:
    pictures = in_threads(read_picture, ((path,) for path in paths), workers)
    return list(tqdm(pictures, total=len(paths), unit="image", disable=None))


def read_picture(path: str) -> Picture:
    """Read what the page shows of a file, with a JPEG of at most SIDE pixels a side.

    The picture stands upright, as its EXIF data say. Of a file that cannot be read nothing is
    known.
    """
    name = text_to_path(path)
    try:
        image = open_image(name)
        width, height = image.size
        image = ImageOps.exif_transpose(image)
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=70)
        size = os.path.getsize(name)
        digest = file_digest(name)
    except Exception:  # whatever is wrong with the file, the page shows its name without a picture
        return Picture()
    encoded = b64encode(file.getvalue()).decode()
    return Picture(
        thumbnail=f"data:image/jpeg;base64,{encoded}",
        facts=f"{width} × {height} pixels, {size:,} bytes",
        bytes=size,
        digest=digest,
    )
