"""Answers searches: parameters to a Query, the matches of one page to a searchset Bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.query import Equals, Level, Query

from .conditions import IMAGING_STUDY, Site, study_uids, terms
from .mapping import ENDPOINT_ID, endpoint, imaging_study, patient
from .outcome import not_found
from .parameters import Asked, Criterion, Shape, Summary, Vocabulary
from .patients import PatientKey, all_patients, latest_study, patient_of, patients_with_ids
from .resources import Resource

# A page ends early where its studies have more instances than this, so that no answer takes too long.
_MOST_INSTANCES = 20_000
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_MANDATORY = {
    "ImagingStudy": frozenset({"status", "subject"}),
    "Endpoint": frozenset({"status", "connectionType", "payloadType", "address"}),
    "Patient": frozenset[str](),
}

VOCABULARIES: Mapping[str, Vocabulary] = {
    "ImagingStudy": Vocabulary(
        {name: parameter.modifiers for name, parameter in IMAGING_STUDY.items()},
        {f"ImagingStudy:{element}": element for element in ("endpoint", "patient", "subject")},
        frozenset({"started", "-started", "_lastUpdated", "-_lastUpdated"}),
    ),
    "Patient": Vocabulary({"_id": frozenset(), "identifier": frozenset()}, {}, frozenset()),
    "Endpoint": Vocabulary({"_id": frozenset()}, {}, frozenset()),
}
"""The resource types there are, and what can be asked of each."""


@dataclass(frozen=True)
class Matches:
    """What a search found: how many, and a function from offset and count to the resources of a page."""

    total: int
    page: Callable[[int, int], list[Resource]]


def search(kind: str, asked: Asked, site: Site, dicomweb: str) -> Resource:
    """The searchset Bundle."""
    matches = _matches(kind, asked, site, dicomweb)
    found = [] if asked.only_counts else matches.page(asked.offset, asked.count)
    included = _included(found, asked, site.index, dicomweb)
    entries = [_entry(site.base, resource, "match", asked.shape) for resource in found]
    entries += [_entry(site.base, resource, "include", Shape()) for resource in included]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": matches.total,
        "link": _links(f"{site.base}/{kind}", asked, len(found), matches.total),
        "entry": entries,
    }


def read(kind: str, identifier: str, index: Index, dicomweb: str) -> Resource:
    """The one resource of that type and id. Raises Problem, NotFound."""
    if kind == "ImagingStudy":
        uids = study_uids(index, [identifier])
        studies = index.find(Query(Level.STUDY, (Equals("0020000D", uids),), limit=1))
        found = _imaging_studies(index, studies)
    elif kind == "Patient":
        found = _patient_resources(index, patients_with_ids(index, [identifier]))
    else:
        found = [endpoint(dicomweb)] if identifier == ENDPOINT_ID else []
    if not found:
        raise not_found()
    return found[0]


def shaped(resource: Resource, shape: Shape) -> Resource:
    """The resource with no more than the elements asked for; one that is not whole says so."""
    if not shape.elements and shape.summary == Summary.FALSE:
        return resource
    kept = {"resourceType", "id", "meta"} | _MANDATORY[resource["resourceType"]]
    if shape.summary != Summary.TEXT:
        kept |= set(shape.elements or resource)
    partial = {name: value for name, value in resource.items() if name in kept}
    if shape.summary == Summary.TRUE and "series" in partial:
        partial["series"] = [
            {name: value for name, value in one.items() if name != "instance"} for one in partial["series"]
        ]
    partial["meta"] = {**resource.get("meta", {}), "tag": [_SUBSETTED]}
    return partial


def _matches(kind: str, asked: Asked, site: Site, dicomweb: str) -> Matches:
    if kind == "ImagingStudy":
        return _studies(asked, site)
    if kind == "Patient":
        return _patients(asked.criteria, site.index)
    return _endpoints(asked.criteria, dicomweb)


def _studies(asked: Asked, site: Site) -> Matches:
    conditions = terms(asked.criteria, site)

    def page(offset: int, count: int) -> list[Resource]:
        found = site.index.find(Query(Level.STUDY, conditions, limit=count, offset=offset, order=asked.order))
        return _imaging_studies(site.index, _bounded(found))

    return Matches(site.index.count(Query(Level.STUDY, conditions)), page)


def _bounded(studies: Sequence[Entry]) -> Sequence[Entry]:
    instances = 0
    for position, study in enumerate(studies):
        instances += int(study.text("00201208"))
        if position and instances > _MOST_INSTANCES:
            return studies[:position]
    return studies


def _imaging_studies(index: Index, studies: Sequence[Entry]) -> list[Resource]:
    of_these = (Equals("0020000D", tuple(study.study_uid for study in studies)),)
    series = _by_study(index.find(Query(Level.SERIES, of_these)))
    instances = _by_study(index.find(Query(Level.INSTANCE, of_these)))
    return [imaging_study(s, series.get(s.study_uid, []), instances.get(s.study_uid, [])) for s in studies]


def _by_study(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.study_uid, []).append(entry)
    return groups


def _patients(criteria: Sequence[Criterion], index: Index) -> Matches:
    keys = all_patients(index)
    for criterion in criteria:
        if criterion.name == "_id":
            ids = set(criterion.texts())
            keys = [key for key in keys if key.id in ids]
        else:
            codes = {token.code for token in criterion.tokens() if not token.system}
            keys = [key for key in keys if key.patient_id in codes]
    return Matches(len(keys), lambda offset, count: _patient_resources(index, keys[offset : offset + count]))


def _patient_resources(index: Index, keys: Sequence[PatientKey]) -> list[Resource]:
    return [patient(key, latest_study(index, key)) for key in keys]


def _endpoints(criteria: Sequence[Criterion], dicomweb: str) -> Matches:
    found = all(ENDPOINT_ID in criterion.texts() for criterion in criteria)
    resources = [endpoint(dicomweb)] if found else []
    return Matches(len(resources), lambda offset, count: resources[offset : offset + count])


def _included(found: Sequence[Resource], asked: Asked, index: Index, dicomweb: str) -> list[Resource]:
    included: list[Resource] = []
    if not found:
        return included
    if asked.includes & {"patient", "subject"}:
        uids = tuple(identifier["value"].removeprefix("urn:oid:") for identifier in _uids_of(found))
        studies = index.find(Query(Level.STUDY, (Equals("0020000D", uids),)))
        included += _patient_resources(index, list(dict.fromkeys(patient_of(study) for study in studies)))
    if "endpoint" in asked.includes:
        included.append(endpoint(dicomweb))
    return included


def _uids_of(found: Sequence[Resource]) -> list[Resource]:
    return [resource["identifier"][0] for resource in found]


def _entry(base: str, resource: Resource, mode: str, shape: Shape) -> Resource:
    address = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": shaped(resource, shape), "search": {"mode": mode}}


def _links(address: str, asked: Asked, found: int, total: int) -> list[Resource]:
    """Self always; the pages around it where there are any. All can be fetched by GET, whatever the search came by."""
    if asked.only_counts:
        return [_link("self", address, [*asked.used, *([("_count", "0")] if asked.count == 0 else [])])]
    size = ("_count", str(asked.count))
    here = [("_offset", str(asked.offset))] if asked.offset else []
    links = [_link("self", address, [*asked.used, size, *here])]
    if asked.offset or found < total:
        links.append(_link("first", address, [*asked.used, size]))
    if asked.offset:
        previous = max(0, min(asked.offset, total) - asked.count)
        links.append(_link("prev", address, [*asked.used, size, ("_offset", str(previous))]))
    if found and asked.offset + found < total:
        links.append(_link("next", address, [*asked.used, size, ("_offset", str(asked.offset + found))]))
    return links


def _link(relation: str, address: str, parameters: Sequence[tuple[str, str]]) -> Resource:
    return {"relation": relation, "url": f"{address}?{urlencode(parameters)}"}
