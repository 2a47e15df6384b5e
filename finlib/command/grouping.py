"""Which files of a folder are copies of each other, at one of three levels.

exact         files of equal bytes
same-picture  files of one picture: encoded again, resized, turned, mirrored, or slightly edited
same-family   files whose hashes are alike, as `finlib cluster` groups them, and turned copies of
              these

At `same-picture` no file is farther from the kept file than the radius, however long a chain of
near pictures is; what is cut off is grouped again among itself.

Plain pictures (flat ones, dark ones, pages with a few words) have hashes by chance, so that they
are only copies where their bytes are equal. They are known by FINd's quality, which is measured
where the hashes have none, of the pictures that would be grouped. Animations and files of several
pages are only copies where the number of frames and the duration are equal, too, and the middle and
last frames alike: a hash is of the first frame alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from finlib.command.cluster import cluster_files
from finlib.command.inputs import PLAIN_QUALITY, Hashes
from finlib.command.turned import find_turned, hash_turned
from finlib.command.verdicts import NO_VERDICTS, RowPairs
from finlib.files import file_digest, text_to_path
from finlib.hashing.hashers import get_hasher, prepared_name
from finlib.matching import near
from finlib.matching.distinct import find_distinct
from finlib.matching.pairs import pairs_within
from finlib.matching.thresholds import evidence
from finlib.pools import in_threads

Rows = list[int]
Links = dict[int, dict[int, int]]  # nodes, their neighbours, and the distances of these

Apart = Mapping[int, set[int]]

LEVELS = ("exact", "same-picture", "same-family")
VARIANTS_SHARE = 0.1  # of the pairs of a family, at the radius of same-picture
LEAST_SHARE_OF_BITS = 32  # the least radius is one bit in so many
# Of the 512 bits of FINd of the middle and the last frame. Resized small films, which WebP has
# encoded twice, differ by up to 54 in `test_grouping`; unrelated ones by about 256.
LATER_FRAMES_RADIUS = 80
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".bmp")  # files of a single frame


class Frames(NamedTuple):
    """The number of frames or pages of a file, and how long they last together, in milliseconds."""

    frames: int
    duration: float


STILL = Frames(1, 0)


class Link(NamedTuple):
    """Two nodes whose files are alike, and the distance of their hashes in bits.

    Where one picture is a turn or mirror image of the other, it is the distance when it is turned.
    """

    one: int
    other: int
    distance: int


class Alike(NamedTuple):
    """Which files are alike.

    node: for each file, the number of its node; files of one node are alike.
    neighbours: for each node, the other nodes whose files are alike to its own, with the distance.
    """

    node: NDArray[np.int64]
    neighbours: Links

    def are_alike(self, node: int, other: int) -> bool:
        return node == other or other in self.neighbours.get(node, {})

    def with_links(self, links: Iterable[Link]) -> "Alike":
        """The same with more links between nodes."""
        neighbours = {node: dict(others) for node, others in self.neighbours.items()}
        for node, others in _neighbours_of(links).items():
            neighbours[node] = others | neighbours.get(node, {})
        return Alike(self.node, neighbours)


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
    number_of: dict[tuple[int, str], int] = {}
    numbers = np.arange(len(sizes))
    for row in np.flatnonzero(is_repeated):
        file = hashes.files.iloc[row]
        digest = file["digest"] or _digest(file["path"])
        if digest:
            numbers[row] = number_of.setdefault((int(sizes.iloc[row]), digest), int(row))
    return numbers


def _digest(path: str) -> str:
    """The digest of a file that the table has none of; empty where it cannot be read."""
    try:
        return file_digest(text_to_path(path))
    except OSError:
        return ""


def find_alike(
    hashes: Hashes,
    exact: NDArray[np.int64],
    level: str,
    radius: int | None,
    workers: int | None,
    turned_file: Path | None = None,
) -> Alike:
    """Find which files are alike at a level.

    exact: what `number_exact` gives. turned_file: where the hashes of turned pictures are kept
    from run to run; None where they are not.
    """
    if level == "exact":
        return Alike(exact, {})
    ordinary = np.flatnonzero(~hashes.is_plain)
    if len(ordinary) == 0:
        return Alike(exact, {})
    if radius is None:
        radius = same_picture_radius(hashes.hasher)
    pictures = _Pictures(hashes.select(ordinary), turned_file, workers)
    if level == "same-family":
        linked = pictures.link_families(radius)
    else:
        linked = pictures.link_copies(radius)
    node = exact.copy()
    node[ordinary] = linked.node + len(exact)
    neighbours = {}
    for number, others in linked.neighbours.items():
        neighbours[number + len(exact)] = {
            other + len(exact): distance for other, distance in others.items()
        }
    alike = Alike(node, neighbours)
    if hashes.files["quality"].isna().all():
        return _without_plain(alike, exact, hashes, workers)
    return alike


def _without_plain(
    alike: Alike, exact: NDArray[np.int64], hashes: Hashes, workers: int | None
) -> Alike:
    """The same with plain pictures alike to those of equal bytes alone, for hashes that have no
    quality. Only files that are alike to others are read for it.
    """
    rows = [row for part in list_linked(alike) for row in part]
    paths = hashes.files["path"].iloc[rows]
    measure = partial(_measure_quality, hashes.hasher)
    qualities = in_threads(measure, ((path,) for path in paths), workers)
    node = alike.node.copy()
    for row, quality in zip(rows, qualities, strict=True):
        if quality < PLAIN_QUALITY:
            node[row] = exact[row]
    return Alike(node, alike.neighbours)


def _measure_quality(hasher: str, path: str) -> float:
    """FINd's quality of a picture as this hasher sees it; nan where it cannot be read any more."""
    name = prepared_name("find") if get_hasher(hasher).prepares else "find"
    try:
        return get_hasher(name).read(text_to_path(path)).quality
    except (OSError, ValueError):
        return math.nan


