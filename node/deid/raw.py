"""Takes an encoded data set apart into its top-level elements, as bytes, and decodes nothing.

Only what is usual and well-formed is taken apart (little endian, ascending tags, known VRs); anything else is
NotUsual, and whoever asked must go the careful way, which says what is wrong, if anything is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct

from .pixeldata import PIXEL_TAGS
from .tags import SPECIFIC_CHARACTER_SET

_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_GROUP_LENGTH = 0x00080000
_DEEPEST = 16
_TRANSFER_SYNTAX = 0x00020010
_UID = re.compile(rb"[0-9.]{1,64}\0?")
_explicit = Struct("<HH2sH").unpack_from
_implicit = Struct("<HHL").unpack_from
_length = Struct("<L").unpack_from


class NotUsual(Exception):
    """The bytes are not of the kind that can be taken apart without decoding."""


class CutShort(NotUsual):
    """More bytes are needed."""


Elements = list[tuple[int, bytes]]


def top_level(data: bytes, at: int, *, implicit: bool, like: Sequence[tuple[int, bytes]] = ()) -> tuple[Elements, int]:
    """The elements from `at` up to the pixel data, as (tag, bytes with header), and where the pixel data begin. Private
    elements of a group are taken as one, by the first of their tags: without their creators they mean nothing.

    `like` is what another data set was taken apart into: where the bytes are the same, they are the same objects.
    """
    elements: Elements = []
    known = 0
    while True:
        while known < len(like) and data.startswith(like[known][1], at):
            elements.append(like[known])
            at += len(like[known][1])
            known += 1
        tag, end = _next(data, at, implicit=implicit)
        if tag in PIXEL_TAGS:
            return elements, at
        last = elements[-1][0] if elements else 0
        if tag & 0x10000:
            if tag >> 16 == last >> 16:  # more of a group that was taken for complete
                at -= len(elements[-1][1])
                tag = elements.pop()[0]
            end = _group_end(data, at, implicit=implicit)
        elif tag <= last or (tag < SPECIFIC_CHARACTER_SET and tag != _GROUP_LENGTH):
            raise NotUsual
        if tag >> 16 < last >> 16:
            raise NotUsual
        elements.append((tag, data[at:end]))
        at = end
        while known < len(like) and like[known][0] <= tag:
            known += 1


def parts_of(group: bytes, *, implicit: bool) -> Elements:
    """The private elements of a group."""
    parts, at = [], 0
    while at < len(group):
        tag, end = _next(group, at, implicit=implicit)
        parts.append((tag, group[at:end]))
        at = end
    return parts


def _group_end(data: bytes, at: int, *, implicit: bool) -> int:
    """Where the group of the element at a place ends."""
    group, last = data[at : at + 2], -1
    while data[at : at + 2] == group:
        tag, at = _next(data, at, implicit=implicit)
        if tag <= last:
            raise NotUsual
        last = tag
    if at + 8 > len(data):
        raise CutShort
    return at


def _next(data: bytes, at: int, *, implicit: bool) -> tuple[int, int]:
    """The tag of an element and where it ends; not where it is pixel data."""
    tag, start, length = (_implicit_head if implicit else _explicit_head)(data, at)
    if tag in PIXEL_TAGS:
        return tag, at
    end = start + length if length != _UNDEFINED else _sequence_end(data, at, start, implicit=implicit)
    if end > len(data):
        raise CutShort
    return tag, end


def transfer_syntax_of(data: bytes) -> tuple[str, int]:
    """The transfer syntax (0002,0010) that a file's meta information names, and where its data set begins."""
    if data[128:132] != b"DICM":
        raise NotUsual
    uid, at, last = "", 132, 0
    while data[at : at + 2] == b"\x02\0":
        tag, start, length = _explicit_head(data, at)
        if tag <= last or start + length > len(data):
            raise NotUsual
        last, at = tag, start + length
        if tag == _TRANSFER_SYNTAX:
            uid = data[start:at].rstrip(b"\0 ").decode("ascii")
    return uid, at


def value_of(chunk: bytes, *, implicit: bool) -> bytes:
    """The value of an element."""
    return chunk[8 if implicit or chunk[4:6] in _SHORT else 12 :]


def uid_in(value: bytes) -> str:
    """The one UID that a value is; empty where it is anything else."""
    return value.rstrip(b"\0").decode("ascii") if _UID.fullmatch(value) else ""


def _explicit_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start of the value, and its length."""
    if at + 8 > len(data):
        raise CutShort
    group, element, vr, length = _explicit(data, at)
    if vr in _SHORT:
        return group << 16 | element, at + 8, length
    if vr not in _LONG:
        raise NotUsual
    if at + 12 > len(data):
        raise CutShort
    return group << 16 | element, at + 12, _length(data, at + 8)[0]


def _implicit_head(data: bytes, at: int) -> tuple[int, int, int]:
    if at + 8 > len(data):
        raise CutShort
    group, element, length = _implicit(data, at)
    return group << 16 | element, at + 8, length


def _sequence_end(data: bytes, at: int, start: int, *, implicit: bool, depth: int = 0) -> int:
    """Where a sequence of undefined length ends, its delimiter included."""
    if depth > _DEEPEST or (not implicit and data[at + 4 : at + 6] != b"SQ"):
        raise NotUsual
    while True:
        item, below, length = _implicit_head(data, start)
        if item == _SEQUENCE_END:
            if length:
                raise NotUsual
            return below
        if item != _ITEM:
            raise NotUsual
        start = below + length if length != _UNDEFINED else _item_end(data, below, implicit=implicit, depth=depth)


def _item_end(data: bytes, at: int, *, implicit: bool, depth: int) -> int:
    head = _implicit_head if implicit else _explicit_head
    while True:
        tag, below, length = _implicit_head(data, at)
        if tag == _ITEM_END:
            if length:
                raise NotUsual
            return below
        _tag, below, length = head(data, at)
        at = (
            below + length
            if length != _UNDEFINED
            else _sequence_end(data, at, below, implicit=implicit, depth=depth + 1)
        )
