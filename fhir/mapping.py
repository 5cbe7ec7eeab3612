"""Turns index entries into resources, as the DICOM mapping of each R4 resource says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lethe.storage.entries import DicomJson, Entry
from lethe.storage.matching import stored_text

from .moments import moment
from .patients import PatientKey, patient_of
from .resources import ID, Resource, clean, code

DCM = "http://dicom.nema.org/resources/ontology/DCM"
STUDY_UID_SYSTEM = "urn:dicom:uid"
URI_SYSTEM = "urn:ietf:rfc:3986"
NO_MODALITY = "OT"
"""R4 asks every series for a modality; this is DICOM's "other"."""
ENDPOINT_ID = "dicom-web"

_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GREATEST = 2**31 - 1
_GENDERS = {"M": "male", "F": "female", "O": "other"}
_SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right")}
_PARTIAL_DATE = re.compile(r"([0-9]{4})(?:(0[1-9]|1[0-2]))?")


def fhir_id(uid: str) -> str:
    """A UID as a FHIR id: itself where it has the form of one, else a digest of it."""
    if ID.fullmatch(uid):
        return uid
    return "sha256-" + hashlib.sha256(uid.encode(errors="surrogatepass")).hexdigest()[:32]


def modality_code(text: str) -> str:
    """The code a series' modality is given."""
    return code(text) or NO_MODALITY


def imaging_study(study: Entry, series: Sequence[Entry], instances: Iterable[Entry]) -> Resource:
    """The ImagingStudy of a study, its series and its instances."""
    below: dict[str, list[Entry]] = {entry.series_uid: [] for entry in series}
    for instance in instances:
        below.setdefault(instance.series_uid, []).append(instance)
    listed = [_series(entry, below[entry.series_uid]) for entry in series]
    modalities = sorted({one["modality"]["code"] for one in listed})
    return {
        "resourceType": "ImagingStudy",
        "id": fhir_id(study.study_uid),
        "meta": _meta(study.updated),
        "identifier": _study_identifiers(study),
        "status": "available",
        "modality": [{"system": DCM, "code": modality} for modality in modalities],
        "subject": {"reference": f"Patient/{patient_of(study).id}"},
        "started": _moment(study.attributes, "00080020", "00080030"),
        "endpoint": [{"reference": f"Endpoint/{ENDPOINT_ID}"}],
        "numberOfSeries": len(listed),
        "numberOfInstances": sum(one["numberOfInstances"] for one in listed),
        "description": clean(study.text("00081030")),
        "series": listed,
    }


def patient(key: PatientKey, latest: Entry) -> Resource:
    """The Patient, as the study that changed last describes it."""
    mrn = {"coding": [{"system": _IDENTIFIER_TYPES, "code": "MR"}]}
    identifier = clean(key.patient_id)
    return {
        "resourceType": "Patient",
        "id": key.id,
        "meta": _meta(latest.updated),
        "identifier": [{"type": mrn, "value": identifier}] if identifier else [],
        "name": _names(latest.attributes),
        "gender": _gender(latest.text("00100040")),
        "birthDate": _birth_date(latest.text("00100030")),
    }


def endpoint(address: str) -> Resource:
    """The Endpoint at which the objects are retrieved: the DICOMweb base, to which a client adds /studies/{uid}."""
    kinds = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
    payloads = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
    return {
        "resourceType": "Endpoint",
        "id": ENDPOINT_ID,
        "meta": {"versionId": hashlib.sha256(address.encode()).hexdigest()[:16]},
        "status": "active",
        "connectionType": {"system": kinds, "code": "dicom-wado-rs"},
        "name": "DICOMweb",
        "payloadType": [{"coding": [{"system": payloads, "code": "none"}]}],
        "payloadMimeType": ["application/dicom"],
        "address": address.rstrip("/"),
    }


