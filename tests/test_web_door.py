"""The door: nobody passes it without saying who he is, and it is hard to guess."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient

from lethe.node.config import Config
from lethe.node.outbox import Outbox
from lethe.node.web import credentials as credentials_module
from lethe.node.web.app import create_app, root_url
from lethe.node.web.credentials import Credentials, Unknown
from lethe.node.web.guard import is_loopback, local_path
from lethe.node.web.throttle import Throttle, TooManyAttempts
from lethe.storage.archive import Archive
from lethe.storage.users import Permission, needs

pytestmark = pytest.mark.usefixtures("quick_passwords")

TOKEN = "a-token-for-automation"
PASSWORD = "four quiet river stones"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def probe() -> Blueprint:
    """Views as another package might bring them: one that states what it needs, one that forgot, one that fails."""
    pages = Blueprint("probe", __name__)

    @pages.route("/open", methods=["GET", "POST"])
    @needs(Permission.READ)
    def stated() -> str:
        return "inside"

    @pages.get("/forgotten")
    def forgotten() -> str:
        return "must never be seen"

    @pages.get("/broken")
    @needs(Permission.READ)
    def broken() -> str:
        raise ValueError("DOE^JOHN")

    @pages.get("/root")
    @needs(Permission.READ)
    def root() -> str:
        return root_url("")

    return pages


def build(archive: Archive, **changes: Any) -> Flask:
    settings: dict[str, Any] = {
        "auth": "local",
        "admin_token": TOKEN,
        "blueprints": [(probe(), "/probe"), (Blueprint("fhir", __name__), "/fhir/R4")],
        "outbox": Outbox(archive, Config()),
        "instance_path": archive.folder,
    }
    return create_app(archive, **{**settings, **changes})


@pytest.fixture
def app(archive: Archive) -> Flask:
    return build(archive)


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin(archive: Archive) -> str:
    """The administrator with a password of his own."""
    archive.users.first_administrator()
    return archive.users.change_password("admin", PASSWORD).name


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def log_in(web: FlaskClient, password: str = PASSWORD, name: str = "admin", **more: str) -> Any:
    return web.post("/login", data={"name": name, "password": password, **more})


def actions(archive: Archive) -> list[str]:
    return [f"{entry.action} {entry.actor}" for entry in archive.audit.entries()]


class TestEveryRoute:
    def test_states_what_it_needs(self, archive: Archive) -> None:
        app = build(archive, blueprints=[])
        silent = [
            rule.rule
            for rule in app.url_map.iter_rules()
            if not isinstance(getattr(app.view_functions[rule.endpoint], "permission", None), Permission)
        ]
        assert silent == []

    def test_is_shut_to_strangers_unless_anyone_may_come(self, app: Flask, web: FlaskClient) -> None:
        for rule in app.url_map.iter_rules():
            view: Any = app.view_functions[rule.endpoint]
            path = rule.rule.replace("<uid>", "1.2").replace("<path:filename>", "lethe.css")
            path = re.sub(r"<int[^>]*>", "1", path)
            method = "POST" if "POST" in (rule.methods or ()) else "GET"
            status = web.open(path, method=method).status_code
            if getattr(view, "permission", None) == Permission.ANYONE:
                assert status in (200, 401 if path == "/login" else 200), path
            else:
                assert status in (401, 403), path

    def test_that_forgot_to_is_closed_to_everybody(self, web: FlaskClient) -> None:
        assert web.get("/probe/forgotten").status_code == 403
        assert web.get("/probe/forgotten", headers=BEARER).status_code == 403

    def test_that_does_not_exist_looks_like_the_others_from_outside(self, web: FlaskClient) -> None:
        assert web.get("/no/such/page").status_code == 401
        assert web.get("/no/such/page", headers=BEARER).status_code == 404


class TestNobody:
    def test_in_a_browser_is_sent_to_the_login(self, web: FlaskClient) -> None:
        answer = web.get("/studies/1.2.3?page=2", headers=HTML)
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/login?next=/studies/1.2.3?page%3D2"

    def test_as_a_program_is_told_how_to_say_who_he_is(self, web: FlaskClient) -> None:
        answer = web.get("/api/v1/status")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer, Basic realm="Lethe"'
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json()["status"] == 401

    def test_gets_an_operation_outcome_under_fhir(self, web: FlaskClient) -> None:
        answer = web.get("/fhir/R4/ImagingStudy")
        assert (answer.status_code, answer.mimetype) == (401, "application/fhir+json")
        assert answer.get_json()["issue"][0]["code"] == "login"

    def test_as_a_page_in_the_background_gets_no_dialog_of_the_browser(self, web: FlaskClient) -> None:
        answer = web.get("/", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


class TestToken:
    def test_lets_in(self, web: FlaskClient) -> None:
        assert web.get("/probe/open", headers=BEARER).text == "inside"

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ö"])
    def test_that_is_wrong_does_not(self, web: FlaskClient, token: str) -> None:
        assert web.get("/probe/open", headers={"Authorization": f"Bearer {token}"}).status_code == 401

    @pytest.mark.parametrize("unset", ["", "  "])
    def test_that_is_not_set_matches_nothing(self, archive: Archive, unset: str) -> None:
        web = build(archive, admin_token=unset).test_client()
        for given in ("", " ", "None"):
            assert web.get("/probe/open", headers={"Authorization": f"Bearer {given}"}).status_code == 401

    def test_guessing_does_not_fill_the_audit_trail(self, web: FlaskClient, archive: Archive) -> None:
        for _ in range(40):
            web.get("/probe/open", headers={"Authorization": "Bearer guess"})
        assert 1 <= actions(archive).count("login-refused unknown@127.0.0.1") <= 21
        assert web.get("/probe/open", headers=BEARER).status_code == 200


class TestBasic:
    def test_lets_in_and_is_verified_once(
        self, web: FlaskClient, admin: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert web.get("/probe/open", headers=basic(admin, PASSWORD)).text == "inside"
        monkeypatch.setattr(archive.users, "authenticate", lambda *_: pytest.fail("verified again"))
        assert web.get("/probe/open", headers=basic(admin, PASSWORD)).text == "inside"
        assert actions(archive).count("login admin@127.0.0.1") == 1

    def test_that_is_wrong_is_refused_and_audited(self, web: FlaskClient, admin: str, archive: Archive) -> None:
        assert web.get("/probe/open", headers=basic(admin, "wrong")).status_code == 401
        assert web.get("/probe/open", headers=basic("secret typed as name", "x")).status_code == 401
        assert actions(archive) == ["login-refused admin@127.0.0.1", "login-refused unknown@127.0.0.1"]

    def test_ends_with_the_password(self, web: FlaskClient, admin: str, archive: Archive) -> None:
        assert web.get("/probe/open", headers=basic(admin, PASSWORD)).status_code == 200
        archive.users.change_password(admin, "another long password")
        assert web.get("/probe/open", headers=basic(admin, PASSWORD)).status_code == 401

    def test_with_a_one_time_password_is_told_to_change_it(self, web: FlaskClient, archive: Archive) -> None:
        once = archive.users.first_administrator() or ""
        answer = web.get("/probe/open", headers=basic("admin", once))
        assert answer.status_code == 403
        assert "one-time password" in answer.get_json()["detail"]

    def test_is_forgotten_after_a_while(self, archive: Archive, admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        known = Credentials(archive, "", b"key", clock=lambda: now[0])
        known.by_basic(admin, PASSWORD, "")
        now[0] += 1000
        monkeypatch.setattr(archive.users, "authenticate", lambda *_: None)
        with pytest.raises(Unknown):
            known.by_basic(admin, PASSWORD, "")

    def test_remembers_a_bounded_number(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(credentials_module, "_MOST_REMEMBERED", 2)
        known = Credentials(archive, "", b"key")
        user = archive.users.first_administrator() and archive.users.get("admin")
        monkeypatch.setattr(archive.users, "authenticate", lambda *_: user)
        for password in "abc":
            known.by_basic("admin", password, "")
        assert len(known._verified) == 2


class TestLogin:
    def test_opens_a_session_that_scripts_and_other_sites_cannot_use(self, web: FlaskClient, admin: str) -> None:
        answer = log_in(web, next="/studies/1.2")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/1.2")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
        assert web.get("/probe/open").text == "inside"
        assert web.get("/login").status_code == 303

    def test_over_https_the_cookie_is_secure(self, web: FlaskClient, admin: str, archive: Archive) -> None:
        answer = web.post("/login", data={"name": admin, "password": PASSWORD}, base_url="https://localhost")
        assert "Secure" in answer.headers["Set-Cookie"]
        proxied = build(archive, public_url="https://lethe.example.org").test_client()
        assert "Secure" in log_in(proxied).headers["Set-Cookie"]

    def test_is_audited(self, web: FlaskClient, admin: str, archive: Archive) -> None:
        log_in(web, "wrong")
        log_in(web)
        assert actions(archive) == ["login-refused admin@127.0.0.1", "login admin@127.0.0.1"]

    def test_repeats_nothing_of_what_was_typed(self, web: FlaskClient, admin: str) -> None:
        answer = log_in(web, "hunter2hunter2", name="<script>x</script>")
        assert answer.status_code == 401
        assert "hunter2" not in answer.text and "script>x" not in answer.text

    @pytest.mark.parametrize(
        "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\e", "evil", "/a\nb", "///e"]
    )
    def test_sends_nobody_to_another_site(self, web: FlaskClient, admin: str, elsewhere: str) -> None:
        assert log_in(web, next=elsewhere).headers["Location"] == "/"
        assert local_path(elsewhere) == "/"

    def test_slows_down_who_fails(self, web: FlaskClient, admin: str) -> None:
        statuses = [log_in(web, "wrong").status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 401, 429]
        answer = log_in(web)
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
        assert "wait" in answer.text
        assert web.get("/probe/open", headers=basic(admin, PASSWORD)).status_code == 429

    def test_leaving_ends_it(self, web: FlaskClient, admin: str) -> None:
        log_in(web)
        assert web.post("/logout").status_code == 303
        assert web.get("/probe/open").status_code == 401

    def test_a_forged_session_is_none(self, app: Flask, web: FlaskClient, admin: str) -> None:
        with web.session_transaction() as session:
            session["name"], session["seal"] = "admin", "0" * 64
        assert web.get("/probe/open").status_code == 401
        web.set_cookie("lethe", "eyJuYW1lIjoiYWRtaW4ifQ.forged.forged")
        assert web.get("/probe/open").status_code == 401


class TestPassword:
    def test_for_one_time_lets_in_only_to_change_it(self, web: FlaskClient, archive: Archive) -> None:
        once = archive.users.first_administrator() or ""
        assert log_in(web, once).headers["Location"] == "/password"
        assert web.get("/", headers=HTML).headers["Location"] == "/password"
        assert web.get("/api/v1/status").status_code == 403
        assert web.post("/probe/open").status_code == 403
        assert "Choose your password" in web.get("/password").text
        assert web.post("/password", data={"new": PASSWORD, "again": PASSWORD}).headers["Location"] == "/"
        assert web.get("/probe/open").text == "inside"
        assert actions(archive)[-1] == "password-changed admin@127.0.0.1"

    @pytest.mark.parametrize(
        ("new", "again", "says"),
        [("short", "short", "at least 12"), (PASSWORD, PASSWORD + "x", "differ"), ("once", "once", "is the old one")],
    )
    def test_must_be_a_good_new_one(self, web: FlaskClient, archive: Archive, new: str, again: str, says: str) -> None:
        once = archive.users.first_administrator() or ""
        log_in(web, once)
        given = {key: once if value == "once" else value for key, value in (("new", new), ("again", again))}
        answer = web.post("/password", data=given)
        assert answer.status_code == 400 and says in answer.text
        assert archive.users.get("admin").must_change

    def test_is_changed_only_by_who_knows_the_present_one(self, web: FlaskClient, admin: str) -> None:
        log_in(web)
        new = {"new": "a wholly new password", "again": "a wholly new password"}
        assert web.post("/password", data={**new, "current": "wrong"}).status_code == 401
        assert web.post("/password", data={**new, "current": PASSWORD}).status_code == 303

    def test_change_ends_all_other_sessions(self, app: Flask, web: FlaskClient, admin: str) -> None:
        other = app.test_client()
        log_in(web)
        log_in(other)
        new = "a wholly new password"
        web.post("/password", data={"current": PASSWORD, "new": new, "again": new})
        assert web.get("/probe/open").status_code == 200
        assert other.get("/probe/open").status_code == 401

    def test_is_not_changed_by_the_token(self, web: FlaskClient, admin: str) -> None:
        assert web.post("/password", data={"new": PASSWORD, "again": PASSWORD}, headers=BEARER).status_code == 403


class TestOtherSites:
    @pytest.mark.parametrize(
        "sent",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:1"},
        ],
    )
    def test_cannot_change_anything(self, web: FlaskClient, admin: str, sent: dict[str, str]) -> None:
        log_in(web)
        assert web.post("/probe/open", headers=sent).status_code == 403
        assert web.post("/probe/open", headers={**sent, **BEARER}).status_code == 403
        assert web.post("/login", headers=sent, data={"name": "admin", "password": PASSWORD}).status_code == 403
        assert web.post("/logout", headers=sent).status_code == 403

    @pytest.mark.parametrize(
        "sent", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}]
    )
    def test_our_own_pages_and_programs_can(self, web: FlaskClient, admin: str, sent: dict[str, str]) -> None:
        log_in(web)
        assert web.post("/probe/open", headers=sent).text == "inside"

    def test_the_public_url_is_our_own(self, archive: Archive) -> None:
        web = build(archive, public_url="https://lethe.example.org/node").test_client()
        sent = {"Origin": "https://lethe.example.org", **BEARER}
        assert web.post("/probe/open", headers=sent).text == "inside"


class TestWithoutAccounts:
    @pytest.fixture
    def web(self, archive: Archive) -> FlaskClient:
        return build(archive, auth="none", admin_token="").test_client()

    def test_everyone_here_is_the_administrator(self, web: FlaskClient) -> None:
        assert web.get("/probe/open").text == "inside"
        assert web.get("/login").headers["Location"] == "/"
        assert log_in(web).headers["Location"] == "/"
        assert web.get("/password").status_code == 404

    @pytest.mark.parametrize("address", ["192.0.2.1", "::2", "", "::ffff:192.0.2.1"])
    def test_nobody_elsewhere_is_served(self, web: FlaskClient, address: str) -> None:
        answer = web.get("/probe/open", environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == 403
        assert web.get("/healthz", environ_base={"REMOTE_ADDR": address}).status_code == 403

    def test_nobody_behind_a_proxy_is_served(self, web: FlaskClient) -> None:
        assert web.get("/probe/open", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403

    def test_no_page_of_another_host_name_is_served(self, web: FlaskClient) -> None:
        assert web.get("/probe/open", headers={"Host": "rebound.evil.example"}).status_code == 403
        for host in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080"):
            assert web.get("/probe/open", headers={"Host": host}).status_code == 200

    def test_a_route_that_forgot_is_still_closed(self, web: FlaskClient) -> None:
        assert web.get("/probe/forgotten").status_code == 403

    def test_other_sites_cannot_change_anything(self, web: FlaskClient) -> None:
        assert web.post("/probe/open", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


class TestThrottle:
    def test_waits_double_up_to_a_limit_and_are_forgotten(self) -> None:
        now = [0.0]
        throttle, waits = Throttle(free=2, clock=lambda: now[0]), []
        for _ in range(14):
            throttle.enter("key")
            waits.append(throttle.wait("key"))
            now[0] += waits[-1]
        assert waits[:6] == [0, 1, 2, 4, 8, 16]
        assert waits[-1] == 300
        now[0] += 4000
        throttle.enter("key")
        assert throttle.wait("key") == 0

    def test_counts_attempts_made_at_once(self) -> None:
        throttle = Throttle(free=1, clock=lambda: 0.0)
        throttle.enter("key")
        with pytest.raises(TooManyAttempts):
            throttle.enter("key")
        throttle.enter("another")

    def test_forgives_what_was_right(self) -> None:
        throttle = Throttle(free=2, clock=lambda: 0.0)
        for _ in range(9):
            throttle.enter("key")
            throttle.forgive("key")

    def test_is_bounded(self) -> None:
        throttle = Throttle(free=1, clock=lambda: 0.0, most=3)
        for number in range(10):
            throttle.enter(str(number))
        assert len(throttle._records) == 3


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_loopback(address: str, here: bool) -> None:
    assert is_loopback(address) is here
