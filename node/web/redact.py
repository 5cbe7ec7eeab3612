"""HTTP calls that redact: one file in, the clean one out; or a folder of this machine into another."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from flask import Blueprint, Response, g, jsonify, request, send_file, url_for
from flask.typing import ResponseReturnValue

from lethe.dicomweb.multipart import Part, body, body_length, content_type, new_boundary
from lethe.storage.archive import Archive
from lethe.storage.batches import Batch
from lethe.storage.database import transaction
from lethe.storage.users import Permission, needs

from ..choices import Fill, PixelPolicy, ProfileName
from ..config import Config
from ..redactbatch import BatchRedactor, NotAllowed
from ..redaction import Asked, Redaction, Redactor
from .faults import answer
from .overview import moment

_DICOM = "application/dicom"
_JSON = "application/json"
_BOTH = "multipart/related"
_FORMS = ("application/dicom", "application/octet-stream", "multipart/form-data")
_PIECE = 1 << 20
_FREE = 64 << 20
_MEGABYTE = 1_000_000
_POLICIES: dict[str, PixelPolicy] = {one.value: one for one in PixelPolicy if one != PixelPolicy.NONE}
_FILLS: dict[str, Fill] = {one.value: one for one in Fill}
_BOXES = {"json": _JSON, "multipart": _BOTH}
_Choice = TypeVar("_Choice", bound=StrEnum)


class _Bad(ValueError):
    """The request asks for what there is not. The message says what there is."""


def blueprint(archive: Archive, config: Config, redactor: Redactor | None = None) -> Blueprint:
    """/redact and /redact-batch, to be put below /api/v1."""
    redact = Blueprint("redact", __name__)
    engine = redactor or Redactor(config)
    batches = BatchRedactor(archive, config, engine)

    @redact.post("/redact")
    @needs(Permission.REDACT)
    def one() -> ResponseReturnValue:
        request.max_content_length = config.redact.largest * _MEGABYTE
        if request.mimetype not in _FORMS:
            return answer(415, f"The body is one of {', '.join(_FORMS)}.")
        if shutil.disk_usage(archive.folder).free < _FREE:
            return answer(503, "The disk is nearly full.", {"Retry-After": "60"})
        with _spooled(archive) as (came, clean):
            if not _receive(came):
                return answer(400, 'One file is expected: send it as the body, or as the form field "file".')
            try:
                said = _said()
                asked, form = _asked(config, said), _form(said)
            except _Bad as error:
                return answer(400, f"{error}.")
            made = engine.to_file(came, clean, asked)
            detail = {"project": asked.project, "policy": made.policy, "fill": made.fill}
            with transaction(archive.database):
                outcome = {"refused": made.reason} if made.reason else {}
                archive.audit.record(g.caller.actor, "redacted", made.sop_uid, detail | outcome)
            if made.reason:
                return answer(422, f"Refused: {made.reason}.")
            return _given(clean, _told(made, asked, config), form)

    @redact.post("/redact-batch")
    @needs(Permission.REDACT)
    def many() -> ResponseReturnValue:
        order = request.get_json(silent=True)
        known = {"source", "destination", "project", "policy", "fill"}
        if (
            not isinstance(order, dict)
            or not order.keys() <= known
            or not all(isinstance(x, str) for x in order.values())
        ):
            return answer(400, f"The body is JSON with texts: {', '.join(sorted(known))}.")
        try:
            asked = _asked(config, order)
            name = batches.order(order.get("source", ""), order.get("destination", ""), asked, g.caller.actor)
        except (_Bad, NotAllowed) as error:
            return answer(400, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        response = jsonify(_standing(archive.batches.get(name)))
        response.headers["Location"] = url_for("redact.batch", name=name)
        return response, 202

    @redact.get("/redact-batch/<name>")
    @needs(Permission.REDACT)
    def batch(name: str) -> ResponseReturnValue:
        return jsonify(_standing(archive.batches.get(name)))

    @redact.delete("/redact-batch/<name>")
    @needs(Permission.REDACT)
    def cancel(name: str) -> ResponseReturnValue:
        batches.cancel(name, g.caller.actor)
        return jsonify(_standing(archive.batches.get(name)))

    return redact


@contextmanager
def _spooled(archive: Archive) -> Iterator[tuple[Path, Path]]:
    """Two names in the incoming folder, for what comes and for its result; both are gone afterwards."""
    paths = archive.files.incoming() / f"redact-{uuid.uuid4().hex}", archive.files.incoming() / uuid.uuid4().hex
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _receive(path: Path) -> bool:
    """Write the file of the request to disk; whether there was one, and no other."""
    if request.mimetype == "multipart/form-data":
        sent = request.files.getlist("file")
        if len(sent) != 1:
            return False
        sent[0].save(path)
        return path.stat().st_size > 0
    with path.open("wb") as file:
        shutil.copyfileobj(request.stream, file, _PIECE)
    return path.stat().st_size > 0


def _said() -> Mapping[str, str]:
    """What query and form say. Raises _Bad where they contradict each other, or themselves."""
    said: dict[str, set[str]] = {}
    for name, values in (*request.args.lists(), *request.form.lists()):
        said.setdefault(name, set()).update(values)
    if any(len(values) > 1 for values in said.values()):
        raise _Bad("The same is asked for in two ways")
    return {name: value for name, (value,) in said.items()}


def _asked(config: Config, said: Mapping[str, Any]) -> Asked:
    """What the caller wants. Raises _Bad."""
    name = said.get("project") or ("default" if config.project("default") else config.projects[0].name)
    project = config.project(name)
    if project is None:
        raise _Bad("There is no such project")
    if project.profile == ProfileName.NONE:
        raise _Bad("That project passes objects through unchanged, so it redacts nothing")
    return Asked(name, _choice("policy", _POLICIES, said), _choice("fill", _FILLS, said))


def _choice(name: str, choices: Mapping[str, _Choice], said: Mapping[str, Any]) -> _Choice | None:
    """The choice that was made, None where there was none. Raises _Bad."""
    if not said.get(name):
        return None
    if said[name] not in choices:
        raise _Bad(f"{name} is one of {', '.join(choices)}")
    return choices[said[name]]


def _form(said: Mapping[str, Any]) -> str:
    """In what form the answer is wanted: as `boxes` says, or what the caller accepts before DICOM. Raises _Bad."""
    if not said.keys() <= {"project", "policy", "fill", "boxes"}:
        raise _Bad("What may be asked for is project, policy, fill, boxes")
    boxes = said.get("boxes")
    if boxes and boxes not in _BOXES:
        raise _Bad(f"boxes is one of {', '.join(_BOXES)}")
    return _BOXES[boxes] if boxes else request.accept_mimetypes.best_match([_DICOM, _JSON, _BOTH]) or _DICOM


def _given(path: Path, told: Mapping[str, Any], form: str) -> Response:
    """The clean file, what is told of it, or both."""
    if form == _JSON:
        return jsonify(told)
    if form == _BOTH:
        return _both(path, told)
    return send_file(path.open("rb"), mimetype=_DICOM, as_attachment=True, download_name="redacted.dcm")


def _both(path: Path, told: Mapping[str, Any]) -> Response:
    """The file, which has no name any more once it is sent, and what is told of it, as two parts."""
    file, said = path.open("rb"), json.dumps(told).encode()
    parts = [
        Part(_DICOM, "", lambda: iter(lambda: file.read(_PIECE), b""), path.stat().st_size),
        Part(_JSON, "", lambda: (said,), len(said)),
    ]
    boundary = new_boundary()
    response = Response(body(parts, boundary), content_type=content_type(_DICOM, boundary))
    response.headers["Content-Length"] = str(body_length(parts, boundary))
    response.call_on_close(file.close)
    return response


def _told(made: Redaction, asked: Asked, config: Config) -> dict[str, Any]:
    project = config.project(asked.project)
    return {
        "sop_instance_uid": made.sop_uid,
        "project": asked.project,
        "policy": made.policy,
        "fill": made.fill,
        "text_finders": list(project.text_finders) if project else [],
        "engines": list(made.pixels.get("engines", [])),
        "boxes": list(made.pixels.get("boxes", [])),
    }


def _standing(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "state": batch.state,
        "asked": dict(batch.asked),
        "total": batch.total,
        "done": batch.done,
        "clean": batch.clean,
        "refused": batch.done - batch.clean,
        "refusals": [{"file": one.file, "reason": one.reason} for one in batch.refused],
        "reason": batch.reason,
        "started": moment(batch.started),
        "updated": moment(batch.updated),
    }
