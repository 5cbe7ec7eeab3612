"""Redacts whole folders one after another, and tells how far each is; only below the folders that are configured."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lethe.storage.archive import Archive
from lethe.storage.audit import SYSTEM, Actor
from lethe.storage.batches import BatchState, Refusal
from lethe.storage.database import transaction
from lethe.storage.errors import Unavailable
from lethe.storage.slots import Slot, Slots

from .config import Config
from .folder import files_below
from .redaction import Asked, Redactor, Stopping

log = logging.getLogger("lethe.redact")

_MOST_TOLD = 10_000
_OFTEN = 1.0
_TRIES = 3


class NotAllowed(ValueError):
    """The folders cannot be worked on. The message repeats nothing of what was asked."""


@dataclass(frozen=True)
class _Order:
    name: str
    files: Sequence[Path]
    target: Path
    asked: Asked
    alive: Slot | None


class BatchRedactor:
    """Takes orders from any thread; one of its own works on them, with the one process of the redactor. Other web
    processes of this node have one each: a batch is interrupted when the lock of the one that took it is free."""

    def __init__(self, archive: Archive, config: Config, redactor: Redactor) -> None:
        self._archive = archive
        self._roots = [(config.folder / root).resolve() for root in config.redact.roots]
        self._redactor = redactor
        self._orders: deque[_Order] = deque()
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._alive = Slots(archive.folder / "batches.lock")
        archive.batches.interrupt(self._alive.is_taken)

    def order(self, source: str, destination: str, asked: Asked, actor: Actor) -> str:
        """Begin a batch and give its name. Raises NotAllowed."""
        origin, target = self._allowed(source), self._allowed(destination)
        if not origin.is_dir():
            raise NotAllowed("source is not a folder")
        if target == origin or target in origin.parents or (target.exists() and not target.is_dir()):
            raise NotAllowed("destination is a folder of its own, not the source and not around it")
        files = [path for path in files_below([origin], apart_from=target) if origin in path.resolve().parents]
        name = uuid.uuid4().hex
        told = {"project": asked.project, **asked.settings}
        alive = self._alive.take(name, 1)
        with transaction(self._archive.database):
            self._archive.batches.begin(name, told, len(files))
            self._archive.audit.record(actor, "redact-batch-begun", name, {**told, "files": len(files)})
        with self._lock:
            self._orders.append(_Order(name, files, target, asked, alive))
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="redact-batch", daemon=True)
                self._worker.start()
        return name

    def cancel(self, name: str, actor: Actor) -> None:
        """Have the batch end after the file that is worked on, in whichever process. Raises NotFound, Refused."""
        with transaction(self._archive.database):
            self._archive.batches.cancel(name)
            self._archive.audit.record(actor, "redact-batch-cancelled", name, {})

    def _allowed(self, folder: str) -> Path:
        """The folder, if it lies below one that is configured, wherever its symbolic links lead."""
        if not self._roots:
            raise NotAllowed("no folders are configured for batches ([redact] roots)")
        try:
            path = Path(folder).resolve()
            with suppress(FileNotFoundError, NotADirectoryError):
                path.lstat()  # raises for a name that is too long
        except (OSError, ValueError, RuntimeError):
            raise NotAllowed("a path cannot be that") from None
        if not Path(folder).is_absolute() or not any(path == root or root in path.parents for root in self._roots):
            raise NotAllowed("source and destination are absolute paths below the configured folders ([redact] roots)")
        return path

    def _work(self) -> None:
        while order := self._next():
            try:
                self._run(order)
            except Stopping:
                self._end(order, BatchState.INTERRUPTED)
            except Exception:
                log.exception("batch %s failed", order.name)
                self._end(order, BatchState.FAILED, "an error of ours; the log says where")
        self._archive.close()

    def _next(self) -> _Order | None:
        """The next order; None where there is none, and the thread ends."""
        with self._lock:
            if self._orders:
                return self._orders.popleft()
            self._worker = None
            return None

    def _run(self, order: _Order) -> None:
        batches, refused, done, clean, told = self._archive.batches, list[Refusal](), 0, 0, 0.0
        for number, path in enumerate(order.files, 1):
            if batches.is_cancelled(order.name):
                break
            reason = self._reason(path, order)
            clean += not reason
            if reason and len(refused) < _MOST_TOLD:
                refused.append(Refusal(number, reason))
            if time.monotonic() - told > _OFTEN:
                batches.progress(order.name, number, clean, refused)
                told = time.monotonic()
            done = number
        batches.progress(order.name, done, clean, refused)
        self._end(order, BatchState.FINISHED)

    def _reason(self, path: Path, order: _Order) -> str:
        """Why the file is refused; "" where its result is written."""
        for _ in range(_TRIES):
            try:
                return self._redactor.into_folder(path, order.target, order.asked).reason
            except Stopping:
                raise
            except Unavailable:
                continue
        return "the process that redacts died over it"

    def _end(self, order: _Order, state: BatchState, reason: str = "") -> None:
        with transaction(self._archive.database):
            self._archive.batches.end(order.name, state, reason)
            batch = self._archive.batches.get(order.name)
            detail = {"state": batch.state, "files": batch.total, "clean": batch.clean}
            self._archive.audit.record(SYSTEM, "redact-batch-ended", order.name, detail)
        if order.alive:
            order.alive.give_back()
