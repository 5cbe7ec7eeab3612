"""Replaces UIDs, IDs, names and dates consistently, by key.

HMAC-SHA-256 over kind and value: the same in any worker, on any day, after any crash, and without the project's key
neither reversible nor linkable to another project.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable
from datetime import date, timedelta

from .elements import is_well_formed
from .registry import is_of_the_standard

_LEAST_DAYS = 365
_SPREAD_DAYS = 3650
_LONGEST, _MOST_REMEMBERED = 64, 1 << 13
UUID_ROOT = "2.25"
LONGEST_ROOT = 24
"""Leaves room for 39 digits, as many as 128 bits make, in the 64 characters of a UID (PS3.5 9.1)."""


def nobody(_patient_id: str) -> str | None:
    """The list of a project that has none."""
    return None


class Pseudonyms:
    """The pseudonyms of one project. `key_id` names the key without telling anything about it.

    `listed` gives the trial ID of a Patient ID where the project has a list of its own with this patient on it.
    `day_step` is what all moves of dates are multiples of: 7 keeps the days of the week.
    """

    def __init__(
        self,
        key: bytes,
        *,
        uid_root: str = UUID_ROOT,
        listed: Callable[[str], str | None] = nobody,
        day_step: int = 1,
    ) -> None:
        if len(key) < 32:
            raise ValueError("a project key has at least 32 bytes")
        self._key = key
        self._uid_root = uid_root
        self._listed = listed
        self._day_step = day_step
        self._uids: dict[str, str] = {}
        self.key_id = self._digest("key-id", "").hex()[:12]

    def uid(self, original: str) -> str:
        """A UID for a UID: of the form 2.25.<UUID> (PS3.5 B.2), or under the root of the project's organization (PS3.5
        B.1). UIDs of the standard itself (PS3.6 A) stay."""
        new = self._uids.get(original)  # most stand in every slice of a series
        if new is None:
            new = self._new_uid(original)
            if len(self._uids) >= _MOST_REMEMBERED:
                self._uids.clear()
            if len(original) <= _LONGEST:
                self._uids[original] = new
        return new

    def patient_id(self, original: str) -> str:
        """A Patient ID: the one on the project's own list, or 16 characters."""
        return self._listed(original) or self._letters("patient", original, 16)

    def is_listed(self, original: str) -> bool:
        """Whether the patient is on the project's own list."""
        return self._listed(original) is not None

    def accession_number(self, original: str) -> str:
        """An Accession Number, 16 characters (the most that SH holds)."""
        return self._letters("accession", original, 16)

    def days(self, patient: str) -> int:
        """By how many days the patient's dates move: into the past, by one to eleven years."""
        days = _LEAST_DAYS + int.from_bytes(self._digest("days", patient)[:8], "big") % _SPREAD_DAYS
        return -days // self._day_step * self._day_step

    def _new_uid(self, original: str) -> str:
        if is_of_the_standard(original):
            return original
        number = uuid.UUID(bytes=self._digest("uid", original)[:16], version=4).int
        return f"{self._uid_root}.{number}"

    def _letters(self, kind: str, value: str, length: int) -> str:
        return base64.b32encode(self._digest(kind, value)).decode()[:length]

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{value}".encode(), hashlib.sha256).digest()


def shifted(text: str, vr: str, days: int) -> str | None:
    """One DA or DT value moved by `days`; a TM value as it is. None where the value is not well-formed.

    A DT that ends before its day cannot be moved by days and gives None.
    """
    if not is_well_formed(vr, text):
        return None
    if vr == "TM":
        return text
    text = text.replace(".", "") if vr == "DA" else text
    day, rest = text[:8], text[8:]
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return moved.strftime("%Y%m%d").rjust(8, "0") + rest