def instant(seconds: float) -> datetime:
    """Seconds since the epoch as a time, in whole microseconds, never later than it was: a search for what changed
    after the time shown must not find the same again, nor one for that time miss it."""
    microseconds = round(seconds * 1e6)
    if microseconds / 1e6 > seconds:
        microseconds -= 1
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _series(series: Entry, instances: Sequence[Entry]) -> Resource:
    return {
        "uid": fhir_id(series.series_uid),
        "number": _unsigned(series.attributes, "00200011"),
        "modality": {"system": DCM, "code": modality_code(series.text("00080060"))},
        "description": clean(series.text("0008103E")),
        "numberOfInstances": len(instances),
        "endpoint": [{"reference": f"Endpoint/{ENDPOINT_ID}"}],
        # The defined terms of BodyPartExamined are no code system, so they are named, not coded.
        "bodySite": {"display": clean(series.text("00180015"))},
        "laterality": _side(series.text("00200060")),
        "started": _moment(series.attributes, "00080021", "00080031"),
        "instance": [_instance(instance) for instance in instances],
    }


def _instance(instance: Entry) -> Resource:
    sop_class = "".join(clean(instance.sop_class).split())
    coded = {"system": URI_SYSTEM, "code": f"urn:oid:{sop_class}"}
    return {
        "uid": fhir_id(instance.sop_uid),
        "sopClass": coded if sop_class else {"display": "unknown"},
        "number": _unsigned(instance.attributes, "00200013"),
        "title": _title(instance),
    }


def _title(instance: Entry) -> str:
    named = clean(instance.text("00700080")) or clean(instance.text("00420010"))
    image_type = instance.attributes.get("00080008", {}).get("Value") or []
    return named or clean("\\".join(str(value) for value in image_type if value is not None))


def _study_identifiers(study: Entry) -> list[Resource]:
    identifiers: list[Resource] = [{"system": STUDY_UID_SYSTEM, "value": f"urn:oid:{clean(study.study_uid)}"}]
    if accession := clean(study.text("00080050")):
        kind = {"coding": [{"system": _IDENTIFIER_TYPES, "code": "ACSN"}]}
        identifiers.append({"type": kind, "value": accession})
    if study_id := clean(study.text("00200010")):
        identifiers.append({"use": "secondary", "type": {"text": "Study ID"}, "value": study_id})
    return identifiers


def _meta(updated: float) -> Resource:
    text = instant(updated).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"versionId": "".join(filter(str.isdigit, text)), "lastUpdated": text}


def _moment(attributes: DicomJson, da: str, tm: str) -> str | None:
    date, time, zone = (_text(attributes, tag) for tag in (da, tm, "00080201"))
    found = moment(date, time, zone)
    return found.text if found else None


def _text(attributes: DicomJson, tag: str) -> str:
    value = (attributes.get(tag, {}).get("Value") or [""])[0]
    return value if isinstance(value, str) else ""


def _unsigned(attributes: DicomJson, tag: str) -> int | None:
    """An unsignedInt; what is negative, fractional or too great is left out rather than bent."""
    value = (attributes.get(tag, {}).get("Value") or [None])[0]
    try:
        number = int(str(value).strip())
    except ValueError:
        return None
    return number if 0 <= number <= _GREATEST else None


def _side(text: str) -> Resource:
    side = _SIDES.get(clean(text))
    return {"system": "http://snomed.info/sct", "code": side[0], "display": side[1]} if side else {}


def _names(attributes: DicomJson) -> list[Resource]:
    value = (attributes.get("00100010", {}).get("Value") or [None])[0]
    groups: Mapping[str, Any] = value if isinstance(value, dict) else {"Alphabetic": value or ""}
    kinds = (("Alphabetic", ""), ("Ideographic", "IDE"), ("Phonetic", "SYL"))
    return [_name(str(groups[group]), kind) for group, kind in kinds if groups.get(group)]


def _name(text: str, representation: str) -> Resource:
    """The five components of a person name (PS3.5 6.2.1)."""
    family, given, middle, prefix, suffix = (clean(part) for part in (text.split("^") + [""] * 5)[:5])
    name: Resource = {
        "family": family,
        "given": [*given.split(), *middle.split()],
        "prefix": [prefix],
        "suffix": [suffix],
    }
    if not any((family, given, middle, prefix, suffix)):
        return {}
    if representation:
        name["extension"] = [{"url": _REPRESENTATION, "valueCode": representation}]
    return name


def _gender(text: str) -> str:
    sex = clean(text)
    return _GENDERS.get(sex, "unknown") if sex else ""


def _birth_date(text: str) -> str:
    digits = stored_text("DA", text)
    if digits:
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    partial = _PARTIAL_DATE.fullmatch(text.strip(" \0"))
    if partial is None or partial[1] == "0000":
        return ""
    return "-".join(part for part in partial.groups() if part)
