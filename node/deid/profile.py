"""Says what happens to each element: PS3.15 Table E.1-1 as data, options as columns.

Rules are keyed by tag number, because 26 rows of the table are not in pydicom's dictionary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from .presidio import Voter, version_of


class Option(StrEnum):
    """The options of PS3.15 E.3, as config.toml spells them."""

    RETAIN_SAFE_PRIVATE = "retain-safe-private"
    RETAIN_UIDS = "retain-uids"
    RETAIN_DEVICE_IDENTITY = "retain-device-identity"
    RETAIN_INSTITUTION_IDENTITY = "retain-institution-identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain-patient-characteristics"
    RETAIN_LONGITUDINAL_FULL_DATES = "retain-longitudinal-full-dates"
    RETAIN_LONGITUDINAL_MODIFIED_DATES = "retain-longitudinal-modified-dates"
    CLEAN_DESCRIPTORS = "clean-descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean-structured-content"
    CLEAN_GRAPHICS = "clean-graphics"
    CLEAN_PIXEL_DATA = "clean-pixel-data"
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = "clean-recognizable-visual-features"


BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")

# The options this edition carries out, with their codes from CID 7050 (PS3.16). Elements that another option would
# keep or clean follow the Basic Profile, which removes more, never less.
APPLIED = {
    Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES: ("113102", "Clean Recognizable Visual Features Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
    Option.RETAIN_LONGITUDINAL_FULL_DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
}


class Action(StrEnum):
    """The action codes of PS3.15 Table E.1-1a, composite ones included, and what we do for C."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    CLEAN = "C"
    """Clean, which for dates and times means: moved by the patient's offset; for text: cut; for sequences: what is in
    them."""
    EMPTY_OR_DUMMY = "Z/D"
    REMOVE_OR_EMPTY = "X/Z"
    REMOVE_OR_DUMMY = "X/D"
    REMOVE_EMPTY_OR_DUMMY = "X/Z/D"
    REMOVE_EMPTY_OR_UID = "X/Z/U*"


@dataclass(frozen=True)
class Rule:
    """What Table E.1-1 asks for an attribute under a profile; `why` names the column that decided."""

    action: Action
    why: str
    is_dummy: bool = False
    """Whether the Basic Profile asks for a dummy, where cleaning leaves nothing."""


# What names the patient, people, orders or servers of a site, and Table E.1-1 2026d does not list; its likes are X.
_BEYOND_THE_TABLE = frozenset(
    {
        0x00080051,  # Issuer of Accession Number Sequence
        0x00080407,  # Stored Instance Base URI
        0x00080408,  # Folder Access URI
        0x00080409,  # File Access URI
        0x00081190,  # Retrieve URL
        0x00100024,  # Issuer of Patient ID Qualifiers Sequence
        0x00100033,  # Patient's Birth Date in Alternative Calendar
        0x00100034,  # Patient's Death Date in Alternative Calendar
        0x00100035,  # Patient's Alternative Calendar
        0x00102295,  # Breed Registration Number
        0x00181803,  # NTP Source Address
        0x00287FE0,  # Pixel Data Provider URL
        0x00400026,  # Order Placer Identifier Sequence
        0x00400027,  # Order Filler Identifier Sequence
        0x00401006,  # Placer Order Number / Procedure (retired)
        0x00401007,  # Filler Order Number / Procedure (retired)
        0x00402006,  # Placer Order Number / Imaging Service Request (retired)
        0x00402007,  # Filler Order Number / Imaging Service Request (retired)
        0x00404073,  # Storage URL
        0x0040E001,  # HL7 Instance Identifier
        0x0040E010,  # Retrieve URI
        0x0074100A,  # Contact URI
        0x0074100C,  # Contact Display Name
        0x00080220,  # Responsible Group Code Sequence
        0x00140100,  # Component Welder IDs
        0x00321031,  # Requesting Physician Identification Sequence
        0x00321034,  # Requesting Service Code Sequence
        0x00400036,  # Assigning Facility Sequence
        0x00400039,  # Assigning Jurisdiction Code Sequence
        0x0040003A,  # Assigning Agency or Department Code Sequence
        0x00404009,  # Human Performer Code Sequence
        0x0040A028,  # Documenting Organization Identifier Code Sequence (trial)
        0x0040A068,  # Document Author Identifier Code Sequence (trial)
        0x0040A076,  # Documenting Observer Identifier Code Sequence (trial)
        0x00440103,  # Asserter Identification Sequence
        0x00720008,  # Hanging Protocol Creator
        0x0072000E,  # Hanging Protocol User Identification Code Sequence
        0x00720010,  # Hanging Protocol User Group Name
        0x00880130,  # Storage Media File-set ID
        0x01000426,  # Authorization Equipment Certification Number
        0x21000160,  # Owner ID
        0x21100030,  # Printer Name
        0x21100099,  # Print Queue ID (retired)
        0x30100019,  # Author Identification Sequence
        0x40101047,  # OOI Owner Sequence
        0x4010101A,  # Boarding Pass ID
        0x4010102A,  # Assigned Location
        0x40101051,  # Itinerary ID
        0x40101053,  # Itinerary ID Assigning Authority
        0x40101054,  # Route ID
        0x40101055,  # Route ID Assigning Authority
        0x40101058,  # Carrier ID
        0x04000500,  # Encrypted Attributes Sequence, in which another program keeps the originals (PS3.15 E.1.1)
        0x04000520,  # Encrypted Content, wherever it stands
    }
)
# Likewise of devices, which their likes in the table may keep by an option.
_DEVICES_BEYOND_THE_TABLE = frozenset(
    {
        0x00181003,  # Device ID
        0x00181006,  # Grid ID
        0x30020020,  # Radiation Machine Name
    }
)
_BEYOND = Rule(Action.REMOVE, "identifies, although the table does not list it")

