"""The FHIR R4 facade over a real archive, asked through a real Flask app as a client would."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import Unauthorized
from werkzeug.test import TestResponse

from lethe.fhir.capability import security
from lethe.fhir.routes import blueprint
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance, Entry
from lethe.storage.errors import Unavailable
from lethe.storage.index import Index
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage
from lethe.storage.query import Level, Query
from lethe.storage.users import Permission

BASE = "http://127.0.0.1:8080/fhir/R4"
DICOMWEB = "http://127.0.0.1:8080/dicom-web"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
MODELS: dict[str, Any] = {
    "Bundle": Bundle,
    "CapabilityStatement": CapabilityStatement,
    "Endpoint": Endpoint,
    "ImagingStudy": ImagingStudy,
    "OperationOutcome": OperationOutcome,
    "Patient": Patient,
}
TAGS = {
    "study": ("0020000D", "UI"),
    "series": ("0020000E", "UI"),
    "sop": ("00080018", "UI"),
    "sop_class": ("00080016", "UI"),
    "patient_id": ("00100020", "LO"),
    "name": ("00100010", "PN"),
    "birth": ("00100030", "DA"),
    "sex": ("00100040", "CS"),
    "date": ("00080020", "DA"),
    "time": ("00080030", "TM"),
    "zone": ("00080201", "SH"),
    "accession": ("00080050", "SH"),
    "study_id": ("00200010", "SH"),
    "description": ("00081030", "LO"),
    "modality": ("00080060", "CS"),
    "series_number": ("00200011", "IS"),
    "series_description": ("0008103E", "LO"),
    "body_part": ("00180015", "CS"),
    "laterality": ("00200060", "CS"),
    "series_date": ("00080021", "DA"),
    "series_time": ("00080031", "TM"),
    "number": ("00200013", "IS"),
    "image_type": ("00080008", "CS"),
    "label": ("00700080", "CS"),
}


class Clinic:
    """An archive with a facade in front of it, and the words to fill and to ask it."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_700_000_000.0
        self.archive = Archive(folder, clock=lambda: self.now)
        self._incoming = self.archive.files.incoming()
        self.app = Flask("clinic", instance_path=str(folder))
        secured = security(accounts=True, other_origins=False)
        routes = blueprint(self.archive, lambda: BASE, lambda: DICOMWEB, secured)
        self.app.register_blueprint(routes, url_prefix="/fhir/R4")
        self.client: FlaskClient = self.app.test_client()
        self._number = 0

    def publish(self, **values: Any) -> None:
        """One clean instance with these values, by the way every instance takes."""
        self._number += 1
        given = {
            "study": "2.25.1",
            "series": f"{values.get('study', '2.25.1')}.1",
            "sop": f"2.25.9.{self._number}",
            "sop_class": CT_STORAGE,
            "patient_id": "P1",
            "modality": "CT",
            **values,
        }
        metadata: dict[str, dict[str, Any]] = {}
        for key, value in given.items():
            tag, vr = TAGS[key]
            listed = value if isinstance(value, list) else [value]
            metadata[tag] = {"vr": vr} if value is None else {"vr": vr, "Value": listed}
        body = json.dumps(metadata).encode()
        path = self._incoming / f"{self._number}"
        path.write_bytes(body)
        self.archive.accept(path, given["sop"], Origin("TEST"), ["default"])
        job = self.archive.jobs.claim(Stage.CLEAN, "test", 60.0)
        assert job is not None
        name = hashlib.sha256(body).hexdigest()
        clean = CleanInstance(metadata, "1.2.840.10008.1.2.1", "default", name, len(body))
        assert self.archive.publish(job, [body], clean, [])

    def publish_apart(self, **values: Any) -> str:
        """One clean instance in a study of its own, whose UID is returned."""
        uid = f"2.25.1000.{self._number}"
        self.publish(study=uid, **values)
        return uid

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(f"/fhir/R4/{path}", **options)

    def resource(self, path: str, **options: Any) -> dict[str, Any]:
        """The valid resource at that path."""
        return valid(self.get(path, **options), 200)

    def found(self, parameters: str, kind: str = "ImagingStudy") -> list[str]:
        """The ids that a search finds, in order; its total agrees."""
        bundle = self.resource(f"{kind}?{parameters}")
        ids = [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
        assert bundle["total"] == len(ids)
        return ids

    def study(self, uid: str = "2.25.1") -> dict[str, Any]:
        return self.resource(f"ImagingStudy/{uid}")


def valid(response: TestResponse, status: int) -> dict[str, Any]:
    """The body, which is a valid resource in which nothing is empty."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    resource: dict[str, Any] = json.loads(response.data)
    MODELS[resource["resourceType"]].model_validate(resource)
    assert_nothing_empty(resource)
    return resource


def assert_nothing_empty(value: Any) -> None:
    assert value not in (None, "", [], {})
    if isinstance(value, str):
        assert value == value.strip()
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_nothing_empty(item)


def refusal(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The one issue of an OperationOutcome."""
    resource = valid(response, status)
    assert resource["resourceType"] == "OperationOutcome"
    assert resource["issue"][0]["code"] == code
    issue: dict[str, Any] = resource["issue"][0]
    return issue


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    """Nothing yet."""
    clinic = Clinic(tmp_path)
    yield clinic
    clinic.archive.close()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """For tests that publish a study of their own and ask for nothing else."""
    clinic = Clinic(tmp_path_factory.mktemp("crowd"))
    yield clinic
    clinic.archive.close()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """Three studies, to look at only. 2.25.1: CT of P1 in 2006-12; 2.25.2: MR and CT of P1 in 2007-01; 2.25.3: of
    nobody, with neither date nor modality."""
    clinic = Clinic(tmp_path_factory.mktemp("three"))
    clinic.publish(study="2.25.1", date="20061201", accession="A1", study_id="S1")
    clinic.now += 10
    clinic.publish(study="2.25.2", date="20070115", accession="A2", series="2.25.2.1", modality="CT")
    clinic.publish(study="2.25.2", series="2.25.2.2", modality="MR", sop="2.25.77", sop_class=MR_STORAGE)
    clinic.now += 10
    clinic.publish(study="2.25.3", patient_id="", modality=None)
    yield clinic
    clinic.archive.close()


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """Five studies, to look at only. 2.25.1: at an instant that is a day earlier in UTC; 2.25.2: at a time without
    zone, which is a day; 2.25.3: a month later; the others: never."""
    clinic = Clinic(tmp_path_factory.mktemp("zones"))
    clinic.publish(study="2.25.1", date="20230501", time="003000", zone="+0900")
    clinic.publish(study="2.25.2", date="20230501", time="003000")
    clinic.publish(study="2.25.3", date="20230601")
    clinic.publish(study="2.25.4", date="20230532")
    clinic.publish(study="2.25.5")
    yield clinic
    clinic.archive.close()


# Content


def test_a_study_is_mapped_in_full(clinic: Clinic) -> None:
    clinic.publish(
        date="20061201",
        time="093000.25",
        zone="+0100",
        accession="A1",
        study_id="S1",
        description="Thorax ",
        series_number=3,
        series_description="lung",
        body_part="CHEST",
        laterality="L",
        series_date="20061201",
        number=7,
        image_type=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
    study = clinic.study()
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"}
    assert study["identifier"][1]["type"]["coding"][0]["code"] == "ACSN"
    assert [identifier["value"] for identifier in study["identifier"][1:]] == ["A1", "S1"]
    assert study["status"] == "available"
    assert study["modality"] == [{"system": DCM, "code": "CT"}]
    assert study["started"] == "2006-12-01T09:30:00.25+01:00"
    assert study["endpoint"] == [{"reference": "Endpoint/dicom-web"}]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 1)
    assert study["description"] == "Thorax"
    assert study["meta"] == {"versionId": "20231114221320000000", "lastUpdated": "2023-11-14T22:13:20.000000Z"}
    series = study["series"][0]
    assert (series["uid"], series["number"], series["numberOfInstances"]) == ("2.25.1.1", 3, 1)
    assert series["modality"] == {"system": DCM, "code": "CT"}
    assert series["bodySite"] == {"display": "CHEST"}
    assert series["laterality"]["display"] == "Left"
    assert series["started"] == "2006-12-01"
    assert series["instance"] == [
        {
            "uid": "2.25.9.1",
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT_STORAGE}"},
            "number": 7,
            "title": "ORIGINAL\\PRIMARY\\AXIAL",
        }
    ]


