"""Says in the index's terms what the search parameters of ImagingStudy ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.query import AnyOf, Changed, Equals, Level, Match, Not, Query, Term

from .mapping import DCM, ENDPOINT_ID, NO_MODALITY, STUDY_UID_SYSTEM, URI_SYSTEM, fhir_id
from .moments import Days, Prefix, Span, later, moment, parse, shifted
from .outcome import invalid
from .parameters import Criterion, Token
from .patients import patients_with_ids
from .resources import ID

_STUDY_UID = "0020000D"
_STUDY_DATE = "00080020"
_BODY_PART = "00180015"
_OID = "urn:oid:"
_STATUS_SYSTEM = "http://hl7.org/fhir/imagingstudy-status"
_NOTHING = AnyOf(())
_EVERYTHING = Not(_NOTHING)
_BEFORE = (Prefix.LT, Prefix.LE, Prefix.EB, Prefix.NE)
_DATED = Not(Equals(_STUDY_DATE, ("",)))
_AFTER = (Prefix.GT, Prefix.GE, Prefix.SA, Prefix.NE)


@dataclass(frozen=True)
class Site:
    """Where a search happens: over which index, under which FHIR base, and when."""

    index: Index
    base: str
    now: datetime


@dataclass(frozen=True)
class SearchParameter:
    """One search parameter: its type, its canonical name, the condition it makes, the modifiers it knows beside
    `missing`, which all know, and when a study has it."""

    kind: str
    definition: str
    term: Callable[[Criterion, Site], Term]
    modifiers: frozenset[str] = frozenset()
    present: Term = _EVERYTHING


def terms(criteria: Iterable[Criterion], site: Site) -> tuple[Term, ...]:
    """The conditions that hold for exactly the studies looked for. Raises Problem."""
    return tuple(_term(IMAGING_STUDY[criterion.name], criterion, site) for criterion in criteria)


def study_uids(index: Index, ids: Iterable[str]) -> tuple[str, ...]:
    """The Study Instance UIDs behind FHIR ids."""
    wanted = [text for text in ids if ID.fullmatch(text)]
    plain = [text for text in wanted if not text.startswith("sha256-")]
    if len(plain) == len(wanted):
        return tuple(plain)
    return (*plain, *(uid for uid in index.values(_STUDY_UID) if fhir_id(uid) != uid and fhir_id(uid) in wanted))


def reference_ids(values: Iterable[str], kind: str, base: str) -> list[str]:
    """The ids that references to that type of resource name: `123`, `Patient/123` or absolute below our base."""
    ids = []
    for value in values:
        local = value.removeprefix(f"{base}/")
        found = local.removeprefix(f"{kind}/")
        if ID.fullmatch(found):
            ids.append(found)
    return ids


def _term(parameter: SearchParameter, criterion: Criterion, site: Site) -> Term:
    if criterion.modifier != "missing":
        return parameter.term(criterion, site)
    if criterion.values not in (("true",), ("false",)):
        raise invalid("with :missing the value is true or false")
    return parameter.present if criterion.values == ("false",) else Not(parameter.present)


def _id(criterion: Criterion, site: Site) -> Term:
    return Equals(_STUDY_UID, study_uids(site.index, criterion.texts()))


def _identifier(criterion: Criterion, _site: Site) -> Term:
    uids: list[str] = []
    others: list[str] = []
    for token in criterion.tokens():
        if token == Token(STUDY_UID_SYSTEM, ""):
            return _EVERYTHING
        if token.is_of(STUDY_UID_SYSTEM) and token.code.startswith(_OID):
            uids.append(token.code.removeprefix(_OID))
        if not token.system:
            others.append(token.code)
    texts = tuple(others)
    return AnyOf((Equals(_STUDY_UID, tuple(uids)), Equals("00080050", texts), Equals("00200010", texts)))


def _patient(criterion: Criterion, site: Site) -> Term:
    if criterion.modifier == "identifier":
        codes = tuple(token.code for token in criterion.tokens() if not token.system)
        return Equals("00100020", codes)
    ids = reference_ids(criterion.texts(), "Patient", site.base)
    return AnyOf(tuple(key.term for key in patients_with_ids(site.index, ids)))


def _modality(criterion: Criterion, _site: Site) -> Term:
    tokens = [token for token in criterion.tokens() if token.is_of(DCM)]
    codes = [token.code for token in tokens]
    found = _EVERYTHING if "" in codes else Equals("00080061", (*codes, *([""] if NO_MODALITY in codes else [])))
    return _perhaps_not(criterion, found)


def _status(criterion: Criterion, _site: Site) -> Term:
    tokens = [token for token in criterion.tokens() if token.is_of(_STATUS_SYSTEM)]
    return _perhaps_not(criterion, _always(any(token.code in ("", "available") for token in tokens)))


def _endpoint(criterion: Criterion, site: Site) -> Term:
    return _always(ENDPOINT_ID in reference_ids(criterion.texts(), "Endpoint", site.base))


def _series(criterion: Criterion, _site: Site) -> Term:
    return Equals("0020000E", _bare_uids(criterion))


def _instance(criterion: Criterion, _site: Site) -> Term:
    return Equals("00080018", _bare_uids(criterion))


def _dicom_class(criterion: Criterion, _site: Site) -> Term:
    tokens = [token for token in criterion.tokens() if token.is_of(URI_SYSTEM)]
    if any(not token.code for token in tokens):
        return _EVERYTHING
    return Equals("00080016", tuple(t.code.removeprefix(_OID) for t in tokens if t.code.startswith(_OID)))


def _started(criterion: Criterion, site: Site) -> Term:
    return AnyOf(tuple(_started_one(text, site) for text in criterion.texts()))


def _last_updated(criterion: Criterion, site: Site) -> Term:
    return AnyOf(tuple(_changed(text, site.now) for text in criterion.texts()))


def _body_site(criterion: Criterion, site: Site) -> Term:
    """By how it is called, since no code says where: text that begins so, in whatever case (R4 search, :text)."""
    if criterion.modifier != "text":
        return _nothing(criterion, site)
    beginnings = [text.strip().upper() for text in criterion.texts()]
    return AnyOf(tuple(Match(_BODY_PART, (f"{text}*",)) for text in beginnings if not set(text) & set("*?")))


def _nothing(criterion: Criterion, _site: Site) -> Term:
    """Of an element that no study here has, as there is no order, no encounter and nobody to name."""
    return _perhaps_not(criterion, _NOTHING)


def _bare_uids(criterion: Criterion) -> tuple[str, ...]:
    """UIDs of type id: without a system and without urn:oid."""
    codes = tuple(token.code for token in criterion.tokens() if not token.system)
    if any(code.startswith(_OID) for code in codes):
        raise invalid("a series or instance is searched for by its UID alone, without urn:oid:")
    return codes


def _perhaps_not(criterion: Criterion, term: Term) -> Term:
    return Not(term) if criterion.modifier == "not" else term


def _always(holds: bool) -> Term:
    return _EVERYTHING if holds else _NOTHING


def _started_one(text: str, site: Site) -> Term:
    prefix, when = parse(text)
    if prefix == Prefix.AP:
        when = _approximate(when, site.now)
    if isinstance(when, Days):
        return _by_day(prefix, when)
    return _by_time(prefix, when, site.index)


def _approximate(when: Days | Span, now: datetime) -> Days:
    """Wider by a tenth of the time between then and now, as R4 recommends; whole days are exact enough for that."""
    days = when if isinstance(when, Days) else Days(when.begins.date(), when.ends.date())
    margin = math.ceil(abs((now.date() - days.first).days) / 10)
    return Days(shifted(days.first, -margin), shifted(days.last, margin))


def _by_day(prefix: Prefix, days: Days) -> Term:
    """By the study's own date: a study lies on one day, so overlapping and lying within are the same."""
    until, since = _until(shifted(days.first, -1)), _since(shifted(days.last, 1))
    ranges = {
        Prefix.EQ: [f"{_da(days.first)}-{_da(days.last)}"],
        Prefix.AP: [f"{_da(days.first)}-{_da(days.last)}"],
        Prefix.NE: [*_unless(days.first == date.min, until), *_unless(days.last == date.max, since)],
        Prefix.GE: [_since(days.first)],
        Prefix.LE: [_until(days.last)],
        Prefix.GT: _unless(days.last == date.max, since),
        Prefix.SA: _unless(days.last == date.max, since),
        Prefix.LT: _unless(days.first == date.min, until),
        Prefix.EB: _unless(days.first == date.min, until),
    }[prefix]
    return _dates(ranges)


