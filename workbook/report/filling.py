"""Render report.md from report.md.j2: prose by hand, every number, table and comparison asked of the results.

The template is Jinja2 with StrictUndefined (https://jinja.palletsprojects.com); what it has beyond that:

    {{ "03.speed_up.file"|number(",.0f") }}            a number by its key (`results` says which there are), formatted
    {{ "100 * 05.auc.find.low - 95"|number(".1f") }}   or an expression of keys, with min, max, abs and log10
    {{ claim("05.auc.find.value > 05.auc.pdq.value") }}    behind a sentence that compares: marks it where it is not so
    {% for row in rows("05.accuracy") %}               rows of figures/05_accuracy.csv, for a Markdown table:
    | {{ row.hasher|label }} | {{ row["tpr_1e-4"]|number(".3f") }} |
    {% endfor %}                                       `rows("…")|sort(attribute="auc", reverse=true)`, `[:5]`, …
    {{ value("01.stamp.cpu") }}                        a text, or a value for {% if %} and {% set %}
    {{ "find+dhash256"|label }}, {{ const("55,972") }} a hasher's name in print; a number that is no result

In an expression "+" and "-" need spaces around them, since keys may hold both; a key with a space is put in quotes:
claim("'01.stages.box mean.share' > 0.6"). A format is Python's (`.1f`, `.0%`), or `~2` for significant digits (1,200,
0.0034), or `sci1` for a power of ten (3.2×10⁻⁶).

What is rendered has one sentence a line, so that a diff shows the sentences that changed. Words are counted without
code, the title, tables, figures, captions (**Figure N** or **Table N** begins them) and the section "References".
"""

import math
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from workbook.report.results import MISSING, ReportError, Results, Unmeasured, nearest, show
from workbook.report.style import label

MOST_WORDS = 3500
MOST_SUMMARY_WORDS = 150
SUMMARY = "Executive summary"
WIDTH = 120

# A key in an expression: in quotes, or bare; a quoted text without a point is a text.
KEY = re.compile(
    r"""(['"])((?:(?!\1).)+)\1|(?<![\w.])((?:[a-z]\w*\.)?(?:\d\d|[a-z]\w*)\.[a-z](?:[\w.+-]*\w)?)"""
)
OPERATION = re.compile(r""" [-+*/<>=!]|\b(?:and|or|not|in)\b|[(*'"]""")
CLAIM = "\0"
FAILURES = (jinja2.TemplateError, TypeError, ValueError, ArithmeticError)

FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n.*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
LITERAL = re.compile(r"""\{\{-?\s*["']?([\d.,%]+)["']?\s*[|}]""")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)[^)]*\)")
REFERENCES = re.compile(r"^## References\s*$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"^\*\*(?:Figure|Table) \d+.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
BROKEN = re.compile(r" ?\*\*\[no longer holds: [^\]]*\]\*\*")

# Numbers that a hand may type: they are not results.
TYPED = re.compile(
    r"""\b(?:19|20)\d\d\b                                            # years
    | \b\d+-bit\b | \b(?:64|256|512)\sbits\b | \b[adpw]Hash\s(?:64|256)\b  # lengths of the hashes
    | \b1e-[2-6]\b                                                  # the false-positive rates that are asked about
    | \b(16|32|64|250|512)\s?×\s?\1\b                                # sizes that the specification names
    | \b(?:[Pp]art|[Ff]igures?|[Tt]ables?|[Ss]ections?|[Nn]otebooks?|[Ss]teps?)\s\d+(?:(?:–|,\s|\sand\s)\d+)*
    | \[\d+(?:,\s?\d+)*\]                                            # citations
    | \bPython\s\d+(?:\.\d+)* | \b[A-Za-z]+-\d+\b                    # names
    | ^\s*\d+\.\s                                                    # items of a list
    """,
    re.VERBOSE | re.MULTILINE,
)


@dataclass(frozen=True)
class Filled:
    """The report's text, its length, and the claims that do not hold, as `name:line: expression (values)`."""

    text: str
    words: int
    broken: list[str]


def fill(
    template: str, results: Results, *, folder: Path | None = None, name: str = "report.md.j2"
) -> Filled:
    """Render the template.

    folder: where the figures' paths start; None to leave them unchecked. Raises ReportError, with `name:line: ...` for
    each unknown key, table or column, number typed by hand, missing figure, and for too many words.
    """
    page = _Page(results, name)
    page.problems += [
        f"{name}:{line}: {number} is typed by hand" for line, number in typed_numbers(template)
    ]
    for image in IMAGE.finditer(template):
        if folder is not None and "://" not in image[1] and not (folder / image[1]).is_file():
            page.problems.append(
                f"{name}:{_line(template, image.start())}: there is no figure {image[1]}"
            )
    text = page.render(template)
    words = count_words(text)
    if words > MOST_WORDS:
        page.problems.append(f"{name}: {words:,} words, and {MOST_WORDS:,} are the most")
    summary = re.search(rf"^## {SUMMARY}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if summary and (length := count_words(summary[1])) > MOST_SUMMARY_WORDS:
        page.problems.append(
            f"{name}: {length} words of summary, and {MOST_SUMMARY_WORDS} are the most"
        )
    page.problems += [f"{name}: {problem}" for problem in _captions(text)]
    if page.problems:
        raise ReportError("\n".join(page.problems))
    return Filled(text, words, page.broken)


class _Page:
    """One rendering: the functions that a template calls, and what they found wrong, each with its line."""

    def __init__(self, results: Results, name: str) -> None:
        self.results, self.name = results, name
        self.problems: list[str] = []
        self.broken: list[str] = []
        self.jinja = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=lambda value: MISSING if value is None else value,
        )
        functions = {
            "value": self._told(self.value),
            "claim": self._told(self.claim),
            "rows": self._told(results.rows),
        }
        self.jinja.globals |= functions | {
            "abs": abs,
            "min": min,
            "max": max,
            "log10": math.log10,
            "const": str,
        }
        self.jinja.filters |= {"number": self._told(self.number), "label": label}

    def render(self, template: str) -> str:
        """The text, or "" where a problem ended it."""
        try:
            return wrap(re.sub(rf"\s*{CLAIM}", "", self.jinja.from_string(template).render()))
        except jinja2.TemplateSyntaxError as error:
            self.problems.append(f"{self.name}:{error.lineno}: {error.message}")
        except FAILURES as error:
            places = [
                at.lineno
                for at in traceback.extract_tb(error.__traceback__)
                if at.filename == "<template>"
            ]
            self.problems.append(f"{self.name}:{places[-1] if places else '?'}: {error}")
        return ""

    def _told(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with what it refuses noted and the rendering going on, so that all problems are told at once."""

        def called(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            except ReportError as error:
                self.problems.append(f"{self._here()}: {error}")
                return ""

        return called

    def _here(self) -> str:
        """name:line of the template's expression that is being worked out."""
        frame = sys._getframe()
        while "__jinja_template__" not in frame.f_globals:
            assert frame.f_back is not None
            frame = frame.f_back
        return f"{self.name}:{frame.f_globals['__jinja_template__'].get_corresponding_lineno(frame.f_lineno)}"

    def evaluate(self, expression: str) -> Any:
        """The value of a key, or of a Jinja expression of keys; ReportError where it is neither."""
        if expression in self.results.numbers or not OPERATION.search(expression):
            return self.results[expression]
        values: dict[str, Any] = {}

        def placeholder(match: re.Match[str]) -> str:
            if match[2] and "." not in match[2]:
                return match[0]
            values[f"_{len(values)}"] = self.results[match[2] or match[3]]
            return f"_{len(values) - 1}"

        asked = KEY.sub(placeholder, expression)
        if not values:
            raise ReportError(f"{expression!r} asks for no result")
        try:
            return self.jinja.compile_expression(asked, undefined_to_none=False)(**values)
        except FAILURES as error:
            raise ReportError(f"{expression!r} cannot be worked out: {error}") from None

    def value(self, expression: str) -> Any:
        try:
            return self.evaluate(expression)
        except Unmeasured:
            return None

    def number(self, what: Any, form: str = "") -> str:
        if isinstance(what, jinja2.Undefined):
            row = what._undefined_obj
            near = nearest(str(what._undefined_name), row) if isinstance(row, dict) else ""
            raise ReportError(f"no {what._undefined_name!r} here{near}")
        return show(self.value(what) if isinstance(what, str) else what, form)

    def claim(self, expression: str) -> str:
        try:
            holds = self.evaluate(expression)
        except Unmeasured:
            holds = False
        if not isinstance(holds, bool):
            raise ReportError(f"claim {expression!r} is no comparison")
        if holds:
            return CLAIM
        values = KEY.sub(self._shown, expression)
        self.broken.append(f"{self._here()}: {expression} ({values})")
        return f"{CLAIM} **[no longer holds: {values}]**"

    def _shown(self, match: re.Match[str]) -> str:
        value = self.results.numbers.get(match[2] or match[3])
        text = match[2] and "." not in match[2]
        return match[0] if text else show(value, "~5" if isinstance(value, float) else "")


def wrap(text: str) -> str:
    """Markdown with one sentence a line, at most WIDTH wide; headings, tables, figures and code as they are."""
    done: list[str] = []
    prose: list[str] = []  # what stands before the paragraph's first word, then its lines

    def flush() -> None:
        if prose:
            text = re.sub(r"([.?!][)”]*) +(?=[*_(“\[`]*[A-Z])", r"\1\n", " ".join(prose[1:]))
            text = re.sub(
                r" (?=(?:[-+*#>]|\d+[.)])(?: |$))", "\1", text
            )  # what would begin a list or a heading
            width, indent = WIDTH - len(prose[0]), " " * len(prose[0])
            lines = [
                line
                for sentence in text.splitlines()
                for line in textwrap.wrap(
                    sentence, width, break_long_words=False, break_on_hyphens=False
                )
            ]
            done.append(prose[0] + f"\n{indent}".join(lines).replace("\1", " "))
            prose.clear()

    fenced = False
    for line in text.split("\n"):
        fence = line.startswith(("```", "~~~"))
        found = re.match(r"(?![|#>!<]|\s*$)( *(?:(?:[-*+]|\d+[.)]) +)?)(\S.*)", line)
        if fenced or fence or not found:
            flush()
            done.append(line)
        else:
            if not prose or found[1].strip():
                flush()
                prose.append(found[1])
            prose.append(found[2].rstrip())
        fenced ^= fence
    flush()
    return "\n".join(done)


def count_words(text: str) -> int:
    """Words of rendered text, as the module counts them; a word has a letter or a digit."""
    text = re.sub(r"^# .*$", "", FENCE.sub("", text), count=1, flags=re.MULTILINE)
    text = BROKEN.sub("", REFERENCES.sub("", CAPTION.sub("", text)))
    text = re.sub(r"^\s*\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", IMAGE.sub("", text))
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def typed_numbers(template: str) -> Iterator[tuple[int, str]]:
    """Numbers typed by hand in a template, as (line, number): all that is no kind of `TYPED` and not within `const`.

    Headings, also those of tables, code, links' addresses and the references are exempt.
    """
    for match in LITERAL.finditer(template):
        yield _line(template, match.start()), match[1]
    for pattern in (
        JINJA,
        FENCE,
        CODE,
        REFERENCES,
        re.compile(r"\]\([^)]*\)|https?://\S+"),
        TYPED,
        re.compile(r"^#+ .*$|^\|.*$(?=\n\|[ :|-]+$)", re.MULTILINE),
    ):
        template = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), template)
    for match in re.finditer(r"(?<![\w.])\d[\d,.]*", template):
        yield _line(template, match.start()), match[0].rstrip(",.")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _captions(text: str) -> Iterator[str]:
    """Figures without a caption under them, and captions out of order."""
    text = FENCE.sub("", text)
    for kind in ("Figure", "Table"):
        found = [int(number) for number in re.findall(rf"^\*\*{kind} (\d+)", text, re.MULTILINE)]
        if found != list(range(1, len(found) + 1)):
            yield f"captions of {kind.lower()}s are numbered {found}"
    for image in re.finditer(r"^(!\[[^\n]*\))[ ]*$\s*([^\n]*)", text, re.MULTILINE):
        if not image[2].startswith("**Figure "):
            yield f"no caption **Figure N.** under {image[1]}"


def unfit(results: Results) -> list[str]:
    """Why results should not be published as they are, a line each: what claims and numbers do not show.

    The notebooks must have run on one machine from committed code, and the figures' folder must hold exactly the files
    that were recorded.
    """
    figures, problems = results.figures, []
    stamps = {
        name: section["stamp"] for name, section in results.sections.items() if name.isdigit()
    }
    if len(machines := {stamp["cpu"] for stamp in stamps.values()}) > 1:
        problems.append(f"{figures.name}: from several machines: {', '.join(sorted(machines))}")
    problems += [
        f"{figures.name}/{notebook}.json: ran from code that was not committed"
        for notebook, stamp in stamps.items()
        if stamp["commit"].endswith("+")
    ]
    there = {path.name for path in figures.iterdir() if path.is_file() and path.suffix != ".json"}
    problems += [
        f"{figures.name}/{name}: no notebook recorded it" for name in sorted(there - results.files)
    ]
    problems += [
        f"{figures.name}/{name}: recorded but not there" for name in sorted(results.files - there)
    ]
    return problems
