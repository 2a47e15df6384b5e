"""Pairs of files whose hashes are near: what `finlib match` does.

A search goes step by step. The pairs of a finished step are kept beside the output, so that an
interrupted run resumes after the last step that it finished; at the end all steps' pairs are
written into one table.

By rows the hashes searched are sorted by row keys where that saves time, see `row_keys`; the pairs
are the same. The keys are not kept for the next search, since making them takes far less time than
reading the table.
"""

import hashlib
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from finlib import __version__
from finlib.checkpoint import Checkpoint
from finlib.command import verdicts
from finlib.command.inputs import Hashes, VariantHashes, check_any_hashed, hash_variants
from finlib.command.methods import Method, check_method
from finlib.command.output import keep_parts, name_output, parts_folder, say
from finlib.distributed import dask_client
from finlib.hashing import tables
from finlib.hashing.decoding import VARIANTS
from finlib.matching import thresholds
from finlib.matching.packed import check_radius
from finlib.matching.pairs import Pairs, choose_index, estimate_pairs, iter_pairs, neighbours
from finlib.matching.self_join import iter_self_join

RowPairs = NDArray[np.int64]  # [pairs, 2]

HASHES_PER_STEP = 1 << 14  # at least, of the hashes that are compared with the others
COMPARISONS_PER_STEP = 1 << 37  # about, which two cores make in half a minute
BYTES_PER_PAIR = 48  # on disk, of the finished steps and of the table together, where paths repeat
PART_NAME = "pairs"
PART_SUFFIX = ".parquet"
PART_PATTERN = f"*{PART_NAME}*{PART_SUFFIX}*"  # of finished and unfinished parts
ADVICE = (
    "Give a smaller --radius, or use --nearest, --fold or --min-quality: "
    "copies and flat images make many pairs. You can also raise --max-pairs"
)
AS_IT_IS = VARIANTS.index("as it is")
MIRRORED = VARIANTS.index("mirrored")
TURNED = [VARIANTS.index(name) for name in ("half turn", "quarter", "three quarters")]


def choose_variants(mirrored: bool, turned: bool) -> list[int]:
    """The variants to compare, numbers into VARIANTS; the picture as it is comes first."""
    if mirrored and turned:
        return list(range(len(VARIANTS)))
    if mirrored:
        return [AS_IT_IS, MIRRORED]
    if turned:
        return [AS_IT_IS, *TURNED]
    return [AS_IT_IS]


class Criterion(NamedTuple):
    """What makes two files a match, as a person asks for it; None for what is not asked for.

    radius: the largest distance.
    false_pairs: the number of false pairs to accept.
    precision: the share of the pairs that must be right.
    nearest: the number of nearest files wanted for each file.
    """

    radius: int | None = None
    false_pairs: float | None = None
    precision: float | None = None
    nearest: int | None = None

    def check(self) -> None:
        """Raise ValueError where nothing is asked for, or more than one radius."""
        radii = (self.radius, self.false_pairs, self.precision)
        given = sum(each is not None for each in radii)
        if given == 0 and self.nearest is None:
            raise ValueError(
                "Missing option '--radius', '--false-pairs', '--precision' or '--nearest': one of "
                "them says what a match is."
            )
        if given > 1:
            raise ValueError(
                "--radius, --false-pairs and --precision contradict each other: each sets the "
                "radius. Give one of them."
            )


