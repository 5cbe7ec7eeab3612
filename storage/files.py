"""Writes, adopts, opens and removes files so that they survive a crash.

The only module that opens a file for writing. Names come from our own digests, never from a string a peer sent. A file
is visible under its name only when all of it is on disk: written beside, synced, renamed, and its folder synced.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import NotFound, Refused

_NAME = re.compile(r"[0-9a-z][0-9a-z._-]{2,127}")
_SHARDS = [f"{number:02x}" for number in range(256)]
ROOMS = ("inbox", "clean")


class FileStore:
    """The folders of one data folder: `incoming/` for what is being written, `inbox/` for originals, `clean/` for
    results, `keys/` for secrets. All on one file system, so that a rename is atomic."""

    def __init__(self, folder: Path, sync: Callable[[int], None] = os.fsync) -> None:
        self.folder = folder
        self._sync = sync
        for room in ROOMS:
            for shard in _SHARDS:
                (folder / room / shard).mkdir(parents=True, exist_ok=True)
            self._sync_folder(folder / room)
        for name in ("incoming", "keys"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "keys").chmod(0o700)
        self._sync_folder(folder)

    def path(self, room: str, name: str) -> Path:
        """Where the file of that room and name is, or would be."""
        if room not in ROOMS or not _NAME.fullmatch(name):
            raise Refused("that is not the name of a stored file")
        return self.folder / room / name[:2] / name

    def adopt(self, source: Path, room: str, name: str) -> None:
        """Make a complete file from `incoming/` durable under its name: sync, rename, sync the folder."""
        target = self.path(room, name)
        with source.open("rb") as file:
            self._sync(file.fileno())
        source.rename(target)
        self._sync_folder(target.parent)

    def write(self, room: str, name: str, chunks: Iterable[bytes]) -> int:
        """Write a whole file in one atomic, synced step. Returns its size in bytes."""
        return self._write(self.path(room, name), chunks, mode=0o640)

    def open(self, room: str, name: str) -> BinaryIO:
        """The file, for reading. Raises NotFound."""
        try:
            return self.path(room, name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"{room} has no file {name[:12]}") from None

    def remove(self, room: str, name: str) -> None:
        """Remove the file if it is there."""
        self.path(room, name).unlink(missing_ok=True)

    def names(self, room: str) -> Iterator[str]:
        """The names of all files of a room."""
        for shard in _SHARDS:
            for entry in os.scandir(self.folder / room / shard):
                if _NAME.fullmatch(entry.name):
                    yield entry.name

    def modified(self, room: str, name: str) -> float:
        """When the file was written, in seconds since the epoch."""
        return self.path(room, name).stat().st_mtime

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret of that name; made, mode 0600, on first use. Of two processes that make it at once, one wins."""
        if not _NAME.fullmatch(name):
            raise Refused("that is not the name of a secret")
        target = self.folder / "keys" / name
        if not target.exists():
            beside = target.with_name(f".{uuid.uuid4().hex}")
            self._write(beside, [make()], mode=0o600)
            try:
                os.link(beside, target)  # fails where another process was first, so a key is never replaced
            except FileExistsError:
                pass
            finally:
                beside.unlink()
            self._sync_folder(target.parent)
        return target.read_bytes()

    def incoming(self) -> Path:
        """A folder for one process to receive into; it is swept once that process is gone."""
        folder = self.folder / "incoming" / uuid.uuid4().hex
        folder.mkdir()
        self._held = (folder / ".lock").open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        return folder

    def sweep_incoming(self) -> int:
        """Remove the unfinished files of processes that are gone; they were never acknowledged. Returns how many."""
        swept = 0
        for folder in (self.folder / "incoming").iterdir():
            try:
                with (folder / ".lock").open("r") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    swept += sum(1 for entry in folder.iterdir() if entry.name != ".lock")
                    shutil.rmtree(folder)
            except (BlockingIOError, FileNotFoundError):
                continue
        return swept

    def _write(self, target: Path, chunks: Iterable[bytes], *, mode: int) -> int:
        beside = target.with_name(f".{uuid.uuid4().hex}")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                size = sum(file.write(chunk) for chunk in chunks)
                file.flush()
                self._sync(file.fileno())
            beside.rename(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        self._sync_folder(target.parent)
        return size

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)
