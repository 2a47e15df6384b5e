"""The measurements of notebooks 02 and 03: what they time is FINd, and what they count is right."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from exactness import pixels
from PIL import Image

from finlib.hashing import certificate, find, images
from finlib.hashing.hashers import HASHERS
from workbook.study import optimisation, targets, vectorised


@pytest.fixture
def jpegs(tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number:04d}_1.jpg")
        Image.fromarray(pixels("random", 48, 64, seed=number)).save(paths[-1], quality=80)
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    "stages", [optimisation.numpy_stages, optimisation.product_stages, optimisation.kernel_stages]
)
def test_stages_run_one_by_one_and_leave_their_inputs_alone(stages):
    rgb = pixels("random", 70, 50, seed=1)
    calls = stages(rgb)
    before = find.find_pixels(rgb).tolist()
    first = {
        name: np.array(call(), dtype=object)
        for name, call in calls.items()
        if name != "gap, median and bits"
    }
    for name, result in first.items():
        assert np.array_equal(result, np.array(calls[name](), dtype=object)), name
    timings = optimisation.time_stages(calls, repeats=2, loops=3)
    assert list(timings["name"].unique()) == list(calls)
    assert (timings["seconds"] > 0).all()
    assert find.find_pixels(rgb).tolist() == before


def test_kernel_operations_by_hand():
    # 64 x 64: windows of two rows and columns, the first of one row; (2 * 63 + 1) rows and 64 * 2 columns of 65 * 3.
    assert optimisation.kernel_operations(64, 64) == {
        "16-bit additions": 127 * 195 + 128 * 195,
        "windows weighted": 4096,
        "float64 multiply-additions": 16 * 64 * 64 + 16 * 16 * 64,
    }


def test_gap_table(jpegs):
    frame = optimisation.gap_table(jpegs)
    assert frame["certain"].all()
    assert (frame["gap"] > frame["needed"]).all()


def test_float_integral_strays_within_its_bound():
    found = optimisation.integral_error(pixels("random", 250, 250, seed=1))
    assert 0 < found["mean"] < found["coefficient"] < found["bound"] / 2
    assert found["bound"] > 1000 * certificate.rounding_bound(250, 250, vectorised.STAGES_ROUNDINGS)


def test_decoders(jpegs, tmp_path):
    Image.open(jpegs[0]).save(tmp_path / "a.png")
    assert optimisation.decoders([*jpegs, tmp_path / "a.png"])["decoder"].tolist() == [
        "libjpeg-turbo"
    ] * 3 + ["Pillow"]


def test_reduced_decoding_is_step_1_at_full_scale(tmp_path):
    path = tmp_path / "large.jpg"
    Image.fromarray(pixels("smooth", 640, 900, seed=2)).save(path)
    data = path.read_bytes()
    assert np.array_equal(optimisation.reduced(data, 8), images.load_rgb(path))
    assert optimisation.reduced(data, 4).shape == (320, 450, 3)
    frame = optimisation.reduced_table([path], [8, 4], repeats=1)
    assert frame["eighths"].tolist() == [8, 4]
    assert frame["bits"].iloc[0] == 0


def test_enlarged_photographs(tmp_path):
    paths = optimisation.enlarged(700, 500, tmp_path)
    assert len(paths) == 3
    assert {Image.open(path).size for path in paths} == {(700, 500)}
    stages = optimisation.file_stages(paths[0])
    assert "thumbnail" in stages
    assert np.array_equal(find.find_pixels(stages["thumbnail"]()), stages["file to hash"]())


def test_first_calls(monkeypatch):
    said = io.StringIO("0.5 2.0 0.001\n")
    monkeypatch.setattr(
        optimisation.subprocess,
        "run",
        lambda *_, **__: type("Done", (), {"stdout": said.getvalue()}),
    )
    frame = optimisation.first_calls()
    assert frame["step"].tolist() == ["import", "first hash", "second hash"] * 2
    assert frame["seconds"].tolist() == [0.5, 2.0, 0.001] * 2


@pytest.mark.slow
def test_first_calls_of_new_processes():
    frame = optimisation.first_calls()
    assert frame["step"].tolist() == ["import", "first hash", "second hash"] * 2
    assert (frame["seconds"] > 0).all()


def test_targets_are_timed_over_equal_hashes(jpegs, monkeypatch):
    timings = targets.time_all(jpegs, repeats=2, reference_images=1)
    assert set(timings["name"]) == {
        *("pixels", "decode", "file", "ahash", "reference", "imagehash"),
        *("dhash256", "ahash256", "phash256", "find+dhash256"),
    } | {"pdq"} & set(HASHERS)
    wrong = replace(HASHERS["find"], compute=lambda picture: (np.zeros(32, np.uint8), 0.0))
    monkeypatch.setitem(HASHERS, "find", wrong)
    with pytest.raises(AssertionError, match="another result"):
        targets.time_all(jpegs, repeats=1, reference_images=1)


def test_only_jpegs_for_the_fast_decoder_are_timed(jpegs, tmp_path):
    Image.open(jpegs[0]).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png"):
        targets.time_all([tmp_path / "a.png"], repeats=1, reference_images=1)


def test_tables_are_timed_in_both_ways(jpegs):
    assert set(targets.time_tables(jpegs, repeats=1)["name"]) == {"serial", "threads"}


def test_judgement_by_hand():
    names = {"pixels": 1.0, "decode": 4.0, "file": 5.0, "ahash": 6.0, "reference": 4000.0}
    timings = pd.DataFrame(
        [(name, 0, seconds) for name, seconds in names.items()],
        columns=["name", "repeat", "seconds"],
    )
    frame = targets.judge(timings, memory=3.0).set_index("key")
    assert frame["median"].to_dict() == {
        "pixels_over_decode": 0.25,
        "file_over_decode": 1.25,
        "ahash_over_find": 6,
        "reference_over_file": 800,
        "memory_growth": 3,
    }
    assert frame["met"].tolist() == [False, False, True, False, True]
    assert frame["wanted"].tolist()[:2] == ["at most 0.2", "at most 1.2"]
