"""Tells machines how the node is: alive, ready, and in numbers."""

from __future__ import annotations

import logging
import os

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from lethe.storage.archive import Archive
from lethe.storage.files import free_bytes
from lethe.storage.jobs import Stage, State
from lethe.storage.queues import QueueState
from lethe.storage.users import Permission, needs

_LOG = logging.getLogger(__name__)
_FULL = 64 << 20
_HELP = {
    "received": "Objects received",
    "waiting": "Objects waiting to be de-identified",
    "running": "Objects being de-identified",
    "held": "Objects no route matches",
    "quarantined": "Objects refused, awaiting a decision",
    "published": "Objects de-identified, one count per project",
    "reidentified": "Results given their originals again",
    "sending": "Deliveries under way or waiting",
    "delivered": "Deliveries acknowledged by the destination",
    "undeliverable": "Deliveries refused, awaiting a decision",
    "failed": "Jobs given up, awaiting a decision",
    "discarded": "Objects discarded by a person, one count per project",
    "studies": "Clean studies",
    "series": "Clean series",
    "instances": "Clean instances",
    "vouching": "Storage commitments a peer waits for",
    "unpromised": "Deliveries whose destination has not committed them yet",
    "promised": "Deliveries their destination has committed",
    "announcing": "Notices of availability still to be given",
}


def blueprint(archive: Archive, *, least_free: int) -> Blueprint:
    """/healthz, /readyz and /metrics. With less than `least_free` bytes of room nobody is let in to send objects."""
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    @needs(Permission.ANYONE)
    def alive() -> ResponseReturnValue:
        return jsonify(status="ok")

    @health.get("/readyz")
    @needs(Permission.ANYONE)
    def ready() -> ResponseReturnValue:
        reason = _why_not(archive, least_free)
        if reason:
            return jsonify(status="not ready", reason=reason), 503, {"Retry-After": "10"}
        return jsonify(status="ready")

    @health.get("/metrics")
    @needs(Permission.READ)
    def metrics() -> ResponseReturnValue:
        return Response(_exposition(archive), content_type="text/plain; version=0.0.4; charset=utf-8")

    return health


def _why_not(archive: Archive, least_free: int) -> str:
    """Why no object could be accepted just now; empty if one could."""
    try:
        archive.jobs.has_open(Stage.CLEAN)
        archive.audit.newest(1)
    except Exception as error:  # whatever the driver raises, the answer is the same; its message names paths
        _LOG.error("the database does not answer: %s", type(error).__name__)
        return "the database does not answer"
    if not all(os.access(archive.folder / room, os.W_OK | os.X_OK) for room in ("incoming", "inbox", "clean")):
        return "the data folder cannot be written to"
    free = free_bytes(archive.folder)
    if free < _FULL:
        return "the data folder is full"
    return "the disk of the data folder is filling up" if free < least_free else ""


def _exposition(archive: Archive) -> str:
    lines = []
    for name, count in archive.counts().items():
        lines += [
            f"# HELP lethe_{name} {_HELP.get(name, name)}.",
            f"# TYPE lethe_{name} gauge",
            f"lethe_{name} {count}",
        ]
    lines += ["# HELP lethe_disk_free_bytes Room on the disk of the data folder.", "# TYPE lethe_disk_free_bytes gauge"]
    lines.append(f"lethe_disk_free_bytes {free_bytes(archive.folder)}")
    waiting = archive.jobs.destinations()
    if waiting:
        lines += ["# HELP lethe_deliveries Deliveries by destination and state.", "# TYPE lethe_deliveries gauge"]
    for destination, states in sorted(waiting.items()):
        lines += [
            f'lethe_deliveries{{destination="{_label(destination)}",state="{state}"}} {states.get(state, 0)}'
            for state in State
            if state != State.HELD
        ]
    queues = dict.fromkeys(waiting, QueueState()) | archive.queues.states()
    if queues:
        lines += ["# HELP lethe_queue_paused Whether a person paused it.", "# TYPE lethe_queue_paused gauge"]
        lines += [
            f'lethe_queue_paused{{destination="{_label(name)}"}} {int(state.paused > 0)}'
            for name, state in sorted(queues.items())
        ]
        lines += ["# HELP lethe_queue_failures Failures in a row.", "# TYPE lethe_queue_failures gauge"]
        lines += [
            f'lethe_queue_failures{{destination="{_label(name)}"}} {state.failures}'
            for name, state in sorted(queues.items())
        ]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
