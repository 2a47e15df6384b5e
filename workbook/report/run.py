"""The main job: run the notebooks at full size and render the report.

The report is rendered from report.md.j2 as report.md, HTML and PDF.

Without images of one's own, everything is written in place: figures/, notebooks/executed/,
report.md, report.html and report.pdf. With a folder of images, everything is written under
runs/NAME/, so that the published results stay as they are. `publish_tables` then copies that run's
tables and numbers to figures/NAME/, where the report can quote them as those of a second data set.
What separate commands measured, such as scale.json, stays in figures/. The figure of costs is
calculated from their tables and those of the notebooks, so a run in place makes it again.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import papermill

from workbook.report import costs
from workbook.report.execute import NotebookError, run_notebook
from workbook.report.filling import (
    MOST_WORDS,
    FilledReport,
    fill,
    length_problems,
    reasons_not_to_publish,
)
from workbook.report.record import HOME, stamp_seconds
from workbook.report.rendering import cover, render
from workbook.report.results import ReportError, Results

TEMPLATE = "report.md.j2"
RUN_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Extra(NamedTuple):
    """The seconds that a notebook takes for each further image, and for each further pair."""

    image: float
    pair: float


EXTRA = {"05": Extra(1.8e-3, 4e-8), "06": Extra(6e-4, 2e-8)}
"""Estimated from the processor time of notebook 05 on 15,455 images and of single steps on 55,972,
of which two cores each do half. The other notebooks look at a fixed number of images.
"""

LINK = re.compile(r"\]\(([^)\s]+)\)")


def run_report(
    data: str | Path | None = None,
    name: str | None = None,
    *,
    only: Sequence[str] | None = None,
    publish: bool = False,
    home: Path = HOME,
) -> FilledReport | None:
    """Run the notebooks and render the report; returns its text with the claims that do not hold.

    data: a folder of images; None for the built-in families. name: of the run under runs/, by
    default the folder's. only: the notebooks to run, by their digits ("05"); an empty list renders
    the report from what exists. On images of one's own, no report is rendered and the result is
    None until all notebooks have run. publish: whether to call `publish_tables` after the run; with
    a name and without data, nothing else is done and the result is None. home: the checkout.

    Raises ValueError for wrong use, NotebookError if a cell fails, and RuntimeError if the report
    cannot be filled. The details are printed to standard error before that.
    """
    check_checkout(home)
    if data is None and name is not None and publish:
        publish_and_report(run_name(name, name), home)
        return None
    if data is None and (name is not None or publish):
        raise ValueError(
            "only a run on your own images has a name and can be published as a second data set: "
            "give --data as well, or both --name and --publish for a run that was made before"
        )
    folder = home if data is None else home / "runs" / run_name(data, name)
    sources = choose_notebooks(home, only)
    images = prepare_data(data, needed=bool(sources))
    if images and sources:
        print(f"this will take {forecast(sources, images, home)}", flush=True)
    started = time.monotonic()
    for source in sources:
        run_one(source, folder, data, home)
    if data is not None and publish:  # before the report is filled, because it may quote the tables
        publish_and_report(folder.name, home)
    if sources and folder == home and costs.has_sources(home / "figures"):
        costs.record(home / "figures")
    to_run = notebooks_without_results(folder, home)
    if data is not None and to_run:
        print(f"no report is written yet; still to run on these images: {', '.join(to_run)}")
        return None
    results, filled = fill_report(folder, home)
    line = f"{cover(results)} · {filled.words:,} words without tables and references"
    written = [folder / "report.md", *render(folder / "report.md", line, home)]
    seconds = time.monotonic() - started
    print(f"{filled.words:,} of {MOST_WORDS:,} words; {seconds:,.0f} s")
    reasons = []
    if folder == home:
        reasons = [*reasons_not_to_publish(results), *length_problems(filled.text)]
    print_problems(filled, reasons)
    print("written:", *(os.path.relpath(path) for path in written), flush=True)
    return filled


def check_checkout(home: Path) -> None:
    """Raise ReportError unless the folder is a checkout of the workbook."""
    has_notebooks = (home / "notebooks").is_dir()
    has_template = (home / TEMPLATE).is_file()
    if not (has_notebooks and has_template):
        raise ReportError(
            "the report can only be made in a checkout of the workbook: "
            f"{home} has no notebooks/ or no {TEMPLATE}"
        )


# Names and notebooks -------------------------------------------------------------------------


def run_name(data: str | Path, name: str | None = None) -> str:
    """The name of a run under runs/.

    It is the one given, or that of the folder of images in small letters.

    Raises ValueError for a given name of another form.
    """
    if name is None:
        folder = Path(data).resolve().name.lower()
        name = re.sub(r"[^a-z0-9]+", "_", folder).strip("_")
        if not name[:1].isalpha():
            name = f"data_{name}".strip("_")
    if not RUN_NAME.fullmatch(name):
        raise ValueError(
            "a run's name is made of a-z, 0-9 and '_' and begins with a letter, like 'memes'; "
            f"got {name!r}"
        )
    return name


def choose_notebooks(home: Path, only: Sequence[str] | None) -> list[Path]:
    """The notebooks to run, in order: all of them, or those with these digits.

    Raises ValueError for digits that no notebook has.
    """
    sources = sorted((home / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if only is None:
        return sources
    by_digits = {path.name[:2]: path for path in sources}
    unknown = sorted(set(only) - set(by_digits))
    if unknown:
        names = ", ".join(repr(digits) for digits in unknown)
        raise ValueError(f"there is no notebook {names}; choose from {', '.join(by_digits)}")
    return [path for digits, path in by_digits.items() if digits in only]


def notebooks_without_results(folder: Path, home: Path) -> list[str]:
    """The digits of the notebooks that have left no results in a run's folder."""
    sources = choose_notebooks(home, None)
    digits = [source.name[:2] for source in sources]
    return [name for name in digits if not (folder / "figures" / f"{name}.json").exists()]


