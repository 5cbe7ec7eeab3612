"""Knows which clean studies, series and instances exist, and finds them.

One `Query` value serves QIDO-RS, C-FIND, FHIR, the portal and the command line; the matching rules of PS3.4 C.2.2.2
are written once, in `matching.py`, and once more for what no column has, in `holding.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from peewee import fn

from .computed import Computed
from .enrolment import Enrolment
from .entries import PATIENT_TAGS, STUDY_ATTRIBUTES, CleanInstance, DicomJson, Entry, is_uid
from .errors import NotFound
from .indextables import index_tables
from .query import Equals, Level, Place, Query
from .selection import Selection

_PORTION = 500
_FIRST_PORTION = 50
"""Smaller, so that the first result is there soon."""
_STUDIES_OF_SERIES = (
    "SELECT DISTINCT study.uid FROM series JOIN study ON study.id = series.study WHERE series.uid IN ({})"
)
_STUDIES_OF_INSTANCES = """SELECT DISTINCT study.uid FROM instance JOIN series ON series.id = instance.series
    JOIN study ON study.id = series.study WHERE instance.uid IN ({})"""
_VERSIONS = (
    "SELECT version FROM study WHERE uid = ?",
    "SELECT series.version FROM series JOIN study ON study.id = series.study WHERE study.uid = ? AND series.uid = ?",
    """SELECT instance.id FROM instance JOIN series ON series.id = instance.series
    JOIN study ON study.id = series.study WHERE study.uid = ? AND series.uid = ? AND instance.uid = ?""",
)
_MISCOUNTS = {
    Level.STUDY: """SELECT study.uid, study.instances, COUNT(instance.id) FROM study LEFT JOIN series
        ON series.study = study.id LEFT JOIN instance ON instance.series = series.id
        GROUP BY study.id HAVING COUNT(instance.id) <> study.instances""",
    Level.SERIES: """SELECT series.uid, series.instances, COUNT(instance.id) FROM series LEFT JOIN instance
        ON instance.series = series.id GROUP BY series.id HAVING COUNT(instance.id) <> series.instances""",
}


class Index:
    """The clean objects of one data folder."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._tables = index_tables(database).named()
        self._enrolment = Enrolment(database, clock)
        self._selection = Selection(self._tables)
        self._computed = Computed(self._tables)

    def add(self, instance: CleanInstance) -> bool:
        """Enter a published instance, inside the caller's transaction; False where it is known with the same file.

        Raises Refused where its SOP Instance UID is known with another file, or lacks one of its three UIDs.
        """
        return self._enrolment.add(instance)

    def remove(self, sop_uid: str) -> None:
        """Take an instance out, inside the caller's transaction, and with the last one its series and its study."""
        self._enrolment.remove(sop_uid)

    def find(self, query: Query) -> list[Entry]:
        """The entries that match, in the query's order."""
        select = self._selection.select(query, self._columns(query.level))
        select = select.order_by(*self._selection.order(query)).limit(query.limit).offset(query.offset)
        return self._entries(query, list(select.dicts()))

    def page(self, query: Query) -> list[tuple[Entry, Place]]:
        """The entries that match, in the query's order, each with its place in it, from which a later query goes on."""
        keys = self._selection.keys(query)
        names = [f"key_{number}" for number in range(len(keys))]
        aliased = [key.column.alias(name) for key, name in zip(keys, names, strict=True)]
        select = self._selection.select(query, [*self._columns(query.level), *aliased])
        select = select.order_by(*self._selection.order(query)).limit(query.limit).offset(query.offset)
        rows = list(select.dicts())
        places = [tuple(str(row[name]) for name in names) for row in rows]
        return list(zip(self._entries(query, rows), places, strict=True))

    def stream(self, query: Query) -> Iterator[Entry]:
        """The entries that match, in the order they came, however many: each portion is read by a statement of its
        own, so that neither memory nor the write-ahead log grows with a reader that takes its time."""
        for rows in self._portions(query, self._columns(query.level)):
            yield from self._entries(query, rows)

    def stream_whole(self, query: Query) -> Iterator[tuple[Entry, bytes]]:
        """The instances that match as `stream` gives them, each with all its attributes as `metadata` has them."""
        for rows in self._portions(query, [*self._columns(query.level), self._tables.instance.metadata]):
            yield from zip(self._entries(query, rows), (bytes(row["metadata"]) for row in rows), strict=True)

    def encodings(self, query: Query) -> list[tuple[str, str]]:
        """The different pairs of SOP Class and transfer syntax of the instances that match."""
        table = self._tables.instance
        columns = [table.sop_class, table.transfer_syntax]
        return sorted(self._selection.select(query, columns).distinct().tuples())

    def count(self, query: Query) -> int:
        """How many entries match, regardless of limit and offset."""
        return int(next(iter(self._selection.select(query, [fn.COUNT(self._tables.of(query.level).id)]).tuples()))[0])

    def one(self, level: Level, *uids: str) -> Entry:
        """The study, series or instance with exactly these UIDs, from the study downwards. Raises NotFound."""
        tags = ("0020000D", "0020000E", "00080018")[: len(uids)]
        matches = tuple(Equals(tag, (uid,)) for tag, uid in zip(tags, uids, strict=True))
        found = self.find(Query(level, matches, limit=1)) if all(is_uid(uid) for uid in uids) else []
        if not found:
            raise NotFound(f"there is no such {level.name.lower()}")
        return found[0]

    def instance(self, sop_uid: str) -> Entry:
        """The instance with that SOP Instance UID. Raises NotFound."""
        found = self.find(Query(Level.INSTANCE, (Equals("00080018", (sop_uid,)),), limit=1))
        if not found:
            raise NotFound("there is no such instance")
        return found[0]

    def version(self) -> int:
        """A number that every change of the index makes another one."""
        return int(self._database.execute_sql("SELECT version FROM index_version").fetchone()[0])

    def version_of(self, study: str, series: str = "", instance: str = "") -> int:
        """The same for what stands below a study, or one of its series, or for one instance. Raises NotFound where
        they do not belong together."""
        given = tuple(uid for uid in (study, series, instance) if uid)
        row = self._database.execute_sql(_VERSIONS[len(given) - 1], given).fetchone()
        if row is None:
            raise NotFound(f"there is no such {Level(len(given)).name.lower()}")
        return int(row[0])

    def metadata(self, query: Query) -> Iterator[bytes]:
        """For each matching instance, in order, its attributes without bulk data as gzip-compressed DICOM JSON."""
        table = self._tables.instance
        select = (
            self._selection.select(query, [table.id])
            .order_by(*self._selection.order(query))
            .limit(query.limit)
            .offset(query.offset)
        )
        numbers = [number for (number,) in select.tuples()]
        # In portions: a reader that takes its time would otherwise hold up the write-ahead log.
        for start in range(0, len(numbers), _PORTION):
            portion = numbers[start : start + _PORTION]
            bodies = dict(table.select(table.id, table.metadata).where(table.id << portion).tuples())
            yield from (bytes(bodies[number]) for number in portion)

    def studies_of(self, uids: Collection[str]) -> set[str]:
        """The Study Instance UIDs of those of the UIDs that name an instance or a series."""
        wanted, found = sorted(uids), set()
        for start in range(0, len(wanted), _PORTION):
            page = wanted[start : start + _PORTION]
            marks = ", ".join("?" * len(page))
            for sql in (_STUDIES_OF_SERIES, _STUDIES_OF_INSTANCES):
                found |= {uid for (uid,) in self._database.execute_sql(sql.format(marks), page).fetchall()}
        return found

    def receipt(self, sop_uid: str) -> dict[str, Any]:
        """What was done to that instance. Raises NotFound."""
        table = self._tables.instance
        for (text,) in table.select(table.receipt).where(table.uid == sop_uid).tuples():
            receipt: dict[str, Any] = json.loads(text)
            return receipt
        raise NotFound("there is no such instance")

    def values(self, tag: str) -> list[str]:
        """The distinct values of a searchable attribute of the study level, sorted, the empty one left out."""
        column = getattr(self._tables.study, STUDY_ATTRIBUTES[tag].column.name)
        return [
            value
            for (value,) in self._tables.study.select(column).where(column != "").distinct().order_by(column).tuples()
        ]

    def totals(self) -> tuple[int, int, int]:
        """How many studies, series and instances there are."""
        studies, series, instances = (
            next(iter(table.select(fn.COUNT(table.id)).tuples()))[0]
            for table in (self._tables.study, self._tables.series, self._tables.instance)
        )
        return studies, series, instances

    def files(self) -> dict[str, tuple[str, int, str]]:
        """The clean file of every instance: SOP Instance UID to file name, size and BLAKE3 digest, which is empty where
        an older version has written it."""
        table = self._tables.instance
        rows = table.select(table.uid, table.file, table.size, table.digest).tuples().iterator()
        return {uid: tuple(file) for uid, *file in rows}

    def file_names(self) -> set[str]:
        """The names of all clean files."""
        table = self._tables.instance
        return {name for (name,) in table.select(table.file).tuples().iterator()}

    def mentions(self, file: str) -> bool:
        """Whether that clean file belongs to an instance."""
        table = self._tables.instance
        return bool(list(table.select(table.id).where(table.file == file).limit(1).tuples()))

    def miscounts(self) -> Iterator[str]:
        """Every study and series whose number of instances is not what it says, one sentence each."""
        for level, sql in _MISCOUNTS.items():
            for uid, says, has in self._database.execute_sql(sql):
                yield f"the {level.name.lower()} {uid} says it has {says} instances, but has {has}"

    def _portions(self, query: Query, columns: list[Any]) -> Iterator[list[dict[str, Any]]]:
        table, last, left = self._tables.of(query.level), 0, query.limit
        size = _FIRST_PORTION
        while left is None or left > 0:
            most = size if left is None else min(size, left)
            select = self._selection.select(query, [*columns, table.id.alias("row_id")])
            rows = list(select.where(table.id > last).order_by(table.id).limit(most).dicts())
            if rows:
                yield rows
            if len(rows) < most:
                return
            last, size = rows[-1]["row_id"], _PORTION
            left = None if left is None else left - len(rows)

    def _columns(self, level: Level) -> list[Any]:
        study, series, instance = self._tables.study, self._tables.series, self._tables.instance
        columns = [
            study.uid.alias("study_uid"),
            study.attributes.alias("study_attributes"),
            study.modalities,
            study.series.alias("study_series"),
            study.instances.alias("study_instances"),
            self._tables.of(level).updated.alias("changed"),
        ]
        if level >= Level.SERIES:
            columns += [
                series.uid.alias("series_uid"),
                series.attributes.alias("series_attributes"),
                series.instances.alias("series_instances"),
            ]
        if level == Level.INSTANCE:
            columns += [
                instance.uid.alias("sop_uid"),
                instance.attributes.alias("instance_attributes"),
                instance.sop_class,
                instance.transfer_syntax,
                instance.project,
                instance.file,
                instance.size,
            ]
        return columns

    def _entries(self, query: Query, rows: list[dict[str, Any]]) -> list[Entry]:
        entries = [self._entry(query.level, row) for row in rows]
        return self._computed.added(entries, query.counted) if query.counted else entries

    def _entry(self, level: Level, row: dict[str, Any]) -> Entry:
        if level == Level.PATIENT:
            known = json.loads(row["study_attributes"])
            patient = {tag: known[tag] for tag in PATIENT_TAGS if tag in known}
            return Entry(level=level, study_uid="", attributes=patient, updated=row["changed"])
        modalities = [value for value in row["modalities"].split("\\") if value]
        attributes: DicomJson = {
            **json.loads(row["study_attributes"]),
            "00080061": {"vr": "CS", "Value": modalities},
            "00201206": {"vr": "IS", "Value": [row["study_series"]]},
            "00201208": {"vr": "IS", "Value": [row["study_instances"]]},
        }
        if level >= Level.SERIES:
            attributes |= json.loads(row["series_attributes"])
            attributes["00201209"] = {"vr": "IS", "Value": [row["series_instances"]]}
        if level == Level.INSTANCE:
            attributes |= json.loads(row["instance_attributes"])
        return Entry(
            level=level,
            study_uid=row["study_uid"],
            attributes=attributes,
            updated=row["changed"],
            **{
                name: row[name]
                for name in ("series_uid", "sop_uid", "sop_class", "transfer_syntax", "project", "file", "size")
                if name in row
            },
        )
