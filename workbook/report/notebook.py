"""What every notebook begins with: its parameters, its data and where it writes.

It also decides what a run of its size may claim.

    run = notebook.start("01", globals())  # after the cell of parameters
    data = run.data()                      # columns path and family; says how many images
    paths = run.sample(data, images)       # readable images, drawn at random from the seed
    run.table("stages", stages, ["stage", "ms"], key="stage")
    run.figure("size", ax, "Time grows with pixels to the power 1.53", trial="Time by size")
    run.say("Twice the pixels take three times as long.", trial="how time grows with the pixels")
    run.save()                             # last

A notebook has a parameter `full`. With True, every parameter that still has its default takes its
published size.
"""

import ast
import difflib
import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from numpy.random import default_rng

from finlib.hashing import decoding
from finlib.hashing.images import list_images
from finlib.scoring.labels import AUTO, Reading, read_names
from workbook.report import plots, record, style
from workbook.report.headings import PERCENT, heading_of
from workbook.report.record import HOME
from workbook.study import families
from workbook.study.timing import Ratio

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INJECTED = "# Parameters"
"""The first line of the cell that papermill adds."""

SEED = 2026
"""The seed of a notebook without a parameter `seed`."""

MOST_UNREADABLE = 5
"""How many pictures that cannot be read are named."""

FAMILY_SIZES = {"families", "per_family"}
"""Sizes of the built-in families, which do not matter to a run on other images."""

MISSING = "–"


