"""Remembers what became of each element in objects that are alike: of one patient, SOP Class and character set, with
the same terms. The same bytes become the same bytes there, so that slices of a series are cleaned by looking up.

What an element becomes is found the careful way, by `header` and `verify` on a data set of that element alone, or by a
shortcut to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.tag import Tag

from .alike import Alike
from .became import KEPT, Deltas, Entry
from .decisions import Decisions
from .elements import pad_odd_values
from .header import PRIVATE, HeaderCleaner
from .iod import types_of
from .memory import Memory
from .private import creator_tag
from .profile import Option, Profile
from .pseudonyms import Pseudonyms
from .raw import Elements, NotUsual, parts_of
from .report import Done, Report, place
from .shortcuts import Shortcuts
from .single import Surroundings
from .terms import DOTTED, Kind, TermBank
from .values import ValueCleaner
from .verify import Verifier

_UNKNOWN_SEQUENCE = re.compile(rb"....UN......\xfe\xff\x00\xe0", re.DOTALL)


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


class Scene:
    """Cleans elements of alike objects."""

    def __init__(
        self,
        surroundings: Surroundings,
        profile: Profile,
        pseudonyms: Pseudonyms,
        setting: Setting,
        notes: Iterable[tuple[Kind, str]],
        memory: Memory,
    ) -> None:
        self._surroundings = surroundings
        self._terms = _SceneTerms(notes)
        self._keeps_private = Option.RETAIN_SAFE_PRIVATE in profile.applied
        decisions = Decisions(profile, types_of(setting.sop_class), lists_references=setting.lists_references)
        self._values = ValueCleaner(decisions, pseudonyms, self._terms, setting.patient, Report())
        self._header = HeaderCleaner(self._values)
        self._deltas = Deltas()
        days = pseudonyms.days(setting.patient)
        self._shortcuts = Shortcuts(
            surroundings, decisions, pseudonyms, self._terms, days, self._deltas, self._carefully
        )
        self._entries: dict[bytes, Entry] = {}
        self._privates: dict[tuple[bytes, bytes], Entry] = {}
        self._memory = memory
        self._alike = Alike(self._clean)
        self.days = self._terms.days

    def of_object(self, uids: set[str]) -> None:
        """Turn to another object, by its UIDs."""
        self._terms.of_object(uids)

    def clean(self, elements: Elements) -> list[Entry]:
        """What becomes of the elements of an object. Raises CannotClean, NotUsual."""
        return self._alike.of_all(elements)

    def _clean(self, tag: int, element: bytes) -> Entry:
        entry = self._entries.get(element)
        if entry is None:
            entry = None if tag & 0x10000 else self._shortcuts.clean(tag, element)
            if entry is None:
                entry = self._group(element) if tag & 0x10000 else self._carefully(tag, element)
                if entry.lasts and self._memory.takes(element, entry.clean):
                    self._entries[element] = entry
        return entry

    def _group(self, group: bytes) -> Entry:
        """What becomes of the private elements of a group: a creator stays where anything of its block does."""
        parts = parts_of(group, implicit=self._surroundings.implicit)
        if not self._keeps_private:
            return self._deltas.together([self._shortcuts.clean(*part) or self._carefully(*part) for part in parts])
        creators = {tag: element for tag, element in parts if Tag(tag).is_private_creator}
        became = {tag: self._private(tag, element, creators) for tag, element in parts if tag not in creators}
        used = {int(creator_tag(Tag(tag))) for tag, entry in became.items() if entry.clean}
        for tag, element in creators.items():
            if len(element) % 2:
                raise NotUsual
            gone = self._deltas.of(0, late=[(Done.REMOVED, place((), tag), PRIVATE)])
            became[tag] = Entry(element, KEPT) if tag in used else Entry(b"", gone)
        return self._deltas.together([became[tag] for tag, _element in parts])

    def _private(self, tag: int, element: bytes, creators: dict[int, bytes]) -> Entry:
        key = creators.get(int(creator_tag(Tag(tag))), b""), element
        entry = self._privates.get(key)
        if entry is None:
            entry = self._carefully(tag, element, key[0])
            if entry.lasts and self._memory.takes(element, entry.clean):
                self._privates[key] = entry
        return entry

    def _carefully(self, tag: int, element: bytes, creator: bytes = b"") -> Entry:
        values, terms, surroundings = self._values, self._terms, self._surroundings
        if _UNKNOWN_SEQUENCE.match(element):  # what is in it may depend on Pixel Representation (0028,0103)
            raise NotUsual
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
            self._deltas.of_report(values.report),
            tuple(terms.asked),
            tuple(values.replaced.items()),
            not terms.uids_mattered,
        )
