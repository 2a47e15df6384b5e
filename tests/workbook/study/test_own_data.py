"""Notebooks 05 and 06 run on any folder of images: labelled or not, few, or damaged."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from workbook.report.execute import run_notebook

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
SMALL = {
    "05_accuracy_comparison": {
        "resamples": 20,
        "changed_images": 2,
        "turned_images": 3,
        "timed_images": 2,
        "repeats": 1,
        "workers": 1,
    },
    "06_scaling": {
        "engine_n": 400,
        "set_n": 600,
        "join_n": 2000,
        "memory_n": 20_000,
        "index_sizes": [300, 500],
        "queries": 5,
        "near_n": 1500,
        "web_n": 600,
        "law_sizes": [300, 600, 900],
        "hash_sizes": [4, 8, 12],
        "dask_n": 200,
    },
}


def picture(seed: int, noise: int = 0) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = Image.fromarray(levels).resize((120, 120), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth).astype(int)
    rng = np.random.default_rng([seed, noise])
    noisy = pixels + rng.integers(-noise, noise + 1, pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def labelled(folder: Path, families: int, images: int) -> None:
    for family in range(families):
        for number in range(images):
            picture(family, 3 * number).save(folder / f"{family:04d}_{number}.png")


def five_families(folder: Path) -> None:
    labelled(folder, 5, 4)


def one_family(folder: Path) -> None:
    labelled(folder, 1, 6)


def three_images(folder: Path) -> None:
    labelled(folder, 3, 1)


def broken(folder: Path) -> None:
    labelled(folder, 4, 3)
    (folder / "0001_broken.jpg").write_bytes(b"no picture")


def templates(folder: Path) -> None:
    for number in range(3):
        picture(number).save(folder / f"picture{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")


KINDS = {
    "labelled": five_families,
    "one_family": one_family,
    "three_images": three_images,
    "broken": broken,
    "templates": templates,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stem", SMALL)
def test_it_runs_whatever_is_in_the_folder(stem: str, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    KINDS[kind](folder)
    given = {"data_dir": str(folder), "out_dir": str(tmp_path / "figures"), **SMALL[stem]}
    assert run_notebook(NOTEBOOKS / f"{stem}.ipynb", tmp_path / "out.ipynb", given) > 10
    assert (tmp_path / "figures" / f"{stem[:2]}.json").exists()
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    printed = ""
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            printed += output.get("text", "")
    assert "RuntimeWarning" not in printed  # of arithmetic on values that are missing
