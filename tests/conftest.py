"""What several test modules share: images made here, and the folder of real ones, if any."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

# A job in the background ignores Ctrl-C, and so would the runs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FINLIB = Path(__file__).resolve().parents[1] / "finlib"


def date_after_imported_kernels(folder: Path) -> list[Path]:
    """Date each module with kernels after the modules with kernels that it imports, so that numba
    compiles them again; it looks at the date of a kernel's own file alone. Returns those changed.
    """
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    compiled = {path: text for path, text in sources.items() if "@njit" in text}
    changed = []
    for path, text in compiled.items():
        imported = [
            other
            for other in compiled
            if f"from {folder.name}.{'.'.join(other.relative_to(folder).with_suffix('').parts)} "
            in text
        ]
        latest = max((other.stat().st_mtime_ns for other in imported), default=0)
        if latest > path.stat().st_mtime_ns:
            os.utime(path, ns=(latest, latest))
            changed.append(path)
    return changed


date_after_imported_kernels(FINLIB)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and golden hashes beside the checkout.

    Tests that need it are skipped where there is none.
    """
    if not (SHARED / "golden").is_dir():
        pytest.skip("no folder of shared images beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A colour picture of 120 x 90 with structure at several scales."""
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return small.resize((120, 90), Image.Resampling.BICUBIC)


@pytest.fixture
def album(tmp_path: Path, picture: Image.Image) -> Path:
    """A folder of nine images in three families, and a damaged one.

    They are in two formats, and one of each family is in a folder below.
    """
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(6)
    for family in range(3):
        base = np.asarray(picture.rotate(120 * family)).astype(int)
        for number in range(3):
            noisy = np.clip(base + rng.integers(-8, 9, base.shape), 0, 255).astype(np.uint8)
            place = folder / "below" if number == 2 else folder
            suffix = "jpg" if number == 0 else "png"
            Image.fromarray(noisy).save(place / f"{family:04d}_{number}.{suffix}")
    whole = (folder / "0002_0.jpg").read_bytes()
    (folder / "0002_damaged.jpg").write_bytes(whole[:300])
    return folder


@pytest.fixture
def close_below(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, folders named "below" may not be listed."""
    scandir = os.scandir

    def closed(path: str | Path | int) -> object:
        if not isinstance(path, int) and os.path.basename(path) == "below":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    return lambda: monkeypatch.setattr(os, "scandir", closed)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A picture that this process may not read: root, who may read anything, becomes nobody."""
    from finlib import hash_files

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "closed.png")
        Image.new("L", (20, 20)).save(path)
        hash_files([path])  # loads what is loaded on first use, while everything may be read
        path.chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        yield path
        if root:
            os.seteuid(0)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A figures folder as notebook 05 would leave it, with a second data set's beside it."""
    from workbook.report.record import Recorder

    monkeypatch.setattr("workbook.report.record.commit", lambda: "0123456789")

    folder = tmp_path / "figures"
    rec = Recorder("05", folder)
    rec.number("find.auc", 0.987654, low=0.98, high=0.99)
    rec.number("ahash256.auc", 0.91)
    rec.number("find.tpr_1e-6", 0.25)
    rec.number("images", 11050)
    rec.number("seconds", 0.0123)
    rec.number("best", "find")
    frame = pd.DataFrame(
        {
            "method": ["ahash256", "find", "phash64"],
            "bits": [256, 256, 64],
            "auc": [0.91, 0.987654, 0.95],
            "low": [0.9, 0.98, 0.94],
            "tpr_1e-6": [0.1, 0.25, float("nan")],
        }
    )
    rec.table("accuracy", frame, key="method")
    rec.table(
        "frontier",
        frame.assign(method=["find", "find+dhash256", "box mean"]),
        key=["method", "bits"],
    )
    rec.save()
    second = Recorder("05", folder / "memes")
    second.number("find.auc", 0.5)
    second.table("accuracy", frame.head(1), key="method")
    second.save()
    scale = Recorder("scale", folder)
    scale.table("growth", pd.DataFrame({"n": [1000, 1000000], "seconds": [0.5, 61.0]}), key="n")
    scale.save()
    return folder