def _by_time(prefix: Prefix, span: Span, index: Index) -> Term:
    """By the instant. No zone is further than a day from UTC, so the date decides for all but the studies of the few
    days around the span; those are looked at one by one."""
    first, last = shifted(span.begins.date(), -1), shifted(span.ends.date(), 1)
    near = index.find(Query(Level.STUDY, (Match(_STUDY_DATE, (f"{_da(first)}-{_da(last)}",)),)))
    hits = tuple(study.study_uid for study in near if _compares(prefix, span, _span_of(study)))
    outside = _unless(prefix not in _BEFORE or first == date.min, _until(shifted(first, -1)))
    outside += _unless(prefix not in _AFTER or last == date.max, _since(shifted(last, 1)))
    return AnyOf((_dates(outside), Equals(_STUDY_UID, hits)))


def _span_of(study: Entry) -> Span | None:
    found = moment(study.text(_STUDY_DATE), study.text("00080030"), study.text("00080201"))
    return found.span if found else None


def _compares(prefix: Prefix, asked: Span, found: Span | None) -> bool:
    """The comparison of two intervals as R4 defines each prefix."""
    if found is None:
        return False
    within = asked.begins <= found.begins and found.ends <= asked.ends
    return {
        Prefix.EQ: within,
        Prefix.NE: not within,
        Prefix.GT: found.ends > asked.ends,
        Prefix.LT: found.begins < asked.begins,
        Prefix.GE: found.ends > asked.ends or within,
        Prefix.LE: found.begins < asked.begins or within,
        Prefix.SA: found.begins >= asked.ends,
        Prefix.EB: found.ends <= asked.begins,
    }[prefix]


