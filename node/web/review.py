"""Pages and calls of the review desk: what a quarantined object looks like, and what a person decides about it."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, flash, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lethe.storage.archive import Archive
from lethe.storage.users import Permission, needs

from ..burned.review import BadReview, Suspect
from ..reviewdesk import Case, ReviewDesk
from .faults import answer

_JOB = "<int(max=9223372036854775807):number>"
_FRAME = "<int(max=1000000):frame>"


def pages(archive: Archive) -> Blueprint:
    """/quarantine/<job>, its frames, and the decision."""
    desk, review = ReviewDesk(archive), Blueprint("review", __name__)

    @review.get(f"/quarantine/{_JOB}")
    @needs(Permission.ORIGINALS)
    def case(number: int) -> str:
        found = desk.case(number)
        return render_template("review.html", case=found, suspects=[_suspect(one) for one in found.suspects])

    @review.get(f"/quarantine/{_JOB}/frames/{_FRAME}")
    @needs(Permission.ORIGINALS)
    def frame(number: int, frame: int) -> Response:
        return Response(desk.frame(number, frame, g.caller.actor), mimetype="image/png")

    @review.post(f"/quarantine/{_JOB}/review")
    @needs(Permission.ORIGINALS)
    def decide(number: int) -> ResponseReturnValue:
        if not g.caller.may(Permission.MANAGE):
            return answer(403)
        try:
            document, learn = _decision()
            desk.decide(number, document, g.caller.actor, learn=learn)
        except BadReview as error:
            flash(f"Not released: {error}.")
            return redirect(url_for("review.case", number=number), 303)
        flash(f"Job {number} is worked on again, with your decision.")
        return redirect(url_for("portal.home"), 303)

    return review


def calls(archive: Archive) -> Blueprint:
    """The same below /api/v1."""
    desk, review = ReviewDesk(archive), Blueprint("review_api", __name__, url_prefix="/api/v1")

    @review.get(f"/quarantine/{_JOB}")
    @needs(Permission.ORIGINALS)
    def case(number: int) -> ResponseReturnValue:
        return jsonify(_told(desk.case(number)))

    @review.get(f"/quarantine/{_JOB}/frames/{_FRAME}")
    @needs(Permission.ORIGINALS)
    def frame(number: int, frame: int) -> Response:
        return Response(desk.frame(number, frame, g.caller.actor), mimetype="image/png")

    @review.post(f"/quarantine/{_JOB}/review")
    @needs(Permission.ORIGINALS)
    def decide(number: int) -> ResponseReturnValue:
        if not g.caller.may(Permission.MANAGE):
            return answer(403)
        document = request.get_json(silent=True)
        if not isinstance(document, dict) or not isinstance(document.get("learn", ""), str):
            return answer(400, 'The body is JSON: {"boxes", "accepts_rest", "learn"}.')
        learn = document.pop("learn", "")
        try:
            job = desk.decide(number, document, g.caller.actor, learn=learn)
        except BadReview as error:
            return answer(400, f"This is no decision: {error}.")
        return jsonify(id=job.id, state=job.state, project=job.project)

    return review


def _decision() -> tuple[object, str]:
    """What the page's form says, and the name of the rule to learn."""
    form = request.form
    if form.get("decision") == "clean":
        if "accepts_rest" not in form:  # one press of the wrong button must not release a name
            raise BadReview("first say that you have seen every frame")
        return {"boxes": [], "accepts_rest": True}, ""
    try:
        boxes = json.loads(form.get("boxes", "[]"))
    except ValueError:
        raise BadReview("the boxes did not arrive; the page needs its script to redact") from None
    if not boxes:
        raise BadReview("there is no box to redact")
    learn = form.get("rule", "").strip() or "learned" if "learn" in form else ""
    return {"boxes": boxes, "accepts_rest": "accepts_rest" in form}, learn


def _told(case: Case) -> dict[str, Any]:
    form = case.form
    return {
        "id": case.job.id,
        "project": case.job.project,
        "reason": case.job.reason,
        "frames": form.frames if form else 0,
        "rows": form.rows if form else 0,
        "columns": form.columns if form else 0,
        "device": form.device if form else "",
        "boxes": [_suspect(one) for one in case.suspects],
    }


def _suspect(one: Suspect) -> dict[str, Any]:
    return {"frame": one.frame, "box": list(one.box), "why": one.why}
