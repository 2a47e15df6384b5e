"""A page of pairs or clusters to look at and to mark right or wrong: what `finlib show` does.

The page is one HTML file with thumbnails that opens offline and asks for nothing from elsewhere.
Names of files reach it as JSON and are shown as text, never as HTML. What a person marks is saved
by the page as a CSV with the columns path_a, path_b and verdict (right or wrong).
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import ImageOps
from tqdm import tqdm

from finlib.command.output import check_page_output, say
from finlib.files import one_line, text_to_path, write_atomically
from finlib.hashing.images import open_image
from finlib.hashing.tables import CLUSTERS, PAIRS, is_csv, iter_batches, read_pairs_metadata
from finlib.matching.hamming import Hamming
from finlib.pools import in_threads

SIDE = 160  # pixels, of a thumbnail
IMAGES_PER_GROUP = 40  # at most: a page of large clusters would show few of them
ORDERS = ("size", "doubt")


class Group(NamedTuple):
    """A pair or a cluster as the page shows it: a caption, and the files as texts of a table."""

    caption: str
    files: list[str]


class DistanceWords(NamedTuple):
    """What stands before and after the distance of a pair in its caption."""

    before: str
    after: str


class Listing(NamedTuple):
    """The groups of a table that come first, and the number of groups that it has in all."""

    groups: list[Group]
    total: int


class PageContent(NamedTuple):
    """How many groups a page shows, and how many of their images could not be read."""

    groups: int
    unreadable: int


def show_table(
    table: Path, output: Path, by: str, most: int, workers: int | None, overwrite: bool
) -> None:
    """Write a page of the first pairs or clusters of a table, with at most `most` images.

    by: the order of clusters, as for `list_groups`.
    """
    if by not in ORDERS:
        raise ValueError(f"--by must be size or doubt, not {by}.")
    check_page_output(output, overwrite, (table,))
    listing = list_groups(table, by, max(1, most // 2))
    page = write_page(listing.groups, output, table.name, most, workers)
    say(f"{page.groups} of {listing.total} pairs or clusters: {output}")
    if page.unreadable:
        say(f"{page.unreadable} images cannot be read and are shown by name alone.")


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
    metadata = read_pairs_metadata(table)
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
        groups.append(Group(caption, files_of[cluster]))
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


def _read_files(table: Path, clusters: pd.Index, farthest_first: bool) -> pd.Series:
    """Read the files of each of these clusters, at most IMAGES_PER_GROUP: a list of paths each.

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
    return files.groupby("cluster")["path"].agg(list)


def write_page(
    groups: Iterable[Group], output: Path, title: str, most: int, workers: int | None = None
) -> PageContent:
    """Write a page of the first groups, as many as have at most `most` images together.

    At least one group is shown. Each shows no more than IMAGES_PER_GROUP of its images.
    """
    shown = _select_groups(groups, most)
    number_of = _number_files(shown)
    paths = list(number_of)
    thumbnails = _make_thumbnails(paths, workers)
    captioned = []
    for group in shown:
        numbers = [number_of[path] for path in group.files]
        captioned.append((group.caption, numbers))
    data = {
        "title": one_line(title),
        "images": list(zip(paths, thumbnails, strict=True)),
        "groups": captioned,
    }
    # In JSON a "<" only ever stands inside a text. Written like this, it cannot begin a tag.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    template = files("finlib.command").joinpath("page.html").read_text(encoding="utf-8")
    page = template.replace("{{data}}", text)
    with write_atomically(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return PageContent(len(shown), thumbnails.count(""))


def _select_groups(groups: Iterable[Group], most: int) -> list[Group]:
    """The groups to show, and of each the images to show."""
    selected: list[Group] = []
    images = 0
    for group in groups:
        shown = Group(group.caption, group.files[:IMAGES_PER_GROUP])
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


def _make_thumbnails(paths: Sequence[str], workers: int | None) -> list[str]:
    thumbnails = in_threads(make_thumbnail, ((path,) for path in paths), workers)
    return list(tqdm(thumbnails, total=len(paths), unit="image", disable=None))


def make_thumbnail(path: str) -> str:
    """Make a JPEG of at most SIDE pixels a side, as a data URI.

    The picture stands upright, as its EXIF data say. The URI is empty where the file cannot be
    read.
    """
    try:
        image = ImageOps.exif_transpose(open_image(text_to_path(path)))
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=70)
    except Exception:  # whatever is wrong with the file, the page shows its name without a picture
        return ""
    encoded = b64encode(file.getvalue()).decode()
    return f"data:image/jpeg;base64,{encoded}"
