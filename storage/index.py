"""Knows which clean studies, series and instances exist, and finds them.

One `Query` value serves QIDO-RS, FHIR, the portal and the command line; the matching rules of PS3.4 C.2.2.2 are written
once, in `matching.py`.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

from peewee import JOIN, SQL, Table, fn

from .entries import (
    SEARCHABLE,
    SERIES_ATTRIBUTES,
    SERIES_TAGS,
    STUDY_ATTRIBUTES,
    STUDY_TAGS,
    CleanInstance,
    DicomJson,
    Entry,
    columns_of,
    first_text,
    integer,
    is_small,
    is_uid,
    receipt_text,
)
from .errors import NotFound, Refused
from .matching import Attribute, any_of, condition, equality, fold, keyword_of
from .query import AnyOf, Changed, Equals, Level, Match, Not, Order, Query, Term

_PORTION = 500
_STUDIES_OF_SERIES = (
    "SELECT DISTINCT study.uid FROM series JOIN study ON study.id = series.study WHERE series.uid IN ({})"
)
_STUDIES_OF_INSTANCES = """SELECT DISTINCT study.uid FROM instance JOIN series ON series.id = instance.series
    JOIN study ON study.id = series.study WHERE instance.uid IN ({})"""
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
        self._clock = clock
        self._study = _table("study", database)
        self._series = _table("series", database)
        self._instance = _table("instance", database)

    def add(self, instance: CleanInstance) -> bool:
        """Enter a published instance, inside the caller's transaction; False where it is known with the same file.

        Raises Refused where its SOP Instance UID is known with another file, or lacks one of its three UIDs.
        """
        metadata = instance.metadata
        study_uid, series_uid, sop_uid = (first_text(metadata, tag) for tag in ("0020000D", "0020000E", "00080018"))
        if not (study_uid and series_uid and sop_uid):
            raise Refused("Study, Series or SOP Instance UID is missing or empty")
        table = self._instance
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

    def find(self, query: Query) -> list[Entry]:
        """The entries that match, in the query's order."""
        select = self._select(query, self._columns(query.level))
        select = select.order_by(*self._order(query)).limit(query.limit).offset(query.offset)
        return [self._entry(query.level, row) for row in select.dicts()]

    def count(self, query: Query) -> int:
        """How many entries match, regardless of limit and offset."""
        return int(next(iter(self._select(query, [fn.COUNT(self._of(query.level).id)]).tuples()))[0])

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

    def metadata(self, query: Query) -> Iterator[bytes]:
        """For each matching instance, in order, its attributes without bulk data as gzip-compressed DICOM JSON."""
        table = self._instance
        select = self._select(query, [table.id]).order_by(*self._order(query)).limit(query.limit).offset(query.offset)
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
        table = self._instance
        for (text,) in table.select(table.receipt).where(table.uid == sop_uid).tuples():
            receipt: dict[str, Any] = json.loads(text)
            return receipt
        raise NotFound("there is no such instance")

    def values(self, tag: str) -> list[str]:
        """The distinct values of a searchable attribute of the study level, sorted, the empty one left out."""
        column = getattr(self._study, STUDY_ATTRIBUTES[tag].column.name)
        return [
            value for (value,) in self._study.select(column).where(column != "").distinct().order_by(column).tuples()
        ]

    def totals(self) -> tuple[int, int, int]:
        """How many studies, series and instances there are."""
        studies, series, instances = (
            next(iter(table.select(fn.COUNT(table.id)).tuples()))[0]
            for table in (self._study, self._series, self._instance)
        )
        return studies, series, instances

    def files(self) -> dict[str, str]:
        """The clean file of every instance: SOP Instance UID to file name."""
        table = self._instance
        return dict(table.select(table.uid, table.file).tuples().iterator())

    def mentions(self, file: str) -> bool:
        """Whether that clean file belongs to an instance."""
        table = self._instance
        return bool(list(table.select(table.id).where(table.file == file).limit(1).tuples()))

    def miscounts(self) -> Iterator[str]:
        """Every study and series whose number of instances is not what it says, one sentence each."""
        for level, sql in _MISCOUNTS.items():
            for uid, says, has in self._database.execute_sql(sql):
                yield f"the {level.name.lower()} {uid} says it has {says} instances, but has {has}"

    def _enter_study(self, uid: str, metadata: DicomJson) -> int:
        table = self._study
        for (number,) in table.select(table.id).where(table.uid == uid).tuples():
            return int(number)
        columns = columns_of(STUDY_ATTRIBUTES, metadata)
        columns |= {"patient_key": fold(columns["patient_name"]), "modalities": "", "series": 0, "instances": 0}
        return self._insert(table, columns | self._remembered(metadata, STUDY_TAGS))

    def _enter_series(self, uid: str, study: int, metadata: DicomJson) -> tuple[int, bool]:
        table = self._series
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
            self._instance,
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
        now, table = self._clock(), self._study
        modalities = set(next(iter(table.select(table.modalities).where(table.id == study).tuples()))[0].split("\\"))
        table.update(
            {
                table.instances: table.instances + 1,
                table.series: table.series + int(new_series),
                table.modalities: "\\".join(sorted((modalities | {modality}) - {""})),
                table.updated: now,
            }
        ).where(table.id == study).execute()
        below = self._series
        below.update({below.instances: below.instances + 1, below.updated: now}).where(below.id == series).execute()

    def _remembered(self, metadata: DicomJson, tags: frozenset[str]) -> dict[str, Any]:
        attributes = {tag: element for tag, element in metadata.items() if tag in tags}
        return {"attributes": json.dumps(attributes, separators=(",", ":")), "updated": self._clock()}

    def _insert(self, table: Any, values: dict[str, Any]) -> int:
        return int(table.insert({getattr(table, name): value for name, value in values.items()}).execute())

    def _of(self, level: Level) -> Any:
        return (self._study, self._series, self._instance)[level - 1]

    def _select(self, query: Query, columns: list[Any]) -> Any:
        table = self._of(query.level)
        select = table.select(*columns)
        if query.level >= Level.SERIES:
            if query.level == Level.INSTANCE:
                select = select.join(self._series, JOIN.INNER, on=(self._series.id == self._instance.series))
            select = select.join(self._study, JOIN.INNER, on=(self._study.id == self._series.study))
        for match in query.matches:
            select = select.where(self._condition(query.level, match))
        if query.changed_since:
            select = select.where(table.updated >= query.changed_since)
        return select

    def _condition(self, level: Level, match: Term) -> Any:
        if isinstance(match, AnyOf):
            return any_of([self._condition(level, term) for term in match.terms])
        if isinstance(match, Not):
            return ~fn.COALESCE(self._condition(level, match.term), SQL("FALSE"))  # a number may be absent
        if isinstance(match, Changed):
            changed = self._of(level).updated
            since = changed >= match.since
            return since & (changed < match.before) if math.isfinite(match.before) else since
        if match.tag not in SEARCHABLE:
            raise Refused(f"{keyword_of(match.tag)} cannot be searched for here")
        owner, attribute = SEARCHABLE[match.tag]
        if attribute.keyword == "ModalitiesInStudy":
            return self._exists(Level.STUDY, Level.SERIES, SERIES_ATTRIBUTES["00080060"], match)
        if owner <= level:
            return _compare(self._of(owner), attribute, match)
        return self._exists(level, owner, attribute, match)

    def _exists(self, level: Level, below: Level, attribute: Attribute, match: Match | Equals) -> Any:
        """That a series or instance below the row exists that matches."""
        series = _table("series", self._database).alias("s")
        if below == Level.SERIES:
            inner = series.select(series.study).where(_compare(series, attribute, match))
        else:
            instance = _table("instance", self._database).alias("i")
            found = _compare(instance, attribute, match)
            if level == Level.SERIES:
                return self._series.id << instance.select(instance.series).where(found)
            inner = series.select(series.study).join(instance, on=(instance.series == series.id)).where(found)
        return self._study.id << inner

    def _columns(self, level: Level) -> list[Any]:
        study, series, instance = self._study, self._series, self._instance
        columns = [
            study.uid.alias("study_uid"),
            study.attributes.alias("study_attributes"),
            study.modalities,
            study.series.alias("study_series"),
            study.instances.alias("study_instances"),
            self._of(level).updated.alias("changed"),
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

    def _order(self, query: Query) -> list[Any]:
        study, table = self._study, self._of(query.level)
        if query.order == Order.NEWEST:
            return [table.updated.desc(), table.id.desc()]
        if query.order == Order.OLDEST:
            return [table.updated, table.id]
        if query.order == Order.STARTED:
            return [study.study_date, study.study_time, table.id]
        if query.order == Order.STARTED_DESCENDING:
            return [study.study_date.desc(), study.study_time.desc(), table.id]
        if query.level == Level.STUDY:
            return [study.id]
        order = [self._series.study, self._series.number, self._series.id]
        return order + ([self._instance.number, self._instance.id] if query.level == Level.INSTANCE else [])

    def _entry(self, level: Level, row: dict[str, Any]) -> Entry:
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


def _compare(table: Any, attribute: Attribute, match: Match | Equals) -> Any:
    compare = equality if isinstance(match, Equals) else condition
    return compare(table, attribute, match.values)


def _table(name: str, database: Any) -> Any:
    columns = {
        "study": "id uid patient_id patient_name patient_key birth_date sex study_date study_time accession_number "
        "study_id referring_physician description modalities series instances attributes updated",
        "series": "id uid study modality number description body_part series_date series_time pps_date pps_time "
        "instances attributes updated",
        "instance": "id uid series sop_class number transfer_syntax project file size attributes metadata receipt "
        "updated",
    }[name]
    return Table(name, tuple(columns.split()), _database=database)
