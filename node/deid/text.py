"""Cleans free text (PS3.15 E.3.5): cuts out what names somebody or somewhere, moves dates, keeps the clinical words.

Two sources say what names somebody: the terms of the object itself, and form, that is numbers, addresses and words in
places where names stand. In a text that people write, a word that no vocabulary knows is taken for a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from .dates import Found, dates_in, weekdays_beside
from .folding import HIDDEN, is_mark, plain
from .names import Span, names_in, says_something, short_names_in
from .patterns import contacts_in, numbers_in, places_in, uids_in
from .presidio import Voter, votes_of
from .profile import Option, Profile
from .terms import PRINTED, TermBank
from .words import is_known


class Dates(Enum):
    """What becomes of dates in text."""

    KEEP = "keep"
    SHIFT = "shift"
    REMOVE = "remove"


def text_cleaner(profile: Profile, terms: TermBank, days: int) -> TextCleaner:
    """The cleaner of one object's texts, which treats dates as the profile does."""
    dates = Dates.REMOVE
    if Option.RETAIN_LONGITUDINAL_FULL_DATES in profile.applied:
        dates = Dates.KEEP
    elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in profile.applied:
        dates = Dates.SHIFT
    return TextCleaner(terms, dates, days, profile.voter, keeps_uids=Option.RETAIN_UIDS in profile.applied)


_YEARS = r"years?|yrs?|y\.? ?/?o\.?|y|jahren?|jährige[rn]?|ans|años|anni|jaar|jarige|anos"
_OLD = re.compile(r"9\d|1[0-4]\d")
_AGE = re.compile(
    rf"(?i)(?<![\d.])0?(?P<age>9\d|1[0-4]\d)(?=[ -]?(?:{_YEARS})(?![^\W\d_])|(?-i:[FM])(?![^\W_]))"
    r"|(?<![^\W_])(?:aged?|alter|âge|edad|età|leeftijd|idade)[ :=]{1,2}"
    r"(?P<stated>9\d|1[0-4]\d)(?![\d.,]?\d| ?(?:%|mm|cm))"
)
_BORN = re.compile(
    r"(?i:(?<!\w)(?:dob|d\.o\.b\.?|born|birth ?date|date of birth|geb\.?|geboren|née le|né le|nacid[oa])[ :]*(?:on )?)$"
)
_BORN_AFTER = re.compile(r"(?i:^[ ,(]*(?:dob|date of birth|birth ?date))(?!\w)")
_TORN = re.compile(r"([^\W\d_]+)-\n([^\W\d_]+)([.,;:)]*) ?")
_BROKEN = re.compile(r"[^\W\d_]+-\n[^\W\d_]+|(?<!\S)(?:[^\W_] ){3,}[^\W_](?!\S)")
_EMPTY_BRACKETS = re.compile(r"\([^\w()]{0,9}\)|\[[^\w\[\]]{0,9}\]|\{[^\w{}]{0,9}\}")
_DATED = re.compile(rb"\d\d?[^\d]{0,12}\d\d")
_PIECE = 4000
"""Longer texts are cut in pieces, so that the time is that of their length."""


