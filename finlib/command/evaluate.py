"""Scores of hashers on a person's own labelled images: what `finlib evaluate` does."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finlib.command.methods import check_distance, fits
from finlib.command.output import name_output, say, say_errors
from finlib.hashing import execution, tables
from finlib.hashing.hashers import HASHERS, Hasher, get_hasher
from finlib.hashing.images import family_of, list_images
from finlib.matching.hamming import Hamming
from finlib.scoring import metrics
from finlib.scoring.labels import AUTO, read_names

COLUMNS = ("hasher", "auc")  # by which a table of scores is recognised


def write_scores(
    folder: Path,
    output: Path,
    hashers: Sequence[str] | None,
    distances: Sequence[str] | None,
    workers: int | None,
    labels: str = AUTO,
) -> None:
    """Write a table with a row of scores for each hasher and each distance that fits it.

    hashers, distances: their names; None for all single hashers, and for the Hamming distance.
    labels: as for `list_labelled`. ValueError where no distance fits any hasher.
    """
    methods = choose_methods(hashers or list(HASHERS), distances or [Hamming.name])
    files = list_labelled(folder, labels)
    scores = []
    for hasher, distances_of_hasher in methods.items():
        scores += score_hasher(get_hasher(hasher), distances_of_hasher, files, workers)
    tables.write_table(pd.DataFrame(scores), output)
    say(f"Scores of {len(scores)} methods: {name_output(output)}")


def choose_methods(hashers: Sequence[str], distances: Sequence[str]) -> dict[str, list[str]]:
    """List the distances that fit each hasher, without the hashers that none of them fits.

    A message names the hashers that are left out. ValueError where all are, and for names that
    there are not.
    """
    for distance in distances:
        check_distance(distance)
    methods = {}
    left_out = []
    for hasher in hashers:
        fitting = [distance for distance in dict.fromkeys(distances) if fits(hasher, distance)]
        if fitting:
            methods[hasher] = fitting
        else:
            left_out.append(hasher)
    if not methods:
        raise ValueError(
            f"These hashers cannot be compared by {' or '.join(distances)}: "
            f"{', '.join(left_out)}. Take dhash256, or a combination that ends in it."
        )
    if left_out:
        say(
            "These hashers are left out because they cannot be compared by "
            f"{' or '.join(distances)}: {', '.join(left_out)}."
        )
    return methods


def list_labelled(folder: Path, labels: str = AUTO) -> list[Path]:
    """List the images whose names say their family, as in FFFF_ID.ext.

    A message says how the names were read. labels: "yes" takes every name of that form for a label;
    "auto" decides by `read_names`. ValueError where the names are not read as labels, and for fewer
    than two families.
    """
    images = list_images(folder)
    reading = read_names(images, labels)
    if not reading.are_labels or reading.families < 2:
        raise ValueError(
            f"{folder} has no images of two families to compare. {reading.reason} The name of an "
            "image must be FFFF_ID.ext, where the four digits FFFF say which family it belongs to. "
            f"{reading.otherwise('give --labels {}')}".rstrip()
        )
    found = f"{reading.labelled:,} images of {reading.families:,} families"
    say(f"Found {found}. {reading.reason}")
    return [file for file in images if family_of(file)]


def score_hasher(
    hasher: Hasher, distances: Sequence[str], files: Sequence[Path], workers: int | None
) -> list[dict[str, object]]:
    """Hash the files and compare every pair of them: the hasher's rows in the table of scores, one
    for each distance.
    """
    say(f"Hashing {len(files)} files with {hasher.label}.")
    table = execution.hash_files(files, hasher.name, workers=workers, progress=True)
    say_errors(table)
    families = tables.hashed_rows(table)["family"].to_numpy()
    packed = tables.packed_hashes(table)
    rows = []
    for distance in distances:
        row = metrics.evaluate(packed, families, hasher.name, hasher.bits, distance=distance)
        rows.append(row)
    return rows
