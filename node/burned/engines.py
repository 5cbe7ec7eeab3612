"""Finds the engines that the configuration names, and loads each once in a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

import cv2

from .finder import TextFinder
from .gate import Gate
from .looking import Eyes
from .offered import offered
from .readers import reader_for


@cache
def eyes_of(names: Sequence[str]) -> Eyes:
    """Eyes with those finders, which use one thread. Raises KeyError for a name that nobody offers."""
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # for Tesseract, which is a program of its own
    return Eyes([_finder(name) for name in names], reader_for(names), _gate())


@cache
def _gate() -> Gate:
    return Gate()


@cache
def _finder(name: str) -> TextFinder:
    found: TextFinder = offered(name).load()()
    return found
