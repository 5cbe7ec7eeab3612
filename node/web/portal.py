"""Pages for people: how the node stands, what needs a decision, and each clean study."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, g, redirect, render_template, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue

from lethe.storage.archive import Archive
from lethe.storage.errors import NotFound, Refused
from lethe.storage.jobs import STOPPED, Stage, State
from lethe.storage.users import Permission, needs

from ..outbox import Outbox
from .overview import first_command, overview
from .receiptpage import Show, page_with_originals, receipt_page
from .studylist import study_list
from .studypage import study_page

_AT_ONCE = 500
_MOST_PROBLEMS = 20
_WAITING = (State.READY, State.GATHERING)


def blueprint(archive: Archive, outbox: Outbox, dicom_address: str, least_free: int) -> Blueprint:
    """/, /studies, /studies/<uid>, the receipts below it, and what their buttons do."""
    portal = Blueprint("portal", __name__)

    @portal.get("/")
    @needs(Permission.READ)
    def home() -> str:
        host = urlsplit(f"//{request.host}").hostname or ""
        command = first_command(dicom_address, host)
        view = overview(archive, outbox, least_free)
        return render_template("home.html", view=view, command=command, dicom=dicom_address)

    @portal.get("/studies")
    @needs(Permission.READ)
    def studies() -> str:
        return render_template("studies.html", view=study_list(archive, request.args))

    @portal.get("/studies/<uid>")
    @needs(Permission.READ)
    def study(uid: str) -> str:
        deliveries = outbox.deliveries(uid)
        waits = any(states.get(wait) for states in deliveries.values() for wait in _WAITING)
        given = {"destinations": outbox.destinations, "deliveries": deliveries, "waits": waits, "State": State}
        return render_template("study.html", page=study_page(archive, uid), **given)

    @portal.get("/studies/<study_uid>/instances/<sop_uid>/receipt")
    @needs(Permission.READ)
    def receipt(study_uid: str, sop_uid: str) -> str:
        show, number = _portion(request.args)
        return render_template("receipt.html", page=receipt_page(archive, study_uid, sop_uid, show, number))

    @portal.post("/studies/<study_uid>/instances/<sop_uid>/receipt")
    @needs(Permission.ORIGINALS)
    def originals(study_uid: str, sop_uid: str) -> str:
        show, number = _portion(request.form)
        page = page_with_originals(archive, study_uid, sop_uid, show, number, g.caller.actor)
        return render_template("receipt.html", page=page)

    @portal.post("/decisions/<int(max=9223372036854775807):number>/release")
    @needs(Permission.MANAGE)
    def release(number: int) -> ResponseReturnValue:
        job = archive.release(number, g.caller.actor)
        flash(f"Job {job.id} will be tried again.")
        return _back()

    @portal.post("/decisions/release")
    @needs(Permission.MANAGE)
    def release_group() -> ResponseReturnValue:
        released = _release_alike(archive)
        flash(f"{released} {'job' if released == 1 else 'jobs'} will be tried again.")
        return _back()

    @portal.post("/audit/verify")
    @needs(Permission.READ)
    def verify() -> str:
        verdict, problems = archive.audit.verify(), archive.receipts.problems()
        return render_template("audit.html", verdict=verdict, problems=list(islice(problems, _MOST_PROBLEMS)))

    return portal


def static_files(folder: str) -> Blueprint:
    """What a browser needs for the pages; it holds nothing about anyone."""
    files = Blueprint("static", __name__)

    @files.get("/static/<path:filename>", endpoint="file")
    @needs(Permission.ANYONE)
    def static(filename: str) -> Response:
        return _kept(send_from_directory(folder, filename))

    @files.get("/favicon.ico", endpoint="icon")
    @needs(Permission.ANYONE)
    def icon() -> Response:
        return _kept(send_from_directory(folder, "mark.svg"))

    return files


def _kept(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-cache"  # kept, but asked for every time: 304 until an update changes it
    return response


def _release_alike(archive: Archive) -> int:
    """Release the jobs that ended for the reason in the form. Many presses for very many: each is a decision on
    record, one transaction each."""
    form = request.form
    try:
        stage, state = Stage(form.get("stage", "")), State(form.get("state", ""))
    except ValueError:
        raise NotFound("there are no such jobs") from None
    if state not in STOPPED:
        raise Refused("only quarantined or failed jobs can be tried again")
    wanted = {"destination": form.get("destination", ""), "reason": form.get("reason", "")}
    alike = archive.jobs.find(states=[state], stage=stage, limit=_AT_ONCE, **wanted)
    return archive.release_all([job.id for job in alike], g.caller.actor)


def _portion(asked: Mapping[str, str]) -> tuple[Show, int]:
    """Which elements of a receipt are asked for, and which page of them; what makes no sense is the beginning."""
    show, number = asked.get("show", ""), asked.get("page", "")
    is_number = number.isascii() and number.isdigit() and len(number) < 9
    return Show(show) if show in tuple(Show) else Show.ALL, int(number) if is_number else 1


def _back() -> ResponseReturnValue:
    return redirect(url_for("portal.home"), 303)
