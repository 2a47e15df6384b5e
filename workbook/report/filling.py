"""Render report.md from report.md.j2, whose prose is written by hand.

Every number, table and comparison in the prose is looked up in the results.

The template is Jinja2 with StrictUndefined (https://jinja.palletsprojects.com). In addition it has:

    {{ "03.speed_up.file"|number(",.0f") }}
        a number by its key (`results` lists the kinds), formatted
    {{ "100 * 05.auc.find.low - 95"|number(".1f") }}
        an expression of keys, with min, max, abs and log10
    {{ claim("05.auc.find.value > 05.auc.pdq.value") }}
        stands after a sentence that compares, and marks it if the comparison is false
    {% for row in rows("05.accuracy") %}
    | {{ row.hasher|label }} | {{ row["tpr_1e-4"]|number(".3f") }} |
    {% endfor %}
        the rows of figures/05_accuracy.csv, for a Markdown table; they can be sorted or cut:
        `rows("…")|sort(attribute="auc", reverse=true)`, `[:5]`
    {{ value("01.stamp.cpu") }}
        a text, or a value for {% if %} and {% set %}
    {{ "find+dhash256"|label }}
        the printed name of a hasher
    {{ const("55,972") }}
        a number that is not a result

In an expression, "+" and "-" need spaces around them, because keys may contain both. A key with a
space in it is quoted: claim("'01.stages.box mean.share' > 0.6"). A format is one of Python's
(`.1f`, `.0%`), or `~2` for significant digits (1,200, 0.0034), or `sci1` for a power of ten
(3.2×10⁻⁶).

The rendered text has one sentence a line, so that a diff shows which sentences changed. Words are
counted from the title to the end, with headings, lists and captions; code, tables, figures and the
section "References" are left out.
"""

import math
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from workbook.report.results import (
    MISSING,
    ReportError,
    Results,
    Unmeasured,
    format_value,
    suggest,
)
from workbook.report.style import label

MOST_WORDS = 3500
MOST_SUMMARY_WORDS = 190
SUMMARY = "Executive summary"
WIDTH = 120
"""The longest line of the rendered text."""

# Expressions of keys -------------------------------------------------------------------------

QUOTED_TEXT = r"""(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).)+)(?P=quote)"""
BARE_KEY = r"(?<![\w.])(?P<bare>(?:[a-z]\w*\.)?(?:\d\d|[a-z]\w*)\.[a-z](?:[\w.+-]*\w)?)"
KEY = re.compile(f"{QUOTED_TEXT}|{BARE_KEY}")
"""A key in an expression, bare or in quotes. A quoted text without a point is an ordinary text."""

OPERATION = re.compile(r""" [-+*/<>=!]|\b(?:and|or|not|in)\b|[(*'"]""")
"""What an expression contains and a plain key does not."""

TRUE_CLAIM = "\0"
"""What a claim that holds leaves in the text; it is removed with the white space before it."""

RENDERING_ERRORS = (jinja2.TemplateError, TypeError, ValueError, ArithmeticError)

# Markdown and Jinja --------------------------------------------------------------------------

FENCED_CODE = re.compile(r"^(```+|~~~+)[^\n]*\n.*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
JINJA_NUMBER = re.compile(r"""\{\{-?\s*["']?([\d.,%]+)["']?\s*[|}]""")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)[^)]*\)")
IMAGE_PARAGRAPH = re.compile(r"^(!\[[^\n]*\))[ ]*$\s*([^\n]*)", re.MULTILINE)
ADDRESS = re.compile(r"\]\([^)]*\)|https?://\S+")
HEADING = re.compile(r"^#+ .*$|^\|.*$(?=\n\|[ :|-]+$)", re.MULTILINE)
"""The headings of sections and of tables."""

