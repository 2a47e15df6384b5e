"""Names are read as labels only where they are likely to be labels."""

from pathlib import Path

import pytest

from finlib.scoring.labels import read_names


def named(folder: Path, *names: str) -> list[Path]:
    return [folder / name for name in names]


def test_one_name_with_a_year_among_forty_is_no_label(tmp_path: Path) -> None:
    others = [f"IMG_{number}.jpg" for number in range(39)]
    reading = read_names(named(tmp_path, "1987_summer.jpg", *others))
    assert not reading.are_labels
    assert "Only 1 of 40 names" in reading.reason
    assert reading.otherwise("say {}") == "If they are labels, say yes."


def test_years_are_no_families_unless_one_says_so(tmp_path: Path) -> None:
    paths = named(tmp_path, "1987_a.jpg", "1987_b.jpg", "1988_a.jpg", "1988_b.jpg")
    reading = read_names(paths)
    assert not reading.are_labels
    assert "begin with years" in reading.reason
    assert read_names(paths, "yes").are_labels


def test_names_like_those_of_the_class_set_are_labels_unless_one_says_not(tmp_path: Path) -> None:
    names = [f"{family:04d}_{number}.jpg" for family in range(3) for number in range(4)]
    reading = read_names(named(tmp_path, *names, "cover.jpg"))
    assert (reading.labelled, reading.others, reading.families) == (12, 1, 3)
    assert reading.are_labels
    assert "other names (1)" in reading.reason
    assert reading.otherwise("say {}") == "If they are no families, say no."
    refused = read_names(named(tmp_path, *names), "no")
    assert not refused.are_labels
    assert refused.otherwise("say {}") == ""
    mixed = [*names, "1999_1.jpg", "1999_2.jpg"]  # a year among numbers that are none
    assert read_names(named(tmp_path, *mixed)).are_labels


@pytest.mark.parametrize(
    "names",
    [
        ["0001_1.jpg", "0002_1.jpg", "0003_1.jpg"],
        ["0001_1.jpg", "0001_2.jpg", "0001_3.jpg"],
        ["0001_1.jpg", "0001_2.jpg", "0002_1.jpg"],
    ],
)
def test_families_need_pairs_to_be_read_as_labels(tmp_path: Path, names: list[str]) -> None:
    reading = read_names(named(tmp_path, *names))
    assert not reading.are_labels
    assert "fewer than two families" in reading.reason


def test_exactly_half_of_the_names_are_not_most_of_them(tmp_path: Path) -> None:
    labels = ["0001_1.jpg", "0001_2.jpg", "0002_1.jpg", "0002_2.jpg"]
    assert not read_names(named(tmp_path, *labels, "a.jpg", "b.jpg", "c.jpg", "d.jpg")).are_labels
    assert read_names(named(tmp_path, *labels, "a.jpg", "b.jpg", "c.jpg")).are_labels


def test_an_unknown_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'yes' or 'no'"):
        read_names(named(tmp_path, "a.jpg"), "maybe")


def test_where_no_name_is_a_label_there_is_nothing_to_correct(tmp_path: Path) -> None:
    reading = read_names(named(tmp_path, "a.jpg", "b.jpg"))
    assert reading.reason.startswith("No name has the form")
    assert reading.otherwise("say {}") == ""
