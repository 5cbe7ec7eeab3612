"""Writes into the audit trail who searched for clean objects and who was given some, as PS3.15 A.5.3 wants it told: one
or two entries for a person and a study, however many requests came within some seconds, so that none waits for a disk.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter

from flask import Response, g, request
from pydicom.datadict import tag_for_keyword

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor, Record
from lethe.storage.database import transaction

_LOG = logging.getLogger(__name__)
_TOGETHER = 0.1
"""Seconds in which what is new may come together."""
_MOST_NAMED = 16
_SEARCHES = "qido"
_NOTHING_OF_AN_OBJECT = ("capabilities", "openapi", "unknown", "store", "delete")
_LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")

_Key = tuple[Actor, str, str]


class Reads:
    """What was read, counted until it is written down. Any thread may use it.

    What is new is written at once, by a thread; what the same person does in the same study within `seconds` after that
    waits for them to be over. So a process that ends loses no more than the numbers of its last seconds.
    """

    def __init__(self, archive: Archive, *, seconds: float) -> None:
        self._archive = archive
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: dict[_Key, Counter[str]] = {}
        self._told: set[_Key] = set()
        self._new = threading.Event()
        self._writer: threading.Thread | None = None

    def note(self, response: Response) -> Response:
        """For `app.after_request`: count the request, if it was one that reads and was answered."""
        if request.method in ("GET", "HEAD") and response.status_code in (200, 204, 206, 304):
            read = _read()
            if read is not None:
                self._count((g.caller.actor, *read[:2]), read[2])
        return response

    def write(self) -> bool:
        """Write down what waits; whether there was anything. Where that fails, it waits on."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._told |= waiting.keys()
        try:
            if waiting:
                self._record(waiting)
        except Exception as error:
            _LOG.error("what was read could not be written into the audit trail yet: %s", type(error).__name__)
            for key, what in waiting.items():
                for name, count in what.items():
                    self._count(key, name, count)
        return bool(waiting)

    def _record(self, waiting: dict[_Key, Counter[str]]) -> None:
        with transaction(self._archive.database):
            self._archive.audit.record_all(
                Record(actor, action, subject, {"requests": dict(what)})
                for (actor, action, subject), what in waiting.items()
            )

    def _count(self, key: _Key, what: str, count: int = 1) -> None:
        with self._lock:
            self._waiting.setdefault(key, Counter())[what] += count
            if key not in self._told:
                self._new.set()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="reads", daemon=True)
                self._writer.start()

    def _write_on(self) -> None:
        """Write until nothing came for so many seconds."""
        while True:
            if self._new.wait(self._seconds):
                time.sleep(_TOGETHER)
                self._new.clear()
                self.write()
                continue
            wrote = self.write()
            with self._lock:
                self._told.clear()
                if not wrote and not self._waiting:
                    self._writer = None
                    return


def _read() -> tuple[str, str, str] | None:
    """What this request read: action, subject, and how it asked; None where it read no object."""
    values = request.view_args or {}
    name = (request.endpoint or "").rpartition(".")[2]
    if request.blueprint == "dicomweb" and name not in _NOTHING_OF_AN_OBJECT:
        kind, _, rest = name.rpartition("_")[0].partition("_")
        if kind == _SEARCHES:
            return "searched", values.get("study", ""), f"{rest} {_keys()}".strip()
        return ("accessed", values["study"], rest if kind == "wado" else kind) if "study" in values else None
    if request.blueprint == "wadouri":
        return "accessed", request.args.get("studyUID", "").strip(" \0"), "wado-uri"
    if request.path.startswith("/fhir/"):
        resource, _, identity = request.path.split("/", 3)[-1].partition("/")
        if resource.isalpha() and resource != "metadata":
            known = identity if _LOGICAL_ID.fullmatch(identity) else ""
            return "accessed" if known else "searched", known, f"fhir {resource[:40]}"
    return None


def _keys() -> str:
    """The names of the attributes that are searched by; what is looked for stays with who asked."""
    names = {part for name in request.args for part in name.split(".")}
    known = sorted(name for name in names if re.fullmatch("[0-9A-Fa-f]{8}", name) or tag_for_keyword(name))
    return ",".join(known[:_MOST_NAMED])
