"""Gives the receipt of each instance together with the audit entry that vouches for it.

The entry of a publication carries the SHA-256 of the receipt as it is stored, so that the chain proves receipts too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .audit import AuditEvent
from .entries import receipt_digest, receipt_text
from .errors import NotFound

RECEIPT_DIGEST = "receipt_sha256"
"""What the detail of a `published` entry calls it."""
_PAGE = 500
# The first entry since the instance was last deleted: one that was appended later, by whomever, vouches for nothing.
_FROM = "FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study"
_SELECT = """SELECT instance.id, instance.uid, study.uid, instance.project, instance.receipt,
    audit.seq, audit.at, audit.actor, audit.action, audit.subject, audit.detail, audit.previous, audit.digest
    {} LEFT JOIN audit ON audit.seq =
        (SELECT MIN(seq) FROM audit WHERE audit.subject = instance.uid AND audit.action = 'published' AND seq >
            COALESCE((SELECT MAX(seq) FROM audit WHERE subject = instance.uid AND action = 'deleted'), 0))
    WHERE {} ORDER BY instance.id LIMIT ?"""
_COUNT = "SELECT COUNT(*) {} WHERE {}"


@dataclass(frozen=True)
class StoredReceipt:
    """What was done to one instance, as it is stored, and the entry of its publication, if there is one."""

    sop_uid: str
    study_uid: str
    project: str
    text: str
    entry: AuditEvent | None

    @property
    def content(self) -> dict[str, Any]:
        """The receipt itself."""
        content: dict[str, Any] = json.loads(self.text)
        return content

    @property
    def digest(self) -> str:
        """SHA-256 of the receipt as it is stored."""
        return receipt_digest(self.text)

    @property
    def is_vouched_for(self) -> bool:
        """Whether it is the receipt that was published. The chain as a whole is proved by `AuditTrail.verify`."""
        if self.entry is None or self.entry.digest != self.entry.expected_digest():
            return False
        detail = json.loads(self.entry.detail)
        if isinstance(whole := detail.get("receipt"), dict):  # entries from before the digest hold all of it
            return receipt_digest(receipt_text(whole)) == self.digest
        return bool(detail.get(RECEIPT_DIGEST) == self.digest)


class Receipts:
    """The receipts of one data folder."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def of(self, sop_uid: str) -> StoredReceipt:
        """The receipt of one instance. Raises NotFound."""
        row = self._database.execute_sql(_SELECT.format(_FROM, "instance.uid = ?"), (sop_uid, 1)).fetchone()
        if row is None:
            raise NotFound("there is no such instance")
        return _stored(row)

    def of_studies(self, study_uids: Sequence[str] = ()) -> Iterator[StoredReceipt]:
        """The receipts of these studies, or of all, in the order of publication."""
        after, sql = 0, _SELECT.format(_FROM, f"instance.id > ? AND {_among(study_uids)}")
        while True:  # in pages: a reader that takes its time would otherwise hold up the write-ahead log
            page = self._database.execute_sql(sql, (after, *study_uids, _PAGE)).fetchall()
            yield from map(_stored, page)
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def count(self, study_uids: Sequence[str] = ()) -> int:
        """How many there are in these studies, or in all."""
        sql = _COUNT.format(_FROM, _among(study_uids))
        return int(self._database.execute_sql(sql, tuple(study_uids)).fetchone()[0])

    def problems(self) -> Iterator[str]:
        """Every receipt that is not the one the audit trail has, one sentence each."""
        for stored in self.of_studies():
            if stored.entry is None:
                yield f"the audit trail has no entry of the publication of the instance {stored.sop_uid}"
            elif not stored.is_vouched_for:
                yield f"the receipt of the instance {stored.sop_uid} is not the one that entry {stored.entry.seq} has"


def _among(study_uids: Sequence[str]) -> str:
    return f"study.uid IN ({', '.join('?' * len(study_uids))})" if study_uids else "1 = 1"


def _stored(row: Sequence[Any]) -> StoredReceipt:
    _, sop_uid, study_uid, project, text, *entry = row
    return StoredReceipt(sop_uid, study_uid, project, text, AuditEvent(*entry) if entry[0] is not None else None)
