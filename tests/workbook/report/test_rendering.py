"""The report as HTML and PDF: each is one file with numbered sections, and equal on every
rendering."""

import re

import pytest

pytest.importorskip("pypandoc", reason="the report needs the workbook extra")

from PIL import Image

from workbook.report.rendering import (
    contents_after_the_answer,
    cover,
    outline_after_the_answer,
    render,
)
from workbook.report.results import Results

OUTLINE = "#block(breakable: false)[#outline(depth: 1)]\n"
"""What makes the PDF's table of contents, which no page break divides."""

REPORT = """# The *title*

## Executive summary

Short, with `code` and 3×10⁻⁶.

## Part

### Within

| Method | AUC |
| :--- | ---: |
| FINd | 0.99 |

![A picture](figures/05_a.png)

**Figure 1.** Its caption.

## References

1. One.
"""


def test_a_report_shows_pictures_of_another_folder(recorded):
    Image.linear_gradient("L").save(recorded / "05_a.png")
    report = recorded.parent / "runs" / "own" / "report.md"
    report.parent.mkdir(parents=True)
    moved = REPORT.replace("(figures/05_a.png)", "(../../figures/05_a.png)")
    report.write_text(moved, encoding="utf-8")
    page, printed = render(report, "", recorded.parent)
    assert "data:image/png" in page.read_text(encoding="utf-8")
    assert printed.read_bytes().startswith(b"%PDF")


def test_pages_are_whole_numbered_and_the_same_again(recorded):
    report = recorded.parent / "report.md"
    report.write_text(REPORT, encoding="utf-8")
    Image.linear_gradient("L").save(recorded / "05_a.png")
    line = cover(Results(recorded))
    page, printed = render(report, line)
    first = page.read_bytes(), printed.read_bytes()
    render(report, line)
    assert (page.read_bytes(), printed.read_bytes()) == first
    assert sorted(path.name for path in recorded.parent.iterdir() if path.is_file()) == [
        "report.html",
        "report.md",
        "report.pdf",
    ]
    assert first[1].startswith(b"%PDF")
    html = " ".join(first[0].decode().split())
    assert re.search(
        r"<figure> <img[^>]*src=\"data:image/png;base64[^>]*> <figcaption[^>]*><strong>Figure 1.",
        html,
    )
    assert not re.search(r"(src|href)=\"(?!data:|#)", html), "nothing outside the file"
    assert 'name="viewport"' in html
    assert "@media print" in html
    assert '<h1 class="title">The title</h1>' in html
    assert f'<p class="subtitle">{line}</p>' in html
    headings = re.findall(r"<h([12])[^>]*id=[^>]*>(.*?)</h", html)
    assert [(level, re.sub("<[^>]*>", "", text).strip()) for level, text in headings] == [
        ("1", "Executive summary"),
        ("1", "1 Part"),
        ("2", "1.1 Within"),
        ("1", "References"),
    ]
    assert re.findall(r'<a href="#([\w-]+)" id="toc-', html) == [
        "executive-summary",
        "part",
        "references",
    ]


def test_the_contents_stand_behind_the_answer(recorded):
    report = recorded.parent / "report.md"
    report.write_text(REPORT, encoding="utf-8")
    Image.linear_gradient("L").save(recorded / "05_a.png")
    html = render(report, "")[0].read_text(encoding="utf-8")
    answer = html.index("Short, with")
    part = html.index("Its caption")
    contents = html.index('<nav id="TOC"')
    references = html.index('id="references"')
    assert answer < part < contents < references


def test_a_short_report_has_its_contents_first():
    page = '<nav id="TOC">1</nav><h1 id="one">One</h1>'
    assert contents_after_the_answer(page) == page
    assert outline_after_the_answer("= One\n") == f"{OUTLINE}= One\n"


def test_the_outline_of_the_pdf_stands_behind_two_sections():
    unnumbered = "#heading(\nlevel: 1\n, numbering: none\n)[One]\n"
    body = unnumbered + "== Inner\n= Two\ntext\n= Three\n"
    expected = f"{unnumbered}== Inner\n= Two\ntext\n{OUTLINE}= Three\n"
    assert outline_after_the_answer(body) == expected


def test_the_cover_says_when_with_what_and_on_what(recorded):
    results = Results(recorded)
    stamp = results.sections["05"]["stamp"]
    stamp |= {
        "cpu": "A processor",
        "cores": 2,
        "memory_gib": 3.5,
        "system": "Linux x86_64",
        "python": "3.11.7",
    }
    stamp |= {"date": "2026-11-24", "versions": {"numpy": "2.4", "finlib": "1.0", "numba": "0.68"}}
    machine = "A processor, 2 cores, 3.5 GiB memory, Linux x86_64, Python 3.11.7"
    finlib = "finlib 1.0 of commit 0123456789"
    assert cover(results) == f"2026-11-24 · {finlib} · {machine} · numba 0.68, numpy 2.4"
    results.sections["06"] = {"stamp": stamp | {"cpu": "Another", "date": "2026-11-25"}}
    assert cover(results).startswith(
        f"2026-11-25 · {finlib} · {machine} · {machine.replace('A processor', 'Another')} ·"
    )
    stamp["commit"] = ""
    results.sections.pop("06")
    assert cover(results).startswith("2026-11-24 · finlib 1.0 · A processor"), "outside git"
