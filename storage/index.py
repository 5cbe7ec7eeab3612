"""Knows which clean studies, series and instances exist, and finds them.

One `Query` value serves QIDO-RS, FHIR, the portal and the command line; one table says for each attribute its level and
column; the matching rules of PS3.4 C.2.2.2 are written once, in `matching.py`. What goes in and comes out is the DICOM
JSON model (PS3.18 Annex F): a dict from eight-digit tag to {"vr", "Value"}.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

from peewee import JOIN, SQL, Table, fn

from .errors import NotFound, Refused
from .matching import Attribute, Column, any_of, condition, equality, fold, keyword_of, stored_text

DicomJson = dict[str, dict[str, Any]]


class Level(IntEnum):
    """The levels of the Study Root information model."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Order(StrEnum):
    """How results are sorted; every order ends in a unique key, so that pages are stable."""

    STORED = "stored"
    """By level's own number (series, instance), then by when it was first published."""
    NEWEST = "newest"
    """Latest change first."""
    OLDEST = "oldest"
    """Latest change last."""
    STARTED = "started"
    """By study date and time."""
    STARTED_DESCENDING = "-started"


STUDY_ATTRIBUTES = {
    "0020000D": Attribute("StudyInstanceUID", "UI", Column("study", "uid")),
    "00100020": Attribute("PatientID", "LO", Column("study", "patient_id")),
    "00100010": Attribute("PatientName", "PN", Column("study", "patient_name")),
    "00100030": Attribute("PatientBirthDate", "DA", Column("study", "birth_date")),
    "00100040": Attribute("PatientSex", "CS", Column("study", "sex")),
    "00080020": Attribute("StudyDate", "DA", Column("study", "study_date")),
    "00080030": Attribute("StudyTime", "TM", Column("study", "study_time")),
    "00080050": Attribute("AccessionNumber", "SH", Column("study", "accession_number")),
    "00200010": Attribute("StudyID", "SH", Column("study", "study_id")),
    "00080090": Attribute("ReferringPhysicianName", "PN", Column("study", "referring_physician")),
    "00081030": Attribute("StudyDescription", "LO", Column("study", "description")),
    "00080061": Attribute("ModalitiesInStudy", "CS", Column("study", "modalities")),
}
SERIES_ATTRIBUTES = {
    "0020000E": Attribute("SeriesInstanceUID", "UI", Column("series", "uid")),
    "00080060": Attribute("Modality", "CS", Column("series", "modality")),
    "00200011": Attribute("SeriesNumber", "IS", Column("series", "number")),
    "0008103E": Attribute("SeriesDescription", "LO", Column("series", "description")),
    "00180015": Attribute("BodyPartExamined", "CS", Column("series", "body_part")),
    "00080021": Attribute("SeriesDate", "DA", Column("series", "series_date")),
    "00080031": Attribute("SeriesTime", "TM", Column("series", "series_time")),
    "00400244": Attribute("PerformedProcedureStepStartDate", "DA", Column("series", "pps_date")),
    "00400245": Attribute("PerformedProcedureStepStartTime", "TM", Column("series", "pps_time")),
}
INSTANCE_ATTRIBUTES = {
    "00080018": Attribute("SOPInstanceUID", "UI", Column("instance", "uid")),
    "00080016": Attribute("SOPClassUID", "UI", Column("instance", "sop_class")),
    "00200013": Attribute("InstanceNumber", "IS", Column("instance", "number")),
}
SEARCHABLE: dict[str, tuple[Level, Attribute]] = {
    **{tag: (Level.STUDY, attribute) for tag, attribute in STUDY_ATTRIBUTES.items()},
    **{tag: (Level.SERIES, attribute) for tag, attribute in SERIES_ATTRIBUTES.items()},
    **{tag: (Level.INSTANCE, attribute) for tag, attribute in INSTANCE_ATTRIBUTES.items()},
}
"""Tag to level and attribute of everything a `Match` may name."""

# Attributes of the Patient and Study (PS3.3 C.7.1, C.7.2) and Series (C.7.3.1) modules that are remembered at
# their level beside the searchable ones, so that `includefield` can return them.
_STUDY_TAGS = frozenset(STUDY_ATTRIBUTES) | frozenset(
    "00080005 00080201 00080051 00081032 00081048 00081060 00081080 00081084 00080096 0008009C 00100021 00100032 "
    "00101010 00101020 00101030 00102160 00102180 001021B0 001021C0 00104000 00101040 00120010 00120020 00120030 "
    "00120031 00120040 00120042 00120050 00120051 00120062 00120063 00120064 00321032 00321033 00321060".split()
)
_SERIES_TAGS = frozenset(SERIES_ATTRIBUTES) | frozenset(
    "00080070 00081010 00081040 00081050 00081070 00081090 00080080 00180015 00181000 00181020 00181030 00185100 "
    "00200052 00200060 00201040 00400253 00400254 00400260 00400275 00081111 00081115 0008103F 00280303".split()
)

_PORTION = 500
_MISCOUNTS = {
    Level.STUDY: """SELECT study.uid, study.instances, COUNT(instance.id) FROM study LEFT JOIN series
        ON series.study = study.id LEFT JOIN instance ON instance.series = series.id
        GROUP BY study.id HAVING COUNT(instance.id) <> study.instances""",
    Level.SERIES: """SELECT series.uid, series.instances, COUNT(instance.id) FROM series LEFT JOIN instance
        ON instance.series = series.id GROUP BY series.id HAVING COUNT(instance.id) <> series.instances""",
}


