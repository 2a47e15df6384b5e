"""Run notebooks at full size with papermill, and clean what they leave.

Two equal runs leave equal files.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError

CELL_TIMEOUT = 3600
"""Seconds after which a cell counts as stuck."""

TRACE_LINES = 25
"""How much of a failed cell's traceback is shown: its last lines."""

WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "*(a control: open the notebook in JupyterLab to use it)*"
TEXT_KINDS = ("text", "text/plain", "text/html", "text/markdown")
KEPT_METADATA = {"tags", "jupyter"}

MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TABLE_ID = re.compile(r"\bT_[0-9a-f]{5}(?![0-9a-f])")
"""The random name that pandas gives each styled table."""


class NotebookError(RuntimeError):
    """A notebook that could not be run to its end.

    The message names the notebook, the cell and the error; `details` has the cell's source and the
    traceback.
    """

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details


class Failure(NamedTuple):
    """What went wrong in a notebook: one line, and the whole story."""

    message: str
    details: str


def run_notebook(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    *,
    failed: Path | None = None,
) -> int:
    """Run a notebook with other parameters and write the result; returns its number of code cells.

    source: the notebook, which is run in its own folder. target: where the result is written.
    parameters: by name, instead of the notebook's own. failed: where a notebook that failed is
    left, with what had run by then; `target` is then not touched.

    Raises ValueError for a parameter that the notebook does not have, and NotebookError if a cell
    fails.
    """
    refuse_unknown(source, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    # It lies in the target's folder, so that the last step is a rename.
    partial = target.with_name(f".{target.name}")
    try:
        execute(source, partial, parameters)
        notebook = nbformat.read(partial, as_version=4)
        clean(notebook, source.parent.parent.resolve())
        nbformat.write(notebook, partial)
        partial.replace(target)
    except (papermill.PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
        message, details = describe_failure(source, error)
        if failed is not None and partial.exists():
            failed.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(failed)
            details += f"\n\nThe cells that ran are in {failed}"
        raise NotebookError(message, details) from None
    finally:
        partial.unlink(missing_ok=True)
    return sum(cell.cell_type == "code" for cell in notebook.cells)


def refuse_unknown(source: Path, parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for parameters that a notebook does not have."""
    known = papermill.inspect_notebook(str(source))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(
            f"{source.name} has no parameter {', '.join(unknown)}; "
            f"it has {', '.join(known) or 'none'}"
        )


def execute(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
) -> None:
    """Run a notebook with papermill, a second time if its kernel does not start."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    options: dict[str, Any] = {
        "cwd": str(source.parent),
        "execution_timeout": CELL_TIMEOUT,
        "record_timing": False,
        "progress_bar": False,
        "kernel_name": "python3",
        # Without this a kernel that works writes warnings to the terminal.
        "extra_arguments": ["--log-level=CRITICAL"],
    }
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            dict(parameters),
            **options,
        )
    except RuntimeError as error:
        if "didn't respond" not in str(error):
            raise
        # Two kernels that start together may choose the same port; one of them then never answers.
        papermill.execute_notebook(
            str(source),
            str(target),
            dict(parameters),
            **options,
        )


def describe_failure(source: Path, error: Exception) -> Failure:
    """Say which cell of a notebook failed, and how."""
    if not isinstance(error, papermill.PapermillExecutionError):
        text = ANSI.sub("", str(error)).strip()
        first_line = text.splitlines()[0] if text else type(error).__name__
        return Failure(f"{source.name}: {first_line}", text)
    place = f"{source.name}, cell {error.cell_index + 1} (run {error.exec_count})"
    code = [f"    {line}" for line in error.source.splitlines()]
    trace = ANSI.sub("", "\n".join(error.traceback)).splitlines()
    details = [f"{place}:", "", *code, "", *trace[-TRACE_LINES:]]
    return Failure(f"{place}: {error.ename}: {error.evalue}", "\n".join(details))


def clean(notebook: Any, root: Path) -> None:
    """Remove from an executed notebook what differs between equal runs.

    These are timestamps, random ids, the state of widgets and the places of files: paths under
    `root` become relative to it, and paths under the home folder begin with "~".
    """
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        clean_metadata(cell)
        outputs = []
        for output in cell.get("outputs", []):
            outputs += without_controls(output)
        for output in outputs:
            clean_output(output, cell.id, root)
        if cell.cell_type == "code":
            cell.outputs = outputs


def clean_metadata(cell: Any) -> None:
    """Leave a cell only its tags and JupyterLab's settings.

    The cell that papermill adds gets a fixed id.
    """
    if "injected-parameters" in cell.metadata.get("tags", []):
        cell.id = "injected-parameters"
    cell.metadata = {
        name: value for name, value in cell.metadata.items() if name in KEPT_METADATA and value
    }


def without_controls(output: Any) -> list[Any]:
    """What a static page shows of an output: of controls their picture, if any, and a note."""
    data = output.get("data", {})
    if WIDGET not in data:
        return [output]
    note = nbformat.v4.new_output("display_data", {"text/markdown": WIDGET_NOTE})
    if "image/png" not in data:
        return [note]
    del data[WIDGET]
    data.pop("text/plain", None)
    return [output, note]


def clean_output(
    output: Any,
    cell_id: str,
    root: Path,
) -> None:
    """Remove from an output what is random or depends on the machine."""
    texts = output.get("data", output)
    for kind in TEXT_KINDS:
        if kind in texts:
            text = texts[kind].replace(f"{root}/", "").replace(f"{Path.home()}/", "~/")
            text = MEMORY_ADDRESS.sub("", text)
            texts[kind] = TABLE_ID.sub(f"T_{cell_id}", text)
