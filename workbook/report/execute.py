"""Run notebooks at full size with papermill, and clean what they leave so that two equal runs leave the same."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError

CELL_TIMEOUT = 3600
"""Seconds after which a cell counts as stuck."""

WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
STYLED = re.compile(r"\bT_[0-9a-f]{5}(?![0-9a-f])")  # pandas gives each styled table a random name
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookError(RuntimeError):
    """A notebook that could not be run: the message names notebook, cell and error; `details` has source and trace."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details


def run_notebook(
    source: Path, target: Path, parameters: Mapping[str, Any], *, failed: Path | None = None
) -> int:
    """Run `source`, in its own folder, with parameters in place of its own; write the result to `target`.

    Returns the number of code cells. Raises ValueError for a parameter that the notebook lacks, and NotebookError with
    the cell and its error where one fails; what had run by then is then left in `failed`, and `target` untouched.
    """
    known = papermill.inspect_notebook(str(source))
    if unknown := sorted(set(parameters) - set(known)):
        raise ValueError(
            f"{source.name} has no parameter {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(
        f".{target.name}"
    )  # beside the target, so that the last step is a rename
    logging.getLogger("papermill").setLevel(logging.ERROR)
    options: dict[str, Any] = {
        "cwd": str(source.parent),
        "execution_timeout": CELL_TIMEOUT,
        "record_timing": False,
        "progress_bar": False,
        "kernel_name": "python3",
        "extra_arguments": [
            "--log-level=CRITICAL"
        ],  # a kernel that works has nothing to say on the terminal
    }
    try:
        try:
            papermill.execute_notebook(str(source), str(partial), dict(parameters), **options)
        except RuntimeError as error:
            if "didn't respond" not in str(error):
                raise
            # Two kernels that start at once may take one port, of which one never answers.
            papermill.execute_notebook(str(source), str(partial), dict(parameters), **options)
    except (papermill.PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
        message, details = _failure(source, error)
        if failed is not None and partial.exists():
            failed.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(failed)
            details += f"\n\nWhat had run by then: {failed}"
        raise NotebookError(message, details) from None
    finally:
        ran = nbformat.read(partial, as_version=4) if partial.exists() else None
        partial.unlink(missing_ok=True)
    assert ran is not None
    clean(ran, source.parent.parent.resolve())
    nbformat.write(ran, partial)
    partial.replace(target)
    return sum(cell.cell_type == "code" for cell in ran.cells)


def _failure(source: Path, error: Exception) -> tuple[str, str]:
    if not isinstance(error, papermill.PapermillExecutionError):
        said = ANSI.sub("", str(error)).strip()
        return f"{source.name}: {said.splitlines()[0] if said else type(error).__name__}", said
    where = f"{source.name}, cell {error.cell_index + 1} (run {error.exec_count})"
    trace = ANSI.sub("", "\n".join(error.traceback)).splitlines()[-25:]
    code = [f"    {line}" for line in error.source.splitlines()]
    return f"{where}: {error.ename}: {error.evalue}", "\n".join(
        [f"{where}:", "", *code, "", *trace]
    )


def clean(notebook: Any, root: Path) -> None:
    """Take out of a notebook that ran what differs between equal runs: timestamps, random ids, widgets' state, places.

    Paths under `root` become relative to it, and paths under the home folder begin with "~".
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
        tags = cell.metadata.get("tags", [])
        cell.metadata = {
            name: kept
            for name, kept in cell.metadata.items()
            if name in {"tags", "jupyter"} and kept
        }
        if "injected-parameters" in tags:
            cell.id = "injected-parameters"
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                output["data"] = {
                    "text/markdown": "*(a control: open the notebook in JupyterLab to use it)*"
                }
                output["metadata"] = {}
            shown = output.get("data", output)
            for kind in ("text", "text/plain", "text/html", "text/markdown"):
                if kind in shown:
                    text = shown[kind].replace(f"{root}/", "").replace(f"{Path.home()}/", "~/")
                    shown[kind] = STYLED.sub(f"T_{cell.id}", ADDRESS.sub("", text))