def _changed(text: str, now: datetime) -> Term:
    """By the last change, which is an instant."""
    prefix, when = parse(text)
    span = when.span() if isinstance(when, Days) else when
    if prefix == Prefix.AP:
        margin = timedelta(seconds=abs((now - span.begins).total_seconds()) / 10)
        span = Span(later(span.begins, -margin), later(span.ends, margin))
    begins, ends = _epoch(span.begins), _epoch(span.ends)
    if prefix in (Prefix.EQ, Prefix.AP):
        return Changed(begins, ends)
    if prefix == Prefix.NE:
        return Not(Changed(begins, ends))
    if prefix in (Prefix.GT, Prefix.SA):
        return Changed(since=ends)
    if prefix == Prefix.GE:
        return Changed(since=begins)
    return Changed(before=ends if prefix == Prefix.LE else begins)


def _epoch(instant: datetime) -> float:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _dates(ranges: Sequence[str]) -> Term:
    return Match(_STUDY_DATE, tuple(ranges)) if ranges else _NOTHING


def _unless(condition: bool, text: str) -> list[str]:
    return [] if condition else [text]


def _since(day: date) -> str:
    return f"{_da(day)}-"


def _until(day: date) -> str:
    return f"-{_da(day)}"


def _da(day: date) -> str:
    return day.isoformat().replace("-", "")


def _named(name: str) -> str:
    return f"http://hl7.org/fhir/SearchParameter/{name}"


_NOT = frozenset({"not"})
_WHO = frozenset({"identifier", "Practitioner", "PractitionerRole"})
_ORDERS = frozenset({"identifier", "Appointment", "AppointmentResponse", "CarePlan", "ServiceRequest", "Task"})
_PERFORMERS = _WHO | {"CareTeam", "Device", "Organization", "Patient", "RelatedPerson"}
_ABSENT: Mapping[str, SearchParameter] = {
    name: SearchParameter(kind, _named(definition), _nothing, modifiers, _NOTHING)
    for name, kind, definition, modifiers in (
        ("_profile", "uri", "Resource-profile", frozenset[str]()),
        ("_security", "token", "Resource-security", _NOT),
        ("_source", "uri", "Resource-source", frozenset[str]()),
        ("_tag", "token", "Resource-tag", _NOT),
        ("basedon", "reference", "ImagingStudy-basedon", _ORDERS),
        ("encounter", "reference", "clinical-encounter", frozenset({"Encounter", "identifier"})),
        ("interpreter", "reference", "ImagingStudy-interpreter", _WHO),
        ("performer", "reference", "ImagingStudy-performer", _PERFORMERS),
        ("reason", "token", "ImagingStudy-reason", _NOT),
        ("referrer", "reference", "ImagingStudy-referrer", _WHO),
    )
}
"""Passed over, they would find every study there is."""
IMAGING_STUDY: Mapping[str, SearchParameter] = {
    "_id": SearchParameter("token", _named("Resource-id"), _id),
    "_lastUpdated": SearchParameter("date", _named("Resource-lastUpdated"), _last_updated),
    "bodysite": SearchParameter(
        "token", _named("ImagingStudy-bodysite"), _body_site, _NOT | {"text"}, Match(_BODY_PART, ("?*",))
    ),
    "dicom-class": SearchParameter("token", _named("ImagingStudy-dicom-class"), _dicom_class),
    "endpoint": SearchParameter("reference", _named("ImagingStudy-endpoint"), _endpoint, frozenset({"Endpoint"})),
    "identifier": SearchParameter("token", _named("clinical-identifier"), _identifier),
    "instance": SearchParameter("token", _named("ImagingStudy-instance"), _instance),
    "modality": SearchParameter("token", _named("ImagingStudy-modality"), _modality, _NOT),
    "patient": SearchParameter("reference", _named("clinical-patient"), _patient, frozenset({"Patient", "identifier"})),
    "series": SearchParameter("token", _named("ImagingStudy-series"), _series),
    "started": SearchParameter("date", _named("ImagingStudy-started"), _started, present=_DATED),
    "status": SearchParameter("token", _named("ImagingStudy-status"), _status, _NOT),
    "subject": SearchParameter(
        "reference", _named("ImagingStudy-subject"), _patient, frozenset({"Patient", "identifier"})
    ),
    **_ABSENT,
}
"""Every search parameter of ImagingStudy that is known; what the CapabilityStatement declares is read from here."""
