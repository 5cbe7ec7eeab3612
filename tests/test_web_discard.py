"""The page and the call that discard what is held back: who may, what goes, and that it says so beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from builders import PHI, ct, saved
from flask.testing import FlaskClient
from pydicom.uid import generate_uid

from lethe.node.config import Config, Peer
from lethe.node.outbox import Outbox
from lethe.node.web.app import create_app
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin
from lethe.storage.jobs import ENDED, Stage, State
from lethe.storage.users import GRANTS, Permission, Role

TOKEN, READER = "admin-token-0123456789abcdef", "read-token-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = BEARER | {"Accept": "text/html"}


@pytest.fixture
def web(archive: Archive) -> Iterator[FlaskClient]:
    app = create_app(
        archive,
        auth="local",
        admin_token=TOKEN,
        read_token=READER,
        blueprints=[],
        outbox=Outbox(archive, Config(peers=(Peer("pacs", "PACS", "10.0.0.5", 104),))),
        instance_path=archive.folder,
    )
    yield app.test_client()


def refused(archive: Archive, study: str, *projects: str) -> list[int]:
    """Receive an object of that study and quarantine it; without a project it is held."""
    ds = ct(StudyInstanceUID=study)
    path = saved(ds, archive.files.incoming())
    archive.accept(path, str(ds.SOPInstanceUID), Origin("CT1"), projects)
    jobs = [archive.jobs.claim(Stage.CLEAN, "test", 60) for _ in projects]
    assert all(job is not None and archive.quarantine(job, "no reason") for job in jobs)
    newest = archive.jobs.find(states=ENDED, limit=len(jobs) or 1)
    return [job.id for job in newest]


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class TestPage:
    def test_says_what_goes_and_that_it_is_for_good(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        (number,), _, _ = (refused(archive, study, "default") for _ in range(3))
        refused(archive, generate_uid(), "default"), refused(archive, study, "other"), refused(archive, study)
        assert f'href="/decisions/{number}/discard"' in web.get("/", headers=BEARER).text
        page = web.get(f"/decisions/{number}/discard", headers=HTML)
        assert page.status_code == 200
        said = words(page.text)
        assert "This cannot be undone." in said and "Quarantined: no reason" in said
        assert "all 3 objects of its study that are held back in this project" in said
        assert study not in page.text and not any(value in page.text for value in PHI.values())
        assert len(archive.jobs.find(states=ENDED)) == 6  # to look discards nothing

    def test_discards_one(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        (number,), (other,) = (refused(archive, study, "default") for _ in range(2))
        answer = web.post(f"/decisions/{number}/discard", data={"reason": "sent by mistake"}, headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert [job.id for job in archive.jobs.find()] == [other]
        (entry,) = archive.audit.newest(1)
        assert (entry.action, json.loads(entry.detail)["why"]) == ("discarded", "sent by mistake")
        home = web.get("/", headers=HTML).text
        assert "1 object is discarded." in home and "1 object needs a decision." in home

    def test_discards_a_study(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        (number,), _ = (refused(archive, study, "default") for _ in range(2))
        left = refused(archive, generate_uid(), "default") + refused(archive, study, "other")
        form = {"reason": "not ours", "what": "study"}
        web.post(f"/decisions/{number}/discard", data=form, headers=HTML)
        assert "2 objects are discarded." in web.get("/", headers=HTML).text
        assert sorted(job.id for job in archive.jobs.find()) == sorted(left)
        assert len(list(archive.files.names("inbox"))) == 2

    def test_discards_what_is_held_of_a_study(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        (number,), _ = (refused(archive, study) for _ in range(2))
        assert f'href="/decisions/{number}/discard"' in web.get("/", headers=HTML).text
        form = {"reason": "not ours", "what": "study"}
        web.post(f"/decisions/{number}/discard", data=form, headers=HTML)
        assert "All caught up." in web.get("/", headers=HTML).text
        assert list(archive.files.names("inbox")) == []

    def test_of_an_object_without_a_study_discards_that_alone(self, web: FlaskClient, archive: Archive) -> None:
        for number in range(2):
            path = archive.files.incoming() / "object"
            path.write_bytes(b"no DICOM %d" % number)
            archive.accept(path, f"1.2.{number}", Origin("CT1"), [])
        number = archive.jobs.find()[0].id
        assert "of its study" not in words(web.get(f"/decisions/{number}/discard", headers=HTML).text)
        web.post(f"/decisions/{number}/discard", data={"reason": "x", "what": "study"}, headers=HTML)
        assert len(archive.jobs.find()) == 1

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "a\x00b"])
    def test_without_a_reason_asks_again(self, web: FlaskClient, archive: Archive, reason: str) -> None:
        (number,) = refused(archive, generate_uid(), "default")
        answer = web.post(f"/decisions/{number}/discard", data={"reason": reason, "what": "study"}, headers=HTML)
        assert answer.status_code == 400 and "Not discarded:" in answer.text
        assert archive.jobs.get(number).state == State.QUARANTINED

    def test_of_a_job_that_goes_on_or_is_gone_is_refused(self, web: FlaskClient, archive: Archive) -> None:
        (number,) = refused(archive, generate_uid(), "default")
        assert (
            web.post(f"/decisions/{number}/discard", data={"reason": "x", "what": "all"}, headers=HTML).status_code
            == 400
        )
        archive.release(number, Actor("another"))
        for what in ("object", "study"):
            form = {"reason": "x", "what": what}
            assert web.post(f"/decisions/{number}/discard", data=form, headers=HTML).status_code == 409
            assert web.post("/decisions/99/discard", data=form, headers=HTML).status_code == 404
        assert web.get(f"/decisions/{number}/discard", headers=HTML).status_code == 409
        assert archive.jobs.get(number).state == State.READY

    def test_is_not_for_readers_nor_for_pages_of_other_sites(
        self, web: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (number,) = refused(archive, generate_uid(), "default")
        path, form = f"/decisions/{number}/discard", {"reason": "x"}
        assert web.post(path, data=form, headers=HTML | {"Origin": "https://elsewhere.example"}).status_code == 403
        assert web.post(path, data=form, headers=HTML | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
        reader = {"Authorization": f"Bearer {READER}"}
        assert web.get(path, headers=reader).status_code == web.post(path, data=form, headers=reader).status_code == 403
        assert "/discard" not in web.get("/", headers=reader).text
        monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.DELETE})
        assert web.post(path, data=form, headers=HTML).status_code == 403
        assert web.post(f"/api/v1/jobs/{number}/discard", json=form, headers=BEARER).status_code == 403
        home = web.get("/", headers=HTML).text
        assert "/discard" not in home and "/release" in home
        assert archive.jobs.get(number).state == State.QUARANTINED


class TestCall:
    def test_discards_one_or_a_study(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        numbers = [refused(archive, study, "default")[0] for _ in range(3)]
        listed = web.get("/api/v1/quarantine", headers=BEARER).get_json()["jobs"]
        assert all(job["discardable"] for job in listed)
        path = f"/api/v1/jobs/{numbers[0]}/discard"
        assert web.post(path, json={"reason": "x"}, headers=BEARER).get_json() == {"jobs": numbers[:1]}
        assert web.post(path, json={"reason": "x"}, headers=BEARER).status_code == 404
        asked = {"reason": "x", "what": "study"}
        answer = web.post(f"/api/v1/jobs/{numbers[1]}/discard", json=asked, headers=BEARER)
        assert answer.get_json() == {"jobs": numbers[1:]}
        assert web.get("/api/v1/quarantine", headers=BEARER).get_json() == {"jobs": [], "total": 0}
        assert web.get("/api/v1/status", headers=BEARER).get_json()["discarded"] == 3
        assert "\nlethe_discarded 3\n" in web.get("/metrics", headers=BEARER).text
        assert web.get(f"/api/v1/quarantine/{numbers[0]}", headers=BEARER).status_code == 404

    @pytest.mark.parametrize(
        "asked",
        [None, [], {}, {"reason": 1}, {"reason": " "}, {"reason": "x" * 201}, {"reason": "x", "what": ["study"]}],
    )
    def test_that_makes_no_sense_is_told_so(self, web: FlaskClient, archive: Archive, asked: Any) -> None:
        (number,) = refused(archive, generate_uid(), "default")
        answer = web.post(f"/api/v1/jobs/{number}/discard", json=asked, headers=BEARER)
        assert answer.status_code == 400 and answer.mimetype == "application/problem+json"
        assert archive.jobs.get(number).state == State.QUARANTINED

    def test_a_delivery_is_not_to_be_discarded(self, web: FlaskClient, archive: Archive) -> None:
        with archive.together():
            archive.jobs.add(Stage.SEND, "1.1.1", project="default", destination="pacs", state=State.QUARANTINED)
        (job,) = web.get("/api/v1/quarantine", headers=BEARER).get_json()["jobs"]
        assert not job["discardable"] and "/discard" not in web.get("/", headers=HTML).text
        assert web.post(f"/api/v1/jobs/{job['id']}/discard", json={"reason": "x"}, headers=BEARER).status_code == 409


def test_a_result_for_a_destination_is_said_to_be_one(web: FlaskClient, archive: Archive) -> None:
    study = generate_uid()
    for number in range(2):
        path = saved(ct(StudyInstanceUID=study), archive.files.incoming())
        name = f"{number}{'ab' * 31}c"
        archive.files.write("returns", name, [path.read_bytes()])
        with archive.together():
            archive.jobs.add(Stage.RETURN, name, project="default", destination="ris", state=State.FAILED, reason="x")
    number = archive.jobs.find()[0].id
    page = words(web.get(f"/decisions/{number}/discard", headers=HTML).text)
    assert "re-identified, for ris" in page and "all 2 objects of its study" in page
    web.post(f"/decisions/{number}/discard", data={"reason": "x", "what": "study"}, headers=HTML)
    assert (archive.jobs.find(), list(archive.files.names("returns"))) == ([], [])


def test_the_review_desk_leads_there(web: FlaskClient, archive: Archive) -> None:
    (number,) = refused(archive, generate_uid(), "default")
    assert f'href="/decisions/{number}/discard"' in web.get(f"/quarantine/{number}", headers=HTML).text
