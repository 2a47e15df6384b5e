"""Costs and targets: results are compared before a time counts; verdicts are checked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.hashing.hashers import HASHERS, HashAndQuality
from workbook.study import targets


@pytest.fixture
def jpegs(tmp_path, picture):
    paths = []
    for turn in range(3):
        path = tmp_path / f"{turn}.jpg"
        picture.rotate(90 * turn, expand=True).save(path)
        paths.append(path)
    return paths


def wrong_hash(picture):
    return HashAndQuality(np.zeros(32, np.uint8), 0.0)


def test_times_on_one_core_are_of_equal_hashes(jpegs, monkeypatch):
    timings = targets.time_all(jpegs, repeats=2, reference_images=1)
    expected = {"pixels", "decode", "file", "ahash", "reference", "imagehash"}
    expected |= {"dhash256", "ahash256", "phash256", "find+dhash256"}
    if "pdq" in HASHERS:
        expected.add("pdq")
    assert set(timings["name"]) == expected
    assert (timings["seconds"] > 0).all()
    monkeypatch.setitem(HASHERS, "find", replace(HASHERS["find"], compute=wrong_hash))
    with pytest.raises(AssertionError, match="'file' gives a different result"):
        targets.time_all(jpegs, repeats=1, reference_images=1)


def test_only_jpegs_for_the_fast_decoder_are_timed(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png"):
        targets.time_all([tmp_path / "a.png"], repeats=1, reference_images=1)
    with pytest.raises(ValueError, match="no files"):
        targets.time_all([], repeats=1, reference_images=1)


def test_costs_of_methods_have_both_sides(jpegs):
    names = [*HASHERS, "find+dhash256"]
    costs = targets.method_costs(jpegs, names, repeats=2).set_index("hasher")
    assert list(costs.index) == names
    assert costs.loc["find+dhash256", "bytes"] == 64
    assert costs.loc["find+dhash256", "installed_ms"] == pytest.approx(
        costs.loc[["find", "dhash256"], "installed_ms"].sum()
    )
    assert (costs["low"] <= costs["ms"]).all()
    assert (costs["ms"] <= costs["high"]).all()


def test_costs_refuse_hashes_that_differ(jpegs, monkeypatch):
    monkeypatch.setitem(targets.INSTALLED, "ahash64", lambda path: np.zeros(8, np.uint8))
    with pytest.raises(AssertionError, match="ahash64 differs"):
        targets.method_costs(jpegs, ["ahash64"], repeats=1)


@pytest.mark.parametrize("name", list(HASHERS))
def test_the_installed_code_gives_the_same_hash(name, tmp_path):
    path = tmp_path / "picture.png"
    size = (530, 610)
    if name == "find":  # pure Python takes half a minute at the larger size
        size = (70, 90)
    Image.radial_gradient("L").resize(size).save(path)
    expected = HASHERS[name].from_file(path)
    assert expected.any()
    assert np.array_equal(targets.INSTALLED[name](path), expected)


def test_tables_are_timed_in_both_ways(jpegs):
    timings = targets.time_tables([str(path) for path in jpegs], repeats=1)
    assert set(timings["name"]) == {"serial", "threads"}


def test_all_cores_are_timed_beside_decoding_alone(jpegs):
    timings = targets.time_all_cores(jpegs[0].parent, repeats=2)
    assert {"decode_all", "table"} <= set(timings["name"]) <= {"decode_all", "table", "imgdd"}


def test_scans_are_timed_over_equal_pairs(monkeypatch):
    pytest.importorskip("faiss")
    timings = targets.time_scans(1500, 40, repeats=1)
    assert timings["name"].tolist() == ["faiss 64", "scan 64", "faiss 90", "scan 90"]

    def no_pairs(queries, packed, radius, workers):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing

    monkeypatch.setattr(targets, "RADII", (120,))
    assert len(targets.time_scans(1500, 40, repeats=1)) == 2
    monkeypatch.setattr(targets, "pairs_between", no_pairs)
    with pytest.raises(AssertionError, match="'scan 120' gives a different result"):
        targets.time_scans(1500, 40, repeats=1)


def test_scans_without_avx512_have_a_process_of_their_own(monkeypatch):
    given = {}

    def run(function, *args, environment):
        given.update(environment, args=args)
        return pd.DataFrame({"name": ["scan 64"], "repeat": [0], "seconds": [1.0]})

    monkeypatch.setattr(targets.timing, "in_fresh_process", run)
    monkeypatch.setattr(targets.platform, "machine", lambda: "x86_64")
    features = {"sse2": True, "avx512f": True, "sse4a": False}
    monkeypatch.setattr(targets, "get_host_cpu_features", lambda: features)
    timings = targets.time_scans_without_avx512(10, 2, 1)
    assert timings["name"].tolist() == ["scan 64 AVX2"]
    assert given["NUMBA_CPU_NAME"] == "x86-64-v3"
    assert given["NUMBA_CPU_FEATURES"] == "+sse2,-avx512f,-sse4a"
    assert given["args"] == (10, 2, 1)
    monkeypatch.setattr(targets.platform, "machine", lambda: "arm64")
    with pytest.raises(ValueError, match="arm64"):
        targets.time_scans_without_avx512(10, 2, 1)


def test_judgement_by_hand():
    seconds = {"pixels": 1.0, "decode": 4.0, "file": 5.0, "ahash": 6.0, "reference": 4000.0}
    rows = [(name, 0, value) for name, value in seconds.items()]
    timings = pd.DataFrame(rows, columns=["name", "repeat", "seconds"])
    judged = targets.judge(timings, memory=3.0).set_index("key")
    assert judged["median"].to_dict() == {
        "pixels_over_decode": 0.25,
        "file_over_decode": 1.25,
        "ahash_over_find": 6,
        "reference_over_file": 800,
        "memory_growth": 3,
    }
    assert judged["met"].tolist() == [False, False, True, False, True]
    assert judged["wanted"].tolist()[:2] == ["at most 0.2", "at most 1.2"]
    assert judged["wanted"].tolist()[2] == "at least 5"
