"""Finds the names of people in free text by where they stand: behind titles and roles, before degrees, beside other
names; and, in texts that people write, words that no vocabulary knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

from .folding import plain
from .vocabulary import is_code
from .words import (
    is_beside_eponym,
    is_clinical,
    is_common_eponym,
    is_eponym,
    is_known,
    is_listed,
    is_weakly_known,
    makes_eponym,
)

Span = tuple[int, int]

CAPITALISED = r"[^\W\d_a-z][\w'’-]{0,40}"
_CAP = CAPITALISED
# What goes on with a letter: accents, points, and in the scripts of India and beyond the vowels, which are no letters
# to Python.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0"
    "\u0900-\u0963\u0966-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f18-\u0fbc\u102b-\u109d"
    "\u1712-\u1734\u17b4-\u17d3\u200c\u200d\ua802-\ua8ff"
)
# Digits above and below the line and fractions are letters to Python as well: "mm²" is no name.
_LETTERS = rf"(?:[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209c\u2150-\u215f][{_MARKS}]*)"
_WORD = re.compile(rf"{_LETTERS}+(?:['’]{_LETTERS}+)*")
_TITLES = frozenset(
    "dr dr. drs doctor prof professor mr mrs ms miss mx herr hr frau fr mme mlle monsieur madame dra sra srta sr "
    "senor senora señor señora dott dottor dottoressa sig signora signor dhr mevr mevrouw meneer doutor doutora "
    "docteur nurse sister rev".split()
)
_ONLY_TITLE_CASE = frozenset("ms sr miss rev mx drs hr fr sig sister senor senora".split())
_ROLES = frozenset(
    "by patient pt physician radiologist technologist technician operator surgeon referring referrer attending "
    "resident mother father wife husband son daughter née nee né name named surname contact dictated approved "
    "reviewed signed phoned called notified attn spouse guardian insured brother sister aunt uncle cardiologist "
    "oncologist pathologist reader observer author consultant fellow intern physicist dosimetrist sonographer "
    "radiographer mammographer anesthesiologist anesthetist anaesthetist anesthesia neurologist urologist orthopedist "
    "pulmonologist hospitalist midwife clinician provider requester reporter transcriptionist interpreter tech copy cc "
    "present patientin zuweiser überweiser medecin médecin arzt untersucher paciente paziente patiente for of from "
    "with to per".split()
)
_RELATIVES = frozenset("mother father wife husband son daughter brother sister aunt uncle spouse".split())
"""Behind them a word with a capital is a name, unless it is one that a list has: what is only formed like a word of
medicine, as Eulalia is, is none."""
_WEAK_ROLES = frozenset(
    "for of from with to per called signed contact name reader fellow anesthesia tech copy cc present patientin "
    "paciente paziente patiente provider reporter interpreter".split()
)
_SPOKEN = frozenset("spoke spoken talked discussed reviewed conferred communicated consulted shared".split())
_LINKS = frozenset("for of from with to per".split())
_PARTICLES = frozenset("van von de der den del della di da dos la le el al bin ibn ter ten zu mac mc st".split())
_NO_NAMES = frozenset(
    "the a an and or to at in on for from with of by is was are were be been has have had will not no if as this that "
    "he she it they his her requested wants said notified reports reported called phoned seen scanned who which".split()
)
_NEVER_NAMES = frozenset({"no", "not", "nor", "the", "and"})
"""A report without its negations says the opposite."""
_QUALIFIED = re.compile(
    rf"({_CAP}(?: {_CAP})?),? (?:M\.?D\.?|Ph\.?D\.?|R\.?N\.?|FRCR|FACR|D\.O\.|MBBS|R\.?T\.?\(R\))(?!\w)"
)
_INITIALS = re.compile(rf"(?<!\w)[A-Z]\. ?[A-Z]\.(?: ?[A-Z]\.)?(?!\w)|(?<!\w)(?:[A-Z]\. ?){{1,4}}(?=(?P<after>{_CAP}))")
# Projections and ways to give something, with full stops.
_VIEWS = frozenset("P.A. A.P. D.P. L.L. I.V. I.M. P.O. S.C.".split())
_BEFORE_INITIALS = re.compile(rf"(?<!\w)({_CAP}),? (?:[A-Z]\. ?){{1,3}}(?!\w)")
_SHORT_NAME = re.compile(
    r"(?P<before>[ _^-]|, ?|(?<![^\W_]))(?:[A-Z][a-z]{1,2}|[A-Z]\.?)(?P<after>[ _^-]|, ?|(?![^\W_]))(?<!CT)"
)
# "née" in a character set that has no accents.
_BORN_AS = re.compile(rf"(?<!\w)[nN][?\ufffd]e?e? ({_CAP})")
# French and Italian write articles and prepositions together with a word that begins with a vowel.
_ELIDED = re.compile(r"(?:[dlnsjmtc]|qu|un|(?:d|n|s)?(?:a|e|u)ll)['’]([^\W\d_]{3,})", re.IGNORECASE)
_FIRST_IDEOGRAPH = "\u2e80"
_GAPS = (" ", "_", "^", "-", ",", ", ")


def names_in(text: str, *, strict: bool) -> Iterator[Span]:
    """Every name; `strict` where people wrote the text, so that an unknown word is one."""
    words = list(_WORD.finditer(text))
    shouted = text.isupper()
    kind = _writing(words) if strict else _Writing.OTHER
    for at, word in enumerate(words):
        low = word[0].lower()
        if strict and low not in _ROLES and _is_name_by_itself(text, words, at, kind):
            yield word.span()
        if low in _TITLES and (word[0].istitle() or low not in _ONLY_TITLE_CASE):
            yield from _titled(text, words, at, strict=strict)
        elif low in _ROLES:
            role = "by" if low == "with" and at and words[at - 1][0].lower() in _SPOKEN else low
            yield from _named(text, words, at, role, shouted=shouted or kind is _Writing.TITLE, strict=strict)
    yield from _pairs(words, text)
    yield from (match.span(1) for match in _BORN_AS.finditer(text))
    for match in _QUALIFIED.finditer(text):
        if not all(is_clinical(word) and not _is_name_before_degree(word) for word in match[1].split()):
            yield match.span(1)
    if strict:
        for match in _BEFORE_INITIALS.finditer(text):
            if _is_name_before_degree(match[1]):
                yield match.span()
        for match in _INITIALS.finditer(text):
            if match[0].replace(" ", "") in _VIEWS:
                continue
            if match["after"] is None or not is_known(match["after"]):
                yield match.span()
            elif _is_name_before_degree(match["after"]):
                yield match.start(), match.end("after")


def _is_name_before_degree(word: str) -> bool:
    """Whether a known word is a name behind initials or before a degree: "J. Baker", "Weber, MD"; not "L. Hand"."""
    return is_common_name(word) and not is_code(word.upper())


class _Writing(Enum):
    """How the words of a text are written, which tells what a capital means in it."""

    SENTENCE = "sentence"
    """Mostly small letters, with capitals here and there: a name among them would have one."""
    TITLE = "title"
    """Every Word Has a Capital, so that it says nothing."""
    OTHER = "other"


def _writing(words: list[re.Match[str]]) -> _Writing:
    long = [one[0] for one in words if len(one[0]) > 2]
    small = sum(one.islower() for one in long)
    if small >= 3 and 2 * small >= len(long) and words[0][0][0].isupper():
        return _Writing.SENTENCE
    titled = sum(one.istitle() for one in long)
    return _Writing.TITLE if len(long) > 2 and 4 * titled >= 3 * len(long) else _Writing.OTHER


def _is_name_by_itself(text: str, words: list[re.Match[str]], at: int, kind: _Writing) -> bool:
    """Whether a word is to be taken for a name although nothing around it says so."""
    if _is_strange(text, words[at]):
        return not _may_stay(text, words, at, kind)
    return _is_weak_name(words, at, shouted=text.isupper())


def _may_stay(text: str, words: list[re.Match[str]], at: int, kind: _Writing) -> bool:
    """Whether a word that nothing knows is no name because of its letters and what is around it."""
    word = words[at][0]
    around = [words[place] for place in (at - 1, at + 1) if 0 <= place < len(words)]
    beside = [one for one in around if 0 <= max(words[at].start() - one.end(), one.start() - words[at].end()) <= 1]
    if is_common_eponym(word) and any(makes_eponym(word, one[0]) or is_eponym(one[0]) for one in beside):
        return True
    if kind is not _Writing.SENTENCE:
        return False
    marks = text[max(0, words[at].start() - 1) : words[at].start()] + text[words[at].end() : words[at].end() + 1]
    if word.isupper() and len(word) == 4 and not set(marks) & set("^_"):
        return all(is_known(one[0]) or _is_short(one[0]) for one in beside)
    # Inside a sentence, blanks around it: before and behind it a word that is known and names nobody.
    if not word.islower() or text[words[at].start() - 1 : words[at].end() + 1] != f" {word} " or len(beside) < 2:
        return False
    return _names_nobody(word) and all(is_known(one[0]) and _names_nobody(one[0]) for one in beside)


def _names_nobody(word: str) -> bool:
    """Whether a word beside another says nothing of names."""
    low = word.lower()
    named = is_common_name(word) and (is_weakly_known(word) or not is_known(word))
    return not (named or is_eponym(word) or low in _TITLES or low in _ROLES)


def _is_weak_name(words: list[re.Match[str]], at: int, *, shouted: bool) -> bool:
    """Whether a word is a common name and only by chance a plain word as well, and written with a capital."""
    word = words[at][0]
    if word.islower() or shouted or _is_short(word) or not is_weakly_known(word) or not is_common_name(word):
        return False
    around = (*words[max(0, at - 1) : at], *words[at + 1 : at + 2])
    return not any(makes_eponym(word, one[0]) or (is_common_eponym(word) and is_eponym(one[0])) for one in around)


def _titled(text: str, words: list[re.Match[str]], at: int, *, strict: bool) -> Iterator[Span]:
    """What stands behind a title."""
    title = words[at][0]
    for place in range(at + 1, min(at + 7, len(words))):
        word = words[place]
        gap = text[words[place - 1].end() : word.start()]
        if not re.fullmatch(r"[.]?[ _^-]{0,2}|, ?" if place > at + 1 else r"[.:]?[ _^]{0,2}", gap):
            return
        low = word[0].lower()
        if low in _NO_NAMES:
            return
        first = all(one[0].lower() in _PARTICLES or len(one[0]) == 1 for one in words[at + 1 : place])
        if not first and is_eponym(word[0]) and _names_finding(text, word):
            return
        particle = (
            low in _PARTICLES or (len(word[0]) == 1 and word[0].isupper()) or (low in _TITLES and word[0].istitle())
        )
        dotted = not title.isupper() or text[words[at].end() :][:1] == "."
        if not dotted and len(word[0]) == 1 and not _begins_name(text, words, place):
            return
        if particle or (first and dotted and is_common_name(word[0])):
            yield word.span()
        elif is_clinical(word[0]) if title.isupper() or not first else is_known(word[0]) and word[0].islower():
            return
        elif first or _is_unheard_of(word[0], strict=True) or (word[0].istitle() and not is_clinical(word[0])):
            if not strict and title.isupper() and is_known(word[0]):
                return
            yield word.span()
        else:
            return


def _begins_name(text: str, words: list[re.Match[str]], place: int) -> bool:
    """Whether a letter behind a title in capitals, which may be a modality, is an initial: "MR J SMITH", but not
    "MR T1 SAG", "DR L HAND" or "MR C-SPINE"."""
    behind = text[words[place].end() :][:1]
    following = words[place + 1] if place + 1 < len(words) else None
    if behind.isdigit() or behind == "-" or following is None:
        return False
    return len(following[0]) == 1 or not is_clinical(following[0]) or is_common_name(following[0])


def _named(
    text: str, words: list[re.Match[str]], at: int, low_role: str, *, shouted: bool, strict: bool
) -> Iterator[Span]:
    """What stands behind a word that people's names follow, and that says as much as `low_role`."""
    weak = low_role in _WEAK_ROLES
    for place in range(at + 1, min(at + 5, len(words))):
        word = words[place]
        gap = text[words[place - 1].end() : word.start()]
        low = word[0].lower()
        if not re.fullmatch(r"[ _^-]{1,2}|: ?|, ?|\. ?" if place > at + 1 else r"[:=]? ?", gap) or low in _NO_NAMES:
            return
        first = place == at + 1
        if not first and is_eponym(word[0]) and _names_finding(text, word):
            return
        if first and low_role in _LINKS and place + 1 < len(words) and makes_eponym(word[0], words[place + 1][0]):
            return
        link = not first and ((len(word[0]) == 1 and word[0].isupper()) or low in _PARTICLES)
        titled = word[0].istitle() and is_common_name(word[0])
        if link or _is_unheard_of(word[0], strict=strict) or (first and titled and weak and low_role not in _LINKS):
            yield word.span()
        elif not word[0].istitle() or shouted or weak or "," in gap:
            return
        elif not is_clinical(word[0]) or (first and _may_be_called(word[0], low_role)):
            yield word.span()
        else:
            return