# Data and notebooks --------------------------------------------------------------------------


def prepare_data(data: str | Path | None, *, needed: bool) -> int:
    """Make sure that the images are there before the first notebook runs; returns their number.

    The images in a folder are listed, so that a folder that cannot be read fails at once.

    Without a folder, the built-in families are made. needed: False if no notebook is run; the
    number is then 0.
    """
    if not needed:
        return 0
    started = time.monotonic()
    if data is not None:
        from finlib.hashing.images import list_images

        images = len(list_images(data))
        print(f"{images:,} images in {data}", flush=True)
        return images
    from workbook.study.families import FAMILIES, PER_FAMILY, make_families

    print(f"{'built-in families':<32}", end="", flush=True)
    make_families()
    print(f"{time.monotonic() - started:>18.1f} s", flush=True)
    return FAMILIES * PER_FAMILY


def forecast(sources: Sequence[Path], images: int, home: Path) -> str:
    """How long a run of these notebooks will take on so many images, in words.

    It is the time of the published run, which its machine took for the built-in images, and what
    more images add to it: a time for each image and one for each pair, as EXTRA has them.
    """
    from workbook.report.notebook import roughly, run_times
    from workbook.study.families import FAMILIES, PER_FAMILY

    published = run_times(home / "figures").set_index("notebook")
    digits = [source.name[:2] for source in sources]
    known = published.loc[published.index.isin(digits)]
    if len(known) < len(digits):
        return "a time that is not known, because no earlier run was timed"
    built_in = FAMILIES * PER_FAMILY
    more_images = max(0, images - built_in)
    more_pairs = max(0, images**2 - built_in**2) / 2
    seconds = float(known["seconds"].sum())
    for name in digits:
        extra = EXTRA.get(name, Extra(0, 0))
        seconds += more_images * extra.image + more_pairs * extra.pair
    machine = known.iloc[-1]
    return (
        f"{roughly(seconds)} on a machine like that of the published run, "
        f"{machine['cpu']} with {machine['cores']} cores"
    )


def run_one(
    source: Path,
    folder: Path,
    data: str | Path | None,
    home: Path,
) -> None:
    """Run one notebook and print a line on how it went.

    Files of an earlier run that it no longer makes are deleted.

    source: the notebook. folder: where its figures and the executed notebook are written. A
    notebook that fails is left in runs/failed/.
    """
    figures = folder / "figures"
    executed = folder / "notebooks" / "executed" / source.name
    failed = home / "runs" / "failed" / source.name
    parameters = full_size_parameters(source, figures, data)
    started = time.monotonic()
    print(f"{source.stem:<32}", end="", flush=True)
    try:
        cells = run_notebook(source, executed, parameters, failed=failed)
    except BaseException as error:
        print(" stopped", flush=True)
        if isinstance(error, NotebookError):
            print(error.details, file=sys.stderr)
        raise
    seconds = time.monotonic() - started
    print(f"{cells:>4} cells {seconds:>7.1f} s", flush=True)
    digits = source.name[:2]
    stamp_seconds(figures / f"{digits}.json", seconds)
    recorded = Results(figures).files
    for path in figures.glob(f"{digits}_*"):
        if path.name not in recorded:
            path.unlink()


