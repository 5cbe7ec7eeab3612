"""Finds the fragments of each frame in encapsulated pixel data, whatever tables there are or are not (PS3.5 A.4)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from lethe.storage.errors import NotFound

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51")
"""How a JPEG or JPEG-LS and a JPEG 2000 codestream begin."""
_HEAD = 12


@dataclass(frozen=True)
class Fragments:
    """Where fragments lie in a file, the number of the first one of each frame with their number at its end, and where
    the element ends."""

    offsets: array[int]
    lengths: array[int]
    firsts: Sequence[int]
    end: int

    def frame(self, file: BinaryIO, number: int) -> bytes:
        """Frame `number`, from 1, its fragments joined. Raises NotFound where there is no such frame."""
        if not 1 <= number < len(self.firsts):
            raise NotFound("the stored pixel data has no such frame")
        pieces = []
        for fragment in range(self.firsts[number - 1], self.firsts[number]):
            file.seek(self.offsets[fragment])
            piece = file.read(self.lengths[fragment])
            if len(piece) < self.lengths[fragment]:
                raise NotFound("the stored pixel data ends before that frame")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def fragments(file: BinaryIO, offset: int, frames: int, extended: bytes) -> Fragments:
    """The fragments of the pixel data whose first item, the Basic Offset Table, is at `offset`; `extended` is the
    Extended Offset Table (PS3.3 C.7.6.3.1.8), where there is one."""
    file.seek(offset)
    head = file.read(8)
    length = struct.unpack("<L", head[4:])[0] if head[:4] == _ITEM else 0
    basic = file.read(length)
    first = offset + 8 + length
    offsets, lengths, starting, end = _walk(file, first)
    firsts = (
        _by_table(offsets, first, extended, "Q", frames)
        or _by_table(offsets, first, basic, "L", frames)
        or _by_number(len(offsets), frames)
        or _by_content(starting, len(offsets), frames)
    )
    return Fragments(offsets, lengths, firsts, end)


def _walk(file: BinaryIO, start: int) -> tuple[array[int], array[int], list[int], int]:
    """Where each fragment's value is, how long it is, which of them begin a codestream, and where they end."""
    offsets, lengths = array("Q"), array("Q")
    starting: list[int] = []
    position = start
    while True:
        file.seek(position)
        head = file.read(_HEAD)
        if head[:4] != _ITEM or len(head) < 8:
            return offsets, lengths, starting, position + 8 * (head[:4] == _END)
        length = struct.unpack_from("<L", head, 4)[0]
        if head[8:].startswith(_STARTS):
            starting.append(len(offsets))
        offsets.append(position + 8)
        lengths.append(length)
        position += 8 + length


def _by_table(offsets: Sequence[int], first: int, table: bytes, word: str, frames: int) -> Sequence[int]:
    """By a table of where the item of each frame's first fragment is; of no use if it leads elsewhere."""
    size = struct.calcsize(f"<{word}")
    if not table or len(table) // size != frames:
        return ()
    places = {offset - 8 - first: number for number, offset in enumerate(offsets)}
    firsts = [places.get(place, -1) for place in struct.unpack(f"<{frames}{word}", table[: frames * size])]
    firsts.append(len(offsets))
    return firsts if firsts[0] == 0 and all(a < b for a, b in pairwise(firsts)) else ()


def _by_number(count: int, frames: int) -> Sequence[int]:
    if frames == 1 and count:
        return (0, count)
    return range(count + 1) if count == frames else ()


def _by_content(starting: list[int], count: int, frames: int) -> Sequence[int]:
    return [*starting, count] if len(starting) == frames and starting[:1] == [0] else ()
