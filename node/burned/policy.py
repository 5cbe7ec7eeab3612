"""Decides under policy `phi` which boxes of a frame are redacted: all but those whose text is proven technical.

What is decided holds boxes and reasons, never the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from lethe.node.deid.presidio import Voter, votes_of
from lethe.node.deid.terms import TermBank

from .box import Box
from .likeness import Likeness
from .reader import Letter, Orientation, Reading
from .scales import lone_digits, scale_marks
from .technical import Line, Piece, Proof, begins_with_a_field, is_bare_label, names_a_field, taken_apart


class BareNumbers(StrEnum):
    """What becomes of a number without a unit."""

    REDACTED = "redacted"
    KEPT_ON_SCALES = "kept on scales"
    """Where three or more stand in a column or row and grow evenly, as beside an ultrasound picture, or where a single
    digit stands alone."""


class Reason(StrEnum):
    """Why a box is redacted, or is not."""

    HEADER = "matches the header"
    FIELD = "field about a person"
    VOTER = "named by the analyzer"
    UNPROVEN = "not proven technical"
    UNREADABLE = "unreadable"
    EMPTY = "no text read"
    BESIDE = "short, beside what is redacted"
    PARTLY = "partly technical"
    TECHNICAL = "technical"
    LABEL = "label without a value"

    @property
    def stays(self) -> bool:
        """Whether a box that has this reason is kept as it is."""
        return self in (Reason.TECHNICAL, Reason.LABEL)


@dataclass(frozen=True)
class Decision:
    """What becomes of a box: `redacted` is all of it, part of it or nothing."""

    box: Box
    reason: Reason
    redacted: tuple[Box, ...]


@dataclass(frozen=True)
class _Seen:
    """A box with what was made of its text before its neighbours were looked at."""

    box: Box
    reading: Reading
    line: Line
    reason: Reason
    proof: Proof

    @property
    def height(self) -> int:
        """Of its line of text, also where that is turned."""
        return min(self.box.width, self.box.height)


# How sure the engine must be of all letters together and of each, for the text to prove anything.
_SURE, _EACH = 0.8, 0.45
_SURE_OF_ONE = 0.9
_UNREAD = 0.9
"""How many heights of ink may be left over beside the letters."""
_UNREAD_BESIDE_ONE = 0.3
_STICKS_OUT, _AS_HIGH = 0.25, 0.7
"""By how much of its height the box of a part of a line may reach past that of the line, which is less than a letter;
and how high it is at least, in terms of that."""


class PhiPolicy:
    """Decides for the frames of one object. `terms` is its bank, collected before the header was cleaned."""

    def __init__(self, terms: TermBank, voter: Voter = Voter.NONE, numbers: BareNumbers = BareNumbers.REDACTED) -> None:
        self._header = Likeness(terms)
        self._voter = voter
        self._numbers = numbers

    def decide(self, boxes: Sequence[Box], readings: Sequence[Reading]) -> list[Decision]:
        """One decision for each box, in their order."""
        seen = [self._seen(box, reading) for box, reading in zip(boxes, readings, strict=True)]
        if self._numbers is BareNumbers.KEPT_ON_SCALES:
            seen = _with_scales(seen)
        fields = [one for one in seen if _labels(one.reading.text)]
        reasons = [self._beside_field(one, fields, seen) or one.reason for one in seen]
        reasons = [_as_the_whole(one, reason, seen, reasons) for one, reason in zip(seen, reasons, strict=True)]
        unsafe = [one for one, reason in zip(seen, reasons, strict=True) if not reason.stays]
        return [
            _decided(one, Reason.BESIDE if reason.stays and _is_doubtful(one, unsafe) else reason)
            for one, reason in zip(seen, reasons, strict=True)
        ]

    def _seen(self, box: Box, reading: Reading) -> _Seen:
        text = reading.text.strip()
        line = taken_apart(text)
        return _Seen(box, reading, line, self._reason(text, reading, line), line.proof)

    def _reason(self, text: str, reading: Reading, line: Line) -> Reason:
        if not text:
            return Reason.EMPTY
        if self._header.finds(text):
            return Reason.HEADER
        if reading.cut:
            return Reason.UNPROVEN
        if not _is_well_read(reading):
            return Reason.UNREADABLE
        if is_bare_label(text):
            return Reason.LABEL
        if names_a_field(text) or (begins_with_a_field(text) and line.proof is not Proof.STRONG):  # "DR: 65" is a range
            return Reason.FIELD
        if line.proof:
            return Reason.VOTER if votes_of(self._voter, text) else Reason.TECHNICAL
        if any(piece.proof is Proof.STRONG for piece in line.pieces):
            return Reason.PARTLY
        return Reason.UNPROVEN

    def _beside_field(self, one: _Seen, fields: Sequence[_Seen], seen: Sequence[_Seen]) -> Reason | None:
        """A value stands to the right of its label, or below it where nothing is to the right."""
        if not one.reason.stays or one in fields:
            return None
        for label in fields:
            right = [other for other in seen if other is not label and _is_right_of(other.box, label.box)]
            below = [other for other in seen if _is_below(other.box, label.box)]
            if one in (right or below):
                return Reason.FIELD
        return None


def _with_scales(seen: Sequence[_Seen]) -> list[_Seen]:
    """The numbers of scales as proven by what stands around them, which also says that they were read right, and single
    digits by nothing standing there, if they were read well."""
    unproven = (Reason.UNPROVEN, Reason.UNREADABLE)
    boxes = [one.box for one in seen]
    marks = scale_marks(boxes, [one.reading.text if one.reason in unproven else "" for one in seen])
    alone = lone_digits(boxes, [one.reading.text if _is_all_read(one) else "" for one in seen])
    proofs = {**dict.fromkeys(alone, Proof.WEAK), **dict.fromkeys(marks, Proof.STRONG)}
    return [
        replace(one, reason=Reason.TECHNICAL, proof=proofs[at]) if at in proofs else one for at, one in enumerate(seen)
    ]


def _is_all_read(one: _Seen) -> bool:
    return one.reason is Reason.UNPROVEN and one.reading.unread <= _UNREAD_BESIDE_ONE


def _as_the_whole(one: _Seen, reason: Reason, seen: Sequence[_Seen], reasons: Sequence[Reason]) -> Reason:
    """What becomes of a part of a line that was found a second time, as where tiles of a large frame end: it says
    nothing that the line, which was read and is technical, does not say."""
    if reason not in (Reason.UNPROVEN, Reason.UNREADABLE, Reason.PARTLY):
        return reason
    wholes = (other for other, of in zip(seen, reasons, strict=True) if of is Reason.TECHNICAL)
    return Reason.TECHNICAL if any(_is_part_of(one, whole) for whole in wholes) else reason


def _is_part_of(one: _Seen, whole: _Seen) -> bool:
    """Whether a box lies in that of a line, is as high, so that it holds no line of its own, and shows letters of that,
    the first and the last perhaps cut."""
    margin = round(_STICKS_OUT * one.height)
    if whole.proof < Proof.WORDS or whole.box.grown(margin, margin).shared(one.box) != one.box:
        return False
    letters, all_letters = ("".join(each.reading.text.split()) for each in (one, whole))
    return one.height >= _AS_HIGH * whole.height and letters[1:-1] in all_letters


def _labels(text: str) -> bool:
    return names_a_field(text.strip())


def _is_well_read(reading: Reading) -> bool:
    count = sum(letter.character != " " for letter in reading.letters)
    sure = _SURE_OF_ONE if count < 2 else _SURE
    return reading.confidence >= sure and reading.doubt >= _EACH and reading.unread <= _UNREAD


def _is_doubtful(one: _Seen, unsafe: Sequence[_Seen]) -> bool:
    """Whether what is short stands where an initial, or a word of a name, would: in a row with what is redacted."""
    if one.reason is Reason.LABEL:  # of which the value is redacted
        near = one.box.grown(one.height, one.height)
        return any(near.touches(other.box) for other in unsafe)
    if one.proof is Proof.STRONG:
        return False
    return any(
        _is_close_in_line(one, other) or (one.proof is Proof.WEAK and _is_close_in_column(one, other))
        for other in unsafe
    )


def _is_close_in_line(one: _Seen, other: _Seen) -> bool:
    apart = max(one.box.left - other.box.right, other.box.left - one.box.right)
    return _share_rows(one.box, other.box) and apart <= 1.2 * max(one.height, other.height)


def _is_close_in_column(one: _Seen, other: _Seen) -> bool:
    height = max(one.height, other.height)
    apart = max(one.box.top - other.box.bottom, other.box.top - one.box.bottom)
    flush = abs(one.box.left - other.box.left) <= height or abs(one.box.right - other.box.right) <= height
    return flush and apart <= 1.5 * height


def _is_right_of(box: Box, label: Box) -> bool:
    return _share_rows(box, label) and -label.height < box.left - label.right <= 6 * label.height


def _is_below(box: Box, label: Box) -> bool:
    return (
        abs(box.left - label.left) <= 2 * label.height
        and 0 <= box.top - label.top - label.height / 2 <= 2 * label.height
    )


def _share_rows(one: Box, other: Box) -> bool:
    """Whether two stand in one line: half of the lower one's height is common to both."""
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    return common >= 0.5 * min(one.height, other.height)


