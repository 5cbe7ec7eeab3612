"""Enters a published instance into the index, with its study and series where they are new, and takes one out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from peewee import fn

from .entries import (
    SERIES_ATTRIBUTES,
    SERIES_TAGS,
    STUDY_ATTRIBUTES,
    STUDY_TAGS,
    CleanInstance,
    DicomJson,
    columns_of,
    first_text,
    integer,
    is_small,
    receipt_text,
)
from .errors import Refused
from .indextables import index_tables
from .matching import fold


class Enrolment:
    """Writes the index, inside the caller's transactions."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._tables = index_tables(database)
        self._clock = clock

    def add(self, instance: CleanInstance) -> bool:
        """Enter a published instance, inside the caller's transaction; False where it is known with the same file.

        Raises Refused where its SOP Instance UID is known with another file, or lacks one of its three UIDs.
        """
        metadata = instance.metadata
        study_uid, series_uid, sop_uid = (first_text(metadata, tag) for tag in ("0020000D", "0020000E", "00080018"))
        if not (study_uid and series_uid and sop_uid):
            raise Refused("Study, Series or SOP Instance UID is missing or empty")
        known = self._one("SELECT file FROM instance WHERE uid = ?", sop_uid)
        if known is not None:
            if known[0] != instance.file:
                raise Refused("another object with the same SOP Instance UID was published before")
            written_again = "UPDATE instance SET size = ?, digest = ? WHERE uid = ?"
            self._database.execute_sql(written_again, (instance.size, instance.digest, sop_uid))
            return False
        study = self._enter_study(study_uid, metadata)
        series, new_series = self._enter_series(series_uid, study, metadata)
        self._enter_instance(sop_uid, series, instance)
        self._count(study, series, first_text(metadata, "00080060"), new_series=new_series)
        return True

    def _enter_study(self, uid: str, metadata: DicomJson) -> int:
        known = self._one("SELECT id FROM study WHERE uid = ?", uid)
        if known is not None:
            return int(known[0])
        columns = columns_of(STUDY_ATTRIBUTES, metadata)
        columns |= {"patient_key": fold(columns["patient_name"]), "modalities": "", "series": 0, "instances": 0}
        return self._insert("study", columns | self._remembered(metadata, STUDY_TAGS))

    def _enter_series(self, uid: str, study: int, metadata: DicomJson) -> tuple[int, bool]:
        known = self._one("SELECT id, study FROM series WHERE uid = ?", uid)
        if known is not None:
            if known[1] != study:
                raise Refused("the Series Instance UID is already known in another study")
            return int(known[0]), False
        columns = columns_of(SERIES_ATTRIBUTES, metadata) | {"study": study, "instances": 0}
        return self._insert("series", columns | self._remembered(metadata, SERIES_TAGS)), True

    def _enter_instance(self, uid: str, series: int, instance: CleanInstance) -> None:
        own = {
            tag: element
            for tag, element in instance.metadata.items()
            if tag not in STUDY_TAGS and tag not in SERIES_TAGS and element["vr"] != "SQ" and is_small(element)
        }
        body = json.dumps(instance.metadata, separators=(",", ":"), ensure_ascii=False).encode()
        self._insert(
            "instance",
            {
                "uid": uid,
                "series": series,
                "sop_class": first_text(instance.metadata, "00080016"),
                "number": integer(first_text(instance.metadata, "00200013")),
                "transfer_syntax": instance.transfer_syntax,
                "project": instance.project,
                "file": instance.file,
                "size": instance.size,
                "digest": instance.digest,
                "attributes": json.dumps(own, separators=(",", ":")),
                "metadata": gzip.compress(body, compresslevel=6, mtime=0),
                "receipt": receipt_text(instance.receipt),
                "updated": self._clock(),
            },
        )

    def _count(self, study: int, series: int, modality: str, *, new_series: bool) -> None:
        now, version = self._clock(), self._next_version()
        (known,) = self._one("SELECT modalities FROM study WHERE id = ?", study) or ("",)
        modalities = "\\".join(sorted((set(known.split("\\")) | {modality}) - {""}))
        self._database.execute_sql(
            "UPDATE study SET instances = instances + 1, series = series + ?, modalities = ?, updated = ?, version = ? "
            "WHERE id = ?",
            (int(new_series), modalities, now, version, study),
        )
        self._database.execute_sql(
            "UPDATE series SET instances = instances + 1, updated = ?, version = ? WHERE id = ?", (now, version, series)
        )

    def remove(self, sop_uid: str) -> None:
        """Take an instance out, inside the caller's transaction, and with the last one its series and its study."""
        table, series, study = self._tables.instance, self._tables.series, self._tables.study
        for number, above in table.select(table.id, table.series).where(table.uid == sop_uid).tuples():
            top = next(iter(series.select(series.study).where(series.id == above).tuples()))[0]
            table.delete().where(table.id == number).execute()
            version = self._next_version()
            self._count_again(series, above, table.series, table, version)
            self._count_again(study, top, series.study, series, version)

    def _count_again(self, table: Any, number: int, link: Any, below: Any, version: int) -> None:
        """One less in that series or study, which is removed where nothing is left below it."""
        if not list(below.select(below.id).where(link == number).limit(1).tuples()):
            table.delete().where(table.id == number).execute()
            return
        values = {table.instances: table.instances - 1, table.updated: self._clock(), table.version: version}
        if table is self._tables.study:
            left = below.select(below.modality).where(link == number).tuples()
            modalities = sorted({modality for (modality,) in left} - {""})
            counted = below.select(fn.COUNT(below.id)).where(link == number)
            values |= {table.modalities: "\\".join(modalities), table.series: counted}
        table.update(values).where(table.id == number).execute()

    def _next_version(self) -> int:
        """The number of this change of the index."""
        return int(self._one("UPDATE index_version SET version = version + 1 RETURNING version")[0])

    def _remembered(self, metadata: DicomJson, tags: frozenset[str]) -> dict[str, Any]:
        attributes = {tag: element for tag, element in metadata.items() if tag in tags}
        return {"attributes": json.dumps(attributes, separators=(",", ":")), "updated": self._clock()}

    def _one(self, sql: str, *parameters: object) -> Any:
        return self._database.execute_sql(sql, parameters).fetchone()

    def _insert(self, table: str, values: dict[str, Any]) -> int:
        places = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"  # noqa: S608 - names of ours
        return int(self._database.execute_sql(sql, tuple(values.values())).lastrowid)