@pytest.mark.parametrize(
    ("date", "time", "zone", "started"),
    [
        ("20061201", "120000", None, "2006-12-01"),
        ("20061201", None, "+0100", "2006-12-01"),
        ("20061201", "12", "-0530", "2006-12-01T12:00:00-05:30"),
        ("20061201", "1204", "+0000", "2006-12-01T12:04:00Z"),
        ("20061201", "235960", "+0000", "2006-12-01T23:59:59Z"),
        ("20061201", "120000.123456789", "+0000", "2006-12-01T12:00:00.123456Z"),
        ("20061201", "240000", "+0000", "2006-12-01"),
        ("20061201", "1260", "+0000", "2006-12-01"),
        ("20061201", "noon", "+0000", "2006-12-01"),
        ("20061201", "120000", "+9900", "2006-12-01"),
        ("20061201", "120000", "CET", "2006-12-01"),
        ("2006.12.01", None, None, "2006-12-01"),
        ("00010101", "000000", "+1400", "0001-01-01T00:00:00+14:00"),
        ("99991231", "235959", "-1200", "9999-12-31T23:59:59-12:00"),
        ("20061301", None, None, None),
        ("20060230", None, None, None),
        ("2006", None, None, None),
        ("2006-W01", None, None, None),
        ("yesterday", None, None, None),
        ("", "120000", "+0000", None),
        (None, "120000", "+0000", None),
    ],
)
def test_started_has_a_zone_or_no_time(
    crowd: Clinic, date: str | None, time: str | None, zone: str | None, started: str | None
) -> None:
    uid = crowd.publish_apart(date=date, time=time, zone=zone)
    assert crowd.study(uid).get("started") == started
    if started is not None:
        day = started[:10]
        assert uid in crowd.found(f"_count=100&started={day}")
        assert uid in crowd.found(urlencode({"_count": "100", "started": started}))
        assert uid not in crowd.found(urlencode({"_count": "100", "started": f"ne{started}"}))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (5, 5),
        ("6", 6),
        (-1, None),
        (2**31, None),
        (2**31 - 1, 2**31 - 1),
        (1.5, None),
        ("x", None),
        (None, None),
    ],
)
def test_a_number_that_is_no_unsigned_int_is_left_out(crowd: Clinic, value: Any, number: int | None) -> None:
    uid = crowd.publish_apart(series_number=value, number=value)
    series = crowd.study(uid)["series"][0]
    assert (series.get("number"), series["instance"][0].get("number")) == (number, number)


def test_a_series_without_modality_is_other(three: Clinic) -> None:
    study = three.study("2.25.3")
    assert study["modality"] == [{"system": DCM, "code": "OT"}]
    assert study["series"][0]["modality"]["code"] == "OT"


def test_padding_and_control_characters_are_gone(clinic: Clinic) -> None:
    clinic.publish(description="\0 a\x07b\tc \0", accession=" A1 \0", series_description=" \0", study_id="", label=" ")
    study = clinic.study()
    assert study["description"] == "ab c"
    assert study["identifier"][1]["value"] == "A1"
    assert "description" not in study["series"][0]
    assert clinic.found("identifier=A1") == ["2.25.1"]


def test_a_uid_that_is_no_fhir_id_is_digested_and_still_found(clinic: Clinic) -> None:
    uid = "2.25." + "1" * 70
    clinic.publish(study=uid, series="2.25.4_4", sop="2.25." + "2" * 70)
    [found] = clinic.found(urlencode({"identifier": f"urn:oid:{uid}"}))
    assert found.startswith("sha256-")
    assert clinic.study(found)["identifier"][0]["value"] == f"urn:oid:{uid}"
    assert clinic.found(f"_id={found}") == [found]


