"""Reads from the first bytes of a data set which object it says it is. It says nothing rather than what it guessed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import pack
from typing import Literal

from .meta import LONG_VRS

ENOUGH = 1 << 12  # what comes before (0008,0018) is short: character set, language, dates, the SOP Class
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_FIRST_GROUP, _LAST_UID = 0x0008, 0x0020000E
_UIDS = (_SOP_CLASS, _SOP_INSTANCE, 0x0020000D, _LAST_UID)  # type 1 in all that belongs to a study
_LITTLE = tuple(pack("<HH", tag >> 16, tag & 0xFFFF) for tag in _UIDS)
_EMPTY = (b"UI\0\0", b"\0\0\0\0")


def identity_of(head: bytes, transfer_syntax: str) -> tuple[str | None, str | None]:
    """SOP Class UID and SOP Instance UID of the data set that begins with `head`; None for what it does not tell."""
    found: dict[int, str] = {}
    try:
        if transfer_syntax == _DEFLATED:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, ENOUGH)
        for tag, value in elements(head, transfer_syntax):
            if tag in (_SOP_CLASS, _SOP_INSTANCE):
                found[tag] = value.decode("ascii", "replace").strip(" \0")
            if tag >= _SOP_INSTANCE:
                break
    except (ValueError, zlib.error):
        pass
    return found.get(_SOP_CLASS) or None, found.get(_SOP_INSTANCE) or None


def lacks_uids(head: bytes, transfer_syntax: str) -> bool:
    """Whether a data set that begins with `head`, or is no longer, surely lacks one of the four UIDs that say which
    object it is, and of which series and study; or is no data set at all."""
    if transfer_syntax == _DEFLATED or all(_has_value(head, mark) for mark in _LITTLE):
        return False
    missing, last = set(_UIDS), -1
    try:
        for last, value in elements(head, transfer_syntax):
            if value.strip(b" \0"):
                missing.discard(last)
            if last >= _LAST_UID:
                break
    except ValueError:
        return last < 0 and int.from_bytes(head[:2], _order(transfer_syntax)) != _FIRST_GROUP
    return bool(missing) and (last >= _LAST_UID or len(head) < ENOUGH)


def _has_value(head: bytes, mark: bytes) -> bool:
    """Whether these bytes of a tag are followed by what a UID begins with: by chance they stand elsewhere, too, such as
    in (0008,0008) with a value of 22 bytes."""
    at = head.find(mark)
    if at < 0 or head[at + 4 : at + 8] in _EMPTY or not head[at + 8 : at + 9].isdigit():
        return False
    return head[at + 4 : at + 6] == b"UI" or head[at + 5 : at + 8] == bytes(3)  # its VR, or a length in implicit VR


def _order(transfer_syntax: str) -> Literal["big", "little"]:
    return "big" if transfer_syntax == _BIG_ENDIAN else "little"


def elements(head: bytes, transfer_syntax: str) -> Iterator[tuple[int, bytes]]:
    """The elements at the top level, in their order. Raises ValueError where the bytes end within one, or
    make no sense."""
    order = _order(transfer_syntax)
    at, last = 0, -1
    while at != len(head):
        if at + 12 > len(head):
            raise ValueError("cut off")
        tag = int.from_bytes(head[at : at + 2], order) << 16 | int.from_bytes(head[at + 2 : at + 4], order)
        vr = head[at + 4 : at + 6]
        if transfer_syntax == _IMPLICIT:
            length, at = int.from_bytes(head[at + 4 : at + 8], order), at + 8
        elif vr in LONG_VRS:
            length, at = int.from_bytes(head[at + 8 : at + 12], order), at + 12
        else:
            length, at = int.from_bytes(head[at + 6 : at + 8], order), at + 8
        if tag <= last or at + length > len(head):  # also a length that is not defined
            raise ValueError("not well-formed, or cut off")
        yield tag, head[at : at + length]
        at, last = at + length, tag
