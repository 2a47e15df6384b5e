"""Squares of photographs: none overlaps another, all lie in their photograph and show something."""

from workbook.study import photographs
from workbook.study.photographs import PHOTOGRAPHS, box_of, squares_of, usable_squares


def test_squares_lie_within_their_photograph_and_do_not_overlap() -> None:
    for photograph in PHOTOGRAPHS:
        width, height = photographs.load(photograph).size
        boxes = [box_of(square) for square in squares_of(photograph)]
        for place, (left, top, right, bottom) in enumerate(boxes):
            assert right <= width + 1e-6, photograph
            assert bottom <= height + 1e-6, photograph
            for other in boxes[:place]:
                beside = left >= other[2] - 1e-6 or other[0] >= right - 1e-6
                below = top >= other[3] - 1e-6 or other[1] >= bottom - 1e-6
                assert beside or below, photograph


def test_usable_squares_show_something_and_each_occurs_once() -> None:
    squares = usable_squares()
    assert len(set(squares)) == len(squares)
    for square in squares[::10]:
        picture = photographs.cut(square, 64)
        assert picture.size == (64, 64)
        assert photographs.detail(picture) >= photographs.LEAST_DETAIL


def test_a_flat_picture_has_no_detail() -> None:
    flat = photographs.cut(usable_squares()[0], 64).point(lambda _: 90)
    assert photographs.detail(flat) == 0


def test_portraits_are_all_different() -> None:
    seen = {photographs.face(number).tobytes() for number in range(photographs.NUMBER_OF_FACES)}
    assert len(seen) == photographs.NUMBER_OF_FACES
