"""The report's template: what its expressions become, what is refused and at which line, how text
is wrapped."""

import json
import re

import pytest

from workbook.report.filling import (
    MOST_WORDS,
    count_words,
    fill,
    length_problems,
    reasons_not_to_publish,
    typed_numbers,
    wrap,
)
from workbook.report.results import ReportError, Results


@pytest.fixture
def results(recorded):
    return Results(recorded)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{ "05.images"|number }}', "11,050"),
        ('{{ "05.seconds"|number("sci1") }}', "1.2×10⁻²"),
        ('{{ "05.seconds * 1000"|number(".1f") }} ms', "12.3 ms"),
        ('{{ "05.find.auc.low - 05.ahash256.auc"|number(".2f") }}', "0.07"),
        ('{{ "-100 * memes.05.find.auc"|number }}', "−50"),
        ('{{ "100 * max(05.find.auc, 05.ahash256.auc)"|number(".0f") }}', "99"),
        ('{{ "05.frontier.find+dhash256.256.auc"|number(".3f") }}', "0.988"),
        ('{{ "05.frontier.find+dhash256.256.auc - 05.find.tpr_1e-6"|number(".3f") }}', "0.738"),
        ('{{ "05.frontier.box mean.64.auc"|number }}', "0.950"),
        ("""{{ "2 * '05.frontier.box mean.64.auc'"|number }}""", "1.90"),
        ('{{ "scale.growth.1000000.seconds / 60"|number(".1f") }} min', "1.0 min"),
        (
            'by {{ value("05.best") }}, {{ "05.best"|number }}, {{ value("05.best")|label }}',
            "by find, find, FINd",
        ),
        ('{{ "find+dhash256"|label }} {{ const("55,972") }}', "FINd + dHash 256 55,972"),
        ('{% if value("05.images") > 10 %}\nmany\n{% endif %}\nso', "many so"),
        ("`{{ '{{' }}` stays", "`{{` stays"),
    ],
)
def test_what_expressions_become(results, template, text):
    assert fill(template, results).text == text


def test_a_table_is_a_loop_over_rows(results):
    template = """Before.

| Method | AUC | TPR |
| :--- | ---: | ---: |
{% set good = rows("05.accuracy")|selectattr("auc", "gt", 0.92) %}
{% for row in good|sort(attribute="auc", reverse=true) %}
| {{ row.method|label }} | {{ row.auc|number(".3f") }} | {{ row["tpr_1e-6"]|number(".0%") }} |
{% endfor %}

{{ rows("memes.05.accuracy")|length }} and {{ rows("scale.growth")[0].n|number }}.
"""
    assert fill(template, results).text.splitlines()[2:] == [
        "| Method | AUC | TPR |",
        "| :--- | ---: | ---: |",
        "| FINd | 0.988 | 25% |",
        "| pHash 64 | 0.950 | – |",
        "",
        "1 and 1,000.",
    ]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            'a\n{{ "05.find.acu"|number }}',
            "report.md.j2:2: no number '05.find.acu' is recorded; did you mean 05.find.auc",
        ),
        ('{{ "05.frontier.box maen.64.auc"|number }}', "did you mean 05.frontier.box mean.64.auc"),
        (
            '{{ "05.images - 05.imges"|number }}',
            "no number '05.imges' is recorded; did you mean 05.images",
        ),
        ('{{ "05.images-05.seconds"|number }}', "no number '05.images-05.seconds' is recorded"),
        ('{{ "05.images > "|number }}', "cannot be evaluated"),
        ('{{ "05.images / 0"|number }}', "cannot be evaluated"),
        ('{{ claim("05.best > 1") }}', "cannot be evaluated"),
        ('{{ claim("05.images") }}', "is not a comparison"),
        ('{{ claim("1 < 2") }}', "names no result"),
        ('{{ "1 + 2"|number }}', "names no result"),
        ('{{ "05.best"|number(".1f") }}', "cannot be shown as '.1f'"),
        ("a\n{{ 61.3|number }}", "report.md.j2:2: 61.3 is typed by hand"),
        ('{{ "61.3" }}', "61.3 is typed by hand"),
        ("So it is 61.3 times.", "report.md.j2:1: 61.3 is typed by hand"),
        ('a\n\n{{ nubmer("05.images") }}', "report.md.j2:3: 'nubmer' is undefined"),
        ('a\n\n{{ "05.images"|nubmer }}', "report.md.j2:3: No filter named 'nubmer'"),
        ("a\n{% for row in rows %}", "report.md.j2:2: "),
        ('{{ rows("05.acuracy") }}', "no table '05.acuracy' is recorded; did you mean 05.accuracy"),
        ('{{ rows("../05.accuracy") }}', "no table"),
        (
            'a\n{% for row in rows("05.accuracy") %}\n{{ row.acu|number }}{% endfor %}',
            "there is no 'acu' here; did you mean auc",
        ),
        ("one\n\n![a](figures/none.png)", "report.md.j2:3: there is no figure figures/none.png"),
        ("**Figure 2.** It.", "the captions of figures are numbered [2] instead of [1]"),
        (
            "![a](http://a.b/c.png)\n\nNo caption.",
            "there is no caption **Figure N.** under ![a](http://a.b/c.png)",
        ),
    ],
)
def test_what_is_refused_is_named_with_its_line(results, recorded, template, says):
    with pytest.raises(ReportError, match=re.escape(says)):
        fill(template, results, folder=recorded.parent)


