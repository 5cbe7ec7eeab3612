"""The receipt in the portal and the API: for everybody without originals, with them for those who may, each look
audited."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from builders import PHI, ct, saved
from flask import Flask
from flask.testing import FlaskClient
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from lethe.node.choices import ProfileName
from lethe.node.config import Config, Project
from lethe.node.outbox import Outbox
from lethe.node.projects import projects_of
from lethe.node.web.app import create_app
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.intake import Origin
from lethe.storage.query import Level, Query
from lethe.storage.users import GRANTS, Permission, Role

pytestmark = pytest.mark.usefixtures("quick_passwords")

TOKEN = "a-token-for-automation"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html"}
SECRETS = [*PHI.values(), "KUMQUATSON", "ZEBRAFISH", "FEATHERSTONE"]


def publish(archive: Archive, study: str = "", **project: Any) -> tuple[str, str]:
    """Send one object through the worker; gives the clean study's and instance's UIDs."""
    known = {entry.sop_uid for entry in archive.index.find(Query(Level.INSTANCE))}
    ds = ct(PatientComments="ZEBRAFISH", **({"StudyInstanceUID": study} if study else {}))
    ds.private_block(0x0071, "KUMQUATSON", create=True).add_new(0x01, "LO", "KUMQUATSON")
    item = Dataset()
    item.PatientName = PHI["PatientName"]
    ds.OriginalAttributesSequence = [item]
    archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("CT01"), ["default"])
    config = Config(projects=(Project("default", **project),))
    assert Worker(archive, projects_of(config, archive.files, archive.crosswalk), "worker-1").step()
    (entry,) = (entry for entry in archive.index.find(Query(Level.INSTANCE)) if entry.sop_uid not in known)
    return entry.study_uid, entry.sop_uid


@pytest.fixture
def app(archive: Archive) -> Flask:
    return create_app(
        archive,
        auth="local",
        admin_token=TOKEN,
        blueprints=[],
        outbox=Outbox(archive, Config()),
        instance_path=archive.folder,
    )


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is somebody who may do anything but see originals."""
    monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.ORIGINALS})


def page_of(uids: tuple[str, str]) -> str:
    return f"/studies/{uids[0]}/instances/{uids[1]}/receipt"


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def looks(archive: Archive) -> list[tuple[str, str, str]]:
    return [
        (entry.action, entry.actor, entry.subject)
        for entry in archive.audit.entries()
        if entry.action.startswith("originals")
    ]


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