@dataclass(frozen=True)
class TextCleaner:
    """Cleans the texts of one object. `days` is by how many days its dates move, `voter` who else says what is cut,
    `keeps_uids` whether a UID that nothing else names may stay in the text of a device."""

    terms: TermBank
    dates: Dates
    days: int
    voter: Voter = Voter.NONE
    keeps_uids: bool = False

    def clean(self, text: str) -> str:
        """The text of somebody's writing without what gives anybody away."""
        return "".join(_ended(self._cut(piece, strict=True), piece) for piece in _pieces(text))

    def clean_lines(self, lines: Sequence[str]) -> list[str]:
        """As many lines without what gives anybody away. Lines break anywhere, so each is seen together with the ones
        beside it, up to an empty one: a name may stand below its label or go over two lines."""
        cleaned: list[str] = []
        for block in _blocks(lines):
            cleaned += self._cut_lines(block) if len(block) > 1 else map(self.clean, block)
        return cleaned

    def check(self, text: str) -> str:
        """The text of a device or a vocabulary, which may hold unknown words, without what gives anybody away."""
        return "".join(_ended(self._cut(piece, strict=False), piece) for piece in _pieces(text))

    def gives_away(self, code: str) -> bool:
        """Whether a code string, or a title of an application, names somebody or a day of the object."""
        days = (one.day for one in dates_in(code, self.terms.is_day))
        return self.terms.finds(code) or any(day and self.terms.is_day(day.strftime("%Y%m%d")) for day in days)

    def tells_day(self, data: bytes) -> bool:
        """Whether a day of the object is written out in what is text within bytes."""
        runs = {run.decode() for run in PRINTED.findall(data) if _DATED.search(run)}
        days = (one.day for run in runs for one in dates_in(run, self.terms.is_day))
        return any(day and self.terms.is_day(day.strftime("%Y%m%d")) for day in days)

    def _cut(self, text: str, *, strict: bool) -> str:
        cuts, moved = self._edits(text, strict=strict)
        result = _tidied(_applied(text, cuts, moved)) if cuts else _applied(text, cuts, moved)
        # A date may move onto another of the object; to whoever looks for that one, it would be left.
        if self.terms.finds(result):
            return _tidied(_applied(result, _merged(list(self._noted(result))), {})) if result != text else ""
        return result

    def _cut_lines(self, lines: list[str]) -> list[str]:
        text = _TORN.sub(_mended, "\n".join(lines))
        cuts, moved = self._edits(text, strict=True)
        cuts = _within_lines(text, _merged([*cuts, *self._over_lines(text), *self._broken(text)]))
        moved = {one: new for one, new in moved.items() if not _touches(one, cuts)}
        after = _applied(text, cuts, moved).split("\n")
        after = [line if line == before else _tidied(line) for line, before in zip(after, lines, strict=True)]
        # Cut, a line may say something with the next that neither said before.
        return after if not self.terms.finds("\n".join(after)) else [""] * len(lines)

    def _over_lines(self, text: str) -> Iterator[Span]:
        """Names, places and dates of which a part stands in another line. Numbers are not looked for: a column of
        measurements would be taken for a telephone number."""
        row = text.replace("\n", " ")
        dates = [(one.start, one.end) for one in dates_in(row, self.terms.is_day)]
        dated = [one for one in dates if any(map(str.isalpha, row[slice(*one)]))]
        yield from (one for one in (*dated, *places_in(row)) if "\n" in text[slice(*one)])
        yield from (one for one in names_in(row, strict=True) if not _touches(one, dates))

    def _broken(self, text: str) -> Iterator[Span]:
        """Words that are written in two lines with a hyphen, or letter by letter, and may be names."""
        for match in _BROKEN.finditer(text):
            word = re.sub(r"[\s-]", "", match[0])
            if self.terms.finds(word) or (word.isalpha() and not is_known(word)):
                yield match.span()

    def _edits(self, text: str, *, strict: bool) -> tuple[list[Span], dict[Span, str]]:
        """What is to be cut out of the text, and what dates and ages become."""
        found = [] if self.dates is Dates.KEEP and not strict else list(dates_in(text, self.terms.is_day))
        days = [one for one in found if strict or (one.day and self.terms.is_day(one.day.strftime("%Y%m%d")))]
        edits = {(one.start, one.end): self._date(text, one) for one in days}
        untouched = [one for one, new in edits.items() if new is not None]
        cuts = [one for one, new in edits.items() if new is None]
        if self.dates is Dates.SHIFT and self.days % 7:
            cuts += [one for found in days for one in weekdays_beside(text, found)]
        cuts += [one for one in contacts_in(text, strict=strict) if not _touches(one, untouched)]
        cuts += () if self.keeps_uids else uids_in(text)
        if strict:
            cuts += places_in(text)
            cuts += [one for one in votes_of(self.voter, text) if not _touches(one, untouched)]
            inside = _merged(cuts)
            untouched = [one for one in untouched if not _touches(one, inside)]
            cuts += [one for one in numbers_in(text) if not _touches(one, untouched)]
        names = [one for one in (*self._noted(text), *names_in(text, strict=strict)) if not _touches(one, untouched)]
        cuts += [*names, *short_names_in(text, [one for one in names if not _touches(one, cuts)])]
        if strict and _OLD.search(text):
            ages = {match.span(match.lastgroup or 0): "90" for match in _AGE.finditer(text)}
            edits.update({one: new for one, new in ages.items() if not _touches(one, cuts)})
        moved = {one: new for one, new in edits.items() if new is not None and not _touches(one, cuts)}
        return _merged(cuts), {one: new for one, new in moved.items() if new != text[slice(*one)]}

    def _date(self, text: str, found: Found) -> str | None:
        born = _BORN.search(text[max(0, found.start - 20) : found.start]) or _BORN_AFTER.match(text[found.end :])
        if born or (found.day and self.terms.is_birthday(found.day.strftime("%Y%m%d"))):
            return None
        if self.dates is Dates.REMOVE:
            return None
        return text[found.start : found.end] if self.dates is Dates.KEEP else found.moved(self.days)

    def _noted(self, text: str) -> Iterator[Span]:
        """Where a term of the object stands, in places of the text as it is written."""
        hidden = HIDDEN.search(text) is not None
        if text.isascii():
            yield from self.terms.spans(text.lower())
        else:
            yield from self._noted_in(text, [(at, one) for at, one in enumerate(text)])
        if hidden:
            yield from self._noted_in(text, [(at, one) for at, one in enumerate(text) if not HIDDEN.match(one)])

    def _noted_in(self, text: str, characters: Sequence[tuple[int, str]]) -> Iterator[Span]:
        low, places = [], []
        for at, character in characters:
            folded = plain(character)
            low.append(folded)
            places += [at] * len(folded)
        for start, end in self.terms.spans("".join(low)):
            last = places[end - 1] + 1
            while last < len(text) and is_mark(text[last]):
                last += 1
            yield places[start], last


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces, cut behind a line, a sentence or a word."""
    at = 0
    while len(text) - at > _PIECE:
        end = next(
            (end for gap in ("\n", ". ", " ") if (end := text.rfind(gap, at + _PIECE // 2, at + _PIECE)) > 0), -2
        )
        end = end + 1 if end > 0 else at + _PIECE
        yield text[at:end]
        at = end
    yield text[at:]


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines in runs that end behind an empty line, or where they grow too long."""
    block: list[str] = []
    for line in lines:
        if block and sum(map(len, block)) + len(line) > _PIECE:
            yield block
            block = []
        block.append(line)
        if not line.strip():
            yield block
            block = []
    yield block


