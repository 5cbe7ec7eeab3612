"""States what this server can do, from the same tables that do it."""

from __future__ import annotations

from .conditions import IMAGING_STUDY
from .resources import Resource
from .search import VOCABULARIES

_WRITTEN = "2026-11-20"
_ID = {"name": "_id", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id", "type": "token"}
_PARAMETERS: dict[str, list[Resource]] = {
    "ImagingStudy": [
        {"name": name, "definition": parameter.definition, "type": parameter.kind}
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


def capability_statement(base: str) -> Resource:
    """The CapabilityStatement of the server at that base."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _WRITTEN,
        "kind": "instance",
        "software": {"name": "Lethe"},
        "implementation": {"description": "Lethe, a DICOM de-identification gateway: its clean studies", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{"mode": "server", "resource": [_resource(kind) for kind in VOCABULARIES]}],
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
