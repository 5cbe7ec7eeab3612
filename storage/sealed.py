"""Keeps the header that an instance had before it was cleaned, encrypted: whoever takes the database, but not
`keys/crosswalk.key`, learns nothing of it.

A header is compressed, encrypted (AES-256-GCM) with a key of its project, and bound to its project and to the clean SOP
Instance UID, so that one that was altered or put beside another instance cannot be read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import NotFound, Refused, Unavailable
from .sealing import decrypted, encrypted

_LEVEL = 1  # three times as fast as the usual 6, and nearly as small
_PAGE = 100
_KEEP = """INSERT INTO sealed_header (instance, sealed) SELECT id, ? FROM instance WHERE uid = ?
    ON CONFLICT (instance) DO UPDATE SET sealed = excluded.sealed"""
_ONE = """SELECT instance.project, sealed FROM instance JOIN sealed_header ON sealed_header.instance = instance.id
    WHERE instance.uid = ?"""
_AFTER = """SELECT instance.id, instance.uid, instance.project, sealed
    FROM instance JOIN sealed_header ON sealed_header.instance = instance.id
    WHERE instance.id > ? ORDER BY instance.id LIMIT ?"""


@dataclass(frozen=True)
class OriginalHeader:
    """A data set up to its pixel data, byte for byte as it came, and the transfer syntax it is encoded in."""

    transfer_syntax: str
    encoded: bytes


class SealedHeaders:
    """The original headers of one data folder. `key_for` makes a key from the crosswalk's; it may raise Unavailable."""

    def __init__(self, database: Any, key_for: Callable[[str], bytes]) -> None:
        self._database = database
        self._key_for = key_for
        self._ciphers: dict[str, AESGCM] = {}

    def sealed(self, project: str, sop_uid: str, header: OriginalHeader) -> bytes:
        """What is to be kept of a header, to be made before the transaction that keeps it."""
        plain = header.transfer_syntax.encode() + b"\0" + zlib.compress(header.encoded, _LEVEL)
        return encrypted(self._cipher(project), plain, _bound_to(project, sop_uid))

    def keep(self, sop_uid: str, sealed: bytes) -> None:
        """Keep it for a published instance, in the place of one it had before, inside the caller's transaction."""
        self._database.execute_sql(_KEEP, (sealed, sop_uid))

    def holds(self, sop_uid: str) -> bool:
        """Whether the instance's original header was kept."""
        return self._database.execute_sql(_ONE, (sop_uid,)).fetchone() is not None

    def open(self, sop_uid: str) -> OriginalHeader:
        """The original header of an instance. Raises NotFound where none was kept, Refused where it was altered."""
        row = self._database.execute_sql(_ONE, (sop_uid,)).fetchone()
        if row is None:
            raise NotFound("the original header of this instance was not kept")
        transfer_syntax, _, packed = self._plain(row[0], sop_uid, row[1]).partition(b"\0")
        return OriginalHeader(transfer_syntax.decode(), zlib.decompress(packed))

    def problems(self) -> Iterator[str]:
        """Every header that cannot be read, one sentence each; one for all where the key is not the right one."""
        after = 0
        while True:  # in pages, so that a long walk does not hold up the write-ahead log
            page = self._database.execute_sql(_AFTER, (after, _PAGE)).fetchall()
            for _, uid, project, sealed in page:
                try:
                    self._plain(project, uid, sealed)
                except Refused as error:
                    yield str(error)
                except Unavailable as error:
                    yield str(error)
                    return
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _plain(self, project: str, sop_uid: str, sealed: bytes) -> bytes:
        cipher = self._cipher(project)
        try:
            return decrypted(cipher, sealed, _bound_to(project, sop_uid))
        except ValueError:
            raise Refused(f"the original header of the instance {sop_uid} was altered and cannot be read") from None

    def _cipher(self, project: str) -> AESGCM:
        if project not in self._ciphers:
            self._ciphers[project] = AESGCM(self._key_for(f"header\0{project}"))
        return self._ciphers[project]


def _bound_to(project: str, sop_uid: str) -> bytes:
    return json.dumps([project, sop_uid]).encode()
