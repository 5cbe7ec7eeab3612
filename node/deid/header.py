"""Walks a data set at every depth and does to each element what the profile asks (PS3.15 E.1.1).

An allow-list: an element stays only because the table, an option, or its being a standard attribute outside the table
keeps it, and then its text is checked. Private and unknown elements go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .dummies import dummy
from .elements import TEXT_VRS, Path, decoded, is_standard, items, texts, vr_of
from .iod import Types
from .profile import Action, Option, Profile, Rule
from .pseudonyms import Pseudonyms, is_of_the_standard, shifted
from .report import Done, Report, place
from .terms import TermBank

PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER = 0x00100010, 0x00100020, 0x00080050
# Code strings with a closed list of values; a patient called Brain does not make a body part disappear.
STRUCTURAL = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080008,  # Image Type
        0x00080060,  # Modality
        0x00080064,  # Conversion Type
        0x00180015,  # Body Part Examined
        0x00185100,  # Patient Position
        0x00200020,  # Patient Orientation
        0x00280004,  # Photometric Interpretation
    }
)
# UIDs of coding schemes and context groups name vocabularies, not people (PS3.3 8.8).
VOCABULARY_UIDS = frozenset({0x0008010C, 0x00080117, 0x00080118, 0x0008010E})
_KEPT = Rule(Action.KEEP, "standard attribute outside the table")
_PRIVATE = "private attribute"
_UNKNOWN = "not an attribute of the standard"
_CHECKED = "text check"
_IN_DUMMY = "within a replaced sequence"
_SAID_NOTHING = frozenset({"LO", "SH", "ST", "LT", "UC", "UT", "PN", "UR", "DA", "DT", "TM", "AS"})
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

    def clean(self, header: Dataset, path: Path = ()) -> None:
        """Clean a data set in place, sequences included."""
        self._walk(header, path, within_dummy=False)

    def _walk(self, header: Dataset, path: Path, *, within_dummy: bool) -> None:
        for tag in sorted(header.keys()):
            if tag.element == 0:  # group lengths: retired, and wrong after any change (PS3.5 7.2)
                del header[tag]
            elif tag.is_private:
                self._remove(header, tag, path, _PRIVATE)
            else:
                self._standard(header, tag, path, within_dummy=within_dummy)

    def _standard(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        rule = self.profile.rule(tag)
        if tag.group & 0xFF00 == 0x6000:
            # Without Overlay Data the rest of an overlay plane is no valid module (PS3.3 C.9.2), so it goes as well.
            rule = Rule(Action.REMOVE, (rule or self.profile.rule(Tag(0x60003000)) or _KEPT).why)
        if rule is None and not is_standard(tag):
            self._remove(header, tag, path, _UNKNOWN)
            return
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
        elif action == Action.SHIFT:
            self._shift(header, tag, path, why)
        elif rule is None:
            self._check(header, tag, path, within_dummy=within_dummy)
        else:
            self._keep(header, tag, path, within_dummy=within_dummy)

    def _resolved(self, rule: Rule, path: tuple[int, ...]) -> Action:
        """The action with composite codes resolved by the attribute's type in the IOD (PS3.15 Table E.1-1a).

        Where the table would remove or empty what the IOD demands, a dummy says as little and keeps the object valid.
        """
        action = rule.action
        if action in (Action.KEEP, Action.SHIFT, Action.DUMMY, Action.UID):
            return action
        kind = self.types.of(path) if self.types.known else "?"
        if action == Action.REMOVE:
            return {"1": Action.DUMMY, "2": Action.EMPTY}.get(kind, Action.REMOVE)
        demanded = kind in ("1", "1C", "?")
        if action in (Action.EMPTY, Action.EMPTY_OR_DUMMY):
            # Z allows a dummy, and Z/D asks for one where the attribute may not be empty.
            needs_value = kind in ("1", "1C") or (kind == "?" and action == Action.EMPTY_OR_DUMMY)
            return Action.DUMMY if needs_value else Action.EMPTY
        if demanded:
            if action == Action.REMOVE_EMPTY_OR_UID:
                return Action.KEEP  # its items are cleaned, the UIDs in them replaced
            return Action.EMPTY if action == Action.REMOVE_OR_EMPTY and kind != "1" else Action.DUMMY
        return Action.EMPTY if kind in ("2", "2C") else Action.REMOVE

    def _remove(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        del header[tag]
        self.report.note(Done.REMOVED, place(path, tag), why)

    def _empty(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        before = texts(decoded(header, tag, path)) if int(tag) in _PSEUDONYMOUS else []
        if before:
            self._set(header, tag, self._pseudonym(int(tag), before[0]))
            self.report.note(Done.REPLACED, place(path, tag), why)
            return
        header.add_new(tag, self._vr(header, tag), [] if self._vr(header, tag) == "SQ" else None)
        self.report.note(Done.EMPTIED, place(path, tag), why)

    def _replace_by_dummy(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        element = decoded(header, tag, path)
        if element.VR == "SQ":
            for below, item in items(element, path, int(tag)):
                self._walk(item, below, within_dummy=True)
        elif int(tag) in _PSEUDONYMOUS:
            self._empty(header, tag, path, why)
            return
        else:
            self._set(header, tag, dummy(self._vr(header, tag)))
        self.report.note(Done.REPLACED, place(path, tag), why)

    def _replace_uids(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        element = decoded(header, tag, path)
        if element.VR == "SQ":
            self._keep(header, tag, path, within_dummy=False)
            return
        before = texts(element)
        after = [self.pseudonyms.uid(uid) for uid in before]
        if before == after:
            self.report.keep()
            return
        self._set(header, tag, after[0] if len(after) == 1 else after)
        self.report.note(Done.REPLACED, place(path, tag), why)

    def _shift(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        element = decoded(header, tag, path)
        vr, before = self._vr(header, tag), texts(element)
        if vr == "SQ":
            self._keep(header, tag, path, within_dummy=False)
            return
        if int(tag) == 0x00080201 and all(re.fullmatch(r"[+-]\d{4}", value) for value in before):
            self.report.keep()  # Timezone Offset From UTC: a shift by whole days leaves it true
            return
        days = self.pseudonyms.days(self.patient)
        after = [shifted(value, vr, days) for value in before] if vr in ("DA", "DT", "TM") else [None]
        if None in after:
            fallback = self._resolved(
                Rule(Action.REMOVE_EMPTY_OR_DUMMY, why), (*(outer for outer, _ in path), int(tag))
            )
            self._fall_back(header, tag, path, fallback)
        elif after == before:
            self.report.keep()
        else:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), why)

    def _fall_back(self, header: Dataset, tag: BaseTag, path: Path, action: Action) -> None:
        """For a date that is none: what the Basic Profile would do."""
        if action == Action.DUMMY:
            self._replace_by_dummy(header, tag, path, "not a date")
        elif action == Action.EMPTY:
            self._empty(header, tag, path, "not a date")
        else:
            self._remove(header, tag, path, "not a date")

    def _keep(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        if vr_of(header, tag) in ("SQ", "UN"):
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                self._walk(item, below, within_dummy=within_dummy)
        self.report.keep()

    def _check(self, header: Dataset, tag: BaseTag, path: Path, *, within_dummy: bool) -> None:
        """A standard attribute outside the table stays, unless its text gives the patient away."""
        vr = vr_of(header, tag)
        if vr == "UI":
            self._check_uids(header, tag, path)
        elif vr in ("SQ", "UN"):
            self._keep(header, tag, path, within_dummy=within_dummy)
        elif vr == "PN":
            self._empty(header, tag, path, _CHECKED)
        elif within_dummy and vr in _SAID_NOTHING and int(tag) not in _CODE_TAGS:
            self._replace_by_dummy(header, tag, path, _IN_DUMMY)
        elif vr in ("DA", "DT"):
            self._shift_or_drop(header, tag, path)
        elif self._gives_away(header, tag, path, vr):
            self._replace_by_dummy(header, tag, path, _CHECKED)
        else:
            self.report.keep()

    def _gives_away(self, header: Dataset, tag: BaseTag, path: Path, vr: str) -> bool:
        if vr in TEXT_VRS and int(tag) not in STRUCTURAL:
            return any(self.terms.finds(text) for text in texts(decoded(header, tag, path)))
        if vr == "OB":
            value = decoded(header, tag, path).value
            return isinstance(value, bytes) and self.terms.in_bytes(value)
        return False

    def _check_uids(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A UID outside the table is replaced unless the standard itself, or a vocabulary, is named by it."""
        values = texts(decoded(header, tag, path))
        vocabulary = int(tag) in VOCABULARY_UIDS and not any(self.terms.has_uid(uid) for uid in values)
        if Option.RETAIN_UIDS in self.profile.applied or vocabulary or all(is_of_the_standard(uid) for uid in values):
            self.report.keep()
        else:
            self._replace_uids(header, tag, path, _CHECKED)

    def _shift_or_drop(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A date outside the table is treated as those within it."""
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in self.profile.applied:
            self.report.keep()
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


_PSEUDONYMOUS = frozenset({PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER})
