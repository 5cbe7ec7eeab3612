"""Pages of other origins: those that are configured may use DICOMweb and FHIR, with a token and never with a cookie."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint
from flask.testing import FlaskClient
from test_web_door import BEARER, PASSWORD, build, log_in, probe

from lethe.storage.archive import Archive

pytestmark = pytest.mark.usefixtures("quick_passwords")

VIEWER = "https://ohif.example.org"
FROM_VIEWER = {"Origin": VIEWER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
ASKS = FROM_VIEWER | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


def served(archive: Archive, **changes: Any) -> FlaskClient:
    blueprints = [(probe(), "/dicom-web"), (Blueprint("fhir", __name__), "/fhir/R4")]
    return build(archive, blueprints=blueprints, **{"cors_origins": [VIEWER], **changes}).test_client()


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    return served(archive)


def listed(text: str) -> set[str]:
    return set(text.replace(" ", "").split(","))


@pytest.mark.parametrize("path", ["/dicom-web/open", "/dicom-web/no/such", "/fhir/R4/Patient", "/wado"])
def test_a_browser_that_asks_first_needs_no_credentials(web: FlaskClient, path: str) -> None:
    answer = web.options(path, headers=ASKS)
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Access-Control-Allow-Origin"] == VIEWER
    assert {"GET", "POST", "DELETE"} <= listed(answer.headers["Access-Control-Allow-Methods"])
    wanted = {"Accept", "Content-Type", "Authorization", "If-None-Match", "If-Modified-Since", "X-Request-Id", "Range"}
    assert wanted <= listed(answer.headers["Access-Control-Allow-Headers"])
    assert {"Origin", "Access-Control-Request-Method"} <= listed(answer.headers["Vary"])
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/dicom-web/open", {"Origin": "https://evil.example"}),
        ("/dicom-web/open", {"Origin": f"{VIEWER}.evil.example"}),
        ("/dicom-web/open", {"Origin": "null"}),
        ("/dicom-webs", {}),
        ("/api/v1/status", {}),
        ("/login", {}),
        ("/", {}),
    ],
)
def test_others_and_other_addresses_are_told_nothing(web: FlaskClient, path: str, changes: dict[str, str]) -> None:
    answer = web.options(path, headers=ASKS | changes)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    answer = web.get(path, headers=FROM_VIEWER | changes | BEARER)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_options_without_that_question_is_a_request_like_others(web: FlaskClient) -> None:
    assert web.options("/dicom-web/open", headers=FROM_VIEWER).status_code == 401
    answer = web.options("/dicom-web/open", headers=FROM_VIEWER | BEARER)
    assert answer.status_code == 200
    assert {"GET", "POST"} <= listed(answer.headers["Allow"])


def test_answers_and_failures_can_be_read_by_the_page(web: FlaskClient) -> None:
    statuses = {
        "/dicom-web/open": 200,
        "/dicom-web/broken": 500,
        "/dicom-web/forgotten": 403,
        "/dicom-web/no/such": 404,
    }
    for path, status in statuses.items():
        answer = web.get(path, headers=FROM_VIEWER | BEARER)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == VIEWER
        shown = {"Warning", "ETag", "Content-Location", "WWW-Authenticate", "Content-Range"}
        assert shown <= listed(answer.headers["Access-Control-Expose-Headers"])
        assert "Origin" in listed(answer.headers["Vary"])
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    answer = web.get("/dicom-web/open", headers=FROM_VIEWER)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Access-Control-Allow-Origin"] == VIEWER
    assert web.put("/dicom-web/open", headers=FROM_VIEWER | BEARER).headers["Access-Control-Allow-Origin"] == VIEWER


def test_an_image_in_a_page_of_that_origin_may_be_shown(web: FlaskClient) -> None:
    for page, policy in {f"{VIEWER}/viewer?x": "cross-origin", "https://evil.example/": "same-origin"}.items():
        answer = web.get("/dicom-web/open", headers=BEARER | {"Referer": page})
        assert answer.headers["Cross-Origin-Resource-Policy"] == policy
        assert "Origin" in listed(answer.headers["Vary"])


def test_a_page_may_change_something_with_a_token_alone(web: FlaskClient, archive: Archive) -> None:
    assert web.post("/dicom-web/open", headers=FROM_VIEWER | BEARER).text == "inside"
    archive.users.first_administrator()
    archive.users.change_password("admin", PASSWORD)
    log_in(web)
    assert web.post("/dicom-web/open").text == "inside"
    assert web.post("/dicom-web/open", headers=FROM_VIEWER).status_code == 403
    as_admin = web.post("/dicom-web/open", headers=FROM_VIEWER, auth=("admin", PASSWORD))
    assert as_admin.status_code == 403
    guessed = FROM_VIEWER | {"Authorization": "Bearer guess"}
    assert web.post("/dicom-web/open", headers=guessed).status_code == 401
    assert web.post("/api/v1/jobs/1/release", headers=FROM_VIEWER | BEARER).status_code == 403
    other = FROM_VIEWER | {"Origin": "https://evil.example"}
    assert web.post("/dicom-web/open", headers=other | BEARER).status_code == 403


def test_without_accounts_other_origins_only_read(archive: Archive) -> None:
    web = served(archive, auth="none", admin_token="")
    assert web.get("/dicom-web/open", headers=FROM_VIEWER).status_code == 200
    assert web.post("/dicom-web/open", headers=FROM_VIEWER | BEARER).status_code == 403


def test_every_origin_means_every_one(archive: Archive) -> None:
    web = served(archive, cors_origins=["*"])
    answer = web.get("/dicom-web/open", headers=FROM_VIEWER | BEARER)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert web.options("/dicom-web/open", headers=ASKS | {"Origin": "https://a.example"}).status_code == 204


def test_none_is_the_default(archive: Archive) -> None:
    web = served(archive, cors_origins=[])
    assert web.options("/dicom-web/open", headers=ASKS).status_code == 401
    answer = web.get("/dicom-web/open", headers=FROM_VIEWER | BEARER)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
