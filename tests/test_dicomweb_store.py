"""STOW-RS takes over as DIMSE does, and its answer says what has become of each object (PS3.18 10.5, Annex I)."""

from __future__ import annotations

import json
import random
import struct
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pydicom
import pytest
from builders import bundled, ct, saved, secondary_capture, slide_label
from dicomweb_archive import samples
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid

from lethe.dicomweb import stow
from lethe.dicomweb.identify import NOTHING, identify
from lethe.dicomweb.routes import blueprint
from lethe.dicomweb.stow import Reception
from lethe.node.config import Config, Http
from lethe.node.projects import projects_of
from lethe.node.routing import always
from lethe.node.site import ADMIN_TOKEN_VARIABLE, READ_TOKEN_VARIABLE, build_app
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import Unavailable
from lethe.storage.intake import Origin, Plan
from lethe.storage.jobs import Stage
from lethe.storage.users import GRANTS, Permission, Role

URL = "http://node.test/dicom-web"
BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
MULTIPART = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
CLEAN = {"Content-Type": MULTIPART}
REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive with a worker of its own at work on it."""
    folder = tmp_path_factory.mktemp("stow")
    archive, stopping = Archive(folder / "data"), threading.Event()
    config = Config(folder=folder)
    projects = projects_of(config, archive.files, archive.crosswalk, archive.rulebook)

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Worker(archive, projects, "tests").run(stopping)
        archive.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield archive
    stopping.set()
    thread.join()
    archive.close()


def client_of(archive: Archive, **changes: Any) -> FlaskClient:
    app = Flask("stow-tests", instance_path=str(archive.folder))
    settings: dict[str, Any] = {"planner": always("default"), "wait": 120.0, **changes}
    reception = Reception(**settings)
    web = blueprint(archive, lambda: URL, reception=reception, actor=lambda: Actor("somebody", "10.9.8.7"))
    app.register_blueprint(web, url_prefix="/dicom-web")
    return app.test_client()


@pytest.fixture
def web(engine: Archive) -> FlaskClient:
    return client_of(engine)


@pytest.fixture
def idle(archive: Archive) -> FlaskClient:
    """Nobody works on what comes in here, and nobody waits for it."""
    return client_of(archive, wait=0.0)


def encoded(ds: pydicom.Dataset) -> bytes:
    out = BytesIO()
    dcmwrite(out, ds)
    return out.getvalue()


def body_of(*parts: bytes, head: str = "Content-Type: application/dicom\r\n") -> bytes:
    pieces = [f"--{BOUNDARY}\r\n{head}\r\n".encode() + part + b"\r\n" for part in parts]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def items(answer: Any, tag: str) -> list[dict[str, Any]]:
    return list(answer.get(tag, {}).get("Value", []))


def value(item: dict[str, Any], tag: str) -> Any:
    return item[tag].get("Value", [None])[0]


def reasons(answer: Any, tag: str = FAILED) -> list[int]:
    return [value(item, "00081197") for item in items(answer, tag)]


def left_over(archive: Archive) -> list[str]:
    return [path.name for path in archive.files.incoming().iterdir() if path.name != ".lock"]


class TestStoring:
    def test_the_answer_leads_to_the_clean_instances(self, web: FlaskClient, engine: Archive) -> None:
        study = generate_uid()
        sent = [ct(StudyInstanceUID=study, PatientID="MRN-5") for _ in range(2)]
        response = web.post("/dicom-web/studies", data=body_of(*map(encoded, sent)), headers=CLEAN)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/dicom+json"
        answer = response.get_json(force=True)
        assert set(answer) == {"00081190", REFERENCED}
        stored = items(answer, REFERENCED)
        assert [value(item, "00081155") for item in stored] == [ds.SOPInstanceUID for ds in sent]
        assert [value(item, "00081150") for item in stored] == [ds.SOPClassUID for ds in sent]
        for item, ds in zip(stored, sent, strict=True):
            place = value(item, "00081190")
            assert place.startswith(f"{value(answer, '00081190')}/series/")
            got = web.get(place.removeprefix("http://node.test"), headers={"Accept": "application/dicom"})
            clean = pydicom.dcmread(BytesIO(got.data))
            assert clean.SOPInstanceUID == value(item, "00080018") != ds.SOPInstanceUID
            assert clean.StudyInstanceUID == value(item, "0020000D") != study
            assert clean.SeriesInstanceUID == value(item, "0020000E")
            assert clean.PatientIdentityRemoved == "YES"
            assert clean.PixelData == ds.PixelData
        assert not left_over(engine)

    def test_the_same_again_is_not_done_twice_and_answered_alike(self, web: FlaskClient, engine: Archive) -> None:
        data = body_of(encoded(ct()))
        first = web.post("/dicom-web/studies", data=data, headers=CLEAN)
        count = engine.counts()["published"]
        again = web.post("/dicom-web/studies", data=data, headers=CLEAN)
        assert (again.status_code, again.data) == (200, first.data)
        assert engine.counts()["published"] == count

    def test_twice_in_one_request_is_stored_once_and_said(self, web: FlaskClient) -> None:
        one = encoded(ct())
        response = web.post("/dicom-web/studies", data=body_of(one, one), headers=CLEAN)
        assert response.status_code == 202
        assert "more than once" in response.headers["Warning"]
        assert len(items(response.get_json(force=True), REFERENCED)) == 1

    def test_other_bytes_under_a_known_uid_are_held_back(self, web: FlaskClient) -> None:
        ds = ct()
        assert web.post("/dicom-web/studies", data=body_of(encoded(ds)), headers=CLEAN).status_code == 200
        ds.InstanceNumber = 77
        response = web.post("/dicom-web/studies", data=body_of(encoded(ds)), headers=CLEAN)
        assert response.status_code == 409
        answer = response.get_json(force=True)
        assert reasons(answer) == [0xC001]
        assert set(answer) == {"00081190", FAILED}

    def test_what_cannot_be_cleaned_is_a_failure_without_a_word_of_the_patient(self, web: FlaskClient) -> None:
        good, bad = ct(), slide_label()
        response = web.post("/dicom-web/studies", data=body_of(encoded(good), encoded(bad)), headers=CLEAN)
        assert response.status_code == 202
        answer = response.get_json(force=True)
        assert reasons(answer) == [0xC001]
        assert value(items(answer, FAILED)[0], "00081155") == bad.SOPInstanceUID
        assert value(items(answer, REFERENCED)[0], "00081155") == good.SOPInstanceUID
        assert b"FEATHERSTONE" not in response.data

    def test_a_value_that_is_none_is_stored_with_a_warning(self, web: FlaskClient) -> None:
        odd, time = ct(), ct(StudyTime="07:27:30")
        odd.add_new("SeriesDate", "LO", "20241399")
        response = web.post("/dicom-web/studies", data=body_of(encoded(odd), encoded(time)), headers=CLEAN)
        assert response.status_code == 202
        first, second = items(response.get_json(force=True), REFERENCED)
        assert (value(first, "00081196"), "00081196" in second) == (0xB007, False)
        assert value(first, "00081155") == odd.SOPInstanceUID

    def test_an_object_of_an_unknown_class_is_not_supported(self, web: FlaskClient) -> None:
        response = web.post("/dicom-web/studies", data=body_of(encoded(ct(SOPClassUID="1.2.3.4"))), headers=CLEAN)
        assert (response.status_code, reasons(response.get_json(force=True))) == (409, [0x0122])

    def test_the_trail_tells_who_and_whence(self, web: FlaskClient, engine: Archive) -> None:
        ds = ct()
        web.post(
            "/dicom-web/studies", data=body_of(encoded(ds)), headers=CLEAN, environ_base={"REMOTE_ADDR": "10.1.1.1"}
        )
        (entry,) = (
            entry
            for entry in engine.audit.entries()
            if entry.as_dict()["detail"].get("sop_instance_uid") == str(ds.SOPInstanceUID)
        )
        assert (entry.actor, entry.action) == ("somebody@10.9.8.7", "received")
        assert entry.as_dict()["detail"]["source"] == "stow"

    def test_a_study_in_the_address_takes_its_own_only(self, web: FlaskClient) -> None:
        mine, other = ct(), ct()
        url = f"/dicom-web/studies/{mine.StudyInstanceUID}"
        mixed = web.post(url, data=body_of(encoded(mine), encoded(other)), headers=CLEAN)
        assert mixed.status_code == 202
        assert reasons(mixed.get_json(force=True)) == [0xA900]
        none = web.post(url, data=body_of(encoded(other)), headers=CLEAN)
        assert none.status_code == 409
        assert REFERENCED not in none.get_json(force=True)

    def test_without_multipart_around_it(self, web: FlaskClient) -> None:
        ds = ct()
        response = web.post("/dicom-web/studies", data=encoded(ds), headers={"Content-Type": "application/dicom"})
        assert response.status_code == 200
        assert value(items(response.get_json(force=True), REFERENCED)[0], "00081155") == ds.SOPInstanceUID

    @pytest.mark.parametrize(
        "head",
        [
            "",
            "Content-Type: application/dicom;transfer-syntax=1.2.840.10008.1.2.1\r\n",
            "content-type:application/dicom\r\n",
        ],
    )
    def test_heads_of_parts_as_clients_write_them(self, web: FlaskClient, head: str) -> None:
        response = web.post("/dicom-web/studies", data=body_of(encoded(ct()), head=head), headers=CLEAN)
        assert response.status_code == 200

    def test_sloppy_clients(self, web: FlaskClient) -> None:
        sloppy = b"Hello\n" + body_of(encoded(ct()), head="Content-Type: application/dicom\n").replace(b"\r\n", b"\n")
        kind = f"multipart/related;type=application/dicom;boundary={BOUNDARY}"
        response = web.post("/dicom-web/studies/", data=sloppy, headers={"Content-Type": kind})
        assert response.status_code in (200, 202)

    def test_every_kind_of_file_gets_its_verdict(self, web: FlaskClient) -> None:
        names = ("CT_small.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "liver_1frame.dcm")
        names += ("meta_missing_tsyntax.dcm", "no_meta.dcm", "DICOMDIR", "rtplan_truncated.dcm", "zipMR.gz")
        paths = [path for path in samples() if path.name in names]
        assert len({path.name for path in paths}) == len(names)
        files = [path.read_bytes() for path in paths]
        response = web.post("/dicom-web/studies", data=body_of(*files), headers=CLEAN)
        answer = response.get_json(force=True)
        assert response.status_code == 202
        kinds = [len(items(answer, tag)) for tag in (REFERENCED, FAILED, OTHER)]
        assert all(kinds)
        assert sum(kinds) == len(files)
        assert pydicom.Dataset.from_json(answer).ReferencedSOPSequence


class TestAnswers:
    def test_in_xml(self, web: FlaskClient) -> None:
        ds = ct()
        headers = {**CLEAN, "Accept": "application/dicom+xml"}
        response = web.post("/dicom-web/studies", data=body_of(encoded(ds), b"junk"), headers=headers)
        assert response.status_code == 202
        assert response.headers["Content-Type"] == "application/dicom+xml"
        root = ElementTree.fromstring(response.data)
        name = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
        found = {one.get("keyword"): one.findtext(f"{name}Value") for one in root.iter(f"{name}DicomAttribute")}
        assert found["ReferencedSOPInstanceUID"] == ds.SOPInstanceUID
        assert found["FailureReason"] == str(0xC000)
        assert found["RetrieveURL"].startswith(URL)

    def test_an_accept_header_that_cannot_be_served_stores_nothing(self, idle: FlaskClient, archive: Archive) -> None:
        headers = {**CLEAN, "Accept": "application/dicom"}
        assert idle.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=headers).status_code == 406
        assert archive.counts()["received"] == 0

    def test_what_is_still_worked_on_has_no_address_yet(self, idle: FlaskClient, archive: Archive) -> None:
        response = idle.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN)
        assert response.status_code == 202
        assert response.headers["Warning"].startswith(f"299 {URL}: ")
        answer = response.get_json(force=True)
        assert value(answer, "00081190") is None
        assert value(items(answer, REFERENCED)[0], "00081190") is None
        assert archive.counts()["waiting"] == 1

    def test_what_no_route_matches_is_held(self, archive: Archive) -> None:
        web = client_of(archive, planner=always())
        assert web.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN).status_code == 202
        assert archive.counts()["held"] == 1

    def test_a_project_each(self, archive: Archive) -> None:
        seen = []
        web = client_of(archive, planner=lambda came: seen.append(came.origin) or Plan(("one", "two")), wait=0.0)
        web.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN)
        assert seen == [Origin("stow", "127.0.0.1")]
        assert archive.counts()["waiting"] == 2

    def test_what_it_became_in_another_project_is_not_told(self, engine: Archive, web: FlaskClient) -> None:
        data = body_of(encoded(ct()))
        assert web.post("/dicom-web/studies", data=data, headers=CLEAN).status_code == 200
        other = client_of(engine, planner=always("gone"), wait=120.0)
        response = other.post("/dicom-web/studies", data=data, headers=CLEAN)
        assert response.status_code == 409  # there is no such project in the configuration
        assert b"2.25." not in response.data

    def test_some_threads_are_left_for_others(self, archive: Archive) -> None:
        web = client_of(archive, wait=3600.0, waiting=threading.Semaphore(0))
        assert web.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN).status_code == 202

    def test_what_goes_back_to_its_patient_has_no_address(self, archive: Archive) -> None:
        web = client_of(archive, planner=lambda _came: Plan(("default",), Stage.REIDENTIFY), wait=0.0)
        data = body_of(encoded(ct()))
        assert web.post("/dicom-web/studies", data=data, headers=CLEAN).status_code == 202
        job = archive.jobs.claim(Stage.REIDENTIFY, "tests", 60)
        assert job is not None
        assert archive.put_back(job, [b"x"], "d" * 64, ["pacs"], {})
        response = web.post("/dicom-web/studies", data=data, headers=CLEAN)
        assert response.status_code == 200
        assert value(items(response.get_json(force=True), REFERENCED)[0], "00081190") is None


@pytest.mark.usefixtures("quick_passwords")
class TestTheDoor:
    @pytest.fixture
    def door(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
        monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, "a-token-for-automation")
        config = Config(folder=archive.folder.parent, http=Http(stow_wait=0, stow_largest=1))
        return build_app(config, archive).test_client()

    def test_storing_and_deleting_need_permissions_of_their_own(
        self, door: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bearer = {"Authorization": "Bearer a-token-for-automation"}
        data = body_of(encoded(ct()))
        assert door.post("/dicom-web/studies", data=data, headers=CLEAN).status_code == 401
        assert door.delete("/dicom-web/studies/1.2").status_code == 401
        assert door.delete("/dicom-web/studies/1.2", headers=bearer).status_code == 404
        monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.STORE, Permission.DELETE})
        assert door.post("/dicom-web/studies", data=data, headers=CLEAN | bearer).status_code == 403
        assert door.delete("/dicom-web/studies/1.2", headers=bearer).status_code == 403
        assert door.get("/dicom-web/studies", headers=bearer).status_code == 204
        assert archive.counts()["received"] == 0

    def test_who_may_read_changes_nothing(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(READ_TOKEN_VARIABLE, "a-token-for-viewers")
        door = build_app(Config(folder=archive.folder.parent, http=Http(stow_wait=0)), archive).test_client()
        bearer = {"Authorization": "Bearer a-token-for-viewers"}
        assert door.get("/dicom-web/studies", headers=bearer).status_code == 204
        assert door.get("/fhir/R4/ImagingStudy", headers=bearer).status_code == 200
        assert door.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN | bearer).status_code == 403
        assert door.delete("/dicom-web/studies/1.2", headers=bearer).status_code == 403
        assert door.get("/dicom-web/workitems", headers=bearer).status_code == 403
        assert archive.counts()["received"] == 0
        for wrong in ("", "a-token-for-viewer"):
            assert door.get("/dicom-web/studies", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401

    def test_a_page_of_ours_uploads_and_a_page_of_another_site_does_not(
        self, door: FlaskClient, archive: Archive
    ) -> None:
        headers = {**CLEAN, "Authorization": "Bearer a-token-for-automation", "Sec-Fetch-Site": "same-origin"}
        assert door.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=headers).status_code == 202
        (entry,) = (entry for entry in archive.audit.entries() if entry.action == "received")
        assert entry.actor == "admin-token@127.0.0.1"
        assert entry.as_dict()["detail"]["source"] == "upload"
        elsewhere = {**headers, "Sec-Fetch-Site": "cross-site"}
        assert door.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=elsewhere).status_code == 403

    def test_more_than_usual_is_taken_but_not_more_than_configured(self, door: FlaskClient) -> None:
        headers = {**CLEAN, "Authorization": "Bearer a-token-for-automation"}
        assert door.post("/dicom-web/studies", data=bytes(1_100_000), headers=headers).status_code == 413


class TestRefusing:
    @pytest.mark.parametrize(
        ("kind", "data", "status"),
        [
            ("text/plain", b"x", 415),
            ("", b"x", 415),
            ("multipart/form-data; boundary=x", b"x", 415),
            ('multipart/related; type="text/plain"; boundary=x', b"x", 415),
            ('multipart/related; type="application/dicom"', b"x", 400),
            (MULTIPART, b"no boundary", 400),
            (MULTIPART, body_of(b"x")[:-10], 400),
            (MULTIPART, b"", 400),
            (MULTIPART, f"--{BOUNDARY}--".encode(), 400),
            ("application/dicom", b"", 400),
            ("application/dicom", b"not DICOM", 400),
            ("application/dicom", bytes(128) + b"DICM" + b"\2\0" * 99, 400),
            ("application/dicom+json", b"", 400),
            ("application/dicom+json", b"not JSON", 400),
            ("application/dicom+json", b'{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}', 409),
            (MULTIPART, body_of(b""), 409),
            (MULTIPART, body_of(bytes(128) + b"DICM"), 409),
        ],
    )
    def test_bodies_that_hold_nothing(
        self, idle: FlaskClient, archive: Archive, kind: str, data: bytes, status: int
    ) -> None:
        response = idle.post("/dicom-web/studies", data=data, headers={"Content-Type": kind})
        assert response.status_code == status
        if status == 409 or (kind == "application/dicom" and data):
            assert reasons(response.get_json(force=True), OTHER) == [0xC000]
        assert archive.counts()["received"] == 0
        assert not left_over(archive)

    def test_one_that_breaks_off_stores_nothing_of_it(self, idle: FlaskClient, archive: Archive) -> None:
        whole = body_of(encoded(ct()), encoded(ct()))
        assert idle.post("/dicom-web/studies", data=whole[:-20_000], headers=CLEAN).status_code == 400
        assert archive.counts()["received"] == 0

    def test_an_object_without_a_study_fails_by_its_name(self, idle: FlaskClient) -> None:
        ds = ct()
        del ds.StudyInstanceUID
        response = idle.post("/dicom-web/studies", data=body_of(encoded(ds)), headers=CLEAN)
        assert response.status_code == 409
        answer = response.get_json(force=True)
        assert reasons(answer) == [0xC000]
        assert value(items(answer, FAILED)[0], "00081155") == ds.SOPInstanceUID

    def test_a_malformed_study_in_the_address(self, idle: FlaskClient) -> None:
        assert idle.post("/dicom-web/studies/nope", data=body_of(b"x"), headers=CLEAN).status_code == 400

    def test_too_large_with_and_without_a_length(self, archive: Archive) -> None:
        web, data = client_of(archive, largest=10_000), body_of(encoded(ct()))
        assert web.post("/dicom-web/studies", data=data, headers=CLEAN).status_code == 413
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        response = web.post("/dicom-web/studies", input_stream=BytesIO(data), headers=CLEAN, environ_overrides=chunked)
        assert response.status_code == 413
        assert archive.counts()["received"] == 0
        assert not left_over(archive)

    def test_a_full_disk(self, idle: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stow, "_LEAST_FREE", 1 << 60)
        response = idle.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN)
        assert response.status_code == 503
        assert "Retry-After" in response.headers
        assert not left_over(archive)

    def test_a_busy_database(self, idle: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(*_: object, **__: object) -> None:
            raise Unavailable("busy")

        monkeypatch.setattr(archive, "accept", busy)
        response = idle.post("/dicom-web/studies", data=body_of(encoded(ct())), headers=CLEAN)
        assert response.status_code == 503
        assert reasons(response.get_json(force=True)) == [0xA700]
        assert not left_over(archive)

    def test_a_compressed_body(self, idle: FlaskClient) -> None:
        headers = {**CLEAN, "Content-Encoding": "gzip"}
        assert idle.post("/dicom-web/studies", data=b"x", headers=headers).status_code == 415


def apart(ds: pydicom.Dataset, **bulk: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Metadata in JSON and, by URI, the values that are sent beside them."""
    uris = {f"{pydicom.datadict.tag_for_keyword(keyword):08X}": uri for keyword, uri in bulk.items()}
    model = ds.to_json_dict()
    values = {}
    for keyword, uri in bulk.items():
        tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
        values[uri] = ds[keyword].value
        model[tag] = {"vr": model[tag]["vr"], "BulkDataURI": uris[tag]}
    return model, values


