"""The report's markers: what they are replaced by, and what is refused, with its line."""

import json
import re

import pytest

from finlib.report.filling import MOST_WORDS, check_committed, count_words, fill, typed_numbers
from finlib.report.results import ReportError, Results


@pytest.fixture
def results(recorded):
    return Results(recorded)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It takes 1<!--=05.seconds * 1000:.1f--> ms.", "It takes 12.3<!--=05.seconds * 1000:.1f--> ms."),
        ("(n = ?<!--=05.images-->)", "(n = 11,050<!--=05.images-->)"),
        ("**9,999<!--=05.images-->**", "**11,050<!--=05.images-->**"),
        ("£3<!--=05.images-->", "£11,050<!--=05.images-->"),
        ("95%<!--=05.find.auc:.1%-->", "98.8%<!--=05.find.auc:.1%-->"),
        ("1e-06<!--=05.seconds:sci1-->", "1.2×10⁻²<!--=05.seconds:sci1-->"),
        ("3.1×10⁻⁶<!--=05.seconds-->", "0.0123<!--=05.seconds-->"),
        ("0.9–1<!--=05.find.auc.high:.2f-->", "0.9–0.99<!--=05.find.auc.high:.2f-->"),
        ("| x | 2<!--=05.images-->|", "| x | 11,050<!--=05.images-->|"),
        ("by <!--text 05.best-->x y<!--/--> then", "by <!--text 05.best-->find<!--/--> then"),
        ("code `1<!--=05.images-->` stays", "code `1<!--=05.images-->` stays"),
        ("```\n1<!--=05.wrong-->\n```", "```\n1<!--=05.wrong-->\n```"),
        ("<!-- a plain comment, 1<!--2 -->", "<!-- a plain comment, 1<!--2 -->"),
    ],
)
def test_numbers_are_replaced(results, before, after):
    before = before.replace("1<!--2 ", "2 ")
    after = after.replace("1<!--2 ", "2 ")
    assert fill(before, results).text == after
    assert fill(after, results).text == after, "filling twice changes nothing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("one\ntwo 1<!--=05.wrong-->", "report.md:2: no number '05.wrong' is recorded"),
        ("pHash256<!--=05.images-->", "report.md:1: no number stands free and directly before"),
        ("12 <!--=05.images-->", "no number stands free"),
        ("v1.2<!--=05.images-->", "no number stands free"),
        ("1<!--=05.images--><!--=05.images-->", "no number stands free"),
        ("1<!--=05.best-->", "write <!--text 05.best-->find<!--/-->"),
        ("So it is.\n<!--claim 05.images > 1-->", "report.md:2: a comment cannot begin a line"),
        ("x <!--claim 05.images-->", "is no comparison"),
        ("x <!--claim 05.images > -->", "cannot be worked out"),
        ("x <!--text 05.best-->find", "<!--/--> is missing"),
        ("x <!--text 05.best-->find 1<!--=05.images--> <!--/-->", "<!--/--> is missing"),
        ("x <!--/-->", "+1 of <!--/-->"),
        ("x <!--clam 05.images > 1-->", "<!--clam 05.images > 1 is no marker"[:20]),
        ("one\n\n![a](figures/none.png)", "report.md:3: there is no figure figures/none.png"),
        ("x <!--table 05_accuracy-->\n<!--/-->", "on lines of its own"),
        ("<!--table 05_none-->\n\n<!--/-->", "no table '05_none'"),
        ("<!--table 05_accuracy\ncolumns: acu\n-->\n\n<!--/-->", "no 'acu' here; near it: auc"),
        ("<!--table 05_accuracy\norder: auc\n-->\n\n<!--/-->", "no option ['order']"),
        ("<!--table 05_accuracy\nsort: acu\n-->\n\n<!--/-->", "cannot sort by 'acu'"),
        ("<!--table 05_accuracy\nwhere: bits == 7\n-->\n\n<!--/-->", "no row is left"),
        ("word " * (MOST_WORDS + 1), "3,501 words, and 3,500 are the most"),
        ("# T\n\n## Executive summary\n\n" + "word " * 151, "report.md:3: 151 words of summary"),
    ],
)
def test_what_is_refused_is_named_with_its_line(results, recorded, text, says):
    with pytest.raises(ReportError, match=re.escape(says)):
        fill(text, results, folder=recorded.parent)


def test_every_problem_is_told_at_once(results):
    with pytest.raises(ReportError) as caught:
        fill("1<!--=05.a-->\n2<!--=05.b-->", results)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["1", "2"]


def test_the_last_word_is_allowed(results):
    assert fill("# Title\n\n" + "word " * MOST_WORDS, results).words == MOST_WORDS


def test_words_are_counted_by_hand():
    text = """# The title is not counted

## Two words

One two three, **four** [five](http://a/b/c "d") – `six`
7.5<!--=05.x-->.<!--claim 05.x > 1--> **[no longer holds: 1 > 2]**

![not counted](figures/a.png)

**Figure 1.** Not
counted.

<!--table 05_x
columns: a
-->

| not | counted |
| --- | --- |

<!--/-->

```
not counted
```

**Table 1.** Not counted.

## References

1. Not counted.

## Appendix

eight
"""
    assert count_words(text) == 2 + 7 + 1 + 1