def _may_be_called(word: str, low_role: str) -> bool:
    """Whether somebody in that role may be called by a word of medicine with a capital."""
    return is_common_name(word) or len(word) in (2, 3) or (low_role in _RELATIVES and not is_listed(word))


def _is_unheard_of(word: str, *, strict: bool) -> bool:
    long = len(word) > 1 or word >= _FIRST_IDEOGRAPH  # family names of China and Korea are one character
    return not is_known(word) and long and (word[0].isupper() or strict) and not _is_short(word)


def short_names_in(text: str, names: list[Span]) -> Iterator[Span]:
    """Names of two or three letters and initials, which are names because they stand beside one."""
    if not names:
        return
    ends, starts = {end for _, end in names}, {start for start, _ in names}
    for match in _SHORT_NAME.finditer(text):
        before, after = len(match["before"]), len(match["after"])
        if match[0].strip(" _^-,").lower() in _NEVER_NAMES:
            continue
        if (before and match.start() in ends) or (after and match.end() in starts):
            yield match.start() + before, match.end() - after
    given = [one for one in names if plain(text[slice(*one)]) in _common_names()[0]]
    for match in _WORD.finditer(text):
        may_be_one = len(match[0]) == 1 if match[0] >= _FIRST_IDEOGRAPH else match[0][0].isupper()
        if not may_be_one or not _is_beside(text, match, ends, starts):
            continue
        if match[0] >= _FIRST_IDEOGRAPH or is_common_name(match[0]) or _is_component(text, match, ends, starts):
            yield match.span()
        elif given and is_eponym(match[0]) and not _names_finding(text, match):
            beside_given = _is_beside(text, match, {end for _, end in given}, {start for start, _ in given})
            yield from [match.span()] if beside_given else []