def test_a_patient_is_described_by_its_latest_study(clinic: Clinic) -> None:
    clinic.publish(study="2.25.1", name={"Alphabetic": "Old"})
    clinic.now += 5
    clinic.publish(
        study="2.25.2",
        birth="19700102",
        sex="F",
        name={"Alphabetic": "Anon^Ann Mary^M^Dr^PhD", "Ideographic": "山田^太郎", "Phonetic": "やまだ"},
    )
    reference = clinic.study()["subject"]["reference"]
    assert clinic.study("2.25.2")["subject"]["reference"] == reference
    patient = clinic.resource(reference)
    assert patient["id"] == reference.removeprefix("Patient/")
    assert "P1" not in reference
    assert patient["identifier"][0]["value"] == "P1"
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-01-02")
    assert patient["name"][0] == {
        "family": "Anon",
        "given": ["Ann", "Mary", "M"],
        "prefix": ["Dr"],
        "suffix": ["PhD"],
    }
    assert [name["extension"][0]["valueCode"] for name in patient["name"][1:]] == ["IDE", "SYL"]
    assert patient["meta"]["lastUpdated"] == clinic.study("2.25.2")["meta"]["lastUpdated"]


@pytest.mark.parametrize(
    ("birth", "sex", "expected"),
    [
        ("1970", "M", ("1970", "male")),
        ("197002", "O", ("1970-02", "other")),
        ("19700230", "X", (None, "unknown")),
        ("0000", "", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_birth_date_and_gender(crowd: Clinic, birth: Any, sex: Any, expected: tuple[Any, Any]) -> None:
    uid = crowd.publish_apart(patient_id="", birth=birth, sex=sex, name={"Alphabetic": "^^^^"})
    patient = crowd.resource(crowd.study(uid)["subject"]["reference"])
    assert (patient.get("birthDate"), patient.get("gender")) == expected
    assert "name" not in patient


def test_studies_without_patient_id_have_a_patient_each(clinic: Clinic) -> None:
    for study, patient_id in (("2.25.1", ""), ("2.25.2", None), ("2.25.3", " ")):
        clinic.publish(study=study, patient_id=patient_id)
    references = [clinic.study(uid)["subject"]["reference"] for uid in ("2.25.1", "2.25.2", "2.25.3")]
    assert len(set(references)) == 3
    for uid, reference in zip(("2.25.1", "2.25.2", "2.25.3"), references, strict=True):
        assert "identifier" not in clinic.resource(reference)
        assert clinic.found(f"patient={reference}") == [uid]


def test_the_endpoint_is_the_dicomweb_base(clinic: Clinic) -> None:
    endpoint = clinic.resource("Endpoint/dicom-web")
    assert (endpoint["status"], endpoint["address"]) == ("active", DICOMWEB)
    assert endpoint["connectionType"]["code"] == "dicom-wado-rs"
    assert endpoint["payloadType"]
    assert clinic.found("", "Endpoint") == clinic.found("_id=x,dicom-web", "Endpoint") == ["dicom-web"]
    assert clinic.found("_id=x", "Endpoint") == []


def test_counts_equal_the_arrays_and_the_index(three: Clinic) -> None:
    study = three.study("2.25.2")
    entry = three.archive.index.one(Level.STUDY, "2.25.2")
    assert study["numberOfSeries"] == len(study["series"]) == int(entry.text("00201206")) == 2
    assert study["numberOfInstances"] == sum(len(series["instance"]) for series in study["series"]) == 2
    assert [coding["code"] for coding in study["modality"]] == ["CT", "MR"]


# Search


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("", "123"),
        ("_id=2.25.1", "1"),
        ("_id=2.25.1,2.25.3,2.25.4", "13"),
        ("_id=*", ""),
        ("identifier=urn:dicom:uid|urn:oid:2.25.2", "2"),
        ("identifier=urn:oid:2.25.2", "2"),
        ("identifier=2.25.2", ""),
        ("identifier=urn:dicom:uid|2.25.2", ""),
        ("identifier=urn:dicom:uid|", "123"),
        ("identifier=A1", "1"),
        ("identifier=|A1", "1"),
        ("identifier=S1", "1"),
        ("identifier=http://issuer|A1", ""),
        ("identifier=A*", ""),
        ("identifier=A1,urn:oid:2.25.3", "13"),
        ("identifier=A1&identifier=S1", "1"),
        ("identifier=A1&identifier=A2", ""),
        ("modality=MR", "2"),
        ("modality=mr", ""),
        (f"modality={DCM}|MR", "2"),
        (f"modality={DCM}|", "123"),
        ("modality=http://other|MR", ""),
        ("modality=|MR", ""),
        ("modality=MR,CT", "12"),
        ("modality=MR&modality=CT", "2"),
        ("modality=OT", "3"),
        ("modality=OT,MR", "23"),
        ("modality:not=MR", "13"),
        ("modality:not=OT", "12"),
        ("modality=", "123"),
        ("status=available", "123"),
        ("status=http://hl7.org/fhir/imagingstudy-status|available", "123"),
        ("status=cancelled", ""),
        ("status=cancelled,available", "123"),
        ("status:not=cancelled", "123"),
        ("status:not=available", ""),
        ("series=2.25.2.2", "2"),
        ("series=2.25.2.2,2.25.1.1", "12"),
        ("series=urn:x|2.25.2.2", ""),
        ("instance=2.25.77", "2"),
        ("instance=2.25.78", ""),
        (f"dicom-class=urn:oid:{MR_STORAGE}", "2"),
        (f"dicom-class=urn:ietf:rfc:3986|urn:oid:{MR_STORAGE}", "2"),
        (f"dicom-class={MR_STORAGE}", ""),
        ("dicom-class=urn:ietf:rfc:3986|", "123"),
        ("endpoint=Endpoint/dicom-web", "123"),
        ("endpoint=other", ""),
        ("started=2006-12", "1"),
        ("started=2006", "1"),
        ("started=2006-12-01", "1"),
        ("started=2006-12-02", ""),
        ("started=eq2006,2007", "12"),
        ("started=ne2006", "2"),
        ("started=ne2006-12-02", "12"),
        ("started=gt2006-12", "2"),
        ("started=gt2006-11", "12"),
        ("started=ge2006-12", "12"),
        ("started=ge2006-01-01&started=lt2007-01-01", "1"),
        ("started=lt2007-01-15", "1"),
        ("started=le2007-01-15", "12"),
        ("started=sa2006", "2"),
        ("started=eb2007", "1"),
        ("started=eb2007-01-16", "12"),
        ("started=le9999", "12"),
        ("started=ge0001-01-01", "12"),
        ("started=gt9999-12-31", ""),
        ("started=lt0001", ""),
        ("started=ap2006-12-20", "12"),
        ("started=ap1950", ""),
        ("_lastUpdated=gt2023-11-14T22:13:20Z", "23"),
        ("_lastUpdated=ge2023-11-14T22:13:20Z", "123"),
        ("_lastUpdated=2023-11-14T22:13:30Z", "2"),
        ("_lastUpdated=ne2023-11-14T22:13:30Z", "13"),
        ("_lastUpdated=lt2023-11-14T22:13:30Z", "1"),
        ("_lastUpdated=le2023-11-14T22:13:30Z", "12"),
        ("_lastUpdated=2023-11", "123"),
        ("_lastUpdated=ap2023-11-14", "123"),
        ("_lastUpdated=sa2023-11-14", ""),
        ("_sort=started", "312"),
        ("_sort=-started", "213"),
        ("_sort=_lastUpdated", "123"),
        ("_sort=-_lastUpdated", "321"),
        ("_sort=_lastUpdated,-started", "123"),
        ("_sort=-started,_lastUpdated", "213"),
        ("started:missing=true", "3"),
        ("started:missing=false", "12"),
        ("modality:missing=true", ""),
        ("subject:missing=false", "123"),
        ("basedon:missing=true", "123"),
        ("performer:missing=false", ""),
        ("_source=x", ""),
        ("_sort=-started,rubbish", "123"),
        ("unknown=1&_revinclude=x&Patient=1", "123"),
        ("basedon=ServiceRequest/1", ""),
        ("basedon:ServiceRequest=1", ""),
        ("bodysite=51185008", ""),
        ("bodysite:not=51185008", "123"),
        ("encounter=Encounter/1", ""),
        ("interpreter:identifier=x|1", ""),
        ("performer=Organization/1", ""),
        ("reason=x", ""),
        ("referrer:Practitioner=1&modality=CT", ""),
        ("_tag=x", ""),
        ("_security=x", ""),
        ("_profile=http://example.org/p", ""),
        ("_sort=rubbish", "123"),
    ],
)
def test_search_finds(three: Clinic, parameters: str, found: str) -> None:
    assert three.found(parameters) == [f"2.25.{digit}" for digit in found]


def test_search_by_patient(three: Clinic) -> None:
    patient = three.study()["subject"]["reference"].removeprefix("Patient/")
    for form in (patient, f"Patient/{patient}", f"{BASE}/Patient/{patient}"):
        for name in ("patient", "subject", "patient:Patient", "subject:Patient"):
            assert three.found(f"{name}={form}") == ["2.25.1", "2.25.2"]
    assert three.found(f"patient=http://elsewhere/Patient/{patient}") == []
    assert three.found(f"subject=Device/{patient}") == []
    assert three.found("patient=P1") == []
    assert three.found("patient:identifier=P1") == three.found("patient:identifier=|P1") == ["2.25.1", "2.25.2"]
    assert three.found("patient:identifier=x|P1") == []
    other = three.study("2.25.3")["subject"]["reference"]
    assert three.found(f"patient={patient},{other}") == ["2.25.1", "2.25.2", "2.25.3"]


def test_patient_ids_are_not_patterns(clinic: Clinic) -> None:
    clinic.publish(study="2.25.1", patient_id="P*")
    clinic.publish(study="2.25.2", patient_id="P2")
    assert clinic.found(f"patient={clinic.study()['subject']['reference']}") == ["2.25.1"]


def test_escaped_separators_belong_to_the_value(clinic: Clinic) -> None:
    clinic.publish(study="2.25.1", accession="A,1|\\x$")
    clinic.publish(study="2.25.2", accession="1")
    assert clinic.found(urlencode({"identifier": r"A\,1\|\\x\$"})) == ["2.25.1"]
    assert clinic.found(urlencode({"identifier": r"A,1"})) == ["2.25.2"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        # 1: the instant 2023-05-01T00:30:00+09:00, which is 15:30 in UTC on the day before; 2: the day 2023-05-01.
        ("2023-05-01", "12"),
        ("2023-04-30", ""),
        ("2023-05-01T00:30:00+09:00", "1"),
        ("2023-05-01T00:30:00 09:00", "1"),
        ("2023-04-30T15:30:00Z", "1"),
        ("2023-04-30T15:30", "1"),
        ("2023-04-30T15:30:00.0Z", ""),
        ("2023-05-01T00:30:00Z", ""),
        ("ne2023-04-30T15:30:00Z", "23"),
        ("gt2023-04-30T15:30:00Z", "23"),
        ("ge2023-04-30T15:30:00Z", "123"),
        ("gt2023-04-30T15:29:59Z", "123"),
        ("lt2023-04-30T15:30:00Z", ""),
        ("le2023-04-30T15:30:00Z", "1"),
        ("lt2023-04-30T15:30:01Z", "1"),
        ("lt2023-05-01T12:00:00Z", "12"),
        ("gt2023-05-01T12:00:00Z", "23"),
        ("sa2023-05-01T12:00:00Z", "3"),
        ("eb2023-05-01T12:00:00Z", "1"),
        ("sa2023-04-30T20:00:00Z", "23"),
        ("eb2023-05-02T00:00:00Z", "12"),
        ("gt9999-12-31T23:59:59Z", ""),
        ("gt0001-01-01T00:00:00%2B14:00", "123"),
        ("ap2023-05-01T00:00:00Z", "123"),
    ],
)
def test_started_with_a_time_compares_instants(zones: Clinic, value: str, found: str) -> None:
    assert zones.found(f"started={value}") == [f"2.25.{digit}" for digit in found]


