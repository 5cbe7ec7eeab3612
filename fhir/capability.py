"""States what this server can do, from the same tables that do it."""

from __future__ import annotations

from importlib.metadata import version

from .conditions import IMAGING_STUDY
from .resources import Resource
from .search import VOCABULARIES

_WRITTEN = "2026-11-30"
_ID = {"name": "_id", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id", "type": "token"}
_PARAMETERS: dict[str, list[Resource]] = {
    "ImagingStudy": [
        {
            "name": name,
            "definition": parameter.definition,
            "type": parameter.kind,
            "documentation": f"modifiers: {', '.join(sorted(VOCABULARIES['ImagingStudy'].parameters[name]))}",
        }
        for name, parameter in IMAGING_STUDY.items()
    ],
    "Patient": [
        _ID,
        {
            "name": "identifier",
            "definition": "http://hl7.org/fhir/SearchParameter/Patient-identifier",
            "type": "token",
        },
    ],
    "Endpoint": [_ID],
}


def security(*, accounts: bool, other_origins: bool) -> Resource:
    """Who may ask: with accounts those who say who they are, else whoever reaches the address; pages of other origins
    where some are let in."""
    if not accounts:
        return {"cors": other_origins, "description": "there are no accounts: who reaches this address may read"}
    basic = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "Basic"}
    return {
        "cors": other_origins,
        "service": [{"coding": [basic]}],
        "description": "HTTP Basic with an account's name and password, or a bearer token that the operator hands out",
    }


def capability_statement(base: str, secured: Resource) -> Resource:
    """The CapabilityStatement of the server at that base, which is secured so."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _WRITTEN,
        "kind": "instance",
        "software": {"name": "Lethe", "version": version("lethe-node")},
        "implementation": {"description": "Lethe, a DICOM de-identification gateway: its clean studies", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{"mode": "server", "security": secured, "resource": [_resource(kind) for kind in VOCABULARIES]}],
    }


def _resource(kind: str) -> Resource:
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned",
        "conditionalRead": "full-support",
        "searchInclude": list(VOCABULARIES[kind].includes),
        "searchParam": _PARAMETERS[kind],
    }
