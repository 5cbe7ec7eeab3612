"""Walks a data set at every depth and has done to each element what the profile asks (PS3.15 E.1.1).

Unknown elements go, and private ones that no table calls safe; sequences are cleaned item by item.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .content import AGES, CONTENT_SEQUENCE, UID, action_for, concept, keeps_uid
from .decisions import Decision, lists_references
from .elements import Path, contradicts, decoded, items, pad_odd_values, said, vr_of
from .private import creator_tag, safe_vr
from .profile import Action, Option
from .report import Done, place
from .values import OLDEST, ValueCleaner, refuse_contradiction, vr_to_write

RESPONSIBLE_PERSON, RESPONSIBLE_PERSON_ROLE = Tag(0x00102297), Tag(0x00102298)
PRIVATE = "private attribute"
_CONTENT = "content item, by its concept"
# DateTime, Date, Time, Person Name, Text Value.
_CONTENT_VALUES = tuple(Tag(tag) for tag in (0x0040A120, 0x0040A121, 0x0040A122, 0x0040A123, 0x0040A160))
_MEASURED_VALUE, _NUMERIC_VALUE, _QUALIFIER = Tag(0x0040A300), Tag(0x0040A30A), Tag(0x0040A301)
_CONCEPT_CODE = Tag(0x0040A168)
_WIDTHS = {"FL": 4, "FD": 8, "US": 2, "SS": 2, "UL": 4, "SL": 4, "AT": 4, "OW": 2}


@dataclass
class HeaderCleaner:
    """Cleans the header of one object with what `values` does to each of its elements."""

    values: ValueCleaner

    def __post_init__(self) -> None:
        applied = self.values.decisions.profile.applied
        self._keeps_safe_private = Option.RETAIN_SAFE_PRIVATE in applied
        self._options = applied

    def clean(self, header: Dataset, path: Path = ()) -> None:
        """Clean a data set in place, sequences included."""
        self.values.decisions = replace(self.values.decisions, lists_references=lists_references(header))
        self._walk(header, path, within_dummy=False)

    def clean_element(self, header: Dataset, tag: BaseTag, path: Path = (), *, within_dummy: bool = False) -> None:
        """Clean one element in place. A private creator stays: whether anything of its block does is not yet known."""
        if tag.element == 0:  # group lengths: retired, and wrong after any change (PS3.5 7.2)
            del header[tag]
        elif tag.is_private:
            self._private(header, tag, path, within_dummy=within_dummy)
        else:
            self._standard(header, tag, path, within_dummy=within_dummy)

    def _walk(self, header: Dataset, path: Path, *, within_dummy: bool) -> None:
        for tag in sorted(header.keys()):
            self.clean_element(header, tag, path, within_dummy=within_dummy)
        self._drop_empty_blocks(header, path)
        pad_odd_values(header)
        if RESPONSIBLE_PERSON_ROLE in header and not header.get(RESPONSIBLE_PERSON):
            self.values.remove(header, RESPONSIBLE_PERSON_ROLE, path, "the role of a person who is gone")

    def _private(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        """A private attribute: kept if Table E.3.10-1 has it, with the VR that it has there."""
        if self._keeps_safe_private and not within_dummy:
            if tag.is_private_creator:
                return
            vr = safe_vr(header, tag)
            if vr and _restored(header, tag, vr):
                self._check_as(header, tag, path, vr, is_ruled=False, within_dummy=False)
                return
        self.values.remove(header, tag, path, PRIVATE)

    def _drop_empty_blocks(self, header: Dataset, path: Path) -> None:
        if not self._keeps_safe_private:
            return
        creators = [tag for tag in header.keys() if tag.is_private_creator]  # noqa: SIM118 - iterating decodes it
        used = {creator_tag(tag) for tag in header.keys() if tag.is_private and not tag.is_private_creator}  # noqa: SIM118
        for tag in creators:
            if tag in used:
                self.values.report.keep()
            else:
                self.values.remove(header, tag, path, PRIVATE)

    def _standard(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        decision = self.values.decisions.of(tag, path)
        if decision.action == Action.REMOVE:
            self.values.remove(header, tag, path, decision.why)
        elif decision.action == Action.EMPTY:
            self.values.empty(header, tag, path, decision.why)
        elif decision.action == Action.KEEP:
            refuse_contradiction(header, tag, path)
            vr = vr_of(header, tag)
            self._check_as(header, tag, path, vr, is_ruled=decision.is_ruled, within_dummy=within_dummy)
        elif vr_to_write(header, tag) == "SQ":
            self._sequence(header, tag, path, decision)
        elif decision.action == Action.DUMMY:
            self.values.replace_by_dummy(header, tag, path, decision.why)
        elif decision.action == Action.UID:
            self.values.replace_uids(header, tag, path, decision.why)
        else:
            self.values.clean(header, tag, path, decision.why)

    def _sequence(self, header: Dataset, tag: BaseTag, path: Path, decision: Decision) -> None:
        """A sequence that is replaced or cleaned: its items are walked."""
        if decision.action == Action.DUMMY:
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                self._walk(item, below, within_dummy=True)
            self.values.report.note(Done.REPLACED, place(path, tag), decision.why)
        elif decision.action == Action.CLEAN and tag == CONTENT_SEQUENCE:
            self._clean_content(header, tag, path)
        else:
            self._keep_items(header, tag, path, within_dummy=False)

    def _check_as(
        self, header: Dataset, tag: BaseTag, path: Path, vr: str, *, is_ruled: bool, within_dummy: bool
    ) -> None:
        if vr == "SQ":
            self._keep_items(header, tag, path, within_dummy=within_dummy)
        else:
            self.values.check(header, tag, path, vr, is_ruled=is_ruled, within_dummy=within_dummy)

    def _keep_items(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        for below, item in items(decoded(header, tag, path), path, int(tag)):
            self._walk(item, below, within_dummy=within_dummy)
        self.values.report.keep()

    def _clean_content(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A content tree, item by item (PS3.15 Table E.3.4-1)."""
        for below, item in items(decoded(header, tag, path), path, int(tag)):
            if concept(item)[1] in AGES:
                _cap_age(item)
            dummy_value = action_for(item, self._options) == Action.DUMMY
            kept = self._kept_uid(item, below)
            self._walk(item, below, within_dummy=dummy_value)
            if kept is not None:
                item[UID] = kept
                self.values.report.keep()
            if dummy_value:
                self._say_nothing(item, below)
        self.values.report.keep()

    def _kept_uid(self, item: Dataset, path: Path) -> DataElement | RawDataElement | None:
        """Take out of a content item the UID that an option keeps, for Table E.1-1 knows only those that go."""
        if not keeps_uid(item, self._options) or not self.values.may_keep_uids(said(item, UID)):
            return None
        refuse_contradiction(item, UID, path)
        kept = item.get_item(UID)
        del item[UID]
        return kept

    def _say_nothing(self, item: Dataset, path: Path) -> None:
        """Put a dummy for the value of a content item; what was measured becomes a value that is not known (CID 42),
        and a code that of what is not known (CID 7455)."""
        for value in _CONTENT_VALUES:
            if value in item:
                self.values.replace_by_dummy(item, value, path, _CONTENT)
        if _MEASURED_VALUE in item:
            item[_MEASURED_VALUE] = DataElement(_MEASURED_VALUE, "SQ", [])
            item[_QUALIFIER] = DataElement(_QUALIFIER, "SQ", [_code("114010", "Value unknown")])
            self.values.report.note(Done.EMPTIED, place(path, _MEASURED_VALUE), _CONTENT)
        if _CONCEPT_CODE in item:
            item[_CONCEPT_CODE] = DataElement(_CONCEPT_CODE, "SQ", [_code("U", "Unknown sex")])
            self.values.report.note(Done.REPLACED, place(path, _CONCEPT_CODE), _CONTENT)


def _restored(header: Dataset, tag: BaseTag, vr: str) -> bool:
    """Give a private element the VR that the table says; False where its value is none of that VR."""
    element = header.get_item(tag)
    if vr == element.VR:
        return not contradicts(header, tag)
    raw = element.value
    if element.VR not in (None, "UN") or not isinstance(element, RawDataElement) or not isinstance(raw, bytes):
        return False
    if len(raw) % _WIDTHS.get(vr, 1):
        return False
    header[tag] = element._replace(VR=vr)
    return True


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _cap_age(item: Dataset) -> None:
    """Tell an age above the oldest that may be told as "over" (45 CFR 164.514(b)(2)(i)(C))."""
    if _MEASURED_VALUE not in item:
        return
    for _, value in items(decoded(item, _MEASURED_VALUE, ()), (), int(_MEASURED_VALUE)):
        numbers = said(value, _NUMERIC_VALUE)
        if any(re.fullmatch(r"\d+(\.\d*)?", number) and float(number) > OLDEST for number in numbers):
            value[_NUMERIC_VALUE] = DataElement(_NUMERIC_VALUE, "DS", str(OLDEST + 1))
