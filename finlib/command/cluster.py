"""Groups of files whose hashes are alike: what `finlib cluster` does.

A clustering is a table with a row per file, and beside it a file with the clusters' centres, from
which a later run extends the clustering by new files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.clustering import clusters, corrections
from finlib.command.inputs import Hashes
from finlib.command.output import say, unfinished_parts
from finlib.distributed import dask_client
from finlib.hashing import tables
from finlib.matching import near

PARTS = "*.npz"  # what `near` keeps of its searches
VERDICTS = ("right", "wrong")


class Corrections(NamedTuple):
    """Files of pairs that a person has judged: pairs that belong together, and pairs that do not;
    None for no file.
    """

    together: Path | None = None
    apart: Path | None = None


class FileClusters(NamedTuple):
    """Files in clusters.

    table: a row per file with its path, family, cluster, the cluster's size, and the distance in
    bits to the cluster's centre. clusters: what it takes to extend the clustering later. hasher:
    the name of the hasher.
    """

    table: pd.DataFrame
    clusters: clusters.Clusters
    hasher: str


def write_clusters(
    hashes: Hashes,
    output: Path,
    onto: Path | None,
    corrected: Corrections,
    workers: int | None,
    scheduler: str,
) -> None:
    """Cluster the files, or extend the clustering `onto` by them, and write the table and the
    centres beside it.

    An interrupted run resumes when it is called again.
    """
    with unfinished_parts(output, PARTS) as folder, _client(scheduler) as client:
        resources = near.Resources(workers, client, folder, progress=True)
        if onto is None:
            found = cluster_files(hashes, corrected, resources)
        else:
            found = extend_clusters(hashes, onto, corrected, resources)
        found.clusters.save(centres_file(output), hasher=found.hasher)
        tables.write_table(found.table, output)
    _report(found.table, output)


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    """A client of the Dask scheduler at that address; None where the address is empty."""
    if not scheduler:
        yield None
        return
    with dask_client(scheduler) as client:
        yield client


def _report(table: pd.DataFrame, output: Path) -> None:
    single_files = int((table["size"] == 1).sum())
    grouped_files = len(table) - single_files
    groups = table["cluster"].nunique() - single_files
    say(f"{groups} clusters of {grouped_files} files, and {single_files} single files: {output}")


def centres_file(table: Path) -> Path:
    """The file beside a table of clusters that holds the clusters' centres."""
    return table.with_name(f"{table.name}.centres.parquet")


def cluster_files(
    hashes: Hashes, corrected: Corrections, resources: near.Resources
) -> FileClusters:
    """Cluster files from scratch. ValueError where the corrections contradict each other."""
    files = hashes.files[["path", "family"]]
    together, apart = _corrected_rows(corrected, files["path"])
    found = clusters.cluster(hashes.packed, together=together, apart=apart, resources=resources)
    gathered = (
        f", and gathered within {found.centre_radius} bits of a centre"
        if found.centre_radius
        else ""
    )
    say(f"Files were united within {found.link_radius} bits{gathered}.")
    distance = _distance_to_centre(hashes.packed, found.labels, found)
    return FileClusters(_table(files.assign(distance=distance), found), found, hashes.hasher)


def extend_clusters(
    hashes: Hashes, onto: Path, corrected: Corrections, resources: near.Resources
) -> FileClusters:
    """Extend the clustering in the table `onto` by the files that are not in it, which come after
    its own.

    ValueError where the corrections contradict each other, or the clustering is by another hasher;
    FileNotFoundError where the file of its centres is missing.
    """
    old = tables.read_columns(onto, tables.CLUSTERS)
    new = hashes.select(~hashes.files["path"].isin(old["path"]).to_numpy())
    files = new.files[["path", "family"]]
    together, apart = _corrected_rows(corrected, pd.concat([old["path"], files["path"]]))
    before, hasher = _load_clusters(onto, old["cluster"])
    if len(files) and hasher != new.hasher:
        raise ValueError(
            f"The clusters in {onto} are by {hasher}, the new hashes by {new.hasher}. Give "
            f"--hasher {hasher}."
        )
    found = clusters.extend(before, new.packed, together=together, apart=apart, resources=resources)
    distance = _distance_to_centre(new.packed, found.labels[len(old) :], found)
    old_files = old.reindex(columns=["path", "family", "distance"])
    all_files = pd.concat([old_files, files.assign(distance=distance)])
    return FileClusters(_table(all_files, found), found, hasher)


