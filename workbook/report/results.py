"""Look up what the notebooks recorded, by key: numbers, cells of tables and what they ran on.

03.speed_up.file            a number of notebook 03, with .low and .high for its interval
05.accuracy.find.auc        a cell of figures/05_accuracy.csv: row "find", column "auc"
05.stamp.cpu                what a notebook ran on; also .versions.numpy and .seconds
memes.05.accuracy.find.auc  the same cell for a second data set, published in figures/memes/
scale.growth.1000000.hours  a cell that a separate command measured, in figures/scale.json
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

MISSING = "–"
"""What stands in the report for a value that could not be measured."""

PUBLISHED = "published"
"""What stands before the name of a table of the published run."""

NOTEBOOKS = "[0-9][0-9].json"
"""The files of numbers that notebooks write; those of other commands begin with a letter."""

COMMANDS = "[a-z]*.json"

MINUS = "−"
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
TABLE_NAME = re.compile(r"([a-z]\w*\.)?\w+\.\w+")
SPECIAL_FORMAT = re.compile(r"(~|sci)(\d+)")
INTEGER_FORMATS = {",", "d", ",d"}


class ReportError(ValueError):
    """The report asks for what is not recorded, or contains what it may not.

    The message has one line for each place.
    """


class Unmeasured(ReportError):
    """A number that this run cannot give.

    It is one of PDQ's, whose package is not installed, or needs more images.
    """


class Recorded(NamedTuple):
    """What one folder holds.

    sections: the contents of each NN.json, by its stem. numbers: every value in them and in their
    tables, by key.
    """

    sections: dict[str, Any]
    numbers: dict[str, Any]


class Results:
    """The numbers and tables of a folder of figures.

    figures: the folder that the notebooks wrote. published: the folder that holds second data sets,
    as folders of its own, and what separate commands measured (scale.json); by default the same
    folder. Raises ReportError if no notebook has left its NN.json in `figures`.

    is_of_own_data: whether the notebooks ran on one's own images. sections: the contents of each
    .json file, by its stem. numbers: every value by its key. files: the names of the files that the
    notebooks and commands recorded. stamps: the machine, versions, commit and date of everything
    that may be quoted, by section ("05", "scale", "memes/05").
    """

    def __init__(self, figures: str | Path, published: str | Path | None = None) -> None:
        self.figures = Path(figures)
        self.published = self.figures if published is None else Path(published)
        self.is_of_own_data = self.figures != self.published
        notebooks = read_folder(self.figures, NOTEBOOKS)
        if not notebooks.sections:
            raise ReportError(
                f"there are no results (01.json, …) in {self.figures.name}/: "
                "run the notebooks first"
            )
        commands = read_folder(self.published, COMMANDS)
        self.sections = notebooks.sections | commands.sections
        self.numbers = notebooks.numbers | commands.numbers
        self.files: set[str] = set()
        for section in self.sections.values():
            self.files.update(section["files"])
        self.stamps = {name: section["stamp"] for name, section in self.sections.items()}
        published_notebooks = read_folder(self.published, NOTEBOOKS)
        self._published_keys = set(published_notebooks.numbers)
        for folder in self._second_data_sets():
            data_set = read_folder(folder, NOTEBOOKS, prefix=f"{folder.name}.")
            self.numbers |= data_set.numbers
            for name, section in data_set.sections.items():
                self.stamps[f"{folder.name}/{name}"] = section["stamp"]

    def _second_data_sets(self) -> list[Path]:
        """The folders of the second data sets, by name."""
        files = self.published.glob(f"*/{NOTEBOOKS}")
        return sorted({file.parent for file in files})

    def __getitem__(self, key: str) -> Any:
        """The value that was recorded under a key.

        Raises Unmeasured where this run could not measure it, and ReportError, with similar keys,
        where no run does.
        """
        if key not in self.numbers:
            raise self._missing(key)
        value = self.numbers[key]
        if is_nan(value):
            raise Unmeasured(f"{key} could not be measured")
        return value

    def _missing(self, key: str) -> ReportError:
        if needs_pdq(key) and find_spec("pdqhash") is None:
            return Unmeasured(f"{key} needs the package pdqhash, which is not installed")
        if key in self._published_keys:
            return Unmeasured(f"{key} could not be measured on these images")
        return ReportError(f"no number {key!r} is recorded{suggest(key, self.numbers)}")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table, as dictionaries from column to value.

        name: like "05.accuracy", "memes.05.accuracy" for a second data set, or
        "published.05.accuracy" for the published run, also where this one is of own images. Raises
        ReportError, with similar names, if there is no such table.
        """
        path = self._table_path(name)
        if path is None or not path.exists():
            files = sorted(self.figures.glob("*_*.csv"))
            names = [file.stem.replace("_", ".", 1) for file in files]
            raise ReportError(f"no table {name!r} is recorded{suggest(name, names)}")
        return plain_rows(pd.read_csv(path))

    def _table_path(self, name: str) -> Path | None:
        """Where a table lies, or None for a name of another form."""
        if not TABLE_NAME.fullmatch(name):
            return None
        *data_set, section, slug = name.split(".")
        if data_set == [PUBLISHED]:
            return self.published / f"{section}_{slug}.csv"
        is_of_this_run = section.isdigit() and not data_set
        folder = self.figures if is_of_this_run else self.published.joinpath(*data_set)
        return folder / f"{section}_{slug}.csv"


