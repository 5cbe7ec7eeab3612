"""Turns one matching key into a condition on a column, as PS3.4 C.2.2.2 says for the attribute's VR."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from peewee import SQL, fn
from pydicom.datadict import keyword_for_tag

from .errors import Refused
from .query import EMPTY

WILDCARD_VRS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_MOST_VALUES = 1000
_MOST_EXACT_VALUES = 10_000
_DATE = re.compile(r"[0-9]{4}([0-9]{2}([0-9]{2})?)?")
_FULL_DATE = re.compile(r"[0-9]{8}")
_DOTTED_DATE = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?")
_AFTER = "\x7f"
"""Comes after every digit, so that 09 includes 0959."""
_BETWEEN_WORDS = re.compile(r"[ ^=,.-]+")
_MOST_WORDS = 16
_WHOLE_NUMBER = re.compile(r" *[+-]?[0-9]{1,18} *")


@dataclass(frozen=True)
class Column:
    """Where an attribute is kept."""

    table: str
    name: str


@dataclass(frozen=True)
class Attribute:
    """A searchable attribute: its keyword and VR as PS3.6 gives them, and its column."""

    keyword: str
    vr: str
    column: Column


def keyword_of(tag: str) -> str:
    """The keyword of an eight-digit tag, or the tag itself where it has none."""
    return keyword_for_tag(tag) or f"({tag[:4]},{tag[4:]})"


def fold(name: str) -> str:
    """A person name for comparison without regard to case and accents, in any script (PS3.4 C.2.2.2.4)."""
    decomposed = unicodedata.normalize("NFKD", name.casefold()).casefold()
    return "".join(character for character in decomposed if not unicodedata.combining(character)).rstrip("^ ")


def condition(table: Any, attribute: Attribute, values: tuple[str, ...]) -> Any:
    """The condition that the attribute matches at least one value. Raises Refused for a value of the wrong form."""
    if not values or any(_is_universal(attribute, value) for value in values):
        return SQL("1 = 1")
    if attribute.vr == "UI":
        return equality(table, attribute, values)
    if len(values) > _MOST_VALUES:
        raise Refused(f"{attribute.keyword} is searched for by at most {_MOST_VALUES} values at once")
    return any_of([_one(table, attribute, value) for value in values])


def resemblance(table: Any, values: tuple[str, ...]) -> Any:
    """The condition that the words of one value begin words of the patient's name. Raises Refused."""
    return any_of([_in_words(table.patient_key, asked_words(value)) for value in values])


def words_of(name: str) -> list[str]:
    """The words of a person name, ready to be compared."""
    return [word for word in _BETWEEN_WORDS.split(fold(name)) if word]


def asked_words(value: str) -> list[str]:
    """The words of a name that is looked for. Raises Refused where there are too many."""
    words = words_of(value)
    if len(words) > _MOST_WORDS:
        raise Refused(f"a name is searched for by at most {_MOST_WORDS} words")
    return words


def _in_words(column: Any, words: Sequence[str]) -> Any:
    found = column == "" if not words else SQL("1 = 1")
    for word in words:
        beginning = f"{word.replace('[', '[[]')}*"
        found &= fn.GLOB(beginning, column) | fn.GLOB(f"*[ ^=,.-]{beginning}", column)
    return found


def equality(table: Any, attribute: Attribute, values: tuple[str, ...]) -> Any:
    """The condition that the attribute is exactly one of the values."""
    column = getattr(table, attribute.column.name)
    if len(values) > _MOST_EXACT_VALUES:
        raise Refused(f"{attribute.keyword} is searched for by at most {_MOST_EXACT_VALUES} values at once")
    if attribute.vr != "IS":
        return column << list(values)
    numbers = column << [_whole(attribute, value) for value in values if value]
    return numbers | column.is_null() if "" in values else numbers


def any_of(conditions: Sequence[Any]) -> Any:
    """The condition that one of these holds; of none, none does. Halved again and again, for SQLite's parser goes no
    deeper than 100."""
    if len(conditions) < 2:
        return conditions[0] if conditions else SQL("1 = 0")
    middle = len(conditions) // 2
    return any_of(conditions[:middle]) | any_of(conditions[middle:])


def stored_text(vr: str, text: str) -> str:
    """A value as its column keeps it: without the padding PS3.5 6.2 calls insignificant. A date that is none is kept
    as no date, for as text it would lie within some range; the older form with dots is a date."""
    if vr == "UI":
        return text
    text = text.strip(" \0")
    if vr != "DA":
        return text
    digits = text.replace(".", "") if _DOTTED_DATE.fullmatch(text) else text
    try:
        date.fromisoformat(digits)
    except ValueError:
        return ""
    return digits if _FULL_DATE.fullmatch(digits) else ""


def significant(vr: str, value: str) -> str:
    """A value without the blanks at its ends that do not count for its VR (PS3.5 6.2)."""
    return value.rstrip(" ") if vr in ("LT", "ST", "UR", "UT") else value.strip(" ")


