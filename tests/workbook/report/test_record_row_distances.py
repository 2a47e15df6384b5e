"""The row distance explored, chosen and judged on tiny sets: what is recorded."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.report import row_distances
from workbook.report.results import Results
from workbook.study import families
from workbook.study.row_distances import CAPS, FLAT_BITS, Choice, choices


@pytest.fixture
def few_families(monkeypatch, tmp_path):
    """The built-in set with ten families of four images."""
    monkeypatch.setenv("FINLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(families, "FAMILIES", 10)
    monkeypatch.setattr(row_distances, "PER_TEMPLATE", 4)


@pytest.fixture
def labelled(tmp_path):
    """A folder of twelve families of three images, and an image that cannot be read."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    rng = np.random.default_rng(8)
    for family in range(12):
        levels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        picture = Image.fromarray(levels).resize((90, 90), Image.Resampling.BICUBIC)
        for number in range(3):
            picture.rotate(2 * number).save(folder / f"{family:04d}_{number}.png")
    (folder / "0002_9.png").write_bytes(b"no picture")
    return folder


def test_choices_are_explored_on_halves_and_judged_on_the_rest(few_families, labelled, tmp_path):
    out = tmp_path / "figures"
    row_distances.record_row_distances({"more": labelled}, {"last": labelled}, out)
    explored = pd.read_csv(out / "rows_explored.csv", keep_default_na=False)
    assert set(explored["set"]) == {"built-in", "more"}
    assert len(explored) == 2 * 3 * len(choices())
    judged = pd.read_csv(out / "rows_judged.csv")
    assert list(dict.fromkeys(judged["set"])) == [
        "built-in, other half",
        "more, other half",
        "last",
    ]
    assert set(judged["method"]) == {
        "dhash256",
        "find+dhash256",
        "dhash256-rows",
        "find+dhash256-rows",
    }
    assert len(judged) == 3 * 4 * 3
    assert judged["tpr"].between(0, 1).all()
    plain = pd.read_csv(out / "rows_plain.csv")
    assert len(plain) == 2 * len(choices())


def test_the_constants_are_recorded_as_numbers_that_the_report_can_quote(few_families, tmp_path):
    out = tmp_path / "figures"
    row_distances.record_row_distances({}, {}, out)
    (out / "05.json").write_text('{"stamp": {}, "numbers": {}, "keys": {}, "files": []}')
    results = Results(out)
    assert results["rows.cap"] in CAPS
    assert results["rows.flat_bits"] in FLAT_BITS
    assert results["rows.weight"] in (1, 2, 3)


def test_the_half_to_explore_has_whole_families_and_is_drawn_once(labelled):
    hashed = row_distances.hash_set(labelled)
    assert len(hashed.labels) == len(hashed.find) == len(hashed.dhash) == 36
    in_half = row_distances.first_half(hashed.labels)
    np.testing.assert_array_equal(in_half, row_distances.first_half(hashed.labels))
    half = hashed.part(in_half)
    rest = hashed.part(~in_half)
    assert len(half.labels) == len(rest.labels) == 18
    assert not set(half.labels) & set(rest.labels)


def test_a_table_says_which_set_it_is_of(labelled):
    hashed = row_distances.hash_set(labelled)
    explored = row_distances.explore_set("more", hashed, [Choice("rows", 3, "either", 0, 16, 0)])
    assert explored["set"].tolist() == ["more"] * 3


def test_a_set_that_is_too_small_to_choose_on_is_refused(few_families, labelled, tmp_path):
    for family in range(2, 12):
        for file in labelled.glob(f"{family:04d}_*"):
            file.unlink()
    with pytest.raises(ValueError, match="has 0 pairs of images of two families"):
        row_distances.record_row_distances({"small": labelled}, {}, tmp_path / "figures")
