"""A set of the class set's size to rehearse on."""

from collections import Counter

import pytest

from finlib.hashing.images import family_of, list_images
from workbook.study import rehearsal


def test_sizes_are_those_of_the_class_set():
    sizes = rehearsal.draw_sizes()
    assert len(sizes) == 1_034
    assert sizes.sum() == 55_972
    assert sizes.min() >= 1
    assert 300 <= sizes.max() <= 400


@pytest.mark.parametrize(("images", "families"), [(7, 7), (8, 7), (2_800, 7), (2_799, 7)])
def test_any_number_that_families_can_hold_is_met(images, families):
    sizes = rehearsal.draw_sizes(images, families)
    assert sizes.sum() == images
    assert sizes.min() >= 1
    assert sizes.max() <= rehearsal.LARGEST


@pytest.mark.parametrize("images", [6, 2_801])
def test_numbers_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match="give 7 to 2,800 images"):
        rehearsal.draw_sizes(images, 7)


def test_a_folder_has_families_of_these_sizes_and_the_same_files_each_time(tmp_path):
    folders = [rehearsal.make_rehearsal(tmp_path / name, 9, 3) for name in ("one", "two")]
    files = [list_images(folder) for folder in folders]
    sizes = Counter(family_of(path) for path in files[0])
    assert sorted(sizes) == ["0000", "0001", "0002"]
    assert list(sizes.values()) == rehearsal.draw_sizes(9, 3).tolist()
    for file, again in zip(*files, strict=True):
        assert file.read_bytes() == again.read_bytes()


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        rehearsal.make_rehearsal(tmp_path, 9, 3)
