"""Stamp machine and versions; save tables, figures and numbers.

A notebook makes one `Recorder`; what it saves is all that the report may quote. Everything lands in one folder:

    NN_slug.png, NN_slug.csv   a figure, and the table behind it
    numbers.json               {"NN": {"stamp": {}, "numbers": {key: {"value", "unit", "low", "high"}}, "files": []}}

A notebook's run replaces its own section of numbers.json and leaves the others alone.
"""

import fcntl
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
FLOAT_FORMAT = "%.10g"  # more digits would only record the last bits of the arithmetic
PACKAGES = ("numpy", "scipy", "pandas", "pillow", "numba", "imagehash", "scikit-learn", "simplejpeg", "faiss-cpu")


# Machine and versions ------------------------------------------------------------------------------------------------


@cache
def machine() -> dict[str, Any]:
    """What the measurements ran on: cpu, the SIMD features that matter here, usable cores, memory, system, Python."""
    cpu, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields: dict[str, str] = dict(re.findall(r"(?m)^(model name|flags|Features)\s*:\s*(.*)$", info.read_text()))
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
    for name in (*PACKAGES, "pdqhash"):
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
        changed = git("status", "--porcelain", "--", "finlib", "notebooks/*.ipynb", ":!notebooks/executed")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except FileNotFoundError:
        return ""


def stamp() -> dict[str, Any]:
    """Machine, versions, commit and date, as kept with every notebook's numbers."""
    return {**machine(), "versions": versions(), "commit": commit(), "date": date.today().isoformat()}


# Saving --------------------------------------------------------------------------------------------------------------


class Recorder:
    """Saves one notebook's tables, figures and numbers into `out_dir`, made if missing.

    notebook: its two digits, "03". ValueError for any other form.
    """

    def __init__(self, notebook: str, out_dir: str | Path) -> None:
        if not re.fullmatch(r"\d\d", notebook):
            raise ValueError(f"a notebook is named by its two digits, like '03'; got {notebook!r}")
        self.notebook, self.out_dir = notebook, Path(out_dir)
        self.numbers: dict[str, dict[str, Any]] = {}
        self.files: set[str] = set()
        self.out_dir.mkdir(parents=True, exist_ok=True)

    def number(self, key: str, value: Any, *, unit: str = "", low: Any = None, high: Any = None) -> None:
        """Keep a number (or a short text, such as a method's name) for the report, where it is `NN.key`.

        ValueError for a key outside [a-z0-9_.-] or a value that is not finite.
        """
        if not KEY.fullmatch(key):
            raise ValueError(f"a key is made of a-z, 0-9, '_', '.' and '-', like 'find.tpr_1e-6'; got {key!r}")
        entry = {"value": _plain(key, value), "unit": unit}
        entry |= {name: _plain(key, end) for name, end in (("low", low), ("high", high)) if end is not None}
        self.numbers[key] = entry
        self._save()

    def table(self, slug: str, frame: pd.DataFrame, *, stamped: bool = False) -> pd.DataFrame:
        """Save out_dir/NN_slug.csv and return the frame. stamped adds machine, versions and commit to every row."""
        kept = frame if frame.index.name is None else frame.reset_index()
        if stamped:
            where = machine()
            text = " ".join(f"{name}={version}" for name, version in versions().items())
            kept = kept.assign(
                machine=f"{where['cpu']}, {where['cores']} cores, Python {where['python']}",
                versions=text,
                commit=commit(),
            )
        path = self.out_dir / self._name(slug, "csv")
        _write(path, kept.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n"))
        self._save()
        return frame

    def figure(self, slug: str, fig: "Figure", frame: pd.DataFrame | None = None) -> None:
        """Save out_dir/NN_slug.png, and the table behind it unless `table` has saved that already; then show it."""
        import matplotlib.pyplot as plt

        if frame is not None and f"{self.notebook}_{slug}.csv" not in self.files:
            self.table(slug, frame)
        path = self.out_dir / self._name(slug, "png")
        partial = path.with_suffix(".png.part")
        fig.savefig(partial, format="png", dpi=200, bbox_inches="tight", metadata={"Software": None})
        os.replace(partial, path)
        self._save()
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            sys.modules["IPython"].display.display(fig)
        plt.close(fig)

    def _name(self, slug: str, suffix: str) -> str:
        if not re.fullmatch(r"[a-z0-9_]+", slug):
            raise ValueError(f"a slug is made of a-z, 0-9 and '_', like 'speed_ladder'; got {slug!r}")
        name = f"{self.notebook}_{slug}.{suffix}"
        self.files.add(name)
        return name

    def _save(self) -> None:
        path = self.out_dir / "numbers.json"
        section = {"stamp": stamp(), "numbers": self.numbers, "files": sorted(self.files)}
        folder = os.open(self.out_dir, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # two notebooks under test may share a folder
            everything = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            everything[self.notebook] = section
            _write_numbers(path, everything)
        finally:
            os.close(folder)


def stamp_seconds(out_dir: str | Path, notebook: str, seconds: float) -> None:
    """Add to a notebook's stamp in out_dir/numbers.json how long its run took, as `NN.stamp.seconds`."""
    path = Path(out_dir) / "numbers.json"
    everything = json.loads(path.read_text(encoding="utf-8"))
    everything[notebook]["stamp"]["seconds"] = round(seconds)
    _write_numbers(path, everything)


def _write_numbers(path: Path, everything: dict[str, Any]) -> None:
    _write(path, json.dumps(everything, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def _plain(key: str, value: Any) -> int | float | bool | str:
    """A JSON value: NumPy scalars unwrapped, floats to ten digits."""
    value = (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0) else value
    )
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(FLOAT_FORMAT % value)
    raise ValueError(f"{key} needs a finite number or a text, got {value!r}")
