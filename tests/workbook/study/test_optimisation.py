"""The measurements of notebooks 02 and 03: what they time is FINd, and what they count is right."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from exactness import pixels
from PIL import Image

from finlib.hashing import certificate, find, images
from workbook.study import optimisation, vectorised


@pytest.fixture
def jpegs(tmp_path):
    paths = []
    for number in range(3):
        path = tmp_path / f"{number:04d}_1.jpg"
        picture = Image.fromarray(pixels("random", 48, 64, seed=number))
        picture.save(path, quality=80)
        paths.append(str(path))
    return paths


def as_array(result):
    return np.array(result, dtype=object)


@pytest.mark.parametrize(
    "stages_of",
    [optimisation.numpy_stages, optimisation.product_stages, optimisation.kernel_stages],
)
def test_stages_run_one_by_one_and_leave_their_inputs_alone(stages_of):
    rgb = pixels("random", 70, 50, seed=1)
    stages = stages_of(rgb)
    before = find.find_pixels(rgb).tolist()
    stages_to_compare = dict(stages)
    stages_to_compare.pop("gap, median and bits", None)  # a pair of unlike results
    first = {name: as_array(stage()) for name, stage in stages_to_compare.items()}
    for name, stage in stages_to_compare.items():
        assert np.array_equal(first[name], as_array(stage())), name
    timings = optimisation.time_stages(stages, repeats=2, loops=3)
    assert list(timings["name"].unique()) == list(stages)
    assert (timings["seconds"] > 0).all()
    assert find.find_pixels(rgb).tolist() == before


def test_kernel_operations_by_hand():
    # 64 x 64: windows have two rows and columns, the first one row. So (2 * 63 + 1) rows and
    # 64 * 2 columns are added, of 65 * 3 values each.
    assert optimisation.kernel_operations(64, 64) == {
        "16-bit additions": 127 * 195 + 128 * 195,
        "windows weighted": 4096,
        "float64 multiply-additions": 16 * 64 * 64 + 16 * 16 * 64,
    }


def test_gap_table(jpegs):
    gaps = optimisation.gap_table(jpegs)
    assert gaps["path"].tolist() == jpegs
    assert gaps["certain"].all()
    assert (gaps["gap"] > gaps["needed"]).all()


def test_a_float_integral_image_errs_within_its_bound():
    errors = optimisation.integral_error(pixels("random", 250, 250, seed=1))
    assert 0 < errors["mean"] < errors["coefficient"] < errors["bound"] / 2
    of_integers = certificate.rounding_bound(250, 250, vectorised.STAGES_ROUNDINGS)
    assert errors["bound"] > 1000 * of_integers


def test_decoders(jpegs, tmp_path):
    png = tmp_path / "a.png"
    Image.open(jpegs[0]).save(png)
    table = optimisation.decoders([*jpegs, png])
    assert table["decoder"].tolist() == ["libjpeg-turbo"] * 3 + ["Pillow"]


def test_reduced_decoding_is_step_1_at_full_scale(tmp_path):
    path = tmp_path / "large.jpg"
    Image.fromarray(pixels("smooth", 640, 900, seed=2)).save(path)
    data = path.read_bytes()
    assert np.array_equal(optimisation.reduced(data, 8), images.load_rgb(path))
    assert optimisation.reduced(data, 4).shape == (320, 450, 3)
    table = optimisation.reduced_table([path], [8, 4], repeats=1)
    assert table["eighths"].tolist() == [8, 4]
    assert table["bits"].iloc[0] == 0


def test_enlarged_photographs(tmp_path):
    paths = optimisation.enlarged(700, 500, tmp_path)
    assert len(paths) == 3
    assert {Image.open(path).size for path in paths} == {(700, 500)}
    stages = optimisation.file_stages(paths[0])
    assert list(stages) == ["read", "decode", "thumbnail", "hash", "file to hash"]
    assert np.array_equal(find.find_pixels(stages["thumbnail"]()), stages["file to hash"]())


def test_a_small_picture_has_no_thumbnail(jpegs):
    stages = optimisation.file_stages(jpegs[0])
    assert list(stages) == ["read", "decode", "hash", "file to hash"]
    assert np.array_equal(stages["hash"](), stages["file to hash"]())


def test_first_calls(monkeypatch):
    def run(*_args, **_options):
        return SimpleNamespace(stdout="0.5 2.0 0.001\n")

    monkeypatch.setattr(optimisation.subprocess, "run", run)
    table = optimisation.first_calls()
    assert table["step"].tolist() == ["import", "first hash", "second hash"] * 2
    assert table["seconds"].tolist() == [0.5, 2.0, 0.001] * 2


@pytest.mark.slow
def test_first_calls_of_new_processes():
    table = optimisation.first_calls()
    assert table["step"].tolist() == ["import", "first hash", "second hash"] * 2
    assert (table["seconds"] > 0).all()
    first_hash = table[table["step"] == "first hash"].set_index("process")["seconds"]
    assert first_hash["kernels not yet compiled"] > first_hash["kernels in the cache"]


def test_predictions_grow_with_the_pixels():
    small = optimisation.predicted_seconds(100, 100)
    large = optimisation.predicted_seconds(200, 100)
    assert small["two products"] < small["stage by stage"]
    assert large["stage by stage"] == pytest.approx(2 * small["stage by stage"])
    kernels = optimisation.predicted_kernels(250, 250)
    assert set(kernels["work"]) == set(optimisation.OPERATIONS_A_CYCLE)
    by_hand = kernels["operations"] / kernels["per_cycle"] / 3000
    assert kernels["us"].tolist() == pytest.approx(by_hand.tolist())


def test_pictures_that_tie_are_refused_by_the_certificate():
    tied = optimisation.tied_pictures()
    assert {"flat", "mirrored"} <= set(tied)
    assert not any(optimisation.certified(rgb).certain for rgb in tied.values())


def test_reduced_decoding_is_summarised_by_size_and_scale():
    table = pd.DataFrame(
        {
            "key": "small",
            "size": "10 × 10",
            "picture": ["a", "a", "b", "b"],
            "eighths": [8, 4, 8, 4],
            "seconds": [4.0, 2.0, 4.0, 1.0],
            "bits": [0, 3, 0, 5],
        }
    )
    half = optimisation.summarise_reduced(table).set_index("eighths").loc[4]
    assert (half["speed_up"], half["bits"], half["most"]) == (3, 4, 5)
    with pytest.raises(ValueError, match="decoders disagree"):
        optimisation.summarise_reduced(table.assign(bits=1))
