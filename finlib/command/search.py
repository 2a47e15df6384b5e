"""Pairs of files, found and written step by step: what `finlib match` does; a killed run goes on from its last step."""

import hashlib
import math
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from finlib import __version__
from finlib.command.daily import Hashes, parts_folder, parts_of, say
from finlib.distributed import dask_client
from finlib.hashing import tables
from finlib.hashing.decoding import VARIANTS
from finlib.matching import thresholds
from finlib.matching.pairs import estimate_pairs, index_hashes, iter_pairs, neighbours
from finlib.matching.self_join import iter_self_join

BYTES_A_PAIR = 48  # on disk, where paths repeat, in the parts and in the table
STEP = 1 << 14  # hashes whose nearest are held at a time
COMPARED = 1 << 37  # pairs to a step, half a minute of two cores, unless STEP hashes have more
ADVICE = "take a smaller --radius, --nearest K, --fold or --min-quality (copies, flat images)"
PART = "pairs-{:0>8}.parquet"


def variants(mirrored: bool, turned: bool) -> Sequence[int]:
    """Numbers in decoding.VARIANTS of what is compared: the picture itself, and its mirror image, its turns or both."""
    return sorted([0] + mirrored * [1] + turned * [3, 5, 6] + (mirrored and turned) * [2, 4, 7])


