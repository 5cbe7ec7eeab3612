"""Says in the index's terms what the search parameters of ImagingStudy ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lethe.storage.index import Index
from lethe.storage.query import AnyOf, Equals, Match, Not, Term

from .dates import DATED, changed, started
from .mapping import DCM, ENDPOINT_ID, NO_MODALITY, STUDY_UID_SYSTEM, URI_SYSTEM, fhir_id
from .outcome import invalid
from .parameters import Criterion, Token
from .patients import patients_with_ids
from .resources import ID

_STUDY_UID = "0020000D"
_BODY_PART = "00180015"
_OID = "urn:oid:"
_STATUS_SYSTEM = "http://hl7.org/fhir/imagingstudy-status"
_NOTHING = AnyOf(())
_EVERYTHING = Not(_NOTHING)


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
    return AnyOf(tuple(started(text, site.now, site.index) for text in criterion.texts()))


def _last_updated(criterion: Criterion, site: Site) -> Term:
    return AnyOf(tuple(changed(text, site.now) for text in criterion.texts()))


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
    "started": SearchParameter("date", _named("ImagingStudy-started"), _started, present=DATED),
    "status": SearchParameter("token", _named("ImagingStudy-status"), _status, _NOT),
    "subject": SearchParameter(
        "reference", _named("ImagingStudy-subject"), _patient, frozenset({"Patient", "identifier"})
    ),
    **_ABSENT,
}
"""Every search parameter of ImagingStudy that is known; what the CapabilityStatement declares is read from here."""