@dataclass(frozen=True)
class Match:
    """One attribute must match at least one of `values`, each read as PS3.4 C.2.2.2 says for its VR: `*` and `?` in
    text, ranges `a-b` in dates and times, the empty value as universal matching."""

    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Equals:
    """One attribute is exactly one of `values`: no wildcards, no ranges; the empty value asks that it has none."""

    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Changed:
    """The last change was at or after `since` and before `before`, in seconds since the epoch."""

    since: float = 0.0
    before: float = math.inf


@dataclass(frozen=True)
class AnyOf:
    """At least one of `terms` holds; of none, none does."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Not:
    """`term` does not hold; for a term of a lower level: there is no such series or instance."""

    term: Term


Term: TypeAlias = Match | Equals | Changed | AnyOf | Not
"""One condition of a query."""


@dataclass(frozen=True)
class Query:
    """What is looked for. All matches must hold; a match of a lower level asks that one such series or instance
    exists. `limit` None means all."""

    level: Level
    matches: tuple[Term, ...] = ()
    limit: int | None = None
    offset: int = 0
    order: Order = Order.STORED
    changed_since: float = 0.0


@dataclass(frozen=True)
class Entry:
    """One study, series or instance. `attributes` holds those of its level and of the levels above, computed ones
    included; the UIDs below its level are empty. `updated` is in seconds since the epoch."""

    level: Level
    study_uid: str
    attributes: DicomJson
    updated: float
    series_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""
    project: str = ""
    file: str = ""
    size: int = 0

    def text(self, tag: str) -> str:
        """The first value of an attribute as text; empty where it has none."""
        return first_text(self.attributes, tag)


@dataclass(frozen=True)
class CleanInstance:
    """What the index is told of a published instance: its attributes without bulk data, the file that holds it, and
    the receipt of its de-identification."""

    metadata: DicomJson
    transfer_syntax: str
    project: str
    file: str
    size: int = 0
    receipt: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sop_uid(self) -> str:
        return first_text(self.metadata, "00080018")


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
        columns = _columns(STUDY_ATTRIBUTES, metadata)
        columns |= {"patient_key": fold(columns["patient_name"]), "modalities": "", "series": 0, "instances": 0}
        return self._insert(table, columns | self._remembered(metadata, _STUDY_TAGS))

    def _enter_series(self, uid: str, study: int, metadata: DicomJson) -> tuple[int, bool]:
        table = self._series
        for number, owner in table.select(table.id, table.study).where(table.uid == uid).tuples():
            if owner != study:
                raise Refused("the Series Instance UID is already known in another study")
            return int(number), False
        columns = _columns(SERIES_ATTRIBUTES, metadata) | {"study": study, "instances": 0}
        return self._insert(table, columns | self._remembered(metadata, _SERIES_TAGS)), True

    def _enter_instance(self, uid: str, series: int, instance: CleanInstance) -> None:
        own = {
            tag: element
            for tag, element in instance.metadata.items()
            if tag not in _STUDY_TAGS and tag not in _SERIES_TAGS and element["vr"] != "SQ" and _is_small(element)
        }
        body = json.dumps(instance.metadata, separators=(",", ":"), ensure_ascii=False).encode()
        self._insert(
            self._instance,
            {
                "uid": uid,
                "series": series,
                "sop_class": first_text(instance.metadata, "00080016"),
                "number": _integer(first_text(instance.metadata, "00200013")),
                "transfer_syntax": instance.transfer_syntax,
                "project": instance.project,
                "file": instance.file,
                "size": instance.size,
                "attributes": json.dumps(own, separators=(",", ":")),
                "metadata": gzip.compress(body, compresslevel=6, mtime=0),
                "receipt": json.dumps(dict(instance.receipt), separators=(",", ":"), sort_keys=True),
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


def first_text(attributes: DicomJson, tag: str) -> str:
    """The first value of a DICOM JSON attribute as text; for a person name its alphabetic group. Empty if none."""
    values = attributes.get(tag, {}).get("Value") or [""]
    value = values[0]
    if isinstance(value, dict):
        value = value.get("Alphabetic") or next(iter(value.values()), "")
    return "" if value is None else str(value)


def is_uid(text: str) -> bool:
    """Whether the text has the form of a UID (PS3.5 9.1), leading zeros tolerated as they occur."""
    return 0 < len(text) <= 64 and all(part.isdigit() and part.isascii() for part in text.split("."))


def _compare(table: Any, attribute: Attribute, match: Match | Equals) -> Any:
    compare = equality if isinstance(match, Equals) else condition
    return compare(table, attribute, match.values)


def _columns(attributes: Mapping[str, Attribute], metadata: DicomJson) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for tag, attribute in attributes.items():
        text = stored_text(attribute.vr, first_text(metadata, tag))
        columns[attribute.column.name] = _integer(text) if attribute.vr == "IS" else text
    return columns


def _integer(text: str) -> int | None:
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def _is_small(element: Mapping[str, Any]) -> bool:
    return "BulkDataURI" not in element and "InlineBinary" not in element and len(element.get("Value", ())) <= 16


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
