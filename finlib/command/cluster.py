"""Groups of files whose hashes are alike: what `finlib cluster` does.

A clustering is a table with a row per file, and beside it a file with the clusters' centres, from
which a later run extends the clustering by new files.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finlib.clustering import clusters, corrections
from finlib.clustering.clusterer import FEW
from finlib.command import turned, verdicts
from finlib.command.inputs import PLAIN_QUALITY, Hashes, VariantHashes, check_any_hashed
from finlib.command.methods import Method
from finlib.command.names import absolute_paths
from finlib.command.output import (
    check_side_file,
    check_table_output,
    keep_parts,
    name_output,
    say,
)
from finlib.distributed import dask_client
from finlib.hashing import tables
from finlib.matching import near
from finlib.matching.distances import get_distance
from finlib.matching.distinct import find_distinct
from finlib.matching.packed import iter_strips

PARTS = "*.npz"  # what `near` keeps of its searches
ROWS_AT_A_TIME = 1 << 20  # hashes whose distances from their centres are computed at once


class Corrections(NamedTuple):
    """Tables of pairs of files that a person has judged; None where there is no table.

    judged: pairs with a verdict each.
    together: pairs that belong together, or those with the verdict right.
    apart: pairs that do not, or those with the verdict wrong.
    """

    judged: Path | None = None
    together: Path | None = None
    apart: Path | None = None

    def gather(self, *outputs: Path | None) -> pd.DataFrame:
        """The verdicts of these tables, and those remembered beside some outputs."""
        together = _read_marked(self.together, verdicts.RIGHT)
        apart = _read_marked(self.apart, verdicts.WRONG)
        _check_unequal(together, apart)
        return verdicts.merge([verdicts.gather(self.judged, *outputs), together, apart])


class TurnedCopies(NamedTuple):
    """How clusters are joined that have turned or mirrored copies of each other.

    radius: the largest distance of a copy, when it is turned, in bits.
    file: where the hashes of turned pictures are kept from run to run.
    """

    radius: int
    file: Path


class FileClusters(NamedTuple):
    """Files in clusters.

    table: a row per file with its path, family, cluster, the cluster's size, and the distance of
        its hash to the cluster's centre, before clusters of turned copies were joined.
    clusters: what it takes to extend the clustering later.
    hasher: the name of the hasher.
    """

    table: pd.DataFrame
    clusters: clusters.Clusters
    hasher: str


def check_outputs(output: Path, overwrite: bool, inputs: Iterable[Path | None]) -> None:
    """Make sure that the table and the files beside it may be written; ValueError otherwise."""
    inputs = tuple(inputs)
    check_table_output(output, tables.CLUSTERS, overwrite, inputs)
    check_side_file(centres_file(output), clusters.CENTRES, inputs)
    check_side_file(turned_file(output), turned.KIND, inputs)
    verdicts.check_verdicts_file(output)


def write_clusters(
    hashes: Hashes,
    output: Path,
    onto: Path | None,
    corrected: Corrections,
    distance: str,
    workers: int | None,
    scheduler: str,
    turned_radius: int | None = None,
) -> None:
    """Cluster files, or extend an earlier clustering by them, and write the table and the centres.

    onto: the table of an earlier clustering, or None. distance: the name of the distance, which is
    that of the earlier clustering where there is one. Verdicts that are remembered beside it or
    beside the output are applied, too. turned_radius: within how many bits turned and mirrored
    copies are brought together; None where they are not. An interrupted run resumes when it is
    called again.
    """
    _say_plain(hashes)
    copies = None
    if turned_radius is not None:
        copies = TurnedCopies(turned_radius, turned_file(output))
    judged = corrected.gather(onto, output)
    with keep_parts(output, PARTS) as folder, _connect(scheduler) as client:
        resources = near.Resources(workers, client, folder, progress=True)
        if onto is None:
            found = cluster_files(hashes, judged, resources, distance, copies)
        else:
            found = extend_clusters(hashes, onto, judged, resources, copies)
        found.clusters.save(centres_file(output), hasher=found.hasher)
        method = Method(found.hasher, found.clusters.distance)
        metadata = tables.DistanceMetadata(method.hasher, method.distance, method.largest)
        tables.write_table(found.table, output, metadata=metadata)
        verdicts.remember(judged, hashes.files, output)
    _report(found.table, output)


def _say_plain(hashes: Hashes) -> None:
    """Say how many files have so little detail that they are grouped by chance."""
    plain = int(hashes.is_plain.sum())
    if plain:
        say(
            f"{plain} of {len(hashes.files)} files have a quality under {PLAIN_QUALITY}, such as "
            "flat pictures and pages with a few words. Their hashes are alike by chance: give "
            f"--min-quality {PLAIN_QUALITY} to leave them out."
        )


@contextmanager
def _connect(scheduler: str) -> Iterator[Any]:
    """Connect a Dask client to the scheduler at that address; None where the address is empty."""
    if scheduler:
        with dask_client(scheduler) as client:
            yield client
    else:
        yield None


def _report(table: pd.DataFrame, output: Path) -> None:
    single_files = int((table["size"] == 1).sum())
    grouped_files = len(table) - single_files
    groups = table["cluster"].nunique() - single_files
    say(
        f"{groups} clusters of {grouped_files} files, and {single_files} single files: "
        f"{name_output(output)}"
    )


def centres_file(table: Path) -> Path:
    """The file beside a table of clusters that holds the clusters' centres."""
    return table.with_name(f"{table.name}.centres.parquet")


