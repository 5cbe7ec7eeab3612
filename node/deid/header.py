"""Walks a data set at every depth and does to each element what the profile asks (PS3.15 E.1.1).

An allow-list: an element stays only because a table, an option, or its being a standard attribute outside the table
keeps it, and then its text is checked. Unknown elements go, and private ones that no table calls safe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .content import AGES, CONTENT_SEQUENCE, action_for, concept
from .dummies import dummy
from .elements import (
    BULK_VRS,
    TEXT_VRS,
    Path,
    contradicts,
    decoded,
    is_standard,
    is_well_formed,
    items,
    joined,
    pad_odd_values,
    texts,
    vr_of,
)
from .errors import CannotClean
from .iod import Types
from .private import creator_tag, safe_vr
from .profile import Action, Option, Profile, Rule
from .pseudonyms import Pseudonyms, shifted
from .registry import says_nothing
from .report import Done, Report, place
from .terms import TermBank
from .text import Dates, TextCleaner
from .vocabulary import is_code

SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER = 0x00100010, 0x00100020, 0x00080050
RESPONSIBLE_PERSON, RESPONSIBLE_PERSON_ROLE = Tag(0x00102297), Tag(0x00102298)
TIMEZONE_OFFSET = 0x00080201
# Common Instance Reference Module (PS3.3 C.12.2).
_REFERENCE_LISTS = (Tag(0x00081115), Tag(0x00081200))
_PSEUDONYMOUS = frozenset({PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER})
_KEPT = Rule(Action.KEEP, "standard attribute outside the table")
_PRIVATE = "private attribute"
_UNKNOWN = "not an attribute of the standard"
_MISPLACED = "not where the standard has it"
_CHECKED = "text check"
_MALFORMED = "not of the form of its VR"
_IN_DUMMY = "within a replaced sequence"
_SAID_NOTHING = frozenset({"LO", "SH", "ST", "LT", "UC", "UT", "PN", "UR", "DA", "DT", "TM", "AS"})
_CONTENT = "content item, by its concept"
_UNFORMATTED_TEXT, _GRAPHIC_ANNOTATIONS = 0x00700006, 0x00700001
# DateTime, Date, Time, Person Name, Text Value.
_CONTENT_VALUES = tuple(Tag(tag) for tag in (0x0040A120, 0x0040A121, 0x0040A122, 0x0040A123, 0x0040A160))
_MEASURED_VALUE, _NUMERIC_VALUE = Tag(0x0040A300), Tag(0x0040A30A)
_OLDEST = 89
_PROSE = ("Description", "Comment", "Comments", "Text", "Remark", "Remarks", "Reason")
_LONGEST = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_WIDTHS = {"FL": 4, "FD": 8, "US": 2, "SS": 2, "UL": 4, "SL": 4, "AT": 4, "OW": 2}
_CODE_TAGS = frozenset({0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119, 0x00080120})


@dataclass
class HeaderCleaner:
    """What is needed to clean the header of one object. `patient` is what dates are shifted and names replaced by."""

    profile: Profile
    pseudonyms: Pseudonyms
    types: Types
    terms: TermBank
    patient: str
    report: Report
    made: set[str] = field(default_factory=set)
    """The pseudonyms that were put in, other than UIDs."""
    _lists_references: bool = False
    _text: TextCleaner = field(init=False)

    def __post_init__(self) -> None:
        dates = Dates.REMOVE
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in self.profile.applied:
            dates = Dates.KEEP
        elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in self.profile.applied:
            dates = Dates.SHIFT
        days = self.pseudonyms.days(self.patient)
        self._text = TextCleaner(self.terms, dates, days, self.profile.voter)

    def clean(self, header: Dataset, path: Path = ()) -> None:
        """Clean a data set in place, sequences included."""
        self._lists_references = any(tag in header for tag in _REFERENCE_LISTS)
        self._walk(header, path, within_dummy=False)

    def _walk(self, header: Dataset, path: Path, *, within_dummy: bool) -> None:
        for tag in sorted(header.keys()):
            if tag.element == 0:  # group lengths: retired, and wrong after any change (PS3.5 7.2)
                del header[tag]
            elif tag.is_private:
                self._private(header, tag, path, within_dummy=within_dummy)
            else:
                self._standard(header, tag, path, within_dummy=within_dummy)
        self._drop_empty_blocks(header, path)
        pad_odd_values(header)
        if RESPONSIBLE_PERSON_ROLE in header and not header.get(RESPONSIBLE_PERSON):
            self._remove(header, RESPONSIBLE_PERSON_ROLE, path, "the role of a person who is gone")

    def _private(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        """A private attribute: kept if Table E.3.10-1 has it, with the VR that it has there."""
        if Option.RETAIN_SAFE_PRIVATE in self.profile.applied and not within_dummy:
            if tag.is_private_creator:
                return  # until it is known whether anything of its block stays
            vr = safe_vr(header, tag)
            if vr and self._restored(header, tag, vr):
                self._check_as(header, tag, path, vr)
                return
        self._remove(header, tag, path, _PRIVATE)

    def _restored(self, header: Dataset, tag: BaseTag, vr: str) -> bool:
        """Give a private element the VR that the table says; False where its value is none of that VR."""
        element = header.get_item(tag)
        if vr == element.VR:
            return True
        raw = element.value
        if element.VR not in (None, "UN") or not isinstance(element, RawDataElement) or not isinstance(raw, bytes):
            return False
        if len(raw) % _WIDTHS.get(vr, 1):
            return False
        header[tag] = element._replace(VR=vr)
        return True

    def _drop_empty_blocks(self, header: Dataset, path: Path) -> None:
        if Option.RETAIN_SAFE_PRIVATE not in self.profile.applied:
            return
        creators = [tag for tag in header.keys() if tag.is_private_creator]  # noqa: SIM118 - iterating decodes it
        used = {creator_tag(tag) for tag in header.keys() if tag.is_private and not tag.is_private_creator}  # noqa: SIM118
        for tag in creators:
            if tag in used:
                self.report.keep()
            else:
                self._remove(header, tag, path, _PRIVATE)

    def _standard(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        rule = self.profile.rule(tag)
        if rule is None and not is_standard(tag):
            self._remove(header, tag, path, _UNKNOWN)
            return
        if _is_misplaced(tag, path):
            self._remove(header, tag, path, _MISPLACED)
            return
        if tag.group & 0xFF00 == 0x6000:
            # Without Overlay Data the rest of an overlay plane is no valid module (PS3.3 C.9.2), so it goes as well.
            rule = Rule(Action.REMOVE, (rule or self.profile.rule(Tag(0x60003000)) or _KEPT).why)
        if self._is_graphic_text(tag, path):
            rule = Rule(Action.CLEAN, str(Option.CLEAN_GRAPHICS))
        action = self._resolved(rule or _KEPT, (*(outer for outer, _ in path), int(tag)))
        why = (rule or _KEPT).why
        if action == Action.REMOVE:
            self._remove(header, tag, path, why)
        elif action == Action.EMPTY:
            self._empty(header, tag, path, why)
        elif action == Action.DUMMY:
            self._replace_by_dummy(header, tag, path, why)
        elif action == Action.UID:
            self._replace_uids(header, tag, path, why)
        elif action == Action.CLEAN and self._vr(header, tag) in ("DA", "DT", "TM"):
            self._shift(header, tag, path, why)
        elif action == Action.CLEAN:
            self._clean(header, tag, path, why)
        else:
            self._check(header, tag, path, rule=rule, within_dummy=within_dummy)

    def _resolved(self, rule: Rule, path: tuple[int, ...]) -> Action:
        """The action with composite codes resolved by the attribute's type in the IOD (PS3.15 Table E.1-1a).

        Where the table would remove or empty what the IOD demands, a dummy says as little and keeps the object valid.
        """
        action = rule.action
        if action in (Action.KEEP, Action.CLEAN, Action.DUMMY, Action.UID):
            return action
        kind = self.types.of(path) if self.types.known else "?"
        if action == Action.REMOVE:
            return {"1": Action.DUMMY, "2": Action.EMPTY}.get(kind, Action.REMOVE)
        if action == Action.REMOVE_EMPTY_OR_UID:
            # An object that lists what it refers to must refer to it; its UIDs are replaced there as here.
            return Action.REMOVE if kind == "3" and not self._lists_references else Action.KEEP
        if kind in ("1", "1C"):
            return Action.DUMMY
        if action == Action.EMPTY or kind in ("2", "2C"):
            return Action.EMPTY
        if kind == "?":  # valid whatever the type is
            return Action.EMPTY if action == Action.REMOVE_OR_EMPTY else Action.DUMMY
        return Action.EMPTY if action == Action.EMPTY_OR_DUMMY else Action.REMOVE

    def _remove(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        del header[tag]
        self.report.note(Done.REMOVED, place(path, tag), why)

    def _empty(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        before = joined(texts(decoded(header, tag, path))) if int(tag) in _PSEUDONYMOUS else ""
        if before:
            after = self._pseudonym(int(tag), before)
            self.made.add(after)
            self._set(header, tag, after)
            self.report.note(Done.REPLACED, place(path, tag), why)
            return
        vr = self._vr(header, tag)
        header[tag] = DataElement(tag, vr, [] if vr == "SQ" else None)
        self.report.note(Done.EMPTIED, place(path, tag), why)

    def _replace_by_dummy(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        vr = self._vr(header, tag)
        if vr == "SQ":
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                self._walk(item, below, within_dummy=True)
        elif vr == "UI":
            self._replace_uids(header, tag, path, why)
            return
        elif int(tag) in _PSEUDONYMOUS:
            self._empty(header, tag, path, why)
            return
        else:
            self._set(header, tag, dummy(vr))
        self.report.note(Done.REPLACED, place(path, tag), why)

    def _replace_uids(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        if self._vr(header, tag) == "SQ":
            self._keep_items(header, tag, path, within_dummy=False)
            return
        before = texts(decoded(header, tag, path))
        after = [uid if says_nothing(int(tag), uid) else self.pseudonyms.uid(uid) for uid in before]
        if before == after:
            self.report.keep()
            return
        self._set(header, tag, after[0] if len(after) == 1 else after)
        self.report.note(Done.REPLACED, place(path, tag), why)

    def _is_graphic_text(self, tag: BaseTag, path: Path) -> bool:
        """The text of a presentation state's graphics: the table names it a descriptor, its sequence a graphic."""
        applied = Option.CLEAN_GRAPHICS in self.profile.applied
        return applied and tag == _UNFORMATTED_TEXT and any(outer == _GRAPHIC_ANNOTATIONS for outer, _ in path)

    def _clean(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """What an option would have cleaned: text is cut, items are walked, and what cannot be judged goes."""
        vr = self._vr(header, tag)
        if vr == "SQ" and tag == CONTENT_SEQUENCE:
            self._clean_content(header, tag, path)
        elif vr == "SQ":
            self._keep_items(header, tag, path, within_dummy=False)
        elif int(tag) == TIMEZONE_OFFSET:
            self._shift(header, tag, path, why)
        elif contradicts(header, tag) or tag.group & 0xFF00 == 0x5000 or vr in BULK_VRS or vr == "UN":
            self._fall_back(header, tag, path, why)
        elif vr == "CS":
            self._check_values(header, tag, path, vr)
        elif vr in TEXT_VRS:
            self._clean_text(header, tag, path, vr, why)
        else:
            self._fall_back(header, tag, path, why)

    def _clean_text(self, header: Dataset, tag: BaseTag, path: Path, vr: str, why: str) -> None:
        before = texts(decoded(header, tag, path))
        after = [text for text in (self._cleaned(value, vr) for value in before) if text]
        if after == before:
            self.report.keep()
        elif after:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), why)
        else:
            self._fall_back(header, tag, path, why)

    def _cleaned(self, value: str, vr: str) -> str:
        text = self._text.clean(value)
        # Moved, a date may have become longer than its VR allows.
        return text if len(text) <= max(_LONGEST.get(vr, 1 << 30), len(value)) else ""

    def _clean_content(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A content tree, item by item (PS3.15 Table E.3.4-1)."""
        for below, item in items(decoded(header, tag, path), path, int(tag)):
            if concept(item)[1] in AGES:
                self._cap_age(item)
            dummy_value = action_for(item, self.profile.applied) == Action.DUMMY
            self._walk(item, below, within_dummy=dummy_value)
            for value in _CONTENT_VALUES if dummy_value else ():
                if value in item:
                    self._replace_by_dummy(item, value, below, _CONTENT)
        self.report.keep()

    def _cap_age(self, item: Dataset) -> None:
        for value in item[_MEASURED_VALUE].value if _MEASURED_VALUE in item else ():
            numbers = texts(decoded(value, _NUMERIC_VALUE, ())) if _NUMERIC_VALUE in value else []
            if any(re.fullmatch(r"\d+(\.\d*)?", number) and float(number) > _OLDEST for number in numbers):
                value[_NUMERIC_VALUE] = DataElement(_NUMERIC_VALUE, "DS", str(_OLDEST + 1))

    def _shift(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        vr = self._vr(header, tag)
        if vr == "SQ":
            self._keep_items(header, tag, path, within_dummy=False)
            return
        before = texts(decoded(header, tag, path))
        if int(tag) == TIMEZONE_OFFSET and all(re.fullmatch(r"[+-]\d{4}", value) for value in before):
            self.report.keep()  # a shift by whole days leaves it true
            return
        days = self.pseudonyms.days(self.patient)
        after = [shifted(value, vr, days) for value in before] if vr in ("DA", "DT", "TM") else [None]
        if None in after:
            self._fall_back(header, tag, path, why)
        elif after == before:
            self.report.keep()
        else:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), why)

    def _fall_back(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """For a date or time that is none: gone, as far as the IOD allows."""
        rule = self.profile.rule(int(tag))
        asked = Action.DUMMY if rule and rule.is_dummy else Action.REMOVE_EMPTY_OR_DUMMY
        action = self._resolved(Rule(asked, why), (*(outer for outer, _ in path), int(tag)))
        if action == Action.DUMMY:
            self._replace_by_dummy(header, tag, path, _MALFORMED)
        elif action == Action.EMPTY:
            self._empty(header, tag, path, _MALFORMED)
        else:
            self._remove(header, tag, path, _MALFORMED)

    def _keep_items(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        for below, item in items(decoded(header, tag, path), path, int(tag)):
            self._walk(item, below, within_dummy=within_dummy)
        self.report.keep()

    def _check(self, header: Dataset, tag: BaseTag, path: Path, *, rule: Rule | None, within_dummy: bool) -> None:
        """What stays, because an option keeps it or the table does not name it, stays only if its value is of its VR's
        kind and form and does not give the patient away."""
        if contradicts(header, tag):
            raise CannotClean(f"{place(path, tag)}: its VR is not that of the standard")
        self._check_as(header, tag, path, vr_of(header, tag), rule=rule, within_dummy=within_dummy)

    def _check_as(
        self,
        header: Dataset,
        tag: BaseTag,
        path: Path,
        vr: str,
        *,
        rule: Rule | None = None,
        within_dummy: bool = False,
    ) -> None:
        if vr == "SQ":
            self._keep_items(header, tag, path, within_dummy=within_dummy)
        elif vr == "UI":
            self._check_uids(header, tag, path)
        elif not header.get_item(tag).value:
            self.report.keep()
        elif int(tag) == SPECIFIC_CHARACTER_SET:
            self._check_character_set(header, tag, path)
        elif vr == "PN" or (within_dummy and vr in _SAID_NOTHING and int(tag) not in _CODE_TAGS):
            self._replace_by_dummy(header, tag, path, _IN_DUMMY if within_dummy else _CHECKED)
        elif vr in ("DA", "DT") and rule is None:
            self._shift_or_drop(header, tag, path)
        elif vr in BULK_VRS or vr == "UN":
            self._check_bytes(header, tag, path)
        elif vr in TEXT_VRS or vr in ("DA", "DT", "TM", "DS", "IS"):
            self._check_values(header, tag, path, vr)
        else:
            self.report.keep()

    def _check_bytes(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        value = decoded(header, tag, path).value
        if isinstance(value, bytes) and self.terms.in_bytes(value):
            self._replace_by_dummy(header, tag, path, _CHECKED)
        else:
            self.report.keep()

    def _check_values(self, header: Dataset, tag: BaseTag, path: Path, vr: str) -> None:
        """Keep the values that say nothing of the patient; where one is not even of its VR's form, keep none."""
        before = _numbers(header, tag, path) if vr in ("DS", "IS") else texts(decoded(header, tag, path))
        if not all(is_well_formed(vr, value) for value in before):
            if vr in ("DA", "DT", "TM"):
                self._fall_back(header, tag, path, _MALFORMED)
            else:
                self._empty(header, tag, path, _MALFORMED)
            return
        after = [self._checked(value, vr, tag) for value in before]
        if after == before:
            self.report.keep()
        else:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), _CHECKED)

    def _checked(self, value: str, vr: str, tag: BaseTag) -> str:
        """The value, or what is left of it, or a dummy in its place."""
        if vr in ("DS", "IS"):
            return dummy(vr) if self.terms.is_number(value) else value
        if vr == "AS":
            return f"{_OLDEST + 1:03d}Y" if _is_over(value) else value
        if vr in ("AE", "CS"):
            gives_away = not (vr == "CS" and is_code(value)) and self.terms.finds(value)
            return dummy(vr) if gives_away else value
        if vr not in TEXT_VRS:
            return value
        text = self._cleaned(value, vr) if _is_prose(tag, vr) else self._text.check(value)
        return text or dummy(vr)

    def _check_character_set(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        for value in texts(decoded(header, tag, path)):
            if value not in python_encoding and value.replace("-", "_") not in python_encoding:
                raise CannotClean(f"{place(path, tag)}: not a character set of the standard")
        self.report.keep()

    def _check_uids(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A UID outside the table is replaced unless it names something of the standard, or a vocabulary."""
        values = texts(decoded(header, tag, path))
        keeps = Option.RETAIN_UIDS in self.profile.applied and all(is_well_formed("UI", value) for value in values)
        if keeps or all(says_nothing(int(tag), uid) for uid in values):
            self.report.keep()
        else:
            self._replace_uids(header, tag, path, _CHECKED)

    def _shift_or_drop(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A date outside the table is treated as those within it."""
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in self.profile.applied:
            self._check_values(header, tag, path, self._vr(header, tag))
        elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in self.profile.applied:
            self._shift(header, tag, path, _CHECKED)
        else:
            self._replace_by_dummy(header, tag, path, _CHECKED)

    def _pseudonym(self, tag: int, before: str) -> str:
        if tag == ACCESSION_NUMBER:
            return self.pseudonyms.accession_number(before)
        return self.pseudonyms.patient_id(before if tag == PATIENT_ID else self.patient)

    def _vr(self, header: Dataset, tag: BaseTag) -> str:
        """The VR to write: the dictionary's where it has one, so that a wrong one in the source is put right."""
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            vr = vr_of(header, tag)
        return vr if " or " not in vr else "OW" if "OW" in vr else "US"

    def _set(self, header: Dataset, tag: BaseTag, value: object) -> None:
        header[tag] = DataElement(tag, self._vr(header, tag), value, already_converted=False)


def _is_over(age: str) -> bool:
    """Whether an age (AS) is above the oldest that may be told (45 CFR 164.514(b)(2)(i)(C))."""
    number, unit = age.rstrip("DWMY"), age[-1:]
    return int(number) / {"D": 365.25, "W": 52.18, "M": 12}.get(unit, 1) >= _OLDEST + 1


def _is_prose(tag: BaseTag, vr: str) -> bool:
    """Whether people write the attribute's text, rather than devices or vocabularies."""
    if tag.is_private or vr in ("LO", "SH"):
        return not tag.is_private and keyword_for_tag(tag).endswith(_PROSE)
    return vr in ("LT", "ST", "UT")


def _is_misplaced(tag: BaseTag, path: Path) -> bool:
    """Commands, file meta and directory records in a data set; pixel data in a sequence (of icons, Table E.1-1 takes
    care), or in the retired groups 7F00 to 7FDF."""
    group = tag.group
    return group < 0x0008 or (group & 0xFF00 == 0x7F00 and (group != 0x7FE0 or bool(path)))


def _numbers(header: Dataset, tag: BaseTag, path: Path) -> list[str]:
    """The values of DS and IS as they stand in the file: as numbers they would be put otherwise, or not be read."""
    value = header.get_item(tag).value
    if isinstance(value, bytes):
        return [text for text in (part.strip("\0 ") for part in value.decode("latin-1").split("\\")) if text]
    return texts(decoded(header, tag, path))