def test_what_changed_since_the_last_answer(clinic: Clinic) -> None:
    for number, moment in enumerate((1_700_000_000.1234567, 1_700_000_000.9999999, 1_700_000_001.000001)):
        clinic.now = moment
        clinic.publish(study=f"2.25.{number}")
    for number in range(3):
        updated = clinic.study(f"2.25.{number}")["meta"]["lastUpdated"]
        assert clinic.found(f"_lastUpdated={updated}") == [f"2.25.{number}"]
        assert clinic.found(f"_lastUpdated=gt{updated}") == [f"2.25.{later}" for later in range(number + 1, 3)]


def pages(clinic: Clinic, path: str) -> list[list[str]]:
    """The ids of every page that following `next` leads to."""
    result = []
    link: str | None = path
    while link is not None:
        bundle = clinic.resource(link)
        result.append([entry["resource"]["id"] for entry in bundle["entry"]])
        links = {one["relation"]: one["url"] for one in bundle["link"]}
        assert all(url.startswith(f"{BASE}/ImagingStudy?") for url in links.values())
        link = links["next"].removeprefix(f"{BASE}/") if "next" in links else None
    return result


@pytest.mark.parametrize("sort", ["", "&_sort=started", "&_sort=-started", "&_sort=-_lastUpdated"])
def test_following_next_visits_every_match_once(clinic: Clinic, sort: str) -> None:
    for number in range(7):
        clinic.publish(study=f"2.25.{number}", date="20230501", modality="CT" if number else "MR")
    found = pages(clinic, f"ImagingStudy?modality=CT&_count=4{sort}")
    assert [len(page) for page in found] == [4, 2]
    assert sorted(chain.from_iterable(found)) == [f"2.25.{number}" for number in range(1, 7)]