def turned_file(table: Path) -> Path:
    """The file beside a table of clusters that keeps the hashes of turned pictures."""
    return table.with_name(f"{table.name}.turned.parquet")


def check_distance_of(onto: Path, distance: str | None) -> str:
    """The distance by which the clustering in a table was made; ValueError where another is asked.

    FileNotFoundError where the file of its centres is missing.
    """
    next(tables.iter_batches(onto, tables.CLUSTERS))  # refuses what is no table of clusters
    before = clusters.stored_distance(_existing_centres(onto))
    if distance not in (None, before):
        raise ValueError(
            f"The clusters in {onto} were made with --distance {before}, not {distance}. "
            "Leave the option out, or cluster all files from scratch."
        )
    return before


def cluster_files(
    hashes: Hashes,
    judged: pd.DataFrame,
    resources: near.Resources,
    distance: str = "hamming",
    copies: TurnedCopies | None = None,
) -> FileClusters:
    """Cluster files from scratch, by the distance of that name. judged: a table of verdicts.

    copies: how turned copies are brought together; None where they are not.
    ValueError where the verdicts contradict each other.
    """
    files = hashes.files[["path", "family"]]
    rows = _find_corrected_rows(judged, hashes.files)
    clustering = clusters.cluster(
        hashes.packed,
        distance=distance,
        together=rows.together,
        apart=rows.apart,
        resources=resources,
    )
    in_words = Method(hashes.hasher, distance).describe
    say(f"Files at most {in_words(clustering.link_radius)} apart were united.")
    if clustering.centre_radius:
        radius = in_words(clustering.centre_radius)
        say(f"Files at most {radius} from a centre were brought to it.")
    say(f"No file is more than {in_words(clustering.radius)} from its cluster's centre.")
    from_centre = _measure_distances(hashes.packed, clustering.labels, clustering)
    if copies is not None:
        every_row = np.arange(len(files))
        clustering = _join_turned(clustering, hashes, every_row, 0, rows.apart, copies, resources)
    table = _make_table(files.assign(distance=from_centre), clustering)
    return FileClusters(table, clustering, hashes.hasher)


def extend_clusters(
    hashes: Hashes,
    onto: Path,
    judged: pd.DataFrame,
    resources: near.Resources,
    copies: TurnedCopies | None = None,
) -> FileClusters:
    """Extend the clustering in the table `onto` by files that are not in it, as its last rows.

    judged: a table of verdicts. copies: how turned copies of new files are brought together; None
    where they are not. ValueError where the verdicts contradict each other, or the
    clustering is by another hasher; FileNotFoundError where the file of its centres is missing.
    """
    old = tables.read_columns(onto, tables.CLUSTERS)
    is_old = absolute_paths(hashes.files["path"]).isin(absolute_paths(old["path"]))
    new = hashes.select(~is_old.to_numpy())
    files = new.files[["path", "family"]]
    old_files = old[["path"]].assign(digest="")  # a table of clusters has no digests
    known_files = pd.concat([old_files, new.files[["path", "digest"]]], ignore_index=True)
    rows = _find_corrected_rows(judged, known_files)
    before, hasher = _load_clusters(onto, old["cluster"])
    if len(files) and hasher != new.hasher:
        raise ValueError(
            f"The clusters in {onto} are by {hasher}, the new hashes by {new.hasher}. Give "
            f"--hasher {hasher}."
        )
    clustering = clusters.extend(
        before,
        new.packed,
        together=rows.together,
        apart=rows.apart,
        resources=resources,
    )
    new_labels = clustering.labels[len(old) :]
    distance = _measure_distances(new.packed, new_labels, clustering)
    if copies is not None:
        row_of = _find_rows(hashes.files["path"], known_files["path"])
        clustering = _join_turned(
            clustering, hashes, row_of, len(old), rows.apart, copies, resources
        )
    old_rows = old.reindex(columns=["path", "family", "distance"])
    all_files = pd.concat([old_rows, files.assign(distance=distance)])
    return FileClusters(_make_table(all_files, clustering), clustering, hasher)


def _find_rows(paths: pd.Series, known: pd.Series) -> NDArray[np.int64]:
    """The row of each path among known ones, whichever way it is spelled there."""
    spelled = absolute_paths(known)
    row_of = dict(zip(spelled, range(len(spelled)), strict=True))
    return np.array([row_of[path] for path in absolute_paths(paths)], np.int64)


