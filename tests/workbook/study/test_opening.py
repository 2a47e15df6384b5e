"""Three pictures are chosen from what can be read, and each method is asked by its own distance."""

import numpy as np
import pandas as pd
import pytest

from workbook.study import opening


@pytest.fixture
def data(album):
    """The table of the album's images, the damaged one among them."""
    files = sorted(path for path in album.rglob("*.*") if path.suffix in (".jpg", ".png"))
    families = [path.name[:4] for path in files]
    return pd.DataFrame({"path": [str(path) for path in files], "family": families})


def test_the_pictures_are_two_of_a_family_and_one_of_another(data):
    pictures = opening.choose(data)
    first, near_duplicate, unrelated = (np.asarray(picture).astype(int) for picture in pictures)
    assert first.shape == near_duplicate.shape
    assert np.abs(first - near_duplicate).mean() < 20
    assert unrelated.shape != first.shape or np.abs(first - unrelated).mean() > 20


def test_each_method_is_asked_by_its_own_distance(picture):
    pictures = opening.Opening(picture, picture, picture.rotate(180))
    verdicts = opening.ask(pictures).set_index("method")
    assert list(verdicts.index) == list(opening.METHODS)
    assert verdicts["right"].all()
    assert (verdicts["near_duplicate"].drop("dhash256-rows") == 0).all()
    parts = verdicts.loc[["find", "dhash256"], "unrelated"].sum()
    assert verdicts.loc["find+dhash256", "unrelated"] == parts
    assert verdicts.loc["dhash256-rows", "unrelated"] <= 48


def test_a_method_is_wrong_where_the_unrelated_picture_is_as_close(picture):
    pictures = opening.Opening(picture, picture.rotate(180), picture)
    assert not opening.ask(pictures)["right"].any()


def test_the_hardest_picture_is_found_by_hand():
    packed = np.array([[0b0000], [0b0111], [0b0001], [0b11110000], [0b11110001]], dtype=np.uint8)
    families = np.array(["a", "a", "b", "c", "c"])
    assert opening.hardest(packed, families) == [0, 1, 2]


def test_few_images_of_each_family_and_a_pair_always():
    singles = [f"{number:04d}" for number in range(3000)]
    data = pd.DataFrame({"family": [*singles, "pair", "pair"]}).assign(path="x.png")
    few = opening.few_of_each(data)
    assert opening.MOST_IMAGES / 2 < len(few) <= opening.MOST_IMAGES + opening.FEW
    assert (few["family"] == "pair").sum() == 2
    large = pd.DataFrame({"family": ["a"] * 9 + ["b"] * 2}).assign(path="x.png")
    assert few_sizes(large) == {"a": opening.FEW, "b": 2}


def few_sizes(data):
    return opening.few_of_each(data)["family"].value_counts().to_dict()
