"""Cleans objects that are like others before them, without decoding what it has seen: the fast lane.

It gives the same bytes and the same record as `deidentify`, or it gives nothing, and then the careful lane has to do
it. It refuses nothing: refusals, with their reasons, are the careful lane's.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from io import SEEK_END
from itertools import chain
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from .became import Delta, Entry
from .cleaned import Cleaned, InstanceUids
from .decisions import lists_references
from .deidentify import PixelRule, days_moved, pass_pixels, replaced
from .documents import ENCAPSULATED_DOCUMENT
from .header import RESPONSIBLE_PERSON_ROLE
from .identity import IDENTITY_TAGS, Identity, identity_of
from .memory import Memory
from .part10 import PIXELS_ELSEWHERE, Layout, header_as_it_came, layout_from, read_again, write_part10
from .pixels import READS, may_carry_text
from .profile import Option, Profile
from .pseudonyms import Pseudonyms
from .raw import CutShort, Elements, NotUsual, top_level, transfer_syntax_of, value_of
from .receipt import TOLD_BEFORE, mark, receipt
from .registry import is_storage_class, is_transfer_syntax
from .report import Done, Report
from .scene import Scene, Setting
from .single import Surroundings
from .tags import ACCESSION_NUMBER, PATIENT_ID, PATIENT_NAME, SPECIFIC_CHARACTER_SET
from .tales import NOTHING, SERIES, SOP_CLASS, SOP_INSTANCE, STUDY, Tales
from .terms import Kind

_WINDOWS = (1 << 15, 1 << 19, 1 << 23)
_MOST_REMEMBERED = 16 << 20
"""As `Memory` counts, which is a quarter of what it really takes."""
_RECEIPT = _SCENE = 1 << 14
_NOT_HERE = frozenset({DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, *PIXELS_ELSEWHERE})
# What becomes of these depends on other elements or on other rules: the role of a person; a document; concept, text,
# number and date of a content item; what an earlier de-identification says.
_TOGETHER = TOLD_BEFORE | {
    *(int(RESPONSIBLE_PERSON_ROLE), int(ENCAPSULATED_DOCUMENT), 0x0040A043, 0x0040A160, 0x0040A30A, 0x0040A121)
}
_READS: dict[PixelRule, tuple[int, ...]] = {may_carry_text: READS, pass_pixels: ()}
"""What the rules about pixels read of a header; of others it is not known."""

_DEMANDED = (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES)
_OVERLAYS, _REPRESENTATION, _US = 0x60000000, 0x00280103, b"\x28\0\x03\x01US"


class FastLane:
    """Cleans the objects of one project. It remembers what elements became, up to a limit; one thread may use it."""

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms, pixel_rule: PixelRule) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._pixel_rule = pixel_rule
        self._rooms: dict[tuple[bool, bytes], _Room] = {}
        self._memory = Memory()
        self._last: dict[bool, Elements] = {True: [], False: []}
        """The last object in implicit VR, and in explicit: the same bytes mean another thing there."""

    def clean(self, file: BinaryIO) -> Cleaned | None:
        """Clean the object in an open Part 10 file, or None where it takes more care."""
        if self._pixel_rule not in _READS or Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in self._profile.applied:
            return None
        try:
            return self._clean(file)
        except Exception:  # whatever it is, the careful lane meets it again and says what it is
            return None

    def _clean(self, file: BinaryIO) -> Cleaned:
        layout, elements = self._taken_apart(file)
        by_tag = dict(elements)
        if not _TOGETHER.isdisjoint(by_tag):
            raise NotUsual
        # pydicom decodes this one where others need it, and writes it as what it is.
        if layout.transfer_syntax != ImplicitVRLittleEndian and by_tag.get(_REPRESENTATION, _US)[4:6] != _US[4:6]:
            raise NotUsual
        room = self._room(layout.transfer_syntax, by_tag)
        told = _told(room, elements)
        if not told.is_whole or self._refuses(room, layout, elements, by_tag):
            raise NotUsual
        setting = Setting(told.values[SOP_CLASS], told.patient, lists_references(by_tag), bool(told.uids))
        scene = room.scene(setting, told.notes)
        scene.of_object(told.uids)
        entries = scene.clean(elements)
        if not told.uids.isdisjoint(uid for entry in entries for uid in entry.uids):
            raise NotUsual  # something is called what another thing is going to be called
        instance = _instance(elements, entries, implicit=room.implicit)
        body, patient_id = room.body(elements, entries), told.values.get(PATIENT_ID, "")
        pseudonyms = dict(chain.from_iterable(entry.replaced for entry in entries if entry.replaced))
        return Cleaned(
            instance,
            lambda: read_again(body, implicit=room.implicit, little=True),
            layout,
            lambda: write_part10(body, layout, instance.sop_class, instance.sop_uid),
            room.receipt([entry.delta for entry in entries]),
            uids={uid: self._pseudonyms.uid(uid) for uid in sorted(told.uids)},
            patients={patient_id: self._pseudonyms.patient_id(patient_id)} if patient_id else {},
            accessions=replaced(pseudonyms, ACCESSION_NUMBER),
            others={old: new for old, new in replaced(pseudonyms, PATIENT_ID).items() if old != patient_id},
            before=lambda: header_as_it_came(layout),
            identity=Identity(room.attributes(by_tag), scene.days, self._days(told.patient)),
        )

    def _days(self, patient: str) -> int:
        return days_moved(self._profile, self._pseudonyms, patient)

    def _taken_apart(self, file: BinaryIO) -> tuple[Layout, Elements]:
        data = b""
        for window in _WINDOWS:
            data += file.read(window - len(data))
            try:
                transfer_syntax, start = transfer_syntax_of(data)
                if transfer_syntax in _NOT_HERE or not is_transfer_syntax(transfer_syntax):
                    raise NotUsual
                implicit = transfer_syntax == ImplicitVRLittleEndian
                elements, end = top_level(data, start, implicit=implicit, like=self._last[implicit])
            except CutShort:
                continue
            self._last[implicit] = elements
            return layout_from(file, (start, end), file.seek(0, SEEK_END), UID(transfer_syntax)), elements
        raise NotUsual

    def _room(self, transfer_syntax: str, by_tag: dict[int, bytes]) -> _Room:
        if self._memory.size > _MOST_REMEMBERED:
            self._rooms.clear()
            self._memory = Memory()
        key = transfer_syntax == ImplicitVRLittleEndian, by_tag.get(SPECIFIC_CHARACTER_SET, b"")
        if key not in self._rooms:
            self._rooms[key] = _Room(*key, self._profile, self._pseudonyms, self._memory)
        return self._rooms[key]

    def _refuses(self, room: _Room, layout: Layout, elements: Elements, by_tag: dict[int, bytes]) -> bool:
        """Whether the rule about pixels has anything against the object."""
        read = [by_tag[tag] for tag in _READS[self._pixel_rule] if tag in by_tag]
        overlay = bisect_left(elements, (_OVERLAYS, b""))
        if overlay < len(elements) and elements[overlay][0] >> 24 == 0x60:
            read.append(elements[overlay][1])
        key = layout.transfer_syntax, b"".join(read)
        if key not in room.verdicts:
            header = room.surroundings.read(key[1])
            room.verdicts[key] = self._pixel_rule(header, layout.transfer_syntax, self._profile.applied) is not None
        return room.verdicts[key]


@dataclass(frozen=True)
class _Told:
    """What all elements of an object tell together."""

    notes: frozenset[frozenset[tuple[Kind, str]]]
    uids: set[str]
    values: dict[int, str]

    @property
    def is_whole(self) -> bool:
        """Whether the object has all that a storage object must have; the careful lane says what is missing."""
        demanded = [self.values.get(tag, "") for tag in _DEMANDED]
        return all(value and "\\" not in value for value in demanded) and is_storage_class(demanded[0])

    @property
    def patient(self) -> str:
        """What stands for the patient, as `patient_of` has it."""
        return next(value for tag in (PATIENT_ID, PATIENT_NAME, STUDY) if (value := self.values.get(tag, "")))


def _told(room: _Room, elements: Elements) -> _Told:
    tales = room.tales.of_all(elements)
    telling = [(tag, tale) for (tag, _element), tale in zip(elements, tales, strict=True) if tale is not NOTHING]
    return _Told(
        frozenset(tale.notes for _tag, tale in telling if tale.notes),
        {uid for _tag, tale in telling for uid in tale.uids},
        {tag: tale.value for tag, tale in telling if tale.value},
    )


class _Room:
    """What is remembered of objects in one encoding and character set."""

    def __init__(
        self, implicit: bool, character_set: bytes, profile: Profile, pseudonyms: Pseudonyms, memory: Memory
    ) -> None:
        self.implicit = implicit
        self.surroundings = Surroundings(implicit=implicit, character_set=character_set)
        self.tales = Tales(self.surroundings, profile, memory)
        self.verdicts: dict[tuple[str, bytes], bool] = {}
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._memory = memory
        self._scenes: dict[tuple[Setting, frozenset[frozenset[tuple[Kind, str]]]], Scene] = {}
        self._receipts: dict[tuple[int, ...], tuple[dict[str, Any], list[Delta]]] = {}
        self._attributes: dict[bytes, dict[str, dict[str, Any]]] = {}
        self._marks = self._encoded_marks()

    def scene(self, setting: Setting, notes: frozenset[frozenset[tuple[Kind, str]]]) -> Scene:
        """The scene of objects that have setting and terms in common."""
        key = setting, notes
        if key not in self._scenes:
            self._memory.note(_SCENE)
            terms = chain.from_iterable(notes)
            self._scenes[key] = Scene(self.surroundings, self._profile, self._pseudonyms, setting, terms, self._memory)
        return self._scenes[key]

    def body(self, elements: Elements, entries: list[Entry]) -> bytes:
        """The clean header, encoded, with the marks of `receipt.mark` in their places."""
        chunks = [entry.clean for entry in entries]
        for tag, encoded in self._marks:  # from the last, so that the places of the others stay
            at = bisect_left(elements, (tag, b""))
            if at < len(elements) and elements[at][0] == tag:
                chunks[at] = encoded
            else:
                chunks.insert(at, encoded)
        return b"".join(chunks)

    def attributes(self, by_tag: dict[int, bytes]) -> dict[str, dict[str, Any]]:
        """What `identity_of` takes from the object."""
        key = b"".join(by_tag[tag] for tag in IDENTITY_TAGS if tag in by_tag)
        if key not in self._attributes:
            self._attributes[key] = identity_of(self.surroundings.read(key))
        return self._attributes[key]

    def receipt(self, deltas: list[Delta]) -> dict[str, Any]:
        """The record, as the careful lane would write it."""
        key = tuple(map(id, deltas))
        if key not in self._receipts:
            report = Report()
            for delta in deltas:
                report.counts[Done.KEPT] += delta.kept
                for change in delta.changes:
                    report.note(*change)
            for change in chain.from_iterable(delta.late for delta in deltas):
                report.note(*change)
            # With the deltas, so that none of their ids is given to another.
            self._memory.note(_RECEIPT)
            self._receipts[key] = receipt(report, self._profile, self._pseudonyms.key_id), deltas
        return dict(self._receipts[key][0])

    def _encoded_marks(self) -> list[tuple[int, bytes]]:
        marks = Dataset()
        mark(marks, self._profile)
        encoded = []
        for tag in sorted(marks.keys(), reverse=True):
            alone = Dataset()
            alone[tag] = marks[tag]
            encoded.append((int(tag), self.surroundings.write(alone)))
        return encoded


def _instance(elements: Elements, entries: list[Entry], *, implicit: bool) -> InstanceUids:
    """The UIDs of the result."""
    clean = (entries[bisect_left(elements, (tag, b""))].clean for tag in (STUDY, SERIES, SOP_INSTANCE, SOP_CLASS))
    return InstanceUids(*(value_of(one, implicit=implicit).rstrip(b"\0 ").decode("ascii") for one in clean))
