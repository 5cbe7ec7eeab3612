"""Puts the web side together: portal, DICOMweb, FHIR, behind one guard."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from flask import Flask, g, request

from lethe.dicomweb.routes import blueprint as dicomweb_blueprint
from lethe.dicomweb.stow import Reception
from lethe.dicomweb.wadouri import blueprint as wadouri_blueprint
from lethe.fhir.routes import blueprint as fhir_blueprint
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin

from .config import Config
from .outbox import Outbox
from .routing import Router
from .web.app import create_app, root_url
from .web.arrival import came_by_proxy
from .web.credentials import ADMIN_TOKEN_VARIABLE, READ_TOKEN_VARIABLE, Caller
from .web.redact import blueprint as redact_blueprint

_MEGABYTE = 1_000_000


def build_app(config: Config, archive: Archive) -> Flask:
    """The Flask app over a data folder."""

    def root() -> str:
        return root_url(config.http.public_url)

    def dicomweb_url() -> str:
        return f"{root()}/dicom-web"

    def events_url() -> str:
        """A proxy passes `/dicom-web/ws/` on to `events_port`; without one, clients go there themselves."""
        port, here = config.http.events_port, urlsplit(root())
        if not port:
            return ""
        direct = not config.http.public_url and not came_by_proxy(request.environ)
        authority = f"{_bracketed(here.hostname or '')}:{port}" if direct else here.netloc
        return f"{'wss' if here.scheme == 'https' else 'ws'}://{authority}{here.path}/dicom-web"

    def origin() -> Origin:  # a browser says whether it is a page of ours that asks
        source = "upload" if request.headers.get("Sec-Fetch-Site") == "same-origin" else "stow"
        return Origin(source, request.remote_addr or "")

    def actor() -> Actor:
        caller: Caller = g.caller
        return caller.actor

    reception = Reception(
        origin,
        Router(config).plan,
        wait=config.http.stow_wait,
        largest=config.http.stow_largest * _MEGABYTE,
    )
    return create_app(
        archive,
        auth=config.auth.mode,
        admin_token=os.environ.get(ADMIN_TOKEN_VARIABLE, ""),
        read_token=os.environ.get(READ_TOKEN_VARIABLE, ""),
        blueprints=[
            (
                dicomweb_blueprint(archive, dicomweb_url, reception=reception, actor=actor, events_url=events_url),
                "/dicom-web",
            ),
            (wadouri_blueprint(archive, dicomweb_url), "/wado"),
            (redact_blueprint(archive, config), "/api/v1"),
            (fhir_blueprint(archive, lambda: f"{root()}/fhir/R4", dicomweb_url), "/fhir/R4"),
        ],
        outbox=Outbox(archive, config),
        public_url=config.http.public_url,
        cors_origins=config.http.cors_origins,
        trusted_proxies=config.http.trusted_proxies,
        audit_reads=config.http.audit_reads,
        instance_path=config.data.resolve(),
        least_free=config.node.least_free << 20,
        dicom_address=f"{config.node.ae_title} at {config.node.host}:{config.node.port}",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
