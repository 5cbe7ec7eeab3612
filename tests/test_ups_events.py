"""Subscriptions and event reports (PS3.4 CC.2.3, CC.2.4), and the channels that bring them (PS3.18 8.10)."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from builders import series
from dicomweb_archive import app_over
from flask.testing import FlaskClient
from programs import Node, listens, wait_for
from ups_clients import JSON, LOCK, PERFORMED, UID, change, code, create, post, text, workitem
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lethe.node.config import Config, Http
from lethe.node.eventserver import serve_events
from lethe.node.site import build_app
from lethe.node.web.credentials import ADMIN_TOKEN_VARIABLE
from lethe.storage.archive import Archive

ALL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    archive.database.pragma("synchronous", 0)
    return app_over(archive, events="ws://node.test/dicom-web").test_client()


def subscribe(web: FlaskClient, resource: str, title: str = "ME", query: str = "", *, status: int = 201) -> None:
    answer = web.post(f"/dicom-web/workitems/{resource}/subscribers/{title}{query}")
    assert answer.status_code == status, answer.text
    if status == 201:
        assert answer.headers["Content-Location"] == f"ws://node.test/dicom-web/ws/subscribers/{title}"


def said(report: dict[str, Any]) -> tuple[str, int, str]:
    """What a report is about, its type, and the state that it tells."""
    state = report.get("00741000", {}).get("Value", [""])[0]
    return report["00001000"]["Value"][0], report["00001002"]["Value"][0], state


class Reports:
    """The reports for an AE title, each once."""

    def __init__(self, archive: Archive, title: str = "ME") -> None:
        self._archive, self._title, self._last = archive, title, 0

    def whole(self) -> list[dict[str, Any]]:
        new = self._archive.step_events.after(self._title, self._last)
        self._last = new[-1].number if new else self._last
        return [json.loads(one.text) for one in new]

    def new(self) -> list[tuple[str, int, str]]:
        return [said(one) for one in self.whole()]


def test_who_subscribes_to_a_workitem_is_told_of_all_that_happens_to_it(web: FlaskClient, archive: Archive) -> None:
    reports = Reports(archive)
    create(web)
    subscribe(web, UID)
    (first,) = reports.whole()
    assert first == {
        "00000002": text("UI", "1.2.840.10008.5.1.4.34.6.1"),
        "00000110": first["00000110"],
        "00001000": text("UI", UID),
        "00001002": text("US", 1),
        "00404041": text("CS", "READY"),
        "00741000": text("CS", "SCHEDULED"),
    }
    change(web, "IN PROGRESS")
    assert reports.new() == [(UID, 1, "IN PROGRESS")]
    progress = text("SQ", {"00741004": text("DS", "30"), "00741006": text("ST", "half way")})
    stations = text("SQ", code("STATION-1"))
    post(
        web,
        f"/workitems/{UID}?{LOCK}",
        {"00741002": progress, "00404025": stations, "00404041": text("CS", "INCOMPLETE")},
    )
    told = {said(one)[1]: one for one in reports.whole()}
    assert set(told) == {1, 3, 5}
    assert told[3]["00741002"] == progress
    assert told[5]["00404025"] == stations
    post(
        web, f"/workitems/{UID}/cancelrequest", {"00741238": text("LT", "Wrong patient"), "0074100C": text("LO", "Ann")}
    )
    (asked,) = reports.whole()
    assert said(asked)[1] == 2
    assert (asked["00741238"]["Value"], asked["0074100C"]["Value"]) == (["Wrong patient"], ["Ann"])
    assert asked["00741236"]["Value"] == ["lethe"]
    post(web, f"/workitems/{UID}?{LOCK}", {"00741216": PERFORMED})
    change(web, "COMPLETED")
    assert reports.new() == [(UID, 1, "COMPLETED")]
    assert web.delete(f"/dicom-web/workitems/{UID}/subscribers/ME").status_code == 200
    assert web.delete(f"/dicom-web/workitems/{UID}/subscribers/ME").status_code == 404


def test_who_subscribes_to_the_worklist_is_told_of_what_comes(web: FlaskClient, archive: Archive) -> None:
    create(web, "1.1")
    quiet, locked = Reports(archive, "QUIET"), Reports(archive, "LOCKED")
    subscribe(web, ALL, "QUIET")
    subscribe(web, ALL, "LOCKED", "?deletionlock=true")
    assert (quiet.new(), locked.new()) == ([], [("1.1", 1, "SCHEDULED")])
    create(web, "1.2", **{"00404025": text("SQ", code("CT1"))})
    assert quiet.new() == locked.new() == [("1.2", 1, "SCHEDULED"), ("1.2", 5, "")]
    change(web, "IN PROGRESS", uid="1.1")
    assert quiet.new() == locked.new() == [("1.1", 1, "IN PROGRESS")]
    assert web.post(f"/dicom-web/workitems/{ALL}/subscribers/QUIET/suspend").status_code == 200
    assert web.post(f"/dicom-web/workitems/{ALL}/subscribers/QUIET/suspend").status_code == 404
    create(web, "1.3")
    change(web, "IN PROGRESS", uid="1.2")
    assert quiet.new() == [("1.2", 1, "IN PROGRESS")]
    assert locked.new() == [("1.3", 1, "SCHEDULED"), ("1.2", 1, "IN PROGRESS")]
    assert web.delete(f"/dicom-web/workitems/{ALL}/subscribers/LOCKED").status_code == 200
    create(web, "1.4")
    change(web, "IN PROGRESS", uid="1.3")
    assert locked.new() == []
    assert web.delete(f"/dicom-web/workitems/{ALL}/subscribers/LOCKED").status_code == 404


def test_a_filtered_subscription_is_to_what_matches(web: FlaskClient, archive: Archive) -> None:
    reports, more = Reports(archive), Reports(archive, "MORE")
    create(web, "1.1")
    create(web, "1.2", **{"00741202": text("LO", "MR work")})
    subscribe(web, FILTERED, query="?filter=WorklistLabel=CT*,00741200=HIGH&deletionlock=true")
    subscribe(web, FILTERED, "MORE", "?WorklistLabel=MR*")
    assert reports.new() == [("1.1", 1, "SCHEDULED")]
    create(web, "1.3")
    create(web, "1.4", **{"00741202": text("LO", "MR work")})
    create(web, "1.5", **{"00741200": text("CS", "LOW")})
    change(web, "IN PROGRESS", uid="1.2")
    assert reports.new() == [("1.3", 1, "SCHEDULED")]
    assert more.new() == [("1.4", 1, "SCHEDULED"), ("1.2", 1, "IN PROGRESS")]
    assert web.post(f"/dicom-web/workitems/{ALL}/subscribers/ME/suspend").status_code == 404
    assert web.post(f"/dicom-web/workitems/{FILTERED}/subscribers/ME/suspend").status_code == 200
    create(web, "1.6")
    assert reports.new() == []


def test_what_cannot_be_subscribed_to(web: FlaskClient, archive: Archive) -> None:
    create(web)
    subscribe(web, "1.2.99", status=404)
    subscribe(web, "x", status=400)
    subscribe(web, UID, query="?deletionlock=perhaps", status=400)
    subscribe(web, UID, "A" * 17, status=400)
    subscribe(web, UID, "A%5CB", status=400)
    subscribe(web, FILTERED, status=400)
    subscribe(web, ALL, query="?filter=WorklistLabel=CT", status=400)
    subscribe(web, FILTERED, query="?filter=Nonsense=CT", status=400)
    subscribe(web, FILTERED, query="?filter=CT", status=400)
    assert web.post(f"/dicom-web/workitems/{UID}/subscribers/ME/suspend").status_code == 400
    silent = app_over(archive).test_client()
    subscribe(silent, UID, status=403)


def test_a_lock_is_set_and_lifted_by_subscribing_again(web: FlaskClient, archive: Archive) -> None:
    create(web)
    for query, locked in (("", 0), ("?deletionlock=true", 1), ("?deletionlock=false", 0)):
        subscribe(web, UID, query=query)
        rows = archive.database.execute_sql("SELECT locked FROM workitem_subscription").fetchall()
        assert rows == [(locked,)]


def test_the_answer_names_the_address_that_clients_can_reach(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, "a-token-for-automation")
    ours = {"Authorization": "Bearer a-token-for-automation"}
    proxied = {"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Proto": "https"}
    for http, headers, expected in (
        (Http(events_port=9), {"Host": "node.example.org:8080"}, "ws://node.example.org:9/dicom-web"),
        (Http(events_port=9), {"Host": "[::1]:8080"}, "ws://[::1]:9/dicom-web"),
        (Http(public_url="https://lethe.example.org/x"), {}, "wss://lethe.example.org/x/dicom-web"),
        (Http(trusted_proxies=("127.0.0.1",)), proxied, "wss://pacs.example.org/dicom-web"),
        (Http(events_port=0), {}, ""),
    ):
        web = build_app(Config(http=http, folder=archive.folder), archive).test_client()
        answer = web.post(f"/dicom-web/workitems/{ALL}/subscribers/MY%20AE", headers=ours | headers)
        location = f"{expected}/ws/subscribers/MY%20AE" if expected else None
        assert (answer.status_code, answer.headers.get("Content-Location")) == (201 if expected else 403, location)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    extra = "[projects.default]\ncomplete_after = 1\n"
    node = Node(tmp_path_factory.mktemp("ups") / "node", extra, events=True).start()
    yield node
    node.stop()


def ask(node: Node, method: str, path: str, body: object = None) -> requests.Response:
    headers = {**node.headers, "Content-Type": JSON}
    return requests.request(method, f"{node.url}/dicom-web{path}", json=body, headers=headers, timeout=60)


def channel(node: Node, title: str, resource: str = ALL) -> ClientConnection:
    answer = ask(node, "POST", f"/workitems/{resource}/subscribers/{title}")
    assert answer.status_code == 201
    address = answer.headers["Content-Location"]
    assert address == f"ws://127.0.0.1:{node.events}/dicom-web/ws/subscribers/{title}"
    return open_channel(node, title)


def open_channel(node: Node, title: str) -> ClientConnection:
    deadline = time.monotonic() + 60
    address = f"ws://127.0.0.1:{node.events}/dicom-web/ws/subscribers/{title}"
    while True:
        try:
            return connect(address, additional_headers=node.headers, open_timeout=60)
        except OSError:  # the part is being started
            assert time.monotonic() < deadline
            time.sleep(0.1)


def next_said(connection: ClientConnection) -> tuple[str, int, str]:
    while True:
        report = said(json.loads(connection.recv(timeout=60)))
        if report[1] != 4:
            return report


def test_channels_bring_what_any_process_writes(node: Node) -> None:
    with channel(node, "LIVE") as one, channel(node, "LIVE") as two:
        uids = [f"1.5.{number}" for number in range(8)]
        for uid in uids:  # answered by two processes, as it comes
            assert ask(node, "POST", f"/workitems?{uid}", workitem()).status_code == 201
        for connection in (one, two):
            assert [next_said(connection) for _ in uids] == [(uid, 1, "SCHEDULED") for uid in uids]


def test_of_many_who_claim_a_workitem_one_gets_it(node: Node) -> None:
    ask(node, "POST", "/workitems?1.6.1", workitem())

    def claim(number: int) -> int:
        body = {"00741000": text("CS", "IN PROGRESS"), "00081195": text("UI", f"2.25.{number}")}
        return ask(node, "PUT", "/workitems/1.6.1/state", body).status_code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(claim, range(1, 9))) == [200, *[400] * 7]


def test_subscriptions_and_reports_survive_when_the_part_that_sends_them_is_killed(node: Node) -> None:
    with channel(node, "AWAY") as connection:
        ask(node, "POST", "/workitems?1.7.1", workitem())
        assert next_said(connection) == ("1.7.1", 1, "SCHEDULED")
    ask(node, "POST", "/workitems?1.7.2", workitem())  # while nobody listens
    (part,) = node.children("events")
    os.kill(part, signal.SIGKILL)
    wait_for(lambda: node.children("events") not in ([], [part]) and listens(node.events), what="it is started again")
    ask(node, "POST", "/workitems?1.7.3", workitem())
    with open_channel(node, "AWAY") as connection:
        seen: list[tuple[str, int, str]] = []
        while not seen or seen[-1][0] != "1.7.3":
            seen.append(said(json.loads(connection.recv(timeout=60))))
    # What had been sent, but not surely read, may come again.
    assert [one for one in seen if one[0] != "1.7.1"] == [
        ("1.7.2", 1, "SCHEDULED"),
        (ALL, 4, ""),
        ("1.7.3", 1, "SCHEDULED"),
    ]


def test_a_port_that_another_holds_is_said_once(
    archive: Archive, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lethe.node.eventserver._TRY_AGAIN", 0.01)
    tries: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            tries.append(timeout or 0)
            if len(tries) == 3:
                self.set()
            return super().wait(timeout)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config(http=Http(events_port=taken.getsockname()[1]))
        serve_events(config, archive, Stopping())
    assert tries == [0.01] * 3
    assert [record.getMessage().endswith("trying until it can") for record in caplog.records] == [True]


def test_a_channel_is_opened_only_for_those_who_may(node: Node) -> None:
    address = f"ws://127.0.0.1:{node.events}/dicom-web/ws/subscribers/DOOR"
    good = node.headers
    password = node.log.read_text().partition("one-time password ")[2].split()[0]
    once = base64.b64encode(f"admin:{password}".encode()).decode()
    for headers, path, status in (
        ({}, "", 401),
        ({"Authorization": "Bearer wrong"}, "", 401),
        ({"Authorization": "Basic YTpi"}, "", 401),
        ({"Authorization": "Basic %"}, "", 401),
        ({"Authorization": f"Basic {once}"}, "", 403),  # it has to be changed first
        (good | {"Origin": "https://elsewhere.test"}, "", 403),
        (good, "/more", 404),
    ):
        with pytest.raises(InvalidStatus) as refused:
            connect(address + path, additional_headers=headers, open_timeout=60)
        assert refused.value.response.status_code == status
        assert ("WWW-Authenticate" in refused.value.response.headers) == (status == 401)
    connect(address, additional_headers=good | {"Origin": node.url}, open_timeout=60).close()
    assert requests.get(address.replace("ws:", "http:"), headers=good, timeout=60).status_code == 426


def test_whoever_follows_the_worklist_sees_studies_become_clean(node: Node, tmp_path: Path) -> None:
    with channel(node, "DEID") as connection:
        paths = series(tmp_path / "ct", 3)
        sent = node.lethe("send", *map(str, paths), "--to", f"LETHE@127.0.0.1:{node.dicom}")
        assert sent.returncode == 0, sent.stdout
        seen: list[tuple[str, int, str]] = []
        while not seen or seen[-1][2] != "COMPLETED":
            seen.append(next_said(connection))
    assert [state for _, kind, state in seen if kind == 1] == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
    (item,) = ask(node, "GET", f"/workitems/{seen[0][0]}").json()
    (study,) = ask(node, "GET", "/studies").json()
    assert item["0020000D"]["Value"] == study["0020000D"]["Value"]
    assert item["00741002"]["Value"][0]["00741006"]["Value"] == ["3 of 3 objects are clean."]


def test_who_follows_hears_that_the_service_stops_and_that_it_is_back(node: Node) -> None:
    def status(connection: ClientConnection) -> str:
        while True:
            report = json.loads(connection.recv(timeout=60))
            if said(report)[1] == 4:
                return str(report["00741242"]["Value"][0])

    with channel(node, "END") as connection:
        ask(node, "POST", "/workitems?1.8.1", workitem())
        assert next_said(connection) == ("1.8.1", 1, "SCHEDULED")
        node.process.send_signal(signal.SIGTERM)
        assert status(connection) == "GOING DOWN"
    assert node.stop() == 0
    node.start()
    with open_channel(node, "END") as connection:
        heard = status(connection)
        assert (status(connection) if heard == "GOING DOWN" else heard) == "RESTARTED"


def test_nothing_of_a_workitem_is_in_the_log(node: Node) -> None:
    assert "Roe" not in node.log.read_text()
    assert "1.7.2" not in node.log.read_text()
