"""The main job: run the notebooks at full size, render report.md from report.md.j2, write it as HTML and PDF.

Without data of one's own everything is written in place: figures/, notebooks/executed/, report.md, report.html and
report.pdf. With a folder of images it all goes under runs/NAME/, so that no run on other images touches what is
published; `publish_tables` then copies that run's tables and numbers to figures/NAME/, from where the report can quote
them as those of a second data set. Long measurements of their own, such as scale.json, stay in figures/ as they are.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import papermill

from workbook.report.execute import run_notebook
from workbook.report.filling import MOST_WORDS, Filled, fill, unfit
from workbook.report.record import stamp_seconds
from workbook.report.rendering import cover, render
from workbook.report.results import ReportError, Results

HOME = Path(__file__).resolve().parents[2]
TEMPLATE = "report.md.j2"


def run_report(
    data: str | Path | None = None,
    name: str | None = None,
    *,
    only: Sequence[str] | None = None,
    publish: bool = False,
    home: Path = HOME,
) -> Filled | None:
    """Run the notebooks and render the report; returns its text, with the claims that no longer hold.

    data: a folder of images; None for the built-in families. name: of the run under runs/, by default the folder's.
    only: notebooks to run, by their digits ("05"); an empty list renders from what is there. publish: as
    `publish_tables`, after the run, or without one where only a name is given.
    Raises ValueError for wrong use, NotebookError for a cell that fails, RuntimeError where the report cannot be
    filled; what is wrong is told on standard error first.
    """
    if not (home / "notebooks").is_dir() or not (home / TEMPLATE).is_file():
        raise ReportError(
            f"the report is made in a checkout of the workbook: no notebooks/ and {TEMPLATE} beside finlib/"
        )
    if data is None and name is not None and publish:
        print("published:", os.path.relpath(publish_tables(run_name(name, name), home)))
        return None
    if data is None and (name is not None or publish):
        raise ValueError(
            "a run is named, and published as a second data set, where it has data of its own: give both"
        )
    folder = home if data is None else home / "runs" / run_name(data, name)
    sources = _chosen(home, only)
    _prepare(data, sources)
    started = time.monotonic()
    for source in sources:
        _run(source, folder, data, home)
    if data is not None and publish:  # before the report is filled, which may quote it
        print("published:", os.path.relpath(publish_tables(run_name(data, name), home)))
    template = (home / TEMPLATE).read_text(encoding="utf-8")
    try:
        results = Results(folder / "figures", home / "figures")
        filled = fill(_relink(template, home, folder), results, folder=folder, name=TEMPLATE)
    except ReportError as error:
        print(error, file=sys.stderr)
        raise RuntimeError(
            f"the report cannot be filled: {len(str(error).splitlines())} problem(s), see above"
        ) from None
    (folder / "report.md").write_text(filled.text, encoding="utf-8", newline="\n")
    written = [folder / "report.md", *render(folder / "report.md", cover(results))]
    print(f"{filled.words:,} of {MOST_WORDS:,} words; {time.monotonic() - started:,.0f} s")
    if filled.broken:
        print(f"{len(filled.broken)} claims do not hold on this run and are marked in the text:")
        print(*(f"  {claim}" for claim in filled.broken), sep="\n")
    if folder == home and (reasons := unfit(results)):
        print("not to be published as it is:", *reasons, sep="\n  ")
    print("written:", *(os.path.relpath(path) for path in written), flush=True)
    return filled


def run_name(data: str | Path, name: str | None = None) -> str:
    """The name of a run under runs/: as given, or the folder's own in small letters. ValueError for another form."""
    found = name or re.sub(r"[^a-z0-9]+", "_", Path(data).resolve().name.lower()).strip("_")
    if name is None and not found[:1].isalpha():
        found = f"data_{found}".strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", found):
        raise ValueError(
            f"a run's name is made of a-z, 0-9 and '_' and begins with a letter, like 'memes'; got {name!r}"
        )
    return found


def publish_tables(name: str, home: Path = HOME) -> Path:
    """Copy numbers and tables, but for raw ones, of runs/NAME to figures/NAME, quoted as NAME.05.key; returns that."""
    source, target = home / "runs" / name / "figures", home / "figures" / name
    if not (numbers := sorted(source.glob("[0-9][0-9].json"))):
        raise ReportError(
            f"there is no run {name!r}: python -m workbook report --data FOLDER --name {name} makes it"
        )
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    tables = [path for path in sorted(source.glob("*.csv")) if not path.stem.endswith("_raw")]
    for path in [*tables, *numbers]:
        shutil.copyfile(path, target / path.name)
    return target


def _chosen(home: Path, only: Sequence[str] | None) -> list[Path]:
    sources = sorted((home / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if only is None:
        return sources
    if unknown := sorted(set(only) - {path.name[:2] for path in sources}):
        raise ValueError(
            f"no notebook {', '.join(unknown)}; there are {', '.join(path.name[:2] for path in sources)}"
        )
    return [path for path in sources if path.name[:2] in only]


def _prepare(data: str | Path | None, sources: Sequence[Path]) -> None:
    """Fail before the first notebook where the data cannot be read; make the built-in families where they are used."""
    if not sources:
        return
    started = time.monotonic()
    if data is not None:
        from finlib.hashing.images import list_images

        print(f"{len(list_images(data)):,} images in {data}", flush=True)
        return
    from workbook.study.families import make_families

    print(f"{'built-in families':<32}", end="", flush=True)
    make_families()
    print(f"{time.monotonic() - started:>18.1f} s", flush=True)


def _run(source: Path, folder: Path, data: str | Path | None, home: Path) -> None:
    figures = folder / "figures"
    sizes = papermill.iorw.read_yaml_file(str(source.parent / "full_size.yaml"))
    parameters = {"out_dir": os.path.relpath(figures, source.parent), **sizes.get(source.stem, {})}
    if data is not None:
        parameters |= sizes.get("own_data", {}).get(source.stem, {})
        parameters["data_dir"] = os.path.relpath(Path(data).resolve(), source.parent)
    started = time.monotonic()
    print(f"{source.stem:<32}", end="", flush=True)
    try:
        executed = folder / "notebooks" / "executed" / source.name
        cells = run_notebook(
            source, executed, parameters, failed=home / "runs" / "failed" / source.name
        )
    except BaseException as error:
        print(" stopped", flush=True)
        print(getattr(error, "details", ""), file=sys.stderr)
        raise
    seconds = time.monotonic() - started
    print(f"{cells:>4} cells {seconds:>7.1f} s", flush=True)
    stamp_seconds(figures / f"{source.name[:2]}.json", seconds)
    kept = Results(figures).files
    for stale in figures.glob(f"{source.name[:2]}_*"):
        if stale.name not in kept:
            stale.unlink()


def _relink(text: str, home: Path, folder: Path) -> str:
    """The text with its links to files of the project leading there from another folder, but for what the run made."""

    def lead(match: re.Match[str]) -> str:
        target, mark, part = match[1].partition("#")
        if (
            "://" in target
            or not target
            or (folder / target).exists()
            or not (home / target).exists()
        ):
            return match[0]
        return f"]({os.path.relpath(home / target, folder)}{mark}{part})"

    return text if folder == home else re.sub(r"\]\(([^)\s]+)\)", lead, text)
