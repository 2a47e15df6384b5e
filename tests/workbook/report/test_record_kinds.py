"""False pairs on folders of pictures: what `python -m workbook kinds` records."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbook.report import kinds
from workbook.report.results import Results
from workbook.study import families
from workbook.study.kinds import COLUMNS, METHODS, RATES


@pytest.fixture
def few_families(monkeypatch, tmp_path):
    monkeypatch.setenv("FINLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(families, "FAMILIES", 6)
    monkeypatch.setattr(families, "PER_FAMILY", 3)
    monkeypatch.setattr(kinds, "RESAMPLES", 20)


@pytest.fixture
def two_kinds(tmp_path):
    """Two kinds of six pictures; the logos are two flat ones, which are also near kin."""
    rng = np.random.default_rng(3)
    for kind in ("logos", "photos"):
        folder = tmp_path / "kinds" / kind
        folder.mkdir(parents=True)
        for number in range(6):
            levels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            picture = Image.fromarray(levels).resize((90, 90), Image.Resampling.BICUBIC)
            if kind == "logos" and number < 2:
                picture = Image.new("RGB", (90, 90), (200, 10, 10))
            picture.save(folder / f"{number}.png")
    return tmp_path / "kinds"


def test_every_kind_and_set_is_counted_in_the_same_columns(few_families, two_kinds, tmp_path):
    (two_kinds / "sources.csv").write_text("kind,source,licence\nphotos,a camera,CC0\n")
    out = tmp_path / "figures"
    kinds.record_kinds(two_kinds, {"more": families.make_families(4, 2)}, out=out)
    table = pd.read_csv(out / "kinds_false_pairs.csv")
    assert list(table.columns) == COLUMNS
    bodies = ["built-in", "more", "all kinds", "logos", "photos"]
    assert list(dict.fromkeys(table["body"])) == [*bodies, "class pairs"]
    class_pairs = table[table["body"] == "class pairs"]
    assert set(class_pairs["method"]) == {"find", "phash256"}
    assert len(table) - len(class_pairs) == len(bodies) * 2 * 2 * len(METHODS) * len(RATES)
    sources = pd.read_csv(out / "kinds_sources.csv").set_index("kind")
    assert sources.loc["photos", "licence"] == "CC0"
    assert sources.loc["logos", "source"] == "not stated"
    assert sources.loc["logos", "near_kin"] == 1
    assert sources.loc["logos", "refused"] == 2
    assert not (out / "kinds_plain.csv").exists()  # one plain picture has no pair


def test_plain_pictures_of_all_kinds_are_put_together(few_families, two_kinds, tmp_path):
    Image.linear_gradient("L").save(two_kinds / "photos" / "9.png")
    out = tmp_path / "figures"
    kinds.record_kinds(two_kinds, {}, out=out)
    plain = pd.read_csv(out / "kinds_plain.csv")
    assert list(plain["method"].unique()) == list(METHODS)
    assert (plain["pairs"] == 1).all()


def test_the_report_can_look_the_numbers_up(few_families, two_kinds, tmp_path):
    out = tmp_path / "figures"
    kinds.record_kinds(two_kinds, {}, out=out)
    (out / "05.json").write_text('{"stamp": {}, "numbers": {}, "keys": {}, "files": []}')
    results = Results(out)
    assert results["kinds.false_pairs.photos.counted.off.find.1e-05.found"] == 0


def test_a_folder_without_kinds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one folder for each kind"):
        kinds.record_kinds(tmp_path, {}, out=tmp_path / "out")


def test_near_kin_among_templates_are_counted_both_ways(few_families, two_kinds, tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    for number, level in enumerate((10, 200, 10)):  # the last is the first once more
        picture = Image.radial_gradient("L") if level == 10 else Image.linear_gradient("L")
        picture.convert("RGB").save(templates / f"{number}.png")
    body = kinds.hash_families("site", templates, templates)
    of_kin = sorted(set(body.families[body.is_kin]))
    assert of_kin == ["0002"]
    assert len(set(body.families)) == 3


def test_templates_of_an_unknown_set_are_refused(two_kinds, tmp_path):
    with pytest.raises(ValueError, match="templates are given for 'sight'"):
        kinds.record_kinds(two_kinds, {"site": tmp_path}, {"sight": tmp_path}, tmp_path / "out")