def _load_clusters(onto: Path, labels: pd.Series) -> tuple[clusters.Clusters, str]:
    """The clustering of the table `onto`, whose files have these labels, and the name of its
    hasher.
    """
    centres = centres_file(onto)
    if not centres.is_file():
        raise FileNotFoundError(
            f"{centres} is missing. `finlib cluster` wrote it beside {onto.name}; keep the two "
            "files together."
        )
    before, stored_with_it = clusters.Clusters.load(centres, labels)
    return before, stored_with_it["hasher"]


def _distance_to_centre(
    packed: NDArray[np.uint8], labels: NDArray[np.int64], found: clusters.Clusters
) -> NDArray[np.int32]:
    """The distance in bits of each hash from the (first) centre of the cluster that its label
    names.
    """
    centre = found.centres[np.searchsorted(found.cluster, labels)]
    return np.bitwise_count(packed ^ centre).sum(axis=1, dtype=np.int32)


def _table(files: pd.DataFrame, found: clusters.Clusters) -> pd.DataFrame:
    """The table of clusters: files with path, family and distance, in the order of the labels, and
    their clusters.
    """
    labelled = files.assign(cluster=found.labels, size=found.size[found.labels])
    return labelled[["path", "family", "cluster", "size", "distance"]]


def _corrected_rows(
    corrected: Corrections, paths: pd.Series
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the pairs that belong together and of those that do not, each int64[pairs, 2]."""
    together = _read_corrections(corrected.together, "right", paths)
    apart = _read_corrections(corrected.apart, "wrong", paths)
    contradiction = corrections.find_contradiction(len(paths), together, apart)
    if contradiction is not None:
        one, other = paths.iloc[list(contradiction)]
        raise ValueError(
            f"The corrections contradict each other: {one} and {other} are to be apart, and "
            "together by other pairs."
        )
    return together, apart


def _read_corrections(file: Path | None, verdict: str, paths: pd.Series) -> NDArray[np.int64]:
    """int64[pairs, 2]: the rows of the pairs of files with this verdict, or of all pairs in a table
    without verdicts.

    Pairs that name a file which is not among `paths` are left out, with a message.
    """
    if file is None:
        return np.empty((0, 2), np.int64)
    pairs = tables.read_columns(file, ("path_a", "path_b"))
    if "verdict" in pairs:
        pairs = _select_verdict(pairs, verdict, file)
    row_of = pd.Index(paths)
    rows = np.stack(
        [row_of.get_indexer(pairs["path_a"]), row_of.get_indexer(pairs["path_b"])], axis=1
    )
    unknown = (rows < 0).any(axis=1)
    if unknown.any():
        say(
            f"{file}: {unknown.sum()} of {len(rows)} pairs name a file that has no hash here, and "
            "are left out."
        )
    return rows[~unknown]


def _select_verdict(pairs: pd.DataFrame, verdict: str, file: Path) -> pd.DataFrame:
    """The pairs with this verdict; ValueError where there is one that is neither right nor wrong
    nor empty.
    """
    verdicts = pairs["verdict"].fillna("").astype(str).str.strip().str.lower()
    unknown = set(verdicts) - {*VERDICTS, ""}
    if unknown:
        raise ValueError(f"{file}: a verdict must be right or wrong, not {min(unknown)}.")
    chosen = verdicts == verdict
    if not chosen.any():
        say(f"{file}: none of its {len(pairs)} pairs is marked {verdict}.")
    return pairs[chosen]
