"""Fill report.md from results: numbers, texts, tables and claims that stay with what the notebooks measured.

Four kinds of comment, none of which shows when the report is read; keys, expressions and formats are `results`'s:

    61.3<!--=02.speedup:.1f-->            the number directly before the comment is replaced
    <!--text 01.stamp.cpu-->Xeon<!--/-->  what stands between is replaced
    <!--table 05_accuracy ...-->...<!--/-->   on lines of their own; options in `results.markdown_table`
    <!--claim 05.find.auc > 05.ahash256.auc-->   after the sentence that says so

The number before a marker is what of digits, commas, a point, a sign, an exponent, a power of ten and "%" directly
precedes it (or "?", for one not filled yet), and must stand free: after a letter, digit or point it is refused, as is a
comment at the start of a line (but for tables), where Markdown would take the rest of the line for HTML. A claim that
does not hold gets a visible mark behind it, which goes when the claim holds again. Code is left alone.

Words are counted in what is left without comments, code blocks, the title, tables, figures and their captions (a
paragraph that begins with **Figure N** or **Table N**) and the section "References"; a word has a letter or a digit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finlib.report.results import ReportError, Results, Unmeasured, markdown_table, show

MOST_WORDS = 3500
MOST_SUMMARY_WORDS = 150
SUMMARY = "Executive summary"

NUMBER = r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+−-]?\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?%?"
BEFORE = re.compile(rf"(?<![\w.,])(?:{NUMBER}|\?|–)\Z")
COMMENT = re.compile(r"<!--(=|text\s|table\s|claim\s)(.*?)-->", re.DOTALL)
UNKNOWN = re.compile(r"<!--(?!=|text\s|table\s|claim\s|const-->|/-->|\s)[^\n]{,20}")
END = "<!--/-->"
NO_LONGER = re.compile(r" ?\*\*\[no longer holds: [^\]]*\]\*\*")
FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n.*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)[^)]*\)")
REFERENCES = re.compile(r"^## References\s*$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"^\*\*(?:Figure|Table) \d+.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)

# Numbers that a hand may type: they are not results.
TYPED = re.compile(
    r"""\b(?:19|20)\d\d\b                                            # years
    | \b\d+-bit\b | \b(?:64|256)\ bits\b | \b[adpw]Hash\ (?:64|256)\b  # lengths of the hashes
    | \b1e-[2-6]\b                                                  # the false-positive rates that are asked about
    | \b(16|32|64|250|512)\ ?×\ ?\1\b                                # sizes that the specification names
    | \b(?:[Pp]art|[Ff]igures?|[Tt]ables?|[Ss]ections?|[Nn]otebooks?|[Ss]teps?)\ \d+(?:(?:–|,\ |\ and\ )\d+)*
    | \[\d+(?:,\ ?\d+)*\]                                            # citations
    | \bPython\ \d+(?:\.\d+)* | \b[A-Za-z]+-\d+\b                    # names
    | ^\s*\d+\.\s                                                    # items of a list
    | (?:[\d,.]*\d)(?:\ (?:thousand|million|billion))?%?<!--const--> # said to be no result
    """,
    re.VERBOSE | re.MULTILINE,
)


@dataclass(frozen=True)
class Filled:
    """The filled text, what was counted in it, and the claims that do not hold, as `name:line: expression (values)`."""

    text: str
    numbers: int
    claims: int
    tables: int
    figures: int
    words: int
    broken: list[str]


def _hide(pattern: re.Pattern[str], text: str) -> str:
    """The text with what matches made blank, lines and lengths kept."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def fill(text: str, results: Results, *, folder: Path | None = None, name: str = "report.md") -> Filled:
    """Replace what the markers ask for, mark the claims that do not hold, count words.

    folder: where the figures' paths start; None to leave them unchecked. Raises ReportError, with `name:line: ...` for
    each unknown key, table or option, misplaced comment and missing figure, and for too many words.
    """
    seen = _hide(CODE, _hide(FENCE, text))
    problems: list[str] = []
    broken: list[str] = []
    edits: list[tuple[int, int, str]] = []
    counts = dict.fromkeys(("=", "text", "table", "claim"), 0)
    for comment in COMMENT.finditer(seen):
        kind, place = comment[1].strip(), f"{name}:{seen.count(chr(10), 0, comment.start()) + 1}"
        counts[kind] += 1
        try:
            edits.append(_edit(kind, comment, seen, results))
        except ReportError as error:
            problems.append(f"{place}: {error}")
            continue
        if kind == "claim" and edits[-1][2]:
            broken.append(f"{place}: {comment[2].strip()} ({results.with_values(comment[2].strip())})")
    for stray in UNKNOWN.finditer(seen):
        line = seen.count("\n", 0, stray.start()) + 1
        problems.append(f"{name}:{line}: {stray[0]} is no marker; a plain comment begins with a space")
    if strays := seen.count(END) - counts["text"] - counts["table"]:
        problems.append(f"{name}: {strays:+d} of {END} than there are texts and tables to close")
    for image in IMAGE.finditer(seen):
        if folder is not None and "://" not in image[1] and not (folder / image[1]).is_file():
            line = seen.count("\n", 0, image.start()) + 1
            problems.append(f"{name}:{line}: there is no figure {image[1]}")
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    words = count_words(text)
    if words > MOST_WORDS:
        problems.append(f"{name}: {words:,} words, and {MOST_WORDS:,} are the most")
    summary = re.search(rf"^## {SUMMARY}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if summary and (length := count_words(summary[1])) > MOST_SUMMARY_WORDS:
        line = text.count("\n", 0, summary.start()) + 1
        problems.append(f"{name}:{line}: {length} words of summary, and {MOST_SUMMARY_WORDS} are the most")
    if problems:
        raise ReportError("\n".join(problems))
    figures = len(IMAGE.findall(seen))
    return Filled(text, counts["="] + counts["text"], counts["claim"], counts["table"], figures, words, broken)


def _edit(kind: str, comment: re.Match[str], seen: str, results: Results) -> tuple[int, int, str]:
    """What a comment asks for, as (start, end, new text)."""
    asked, start, end = comment[2].strip(), comment.start(), comment.end()
    line = seen[seen.rfind("\n", 0, start) + 1 : start]
    if kind == "table":
        if line.strip() or not seen.startswith("\n", end):
            raise ReportError("a table's comment stands on lines of its own")
        return end, _closing(seen, end), f"\n\n{markdown_table(results, asked)}\n\n"
    if not line.strip():
        raise ReportError("a comment cannot begin a line: put it directly behind a word of the line before")
    if kind == "claim":
        try:
            holds = results.evaluate(asked)
        except Unmeasured:
            holds = False
        if not isinstance(holds, bool):
            raise ReportError(f"claim {asked!r} is no comparison")
        mark = NO_LONGER.match(seen, end)
        return (
            end,
            mark.end() if mark else end,
            "" if holds else f" **[no longer holds: {results.with_values(asked)}]**",
        )
    expression, _, form = asked.rpartition(":") if ":" in asked else (asked, "", "")
    try:
        value = results.evaluate(expression)
    except Unmeasured:
        value = None
    if kind == "text":
        return end, _closing(seen, end), show(value, form.strip())
    token = BEFORE.search(line)
    if not token:
        raise ReportError(f"no number stands free and directly before <!--={asked}-->")
    if isinstance(value, str | bool):
        raise ReportError(f"{expression} is the text {value!r}: write <!--text {expression}-->{value}{END}")
    return start - len(token[0]), start, show(value, form.strip())


def _closing(seen: str, start: int) -> int:
    end, following = seen.find(END, start), COMMENT.search(seen, start)
    if end < 0 or (following and following.start() < end):
        raise ReportError(f"{END} is missing")
    return end


def count_words(text: str) -> int:
    """Words as the module counts them."""
    text = re.sub(r"^# .*$", "", FENCE.sub("", text), count=1, flags=re.MULTILINE)
    text = NO_LONGER.sub("", REFERENCES.sub("", CAPTION.sub("", text)))
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^\s*\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", IMAGE.sub("", text))
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def typed_numbers(text: str) -> Iterator[tuple[int, str]]:
    """Numbers typed by hand, as (line, number): those that no marker fills and that are not of a kind listed in TYPED.

    Headings, code, links' addresses and the references are exempt, and so is a number that <!--const--> directly
    follows: a constant of the question ("a billion images"), never a result.
    """
    for pattern in (
        FENCE,
        CODE,
        REFERENCES,
        re.compile(r"<!--table\s.*?<!--/-->|<!--text\s[^>]*-->.*?<!--/-->", re.DOTALL),
        re.compile(rf"(?:{NUMBER}|–)<!--=.*?-->"),
        NO_LONGER,
        TYPED,
        re.compile(r"<!--.*?-->", re.DOTALL),
        re.compile(r"^#+ .*$", re.MULTILINE),
        re.compile(r"\]\([^)]*\)|https?://\S+"),
    ):
        text = _hide(pattern, text)
    for match in re.finditer(r"(?<![\w.])\d[\d,.]*", text):
        yield text.count("\n", 0, match.start()) + 1, match[0].rstrip(",.")


def _captions(text: str) -> Iterator[str]:
    """Figures without a caption under them, and captions out of order."""
    text = _hide(FENCE, text)
    for kind in ("Figure", "Table"):
        found = [int(number) for number in re.findall(rf"^\*\*{kind} (\d+)", text, re.MULTILINE)]
        if found != list(range(1, len(found) + 1)):
            yield f"captions of {kind.lower()}s are numbered {found}"
    for image in re.finditer(r"^(!\[[^\n]*\))[ ]*$\s*([^\n]*)", text, re.MULTILINE):
        if not image[2].startswith("**Figure "):
            yield f"no caption **Figure N.** under {image[1]}"


def check_committed(report: str | Path, figures: str | Path) -> list[str]:
    """What is wrong with a committed report, a line each; empty where all is well.

    Every number and table must be what the results give, every claim must hold, no number may be typed by hand, every
    figure must have its caption, numbered in order; the figures folder must hold exactly the files that the notebooks
    recorded, and all of them must have run on one machine from committed code.
    """
    report, figures = Path(report), Path(figures)
    text = report.read_text(encoding="utf-8")
    try:
        results = Results(figures)
        filled = fill(text, results, folder=report.parent, name=report.name)
    except ReportError as error:
        return str(error).splitlines()
    problems = [f"{claim}: the claim does not hold" for claim in filled.broken]
    lines = zip(text.splitlines(), filled.text.splitlines(), strict=False)
    for number, (old, new) in enumerate(lines, 1):
        if old != new:
            problems.append(f"{report.name}:{number}: is {old!r}, and the results give {new!r}")
            break
    problems += [f"{report.name}:{line}: {number} is typed by hand" for line, number in typed_numbers(text)]
    problems += [f"{report.name}: {problem}" for problem in _captions(text)]
    stamps = {name: section["stamp"] for name, section in results.sections.items() if name.isdigit()}
    if len(machines := {stamp["cpu"] for stamp in stamps.values()}) > 1:
        problems.append(f"{figures.name}: from several machines: {', '.join(sorted(machines))}")
    problems += [
        f"{figures.name}/{notebook}.json: ran from code that was not committed"
        for notebook, stamp in stamps.items()
        if stamp["commit"].endswith("+")
    ]
    there = {path.name for path in figures.iterdir() if path.is_file() and path.suffix != ".json"}
    problems += [f"{figures.name}/{name}: no notebook recorded it" for name in sorted(there - results.files)]
    problems += [f"{figures.name}/{name}: recorded but not there" for name in sorted(results.files - there)]
    return problems