def test_a_study_that_arrives_while_paging_hides_none(clinic: Clinic) -> None:
    for number in range(4):
        clinic.publish(study=f"2.25.{number}")
    first = clinic.resource("ImagingStudy?_count=2")
    clinic.publish(study="2.25.0", series="2.25.0.2")
    clinic.publish(study="2.25.9")
    next_link = next(link["url"] for link in first["link"] if link["relation"] == "next")
    rest = pages(clinic, next_link.removeprefix(f"{BASE}/"))
    assert list(chain.from_iterable(rest)) == ["2.25.2", "2.25.3", "2.25.9"]


@pytest.mark.parametrize("sort", ["", "started", "-started", "_lastUpdated", "-_lastUpdated", "started,-_lastUpdated"])
def test_studies_that_are_withdrawn_while_paging_hide_none(clinic: Clinic, sort: str) -> None:
    for number in range(9):
        clinic.now += 1
        clinic.publish(
            study=f"2.25.{number}", date=f"2023050{number // 2 + 1}", time="10:11,12" if number % 2 else None
        )
    order = clinic.found(f"_sort={sort}")
    first = clinic.resource(f"ImagingStudy?_count=4&_sort={sort}")
    next_link = next(link["url"] for link in first["link"] if link["relation"] == "next")
    for gone in (*order[:4], order[5]):  # the one that the next page begins after, too
        clinic.archive.delete(gone, actor=Actor("test", "test"))
    rest = pages(clinic, next_link.removeprefix(f"{BASE}/"))
    assert list(chain.from_iterable(rest)) == [order[4], *order[6:]]


def test_patients_that_come_and_go_while_paging_hide_none(clinic: Clinic) -> None:
    for number in range(6):
        clinic.publish(study=f"2.25.{number}", patient_id=f"P{number}" if number else "")
    order = clinic.found("", "Patient")
    first = clinic.resource("Patient?_count=2")
    next_link = next(link["url"] for link in first["link"] if link["relation"] == "next")
    studies = {one["subject"]["reference"][8:]: one["id"] for one in map(clinic.study, clinic.found(""))}
    for gone in (*order[:2], order[3]):
        clinic.archive.delete(studies[gone], actor=Actor("test", "test"))
    rest = clinic.resource(next_link.removeprefix(f"{BASE}/"))
    found = [entry["resource"]["id"] for entry in rest["entry"]]
    while more := [link["url"] for link in rest["link"] if link["relation"] == "next"]:
        rest = clinic.resource(more[0].removeprefix(f"{BASE}/"))
        found += [entry["resource"]["id"] for entry in rest["entry"]]
    assert found == [order[2], *order[4:]]


@pytest.mark.parametrize("sort", ["", "&_sort=started", "&_sort=-_lastUpdated"])
@pytest.mark.parametrize(
    "place",
    ["x", "1,2,3,4,5", "99999999999999999999", "1,2,99999999999999999999", "%ff,%00,%ED%A0%80", ",", "1" * 5000],
)
def test_a_place_that_is_none_is_refused(three: Clinic, place: str, sort: str) -> None:
    refusal(three.get(f"ImagingStudy?_after={place}{sort}"), 400, "invalid")


@pytest.mark.parametrize("kind", ["ImagingStudy?_include=*", "ImagingStudy?_sort=started", "Patient?", "Patient/"])
def test_what_is_withdrawn_while_it_is_asked_for_is_not_there(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clinic.publish(study="2.25.1", patient_id="P1")
    clinic.publish(study="2.25.2", patient_id="P2")
    if kind == "Patient/":
        kind = clinic.study("2.25.1")["subject"]["reference"]
    ask = Index.find

    def interrupted(index: Index, query: Query) -> list[Entry]:
        """As `find`, but somebody deletes a study just before it."""
        monkeypatch.setattr(Index, "find", ask)
        clinic.archive.delete("2.25.1", actor=Actor("test", "test"))
        return ask(index, query)

    monkeypatch.setattr(Index, "find", interrupted)
    response = clinic.get(kind)
    assert ask is Index.find
    if kind.startswith("Patient/"):
        refusal(response, 404, "not-found")
    else:
        assert "2.25.1" not in [entry["resource"]["id"] for entry in valid(response, 200)["entry"]]


def test_links_lead_back(three: Clinic) -> None:
    bundle = three.resource("ImagingStudy?_count=1&_offset=1&nonsense=1&status=available")
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert links == {
        "self": f"{BASE}/ImagingStudy?status=available&_count=1&_offset=1",
        "first": f"{BASE}/ImagingStudy?status=available&_count=1",
        "prev": f"{BASE}/ImagingStudy?status=available&_count=1&_offset=0",
        "next": f"{BASE}/ImagingStudy?status=available&_count=1&_offset=2&_after=2",
    }
    assert bundle["total"] == 3
    assert bundle["entry"][0]["fullUrl"] == f"{BASE}/ImagingStudy/2.25.2"


def test_count_is_capped_and_defaults(clinic: Clinic) -> None:
    for number in range(21):
        clinic.publish(study=f"2.25.{number}")
    assert len(clinic.resource("ImagingStudy")["entry"]) == 20
    bundle = clinic.resource("ImagingStudy?_count=100000")
    assert len(bundle["entry"]) == 21
    assert "_count=100" in bundle["link"][0]["url"].split("&")[0]


@pytest.mark.parametrize("parameters", ["_count=0", "_summary=count", "_summary=count&_count=5&modality=CT"])
def test_a_search_that_only_counts_has_no_entry(three: Clinic, parameters: str) -> None:
    bundle = three.resource(f"ImagingStudy?{parameters}")
    assert bundle["total"] == (2 if "modality" in parameters else 3)
    assert "entry" not in bundle
    assert [link["relation"] for link in bundle["link"]] == ["self"]


@pytest.mark.parametrize("parameters", ["_id=none", "_offset=99", "modality=XX&_include=ImagingStudy:endpoint"])
def test_no_hits_is_a_bundle_without_entry(three: Clinic, parameters: str) -> None:
    bundle = three.resource(f"ImagingStudy?{parameters}")
    assert "entry" not in bundle
    assert bundle["total"] == (3 if "_offset" in parameters else 0)


@pytest.mark.parametrize("element", ["patient", "subject"])
def test_included_resources_come_once_and_do_not_count(three: Clinic, element: str) -> None:
    bundle = three.resource(f"ImagingStudy?_include=ImagingStudy:endpoint&_include=ImagingStudy:{element}")
    included = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "include"]
    assert bundle["total"] == 3
    assert sorted(resource["resourceType"] for resource in included) == ["Endpoint", "Patient", "Patient"]
    assert all(three.get(f"{one['resourceType']}/{one['id']}").status_code == 200 for one in included)
    assert "_include=ImagingStudy%3Aendpoint" in bundle["link"][0]["url"]