@dataclass(frozen=True)
class Comparison:
    """What is compared: each file of `new`, in some variants, with each file of `stored`.

    Where `stored` is None, the files of `new` are compared with each other. `distance` is the name
    of the distance. ValueError where the hashes are by different hashers, or where the distance
    cannot compare them.
    """

    new: Hashes
    stored: Hashes | None = None
    variants: Sequence[int] = (AS_IT_IS,)
    distance: str = "hamming"

    def __post_init__(self) -> None:
        check_method(self.new.hasher, self.distance)
        if len(self.new.files) and self.new.hasher != self.others.hasher:
            raise ValueError(
                "Distances need hashes by one hasher, but these are by "
                f"{self.new.hasher} and {self.others.hasher}."
            )

    @property
    def method(self) -> Method:
        """The hasher and the distance."""
        return Method(self.new.hasher, self.distance)

    @property
    def others(self) -> Hashes:
        """The hashes that the new ones are compared with."""
        return self.new if self.stored is None else self.stored

    @property
    def files(self) -> pd.DataFrame:
        """The new files and, after them, those that they are compared with if these are others."""
        new = self.new.files
        if self.stored is None:
            return new
        return pd.concat([new, self.stored.files], ignore_index=True)

    @property
    def has_variants(self) -> bool:
        """Whether more is compared than the pictures as they are."""
        return len(self.variants) > 1

    @property
    def images(self) -> int:
        """The number of images that each new picture is compared with, its variants counted in."""
        return len(self.others.files) * len(self.variants)

    @property
    def pairs(self) -> int:
        """The number of pairs to compare, each variant counted."""
        new = len(self.new.files)
        if self.stored is None:
            pairs_of_files = new * (new - 1) // 2
        else:
            pairs_of_files = new * len(self.stored.files)
        return pairs_of_files * len(self.variants)

    def choose_radius(self, criterion: Criterion) -> int | None:
        """The radius that is given, or the one that the evidence in the package suggests.

        It is None where only the nearest are asked for. A message says what to expect of a radius
        from the evidence. ValueError where there is no evidence for the method, where no radius is
        small enough, and where a given radius is larger than any distance.
        """
        name = self.method.name
        if criterion.false_pairs is not None:
            radius = thresholds.radius_for_false_pairs(name, self.pairs, criterion.false_pairs)
        elif criterion.precision is not None:
            radius = thresholds.radius_for_precision(name, self.images, criterion.precision)
        elif criterion.radius is not None:
            return check_radius(criterion.radius, self.method.largest)
        else:
            return None
        self._say_what_to_expect(radius, criterion)
        return radius

    def _say_what_to_expect(self, radius: int, criterion: Criterion) -> None:
        """Say what the evidence promises at the radius that was chosen by it."""
        method = self.method
        share = thresholds.expected_at(method.name, radius).matching
        say(
            f"The radius is {method.describe(radius)}, by the evidence on {method.name} for "
            f"{self.pairs:,} pairs of files. It finds about {share:.0%} of the matching pairs."
        )
        least_measured = thresholds.evidence(method.name).least_measured
        if radius < least_measured:
            enough_for = self._count_images_for(least_measured, radius, criterion)
            say(
                "This radius is an estimate. The evidence is measured down to "
                f"{method.describe(least_measured)}, which would be enough for about "
                f"{enough_for:,.0f} images."
            )

    def _count_images_for(self, measured: int, radius: int, criterion: Criterion) -> float:
        """The number of images for which `measured` would be the right radius, as `radius` is here.

        The rate of false pairs that can be allowed falls with the number of images where a
        precision is asked for, and with its square where a number of false pairs is.
        """
        name = self.method.name
        measured_rate = thresholds.expected_at(name, measured).nonmatching
        images = len(self.others.files)
        if criterion.false_pairs is None:
            rate = thresholds.expected_at(name, radius).nonmatching
            return images * rate / measured_rate
        rate = criterion.false_pairs / max(1, self.pairs)
        return images * math.sqrt(rate / measured_rate)

    def estimate_false_pairs(self, radius: int) -> float:
        """The number of false pairs to expect within the radius; nan where it is unknown.

        ValueError where there is no evidence for the method.
        """
        return self.pairs * thresholds.expected_at(self.method.name, radius).nonmatching


