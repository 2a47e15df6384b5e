"""Costs and targets: what is timed is compared first."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.hashing.hashers import HASHERS
from workbook.study import targets


@pytest.fixture
def few_jpegs(tmp_path, picture):
    paths = []
    for turn in range(3):
        paths.append(tmp_path / f"{turn}.jpg")
        picture.rotate(90 * turn, expand=True).save(paths[-1])
    return paths


def test_costs_of_methods_have_both_sides(few_jpegs):
    names = [*HASHERS, "find+dhash256"]
    costs = targets.method_costs(few_jpegs, names, repeats=2).set_index("hasher")
    assert list(costs.index) == names
    assert costs.loc["find+dhash256", "bytes"] == 64
    assert costs.loc["find+dhash256", "installed_ms"] == pytest.approx(
        costs.loc[["find", "dhash256"], "installed_ms"].sum()
    )
    assert (costs["low"] <= costs["ms"]).all()
    assert (costs["ms"] <= costs["high"]).all()


def test_costs_refuse_hashes_that_differ(few_jpegs, monkeypatch):
    monkeypatch.setattr(targets, "as_installed", lambda name: lambda path: np.zeros(8, np.uint8))
    with pytest.raises(AssertionError, match="ahash64 differs"):
        targets.method_costs(few_jpegs, ["ahash64"], repeats=1)


@pytest.mark.parametrize("name", list(HASHERS))
def test_as_installed_is_the_same_hash(name, tmp_path):
    path = tmp_path / "large.png"
    Image.radial_gradient("L").resize((530, 610)).save(path)
    if name != "find":  # as FIN ships it, half a minute at that size
        assert np.array_equal(targets.as_installed(name)(path), HASHERS[name].from_file(path))


def test_all_cores_are_timed_beside_decoding_alone(few_jpegs):
    timings = targets.time_all_cores(few_jpegs[0].parent, repeats=2)
    assert {"decode_all", "table"} <= set(timings["name"]) <= {"decode_all", "table", "imgdd"}


def test_scans_are_timed_over_equal_pairs():
    pytest.importorskip("faiss")
    timings = targets.time_scans(1500, 40, repeats=1)
    assert timings["name"].tolist() == ["faiss 64", "scan 64", "faiss 90", "scan 90"]


def test_scans_without_avx512_are_of_a_process_of_its_own(monkeypatch):
    given = {}

    def run(function, *args, environment):
        given.update(environment, args=args)
        return pd.DataFrame({"name": ["scan 64"], "repeat": [0], "seconds": [1.0]})

    monkeypatch.setattr(targets.timing, "in_fresh_process", run)
    monkeypatch.setattr(targets.platform, "machine", lambda: "x86_64")
    assert targets.time_scans_without_avx512(10, 2, 1)["name"].tolist() == ["scan 64 AVX2"]
    assert given["NUMBA_CPU_NAME"] == "x86-64-v3"
    assert "+avx512" not in given["NUMBA_CPU_FEATURES"]
    assert given["args"] == (10, 2, 1)
    monkeypatch.setattr(targets.platform, "machine", lambda: "arm64")
    with pytest.raises(ValueError, match="arm64"):
        targets.time_scans_without_avx512(10, 2, 1)
