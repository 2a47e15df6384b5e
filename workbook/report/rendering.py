"""Turn report.md into one HTML file and a PDF, by pandoc and Typst.

Both programs come from PyPI, so neither LaTeX nor fonts of the machine are needed. HTML and PDF
have numbered sections, a table of contents behind the first two, and a line under the title that
says when, on what and with which versions everything was measured.
"""

import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbook.report.results import Results

PDF_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""The date in the PDF's metadata; it is fixed so that the same report gives the same bytes."""

MARKDOWN = "gfm-autolink_bare_uris"
"""The Markdown of report.md, by pandoc's name for it."""

HTML_OPTIONS = (
    "--standalone",
    "--embed-resources",
    "--mathml",
    "--number-sections",
    "--toc",
    "--toc-depth=1",
)

SECTIONS_OF_THE_ANSWER = 2
"""The sections that stand before the table of contents."""

FOLDER = Path(__file__).parent
FILTER = FOLDER / "captions.lua"
"""pandoc's filter, which joins figures and tables with their captions."""

PREAMBLE = FOLDER / "preamble.typ"
"""How the PDF looks."""

STYLE = FOLDER / "style.html"
"""How the HTML looks."""


def cover(results: Results) -> str:
    """The line under the title: when, from which commits, where and with what the notebooks ran.

    It is taken from the stamps of the notebooks.
    """
    stamps = [section["stamp"] for name, section in results.sections.items() if name.isdigit()]
    last_date = max(stamp["date"] for stamp in stamps)
    machines = list(dict.fromkeys(describe_machine(stamp) for stamp in stamps))
    libraries = dict(stamps[-1]["versions"])
    commits = " and ".join(sorted({stamp["commit"] for stamp in stamps} - {""}))
    finlib = f"finlib {libraries.pop('finlib', '')}".strip()
    if commits:
        finlib += f" of commit {commits}"
    versions = ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()))
    return " · ".join([last_date, finlib, *machines, versions])


def describe_machine(stamp: dict[str, Any]) -> str:
    """The machine of a stamp in words."""
    form = "{cpu}, {cores} cores, {memory_gib} GiB memory, {system}, Python {python}"
    return form.format(**stamp)


def render(report: Path, cover: str, pictures: Path | None = None) -> list[Path]:
    """Write report.html and report.pdf into the folder of report.md; returns both paths.

    cover: the line under the title. pictures: a folder in or below which all pictures lie, by
    default that of the report. The HTML contains them. Raises RuntimeError if pandoc or Typst
    refuses the report.
    """
    title, text = split_title(report)
    with tempfile.TemporaryDirectory() as folder:
        lua_filter = Path(folder, "captions.lua")
        lua_filter.write_text(fill_titles(FILTER, title, cover), encoding="utf-8")
        options = [f"--lua-filter={lua_filter}", "--shift-heading-level-by=-1"]
        html = render_html(text, report, options)
        preamble = fill_titles(PREAMBLE, title, cover)
        pdf = render_pdf(text, report, options, preamble, pictures or report.parent)
    return [html, pdf]


def render_html(
    text: str,
    report: Path,
    options: list[str],
) -> Path:
    """Write Markdown, without its title, as the report's HTML; `options` are pandoc's."""
    import pypandoc

    places = [f"--resource-path={report.parent}", f"--include-in-header={STYLE}"]
    page = pypandoc.convert_text(text, "html5", MARKDOWN, [*options, *HTML_OPTIONS, *places])
    html = report.with_suffix(".html")
    html.write_text(contents_after_the_answer(page), encoding="utf-8")
    return html


def render_pdf(
    text: str,
    report: Path,
    options: list[str],
    preamble: str,
    pictures: Path,
) -> Path:
    """Write Markdown, without its title, as the report's PDF.

    options: pandoc's. preamble: what Typst is to read before the text. pictures: as for `render`.
    """
    import pypandoc
    import typst

    body = pypandoc.convert_text(text, "typst", MARKDOWN, [*options, "--columns=10000"])
    # Typst reads nothing outside its root.
    source = report.with_name(f".{report.stem}.typ")
    source.write_text(preamble + outline_after_the_answer(body), encoding="utf-8")
    pdf = report.with_suffix(".pdf")
    try:
        pdf.write_bytes(
            typst.compile(
                str(source),
                root=str(pictures),
                format="pdf",
                ignore_system_fonts=True,
                timestamp=PDF_DATE,
            )
        )
    finally:
        source.unlink()
    return pdf


def contents_after_the_answer(page: str) -> str:
    """A page of HTML whose table of contents stands behind its first two sections.

    These two are the answer and what follows from it, and nothing should stand before them. A page
    with fewer than three sections stays as it is.
    """
    contents = re.search(r"<nav id=\"TOC\".*?</nav>\n?", page, re.DOTALL)
    sections = list(re.finditer(r"<h1\b[^>]*\bid=", page))
    if contents is None or len(sections) <= SECTIONS_OF_THE_ANSWER:
        return page
    place = sections[SECTIONS_OF_THE_ANSWER].start()
    before = page[: contents.start()] + page[contents.end() : place]
    return before + contents[0] + page[place:]


def outline_after_the_answer(body: str) -> str:
    """Text for Typst with a table of contents behind its first two sections.

    It stands before the other text where there are fewer than three sections.
    """
    headings = list(re.finditer(r"^(?:= |#heading\(\s*level: 1\b)", body, re.MULTILINE))
    place = 0
    if len(headings) > SECTIONS_OF_THE_ANSWER:
        place = headings[SECTIONS_OF_THE_ANSWER].start()
    return f"{body[:place]}#block(breakable: false)[#outline(depth: 1)]\n{body[place:]}"


def fill_titles(
    program: Path,
    title: str,
    cover: str,
) -> str:
    """A program for pandoc or Typst with its words TITLE and COVER replaced by quoted texts."""
    quoted = {
        "TITLE": json.dumps(title, ensure_ascii=False),
        "COVER": json.dumps(cover, ensure_ascii=False),
    }
    text = program.read_text(encoding="utf-8")
    return re.sub("TITLE|COVER", lambda word: quoted[word[0]], text)


def split_title(report: Path) -> tuple[str, str]:
    """The report's title, which is its heading of level one, and its text without that heading.

    A report without such a heading is titled by the name of its file.
    """
    text = report.read_text(encoding="utf-8")
    heading = re.search(r"^# (.*)$\n?", text, re.MULTILINE)
    if heading is None:
        return report.stem, text
    title = re.sub(r"[*_`]", "", heading[1]).strip()
    return title, text[: heading.start()] + text[heading.end() :]
