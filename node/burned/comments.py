"""Blanks what compressed frames say beside their image: comments, data of applications, thumbnails (JPEG, JPEG-LS and
JPEG 2000). Lengths stay and entropy coded bytes are not touched, so that the image is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from struct import error as StructError
from struct import unpack_from
from tempfile import TemporaryFile
from typing import BinaryIO

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import copy_pixels
from lethe.node.deid.terms import TermBank

from .codestream import NO_IMAGE
from .decoding import DCT, HTJ2K, J2K, JLS, LOSSLESS_JPEG
from .frames import Frames, open_frames
from .places import Encapsulated, Fragment

_SPEAKING = DCT | LOSSLESS_JPEG | JLS | J2K | HTJ2K
_COMMENT, _APP0, _APP2, _APP8, _APP14 = 0xFE, 0xE0, 0xE2, 0xE8, 0xEE
_BLANKS = {_COMMENT: b" "}
_PROFILE = b"ICC_PROFILE\0"
_END, _SCAN = 0xD9, 0xDA
# What colours are known by: JFIF without the size and pixels of a thumbnail, Adobe, in JPEG-LS HP's transform and the
# header of SPIFF and the end of its entries (T.84 F.2).
_NEEDED = (
    (_APP0, b"JFIF\0", 12),
    (_APP14, b"Adobe", 12),
    (_APP8, b"mrfx", 5),
    (_APP8, b"SPIFF\0", 30),
    (_APP8, b"\0\0\0\1\xff\xd8", 6),
)
# Markers whose segments make the image: frame headers, tables, scans, intervals (T.81 B.1.1.3; T.87 C.1.1).
_IMAGE = frozenset(range(0xC0, 0xE0)) | {0xF7, 0xF8}
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}
# A marker among entropy coded bytes: no stuffed zero or, in JPEG-LS, bit, no restart.
_MARKER = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
# The same of JPEG 2000 (T.800 A.2, T.801 A.2, T.814 A.2): 50 to 63 but for the comment, and 74 to 79.
_START_TILE, _START_DATA, _END_2000, _COMMENT_2000 = 0xFF90, 0xFF93, 0xFFD9, 0xFF64
_IMAGE_2000 = frozenset(range(0xFF50, 0xFF64)) | frozenset(range(0xFF74, 0xFF7A))
_VERSION = rb"v?\d{1,4}([._]\d{1,4}){0,3}"
# What encoders call themselves. All else may have been written by somebody.
_ENCODERS = re.compile(
    rb"(created by (gdcm/)?openjpeg version |(creator: )?jasper version |kakadu-|openjph ver |lavc|"
    + rb"lead technologies inc\. )"
    + _VERSION
    + rb"\.?"
    + rb"|kdu-layer-info: log_2\{delta-d\([a-z\-]{3,20}\)/delta-l\(bytes\)\}, l\(bytes\)[\s\d.,e+\-]{0,500}"
    + rb"|creator: gd-jpeg "
    + _VERSION
    + rb" \(using ijg jpeg "
    + _VERSION
    + rb"\), (default quality|quality = \d{1,3})\s?"
    + rb"|applemark\s?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Quiet:
    """An object whose frames say nothing of anybody, and in how many of them something was blanked."""

    source: Part10
    blanked: int = 0


@dataclass(frozen=True)
class Said:
    """Bytes of a frame that no decoder needs. `usual` are those that stay unless they name the patient."""

    start: int
    end: int
    blank: bytes
    usual: bool


def quiet(source: Part10, terms: TermBank) -> Quiet:
    """The object with nothing beside its images but what decoders need and encoders' names. Raises CannotClean where a
    frame cannot be read, or is not the same afterwards."""
    span = source.pixels
    if span is None or not span.encapsulated or str(source.transfer_syntax) not in _SPEAKING:
        return Quiet(source)
    frames = open_frames(source)
    found = {number: said for number in range(len(frames)) if (said := spoken(frames.encoded(number), terms))}
    if not found:
        return Quiet(source)
    file = TemporaryFile()  # noqa: SIM115 - the result needs it
    for chunk in copy_pixels(source.data, span):
        file.write(chunk)
    copied = replace(source, pixels=replace(span, start=0, end=file.tell(), odd=()), data=file, trailing=0)
    places = open_frames(copied).places
    assert isinstance(places, Encapsulated)
    for number, some in found.items():
        for one in some:
            _blank(file, places.frames[number], one)
    _refuse_difference(frames, open_frames(copied), found)
    return Quiet(copied, len(found))


def spoken(data: bytes, terms: TermBank) -> list[Said]:
    """What is to be blanked in a codestream. Raises CannotClean."""
    try:
        found = list(_jpeg_2000(data) if data[:2] == b"\xff\x4f" else _jpeg(data))
    except (StructError, IndexError):
        raise CannotClean(NO_IMAGE) from None
    return [
        one
        for one in found
        if (bare := data[one.start : one.end].strip(b"\0 ")) and (not one.usual or terms.in_bytes(bare))
    ]


def _jpeg(data: bytes) -> Iterator[Said]:
    """All segments up to the end of the image, those between scans as well; what is behind it is refused elsewhere."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise CannotClean(NO_IMAGE)
        marker = data[at + 1]
        if marker == _END:
            return
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = unpack_from(">H", data, at + 2)
        start, end = at + 4, at + 2 + length
        if length < 2 or end > len(data):
            raise CannotClean(NO_IMAGE)
        if marker not in _IMAGE:
            body = data[start:end]
            usual = _is_encoder(body) if marker == _COMMENT else marker == _APP2 and body.startswith(_PROFILE)
            yield Said(min(start + _needed(marker, body), end), end, _BLANKS.get(marker, b"\0"), usual)
        at = end
        if marker == _SCAN:
            following = _MARKER.search(data, at)
            if following is None:
                raise CannotClean(NO_IMAGE)
            at = following.end() - 2


