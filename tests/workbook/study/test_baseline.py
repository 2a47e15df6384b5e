"""Counts against the reference's own loops, ceilings by hand, and the defects as shipped."""

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.hashing import reference
from workbook.study import baseline
from workbook.study.baseline import amdahl, counted, counts, slope


@pytest.fixture
def file(tmp_path, picture):
    picture.resize((70, 70)).save(tmp_path / "0001_1.png")
    return tmp_path / "0001_1.png"


def test_stages_take_time_each_and_give_the_hash(file):
    seconds = baseline.stage_times(file)
    assert tuple(seconds) == baseline.STAGES
    assert all(took > 0 for took in seconds.values())
    table = baseline.stage_table([file, file], passes=2)
    assert len(table) == 2 * 2 * len(baseline.STAGES)
    assert list(table.columns) == ["pass", "image", "stage", "seconds"]


def test_a_stage_that_goes_wrong_is_noticed(file, monkeypatch):
    monkeypatch.setattr(reference, "lower_median", lambda coefficients: 0.0)
    with pytest.raises(AssertionError, match="another hash than FINd"):
        baseline.stage_times(file)


def test_pictures_that_are_not_square_are_profiled_too(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    picture.rotate(90, expand=True).save(tmp_path / "b.png")
    assert len(baseline.stage_table([tmp_path / "a.png", tmp_path / "b.png"], 1)) == 2 * len(
        baseline.STAGES
    )


def test_amdahl_by_hand():
    """Of 10 s, 2 s remain without the stage of 8 s: 5 times. Without 1.5 s as well: 20 times."""
    ranked = amdahl({"a": 1.5, "b": 8.0, "c": 0.5}).set_index("stage")
    assert list(ranked.index) == ["b", "a", "c"]
    assert ranked["share"].tolist() == pytest.approx([0.8, 0.15, 0.05])
    assert ranked["ceiling"].tolist() == pytest.approx([5, 10 / 8.5, 10 / 9.5])
    assert ranked["ceiling_with_above"].tolist() == pytest.approx([5, 20, math.inf])


@pytest.mark.parametrize(
    ("rows", "cols"), [(1, 1), (5, 9), (64, 64), (65, 64), (100, 130), (20, 200)]
)
def test_counts_are_what_the_loops_do(rows, cols):
    expected = counts(rows, cols)
    assert expected["windows_kept"] == 4096
    del expected["reads_kept"]
    assert counted(rows, cols) == expected


def test_reads_of_the_kept_windows_are_those_of_a_decimation_first():
    """At 64 x 64 decimation keeps every window, so both counts are one."""
    formula = counts(64, 64)
    assert formula["reads_kept"] == formula["reads"] == 127**2


def test_lines_are_hit_as_often_as_the_formula_says(file):
    lines = baseline.by_line(reference.find_hash, file)
    inner = lines[lines["source"].str.startswith("total += buffer")]
    assert inner["hits"].tolist() == [counts(70, 70)["reads"]]
    assert lines.groupby("function")["share"].sum().to_numpy() == pytest.approx(1)


def test_functions_have_readable_names(file):
    frame = baseline.by_function(reference.find_hash, file)
    assert {"reference.box_mean", "min", "ndarray.tolist"} <= set(frame["function"])
    assert not frame["function"].str.contains(r"[/<]").any()
    assert frame["own_seconds"].is_monotonic_decreasing


def test_memory_is_reported_by_line(file):
    lines = baseline.memory_by_line(reference.find_hash, file)
    assert lines["source"].str.startswith("pixels =").sum() == 1
    assert (lines["process_mib"] > 1).all()


def test_seconds_by_size():
    table = baseline.hash_seconds([8, 16], 2)
    assert table["side"].tolist() == [8, 16, 8, 16]
    assert table["pixels"].tolist() == [64, 256] * 2
    assert (table["seconds"] > 0).all()


def test_seconds_by_number(file):
    assert baseline.batch_seconds([file, file], [1, 2])["images"].tolist() == [1, 2]


def test_cost_model_by_hand():
    """1 and 2 pixels, 10 and 100 reads, at 3 s a pixel and 0.5 s a read: 8 and 56 s."""
    model = baseline.cost_model([1, 2], [10, 100], [8, 56])
    assert model.per_pixel == pytest.approx(3)
    assert model.per_read == pytest.approx(0.5)
    assert model.fitted == pytest.approx([8, 56])


def test_slope_by_hand():
    assert slope([1, 10, 100], [2, 2000, 2_000_000]) == pytest.approx(3)


def test_the_defects_side_by_side(picture):
    portrait = picture.rotate(90, expand=True)
    square = picture.resize((66, 66))
    of_landscape = baseline.side_by_side(picture)
    of_portrait = baseline.side_by_side(portrait)
    of_square = baseline.side_by_side(square)
    assert of_landscape["distance"] > 0
    assert of_portrait["shipped"] == "IndexError"
    assert math.isnan(of_portrait["distance"])
    assert of_square["distance"] == 0
    assert baseline.decimated(portrait).shape == (64, 64)
    with pytest.raises(IndexError):
        baseline.decimated(portrait, shipped=True)


@pytest.mark.parametrize(("width", "height"), [(120, 90), (100, 64), (90, 89)])
def test_rows_that_the_shipped_code_never_reads(picture, width, height):
    image = picture.resize((width, height))
    unread = baseline.unread_rows(width, height)
    pixels = np.array(image)
    pixels[height - unread :] = 255 - pixels[height - unread :]
    changed = Image.fromarray(pixels)
    assert reference.find_hash(changed, shipped=True) == reference.find_hash(image, shipped=True)
    row = np.array(image)
    row[height - unread - 1] = 255 - row[height - unread - 1]
    grey = reference.luma(row.tolist())
    before = reference.luma(np.array(image).tolist())
    means = [reference.box_mean(buffer, height, width, shipped=True) for buffer in (before, grey)]
    assert means[0] != means[1], "the row above them is read"


def test_a_square_is_read_to_its_foot():
    assert baseline.unread_rows(90, 90) == 0


# Tables for the notebook --------------------------------------------------------------------------


@pytest.fixture
def raw():
    """Two pictures in two passes: the box mean takes 3 s and 5 s, the bits 1 s."""
    rows = []
    for turn in range(2):
        for image, seconds in (("a", 3.0), ("b", 5.0)):
            rows.append((turn, image, "box mean", seconds))
            rows.append((turn, image, "bits", 1.0))
    return pd.DataFrame(rows, columns=["pass", "image", "stage", "seconds"])


def test_stages_have_medians_quartiles_and_shares(raw):
    stages = baseline.summarise_stages(raw).set_index("stage")
    assert list(stages.index) == ["box mean", "bits"]
    assert stages.loc["box mean", ["low", "ms", "high"]].tolist() == [3000, 4000, 5000]
    assert stages["share"].tolist() == [0.8, 0.2]


def test_a_pictures_seconds_are_the_sum_of_its_stages(raw):
    seconds = baseline.picture_seconds(raw)
    assert seconds.to_numpy().tolist() == [[4, 4], [6, 6]]
    done = baseline.latencies(seconds)
    assert done["ms"].tolist() == [4000, 4000, 6000, 6000]
    assert done["share"].tolist() == [0.25, 0.5, 0.75, 1]
    assert baseline.rank_correlation(seconds) == 1
    assert baseline.rank_correlation(pd.DataFrame([[4, 6], [6, 4]])) == -1
    assert math.isnan(baseline.rank_correlation(seconds.head(1)))


def test_the_work_is_named_and_counted():
    work = baseline.work_table(counts(70, 80)).set_index("work")["times"]
    assert work["box means computed"] == work["pixels"] == 70 * 80
    assert work["box means kept"] == 64 * 64
    assert work["pixels read"] > work["pixels read for the kept means"]


def test_size_curves_start_where_the_smallest_size_was_measured():
    medians = pd.DataFrame({"pixels": [10, 20], "reads": [5, 20], "seconds": [1.0, 3.0]})
    model = baseline.cost_model(medians["pixels"], medians["reads"], medians["seconds"])
    curves = baseline.size_curves(medians, model).groupby("line")["seconds"].apply(list)
    assert curves["measured"] == [1, 3]
    assert curves["by pixels alone"] == [1, 2]
    assert curves["by values read"] == pytest.approx([1, 3])


def test_what_the_defects_do_can_be_seen():
    photo = Image.fromarray(np.random.default_rng(3).integers(0, 256, (66, 80, 3), dtype=np.uint8))
    panels = baseline.defect_panels({"lake": photo})
    assert list(panels) == [
        "lake, 80 × 66",
        "lake, 64 × 64, corrected",
        "lake, 64 × 64, as shipped",
    ]
    corrected, shipped = list(panels.values())[1:]
    assert corrected.shape == shipped.shape == (64, 64, 3)
    assert not np.allclose(corrected, shipped)
    painted = np.asarray(baseline.painted_over(photo))
    unread = baseline.unread_rows(80, 66)
    assert unread > 0
    assert (painted[-unread:] == (255, 0, 255)).all()
    assert (painted[:-unread] == np.asarray(photo)[:-unread]).all()
