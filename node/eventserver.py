"""Opens channels for event reports (PS3.18 8.10.4): a WebSocket at `/dicom-web/ws/subscribers/<AE title>`, for
those who may use the worklist, on a port of its own, since the server of all else speaks no WebSocket."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from werkzeug.datastructures import Authorization

from lethe.storage.aetitles import ae_title
from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable
from lethe.storage.users import Permission

from .channels import Channels
from .config import Config
from .web.arrival import arriving
from .web.credentials import ADMIN_TOKEN_VARIABLE, Caller, Credentials, Unknown, everyone, session_key
from .web.guard import is_from_here
from .web.throttle import TooManyAttempts

log = logging.getLogger("lethe.events")

_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/ws/subscribers/([^/]+)")
_LARGEST, _MOST = 1 << 10, 1000
"""Bytes of the longest message from a client, none of which is needed, and channels that are open at a time."""
_TRY_AGAIN = 5.0
_FAREWELL = 1.0
"""Seconds in which the last report reaches its readers."""


class Door:
    """Says of a request for a channel whether it is opened."""

    def __init__(self, config: Config, archive: Archive, channels: Channels) -> None:
        self._mode = config.auth.mode
        self._http = config.http
        self._channels = channels
        token = os.environ.get(ADMIN_TOKEN_VARIABLE, "")
        self._credentials = Credentials(archive, token, session_key(archive))
        self._seen = arriving(lambda _environ, _start: [], config.http.trusted_proxies)

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """None opens the channel."""
        if self._channels.open >= _MOST:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "60"})
        environ = _environ(connection, request)
        self._seen(environ, _never)
        address, headers = str(environ["REMOTE_ADDR"]), request.headers
        if self._mode == "none" and not is_from_here(address, headers.get("Host", ""), headers):
            return _refusal(HTTPStatus.FORBIDDEN)
        if not self._is_of_ours(headers, str(environ.get("HTTP_HOST", ""))):
            return _refusal(HTTPStatus.FORBIDDEN)
        try:
            caller = await self._channels.ask(self._caller, headers.get("Authorization", ""), address)
        except TooManyAttempts as error:
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(error.seconds)})
        except Unknown:
            return _refusal(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Bearer, Basic realm="Lethe"'})
        if not caller.may(Permission.WORKLIST) or caller.must_change:
            return _refusal(HTTPStatus.FORBIDDEN)
        return None if title_of(request) else _refusal(HTTPStatus.NOT_FOUND)

    def _caller(self, authorization: str, address: str) -> Caller:
        if self._mode == "none":
            return everyone(address)
        caller = self._credentials.by_authorization(Authorization.from_header(authorization), address)
        if caller is None:
            raise Unknown
        return caller

    def _is_of_ours(self, headers: Headers, host: str) -> bool:
        """Browsers let every page open a channel, and say of which origin it is: it has to be ours or a configured
        one."""
        origin = headers.get("Origin")
        if origin is None or not {"*", origin}.isdisjoint(self._http.cors_origins):
            return True
        parts, public = urlsplit(origin), urlsplit(self._http.public_url)
        own = {(public.scheme, public.netloc)} if public.netloc else set()
        name = urlsplit(f"//{host}").hostname
        if (parts.scheme, parts.netloc) in own or parts.netloc == host:
            return True
        return parts.hostname == name and parts.port == self._http.port


def title_of(request: Request) -> str:
    """The AE title that a channel is asked for; empty where the address is none of a channel."""
    found = _PATH.fullmatch(urlsplit(request.path).path)
    return ae_title(unquote(found[1])) if found else ""


def serve_events(config: Config, archive: Archive, stopping: threading.Event) -> None:
    """Serve until told to stop. A port that another holds is waited for."""
    archive.tell_restart()
    told = ""
    while not stopping.is_set():
        try:
            asyncio.run(_serve(config, archive, stopping))
        except OSError as error:
            why = (
                f"cannot listen at {config.http.host}:{config.http.events_port} ([http] events_port): {error.strerror}"
            )
            if why != told:  # it may take days, and is tried every few seconds
                log.warning("%s; trying until it can", why)
            told = why
            stopping.wait(_TRY_AGAIN)


async def _serve(config: Config, archive: Archive, stopping: threading.Event) -> None:
    channels = Channels(archive)
    door = Door(config, archive, channels)

    async def channel(connection: ServerConnection) -> None:
        assert connection.request is not None
        await channels.follow(connection, title_of(connection.request))

    host, port = config.http.host, config.http.events_port
    async with serve(
        channel, host, port, process_request=door.answer, server_header=None, max_size=_LARGEST, logger=_quiet()
    ):
        log.info("event reports are sent at %s:%d", host, port)
        watching = asyncio.create_task(channels.watch())
        await asyncio.get_running_loop().run_in_executor(None, stopping.wait)
        await _say_farewell(archive, channels)
        watching.cancel()


async def _say_farewell(archive: Archive, channels: Channels) -> None:
    """Tell those who follow that the service stops; who has a channel open hears it before that is closed."""
    try:
        await channels.ask(archive.tell_end)
    except Unavailable as error:
        log.warning("%s", error)
        return
    if channels.open:
        await asyncio.sleep(_FAREWELL)


def _quiet() -> logging.Logger:
    """The library's own log names paths and headers."""
    logger = logging.getLogger("websockets.server")
    logger.setLevel(logging.CRITICAL)
    return logger


def _environ(connection: ServerConnection, request: Request) -> dict[str, Any]:
    """What WSGI would say of the request."""
    environ: dict[str, Any] = {"REMOTE_ADDR": str(connection.remote_address[0]), "wsgi.url_scheme": "http"}
    environ["PATH_INFO"] = urlsplit(request.path).path
    for name, value in request.headers.raw_items():
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _refusal(status: HTTPStatus, more: dict[str, str] | None = None) -> Response:
    body = f"{status.phrase}\n".encode()
    headers = Headers({"Content-Type": "text/plain", "Content-Length": str(len(body)), "Connection": "close"})
    headers.update(more or {})
    return Response(status.value, status.phrase, headers, body)


def _never(*_: object) -> Any:
    raise AssertionError("nothing is answered here")
