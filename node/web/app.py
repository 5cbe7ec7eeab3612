"""Builds the one Flask application: the door, the pages, the JSON API, and the protocols handed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, g, request, url_for
from flask.wrappers import Response
from jinja2 import StrictUndefined

from lethe.storage.archive import Archive
from lethe.storage.users import Permission

from ..deid.latin9 import know_latin_9
from ..outbox import Outbox
from . import api, discard, faults, health, login, outgoing, portal, review, upload
from .arrival import arriving, host_of
from .cors import Cors
from .credentials import NOBODY, Credentials, session_key
from .guard import Guard, Sessions
from .overview import moment
from .reads import Reads

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STATIC = Path(__file__).parent / "static"
_SESSION = timedelta(hours=12)
_MOST_ASKED = 1 << 20
# Everything from our own origin, nothing inline. A view that needs more (the viewer) sets its own.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers send "Origin: null" from our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(
    archive: Archive,
    *,
    auth: str,
    admin_token: str,
    blueprints: Sequence[tuple[Blueprint, str]],
    outbox: Outbox,
    instance_path: Path,
    read_token: str = "",
    public_url: str = "",
    dicom_address: str = "LETHE at 127.0.0.1:11112",
    least_free: int = 0,
    cors_origins: Sequence[str] = (),
    trusted_proxies: Sequence[str] = (),
    audit_reads: float = 0,
) -> Flask:
    """The application over one archive.

    `auth` is "local" or "none"; `blueprints` come with their URL prefix; `outbox` knows the destinations;
    `dicom_address` is ours as "AETITLE at host:port"; pages of `cors_origins` may use DICOMweb and FHIR;
    `trusted_proxies` are addresses and networks whose word is taken; reads that come within `audit_reads` seconds are
    audited together, with 0 none are; with less than `least_free` bytes of room it is not ready. An empty `admin_token`
    or `read_token` lets nobody in.
    """
    if auth not in ("local", "none"):
        raise ValueError('auth is "local" or "none"')
    know_latin_9()
    app = Flask(__name__, instance_path=str(instance_path.resolve()), static_folder=None)
    key = session_key(archive)
    _configure(app, key, public_url, trusted_proxies)
    credentials = Credentials(archive, admin_token, key, read_token=read_token)
    cors = Cors(cors_origins)
    app.before_request(cors.answer_preflight)
    app.before_request(Guard(credentials, auth=auth, public_url=public_url, cors=cors).check)
    if audit_reads:
        app.after_request(Reads(archive, seconds=audit_reads).note)
    app.after_request(_harden)
    app.after_request(cors.allow)  # run first, since the last is: what it says of an answer stays
    faults.register(app)
    app.register_blueprint(health.blueprint(archive, least_free=least_free))
    app.register_blueprint(portal.static_files(str(_STATIC)))
    app.register_blueprint(login.blueprint(archive, credentials, auth=auth))
    app.register_blueprint(portal.blueprint(archive, outbox, dicom_address, least_free))
    app.register_blueprint(upload.blueprint())
    app.register_blueprint(api.blueprint(archive, _STATIC))
    app.register_blueprint(outgoing.pages(outbox))
    app.register_blueprint(outgoing.calls(outbox))
    app.register_blueprint(discard.pages(archive))
    app.register_blueprint(discard.calls(archive))
    app.register_blueprint(review.pages(archive))
    app.register_blueprint(review.calls(archive))
    for blueprint, prefix in blueprints:
        app.register_blueprint(blueprint, url_prefix=prefix)
    _dress(app, auth)
    return app


def root_url(public_url: str) -> str:
    """The absolute root of the service, without a slash at its end: what is configured, or what this request used."""
    here = f"{request.scheme}://{host_of(request.environ, request.host)}{request.script_root}"
    return (public_url or here).rstrip("/")


def _configure(app: Flask, key: bytes, public_url: str, trusted_proxies: Sequence[str]) -> None:
    app.config.update(
        SECRET_KEY=key,
        MAX_CONTENT_LENGTH=_MOST_ASKED,  # a view that takes more says so
        PUBLIC_URL=public_url,
        SESSION_COOKIE_NAME="lethe",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=_SESSION,  # the signature's age limit as well, so the server ends it too
    )
    app.session_interface = Sessions()
    app.jinja_env.autoescape = True
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    mount = urlsplit(public_url).path.rstrip("/")
    if mount:
        app.wsgi_app = _mounted(app.wsgi_app, mount)  # type: ignore[method-assign, assignment]
    app.wsgi_app = arriving(app.wsgi_app, trusted_proxies)  # type: ignore[method-assign, assignment]


def _dress(app: Flask, auth: str) -> None:
    """What every template may use."""

    @app.context_processor
    def given() -> dict[str, Any]:
        return {"person": g.get("caller", NOBODY), "has_accounts": auth == "local", "Permission": Permission}

    app.add_template_filter(moment)
    app.add_template_filter(lambda count: f"{count:,}", "grouped")
    app.add_template_global(lambda name: url_for("static.file", filename=name), "static")
    app.add_template_global(lambda path: f"{request.script_root}{path}", "mounted")


def _harden(response: Response) -> Response:
    said = {name.lower() for name, _ in response.headers}
    response.headers.extend([(name, value) for name, value in _HEADERS.items() if name.lower() not in said])
    return response


def _mounted(inner: WSGIApplication, mount: str) -> WSGIApplication:
    """Serves under the path of the public URL, whether the proxy in front takes it off or leaves it."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == mount or path.startswith(f"{mount}/"):
            environ["PATH_INFO"] = path[len(mount) :] or "/"
        environ["SCRIPT_NAME"] = mount
        return inner(environ, start_response)

    return serve
