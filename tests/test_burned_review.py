"""What is found and what is decided goes through JSON and back, and nothing else passes for it."""

from __future__ import annotations

import json

import pytest

from lethe.node.burned.box import Box
from lethe.node.burned.review import BadReview, Found, NotProven, Reviewed, Suspect, found_in, reviewed_from
from lethe.node.deid.errors import CannotClean

DECISION = Reviewed((Box(0, 0, 80, 20),), {2: (Box(1, 2, 3, 4), Box(5, 6, 7, 8))}, accepts_rest=True)


def test_a_decision_survives_json() -> None:
    again = reviewed_from(json.loads(json.dumps(DECISION.as_document())))
    assert again == DECISION
    assert again.digest == DECISION.digest != Reviewed(accepts_rest=True).digest
    assert (again.boxes, again.has_boxes, Reviewed().has_boxes) == (3, True, False)


@pytest.mark.parametrize(("form", "fits"), [((3, 20, 80), True), ((2, 20, 80), False), ((3, 19, 80), False)])
def test_boxes_lie_in_the_object_or_do_not(form: tuple[int, int, int], fits: bool) -> None:
    assert DECISION.fits(*form) == fits


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"boxes": {}},
        {"accepts_rest": 1},
        {"accepts_rest": True, "why": "because"},
        {"boxes": [{"box": [0, 0, 0, 5]}]},
        {"boxes": [{"box": [0, 0, 5, 5.0]}]},
        {"boxes": [{"box": [True, 0, 5, 5]}]},
        {"boxes": [{"box": [-1, 0, 5, 5]}]},
        {"boxes": [{"box": [0, 0, 5]}]},
        {"boxes": [{"box": "0055"}]},
        {"boxes": [{"box": [0, 0, 5, 5], "frame": -1}]},
        {"boxes": [{"box": [0, 0, 5, 5], "frame": "1"}]},
        {"boxes": [{"box": [0, 0, 5, 5], "text": "DOE"}]},
        {"boxes": [[0, 0, 5, 5]]},
        {"boxes": [{"box": [0, 0, 5, 5]}] * 2001},
    ],
    ids=lambda document: str(document)[:60],
)
def test_anything_else_is_no_decision(document: object) -> None:
    with pytest.raises(BadReview) as error:
        reviewed_from(document)
    assert "DOE" not in str(error.value)


def test_a_refusal_brings_what_was_found() -> None:
    found = Found(27, 600, 800, (Suspect(Box(1, 2, 3, 4), 5, "unreadable"), Suspect(Box(0, 0, 9, 9))))
    refusal = NotProven("text is left after redaction", found)
    assert isinstance(refusal, CannotClean)
    assert found_in(json.loads(json.dumps(refusal.details))) == found


@pytest.mark.parametrize("details", [{}, {"boxes": 3}, {"boxes": [[1]], "frames": 1, "rows": 1, "columns": 1}])
def test_details_of_another_kind_are_none(details: dict[str, object]) -> None:
    assert found_in(details) is None
