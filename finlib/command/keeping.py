"""Rules for which of several copies to keep, and the words that say why.

A rule stands for one criterion or several. The files that are worst by the first criterion are
passed over, then those by the next, until one file is left.
"""

import math
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, permutations
from pathlib import Path
from typing import NamedTuple

from finlib.command.detail import LOSSLESS, NO_DETAIL, Colours, Detail
from finlib.command.recompression import is_made_from, sum_steps

RULES = (
    "detail",
    "largest",
    "smallest",
    "oldest",
    "newest",
    "longest-name",
    "shortest-name",
    "folder:PATH",
)
FOLDER = "folder:"
SAME_PIXELS = 1.2  # numbers of pixels up to this many times as large count as equal
MOST_COMPARED = 50  # files of one size, each with each, to see which was made from which
SAME_ENLARGED_PIXELS = 2.5  # the same where the best is enlarged, which is measured coarsely
COLOUR_WORDS = {
    Colours.TWO_LEVELS: "black and white without shades",
    Colours.GREY: "shades of grey",
    Colours.FEW: "no more colours than a palette",
    Colours.TRUE: "full colour",
}


@dataclass(frozen=True)
class Candidate:
    """A file that may be kept.

    path: as the table of hashes has it.
    is_link: whether it is a symbolic link.
    width, height: in pixels. size: in bytes. modified_ns: when it was last modified.
    detail: what `measure_detail` gives; NO_DETAIL where no rule asks for it.
    made_from: the paths of the files of the same size that it was made from by storing them again
        as JPEG, as `find_sources` gives them.
    """

    path: str
    is_link: bool
    width: int
    height: int
    size: int
    modified_ns: int
    detail: Detail = NO_DETAIL
    made_from: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def pixels(self) -> int:
        """The number of pixels that the file has."""
        return self.width * self.height


@dataclass(frozen=True)
class Criterion:
    """One measure by which a file is better than another.

    value: the measure, of which more is better.
    reason: why the best file is better than another, in words.
    margin: how many times as large the best measure has to be for a difference to matter, for a
        best file and another.
    """

    value: Callable[[Candidate], float]
    reason: Callable[[Candidate, Candidate], str]
    margin: Callable[[Candidate, Candidate], float] | None = None


class Choice(NamedTuple):
    """Files in order, the one to keep first, and why that one, in words."""

    files: list[Candidate]
    why: str


def choose(files: Sequence[Candidate], criteria: Iterable[Criterion]) -> Choice:
    """Choose the file to keep. Where all criteria are equal, it is the first by name.

    The other files come in the order in which they were passed over, the last of them first.
    """
    paths = {file.path for file in files}
    among = [replace(file, made_from=file.made_from & paths) for file in files]
    remaining = sorted(among, key=_path_of)
    passed_over: list[Candidate] = []
    reasons: list[str] = []
    for criterion in criteria:
        best = max(remaining, key=criterion.value)
        worse = _select_worse(remaining, best, criterion)
        if worse:
            reasons.append(_explain(best, worse, criterion))
            worse_paths = {file.path for file in worse}
            remaining = [file for file in remaining if file.path not in worse_paths]
            passed_over = worse + passed_over
    if len(remaining) > 1:
        reasons.append("equal to others by every rule, and the first by name")
    return Choice(remaining + passed_over, "; ".join(reasons))


def _path_of(file: Candidate) -> str:
    return file.path


def _select_worse(
    files: Iterable[Candidate], best: Candidate, criterion: Criterion
) -> list[Candidate]:
    return [file for file in files if _is_worse(file, best, criterion)]


def _is_worse(file: Candidate, best: Candidate, criterion: Criterion) -> bool:
    value = criterion.value(file)
    if criterion.margin is not None:
        value *= criterion.margin(best, file)
    return value < criterion.value(best)


def _explain(best: Candidate, worse: Sequence[Candidate], criterion: Criterion) -> str:
    """Why the best file is better than these: the reason for the first, and how many they are."""
    reason = criterion.reason(best, worse[0])
    name = os.path.basename(worse[0].path)
    if len(worse) == 1:
        return f"{reason} ({name})"
    return f"{reason} ({name} and {len(worse) - 1} more)"


