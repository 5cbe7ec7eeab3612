"""JSON for programs: how the node stands, what needs a decision, and the decision itself."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, g, jsonify, request, send_from_directory
from flask.typing import ResponseReturnValue

from lethe.storage.archive import Archive
from lethe.storage.jobs import ENDED, STOPPED, Job, holds_back
from lethe.storage.query import Level
from lethe.storage.users import Permission, needs

from ..receipts import compared, document, in_array, values
from .faults import answer
from .overview import decision, moment

_MOST = 1000
_USUAL = 100
_LINES = "application/x-ndjson"


def blueprint(archive: Archive, static: Path) -> Blueprint:
    """/api/v1; its description lies among the static files."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")

    @api.get("/status")
    @needs(Permission.READ)
    def status() -> ResponseReturnValue:
        return jsonify(archive.counts())

    @api.get("/quarantine")
    @needs(Permission.READ)
    def quarantine() -> ResponseReturnValue:
        limit = request.args.get("limit", str(_USUAL))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MOST):
            return answer(400, f"limit is a whole number from 1 to {_MOST}.")
        jobs = archive.jobs.find(states=ENDED, limit=int(limit))
        total = sum(why.jobs for why in archive.jobs.standstills())
        return jsonify(total=total, jobs=[_job(archive, job) for job in jobs])

    @api.post("/jobs/<int(max=9223372036854775807):number>/release")
    @needs(Permission.MANAGE)
    def release(number: int) -> ResponseReturnValue:
        return jsonify(_job(archive, archive.release(number, g.caller.actor)))

    @api.get("/instances/<uid>/receipt")
    @needs(Permission.READ)
    def receipt(uid: str) -> ResponseReturnValue:
        stored = archive.receipts.of(uid)
        if request.args.get("values") != "true":
            return jsonify(document(stored))
        if not g.caller.may(Permission.ORIGINALS):
            return answer(403, "Originals are not shown to you.")
        original = archive.view_original(uid, g.caller.actor) if archive.headers.holds(uid) else None
        rows = compared(archive, stored, original).rows()
        return jsonify(document(stored) | values(original, rows))

    @api.get("/studies/<uid>/receipts")
    @needs(Permission.READ)
    def receipts(uid: str) -> ResponseReturnValue:
        archive.index.one(Level.STUDY, uid)
        documents = (json.dumps(document(stored)) for stored in archive.receipts.of_studies([uid]))
        if request.accept_mimetypes.best_match(["application/json", _LINES]) == _LINES:
            return Response((f"{one}\n" for one in documents), mimetype=_LINES)
        return Response(in_array(documents), mimetype="application/json")

    @api.get("/openapi.json")
    @needs(Permission.READ)
    def openapi() -> Response:
        return send_from_directory(static, "openapi.json")

    return api


def _job(archive: Archive, job: Job) -> dict[str, Any]:
    told = asdict(decision(archive, job))
    return {
        "id": told["number"],
        "stage": job.stage,
        "state": job.state,
        "project": told["project"],
        "source": told["source"],
        "destination": job.destination,
        "reason": job.reason,
        "attempts": told["attempts"],
        "updated": moment(told["at"]),
        "releasable": job.state in STOPPED,
        "discardable": holds_back(job.stage, job.state),
    }