class TestPage:
    def test_tells_what_was_done_by_which_rule_without_originals(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        answer = web.get(page_of(uids), headers=BEARER)
        text, stored = words(answer.text), archive.receipts.of(uids[1])
        for expected in (
            stored.content["profile_digest"],
            stored.content["key_id"],
            stored.digest,
            "PS3.15 2026d",
            "clean-descriptors (113105)",
            "clean-pixel-data (113101)",
            "Basic Profile (113100)",
            "nothing of the original patient was found in the result",
            "The audit trail vouches for this receipt: entry 2",
            "Institution Name (0008,0080)",
            "Show originals",
        ):
            assert expected in text, expected
        assert "Before" not in text
        assert not secrets_in(answer.text) and looks(archive) == []

    def test_is_linked_from_the_study(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        assert f'href="{page_of(uids)}"' in web.get(f"/studies/{uids[0]}", headers=BEARER).text

    def test_shows_what_was_there_before_to_those_who_may_and_audits_it(
        self, web: FlaskClient, archive: Archive
    ) -> None:
        uids = publish(archive)
        answer = web.post(page_of(uids), headers=BEARER)
        text = words(answer.text)
        assert "Before" in text and "This look is in the audit trail" in text
        for expected in (PHI["PatientName"], PHI["InstitutionName"], "KUMQUATSON", "ZEBRAFISH"):
            assert expected in text
        assert "(0400,0561)[1]&gt;(0010,0010)" in answer.text
        assert looks(archive) == [("originals-viewed", "admin-token@127.0.0.1", uids[1])]
        assert answer.headers["Cache-Control"] == "no-store"

    def test_tells_those_who_may_not_so_and_never_opens_anything(
        self, web: FlaskClient, archive: Archive, may_not: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uids = publish(archive)
        (archive.folder / "keys" / "crosswalk.key").unlink()  # nothing could be opened
        archive.crosswalk._root = archive.crosswalk._keys = None
        archive.headers._ciphers.clear()
        answer = web.get(page_of(uids), headers=BEARER)
        assert answer.status_code == 200
        assert "is not shown to you" in words(answer.text) and "Show originals" not in answer.text
        assert "Before" not in answer.text and not secrets_in(answer.text)
        for headers in (BEARER, BEARER | HTML):
            refused = web.post(page_of(uids), headers=headers)
            assert refused.status_code == 403 and not secrets_in(refused.text)
        assert looks(archive) == []

    def test_with_originals_is_not_to_be_had_from_a_page_of_another_site(
        self, web: FlaskClient, archive: Archive
    ) -> None:
        uids = publish(archive)
        answer = web.post(page_of(uids), headers=BEARER | {"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403 and looks(archive) == []

    def test_is_shut_to_strangers(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        assert web.get(page_of(uids)).status_code == web.post(page_of(uids)).status_code == 401
        assert web.get(f"/api/v1/instances/{uids[1]}/receipt").status_code == 401

    def test_says_that_nothing_was_kept(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive, keep_originals=False)
        assert archive.receipts.of(uids[1]).content["original_header"] == "not kept"
        text = words(web.get(page_of(uids), headers=BEARER).text)
        assert "What was there before is not kept here." in text and "Show originals" not in text
        assert web.post(page_of(uids), headers=BEARER).status_code == 404
        assert looks(archive) == []

    def test_of_an_object_that_passed_through(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive, profile=ProfileName.NONE)
        text = words(web.get(page_of(uids), headers=BEARER).text)
        assert "passed through unchanged" in text and "Changed 0" in text
        assert not archive.headers.holds(uids[1])

    def test_shows_what_changed_alone_and_in_portions(
        self, web: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lethe.node.web.receiptpage._ROWS", 20)
        uids = publish(archive)
        everything = web.get(page_of(uids), headers=BEARER).text
        changed = web.get(f"{page_of(uids)}?show=changed&page=2", headers=BEARER).text
        assert "outside Table E.1-1" in everything and "outside Table E.1-1" not in changed
        assert everything.count('<th scope="row">') == changed.count('<th scope="row">') == 20
        assert "Page 2 of" in changed and "Earlier" in changed and "Later" in changed
        last = web.get(f"{page_of(uids)}?page=999", headers=BEARER).text
        assert "Later" not in last and "Earlier" in last
        posted = web.post(page_of(uids), data={"show": "changed", "page": "2"}, headers=BEARER).text
        assert "Page 2 of" in posted and "Before" in posted
        assert "page=3" not in posted, "the next portion is asked for by a form, too"

    @pytest.mark.parametrize("query", ["show=x", "page=x", "page=-1", "page=0", "page=9999999999999999", "page=１"])
    def test_asked_for_nothing_sensible_begins_at_the_beginning(
        self, web: FlaskClient, archive: Archive, query: str
    ) -> None:
        answer = web.get(f"{page_of(publish(archive))}?{query}", headers=BEARER)
        assert answer.status_code == 200 and "Specific Character Set" in answer.text

    def test_of_another_study_or_none_is_not_there(self, web: FlaskClient, archive: Archive) -> None:
        uids, other = publish(archive), publish(archive)
        for path in (page_of((other[0], uids[1])), page_of((uids[0], "FEATHERSTONE"))):
            for answer in (web.get(path, headers=BEARER | HTML), web.post(path, headers=BEARER | HTML)):
                assert answer.status_code == 404 and not secrets_in(answer.text)
        assert looks(archive) == []

    def test_of_a_header_that_was_altered_is_refused_without_a_word_of_it(
        self, web: FlaskClient, archive: Archive, caplog: pytest.LogCaptureFixture
    ) -> None:
        uids = publish(archive)
        archive.database.execute_sql("UPDATE sealed_header SET sealed = substr(sealed, 2)")
        answer = web.post(page_of(uids), headers=BEARER | HTML)
        assert answer.status_code == 409 and not secrets_in(answer.text + caplog.text)

    def test_of_a_header_in_another_encoding_than_it_is_said_to_be(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        kept = archive.headers.open(uids[1])
        assert kept.transfer_syntax == ExplicitVRLittleEndian
        sealed = archive.headers.sealed("default", uids[1], replace(kept, transfer_syntax=ImplicitVRLittleEndian))
        archive.database.execute_sql("UPDATE sealed_header SET sealed = ?", (sealed,))
        answer = web.post(page_of(uids), headers=BEARER | HTML)
        assert answer.status_code == 409 and not secrets_in(answer.text)
        assert "cannot be read for certain" in answer.text

    def test_says_that_a_receipt_was_changed(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        archive.database.execute_sql("UPDATE instance SET receipt = replace(receipt, 'true', 'false')")
        assert "not the receipt that the audit trail has" in words(web.get(page_of(uids), headers=BEARER).text)
        assert uids[1] in web.post("/audit/verify", headers=BEARER).text

    def test_of_an_instance_whose_file_is_gone(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        archive.files.remove("clean", archive.index.instance(uids[1]).file)
        assert web.get(page_of(uids), headers=BEARER | HTML).status_code == 404

    def test_no_log_says_what_was_shown(
        self, web: FlaskClient, archive: Archive, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        web.post(page_of(publish(archive)), headers=BEARER)
        assert not secrets_in(caplog.text)


class TestApi:
    def test_gives_the_receipt_and_what_vouches_for_it(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        answer = web.get(f"/api/v1/instances/{uids[1]}/receipt", headers=BEARER)
        told, stored = answer.get_json(), archive.receipts.of(uids[1])
        assert stored.entry is not None
        assert told == {
            "instance": uids[1],
            "study": uids[0],
            "project": "default",
            "receipt": stored.content,
            "sha256": stored.digest,
            "audit": {"seq": stored.entry.seq, "at": stored.entry.at, "digest": stored.entry.digest},
            "vouched_for": True,
        }
        assert not secrets_in(answer.text) and looks(archive) == []

    def test_gives_values_to_those_who_may_and_audits_it(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive)
        told = web.get(f"/api/v1/instances/{uids[1]}/receipt?values=true", headers=BEARER).get_json()
        elements = {element["place"]: element for element in told["elements"]}
        assert told["original_header"] is True
        assert elements["(0008,0080)"] == {
            "place": "(0008,0080)",
            "name": "Institution Name",
            "vr": "LO",
            "before": PHI["InstitutionName"],
            "after": None,
            "became": "removed",
            "rule": "Basic Profile (113100): X/Z/D",
            "reason": elements["(0008,0080)"]["reason"],
        }
        assert [look[0] for look in looks(archive)] == ["originals-viewed"]
        schemas = web.get("/api/v1/openapi.json", headers=BEARER).get_json()["components"]["schemas"]
        assert set(told) == set(schemas["Receipt"]["properties"])
        assert set(elements["(0008,0080)"]) == set(schemas["Element"]["properties"])

    def test_refuses_values_to_others(self, web: FlaskClient, archive: Archive, may_not: None) -> None:
        uids = publish(archive)
        answer = web.get(f"/api/v1/instances/{uids[1]}/receipt?values=true", headers=BEARER)
        assert answer.status_code == 403 and not secrets_in(answer.text) and looks(archive) == []

    def test_gives_what_is_known_where_nothing_was_kept(self, web: FlaskClient, archive: Archive) -> None:
        uids = publish(archive, keep_originals=False)
        told = web.get(f"/api/v1/instances/{uids[1]}/receipt?values=true", headers=BEARER).get_json()
        assert told["original_header"] is False
        assert {element["before"] for element in told["elements"]} == {None}

    def test_gives_all_receipts_of_a_study_as_an_array_or_by_line(self, web: FlaskClient, archive: Archive) -> None:
        study = generate_uid()
        first, second = publish(archive, study), publish(archive, study)
        publish(archive)
        path = f"/api/v1/studies/{first[0]}/receipts"
        answer = web.get(path, headers=BEARER)
        assert answer.mimetype == "application/json"
        assert [told["instance"] for told in answer.get_json()] == [first[1], second[1]]
        lines = web.get(path, headers=BEARER | {"Accept": "application/x-ndjson"})
        assert lines.mimetype == "application/x-ndjson"
        assert [json.loads(line) for line in lines.text.splitlines()] == answer.get_json()
        assert not secrets_in(answer.text)

    @pytest.mark.parametrize(
        "path", ["instances/1.2.3/receipt", "instances/1.2.3/receipt?values=true", "studies/x/receipts"]
    )
    def test_of_what_is_not_there(self, web: FlaskClient, archive: Archive, path: str) -> None:
        assert web.get(f"/api/v1/{path}", headers=BEARER).status_code == 404
