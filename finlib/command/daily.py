"""What a command is given and what it may write: folders, images, tables of hashes and of clusters."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from finlib.clustering import corrections
from finlib.clustering.clusters import Clusters, cluster, extend
from finlib.distributed import dask_client
from finlib.files import lock, one_line, text_to_path
from finlib.hashing import execution, tables
from finlib.hashing.decoding import open_picture
from finlib.hashing.hashers import get_hasher
from finlib.hashing.images import scan_folder
from finlib.hashing.tables import CLUSTERS
from finlib.matching import near
from finlib.matching.pairs import find_distinct
from finlib.pools import in_threads

DUPLICATES = ("keep", "others", "size")


def say(text: object) -> None:
    """A line for the person, on standard error."""
    print(one_line(text), file=sys.stderr)


def say_some(what: str, errors: Sequence[object]) -> None:
    """Some of the errors, and how many more there are."""
    for error in errors[:5]:
        say(f"{what}: {error}")
    if len(errors) > 5:
        say(f"{what}: {len(errors) - 5} more")


def say_errors(table: pd.DataFrame) -> None:
    """The first errors of a table of hashes."""
    say_some("not hashed", table["error"][table["error"] != ""].tolist())


def files_of(source: str) -> Sequence[str | Path]:
    """The files that a SOURCE of `finlib hash` stands for; ValueError or FileNotFoundError where it is none."""
    if source == "-":
        listed = os.fsdecode(sys.stdin.buffer.read())
        names = (
            listed.split("\0")
            if "\0" in listed
            else [name.rstrip("\r") for name in listed.split("\n")]
        )
        if not any(names):
            raise ValueError(
                "standard input lists no file: give one name a line, or separated by NUL bytes"
            )
        return [name for name in names if name]
    if os.path.lexists(source) and not os.path.isdir(source):
        return [source]
    found, passed_over = scan_folder(source)
    if passed_over:
        kinds = ", ".join(
            f"{count} {suffix or 'without suffix'}" for suffix, count in passed_over.most_common(5)
        )
        say(
            f"{source}: {passed_over.total()} files are passed over ({kinds}); name them to have them hashed"
        )
    return found


def parts_folder(output: Path) -> Path:
    """Where a run that writes `output` leaves what it has finished."""
    return output.with_name(output.name + ".parts")


@contextmanager
def parts_of(output: Path, names: str) -> Iterator[Path]:
    """The folder where a killed run leaves files named so to the next; held by one run, gone when all is well."""
    parts = parts_folder(output)
    if parts.exists() and not parts.is_dir():
        raise FileExistsError(
            f"{parts} is in the way: what is done is kept there. Move it, or name another output"
        )
    with lock(output.with_name(f".{output.name}.lock"), output):
        try:
            yield parts
            for file in parts.glob(names):
                file.unlink()
        finally:
            with suppress(OSError):  # it holds what the next run goes on from, or what is another's
                parts.rmdir()


@dataclass(frozen=True)
class Hashes:
    """The rows of a table that have a hash, and the hashes packed, by one hasher."""

    rows: pd.DataFrame
    packed: NDArray[np.uint8]
    hasher: str

    def turned(
        self, variants: Sequence[int], workers: int | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Hashes of the files' pictures, read again, in each of these variants; and the rows that they are of.

        RuntimeError where there are files, but none can be read.
        """
        errors: list[str] = []

        def one(path: str) -> NDArray[np.uint8]:
            try:
                picture = open_picture(text_to_path(path))
                return get_hasher(self.hasher).variants(picture, variants)
            except (OSError, ValueError) as error:
                errors.append(str(error))
                return self.packed[:0]

        found = in_threads(one, ((path,) for path in self.rows["path"]), workers)
        hashes = [self.packed[:0], *tqdm(found, total=len(self.rows), unit="file", disable=None)]
        if errors and len(errors) == len(self.rows):
            raise RuntimeError(
                f"--mirrored and --turned read the pictures again, and none can be read: {errors[0]}"
            )
        say_some("left out", errors)
        return np.concatenate(hashes), np.repeat(
            np.arange(len(hashes) - 1), [len(each) for each in hashes[1:]]
        )

    def folded(self) -> "Hashes":
        """The first file of each hash alone."""
        first = find_distinct(self.packed)[0]
        say(f"{len(self.rows) - len(first)} files have the hash of an earlier one and are left out")
        return Hashes(self.rows.iloc[first].reset_index(drop=True), self.packed[first], self.hasher)


