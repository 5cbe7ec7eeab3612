"""Collects the words that would give the patient away from the whole object, before anything is removed, and finds
them again in any text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_SEPARATORS = re.compile(r"[\^=\\,;\s]+")
_NAME_VRS = frozenset({"PN"})
# Attributes, beside person names, dates and UIDs, whose values name somebody or somewhere.
_IDENTIFIERS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00081010,  # Station Name
        0x00081040,  # Institutional Department Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00101000,  # Other Patient IDs
        0x00101001,  # Other Patient Names
        0x00101005,  # Patient's Birth Name
        0x00101040,  # Patient's Address
        0x00101060,  # Patient's Mother's Birth Name
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00120040,  # Clinical Trial Subject ID
        0x00181000,  # Device Serial Number
        0x00321020,  # Scheduled Study Location
        0x00380010,  # Admission ID
        0x00380300,  # Current Patient Location
        0x00401001,  # Requested Procedure ID
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
    }
)
# Words of name and institution fields that say nothing by themselves.
_COMMON = frozenset(
    "anonymous anonymized anonymised unknown none null test patient phantom name mr mrs ms dr md phd prof hospital "
    "clinic center centre medical university department radiology health care institute general the and of for de la "
    "der von van imaging group associates service services ct us pet head brain chest study".split()
)
_SHORTEST_NAME = 3
_SHORTEST_NUMBER = 5


class TermBank:
    """The words of one object. Add first, then look."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._numbers: set[str] = set()
        self._uids: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, tag: int, vr: str, values: Iterable[str]) -> None:
        """Take note of the values of one element; elements that identify nobody are passed over."""
        for value in values:
            if vr in _NAME_VRS or tag in _IDENTIFIERS:
                self._add_words(value)
            elif vr in ("DA", "DT") and re.match(r"[12]\d{7}", value):
                self._add_date(value[:8])

    def add_uid(self, uid: str) -> None:
        """Take note of a UID that is to be replaced."""
        if len(uid) >= 8:
            self._uids.add(uid)

    @property
    def uids(self) -> frozenset[str]:
        """The UIDs that were noted."""
        return frozenset(self._uids)

    def finds(self, text: str) -> bool:
        """Whether the text holds a word, number, date or UID that was noted, as a word of its own."""
        return self._compiled().search(plain(text)) is not None

    def has_uid(self, uid: str) -> bool:
        """Whether exactly this UID was noted."""
        return uid in self._uids

    def in_bytes(self, data: bytes) -> bool:
        """Whether the bytes hold a noted word as Latin-1 or UTF-16 text."""
        return self.finds(data.decode("latin-1")) or self.finds(data.replace(b"\0", b"").decode("latin-1"))

    def _add_words(self, value: str) -> None:
        whole = plain(value).strip(" ^=")
        for word in _SEPARATORS.split(whole):
            self._add_word(word.strip(".()[]\"'"))
        if " " in whole or "-" in whole:
            self._add_word(re.sub(r"[\s^-]+", "", whole))

    def _add_word(self, word: str) -> None:
        digits = sum(character.isdigit() for character in word)
        if digits:
            if len(word) >= _SHORTEST_NUMBER or (digits >= 3 and len(word) > 3):
                self._numbers.add(word)
        elif word not in _COMMON and (len(word) >= _SHORTEST_NAME or (len(word) > 1 and not word.isascii())):
            self._words.add(word)

    def _add_date(self, day: str) -> None:
        year, month, date = day[:4], day[4:6], day[6:]
        self._numbers |= {day, f"{year}-{month}-{date}", f"{date}.{month}.{year}", f"{month}/{date}/{year}"}
        self._numbers |= {f"{date}/{month}/{year}", f"{year}/{month}/{date}", f"{year}.{month}.{date}"}

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            parts = [rf"(?<![^\W_]){_alternatives(self._words)}(?![^\W_])"] if self._words else []
            parts += [rf"(?<!\d){_alternatives(self._numbers)}(?!\d)"] if self._numbers else []
            parts += [rf"(?<![\d.]){_alternatives(self._uids)}(?![\d])"] if self._uids else []
            self._pattern = re.compile("|".join(parts) or r"(?!)")
        return self._pattern


def plain(text: str) -> str:
    """Text for comparison: no case, no accents, no compatibility forms."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(_without_marks(decomposed))


def _without_marks(text: str) -> Iterator[str]:
    return (character for character in text if not unicodedata.combining(character))


def _alternatives(words: set[str]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) + ")"
