"""Puts the web side together and serves it: portal, DICOMweb, FHIR, behind one guard.

Served by waitress: it reads requests and writes answers without a thread, and gives a thread only to a request that has
arrived whole, so that clients which are slow or hold connections open do not stop the others.
"""

from __future__ import annotations

import os
import tempfile
from copy import copy
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from lethe.dicomweb.routes import blueprint as dicomweb_blueprint
from lethe.fhir.routes import blueprint as fhir_blueprint
from lethe.storage.archive import Archive

from .choices import AuthMode
from .config import Config
from .outbox import Outbox
from .web.app import create_app, root_url
from .web.redact import blueprint as redact_blueprint

ADMIN_TOKEN_VARIABLE = "LETHE_ADMIN_TOKEN"
_MOST_ASKED = 1 << 20
"""Bytes of a request's body, but for files that are sent to be redacted."""
_SETTINGS = {
    "threads": 8,
    "connection_limit": 1000,
    "channel_timeout": 60,  # seconds until a connection that does nothing is closed
    "max_request_header_size": 64 << 10,
    "max_request_body_size": _MOST_ASKED,
    "outbuf_high_watermark": 4 << 20,
    "clear_untrusted_proxy_headers": False,  # the guard refuses them where they matter
    "ident": None,
}


def build_app(config: Config, archive: Archive) -> Flask:
    """The Flask app over a data folder."""

    def root() -> str:
        return root_url(config.http.public_url)

    def dicomweb_url() -> str:
        return f"{root()}/dicom-web"

    return create_app(
        archive,
        auth=config.auth.mode,
        admin_token=os.environ.get(ADMIN_TOKEN_VARIABLE, ""),
        blueprints=[
            (dicomweb_blueprint(archive, dicomweb_url), "/dicom-web"),
            (redact_blueprint(archive, config), "/api/v1"),
            (fhir_blueprint(archive, lambda: f"{root()}/fhir/R4", dicomweb_url), "/fhir/R4"),
        ],
        outbox=Outbox(archive, config),
        public_url=config.http.public_url,
        instance_path=config.data.resolve(),
        dicom_address=f"{config.node.ae_title} at {config.node.host}:{config.node.port}",
    )


def listen(config: Config, archive: Archive) -> BaseWSGIServer | MultiSocketServer:
    """A server that has its port already; `run` serves until SystemExit is raised in its thread. Raises OSError."""
    tempfile.tempdir = str(archive.files.incoming())  # what is sent waits there, and is swept if we die
    server = create_server(build_app(config, archive), host=config.http.host, port=config.http.port, **_SETTINGS)
    channel = _channel(config.redact.largest * 1_000_000 + _MOST_ASKED, asks_who=config.auth.mode != AuthMode.NONE)
    for one in server.map.values() if isinstance(server, MultiSocketServer) else [server]:
        if isinstance(one, BaseWSGIServer):
            one.channel_class = channel
    return server


def _channel(largest: int, *, asks_who: bool) -> type[HTTPChannel]:
    """Connections that take large bodies where files are sent to be redacted, by callers who say who they are if they
    are asked. Waitress stores a body before the guard sees the request, so everybody else is stopped by its size."""

    class Parser(HTTPRequestParser):  # type: ignore[misc]
        adj: Any

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            says_who = not asks_who or "AUTHORIZATION" in self.headers or "COOKIE" in self.headers
            if self.command == "POST" and self.path.endswith("/api/v1/redact") and says_who:
                self.adj = copy(self.adj)
                self.adj.max_request_body_size = largest

    class Channel(HTTPChannel):  # type: ignore[misc]
        parser_class = Parser

    return Channel
