"""Which boxes of a drawn frame are redacted under policy `phi`; the text is read by the engines themselves."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from burned_pictures import Picture, bank, column, decided, drawn

from lethe.node.burned.beginnings import as_far_as_needed
from lethe.node.burned.box import Box
from lethe.node.burned.likeness import Likeness
from lethe.node.burned.policy import PhiPolicy, Reason
from lethe.node.burned.rapidreader import RapidReader
from lethe.node.burned.reader import Letter, Orientation, Reading
from lethe.node.burned.readers import reader_for
from lethe.node.deid.terms import TermBank


def test_technical_text_stays_and_all_else_goes() -> None:
    kept = decided(column("kV 120", "W:400 L:40", "Gain 55%", "SUPINE"))
    assert [one.reason for one in kept] == [Reason.TECHNICAL] * 4
    assert not any(one.redacted for one in kept)
    gone = decided(column("HARGROVE MARGARET", "12/05/1961", "M 63", "4711"))
    assert [one.reason for one in gone] == [Reason.UNPROVEN] * 4
    assert [one.redacted for one in gone] == [(one.box,) for one in gone]


def test_a_dynamic_range_is_no_doctor() -> None:
    [setting, doctor] = decided(column("DR: 65", "DR: PIKE"))
    assert (setting.reason, doctor.reason) == (Reason.TECHNICAL, Reason.FIELD)


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        (bank(person="Slice^Anna"), "Slice 5 mm"),
        (bank(person="Depth^Anna"), "Depth 16 cm"),
        (bank(identifier="FOV350"), "FOV 350"),
        (bank(place="Supine Saint Lucia"), "SUPINE"),
    ],
)
def test_technical_text_of_the_header_goes(terms: TermBank, text: str) -> None:
    [one] = decided([(text, 40, 40)], terms)
    assert one.reason is Reason.HEADER
    assert one.redacted == (one.box,)


@pytest.mark.parametrize("text", ["4711.99 ms", "W:4711 L:99"])
def test_a_number_of_the_header_goes_however_it_is_cut(text: str) -> None:
    assert Likeness(bank(identifier="471199")).finds(text)
    assert not Likeness(bank(identifier="982233")).finds(text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Olivares", "0livares"),
        ("Simmons", "5immons"),
        ("Burnham", "Bumham"),
        ("A123450", "AI2345O"),
        ("Whitcombe", "Whitcornbe"),
    ],
)
def test_what_looks_like_a_term_is_one(written: str, read: str) -> None:
    terms = bank(person=f"{written}^X") if written.isalpha() else bank(identifier=written)
    assert Likeness(terms).finds(f"T2 {read} AX")
    assert not Likeness(terms).finds("T2 TSE AX 5.0 mm")


def test_a_long_line_is_read_as_far_as_it_may_stay() -> None:
    lines = [
        ("HARGROVE MARGARET ELEANOR 1961", 40, 40),
        ("Depth 16 cm  Gain 55%  Zoom 1.5x", 40, 80),
        ("T2 TSE", 40, 120),
    ]
    picture, boxes = drawn(lines)
    reader = reader_for(["rapidocr"])
    whole, policy = reader.read(picture, boxes), PhiPolicy(bank())
    name, *others = as_far_as_needed(reader, picture, boxes)
    assert others == whole[1:]
    assert name.cut
    assert len(name.text) < len(whole[0].text)
    reasons = [[one.reason for one in policy.decide(boxes, read)] for read in ([name, *others], whole)]
    assert reasons[0] == reasons[1] == [Reason.UNPROVEN, Reason.TECHNICAL, Reason.TECHNICAL]


def test_a_label_gives_its_neighbour_away_and_goes_with_it() -> None:
    label, value = decided([("Name:", 40, 40), ("Gain 55%", 110, 40)])
    assert (label.reason, value.reason) == (Reason.BESIDE, Reason.FIELD)
    label, value, other = decided([("Name:", 40, 40), ("SUPINE", 40, 64), ("SUPINE", 40, 300)])
    assert (label.reason, value.reason, other.reason) == (Reason.BESIDE, Reason.FIELD, Reason.TECHNICAL)
    [alone] = decided([("Name:", 40, 40)])
    assert alone.reason is Reason.LABEL


def test_a_label_without_a_colon_may_be_part_of_a_name() -> None:
    [one] = decided([("Hospital", 40, 40)])
    assert one.reason is Reason.FIELD
    assert one.redacted == (one.box,)


def test_an_initial_beside_a_name_goes() -> None:
    alone, name, beside = decided([("R", 500, 300), ("HARGROVE", 40, 40), ("R", 160, 40)], size=20)
    assert (alone.reason, name.reason, beside.reason) == (Reason.TECHNICAL, Reason.UNPROVEN, Reason.BESIDE)


def test_only_the_part_that_is_not_technical_goes() -> None:
    [one] = decided([("Gain 55%     HARGROVE MARGARET", 40, 40)])
    assert one.reason is Reason.PARTLY
    [part] = one.redacted
    _, [technical, name] = drawn([("Gain 55%", 40, 40), ("HARGROVE MARGARET", 146, 40)])
    assert part.right == one.box.right
    assert technical.grown(-3, 0).shared(part).area == 0
    assert part.left <= name.left


@pytest.mark.parametrize(
    ("part", "stays"),
    [
        (Box(37, 37, 68, 62), True),
        (Box(33, 37, 90, 64), True),
        (Box(37, 50, 140, 62), False),
        (Box(20, 37, 90, 64), False),
        (Box(37, 30, 300, 100), False),
    ],
    ids=["beginning", "more at its side", "half as high", "reaches further", "larger"],
)
def test_a_part_of_a_technical_line_that_was_found_again_stays(part: Box, stays: bool) -> None:
    """As where tiles of a large frame end: "85 k" of 85 kV 2.5 mAs."""
    picture, [line] = drawn([("85 kV 2.5 mAs", 40, 40)], size=18)
    [read] = reader_for(["rapidocr"]).read(picture, [line])

    def of_part(text: str) -> Reason:
        again = Reading(tuple(Letter(one, 0.95, at / len(text)) for at, one in enumerate(text)))
        return PhiPolicy(TermBank()).decide([line, part], [read, again])[1].reason

    assert of_part("85 k").stays is stays and of_part("85 kV 2").stays is stays
    assert not of_part("SMITH").stays


def test_a_mixed_line_that_stands_close_goes_as_a_whole() -> None:
    [one] = decided([("HARGROVE 10 cm", 40, 40)], size=12)
    assert one.redacted == (one.box,)


@pytest.mark.parametrize("turn", [Orientation.UPWARDS, Orientation.DOWNWARDS, Orientation.OVER])
def test_turned_text_is_read(turn: Orientation) -> None:
    picture, [box] = drawn([("FOV 350 mm", 40, 40)], size=24)
    turned = np.ascontiguousarray(np.rot90(picture[box.rows, box.columns], turn // 90))
    [reading] = reader_for(["rapidocr"]).read(turned, [Box(0, 0, turned.shape[1], turned.shape[0])])
    assert (reading.text.replace(" ", ""), reading.orientation) == ("FOV350mm", turn)


@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (0, 255), (140, 100), (100, 140)])
def test_text_of_any_shade_is_read(ink: int, ground: int) -> None:
    picture, boxes = drawn([("Depth 16 cm", 40, 40)], 18, ink, ground)
    [reading] = reader_for(["rapidocr"]).read(picture, boxes)
    assert reading.text.replace(" ", "") == "Depth16cm"


def test_coloured_text_is_read() -> None:
    picture, boxes = drawn([("Depth 16 cm", 40, 40)])
    coloured = np.stack([np.full_like(picture, 90), np.full_like(picture, 90), picture], axis=2)
    [reading] = reader_for(["rapidocr"]).read(coloured, boxes)
    assert reading.text.replace(" ", "") == "Depth16cm"


def test_a_line_that_was_just_read_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, calls = RapidReader(), [0]
    run = reader._session.run

    def counted(*arguments: Any) -> Any:
        calls[0] += 1
        return run(*arguments)

    monkeypatch.setattr(reader, "_session", SimpleNamespace(run=counted))
    picture, boxes = drawn(column("MILLER JOHN", "120 kV"))
    first, before = reader.read(picture, boxes), calls[0]
    assert before > 0
    assert reader.read(picture, boxes) == first
    assert calls[0] == before
    other, places = drawn(column("MILLER JANE", "120 kV"))
    assert reader.read(other, places)[0] != first[0]
    assert calls[0] > before


def _without_ink(picture: Picture) -> Picture:
    return np.full_like(picture, 77)


def _speckled(picture: Picture) -> Picture:
    return np.random.default_rng(1).integers(0, 255, picture.shape, np.uint8)


@pytest.mark.parametrize("spoilt", [_without_ink, _speckled])
def test_what_cannot_be_read_goes(spoilt: Callable[[Picture], Picture]) -> None:
    picture, boxes = drawn(column("kV 120", "SUPINE", "R"))
    readings = reader_for(["rapidocr"]).read(spoilt(picture), boxes)
    decisions = PhiPolicy(TermBank()).decide(boxes, readings)
    assert [one.redacted for one in decisions] == [(box,) for box in boxes]


def test_ink_that_no_letter_accounts_for_proves_nothing() -> None:
    """A box of which only the beginning is read: "10 cm" before a name in letters the recogniser does not know."""
    picture, [box] = drawn([("10 cm", 40, 40)])
    longer = Box(box.left, box.top, box.right + 160, box.bottom)
    noisy = picture.copy()
    rng = np.random.default_rng(2)
    for left in range(box.right + 10, longer.right - 14, 14):
        points = rng.integers(0, 16, (5, 2)) + np.array([left, box.top + 2])
        cv2.polylines(noisy, [points.astype(np.int32)], False, 230, 2)
    [reading] = reader_for(["rapidocr"]).read(noisy, [longer])
    [one] = PhiPolicy(TermBank()).decide([longer], [reading])
    assert any(part.right >= longer.right - 1 for part in one.redacted)


@pytest.mark.parametrize(
    "box", [Box(0, 0, 0, 0), Box(-5, -5, 1, 1), Box(639, 399, 640, 400), Box(10, 10, 10, 300), Box(0, 0, 640, 2)]
)
def test_boxes_without_room_for_a_letter_go(box: Box) -> None:
    picture, _ = drawn([])
    for engine in ("rapidocr", "tesseract"):
        readings = reader_for([engine]).read(picture, [box])
        assert [one.redacted for one in PhiPolicy(TermBank()).decide([box], readings)] == [(box,)]


def test_no_boxes_no_decisions() -> None:
    picture, _ = drawn([])
    for engine in ("rapidocr", "tesseract"):
        assert reader_for([engine]).read(picture, []) == []
    assert PhiPolicy(TermBank()).decide([], []) == []


def test_tesseract_reads_the_same() -> None:
    picture, boxes = drawn(column("kV 120", "HARGROVE", "Depth 16 cm"), size=18)
    readings = reader_for(["tesseract"]).read(picture, boxes)
    assert [one.text for one in readings] == ["kV 120", "HARGROVE", "Depth 16 cm"]
    decisions = PhiPolicy(TermBank()).decide(boxes, readings)
    assert [bool(one.redacted) for one in decisions] == [False, True, False]


def test_an_engine_is_loaded_once_and_tells_its_version() -> None:
    assert reader_for(["rapidocr"]) is reader_for(["rapidocr"])
    assert "PP-OCRv6_rec_small" in reader_for(["rapidocr"]).version
    assert reader_for(["tesseract"]).version.startswith("tesseract ")


def test_what_is_shown_of_a_reading_is_not_its_text() -> None:
    picture, boxes = drawn([("HARGROVE", 40, 40)])
    [reading] = reader_for(["rapidocr"]).read(picture, boxes)
    [decision] = PhiPolicy(TermBank()).decide(boxes, [reading])
    assert reading.text == "HARGROVE"
    assert "HARG" not in repr(reading) + repr(decision) and "'A'" not in repr(reading)
    assert Reading().confidence == 0


def test_of_a_line_that_was_not_read_to_its_end_nothing_stays() -> None:
    picture, boxes = drawn([("Gain 55%", 40, 40)])
    [read] = reader_for(["rapidocr"]).read(picture, boxes)
    reasons = [PhiPolicy(bank()).decide(boxes, [one])[0].reason for one in (read, replace(read, cut=True))]
    assert reasons == [Reason.TECHNICAL, Reason.UNPROVEN]