def mixed(kind: str, metadata: Sequence[bytes], bulk: Sequence[tuple[str, str, bytes]]) -> tuple[bytes, dict[str, str]]:
    pieces = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + one + b"\r\n" for one in metadata]
    for media_type, uri, data in bulk:
        head = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Location: {uri}\r\n\r\n"
        pieces.append(head.encode() + data + b"\r\n")
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary="{BOUNDARY}"'}
    return b"".join([*pieces, f"--{BOUNDARY}--".encode()]), headers


def without_pixels() -> dict[str, Any]:
    """A CT image in DICOM JSON, without its pixels."""
    return {tag: one for tag, one in ct().to_json_dict().items() if not tag.startswith(("7FE0", "FFFC"))}


def original(archive: Archive) -> pydicom.Dataset:
    """The one object in the inbox."""
    (name,) = archive.files.names("inbox")
    with archive.files.open("inbox", name) as file:
        return pydicom.dcmread(file)


class TestMetadataAndBulkData:
    def test_json_with_native_pixels(self, idle: FlaskClient, archive: Archive) -> None:
        ds = ct()
        model, values = apart(ds, PixelData="bulk/1")
        octets = [("application/octet-stream", uri, data) for uri, data in values.items()]
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], octets)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert came.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert came.PixelData == ds.PixelData
        for element in ds:
            if not element.tag.is_private and element.VR not in ("UN", "SQ"):
                assert came[element.tag].value == element.value or not element.value, element.tag
        assert came[0xFFFC, 0xFFFC].value == ds[0xFFFC, 0xFFFC].value  # what comes after the pixels

    def test_xml_of_pydicom_and_bulk_data_within_sequences(self, idle: FlaskClient, archive: Archive) -> None:
        ds = bundled("waveform_ecg.dcm")
        wave = ds.WaveformSequence[0].WaveformData
        text = f"""<?xml version="1.0" encoding="UTF-8"?>
        <NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
        <DicomAttribute tag="00080005" vr="CS"><Value number="1">ISO_IR 192</Value></DicomAttribute>
        <DicomAttribute tag="00080016" vr="UI"><Value number="1">{ds.SOPClassUID}</Value></DicomAttribute>
        <DicomAttribute tag="00080018" vr="UI"><Value number="1">{ds.SOPInstanceUID}</Value></DicomAttribute>
        <DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><FamilyName>Müller</FamilyName>
        <GivenName>Ida</GivenName></Alphabetic></PersonName></DicomAttribute>
        <DicomAttribute tag="0020000D" vr="UI"><Value number="1">{ds.StudyInstanceUID}</Value></DicomAttribute>
        <DicomAttribute tag="00200013" vr="IS"><Value number="1">7</Value></DicomAttribute>
        <DicomAttribute tag="54000100" vr="SQ"><Item number="1">
          <DicomAttribute tag="003A0005" vr="US"><Value number="1">12</Value></DicomAttribute>
          <DicomAttribute tag="54001010" vr="OW"><BulkData uri="wave"/></DicomAttribute></Item></DicomAttribute>
        </NativeDicomModel>"""
        octets = [("application/octet-stream", "wave", wave)]
        data, headers = mixed("application/dicom+xml", [text.encode()], octets)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert (str(came.PatientName), came.InstanceNumber) == ("Müller^Ida", 7)
        assert came.WaveformSequence[0].WaveformData == wave
        assert came.WaveformSequence[0].NumberOfWaveformChannels == 12

    @pytest.mark.parametrize("told", [None, "ISO_IR 100", "ISO_IR 192"])
    def test_text_is_what_it_was_whatever_repertoire_is_told(
        self, idle: FlaskClient, archive: Archive, told: str | None
    ) -> None:
        model = without_pixels()
        model["00104000"] = {"vr": "LT", "Value": ["\u4e2d\u6587 \u00c4"]}
        model["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Wang^X", "Ideographic": "\u738b^\u5c0f\u6771"}]}
        item = {"00080104": {"vr": "LO", "Value": ["\u00d6l"]}, "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
        model["00081032"] = {"vr": "SQ", "Value": [item]}
        model.pop("00080005", None)
        if told:
            model["00080005"] = {"vr": "CS", "Value": [told]}
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], [])
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert came.PatientComments == "\u4e2d\u6587 \u00c4"
        assert came.PatientName.ideographic == "\u738b^\u5c0f\u6771"
        assert came.ProcedureCodeSequence[0].CodeMeaning == "\u00d6l"

    def test_metadata_alone_need_no_multipart(self, idle: FlaskClient, archive: Archive) -> None:
        model = without_pixels()
        headers = {"Content-Type": "application/dicom+json"}
        assert idle.post("/dicom-web/studies", data=json.dumps(model).encode(), headers=headers).status_code == 202
        assert original(archive).SOPInstanceUID == model["00080018"]["Value"][0]

    def test_what_is_ascii_keeps_the_repertoire_it_tells(self, idle: FlaskClient, archive: Archive) -> None:
        model = without_pixels()
        model["00080005"] = {"vr": "CS", "Value": ["ISO_IR 100"]}
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], [])
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        assert original(archive).SpecificCharacterSet == "ISO_IR 100"

    def test_an_empty_value_among_numbers_in_text_stays_empty(self, idle: FlaskClient, archive: Archive) -> None:
        model = without_pixels()
        model["00200032"] = {"vr": "DS", "Value": [1, None, "2.50"]}
        model["00180050"] = {"vr": "DS", "Value": ["1.250000"]}
        model["00081140"] = {"vr": "SQ", "Value": [{"00081160": {"vr": "IS", "Value": [1, None, 3.0]}}, None, {}]}
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], [])
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert [str(one) for one in came.ImagePositionPatient] == ["1", "", "2.50"]
        assert came.SliceThickness.original_string == "1.250000"
        assert [str(one) for one in came.ReferencedImageSequence[0].ReferencedFrameNumber] == ["1", "", "3"]
        assert [len(item) for item in came.ReferencedImageSequence] == [1, 0, 0]

    def test_values_of_every_kind_may_be_apart(self, idle: FlaskClient, archive: Archive) -> None:
        model = without_pixels()
        apart_ones = {
            "00180050": ("DS", b"5.5"),
            "00189087": ("FD", struct.pack("<2d", 1.5, 2.5)),
            "00280106": ("US", b"\x05\x00"),
            "00104000": ("LT", b"odd"),
            "00283006": ("OW", b"\x01\x02"),
            "0040A160": ("UT", b"text"),
            "00720082": ("SV", struct.pack("<q", -(2**63))),
        }
        inside = {tag: {"vr": vr, "BulkDataURI": f"b/{tag}"} for tag, (vr, _) in apart_ones.items()}
        model |= inside
        model["00081140"] = {"vr": "SQ", "Value": [inside]}
        octets = [("application/octet-stream", f"b/{tag}", data) for tag, (_, data) in apart_ones.items()]
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], octets)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        for ds in (came, came.ReferencedImageSequence[0]):
            assert (ds.SliceThickness, ds.DiffusionBValue, ds[0x00280106].value) == (5.5, [1.5, 2.5], 5)
            assert (ds.PatientComments, ds.LUTData, ds.TextValue) == ("odd", b"\x01\x02", "text")
            assert ds[0x00720082].value == -(2**63)

    @pytest.mark.parametrize(("vr", "data"), [("DS", b"1" * 70_000), ("FD", b"\0" * 70_000)])
    def test_a_value_too_long_for_its_kind_fails_by_its_name(self, idle: FlaskClient, vr: str, data: bytes) -> None:
        model = without_pixels()
        model["00189087"] = {"vr": vr, "BulkDataURI": "b"}
        sent = mixed(
            "application/dicom+json", [json.dumps([model]).encode()], [("application/octet-stream", "b", data)]
        )
        response = idle.post("/dicom-web/studies", data=sent[0], headers=sent[1])
        assert response.status_code == 409
        assert response.json["00081198"]["Value"][0]["00081155"] == model["00080018"]

    def test_a_jpeg_is_encapsulated_and_says_what_it_is(self, idle: FlaskClient, archive: Archive) -> None:
        picture = BytesIO()
        Image.fromarray(np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)).save(picture, "JPEG")
        ds = secondary_capture()
        model = {tag: one for tag, one in ds.to_json_dict().items() if not tag.startswith(("0028", "7FE0"))}
        model["7FE00010"] = {"vr": "OB", "BulkDataURI": "picture"}
        part = [("image/jpeg", "picture", picture.getvalue())]
        data, headers = mixed("application/dicom+json", [json.dumps(model).encode()], part)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert came.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert (came.Rows, came.Columns, came.SamplesPerPixel, came.LossyImageCompression) == (40, 60, 3, "01")
        assert came.pixel_array.shape == (40, 60, 3)

    @pytest.mark.parametrize(
        ("kind", "encode", "syntax", "colour"),
        [
            ("image/png", imagecodecs.png_encode, "", "RGB"),
            ("image/jp2", partial(imagecodecs.jpeg2k_encode, level=0, codecformat="J2K"), ".4.90", "YBR_RCT"),
            ("image/jp2", partial(imagecodecs.jpeg2k_encode, level=0, codecformat="JP2"), ".4.90", "YBR_RCT"),
            ("image/jp2", partial(imagecodecs.jpeg2k_encode, level=0, codecformat="J2K", mct=False), ".4.90", "RGB"),
            ("image/jls", imagecodecs.jpegls_encode, ".4.80", "RGB"),
        ],
    )
    @pytest.mark.parametrize("depth", [np.uint8, np.uint16])
    @pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)])
    def test_what_a_picture_tells_of_its_pixels_may_be_left_out(
        self,
        idle: FlaskClient,
        archive: Archive,
        kind: str,
        encode: Any,
        syntax: str,
        colour: str,
        depth: Any,
        shape: Any,
    ) -> None:
        pixels = (np.arange(np.prod(shape)).reshape(shape) * (7 if depth is np.uint8 else 777)).astype(depth)
        came = self.composed(idle, archive, kind, [bytes(encode(pixels))])
        assert came.file_meta.TransferSyntaxUID == f"1.2.840.10008.1.2{syntax or '.1'}"
        assert (came.Rows, came.Columns, came.BitsAllocated) == (6, 7, 8 * pixels.itemsize)
        assert (came.BitsStored, came.HighBit, came.PixelRepresentation) == (
            came.BitsAllocated,
            came.BitsAllocated - 1,
            0,
        )
        assert came.PhotometricInterpretation == (colour if len(shape) == 3 else "MONOCHROME2")
        assert (pydicom.pixels.pixel_array(came, raw=False) == pixels).all()

    @pytest.mark.parametrize(
        ("told", "syntax"),
        [
            ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"),
            ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1"),
            ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1"),
            ("1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.8.1"),
            ("1.2.840.10008.1.2.2", ""),
            ("1.2.3.4", ""),
            ("nope", ""),
        ],
    )
    def test_the_transfer_syntax_of_a_part_is_taken_for_what_it_says_of_frames(
        self, idle: FlaskClient, archive: Archive, told: str, syntax: str
    ) -> None:
        ds = ct()
        model, values = apart(ds, PixelData="px")
        model.pop("FFFCFFFC", None)
        parts = [(f"application/octet-stream; transfer-syntax={told}", "px", values["px"])]
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], parts)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == (202 if syntax else 409)
        if syntax:
            came = original(archive)
            assert came.file_meta.TransferSyntaxUID == syntax
            assert values["px"] in came.PixelData

    def test_a_picture_that_moves_becomes_frames(self, idle: FlaskClient, archive: Archive) -> None:
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
        pictures = [Image.new("RGB", (5, 4), colour) for colour in colours]
        out = BytesIO()
        pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
        came = self.composed(idle, archive, "image/gif", [out.getvalue()])
        assert (came.NumberOfFrames, came.Rows, came.Columns, came.PhotometricInterpretation) == (3, 4, 5, "RGB")
        assert [tuple(frame[0, 0]) for frame in came.pixel_array] == colours

    def test_pictures_in_several_parts_are_frames(self, idle: FlaskClient, archive: Archive) -> None:
        pictures = [np.full((4, 5), value, np.uint8) for value in (1, 2)]
        came = self.composed(idle, archive, "image/png", [bytes(imagecodecs.png_encode(one)) for one in pictures])
        assert (came.NumberOfFrames, came.pixel_array.tolist()) == (2, [one.tolist() for one in pictures])

    @pytest.mark.parametrize(
        ("kind", "pictures"),
        [
            ("image/png", [b"no picture"]),
            ("image/gif", [b"GIF89a"]),
            ("image/png", [bytes(imagecodecs.png_encode(np.zeros((2, 2, 4), np.uint8)))]),
            ("image/png", [bytes(imagecodecs.png_encode(np.zeros((2, n), np.uint8))) for n in (2, 3)]),
            (
                "image/png",
                [bytes(imagecodecs.png_encode(np.zeros((2, 2), np.uint8))).replace(b"\0\0\0\2" * 2, b"\0\1" * 4)],
            ),
        ],
    )
    def test_a_picture_that_is_none_or_has_no_place_fails_by_its_name(
        self, idle: FlaskClient, archive: Archive, kind: str, pictures: list[bytes]
    ) -> None:
        assert self.sent(idle, kind, pictures).json["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]
        assert list(archive.files.names("inbox")) == []

    def sent(self, idle: FlaskClient, kind: str, pictures: list[bytes]) -> Any:
        model = {tag: one for tag, one in without_pixels().items() if not tag.startswith("0028")}
        model["7FE00010"] = {"vr": "OB", "BulkDataURI": "picture"}
        parts = [(kind, "picture", one) for one in pictures]
        data, headers = mixed("application/dicom+json", [json.dumps(model).encode()], parts)
        return idle.post("/dicom-web/studies", data=data, headers=headers)

    def composed(self, idle: FlaskClient, archive: Archive, kind: str, pictures: list[bytes]) -> pydicom.Dataset:
        assert self.sent(idle, kind, pictures).status_code == 202
        return original(archive)

    def test_compressed_frames_one_part_each(self, idle: FlaskClient, archive: Archive) -> None:
        ds = bundled("JPEG2000.dcm")
        frame = next(pydicom.encaps.generate_frames(ds.PixelData))
        model, _ = apart(ds, PixelData="px")
        model["00280008"] = {"vr": "IS", "Value": [2]}
        kind = "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91"
        parts = [(kind, "px/frames/2", frame + b"\0"), (kind, "px/frames/1", frame)]
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], parts)
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == 202
        came = original(archive)
        assert came.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.91"
        frames = list(pydicom.encaps.generate_frames(came.PixelData, number_of_frames=2))
        assert [one.startswith(frame) for one in frames] == [True, True]

    def test_cleaned_and_found_again(self, web: FlaskClient) -> None:
        ds = ct()
        model, values = apart(ds, PixelData="bulk/1")
        octets = [("application/octet-stream", uri, data) for uri, data in values.items()]
        data, headers = mixed("application/dicom+json", [json.dumps([model]).encode()], octets)
        response = web.post("/dicom-web/studies", data=data, headers=headers)
        assert response.status_code == 200
        place = value(items(response.get_json(force=True), REFERENCED)[0], "00081190")
        got = web.get(place.removeprefix("http://node.test"), headers={"Accept": "application/dicom"})
        assert pydicom.dcmread(BytesIO(got.data)).PixelData == ds.PixelData

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"7FE00010": {"vr": "OW", "BulkDataURI": "absent"}},
            {"00420011": {"vr": "OB", "InlineBinary": "abc"}},
            {"00420011": {"vr": "OB", "InlineBinary": "%%%%"}},
            {"00082112": {"vr": "SQ", "Value": [{"00420011": {"vr": "OB", "InlineBinary": "=a"}}]}},
            {"00082112": {"vr": "SQ", "Value": [{"54001010": {"vr": "OW", "BulkDataURI": "absent"}}]}},
            {"00280010": {"vr": "US", "Value": ["many"]}},
            {"00280010": {"vr": "US", "Value": [1 << 20]}},
            {"00186024": {"vr": "XX", "Value": [{}]}},
        ],
    )
    def test_what_cannot_be_made_is_named_in_the_answer_and_the_rest_is_stored(
        self, idle: FlaskClient, archive: Archive, spoilt: dict[str, Any]
    ) -> None:
        ds = ct()
        good = {tag: one for tag, one in ds.to_json_dict().items() if tag != "7FE00010"}
        bad = {**good, "00080018": {"vr": "UI", "Value": ["1.2.3.4"]}, **spoilt}
        data, headers = mixed("application/dicom+json", [json.dumps([bad, good]).encode()], [])
        response = idle.post("/dicom-web/studies", data=data, headers=headers)
        assert response.status_code == 202
        answer = response.get_json(force=True)
        (failed,) = items(answer, FAILED)
        assert (value(failed, "00081150"), value(failed, "00081155")) == (ds.SOPClassUID, "1.2.3.4")
        assert value(failed, "00081197") == 0xC000
        assert not items(answer, OTHER)
        assert original(archive).SOPInstanceUID == ds.SOPInstanceUID
        assert not left_over(archive)

    def test_xml_with_bulk_data_that_is_missing_or_a_number_that_is_none(self, idle: FlaskClient) -> None:
        known = {"00080016": "1.2.840.10008.5.1.4.1.1.7", "00080018": "1.2.3.4", "0020000D": "1.2.3"}
        uids = "".join(
            f'<DicomAttribute tag="{tag}" vr="UI"><Value number="1">{uid}</Value></DicomAttribute>'
            for tag, uid in known.items()
        )
        spoilt = (
            '<DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="absent"/></DicomAttribute>',
            '<DicomAttribute tag="00280010" vr="US"><Value number="1">many</Value></DicomAttribute>',
        )
        texts = [f"<NativeDicomModel>{uids}{one}</NativeDicomModel>".encode() for one in spoilt]
        for text in texts:
            data, headers = mixed("application/dicom+xml", [text], [])
            response = idle.post("/dicom-web/studies", data=data, headers=headers)
            assert response.status_code == 409
            (failed,) = items(response.get_json(force=True), FAILED)
            assert (value(failed, "00081150"), value(failed, "00081155")) == (known["00080016"], "1.2.3.4")

    def test_what_cannot_be_made_and_has_no_uid_is_among_the_others(self, idle: FlaskClient) -> None:
        nameless = {"7FE00010": {"vr": "OW", "BulkDataURI": "absent"}, "00080018": {"vr": "UI", "Value": 5}}
        data, headers = mixed("application/dicom+json", [json.dumps(nameless).encode()], [])
        response = idle.post("/dicom-web/studies", data=data, headers=headers)
        assert response.status_code == 409
        assert reasons(response.get_json(force=True), OTHER) == [0xC000]

    @pytest.mark.parametrize(
        ("metadata", "status"),
        [
            (b"[]", 400),
            (b"{", 400),
            (b"[1]", 400),
            (b'[{"00080018": 1}]', 400),
            (b"[" * 100_000, 400),
            (b"{}", 409),
            (b'{"00080018": {"vr": "UI", "Value": ["1.2"]}}', 409),
            (b'{"00080018": {"vr": "XX", "Value": [{}]}}', 409),
            (b'{"7FE00010": {"vr": "OW", "BulkDataURI": "absent"}}', 409),
        ],
    )
    def test_metadata_that_make_no_object(
        self, idle: FlaskClient, archive: Archive, metadata: bytes, status: int
    ) -> None:
        data, headers = mixed("application/dicom+json", [metadata], [])
        assert idle.post("/dicom-web/studies", data=data, headers=headers).status_code == status
        assert not left_over(archive)

    def test_xml_that_could_expand_is_refused(self, idle: FlaskClient) -> None:
        text = b'<!DOCTYPE x [<!ENTITY a "b">]><NativeDicomModel>&a;</NativeDicomModel>'
        data, headers = mixed("application/dicom+xml", [text], [])
        response = idle.post("/dicom-web/studies", data=data, headers=headers)
        assert response.status_code == 400
        assert "document type" in response.get_json(force=True)["error"]