TABLE_ROW = re.compile(r"^\s*\|.*$", re.MULTILINE)
REFERENCES = re.compile(r"^## References\s*$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SUMMARY_SECTION = re.compile(rf"^## {SUMMARY}\s*$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"^\*\*(?:Figure|Table) \d+.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
CALCULATED = ("costs",)
"""Sections that only calculate from the others' tables, so that later code may make them again."""

BROKEN_CLAIM = re.compile(r" ?\*\*\[no longer holds: [^\]]*\]\*\*")
NUMBER = re.compile(r"(?<![\w.])\d[\d,.]*")

ALLOWED_NUMBER = re.compile(
    r"""\b(?:19|20)\d\d\b                                            # years
    | \b\d+-bit\b | \b(?:64|256|512)\sbits\b | \b[adpw]Hash\s(?:64|256)\b  # lengths of hashes
    | \b1e-[2-6]\b                                                  # false-positive rates
    | \b(16|32|64|250|512)\s?×\s?\1\b                                # sizes in the specification
    | \b(?:[Pp]art|[Ff]igures?|[Tt]ables?|[Ss]ections?|[Nn]otebooks?|[Ss]teps?)
      \s\d+(?:(?:–|,\s|\sand\s)\d+)*                                # places in the report
    | \[\d+(?:,\s?\d+)*\]                                            # citations
    | \bPython\s\d+(?:\.\d+)* | \b[A-Za-z]+-\d+\b                    # names
    | ^\s*\d+\.\s                                                    # items of a list
    """,
    re.VERBOSE | re.MULTILINE,
)
"""Numbers that may be typed by hand, because they are not results."""

WITHOUT_RESULTS = (
    JINJA,
    FENCED_CODE,
    INLINE_CODE,
    REFERENCES,
    ADDRESS,
    ALLOWED_NUMBER,
    HEADING,
)
"""The parts of a template, in the order of their removal, in which numbers may be typed."""

# Wrapping ------------------------------------------------------------------------------------

FENCES = ("```", "~~~")
PROSE_LINE = re.compile(r"(?![|#>!<]|\s*$)( *(?:(?:[-*+]|\d+[.)]) +)?)(\S.*)")
"""A line of a paragraph or of an item of a list: its indent with the item's mark, and its text."""

SENTENCE_END = re.compile(r"([.?!][)”]*) +(?=[*_(“\[`]*[A-Z])")
MARK_OF_LIST_OR_HEADING = re.compile(r" (?=(?:[-+*#>]|\d+[.)])(?: |$))")
UNBREAKABLE = "\1"
"""Stands for a space at which a line must not be broken."""


@dataclass(frozen=True)
class FilledReport:
    """A rendered report.

    text: in Markdown. words: its length. broken_claims: the claims that do not hold, each as
    `name:line: expression (values)`.
    """

    text: str
    words: int
    broken_claims: list[str]


def fill(
    template: str,
    results: Results,
    *,
    folder: Path | None = None,
    name: str = "report.md.j2",
) -> FilledReport:
    """Render the report's template.

    folder: where the paths of figures start; None to leave them unchecked. name: of the template,
    for messages. Raises ReportError with a line `name:line: ...` for every unknown key, table or
    column, every number typed by hand, and every missing figure.
    """
    page = Page(results, name)
    for line, number in typed_numbers(template):
        page.problems.append(
            f"{name}:{line}: {number} is typed by hand: quote a result, or put it in const(...)"
        )
    if folder is not None:
        for line, path in missing_figures(template, folder):
            page.problems.append(f"{name}:{line}: there is no figure {path}")
    text = page.render(template)
    page.problems += [f"{name}: {problem}" for problem in caption_problems(text)]
    if page.problems:
        raise ReportError("\n".join(page.problems))
    return FilledReport(text, count_words(text), page.broken_claims)


class Page:
    """One rendering of the template: the functions that it calls, and what they found wrong.

    problems: what makes the report impossible, as `name:line: message`. broken_claims: the claims
    that do not hold.
    """

    def __init__(self, results: Results, name: str) -> None:
        self.results = results
        self.name = name
        self.problems: list[str] = []
        self.broken_claims: list[str] = []
        self.jinja = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=missing_if_none,
        )
        self.jinja.globals |= {
            "value": self._noting_problems(self.value),
            "claim": self._noting_problems(self.claim),
            "rows": self._noting_problems(results.rows),
            "abs": abs,
            "min": min,
            "max": max,
            "log10": math.log10,
            "const": str,
            "own_data": results.is_of_own_data,
        }
        self.jinja.filters |= {"number": self._noting_problems(self.number), "label": label}

    def render(self, template: str) -> str:
        """The text with one sentence a line, or "" if a problem ended the rendering."""
        try:
            text = self.jinja.from_string(template).render()
        except jinja2.TemplateSyntaxError as error:
            self.problems.append(f"{self.name}:{error.lineno}: {error.message}")
            return ""
        except RENDERING_ERRORS as error:
            self.problems.append(f"{self.name}:{template_line(error)}: {error}")
            return ""
        return wrap(re.sub(rf"\s*{TRUE_CLAIM}", "", text))

    def _noting_problems(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that a ReportError becomes one of the problems.

        A rendering then finds all of them.
        """

        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except ReportError as error:
                self.problems.append(f"{self._place()}: {error}")
                return ""

        return call

    def _place(self) -> str:
        """Where in the template the expression stands that is being evaluated, as `name:line`."""
        frame = sys._getframe()
        while "__jinja_template__" not in frame.f_globals:
            assert frame.f_back is not None
            frame = frame.f_back
        template = frame.f_globals["__jinja_template__"]
        return f"{self.name}:{template.get_corresponding_lineno(frame.f_lineno)}"

    def evaluate(self, expression: str) -> Any:
        """The value of a key or of a Jinja expression of keys.

        Raises ReportError for anything else.
        """
        is_key = expression in self.results.numbers or not OPERATION.search(expression)
        if is_key:
            return self.results[expression]
        values: dict[str, Any] = {}

        def replace_key(match: re.Match[str]) -> str:
            if is_text(match):
                return match[0]
            variable = f"_{len(values)}"
            values[variable] = self.results[key_of(match)]
            return variable

        code = KEY.sub(replace_key, expression)
        if not values:
            raise ReportError(f"{expression!r} names no result")
        try:
            return self.jinja.compile_expression(code, undefined_to_none=False)(**values)
        except RENDERING_ERRORS as error:
            raise ReportError(f"{expression!r} cannot be evaluated: {error}") from None

    def value(self, expression: str) -> Any:
        """The value of an expression, or None if it could not be measured."""
        try:
            return self.evaluate(expression)
        except Unmeasured:
            return None

    def number(self, what: Any, form: str = "") -> str:
        """A number as text; `what` is an expression of keys, or a value such as a cell of a row."""
        if isinstance(what, jinja2.Undefined):
            raise missing_column(what)
        value = self.value(what) if isinstance(what, str) else what
        return format_value(value, form)

    def claim(self, expression: str) -> str:
        """What a comparison leaves in the text.

        Nothing is seen of a claim that holds; otherwise there is a mark with the values.
        """
        try:
            holds = self.evaluate(expression)
        except Unmeasured:
            holds = False
        if not isinstance(holds, bool):
            raise ReportError(f"claim {expression!r} is not a comparison")
        if holds:
            return TRUE_CLAIM
        with_values = KEY.sub(self._text_of_key, expression)
        self.broken_claims.append(f"{self._place()}: {expression} ({with_values})")
        return f"{TRUE_CLAIM} **[no longer holds: {with_values}]**"

    def _text_of_key(self, match: re.Match[str]) -> str:
        """The value of a key in an expression, as text."""
        if is_text(match):
            return match[0]
        value = self.results.numbers.get(key_of(match))
        return format_value(value, "~5" if isinstance(value, float) else "")


def missing_if_none(value: Any) -> Any:
    """What Jinja prints for a value: `MISSING` for None."""
    return MISSING if value is None else value


def key_of(match: re.Match[str]) -> str:
    """The key that `KEY` matched, without quotes."""
    return match["quoted"] or match["bare"]


def is_text(match: re.Match[str]) -> bool:
    """Whether `KEY` matched an ordinary text in quotes instead of a key."""
    quoted = match["quoted"]
    return quoted is not None and "." not in quoted


def missing_column(undefined: jinja2.Undefined) -> ReportError:
    """The error for a name that does not exist in the template, such as a column of a row."""
    name = undefined._undefined_name
    row = undefined._undefined_obj
    similar = suggest(str(name), row) if isinstance(row, dict) else ""
    return ReportError(f"there is no {name!r} here{similar}")


def template_line(error: Exception) -> int | str:
    """The line of the template at which an error arose; "?" if none is known."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == "<template>"
    ]
    return lines[-1] if lines and lines[-1] is not None else "?"


