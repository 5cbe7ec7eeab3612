"""Reads from the first bytes of a data set which object it says it is. It says nothing rather than what it guessed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

from .meta import LONG_VRS

ENOUGH = 1 << 12  # what comes before (0008,0018) is short: character set, language, dates, the SOP Class
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018


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


def elements(head: bytes, transfer_syntax: str) -> Iterator[tuple[int, bytes]]:
    """The elements at the top level, in their order. Raises ValueError where the bytes end, or make no sense."""
    order: Literal["big", "little"] = "big" if transfer_syntax == _BIG_ENDIAN else "little"
    at, last = 0, -1
    while True:
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