def _join_turned(
    clustering: clusters.Clusters,
    hashes: Hashes,
    row_of: NDArray[np.int64],
    first_new: int,
    apart: verdicts.RowPairs,
    copies: TurnedCopies,
    resources: near.Resources,
) -> clusters.Clusters:
    """Join the clusters of which a new file is a turned or mirrored copy of another file.

    row_of: the rows of the hashes in the clustering, of which those from `first_new` on are new.
    Plain pictures are left out: many are their own mirror images.
    """
    first, _ = find_distinct(hashes.packed)
    first = first[~hashes.is_plain[first]]
    distinct = hashes.select(first)
    rows = row_of[first]
    new = np.flatnonzero(rows >= first_new)
    new_hashes = distinct.select(new)
    hashed = turned.hash_turned(new_hashes, copies.file, resources.workers)
    check_any_hashed(new_hashes, hashed, "--turned has")
    of_new = VariantHashes(hashed.packed, new[hashed.row])
    cluster_of = clustering.labels[rows]
    found = turned.find_turned(distinct, of_new, copies.radius, cluster_of, (), resources.workers)
    found.sort(key=lambda pair: pair.distance)
    pairs = [(rows[pair.one], rows[pair.other]) for pair in found]
    joined = clusters.join(clustering, pairs, apart)
    _say_joined(clustering, joined, copies.radius)
    return joined


def _say_joined(before: clusters.Clusters, after: clusters.Clusters, radius: int) -> None:
    """Say how many clusters were joined to others because they have turned copies of these."""
    count = len(np.unique(before.labels)) - len(np.unique(after.labels))
    if count == 0:
        say(f"No clusters were joined as turned or mirrored copies, within {radius} bits.")
        return
    say(
        f"{count} clusters were then joined to others because they have turned or mirrored copies "
        f"of these, at most {radius} bits apart once turned. Each file's distance is from the "
        "centre that it had before."
    )


def _load_clusters(onto: Path, labels: pd.Series) -> tuple[clusters.Clusters, str]:
    """Read the clustering whose files have these labels, and the name of its hasher."""
    before, metadata = clusters.Clusters.load(_existing_centres(onto), labels)
    return before, metadata["hasher"]


def _existing_centres(onto: Path) -> Path:
    """The file of centres beside a table of clusters; FileNotFoundError where it is missing."""
    centres = centres_file(onto)
    if not centres.is_file():
        raise FileNotFoundError(
            f"{centres} is missing. `finlib cluster` wrote it beside {onto.name}; keep the two "
            "files together."
        )
    return centres


def _measure_distances(
    packed: NDArray[np.uint8], labels: NDArray[np.int64], clustering: clusters.Clusters
) -> NDArray[np.int32]:
    """The distance of each hash from the nearest centre of the cluster with its label.

    In a cluster of fewer than FEW files it is that from the first file.
    """
    first_centre = np.searchsorted(clustering.cluster, labels)
    from_centre = np.empty(len(packed), np.int32)
    distance = get_distance(clustering.distance, packed.shape[1])
    for low, high in iter_strips(len(packed), ROWS_AT_A_TIME):
        centres = clustering.centres[first_centre[low:high]]
        from_centre[low:high] = distance.between(packed[low:high], centres)
    centres_of = np.bincount(clustering.cluster, minlength=len(clustering.size))
    centres_of[clustering.size < FEW] = 1
    count = centres_of[labels]
    for number in range(1, count.max(initial=1)):
        rows = np.flatnonzero(count > number)
        centres = clustering.centres[first_centre[rows] + number]
        from_this = distance.between(packed[rows], centres)
        from_centre[rows] = np.minimum(from_centre[rows], from_this)
    return from_centre


def _make_table(files: pd.DataFrame, clustering: clusters.Clusters) -> pd.DataFrame:
    """Make the table of clusters from the files' paths, families and distances."""
    labels = clustering.labels
    labelled = files.assign(cluster=labels, size=clustering.size[labels])
    return labelled[["path", "family", "cluster", "size", "distance"]]


def _read_marked(file: Path | None, verdict: str) -> pd.DataFrame:
    """Read the pairs with this verdict, or all pairs of a table that has no verdicts."""
    if file is None:
        return verdicts.NO_VERDICTS
    pairs = verdicts.read_verdicts(file, unmarked=verdict)
    chosen = pairs[pairs["verdict"] == verdict]
    if chosen.empty:
        say(f"{file}: none of its {len(pairs)} pairs is marked {verdict}.")
    return chosen


def _check_unequal(together: pd.DataFrame, apart: pd.DataFrame) -> None:
    """ValueError where a pair is both to be together and apart."""
    pair = ["path_a", "path_b"]
    both = together[pair].merge(apart[pair], on=pair)
    if len(both):
        _refuse_contradiction(*both.iloc[0])


def _find_corrected_rows(judged: pd.DataFrame, files: pd.DataFrame) -> verdicts.JudgedRows:
    """The rows of the files of each verdict; ValueError where verdicts contradict each other."""
    rows = verdicts.find_rows(judged, files)
    contradiction = corrections.find_contradiction(len(files), rows.together, rows.apart)
    if contradiction is not None:
        _refuse_contradiction(*files["path"].iloc[list(contradiction)])
    return rows


def _refuse_contradiction(one: str, other: str) -> NoReturn:
    raise ValueError(
        f"The corrections contradict each other: {one} and {other} are to be apart, and "
        "together by other pairs. Change the table of corrections, or the verdicts remembered "
        "beside the output."
    )