def _is_component(text: str, word: re.Match[str], ends: set[int], starts: set[int]) -> bool:
    """Whether a word is parted from a name by the sign that parts the components of a person's name (PS3.5 6.2)."""
    caret = (text[word.start() - 1 : word.start()] == "^" and word.start() - 1 in ends) or (
        text[word.end() : word.end() + 1] == "^" and word.end() + 1 in starts
    )
    return caret and not is_clinical(word[0])


def _names_finding(text: str, word: re.Match[str]) -> bool:
    """Whether what stands behind a name of medicine says that it is one: "Ewing sarcoma"."""
    behind = _WORD.match(text, word.end() + 1)
    return behind is not None and is_beside_eponym(behind[0])


def _is_beside(text: str, word: re.Match[str], ends: set[int], starts: set[int]) -> bool:
    for gap in _GAPS:
        if word.start() - len(gap) in ends and text.startswith(gap, word.start() - len(gap)):
            return True
        if word.end() + len(gap) in starts and text.startswith(gap, word.end()):
            return True
    return False


def _is_strange(text: str, word: re.Match[str]) -> bool:
    """Whether a word that nothing knows is to be taken for a name wherever it stands."""
    written = word[0]
    if is_known(written) or any(is_known(part) and len(part) > 2 for part in re.split("['’]s?$", written) if part):
        return False
    elided = _ELIDED.match(written)
    if elided and is_known(elided[1]) and not is_common_name(elided[1]):
        return False
    if not written.isascii():
        return len(written) > 1
    if _is_short(written):
        return False
    beside = text[word.start() - 1 : word.start()] + text[word.end() : word.end() + 1]
    return not (len(written) <= 4 and any(one.isdigit() for one in beside))