def test_every_problem_is_reported_at_once(results):
    with pytest.raises(ReportError) as caught:
        fill('{{ "05.a"|number }}\n{{ claim("05.b > 05.seconds") }}\n7', results)
    assert sorted(line.split(":")[1] for line in str(caught.value).splitlines()) == ["1", "2", "3"]


def test_a_report_may_have_the_most_words_exactly(results):
    filled = fill("# Title\n\n" + "word " * (MOST_WORDS - 1), results)
    assert filled.words == MOST_WORDS
    assert list(length_problems(filled.text)) == []


def test_a_longer_report_is_rendered_and_should_not_be_published(results):
    summary = "# T\n\n## Executive summary\n\n" + "word " * 191
    filled = fill(summary + "\n\n## Part\n\n" + "word " * (MOST_WORDS - 194), results)
    assert list(length_problems(filled.text)) == [
        "the report has 3,501 words; at most 3,500 are allowed",
        "the summary has 191 words; at most 190 are allowed",
    ]


def test_words_are_counted_by_hand():
    text = """# A title of five words

## Two words

One two three, **four** [five](http://a/b/c "d") – `six`
7.5. **[no longer holds: 1 > 2]**

![not counted](figures/a.png)

**Figure 1.** A caption
counts.

| not | counted |
| --- | --- |

```
not counted
```

**Table 1.** It counts.

## References

1. Not counted.

## Appendix

eight
"""
    assert count_words(text) == 5 + 2 + 7 + 1 + 5 + 4 + 1


def test_a_claim_leaves_no_trace_where_it_holds_and_a_mark_where_it_does_not(results):
    true = 'It is better.\n{{ claim("05.find.auc > 05.ahash256.auc") }}\nSo it is.'
    assert fill(true, results).text == "It is better.\nSo it is."
    expression = "05.find.auc < 05.ahash256.auc and 05.best == 'find'"
    values = "0.98765 < 0.91000 and find == 'find'"
    filled = fill(f'{true}\n\nIt is worse. {{{{ claim("{expression}") }}}}', results)
    assert filled.text.endswith(f"\n\nIt is worse. **[no longer holds: {values}]**")
    assert filled.broken_claims == [f"report.md.j2:5: {expression} ({values})"]
    plus = '{{ claim("05.frontier.find+dhash256.256.auc < 05.find.auc + 0.1 < 10.5") }}'
    assert fill(f"With plus.{plus}", results).text == "With plus."


def test_what_belongs_to_built_in_data_is_left_out_of_a_report_on_others(recorded, results):
    template = "{% if not own_data %}Built-in.{% endif %}"
    assert fill(template, results).text.strip() == "Built-in."
    on_own_images = Results(recorded, recorded.parent)
    assert fill(template, on_own_images).text.strip() == ""


def test_pdq_may_be_missing_and_nothing_else(results, monkeypatch):
    monkeypatch.setattr("workbook.report.results.find_spec", lambda name: None)
    filled = fill(
        'It has {{ "05.pdq.auc"|number }}.{{ claim("05.find.auc > 05.find+pdq.auc") }}', results
    )
    assert filled.text == "It has –. **[no longer holds: 0.98765 > –]**"
    assert filled.broken_claims == ["report.md.j2:1: 05.find.auc > 05.find+pdq.auc (0.98765 > –)"]
    with pytest.raises(ReportError, match="is recorded"):
        fill('{{ "05.qdp.auc"|number }}', results)


