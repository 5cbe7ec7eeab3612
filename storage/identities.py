"""Keeps, sealed, who a study's patient was, so that what comes back about the study can be given its patient again.

One record for each project, study and patient, found by the pseudonyms: the original attributes of patient and study,
by how many days dates were moved, and which days occurred. Encrypted (AES-256-GCM) and bound to its row, as the
crosswalk is and under a key made from the crosswalk's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .crosswalk import Crosswalk
from .entries import DicomJson
from .errors import Refused, Unavailable
from .sealing import decrypted, encrypted

_PAGE = 500
_COLUMNS = "id, project, study, patient, sealed"
_UPSERT = (
    "INSERT INTO identity (project, study, patient, sealed, updated) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (project, study, patient) DO UPDATE SET sealed = excluded.sealed, updated = excluded.updated"
)


@dataclass(frozen=True)
class Identity:
    """A study and its patient under their pseudonyms, and the originals: attributes as DICOM JSON, the days
    (YYYYMMDD) that occurred, and by how many days dates were moved."""

    study: str
    patient: str
    attributes: DicomJson = field(default_factory=dict)
    dates: frozenset[str] = frozenset()
    days: int = 0

    def with_more(self, other: Identity) -> Identity:
        """This record with what another instance of the study tells beside it; what is known and not empty stays."""
        known = {tag: element for tag, element in self.attributes.items() if element.get("Value")}
        attributes = {**self.attributes, **other.attributes, **known}
        return Identity(self.study, self.patient, attributes, self.dates | other.dates, self.days)


class Identities:
    """The records of one data folder."""

    def __init__(self, database: Any, crosswalk: Crosswalk, clock: Callable[[], float]) -> None:
        self._database = database
        self._crosswalk = crosswalk
        self._clock = clock
        self._sealer: AESGCM | None = None

    def covers(self, project: str, identity: Identity) -> bool:
        """Whether everything this says is kept already; nothing is ever taken out again."""
        known = self.find(project, identity.study, identity.patient)
        return known is not None and known.with_more(identity) == known

    def add(self, project: str, identity: Identity) -> None:
        """Keep what it says, inside the caller's transaction, beside what other instances said."""
        known = self.find(project, identity.study, identity.patient)
        merged = known.with_more(identity) if known else identity
        row = (project, identity.study, identity.patient)
        self._database.execute_sql(_UPSERT, (*row, self._seal(row, merged), self._clock()))

    def find(self, project: str, study: str, patient: str) -> Identity | None:
        """The record of a study and a patient, by their pseudonyms. Raises Refused where it was altered."""
        sql = f"SELECT {_COLUMNS} FROM identity WHERE project = ? AND study = ? AND patient = ?"  # noqa: S608
        row = self._database.execute_sql(sql, (project, study, patient)).fetchone()
        return self._opened(row) if row else None

    def of_studies(self, project: str, studies: Collection[str]) -> list[Identity]:
        """The records of those of the values that are studies of the project, by their pseudonyms."""
        wanted, found = sorted(studies), []
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            marks = ", ".join("?" * len(page))
            sql = f"SELECT {_COLUMNS} FROM identity WHERE project = ? AND study IN ({marks})"  # noqa: S608
            found += [self._opened(row) for row in self._database.execute_sql(sql, (project, *page)).fetchall()]
        return found

    def problems(self) -> Iterator[str]:
        """Every record that cannot be read, one sentence each; nothing where the crosswalk's key is not the right one,
        as the crosswalk says that itself."""
        after = 0
        while True:
            sql = f"SELECT {_COLUMNS} FROM identity WHERE id > ? ORDER BY id LIMIT {_PAGE}"  # noqa: S608
            page = self._database.execute_sql(sql, (after,)).fetchall()
            for row in page:
                try:
                    self._opened(row)
                except Refused as error:
                    yield str(error)
                except Unavailable:
                    return
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _seal(self, row: tuple[str, str, str], identity: Identity) -> bytes:
        body = {"attributes": identity.attributes, "dates": sorted(identity.dates), "days": identity.days}
        return encrypted(self._key(), json.dumps(body).encode(), _bound_to(row))

    def _opened(self, row: tuple[Any, ...]) -> Identity:
        number, project, study, patient, sealed = row
        try:
            text = decrypted(self._key(), sealed, _bound_to((project, study, patient)))
        except ValueError:
            raise Refused(f"row {number} of the identities was altered and cannot be read") from None
        body: Mapping[str, Any] = json.loads(text)
        return Identity(study, patient, body["attributes"], frozenset(body["dates"]), body["days"])

    def _key(self) -> AESGCM:
        if self._sealer is None:
            self._sealer = self._crosswalk.sealer("identity")
        return self._sealer


def _bound_to(row: tuple[str, str, str]) -> bytes:
    return json.dumps(row).encode()
