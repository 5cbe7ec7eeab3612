"""Reads and writes the command sets of C-STORE (PS3.7 9.3.1), which come with every object; others are pynetdicom's."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from lethe.storage.aetitles import ae_title

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_CANCEL_RQ, CANCELLABLE = 0x0FFF, (0x0010, 0x0020, 0x0021)  # C-GET, C-FIND and C-MOVE
NO_DATA_SET = 0x0101
_AFFECTED_CLASS, _FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _AFFECTED_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000
_ORIGINATOR, _ORIGINATOR_ID = 0x1030, 0x1031
_MOVE_DESTINATION = 0x0600
_MEDIUM, _PRIORITIES = b"\0\0", (b"\0\0", b"\1\0", b"\2\0")
Elements = dict[int, bytes]
"""The values of a command set by element number; all are of group 0000."""


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE-RQ: what is to be stored, under which message ID and presentation context."""

    context_id: int
    message_id: int
    sop_class: str
    sop_instance: str
    originator: str = ""
    originator_id: int = 0


@dataclass(frozen=True)
class StoreResponse:
    """A C-STORE-RSP."""

    MessageIDBeingRespondedTo: int
    Status: int

    # What pynetdicom asks of any message.
    msg_type: ClassVar[str] = "C-STORE-RSP"
    is_valid_request: ClassVar[bool] = False
    is_valid_response: ClassVar[bool] = True
    STATUS_OPTIONAL_KEYWORDS: ClassVar[tuple[str, ...]] = ()


def elements_of(command: bytes | bytearray) -> Elements:
    """Take a command set apart (Implicit VR Little Endian, PS3.7 6.3.1). Raises ValueError."""
    found, at = Elements(), 0
    while at < len(command):
        if at + 8 > len(command):
            raise ValueError("the command set is cut off")
        group, element, length = struct.unpack_from("<HHL", command, at)
        at += 8
        if group != 0x0000 or at + length > len(command):
            raise ValueError("the command set is not well-formed")
        found[element] = bytes(command[at : at + length])
        at += length
    return found


def field_of(elements: Elements) -> int:
    """Which message it is: the Command Field. Raises ValueError."""
    return _number(elements, _FIELD)


def message_id_of(elements: Elements) -> int:
    """The number that a request gives itself; -1 where it gives none."""
    value = elements.get(_MESSAGE_ID, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else -1


def has_data_set(elements: Elements) -> bool:
    """Whether a data set follows the command."""
    return _number(elements, _DATA_SET_TYPE) != NO_DATA_SET


def readable(command: bytes, elements: Elements) -> bytes:
    """The command set as pynetdicom takes it, which aborts over a priority, of which nothing depends, and over a Move
    Destination that is no AE title, and so none of our peers'."""
    changed = dict(elements)
    if elements.get(_PRIORITY, _MEDIUM) not in _PRIORITIES:
        changed[_PRIORITY] = _MEDIUM
    if _MOVE_DESTINATION in elements:
        text = elements[_MOVE_DESTINATION].partition(b"\0")[0].decode("ascii", "replace")
        changed[_MOVE_DESTINATION] = (ae_title(text) or "?").encode("ascii")
    if changed == elements:
        return command
    return _encoded(*((element, value) for element, value in changed.items() if element))


def store_request(elements: Elements, context_id: int) -> StoreRequest:
    """The C-STORE-RQ that a command set is, whatever it names. Raises ValueError where it has no number."""
    return StoreRequest(
        context_id,
        _number(elements, _MESSAGE_ID),
        _text(elements.get(_AFFECTED_CLASS, b"")),
        _text(elements.get(_AFFECTED_INSTANCE, b"")),
        _text(elements.get(_ORIGINATOR, b"")),
    )


def store_response(elements: Elements) -> StoreResponse:
    """The C-STORE-RSP that a command set is. Raises ValueError."""
    return StoreResponse(_number(elements, _RESPONDED_TO), _number(elements, _STATUS))


def encoded_store_response(request: StoreRequest, status: int) -> bytes:
    """The answer to a request."""
    return _encoded(
        (_AFFECTED_CLASS, _padded(request.sop_class)),
        (_FIELD, struct.pack("<H", C_STORE_RSP)),
        (_RESPONDED_TO, struct.pack("<H", request.message_id)),
        (_DATA_SET_TYPE, struct.pack("<H", NO_DATA_SET)),
        (_STATUS, struct.pack("<H", status)),
        (_AFFECTED_INSTANCE, _padded(request.sop_instance)),
    )


def encoded_store_request(request: StoreRequest) -> bytes:
    """The command that asks a peer to store what follows, at medium priority."""
    return _encoded(
        (_AFFECTED_CLASS, _padded(request.sop_class)),
        (_FIELD, struct.pack("<H", C_STORE_RQ)),
        (_MESSAGE_ID, struct.pack("<H", request.message_id)),
        (_PRIORITY, b"\0\0"),
        (_DATA_SET_TYPE, b"\x01\0"),
        (_AFFECTED_INSTANCE, _padded(request.sop_instance)),
        *_moved_by(request),
    )


def _moved_by(request: StoreRequest) -> list[tuple[int, bytes]]:
    if not request.originator:
        return []
    title = request.originator.encode("ascii", "replace")
    number = struct.pack("<H", request.originator_id)
    return [(_ORIGINATOR, title + b" " * (len(title) % 2)), (_ORIGINATOR_ID, number)]


def _encoded(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return value + b"\0" * (len(value) % 2)


def _number(elements: Elements, element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:
        raise ValueError(f"the command set has no element (0000,{element:04X})")
    return int.from_bytes(value, "little")


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")
