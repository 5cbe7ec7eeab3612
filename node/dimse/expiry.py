"""Warns in the log, once a day, of certificates that will not be valid for long."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from ..errors import CertificateError
from .credentials import Credentials
from .news import News

log = logging.getLogger("lethe.dimse")

_DAY = 86_400.0 - 60.0


class Expiry:
    """What was already warned of."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._said = News(_DAY)

    def warn(self) -> None:
        """To be called now and then."""
        if self._credentials is None:
            return
        try:
            for warning in self._credentials.warnings(datetime.now(UTC)):
                if self._said.is_news(warning, time.monotonic()):
                    log.warning("%s", warning)
        except (CertificateError, OSError) as error:
            log.error("certificates cannot be looked at: %s", error)
