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
from .indextables import IndexTables
from .matching import fold


class Enrolment:
    """Writes the index, inside the caller's transactions."""

    def __init__(self, tables: IndexTables, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._clock = clock

    def add(self, instance: CleanInstance) -> bool:
        """Enter a published instance, inside the caller's transaction; False where it is known with the same file.

        Raises Refused where its SOP Instance UID is known with another file, or lacks one of its three UIDs.
        """
        metadata = instance.metadata
        study_uid, series_uid, sop_uid = (first_text(metadata, tag) for tag in ("0020000D", "0020000E", "00080018"))
        if not (study_uid and series_uid and sop_uid):
            raise Refused("Study, Series or SOP Instance UID is missing or empty")
        table = self._tables.instance
        known = next(iter(table.select(table.file).where(table.uid == sop_uid).tuples()), None)
        if known is not None:
            if known[0] != instance.file:
                raise Refused("another object with the same SOP Instance UID was published before")
            return False
        study = self._enter_study(study_uid, metadata)
        series, new_series = self._enter_series(series_uid, study, metadata)
        self._enter_instance(sop_uid, series, instance)
        self._count(study, series, first_text(metadata, "00080060"), new_series=new_series)
        return True

    def _enter_study(self, uid: str, metadata: DicomJson) -> int:
        table = self._tables.study
        for (number,) in table.select(table.id).where(table.uid == uid).tuples():
            return int(number)
        columns = columns_of(STUDY_ATTRIBUTES, metadata)
        columns |= {"patient_key": fold(columns["patient_name"]), "modalities": "", "series": 0, "instances": 0}
        return self._insert(table, columns | self._remembered(metadata, STUDY_TAGS))

    def _enter_series(self, uid: str, study: int, metadata: DicomJson) -> tuple[int, bool]:
        table = self._tables.series
        for number, owner in table.select(table.id, table.study).where(table.uid == uid).tuples():
            if owner != study:
                raise Refused("the Series Instance UID is already known in another study")
            return int(number), False
        columns = columns_of(SERIES_ATTRIBUTES, metadata) | {"study": study, "instances": 0}
        return self._insert(table, columns | self._remembered(metadata, SERIES_TAGS)), True

    def _enter_instance(self, uid: str, series: int, instance: CleanInstance) -> None:
        own = {
            tag: element
            for tag, element in instance.metadata.items()
            if tag not in STUDY_TAGS and tag not in SERIES_TAGS and element["vr"] != "SQ" and is_small(element)
        }
        body = json.dumps(instance.metadata, separators=(",", ":"), ensure_ascii=False).encode()
        self._insert(
            self._tables.instance,
            {
                "uid": uid,
                "series": series,
                "sop_class": first_text(instance.metadata, "00080016"),
                "number": integer(first_text(instance.metadata, "00200013")),
                "transfer_syntax": instance.transfer_syntax,
                "project": instance.project,
                "file": instance.file,
                "size": instance.size,
                "attributes": json.dumps(own, separators=(",", ":")),
                "metadata": gzip.compress(body, compresslevel=6, mtime=0),
                "receipt": receipt_text(instance.receipt),
                "updated": self._clock(),
            },
        )

    def _count(self, study: int, series: int, modality: str, *, new_series: bool) -> None:
        now, version, table = self._clock(), self._next_version(), self._tables.study
        modalities = set(next(iter(table.select(table.modalities).where(table.id == study).tuples()))[0].split("\\"))
        table.update(
            {
                table.instances: table.instances + 1,
                table.series: table.series + int(new_series),
                table.modalities: "\\".join(sorted((modalities | {modality}) - {""})),
                table.updated: now,
                table.version: version,
            }
        ).where(table.id == study).execute()
        below = self._tables.series
        counted = {below.instances: below.instances + 1, below.updated: now, below.version: version}
        below.update(counted).where(below.id == series).execute()

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
        version = self._tables.version
        rows = version.update({version.version: version.version + 1}).returning(version.version).tuples().execute()
        return int(next(iter(rows))[0])

    def _remembered(self, metadata: DicomJson, tags: frozenset[str]) -> dict[str, Any]:
        attributes = {tag: element for tag, element in metadata.items() if tag in tags}
        return {"attributes": json.dumps(attributes, separators=(",", ":")), "updated": self._clock()}

    def _insert(self, table: Any, values: dict[str, Any]) -> int:
        return int(table.insert({getattr(table, name): value for name, value in values.items()}).execute())