def load(source: Path, hasher: str | None, min_quality: float, workers: int | None) -> Hashes:
    """Hashes by `hasher`: of a table, by default whatever it has; or made of a folder or an image, by default FINd.

    Says what is left out and why.
    """
    if _is_table(source):
        whole = tables.read_hashes(source)
        table = (
            tables.select_part(whole, hasher)
            if hasher and set(whole["hasher"]) - {hasher}
            else whole
        )
        quality = whole["quality"]  # of the sum, where a part of one is taken
    else:
        table = execution.hash_files(
            files_of(str(source)), hasher or "find", workers=workers, progress=True
        )
        quality = table["quality"]
        say_errors(table)
    bad = table["error"] != ""
    if bad.all():
        raise RuntimeError(f"{source} gives no hash to work with")
    twice = ~bad & table["path"].mask(bad).duplicated(keep="last")
    low = ~(bad | twice) & (quality < min_quality)
    if min_quality and quality[~bad].isna().any():
        raise ValueError(
            f"--min-quality: the hashes of {source} have no quality; those of find and pdq have one"
        )
    counts = {"with an error": bad, "given twice": twice, f"of quality under {min_quality:g}": low}
    said = [f"{rows.sum()} {why}" for why, rows in counts.items() if rows.any()]
    if said:
        say(f"{source}: of {len(table)} rows left out: {', '.join(said)}")
    kept, made_by = ~(bad | twice | low), table["hasher"][~bad].iloc[0]
    packed = tables.packed_hashes(table)[kept[~bad].to_numpy()]
    return Hashes(
        table[kept].drop(columns=["hash", "hasher", "error"]).reset_index(drop=True),
        packed,
        made_by,
    )


def load_both(
    source: Path, against: Path | None, hasher: str | None, min_quality: float, workers: int | None
) -> tuple[Hashes, Hashes | None]:
    """Hashes to compare, and what with where `against` is given: what is no table takes the hasher of the other."""
    if against is None:
        return load(source, hasher, min_quality, workers), None
    if _is_table(source) and not _is_table(against):
        new = load(source, hasher, min_quality, workers)
        return new, load(against, new.hasher, min_quality, workers)
    old = load(against, hasher, min_quality, workers)
    return load(source, hasher or old.hasher, min_quality, workers), old


def _is_table(source: Path) -> bool:
    return source.suffix in (".parquet", ".csv")


def claim(
    output: Path, columns: Sequence[str] | None, overwrite: bool, *inputs: Path | None
) -> None:
    """Refuse to write over an input, over what is not a table of these columns (None: a page), or over one unasked."""
    if columns is not None:
        tables.is_csv(output)
    elif output.suffix != ".html":
        raise ValueError(f"{output}: a page ends in .html")
    if not output.exists():
        return
    if any(path and path.exists() and output.samefile(path) for path in inputs):
        raise ValueError(f"{output} is what this command reads: give --output another name")
    try:
        if columns is not None:
            next(tables.iter_batches(output, columns))
    except (ValueError, FileNotFoundError):
        raise ValueError(
            f"{output} exists and is another kind of file: give another name, or move it away"
        ) from None
    if not overwrite:
        raise ValueError(f"{output} exists: give another name, or --overwrite")


