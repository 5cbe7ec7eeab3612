"""Names the attributes that several modules ask for by number."""

from __future__ import annotations

SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER = 0x00100010, 0x00100020, 0x00080050
