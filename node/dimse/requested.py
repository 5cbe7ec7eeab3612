"""Makes of a request for an association, or of the answer to it, what pynetdicom can read: it gives up over items that
PS3.8 9.3.1 has receivers skip, over titles and version names as some products write them, over reserved reasons, and
over a presentation context that lacks something or names what is no UID, which is rejected alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lethe.storage.aetitles import title_for

from .messages import Malformed

_VERSION, _CALLED, _CALLING, _ITEMS = 6, 10, 26, 74  # where they begin (PS3.8 Tables 9-11 and 9-17)
_TITLE = 16
_APPLICATION, _CONTEXT, _RESULT, _ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x10, 0x20, 0x21, 0x30, 0x40
_USER_INFORMATION, _MAXIMUM_LENGTH, _CLASS_UID, _ROLES, _VERSION_NAME, _EXTENDED = 0x50, 0x51, 0x52, 0x54, 0x55, 0x56
_KNOWN = (_APPLICATION, _CONTEXT, _RESULT, _USER_INFORMATION)
# User identity (0x58, 0x59) is not among them: nobody is let in or kept out for it, whatever its type; nor are related
# general classes (0x57), which change nothing.
_KNOWN_WITHIN = (_MAXIMUM_LENGTH, _CLASS_UID, 0x53, _ROLES, _VERSION_NAME, _EXTENDED)
_UNSAID_LENGTH = 16_384
_LONGEST_UID = 64
_NOTHING = b"2.25.0"
"""A UID that nothing has: what it stands for is rejected as any that is not known."""
_ANSWER, _REJECTION = 0x02, 0x03
_REASONS = ((1, 2), (1, 2, 3), (1, 2, 3, 7))  # PS3.8 Table 9-21: result, source, reason
Item = tuple[int, bytes]


def mended(pdu: bytes) -> bytes:
    """The PDU without what is not known. Raises ValueError and struct.error for an acceptance that accepts and rejects
    nothing: it is noise, and no peer's last word. Raises Malformed for a request whose items do not fit, or whose
    presentation contexts cannot be told apart."""
    if pdu[0] == _REJECTION:
        return pdu[:7] + bytes(one if one in known else 1 for one, known in zip(pdu[7:], _REASONS, strict=False))
    if pdu[0] == _ANSWER:
        return _mended(pdu, _accepted(list(_items(pdu[_ITEMS:], _KNOWN))))
    try:
        return _mended(pdu, _requested(list(_items(pdu[_ITEMS:], _KNOWN)))) if len(pdu) >= _ITEMS else pdu
    except (ValueError, struct.error):
        raise Malformed("the items of a request do not fit it") from None


def _mended(pdu: bytes, items: list[Item]) -> bytes:
    if not any(kind == _USER_INFORMATION for kind, _ in items):
        items = [*items, (_USER_INFORMATION, b"")]
    known = [(kind, _user_information(value) if kind == _USER_INFORMATION else value) for kind, value in items]
    body = _head(pdu) + b"".join(_item(kind, value) for kind, value in known)
    return pdu[:2] + struct.pack(">L", len(body)) + body


def _requested(items: list[Item]) -> list[Item]:
    """The items of a request, each context with syntaxes that can be looked up. Raises Malformed where two contexts
    have one number, or one has none that is allowed: an answer would not say which is meant (PS3.8 7.1.1.13, 9.3.2.2).
    """
    numbers = [value[0] for kind, value in items if kind == _CONTEXT and value]
    if any(number % 2 == 0 for number in numbers):
        raise Malformed("a presentation context has no odd number")
    if len(numbers) != len(set(numbers)):
        raise Malformed("two presentation contexts have the same number")
    return [(kind, _with_names(kind, value)) for kind, value in items]


def _with_names(kind: int, value: bytes) -> bytes:
    """An item of a request, with a UID that nothing has where it names none."""
    if kind == _APPLICATION:
        return value if _is_name(value) else _NOTHING
    if kind != _CONTEXT:
        return value
    items = list(_items(value[4:], (_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX)))
    abstract = [name for sub, name in items if sub == _ABSTRACT_SYNTAX]
    known = abstract[0] if len(abstract) == 1 and _is_name(abstract[0]) else _NOTHING
    syntaxes = [name for sub, name in items if sub == _TRANSFER_SYNTAX and _is_name(name)] or [_NOTHING]
    return value[:4] + _item(_ABSTRACT_SYNTAX, known) + b"".join(_item(_TRANSFER_SYNTAX, one) for one in syntaxes)


def _is_name(value: bytes) -> bool:
    """Whether that may be a UID; one that breaks the rules within its length is as good as an unknown one."""
    return value.isascii() and 0 < len(value.rstrip(b"\0 ")) <= _LONGEST_UID and len(value) <= _LONGEST_UID + 2


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
    items = [(kind, _readable(kind, one)) for kind, one in _items(value, _KNOWN_WITHIN) if _names_a_class(kind, one)]
    if not any(kind == _MAXIMUM_LENGTH for kind, _ in items):
        items.insert(0, (_MAXIMUM_LENGTH, struct.pack(">L", _UNSAID_LENGTH)))
    return b"".join(_item(kind, one) for kind, one in items)


def _readable(kind: int, value: bytes) -> bytes:
    if kind == _VERSION_NAME:
        return _name(value)
    return _NOTHING if kind == _CLASS_UID and not _is_name(value) else value


def _names_a_class(kind: int, value: bytes) -> bool:
    """Whether what is negotiated for a SOP Class says for which."""
    return kind not in (_ROLES, _EXTENDED) or _is_name(value[2 : 2 + int.from_bytes(value[:2], "big")])


def _name(text: bytes) -> bytes:
    return title_for(text.decode("ascii", "replace")).encode("ascii")
