"""Stores instances (STOW-RS, PS3.18 10.5): takes the body to disk as it comes, hands each object to the archive as
DIMSE does, and waits a while, so that the answer can say where the clean instances are.

Nothing is taken over unless the whole body could be read. What was taken over is as durable as after a C-STORE, and the
same body sent again does nothing twice and is answered with what has become of it since.
"""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Response, request
from pydicom.uid import UID
from werkzeug.exceptions import UnsupportedMediaType

from lethe.storage.archive import Archive
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.files import free_bytes
from lethe.storage.intake import Arrival, Origin, Plan, Planner
from lethe.storage.jobs import Stage, State
from lethe.storage.outcomes import Outcome

from . import accept
from .accept import JSON, JSON_TYPES, MULTIPART, MediaRange, Offer
from .answers import Service, accepted, warned
from .composing import METADATA_TYPES, Composer
from .identify import Identity, identify
from .nativexml import native_xml
from .stored import Failure, Place, Report, response_of
from .unpacking import Unpacker

_DICOM = "application/dicom"
_XML_TYPES = ("application/dicom+xml", "application/xml", "text/xml")
_OFFERS = (JSON, *(Offer(name) for name in _XML_TYPES))
_PIECE = 1 << 20
_LEAST_FREE = 64 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_MOST_PARTS = 50_000
_MOST_WAITING = 16
_PAUSES = (0.02, 0.25)
_WORKING = "Some instances are still being de-identified. Sending the same again tells what has become of them."
_TWICE = "An instance occurs more than once in this request; it was stored once."
_PARTLY = "For some projects, instances were held back."


@dataclass(frozen=True)
class Reception:
    """What is done with objects that are stored. `wait` is in seconds, `largest` in bytes of one body; `waiting` says
    how many may wait at a time, so that some threads are left for other requests."""

    origin: Callable[[], Origin] = lambda: Origin("stow", request.remote_addr or "")
    planner: Planner = lambda _arrival: Plan()
    wait: float = 0.0
    largest: int = 1 << 30
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MOST_WAITING))


def store(service: Service, study: str = "", *, reception: Reception) -> Response:
    """Store what the body holds, all of it in one study if the address names one."""
    offer = accept.choose(accepted(), _OFFERS)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    request.max_content_length = reception.largest
    report = Report()
    with _folder(service.archive) as folder:
        files = list(_received(folder))
        if not files:
            raise Refused("the body holds no instance")
        _take_over(service, reception, files, study, report)
    response = _answer(response_of(report, service.base()), offer.media_type)
    # One body that is no DICOM at all is bad syntax; a part that is none may stand among others that are.
    response.status_code = 400 if report.is_unreadable and _kind().media_type == _DICOM else report.status
    if report.status == 503:
        response.headers["Retry-After"] = "60"
    return warned(service, response, report.warnings)


def _take_over(
    service: Service, reception: Reception, files: Sequence[Path | Identity], study: str, report: Report
) -> None:
    origin = reception.origin()
    taken: dict[str, tuple[Identity, Plan]] = {}  # by the digest of the data set
    for path in files:
        identity = identify(path) if isinstance(path, Path) else path
        if isinstance(path, Identity) or not identity.is_complete:
            report.fail(identity, Failure.CANNOT_UNDERSTAND)
        elif study and identity.study_uid != study:
            report.fail(identity, Failure.OTHER_STUDY)
        else:
            name = service.archive.digests.of(path)
            if name in taken:
                report.warnings = [_TWICE]
                continue
            try:
                plan = reception.planner(Arrival(origin, path, time.time()))
                service.archive.accept(
                    path,
                    identity.sop_uid,
                    origin,
                    plan.projects,
                    plan.stage,
                    plan.handling,
                    digest=name,
                    sop_class=identity.sop_class,
                    by=service.actor(),
                )
                taken[name] = identity, plan
            except (Unavailable, OSError):
                report.fail(identity, Failure.OUT_OF_RESOURCES)
    with _patience(reception) as seconds:
        outcomes = _awaited(service.archive, {name: plan.stage for name, (_, plan) in taken.items()}, seconds)
    for name, (identity, plan) in taken.items():
        # What the same bytes became in a project that is not the sender's is not for him to know.
        _judge(identity, [one for one in outcomes[name] if one.project in (*plan.projects, "")], report)


@contextmanager
def _patience(reception: Reception) -> Iterator[float]:
    """How many seconds this request may wait."""
    if not reception.waiting.acquire(blocking=False):
        yield 0.0
        return
    try:
        yield reception.wait
    finally:
        reception.waiting.release()


