"""What a command says and what it may write: messages, files, and the folder of its unfinished
work.

Messages are lines on standard error. A command refuses to write over a file that it reads, over a
file of another kind, and over an older result unless it is asked to. While it runs it keeps what is
finished in a folder beside its output, from which the same command resumes after an interruption.
"""

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from finlib.files import escape_unprintable, lock, one_line
from finlib.hashing import tables

ERRORS_SHOWN = 5
STANDARD_OUTPUT = Path("-")
LISTS = ("others", "equal", "distances")  # columns of duplicates that hold JSON
PAGE_MARK = '<meta name="generator" content="finlib {kind}">'  # near the beginning of each page
PAGE_HEAD_BYTES = 4096


def say(text: object) -> None:
    """Print a message to the person on standard error, as one line."""
    print(one_line(text), file=sys.stderr)


def say_first(label: str, messages: Sequence[object]) -> None:
    """Print the first few of the messages, each after the label, and how many more there are."""
    for message in messages[:ERRORS_SHOWN]:
        say(f"{label}: {message}")
    more = len(messages) - ERRORS_SHOWN
    if more > 0:
        say(f"{label}: {more} more")


def say_errors(table: pd.DataFrame) -> None:
    """Print the first errors of a table of hashes."""
    errors = table.loc[table["error"] != "", "error"]
    say_first("not hashed", errors.tolist())


def check_table_output(
    output: Path, columns: Sequence[str], overwrite: bool, inputs: Iterable[Path | None] = ()
) -> None:
    """Make sure that a table with these columns may be written to `output`.

    `inputs` are the files that the command reads, None for one that was not given. ValueError where
    the name ends in neither .parquet nor .csv, and where `output` exists and is one of the inputs,
    is no table with these columns, was written by another kind of command, or may not be
    overwritten.
    """
    tables.is_csv(output)
    if not output.exists():
        return
    _refuse_inputs(output, inputs)
    is_of_kind = tables.read_kind(output) in ("", tables.kind_of_columns(columns))
    if not is_of_kind or not _is_table_with(output, columns):
        raise ValueError(
            f"{output} exists and is another kind of file. Give another name, or move the file "
            "away."
        )
    _refuse_existing(output, overwrite)


def check_page_output(
    output: Path, kind: str, overwrite: bool, inputs: Iterable[Path | None] = ()
) -> None:
    """Make sure that a page of a kind, the name of its command, may be written to `output`.

    ValueError as from `check_table_output`.
    """
    if output.suffix != ".html":
        raise ValueError(f"{output}: the name of a page ends in .html.")
    if not output.exists():
        return
    _refuse_inputs(output, inputs)
    if not _is_page(output, kind):
        raise ValueError(
            f"{output} exists and is not a page that `finlib {kind}` wrote. Give --output "
            "another name, or move the file away."
        )
    _refuse_existing(output, overwrite)


def _is_page(file: Path, kind: str) -> bool:
    mark = PAGE_MARK.format(kind=kind)
    try:
        with open(file, "rb") as content:
            return mark.encode() in content.read(PAGE_HEAD_BYTES)
    except OSError:
        return False


def check_side_file(file: Path, kind: str, inputs: Iterable[Path | None] = ()) -> None:
    """Make sure that a file beside the output may be replaced: ValueError where it exists and is
    one of the inputs, or was not written as this kind of file, which is in its metadata.
    """
    if not os.path.lexists(file):
        return
    _refuse_inputs(file, inputs)
    if tables.read_kind(file) != kind:
        raise ValueError(
            f"{file} has the name of a file that is written beside the output, and was not written "
            "by this command. Give --output another name, or move the file away."
        )


def _refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    for file in inputs:
        if file is not None and file.exists() and output.samefile(file):
            raise ValueError(
                f"{output} is a file that this command reads. Give --output another name."
            )


def _is_table_with(file: Path, columns: Sequence[str]) -> bool:
    try:
        next(tables.iter_batches(file, columns))
    except (ValueError, FileNotFoundError):
        return False
    return True


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if not overwrite:
        raise ValueError(f"{output} exists. Give another name, or --overwrite to replace it.")


def parts_folder(output: Path) -> Path:
    """The folder beside `output` where the run that writes it keeps what it has finished."""
    return output.with_name(f"{output.name}.parts")


_claimed: set[Path] = set()  # the outputs that this process has locked