@dataclass(frozen=True)
class Run:
    """One run of a notebook.

    parameters: by name. recorder: saves its tables and figures. full: whether its sizes are the
    published ones.
    """

    parameters: Mapping[str, Any]
    recorder: record.Recorder
    full: bool

    @property
    def seed(self) -> int:
        """The seed of everything that is drawn at random."""
        seed: int = self.parameters.get("seed", SEED)
        return seed

    def data(self, *, caption: bool = False) -> pd.DataFrame:
        """All images of the run: columns path and family; prints how many there are.

        They are those in the folder that the parameter `data_dir` names, otherwise `families`
        built-in families of `per_family` images (see `families.dataset`). caption: whether pictures
        without labels are templates to be captioned; otherwise they are taken as they are, with ""
        for their family.
        """
        if not self.parameters.get("data_dir"):
            return self._built_in_data()
        folder = data_folder(self.parameters["data_dir"])
        labels = self.parameters.get("labels", AUTO)
        reading = read_names(list_images(folder), labels)
        frame = families.dataset(folder, seed=self.seed, caption=caption, labels=labels)
        say(describe_data(frame, reading, folder.name))
        return frame

    def _built_in_data(self) -> pd.DataFrame:
        count = self.parameters.get("families", 0)
        per_family = self.parameters.get("per_family", 0)
        frame = families.dataset("", count, per_family, self.seed)
        say(
            f"{len(frame):,} images: {frame['family'].nunique():,} built-in families. "
            "To use your own, set `data_dir`."
        )
        return frame

    def sample(self, data: pd.DataFrame, images: int) -> list[str]:
        """Draw at most `images` pictures of the data that can be read; returns their paths.

        Prints how many were drawn and which could not be read. Raises ValueError if none can.
        """
        paths: list[str] = []
        unreadable: list[str] = []
        order = default_rng(self.seed).permutation(len(data))
        for path in data["path"].iloc[order]:
            if len(paths) == images:
                break
            try:
                decoding.open_picture(path)
            except (OSError, ValueError) as error:
                unreadable.append(str(error))
            else:
                paths.append(path)
        if not paths:
            raise ValueError(
                f"none of {len(data):,} pictures can be read; the first error: {unreadable[0]}"
            )
        width, height = decoding.open_picture(paths[0]).size
        text = f"{len(paths):,} of {len(data):,} pictures, drawn at random; "
        text += f"the first has {width} × {height} pixels."
        for error_text in unreadable[:MOST_UNREADABLE]:
            text += f"  \nLeft out: {error_text}"
        say(text)
        return paths

    def finding(
        self,
        text: str,
        *,
        at_trial: str,
    ) -> str:
        """The title of a figure: a finding only if the run has the published sizes.

        text: the finding. at_trial: the title of a smaller run.

        `at_trial` only names what is drawn, because a small run proves nothing; " (trial)" is added
        to it.
        """
        if self.full:
            return text
        return f"{at_trial} (trial)"

    def figure(
        self,
        slug: str,
        drawn: "Figure | Axes",
        finding: str,
        frame: pd.DataFrame | None = None,
        key: str | Sequence[str] | None = None,
        *,
        trial: str = "",
        note: str = "",
    ) -> None:
        """Give a figure its title, save it with the table behind it, and show it.

        drawn: the figure, or its only Axes. finding: its title. frame, key: the table, as for
        `Recorder.figure`. trial: what the figure shows, which is its title in a run that is not of
        the published sizes; without it the finding holds at any size. note: the number of images,
        units or the source, in small type. The figure's text alternative is made of its words.
        """
        title = self.finding(finding, at_trial=trial) if trial else finding
        fig = style.entitle(drawn, title, note)
        self.recorder.figure(slug, fig, frame, key, alternative=style.in_words(fig))

    def table(
        self,
        slug: str,
        frame: pd.DataFrame,
        columns: Sequence[str] = (),
        key: str | Sequence[str] | None = None,
        **headings: str,
    ) -> "HTML | None":
        """Save a table, and return it for readers if `columns` says which ones to show.

        slug, key: as for `Recorder.table`. headings: of columns whose heading is not that of
        `headings.HEADINGS`.
        """
        self.recorder.table(slug, frame, key=key)
        if not columns:
            return None
        return table(frame, headings_of(columns, **headings))

    def show(
        self,
        frame: pd.DataFrame,
        columns: Sequence[str],
        *,
        trial: str,
        **headings: str,
    ) -> "HTML | None":
        """Return a table for readers if the run has the published sizes.

        columns, headings: as for `table`. trial: what the table is about, as for `say`. A smaller
        run names only that, because the table is computed from times that say little.
        """
        if self.full:
            return table(frame, headings_of(columns, **headings))
        self.say("", trial=trial)
        return None

    def number(
        self,
        key: str,
        value: Any,
        *,
        low: Any = None,
        high: Any = None,
    ) -> None:
        """Record a number that stands in no table, as `Recorder.number` does."""
        self.recorder.number(key, value, low=low, high=high)

    def ratio(self, key: str, ratio: Ratio) -> None:
        """Record a ratio of times with its quartiles."""
        self.recorder.number(key, ratio.median, low=ratio.low, high=ratio.high)

    def say(self, finding: str, *, trial: str = "") -> None:
        """Show a finding in Markdown.

        trial: what the finding is about, as in "how much memory a row takes". A run that is not of
        the published sizes then names only that.
        """
        if trial and not self.full:
            finding = f"*A trial is too small to say {trial}; the published sizes do.*"
        say(finding)

    def explorer(
        self,
        slug: str,
        draw: "Callable[..., Figure]",
        actions: "Mapping[str, Callable[..., str]] | None" = None,
        **controls: Any,
    ) -> None:
        """Show controls above a figure that follows them, and save its first state.

        The arguments are those of `plots.explorer`. On a static page the saved figure stands in
        place of the controls.
        """
        from workbook.report import chooser  # ipywidgets take a while to import

        fig = draw(**{name: control.value for name, control in controls.items()})
        alternative = style.in_words(fig)
        png = self.recorder.picture(slug, fig)
        plt.close(fig)
        box = plots.explorer(draw, actions, **controls)
        record.show_box(box, png, alternative)
        if record.in_notebook() and chooser.takes_files(controls):
            display = sys.modules["IPython"].display
            display.display(display.HTML(chooser.DROP_SCRIPT.read_text(encoding="utf-8")))

    def save(self) -> None:
        """Write the numbers, with machine, versions, commit and date; a notebook's last call."""
        self.recorder.save()


