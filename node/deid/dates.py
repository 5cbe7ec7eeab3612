"""Finds dates in free text, in every usual notation, and writes them moved by days in the notation they had."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

_MONTHS = {
    "english": "january february march april may june july august september october november december",
    "german": "januar februar märz april mai juni juli august september oktober november dezember",
    "french": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "dutch": "januari februari maart april mei juni juli augustus september oktober november december",
    "swedish": "januari februari mars april maj juni juli augusti september oktober november december",
    "danish": "januar februar marts april maj juni juli august september oktober november december",
    "norwegian": "januar februar mars april mai juni juli august september oktober november desember",
    "finnish": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta "
    "lokakuuta marraskuuta joulukuuta",
    "polish": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "czech": "ledna února března dubna května června července srpna září října listopadu prosince",
    "slovak": "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
    "croatian": "siječnja veljače ožujka travnja svibnja lipnja srpnja kolovoza rujna listopada studenoga prosinca",
    "hungarian": "január február március április május június július augusztus szeptember október november december",
    "romanian": "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
    "turkish": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    "russian": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "ukrainian": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    "greek": "ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου οκτωβρίου νοεμβρίου "
    "δεκεμβρίου",
}
_LONG = {  # the first language that has a name wins
    name: (words.split(), number)
    for words in reversed(_MONTHS.values())
    for number, name in enumerate(words.split(), 1)
}
_SHORT = {name[:3]: number for number, name in enumerate(_MONTHS["english"].split(), 1)} | {
    "sept": 9, "mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "fév": 2, "fev": 2, "avr": 4, "juil": 7, "aoû": 8,
    "déc": 12, "ene": 1, "abr": 4, "ago": 8, "dic": 12, "gen": 1, "mag": 5, "giu": 6, "lug": 7, "set": 9, "ott": 10,
    "mrt": 3, "mei": 5,
}  # fmt: skip
_DIGIT = re.compile(r"\d")
_NAME = "|".join(sorted(_LONG.keys() | _SHORT.keys(), key=len, reverse=True))
_LONGEST_BEGINNING = 5
_YEAR = r"(?P<y>(?:18|19|20)\d\d)"
_Y2 = r"(?P<y>\d\d)"
_M, _D = r"(?P<m>0?[1-9]|1[0-2])", r"(?P<d>0?[1-9]|[12]\d|3[01])"
_BEFORE, _AFTER = r"(?<![\d.])", r"(?![\d])(?!\.\d)"
_SEPARATED = re.compile(rf"{_BEFORE}{_YEAR}(?P<s>[-/._ ]){_M}(?P=s){_D}{_AFTER}")
_YEAR_LAST = re.compile(rf"{_BEFORE}(?P<a>\d\d?)(?P<s>[-/._|]| ?[-/.] ?)(?P<b>\d\d?)(?P=s){_YEAR}{_AFTER}")
_SHORT_YEAR = re.compile(rf"{_BEFORE}(?P<a>\d\d?)(?P<s>[-/])(?P<b>\d\d?)(?P=s){_Y2}{_AFTER}|"
                         rf"{_BEFORE}(?P<a2>\d\d)\.(?P<b2>\d\d)\.(?P<y2>\d\d){_AFTER}")  # fmt: skip
_COMPACT = re.compile(
    r"(?<!\d)(?<!\d\.)(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?=\d{4}(?:\d\d)?(?:\.\d+)?(?!\d)|(?!\.?\d))"
)
_ORIENTAL = re.compile(
    r"(?P<y>(?:19|20)\d\d)(?P<s1>\s*[年년]\s*)(?P<m>\d\d?)(?P<s2>\s*[月월]\s*)(?P<d>\d\d?)(?=\s*[日일])"
)
_DAY_FIRST = re.compile(
    rf"(?<![\w.]){_D}(?P<th>st|nd|rd|th|er|º|°)?(?P<s1>\.? ?[-/. ]? ?|\s+(?:of|de|di)\s+)(?P<n>{_NAME})"
    rf"(?P<s2>\.?,? ?[-/. ]? ?['’]?|\s+(?:de|di|del)\s+)(?P<y>(?:18|19|20)\d\d|(?<=[-/'’a-z])\d\d)(?!\d)",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"(?<!\w)(?P<n>{_NAME})(?P<s1>\.? ?[-/. ]? ?){_D}(?P<th>st|nd|rd|th)?(?P<s2>,? ?[-/. ]? ?['’]?)"
    rf"(?P<y>(?:18|19|20)\d\d|(?<=['’])\d\d)(?!\d)",
    re.IGNORECASE,
)
_YEAR_NAME_DAY = re.compile(rf"(?<!\d){_YEAR}(?P<s1>,? ?[-/. ])(?P<n>{_NAME})(?P<s2>[-/. ]){_D}(?!\d)", re.IGNORECASE)
# With a Roman month, or in years of a Japanese era.
_SELDOM = re.compile(
    r"(?<![\w.])(?:0?[1-9]|[12]\d|3[01])(?P<s>\. ?|[ /-])(?:I{1,3}|I?V|VI{1,3}|I?X|XI{1,2})(?P=s)(?:18|19|20)\d\d(?!\d)"
    r"|(?<![\w.])(?:0?[1-9]|[12]\d|3[01])(?P<s2>[./-])(?:I{1,3}|I?V|VI{1,3}|I?X|XI{1,2})(?P=s2)\d\d(?!\d)"
    r"|(?:明治|大正|昭和|平成|令和)(?:\d{1,2}|元)年(?:\d{1,2}月)?"
)
# Eras of Japan: letter, name, and the year before their first.
_ERAS = {"M": 1867, "明治": 1867, "T": 1911, "大正": 1911, "S": 1925, "昭和": 1925, "H": 1988, "平成": 1988,
         "R": 2018, "令和": 2018}  # fmt: skip
_ERA = re.compile(
    r"(?<![\w.])(?P<era>[MTSHR])(?P<y>\d{1,2})(?P<s>[./-])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})(?![\d.])"
    r"|(?P<name>明治|大正|昭和|平成|令和)(?P<y2>\d{1,2}|元)年(?P<m2>\d{1,2})月(?P<d2>\d{1,2})日"
)
# Words, endings or names as well, so that a number beside one makes no date of it.
_WORDS_AS_WELL = frozenset(
    "may mars mai set march mart marts maj maja mája marca мая mei ocak ekim nisan lipca".split()
)
# Without a year or without a day: too little to move, enough to tell something.
_LONG_NAME = "|".join(sorted((name for name in _LONG if name not in _WORDS_AS_WELL), key=len))
_PARTIAL = re.compile(
    rf"(?<!\w)(?:(?:{_LONG_NAME}|(?-i:May|March|MARCH)) \d{{1,2}}(?:st|nd|rd|th)?(?![\w.])"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)? (?:of )?(?:{_LONG_NAME}|(?-i:May|March))(?!\w)"
    rf"|(?:{_LONG_NAME}|may|march|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?,? ?[-/]?(?:19|20)\d\d(?!\d))",
    re.IGNORECASE,
)


_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday mon tues? wed thu(?:rs?)? fri sat sun montag dienstag "
    "mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so lundi mardi mercredi jeudi vendredi "
    "samedi dimanche lunes martes miércoles jueves viernes sábado domingo lunedì martedì mercoledì giovedì venerdì "
    "sabato domenica maandag dinsdag woensdag donderdag vrijdag zaterdag zondag segunda-feira terça-feira quarta-feira "
    "quinta-feira sexta-feira"
).split()
_DAY_OF_WEEK = "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
_WEEKDAY_BEFORE = re.compile(rf"(?<!\w)(?:{_DAY_OF_WEEK})\.?,? (?:the |den |le |el )?$", re.IGNORECASE)
_WEEKDAY_BEHIND = re.compile(rf",? \(?(?:{_DAY_OF_WEEK})(?!\w)\)?", re.IGNORECASE)
_LONGEST_WEEKDAY = 24


@dataclass(frozen=True)
class Found:
    """A date in a text: where, which day (None where it is not known to the day), and how to write another in its
    place, if that is possible."""

    start: int
    end: int
    day: date | None
    write: Callable[[date], str] | None

    def moved(self, days: int) -> str | None:
        """The date moved by days, as it was written; None where that is not possible."""
        if self.day is None or self.write is None:
            return None
        try:
            return self.write(self.day + timedelta(days=days))
        except OverflowError:
            return None


def weekdays_beside(text: str, found: Found) -> Iterator[tuple[int, int]]:
    """Where the day of the week of a date stands beside it: of a date that moves, it would tell by how many days."""
    start = max(0, found.start - _LONGEST_WEEKDAY)
    before = _WEEKDAY_BEFORE.search(text[start : found.start])
    if before:
        yield start + before.start(), found.start
    behind = _WEEKDAY_BEHIND.match(text, found.end)
    if behind:
        yield behind.span()


def dates_in(text: str, is_noted: Callable[[str], bool]) -> Iterator[Found]:
    """Every date in the text. Where month and day could change places, `is_noted` (of YYYYMMDD) decides, else month
    comes first behind `/`, day first elsewhere."""
    if not _DIGIT.search(text):
        return
    if not text.isascii():
        text = _with_plain_digits(text)
    taken: list[tuple[int, int]] = []
    readers = _READERS if _MONTH_BEGINS.search(text) else _WITHOUT_NAMES
    for pattern, read in readers:
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            found = read(match, is_noted)
            if found is not None:
                taken.append((found.start, found.end))
                yield found


_Reader = Callable[[re.Match[str], Callable[[str], bool]], Found | None]


def _ordered(match: re.Match[str], _noted: Callable[[str], bool]) -> Found | None:
    """Year, month, day in digits, with whatever stands between them."""
    day = _day(int(match["y"]), int(match["m"]), int(match["d"]))
    first = match.string[match.end("y") : match.start("m")]
    second = match.string[match.end("m") : match.start("d")]
    wide_month, wide_day = len(match["m"]), len(match["d"])
    if day is None:
        return None
    return Found(
        match.start(),
        match.end(),
        day,
        lambda new: f"{new.year:04d}{first}{new.month:0{wide_month}d}{second}{new.day:0{wide_day}d}",
    )


def _year_last(match: re.Match[str], noted: Callable[[str], bool]) -> Found | None:
    groups = match.groupdict()
    short = groups.get("a2") is not None
    a, b = (groups["a2"], groups["b2"]) if short else (groups["a"], groups["b"])
    written = groups["y2"] if short else groups["y"]
    separator = "." if short else groups["s"]
    if len(written) == 2 and _goes_on(match, separator):
        return None
    year = int(written) if len(written) == 4 else int(written) + (1900 if int(written) > 40 else 2000)
    month_first, day_first = _day(year, int(a), int(b)), _day(year, int(b), int(a))
    options = (
        [(month_first, True), (day_first, False)] if "/" in separator else [(day_first, False), (month_first, True)]
    )
    options = [(day, first) for day, first in options if day is not None]
    if not options:
        return None
    known = [(day, first) for day, first in options if day and noted(day.strftime("%Y%m%d"))]
    day, first = (known or options)[0]

    def write(new: date) -> str:
        one, two = (new.month, new.day) if first else (new.day, new.month)
        end = f"{new.year:04d}" if len(written) == 4 else f"{new.year % 100:02d}"
        return f"{one:0{len(a)}d}{separator}{two:0{len(b)}d}{separator}{end}"

    return Found(match.start(), match.end(), day, write)


def _goes_on(match: re.Match[str], separator: str) -> bool:
    """Whether more numbers stand on either side, so that it is a list: of echo times, for instance."""
    before, behind = match.string[: match.start()][-2:], match.string[match.end() :]
    goes_on = behind.startswith(separator) and re.match(r"\d{1,4}(?!\d)", behind[1:])  # six digits are a time
    return bool(goes_on) or (before[1:] == separator and before[0].isdigit())


def _named(match: re.Match[str], _noted: Callable[[str], bool]) -> Found | None:
    """A date with the month as a word, in any order."""
    name, year = match["n"], match["y"]
    low = name.lower()
    words, number = _LONG.get(low) or ([], _SHORT[low])
    full = int(year) if len(year) == 4 else int(year) + (1900 if int(year) > 40 else 2000)
    day = _day(full, number, int(match["d"]))
    if day is None:
        return None
    if not words:
        words = [month[: len(name)] for month in _MONTHS["english"].split()]

    def write(new: date) -> str:
        word = words[new.month - 1]
        word = word.upper() if name.isupper() else word.capitalize() if name[0].isupper() else word
        parts = {"n": word, "d": f"{new.day:0{len(match['d'])}d}", "y": f"{new.year:04d}"[-len(year) :]}
        order = sorted(parts, key=match.start)
        between = [match.string[match.end(one) : match.start(two)] for one, two in pairwise(order)]
        if match.groupdict().get("th"):
            between = [gap.replace(match["th"], "", 1) for gap in between]
        return parts[order[0]] + between[0] + parts[order[1]] + between[1] + parts[order[2]]

    return Found(match.start(), match.end(), day, write)


def _of_era(match: re.Match[str], noted: Callable[[str], bool]) -> Found | None:
    """A day of a Japanese era: too little is known of how eras are written to move it. What only may be one, as a
    version of a program, is one if it is noted."""
    era = match["era"] or match["name"]
    years, month, date_ = ((match[one] or match[f"{one}2"]) for one in "ymd")
    day = _day(_ERAS[era] + (1 if years == "元" else int(years)), int(month), int(date_))
    if day is None or (match["era"] and not noted(day.strftime("%Y%m%d"))):
        return None
    return Found(match.start(), match.end(), day, None)


def _partial(match: re.Match[str], _noted: Callable[[str], bool]) -> Found | None:
    return Found(match.start(), match.end(), None, None)


def _with_plain_digits(text: str) -> str:
    """The text with the digits of every script as those of ASCII, each in its place."""
    others = {one for one in set(text) if one.isdecimal() and not one.isascii()}
    return text.translate({ord(one): str(unicodedata.decimal(one)) for one in others}) if others else text


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


_READERS: tuple[tuple[re.Pattern[str], _Reader], ...] = (
    (_ERA, _of_era),
    (_SEPARATED, _ordered),
    (_ORIENTAL, _ordered),
    (_DAY_FIRST, _named),
    (_MONTH_FIRST, _named),
    (_YEAR_NAME_DAY, _named),
    (_YEAR_LAST, _year_last),
    (_COMPACT, _ordered),
    (_SHORT_YEAR, _year_last),
    (_SELDOM, _partial),
    (_PARTIAL, _partial),
)
_NAMED = (_DAY_FIRST, _MONTH_FIRST, _YEAR_NAME_DAY, _PARTIAL)
_WITHOUT_NAMES = tuple((pattern, read) for pattern, read in _READERS if pattern not in _NAMED)
# What every name of a month begins with: a text without it needs no search for them.
_MONTH_BEGINS = re.compile("|".join(sorted({name[:_LONGEST_BEGINNING] for name in (*_LONG, *_SHORT)})), re.IGNORECASE)
