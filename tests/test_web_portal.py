"""The pages and the JSON API over an archive with something in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from lethe.node.choices import AuthMode
from lethe.node.comparison import element_name
from lethe.node.config import Auth, Config, Node, Peer
from lethe.node.outbox import Outbox
from lethe.node.site import build_app
from lethe.node.web.app import create_app
from lethe.node.web.overview import Tone, first_command, headline
from lethe.node.web.studypage import file_size, receipt_group
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.names import clean_name

ORIGINAL_UID = "1.2.840.99999.666"
PHI = ("DOE^JOHN", ORIGINAL_UID)
RECEIPT = {
    "profile": "basic",
    "codes": ["113100", "113105"],
    "counts": {"removed": 1234, "kept": 88},
    "elements": {"removed": [["(0010,0010)", "Z"], ["(0040,0275)[1]>(0009,1001)", "X <b>"]]},
    "verified": True,
}


def receive(archive: Archive, number: int, projects: tuple[str, ...] = ("default",), source: str = "CT1") -> None:
    path = archive.files.incoming() / "object"
    path.write_bytes(f"DOE^JOHN {number}".encode())
    archive.accept(path, f"{ORIGINAL_UID}.{number}", Origin(source, "192.0.2.7"), projects)


def publish(archive: Archive, number: int, destinations: tuple[str, ...] = (), **more: Any) -> None:
    receive(archive, number)
    job = archive.jobs.claim(Stage.CLEAN, "test", 60)
    assert job is not None
    body = f"clean {number}".encode()
    metadata = {
        "0020000D": {"vr": "UI", "Value": ["2.25.1"]},
        "0020000E": {"vr": "UI", "Value": ["2.25.1.1"]},
        "00080018": {"vr": "UI", "Value": [f"2.25.1.1.{number}"]},
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00100020": {"vr": "LO", "Value": ["P-<i>7QK"]},
        "00080020": {"vr": "DA", "Value": ["20240131"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "0008103E": {"vr": "LO", "Value": ["Thorax"]},
        "00200011": {"vr": "IS", "Value": [3]},
        "00200013": {"vr": "IS", "Value": [number]},
        **more,
    }
    clean = CleanInstance(
        metadata, "1.2.840.10008.1.2.1", "default", clean_name(hashlib.sha256(body).hexdigest()), 526_000, RECEIPT
    )
    assert archive.publish(job, [body], clean, destinations)


def refuse(archive: Archive, number: int, reason: str = "burned-in text could not be read") -> int:
    receive(archive, number)
    job = archive.jobs.claim(Stage.CLEAN, "test", 60)
    assert job is not None and archive.quarantine(job, reason)
    return job.id


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


@pytest.fixture
def app(archive: Archive) -> Flask:
    return create_app(
        archive,
        auth="none",
        admin_token="",
        blueprints=[],
        outbox=Outbox(archive, Config(peers=(Peer("pacs", "PACS", "10.0.0.5", 104),))),
        instance_path=archive.folder,
        dicom_address="LETHE at 127.0.0.1:11112",
    )


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


def words(page: str) -> str:
    """The text of a page, without tags and doubled spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class TestHome:
    def test_empty_says_how_to_begin(self, web: FlaskClient) -> None:
        page = web.get("/").text
        assert "storescu -aec LETHE 127.0.0.1 11112 file.dcm" in page
        assert "Ready for the first study." in page

    def test_shows_counts_studies_and_audit(self, web: FlaskClient, archive: Archive) -> None:
        for number in (1, 2):
            publish(archive, number)
        receive(archive, 3)
        text = words(web.get("/").text)
        assert "Working on 1 object." in text
        assert "received 3" in text and "published 2" in text and "waiting 1" in text
        assert "CT · 2024-01-31" in text and "1 series, 2 instances" in text
        assert "published lethe" in text and "received CT1@192.0.2.7" in text
        assert "Send the first study" not in text

    def test_shows_a_study_by_thumbnail_and_links(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1)
        page = web.get("/").text
        assert 'src="/dicom-web/studies/2.25.1/thumbnail"' in page and 'loading="lazy"' in page
        assert 'href="/dicom-web/studies/2.25.1/metadata"' in page
        assert 'href="/fhir/R4/ImagingStudy?identifier=urn:dicom:uid|urn:oid:2.25.1"' in page
        assert "P-&lt;i&gt;7QK" in page and "<i>" not in page

    def test_nothing_original_is_on_any_page(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs",))
        refuse(archive, 2)
        names = {job.subject for job in archive.jobs.find(stage=Stage.CLEAN)}
        for path in ("/", "/studies/2.25.1", "/api/v1/quarantine", "/metrics"):
            page = web.get(path).text
            assert not [secret for secret in (*PHI, *names) if secret in page], path

    def test_groups_decisions_by_reason(self, web: FlaskClient, archive: Archive) -> None:
        for number in range(7):
            refuse(archive, number)
        refuse(archive, 8, "the object holds a PDF")
        receive(archive, 9, projects=(), source="STRANGER")
        page = web.get("/").text
        text = words(page)
        assert "9 objects need a decision." in text
        assert text.index("Held no route matches") < text.index("the object holds a PDF") < text.index("burned-in text")
        assert "Try all 7 again" in text and "and 2 more" in text
        assert "from STRANGER" in text and "from CT1" in text
        assert page.count("/release") == 5 + 1 + 1

    def test_shows_destinations(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs", "old"))
        archive.queues.failed("pacs", 600, "no connection to PACS")
        text = words(web.get("/").text)
        assert "pacs PACS at 10.0.0.5:104" in text
        assert "old no longer configured" in text
        assert "1 waiting" in text and "no connection to PACS" in text and "Next attempt" in text

    @pytest.mark.parametrize(("least", "is_said"), [(1, False), (1 << 40, True)])
    def test_says_that_the_disk_turns_senders_away(self, archive: Archive, least: int, is_said: bool) -> None:
        config = Config(node=Node(least_free=least), auth=Auth(AuthMode.NONE), folder=archive.folder)
        page = words(build_app(config, archive).test_client().get("/").text)
        assert ("senders are turned away until it has" in page) == is_said

    def test_shows_a_destination_that_got_nothing_yet(self, web: FlaskClient) -> None:
        assert "PACS at 10.0.0.5:104" in web.get("/").text

    def test_audit_chain_is_checked_on_demand(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1)
        answer = web.post("/audit/verify")
        assert "The chain is unbroken" in answer.text and archive.audit.verify().head in answer.text
        archive.database.execute_sql("DROP TRIGGER audit_is_not_altered")
        archive.database.execute_sql("UPDATE audit SET actor = 'nobody' WHERE seq = 1")
        assert "The chain is broken" in web.post("/audit/verify").text
        assert web.get("/audit/verify").status_code == 405


class TestRelease:
    def test_button_tries_again_and_is_audited(self, web: FlaskClient, archive: Archive) -> None:
        number = refuse(archive, 1)
        assert f'action="/decisions/{number}/release"' in web.get("/").text
        answer = web.post(f"/decisions/{number}/release")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert archive.jobs.get(number).state == State.READY
        assert [(entry.action, entry.actor) for entry in archive.audit.newest(1)] == [("released", "local@127.0.0.1")]
        assert f"Job {number} will be tried again." in web.get("/").text
        assert "will be tried again" not in web.get("/").text

    def test_of_a_job_that_goes_on_is_refused(self, web: FlaskClient, archive: Archive) -> None:
        number = refuse(archive, 1)
        archive.release(number, Actor("another"))
        assert web.post(f"/decisions/{number}/release").status_code == 409
        assert web.post("/decisions/99/release").status_code == 404
        assert web.post("/decisions/99999999999999999999999/release").status_code == 404

    def test_of_all_with_the_same_reason(self, web: FlaskClient, archive: Archive) -> None:
        numbers = [refuse(archive, number) for number in range(6)]
        other = refuse(archive, 9, "another reason")
        form = {
            "stage": "clean",
            "state": "quarantined",
            "destination": "",
            "reason": archive.jobs.get(numbers[0]).reason,
        }
        assert web.post("/decisions/release", data=form).status_code == 303
        assert {archive.jobs.get(number).state for number in numbers} == {State.READY}
        assert archive.jobs.get(other).state == State.QUARANTINED
        assert "6 jobs will be tried again." in web.get("/").text

    @pytest.mark.parametrize(
        ("changes", "status"),
        [({"stage": "x"}, 404), ({"state": "x"}, 404), ({"state": "held"}, 409), ({"state": "done"}, 409), ({}, 303)],
    )
    def test_of_nothing_sensible(self, web: FlaskClient, changes: dict[str, str], status: int) -> None:
        form = {"stage": "clean", "state": "failed", "destination": "", "reason": "none such"}
        assert web.post("/decisions/release", data={**form, **changes}).status_code == status

    def test_of_what_is_held_waits_for_a_route(self, web: FlaskClient, archive: Archive) -> None:
        receive(archive, 1, projects=())
        number = archive.jobs.find(states=[State.HELD])[0].id
        assert "/release" not in web.get("/").text
        assert web.post(f"/decisions/{number}/release").status_code == 409


class TestStudy:
    def test_shows_series_instances_and_what_was_done(self, web: FlaskClient, archive: Archive) -> None:
        for number in (1, 2):
            publish(archive, number)
        page = web.get("/studies/2.25.1").text
        text = words(page)
        assert 'src="/dicom-web/studies/2.25.1/series/2.25.1.1/thumbnail"' in page
        assert "Series 3 · Thorax" in text and "CT · 2 instances" in text
        assert "CT Image Explicit VR Little Endian" in text and re.search(r"Endian \d+ k?B", text)
        assert "1,234 removed" in text and "113100, 113105" in text and "verified yes" in text
        assert "Patient&#39;s Name" in page and "2 changed elements" in text and "X &lt;b&gt;" in page

    def test_has_a_title_that_names_nobody(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1)
        assert "<title>Study · Lethe</title>" in web.get("/studies/2.25.1").text

    def test_has_bounds(self, web: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lethe.node.web.studypage._MOST_INSTANCES", 1)
        for number in (1, 2, 3):
            publish(archive, number)
        assert "and 2 more" in words(web.get("/studies/2.25.1").text)

    @pytest.mark.parametrize("uid", ["1.2.3", "quux", "2.25.1'--", "2.25.*"])
    def test_that_is_not_there(self, web: FlaskClient, uid: str) -> None:
        answer = web.get(f"/studies/{uid}", headers={"Accept": "text/html"})
        assert answer.status_code == 404 and uid not in answer.text


class TestStudies:
    """`publish` puts one study into the archive; these are told apart by their UIDs."""

    @pytest.fixture
    def many(self, archive: Archive) -> None:
        for number in range(27):
            publish(
                archive,
                number,
                **{
                    "0020000D": {"vr": "UI", "Value": [f"2.25.7{number}"]},
                    "0020000E": {"vr": "UI", "Value": [f"2.25.8{number}"]},
                    "00100020": {"vr": "LO", "Value": [f"TRIAL-{number:03}"]},
                    "00081030": {"vr": "LO", "Value": ["Whole Body" if number % 2 else "Chest"]},
                    "00080060": {"vr": "CS", "Value": ["NM" if number % 2 else "CT"]},
                },
            )

    def test_every_one_can_be_reached(self, web: FlaskClient, many: None) -> None:
        assert 'href="/studies"' in web.get("/").text
        seen: list[str] = []
        page = "/studies"
        while page:
            shown = web.get(page).text
            seen += re.findall(r'<h3><a href="/studies/([0-9.]+)">', shown)
            older = re.search(r'href="([^"]+)">Older<', shown)
            page = older[1].replace("&amp;", "&") if older else ""
        assert seen == [f"2.25.7{number}" for number in reversed(range(27))]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"find": "TRIAL-017"}, 1),
            ({"find": "trial-01"}, 10),
            ({"find": "body"}, 13),
            ({"find": "2.25.71"}, 1),
            ({"find": "2.25.7"}, 0),
            ({"find": " chest "}, 14),
            ({"find": "chest", "modality": "nm"}, 0),
            ({"modality": "nm"}, 13),
            ({"find": "%"}, 0),
            ({"find": "[A-Z]"}, 0),
            ({"find": "x" * 5000}, 0),
        ],
    )
    def test_are_found(self, web: FlaskClient, many: None, asked: dict[str, str], found: int) -> None:
        text = words(web.get("/studies", query_string=asked).text)
        assert {0: "No study was found", 1: "1 study "}.get(found, f"{found} studies") in text

    @pytest.mark.parametrize("page", ["0", "-1", "3", "999999999999", "x", "٢"])
    def test_a_page_that_is_none_is_one(self, web: FlaskClient, many: None, page: str) -> None:
        answer = web.get("/studies", query_string={"page": page})
        assert answer.status_code == 200 and re.search(r"Page [12] of 2", answer.text)

    def test_a_page_keeps_what_was_asked_for(self, web: FlaskClient, many: None) -> None:
        page = web.get("/studies?find=<TRIAL&modality=").text
        assert 'value="&lt;TRIAL"' in page
        assert 'href="/studies?find=trial&amp;page=2"' in web.get("/studies?find=trial").text

    def test_none_at_all_is_said(self, web: FlaskClient) -> None:
        assert "There are no studies yet" in web.get("/studies").text

    def test_files_and_receipts_of_one_can_be_saved(self, archive: Archive) -> None:
        web = build_app(Config(auth=Auth(AuthMode.NONE), folder=archive.folder), archive).test_client()
        publish(archive, 1)
        links = dict(map(reversed, re.findall(r'<a href="([^"]+)">([^<]+)</a>', web.get("/studies/2.25.1").text)))
        browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        files = web.get(links["Clean files (ZIP)"], headers=browser)
        assert (files.status_code, files.mimetype) == (200, "application/zip") and files.data.startswith(b"PK")
        assert len(web.get(links["Receipts (JSON)"], headers=browser).get_json()) == 1