def _is_encoder(comment: bytes) -> bool:
    return bool(_ENCODERS.fullmatch(comment.strip(b"\0 ")))


def _needed(marker: int, body: bytes) -> int:
    """How much of an application's segment a decoder goes by, from its beginning."""
    return next((much for who, begins, much in _NEEDED if marker == who and body.startswith(begins)), 0)


def _jpeg_2000(data: bytes) -> Iterator[Said]:
    """The segments of the main header and of each tile-part's."""
    at, behind = 2, 0
    while at + 2 <= len(data):
        (marker,) = unpack_from(">H", data, at)
        if marker == _END_2000:
            return
        if marker == _START_DATA:
            if behind <= at:
                raise CannotClean(NO_IMAGE)
            at = behind
            continue
        (length,) = unpack_from(">H", data, at + 2)
        start, end = at + 4, at + 2 + length
        if marker >> 8 != 0xFF or length < 2 or end > len(data):
            raise CannotClean(NO_IMAGE)
        if marker == _START_TILE:
            (size,) = unpack_from(">L", data, at + 6)
            behind = at + size if size else len(data)
            if behind < end or behind > len(data):
                raise CannotClean(NO_IMAGE)
        elif marker == _COMMENT_2000:
            yield Said(min(start + 2, end), end, b" ", _is_encoder(data[start + 2 : end]))
        elif marker not in _IMAGE_2000:
            yield Said(start, end, b"\0", usual=False)
        at = end


def _blank(file: BinaryIO, fragments: Sequence[Fragment], said: Said) -> None:
    """Overwrite bytes of a frame, which may lie in several fragments."""
    at = 0
    for one in fragments:
        first, last = max(said.start, at), min(said.end, at + one.length)
        if first < last:
            file.seek(one.start + first - at)
            file.write(said.blank * (last - first))
        at += one.length


def _refuse_difference(before: Frames, after: Frames, changed: Iterable[int]) -> None:
    """Frames that were changed are decoded: nothing may be otherwise."""
    for number in changed:
        same = before.raw(number).tobytes() == after.raw(number).tobytes()
        if not same or before.colours(number) != after.colours(number):
            raise CannotClean("a frame whose comments were blanked, read again, is not what it was")
