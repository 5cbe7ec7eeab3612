"""What is deleted is gone from index, jobs and disk, whatever happens on the way, and can be published again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.crosswalk import CrosswalkEntry, Kind
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Unavailable
from lethe.storage.intake import Acceptance, Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.names import clean_name
from lethe.storage.query import Level, Query
from lethe.storage.schema import MIGRATIONS
from lethe.storage.sealed import OriginalHeader

WHO = Actor("somebody", "10.0.0.9")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


def published(archive: Archive, uid: str, *, series: str, study: str, modality: str = "CT", receipt: int = 1) -> str:
    """Hand in an object of its own for each UID and publish it. Returns its clean file."""
    path = archive.files.incoming() / "object"
    path.write_bytes(uid.encode())
    archive.accept(path, uid, Origin("MODALITY"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    texts = {"00080018": uid, "0020000D": study, "0020000E": series}
    metadata = {tag: {"vr": "UI", "Value": [text]} for tag, text in texts.items()}
    metadata["00080060"] = {"vr": "CS", "Value": [modality]}
    name = clean_name(job.subject, job.project)
    clean = CleanInstance(metadata, "1.2.840.10008.1.2.1", "default", name, receipt={"removed": receipt})
    told = [CrosswalkEntry(Kind.UID, f"original of {uid}", uid, "default")]
    assert archive.publish(job, [b"clean"], clean, ["pacs"], told, None, OriginalHeader("1.2", b"header"))
    return name


def filled(archive: Archive) -> None:
    """Two studies: 1 with the series 1.1 (CT: 1.1.1, 1.1.2) and 1.2 (MR: 1.2.1), and 2 with 2.1 (2.1.1)."""
    for uid, modality in (("1.1.1", "CT"), ("1.1.2", "CT"), ("1.2.1", "MR"), ("2.1.1", "CT")):
        published(archive, uid, series=uid[:3], study=uid[0], modality=modality)


def instances(archive: Archive) -> set[str]:
    return {entry.sop_uid for entry in archive.index.find(Query(Level.INSTANCE))}


def sound(archive: Archive) -> bool:
    return not list(archive.verify())


class TestDeleting:
    def test_an_instance(self, archive: Archive) -> None:
        filled(archive)
        other = archive.index.version_of("2")
        before = archive.index.version(), archive.index.version_of("1"), archive.index.version_of("1", "1.1")
        untouched = archive.index.version_of("1", "1.2")
        assert archive.delete("1", "1.1", "1.1.1", actor=WHO) == 1
        assert instances(archive) == {"1.1.2", "1.2.1", "2.1.1"}
        study = archive.index.one(Level.STUDY, "1")
        assert [study.attributes[tag]["Value"] for tag in ("00201206", "00201208")] == [[2], [2]]
        after = archive.index.version(), archive.index.version_of("1"), archive.index.version_of("1", "1.1")
        assert all(new > old for old, new in zip(before, after, strict=True))
        assert (archive.index.version_of("2"), archive.index.version_of("1", "1.2")) == (other, untouched)
        assert len(list(archive.files.names("clean"))) == 3
        assert sound(archive)

    def test_the_last_of_a_series_takes_the_series_and_its_modality(self, archive: Archive) -> None:
        filled(archive)
        archive.delete("1", "1.2", "1.2.1", actor=WHO)
        study = archive.index.one(Level.STUDY, "1")
        assert study.attributes["00080061"]["Value"] == ["CT"]
        assert study.attributes["00201206"]["Value"] == [1]
        with pytest.raises(NotFound):
            archive.index.one(Level.SERIES, "1", "1.2")
        assert sound(archive)

    def test_series_and_study(self, archive: Archive) -> None:
        filled(archive)
        assert archive.delete("1", "1.1", actor=WHO) == 2
        assert instances(archive) == {"1.2.1", "2.1.1"}
        assert archive.delete("1", actor=WHO) == 1
        assert archive.index.totals() == (1, 1, 1)
        assert sound(archive)

    @pytest.mark.parametrize("uids", [("3",), ("1", "2.1"), ("1", "1.1", "2.1.1"), ("1", "1.1", "nope")])
    def test_what_is_not_there(self, archive: Archive, uids: tuple[str, ...]) -> None:
        filled(archive)
        with pytest.raises(NotFound):
            archive.delete(*uids, actor=WHO)
        assert len(instances(archive)) == 4

    def test_more_than_one_portion(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lethe.storage.removal._PORTION", 2)
        filled(archive)
        assert archive.delete("1", actor=WHO) == 3
        assert instances(archive) == {"2.1.1"}

    def test_what_hangs_on_it(self, archive: Archive) -> None:
        filled(archive)
        archive.delete("1", actor=WHO)
        assert [job.subject for job in archive.jobs.find(stage=Stage.SEND)] == ["2.1.1"]
        assert not archive.headers.holds("1.1.1")
        assert archive.crosswalk.count("default") == 4
        deleted = [entry for entry in archive.audit.entries() if entry.action == "deleted"]
        assert [entry.actor for entry in deleted] == [str(WHO)] * 3
        assert {entry.subject for entry in deleted} == {"1.1.1", "1.1.2", "1.2.1"}
        assert archive.audit.verify().broken_at is None

    def test_a_delivery_under_way_is_not_entered(self, archive: Archive) -> None:
        filled(archive)
        job = archive.jobs.claim(Stage.SEND, "courier", 60, destination="pacs")
        assert job is not None
        archive.delete("1", actor=WHO)
        archive.delete("2", actor=WHO)
        assert not archive.delivered(job, 0, transfer_syntax="1.2.840.10008.1.2.1")
        assert sound(archive)


class TestAgain:
    def test_an_original_that_comes_again_is_cleaned_again(self, archive: Archive) -> None:
        filled(archive)
        archive.delete("1", "1.1", "1.1.1", actor=WHO)
        name = published(archive, "1.1.1", series="1.1", study="1", receipt=2)
        assert instances(archive) == {"1.1.1", "1.1.2", "1.2.1", "2.1.1"}
        assert archive.files.holds("clean", name)
        assert archive.headers.holds("1.1.1")
        assert archive.receipts.of("1.1.1").is_vouched_for  # by the entry of the second publication
        assert archive.jobs.find(stage=Stage.SEND, subject="1.1.1")[0].state == State.READY
        assert sound(archive)

    def test_and_what_was_not_deleted_is_not(self, archive: Archive) -> None:
        filled(archive)
        path = archive.files.incoming() / "object"
        path.write_bytes(b"1.1.2")
        assert archive.accept(path, "1.1.2", Origin("MODALITY"), ["default"]) == Acceptance.AGAIN
        assert archive.jobs.claim(Stage.CLEAN, "worker", 60) is None

    def test_one_that_is_published_while_it_is_deleted_is_done_once_more(self, archive: Archive) -> None:
        name = published(archive, "1.1.1", series="1.1", study="1")
        archive.delete("1", actor=WHO)
        path = archive.files.incoming() / "object"
        path.write_bytes(b"1.1.1")
        archive.accept(path, "1.1.1", Origin("MODALITY"), ["default"])
        job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
        assert job is not None

        def chunks() -> Iterator[bytes]:
            yield b"clean"

        write = archive.files.write

        def write_then_lose(room: str, file: str, data: Iterator[bytes]) -> int:
            size = write(room, file, data)
            archive.files.remove("clean", file)  # as a deletion does that has just taken the rows
            return size

        archive.files.write = write_then_lose  # type: ignore[method-assign, assignment]
        texts = {"00080018": "1.1.1", "0020000D": "1", "0020000E": "1.1"}
        metadata = {tag: {"vr": "UI", "Value": [text]} for tag, text in texts.items()}
        with pytest.raises(Unavailable):
            archive.publish(job, chunks(), CleanInstance(metadata, "1.2", "default", name), [])
        assert instances(archive) == set()
        assert archive.jobs.get(job.id).state == State.RUNNING


def dying(folder: Path, where: Callable[[Archive], None]) -> None:
    """Delete study 1 in a process that dies at a place that `where` prepares."""
    child = os.fork()
    if child == 0:
        try:
            archive = Archive(folder)
            where(archive)
            archive.delete("1", actor=WHO)
        finally:
            os._exit(1)
    os.waitpid(child, 0)


def before_the_files(archive: Archive) -> None:
    archive.files.remove = lambda *_: os._exit(1)  # type: ignore[method-assign]


def between_the_rows(archive: Archive) -> None:
    archive.jobs.forget = lambda *_: os._exit(1)  # type: ignore[method-assign]


class TestCrashing:
    @pytest.mark.parametrize(("where", "left"), [(before_the_files, 1), (between_the_rows, 4)])
    def test_no_row_without_its_file(self, tmp_path: Path, where: Callable[[Archive], None], left: int) -> None:
        folder = tmp_path / "crash"
        archive = Archive(folder)
        filled(archive)
        archive.close()
        dying(folder, where)
        assert len(instances(archive)) == left
        assert sound(archive)
        if left == 4:
            assert archive.delete("1", actor=WHO) == 3
        archive.close()
        later = Archive(folder, clock=lambda: time.time() + 7200)
        later.sweep()
        assert len(list(later.files.names("clean"))) == 1
        later.close()


def test_what_was_published_before_there_were_results_has_one(tmp_path: Path) -> None:
    """The migration reads from the audit trail what each job published."""
    (before,) = (number for number, one in enumerate(MIGRATIONS) if any("ADD COLUMN result" in sql for sql in one))
    later = " ".join(sql for one in MIGRATIONS[before:] for sql in one)
    since, columns = re.findall(r"CREATE TABLE (\w+)", later), re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", later)
    folder = tmp_path / "old"
    archive = Archive(folder)
    filled(archive)
    for sql in (
        "PRAGMA foreign_keys = 0",
        *(f"DROP TABLE {table}" for table in since),
        *(f"ALTER TABLE {table} DROP COLUMN {column}" for table, column in columns),
        *(f"DROP INDEX {index}" for index in re.findall(r"CREATE INDEX (audit_\w+)", later)),
        f"UPDATE schema_version SET version = {before}",
    ):
        archive.database.execute_sql(sql)
    archive.close()
    archive = Archive(folder)
    results = sorted(job.result for job in archive.jobs.find(stage=Stage.CLEAN))
    assert results == ["1.1.1", "1.1.2", "1.2.1", "2.1.1"]
    assert archive.delete("1", actor=WHO) == 3
    assert sound(archive)
    archive.close()