def test_summary_and_elements_say_that_they_are_not_whole(three: Clinic) -> None:
    whole = three.study()
    assert "tag" not in whole["meta"]
    for parameters, gone, kept in (
        ("_summary=true", set(), {"series"}),
        ("_summary=text", {"series", "identifier"}, {"status", "subject"}),
        ("_summary=data", set(), {"series"}),
        ("_elements=id,identifier,started", {"series", "modality"}, {"identifier", "started", "status", "subject"}),
    ):
        for study in (
            three.resource(f"ImagingStudy/2.25.1?{parameters}"),
            three.resource(f"ImagingStudy?_id=2.25.1&{parameters}")["entry"][0]["resource"],
        ):
            assert study["meta"]["tag"][0]["code"] == "SUBSETTED"
            assert not gone & set(study)
            assert kept <= set(study)
            assert parameters != "_summary=true" or "instance" not in study["series"][0]
    assert three.resource("ImagingStudy/2.25.1?_summary=false") == whole


def test_a_posted_search_is_the_same_search(three: Clinic) -> None:
    posted = three.client.post("/fhir/R4/ImagingStudy/_search?status=available", data={"modality": "CT", "_count": "1"})
    assert valid(posted, 200) == three.resource("ImagingStudy?status=available&modality=CT&_count=1")
    assert valid(three.client.post("/fhir/R4/ImagingStudy/_search"), 200)["total"] == 3
    refusal(three.client.post("/fhir/R4/ImagingStudy/_search", json={}), 415, "not-supported")


def test_patients_can_be_searched(three: Clinic) -> None:
    ids = three.found("", "Patient")
    assert len(ids) == 2
    assert three.found(f"_id={ids[0]}", "Patient") == ids[:1]
    known = three.resource("ImagingStudy/2.25.1")["subject"]["reference"].removeprefix("Patient/")
    assert three.found("identifier=P1", "Patient") == [known]
    assert three.found("identifier=x|P1", "Patient") == []
    bundle = three.resource("Patient?_count=1")
    next_link = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert three.resource(next_link.removeprefix(f"{BASE}/"))["entry"][0]["resource"]["id"] == ids[1]


@pytest.mark.parametrize(
    "parameters",
    [
        "started=yesterday",
        "started=2006-13",
        "started=2006-02-30",
        "started=0000",
        "started=2006-12-01T25:00:00Z",
        "started=xx2006",
        "started=2006-12-01T12",
        "_lastUpdated=soon",
        "_count=-1",
        "_count=many",
        "_offset=1e3",
        "_offset=99999999999999999999",
        "_summary=brief",
        "_pretty=perhaps",
        "identifier=a|b|c",
        "identifier=|",
        "modality:missing=perhaps",
        "modality:missing=true,false",
        "series=urn:oid:2.25.2.2",
        "_id=" + "1," * 300,
    ],
)
def test_a_wrong_value_is_refused_and_not_repeated(three: Clinic, parameters: str) -> None:
    issue = refusal(three.get(f"ImagingStudy?{parameters}"), 400, "invalid")
    value = parameters.partition("=")[2]
    assert value == "|" or value not in issue["diagnostics"]


@pytest.mark.parametrize(
    "parameters",
    [
        "modality:text=x",
        "started:missing.x=true",
        "patient.name=x",
        "patient:Device=1",
        "started:exact=1",
        "series:not=1",
    ],
)
def test_a_modifier_nobody_knows_is_refused(three: Clinic, parameters: str) -> None:
    refusal(three.get(f"ImagingStudy?{parameters}"), 400, "not-supported")


@pytest.mark.parametrize(
    "parameters", ["secret-name=1", "Modality=CT", "unknown=1", "_sort=x", "_sort=started,_id", "_include=x"]
)
def test_strict_handling_refuses_what_lenient_ignores(three: Clinic, parameters: str) -> None:
    assert len(three.found(parameters)) == 3
    assert parameters.split("=")[0] + "=" not in three.resource(f"ImagingStudy?{parameters}")["link"][0]["url"]
    assert three.get(f"ImagingStudy?{parameters}", headers={"Prefer": "handling=lenient"}).status_code == 200
    strict = three.get(f"ImagingStudy?{parameters}", headers={"Prefer": "return=minimal; handling=strict"})
    issue = refusal(strict, 400, "not-supported")
    assert "secret-name" not in issue["diagnostics"]
    assert "modality" in issue["diagnostics"]


# The interactions


