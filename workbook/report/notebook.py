"""What every notebook begins with: its parameters, its data and where it writes.

It also decides what a run of its size may claim.

    run = notebook.start("01", globals())  # after the cell of parameters
    data = run.data()                      # columns path and family; prints how many images
    paths = run.sample(data, images)       # readable images, drawn at random from the seed
    style.finding(ax, run.finding("Exponent 1.53", at_trial="Seconds against pixels"))

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
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from numpy.random import default_rng

from finlib.hashing import decoding
from finlib.hashing.images import list_images
from workbook.report import record, style
from workbook.report.record import HOME
from workbook.study import families

if TYPE_CHECKING:
    from IPython.display import HTML

INJECTED = "# Parameters"
"""The first line of the cell that papermill adds."""

SEED = 2026
"""The seed of a notebook without a parameter `seed`."""

MOST_UNREADABLE = 5
"""How many pictures that cannot be read are named."""

FAMILY_SIZES = {"families", "per_family"}
"""Sizes of the built-in families, which do not matter to a run on other images."""

BELOW_RESOLUTION = "below resolution"
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
        files = len(list_images(folder))
        frame = families.dataset(folder, seed=self.seed, caption=caption)
        say(describe_data(frame, files, folder.name))
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


def describe_data(
    frame: pd.DataFrame,
    files: int,
    folder: str,
) -> str:
    """Say in a sentence which images of a folder are used.

    frame: the images, with the columns path and family. files: how many pictures the folder has.
    folder: its name.
    """
    if not frame["family"].any():
        return (
            f"All {files:,} pictures in `{folder}`. "
            "Names like FFFF_ID.jpg would say which family each belongs to."
        )
    if len(frame) > files:
        return f"{len(frame):,} images: {files:,} templates in `{folder}`, captioned."
    count = frame["family"].nunique()
    text = f"{len(frame):,} of {files:,} images in `{folder}`, {count:,} families"
    if len(frame) == files:
        return f"{text}."
    return f"{text}; the others are not named FFFF_ID.ext."


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

    headings: the heading of each column to show. digits: the significant digits of floats. Values
    under a thousandth are written as 1.2e-05, a measured 0 as "below resolution", NaN and infinity
    as a dash. Names of hashers become their labels.
    """
    from IPython.display import HTML

    def shown(value: Any) -> str:
        return readable(value, digits)

    texts = frame[list(headings)].map(shown)
    texts = texts.rename(columns=dict(headings)).rename_axis(columns=None)
    return HTML(texts.to_html(index=False, border=0))


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
        return BELOW_RESOLUTION
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
