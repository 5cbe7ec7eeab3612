"""Puts the header of one object before and after side by side, element by element, at every depth.

What became of an element is told by the two headers themselves, the rule by the receipt. Without the original, what was
there before stays untold. Headers are read leniently: what cannot be shown is said to be so, and is no failure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from .deid.elements import decoded, texts, vr_of
from .deid.report import place
from .reasons import Became, Reasons

Key = tuple[int, ...]
"""Where an element stands: tag and number of the item of each sequence it is in, then its own tag. Sorts as the file
does, a sequence before what is in it."""

MOST_ELEMENTS = 100_000
_LONGEST = 200
_DEEPEST = 64
_SHOWN_DIGEST = 16
_STEP = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)(?:\[(\d+)\])?")
_UNREADABLE = "cannot be shown"
_GROUP_LENGTH = ("PS3.5 7.2", "group lengths are retired and would be wrong")
_NOT_IN_RECEIPT = ("", "not named in the receipt")


@dataclass(frozen=True)
class Row:
    """One element: where it stands, its name and VR, its value before and after (None: not there, or not to be seen),
    what became of it, by which rule and for what reason."""

    place: str
    name: str
    vr: str
    before: str | None
    after: str | None
    became: Became
    rule: str
    reason: str


@dataclass(frozen=True)
class _Found:
    """An element where it was found."""

    header: Dataset
    tag: BaseTag


class Comparison:
    """The headers of one object. `original` is None where it is not to be seen, or was not kept."""

    def __init__(self, receipt: Mapping[str, Any], clean: Dataset, original: Dataset | None = None) -> None:
        self._reasons = Reasons(receipt)
        self._noted = dict(_noted(receipt))
        self._after = _elements(clean)
        self._has_original = original is not None
        self._before = _elements(original) if original is not None else {}
        self._keys = sorted(self._before.keys() | self._after.keys() | self._noted.keys())
        self._became = {key: self._fate(key) for key in self._keys}

    @property
    def is_cut_short(self) -> bool:
        """Whether there are more elements than are compared."""
        return max(len(self._before), len(self._after)) >= MOST_ELEMENTS

    def count(self, fates: Sequence[Became] = tuple(Became)) -> int:
        """How many elements became one of these."""
        return sum(became in fates for became in self._became.values())

    def rows(
        self, fates: Sequence[Became] = tuple(Became), *, offset: int = 0, limit: int = MOST_ELEMENTS
    ) -> list[Row]:
        """Those that became one of these, in the order of the file."""
        keys = [key for key in self._keys if self._became[key] in fates]
        return [self._row(key) for key in keys[offset : offset + limit]]

    def _fate(self, key: Key) -> Became:
        """What became of an element."""
        before, after = self._before.get(key), self._after.get(key)
        noted = self._noted[key][0] if key in self._noted else None
        if after is None:
            return noted or Became.REMOVED
        if before is None:
            return Became.ADDED if self._has_original or key[0] in self._reasons.marks else noted or Became.KEPT
        if key[0] not in self._reasons.marks and noted in (Became.EMPTIED, Became.REPLACED):
            return noted
        return Became.KEPT if _is_same(before, after) else Became.REPLACED

    def _row(self, key: Key) -> Row:
        before, after, became = self._before.get(key), self._after.get(key), self._became[key]
        after_vr, after_text = _shown(after) if after else ("", None)
        before_vr, before_text = _shown(before) if before else ("", None)
        vr = before_vr or after_vr or _usual_vr(key[-1])
        rule, reason = self._why(key, became, vr)
        where = place(tuple(zip(key[:-1:2], key[1::2], strict=True)), key[-1])
        return Row(where, element_name(where), vr, before_text, after_text, became, rule, reason)

    def _why(self, key: Key, became: Became, vr: str) -> tuple[str, str]:
        noted = self._noted.get(key)
        if key[0] in self._reasons.marks:
            return self._reasons.added(key[0])
        if noted:
            return self._reasons.changed(key[-1], vr, became, noted[1])
        if became == Became.KEPT:
            return self._reasons.kept(key[-1], vr)
        if became == Became.ADDED:
            return self._reasons.added(key[0])
        if key[-1] & 0xFFFF == 0:
            return _GROUP_LENGTH
        for length in range(len(key) - 2, 0, -2):  # the innermost sequence that went takes what is in it along
            if above := self._noted.get(key[:length]):
                rule, _ = self._reasons.changed(key[length - 1], "SQ", *above)
                return rule, f"went with the sequence {place((), key[length - 1])} that it stood in"
        return _NOT_IN_RECEIPT


def element_name(where: str) -> str:
    """What PS3.6 calls the element at the end of a place such as (0040,0275)[1]>(0040,0007)."""
    tag = where.rpartition(">")[2].strip("()").replace(",", "")
    try:
        return dictionary_description(tag)
    except (KeyError, ValueError):
        return "group length" if tag.endswith("0000") else "private or unknown element"


def _noted(receipt: Mapping[str, Any]) -> Iterator[tuple[Key, tuple[Became, str]]]:
    """What the receipt names: where, what became of it, and why."""
    for became, pairs in (receipt.get("elements") or {}).items():
        for where, why in pairs:
            steps = _STEP.findall(where)
            above = [
                number for group, element, item in steps[:-1] for number in (int(group + element, 16), int(item) - 1)
            ]
            yield (*above, int("".join(steps[-1][:2]), 16)), (Became(became), why)


def _elements(header: Dataset) -> dict[Key, _Found]:
    """The elements of a data set at every depth, up to a number that no person looks through."""
    found: dict[Key, _Found] = {}
    for key, element in _walk(header, ()):
        if len(found) >= MOST_ELEMENTS:
            break
        found[key] = element
    return found


def _walk(header: Dataset, above: Key) -> Iterator[tuple[Key, _Found]]:
    for tag in sorted(header.keys()):
        yield (*above, int(tag)), _Found(header, tag)
        for number, item in enumerate(_items(header, tag) if len(above) < 2 * _DEEPEST else ()):
            yield from _walk(item, (*above, int(tag), number))


def _items(header: Dataset, tag: BaseTag) -> Sequence[Dataset]:
    try:
        if vr_of(header, tag) != "SQ" and header.get_item(tag).VR != "SQ":
            return ()
        value = decoded(header, tag, ()).value
    except Exception:  # what cannot be read is shown as that
        return ()
    return value if isinstance(value, Items) else ()


def _is_same(before: _Found, after: _Found) -> bool:
    old, new = before.header.get_item(before.tag).value, after.header.get_item(after.tag).value
    if isinstance(old, bytes) and isinstance(new, bytes) and old == new:
        return True
    return _whole(before)[1] == _whole(after)[1]


def _shown(found: _Found) -> tuple[str, str]:
    """VR and value, as long as a person reads it."""
    vr, text = _whole(found)
    return vr, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _whole(found: _Found) -> tuple[str, str]:
    """VR and value as text: a sequence as the number of its items, bytes by length and digest."""
    try:
        element = decoded(found.header, found.tag, ())
        value: Any = element.value
        if isinstance(value, Items):
            return "SQ", "1 item" if len(value) == 1 else f"{len(value)} items"
        if isinstance(value, bytes):
            return element.VR, _bytes_shown(value)
        if isinstance(value, MultiValue | list) and value and isinstance(value[0], float | int):
            text = "\\".join(map(str, value))
        else:
            text = "\\".join(texts(element))
    except Exception:  # what cannot be read is shown as that
        return "", _UNREADABLE
    return element.VR, text.encode("utf-8", "replace").decode()


def _bytes_shown(value: bytes) -> str:
    text = value.rstrip(b"\0 ")
    if text.isascii() and (printable := text.decode()).isprintable():
        return printable
    return f"{len(value):,} bytes, SHA-256 {hashlib.sha256(value).hexdigest()[:_SHOWN_DIGEST]}…"


def _usual_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""
