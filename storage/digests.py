"""Knows what an original is called by: a digest of its data set, which also tells whether a disk has changed it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from blake3 import blake3

_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # PS3.5 7.1.2


class Hash(Protocol):
    """A digest of which the beginning is known; as of `hashlib`."""

    def update(self, data: bytes | bytearray | memoryview, /) -> Any:
        """Go on with these bytes."""

    def hexdigest(self) -> str:
        """The digest of what there was until now: 64 hexadecimal digits."""


class Digests:
    """Digests by one algorithm; `begin` begins one."""

    def __init__(self, begin: Callable[[], Hash]) -> None:
        self.begin = begin

    def of(self, path: Path) -> str:
        """The digest of what follows the file meta information (PS3.10 7.1): that is written by whoever stores the
        file."""
        with path.open("rb") as file:
            return self.of_file(file)

    def of_file(self, file: BufferedReader) -> str:
        """The same of a file that is open at its beginning, where it is again afterwards."""
        file.seek(_end_of_meta(file))
        digest = self.of_content(file)
        file.seek(0)
        return digest

    def of_content(self, file: BufferedReader) -> str:
        """The digest of all that is left of a file."""
        return hashlib.file_digest(file, cast(Any, self.begin)).hexdigest()


BLAKE3, SHA256 = Digests(blake3), Digests(hashlib.sha256)


def digests_of(database: Any) -> Digests:
    """Those of a data folder: by SHA-256 where an older version began to fill it, so that what comes again is known."""
    (algorithm,) = database.execute_sql("SELECT algorithm FROM digest").fetchone()
    return {"blake3": BLAKE3, "sha256": SHA256}[algorithm]


def _end_of_meta(file: BinaryIO) -> int:
    """Where the elements of group 0002 end; 0 where there are none that can be read. Its group length (0002,0000) is
    not believed: with a wrong one, different objects would look the same."""
    head, end = file.read(132), 132
    if head[128:] != b"DICM":
        return 0
    while (header := file.read(8))[:2] == b"\x02\x00":
        length, size = int.from_bytes(header[6:8], "little"), 8
        if header[4:6] in _LONG_VRS:
            length, size = int.from_bytes(file.read(4), "little"), 12
        end += size + length
        if end > os.fstat(file.fileno()).st_size:
            return 0
        file.seek(end)
    return end
