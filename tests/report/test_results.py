"""What the report may ask of the results, and what it gets, worked by hand."""

import re

import pytest

from finlib.report.record import Recorder
from finlib.report.results import ReportError, Results, evaluate, markdown_table, show


@pytest.fixture
def results(recorded):
    return Results(recorded)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("05.images", 11050),
        ("05.find.auc.low", 0.98),
        ("memes.05.find.auc", 0.5),
        ("05.find.tpr_1e-6 - 0.05", 0.2),
        ("1 - 05.ahash256.auc", 0.09),
        ("05.images * (05.images - 1) / 2", 61045725),
        ("05.ahash256.auc < 05.find.auc <= 1", True),
        ("05.ahash256.auc > 05.find.auc or not 05.images > 1", False),
        ('05.best == "find" and max(05.find.auc, 0) > 0.9', True),
        ('05.best in ("phash256", "pdq")', False),
        ("log10(05.images) > 4", True),
    ],
)
def test_expressions(results, expression, value):
    assert results.evaluate(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("05.find.acu > 1", "no number '05.find.acu' is recorded; near it: 05.find.auc"),
        ("05.find.auc-05.ahash256.auc", "is recorded"),
        ("05.images.__class__", "is recorded"),
        ("__import__('os')", "is not understood here"),
        ("[x for x in (1,)]", "is not understood here"),
        ("open('x')", "is not understood here"),
        ("05.images >", "cannot be worked out"),
        ("05.images / 0", "cannot be worked out"),
        ("05.best > 1", "cannot be worked out"),
        ("(05.images).real", "is not understood here"),
    ],
)
def test_expressions_that_are_refused(results, expression, says):
    with pytest.raises(ReportError, match=re.escape(says)):
        results.evaluate(expression)


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
    assert show(value, form) == text


def test_a_format_that_does_not_fit_is_refused():
    with pytest.raises(ReportError, match="cannot be shown as"):
        show("FINd", ".1f")
    with pytest.raises(ReportError, match="cannot be shown as"):
        show(1.5, ".1q")


def test_a_name_of_a_row_is_not_python():
    assert evaluate("a + 1", {"a": 2}) == 3
    with pytest.raises(ReportError, match="no 'b' here"):
        evaluate("b", {"a": 2})


def test_table_by_hand(results):
    block = """05_accuracy
    columns: Method = method | AUC = {auc:.3f} (from {low:.2f}) | TPR = {tpr_1e-6:.0%} | Error = {(1 - auc) * 100:.1f}
    where: bits == 256 or method == "phash64"
    sort: auc descending
    rows: 2
    """
    assert markdown_table(results, block).splitlines() == [
        "| Method | AUC | TPR | Error |",
        "| :--- | :--- | ---: | ---: |",
        "| find | 0.988 (from 0.98) | 25% | 1.2 |",
        "| phash64 | 0.950 (from 0.94) | – | 5.0 |",
    ]


def test_table_of_all_columns_and_of_a_second_data_set(results):
    assert markdown_table(results, "05_accuracy").splitlines()[2] == "| ahash256 | 256 | 0.910 | 0.900 | 0.100 |"
    assert len(markdown_table(results, "memes/05_accuracy").splitlines()) == 3


def test_cells_of_tables_are_quoted_by_the_key_of_their_row(results):
    assert results["05.accuracy.find.auc"] == 0.987654
    assert results["05.accuracy.find.bits"] == 256
    assert results["05.frontier.find+dhash256.256.low"] == 0.98
    assert results["05.frontier.box mean.64.auc"] == 0.95
    assert results["memes.05.accuracy.ahash256.auc"] == 0.91
    assert results["scale.growth.1000000.seconds"] == 61
    assert "05.accuracy.find.method" not in results.numbers


def test_one_key_cannot_have_two_values(tmp_path):
    rec = Recorder("05", tmp_path)
    rec.number("x", 1, low=0)
    rec.number("x.low", 2)
    rec.save()
    with pytest.raises(ReportError, match=r"05.x.low is recorded twice"):
        Results(tmp_path)


def test_without_results_the_report_says_so(tmp_path):
    with pytest.raises(ReportError, match=r"no results in .* \(01.json, …\): run the notebooks first"):
        Results(tmp_path)
