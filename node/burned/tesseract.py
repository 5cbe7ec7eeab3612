"""Finds text with Tesseract, by way of Presidio's OCR class: in both polarities, as scattered text."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np

from ..deid.errors import CannotClean
from .box import Box
from .finder import Found
from .views import Grey, Picture

_SCATTERED = "--psm 11"
_TWICE, _LONGEST = 2.0, 32_000
"""How much it wants a picture to be enlarged, and how long a side may be."""
_LEAST_SURE = 10
_GROWN = 0.25


class Tesseract:
    """Tesseract as a finder. It reads what it finds; here only where that is counts."""

    @property
    def edition(self) -> str:
        """Names engine and versions."""
        import pytesseract

        return f"tesseract {pytesseract.get_tesseract_version()} presidio {version('presidio-image-redactor')}"

    def find(self, picture: Picture, scale: float) -> list[Found]:
        """Where words are, in pixels of the picture."""
        rows, columns = picture.shape[:2]
        enlarged = min(max(scale, _TWICE), _LONGEST / max(rows, columns))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        size = max(round(columns * enlarged), 1), max(round(rows * enlarged), 1)
        large = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        boxes = [*self._words(large), *self._words(255 - large)]
        return [Found(_of_the_picture(box, enlarged).within(columns, rows)) for box in boxes]

    def _words(self, grey: Grey) -> list[Box]:
        found = read_by(self._ocr, grey, _SCATTERED)
        keys = ("text", "conf", "left", "top", "width", "height")
        return [
            Box(left, top, left + width, top + height)
            for text, sure, left, top, width, height in zip(*(found[key] for key in keys), strict=True)
            if str(text).strip() and float(sure) >= _LEAST_SURE
        ]

    @cached_property
    def _ocr(self) -> Any:
        from presidio_image_redactor import TesseractOCR

        return TesseractOCR()


def read_by(ocr: Any, grey: Grey, how: str) -> dict[str, Any]:
    """What Presidio's OCR class makes of a picture. Raises CannotClean where the program fails, whose words may quote
    what it read."""
    from PIL import Image
    from pytesseract import TesseractError

    try:
        found: dict[str, Any] = ocr.perform_ocr(Image.fromarray(grey), config=how)
    except TesseractError:
        raise CannotClean("Tesseract cannot look at a frame of that size") from None
    return found


def _of_the_picture(box: Box, enlarged: float) -> Box:
    margin = int(box.height * _GROWN) + 1
    left, top, right, bottom = (int(edge / enlarged) for edge in box.grown(margin, margin))
    return Box(left, top, right + 1, bottom + 1)