def _mended(torn: re.Match[str]) -> str:
    """A known word that is written in two lines, in one."""
    word = torn[1] + torn[2]
    return f"{word}{torn[3]}\n" if is_known(word) else torn[0]


def _within_lines(text: str, cuts: list[Span]) -> list[Span]:
    """The cuts without the line breaks in them."""
    parts = []
    for start, end in cuts:
        for piece in re.finditer(r"[^\n]+", text[start:end]):
            parts.append((start + piece.start(), start + piece.end()))
    return parts


def _ended(cleaned: str, piece: str) -> str:
    """A cleaned piece with the blank that parts it from the next, if the piece had one and is not the last."""
    parted = len(piece) > _PIECE // 2 and piece[-1] == " " and cleaned[-1:] not in ("", " ")
    return f"{cleaned} " if parted else cleaned


def _touches(one: Span, others: list[Span]) -> bool:
    return any(one[0] < end and start < one[1] for start, end in others)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _applied(text: str, cuts: list[Span], moved: dict[Span, str]) -> str:
    """The text without the cuts and with the dates moved; what joined the pieces goes with them."""
    edits: dict[Span, str] = {**{one: "" for one in cuts}, **moved}
    if not edits:
        return text
    result, at = "", 0
    for (start, end), new in sorted(edits.items()):
        result += text[at:start] + new
        at = end
        if (
            not new
            and result[-1:] in ("", " ", "_", "-", "/", "^", "(")
            and text[at : at + 1] in (" ", "_", "-", "/", "^")
        ):
            at += 1
    return result + text[at:]


def _tidied(result: str) -> str:
    """A text out of which something was cut, without the marks that parted it from the rest."""
    result = _EMPTY_BRACKETS.sub("", result)
    result = re.sub(r" +([,.;:])(?!\w)", r"\1", re.sub(r" {2,}", " ", result))
    result = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", result)
    return result.strip(" ,;:_^/=-") if says_something(result) else ""
