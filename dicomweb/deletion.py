"""Deletes studies, series and instances. PS3.18 has no such transaction; this is the one that other servers and
clients agree on: 204, and 404 when asked again."""

from __future__ import annotations

from flask import Response

from .answers import Service, nothing


def delete(service: Service, study: str, series: str = "", instance: str = "") -> Response:
    """Delete what the address names, and what is left empty by that."""
    uids = [uid for uid in (study, series, instance) if uid]
    service.archive.delete(*uids, actor=service.actor())
    return nothing(204)
