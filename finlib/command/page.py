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

import numpy as np
from tqdm import tqdm

from finlib.images import open_image
from finlib.pools import in_threads
from finlib.tables import CLUSTERS, PAIRS, path_of, read_columns, renamed_when_whole

SIDE = 160  # pixels, of a thumbnail
MOST_PAIRS = 100_000
MOST_OF_A_GROUP = 40  # images: a page of large clusters would show few of them
Group = tuple[str, list[str]]  # what is said of it, and its files


def thumbnail(path: str) -> str:
    """A JPEG of at most SIDE pixels a side as a data URI; empty where the file cannot be read."""
    try:
        image = open_image(path_of(path))
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=70)
    except Exception:  # whatever is wrong with the file, the page shows its name without a picture
        return ""
    return "data:image/jpeg;base64," + b64encode(file.getvalue()).decode()


def groups_of(table: Path, by: str) -> list[Group]:
    """The pairs of a table of pairs, the farthest first, or its clusters, the largest first or, by doubt, those first
    that hold a file far from the centre.
    """
    frame = read_columns(table, PAIRS, CLUSTERS)
    if "path_a" in frame:
        frame = frame.sort_values("distance", ascending=False, kind="stable").head(MOST_PAIRS)
        return [(f"{row.distance} bits apart", [row.path_a, row.path_b]) for row in frame.itertuples()]
    doubt = frame.groupby("cluster")["distance"].transform("max")
    order = np.lexsort((frame["cluster"], -frame["size"] if by == "size" else -doubt))
    ranked = frame.iloc[order][frame["size"].to_numpy()[order] > 1]
    return [
        (
            f"cluster {number}: {len(rows)} files, up to {rows['distance'].max()} bits from its centre",
            list(rows["path"]),
        )
        for number, rows in ranked.groupby("cluster", sort=False)
    ]


def write_page(groups: Iterable[Group], output: Path, title: str, most: int, workers: int | None = None) -> int:
    """Write the page of the first groups, as many as `most` images allow and one at least; returns how many."""
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
    source = dict(zip(paths, tqdm(pictures, total=len(paths), unit="image", disable=None), strict=True))
    number = {path: k for k, path in enumerate(paths)}
    data = {
        "title": title,
        "images": [[path, source[path]] for path in paths],
        "groups": [[said, [number[path] for path in group]] for said, group in shown],
    }
    # In JSON a "<" is only ever inside a text, where it may be written so that no tag can begin.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    page = files("finlib.command").joinpath("page.html").read_text(encoding="utf-8")
    with renamed_when_whole(output) as temporary:
        temporary.write_text(page.replace("{{data}}", text), encoding="utf-8")
    return len(shown)