_MAC_PARAMETERS = 0x4FFE0001
_UNSIGNED = Rule(Action.REMOVE, "of a digital signature, which is removed")


class Profile:
    """The Basic Profile with a choice of options. Two profiles with equal `digest` treat every object alike."""

    def __init__(self, options: Iterable[Option] = (), voter: Voter = Voter.NONE) -> None:
        self.voter = voter
        self.options = tuple(option for option in Option if option in set(options))
        self.applied = tuple(option for option in self.options if option in APPLIED)
        self.edition: str = _table()["edition"]
        self._rules, self._groups = self._resolve()
        text = json.dumps([self.edition, *self.applied, *filter(None, [version_of(voter)])])
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]

    def rule(self, tag: int) -> Rule | None:
        """The rule for a tag, or None where nothing names it."""
        rule = self._rules.get(tag)
        if rule is None and (tag >> 24) in (0x50, 0x60):
            return self._groups.get((tag >> 24, tag & 0xFFFF)) or self._groups.get((tag >> 24, -1))
        if tag == _MAC_PARAMETERS:
            return _UNSIGNED
        return rule or self._beyond_the_table(tag)

    def _beyond_the_table(self, tag: int) -> Rule | None:
        if tag in _DEVICES_BEYOND_THE_TABLE and Option.RETAIN_DEVICE_IDENTITY in self.applied:
            return Rule(Action.KEEP, str(Option.RETAIN_DEVICE_IDENTITY))
        return _BEYOND if tag in _BEYOND_THE_TABLE | _DEVICES_BEYOND_THE_TABLE else None

    def codes(self) -> list[tuple[str, str]]:
        """Code value and meaning of what is applied, for De-identification Method Code Sequence (0012,0064)."""
        return [BASIC_CODE, *(APPLIED[option] for option in self.applied)]

    def _resolve(self) -> tuple[dict[int, Rule], dict[tuple[int, int], Rule]]:
        rules: dict[int, Rule] = {}
        groups: dict[tuple[int, int], Rule] = {}
        columns = [option.replace("-", "_") for option in self.applied]
        for tag, row in _table()["rules"].items():
            rule = _chosen(row, columns)
            if "x" in tag:  # 50xx and 60xx, all elements or one
                groups[int(tag[:2], 16), -1 if tag.endswith("x") else int(tag[4:], 16)] = rule
            else:
                rules[int(tag, 16)] = rule
        return rules, groups


def _chosen(row: dict[str, Any], columns: list[str]) -> Rule:
    """The action for one row: an option that keeps wins over one that cleans, and that over the Basic Profile."""
    chosen = {row["options"][column]: column for column in columns if column in row["options"]}
    for code in ("K", "C"):
        if code in chosen:
            return Rule(Action(code), chosen[code].replace("_", "-"), is_dummy=row["basic"] == "D")
    return Rule(Action(row["basic"]), "basic")


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((files(__package__) / "table" / "e1_1.json").read_text(encoding="utf-8"))
    return table
