"""Collects the words that would give the patient away from the whole object, before anything is removed, and finds
them again in any text.

Text is taken apart into words once and looked up, so that the time is that of reading, however many terms there are.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum

# Attributes, beside person names, dates and UIDs, whose values name somebody.
_IDENTIFIERS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00081010,  # Station Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00101000,  # Other Patient IDs
        0x00101080,  # Military Rank
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
        0x00181000,  # Device Serial Number
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400253,  # Performed Procedure Step ID
        0x00401001,  # Requested Procedure ID
        0x00401103,  # Person's Telephone Numbers
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
    }
)
# Attributes whose values name somebody, or somewhere, in words of their own.
_NAMES = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081040,  # Institutional Department Name
        0x00101001,  # Other Patient Names
        0x00101005,  # Patient's Birth Name
        0x00101040,  # Patient's Address
        0x00101060,  # Patient's Mother's Birth Name
        0x00321020,  # Scheduled Study Location
        0x00321032,  # Requesting Physician
        0x00380300,  # Current Patient Location
        0x00401102,  # Person's Address
    }
)
_BIRTHDAYS = frozenset({0x00100030, 0x00100033})  # Patient's Birth Date, and in Alternative Calendar
# Words of name fields that say nothing by themselves.
_COMMON = frozenset(
    "anonymous anonymized anonymised unknown none null test patient phantom name mr mrs ms dr md phd prof the and of "
    "for de la der den von van".split()
)
# Words of institution fields that say nothing by themselves: places of work, and the vendors whose names must stay.
_COMMON_PLACES = _COMMON | frozenset(
    "hospital hospitals clinic clinical center centre medical medicine university universitaet department radiology "
    "health healthcare care institute institution general imaging group associates service services systems system "
    "diagnostic diagnostics research nuclear oncology cardiology radiotherapy ultrasound head brain chest study "
    "street road avenue city north south east west siemens healthineers philips toshiba canon hitachi fuji fujifilm "
    "agfa kodak carestream hologic varian elekta samsung acuson aloka esaote mindray shimadzu electric generic".split()
)
_MONTHS = "january february march april may june july august september october november december".split()
_WORD = re.compile(r"[^\W_]+")
_GAP = re.compile(r"[\W_]")
_RUN = re.compile(r"\d+|[^\W\d_]+")
_WORD_IN_BYTES = re.compile(rb"[0-9A-Za-z]{5,}")
_DOTTED_IN_BYTES = re.compile(rb"[0-9.]{9,}")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a]")
DOTTED = re.compile(r"[0-9.]{9,}")
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_SHORTEST_NAME = 3
_SHORTEST_ID = 5
_LONGEST_UID = 80
_LONGEST_PHRASE = 16
_PIECE, _OVERLAP = 1 << 20, 1 << 10
_FIRST_IDEOGRAPH = "\u2e80"
"""From here on Unicode holds scripts that write names without spaces around them."""


class Kind(Enum):
    """What a noted value is; a day is written YYYYMMDD."""

    PERSON = "person"
    PLACE = "place"
    IDENTIFIER = "identifier"
    DAY = "day"
    BIRTHDAY = "birthday"


class TermBank:
    """The words of one object. Add first, then look."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._phrases: set[tuple[str, ...]] = set()
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        self._unspaced: set[str] = set()
        self._days: set[str] = set()
        self._birthdays: set[str] = set()
        self._uids: set[str] = set()

    def add(self, tag: int, vr: str, values: Iterable[str]) -> None:
        """Take note of the values of one element; elements that identify nobody are passed over."""
        for value in values:
            if vr == "PN":
                self.note(Kind.PERSON, value)
            elif tag in _NAMES:
                self.note(Kind.PLACE, value)
            elif tag in _IDENTIFIERS:
                self.note(Kind.IDENTIFIER, value)
            elif vr in ("DA", "DT"):
                day = value.replace(".", "")[:8] if vr == "DA" else value[:8]
                self.note(Kind.BIRTHDAY if tag in _BIRTHDAYS else Kind.DAY, day)

    def note(self, kind: Kind, value: str) -> None:
        """Take note of a value wherever it stands."""
        if kind == Kind.PERSON:
            self._add_person(value)
        elif kind == Kind.PLACE:
            self._add_place(value)
        elif kind == Kind.IDENTIFIER:
            self._add_identifier(value)
        else:
            self._add_date(value)
            if kind == Kind.BIRTHDAY:
                self._birthdays.add(value)

    def add_uid(self, uid: str) -> None:
        """Take note of a UID that is to be replaced."""
        if len(uid) >= 8:
            self._uids.add(uid)

    @property
    def uids(self) -> frozenset[str]:
        """The UIDs that were noted."""
        return frozenset(self._uids)

    @property
    def words(self) -> frozenset[str]:
        """The single words that were noted, `plain`, joined names among them."""
        return frozenset(self._words)

    @property
    def days(self) -> frozenset[str]:
        """The days (YYYYMMDD) of the dates that were noted."""
        return frozenset(self._days)

    def finds(self, text: str) -> bool:
        """Whether the text holds a word, number, date or UID that was noted, as a word of its own."""
        return any(self._finds_in(piece) for piece in _pieces(plain(text)))

    def spans(self, low: str) -> Iterator[tuple[int, int]]:
        """Where the text, which must be `plain` already, holds what was noted: from and up to."""
        words = list(_WORD.finditer(low))
        for at, word in enumerate(words):
            if self._is_term(word[0]):
                yield word.span()
            for length in self._lengths.get(word[0], ()):
                phrase = words[at : at + length]
                if tuple(one[0] for one in phrase) in self._phrases:
                    yield word.start(), phrase[-1].end()
        if self._uids:
            yield from (match.span() for match in DOTTED.finditer(low) if self._finds_uid(match[0]))
        for name in self._unspaced if not low.isascii() else ():
            yield from (match.span() for match in re.finditer(re.escape(name), low))

    def is_birthday(self, day: str) -> bool:
        """Whether a day (YYYYMMDD) is one on which the patient or a parent was born: no shift makes it harmless."""
        return day in self._birthdays

    def is_day(self, day: str) -> bool:
        """Whether a day (YYYYMMDD) stands in one of the object's dates."""
        return day in self._days or day in self._birthdays

    def is_number(self, text: str) -> bool:
        """Whether the text, which should be a number, is exactly a noted identifier or date of six digits or more."""
        return len(text) >= 6 and text.isdigit() and (text in self._words or text in self._days)

    def has_uid(self, uid: str) -> bool:
        """Whether exactly this UID was noted."""
        return uid in self._uids

    def in_bytes(self, data: bytes) -> bool:
        """Whether the bytes hold a noted word of five letters or more as 8-bit or UTF-16 text; shorter ones are in any
        random bytes. Bytes that are all text are searched as text."""
        if not _CONTROLS.search(data):
            return self.finds(_as_text(data))
        for raw in (data, data.replace(b"\0", b"")) if b"\0" in data else (data,):
            if any(self._is_term(match[0].decode("ascii").lower()) for match in _WORD_IN_BYTES.finditer(raw)):
                return True
            if self._uids and any(self._finds_uid(match[0].decode()) for match in _DOTTED_IN_BYTES.finditer(raw)):
                return True
        return False

    def _is_term(self, word: str) -> bool:
        if word in self._words or (word[:8] in self._days and len(word) in (8, 10, 12, 14)):
            return True
        if word.isalpha() or word.isdigit():
            return False
        # Letters and digits run together: MRN1234567, Doe2, 20040119T1030.
        return any(len(run) >= 4 and (run in self._words or run in self._days) for run in _RUN.findall(word))

    def _finds_in(self, low: str) -> bool:
        distinct = set(_WORD.findall(low))
        return (
            any(self._is_term(word) for word in distinct)
            or (not distinct.isdisjoint(self._lengths) and self._finds_phrase(low))
            or (bool(self._uids) and self._finds_uid(low))
            or (not low.isascii() and any(name in low for name in self._unspaced))
        )

    def _finds_phrase(self, low: str) -> bool:
        words = _WORD.findall(low)
        return any(
            tuple(words[at : at + length]) in self._phrases
            for at, word in enumerate(words)
            for length in self._lengths.get(word, ())
        )

    def _finds_uid(self, low: str) -> bool:
        for match in DOTTED.finditer(low):
            uid = match[0][:_LONGEST_UID].strip(".")
            while len(uid) >= 8:
                if uid in self._uids:
                    return True
                uid = uid.rpartition(".")[0]
        return False

    def _add_person(self, value: str) -> None:
        for group in value.casefold().split("="):
            components = [part.strip() for part in re.split(r"[\^\\,;]", group)]
            for component in components:
                self._add_words(component, _COMMON)
            family, given = [*components, "", ""][:2]
            if family and given:
                self._add_joined(plain(family + given))
                self._add_joined(plain(given + family))

    def _add_place(self, value: str) -> None:
        self._add_words(value.casefold(), _COMMON_PLACES, shortest=4)

    def _add_identifier(self, value: str) -> None:
        whole = tuple(_words_of(plain(value)))
        joined = "".join(whole)
        digits = sum(character.isdigit() for character in joined)
        if joined in _COMMON or not (len(joined) >= _SHORTEST_ID or (digits >= 3 and len(joined) > 3)):
            return
        self._words.add(joined)
        self._add_phrase(whole)
        self._words |= {word for word in whole if len(word) >= 6 and any(one.isdigit() for one in word)}

    def _add_words(self, name: str, common: frozenset[str], *, shortest: int = _SHORTEST_NAME) -> None:
        """A name of one or several words: each by itself, all in a row, all joined."""
        for spelling in {name, name.translate(_GERMAN)}:
            words = list(_words_of(plain(spelling)))
            for word in words:
                if word[:1] >= _FIRST_IDEOGRAPH:
                    self._unspaced |= {word} if len(word) > 1 else set()
                elif word not in common and _is_telling(word, shortest):
                    self._words.add(word)
            if len(words) > 1:
                self._add_joined(plain(spelling))
                self._add_phrase(tuple(words))

    def _add_joined(self, name: str) -> None:
        joined = "".join(_words_of(name))
        if joined[:1] >= _FIRST_IDEOGRAPH:
            self._unspaced.add(joined)
        elif len(joined) >= _SHORTEST_ID:
            self._words.add(joined)

    def _add_phrase(self, words: tuple[str, ...]) -> None:
        if 1 < len(words) <= _LONGEST_PHRASE and len("".join(words)) >= _SHORTEST_ID:
            self._phrases.add(words)
            self._lengths[words[0]].add(len(words))

    def _add_date(self, day: str) -> None:
        if not re.fullmatch(r"[12]\d{3}(0[1-9]|1[0-2])([0-2]\d|3[01])", day):
            return
        self._days.add(day)
        year, month, date = day[:4], day[4:6], day[6:]
        name = _MONTHS[int(month) - 1]
        for a, b in ((month, date), (month.lstrip("0"), date.lstrip("0"))):
            for phrase in ((year, a, b), (a, b, year), (b, a, year)):
                self._add_phrase(phrase)
            for word in (name, name[:3]):
                self._add_phrase((word, b, year))
                self._add_phrase((b, word, year))


