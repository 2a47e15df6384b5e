"""What the notebooks recorded, as the report quotes it: numbers by key, expressions of them, tables as Markdown.

A key is `NN.key`, and `.low` or `.high` at its end is an end of its interval: 05.find.auc, 05.find.auc.low. What a
notebook ran on is `NN.stamp.cpu`, `NN.stamp.versions.numpy` and so on. The results of a second data set, published as
figures/memes/, have its name in front: memes.05.find.auc, and table memes/05_accuracy.

An expression is arithmetic and comparisons of keys and literals: `05.find.auc - 05.pdq.auc`, `01.a < 01.b <= 2 * 01.c`,
`05.best == "find" and 05.find.auc > 0.9`, with abs, min, max, log10 and label, which gives a hasher its name in print.
A key may hold "-" (05.find.tpr_1e-6), so a minus sign needs spaces around it.

A format is Python's (`.1f`, `,.0f`, `.1%`), or `~N` for N significant digits without an exponent (61, 1,200, 0.0034),
or `sciN` for a power of ten (3.2×10⁻⁶). Without one, integers are shown in full and other numbers as `~3`.
"""

import ast
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from finlib.report.style import label

KEY = re.compile(r"(?<![\w.])(?:[a-z][a-z0-9_]*\.)?0\d\.[a-z0-9_.-]*[a-z0-9_]")
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
MISSING = "–"
OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "log10": math.log10, "label": label}


class ReportError(ValueError):
    """The report asks for what is not there, or says what may not be said; the message has a line for each place."""


class Unmeasured(ReportError):
    """A number that this run cannot give: PDQ's without its extra, or a rate that too few images cannot tell."""