def full_size_parameters(
    source: Path,
    figures: Path,
    data: str | Path | None,
) -> dict[str, Any]:
    """The parameters that the main job gives a notebook.

    They are the published sizes, where it writes, and the folder of images.

    Folders are relative to the notebook's own, so that the executed notebook does not name the
    machine's.
    """
    sizes = papermill.iorw.read_yaml_file(str(source.parent / "full_size.yaml"))
    parameters = {"out_dir": os.path.relpath(figures, source.parent)}
    parameters |= sizes.get(source.stem, {})
    if data is not None:
        parameters |= sizes.get("own_data", {}).get(source.stem, {})
        parameters["data_dir"] = os.path.relpath(Path(data).resolve(), source.parent)
    return parameters


# The report ----------------------------------------------------------------------------------


def fill_report(folder: Path, home: Path) -> tuple[Results, FilledReport]:
    """Write report.md into a run's folder; returns the results that it quotes, and its text.

    Raises RuntimeError if it cannot be filled, after printing what is wrong, and leaves report.md
    as it was.
    """
    template = (home / TEMPLATE).read_text(encoding="utf-8")
    if folder != home:
        template = move_links(template, home, folder)
    try:
        results = Results(folder / "figures", home / "figures")
        filled = fill(
            template,
            results,
            folder=folder,
            name=TEMPLATE,
        )
    except ReportError as error:
        print(error, file=sys.stderr)
        count = len(str(error).splitlines())
        raise RuntimeError(
            f"the report cannot be filled because of {count} problem{'s' if count > 1 else ''}, "
            "listed above"
        ) from None
    (folder / "report.md").write_text(filled.text, encoding="utf-8", newline="\n")
    return results, filled


def move_links(
    text: str,
    home: Path,
    folder: Path,
) -> str:
    """Markdown whose links to files in `home` still work from another folder.

    Links to what the run itself made in that folder stay as they are.
    """

    def move_link(link: re.Match[str]) -> str:
        target, mark, section = link[1].partition("#")
        is_file_of_project = target and "://" not in target and (home / target).exists()
        if not is_file_of_project or (folder / target).exists():
            return link[0]
        return f"]({os.path.relpath(home / target, folder)}{mark}{section})"

    return LINK.sub(move_link, text)


def print_problems(filled: FilledReport, reasons: Sequence[str]) -> None:
    """Print the claims that do not hold on this run, and the reasons not to publish its results."""
    if filled.broken_claims:
        count = len(filled.broken_claims)
        print(f"{count} claim{'s do' if count > 1 else ' does'} not hold on this run, as marked:")
        for claim in filled.broken_claims:
            print(f"  {claim}")
    if reasons:
        print("these results are fine to read; what stands against publishing them:")
        for reason in reasons:
            print(f"  {reason}")


# A second data set ---------------------------------------------------------------------------


def publish_tables(name: str, home: Path = HOME) -> Path:
    """Copy the numbers and tables of runs/NAME to figures/NAME.

    The report quotes them as NAME.05.key.

    Raw tables are left out. Returns the folder that was written; raises ReportError if there is no
    such run.
    """
    source = home / "runs" / name / "figures"
    target = home / "figures" / name
    numbers = sorted(source.glob("[0-9][0-9].json"))
    if not numbers:
        raise ReportError(
            f"there is no run named {name!r}: first make it with "
            f"python -m workbook report --data FOLDER --name {name}"
        )
    tables = [path for path in sorted(source.glob("*.csv")) if not path.stem.endswith("_raw")]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in [*tables, *numbers]:
        shutil.copyfile(path, target / path.name)
    return target


def publish_and_report(name: str, home: Path) -> None:
    """Publish the tables of a run and print where they are."""
    print("published:", os.path.relpath(publish_tables(name, home)))
