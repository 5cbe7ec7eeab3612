"""Notes how names, places, identifiers, dates and UIDs of an object may be written, before anything is removed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .folding import plain
from .naming import Kind, kind_of
from .readings import meant_by
from .spellings import (
    TWO_LETTERS,
    contacts_of,
    initials_of,
    numbers_of,
    numbers_of_day,
    parted,
    phrases_of_day,
    with_initials,
)
from .vocabulary import is_code
from .words import is_clinical, is_known

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
    "agfa kodak carestream hologic varian elekta samsung acuson aloka esaote mindray shimadzu electric generic angio "
    "angiography mammo mammography fluoro fluoroscopy cardio cardiac cardiovascular thoracic abdominal pelvic vascular "
    "interventional intervention neuro neurology pediatric paediatric dental orthopedic orthopaedic spinal pulmonary "
    "cancer tumor tumour stroke trauma emergency women womens children childrens surgery surgical therapy".split()
)
WORD = re.compile(r"[^\W_]+")
SHORTEST_NUMBER = 6
"""A shorter number counts something."""
_SHORTEST_NAME = 3
_SHORTEST_OF_BODY = 4
_SHORTEST_ID = 5
_SHORTEST_JOINED = 4
_SHORTEST_REVERSED = 6
_LONGEST_PHRASE = 16
# From how many characters on a term counts within a longer word that nothing knows.
_NAME_WITHIN, _PLACE_WITHIN, _NOT_LATIN_WITHIN, _NUMBER_WITHIN = 5, 6, 4, 7
# Scripts that write names without spaces around them: Thai and Lao, Burmese, Khmer, and from the ideographs on.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0010ffff]")


class Noted:
    """What was noted of one object, each in all its spellings."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._other_words: set[str] = set()
        """Other spellings of words, and of days in digits."""
        self._numbers: set[str] = set()
        self._within: set[str] = set()
        """What counts within a longer word as well."""
        self._phrases: set[tuple[str, ...]] = set()
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        self._unspaced: set[str] = set()
        self._not_ascii: set[str] = set()
        """Names as they were written, if another character set would write them otherwise."""
        self._days: set[str] = set()
        self._birthdays: set[str] = set()
        self._uids: set[str] = set()

    def add(self, tag: int, vr: str, values: Iterable[str]) -> None:
        """Take note of the values of one element; elements that identify nobody are passed over."""
        kind = kind_of(tag, vr)
        if kind is None:
            return
        for value in values:
            if kind in (Kind.DAY, Kind.BIRTHDAY):
                value = value.replace(".", "")[:8] if vr == "DA" else value[:8]
            self.note(kind, value)

    def note(self, kind: Kind, value: str) -> None:
        """Take note of a value wherever it stands."""
        if kind == Kind.PERSON:
            for name in (value, *(() if value.isascii() else meant_by(value))):
                self._add_person(name)
        elif kind == Kind.PLACE:
            self._add_words(value.casefold(), _COMMON_PLACES, shortest=4, within=_PLACE_WITHIN)
        elif kind == Kind.IDENTIFIER:
            for one in (value, *contacts_of(value.casefold())) if "@" in value or ":" in value else (value,):
                self._add_identifier(one)
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

    def _add_person(self, value: str) -> None:
        for group in value.split("="):
            components = [part.strip() for part in re.split(r"[\^\\,;]", group)]
            self._not_ascii.update(one for one in components if not one.isascii())
            low = [one.casefold() for one in components]
            for component in low:
                self._add_words(component, _COMMON)
            family, given = [*low, "", ""][:2]
            if not family or not given:
                continue
            self._not_ascii.update(one for one in (family + given, given + family) if not one.isascii())
            for one in {family, family.translate(TWO_LETTERS)}:
                self._add_joined(plain(one + given))
                self._add_joined(plain(given + one))
                for initials in ([plain(other)[:1] for other in low[1:]], list(initials_of(components[1:]))):
                    self._add_both(plain(one), plain(given), initials)

    def _add_both(self, family: str, given: str, initials: Sequence[str]) -> None:
        """Short names, of which none says enough by itself: side by side, joined, and with initials."""
        one, two = WORD.findall(family), WORD.findall(given)
        if one and two and not (set(one) | set(two)) & _COMMON and not (family + given).isdecimal():
            for phrase in (tuple(one + two), tuple(two + one), (one[0], two[0]), (two[0], one[0])):
                self._add_phrase(phrase, shortest=2 if _UNSPACED.match(family) else _SHORTEST_JOINED)
        whole = "".join(one)
        if whole.isalpha() and whole not in _COMMON:
            joined = [*with_initials(whole, initials), whole + "".join(two), "".join(two) + whole]
            self._other_words.update(word for word in joined if len(word) >= _SHORTEST_JOINED and not is_known(word))

    def _add_identifier(self, value: str) -> None:
        whole = tuple(WORD.findall(plain(value)))
        joined = "".join(whole)
        digits = sum(character.isdigit() for character in joined)
        if (
            joined in _COMMON
            or _says_what(joined)
            or not (len(joined) >= _SHORTEST_ID or (digits >= 3 and len(joined) > 3))
        ):
            return
        self._words.add(joined)
        self._add_phrase(whole)
        self._words |= {word for word in whole if len(word) >= 6 and any(one.isdigit() for one in word)}
        numbers = set(numbers_of(whole))
        self._numbers |= numbers
        self._within |= {one for one in numbers if len(one) >= _NUMBER_WITHIN}
        self._within |= {joined} if len(joined) >= _PLACE_WITHIN and not joined.isdigit() and digits >= 3 else set()

    def _add_words(
        self, name: str, common: frozenset[str], *, shortest: int = _SHORTEST_NAME, within: int = _NAME_WITHIN
    ) -> None:
        """A name of one or several words: each by itself, all in a row, all joined."""
        is_place = common is _COMMON_PLACES
        for spelling in {name, name.translate(TWO_LETTERS)}:
            words = WORD.findall(plain(spelling))
            for word in words:
                if _UNSPACED.match(word):
                    self._unspaced |= {word} if len(word) > 1 else set()
                elif word not in common and _is_telling(word, shortest) and not (is_place and _says_what(word)):
                    self._words.add(word)
                    self._add_inside(word, within)
            if len(words) > 1:
                self._add_joined("".join(words))
                self._add_phrase(tuple(words))

    def _add_inside(self, word: str, within: int) -> None:
        """What of a name is looked for in parts, and as a part of something; not of one that is a word of imaging."""
        if is_clinical(word):
            return
        if word.isalpha() and len(word) >= (within if word.isascii() else _NOT_LATIN_WITHIN):
            self._within.add(word)
        if word.isalpha() and len(word) >= _SHORTEST_REVERSED and not is_known(word[::-1]):
            self._other_words.add(word[::-1])
        for phrase in parted(word) if word.isalpha() else ():
            self._add_phrase(phrase)

    def _add_joined(self, name: str) -> None:
        joined = "".join(WORD.findall(name))
        if _UNSPACED.match(joined):
            self._unspaced.add(joined)
        elif len(joined) >= _SHORTEST_ID:
            self._words.add(joined)
            self._add_inside(joined, _NAME_WITHIN)
        elif len(joined) >= _SHORTEST_JOINED and joined not in _COMMON and not is_known(joined):
            self._other_words.add(joined)

    def _add_phrase(self, words: tuple[str, ...], *, shortest: int = _SHORTEST_ID) -> None:
        if 1 < len(words) <= _LONGEST_PHRASE and len("".join(words)) >= shortest:
            self._phrases.add(words)
            self._lengths[words[0]].add(len(words))

    def _add_date(self, day: str) -> None:
        if not re.fullmatch(r"[12]\d{3}(0[1-9]|1[0-2])([0-2]\d|3[01])", day):
            return
        self._days.add(day)
        self._other_words |= numbers_of_day(day)
        for phrase in phrases_of_day(day):
            self._add_phrase(phrase)


def _says_what(word: str) -> bool:
    """Whether a word of a place or a station says what is done there, as of a heart clinic. The vocabulary is no help:
    it knows Heidelberg and Jefferson."""
    is_long = word.isalpha() and len(word) >= _SHORTEST_OF_BODY
    return word in _COMMON_PLACES or (is_long and is_code(word.upper()))


def _is_telling(word: str, shortest: int) -> bool:
    """Whether a word of a name is long enough to mean somebody; a number needs more than a word."""
    if any(character.isdigit() for character in word):
        return len(word) >= _SHORTEST_ID
    return len(word) >= shortest or (len(word) > 1 and not word.isascii())
