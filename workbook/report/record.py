"""Stamp machine and versions; save tables, figures and numbers.

A notebook makes one `Recorder` and calls its `save` last; what it saved is all that the report may quote. Everything
lands in one folder:

    NN_slug.png, NN_slug.csv   a figure, and the table behind it; a raw table of all repeats is NN_slug_raw.csv
    NN.json                    {"stamp", "numbers": {key: {"value", "low", "high"}}, "keys": {slug: [column]}, "files"}

The stamp says where, when and from which code the files beside it come; a notebook that stops half-way leaves none.
"""

import importlib.metadata
import json
import math
import os
import platform
import re
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

KEY = re.compile(r"[a-z0-9_](?:[a-z0-9_.+-]*[a-z0-9_])?")
FLOAT_FORMAT = "%.10g"  # more digits would only record the last bits of the arithmetic
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
)


# Machine and versions ------------------------------------------------------------------------------------------------


@cache
def machine() -> dict[str, Any]:
    """What the measurements ran on: cpu, the SIMD features that matter here, usable cores, memory, system, Python."""
    cpu, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields: dict[str, str] = dict(
            re.findall(r"(?m)^(model name|flags|Features)\s*:\s*(.*)$", info.read_text())
        )
        cpu = fields.get("model name", cpu)
        flags = fields.get("flags", fields.get("Features", ""))
    elif sys.platform == "darwin":
        cpu = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
        ).stdout.strip()
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    wanted = ("avx2", "avx512bw", "avx512_vpopcntdq", "asimd")
    return {
        "cpu": cpu,
        "simd": " ".join(name for name in wanted if name in flags.split()),
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


@cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that decide speed or accuracy; those not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """Short commit of the checkout finlib runs from, with "+" where its code has changed since; "" outside git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(home), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    home = Path(__file__).resolve().parents[2]
    try:
        changed = git(
            "status", "--porcelain", "--", "finlib", "notebooks/*.ipynb", ":!notebooks/executed"
        )
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except FileNotFoundError:
        return ""


def stamp() -> dict[str, Any]:
    """Machine, versions, commit and date, as kept with every notebook's numbers."""
    return {
        **machine(),
        "versions": versions(),
        "commit": commit(),
        "date": date.today().isoformat(),
    }


# Saving --------------------------------------------------------------------------------------------------------------


class Recorder:
    """Saves the tables, figures and numbers of one notebook into `out_dir`, made if missing.

    notebook: its two digits, "03", or the name of a command that measures on its own, "scale". ValueError for any
    other form. What an earlier run left as NN.json goes: it would not belong to the tables that are now written.
    """

    def __init__(self, notebook: str, out_dir: str | Path) -> None:
        if not re.fullmatch(r"\d\d|[a-z][a-z0-9_]*", notebook):
            raise ValueError(f"a notebook is named by its two digits, like '03'; got {notebook!r}")
        self.notebook, self.out_dir = notebook, Path(out_dir)
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

    def number(self, key: str, value: Any, *, low: Any = None, high: Any = None) -> None:
        """Keep a number, or a short text, that stands in no table; in the report it is `NN.key`, `NN.key.low`, …

        ValueError for a key outside [a-z0-9_.+-] or a value that is not finite.
        """
        if not KEY.fullmatch(key):
            raise ValueError(
                f"a key is made of a-z, 0-9, '_', '.', '+' and '-', like 'find.tpr_1e-6'; got {key!r}"
            )
        ends = {"value": value, "low": low, "high": high}
        self.numbers[key] = {
            name: _plain(key, end)
            for name, end in ends.items()
            if name == "value" or end is not None
        }

    def table(
        self, slug: str, frame: pd.DataFrame, key: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Save out_dir/NN_slug.csv and return the frame; a named index becomes the first columns.

        key: the column, or columns, that name a row. With it the report can quote every other cell, as
        `NN.slug.<key>.<column>`, several keys joined by ".". ValueError for no such column or two rows of one name.
        """
        self._table(slug, frame, key)
        self.tables.add(slug)
        return frame

    def _table(self, slug: str, frame: pd.DataFrame, key: str | Sequence[str] | None) -> None:
        kept = frame if frame.index.names == [None] else frame.reset_index()
        self.keys.pop(slug, None)
        if key is not None:
            columns = [key] if isinstance(key, str) else list(key)
            if missing := [column for column in columns if column not in kept]:
                raise ValueError(
                    f"table {slug} has no column {', '.join(missing)}; it has {', '.join(map(str, kept))}"
                )
            if (twice := kept.duplicated(columns)).any():
                raise ValueError(
                    f"table {slug}: several rows are named {kept.loc[twice, columns].iloc[0].tolist()}"
                )
            self.keys[slug] = columns
        text = kept.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
        _write(self.out_dir / self._name(slug, "csv"), text)

    def figure(
        self,
        slug: str,
        fig: "Figure",
        frame: pd.DataFrame | None = None,
        key: str | Sequence[str] | None = None,
    ) -> None:
        """Save out_dir/NN_slug.png, and the table behind it unless `table` has saved that already; then show it."""
        import matplotlib.pyplot as plt

        if frame is not None and slug not in self.tables:
            self._table(slug, frame, key)
        path = self.out_dir / self._name(slug, "png")
        partial = path.with_suffix(".png.part")
        fig.savefig(
            partial, format="png", dpi=200, bbox_inches="tight", metadata={"Software": None}
        )
        os.replace(partial, path)
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            sys.modules["IPython"].display.display(fig)
        plt.close(fig)

    def save(self) -> None:
        """Write NN.json, with machine, versions, commit and date: a notebook's last call."""
        saved = {
            "stamp": stamp(),
            "numbers": self.numbers,
            "keys": self.keys,
            "files": sorted(self.files),
        }
        _write_json(self.path, saved)

    def _name(self, slug: str, suffix: str) -> str:
        if not re.fullmatch(r"[a-z0-9_]+", slug):
            raise ValueError(
                f"a slug is made of a-z, 0-9 and '_', like 'speed_ladder'; got {slug!r}"
            )
        name = f"{self.notebook}_{slug}.{suffix}"
        self.files.add(name)
        return name


def stamp_seconds(path: Path, seconds: float) -> None:
    """Add to the stamp in a notebook's NN.json how long its run took, as `NN.stamp.seconds`.

    RuntimeError where the notebook has not saved one.
    """
    if not path.exists():
        raise RuntimeError(
            f"notebook {path.stem} saved no {path.name}: its last cell must call rec.save()"
        )
    saved = json.loads(path.read_text(encoding="utf-8"))
    saved["stamp"]["seconds"] = round(seconds)
    _write_json(path, saved)


def _write_json(path: Path, saved: dict[str, Any]) -> None:
    _write(path, json.dumps(saved, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def _plain(key: str, value: Any) -> int | float | bool | str:
    """A JSON value: NumPy scalars unwrapped, floats to ten digits."""
    value = (
        value.item()
        if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0
        else value
    )
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(FLOAT_FORMAT % value)
    raise ValueError(f"{key} needs a finite number or a text, got {value!r}")