# One sentence a line -------------------------------------------------------------------------


def wrap(text: str) -> str:
    """Markdown with one sentence a line and no line over `WIDTH`.

    Headings, tables, figures and code stay as they are.
    """
    wrapped: list[str] = []
    prefix = ""
    paragraph: list[str] = []
    is_in_code = False
    for line in text.split("\n"):
        is_fence = line.startswith(FENCES)
        prose = None if is_in_code or is_fence else PROSE_LINE.match(line)
        begins_paragraph = prose is None or not paragraph or prose[1].strip() != ""
        if begins_paragraph and paragraph:
            wrapped.append(wrap_paragraph(prefix, paragraph))
            paragraph = []
        if prose is None:
            wrapped.append(line)
        else:
            if begins_paragraph:
                prefix = prose[1]
            paragraph.append(prose[2].rstrip())
        if is_fence:
            is_in_code = not is_in_code
    if paragraph:
        wrapped.append(wrap_paragraph(prefix, paragraph))
    return "\n".join(wrapped)


def wrap_paragraph(prefix: str, lines: list[str]) -> str:
    """A paragraph with one sentence a line.

    prefix: its indent, with the mark of a list's item.
    """
    text = SENTENCE_END.sub(r"\1\n", " ".join(lines))
    # A line must not begin with what would start a list or a heading.
    text = MARK_OF_LIST_OR_HEADING.sub(UNBREAKABLE, text)
    width = WIDTH - len(prefix)
    wrapped: list[str] = []
    for sentence in text.splitlines():
        wrapped += textwrap.wrap(
            sentence,
            width,
            break_long_words=False,
            break_on_hyphens=False,
        )
    indent = " " * len(prefix)
    return prefix + f"\n{indent}".join(wrapped).replace(UNBREAKABLE, " ")


