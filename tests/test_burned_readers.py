"""Which engine reads, and what a second reader is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lethe.node.burned.box import Box
from lethe.node.burned.engines import eyes_of
from lethe.node.burned.rapidreader import RapidReader
from lethe.node.burned.reader import Letter, Picture, Reading
from lethe.node.burned.readers import SecondOpinion, reader_for
from lethe.node.burned.tesseractreader import TesseractReader

PAPER, BOXES = np.zeros((10, 10), np.uint8), [Box(0, 0, 4, 4), Box(4, 0, 8, 4), Box(0, 4, 4, 8)]


@dataclass
class Says:
    """A reader that has made up its mind."""

    text: str
    sure: Sequence[float]
    asked: list[Box] = field(default_factory=list)
    version: str = "1"

    def read(self, _picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        self.asked += boxes
        return [Reading((Letter(self.text, sure, 0.5),)) for _, sure in zip(boxes, self.sure, strict=False)]


def test_the_second_is_asked_about_what_the_first_reads_badly_and_believed_where_it_is_surer() -> None:
    second = Says("B", (0.6, 0.2))
    readings = SecondOpinion(Says("A", (0.9, 0.5, 0.5)), second).read(PAPER, BOXES)
    assert [one.text for one in readings] == ["A", "B", "A"] and second.asked == BOXES[1:]


def test_nobody_else_is_asked_where_all_is_read_well() -> None:
    second = Says("B", ())
    assert [one.text for one in SecondOpinion(Says("A", (0.9,) * 3), second).read(PAPER, BOXES)] == ["A"] * 3
    assert second.asked == []


def test_who_finds_says_who_reads() -> None:
    assert isinstance(reader_for(("rapidocr",)), RapidReader) and isinstance(
        reader_for(("tesseract",)), TesseractReader
    )
    both = eyes_of(("rapidocr", "tesseract"))
    assert isinstance(both.reader, SecondOpinion) and "tesseract" in both.editions[-1] and "rec" in both.editions[-1]
