"""Finds text with Tesseract, by way of Presidio's OCR class: in both polarities, as scattered text."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np

from .box import Box
from .finder import Found
from .views import Grey, Picture

_SCATTERED = "--psm 11"
_TWICE = 2.0
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
        enlarged = max(scale, _TWICE)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        size = round(columns * enlarged), round(rows * enlarged)
        large = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        boxes = [*self._words(large), *self._words(255 - large)]
        return [Found(_of_the_picture(box, enlarged).within(columns, rows)) for box in boxes]

    def _words(self, grey: Grey) -> list[Box]:
        from PIL import Image

        found: dict[str, Any] = self._ocr.perform_ocr(Image.fromarray(grey), config=_SCATTERED)
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


def _of_the_picture(box: Box, enlarged: float) -> Box:
    margin = int(box.height * _GROWN) + 1
    left, top, right, bottom = (int(edge / enlarged) for edge in box.grown(margin, margin))
    return Box(left, top, right + 1, bottom + 1)
