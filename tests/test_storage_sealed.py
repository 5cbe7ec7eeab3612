"""Original headers: read back as they came, by the right key and beside the right instance alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage
from lethe.storage.names import clean_name
from lethe.storage.sealed import OriginalHeader

HEADER = OriginalHeader("1.2.840.10008.1.2.1", b"\x10\x00\x10\x00PN\x10\x00FEATHERSTONE^ANT" * 40)
Publish = Callable[..., str]


@pytest.fixture
def publish(archive: Archive) -> Publish:
    """Publishes one instance with that original header; gives its SOP Instance UID."""

    def publish(number: int, before: OriginalHeader | None = HEADER) -> str:
        path = archive.files.incoming() / "object"
        path.write_bytes(b"original %d" % number)
        archive.accept(path, f"1.2.{number}", Origin("CT1"), ["trial"])
        job = archive.jobs.claim(Stage.CLEAN, "test", 60)
        assert job is not None
        uid = f"2.25.{number}"
        uids = {"0020000D": "2.25.100", "0020000E": "2.25.101", "00080018": uid}
        metadata = {tag: {"vr": "UI", "Value": [value]} for tag, value in uids.items()}
        clean = CleanInstance(metadata, HEADER.transfer_syntax, "trial", clean_name(job.subject), receipt={"n": number})
        assert archive.publish(job, [b"clean"], clean, [], before=before)
        return uid

    return publish


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("lethe.db"))


def test_a_header_is_read_back_byte_for_byte_and_stands_nowhere_in_clear(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    assert archive.headers.holds(uid)
    assert archive.headers.open(uid) == HEADER
    assert b"FEATHERSTONE" not in everything(archive.folder)
    assert list(archive.verify()) == []


def test_the_same_header_is_never_sealed_alike(archive: Archive) -> None:
    sealed = {archive.headers.sealed("trial", "2.25.1", HEADER) for _ in range(3)}
    assert len(sealed) == 3


def test_where_none_was_kept_there_is_none(archive: Archive, publish: Publish) -> None:
    uid = publish(1, before=None)
    assert not archive.headers.holds(uid)
    with pytest.raises(NotFound):
        archive.headers.open(uid)
    with pytest.raises(NotFound):
        archive.view_original(uid, Actor("somebody"))
    assert "originals-viewed" not in {entry.action for entry in archive.audit.entries()}


def test_with_another_key_nothing_is_read(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    key = archive.folder / "keys" / "crosswalk.key"
    right = key.read_bytes()
    key.write_bytes(b"ab" * 32)
    other = Archive(archive.folder)
    with pytest.raises(Unavailable, match="another key"):
        other.headers.open(uid)
    assert any("another key" in problem for problem in other.headers.problems())
    other.close()
    key.write_bytes(right)
    again = Archive(archive.folder)
    assert again.headers.open(uid) == HEADER
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sealed_header AS to_be SET sealed = other.sealed FROM sealed_header AS other "
        "WHERE to_be.instance = 1 AND other.instance = 2",
        "UPDATE instance SET project = 'another' WHERE uid = '2.25.1'",
        "UPDATE sealed_header SET sealed = x'00' WHERE instance = 1",
        "UPDATE sealed_header SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE instance = 1",
    ],
)
def test_one_that_was_altered_or_moved_cannot_be_read(archive: Archive, publish: Publish, change: str) -> None:
    publish(1)
    publish(2)
    archive.database.execute_sql(change)
    with pytest.raises(Refused, match=r"2\.25\.1 was altered"):
        archive.headers.open("2.25.1")
    assert archive.headers.open("2.25.2") == HEADER
    assert [problem for problem in archive.verify() if "original header" in problem] == list(archive.headers.problems())
    assert len(list(archive.headers.problems())) == 1


def test_a_new_one_takes_the_place_of_the_old_and_goes_with_the_instance(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    other = OriginalHeader("1.2.840.10008.1.2", b"other")
    archive.headers.keep(uid, archive.headers.sealed("trial", uid, other))
    assert archive.headers.open(uid) == other
    archive.database.execute_sql("DELETE FROM instance WHERE uid = ?", (uid,))
    assert not archive.headers.holds(uid)


def test_a_look_is_in_the_trail(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    assert archive.view_original(uid, Actor("curie", "192.0.2.1")) == HEADER
    entry = archive.audit.newest(1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("curie@192.0.2.1", "originals-viewed", uid)


def test_a_look_that_cannot_be_audited_shows_nothing(archive: Archive, publish: Publish) -> None:
    uid = publish(1)
    archive.database.execute_sql("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no more'); END")
    with pytest.raises(Exception, match="no more"):
        archive.view_original(uid, Actor("curie"))


def test_problems_are_found_on_every_page(archive: Archive, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.storage.sealed._PAGE", 2)
    for number in range(1, 6):
        publish(number)
    assert list(archive.headers.problems()) == []
    archive.database.execute_sql("UPDATE sealed_header SET sealed = x'00' WHERE instance IN (2, 5)")
    assert len(list(archive.headers.problems())) == 2