@dataclass
class PairSearch:
    """Pairs of files of `new`, or of `new` and `old`, within a radius or nearest, written as they are found."""

    new: Hashes
    old: Hashes | None
    max_pairs: int
    workers: int | None = None
    scheduler: str = ""
    variants: Sequence[int] = (0,)

    def __post_init__(self) -> None:
        n, self.held = len(self.new.rows), self.old or self.new
        if n and self.held.hasher != self.new.hasher:
            raise ValueError(
                f"distances need one hasher: there are {self.new.hasher} and {self.held.hasher}"
            )
        self.pairs = (n * len(self.old.rows) if self.old else n * (n - 1) // 2) * len(self.variants)

    def radius(
        self, radius: int | None, false_pairs: float | None, precision: float | None
    ) -> int | None:
        """The radius given, or the one that the evidence in the package gives; None where neither is asked for."""
        if sum(each is not None for each in (radius, false_pairs, precision)) > 1:
            raise ValueError(
                "--radius, --false-pairs and --precision contradict each other: give one"
            )
        hasher = self.new.hasher
        if false_pairs is not None:
            radius = thresholds.radius_for_false_pairs(hasher, self.pairs, false_pairs)
        elif precision is not None:
            images = len(self.held.rows) * len(self.variants)
            radius = thresholds.radius_for_precision(hasher, images, precision)
        else:
            return radius
        rate, share = thresholds.expected_at(hasher, radius)
        found = f"which find about {share:.0%} of the pairs of a family"
        say(
            f"radius {radius} bits, {found}: by the evidence on {hasher}, for {self.pairs:,} pairs of files"
        )
        if radius < (least := thresholds.evidence(hasher).least_measured):
            wanted = rate if false_pairs is None else false_pairs / max(1, self.pairs)
            fewer = wanted / thresholds.expected_at(hasher, least).nonmatching
            enough = len(self.held.rows) * (fewer if false_pairs is None else math.sqrt(fewer))
            say(
                f"an estimate: measured is down to {least} bits, which would do for about {enough:,.0f} images"
            )
        return radius

    def write(self, output: Path, radius: int | None, nearest: int | None) -> None:
        """Write path_a, path_b and distance of each pair, and say how many may be false."""
        if radius is not None and nearest is None and self.pairs > self.max_pairs:
            old = self.old.packed if self.old else None
            self._check_room(
                estimate_pairs(self.new.packed, old, radius) * len(self.variants), output
            )
        turns, whole = len(self.variants), (self.new.packed, np.arange(len(self.new.rows)))
        hashes, row = whole if turns == 1 else self.new.turned(self.variants, self.workers)
        columns = {"path_a": pa.string(), "path_b": pa.string(), "distance": pa.int32()}
        schema = pa.schema(columns | ({"variant": pa.string()} if turns > 1 else {}))
        with parts_of(output, PART.format("*")) as parts:
            search = {"search": self._key(hashes, row, radius, nearest)}
            kept, written = _kept(parts, search["search"])
            self._check_count(written, output)
            for step in self._steps(hashes, radius, nearest, len(kept)):
                kept.append(parts / PART.format(len(kept)))
                with tables.table_writer(kept[-1], schema.with_metadata(search)) as write:
                    for found in step:
                        frame = self._frame(row, nearest, *found)
                        written += len(frame)
                        self._check_count(written, output)
                        write(frame)
            with tables.table_writer(output, schema) as write:
                for part in (part for file in kept for part in tables.iter_batches(file)):
                    write(part.to_pandas())
        say(
            f"{written} pairs of {self.pairs:,} compared{'' if radius is None else f' within {radius} bits'}: {output}"
        )
        if radius is not None and written:
            with suppress(ValueError):
                expected = self.pairs * thresholds.expected_at(self.new.hasher, radius).nonmatching
                much = "an unknown number" if math.isnan(expected) else f"about {expected:,.2g}"
                more = f"; {turns} variants make {turns} times as many" if turns > 1 else ""
                say(
                    f"of which {much} may be false (an estimate, from unrelated images of the workbook{more})"
                )

    def _frame(self, row: Any, nearest: int | None, i: Any, j: Any, distance: Any) -> pd.DataFrame:
        """Rows of the table: without files beside themselves, each pair of files once in a variant, the K nearest."""
        a, turns = row[i], len(self.variants)
        names, others = self.new.rows["path"].array, self.held.rows["path"].array
        frame = pd.DataFrame({"path_a": names[a], "path_b": others[j], "distance": distance})
        if turns > 1:
            frame["variant"] = np.array(VARIANTS)[list(self.variants)][i % turns]
        once = self.old or nearest or turns == 1
        frame = frame[frame["path_a"] != frame["path_b"] if once else a < j]
        return (
            frame.groupby(["path_a", *frame.columns[3:]], sort=False).head(nearest)
            if nearest
            else frame
        )

    def _check_count(self, written: int, output: Path) -> None:
        if written > self.max_pairs:
            raise ValueError(
                f"more than {self.max_pairs:,} pairs: {ADVICE}, or raise --max-pairs, which goes on from "
                f"{parts_folder(output)}"
            )

    def _check_room(self, pairs: float, output: Path) -> None:
        if pairs > self.max_pairs:
            raise ValueError(
                f"about {pairs:,.0f} pairs, over {self.max_pairs:,}: {ADVICE}, or raise --max-pairs"
            )
        room = shutil.disk_usage(
            next(folder for folder in output.absolute().parents if folder.exists())
        ).free
        held = sum(file.stat().st_size for file in parts_folder(output).glob(PART.format("*")))
        if pairs * BYTES_A_PAIR > room + held:
            raise RuntimeError(
                f"about {pairs:,.0f} pairs need more than the {room / 1e9:.1f} GB that are free: {ADVICE}"
            )
        say(f"about {pairs:,.0f} pairs are expected")

    def _key(self, new: NDArray[np.uint8], row: NDArray[np.int64], *settings: int | None) -> str:
        """Tells this search from any other, of any version."""
        how = (
            __version__,
            STEP,
            COMPARED,
            *settings,
            self.old is None,
            self.variants,
            bool(self.scheduler),
        )
        digest = hashlib.blake2b(repr(how).encode())
        for hashes in filter(None, (self.new, self.old)):
            digest.update(
                pd.util.hash_pandas_object(hashes.rows["path"], index=False).to_numpy().data
            )
            digest.update(hashes.packed.data)
        for array in (new, row):
            digest.update(array.data)
        return digest.hexdigest()

    def _steps(
        self, new: NDArray[np.uint8], radius: int | None, nearest: int | None, start: int
    ) -> Iterator[Iterable[Any]]:
        """The blocks of rows, rows of the other set and distances that each step finds, from step `start` on."""
        n = len(new)
        if nearest:
            held = index_hashes(self.held.packed)
            for low in tqdm(range(start * STEP, n, STEP), unit=f" {STEP} hashes", disable=None):
                some = new[
                    low : low + STEP
                ]  # one more than asked for, which may be the file itself
                found = neighbours(some, held, k=nearest + 1, radius=radius, workers=self.workers)
                i = low + np.repeat(np.arange(len(some)), np.diff(found.indptr))
                yield [(i, found.indices, found.distance)]
            return
        assert radius is not None
        if self.scheduler:
            with dask_client(self.scheduler) as client:
                yield from ([tile] for tile in iter_self_join(new, radius, client, start=start))
            return
        others = None if self.held is self.new and len(self.variants) == 1 else self.held.packed
        size = max(STEP, COMPARED // max(1, len(self.held.rows)))
        for low in range(start * size, n, size):
            i = range(low, min(n, low + size))
            yield iter_pairs(new, others, radius, i=i, workers=self.workers, progress=True)


def _kept(parts: Path, search: str) -> tuple[list[Path], int]:
    """The steps that a killed run of this search left, and their rows; what another left is warned of and goes."""
    kept, rows = sorted(parts.glob(PART.format("*"))), 0
    try:
        same = [file.name for file in kept] == [PART.format(number) for number in range(len(kept))]
        same = same and all(
            (pq.read_schema(file).metadata or {})[b"search"] == search.encode() for file in kept
        )
        rows = sum(len(part) for file in kept for part in tables.iter_batches(file) if same)
    except (pa.ArrowException, OSError, KeyError, ValueError):
        same = False
    if same:
        return kept, rows
    warnings.warn(
        f"{parts} is damaged, or of other hashes or settings: the search starts anew", stacklevel=2
    )
    for file in kept:
        file.unlink()
    return [], 0
