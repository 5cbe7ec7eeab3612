"""Finds what a single element tells: the terms and UIDs it adds to the term bank of its object, and its text where
pseudonyms are made from it. Elements that were seen before are not looked at again."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from .alike import Alike
from .collect import TELLING_VRS, collect_into, tells_uids
from .elements import decoded, joined, texts
from .memory import Memory
from .profile import Profile
from .raw import Elements, parts_of, uid_in, value_of
from .registry import says_nothing
from .single import Surroundings
from .tags import ACCESSION_NUMBER, PATIENT_ID, PATIENT_NAME
from .terms import Kind, TermBank

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_VALUED = frozenset({PATIENT_ID, PATIENT_NAME, ACCESSION_NUMBER, SOP_CLASS, SOP_INSTANCE, STUDY, SERIES})


@dataclass(frozen=True)
class Tale:
    """What one element tells."""

    notes: frozenset[tuple[Kind, str]] = frozenset()
    uids: tuple[str, ...] = ()
    value: str = ""
    lasts = True


NOTHING = Tale()


class _Listener(TermBank):
    """Takes down what it is told, instead of making terms of it."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: set[tuple[Kind, str]] = set()

    def note(self, kind: Kind, value: str) -> None:
        self.notes.add((kind, value))


class Tales:
    """What elements tell in one kind of surroundings, under one profile."""

    def __init__(self, surroundings: Surroundings, profile: Profile, memory: Memory) -> None:
        self._surroundings = surroundings
        self._profile = profile
        self._told: dict[bytes, Tale] = {}
        self._quiet: dict[tuple[int, bytes], bool] = {}
        self._alike = Alike(self.of)
        self._memory = memory

    def of_all(self, elements: Elements) -> list[Tale]:
        """What the elements of an object tell, each. Raises CannotClean."""
        return self._alike.of_all(elements)

    def of(self, tag: int, element: bytes) -> Tale:
        """What an element tells, or the private elements of a group. Raises CannotClean where it cannot be read."""
        told = self._told.get(element)
        if told is not None:
            return told
        kind = (tag, element[4:6])
        quiet = self._quiet.get(kind)
        if quiet is None:
            quiet = self._quiet[kind] = self._is_quiet(tag, element[4:6])
        if quiet:
            return NOTHING
        told = self._of_group(element) if tag & 0x10000 else self._heard(tag, element)
        if self._memory.takes(element):
            self._told[element] = told
        return told

    def _is_quiet(self, tag: int, vr_in_file: bytes) -> bool:
        """Whether no element of that tag and VR tells anything, whatever it holds."""
        if tag & 0x10000:
            return self._surroundings.implicit
        vr = "" if self._surroundings.implicit else vr_in_file.decode("ascii")
        try:
            standard = dictionary_VR(tag)
        except KeyError:
            return False
        return tag not in _VALUED and vr != "SQ" and standard not in TELLING_VRS and standard not in ("SQ", "UI", "UN")

    def _of_group(self, group: bytes) -> Tale:
        """Private elements are going to be removed, and tell only of persons that are named as such."""
        notes: frozenset[tuple[Kind, str]] = frozenset()
        for tag, element in parts_of(group, implicit=False):
            if element[4:6] == b"PN":
                notes |= self._heard(tag, element).notes
        return Tale(notes) if notes else NOTHING

    def _heard(self, tag: int, element: bytes) -> Tale:
        listener, value = _Listener(), ""
        if (element[4:6] == b"UI" or self._surroundings.implicit) and _is_uid_attribute(tag):
            value = uid_in(value_of(element, implicit=self._surroundings.implicit))
        if value:
            if tells_uids(tag, self._profile) and not says_nothing(tag, value):
                listener.add_uid(value)
        else:
            header = self._surroundings.read(element)
            collect_into(listener, header, self._profile)
            value = joined(texts(decoded(header, Tag(tag), ()))) if tag in _VALUED else ""
        tale = Tale(frozenset(listener.notes), tuple(sorted(listener.uids)), value if tag in _VALUED else "")
        return NOTHING if tale == NOTHING else tale


def _is_uid_attribute(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "UI"
    except KeyError:
        return False
