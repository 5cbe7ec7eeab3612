"""UPS-RS over an archive: the transactions of PS3.18 11 with their statuses and warnings, by the rules of PS3.4 CC."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicomweb_archive import app_over, parts_of
from flask.testing import FlaskClient
from pydicom.dataset import Dataset
from ups_clients import (
    INCONSISTENT,
    INCONSISTENT_UPDATE,
    JSON,
    LOCK,
    PERFORMED,
    UID,
    XML,
    change,
    code,
    create,
    post,
    read,
    state,
    text,
    warnings,
    workitem,
)

from lethe.storage.archive import Archive


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    archive.database.pragma("synchronous", 0)
    return app_over(archive, events="ws://node.test/dicom-web").test_client()


def test_create_and_retrieve(web: FlaskClient) -> None:
    answer = create(web)
    assert (answer.status_code, answer.data, warnings(answer)) == (201, b"", [])
    assert answer.headers["Location"] == f"http://node.test/dicom-web/workitems/{UID}"
    assert answer.headers["Content-Location"] == answer.headers["Location"]
    item = read(web)
    assert item["00080018"]["Value"] == [UID]
    assert item["00080016"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]
    assert item["00404010"]["vr"] == "DT"
    assert item["00100010"]["Value"] == [{"Alphabetic": "Roe^Jane"}]
    assert create(web).status_code == 409


def test_the_uid_stands_in_the_address_or_in_the_workitem(web: FlaskClient) -> None:
    named = workitem() | {"00080018": text("UI", "1.2.9")}
    assert post(web, "/workitems", named).status_code == 201
    assert post(web, "/workitems?workitem=1.2.10", workitem()).status_code == 201
    assert post(web, "/workitems?1.2.11", named).status_code == 400
    assert post(web, "/workitems", workitem()).status_code == 400
    assert post(web, "/workitems?1.2.x", workitem()).status_code == 400
    assert {read(web, uid)["00080018"]["Value"][0] for uid in ("1.2.9", "1.2.10")} == {"1.2.9", "1.2.10"}


MALFORMED: list[tuple[str, dict[str, object] | None]] = [
    ("00741204", None),
    ("00741200", text("CS", "URGENT")),
    ("00741200", text("CS")),
    ("00404041", text("CS", "MAYBE")),
    ("00404005", text("DT", "tomorrow")),
    ("00741000", text("CS", "IN PROGRESS")),
    ("00081195", text("UI", LOCK)),
    ("00741002", text("SQ", {"00741004": text("DS", "10")})),
    ("00741216", PERFORMED),
    ("00100010", text("PN", 17)),
    ("00404034", text("SQ", "somebody")),
    ("00280010", text("US", "many")),
    ("00420011", {"vr": "OB", "BulkDataURI": "http://elsewhere.test/1"}),
    ("x", text("LO", "a")),
]


def test_a_workitem_without_what_it_needs_is_refused(web: FlaskClient) -> None:
    for tag, told in MALFORMED:
        given = workitem()
        given.pop(tag, None)
        answer = post(web, f"/workitems?{UID}", given | ({tag: told} if told else {}))
        assert answer.status_code == 400, tag
        assert "tomorrow" not in answer.text and "URGENT" not in answer.text
    assert web.get(f"/dicom-web/workitems/{UID}").status_code == 404


def test_what_may_be_empty_is_added_and_that_is_told(web: FlaskClient) -> None:
    given = workitem()
    for tag in ("00741202", "00741210", "00380010"):
        del given[tag]
    answer = post(web, f"/workitems?{UID}", [given])
    assert (answer.status_code, warnings(answer)) == (201, ["The Workitem was created with modifications."])
    assert read(web)["00741202"]["Value"] == ["Worklist"]
    assert read(web)["00741210"] == {"vr": "SQ"}


def test_xml_goes_in_and_comes_out(web: FlaskClient) -> None:
    create(web)
    accept = {"Accept": f'multipart/related; type="{XML}"'}
    answer = web.get(f"/dicom-web/workitems/{UID}", headers=accept)
    ((headers, document),) = parts_of(answer.data, answer.headers["Content-Type"])
    assert headers["Content-Type"] == XML
    again = document.replace(UID.encode(), b"1.2.5").replace(b"1.2.840.10008.5.1.4.34.6.1", b"")
    assert web.post("/dicom-web/workitems?1.2.5", data=again, headers={"Content-Type": XML}).status_code == 201
    assert read(web, "1.2.5")["00100010"] == read(web)["00100010"]
    boundary = answer.headers["Content-Type"].rpartition("boundary=")[2].encode()
    third = answer.data.replace(UID.encode(), b"1.2.6")
    assert boundary in third
    whole = web.post("/dicom-web/workitems?1.2.6", data=third, headers={"Content-Type": answer.headers["Content-Type"]})
    assert whole.status_code == 201
    assert web.get("/dicom-web/workitems", headers=accept).data.count(b"<NativeDicomModel") == 3
    assert web.get(f"/dicom-web/workitems/{UID}", headers={"Accept": "image/png"}).status_code == 406
    alone = web.get(f"/dicom-web/workitems/{UID}", headers={"Accept": f"{XML}, application/dicom+json;q=0.5"})
    assert (alone.data, alone.content_type) == (document, XML)
    assert alone.headers["Content-Location"].endswith(f"/workitems/{UID}")
    assert web.get("/dicom-web/workitems", headers={"Accept": XML}).status_code == 406


def test_other_formats_are_not_understood(web: FlaskClient) -> None:
    create(web)
    for kind in ("text/plain", "application/dicom", "", "multipart/related; type=application/dicom"):
        headers = {"Content-Type": kind}
        assert web.post("/dicom-web/workitems?1.2.5", data="{}", headers=headers).status_code == 415
        assert web.post(f"/dicom-web/workitems/{UID}", data="{}", headers=headers).status_code == 415
        assert web.put(f"/dicom-web/workitems/{UID}/state", data="{}", headers=headers).status_code == 415


def test_what_is_no_data_set_is_refused(web: FlaskClient) -> None:
    create(web)
    odd = ('{"00100010": 7}', '{"00100010": {"vr": "PN", "Value": 7}}', '{"00100010": {"vr": "PN", "Value": [[]]}}')
    for body in ("", "{", "[]", "[{},{}]", "7", *odd):
        for path in ("workitems?1.2.5", f"workitems/{UID}"):
            assert web.post(f"/dicom-web/{path}", data=body, headers={"Content-Type": JSON}).status_code == 400


def test_a_workitem_is_claimed_set_and_completed_by_its_transaction_uid(web: FlaskClient) -> None:
    create(web)
    answer = change(web, "IN PROGRESS")
    assert (answer.status_code, answer.data, warnings(answer)) == (200, b"", [])
    assert state(web) == "IN PROGRESS"
    assert LOCK not in web.get(f"/dicom-web/workitems/{UID}").text
    progress = {"00741002": text("SQ", {"00741004": text("DS", "30"), "00741006": text("ST", "half way")})}
    assert post(web, f"/workitems/{UID}?{LOCK}", progress).status_code == 200
    assert post(web, f"/workitems/{UID}?transaction-uid={LOCK}", progress).status_code == 200
    assert post(web, f"/workitems/{UID}", progress | {"00081195": text("UI", LOCK)}).status_code == 200
    assert read(web)["00741002"] == progress["00741002"]
    early = change(web, "COMPLETED")
    assert (early.status_code, warnings(early)) == (409, [INCONSISTENT])
    assert post(web, f"/workitems/{UID}?{LOCK}", {"00741216": PERFORMED}).status_code == 200
    assert change(web, "COMPLETED").status_code == 200
    again = change(web, "COMPLETED")
    assert (again.status_code, warnings(again)) == (200, ["The UPS is already in the requested state of COMPLETED."])
    late = post(web, f"/workitems/{UID}?{LOCK}", progress)
    assert (late.status_code, warnings(late)) == (400, [INCONSISTENT_UPDATE])
    assert warnings(change(web, "CANCELED")) == [INCONSISTENT]


def test_what_is_canceled_says_when_and_why(web: FlaskClient) -> None:
    create(web)
    change(web, "IN PROGRESS")
    assert change(web, "CANCELED").status_code == 200
    (progress,) = read(web)["00741002"]["Value"]
    assert progress["00404052"]["Value"]
    assert progress["0074100E"]["Value"][0]["00080100"]["Value"] == ["110513"]
    again = change(web, "CANCELED")
    assert (again.status_code, warnings(again)) == (200, ["The UPS is already in the requested state of CANCELED."])


def test_states_change_as_the_standard_says(web: FlaskClient) -> None:
    create(web)
    for wanted, lock, status, warning in (
        ("COMPLETED", LOCK, 409, INCONSISTENT),
        ("CANCELED", LOCK, 409, INCONSISTENT),
        ("SCHEDULED", LOCK, 400, INCONSISTENT),
        ("DONE", LOCK, 400, INCONSISTENT),
        ("IN PROGRESS", "", 400, "The Transaction UID is missing."),
        ("IN PROGRESS", "no uid", 400, "The Transaction UID is incorrect."),
        ("IN PROGRESS", LOCK, 200, None),
        ("IN PROGRESS", LOCK, 409, INCONSISTENT),
        ("IN PROGRESS", "1.2.99", 400, "The Transaction UID is incorrect."),
        ("COMPLETED", "1.2.99", 400, "The Transaction UID is incorrect."),
        ("CANCELED", "", 400, "The Transaction UID is missing."),
    ):
        answer = change(web, wanted, lock)
        assert (answer.status_code, warnings(answer)) == (status, [warning] if warning else []), (wanted, lock)
    assert state(web) == "IN PROGRESS"


def test_an_update_needs_the_transaction_uid_of_a_claimed_workitem(web: FlaskClient) -> None:
    create(web)
    label = {"00741204": text("LO", "Read it again")}
    assert post(web, f"/workitems/{UID}", label).status_code == 200
    early = post(web, f"/workitems/{UID}?{LOCK}", label)
    assert (early.status_code, warnings(early)) == (409, ["The target URI did not reference a claimed Workitem."])
    change(web, "IN PROGRESS")
    missing, wrong = post(web, f"/workitems/{UID}", label), post(web, f"/workitems/{UID}?1.2.99", label)
    assert (missing.status_code, wrong.status_code) == (400, 400)
    assert "The Transaction UID is missing." in warnings(missing)
    assert "The Transaction UID is incorrect." in warnings(wrong)
    assert post(web, "/workitems/1.2.99", label).status_code == 404
    assert post(web, "/workitems/x", label).status_code == 400


def test_what_may_not_be_set_is_refused(web: FlaskClient) -> None:
    create(web)
    before = read(web)
    for tag, told in (
        ("00741000", text("CS", "COMPLETED")),
        ("00100010", text("PN", {"Alphabetic": "Doe^John"})),
        ("00080018", text("UI", "1.2.99")),
        ("0040A370", text("SQ", {"00080050": text("SH", "A1")})),
        ("00741204", text("LO")),
        ("00741200", text("CS", "URGENT")),
    ):
        answer = post(web, f"/workitems/{UID}", {tag: told})
        assert (answer.status_code, warnings(answer)) == (400, [INCONSISTENT_UPDATE]), tag
    assert read(web) == before


def test_a_cancel_request_cancels_what_nobody_has_claimed(web: FlaskClient) -> None:
    create(web)
    answer = post(web, f"/workitems/{UID}/cancelrequest", {"00741238": text("LT", "Not needed")})
    assert (answer.status_code, warnings(answer)) == (202, [])
    assert state(web) == "CANCELED"
    (progress,) = read(web)["00741002"]["Value"]
    assert progress["00741238"]["Value"] == ["Not needed"]
    again = web.post(f"/dicom-web/workitems/{UID}/cancelrequest")
    assert (again.status_code, warnings(again)) == (409, ["The UPS is already in the requested state of CANCELED."])
    create(web, "1.2.5")
    change(web, "IN PROGRESS", uid="1.2.5")
    assert web.post("/dicom-web/workitems/1.2.5/cancelrequest").status_code == 202
    assert state(web, "1.2.5") == "IN PROGRESS"
    post(web, f"/workitems/1.2.5?{LOCK}", {"00741216": PERFORMED})
    change(web, "COMPLETED", uid="1.2.5")
    done = web.post("/dicom-web/workitems/1.2.5/cancelrequest")
    assert (done.status_code, warnings(done)) == (409, ["The UPS is already COMPLETED."])
    assert web.post("/dicom-web/workitems/1.2.99/cancelrequest").status_code == 404


def found(web: FlaskClient, query: str) -> list[str]:
    answer = web.get(f"/dicom-web/workitems?{query}")
    assert answer.status_code in (200, 204), answer.text
    assert bool(answer.data) == (answer.status_code == 200)
    return [one["00080018"]["Value"][0] for one in answer.get_json(force=True)] if answer.data else []


def test_search_matches_as_qido_does(web: FlaskClient) -> None:
    request = {"0020000D": text("UI", "1.2.3"), "00080050": text("SH", "ACC-1")}
    create(web, "1.1", **{"0040A370": text("SQ", request), "00404026": text("SQ", code("CT"))})
    create(web, "1.2", **{"00100010": text("PN", {"Alphabetic": "Doe^John"}), "00404005": text("DT", "20261201120000")})
    create(web, "1.3", **{"00741200": text("CS", "LOW")})
    change(web, "IN PROGRESS", uid="1.3")
    for query, uids in (
        ("", ["1.1", "1.2", "1.3"]),
        ("ProcedureStepState=SCHEDULED", ["1.1", "1.2"]),
        ("00741000=IN%20PROGRESS", ["1.3"]),
        ("ProcedureStepState=COMPLETED", []),
        ("PatientName=doe*", ["1.2"]),
        ("PatientID=P1?", ["1.1", "1.2", "1.3"]),
        ("0040A370.00080050=ACC-1", ["1.1"]),
        ("ScheduledStationClassCodeSequence.CodeValue=CT", ["1.1"]),
        ("00404005=20261201-20261202", ["1.2"]),
        ("SOPInstanceUID=1.1,1.3", ["1.1", "1.3"]),
        ("ScheduledProcedureStepPriority=LOW&SOPInstanceUID=1.1", []),
        ("limit=1&offset=1", ["1.2"]),
        ("limit=0", []),
        ("offset=9", []),
        ("WorklistLabel=", ["1.1", "1.2", "1.3"]),
        ("_=7", ["1.1", "1.2", "1.3"]),
    ):
        assert found(web, query) == uids, query
    for query in ("limit=-1", "Nonsense=1", "00404005=never", "PatientName=a&PatientName=b", "includefield=Nonsense"):
        assert web.get(f"/dicom-web/workitems?{query}").status_code == 400, query


def test_search_returns_what_is_required_and_what_is_asked_for(web: FlaskClient) -> None:
    create(web, **{"00400400": text("LT", "a comment")})
    (usual,) = web.get("/dicom-web/workitems").get_json(force=True)
    assert {"00741000", "00741200", "00404041", "00100010", "0040A370", "00080016"} <= set(usual)
    assert "00400400" not in usual
    (more,) = web.get("/dicom-web/workitems?includefield=00400400").get_json(force=True)
    assert more["00400400"]["Value"] == ["a comment"]
    (whole,) = web.get("/dicom-web/workitems?includefield=all").get_json(force=True)
    assert whole == read(web)


def test_names_match_by_the_beginnings_of_their_words_where_that_is_asked_for(web: FlaskClient) -> None:
    create(web, **{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Vandermeer^Zoë"}]}})
    assert web.get("/dicom-web/workitems?PatientName=zoe%20vander").status_code == 204
    assert web.get("/dicom-web/workitems?PatientName=zoe%20vander&fuzzymatching=true").status_code == 200


def test_what_is_left_out_of_a_long_answer_is_told(web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.dicomweb.upssearch.MOST", 2)
    for number in range(5):
        create(web, f"1.2.{number}")
    answer = web.get("/dicom-web/workitems")
    assert len(answer.get_json(force=True)) == 2
    assert warnings(answer) == ["There are 3 additional results that can be requested"]


def test_wrong_methods_and_addresses(web: FlaskClient) -> None:
    assert web.put("/dicom-web/workitems").status_code == 405
    assert "PUT" in web.get(f"/dicom-web/workitems/{UID}/state").headers.get("Allow", "PUT")
    assert web.get("/dicom-web/workitems/x").status_code == 400
    assert web.get("/dicom-web/workitems/1.2.99").status_code == 404
    assert change(web, "IN PROGRESS", uid="1.2.99").status_code == 404


def test_workitems_are_encrypted_in_the_database_and_audited(web: FlaskClient, archive: Archive) -> None:
    create(web)
    change(web, "IN PROGRESS")
    web.post(f"/dicom-web/workitems/{UID}/subscribers/WATCHER")
    archive.close()
    files = b"".join(path.read_bytes() for path in archive.folder.glob("lethe.db*"))
    assert b"Roe^Jane" not in files and LOCK.encode() not in files
    actions = [entry.action for entry in archive.audit.entries()]
    assert actions == ["workitem-created", "workitem-state", "workitem-subscribed"]


def test_an_ended_workitem_is_removed_after_a_while_unless_it_is_locked(tmp_path: Path) -> None:
    now = [1_000_000.0]
    archive = Archive(tmp_path / "data", clock=lambda: now[0])
    web = app_over(archive, events="ws://node.test").test_client()
    for uid in ("1.1", "1.2"):
        create(web, uid)
        web.post(f"/dicom-web/workitems/{uid}/cancelrequest")
    web.post("/dicom-web/workitems/1.2/subscribers/WATCHER?deletionlock=true")
    create(web, "1.3")
    now[0] += 40 * 86_400
    archive.tidy_worklist()
    assert found(web, "") == ["1.2", "1.3"]
    assert web.get("/dicom-web/workitems/1.1").status_code == 410
    assert create(web, "1.1").status_code == 409
    web.delete("/dicom-web/workitems/1.2/subscribers/WATCHER")
    archive.tidy_worklist()
    assert found(web, "") == ["1.3"]
    archive.close()


def test_pydicom_writes_and_reads_workitems(web: FlaskClient) -> None:
    ds = Dataset.from_json(workitem())
    ds.ScheduledStationNameCodeSequence = [Dataset()]
    ds.ScheduledStationNameCodeSequence[0].CodeValue = "CT1"
    ds.ScheduledStationNameCodeSequence[0].CodingSchemeDesignator = "99TEST"
    answer = web.post("/dicom-web/workitems?1.2.5", data=ds.to_json(), headers={"Content-Type": JSON})
    assert answer.status_code == 201
    again = Dataset.from_json(read(web, "1.2.5"))
    assert again.PatientName == "Roe^Jane"
    assert again.ScheduledStationNameCodeSequence == ds.ScheduledStationNameCodeSequence
    (found_one,) = web.get("/dicom-web/workitems?ScheduledStationNameCodeSequence.CodeValue=CT1").get_json(force=True)
    assert Dataset.from_json(found_one).SOPInstanceUID == "1.2.5"
