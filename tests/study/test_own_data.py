"""Notebook 05 on images of one's own: labelled, a single family, three pictures, broken files, templates."""

from pathlib import Path

import numpy as np
import papermill
import pytest
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "05_accuracy_comparison.ipynb"


def picture(seed: int, noise: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((120, 120), Image.Resampling.BICUBIC)).astype(int)
    pixels = pixels + np.random.default_rng([seed, noise]).integers(-noise, noise + 1, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def labelled(folder: Path, families: int, images: int) -> None:
    for family in range(families):
        for number in range(images):
            picture(family, 3 * number).save(folder / f"{family:04d}_{number}.png")


def broken(folder: Path) -> None:
    labelled(folder, 4, 3)
    (folder / "0001_broken.jpg").write_bytes(b"no picture")


def templates(folder: Path) -> None:
    for number in range(3):
        picture(number).save(folder / f"picture{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")


KINDS = {
    "labelled": lambda folder: labelled(folder, 5, 4),
    "one_family": lambda folder: labelled(folder, 1, 6),
    "three_images": lambda folder: labelled(folder, 3, 1),
    "broken": broken,
    "templates": templates,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_whatever_is_in_the_folder(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    KINDS[kind](folder)
    sizes = {"resamples": 20, "changed_images": 2, "turned_images": 3, "timed_images": 2, "repeats": 1, "workers": 1}
    given = {"data_dir": str(folder), "out_dir": str(tmp_path / "figures"), **sizes}
    papermill.execute_notebook(NOTEBOOK, tmp_path / "out.ipynb", given, kernel_name="python3", progress_bar=False)
    assert (tmp_path / "figures" / "05.json").exists()
