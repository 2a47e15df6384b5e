"""Which files of a folder are copies of each other, at one of three levels.

exact         files of equal bytes
same-picture  files of one picture: encoded again, resized, turned, mirrored, or slightly edited
same-family   files whose hashes are alike, as `finlib cluster` groups them

At `same-picture` no file is farther from the kept file than the radius, however long a chain of
near pictures is; what is cut off is grouped again among itself.

Plain pictures (flat ones, dark ones, pages with a few words) have hashes by chance, so that they
are only copies where their bytes are equal. So are animations and files of several pages whose
number of frames or whose duration differ: a hash is of the first frame alone.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finlib.command.cluster import Corrections, cluster_files
from finlib.command.inputs import Hashes, hash_variants
from finlib.files import text_to_path
from finlib.hashing.decoding import VARIANTS
from finlib.hashing.hashers import get_hasher
from finlib.matching import near
from finlib.matching.pairs import find_distinct, pairs_between, pairs_within
from finlib.matching.thresholds import evidence
from finlib.pools import in_threads

Rows = list[int]
Links = dict[int, set[int]]

LEVELS = ("exact", "same-picture", "same-family")
VARIANTS_SHARE = 0.1  # of the pairs of a family, at the radius of same-picture
LEAST_SHARE_OF_BITS = 32  # the least radius is one bit in so many
# Of FINd's quality. Notebook 05 chooses 100, for captioned pictures alone, which would leave out
# smooth photographs; half of its plain pictures are below 10.
PLAIN_QUALITY = 20
TURNED_ERROR = 32  # bits between a turned picture's hash and the one that a hasher derives
TURNED = range(1, len(VARIANTS))
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".bmp")  # files of a single frame


class Frames(NamedTuple):
    """The number of frames or pages of a file, and how long they last together, in milliseconds."""

    frames: int
    duration: float


STILL = Frames(1, 0)


class Alike(NamedTuple):
    """Which files are alike.

    node: for each file, the number of its node; files of one node are alike.
    neighbours: for each node, the other nodes whose files are alike to its own.
    """

    node: NDArray[np.int64]
    neighbours: Links


def check_level(level: str, radius: int | None) -> None:
    """ValueError for an unknown level, and for a radius at another level than same-picture."""
    if level not in LEVELS:
        raise ValueError(f"--level must be one of {', '.join(LEVELS)}, not {level}.")
    if radius is not None and level != "same-picture":
        raise ValueError(f"--radius belongs to --level same-picture; leave it out for {level}.")


def same_picture_radius(hasher: str) -> int:
    """The radius within which two files are taken for the same picture, in bits.

    It is the largest at which the evidence of `thresholds` expects at most one in ten of the pairs
    of a family, which are the same template under different captions: 25 of FINd's 256 bits. The
    radius of figures/05_robustness.csv, 88 bits for FINd, is for families: within it stay all
    pictures encoded at JPEG quality 10 or resized to 15 % (`own` is 1), but also nearly all that
    are captioned in small type (0.98 to 1), so that it cannot separate a copy from another meme.
    Photographs encoded at quality 40 are at most 8 bits from the original by FINd, those resized
    to a quarter mostly at most 24, and captioned ones mostly 40 to 98. Of hashers without
    evidence, and of those whose captioned pictures lie closer, it is one bit in 32.
    """
    least = get_hasher(hasher).bits // LEAST_SHARE_OF_BITS
    try:
        known = evidence(hasher)
    except ValueError:
        return least
    within = known.distance[known.matching <= VARIANTS_SHARE]
    return max([least, *within.tolist()])


def number_exact(hashes: Hashes) -> NDArray[np.int64]:
    """Number the files by their bytes: equal numbers for equal bytes. Files that cannot be read
    are equal to no other.
    """
    sizes = hashes.files["bytes"]
    is_repeated = sizes.duplicated(keep=False).to_numpy()
    number_of: dict[tuple[int, bytes], int] = {}
    numbers = np.arange(len(sizes))
    for row in np.flatnonzero(is_repeated):
        digest = _digest(hashes.files["path"].iloc[row])
        if digest:
            numbers[row] = number_of.setdefault((int(sizes.iloc[row]), digest), int(row))
    return numbers


def _digest(path: str) -> bytes:
    """The SHA-256 of a file; empty where it cannot be read."""
    try:
        with open(text_to_path(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def find_alike(
    hashes: Hashes, exact: NDArray[np.int64], level: str, radius: int | None, workers: int | None
) -> Alike:
    """Find which files are alike at a level. exact: what `number_exact` gives."""
    if level == "exact":
        return Alike(exact, {})
    is_plain = (hashes.files["quality"] < PLAIN_QUALITY).to_numpy()
    ordinary = np.flatnonzero(~is_plain)
    if level == "same-family":
        linked = _link_families(hashes.select(ordinary), workers)
    else:
        if radius is None:
            radius = same_picture_radius(hashes.hasher)
        linked = _link_pictures(hashes.select(ordinary), radius, workers)
    node = exact.copy()
    node[ordinary] = linked.node + len(exact)
    neighbours = {}
    for number, others in linked.neighbours.items():
        neighbours[number + len(exact)] = {other + len(exact) for other in others}
    return Alike(node, neighbours)


def _link_families(hashes: Hashes, workers: int | None) -> Alike:
    """Files of one cluster have one node, unless they differ in their frames."""
    if len(hashes.files) == 0:
        return Alike(np.empty(0, np.int64), {})
    resources = near.Resources(workers, progress=True)
    clusters = cluster_files(hashes, Corrections(), resources).table["cluster"].to_numpy()
    return _part_by_frames(hashes, clusters, {}, workers)


def _link_pictures(hashes: Hashes, radius: int, workers: int | None) -> Alike:
    """Files of equal hashes have one node; nodes within the radius are neighbours."""
    if len(hashes.files) == 0:
        return Alike(np.empty(0, np.int64), {})
    first, first_of_row = find_distinct(hashes.packed)
    number = np.searchsorted(first, first_of_row)
    distinct = hashes.select(first)
    neighbours: Links = {}
    pairs = pairs_within(distinct.packed, radius, workers=workers)
    for one, other in zip(pairs.i.tolist(), pairs.j.tolist(), strict=True):
        _link(neighbours, one, other)
    _link_turned(distinct, radius, neighbours, workers)
    return _part_by_frames(hashes, number, neighbours, workers)


def _link(neighbours: Links, one: int, other: int) -> None:
    neighbours.setdefault(one, set()).add(other)
    neighbours.setdefault(other, set()).add(one)


def _link_turned(hashes: Hashes, radius: int, neighbours: Links, workers: int | None) -> None:
    """Link pictures of which one is a turn or mirror image of the other, within the radius.

    A hasher may derive the hashes of turned pictures with a small error. So candidates are sought
    within a larger radius, and then compared by turning the pixels.
    """
    turned = hash_variants(hashes, TURNED, workers)
    wide_radius = min(radius + TURNED_ERROR, 8 * hashes.packed.shape[1])
    pairs = pairs_between(turned.packed, hashes.packed, wide_radius, workers=workers)
    for position, other in zip(pairs.i.tolist(), pairs.j.tolist(), strict=True):
        row = int(turned.row[position])
        if row == other or other in neighbours.get(row, ()):
            continue
        number = TURNED[position % len(TURNED)]
        if _turned_distance(hashes, row, number, other) <= radius:
            _link(neighbours, row, other)


def _turned_distance(hashes: Hashes, row: int, number: int, other: int) -> int:
    """The distance of a picture's variant, made by turning its pixels, from another picture.

    It is the largest there is where the picture cannot be read any more.
    """
    hasher = get_hasher(hashes.hasher)
    try:
        picture = hasher.open(text_to_path(hashes.files["path"].iloc[row]))
    except (OSError, ValueError):
        return 8 * hashes.packed.shape[1] + 1
    packed, _ = hasher.compute(picture.variant(number))
    return int(np.bitwise_count(packed ^ hashes.packed[other]).sum())


def _part_by_frames(
    hashes: Hashes, number: NDArray[np.int64], neighbours: Links, workers: int | None
) -> Alike:
    """Split the nodes by the frames of their files, and link only nodes of equal frames."""
    count_of = np.bincount(number)
    is_linked = [node in neighbours or count_of[node] > 1 for node in number.tolist()]
    rows = np.flatnonzero(is_linked)
    paths = hashes.files["path"].iloc[rows]
    frames = [STILL] * len(number)
    counted = in_threads(count_frames, ((path,) for path in paths), workers)
    for row, frames_of_file in zip(rows, counted, strict=True):
        frames[row] = frames_of_file
    node_of: dict[tuple[int, Frames], int] = {}
    nodes = [
        node_of.setdefault(key, len(node_of)) for key in zip(number.tolist(), frames, strict=True)
    ]
    parted: Links = {}
    for (old, frames_of_node), node in node_of.items():
        others = ((other, frames_of_node) for other in neighbours.get(old, ()))
        parted[node] = {node_of[other] for other in others if other in node_of}
    return Alike(np.array(nodes, np.int64), parted)


def count_frames(path: str) -> Frames:
    """The frames of a file; STILL where it has one, or cannot be read."""
    if path.lower().endswith(JPEG_SUFFIXES):
        return STILL
    try:
        with Image.open(text_to_path(path)) as image:
            count = getattr(image, "n_frames", 1)
            if count == 1:
                return STILL
            return Frames(count, sum(_durations(image, count)))
    except Exception:  # Pillow's decoders raise a dozen types on damaged files
        return STILL


def _durations(image: Image.Image, count: int) -> Iterable[float]:
    for number in range(count):
        image.seek(number)
        image.load()
        yield image.info.get("duration", 0)


def list_linked(alike: Alike) -> list[Rows]:
    """The rows of the files of each connected part of two files or more."""
    rows_of = _rows_by_node(range(len(alike.node)), alike)
    parts = _connected(rows_of, alike.neighbours)
    return [part for part in parts if len(part) > 1]


def split_around(rows: Rows, alike: Alike, choose: Callable[[Sequence[int]], int]) -> list[Rows]:
    """Split a connected part into groups whose files are all alike to the file that is kept.

    choose: gives the row to keep of several. Files that are not alike to it are grouped again
    among themselves; files that remain alone are left out.
    """
    groups = []
    parts = [rows]
    while parts:
        part = parts.pop()
        if len(part) < 2:
            continue
        node = int(alike.node[choose(part)])
        nodes = {node, *alike.neighbours.get(node, ())}
        group = [row for row in part if alike.node[row] in nodes]
        rest = [row for row in part if alike.node[row] not in nodes]
        if len(group) > 1:
            groups.append(group)
        parts.extend(_connected(_rows_by_node(rest, alike), alike.neighbours))
    return groups


def _rows_by_node(rows: Iterable[int], alike: Alike) -> dict[int, Rows]:
    rows_of: dict[int, Rows] = {}
    for row in rows:
        rows_of.setdefault(int(alike.node[row]), []).append(row)
    return rows_of


def _connected(rows_of: dict[int, Rows], neighbours: Links) -> list[Rows]:
    """The rows of each connected part of some nodes, in ascending order."""
    parts = []
    remaining = set(rows_of)
    for start in rows_of:
        if start not in remaining:
            continue
        remaining.discard(start)
        nodes = [start]
        for node in nodes:  # which grows meanwhile
            nearby = neighbours.get(node, set()) & remaining
            remaining -= nearby
            nodes.extend(sorted(nearby))
        parts.append(sorted(row for node in nodes for row in rows_of[node]))
    return parts