def test_what_could_not_be_measured_on_other_images_is_a_dash(recorded, tmp_path):
    from workbook.report.record import Recorder

    rec = Recorder("05", tmp_path / "own")
    rec.number("images", 3)
    rec.save()
    own = Results(tmp_path / "own", recorded)
    keys = ["05.images", "05.find.auc", "05.accuracy.phash64.tpr_1e-6"]
    texts = [fill(f'{{{{ "{key}"|number }}}}', own).text for key in keys]
    assert texts == ["3", "–", "–"]
    assert fill('{{ "scale.growth.1000.seconds"|number }}', own).text == "0.500", (
        "long runs are not repeated"
    )


def test_one_sentence_a_line_and_nothing_else_moves():
    text = """# T

One sentence
over two lines. Another, with 3.5 and e.g. more (so). **Bold.** It is.

- An item. Its second
  sentence.
- Another
1. First

| a. B | c |
| - | - |

**Figure 1.** A caption. More.

```
Code. Stays
  so.
```
"""
    wrapped = """# T

One sentence over two lines.
Another, with 3.5 and e.g. more (so).
**Bold.** It is.

- An item.
  Its second sentence.
- Another
1. First

| a. B | c |
| - | - |

**Figure 1.** A caption.
More.

```
Code. Stays
  so.
```
"""
    assert wrap(text) == wrap(wrapped) == wrapped
    long = wrap("word " * 50 + "- no list 2. and " + "word " * 19 + "1. either").splitlines()
    assert len(long) == 4
    assert max(map(len, long)) <= 120
    assert all(line.startswith("word") for line in long)


@pytest.mark.parametrize(
    "text",
    [
        "## Heading 3.5",
        "In 2010, 256-bit hashes of 64 ×\n64 and 256\nbits, notebooks 02–04.",
        "In Figure 3, Part 2 and step 5 [12].",
        "On Python 3.11 with AVX-512, pHash256 and H100.",
        'A billion is {{ const("1,000,000,000") }}.',
        '{{ "02.speedup"|number(".1f") }} and {{ claim("05.a > 0.9") }} too. {# 7 #}',
        "`61.3` and [link](https://a.b/123)\n\n```\n12\n```",
        "1. An item\n2. Another",
        "## References\n\n[1] J. 12(3), 45–67.",
        "| Recall at 1 |\n| ---: |\n| {{ row.x }} |",
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
        ('10 ms {{ "05.x"|number }}', [(1, "10")]),
        ("in 3000 families", [(1, "3000")]),
        ('a {{ "9"|label }}', [(1, "9")]),
    ],
)
def test_numbers_that_a_hand_may_not_type(text, found):
    assert list(typed_numbers(text)) == found


def test_published_results_are_of_one_machine_and_of_one_commit_and_complete(recorded):
    assert reasons_not_to_publish(Results(recorded)) == []
    other = json.loads((recorded / "05.json").read_text())
    other["stamp"] |= {"cpu": "A processor that this is not", "commit": "9876543210+"}
    other["keys"], other["files"] = {}, []
    (recorded / "06.json").write_text(json.dumps(other))
    machines, commits, uncommitted = reasons_not_to_publish(Results(recorded))
    assert machines.startswith("figures: the results are from several machines: ")
    assert "A processor that this is not (06)" in machines
    assert commits == (
        "figures: the results are from several commits: "
        "0123456789 (05, memes/05, scale); 9876543210+ (06)"
    )
    assert uncommitted == "figures: these ran from uncommitted code: 06"
    (recorded / "06.json").unlink()
    (recorded / "05_stray.png").touch()
    results = Results(recorded)
    (recorded / "05_accuracy.csv").unlink()
    assert reasons_not_to_publish(results) == [
        "figures/05_stray.png: no notebook recorded this file",
        "figures/05_accuracy.csv: recorded, but the file does not exist",
    ]


@pytest.mark.parametrize("name", ["scale", "memes/05"])
def test_commands_and_second_data_sets_are_of_the_same_commit_too(recorded, name):
    path = recorded / f"{name}.json"
    section = json.loads(path.read_text())
    section["stamp"]["commit"] = ""
    path.write_text(json.dumps(section))
    (reason,) = reasons_not_to_publish(Results(recorded))
    assert f"unknown ({name})" in reason
