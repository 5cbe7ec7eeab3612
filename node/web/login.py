"""Lets a person log in, choose a password and leave."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from lethe.storage.archive import Archive
from lethe.storage.database import transaction
from lethe.storage.errors import Refused
from lethe.storage.users import Permission, User, needs

from .credentials import Credentials, Unknown
from .faults import answer
from .guard import local_path
from .throttle import TooManyAttempts


def blueprint(archive: Archive, credentials: Credentials, *, auth: str) -> Blueprint:
    """/login, /password and /logout."""
    pages = Blueprint("login", __name__)

    @pages.get("/login")
    @needs(Permission.ANYONE)
    def form() -> AnyResponse:
        wanted = local_path(request.args.get("next", "/"))
        if g.caller.may(Permission.READ):
            return redirect(_mounted(wanted), 303)
        return _login_page(200, wanted)

    @pages.post("/login")
    @needs(Permission.ANYONE)
    def enter() -> AnyResponse:
        if auth == "none":
            return redirect(url_for("portal.home"), 303)
        wanted = local_path(request.form.get("next", "/"))
        name, password = request.form.get("name", ""), request.form.get("password", "")
        try:
            user = credentials.verify(name.strip(), password, request.remote_addr or "", "form")
        except Unknown:
            return _login_page(401, wanted, "Name or password is not right.")
        except TooManyAttempts as error:
            return _wait(_login_page(429, wanted, _patience(error)), error)
        _open_session(credentials, user)
        return redirect(url_for(".password") if user.must_change else _mounted(wanted), 303)

    @pages.get("/password")
    @needs(Permission.READ)
    def password() -> AnyResponse:
        return answer(404) if auth == "none" else _password_page(200)

    @pages.post("/password")
    @needs(Permission.READ)
    def change() -> AnyResponse:
        if "name" not in session:
            return answer(403, "A password is changed by the person who has logged in with it.")
        new = request.form.get("new", "")
        try:
            if not g.caller.must_change:
                credentials.verify(
                    g.caller.name, request.form.get("current", ""), request.remote_addr or "", "password"
                )
            user = _change(archive, new, request.form.get("again", ""))
        except Unknown:
            return _password_page(401, "The present password is not right.")
        except TooManyAttempts as error:
            return _wait(_password_page(429, _patience(error)), error)
        except Refused as error:
            return _password_page(400, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        _open_session(credentials, user)
        return redirect(url_for("portal.home"), 303)

    @pages.post("/logout")
    @needs(Permission.READ)
    def leave() -> AnyResponse:
        session.clear()
        return redirect(url_for(".form"), 303)

    return pages


def _change(archive: Archive, new: str, again: str) -> User:
    if new != again:
        raise Refused("the two new passwords differ")
    if archive.users.authenticate(g.caller.name, new):
        raise Refused("the new password is the old one")
    user = archive.users.change_password(g.caller.name, new)
    with transaction(archive.database):
        archive.audit.record(g.caller.actor, "password-changed")
    return user


def _open_session(credentials: Credentials, user: User) -> None:
    session.clear()
    session["name"], session["seal"] = user.name, credentials.seal(user)


def _login_page(status: int, wanted: str, problem: str = "") -> Response:
    return make_response(render_template("login.html", wanted=wanted, problem=problem), status)


def _password_page(status: int, problem: str = "") -> Response:
    return make_response(render_template("password.html", problem=problem), status)


def _wait(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.seconds)
    return response


def _patience(error: TooManyAttempts) -> str:
    return f"There were too many attempts. Please wait {error.seconds} seconds."


def _mounted(path: str) -> str:
    return f"{request.script_root}{path}"
