"""Makes of a request for an association, or of the answer to it, what pynetdicom can read: it gives up over items that
PS3.8 9.3.1 has receivers skip, over titles and version names as some products write them, and over reserved reasons."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lethe.storage.aetitles import title_for

_VERSION, _CALLED, _CALLING, _ITEMS = 6, 10, 26, 74  # where they begin (PS3.8 Tables 9-11 and 9-17)
_TITLE = 16
_RESULT, _TRANSFER_SYNTAX = 0x21, 0x40
_USER_INFORMATION, _MAXIMUM_LENGTH, _VERSION_NAME = 0x50, 0x51, 0x55
_KNOWN = (0x10, 0x20, _RESULT, _USER_INFORMATION)
# User identity (0x58, 0x59) is not among them: nobody is let in or kept out for it, whatever its type.
_KNOWN_WITHIN = (_MAXIMUM_LENGTH, 0x52, 0x53, 0x54, _VERSION_NAME, 0x56, 0x57)
_UNSAID_LENGTH = 16_384
_ANSWER, _REJECTION = 0x02, 0x03
_REASONS = ((1, 2), (1, 2, 3), (1, 2, 3, 7))  # PS3.8 Table 9-21: result, source, reason
Item = tuple[int, bytes]


def mended(pdu: bytes) -> bytes:
    """The PDU without what is not known; a request as it is where its items make no sense. Raises ValueError and
    struct.error for an acceptance that accepts and rejects nothing: it is noise, and no peer's last word."""
    if pdu[0] == _REJECTION:
        return pdu[:7] + bytes(one if one in known else 1 for one, known in zip(pdu[7:], _REASONS, strict=False))
    if pdu[0] == _ANSWER:
        return _mended(pdu, _accepted(list(_items(pdu[_ITEMS:], _KNOWN))))
    try:
        return _mended(pdu, list(_items(pdu[_ITEMS:], _KNOWN))) if len(pdu) >= _ITEMS else pdu
    except (ValueError, struct.error):
        return pdu


def _mended(pdu: bytes, items: list[Item]) -> bytes:
    if not any(kind == _USER_INFORMATION for kind, _ in items):
        items = [*items, (_USER_INFORMATION, b"")]
    known = [(kind, _user_information(value) if kind == _USER_INFORMATION else value) for kind, value in items]
    body = _head(pdu) + b"".join(_item(kind, value) for kind, value in known)
    return pdu[:2] + struct.pack(">L", len(body)) + body


def _accepted(items: list[Item]) -> list[Item]:
    """The items of an acceptance. Raises ValueError where nothing is said of any presentation context, or one is
    accepted without saying in which transfer syntax."""
    results = [value for kind, value in items if kind == _RESULT]
    if not results:
        raise ValueError("no presentation context is answered")
    for value in results:
        if value[2:3] == b"\0" and not list(_items(value[4:], (_TRANSFER_SYNTAX,))):
            raise ValueError("a presentation context is accepted in no transfer syntax")
    return items


def _items(data: bytes, known: tuple[int, ...]) -> Iterator[Item]:
    """Those that are known, in their order. Raises ValueError and struct.error where one does not fit."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        at += 4
        if at + length > len(data):
            raise ValueError("an item goes on after the end")
        if kind in known:
            yield kind, data[at : at + length]
        at += length


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _head(pdu: bytes) -> bytes:
    """What stands before the items. Of the versions only the first bit is looked at (PS3.8 Table 9-11)."""
    version = struct.unpack_from(">H", pdu, _VERSION)[0]
    called, calling = pdu[_CALLED:_CALLING], pdu[_CALLING : _CALLING + _TITLE]
    rest = pdu[_CALLING + _TITLE : _ITEMS]
    return struct.pack(">H", version & 1) + pdu[_VERSION + 2 : _CALLED] + title(called) + title(calling) + rest


def title(value: bytes) -> bytes:
    """An AE title of sixteen characters: up to the zero byte with which some fill it up, and with question marks for
    what is no character of a title, or where there is none."""
    text = title_for(value.partition(b"\0")[0].decode("ascii", "replace"))
    return (text if text.strip() else "?").encode("ascii").ljust(_TITLE)


def _user_information(value: bytes) -> bytes:
    items = list(_items(value, _KNOWN_WITHIN))
    if not any(kind == _MAXIMUM_LENGTH for kind, _ in items):
        items.insert(0, (_MAXIMUM_LENGTH, struct.pack(">L", _UNSAID_LENGTH)))
    return b"".join(_item(kind, _name(text) if kind == _VERSION_NAME else text) for kind, text in items)


def _name(text: bytes) -> bytes:
    return title_for(text.decode("ascii", "replace")).encode("ascii")
