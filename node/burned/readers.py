"""Gives the engines that read: RapidOCR's recogniser, whose model lies in that package, and Tesseract by way of
Presidio's OCR class."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from .rapidreader import RapidReader
from .reader import Reader
from .tesseractreader import TesseractReader


def reader_named(name: str) -> Reader:
    """The engine of that name, loaded once per process; raises KeyError for a name that is none."""
    engines: dict[str, Callable[[], Reader]] = {"rapidocr": _rapid, "tesseract": _tesseract}
    return engines[name]()


@cache
def _rapid() -> RapidReader:
    return RapidReader()


@cache
def _tesseract() -> TesseractReader:
    return TesseractReader()
