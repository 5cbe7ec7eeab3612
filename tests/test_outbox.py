"""Queues of destinations: paused, in their hours, put first, sent again; in storage, on the command line, in the portal
and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from test_web_portal import publish, words

from lethe.node.cli import main
from lethe.node.config import Config, Peer, Project
from lethe.node.config_file import load_config
from lethe.node.outbox import Outbox
from lethe.node.web.app import create_app
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import NotFound, Refused
from lethe.storage.jobs import FIRST, Stage, State
from lethe.storage.queues import Breaker

ANN = Actor("ann")
STUDY = "2.25.1"
CONFIG = """[[peers]]
name = "pacs"
ae_title = "PACS"
host = "10.0.0.5"
port = 104
[[peers]]
name = "night"
ae_title = "NIGHT"
host = "10.0.0.6"
port = 104
hours = "19:00-06:00"
[projects.default]
send_to = ["pacs"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text(CONFIG)
    return load_config(tmp_path / "config.toml")


@pytest.fixture
def archive(config: Config) -> Iterator[Archive]:
    archive = Archive(config.data)
    yield archive
    archive.close()


@pytest.fixture
def outbox(archive: Archive, config: Config) -> Outbox:
    return Outbox(archive, config)


@pytest.fixture
def web(archive: Archive, outbox: Outbox) -> FlaskClient:
    settings: dict[str, Any] = {"auth": "none", "admin_token": "", "blueprints": [], "instance_path": archive.folder}
    return create_app(archive, outbox=outbox, **settings).test_client()


def told(archive: Archive, number: int = 1) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.actor, entry.subject) for entry in archive.audit.newest(number)]


def sends(archive: Archive) -> dict[tuple[str, str], State]:
    return {(job.subject[-1], job.destination): job.state for job in archive.jobs.find(stage=Stage.SEND)}


def deliver_all(archive: Archive, destination: str = "pacs") -> None:
    for job in archive.jobs.claim_many(Stage.SEND, "courier", 60, most=99, destination=destination):
        archive.delivered(job, 0, transfer_syntax="1.2.840.10008.1.2.1")


