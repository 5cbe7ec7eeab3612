"""Packs files into a zip archive while it is being sent, without compressing them and without knowing their sizes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator

_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same for all, so that the same files make the same archive."""


class _Outlet(io.RawIOBase):
    """Takes what is written until it is fetched."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self._written.append(bytes(data))  # type: ignore[call-overload]
        return len(self._written[-1])

    def taken(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)


def zipped(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """The archive, piece by piece."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for name, pieces in members:
            with archive.open(zipfile.ZipInfo(name, _WHEN), "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
                    yield outlet.taken()
    yield outlet.taken()
