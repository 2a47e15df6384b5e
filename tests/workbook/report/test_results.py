"""Recorded values are found by their keys and shown as a reader expects them; expected texts are
written by hand."""

import shutil

import pandas as pd
import pytest

from workbook.report.record import Recorder
from workbook.report.results import ReportError, Results, Unmeasured, format_value


@pytest.fixture
def results(recorded):
    return Results(recorded)


def test_stamp_is_quoted_like_a_number(results):
    assert isinstance(results["05.stamp.cores"], int)
    assert results["05.stamp.versions.numpy"]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (61.25, ".1f", "61.2"),
        (0.0123, ".1%", "1.2%"),
        (-0.5, "+.2f", "−0.50"),
        (11050, "", "11,050"),
        (12.0, "", "12"),
        (0.123456, "", "0.123"),
        (1234.5, "~2", "1,200"),
        (61.3, "~2", "61"),
        (0.00345, "~2", "0.0034"),
        (0.096, "~1", "0.1"),
        (9.96, "~2", "10"),
        (0.0, "~2", "0"),
        (3.2e-6, "sci1", "3.2×10⁻⁶"),
        (5e9, "sci0", "5×10⁹"),
        ("FINd", "", "FINd"),
        (float("nan"), ".1f", "–"),
        (None, "", "–"),
    ],
)
def test_formats(value, form, text):
    assert format_value(value, form) == text


def test_a_format_that_does_not_fit_is_refused():
    with pytest.raises(ReportError, match="cannot be shown as"):
        format_value("FINd", ".1f")
    with pytest.raises(ReportError, match="cannot be shown as"):
        format_value(1.5, ".1q")


def test_cells_of_tables_are_quoted_by_the_key_of_their_row(results):
    assert results["05.accuracy.find.auc"] == 0.987654
    assert results["05.accuracy.find.bits"] == 256
    assert results["05.frontier.find+dhash256.256.low"] == 0.98
    assert results["05.frontier.box mean.64.auc"] == 0.95
    assert results["memes.05.accuracy.ahash256.auc"] == 0.91
    assert results["scale.growth.1000000.seconds"] == 61
    assert "05.accuracy.find.method" not in results.numbers
    with pytest.raises(Unmeasured, match="could not be measured"):
        results["05.accuracy.phash64.tpr_1e-6"]


def test_rows_of_a_table_are_plain_values(results):
    assert results.rows("05.accuracy")[1] == {
        "method": "find",
        "bits": 256,
        "auc": 0.987654,
        "low": 0.98,
        "tpr_1e-6": 0.25,
    }
    assert [row["method"] for row in results.rows("memes.05.accuracy")] == ["ahash256"]
    for wrong in ("05_accuracy", "05", "a.b.05.accuracy", "../x.05.accuracy", "memes.05.frontier"):
        with pytest.raises(ReportError, match="no table"):
            results.rows(wrong)


def test_every_folder_of_a_data_set_is_a_prefix(recorded):
    site = Recorder("05", recorded / "site")
    site.table("strict", pd.DataFrame({"candidate": ["find"], "tpr": [0.8]}), key="candidate")
    site.save()
    results = Results(recorded)
    assert results["site.05.strict.find.tpr"] == 0.8
    assert results.rows("site.05.strict") == [{"candidate": "find", "tpr": 0.8}]
    assert results["memes.05.accuracy.ahash256.auc"] == 0.91


def test_a_table_that_is_listed_must_exist(recorded):
    (recorded / "05_frontier.csv").unlink()
    with pytest.raises(
        ReportError,
        match=r"05.json lists the table 05_frontier.csv, which is missing from the same folder",
    ):
        Results(recorded)


def test_one_key_cannot_have_two_values(tmp_path):
    rec = Recorder("05", tmp_path)
    rec.number("x", 1, low=0)
    rec.number("x.low", 2)
    rec.save()
    with pytest.raises(ReportError, match=r"05.x.low is recorded twice"):
        Results(tmp_path)


def test_without_results_the_report_says_so(tmp_path):
    with pytest.raises(
        ReportError, match=r"there are no results \(01.json, …\) in .*: run the notebooks first"
    ):
        Results(tmp_path)


def test_tables_of_the_published_run_are_there_for_own_images_too(recorded, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(recorded, own)
    (own / "05_accuracy.csv").write_text("method,bits,auc\nfind,256,0.5\n")
    results = Results(own, recorded)
    assert [row["auc"] for row in results.rows("05.accuracy")] == [0.5]
    published = [row["auc"] for row in results.rows("published.05.accuracy")]
    assert published == [0.91, 0.987654, 0.95]
