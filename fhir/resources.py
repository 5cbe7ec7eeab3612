"""Lets only valid resources out: what is empty is left away, and fhir.resources has checked the rest.

The R4B models are those of R4 for every resource built here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient

Resource = dict[str, Any]
"""A resource in its JSON form."""

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""The form of a FHIR id."""

_MODELS: Mapping[str, Any] = {
    "Bundle": Bundle,
    "CapabilityStatement": CapabilityStatement,
    "Endpoint": Endpoint,
    "ImagingStudy": ImagingStudy,
    "OperationOutcome": OperationOutcome,
    "Patient": Patient,
}


def checked(resource: Resource) -> Resource:
    """The resource without its empty parts. Raises pydantic's ValidationError where it is not valid; that is a defect
    of ours, never of the request."""
    pruned: Resource = without_empty(resource)
    _MODELS[pruned["resourceType"]].model_validate(pruned)
    return pruned


def without_empty(value: Any) -> Any:
    """The value without nulls, empty strings, arrays and objects, at every depth; FHIR allows none of them."""
    if isinstance(value, dict):
        kept = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, "", [], {})}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in (None, "", [], {})]
    return value


def clean(text: str) -> str:
    """Text as FHIR wants it: no control characters, no half characters, no DICOM padding."""
    return "".join(_visible(character) for character in text).strip()


def code(text: str) -> str:
    """Text as a FHIR code, which has no double spaces either."""
    return " ".join(clean(text).split())


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " " if character.isspace() else ""
    return "" if category == "Cs" else character
