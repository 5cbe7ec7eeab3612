"""Carries out on one element what was decided about it, and checks the value of each that stays.

Sequences are not its business: `header` walks them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from .decisions import Decisions
from .dummies import dummy
from .elements import (
    BINARY_VRS,
    BULK_VRS,
    TEXT_VRS,
    Path,
    contradicts,
    decoded,
    is_well_formed,
    joined,
    raw_bytes,
    texts,
    vr_of,
)
from .enclosed import holds_a_file
from .errors import CannotClean
from .meanings import CODE_MEANING, is_meaning_of_its_code
from .naming import PERSON_CODES
from .profile import Action, Option
from .pseudonyms import Pseudonyms, shifted
from .registry import says_nothing
from .report import Done, Report, place
from .tags import ACCESSION_NUMBER, PATIENT_ID, PATIENT_NAME, SPECIFIC_CHARACTER_SET
from .terms import TermBank
from .text import TextCleaner, text_cleaner
from .vocabulary import is_code

TIMEZONE_OFFSET = 0x00080201
PSEUDONYMOUS = frozenset({PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER})
CHECKED = "text check"
_MALFORMED = "not of the form of its VR"
_IN_DUMMY = "within a replaced sequence"
_SAID_NOTHING = frozenset({"LO", "SH", "ST", "LT", "UC", "UT", "PN", "UR", "DA", "DT", "TM", "AS"})
OLDEST = 89
_PROSE = ("Description", "Comment", "Comments", "Text", "Remark", "Remarks", "Reason", "Notes", "Label")
# Names that people give to what they made, and other texts of theirs; and labels that programs write.
_GIVEN = frozenset(
    {"RTImageName", "BeamName", "BlockName", "ApplicationSetupName", "TreatmentProtocols", "SurgicalTechnique"}
    | {"PotentialReasonsForProcedure", "PotentialDiagnosticTasks", "RequestedProcedureDescriptionTrial"}
)
_OF_PROGRAMS = frozenset(
    {"DimensionDescriptionLabel", "CompressionLabel", "TransformLabel", "DCTLabel", "HPGLPenLabel"}
)
_LONGEST = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_CODE_TAGS = frozenset({0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119, 0x00080120})


@dataclass
class ValueCleaner:
    """What is needed to clean the elements of one object. `patient` is what dates are shifted and names replaced by."""

    decisions: Decisions
    pseudonyms: Pseudonyms
    terms: TermBank
    patient: str
    report: Report
    made: set[str] = field(default_factory=set)
    """The pseudonyms that were put in, other than UIDs."""
    replaced: dict[tuple[int, str], str] = field(default_factory=dict)
    """Of Patient IDs, names and Accession Numbers at every depth: by tag and original, the pseudonym."""
    _text: TextCleaner = field(init=False)
    _days: int = field(init=False)

    def __post_init__(self) -> None:
        self._applied = self.decisions.profile.applied
        self._days = self.pseudonyms.days(self.patient)
        self._text = text_cleaner(self.decisions.profile, self.terms, self._days)

    def remove(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """Take the element away."""
        del header[tag]
        self.report.note(Done.REMOVED, place(path, tag), why)

    def empty(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """Leave the element without a value; what others match by gets its pseudonym."""
        before = joined(texts(decoded(header, tag, path))) if int(tag) in PSEUDONYMOUS else ""
        if before:
            after = self._pseudonym(int(tag), before)
            self.made.add(after)
            self.replaced[int(tag), before] = after
            self._set(header, tag, after)
            self.report.note(Done.REPLACED, place(path, tag), why)
            return
        vr = vr_to_write(header, tag)
        header[tag] = DataElement(tag, vr, [] if vr == "SQ" else None)
        self.report.note(Done.EMPTIED, place(path, tag), why)

    def replace_by_dummy(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """Put a value that says nothing."""
        vr = vr_to_write(header, tag)
        if vr == "UI":
            self.replace_uids(header, tag, path, why)
        elif int(tag) in PSEUDONYMOUS:
            self.empty(header, tag, path, why)
        else:
            self._set(header, tag, dummy(vr))
            self.report.note(Done.REPLACED, place(path, tag), why)

    def replace_uids(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """Put the pseudonym of each UID that may say something. Raises CannotClean for what is none by its VR."""
        refuse_contradiction(header, tag, path)
        before = texts(decoded(header, tag, path))
        after = [uid if says_nothing(int(tag), uid) else self.pseudonyms.uid(uid) for uid in before]
        if before == after:
            self.report.keep()
            return
        self._set(header, tag, after[0] if len(after) == 1 else after)
        self.report.note(Done.REPLACED, place(path, tag), why)

    def clean(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        """What an option would have cleaned: dates move, text is cut, and what cannot be judged goes."""
        vr = vr_to_write(header, tag)
        if vr in ("DA", "DT", "TM") or int(tag) == TIMEZONE_OFFSET:
            self._shift(header, tag, path, why)
        elif contradicts(header, tag) or tag.group & 0xFF00 == 0x5000 or vr in BULK_VRS or vr == "UN":
            self._fall_back(header, tag, path)
        elif vr == "CS":
            self._check_values(header, tag, path, vr)
        elif vr in TEXT_VRS:
            self._clean_text(header, tag, path, vr, why)
        else:
            self._fall_back(header, tag, path)

    def check(
        self, header: Dataset, tag: BaseTag, path: Path, vr: str, *, is_ruled: bool, within_dummy: bool = False
    ) -> None:
        """What stays, because an option keeps it or the table does not name it, stays only if its value is of its VR's
        form and does not give the patient away."""
        if vr == "UI":
            self._check_uids(header, tag, path, is_ruled=is_ruled)
        elif not header.get_item(tag).value:
            self.report.keep()
        elif int(tag) == SPECIFIC_CHARACTER_SET:
            self._check_character_set(header, tag, path)
        elif vr == "PN" or (within_dummy and vr in _SAID_NOTHING and not _may_say_code(tag, path)):
            self.replace_by_dummy(header, tag, path, _IN_DUMMY if within_dummy else CHECKED)
        elif vr in ("DA", "DT") and not is_ruled:
            self._shift_or_drop(header, tag, path)
        elif vr in BINARY_VRS or vr == "UN":
            self._check_bytes(header, tag, path)
        elif vr in TEXT_VRS or vr in ("DA", "DT", "TM", "DS", "IS"):
            self._check_values(header, tag, path, vr)
        else:
            self.report.keep()

    def _clean_text(self, header: Dataset, tag: BaseTag, path: Path, vr: str, why: str) -> None:
        before = texts(decoded(header, tag, path))
        after = [text for text in (self._cleaned(value, vr) for value in before) if text]
        if after == before and self._says_otherwise(header, tag, path, before):
            self._fall_back(header, tag, path)
        elif after == before:
            self.report.keep()
        elif after:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), why)
        else:
            self._fall_back(header, tag, path)

    def _cleaned(self, value: str, vr: str) -> str:
        text = self._text.clean(value)
        # Moved, a date may have become longer than its VR allows.
        return text if len(text) <= max(_LONGEST.get(vr, 1 << 30), len(value)) else ""

    def _shift(self, header: Dataset, tag: BaseTag, path: Path, why: str) -> None:
        vr = vr_to_write(header, tag)
        refuse_contradiction(header, tag, path)
        before = texts(decoded(header, tag, path))
        if int(tag) == TIMEZONE_OFFSET and all(re.fullmatch(r"[+-]\d{4}", value) for value in before):
            self.report.keep()  # a shift by whole days leaves it true
            return
        after = [shifted(value, vr, self._days) for value in before] if vr in ("DA", "DT", "TM") else [None]
        if None in after:
            self._fall_back(header, tag, path)
        elif after == before:
            self.report.keep()
        else:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), why)

    def _fall_back(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """For a value that cannot be cleaned, such as a date that is none."""
        action = self.decisions.without_a_value(tag, path)
        if action == Action.DUMMY:
            self.replace_by_dummy(header, tag, path, _MALFORMED)
        elif action == Action.EMPTY:
            self.empty(header, tag, path, _MALFORMED)
        else:
            self.remove(header, tag, path, _MALFORMED)

    def _check_bytes(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        raw = raw_bytes(header, tag, path)
        if self.terms.in_bytes(raw) or self._text.tells_day(raw) or holds_a_file(raw):
            self.replace_by_dummy(header, tag, path, CHECKED)
        else:
            self.report.keep()

    def _check_values(self, header: Dataset, tag: BaseTag, path: Path, vr: str) -> None:
        """Keep the values that say nothing of the patient; where one is not even of its VR's form, keep none."""
        before = _numbers(header, tag, path) if vr in ("DS", "IS") else texts(decoded(header, tag, path))
        if not all(is_well_formed(vr, value) for value in before):
            if vr in ("DA", "DT", "TM"):
                self._fall_back(header, tag, path)
            else:
                self.empty(header, tag, path, _MALFORMED)
            return
        after = [self._checked(value, vr, tag) for value in before]
        if after != before and tag == CODE_MEANING and is_meaning_of_its_code(header):
            self.report.keep()
        elif after == before and vr in TEXT_VRS and self._says_otherwise(header, tag, path, before):
            self.replace_by_dummy(header, tag, path, CHECKED)
        elif after == before:
            self.report.keep()
        else:
            self._set(header, tag, after[0] if len(after) == 1 else after)
            self.report.note(Done.REPLACED, place(path, tag), CHECKED)

    def _says_otherwise(self, header: Dataset, tag: BaseTag, path: Path, values: list[str]) -> bool:
        """Whether a text that stays as it is names the patient in another character set than it is said to be in, or
        its values do so together."""
        if self.terms.finds_in_any_reading(raw_bytes(header, tag, path)):
            return True
        words = [value for value in values if not is_code(value)]
        return len(words) > 1 and self.terms.finds(" ".join(words))

    def _checked(self, value: str, vr: str, tag: BaseTag) -> str:
        """The value, or what is left of it, or a dummy in its place."""
        if vr in ("DS", "IS"):
            return dummy(vr) if self.terms.is_number(value) else value
        if vr == "AS":
            return f"{OLDEST + 1:03d}Y" if _is_over(value) else value
        if vr in ("AE", "CS"):
            gives_away = not (vr == "CS" and is_code(value)) and self._text.gives_away(value)
            return dummy(vr) if gives_away else value
        if vr not in TEXT_VRS:
            return value
        text = self._cleaned(value, vr) if _is_prose(tag, vr) else self._text.check(value)
        return text or dummy(vr)

    def _check_character_set(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        said = decoded(header, tag, path).value
        # With the blanks before or behind a name that the reader of all other text has not seen past.
        for value in [said] if isinstance(said, str) else said:
            if value not in python_encoding and value.replace("-", "_") not in python_encoding:
                raise CannotClean(f"{place(path, tag)}: not a character set of the standard")
        self.report.keep()

    def may_keep_uids(self, values: list[str]) -> bool:
        """Whether values that an option keeps are UIDs, of which none is replaced where else it stands."""
        return all(
            is_well_formed("UI", value) and not self.terms.is_number(value) and not self.terms.has_uid(value)
            for value in values
        )

    def _check_uids(self, header: Dataset, tag: BaseTag, path: Path, *, is_ruled: bool) -> None:
        """A UID that no option keeps is replaced unless it names something of the standard, or a vocabulary."""
        values = texts(decoded(header, tag, path))
        keeps = (is_ruled or Option.RETAIN_UIDS in self._applied) and self.may_keep_uids(values)
        if keeps or all(says_nothing(int(tag), uid) for uid in values):
            self.report.keep()
        else:
            self.replace_uids(header, tag, path, CHECKED)

    def _shift_or_drop(self, header: Dataset, tag: BaseTag, path: Path) -> None:
        """A date outside the table is treated as those within it."""
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in self._applied:
            self._check_values(header, tag, path, vr_to_write(header, tag))
        elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in self._applied:
            self._shift(header, tag, path, CHECKED)
        else:
            self.replace_by_dummy(header, tag, path, CHECKED)

    def _pseudonym(self, tag: int, before: str) -> str:
        if tag == ACCESSION_NUMBER:
            return self.pseudonyms.accession_number(before)
        return self.pseudonyms.patient_id(before if tag == PATIENT_ID else self.patient)

    def _set(self, header: Dataset, tag: BaseTag, value: object) -> None:
        header[tag] = DataElement(tag, vr_to_write(header, tag), value, already_converted=False)


def refuse_contradiction(header: Dataset, tag: BaseTag, path: Path) -> None:
    """Raise CannotClean for a value that is not what the standard says of the attribute."""
    if contradicts(header, tag):
        raise CannotClean(f"{place(path, tag)}: its VR is not that of the standard")


def vr_to_write(header: Dataset, tag: BaseTag) -> str:
    """The VR to write: the dictionary's where it has one, so that a wrong one in the source is put right."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        vr = vr_of(header, tag)
    return vr if " or " not in vr else "OW" if "OW" in vr else "US"


def _may_say_code(tag: BaseTag, path: Path) -> bool:
    """Whether an attribute is a code that says what something is, rather than who somebody is."""
    return int(tag) in _CODE_TAGS and not any(outer in PERSON_CODES for outer, _ in path)


def _is_over(age: str) -> bool:
    """Whether an age (AS) is above the oldest that may be told (45 CFR 164.514(b)(2)(i)(C))."""
    number, unit = age.rstrip("DWMY"), age[-1:]
    return int(number) / {"D": 365.25, "W": 52.18, "M": 12}.get(unit, 1) >= OLDEST + 1


def _is_prose(tag: BaseTag, vr: str) -> bool:
    """Whether people write the attribute's text, rather than devices or vocabularies."""
    if tag.is_private or vr in ("LO", "SH", "UC"):
        keyword = "" if tag.is_private else keyword_for_tag(tag)
        return keyword in _GIVEN or (keyword.endswith(_PROSE) and keyword not in _OF_PROGRAMS)
    return vr in ("LT", "ST", "UT")


def _numbers(header: Dataset, tag: BaseTag, path: Path) -> list[str]:
    """The values of DS and IS as they stand in the file: as numbers they would be put otherwise, or not be read."""
    value = header.get_item(tag).value
    if isinstance(value, bytes):
        return [text for text in (part.strip("\0 ") for part in value.decode("latin-1").split("\\")) if text]
    return texts(decoded(header, tag, path))