def _is_telling(word: str, shortest: int) -> bool:
    """Whether a word of a name is long enough to mean somebody; a number needs more than a word."""
    if any(character.isdigit() for character in word):
        return len(word) >= _SHORTEST_ID
    return len(word) >= shortest or (len(word) > 1 and not word.isascii())


def plain(text: str) -> str:
    """Text for comparison: no case, no accents, no compatibility forms. German umlauts count as their base letters; the
    other spelling is a term of its own."""
    if text.isascii():
        return text.lower()
    folded = text.casefold() if "ß" not in text else text.lower().replace("ß", "ss").casefold()
    # Character by character: normalising a whole text takes quadratic time where many marks stand in a row.
    return folded.translate({ord(one): _base(one) for one in set(folded) if not one.isascii()})


def _base(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character)
    # Composed again, because Korean syllables come apart as well.
    return unicodedata.normalize("NFC", "".join(one for one in decomposed if not unicodedata.combining(one))).lower()


def _words_of(low: str) -> list[str]:
    return _WORD.findall(low)


def _pieces(low: str) -> Iterator[str]:
    """A long text in pieces that overlap by more than a phrase and are cut between words, so that memory stays flat."""
    at = 0
    while at < len(low):
        gap = _GAP.search(low, at + _PIECE)
        end = gap.end() if gap else len(low)
        yield low[max(0, at - _OVERLAP) : end]
        at = end


def _as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