@contextmanager
def claim(output: Path) -> Iterator[None]:
    """Keep other runs from writing `output` while the block runs, which checks it first of all.

    Within the block the same output may be claimed again. A folder that was made for the lock goes
    where nothing was written. RuntimeError where another run has claimed it.
    """
    real_path = output.absolute()
    if real_path in _claimed:
        yield
        return
    is_new_folder = not output.parent.exists()
    try:
        with lock(output.with_name(f".{output.name}.lock"), output):
            _claimed.add(real_path)
            try:
                yield
            finally:
                _claimed.discard(real_path)
    finally:
        if is_new_folder:
            with suppress(OSError):  # not there, or not empty
                output.parent.rmdir()


_printed: set[Path] = set()  # the temporary outputs that are printed in the end


@contextmanager
def open_output(output: Path, as_json: bool) -> Iterator[Path]:
    """Give the table that a command is to write, and print it afterwards if that is asked for.

    "-" stands for standard output: a temporary table, which is printed as CSV. With `as_json` the
    table is printed as a JSON array of its rows. Other runs are kept from writing `output`.
    ValueError where it is a folder, and where there is no standard output to print on.
    """
    is_on_stdout = output == STANDARD_OUTPUT
    if sys.stdout is None and (is_on_stdout or as_json):
        raise ValueError("Standard output is closed. Give -o TABLE without --json, or open it.")
    if output.is_dir() and not is_on_stdout:
        raise ValueError(f"{output} is a folder. Give --output the name of a table to write.")
    if is_on_stdout:
        with temporary_output() as table:
            yield table
            print_table(table, as_json)
        return
    with claim(output):
        yield output
    if as_json:
        print_table(output, as_json)


@contextmanager
def temporary_output() -> Iterator[Path]:
    """Give a table to write that is removed with all that lies beside it."""
    with TemporaryDirectory(prefix="finlib-") as folder:
        table = Path(folder, "table.parquet")
        _printed.add(table)
        try:
            yield table
        finally:
            _printed.discard(table)


def is_printed(output: Path) -> bool:
    """Whether the output is printed, and nothing beside it stays."""
    return output in _printed


def name_output(output: Path) -> str:
    """The name of an output for messages."""
    return "standard output" if is_printed(output) else str(output)


def print_table(table: Path, as_json: bool) -> None:
    """Print a table on standard output, as a JSON array of its rows or as CSV.

    Characters that make a terminal act do not reach one: JSON always has them escaped, and CSV
    where it is printed in a terminal. In a pipe or a file, CSV has the texts as they are.
    """
    if as_json:
        _print_json(table)
    elif sys.stdout.isatty():
        sink = pa.BufferOutputStream()
        _write_csv(table, sink)
        for line in sink.getvalue().to_pybytes().decode().removesuffix("\n").split("\n"):
            print("".join(map(escape_unprintable, line)))
    else:
        _write_csv(table, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _write_csv(table: Path, sink: IO[bytes] | pa.NativeFile) -> None:
    batches = tables.iter_batches(table)
    schema = next(batches).schema
    with pyarrow.csv.CSVWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_table(batch)


def _print_json(table: Path) -> None:
    before = "["
    for batch in tables.iter_batches(table):
        for row in batch.to_pylist():
            text = json.dumps(_as_json(row), ensure_ascii=False)
            if not text.isprintable():
                text = "".join(map(_escape_in_json, text))
            print(before + text, end="")
            before = ",\n"
    print("[]" if before == "[" else "]")


def _escape_in_json(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row with lists for the texts that hold lists, and null for numbers that are unknown."""
    values = {}
    for name, value in row.items():
        if name in LISTS and isinstance(value, str):
            value = json.loads(value)
        is_unknown = isinstance(value, float) and not math.isfinite(value)
        values[name] = None if is_unknown else value
    return values


@contextmanager
def keep_parts(output: Path, pattern: str) -> Iterator[Path]:
    """Keep finished parts in a folder, for the run that writes `output` and for no other.

    Where the block ends without an error, the files in the folder whose names match `pattern` are
    removed. The folder goes when nothing else is in it. RuntimeError where another run is writing
    the same output; FileExistsError where a file has the folder's name.
    """
    folder = parts_folder(output)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            f"{folder} is a file, but a folder of that name is needed to keep finished work in. "
            "Move the file away, or give --output another name."
        )
    with claim(output):
        try:
            yield folder
            for file in folder.glob(pattern):
                file.unlink()
        finally:
            with suppress(OSError):  # not there, or not empty
                folder.rmdir()
