"""Which bare numbers are those of a scale, and which are not."""

import pytest
from burned_pictures import bank, column, decided, drawn

from lethe.node.burned.box import Box
from lethe.node.burned.policy import BareNumbers, PhiPolicy, Reason
from lethe.node.burned.readers import reader_for
from lethe.node.burned.scales import lone_digits, scale_marks
from lethe.node.deid.terms import TermBank


def found(*marks: tuple[str, int, int]) -> set[int]:
    boxes = [Box(left, top, left + 8 * len(text), top + 12) for text, left, top in marks]
    return scale_marks(boxes, [text for text, _, _ in marks])


def test_a_column_that_grows_evenly_is_a_scale() -> None:
    assert found(("0", 600, 70), ("4", 600, 190), ("8", 600, 310)) == {0, 1, 2}
    assert found(("10", 600, 70), ("5", 604, 130), ("O", 604, 190)) == {0, 1, 2}


def test_boxes_of_a_scale_may_differ_in_how_far_they_reach_past_their_digits() -> None:
    boxes = [Box(748, 412, 771, 427), Box(747, 434, 773, 452), Box(749, 459, 770, 474), Box(750, 484, 769, 495)]
    assert scale_marks(boxes, ["80", "60", "40", "20"]) == {0, 1, 2, 3}


def test_a_row_is_one_too() -> None:
    assert found(("0", 100, 400), ("1", 200, 400), ("2.5", 342, 400)) == {0, 1, 2}


def test_other_numbers_beside_a_scale_are_not_of_it() -> None:
    assert found(("0", 600, 70), ("4", 600, 190), ("8", 600, 310), ("63", 600, 250), ("5", 100, 220)) == {0, 1, 2}


@pytest.mark.parametrize(
    "marks",
    [
        (("0", 600, 70), ("4", 600, 190)),
        (("0", 600, 70), ("4", 600, 190), ("9", 600, 310)),
        (("0", 600, 70), ("4", 500, 190), ("8", 600, 310)),
        (("07", 600, 70), ("1961", 600, 190), ("30", 600, 310)),
        (("12", 10, 10), ("13", 10, 24), ("14", 10, 38)),
        (("4", 600, 70), ("4", 600, 190), ("4", 600, 310)),
        (("M", 600, 70), ("63", 600, 190), ("4711", 600, 310)),
        (),
    ],
)
def test_what_is_no_scale(marks: tuple[tuple[str, int, int], ...]) -> None:
    assert not found(*marks)


def alone(*marks: tuple[str, int, int]) -> set[int]:
    boxes = [Box(left, top, left + 8 * len(text), top + 12) for text, left, top in marks]
    return lone_digits(boxes, [text for text, _, _ in marks])


def test_a_digit_far_from_all_text_is_alone() -> None:
    assert alone(("4", 600, 190), ("-8", 600, 310), ("O", 300, 20), ("MRN 10984795", 10, 20)) == {0, 1, 2}


@pytest.mark.parametrize(
    "marks",
    [
        (("4", 600, 190), ("7", 620, 190)),
        (("4", 600, 190), ("MRN", 560, 190)),
        (("4", 600, 190), ("Doe", 600, 215)),
        (("63", 600, 190),),
        (("B", 600, 190),),
        (("", 600, 190),),
    ],
)
def test_what_is_no_digit_alone(marks: tuple[tuple[str, int, int], ...]) -> None:
    assert not alone(*marks)


def test_a_box_as_long_as_two_digits_is_not_that_of_one() -> None:
    assert lone_digits([Box(600, 190, 612, 202)], ["4"])
    assert not lone_digits([Box(600, 190, 630, 202)], ["4"])


@pytest.mark.parametrize(("numbers", "stays"), [(BareNumbers.REDACTED, False), (BareNumbers.KEPT_ON_SCALES, True)])
def test_a_digit_alone_stays_only_where_that_was_chosen(numbers: BareNumbers, stays: bool) -> None:
    picture, boxes = drawn([("4", 600, 190), ("63", 40, 40)])
    readings = reader_for(["rapidocr"]).read(picture, boxes)
    decisions = PhiPolicy(TermBank(), numbers=numbers).decide(boxes, readings)
    assert [one.reason.stays for one in decisions] == [stays, False]


@pytest.mark.parametrize(("numbers", "stays"), [(BareNumbers.REDACTED, False), (BareNumbers.KEPT_ON_SCALES, True)])
def test_numbers_of_a_scale_stay_only_where_that_was_chosen(numbers: BareNumbers, stays: bool) -> None:
    picture, boxes = drawn([*column("2", "4", "6", left=600, step=90), ("63", 40, 40)])
    readings = reader_for(["rapidocr"]).read(picture, boxes)
    decisions = PhiPolicy(TermBank(), numbers=numbers).decide(boxes, readings)
    assert [one.reason.stays for one in decisions] == [stays] * 3 + [False]


def test_a_column_of_numbers_goes_unless_asked() -> None:
    assert {one.reason for one in decided(column("2", "4", "6"), bank(person="Doe^Jo"))} == {Reason.UNPROVEN}
