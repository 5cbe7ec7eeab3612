"""Remembers what became of each element in objects that are alike: of one patient, SOP Class and character set, with
the same terms. The same bytes become the same bytes there, so that slices of a series are cleaned by looking up.

What an element becomes is found the careful way, by `header` and `verify` on a data set of that element alone; for the
few kinds that differ from slice to slice (UIDs, numbers, times) there is a shorter way to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from .decisions import Decision, Decisions
from .elements import WIDTHS, is_well_formed, pad_odd_values
from .header import PRIVATE, HeaderCleaner
from .iod import types_of
from .private import creator_tag
from .profile import Action, Option, Profile
from .pseudonyms import Pseudonyms, shifted
from .raw import Elements, NotUsual, parts_of
from .registry import says_nothing
from .report import Done, Report, place
from .single import Surroundings
from .terms import DOTTED, Kind, TermBank
from .values import CHECKED, PSEUDONYMOUS, ValueCleaner
from .verify import Verifier

_LARGEST = 1 << 14
_OVERHEAD = 256
K = TypeVar("K")
_SHORTER_THAN_A_UID, _LONGEST_NUMBERS = 8, 256
_UID = re.compile(rb"[0-9.]{1,64}\0?")
_BINARY = frozenset({"AT", "FD", "FL", "SL", "SS", "UL", "US"})
# What may be done to a date or time that is well-formed, so that it moves by the patient's days, or stays.
_MOVED_OR_KEPT = {"DA": {Action.CLEAN}, "DT": {Action.CLEAN}, "TM": {Action.CLEAN, Action.KEEP}}


Change = tuple[Done, str, str]


@dataclass(frozen=True)
class Delta:
    """What one element adds to the report: how many elements stayed, the changes, and those noted after all others."""

    kept: int
    changes: tuple[Change, ...] = ()
    late: tuple[Change, ...] = ()


KEPT = Delta(1)


@dataclass(frozen=True)
class Entry:
    """What became of an element: its clean bytes, its part in the report, the UIDs that stand in the result, which
    Patient ID, name and Accession Number (by tag and original) became which, and whether all this is the same in the
    next object."""

    clean: bytes
    delta: Delta
    uids: tuple[str, ...] = ()
    replaced: tuple[tuple[tuple[int, str], str], ...] = ()
    lasts: bool = True


@dataclass(frozen=True)
class Setting:
    """What objects of one scene have in common, beside their terms. Where there are no UIDs to look for, nothing is
    known of how they would matter."""

    sop_class: str
    patient: str
    lists_references: bool
    has_uids: bool


class _SceneTerms(TermBank):
    """The terms of a scene, with the UIDs of the object at hand. It knows whether these mattered for an answer, and
    which UIDs it was asked for."""

    def __init__(self, notes: Iterable[tuple[Kind, str]]) -> None:
        super().__init__()
        for kind, value in notes:
            self.note(kind, value)
        self.uids_mattered = False
        self.asked: list[str] = []

    def of_object(self, uids: set[str]) -> None:
        """Turn to another object."""
        self._uids = uids

    def has_uid(self, uid: str) -> bool:
        self.asked.append(uid)
        return super().has_uid(uid)

    def _finds_uid(self, low: str) -> bool:
        self.uids_mattered = self.uids_mattered or DOTTED.search(low) is not None
        return super()._finds_uid(low)


Short = Callable[[int, bytes], "Entry | None"]
"""A short way for the elements of one tag and VR; None for a value that has to go the careful way."""


class Scene:
    """Cleans elements of alike objects."""

    def __init__(
        self,
        surroundings: Surroundings,
        profile: Profile,
        pseudonyms: Pseudonyms,
        setting: Setting,
        notes: Iterable[tuple[Kind, str]],
    ) -> None:
        self._surroundings = surroundings
        self._pseudonyms = pseudonyms
        self._applied = profile.applied
        self._days = pseudonyms.days(setting.patient)
        self._terms = _SceneTerms(notes)
        self._keeps_private = Option.RETAIN_SAFE_PRIVATE in profile.applied
        types = types_of(setting.sop_class)
        self._decisions = Decisions(profile, types, lists_references=setting.lists_references)
        self._values = ValueCleaner(self._decisions, pseudonyms, self._terms, setting.patient, Report())
        self._header = HeaderCleaner(self._values)
        self._entries: dict[bytes, Entry] = {}
        self._privates: dict[tuple[bytes, bytes], Entry] = {}
        self._short: dict[tuple[int, bytes], Short | None] = {}
        self._deltas: dict[Delta, Delta] = {}
        self._last: Elements = []
        self._became: list[Entry] = []
        self.days = self._terms.days
        self.size = 0

    def of_object(self, uids: set[str]) -> None:
        """Turn to another object, by its UIDs."""
        self._terms.of_object(uids)

    def clean(self, elements: Elements) -> list[Entry]:
        """What becomes of the elements of an object. Raises CannotClean, NotUsual."""
        if len(elements) == len(self._last):
            seen = zip(elements, self._last, self._became, strict=True)
            entries = [old if new is was and old.lasts else self._clean(*new) for new, was, old in seen]
        else:
            entries = [self._clean(tag, element) for tag, element in elements]
        self._last, self._became = elements, entries
        return entries

    def _clean(self, tag: int, element: bytes) -> Entry:
        entry = self._entries.get(element)
        if entry is None:
            if tag & 0x10000:
                entry = self._remembered(self._entries, element, self._group(element))
            else:
                entry = self._in_short(tag, element)
                entry = entry or self._remembered(self._entries, element, self._carefully(tag, element))
        return entry

    def _remembered(self, entries: dict[K, Entry], key: K, entry: Entry) -> Entry:
        if entry.lasts and len(entry.clean) <= _LARGEST:
            entries[key] = entry
            self.size += _OVERHEAD + 2 * len(entry.clean)
        return entry

    def _group(self, group: bytes) -> Entry:
        """What becomes of the private elements of a group: a creator stays where anything of its block does."""
        parts = parts_of(group, implicit=self._surroundings.implicit)
        if not self._keeps_private:
            return self._together(
                [self._in_short(tag, element) or self._carefully(tag, element) for tag, element in parts]
            )
        creators = {tag: element for tag, element in parts if Tag(tag).is_private_creator}
        became = {tag: self._private(tag, element, creators) for tag, element in parts if tag not in creators}
        used = {int(creator_tag(Tag(tag))) for tag, entry in became.items() if entry.clean}
        for tag, element in creators.items():
            if len(element) % 2:
                raise NotUsual
            gone = Delta(0, late=((Done.REMOVED, place((), tag), PRIVATE),))
            became[tag] = Entry(element, KEPT) if tag in used else Entry(b"", gone)
        return self._together([became[tag] for tag, _element in parts])

    def _private(self, tag: int, element: bytes, creators: dict[int, bytes]) -> Entry:
        key = creators.get(int(creator_tag(Tag(tag))), b""), element
        entry = self._privates.get(key)
        return entry or self._remembered(self._privates, key, self._carefully(tag, element, key[0]))

    def _in_short(self, tag: int, element: bytes) -> Entry | None:
        kind = (tag, element[4:6])
        if kind not in self._short:
            self._short[kind] = self._short_way(tag, element[4:6])
        short = self._short[kind]
        return short(tag, element) if short else None

    def _carefully(self, tag: int, element: bytes, creator: bytes = b"") -> Entry:
        values, terms, surroundings = self._values, self._terms, self._surroundings
        header = surroundings.read(creator + element)
        values.report, values.made, values.replaced = Report(), set(), {}
        terms.uids_mattered, terms.asked = False, []
        self._header.clean_element(header, Tag(tag))
        pad_odd_values(header)
        encoded = surroundings.write(header)
        verifier = Verifier(terms, values.made, keeps_safe_private=self._keeps_private)
        verifier.check(encoded, implicit=surroundings.implicit, little=True)
        clean = encoded if element == surroundings.character_set else surroundings.without_character_set(encoded)
        if not clean.startswith(creator):
            raise NotUsual
        return Entry(
            clean[len(creator) :],
            self._delta(values.report),
            tuple(terms.asked),
            tuple(values.replaced.items()),
            not terms.uids_mattered,
        )

    def _together(self, entries: list[Entry]) -> Entry:
        """Several elements as one."""
        delta = Delta(
            sum(entry.delta.kept for entry in entries),
            tuple(change for entry in entries for change in entry.delta.changes),
            tuple(change for entry in entries for change in entry.delta.late),
        )
        return Entry(
            b"".join(entry.clean for entry in entries),
            self._deltas.setdefault(delta, delta),
            tuple(uid for entry in entries for uid in entry.uids),
            (),
            all(entry.lasts for entry in entries),
        )

    def _delta(self, report: Report) -> Delta:
        changes = [(done, where, why) for done, notes in report.changes.items() for where, why in notes]
        delta = Delta(report.counts[Done.KEPT], tuple(changes))
        return self._deltas.setdefault(delta, delta)

    def changed(self, done: Done, tag: int, why: str) -> Delta:
        """The part in the report of one top-level element that did not stay."""
        delta = Delta(0, ((done, place((), tag), why),))
        return self._deltas.setdefault(delta, delta)

    def _short_way(self, tag: int, vr_in_file: bytes) -> Short | None:
        """The short way for elements of a tag and VR, if there is one: where the value does not matter, or is easily
        judged."""
        if tag & 0xFFFF == 0:  # a group length
            return None
        if tag & 0x10000:
            removed = Entry(b"", self.changed(Done.REMOVED, tag, PRIVATE))
            return None if self._keeps_private else lambda _tag, _element: removed
        vr = self._standard_vr(tag, vr_in_file)
        if not vr:
            return None
        decision = self._decisions.of(Tag(tag), ())
        if decision.action == Action.REMOVE:
            removed = Entry(b"", self.changed(Done.REMOVED, tag, decision.why))
            return lambda _tag, _element: removed
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
        replaced = self.changed(Done.REPLACED, tag, why)
        keeps = decision.action == Action.KEEP and Option.RETAIN_UIDS in self._applied

        def short(tag: int, element: bytes) -> Entry | None:
            value = element[8:]
            if len(value) % 2 or not _UID.fullmatch(value):
                return None
            uid = value.rstrip(b"\0").decode("ascii")
            if keeps or says_nothing(tag, uid):
                return Entry(element, KEPT, (uid,))
            new = self._pseudonyms.uid(uid)
            if new == uid:
                return None
            raw = new.encode("ascii")
            return Entry(self._surroundings.element(tag, b"UI", raw + bytes(len(raw) % 2)), replaced, (new,))

        return short

    def _moment(self, tag: int, vr: str, decision: Decision) -> Short:
        replaced = self.changed(Done.REPLACED, tag, decision.why)

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
