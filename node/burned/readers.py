"""Gives the engines that read: RapidOCR's recogniser, whose model lies in that package, Tesseract by way of Presidio's
OCR class, and one with the other as second reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .box import Box
from .rapidreader import RapidReader
from .reader import Picture, Reader, Reading
from .tesseractreader import TesseractReader

_WELL_READ = 0.8


@dataclass(frozen=True)
class SecondOpinion:
    """Asks another reader about what the first reads badly; who is surer is believed."""

    first: Reader
    second: Reader

    @property
    def version(self) -> str:
        """Of both."""
        return f"{self.first.version}, {self.second.version}"

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """One reading for each box."""
        readings = self.first.read(picture, boxes)
        doubtful = [at for at, reading in enumerate(readings) if reading.confidence < _WELL_READ]
        others = self.second.read(picture, [boxes[at] for at in doubtful]) if doubtful else []
        for at, other in zip(doubtful, others, strict=True):
            readings[at] = max(readings[at], other, key=lambda reading: reading.confidence)
        return readings


def reader_for(finders: Sequence[str]) -> Reader:
    """The reader that goes with those finders: RapidOCR's; where Tesseract finds as well, with that as second reader;
    where it finds alone, Tesseract. Each is loaded once per process."""
    names = set(finders)
    if "tesseract" not in names:
        return _rapid()
    return _tesseract() if names == {"tesseract"} else _both()


@cache
def _rapid() -> RapidReader:
    return RapidReader()


@cache
def _tesseract() -> TesseractReader:
    return TesseractReader()


@cache
def _both() -> SecondOpinion:
    return SecondOpinion(_rapid(), _tesseract())
