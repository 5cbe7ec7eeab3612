"""Reads bytes in every way in which a name may stand in them: in the character sets that devices use, said or not,
packed in base64 or by zlib."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from html import unescape

_CHARACTER_SETS = (
    "utf-8", "latin-1", "gb18030", "shift_jis", "euc_jp", "euc_kr", "big5", "iso2022_jp_2", "iso2022_kr", "cp1250",
    "cp1251", "koi8-r", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859_2", "iso8859_5", "iso8859_6", "iso8859_7",
    "iso8859_8", "iso8859_9", "tis_620", "utf-16-le", "utf-16-be",
)  # fmt: skip
_OF_MANY_BYTES = ("utf-8", "gb18030", "euc_kr", "shift_jis", "big5", "cp1251")
_SHORTEST = 4
"""Bytes of a name: fewer stand in any data by chance."""
SHORTEST_PACKED = 8
_MOST_NAMES = 1 << 10
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
_OTHER_BASE64 = bytes.maketrans(b"-_", b"+/")
# In hexadecimal, bytes one behind the other or parted; and as URLs, XML, quoted-printable, RTF and programs write them.
_HEXADECIMAL = re.compile(rb"(?<![0-9A-Za-z])(?:0x)?(?:[0-9A-Fa-f]{2}(?:[ ,:-]{1,2}(?:0x)?)?){5,}(?![0-9A-Za-z])")
_PARTING = re.compile(rb"0x|[^0-9A-Fa-f]")
_ESCAPED = re.compile(rb"(?:[%=]|\\x|\\'|\\u00)([0-9A-Fa-f]{2})")
_ENTITY = re.compile(rb"&#?\w{2,8};")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_SWITCHED = re.compile(rb"\x1b\$[ -~\x1b]{3,256}")
_MOST_PACKED, _MOST_UNPACKED, _MOST_STREAMS = 1 << 16, 1 << 16, 64


def is_plain_ascii(raw: bytes) -> bool:
    """Whether bytes are the same text in every character set."""
    return raw.isascii() and b"\x1b" not in raw and b"\0" not in raw


def texts_of(raw: bytes) -> Iterator[str]:
    """What bytes say in each character set; what it does not know parts words."""
    yield from {raw.decode(one, "replace") for one in _CHARACTER_SETS}


@lru_cache(maxsize=_MOST_NAMES)
def spelled_by(name: str) -> frozenset[bytes]:
    """The bytes of a name that is not ASCII, in each character set that can express it, in any case."""
    spellings = set()
    for written in {name, name.lower(), name.upper(), name.title()}:
        for one in _CHARACTER_SETS:
            try:
                spellings.add(written.encode(one))
            except UnicodeError:
                continue
    return frozenset(one for one in spellings if len(one) >= _SHORTEST and not one.isascii())


def meant_by(name: str) -> Iterator[str]:
    """What a name may be that was read in Latin-1 because its file says no other character set."""
    try:
        raw = name.encode("latin-1")
    except UnicodeError:
        return
    if not is_plain_ascii(raw):
        for one in _OF_MANY_BYTES:
            try:
                yield raw.decode(one)
            except UnicodeError:
                continue


def unpacked(data: bytes) -> Iterator[bytes]:
    """What is packed in bytes: runs of base64 and of hexadecimal, characters by their numbers, streams of zlib and gzip
    as far as they can be read, and Japanese in seven bits."""
    yield from _by_number(data)
    for run in set(_SWITCHED.findall(data)):
        yield run.decode("iso2022_jp_2", "replace").encode("utf-8")
    for whole in set(_BASE64.findall(data)):
        run = whole.rstrip(b"=").translate(_OTHER_BASE64)
        try:
            yield base64.b64decode(run[: len(run) - (len(run) % 4 == 1)] + b"=" * (-len(run) % 4))
        except binascii.Error:
            continue
    for _number, match in zip(range(_MOST_STREAMS), _ZLIB.finditer(data), strict=False):
        try:
            yield zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(
                data[match.start() : match.start() + _MOST_PACKED], _MOST_UNPACKED
            )
        except zlib.error:
            continue


def _by_number(data: bytes) -> Iterator[bytes]:
    for run in set(_HEXADECIMAL.findall(data)):
        digits = _PARTING.sub(b"", run)
        yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    if _ESCAPED.search(data):
        yield _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), data)
    if _ENTITY.search(data):
        yield unescape(data.decode("utf-8", "replace")).encode("utf-8")
