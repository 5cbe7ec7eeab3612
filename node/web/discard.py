"""The page and the call that discard an original that is held back, or all of its study; it cannot be undone."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, flash, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lethe.storage.archive import Archive
from lethe.storage.discarding import LONGEST_REASON, reason_from
from lethe.storage.errors import Refused
from lethe.storage.jobs import Job
from lethe.storage.users import Permission, needs

from ..heldback import of_its_study
from .faults import answer
from .overview import decision

_JOB = "<int(max=9223372036854775807):number>"
_WHAT = ("object", "study")


def pages(archive: Archive) -> Blueprint:
    """/decisions/<job>/discard: what goes, the reason, the button."""
    buttons = Blueprint("discard", __name__)

    @buttons.get(f"/decisions/{_JOB}/discard")
    @needs(Permission.DELETE)
    def form(number: int) -> str:
        return _page(archive, number)

    @buttons.post(f"/decisions/{_JOB}/discard")
    @needs(Permission.DELETE)
    def discard(number: int) -> ResponseReturnValue:
        what, why = request.form.get("what", "object"), request.form.get("reason", "")
        if what not in _WHAT:
            return answer(400)
        try:
            reason_from(why)
        except Refused as error:
            return _page(archive, number, what=what, reason=why, problem=f"Not discarded: {error}."), 400
        gone = _discard(archive, number, what, why)
        flash(f"{len(gone):,} {'object is' if len(gone) == 1 else 'objects are'} discarded.")
        return redirect(url_for("portal.home"), 303)

    return buttons


def calls(archive: Archive) -> Blueprint:
    """The same below /api/v1."""
    api = Blueprint("discard_api", __name__, url_prefix="/api/v1")

    @api.post(f"/jobs/{_JOB}/discard")
    @needs(Permission.DELETE)
    def discard(number: int) -> ResponseReturnValue:
        asked = request.get_json(silent=True)
        asked = asked if isinstance(asked, dict) else {}
        why, what = asked.get("reason", ""), asked.get("what", "object")
        if not isinstance(why, str) or what not in _WHAT:
            return answer(400, 'The body is JSON: {"reason", "what"}; what is "object" or "study".')
        try:
            reason_from(why)
        except Refused as error:
            return answer(400, f"Not discarded: {error}.")
        return jsonify(jobs=[job.id for job in _discard(archive, number, what, why)])

    return api


def _discard(archive: Archive, number: int, what: str, why: str) -> Sequence[Job]:
    if what == "object":
        return [archive.discard(number, why, g.caller.actor)]
    jobs = of_its_study(archive, archive.discardable(number))
    return archive.discard_all([job.id for job in jobs], why, g.caller.actor)


def _page(archive: Archive, number: int, *, what: str = "object", reason: str = "", problem: str = "") -> str:
    job = archive.discardable(number)
    study = len(of_its_study(archive, job))
    asked = {"what": what, "reason": reason, "problem": problem, "longest": LONGEST_REASON}
    return render_template("discard.html", job=job, told=decision(archive, job), study=study, **asked)
