"""The answer of `finlib match` about one picture, in lines for the terminal."""

from pathlib import Path

import pandas as pd

from finlib.command.inputs import Hashes
from finlib.command.search import Comparison
from finlib.hashing import tables


def print_matches(pairs: Path, comparison: Comparison, radius: int | None) -> None:
    """Print what a picture matches, the nearest first: distance, file, pixels and bytes.

    pairs: the table that the search has written.
    """
    found = tables.read_columns(pairs).sort_values("distance", kind="stable")
    picture = printable(comparison.new.files["path"].iloc[0])
    others = comparison.others
    if found.empty:
        within = "" if radius is None else f" within {comparison.method.describe(radius)}"
        print(f"{picture}: none of {len(others.files):,} files matches{within}.")
        return
    print(f"{picture}: {len(found):,} matches among {len(others.files):,} files.")
    facts_of = _list_facts(others, found)
    words = [comparison.method.describe(distance) for distance in found["distance"]]
    widest = max(map(len, words))
    for distance, match in zip(words, found.itertuples(), strict=True):
        variant = getattr(match, "variant", "as it is")
        turned = "" if variant == "as it is" else f", {variant}"
        path = str(match.path_b)
        print(f"{distance:>{widest}}  {printable(path)}{facts_of.get(path, '')}{turned}")


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
