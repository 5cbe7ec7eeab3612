"""Finds the words that would give the patient away in any text and any bytes, in whatever way they are written there.

Text is taken apart into words once and looked up, so that the time is that of reading, however many terms there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .folding import HIDDEN
from .folding import plain as plain
from .naming import Kind as Kind
from .noted import SHORTEST_NUMBER, WORD, Noted
from .readings import SHORTEST_PACKED, is_plain_ascii, spelled_by, texts_of, unpacked
from .words import is_known

_GAP = re.compile(r"[\W_]")
_RUN = re.compile(r"\d+|[^\W\d_]+")
_SPELLED = re.compile(r"(?<![^\W_])[^\W_](?:[ ._-][^\W_]){3,64}(?![^\W_])")
_GROUPED = re.compile(r"(?<!\d)\d++(?:[ .,/_-]\d++){1,8}")
_DECIMAL = re.compile(r"\d++[.,]\d++")
_WHOLE_NUMBER = re.compile(r"[ +-]*+0*+(\d*+)(?:\.0*+)? *+")
_WORD_IN_BYTES = re.compile(rb"[0-9A-Za-z]{5,}")
PRINTED = re.compile(rb"[\x20-\x7e]{8,}")
"""What is taken for text within bytes."""
_DOTTED_IN_BYTES = re.compile(rb"[0-9.]{9,}")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a]")
DOTTED = re.compile(r"[0-9.]{9,}")
_SHORTEST_RUN, _SHORTEST_RUN_IN_BYTES = 3, 4
_LONGEST_UID, _LONGEST_WORD = 80, 64
_DEEPEST_PACKED = 3
"""So often something may be packed in something packed, as text in zlib in base64."""
_PIECE, _OVERLAP = 1 << 20, 1 << 10
_NEVER = re.compile(r"(?!)")


class TermBank(Noted):
    """The words of one object. Note first, then look."""

    def __init__(self) -> None:
        super().__init__()
        self._inside: re.Pattern[str] | None = None
        self._spelled: frozenset[bytes] | None = None

    def note(self, kind: Kind, value: str) -> None:
        """Take note of a value wherever it stands."""
        super().note(kind, value)
        self._inside = self._spelled = None

    def finds(self, text: str) -> bool:
        """Whether the text holds a word, number, date or UID that was noted: as a word of its own, in parts, or within
        a word that nothing knows. Signs that nobody sees part words, or stand in them."""
        if any(self._finds_in(piece) for piece in _pieces(plain(text))):
            return True
        return HIDDEN.search(text) is not None and self.finds(HIDDEN.sub("", text))

    def finds_in_any_reading(self, raw: bytes) -> bool:
        """Whether the bytes of a text hold what was noted, in whatever character set they are, or packed."""
        if self._is_packed_in(raw):
            return True
        return not is_plain_ascii(raw) and any(map(self.finds, texts_of(raw)))

    def spans(self, low: str) -> Iterator[tuple[int, int]]:
        """Where the text, which must be `plain` already, holds what was noted: from and up to."""
        words = list(WORD.finditer(low))
        for at, word in enumerate(words):
            if self._is_term(word[0]):
                yield word.span()
            for length in self._lengths.get(word[0], ()):
                phrase = words[at : at + length]
                if tuple(one[0] for one in phrase) in self._phrases:
                    yield word.start(), phrase[-1].end()
        yield from self._parted(low)
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
        whole = _WHOLE_NUMBER.fullmatch(text)
        if whole is None or len(text) < SHORTEST_NUMBER:
            return False
        digits = whole[1], text.strip()
        return any(
            len(one) >= SHORTEST_NUMBER and (one in self._words or one in self._days or one in self._numbers)
            for one in digits
        )

    def has_uid(self, uid: str) -> bool:
        """Whether exactly this UID was noted."""
        return uid in self._uids

    def in_bytes(self, data: bytes) -> bool:
        """Whether the bytes hold a noted word of five letters or more as 8-bit or UTF-16 text, or any in a row of eight
        printable characters, or packed; shorter ones are in any random bytes. Bytes that are all text are searched as
        text."""
        if not _CONTROLS.search(data):
            return self.finds(_as_text(data)) or self._is_spelled_in(data) or self._is_packed_in(data)
        raws = (data, data.replace(b"\0", b"")) if b"\0" in data else (data,)
        return any(map(self._is_in_raw, raws)) or self._is_spelled_in(data) or self._is_packed_in(data)

    def _is_in_raw(self, raw: bytes) -> bool:
        words = {one.lower().decode() for one in _WORD_IN_BYTES.findall(raw)}
        if any(self._is_term(one, _SHORTEST_RUN_IN_BYTES) for one in words):
            return True
        if any(self.finds(run.decode()) for run in set(PRINTED.findall(raw))):
            return True
        return bool(self._uids) and any(self._finds_uid(match[0].decode()) for match in _DOTTED_IN_BYTES.finditer(raw))

    def _is_spelled_in(self, data: bytes) -> bool:
        """Whether a name that is not ASCII stands in the bytes, in any character set."""
        if self._spelled is None:
            self._spelled = frozenset().union(*map(spelled_by, self._not_ascii))
        return any(one in data for one in self._spelled)

    def _is_packed_in(self, data: bytes, depth: int = _DEEPEST_PACKED) -> bool:
        return len(data) >= SHORTEST_PACKED and any(
            (self.finds(_as_text(one)) if not _CONTROLS.search(one) else self._is_in_raw(one.replace(b"\0", b"")))
            or (depth > 1 and self._is_packed_in(one, depth - 1))
            for one in unpacked(data)
        )

    def _is_term(self, word: str, shortest: int = _SHORTEST_RUN) -> bool:
        return self._is_word(word, shortest) or self._is_within(word)

    def _is_word(self, word: str, shortest: int = _SHORTEST_RUN) -> bool:
        """Whether a word is a term by itself, or by its letters or digits."""
        if word in self._words or word in self._other_words:
            return True
        if word.isalpha():
            return False
        if word in self._numbers or (word[:8] in self._days and len(word) in (8, 10, 12, 14)):
            return True
        if word.isdigit():
            return word[0] == "0" and word.lstrip("0") in self._numbers
        # Letters and digits run together: MRN1234567, Doe2, 20040119T1030.
        runs = [run for run in _RUN.findall(word) if len(run) >= shortest]
        return any(run in self._words or run in self._other_words or run in self._days for run in runs)

    def _is_within(self, word: str) -> bool:
        """Whether a term stands in a longer word that no vocabulary knows: "jsmith", "smiths", "Smith_Head"."""
        if self._pattern.search(word) is None:
            return False
        return word.isdigit() or len(word) > _LONGEST_WORD or not is_known(word)

    @property
    def _pattern(self) -> re.Pattern[str]:
        if self._inside is None:
            longest_first = sorted(self._within, key=len, reverse=True)
            self._inside = re.compile("|".join(map(re.escape, longest_first))) if longest_first else _NEVER
        return self._inside

    def _finds_in(self, low: str) -> bool:
        words = WORD.findall(low)
        distinct = set(words)
        return (
            any(map(self._is_word, distinct))
            or (self._pattern.search(low) is not None and any(map(self._is_within, distinct)))
            or (not distinct.isdisjoint(self._lengths) and self._finds_phrase(words))
            or (len(words) > 1 and next(self._parted(low), None) is not None)
            or (bool(self._uids) and self._finds_uid(low))
            or (not low.isascii() and any(name in low for name in self._unspaced))
        )

    def _finds_phrase(self, words: list[str]) -> bool:
        return any(
            tuple(words[at : at + length]) in self._phrases
            for at, word in enumerate(words)
            for length in self._lengths.get(word, ())
        )

    def _parted(self, low: str) -> Iterator[tuple[int, int]]:
        """Words that are written letter by letter, and numbers in groups of another size than noted."""
        for match in _SPELLED.finditer(low):
            if self._is_term("".join(WORD.findall(match[0]))):
                yield match.span()
        for match in _GROUPED.finditer(low) if self._numbers else ():
            if not _DECIMAL.fullmatch(match[0]) and self._joins_to_number(match[0]):
                yield match.span()

    def _joins_to_number(self, text: str) -> bool:
        groups = WORD.findall(text)
        runs = ("".join(groups[at:end]) for at in range(len(groups)) for end in range(at + 2, len(groups) + 1))
        bare = (one.lstrip("0") for one in runs)
        return any(len(one) >= SHORTEST_NUMBER and one in self._numbers for one in bare)

    def _finds_uid(self, low: str) -> bool:
        for match in DOTTED.finditer(low):
            uid = match[0][:_LONGEST_UID].strip(".")
            while len(uid) >= 8:
                if uid in self._uids:
                    return True
                uid = uid.rpartition(".")[0]
        return False


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
