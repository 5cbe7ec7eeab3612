"""Reads lines with Tesseract, laid out on one sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata

import cv2
import numpy as np

from .box import Box
from .crops import Crop, crop_of, turned, turns_of
from .reader import Letter, Orientation, Picture, Reading
from .tesseract import read_by

_WIDEST = 1600
_GAP = 24
_SHEET_LINE = 32


class TesseractReader:
    """Tesseract by way of Presidio's OCR class. All boxes are laid on one sheet, since each call is a process."""

    def __init__(self) -> None:
        from presidio_image_redactor import TesseractOCR

        self._ocr = TesseractOCR()

    @property
    def version(self) -> str:
        """Of the program and of Presidio's class."""
        import pytesseract

        return f"tesseract {pytesseract.get_tesseract_version()} presidio {metadata.version('presidio-image-redactor')}"

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """Dark on light, one below the other; tall boxes are read upwards."""
        crops = [crop_of(picture, box) for box in boxes]
        turns = [turns_of(crop)[:1] or (Orientation.UPRIGHT,) for crop in crops]
        lines = [_dark(turned(crop, turn)) for crop, (turn,) in zip(crops, turns, strict=True)]
        if not lines:
            return []
        sheet, tops = _sheet(lines)
        words = self._words(sheet)
        return [
            Reading(tuple(_spelled(words, top, line.shape[1])), turn)
            for top, line, (turn,) in zip(tops, lines, turns, strict=True)
        ]

    def _words(self, sheet: Picture) -> list[tuple[str, float, Box]]:
        found = read_by(self._ocr, sheet, "--psm 6")
        keys = ("text", "conf", "left", "top", "width", "height")
        return [
            (str(text), float(conf) / 100, Box(left, top, left + width, top + height))
            for text, conf, left, top, width, height in zip(*(found[key] for key in keys), strict=True)
            if str(text).strip()
        ]


def _dark(crop: Crop) -> Crop:
    """A line of the sheet, dark on light."""
    if not crop.size:
        return np.ones((_SHEET_LINE, _SHEET_LINE), np.float32)
    height, width = crop.shape
    wide = min(max(round(_SHEET_LINE * width / height), 1), _WIDEST)
    line = np.asarray(cv2.resize(crop, (wide, _SHEET_LINE), interpolation=cv2.INTER_CUBIC), np.float32)
    return line if np.median(line) > 0.5 else 1 - line


def _sheet(lines: Sequence[Crop]) -> tuple[Picture, list[int]]:
    pitch = _SHEET_LINE + _GAP
    sheet = np.full((pitch * len(lines) + _GAP, max(line.shape[1] for line in lines) + 2 * _GAP), 255, np.uint8)
    tops = [_GAP + pitch * at for at in range(len(lines))]
    for top, line in zip(tops, lines, strict=True):
        sheet[top : top + _SHEET_LINE, _GAP : _GAP + line.shape[1]] = (line * 255).clip(0, 255)
    return sheet, tops


def _spelled(words: Sequence[tuple[str, float, Box]], top: int, width: int) -> Iterator[Letter]:
    """The words of one line of the sheet, letter by letter."""
    here = [one for one in words if top - _GAP / 2 <= (one[2].top + one[2].bottom) / 2 < top + _SHEET_LINE + _GAP / 2]
    for place, (text, sure, box) in enumerate(sorted(here, key=lambda one: one[2].left)):
        if place:
            yield Letter(" ", sure, (box.left - _GAP) / width)
        for at, character in enumerate(text):
            yield Letter(character, sure, (box.left - _GAP + box.width * (at + 0.5) / len(text)) / width)