def _is_short(written: str) -> bool:
    """An abbreviation rather than a name: too short, or without vowels."""
    if not written.isascii():
        return False
    if len(written) <= 3 and (written.isupper() or written.islower() or len(written) < 3):
        return True
    return written.isupper() and len(written) <= 6 and not re.search("[AEIOUY]", written)


def says_something(text: str) -> bool:
    """Whether what is left of a text is more than the words around a name."""
    words = {
        word.lower() for word in re.findall(r"[^\W_]+", text) if len(word) > 1 or word.isdigit() or not word.isascii()
    }
    return not words <= _NO_NAMES | _TITLES | _ROLES


def _pairs(words: list[re.Match[str]], text: str) -> Iterator[Span]:
    """A common given name and a family name in either order."""
    for one, two in pairwise(words):
        gap = text[one.end() : two.start()]
        if gap == "^" and min(one[0], two[0]) >= _FIRST_IDEOGRAPH:
            yield one.start(), two.end()
        if gap not in (" ", "_", "^", ", ", ",", "-") or not (one[0][0].isupper() and two[0][0].isupper()):
            continue
        first, second = plain(one[0]), plain(two[0])
        given, family = _common_names()
        shown = (one[0].istitle() and two[0].istitle()) or _stand_out(one[0], two[0], text)
        if not shown and gap not in ("^", ", ", ","):
            continue
        if (first in given and (second in family or not is_known(two[0]))) or (
            gap != "-" and second in given and (first in family or not is_known(one[0]))
        ):
            yield one.start(), two.end()


def _stand_out(one: str, two: str, text: str) -> bool:
    """Whether two words are in capitals within a text that is not, and are no code."""
    return one.isupper() and two.isupper() and min(len(one), len(two)) > 2 and not text.isupper() and not is_code(one)


@lru_cache(maxsize=1 << 14)
def is_common_name(word: str) -> bool:
    """Whether the word is a common given or family name, although it may be a word as well."""
    given, family = _common_names()
    low = plain(word)
    return low in given or low in family


@cache
def _common_names() -> tuple[frozenset[str], frozenset[str]]:
    text = (files(__package__) / "table" / "common_names.txt").read_text(encoding="utf-8")
    given, _, family = text.partition("# given")[2].partition("# family")
    return frozenset(given.split()), frozenset(family.split())
