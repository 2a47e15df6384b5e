"""Components and nearest neighbours by bit sampling, on threads or on a Dask cluster; small sets are left to all pairs.

What `sampling` does pass by pass is run here, shown, kept against a kill and put together.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from finlib import pools
from finlib.distributed import share
from finlib.matching.pairs import Packed, find_distinct, iter_pairs, neighbours, to_words
from finlib.matching.sampling import BitSampling, Forest, Nearest

KEPT_EVERY = 60  # seconds of work at most that a kill costs, about
EXACT = 400  # hashes for each pass, under which looking at every pair takes no longer


@dataclass(frozen=True)
class Resources:
    """What a search runs on: threads of this machine (None: one a core) or a Dask client's workers, and what it shows.

    checkpoint: a folder where searches leave what they have found, so that a killed run goes on from there. What a
    search of other hashes, another radius, seed or version has left there is warned of and not used.
    """

    workers: int | None = None
    client: Any = None
    checkpoint: Path | None = None
    progress: bool = False

    def run(
        self, search: BitSampling, passes: int, make: Callable[[], Any], name: str = "search"
    ) -> Any:
        """What all passes find. `make` gives an empty Forest or Nearest."""
        found, done, stored = make(), 0, self.checkpoint and self.checkpoint / f"{name}.npz"
        key = search.key(passes) if stored else ""
        if stored and stored.exists():
            try:
                with np.load(stored) as file:
                    kept = dict(file)
            except (OSError, ValueError, TypeError, EOFError, BadZipFile):
                kept = {}
            if str(kept.pop("key", "")) == key:
                done = int(kept.pop("done"))
                vars(found).update(kept)
            else:
                why = "damaged, or of other hashes or settings"
                warnings.warn(f"{stored.parent} is {why}: the search starts anew", stacklevel=2)
        step = max(1, passes // 10) if stored else passes
        held = search if self.client is None else share(self.client, search)
        with tqdm(
            total=passes,
            initial=done,
            unit="pass",
            desc=name,
            disable=None if self.progress else True,
        ) as bar:
            while done < passes:
                numbers, start = range(done, min(passes, done + step)), time.monotonic()
                for part in (self._on_threads if self.client is None else self._on_dask)(
                    held, numbers, make, bar
                ):
                    found.merge(part)
                done, step = (
                    numbers.stop,
                    max(1, int(step * KEPT_EVERY / (time.monotonic() - start))),
                )
                if stored:
                    stored.parent.mkdir(parents=True, exist_ok=True)
                    arrays: Any = {
                        n: a for n, a in vars(found).items() if isinstance(a, np.ndarray)
                    }
                    np.savez(
                        partly := stored.with_suffix(".part.npz"), key=key, done=done, **arrays
                    )
                    os.replace(partly, stored)
        return found

    def _on_threads(
        self, search: BitSampling, numbers: range, make: Callable[[], Any], bar: Any
    ) -> Iterator[Any]:
        stop, waiting, workers = threading.Event(), iter(numbers), pools.processors(self.workers)

        def mine() -> Iterator[int]:
            for number in waiting:  # shared by all threads: whoever is free takes the next
                yield number
                bar.update()

        with pools.stopping(ThreadPoolExecutor(workers), stop.set) as pool:
            futures = [
                pool.submit(search.run, mine(), make(), stop.is_set)
                for _ in range(min(workers, len(numbers)))
            ]
            yield from (future.result() for future in futures)

    def _on_dask(
        self, held: Any, numbers: range, make: Callable[[], Any], bar: Any
    ) -> Iterator[Any]:
        from dask.distributed import as_completed

        size = max(1, len(numbers) // (4 * sum(self.client.nthreads().values()) or 1))
        parts = (numbers[low : low + size] for low in range(0, len(numbers), size))
        tasks = [
            self.client.submit(lambda s, some: s.run(some, make()), held, part, pure=False)
            for part in parts
        ]
        for future in as_completed(tasks, self.client.loop):
            yield future.result()
            bar.update(min(size, numbers.stop - bar.n))


def unite_near(
    packed: Packed,
    radius: int,
    *,
    recall: float = 0.95,
    seed: int = 2026,
    resources: Resources | None = None,
    name: str = "pairs",
) -> Forest:
    """The hashes united by pairs within the radius, of which the share `recall` of those at it is expected to be found.

    Images count alike in that: most pairs are of dense families.
    """
    resources, make = resources or Resources(), partial(Forest, len(packed))
    search = BitSampling(to_words(packed), len(packed), 8 * packed.shape[1], radius, seed)
    passes = search.passes(recall, radius, typical=True)
    if len(packed) > passes * EXACT:
        return resources.run(search, passes, make, name)
    forest, (rows, of) = make(), find_distinct(packed)  # copies, which may be most, have many pairs
    forest.take(np.arange(len(packed)), of, None)
    for i, j, distance in iter_pairs(
        packed[rows], None, radius, workers=resources.workers, progress=resources.progress
    ):
        forest.take(rows[i], rows[j], distance)
    return forest


def find_nearest(
    queries: Packed,
    held: Packed,
    radius: int,
    *,
    recall: float = 0.95,
    seed: int = 2026,
    resources: Resources | None = None,
    name: str = "nearest",
) -> npt.NDArray[np.int32]:
    """The nearest of the held hashes found within the radius for each query, the first among equals; -1 for none."""
    resources = resources or Resources()
    search = BitSampling(
        to_words(np.concatenate([held, queries])), len(held), 8 * held.shape[1], radius, seed
    )
    passes = search.passes(recall, radius, typical=True)
    if len(held) * len(queries) > passes * EXACT * (len(held) + len(queries)):
        return resources.run(search, passes, partial(Nearest, len(search.words)), name).row[
            len(held) :
        ]
    found = neighbours(queries, held, k=1, radius=radius, workers=resources.workers)
    row = np.full(len(queries), -1, np.int32)
    row[np.diff(found.indptr) > 0] = found.indices
    return row
