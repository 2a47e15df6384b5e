"""A hash taken apart: its stages, changed pictures, typical pictures and the bits that flip."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.hashing import reference
from finlib.hashing.hashers import HASHERS
from finlib.hashing.images import ImageError
from finlib.matching.rows import CAP, row_distances
from workbook.study import anatomy


def test_stages_are_those_of_the_reference(picture):
    seen = anatomy.stages(picture)
    luma = reference.luma(np.asarray(picture).tolist())
    rows, cols = seen.rgb.shape[:2]
    means = reference.box_mean(luma, rows, cols)
    small = reference.decimate(means, rows, cols)
    np.testing.assert_allclose(seen.luma.ravel(), luma)
    np.testing.assert_allclose(seen.means.ravel(), means)
    np.testing.assert_allclose(seen.small, small)
    np.testing.assert_allclose(
        seen.coefficients, np.array(reference.dct(small))[::-1, ::-1], atol=1e-9
    )
    assert np.array_equal(seen.bits, reference.find_hash(picture).hash)
    assert np.array_equal(seen.bits, seen.coefficients > np.sort(seen.coefficients, axis=None)[127])


def test_a_change_of_no_strength_changes_nothing_and_each_other_one_does(picture):
    assert np.array_equal(
        np.asarray(anatomy.change(picture, blur=0, caption=0)), np.asarray(picture.convert("RGB"))
    )
    for name, strength in anatomy.CHANGES.items():
        changed = anatomy.change(picture, **{name: strength})
        assert (
            changed.size != picture.size
            or np.asarray(changed).tobytes() != np.asarray(picture).tobytes()
        )
        assert changed.tobytes() == anatomy.change(picture, **{name: strength}).tobytes()
    with pytest.raises(ValueError, match="no change named smudge"):
        anatomy.change(picture, smudge=1)


@pytest.fixture
def drawer(tmp_path, picture):
    """Paths and families: three pictures of one family, one of another, and one without a label."""
    turned = {
        "0001_1.png": picture,
        "0001_2.png": anatomy.change(picture, blur=3),
        "0001_3.png": anatomy.change(picture, caption=30),
        "0002_1.png": picture.rotate(90),
        "other.png": picture.rotate(180),
    }
    for name, image in turned.items():
        image.save(tmp_path / name)
    return [str(tmp_path / name) for name in turned], ["0001", "0001", "0001", "0002", ""]


def test_pairs_are_every_pair_and_no_label_is_no_family(drawer):
    apart = anatomy.compare_pairs(*drawer)
    assert len(apart) == 10
    assert apart["same"].sum() == 3
    hashes = [HASHERS["find"].from_file(path) for path in drawer[0]]
    first = apart.iloc[3]
    assert (
        first["distance"] == np.bitwise_count(hashes[first["one"]] ^ hashes[first["other"]]).sum()
    )
    assert not anatomy.compare_pairs(drawer[0][-1:] * 2, ["", ""])["same"].any()


def test_the_three_pictures_are_typical_ones(drawer):
    paths, labels = drawer
    apart = anatomy.compare_pairs(paths, labels)
    seen = {
        name: anatomy.stages(image).bits
        for name, image in anatomy.typical_pictures(paths, apart).items()
    }
    near = (seen["a picture"] != seen["near-duplicate"]).sum()
    assert near == apart.loc[apart["same"], "distance"].median()
    assert (seen["a picture"] != seen["unrelated"]).sum() > near


@pytest.mark.parametrize("count", [1, 2])
def test_three_pictures_where_there_are_fewer(drawer, count):
    paths = drawer[0][-count:]
    seen = anatomy.typical_pictures(paths, anatomy.compare_pairs(paths, [""] * count))
    assert list(seen) == ["a picture", "near-duplicate", "unrelated"]
    bits = [anatomy.stages(image).bits for image in seen.values()]
    assert 0 < (bits[0] != bits[1]).sum() < (bits[0] != bits[2]).sum()


def test_shares_of_each_kind_of_pair_add_up_to_one():
    apart = pd.DataFrame(
        {"distance": [0, 8, 9, 256, 128], "same": [True, True, True, False, False]}
    )
    table = anatomy.pair_shares(apart, width=8)
    same = table[table["pairs"] == "same family"].set_index("distance")
    assert same["count"][[4, 12]].tolist() == [1, 2]
    assert table.groupby("pairs")["share"].sum().tolist() == pytest.approx([1, 1])
    assert table["count"].sum() == 5
    nothing = anatomy.pair_shares(apart[:3])
    assert not nothing.loc[nothing["pairs"] == "unrelated", "share"].any()


def test_without_labels_no_pair_is_called_unrelated():
    apart = pd.DataFrame({"distance": [2, 128], "same": [False, False]})
    table = anatomy.pair_shares(apart, labelled=False)
    assert set(table["pairs"]) == {"not labelled"}
    assert table["count"].sum() == 2


def test_distances_by_hand(picture):
    table = anatomy.distances(
        picture, {"itself": picture, "turned": picture.rotate(90)}, ["find", "dhash64"]
    )
    assert table.loc[table["pair"] == "itself", "distance"].tolist() == [0, 0]
    row = table[(table["hasher"] == "dhash64") & (table["pair"] == "turned")].iloc[0]
    assert row["share"] == row["distance"] / 64


def test_flips_are_the_bits_that_differ(picture):
    rows = anatomy.flips(picture, {"blur": (1, 8), "caption": (24,)})
    assert [(row["change"], row["strength"]) for row in rows] == [
        ("blur", 1),
        ("blur", 8),
        ("caption", 24),
    ]
    for row in rows:
        changed = HASHERS["find"].from_image(row["image"]) ^ HASHERS["find"].from_image(picture)
        assert np.array_equal(np.packbits(row["flipped"]), changed)
        assert row["distance"] == np.bitwise_count(changed).sum()


def test_thresholds_that_were_not_measured_are_left_out():
    found = anatomy.radii((1_000, 10**30))
    assert list(found) == ["one false pair in 1,000"]
    assert 64 < found["one false pair in 1,000"] < 128


def test_a_picture_dropped_in(tmp_path, picture):
    picture.save(tmp_path / "p.png")
    content = memoryview((tmp_path / "p.png").read_bytes())
    dropped = anatomy.uploaded_picture({"name": "p.png", "content": content})
    assert dropped.size == picture.size
    with pytest.raises(ImageError, match=r"p\.txt is no image"):
        anatomy.uploaded_picture({"name": "p.txt", "content": memoryview(b"no picture")})


def test_rows_are_compared_as_the_row_distance_does(picture):
    captioned = anatomy.change(picture, caption=30)
    seen = anatomy.compare_rows(picture, captioned)
    dhash = HASHERS["dhash256"]
    packed = [dhash.from_image(image) for image in (picture, captioned)]
    assert seen.bits.sum() == np.bitwise_count(packed[0] ^ packed[1]).sum()
    assert seen.counted.sum() == row_distances(packed[0], packed[1])
    assert seen.differs.sum(axis=1).tolist() == seen.bits.tolist()
    assert (seen.bits[seen.is_capped] > CAP).all()
    assert (seen.counted[seen.is_capped] == CAP).all()


def test_flat_rows_count_the_cap_although_their_bits_are_equal():
    flat = Image.new("RGB", (60, 60), (90, 90, 90))
    seen = anatomy.compare_rows(flat, flat)
    assert seen.is_flat.all()
    assert seen.bits.sum() == 0
    assert seen.counted.tolist() == [CAP] * 16


def test_a_hard_pair_and_a_close_unrelated_picture_are_chosen_by_hand():
    """Family a: pairs 1, 2 and 3 bits apart. From the first of the farthest, b's are 40 to 70."""
    numbers = [0b0, 0b1, 0b110] + [(1 << bits) - 1 << 8 for bits in (70, 60, 50, 40)]
    packed = np.array([list(number.to_bytes(32)) for number in numbers], np.uint8)
    example = anatomy.choose_row_example(packed, ["a", "a", "a", "b", "c", "d", "e"])
    assert example == (1, 2, 6)


def test_of_a_single_pair_that_pair_is_chosen():
    packed = np.array([[0] * 32, [1] * 32, [255] * 32], np.uint8)
    assert anatomy.choose_row_example(packed, ["a", "a", "b"]) == (0, 1, 2)


def test_a_cat_its_captioned_copy_and_an_astronaut_explain():
    pictures = anatomy.well_known_pictures()
    assert list(pictures) == [anatomy.PICTURE, anatomy.NEAR_DUPLICATE, anatomy.UNRELATED]
    first, near, far = (anatomy.stages(picture).bits for picture in pictures.values())
    assert 0 < (first != near).sum() < 64 < (first != far).sum()


def test_what_was_made_to_stand_in_is_named():
    own = anatomy.describe_origin(pd.DataFrame({"same": [True, False]}))
    assert "made by" not in own
    assert "built-in" not in own
    unlabelled = anatomy.describe_origin(pd.DataFrame({"same": [False]}))
    assert "made by this notebook" in unlabelled
    assert "a built-in picture" not in unlabelled
    assert "a built-in picture" in anatomy.describe_origin(pd.DataFrame({"same": []}, dtype=bool))
