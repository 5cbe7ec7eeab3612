"""What the tests of UPS-RS share: workitems, and the requests of a client."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

UID, LOCK = "1.2.3.4", "2.25.77"
INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."
INCONSISTENT_UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
JSON, XML = "application/dicom+json", "application/dicom+xml"


def text(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(value: str) -> dict[str, object]:
    return {"00080100": text("SH", value), "00080102": text("SH", "99TEST"), "00080104": text("LO", value)}


def workitem(**more: dict[str, object]) -> dict[str, Any]:
    """One with all attributes that a client has to give (PS3.4 Table CC.2.5-3)."""
    empty = "00741210 00404025 00404026 00404027 00404034 00404018 00404021 00101002 00380014 00081084 0040A370".split()
    return {
        **{tag: text("SQ") for tag in (*empty, "00741002", "00741216")},
        "00400400": text("LT"),
        "00100010": text("PN", {"Alphabetic": "Roe^Jane"}),
        "00100020": text("LO", "P17"),
        "00100030": text("DA"),
        "00100040": text("CS"),
        "00380010": text("LO"),
        "00081080": text("LO"),
        "00741000": text("CS", "SCHEDULED"),
        "00741200": text("CS", "HIGH"),
        "00741202": text("LO", "CT work"),
        "00741204": text("LO", "Read it"),
        "00404005": text("DT", "20261129010000"),
        "00404041": text("CS", "READY"),
        **more,
    }


PERFORMED = text(
    "SQ",
    {
        "00404028": text("SQ", code("STATION")),
        "00404050": text("DT", "20261129010000"),
        "00404051": text("DT", "20261129011000"),
        "00404019": text("SQ", code("READING")),
        "00404033": text("SQ"),
    },
)


def post(web: FlaskClient, path: str, body: object) -> TestResponse:
    return web.post(f"/dicom-web{path}", json=body, headers={"Content-Type": JSON})


def create(web: FlaskClient, uid: str = UID, **more: dict[str, object]) -> TestResponse:
    return post(web, f"/workitems?{uid}", workitem(**more))


def change(web: FlaskClient, state: str, lock: str = LOCK, uid: str = UID) -> TestResponse:
    body = {"00741000": text("CS", state)} | ({"00081195": text("UI", lock)} if lock else {})
    return web.put(f"/dicom-web/workitems/{uid}/state", json=body, headers={"Content-Type": JSON})


def read(web: FlaskClient, uid: str = UID) -> dict[str, Any]:
    answer = web.get(f"/dicom-web/workitems/{uid}")
    assert answer.status_code == 200, answer.text
    (item,) = answer.get_json(force=True)
    return dict(item)


def state(web: FlaskClient, uid: str = UID) -> str:
    return str(read(web, uid)["00741000"]["Value"][0])


def warnings(answer: TestResponse) -> list[str]:
    return [one.removeprefix("299 http://node.test/dicom-web: ") for one in answer.headers.getlist("Warning")]