def describe_data(
    frame: pd.DataFrame,
    reading: Reading,
    folder: str,
) -> str:
    """Say which images of a folder are used, how their names were read, and how to change that.

    frame: the images, with the columns path and family. reading: of the names. folder: its name.
    """
    files = reading.labelled + reading.others
    if reading.are_labels:
        used = f"{len(frame):,} of {files:,} images in `{folder}`, "
        used += style.count_of(reading.families, "family", "families")
    elif len(frame) > files:
        used = f"{len(frame):,} images: {files:,} templates in `{folder}`, captioned"
    else:
        used = f"All {style.count_of(files, 'picture')} in `{folder}`"
    otherwise = reading.otherwise('set labels = "{}"')
    return f"{used}. {reading.reason} {otherwise}".rstrip()


# Parameters ----------------------------------------------------------------------------------


def start(digits: str, names: MutableMapping[str, Any]) -> Run:
    """Begin a notebook: check its parameters and apply its published sizes if asked for.

    It also prints which sizes the run has.

    digits: of the notebook, like "01". names: its globals(). Raises ValueError if papermill set a
    parameter that the notebook does not have, or if it would write outside the checkout.
    """
    refuse_unknown_parameters(names.get("In", []))
    source = find_source(digits)
    defaults = parameters(source)
    published = published_sizes(source.stem)
    if names.get("full"):
        use_published_sizes(names, defaults, published)
    given = {name: names[name] for name in defaults if name in names}
    smaller = differing_sizes(given, published)
    style.use_style()
    if published:
        say(banner(smaller, given))
    recorder = record.Recorder(digits, output_folder(names["out_dir"]))
    return Run(given, recorder, full=not smaller)


def find_source(digits: str) -> Path:
    """The file of the notebook that begins with two digits.

    If there is none, the result is a name without a folder.
    """
    sources = sorted((HOME / "notebooks").glob(f"{digits}_*.ipynb"))
    if sources:
        return sources[0]
    return Path(f"{digits}.ipynb")


def use_published_sizes(
    names: MutableMapping[str, Any],
    defaults: Mapping[str, Any],
    published: Mapping[str, Any],
) -> None:
    """Give every parameter that still has its default its published size.

    names: the notebook's own, which are changed.
    """
    for name, size in published.items():
        if names.get(name) == defaults.get(name):
            names[name] = size