class _Pictures:
    """Pictures that are not plain, and those of them that have different hashes.

    distinct: the first file of each hash. number: for each file, its row in `distinct`.
    """

    def __init__(self, hashes: Hashes, turned_file: Path | None, workers: int | None) -> None:
        first, first_of_row = find_distinct(hashes.packed)
        self.hashes = hashes
        self.turned_file = turned_file
        self.workers = workers
        self.distinct = hashes.select(first)
        self.number = np.searchsorted(first, first_of_row)

    def link_copies(self, radius: int) -> Alike:
        """Files of equal hashes have one node; nodes within the radius are neighbours."""
        near_links = self._find_near(radius)
        nodes = np.arange(len(self.distinct.files))
        turned_links = self._find_turned(radius, nodes, near_links)
        neighbours = _neighbours_of([*near_links, *turned_links])
        return _part_by_frames(self.hashes, self.number, neighbours, self.workers)

    def link_families(self, radius: int) -> Alike:
        """Files of one cluster have one node. Clusters are neighbours where a picture of one is,
        within the radius, a turn or mirror image of a picture of the other.
        """
        resources = near.Resources(self.workers, progress=True)
        found = cluster_files(self.hashes, NO_VERDICTS, resources)
        clusters = found.table["cluster"].to_numpy()
        cluster_of = np.empty(len(self.distinct.files), np.int64)
        cluster_of[self.number] = clusters
        links = self._find_turned(radius, cluster_of, [])
        return _part_by_frames(self.hashes, clusters, _neighbours_of(links), self.workers)

    def _find_near(self, radius: int) -> list[Link]:
        pairs = pairs_within(self.distinct.packed, radius, workers=self.workers)
        columns = (pairs.i.tolist(), pairs.j.tolist(), pairs.distance.tolist())
        return [Link(*pair) for pair in zip(*columns, strict=True)]

    def _find_turned(
        self, radius: int, nodes: NDArray[np.int64], known: Iterable[Link]
    ) -> list[Link]:
        """Link nodes of which one has a turn or mirror image of a picture of the other.

        nodes: of the distinct pictures. Nodes that are known to be linked are not compared.
        """
        turned = hash_turned(self.distinct, self.turned_file, self.workers)
        linked = [(link.one, link.other) for link in known]
        pairs = find_turned(self.distinct, turned, radius, nodes, linked, self.workers)
        links = []
        for one, other, distance in pairs:
            links.append(Link(int(nodes[one]), int(nodes[other]), distance))
        return links


def _neighbours_of(links: Iterable[Link]) -> Links:
    """The neighbours of each node that a link names."""
    neighbours: Links = {}
    for one, other, distance in links:
        neighbours.setdefault(one, {})[other] = distance
        neighbours.setdefault(other, {})[one] = distance
    return neighbours


def measure_distance(hashes: Hashes, alike: Alike, one: int, other: int) -> int:
    """The distance of two files in bits; of turned copies, that of the turned picture."""
    turned_or_near = alike.neighbours.get(int(alike.node[one]), {}).get(int(alike.node[other]))
    plain = int(np.bitwise_count(hashes.packed[one] ^ hashes.packed[other]).sum())
    return plain if turned_or_near is None else min(plain, turned_or_near)


