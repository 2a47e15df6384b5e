"""Notebooks 00 to 05 on folders of one's own, at small sizes: labelled, without labels, few,
broken, all in one.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbook.report.execute import run_notebook

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SMALL = {
    "00_start_here": {"images": 8},
    "01_baseline_profiling": {
        "images": 2,
        "passes": 2,
        "profile_side": 64,
        "batches": [1, 2],
        "photo_side": 70,
    },
    "02_optimisation_1_numpy": {
        "images": 3,
        "repeats": 1,
        "loops": 1,
        "batch_sizes": [1, 2],
        "memory_batch": 2,
    },
    "03_optimisation_2_compiled": {
        **{"images": 3, "repeats": 1, "loops": 1, "gap_images": 5, "table_files": 8},
        **{"memory_files": [2, 4], "large": [600, 450]},
    },
    "04_optimisation_3_parallel": {
        **{"sizes": [4, 12], "chunks": [2, 6], "memory_sizes": [2, 6], "reference_sizes": [1, 2]},
        **{"ladder_images": 1, "executors": ["serial", "threads"]},
    },
    "05_accuracy_comparison": {
        **{"resamples": 5, "changed_images": 1, "turned_images": 2, "plain_images": 2},
        **{"timed_images": 2, "repeats": 1},
    },
}


@pytest.fixture
def own(tmp_path, picture, album):
    """Folders by name: labelled with a damaged file, three pictures without labels, one family, one
    single picture.
    """
    rng = np.random.default_rng(7)
    folders = {"broken": album}
    for kind, names in {
        "three": ["holiday.jpg", "portrait.png", "wide.png"],
        "family": [f"0007_{number}.jpg" for number in range(4)],
        "single": ["alone.png"],
    }.items():
        folders[kind] = tmp_path / kind
        folders[kind].mkdir()
        for turn, name in enumerate(names):
            noise = rng.integers(0, 40, (picture.height, picture.width, 3), dtype=np.uint8)
            changed = Image.fromarray(np.asarray(picture) // 2 + noise)
            changed.rotate(90 * (turn % 2) if kind == "three" else 0, expand=True).save(
                folders[kind] / name
            )
    (folders["three"] / "notes.jpg").write_text("no picture")
    return folders


QUICK = {("00_start_here", "broken")}


@pytest.mark.parametrize(
    ("stem", "kind"),
    [
        pytest.param(stem, kind, marks=() if (stem, kind) in QUICK else pytest.mark.slow)
        for stem in SMALL
        for kind in ("broken", "three", "family", "single")
    ],
)
def test_a_notebook_runs_on_ones_own_pictures(stem, kind, own, tmp_path):
    chosen = {**SMALL[stem], "data_dir": str(own[kind]), "out_dir": str(tmp_path / "figures")}
    assert run_notebook(FOLDER / f"{stem}.ipynb", tmp_path / "ran.ipynb", chosen) > 5
    assert (tmp_path / "figures" / f"{stem[:2]}.json").exists()
