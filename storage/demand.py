"""Says how far an instance must have come before we vouch for it to the peer that sent it."""

from __future__ import annotations

from enum import StrEnum


class Demand(StrEnum):
    """From the least to the most."""

    RECEIVED = "received"
    """It is durably here, whatever becomes of it."""
    PUBLISHED = "published"
    """It was cleaned and published."""
    DELIVERED = "delivered"
    """Every destination of its project has taken it."""
    COMMITTED = "committed"
    """Every destination of its project has committed it to us."""