class TestApi:
    def test_status_is_the_counts(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1)
        assert web.get("/api/v1/status").get_json() == archive.counts()

    def test_quarantine_and_release(self, web: FlaskClient, archive: Archive) -> None:
        number = refuse(archive, 1)
        refuse(archive, 2)
        listed = web.get("/api/v1/quarantine?limit=1").get_json()
        assert listed["total"] == 2 and len(listed["jobs"]) == 1
        listed = web.get("/api/v1/quarantine").get_json()
        job = next(job for job in listed["jobs"] if job["id"] == number)
        assert (job["source"], job["releasable"], job["state"]) == ("CT1", True, "quarantined")
        assert web.post(f"/api/v1/jobs/{number}/release").get_json()["state"] == "ready"
        again = web.post(f"/api/v1/jobs/{number}/release")
        assert again.status_code == 409 and again.get_json()["detail"].startswith(f"Job {number} is ready")

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "１０", "9" * 30])
    def test_limit_has_bounds(self, web: FlaskClient, limit: str) -> None:
        answer = web.get("/api/v1/quarantine", query_string={"limit": limit})
        assert answer.status_code == 400 and answer.is_json

    def test_document_names_every_route_and_no_other(self, archive: Archive) -> None:
        web = build_app(Config(auth=Auth(AuthMode.NONE), folder=archive.folder), archive).test_client()
        document = web.get("/api/v1/openapi.json").get_json()
        described = {
            (re.sub(r"{[^}]*}", "*", path), method) for path, methods in document["paths"].items() for method in methods
        }
        rules = [rule for rule in web.application.url_map.iter_rules() if rule.rule.startswith("/api/v1")]
        real = {
            (re.sub(r"<[^>]*>", "*", rule.rule.removeprefix("/api/v1")), method.lower())
            for rule in rules
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        assert described == real

    def test_document_describes_what_is_sent(self, web: FlaskClient, archive: Archive) -> None:
        refuse(archive, 1)
        schemas = web.get("/api/v1/openapi.json").get_json()["components"]["schemas"]
        job = web.get("/api/v1/quarantine").get_json()["jobs"][0]
        assert set(job) == set(schemas["Job"]["properties"]) == set(schemas["Job"]["required"])
        assert set(archive.counts()) == set(schemas["Counts"]["required"])
        references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(schemas)))
        assert references <= {("schemas", name) for name in schemas}


