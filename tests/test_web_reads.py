"""Who read what is in the audit trail, without a write for each request."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from dicomweb_archive import publish, url_of
from flask.testing import FlaskClient
from programs import running_node, wait_for

from lethe.node.config import Auth, AuthMode, Config, Http
from lethe.node.site import build_app
from lethe.node.web.reads import Reads
from lethe.storage.archive import Archive
from lethe.storage.entries import Entry


@pytest.fixture
def entry(archive: Archive) -> Entry:
    return publish(archive, "CT_small.dcm")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Reads]:
    """The counters of the apps that are made; they write when they are told to."""
    made: list[Reads] = []

    def make(archive: Archive, *, seconds: float) -> Reads:
        made.append(Reads(archive, seconds=seconds))
        return made[-1]

    monkeypatch.setattr("lethe.node.web.app.Reads", make)
    monkeypatch.setattr(Reads, "_write_on", lambda _: None)
    return made


@pytest.fixture
def web(archive: Archive, reads: list[Reads]) -> FlaskClient:
    config = Config(folder=archive.folder.parent, auth=Auth(mode=AuthMode.NONE), http=Http(audit_reads=3600))
    return build_app(config, archive).test_client()


def written(archive: Archive, reads: list[Reads]) -> list[tuple[str, str, str, dict[str, int]]]:
    reads[0].write()
    entries = [one.as_dict() for one in archive.audit.entries() if one.action in ("searched", "accessed")]
    return [(one["actor"], one["action"], one["subject"], one["detail"]["requests"]) for one in entries]


def test_one_entry_tells_of_many_requests(web: FlaskClient, archive: Archive, reads: list[Reads], entry: Entry) -> None:
    url = url_of(entry)
    for path, times in (("/frames/1", 3), ("/metadata", 2), ("/rendered", 1), ("", 1)):
        assert [web.get(url + path).status_code for _ in range(times)] == [200] * times
    assert web.get(f"{url}/metadata", headers={"If-None-Match": "*"}).status_code in (200, 304)
    uri = f"/wado?requestType=WADO&studyUID={entry.study_uid}&seriesUID={entry.series_uid}&objectUID={entry.sop_uid}"
    assert web.get(uri).status_code == 200
    who, study = "local@127.0.0.1", entry.study_uid
    counted = {"frames": 3, "instance_metadata": 3, "rendered": 1, "instances": 1, "wado-uri": 1}
    assert written(archive, reads) == [(who, "accessed", study, counted)]
    assert len(written(archive, reads)) == 1
    assert archive.audit.verify().broken_at is None


def test_searches_tell_by_what_but_not_for_whom(
    web: FlaskClient, archive: Archive, reads: list[Reads], entry: Entry
) -> None:
    for query in ("PatientName=CompressedSamples*&StudyDate=20040119&limit=5&x=y", "PatientName=nobody&StudyDate="):
        assert web.get(f"/dicom-web/studies?{query}").status_code in (200, 204)
    assert web.get(f"/dicom-web/studies/{entry.study_uid}/series").status_code == 200
    assert web.get("/fhir/R4/ImagingStudy").status_code == 200
    found = [one[1:] for one in written(archive, reads)]
    assert found == [
        ("searched", "", {"studies PatientName,StudyDate": 2, "fhir ImagingStudy": 1}),
        ("searched", entry.study_uid, {"series": 1}),
    ]


def test_a_search_of_fhir_tells_by_what_however_it_was_sent(
    web: FlaskClient, archive: Archive, reads: list[Reads], entry: Entry
) -> None:
    query = "patient:identifier=DOE&modality=CT&_count=5&John-Doe=1"
    assert web.get(f"/fhir/R4/ImagingStudy?{query}").status_code == 200
    for path in ("/fhir/R4/ImagingStudy/_search", "/fhir/R4/ImagingStudy/_search/"):
        assert web.post(f"{path}?modality=CT", data={"patient:identifier": "DOE", "Jane": "1"}).status_code == 200
    assert web.post("/fhir/R4/ImagingStudy", data={"modality": "CT"}).status_code == 405
    ((_, action, subject, requests),) = written(archive, reads)
    assert (action, subject, requests) == ("searched", "", {"fhir ImagingStudy modality,patient": 3})


def test_a_study_read_by_fhir_is_named_with_a_slash_or_without(
    web: FlaskClient, archive: Archive, reads: list[Reads], entry: Entry
) -> None:
    for path in (f"/fhir/R4/ImagingStudy/{entry.study_uid}", f"/fhir/R4/ImagingStudy/{entry.study_uid}/"):
        assert web.get(path).status_code == 200
    assert [one[1:] for one in written(archive, reads)] == [("accessed", entry.study_uid, {"fhir ImagingStudy": 2})]


def test_what_gives_nothing_of_an_object_is_no_entry(web: FlaskClient, archive: Archive, reads: list[Reads]) -> None:
    for path in ("/dicom-web/", "/dicom-web/openapi.json", "/dicom-web/studies/1.2.3", "/", "/fhir/R4/metadata"):
        web.get(path)
    assert written(archive, reads) == []


def test_what_cannot_be_written_waits(
    web: FlaskClient, archive: Archive, reads: list[Reads], entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert web.get(url_of(entry)).status_code == 200
    with monkeypatch.context() as broken:
        broken.setattr(archive.audit, "record_all", lambda _: 1 / 0)
        assert written(archive, reads) == []
    assert written(archive, reads)[0][3] == {"instances": 1}


def test_without_the_setting_there_is_none(archive: Archive, entry: Entry, reads: list[Reads]) -> None:
    config = Config(folder=archive.folder.parent, auth=Auth(mode=AuthMode.NONE))
    app = build_app(replace(config, http=Http(audit_reads=0)), archive)
    assert app.test_client().get(url_of(entry)).status_code == 200
    assert reads == []


def test_what_is_new_is_written_at_once_and_the_rest_together(archive: Archive, entry: Entry) -> None:
    config = Config(folder=archive.folder.parent, auth=Auth(mode=AuthMode.NONE), http=Http(audit_reads=1))
    web = build_app(config, archive).test_client()

    def told() -> int:
        accessed = (one.as_dict()["detail"] for one in archive.audit.entries() if one.action == "accessed")
        return sum(one["requests"]["instances"] for one in accessed)

    for times, all_in_all in ((1, 1), (3, 4)):
        assert [web.get(url_of(entry)).status_code for _ in range(times)] == [200] * times
        wait_for(lambda wanted=all_in_all: told() == wanted, what="it is written")
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "reads"], what="the writer ends")
    assert archive.audit.verify().broken_at is None


def test_a_running_node_tells_who_searched(tmp_path: Path) -> None:
    with running_node(tmp_path, "audit_reads = 3600\n") as node:
        assert node.get("/dicom-web/studies").status_code == 204
        wait_for(lambda: "searched" in node.lethe("audit", "export").stdout, what="the entry is there")
        (line,) = [one for one in node.lethe("audit", "export").stdout.splitlines() if '"searched"' in one]
    assert json.loads(line)["detail"] == {"requests": {"studies": 1}}
    assert json.loads(line)["actor"] == "admin-token@127.0.0.1"