def test_metadata_declares_what_works(three: Clinic) -> None:
    statement = three.resource("metadata")
    assert (statement["fhirVersion"], statement["kind"], statement["status"]) == ("4.0.1", "instance", "active")
    assert statement["implementation"]["url"] == BASE
    resources = {resource["type"]: resource for resource in statement["rest"][0]["resource"]}
    assert set(resources) == {"ImagingStudy", "Patient", "Endpoint"}
    values = {"date": "2020", "token": "x", "reference": "x", "uri": "x"}
    strict = {"Prefer": "handling=strict"}
    for kind, resource in resources.items():
        for parameter in resource["searchParam"]:
            assert parameter["definition"].startswith("http://hl7.org/fhir/SearchParameter/")
            query = f"{kind}?{parameter['name']}={values[parameter['type']]}"
            assert three.get(query, headers=strict).status_code == 200
        for include in resource.get("searchInclude", ()):
            assert three.get(f"{kind}?_include={include}", headers=strict).status_code == 200


def test_every_route_states_a_permission(clinic: Clinic) -> None:
    views = clinic.app.view_functions
    stated = {name: getattr(view, "permission", None) for name, view in views.items() if name.startswith("fhir.")}
    assert stated.pop("fhir.metadata") == Permission.ANYONE
    assert len(stated) >= 4
    assert set(stated.values()) == {Permission.READ}


def test_a_known_version_is_not_sent_again(clinic: Clinic) -> None:
    clinic.publish()
    first = clinic.get("ImagingStudy/2.25.1")
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert etag == f'W/"{json.loads(first.data)["meta"]["versionId"]}"'
    assert modified == "Tue, 14 Nov 2023 22:13:20 GMT"
    for header in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
        again = clinic.get("ImagingStudy/2.25.1", headers=header)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    clinic.now += 60
    clinic.publish(study="2.25.1", sop="2.25.99")
    for header in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
        assert clinic.get("ImagingStudy/2.25.1", headers=header).status_code == 200


def test_what_a_withdrawn_study_said_of_a_patient_is_not_still_true(clinic: Clinic) -> None:
    clinic.publish(study="2.25.1", name={"Alphabetic": "Old"})
    clinic.now += 100
    clinic.publish(study="2.25.2", name={"Alphabetic": "New"})
    path = clinic.study("2.25.1")["subject"]["reference"]
    before = clinic.get(path)
    known = {"If-Modified-Since": before.headers["Last-Modified"]}
    clinic.archive.delete("2.25.2", actor=Actor("test", "test"))
    after = clinic.get(path, headers=known)
    assert valid(after, 200)["name"][0]["family"] == "Old"
    assert clinic.get(path, headers={"If-None-Match": before.headers["ETag"]}).status_code == 200
    assert clinic.get(path, headers={"If-None-Match": after.headers["ETag"]}).status_code == 304
    assert "Last-Modified" in after.headers


def test_patient_and_endpoint_have_versions(three: Clinic) -> None:
    for path in (three.study()["subject"]["reference"], "Endpoint/dicom-web"):
        etag = three.get(path).headers["ETag"]
        assert three.get(path, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("path", ["metadata", "ImagingStudy", "ImagingStudy/2.25.1", "Endpoint/dicom-web"])
def test_head_is_get_without_a_body(three: Clinic, path: str) -> None:
    whole, head = three.get(path), three.client.head(f"/fhir/R4/{path}")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]


@pytest.mark.parametrize(
    ("accept", "parameters", "status"),
    [
        (None, "", 200),
        ("application/fhir+json", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("application/fhir+json; fhirVersion=5.0", "", 406),
        ("application/json", "", 200),
        ("text/json", "", 200),
        ("*/*", "", 200),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", 200),
        ("application/fhir+xml", "", 406),
        ("application/fhir+xml, application/json;q=0", "", 406),
        ("application/fhir+xml", "_format=json", 200),
        ("application/fhir+xml", "_format=application/fhir+json", 200),
        ("application/fhir+xml", "_format=application/fhir%2Bjson", 200),
        ("application/fhir+xml", "_format=application/json", 200),
        ("application/json", "_format=xml", 406),
        ("application/json", "_format=application/fhir+xml", 406),
    ],
)
@pytest.mark.parametrize("path", ["metadata", "ImagingStudy", "ImagingStudy/2.25.1"])
def test_the_form_is_negotiated(three: Clinic, path: str, accept: str | None, parameters: str, status: int) -> None:
    response = three.get(f"{path}?{parameters}", headers={"Accept": accept} if accept else {})
    if status == 200:
        valid(response, 200)
    else:
        refusal(response, 406, "not-supported")


def test_pretty_is_for_people(three: Clinic) -> None:
    pretty, plain = three.get("ImagingStudy/2.25.1?_pretty=true"), three.get("ImagingStudy/2.25.1?_pretty=false")
    assert len(pretty.text.splitlines()) > 20
    assert len(plain.text.splitlines()) == 1
    assert json.loads(pretty.data) == json.loads(plain.data)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "ImagingStudy/2.25.404", 404, "not-found"),
        ("GET", "ImagingStudy/sha256-404", 404, "not-found"),
        ("GET", "ImagingStudy/DOE^JOHN", 404, "not-found"),
        ("GET", "Patient/404", 404, "not-found"),
        ("GET", "Endpoint/404", 404, "not-found"),
        ("GET", "Observation", 404, "not-supported"),
        ("GET", "Observation/1", 404, "not-supported"),
        ("GET", "", 404, "not-supported"),
        ("POST", "", 404, "not-supported"),
        ("GET", "imagingstudy", 404, "not-supported"),
        ("GET", "Patient/1/ImagingStudy", 404, "not-supported"),
        ("POST", "Observation", 404, "not-supported"),
        ("POST", "ImagingStudy", 405, "not-supported"),
        ("PUT", "ImagingStudy/2.25.1", 405, "not-supported"),
        ("PATCH", "ImagingStudy/2.25.1", 405, "not-supported"),
        ("DELETE", "ImagingStudy/2.25.1", 405, "not-supported"),
        ("DELETE", "Patient/1", 405, "not-supported"),
        ("POST", "metadata", 405, "not-supported"),
        ("GET", "ImagingStudy/2.25.1?_summary=count", 400, "invalid"),
    ],
)
def test_every_failure_is_an_operation_outcome(three: Clinic, method: str, path: str, status: int, code: str) -> None:
    response = three.client.open(f"/fhir/R4/{path}", method=method)
    issue = refusal(response, status, code)
    assert "DOE" not in issue["diagnostics"]
    assert (status == 405) == ("Allow" in response.headers)