def _is_universal(attribute: Attribute, value: str) -> bool:
    return value == "" or (attribute.vr in WILDCARD_VRS and set(value) == {"*"})


def _one(table: Any, attribute: Attribute, value: str) -> Any:
    column = getattr(table, attribute.column.name)
    if value == EMPTY:
        return equality(table, attribute, ("",))
    if attribute.vr in ("DA", "TM"):
        return _range(column, attribute, value)
    if attribute.vr == "IS":
        return column == _whole(attribute, value)
    if attribute.keyword == "PatientName":
        column, value = table.patient_key, fold(value)
    if attribute.vr in WILDCARD_VRS and ("*" in value or "?" in value):
        # GLOB knows the same two wildcards; its brackets are made literal.
        return fn.GLOB(value.replace("[", "[[]"), column)
    return column == value


def _whole(attribute: Attribute, value: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(value):
        raise Refused(f"{attribute.keyword} is searched for by a whole number")
    return int(value)


def _range(column: Any, attribute: Attribute, value: str) -> Any:
    """A single date or time or a range, both ends included; a shorter form stands for all it is the beginning of."""
    low, high = bounds(attribute.vr, value, attribute.keyword)
    known = column != ""
    if attribute.vr == "TM":
        known, column = fn.GLOB("[0-9]*", column), _time_of(column)
    if low:
        known &= column >= low
    if high:
        known &= column <= high
    return known


def bounds(vr: str, value: str, keyword: str) -> tuple[str, str]:
    """The first and last text that a date or time, or a range of them, takes in, to be compared with what `comparable`
    makes of a stored one; empty where it is open. Raises Refused."""
    low, dash, high = value.partition("-")
    form = _DATE if vr == "DA" else _TIME
    low, high = (_without_marks(vr, end.strip()) for end in (low, high))
    if not (low or high) or not all(form.fullmatch(end) for end in (low, high) if end):
        example = "20240131 or 20240101-20240131" if vr == "DA" else "0930 or 0900-1200"
        raise Refused(f"{keyword} is searched for by a value or range such as {example}")
    if not all(_exists(vr, end) for end in (low, high) if end):
        raise Refused(f"{keyword} is searched for by dates and times that exist")
    last = high if dash else low
    return (low if vr == "DA" else comparable(vr, low)), last and last.replace(".", "") + _AFTER


def _without_marks(vr: str, end: str) -> str:
    """The older forms with dots and colons as those of today (PS3.5 6.2)."""
    if vr == "TM":
        return end.replace(":", "")
    return end.replace(".", "") if _DOTTED_DATE.fullmatch(end) else end


def _exists(vr: str, text: str) -> bool:
    if vr == "TM":
        # PS3.5 6.2: 60 is a leap second.
        return all(int(text[at : at + 2] or 0) <= most for at, most in ((0, 23), (2, 59), (4, 60)))
    try:
        date(int(text[:4]), int(text[4:6] or 1), int(text[6:] or 1))
    except ValueError:
        return False
    return True


def is_of_form(vr: str, text: str) -> bool:
    """Whether a stored date, time or whole number is one, in the form of today or an older one (PS3.5 6.2)."""
    if vr == "IS":
        return _WHOLE_NUMBER.fullmatch(text) is not None
    if vr == "DA":
        return stored_text(vr, text) != ""
    plain = _without_marks(vr, text)
    return _TIME.fullmatch(plain) is not None and _exists(vr, plain)


def comparable(vr: str, stored: str) -> str:
    """A stored date or time as a text that sorts as it does; empty where it is none or, of times, midnight. Times have
    many forms, older ones with colons among them: the digits are those of a fraction, whose last zeros say nothing."""
    return stored_text(vr, stored) if vr == "DA" else stored.replace(":", "").replace(".", "").rstrip("0")


def _time_of(column: Any) -> Any:
    """The same for the times of a column."""
    return fn.RTRIM(fn.REPLACE(fn.REPLACE(column, ":", ""), ".", ""), "0")


def lies_within(vr: str, stored: str, ends: tuple[str, str]) -> bool:
    """Whether a stored date or time is one, and lies within these bounds."""
    text, (low, high) = comparable(vr, stored), ends
    return stored[:1].isdigit() and (vr == "TM" or text != "") and low <= text and (not high or text <= high)


def moment(date_column: Any, time_column: Any, dates: str, times: str) -> Any:
    """The condition that a date and a time, taken as one, lie within both ranges taken as one. Raises Refused."""
    since_day, until_day = bounds("DA", dates, "the date")
    since_time, until_time = bounds("TM", times, "the time")
    known, point = date_column != "", date_column.concat(_time_of(time_column))
    # Days are compared by themselves as well, for which there is an index.
    if since_day:
        known &= (date_column >= since_day) & (point >= f"{since_day:0<8}{since_time}")
    if until_day:
        day = until_day.rstrip(_AFTER)
        known &= (date_column <= until_day) & (point <= (day + (until_time or _AFTER) if len(day) == 8 else until_day))
    return known
