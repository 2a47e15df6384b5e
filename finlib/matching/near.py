"""Near pairs without comparing every pair: components and nearest neighbours by sampling.

`sampling` does the passes of a search. Here they are distributed to the threads of this machine or
the workers of a Dask cluster, shown as progress, and kept in checkpoints, so that an interrupted
search resumes. Small sets are left to the exact engine, which takes no longer for them.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from finlib import pools
from finlib.checkpoint import Checkpoint
from finlib.distributed import check_workers, count_threads, run_as_completed, share
from finlib.matching.distances import get_distance
from finlib.matching.distinct import find_distinct
from finlib.matching.forest import NONE, Collector, Forest, Nearest
from finlib.matching.packed import Packed, to_words
from finlib.matching.pairs import iter_pairs, neighbours
from finlib.matching.sampling import Sampling, make_sampling

Filled = TypeVar("Filled", bound=Collector)

SECONDS_BETWEEN_SAVES = 60  # of a search with a checkpoint, which loses this much when it is killed
EXACT = 400  # with fewer hashes for each pass, comparing every pair takes no longer


@dataclass(frozen=True)
class Resources:
    """What a search runs on, where it keeps what it has found, and whether it shows its progress.

    workers: threads of this machine; None is one for each processor.
    client: a Dask client, whose workers then do the work instead.
    checkpoint: a folder for what searches have found, from which an interrupted search resumes.
        Anything left there by a search of other hashes, by other settings or by another version is
        not used but removed, with a warning.
    progress: show a bar of the passes on a terminal.
    """

    workers: int | None = None
    client: Any = None
    checkpoint: Path | None = None
    progress: bool = False

    def run(
        self,
        search: Sampling,
        passes: int,
        make: Callable[[], Filled],
        name: str = "search",
    ) -> Filled:
        """Do this many passes of a search and return the collector that has taken their pairs in.

        make: gives an empty collector, such as a `Forest`. name: of the progress bar and the
        checkpoint, and different for each search that shares its folder.
        """
        collector = make()
        checkpoint = self._checkpoint_of(search, passes, name)
        done = 0 if checkpoint is None else _resume(checkpoint, collector)
        batch = passes if checkpoint is None else max(1, passes // 10)
        with tqdm(
            total=passes,
            initial=done,
            unit="pass",
            desc=name,
            disable=None if self.progress else True,
        ) as bar:
            do_passes = self._executor(search, make, bar)
            while done < passes:
                start = time.monotonic()
                numbers = range(done, min(passes, done + batch))
                for part in do_passes(numbers):
                    collector.merge(part)
                done = numbers.stop
                if checkpoint is not None:
                    checkpoint.save_arrays({**collector.arrays(), "passes_done": np.array(done)})
                    seconds = max(1e-3, time.monotonic() - start)
                    batch = max(1, int(batch * SECONDS_BETWEEN_SAVES / seconds))
        return collector

    def _checkpoint_of(self, search: Sampling, passes: int, name: str) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        return Checkpoint(self.checkpoint, search.key(passes), name)

    def _executor(
        self, search: Sampling, make: Callable[[], Filled], bar: tqdm
    ) -> Callable[[range], Iterator[Filled]]:
        """The function that does passes on these resources and yields collectors of their pairs."""
        if self.client is None:
            return partial(_run_on_threads, search, make, bar, pools.processors(self.workers))
        check_workers(self.client)
        return partial(_run_on_dask, share(self.client, search), make, bar, self.client)


def _resume(checkpoint: Checkpoint, collector: Collector) -> int:
    """Restore what an interrupted search had collected; returns the number of passes done."""
    arrays = checkpoint.load_arrays()
    if not arrays:
        return 0
    done = int(arrays.pop("passes_done"))
    collector.restore(arrays)
    return done


def _run_on_threads(
    search: Sampling, make: Callable[[], Filled], bar: tqdm, workers: int, numbers: range
) -> Iterator[Filled]:
    """Do passes on threads of this machine; yields a collector for each thread."""
    stop = threading.Event()
    waiting = iter(numbers)

    def next_passes() -> Iterator[int]:
        # All threads take from the same iterator, so that whichever is free does the next pass.
        for number in waiting:
            yield number
            bar.update()

    with pools.stopping(ThreadPoolExecutor(workers), stop.set) as pool:
        futures = [
            pool.submit(search.run, next_passes(), make(), stop.is_set)
            for _ in range(min(workers, len(numbers)))
        ]
        for future in futures:
            yield future.result()


def _run_on_dask(
    shared_search: Any, make: Callable[[], Filled], bar: tqdm, client: Any, numbers: range
) -> Iterator[Filled]:
    """Do passes on a Dask client's workers, a few to a task; yields a collector for each task."""
    size = max(1, len(numbers) // (4 * count_threads(client)))
    tasks = [
        (shared_search, numbers[low : low + size], make) for low in range(0, len(numbers), size)
    ]
    for collector in run_as_completed(client, _run_passes, tasks):
        yield collector
        bar.update(min(size, numbers.stop - bar.n))


def _run_passes(search: Sampling, numbers: range, make: Callable[[], Filled]) -> Filled:
    """Do passes of a search on a Dask worker."""
    return search.run(numbers, make())


def unite_near(
    packed: Packed,
    radius: int,
    *,
    distance: str = "hamming",
    recall: float = 0.95,
    seed: int = 2026,
    resources: Resources | None = None,
    name: str = "pairs",
) -> Forest:
    """Unite the hashes of a set that are at most `radius` apart, and return their components.

    Not every pair is found. For the average image, the share `recall` of the pairs that are exactly
    `radius` apart is expected to be; by rows, the share `recall` of the nearest hashes within the
    radius. Dense families, which have most of the pairs, are hardly affected, since a few of their
    pairs unite them. The same seed gives the same result, whatever the resources. name: of the
    search, as for `Resources.run`.
    """
    resources = resources or Resources()
    make = partial(Forest, len(packed))
    compared = get_distance(distance, packed.shape[1])
    search = make_sampling(to_words(packed), len(packed), radius, compared, seed)
    passes = search.passes(recall)
    if len(packed) > passes * EXACT:
        return resources.run(search, passes, make, name)
    return _unite_exactly(packed, radius, distance, make(), resources)


def _unite_exactly(
    packed: Packed, radius: int, distance: str, forest: Forest, resources: Resources
) -> Forest:
    """Unite all hashes within the radius.

    Copies are united first, because they may make most of the pairs.
    """
    distinct, first_row = find_distinct(packed)
    forest.take(np.arange(len(packed)), first_row)
    for pairs in iter_pairs(
        packed[distinct],
        None,
        radius,
        distance=distance,
        workers=resources.workers,
        progress=resources.progress,
    ):
        forest.take(distinct[pairs.i], distinct[pairs.j])
    return forest


def find_nearest(
    queries: Packed,
    candidates: Packed,
    radius: int,
    *,
    distance: str = "hamming",
    recall: float = 0.95,
    seed: int = 2026,
    resources: Resources | None = None,
    name: str = "nearest",
) -> npt.NDArray[np.int32]:
    """Find the nearest candidate within the radius of each query: its row, int32[queries].

    It is the first of several that are equally near, and -1 where none was found. A candidate that
    is `radius` away is found with the probability `recall`, and a nearer one with a higher
    probability; by rows, `recall` is the share of the nearest candidates that are found.
    """
    resources = resources or Resources()
    first_query = len(candidates)
    search = make_sampling(
        to_words(np.concatenate([candidates, queries])),
        first_query,
        radius,
        get_distance(distance, candidates.shape[1]),
        seed,
    )
    passes = search.passes(recall)
    comparisons = len(candidates) * len(queries)
    if comparisons > passes * EXACT * len(search.words):
        make = partial(Nearest, len(search.words))
        return resources.run(search, passes, make, name).row[first_query:]
    nearest = neighbours(
        queries,
        candidates,
        k=1,
        radius=radius,
        distance=distance,
        workers=resources.workers,
    )
    row = np.full(len(queries), NONE, np.int32)
    row[np.diff(nearest.indptr) > 0] = nearest.indices
    return row
