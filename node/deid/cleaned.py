"""Is a clean object, whichever way it was cleaned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset

from .identity import Identity
from .part10 import Layout


@dataclass(frozen=True)
class InstanceUids:
    """Which object it is."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str


@dataclass(frozen=True)
class Cleaned:
    """A clean object: its header, how it is encoded, its bytes (to be had while the source's file is open), the record
    of what was done, and, for those who may know, which UIDs, Patient ID and Accession Number became which."""

    instance: InstanceUids
    decode: Callable[[], Dataset]
    source: Layout
    chunks: Callable[[], Iterator[bytes]]
    receipt: dict[str, Any]
    uids: dict[str, str]
    patients: dict[str, str]
    accessions: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Patient IDs that stand deeper in the object, beside its own."""
    identity: Identity | None = None
    before: Callable[[], bytes | None] = lambda: None
    """The header's bytes as they came (while the source's file is open); None where they are too many, or the same."""

    @cached_property
    def header(self) -> Dataset:
        """The clean header, decoded when asked for: not everybody who passes the object on wants to look at it."""
        return self.decode()
