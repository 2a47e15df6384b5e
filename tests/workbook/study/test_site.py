"""Templates under captions that people wrote, made into families."""

import json

import numpy as np
import pytest
from PIL import Image

from finlib.hashing.hashers import get_hasher
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


def quarter(level):
    return level // 4


def save_kin(folder):
    """Templates of a scene, with versions of it that are near kin and others that are not."""
    folder.mkdir()
    levels = np.random.default_rng(3).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    scene = Image.fromarray(levels).resize((300, 300), Image.Resampling.BICUBIC)
    other_levels = np.random.default_rng(4).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    other = Image.fromarray(other_levels).resize((300, 300), Image.Resampling.BICUBIC)
    red, green, blue = scene.split()
    scene = Image.merge("RGB", [red, green.point(quarter), blue.point(quarter)])  # reddish
    in_grey = scene.convert("L").convert("RGB")
    cut = scene.crop((10, 10, 290, 290))
    cut_in_grey = in_grey.crop((10, 10, 290, 290))
    pictures = [scene, other, in_grey, cut, cut_in_grey]
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    return list_images(folder)


def test_recoloured_and_cropped_versions_of_an_earlier_template_are_near_kin(tmp_path):
    paths = save_kin(tmp_path / "templates")
    find = get_hasher("find")
    hashes = [find.from_file(path) for path in paths]
    bits = [int(np.bitwise_count(hashes[0] ^ later).sum()) for later in hashes]
    colours = [site.thumbnail(Image.open(path)) for path in paths]
    levels = [np.abs(colours[0] - later).mean() for later in colours]
    # What the pictures are to show: grey ones look alike by FINd, cropped ones need their colours.
    assert bits[2] <= site.SAME_PICTURE_BITS
    assert levels[2] > site.ALIKE_COLOURS
    assert site.SAME_PICTURE_BITS < bits[3] <= site.ALIKE_BITS
    assert levels[3] <= site.ALIKE_COLOURS
    assert bits[1] > site.ALIKE_BITS
    assert site.find_near_kin(paths[:4]) == {2, 3}
    # The grey and cropped one is far from the scene in colour, but near to the cropped scene.
    assert site.find_near_kin([paths[0], paths[1], paths[4]]) == set()
    assert site.find_near_kin([paths[3], paths[4]]) == {1}
    assert site.find_near_kin([]) == set()


def test_near_kin_are_left_out_and_the_other_families_stay_as_they_are(given, tmp_path):
    save_kin(tmp_path / "kin")
    captions = given[1]
    without = site.caption_templates(tmp_path / "kin", captions, tmp_path / "without")
    with_kin = site.caption_templates(tmp_path / "kin", captions, tmp_path / "with", near_kin=True)
    families = {family_of(file) for file in list_images(without)}
    assert families == {"0000", "0001"}
    assert len({family_of(file) for file in list_images(with_kin)}) == 5
    for file in list_images(without):
        assert file.read_bytes() == (with_kin / file.name).read_bytes()
