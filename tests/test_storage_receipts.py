"""Receipts and the audit trail: the entry of a publication vouches for the receipt, and for no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import SYSTEM, Actor
from lethe.storage.database import transaction
from lethe.storage.entries import CleanInstance, receipt_digest
from lethe.storage.errors import NotFound
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage
from lethe.storage.names import clean_name

RECEIPT = {"profile": "basic", "elements": {"removed": [("(0010,0010)", "basic")]}, "name": "é"}
Publish = Callable[..., str]


@pytest.fixture
def publish(archive: Archive) -> Publish:
    def publish(number: int, study: str = "2.25.100") -> str:
        path = archive.files.incoming() / "object"
        path.write_bytes(b"original %d" % number)
        archive.accept(path, f"1.2.{number}", Origin("CT1"), ["trial"])
        job = archive.jobs.claim(Stage.CLEAN, "test", 60)
        assert job is not None
        uids = {"0020000D": study, "0020000E": f"{study}.1", "00080018": f"2.25.{number}"}
        metadata = {tag: {"vr": "UI", "Value": [value]} for tag, value in uids.items()}
        clean = CleanInstance(metadata, "1.2.840.10008.1.2.1", "trial", clean_name(job.subject), receipt=RECEIPT)
        assert archive.publish(job, [b"clean"], clean, [])
        return f"2.25.{number}"

    return publish


def alter(archive: Archive, uid: str, text: str) -> None:
    archive.database.execute_sql("UPDATE instance SET receipt = ? WHERE uid = ?", (text, uid))


def test_the_entry_of_a_publication_carries_the_digest_of_the_stored_receipt(
    archive: Archive, publish: Publish
) -> None:
    uid = publish(1)
    entry = archive.audit.newest(1)[0]
    stored = archive.receipts.of(uid)
    canonical = json.dumps(RECEIPT, sort_keys=True, separators=(",", ":"))
    assert entry.action == "published" and stored.entry == entry
    assert json.loads(entry.detail)["receipt_sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert json.loads(entry.detail)["profile"] == "basic"
    assert (stored.text, stored.digest) == (canonical, receipt_digest(canonical))
    assert (stored.study_uid, stored.project, stored.content) == ("2.25.100", "trial", json.loads(canonical))
    assert stored.is_vouched_for


def test_a_changed_receipt_is_named(archive: Archive, publish: Publish) -> None:
    publish(1)
    uid = publish(2)
    assert list(archive.receipts.problems()) == []
    alter(archive, uid, archive.receipts.of(uid).text.replace("removed", "kept"))
    (problem,) = archive.receipts.problems()
    assert uid in problem and str(archive.receipts.of(uid).entry.seq) in problem  # type: ignore[union-attr]
    assert not archive.receipts.of(uid).is_vouched_for
    assert problem in list(archive.verify())
    assert archive.audit.verify().broken_at is None, "the chain itself is whole"


def test_an_entry_that_was_appended_later_vouches_for_nothing(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    alter(archive, uid, "{}")
    with transaction(archive.database):
        archive.audit.record(SYSTEM, "published", uid, {"receipt_sha256": receipt_digest("{}")})
    assert not archive.receipts.of(uid).is_vouched_for
    assert len(list(archive.receipts.problems())) == 1


def test_an_entry_that_was_changed_with_the_receipt_vouches_for_nothing(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    alter(archive, uid, "{}")
    archive.database.execute_sql("DROP TRIGGER audit_is_not_altered")
    detail = json.dumps({"receipt_sha256": receipt_digest("{}")})
    archive.database.execute_sql("UPDATE audit SET detail = ? WHERE action = 'published'", (detail,))
    assert not archive.receipts.of(uid).is_vouched_for


def test_a_publication_that_is_not_in_the_trail_is_named(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    archive.database.execute_sql("DROP TRIGGER audit_is_not_deleted")
    archive.database.execute_sql("DELETE FROM audit WHERE action = 'published'")
    (problem,) = archive.receipts.problems()
    assert uid in problem and archive.receipts.of(uid).entry is None


def test_entries_of_the_first_version_hold_the_whole_receipt(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    archive.database.execute_sql("DROP TRIGGER audit_is_not_deleted")
    archive.database.execute_sql("DELETE FROM audit WHERE action = 'published'")
    with transaction(archive.database):
        archive.audit.record(SYSTEM, "published", uid, {"receipt": RECEIPT})
    assert archive.receipts.of(uid).is_vouched_for
    alter(archive, uid, "{}")
    assert not archive.receipts.of(uid).is_vouched_for


def test_receipts_of_studies_come_in_the_order_of_publication_page_by_page(
    archive: Archive, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lethe.storage.receipts._PAGE", 2)
    uids = [publish(number, study=f"2.25.{100 + number % 2}") for number in range(1, 8)]
    assert [stored.sop_uid for stored in archive.receipts.of_studies()] == uids
    assert [stored.sop_uid for stored in archive.receipts.of_studies(["2.25.101"])] == uids[::2]
    assert archive.receipts.count() == 7 and archive.receipts.count(["2.25.100"]) == 3
    assert list(archive.receipts.of_studies(["2.25.9"])) == []


def test_exports_are_audited_before_the_first_is_given_out(archive: Archive, publish: Publish) -> None:
    publish(1)
    archive.export_receipts((), Actor("somebody"))
    archive.export_originals(["2.25.100"], Actor("somebody"))
    told = [(entry.action, json.loads(entry.detail)) for entry in archive.audit.newest(2)]
    assert told == [
        ("originals-exported", {"receipts": 1, "studies": ["2.25.100"]}),
        ("receipts-exported", {"receipts": 1, "studies": "all"}),
    ]
    with pytest.raises(NotFound):
        archive.export_receipts(["2.25.100", "1.2.3"], Actor("somebody"))


def test_of_an_instance_that_is_not_there(archive: Archive) -> None:
    with pytest.raises(NotFound):
        archive.receipts.of("1.2.3")


def test_the_entry_of_a_receipt_is_found_by_an_index(archive: Archive, publish: Publish) -> None:
    publish(1)
    sql = "EXPLAIN QUERY PLAN SELECT MIN(seq) FROM audit WHERE audit.subject = ? AND audit.action = 'published'"
    plan = " ".join(str(row) for row in archive.database.execute_sql(sql, ("2.25.1",)).fetchall())
    assert "audit_published" in plan