class Results:
    """Numbers and tables of a figures folder, and what lies in `published`, by default the same folder, beside it.

    Beside it: the second data sets, published as folders of it, and what commands of their own measured (scale.json).
    Raises ReportError where no notebook's NN.json is there.
    """

    def __init__(self, figures: str | Path, published: str | Path | None = None) -> None:
        self.figures = Path(figures)
        self.published = Path(published) if published is not None else self.figures
        self.sections = _sections(self.figures, "[0-9][0-9].json") | _sections(self.published, "[a-z]*.json")
        if not any(name.isdigit() for name in self.sections):
            raise ReportError(f"no results in {self.figures.name}/ (01.json, …): run the notebooks first")
        self.numbers = self._flat(self.sections)
        self.files = {name for section in self.sections.values() for name in section["files"]}
        at_home = _sections(self.published, "[0-9][0-9].json") if self.published != self.figures else {}
        self.expected = set(self._flat(at_home, self.published))
        for folder in sorted({path.parent for path in self.published.glob("*/[0-9][0-9].json")}):
            self.numbers |= self._flat(_sections(folder, "[0-9][0-9].json"), folder)

    def _flat(self, sections: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
        """Key -> value of stamps, numbers and the cells of tables that have a key."""
        flat: dict[str, Any] = {}

        def add(name: str, value: Any) -> None:
            if isinstance(value, dict):
                for inner, kept in value.items():
                    add(f"{name}.{inner}" if inner != "value" else name, kept)
            elif name in flat:
                raise ReportError(f"{name} is recorded twice")
            else:
                flat[name] = value

        for name, section in sections.items():
            base = folder or (self.figures if name.isdigit() else self.published)
            full = f"{folder.name}.{name}" if folder and folder != self.published else name
            add(full, {"stamp": section["stamp"]} | section["numbers"])
            for slug, keys in section["keys"].items():
                path = base / f"{name}_{slug}.csv"
                if path.exists():
                    add(f"{full}.{slug}", _cells(path, keys))
        return flat

    def __getitem__(self, key: str) -> Any:
        """The value of a key; ReportError with the nearest keys if there is none, Unmeasured if there can't be."""
        if key not in self.numbers:
            if find_spec("pdqhash") is None and any(part.startswith("pdq") for part in re.split(r"[._]", key)):
                raise Unmeasured(f"{key} needs PDQ, which is not installed here")
            if key in self.expected:
                raise Unmeasured(f"{key} could not be measured on these images")
            raise ReportError(f"no number {key!r} is recorded{_nearest(key, self.numbers)}")
        return self.numbers[key]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of keys; ReportError where it is not one."""
        names: dict[str, Any] = {}

        def placeholder(match: re.Match[str]) -> str:
            names[f"_{len(names)}"] = self[match[0]]
            return f"_{len(names) - 1}"

        return evaluate(KEY.sub(placeholder, expression), names, shown=expression)

    def with_values(self, expression: str) -> str:
        """The expression with values in place of keys, for a reader."""

        def value(match: re.Match[str]) -> str:
            found = self.numbers.get(match[0])
            return show(found, "~5" if isinstance(found, float) else "")

        return KEY.sub(value, expression)

    def frame(self, name: str) -> pd.DataFrame:
        """The table NN_slug, or memes/NN_slug of a second data set; ReportError where there is no such CSV."""
        folder, _, slug = name.rpartition("/")
        path = (self.published / folder if folder or not name[:1].isdigit() else self.figures) / f"{slug}.csv"
        if not re.fullmatch(r"([a-z][a-z0-9_]*/)?\d\d_[a-z0-9_]+", name) or not path.exists():
            raise ReportError(f"no table {name!r}: there is no {folder + '/' if folder else ''}{slug}.csv")
        return pd.read_csv(path)


def _sections(folder: Path, pattern: str) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(pattern))}


def _cells(path: Path, keys: list[str]) -> dict[str, dict[str, Any]]:
    """Row's name -> column -> value; a row's name is what stands in its key columns, as it is written there."""
    names = pd.read_csv(path, usecols=keys, dtype=str, keep_default_na=False)[keys].agg(".".join, axis=1)
    rows = pd.read_csv(path).drop(columns=keys)
    return dict(zip(names, _records(rows), strict=True))


def _nearest(name: str, names: Mapping[str, Any]) -> str:
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; near it: {', '.join(near)}" if near else ""


def evaluate(expression: str, names: Mapping[str, Any], shown: str = "") -> Any:
    """Value of a Python expression of numbers, texts, the names given, arithmetic, comparisons, and/or/not, in.

    Nothing else of Python is understood: ReportError.
    """

    if expression.strip() in names:  # a column's name need not be an identifier
        return names[expression.strip()]

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body):
                return value(body)
            case ast.Constant(int() | float() | str()):
                return node.value
            case ast.Name(name) if name in names:
                return names[name]
            case ast.Name(name):
                raise ReportError(f"no {name!r} here{_nearest(name, names)}")
            case ast.Tuple(items) | ast.List(items):
                return [value(item) for item in items]
            case ast.UnaryOp(op, operand) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(operand))
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.BoolOp(ast.And(), parts):
                return all(value(part) for part in parts)
            case ast.BoolOp(ast.Or(), parts):
                return any(value(part) for part in parts)
            case ast.Compare(left, ops, rights) if all(type(op) in OPERATORS for op in ops):
                sides = [value(side) for side in (left, *rights)]
                return all(OPERATORS[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
            case ast.Call(ast.Name(name), arguments, []) if name in FUNCTIONS:
                return FUNCTIONS[name](*map(value, arguments))
        raise ReportError(f"{shown or expression!r}: {ast.unparse(node)!r} is not understood here")

    try:
        return value(ast.parse(expression.strip(), mode="eval"))
    except ReportError:
        raise
    except (SyntaxError, TypeError, ArithmeticError, ValueError) as error:
        raise ReportError(f"{shown or expression!r} cannot be worked out: {error}") from None


def show(value: Any, form: str) -> str:
    """A value as text, in a format as the module describes it; MISSING for None and nan. ReportError if it can't be."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, str | bool):
        form = form or "s"
        value = str(value)
    form = form or ("," if isinstance(value, int) or float(value).is_integer() else "~3")
    try:
        if special := re.fullmatch(r"(~|sci)(\d+)", form):
            digits = int(special[2])
            if special[1] == "sci":
                mantissa, _, power = f"{value:.{digits}e}".partition("e")
                return f"{mantissa}×10{str(int(power)).translate(SUPERSCRIPTS)}".replace("-", "−")
            rounded = float(f"{value:.{max(digits, 1) - 1}e}")
            places = 0 if rounded == 0 else max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
            return f"{rounded:,.{places}f}".replace("-", "−")
        return format(int(value) if form in {",", "d", ",d"} else value, form).replace("-", "−" if form != "s" else "-")
    except (ValueError, TypeError) as error:
        raise ReportError(f"{value!r} cannot be shown as {form!r}: {error}") from None


def markdown_table(results: Results, source: str) -> str:
    """The Markdown table that a block asks for. The block's first line names the table; each other line is an option:

    columns: Method = label | AUC = {auc:.3f} ({auc_low:.3f}–{auc_high:.3f}) | ms = {seconds * 1000:.2f}
    where: bits == 256 and method not in ("pdq",)
    sort: auc descending
    rows: 5

    A column is `heading = column`, a column's name alone, or a heading and a text with {expression:format} in it.
    Columns without letters are aligned right. ReportError for an unknown table, column or option.
    """
    name, *lines = [line.strip() for line in source.strip().splitlines() if line.strip()]
    options = dict(line.partition(":")[::2] for line in lines)
    if unknown := set(options) - {"columns", "where", "sort", "rows"}:
        raise ReportError(f"table {name}: no option {sorted(unknown)}; there are columns, where, sort, rows")
    frame = results.frame(name)
    if "where" in options:
        frame = frame[[bool(evaluate(options["where"], row)) for row in _records(frame)]]
    if "sort" in options:
        column, _, direction = options["sort"].strip().partition(" ")
        if column not in frame or direction not in {"", "ascending", "descending"}:
            raise ReportError(
                f"table {name}: cannot sort by {options['sort'].strip()!r}; columns: {', '.join(map(str, frame))}"
            )
        frame = frame.sort_values(column, ascending=direction != "descending", kind="stable")
    if "rows" in options:
        frame = frame.head(int(evaluate(options["rows"], {})))
    if frame.empty:
        raise ReportError(f"table {name}: no row is left")
    wanted = [column.strip() for column in options.get("columns", " | ".join(map(str, frame))).split("|")]
    headings, templates = zip(*(_column(column) for column in wanted), strict=True)
    rows = [[_cell(template, row) for template in templates] for row in _records(frame)]
    right = [
        all(re.fullmatch(r"[−+]?[\d,.]+(×10\S+|%)?|–", row[place]) for row in rows) for place in range(len(wanted))
    ]
    rule = ["---:" if number else ":---" for number in right]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(headings), rule, *rows])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, integers still integers."""
    return [dict(zip(map(str, frame), row, strict=True)) for row in frame.astype(object).itertuples(index=False)]


def _column(wanted: str) -> tuple[str, str]:
    heading, equals, template = (part.strip() for part in wanted.partition("="))
    template = template if equals else heading
    return heading, template if "{" in template else f"{{{template}}}"


def _cell(template: str, row: Mapping[str, Any]) -> str:
    def field(match: re.Match[str]) -> str:
        expression, _, form = match[1].partition(":")
        return show(evaluate(expression, row), form.strip())

    return re.sub(r"\{([^}]*)\}", field, template).replace("|", r"\|")