@dataclass(frozen=True)
class PairSearch:
    """The search for the pairs of a comparison within a radius, or the nearest ones, or both.

    Distances are of the kind that the comparison names. More than `max_pairs` pairs are refused.
    Pairs that the table of verdicts `judged` calls wrong are left out.
    The search runs on `workers` threads, or on the Dask scheduler at an address, which only
    compares one set with itself within a radius.
    """

    comparison: Comparison
    radius: int | None
    nearest: int | None = None
    max_pairs: int = 100_000_000
    workers: int | None = None
    scheduler: str = ""
    judged: pd.DataFrame = field(default_factory=verdicts.NO_VERDICTS.copy)

    def write(self, output: Path) -> None:
        """Write the table of pairs: path_a, path_b, distance and, where there are several, variant.

        A Parquet file records in its metadata which distance it is, see
        `tables.DistanceMetadata`. The verdicts are remembered beside the table.
        ValueError where there are too many pairs, RuntimeError where the disk is too small for
        those expected.
        """
        may_be_many = self.comparison.pairs > self.max_pairs
        if may_be_many and self.radius is not None and self.nearest is None:
            self._check_expected_pairs(self.radius, output)
        queries = self._read_queries()
        schema = self._make_schema()
        files = self.comparison.files
        apart = verdicts.find_rows(self.judged, files).apart
        with keep_parts(output, PART_PATTERN) as folder:
            checkpoint = Checkpoint(folder, self._make_key(queries, apart), PART_NAME, PART_SUFFIX)
            count = self._find_parts(queries, apart, checkpoint, schema, output)
            _join_parts(checkpoint.parts(), count, schema, output)
            verdicts.remember(self.judged, files, output)
        self._report(count, output)

    def _read_queries(self) -> VariantHashes:
        """The hashes to search for: of the new files, or of all variants of their pictures."""
        new = self.comparison.new
        if self.comparison.has_variants:
            hashed = hash_variants(new, self.comparison.variants, self.workers)
            check_any_hashed(new, hashed, "--mirrored and --turned have")
            return hashed
        return VariantHashes(new.packed, np.arange(len(new.files)))

    def _make_schema(self) -> pa.Schema:
        method = self.comparison.method
        metadata = tables.DistanceMetadata(method.hasher, method.distance, method.largest)
        columns = {"path_a": pa.string(), "path_b": pa.string(), "distance": pa.int32()}
        if self.comparison.has_variants:
            columns["variant"] = pa.string()
        return pa.schema(columns, metadata.to_arrow())

    def _make_key(self, queries: VariantHashes, apart: RowPairs) -> str:
        """A text that differs for any other search, and for this one by another version."""
        comparison = self.comparison
        settings = (
            __version__,
            HASHES_PER_STEP,
            COMPARISONS_PER_STEP,
            self.radius,
            self.nearest,
            comparison.stored is None,
            tuple(comparison.variants),
            comparison.distance,
            bool(self.scheduler),
        )
        digest = hashlib.blake2b(repr(settings).encode())
        for hashes in filter(None, (comparison.new, comparison.stored)):
            paths = pd.util.hash_pandas_object(hashes.files["path"], index=False)
            digest.update(paths.to_numpy().data)
            digest.update(hashes.packed.data)
        digest.update(queries.packed.data)
        digest.update(queries.row.data)
        digest.update(apart.data)
        return digest.hexdigest()

    def _find_parts(
        self,
        queries: VariantHashes,
        apart: RowPairs,
        checkpoint: Checkpoint,
        schema: pa.Schema,
        output: Path,
    ) -> int:
        """Find the pairs of the steps that are not finished, each step's as a part.

        Returns the number of pairs in all parts.
        """
        finished = checkpoint.parts()
        count = sum(pq.read_metadata(part).num_rows for part in finished)
        self._check_count(count, output)
        steps = self._iter_steps(queries.packed, len(finished))
        for number, step in enumerate(steps, start=len(finished)):
            with (
                checkpoint.new_part(number) as part,
                tables.table_writer(part, schema) as write,
            ):
                for pairs in step:
                    rows = self._make_rows(queries, self._drop_apart(queries, pairs, apart))
                    count += len(rows)
                    self._check_count(count, output)
                    write(rows)
        return count

    def _iter_steps(self, packed: NDArray[np.uint8], first: int) -> Iterator[Iterable[Pairs]]:
        """Yield the pairs of each step, from number `first` on, in blocks."""
        if self.nearest is not None:
            return self._nearest_steps(packed, self.nearest, first)
        assert self.radius is not None  # Criterion.check has seen to that
        if self.scheduler:
            return self._dask_steps(packed, self.radius, first)
        return self._radius_steps(packed, self.radius, first)

    def _nearest_steps(
        self, packed: NDArray[np.uint8], nearest: int, first: int
    ) -> Iterator[Iterable[Pairs]]:
        distance = self.comparison.distance
        index = choose_index(
            self.comparison.others.packed,
            packed,
            self.comparison.method.largest if self.radius is None else self.radius,
            distance=distance,
            workers=self.workers,
        )
        starts = range(first * HASHES_PER_STEP, len(packed), HASHES_PER_STEP)
        for start in tqdm(starts, unit=f" {HASHES_PER_STEP} hashes", disable=None):
            queries = packed[start : start + HASHES_PER_STEP]
            nearest_ones = neighbours(
                queries,
                index,
                k=nearest + 1,  # one of them may be the file itself
                radius=self.radius,
                distance=distance,
                workers=self.workers,
            )
            counts = np.diff(nearest_ones.indptr)
            i = start + np.repeat(np.arange(len(queries)), counts)
            yield [Pairs(i, nearest_ones.indices, nearest_ones.distance)]

    def _dask_steps(
        self, packed: NDArray[np.uint8], radius: int, first: int
    ) -> Iterator[Iterable[Pairs]]:
        with dask_client(self.scheduler) as client:
            tiles = iter_self_join(
                packed,
                radius,
                client,
                distance=self.comparison.distance,
                start=first,
            )
            for tile in tiles:
                yield [tile]

    def _radius_steps(
        self, packed: NDArray[np.uint8], radius: int, first: int
    ) -> Iterator[Iterable[Pairs]]:
        others = self.comparison.others.packed
        within_one_set = self.comparison.stored is None and not self.comparison.has_variants
        size = max(HASHES_PER_STEP, COMPARISONS_PER_STEP // max(1, len(others)))
        for start in range(first * size, len(packed), size):
            yield iter_pairs(
                packed,
                None if within_one_set else others,
                radius,
                i=range(start, min(len(packed), start + size)),
                distance=self.comparison.distance,
                workers=self.workers,
                progress=True,
            )

    def _drop_apart(self, queries: VariantHashes, pairs: Pairs, apart: RowPairs) -> Pairs:
        """The pairs without those of files that a person keeps apart."""
        if len(apart) == 0:
            return pairs
        files = len(self.comparison.files)
        first_other = 0 if self.comparison.stored is None else len(self.comparison.new.files)
        one = queries.row[pairs.i].astype(np.int64)
        other = first_other + pairs.j.astype(np.int64)
        found = np.minimum(one, other) * files + np.maximum(one, other)
        dropped = apart.min(axis=1) * files + apart.max(axis=1)
        is_kept = ~np.isin(found, dropped)
        return Pairs(pairs.i[is_kept], pairs.j[is_kept], pairs.distance[is_kept])

    def _make_rows(self, queries: VariantHashes, pairs: Pairs) -> pd.DataFrame:
        """The table's rows for these pairs of hashes, no file with itself and no pair twice."""
        comparison = self.comparison
        new_row = queries.row[pairs.i]
        rows = pd.DataFrame(
            {
                "path_a": comparison.new.files["path"].array[new_row],
                "path_b": comparison.others.files["path"].array[pairs.j],
                "distance": pairs.distance,
            }
        )
        if comparison.has_variants:
            names = np.array(VARIANTS)[list(comparison.variants)]
            rows["variant"] = names[pairs.i % len(names)]
        if comparison.has_variants and comparison.stored is None and self.nearest is None:
            return rows[new_row < pairs.j]  # every pair is found from both of its files
        own_path = "path" if comparison.stored is None else "stored_path"
        rows = rows[comparison.new.files[own_path].array[new_row] != rows["path_b"]]
        if self.nearest is None:
            return rows
        query = ["path_a", "variant"] if comparison.has_variants else ["path_a"]
        return rows.groupby(query, sort=False).head(self.nearest)

    def _check_expected_pairs(self, radius: int, output: Path) -> None:
        """Estimate the number of pairs, and raise an error where it is too large.

        ValueError where it exceeds `max_pairs`, RuntimeError where the disk cannot hold the pairs.
        """
        comparison = self.comparison
        stored = None if comparison.stored is None else comparison.stored.packed
        pairs_of_pictures = estimate_pairs(
            comparison.new.packed,
            stored,
            radius,
            distance=comparison.distance,
        )
        pairs = pairs_of_pictures * len(comparison.variants)
        if pairs > self.max_pairs:
            raise ValueError(
                f"About {pairs:,.0f} pairs are expected, more than the {self.max_pairs:,} "
                f"allowed. {ADVICE}."
            )
        free = _count_free_bytes(output)
        if pairs * BYTES_PER_PAIR > free:
            raise RuntimeError(
                f"About {pairs:,.0f} pairs are expected, too many for the {free / 1e9:.1f} GB "
                f"that are free. {ADVICE}."
            )
        say(f"About {pairs:,.0f} pairs are expected.")

    def _check_count(self, count: int, output: Path) -> None:
        if count > self.max_pairs:
            raise ValueError(
                f"There are more than {self.max_pairs:,} pairs. {ADVICE}: "
                f"the search then resumes from what is in {parts_folder(output)}."
            )

    def _report(self, count: int, output: Path) -> None:
        within = ""
        if self.radius is not None:
            within = f" within {self.comparison.method.describe(self.radius)}"
        say(
            f"{count} pairs of files{within} were found, of {self.comparison.pairs:,} compared: "
            f"{name_output(output)}"
        )
        if self.radius is None or count == 0:
            return
        try:
            false_pairs = self.comparison.estimate_false_pairs(self.radius)
        except ValueError:  # there is no evidence on this method
            return
        say(
            f"{_about(false_pairs)} of them may be false. This is an estimate from the unrelated "
            "images of the workbook."
        )
        if self.comparison.has_variants:
            variants = len(self.comparison.variants)
            say(f"The {variants} variants make {variants} times as many false pairs.")


def _join_parts(parts: Sequence[Path], count: int, schema: pa.Schema, output: Path) -> None:
    """Write the pairs of all parts into one table; RuntimeError where it would not be `count`."""
    written = 0
    with tables.table_writer(output, schema) as write:
        for part in parts:
            for batch in tables.iter_batches(part):
                rows = batch.to_pandas()
                written += len(rows)
                write(rows)
        if written != count:
            raise RuntimeError(
                f"{count - written} of the pairs found were damaged in {parts_folder(output)}. "
                "Check the disk and run the command again: it resumes."
            )


def _about(number: float) -> str:
    """An estimated number in words, as the beginning of a sentence; nan is unknown."""
    if math.isnan(number):
        return "An unknown number"
    if number < 10:
        return f"About {number:.2g}"
    return f"About {number:,.0f}"


def _count_free_bytes(output: Path) -> int:
    """The bytes of disk for all pairs: those that are free, and those of the finished steps."""
    existing = next(folder for folder in output.absolute().parents if folder.exists())
    free = shutil.disk_usage(existing).free
    finished = parts_folder(output).glob(PART_PATTERN)
    return free + sum(file.stat().st_size for file in finished)
