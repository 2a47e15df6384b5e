"""Pairs of files, found and written as they come: what `finlib match` does."""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from finlib import execution, joining, matching, tables, thresholds
from finlib.command.daily import Hashes, say
from finlib.variants import VARIANTS

BYTES_A_PAIR = 24  # on disk, where paths repeat
STEP = 1 << 14  # hashes whose nearest are held at a time


def variants(mirrored: bool, turned: bool) -> Sequence[int]:
    """Numbers in VARIANTS of what is compared: the picture itself, and its mirror image, its turns or both."""
    return sorted([0] + mirrored * [1] + turned * [3, 5, 6] + (mirrored and turned) * [2, 4, 7])


@dataclass
class Search:
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
            raise ValueError(f"distances need one hasher: there are {self.new.hasher} and {self.held.hasher}")
        self.pairs = (n * len(self.old.rows) if self.old else n * (n - 1) // 2) * len(self.variants)

    def radius(self, radius: int | None, false_pairs: float | None, precision: float | None) -> int | None:
        """The radius given, or the one that the evidence in the package gives; None where neither is asked for."""
        if sum(each is not None for each in (radius, false_pairs, precision)) > 1:
            raise ValueError("--radius, --false-pairs and --precision contradict each other: give one")
        hasher = self.new.hasher
        if false_pairs is not None:
            radius = thresholds.radius_for(hasher, self.pairs, false_pairs=false_pairs)
            rate = false_pairs / max(1, self.pairs)
        elif precision is not None:
            images = len(self.held.rows) * len(self.variants)
            radius = thresholds.radius_for_precision(hasher, images, precision)
            rate = thresholds.false_pairs(hasher, radius, 1)
        else:
            return radius
        found = f"which find about {thresholds.found(hasher, radius):.0%} of the pairs of a family"
        say(f"radius {radius} bits, {found}: by the evidence on {hasher}, for {self.pairs:,} pairs of files")
        if radius < (least := thresholds.evidence(hasher).least):
            share = rate / thresholds.false_pairs(hasher, least, 1)
            enough = len(self.held.rows) * (share if false_pairs is None else math.sqrt(share))
            say(f"an estimate: measured is down to {least} bits, which would do for about {enough:,.0f} images")
        return radius

    def write(self, output: Path, radius: int | None, nearest: int | None) -> None:
        """Write path_a, path_b and distance of each pair, and say how many may be false."""
        if radius is not None and nearest is None and self.pairs > self.max_pairs:
            old = self.old.packed if self.old else None
            self._check_room(matching.estimate_pairs(self.new.packed, radius, old) * len(self.variants), output)
        names, others, written = self.new.rows["path"].array, self.held.rows["path"].array, 0
        turns, kinds = len(self.variants), np.array(VARIANTS)[list(self.variants)]
        whole = self.new.packed, np.arange(len(names))
        hashes, row = whole if turns == 1 else self.new.turned(self.variants, self.workers)
        columns = {"path_a": pa.string(), "path_b": pa.string(), "distance": pa.int32()}
        with tables.table_writer(output, pa.schema(columns | ({"variant": pa.string()} if turns > 1 else {}))) as write:
            for i, j, distance in self._found(hashes, radius, nearest):
                a, turn = row[i], i % turns
                frame = pd.DataFrame({"path_a": names[a], "path_b": others[j], "distance": distance})
                if turns > 1:
                    frame["variant"] = kinds[turn]
                once = self.old or nearest or turns == 1
                frame = frame[frame["path_a"] != frame["path_b"] if once else a < j]
                if nearest:
                    frame = frame.groupby(["path_a", *frame.columns[3:]], sort=False).head(nearest)
                written += len(frame)
                if written > self.max_pairs:
                    self._check_room(written, output)
                write(frame)
        say(f"{written} pairs of {self.pairs:,} compared{'' if radius is None else f' within {radius} bits'}: {output}")
        if radius is not None and written:
            with suppress(ValueError):
                expected = thresholds.false_pairs(self.new.hasher, radius, self.pairs)
                much = "an unknown number" if math.isnan(expected) else f"about {expected:,.2g}"
                more = f"; {turns} variants make {turns} times as many" if turns > 1 else ""
                say(f"of which {much} may be false (an estimate, from unrelated images of the workbook{more})")

    def _check_room(self, pairs: float, output: Path) -> None:
        advice = "take a smaller --radius, --nearest K, --fold or --min-quality (copies, flat images)"
        if pairs > self.max_pairs:
            raise ValueError(f"about {pairs:,.0f} pairs, over {self.max_pairs:,}: {advice}, or raise --max-pairs")
        room = shutil.disk_usage(next(folder for folder in output.absolute().parents if folder.exists())).free
        if pairs * BYTES_A_PAIR > room:
            raise RuntimeError(
                f"about {pairs:,.0f} pairs need more than the {room / 1e9:.1f} GB that are free: {advice}"
            )
        say(f"about {pairs:,.0f} pairs are expected")

    def _found(self, new: NDArray[np.uint8], radius: int | None, nearest: int | None) -> Iterator[Any]:
        old = None if self.held is self.new and len(self.variants) == 1 else self.held.packed
        if nearest:
            held = matching.stored(self.held.packed)
            for low in tqdm(range(0, len(new), STEP), unit=f" {STEP} hashes", disable=None):
                some = new[low : low + STEP]  # one more than asked for, which may be the file itself
                found = matching.neighbours(some, held, k=nearest + 1, radius=radius, workers=self.workers)
                i = low + np.repeat(np.arange(len(some)), np.diff(found.indptr))
                yield i, found.indices, found.distance
            return
        assert radius is not None
        if self.scheduler:
            with execution.dask_client(self.scheduler) as client:
                yield from joining.iter_self_join(new, radius, client)
        elif old is None:
            yield from matching.iter_pairs_within(new, radius, workers=self.workers, progress=True)
        else:
            yield from matching.iter_pairs_between(new, old, radius, workers=self.workers, progress=True)