class TestIdentifying:
    def test_a_length_that_is_claimed_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "long"
        with path.open("wb") as file:
            file.write(bytes(128) + b"DICM\x02\x00\x02\x01OB\x00\x00\xff\xff\xff\x7f")
            file.truncate(1 << 30)
        tracemalloc.start()
        assert identify(path) == NOTHING
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()

    @pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
    def test_it_reads_what_pydicom_does(self, path: Path) -> None:
        try:
            ds = pydicom.dcmread(path)
            expected = tuple(str(ds.get(name, "")) for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"))
            has_syntax = bool(ds.file_meta.get("TransferSyntaxUID"))
        except Exception:
            expected, has_syntax = ("", "", ""), False
        found = identify(path)
        if has_syntax and all(expected):
            assert (found.sop_class, found.sop_uid, found.study_uid) == expected
        else:
            assert not found.is_complete

    def test_what_inflates_without_end_is_not_followed(self, tmp_path: Path) -> None:
        ds = bundled("image_dfl.dcm")
        path = saved(ds, tmp_path)
        plain = bytes(300 << 20)
        packed = zlib.compressobj(wbits=-15)
        head = path.read_bytes()[: 132 + 12 + ds.file_meta.FileMetaInformationGroupLength]
        path.write_bytes(head + packed.compress(plain) + packed.flush())
        tracemalloc.start()
        assert identify(path) == NOTHING
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()


class TestSpoiling:
    """Whatever is sent, the answer is one of those that are documented, and nothing is left in the incoming folder."""

    ODD: Sequence[Any] = (
        None,
        5,
        "x",
        [],
        {},
        {"vr": "SQ"},
        {"vr": "SQ", "Value": [None]},
        {"vr": "PN", "Value": ["a"]},
        {"vr": "US", "Value": ["q"]},
        {"vr": "OB", "InlineBinary": "%%"},
        {"vr": "OW", "BulkDataURI": "px"},
        {"vr": "LO", "BulkDataURI": "px"},
        {"vr": "FD", "Value": [None, "NaN"]},
        {"vr": "UI", "Value": ["\ud800"]},
    )
    TAGS = ("0002000", "00020010", "FFFEE000", "00000000", "ZZZZZZZZ", "00280010", "00080018", "7FE00010", "00081199")
    KINDS = ("application/octet-stream", "image/jpeg", "image/jls", "text/html", "image/jp2; transfer-syntax=x")

    def check(self, idle: FlaskClient, archive: Archive, data: bytes, headers: dict[str, str]) -> None:
        response = idle.post("/dicom-web/studies", data=data, headers=headers)
        assert response.status_code in (202, 400, 409), response.data
        assert not left_over(archive)

    @pytest.mark.parametrize("seed", range(60))
    def test_metadata(self, idle: FlaskClient, archive: Archive, seed: int) -> None:
        chance, ds = random.Random(seed), ct()
        model, values = apart(ds, PixelData="px")
        for _ in range(chance.randint(1, 4)):
            model[chance.choice([*model, *self.TAGS])] = chance.choice(self.ODD)
        bulk = [(chance.choice(self.KINDS), "px", values["px"][:500])]
        self.check(idle, archive, *mixed("application/dicom+json", [json.dumps(model).encode()], bulk))

    @pytest.mark.parametrize("seed", range(60))
    def test_bytes(self, idle: FlaskClient, archive: Archive, seed: int) -> None:
        chance, body = random.Random(seed), bytearray(body_of(encoded(ct())))
        for _ in range(chance.randint(1, 6)):
            place, more = chance.randrange(3000), chance.choice([f"\r\n--{BOUNDARY}".encode(), b"\n", b"--", bytes(10)])
            body[place : place + chance.randint(0, 20)] = chance.choice([b"", more, chance.randbytes(5)])
        self.check(idle, archive, bytes(body), CLEAN)
