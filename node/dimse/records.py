"""Puts on record what peers asked of the clean objects: who, at which level, and how many; never what for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import Unavailable
from lethe.storage.intake import Origin

log = logging.getLogger("lethe.receive")


def put_on_record(archive: Archive, origin: Origin, action: str, detail: Mapping[str, Any]) -> None:
    """Add an entry to the audit trail, after the last response, so that nobody waits for it."""
    try:
        with transaction(archive.database):
            archive.audit.record(Actor(origin.source, origin.address), action, "", detail)
    except Unavailable:
        log.error("%s: %s could not be put on record", origin.source, action)
