"""Answers searches: parameters to a Query, the matches of one page to a searchset Bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.query import Equals, Level, Order, Place, Query

from .conditions import IMAGING_STUDY, Site, study_uids, terms
from .mapping import ENDPOINT_ID, endpoint, imaging_study, patient
from .outcome import not_found
from .parameters import Asked, Shape, Summary, Vocabulary, written
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
        {name: parameter.modifiers | {"missing"} for name, parameter in IMAGING_STUDY.items()},
        {f"ImagingStudy:{element}": element for element in ("endpoint", "patient", "subject")},
        frozenset({"started", "-started", "_lastUpdated", "-_lastUpdated"}),
    ),
    "Patient": Vocabulary({"_id": frozenset(), "identifier": frozenset()}, {}, frozenset()),
    "Endpoint": Vocabulary({"_id": frozenset()}, {}, frozenset()),
}
"""The resource types there are, and what can be asked of each."""


@dataclass(frozen=True)
class Page:
    """Some of what a search found; `place` is where the last one stands, empty where none comes after it."""

    resources: list[Resource]
    place: Place = ()


@dataclass(frozen=True)
class Matches:
    """What a search found: how many, and a function that gives the page that was asked for."""

    total: int
    page: Callable[[], Page]


def search(kind: str, asked: Asked, site: Site, dicomweb: str) -> Resource:
    """The searchset Bundle."""
    matches = _matches(kind, asked, site, dicomweb)
    page = Page([]) if asked.only_counts else matches.page()
    included = _included(page.resources, asked, site.index, dicomweb)
    entries = [_entry(site.base, resource, "match", asked.shape) for resource in page.resources]
    entries += [_entry(site.base, resource, "include", Shape()) for resource in included]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": matches.total,
        "link": _links(f"{site.base}/{kind}", asked, page, matches.total),
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
        return _patients(asked, site.index)
    return _endpoints(asked, dicomweb)


def _studies(asked: Asked, site: Site) -> Matches:
    conditions = terms(asked.criteria, site)

    def page() -> Page:
        first, *then = asked.orders or (Order.STORED,)
        query = Query(Level.STUDY, conditions, order=first, then=tuple(then), after=asked.after)
        # One more than is wanted: whether there is a next page is not known by the total, which changes meanwhile.
        placed = site.index.page(replace(query, limit=asked.count + 1, offset=0 if asked.after else asked.offset))
        studies = _bounded([study for study, _ in placed[: asked.count]])
        last = placed[len(studies) - 1][1] if len(studies) < len(placed) else ()
        return Page(_imaging_studies(site.index, studies), last)

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
    # What has been withdrawn between these questions is not there; it is not a study of nothing.
    there = [study for study in studies if study.study_uid in series and study.study_uid in instances]
    return [imaging_study(study, series[study.study_uid], instances[study.study_uid]) for study in there]


def _by_study(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.study_uid, []).append(entry)
    return groups


def _patients(asked: Asked, index: Index) -> Matches:
    keys = all_patients(index)
    for criterion in asked.criteria:
        if criterion.name == "_id":
            ids = set(criterion.texts())
            keys = [key for key in keys if key.id in ids]
        else:
            codes = {token.code for token in criterion.tokens() if not token.system}
            keys = [key for key in keys if key.patient_id in codes]

    def page() -> Page:
        rest = [key for key in keys if (key.id,) > asked.after] if asked.after else keys[asked.offset :]
        found = rest[: asked.count]
        return Page(_patient_resources(index, found), (found[-1].id,) if len(found) < len(rest) else ())

    return Matches(len(keys), page)


def _patient_resources(index: Index, keys: Sequence[PatientKey]) -> list[Resource]:
    described = ((key, latest_study(index, key)) for key in keys)
    return [patient(key, study) for key, study in described if study is not None]


def _endpoints(asked: Asked, dicomweb: str) -> Matches:
    found = all(ENDPOINT_ID in criterion.texts() for criterion in asked.criteria)
    resources = [endpoint(dicomweb)] if found else []
    return Matches(len(resources), lambda: Page([] if asked.after else resources[asked.offset :]))


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


def _links(address: str, asked: Asked, page: Page, total: int) -> list[Resource]:
    """Self always; the pages around it where there are any. All can be fetched by GET, whatever the search came by.

    The next page begins after the last study of this one, not after a number of them, and so meets every study once
    that is there all the time, whatever is published or withdrawn. The number tells where to go back to.
    """
    if asked.only_counts:
        return [_link("self", address, [*asked.used, *([("_count", "0")] if asked.count == 0 else [])])]
    size = ("_count", str(asked.count))
    links = [_link("self", address, [*asked.used, size, *_position(asked.offset, asked.after)])]
    if asked.offset or page.place:
        links.append(_link("first", address, [*asked.used, size]))
    if asked.offset:
        previous = max(0, min(asked.offset, total) - asked.count)
        links.append(_link("prev", address, [*asked.used, size, ("_offset", str(previous))]))
    if page.place:
        position = _position(asked.offset + len(page.resources), page.place)
        links.append(_link("next", address, [*asked.used, size, *position]))
    return links


def _position(offset: int, after: Place) -> list[tuple[str, str]]:
    return [("_offset", str(offset))] * bool(offset) + [("_after", written(after))] * bool(after)


def _link(relation: str, address: str, parameters: Sequence[tuple[str, str]]) -> Resource:
    return {"relation": relation, "url": f"{address}?{urlencode(parameters)}"}