def find_sources(files: Sequence[Candidate]) -> list[Candidate]:
    """The same files in the same order, each with the files of these that it was made from.

    Where more than MOST_COMPARED files have one size, those of similar numbers of bytes are
    compared.
    """
    sources: dict[str, set[str]] = {file.path: set() for file in files}
    for _, same_size in groupby(sorted(files, key=_size_order), key=_picture_size):
        alike = list(same_size)
        for start in range(0, len(alike), MOST_COMPARED):
            for copy, source in permutations(alike[start : start + MOST_COMPARED], 2):
                if _is_recompression(copy, source):
                    sources[copy.path].add(source.path)
    return [replace(file, made_from=frozenset(sources[file.path])) for file in files]


def _picture_size(file: Candidate) -> tuple[int, int]:
    return file.width, file.height


def _size_order(file: Candidate) -> tuple[int, int, int]:
    return file.width, file.height, file.size


def _is_recompression(copy: Candidate, source: Candidate) -> bool:
    """Whether a file was made from another. Only their luma is compared, so that a picture in
    shades of grey would seem to be the source of the one in colour that it was made from.
    """
    if source.detail.colours <= Colours.GREY < copy.detail.colours:
        return False
    newer = _is_newer(copy, source)
    return is_made_from(copy.detail.sample, source.detail.sample, newer)


def _is_newer(file: Candidate, other: Candidate) -> bool:
    """Whether a file was written after another; of one time, the coarser JPEG counts as newer."""
    if file.modified_ns != other.modified_ns:
        return file.modified_ns > other.modified_ns
    return sum_steps(file.detail.sample) > sum_steps(other.detail.sample)


def needs_detail(rules: Iterable[str]) -> bool:
    """Whether the pictures have to be measured for these rules."""
    return "detail" in rules


def read_rules(rules: Iterable[str]) -> list[Criterion]:
    """The criteria that rules stand for, in order; ValueError for an unknown rule.

    Links are passed over before any rule. Folders are preferred in the order in which they are
    named.
    """
    criteria: list[Criterion] = [NOT_A_LINK]
    for rule in rules:
        folder = rule.removeprefix(FOLDER)
        if rule in CRITERIA:
            criteria.extend(CRITERIA[rule])
        elif folder and folder != rule:
            criteria.append(_prefer_folder(folder))
        else:
            raise ValueError(
                f"--keep {rule} is no rule. The rules are {', '.join(RULES)}; several may be "
                "given, each with a --keep of its own."
            )
    return criteria


def prefer(paths: Collection[str], reason: str) -> Criterion:
    """The criterion that prefers these files, for this reason."""

    def is_preferred(file: Candidate) -> float:
        return float(file.path in paths)

    def say_preferred(best: Candidate, other: Candidate) -> str:
        return reason

    return Criterion(is_preferred, say_preferred)


def _prefer_folder(folder: str) -> Criterion:
    absolute = os.path.abspath(folder)

    def is_inside(file: Candidate) -> float:
        parents = Path(os.path.abspath(file.path)).parents
        return float(Path(absolute) in parents)

    def say_inside(best: Candidate, other: Candidate) -> str:
        return f"in the folder {folder}, the other is not"

    return Criterion(is_inside, say_inside)


# Links


def _is_no_link(file: Candidate) -> float:
    return float(not file.is_link)


def _say_no_link(best: Candidate, other: Candidate) -> str:
    return "a file, the other is a link"


NOT_A_LINK = Criterion(_is_no_link, _say_no_link)


# Detail


def _is_readable(file: Candidate) -> float:
    return float(file.detail != NO_DETAIL)


def _say_readable(best: Candidate, other: Candidate) -> str:
    return "a picture that can be read now, the other cannot"


def _colours(file: Candidate) -> float:
    return float(file.detail.colours)


def _say_colours(best: Candidate, other: Candidate) -> str:
    kept = COLOUR_WORDS[best.detail.colours]
    return f"{kept}, the other has {COLOUR_WORDS[other.detail.colours]}"


def _is_no_recompression(file: Candidate) -> float:
    return float(not file.made_from)


def _say_no_recompression(best: Candidate, other: Candidate) -> str:
    if best.path in other.made_from:
        return "the file from which the other was made by storing it again as JPEG"
    return "not made from another of the files by storing it again as JPEG, as the other is"


