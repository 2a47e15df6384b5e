"""Scores of hashers on a person's own labelled images: what `finlib evaluate` does."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finlib.command.output import say, say_errors
from finlib.hashing import execution, tables
from finlib.hashing.hashers import HASHERS, Hasher, get_hasher
from finlib.hashing.images import family_of, list_images
from finlib.scoring import metrics

COLUMNS = ("hasher", "auc")  # by which a table of scores is recognised


def write_scores(
    folder: Path, output: Path, names: Sequence[str] | None, workers: int | None
) -> None:
    """Write a table with a row of scores for each hasher named, or for all single hashers."""
    hashers = [get_hasher(name) for name in names or HASHERS]
    files = list_labelled(folder)
    scores = [score_hasher(hasher, files, workers) for hasher in hashers]
    tables.write_table(pd.DataFrame(scores), output)
    say(f"Scores of {len(scores)} hashers: {output}")


def list_labelled(folder: Path) -> list[Path]:
    """List the images that are named FFFF_ID.ext; ValueError for fewer than two families.

    A message says how many other images there are.
    """
    images = list_images(folder)
    labelled = [file for file in images if family_of(file)]
    families = {family_of(file) for file in labelled}
    if len(families) < 2:
        raise ValueError(
            f"{folder} does not hold images of two families. The name of an image must be "
            "FFFF_ID.ext, where the four digits FFFF say which family it belongs to."
        )
    others = len(images) - len(labelled)
    if others:
        say(f"{others} images are left out because they are not named FFFF_ID.ext.")
    return labelled


def score_hasher(hasher: Hasher, files: Sequence[Path], workers: int | None) -> dict[str, object]:
    """Hash the files and compare every pair of them: the hasher's row in the table of scores."""
    say(f"Hashing {len(files)} files with {hasher.label}.")
    table = execution.hash_files(files, hasher.name, workers=workers, progress=True)
    say_errors(table)
    families = tables.hashed_rows(table)["family"].to_numpy()
    packed = tables.packed_hashes(table)
    return metrics.evaluate(packed, families, hasher.name, hasher.bits)
