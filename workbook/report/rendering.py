"""report.md as HTML in one file and as PDF, by pandoc and Typst, both from PyPI: no LaTeX, no fonts of the machine.

Both have numbered sections, contents, and under the title a line that says when, on what and with what was measured.
"""

import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from workbook.report.results import Results

PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)
"""A fixed date in the PDF's metadata: the same report gives the same bytes."""

FORMAT = "gfm-autolink_bare_uris"

# An image and the paragraph **Figure N.** after it become a figure with its caption, and so does a paragraph
# **Table N.** with the table after it. Title and cover are given here, because pandoc reads its command line in the
# locale's encoding. Sections are numbered, but for the summary and the references.
FILTER = r"""
local function caption(block, word)
  return block ~= nil and block.t == "Para" and block.content[1].t == "Strong"
    and pandoc.utils.stringify(block.content[1]):match("^" .. word .. " %d+") ~= nil
end
local function plain(header)
  local text = pandoc.utils.stringify(header)
  if text == "Executive summary" or text == "References" then header.classes:insert("unnumbered") end
  return header
end
local function captions(blocks)
  local out, i = pandoc.List(), 1
  while i <= #blocks do
    local block, after = blocks[i], blocks[i + 1]
    if block.t == "Para" and #block.content == 1 and block.content[1].t == "Image" and caption(after, "Figure") then
      out:insert(pandoc.Figure({pandoc.Plain(block.content)}, {long = {pandoc.Plain(after.content)}}))
      i = i + 2
    elseif caption(block, "Table") and after ~= nil and after.t == "Table" then
      after.caption = {long = {pandoc.Plain(block.content)}}
      out:insert(after)
      i = i + 2
    else
      out:insert(block)
      i = i + 1
    end
  end
  return out
end
local function named(meta)
  meta.title, meta.subtitle, meta.lang = pandoc.Str(TITLE), pandoc.Str(COVER), "en-GB"
  return meta
end
return {{Header = plain, Blocks = captions, Meta = named}}
"""

PREAMBLE = """
#let horizontalrule = line(start: (25%, 0%), end: (75%, 0%))
#set document(title: TITLE, date: auto)
#set page(paper: "a4", margin: (x: 1.8cm, top: 2cm, bottom: 2.2cm), numbering: "1")
#set text(font: "Libertinus Serif", size: 10.5pt, lang: "en", region: "GB")
#set par(justify: true, leading: 0.62em, spacing: 1em)
#set heading(numbering: "1.1")
#show heading: set block(above: 1.5em, below: 0.75em, sticky: true)
#show heading: set text(hyphenate: false)
#show link: set text(fill: rgb("#0b4f7d"))
#show raw: set text(font: "DejaVu Sans Mono", size: 0.92em)
#set table(stroke: none, inset: (x: 5pt, y: 3.2pt))
#set table.hline(stroke: 0.6pt)
#show table: set text(size: 9pt)
#show table: set par(justify: false)
#show table.cell.where(y: 0): set text(weight: "bold")
#set figure(numbering: none, gap: 0.7em, placement: auto)
#show figure: set block(breakable: false, above: 1.5em, below: 1.5em)
#show figure.where(kind: table): set figure.caption(position: top)
#show figure.caption: it => block(width: 100%, align(left, text(size: 9pt, it.body)))
#align(center, block(above: 0.5em, below: 0.8em, text(size: 17pt, weight: "bold", hyphenate: false, TITLE)))
#align(center, block(below: 1.6em, text(size: 9pt, fill: rgb("#5f6b76"), COVER)))
#outline(depth: 2)
"""

STYLE = """<style>
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 Georgia, "Times New Roman", serif; }
h1, h2, h3, nav, table { font-family: system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; margin-top: 2em; } h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; }
h3 { font-size: 1.05rem; } h1.title { font-size: 1.9rem; }
img { max-width: 100%; height: auto; }
figure { margin: 1.8em 0; } figcaption, caption { font-size: 0.9rem; text-align: left; margin: 0.5em 0; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 1.5em 0; display: block; overflow-x: auto; }
th, td { padding: 0.25em 0.7em; border-bottom: 1px solid #ddd; } th { border-bottom: 2px solid #444; }
code { font-size: 0.88em; overflow-wrap: anywhere; } a { color: #0b4f7d; }
.subtitle { color: #5f6b76; font-size: 0.85rem; } .header-section-number { color: #5f6b76; margin-right: 0.4em; }
@media print { body { max-width: none; margin: 0; } figure, table { break-inside: avoid; } table { display: table; } }
</style>
"""


def cover(results: Results) -> str:
    """When, with which version and on what the notebooks ran, from their stamps."""
    stamps = [section["stamp"] for name, section in results.sections.items() if name.isdigit()]
    machines = {
        "{cpu}, {cores} cores, {memory_gib} GiB memory, {system}, Python {python}".format(
            **stamp
        ): stamp
        for stamp in stamps
    }
    libraries = dict(stamps[-1]["versions"])
    version = libraries.pop("finlib", "")
    parts = [max(stamp["date"] for stamp in stamps), f"finlib {version}".strip(), *machines]
    return " · ".join(
        [*parts, ", ".join(f"{name} {number}" for name, number in sorted(libraries.items()))]
    )


def render(report: Path, cover: str) -> list[Path]:
    """Write report.html (nothing outside the file) and report.pdf beside report.md; returns both paths.

    cover: the line under the title. Pictures are looked for beside the report. RuntimeError where pandoc or Typst
    refuse it.
    """
    import pypandoc
    import typst

    title, text = _split(report)
    page, printed = report.with_suffix(".html"), report.with_suffix(".pdf")
    names = {
        "TITLE": json.dumps(title, ensure_ascii=False),
        "COVER": json.dumps(cover, ensure_ascii=False),
    }

    def named(text: str) -> str:
        return re.sub("TITLE|COVER", lambda match: names[match[0]], text)

    source = report.with_name(
        f".{report.stem}.typ"
    )  # beside the report: Typst takes pictures from there only
    with tempfile.TemporaryDirectory() as folder:
        style, lua = Path(folder, "style.html"), Path(folder, "captions.lua")
        style.write_text(STYLE, encoding="utf-8")
        lua.write_text(named(FILTER), encoding="utf-8")
        options = [f"--lua-filter={lua}", "--shift-heading-level-by=-1"]
        body = pypandoc.convert_text(text, "typst", FORMAT, [*options, "--columns=10000"])
        options += [
            "--standalone",
            "--embed-resources",
            "--mathml",
            "--number-sections",
            "--toc",
            "--toc-depth=2",
        ]
        options += [f"--resource-path={report.parent}", f"--include-in-header={style}"]
        page.write_text(pypandoc.convert_text(text, "html5", FORMAT, options), encoding="utf-8")
    source.write_text(named(PREAMBLE) + body, encoding="utf-8")
    try:
        printed.write_bytes(
            typst.compile(str(source), format="pdf", ignore_system_fonts=True, timestamp=PUBLISHED)
        )
    finally:
        source.unlink()
    return [page, printed]


def _split(report: Path) -> tuple[str, str]:
    """The title, which is the heading of level one, and the text without it."""
    text = report.read_text(encoding="utf-8")
    heading = re.search(r"^# (.*)$\n?", text, re.MULTILINE)
    if heading is None:
        return report.stem, text
    return re.sub(r"[*_`]", "", heading[1]).strip(), text[: heading.start()] + text[heading.end() :]
