"""Puts the web side together and serves it: portal, DICOMweb, FHIR, behind one guard, under gunicorn."""

from __future__ import annotations

import logging
import os
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from lethe.dicomweb.routes import blueprint as dicomweb_blueprint
from lethe.fhir.routes import blueprint as fhir_blueprint
from lethe.storage.archive import Archive

from .config import Config
from .web.app import create_app, root_url

ADMIN_TOKEN_VARIABLE = "LETHE_ADMIN_TOKEN"
_PROCESSES, _THREADS = 2, 4


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
            (fhir_blueprint(archive, lambda: f"{root()}/fhir/R4", dicomweb_url), "/fhir/R4"),
        ],
        destinations={peer.name: f"{peer.ae_title} at {peer.host}:{peer.port}" for peer in config.peers},
        public_url=config.http.public_url,
        instance_path=config.data.resolve(),
        dicom_address=f"{config.node.ae_title} at {config.node.host}:{config.node.port}",
    )


def serve_site(config: Config) -> None:
    """Serve until SIGTERM. Each gunicorn process opens the data folder for itself, after the fork."""
    _Site(config).run()


class _Site(BaseApplication):  # type: ignore[misc]
    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self._config.http.host}]" if ":" in self._config.http.host else self._config.http.host
        settings: dict[str, Any] = {
            "bind": f"{host}:{self._config.http.port}",
            "workers": _PROCESSES,
            "threads": _THREADS,
            "worker_class": "gthread",
            "keepalive": 30,
            "graceful_timeout": 20,
            "timeout": 120,
            "logger_class": _OurLogger,
            "proc_name": "lethe-web",
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return build_app(self._config, Archive(self._config.data, self._config.node.database))


class _OurLogger(Logger):  # type: ignore[misc]
    """Leaves gunicorn's messages to our own logging; there is no access log, because URLs may hold what was asked."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log, self.access_log = logging.getLogger("gunicorn.error"), logging.getLogger("gunicorn.access")
        self.access_log.disabled = True
