"""Knows a short way to what an element becomes, for the kinds that differ from slice to slice or do not matter: UIDs,
numbers, times, and what goes or is emptied whatever it holds. Where the value is anything but usual, there is none.
"""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from .became import KEPT, Deltas, Entry
from .decisions import Decision, Decisions
from .elements import WIDTHS, is_well_formed
from .header import PRIVATE
from .profile import Action, Option
from .pseudonyms import Pseudonyms, shifted
from .raw import uid_in
from .registry import says_nothing
from .report import Done
from .single import Surroundings
from .terms import TermBank
from .values import CHECKED, PSEUDONYMOUS

_SHORTER_THAN_A_UID, _LONGEST_NUMBERS = 8, 256
_BINARY = frozenset({"AT", "FD", "FL", "SL", "SS", "UL", "US"})
# What may be done to a date or time that is well-formed, so that it moves by the patient's days, or stays.
_MOVED_OR_KEPT = {"DA": {Action.CLEAN}, "DT": {Action.CLEAN}, "TM": {Action.CLEAN, Action.KEEP}}

Short = Callable[[int, bytes], Entry | None]
"""A short way for the elements of one tag and VR; None for a value that has to go the careful way."""


class Shortcuts:
    """The short ways of one scene. `carefully` is the long one."""

    def __init__(
        self,
        surroundings: Surroundings,
        decisions: Decisions,
        pseudonyms: Pseudonyms,
        terms: TermBank,
        days: int,
        deltas: Deltas,
        carefully: Callable[[int, bytes], Entry],
    ) -> None:
        self._surroundings = surroundings
        self._decisions = decisions
        self._pseudonyms = pseudonyms
        self._terms = terms
        self._days = days
        self._deltas = deltas
        self._carefully = carefully
        self._applied = decisions.profile.applied
        self._ways: dict[tuple[int, bytes], Short | None] = {}

    def clean(self, tag: int, element: bytes) -> Entry | None:
        """What becomes of an element, if there is a short way to it."""
        kind = (tag, element[4:6])
        if kind not in self._ways:
            self._ways[kind] = self._way(tag, element[4:6])
        way = self._ways[kind]
        return way(tag, element) if way else None

    def _way(self, tag: int, vr_in_file: bytes) -> Short | None:
        """The short way for elements of a tag and VR, if there is one: where the value does not matter, or is easily
        judged."""
        if tag & 0xFFFF == 0:  # a group length
            return None
        if tag & 0x10000:
            keeps = Option.RETAIN_SAFE_PRIVATE in self._applied
            return None if keeps else self._gone(tag, PRIVATE)
        vr = self._standard_vr(tag, vr_in_file)
        if not vr:
            return None
        decision = self._decisions.of(Tag(tag), ())
        if decision.action == Action.REMOVE:
            return self._gone(tag, decision.why)
        if decision.action in (Action.EMPTY, Action.DUMMY) and vr not in ("UI", "SQ") and tag not in PSEUDONYMOUS:
            return self._always_the_same()
        if decision.action == Action.KEEP and vr in _BINARY:
            return self._binary(WIDTHS[vr])
        if decision.action == Action.KEEP and vr in ("DS", "IS"):
            return self._number(vr)
        if vr == "UI" and decision.action in (Action.KEEP, Action.UID):
            return self._uid(tag, decision)
        if decision.action in _MOVED_OR_KEPT.get(vr, ()):
            return self._moment(tag, vr, decision)
        return None

    def _standard_vr(self, tag: int, vr_in_file: bytes) -> str:
        """The element's VR, if the standard and the file agree on it; else empty."""
        try:
            choices = dictionary_VR(tag).split(" or ")
        except KeyError:
            return ""
        vr = choices[-1] if self._surroundings.implicit else vr_in_file.decode("ascii")
        return vr if vr in choices else ""

    def _gone(self, tag: int, why: str) -> Short:
        removed = Entry(b"", self._deltas.changed(Done.REMOVED, tag, why))
        return lambda _tag, _element: removed

    def _always_the_same(self) -> Short:
        """What is emptied or replaced is the same whatever it was."""
        entry: list[Entry] = []

        def short(tag: int, element: bytes) -> Entry:
            if not entry:
                entry.append(self._carefully(tag, element))
            return entry[0]

        return short

    def _binary(self, width: int) -> Short:
        def short(_tag: int, element: bytes) -> Entry | None:
            value = element[8:]
            if len(value) > _SHORTER_THAN_A_UID or len(value) % width or self._terms.in_bytes(value):
                return None
            return Entry(element, KEPT)

        return short

    def _number(self, vr: str) -> Short:
        def short(_tag: int, element: bytes) -> Entry | None:
            value = element[8:]
            if len(value) % 2 or len(value) > _LONGEST_NUMBERS or not value.isascii():
                return None
            numbers = [text for part in value.decode("ascii").split("\\") if (text := part.strip("\0 "))]
            if any(not is_well_formed(vr, number) or self._terms.is_number(number) for number in numbers):
                return None
            return Entry(element, KEPT)

        return short

    def _uid(self, tag: int, decision: Decision) -> Short:
        why = decision.why if decision.action == Action.UID else CHECKED
        replaced = self._deltas.changed(Done.REPLACED, tag, why)
        keeps = decision.action == Action.KEEP and (decision.is_ruled or Option.RETAIN_UIDS in self._applied)

        def short(tag: int, element: bytes) -> Entry | None:
            value = element[8:]
            uid = uid_in(value)
            if len(value) % 2 or not uid:
                return None
            if keeps and (self._terms.is_number(uid) or self._terms.has_uid(uid)):
                return None
            if keeps or says_nothing(tag, uid):
                return Entry(element, KEPT, (uid,))
            new = self._pseudonyms.uid(uid)
            if new == uid:
                return None
            raw = new.encode("ascii")
            return Entry(self._surroundings.element(tag, b"UI", raw + bytes(len(raw) % 2)), replaced, (new,))

        return short

    def _moment(self, tag: int, vr: str, decision: Decision) -> Short:
        replaced = self._deltas.changed(Done.REPLACED, tag, decision.why)

        def short(tag: int, element: bytes) -> Entry | None:
            value = element[8:]
            if len(value) % 2 or not value.isascii():
                return None
            before = value.decode("ascii").rstrip(" ")
            if not before or not is_well_formed(vr, before):
                return None
            after = shifted(before, vr, self._days)
            if after == before:
                return Entry(element, KEPT)
            if after is None:
                return None
            raw = after.encode("ascii")
            return Entry(self._surroundings.element(tag, vr.encode("ascii"), raw + b" " * (len(raw) % 2)), replaced)

        return short
