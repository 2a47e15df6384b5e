"""Save a notebook's tables, figures and numbers, and say where they come from.

A notebook makes one `Recorder` and calls its `save` last. The report may quote only what was saved.
Everything lies in one folder:

    NN_slug.png       a figure
    NN_slug.csv       the table behind it, or any other table; NN_slug_raw.csv has all repeats
    NN.json           {"stamp": {...}, "numbers": {key: {"value", "low", "high"}},
                      "keys": {slug: [column]}, "files": [name]}

The stamp says where, when and from which code the files come. A notebook that stops half-way leaves
no NN.json.
"""

import base64
import importlib.metadata
import json
import math
import os
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOME = Path(__file__).resolve().parents[2]
"""The checkout's root, in which finlib/, workbook/, notebooks/ and figures/ lie."""

SOURCES = ("finlib", "workbook", "notebooks/*.ipynb", ":!notebooks/executed")
"""The sources that results depend on, as git's pathspecs.

A change in one of them marks the commit in the stamp.
"""

KEY = re.compile(r"[a-z0-9_](?:[a-z0-9_.+-]*[a-z0-9_])?")
SLUG = re.compile(r"[a-z0-9_]+")
NOTEBOOK = re.compile(r"\d\d|[a-z][a-z0-9_]*")

FLOAT_FORMAT = "%.10g"
"""How floats are saved: more digits would only record the last bits of the arithmetic."""

PACKAGES = (
    "finlib",
    "numpy",
    "scipy",
    "pandas",
    "pillow",
    "numba",
    "imagehash",
    "scikit-learn",
    "simplejpeg",
    "faiss-cpu",
    "opencv-contrib-python-headless",
)
"""The packages that decide speed or accuracy, whose versions are recorded."""

SIMD_FEATURES = ("avx2", "avx512bw", "avx512_vpopcntdq", "asimd")
"""The features of a processor that the kernels can use, as Linux names them."""


# Machine and versions ------------------------------------------------------------------------