class TestQueues:
    def test_a_pause_is_kept_over_restarts_and_told_once(
        self, archive: Archive, outbox: Outbox, config: Config
    ) -> None:
        assert outbox.pause("pacs", ANN)
        assert not outbox.pause("pacs", ANN)
        assert told(archive) == [("queue-paused", "ann", "pacs")]
        again = Outbox(Archive(config.data), config)
        night, pacs = again.queues()
        assert (pacs.name, pacs.standing, pacs.paused is not None) == ("pacs", "paused", True)
        assert night.paused is None
        assert again.resume("pacs", ANN)
        assert not again.resume("pacs", ANN)
        assert told(archive, 2) == [("queue-resumed", "ann", "pacs"), ("queue-paused", "ann", "pacs")]

    def test_what_is_not_there_is_not_paused(self, outbox: Outbox) -> None:
        with pytest.raises(NotFound, match="there are: pacs, night"):
            outbox.pause("gone", ANN)

    def test_the_breaker_is_seen_and_a_person_can_close_it(self, archive: Archive, config: Config) -> None:
        now = [1000.0]
        archive = Archive(config.data, clock=lambda: now[0])
        outbox = Outbox(archive, config, clock=lambda: now[0])
        for delay in (10, 20):
            archive.queues.failed("pacs", delay, "pacs does not answer")
        _night, pacs = outbox.queues()
        assert (pacs.breaker, pacs.standing, pacs.next_attempt) == (Breaker.OPEN, "away", 1020.0)
        assert pacs.reason == "pacs does not answer"
        now[0] += 20
        assert outbox.queues()[1].breaker == Breaker.HALF_OPEN
        archive.queues.failed("pacs", 500, "pacs does not answer")
        assert outbox.resume("pacs", ANN)
        assert outbox.queues()[1].breaker == Breaker.HALF_OPEN
        archive.queues.answered("pacs")
        assert outbox.queues()[1].breaker == Breaker.CLOSED

    def test_hours_say_when_it_goes_on(self, archive: Archive, config: Config) -> None:
        noon = datetime.fromisoformat("2026-11-27T12:00")
        night, pacs = Outbox(archive, config, clock=noon.timestamp).queues()
        assert (night.standing, night.window, pacs.standing) == ("outside its hours", "19:00-06:00", "idle")
        assert night.next_attempt == noon.replace(hour=19).timestamp()
        late = noon.replace(hour=23).timestamp() + 0.123456789
        night, _pacs = Outbox(archive, config, clock=lambda: late).queues()
        assert (night.standing, night.next_attempt, night.reason) == ("idle", None, "")

    def test_numbers_and_the_oldest(self, archive: Archive, outbox: Outbox) -> None:
        for number in range(3):
            publish(archive, number, ("pacs",))
        first = min(job.created for job in archive.jobs.find(stage=Stage.SEND))
        job = archive.jobs.claim(Stage.SEND, "courier", 60, destination="pacs")
        assert job is not None
        _night, pacs = outbox.queues()
        assert (pacs.waiting, pacs.sending, pacs.delivered, pacs.failed, pacs.oldest) == (2, 1, 0, 0, first)
        archive.quarantine(job, "pacs answered 0xA900")
        deliver_all(archive)
        _night, pacs = outbox.queues()
        assert (pacs.waiting, pacs.sending, pacs.delivered, pacs.failed, pacs.oldest) == (0, 0, 2, 1, None)

    def test_an_instance_that_waits_by_itself_says_until_when(self, archive: Archive, outbox: Outbox) -> None:
        for number in (1, 2):
            publish(archive, number, ("pacs",))
        claimed = archive.jobs.claim_many(Stage.SEND, "me", 60, most=2, destination="pacs")
        for job, delay in zip(claimed, (700, 300), strict=True):
            archive.jobs.later(job, delay, f"pacs answered 0xA700 for {delay}")
        earliest = min(job.ready_at for job in archive.jobs.find(stage=Stage.SEND))
        _night, pacs = outbox.queues()
        assert (pacs.next_attempt, pacs.reason, pacs.breaker) == (earliest, "pacs answered 0xA700 for 300", "closed")

    def test_what_waits_by_itself_is_tried_when_a_person_says_so(self, archive: Archive, outbox: Outbox) -> None:
        publish(archive, 1, ("pacs", "night"))
        for destination in ("pacs", "night"):
            job = archive.jobs.claim(Stage.SEND, "me", 60, destination=destination)
            assert job is not None
            archive.jobs.later(job, 600, "answered 0xA700")
        assert archive.jobs.claim(Stage.SEND, "me", 60, destination="pacs") is None
        assert outbox.resume("pacs", ANN)
        assert archive.jobs.claim(Stage.SEND, "me", 60, destination="night") is None, "nobody asked for that"
        again = archive.jobs.claim(Stage.SEND, "me", 60, destination="pacs")
        assert again is not None and again.attempts == 2
        assert not outbox.resume("pacs", ANN), "nothing waits any more"
        assert told(archive) == [("queue-resumed", "ann", "pacs")]


