"""The answer of `finlib match` about one picture, in lines for the terminal."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finlib.command.blocks import can_show_pictures, draw_side_by_side
from finlib.command.inputs import Hashes
from finlib.command.names import find_inside
from finlib.command.search import Comparison
from finlib.hashing import tables


def print_matches(
    pairs: Path, comparison: Comparison, radius: int | None, within: Sequence[Path]
) -> None:
    """Print what a picture matches, the nearest first: distance, file, pixels and bytes.

    A terminal with colours shows the picture and its nearest match, too. pairs: the table that the
    search has written. within: the folders from which a match may be shown; a table that comes from
    somebody else names files anywhere.
    """
    found = tables.read_columns(pairs).sort_values("distance", kind="stable")
    picture = printable(comparison.new.files["path"].iloc[0])
    others = comparison.others
    if found.empty:
        limit = "" if radius is None else f" within {comparison.method.describe(radius)}"
        print(f"{picture}: none of {len(others.files):,} files matches{limit}.")
        return
    print(f"{picture}: {len(found):,} matches among {len(others.files):,} files.")
    show_nearest(str(found["path_a"].iloc[0]), str(found["path_b"].iloc[0]), within)
    facts_of = _list_facts(others, found)
    words = [comparison.method.describe(distance) for distance in found["distance"]]
    widest = max(map(len, words))
    for distance, match in zip(words, found.itertuples(), strict=True):
        variant = getattr(match, "variant", "as it is")
        turned = "" if variant == "as it is" else f", {variant}"
        path = str(match.path_b)
        print(f"{distance:>{widest}}  {printable(path)}{facts_of.get(path, '')}{turned}")


def show_nearest(picture: str, match: str, within: Sequence[Path]) -> None:
    """Show the picture and its nearest match where the terminal can, and both can be read."""
    is_inside = find_inside(pd.Series([match], dtype=str), within).all()
    if not is_inside or not can_show_pictures(sys.stdout):
        return
    for line in draw_side_by_side(picture, match, shutil.get_terminal_size()):
        print(line)


def _list_facts(files: Hashes, pairs: pd.DataFrame) -> dict[str, str]:
    """The pixels and bytes of the files in the pairs, as far as they are known."""
    listed = files.files[files.files["path"].isin(pairs["path_b"])]
    facts = {}
    for file in listed.itertuples():
        if file.width and file.bytes:
            facts[str(file.path)] = f"  {file.width} x {file.height} pixels, {file.bytes:,} bytes"
    return facts


def printable(text: str) -> str:
    """The text with a question mark for each character that would move the cursor or the like."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
