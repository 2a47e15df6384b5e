"""Decide whether the names of images say which of them belong together."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from finlib.hashing.images import family_of

AUTO = "auto"
YES = "yes"
NO = "no"

FIRST_YEAR = 1900
LAST_YEAR = 2099


class Reading(NamedTuple):
    """How the names of a folder's images were read.

    labelled: how many have the form FFFF_ID.ext. others: how many do not. families: how many
    different FFFF there are. are_labels: whether FFFF is taken as an image's family. reason: why,
    in whole sentences. is_guess: whether the names decided it, and not the person who asked.
    """

    labelled: int
    others: int
    families: int
    are_labels: bool
    reason: str
    is_guess: bool

    def otherwise(self, how_to_answer: str) -> str:
        """Say how to correct the reading; "" where there is nothing to correct.

        how_to_answer: what a person has to do, with {} where "yes" or "no" stands.
        """
        if not self.is_guess:
            return ""
        if self.are_labels:
            return f"If they are no families, {how_to_answer.format(NO)}."
        return f"If they are labels, {how_to_answer.format(YES)}."


def read_names(paths: Sequence[Path], labels: str = AUTO) -> Reading:
    """Decide whether the names of images say which family each belongs to.

    With labels="auto" they do if most of them have the form FFFF_ID.ext, at least two families have
    several images, and the four digits are not all years: a holiday picture named 1987_summer.jpg
    is no member of a family 1987. With "yes" every name of that form is a label, with "no" none is.
    ValueError for anything else.
    """
    if labels not in (AUTO, YES, NO):
        raise ValueError(f"labels is {labels!r}, but expected {AUTO!r}, {YES!r} or {NO!r}.")
    sizes = Counter(family for family in map(family_of, paths) if family)
    labelled = sizes.total()
    others = len(paths) - labelled
    are_labels, reason = _decide(sizes, others, labels)
    is_guess = labels == AUTO and labelled > 0
    return Reading(labelled, others, len(sizes), are_labels, reason, is_guess)


def _decide(sizes: Counter[str], others: int, labels: str) -> tuple[bool, str]:
    """Whether names are labels, and why; `sizes` are the families' numbers of images."""
    labelled = sizes.total()
    if labelled == 0:
        return False, "No name has the form FFFF_ID.ext, which would say its image's family."
    if labels == NO:
        return False, "The names are not read as labels, as you asked."
    if labels == YES:
        return True, "Names of the form FFFF_ID.ext are read as labels, as you asked."
    problem = _doubt(sizes, others)
    if problem:
        return False, problem
    reason = "The four digits before the underscore are read as an image's family."
    if others:
        reason += f" The other names ({others:,}) have another form and are left out."
    return True, reason


def _doubt(sizes: Counter[str], others: int) -> str:
    """Why names of the form FFFF_ID.ext are hardly labels; "" where nothing speaks against it."""
    labelled = sizes.total()
    if labelled <= others:
        return (
            f"Only {labelled:,} of {labelled + others:,} names have the form FFFF_ID.ext, "
            "so they are not read as labels."
        )
    if all(FIRST_YEAR <= int(family) <= LAST_YEAR for family in sizes):
        return "The names begin with years, so they are not read as labels of families."
    families_with_pairs = sum(size > 1 for size in sizes.values())
    if families_with_pairs < 2:
        return (
            "The names have the form FFFF_ID.ext, but fewer than two families have several "
            "images, so they are not read as labels."
        )
    return ""
