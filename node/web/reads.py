"""Writes into the audit trail who searched for clean objects and who was given some, as PS3.15 A.5.3 wants it told: one
or two entries for a person and a study, however many requests came within some seconds, so that none waits for a disk.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from functools import lru_cache

from flask import Request, Response, g
from flask.globals import request_ctx
from pydicom.datadict import tag_for_keyword

from lethe.fhir.search import VOCABULARIES
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor, Record
from lethe.storage.database import transaction

from .credentials import Caller

_LOG = logging.getLogger(__name__)
_TOGETHER = 0.1
"""Seconds in which what is new may come together."""
_MOST_NAMED = 16
_SEARCHES = "qido"
_NOTHING_OF_AN_OBJECT = ("capabilities", "openapi", "unknown", "store", "delete")
_LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")

READS = ("searched", "accessed")
"""The actions that are written here; of what was changed, the portal tells alone."""
_ANSWERED = (200, 204, 206, 304)
_Key = tuple[str, str, str, str]


class Reads:
    """What was read, counted until it is written down. Any thread may use it.

    What is new is written at once, by a thread; what the same person does in the same study within `seconds` after that
    waits for them to be over. So a process that ends loses no more than the numbers of its last seconds.
    """

    def __init__(self, archive: Archive, *, seconds: float) -> None:
        self._archive = archive
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: dict[_Key, dict[str, int]] = {}
        self._told: set[_Key] = set()
        self._new = threading.Event()
        self._writer: threading.Thread | None = None

    def note(self, response: Response) -> Response:
        """For `app.after_request`: count the request, if it was one that reads and was answered."""
        asked = request_ctx.request
        if response.status_code in _ANSWERED and (asked.method in ("GET", "HEAD") or _is_posted_search(asked)):
            read = _read(asked)
            if read is not None:
                caller: Caller = g.caller
                self._count((caller.name, caller.address, *read[:2]), read[2])
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

    def _record(self, waiting: dict[_Key, dict[str, int]]) -> None:
        with transaction(self._archive.database):
            self._archive.audit.record_all(
                Record(Actor(name, address), action, subject, {"requests": what})
                for (name, address, action, subject), what in waiting.items()
            )

    def _count(self, key: _Key, what: str, count: int = 1) -> None:
        with self._lock:
            counts = self._waiting.get(key)
            if counts is None:
                counts = self._waiting[key] = {}
            counts[what] = counts.get(what, 0) + count
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


def _read(asked: Request) -> tuple[str, str, str] | None:
    """What this request read: action, subject, and how it asked; None where it read no object."""
    if asked.blueprint == "dicomweb":
        action, what = _of_dicomweb(asked.endpoint or "")
        study = (asked.view_args or {}).get("study", "")
        if action == "searched":
            return action, study, f"{what} {_keys(asked)}" if asked.query_string else what
        return (action, study, what) if action and study else None
    if asked.blueprint == "wadouri":
        return "accessed", asked.args.get("studyUID", "").strip(" \0"), "wado-uri"
    return _of_fhir(asked) if asked.path.startswith("/fhir/") else None


def _is_posted_search(asked: Request) -> bool:
    """Whether it is a search of FHIR whose parameters are in the body."""
    return asked.method == "POST" and asked.path.startswith("/fhir/") and asked.path.rstrip("/").endswith("/_search")


@lru_cache(maxsize=256)
def _of_dicomweb(endpoint: str) -> tuple[str, str]:
    """Action and kind of a transaction; empty where it gives nothing of an object."""
    name = endpoint.rpartition(".")[2]
    if name in _NOTHING_OF_AN_OBJECT:
        return "", ""
    kind, _, rest = name.rpartition("_")[0].partition("_")
    return ("searched", rest) if kind == _SEARCHES else ("accessed", rest if kind == "wado" else kind)


def _of_fhir(asked: Request) -> tuple[str, str, str] | None:
    resource, _, identity = asked.path.split("/", 3)[-1].rstrip("/").partition("/")
    if resource not in VOCABULARIES:
        return None
    if _LOGICAL_ID.fullmatch(identity):
        return "accessed", identity, f"fhir {resource}"
    names = {re.split("[:.]", name)[0] for source in (asked.args, asked.form) for name in source}
    known = sorted(names & VOCABULARIES[resource].parameters.keys())
    return "searched", "", f"fhir {resource} {','.join(known)}".rstrip()


def _keys(asked: Request) -> str:
    """The names of the attributes that are searched by; what is looked for stays with who asked."""
    names = {part for name in asked.args for part in name.split(".")}
    known = sorted(name for name in names if re.fullmatch("[0-9A-Fa-f]{8}", name) or tag_for_keyword(name))
    return ",".join(known[:_MOST_NAMED])
