"""What every notebook begins with: its parameters checked, its data, where it writes, what a run of its size may say.

    run = notebook.start("01", globals())   # after the parameters cell
    data = run.data()                       # columns path and family; says how many of how many
    paths = run.sample(data, images)        # readable ones, drawn from the seed
    style.finding(ax, run.finding("Exponent 1.53", at_trial="Seconds against pixels"))

A notebook has a parameter `full`: True takes the published sizes for every parameter that was not set otherwise.
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
from workbook.study import families

if TYPE_CHECKING:
    from IPython.display import HTML

HOME = Path(__file__).resolve().parents[2]
INJECTED = "# Parameters"  # papermill's first line in the cell that it adds


@dataclass(frozen=True)
class Run:
    """One run of a notebook: its parameters, its recorder, and whether its sizes are the published ones."""

    parameters: Mapping[str, Any]
    recorder: record.Recorder
    full: bool

    def data(self, *, caption: bool = False) -> pd.DataFrame:
        """All images of the parameters' `data_dir`, else `families` x `per_family` built-in ones: `families.dataset`.

        Says how many of how many. caption: a folder without labels holds templates to caption; else its pictures are
        taken as they are, with "" for a family.
        """
        given = self.parameters.get
        if not given("data_dir"):
            frame = families.dataset(
                "", given("families", 0), given("per_family", 0), given("seed", 2026)
            )
            _say(
                f"{len(frame):,} images: {frame['family'].nunique():,} built-in families. Yours: set `data_dir`."
            )
            return frame
        folder = data_folder(given("data_dir", ""))
        found = len(list_images(folder))
        frame = families.dataset(folder, seed=given("seed", 2026), caption=caption)
        kinds = frame["family"].nunique()
        if not frame["family"].any():
            text = f"all {found:,} pictures in `{folder.name}`; names like FFFF_ID.jpg would tell their families."
        elif len(frame) > found:
            text = f"{len(frame):,} images: {found:,} templates in `{folder.name}`, captioned."
        else:
            text = f"{len(frame):,} of {found:,} images in `{folder.name}`, {kinds:,} families"
            text += "." if len(frame) == found else "; the others are not named FFFF_ID.ext."
        _say(text[:1].upper() + text[1:])
        return frame

    def sample(self, data: pd.DataFrame, images: int) -> list[str]:
        """Paths of at most `images` of the data's pictures that can be read, in an order drawn from the seed.

        Says how many, and which could not be read. ValueError where none can.
        """
        paths: list[str] = []
        unread: list[str] = []
        for path in data["path"].iloc[
            default_rng(self.parameters.get("seed", 2026)).permutation(len(data))
        ]:
            if len(paths) == images:
                break
            try:
                decoding.open_picture(path)
            except (OSError, ValueError) as error:
                unread.append(str(error))
            else:
                paths.append(path)
        if not paths:
            raise ValueError(f"none of {len(data):,} pictures can be read; the first: {unread[0]}")
        width, height = decoding.open_picture(paths[0]).size
        left_out = "".join(f"  \nLeft out: {why}" for why in unread[:5])
        _say(
            f"{len(paths):,} of {len(data):,} pictures, drawn; the first is {width} × {height} pixels.{left_out}"
        )
        return paths

    def finding(self, text: str, *, at_trial: str) -> str:
        """`text`, a finding, where the run has the published sizes; else `at_trial`, which asserts nothing of sizes."""
        return text if self.full else f"{at_trial} (trial)"


def start(digits: str, names: MutableMapping[str, Any]) -> Run:
    """Check the parameters of notebook `digits`, take published sizes where `full`, and say which sizes these are.

    names: the notebook's globals(). ValueError for a parameter that papermill set and the notebook lacks, or for a
    folder outside the checkout.
    """
    _refuse_unknown(names.get("In", []))
    source = next(
        iter(sorted((HOME / "notebooks").glob(f"{digits}_*.ipynb"))), Path(f"{digits}.ipynb")
    )
    default, published = parameters(source), published_sizes(source.stem)
    if names.get("full"):
        names.update(
            {key: size for key, size in published.items() if names.get(key) == default.get(key)}
        )
    given = {key: names[key] for key in default if key in names}
    smaller = {key: size for key, size in published.items() if key in given and given[key] != size}
    if given.get("data_dir"):
        smaller = {
            key: size for key, size in smaller.items() if key not in {"families", "per_family"}
        }
    style.use_style()
    if published:
        _say(_banner(smaller, given))
    return Run(given, record.Recorder(digits, output_folder(names["out_dir"])), not smaller)


def parameters(source: Path) -> dict[str, Any]:
    """Name -> default of a notebook's cell tagged `parameters`; {} without a file."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"] if source.exists() else []
    tagged = [
        "".join(cell["source"])
        for cell in cells
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    return {
        name: ast.literal_eval(value) for code in tagged for name, value in _assigned(code).items()
    }


def published_sizes(stem: str) -> dict[str, Any]:
    """What the published run gives notebook `stem` in place of its defaults."""
    file = HOME / "notebooks" / "full_size.yaml"
    sizes: dict[str, dict[str, Any]] = (
        yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    )
    return sizes.get(stem, {})


def output_folder(out_dir: str | Path) -> Path:
    """Where a run writes: an absolute `out_dir`, else one in the checkout, wherever the run was started.

    `runs/mine` is seen from the checkout's root, `../runs/mine` from its notebooks/. ValueError for one outside.
    """
    home = HOME if (HOME / "notebooks").is_dir() else Path.cwd()
    if Path(out_dir).is_absolute():
        return Path(out_dir)
    folder = ((home / "notebooks" if str(out_dir).startswith("..") else home) / out_dir).resolve()
    if home not in folder.parents:
        raise ValueError(
            f"out_dir={str(out_dir)!r} is outside the checkout: give one in it, like 'runs/mine/figures'"
        )
    return folder


def data_folder(data_dir: str | Path) -> Path:
    """The folder of one's own images, seen from where the run was started, else from the checkout's root."""
    places = [base / Path(data_dir).expanduser() for base in (Path.cwd(), HOME)]
    if not any(place.exists() for place in places):
        raise FileNotFoundError(
            f"data_dir={str(data_dir)!r}: no such folder in {places[0].parent}. Give its full path."
        )
    return next(place for place in places if place.exists()).resolve()


def table(frame: pd.DataFrame, headings: Mapping[str, str], digits: int = 3) -> "HTML":
    """The columns of `headings` under those words, for a reader: floats to `digits` significant digits.

    Less than a thousandth is written as 1.2e-05. A measured 0 is "below resolution", NaN and infinity a dash. Hashers
    have their labels.
    """
    from IPython.display import HTML

    def named(text: str) -> str:
        return (
            style.label(text)
            if all(style.split(part)[0] in style.LOOKS for part in text.split("+"))
            else text
        )

    def shown(value: Any) -> str:
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if isinstance(value, int | np.integer):
            return f"{value:,}"
        if not isinstance(value, float | np.floating):
            return ", ".join(map(named, str(value).split(", ")))
        number = float(value)
        if not math.isfinite(number):
            return "–"
        if number == 0:
            return "below resolution"
        if abs(number) < 1e-3:
            return f"{number:.{digits - 2}e}"
        return f"{number:,.{max(0, digits - 1 - math.floor(math.log10(abs(number))))}f}"

    kept = frame[list(headings)].map(shown).rename(columns=dict(headings)).rename_axis(columns=None)
    return HTML(kept.to_html(index=False, border=0))


def source(*functions: Any, folded: bool = False) -> "HTML":
    """The source of functions; `folded` to one line that opens on a click: for what a reader need not see."""
    from IPython.display import HTML, Code

    plain = [
        getattr(function, "py_func", getattr(function, "__wrapped__", function))
        for function in functions
    ]
    code = (
        Code("\n\n".join(map(inspect.getsource, plain)), language="python")
        ._repr_html_()
        .replace("<pre>", '<pre style="font-family: monospace">')
    )
    names = ", ".join(
        f"<code>{function.__module__}.{function.__qualname__}</code>" for function in plain
    )
    return HTML(f"<details><summary>{names}</summary>{code}</details>" if folded else code)


def roughly(seconds: float) -> str:
    """ "about 20 s", "about 3 minutes", "about 2 hours"."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {max(1.0, seconds):.0f} s"


def estimate(call: Callable[[Sequence[Any]], Any], items: Sequence[Any], sample: int = 20) -> str:
    """How long call(items) will take, from timing it on `sample` of them after one to warm up: `roughly`."""
    call(items[:1])
    started = perf_counter()
    call(items[:sample])
    return roughly((perf_counter() - started) / min(sample, len(items)) * len(items))


def run_times(figures: Path | None = None) -> pd.DataFrame:
    """What the published run of each notebook took, from the NN.json in `figures`: columns notebook, seconds, cpu,
    cores."""
    rows = []
    for file in sorted((figures or HOME / "figures").glob("[0-9][0-9].json")):
        where = json.loads(file.read_text(encoding="utf-8"))["stamp"]
        rows.append((file.stem, where.get("seconds"), where["cpu"], where["cores"]))
    return pd.DataFrame(rows, columns=["notebook", "seconds", "cpu", "cores"]).dropna()


def _refuse_unknown(cells: Sequence[str]) -> None:
    for place, code in enumerate(cells):
        if code.startswith(INJECTED):
            known = {name for earlier in cells[:place] for name in _assigned(earlier)}
            for name in sorted(set(_assigned(code)) - known):
                near = difflib.get_close_matches(name, known, 1)
                hint = (
                    f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}."
                )
                raise ValueError(f"the notebook has no parameter {name}: {hint}")


def _assigned(code: str) -> dict[str, ast.expr]:
    try:
        lines = ast.parse(code).body
    except SyntaxError:  # a cell with IPython's own syntax
        return {}
    pairs = [(line.targets[0], line.value) for line in lines if isinstance(line, ast.Assign)]
    return {target.id: value for target, value in pairs if isinstance(target, ast.Name)}


def _banner(smaller: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if not smaller:
        return "**Published sizes.**"
    sizes = "; ".join(f"{key} {given[key]} ({size})" for key, size in smaller.items())
    return (
        "**A trial**: its sizes are not the published run's, so it asserts no findings. `full = True` takes those "
        f"sizes.<br><small>Here (published): {sizes}</small>"
    )


def _say(text: str) -> None:
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        sys.modules["IPython"].display.display(sys.modules["IPython"].display.Markdown(text))
    else:
        print(text)