def test_table_block_is_filled_in_place(results):
    block = "Before.\n\n<!--table 05_accuracy\ncolumns: bits\nrows: 1\n-->\nold\n<!--/-->\n\nAfter."
    filled = fill(block, results).text
    assert filled == block.replace("\nold\n", "\n\n| bits |\n| ---: |\n| 256 |\n\n")
    assert fill(filled, results).text == filled


def test_a_claim_that_fails_is_marked_and_unmarked(results):
    true = "It is better.<!--claim 05.find.auc > 05.ahash256.auc--> So."
    false = "It is worse.<!--claim 05.find.auc < 05.ahash256.auc--> So."
    assert fill(true, results).text == true
    filled = fill(f"{true}\n{false}", results)
    assert filled.broken == ["report.md:2: 05.find.auc < 05.ahash256.auc (0.98765 < 0.91000)"]
    marked = false.replace(" So.", " **[no longer holds: 0.98765 < 0.91000]** So.")
    assert filled.text == f"{true}\n{marked}"
    assert fill(marked, results).text == marked
    assert fill(marked.replace("auc <", "auc >"), results).text == false.replace("auc <", "auc >")
    assert (filled.claims, filled.numbers, filled.tables) == (2, 0, 0)


def test_pdq_may_be_missing_and_nothing_else(results, monkeypatch):
    monkeypatch.setattr("finlib.report.results.find_spec", lambda name: None)
    filled = fill("PDQ has 1<!--=05.pdq.auc-->.<!--claim 05.find.auc > 05.pdq.auc-->", results)
    assert filled.text.startswith("PDQ has –<!--=05.pdq.auc-->.")
    assert filled.broken == ["report.md:1: 05.find.auc > 05.pdq.auc (0.98765 > –)"]
    assert fill(filled.text, results).text == filled.text
    with pytest.raises(ReportError, match="is recorded"):
        fill("1<!--=05.qdp.auc-->", results)


@pytest.mark.parametrize(
    "text",
    [
        "## Heading 3.5",
        "In 2010, 256-bit hashes of 64 × 64 and 256 bits, notebooks 02–04, Figure 3, Part 2 and step 5 [12].",
        "On Python 3.11 with AVX-512, pHash256 and H100.",
        "A billion is 1,000,000,000<!--const--> and 100 million<!--const-->.",
        "61.3<!--=02.speedup:.1f--> and <!--text 01.stamp.cpu-->Xeon 6230<!--/--> too.<!--claim 05.a > 0.9-->",
        "`61.3` and [link](https://a.b/123)\n\n```\n12\n```",
        "1. An item\n2. Another",
        "## References\n\n[1] J. 12(3), 45–67.",
        "<!--table 05_x\nrows: 5\n-->\n\n| a |\n| 61.3 |\n\n<!--/-->",
    ],
)
def test_numbers_that_a_hand_may_type(text):
    assert list(typed_numbers(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fine\nIt is 61.3 times.", [(2, "61.3")]),
        ("n = 1,234, or 5%", [(1, "1,234"), (1, "5")]),
        ("| a | 7 |", [(1, "7")]),
        ("**Figure 1.** Of 30 images.", [(1, "30")]),
        ("in 64 × 48 pixels", [(1, "64"), (1, "48")]),
        ("10 ms <!--=05.x-->", [(1, "10")]),
        ("in 3000 families", [(1, "3000")]),
    ],
)
def test_numbers_that_a_hand_may_not_type(text, found):
    assert list(typed_numbers(text)) == found


def test_what_a_committed_report_may_not_be(recorded):
    good = "# T\n\nIt is 11,050<!--=05.images-->.<!--claim 05.images > 1-->\n"
    path = recorded.parent / "report.md"

    def problems(text):
        path.write_text(text)
        return check_committed(path, recorded)

    assert problems(good) == []
    assert "the claim does not hold" in problems(good.replace("> 1", "< 1"))[0]
    assert problems(good.replace("11,050", "11,051"))[0].startswith("report.md:3: is 'It is 11,051")
    assert problems(good + "And 12.")[0] == "report.md:4: 12 is typed by hand"
    figure = "\n![a](figures/05_a.png)\n\n**Figure 1.** Of it.\n"
    (recorded / "05_a.png").touch()
    assert problems(good + figure) == ["figures/05_a.png: no notebook recorded it"]
    assert "captions of figures are numbered [2]" in problems(good + figure.replace("e 1", "e 2"))[0]
    assert "no caption **Figure N.** under ![a](figures/05_a.png)" in problems(good + figure.replace("**", ""))[0]
    (recorded / "05_a.png").unlink()
    assert "no number '05.image'" in problems(good.replace("=05.images", "=05.image"))[0]
    path.write_text(good)
    (recorded / "05_stray.png").touch()
    (recorded / "05_accuracy.csv").unlink()
    assert check_committed(path, recorded) == [
        "figures/05_stray.png: no notebook recorded it",
        "figures/05_accuracy.csv: recorded but not there",
    ]


def test_committed_results_are_of_one_machine_and_of_committed_code(recorded):
    other = json.loads((recorded / "05.json").read_text())
    other["stamp"] |= {"cpu": "A processor that this is not", "commit": "0123456789+"}
    other["keys"], other["files"] = {}, []
    (recorded / "06.json").write_text(json.dumps(other))
    (recorded.parent / "report.md").write_text("# T\n")
    several, uncommitted = check_committed(recorded.parent / "report.md", recorded)
    assert several.startswith("figures: from several machines: ")
    assert "A processor that this is not" in several
    assert uncommitted == "figures/06.json: ran from code that was not committed"
