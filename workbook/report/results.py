"""What the notebooks recorded, by key: numbers, cells of tables, and what they ran on.

03.speed_up.file            a number of notebook 03; .low and .high at its end are the ends of its interval
05.accuracy.find.auc        a cell of figures/05_accuracy.csv: the row whose key is "find", the column "auc"
05.stamp.cpu                what a notebook ran on; 05.stamp.versions.numpy, 05.stamp.seconds
memes.05.accuracy.find.auc  the same of a second data set, published as figures/memes/
scale.growth.1000000.hours  a cell of what a command of its own measured, figures/scale.json
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
MISSING = "–"
NOTEBOOKS = "[0-9][0-9].json"


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
        notebooks, self.numbers = _read(self.figures, NOTEBOOKS)
        if not notebooks:
            raise ReportError(
                f"no results in {self.figures.name}/ (01.json, …): run the notebooks first"
            )
        commands, measured = _read(self.published, "[a-z]*.json")
        self.sections = notebooks | commands
        self.numbers |= measured
        self.files = {name for section in self.sections.values() for name in section["files"]}
        self.expected = _read(self.published, NOTEBOOKS)[1]
        for folder in sorted({path.parent for path in self.published.glob(f"*/{NOTEBOOKS}")}):
            self.numbers |= _read(folder, NOTEBOOKS, f"{folder.name}.")[1]

    def __getitem__(self, key: str) -> Any:
        """The value of a key; ReportError with the nearest keys if there is none, Unmeasured if there can't be."""
        if key not in self.numbers:
            if find_spec("pdqhash") is None and any(
                part.startswith("pdq") for part in re.split(r"[._+]", key)
            ):
                raise Unmeasured(f"{key} needs PDQ, which is not installed here")
            if key in self.expected:
                raise Unmeasured(f"{key} could not be measured on these images")
            raise ReportError(f"no number {key!r} is recorded{nearest(key, self.numbers)}")
        if isinstance(self.numbers[key], float) and math.isnan(self.numbers[key]):
            raise Unmeasured(f"{key} could not be measured")
        return self.numbers[key]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table, "05.accuracy" or "memes.05.accuracy", as dictionaries; ReportError for no such table."""
        *folder, notebook, slug = ["", *name.split(".")][-3:]
        home = (
            self.figures
            if notebook.isdigit() and not any(folder)
            else self.published.joinpath(*folder)
        )
        path = home / f"{notebook}_{slug}.csv"
        if not re.fullmatch(r"([a-z]\w*\.)?\w+\.\w+", name) or not path.exists():
            tables = sorted(path.stem.replace("_", ".", 1) for path in self.figures.glob("*_*.csv"))
            raise ReportError(f"no table {name!r} is recorded{nearest(name, tables)}")
        return _records(pd.read_csv(path))


def _read(folder: Path, pattern: str, prefix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """What a folder's matching files hold, by their stems; and every value in them and in their tables, by key."""
    sections: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for path in sorted(folder.glob(pattern)):
        name, section = prefix + path.stem, json.loads(path.read_text(encoding="utf-8"))
        sections[path.stem] = section
        found = [*_leaves(f"{name}.stamp", section["stamp"])]
        for key, ends in section["numbers"].items():
            found += [
                (f"{name}.{key}{'' if end == 'value' else f'.{end}'}", value)
                for end, value in ends.items()
            ]
        for slug, keys in section["keys"].items():
            table = folder / f"{path.stem}_{slug}.csv"
            if not table.exists():
                raise ReportError(f"{path.name} speaks of {table.name}, which is not beside it")
            found += _leaves(f"{name}.{slug}", _cells(table, keys))
        for key, value in found:
            if key in numbers:
                raise ReportError(f"{key} is recorded twice")
            numbers[key] = value
    return sections, numbers


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for inner, kept in value.items():
            yield from _leaves(f"{name}.{inner}", kept)
    else:
        yield name, value


def _cells(path: Path, keys: list[str]) -> dict[str, dict[str, Any]]:
    """Row's name -> column -> value; a row's name is what stands in its key columns, as it is written there."""
    names = pd.read_csv(path, usecols=keys, dtype=str, keep_default_na=False)[keys].agg(
        ".".join, axis=1
    )
    return dict(zip(names, _records(pd.read_csv(path).drop(columns=keys)), strict=True))


def nearest(name: str, names: Iterable[str]) -> str:
    """ "; near it: …" with the names that are most like one that is not there, or nothing."""
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; near it: {', '.join(near)}" if near else ""


def show(value: Any, form: str) -> str:
    """A value as text; MISSING for None and nan. ReportError for a format that does not fit it.

    form: Python's (`.1f`, `,.0f`, `.1%`), or `~N` for N significant digits without an exponent (61, 1,200, 0.0034), or
    `sciN` for a power of ten (3.2×10⁻⁶). Without one integers are shown in full and other numbers as `~3`.
    """
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
            places = (
                0 if rounded == 0 else max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
            )
            return f"{rounded:,.{places}f}".replace("-", "−")
        return format(int(value) if form in {",", "d", ",d"} else value, form).replace(
            "-", "−" if form != "s" else "-"
        )
    except (ValueError, TypeError) as error:
        raise ReportError(f"{value!r} cannot be shown as {form!r}: {error}") from None


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, integers still integers."""
    return [
        dict(zip(map(str, frame), row, strict=True))
        for row in frame.astype(object).itertuples(index=False)
    ]