class TestSendingAgain:
    def test_a_study_goes_again_where_its_project_sends(self, archive: Archive, outbox: Outbox) -> None:
        for number in (1, 2):
            publish(archive, number, ("pacs",))
        deliver_all(archive)
        assert outbox.resend([STUDY], ANN) == 2
        assert sends(archive) == {("1", "pacs"): State.READY, ("2", "pacs"): State.READY}
        assert outbox.resend([STUDY], ANN) == 0, "it is on its way already"
        assert told(archive) == [("resent", "ann", STUDY)]
        deliver_all(archive)
        assert list(archive.verify()) == []

    def test_one_instance_a_series_and_another_destination(self, archive: Archive, outbox: Outbox) -> None:
        for number in (1, 2):
            publish(archive, number, ("pacs",))
        deliver_all(archive)
        assert outbox.resend(["2.25.1.1.2"], ANN, ["night"]) == 1
        assert sends(archive)["2", "night"] == State.READY
        assert outbox.resend(["2.25.1.1"], ANN, ["night", "pacs"]) == 3
        with pytest.raises(NotFound):
            outbox.resend(["2.25.1", "2.25.99"], ANN)
        with pytest.raises(NotFound):
            outbox.resend(["2.25.1"], ANN, ["nowhere"])

    def test_what_is_sent_again_is_as_urgent_as_its_project(self, archive: Archive) -> None:
        places = [Peer(name, name.upper(), "10.0.0.5", 104, priority=rank) for name, rank in (("pacs", 3), ("far", 9))]
        outbox = Outbox(
            archive, Config(peers=tuple(places), projects=(Project("default", send_to=("pacs",), priority=-5),))
        )
        publish(archive, 1, ("pacs",))
        deliver_all(archive)
        assert outbox.put_first(STUDY, ANN) == 0
        assert outbox.resend([STUDY], ANN, ["pacs", "far"]) == 2
        assert {job.priority for job in archive.jobs.find(stage=Stage.SEND)} == {-2}

    def test_what_was_refused_or_failed_goes_again(self, archive: Archive, outbox: Outbox) -> None:
        publish(archive, 1, ("pacs",))
        job = archive.jobs.claim(Stage.SEND, "courier", 60, destination="pacs")
        assert job is not None
        archive.quarantine(job, "pacs answered 0xA900")
        assert outbox.resend([STUDY], ANN) == 1
        again = archive.jobs.get(job.id)
        assert (again.state, again.attempts, again.reason) == (State.READY, 0, "")

    def test_without_a_destination_one_has_to_be_named(self, archive: Archive) -> None:
        publish(archive, 1)
        outbox = Outbox(archive, Config(peers=(Peer("pacs", "PACS", "10.0.0.5", 104),), projects=(Project("default"),)))
        with pytest.raises(Refused, match="sends to nobody"):
            outbox.resend([STUDY], ANN)
        assert outbox.resend([STUDY], ANN, ["pacs"]) == 1

    def test_a_study_is_put_first(self, archive: Archive, outbox: Outbox) -> None:
        for number in range(3):
            publish(archive, number, ("pacs", "night"))
        with archive.database.atomic():
            archive.jobs.add(Stage.SEND, "2.25.7", project="default", destination="pacs", priority=27)
        assert outbox.put_first(STUDY, ANN, "pacs") == 3
        claimed = archive.jobs.claim_many(Stage.SEND, "courier", 60, most=9, destination="pacs")
        assert [job.priority for job in claimed] == [FIRST] * 3 + [27]
        assert outbox.put_first(STUDY, ANN) == 3, "those that are on their way are left alone"