class TestStandstills:
    def test_group_ended_jobs_the_latest_first(self, archive: Archive) -> None:
        for number in range(3):
            refuse(archive, number)
        receive(archive, 9)
        (why,) = archive.jobs.standstills()
        assert (why.stage, why.state, why.jobs) == (Stage.CLEAN, State.QUARANTINED, 3)
        assert len(archive.jobs.find(states=[why.state], reason=why.reason, destination="")) == 3
        assert archive.jobs.find(reason="another") == []


@pytest.mark.parametrize(
    ("changes", "tone", "text"),
    [
        ({}, Tone.CALM, "Ready for the first study."),
        ({"received": 4}, Tone.CALM, "All caught up."),
        ({"received": 4, "sending": 1}, Tone.BUSY, "Working on 1 object."),
        ({"received": 4, "sending": 1, "failed": 1}, Tone.ALERT, "1 object needs a decision."),
        ({"received": 4, "quarantined": 1000, "held": 1}, Tone.ALERT, "1,001 objects need a decision."),
    ],
)
def test_headline(archive: Archive, changes: dict[str, int], tone: Tone, text: str) -> None:
    said = headline({**archive.counts(), **changes})
    assert (said.tone, said.text) == (tone, text)


@pytest.mark.parametrize(
    ("address", "host", "command"),
    [
        ("LETHE at 127.0.0.1:11112", "localhost", "storescu -aec LETHE 127.0.0.1 11112"),
        ("MY NODE at 0.0.0.0:104", "10.0.0.9", "storescu -aec 'MY NODE' 10.0.0.9 104"),
        ("LETHE at [::1]:104", "x", "storescu -aec LETHE ::1 104"),
        ("LETHE at [::]:104", "", "storescu -aec LETHE 127.0.0.1 104"),
    ],
)
def test_first_command(address: str, host: str, command: str) -> None:
    assert first_command(address, host) == command


def test_receipts_of_any_shape_can_be_shown() -> None:
    group = receipt_group(
        ["2.25.1"], {"text": "a", "none": None, "nested_part": {"ratio": 0.5, "list": [1, True, {"a": "b"}]}}
    )
    assert group.lines == (("text", "a"), ("nested part: ratio", "0.5"), ("nested part: list", "1, yes, b"))
    assert receipt_group(["2.25.1"], {}).lines == ()


def test_small_words() -> None:
    assert [file_size(size) for size in (0, 999, 1500, 52_400, 7_340_032, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "52 kB",
        "7.3 MB",
        "3.0 GB",
    ]
    assert element_name("(0010,0020)") == "Patient ID"
    assert element_name("(0040,0275)[1]>(0011,1001)") == "private or unknown element"
