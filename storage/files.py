"""Writes, adopts, opens and removes files so that they survive a crash.

The only module that opens a file for writing, beside `incoming.py`, into whose files objects come. Names come from our
own digests, never from a string a peer sent. A file is visible under its name only when all of it is there: written
beside, synced, named, and its folder synced before any row mentions it, or meanwhile (`arriving.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import BufferedReader, FileIO
from itertools import zip_longest
from pathlib import Path

from .errors import NotFound, Refused, Unavailable
from .syncing import Sync, Syncing

_NAME = re.compile(r"[0-9a-z][0-9a-z._-]{2,127}")
_SHARDS = [f"{number:02x}" for number in range(256)]
_UNFINISHED = re.compile(r"\.[0-9a-f]{32}")
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_PASSING |= {errno.EACCES, errno.EPERM}  # until somebody gives the folder back to us
ROOMS = ("inbox", "clean", "returns")
_PIECE = 256 << 10
_FEW_FILES = 100
"""A disk on which no more can be made is as full as one without a byte left."""
_SECRET = ("keys", "returns")


class FileStore:
    """The folders of one data folder: `incoming/` for what is being written, `inbox/` for originals, `clean/` for
    results, `returns/` for what is re-identified, `keys/` for secrets. All on one file system, so that a rename is
    atomic."""

    def __init__(self, folder: Path, syncing: Syncing | None = None) -> None:
        self.folder = folder
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._syncing = syncing or Syncing()
        self._incoming: Path | None = None
        self._incoming_lock = threading.Lock()
        for room in ROOMS:
            for shard in _SHARDS:
                (folder / room / shard).mkdir(parents=True, exist_ok=True)
            self._sync_path(folder / room)
        for name in ("incoming", "keys"):
            (folder / name).mkdir(exist_ok=True)
        for name in _SECRET:
            (folder / name).chmod(0o700)
        self._sync_path(folder)
        with suppress(PermissionError):  # a folder above that we may not read was not made by us
            self._sync_path(folder.parent)

    def path(self, room: str, name: str) -> Path:
        """Where the file of that room and name is, or would be."""
        if room not in ROOMS or not _NAME.fullmatch(name):
            raise Refused("that is not the name of a stored file")
        return Path(f"{self.folder}/{room}/{name[:2]}/{name}")  # joined at once: asked for each object, some times

    def sync_soon(self, descriptor: int) -> Sync:
        """Begin to sync the file behind a descriptor, which is closed when that was waited for."""
        return self._syncing.soon(descriptor)

    def adopt(self, source: Path, room: str, name: str) -> None:
        """Make a complete file from `incoming/` durable under its name; its age counts from here. Raises
        Unavailable."""
        adoption = self.adopt_meanwhile(source, room, name)
        if adoption is not None:
            try:
                adoption.wait()
            except BaseException:
                adoption.take_back()
                raise

    def adopt_meanwhile(self, source: Path, room: str, name: str, begun: Sync | None = None) -> Adoption | None:
        """As `adopt`, but wait for the disk later, by what is returned; None where the file is durable already.
        `begun` ends when its bytes are, if that was begun. Raises Unavailable."""
        target = self.path(room, name)
        with _passing_failures(), ExitStack() as opened:
            os.utime(source)
            unsynced = [target.parent] if begun else [source, target.parent]
            descriptors = [_opened(path, opened) for path in unsynced]  # before it is named: there may be no more
            if _linked(source, target):
                opened.pop_all()
                syncs = [self._syncing.soon(descriptor) for descriptor in descriptors]
                return Adoption(source, target, [begun, *syncs] if begun else syncs)
            # The name is taken by a file that may be in use: what replaces it is synced before.
            if begun is not None:
                begun.result()
            else:
                self._syncing.now(descriptors[0])
            with _locked(target.parent):
                source.rename(target)
            self._syncing.now(descriptors[-1])
        return None

    def sync(self, room: str, name: str) -> None:
        """Make a file durable that is there under its name. Raises Unavailable."""
        target = self.path(room, name)
        with _passing_failures():
            self._sync_path(target)
            self._sync_path(target.parent)

    def write(self, room: str, name: str, chunks: Iterable[bytes]) -> int:
        """Write a whole file in one atomic, synced step. Returns its size in bytes. Raises Unavailable."""
        target = self.path(room, name)
        with _passing_failures():
            return self._write(target, chunks, mode=0o600 if room in _SECRET else 0o640)

    def open(self, room: str, name: str) -> BufferedReader:
        """The file, for reading. Raises NotFound, Unavailable."""
        try:
            with _passing_failures():
                return self.path(room, name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"{room} has no file {name[:12]}") from None

    def size(self, room: str, name: str) -> int:
        """How many bytes the file has. Raises NotFound, Unavailable."""
        try:
            with _passing_failures():
                return self.path(room, name).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"{room} has no file {name[:12]}") from None

    def holds(self, room: str, name: str) -> bool:
        """Whether the room has that file."""
        return self.path(room, name).exists()

    def has_same(self, room: str, name: str, source: Path) -> bool:
        """Whether the room has that file, and each of its bytes is that of another. Raises Unavailable."""
        with _passing_failures(), source.open("rb", 0) as other, suppress(FileNotFoundError):
            with self.path(room, name).open("rb", 0) as file:
                return os.fstat(file.fileno()).st_size == os.fstat(other.fileno()).st_size and _are_same(file, other)
        return False

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
        self._sync_path(target.parent)  # the winner may not have come that far
        return target.read_bytes()

    def replace_secret(self, name: str, secret: bytes) -> str:
        """Put another secret in the place of one, which is kept under the next free number, `name.1` being the oldest.
        Returns that name. Raises NotFound where there is none to replace."""
        folder, target = self.folder / "keys", self.folder / "keys" / name
        if not _NAME.fullmatch(name) or not target.exists():
            raise NotFound(f"keys/{name} does not exist yet")
        with _passing_failures(), _locked(folder):
            number = 1
            while (kept := folder / f"{name}.{number}").exists():
                number += 1
            os.link(target, kept)
            self._sync_path(folder)
            self._write(target, [secret], mode=0o600)
        return kept.name

    def secret_version(self, name: str) -> tuple[int, int]:
        """What changes when the secret is replaced. Raises Unavailable where it is gone."""
        try:
            state = (self.folder / "keys" / name).stat()
        except FileNotFoundError:
            raise Unavailable(f"keys/{name} is missing; put it back") from None
        return state.st_ino, state.st_mtime_ns

    def incoming(self) -> Path:
        """The folder this process receives into, the same each time; it is swept once the process is gone. Raises
        Unavailable."""
        with self._incoming_lock, _passing_failures():
            while self._incoming is None:
                folder = self.folder / "incoming" / uuid.uuid4().hex
                folder.mkdir()
                try:
                    self._held = (folder / ".lock").open("a")
                except FileNotFoundError:
                    continue
                fcntl.flock(self._held, fcntl.LOCK_EX)
                if (folder / ".lock").exists():  # else another process swept it before it was locked
                    self._incoming = folder
            return self._incoming

    def is_receiving(self, owner: str) -> bool:
        """Whether the process whose folder in `incoming/` has that name is still there."""
        try:
            with (self.folder / "incoming" / owner / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False

    def sweep_incoming(self) -> int:
        """Remove the unfinished files of processes that are gone; they were never acknowledged. Returns how many."""
        swept = 0
        for folder in (self.folder / "incoming").iterdir():
            try:
                with (folder / ".lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    swept += sum(1 for entry in folder.iterdir() if entry.name != ".lock")
                    shutil.rmtree(folder)
            except (BlockingIOError, FileNotFoundError, NotADirectoryError):
                continue
        return swept

    def sweep_unfinished(self, before: float) -> int:
        """Remove what a crash left half written beside the files, not touched since `before`. Returns how many."""
        swept = 0
        for folder in [self.folder / "keys", *(self.folder / room / shard for room in ROOMS for shard in _SHARDS)]:
            with os.scandir(folder) as entries:
                unfinished = [Path(entry) for entry in entries if _UNFINISHED.fullmatch(entry.name)]
            for path in unfinished:
                try:
                    if path.stat().st_mtime < before:
                        path.unlink()
                        swept += 1
                except FileNotFoundError:
                    continue
        return swept

    def _named_and_synced(self, beside: Path, name: Path, descriptor: int) -> bool:
        """Name a file, and sync it and the folder that has named it: at once, for one write of the file system's
        journal then holds both, and a disk that others use as well is waited for once. False where another file has
        that name."""
        with ExitStack() as opened:
            folder = _opened(name.parent, opened)
            if not _linked(beside, name):
                return False
            opened.pop_all()
        syncing = self._syncing.soon(folder)
        try:
            self._syncing.now(descriptor)
            syncing.result()
        except BaseException:
            syncing.exception()
            _take_back(name, os.fstat(descriptor).st_ino)
            raise
        return True

    def _write(self, target: Path, chunks: Iterable[bytes], *, mode: int) -> int:
        beside = target.with_name(f".{uuid.uuid4().hex}")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                size = sum(file.write(chunk) for chunk in chunks)
                file.flush()
                if self._named_and_synced(beside, target, file.fileno()):
                    beside.unlink()
                    return size
                self._syncing.now(file.fileno())
            beside.rename(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        self._sync_path(target.parent)
        return size

    def _sync_path(self, path: Path) -> None:
        with ExitStack() as opened:
            self._syncing.now(_opened(path, opened))


class Adoption:
    """A file that has its name, while it and its folder are being synced: at once, for one write of the file system's
    journal then holds both, and a disk that others use as well is waited for once."""

    def __init__(self, source: Path, target: Path, syncs: Sequence[Sync]) -> None:
        self._source, self._target, self._syncs = source, target, syncs

    def wait(self) -> None:
        """Return once it is durable. Raises Unavailable; it then has its name still."""
        with _passing_failures():
            for sync in self._syncs:
                sync.result()
            self._source.unlink()

    def take_back(self) -> None:
        """Remove its name, unless another file has that meanwhile."""
        self.leave()
        _take_back(self._target, self._source.stat().st_ino)

    def leave(self) -> None:
        """Let it have its name, durable or not."""
        for sync in self._syncs:
            sync.exception()


def free_bytes(folder: Path) -> int:
    """How much is free on the disk of a folder; none where it has no room for more files (inodes)."""
    disk = os.statvfs(folder)
    if disk.f_files and disk.f_favail < _FEW_FILES:
        return 0
    return disk.f_bavail * disk.f_frsize


def _are_same(one: FileIO, two: FileIO) -> bool:
    """Whether all that can still be read of two files is the same."""
    return all(a == b for a, b in zip_longest(*(iter(partial(file.read, _PIECE), b"") for file in (one, two))))


def _opened(path: Path, opened: ExitStack) -> int:
    """A descriptor of a file or a folder, to be closed with others."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return descriptor


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name; False where another file has it."""
    try:
        os.link(source, target)
        return True
    except FileExistsError:
        return False


def _take_back(name: Path, inode: int) -> None:
    """Remove the name of a file, unless another has taken it over meanwhile."""
    with _locked(name.parent), suppress(FileNotFoundError):
        if name.stat().st_ino == inode:
            name.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def passing(chunks: Iterable[bytes], folder: Path) -> Iterator[Path]:
    """A file that is gone at the end of the block, for what needs a path: not synced, and in an `incoming` folder swept
    after a crash. Raises Unavailable."""
    path = folder / f"passing-{uuid.uuid4().hex}"
    try:
        with _passing_failures(), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(chunks)
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _passing_failures() -> Iterator[None]:
    """Says Unavailable where the operating system failed for a reason that may pass, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        raise Unavailable("the data folder cannot be read or written, or its disk is full") from error
