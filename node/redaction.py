"""Redacts single files for those who ask over HTTP, in one process of its own that is started when it is first needed:
the web side itself never loads the engine."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

from .choices import Fill, PixelPolicy
from .config import Config
from .deid.errors import CannotClean
from .folder import write_object

if TYPE_CHECKING:
    from .projects import Project, Projects

_MOST_WAITING = 4


@dataclass(frozen=True)
class Asked:
    """Whose rules hold, and what is to be other than the project says; None: as it says."""

    project: str
    policy: PixelPolicy | None = None
    fill: Fill | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What differs, as settings of a project."""
        said = {"pixel_policy": self.policy, "fill": self.fill}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class Redaction:
    """What became of one file: why it was refused, or the clean instance and what was done to its pixels."""

    reason: str = ""
    sop_uid: str = ""
    policy: str = ""
    fill: str = ""
    pixels: Mapping[str, Any] = field(default_factory=dict)
    """Boxes, engine and the like, as the receipt has them."""


class Stopping(Unavailable):
    """This program is about to end."""


class Redactor:
    """The one process that redacts; any thread may ask."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def to_file(self, source: Path, target: Path, asked: Asked) -> Redaction:
        """Write the clean object as that file. Raises Unavailable where too many wait already, the process died, or
        everything ends."""
        if not self._waiting.acquire(blocking=False):
            raise Unavailable("too many files are being redacted")
        try:
            return self._run(source, target, asked, False)
        finally:
            self._waiting.release()

    def into_folder(self, source: Path, target: Path, asked: Asked) -> Redaction:
        """Write the clean object below that folder, named by its new UIDs. Raises Unavailable where the process
        died."""
        return self._run(source, target, asked, True)

    def close(self) -> None:
        """End the process, once it has done what it is doing."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(cancel_futures=True)

    def _run(self, source: Path, target: Path, asked: Asked, is_folder: bool) -> Redaction:
        with self._lock:
            pool = self._pool = self._pool or self._started()
        try:
            return pool.submit(_redact, source, target, asked, is_folder).result()
        except BrokenProcessPool:
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            raise Unavailable("the process that redacts has died") from None
        except (CancelledError, RuntimeError):  # nothing is submitted any more: this program is about to end
            raise Stopping("redacting has ended") from None

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(self._config,))
        # The web process is a child of multiprocessing as well, which at its end waits for its own children before
        # the pool would tell them to end. What is finalized comes before that; queues are at 10.
        Finalize(None, pool.shutdown, kwargs={"cancel_futures": True}, exitpriority=20)
        return pool


class _Process:
    """What the process holds."""

    projects: Projects
    ready: dict[Asked, tuple[Project, Project]]


def _prepare(config: Config) -> None:
    from .projects import projects_of  # the engine is loaded here and not in the web process

    parent = multiprocessing.parent_process()
    if parent:  # killed, it could not tell us to end
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
    warnings.simplefilter("ignore")
    archive = Archive(config.data, config.database)
    _Process.projects = projects_of(config, archive.files, archive.crosswalk, archive.rulebook)
    _Process.ready = {}


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _project(asked: Asked) -> Project:
    """The project as asked for; the same object for as long as its key, list and rules stay."""
    current = _Process.projects[asked.project]
    if not asked.settings:
        return current
    before, varied = _Process.ready.get(asked, (None, None))
    if varied is None or before is not current:
        varied = _Process.projects.varied(asked.project, **asked.settings)
        _Process.ready[asked] = current, varied
    return varied


def _redact(source: Path, target: Path, asked: Asked, is_folder: bool) -> Redaction:
    project = _project(asked)
    try:
        with source.open("rb") as file:
            cleaned = project.clean(file)
            if is_folder:
                write_object(cleaned.instance, cleaned.chunks(), target)
            else:
                with target.open("wb") as result:
                    result.writelines(cleaned.chunks())
    except CannotClean as refusal:
        return Redaction(str(refusal), policy=project.pixel_policy, fill=project.fill)
    except OSError as error:
        return Redaction(f"it cannot be read, or its result not written ({error.strerror})")
    except Exception as error:  # nothing unclean was written, and the next file may be another matter
        return Redaction(f"unexpected {type(error).__name__}")
    pixels = cleaned.receipt.get("pixels", {})
    policy = pixels.get("policy", project.pixel_policy)  # what "auto" means for this object
    return Redaction("", cleaned.instance.sop_uid, policy, project.fill, pixels)
