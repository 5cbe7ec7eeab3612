"""The one door before every HTTP request: who is asking, and may he.

A view states what it needs (`lethe.storage.users.needs`); one that states nothing is closed. Requests that change
something must come from our own pages or from a program, never from a page of another site.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

from lethe.storage.users import Permission

from ..loopback import is_loopback
from .arrival import HEADERS as FORWARDED
from .arrival import names_a_host
from .cors import Cors
from .credentials import NOBODY, Caller, Credentials, Unknown, everyone
from .faults import answer, wants_html
from .throttle import TooManyAttempts

_SAFE = ("GET", "HEAD", "OPTIONS")
_BEFORE_CHANGE = ("login.password", "login.change", "login.leave")


class Guard:
    """Lets a request pass or answers it. `auth` is "local" or "none"; the latter for this machine alone."""

    def __init__(self, credentials: Credentials, *, auth: str, public_url: str, cors: Cors) -> None:
        self._credentials = credentials
        self._cors = cors
        self._auth = auth
        self._public_url = public_url

    def check(self) -> Response | None:
        """For `app.before_request`: None lets the request pass."""
        g.caller = NOBODY
        if not names_a_host(request.environ):
            return answer(400, "The Host header cannot be understood.")
        if self._auth == "none" and not is_from_here(request.remote_addr or "", request.host, request.headers):
            return answer(403, "Without accounts, only this machine itself is served.")
        if request.method not in _SAFE and not (self._is_same_origin() or self._brings_its_token()):
            return answer(403, "This request comes from a page of another site.")
        needed = _needed()
        if needed is None:
            return answer(403)
        try:
            caller = self._open_caller() if needed == Permission.ANYONE else self._caller()
        except Unknown:
            return _who_are_you()
        except TooManyAttempts as error:
            return answer(429, headers={"Retry-After": str(error.seconds)})
        if needed != Permission.ANYONE and caller is None:
            return _please_log_in()
        g.caller = caller or NOBODY
        return _passes(g.caller, needed)

    def _open_caller(self) -> Caller | None:
        """Where anyone may come, a session tells whom to greet, and wrong credentials do no harm."""
        return everyone(request.remote_addr or "") if self._auth == "none" else self._by_session()

    def _caller(self) -> Caller | None:
        """The caller, None where there are no credentials. Raises Unknown where they are wrong."""
        address = request.remote_addr or ""
        if self._auth == "none":
            return everyone(address)
        return self._credentials.by_authorization(request.authorization, address) or self._by_session()

    def _by_session(self) -> Caller | None:
        name, seal = session.get("name"), session.get("seal")
        if not (isinstance(name, str) and isinstance(seal, str)):
            return None
        return self._credentials.by_session(name, seal, request.remote_addr or "")

    def _is_same_origin(self) -> bool:
        """Browsers say where a request comes from and pages cannot forge it; what says nothing is not a browser, or
        one so old that SameSite=Lax on the session must do."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = request.headers.get("Origin")
        return origin is None or origin in (_origin(request.host_url), _origin(self._public_url))

    def _brings_its_token(self) -> bool:
        """A page of a configured origin may change something with a token it was given. What a browser adds by itself,
        a cookie or a remembered password, does not count; nor does anything where there are no accounts."""
        given = request.authorization
        return self._auth == "local" and given is not None and given.type == "bearer" and self._cors.admits()


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie, marked Secure wherever the browser's side of the connection is https."""

    _signer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """What signs and reads the cookie: made once, as its key stays, and not for each request that has none."""
        if self._signer is None:
            self._signer = super().get_signing_serializer(app)
        return self._signer

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure or str(app.config.get("PUBLIC_URL", "")).startswith("https:")


def local_path(text: str) -> str:
    """The text if it is a path on this server, otherwise "/": nobody is sent on to another site."""
    plain = text.isprintable() and "\\" not in text
    parts = urlsplit(text) if plain else None
    if parts is None or parts.scheme or parts.netloc or not text.startswith("/") or text.startswith("//"):
        return "/"
    return text


def _needed() -> Permission | None:
    """What the view states. An address that does not exist takes READ, so that nobody can find out from outside."""
    if request.url_rule is None:
        return Permission.READ
    view: Any = current_app.view_functions.get(request.url_rule.endpoint)
    stated = getattr(view, "permission", None)
    return stated if isinstance(stated, Permission) else None


def _passes(caller: Caller, needed: Permission) -> Response | None:
    if not caller.may(needed):
        return answer(403)
    if caller.must_change and needed != Permission.ANYONE and request.endpoint not in _BEFORE_CHANGE:
        if wants_html():
            return _see_other(url_for("login.password"))
        return answer(403, "The one-time password must be changed first, in a browser.")
    return None


def _please_log_in() -> Response:
    if not wants_html():
        return _who_are_you()
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return _see_other(url_for("login.form", next=None if wanted == "/" else local_path(wanted)))


def _who_are_you() -> Response:
    # A page that asks in the background gets no Basic challenge: the browser would open its own dialog over the page.
    background = request.headers.get("Sec-Fetch-Mode") in ("cors", "no-cors", "same-origin")
    return answer(401, headers={"WWW-Authenticate": "Bearer" if background else 'Bearer, Basic realm="Lethe"'})


def _see_other(location: str) -> Response:
    response = redirect(location, 303)
    assert isinstance(response, Response)
    return response


class HeaderNames(Protocol):
    """The headers of a request."""

    def __contains__(self, name: str, /) -> bool: ...


def is_from_here(address: str, host: str, headers: HeaderNames) -> bool:
    """That the connection is from this machine, not through a proxy, and not from a page whose host name was made to
    point here (DNS rebinding)."""
    if any(name in headers for name in FORWARDED):
        return False
    return is_loopback(address) and is_loopback(urlsplit(f"//{host}").hostname or "")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
