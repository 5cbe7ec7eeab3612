"""Gives each VR a value that says nothing about anybody (PS3.15 Table E.1-1a, action D)."""

from __future__ import annotations

from typing import Any

_VALUES: dict[str, Any] = {
    "AE": "ANONYMOUS",
    "AS": "000Y",
    "AT": 0,
    "CS": "ANONYMOUS",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "0",
    "LO": "ANONYMOUS",
    "LT": "ANONYMOUS",
    "PN": "ANONYMOUS",
    "SH": "ANONYMOUS",
    "SL": 0,
    "SS": 0,
    "ST": "ANONYMOUS",
    "SV": 0,
    "TM": "000000",
    "UC": "ANONYMOUS",
    "UL": 0,
    "UR": "urn:anonymous",
    "US": 0,
    "UT": "ANONYMOUS",
    "UV": 0,
}


def dummy(vr: str) -> Any:
    """A value of that VR; for binary ones, eight zero bytes (a multiple of every word size)."""
    return _VALUES.get(vr, bytes(8))