def _decided(one: _Seen, reason: Reason) -> Decision:
    if reason.stays:
        return Decision(one.box, reason, ())
    if reason is Reason.PARTLY:
        parts = tuple(_parts(one))
        return Decision(one.box, reason if parts else Reason.UNPROVEN, parts or (one.box,))
    return Decision(one.box, reason, (one.box,))


_MARGIN = 0.5
"""How far a redacted part reaches past its letters, in heights of the line."""
_SURE_OF_PART, _SHORTEST_PART = 0.9, 5


def _parts(one: _Seen) -> Iterator[Box]:
    """The parts of a line that are not technical, if the ones that are stand well apart from them; else nothing."""
    if one.reading.orientation is not Orientation.UPRIGHT:
        return
    text, letters = one.reading.text, one.reading.letters
    letters = letters[len(text) - len(text.lstrip()) :]
    runs = [
        (stays, [_span(piece, letters) for piece in pieces])
        for stays, pieces in groupby(one.line.pieces, lambda piece: _is_surely_technical(piece, letters))
    ]
    width, margin = one.box.width, int(_MARGIN * one.box.height) + 1
    parts = []
    for at, (stays, spans) in enumerate(runs):
        if stays:
            continue
        from_ = int(spans[0][0] * width) - margin if at else 0
        to = int(spans[-1][1] * width) + margin if at + 1 < len(runs) else width
        before = runs[at - 1][1][-1][1] * width + margin if at else 0
        after = runs[at + 1][1][0][0] * width - margin if at + 1 < len(runs) else width
        if from_ < before or to > after:
            return
        parts.append(Box(one.box.left + from_, one.box.top, one.box.left + to, one.box.bottom))
    yield from parts if len(parts) < len(runs) else ()


def _is_surely_technical(piece: Piece, letters: Sequence[Letter]) -> bool:
    """Whether it stays although the rest of its line goes. What is shorter may be the beginning of "Tel"."""
    long = piece.end - piece.start >= _SHORTEST_PART
    return (
        long
        and piece.proof is Proof.STRONG
        and min(one.sure for one in letters[piece.start : piece.end] if one.character != " ") >= _SURE_OF_PART
    )


def _span(piece: Piece, letters: Sequence[Letter]) -> tuple[float, float]:
    """From the middle of its first letter to that of its last, as shares of the line."""
    places = [one.at for one in letters[piece.start : piece.end]]
    return min(places), max(places)