class TestPortal:
    def test_shows_and_controls_a_destination(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs",))
        page = web.get("/").text
        assert 'action="/destinations/pacs/pause"' in page and "/destinations/pacs/resume" not in page
        assert "Sent to at 19:00-06:00" in words(page)
        assert web.post("/destinations/pacs/pause").status_code == 303
        page = web.get("/").text
        assert "paused" in words(page) and "nothing is sent until it is resumed" in words(page)
        assert 'action="/destinations/pacs/resume"' in page and "/destinations/pacs/pause" not in page
        assert web.post("/destinations/pacs/resume").headers["Location"] == "/"
        assert "Try now" not in words(web.get("/").text)
        job = archive.jobs.claim(Stage.SEND, "me", 60, destination="pacs")
        assert job is not None
        archive.jobs.later(job, 600, "pacs answered 0xA700")
        assert "Try now" in words(web.get("/").text)
        assert web.post("/destinations/pacs/resume").status_code == 303
        assert "Try now" not in words(web.get("/").text)
        archive.queues.failed("pacs", 600, "pacs does not answer")
        assert "Try now" in words(web.get("/").text)
        assert web.post("/destinations/gone/pause").status_code == 404

    def test_a_page_of_another_site_pauses_nothing(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs",))
        for path in ("/destinations/pacs/pause", f"/studies/{STUDY}/resend", "/api/v1/queues/pacs/pause"):
            assert web.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
            assert web.get(path).status_code == 405
        assert not archive.queues.states()

    def test_sends_a_study_again(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs",))
        assert "Send it first" in web.get(f"/studies/{STUDY}").text
        deliver_all(archive)
        page = web.get(f"/studies/{STUDY}")
        assert "1 delivered" in words(page.text) and "Send it first" not in page.text
        assert web.post(f"/studies/{STUDY}/resend", data={"to": ""}).status_code == 303
        assert web.post(f"/studies/{STUDY}/resend", data={"to": "night"}).status_code == 303
        assert sends(archive) == {("1", "pacs"): State.READY, ("1", "night"): State.READY}
        text = words(web.get(f"/studies/{STUDY}").text)
        assert "1 instance is sent again." in text and "night 1 waiting" in text
        assert web.post(f"/studies/{STUDY}/first").status_code == 303
        assert {job.priority for job in archive.jobs.find(stage=Stage.SEND)} == {FIRST}
        assert web.post("/studies/2.25.99/resend").status_code == 404
        assert web.post(f"/studies/{STUDY}/resend", data={"to": "gone"}).status_code == 404


class TestApi:
    def test_tells_and_does_the_same(self, web: FlaskClient, archive: Archive) -> None:
        publish(archive, 1, ("pacs",))
        answer = web.get("/api/v1/queues").get_json()
        assert [queue["name"] for queue in answer["queues"]] == ["night", "pacs"]
        schemas = web.get("/api/v1/openapi.json").get_json()["components"]["schemas"]
        assert set(answer["queues"][0]) == set(schemas["Queue"]["properties"]) == set(schemas["Queue"]["required"])
        assert 'lethe_queue_paused{destination="pacs"} 0' in web.get("/metrics").text, "before anything befell it"
        paused = web.post("/api/v1/queues/pacs/pause").get_json()
        assert (paused["standing"], paused["waiting"]) == ("paused", 1)
        assert paused["paused"].endswith("+00:00")
        assert web.post("/api/v1/queues/pacs/resume").get_json()["standing"] == "waiting"
        deliver_all(archive)
        assert web.post("/api/v1/resend", json={"uids": [STUDY]}).get_json() == {"jobs": 1}
        assert web.post("/api/v1/resend", json={"uids": [STUDY], "to": ["night"]}).get_json() == {"jobs": 1}
        assert web.post(f"/api/v1/studies/{STUDY}/first").get_json() == {"jobs": 2}

    @pytest.mark.parametrize(
        "asked", [None, [], {}, {"uids": []}, {"uids": "1"}, {"uids": [1]}, {"uids": ["1"], "to": 1}]
    )
    def test_nonsense_is_refused(self, web: FlaskClient, asked: object) -> None:
        assert web.post("/api/v1/resend", json=asked).status_code == 400

    def test_metrics_say_what_is_paused_or_away(self, web: FlaskClient, archive: Archive) -> None:
        assert "lethe_queue" not in web.get("/metrics").text
        archive.pause("pacs", ANN)
        archive.queues.failed("night", 10, "night does not answer")
        lines = web.get("/metrics").text.splitlines()
        assert 'lethe_queue_paused{destination="pacs"} 1' in lines
        assert 'lethe_queue_paused{destination="night"} 0' in lines
        assert 'lethe_queue_failures{destination="night"} 1' in lines

    def test_what_is_not_there_is_not_found(self, web: FlaskClient) -> None:
        assert web.post("/api/v1/resend", json={"uids": ["2.25.99"]}).status_code == 404
        assert web.post("/api/v1/queues/gone/pause").status_code == 404


class TestCommands:
    @pytest.fixture(autouse=True)
    def _here(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(config.folder)

    def test_show(self, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
        publish(archive, 1, ("pacs",))
        assert main(["queue", "--json"]) == 0
        night, pacs = json.loads(capsys.readouterr().out)
        assert (pacs["name"], pacs["waiting"], pacs["standing"], night["window"]) == (
            "pacs",
            1,
            "waiting",
            "19:00-06:00",
        )
        archive.queues.failed("pacs", 600, "pacs rejected the association: it does not know our AE title LETHE")
        assert main(["queue", "--config", "config.toml"]) == 0
        said = capsys.readouterr().out
        assert "destination" in said and "pacs rejected the association: it does not know our AE title LETHE" in said

    def test_pause_and_resume(self, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["queue", "pause", "pacs"]) == 0
        assert archive.queues.state("pacs").paused
        assert main(["queue", "pause", "pacs", "--config", "config.toml"]) == 0
        assert main(["queue", "resume", "pacs"]) == 0
        assert not archive.queues.state("pacs").paused
        assert capsys.readouterr().out.splitlines() == ["pacs is paused", "pacs was paused already", "pacs goes on"]
        assert main(["queue", "pause", "gone"]) != 0
        assert "there is no destination 'gone'" in capsys.readouterr().err

    def test_resend_and_first(self, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
        publish(archive, 1, ("pacs",))
        assert main(["queue", "first", STUDY]) == 0
        deliver_all(archive)
        assert main(["resend", STUDY, "--to", "night", "--to", "pacs"]) == 0
        assert main(["resend", "2.25.99"]) != 0
        said = capsys.readouterr()
        assert said.out.splitlines() == ["1 instance goes first", "2 instances are sent again"]
        assert told(archive) == [("resent", "command line", STUDY)]
        assert main(["resend", STUDY]) == 0
        assert capsys.readouterr().out == "nothing is sent again: all of it is on its way already\n"
