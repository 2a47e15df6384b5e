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
from tqdm import tqdm

from finlib.command.output import check_page_output, say
from finlib.files import one_line, text_to_path, write_atomically
from finlib.hashing.images import open_image
from finlib.hashing.tables import CLUSTERS, PAIRS, iter_batches
from finlib.pools import in_threads

SIDE = 160  # pixels, of a thumbnail
IMAGES_PER_GROUP = 40  # at most: a page of large clusters would show few of them
ORDERS = ("size", "doubt")


class Group(NamedTuple):
    """A pair or a cluster as the page shows it: a caption, and the files as texts of a table."""

    caption: str
    files: list[str]


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
    """Write a page of the pairs or clusters of a table, with at most `most` images; `by` as for
    `list_groups`.
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
    """The first `most` pairs or clusters of a table.

    Pairs come in order of distance, the farthest first. Clusters of two files or more come in order
    of size, the largest first, or by "doubt" in order of the distance between a file and the
    centre, again the farthest first. The table is read in batches, and no more of it is in memory
    than two numbers for each file.
    """
    batches = iter_batches(table, PAIRS, CLUSTERS)
    empty = next(batches)
    if "path_a" in empty.schema.names:
        return _list_pairs(empty, batches, most)
    return _list_clusters(table, by, most)


def _list_pairs(empty: pa.Table, batches: Iterator[pa.Table], most: int) -> Listing:
    farthest = empty.to_pandas()
    total = 0
    for batch in batches:
        total += len(batch)
        farthest = pd.concat([farthest, batch.to_pandas()]).nlargest(most, "distance")
    groups = []
    for path_a, path_b, distance in farthest[list(PAIRS)].itertuples(index=False):
        groups.append(Group(f"{distance} bits apart", [path_a, path_b]))
    return Listing(groups, total)


def _list_clusters(table: Path, by: str, most: int) -> Listing:
    clusters = _measure_clusters(table)
    order = ["size" if by == "size" else "farthest", "cluster"]
    first = clusters.sort_values(order, ascending=[False, True]).head(most)
    files_of = _files_of_clusters(table, first.index, farthest_first=by == "doubt")
    groups = []
    for cluster, size, farthest in first.itertuples(name=None):
        caption = f"cluster {cluster}: {size} files, up to {farthest} bits from its centre"
        groups.append(Group(caption, files_of[cluster]))
    return Listing(groups, len(clusters))


def _measure_clusters(table: Path) -> pd.DataFrame:
    """The size of each cluster of two files or more, and the distance of its farthest file; the
    index is its number.
    """
    columns = [batch.select(["cluster", "distance"]) for batch in iter_batches(table)]
    files = pa.concat_tables(columns).to_pandas()
    clusters = files.groupby("cluster")["distance"].agg(size="size", farthest="max")
    return clusters[clusters["size"] > 1]


def _files_of_clusters(
    table: Path, clusters: pd.Index, farthest_first: bool
) -> "pd.Series[list[str]]":
    """The files of each of these clusters, IMAGES_PER_GROUP at most: the first ones, or those
    farthest from the centre.
    """
    wanted = pa.array(clusters)
    batches = iter_batches(table)
    files = next(batches).to_pandas()
    for batch in batches:
        more = batch.filter(pc.is_in(batch["cluster"], wanted)).to_pandas()
        files = pd.concat([files, more])
        if farthest_first:
            files = files.sort_values("distance", ascending=False, kind="stable")
        files = files.groupby("cluster").head(IMAGES_PER_GROUP)
    return files.groupby("cluster")["path"].agg(list)


def write_page(
    groups: Iterable[Group], output: Path, title: str, most: int, workers: int | None = None
) -> PageContent:
    """Write a page of the first groups, with `most` images in all but one group at least."""
    shown = _select_groups(groups, most)
    paths = list(dict.fromkeys(path for group in shown for path in group.files))
    thumbnails = _make_thumbnails(paths, workers)
    place = {path: number for number, path in enumerate(paths)}
    data = {
        "title": one_line(title),
        "images": list(zip(paths, thumbnails, strict=True)),
        "groups": [(group.caption, [place[path] for path in group.files]) for group in shown],
    }
    # In JSON a "<" only ever stands inside a text. Written like this, it cannot begin a tag.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    template = files("finlib.command").joinpath("page.html").read_text(encoding="utf-8")
    with write_atomically(output) as temporary:
        temporary.write_text(template.replace("{{data}}", text), encoding="utf-8")
    return PageContent(len(shown), thumbnails.count(""))


def _select_groups(groups: Iterable[Group], most: int) -> list[Group]:
    """The first groups, each with IMAGES_PER_GROUP at most, that have no more than `most` images,
    and one at least.
    """
    selected: list[Group] = []
    images = 0
    for group in groups:
        shown = Group(group.caption, group.files[:IMAGES_PER_GROUP])
        images += len(shown.files)
        if selected and images > most:
            break
        selected.append(shown)
    return selected


def _make_thumbnails(paths: Sequence[str], workers: int | None) -> list[str]:
    thumbnails = in_threads(thumbnail, ((path,) for path in paths), workers)
    return list(tqdm(thumbnails, total=len(paths), unit="image", disable=None))


def thumbnail(path: str) -> str:
    """A JPEG of at most SIDE pixels a side as a data URI; empty where the file cannot be read."""
    try:
        image = open_image(text_to_path(path))
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=70)
    except Exception:  # whatever is wrong with the file, the page shows its name without a picture
        return ""
    return "data:image/jpeg;base64," + b64encode(file.getvalue()).decode()
