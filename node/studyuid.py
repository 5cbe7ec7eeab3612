"""Finds the Study Instance UID of a file in its first bytes, without decoding what stands before it; where that does
not do, by reading its header properly."""

from __future__ import annotations

from pathlib import Path

from .dimse.identity import elements
from .headerfacts import STUDY, HeaderFacts

_ENOUGH = 1 << 14
_PREAMBLE, _AFTER_LENGTH = 132, 144
_GROUP_LENGTH, _SYNTAX = 0x00020000, 0x00020010
_EXPLICIT, _DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def study_uid_of(path: Path) -> str:
    """The Study Instance UID; empty where there is none, or no such file."""
    try:
        with path.open("rb") as file:
            found = _quickly(file.read(_ENOUGH))
    except (OSError, ValueError):
        found = None
    if found is not None:
        return found
    return next(iter(HeaderFacts(path, {(STUDY,)}).values((STUDY,))), "")


def _quickly(head: bytes) -> str | None:
    """What the beginning of a file tells; None where it leaves that open. Raises ValueError where it makes no sense."""
    if head[128:_PREAMBLE] != b"DICM":
        return None
    syntax, data = "", b""
    for tag, value in elements(head[_PREAMBLE:], _EXPLICIT):
        if tag == _GROUP_LENGTH:
            data = head[_AFTER_LENGTH + int.from_bytes(value, "little") :]
        elif tag >= _SYNTAX:
            syntax = value.decode("ascii").strip(" \0") if tag == _SYNTAX else ""
            break
    if syntax in ("", _DEFLATED) or not data:
        return None
    for tag, value in elements(data, syntax):
        if tag >= STUDY:
            return value.decode("ascii").strip(" \0") if tag == STUDY else ""
    return None