@cache
def machine() -> dict[str, Any]:
    """What the measurements ran on: cpu, simd, cores, memory_gib, system and python.

    simd names the processor's features that matter here; cores are those that this process may use.
    """
    cpu, simd = processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "simd": simd,
        "cores": usable_cores(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def processor() -> tuple[str, str]:
    """The processor's name and its `SIMD_FEATURES`, separated by spaces.

    Features that are not known are "".
    """
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = re.findall(
            r"^(model name|flags|Features)\s*:\s*(.*)$", info.read_text(), re.MULTILINE
        )
        fields: dict[str, str] = dict(lines)
        name = fields.get("model name", name)
        flags = fields.get("flags", fields.get("Features", "")).split()
        return name, " ".join(feature for feature in SIMD_FEATURES if feature in flags)
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return name, ""


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def versions() -> dict[str, str]:
    """The installed versions of `PACKAGES`; those that are not installed are left out."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


@cache
def commit(checkout: Path = HOME) -> str:
    """The short commit of a checkout; "" outside git.

    A "+" follows if the code has changed since that commit.
    """
    try:
        changes = git(checkout, "status", "--porcelain", "--", *SOURCES)
        head = git(checkout, "rev-parse", "--short=10", "HEAD")
    except FileNotFoundError:  # git is not installed
        return ""
    return f"{head}+" if changes else head


def git(checkout: Path, *arguments: str) -> str:
    """What a git command prints in a checkout; "" where it fails."""
    command = ["git", "-C", str(checkout), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        return ""
    return finished.stdout.strip()


def stamp() -> dict[str, Any]:
    """Machine, versions, commit and date, as saved with every notebook's numbers."""
    return {
        **machine(),
        "versions": versions(),
        "commit": commit(),
        "date": date.today().isoformat(),
    }


# Saving --------------------------------------------------------------------------------------


class Recorder:
    """Saves the tables, figures and numbers of one notebook in a folder.

    notebook: its two digits, like "03", or the name of a command that measures on its own, like
    "scale"; ValueError for any other form. out_dir: the folder, made if it does not exist. The
    NN.json of an earlier run is deleted, because it would not match the tables that are written
    now.
    """

    def __init__(self, notebook: str, out_dir: str | Path) -> None:
        if not NOTEBOOK.fullmatch(notebook):
            raise ValueError(
                f"a notebook is named by its two digits, like '03', or a command by its name in "
                f"small letters, like 'scale'; got {notebook!r}"
            )
        self.notebook = notebook
        self.out_dir = Path(out_dir)
        self.numbers: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, list[str]] = {}
        self.files: set[str] = set()
        self.tables: set[str] = set()
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """Where `save` writes."""
        return self.out_dir / f"{self.notebook}.json"

    def number(
        self,
        key: str,
        value: Any,
        *,
        low: Any = None,
        high: Any = None,
    ) -> None:
        """Record a number, or a short text, that stands in no table.

        The report quotes it as `NN.key`, and the ends of its interval as `NN.key.low` and
        `NN.key.high`. Raises ValueError for a key with characters outside [a-z0-9_.+-] and for a
        value that is not finite.
        """
        if not KEY.fullmatch(key):
            raise ValueError(
                "a key is made of a-z, 0-9, '_', '.', '+' and '-', like 'find.tpr_1e-6'; "
                f"got {key!r}"
            )
        recorded = {"value": plain_value(key, value)}
        if low is not None:
            recorded["low"] = plain_value(key, low)
        if high is not None:
            recorded["high"] = plain_value(key, high)
        self.numbers[key] = recorded

    def table(
        self,
        slug: str,
        frame: pd.DataFrame,
        key: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Save a table as out_dir/NN_slug.csv and return it.

        A named index becomes the first columns.

        key: the column, or columns, that name a row. With it the report can quote every other cell
        as `NN.slug.<key>.<column>`, several keys joined by ".". Raises ValueError if such a column
        does not exist or two rows have the same name.
        """
        self._write_table(slug, frame, key)
        self.tables.add(slug)
        return frame

    def _write_table(
        self,
        slug: str,
        frame: pd.DataFrame,
        key: str | Sequence[str] | None,
    ) -> None:
        has_named_index = frame.index.names != [None]
        table = frame.reset_index() if has_named_index else frame
        self.keys.pop(slug, None)
        if key is not None:
            columns = [key] if isinstance(key, str) else list(key)
            check_key(slug, table, columns)
            self.keys[slug] = columns
        text = table.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
        write_text(self.out_dir / self._file_name(slug, "csv"), text)

    def figure(
        self,
        slug: str,
        fig: "Figure",
        frame: pd.DataFrame | None = None,
        key: str | Sequence[str] | None = None,
        *,
        alternative: str = "",
    ) -> None:
        """Save a figure as out_dir/NN_slug.png, then show it.

        frame, key: the table behind the figure, as for `table`; it is saved too, unless `table` has
        saved one under the same slug. alternative: what the figure shows, in words, for those who
        cannot see it.
        """
        import matplotlib.pyplot as plt

        if frame is not None and slug not in self.tables:
            self._write_table(slug, frame, key)
        self.picture(slug, fig)
        if in_notebook():
            metadata = {"image/png": {"alt": alternative}} if alternative else {}
            sys.modules["IPython"].display.display(fig, metadata=metadata)
        plt.close(fig)

    def picture(self, slug: str, fig: "Figure") -> bytes:
        """Save a figure as out_dir/NN_slug.png without showing it; returns the file's bytes."""
        path = self.out_dir / self._file_name(slug, "png")
        partial = path.with_suffix(".png.part")
        fig.savefig(
            partial,
            format="png",
            dpi=200,
            bbox_inches="tight",
            metadata={"Software": None},
        )
        os.replace(partial, path)
        return path.read_bytes()

    def save(self) -> None:
        """Write NN.json with machine, versions, commit and date; this is a notebook's last call."""
        saved = {
            "stamp": stamp(),
            "numbers": self.numbers,
            "keys": self.keys,
            "files": sorted(self.files),
        }
        write_json(self.path, saved)

    def _file_name(self, slug: str, suffix: str) -> str:
        """The name of a file of this notebook, which is added to `files`."""
        if not SLUG.fullmatch(slug):
            raise ValueError(
                f"a slug is made of a-z, 0-9 and '_', like 'speed_ladder'; got {slug!r}"
            )
        name = f"{self.notebook}_{slug}.{suffix}"
        self.files.add(name)
        return name


def in_notebook() -> bool:
    """Whether this code runs under IPython, which can display figures and Markdown."""
    if "IPython" not in sys.modules:
        return False
    return sys.modules["IPython"].get_ipython() is not None


def show_box(
    box: Any,
    png: bytes,
    alternative: str,
) -> None:
    """Show a box of controls in JupyterLab, and a picture where there are no controls.

    One output holds both. box: an ipywidget. png: the picture. alternative: its words.
    """
    if not in_notebook():
        return
    bundle = box._repr_mimebundle_()
    bundle["image/png"] = base64.b64encode(png).decode("ascii")
    width, _ = struct.unpack(">II", png[16:24])
    look = {"alt": alternative, "width": width // 2}
    sys.modules["IPython"].display.display(bundle, raw=True, metadata={"image/png": look})


def stamp_seconds(path: Path, seconds: float) -> None:
    """Add to the stamp in a notebook's NN.json how long its run took, quoted as `NN.stamp.seconds`.

    Raises RuntimeError if the notebook has not saved one.
    """
    if not path.exists():
        raise RuntimeError(
            f"notebook {path.stem} did not save {path.name}: its last cell must call rec.save()"
        )
    saved = json.loads(path.read_text(encoding="utf-8"))
    saved["stamp"]["seconds"] = round(seconds)
    write_json(path, saved)


def check_key(
    slug: str,
    table: pd.DataFrame,
    columns: Sequence[str],
) -> None:
    """Check that a table has these columns and that they name each row differently.

    Raises ValueError otherwise.
    """
    missing = [column for column in columns if column not in table]
    if missing:
        known = ", ".join(str(column) for column in table)
        raise ValueError(f"table {slug} has no column {', '.join(missing)}; it has {known}")
    is_repeated = table.duplicated(list(columns))
    if is_repeated.any():
        name = table.loc[is_repeated, list(columns)].iloc[0].tolist()
        raise ValueError(f"table {slug}: several rows are named {name}; a key must name one row")


def plain_value(key: str, value: Any) -> int | float | bool | str:
    """A value as it is written to JSON.

    NumPy scalars become Python's, and floats are rounded to ten significant digits.

    Raises ValueError, which names the key, for what is neither a finite number nor a text.
    """
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(FLOAT_FORMAT % value)
    raise ValueError(f"{key} needs a finite number or a text, got {value!r}")


def write_json(path: Path, contents: dict[str, Any]) -> None:
    """Write a JSON file whose bytes depend only on its contents."""
    write_text(
        path,
        json.dumps(
            contents,
            indent=1,
            sort_keys=True,
            ensure_ascii=False,
        )
        + "\n",
    )


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old text or the new one, never part of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
