"""What preparation finds, on pictures made here."""

import numpy as np
from PIL import Image

from workbook.study.preparation import FORMS, compare_preparation


def test_preparation_finds_the_forms_that_it_undoes() -> None:
    rng = np.random.default_rng(4)
    pictures = []
    for _ in range(6):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        pictures.append(small.resize((320, 240), Image.Resampling.BICUBIC))
    table = compare_preparation(pictures, "find", 25).set_index("hasher")
    plain = table.loc["find"]
    prepared = table.loc["prepared:find"]
    assert set(table.columns) == {*FORMS, "false_pairs"}
    for form in ("16 bits", "framed", "turned by EXIF"):
        assert (plain[form], prepared[form]) == (0, 1)
    assert plain["false_pairs"] == prepared["false_pairs"] == 0