def link_by_hand(hashes: Hashes, alike: Alike, together: RowPairs) -> Alike:
    """Link the nodes of files that a person puts together: int64[pairs, 2], rows of the files."""
    links = []
    for one, other in together.tolist():
        node = int(alike.node[one])
        other_node = int(alike.node[other])
        if not alike.are_alike(node, other_node):
            links.append(Link(node, other_node, measure_distance(hashes, alike, one, other)))
    return alike.with_links(links)


def _part_by_frames(
    hashes: Hashes, number: NDArray[np.int64], neighbours: Links, workers: int | None
) -> Alike:
    """Split the nodes by the frames of their files, and link only nodes of the same frames."""
    count_of = np.bincount(number)
    is_linked = [node in neighbours or count_of[node] > 1 for node in number.tolist()]
    rows = np.flatnonzero(is_linked).tolist()
    paths = hashes.files["path"].iloc[rows]
    frames = [STILL] * len(number)
    counted = in_threads(count_frames, ((path,) for path in paths), workers)
    for row, frames_of_file in zip(rows, counted, strict=True):
        frames[row] = frames_of_file
    films = [row for row in rows if frames[row] != STILL]
    contents = [0] * len(number)
    film_paths = hashes.files["path"].iloc[films].to_list()
    for row, content in zip(films, _number_films(film_paths, workers), strict=True):
        contents[row] = content
    node_of: dict[tuple[int, Frames, int], int] = {}
    nodes = []
    for key in zip(number.tolist(), frames, contents, strict=True):
        nodes.append(node_of.setdefault(key, len(node_of)))
    parted: Links = {}
    for (old, frames_of_node, film), node in node_of.items():
        parted[node] = {}
        for other, distance in neighbours.get(old, {}).items():
            key = (other, frames_of_node, film)
            if key in node_of:
                parted[node][node_of[key]] = distance
    return Alike(np.array(nodes, np.int64), parted)


def _number_films(paths: Sequence[str], workers: int | None) -> list[int]:
    """Number files of several frames by what the later ones show: equal numbers for alike ones.

    Where frames are plain, copies that are encoded differently may get different numbers, and are
    then not grouped.
    """
    hashes = list(in_threads(hash_later_frames, ((path,) for path in paths), workers))
    if not hashes:
        return []
    pairs = pairs_within(np.stack(hashes), LATER_FRAMES_RADIUS, workers=workers)
    is_alike = np.ones(len(pairs.i), bool)
    links = coo_array((is_alike, (pairs.i, pairs.j)), shape=(len(hashes), len(hashes)))
    _, numbers = connected_components(links, directed=False)
    return numbers.tolist()


def hash_later_frames(path: str) -> NDArray[np.uint8]:
    """FINd of the middle and the last frame of a file, uint8[64]; zeros where it cannot be read."""
    hasher = get_hasher("find")
    try:
        with Image.open(text_to_path(path)) as image:
            count = getattr(image, "n_frames", 1)
            hashes = []
            for frame in (count // 2, count - 1):
                image.seek(frame)
                hashes.append(hasher.from_image(image.convert("RGB")))
            return np.concatenate(hashes)
    except Exception:  # Pillow's decoders raise a dozen types on damaged files
        return np.zeros(2 * hasher.bits // 8, np.uint8)


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


def split_around(
    rows: Rows, alike: Alike, choose: Callable[[Sequence[int]], int], apart: Apart
) -> list[Rows]:
    """Split a connected part into groups whose files are all alike to the file that is kept.

    choose: gives the row to keep of several. apart: for each row, the rows that a person keeps
    apart from it; no group has both. The other files are grouped again among themselves; files
    that remain alone are left out.
    """
    groups = []
    parts = [rows]
    while parts:
        part = parts.pop()
        if len(part) < 2:
            continue
        group = _gather_around(choose(part), part, alike, apart)
        rest = [row for row in part if row not in group]
        if len(group) > 1:
            groups.append(sorted(group))
        parts.extend(_connected(_rows_by_node(rest, alike), alike.neighbours))
    return groups


def _gather_around(kept: int, part: Rows, alike: Alike, apart: Apart) -> set[int]:
    """The row to keep with those rows of the part that are alike to it and not kept apart."""
    group = {kept}
    node = int(alike.node[kept])
    for row in part:
        is_apart = not group.isdisjoint(apart.get(row, ()))
        if alike.are_alike(node, int(alike.node[row])) and not is_apart:
            group.add(row)
    return group


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
            nearby = remaining.intersection(neighbours.get(node, {}))
            remaining -= nearby
            nodes.extend(sorted(nearby))
        parts.append(sorted(row for node in nodes for row in rows_of[node]))
    return parts
