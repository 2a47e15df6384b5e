"""A page to look at: pairs or clusters as thumbnails in one HTML file that opens offline, to be marked right or wrong.

The page asks for nothing from elsewhere; names of files reach it as JSON and are shown as text, never as HTML. What a
person marks is saved by the page as a CSV: path_a, path_b, verdict (right or wrong).
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from finlib.files import one_line, text_to_path, write_atomically
from finlib.hashing.images import open_image
from finlib.hashing.tables import CLUSTERS, PAIRS, iter_batches
from finlib.pools import in_threads

SIDE = 160  # pixels, of a thumbnail
MOST_OF_A_GROUP = 40  # images: a page of large clusters would show few of them
Group = tuple[str, list[str]]  # what is said of it, and its files


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


def groups_of(table: Path, by: str, most: int) -> tuple[list[Group], int]:
    """The first `most` pairs of a table of pairs, the farthest first, or of its clusters of two files or more, the
    largest first or, by doubt, those first that hold a file far from the centre; and how many there are in all.

    The table is read in parts, that of clusters twice, and no more of it is held than the numbers of clusters.
    """
    parts = iter_batches(table, PAIRS, CLUSTERS)
    kept, total = next(parts).to_pandas(), 0
    if "path_a" in kept:
        for part in parts:
            total += len(part)
            kept = pd.concat([kept, part.to_pandas()]).nlargest(most, "distance")
        return [
            (f"{row.distance} bits apart", [row.path_a, row.path_b]) for row in kept.itertuples()
        ], total
    numbers = pa.concat_tables(
        part.select(["cluster", "distance"]) for part in iter_batches(table)
    ).to_pandas()
    clusters = numbers.groupby("cluster")["distance"].agg(["size", "max"]).query("size > 1")
    shown = clusters.sort_values(
        ["size" if by == "size" else "max", "cluster"], ascending=[False, True]
    ).head(most)
    for part in parts:
        some = part.filter(pc.is_in(part["cluster"], pa.array(shown.index))).to_pandas()
        kept = pd.concat([kept, some])
        if by == "doubt":  # the doubtful ones are shown
            kept = kept.sort_values("distance", ascending=False, kind="stable")
        kept = kept.groupby("cluster").head(MOST_OF_A_GROUP)
    files_of = kept.groupby("cluster")["path"].agg(list)
    return [
        (f"cluster {number}: {size} files, up to {far} bits from its centre", files_of[number])
        for number, size, far in shown.itertuples(name=None)
    ], len(clusters)


def write_page(
    groups: Iterable[Group], output: Path, title: str, most: int, workers: int | None = None
) -> tuple[int, int]:
    """Write the page of the first groups, as many as `most` images allow and one at least.

    Returns how many groups these are, and how many of their images cannot be read and are shown by name alone.
    """
    shown: list[Group] = []
    images = 0
    for said, files_of_group in groups:
        paths = files_of_group[:MOST_OF_A_GROUP]
        images += len(paths)
        if shown and images > most:
            break
        shown.append((said, paths))
    paths = list(dict.fromkeys(path for _, group in shown for path in group))
    pictures = in_threads(thumbnail, ((path,) for path in paths), workers)
    source = dict(
        zip(paths, tqdm(pictures, total=len(paths), unit="image", disable=None), strict=True)
    )
    number = {path: k for k, path in enumerate(paths)}
    data = {
        "title": one_line(title),
        "images": [[path, source[path]] for path in paths],
        "groups": [[said, [number[path] for path in group]] for said, group in shown],
    }
    # In JSON a "<" is only ever inside a text, where it may be written so that no tag can begin.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    page = files("finlib.command").joinpath("page.html").read_text(encoding="utf-8")
    with write_atomically(output) as temporary:
        temporary.write_text(page.replace("{{data}}", text), encoding="utf-8")
    return len(shown), list(source.values()).count("")
