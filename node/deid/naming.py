"""Knows which attributes name somebody, or somewhere, beside person names, dates and UIDs."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What a noted value is; a day is written YYYYMMDD."""

    PERSON = "person"
    PLACE = "place"
    IDENTIFIER = "identifier"
    DAY = "day"
    BIRTHDAY = "birthday"


_IDENTIFIERS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00081010,  # Station Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00101000,  # Other Patient IDs
        0x00101050,  # Insurance Plan Identification
        0x00101080,  # Military Rank
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00102295,  # Breed Registration Number
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
        0x00120082,  # Clinical Trial Protocol Ethics Committee Approval Number
        0x00160051,  # Lens Serial Number
        0x00181000,  # Device Serial Number
        0x00181003,  # Device ID
        0x00181004,  # Plate ID
        0x00181005,  # Generator ID
        0x00181007,  # Cassette ID
        0x00181008,  # Gantry ID
        0x00181009,  # Unique Device Identifier
        0x00181010,  # Secondary Capture Device ID
        0x00181011,  # Hardcopy Creation Device ID
        0x0018700A,  # Detector ID
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400010,  # Scheduled Station Name
        0x00400242,  # Performed Station Name
        0x00400253,  # Performed Procedure Step ID
        0x0040050A,  # Specimen Accession Number
        0x00400512,  # Container Identifier
        0x00400551,  # Specimen Identifier
        0x004006FA,  # Slide Identifier
        0x00401001,  # Requested Procedure ID
        0x00401006,  # Placer Order Number / Procedure (retired)
        0x00401007,  # Filler Order Number / Procedure (retired)
        0x00401103,  # Person's Telephone Numbers
        0x00401104,  # Person's Telecom Information
        0x00402006,  # Placer Order Number / Imaging Service Request (retired)
        0x00402007,  # Filler Order Number / Imaging Service Request (retired)
        0x00402010,  # Order Callback Phone Number
        0x00402011,  # Order Callback Telecom Information
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
        0x0040A354,  # Telephone Number (trial)
        0x22000005,  # Barcode Value
        0x30080105,  # Source Serial Number
        0x3010001B,  # Device Alternate Identifier
        0x40080040,  # Results ID
        0x40080200,  # Interpretation ID
    }
)
# In words of their own.
_PLACES = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081040,  # Institutional Department Name
        0x00101001,  # Other Patient Names
        0x00101005,  # Patient's Birth Name
        0x00101040,  # Patient's Address
        0x00101060,  # Patient's Mother's Birth Name
        0x00102299,  # Responsible Organization
        0x00120031,  # Clinical Trial Site Name
        0x0016004D,  # Camera Owner Name
        0x00321020,  # Scheduled Study Location
        0x00321032,  # Requesting Physician
        0x0038001E,  # Scheduled Patient Institution Residence
        0x00380300,  # Current Patient Location
        0x00380400,  # Patient's Institution Residence
        0x00401102,  # Person's Address
        0x00404036,  # Human Performer's Organization
        0x0040A027,  # Verifying Organization
        0x0040A353,  # Address (trial)
        0x0074100C,  # Contact Display Name
        0x00880910,  # Topic Author
        0x4008011A,  # Distribution Address
    }
)
_BIRTHDAYS = frozenset({0x00100030, 0x00100033})  # Patient's Birth Date, and in Alternative Calendar


# Sequences of codes that stand for people and the places they work at (PS3.3 10.1): a code is a number of theirs there.
PERSON_CODES = frozenset(
    {
        0x00080082,  # Institution Code Sequence
        0x00080220,  # Responsible Group Code Sequence
        0x00321034,  # Requesting Service Code Sequence
        0x00401101,  # Person Identification Code Sequence
        0x00404009,  # Human Performer Code Sequence
        0x0040A088,  # Verifying Observer Identification Code Sequence
        0x0072000E,  # Hanging Protocol User Identification Code Sequence
    }
)


def kind_of(tag: int, vr: str) -> Kind | None:
    """What the values of an attribute name; None for those that identify nobody."""
    if vr == "PN":
        return Kind.PERSON
    if tag in _PLACES:
        return Kind.PLACE
    if tag in _IDENTIFIERS:
        return Kind.IDENTIFIER
    if vr in ("DA", "DT"):
        return Kind.BIRTHDAY if tag in _BIRTHDAYS else Kind.DAY
    return None
