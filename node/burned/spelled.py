"""Refuses compressed pixel data whose bytes spell a word by which the header names the patient: in an offset table, in
tables that no image needs, between segments. No decoder shows it, and anybody who opens the file as text reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import copy_pixels
from lethe.node.deid.terms import TermBank

_SHORTEST = 6
"""Bytes of a word: shorter ones stand in compressed data by chance."""


def refuse_spelled(source: Part10, terms: TermBank) -> None:
    """Raises CannotClean where a word stands in compressed pixel data, in capitals or not, in Latin letters."""
    words = sorted({word.encode("latin-1", "ignore") for word in terms.words})
    long = [word.lower() for word in words if len(word) >= _SHORTEST]
    if source.pixels is None or not source.pixels.encapsulated or not long:
        return
    overlap = max(map(len, long)) - 1
    if any(word in piece for piece in map(bytes.lower, _pieces(source, overlap)) for word in long):
        raise CannotClean("its compressed pixel data spell a word of the header, beside what they show")


def _pieces(source: Part10, overlap: int) -> Iterator[bytes]:
    """The pixel data element, each piece beginning with the end of the last."""
    assert source.pixels is not None
    end = b""
    for chunk in copy_pixels(source.data, source.pixels):
        yield end + chunk
        end = chunk[-overlap:]
