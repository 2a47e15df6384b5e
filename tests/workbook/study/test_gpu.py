"""The GPU's kernels in numba's simulator, and its batch on NumPy: the results are finlib's."""

import os
import subprocess
import sys

import array_api_strict
import numpy as np
import pytest

from workbook.study import gpu

SIMULATED = """
import numpy as np
from workbook.study import gpu

gpu.MOST_PAIRS = 200
gpu.THREADS = 8
gpu.CHECKED = 20
stored = gpu.random_words(30, seed=1)
stored[3, 0] = 0
stored[4] = 2**64 - 1
queries = gpu.with_near_queries(stored, 2, seed=2)
for distance, radius in {"hamming": 128, "rows": 47}.items():
    found = gpu.scan(queries, stored, distance, radius)
    gpu.require_same_pairs(found, queries, stored, distance, radius)
    assert 2 < len(found) < 60, len(found)
plain = np.concatenate([stored[3:5], stored[:1]])
found = gpu.scan(plain, plain, "rows", 47)
gpu.require_same_pairs(found, plain, plain, "rows", 47)
assert [0, 0] in found.tolist()
assert [1, 1] not in found.tolist()
gpu.MOST_PAIRS = 5
try:
    gpu.scan(stored, stored, "hamming", 256)
except ValueError as error:
    assert "there are 900 pairs" in str(error), error
else:
    raise AssertionError("too many pairs were listed")
timings = gpu.time_scans([25], queries=1, repeats=1)
assert sorted(set(timings["name"])) == ["with transfer", "without transfer"]
assert len(timings) == 4
"""


def test_simulated_kernels_find_the_pairs_of_finlib():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=lambda xp: xp.__name__)
def test_the_batch_is_timed_where_hashes_are_equal(xp, monkeypatch):
    monkeypatch.setattr(gpu, "SIDE", 40)
    timings = gpu.time_batch(xp, images=3, repeats=2)
    assert set(timings["name"]) == {"with transfer", "without transfer", "one core"}
    monkeypatch.setattr(gpu.find, "find_pixels", lambda rgb: np.zeros(32, np.uint8))
    with pytest.raises(AssertionError, match="'one core' gives a different result"):
        gpu.time_batch(xp, images=3, repeats=1)


def test_other_pairs_than_those_of_finlib_are_refused():
    stored = gpu.random_words(50, seed=1)
    queries = gpu.with_near_queries(stored, 5, seed=2)
    nothing = np.zeros((0, 2), np.int64)
    with pytest.raises(AssertionError, match="the GPU finds other pairs by hamming"):
        gpu.require_same_pairs(nothing, queries, stored, "hamming", 64)
    far = ~queries
    with pytest.raises(AssertionError, match="nothing was compared"):
        gpu.require_same_pairs(nothing, far, stored[:1], "hamming", 1)