def _real_pixels(file: Candidate) -> float:
    return file.detail.pixels


def _margin_of_pixels(best: Candidate, other: Candidate) -> float:
    return SAME_ENLARGED_PIXELS if best.detail.is_enlarged else SAME_PIXELS


def _say_real_pixels(best: Candidate, other: Candidate) -> str:
    if other.detail.is_enlarged:
        return (
            f"more detail than the other, whose {other.width} x {other.height} pixels are enlarged"
        )
    return f"{best.width} x {best.height} pixels, the other has {other.width} x {other.height}"


def _is_not_enlarged(file: Candidate) -> float:
    return float(not file.detail.is_enlarged)


def _say_not_enlarged(best: Candidate, other: Candidate) -> str:
    return f"not enlarged, the other's {other.width} x {other.height} pixels are"


def _is_lossless(file: Candidate) -> float:
    return float(file.detail.quality == LOSSLESS)


def _say_lossless(best: Candidate, other: Candidate) -> str:
    return "stored without loss, the other with"


def _quality(file: Candidate) -> float:
    return float(file.detail.quality or 0)


def _margin_of_quality(best: Candidate, other: Candidate) -> float:
    """An unknown quality is neither better nor worse than a known one."""
    return 1.0 if other.detail.quality is not None else math.inf


def _say_quality(best: Candidate, other: Candidate) -> str:
    return f"JPEG quality {best.detail.quality}, the other has {other.detail.quality}"


def _fewest_enlarged_pixels(file: Candidate) -> float:
    if file.detail.is_enlarged:
        return -float(file.pixels)
    return 0.0


def _say_less_enlarged(best: Candidate, other: Candidate) -> str:
    return "the same detail without as many enlarged pixels"


# Sizes, ages and names


def _size(file: Candidate) -> float:
    return float(file.size)


def _say_size(best: Candidate, other: Candidate) -> str:
    return f"{best.size:,} bytes, the other has {other.size:,}"


def _least_size(file: Candidate) -> float:
    return -float(file.size)


def _pixels(file: Candidate) -> float:
    return float(file.pixels)


def _fewest_pixels(file: Candidate) -> float:
    return -float(file.pixels)


def _say_pixels(best: Candidate, other: Candidate) -> str:
    return f"{best.width} x {best.height} pixels, the other has {other.width} x {other.height}"


def _age(file: Candidate) -> float:
    return -file.modified_ns


def _say_older(best: Candidate, other: Candidate) -> str:
    return "older than the other"


def _newness(file: Candidate) -> float:
    return file.modified_ns


def _say_newer(best: Candidate, other: Candidate) -> str:
    return "newer than the other"


def _name_length(file: Candidate) -> float:
    return float(len(os.path.basename(file.path)))


def _say_longer_name(best: Candidate, other: Candidate) -> str:
    return "a longer name than the other"


def _name_shortness(file: Candidate) -> float:
    return -_name_length(file)


def _say_shorter_name(best: Candidate, other: Candidate) -> str:
    return "a shorter name than the other"


OLDEST = Criterion(_age, _say_older)
CRITERIA: dict[str, list[Criterion]] = {
    "detail": [
        Criterion(_is_readable, _say_readable),
        Criterion(_is_no_recompression, _say_no_recompression),
        Criterion(_colours, _say_colours),
        Criterion(_real_pixels, _say_real_pixels, _margin_of_pixels),
        Criterion(_is_not_enlarged, _say_not_enlarged),
        Criterion(_is_lossless, _say_lossless),
        Criterion(_quality, _say_quality, _margin_of_quality),
        Criterion(_fewest_enlarged_pixels, _say_less_enlarged),
        Criterion(_size, _say_size),
        OLDEST,
    ],
    "largest": [Criterion(_pixels, _say_pixels), Criterion(_size, _say_size)],
    "smallest": [Criterion(_fewest_pixels, _say_pixels), Criterion(_least_size, _say_size)],
    "oldest": [OLDEST],
    "newest": [Criterion(_newness, _say_newer)],
    "longest-name": [Criterion(_name_length, _say_longer_name)],
    "shortest-name": [Criterion(_name_shortness, _say_shorter_name)],
}