# Checks --------------------------------------------------------------------------------------


def count_words(text: str) -> int:
    """Count the words of rendered text, as the module's docstring says.

    A word has a letter or a digit.
    """
    text = FENCED_CODE.sub("", text)
    for pattern in (REFERENCES, BROKEN_CLAIM, TABLE_ROW, IMAGE):
        text = pattern.sub("", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return sum(1 for word in text.split() if re.search(r"\w", word))


def length_problems(text: str) -> Iterator[str]:
    """What is too long in a rendered text for it to be published: the whole, or its summary.

    Other results may bring sentences that the published report does not have, so that a run on
    another machine is not refused for its length.
    """
    words = count_words(text)
    if words > MOST_WORDS:
        yield f"the report has {words:,} words; at most {MOST_WORDS:,} are allowed"
    summary = SUMMARY_SECTION.search(text)
    if summary is not None:
        words = count_words(summary[1])
        if words > MOST_SUMMARY_WORDS:
            yield f"the summary has {words} words; at most {MOST_SUMMARY_WORDS} are allowed"


def caption_problems(text: str) -> Iterator[str]:
    """Captions that are out of order, and figures without one."""
    text = FENCED_CODE.sub("", text)
    for kind in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"^\*\*{kind} (\d+)", text, re.MULTILINE)]
        expected = list(range(1, len(numbers) + 1))
        if numbers != expected:
            yield f"the captions of {kind.lower()}s are numbered {numbers} instead of {expected}"
    for image in IMAGE_PARAGRAPH.finditer(text):
        if not image[2].startswith("**Figure "):
            yield f"there is no caption **Figure N.** under {image[1]}"


def missing_figures(template: str, folder: Path) -> Iterator[tuple[int, str]]:
    """The figures of a template that do not exist in a folder, as (line, path)."""
    for image in IMAGE.finditer(template):
        path = image[1]
        is_on_the_web = "://" in path
        if not is_on_the_web and not (folder / path).is_file():
            yield line_of(template, image.start()), path


def typed_numbers(template: str) -> Iterator[tuple[int, str]]:
    """Find the numbers that are typed by hand in a template, as (line, number).

    Numbers that `ALLOWED_NUMBER` matches or that stand in `const` are not reported. Neither are
    those in headings, including those of tables, in code, in links' addresses and in the
    references.
    """
    for match in JINJA_NUMBER.finditer(template):
        yield line_of(template, match.start()), match[1]
    text = template
    for pattern in WITHOUT_RESULTS:
        text = pattern.sub(blank, text)
    for match in NUMBER.finditer(text):
        yield line_of(text, match.start()), match[0].rstrip(",.")


def blank(match: re.Match[str]) -> str:
    """Spaces in place of a text, so that everything after it stays where it is."""
    return re.sub(r"[^\n]", " ", match[0])


def line_of(text: str, position: int) -> int:
    """The line of a position in a text, counted from 1."""
    return text.count("\n", 0, position) + 1


def reasons_not_to_publish(results: Results) -> list[str]:
    """Say why results should not be published, a line for each reason.

    Everything must have run on one machine and from one commit, and the folder of figures must
    contain exactly the files that were recorded.
    """
    folder = results.figures.name
    reasons = []
    by_machine = sections_by(results, "cpu")
    if len(by_machine) > 1:
        reasons.append(f"{folder}: the results are from several machines: {listed(by_machine)}")
    by_commit = sections_by(results, "commit", without=CALCULATED)
    if len(by_commit) > 1:
        reasons.append(f"{folder}: the results are from several commits: {listed(by_commit)}")
    for commit, sections in by_commit.items():
        if commit.endswith("+"):
            names = ", ".join(sections)
            reasons.append(f"{folder}: these ran from uncommitted code: {names}")
    existing = {
        path.name for path in results.figures.iterdir() if path.is_file() and path.suffix != ".json"
    }
    for name in sorted(existing - results.files):
        reasons.append(f"{folder}/{name}: no notebook recorded this file")
    for name in sorted(results.files - existing):
        reasons.append(f"{folder}/{name}: recorded, but the file does not exist")
    return reasons


def sections_by(results: Results, key: str, without: Collection[str] = ()) -> dict[str, list[str]]:
    """The names of the sections by what their stamps have under a key, both in order."""
    found: dict[str, list[str]] = {}
    for name, stamp in sorted(results.stamps.items()):
        if name not in without:
            found.setdefault(stamp[key], []).append(name)
    return dict(sorted(found.items()))


def listed(sections: dict[str, list[str]]) -> str:
    """What `sections_by` returns as text: "AMD EPYC (01, 02); Intel Xeon (scale)"."""
    parts = [f"{value or 'unknown'} ({', '.join(names)})" for value, names in sections.items()]
    return "; ".join(parts)
