"""Finds the engines that the configuration names, and loads each once in a process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points

from .finder import TextFinder
from .gate import Gate
from .looking import Eyes
from .readers import reader_named

GROUP = "lethe.text_finders"
"""The group of entry points by which packages offer finders."""
_USUAL = "rapidocr"


def finder_names() -> list[str]:
    """The names that the configuration may use here."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


@cache
def eyes_of(names: Sequence[str]) -> Eyes:
    """Eyes with those finders. Raises KeyError for a name that nobody offers."""
    reader = "tesseract" if set(names) == {"tesseract"} else _USUAL
    return Eyes([_finder(name) for name in names], reader_named(reader), _gate())


@cache
def _gate() -> Gate:
    return Gate()


@cache
def _finder(name: str) -> TextFinder:
    found: TextFinder = entry_points(group=GROUP)[name].load()()
    return found
