"""Templates under captions that people wrote, made into families."""

import json

import numpy as np
import pytest
from PIL import Image

from finlib.hashing.images import family_of, list_images
from workbook.study import site


@pytest.fixture
def given(tmp_path):
    """Three templates, one of which has captions of its own."""
    templates = tmp_path / "templates"
    templates.mkdir()
    for number, name in enumerate(("cat", "dog", "owl")):
        Image.linear_gradient("L").rotate(90 * number).save(templates / f"{name}.png")
    captions = {
        "own": {"dog": [[f"up {k}", f"down {k}"] for k in range(20)]},
        "pool": [[f"above {k}", ""] for k in range(9)],
    }
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(captions))
    return templates, path


def test_a_template_gets_captions_of_its_own_or_from_the_pool(given, tmp_path):
    folder = site.caption_templates(*given, tmp_path / "out")
    files = list_images(folder)
    families = [family_of(file) for file in files]
    assert [families.count(name) for name in ("0000", "0001", "0002")] == [4, 16, 4]
    assert all(Image.open(file).size == (250, 250) for file in files)
    pictures = {np.asarray(Image.open(file)).tobytes() for file in files}
    assert len(pictures) == len(files)


def test_the_same_images_are_made_from_the_same_seed(given, tmp_path):
    one, other = (site.caption_templates(*given, tmp_path / name) for name in ("one", "two"))
    for file, again in zip(list_images(one), list_images(other), strict=True):
        assert file.read_bytes() == again.read_bytes()


def test_a_folder_that_holds_something_is_refused(given, tmp_path):
    with pytest.raises(ValueError, match="not empty"):
        site.caption_templates(*given, tmp_path)