def read_folder(
    folder: Path,
    pattern: str,
    prefix: str = "",
) -> Recorded:
    """Read all files of numbers in a folder, and the tables that belong to them.

    pattern: of the files' names. prefix: put before every key. Raises ReportError for a table that
    is listed and does not exist, and for a key that is recorded twice.
    """
    sections: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for path in sorted(folder.glob(pattern)):
        section = json.loads(path.read_text(encoding="utf-8"))
        sections[path.stem] = section
        for key, value in section_values(path, section):
            full_key = f"{prefix}{path.stem}.{key}"
            if full_key in numbers:
                raise ReportError(f"{full_key} is recorded twice")
            numbers[full_key] = value
    return Recorded(sections, numbers)


def section_values(path: Path, section: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value of one file of numbers and of its tables, with its key inside that file.

    path: of the file. section: its contents.
    """
    yield from leaves("stamp", section["stamp"])
    for key, ends in section["numbers"].items():
        for end, value in ends.items():
            full_key = key if end == "value" else f"{key}.{end}"
            yield full_key, value
    for slug, key_columns in section["keys"].items():
        table = path.with_name(f"{path.stem}_{slug}.csv")
        if not table.exists():
            raise ReportError(
                f"{path.name} lists the table {table.name}, which is missing from the same folder"
            )
        yield from leaves(slug, read_cells(table, key_columns))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values inside nested dictionaries, with their names.

    A name consists of the names that lead to the value, joined by points.
    """
    if not isinstance(value, dict):
        yield name, value
        return
    for inner_name, inner_value in value.items():
        yield from leaves(f"{name}.{inner_name}", inner_value)


def read_cells(path: Path, key_columns: list[str]) -> dict[str, dict[str, Any]]:
    """A table's cells by the name of their row, then by column.

    A row's name is what stands in its key columns, as it is written there, joined by points.
    """
    written = pd.read_csv(
        path,
        usecols=key_columns,
        dtype=str,
        keep_default_na=False,
    )
    row_names = written[key_columns].agg(".".join, axis=1)
    values = pd.read_csv(path).drop(columns=key_columns)
    return dict(zip(row_names, plain_rows(values), strict=True))


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as dictionaries of plain Python values; integers stay integers."""
    columns = [str(column) for column in table]
    rows = []
    for values in table.astype(object).itertuples(index=False):
        row = dict(zip(columns, values, strict=True))
        rows.append(row)
    return rows


def needs_pdq(key: str) -> bool:
    """Whether a key names PDQ, alone or in a sum of hashes."""
    parts = re.split(r"[._+]", key)
    return any(part.startswith("pdq") for part in parts)


def suggest(name: str, names: Iterable[str]) -> str:
    """The end of an error message that names what is most similar; "" if nothing is.

    name: does not exist. names: those that do.
    """
    similar = get_close_matches(
        name,
        names,
        n=3,
        cutoff=0.5,
    )
    if not similar:
        return ""
    return f"; did you mean {' or '.join(similar)}?"


def is_nan(value: Any) -> bool:
    """Whether a value is the floating-point number nan."""
    return isinstance(value, float) and math.isnan(value)


def format_value(value: Any, form: str = "") -> str:
    """Write a value as the report shows it; None and nan become `MISSING`.

    form: one of Python's formats (`.1f`, `,.0f`, `.1%`), `~N` for N significant digits without an
    exponent (61, 1,200, 0.0034), or `sciN` for a power of ten (3.2×10⁻⁶). Without a format,
    integers are shown in full and other numbers as by `~3`. Raises ReportError for a format that
    does not suit the value.
    """
    if value is None or is_nan(value):
        return MISSING
    try:
        if isinstance(value, str | bool):
            return format(str(value), form)
        return format_number(value, form or default_format(value))
    except (ValueError, TypeError) as error:
        raise ReportError(f"{value!r} cannot be shown as {form!r}: {error}") from None


def default_format(number: float) -> str:
    """The format of a number for which the report asks for none."""
    if isinstance(number, int) or float(number).is_integer():
        return ","
    return "~3"


def format_number(number: float, form: str) -> str:
    """Write a number with a true minus sign; `form` is as in `format_value`, and not empty."""
    special = SPECIAL_FORMAT.fullmatch(form)
    if special and special[1] == "sci":
        return power_of_ten(number, digits=int(special[2]))
    if special:
        return significant_digits(number, digits=int(special[2]))
    if form in INTEGER_FORMATS:
        number = int(number)
    text = format(number, form)
    return text.replace("-", MINUS)


def significant_digits(number: float, digits: int) -> str:
    """Write a number with so many significant digits, without an exponent.

    With two digits, it is like 1,200 or 0.0034.
    """
    decimals_of_mantissa = max(digits, 1) - 1
    rounded = float(f"{number:.{decimals_of_mantissa}e}")
    decimals = 0
    if rounded != 0:
        magnitude = math.floor(math.log10(abs(rounded)))
        decimals = max(0, digits - 1 - magnitude)
    return f"{rounded:,.{decimals}f}".replace("-", MINUS)


def power_of_ten(number: float, digits: int) -> str:
    """Write a number as a power of ten, like 3.2×10⁻⁶, with so many decimals."""
    mantissa, _, power = f"{number:.{digits}e}".partition("e")
    exponent = str(int(power)).translate(SUPERSCRIPTS)
    return f"{mantissa}×10{exponent}".replace("-", MINUS)