def differing_sizes(given: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    """The published sizes, by name, that a run does not have."""
    differing = {}
    for name, size in published.items():
        does_not_matter = name in FAMILY_SIZES and given.get("data_dir")
        if name in given and given[name] != size and not does_not_matter:
            differing[name] = size
    return differing


def parameters(source: Path) -> dict[str, Any]:
    """The parameters of a notebook and their defaults, from its cell tagged `parameters`.

    The result is {} if there is no such file.
    """
    if not source.exists():
        return {}
    defaults = {}
    for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            for name, value in assignments("".join(cell["source"])).items():
                defaults[name] = ast.literal_eval(value)
    return defaults


def published_sizes(stem: str) -> dict[str, Any]:
    """The parameters that the published run gives a notebook instead of its defaults.

    stem: of the notebook's file.
    """
    file = HOME / "notebooks" / "full_size.yaml"
    if not file.exists():
        return {}
    sizes: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return sizes.get(stem, {})


def refuse_unknown_parameters(cells: Sequence[str]) -> None:
    """Raise ValueError if papermill set a parameter that the notebook does not have.

    cells: the code that has run so far, as IPython keeps it in `In`.
    """
    known: set[str] = set()
    for code in cells:
        names = assignments(code)
        if code.startswith(INJECTED):
            for name in sorted(set(names) - known):
                raise ValueError(
                    f"the notebook has no parameter {name}: {suggest_parameter(name, known)}"
                )
        known |= set(names)


def suggest_parameter(name: str, known: set[str]) -> str:
    """The known name that is most like another one, or all of them."""
    similar = difflib.get_close_matches(name, known, 1)
    if similar:
        return f"did you mean {similar[0]}?"
    return f"there are {', '.join(sorted(known))}."


def assignments(code: str) -> dict[str, ast.expr]:
    """The plain assignments of a cell: its names with their expressions.

    The result is {} for a cell with IPython's own syntax.
    """
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return {}
    expressions = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            expressions[statement.targets[0].id] = statement.value
    return expressions


def banner(smaller: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Say whether a run has the published sizes, in Markdown.

    smaller: the published sizes that it does not have. given: its own parameters.
    """
    if not smaller:
        if given.get("data_dir"):
            return "**Your own images**, with the published run's other sizes."
        return "**Published sizes.**"
    sizes = "; ".join(f"{name} {given[name]} ({size})" for name, size in smaller.items())
    return (
        "**A trial**: its sizes differ from the published run's, so its figures claim nothing. "
        "Set `full = True` for the published sizes."
        f"<br><small>Here (published): {sizes}</small>"
    )


# Folders -------------------------------------------------------------------------------------


def output_folder(out_dir: str | Path) -> Path:
    """The folder that a run writes to: an absolute path as it is, any other inside the checkout.

    It does not matter where the run was started: `runs/mine` is relative to the checkout's root,
    and `../runs/mine` to its notebooks/. Raises ValueError for a folder outside the checkout.
    """
    if Path(out_dir).is_absolute():
        return Path(out_dir)
    home = HOME if (HOME / "notebooks").is_dir() else Path.cwd()
    base = home / "notebooks" if str(out_dir).startswith("..") else home
    folder = (base / out_dir).resolve()
    if home not in folder.parents:
        raise ValueError(
            f"out_dir={str(out_dir)!r} is outside the checkout: "
            "give a folder inside it, like 'runs/mine/figures'"
        )
    return folder


def data_folder(data_dir: str | Path) -> Path:
    """Find a folder of one's own images.

    A relative path starts where the run was started, otherwise at the checkout's root.

    Raises FileNotFoundError if neither exists.
    """
    path = Path(data_dir).expanduser()
    for base in (Path.cwd(), HOME):
        if (base / path).exists():
            return (base / path).resolve()
    raise FileNotFoundError(
        f"data_dir={str(data_dir)!r}: there is no such folder in {(Path.cwd() / path).parent}. "
        "Give its full path."
    )


# What a notebook shows -----------------------------------------------------------------------


def table(
    frame: pd.DataFrame,
    headings: Mapping[str, str],
    digits: int = 3,
) -> "HTML":
    """A table for readers: some columns of a frame under plain headings.

    headings: the heading of each column to show; under one that ends in ", %", shares are written
    as percentages. digits: the significant digits of floats. Values under a thousandth are written
    as 1.2e-05, NaN and infinity as a dash. Names of hashers become their labels.
    """
    from IPython.display import HTML

    head = "".join(cell_of("th", heading, frame[name]) for name, heading in headings.items())
    rows = []
    for place in range(len(frame)):
        cells = []
        for name, heading in headings.items():
            value = frame[name].iloc[place]
            text = percentage(value) if heading.endswith(PERCENT) else readable(value, digits)
            cells.append(cell_of("td", text, frame[name]))
        rows.append("<tr>" + "".join(cells) + "</tr>")
    body = "\n".join(rows)
    return HTML(
        '<div style="overflow-x: auto"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def cell_of(
    kind: str,
    text: str,
    column: pd.Series,
) -> str:
    """A cell of a table in HTML: words begin at the left, numbers end at the right and never wrap.

    kind: "th" or "td". column: the values of its column, which say what it holds.
    """
    is_number = pd.api.types.is_numeric_dtype(column) and column.dtype != bool
    look = "text-align: right; white-space: nowrap" if is_number else "text-align: left"
    if kind == "th":
        look = look.replace("nowrap", "normal")
    return f'<{kind} style="{look}">{escape(text)}</{kind}>'


def percentage(value: Any) -> str:
    """A share as a percentage with three significant digits, without its sign."""
    if not math.isfinite(value):
        return MISSING
    return f"{100 * value:.3g}"


def headings_of(columns: Sequence[str], **others: str) -> dict[str, str]:
    """The headings of the columns to show, for `table`.

    others: those that are not to be `headings.HEADINGS`', by the column's name.
    """
    return {name: others.get(name, heading_of(name)) for name in columns}


def readable(value: Any, digits: int = 3) -> str:
    """A cell of a table for readers; see `table`."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return readable_float(float(value), digits)
    names = str(value).split(", ")
    return ", ".join(label_of_hasher(name) for name in names)


def readable_float(number: float, digits: int) -> str:
    """A float with so many significant digits; see `table`."""
    if not math.isfinite(number):
        return MISSING
    if number == 0:
        return "0"
    if abs(number) < 1e-3:
        return f"{number:.{digits - 2}e}"
    magnitude = math.floor(math.log10(abs(number)))
    decimals = max(0, digits - 1 - magnitude)
    return f"{number:,.{decimals}f}"


def label_of_hasher(name: str) -> str:
    """The label of a hasher, or of a sum of hashers; any other text as it is."""
    stems = [style.split(part)[0] for part in name.split("+")]
    is_hasher = all(stem in style.LOOKS for stem in stems)
    return style.label(name) if is_hasher else name


def source(*functions: Any, folded: bool = False) -> "HTML":
    """Show the source of functions.

    folded: whether it is hidden behind one line that opens on a click, for what few readers need.
    """
    from IPython.display import HTML, Code

    plain = [plain_function(function) for function in functions]
    text = "\n\n".join(inspect.getsource(function) for function in plain)
    code = Code(text, language="python")._repr_html_()
    code = code.replace("<pre>", '<pre style="font-family: monospace">')
    if not folded:
        return HTML(code)
    names = ", ".join(
        f"<code>{function.__module__}.{function.__qualname__}</code>" for function in plain
    )
    return HTML(f"<details><summary>{names}</summary>{code}</details>")


def plain_function(function: Any) -> Any:
    """The Python function inside one that numba compiled or that a decorator wraps."""
    wrapped = getattr(function, "__wrapped__", function)
    return getattr(function, "py_func", wrapped)


def say(text: str) -> None:
    """Show Markdown in a notebook; elsewhere print it."""
    if record.in_notebook():
        display = sys.modules["IPython"].display
        display.display(display.Markdown(text))
    else:
        print(text)


# How long something takes --------------------------------------------------------------------


def roughly(seconds: float) -> str:
    """A length of time in words: "about 20 s", "about 3 minutes", "about 2 hours"."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {max(1.0, seconds):.0f} s"


def medians_of(rounds: int) -> str:
    """Say what the times of a figure are: "medians of 3" rounds, or "one timing each"."""
    return "one timing each" if rounds == 1 else f"medians of {rounds}"


def estimate(
    call: Callable[[Sequence[Any]], Any],
    items: Sequence[Any],
    sample: int = 20,
) -> str:
    """Estimate how long call(items) will take, in words.

    It is timed on the first `sample` items.

    One item is processed before that, so that nothing is timed on its first use.
    """
    call(items[:1])
    started = perf_counter()
    call(items[:sample])
    seconds = perf_counter() - started
    seconds_per_item = seconds / min(sample, len(items))
    return roughly(seconds_per_item * len(items))


def run_times(figures: Path | None = None) -> pd.DataFrame:
    """How long the published run of each notebook took: columns notebook, seconds, cpu and cores.

    figures: the folder with the notebooks' NN.json, by default the checkout's.
    """
    rows = []
    for file in sorted((figures or HOME / "figures").glob("[0-9][0-9].json")):
        stamp = json.loads(file.read_text(encoding="utf-8"))["stamp"]
        rows.append((file.stem, stamp.get("seconds"), stamp["cpu"], stamp["cores"]))
    times = pd.DataFrame(rows, columns=["notebook", "seconds", "cpu", "cores"])
    return times.dropna()
