"""What people and programs do with the queues of destinations: pause, resume, put a study first, send it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, flash, g, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from lethe.storage.errors import NotFound
from lethe.storage.users import Permission, needs

from ..outbox import Outbox, Queue, sent_again
from .faults import answer
from .overview import moment

_MOST = 1000


def pages(outbox: Outbox) -> Blueprint:
    """What the buttons of the portal do."""
    buttons = Blueprint("outgoing", __name__)

    @buttons.post("/destinations/<name>/pause")
    @needs(Permission.MANAGE)
    def pause(name: str) -> ResponseReturnValue:
        outbox.pause(name, g.caller.actor)
        flash(f"Nothing more is sent to {name} until it is resumed.")
        return redirect(url_for("portal.home"), 303)

    @buttons.post("/destinations/<name>/resume")
    @needs(Permission.MANAGE)
    def resume(name: str) -> ResponseReturnValue:
        outbox.resume(name, g.caller.actor)
        flash(f"{name} is sent to again.")
        return redirect(url_for("portal.home"), 303)

    @buttons.post("/studies/<uid>/resend")
    @needs(Permission.MANAGE)
    def resend(uid: str) -> ResponseReturnValue:
        to = request.form.get("to", "")
        jobs = outbox.resend([uid], g.caller.actor, [to] if to else [])
        said = sent_again(jobs)
        flash(f"{said[0].upper()}{said[1:]}.")
        return redirect(url_for("portal.study", uid=uid), 303)

    @buttons.post("/studies/<uid>/first")
    @needs(Permission.MANAGE)
    def first(uid: str) -> ResponseReturnValue:
        jobs = outbox.put_first(uid, g.caller.actor)
        flash(f"{jobs:,} {'instance goes' if jobs == 1 else 'instances go'} before everything else.")
        return redirect(url_for("portal.study", uid=uid), 303)

    return buttons


def calls(outbox: Outbox) -> Blueprint:
    """The same for programs, below /api/v1."""
    api = Blueprint("outgoing_api", __name__, url_prefix="/api/v1")

    @api.get("/queues")
    @needs(Permission.READ)
    def queues() -> ResponseReturnValue:
        return jsonify(queues=[_told(queue) for queue in outbox.queues()])

    @api.post("/queues/<name>/pause")
    @needs(Permission.MANAGE)
    def pause(name: str) -> ResponseReturnValue:
        outbox.pause(name, g.caller.actor)
        return jsonify(_told(_one(outbox, name)))

    @api.post("/queues/<name>/resume")
    @needs(Permission.MANAGE)
    def resume(name: str) -> ResponseReturnValue:
        outbox.resume(name, g.caller.actor)
        return jsonify(_told(_one(outbox, name)))

    @api.post("/resend")
    @needs(Permission.MANAGE)
    def resend() -> ResponseReturnValue:
        asked = request.get_json(silent=True)
        uids = _texts(asked, "uids")
        to = _texts(asked, "to") if isinstance(asked, dict) and "to" in asked else []
        if not uids or to is None:
            return answer(400, f"uids is a list of 1 to {_MOST} UIDs, to a list of destinations.")
        return jsonify(jobs=outbox.resend(uids, g.caller.actor, to))

    @api.post("/studies/<uid>/first")
    @needs(Permission.MANAGE)
    def first(uid: str) -> ResponseReturnValue:
        return jsonify(jobs=outbox.put_first(uid, g.caller.actor))

    return api


def _one(outbox: Outbox, name: str) -> Queue:
    for queue in outbox.queues():
        if queue.name == name:
            return queue
    raise NotFound("there is no such destination")


def _told(queue: Queue) -> dict[str, Any]:
    times = {name: getattr(queue, name) for name in ("oldest", "paused", "next_attempt")}
    written = {name: None if value is None else moment(value) for name, value in times.items()}
    return asdict(queue) | written | {"standing": queue.standing}


def _texts(asked: Any, name: str) -> list[str] | None:
    """A list of texts in a JSON document; None where it is none."""
    found = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(found, list) or len(found) > _MOST or not all(isinstance(one, str) for one in found):
        return None
    return found
