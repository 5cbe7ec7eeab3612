"""Failures, headers, health: what is said when something is wrong, and that it gives nothing away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort
from flask.testing import FlaskClient

from lethe.node.config import Config
from lethe.node.outbox import Outbox
from lethe.node.web import health
from lethe.node.web.app import create_app, root_url
from lethe.storage.archive import Archive
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.users import Permission, needs

HTML = {"Accept": "text/html,*/*;q=0.8"}
CANARY = "DOE^JOHN"


def failing() -> Blueprint:
    pages = Blueprint("failing", __name__)
    errors: dict[str, Exception] = {
        "absent": NotFound("there is no such study"),
        "refused": Refused("job 1 is running"),
        "later": Unavailable("the disk is full"),
        "broken": ValueError(f"could not read {CANARY}"),
    }

    @pages.get("/<kind>")
    @needs(Permission.READ)
    def fail(kind: str) -> str:
        if kind in errors:
            raise errors[kind]
        abort(int(kind), description=f"no {CANARY}")

    return pages


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """One for all: no test here leaves a trace in it."""
    archive = Archive(tmp_path_factory.mktemp("faults") / "data")
    yield archive
    archive.close()


def build(archive: Archive, **changes: Any) -> Flask:
    settings: dict[str, Any] = {
        "auth": "none",
        "admin_token": "",
        "blueprints": [(failing(), "/fail")],
        "outbox": Outbox(archive, Config()),
        "instance_path": archive.folder,
    }
    return create_app(archive, **{**settings, **changes})


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    return build(archive).test_client()


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "status", "says"),
        [
            ("absent", 404, "There is no such study."),
            ("refused", 409, "Job 1 is running."),
            ("later", 503, "The disk is full."),
            ("400", 400, "cannot be understood"),
            ("418", 418, "did not work"),
            ("broken", 500, "incident"),
        ],
    )
    def test_are_problem_details_or_a_page(self, web: FlaskClient, kind: str, status: int, says: str) -> None:
        problem, page = web.get(f"/fail/{kind}"), web.get(f"/fail/{kind}", headers=HTML)
        assert (problem.status_code, problem.mimetype) == (status, "application/problem+json")
        assert says in problem.get_json()["detail"]
        assert (page.status_code, page.mimetype) == (status, "text/html")
        assert says in page.text

    def test_later_says_when(self, web: FlaskClient) -> None:
        assert web.get("/fail/later").headers["Retry-After"] == "10"

    @pytest.mark.parametrize(
        "path", ["/fail/broken", "/fail/400", f"/no/{CANARY}", f"/?q={CANARY}&x=<b>", f"/studies/{CANARY}"]
    )
    @pytest.mark.parametrize("headers", [HTML, {}])
    def test_repeat_nothing(self, web: FlaskClient, path: str, headers: dict[str, str]) -> None:
        answer = web.get(path, headers=headers)
        assert CANARY not in answer.text and "Traceback" not in answer.text and "<b>" not in answer.text

    def test_are_logged_without_values(self, web: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            answer = web.get(f"/fail/broken?name={CANARY}")
        assert CANARY not in caplog.text
        assert "ValueError" in caplog.text and "in fail" in caplog.text
        assert answer.get_json()["detail"].split()[-1].rstrip(".") in caplog.text

    def test_of_api_paths_are_json_even_for_a_browser(self, web: FlaskClient) -> None:
        assert web.get("/api/v1/nothing", headers=HTML).mimetype == "application/problem+json"
        assert web.get("/fhir/R4/nothing", headers=HTML).mimetype == "application/fhir+json"

    def test_a_wrong_method_says_which_are_right(self, web: FlaskClient) -> None:
        answer = web.delete("/healthz")
        assert answer.status_code == 405 and "GET" in answer.headers["Allow"]


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/login", "/api/v1/status", "/no/such/page", "/fail/broken"])
    def test_are_strict_on_every_page(self, web: FlaskClient, path: str) -> None:
        headers = web.get(path, headers=HTML).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"

    def test_static_files_are_kept_and_asked_for(self, web: FlaskClient) -> None:
        answer = web.get("/static/lethe.css")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert web.get("/static/lethe.css", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        assert web.get("/favicon.ico").mimetype == "image/svg+xml"
        assert web.get("/static/../app.py").status_code == 404

    def test_templates_need_nothing_the_policy_forbids(self) -> None:
        folder = Path(health.__file__).parent / "templates"
        for template in folder.glob("*.html"):
            text = template.read_text()
            assert "style=" not in text and "<style" not in text and " on" + "click" not in text, template.name
            assert "http://" not in text and "https://" not in text and "|safe" not in text, template.name
            assert text.count("<script") == text.count("<script src="), template.name


class TestHealth:
    def test_alive_and_ready(self, web: FlaskClient) -> None:
        assert web.get("/healthz").get_json() == {"status": "ok"}
        assert web.get("/readyz").get_json() == {"status": "ready"}

    def test_asks_nobody_who_he_is(self, archive: Archive) -> None:
        web = build(archive, auth="local").test_client()
        assert [web.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 401]

    def test_is_not_ready_without_its_folder(self, web: FlaskClient, archive: Archive) -> None:
        (archive.folder / "incoming").rename(archive.folder / "gone")
        answer = web.get("/readyz")
        (archive.folder / "gone").rename(archive.folder / "incoming")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "the data folder cannot be written to")

    def test_is_not_ready_without_its_database(
        self, web: FlaskClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(_: str) -> None:
            raise OSError(f"/secret/{CANARY}")

        monkeypatch.setattr(archive.database, "execute_sql", gone)
        answer = web.get("/readyz")
        assert answer.get_json() == {"status": "not ready", "reason": "the database does not answer"}
        assert web.get("/healthz").status_code == 200

    def test_is_not_ready_with_a_database_that_is_damaged(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path / "data")
        web = build(archive).test_client()
        archive.database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        (page,) = archive.database.execute_sql("SELECT rootpage FROM sqlite_master WHERE name = 'job_claim'").fetchone()
        archive.close()
        path = archive.folder / "lethe.db"
        content = bytearray(path.read_bytes())
        content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
        path.write_bytes(content)
        assert web.get("/readyz").get_json() == {"status": "not ready", "reason": "the database does not answer"}
        assert list(archive.verify()) == ["the database is damaged; nothing else was looked at"]

    def test_is_not_ready_on_a_full_disk(self, web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "free_bytes", lambda _: 1)
        assert web.get("/readyz").get_json()["reason"] == "the data folder is full"

    def test_metrics_are_the_counts(self, web: FlaskClient, archive: Archive) -> None:
        answer = web.get("/metrics")
        assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
        values = dict(line.split() for line in answer.text.splitlines() if not line.startswith("#"))
        assert int(values.pop("lethe_disk_free_bytes")) > 0
        assert values == {f"lethe_{name}": str(count) for name, count in archive.counts().items()}


class TestRoot:
    def test_is_what_was_asked_for(self, archive: Archive) -> None:
        app = build(archive)
        with app.test_request_context("/", base_url="http://127.0.0.1:8080"):
            assert root_url("") == "http://127.0.0.1:8080"
            assert root_url("https://lethe.example.org/node/") == "https://lethe.example.org/node"

    @pytest.mark.parametrize("path", ["/node/login", "/login"])
    def test_may_have_a_path(self, archive: Archive, path: str) -> None:
        web = build(archive, auth="local", public_url="https://lethe.example.org/node").test_client()
        page = web.get(path)
        assert 'href="/node/static/lethe.css"' in page.text and 'action="/node/login"' in page.text
        assert web.get("/node/", headers=HTML).headers["Location"] == "/node/login"


def test_auth_is_one_of_two(archive: Archive) -> None:
    with pytest.raises(ValueError, match="local"):
        build(archive, auth="oidc")
