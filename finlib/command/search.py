"""Pairs of files, found and written as they come: what `finlib match` does."""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from finlib import execution, joining, matching, tables, thresholds
from finlib.command.daily import Hashes, say
from finlib.variants import VARIANTS

BYTES_A_PAIR = 24  # on disk, where paths repeat


def variants(mirrored: bool, turned: bool) -> Sequence[int]:
    """Numbers in VARIANTS of what is compared: the picture itself, and its mirror image, its turns or both."""
    return sorted([0] + mirrored * [1] + turned * [3, 5, 6] + (mirrored and turned) * [2, 4, 7])


class Search:
    """Pairs of files of `new`, or of `new` and `old`, within a radius or nearest, written as they are found."""

    def __init__(
        self,
        new: Hashes,
        old: Hashes | None,
        max_pairs: int,
        workers: int | None = None,
        scheduler: str = "",
        variants: Sequence[int] = (0,),
    ) -> None:
        if old and len(new.rows) and old.hasher != new.hasher:
            raise ValueError(f"distances need one hasher: there are hashes by {new.hasher} and by {old.hasher}")
        self.new, self.old, self.held = new, old, old or new
        self.max_pairs, self.workers, self.scheduler = max_pairs, workers, scheduler
        n, self.variants = len(new.rows), variants
        self.pairs = (n * len(old.rows) if old else n * (n - 1) // 2) * len(variants)
        whole = new.packed, np.arange(n)
        self.left, self.row = whole if len(variants) == 1 else new.turned(variants, workers)

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
        columns = {"path_a": pa.string(), "path_b": pa.string(), "distance": pa.int32()}
        with tables.table_writer(output, pa.schema(columns | ({"variant": pa.string()} if turns > 1 else {}))) as write:
            for i, j, distance in self._found(radius, nearest):
                i, turn = self.row[i], i % turns
                frame = pd.DataFrame({"path_a": names[i], "path_b": others[j], "distance": distance})
                if turns > 1:
                    frame["variant"] = kinds[turn]
                apart = frame["path_a"] != frame["path_b"]
                frame = frame[apart if self.old else i < j if turns > 1 and not nearest else i != j]
                written += len(frame)
                if written > self.max_pairs:
                    self._check_room(written, output)
                write(frame)
        say(f"{written} pairs of {self.pairs:,} compared{'' if radius is None else f' within {radius} bits'}: {output}")
        if radius is not None:
            with suppress(ValueError):
                expected = thresholds.false_pairs(self.new.hasher, radius, self.pairs)
                much = "an unknown number" if math.isnan(expected) else f"about {expected:,.2g}"
                more = f"; {turns} variants make {turns} times as many" if turns > 1 else ""
                say(f"of which {much} may be false (an estimate, from unrelated images of the workbook{more})")

    def _check_room(self, pairs: float, output: Path) -> None:
        advice = "take a smaller --radius, --nearest K, --fold or --min-quality (copies, flat images)"
        if pairs > self.max_pairs:
            raise ValueError(f"about {pairs:,.0f} pairs, over {self.max_pairs:,}: {advice}, or raise --max-pairs")
        room = shutil.disk_usage(output.absolute().parent).free
        if pairs * BYTES_A_PAIR > room:
            raise RuntimeError(
                f"about {pairs:,.0f} pairs need more than the {room / 1e9:.1f} GB that are free: {advice}"
            )
        say(f"about {pairs:,.0f} pairs are expected")

    def _found(self, radius: int | None, nearest: int | None) -> Iterator[Any]:
        turned, workers = len(self.variants) > 1, self.workers
        new, old = self.left, self.held.packed if self.old or turned else None
        if nearest:
            step, held = (4096, matching.stored(old)) if old is not None else (max(1, len(new)), None)
            for low in tqdm(range(0, len(new), step), unit=f" {step} hashes", disable=None):
                found = matching.neighbours(new[low : low + step], held, k=nearest, radius=radius, workers=workers)
                i = low + np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
                yield i, found.indices, found.distance
            return
        assert radius is not None
        if self.scheduler:
            with execution.dask_client(self.scheduler) as client:
                yield from joining.iter_self_join(new, radius, client)
        elif old is None:
            yield from matching.iter_pairs_within(new, radius, workers=workers, progress=True)
        else:
            yield from matching.iter_pairs_between(new, old, radius, workers=workers, progress=True)
