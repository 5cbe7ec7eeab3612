"""Names files: an original by what it holds, a clean one by what it was made from and how."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # PS3.5 7.1.2


def clean_name(original: str, *made_by: str) -> str:
    """The name of the file that an original becomes under a project, a profile and a key: the same each time."""
    return hashlib.sha256("\0".join((original, *made_by)).encode()).hexdigest()


def data_set_digest(path: Path) -> str:
    """SHA-256 of what follows the file meta information (PS3.10 7.1): that is written by whoever stores the file."""
    with path.open("rb") as file:
        return digest_of_data_set(file)


def digest_of_data_set(file: BufferedReader) -> str:
    """The same of a file that is open at its beginning, where it is again afterwards."""
    file.seek(_end_of_meta(file))
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


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
