"""Says what it is to make an encapsulated document anew: what must be known of it, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .pseudonyms import Pseudonyms
from .terms import TermBank
from .text import TextCleaner


@dataclass(frozen=True)
class Rewritten:
    """A document made anew: its bytes, what they are, what was counted on the way (for the receipt), its own identifier
    if it has one, and how its words are read again by who verifies it."""

    data: bytes
    mime_type: str
    counts: Mapping[str, int]
    words: Callable[[bytes], str]
    instance: str = ""


class Document(Protocol):
    """A document that was read and can be made anew."""

    def note_names(self, terms: TermBank) -> None:
        """Add the names and identifiers that stand in places for them to the object's own."""

    def rewritten(self, text: TextCleaner, pseudonyms: Pseudonyms) -> Rewritten:
        """The document without what gives anybody away. Raises CannotClean."""
