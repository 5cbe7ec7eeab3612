"""Tells which file holds an instance, by hand-written SQL: viewers fetch thousands of frames, couriers send thousands
of instances, and both ask for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import NotFound

_COLUMNS = """SELECT study.uid, series.uid, instance.uid, instance.sop_class, instance.transfer_syntax, instance.file,
    instance.size FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study"""
_ONE = f"{_COLUMNS} WHERE instance.uid = ? AND series.uid = ? AND study.uid = ?"
_ORDER = "ORDER BY series.study, series.number, series.id, instance.number, instance.id"
_SERIES = f"{_COLUMNS} WHERE study.uid = ? AND series.uid = ? {_ORDER}"
_STUDY = f"{_COLUMNS} WHERE study.uid = ? {_ORDER}"
_METADATA = "SELECT metadata FROM instance WHERE uid = ?"
_FILE = "SELECT file, size, digest FROM instance WHERE uid = ?"
_ENCODING = "SELECT sop_class, transfer_syntax FROM instance WHERE uid = ?"


@dataclass(frozen=True, slots=True)
class Held:
    """One instance, and the clean file that holds it."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    file: str
    size: int


class Holdings:
    """The clean instances of one database."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def one(self, study: str, series: str, instance: str) -> Held:
        """The instance with these UIDs. Raises NotFound, also where they do not belong together."""
        row = self._database.execute_sql(_ONE, (instance, series, study)).fetchone()
        if row is None:
            raise NotFound("there is no such instance")
        return Held(*row)

    def below(self, study: str, series: str = "") -> list[Held]:
        """All instances of a study, or of one of its series, in the index's order. Raises NotFound where there are
        none."""
        sql, given = (_SERIES, (study, series)) if series else (_STUDY, (study,))
        held = [Held(*row) for row in self._database.execute_sql(sql, given).fetchall()]
        if not held:
            raise NotFound(f"there is no such {'series' if series else 'study'}")
        return held

    def metadata(self, instance: str) -> bytes:
        """The attributes of an instance without bulk data, as gzip-compressed DICOM JSON. Raises NotFound."""
        (metadata,) = self._row(_METADATA, instance)
        return bytes(metadata)

    def file_of(self, instance: str) -> tuple[str, int, str]:
        """Name, size and BLAKE3 digest of its clean file; no digest where an older version has written it. Raises
        NotFound."""
        name, size, digest = self._row(_FILE, instance)
        return name, size, digest

    def encoding_of(self, instance: str) -> tuple[str, str]:
        """Its SOP Class and transfer syntax. Raises NotFound."""
        sop_class, transfer_syntax = self._row(_ENCODING, instance)
        return sop_class, transfer_syntax

    def _row(self, sql: str, instance: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._database.execute_sql(sql, (instance,)).fetchone()
        if row is None:
            raise NotFound("there is no such instance")
        return row