def _awaited(archive: Archive, stages: Mapping[str, Stage], seconds: float) -> dict[str, list[Outcome]]:
    """What has become of the originals of these names, once all have their verdict or the time is over."""
    deadline, pause = time.monotonic() + seconds, _PAUSES[0]
    outcomes = _outcomes(archive, stages)
    while True:
        open_ones = {
            name: stage for name, stage in stages.items() if any(outcome.is_open for outcome in outcomes[name])
        }
        if not open_ones or time.monotonic() >= deadline:
            return outcomes
        time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 1.5, _PAUSES[1])
        outcomes |= _outcomes(archive, open_ones)


def _outcomes(archive: Archive, stages: Mapping[str, Stage]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for stage in sorted(set(stages.values())):
        found |= archive.outcomes([name for name, own in stages.items() if own == stage], stage)
    return found


def _judge(identity: Identity, outcomes: Sequence[Outcome], report: Report) -> None:
    """Say what has become of one object: for each project with a clean instance where that is, otherwise the worst."""
    placed = [outcome for outcome in outcomes if outcome.sop_uid]
    states = {outcome.state for outcome in outcomes}
    bad = states & {State.QUARANTINED, State.FAILED}
    waiting = states & {State.READY, State.RUNNING, State.HELD}
    for outcome in placed:
        report.stored.append((identity, Place(outcome.study_uid, outcome.series_uid, outcome.sop_uid)))
    if placed and bad:
        report.warnings.append(_PARTLY)
    elif bad and not waiting:
        held_back = Failure.HELD_BACK if UID(identity.sop_class).type else Failure.SOP_CLASS
        report.fail(identity, held_back if State.QUARANTINED in bad else Failure.PROCESSING)
        return
    if not placed:
        report.stored.append((identity, None))
    if waiting:
        report.warnings.append(_WORKING)
    report.warnings = list(dict.fromkeys(report.warnings))


@contextmanager
def _folder(archive: Archive) -> Iterator[Path]:
    """A folder for what comes in; nothing is left of it. A full disk is no fault of the sender's."""
    folder = archive.files.incoming() / f"stow-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        yield folder
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Unavailable("the disk of the data folder is full, or it cannot be written to") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _received(folder: Path) -> Iterator[Path | Identity]:
    """A Part 10 file for each object in the body, or what it is where none can be made. Raises Refused, Unavailable,
    UnsupportedMediaType."""
    kind = _kind()
    if kind.media_type in (_DICOM, *METADATA_TYPES):
        path = folder / "0"
        if _write(path, iter(lambda: request.stream.read(_PIECE), b"")):
            yield from [path] if kind.media_type == _DICOM else _alone(folder, kind.media_type, path)
        return
    kind_of_parts = accept.parse(kind.parameters.get("type", _DICOM))
    root = kind_of_parts[0].media_type if kind_of_parts else ""
    if kind.media_type != MULTIPART or root not in (_DICOM, *METADATA_TYPES):
        raise UnsupportedMediaType
    if not kind.parameters.get("boundary"):
        raise Refused("the Content-Type names no boundary")
    parts = Unpacker(request.stream.read, kind.parameters["boundary"]).parts()
    if root == _DICOM:
        for number, (_, content) in enumerate(parts):
            yield _write_part(folder, number, content)
    else:
        composer = Composer(folder, root)
        for number, (headers, content) in enumerate(parts):
            composer.take(headers, _write_part(folder, number, content))
        yield from composer.objects()


def _kind() -> MediaRange:
    return next(iter(accept.parse(request.headers.get("Content-Type", ""))), MediaRange(""))


def _alone(folder: Path, media_type: str, path: Path) -> Iterator[Path | Identity]:
    """The objects of metadata that come without bulk data, and so without multipart."""
    composer = Composer(folder, media_type)
    composer.take({}, path)
    yield from composer.objects()


def _write_part(folder: Path, number: int, content: Iterable[bytes]) -> Path:
    if number >= _MOST_PARTS:
        raise Refused(f"a body has at most {_MOST_PARTS} parts")
    path = folder / str(number)
    _write(path, content)
    return path


def _write(path: Path, content: Iterable[bytes]) -> int:
    size = 0
    with path.open("wb") as file:
        for piece in content:
            if free_bytes(path.parent) < _LEAST_FREE:
                raise Unavailable("the disk of the data folder is nearly full")
            size += file.write(piece)
    return size


def _answer(answer: dict[str, Any], media_type: str) -> Response:
    if media_type in _XML_TYPES:
        body = native_xml(answer).encode()
    else:
        body, media_type = json.dumps(answer, separators=(",", ":")).encode(), JSON_TYPES[0]
    response = Response(body, content_type=media_type)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept"
    return response
