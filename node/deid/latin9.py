"""Teaches pydicom Latin alphabet No. 9 (PS3.3 Tables C.12-2 and C.12-3: ISO_IR 203), which its tables lack."""

from __future__ import annotations

from pydicom.charset import CODES_TO_ENCODINGS, ENCODINGS_TO_CODES, python_encoding

_ENCODING = "iso8859_15"
_ESCAPE = b"\x1b-b"


def know_latin_9() -> None:
    """For this process; to be called before anything is read that may be written so."""
    python_encoding["ISO_IR 203"] = python_encoding["ISO 2022 IR 203"] = _ENCODING
    CODES_TO_ENCODINGS[_ESCAPE], ENCODINGS_TO_CODES[_ENCODING] = _ENCODING, _ESCAPE