def cluster_files(
    new: Hashes,
    output: Path | None,
    onto: Path | None = None,
    together: Path | None = None,
    apart: Path | None = None,
    workers: int | None = None,
    scheduler: str = "",
    parts: Path | None = None,
) -> pd.DataFrame:
    """A row a file: its cluster's number and size, and its distance in bits from the cluster's centre.

    With `onto`, the table of an earlier clustering, its files come first and keep their clusters. What a later run
    needs to go on is written beside `output`, and while this one runs, what it has found into the folder `parts`.
    """
    old = tables.read_columns(onto, CLUSTERS) if onto else new.rows.head(0)
    known = new.rows["path"].isin(old["path"])
    rows, packed = new.rows[~known][["path", "family"]], new.packed[~known.to_numpy()]
    paths = pd.concat([old["path"], rows["path"]])
    right, wrong = _corrections(together, "right", paths), _corrections(apart, "wrong", paths)
    if rows_apart := corrections.find_contradiction(len(paths), right, wrong):
        one, other = paths.iloc[list(rows_apart)]
        raise ValueError(
            f"{one} and {other} are to be apart, and together by other pairs: correct the corrections"
        )
    with dask_client(scheduler) if scheduler else nullcontext() as client:
        resources = near.Resources(workers, client, parts, progress=True)
        if onto:
            if not (beside := _centres(onto)).is_file():
                raise FileNotFoundError(
                    f"{beside} is not there: `cluster` wrote it beside {onto.name}, bring it along"
                )
            before, held = Clusters.load(beside, old["cluster"])
            if len(rows) and (made_by := held["hasher"]) != new.hasher:
                raise ValueError(
                    f"{onto} holds clusters by {made_by}, not {new.hasher}: give --hasher {made_by}"
                )
            found = extend(before, packed, together=right, apart=wrong, resources=resources)
        else:
            found = cluster(packed, together=right, apart=wrong, resources=resources)
    if not onto:
        say(
            f"united within {found.link} bits{f', gathered within {found.reach} of a centre' * (found.reach > 0)}"
        )
    centre = found.centres[np.searchsorted(found.cluster, found.labels[len(old) :])]
    distance = np.bitwise_count(packed ^ centre).sum(axis=1, dtype=np.int32)
    whole = rows.assign(distance=distance)
    whole = pd.concat([old.reindex(columns=list(whole)), whole]) if onto else whole
    if output:
        found.save(_centres(output), hasher=held["hasher"] if onto else new.hasher)
    return whole.assign(cluster=found.labels, size=found.size[found.labels])[
        ["path", "family", *CLUSTERS[1:]]
    ]


def _centres(clusters: Path) -> Path:
    """Where what it takes to go on with a table of clusters is kept."""
    return clusters.with_name(f"{clusters.name}.centres.parquet")


def _corrections(file: Path | None, verdict: str, paths: pd.Series) -> NDArray[np.int64]:
    """int64[pairs, 2]: rows of the pairs of files that a person judged so, or of all where there is no verdict."""
    if file is None:
        return np.empty((0, 2), np.int64)
    marked = tables.read_columns(file, ("path_a", "path_b"))
    if "verdict" in marked:
        words = marked["verdict"].fillna("").astype(str).str.strip().str.lower()
        if unknown := set(words) - {"right", "wrong", ""}:
            raise ValueError(f"{file}: a verdict is right or wrong, not {min(unknown)}")
        if not (words == verdict).any():
            say(f"{file}: none of {len(words)} pairs is marked {verdict}")
        marked = marked[words == verdict]
    row_of = pd.Index(paths)
    rows = np.stack([row_of.get_indexer(marked[side]) for side in ("path_a", "path_b")], axis=1)
    if missing := int((rows < 0).any(axis=1).sum()):
        say(
            f"{file}: {missing} of {len(rows)} pairs name a file that has no hash here, and are left out"
        )
    return rows[(rows >= 0).all(axis=1)]


def find_duplicates(hashes: Hashes, workers: int | None) -> pd.DataFrame:
    """A row a group of alike files: the one to keep, the others as a JSON list, their number; larger groups first.

    Kept is no link where there is a file, then the largest in pixels, then in bytes, then the oldest. Files that cannot
    be seen now are in no group.
    """
    there = np.array([os.path.lexists(text_to_path(path)) for path in hashes.rows["path"]], bool)
    hashes = Hashes(hashes.rows[there].reset_index(drop=True), hashes.packed[there], hashes.hasher)
    clusters = cluster_files(hashes, None, workers=workers)
    rows, link = hashes.rows, [os.path.islink(text_to_path(path)) for path in hashes.rows["path"]]
    pixels = rows["width"].astype(np.int64) * rows["height"]
    order = np.lexsort(
        (rows["modified_ns"], -rows["bytes"], -pixels, link, clusters["cluster"], -clusters["size"])
    )
    ranked = clusters.iloc[order][clusters["size"].to_numpy()[order] > 1]
    groups = [group["path"].tolist() for _, group in ranked.groupby("cluster", sort=False)]
    columns = [
        (keep, json.dumps(others, ensure_ascii=False), 1 + len(others)) for keep, *others in groups
    ]
    return pd.DataFrame(columns, columns=list(DUPLICATES))