def test_what_is_included_may_be_named_with_its_type_or_be_all(three: Clinic) -> None:
    def kinds(include: str) -> list[str]:
        entries = three.resource(f"ImagingStudy?_id=2.25.1&{include}")["entry"]
        return sorted(entry["resource"]["resourceType"] for entry in entries[1:])

    for name in ("patient", "subject"):
        assert kinds(f"_include=ImagingStudy:{name}:Patient") == ["Patient"]
    assert kinds("_include=ImagingStudy:endpoint:Endpoint") == ["Endpoint"]
    assert kinds("_include=*") == ["Endpoint", "Patient"]
    for other in ("ImagingStudy:subject:Device", "ImagingStudy:endpoint:Patient", "Patient:subject:Patient", "*:*"):
        assert kinds(f"_include={other}") == []


@pytest.mark.parametrize("path", ["metadata", "ImagingStudy", "ImagingStudy/2.25.1", "Endpoint/dicom-web"])
def test_a_slash_at_the_end_changes_nothing(three: Clinic, path: str) -> None:
    assert three.resource(f"{path}/") == three.resource(path)


def test_a_body_site_is_found_as_it_is_called(clinic: Clinic) -> None:
    clinic.publish(study="2.25.1", body_part="CHEST")
    clinic.publish(study="2.25.2", body_part=None)
    clinic.publish(study="2.25.2", series="2.25.2.2", body_part="HEADNECK")
    clinic.publish(study="2.25.3", body_part=None)
    for asked, found in (
        ("bodysite:text=chest", ["2.25.1"]),
        ("bodysite:text=head,CHE", ["2.25.1", "2.25.2"]),
        ("bodysite:text=EST", []),
        ("bodysite:text=*", []),
        ("bodysite:text=CH?ST", []),
        ("bodysite:missing=true", ["2.25.3"]),
        ("bodysite:missing=false", ["2.25.1", "2.25.2"]),
        ("bodysite=CHEST", []),  # it has no code
        ("bodysite:not=CHEST", ["2.25.1", "2.25.2", "2.25.3"]),
    ):
        assert clinic.found(asked) == found, asked


def test_a_search_that_must_be_posted_is_no_resource(three: Clinic) -> None:
    response = three.get("ImagingStudy/_search?modality=CT")
    refusal(response, 405, "not-supported")
    assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_base_without_a_slash_is_no_page(three: Clinic, method: str) -> None:
    refusal(three.client.open("/fhir/R4", method=method), 404, "not-supported")


def test_metadata_says_who_may_ask(three: Clinic) -> None:
    (rest,) = three.resource("metadata")["rest"]
    assert rest["security"]["cors"] is False
    assert rest["security"]["service"][0]["coding"][0]["code"] == "Basic"
    assert security(accounts=False, other_origins=True).keys() == {"cors", "description"}


def test_options_names_the_methods_of_an_address_and_no_other(three: Clinic) -> None:
    for path, allowed in {
        "metadata": "GET, HEAD, OPTIONS",
        "ImagingStudy": "GET, HEAD, OPTIONS",
        "Patient/1/": "GET, HEAD, OPTIONS",
        "ImagingStudy/_search": "POST, OPTIONS",
    }.items():
        response = three.client.options(f"/fhir/R4/{path}")
        assert (response.status_code, response.data, response.headers["Allow"]) == (200, b"", allowed)
    assert three.client.options("/fhir/R4/Observation").status_code == 404


def test_allow_names_what_works(three: Clinic) -> None:
    assert "GET" in three.client.put("/fhir/R4/ImagingStudy/2.25.1").headers["Allow"]
    assert "POST" in three.client.put("/fhir/R4/ImagingStudy/_search").headers["Allow"]


def test_storage_that_is_not_there_now_is_transient(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    response = _failing(clinic, monkeypatch, Unavailable("the archive is busy"))
    refusal(response, 503, "transient")
    assert int(response.headers["Retry-After"]) > 0


def test_a_defect_is_told_and_logged_without_its_message(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        issue = refusal(_failing(clinic, monkeypatch, ValueError("DOE^JOHN")), 500, "exception")
    assert "DOE" not in issue["diagnostics"]
    assert "DOE" not in caplog.text
    assert "ValueError" in caplog.text
    assert "_studies" in caplog.text


def _failing(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, error: Exception) -> TestResponse:
    def count(query: Query) -> int:
        raise error

    monkeypatch.setattr(clinic.archive.index, "count", count)
    return clinic.get("ImagingStudy")


def test_a_form_that_is_too_large_is_an_operation_outcome(clinic: Clinic) -> None:
    response = clinic.client.post("/fhir/R4/ImagingStudy/_search", data={"_id": "1" * 70_000})
    refusal(response, 413, "too-long")


def test_whoever_is_turned_away_by_the_guard_is_told_in_fhir(clinic: Clinic) -> None:
    @clinic.app.before_request
    def guard() -> None:
        raise Unauthorized("Bearer nonsense")

    refusal(clinic.get("ImagingStudy"), 401, "login")


def test_a_request_id_comes_back(clinic: Clinic) -> None:
    assert clinic.get("metadata", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert "X-Request-Id" not in clinic.get("metadata", headers={"X-Request-Id": "a b"}).headers


def test_times_are_utc(clinic: Clinic) -> None:
    clinic.publish()
    updated = datetime.fromisoformat(clinic.study()["meta"]["lastUpdated"])
    assert updated == datetime.fromtimestamp(clinic.now, UTC)


def test_links_are_absolute(three: Clinic) -> None:
    for link in three.resource("ImagingStudy?_count=1")["link"]:
        assert urlsplit(link["url"]).scheme == "http"


def test_a_page_of_great_studies_ends_early(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.fhir.search._MOST_INSTANCES", 2)
    for study, instances in (("2.25.1", 1), ("2.25.2", 1), ("2.25.3", 5), ("2.25.4", 1)):
        for _ in range(instances):
            clinic.publish(study=study)
    assert pages(clinic, "ImagingStudy") == [["2.25.1", "2.25.2"], ["2.25.3"], ["2.25.4"]]
